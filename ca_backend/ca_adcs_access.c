/* SPDX-License-Identifier: Apache-2.0 */
/* Who asks AD CS, and who signs; see ca_adcs_access.h. */
#include "ca_adcs_access.h"
#include "ca_adcs_cmc.h"

#include <apr_strings.h>
#include <string.h>

#define USER_MIN 3          /* "u:p" */
#define USER_MAX 512

/* Who signs the request.  Error text in p, NULL on success. */
static const char *make_agent(adcs_access_t *access, const settings_t *settings,
                              apr_pool_t *p)
{
    const char *request = settings_get(settings, "request", "cmc");
    const char *certificate = settings_get(settings, "agentCertificate", NULL);
    const char *key = settings_get(settings, "agentKey", NULL);

    if (strcmp(request, "pkcs10") == 0) {
        return certificate == NULL && key == NULL
                   ? NULL : "request=pkcs10 is signed by nobody: agentCertificate and agentKey "
                            "belong to request=cmc";
    }
    if (strcmp(request, "cmc") != 0) {
        return "request is cmc or pkcs10";
    }
    if (certificate == NULL || key == NULL) {
        return "request=cmc needs agentCertificate and agentKey, the enrollment agent's";
    }
    return adcs_agent_make(&access->agent, certificate, key, p);
}

/* Who asks, besides TLS.  Error text in p, NULL on success. */
static const char *make_user(adcs_access_t *access, const settings_t *settings, apr_pool_t *p)
{
    const char *file = settings_get(settings, "userFile", NULL);
    const char *keytab = settings_get(settings, "keytab", NULL);
    const char *error;
    crypt_buf_t line;

    if (file == NULL) {
        return settings_get(settings, "certificate", NULL) != NULL || keytab != NULL
                   ? NULL : "certificate and key, or userFile, or keytab and principal: AD CS "
                            "answers nobody that it does not know";
    }
    if (keytab != NULL) {
        return "userFile and keytab: one of them says who asks";
    }
    error = secret_file_make(&access->user, file, "user and password", USER_MIN, USER_MAX, p);
    if (error != NULL) {
        return error;
    }
    line = secret_file_get(access->user, NULL, p);
    if (memchr(line.data, ':', line.len) == NULL || line.data[0] == ':') {
        error = apr_psprintf(p, "%s does not hold user:password", file);
    }
    return error;
}

const char *adcs_access_make(adcs_access_t *access, const settings_t *settings, apr_pool_t *p)
{
    const char *error = make_agent(access, settings, p);

    return error == NULL ? make_user(access, settings, p) : error;
}

apr_status_t adcs_access_child_init(adcs_access_t *access, apr_pool_t *pchild)
{
    apr_status_t rv = APR_SUCCESS;

    if (access->agent != NULL) {
        rv = adcs_agent_child_init(access->agent, pchild);
    }
    if (rv == APR_SUCCESS && access->user != NULL) {
        rv = secret_file_child_init(access->user, pchild);
    }
    return rv;
}

void adcs_access_user(adcs_access_t *access, const char **puser, const char **ppassword,
                      const log_sink_t *log, apr_pool_t *p)
{
    crypt_buf_t line;
    char *colon;

    *puser = *ppassword = NULL;
    if (access->user == NULL) {
        return;
    }
    line = secret_file_get(access->user, log, p);
    colon = memchr(line.data, ':', line.len);
    if (colon != NULL) {
        *colon = '\0';
        *puser = (const char *)line.data;
        *ppassword = colon + 1;
    }
}

int adcs_access_sign(adcs_access_t *access, crypt_buf_t *cmc, const ca_request_t *request,
                     outcome_t *out, const log_sink_t *log, apr_pool_t *p)
{
    X509 *cert;
    EVP_PKEY *key;
    apr_status_t rv;

    adcs_agent_get(access->agent, &cert, &key, log, p);
    rv = adcs_cmc_make(cmc, &request->csr->der, request->template_name, cert, key, p);
    if (rv == APR_SUCCESS) {
        return 1;
    }
    log_openssl_errors(log, LOG_SINK_ERR, SCEPTAG(0356), "while signing the CMC request");
    outcome_unavailable(out, "ca-error", 0, p, rv == APR_EINVAL
                        ? "'%s' cannot be the name of a template"
                        : "the CMC request for template '%s' cannot be made",
                        request->template_name);
    return 0;
}

apr_status_t adcs_access_health(adcs_access_t *access, const char **text, apr_pool_t *p)
{
    X509 *cert;
    EVP_PKEY *key;

    if (access->agent == NULL) {
        return APR_SUCCESS;
    }
    adcs_agent_get(access->agent, &cert, &key, NULL, p);
    if (crypt_asn1_time(X509_get0_notAfter(cert)) > apr_time_now()) {
        return APR_SUCCESS;
    }
    *text = "the enrollment agent's certificate has expired";
    return APR_EGENERAL;
}
