/* SPDX-License-Identifier: Apache-2.0 */
/* Policy "sealed": its keys, what it makes, and that nothing else is taken for it. */
#include "../../policy/policy_sealed.h"
#include "policy_fixture.h"
#include <apr_strings.h>
#include <openssl/cms.h>
#include <string.h>

Suite *test_policy_sealed_suite(void);

static policy_fixture_t *f;
static const char *directory;
static X509 *ours, *other;
static sealed_keys_t keys;

/* Writes a PEM file; its name. */
static const char *file(const char *name, const char *text)
{
    return fixture_file(f->p, directory, name, text, 0600);
}

/* A certificate of a key for both purposes. */
static X509 *certificate(EVP_PKEY *key, const char *usage, long from, long to)
{
    fixture_certificate_t want = {0};

    want.subject = "registration point";
    want.key = key;
    want.key_usage = usage;
    want.not_before = from;
    want.not_after = to;
    return fixture_certificate(f->p, &want);
}

static void setup(void)
{
    policy_fixture_setup();
    f = policy_fixture();
    directory = fixture_directory(f->p);
    ours = certificate(fixture_rsa(1), NULL, 0, 0);
    other = certificate(fixture_rsa(2), NULL, 0, 0);
    file("ours.pem", fixture_certificate_pem(f->p, ours));
    file("ours.key", fixture_key_pem(f->p, fixture_rsa(1)));
    file("other.pem", fixture_certificate_pem(f->p, other));
    file("other.key", fixture_key_pem(f->p, fixture_rsa(2)));
    memset(&keys, 0, sizeof(keys));
    keys.signer[0].cert = keys.opener[0].cert = ours;
    keys.signer[0].key = keys.opener[0].key = fixture_rsa(1);
}

/* "name=DIRECTORY/value" for each pair "name", "value" ... ended by NULL, then added. */
static const char *add_files(const char *const *pairs, const char *extra)
{
    const char *words[12];
    int n = 0;

    for (; pairs[0]; pairs += 2)
        words[n++] = apr_pstrcat(f->p, pairs[0], "=", directory, "/", pairs[1], NULL);
    if (extra)
        words[n++] = extra;
    words[n] = NULL;
    return policy_fixture_add("sealed", words);
}

/* A running chain of our keys. */
static void start(const char *extra)
{
    static const char *const pairs[] = {"certificate", "ours.pem", "key", "ours.key", NULL};
    const char *error = add_files(pairs, extra);

    ck_assert_msg(!error, "%s", error);
    ck_assert_ptr_null(policy_check(f->policy, f->p));
    policy_fixture_start();
}

/* The text of a new challenge. */
static const char *mint(const char *params)
{
    policy_mint_t order = {"mdm", "", params, "192.0.2.9"};
    policy_challenge_t *challenge = NULL;
    apr_status_t rv = policy_generate_challenge(f->policy, &order, &challenge, &f->out, f->sink,
                                                f->p);

    ck_assert_msg(rv == APR_SUCCESS, "%s: %s", f->out.reason, f->out.detail);
    ck_assert_int_eq(strlen(challenge->id), 12);
    return challenge->text;
}

/* Asks with a challenge; 0: allowed, otherwise the phase that refused, with that reason. */
static void refused(const char *challenge, const char *reason, int phase)
{
    const char *client = "The challenge password cannot be verified. Obtain a new one.";

    policy_fixture_request(challenge, NULL);
    ck_assert_int_eq(policy_fixture_ask(), APR_EACCES);
    ck_assert_msg(strcmp(f->out.reason, reason) == 0, "%s, not %s: %s", f->out.reason, reason,
                  f->out.detail);
    ck_assert_int_eq(f->out.phase, phase);
    ck_assert_int_eq(f->out.fail_info, FAIL_INFO_BAD_REQUEST);
    ck_assert_int_eq(f->out.hresult, OUTCOME_HR_NOT_FOUND);
    ck_assert_str_eq(f->out.text, client);
}

/* Asks with a challenge that is good. */
static void allowed(const char *challenge)
{
    apr_status_t rv;

    policy_fixture_request(challenge, NULL);
    rv = policy_fixture_ask();
    ck_assert_msg(rv == APR_SUCCESS, "%s: %s", f->out.reason, f->out.detail);
}

