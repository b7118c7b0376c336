/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The chain of policy providers around the store's atomic claim; see policy.h.
 *
 * The only file that makes grants: policy_verify(), when every provider said yes to a transaction
 * that this request claimed.
 */
#include "policy.h"
#include "../common/grant_make.h"
#include "policy_provider.h"
#include <apr_strings.h>
#include <openssl/crypto.h>
#include <string.h>

#define TEXT_UNAVAILABLE "The service is not available at the moment."
#define STORE_RETRY apr_time_from_sec(30)
#define BUSY_RETRY apr_time_from_sec(5)
#define BUSY_NAP_MIN apr_time_from_msec(50)
#define BUSY_NAP_MAX apr_time_from_msec(200)
#define SUBJECT_MAX 1024

/* A provider in the chain. */
typedef struct link_t {
    const policy_provider_t *provider;
    void *instance;
} link_t;

struct policy_t {
    const policy_config_t *cfg;
    apr_array_header_t *links; /* of link_t */
};

const policy_provider_t *const policy_builtin[] = {&policy_challenge, &policy_none, NULL};

/* The n-th link of the chain; NULL after the last. */
static const link_t *link_at(const policy_t *policy, int n)
{
    return n < policy->links->nelts ? &APR_ARRAY_IDX(policy->links, n, link_t) : NULL;
}

policy_t *policy_make(const policy_config_t *cfg, apr_pool_t *p)
{
    policy_t *policy = apr_pcalloc(p, sizeof(*policy));

    policy->cfg = cfg;
    policy->links = apr_array_make(p, 2, sizeof(link_t));
    return policy;
}

const char *policy_add(policy_t *policy, const policy_provider_t *provider, int argc,
                       const char *const *argv, apr_pool_t *p)
{
    static const settings_key_t no_keys[] = {{NULL, NULL, 0}};
    settings_t *settings = NULL;
    link_t link = {provider, NULL};
    const char *error;
    int i;

    if (!provider->reserve && !provider->verify)
        return apr_psprintf(p, "policy '%s' decides nothing (it has neither reserve nor verify)",
                            provider->name);
    for (i = 0; i < policy->links->nelts; i++) {
        if (link_at(policy, i)->provider == provider)
            return apr_psprintf(p, "policy '%s' is configured twice", provider->name);
    }
    error = settings_parse(&settings, provider->keys ? provider->keys : no_keys, argc, argv, p);
    if (!error && provider->create)
        error = provider->create(&link.instance, settings, policy->cfg, p);
    if (!error)
        APR_ARRAY_PUSH(policy->links, link_t) = link;
    return error;
}

const char *policy_check(const policy_t *policy, apr_pool_t *p)
{
    const char *error = NULL;
    const link_t *link;
    int i;

    for (i = 0; !error && (link = link_at(policy, i)) != NULL; i++) {
        if (link->provider->check)
            error = link->provider->check(link->instance, p);
    }
    return error;
}

const char *policy_prepare(policy_t *policy, uid_t uid, gid_t gid, const log_sink_t *log,
                           apr_pool_t *p)
{
    const char *error = NULL;
    const link_t *link;
    int i;

    if (policy->links->nelts == 0)
        return apr_psprintf(p,
                            "service '%s' has no policy; every enrollment must be allowed by one",
                            policy->cfg->service);
    for (i = 0; !error && (link = link_at(policy, i)) != NULL; i++) {
        if (link->provider->warning)
            log_to(log, LOG_SINK_WARN, SCEPTAG(0200), "service '%s': %s", policy->cfg->service,
                   link->provider->warning);
        if (link->provider->prepare)
            error = link->provider->prepare(link->instance, uid, gid, p);
        if (error)
            error = apr_psprintf(p, "service '%s': policy '%s': %s", policy->cfg->service,
                                 link->provider->name, error);
    }
    return error;
}

apr_status_t policy_child_init(policy_t *policy, apr_pool_t *pchild)
{
    apr_status_t rv = APR_SUCCESS;
    const link_t *link;
    int i;

    for (i = 0; rv == APR_SUCCESS && (link = link_at(policy, i)) != NULL; i++) {
        if (link->provider->child_init)
            rv = link->provider->child_init(link->instance, pchild);
    }
    return rv;
}

