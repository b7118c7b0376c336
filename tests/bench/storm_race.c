/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two devices for each challenge, at different hosts at the same time.  Of a hundred requests some
 * are cut; what is not decided is sent again, byte for byte, at any host.  The journal holds a line
 * for each device: transactionID, challenge, pkiStatus or "undecided", SHA-256 of the certificate
 * or "-", tries.
 *
 * The messages are made some thousand at a time before they are sent, so that what is raced is
 * the server's work and not the devices'.
 */
#include "storm.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define AT_ONCE 1000            /* challenges whose messages are made together */
#define COUNT_MAX 2000000
#define BETWEEN_ROUNDS 0.5      /* seconds, when nobody new comes */
#define PROGRESS 10.0           /* seconds */

/* One device. */
typedef struct job_t {
    load_message_t message;
    const char *challenge;
    int number, tries;
    char status;                /* '0', '2'; NUL: undecided */
    char leaf[LOAD_LEAF_LEN + 1];
    unsigned char *reply;       /* that was not read yet */
    size_t reply_len;
} job_t;

typedef struct race_t {
    storm_t *storm;
    char **challenges;
    int challenge_count;
    job_t *jobs, **round;
    int round_count, next, threads;
    const char *wrong;          /* an answer that must not be */
    long sent, cut, lost, busy, won, refused;
} race_t;

/* Adds one to a figure that all threads write. */
static void count(long *figure)
{
    __atomic_fetch_add(figure, 1, __ATOMIC_RELAXED);
}

/* The next device of the round; NULL: no more. */
static job_t *take(race_t *race)
{
    int i = __atomic_fetch_add(&race->next, 1, __ATOMIC_RELAXED);

    return i < race->round_count ? race->round[i] : NULL;
}

/* A thread: makes messages. */
static void *run_prepare(void *baton)
{
    race_t *race = baton;
    storm_t *storm = race->storm;
    const char *error;
    job_t *job;

    while ((job = take(race)) != NULL) {
        if (job->message.der)
            continue;
        error = load_message_make(&job->message, storm->devices, STORM_DEVICES, &storm->ra,
                                  job->challenge, (unsigned long)job->number);
        if (error)
            storm_die(error);
    }
    OPENSSL_thread_stop();
    return NULL;
}

/* Sends once, or cuts. */
static void send_one(race_t *race, job_t *job, load_connection_t *hosts, uint64_t *random)
{
    storm_t *storm = race->storm;
    load_message_t *message = &job->message;
    load_answer_t answer;
    const char *error;
    int host = (job->number / 2 + job->number) % storm->host_count;

    if (job->tries++ > 0)
        host = (int)(storm_random(random) * storm->host_count);
    count(&race->sent);
    if (storm_random(random) * 100 < storm->cut) {
        count(&race->cut);
        load_request_cut(&hosts[host], (load_cut_e)(storm_random(random) * LOAD_CUTS), "POST",
                         STORM_PKI_OPERATION, STORM_PKI_TYPE, message->der, message->der_len);
        return;
    }
    error = load_request(&hosts[host], &answer, "POST", STORM_PKI_OPERATION, STORM_PKI_TYPE,
                         message->der, message->der_len);
    if (error)
        count(&race->lost);
    else if (answer.status == 503)
        count(&race->busy);
    else if (answer.status != 200)
        race->wrong = "status is neither 200 nor 503";
    else {
        job->reply = storm_need(answer.body_len, 1);
        job->reply_len = answer.body_len;
        memcpy(job->reply, answer.body, answer.body_len);
    }
}

/* A thread: sends. */
static void *run_send(void *baton)
{
    race_t *race = baton;
    storm_t *storm = race->storm;
    load_connection_t hosts[STORM_HOSTS_MAX];
    uint64_t random;
    job_t *job;
    int i;

    random = storm->seed + (uint64_t)__atomic_add_fetch(&race->threads, 1, __ATOMIC_RELAXED) *
                               UINT64_C(0xd1342543de82ef95);
    for (i = 0; i < storm->host_count; i++)
        load_connection_init(&hosts[i], &storm->hosts[i], storm->timeout);
    while ((job = take(race)) != NULL)
        send_one(race, job, hosts, &random);
    for (i = 0; i < storm->host_count; i++)
        load_connection_close(&hosts[i]);
    return NULL;
}

