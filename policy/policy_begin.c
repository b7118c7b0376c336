/* SPDX-License-Identifier: Apache-2.0 */
/* policy_begin(): the names of a transaction, and the one atomic claim; see policy.h. */
#include "policy_provider.h"
#include <apr_strings.h>
#include <arpa/inet.h>
#include <string.h>

#define BUSY_NAP_MIN apr_time_from_msec(50)
#define BUSY_NAP_MAX apr_time_from_msec(200)
#define SUBJECT_MAX 1024

const char *policy_key_make(const char *transaction_id, const unsigned char *csr_digest,
                            const crypt_buf_t *signer_key, apr_pool_t *p)
{
    crypt_buf_t parts[3];
    unsigned char digest[32];
    int n = 0;

    parts[n].data = (const unsigned char *)transaction_id;
    parts[n++].len = strlen(transaction_id);
    if (csr_digest) {
        parts[n].data = csr_digest;
        parts[n++].len = 32;
    }
    if (signer_key)
        parts[n++] = *signer_key;
    if (crypt_sha256_parts(digest, parts, n) != APR_SUCCESS)
        return NULL;
    return crypt_hex(digest, sizeof(digest), 0, p);
}

const char *policy_nonce_make(apr_pool_t *p)
{
    unsigned char nonce[STORE_NONCE_LEN / 2];

    return crypt_random(nonce, sizeof(nonce)) == APR_SUCCESS
               ? crypt_hex(nonce, sizeof(nonce), 0, p) : NULL;
}

/* The counter of a client address's failures; IPv6 by /64, which is what one client has. */
static const char *limit_name(const char *address, apr_pool_t *p)
{
    unsigned char bytes[16];

    if (address && inet_pton(AF_INET6, address, bytes) == 1)
        return apr_pstrcat(p, "address:", crypt_hex(bytes, 8, 0, p), NULL);
    return apr_psprintf(p, "address:%.200s", address ? address : "");
}

void policy_add_limits(store_claim_t *claim, const policy_config_t *cfg,
                       const policy_request_t *request, apr_pool_t *p)
{
    if (request->limit_exempt || request->authorization != POLICY_BY_CHALLENGE)
        return;
    claim->limit_window = cfg->failure_window;
    if (cfg->failure_max > 0) {
        claim->limit[0].name = limit_name(request->client_address, p);
        claim->limit[0].max = cfg->failure_max;
    }
    if (cfg->failure_max_service > 0) {
        claim->limit[1].name = "service";
        claim->limit[1].max = cfg->failure_max_service;
    }
}

/*
 * What a transaction is about: the CSR; for a renewal the certificate in use too, since a client
 * that keeps its key may send the very same CSR under the same transactionID (certmonger does).
 */
static apr_status_t subject_matter(unsigned char digest[32], const policy_request_t *request)
{
    unsigned char signer[32];
    crypt_buf_t parts[2];

    memcpy(digest, request->csr->digest, 32);
    if (!request->signer)
        return APR_SUCCESS;
    if (!X509_digest(request->signer, EVP_sha256(), signer, NULL))
        return APR_EGENERAL;
    parts[0].data = request->csr->digest;
    parts[1].data = signer;
    parts[0].len = parts[1].len = 32;
    return crypt_sha256_parts(digest, parts, 2);
}

const char *policy_tx_key(const policy_request_t *request, apr_pool_t *p)
{
    unsigned char matter[32];

    return subject_matter(matter, request) == APR_SUCCESS
               ? policy_key_make(request->transaction_id, matter, request->signer_key, p) : NULL;
}

const char *policy_nonce_of(const char *tx_key, const char *holder, apr_pool_t *p)
{
    crypt_buf_t who = {(const unsigned char *)holder, strlen(holder)};
    const char *digest = policy_key_make(tx_key, NULL, &who, p);

    return digest ? apr_pstrndup(p, digest, STORE_NONCE_LEN) : NULL;
}

