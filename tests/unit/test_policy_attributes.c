/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes as JSON: what is read, what every mistake says, and that all comes back as it was. */
#include "../../policy/policy_attributes.h"
#include "fixture.h"
#include <apr_strings.h>
#include <string.h>

Suite *test_policy_attributes_suite(void);

#define SID "S-1-5-21-1004336348-1177238915-682003330-512"
#define T POLICY_ADDS_TEMPLATE
#define S POLICY_ADDS_SUBJECT
#define I POLICY_ADDS_SID
#define ALL POLICY_ADDS_ALL
#define LONG_16 "aaaaaaaaaaaaaaaa"
#define LONG_64 LONG_16 LONG_16 LONG_16 LONG_16
#define LONG_256 LONG_64 LONG_64 LONG_64 LONG_64
#define LONG_1024 LONG_256 LONG_256 LONG_256 LONG_256

static const struct {
    const char *json; /* with ' for " */
    unsigned allowed;
    const char *error; /* part of the text; NULL: accepted */
} cases[] = {
    {"{}", 0, NULL},
    {"{'device':'d','user':'u'}", 0, NULL},
    {"{'template':'Device','subject':'CN=a','sid':'" SID "','device':'d','user':'u'}", ALL, NULL},
    {"{'template':'a b,c=d'}", T, NULL},
    {"{'device':'M\u00fcller'}", 0, NULL},
    /* not an object, or not one */
    {"", ALL, "not JSON"},
    {"null", ALL, "not JSON"},
    {"[]", ALL, "not a JSON object"},
    {"'a'", ALL, "not JSON"},
    {"{'device':'d'", ALL, "not JSON"},
    {"{'device':'d'}x", ALL, "not JSON"},
    {"{'device':'d','device':'d'}", ALL, "not JSON"},
    {"{'device':'\xff'}", ALL, "not JSON"},
    {"{'device':'a\\u0000b'}", ALL, "not JSON"},
    /* members that nobody knows */
    {"{'Template':'a'}", ALL, "'Template' is not known"},
    {"{'san':'a'}", ALL, "'san' is not known"},
    {"{'':'a'}", ALL, "'' is not known"},
    {"{'" LONG_64 "':'a'}", ALL, "is not known"},
    {"{'a\\nb':'a'}", ALL, "'a b' is not known"},
    /* not allowed */
    {"{'template':'a'}", S | I, "'template' is not allowed"},
    {"{'subject':'CN=a'}", T | I, "'subject' is not allowed"},
    {"{'sid':'" SID "'}", T | S, "'sid' is not allowed"},
    {"{'sid':null}", 0, "'sid' is not allowed"},
    /* template */
    {"{'template':''}", T, "'template' is not a string"},
    {"{'template':1}", T, "'template' is not a string"},
    {"{'template':null}", T, "'template' is not a string"},
    {"{'template':['a']}", T, "'template' is not a string"},
    {"{'template':'" LONG_64 "'}", T, NULL},
    {"{'template':'" LONG_64 "a'}", T, "'template' is not a string"},
    {"{'template':'a\\u0001'}", T, "'template' is not a string"},
    {"{'template':'\u00e4'}", T, "printable ASCII"},
    /* subject */
    {"{'subject':'CN=a\\\\, b,OU=x+O=y,C=DE'}", S, NULL},
    {"{'subject':'CN=\u00e4\u20ac'}", S, NULL},
    {"{'subject':'1.3.6.1.4.1.99999.1=v'}", S, NULL},
    {"{'subject':''}", S, "'subject' is not a string"},
    {"{'subject':{}}", S, "'subject' is not a string"},
    {"{'subject':'CN'}", S, "not a name"},
    {"{'subject':'CN='}", S, "not a name"},
    {"{'subject':'CN=a,'}", S, "not a name"},
    {"{'subject':'CN=a;O=b'}", S, "not a name"},
    {"{'subject':'/CN=a'}", S, "not a name"},
    {"{'subject':'nonsense=a'}", S, "not a name"},
    {"{'subject':'CN=#0c0161'}", S, "not a name"},
    {"{'subject':'CN=\\\\ff'}", S, "not a name"},
    {"{'subject':'CN=a\\u000ab'}", S, "'subject' is not a string"},
    {"{'subject':'CN=a\\\\0ab'}", S, "cannot stand"},
    {"{'subject':'CN=a\\\\7f'}", S, "cannot stand"},
    {"{'subject':'C=DEU'}", S, "cannot stand"},
    {"{'subject':'C=\u00e4\u00e4'}", S, "cannot stand"},
    {"{'subject':'emailAddress=\u00e4@b'}", S, "cannot stand"},
    {"{'subject':'CN=" LONG_64 "'}", S, NULL},
    {"{'subject':'CN=" LONG_64 "a'}", S, "cannot stand"},
    {"{'subject':'CN=" LONG_1024 "'}", S, "'subject' is not a string"},
    /* sid */
    {"{'sid':'S-1-5-21-0-0-0-0'}", I, NULL},
    {"{'sid':'S-1-5-21-4294967295-4294967295-4294967295-4294967295'}", I, NULL},
    {"{'sid':'S-1-5-21-4294967296-1-1-1'}", I, "'sid' is not S-1-5-21-"},
    {"{'sid':'S-1-5-21-1-1-1-99999999999999999999'}", I, "'sid' is not S-1-5-21-"},
    {"{'sid':'S-1-5-21-1-1-1'}", I, "'sid' is not S-1-5-21-"},
    {"{'sid':'S-1-5-21-1-1-1-1-1'}", I, "'sid' is not S-1-5-21-"},
    {"{'sid':'S-1-5-21-1-1-1-'}", I, "'sid' is not S-1-5-21-"},
    {"{'sid':'S-1-5-21-1-1--1'}", I, "'sid' is not S-1-5-21-"},
    {"{'sid':'S-1-5-21-1-1-1-01'}", I, "'sid' is not S-1-5-21-"},
    {"{'sid':'S-1-5-21-1-1-1-0x1'}", I, "'sid' is not S-1-5-21-"},
    {"{'sid':'S-1-5-21-1-1-1-1 '}", I, "'sid' is not S-1-5-21-"},
    {"{'sid':' S-1-5-21-1-1-1-1'}", I, "'sid' is not S-1-5-21-"},
    {"{'sid':'s-1-5-21-1-1-1-1'}", I, "'sid' is not S-1-5-21-"},
    {"{'sid':'S-1-5-32-544'}", I, "'sid' is not S-1-5-21-"},
    {"{'sid':'S-1-12-1-1-1-1-1'}", I, "'sid' is not S-1-5-21-"},
    {"{'sid':'S-1-5-21'}", I, "'sid' is not S-1-5-21-"},
    {"{'sid':''}", I, "'sid' is not S-1-5-21-"},
    {"{'sid':5}", I, "'sid' is not S-1-5-21-"},
    /* device, user */
    {"{'device':''}", 0, "'device' is not a string"},
    {"{'user':true}", 0, "'user' is not a string"},
    {"{'user':'a\\u001b'}", 0, "'user' is not a string"},
    {"{'device':'" LONG_256 "'}", 0, "'device' is not a string"}};

