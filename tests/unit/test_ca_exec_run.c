/* SPDX-License-Identifier: Apache-2.0 */
/* Running a helper: what reaches it, what comes back, and that nothing of it stays. */
#include "../../ca_backend/ca_exec.h"
#include "fixture.h"

#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

Suite *test_ca_exec_run_suite(void);
Suite *test_ca_exec_run_race_suite(void);

static const char *folder;

/* Runs a script with at most so many milliseconds. */
static ca_exec_end_t run(const char *script, int milliseconds)
{
    static const char *const environment[] = {"PATH=/usr/bin:/bin", "GREETING=hello there", NULL};
    apr_pool_t *p = fixture_pool();
    const char *argv[] = {"helper", "one", "two words", NULL};
    ca_exec_command_t command;
    ca_exec_end_t end;

    folder = fixture_directory(p);
    memset(&command, 0, sizeof(command));
    command.path = fixture_file(p, folder, "helper",
                                apr_pstrcat(p, "#!/bin/sh\n", script, "\n", NULL), 0755);
    command.argv = argv;
    command.environment = environment;
    command.directory = folder;
    command.deadline = apr_time_now() + apr_time_from_msec(milliseconds);
    memset(&end, 0xff, sizeof(end));
    ca_exec_run(&end, &command, p);
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
    ck_assert_int_eq(errno, ECHILD);
    return end;
}

#define PATIENT 60000 /* long enough for a busy machine */

START_TEST(output_and_status)
{
    ca_exec_end_t end = run("echo out; echo err >&2; exit 7", PATIENT);

    ck_assert_int_eq(end.how, CA_EXEC_EXITED);
    ck_assert_int_eq(end.code, 7);
    ck_assert_str_eq(end.output, "out\n");
    ck_assert_int_eq((int)end.output_len, 4);
    ck_assert_str_eq(end.errors, "err\n");
}
END_TEST

START_TEST(what_it_gets)
{
    ca_exec_end_t end = run("echo \"$#:$1:$2\"; env | grep -v -e ^_= -e ^PWD= -e ^SHLVL= | sort; "
                            "read line || echo no input; pwd", PATIENT);

    ck_assert_str_eq(end.output, apr_pstrcat(fixture_pool(), "2:one:two words\n"
                     "GREETING=hello there\nPATH=/usr/bin:/bin\nno input\n", folder, "\n", NULL));
}
END_TEST

START_TEST(it_has_three_files)
{
    ca_exec_end_t end;
    int extra = open("/dev/null", O_RDONLY), high = fcntl(extra, F_DUPFD, 200);

    ck_assert_int_ge(high, 200);
    /* ls has one more: the folder that it reads */
    end = run("ls /proc/self/fd | tr '\\n' ' '; ls -l /proc/self/fd/0", PATIENT);
    ck_assert_msg(strncmp(end.output, "0 1 2 3 ", 8) == 0, "%s", end.output);
    ck_assert_ptr_nonnull(strstr(end.output, "/dev/null"));
    ck_assert_ptr_null(strstr(end.output, "200"));
    (void)close(high);
    (void)close(extra);
}
END_TEST

START_TEST(signals_are_the_defaults)
{
    unsigned long long blocked = 1, ignored = 1;
    sigset_t all;
    ca_exec_end_t end;

    signal(SIGPIPE, SIG_IGN);
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    end = run("sed -nE 's/^Sig(Blk|Ign):[[:space:]]*/ /p' /proc/self/status", PATIENT);
    ck_assert_int_eq(sscanf(end.output, "%llx %llx", &blocked, &ignored), 2);
    ck_assert_int_eq((int)blocked, 0);
    ck_assert_int_eq((int)(ignored & 0x7fffffff), 0); /* libc has some of the others for itself */
}
END_TEST

START_TEST(a_group_of_its_own)
{
    ca_exec_end_t end = run("echo $$; ps -o pgid=,sid=,tty= -p $$", PATIENT);
    char *at;
    const long pid = strtol(end.output, &at, 10), group = strtol(at, &at, 10);
    const long session = strtol(at, &at, 10);

    ck_assert_int_gt((int)pid, 1);
    ck_assert_int_eq((int)group, (int)pid);
    ck_assert_int_eq((int)session, (int)pid);
    ck_assert_ptr_nonnull(strchr(at, '?'));
}
END_TEST

/* Whether the process whose number stands in folder/pid lives; waits until the kernel is done. */
static int lives(void)
{
    apr_pool_t *p = fixture_pool();
    FILE *file = fopen(apr_pstrcat(p, folder, "/pid", NULL), "r");
    int pid = 0, tries;

    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fscanf(file, "%d", &pid), 1);
    (void)fclose(file);
    ck_assert_int_gt(pid, 1);
    for (tries = 0; tries < 500 && kill(pid, 0) == 0; tries++) {
        char state = 'Z';
        FILE *stat = fopen(apr_psprintf(p, "/proc/%d/stat", pid), "r");

        if (stat != NULL && fscanf(stat, "%*d %*s %c", &state) == 1 && state == 'Z') {
            (void)fclose(stat);
            return 0; /* its new parent has not looked */
        }
        if (stat != NULL) {
            (void)fclose(stat);
        }
        usleep(10000);
    }
    return kill(pid, 0) == 0;
}

