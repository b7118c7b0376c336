/* SPDX-License-Identifier: Apache-2.0 */
/* Bound challenges: a table of CSRs against challenges, and what the parser takes and refuses. */
#include "../../policy/policy_bound.h"
#include "fixture.h"
#include <apr_strings.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

Suite *test_policy_bound_suite(void);

#define UPN "otherName:1.3.6.1.4.1.311.20.2.3;"
#define SID_URI "tag:microsoft.com,2022-09-14:sid:"
#define SID "S-1-5-21-1-2-3-1104"
/* the SID extension with SID: SEQUENCE { [0] { OID ...25.2.1, [0] OCTET STRING } } */
#define SID_DER                                                              \
    "1.3.6.1.4.1.311.25.2=DER:3025a023060a2b060104018237190201a0150413532d" \
    "312d352d32312d312d322d332d31313034"

/* A CSR and a challenge; reason NULL: they fit. */
typedef struct case_t {
    const char *bound;   /* with ' for " */
    const char *subject; /* "CN=a|+OU=b|O=c" in the order of the encoding; '+' joins the RDN before;
                            the value's string type may stand before it: "CN=bmp!a" */
    const char *extensions[3];
    const char *reason;
    const char *found; /* part of the detail */
} case_t;

static const case_t cases[] = {
    /* whole subject */
    {"{'subject':'CN=a'}", "CN=a", {NULL}, NULL, NULL},
    {"{'subject':'CN=a'}", "CN=A", {NULL}, NULL, NULL},
    {"{'subject':'CN=a b'}", "CN=a  b", {NULL}, NULL, NULL},
    {"{'subject':'CN=a b'}", "CN=ab", {NULL}, "bound-subject", "found CN=ab"},
    {"{'subject':'CN=a'}", "CN=b", {NULL}, "bound-subject", "expected CN=a, found CN=b"},
    {"{'subject':'CN=a'}", "", {NULL}, "bound-subject", "found none"},
    {"{'subject':'CN=a'}", "CN=a|O=b", {NULL}, "bound-subject", "found O=b,CN=a"},
    {"{'subject':'CN=a,O=b'}", "O=b|CN=a", {NULL}, NULL, NULL},
    {"{'subject':'CN=a,O=b'}", "CN=a|O=b", {NULL}, "bound-subject", "found O=b,CN=a"},
    {"{'subject':' CN = a , O = b '}", "O=b|CN=a", {NULL}, NULL, NULL},
    {"{'subject':'CN=a,O=b'}", "CN=a", {NULL}, "bound-subject", "found CN=a"},
    {"{'subject':'CN=a,OU=x,OU=y'}", "OU=y|OU=x|CN=a", {NULL}, NULL, NULL},
    {"{'subject':'CN=a,OU=x,OU=y'}", "OU=x|OU=y|CN=a", {NULL}, "bound-subject", "OU=y,OU=x"},
    {"{'subject':'CN=a+OU=x'}", "CN=a|+OU=x", {NULL}, NULL, NULL},
    {"{'subject':'OU=x+CN=a'}", "CN=a|+OU=x", {NULL}, NULL, NULL},
    {"{'subject':'CN=a+OU=x'}", "OU=x|CN=a", {NULL}, "bound-subject", "CN=a,OU=x"},
    {"{'subject':'CN=a,OU=x+serialNumber=7'}", "OU=x|+serialNumber=7|CN=a", {NULL}, NULL, NULL},
    {"{'subject':'CN=a\\\\,b'}", "CN=a,b", {NULL}, NULL, NULL},
    {"{'subject':'CN=a\\\\2Cb'}", "CN=a,b", {NULL}, NULL, NULL},
    {"{'subject':'CN=\\u00e4'}", "CN=\xc3\xa4", {NULL}, NULL, NULL},
    {"{'subject':'CN=\\u00e4'}", "CN=t61!\xe4", {NULL}, NULL, NULL},
    {"{'subject':'CN=\\u00e4'}", "CN=a", {NULL}, "bound-subject", "expected CN=\\C3\\A4"},
    {"{'subject':'CN=ab'}", "CN=bmp!ab", {NULL}, NULL, NULL},
    {"{'subject':'CN=ab'}", "CN=printable!ab", {NULL}, NULL, NULL},
    {"{'subject':'CN=a'}", "CN=nul!a", {NULL}, "bound-subject", "found CN=a\\00"},
    {"{'subject':'E=a@b.example'}", "emailAddress=ia5!a@b.example", {NULL}, NULL, NULL},
    {"{'subject':'2.5.4.3=a'}", "CN=a", {NULL}, NULL, NULL},
    {"{'subject':'CN=a,DC=corp,DC=example'}", "DC=ia5!example|DC=ia5!corp|CN=a", {NULL}, NULL,
     NULL},
    {"{'subject':'CN=a,DC=corp,DC=example'}", "DC=corp|DC=example|CN=a", {NULL}, "bound-subject",
     "DC=example,DC=corp"},
    /* subject by type */
    {"{'subject':{'CN':['a']}}", "CN=a", {NULL}, NULL, NULL},
    {"{'subject':{'CN':'a'}}", "CN=A", {NULL}, NULL, NULL},
    {"{'subject':{'CN':['a']}}", "O=any|CN=a", {NULL}, NULL, NULL},
    {"{'subject':{'CN':['a']},'subjectExact':true}", "O=any|CN=a", {NULL}, "bound-subject",
     "no other types"},
    {"{'subject':{'CN':['a']},'subjectExact':false}", "O=any|CN=a", {NULL}, NULL, NULL},
    {"{'subject':{'CN':['a'],'O':['b']},'subjectExact':true}", "CN=a|O=b", {NULL}, NULL, NULL},
    {"{'subject':{'CN':['a']}}", "CN=a|CN=b", {NULL}, "bound-subject", "found CN=a,CN=b"},
    {"{'subject':{'CN':['a']}}", "CN=a|CN=a", {NULL}, "bound-subject", "found CN=a,CN=a"},
    {"{'subject':{'CN':['a']}}", "O=b", {NULL}, "bound-subject", "found none"},
    {"{'subject':{'OU':['x','y']}}", "OU=y|OU=x|CN=a", {NULL}, NULL, NULL},
    {"{'subject':{'OU':['x','y']}}", "OU=x|CN=a", {NULL}, "bound-subject", "expected OU=x,OU=y"},
    {"{'subject':{'OU':['x','y']}}", "OU=x|OU=x", {NULL}, "bound-subject", "found OU=x,OU=x"},
    {"{'subject':{'OU':['x','y']}}", "OU=x|+OU=y|CN=a", {NULL}, NULL, NULL},
    {"{'subject':{'CN':['a']}}", "CN=nul!a", {NULL}, "bound-subject", "found CN=a\\x00"},
    {"{'subject':{'CN':['a']}}", "CN=bmp!a", {NULL}, NULL, NULL},
    {"{'subject':{'serialNumber':['7']}}", "CN=a|serialNumber=7", {NULL}, NULL, NULL},
    {"{'subject':{'1.2.3.4':['7']}}", "CN=a|1.2.3.4=7", {NULL}, NULL, NULL},
    {"{'subject':{'CN':['a']}}", "CN=line\nbreak", {NULL}, "bound-subject", "line\\x0abreak"},
    /* alternative names */
    {"{'san':{'dns':['a.example']}}", "CN=a", {"subjectAltName=DNS:a.example"}, NULL, NULL},
    {"{'san':{'dns':['A.example']}}", "CN=a", {"subjectAltName=DNS:a.EXAMPLE"}, NULL, NULL},
    {"{'san':{'dns':['a.example']}}", "CN=a", {NULL}, "bound-san", "found none"},
    {"{'san':{'dns':['a.example']}}", "CN=a", {"subjectAltName=DNS:b.example"}, "bound-san",
     "expected dns:a.example, found dns:b.example"},
    {"{'san':{'dns':['a.example']}}", "CN=a", {"subjectAltName=DNS:a.example,DNS:b.example"},
     "bound-san", "dns:b.example"},
    {"{'san':{'dns':['a.example']}}", "CN=a", {"subjectAltName=DNS:a.example,DNS:a.exam"},
     "bound-san", "dns:a.exam"},
    {"{'san':{'dns':['a.example']}}", "CN=a", {"subjectAltName=DNS:a.example,DNS:A.EXAMPLE"}, NULL,
     NULL},
    {"{'san':{'dns':['a.example','b.example']}}", "",
     {"subjectAltName=DNS:b.example,DNS:a.example"}, NULL, NULL},
    {"{'san':{'dns':['a.example','b.example']}}", "", {"subjectAltName=DNS:b.example"}, "bound-san",
     "found dns:b.example"},
    {"{'san':{'dns':['a.example']}}", "", {"subjectAltName=DNS:a.example,IP:192.0.2.1"},
     "bound-san", "ip:192.0.2.1"},
    {"{'san':{'dns':['a.example']},'sanOther':'allow'}", "",
     {"subjectAltName=DNS:a.example,IP:192.0.2.1"}, NULL, NULL},
    {"{'san':{'dns':['a.example']},'sanOther':'allow'}", "",
     {"subjectAltName=DNS:a.example,DNS:b.example"}, "bound-san", "dns:b.example"},
    {"{'san':{'dns':['a.example']},'sanOther':'forbid'}", "",
     {"subjectAltName=DNS:a.example,RID:1.2.3"}, "bound-san", "other:other"},
    {"{'san':{'dns':['a.example']}}", "", {"subjectAltName=DNS:a.example,dirName:dir"}, "bound-san",
     "other:directoryName"},
    {"{'san':{'dns':['a.example']}}", "",
     {"subjectAltName=DNS:a.example,otherName:1.2.3;UTF8:x"}, "bound-san", "other:otherName"},
    {"{'san':{'dns':['a.example']}}", "",
     {"subjectAltName=DER:3010820e612e6578616d706c6500622e6363"}, "bound-san",
     "a.example\\x00b.cc"},
    {"{'san':{'dns':['a.example']}}", "", {"subjectAltName=DER:0101ff"}, "bound-san",
     "other:(unreadable)"},
    {"{'san':{'email':['a@B.example']}}", "", {"subjectAltName=email:a@b.EXAMPLE"}, NULL, NULL},
    {"{'san':{'email':['a@b.example']}}", "", {"subjectAltName=email:A@b.example"}, "bound-san",
     "email:A@b.example"},
    {"{'san':{'email':['a@b.example']}}", "", {"subjectAltName=DNS:a@b.example"}, "bound-san",
     "found dns:"},
    {"{'san':{'uri':['https://a.example/X']}}", "", {"subjectAltName=URI:https://a.example/X"},
     NULL, NULL},
    {"{'san':{'uri':['https://a.example/X']}}", "", {"subjectAltName=URI:https://a.example/x"},
     "bound-san", "uri:https://a.example/x"},
    {"{'san':{'ip':['192.0.2.1']}}", "", {"subjectAltName=IP:192.0.2.1"}, NULL, NULL},
    {"{'san':{'ip':['192.0.2.1']}}", "", {"subjectAltName=IP:192.0.2.2"}, "bound-san",
     "ip:192.0.2.2"},
    {"{'san':{'ip':['192.0.2.1']}}", "", {"subjectAltName=IP:::ffff:192.0.2.1"}, "bound-san",
     "ip:::ffff:192.0.2.1"},
    {"{'san':{'ip':['2001:db8::1']}}", "", {"subjectAltName=IP:2001:db8:0:0:0:0:0:1"}, NULL, NULL},
    {"{'san':{'ip':['2001:db8::1']}}", "", {"subjectAltName=IP:2001:db8::2"}, "bound-san",
     "ip:2001:db8::2"},
    {"{'san':{'ip':['192.0.2.1']}}", "", {"subjectAltName=DER:30058703c00002"}, "bound-san",
     "ip:\\xc0\\x00\\x02"},
    {"{'san':{'upn':['u@corp.example']}}", "", {"subjectAltName=" UPN "UTF8:u@corp.example"}, NULL,
     NULL},
    {"{'san':{'upn':['u@corp.example']}}", "", {"subjectAltName=" UPN "UTF8:U@CORP.example"}, NULL,
     NULL},
    {"{'san':{'upn':['u@corp.example']}}", "", {"subjectAltName=" UPN "UTF8:admin@corp.example"},
     "bound-san", "upn:admin@corp.example"},
    {"{'san':{'upn':['u@corp.example']}}", "", {"subjectAltName=" UPN "BMP:u@corp.example"}, NULL,
     NULL},
    {"{'san':{'upn':['u@corp.example']}}", "", {"subjectAltName=" UPN "OCT:u@corp.example"},
     "bound-san", "upn:(unreadable)"},
    {"{'san':{'upn':['u@corp.example']}}", "",
     {"subjectAltName=" UPN "UTF8:u@corp.example," UPN "UTF8:admin@corp.example"}, "bound-san",
     "admin"},
    {"{'san':{'upn':['u@corp.example']}}", "", {"subjectAltName=email:u@corp.example"}, "bound-san",
     "found email:"},
    {"{'san':{'sid':'" SID "'}}", "", {"subjectAltName=@sid"}, NULL, NULL},
    {"{'san':{'sid':'" SID "'}}", "", {SID_DER}, NULL, NULL},
    {"{'san':{'sid':'" SID "'}}", "", {SID_DER, "subjectAltName=@sid"}, NULL, NULL},
    {"{'san':{'sid':'" SID "'}}", "", {SID_DER, "subjectAltName=@admin"},
     "bound-san", "sid:S-1-5-21-500"},
    {"{'san':{'sid':'S-1-5-21-9'}}", "", {SID_DER}, "bound-san", "found sid:" SID},
    {"{'san':{'sid':'" SID "'}}", "", {NULL}, "bound-san", "found none"},
    {"{'san':{'sid':'" SID "'}}", "", {"1.3.6.1.4.1.311.25.2=DER:0500"}, "bound-san",
     "sid:(unreadable)"},
    {"{'san':{'dns':['a.example']}}", "", {"subjectAltName=DNS:a.example", SID_DER}, "bound-san",
     "sid:" SID},
    {"{'san':{'dns':['a.example']},'sanOther':'allow'}", "",
     {"subjectAltName=DNS:a.example", SID_DER}, NULL, NULL},
    {"{'san':{'uri':['" SID_URI SID "']}}", "", {"subjectAltName=@sid"}, "bound-san",
     "found sid:"},
    {"{'subject':'CN=a'}", "CN=a", {"subjectAltName=" UPN "UTF8:admin@corp.example"}, "bound-san",
     "expected no alternative names, found upn:admin"},
    {"{'subject':{'CN':'a'}}", "CN=a", {SID_DER}, "bound-san", "sid:"},
    {"{'subject':'CN=a','sanOther':'allow'}", "CN=a", {"subjectAltName=DNS:a.example"}, NULL, NULL},
    {"{'device':'d'}", "CN=a", {"subjectAltName=DNS:a.example"}, NULL, NULL},
    {"{'san':{'dns':['a.example']}}", "CN=free", {"subjectAltName=DNS:a.example"}, NULL, NULL},
    /* key usage */
    {"{'keyUsage':['digitalSignature']}", "", {"keyUsage=digitalSignature"}, NULL, NULL},
    {"{'keyUsage':['digitalSignature']}", "", {"keyUsage=critical,digitalSignature"}, NULL, NULL},
    {"{'keyUsage':['digitalSignature','keyEncipherment']}", "",
     {"keyUsage=keyEncipherment,digitalSignature"}, NULL, NULL},
    {"{'keyUsage':['digitalSignature']}", "", {"keyUsage=digitalSignature,keyEncipherment"},
     "bound-key-usage", "found digitalSignature,keyEncipherment"},
    {"{'keyUsage':['digitalSignature','keyEncipherment']}", "", {"keyUsage=digitalSignature"},
     "bound-key-usage", "expected digitalSignature,keyEncipherment, found digitalSignature"},
    {"{'keyUsage':['digitalSignature']}", "", {NULL}, "bound-key-usage", "found none"},
    {"{'keyUsage':['digitalSignature'],'keyUsageOptional':true}", "", {NULL}, NULL, NULL},
    {"{'keyUsage':['digitalSignature'],'keyUsageOptional':true}", "", {"keyUsage=keyCertSign"},
     "bound-key-usage", "found keyCertSign"},
    {"{'keyUsage':['contentCommitment']}", "", {"keyUsage=nonRepudiation"}, NULL, NULL},
    {"{'keyUsage':['decipherOnly','keyAgreement']}", "", {"keyUsage=keyAgreement,decipherOnly"},
     NULL, NULL},
    {"{'keyUsage':['digitalSignature']}", "", {"keyUsage=DER:0303068040"}, "bound-key-usage",
     "(unreadable)"},
    {"{'keyUsage':['digitalSignature']}", "", {"keyUsage=DER:030100"}, "bound-key-usage",
     "no usage"},
    /* extended key usage */
    {"{'eku':['clientAuth']}", "", {"extendedKeyUsage=clientAuth"}, NULL, NULL},
    {"{'eku':['clientAuth','1.3.6.1.5.5.7.3.4']}", "", {"extendedKeyUsage=emailProtection"}, NULL,
     NULL},
    {"{'eku':['clientAuth']}", "", {NULL}, NULL, NULL},
    {"{'eku':['clientAuth']}", "", {"extendedKeyUsage=clientAuth,serverAuth"}, "bound-eku",
     "expected clientAuth, found clientAuth,serverAuth"},
    {"{'eku':['clientAuth']}", "", {"extendedKeyUsage=anyExtendedKeyUsage"}, "bound-eku",
     "anyExtendedKeyUsage"},
    {"{'eku':['1.2.3.4']}", "", {"extendedKeyUsage=1.2.3.4"}, NULL, NULL},
    {"{'eku':['1.2.3.4']}", "", {"extendedKeyUsage=1.2.3.5"}, "bound-eku", "found 1.2.3.5"},
    {"{'eku':['clientAuth']}", "", {"extendedKeyUsage=DER:0500"}, "bound-eku", "(unreadable)"},
    /* key: the table's CSRs have EC keys on P-256 */
    {"{'ecCurves':['P-256']}", "", {NULL}, NULL, NULL},
    {"{'ecCurves':['P-384','Ed25519']}", "", {NULL}, "bound-key",
     "expected secp384r1 or ED25519, found prime256v1"},
    {"{'minKey':2048}", "", {NULL}, "bound-key", "expected RSA of 2048 bits or more, found prime"},
    {"{'minKey':2048,'ecCurves':['P-256']}", "", {NULL}, NULL, NULL},
    /* template */
    {"{'template':'Device'}", "", {NULL}, NULL, NULL},
    {"{'template':'device'}", "", {NULL}, "bound-template", "expected device, found Device"},
    /* several */
    {"{'subject':'CN=a','san':{'dns':'a.example'},'eku':'clientAuth','keyUsage':'digitalSignature',"
     "'template':'Device','device':'d-1','user':'u','lifetime':'2h','uses':1}",
     "CN=a",
     {"subjectAltName=DNS:a.example", "keyUsage=digitalSignature"},
     NULL,
     NULL},
};

