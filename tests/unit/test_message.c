/* SPDX-License-Identifier: Apache-2.0 */
/* pkiMessages as devices send them, and as nobody should. */
#include "../../mod_scep/core/message.h"
#include "fixture.h"
#include "scep_fixture.h"

#include <apr_strings.h>
#include <openssl/err.h>
#include <string.h>

#define LEGACY (SCEP_LEGACY_3DES | SCEP_LEGACY_SHA1)

/* Runs scep_message_make; checks what holds for every result. */
static apr_status_t read_message(scep_message_t **message, const crypt_buf_t *der, unsigned legacy,
                                 outcome_t *out)
{
    scep_service_t service;
    apr_status_t rv;

    memset(&service, 0, sizeof(service));
    service.legacy = legacy;
    ck_assert_ptr_null(scep_legacy_make(&service.legacy_lib, legacy, fixture_pool()));
    outcome_init(out);
    rv = scep_message_make(message, der, &service, out, fixture_pool());
    if (rv != APR_SUCCESS) {
        ck_assert_int_eq(rv, APR_EINVAL);
        ck_assert(out->result == OUTCOME_MALFORMED || out->result == OUTCOME_REFUSED);
        /* only a refusal can be answered */
        ck_assert_int_eq(*message != NULL, out->result == OUTCOME_REFUSED);
        if (*message)
            ck_assert_ptr_nonnull((*message)->transaction_id);
    }
    return rv;
}

/* Makes the message of want and reads it, which must work. */
static scep_message_t *accept_message(const scep_fixture_message_t *want)
{
    scep_fixture_t *f = scep_fixture_make(fixture_pool());
    crypt_buf_t der = scep_fixture_message(f, want);
    scep_message_t *message;
    outcome_t out;

    ck_assert_msg(read_message(&message, &der, LEGACY, &out) == APR_SUCCESS, "%s: %s", out.reason,
                  out.detail);
    return message;
}

/* Reading der must fail as malformed for that reason. */
static void assert_malformed(const crypt_buf_t *der, const char *reason)
{
    scep_message_t *message;
    outcome_t out;

    ck_assert_int_eq(read_message(&message, der, LEGACY, &out), APR_EINVAL);
    ck_assert_int_eq(out.result, OUTCOME_MALFORMED);
    ck_assert_msg(strcmp(out.reason, reason) == 0, "reason is %s (%s), not %s", out.reason,
                  out.detail, reason);
}

START_TEST(reads_a_request)
{
    scep_fixture_message_t want;
    scep_message_t *message;
    unsigned char *spki = NULL;
    int len;

    memset(&want, 0, sizeof(want));
    message = accept_message(&want);
    ck_assert_int_eq(message->message_type, SCEP_PKCS_REQ);
    ck_assert_str_eq(message->transaction_id, SCEP_FIXTURE_TRANSACTION_ID);
    ck_assert_uint_eq(message->sender_nonce.len, 16);
    ck_assert_mem_eq(message->sender_nonce.data, SCEP_FIXTURE_NONCE, 16);
    ck_assert_int_eq(EVP_MD_get_type(message->digest), NID_sha256);
    ck_assert_int_eq(EVP_PKEY_eq(message->signer_key, scep_fixture_key(SCEP_FIXTURE_DEVICE)), 1);
    len = i2d_PUBKEY(scep_fixture_key(SCEP_FIXTURE_DEVICE), &spki);
    ck_assert_uint_eq(message->signer_spki.len, len);
    ck_assert_mem_eq(message->signer_spki.data, spki, len);
    OPENSSL_free(spki);
    ck_assert_uint_gt(message->envelope.len, 500);
}
END_TEST

/* ---- what is accepted */

static void no_signing_time(CMS_ContentInfo *cms, CMS_SignerInfo *signer)
{
    (void)cms;
    scep_fixture_add_attribute(signer, "1.2.840.113549.1.9.5", V_ASN1_UTCTIME, "000101000000Z", 13);
}

