/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ScepCABackend cmp: EJBCA and other CAs that speak CMP (RFC 4210) to a registration authority.
 *
 * The CSR goes there as it is (p10cr), so the CA sees the device's own proof of possession.  What
 * waits for a person there cannot be asked about later: OpenSSL keeps a CMP transaction in memory.
 */
#include "ca_chain.h"
#include "ca_cmp.h"

#include <apr_strings.h>
#include <openssl/cmperr.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#define POLL_MIN apr_time_from_msec(200)    /* between two questions */
#define POLL_LEFT apr_time_from_msec(500)   /* for the last message */
#define SECRET_MIN 8
#define SECRET_MAX 256
#define HEALTH_TIME apr_time_from_sec(3)

static const settings_key_t cmp_keys[] = {
    CA_HTTP_KEYS(0),
    {"raCertificate", "FILE", 0},
    {"raKey", "FILE", 0},
    {"trustFile", "FILE", 0},
    {"reference", "TEXT", 0},
    {"secretFile", "FILE", 0},
    {"recipient", "NAME", 0},
    {"sender", "NAME", 0},
    {"ignoreKeyUsage", "on|off", 0},
    {"plain", "on|off", 0},
    {NULL, NULL, 0}
};

/* Pool cleanup; returns APR_SUCCESS. */
static apr_status_t name_cleanup(void *data)
{
    X509_NAME_free(data);
    return APR_SUCCESS;
}

/* Copies a value up to its comma into value, without backslashes; returns where it ends. */
static const char *take_value(const char *text, char *value)
{
    while (*text != '\0' && *text != ',') {
        if (*text == '\\' && text[1] != '\0') {
            text++;
        }
        *value++ = *text++;
    }
    *value = '\0';
    return text;
}

/* Reads a name as RFC 4514 writes it, "CN=CA,O=Example", with single-valued parts only; error text
 * in p, NULL on success. */
static const char *read_name(X509_NAME **pname, const char *key, const char *text, apr_pool_t *p)
{
    X509_NAME *name = X509_NAME_new();
    char *type = apr_pstrdup(p, text), *value = apr_pstrdup(p, text);
    const char *at = text, *equal;

    apr_pool_cleanup_register(p, name, name_cleanup, apr_pool_cleanup_null);
    do {
        while (*at == ' ') {
            at++;
        }
        equal = strchr(at, '=');
        if (equal != NULL) {
            apr_cpystrn(type, at, (apr_size_t)(equal - at) + 1);
            at = take_value(equal + 1, value);
        }
        /* the text begins with the name's last part */
        if (equal == NULL || *value == '\0' ||
            !X509_NAME_add_entry_by_txt(name, type, MBSTRING_UTF8, (unsigned char *)value, -1, 0,
                                        0)) {
            ERR_clear_error();
            return apr_psprintf(p, "%s: '%s' is not a name such as CN=CA,O=Example", key, text);
        }
    } while (*at++ == ',');
    *pname = name;
    return NULL;
}

/* Reads the files and options of the messages' protection; error text in p, NULL on success. */
static const char *read_protection(ca_cmp_t *cmp, const settings_t *s, STACK_OF(X509) *chain,
                                   apr_pool_t *p)
{
    const char *secret = settings_get(s, "secretFile", NULL);
    http_files_t files;

    memset(&files, 0, sizeof(files));
    cmp->reference = settings_get(s, "reference", NULL);
    files.path[0] = settings_get(s, "trustFile", NULL);
    files.path[1] = settings_get(s, "raCertificate", NULL);
    files.path[2] = settings_get(s, "raKey", files.path[1]);
    if ((secret != NULL) == (files.path[1] != NULL)) {
        return "messages are protected either by raCertificate and raKey or by reference and "
               "secretFile";
    }
    if (secret == NULL && chain == NULL && files.path[0] == NULL) {
        return "whose answers count has to be said: ScepCAChain or trustFile";
    }
    if (secret == NULL) {
        return cmp->reference != NULL ? "reference belongs to secretFile"
                                      : ca_cmp_keys_make(&cmp->keys, &files, chain, p);
    }
    if (files.path[0] != NULL || files.path[2] != NULL) {
        return "trustFile and raKey belong to raCertificate";
    }
    if (cmp->reference == NULL || *cmp->reference == '\0') {
        return "secretFile needs reference, by which the CA knows which secret it is";
    }
    return secret_file_make(&cmp->secret, secret, "CMP secret", SECRET_MIN, SECRET_MAX, p);
}