/* JSON with " for '. */
static const char *json_of(const char *text)
{
    char *json = apr_pstrdup(fixture_pool(), text), *c;

    for (c = json; *c; c++) {
        if (*c == '\'')
            *c = '"';
    }
    return json;
}

/* Appends "TYPE=[type!]value" to a name. */
static void add_entry(X509_NAME *name, char *item)
{
    static const struct {
        const char *prefix;
        int type;
    } types[] = {{"bmp!", V_ASN1_BMPSTRING},
                 {"t61!", V_ASN1_T61STRING},
                 {"ia5!", V_ASN1_IA5STRING},
                 {"printable!", V_ASN1_PRINTABLESTRING},
                 {"nul!", V_ASN1_UTF8STRING}};
    int joins = *item == '+', type = V_ASN1_UTF8STRING, len;
    char *value = strchr(item, '='), *bytes, *c;
    ASN1_OBJECT *object;
    unsigned i;

    *value++ = '\0';
    bytes = value;
    len = (int)strlen(value);
    for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (strncmp(value, types[i].prefix, strlen(types[i].prefix)) == 0) {
            type = types[i].type;
            bytes = value + strlen(types[i].prefix);
            len = (int)strlen(bytes) + (i == 4); /* with its NUL */
        }
    }
    if (type == V_ASN1_BMPSTRING) {
        value = apr_pcalloc(fixture_pool(), 2 * (apr_size_t)len);
        for (c = bytes; *c; c++)
            value[2 * (c - bytes) + 1] = *c;
        bytes = value;
        len *= 2;
    }
    object = OBJ_txt2obj(item + joins, 0);
    ck_assert_int_eq(X509_NAME_add_entry_by_OBJ(name, object, type, (unsigned char *)bytes, len, -1,
                                                joins ? -1 : 0),
                     1);
    ASN1_OBJECT_free(object);
}