static void unknown_attribute(CMS_ContentInfo *cms, CMS_SignerInfo *signer)
{
    (void)cms;
    scep_fixture_add_attribute(signer, "1.3.6.1.4.1.311.21.33", V_ASN1_PRINTABLESTRING, "5", 1);
    scep_fixture_add_attribute(signer, SCEP_FIXTURE_OID(99), V_ASN1_OCTET_STRING, "x", 1);
}

static void enveloped_type(CMS_ContentInfo *cms, CMS_SignerInfo *signer)
{
    (void)signer;
    CMS_set1_eContentType(cms, OBJ_nid2obj(NID_pkcs7_enveloped));
}

/* Adds a certificate of another key. */
static void add_certificate(CMS_ContentInfo *cms, const char *subject, long serial)
{
    scep_fixture_cert_t want;

    memset(&want, 0, sizeof(want));
    want.subject = subject;
    want.serial = serial;
    want.key = scep_fixture_key(SCEP_FIXTURE_STRANGER);
    ck_assert_int_eq(CMS_add1_cert(cms, scep_fixture_certificate(fixture_pool(), &want)), 1);
}

/* Adds certificates that nobody signs with. */
static void more_certificates(CMS_ContentInfo *cms, CMS_SignerInfo *signer)
{
    int i;

    (void)signer;
    for (i = 0; i < 15; i++)
        add_certificate(cms, "other", 100 + i);
}

static void too_many_certificates(CMS_ContentInfo *cms, CMS_SignerInfo *signer)
{
    more_certificates(cms, signer);
    add_certificate(cms, "other", 200);
}

/* Adds certificates with the signer's issuer or its serial number; they come before it. */
static void lookalike_certificates(CMS_ContentInfo *cms, CMS_SignerInfo *signer)
{
    (void)signer;
    add_certificate(cms, "device", 1);
    add_certificate(cms, "aevice", 1000 + SCEP_FIXTURE_DEVICE);
}

/* Adds another key's certificate with the signer's issuer and serial number. */
static void certificate_of_another_key(CMS_ContentInfo *cms, CMS_SignerInfo *signer)
{
    (void)signer;
    add_certificate(cms, "device", 1000 + SCEP_FIXTURE_DEVICE);
}

START_TEST(accepts_digests_and_signatures)
{
    const EVP_MD *const mds[] = { EVP_sha1(), EVP_sha224(), EVP_sha256(), EVP_sha384(),
                                  EVP_sha512() };
    scep_fixture_message_t want;
    size_t i;

    for (i = 0; i < sizeof(mds) / sizeof(mds[0]); i++) {
        memset(&want, 0, sizeof(want));
        want.md = mds[i];
        ck_assert_ptr_eq(accept_message(&want)->digest, mds[i]);
        want.pss = 1;
        ck_assert_ptr_eq(accept_message(&want)->digest, mds[i]);
        want.pss = 0;
        want.key = scep_fixture_ec_key();
        ck_assert_ptr_eq(accept_message(&want)->digest, mds[i]);
    }
}
END_TEST

START_TEST(accepts_what_the_field_sends)
{
    scep_fixture_cert_t cert;
    scep_fixture_message_t want;

    /* by subjectKeyIdentifier */
    memset(&want, 0, sizeof(want));
    want.flags = CMS_USE_KEYID;
    accept_message(&want);
    /* a version 1 certificate without extensions (Cisco IOS) */
    memset(&cert, 0, sizeof(cert));
    cert.subject = "router";
    cert.key = scep_fixture_key(SCEP_FIXTURE_DEVICE);
    cert.version1 = 1;
    memset(&want, 0, sizeof(want));
    want.cert = scep_fixture_certificate(fixture_pool(), &cert);
    accept_message(&want);
    /* issued by somebody */
    cert.issuer = "Old CA";
    cert.issuer_key = scep_fixture_key(SCEP_FIXTURE_STRANGER);
    want.cert = scep_fixture_certificate(fixture_pool(), &cert);
    accept_message(&want);

    memset(&want, 0, sizeof(want));
    want.edit = no_signing_time;
    accept_message(&want);
    want.edit = unknown_attribute;
    accept_message(&want);
    want.edit = enveloped_type;
    accept_message(&want);
    want.edit = more_certificates;
    accept_message(&want);
    want.edit = lookalike_certificates;
    accept_message(&want);
    memset(&want, 0, sizeof(want));
    want.no_content = 1;
    ck_assert_uint_eq(accept_message(&want)->envelope.len, 0);
}
END_TEST

