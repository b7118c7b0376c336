/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CA backend "certsrv": AD CS by its web enrollment pages, as a browser would ask.
 *
 * The pages are written for people in the language of the server; what is looked for are links and
 * identifiers that are the same in all of them.  What matches none of them is not understood.
 */
#include "ca_adcs_access.h"
#include "ca_adcs_answer.h"
#include "ca_adcs_soap.h"
#include "ca_certs.h"

#include <apr_escape.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define AGENT_NAME "User-Agent: Mozilla/5.0 (compatible; mod_scep)"  /* others get no pkix-cert */
#define LINK "certnew.cer?ReqID="       /* of an issued certificate */
#define NUMBER_ID "locInfoReqID"        /* before the number of a request that waits */
#define STATE_ID "<LocID ID=locDispSpacer"  /* behind the disposition, certif.h CR_DISP_* */
#define NEAR 300                        /* bytes between an identifier and its number */
#define RENEWALS "nRenewals="           /* in a script: how often the CA was renewed */
#define RENEWALS_MAX 4                  /* digits */

/* ICertRequest::GetLastStatus */
enum { DISP_ERROR = 1, DISP_DENIED = 2, DISP_ISSUED = 3, DISP_WAITING = 5, DISP_REVOKED = 6 };

typedef struct certsrv_t {
    http_client_t *client;
    adcs_access_t access;
} certsrv_t;

static const settings_key_t certsrv_keys[] = {
    CA_HTTP_KEYS(0), ADCS_ACCESS_KEYS,
    {NULL, NULL, 0}
};

static const char *certsrv_create(void **pinstance, const settings_t *settings,
                                  const ca_config_t *cfg, apr_pool_t *p)
{
    certsrv_t *certsrv = apr_pcalloc(p, sizeof(*certsrv));
    const char *error = adcs_access_make(&certsrv->access, settings, p);

    *pinstance = certsrv;
    return error == NULL ? ca_http_make(&certsrv->client, "certsrv", settings, cfg, p) : error;
}

static apr_status_t certsrv_child_init(void *instance, apr_pool_t *pchild)
{
    certsrv_t *certsrv = instance;
    apr_status_t rv = http_client_child_init(certsrv->client, pchild);

    return rv == APR_SUCCESS ? adcs_access_child_init(&certsrv->access, pchild) : rv;
}

/* The number (at most ten digits) that begins in text or, skip not 0, is the first one near it;
 * NULL: there is none. */
static const char *number_at(const char *text, int skip, apr_pool_t *p)
{
    const char *end = text + (skip ? strnlen(text, NEAR) : 0);
    apr_size_t len;

    while (text < end && !apr_isdigit(*text)) {
        text++;
    }
    len = strspn(text, "0123456789");
    return len > 0 && len <= ADCS_REQUEST_ID_MAX ? apr_pstrmemdup(p, text, len) : NULL;
}

/* The number of the issued certificate; NULL: the page does not link to one. */
static const char *find_issued(const char *page, apr_pool_t *p)
{
    const char *at = strstr(page, LINK);

    return at != NULL ? number_at(at + strlen(LINK), 0, p) : NULL;
}

/* The number of a request that waits; NULL: the page names none. */
static const char *find_waiting(const char *page, apr_pool_t *p)
{
    const char *at = strstr(page, NUMBER_ID);

    at = at != NULL ? strchr(at, '>') : NULL;
    return at != NULL ? number_at(at + 1, 1, p) : NULL;
}

/* The disposition that a page of an asked for certificate tells; -1: none. */
static int find_state(const char *page)
{
    const char *at = strstr(page, STATE_ID);

    if (at == NULL || at == page) {
        return -1;
    }
    for (at--; at > page && apr_isspace(*at); at--) {
        continue;
    }
    return apr_isdigit(*at) && (at == page || !apr_isdigit(at[-1])) ? *at - '0' : -1;
}

/* Where a text begins in another, whatever the case; NULL: nowhere. */
static const char *find_text(const char *page, const char *text)
{
    for (; *page != '\0'; page++) {
        if (strncasecmp(page, text, strlen(text)) == 0) {
            return page;
        }
    }
    return NULL;
}