/* A CSR. */
static csr_t *make_csr(EVP_PKEY *key, const char *subject, const char *const *extensions)
{
    char *rest = apr_pstrdup(fixture_pool(), subject), *item, *last;
    STACK_OF(X509_EXTENSION) *stack = sk_X509_EXTENSION_new_null();
    X509_REQ *req = X509_REQ_new();
    unsigned char *encoded = NULL;
    crypt_buf_t der;
    outcome_t out;
    csr_t *csr;
    CONF *conf = NCONF_new(NULL);
    BIO *text = BIO_new_mem_buf("[dir]\nCN=dir\n[sid]\nURI=" SID_URI SID
                                "\n[admin]\nURI=" SID_URI "S-1-5-21-500\n",
                                -1);
    X509V3_CTX ctx;
    long line;
    int i, len;

    NCONF_load_bio(conf, text, &line);
    X509V3_set_ctx(&ctx, NULL, NULL, req, NULL, 0);
    X509V3_set_nconf(&ctx, conf);
    for (item = apr_strtok(rest, "|", &last); item; item = apr_strtok(NULL, "|", &last))
        add_entry(X509_REQ_get_subject_name(req), item);
    for (i = 0; extensions && i < 3 && extensions[i]; i++) {
        char *name = apr_pstrdup(fixture_pool(), extensions[i]), *value = strchr(name, '=');
        X509_EXTENSION *ext;

        *value++ = '\0';
        ext = X509V3_EXT_nconf(conf, &ctx, name, value);
        ck_assert_msg(ext != NULL, "%s=%s", name, value);
        sk_X509_EXTENSION_push(stack, ext);
    }
    if (sk_X509_EXTENSION_num(stack))
        ck_assert_int_eq(X509_REQ_add_extensions(req, stack), 1);
    X509_REQ_set_pubkey(req, key);
    ck_assert_int_gt(X509_REQ_sign(req, key, EVP_sha256()), 0);
    len = i2d_X509_REQ(req, &encoded);
    der.data = apr_pmemdup(fixture_pool(), encoded, (apr_size_t)len);
    der.len = (apr_size_t)len;
    OPENSSL_free(encoded);
    sk_X509_EXTENSION_pop_free(stack, X509_EXTENSION_free);
    X509_REQ_free(req);
    NCONF_free(conf);
    BIO_free(text);
    ERR_clear_error();
    outcome_init(&out);
    ck_assert_msg(csr_make(&csr, &der, 0, &out, fixture_pool()) == APR_SUCCESS, "%s", out.detail);
    return csr;
}

