/* SPDX-License-Identifier: Apache-2.0 */
/* The enrollment agent; see ca_adcs_agent.h. */
#include "ca_adcs_agent.h"
#include "../common/http_files.h"

#include <apr_strings.h>
#include <apr_thread_mutex.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

/* Certificate Request Agent, [MS-WCCE] section 2.1 (szOID_ENROLLMENT_AGENT) */
#define OID_REQUEST_AGENT "1.3.6.1.4.1.311.20.2.1"

struct adcs_agent_t {
    http_files_t files;         /* the second is the certificate, the third the key */
    apr_thread_mutex_t *mutex;  /* guards the rest; NULL: there is one thread */
    http_stamp_t stamp;
    X509 *cert;
    EVP_PKEY *key;
};

/* Whether the extended key usage holds the agent's. */
static int is_agent(X509 *cert)
{
    EXTENDED_KEY_USAGE *usages = X509_get_ext_d2i(cert, NID_ext_key_usage, NULL, NULL);
    ASN1_OBJECT *wanted = OBJ_txt2obj(OID_REQUEST_AGENT, 1);
    int i, found = 0;

    for (i = 0; wanted != NULL && i < sk_ASN1_OBJECT_num(usages); i++) {
        found |= OBJ_cmp(sk_ASN1_OBJECT_value(usages, i), wanted) == 0;
    }
    ASN1_OBJECT_free(wanted);
    EXTENDED_KEY_USAGE_free(usages);
    ERR_clear_error();
    return found;
}

/* Error text in p if the pair is of no use, else NULL. */
static const char *check(const adcs_agent_t *agent, X509 *cert, EVP_PKEY *key, apr_pool_t *p)
{
    const char *file = agent->files.path[1];
    int fits = X509_check_private_key(cert, key);

    ERR_clear_error();
    if (!fits) {
        return apr_psprintf(p, "the key in %s is not that of the certificate in %s",
                            agent->files.path[2], file);
    }
    if (!is_agent(cert)) {
        return apr_psprintf(p, "%s: the certificate is no enrollment agent's: its extended key "
                            "usage lacks Certificate Request Agent (" OID_REQUEST_AGENT ")", file);
    }
    if ((X509_get_key_usage(cert) & KU_DIGITAL_SIGNATURE) == 0) {
        return apr_psprintf(p, "%s: the certificate's key usage lacks digitalSignature", file);
    }
    if (crypt_asn1_time(X509_get0_notAfter(cert)) <= apr_time_now()) {
        return apr_psprintf(p, "%s: the enrollment agent's certificate has expired", file);
    }
    return NULL;
}

/* Reads the files; on error what is held stays.  Error text in p, NULL on success. */
static const char *load(adcs_agent_t *agent, apr_pool_t *p)
{
    STACK_OF(X509) *certs = NULL;
    EVP_PKEY *key = NULL;
    const char *error = crypt_load_certificates(&certs, agent->files.path[1], p);
    X509 *cert;

    if (error == NULL) {
        error = crypt_load_key(&key, agent->files.path[2], p);
    }
    if (error != NULL) {
        return error;
    }
    cert = sk_X509_value(certs, 0);
    error = check(agent, cert, key, p);
    if (error == NULL && X509_up_ref(cert) && EVP_PKEY_up_ref(key)) {
        X509_free(agent->cert);
        EVP_PKEY_free(agent->key);
        agent->cert = cert;
        agent->key = key;
    }
    return error;
}

/* Pool cleanup; returns APR_SUCCESS. */
static apr_status_t agent_cleanup(void *data)
{
    adcs_agent_t *agent = data;

    X509_free(agent->cert);
    EVP_PKEY_free(agent->key);
    return APR_SUCCESS;
}

const char *adcs_agent_make(adcs_agent_t **pagent, const char *certificate_file,
                            const char *key_file, apr_pool_t *p)
{
    adcs_agent_t *agent = apr_pcalloc(p, sizeof(*agent));

    agent->files.path[1] = certificate_file;
    agent->files.path[2] = key_file;
    apr_pool_cleanup_register(p, agent, agent_cleanup, apr_pool_cleanup_null);
    http_files_stamp(&agent->stamp, &agent->files, NULL);
    *pagent = agent;
    return load(agent, p);
}

apr_status_t adcs_agent_child_init(adcs_agent_t *agent, apr_pool_t *pchild)
{
    return apr_thread_mutex_create(&agent->mutex, APR_THREAD_MUTEX_DEFAULT, pchild);
}

/* Reads files that changed. */
static void refresh(adcs_agent_t *agent, const log_sink_t *log, apr_pool_t *p)
{
    http_stamp_t stamp;
    const char *error;

    http_files_stamp(&stamp, &agent->files, &agent->stamp);
    if (memcmp(&stamp, &agent->stamp, sizeof(stamp)) == 0) {
        return;
    }
    agent->stamp = stamp;
    error = load(agent, p);
    if (error != NULL) {
        log_to(log, LOG_SINK_WARN, SCEPTAG(0358), "the enrollment agent's files changed, but the "
               "old ones stay in use until a restart: %s", error);
    }
}

void adcs_agent_get(adcs_agent_t *agent, X509 **pcert, EVP_PKEY **pkey, const log_sink_t *log,
                    apr_pool_t *p)
{
    if (agent->mutex != NULL) {
        apr_thread_mutex_lock(agent->mutex);
    }
    refresh(agent, log, p);
    (void)X509_up_ref(agent->cert);
    (void)EVP_PKEY_up_ref(agent->key);
    *pcert = crypt_x509_own(agent->cert, p);
    *pkey = crypt_pkey_own(agent->key, p);
    if (agent->mutex != NULL) {
        apr_thread_mutex_unlock(agent->mutex);
    }
}
