/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The chain of policy providers around the store's atomic claim; see policy.h.
 *
 * The only file that makes grants: policy_verify(), when every provider said yes to a transaction
 * that this request claimed.
 */
#include "policy.h"
#include "../common/grant_make.h"
#include "policy_attributes.h"
#include "policy_outbox.h"
#include <apr_strings.h>
#include <openssl/crypto.h>
#include <string.h>

const policy_provider_t *const policy_builtin[] = {
    &policy_challenge, &policy_sealed, &policy_static, &policy_webhook, &policy_registration_point,
    &policy_intune, &policy_known, &policy_none, NULL};

const policy_link_t *policy_link_at(const policy_t *policy, int n)
{
    return n < policy->links->nelts ? &APR_ARRAY_IDX(policy->links, n, policy_link_t) : NULL;
}

policy_t *policy_make(const policy_config_t *cfg, apr_pool_t *p)
{
    policy_t *policy = apr_pcalloc(p, sizeof(*policy));

    policy->cfg = cfg;
    policy->links = apr_array_make(p, 2, sizeof(policy_link_t));
    return policy;
}

const char *policy_add(policy_t *policy, const policy_provider_t *provider, int argc,
                       const char *const *argv, apr_pool_t *p)
{
    static const settings_key_t no_keys[] = {{NULL, NULL, 0}};
    settings_t *settings = NULL;
    policy_link_t link = {provider, NULL};
    const char *error;
    int i;

    if (!provider->reserve && !provider->verify)
        return apr_psprintf(p, "policy '%s' decides nothing (it has neither reserve nor verify)",
                            provider->name);
    if (provider->follows && policy->links->nelts == 0)
        return apr_psprintf(p,
                            "policy '%s' goes by what other policies say of a request: it has to "
                            "stand behind them",
                            provider->name);
    for (i = 0; i < policy->links->nelts; i++) {
        if (policy_link_at(policy, i)->provider == provider && !provider->repeatable)
            return apr_psprintf(p, "policy '%s' is configured twice", provider->name);
    }
    error = settings_parse(&settings, provider->keys ? provider->keys : no_keys, argc, argv, p);
    if (!error && provider->create)
        error = provider->create(&link.instance, settings, policy->cfg, p);
    if (!error)
        APR_ARRAY_PUSH(policy->links, policy_link_t) = link;
    return error;
}

const char *policy_check(const policy_t *policy, apr_pool_t *p)
{
    const char *error = NULL;
    const policy_link_t *link;
    int i;

    for (i = 0; !error && (link = policy_link_at(policy, i)) != NULL; i++) {
        if (link->provider->check)
            error = link->provider->check(link->instance, p);
    }
    return error ? error : policy_secret_check(policy->cfg, p);
}

/* Pool cleanup: overwrites the secret. */
static apr_status_t wipe_secret(void *baton)
{
    secret_wipe(&((policy_t *)baton)->secret);
    return APR_SUCCESS;
}

/* Whether a provider leaves news, which are sealed.  Error text in p where there is no secret. */
static const char *check_news(const policy_t *policy, apr_pool_t *p)
{
    const policy_link_t *link;
    int i, n = 0;

    for (i = 0; (link = policy_link_at(policy, i)) != NULL; i++) {
        if (link->provider->deliver && policy->secret.key[0].len == 0)
            return apr_psprintf(p,
                                "service '%s': policy '%s' needs the challenge secret, by which "
                                "its news are sealed",
                                policy->cfg->service, link->provider->name);
        n += link->provider->deliver != NULL;
    }
    return n > STORE_NEWS_PER_TX
               ? apr_psprintf(p, "service '%s': more than %d policies leave news",
                              policy->cfg->service, STORE_NEWS_PER_TX)
               : NULL;
}

/* The secret of seals and tokens, where there is one. */
static const char *prepare_secret(policy_t *policy, uid_t uid, gid_t gid, apr_pool_t *p)
{
    const char *error;

    if (!policy->cfg->secret_file && !policy->cfg->secret_may_be_made)
        return NULL;
    error = policy_secret_load(&policy->secret, policy->cfg, uid, gid, p);
    apr_pool_cleanup_register(p, policy, wipe_secret, apr_pool_cleanup_null);
    return error ? apr_psprintf(p, "service '%s': %s", policy->cfg->service, error) : NULL;
}

const char *policy_prepare(policy_t *policy, uid_t uid, gid_t gid, const log_sink_t *log,
                           apr_pool_t *p)
{
    const char *error = NULL;
    const policy_link_t *link;
    int i;

    if (policy->links->nelts == 0)
        return apr_psprintf(p,
                            "service '%s' has no policy; every enrollment must be allowed by one",
                            policy->cfg->service);
    for (i = 0; !error && (link = policy_link_at(policy, i)) != NULL; i++) {
        if (link->provider->warning)
            log_to(log, LOG_SINK_WARN, SCEPTAG(0200), "service '%s': %s", policy->cfg->service,
                   link->provider->warning);
        if (link->provider->prepare)
            error = link->provider->prepare(link->instance, uid, gid, p);
        if (error)
            error = apr_psprintf(p, "service '%s': policy '%s': %s", policy->cfg->service,
                                 link->provider->name, error);
    }
    if (!error)
        error = prepare_secret(policy, uid, gid, p);
    return error ? error : check_news(policy, p);
}

