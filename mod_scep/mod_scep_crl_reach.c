/* SPDX-License-Identifier: Apache-2.0 */
/* The CRLs that certificates name, asked for once per start (see mod_scep_crl_reach.h). */
#include "mod_scep_crl_reach.h"
#include "mod_scep_lint.h"
#include "mod_scep_log.h"
#include "../common/http_client.h"
#include <apr_strings.h>
#include <http_log.h>

APLOG_USE_MODULE(scep);

#define TIME_MAX apr_time_from_sec(3)
#define CRL_MAX (16 * 1024 * 1024)
#define CRLS_MAX 16 /* asked for by one service */

/* What one service's CRLs are looked at with. */
typedef struct reach_t {
    const scep_service_conf_t *service;
    STACK_OF(X509) *chain;    /* borrowed; NULL: not known */
    apr_array_header_t *done; /* of const char*: URLs that were asked */
    int (*stopping)(void *);
    void *baton;
    apr_pool_t *p;
} reach_t;

/* Whether somebody of the chain signed the CRL. */
static int is_signed(const reach_t *reach, X509_CRL *crl)
{
    EVP_PKEY *key;
    int i;

    for (i = 0; i < sk_X509_num(reach->chain); i++) {
        X509 *ca = sk_X509_value(reach->chain, i);

        key = X509_get0_pubkey(ca);
        if (key && X509_NAME_cmp(X509_get_subject_name(ca), X509_CRL_get_issuer(crl)) == 0 &&
            X509_CRL_verify(crl, key) == 1) {
            return 1;
        }
    }
    return 0;
}

/* What is wrong with an answer that should be a CRL; NULL: nothing. */
static const char *wrong_with(const reach_t *reach, const http_answer_t *answer)
{
    const unsigned char *der = answer->body.data;
    const char *wrong = NULL;
    X509_CRL *crl;

    if (answer->status != HTTP_OK) {
        return apr_psprintf(reach->p, "HTTP status %d", answer->status);
    }
    crl = d2i_X509_CRL(NULL, &der, (long)answer->body.len);
    if (!crl) {
        wrong = "this is not a CRL in DER";
    }
    else if (!is_signed(reach, crl)) {
        wrong = "it was not signed by a certificate of the service's CA chain";
    }
    else if (X509_CRL_get0_nextUpdate(crl) &&
             X509_cmp_current_time(X509_CRL_get0_nextUpdate(crl)) < 0) {
        wrong = "it had to be replaced already (nextUpdate)";
    }
    X509_CRL_free(crl);
    return wrong;
}

/* Asks; what is wrong, NULL: nothing. */
static const char *fetch(const reach_t *reach, const char *url)
{
    const log_sink_t *log = scep_log_server(reach->service->server, reach->p);
    http_client_t *client;
    http_options_t options;
    http_request_t request;
    http_answer_t answer;
    const char *error;

    memset(&options, 0, sizeof(options));
    memset(&request, 0, sizeof(request));
    memset(&answer, 0, sizeof(answer));
    answer.error = "no HTTP client can be made";
    options.name = "CRL";
    options.url[0] = url;
    options.plain = 1;
    options.connect_timeout = options.timeout = TIME_MAX;
    options.concurrency = 1;
    options.body_max = CRL_MAX;
    error = http_client_make(&client, &options, reach->p);
    if (!error) {
        error = http_client_prepare(client, reach->p);
    }
    if (error) {
        return error;
    }
    if (http_client_child_init(client, reach->p) != APR_SUCCESS ||
        http_client_call(client, &request, &answer, log, reach->p) != APR_SUCCESS) {
        return answer.error;
    }
    return wrong_with(reach, &answer);
}

/* Looks at one URL, once. */
static void look(reach_t *reach, const char *url, X509 *cert)
{
    const char *name = scep_log_field(reach->p, crypt_name_text(X509_get_subject_name(cert),
                                                                reach->p));
    const char *wrong;
    int i;

    for (i = 0; i < reach->done->nelts; i++) {
        if (!strcmp(APR_ARRAY_IDX(reach->done, i, const char *), url)) {
            return;
        }
    }
    if (reach->done->nelts == CRLS_MAX || reach->stopping(reach->baton) ||
        (ap_cstr_casecmpn(url, "http://", 7) != 0 && ap_cstr_casecmpn(url, "https://", 8) != 0)) {
        return;
    }
    APR_ARRAY_PUSH(reach->done, const char *) = url;
    wrong = fetch(reach, url);
    if (reach->stopping(reach->baton)) {
        return; /* which may have cut the call */
    }
    if (wrong) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, reach->service->server,
                     SCEPTAG(0498) ": service %s: the CRL %s that %s names: %s; Windows does not "
                                   "enroll while it cannot be read",
                     reach->service->name, scep_log_field(reach->p, url), name,
                     http_printable(wrong, 200, reach->p));
    }
    else {
        ap_log_error(APLOG_MARK, APLOG_INFO, 0, reach->service->server,
                     SCEPTAG(0499) ": service %s: the CRL %s that %s names is there",
                     reach->service->name, scep_log_field(reach->p, url), name);
    }
}

/* Looks at what a certificate names. */
static void look_at(reach_t *reach, X509 *cert)
{
    const char *url = scep_lint_crl_url(cert, reach->p);

    if (url) {
        look(reach, url, cert);
    }
}

void scep_crl_reach(const scep_service_conf_t *service, int (*stopping)(void *), void *baton,
                    apr_pool_t *p)
{
    reach_t reach = {service,  NULL,  apr_array_make(p, 4, sizeof(const char *)),
                     stopping, baton, p};
    int i;

    if (ca_chain(service->core.ca, &reach.chain, NULL, p) != APR_SUCCESS) {
        return;
    }
    if (service->core.has_ra) {
        look_at(&reach, scep_service_signer(&service->core, 0)->cert);
        look_at(&reach, APR_ARRAY_IDX(service->core.decrypters, 0, scep_ra_key_t).cert);
    }
    for (i = 0; i < sk_X509_num(reach.chain); i++) {
        look_at(&reach, sk_X509_value(reach.chain, i));
    }
}
