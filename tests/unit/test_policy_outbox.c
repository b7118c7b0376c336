/* SPDX-License-Identifier: Apache-2.0 */
/* The outbox: what is kept with a transaction's end, and how policy_work() delivers it. */
#include "../../policy/policy_outbox.h"
#include "policy_fixture.h"
#include <apr_strings.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

Suite *test_policy_outbox_suite(void);

#define NEWS_TEXT "the word of this transaction"
#define MAX 20

static policy_fixture_t *f;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER; /* recipients are served at once */

/* A store whose outbox does as it is told; all else is SQLite's. */
static struct {
    store_provider_t provider;
    const store_provider_t *real;
    store_news_t kept[MAX]; /* by commit, fail and pend */
    int nkept;
    const char *record;
    apr_interval_time_t lifetime;
    store_news_t due[MAX]; /* what take gives */
    int ndue, takes;
    apr_status_t take, settle;
    store_settle_e how[MAX]; /* what settle was told */
    apr_interval_time_t wait[MAX];
    int nsettled;
    store_result_e lease;
    apr_interval_time_t leases[MAX];
    int nleases;
} fake;

/* Two providers that leave news. */
static struct {
    const char *news; /* NULL: none */
    apr_status_t forbids; /* of the second, with ISSUED */
    policy_event_e told[2][MAX];
    int ntold[2];
    apr_status_t deliver;
    apr_interval_time_t retry_after;
    const char *delivered[MAX];
    int ndelivered, works, stopping;
    apr_interval_time_t next;
} stub;

/* Remembers a trail. */
static void remember(const store_trail_t *trail)
{
    int i;

    for (i = 0; trail && i < trail->nnews; i++)
        fake.kept[fake.nkept++] = trail->news[i];
    if (trail && *trail->record)
        fake.record = apr_pstrdup(f->p, trail->record);
    if (trail)
        fake.lifetime = trail->news_lifetime;
}

static apr_status_t fake_commit(store_t *store, const char *service, const char *tx_key,
                                apr_int64_t fence, const crypt_buf_t *certificate,
                                const char *serial, apr_interval_time_t retention,
                                const store_trail_t *trail, store_result_e *result, apr_pool_t *p)
{
    remember(trail);
    return fake.real->commit(store, service, tx_key, fence, certificate, serial, retention, NULL,
                             result, p);
}

static apr_status_t fake_fail(store_t *store, const char *service, const char *tx_key,
                              apr_int64_t fence, store_blame_e blame, const char *reason,
                              apr_interval_time_t retention, const store_trail_t *trail,
                              store_result_e *result, apr_pool_t *p)
{
    remember(trail);
    return (fake.real->fail)(store, service, tx_key, fence, blame, reason, retention, NULL, result,
                             p);
}

static apr_status_t fake_pend(store_t *store, const char *service, const char *tx_key,
                              apr_int64_t fence, const store_pend_t *pend,
                              const store_trail_t *trail, store_result_e *result, apr_pool_t *p)
{
    remember(trail);
    return fake.real->pend(store, service, tx_key, fence, pend, NULL, result, p);
}

static apr_status_t fake_take(store_t *store, const char *service, int max,
                              apr_interval_time_t lease, apr_array_header_t **pnews, apr_pool_t *p)
{
    int i;

    (void)store, (void)service, (void)max, (void)lease, (void)p;
    fake.takes++;
    for (i = 0; i < fake.ndue; i++)
        APR_ARRAY_PUSH(*pnews, store_news_t *) = &fake.due[i];
    fake.ndue = 0;
    return fake.take;
}

static apr_status_t fake_settle(store_t *store, const char *service, const char *news_id,
                                apr_int64_t fence, store_settle_e how, apr_interval_time_t wait,
                                store_result_e *result, apr_pool_t *p)
{
    (void)store, (void)service, (void)news_id, (void)fence, (void)p;
    pthread_mutex_lock(&gate);
    fake.how[fake.nsettled] = how;
    fake.wait[fake.nsettled++] = wait;
    pthread_mutex_unlock(&gate);
    *result = STORE_OK;
    return fake.settle;
}

static apr_status_t fake_lease(store_t *store, const char *service, const char *name,
                               const char *holder, apr_interval_time_t lease,
                               store_result_e *result, apr_pool_t *p)
{
    (void)store, (void)service, (void)p;
    ck_assert_str_eq(name, "work:one#1");
    ck_assert_str_eq(holder, "host");
    fake.leases[fake.nleases++] = lease;
    *result = fake.lease;
    return APR_SUCCESS;
}

