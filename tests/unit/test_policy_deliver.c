/* SPDX-License-Identifier: Apache-2.0 */
/* Several deliveries at once: how many, in which order, and what one that hangs or fails does to
 * the others.  The outbox is SQLite's. */
#include "../../policy/policy_deliver.h"
#include "policy_fixture.h"
#include <apr_strings.h>
#include <pthread.h>
#include <string.h>

Suite *test_policy_deliver_suite(void);

#define MOST 4
#define MANY 70 /* more than are taken at once */

static policy_fixture_t *f;

/* The other end. */
static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int number;          /* of the next transaction */
    int inside, highest; /* deliveries under way, and the most of them */
    int meet;            /* deliveries wait until so many are under way */
    int hangs, fails;    /* the number of one that is not answered, refused; -1: none */
    int calls, arrived[MANY], pending[MANY];
} peer;

static apr_status_t stub_verify(void *instance, const policy_tx_t *tx,
                                policy_attributes_t *attributes, outcome_t *out,
                                const log_sink_t *log, apr_pool_t *p)
{
    (void)instance, (void)tx, (void)attributes, (void)out, (void)log, (void)p;
    return APR_SUCCESS;
}

/* "p7": transaction 7 waits; "7": it has ended. */
static apr_status_t stub_notify(void *instance, const policy_tx_t *tx, const policy_event_t *event,
                                const char **news, outcome_t *out, const log_sink_t *log,
                                apr_pool_t *p)
{
    (void)instance, (void)tx, (void)out, (void)log;
    *news = apr_psprintf(p, "%s%d", event->event == POLICY_EVENT_PENDING ? "p" : "", peer.number);
    return APR_SUCCESS;
}

/* Waits until so many are here, or five seconds. */
static void meet(int number)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 5;
    peer.inside++;
    if (peer.inside > peer.highest)
        peer.highest = peer.inside;
    pthread_cond_broadcast(&peer.changed);
    while (peer.highest < peer.meet || number == peer.hangs) {
        if (number == peer.hangs && peer.calls >= MANY)
            break;
        if (pthread_cond_timedwait(&peer.changed, &peer.mutex, &until) != 0)
            break;
    }
    peer.inside--;
}

static apr_status_t stub_deliver(void *instance, const char *news, apr_time_t deadline,
                                 outcome_t *out, const log_sink_t *log, apr_pool_t *p)
{
    int is_pending = *news == 'p', number = atoi(news + is_pending);
    apr_status_t rv = number == peer.fails || number == peer.hangs ? APR_TIMEUP : APR_SUCCESS;

    (void)instance, (void)log, (void)deadline;
    pthread_mutex_lock(&peer.mutex);
    peer.calls++;
    meet(number);
    if (rv == APR_SUCCESS && is_pending)
        peer.pending[number] = ++peer.arrived[number];
    else if (rv == APR_SUCCESS)
        peer.arrived[number]++;
    pthread_mutex_unlock(&peer.mutex);
    outcome_unavailable(out, "stub", 0, p, "the peer says no");
    return rv;
}

static int stub_deliveries(const void *instance)
{
    (void)instance;
    return MOST;
}

static const policy_provider_t wide = {.name = "wide", .verify = stub_verify, .notify = stub_notify,
                                       .deliver = stub_deliver, .deliveries = stub_deliveries};
static const policy_provider_t narrow = {.name = "narrow", .verify = stub_verify,
                                         .notify = stub_notify, .deliver = stub_deliver};

static void setup(void)
{
    policy_fixture_setup();
    f = policy_fixture();
    memset(&peer, 0, sizeof(peer));
    pthread_mutex_init(&peer.mutex, NULL);
    pthread_cond_init(&peer.changed, NULL);
    peer.hangs = peer.fails = -1;
}

/* Starts, and leaves the news of so many transactions. */
static void start(const policy_provider_t *provider, int n)
{
    ck_assert_ptr_null(policy_add(f->policy, provider, 0, NULL, f->p));
    policy_fixture_start();
    for (peer.number = 0; peer.number < n; peer.number++) {
        policy_fixture_request(NULL, NULL);
        ck_assert_int_eq(policy_fixture_ask(), APR_SUCCESS);
        ck_assert_int_eq(policy_fixture_finish(POLICY_EVENT_ISSUED), APR_SUCCESS);
    }
}

/* One round; how many were delivered. */
static int work(void)
{
    policy_work_t how = {0};
    int done = -1;

    how.deadline = apr_time_now() + apr_time_from_sec(15);
    how.holder = "host";
    policy_work(f->policy, &how, &done, f->sink, f->p);
    return done;
}

/* How many news the store still has. */
static int left(void)
{
    apr_time_t oldest;
    int count;

    ck_assert_int_eq(store_outbox(f->cfg.store, f->cfg.service, &count, &oldest, f->p),
                     APR_SUCCESS);
    return count;
}

START_TEST(several_at_once)
{
    int i;

    start(&wide, MANY);
    peer.meet = MOST;
    ck_assert_int_eq(work(), MANY);
    ck_assert_int_eq(peer.highest, MOST);
    for (i = 0; i < MANY; i++)
        ck_assert_int_eq(peer.arrived[i], 1);
    ck_assert_int_eq(left(), 0);
}
END_TEST

