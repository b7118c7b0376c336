/* SPDX-License-Identifier: Apache-2.0 */
/* The query strings that clients in the field send, and those that nobody should. */
#include "../../mod_scep/core/query.h"
#include "fixture.h"

#include <apr_strings.h>
#include <string.h>

typedef struct parse_case_t {
    const char *args;
    const char *operation;      /* NULL: malformed */
    const char *message;
} parse_case_t;

#define LONG_NAME "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const parse_case_t parse_cases[] = {
    { NULL, "", NULL },
    { "", "", NULL },
    { "&&", "", NULL },
    { "operation", "", NULL },
    { "operation=", "", NULL },
    { "operation=GetCACaps", "GetCACaps", NULL },
    { "operation=GetCACaps&message=0", "GetCACaps", "0" },
    { "OPERATION=getcacert&Message=CAIdentifier", "getcacert", "CAIdentifier" },
    { "message=MII%2B&operation=PKIOperation", "PKIOperation", "MII%2B" },
    { "operation=PKI%4fperation&message=a=b==", "PKIOperation", "a=b==" },
    { "operation=GetCACert&message=trust%20point&x=%zz", "GetCACert", "trust%20point" },
    { "operationx=1&xoperation=2", "", NULL },
    { "operation=" LONG_NAME, LONG_NAME, NULL },
    { "operation=" LONG_NAME "a", NULL, NULL },
    { "operation=a&operation=a", NULL, NULL },
    { "operation=a&Operation=b", NULL, NULL },
    { "message=a&message=a", NULL, NULL },
    { "operation=%", NULL, NULL },
    { "operation=%4", NULL, NULL },
    { "operation=a%0", NULL, NULL },
    { "operation=%4g", NULL, NULL },
    { "operation=GetCACaps%00x", NULL, NULL }
};

START_TEST(parses_query)
{
    const parse_case_t *c = &parse_cases[_i];
    scep_query_t query;
    outcome_t out;
    apr_status_t rv;

    outcome_init(&out);
    rv = scep_query_parse(&query, c->args, &out, fixture_pool());
    if (!c->operation) {
        ck_assert_int_eq(rv, APR_EINVAL);
        ck_assert_int_eq(out.result, OUTCOME_MALFORMED);
        ck_assert_str_eq(out.reason, "query");
        return;
    }
    ck_assert_int_eq(rv, APR_SUCCESS);
    ck_assert_str_eq(query.operation, c->operation);
    if (c->message)
        ck_assert_str_eq(query.message, c->message);
    else
        ck_assert_ptr_null(query.message);
}
END_TEST

typedef struct decode_case_t {
    const char *message;
    const char *hex;            /* NULL: malformed */
} decode_case_t;

/* fbefbe fbff ... : octets whose base64 holds '+' and '/' */
static const decode_case_t decode_cases[] = {
    { "++++////", "fbefbeffffff" },
    { "%2B%2B%2B%2B%2F%2F%2F%2F", "fbefbeffffff" },
    { "%2b+%2B+////", "fbefbeffffff" },
    { "    ////", "fbefbeffffff" },
    { "%20%20%20%20////", "fbefbeffffff" },
    { "----____", "fbefbeffffff" },
    { "+-+ /_%2F_", "fbefbeffffff" },
    { "MIIB", "308201" },
    { "MIIBAA==", "30820100" },
    { "MIIBAA%3D%3D", "30820100" },
    { "MIIBAA%3d%3d%0A", "30820100" },
    { "MIIBAA", "30820100" },
    { "MIIBAA=", "30820100" },
    { "MIIBAAE=", "3082010001" },
    { "MIIBAAE", "3082010001" },
    { "MIIB%0AAA%3D%3D%0A", "30820100" },
    { "MIIB\r\nAA==\r\n", "30820100" },
    { "MI%0D%0AIB%09AA", "30820100" },
    { "MA", "30" },
    { NULL, NULL },
    { "", NULL },
    { "=", NULL },
    { "====", NULL },
    { "M", NULL },
    { "MIIBA", NULL },
    { "%0A%0A", NULL },
    { "MII%", NULL },
    { "MII%2", NULL },
    { "MII%ZZ", NULL },
    { "MIIB%00MIIB", NULL },
    { "MII*", NULL },
    { "MII%80", NULL },
    { "MIIB.MIIB", NULL },
    { "MA==MA==", NULL },
    { "MI=IB", NULL },
    { "%252B%252B%252B%252B", NULL }
};

START_TEST(decodes_message)
{
    const decode_case_t *c = &decode_cases[_i];
    apr_pool_t *p = fixture_pool();
    crypt_buf_t der;
    outcome_t out;
    apr_status_t rv;

    outcome_init(&out);
    rv = scep_query_decode(&der, c->message, &out, p);
    if (!c->hex) {
        ck_assert_int_eq(rv, APR_EINVAL);
        ck_assert_int_eq(out.result, OUTCOME_MALFORMED);
        ck_assert_str_eq(out.reason, "base64");
        ck_assert_uint_eq(der.len, 0);
        return;
    }
    ck_assert_int_eq(rv, APR_SUCCESS);
    ck_assert_str_eq(crypt_hex(der.data, der.len, 0, p), c->hex);
}
END_TEST

/* Base64 of data, each line of 64 characters ended by "%0A", '=' escaped, as Cisco IOS sends it. */
static const char *cisco_text(const unsigned char *data, int len, apr_pool_t *p)
{
    char *base64 = apr_palloc(p, (apr_size_t)len * 2 + 8);
    const char *text = "";
    int i, n = EVP_EncodeBlock((unsigned char *)base64, data, len);

    for (i = 0; i < n; i += 64)
        text = apr_pstrcat(p, text, apr_pstrndup(p, base64 + i, 64), "%0A", NULL);
    while (strchr(text, '=')) {
        const char *at = strchr(text, '=');

        text = apr_pstrcat(p, apr_pstrndup(p, text, (apr_size_t)(at - text)), "%3D", at + 1, NULL);
    }
    return text;
}

START_TEST(decodes_long_message_of_any_length)
{
    unsigned char data[1000];
    crypt_buf_t der;
    outcome_t out;
    size_t i;

    for (i = 0; i < sizeof(data); i++)
        data[i] = (unsigned char)(i * 7);
    for (i = 1; i < sizeof(data); i += 13) {
        ck_assert_int_eq(scep_query_decode(&der, cisco_text(data, (int)i, fixture_pool()), &out,
                                           fixture_pool()), APR_SUCCESS);
        ck_assert_uint_eq(der.len, i);
        ck_assert_mem_eq(der.data, data, i);
    }
}
END_TEST

Suite *test_query_suite(void);

Suite *test_query_suite(void)
{
    Suite *suite = suite_create("query");
    TCase *tcase = tcase_create("query");

    tcase_set_timeout(tcase, 30);
    tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
    tcase_add_loop_test(tcase, parses_query, 0,
                        (int)(sizeof(parse_cases) / sizeof(parse_cases[0])));
    tcase_add_loop_test(tcase, decodes_message, 0,
                        (int)(sizeof(decode_cases) / sizeof(decode_cases[0])));
    tcase_add_test(tcase, decodes_long_message_of_any_length);
    suite_add_tcase(suite, tcase);
    return suite;
}
