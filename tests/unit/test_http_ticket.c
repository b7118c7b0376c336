/* SPDX-License-Identifier: Apache-2.0 */
/* Keytabs good and bad, and tickets that nobody gives; a real KDC is in the system tests. */
#include "config.h"

#include "../../common/clock.h"
#include "../../common/http_ticket.h"
#include "../../common/http_ticket_rest.h"
#include "fixture.h"
#include <apr_file_io.h>
#include <apr_strings.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

Suite *test_http_ticket_suite(void);

static apr_pool_t *p;
static const char *directory;
static const char *const hosts[] = {"a.corp.example", "b.corp.example"};

/* One entry: svc@CORP.EXAMPLE, key version 1, aes256-cts-hmac-sha1-96, a key of 32 bytes. */
#define KEYTAB                                                                                     \
    "\x05\x02\0\0\0\x42\0\x01\0\x0c" "CORP.EXAMPLE" "\0\x03" "svc"                                 \
    "\0\0\0\x01\0\0\0\0\x01\0\x12\0\x20" "0123456789abcdef0123456789abcdef"
#define KEYTAB_SIZE (sizeof(KEYTAB) - 1)

static void setup(void)
{
    fixture_setup();
    p = fixture_pool();
    directory = fixture_directory(p);
    setenv("KRB5_CONFIG",
           fixture_file(p, directory, "krb5.conf",
                        "[libdefaults]\n default_realm = CORP.EXAMPLE\n dns_lookup_kdc = false\n"
                        " dns_canonicalize_hostname = false\n"
                        "[realms]\n CORP.EXAMPLE = {\n kdc = 127.0.0.1:1\n }\n", 0600), 1);
}

/* Writes a keytab; its path. */
static const char *write_keytab(const char *data, apr_size_t len, apr_fileperms_t mode)
{
    const char *path = apr_pstrcat(p, directory, "/keytab", NULL);
    apr_file_t *file;

    ck_assert_int_eq(apr_file_open(&file, path, APR_FOPEN_WRITE | APR_FOPEN_CREATE |
                                   APR_FOPEN_TRUNCATE | APR_FOPEN_BINARY, mode, p), APR_SUCCESS);
    ck_assert_int_eq(apr_file_write_full(file, data, len, NULL), APR_SUCCESS);
    apr_file_close(file);
    ck_assert_int_eq(apr_file_perms_set(path, mode), APR_SUCCESS);
    return path;
}

/* Makes one; its error text. */
static const char *make(http_ticket_t **pticket, const char *keytab, const char *principal)
{
    http_ticket_options_t o = {"peer", keytab, principal, hosts, 2};

    return http_ticket_make(pticket, &o, p);
}

/* What a look at the rest says, so many seconds from a start. */
static int look(http_ticket_rest_t *rest, int seconds)
{
    apr_time_t until = 0;
    int code = 0, said;

    said = http_ticket_rest_look(rest, apr_time_from_sec(1000 + seconds), &code, &until);
    ck_assert_int_eq(code, said == TICKET_REST_REFUSED ? 7 : 0);
    ck_assert(said != TICKET_REST_REFUSED || until > apr_time_from_sec(1000 + seconds));
    return said;
}

static void tell(http_ticket_rest_t *rest, int seconds, ticket_key_e key)
{
    http_ticket_rest_tell(rest, apr_time_from_sec(1000 + seconds), key, 7);
}