apr_status_t policy_child_init(policy_t *policy, apr_pool_t *pchild)
{
    apr_status_t rv = APR_SUCCESS;
    const policy_link_t *link;
    int i;

    apr_pool_cleanup_register(pchild, policy, wipe_secret, apr_pool_cleanup_null);
    policy->worker = policy_worker_make(policy, pchild);
    if (!policy->worker)
        return APR_ENOMEM;
    for (i = 0; rv == APR_SUCCESS && (link = policy_link_at(policy, i)) != NULL; i++) {
        if (link->provider->child_init)
            rv = link->provider->child_init(link->instance, pchild);
    }
    return rv;
}

int policy_is_resting(const policy_t *policy, int n, const char **name, apr_pool_t *p)
{
    const policy_link_t *link;
    int i;

    *name = "";
    for (i = 0; (link = policy_link_at(policy, i)) != NULL; i++) {
        if (link->provider->is_resting && n-- == 0) {
            *name = policy_recipient(policy, i, p);
            return link->provider->is_resting(link->instance) != 0;
        }
    }
    return -1;
}

const char *policy_fingerprint(policy_t *policy, apr_pool_t *p)
{
    crypt_buf_t *parts = apr_pcalloc(p, 2 * policy->links->nelts * sizeof(*parts));
    unsigned char digest[32];
    const policy_link_t *link;
    const char *text;
    int i;

    for (i = 0; (link = policy_link_at(policy, i)) != NULL; i++) {
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
    const policy_link_t *link;
    int i;

    *pchallenge = NULL;
    outcome_init(out);
    for (i = 0; rv == APR_ENOTIMPL && (link = policy_link_at(policy, i)) != NULL; i++) {
        if (link->provider->generate_challenge)
            rv = link->provider->generate_challenge(link->instance, mint, pchallenge, out, log, p);
    }
    if (rv == APR_ENOTIMPL)
        outcome_unavailable(out, "no-challenge-policy", 0, p,
                            "no policy of the service makes challenges");
    return rv;
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

/* The template that the certificate will be of. */
static const char *template_of(const policy_tx_t *tx)
{
    return tx->attributes.template_name ? tx->attributes.template_name
                                        : tx->request->template_name;
}

/* The grant for an allowed transaction; NULL with out set when the store's record cannot be one. */
static const grant_t *make_grant(const policy_tx_t *tx, outcome_t *out, apr_pool_t *p)
{
    grant_values_t values;

    memset(&values, 0, sizeof(values));
    values.service = tx->policy->cfg->service;
    values.tx_key = tx->tx_key;
    values.transaction_id = tx->request->transaction_id;
    values.template_name = template_of(tx);
    values.subject = tx->attributes.subject;
    values.sid = tx->attributes.sid;
    memcpy(values.csr_digest, tx->request->csr->digest, sizeof(values.csr_digest));
    values.not_before = tx->store_tx.not_before;
    if (!read_hex(values.serial, tx->store_tx.serial, STORE_SERIAL_LEN) ||
        (values.serial[0] & 0x80)) {
        outcome_unavailable(out, "store", POLICY_STORE_RETRY, p,
                            "the store's serial number is damaged");
        return NULL;
    }
    return grant_make(&values, p);
}

/* Takes over a text that a provider added; whether no other has said something else. */
static int merge_text(const char **mine, const char *theirs)
{
    if (!theirs)
        return 1;
    if (*mine)
        return strcmp(*mine, theirs) == 0;
    *mine = theirs;
    return 1;
}

/* Takes over what a provider added; whether no other has said something else. */
static int merge(policy_attributes_t *mine, const policy_attributes_t *theirs)
{
    int same = merge_text(&mine->template_name, theirs->template_name) &&
               merge_text(&mine->sid, theirs->sid) && merge_text(&mine->device, theirs->device) &&
               merge_text(&mine->user, theirs->user);

    if (theirs->subject.data && mine->subject.data)
        same = same && theirs->subject.len == mine->subject.len &&
               memcmp(theirs->subject.data, mine->subject.data, mine->subject.len) == 0;
    else if (theirs->subject.data) {
        mine->subject = theirs->subject;
        mine->subject_text = theirs->subject_text;
    }
    return same;
}

/* Sets out for what cannot be decided as it is configured, and logs it; APR_EGENERAL. */
static apr_status_t contradiction(const policy_tx_t *tx, const char *reason, const char *what,
                                  outcome_t *out, const log_sink_t *log, apr_pool_t *p)
{
    log_to(log, LOG_SINK_ERR, SCEPTAG(0280), "service '%s': transaction %s: %s",
           tx->policy->cfg->service, tx->tx_key, what);
    outcome_unavailable(out, reason, 0, p, "%s", what);
    out->text = POLICY_TEXT_UNAVAILABLE;
    return APR_EGENERAL;
}

int policy_is_approved(const policy_tx_t *tx)
{
    return tx->store_tx.decision && strcmp(tx->store_tx.decision, "approved") == 0;
}

/* Asks every provider, and gathers what they add.  Status of policy_verify(). */
static apr_status_t verify_all(policy_tx_t *tx, outcome_t *out, const log_sink_t *log,
                               apr_pool_t *p)
{
    policy_attributes_t gathered, one;
    apr_status_t rv = APR_SUCCESS;
    const policy_link_t *link;
    int i;

    memset(&gathered, 0, sizeof(gathered));
    tx->gathered = &gathered;
    for (i = 0; rv == APR_SUCCESS && (link = policy_link_at(tx->policy, i)) != NULL; i++) {
        if (!link->provider->verify)
            continue;
        memset(&one, 0, sizeof(one));
        rv = link->provider->verify(link->instance, tx, &one, out, log, p);
        if (rv != APR_SUCCESS && rv != APR_EACCES)
            rv = APR_EGENERAL;
        if (rv == APR_SUCCESS && !policy_owner_agrees(tx, &one, out, p))
            rv = APR_EACCES;
        if (rv == APR_SUCCESS && !merge(&gathered, &one))
            rv = contradiction(tx, "policy-conflict",
                               apr_psprintf(p, "policy '%s' adds something that contradicts "
                                               "another policy",
                                            link->provider->name),
                               out, log, p);
    }
    if (rv == APR_SUCCESS && policy_is_approved(tx) &&
        !policy_attributes_same(&tx->attributes, &gathered)) {
        contradiction(tx, "policy-changed",
                      apr_psprintf(p, "policy adds something else than %s has approved",
                                   tx->store_tx.decided_by),
                      out, log, p);
        rv = APR_EINVAL;
    }
    if (rv == APR_SUCCESS)
        tx->attributes = gathered;
    if (rv == APR_SUCCESS || rv == APR_EACCES)
        policy_owner_keep(tx);
    tx->gathered = NULL;
    return rv;
}

/*
 * Counts a refusal as claim counts a challenge that is no good: where a provider asks somebody else
 * what a challenge is worth, guesses pass the claim.
 */
static void count_refusal(const policy_tx_t *tx, const log_sink_t *log, apr_pool_t *p)
{
    const policy_config_t *cfg = tx->policy->cfg;
    store_claim_t limits;

    memset(&limits, 0, sizeof(limits));
    policy_add_limits(&limits, cfg, tx->request, p);
    if ((limits.limit[0].max > 0 || limits.limit[1].max > 0) &&
        store_count(cfg->store, cfg->service, &limits, p) != APR_SUCCESS)
        log_to(log, LOG_SINK_WARN, SCEPTAG(0206),
               "service '%s': the store cannot count a refusal: %s", cfg->service, store_error(p));
}

/* Whether a person has to say yes, and has not yet. */
static int waits_for_approval(const policy_tx_t *tx)
{
    const apr_array_header_t *templates = tx->policy->cfg->approval;
    int i, listed;

    if (!templates || policy_is_approved(tx))
        return 0;
    listed = templates->nelts == 0;
    for (i = 0; !listed && i < templates->nelts; i++)
        listed = strcmp(APR_ARRAY_IDX(templates, i, const char *), template_of(tx)) == 0;
    return listed;
}

apr_status_t policy_verify(const grant_t **pgrant, policy_tx_t *tx, outcome_t *out,
                           const log_sink_t *log, apr_pool_t *p)
{
    const policy_t *policy = tx->policy;
    apr_status_t rv;

    *pgrant = NULL;
    outcome_init(out);
    if (tx->state != POLICY_TX_CLAIMED || !tx->request || !policy_may_ask(tx->request) ||
        policy->links->nelts == 0) {
        outcome_unavailable(out, "not-claimed", 0, p,
                            "the transaction is not held by this request");
        return APR_EINVAL;
    }
    /* what the CA has already was verified before it was submitted */
    if (!tx->ca_cookie && (rv = verify_all(tx, out, log, p)) != APR_SUCCESS) {
        if (out->result == OUTCOME_REFUSED)
            count_refusal(tx, log, p);
        return rv;
    }
    if (!tx->ca_cookie && waits_for_approval(tx)) {
        outcome_pending(out, "approval", tx->policy->cfg->poll_interval);
        return APR_INCOMPLETE;
    }
    *pgrant = make_grant(tx, out, p);
    if (!*pgrant)
        return APR_EGENERAL;
    outcome_success(out);
    return APR_SUCCESS;
}
