/* SPDX-License-Identifier: Apache-2.0 */
/* The local CA: kinds of its key and how each signs, name constraints, and what templates add. */
#include "ca_fixture.h"

#include <apr_strings.h>
#include <openssl/core_names.h>
#include <openssl/rsa.h>
#include <string.h>

Suite *test_ca_local_key_suite(void);

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* An RSA key for PSS only, with that digest in its parameters (NULL: none). */
static EVP_PKEY *pss_key(const char *digest)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA-PSS", NULL);
    EVP_PKEY *key = NULL;

    ck_assert_int_eq(EVP_PKEY_keygen_init(ctx), 1);
    ck_assert_int_eq(EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, 2048), 1);
    if (digest != NULL) {
        ck_assert_int_eq(EVP_PKEY_CTX_set_rsa_pss_keygen_md_name(ctx, digest, NULL), 1);
    }
    ck_assert_int_eq(EVP_PKEY_generate(ctx, &key), 1);
    EVP_PKEY_CTX_free(ctx);
    return crypt_pkey_own(key, fixture_pool());
}

/* A CA certificate of key, issued by another key so that any kind of key can have one. */
static X509 *ca_of(EVP_PKEY *key, const char *extension)
{
    fixture_certificate_t want;

    memset(&want, 0, sizeof(want));
    want.subject = "unit CA";
    want.key = key;
    want.issuer = ca_fixture_ca(fixture_rsa(2), 4000);
    want.issuer_key = fixture_rsa(2);
    want.ca = 1;
    want.extension = extension;
    return fixture_certificate(fixture_pool(), &want);
}

/* The CA's answer to a request. */
static ca_answer_t *submit(ca_t *ca, const ca_fixture_request_t *request)
{
    ca_answer_t *answer = apr_pcalloc(fixture_pool(), sizeof(*answer));

    ca_submit(ca, request->grant, request->csr, ca_fixture_deadline(), answer, NULL,
              fixture_pool());
    return answer;
}

/* What the CA issues for a plain request. */
static X509 *issue(ca_t *ca)
{
    ca_answer_t *answer = submit(ca, ca_fixture_request(fixture_rsa(1), "device", NULL, NULL));

    ck_assert_msg(answer->result == CA_ISSUED, "%s: %s", answer->outcome.reason,
                  answer->outcome.detail);
    return answer->leaf;
}

START_TEST(each_kind_of_key_signs_its_way)
{
    apr_pool_t *p = fixture_pool();
    EVP_PKEY *p521 = crypt_pkey_own(EVP_EC_gen("P-521"), p);
    EVP_PKEY *p384 = crypt_pkey_own(EVP_EC_gen("P-384"), p);
    EVP_PKEY *pss512 = pss_key("SHA512");
    struct {
        EVP_PKEY *key;
        const char *word;
        int signature, digest;
    } kinds[] = {
        {fixture_rsa(0), NULL, NID_sha256WithRSAEncryption, NID_sha256},
        {fixture_rsa(0), "signature=pkcs1", NID_sha256WithRSAEncryption, NID_sha256},
        {fixture_rsa(0), "signature=PSS", NID_rsassaPss, NID_sha256},
        {fixture_rsa(0), "digest=sha384", NID_sha384WithRSAEncryption, NID_sha384},
        {pss_key(NULL), NULL, NID_rsassaPss, NID_sha256},
        {pss_key(NULL), "digest=sha512", NID_rsassaPss, NID_sha512},
        {pss512, NULL, NID_rsassaPss, NID_sha512},
        {fixture_ec(), NULL, NID_ecdsa_with_SHA256, NID_sha256},
        {p384, NULL, NID_ecdsa_with_SHA384, NID_sha384},
        {p521, NULL, NID_ecdsa_with_SHA512, NID_sha512},
        {p521, "digest=sha256", NID_ecdsa_with_SHA256, NID_sha256},
        {crypt_pkey_own(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), p), NULL, NID_ED25519, 0},
        {crypt_pkey_own(EVP_PKEY_Q_keygen(NULL, NULL, "ED448"), p), NULL, NID_ED448, 0},
    };
    const X509_ALGOR *algor;
    int i;

    for (i = 0; i < COUNT(kinds); i++) {
        X509 *ca_cert = ca_of(kinds[i].key, NULL);
        ca_t *ca = ca_fixture_local(ca_cert, kinds[i].key, kinds[i].word, ca_fixture_config());
        X509 *cert = issue(ca);

        X509_get0_signature(NULL, &algor, cert);
        ck_assert_int_eq(X509_get_signature_nid(cert), kinds[i].signature);
        ck_assert_int_eq(crypt_signature_digest(algor), kinds[i].digest);
        ck_assert_int_eq(X509_verify(cert, X509_get0_pubkey(ca_cert)), 1);
    }
}
END_TEST