START_TEST(accepts_ber)
{
    apr_pool_t *p = fixture_pool();
    scep_fixture_t *f = scep_fixture_make(p);
    scep_fixture_message_t want;
    crypt_buf_t envelope, der, ber;
    scep_message_t *message;
    outcome_t out;

    memset(&want, 0, sizeof(want));
    envelope = scep_fixture_envelope(f, &want, &(crypt_buf_t){ (const unsigned char *)"x", 1 });
    want.envelope = &envelope;
    der = scep_fixture_message(f, &want);
    ber = scep_fixture_ber(p, &der, 0);
    ck_assert_msg(read_message(&message, &ber, LEGACY, &out) == APR_SUCCESS, "%s: %s", out.reason,
                  out.detail);
    ck_assert_uint_eq(message->envelope.len, envelope.len);
    ck_assert_mem_eq(message->envelope.data, envelope.data, envelope.len);
    want.flags = CMS_USE_KEYID;
    der = scep_fixture_message(f, &want);
    ber = scep_fixture_ber(p, &der, 0);
    ck_assert_int_eq(read_message(&message, &ber, LEGACY, &out), APR_SUCCESS);
}
END_TEST

/* The message with another content, which is taken over. */
static crypt_buf_t with_content(const crypt_buf_t *der, ASN1_TYPE *content, apr_pool_t *p)
{
    cms_signed_t *cms = cms_decode(ASN1_ITEM_rptr(cms_signed_t), der->data, der->len, p);

    ASN1_TYPE_free(cms->content->encap->content);
    cms->content->encap->content = content;
    return cms_encode(ASN1_ITEM_rptr(cms_signed_t), cms, p);
}

/*
 * A message as PKCS #7 1.5 wants it: the content is the envelope's SEQUENCE itself, and the digest
 * is over what is inside of it.  indefinite: that SEQUENCE has no length.
 */
static crypt_buf_t pkcs7_message(const scep_fixture_t *f, int indefinite)
{
    apr_pool_t *p = f->pool;
    scep_fixture_message_t want;
    crypt_buf_t plain = { (const unsigned char *)"x", 1 }, envelope, inside, der, bytes;
    ASN1_TYPE *content = ASN1_TYPE_new();
    ASN1_STRING *string = ASN1_STRING_type_new(V_ASN1_SEQUENCE);

    memset(&want, 0, sizeof(want));
    envelope = scep_fixture_envelope(f, &want, &plain);
    ck_assert_int_eq(envelope.data[1], 0x82);
    inside.data = envelope.data + 4;
    inside.len = envelope.len - 4;
    want.envelope = &inside;
    der = scep_fixture_message(f, &want);
    bytes = envelope;
    if (indefinite) {
        bytes.data = (unsigned char *)apr_pstrmemdup(p, (const char *)envelope.data, envelope.len);
        bytes.len = envelope.len;
        memcpy((unsigned char *)bytes.data, "\x30\x80", 2);
        memcpy((unsigned char *)bytes.data + 2, inside.data, inside.len);
        memcpy((unsigned char *)bytes.data + 2 + inside.len, "\0\0", 2);
    }
    ASN1_STRING_set(string, bytes.data, (int)bytes.len);
    ASN1_TYPE_set(content, V_ASN1_SEQUENCE, string);
    return with_content(&der, content, p);
}

START_TEST(accepts_pkcs7_content)
{
    scep_fixture_t *f = scep_fixture_make(fixture_pool());
    scep_message_t *message;
    crypt_buf_t der;
    outcome_t out;
    int indefinite;

    for (indefinite = 0; indefinite <= 1; indefinite++) {
        der = pkcs7_message(f, indefinite);
        ck_assert_msg(read_message(&message, &der, LEGACY, &out) == APR_SUCCESS, "%d: %s",
                      indefinite, out.reason);
        ck_assert_int_eq(message->envelope.data[0], 0x30);
    }
}
END_TEST