/* A thread: reads the answers. */
static void *run_decide(void *baton)
{
    race_t *race = baton;
    const char *error;
    job_t *job;

    while ((job = take(race)) != NULL) {
        if (!job->reply)
            continue;
        error = load_reply_decide(&job->message, race->storm->devices, &race->storm->ra, job->reply,
                                  job->reply_len, job->leaf);
        free(job->reply);
        job->reply = NULL;
        if (error) {
            race->wrong = error;
            continue;
        }
        job->status = *job->leaf ? '0' : '2';
        count(*job->leaf ? &race->won : &race->refused);
        load_message_free(&job->message);
    }
    OPENSSL_thread_stop();
    return NULL;
}

/* Prepares, sends and decides what is in the round; leaves those in it that are undecided. */
static void do_round(race_t *race)
{
    int cpus = (int)sysconf(_SC_NPROCESSORS_ONLN), i, left = 0;

    if (cpus < 1 || cpus > STORM_THREADS_MAX)
        cpus = 1;
    race->next = 0;
    storm_threads(cpus, run_prepare, race);
    race->next = 0;
    storm_threads(race->storm->connections, run_send, race);
    race->next = 0;
    storm_threads(cpus, run_decide, race);
    for (i = 0; i < race->round_count; i++) {
        if (!race->round[i]->status)
            race->round[left++] = race->round[i];
    }
    race->round_count = left;
}

/* Reads the challenges and makes the devices. */
static void read_challenges(race_t *race)
{
    int i;

    race->challenge_count = load_challenges(&race->challenges, race->storm->challenges, COUNT_MAX);
    if (race->challenge_count < 0)
        storm_die("cannot read the file of challenges");
    race->jobs = storm_need(2 * (size_t)race->challenge_count, sizeof(*race->jobs));
    race->round = storm_need(2 * (size_t)race->challenge_count, sizeof(job_t *));
    for (i = 0; i < 2 * race->challenge_count; i++) {
        race->jobs[i].number = i;
        race->jobs[i].challenge = race->challenges[i / 2];
    }
}

/* Writes the journal; how many are undecided. */
static int write_journal(const race_t *race)
{
    int fd = open(race->storm->journal, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int i, left = 0;
    FILE *out = fd >= 0 ? fdopen(fd, "w") : NULL;

    if (!out)
        storm_die("cannot write the journal");
    for (i = 0; i < 2 * race->challenge_count; i++) {
        const job_t *job = &race->jobs[i];
        const char status[2] = {job->status, '\0'};

        left += !job->status;
        fprintf(out, "%s %s %s %s %d\n",
                *job->message.transaction_id ? job->message.transaction_id : "-", job->challenge,
                job->status ? status : "undecided", *job->leaf ? job->leaf : "-", job->tries);
    }
    if (fclose(out) != 0)
        storm_die("cannot write the journal");
    return left;
}

/* Races until all are decided, an answer is wrong or the time is over. */
static void run(race_t *race)
{
    double start = storm_now(), shown = start, now = start;
    int begun = 0, i;

    while ((begun < race->challenge_count || race->round_count > 0) && !race->wrong &&
           now - start < race->storm->seconds) {
        if (begun == race->challenge_count)
            storm_sleep(BETWEEN_ROUNDS);
        for (i = 0; i < AT_ONCE && begun < race->challenge_count; i++, begun++) {
            race->round[race->round_count++] = &race->jobs[2 * begun];
            race->round[race->round_count++] = &race->jobs[2 * begun + 1];
        }
        do_round(race);
        now = storm_now();
        if (now - shown >= PROGRESS || begun == race->challenge_count) {
            fprintf(stderr, "%.0f s: %d of %d challenges, %ld certificates, %ld refusals, %ld cut, "
                            "%d undecided\n",
                    now - start, begun, race->challenge_count, race->won, race->refused, race->cut,
                    race->round_count);
            shown = now;
        }
    }
    printf("{\"seconds\": %.1f, \"challenges\": %d, \"certificates\": %ld, \"refused\": %ld, "
           "\"sent\": %ld, \"cut\": %ld, \"lost\": %ld, \"unavailable\": %ld, ",
           now - start, race->challenge_count, race->won, race->refused, race->sent, race->cut,
           race->lost, race->busy);
}

int storm_race(storm_t *storm)
{
    static race_t race;
    int i, left;

    if (storm->host_count < 2)
        storm_die("a race needs two hosts");
    race.storm = storm;
    read_challenges(&race);
    run(&race);
    left = write_journal(&race);
    printf("\"undecided\": %d, \"wrong\": \"%s\"}\n", left, race.wrong ? race.wrong : "");
    for (i = 0; i < race.challenge_count; i++)
        free(race.challenges[i]);
    for (i = 0; i < 2 * race.challenge_count; i++)
        load_message_free(&race.jobs[i].message);
    free(race.challenges);
    free(race.jobs);
    free(race.round);
    return left || race.wrong || race.challenge_count == 0 ? 1 : 0;
}
