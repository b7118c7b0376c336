/* SPDX-License-Identifier: Apache-2.0 */
/* A registration point's two calls on the chain of providers; see policy_point.h. */
#include "policy_point.h"
#include "policy_attributes.h"
#include "policy_provider.h"
#include <apr_lib.h>
#include <apr_strings.h>
#include <openssl/err.h>
#include <string.h>

#define COOKIE "point"                  /* what waits with a front, not with a CA of ours */
#define PENDING_WAIT apr_time_from_msec(1) /* the front may tell the end at any time */

/* DER of a certificate's key, in p; data NULL if it cannot be encoded. */
static crypt_buf_t key_of(const X509 *cert, apr_pool_t *p)
{
    unsigned char *der = NULL;
    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
    crypt_buf_t key = {NULL, 0};

    if (len > 0) {
        key.data = apr_pmemdup(p, der, (apr_size_t)len);
        key.len = (apr_size_t)len;
    }
    OPENSSL_free(der);
    return key;
}

apr_status_t policy_point_request(policy_request_t *request, const policy_point_message_t *message,
                                  const csr_t *csr, const char *template_name, const char *holder,
                                  apr_pool_t *p)
{
    crypt_buf_t *key = apr_palloc(p, sizeof(*key));

    memset(request, 0, sizeof(*request));
    *key = message->signer ? key_of(message->signer, p) : csr->spki_der;
    request->authorization = message->signer ? POLICY_BY_SIGNER : POLICY_BY_CHALLENGE;
    request->csr = csr;
    request->memo = apr_pcalloc(p, sizeof(*request->memo));
    request->challenge = csr->challenge;
    request->signer = message->signer;
    request->signer_key = key;
    request->template_name = message->template_name ? message->template_name : template_name;
    request->transaction_id = message->transaction_id;
    request->client_address = message->client_address ? message->client_address : "";
    request->user_agent = message->user_agent ? message->user_agent : "";
    request->device = message->device;
    request->user = message->user;
    request->holder = holder;
    return key->data ? APR_SUCCESS : APR_EGENERAL;
}

/* Whether the request's front is the one that took the transaction last. */
static int is_own(const policy_tx_t *tx, const char *nonce)
{
    return nonce && strcmp(tx->store_tx.nonce, nonce) == 0;
}

/* Takes up a transaction that waits with this front; APR_SUCCESS, or out is set. */
static apr_status_t take_pending(policy_tx_t *tx, outcome_t *out, const log_sink_t *log,
                                 apr_pool_t *p)
{
    const policy_config_t *cfg = tx->policy->cfg;
    const char *nonce = policy_nonce_of(tx->tx_key, tx->request->holder, p);
    const char *cookie = POLICY_COOKIE_CA COOKIE;
    store_result_e result = STORE_NOTFOUND;
    apr_status_t rv;

    if (!nonce) {
        outcome_unavailable(out, "digest", 0, p, "no SHA-256");
        return APR_EGENERAL;
    }
    if (is_own(tx, nonce)) {
        rv = store_poll(cfg->store, cfg->service, tx->poll_key, nonce, cfg->hold, &result,
                        &tx->store_tx, p);
        if (rv != APR_SUCCESS)
            return policy_store_failed(tx->policy, "poll", rv, out, log, p);
    }
    if (result != STORE_CLAIMED || strcmp(tx->store_tx.tx_key, tx->tx_key) != 0 ||
        strcmp(tx->store_tx.cookie, cookie) != 0) {
        outcome_unavailable(out, "busy", POLICY_BUSY_RETRY, p,
                            "the transaction waits elsewhere: %s", store_result_name(result));
        out->text = POLICY_TEXT_UNAVAILABLE;
        return APR_EAGAIN;
    }
    tx->state = POLICY_TX_CLAIMED;
    return APR_SUCCESS;
}

/* Ends a transaction that is not allowed; out stays as it is. */
static void give_up(policy_tx_t *tx, const outcome_t *out, const log_sink_t *log, apr_pool_t *p)
{
    policy_event_t event;
    outcome_t ignored;

    memset(&event, 0, sizeof(event));
    event.event = out->result == OUTCOME_REFUSED ? POLICY_EVENT_REFUSED : POLICY_EVENT_TRANSIENT;
    event.outcome = out;
    policy_finish(tx, &event, &ignored, log, p);
}

