/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices that never stop: each thread reads a challenge, enrolls, looks at the certificate, and
 * begins anew.  What fails is tried again; what is not cured within a minute is a failure.
 */
#include "storm.h"

#include <openssl/crypto.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define CURED_WITHIN 60.0
#define BETWEEN_TRIES 0.25

/* Since the last line that was printed. */
typedef struct figures_t {
    long enrolled, retries, unavailable, lost, failures;
    double longest, busy;       /* seconds of one enrollment: the longest, and of all */
    char first[160];            /* the first failure */
    char last_lost[80];
} figures_t;

typedef struct soak_t {
    storm_t *storm;
    char headers[1024];
    double end;
    int over;
    unsigned long next;
    pthread_mutex_t lock;
    figures_t now, total;
} soak_t;

/* Adds one enrollment to the figures; error NULL: it has its certificate. */
static void note(soak_t *soak, const figures_t *one, const char *error)
{
    figures_t *now = &soak->now;

    pthread_mutex_lock(&soak->lock);
    now->retries += one->retries;
    now->unavailable += one->unavailable;
    now->lost += one->lost;
    now->busy += one->longest;
    if (one->longest > now->longest)
        now->longest = one->longest;
    if (one->lost)
        memcpy(now->last_lost, one->last_lost, sizeof(now->last_lost));
    if (!error)
        now->enrolled++;
    else if (now->failures++ == 0)
        snprintf(now->first, sizeof(now->first), "%s", error);
    pthread_mutex_unlock(&soak->lock);
}

/* One step, tried until it gives something: a challenge, or an answer of status 200 to message.
 * NULL, or an error that no retry cured. */
static const char *insist(soak_t *soak, load_connection_t *c, const load_message_t *message,
                          char *challenge, load_answer_t *answer, figures_t *one, double start)
{
    const char *error;
    int unavailable;

    for (;;) {
        if (message)
            error = load_request(c, answer, "POST", STORM_PKI_OPERATION, STORM_PKI_TYPE,
                                 message->der, message->der_len);
        else
            error = load_mint(c, soak->headers, challenge);
        unavailable = message && !error && answer->status == 503;
        if (!error && (!message || answer->status == 200))
            return NULL;
        if (!error && !unavailable)
            return "status is neither 200 nor 503";
        if (storm_now() - start > CURED_WITHIN)
            return error ? error : "unavailable for too long";
        one->retries++;
        one->unavailable += unavailable;
        if (error) {
            one->lost++;
            snprintf(one->last_lost, sizeof(one->last_lost), "%s", error);
        }
        storm_sleep(BETWEEN_TRIES);
    }
}

/* One enrollment; NULL, or why it failed. */
static const char *enroll(soak_t *soak, load_connection_t *c, figures_t *one)
{
    storm_t *storm = soak->storm;
    load_message_t message = {0};
    load_answer_t answer = {0};
    char challenge[LOAD_CHALLENGE_MAX + 1] = "", leaf[LOAD_LEAF_LEN + 1] = "";
    unsigned long number = __atomic_fetch_add(&soak->next, 1, __ATOMIC_RELAXED);
    double start = storm_now();
    const char *error = insist(soak, c, NULL, challenge, &answer, one, start);

    if (!error)
        error = load_message_make(&message, storm->devices, STORM_DEVICES, &storm->ra, challenge,
                                  number);
    if (!error)
        error = insist(soak, c, &message, NULL, &answer, one, start);
    if (!error)
        error = load_reply_decide(&message, storm->devices, &storm->ra, answer.body,
                                  answer.body_len, leaf);
    if (!error && !*leaf)
        error = "refused";
    one->longest = storm_now() - start;
    load_message_free(&message);
    OPENSSL_cleanse(challenge, sizeof(challenge));
    return error;
}

/* A thread. */
static void *run_thread(void *baton)
{
    soak_t *soak = baton;
    load_connection_t c;

    load_connection_init(&c, &soak->storm->hosts[0], soak->storm->timeout);
    while (storm_now() < soak->end) {
        figures_t one = {0};
        const char *error = enroll(soak, &c, &one);

        note(soak, &one, error);
        if (error)
            load_connection_close(&c);
    }
    load_connection_close(&c);
    OPENSSL_thread_stop();
    return NULL;
}

/* Prints the figures. */
static void print(const figures_t *f, double seconds, const char *what)
{
    printf("{\"what\": \"%s\", \"seconds\": %.1f, \"enrolled\": %ld, \"per_second\": %.1f, "
           "\"mean_ms\": %.1f, \"longest_ms\": %.0f, \"retries\": %ld, \"unavailable\": %ld, "
           "\"lost\": %ld, \"last_lost\": \"%s\", \"failures\": %ld, \"first_failure\": \"%s\"}\n",
           what, seconds, f->enrolled, seconds > 0 ? (double)f->enrolled / seconds : 0,
           f->enrolled ? f->busy * 1000 / (double)f->enrolled : 0, f->longest * 1000, f->retries,
           f->unavailable, f->lost, f->last_lost, f->failures, f->first);
    fflush(stdout);
}

/* Prints what was since the last time and adds it to the total. */
static void turn(soak_t *soak, double seconds)
{
    figures_t now, *total = &soak->total;

    pthread_mutex_lock(&soak->lock);
    now = soak->now;
    memset(&soak->now, 0, sizeof(soak->now));
    pthread_mutex_unlock(&soak->lock);
    print(&now, seconds, "interval");
    if (now.failures && !total->failures)
        memcpy(total->first, now.first, sizeof(total->first));
    if (now.lost)
        memcpy(total->last_lost, now.last_lost, sizeof(total->last_lost));
    total->enrolled += now.enrolled;
    total->retries += now.retries;
    total->unavailable += now.unavailable;
    total->lost += now.lost;
    total->failures += now.failures;
    total->busy += now.busy;
    if (now.longest > total->longest)
        total->longest = now.longest;
}

/* A thread: prints every so often until the others have ended. */
static void *run_reporter(void *baton)
{
    soak_t *soak = baton;
    double last = storm_now(), now = last;

    while (!__atomic_load_n(&soak->over, __ATOMIC_ACQUIRE)) {
        storm_sleep(0.1);
        now = storm_now();
        if (now - last >= soak->storm->every) {
            turn(soak, now - last);
            last = now;
        }
    }
    turn(soak, now - last);
    return NULL;
}

int storm_soak(storm_t *storm)
{
    static soak_t soak;
    pthread_t reporter;
    double start = storm_now();
    const char *error = load_authorization(soak.headers, sizeof(soak.headers), storm->user,
                                           storm->password_file);

    if (error)
        storm_die(error);
    soak.storm = storm;
    soak.end = start + storm->seconds;
    pthread_mutex_init(&soak.lock, NULL);
    if (pthread_create(&reporter, NULL, run_reporter, &soak) != 0)
        storm_die("no threads");
    storm_threads(storm->connections, run_thread, &soak);
    __atomic_store_n(&soak.over, 1, __ATOMIC_RELEASE);
    pthread_join(reporter, NULL);
    print(&soak.total, storm_now() - start, "total");
    OPENSSL_cleanse(soak.headers, sizeof(soak.headers));
    return soak.total.failures || soak.total.enrolled == 0 ? 1 : 0;
}