static apr_status_t stub_verify(void *instance, const policy_tx_t *tx,
                                policy_attributes_t *attributes, outcome_t *out,
                                const log_sink_t *log, apr_pool_t *p)
{
    (void)instance, (void)tx, (void)out, (void)log, (void)p;
    attributes->device = "phone-7";
    return APR_SUCCESS;
}

static apr_status_t notify(int who, const policy_event_t *event, const char **news)
{
    stub.told[who][stub.ntold[who]++] = event->event;
    *news = stub.news;
    return APR_SUCCESS;
}

static apr_status_t notify_one(void *instance, const policy_tx_t *tx, const policy_event_t *event,
                               const char **news, outcome_t *out, const log_sink_t *log,
                               apr_pool_t *p)
{
    (void)instance, (void)tx, (void)out, (void)log, (void)p;
    return notify(0, event, news);
}

static apr_status_t notify_two(void *instance, const policy_tx_t *tx, const policy_event_t *event,
                               const char **news, outcome_t *out, const log_sink_t *log,
                               apr_pool_t *p)
{
    (void)instance, (void)tx, (void)log;
    notify(1, event, news);
    if (event->event != POLICY_EVENT_ISSUED || stub.forbids == APR_SUCCESS)
        return APR_SUCCESS;
    if (stub.forbids == APR_EACCES)
        outcome_refuse(out, FAIL_INFO_BAD_REQUEST, 0, "stub-forbids", "No.", p, "no");
    return stub.forbids;
}

static apr_status_t stub_deliver(void *instance, const char *news, apr_time_t deadline,
                                 outcome_t *out, const log_sink_t *log, apr_pool_t *p)
{
    (void)instance, (void)log;
    ck_assert(deadline > apr_time_now());
    pthread_mutex_lock(&gate);
    stub.delivered[stub.ndelivered++] = apr_pstrdup(f->p, news);
    pthread_mutex_unlock(&gate);
    outcome_unavailable(out, "stub", stub.retry_after, p, "the peer says no");
    return stub.deliver;
}

static apr_interval_time_t stub_work(void *instance, const policy_work_t *work,
                                     const log_sink_t *log, apr_pool_t *p)
{
    (void)instance, (void)work, (void)log, (void)p;
    stub.works++;
    return stub.next;
}

static int stub_stopping(void *baton)
{
    (void)baton;
    return stub.stopping;
}

static const policy_provider_t one = {.name = "one", .verify = stub_verify, .notify = notify_one,
                                      .deliver = stub_deliver};
static const policy_provider_t worker = {.name = "one", .verify = stub_verify, .work = stub_work};
static const policy_provider_t two = {.name = "two", .verify = stub_verify, .notify = notify_two,
                                      .deliver = stub_deliver};

/* Takes over the store's outbox. */
static void setup(void)
{
    policy_fixture_setup();
    f = policy_fixture();
    memset(&fake, 0, sizeof(fake));
    memset(&stub, 0, sizeof(stub));
    fake.real = f->cfg.store->provider;
    fake.provider = *fake.real;
    fake.provider.commit = fake_commit;
    fake.provider.fail = fake_fail;
    fake.provider.pend = fake_pend;
    fake.provider.take = fake_take;
    fake.provider.settle = fake_settle;
    fake.provider.lease = fake_lease;
    f->cfg.store->provider = &fake.provider;
    stub.news = NEWS_TEXT;
}

static void teardown(void)
{
    f->cfg.store->provider = fake.real;
    fixture_teardown();
}

/* Starts with a chain. */
static void start(const policy_provider_t *a, const policy_provider_t *b)
{
    ck_assert_ptr_null(policy_add(f->policy, a, 0, NULL, f->p));
    if (b)
        ck_assert_ptr_null(policy_add(f->policy, b, 0, NULL, f->p));
    policy_fixture_start();
}

/* A transaction that ends so. */
static apr_status_t end_with(policy_event_e event)
{
    policy_fixture_request(NULL, NULL);
    ck_assert_int_eq(policy_fixture_ask(), APR_SUCCESS);
    return policy_fixture_finish(event);
}

/* Makes what was kept due. */
static void make_due(int tries, int late)
{
    int i;

    for (i = 0; i < fake.nkept; i++) {
        store_news_t *news = &fake.due[i];

        *news = fake.kept[i];
        news->tx_key = f->tx->tx_key;
        news->fence = 1;
        news->tries = tries;
        news->late = late;
    }
    fake.ndue = fake.nkept;
}