/* A page without its scripts, which have HRESULTs of their own. */
static const char *without_scripts(const char *page, apr_pool_t *p)
{
    char *text = apr_palloc(p, strlen(page) + 1), *to = text;
    const char *script;

    while ((script = find_text(page, "<script")) != NULL) {
        memcpy(to, page, (size_t)(script - page));
        to += script - page;
        page = find_text(script, "</script");
        if (page == NULL) {
            page = "";
        }
    }
    apr_cpystrn(to, page, strlen(page) + 1);
    return text;
}

/* The first failing HRESULT of a page; 0: there is none.  *ptext: what the CA says there. */
static apr_int32_t find_hresult(const char *page, const char **ptext, apr_pool_t *p)
{
    const char *at;

    *ptext = "";
    page = without_scripts(page, p);
    for (at = page; (at = find_text(at, "0x8")) != NULL; at++) {
        if (strspn(at + 2, "0123456789abcdefABCDEF") == 8) {
            *ptext = apr_pstrmemdup(p, at + 10, strcspn(at + 10, "<\"\r\n"));
            return (apr_int32_t)(apr_uint32_t)strtoul(at, NULL, 16);
        }
    }
    return 0;
}

/* Asks for a page; as ca_http_ask(), and other statuses than 200 fill answer as well. */
static apr_status_t get_page(certsrv_t *certsrv, http_request_t *call, http_answer_t *http,
                             ca_answer_t *answer, const log_sink_t *log, apr_pool_t *p)
{
    const char *user, *password, *headers[] = {AGENT_NAME, NULL, NULL};
    char *pair = NULL, *basic = NULL, *header = NULL;
    apr_status_t rv;

    adcs_access_user(&certsrv->access, &user, &password, log, p);
    if (user != NULL) {
        pair = apr_pstrcat(p, user, ":", password, NULL);
        basic = (char *)ca_base64_encode(pair, strlen(pair), p);
        header = apr_pstrcat(p, "Authorization: Basic ", basic, NULL);
        headers[1] = header;
    }
    call->headers = headers;
    rv = ca_http_ask(certsrv->client, call, http, answer, log, p);
    if (user != NULL) {
        OPENSSL_cleanse(pair, strlen(pair));
        OPENSSL_cleanse(basic, strlen(basic));
        OPENSSL_cleanse(header, strlen(header));
    }
    if (rv == APR_SUCCESS && http->status != 200) {
        ca_http_status(answer, http, NULL, p);
        rv = APR_EGENERAL;
    }
    return rv;
}

/* Turns answer into PENDING on a request's number. */
static void wait_for(ca_answer_t *answer, const char *number)
{
    answer->result = CA_PENDING;
    answer->unknown = answer->down = 0;
    answer->cookie = number;
}

/* A page instead of a certificate: what became of the request. */
static void judge_state(ca_answer_t *answer, const http_answer_t *http, const char *number,
                        apr_pool_t *p)
{
    const char *page = (const char *)http->body.data, *text;
    apr_int32_t hresult = find_hresult(page, &text, p);
    int state = find_state(page);

    switch (state) {
    case DISP_WAITING:
        wait_for(answer, number);
        return;
    case DISP_DENIED:
        /* CERTSRV_E_ADMIN_DENIED_REQUEST: the page does not say who it was */
        adcs_failed(answer, hresult != 0 ? hresult : (apr_int32_t)0x80094014, 1, text, http->peer,
                    p);
        return;
    case DISP_ERROR:
    case DISP_REVOKED:
        ca_http_rejected(answer, http, text, p);
        return;
    default:
        if (hresult != 0) {
            adcs_failed(answer, hresult, 0, text, http->peer, p);
            return;
        }
        ca_http_not_understood(answer, http, "no certificate and no known page", p);
    }
}

/* Fetches what became of a request.  APR_SUCCESS: answer is what the CA says; other: it could not
 * be asked, and answer says why. */