/* ---- attributes */

START_TEST(reads_transaction_ids)
{
    static const struct {
        const char *id;
        int type;
        int usable;
    } cases[] = {
        { "a", V_ASN1_PRINTABLESTRING, 1 },
        { "SSCEP transactionId", V_ASN1_PRINTABLESTRING, 1 },
        { "ab+/c==", V_ASN1_PRINTABLESTRING, 1 },
        { "under_score@x*", V_ASN1_PRINTABLESTRING, 1 },
        { "abc", V_ASN1_UTF8STRING, 1 },
        { "abc", V_ASN1_IA5STRING, 1 },
        { "abc", V_ASN1_OCTET_STRING, 0 },
        { "abcd", V_ASN1_BMPSTRING, 0 },
        { "abc\x1b", V_ASN1_PRINTABLESTRING, 0 },
        { "abc\n", V_ASN1_PRINTABLESTRING, 0 },
        { "abc\x7f", V_ASN1_PRINTABLESTRING, 0 },
        { "p\xc3\xa4ss", V_ASN1_UTF8STRING, 0 }
    };
    scep_fixture_t *f = scep_fixture_make(fixture_pool());
    scep_fixture_message_t want;
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        memset(&want, 0, sizeof(want));
        want.transaction_id = cases[i].id;
        want.transaction_id_as = cases[i].type;
        if (cases[i].usable) {
            ck_assert_str_eq(accept_message(&want)->transaction_id, cases[i].id);
        }
        else {
            crypt_buf_t der = scep_fixture_message(f, &want);

            assert_malformed(&der, "attributes");
        }
    }
}
END_TEST

START_TEST(limits_the_transaction_id)
{
    char id[257];
    scep_fixture_t *f = scep_fixture_make(fixture_pool());
    scep_fixture_message_t want;
    crypt_buf_t der;

    memset(&want, 0, sizeof(want));
    memset(id, 'A', sizeof(id));
    id[255] = '\0';
    want.transaction_id = id;
    ck_assert_uint_eq(strlen(accept_message(&want)->transaction_id), 255);
    id[255] = 'A';
    id[256] = '\0';
    der = scep_fixture_message(f, &want);
    assert_malformed(&der, "attributes");
    want.transaction_id = "";
    der = scep_fixture_message(f, &want);
    assert_malformed(&der, "attributes");
}
END_TEST

START_TEST(reads_message_types)
{
    static const struct {
        const char *text;
        int type, number;
    } cases[] = {
        { "19", 0, SCEP_PKCS_REQ },
        { "17", 0, SCEP_RENEWAL_REQ },
        { "20", 0, SCEP_CERT_POLL },
        { "3", 0, SCEP_CERT_REP },
        { "0", 0, 0 },
        { "999", 0, 999 },
        { "", 0, SCEP_MESSAGE_NONE },
        { "019", 0, SCEP_MESSAGE_NONE },
        { "1000", 0, SCEP_MESSAGE_NONE },
        { "-1", 0, SCEP_MESSAGE_NONE },
        { "1 ", 0, SCEP_MESSAGE_NONE },
        { "PKCSReq", 0, SCEP_MESSAGE_NONE },
        { "19", V_ASN1_UTF8STRING, SCEP_MESSAGE_NONE },
        { "\x13", V_ASN1_INTEGER, SCEP_MESSAGE_NONE }
    };
    scep_fixture_message_t want;
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        memset(&want, 0, sizeof(want));
        want.message_type = cases[i].text;
        want.message_type_as = cases[i].type;
        ck_assert_msg(accept_message(&want)->message_type == cases[i].number, "%s", cases[i].text);
    }
    ck_assert_str_eq(scep_message_type_name(SCEP_PKCS_REQ), "PKCSReq");
    ck_assert_str_eq(scep_message_type_name(18), "unknown");
}
END_TEST

