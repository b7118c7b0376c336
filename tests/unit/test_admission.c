/* SPDX-License-Identifier: Apache-2.0 */
/* Who works, who waits and who is sent away, with real threads; no test depends on how fast. */
#include "../../common/admission.h"
#include "fixture.h"

#include <apr_atomic.h>
#include <apr_thread_proc.h>

Suite *test_admission_suite(void);

#define LONG apr_time_from_sec(120)
#define SHORT apr_time_from_msec(20)

static admission_t *gate;
static volatile apr_uint32_t turns;

static void make(int max, int queue, apr_interval_time_t wait)
{
    apr_atomic_set32(&turns, 0); /* of the tests before, where all are in one process */
    ck_assert_int_eq(admission_make(&gate, max, queue, wait, fixture_pool()), APR_SUCCESS);
}

static apr_status_t enter(int *queued)
{
    return admission_enter(gate, queued, fixture_pool());
}

static void expect(int running, int waiting)
{
    int r, w;

    admission_count(gate, &r, &w);
    ck_assert_int_eq(r, running);
    ck_assert_int_eq(w, waiting);
}

/* Returns when so many wait. */
static void until_waiting(int number)
{
    int running, waiting;

    do {
        apr_sleep(1000);
        admission_count(gate, &running, &waiting);
    } while (waiting != number);
}

/* A thread that enters; it leaves when it is told to. */
typedef struct guest_t {
    apr_thread_t *thread;
    apr_pool_t *pool;
    apr_status_t rv;
    int queued, order;
} guest_t;

static void *APR_THREAD_FUNC visit(apr_thread_t *thread, void *data)
{
    guest_t *guest = data;

    (void)thread;
    guest->rv = admission_enter(gate, &guest->queued, guest->pool);
    if (guest->rv == APR_SUCCESS) {
        guest->order = (int)apr_atomic_inc32(&turns);
        admission_leave(gate);
    }
    return NULL;
}

static void start(guest_t *guest)
{
    ck_assert_int_eq(apr_pool_create(&guest->pool, NULL), APR_SUCCESS);
    ck_assert_int_eq(apr_thread_create(&guest->thread, NULL, visit, guest, fixture_pool()),
                     APR_SUCCESS);
}

static void join(guest_t *guest)
{
    apr_status_t rv;

    ck_assert_int_eq(apr_thread_join(&rv, guest->thread), APR_SUCCESS);
    apr_pool_destroy(guest->pool);
}

START_TEST(free_places)
{
    int queued;

    make(2, 1, LONG);
    ck_assert_int_eq(enter(&queued), APR_SUCCESS);
    ck_assert_int_eq(queued, 0);
    ck_assert_int_eq(enter(&queued), APR_SUCCESS);
    expect(2, 0);
    admission_leave(gate);
    admission_leave(gate);
    expect(0, 0);
}
END_TEST

START_TEST(without_queue)
{
    int queued;

    make(1, 0, LONG);
    ck_assert_int_eq(enter(&queued), APR_SUCCESS);
    ck_assert_int_eq(enter(&queued), APR_EAGAIN);
    ck_assert_int_eq(queued, 0);
    admission_leave(gate);
    ck_assert_int_eq(enter(&queued), APR_SUCCESS);
}
END_TEST

START_TEST(in_vain)
{
    int queued;

    make(1, 4, SHORT);
    ck_assert_int_eq(enter(&queued), APR_SUCCESS);
    ck_assert_int_eq(enter(&queued), APR_TIMEUP);
    ck_assert_int_eq(queued, 1);
    expect(1, 0);
    admission_leave(gate);
    ck_assert_int_eq(enter(&queued), APR_SUCCESS);
    ck_assert_int_eq(queued, 0);
}
END_TEST

START_TEST(how_long_it_lasts)
{
    guest_t guest;
    int queued;

    make(1, 4, LONG);
    ck_assert_int_eq(enter(&queued), APR_SUCCESS);
    ck_assert(admission_lasts(gate) == 0);
    start(&guest);
    until_waiting(1);
    apr_sleep(1000);
    ck_assert(admission_lasts(gate) > 0);
    admission_leave(gate);
    join(&guest);
    make(1, 4, 1);
    ck_assert_int_eq(enter(&queued), APR_SUCCESS);
    ck_assert_int_eq(enter(&queued), APR_TIMEUP);
    while (admission_lasts(gate) > 0) {
        apr_sleep(1000); /* what is over is forgotten */
    }
}
END_TEST