/* One round; the interval that policy_work() returns. */
static apr_interval_time_t work(int *done)
{
    policy_work_t how = {0};
    int unused;

    how.deadline = apr_time_now() + apr_time_from_sec(10);
    how.holder = "host";
    how.stopping = stub_stopping;
    return policy_work(f->policy, &how, done ? done : &unused, f->sink, f->p);
}

/* How often a tag was logged. */
static int logged(const char *tag)
{
    const char *at = fixture_log_text(f->sink);
    int n = 0;

    for (; (at = strstr(at, tag)) != NULL; at++)
        n++;
    return n;
}

static const struct {
    policy_event_e event;
    int kept;
} event_cases[] = {{POLICY_EVENT_ISSUED, 1},
                   {POLICY_EVENT_PENDING, 1},
                   {POLICY_EVENT_REFUSED, 1},
                   {POLICY_EVENT_TRANSIENT, 1},
                   {POLICY_EVENT_UNKNOWN, 0}};

START_TEST(kept_with_the_end)
{
    const store_news_t *news = &fake.kept[0];
    apr_size_t i;

    start(&one, NULL);
    ck_assert_int_eq(end_with(event_cases[_i].event), APR_SUCCESS);
    ck_assert_int_eq(fake.nkept, event_cases[_i].kept);
    ck_assert_int_eq(stub.ntold[0], 1);
    if (!event_cases[_i].kept)
        return;
    ck_assert_str_eq(news->recipient, "one#1");
    ck_assert_uint_eq(strlen(news->id), STORE_ID_LEN);
    ck_assert(fake.lifetime == f->cfg.news_lifetime);
    ck_assert_str_eq(news->id, policy_news_id(f->tx, NULL, event_cases[_i].event, f->p));
    for (i = 0; i + 8 < news->payload.len; i++)
        ck_assert(memcmp(news->payload.data + i, "the word", 8) != 0);
    ck_assert_int_eq(fake.record != NULL, event_cases[_i].event == POLICY_EVENT_ISSUED);
}
END_TEST

START_TEST(no_news)
{
    start(&one, NULL);
    stub.news = NULL;
    ck_assert_int_eq(end_with(POLICY_EVENT_ISSUED), APR_SUCCESS);
    ck_assert_int_eq(fake.nkept, 0);
    ck_assert_int_eq(f->tx->news, 0);
    ck_assert_ptr_nonnull(fake.record);
}
END_TEST

/* The same news have the same id, others another one. */
START_TEST(ids)
{
    const char *id;

    start(&one, &two);
    ck_assert_int_eq(end_with(POLICY_EVENT_REFUSED), APR_SUCCESS);
    ck_assert_int_eq(fake.nkept, 2);
    ck_assert_str_ne(fake.kept[0].id, fake.kept[1].id);
    ck_assert_str_eq(fake.kept[1].recipient, "two#1");
    id = fake.kept[0].id;
    ck_assert_int_eq(policy_fixture_ask(), APR_SUCCESS); /* the same request again */
    ck_assert_int_eq(policy_fixture_finish(POLICY_EVENT_REFUSED), APR_SUCCESS);
    ck_assert_str_eq(fake.kept[2].id, id);
    ck_assert_int_eq(policy_fixture_ask(), APR_SUCCESS);
    ck_assert_int_eq(policy_fixture_finish(POLICY_EVENT_ISSUED), APR_SUCCESS);
    ck_assert_str_ne(fake.kept[4].id, id);
    f->cfg.service = "other";
    ck_assert_str_ne(policy_news_id(f->tx, NULL, POLICY_EVENT_REFUSED, f->p), id);
    ck_assert_ptr_null(policy_news_id(f->tx, "nobody's", POLICY_EVENT_REFUSED, f->p));
}
END_TEST