START_TEST(reads_nonces)
{
    unsigned char octets[65];
    static const struct {
        apr_size_t len, found;
        int type;
    } cases[] = {
        { 16, 16, 0 }, { 8, 8, 0 }, { 1, 1, 0 }, { 64, 64, 0 }, { 65, 0, 0 }, { 0, 0, 0 },
        { 16, 0, V_ASN1_PRINTABLESTRING }
    };
    scep_fixture_message_t want;
    size_t i;

    memset(octets, 'n', sizeof(octets));
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        memset(&want, 0, sizeof(want));
        want.nonce.data = octets;
        want.nonce.len = cases[i].len;
        want.nonce_as = cases[i].type;
        ck_assert_uint_eq(accept_message(&want)->sender_nonce.len, cases[i].found);
    }
    memset(&want, 0, sizeof(want));
    want.no_nonce = 1;
    ck_assert_uint_eq(accept_message(&want)->sender_nonce.len, 0);
}
END_TEST

/* ---- what is refused */

static void second_transaction_id(CMS_ContentInfo *cms, CMS_SignerInfo *signer)
{
    (void)cms;
    scep_fixture_add_attribute(signer, SCEP_FIXTURE_OID(7), V_ASN1_PRINTABLESTRING, "other", 5);
}

static void second_type(CMS_ContentInfo *cms, CMS_SignerInfo *signer)
{
    (void)cms;
    scep_fixture_add_attribute(signer, SCEP_FIXTURE_OID(2), V_ASN1_PRINTABLESTRING, "17", 2);
}

static void second_nonce_value(CMS_ContentInfo *cms, CMS_SignerInfo *signer)
{
    (void)cms;
    scep_fixture_add_value(signer, SCEP_FIXTURE_OID(5), V_ASN1_OCTET_STRING, "other", 5);
}

/* A second messageDigest; the library would not sign it. */
static void second_digest(CMS_ContentInfo *cms, CMS_SignerInfo *signer)
{
    (void)cms;
    /* longer than the good one, so that it comes after it */
    scep_fixture_add_attribute(signer, "1.2.840.113549.1.9.4", V_ASN1_OCTET_STRING,
                               "0123456789abcdef0123456789abcdef01234567", 40);
}

static void second_signer(CMS_ContentInfo *cms, CMS_SignerInfo *signer)
{
    scep_fixture_cert_t want;

    (void)signer;
    memset(&want, 0, sizeof(want));
    want.subject = "other";
    want.key = scep_fixture_key(SCEP_FIXTURE_STRANGER);
    ck_assert_ptr_nonnull(CMS_add1_signer(cms, scep_fixture_certificate(fixture_pool(), &want),
                                          want.key, EVP_sha256(), CMS_BINARY));
}

/* Changes the last octet of the signature. */
static void spoil_signature(CMS_ContentInfo *cms, CMS_SignerInfo *signer)
{
    ASN1_OCTET_STRING *signature = CMS_SignerInfo_get0_signature(signer);

    (void)cms;
    signature->data[signature->length - 1] ^= 1;
}

static void spoil_content(CMS_ContentInfo *cms, CMS_SignerInfo *signer)
{
    ASN1_OCTET_STRING *content = *CMS_get0_content(cms);

    (void)signer;
    content->data[content->length - 1] ^= 1;
}

/* Makes messageType, the first attribute, 17 after it was signed. */
static void spoil_attribute(CMS_ContentInfo *cms, CMS_SignerInfo *signer)
{
    ASN1_TYPE *value = X509_ATTRIBUTE_get0_type(CMS_signed_get_attr(signer, 0), 0);

    (void)cms;
    ck_assert_int_eq(ASN1_TYPE_get(value), V_ASN1_PRINTABLESTRING);
    value->value.asn1_string->data[1] = '7';
}