START_TEST(what_a_key_cannot_do_is_told)
{
    apr_pool_t *p = fixture_pool();
    EVP_PKEY *pss = pss_key("SHA512"), *ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    struct {
        EVP_PKEY *key;
        const char *word, *error;
    } wrong[] = {
        {fixture_rsa(0), "signature=", "must be pkcs1 or pss"},
        {fixture_rsa(0), "signature=pkcs1,pss", "must be pkcs1 or pss"},
        {fixture_rsa(0), "digest=", "must be sha256, sha384 or sha512"},
        {fixture_ec(), "signature=pss", "signature= is for RSA keys, the CA's is EC P-256"},
        {fixture_ec(), "signature=pkcs1", "signature= is for RSA keys"},
        {pss, "signature=pkcs1", "the CA's key is for RSA-PSS only"},
        {pss, "digest=sha256", "the CA's key does not sign with SHA256 and PSS"},
        {crypt_pkey_own(ed, p), "digest=sha256", "an Edwards curve has its own"},
        {crypt_pkey_own(EVP_PKEY_Q_keygen(NULL, NULL, "X25519"), p), NULL, "is needed"},
    };
    int i;

    for (i = 0; i < COUNT(wrong); i++) {
        const char *dir = fixture_directory(p), *words[3], *error;
        ca_t *ca = NULL;

        words[0] = apr_pstrcat(p, "certificate=", fixture_file(p, dir, "c.pem",
                               fixture_certificate_pem(p, ca_of(wrong[i].key, NULL)), 0600), NULL);
        words[1] = apr_pstrcat(p, "key=", fixture_file(p, dir, "c.key",
                               fixture_key_pem(p, wrong[i].key), 0600), NULL);
        words[2] = wrong[i].word;
        error = ca_make(&ca, &ca_local_provider, words[2] != NULL ? 3 : 2, words,
                        ca_fixture_config(), p);
        ck_assert_ptr_null(ca);
        ck_assert_msg(error != NULL && strstr(error, wrong[i].error) != NULL, "%s: %s",
                      wrong[i].error, error != NULL ? error : "no error");
    }
}
END_TEST