/* A key that is refused is tried by one only, and less and less often. */
START_TEST(test_rest)
{
    static const int pauses[] = {60, 120, 240, 480, 960, 1920, 3600, 3600, 3600};
    http_ticket_rest_t *rest;
    int i, now = 2;

    ck_assert_int_eq(http_ticket_rest_make(&rest, 1, p), APR_SUCCESS);
    ck_assert_int_eq(look(rest, 0), TICKET_REST_ASK);
    ck_assert_int_eq(look(rest, 1), TICKET_REST_WAIT);
    for (i = 0; i < (int)(sizeof(pauses) / sizeof(pauses[0])); i++) {
        tell(rest, now, TICKET_KEY_BAD);
        ck_assert_int_eq(look(rest, now), TICKET_REST_REFUSED);
        now += pauses[i];
        ck_assert_int_eq(look(rest, now - 1), TICKET_REST_REFUSED);
        ck_assert_int_eq(look(rest, now), TICKET_REST_ASK);
        ck_assert_int_eq(look(rest, now), TICKET_REST_REFUSED); /* the other children */
    }
    tell(rest, now, TICKET_KEY_UNTOLD);
    ck_assert_int_eq(look(rest, now), TICKET_REST_REFUSED);
    http_ticket_rest_renew(rest, 1);
    ck_assert_int_eq(look(rest, now), TICKET_REST_REFUSED);
    http_ticket_rest_renew(rest, 2); /* another keytab */
    ck_assert_int_eq(look(rest, now), TICKET_REST_ASK);
    ck_assert_int_eq(look(rest, now), TICKET_REST_WAIT);
    tell(rest, now, TICKET_KEY_GOOD);
    for (i = 0; i < 3; i++)
        ck_assert_int_eq(look(rest, now), TICKET_REST_ASK);
    tell(rest, now, TICKET_KEY_UNTOLD);
    ck_assert_int_eq(look(rest, now), TICKET_REST_ASK);
    tell(rest, now, TICKET_KEY_BAD); /* a locked account: from the start */
    ck_assert_int_eq(look(rest, now + 59), TICKET_REST_REFUSED);
    ck_assert_int_eq(look(rest, now + 60), TICKET_REST_ASK);
}
END_TEST

/* A KDC that is away, or a child that died while it asked, keeps the others for seconds. */
START_TEST(test_rest_of_nobody)
{
    http_ticket_rest_t *rest;

    ck_assert_int_eq(http_ticket_rest_make(&rest, 1, p), APR_SUCCESS);
    ck_assert_int_eq(look(rest, 0), TICKET_REST_ASK);
    ck_assert_int_eq(look(rest, 4), TICKET_REST_WAIT);
    ck_assert_int_eq(look(rest, 5), TICKET_REST_ASK);
    ck_assert_int_eq(look(rest, 5), TICKET_REST_WAIT);
    tell(rest, 6, TICKET_KEY_UNTOLD);
    ck_assert_int_eq(look(rest, 6), TICKET_REST_ASK);
}
END_TEST

#define STEP 7 /* valgrind takes half a second for each keytab */
#define MODE (APR_FPROT_UREAD | APR_FPROT_UWRITE)

#ifdef HAVE_GSSAPI

START_TEST(test_keytab)
{
    http_ticket_t *ticket;
    const char *file = write_keytab(KEYTAB, KEYTAB_SIZE, MODE), *error;

    error = make(&ticket, file, "svc@CORP.EXAMPLE");
    ck_assert_msg(!error, "%s", error);
    ck_assert_ptr_nonnull(ticket);
    ck_assert_ptr_null(make(&ticket, file, "svc")); /* krb5.conf's realm */
    error = make(&ticket, file, "other");
    ck_assert_str_eq(error, apr_psprintf(p, "keytab %s: it has no key of other@CORP.EXAMPLE, but "
                                         "of svc@CORP.EXAMPLE", file));
    ck_assert_ptr_null(ticket);
    ck_assert_ptr_nonnull(strstr(make(&ticket, file, "svc@OTHER.EXAMPLE"), "has no key"));
    ck_assert_ptr_nonnull(strstr(make(&ticket, file, "a@b@c"), "principal a@b@c"));
    ck_assert_ptr_nonnull(strstr(make(&ticket, directory, "svc"), "no file"));
    ck_assert_ptr_nonnull(strstr(make(&ticket, "/nowhere", "svc"), "/nowhere"));
    file = write_keytab(KEYTAB, KEYTAB_SIZE, MODE | APR_FPROT_WREAD);
    ck_assert_ptr_nonnull(strstr(make(&ticket, file, "svc"), "chmod o="));
}
END_TEST