const char *policy_fingerprint(policy_t *policy, apr_pool_t *p)
{
    crypt_buf_t *parts = apr_pcalloc(p, 2 * policy->links->nelts * sizeof(*parts));
    unsigned char digest[32];
    const link_t *link;
    const char *text;
    int i;

    for (i = 0; (link = link_at(policy, i)) != NULL; i++) {
        text = link->provider->fingerprint ? link->provider->fingerprint(link->instance, p) : NULL;
        parts[2 * i].data = (const unsigned char *)link->provider->name;
        parts[2 * i].len = strlen(link->provider->name);
        parts[2 * i + 1].data = (const unsigned char *)(text ? text : "");
        parts[2 * i + 1].len = text ? strlen(text) : 0;
    }
    if (crypt_sha256_parts(digest, parts, 2 * policy->links->nelts) != APR_SUCCESS)
        return "";
    return crypt_hex(digest, sizeof(digest), 0, p);
}

apr_status_t policy_generate_challenge(policy_t *policy, const policy_mint_t *mint,
                                       policy_challenge_t **pchallenge, outcome_t *out,
                                       const log_sink_t *log, apr_pool_t *p)
{
    apr_status_t rv = APR_ENOTIMPL;
    const link_t *link;
    int i;

    *pchallenge = NULL;
    outcome_init(out);
    for (i = 0; rv == APR_ENOTIMPL && (link = link_at(policy, i)) != NULL; i++) {
        if (link->provider->generate_challenge)
            rv = link->provider->generate_challenge(link->instance, mint, pchallenge, out, log, p);
    }
    if (rv == APR_ENOTIMPL)
        outcome_unavailable(out, "no-challenge-policy", 0, p,
                            "no policy of the service makes challenges");
    return rv;
}

/* Hex SHA-256 over transactionID, the CSR's digest (with_csr) and the signer's key; NULL if that
 * fails. */
static const char *make_key(const policy_request_t *request, int with_csr, apr_pool_t *p)
{
    crypt_buf_t parts[3];
    unsigned char digest[32];
    int n = 0;

    parts[n].data = (const unsigned char *)request->transaction_id;
    parts[n++].len = strlen(request->transaction_id);
    if (with_csr) {
        parts[n].data = request->csr->digest;
        parts[n++].len = sizeof(request->csr->digest);
    }
    if (request->signer_key)
        parts[n++] = *request->signer_key;
    if (crypt_sha256_parts(digest, parts, n) != APR_SUCCESS)
        return NULL;
    return crypt_hex(digest, sizeof(digest), 0, p);
}

/* Fills a claim for the request; APR_EGENERAL without good random numbers. */
static apr_status_t make_claim(store_claim_t *claim, const policy_config_t *cfg,
                               const policy_request_t *request, apr_pool_t *p)
{
    unsigned char nonce[STORE_NONCE_LEN / 2], serial[STORE_SERIAL_LEN / 2];
    apr_time_t begin = apr_time_now() - cfg->not_before_skew;

    memset(claim, 0, sizeof(*claim));
    if (crypt_random(nonce, sizeof(nonce)) != APR_SUCCESS ||
        crypt_random(serial, sizeof(serial)) != APR_SUCCESS)
        return APR_EGENERAL;
    serial[0] &= 0x7f;
    if (serial[0] == 0)
        serial[0] = 0x01;
    claim->tx_key = make_key(request, 1, p);
    claim->poll_key = make_key(request, 0, p);
    if (!claim->tx_key || !claim->poll_key)
        return APR_EGENERAL;
    claim->csr_digest = crypt_hex(request->csr->digest, sizeof(request->csr->digest), 0, p);
    claim->nonce = crypt_hex(nonce, sizeof(nonce), 0, p);
    claim->serial = crypt_hex(serial, sizeof(serial), 0, p);
    claim->not_before = apr_time_from_sec(apr_time_sec(begin));
    claim->lease = cfg->lease;
    claim->retention = cfg->retention;
    claim->transaction_id = apr_pstrndup(p, request->transaction_id, STORE_TEXT_MAX);
    claim->subject = apr_pstrndup(p, request->csr->subject_text, SUBJECT_MAX);
    claim->template_name = request->template_name;
    claim->client =
        apr_pstrndup(p, request->client_address ? request->client_address : "", STORE_TEXT_MAX);
    return APR_SUCCESS;
}

/* Lets every provider add what has to be held.  APR_SUCCESS, or out is set. */
static apr_status_t reserve_all(const policy_t *policy, const policy_request_t *request,
                                store_claim_t *claim, outcome_t *out, apr_pool_t *p)
{
    apr_status_t rv = APR_SUCCESS;
    const link_t *link;
    int i;

    for (i = 0; (link = link_at(policy, i)) != NULL; i++) {
        if (link->provider->needs_challenge && !request->signer && !request->challenge) {
            outcome_refuse(out, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_CERT_SIGNATURE,
                           "challenge-missing", "A challenge password is required.", p,
                           "the CSR has no challengePassword");
            return APR_EACCES;
        }
    }
    for (i = 0; rv == APR_SUCCESS && (link = link_at(policy, i)) != NULL; i++) {
        if (link->provider->reserve)
            rv = link->provider->reserve(link->instance, request, claim, out, p);
    }
    return rv;
}

