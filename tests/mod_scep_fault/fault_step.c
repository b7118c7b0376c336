/* SPDX-License-Identifier: Apache-2.0 */
/* One fault at one step, by the first who comes there; see fault.h. */
#include "fault.h"

#include <apr_file_io.h>
#include <apr_strings.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *fault_file;

/* The file's words, at most max; how many. */
static int read_words(const char **words, int max, apr_pool_t *p)
{
    char line[128], *word, *last;
    apr_size_t len = sizeof(line) - 1;
    apr_file_t *file;
    int n = 0;

    if (apr_file_open(&file, fault_file, APR_READ, APR_OS_DEFAULT, p) != APR_SUCCESS) {
        return 0;
    }
    if (apr_file_read(file, line, &len) != APR_SUCCESS) {
        len = 0;
    }
    apr_file_close(file);
    line[len] = '\0';
    for (word = apr_strtok(line, " \t\r\n", &last); word != NULL && n < max;
         word = apr_strtok(NULL, " \t\r\n", &last)) {
        words[n++] = apr_pstrdup(p, word);
    }
    return n;
}

/* Stops the process, and again when it is woken, until somebody has removed the file. */
static void stop_until_gone(const char *done, apr_pool_t *p)
{
    apr_finfo_t info;

    while (apr_stat(&info, done, APR_FINFO_TYPE, p) == APR_SUCCESS) {
        kill(getpid(), SIGSTOP);
        apr_sleep(apr_time_from_msec(20));
    }
}

fault_e fault_at(const char *step, const char *side, apr_pool_t *p)
{
    const char *words[4], *done;

    if (fault_file == NULL || read_words(words, 4, p) != 3 || strcmp(words[0], step) != 0 ||
        strcmp(words[1], side) != 0) {
        return FAULT_NONE;
    }
    done = apr_pstrcat(p, fault_file, ".done", NULL);
    if (apr_file_rename(fault_file, done, p) != APR_SUCCESS) {
        return FAULT_NONE;
    }
    if (strcmp(words[2], "lose") == 0) {
        return FAULT_LOSE;
    }
    if (strcmp(words[2], "kill") == 0) {
        kill(getpid(), SIGKILL);
    }
    else if (strcmp(words[2], "stop") == 0) {
        stop_until_gone(done, p);
    }
    else {
        apr_sleep(apr_time_from_msec(atoi(words[2])));
    }
    return FAULT_NONE;
}