START_TEST(one_at_a_time)
{
    start(&narrow, 5);
    ck_assert_int_eq(work(), 5);
    ck_assert_int_eq(peer.highest, 1);
}
END_TEST

/* All others arrive while one is not answered; it alone is left, and nobody says that the peer is
 * down. */
START_TEST(one_hangs)
{
    start(&wide, MANY);
    peer.hangs = 3;
    ck_assert_int_eq(work(), MANY - 1);
    ck_assert_int_eq(peer.calls, MANY);
    ck_assert_int_eq(left(), 1);
    ck_assert_ptr_nonnull(strstr(fixture_log_text(f->sink), "SCEP0285"));
    ck_assert_ptr_null(strstr(fixture_log_text(f->sink), "SCEP0286"));
    ck_assert_int_eq(f->policy->worker->targets[0].failing, 0);
}
END_TEST

/* A peer that refuses all costs no more calls than are made at once. */
START_TEST(peer_is_down)
{
    int i;

    start(&wide, 1);
    peer.fails = 0;
    ck_assert_int_eq(work(), 0);
    ck_assert_int_eq(f->policy->worker->targets[0].failing, 1);
    peer.calls = 0;
    for (i = 0; i < 20; i++) {
        peer.number = 0; /* all of them are refused */
        policy_fixture_request(NULL, NULL);
        ck_assert_int_eq(policy_fixture_ask(), APR_SUCCESS);
        ck_assert_int_eq(policy_fixture_finish(POLICY_EVENT_ISSUED), APR_SUCCESS);
    }
    f->policy->worker->next_look = 0;
    ck_assert_int_eq(work(), 0);
    ck_assert_int_eq(peer.calls, 1); /* it failed before: one asks whether it is back */
    ck_assert_int_eq(left(), 21);
}
END_TEST

/* What waits is told before what came of it, although both are due and threads are idle. */
START_TEST(order_of_a_transaction)
{
    policy_event_t event = {0};

    ck_assert_ptr_null(policy_add(f->policy, &wide, 0, NULL, f->p));
    policy_fixture_start();
    policy_fixture_request(NULL, NULL);
    ck_assert_int_eq(policy_fixture_ask(), APR_SUCCESS);
    event.event = POLICY_EVENT_PENDING; /* for a person */
    ck_assert_int_eq(policy_finish(f->tx, &event, &f->out, f->sink, f->p), APR_SUCCESS);
    apr_sleep(apr_time_from_msec(3));
    ck_assert_int_eq(policy_decide(f->policy, f->tx->tx_key, 0, "admin", "no", &f->out, f->sink,
                                   f->p),
                     APR_SUCCESS);
    ck_assert_int_eq(left(), 2);
    while (left() > 0) {
        f->policy->worker->next_look = 0;
        work();
    }
    ck_assert_int_eq(peer.pending[0], 1);
    ck_assert_int_eq(peer.arrived[0], 2);
}
END_TEST

/* See policy_work_t. */
static int has_called(void *baton)
{
    (void)baton;
    return peer.calls > 0;
}

/* Late news that the process' end cuts are not lost: the next round tries them. */
START_TEST(late_at_the_end)
{
    policy_work_t how = {0};
    int done = -1;

    f->cfg.news_lifetime = 1;
    start(&wide, 1);
    apr_sleep(apr_time_from_msec(5));
    peer.fails = 0;
    how.deadline = apr_time_now() + apr_time_from_sec(15);
    how.holder = "host";
    how.stopping = has_called;
    policy_work(f->policy, &how, &done, f->sink, f->p);
    ck_assert_int_eq(peer.calls, 1);
    ck_assert_int_eq(left(), 1);
    f->policy->worker->next_look = 0;
    ck_assert_int_eq(work(), 0); /* it says no: that is the end */
    ck_assert_int_eq(left(), 0);
}
END_TEST

/* Late news of a peer that is down do not cost a time limit each. */
START_TEST(late_and_down)
{
    int i;

    f->cfg.news_lifetime = 1;
    start(&narrow, 1);
    for (i = 0; i < 5; i++) {
        peer.number = 0; /* all of them are refused */
        policy_fixture_request(NULL, NULL);
        ck_assert_int_eq(policy_fixture_ask(), APR_SUCCESS);
        ck_assert_int_eq(policy_fixture_finish(POLICY_EVENT_ISSUED), APR_SUCCESS);
    }
    apr_sleep(apr_time_from_msec(5));
    peer.fails = 0;
    ck_assert_int_eq(work(), 0);
    ck_assert_int_eq(peer.calls, 1);
    ck_assert_int_eq(left(), 0);
}
END_TEST

Suite *test_policy_deliver_suite(void)
{
    Suite *suite = suite_create("policy_deliver");
    TCase *tc = tcase_create("policy_deliver");

    tcase_add_checked_fixture(tc, setup, fixture_teardown);
    tcase_set_timeout(tc, 40);
    tcase_add_test(tc, several_at_once);
    tcase_add_test(tc, one_at_a_time);
    tcase_add_test(tc, one_hangs);
    tcase_add_test(tc, peer_is_down);
    tcase_add_test(tc, order_of_a_transaction);
    tcase_add_test(tc, late_at_the_end);
    tcase_add_test(tc, late_and_down);
    suite_add_tcase(suite, tc);
    return suite;
}