/* Sets out for a store that did not answer, and logs why. */
static apr_status_t store_failed(const policy_t *policy, const char *slot, apr_status_t rv,
                                 outcome_t *out, const log_sink_t *log, apr_pool_t *p)
{
    char message[120];
    const char *text = store_error(p);

    if (!*text)
        text = apr_strerror(rv, message, sizeof(message));
    log_to(log, LOG_SINK_ERR, SCEPTAG(0201), "service '%s': the store cannot %s: %s",
           policy->cfg->service, slot, text);
    outcome_unavailable(out, "store", STORE_RETRY, p, "the store cannot %s: %s", slot, text);
    out->text = TEXT_UNAVAILABLE;
    return rv;
}

/* Claims until the store's answer is not BUSY, busy_wait is over or the deadline near. */
static apr_status_t claim_patiently(const policy_t *policy, const policy_request_t *request,
                                    const store_claim_t *claim, store_result_e *result,
                                    store_tx_t *tx, apr_pool_t *p)
{
    apr_time_t end = apr_time_now() + policy->cfg->busy_wait;
    apr_interval_time_t nap = BUSY_NAP_MIN, left;
    apr_status_t rv;

    if (request->deadline && request->deadline < end)
        end = request->deadline;
    for (;;) {
        rv = store_claim(policy->cfg->store, policy->cfg->service, claim, result, tx, p);
        left = end - apr_time_now();
        if (rv != APR_SUCCESS || *result != STORE_BUSY || left <= 0)
            return rv;
        apr_sleep(nap < left ? nap : left);
        nap = nap * 3 / 2 < BUSY_NAP_MAX ? nap * 3 / 2 : BUSY_NAP_MAX;
    }
}

/* Sets out for a claim that the store did not give; always an error status. */
static apr_status_t claim_refused(store_result_e result, const store_tx_t *tx, outcome_t *out,
                                  apr_pool_t *p)
{
    const char *name = store_result_name(result);

    switch (result) {
    case STORE_NOCHALLENGE:
        policy_refuse_challenge(out, "challenge-unknown", p,
                                "the store does not know the challenge");
        return APR_EACCES;
    case STORE_USED:
        policy_refuse_challenge(out, "challenge-used", p, "the challenge was used before");
        return APR_EACCES;
    case STORE_EXPIRED:
        policy_refuse_challenge(out, "challenge-expired", p,
                                "the challenge's life time is over, or it was revoked");
        return APR_EACCES;
    case STORE_MISMATCH:
        policy_refuse_challenge(out, "challenge-burned", p, "the challenge was refused too often");
        return APR_EACCES;
    case STORE_TXCONFLICT:
        outcome_refuse(out, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_INVALIDARG, "transaction-conflict",
                       "The transaction is known with another request.", p, "store: %s", name);
        return APR_EACCES;
    case STORE_BUSY:
    case STORE_HELD:
        outcome_unavailable(out, "busy",
                            tx->wait > 0 && tx->wait < BUSY_RETRY ? tx->wait : BUSY_RETRY, p,
                            "another worker is at this transaction or holds its challenge");
        out->text = TEXT_UNAVAILABLE;
        return APR_EAGAIN;
    default:
        outcome_unavailable(out, "store", STORE_RETRY, p, "unexpected answer of the store: %s",
                            name);
        out->text = TEXT_UNAVAILABLE;
        return APR_EGENERAL;
    }
}

/* Whether what the request claims to be allowed by fits its signer. */
static int may_ask(const policy_request_t *request)
{
    switch (request->authorization) {
    case POLICY_BY_CHALLENGE: return !request->signer;
    case POLICY_BY_SIGNER: return request->signer != NULL;
    default: return 0;
    }
}