/* Reads who the CA is in the messages; error text in p, NULL on success. */
static const char *read_names(ca_cmp_t *cmp, const settings_t *s, apr_pool_t *p)
{
    const char *recipient = settings_get(s, "recipient", NULL);
    const char *sender = settings_get(s, "sender", NULL), *error = NULL;

    if (cmp->issuer == NULL && (recipient == NULL || (sender == NULL && cmp->secret == NULL))) {
        return "without ScepCAChain it has to be said who the CA is: recipient and sender";
    }
    if (cmp->issuer != NULL) {
        cmp->recipient = X509_get_subject_name(cmp->issuer);
    }
    if (recipient != NULL) {
        error = read_name(&cmp->recipient, "recipient", recipient, p);
    }
    if (error == NULL && sender != NULL) {
        error = read_name(&cmp->sender, "sender", sender, p);
    }
    else if (error == NULL && cmp->secret == NULL) {
        /* the chain vouches for many, of whom one is the CA */
        cmp->sender = X509_get_subject_name(cmp->issuer);
    }
    return error;
}

/* See ca_provider_t.create. */
static const char *cmp_create(void **pinstance, const settings_t *settings,
                              const ca_config_t *cfg, apr_pool_t *p)
{
    ca_cmp_t *cmp = apr_pcalloc(p, sizeof(*cmp));
    STACK_OF(X509) *chain = NULL;
    const char *error = NULL;

    *pinstance = cmp;
    cmp->ask = ca_http_ask;
    if (cfg->chain_file != NULL) {
        error = ca_chain_load(&chain, cfg->chain_file, p);
        cmp->issuer = error == NULL ? sk_X509_value(chain, 0) : NULL;
    }
    if (error == NULL) {
        error = settings_get_flag(settings, "plain", 0, &cmp->plain, p);
    }
    if (error == NULL) {
        error = settings_get_flag(settings, "ignoreKeyUsage", 0, &cmp->ignore_key_usage, p);
    }
    if (error == NULL) {
        error = read_protection(cmp, settings, chain, p);
    }
    if (error == NULL) {
        error = read_names(cmp, settings, p);
    }
    return error == NULL ? ca_http_make(&cmp->client, "cmp", settings, cfg, p) : error;
}

/* See ca_provider_t.child_init. */
static apr_status_t cmp_child_init(void *instance, apr_pool_t *pchild)
{
    ca_cmp_t *cmp = instance;
    apr_status_t rv = http_client_child_init(cmp->client, pchild);

    if (rv == APR_SUCCESS && cmp->secret != NULL) {
        rv = secret_file_child_init(cmp->secret, pchild);
    }
    if (rv == APR_SUCCESS && cmp->keys != NULL) {
        rv = ca_cmp_keys_child_init(cmp->keys, pchild);
    }
    return rv;
}

/* OpenSSL's callback: a certificate that it finds wrong is not confirmed.  Which one that is says
 * the core, like for all backends. */
static int confirm(OSSL_CMP_CTX *ctx, X509 *cert, int fail_info, const char **text)
{
    ca_cmp_call_t *call = OSSL_CMP_CTX_get_transfer_cb_arg(ctx);

    (void)cert;
    (void)text;
    call->refused = fail_info != 0;
    return fail_info;
}

/* Takes the certificates out of a successful exchange. */
static void take_certificate(ca_cmp_call_t *call)
{
    X509 *cert = OSSL_CMP_CTX_get0_newCert(call->ctx);
    STACK_OF(X509) *more;

    if (!X509_up_ref(cert)) {
        return;
    }
    call->answer->result = CA_ISSUED;
    call->answer->leaf = crypt_x509_own(cert, call->p);
    more = call->refused ? NULL : OSSL_CMP_CTX_get1_extraCertsIn(call->ctx);
    call->answer->certs = crypt_chain_own(more, call->p);
    ERR_clear_error();
}

/* The CA does not decide within our time: tells it so and ends the answer. */
static void give_up(ca_cmp_call_t *call)
{
    int ask_again;

    (void)OSSL_CMP_try_certreq(call->ctx, -1, NULL, &ask_again);
    ERR_clear_error();
    call->answer->result = CA_REJECTED;
    outcome_refuse(&call->answer->outcome, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_ACCESS_DENIED,
                   "ca-waiting", "The certification authority wants to approve requests by hand.",
                   call->p, "%s: the CA wants manual approval, which cannot be waited for over "
                   "CMP: approve in mod_scep instead", call->http.peer);
}

/* Asks for the certificate until it is there or refused; 0 if the CA still wants to wait. */
static int exchange(ca_cmp_call_t *call)
{
    apr_interval_time_t pause, left;
    int wait = 0, rc;

    while ((rc = OSSL_CMP_try_certreq(call->ctx, OSSL_CMP_P10CR, NULL, &wait)) == -1) {
        pause = wait > 0 ? apr_time_from_sec(wait) : POLL_MIN;
        left = call->deadline - apr_time_now() - POLL_LEFT;
        if (pause > left) {
            return 0;
        }
        apr_sleep(pause);
    }
    if (OSSL_CMP_CTX_get0_newCert(call->ctx) != NULL && (rc == 1 || call->refused)) {
        take_certificate(call);
    }
    else if (!call->failed &&
             ERR_GET_REASON(ERR_peek_last_error()) == CMP_R_TOTAL_TIMEOUT) {
        return 0;
    }
    else {
        ca_cmp_call_explain(call);
    }
    return 1;
}

