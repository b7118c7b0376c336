/* SPDX-License-Identifier: Apache-2.0 */
/* The alternative names of a CA's answer: none that was not asked for, and by whom one may be left
 * out or repeated. */
#include "../../ca_backend/ca_check.h"
#include "ca_fixture.h"

#include <apr_strings.h>
#include <openssl/err.h>
#include <string.h>

Suite *test_ca_check_san_suite(void);

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define REWRITES CA_CAP_REWRITES_SUBJECT
#define SAN "subjectAltName="
#define SID "S-1-5-21-1-2"
#define ADDED "alternative name that was not asked for"
#define LACKS "lacks an alternative name"
/* tag:microsoft.com,2022-09-14:sid:S-1-5-21-1-2, and one of another account */
#define SID_HEAD                                                                                  \
    SAN "DER:30:2f:86:2d:74:61:67:3a:6d:69:63:72:6f:73:6f:66:74:2e:63:6f:6d:2c:32:30:32:32:2d:"   \
        "30:39:2d:31:34:3a:73:69:64:3a:53:2d:31:2d:35:2d:32:31:2d:31:2d:"
#define SID_URI SID_HEAD "32"
#define OTHER_SID_URI SID_HEAD "33"

static const struct {
    int capabilities;
    const char *csr, *template_word, *sid; /* what is asked for */
    const char *answer;                    /* what comes */
    const char *error;                     /* NULL: it is right */
} cases[] = {
    {0, NULL, NULL, NULL, NULL, NULL},
    {0, SAN "DNS:a.example", NULL, NULL, SAN "DNS:a.example", NULL},
    /* the order does not matter, nor does how often */
    {0, SAN "DNS:a.example,IP:192.0.2.1", NULL, NULL, SAN "IP:192.0.2.1,DNS:a.example", NULL},
    {0, SAN "DNS:a.example", NULL, NULL, SAN "DNS:a.example,DNS:a.example", NULL},
    {0, SAN "DNS:a.example", NULL, NULL, SAN "critical,DNS:a.example", NULL},
    /* added */
    {0, NULL, NULL, NULL, SAN "DNS:a.example", ADDED},
    {0, SAN "DNS:a.example", NULL, NULL, SAN "DNS:a.example,DNS:b.example", ADDED},
    {0, SAN "DNS:a.example", NULL, NULL, SAN "email:a.example", ADDED},
    {0, SAN "DNS:a.example", NULL, NULL, SAN "DNS:A.example", ADDED},
    {0, NULL, NULL, NULL, SAN "DNS:device.example", ADDED},
    {REWRITES, SAN "DNS:a.example", NULL, NULL, SAN "DNS:b.example", ADDED},
    {REWRITES, NULL, NULL, NULL, SAN "DNS:device.example.com", ADDED},
    {REWRITES, NULL, NULL, NULL, SAN "DNS:device.exampl", ADDED},
    {REWRITES, NULL, NULL, NULL, SAN "URI:device.example", ADDED},
    /* left out */
    {0, SAN "DNS:a.example,DNS:b.example", NULL, NULL, SAN "DNS:a.example", LACKS},
    {0, SAN "DNS:a.example", NULL, NULL, NULL, LACKS},
    {REWRITES, SAN "DNS:a.example,DNS:b.example", NULL, NULL, SAN "DNS:b.example", NULL},
    {REWRITES, SAN "DNS:a.example", NULL, NULL, NULL, NULL},
    /* the CSR's own name, where the template lets such names in */
    {REWRITES, NULL, NULL, NULL, SAN "DNS:device.example", NULL},
    {REWRITES, NULL, NULL, NULL, SAN "DNS:DEVICE.example", NULL},
    {REWRITES, NULL, NULL, NULL, SAN "email:device.example", NULL},
    {REWRITES, NULL, "sanTypes=uri,ip", NULL, SAN "DNS:device.example", ADDED},
    {REWRITES, NULL, "san=none", NULL, SAN "DNS:device.example", ADDED},
    /* a template without alternative names */
    {0, SAN "DNS:a.example", "san=none", NULL, NULL, NULL},
    {0, SAN "DNS:a.example", "san=none", NULL, SAN "DNS:a.example", ADDED},
    {REWRITES, SAN "DNS:a.example", "san=none", NULL, SAN "DNS:a.example", ADDED},
    /* the security identifier is policy's */
    {0, NULL, NULL, SID, SID_URI, NULL},
    {0, NULL, NULL, SID, NULL, NULL},
    {0, NULL, "san=none", SID, SID_URI, NULL},
    {0, NULL, NULL, NULL, SID_URI, ADDED},
    {0, NULL, NULL, SID, OTHER_SID_URI, ADDED},
    {REWRITES, NULL, NULL, SID, OTHER_SID_URI, ADDED},
    {0, SAN "DNS:a.example", NULL, SID, SID_URI, LACKS},
    /* nothing that can be read */
    {0, SAN "DNS:a.example", NULL, NULL, SAN "DER:30:05:82", "cannot be read"},
    {0, SAN "DNS:a.example", NULL, NULL, SAN "DER:04:00", "cannot be read"},
    {REWRITES, NULL, NULL, NULL, SAN "DER:04:00", "cannot be read"},
    {0, SAN "DNS:a.example", NULL, NULL, SAN "DER:30:00", LACKS},
};

