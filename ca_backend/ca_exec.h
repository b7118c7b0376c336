/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the backend "exec" share: how it runs a program (one call, one process group,
 * nothing of it left behind), what the program is told, and what it answers.  For ca_exec*.c only.
 */
#ifndef CA_EXEC_H
#define CA_EXEC_H

#include "ca_backend.h"

/* What a helper may print; more of stderr is read and forgotten. */
#define CA_EXEC_OUTPUT_MAX 65536
#define CA_EXEC_ERRORS_MAX 2048
#define CA_EXEC_COOKIE_MAX 255  /* see ca_answer_t */

/* The programs that run for an instance, so that a child that ends can end them. */
typedef struct ca_exec_running_t ca_exec_running_t;

typedef struct ca_exec_command_t {
    const char *path;               /* absolute */
    const char *const *argv;        /* ended by NULL; [0] is the name */
    const char *const *environment; /* all of it, "NAME=value", ended by NULL */
    const char *directory;
    apr_time_t deadline;            /* nothing of it is left then */
    ca_exec_running_t *running;     /* NULL: nobody ends it early */
} ca_exec_command_t;

typedef enum {
    CA_EXEC_EXITED,     /* by itself; code: exit status */
    CA_EXEC_SIGNALED,   /* by a signal that was not ours; code: its number */
    CA_EXEC_NOT_RUN,    /* it never ran; code: errno */
    CA_EXEC_TIME,       /* it was ended because the time was over */
    CA_EXEC_TOO_LONG,   /* it was ended because it printed more than CA_EXEC_OUTPUT_MAX */
    CA_EXEC_LOST        /* somebody else in this process took its exit status */
} ca_exec_how_e;

typedef struct ca_exec_end_t {
    ca_exec_how_e how;
    int code;
    const char *output;             /* stdout; a NUL follows it */
    apr_size_t output_len;
    const char *errors;             /* the beginning of stderr; text, never NULL */
} ca_exec_end_t;

/* Whether this system can run helpers: what closes all descriptors came with glibc 2.34. */
int ca_exec_is_possible(void);

/*
 * Runs a program and waits for its end, until the deadline at most: its group gets SIGTERM a moment
 * before that, and then SIGKILL.  stdin is /dev/null, no descriptor of ours is open in it, it has
 * no terminal, default signals and a group of its own; what is left of the group when it ends is
 * killed.  Its output lives in p.  Any thread.
 */
void ca_exec_run(ca_exec_end_t *end, const ca_exec_command_t *command, apr_pool_t *p);

/* A list for max programs at once, in the child; they are killed when pchild goes. */
ca_exec_running_t *ca_exec_running_make(int max, apr_pool_t *pchild);

/*
 * Looks at the program before anything runs it: absolute, a regular executable file, and it and the
 * folders that lead to it can be changed by root and by the user who starts httpd alone.  *preal is
 * the path without symbolic links.  Error text in p, NULL on success.
 */
const char *ca_exec_check(const char **preal, const char *path, apr_pool_t *p);

/*
 * The whole environment of a helper for a request, ended by NULL: added, then the request's.
 * cookie NULL: SUBMIT.  NULL: the CSR is too long for a variable.
 */
const char *const *ca_exec_environment(const ca_request_t *request, const char *cookie,
                                       const char *service, const apr_array_header_t *added,
                                       apr_pool_t *p);

/*
 * The certificates that a helper printed, in any order, owned by p: PEM (certificates, or PKCS#7
 * that holds some, between whatever else), or one of these in binary.  Error text as a predicate
 * ("printed no certificate"), NULL on success (>= 1).
 */
const char *ca_exec_certificates(STACK_OF(X509) **pcerts, const char *output, apr_size_t len,
                                 apr_pool_t *p);

/*
 * The cookie that a helper printed, after a line with a number of seconds where wait is not NULL;
 * that is between a second and a week then.  Error text as a predicate, NULL on success.
 */
const char *ca_exec_cookie(const char **pcookie, apr_interval_time_t *wait, const char *output,
                           apr_size_t len, apr_pool_t *p);

#endif /* CA_EXEC_H */