/* Seals any text by our keys. */
static const char *sealed(const char *json)
{
    crypt_buf_t content = {(const unsigned char *)json, strlen(json)};
    const char *text;

    ck_assert_int_eq(sealed_make(&text, &keys, &content, f->p), APR_SUCCESS);
    return text;
}

/* Content as the policy writes it; times from now in seconds. */
static const char *content(const char *service, long issued, long expires, const char *more)
{
    apr_int64_t now = apr_time_sec(apr_time_now());

    return apr_psprintf(f->p,
                        "{\"v\":1,\"service\":\"%s\",\"id\":\"%032d\",\"iat\":%" APR_INT64_T_FMT
                        ",\"exp\":%" APR_INT64_T_FMT ",\"caller\":\"mdm\",\"template\":\"\"%s}",
                        service, 7, now + issued, now + expires, more);
}

START_TEST(opens_what_it_makes)
{
    crypt_buf_t plain;
    const char *reason, *detail, *text = sealed("{\"any\":\"thing\"}");

    ck_assert(sealed_looks(text));
    ck_assert_int_eq(sealed_open(&plain, &keys, text, &reason, &detail, f->p), APR_SUCCESS);
    ck_assert_int_eq(plain.len, 15);
    ck_assert(memcmp(plain.data, "{\"any\":\"thing\"}", 15) == 0);
    ck_assert_ptr_null(strstr(text, "thing"));
    ck_assert_int_lt(strlen(text), 4096);
}
END_TEST

START_TEST(works_once)
{
    const char *challenge;

    start(NULL);
    challenge = mint(NULL);
    ck_assert_str_ne(challenge, mint(NULL));
    allowed(challenge);
    ck_assert_str_eq(f->tx->store_tx.challenge.caller, "mdm");
    ck_assert_int_eq(policy_fixture_finish(POLICY_EVENT_ISSUED), APR_SUCCESS);
    refused(challenge, "challenge-used", OUTCOME_PHASE_CHALLENGE);
    ck_assert_ptr_null(strstr(fixture_log_text(f->sink), challenge));
    ck_assert_ptr_null(strstr(f->out.detail, challenge));
}
END_TEST

START_TEST(transient_failure_frees_it)
{
    const char *challenge;

    start(NULL);
    challenge = mint(NULL);
    allowed(challenge);
    policy_fixture_finish(POLICY_EVENT_TRANSIENT);
    allowed(challenge);
    policy_fixture_finish(POLICY_EVENT_REFUSED);
    allowed(challenge);
    policy_fixture_finish(POLICY_EVENT_REFUSED);
    allowed(challenge);
    policy_fixture_finish(POLICY_EVENT_REFUSED);
    refused(challenge, "challenge-burned", OUTCOME_PHASE_CHALLENGE);
}
END_TEST

START_TEST(is_bound)
{
    const char *challenge;

    start(NULL);
    challenge = mint("{\"subject\":\"CN=other\",\"device\":\"d1\",\"user\":\"u1\"}");
    policy_fixture_request(challenge, NULL);
    ck_assert_int_eq(policy_fixture_ask(), APR_EACCES);
    ck_assert_str_eq(f->out.reason, "bound-subject");
    ck_assert_int_eq(f->out.phase, OUTCOME_PHASE_REQUEST);
    ck_assert_ptr_nonnull(strstr(f->tx->store_tx.challenge.bound, "\"device\":\"d1\""));
    policy_fixture_finish(POLICY_EVENT_REFUSED);
    challenge = mint("{\"template\":\"Other\"}");
    refused(challenge, "challenge-template", OUTCOME_PHASE_PERMISSION);
    policy_fixture_finish(POLICY_EVENT_REFUSED);
    allowed(mint("{\"template\":\"Device\",\"minKey\":2048}"));
}
END_TEST

/* What was opened is remembered for the request, and for no other challenge. */
START_TEST(opened_once)
{
    policy_memo_t memo = {NULL, NULL};
    const char *unfit;
    int i;

    start(NULL);
    unfit = mint("{\"template\":\"Other\"}");
    f->request.memo = &memo;
    for (i = 0; i < 2; i++) {
        allowed(mint("{\"template\":\"Device\"}"));
        ck_assert_ptr_nonnull(memo.data);
        ck_assert_int_eq(policy_fixture_finish(POLICY_EVENT_ISSUED), APR_SUCCESS);
    }
    refused(unfit, "challenge-template", OUTCOME_PHASE_PERMISSION);
    policy_fixture_finish(POLICY_EVENT_REFUSED);
    /* verify asks the memo, and the key only without it */
    policy_fixture_request(mint("{\"template\":\"Device\"}"), NULL);
    ck_assert_int_eq(policy_begin(&f->tx, f->policy, &f->request, &f->out, f->sink, f->p),
                     APR_SUCCESS);
    ((char *)f->request.challenge)[0] ^= 1;
    for (i = 0; i < 2; i++) {
        const grant_t *grant;

        ck_assert_int_eq(policy_verify(&grant, f->tx, &f->out, f->sink, f->p),
                         i == 0 ? APR_SUCCESS : APR_EACCES);
        memset(&memo, 0, sizeof(memo));
    }
}
END_TEST

