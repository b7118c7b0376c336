/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CA backend "exec": a program signs, by the protocol of certmonger's enrollment helpers
 * (certmonger's doc/helpers.txt), so that whatever certmonger can ask is a CA here too.
 *
 * The request goes in by the environment, never by arguments, which everybody can read; the answer
 * comes as exit status and standard output.  The environment is made of nothing.
 */
#include "ca_exec.h"
#include "../common/http_client.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define EXEC_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define EXEC_CONCURRENCY 8
#define WORDS_MAX 64
#define TEXT_MAX 200        /* of what a helper says, in a log or for a device */

/* Exit statuses, certmonger's doc/helpers.txt. */
typedef enum {
    STATUS_ISSUED = 0,
    STATUS_WAIT = 1,            /* cookie */
    STATUS_REJECTED = 2,
    STATUS_UNREACHABLE = 3,
    STATUS_UNCONFIGURED = 4,
    STATUS_WAIT_DELAY = 5,      /* seconds, cookie */
    STATUS_UNSUPPORTED = 6,
    STATUS_NEED_SCEP_DATA = 16,
    STATUS_NEED_NEW_KEY = 17
} status_e;

typedef struct exec_t {
    const char *path;                   /* what runs */
    const char *const *argv;            /* ended by NULL */
    const apr_array_header_t *added;    /* to the environment: const char* "NAME=value" */
    const char *directory;
    const char *service;
    apr_interval_time_t timeout, poll_interval;
    int concurrency;
    int rewrites;                       /* the CA chooses the names: CA_CAP_REWRITES_SUBJECT */
    ca_exec_running_t *running;         /* of the child */
} exec_t;

/* A call that is under way. */
typedef struct call_t {
    const exec_t *exec;
    const ca_request_t *request;
    const char *cookie;                 /* NULL: SUBMIT */
    int whole_time;                     /* it had all of "timeout" */
    const log_sink_t *log;
    apr_pool_t *p;
} call_t;

static const settings_key_t exec_keys[] = {
    {"helper", "/PATH", 1},
    {"arguments", "WORDS", 0},
    {"environment", "NAME=VALUE ...", 0},
    {"directory", "/PATH", 0},
    {"timeout", "DURATION", 0},
    {"pollInterval", "DURATION", 0},
    {"rewritesSubject", "on|off", 0},
    {NULL, NULL, 0}
};

/* Splits an option's value at blanks, with quotes as a shell has them; error text or NULL. */
static const char *split_words(char ***pwords, int *count, const char *key, const char *value,
                               apr_pool_t *p)
{
    apr_status_t rv = apr_tokenize_to_argv(value, pwords, p);

    for (*count = 0; rv == APR_SUCCESS && (*pwords)[*count] != NULL; (*count)++) {
        continue;
    }
    return rv == APR_SUCCESS && *count <= WORDS_MAX
               ? NULL : apr_psprintf(p, "%s: at most %d words are possible", key, WORDS_MAX);
}

/* Reads arguments=; error text or NULL. */
static const char *read_arguments(exec_t *exec, const settings_t *settings, const char *name,
                                  apr_pool_t *p)
{
    char **words = NULL;
    const char **argv;
    int i, n = 0;
    const char *error = split_words(&words, &n, "arguments",
                                    settings_get(settings, "arguments", ""), p);

    if (error != NULL) {
        return error;
    }
    argv = apr_pcalloc(p, sizeof(*argv) * (apr_size_t)(n + 2));
    argv[0] = name;
    for (i = 0; i < n; i++) {
        argv[i + 1] = words[i];
    }
    exec->argv = argv;
    return NULL;
}

/* Error text if word is not NAME=value with a name that the configuration may set, else NULL. */
static const char *check_variable(const char *word, apr_pool_t *p)
{
    static const char *const ours[] = {"CERTMONGER_OPERATION=", "CERTMONGER_CSR=",
                                       "CERTMONGER_CA_COOKIE=", "CERTMONGER_CA_PROFILE=",
                                       "CERTMONGER_CA_NICKNAME=", "CERTMONGER_REQ_",
                                       "CERTMONGER_SPKI=", "CERTMONGER_KEY_TYPE="};
    const char *equals = strchr(word, '='), *at;
    size_t i;

    for (at = word; equals != NULL && at < equals; at++) {
        if (!apr_isalpha(*at) && *at != '_' && (at == word || !apr_isdigit(*at))) {
            equals = NULL;
        }
    }
    if (equals == NULL || equals == word) {
        return apr_psprintf(p, "environment: '%.64s' is not NAME=value", word);
    }
    for (i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
        if (strncmp(word, ours[i], strlen(ours[i])) == 0) {
            return apr_psprintf(p, "environment: %.*s is the request's", (int)(equals - word),
                                word);
        }
    }
    return NULL;
}

/* Reads environment=; error text or NULL. */
static const char *read_environment(exec_t *exec, const settings_t *settings, apr_pool_t *p)
{
    apr_array_header_t *added = apr_array_make(p, 4, sizeof(const char *));
    char **words = NULL;
    int i, n = 0, has_path = 0;
    const char *error = split_words(&words, &n, "environment",
                                    settings_get(settings, "environment", ""), p);

    for (i = 0; error == NULL && i < n; i++) {
        error = check_variable(words[i], p);
        has_path |= strncmp(words[i], "PATH=", 5) == 0;
        APR_ARRAY_PUSH(added, const char *) = words[i];
    }
    if (!has_path) {
        APR_ARRAY_PUSH(added, const char *) = EXEC_PATH;
    }
    exec->added = added;
    return error;
}

/* Reads directory=; error text or NULL. */
static const char *read_directory(exec_t *exec, const settings_t *settings, apr_pool_t *p)
{
    struct stat st;

    exec->directory = settings_get(settings, "directory", "/");
    if (*exec->directory != '/') {
        return apr_psprintf(p, "directory: '%s' is not an absolute path", exec->directory);
    }
    if (stat(exec->directory, &st) != 0) {
        return apr_psprintf(p, "directory: %s: %s", exec->directory, strerror(errno));
    }
    return S_ISDIR(st.st_mode)
               ? NULL : apr_psprintf(p, "directory: %s is not a directory", exec->directory);
}

/* Reads the other options; error text or NULL. */
static const char *read_limits(exec_t *exec, const settings_t *settings, apr_pool_t *p)
{
    apr_int64_t concurrency = EXEC_CONCURRENCY;
    const char *error = settings_get_duration(settings, "timeout", apr_time_from_sec(30),
                                              apr_time_from_msec(100), apr_time_from_sec(600),
                                              &exec->timeout, p);

    if (error == NULL) {
        error = settings_get_duration(settings, "pollInterval", apr_time_from_sec(60),
                                      apr_time_from_sec(1), apr_time_from_sec(86400),
                                      &exec->poll_interval, p);
    }
    if (error == NULL) {
        error = settings_get_number(settings, "concurrency", EXEC_CONCURRENCY, 1, 10000,
                                    &concurrency, p);
    }
    exec->concurrency = (int)concurrency;
    return error != NULL ? error
                         : settings_get_flag(settings, "rewritesSubject", 0, &exec->rewrites, p);
}

/* See ca_provider_t.create. */
static const char *exec_create(void **pinstance, const settings_t *settings,
                               const ca_config_t *cfg, apr_pool_t *p)
{
    exec_t *exec = apr_pcalloc(p, sizeof(*exec));
    const char *helper = settings_get(settings, "helper", ""), *error;

    *pinstance = exec;
    exec->service = cfg->service;
    if (!ca_exec_is_possible()) {
        return "this system cannot close all files of a new process (glibc 2.34 or later can)";
    }
    if (cfg->chain_file == NULL) {
        return "ScepCAChain is missing: what the helper gives is verified by it";
    }
    error = ca_exec_check(&exec->path, helper, p);
    if (error != NULL) {
        return apr_pstrcat(p, "helper: ", error, NULL);
    }
    error = read_arguments(exec, settings, helper, p);
    if (error == NULL) {
        error = read_environment(exec, settings, p);
    }
    if (error == NULL) {
        error = read_directory(exec, settings, p);
    }
    return error != NULL ? error : read_limits(exec, settings, p);
}

/* See ca_provider_t.more_capabilities. */
static int exec_more_capabilities(const void *instance)
{
    return ((const exec_t *)instance)->rewrites ? CA_CAP_REWRITES_SUBJECT : 0;
}

/* See ca_provider_t.child_init. */
static apr_status_t exec_child_init(void *instance, apr_pool_t *pchild)
{
    exec_t *exec = instance;

    exec->running = ca_exec_running_make(exec->concurrency, pchild);
    return APR_SUCCESS;
}

/* What the helper says in a line: the first one of stdout, else of stderr; "" nothing. */
static const char *first_line(const ca_exec_end_t *end, apr_pool_t *p)
{
    const char *text = end->output + strspn(end->output, " \t\r\n");

    if (*text == '\0') {
        text = end->errors + strspn(end->errors, " \t\r\n");
    }
    return http_printable(apr_pstrmemdup(p, text, strcspn(text, "\r\n")), TEXT_MAX, p);
}

/* Logs what is wrong with the helper, and makes the answer RETRY. */
static void complain(const call_t *call, ca_answer_t *answer, const char *reason, const char *what)
{
    answer->result = CA_RETRY;
    outcome_unavailable(&answer->outcome, reason, 0, call->p, "helper %s %s", call->exec->argv[0],
                        what);
    log_to(call->log, LOG_SINK_ERR, SCEPTAG(0365), "service %s: transaction %s: helper %s %s",
           call->exec->service, grant_transaction_id(call->request->grant), call->exec->argv[0],
           what);
}

/* As complain(), where the CA may have signed all the same. */
static void complain_unknown(const call_t *call, ca_answer_t *answer, const char *reason,
                             const char *what)
{
    complain(call, answer, reason, what);
    answer->unknown = call->cookie == NULL;
}

/* The helper says that there is a certificate. */
static void read_issued(const call_t *call, const ca_exec_end_t *end, ca_answer_t *answer)
{
    const char *error = ca_exec_certificates(&answer->certs, end->output, end->output_len, call->p);

    if (error != NULL) {
        complain_unknown(call, answer, "ca-answer", error);
        return;
    }
    answer->result = CA_ISSUED;
}

/* The helper says that the request waits. */
static void read_wait(const call_t *call, const ca_exec_end_t *end, ca_answer_t *answer)
{
    apr_interval_time_t wait = call->exec->poll_interval;
    apr_interval_time_t *said = end->code == STATUS_WAIT_DELAY ? &wait : NULL;
    const char *error = ca_exec_cookie(&answer->cookie, said, end->output, end->output_len,
                                       call->p);

    if (error != NULL) {
        complain_unknown(call, answer, "ca-answer", error);
        return;
    }
    answer->result = CA_PENDING;
    answer->retry_after = wait;
}

/* The helper refuses, for the given reason or one of its own. */
static void read_rejected(const call_t *call, const char *text, ca_answer_t *answer)
{
    answer->result = CA_REJECTED;
    outcome_refuse(&answer->outcome, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_ACCESS_DENIED,
                   "ca-rejected", *text == '\0'
                       ? "The certification authority refused the request."
                       : apr_pstrcat(call->p, "The certification authority refused the request: ",
                                     text, NULL),
                   call->p, "helper %s refused%s%s", call->exec->argv[0],
                   *text != '\0' ? ": " : " without a reason", text);
}

/* The helper ended by itself: what its exit status means. */
static void read_status(const call_t *call, const ca_exec_end_t *end, ca_answer_t *answer)
{
    const char *text = first_line(end, call->p);

    switch ((status_e)end->code) {
    case STATUS_ISSUED:
        read_issued(call, end, answer);
        return;
    case STATUS_WAIT:
    case STATUS_WAIT_DELAY:
        read_wait(call, end, answer);
        return;
    case STATUS_REJECTED:
        read_rejected(call, text, answer);
        return;
    case STATUS_NEED_NEW_KEY:
        read_rejected(call, "The CA wants a new key.", answer);
        return;
    case STATUS_UNREACHABLE:
        complain(call, answer, "ca-unavailable",
                 apr_psprintf(call->p, "cannot reach the CA: %s", text));
        answer->down = 1;
        return;
    case STATUS_UNCONFIGURED:
        complain(call, answer, "ca-unavailable",
                 apr_psprintf(call->p, "is not configured (exit status 4): %s", text));
        return;
    case STATUS_UNSUPPORTED:
    case STATUS_NEED_SCEP_DATA:
        complain(call, answer, "ca-unavailable",
                 apr_psprintf(call->p, "does not do what is asked (exit status %d): %s", end->code,
                              text));
        return;
    default:
        complain_unknown(call, answer, "ca-answer",
                         apr_psprintf(call->p, "ended with unknown exit status %d: %s", end->code,
                                      text));
        return;
    }
}

/* The helper did not end by itself. */
static void read_failure(const call_t *call, const ca_exec_end_t *end, ca_answer_t *answer)
{
    switch (end->how) {
    case CA_EXEC_NOT_RUN:
        complain(call, answer, "ca-unreachable",
                 apr_psprintf(call->p, "cannot be run: %s", strerror(end->code)));
        answer->down = end->code != E2BIG; /* that one is this request's */
        return;
    case CA_EXEC_TIME:
        complain_unknown(call, answer, "ca-deadline", "took too long and was ended");
        answer->down = call->whole_time;
        return;
    case CA_EXEC_TOO_LONG:
        complain_unknown(call, answer, "ca-answer", "printed more than 64 KiB and was ended");
        return;
    case CA_EXEC_SIGNALED:
        complain_unknown(call, answer, "ca-answer",
                         apr_psprintf(call->p, "was ended by signal %d", end->code));
        return;
    default:
        complain_unknown(call, answer, "ca-answer", "ended, and nobody knows how");
        return;
    }
}

/* One line of what the helper wrote to stderr. */
static void log_errors(const call_t *call, const ca_exec_end_t *end)
{
    const char *text = http_printable(end->errors, CA_EXEC_ERRORS_MAX, call->p);
    const int well = end->how == CA_EXEC_EXITED && end->code <= STATUS_REJECTED;

    text += strspn(text, " ");
    if (*text != '\0') {
        log_to(call->log, well ? LOG_SINK_INFO : LOG_SINK_WARN, SCEPTAG(0366),
               "service %s: transaction %s: helper %s says: %s", call->exec->service,
               grant_transaction_id(call->request->grant), call->exec->argv[0], text);
    }
}

/* Runs the helper and reads its answer; APR_SUCCESS. */
static apr_status_t ask(call_t *call, ca_answer_t *answer)
{
    const exec_t *exec = call->exec;
    ca_exec_command_t command;
    ca_exec_end_t end;

    memset(&command, 0, sizeof(command));
    command.path = exec->path;
    command.argv = exec->argv;
    command.directory = exec->directory;
    command.running = exec->running;
    command.environment = ca_exec_environment(call->request, call->cookie, exec->service,
                                              exec->added, call->p);
    if (command.environment == NULL) {
        read_rejected(call, "The request is too long.", answer);
        return APR_SUCCESS;
    }
    command.deadline = apr_time_now() + exec->timeout;
    call->whole_time = command.deadline <= call->request->deadline;
    if (!call->whole_time) {
        command.deadline = call->request->deadline;
    }
    ca_exec_run(&end, &command, call->p);
    log_errors(call, &end);
    if (end.how == CA_EXEC_EXITED) {
        read_status(call, &end, answer);
    }
    else {
        read_failure(call, &end, answer);
    }
    return APR_SUCCESS;
}

/* See ca_provider_t.poll. */
static apr_status_t exec_poll(void *instance, const ca_request_t *request, const char *cookie,
                              ca_answer_t *answer, const log_sink_t *log, apr_pool_t *p)
{
    call_t call;

    memset(&call, 0, sizeof(call));
    call.exec = instance;
    call.request = request;
    call.cookie = cookie;
    call.log = log;
    call.p = p;
    return ask(&call, answer);
}

/* See ca_provider_t.submit. */
static apr_status_t exec_submit(void *instance, const ca_request_t *request, ca_answer_t *answer,
                                const log_sink_t *log, apr_pool_t *p)
{
    return exec_poll(instance, request, NULL, answer, log, p);
}

/* See ca_provider_t.health. */
static apr_status_t exec_health(void *instance, const char **text, apr_pool_t *p)
{
    const exec_t *exec = instance;

    if (access(exec->path, X_OK) == 0) {
        return APR_SUCCESS;
    }
    *text = apr_psprintf(p, "helper %s cannot be run: %s", exec->argv[0], strerror(errno));
    return APR_EGENERAL;
}

const ca_provider_t ca_exec_provider = {
    .name = "exec",
    .keys = exec_keys,
    .capabilities = CA_CAP_PENDING,
    .concurrency = EXEC_CONCURRENCY,
    .more_capabilities = exec_more_capabilities,
    .create = exec_create,
    .child_init = exec_child_init,
    .submit = exec_submit,
    .poll = exec_poll,
    .health = exec_health,
};
