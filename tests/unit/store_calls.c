/* SPDX-License-Identifier: Apache-2.0 */
/* See store_calls.h. */
#include "store_calls.h"
#include <apr_strings.h>
#include <string.h>
#include <unistd.h>

store_calls_t calls;

/* Opens the store of a kind; whether there is one. */
int calls_open(int kind)
{
    calls.p = fixture_pool();
    calls.store = store_fixture_open(kind, calls.p);
    calls.service = apr_psprintf(calls.p, "t%d-%" APR_TIME_T_FMT, (int)getpid(), apr_time_now());
    return calls.store != NULL;
}

/* 64 hex digits that stand for n. */
const char *calls_id(int n)
{
    return apr_psprintf(calls.p, "%064x", (unsigned)n);
}

/* 32 hex digits that stand for n. */
const char *calls_half(int n)
{
    return apr_psprintf(calls.p, "%032x", (unsigned)n);
}

/* A challenge to issue. */
store_challenge_t calls_challenge(int n, apr_interval_time_t life, int uses, int attempts)
{
    store_challenge_t ch = {0};

    ch.id = calls_id(n);
    ch.lifetime = life;
    ch.uses = uses;
    ch.attempts = attempts;
    ch.caller = "mdm";
    ch.template_name = "Device";
    ch.bound = "{}";
    return ch;
}

/* Issues challenge n. */
store_result_e calls_issue(int n, apr_interval_time_t life, int uses, int attempts, int cap)
{
    store_challenge_t ch = calls_challenge(n, life, uses, attempts);
    store_result_e result;

    ck_assert_int_eq(store_issue(calls.store, calls.service, &ch, cap, &result, &calls.outstanding,
                                 &calls.free_in, calls.p),
                     APR_SUCCESS);
    return result;
}

/* A claim of transaction t for challenge n (0: none). */
store_claim_t calls_make_claim(int t, int n, int nonce, apr_interval_time_t lease)
{
    store_claim_t claim = {0};

    claim.tx_key = calls_id(1000 + t);
    claim.poll_key = calls_id(2000 + t);
    claim.csr_digest = calls_id(3000 + t);
    claim.challenge_id[0] = n ? calls_id(n) : NULL;
    claim.nonce = calls_half(nonce);
    claim.lease = lease;
    claim.retention = KEEP;
    claim.serial = calls_half(4000 + nonce);
    claim.not_before = apr_time_from_sec(1700000000 + nonce);
    claim.transaction_id = apr_psprintf(calls.p, "tid-%d", t);
    claim.subject = "CN=device";
    claim.template_name = "Device";
    claim.client = "192.0.2.1";
    return claim;
}

/* Sends a claim. */
store_result_e calls_send(const store_claim_t *claim)
{
    store_result_e result;

    ck_assert_int_eq(store_claim(calls.store, calls.service, claim, &result, &calls.tx, calls.p),
                     APR_SUCCESS);
    return result;
}

store_result_e calls_claim(int t, int n, int nonce, apr_interval_time_t lease)
{
    store_claim_t c = calls_make_claim(t, n, nonce, lease);

    return calls_send(&c);
}

/* The certificate of transaction t: bytes of all values. */
crypt_buf_t calls_certificate(int t)
{
    crypt_buf_t cert;
    unsigned char *data = apr_palloc(calls.p, 1200);
    int i;

    for (i = 0; i < 1200; i++)
        data[i] = (unsigned char)(i + t);
    cert.data = data;
    cert.len = 1200;
    return cert;
}

store_result_e calls_commit_serial(int t, apr_int64_t fence, const char *serial,
                                   apr_interval_time_t retention)
{
    crypt_buf_t cert = calls_certificate(t);
    store_result_e result;

    ck_assert_int_eq(store_commit(calls.store, calls.service, calls_id(1000 + t), fence, &cert,
                                  serial, retention, NULL, &result, calls.p),
                     APR_SUCCESS);
    return result;
}

store_result_e calls_commit(int t, apr_int64_t fence)
{
    return calls_commit_serial(t, fence, "", KEEP);
}

store_result_e calls_fail(int t, apr_int64_t fence, store_blame_e blame)
{
    store_result_e result;

    ck_assert_int_eq(store_fail(calls.store, calls.service, calls_id(1000 + t), fence, blame,
                                "test-reason", KEEP, NULL, &result, calls.p),
                     APR_SUCCESS);
    return result;
}

/* What pend keeps, usually. */
store_pend_t calls_make_pend(apr_interval_time_t span, apr_interval_time_t retention)
{
    store_pend_t pend = {0};

    pend.cookie = "cookie 7";
    pend.owner = "";
    pend.wait = span;
    pend.retention = retention;
    return pend;
}

store_result_e calls_send_pend(int t, apr_int64_t fence, const store_pend_t *pend)
{
    store_result_e result;

    ck_assert_int_eq(store_pend(calls.store, calls.service, calls_id(1000 + t), fence, pend, NULL,
                                &result, calls.p),
                     APR_SUCCESS);
    return result;
}

store_result_e calls_pend(int t, apr_int64_t fence, apr_interval_time_t span)
{
    store_pend_t pend = calls_make_pend(span, KEEP);

    return calls_send_pend(t, fence, &pend);
}

store_result_e calls_poll(int t, int nonce, apr_interval_time_t lease)
{
    store_result_e result;

    ck_assert_int_eq(store_poll(calls.store, calls.service, calls_id(2000 + t), calls_half(nonce),
                                lease, &result, &calls.tx, calls.p),
                     APR_SUCCESS);
    return result;
}

