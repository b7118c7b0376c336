/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The load that hurts: devices that race, whose connections are cut, that never stop, that are too
 * many.  Programs: tests/bench/race, soak and overload start the servers and run scep_storm.
 */
#ifndef STORM_H
#define STORM_H

#include "load_http.h"
#include "load_message.h"
#include "load_setup.h"

#include <stdint.h>

#define STORM_DEVICES 16
#define STORM_THREADS_MAX 256
#define STORM_CONNECTIONS_MAX 10000
#define STORM_HOSTS_MAX 8
#define STORM_PKI_OPERATION "/mscep/mscep.dll?operation=PKIOperation"
#define STORM_PKI_TYPE "Content-Type: application/x-pki-message\r\n"

typedef struct storm_t {
    load_target_t hosts[STORM_HOSTS_MAX];
    int host_count;
    const char *challenges, *keys, *messages, *journal, *user, *password_file;
    int connections, timeout, seconds, every, rate;
    double cut;                 /* of a hundred connections, so many are cut */
    uint64_t seed;
    load_device_t devices[STORM_DEVICES];
    load_ra_t ra;               /* of the first host; the same at all */
} storm_t;

/* Prints why it cannot go on and ends with 2. */
void storm_die(const char *text) __attribute__((noreturn));

/* Seconds of a clock that only goes forward. */
double storm_now(void);

void storm_sleep(double seconds);

/* Memory for count things, zeroed; never NULL. */
void *storm_need(size_t count, size_t size);

/* The next of a row of random numbers, which state is; from 0 to below 1. */
double storm_random(uint64_t *state);

/* Runs so many threads (at most STORM_THREADS_MAX) with the same baton and waits for them. */
void storm_threads(int count, void *(*run)(void *), void *baton);

/*
 * The modes; each prints JSON objects, one a line, and gives the exit status: 0, or 1 when
 * something is not as it should be.
 */
int storm_race(storm_t *storm);
int storm_soak(storm_t *storm);
int storm_overload(storm_t *storm);

#endif /* STORM_H */