/* Cut off anywhere it is refused; with another byte it is refused, or another good one. */
START_TEST(test_keytab_damaged)
{
    char data[KEYTAB_SIZE];
    http_ticket_t *ticket;
    const char *error;
    apr_size_t i;

    for (i = 0; i < KEYTAB_SIZE; i += i < 8 ? 1 : STEP) {
        error = make(&ticket, write_keytab(KEYTAB, i, MODE), "svc");
        ck_assert_msg(error && !ticket, "%d bytes", (int)i);
    }
    for (i = 0; i < KEYTAB_SIZE; i += STEP) {
        memcpy(data, KEYTAB, KEYTAB_SIZE);
        data[i] ^= 0x81;
        error = make(&ticket, write_keytab(data, KEYTAB_SIZE, MODE), "svc");
        ck_assert_msg((error == NULL) == (ticket != NULL), "byte %d", (int)i);
    }
}
END_TEST

START_TEST(test_no_kdc)
{
    http_ticket_t *ticket;
    http_ticket_cache_t *lease;
    const char *error;
    apr_pool_t *child;

    error = make(&ticket, write_keytab(KEYTAB, KEYTAB_SIZE, MODE), "svc");
    ck_assert_msg(!error, "%s", error);
    apr_pool_create(&child, p);
    ck_assert_int_eq(http_ticket_child_init(ticket, child), APR_SUCCESS);
    ck_assert_int_eq(http_ticket_borrow(&lease, ticket, 1, clock_monotonic() +
                                        apr_time_from_sec(60), &error, NULL, p), APR_ECONNREFUSED);
    ck_assert_ptr_null(lease);
    ck_assert_ptr_nonnull(strstr(error, "no Kerberos ticket for svc@CORP.EXAMPLE: Cannot contact"));
    ck_assert_int_eq(http_ticket_health(ticket, &error, p), APR_ECONNREFUSED);
    ck_assert_ptr_nonnull(strstr(error, "Cannot contact"));
    apr_pool_destroy(child);
}
END_TEST

/* A keytab that changes for the worse is told once; the old keys stay. */
START_TEST(test_replaced)
{
    log_sink_t *log = fixture_log(p);
    http_ticket_t *ticket;
    http_ticket_cache_t *lease;
    const char *error, *text;
    apr_pool_t *child;
    int i;

    error = make(&ticket, write_keytab(KEYTAB, KEYTAB_SIZE, MODE), "svc");
    ck_assert_msg(!error, "%s", error);
    apr_pool_create(&child, p);
    ck_assert_int_eq(http_ticket_child_init(ticket, child), APR_SUCCESS);
    (void)http_ticket_borrow(&lease, ticket, 0, clock_monotonic() + apr_time_from_sec(60), &error,
                             log, p);
    ck_assert_str_eq(fixture_log_text(log), "");
    write_keytab("x", 1, MODE);
    for (i = 0; i < 3; i++)
        (void)http_ticket_borrow(&lease, ticket, 0, clock_monotonic() + apr_time_from_sec(60),
                                 &error, log, p);
    text = strstr(fixture_log_text(log), "SCEP0359");
    ck_assert_ptr_nonnull(text);
    ck_assert_ptr_null(strstr(text + 1, "SCEP0359"));
    write_keytab(KEYTAB, KEYTAB_SIZE, MODE);
    (void)http_ticket_borrow(&lease, ticket, 0, clock_monotonic() + apr_time_from_sec(60), &error,
                             log, p);
    ck_assert_ptr_nonnull(strstr(fixture_log_text(log), "SCEP0361"));
    apr_pool_destroy(child);
}
END_TEST

#else

START_TEST(test_not_built)
{
    http_ticket_t *ticket;
    const char *error = make(&ticket, write_keytab(KEYTAB, KEYTAB_SIZE, MODE), "svc");

    ck_assert_ptr_nonnull(strstr(error, "was built without Kerberos"));
    ck_assert_ptr_null(ticket);
}
END_TEST

#endif

Suite *test_http_ticket_suite(void)
{
    Suite *suite = suite_create("http_ticket");
    TCase *tests = tcase_create("keytab");

    tcase_add_checked_fixture(tests, setup, fixture_teardown);
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, test_rest);
    tcase_add_test(tests, test_rest_of_nobody);
#ifdef HAVE_GSSAPI
    tcase_add_test(tests, test_keytab);
    tcase_add_test(tests, test_keytab_damaged);
    tcase_add_test(tests, test_no_kdc);
    tcase_add_test(tests, test_replaced);
#else
    tcase_add_test(tests, test_not_built);
#endif
    suite_add_tcase(suite, tests);
    return suite;
}
