/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A CA that is asked by CMP (RFC 4210, over HTTP by RFC 6712): what the files ca_cmp*.c share; for
 * nobody else but their unit test.
 */
#ifndef CA_CMP_H
#define CA_CMP_H

#include "../common/http_files.h"
#include "../common/secret.h"
#include "ca_http.h"
#include <openssl/cmp.h>

/* The RA's certificate with its key, and whose answers count; read again when the files change. */
typedef struct ca_cmp_keys_t ca_cmp_keys_t;

/* What ca_cmp_keys_get() gives; owned by its pool. */
typedef struct ca_cmp_identity_t {
    X509 *cert;                 /* NULL: none is configured */
    EVP_PKEY *key;
    STACK_OF(X509) *others;     /* what the certificate's file holds besides; NULL: nothing */
    X509_STORE *trust;          /* for the answers' signers; NULL: none is configured */
} ca_cmp_identity_t;

/*
 * files: trust, certificate, key; each may be missing.  Reads them, as root.  chain: who is trusted
 * where there is no trust file; NULL: nobody.  Error text in p, NULL on success.
 */
const char *ca_cmp_keys_make(ca_cmp_keys_t **pkeys, const http_files_t *files,
                             STACK_OF(X509) *chain, apr_pool_t *p);

/* In each child, before its first ca_cmp_keys_get(). */
apr_status_t ca_cmp_keys_child_init(ca_cmp_keys_t *keys, apr_pool_t *pchild);

/*
 * Today's, from any thread.  Where the files changed but cannot be used, the old ones stay in use
 * and log says so once per change.  APR_ENOMEM: nothing is set.
 */
apr_status_t ca_cmp_keys_get(ca_cmp_identity_t *identity, ca_cmp_keys_t *keys,
                             const log_sink_t *log, apr_pool_t *p);

/* An instance; read-only after child_init. */
typedef struct ca_cmp_t {
    http_client_t *client;
    /* ca_http_ask(); the unit test puts another one here */
    apr_status_t (*ask)(http_client_t *client, const http_request_t *request, http_answer_t *http,
                        ca_answer_t *answer, const log_sink_t *log, apr_pool_t *p);
    ca_cmp_keys_t *keys;
    secret_file_t *secret;      /* NULL: messages are signed instead */
    const char *reference;      /* which secret it is */
    X509 *issuer;               /* the issuing CA; NULL: without ScepCAChain */
    X509_NAME *recipient;       /* to whom messages go */
    X509_NAME *sender;          /* from whom answers come; NULL: whoever knows the secret */
    int ignore_key_usage, plain;
} ca_cmp_t;

/* One exchange with the CA, of one or more messages. */
typedef struct ca_cmp_call_t {
    const ca_cmp_t *cmp;
    OSSL_CMP_CTX *ctx;
    ca_answer_t *answer;        /* complete where failed is set */
    http_answer_t http;         /* the last one */
    apr_time_t deadline;
    const log_sink_t *log;
    apr_pool_t *p;
    int sent;                   /* a message was answered by whatever */
    int failed;                 /* the last one was not, or not by CMP */
    int refused;                /* the certificate is wrong at first sight */
    const char *words;          /* what OpenSSL said last */
} ca_cmp_call_t;

/*
 * Makes call->ctx, owned by p, from the other members that stand before sent.  first: the first 8
 * bytes of the transactionID, by which both sides' logs name it.  APR_EGENERAL: OpenSSL cannot.
 */
apr_status_t ca_cmp_call_open(ca_cmp_call_t *call, const unsigned char first[8]);

/* Around whatever of OSSL_CMP_*() exchanges messages: its words go to the call and its log. */
void ca_cmp_call_begin(ca_cmp_call_t *call);
void ca_cmp_call_end(void);

/*
 * After a failed exchange: fills the answer.  The CA said no: CA_REJECTED, or CA_RETRY where that
 * is about us or about now ("ca-credentials", "ca-unavailable").  Otherwise CA_RETRY: it was not
 * understood or not believed.
 */
void ca_cmp_call_explain(ca_cmp_call_t *call);

/* What the CA said with its status: failInfo and text, printable. */
const char *ca_cmp_call_status(const ca_cmp_call_t *call);

/* See ca_provider_t: submit, fetch_chain, revoke. */
apr_status_t ca_cmp_submit(void *instance, const ca_request_t *request, ca_answer_t *answer,
                           const log_sink_t *log, apr_pool_t *p);
apr_status_t ca_cmp_fetch_chain(void *instance, STACK_OF(X509) **pcerts, apr_time_t deadline,
                                const char **error, const log_sink_t *log, apr_pool_t *p);
apr_status_t ca_cmp_revoke(void *instance, const ASN1_INTEGER *serial, apr_time_t not_after,
                           int reason, outcome_t *out, apr_pool_t *p);

#endif /* CA_CMP_H */