static apr_status_t fetch(certsrv_t *certsrv, const char *number, const ca_request_t *request,
                          ca_answer_t *answer, const log_sink_t *log, apr_pool_t *p)
{
    http_request_t call;
    http_answer_t http;
    const char *error;
    apr_status_t rv;

    memset(&call, 0, sizeof(call));
    call.path = apr_pstrcat(p, "/" LINK, number, "&Enc=b64", NULL);
    call.idempotent = 1;
    call.deadline = request->deadline;
    rv = get_page(certsrv, &call, &http, answer, log, p);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (strncasecmp(http.content_type, "application/pkix-cert", 21) != 0) {
        judge_state(answer, &http, number, p);
        return APR_SUCCESS;
    }
    if (ca_certs_add_pem(&answer->certs, http.body.data, http.body.len, p) != APR_SUCCESS) {
        ca_http_not_understood(answer, &http, "no certificate in certnew.cer", p);
        return APR_SUCCESS;
    }
    error = adcs_check_subject(answer->certs, request->csr, p);
    if (error != NULL) {
        ca_http_not_understood(answer, &http, error, p);
        return APR_SUCCESS;
    }
    answer->result = CA_ISSUED;
    return APR_SUCCESS;
}

/* Says in the log which request of the CA it is. */
static void log_number(const ca_request_t *request, const char *number, const char *what,
                       const log_sink_t *log)
{
    log_to(log, LOG_SINK_INFO, SCEPTAG(0357), "service %s: transaction %s: request %s of AD CS: %s",
           grant_service(request->grant), grant_transaction_id(request->grant), number, what);
}

/* What the page after a request means. */
static void judge_request(certsrv_t *certsrv, const http_answer_t *http,
                          const ca_request_t *request, ca_answer_t *answer, const log_sink_t *log,
                          apr_pool_t *p)
{
    const char *page = (const char *)http->body.data, *text;
    const char *number = find_issued(page, p);
    apr_int32_t hresult;

    if (number != NULL) {
        log_number(request, number, "issued", log);
        /* it exists, so it must not be asked for anew */
        if (fetch(certsrv, number, request, answer, log, p) != APR_SUCCESS) {
            wait_for(answer, number);
        }
        return;
    }
    hresult = find_hresult(page, &text, p);
    if (hresult != 0) {
        adcs_failed(answer, hresult, 1, text, http->peer, p);
        return;
    }
    number = find_waiting(page, p);
    if (number != NULL) {
        log_number(request, number, "taken under submission", log);
        wait_for(answer, number);
        return;
    }
    ca_http_not_understood(answer, http, "no known page of certfnsh.asp", p);
}

static apr_status_t certsrv_submit(void *instance, const ca_request_t *request,
                                   ca_answer_t *answer, const log_sink_t *log, apr_pool_t *p)
{
    certsrv_t *certsrv = instance;
    const crypt_buf_t *bytes = &request->csr->der;
    const char *attributes = "", *request64;
    char *form;
    crypt_buf_t cmc;
    http_request_t call;
    http_answer_t http;

    memset(answer, 0, sizeof(*answer));
    memset(&call, 0, sizeof(call));
    answer->result = CA_RETRY;
    if (certsrv->access.agent == NULL) {
        attributes = apr_pstrcat(p, "CertificateTemplate:", request->template_name, "\r\n", NULL);
    }
    else if (adcs_access_sign(&certsrv->access, &cmc, request, &answer->outcome, log, p)) {
        bytes = &cmc;       /* the template is inside of the signature */
    }
    else {
        return APR_SUCCESS;
    }
    request64 = apr_pescape_urlencoded(p, ca_base64_encode(bytes->data, bytes->len, p));
    form = apr_pstrcat(
        p, "Mode=newreq&CertRequest=", request64, "&CertAttrib=",
        *attributes != '\0' ? apr_pescape_urlencoded(p, attributes) : "",
        "&FriendlyType=Saved-Request+Certificate&TargetStoreFlags=0&SaveCert=yes", NULL);
    (void)ca_wiped((char *)request64, strlen(request64), p);
    (void)ca_wiped(form, strlen(form), p);
    call.path = "/certfnsh.asp";
    call.content_type = "application/x-www-form-urlencoded";
    call.body.data = (const unsigned char *)form;
    call.body.len = strlen(form);
    call.deadline = request->deadline;
    if (get_page(certsrv, &call, &http, answer, log, p) == APR_SUCCESS) {
        judge_request(certsrv, &http, request, answer, log, p);
    }
    return APR_SUCCESS;
}

