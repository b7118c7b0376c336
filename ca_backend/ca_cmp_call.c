/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An exchange with a CA by CMP: OpenSSL's client makes and checks the messages, our HTTP client
 * carries them (RFC 6712), so that CMP has the same TLS, time limits and failover as all others.
 */
#include "ca_cmp.h"

#include <apr_strings.h>
#include <openssl/err.h>
#include <string.h>

#define CONTENT_TYPE "application/pkixcmp"  /* RFC 6712 section 3.4 */
#define TEXT_MAX 300                        /* bytes of the CA's words that are passed on */
#define RANDOM_LEN 8

/* OpenSSL's log callback has no baton. */
static __thread ca_cmp_call_t *current_call;

/* OpenSSL's callback: what it says while it checks a message helps to set things up, and for some
 * messages is all that says why they are not accepted.  A blank begins what goes on. */
static int take_log(const char *function, const char *file, int line, OSSL_CMP_severity level,
                    const char *message)
{
    (void)function;
    (void)file;
    (void)line;
    if (level <= OSSL_CMP_LOG_INFO && current_call != NULL) {
        ca_cmp_call_t *call = current_call;
        const char *text = http_printable(message, TEXT_MAX, call->p);

        call->words = *text == ' ' ? apr_pstrcat(call->p, call->words, ";", text, NULL) : text;
        log_to(call->log, LOG_SINK_DEBUG, SCEPTAG(0351), "CMP: %s", text);
    }
    return 1;
}

void ca_cmp_call_begin(ca_cmp_call_t *call)
{
    call->words = "";
    current_call = call;
    ERR_clear_error();
}

void ca_cmp_call_end(void)
{
    current_call = NULL;
}

/* The body of an answer as a message; NULL with a complete answer if it is none. */
static OSSL_CMP_MSG *read_message(ca_cmp_call_t *call)
{
    const http_answer_t *http = &call->http;
    const unsigned char *at = http->body.data;
    OSSL_CMP_MSG *message = NULL;

    if (http->status != 200) {
        ca_http_status(call->answer, http, NULL, call->p);
        return NULL;
    }
    if (http->body.len > 0) {
        message = d2i_OSSL_CMP_MSG(NULL, &at, (long)http->body.len);
    }
    if (message == NULL || at != http->body.data + http->body.len) {
        ERR_clear_error();
        OSSL_CMP_MSG_free(message);
        ca_http_not_understood(call->answer, http, "the answer is no CMP message", call->p);
        return NULL;
    }
    return message;
}

/* OpenSSL's callback: carries a message to the CA and gives its answer; NULL: there is none. */
static OSSL_CMP_MSG *transfer(OSSL_CMP_CTX *ctx, const OSSL_CMP_MSG *message)
{
    ca_cmp_call_t *call = OSSL_CMP_CTX_get_transfer_cb_arg(ctx);
    OSSL_CMP_MSG *reply = NULL;
    http_request_t request;
    unsigned char *der = NULL;
    int len = i2d_OSSL_CMP_MSG(message, &der), before = call->sent;

    call->failed = 1;
    if (len <= 0) {
        outcome_unavailable(&call->answer->outcome, "ca-error", 0, call->p,
                            "the message to the CA cannot be encoded");
        return NULL;
    }
    memset(&request, 0, sizeof(request));
    request.content_type = CONTENT_TYPE;
    request.body.data = der;
    request.body.len = (apr_size_t)len;
    request.deadline = call->deadline;
    /* a request for a certificate that arrives twice could be two certificates */
    request.idempotent = OSSL_CMP_MSG_get_bodytype(message) != OSSL_CMP_P10CR;
    request.urgent = 1; /* all others confirm, ask about or revoke what it may have signed */
    if (call->cmp->ask(call->cmp->client, &request, &call->http, call->answer, call->log,
                       call->p) == APR_SUCCESS) {
        call->sent = 1;
        reply = read_message(call);
    }
    OPENSSL_clear_free(der, (size_t)len);    /* the CSR holds its challenge */
    call->failed = reply == NULL;
    if (before && call->failed) {
        call->answer->unknown = 1;
    }
    return reply;
}

/* Pool cleanup; returns APR_SUCCESS. */
static apr_status_t ctx_cleanup(void *data)
{
    OSSL_CMP_CTX_free(data);
    return APR_SUCCESS;
}