store_result_e calls_find(int t)
{
    store_result_e result;

    ck_assert_int_eq(
        store_find(calls.store, calls.service, calls_id(1000 + t), &result, &calls.tx, calls.p),
        APR_SUCCESS);
    return result;
}

store_result_e calls_find_certificate(const char *serial)
{
    store_result_e result;

    ck_assert_int_eq(
        store_find_certificate(calls.store, calls.service, serial, &result, &calls.tx, calls.p),
        APR_SUCCESS);
    return result;
}

store_result_e calls_decide_cookie(int t, int approve, const char *cookie,
                                   apr_interval_time_t retention)
{
    store_decision_t decision = {approve, "admin@example", "seen in person", cookie, NULL};
    store_result_e result;

    ck_assert_int_eq(store_decide(calls.store, calls.service, calls_id(1000 + t), &decision,
                                  retention, &result, calls.p),
                     APR_SUCCESS);
    return result;
}

store_result_e calls_decide(int t, int approve, apr_interval_time_t retention)
{
    return calls_decide_cookie(t, approve, "cookie 7", retention);
}

store_result_e calls_revoke(int n)
{
    store_result_e result;

    ck_assert_int_eq(store_revoke(calls.store, calls.service, calls_id(n), &result, calls.p),
                     APR_SUCCESS);
    return result;
}

/* Checks that tx carries transaction t's certificate. */
void calls_check_certificate(int t)
{
    crypt_buf_t want = calls_certificate(t);

    ck_assert_uint_eq(calls.tx.certificate.len, want.len);
    ck_assert_mem_eq(calls.tx.certificate.data, want.data, want.len);
}

store_news_t calls_news[STORE_NEWS_PER_TX];

/* A trail with count pieces of news, whose ids are first and those after it. */
store_trail_t calls_trail(const char *record, int first, int count)
{
    store_trail_t trail = {record, calls_news, count, KEEP};
    int i;

    memset(calls_news, 0, sizeof(calls_news));
    for (i = 0; i < count; i++) {
        calls_news[i].id = calls_id(5000 + first + i);
        calls_news[i].recipient = i ? "intune" : "webhook";
        calls_news[i].payload.data = (const unsigned char *)"pay\0load";
        calls_news[i].payload.len = 8;
    }
    return trail;
}

/* The three changes of transaction t, with a trail. */
store_result_e calls_commit_with(int t, apr_int64_t fence, const store_trail_t *trail)
{
    crypt_buf_t cert = calls_certificate(t);
    store_result_e result;

    ck_assert_int_eq(store_commit(calls.store, calls.service, calls_id(1000 + t), fence, &cert, "",
                                  KEEP, trail, &result, calls.p),
                     APR_SUCCESS);
    return result;
}

store_result_e calls_fail_with(int t, apr_int64_t fence, const store_trail_t *trail)
{
    store_result_e result;

    ck_assert_int_eq(store_fail(calls.store, calls.service, calls_id(1000 + t), fence,
                                STORE_BLAME_NOBODY, "why", KEEP, trail, &result, calls.p),
                     APR_SUCCESS);
    return result;
}

store_result_e calls_pend_with(int t, apr_int64_t fence, const store_pend_t *pend,
                                const store_trail_t *trail)
{
    store_result_e result;

    ck_assert_int_eq(store_pend(calls.store, calls.service, calls_id(1000 + t), fence, pend, trail,
                                &result, calls.p),
                     APR_SUCCESS);
    return result;
}

/* Takes up to max; how many, in *list. */
int calls_take(int max, apr_interval_time_t lease, apr_array_header_t **list)
{
    ck_assert_int_eq(store_take(calls.store, calls.service, max, lease, list, calls.p),
                     APR_SUCCESS);
    return (*list)->nelts;
}

/* Settles news n. */
store_result_e calls_settle(int n, apr_int64_t fence, store_settle_e how,
                             apr_interval_time_t span)
{
    store_result_e result;

    ck_assert_int_eq(store_settle(calls.store, calls.service, calls_id(5000 + n), fence, how, span,
                                  &result, calls.p),
                     APR_SUCCESS);
    return result;
}

/* How many news there are; calls.free_in is the age of the oldest. */
int calls_news_count(void)
{
    apr_time_t oldest;
    int n;

    ck_assert_int_eq(store_outbox(calls.store, calls.service, &n, &oldest, calls.p), APR_SUCCESS);
    ck_assert_int_eq(n == 0, oldest == 0);
    calls.age = apr_time_now() - oldest;
    return n;
}

/* Checks the record of transaction t by find. */
void calls_check_record(int t, const char *record, const char *state)
{
    ck_assert_int_eq(calls_find(t), STORE_OK);
    ck_assert_str_eq(calls.tx.record, record);
    ck_assert_str_eq(calls.tx.record_state, state);
}

/* The transactionIDs of the records in a state, with a space after each. */
const char *calls_records(const char *state, int max)
{
    apr_array_header_t *list;
    const char *all = "";
    int i;

    ck_assert_int_eq(store_records(calls.store, calls.service, state, max, &list, calls.p),
                     APR_SUCCESS);
    for (i = 0; i < list->nelts; i++) {
        store_tx_t *tx = APR_ARRAY_IDX(list, i, store_tx_t *);

        ck_assert_uint_eq(strlen(tx->tx_key), STORE_ID_LEN);
        ck_assert_str_ne(tx->record, "");
        ck_assert(!*state || strcmp(tx->record_state, state) == 0);
        ck_assert(tx->created > 0 && tx->updated >= tx->created && *tx->state);
        all = apr_pstrcat(calls.p, all, tx->transaction_id, " ", NULL);
    }
    return all;
}