START_TEST(record)
{
    static const crypt_buf_t text = {(const unsigned char *)"certificate", 11};
    const char *thumbprint;

    start(&one, NULL);
    policy_fixture_request(NULL, NULL);
    f->request.transaction_id = "t\"1\x01\n";
    ck_assert_int_eq(policy_fixture_ask(), APR_SUCCESS);
    f->tx->store_tx.challenge.bound = "{\"device\":\"other\",\"user\":\"u7@corp\"}";
    ck_assert_int_eq(policy_fixture_finish(POLICY_EVENT_ISSUED), APR_SUCCESS);
    ck_assert_ptr_nonnull(strstr(fake.record, "\"transactionID\":\"t\\\"1  \""));
    ck_assert_ptr_nonnull(strstr(fake.record, "\"serial\":\"0a0b\""));
    ck_assert_ptr_nonnull(strstr(fake.record, "\"device\":\"phone-7\""));
    ck_assert_ptr_nonnull(strstr(fake.record, "\"user\":\"u7@corp\""));
    ck_assert_ptr_nonnull(strstr(fake.record, "\"subject\":\"CN=device"));
    ck_assert_ptr_nonnull(strstr(fake.record, "\"template\":\"Device\""));
    thumbprint = strstr(fake.record, "\"thumbprint\":\"");
    ck_assert_ptr_nonnull(thumbprint);
    ck_assert_uint_eq(strspn(thumbprint + 14, "0123456789ABCDEF"), 40);
    /* printf certificate | sha1sum */
    ck_assert_str_eq(policy_thumbprint(&text, f->p), "735AD571C189D7BA84464BF4A9F1D2280175B128");
    ck_assert_str_eq(f->tx->record, fake.record);
    ck_assert_int_eq(f->tx->news, 1);
}
END_TEST

START_TEST(too_long_news_are_no_yes)
{
    char *text = apr_pcalloc(f->p, STORE_NEWS_MAX + 1);

    stub.news = memset(text, 'a', STORE_NEWS_MAX);
    start(&one, NULL);
    ck_assert_int_eq(end_with(POLICY_EVENT_ISSUED), APR_ENOSPC);
    ck_assert_int_eq(f->out.result, OUTCOME_UNAVAILABLE);
    ck_assert(f->tx->forbidden);
    ck_assert_int_eq(fake.nkept, 0);
    ck_assert_ptr_null(fake.record);
    ck_assert_int_ge(logged("SCEP0293"), 1);
}
END_TEST

/* Who was told of a certificate hears that it is none. */
START_TEST(forbidden)
{
    static const apr_status_t statuses[] = {APR_EACCES, APR_EGENERAL};
    policy_event_e end = _i == 0 ? POLICY_EVENT_REFUSED : POLICY_EVENT_TRANSIENT;

    start(&one, &two);
    stub.forbids = statuses[_i];
    ck_assert_int_eq(end_with(POLICY_EVENT_ISSUED), statuses[_i]);
    ck_assert_int_eq(stub.ntold[0], 2);
    ck_assert_int_eq(stub.told[0][1], end);
    ck_assert_int_eq(stub.ntold[1], 1);
    ck_assert_int_eq(fake.nkept, 1);
    ck_assert_str_eq(fake.kept[0].recipient, "one#1");
    ck_assert_str_eq(fake.kept[0].id, policy_news_id(f->tx, NULL, end, f->p));
    ck_assert_ptr_null(fake.record);
}
END_TEST

START_TEST(a_secret_is_needed)
{
    const char *error;

    f->cfg.secret_may_be_made = 0;
    ck_assert_ptr_null(policy_add(f->policy, &one, 0, NULL, f->p));
    error = policy_prepare(f->policy, geteuid(), getegid(), f->sink, f->p);
    ck_assert_ptr_nonnull(error);
    ck_assert_ptr_nonnull(strstr(error, "needs the challenge secret"));
}
END_TEST

START_TEST(delivered)
{
    int done, takes;

    start(&one, NULL);
    end_with(POLICY_EVENT_ISSUED);
    make_due(1, 0);
    ck_assert(work(&done) <= apr_time_from_sec(1));
    takes = fake.takes; /* once, and while the delivery is under way */
    ck_assert_int_eq(done, 1);
    ck_assert_int_eq(stub.ndelivered, 1);
    ck_assert_str_eq(stub.delivered[0], NEWS_TEXT);
    ck_assert_int_eq(fake.nsettled, 1);
    ck_assert_int_eq(fake.how[0], STORE_NEWS_DONE);
    ck_assert(work(&done) > 0); /* not due yet: the store is not asked */
    ck_assert_int_eq(fake.takes, takes);
    ck_assert_ptr_null(strstr(fixture_log_text(f->sink), NEWS_TEXT));
}
END_TEST

static const struct {
    int tries, retry_after, least; /* seconds */
} wait_cases[] = {{1, 0, 5},   {2, 0, 10},  {3, 0, 20},   {8, 0, 600},
                  {90, 0, 600}, {1, 77, 77}, {9, 77, 77}, {1, 90000, 3600}};

