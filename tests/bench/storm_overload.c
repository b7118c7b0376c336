/* SPDX-License-Identifier: Apache-2.0 */
/*
 * More devices than the server can serve: so many requests begin each second, whatever becomes of
 * those before, each on a connection of its own.  Who is told to come again does so after
 * Retry-After; such devices go before new ones.  Meanwhile GetCACert is asked twenty times a
 * second.
 *
 * One thread with epoll, and messages that were made before, so that the load costs little beside
 * what is measured.
 */
#include "storm.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define COUNT_MAX 500000
#define PROBES_MAX 100000
#define PROBE_EVERY 0.05        /* seconds */
#define ANSWER_MAX 16384
#define AFTER_LOSS 10           /* seconds until a device whose connection was lost comes again */
#define THOROUGH 16             /* each so manieth certificate is looked at */
#define EVENTS 64

/* One device. */
typedef struct device_t {
    load_message_t message;
    int fd;                     /* -1: it is not connected */
    char *out;                  /* the request */
    size_t out_len, sent;
    char *in;                   /* the answer */
    size_t in_len;
    double began, due;
    int open_index;             /* its place in the list of the connected */
} device_t;

typedef struct overload_t {
    storm_t *storm;
    device_t *devices;
    int count, fresh, epoll;
    device_t **waiting, **open;         /* waiting: a heap, by due */
    int waiting_count, open_count;
    double *served_ms, *probe_ms;
    long served, unavailable, lost, timeouts, again, full, offered, other;
    int probes, probes_failed, over;
    const char *wrong;
} overload_t;

/* For qsort. */
static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

/* That part of the sorted values; 0: there are none. */
static double part(const double *sorted, long count, double of)
{
    return count ? sorted[(long)((double)(count - 1) * of)] : 0;
}

/* Puts a device among those that come again. */
static void wait_until_due(overload_t *o, device_t *d, double due)
{
    int i = o->waiting_count++;

    d->due = due;
    for (; i > 0 && o->waiting[(i - 1) / 2]->due > due; i = (i - 1) / 2)
        o->waiting[i] = o->waiting[(i - 1) / 2];
    o->waiting[i] = d;
}

/* Takes the first that is due; NULL: nobody is. */
static device_t *take_due(overload_t *o, double now)
{
    device_t *first, *last;
    int i = 0, child;

    if (o->waiting_count == 0 || o->waiting[0]->due > now)
        return NULL;
    first = o->waiting[0];
    last = o->waiting[--o->waiting_count];
    while ((child = 2 * i + 1) < o->waiting_count) {
        if (child + 1 < o->waiting_count && o->waiting[child + 1]->due < o->waiting[child]->due)
            child++;
        if (o->waiting[child]->due >= last->due)
            break;
        o->waiting[i] = o->waiting[child];
        i = child;
    }
    o->waiting[i] = last;
    return first;
}

/* Ends a device's connection. */
static void hang_up(overload_t *o, device_t *d)
{
    close(d->fd);
    d->fd = -1;
    o->open[d->open_index] = o->open[--o->open_count];
    o->open[d->open_index]->open_index = d->open_index;
}

/* A device without an answer comes again. */
static void lose(overload_t *o, device_t *d, long *figure)
{
    (*figure)++;
    hang_up(o, d);
    wait_until_due(o, d, storm_now() + AFTER_LOSS);
}

/* The request of a device, made once. */
static void make_request(const overload_t *o, device_t *d)
{
    const load_target_t *target = &o->storm->hosts[0];
    char head[512];
    int len;

    if (d->out)
        return;
    len = snprintf(head, sizeof(head),
                   "POST %s" STORM_PKI_OPERATION " HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
                   "Connection: close\r\n" STORM_PKI_TYPE "Content-Length: %lu\r\n\r\n",
                   target->prefix, target->port, (unsigned long)d->message.der_len);
    d->out_len = (size_t)len + d->message.der_len;
    d->out = storm_need(d->out_len, 1);
    memcpy(d->out, head, (size_t)len);
    memcpy(d->out + len, d->message.der, d->message.der_len);
}