/* Gives the messages a transactionID (RFC 4210 section 5.1.1: 128 bits); the half that is random
 * keeps a request that comes again from being taken for the one before.  0 on failure. */
static int set_transaction(OSSL_CMP_CTX *ctx, const unsigned char first[8])
{
    unsigned char id[8 + RANDOM_LEN];
    ASN1_OCTET_STRING *string = ASN1_OCTET_STRING_new();
    int good;

    memcpy(id, first, 8);
    good = string != NULL && crypt_random(id + 8, RANDOM_LEN) == APR_SUCCESS &&
           ASN1_OCTET_STRING_set(string, id, sizeof(id)) &&
           OSSL_CMP_CTX_set1_transactionID(ctx, string);
    ASN1_OCTET_STRING_free(string);
    return good;
}

/* Protects by the secret; 0 on failure. */
static int set_secret(OSSL_CMP_CTX *ctx, const ca_cmp_call_t *call)
{
    const ca_cmp_t *cmp = call->cmp;
    crypt_buf_t secret = secret_file_get(cmp->secret, call->log, call->p);

    /* RFC 9481 section 6.1.1 instead of OpenSSL's default, HMAC with SHA-1 */
    return OSSL_CMP_CTX_set_option(ctx, OSSL_CMP_OPT_MAC_ALGNID, NID_hmacWithSHA256) &&
           OSSL_CMP_CTX_set1_referenceValue(ctx, (const unsigned char *)cmp->reference,
                                            (int)strlen(cmp->reference)) &&
           OSSL_CMP_CTX_set1_secretValue(ctx, secret.data, (int)secret.len);
}

/* Protects by the RA's certificate, and says whose signature counts; 0 on failure. */
static int set_signature(OSSL_CMP_CTX *ctx, const ca_cmp_call_t *call)
{
    ca_cmp_identity_t identity;

    if (ca_cmp_keys_get(&identity, call->cmp->keys, call->log, call->p) != APR_SUCCESS ||
        identity.trust == NULL || identity.cert == NULL ||
        !OSSL_CMP_CTX_set1_cert(ctx, identity.cert) ||
        !OSSL_CMP_CTX_set1_pkey(ctx, identity.key) ||
        (identity.others != NULL && !OSSL_CMP_CTX_set1_extraCertsOut(ctx, identity.others)) ||
        !OSSL_CMP_CTX_set_option(ctx, OSSL_CMP_OPT_IGNORE_KEYUSAGE, call->cmp->ignore_key_usage) ||
        !X509_STORE_up_ref(identity.trust)) {
        return 0;
    }
    if (!OSSL_CMP_CTX_set0_trustedStore(ctx, identity.trust)) {
        X509_STORE_free(identity.trust);
        return 0;
    }
    return 1;
}

/* The limit of what OpenSSL sleeps by itself (a CA that answers later, 3.3 and newer), in whole
 * seconds; it keeps 5 s of it for the last message, which has our deadline anyway. */
static int total_timeout(const ca_cmp_call_t *call)
{
    apr_interval_time_t left = call->deadline - apr_time_now();

    return (int)apr_time_sec(left > 0 ? left : 0) + 1 + 5;
}

apr_status_t ca_cmp_call_open(ca_cmp_call_t *call, const unsigned char first[8])
{
    const ca_cmp_t *cmp = call->cmp;
    OSSL_CMP_CTX *ctx;

    ERR_clear_error();
    call->ctx = ctx = OSSL_CMP_CTX_new(NULL, NULL);
    if (ctx == NULL) {
        return APR_EGENERAL;
    }
    apr_pool_cleanup_register(call->p, ctx, ctx_cleanup, apr_pool_cleanup_null);
    if (!OSSL_CMP_CTX_set_log_cb(ctx, take_log) ||
        !OSSL_CMP_CTX_set_log_verbosity(ctx, OSSL_CMP_LOG_INFO) ||
        !OSSL_CMP_CTX_set_transfer_cb(ctx, transfer) ||
        !OSSL_CMP_CTX_set_transfer_cb_arg(ctx, call) ||
        !OSSL_CMP_CTX_set_option(ctx, OSSL_CMP_OPT_TOTAL_TIMEOUT, total_timeout(call)) ||
        !OSSL_CMP_CTX_set_option(ctx, OSSL_CMP_OPT_IMPLICIT_CONFIRM, 1) ||
        /* over TLS it is the CA that says no, whether or not it knows how to sign that */
        !OSSL_CMP_CTX_set_option(ctx, OSSL_CMP_OPT_UNPROTECTED_ERRORS, !cmp->plain) ||
        !OSSL_CMP_CTX_set1_recipient(ctx, cmp->recipient) ||
        (cmp->sender != NULL && !OSSL_CMP_CTX_set1_expected_sender(ctx, cmp->sender)) ||
        !set_transaction(ctx, first)) {
        return APR_EGENERAL;
    }
    if (!(cmp->secret != NULL ? set_secret(ctx, call) : set_signature(ctx, call))) {
        return APR_EGENERAL;
    }
    return APR_SUCCESS;
}