/* Parses what must be good. */
static policy_bound_t *parse(const char *text)
{
    const char *json = json_of(text), *error;
    policy_bound_t *bound;

    error = policy_bound_parse(&bound, json, strlen(json), fixture_pool());
    ck_assert_msg(!error, "%s: %s", json, error);
    ck_assert_uint_eq(ERR_peek_error(), 0);
    return bound;
}

/* Checks the answer about a CSR, also for the challenge that the store would keep. */
static void check_case(const case_t *wanted, const csr_t *csr)
{
    policy_bound_t *bound = parse(wanted->bound);
    apr_status_t rv;
    outcome_t out;
    int i;

    for (i = 0; i < 2; i++) {
        outcome_init(&out);
        rv = policy_bound_check(bound, csr, "Device", &out, fixture_pool());
        ck_assert_msg(rv == (wanted->reason ? APR_EACCES : APR_SUCCESS), "%s against %s: %s %s",
                      wanted->bound, csr->subject_text, out.reason, out.detail);
        ck_assert_uint_eq(ERR_peek_error(), 0);
        if (wanted->reason) {
            ck_assert_int_eq(out.result, OUTCOME_REFUSED);
            ck_assert_int_eq(out.fail_info, FAIL_INFO_BAD_REQUEST);
            ck_assert_str_eq(out.text, POLICY_BOUND_TEXT);
            ck_assert_msg(!strcmp(out.reason, wanted->reason) && strstr(out.detail, wanted->found),
                          "%s: %s %s", wanted->bound, out.reason, out.detail);
            ck_assert_int_eq(out.hresult == OUTCOME_HR_BAD_REQUESTSUBJECT,
                             !strcmp(out.reason, "bound-subject") ||
                                 !strcmp(out.reason, "bound-san"));
        }
        bound = parse(bound->json);
    }
}