/* The text with " for '. */
static char *quoted(const char *text)
{
    char *copy = apr_pstrdup(fixture_pool(), text), *c;

    for (c = copy; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    return copy;
}

START_TEST(texts)
{
    const char *json = quoted(cases[_i].json);
    policy_attributes_t a;
    const char *error =
        policy_attributes_parse(&a, json, strlen(json), cases[_i].allowed, fixture_pool());

    if (cases[_i].error) {
        ck_assert_msg(error && strstr(error, cases[_i].error), "%s: %s", json, error);
        ck_assert(policy_attributes_empty(&a));
        ck_assert(strlen(error) < 200);
    }
    else
        ck_assert_msg(!error, "%s: %s", json, error);
}
END_TEST

START_TEST(too_long_a_text)
{
    char *json = apr_palloc(fixture_pool(), 9000);
    policy_attributes_t a;

    memset(json, ' ', 9000);
    json[0] = '{';
    json[8191] = '}';
    ck_assert_ptr_null(policy_attributes_parse(&a, json, 8192, 0, fixture_pool()));
    json[8191] = ' ';
    json[8192] = '}';
    ck_assert_ptr_nonnull(policy_attributes_parse(&a, json, 8193, 0, fixture_pool()));
}
END_TEST

/* Reads a text that is right. */
static policy_attributes_t read_text(const char *text)
{
    const char *json = quoted(text), *error;
    policy_attributes_t a;

    error = policy_attributes_parse(&a, json, strlen(json), ALL, fixture_pool());
    ck_assert_msg(!error, "%s: %s", json, error);
    return a;
}

/* The strings have the types that RFC 5280 wants: PrintableString for C, IA5String for DC and
 * emailAddress, UTF8String for what may hold anything; the last of the text comes first. */
START_TEST(subject_is_der)
{
    static const unsigned char expected[] = {
        0x30, 0x44, 0x31, 0x0b, 0x30, 0x09, 0x06, 0x03, 0x55, 0x04, 0x06, 0x13, 0x02, 'D',
        'E',  0x31, 0x13, 0x30, 0x11, 0x06, 0x0a, 0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c,
        0x64, 0x01, 0x19, 0x16, 0x03, 'c',  'o',  'm',  0x31, 0x20, 0x30, 0x0b, 0x06, 0x03,
        0x55, 0x04, 0x0a, 0x0c, 0x04, 'A',  ',',  0xc3, 0xa4, 0x30, 0x11, 0x06, 0x03, 0x55,
        0x04, 0x03, 0x0c, 0x0a, 'l',  'a',  'p',  't',  'o',  'p',  '-',  '1',  '7',  ' '};
    policy_attributes_t a = read_text("{'subject':'CN=laptop-17\\\\ +O=A\\\\,\u00e4,DC=com,C=DE'}");

    ck_assert_uint_eq(a.subject.len, sizeof(expected));
    ck_assert_mem_eq(a.subject.data, expected, sizeof(expected));
    ck_assert_str_eq(a.subject_text, "CN=laptop-17\\ +O=A\\,\u00e4,DC=com,C=DE");
}
END_TEST

START_TEST(written_and_read_again)
{
    static const char *const json[] = {
        "{'template':'Device','subject':'CN=a+O=\u00e4,C=DE','sid':'" SID "','device':'d',"
        "'user':'u'}",
        "{'subject':'1.3.6.1.4.1.99999.1=v'}", "{}"};
    policy_attributes_t a = read_text(json[_i]), b;
    const char *text = policy_attributes_write(&a, fixture_pool());

    ck_assert_str_eq(text, quoted(json[_i]));
    b = read_text(text);
    ck_assert(policy_attributes_same(&a, &b));
    ck_assert_int_eq(policy_attributes_empty(&a), _i == 2);
}
END_TEST

START_TEST(what_is_the_same)
{
    static const struct {
        const char *a, *b;
        int same;
    } pairs[] = {{"{}", "{}", 1},
                 {"{'device':'a','user':'b'}", "{'device':'c'}", 1},
                 {"{'template':'a'}", "{'template':'b'}", 0},
                 {"{'template':'a'}", "{}", 0},
                 {"{'sid':'S-1-5-21-1-1-1-1'}", "{'sid':'S-1-5-21-1-1-1-2'}", 0},
                 {"{}", "{'sid':'S-1-5-21-1-1-1-1'}", 0},
                 {"{'subject':'CN=a'}", "{'subject':'CN=b'}", 0},
                 {"{'subject':'CN=a'}", "{}", 0},
                 {"{'subject':'CN=a, O=b'}", "{'subject':'CN=a,O=b'}", 1}};
    unsigned i;

    for (i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        policy_attributes_t a = read_text(pairs[i].a), b = read_text(pairs[i].b);

        ck_assert_msg(policy_attributes_same(&a, &b) == pairs[i].same, "%s %s", pairs[i].a,
                      pairs[i].b);
        ck_assert_int_eq(policy_attributes_same(&b, &a), pairs[i].same);
    }
}
END_TEST

/* A subject whose text is not known cannot be kept, so it must not be kept without. */
START_TEST(subject_without_text)
{
    policy_attributes_t a = read_text("{'subject':'CN=a'}");
    crypt_buf_t csr = {(const unsigned char *)"0x", 2}, plain;

    a.subject_text = NULL;
    ck_assert_ptr_null(policy_attributes_write(&a, fixture_pool()));
    ck_assert_int_eq(policy_attributes_pack(&plain, &csr, &a, NULL, fixture_pool()), APR_EGENERAL);
}
END_TEST

START_TEST(packed)
{
    static const char *const json[] = {
        "{}", "{'device':'d'}",
        "{'template':'Device','subject':'CN=a','sid':'" SID "','device':'d','user':'u'}"};
    crypt_buf_t csr = {(const unsigned char *)"\x30\x03" "abc", 5}, plain, part, again, kept;
    policy_attributes_t a = read_text(json[_i % 3]), b;
    fixture_certificate_t want = {0};
    X509 *signer = _i < 3 ? NULL : fixture_certificate(fixture_pool(), &want), *same;
    const unsigned char *der;
    apr_size_t n;

    ck_assert_int_eq(policy_attributes_pack(&plain, &csr, &a, signer, fixture_pool()),
                     APR_SUCCESS);
    ck_assert_int_eq(policy_attributes_unpack(&again, &b, &kept, &plain, fixture_pool()),
                     APR_SUCCESS);
    ck_assert_int_eq(kept.len > 0, signer != NULL);
    if (signer) {
        der = kept.data;
        same = crypt_x509_own(d2i_X509(NULL, &der, (long)kept.len), fixture_pool());
        ck_assert_int_eq(X509_cmp(same, signer), 0);
        ck_assert_ptr_eq(der, again.data);
    }
    ck_assert_uint_eq(again.len, csr.len);
    ck_assert_mem_eq(again.data, csr.data, csr.len);
    ck_assert(policy_attributes_same(&a, &b));
    ck_assert_int_eq(b.device != NULL, a.device != NULL);
    if (_i == 0) { /* as it was kept before there were attributes */
        ck_assert_uint_eq(plain.len, csr.len);
        return;
    }
    for (n = 1; n <= plain.len - csr.len; n++) {
        part.data = plain.data;
        part.len = n;
        ck_assert_int_eq(policy_attributes_unpack(&again, &b, &kept, &part, fixture_pool()),
                         APR_EINVAL);
        ck_assert(again.len == 0 && kept.len == 0);
    }
}
END_TEST

/* A template that is already in the store's text, and lengths that point outside. */
START_TEST(damaged_packs)
{
    static const char *const bytes[] = {"\1\0\0\0\2{}", "\1\0\0\0\2{]0", "\1\0\0\xff\xff{}0",
                                        "\1\1\0\0\2{}0", "\1\0\1\0\2{}0",
                                        "\2\0\0\0\2\0\0\0\1{}s", "\2\0\0\0\2\xff\xff\xff\xff{}s",
                                        "\2\0\0\0\3\0\0\0\1{}s", "\2\0\0\0\2\0\0\0\1"};
    static const int lengths[] = {7, 8, 8, 8, 8, 12, 12, 12, 9};
    crypt_buf_t plain = {(const unsigned char *)bytes[_i], lengths[_i]}, csr, signer;
    policy_attributes_t a;

    ck_assert_int_eq(policy_attributes_unpack(&csr, &a, &signer, &plain, fixture_pool()),
                     APR_EINVAL);
    ck_assert_ptr_null(csr.data);
}
END_TEST

static const struct {
    const char *word;
    unsigned allowed;
    int wrong;
} setting_cases[] = {{NULL, 0, 0},
                     {"attributes=template", T, 0},
                     {"attributes=sid,template,subject", ALL, 0},
                     {"attributes=", 0, 1},
                     {"attributes=,", 0, 1},
                     {"attributes=sid,", 0, 1},
                     {"attributes=sid,sid", 0, 1},
                     {"attributes=SID", 0, 1},
                     {"attributes=none", 0, 1},
                     {"attributes=device", 0, 1},
                     {"attributes=template, sid", 0, 1}};

START_TEST(setting)
{
    static const settings_key_t keys[] = {POLICY_ATTRIBUTES_KEY, {NULL, NULL, 0}};
    settings_t *settings;
    unsigned allowed = 99;
    const char *error;

    ck_assert_ptr_null(settings_parse(&settings, keys, setting_cases[_i].word ? 1 : 0,
                                      &setting_cases[_i].word, fixture_pool()));
    error = policy_attributes_setting(&allowed, settings, fixture_pool());
    if (setting_cases[_i].wrong)
        ck_assert_msg(error && strstr(error, "template, subject and sid"), "%s", error);
    else {
        ck_assert_ptr_null(error);
        ck_assert_uint_eq(allowed, setting_cases[_i].allowed);
    }
}
END_TEST

/* What nobody has to be asked for. */
static const struct {
    const char *bound, *extension; /* of the challenge, with ' for "; of the certificate in use */
    const char *sid;               /* NULL: none */
} sid_cases[] = {
    {NULL, NULL, NULL},
    {"{'san':{'dns':'a'}}", NULL, NULL},
    {"{'san':{'sid':'S-1-5-21-1-2-3-4'}}", NULL, "S-1-5-21-1-2-3-4"},
    {"{'san':{'dns':'a','sid':'S-1-5-21-1-2-3-4'}}", NULL, "S-1-5-21-1-2-3-4"},
    {"{'san':{'sid':['S-1-5-21-1-2-3-4','S-1-5-21-1-2-3-5']}}", NULL, NULL},
    {"{'san':{'sid':'S-1-5-32-544'}}", NULL, NULL},
    {"{'san':{'sid':'S-1-5-21-1-2-3-04'}}", NULL, NULL},
    {NULL, "DER:3022a020060a2b060104018237190201a0120410532d312d352d32312d312d322d332d34",
     "S-1-5-21-1-2-3-4"},
    {"{'san':{'dns':'a'}}",
     "DER:3022a020060a2b060104018237190201a0120410532d312d352d32312d312d322d332d34",
     "S-1-5-21-1-2-3-4"},
    {"{'san':{'sid':'S-1-5-21-1-2-3-9'}}",
     "DER:3022a020060a2b060104018237190201a0120410532d312d352d32312d312d322d332d34",
     "S-1-5-21-1-2-3-9"},
    /* no identifier, another type, a wrong length, bytes behind it, another order, none at all */
    {NULL, "DER:3022a020060a2b060104018237190201a0120410532d312d352d33322d312d322d332d34", NULL},
    {NULL, "DER:3022a020060a2b060104018237190201a0120c10532d312d352d32312d312d322d332d34", NULL},
    {NULL, "DER:3022a020060a2b060104018237190201a012040f532d312d352d32312d312d322d332d34", NULL},
    {NULL, "DER:3022a020060a2b060104018237190201a0120410532d312d352d32312d312d322d332d3400", NULL},
    {NULL, "DER:3022a020060a2b060104018237190202a0120410532d312d352d32312d312d322d332d34", NULL},
    {NULL, "DER:3022a020060a2b060104018237190201a0120410532d312d352d32312d312d322d332d00", NULL},
    {NULL, "DER:3012a010060a2b060104018237190201a0020400", NULL},
    {NULL, "DER:30", NULL},
    {NULL, "DER:3000", NULL}};

START_TEST(known_identifiers)
{
    fixture_certificate_t want = {0};
    policy_attributes_t a = {0}, b = {0}, c = {0};
    policy_request_t request = {0}, initial = {0};
    policy_bound_t *bound = NULL;
    X509 *signer = NULL;
    const char *json, *error;

    if (sid_cases[_i].bound) {
        json = quoted(sid_cases[_i].bound);
        error = policy_bound_parse(&bound, json, strlen(json), fixture_pool());
        ck_assert_msg(!error, "%s", error);
    }
    if (sid_cases[_i].extension) {
        want.extension = apr_pstrcat(fixture_pool(), "1.3.6.1.4.1.311.25.2=",
                                     sid_cases[_i].extension, NULL);
        signer = fixture_certificate(fixture_pool(), &want);
    }
    request.signer = signer;
    policy_attributes_sid(&a, bound, &request, fixture_pool());
    if (sid_cases[_i].sid)
        ck_assert_pstr_eq(a.sid, sid_cases[_i].sid);
    else
        ck_assert_ptr_null(a.sid);
    /* what another CA attests is not ours */
    request.signer_foreign = 1;
    policy_attributes_sid(&b, bound, &request, fixture_pool());
    policy_attributes_sid(&c, bound, &initial, fixture_pool());
    ck_assert_pstr_eq(b.sid, c.sid);
}
END_TEST

START_TEST(setting_of_challenges)
{
    static const settings_key_t keys[] = {POLICY_ATTRIBUTES_KEY, {NULL, NULL, 0}};
    static const struct {
        const char *word;
        int adds, wrong;
    } words[] = {{NULL, 0, 0},
                 {"attributes=sid", 1, 0},
                 {"attributes=subject", 0, 1},
                 {"attributes=sid,template", 0, 1},
                 {"attributes=", 0, 1}};
    settings_t *settings;
    const char *error;
    int adds = 7;

    ck_assert_ptr_null(settings_parse(&settings, keys, words[_i].word ? 1 : 0, &words[_i].word,
                                      fixture_pool()));
    error = policy_attributes_setting_sid(&adds, settings, fixture_pool());
    ck_assert_int_eq(error != NULL, words[_i].wrong);
    if (!error)
        ck_assert_int_eq(adds, words[_i].adds);
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

Suite *test_policy_attributes_suite(void)
{
    Suite *suite = suite_create("policy_attributes");
    TCase *tcase = tcase_create("all");

    tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
    tcase_add_loop_test(tcase, texts, 0, COUNT(cases));
    tcase_add_test(tcase, too_long_a_text);
    tcase_add_test(tcase, subject_is_der);
    tcase_add_loop_test(tcase, written_and_read_again, 0, 3);
    tcase_add_test(tcase, what_is_the_same);
    tcase_add_test(tcase, subject_without_text);
    tcase_add_loop_test(tcase, packed, 0, 6);
    tcase_add_loop_test(tcase, damaged_packs, 0, 9);
    tcase_add_loop_test(tcase, setting, 0, COUNT(setting_cases));
    tcase_add_loop_test(tcase, setting_of_challenges, 0, 5);
    tcase_add_loop_test(tcase, known_identifiers, 0, COUNT(sid_cases));
    suite_add_tcase(suite, tcase);
    return suite;
}