START_TEST(params_are_checked)
{
    static const char *const bad[] = {"{}", "{\"nonsense\":1}", "{\"lifetime\":\"2d\"}",
                                      "{\"uses\":2}", "{\"subject\":"};
    policy_mint_t order = {"mdm", "", bad[_i], "192.0.2.9"};
    policy_challenge_t *challenge = NULL;

    start(NULL);
    ck_assert_int_eq(policy_generate_challenge(f->policy, &order, &challenge, &f->out, f->sink,
                                               f->p),
                     APR_EINVAL);
    ck_assert_int_eq(f->out.result, OUTCOME_REFUSED);
}
END_TEST

/* DER of a challenge's text. */
static crypt_buf_t der_of(const char *text)
{
    unsigned char *bytes = apr_palloc(f->p, strlen(text) + 1);
    crypt_buf_t der = {bytes, 0};
    int n = EVP_DecodeBlock(bytes, (const unsigned char *)text, (int)strlen(text));

    ck_assert_int_gt(n, 0);
    der.len = (apr_size_t)n - (text[strlen(text) - 1] == '=') - (text[strlen(text) - 2] == '=');
    return der;
}

/* Base64 of a ContentInfo, which is freed. */
static const char *text_of(CMS_ContentInfo *cms)
{
    unsigned char *der = NULL;
    int len = i2d_CMS_ContentInfo(cms, &der);
    char *text = apr_palloc(f->p, (apr_size_t)(len > 0 ? len : 0) * 2 + 8);

    ck_assert_int_gt(len, 0);
    EVP_EncodeBlock((unsigned char *)text, der, len);
    OPENSSL_free(der);
    CMS_ContentInfo_free(cms);
    return text;
}

/* The EnvelopedData inside of a challenge. */
static BIO *envelope_of(const char *text)
{
    crypt_buf_t der = der_of(text);
    const unsigned char *next = der.data;
    CMS_ContentInfo *cms = d2i_CMS_ContentInfo(NULL, &next, (long)der.len);
    ASN1_OCTET_STRING *octets = *CMS_get0_content(cms);
    BIO *out = BIO_new(BIO_s_mem());

    BIO_write(out, ASN1_STRING_get0_data(octets), ASN1_STRING_length(octets));
    CMS_ContentInfo_free(cms);
    return out;
}

/* Signs a challenge's envelope anew by up to two pairs. */
static const char *signed_by(const char *text, X509 *cert, EVP_PKEY *key, X509 *second,
                             EVP_PKEY *second_key, unsigned flags)
{
    BIO *in = envelope_of(text);
    CMS_ContentInfo *cms = CMS_sign(NULL, NULL, NULL, NULL, flags | CMS_BINARY | CMS_PARTIAL);

    ck_assert_ptr_nonnull(CMS_add1_signer(cms, cert, key, EVP_sha256(),
                                          flags | CMS_BINARY | CMS_PARTIAL));
    if (second)
        ck_assert_ptr_nonnull(CMS_add1_signer(cms, second, second_key, EVP_sha256(),
                                              flags | CMS_BINARY | CMS_PARTIAL));
    ck_assert_int_eq(CMS_final(cms, in, NULL, flags | CMS_BINARY), 1);
    BIO_free(in);
    return text_of(cms);
}

/* The challenge without its signature. */
static const char *unsigned_one(const char *text)
{
    crypt_buf_t der = der_of(text);
    const unsigned char *next = der.data;
    CMS_ContentInfo *cms = d2i_CMS_ContentInfo(NULL, &next, (long)der.len), *bin;

    next = der.data;
    bin = d2i_CMS_ContentInfo(NULL, &next, (long)der.len);
    /* a SignerInfo can be freed only with the message that it is in */
    sk_CMS_SignerInfo_push(CMS_get0_SignerInfos(bin),
                           sk_CMS_SignerInfo_pop(CMS_get0_SignerInfos(cms)));
    CMS_ContentInfo_free(bin);
    return text_of(cms);
}