apr_status_t policy_point_verify(policy_tx_t **ptx, policy_attributes_t *attributes,
                                 policy_t *policy, const policy_request_t *request, outcome_t *out,
                                 const log_sink_t *log, apr_pool_t *p)
{
    const grant_t *grant = NULL;
    policy_tx_t *tx = NULL;
    apr_status_t rv = policy_begin(&tx, policy, request, out, log, p);

    memset(attributes, 0, sizeof(*attributes));
    *ptx = tx;
    if (rv != APR_SUCCESS)
        return rv;
    if (tx->state == POLICY_TX_ISSUED) {
        outcome_refuse(out, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_ACCESS_DENIED, "already-issued",
                       "The request was answered with a certificate before.", p,
                       "a front told of a certificate for this transaction");
        return APR_EACCES;
    }
    if (tx->state == POLICY_TX_PENDING && (rv = take_pending(tx, out, log, p)) != APR_SUCCESS)
        return rv;
    rv = policy_verify(&grant, tx, out, log, p);
    if (rv == APR_INCOMPLETE)
        outcome_unavailable(out, "approval", 0, p, "a registration point cannot let people decide");
    if (rv != APR_SUCCESS) {
        give_up(tx, out, log, p);
        return rv;
    }
    *attributes = tx->attributes;
    outcome_success(out);
    return APR_SUCCESS;
}

/* Refuses news of a transaction that the front does not hold; APR_EACCES. */
static apr_status_t not_held(outcome_t *out, const char *detail, apr_pool_t *p)
{
    outcome_refuse(out, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_NOT_FOUND, "not-held",
                   "The request is not held by this front.", p, "%s", detail);
    return APR_EACCES;
}

/* Whether a transaction that ended is told of as it ended. */
static int same_end(const store_tx_t *known, const policy_point_message_t *message)
{
    if (message->event == POLICY_EVENT_ISSUED)
        return strcmp(known->state, "issued") == 0 &&
               known->certificate.len == message->certificate_der.len &&
               memcmp(known->certificate.data, message->certificate_der.data,
                      known->certificate.len) == 0;
    return (message->event == POLICY_EVENT_REFUSED || message->event == POLICY_EVENT_TRANSIENT) &&
           strcmp(known->state, "failed") == 0;
}

/*
 * Finds the transaction that the message is about.  APR_SUCCESS: it is the front's to end.
 * APR_EEXIST: it ended so before.  Otherwise out is set.
 */
static apr_status_t find(policy_tx_t *tx, const policy_point_message_t *message, outcome_t *out,
                         const log_sink_t *log, apr_pool_t *p)
{
    const policy_config_t *cfg = tx->policy->cfg;
    const char *nonce = policy_nonce_of(tx->tx_key, tx->request->holder, p);
    store_tx_t *known = &tx->store_tx;
    store_result_e result;
    apr_status_t rv = store_find(cfg->store, cfg->service, tx->tx_key, &result, known, p);

    if (rv != APR_SUCCESS)
        return policy_store_failed(tx->policy, "find", rv, out, log, p);
    if (result != STORE_OK)
        return not_held(out, "the transaction is unknown", p);
    if (strcmp(known->state, "issued") == 0 || strcmp(known->state, "failed") == 0)
        return same_end(known, message) ? APR_EEXIST
                                        : not_held(out, "the transaction has ended otherwise", p);
    if (!is_own(tx, nonce))
        return not_held(out, "another front has taken the transaction over", p);
    if (strcmp(known->state, "pending") == 0) {
        if (message->event == POLICY_EVENT_PENDING)
            return APR_EEXIST;
        return take_pending(tx, out, log, p);
    }
    tx->state = POLICY_TX_CLAIMED;
    return APR_SUCCESS;
}