START_TEST(table)
{
    check_case(&cases[_i], make_csr(fixture_ec(), cases[_i].subject, cases[_i].extensions));
}
END_TEST

START_TEST(rsa_keys)
{
    static const case_t rsa[] = {
        {"{'minKey':2048}", "", {NULL}, NULL, NULL},
        {"{'minKey':2049}", "", {NULL}, "bound-key", "2049 bits or more, found RSA of 2048 bits"},
        {"{'minKey':2048,'ecCurves':['P-256']}", "", {NULL}, NULL, NULL},
        {"{'ecCurves':['P-256']}", "", {NULL}, "bound-key", "found RSA of 2048 bits"}};

    check_case(&rsa[_i], make_csr(fixture_rsa(0), "CN=a", NULL));
}
END_TEST

START_TEST(long_details_are_bounded)
{
    char name[3001];
    const char *bound;
    outcome_t out;

    memset(name, 'x', 3000);
    name[3000] = '\0';
    bound = apr_psprintf(fixture_pool(), "{'subject':{'CN':['%.1024s']}}", name);
    outcome_init(&out);
    ck_assert_int_eq(policy_bound_check(parse(bound),
                                        make_csr(fixture_ec(),
                                                 apr_pstrcat(fixture_pool(), "CN=", name, NULL),
                                                 NULL),
                                        "Device", &out, fixture_pool()),
                     APR_EACCES);
    ck_assert_uint_lt(strlen(out.detail), 1000);
}
END_TEST