/* A forged challenge out of a good one. */
static const char *forge(int how, const char *good)
{
    EVP_PKEY *key = fixture_rsa(1), *wrong = fixture_rsa(2);
    X509 *look_alike;
    fixture_certificate_t want = {0};
    const unsigned char *next;
    char *copy = apr_pstrdup(f->p, good);
    crypt_buf_t der;
    apr_size_t len = strlen(copy);
    BIO *in;

    switch (how) {
    case 0: /* another key, named by its own certificate */
        return signed_by(good, other, wrong, NULL, NULL, CMS_NOCERTS);
    case 1: /* another key under the name of ours */
        want.subject = "registration point";
        want.key = wrong;
        want.serial = ASN1_INTEGER_get(X509_get0_serialNumber(ours));
        look_alike = fixture_certificate(f->p, &want);
        return signed_by(good, look_alike, wrong, NULL, NULL, CMS_NOCERTS);
    case 2: return signed_by(good, ours, key, NULL, NULL, 0); /* with the certificate */
    case 3: return signed_by(good, ours, key, other, wrong, CMS_NOCERTS);
    case 4: return unsigned_one(good);
    case 5: return signed_by(good, ours, key, NULL, NULL, CMS_NOCERTS | CMS_DETACHED);
    case 6: return signed_by(good, ours, key, NULL, NULL, CMS_NOCERTS | CMS_NOATTR);
    case 7: /* EnvelopedData alone */
        in = envelope_of(good);
        next = NULL;
        der.len = (apr_size_t)BIO_get_mem_data(in, (char **)&next);
        der.data = apr_pmemdup(f->p, next, der.len);
        BIO_free(in);
        next = der.data;
        return text_of(d2i_CMS_ContentInfo(NULL, &next, (long)der.len));
    case 8: /* a bit of the signature, which comes last */
        copy[len - 8] = copy[len - 8] == 'A' ? 'B' : 'A';
        return copy;
    case 9: /* a bit of what is encrypted */
        copy[len - 480] = copy[len - 480] == 'A' ? 'B' : 'A';
        return copy;
    case 10: copy[len - 400] = '\0'; return copy;
    case 11: return apr_pstrcat(f->p, good, "AAAA", NULL);
    case 12: copy[100] = '\n'; return copy;
    case 13: return apr_pstrcat(f->p, " ", good, NULL);
    case 14:
        copy = apr_palloc(f->p, SEALED_TEXT_MAX + 5);
        memset(copy, 'M', SEALED_TEXT_MAX + 4);
        copy[SEALED_TEXT_MAX + 4] = '\0';
        return copy;
    case 15:
        copy = apr_palloc(f->p, 1025);
        memset(copy, 'M', 1024);
        copy[1024] = '\0';
        return copy;
    case 16: return "0123456789ABCDEF";
    default: return good;
    }
}

static const struct {
    const char *reason;
} forgeries[] = {
    {"challenge-signature"}, {"challenge-signature"}, {"challenge-signature"},
    {"challenge-signature"}, {"challenge-signature"}, {"challenge-signature"},
    {"challenge-signature"}, {"challenge-unknown"},   {"challenge-signature"},
    {"challenge-signature"}, {"challenge-unknown"},   {"challenge-unknown"},
    {"challenge-unknown"},   {"challenge-unknown"},   {"challenge-unknown"},
    {"challenge-unknown"},   {"challenge-unknown"}};

START_TEST(forgeries_are_refused)
{
    const char *good;

    start(NULL);
    good = mint(NULL);
    refused(forge(_i, good), forgeries[_i].reason, OUTCOME_PHASE_CHALLENGE);
    allowed(good);
}
END_TEST

START_TEST(every_byte_counts)
{
    const char *good = sealed("{}"), *reason, *detail;
    crypt_buf_t der = der_of(good), plain;
    apr_size_t i, opened = 0;
    unsigned char *bytes = apr_pmemdup(f->p, der.data, der.len);
    char *text = apr_palloc(f->p, der.len * 2);

    for (i = 0; i < der.len; i += 3) {
        bytes[i] ^= 0x04;
        EVP_EncodeBlock((unsigned char *)text, bytes, (int)der.len);
        if (sealed_open(&plain, &keys, text, &reason, &detail, f->p) == APR_SUCCESS)
            opened++;
        bytes[i] ^= 0x04;
    }
    /* algorithm identifiers besides the signature may be written in several ways */
    ck_assert_int_le(opened, 4);
}
END_TEST

