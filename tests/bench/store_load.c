/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a store's own operations cost one caller, for tests/bench/full_store: behind three RSA
 * operations nobody sees a difference of microseconds.
 *
 *   issue   makes challenges
 *   enroll  claims and commits, each with a challenge made before the clock runs
 *   sweep   makes challenges and transactions that end soon, waits until they have, and removes
 *           them; then sweeps as often again with nothing to remove
 *
 * Prints one JSON object; times are microseconds.
 */
#include "../../policy/store/store.h"

#include <apr_general.h>
#include <apr_strings.h>
#include <getopt.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define COUNT_MAX 1000000
#define BATCH 1000 /* records that the module removes in one sweep */
#define DAY apr_time_from_sec(24 * 3600)
#define CERTIFICATE_SIZE 844

/* One run: the store, what it does, and the identifiers of what it makes. */
typedef struct run_t {
    store_t *store;
    const char *service;
    apr_pool_t *p;
    char (*challenges)[STORE_ID_LEN + 1];
    int count;
    apr_time_t ends;            /* when what it makes is over; 0: in a week */
} run_t;

/* Ends with why. */
static void die(const char *what, const char *why)
{
    fprintf(stderr, "store_load: %s: %s\n", what, why);
    exit(2);
}

/* Seconds of a clock. */
static double seconds(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Writes len random hex digits. */
static void make_id(char *id, size_t len)
{
    unsigned char bytes[STORE_ID_LEN / 2];
    size_t i;

    if (RAND_bytes(bytes, (int)len / 2) != 1)
        die("random bytes", "none");
    for (i = 0; i < len / 2; i++)
        snprintf(id + 2 * i, 3, "%02x", bytes[i]);
}

/* How long what is made now lives. */
static apr_interval_time_t lifetime(const run_t *run)
{
    apr_interval_time_t left = run->ends - apr_time_now();

    if (!run->ends)
        return 7 * DAY;
    return left > 0 ? left : 1000;
}

/* Ends unless the store answered as it must. */
static void must(apr_status_t rv, const store_result_e *result, store_result_e wanted,
                 const char *what, apr_pool_t *p)
{
    if (rv != APR_SUCCESS)
        die(what, store_error(p));
    if (*result != wanted)
        die(what, store_result_name(*result));
}

/* Makes one challenge; its id is kept. */
static void issue(run_t *run, int i, apr_interval_time_t life, apr_pool_t *p)
{
    store_challenge_t challenge = {0};
    apr_interval_time_t wait;
    store_result_e result;
    int outstanding;

    challenge.id = run->challenges[i];
    challenge.lifetime = life;
    challenge.uses = 1;
    challenge.attempts = 3;
    challenge.caller = "mdm";
    challenge.template_name = challenge.bound = "";
    must(store_issue(run->store, run->service, &challenge, 100000000, &result, &outstanding, &wait,
                     p), &result, STORE_OK, "issue", p);
}

/* Claims with one challenge, and commits a certificate. */
static void enroll(run_t *run, int i, apr_pool_t *p)
{
    static const unsigned char der[CERTIFICATE_SIZE] = {0}, subject[56] = {0};
    char tx_key[STORE_ID_LEN + 1], poll_key[STORE_ID_LEN + 1], csr[STORE_ID_LEN + 1];
    char nonce[STORE_NONCE_LEN + 1], serial[STORE_SERIAL_LEN + 1], tid[STORE_ID_LEN + 1];
    crypt_buf_t certificate = {der, CERTIFICATE_SIZE};
    apr_interval_time_t life = lifetime(run);
    store_entry_t entry = {0};
    store_claim_t claim = {0};
    store_trail_t trail = {0};
    store_result_e result;
    store_tx_t tx;

    make_id(tx_key, STORE_ID_LEN);
    make_id(poll_key, STORE_ID_LEN);
    make_id(csr, STORE_ID_LEN);
    make_id(nonce, STORE_NONCE_LEN);
    make_id(serial, STORE_SERIAL_LEN);
    make_id(tid, 40);
    claim.tx_key = tx_key;
    claim.poll_key = poll_key;
    claim.csr_digest = csr;
    claim.challenge_id[0] = run->challenges[i];
    claim.nonce = nonce;
    claim.lease = apr_time_from_sec(60);
    claim.retention = life;
    claim.serial = serial;
    claim.not_before = apr_time_now();
    claim.transaction_id = tid;
    claim.subject = "CN=device.load.example,O=Load";
    claim.template_name = "default";
    claim.client = "127.0.0.1";
    must(store_claim(run->store, run->service, &claim, &result, &tx, p), &result, STORE_CLAIMED,
         "claim", p);
    entry.issuer = "6f9c849fa08433fe";
    entry.serial = serial;
    entry.digest = csr;
    entry.subject.data = subject;
    entry.subject.len = sizeof(subject);
    entry.template_name = "default";
    entry.not_after = entry.until = apr_time_now() + (run->ends ? life : 365 * DAY);
    trail.entry = &entry;
    trail.record = apr_psprintf(p, "{\"transactionID\":\"%s\",\"serial\":\"%s\"}", tid, serial);
    must(store_commit(run->store, run->service, tx_key, tx.fence, &certificate, serial, life,
                      &trail, &result, p), &result, STORE_OK, "commit", p);
}

/* Makes the ids of count challenges, and the challenges where they live. */
static void make_challenges(run_t *run, int makes)
{
    apr_pool_t *p;
    int i;

    run->challenges = apr_palloc(run->p, (apr_size_t)run->count * sizeof(*run->challenges));
    apr_pool_create(&p, run->p);
    for (i = 0; i < run->count; i++) {
        make_id(run->challenges[i], STORE_ID_LEN);
        if (makes)
            issue(run, i, 7 * DAY, p);
        apr_pool_clear(p);
    }
    apr_pool_destroy(p);
}

/* One sweep; how many records it removed. */
static int sweep(run_t *run, apr_pool_t *p)
{
    int removed = 0;

    if (store_sweep(run->store, run->service, BATCH, &removed, p) != APR_SUCCESS)
        die("sweep", store_error(p));
    apr_pool_clear(p);
    return removed;
}

/* Sweeps what has ended, then times nothing to remove. */
static void measure_sweep(run_t *run)
{
    double start, took, cpu, idle;
    int i, sweeps = 0, removed = 0, last;
    apr_pool_t *p;

    apr_pool_create(&p, run->p);
    start = seconds(CLOCK_MONOTONIC);
    make_challenges(run, 1);
    /* three more operations for each follow; claims would remove what has ended before the sweep */
    run->ends = apr_time_now() + apr_time_from_sec(1) +
                (apr_interval_time_t)(8e6 * (seconds(CLOCK_MONOTONIC) - start));
    for (i = 0; i < run->count; i++) {
        enroll(run, i, p);
        make_id(run->challenges[i], STORE_ID_LEN);
        issue(run, i, lifetime(run), p);
        apr_pool_clear(p);
    }
    while (apr_time_now() <= run->ends)
        apr_sleep(apr_time_from_msec(10));
    start = seconds(CLOCK_MONOTONIC);
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    do {
        removed += last = sweep(run, p);
        sweeps++;
    } while (last >= BATCH);
    took = seconds(CLOCK_MONOTONIC) - start;
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    start = seconds(CLOCK_MONOTONIC);
    for (i = 0; i < sweeps; i++)
        (void)sweep(run, p);
    idle = seconds(CLOCK_MONOTONIC) - start;
    printf("{\"sweeps\": %d, \"removed\": %d, \"each_us\": %.1f, \"cpu_us\": %.1f, "
           "\"idle_us\": %.1f}\n",
           sweeps, removed, took * 1e6 / sweeps, cpu * 1e6 / sweeps, idle * 1e6 / sweeps);
    apr_pool_destroy(p);
}

/* Times issue, or claim and commit. */
static void measure(run_t *run, int enrolls)
{
    double start, cpu;
    apr_pool_t *p;
    int i;

    make_challenges(run, enrolls);
    apr_pool_create(&p, run->p);
    start = seconds(CLOCK_MONOTONIC);
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    for (i = 0; i < run->count; i++) {
        if (enrolls)
            enroll(run, i, p);
        else
            issue(run, i, 7 * DAY, p);
        apr_pool_clear(p);
    }
    printf("{\"each_us\": %.1f, \"cpu_us\": %.1f}\n",
           (seconds(CLOCK_MONOTONIC) - start) * 1e6 / run->count,
           (seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu) * 1e6 / run->count);
    apr_pool_destroy(p);
}

/* Opens the store as a child of the server does.  For SQLite as the user who owns the file. */
static void open_store(run_t *run, const char *url, const char *ca_file)
{
    store_config_t *cfg = apr_pcalloc(run->p, sizeof(*cfg));
    const char *error;

    cfg->url = url;
    cfg->ca_file = strncmp(url, "rediss", 6) == 0 ? ca_file : NULL;
    cfg->connections = 1;
    error = store_make(&run->store, cfg, NULL, run->p);
    if (!error && run->store->provider->prepare)
        error = run->store->provider->prepare(run->store, geteuid(), getegid(), run->p);
    if (error)
        die(url, error);
    if (store_child_init(run->store, run->p) != APR_SUCCESS)
        die(url, "cannot be used");
}

int main(int argc, char **argv)
{
    run_t run = {0};

    if (argc < 5 || argc > 6 || (run.count = atoi(argv[3])) < 1 || run.count > COUNT_MAX)
        die("usage", "store_load issue|enroll|sweep SERVICE COUNT URL [CA-FILE]");
    if (apr_initialize() != APR_SUCCESS || apr_pool_create(&run.p, NULL) != APR_SUCCESS)
        die("APR", "does not start");
    run.service = argv[2];
    open_store(&run, argv[4], argv[5]);
    if (strcmp(argv[1], "sweep") == 0)
        measure_sweep(&run);
    else if (strcmp(argv[1], "issue") == 0 || strcmp(argv[1], "enroll") == 0)
        measure(&run, argv[1][0] == 'e');
    else
        die(argv[1], "is not issue, enroll or sweep");
    apr_pool_destroy(run.p);
    apr_terminate();
    return 0;
}