START_TEST(reads_members)
{
    policy_bound_t *bound = parse("{ 'uses' : 2, 'lifetime':'2h', 'template':'T',\n"
                                  "'device':'d-1', 'user':'u@corp.example'}");

    ck_assert_int_eq(bound->uses, 2);
    ck_assert_int_eq(bound->lifetime, apr_time_from_sec(7200));
    ck_assert_str_eq(bound->template_name, "T");
    ck_assert_str_eq(bound->device, "d-1");
    ck_assert_str_eq(bound->user, "u@corp.example");
    ck_assert_str_eq(bound->json, "{\"device\":\"d-1\",\"lifetime\":\"2h\",\"template\":\"T\","
                                  "\"user\":\"u@corp.example\",\"uses\":2}");
}
END_TEST

/* Objects that are refused, and a part of the error. */
static const char *const bad[][2] = {
    {"", "not valid JSON"},
    {"{", "not valid JSON"},
    {"{'uses':1", "not valid JSON"},
    {"{'uses':1} x", "not valid JSON"},
    {"{'uses':1,'uses':1}", "not valid JSON"},
    {"{'san':{'dns':['a'],'dns':['b']}}", "not valid JSON"},
    {"{'user':'\xff'}", "not valid JSON"},
    {"{'user':'a\\u0000b'}", "not valid JSON"},
    {"[]", "not an object"},
    {"{}", "is empty"},
    {"{'Subject':'CN=a'}", "Subject is unknown (known: subject, subjectExact, san, sanOther, "},
    {"{'':1}", "is unknown"},
    {"{'subject':''}", "subject: needs a name"},
    {"{'subject':null}", "subject: needs"},
    {"{'subject':1}", "subject: needs"},
    {"{'subject':[]}", "subject: needs"},
    {"{'subject':{}}", "subject: names no type"},
    {"{'subject':'a'}", "subject: needs TYPE=value"},
    {"{'subject':'CN='}", "subject: the value of CN"},
    {"{'subject':'CN=a,'}", "subject: needs TYPE=value"},
    {"{'subject':',CN=a'}", "subject: needs TYPE=value"},
    {"{'subject':'CN=a+'}", "subject: needs TYPE=value"},
    {"{'subject':'XY=a'}", "subject: XY is not a type"},
    {"{'subject':'CN=a;O=b'}", "subject: the value of CN"},
    {"{'subject':'CN=\\\\'}", "subject: the value of CN"},
    {"{'subject':'CN=\\\\00'}", "subject: the value of CN"},
    {"{'subject':'CN=\\\\ff'}", "subject: cannot be a name"},
    {"{'subject':'CN=#0403'}", "subject: the value of CN"},
    {"{'subject':'CN=a\\nb'}", "subject: needs a name"},
    {"{'subject':{'CN':[]}}", "subject: CN needs a text"},
    {"{'subject':{'CN':['']}}", "subject: CN needs a text"},
    {"{'subject':{'CN':['a','a']}}", "subject: CN needs a text"},
    {"{'subject':{'CN':[['a']]}}", "subject: CN needs a text"},
    {"{'subject':{'CN':{'a':1}}}", "subject: CN needs a text"},
    {"{'subject':{'XY':['a']}}", "subject: XY is not a type"},
    {"{'subject':{'CN':['a'],'commonName':['b']}}", "commonName stands there by two names"},
    {"{'subjectExact':true}", "subjectExact: needs a subject"},
    {"{'subject':'CN=a','subjectExact':true}", "subjectExact: needs a subject"},
    {"{'subject':{'CN':'a'},'subjectExact':1}", "subjectExact: needs true or false"},
    {"{'san':{}}", "san: is empty"},
    {"{'san':['a']}", "san: needs an object"},
    {"{'san':{'DNS':['a']}}", "san: DNS is unknown"},
    {"{'san':{'other':['a']}}", "san: other is unknown"},
    {"{'san':{'dns':[]}}", "san: dns: needs a text"},
    {"{'san':{'dns':[1]}}", "san: dns: needs a text"},
    {"{'san':{'ip':['192.0.2']}}", "san: ip: 192.0.2 is not an address"},
    {"{'san':{'ip':['192.0.2.1/24']}}", "is not an address"},
    {"{'san':{'sid':['x']}}", "san: sid: needs"},
    {"{'san':{'sid':['S-1-']}}", "san: sid: needs"},
    {"{'san':{'sid':['S-1-5-']}}", "san: sid: needs"},
    {"{'sanOther':'allow'}", "sanOther: needs san or subject"},
    {"{'san':{'dns':'a'},'sanOther':'maybe'}", "sanOther: needs \"allow\""},
    {"{'keyUsage':[]}", "keyUsage: needs a text"},
    {"{'keyUsage':['sign']}", "keyUsage: sign is unknown"},
    {"{'keyUsageOptional':true}", "keyUsageOptional: needs keyUsage"},
    {"{'eku':['no such']}", "eku: no such is neither"},
    {"{'eku':[1]}", "eku: needs a text"},
    {"{'minKey':'2048'}", "minKey: needs a whole number"},
    {"{'minKey':2048.5}", "minKey: needs a whole number"},
    {"{'minKey':0}", "minKey: needs a whole number"},
    {"{'minKey':99999999999999999999}", "not valid JSON"},
    {"{'ecCurves':['P-1']}", "ecCurves: P-1 is unknown"},
    {"{'template':''}", "template: needs a text"},
    {"{'template':7}", "template: needs a text"},
    {"{'device':'a\\u0007'}", "device: needs a text"},
    {"{'user':[]}", "user: needs a text"},
    {"{'lifetime':60}", "lifetime: needs a time"},
    {"{'lifetime':'0s'}", "lifetime: needs a time"},
    {"{'lifetime':'soon'}", "lifetime: needs a time"},
    {"{'uses':0}", "uses: needs a whole number"},
    {"{'uses':-1}", "uses: needs a whole number"},
    {"{'uses':true}", "uses: needs a whole number"}};