START_TEST(slow)
{
    ca_exec_end_t end = run("echo $$ >pid; echo early; sleep 1000", 300);

    ck_assert_int_eq(end.how, CA_EXEC_TIME);
    ck_assert(!lives());
}
END_TEST

START_TEST(ignores_sigterm)
{
    ca_exec_end_t end = run("trap '' TERM; echo $$ >pid; while :; do sleep 1; done", 300);

    ck_assert_int_eq(end.how, CA_EXEC_TIME);
    ck_assert(!lives());
}
END_TEST

START_TEST(says_yes_after_sigterm)
{
    ca_exec_end_t end = run("trap 'echo late; exit 0' TERM; sleep 1000 & wait", 2000);

    ck_assert_int_eq(end.how, CA_EXEC_TIME);
}
END_TEST

START_TEST(grandchild_holds_the_pipes)
{
    ca_exec_end_t end = run("sleep 1000 & echo $! >pid; echo done; exit 0", PATIENT);

    ck_assert_int_eq(end.how, CA_EXEC_EXITED);
    ck_assert_str_eq(end.output, "done\n");
    ck_assert(!lives());
}
END_TEST

START_TEST(closes_its_output_early)
{
    ca_exec_end_t end = run("echo first; exec >&- 2>&-; sleep 0.3; exit 5", PATIENT);

    ck_assert_int_eq(end.how, CA_EXEC_EXITED);
    ck_assert_int_eq(end.code, 5);
    ck_assert_str_eq(end.output, "first\n");
}
END_TEST

START_TEST(too_much_output)
{
    ca_exec_end_t end = run("echo $$ >pid; yes", PATIENT);

    ck_assert_int_eq(end.how, CA_EXEC_TOO_LONG);
    ck_assert(!lives());
    end = run("head -c 65536 /dev/zero", PATIENT);
    ck_assert_int_eq(end.how, CA_EXEC_EXITED);
    ck_assert_int_eq((int)end.output_len, CA_EXEC_OUTPUT_MAX);
    end = run("head -c 65537 /dev/zero", PATIENT);
    ck_assert_int_eq(end.how, CA_EXEC_TOO_LONG);
}
END_TEST

START_TEST(many_errors)
{
    ca_exec_end_t end = run("head -c 300000 /dev/zero | tr '\\0' e >&2; echo well", PATIENT);

    ck_assert_int_eq(end.how, CA_EXEC_EXITED);
    ck_assert_str_eq(end.output, "well\n");
    ck_assert_int_eq((int)strlen(end.errors), CA_EXEC_ERRORS_MAX);
}
END_TEST

START_TEST(dies_by_signal)
{
    ca_exec_end_t end = run("kill -SEGV $$", PATIENT);

    ck_assert_int_eq(end.how, CA_EXEC_SIGNALED);
    ck_assert_int_eq(end.code, SIGSEGV);
}
END_TEST

START_TEST(cannot_be_run)
{
    static const char *const argv[] = {"x", NULL}, *const none[] = {NULL};
    apr_pool_t *p = fixture_pool();
    ca_exec_command_t command;
    ca_exec_end_t end;

    memset(&command, 0, sizeof(command));
    command.path = "/nowhere/helper";
    command.argv = argv;
    command.environment = none;
    command.directory = "/";
    command.deadline = apr_time_now() + apr_time_from_sec(60);
    ca_exec_run(&end, &command, p);
    ck_assert_int_eq(end.how, CA_EXEC_NOT_RUN);
    ck_assert_int_eq(end.code, ENOENT);
    ck_assert_str_eq(end.output, "");
    command.path = fixture_file(p, fixture_directory(p), "text", "no program\n", 0755);
    ca_exec_run(&end, &command, p);
    ck_assert_int_eq(end.code, ENOEXEC);
    command.path = "/bin/true";
    command.directory = "/nowhere";
    ca_exec_run(&end, &command, p);
    ck_assert_int_eq(end.how, CA_EXEC_NOT_RUN);
    ck_assert_int_eq(end.code, ENOENT);
}
END_TEST

START_TEST(nobody_knows_how_it_ended)
{
    ca_exec_end_t end;

    signal(SIGCHLD, SIG_IGN);
    end = run("exit 0", PATIENT);
    signal(SIGCHLD, SIG_DFL); /* for the tests after, where all are in one process */
    ck_assert_int_eq(end.how, CA_EXEC_LOST);
}
END_TEST

static apr_pool_t *pchild;

/* A child of the server that is told to end at once. */
static void end_child(int number)
{
    (void)number;
    apr_pool_destroy(pchild);
    _exit(0);
}