/* Connects a device. */
static void begin(overload_t *o, device_t *d)
{
    struct sockaddr_in address;
    struct epoll_event event = {0};

    make_request(o, d);
    memset(&address, 0, sizeof(address));
    address.sin_family = AF_INET;
    address.sin_port = htons((unsigned short)o->storm->hosts[0].port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    d->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (d->fd < 0)
        storm_die("no socket");
    d->sent = d->in_len = 0;
    d->began = storm_now();
    d->open_index = o->open_count;
    o->open[o->open_count++] = d;
    o->offered++;
    event.events = EPOLLOUT;
    event.data.ptr = d;
    if ((connect(d->fd, (struct sockaddr *)&address, sizeof(address)) != 0 &&
         errno != EINPROGRESS) || epoll_ctl(o->epoll, EPOLL_CTL_ADD, d->fd, &event) != 0)
        lose(o, d, &o->lost);
}

/* The whole answer of a device is there. */
static void finish(overload_t *o, device_t *d)
{
    int status = 0, seconds = AFTER_LOSS;
    const char *at;

    d->in[d->in_len] = '\0';
    at = strcasestr(d->in, "\r\nRetry-After:");
    if (sscanf(d->in, "HTTP/1.%*d %d", &status) != 1) {
        lose(o, d, &o->lost);
        return;
    }
    hang_up(o, d);
    if (status == 200) {
        o->served_ms[o->served++] = (storm_now() - d->began) * 1000;
        free(d->out);
        d->out = NULL;
        return;
    }
    if (status == 503)
        o->unavailable++;
    else
        o->other++;
    if (at)
        seconds = atoi(at + 14);
    else if (status == 503)
        o->wrong = "503 without Retry-After";
    free(d->in);
    d->in = NULL;
    wait_until_due(o, d, storm_now() + seconds);
}

/* A connection can be written or read. */
static void go_on(overload_t *o, device_t *d)
{
    struct epoll_event event = {0};
    ssize_t n;

    if (d->sent < d->out_len) {
        n = send(d->fd, d->out + d->sent, d->out_len - d->sent, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            lose(o, d, &o->lost);
        if (n <= 0)
            return;
        d->sent += (size_t)n;
        event.events = d->sent < d->out_len ? EPOLLOUT : EPOLLIN;
        event.data.ptr = d;
        epoll_ctl(o->epoll, EPOLL_CTL_MOD, d->fd, &event);
        return;
    }
    if (!d->in)
        d->in = storm_need(ANSWER_MAX, 1);
    n = recv(d->fd, d->in + d->in_len, ANSWER_MAX - 1 - d->in_len, 0);
    if (n > 0)
        d->in_len += (size_t)n;
    else if (n == 0)
        finish(o, d);
    else if (errno != EAGAIN)
        lose(o, d, &o->lost);
}

/* Begins as many as the time that went by asks for. */
static void begin_due(overload_t *o, double start, double now)
{
    double wanted = (now - start) * o->storm->rate;
    device_t *d;

    while ((double)(o->offered + o->full) < wanted) {
        if (o->open_count >= o->storm->connections) {
            o->full++;
            continue;
        }
        d = take_due(o, now);
        if (d)
            o->again++;
        else if (o->fresh < o->count)
            d = &o->devices[o->fresh++];
        else
            storm_die("there are not enough messages");
        begin(o, d);
    }
}

/* Gives up on those that got no answer in time. */
static void drop_late(overload_t *o, double now)
{
    int i;

    for (i = o->open_count - 1; i >= 0; i--) {
        if (now - o->open[i]->began > o->storm->timeout)
            lose(o, o->open[i], &o->timeouts);
    }
}

/* Offers the load; how long it took. */
static double offer(overload_t *o)
{
    struct epoll_event events[EVENTS];
    double start = storm_now(), now = start, looked = start;
    int i, ready;

    while (now - start < o->storm->seconds) {
        begin_due(o, start, now);
        ready = epoll_wait(o->epoll, events, EVENTS, 1);
        for (i = 0; i < ready; i++)
            go_on(o, events[i].data.ptr);
        now = storm_now();
        if (now - looked > 1) {
            drop_late(o, now);
            looked = now;
        }
    }
    return now - start;
}

/* A thread: asks for GetCACert until the others have ended. */
static void *run_probe(void *baton)
{
    overload_t *o = baton;
    load_connection_t c;
    load_answer_t answer;
    double start, took;
    const char *error;

    load_connection_init(&c, &o->storm->hosts[0], o->storm->timeout);
    while (!__atomic_load_n(&o->over, __ATOMIC_ACQUIRE) && o->probes < PROBES_MAX) {
        start = storm_now();
        error = load_request(&c, &answer, "GET", "/mscep/mscep.dll?operation=GetCACert",
                             "Connection: close\r\n", NULL, 0);
        took = storm_now() - start;
        if (error || answer.status != 200)
            o->probes_failed++;
        else
            o->probe_ms[o->probes++] = took * 1000;
        if (took < PROBE_EVERY)
            storm_sleep(PROBE_EVERY - took);
    }
    load_connection_close(&c);
    return NULL;
}

/* Reads the messages. */
static void read_messages(overload_t *o)
{
    FILE *in = o->storm->messages ? fopen(o->storm->messages, "r") : NULL;

    o->devices = storm_need(COUNT_MAX, sizeof(*o->devices));
    if (o->storm->messages && !in)
        storm_die("cannot read the messages");
    while (in && o->count < COUNT_MAX && load_message_read(&o->devices[o->count].message, in))
        o->count++;
    if (in)
        fclose(in);
    o->waiting = storm_need((size_t)o->count, sizeof(device_t *));
    o->open = storm_need((size_t)o->storm->connections, sizeof(device_t *));
    o->served_ms = storm_need((size_t)o->count, sizeof(double));
    o->probe_ms = storm_need(PROBES_MAX, sizeof(double));
}

/* Looks at what those who were served have got. */
static void check(overload_t *o)
{
    const storm_t *s = o->storm;
    long seen = 0;
    int i;

    for (i = 0; i < o->fresh && !o->wrong; i++) {
        device_t *d = &o->devices[i];
        const char *body = d->in && !d->out ? strstr(d->in, "\r\n\r\n") : NULL;

        if (body)
            o->wrong = load_reply_check(&d->message, s->devices, &s->ra,
                                        (const unsigned char *)body + 4,
                                        d->in_len - (size_t)(body + 4 - d->in),
                                        seen++ % THOROUGH == 0);
    }
}

/* Prints the figures. */
static void print(const overload_t *o, double seconds, double cpu)
{
    printf("{\"seconds\": %.2f, \"offered\": %ld, \"offered_per_second\": %.0f, \"again\": %ld, "
           "\"not_offered\": %ld, \"served\": %ld, \"per_second\": %.1f, \"unavailable\": %ld, "
           "\"other\": %ld, \"lost\": %ld, \"timeouts\": %ld, \"p50_ms\": %.1f, \"p99_ms\": %.1f, "
           "\"cpu_seconds\": %.2f, \"probes\": %d, \"probes_failed\": %d, "
           "\"probe_p50_ms\": %.2f, \"probe_p99_ms\": %.2f, \"probe_max_ms\": %.2f, "
           "\"wrong\": \"%s\"}\n",
           seconds, o->offered, (double)o->offered / seconds, o->again, o->full, o->served,
           (double)o->served / seconds, o->unavailable, o->other, o->lost, o->timeouts,
           part(o->served_ms, o->served, 0.5), part(o->served_ms, o->served, 0.99), cpu, o->probes,
           o->probes_failed, part(o->probe_ms, o->probes, 0.5),
           part(o->probe_ms, o->probes, 0.99), part(o->probe_ms, o->probes, 1),
           o->wrong ? o->wrong : "");
}

/* Ends all connections and frees what there is. */
static void clean(overload_t *o)
{
    int i;

    while (o->open_count > 0)
        hang_up(o, o->open[0]);
    for (i = 0; i < o->count; i++) {
        load_message_free(&o->devices[i].message);
        free(o->devices[i].out);
        free(o->devices[i].in);
    }
    close(o->epoll);
    free(o->devices);
    free(o->waiting);
    free(o->open);
    free(o->served_ms);
    free(o->probe_ms);
}

int storm_overload(storm_t *storm)
{
    static overload_t o;
    struct rusage used;
    pthread_t probe;
    double seconds, cpu;

    o.storm = storm;
    read_messages(&o);
    if (storm->rate && !o.count)
        storm_die("there are no messages");
    o.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (o.epoll < 0 || pthread_create(&probe, NULL, run_probe, &o) != 0)
        storm_die("no epoll, or no thread");
    seconds = offer(&o);
    getrusage(RUSAGE_SELF, &used);
    cpu = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
          (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
    __atomic_store_n(&o.over, 1, __ATOMIC_RELEASE);
    pthread_join(probe, NULL);
    check(&o);
    qsort(o.served_ms, (size_t)o.served, sizeof(double), compare);
    qsort(o.probe_ms, (size_t)o.probes, sizeof(double), compare);
    print(&o, seconds, cpu);
    clean(&o);
    return o.wrong || o.other || (storm->rate && !o.served) ? 1 : 0;
}