START_TEST(failing)
{
    apr_interval_time_t least = apr_time_from_sec(wait_cases[_i].least);

    start(&one, NULL);
    end_with(POLICY_EVENT_ISSUED);
    stub.deliver = APR_ECONNREFUSED;
    stub.retry_after = apr_time_from_sec(wait_cases[_i].retry_after);
    make_due(wait_cases[_i].tries, 0);
    work(NULL);
    ck_assert_int_eq(fake.nsettled, 1);
    ck_assert_int_eq(fake.how[0], STORE_NEWS_AGAIN);
    ck_assert(fake.wait[0] >= least && fake.wait[0] <= least + least / 4);
    ck_assert_int_eq(logged("SCEP0285"), 1);
    ck_assert_ptr_nonnull(strstr(fixture_log_text(f->sink), "the peer says no"));
}
END_TEST

/* One call says that a peer is down. */
START_TEST(failing_peer_is_left_alone)
{
    start(&one, &two);
    end_with(POLICY_EVENT_ISSUED);
    end_with(POLICY_EVENT_ISSUED);
    stub.deliver = APR_TIMEUP;
    make_due(1, 0);
    work(NULL);
    ck_assert_int_eq(stub.ndelivered, 2); /* one for each of the two recipients */
    ck_assert_int_eq(fake.nsettled, 4);
    ck_assert(fake.wait[3] >= apr_time_from_sec(5));
}
END_TEST

START_TEST(never)
{
    const char *line;

    start(&one, NULL);
    end_with(POLICY_EVENT_ISSUED);
    stub.deliver = APR_EINVAL;
    make_due(1, 0);
    work(NULL);
    ck_assert_int_eq(fake.how[0], STORE_NEWS_LOST);
    line = strstr(fixture_log_text(f->sink), "SCEP0283");
    ck_assert_ptr_nonnull(line);
    ck_assert_ptr_nonnull(strstr(line, f->request.transaction_id));
    ck_assert_ptr_nonnull(strstr(line, "one#1"));
    ck_assert_ptr_nonnull(strstr(line, "the peer says no"));
    ck_assert_ptr_null(strstr(fixture_log_text(f->sink), NEWS_TEXT));
}
END_TEST

START_TEST(late)
{
    start(&one, NULL);
    end_with(POLICY_EVENT_ISSUED);
    stub.deliver = _i ? APR_TIMEUP : APR_SUCCESS;
    make_due(5, 1);
    work(NULL);
    ck_assert_int_eq(stub.ndelivered, 1); /* a last try */
    ck_assert_int_eq(fake.how[0], _i ? STORE_NEWS_LOST : STORE_NEWS_DONE);
    ck_assert_int_eq(logged("SCEP0283"), _i);
}
END_TEST

enum { NOBODY, OTHER, TAMPERED, SHORT };

/* What this host cannot deliver may be another one's. */
START_TEST(undeliverable_is_kept)
{
    int i, lost = 0;

    start(&one, &two);
    end_with(POLICY_EVENT_ISSUED);
    fake.nkept = 1;
    end_with(POLICY_EVENT_REFUSED);
    fake.nkept = 2;
    make_due(1, 0);
    for (i = 0; i < 2; i++) {
        store_news_t *news = &fake.due[i];

        if (_i == NOBODY)
            news->recipient = "gone#1";
        if (_i == OTHER)
            news->recipient = "two#1";
        if (_i == TAMPERED)
            ((unsigned char *)news->payload.data)[news->payload.len - 20] ^= 1;
        if (_i == SHORT)
            news->payload.len = 3;
    }
    fake.due[2] = fake.due[0];
    fake.due[2].late = 1;
    fake.ndue = 3;
    work(NULL);
    ck_assert_int_eq(stub.ndelivered, 0);
    ck_assert_int_eq(fake.nsettled, 3);
    for (i = 0; i < 3; i++) { /* in any order */
        lost += fake.how[i] == STORE_NEWS_LOST;
        ck_assert(fake.how[i] == STORE_NEWS_LOST ||
                  (fake.how[i] == STORE_NEWS_UNTRIED && fake.wait[i] >= apr_time_from_sec(60)));
    }
    ck_assert_int_eq(lost, 1);
    ck_assert_int_eq(logged("SCEP0284"), 1);
    ck_assert_int_eq(logged("SCEP0283"), 1);
}
END_TEST