apr_status_t policy_begin(policy_tx_t **ptx, policy_t *policy, const policy_request_t *request,
                          outcome_t *out, const log_sink_t *log, apr_pool_t *p)
{
    policy_tx_t *tx = apr_pcalloc(p, sizeof(*tx));
    store_result_e result;
    store_claim_t claim;
    apr_status_t rv;

    *ptx = NULL;
    outcome_init(out);
    if (!may_ask(request)) {
        outcome_refuse(out, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_ACCESS_DENIED, "not-authorized",
                       "The request is not authorized.", p, "no authorization was established");
        return APR_EACCES;
    }
    rv = make_claim(&claim, policy->cfg, request, p);
    if (rv != APR_SUCCESS) {
        outcome_unavailable(out, "random", 0, p, "no random numbers or no SHA-256");
        return rv;
    }
    rv = reserve_all(policy, request, &claim, out, p);
    if (rv != APR_SUCCESS)
        return rv;
    rv = claim_patiently(policy, request, &claim, &result, &tx->store_tx, p);
    if (rv != APR_SUCCESS)
        return store_failed(policy, "claim", rv, out, log, p);
    tx->policy = policy;
    tx->request = request;
    tx->tx_key = claim.tx_key;
    tx->poll_key = claim.poll_key;
    if (result == STORE_CLAIMED)
        tx->state = POLICY_TX_CLAIMED;
    else if (result == STORE_ISSUED)
        tx->state = POLICY_TX_ISSUED;
    else if (result == STORE_PENDING)
        tx->state = POLICY_TX_PENDING;
    else
        return claim_refused(result, &tx->store_tx, out, p);
    outcome_success(out);
    *ptx = tx;
    return APR_SUCCESS;
}

/* Reads len / 2 bytes of hex; whether it is hex of that length. */
static int read_hex(unsigned char *bytes, const char *hex, int len)
{
    static const char digits[] = "0123456789abcdef";
    const char *high, *low;
    int i;

    if ((int)strlen(hex) != len)
        return 0;
    for (i = 0; i < len; i += 2) {
        high = strchr(digits, hex[i]);
        low = strchr(digits, hex[i + 1]);
        if (!high || !low)
            return 0;
        bytes[i / 2] = (unsigned char)((high - digits) << 4 | (low - digits));
    }
    return 1;
}

/* The grant for an allowed transaction; NULL with out set when the store's record cannot be one. */
static const grant_t *make_grant(const policy_tx_t *tx, outcome_t *out, apr_pool_t *p)
{
    grant_values_t values;

    memset(&values, 0, sizeof(values));
    values.service = tx->policy->cfg->service;
    values.tx_key = tx->tx_key;
    values.transaction_id = tx->request->transaction_id;
    values.template_name = tx->request->template_name;
    memcpy(values.csr_digest, tx->request->csr->digest, sizeof(values.csr_digest));
    values.not_before = tx->store_tx.not_before;
    if (!read_hex(values.serial, tx->store_tx.serial, STORE_SERIAL_LEN) ||
        (values.serial[0] & 0x80)) {
        outcome_unavailable(out, "store", STORE_RETRY, p, "the store's serial number is damaged");
        return NULL;
    }
    return grant_make(&values, p);
}

apr_status_t policy_verify(const grant_t **pgrant, policy_tx_t *tx, outcome_t *out,
                           const log_sink_t *log, apr_pool_t *p)
{
    const policy_t *policy = tx->policy;
    apr_status_t rv = APR_SUCCESS;
    const link_t *link;
    int i;

    *pgrant = NULL;
    outcome_init(out);
    if (tx->state != POLICY_TX_CLAIMED || policy->links->nelts == 0) {
        outcome_unavailable(out, "not-claimed", 0, p,
                            "the transaction is not held by this request");
        return APR_EINVAL;
    }
    for (i = 0; rv == APR_SUCCESS && (link = link_at(policy, i)) != NULL; i++) {
        if (link->provider->verify)
            rv = link->provider->verify(link->instance, tx, out, log, p);
    }
    if (rv != APR_SUCCESS)
        return rv;
    *pgrant = make_grant(tx, out, p);
    if (!*pgrant)
        return APR_EGENERAL;
    outcome_success(out);
    return APR_SUCCESS;
}

/* Tells every provider; the first status that is not APR_SUCCESS, with its out. */
static apr_status_t notify_all(policy_tx_t *tx, const policy_event_t *event, outcome_t *out,
                               const log_sink_t *log, apr_pool_t *p)
{
    apr_status_t rv = APR_SUCCESS, one;
    outcome_t ignored;
    const link_t *link;
    int i;

    for (i = 0; (link = link_at(tx->policy, i)) != NULL; i++) {
        if (!link->provider->notify)
            continue;
        outcome_init(&ignored);
        one = link->provider->notify(link->instance, tx, event, rv == APR_SUCCESS ? out : &ignored,
                                     log, p);
        if (one != APR_SUCCESS && rv == APR_SUCCESS)
            rv = one;
    }
    return rv;
}