START_TEST(in_turn)
{
    guest_t guests[5];
    int queued, i;

    make(1, 5, LONG);
    ck_assert_int_eq(enter(&queued), APR_SUCCESS);
    for (i = 0; i < 5; i++) {
        start(&guests[i]);
        until_waiting(i + 1);
    }
    admission_leave(gate);
    for (i = 0; i < 5; i++) {
        join(&guests[i]);
        ck_assert_int_eq(guests[i].rv, APR_SUCCESS);
        ck_assert_int_eq(guests[i].queued, 1);
        ck_assert_int_eq(guests[i].order, i);
    }
    expect(0, 0);
}
END_TEST

START_TEST(burst_waits_beyond_the_queue)
{
    guest_t guests[4];
    int queued, i;

    make(1, 1, LONG);
    ck_assert_int_eq(enter(&queued), APR_SUCCESS);
    for (i = 0; i < 4; i++) {
        start(&guests[i]);
    }
    until_waiting(4);
    admission_leave(gate);
    for (i = 0; i < 4; i++) {
        join(&guests[i]);
        ck_assert_int_eq(guests[i].rv, APR_SUCCESS);
    }
}
END_TEST

START_TEST(standing_queue_is_limited)
{
    guest_t last;
    apr_status_t rv;
    int queued, tries;

    make(1, 1, SHORT);
    ck_assert_int_eq(enter(&queued), APR_SUCCESS);
    /* in the queue's one place somebody waits nearly always; some time there is none for us */
    for (tries = 0, rv = APR_SUCCESS; rv != APR_EAGAIN && tries < 1000; tries++) {
        start(&last);
        rv = enter(&queued);
        ck_assert(rv == APR_EAGAIN || rv == APR_TIMEUP);
        join(&last);
        rv = last.rv == APR_EAGAIN ? last.rv : rv;
    }
    ck_assert_int_eq(rv, APR_EAGAIN);
    expect(1, 0);
}
END_TEST

#define CROWD 16
#define ROUNDS 500

static volatile apr_uint32_t inside, most, served;

static void *APR_THREAD_FUNC crowd(apr_thread_t *thread, void *data)
{
    apr_uint32_t now;
    int i, queued;

    (void)thread;
    for (i = 0; i < ROUNDS; i++) {
        if (admission_enter(gate, &queued, data) == APR_SUCCESS) {
            now = apr_atomic_inc32(&inside) + 1;
            if (now > apr_atomic_read32(&most)) {
                apr_atomic_set32(&most, now);
            }
            apr_atomic_inc32(&served);
            apr_atomic_dec32(&inside);
            admission_leave(gate);
        }
    }
    return NULL;
}

/* With waits that end while places are given away; for the thread sanitizer too. */
START_TEST(many)
{
    apr_thread_t *threads[CROWD];
    apr_pool_t *pools[CROWD];
    apr_status_t rv;
    int i;

    make(3, 4, 50);
    for (i = 0; i < CROWD; i++) {
        ck_assert_int_eq(apr_pool_create(&pools[i], NULL), APR_SUCCESS);
        ck_assert_int_eq(apr_thread_create(&threads[i], NULL, crowd, pools[i], fixture_pool()),
                         APR_SUCCESS);
    }
    for (i = 0; i < CROWD; i++) {
        apr_thread_join(&rv, threads[i]);
        apr_pool_destroy(pools[i]);
    }
    expect(0, 0);
    ck_assert(apr_atomic_read32(&most) <= 3);
    ck_assert(apr_atomic_read32(&served) > 0);
}
END_TEST

Suite *test_admission_suite(void)
{
    Suite *suite = suite_create("admission");
    TCase *tc = tcase_create("admission");

    tcase_add_checked_fixture(tc, fixture_setup, fixture_teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, free_places);
    tcase_add_test(tc, without_queue);
    tcase_add_test(tc, in_vain);
    tcase_add_test(tc, how_long_it_lasts);
    tcase_add_test(tc, in_turn);
    tcase_add_test(tc, burst_waits_beyond_the_queue);
    tcase_add_test(tc, standing_queue_is_limited);
    tcase_add_test(tc, many);
    suite_add_tcase(suite, tc);
    return suite;
}