/* Fills a claim for the request; APR_EGENERAL without good random numbers. */
static apr_status_t make_claim(store_claim_t *claim, const policy_config_t *cfg,
                               const policy_request_t *request, apr_pool_t *p)
{
    unsigned char serial[STORE_SERIAL_LEN / 2];
    apr_time_t begin = apr_time_now() - cfg->not_before_skew;

    memset(claim, 0, sizeof(*claim));
    if (crypt_random(serial, sizeof(serial)) != APR_SUCCESS)
        return APR_EGENERAL;
    serial[0] &= 0x7f;
    if (serial[0] == 0)
        serial[0] = 0x01;
    claim->tx_key = policy_tx_key(request, p);
    claim->poll_key = policy_key_make(request->transaction_id, NULL, request->signer_key, p);
    claim->nonce = request->holder && claim->tx_key
                       ? policy_nonce_of(claim->tx_key, request->holder, p)
                       : policy_nonce_make(p);
    if (!claim->tx_key || !claim->poll_key || !claim->nonce)
        return APR_EGENERAL;
    claim->csr_digest = crypt_hex(request->csr->digest, sizeof(request->csr->digest), 0, p);
    claim->serial = crypt_hex(serial, sizeof(serial), 0, p);
    claim->not_before = apr_time_from_sec(apr_time_sec(begin));
    claim->lease = request->holder ? cfg->hold : cfg->lease;
    claim->retention = cfg->retention;
    claim->transaction_id = apr_pstrndup(p, request->transaction_id, STORE_TEXT_MAX);
    claim->subject = apr_pstrndup(p, request->csr->subject_text, SUBJECT_MAX);
    claim->template_name = request->template_name;
    claim->client =
        apr_pstrndup(p, request->client_address ? request->client_address : "", STORE_TEXT_MAX);
    policy_add_limits(claim, cfg, request, p);
    return APR_SUCCESS;
}

void policy_refuse_missing(outcome_t *out, apr_pool_t *p)
{
    outcome_refuse(out, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_CERT_SIGNATURE, "challenge-missing",
                   "A challenge password is required.", p, "the CSR has no challengePassword");
    out->phase = OUTCOME_PHASE_CHALLENGE;
}

/* Lets every provider add what has to be held.  APR_SUCCESS, or out is set. */
static apr_status_t reserve_all(const policy_t *policy, const policy_request_t *request,
                                store_claim_t *claim, outcome_t *out, apr_pool_t *p)
{
    apr_status_t rv = APR_SUCCESS;
    const policy_link_t *link;
    int i;

    for (i = 0; (link = policy_link_at(policy, i)) != NULL; i++) {
        if (link->provider->needs_challenge && !request->signer && !request->challenge) {
            policy_refuse_missing(out, p);
            return APR_EACCES;
        }
    }
    for (i = 0; rv == APR_SUCCESS && (link = policy_link_at(policy, i)) != NULL; i++) {
        if (link->provider->reserve)
            rv = link->provider->reserve(link->instance, request, claim, out, p);
    }
    return rv;
}

