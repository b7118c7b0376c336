/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The unit test program.
 *
 *   unit                    every suite of suites.h
 *   unit test_settings ...  only these; CK_RUN_SUITE and CK_RUN_CASE work too
 *   unit --list             their names
 */
#include "fixture.h"
#include <apr_general.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUITE(name) Suite *name##_suite(void);
#include "suites.h"
#undef SUITE

typedef struct suite_entry_t {
    const char *name;
    Suite *(*make)(void);
} suite_entry_t;

#define SUITE(name) { #name, name##_suite },
static const suite_entry_t entries[] = {
#include "suites.h"
    { NULL, NULL }
};
#undef SUITE

/* Returns whether name is on the command line, or nothing is. */
static int wanted(const char *name, int argc, char **argv)
{
    int i;

    for (i = 1; i < argc; i++) {
        if (strcmp(argv[i], name) == 0) {
            return 1;
        }
    }
    return argc < 2;
}

/* Returns whether name is a suite's. */
static int known(const char *name)
{
    const suite_entry_t *e;

    for (e = entries; e->name; e++) {
        if (strcmp(name, e->name) == 0) {
            return 1;
        }
    }
    return 0;
}

/* Prints the names of all suites. */
static void list(void)
{
    const suite_entry_t *e;

    for (e = entries; e->name; e++) {
        puts(e->name);
    }
}

/* Runs what the command line asks for; returns the number of failed tests. */
static int run(int argc, char **argv)
{
    const suite_entry_t *e;
    SRunner *runner = NULL;
    int failed;

    for (e = entries; e->name; e++) {
        if (!wanted(e->name, argc, argv)) {
            continue;
        }
        if (runner) {
            srunner_add_suite(runner, e->make());
        }
        else {
            runner = srunner_create(e->make());
        }
    }
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed;
}

int main(int argc, char **argv)
{
    int failed, i;

    if (argc > 1 && strcmp(argv[1], "--list") == 0) {
        list();
        return EXIT_SUCCESS;
    }
    for (i = 1; i < argc; i++) {
        if (!known(argv[i])) {
            fprintf(stderr, "unit: no suite %s; the suites are:\n", argv[i]);
            list();
            return EXIT_FAILURE;
        }
    }
    apr_initialize();
    fixture_init();
    failed = run(argc, argv);
    fixture_done();
    apr_terminate();
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