static const struct {
    const char *service;
    long issued, expires;
    const char *more, *reason; /* NULL: good */
} contents[] = {{"corp", 0, 3600, "", NULL},
                {"corp", -3600, -30, "", NULL}, /* within the skew */
                {"corp", 50, 3600, "", NULL},
                {"corp", -3700, -100, "", "challenge-expired"},
                {"corp", 100, 3600, "", "challenge-early"},
                {"other", 0, 3600, "", "challenge-foreign"},
                {"Corp", 0, 3600, "", "challenge-foreign"},
                {"corp", 0, -1, "", "challenge-foreign"},
                {"corp", 0, 3600, ",\"more\":1", "challenge-foreign"},
                {"corp", 0, 3600, ",\"v\":1", "challenge-foreign"},
                {"corp", 0, 3600, ",\"bound\":\"\"", "challenge-foreign"},
                {"corp", 0, 3600, ",\"bound\":[]", "challenge-foreign"},
                {"corp", 0, 3600, "}", "challenge-foreign"}};

START_TEST(contents_are_checked)
{
    const char *text = sealed(content(contents[_i].service, contents[_i].issued,
                                      contents[_i].expires, contents[_i].more));

    start(NULL);
    if (contents[_i].reason)
        refused(text, contents[_i].reason, OUTCOME_PHASE_CHALLENGE);
    else
        allowed(text);
}
END_TEST

START_TEST(other_contents_are_refused)
{
    static const char *const bad[] = {
        "", "[]", "{}", "null", "{\"v\":2}", "{\"v\":1,\"service\":\"corp\"}",
        "{\"v\":1,\"service\":\"corp\",\"id\":\"short\",\"iat\":1,\"exp\":9999999999,"
        "\"caller\":\"\",\"template\":\"\"}",
        "{\"v\":1,\"service\":\"corp\",\"id\":\"00000000000000000000000000000000\",\"iat\":\"1\","
        "\"exp\":9999999999,\"caller\":\"\",\"template\":\"\"}",
        "{\"v\":1,\"service\":\"corp\",\"id\":\"00000000000000000000000000000000\",\"iat\":1,"
        "\"exp\":9223372036854775807,\"caller\":\"\",\"template\":\"\"}"};
    const char *text = sealed(*bad[_i] ? bad[_i] : " ");

    start(NULL);
    refused(text, "challenge-foreign", OUTCOME_PHASE_CHALLENGE);
}
END_TEST

START_TEST(a_bound_that_cannot_be_read_is_no_yes)
{
    start(NULL);
    policy_fixture_request(sealed(content("corp", 0, 60, ",\"bound\":{\"unheard\":1}")), NULL);
    ck_assert_int_eq(policy_fixture_ask(), APR_EGENERAL);
    ck_assert_int_eq(f->out.result, OUTCOME_UNAVAILABLE);
}
END_TEST

START_TEST(known_transaction_after_its_end)
{
    const char *challenge = sealed(content("corp", -3000, -58, ""));
    policy_request_t first;
    policy_tx_t *tx;
    int i;

    start(NULL);
    allowed(challenge);
    first = f->request;
    ck_assert_int_eq(policy_fixture_finish(POLICY_EVENT_ISSUED), APR_SUCCESS);
    for (i = 0; i < 4; i++)
        apr_sleep(apr_time_from_sec(1));
    refused(challenge, "challenge-used", OUTCOME_PHASE_CHALLENGE);
    ck_assert_int_eq(policy_begin(&tx, f->policy, &first, &f->out, f->sink, f->p), APR_SUCCESS);
    ck_assert_int_eq(tx->state, POLICY_TX_ISSUED);
}
END_TEST

START_TEST(expired_while_the_store_knows_it)
{
    const char *challenge = sealed(content("corp", -3000, -58, ""));

    start(NULL);
    allowed(challenge);
    policy_fixture_finish(POLICY_EVENT_TRANSIENT);
    apr_sleep(apr_time_from_sec(4));
    refused(challenge, "challenge-expired", OUTCOME_PHASE_CHALLENGE);
    refused(challenge, "challenge-expired", OUTCOME_PHASE_CHALLENGE);
}
END_TEST