START_TEST(refuses)
{
    policy_bound_t *bound;
    const char *json = json_of(bad[_i][0]);
    const char *error = policy_bound_parse(&bound, json, strlen(json), fixture_pool());

    ck_assert_ptr_null(bound);
    ck_assert_msg(error && strstr(error, bad[_i][1]), "%s: %s", json, error ? error : "accepted");
    ck_assert_uint_eq(ERR_peek_error(), 0);
}
END_TEST

START_TEST(refuses_what_is_too_long)
{
    apr_pool_t *p = fixture_pool();
    policy_bound_t *bound;
    char *json = apr_palloc(p, 20000);
    const char *error;
    int i;

    memset(json, '[', 20000);
    error = policy_bound_parse(&bound, json, 20000, p);
    ck_assert_msg(error && strstr(error, "more than 8192 bytes"), "%s", error);
    ck_assert_ptr_nonnull(policy_bound_parse(&bound, json, 8192, p));
    memset(json, ' ', 20000);
    memcpy(json, "{\"uses\":1", 9);
    json[8191] = '}';
    ck_assert_ptr_null(policy_bound_parse(&bound, json, 8192, p));
    ck_assert_str_eq(bound->json, "{\"uses\":1}");
    json = apr_pstrdup(p, "");
    for (i = 0; i <= 64; i++)
        json = apr_psprintf(p, "%s%s\"a%d\"", json, i ? "," : "", i);
    json = apr_psprintf(p, "{\"san\":{\"dns\":[%s]}}", json);
    ck_assert_ptr_nonnull(policy_bound_parse(&bound, json, strlen(json), p));
    json = apr_psprintf(p, "{\"user\":\"%0300d\"}", 1);
    ck_assert_ptr_nonnull(policy_bound_parse(&bound, json, strlen(json), p));
}
END_TEST

Suite *test_policy_bound_suite(void)
{
    Suite *suite = suite_create("test_policy_bound");
    TCase *tcase = tcase_create("bound");

    tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
    tcase_add_loop_test(tcase, table, 0, sizeof(cases) / sizeof(cases[0]));
    tcase_add_loop_test(tcase, rsa_keys, 0, 4);
    tcase_add_test(tcase, long_details_are_bounded);
    tcase_add_test(tcase, reads_members);
    tcase_add_loop_test(tcase, refuses, 0, sizeof(bad) / sizeof(bad[0]));
    tcase_add_test(tcase, refuses_what_is_too_long);
    suite_add_tcase(suite, tcase);
    return suite;
}