/* store_fail() by the transaction's names; tells in the log what it cannot tell otherwise. */
static void fail_tx(policy_tx_t *tx, store_blame_e blame, const char *reason, const log_sink_t *log,
                    apr_pool_t *p)
{
    const policy_config_t *cfg = tx->policy->cfg;
    store_result_e result;
    apr_status_t rv = store_fail(cfg->store, cfg->service, tx->tx_key, tx->store_tx.fence, blame,
                                 reason, cfg->retention, &result, p);

    if (rv != APR_SUCCESS)
        log_to(
            log, LOG_SINK_WARN, SCEPTAG(0202),
            "service '%s': the store cannot record a failure, the transaction stays held until its "
            "lease ends: %s",
            cfg->service, store_error(p));
    else if (result == STORE_FENCED)
        log_to(log, LOG_SINK_INFO, SCEPTAG(0203),
               "service '%s': another worker has taken over a failed transaction", cfg->service);
}

/* Sets out for a transaction that another worker took over. */
static apr_status_t fenced(const policy_tx_t *tx, outcome_t *out, const log_sink_t *log,
                           apr_pool_t *p)
{
    log_to(
        log, LOG_SINK_WARN, SCEPTAG(0204),
        "service '%s': the lease of a transaction ended before it was finished, another worker has "
        "taken it over; its certificate is not delivered",
        tx->policy->cfg->service);
    outcome_unavailable(out, "fenced", BUSY_RETRY, p,
                        "another worker has taken the transaction over");
    out->text = TEXT_UNAVAILABLE;
    return APR_EAGAIN;
}

/* Commits an issued certificate, twice if the first answer is lost. */
static apr_status_t commit_tx(policy_tx_t *tx, const policy_event_t *event, outcome_t *out,
                              const log_sink_t *log, apr_pool_t *p)
{
    const policy_config_t *cfg = tx->policy->cfg;
    store_result_e result;
    apr_status_t rv = APR_SUCCESS;
    int i;

    for (i = 0; i == 0 || (i == 1 && rv != APR_SUCCESS); i++)
        rv = store_commit(cfg->store, cfg->service, tx->tx_key, tx->store_tx.fence,
                          &event->certificate, "", cfg->retention, &result, p);
    if (rv != APR_SUCCESS)
        return store_failed(tx->policy, "commit", rv, out, log, p);
    if (result != STORE_OK)
        return fenced(tx, out, log, p);
    outcome_success(out);
    return APR_SUCCESS;
}

/* Keeps a transaction that waits for the CA. */
static apr_status_t pend_tx(policy_tx_t *tx, const policy_event_t *event, outcome_t *out,
                            const log_sink_t *log, apr_pool_t *p)
{
    const policy_config_t *cfg = tx->policy->cfg;
    store_pend_t pend = {0};
    store_result_e result;
    apr_status_t rv;

    pend.cookie = event->cookie ? event->cookie : "";
    pend.wait = event->wait;
    pend.retention = cfg->retention;
    rv = store_pend(cfg->store, cfg->service, tx->tx_key, tx->store_tx.fence, &pend, &result, p);
    if (rv != APR_SUCCESS)
        return store_failed(tx->policy, "pend", rv, out, log, p);
    if (result != STORE_OK)
        return fenced(tx, out, log, p);
    out->result = OUTCOME_PENDING;
    out->reason = "pending";
    out->retry_after = event->wait;
    return APR_SUCCESS;
}

apr_status_t policy_finish(policy_tx_t *tx, const policy_event_t *event, outcome_t *out,
                           const log_sink_t *log, apr_pool_t *p)
{
    const char *reason = event->outcome ? event->outcome->reason : "";
    apr_status_t rv;

    outcome_init(out);
    if (tx->state != POLICY_TX_CLAIMED) {
        outcome_unavailable(out, "not-claimed", 0, p,
                            "the transaction is not held by this request");
        return APR_EINVAL;
    }
    rv = notify_all(tx, event, out, log, p);
    switch (event->event) {
    case POLICY_EVENT_ISSUED:
        if (rv == APR_SUCCESS)
            return commit_tx(tx, event, out, log, p);
        fail_tx(tx, out->result == OUTCOME_REFUSED ? STORE_BLAME_DEVICE : STORE_BLAME_NOBODY,
                out->reason, log, p);
        return rv;
    case POLICY_EVENT_PENDING:
        return pend_tx(tx, event, out, log, p);
    case POLICY_EVENT_REFUSED:
        fail_tx(tx, STORE_BLAME_DEVICE, reason, log, p);
        break;
    case POLICY_EVENT_TRANSIENT:
        fail_tx(tx, STORE_BLAME_NOBODY, reason, log, p);
        break;
    case POLICY_EVENT_UNKNOWN:
        break;
    }
    if (event->outcome)
        *out = *event->outcome;
    return APR_SUCCESS;
}