static const struct {
    const char *constraint, *common_name, *san;
    int allowed;
} names[] = {
    {"permitted;DNS:corp.example", "device", "DNS:a.corp.example", 1},
    {"permitted;DNS:corp.example", "device", "DNS:a.corp.example.org", 0},
    {"permitted;DNS:corp.example", "device", "DNS:a.corp.example,DNS:b.other.example", 0},
    {"permitted;DNS:corp.example", "device", "email:a@other.example", 1},
    {"permitted;DNS:corp.example", "device", NULL, 1},
    /* a common name that is a host name is one */
    {"permitted;DNS:corp.example", "a.other.example", NULL, 0},
    {"permitted;DNS:corp.example", "a.corp.example", NULL, 1},
    {"permitted;DNS:corp.example", "a.other.example", "DNS:a.corp.example", 1},
    {"excluded;DNS:corp.example", "device", "DNS:a.corp.example", 0},
    {"excluded;DNS:corp.example", "device", "DNS:A.CORP.Example", 0},
    {"excluded;DNS:corp.example", "device", "DNS:a.other.example", 1},
    {"permitted;email:corp.example", "device", "email:a@corp.example", 1},
    {"permitted;email:corp.example", "device", "email:a@b.corp.example", 0},
    {"excluded;email:.corp.example", "device", "email:a@b.corp.example", 0},
    {"permitted;IP:10.0.0.0/255.0.0.0", "device", "IP:10.2.3.4", 1},
    {"permitted;IP:10.0.0.0/255.0.0.0", "device", "IP:11.2.3.4", 0},
    {"permitted;IP:10.0.0.0/255.0.0.0", "device", "IP:fe80::1", 0},
    {"excluded;IP:10.0.0.0/255.0.0.0", "device", "IP:10.2.3.4", 0},
    {"permitted;URI:.corp.example", "device", "URI:https://a.corp.example/x", 1},
    {"permitted;URI:.corp.example", "device", "URI:https://a.other.example/x", 0},
    /* a URI without a host cannot be held against a host: refused, not passed */
    {"permitted;URI:.corp.example", "device", "URI:tag:device", 0},
    {"excluded;URI:.corp.example", "device", "URI:https://a.corp.example/x", 0},
};

START_TEST(names_that_the_ca_must_not_certify)
{
    const char *extension = apr_pstrcat(fixture_pool(), "nameConstraints=critical,",
                                        names[_i].constraint, NULL);
    X509 *ca_cert = ca_of(fixture_rsa(0), extension);
    ca_t *ca = ca_fixture_local(ca_cert, fixture_rsa(0), NULL, ca_fixture_config());
    const char *san = names[_i].san != NULL
        ? apr_pstrcat(fixture_pool(), "subjectAltName=", names[_i].san, NULL) : NULL;
    ca_answer_t *answer = submit(ca, ca_fixture_request(fixture_rsa(1), names[_i].common_name, san,
                                                        NULL));

    if (names[_i].allowed) {
        ck_assert_msg(answer->result == CA_ISSUED, "%s", answer->outcome.detail);
        return;
    }
    ck_assert_int_eq(answer->result, CA_REJECTED);
    ck_assert_ptr_null(answer->leaf);
    ck_assert_str_eq(answer->outcome.reason, "ca-name-constraints");
    ck_assert_int_eq(answer->outcome.fail_info, FAIL_INFO_BAD_REQUEST);
    ck_assert_ptr_nonnull(strstr(answer->outcome.detail, "name constraints of the CA's chain"));
}
END_TEST

/* nameConstraints that permit the directory name CN=name only, as openssl.cnf writes bytes. */
static const char *directory_constraint(const char *name)
{
    apr_size_t len = strlen(name);
    unsigned char der[100] = {0x30, 0, 0xa0, 0, 0x30, 0, 0xa4, 0, 0x30, 0,
                              0x31, 0, 0x30, 0, 6, 3, 0x55, 4, 3, 0x0c, (unsigned char)len};
    int i;

    memcpy(der + 21, name, len);
    for (i = 0; i < 14; i += 2) {
        der[i + 1] = (unsigned char)(21 + len - i - 2);
    }
    return apr_pstrcat(fixture_pool(), "nameConstraints=critical,DER:",
                       crypt_hex(der, 21 + len, 0, fixture_pool()), NULL);
}

START_TEST(directory_names_are_held_against_it)
{
    X509 *ca_cert = ca_of(fixture_rsa(0), directory_constraint("device"));
    ca_t *ca = ca_fixture_local(ca_cert, fixture_rsa(0), NULL, ca_fixture_config());

    ck_assert_int_eq(submit(ca, ca_fixture_request(fixture_rsa(1), "device", NULL, NULL))->result,
                     CA_ISSUED);
    ck_assert_str_eq(submit(ca, ca_fixture_request(fixture_rsa(1), "other", NULL, NULL))
                         ->outcome.reason, "ca-name-constraints");
}
END_TEST