const char *ca_cmp_call_status(const ca_cmp_call_t *call)
{
    char text[OSSL_CMP_PKISI_BUFLEN];

    if (OSSL_CMP_CTX_snprint_PKIStatus(call->ctx, text, sizeof(text)) == NULL) {
        return "no status";
    }
    return http_printable(text, TEXT_MAX, call->p);
}

/* Ends the answer as CA_RETRY. */
static void retry(ca_cmp_call_t *call, const char *reason, const char *what)
{
    call->answer->result = CA_RETRY;
    outcome_unavailable(&call->answer->outcome, reason, 0, call->p, "%s: %s%s", call->http.peer,
                        what, ca_cmp_call_status(call));
}

/* The CA said no. */
static void explain_rejection(ca_cmp_call_t *call)
{
    int info = OSSL_CMP_CTX_get_failInfoCode(call->ctx);
    fail_info_e fail_info = FAIL_INFO_BAD_REQUEST;

    if (info < 0) {
        info = 0;
    }
    if (info & (OSSL_CMP_CTX_FAILINFO_badMessageCheck | OSSL_CMP_CTX_FAILINFO_wrongIntegrity |
                OSSL_CMP_CTX_FAILINFO_signerNotTrusted | OSSL_CMP_CTX_FAILINFO_notAuthorized |
                OSSL_CMP_CTX_FAILINFO_wrongAuthority)) {
        retry(call, "ca-credentials", "our messages are not accepted: ");
        return;
    }
    if (info & (OSSL_CMP_CTX_FAILINFO_badTime | OSSL_CMP_CTX_FAILINFO_transactionIdInUse |
                OSSL_CMP_CTX_FAILINFO_systemUnavail | OSSL_CMP_CTX_FAILINFO_systemFailure)) {
        retry(call, "ca-unavailable", "");
        return;
    }
    if (info & OSSL_CMP_CTX_FAILINFO_badAlg) {
        fail_info = FAIL_INFO_BAD_ALG;
    }
    else if (info & OSSL_CMP_CTX_FAILINFO_badPOP) {
        fail_info = FAIL_INFO_BAD_MESSAGE_CHECK;
    }
    call->answer->result = CA_REJECTED;
    outcome_refuse(&call->answer->outcome, fail_info, OUTCOME_HR_ACCESS_DENIED, "ca-rejected",
                   apr_pstrcat(call->p, "The certification authority refused the request: ",
                               ca_cmp_call_status(call), NULL),
                   call->p, "%s: %s", call->http.peer, ca_cmp_call_status(call));
}

/* Why OpenSSL did not take the answer: its first reason, which is the deepest, or what it said
 * last; empties the queue. */
static const char *first_error(const ca_cmp_call_t *call)
{
    unsigned long code = ERR_peek_error();
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;

    log_openssl_errors(call->log, LOG_SINK_DEBUG, SCEPTAG(0352), "CMP");
    return reason != NULL ? reason : call->words;
}

void ca_cmp_call_explain(ca_cmp_call_t *call)
{
    if (call->failed) {
        ERR_clear_error();
    }
    else if (!call->sent) {
        call->answer->result = CA_RETRY;
        outcome_unavailable(&call->answer->outcome, "ca-error", 0, call->p,
                            "no message to the CA can be made: %s", first_error(call));
    }
    else if (OSSL_CMP_CTX_get_status(call->ctx) == OSSL_CMP_PKISTATUS_rejection) {
        explain_rejection(call);
        ERR_clear_error();
    }
    else {
        ca_http_not_understood(call->answer, &call->http,
                               apr_pstrcat(call->p, "the CMP message is not accepted: ",
                                           first_error(call), NULL), call->p);
    }
}