START_TEST(refuses_bad_messages)
{
    static const struct {
        void (*edit)(CMS_ContentInfo *cms, CMS_SignerInfo *signer);
        void (*spoil)(CMS_ContentInfo *cms, CMS_SignerInfo *signer);
        unsigned flags;
        const char *reason;
    } cases[] = {
        { second_transaction_id, NULL, 0, "attributes" },
        { second_type, NULL, 0, "attributes" },
        { second_nonce_value, NULL, 0, "attributes" },
        { second_signer, NULL, 0, "signer-count" },
        { too_many_certificates, NULL, 0, "no-signer-certificate" },
        { NULL, NULL, CMS_NOCERTS, "no-signer-certificate" },
        { more_certificates, NULL, CMS_NOCERTS, "no-signer-certificate" },
        { more_certificates, NULL, CMS_NOCERTS | CMS_USE_KEYID, "no-signer-certificate" },
        { certificate_of_another_key, NULL, CMS_NOCERTS, "message-signature" },
        { NULL, NULL, CMS_NOATTR, "no-signed-attributes" },
        { NULL, second_digest, 0, "message-digest" },
        { NULL, spoil_signature, 0, "message-signature" },
        { NULL, spoil_content, 0, "message-digest" },
        { NULL, spoil_attribute, 0, "message-signature" }
    };
    scep_fixture_t *f = scep_fixture_make(fixture_pool());
    scep_fixture_message_t want;
    crypt_buf_t der;
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        memset(&want, 0, sizeof(want));
        want.edit = cases[i].edit;
        want.spoil = cases[i].spoil;
        want.flags = cases[i].flags;
        der = scep_fixture_message(f, &want);
        assert_malformed(&der, cases[i].reason);
        want.pss = 1;
        if (want.flags & CMS_NOATTR)
            continue;
        der = scep_fixture_message(f, &want);
        assert_malformed(&der, cases[i].reason);
    }
}
END_TEST

START_TEST(refuses_algorithms_with_an_answer)
{
    const struct {
        const EVP_MD *md;
        unsigned legacy;
        int pss, refused;
    } cases[] = {
        { EVP_md5(), LEGACY, 0, 1 },
        { EVP_sha1(), SCEP_LEGACY_3DES, 0, 1 },
        { EVP_sha1(), SCEP_LEGACY_3DES, 1, 1 },
        { EVP_sha1(), SCEP_LEGACY_SHA1, 0, 0 },
        { EVP_sha512_256(), LEGACY, 0, 1 },
        { EVP_sha3_256(), LEGACY, 0, 1 }
    };
    scep_fixture_t *f = scep_fixture_make(fixture_pool());
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        scep_fixture_message_t want;
        crypt_buf_t der;
        scep_message_t *message;
        outcome_t out;

        memset(&want, 0, sizeof(want));
        want.md = cases[i].md;
        want.pss = cases[i].pss;
        der = scep_fixture_message(f, &want);
        ck_assert_msg((read_message(&message, &der, cases[i].legacy, &out) != APR_SUCCESS) ==
                      cases[i].refused, "case %d", (int)i);
        if (!cases[i].refused)
            continue;
        ck_assert_int_eq(out.result, OUTCOME_REFUSED);
        ck_assert_int_eq(out.fail_info, FAIL_INFO_BAD_ALG);
        ck_assert_str_eq(out.reason, "message-algorithm");
        ck_assert_str_eq(message->transaction_id, SCEP_FIXTURE_TRANSACTION_ID);
        ck_assert_uint_eq(message->sender_nonce.len, 16);
        ck_assert_ptr_null(message->signer_key);
    }
}
END_TEST

/* Names SHA-512 as the digest of a message signed by SHA-256 (an algorithm that says so). */
static void mismatched_algorithms(CMS_ContentInfo *cms, CMS_SignerInfo *signer)
{
    X509_ALGOR *signature = NULL;

    (void)cms;
    CMS_SignerInfo_get0_algs(signer, NULL, NULL, NULL, &signature);
    X509_ALGOR_set0(signature, OBJ_nid2obj(NID_sha512WithRSAEncryption), V_ASN1_NULL, NULL);
}

START_TEST(refuses_mismatched_algorithms)
{
    scep_fixture_t *f = scep_fixture_make(fixture_pool());
    scep_fixture_message_t want;
    scep_message_t *message;
    crypt_buf_t der;
    outcome_t out;

    memset(&want, 0, sizeof(want));
    want.spoil = mismatched_algorithms;
    der = scep_fixture_message(f, &want);
    ck_assert_int_eq(read_message(&message, &der, LEGACY, &out), APR_EINVAL);
    ck_assert_str_eq(out.reason, "message-algorithm");
}
END_TEST

