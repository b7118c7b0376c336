/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A load generator for one SCEP service on this host, for tests/bench/run.
 *
 *   mint     reads challenges from mscep_admin into a file
 *   get      sends a GET of that operation and looks at the status
 *   prepare  makes one PKCSReq message for each challenge, or a message of another type for each
 *            certificate: the devices' work, before the clock runs
 *   send     posts every message exactly once and checks every answer after the clock has stopped;
 *            the same file sent again is a replay; keeps the certificates where told to
 *
 * Prints one JSON object.  Ends with 0 when everything succeeded, 1 when something failed, 2 when
 * it could not start.
 */
#include "load_http.h"
#include "load_message.h"
#include "load_setup.h"

#include <fcntl.h>
#include <getopt.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DEVICES 16
#define THREADS_MAX 1024
#define COUNT_MAX 2000000

typedef struct options_t {
    load_target_t target;
    const char *url, *user, *password_file, *challenges, *keys, *messages, *certificates;
    const char *operation;
    load_type_e type;
    int count, connections, timeout, deadline, thorough;
} options_t;

/* What became of one request. */
typedef struct result_t {
    double ms;
    const char *error;
    unsigned char *reply;       /* mint: the challenge as text */
    size_t reply_len;
} result_t;

/* One mode's work, shared by its threads. */
typedef struct work_t {
    const options_t *options;
    void (*one)(struct work_t *work, load_connection_t *c, int i);
    char headers[1024];
    load_device_t devices[DEVICES];
    load_ra_t ra;
    char **challenges;
    load_message_t *messages, *issued;
    result_t *results;
    int count, next;
    double end;
} work_t;

/* Prints why it cannot start and ends. */
static void die(const char *text)
{
    fprintf(stderr, "scep_load: %s\n", text);
    exit(2);
}

/* Seconds of a clock that only goes forward. */
static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Memory for count things, zeroed. */
static void *need(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size);

    if (!memory)
        die("out of memory");
    return memory;
}

/* ---- threads */

/* A thread: takes the next number until there are none or the time is over. */
static void *run_thread(void *baton)
{
    work_t *work = baton;
    load_connection_t c;
    double start;
    int i;

    load_connection_init(&c, &work->options->target, work->options->timeout);
    while ((i = __atomic_fetch_add(&work->next, 1, __ATOMIC_RELAXED)) < work->count) {
        start = now();
        if (start >= work->end) {
            work->results[i].error = "not sent: the time was over";
            continue;
        }
        work->one(work, &c, i);
        work->results[i].ms = (now() - start) * 1000;
    }
    load_connection_close(&c);
    OPENSSL_thread_stop();
    return NULL;
}

/* Does all the work with that many threads; the seconds it took. */
static double run_threads(work_t *work, int threads,
                          void (*one)(work_t *work, load_connection_t *c, int i))
{
    pthread_t ids[THREADS_MAX];
    double start = now();
    int i, made = 0;

    work->one = one;
    work->next = 0;
    work->end = start + work->options->deadline;
    for (i = 0; i < threads; i++) {
        if (pthread_create(&ids[made], NULL, run_thread, work) == 0)
            made++;
    }
    if (!made)
        die("no threads");
    for (i = 0; i < made; i++)
        pthread_join(ids[i], NULL);
    return now() - start;
}

/* For qsort. */
static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

/* Prints the JSON object; how many failed. */
static int report(const work_t *work, const char *mode, double seconds)
{
    double *ms = need((size_t)work->count, sizeof(*ms));
    const char *first = "";
    int i, good = 0, bad;

    for (i = 0; i < work->count; i++) {
        if (!work->results[i].error)
            ms[good++] = work->results[i].ms;
        else if (!*first)
            first = work->results[i].error;
    }
    bad = work->count - good;
    qsort(ms, (size_t)good, sizeof(*ms), compare);
    printf("{\"mode\": \"%s\", \"count\": %d, \"failures\": %d, \"seconds\": %.4f, "
           "\"per_second\": %.1f, \"p50_ms\": %.3f, \"p90_ms\": %.3f, \"p99_ms\": %.3f, "
           "\"p999_ms\": %.3f, \"max_ms\": %.3f, \"first_failure\": \"%s\"}\n",
           mode, work->count, bad, seconds, seconds > 0 ? good / seconds : 0,
           good ? ms[good / 2] : 0, good ? ms[(int)(good * 0.9)] : 0,
           good ? ms[(int)(good * 0.99)] : 0, good ? ms[(int)(good * 0.999)] : 0,
           good ? ms[good - 1] : 0, first);
    free(ms);
    return bad;
}

