/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of the load that hurts, see storm.h, and what its modes share. */
#include "storm.h"

#include <getopt.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void storm_die(const char *text)
{
    fprintf(stderr, "scep_storm: %s\n", text);
    exit(2);
}

double storm_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void storm_sleep(double seconds)
{
    struct timespec t;

    t.tv_sec = (time_t)seconds;
    t.tv_nsec = (long)((seconds - (double)t.tv_sec) * 1e9);
    nanosleep(&t, NULL);
}

void *storm_need(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size);

    if (!memory)
        storm_die("out of memory");
    return memory;
}

/* splitmix64, by Sebastiano Vigna (public domain) */
double storm_random(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    z ^= z >> 31;
    return (double)(z >> 11) / 9007199254740992.0;
}

void storm_threads(int count, void *(*run)(void *), void *baton)
{
    pthread_t ids[STORM_THREADS_MAX];
    int i, made = 0;

    for (i = 0; i < count && i < STORM_THREADS_MAX; i++) {
        if (pthread_create(&ids[made], NULL, run, baton) == 0)
            made++;
    }
    if (!made)
        storm_die("no threads");
    for (i = 0; i < made; i++)
        pthread_join(ids[i], NULL);
}

/* Prints what there is. */
static void usage(void)
{
    puts("Usage: scep_storm race --url URL --url URL --keys FILE --challenges FILE --journal FILE\n"
         "                       [--connections K] [--cut PERCENT] [--seed N] [--seconds N]\n"
         "       scep_storm soak --url URL --keys FILE --user NAME --password-file FILE\n"
         "                       [--connections K] [--seconds N] [--every SECONDS]\n"
         "       scep_storm overload --url URL --keys FILE --messages FILE --rate N\n"
         "                       [--connections K] [--seconds N]\n"
         "race: two devices want each challenge, at different hosts; so many of a hundred\n"
         "requests are cut and sent again until they are decided; --journal is what they saw.\n"
         "soak: devices read a challenge and enroll without pause; figures after each --every.\n"
         "overload: so many messages are sent each second, each on a connection of its own, at\n"
         "most K at once; who gets 503 comes again after Retry-After; GetCACert is timed\n"
         "meanwhile.  --rate 0: only that.\n"
         "URL is http://127.0.0.1:PORT/PREFIX of the service; no other host is accepted.\n"
         "Also: --timeout SECONDS of one request (30).  --keys is made when it is not there.");
}

/* The number in text, from 0 to max. */
static double number(const char *text, double max)
{
    char *end;
    double n = strtod(text, &end);

    if (!*text || *end || !(n >= 0 && n <= max))
        storm_die("a number is out of range");
    return n;
}

/* Takes one more host. */
static void add_host(storm_t *storm, const char *url)
{
    const char *error;

    if (storm->host_count == STORM_HOSTS_MAX)
        storm_die("too many hosts");
    error = load_target_parse(&storm->hosts[storm->host_count++], url);
    if (error)
        storm_die(error);
}

/* Reads the options after the mode. */
static void parse(storm_t *storm, int argc, char **argv)
{
    static const struct option names[] = {
        {"url", 1, NULL, 'u'},         {"user", 1, NULL, 'n'},    {"password-file", 1, NULL, 'p'},
        {"challenges", 1, NULL, 'c'},  {"keys", 1, NULL, 'k'},    {"journal", 1, NULL, 'j'},
        {"connections", 1, NULL, 'K'}, {"timeout", 1, NULL, 't'}, {"seconds", 1, NULL, 's'},
        {"every", 1, NULL, 'e'},       {"cut", 1, NULL, 'x'},     {"seed", 1, NULL, 'S'},
        {"rate", 1, NULL, 'r'},        {"messages", 1, NULL, 'm'},
        {NULL, 0, NULL, 0}};
    int c;

    while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (c) {
        case 'u': add_host(storm, optarg); break;
        case 'n': storm->user = optarg; break;
        case 'p': storm->password_file = optarg; break;
        case 'c': storm->challenges = optarg; break;
        case 'k': storm->keys = optarg; break;
        case 'j': storm->journal = optarg; break;
        case 'K': storm->connections = (int)number(optarg, STORM_CONNECTIONS_MAX); break;
        case 'r': storm->rate = (int)number(optarg, 1000000); break;
        case 'm': storm->messages = optarg; break;
        case 't': storm->timeout = (int)number(optarg, 3600); break;
        case 's': storm->seconds = (int)number(optarg, 7 * 86400); break;
        case 'e': storm->every = (int)number(optarg, 86400); break;
        case 'x': storm->cut = number(optarg, 100); break;
        case 'S': storm->seed = (uint64_t)number(optarg, 1e15); break;
        default: exit(2);
        }
    }
    if (optind < argc)
        storm_die("too many arguments; see --help");
    if (storm->host_count == 0 || !storm->keys)
        storm_die("--url and --keys are needed; see --help");
    if (storm->connections < 1)
        storm_die("at least one connection");
}

int main(int argc, char **argv)
{
    storm_t storm = {0};
    const char *mode = argc > 1 ? argv[1] : "", *error;
    int status = 2;

    if (strcmp(mode, "--help") == 0 || strcmp(mode, "-h") == 0) {
        usage();
        return 0;
    }
    storm.connections = 8;
    storm.timeout = 30;
    storm.seconds = 900;
    storm.every = 60;
    if (argc > 1)
        parse(&storm, argc - 1, argv + 1);
    error = load_devices(storm.devices, STORM_DEVICES, storm.keys);
    if (!error)
        error = load_ra_get(&storm.ra, &storm.hosts[0], storm.timeout);
    if (error)
        storm_die(error);
    if (strcmp(mode, "race") == 0 && storm.challenges && storm.journal)
        status = storm_race(&storm);
    else if (strcmp(mode, "overload") == 0 && (storm.messages || !storm.rate))
        status = storm_overload(&storm);
    else if (strcmp(mode, "soak") == 0 && storm.user && storm.password_file)
        status = storm_soak(&storm);
    else
        storm_die("no such mode, or an option is missing; see --help");
    load_devices_free(storm.devices, STORM_DEVICES);
    load_ra_free(&storm.ra);
    return status;
}