/* ---- encoding */

START_TEST(refuses_what_is_no_message)
{
    apr_pool_t *p = fixture_pool();
    scep_fixture_t *f = scep_fixture_make(p);
    scep_fixture_message_t want;
    crypt_buf_t good, der, plain = { (const unsigned char *)"x", 1 };
    scep_message_t *message;
    outcome_t out;
    apr_size_t i;

    memset(&want, 0, sizeof(want));
    good = scep_fixture_message(f, &want);
    der.data = apr_pcalloc(p, good.len + 1);
    memcpy((unsigned char *)der.data, good.data, good.len);
    der.len = good.len + 1;
    assert_malformed(&der, "not-signed-data");
    for (i = 0; i < good.len; i += 29) {
        der.len = i;
        assert_malformed(&der, "not-signed-data");
    }
    der.len = good.len / 2;
    ck_assert(read_message(&message, &der, LEGACY, &out) != APR_SUCCESS);
    ck_assert_str_eq(out.detail, apr_psprintf(p, "the message was cut at %d of %d bytes",
                                              (int)der.len, (int)good.len));
    der = scep_fixture_envelope(f, &want, &plain);
    assert_malformed(&der, "not-signed-data");
    /* any changed octet: refused, or not part of what is signed; never a crash */
    for (i = 0; i < good.len; i += 7) {
        ((unsigned char *)good.data)[i] ^= 0x20;
        (void)read_message(&message, &good, LEGACY, &out);
        ((unsigned char *)good.data)[i] ^= 0x20;
    }
}
END_TEST

START_TEST(refuses_content_that_is_no_octets)
{
    scep_fixture_t *f = scep_fixture_make(fixture_pool());
    scep_fixture_message_t want;
    crypt_buf_t der;
    ASN1_TYPE *content = ASN1_TYPE_new();

    memset(&want, 0, sizeof(want));
    der = scep_fixture_message(f, &want);
    ASN1_TYPE_set(content, V_ASN1_NULL, NULL);
    der = with_content(&der, content, f->pool);
    assert_malformed(&der, "content-type");
}
END_TEST

START_TEST(refuses_unusable_signer_key)
{
    scep_fixture_t *f = scep_fixture_make(fixture_pool());
    scep_fixture_message_t want;
    crypt_buf_t der;
    unsigned char *at, *end;

    /* rsaEncryption of the certificate's key becomes 1.2.840.113549.1.1.99 */
    memset(&want, 0, sizeof(want));
    der = scep_fixture_message(f, &want);
    at = (unsigned char *)der.data;
    end = at + der.len - 17;
    while (at < end && memcmp(at, "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00\x03", 14))
        at++;
    ck_assert_ptr_ne(at, end);
    at[10] = 99;
    assert_malformed(&der, "signer-key");
}
END_TEST

Suite *test_message_suite(void);

Suite *test_message_suite(void)
{
    Suite *suite = suite_create("message");
    TCase *tcase = tcase_create("message");

    scep_fixture_init();
    tcase_set_timeout(tcase, 30);
    tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
    tcase_add_test(tcase, reads_a_request);
    tcase_add_test(tcase, accepts_digests_and_signatures);
    tcase_add_test(tcase, accepts_what_the_field_sends);
    tcase_add_test(tcase, accepts_ber);
    tcase_add_test(tcase, accepts_pkcs7_content);
    tcase_add_test(tcase, reads_transaction_ids);
    tcase_add_test(tcase, limits_the_transaction_id);
    tcase_add_test(tcase, reads_message_types);
    tcase_add_test(tcase, reads_nonces);
    tcase_add_test(tcase, refuses_bad_messages);
    tcase_add_test(tcase, refuses_algorithms_with_an_answer);
    tcase_add_test(tcase, refuses_mismatched_algorithms);
    tcase_add_test(tcase, refuses_what_is_no_message);
    tcase_add_test(tcase, refuses_content_that_is_no_octets);
    tcase_add_test(tcase, refuses_unusable_signer_key);
    suite_add_tcase(suite, tcase);
    return suite;
}