START_TEST(constraints_above_the_ca_count)
{
    apr_pool_t *p = fixture_pool();
    fixture_certificate_t want;
    ca_config_t *cfg = ca_fixture_config();
    const char *san = "subjectAltName=DNS:a.other.example";
    X509 *root, *sub;

    memset(&want, 0, sizeof(want));
    want.subject = "root";
    want.key = fixture_rsa(2);
    want.ca = 1;
    want.extension = "nameConstraints=critical,permitted;DNS:corp.example";
    root = fixture_certificate(p, &want);
    want.subject = "sub";
    want.key = fixture_rsa(0);
    want.issuer = root;
    want.issuer_key = fixture_rsa(2);
    want.extension = NULL;
    sub = fixture_certificate(p, &want);
    /* without the root nobody knows of it */
    ck_assert_int_eq(submit(ca_fixture_local(sub, fixture_rsa(0), NULL, cfg),
                            ca_fixture_request(fixture_rsa(1), "device", san, NULL))->result,
                     CA_ISSUED);
    cfg->chain_file = fixture_file(p, fixture_directory(p), "chain.pem",
                                   apr_pstrcat(p, fixture_certificate_pem(p, sub),
                                               fixture_certificate_pem(p, root), NULL), 0600);
    ck_assert_str_eq(submit(ca_fixture_local(sub, fixture_rsa(0), NULL, cfg),
                            ca_fixture_request(fixture_rsa(1), "device", san, NULL))
                         ->outcome.reason, "ca-name-constraints");
}
END_TEST

START_TEST(damaged_constraints_end_the_start)
{
    apr_pool_t *p = fixture_pool();
    const char *dir = fixture_directory(p), *words[2], *error;
    X509 *cert = ca_of(fixture_rsa(0), "nameConstraints=critical,DER:3003020101");
    ca_t *ca;

    words[0] = apr_pstrcat(p, "certificate=", fixture_file(p, dir, "c.pem",
                           fixture_certificate_pem(p, cert), 0600), NULL);
    words[1] = apr_pstrcat(p, "key=", fixture_file(p, dir, "c.key",
                           fixture_key_pem(p, fixture_rsa(0)), 0600), NULL);
    error = ca_make(&ca, &ca_local_provider, 2, words, ca_fixture_config(), p);
    ck_assert_ptr_nonnull(error);
    /* OpenSSL may refuse the certificate as a CA's before */
    ck_assert(strstr(error, "name constraints") != NULL || strstr(error, "not a CA's") != NULL ||
              strstr(error, "must not sign") != NULL);
}
END_TEST

/* The bytes of an extension as hex; "" if it is not there or critical. */
static const char *extension_hex(X509 *cert, const char *oid)
{
    ASN1_OBJECT *object = OBJ_txt2obj(oid, 1);
    int index = X509_get_ext_by_OBJ(cert, object, -1);
    X509_EXTENSION *ext = index >= 0 ? X509_get_ext(cert, index) : NULL;
    const ASN1_OCTET_STRING *data = ext != NULL ? X509_EXTENSION_get_data(ext) : NULL;

    ASN1_OBJECT_free(object);
    return data == NULL || X509_EXTENSION_get_critical(ext) ? ""
           : crypt_hex(ASN1_STRING_get0_data(data), (apr_size_t)ASN1_STRING_length(data), 0,
                       fixture_pool());
}

/* The certificate of a template with these words, for key. */
static X509 *issue_by(int n, const char *const *words, EVP_PKEY *key)
{
    ca_config_t *cfg = ca_fixture_config();
    const ca_template_t *t;
    ca_answer_t *answer;
    const char *error = ca_template_make(&t, "T", n, words, fixture_pool());

    ck_assert_msg(error == NULL, "%s", error);
    APR_ARRAY_PUSH((apr_array_header_t *)cfg->templates, const ca_template_t *) = t;
    answer = submit(ca_fixture_local(ca_of(fixture_rsa(0), NULL), fixture_rsa(0), NULL, cfg),
                    ca_fixture_request(key, "device", NULL, "T"));
    ck_assert_msg(answer->result == CA_ISSUED, "%s", answer->outcome.detail);
    return answer->leaf;
}