START_TEST(guesses_are_limited)
{
    int i;

    f->cfg.failure_max = 3;
    f->cfg.failure_window = apr_time_from_sec(60);
    start(NULL);
    for (i = 0; i < 3; i++)
        refused(forge(0, mint(NULL)), "challenge-signature", OUTCOME_PHASE_CHALLENGE);
    policy_fixture_request(mint(NULL), NULL);
    ck_assert_int_ne(policy_fixture_ask(), APR_SUCCESS);
    ck_assert_int_eq(f->out.result, OUTCOME_LIMITED);
}
END_TEST

START_TEST(needs_a_challenge)
{
    start(NULL);
    policy_fixture_request(NULL, NULL);
    ck_assert_int_eq(policy_fixture_ask(), APR_EACCES);
    ck_assert_str_eq(f->out.reason, "challenge-missing");
}
END_TEST

START_TEST(roll_over)
{
    static const char *const pairs[] = {"certificate", "other.pem", "key", "other.key",
                                        "previousCertificate", "ours.pem", "previousKey",
                                        "ours.key", NULL};
    const char *old = sealed(content("corp", 0, 3600, ""));

    ck_assert_ptr_null(add_files(pairs, NULL));
    policy_fixture_start();
    allowed(old);
    ck_assert_int_eq(policy_fixture_finish(POLICY_EVENT_ISSUED), APR_SUCCESS);
    allowed(mint(NULL));
}
END_TEST

START_TEST(two_pairs)
{
    static const char *const pairs[] = {"certificate", "ours.pem", "key", "ours.key",
                                        "encryptionCertificate", "other.pem", "encryptionKey",
                                        "other.key", NULL};

    ck_assert_ptr_null(add_files(pairs, NULL));
    policy_fixture_start();
    allowed(mint(NULL));
    policy_fixture_finish(POLICY_EVENT_ISSUED);
    /* signed by ours, but encrypted to the signing key */
    refused(sealed(content("corp", 0, 3600, "")), "challenge-envelope", OUTCOME_PHASE_CHALLENGE);
}
END_TEST

START_TEST(short_ones_too)
{
    const char *plain;

    start("short=on");
    plain = mint(NULL);
    ck_assert_int_eq(strlen(plain), 16);
    allowed(plain);
    policy_fixture_finish(POLICY_EVENT_ISSUED);
    refused(plain, "challenge-used", OUTCOME_PHASE_CHALLENGE);
    refused("0123456789ABCDEF", "challenge-unknown", OUTCOME_PHASE_CHALLENGE);
    plain = mint("{\"device\":\"d\"}");
    ck_assert(sealed_looks(plain));
    allowed(plain);
    policy_fixture_finish(POLICY_EVENT_ISSUED);
    refused(plain, "challenge-used", OUTCOME_PHASE_CHALLENGE);
}
END_TEST

static const struct {
    const char *pairs[9];
    const char *error; /* NULL: good */
} key_cases[] = {
    {{"certificate", "ours.pem", "key", "ours.key", NULL}, NULL},
    {{"certificate", "both.pem", NULL}, NULL},
    {{"certificate", "ours.pem", NULL}, "ours.pem"},
    {{"certificate", "ours.pem", "key", "other.key", NULL}, "does not belong"},
    {{"certificate", "absent.pem", "key", "ours.key", NULL}, "absent.pem"},
    {{"certificate", "ours.pem", "key", "absent.key", NULL}, "absent.key"},
    {{"certificate", "late.pem", "key", "ours.key", NULL}, "has expired"},
    {{"certificate", "early.pem", "key", "ours.key", NULL}, "not valid yet"},
    {{"certificate", "ec.pem", "key", "ec.key", NULL}, "only an RSA key can open"},
    {{"certificate", "ec.pem", "key", "ec.key", "encryptionCertificate", "ours.pem",
      "encryptionKey", "ours.key", NULL}, NULL},
    {{"certificate", "sign.pem", "key", "ours.key", NULL}, "lacks keyEncipherment"},
    {{"certificate", "seal.pem", "key", "ours.key", NULL}, "lacks digitalSignature"},
    {{"certificate", "sign.pem", "key", "ours.key", "encryptionCertificate", "other.pem",
      "encryptionKey", "other.key", NULL}, NULL},
    {{"certificate", "ours.pem", "key", "ours.key", "encryptionKey", "other.key", NULL},
     "encryptionKey needs"},
    {{"certificate", "ours.pem", "key", "ours.key", "previousKey", "other.key", NULL},
     "previousKey needs"},
    {{"certificate", "ours.pem", "key", "ours.key", "previousCertificate", "late.pem",
      "previousKey", "ours.key", NULL}, NULL},
    {{"certificate", "ours.pem", "key", "ours.key", "previousCertificate", "other.pem",
      "previousKey", "ours.key", NULL}, "does not belong"}};

