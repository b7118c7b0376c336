/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Redis servers, sentinels or nodes of a cluster for unit tests, on 127.0.0.1: each gives one
 * answer to whatever it is sent, "master" to ROLE, and to what moves a slot what a test wants.
 */
#ifndef UNIT_REDIS_FIXTURE_H
#define UNIT_REDIS_FIXTURE_H

#include "../../policy/store/redis_client.h"
#include "fixture.h"
#include <sys/types.h>

#define MS(n) fixture_patience(n)
#define OK "+OK\r\n"
#define REDIS_PEERS 3

/* A server, in a process of its own for each connection; what it does is shared with the test. */
typedef struct redis_fixture_peer_t {
    pid_t pid;
    int port;
    volatile struct {
        int deaf;     /* says nothing */
        int commands; /* how many it was sent */
        int noscript; /* knows no script by its digest */
        int asked;    /* how many came after ASKING */
        int leaving;  /* how many times it says that it has a key, before count */
        char answer[1024];
        /* "": +OK to ASKING; how many keys it has; the answer to what no ASKING came before */
        char asking[64], count[64], unasked[64];
    } * shared;
} redis_fixture_peer_t;

extern redis_fixture_peer_t redis_peers[REDIS_PEERS];

/* Of each test: the peers and fixture_setup(), and the end of both. */
void redis_fixture_start(void);
void redis_fixture_stop(void);

/* The answer of peer i from now on. */
void redis_say(int i, const char *answer);

/* A listening socket of 127.0.0.1 with its port. */
int redis_fixture_listen(int *port, int backlog);

/* A client of the first count peers; connect is the time limit of a command, too. */
redis_client_t *redis_fixture_client(redis_topology_e topology, int count,
                                     apr_interval_time_t connect, apr_interval_time_t relocate);

#endif /* UNIT_REDIS_FIXTURE_H */