START_TEST(templates_add_policies)
{
    static const char *const words[] = {
        "certificatePolicies=1.2.3.4 http://pki.example/cps,2.23.140.1.2.1", "msTemplate=WiFi",
        "msTemplateOid=1.3.6.1.4.1.311.21.8.1.2 100.3"
    };
    static const char *const bare[] = {"msTemplateOid=1.3.6.1.4.1.311.21.8.1.2"};
    X509 *cert = issue_by(COUNT(words), words, fixture_rsa(1));
    CERTIFICATEPOLICIES *policies = X509_get_ext_d2i(cert, NID_certificate_policies, NULL, NULL);
    const POLICYINFO *info = sk_POLICYINFO_value(policies, 0);
    const POLICYQUALINFO *qualifier = sk_POLICYQUALINFO_value(info->qualifiers, 0);
    char oid[40];

    ck_assert_int_eq(sk_POLICYINFO_num(policies), 2);
    OBJ_obj2txt(oid, sizeof(oid), info->policyid, 1);
    ck_assert_str_eq(oid, "1.2.3.4");
    ck_assert_int_eq(OBJ_obj2nid(qualifier->pqualid), NID_id_qt_cps);
    ck_assert_str_eq((const char *)ASN1_STRING_get0_data(qualifier->d.cpsuri),
                     "http://pki.example/cps");
    ck_assert_ptr_null(sk_POLICYINFO_value(policies, 1)->qualifiers);
    CERTIFICATEPOLICIES_free(policies);
    /* a BMPString; SEQUENCE { OID, 100, 3 } */
    ck_assert_str_eq(extension_hex(cert, "1.3.6.1.4.1.311.20.2"), "1e080057006900460069");
    ck_assert_str_eq(extension_hex(cert, "1.3.6.1.4.1.311.21.7"),
                     "301306" "0b2b060104018237150801" "02" "020164" "020103");
    cert = issue_by(1, bare, fixture_rsa(1));
    ck_assert_str_eq(extension_hex(cert, "1.3.6.1.4.1.311.21.7"),
                     "300d06" "0b2b060104018237150801" "02");
}
END_TEST

START_TEST(usage_by_the_kind_of_key)
{
    static const char *const words[] = {"keyUsage=keyEncipherment",
                                        "keyUsageEC=keyAgreement,digitalSignature"};

    ck_assert_uint_eq(X509_get_key_usage(issue_by(2, words, fixture_rsa(1))),
                      KU_KEY_ENCIPHERMENT);
    ck_assert_uint_eq(X509_get_key_usage(issue_by(2, words, fixture_ec())),
                      KU_KEY_AGREEMENT | KU_DIGITAL_SIGNATURE);
}
END_TEST

Suite *test_ca_local_key_suite(void)
{
    Suite *suite = suite_create("ca_local_key");
    TCase *tc = tcase_create("key");

    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, fixture_setup, fixture_teardown);
    tcase_add_test(tc, each_kind_of_key_signs_its_way);
    tcase_add_test(tc, what_a_key_cannot_do_is_told);
    tcase_add_loop_test(tc, names_that_the_ca_must_not_certify, 0, COUNT(names));
    tcase_add_test(tc, directory_names_are_held_against_it);
    tcase_add_test(tc, constraints_above_the_ca_count);
    tcase_add_test(tc, damaged_constraints_end_the_start);
    tcase_add_test(tc, templates_add_policies);
    tcase_add_test(tc, usage_by_the_kind_of_key);
    suite_add_tcase(suite, tc);
    return suite;
}
