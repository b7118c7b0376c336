/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a helper; see ca_exec.h.
 *
 * posix_spawn() and not fork(): no code of ours runs between the two images of a process that has
 * threads.  The exit status is looked at without taking it (WNOWAIT) until the group is dead: the
 * process' number, which is the group's too, cannot be another one's before.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* addclosefrom_np() and addchdir_np() */
#endif
#include "config.h"
#include "ca_exec.h"

#include <apr_atomic.h>
#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define GRACE_MAX apr_time_from_sec(1) /* between SIGTERM and SIGKILL */
#define STEP_MAX 32                    /* milliseconds between two looks at the process */

struct ca_exec_running_t {
    int max;
    volatile apr_uint32_t *pids; /* 0: free */
};

/* One of the two things that a helper writes to. */
typedef struct stream_t {
    int fd;             /* ours, -1: at its end */
    int child_fd;       /* the helper's */
    char *text;
    apr_size_t len, max;
    int full;           /* there was more than max */
} stream_t;

typedef struct run_t {
    const ca_exec_command_t *command;
    ca_exec_end_t *end;
    stream_t out, err;
    pid_t pid;
    apr_time_t term_at; /* when it is asked to end; 0: it was */
} run_t;

#if defined(HAVE_POSIX_SPAWN_FILE_ACTIONS_ADDCLOSEFROM_NP) && \
    defined(HAVE_POSIX_SPAWN_FILE_ACTIONS_ADDCHDIR_NP) && defined(POSIX_SPAWN_SETSID)

int ca_exec_is_possible(void)
{
    return 1;
}

/* What happens in the child before the program starts; 0 or errno. */
static int set_actions(posix_spawn_file_actions_t *actions, const run_t *run)
{
    int rc = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);

    if (rc == 0) {
        rc = posix_spawn_file_actions_adddup2(actions, run->out.child_fd, STDOUT_FILENO);
    }
    if (rc == 0) {
        rc = posix_spawn_file_actions_adddup2(actions, run->err.child_fd, STDERR_FILENO);
    }
    if (rc == 0) {
        rc = posix_spawn_file_actions_addclosefrom_np(actions, STDERR_FILENO + 1);
    }
    if (rc == 0) {
        rc = posix_spawn_file_actions_addchdir_np(actions, run->command->directory);
    }
    return rc;
}

/* Default signals, none blocked, a session and so a group of its own; 0 or errno. */
static int set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t all, none;
    int rc;

    sigfillset(&all);
    sigemptyset(&none);
    rc = posix_spawnattr_setsigdefault(attributes, &all);
    if (rc == 0) {
        rc = posix_spawnattr_setsigmask(attributes, &none);
    }
    if (rc == 0) {
        rc = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK |
                                                      POSIX_SPAWN_SETSID);
    }
    return rc;
}

/* Starts the program; 0 or errno. */
static int spawn(run_t *run)
{
    const ca_exec_command_t *command = run->command;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int rc = posix_spawn_file_actions_init(&actions);

    if (rc != 0) {
        return rc;
    }
    rc = posix_spawnattr_init(&attributes);
    if (rc == 0) {
        rc = set_actions(&actions, run);
        if (rc == 0) {
            rc = set_attributes(&attributes);
        }
        if (rc == 0) {
            rc = posix_spawn(&run->pid, command->path, &actions, &attributes,
                             (char *const *)command->argv, (char *const *)command->environment);
        }
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return rc;
}

#else

int ca_exec_is_possible(void)
{
    return 0;
}

static int spawn(run_t *run)
{
    (void)run;
    return ENOSYS;
}

#endif

/* Makes the pipe of a stream; 0 or errno. */
static int open_stream(stream_t *stream, apr_size_t max, apr_pool_t *p)
{
    int fds[2];

    stream->fd = stream->child_fd = -1;
    stream->len = 0;
    stream->max = max;
    stream->full = 0;
    stream->text = apr_palloc(p, max + 1);
    /* another module's CGI, forked at this moment, must not hold the helper's end open */
    if (pipe2(fds, O_CLOEXEC) != 0) {
        return errno;
    }
    stream->fd = fds[0];
    stream->child_fd = fds[1];
    if (stream->fd <= STDERR_FILENO || stream->child_fd <= STDERR_FILENO) {
        return EBADF; /* httpd was started with these closed: dup2() would mix them up */
    }
    return fcntl(stream->fd, F_SETFL, O_NONBLOCK) == 0 ? 0 : errno;
}

/* Closes *fd once. */
static void close_fd(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
        *fd = -1;
    }
}

/* Reads what is there now, and closes the stream at its end. */
static void read_stream(stream_t *stream)
{
    char spill[4096];

    while (stream->fd >= 0) {
        const apr_size_t room = stream->max - stream->len;
        ssize_t n = room > 0 ? read(stream->fd, stream->text + stream->len, room)
                             : read(stream->fd, spill, sizeof(spill));

        if (n > 0 && room > 0) {
            stream->len += (apr_size_t)n;
        }
        else if (n > 0) {
            stream->full = 1;
            return;
        }
        else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
            close_fd(&stream->fd);
        }
        else if (errno == EAGAIN) {
            return;
        }
    }
}

/* Whether the program has ended; its status stays to be taken. */
static int has_ended(run_t *run)
{
    siginfo_t info;
    int rc;

    memset(&info, 0, sizeof(info));
    do {
        rc = waitid(P_PID, (id_t)run->pid, &info, WEXITED | WNOHANG | WNOWAIT);
    } while (rc != 0 && errno == EINTR);
    if (rc != 0) {
        run->end->how = CA_EXEC_LOST;
        return 1;
    }
    if (info.si_pid == 0) {
        return 0;
    }
    run->end->how = info.si_code == CLD_EXITED ? CA_EXEC_EXITED : CA_EXEC_SIGNALED;
    run->end->code = info.si_status;
    return 1;
}