/* A certificate for CN=device.example with this extension. */
static X509 *answer_of(const char *extension)
{
    fixture_certificate_t want;

    memset(&want, 0, sizeof(want));
    want.subject = "device.example";
    want.key = fixture_rsa(1);
    want.extension = extension;
    return fixture_certificate(fixture_pool(), &want);
}

/* What a backend got. */
static ca_request_t *request_of(const char *csr, const char *word, const char *sid)
{
    apr_pool_t *p = fixture_pool();
    ca_fixture_request_t *made = ca_fixture_request(fixture_rsa(1), "device.example", csr, NULL);
    ca_request_t *request = apr_pcalloc(p, sizeof(*request));

    made->values.sid = sid;
    request->grant = grant_make(&made->values, p);
    request->csr = made->csr;
    ck_assert_ptr_null(ca_template_make(&request->template, "unit", word != NULL, &word, p));
    return request;
}

START_TEST(names_are_compared)
{
    const char *error = ca_check_san(cases[_i].capabilities, answer_of(cases[_i].answer),
                                     request_of(cases[_i].csr, cases[_i].template_word,
                                                cases[_i].sid));

    if (cases[_i].error == NULL) {
        ck_assert_msg(error == NULL, "case %d: %s", _i, error);
    }
    else {
        ck_assert_msg(error != NULL && strstr(error, cases[_i].error) != NULL, "case %d: %s", _i,
                      error != NULL ? error : "accepted");
    }
    ck_assert_uint_eq(ERR_peek_error(), 0);
}
END_TEST

START_TEST(two_extensions_are_refused)
{
    X509 *cert = answer_of(SAN "DNS:a.example");
    X509_EXTENSION *more =
        X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:b.example");

    ck_assert_int_eq(X509_add_ext(cert, more, -1), 1);
    X509_EXTENSION_free(more);
    ck_assert_ptr_nonnull(ca_check_san(0, cert, request_of(SAN "DNS:a.example", NULL, NULL)));
    ck_assert_ptr_nonnull(ca_check_san(CA_CAP_REWRITES_SUBJECT, cert,
                                       request_of(SAN "DNS:a.example", NULL, NULL)));
}
END_TEST

Suite *test_ca_check_san_suite(void)
{
    Suite *suite = suite_create("ca_check_san");
    TCase *tcase = tcase_create("all");

    tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
    tcase_add_loop_test(tcase, names_are_compared, 0, COUNT(cases));
    tcase_add_test(tcase, two_extensions_are_refused);
    suite_add_tcase(suite, tcase);
    return suite;
}