static apr_status_t certsrv_poll(void *instance, const ca_request_t *request, const char *cookie,
                                 ca_answer_t *answer, const log_sink_t *log, apr_pool_t *p)
{
    memset(answer, 0, sizeof(*answer));
    answer->result = CA_RETRY;
    if (!adcs_is_request_id(cookie)) {
        outcome_unavailable(&answer->outcome, "ca-poll", 0, p,
                            "'%.60s' is no request of AD CS", cookie);
        return APR_SUCCESS;
    }
    (void)fetch(instance, apr_pstrdup(p, cookie), request, answer, log, p);
    return APR_SUCCESS;
}

/* How often the CA was renewed, as the page for people says; NULL: it does not. */
static const char *find_renewals(const char *page, apr_pool_t *p)
{
    const char *at = strstr(page, RENEWALS);
    apr_size_t len;

    if (at == NULL) {
        return NULL;
    }
    at += strlen(RENEWALS);
    len = strspn(at, "0123456789");
    return len > 0 && len <= RENEWALS_MAX ? apr_pstrmemdup(p, at, len) : NULL;
}

/* See ca_provider_t.fetch_chain: of the CA's present key. */
static apr_status_t certsrv_fetch_chain(void *instance, STACK_OF(X509) **pcerts,
                                        apr_time_t deadline, const char **error,
                                        const log_sink_t *log, apr_pool_t *p)
{
    certsrv_t *certsrv = instance;
    const char *renewals;
    ca_answer_t answer;
    http_request_t call;
    http_answer_t http;
    apr_status_t rv;

    memset(&answer, 0, sizeof(answer));
    memset(&call, 0, sizeof(call));
    call.path = "/certcarc.asp";
    call.idempotent = 1;
    call.deadline = deadline;
    rv = get_page(certsrv, &call, &http, &answer, log, p);
    if (rv != APR_SUCCESS) {
        *error = answer.outcome.detail;
        return rv;
    }
    renewals = find_renewals((const char *)http.body.data, p);
    if (renewals == NULL) {
        *error = apr_psprintf(p, "%s: no known page of certcarc.asp", http.peer);
        return APR_EGENERAL;
    }
    call.path = apr_pstrcat(p, "/certnew.p7b?ReqID=CACert&Renewal=", renewals, "&Enc=bin", NULL);
    rv = get_page(certsrv, &call, &http, &answer, log, p);
    if (rv != APR_SUCCESS) {
        *error = answer.outcome.detail;
        return rv;
    }
    rv = ca_certs_add_cms(pcerts, http.body.data, http.body.len, p);
    if (rv != APR_SUCCESS) {
        *error = apr_psprintf(p, "%s: no certificates in certnew.p7b", http.peer);
    }
    return rv;
}

static apr_status_t certsrv_health(void *instance, const char **text, apr_pool_t *p)
{
    certsrv_t *certsrv = instance;
    apr_status_t rv = adcs_access_health(&certsrv->access, text, p);

    return rv == APR_SUCCESS ? http_client_health(certsrv->client, text, p) : rv;
}

const ca_provider_t ca_certsrv_provider = {
    .name = "certsrv",
    .keys = certsrv_keys,
    .capabilities = CA_CAP_PENDING | CA_CAP_REWRITES_SUBJECT,
    .concurrency = CA_HTTP_CONCURRENCY,
    .create = certsrv_create,
    .child_init = certsrv_child_init,
    .submit = certsrv_submit,
    .poll = certsrv_poll,
    .fetch_chain = certsrv_fetch_chain,
    .health = certsrv_health
};