/* The secret is changed: current becomes previous. */
START_TEST(previous_secret)
{
    static const char first[] = "0123456789abcdef0123456789abcdef";
    const char *dir = fixture_directory(f->p);
    policy_t *again = policy_make(&f->cfg, f->p);

    f->cfg.secret_file = fixture_file(f->p, dir, "secret", first, 0600);
    start(&one, NULL);
    end_with(POLICY_EVENT_ISSUED);
    fixture_file(f->p, dir, "secret",
                 apr_pstrcat(f->p, _i ? "" : "fedcba9876543210fedcba9876543210\n",
                             _i ? "fedcba9876543210fedcba9876543210" : first, NULL), 0600);
    f->policy = again;
    start(&one, NULL);
    make_due(1, 0);
    work(NULL);
    ck_assert_int_eq(fake.how[0], _i ? STORE_NEWS_UNTRIED : STORE_NEWS_DONE);
    ck_assert_int_eq(stub.ndelivered, _i ? 0 : 1);
}
END_TEST

START_TEST(stops_at_once)
{
    start(&one, NULL);
    end_with(POLICY_EVENT_ISSUED);
    make_due(1, 0);
    stub.stopping = 1;
    work(NULL);
    ck_assert_int_eq(stub.ndelivered, 0);
    ck_assert_int_eq(fake.how[0], STORE_NEWS_UNTRIED);
    ck_assert(fake.wait[0] == 0);
}
END_TEST

START_TEST(store_is_down)
{
    apr_interval_time_t first, second;

    start(&one, NULL);
    fake.take = APR_ECONNREFUSED;
    first = work(NULL);
    ck_assert(first > 0 && first <= apr_time_from_sec(1));
    apr_sleep(first);
    second = work(NULL);
    ck_assert(second > apr_time_from_msec(1500) && second <= apr_time_from_sec(2));
    ck_assert_int_eq(logged("4 SCEP0288"), 1);
}
END_TEST

/* Delivered, but the store does not hear it: it will arrive again, and the log says so. */
START_TEST(settle_is_lost)
{
    start(&one, NULL);
    end_with(POLICY_EVENT_ISSUED);
    make_due(1, 0);
    fake.settle = APR_TIMEUP;
    work(NULL);
    ck_assert_int_eq(fake.nsettled, 2);
    ck_assert_int_eq(logged("SCEP0281"), 1);
}
END_TEST

START_TEST(work_under_a_lease)
{
    start(&worker, NULL);
    stub.next = apr_time_from_sec(100);
    ck_assert(work(NULL) > apr_time_from_sec(99));
    ck_assert_int_eq(stub.works, 1);
    ck_assert_int_eq(fake.nleases, 2);
    ck_assert(fake.leases[0] >= apr_time_from_sec(120));
    ck_assert(fake.leases[1] > stub.next); /* so the same host goes on */
    work(NULL);
    ck_assert_int_eq(stub.works, 1); /* not due */
}
END_TEST

START_TEST(work_of_another_host)
{
    start(&worker, NULL);
    fake.lease = STORE_BUSY;
    ck_assert(work(NULL) <= apr_time_from_sec(30));
    ck_assert_int_eq(stub.works, 0);
    ck_assert_int_eq(fake.nleases, 1);
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

Suite *test_policy_outbox_suite(void)
{
    Suite *suite = suite_create("policy_outbox");
    TCase *tc = tcase_create("policy_outbox");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 20);
    tcase_add_loop_test(tc, kept_with_the_end, 0, COUNT(event_cases));
    tcase_add_test(tc, no_news);
    tcase_add_test(tc, ids);
    tcase_add_test(tc, record);
    tcase_add_test(tc, too_long_news_are_no_yes);
    tcase_add_loop_test(tc, forbidden, 0, 2);
    tcase_add_test(tc, a_secret_is_needed);
    tcase_add_test(tc, delivered);
    tcase_add_loop_test(tc, failing, 0, COUNT(wait_cases));
    tcase_add_test(tc, failing_peer_is_left_alone);
    tcase_add_test(tc, never);
    tcase_add_loop_test(tc, late, 0, 2);
    tcase_add_loop_test(tc, undeliverable_is_kept, 0, SHORT + 1);
    tcase_add_loop_test(tc, previous_secret, 0, 2);
    tcase_add_test(tc, stops_at_once);
    tcase_add_test(tc, store_is_down);
    tcase_add_test(tc, settle_is_lost);
    tcase_add_test(tc, work_under_a_lease);
    tcase_add_test(tc, work_of_another_host);
    suite_add_tcase(suite, tc);
    return suite;
}