/* ---- mint */

/* Reads one challenge. */
static void mint_one(work_t *work, load_connection_t *c, int i)
{
    result_t *result = &work->results[i];
    char challenge[LOAD_CHALLENGE_MAX + 1];

    result->error = load_mint(c, work->headers, challenge);
    if (!result->error)
        result->reply = (unsigned char *)strdup(challenge);
}

/* Mints and writes the challenges; the exit status. */
static int mint(const options_t *options)
{
    work_t work = {0};
    const char *error;
    double seconds;
    FILE *out;
    int fd, i, bad;

    work.options = options;
    work.count = options->count;
    work.results = need((size_t)work.count, sizeof(*work.results));
    error = load_authorization(work.headers, sizeof(work.headers), options->user,
                               options->password_file);
    if (error)
        die(error);
    fd = open(options->challenges, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    out = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (!out)
        die("cannot write the file of challenges");
    seconds = run_threads(&work, options->connections, mint_one);
    for (i = 0; i < work.count; i++) {
        if (work.results[i].reply)
            fprintf(out, "%s\n", (char *)work.results[i].reply);
        free(work.results[i].reply);
    }
    if (fclose(out) != 0)
        die("cannot write the file of challenges");
    bad = report(&work, "mint", seconds);
    OPENSSL_cleanse(work.headers, sizeof(work.headers));
    free(work.results);
    return bad ? 1 : 0;
}

/* ---- get */

/* Asks once. */
static void get_one(work_t *work, load_connection_t *c, int i)
{
    load_answer_t answer;
    char path[128];

    snprintf(path, sizeof(path), "/mscep/mscep.dll?operation=%s", work->options->operation);
    work->results[i].error = load_request(c, &answer, "GET", path, "", NULL, 0);
    if (!work->results[i].error && (answer.status != 200 || answer.body_len == 0))
        work->results[i].error = "status is not 200, or nothing came";
}

/* Asks count times; the exit status. */
static int get(const options_t *options)
{
    work_t work = {0};
    double seconds;
    int bad;

    work.options = options;
    work.count = options->count;
    work.results = need((size_t)work.count, sizeof(*work.results));
    seconds = run_threads(&work, options->connections, get_one);
    bad = report(&work, options->operation, seconds);
    free(work.results);
    return bad || work.count == 0 ? 1 : 0;
}

/* ---- prepare */

/* Reads the challenges. */
static void read_challenges(work_t *work)
{
    work->count = load_challenges(&work->challenges, work->options->challenges, COUNT_MAX);
    if (work->count < 0)
        die("cannot read the file of challenges");
}

/* Reads a file of messages, or of certificates. */
static load_message_t *read_messages(work_t *work, const char *name)
{
    FILE *in = fopen(name, "r");
    load_message_t *list, message;

    if (!in)
        die("cannot read the messages, or the certificates");
    list = need(COUNT_MAX, sizeof(*list));
    while (work->count < COUNT_MAX && load_message_read(&message, in)) {
        if (message.device < 0 || message.device >= DEVICES)
            die("the messages are of other devices");
        list[work->count++] = message;
    }
    fclose(in);
    return list;
}

/* Makes one message. */
static void prepare_one(work_t *work, load_connection_t *c, int i)
{
    (void)c;
    work->results[i].error =
        work->issued ? load_query_make(&work->messages[i], work->options->type, work->devices,
                                       &work->ra, &work->issued[i])
                     : load_message_make(&work->messages[i], work->devices, DEVICES, &work->ra,
                                         work->challenges[i], (unsigned long)i);
}

/* Makes and writes the messages; the exit status. */
static int prepare(const options_t *options)
{
    work_t work = {0};
    const char *error;
    double seconds;
    FILE *out;
    int fd, i, bad;

    work.options = options;
    error = load_devices(work.devices, DEVICES, options->keys);
    if (error)
        die(error);
    error = load_ra_get(&work.ra, &options->target, options->timeout);
    if (error)
        die(error);
    if (options->certificates)
        work.issued = read_messages(&work, options->certificates);
    else
        read_challenges(&work);
    work.messages = need((size_t)work.count, sizeof(*work.messages));
    work.results = need((size_t)work.count, sizeof(*work.results));
    fd = open(options->messages, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    out = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (!out)
        die("cannot write the file of messages");
    seconds = run_threads(&work, options->connections, prepare_one);
    for (i = 0; i < work.count; i++) {
        if (!work.results[i].error && !load_message_write(&work.messages[i], out))
            work.results[i].error = "cannot write";
        load_message_free(&work.messages[i]);
        if (work.issued)
            load_message_free(&work.issued[i]);
        else
            free(work.challenges[i]);
    }
    if (fclose(out) != 0)
        die("cannot write the file of messages");
    bad = report(&work, "prepare", seconds);
    load_devices_free(work.devices, DEVICES);
    load_ra_free(&work.ra);
    free(work.challenges);
    free(work.issued);
    free(work.messages);
    free(work.results);
    return bad ? 1 : 0;
}

/* ---- send */

/* Posts one message. */
static void send_one(work_t *work, load_connection_t *c, int i)
{
    result_t *result = &work->results[i];
    load_answer_t answer;

    result->error = load_request(c, &answer, "POST", "/mscep/mscep.dll?operation=PKIOperation",
                                 "Content-Type: application/x-pki-message\r\n",
                                 work->messages[i].der, work->messages[i].der_len);
    if (result->error)
        return;
    if (answer.status != 200)
        result->error = "status is not 200";
    else if (strcmp(answer.type, "application/x-pki-message") != 0)
        result->error = "wrong content type";
    else if ((result->reply = malloc(answer.body_len + 1)) == NULL)
        result->error = "out of memory";
    else {
        memcpy(result->reply, answer.body, answer.body_len);
        result->reply_len = answer.body_len;
    }
}

/* Checks what came back; each thorough-th answer is opened. */
static void check_replies(work_t *work)
{
    int i, every = work->options->thorough;

    for (i = 0; i < work->count; i++) {
        result_t *result = &work->results[i];

        if (!result->error)
            result->error = load_reply_check(&work->messages[i], work->devices, &work->ra,
                                             result->reply, result->reply_len,
                                             every > 0 && i % every == 0);
    }
}

/* Opens every reply and writes the certificates, in the order of the messages. */
static void keep_certificates(work_t *work)
{
    load_message_t issued;
    FILE *out = fopen(work->options->certificates, "w");
    int i;

    if (!out)
        die("cannot write the file of certificates");
    for (i = 0; i < work->count; i++) {
        result_t *result = &work->results[i];

        if (result->error)
            continue;
        result->error = load_issued_make(&issued, &work->messages[i], work->devices, &work->ra,
                                         result->reply, result->reply_len);
        if (!result->error && !load_message_write(&issued, out))
            result->error = "cannot write";
        load_message_free(&issued);
    }
    if (fclose(out) != 0)
        die("cannot write the file of certificates");
}

/* Sends the messages; the exit status. */
static int send_messages(const options_t *options)
{
    work_t work = {0};
    const char *error;
    double seconds;
    int i, bad;

    work.options = options;
    error = load_devices(work.devices, DEVICES, options->keys);
    if (error)
        die(error);
    error = load_ra_get(&work.ra, &options->target, options->timeout);
    if (error)
        die(error);
    work.messages = read_messages(&work, options->messages);
    work.results = need((size_t)work.count, sizeof(*work.results));
    seconds = run_threads(&work, options->connections, send_one);
    check_replies(&work);
    if (options->certificates)
        keep_certificates(&work);
    bad = report(&work, "send", seconds);
    for (i = 0; i < work.count; i++) {
        load_message_free(&work.messages[i]);
        free(work.results[i].reply);
    }
    load_devices_free(work.devices, DEVICES);
    load_ra_free(&work.ra);
    free(work.messages);
    free(work.results);
    return bad || work.count == 0 ? 1 : 0;
}

/* ---- command line */

/* Prints what there is. */
static void usage(void)
{
    puts("Usage: scep_load mint    --url URL --count N --user NAME --password-file FILE\n"
         "                         --challenges FILE [--connections K]\n"
         "       scep_load get     --url URL --operation NAME --count N [--connections K]\n"
         "       scep_load prepare --url URL --keys FILE --messages FILE [--connections THREADS]\n"
         "                         (--challenges FILE | --certificates FILE --type 17|20|21|22)\n"
         "       scep_load send    --url URL --keys FILE --messages FILE [--connections K]\n"
         "                         [--thorough N] [--certificates FILE]\n"
         "URL is http://127.0.0.1:PORT/PREFIX of the service; no other host is accepted.\n"
         "Also: --timeout SECONDS of one request (30), --deadline SECONDS of all (900);\n"
         "--thorough N opens each Nth reply (16; 0 none).  --keys is made when it is not there.\n"
         "send writes the certificates that it got; --type is the new messages' messageType.");
}

/* The number in text, from 0 to max. */
static int number(const char *text, int max)
{
    char *end;
    long n = strtol(text, &end, 10);

    if (!*text || *end || n < 0 || n > max)
        die("a number is out of range");
    return (int)n;
}

/* Reads the options after the mode. */
static void parse(options_t *options, int argc, char **argv)
{
    static const struct option names[] = {
        {"url", 1, NULL, 'u'},        {"user", 1, NULL, 'n'},     {"password-file", 1, NULL, 'p'},
        {"challenges", 1, NULL, 'c'}, {"keys", 1, NULL, 'k'},     {"messages", 1, NULL, 'm'},
        {"count", 1, NULL, 'N'},      {"connections", 1, NULL, 'K'}, {"timeout", 1, NULL, 't'},
        {"deadline", 1, NULL, 'd'},   {"thorough", 1, NULL, 'T'}, {"operation", 1, NULL, 'o'},
        {"certificates", 1, NULL, 'C'}, {"type", 1, NULL, 'y'},  {NULL, 0, NULL, 0}};
    int c;

    while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (c) {
        case 'u': options->url = optarg; break;
        case 'n': options->user = optarg; break;
        case 'p': options->password_file = optarg; break;
        case 'c': options->challenges = optarg; break;
        case 'k': options->keys = optarg; break;
        case 'm': options->messages = optarg; break;
        case 'N': options->count = number(optarg, COUNT_MAX); break;
        case 'K': options->connections = number(optarg, THREADS_MAX); break;
        case 't': options->timeout = number(optarg, 3600); break;
        case 'd': options->deadline = number(optarg, 86400); break;
        case 'o': options->operation = optarg; break;
        case 'C': options->certificates = optarg; break;
        case 'y': options->type = (load_type_e)number(optarg, 255); break;
        case 'T': options->thorough = number(optarg, COUNT_MAX); break;
        default: exit(2);
        }
    }
    if (optind < argc)
        die("too many arguments; see --help");
}

int main(int argc, char **argv)
{
    options_t options = {0};
    const char *mode = argc > 1 ? argv[1] : "", *error;

    if (strcmp(mode, "--help") == 0 || strcmp(mode, "-h") == 0) {
        usage();
        return 0;
    }
    options.connections = 8;
    options.timeout = 30;
    options.deadline = 900;
    options.thorough = 16;
    if (argc > 1)
        parse(&options, argc - 1, argv + 1);
    error = options.url ? load_target_parse(&options.target, options.url) : "--url is missing";
    if (error)
        die(error);
    if (options.connections < 1)
        die("at least one connection");
    if (strcmp(mode, "mint") == 0 && options.user && options.password_file && options.challenges)
        return mint(&options);
    if (strcmp(mode, "get") == 0 && options.operation)
        return get(&options);
    if (strcmp(mode, "prepare") == 0 && options.keys && options.messages &&
        (options.certificates ? options.type != 0 : options.challenges != NULL))
        return prepare(&options);
    if (strcmp(mode, "send") == 0 && options.keys && options.messages)
        return send_messages(&options);
    die("no such mode, or an option is missing; see --help");
    return 2;
}