/* Such a child, while a helper runs for it; does not return. */
static void be_child(void)
{
    static const char *const environment[] = {"PATH=/usr/bin:/bin", NULL};
    static const char *const argv[] = {"helper", NULL};
    ca_exec_command_t command;
    ca_exec_end_t end;

    apr_pool_create(&pchild, NULL);
    memset(&command, 0, sizeof(command));
    command.path = fixture_file(fixture_pool(), folder, "helper",
                                "#!/bin/sh\necho $$ >new; mv new pid; sleep 1000\n", 0755);
    command.argv = argv;
    command.environment = environment;
    command.directory = folder;
    command.deadline = apr_time_now() + apr_time_from_sec(1000);
    command.running = ca_exec_running_make(2, pchild);
    signal(SIGALRM, end_child);
    ca_exec_run(&end, &command, fixture_pool());
    _exit(1);
}

START_TEST(ends_with_the_child)
{
    const char *pid_file;
    pid_t child;

    folder = fixture_directory(fixture_pool());
    pid_file = apr_pstrcat(fixture_pool(), folder, "/pid", NULL);
    child = fork();
    if (child == 0) {
        be_child();
    }
    while (access(pid_file, R_OK) != 0) {
        usleep(10000);
    }
    kill(child, SIGALRM);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    ck_assert(!lives());
}
END_TEST

START_TEST(descriptors_do_not_leak)
{
    int before = open("/dev/null", O_RDONLY), after, i;

    (void)close(before);
    for (i = 0; i < 20; i++) {
        (void)run("echo x; exit 1", PATIENT);
    }
    after = open("/dev/null", O_RDONLY);
    (void)close(after);
    ck_assert_int_eq(after, before);
}
END_TEST

/* Checks a path; the error or "". */
static const char *check(const char *path)
{
    const char *real = NULL, *error = ca_exec_check(&real, path, fixture_pool());

    ck_assert(error != NULL || (real != NULL && *real == '/'));
    return error != NULL ? error : "";
}

START_TEST(who_can_change_it)
{
    apr_pool_t *p = fixture_pool();
    const char *dir = fixture_directory(p), *link = apr_pstrcat(p, dir, "/link", NULL);
    const char *path = fixture_file(p, dir, "helper", "#!/bin/sh\n", 0755);

    ck_assert_str_eq(check(path), "");
    ck_assert_ptr_nonnull(strstr(check("helper"), "absolute"));
    ck_assert_ptr_nonnull(strstr(check(""), "absolute"));
    ck_assert_ptr_nonnull(strstr(check("/nowhere/x"), "No such file"));
    ck_assert_ptr_nonnull(strstr(check(dir), "not a regular file"));
    ck_assert_int_eq(symlink(path, link), 0);
    ck_assert_str_eq(check(link), "");
    chmod(path, 0644);
    ck_assert_ptr_nonnull(strstr(check(path), "not executable"));
    chmod(path, 0775);
    ck_assert_ptr_nonnull(strstr(check(path), "its group"));
    chmod(path, 0757);
    ck_assert_ptr_nonnull(strstr(check(link), "everybody"));
    chmod(path, 0755);
    chmod(dir, 0777);
    ck_assert_ptr_nonnull(strstr(check(path), "everybody"));
    chmod(dir, 01777);
    ck_assert_str_eq(check(path), "");
    chmod(dir, 0700);
    if (geteuid() == 0) {
        ck_assert_int_eq(chown(path, 33, 0), 0);
        ck_assert_ptr_nonnull(strstr(check(path), "belongs to user 33"));
        ck_assert_int_eq(chown(path, 0, 0), 0);
        ck_assert_int_eq(chown(dir, 33, 0), 0);
        ck_assert_ptr_nonnull(strstr(check(path), "belongs to user 33"));
        ck_assert_int_eq(chown(dir, 0, 0), 0);
    }
}
END_TEST

Suite *test_ca_exec_run_suite(void)
{
    Suite *s = suite_create("ca_exec_run");
    TCase *tc = tcase_create("run");

    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, fixture_setup, fixture_teardown);
    tcase_add_test(tc, output_and_status);
    tcase_add_test(tc, what_it_gets);
    tcase_add_test(tc, it_has_three_files);
    tcase_add_test(tc, signals_are_the_defaults);
    tcase_add_test(tc, a_group_of_its_own);
    tcase_add_test(tc, slow);
    tcase_add_test(tc, ignores_sigterm);
    tcase_add_test(tc, says_yes_after_sigterm);
    tcase_add_test(tc, grandchild_holds_the_pipes);
    tcase_add_test(tc, closes_its_output_early);
    tcase_add_test(tc, too_much_output);
    tcase_add_test(tc, many_errors);
    tcase_add_test(tc, dies_by_signal);
    tcase_add_test(tc, cannot_be_run);
    tcase_add_test(tc, nobody_knows_how_it_ended);
    tcase_add_test(tc, descriptors_do_not_leak);
    tcase_add_test(tc, who_can_change_it);
    suite_add_tcase(s, tc);
    return s;
}

/* Left out of the valgrind step, whose signals wait for the program that valgrind runs. */
Suite *test_ca_exec_run_race_suite(void)
{
    Suite *s = suite_create("ca_exec_run_race");
    TCase *tc = tcase_create("all");

    tcase_add_checked_fixture(tc, fixture_setup, fixture_teardown);
    tcase_add_test(tc, ends_with_the_child);
    suite_add_tcase(s, tc);
    return s;
}
