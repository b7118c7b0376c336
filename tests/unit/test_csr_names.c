/* SPDX-License-Identifier: Apache-2.0 */
/* A CSR's alternative names in words, also those that nobody should send. */
#include "../../common/csr_names.h"
#include "fixture.h"
#include <apr_strings.h>
#include <string.h>

Suite *test_csr_names_suite(void);

/* The names of a CSR with one extension ("name=value"), one per line; NULL: they cannot be read. */
static const char *names_of(const char *extension)
{
    const char *const extensions[] = {extension, NULL};
    apr_pool_t *p = fixture_pool();
    crypt_buf_t der = fixture_csr(p, fixture_rsa(0), "names", NULL, extension ? extensions : NULL);
    const apr_array_header_t *names;
    const char *text = "";
    outcome_t out;
    csr_t *csr;
    int i;

    ck_assert_int_eq(csr_make(&csr, &der, 0, &out, p), APR_SUCCESS);
    names = csr_names(csr, p);
    for (i = 0; names && i < names->nelts; i++)
        text = apr_pstrcat(p, text, APR_ARRAY_IDX(names, i, const char *), "\n", NULL);
    return names ? text : NULL;
}

static const struct {
    const char *extension, *names;
} name_cases[] = {
    {NULL, ""},
    {"subjectAltName=DNS:a.example,email:x@a.example,URI:urn:a",
     "DNS:a.example\nemail:x@a.example\nURI:urn:a\n"},
    {"subjectAltName=IP:192.0.2.7,IP:2001:db8::1", "IP:192.0.2.7\nIP:2001:db8::1\n"},
    {"subjectAltName=otherName:msUPN;UTF8:x@corp", "UPN:x@corp\n"},
    /* a UPN of another type than UPNs have */
    {"subjectAltName=otherName:msUPN;IA5:x@corp", "otherName:1.3.6.1.4.1.311.20.2.3\n"},
    {"subjectAltName=otherName:1.2.3.4;UTF8:x", "otherName:1.2.3.4\n"},
    {"subjectAltName=RID:1.2.3.4", "RID:1.2.3.4\n"},
    /* [2] "a\0b\n\xc3\xa4", [7] of three bytes, [3] X.400, [4] CN=x */
    {"2.5.29.17=DER:30:08:82:06:61:00:62:0a:c3:a4", "DNS:a?b?\xc3\xa4\n"},
    {"2.5.29.17=DER:30:05:87:03:01:02:03", "IP:010203\n"},
    {"2.5.29.17=DER:30:10:a4:0e:30:0c:31:0a:30:08:06:03:55:04:03:0c:01:78", "dirName:CN=x\n"},
    {"2.5.29.17=DER:30:00", ""},
    /* cut, not a sequence, more behind it, empty */
    {"2.5.29.17=DER:30:08:82:06:61", NULL},
    {"2.5.29.17=DER:04:01:61", NULL},
    {"2.5.29.17=DER:30:03:82:01:61:00", NULL}};

START_TEST(names_in_words)
{
    const char *names = names_of(name_cases[_i].extension);

    if (name_cases[_i].names) {
        ck_assert_ptr_nonnull(names);
        ck_assert_str_eq(names, name_cases[_i].names);
    }
    else {
        ck_assert_ptr_null(names);
    }
}
END_TEST

Suite *test_csr_names_suite(void)
{
    Suite *suite = suite_create("csr_names");
    TCase *tc = tcase_create("csr_names");

    tcase_add_checked_fixture(tc, fixture_setup, fixture_teardown);
    tcase_add_loop_test(tc, names_in_words, 0, (int)(sizeof(name_cases) / sizeof(name_cases[0])));
    suite_add_tcase(suite, tc);
    return suite;
}