/* Whether the certificate is for the CSR's key; otherwise out is refused. */
static int is_for(const policy_point_message_t *message, const csr_t *csr, outcome_t *out,
                  apr_pool_t *p)
{
    int same = EVP_PKEY_eq(X509_get0_pubkey(message->certificate), csr->key) == 1;

    ERR_clear_error();
    if (!same)
        outcome_refuse(out, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_INVALIDARG, "certificate-key",
                       "The certificate is not for the request's key.", p,
                       "the certificate's key is not the CSR's");
    return same;
}

/* The certificate's serial number, lower-case hex. */
static const char *serial_of(const X509 *cert, apr_pool_t *p)
{
    char *text = apr_pstrdup(p, crypt_serial_text(X509_get0_serialNumber(cert), p)), *c;

    for (c = text; *c; c++)
        *c = (char)apr_tolower(*c);
    return text;
}

/*
 * A commit that is repeated gives no error, so two answers to one transaction may both have been
 * told of: only what the store kept may be delivered.
 */
static apr_status_t check_kept(policy_tx_t *tx, const policy_point_message_t *message,
                               outcome_t *out, const log_sink_t *log, apr_pool_t *p)
{
    const policy_config_t *cfg = tx->policy->cfg;
    store_result_e result;
    store_tx_t kept;
    apr_status_t rv = store_find(cfg->store, cfg->service, tx->tx_key, &result, &kept, p);

    if (rv != APR_SUCCESS)
        return policy_store_failed(tx->policy, "find", rv, out, log, p);
    if (result == STORE_OK && same_end(&kept, message))
        return APR_SUCCESS;
    return not_held(out, "another certificate was told of for this transaction", p);
}

/* Whose the certificate is: as the challenge is bound, else as the front says; for the record. */
static void set_owner(policy_tx_t *tx, apr_pool_t *p)
{
    const char *json = tx->store_tx.challenge.bound;
    policy_bound_t *bound;

    tx->attributes.device = tx->request->device;
    tx->attributes.user = tx->request->user;
    if (*json && !policy_bound_parse(&bound, json, strlen(json), p))
        policy_attributes_owner(&tx->attributes, bound);
}

apr_status_t policy_point_notify(policy_tx_t **ptx, policy_t *policy,
                                 const policy_request_t *request,
                                 const policy_point_message_t *message, outcome_t *out,
                                 const log_sink_t *log, apr_pool_t *p)
{
    policy_tx_t *tx = apr_pcalloc(p, sizeof(*tx));
    policy_event_t event;
    outcome_t why;
    apr_status_t rv;

    outcome_init(out);
    *ptx = tx;
    tx->policy = policy;
    tx->request = request;
    tx->tx_key = policy_tx_key(request, p);
    tx->poll_key = policy_key_make(request->transaction_id, NULL, request->signer_key, p);
    if (!tx->tx_key || !tx->poll_key) {
        outcome_unavailable(out, "digest", 0, p, "no SHA-256");
        return APR_EGENERAL;
    }
    if (message->certificate && !is_for(message, request->csr, out, p))
        return APR_EACCES;
    rv = find(tx, message, out, log, p);
    if (tx->store_tx.challenge.bound)
        set_owner(tx, p);
    if (rv == APR_EEXIST)
        outcome_success(out);
    if (rv != APR_SUCCESS)
        return rv == APR_EEXIST ? APR_SUCCESS : rv;
    memset(&event, 0, sizeof(event));
    event.event = message->event;
    event.outcome = &why;
    outcome_refuse(&why, FAIL_INFO_BAD_REQUEST, message->hresult, "front-failure",
                   "No certificate was issued.", p, "the front says: %s", message->error);
    if (message->certificate) {
        event.certificate = message->certificate_der;
        event.serial = serial_of(message->certificate, p);
    }
    event.cookie = COOKIE;
    event.wait = PENDING_WAIT;
    tx->csr_der = request->csr->der; /* the front keeps it */
    rv = policy_finish(tx, &event, out, log, p);
    if (rv == APR_SUCCESS && message->certificate)
        rv = check_kept(tx, message, out, log, p);
    if (rv == APR_SUCCESS)
        outcome_success(out);
    return rv == APR_SUCCESS || out->result != OUTCOME_REFUSED ? rv : APR_EACCES;
}