/* The bytes of the first hex digits; zeros where there are none. */
static void set_first(unsigned char first[8], const char *hex)
{
    apr_size_t i, n = strlen(hex) / 2;

    memset(first, 0, 8);
    for (i = 0; i < 8 && i < n; i++) {
        char pair[3] = {hex[2 * i], hex[2 * i + 1], '\0'};

        first[i] = (unsigned char)strtol(pair, NULL, 16);
    }
}

/* Opens the exchange for a CSR; APR_SUCCESS, or why OpenSSL cannot. */
static apr_status_t open_for(ca_cmp_call_t *call, const ca_request_t *request)
{
    const unsigned char *at = request->csr->der.data;
    unsigned char first[8];
    X509_REQ *csr;
    apr_status_t rv;
    int good;

    set_first(first, grant_tx_key(request->grant));
    log_to(call->log, LOG_SINK_DEBUG, SCEPTAG(0353),
           "service %s: transaction %s: the transactionID of CMP begins with %s",
           grant_service(request->grant), grant_transaction_id(request->grant),
           crypt_hex(first, sizeof(first), 1, call->p));
    rv = ca_cmp_call_open(call, first);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    csr = d2i_X509_REQ(NULL, &at, (long)request->csr->der.len);
    good = csr != NULL && OSSL_CMP_CTX_set1_p10CSR(call->ctx, csr) &&
           OSSL_CMP_CTX_set_certConf_cb(call->ctx, confirm);
    X509_REQ_free(csr);
    return good ? APR_SUCCESS : APR_EGENERAL;
}

apr_status_t ca_cmp_submit(void *instance, const ca_request_t *request, ca_answer_t *answer,
                           const log_sink_t *log, apr_pool_t *p)
{
    ca_cmp_call_t call;

    memset(&call, 0, sizeof(call));
    call.cmp = instance;
    call.answer = answer;
    call.deadline = request->deadline;
    call.log = log;
    call.p = p;
    answer->result = CA_RETRY;
    ca_cmp_call_begin(&call);
    if (open_for(&call, request) != APR_SUCCESS) {
        ca_cmp_call_explain(&call);
    }
    else if (!exchange(&call)) {
        give_up(&call);
    }
    ca_cmp_call_end();
    /* call is gone, and the context of the pool must not find it */
    (void)OSSL_CMP_CTX_set_transfer_cb_arg(call.ctx, NULL);
    return APR_SUCCESS;
}

/* Why the RA's certificate is no good today; NULL: it is. */
static const char *check_certificate(const ca_cmp_t *cmp, apr_pool_t *p)
{
    ca_cmp_identity_t identity;

    if (cmp->keys == NULL) {
        return NULL;
    }
    if (ca_cmp_keys_get(&identity, cmp->keys, NULL, p) != APR_SUCCESS) {
        return "out of memory";
    }
    return crypt_asn1_time(X509_get0_notAfter(identity.cert)) > apr_time_now()
               ? NULL : "the RA's certificate for CMP has expired";
}

/* See ca_provider_t.health: whether somebody answers there.  A CMP message would be a transaction,
 * so this is a GET, which a CMP server refuses by whatever status. */
static apr_status_t cmp_health(void *instance, const char **text, apr_pool_t *p)
{
    const ca_cmp_t *cmp = instance;
    http_request_t request;
    http_answer_t http;
    apr_status_t rv;

    *text = check_certificate(cmp, p);
    if (*text != NULL) {
        return APR_EGENERAL;
    }
    memset(&request, 0, sizeof(request));
    request.idempotent = 1;
    request.deadline = apr_time_now() + HEALTH_TIME;
    rv = http_client_call(cmp->client, &request, &http, NULL, p);
    if (rv == APR_SUCCESS && http.status >= 502 && http.status <= 504) {
        *text = apr_psprintf(p, "%s: HTTP %d", http.peer, http.status);
        return APR_EGENERAL;
    }
    *text = rv == APR_SUCCESS ? "" : http.error != NULL ? http.error : "no answer";
    return rv;
}

const ca_provider_t ca_cmp_provider = {
    .name = "cmp",
    .keys = cmp_keys,
    .capabilities = CA_CAP_REWRITES_SUBJECT,
    .concurrency = CA_HTTP_CONCURRENCY,
    .create = cmp_create,
    .child_init = cmp_child_init,
    .submit = ca_cmp_submit,
    .fetch_chain = ca_cmp_fetch_chain,
    .health = cmp_health,
    .revoke = ca_cmp_revoke,
};