apr_status_t policy_store_failed(const policy_t *policy, const char *slot, apr_status_t rv,
                                 outcome_t *out, const log_sink_t *log, apr_pool_t *p)
{
    char message[120];
    const char *text = store_error(p);

    if (!*text)
        text = apr_strerror(rv, message, sizeof(message));
    log_to(log, LOG_SINK_ERR, SCEPTAG(0201), "service '%s': the store cannot %s: %s",
           policy->cfg->service, slot, text);
    outcome_unavailable(out, "store", POLICY_STORE_RETRY, p, "the store cannot %s: %s", slot, text);
    out->text = POLICY_TEXT_UNAVAILABLE;
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

/* The short id of the claim's challenge, as the line has it that says who made it; or both ids. */
static const char *challenge_name(const store_claim_t *claim, apr_pool_t *p)
{
    const char *one = claim->challenge_id[0] ? claim->challenge_id[0] : "";
    const char *other = claim->challenge_id[1] ? claim->challenge_id[1] : "";

    return apr_psprintf(p, "%.12s%s%.12s", one, *one && *other ? " or " : "", other);
}

/* Sets out for a claim that the store did not give; always an error status. */
static apr_status_t claim_refused(store_result_e result, const store_claim_t *claim,
                                  const store_tx_t *tx, outcome_t *out, apr_pool_t *p)
{
    const char *name = store_result_name(result), *which = challenge_name(claim, p);

    switch (result) {
    case STORE_NOCHALLENGE:
        policy_refuse_challenge(out, "challenge-unknown", p,
                                "the store does not know the challenge");
        return APR_EACCES;
    case STORE_USED:
        policy_refuse_challenge(out, "challenge-used", p,
                                apr_psprintf(p, "the challenge %s was used before", which));
        return APR_EACCES;
    case STORE_EXPIRED:
        policy_refuse_challenge(out, "challenge-expired", p,
                                apr_psprintf(p, "the life time of the challenge %s is over, or it "
                                                "was revoked", which));
        return APR_EACCES;
    case STORE_MISMATCH:
        policy_refuse_challenge(out, "challenge-burned", p,
                                apr_psprintf(p, "the challenge %s was refused too often", which));
        return APR_EACCES;
    case STORE_HELD:
        policy_refuse_challenge(out, "challenge-held", p,
                                apr_psprintf(p, "the challenge %s is held by a request that waits "
                                                "for an answer", which));
        return APR_EACCES;
    case STORE_LIMITED:
        outcome_limited(out, "failure-limit", tx->wait, p, "too many failed challenges");
        out->phase = OUTCOME_PHASE_CHALLENGE;
        return APR_EACCES;
    case STORE_REFUSED:
        policy_refuse_known(out, tx, p);
        return APR_EACCES;
    case STORE_TXCONFLICT:
        outcome_refuse(out, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_INVALIDARG, "transaction-conflict",
                       "The transaction is known with another request.", p, "store: %s", name);
        return APR_EACCES;
    case STORE_BUSY:
        outcome_unavailable(out, "busy",
                            tx->wait > 0 && tx->wait < POLICY_BUSY_RETRY ? tx->wait
                                                                         : POLICY_BUSY_RETRY,
                            p,
                            "another worker is at this transaction or holds its challenge");
        out->text = POLICY_TEXT_UNAVAILABLE;
        return APR_EAGAIN;
    default:
        outcome_unavailable(out, "store", POLICY_STORE_RETRY, p,
                            "unexpected answer of the store: %s", name);
        out->text = POLICY_TEXT_UNAVAILABLE;
        return APR_EGENERAL;
    }
}

/*
 * Whether the store may have forgotten the challenge that the certificate in use was issued for: a
 * used one is remembered for the retention.
 */
static int may_be_forgotten(const policy_t *policy, const policy_request_t *request)
{
    return apr_time_now() - crypt_asn1_time(X509_get0_notBefore(request->signer)) >
           policy->cfg->retention;
}

/*
 * Claims.  A renewal is allowed by its signer: a challenge that was good once and is used, expired,
 * held or forgotten does not stand in its way (devices send their old one again), one that was
 * never ours does.
 */
static apr_status_t claim_request(const policy_t *policy, const policy_request_t *request,
                                  store_claim_t *claim, store_result_e *result, store_tx_t *tx,
                                  apr_pool_t *p)
{
    apr_status_t rv = claim_patiently(policy, request, claim, result, tx, p);

    if (rv == APR_SUCCESS && request->authorization == POLICY_BY_SIGNER && claim->challenge_id[0] &&
        (*result == STORE_USED || *result == STORE_EXPIRED || *result == STORE_HELD ||
         *result == STORE_TXCONFLICT ||
         (*result == STORE_NOCHALLENGE && may_be_forgotten(policy, request)))) {
        claim->challenge_id[0] = claim->challenge_id[1] = NULL;
        claim->adopt = NULL;
        rv = claim_patiently(policy, request, claim, result, tx, p);
    }
    return rv;
}

int policy_may_ask(const policy_request_t *request)
{
    switch (request->authorization) {
    case POLICY_BY_CHALLENGE: return !request->signer;
    case POLICY_BY_SIGNER: return request->signer != NULL;
    default: return 0;
    }
}

/*
 * Ends a transaction that the store gave for a challenge which a provider refuses: the store still
 * knew it.  APR_EACCES with out as the provider said.
 */
static apr_status_t give_back(policy_tx_t *tx, const outcome_t *doubted, outcome_t *out,
                              const log_sink_t *log, apr_pool_t *p)
{
    policy_event_t event;

    memset(&event, 0, sizeof(event));
    event.event = POLICY_EVENT_REFUSED;
    event.outcome = doubted;
    policy_finish(tx, &event, out, log, p);
    *out = *doubted;
    return APR_EACCES;
}

apr_status_t policy_begin(policy_tx_t **ptx, policy_t *policy, const policy_request_t *request,
                          outcome_t *out, const log_sink_t *log, apr_pool_t *p)
{
    policy_tx_t *tx = apr_pcalloc(p, sizeof(*tx));
    const outcome_t *doubted; /* why a provider refuses the challenge of a new transaction */
    store_result_e result;
    store_claim_t claim;
    apr_status_t rv;

    *ptx = NULL;
    outcome_init(out);
    if (!policy_may_ask(request)) {
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
    if (rv != APR_SUCCESS && (rv != APR_EACCES || !claim.challenge_id[0]))
        return rv;
    doubted = rv == APR_EACCES ? apr_pmemdup(p, out, sizeof(*out)) : NULL;
    rv = claim_request(policy, request, &claim, &result, &tx->store_tx, p);
    if (rv != APR_SUCCESS)
        return policy_store_failed(policy, "claim", rv, out, log, p);
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
    else if (doubted && (result == STORE_NOCHALLENGE || result == STORE_TXCONFLICT)) {
        *out = *doubted;
        return APR_EACCES;
    }
    else
        return claim_refused(result, &claim, &tx->store_tx, out, p);
    if (result == STORE_CLAIMED && doubted && claim.challenge_id[0])
        return give_back(tx, doubted, out, log, p);
    outcome_success(out);
    *ptx = tx;
    return APR_SUCCESS;
}