/* Waits for the streams for at most so many milliseconds; whether something came. */
static int wait_streams(run_t *run, int milliseconds)
{
    struct pollfd fds[2];
    int n;

    fds[0].fd = run->out.fd; /* poll() passes over -1 */
    fds[1].fd = run->err.fd;
    fds[0].events = fds[1].events = POLLIN;
    n = poll(fds, 2, milliseconds);
    read_stream(&run->out);
    read_stream(&run->err);
    return n > 0;
}

/* Waits for the program's end, or decides it; fills run->end->how and code. */
static void wait_end(run_t *run)
{
    int step = 1;

    while (!has_ended(run)) {
        apr_time_t now = apr_time_now();

        if (run->out.full) {
            run->end->how = CA_EXEC_TOO_LONG;
            return;
        }
        if (now >= run->command->deadline) {
            run->end->how = CA_EXEC_TIME;
            return;
        }
        if (run->term_at != 0 && now >= run->term_at) {
            run->term_at = 0;
            (void)kill(-run->pid, SIGTERM);
        }
        /* somebody else may hold the pipes open: their end is not the program's */
        if (wait_streams(run, step)) {
            step = 1;
        }
        else if (step < STEP_MAX) {
            step *= 2;
        }
    }
    if (run->term_at == 0 && run->end->how != CA_EXEC_LOST) {
        run->end->how = CA_EXEC_TIME; /* whatever it says after SIGTERM */
    }
}

/* Enters a process, or takes it out (from: its number, to: 0). */
static void note(ca_exec_running_t *running, pid_t from, pid_t to)
{
    int i;

    for (i = 0; running != NULL && i < running->max; i++) {
        if (apr_atomic_cas32(&running->pids[i], (apr_uint32_t)to, (apr_uint32_t)from) ==
            (apr_uint32_t)from) {
            return;
        }
    }
}

/* Kills what is left of the group, and takes the exit status. */
static void reap(const run_t *run)
{
    const int is_ours = run->end->how != CA_EXEC_LOST; /* else the number may be another's by now */

    if (is_ours) {
        (void)kill(-run->pid, SIGKILL);
    }
    note(run->command->running, run->pid, 0);
    while (is_ours && waitpid(run->pid, NULL, 0) < 0 && errno == EINTR) {
        continue;
    }
}

/* Starts the program and enters it, not to be interrupted by a signal that ends this process; 0 or
 * errno. */
static int start(run_t *run)
{
    sigset_t all, before;
    int rc;

    sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, &before);
    rc = spawn(run);
    if (rc == 0) {
        note(run->command->running, 0, run->pid);
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

/* Pool cleanup: ends what still runs; returns APR_SUCCESS. */
static apr_status_t end_running(void *data)
{
    const ca_exec_running_t *running = data;
    int i;

    for (i = 0; i < running->max; i++) {
        pid_t pid = (pid_t)apr_atomic_read32(&running->pids[i]);

        if (pid > 0) {
            (void)kill(-pid, SIGKILL);
        }
    }
    return APR_SUCCESS;
}

ca_exec_running_t *ca_exec_running_make(int max, apr_pool_t *pchild)
{
    ca_exec_running_t *running = apr_palloc(pchild, sizeof(*running));

    running->max = max;
    running->pids = apr_pcalloc(pchild, sizeof(*running->pids) * (apr_size_t)max);
    apr_pool_cleanup_register(pchild, running, end_running, apr_pool_cleanup_null);
    return running;
}

/* Runs the program from start to end; 0, or errno if it did not start. */
static int run_program(run_t *run)
{
    apr_interval_time_t grace = (run->command->deadline - apr_time_now()) / 4;
    int rc = start(run);

    close_fd(&run->out.child_fd);
    close_fd(&run->err.child_fd);
    if (rc != 0) {
        return rc;
    }
    run->term_at = run->command->deadline - (grace < GRACE_MAX ? grace : GRACE_MAX);
    wait_end(run);
    /* what it had written before it ended */
    read_stream(&run->out);
    read_stream(&run->err);
    if (run->out.full && run->end->how == CA_EXEC_EXITED) {
        run->end->how = CA_EXEC_TOO_LONG;
    }
    reap(run);
    return 0;
}

void ca_exec_run(ca_exec_end_t *end, const ca_exec_command_t *command, apr_pool_t *p)
{
    run_t run;
    int rc;

    memset(end, 0, sizeof(*end));
    memset(&run, 0, sizeof(run));
    run.command = command;
    run.end = end;
    run.err.fd = run.err.child_fd = -1;
    rc = open_stream(&run.out, CA_EXEC_OUTPUT_MAX, p);
    if (rc == 0) {
        rc = open_stream(&run.err, CA_EXEC_ERRORS_MAX, p);
    }
    if (rc == 0) {
        rc = run_program(&run);
    }
    close_fd(&run.out.fd);
    close_fd(&run.out.child_fd);
    close_fd(&run.err.fd);
    close_fd(&run.err.child_fd);
    if (rc != 0) {
        end->how = CA_EXEC_NOT_RUN;
        end->code = rc;
    }
    run.out.text[run.out.len] = '\0';
    end->output = run.out.text;
    end->output_len = run.out.len;
    end->errors = "";
    if (run.err.text != NULL) {
        run.err.text[run.err.len] = '\0';
        end->errors = run.err.text;
    }
}