START_TEST(keys_are_checked)
{
    const char *error;

    file("both.pem", apr_pstrcat(f->p, fixture_certificate_pem(f->p, ours),
                                 fixture_key_pem(f->p, fixture_rsa(1)), NULL));
    file("late.pem", fixture_certificate_pem(f->p, certificate(fixture_rsa(1), NULL, -900, -300)));
    file("early.pem", fixture_certificate_pem(f->p, certificate(fixture_rsa(1), NULL, 900, 9000)));
    file("ec.pem", fixture_certificate_pem(f->p, certificate(fixture_ec(), NULL, 0, 0)));
    file("ec.key", fixture_key_pem(f->p, fixture_ec()));
    file("sign.pem", fixture_certificate_pem(
                         f->p, certificate(fixture_rsa(1), "digitalSignature", 0, 0)));
    file("seal.pem", fixture_certificate_pem(
                         f->p, certificate(fixture_rsa(1), "keyEncipherment", 0, 0)));
    error = add_files(key_cases[_i].pairs, NULL);
    ck_assert_msg(!error, "%s", error);
    error = policy_check(f->policy, f->p);
    if (key_cases[_i].error) {
        ck_assert_ptr_nonnull(error);
        ck_assert_msg(strstr(error, key_cases[_i].error) != NULL, "%s", error);
        ck_assert_ptr_nonnull(policy_prepare(f->policy, 0, 0, f->sink, f->p));
    }
    else {
        ck_assert_msg(!error, "%s", error);
        policy_fixture_start();
        allowed(mint(NULL));
    }
}
END_TEST

START_TEST(options_are_checked)
{
    static const char *const none[] = {NULL};
    static const char *const odd[] = {"certificate=/a", "lifetime=0", NULL};
    static const char *const skew[] = {"certificate=/a", "clockSkew=1h", NULL};
    static const char *const plain[] = {"certificate=/a", "short=maybe", NULL};
    static const char *const unknown[] = {"certificate=/a", "password=x", NULL};

    ck_assert_ptr_nonnull(policy_fixture_add("sealed", none));
    ck_assert_ptr_nonnull(policy_fixture_add("sealed", odd));
    ck_assert_ptr_nonnull(policy_fixture_add("sealed", skew));
    ck_assert_ptr_nonnull(policy_fixture_add("sealed", plain));
    ck_assert_ptr_nonnull(policy_fixture_add("sealed", unknown));
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

Suite *test_policy_sealed_suite(void)
{
    Suite *s = suite_create("policy_sealed");
    TCase *tc = tcase_create("sealed");

    tcase_add_checked_fixture(tc, setup, fixture_teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, opens_what_it_makes);
    tcase_add_test(tc, works_once);
    tcase_add_test(tc, transient_failure_frees_it);
    tcase_add_test(tc, is_bound);
    tcase_add_test(tc, opened_once);
    tcase_add_loop_test(tc, params_are_checked, 0, 5);
    tcase_add_loop_test(tc, forgeries_are_refused, 0, COUNT(forgeries));
    tcase_add_test(tc, every_byte_counts);
    tcase_add_loop_test(tc, contents_are_checked, 0, COUNT(contents));
    tcase_add_loop_test(tc, other_contents_are_refused, 0, 9);
    tcase_add_test(tc, a_bound_that_cannot_be_read_is_no_yes);
    tcase_add_test(tc, known_transaction_after_its_end);
    tcase_add_test(tc, expired_while_the_store_knows_it);
    tcase_add_test(tc, guesses_are_limited);
    tcase_add_test(tc, needs_a_challenge);
    tcase_add_test(tc, roll_over);
    tcase_add_test(tc, two_pairs);
    tcase_add_test(tc, short_ones_too);
    tcase_add_loop_test(tc, keys_are_checked, 0, COUNT(key_cases));
    tcase_add_test(tc, options_are_checked);
    suite_add_tcase(s, tc);
    return s;
}
