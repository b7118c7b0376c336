/* SPDX-License-Identifier: Apache-2.0 */
/* Whole enrollments by every algorithm: what is taken, what the answer uses, what is refused. */
#include "../../mod_scep/core/algorithm.h"
#include "../../mod_scep/core/cms_asn1.h"
#include "../../mod_scep/core/envelope.h"
#include "server_fixture.h"

#include <openssl/err.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

static EVP_PKEY *pss_key, *p384_key;

/* An RSA key that is for RSASSA-PSS only; NULL if that fails. */
static EVP_PKEY *make_pss_key(void)
{
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA-PSS", NULL);

    if (ctx && EVP_PKEY_keygen_init(ctx) > 0 && EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, 2048) > 0)
        (void)EVP_PKEY_generate(ctx, &key);
    EVP_PKEY_CTX_free(ctx);
    return key;
}

/* A message of want with a CSR of its key, which carries that challenge. */
static crypt_buf_t request_of(scep_fixture_message_t *want, const char *challenge,
                              const EVP_MD *csr_md)
{
    scep_fixture_csr_t csr;
    crypt_buf_t plain;

    memset(&csr, 0, sizeof(csr));
    csr.challenge = challenge;
    csr.key = want->key;
    csr.md = csr_md;
    plain = scep_fixture_csr(world.ctx.pool, &csr);
    want->plain = &plain;
    return scep_fixture_message(world.fixture, want);
}

/* Enrolls by want, which must work; the answer, opened. */
static scep_fixture_reply_t *enroll(scep_fixture_message_t *want)
{
    crypt_buf_t message = request_of(want, server_fixture_challenge(), NULL);
    scep_response_t *response = server_fixture_post(&message);
    scep_fixture_reply_t *reply = server_fixture_certrep(response, "0");

    ck_assert_str_eq(response->trace.outcome.reason, "ok");
    ck_assert_ptr_nonnull(reply->certs);
    return reply;
}

/* The message must be refused for that reason with that failInfo. */
static const outcome_t *refused(const crypt_buf_t *message, const char *reason,
                                const char *fail_info)
{
    scep_response_t *response = server_fixture_post(message);
    scep_fixture_reply_t *reply = server_fixture_certrep(response, "2");

    ck_assert_msg(strcmp(response->trace.outcome.reason, reason) == 0, "reason %s (%s), not %s",
                  response->trace.outcome.reason, response->trace.outcome.detail, reason);
    ck_assert_str_eq(reply->fail_info, fail_info);
    ck_assert_int_eq(world.submits, 0);
    return &response->trace.outcome;
}

/* Makes the service take those SCEP_LEGACY_*. */
static void allow(unsigned legacy)
{
    world.fixture->service.legacy = legacy;
    ck_assert_ptr_null(scep_legacy_make(&world.fixture->service.legacy_lib, legacy,
                                        world.ctx.pool));
}

/* ---- AES-GCM */

START_TEST(enrolls_by_gcm)
{
    const EVP_CIPHER *const ciphers[] = { EVP_aes_128_gcm(), EVP_aes_192_gcm(),
                                          EVP_aes_256_gcm() };
    scep_fixture_message_t want;
    size_t i;

    for (i = 0; i < sizeof(ciphers) / sizeof(ciphers[0]); i++) {
        memset(&want, 0, sizeof(want));
        want.cipher = ciphers[i];
        ck_assert_int_eq(enroll(&want)->cipher, EVP_CIPHER_get_nid(ciphers[i]));
    }
}
END_TEST

/* An AuthEnvelopedData of a good CSR, its parts changed by edit. */
static crypt_buf_t gcm_message(void (*edit)(cms_auth_enveloped_data_t *data))
{
    apr_pool_t *p = world.ctx.pool;
    scep_fixture_csr_t csr;
    scep_fixture_message_t want;
    crypt_buf_t plain, envelope;
    cms_auth_enveloped_t *cms;

    memset(&csr, 0, sizeof(csr));
    memset(&want, 0, sizeof(want));
    csr.challenge = server_fixture_challenge();
    plain = scep_fixture_csr(p, &csr);
    want.cipher = EVP_aes_128_gcm();
    envelope = scep_fixture_envelope(world.fixture, &want, &plain);
    cms = cms_decode(ASN1_ITEM_rptr(cms_auth_enveloped_t), envelope.data, envelope.len, p);
    edit(cms->content);
    envelope = cms_encode(ASN1_ITEM_rptr(cms_auth_enveloped_t), cms, p);
    want.envelope = &envelope;
    return scep_fixture_message(world.fixture, &want);
}

static void nothing(cms_auth_enveloped_data_t *data)
{
    (void)data;
}

static void wrong_tag(cms_auth_enveloped_data_t *data)
{
    data->mac->data[0] ^= 1;
}

static void short_tag(cms_auth_enveloped_data_t *data)
{
    data->mac->length = 11;
}

static void no_tag(cms_auth_enveloped_data_t *data)
{
    data->mac->length = 0;
}

static void wrong_content(cms_auth_enveloped_data_t *data)
{
    data->encrypted->content->data[40] ^= 1;
}

static void cut_content(cms_auth_enveloped_data_t *data)
{
    data->encrypted->content->length--;
}

static void absent_content(cms_auth_enveloped_data_t *data)
{
    ASN1_OCTET_STRING_free(data->encrypted->content);
    data->encrypted->content = NULL;
}

static void wrong_nonce(cms_auth_enveloped_data_t *data)
{
    ASN1_STRING *sequence = data->encrypted->algor->parameter->value.sequence;

    sequence->data[5] ^= 1;
}

static void no_parameter(cms_auth_enveloped_data_t *data)
{
    ASN1_TYPE_free(data->encrypted->algor->parameter);
    data->encrypted->algor->parameter = NULL;
}

static void wrong_key(cms_auth_enveloped_data_t *data)
{
    ASN1_STRING *info = sk_ASN1_TYPE_value(data->recipients, 0)->value.sequence;

    info->data[info->length - 1] ^= 1;
}

START_TEST(broken_gcm_looks_like_any_broken_envelope)
{
    void (*const edits[])(cms_auth_enveloped_data_t *data) = {
        wrong_tag, short_tag, no_tag, wrong_content, cut_content, absent_content, wrong_nonce,
        no_parameter, wrong_key
    };
    crypt_buf_t message = gcm_message(nothing);
    outcome_t uniform;
    size_t i;

    server_fixture_certrep(server_fixture_post(&message), "0");
    scep_envelope_refuse(&uniform, "", world.ctx.pool);
    for (i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
        const outcome_t *out;

        world.submits = 0;
        message = gcm_message(edits[i]);
        out = refused(&message, "envelope", "2");
        ck_assert_str_eq(out->text, uniform.text);
        ck_assert_int_eq(out->hresult, uniform.hresult);
    }
}
END_TEST

static void name_cbc(cms_auth_enveloped_data_t *data)
{
    data->encrypted->algor->algorithm = OBJ_nid2obj(NID_aes_128_cbc);
}

START_TEST(each_envelope_has_ciphers_of_its_own)
{
    crypt_buf_t message = gcm_message(name_cbc);

    ck_assert_ptr_nonnull(strstr(refused(&message, "envelope-algorithm", "0")->detail,
                                 "2.16.840.1.101.3.4.1.2 "));
}
END_TEST

/* ---- key transport */

START_TEST(enrolls_by_oaep)
{
    const EVP_MD *const mds[] = { EVP_sha1(), EVP_sha224(), EVP_sha256(), EVP_sha384(),
                                  EVP_sha512() };
    scep_fixture_message_t want;
    crypt_buf_t message;
    size_t i;

    for (i = 0; i < sizeof(mds) / sizeof(mds[0]); i++) {
        memset(&want, 0, sizeof(want));
        /* the fixture's RA key has 1024 bits */
        want.oaep = i < 3 ? mds[i] : EVP_sha1();
        want.oaep_mgf1 = mds[i];
        message = request_of(&want, server_fixture_challenge(), NULL);
        server_fixture_certrep(server_fixture_post(&message), "0");
    }
}
END_TEST

/* The transport of the first recipient of an envelope. */
static scep_transport_t transport_of(const crypt_buf_t *envelope)
{
    apr_pool_t *p = world.ctx.pool;
    const cms_enveloped_t *cms =
        cms_decode(ASN1_ITEM_rptr(cms_enveloped_t), envelope->data, envelope->len, p);
    const ASN1_STRING *info = sk_ASN1_TYPE_value(cms->content->recipients, 0)->value.sequence;
    const cms_key_trans_t *trans = cms_decode(ASN1_ITEM_rptr(cms_key_trans_t), info->data,
                                              (apr_size_t)info->length, p);
    scep_transport_t transport;

    ck_assert_int_eq(scep_transport_read(&transport, trans->algor), 1);
    return transport;
}

START_TEST(the_answer_has_the_same_transport)
{
    const struct {
        const EVP_MD *oaep, *mgf1, *sealed;
    } cases[] = {
        { NULL, NULL, NULL },
        { EVP_sha1(), EVP_sha1(), EVP_sha1() },
        { EVP_sha256(), EVP_sha256(), EVP_sha256() },
        { EVP_sha256(), EVP_sha1(), EVP_sha256() },
        { EVP_sha512(), EVP_sha384(), EVP_sha512() }
    };
    const crypt_buf_t plain = { (const unsigned char *)"\x30\x00", 2 };
    scep_fixture_message_t want;
    scep_message_t *message;
    crypt_buf_t der, sealed;
    outcome_t out;
    size_t i;

    memset(&want, 0, sizeof(want));
    der = scep_fixture_message(world.fixture, &want);
    ck_assert_int_eq(scep_message_make(&message, &der, &world.fixture->service, &out,
                                       world.ctx.pool), APR_SUCCESS);
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        scep_envelope_t how = { NULL, { cases[i].oaep, cases[i].mgf1 }, 0 };
        const unsigned char *data;
        BIO *opened = BIO_new(BIO_s_mem());
        CMS_ContentInfo *cms;

        ck_assert_int_eq(scep_envelope_seal(&sealed, &plain, &how, NULL, message,
                                            world.ctx.pool), APR_SUCCESS);
        ck_assert_ptr_eq(transport_of(&sealed).oaep, cases[i].sealed);
        ck_assert_ptr_eq(transport_of(&sealed).mgf1, cases[i].mgf1);
        data = sealed.data;
        cms = d2i_CMS_ContentInfo(NULL, &data, (long)sealed.len);
        ck_assert_int_eq(CMS_decrypt(cms, scep_fixture_key(SCEP_FIXTURE_DEVICE),
                                     world.fixture->certs[SCEP_FIXTURE_DEVICE], NULL, opened, 0),
                         1);
        CMS_ContentInfo_free(cms);
        BIO_free(opened);
    }
}
END_TEST

/* OAEP with SHA-512 does not fit into 1024 bits: PKCS #1 v1.5 instead. */
START_TEST(small_keys_get_another_transport)
{
    const crypt_buf_t plain = { (const unsigned char *)"\x30\x00", 2 };
    scep_envelope_t how = { EVP_aes_256_cbc(), { EVP_sha512(), EVP_sha512() }, 0 };
    scep_fixture_message_t want;
    scep_message_t *message;
    crypt_buf_t der, sealed;
    outcome_t out;

    memset(&want, 0, sizeof(want));
    want.key = scep_fixture_key(SCEP_FIXTURE_STRANGER);
    der = scep_fixture_message(world.fixture, &want);
    ck_assert_int_eq(scep_message_make(&message, &der, &world.fixture->service, &out,
                                       world.ctx.pool), APR_SUCCESS);
    ck_assert_int_eq(scep_envelope_seal(&sealed, &plain, &how, NULL, message, world.ctx.pool),
                     APR_SUCCESS);
    ck_assert_ptr_null(transport_of(&sealed).oaep);
}
END_TEST

START_TEST(refuses_other_transports)
{
    scep_fixture_cert_t ec;
    scep_fixture_message_t want;
    crypt_buf_t message;

    memset(&want, 0, sizeof(want));
    want.oaep = EVP_md5();
    message = request_of(&want, server_fixture_challenge(), NULL);
    ck_assert_ptr_nonnull(strstr(refused(&message, "key-transport", "0")->detail,
                                 "1.2.840.113549.1.1.7"));
    /* only by a password: challenges are kept as HMAC */
    memset(&want, 0, sizeof(want));
    want.password = "secret";
    message = request_of(&want, server_fixture_challenge(), NULL);
    ck_assert_ptr_nonnull(strstr(refused(&message, "key-transport", "0")->text, "in clear"));
    /* key agreement */
    memset(&ec, 0, sizeof(ec));
    ec.subject = "RA";
    ec.key = scep_fixture_ec_key();
    memset(&want, 0, sizeof(want));
    want.recipient = scep_fixture_certificate(world.ctx.pool, &ec);
    message = request_of(&want, server_fixture_challenge(), NULL);
    refused(&message, "key-transport", "0");
}
END_TEST

/* ---- signatures */

START_TEST(answers_with_the_digest_of_the_request)
{
    const EVP_MD *const mds[] = { EVP_sha1(), EVP_sha224(), EVP_sha256(), EVP_sha384(),
                                  EVP_sha512() };
    scep_fixture_message_t want;
    size_t i;

    for (i = 0; i < sizeof(mds) / sizeof(mds[0]); i++) {
        memset(&want, 0, sizeof(want));
        want.md = mds[i];
        ck_assert_int_eq(enroll(&want)->md, EVP_MD_get_type(mds[i]));
        want.pss = 1;
        ck_assert_int_eq(enroll(&want)->md, EVP_MD_get_type(mds[i]));
    }
}
END_TEST

/* Puts other RSASSA-PSS parameters into a message that was signed. */
static void set_pss(CMS_SignerInfo *signer, int hash, int mask, int salt)
{
    X509_ALGOR *signature = NULL;
    ASN1_STRING *packed;
    RSA_PSS_PARAMS *pss = RSA_PSS_PARAMS_new();
    X509_ALGOR *inner = X509_ALGOR_new();

    pss->hashAlgorithm = X509_ALGOR_new();
    X509_ALGOR_set0(pss->hashAlgorithm, OBJ_nid2obj(hash), V_ASN1_NULL, NULL);
    X509_ALGOR_set0(inner, OBJ_nid2obj(mask), V_ASN1_NULL, NULL);
    pss->maskGenAlgorithm = X509_ALGOR_new();
    X509_ALGOR_set0(pss->maskGenAlgorithm, OBJ_nid2obj(NID_mgf1), V_ASN1_SEQUENCE,
                    ASN1_item_pack(inner, ASN1_ITEM_rptr(X509_ALGOR), NULL));
    pss->saltLength = ASN1_INTEGER_new();
    ASN1_INTEGER_set(pss->saltLength, salt);
    packed = ASN1_item_pack(pss, ASN1_ITEM_rptr(RSA_PSS_PARAMS), NULL);
    CMS_SignerInfo_get0_algs(signer, NULL, NULL, NULL, &signature);
    X509_ALGOR_set0(signature, OBJ_nid2obj(NID_rsassaPss), V_ASN1_SEQUENCE, packed);
    X509_ALGOR_free(inner);
    RSA_PSS_PARAMS_free(pss);
}

static void pss_sha512(CMS_ContentInfo *cms, CMS_SignerInfo *signer)
{
    (void)cms;
    set_pss(signer, NID_sha512, NID_sha256, 32);
}

static void pss_md5(CMS_ContentInfo *cms, CMS_SignerInfo *signer)
{
    (void)cms;
    set_pss(signer, NID_md5, NID_sha256, 32);
}

static void pss_sha1(CMS_ContentInfo *cms, CMS_SignerInfo *signer)
{
    (void)cms;
    set_pss(signer, NID_sha1, NID_sha1, 20);
}

static void pss_mask_md5(CMS_ContentInfo *cms, CMS_SignerInfo *signer)
{
    (void)cms;
    set_pss(signer, NID_sha256, NID_md5, 32);
}

static void pss_salt(CMS_ContentInfo *cms, CMS_SignerInfo *signer)
{
    (void)cms;
    set_pss(signer, NID_sha256, NID_sha256, 20);
}

static void pss_mask_sha512(CMS_ContentInfo *cms, CMS_SignerInfo *signer)
{
    (void)cms;
    set_pss(signer, NID_sha256, NID_sha512, 32);
}

static void pss_without_parameters(CMS_ContentInfo *cms, CMS_SignerInfo *signer)
{
    X509_ALGOR *signature = NULL;

    (void)cms;
    CMS_SignerInfo_get0_algs(signer, NULL, NULL, NULL, &signature);
    X509_ALGOR_set0(signature, OBJ_nid2obj(NID_rsassaPss), V_ASN1_UNDEF, NULL);
}

START_TEST(looks_into_pss_parameters)
{
    static const struct {
        void (*spoil)(CMS_ContentInfo *cms, CMS_SignerInfo *signer);
        const char *reason;     /* message-signature: HTTP 400 */
    } cases[] = {
        { pss_sha512, "message-algorithm" },
        { pss_md5, "message-algorithm" },
        { pss_sha1, "message-algorithm" },
        { pss_mask_md5, "message-algorithm" },
        { pss_without_parameters, "message-algorithm" },
        { pss_salt, "message-signature" },
        { pss_mask_sha512, "message-signature" }
    };
    scep_fixture_message_t want;
    crypt_buf_t message;
    size_t i;

    allow(SCEP_LEGACY_SHA1 | SCEP_LEGACY_MD5);
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        memset(&want, 0, sizeof(want));
        want.pss = 1;
        want.spoil = cases[i].spoil;
        message = request_of(&want, server_fixture_challenge(), NULL);
        if (strcmp(cases[i].reason, "message-signature") == 0) {
            scep_response_t *response = server_fixture_post(&message);

            ck_assert_int_eq(response->http_status, 400);
            ck_assert_str_eq(response->trace.outcome.reason, cases[i].reason);
        }
        else {
            refused(&message, cases[i].reason, "0");
        }
    }
    /* another mask, and said so */
    memset(&want, 0, sizeof(want));
    want.pss = 1;
    want.pss_mgf1 = EVP_sha1();
    enroll(&want);
}
END_TEST

/* ---- signers that cannot decrypt */

START_TEST(others_than_rsa_are_answered_by_challenge)
{
    const EVP_CIPHER *const ciphers[] = { NULL, EVP_aes_256_cbc(), EVP_des_ede3_cbc(),
                                          EVP_aes_128_gcm(), EVP_aes_256_gcm() };
    EVP_PKEY *const keys[] = { scep_fixture_ec_key(), p384_key };
    scep_fixture_message_t want;
    size_t i, j;

    for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        for (j = 0; j < sizeof(ciphers) / sizeof(ciphers[0]); j++) {
            const char *challenge = server_fixture_challenge();
            scep_fixture_reply_t *reply;
            scep_response_t *response;
            crypt_buf_t message;

            memset(&want, 0, sizeof(want));
            want.key = keys[i];
            want.cipher = ciphers[j];
            message = request_of(&want, challenge, NULL);
            response = server_fixture_post(&message);
            ck_assert_str_eq(response->trace.outcome.reason, "ok");
            reply = scep_fixture_open_by_password(world.fixture, &response->body, challenge);
            ck_assert_str_eq(reply->status, "0");
            ck_assert_int_eq(reply->cipher, ciphers[j] ? EVP_CIPHER_get_nid(ciphers[j])
                                                       : NID_aes_128_cbc);
            ck_assert_int_eq(X509_check_private_key(sk_X509_value(reply->certs, 0), keys[i]), 1);
            /* a lost answer is asked for again */
            response = server_fixture_post(&message);
            ck_assert_int_eq(response->trace.replayed, 1);
            reply = scep_fixture_open_by_password(world.fixture, &response->body, challenge);
            ck_assert_str_eq(reply->status, "0");
        }
    }
}
END_TEST

START_TEST(without_a_challenge_they_are_refused)
{
    EVP_PKEY *const keys[] = { scep_fixture_ec_key(), pss_key };
    scep_fixture_message_t want;
    crypt_buf_t message;
    size_t i;

    for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        memset(&want, 0, sizeof(want));
        want.key = keys[i];
        want.pss = keys[i] == pss_key;
        message = request_of(&want, keys[i] == pss_key ? "any" : NULL, NULL);
        refused(&message, "signer-key-type", "0");
    }
}
END_TEST

/* Names rsaEncryption as the signature of an RSA-PSS key. */
static void plain_rsa(CMS_ContentInfo *cms, CMS_SignerInfo *signer)
{
    X509_ALGOR *signature = NULL;

    (void)cms;
    CMS_SignerInfo_get0_algs(signer, NULL, NULL, NULL, &signature);
    X509_ALGOR_set0(signature, OBJ_nid2obj(NID_rsaEncryption), V_ASN1_NULL, NULL);
}

START_TEST(pss_keys_sign_by_pss_only)
{
    scep_fixture_message_t want;
    scep_response_t *response;
    crypt_buf_t message;

    memset(&want, 0, sizeof(want));
    want.key = pss_key;
    want.pss = 1;
    want.spoil = plain_rsa;
    message = request_of(&want, server_fixture_challenge(), NULL);
    response = server_fixture_post(&message);
    ck_assert_int_eq(response->http_status, 400);
    ck_assert_str_eq(response->trace.outcome.reason, "message-signature");
}
END_TEST

/* ---- DES and MD5 */

/* A message by DES, from a context that is not the service's. */
static crypt_buf_t des_message(const char *challenge)
{
    const scep_legacy_t *other;
    scep_fixture_message_t want;

    ck_assert_ptr_null(scep_legacy_make(&other, SCEP_LEGACY_DES, world.ctx.pool));
    memset(&want, 0, sizeof(want));
    want.cipher = other->des;
    want.libctx = other->libctx;
    return request_of(&want, challenge, NULL);
}

START_TEST(des_by_name_only)
{
    crypt_buf_t message = des_message(server_fixture_challenge());
    scep_response_t *response;

    ck_assert_ptr_nonnull(strstr(refused(&message, "envelope-algorithm", "0")->detail,
                                 "1.3.14.3.2.7"));
    allow(SCEP_LEGACY_3DES | SCEP_LEGACY_SHA1 | SCEP_LEGACY_MD5);
    refused(&message, "envelope-algorithm", "0");
    allow(SCEP_LEGACY_DES);
    response = server_fixture_post(&message);
    /* never DES out */
    ck_assert_int_eq(server_fixture_certrep(response, "0")->cipher, NID_des_ede3_cbc);
    ck_assert_ptr_nonnull(strstr(response->trace.algorithms, "DES-CBC"));
    /* nor any DES for the rest of the process */
    ck_assert_ptr_null(EVP_CIPHER_fetch(NULL, "DES-CBC", NULL));
    ERR_clear_error();
}
END_TEST

START_TEST(md5_by_name_only)
{
    const struct {
        unsigned legacy;
        int answer;
    } cases[] = {
        { SCEP_LEGACY_MD5 | SCEP_LEGACY_SHA1, NID_sha1 },
        { SCEP_LEGACY_MD5, NID_sha256 }
    };
    scep_fixture_cert_t cert;
    scep_fixture_message_t want;
    crypt_buf_t message;
    scep_response_t *response;
    size_t i;

    /* as old Cisco IOS: all by MD5, and a version 1 certificate */
    memset(&cert, 0, sizeof(cert));
    cert.subject = "router";
    cert.key = scep_fixture_key(SCEP_FIXTURE_DEVICE);
    cert.version1 = 1;
    cert.md = EVP_md5();
    memset(&want, 0, sizeof(want));
    want.cert = scep_fixture_certificate(world.ctx.pool, &cert);
    want.md = EVP_md5();
    message = request_of(&want, server_fixture_challenge(), EVP_md5());
    ck_assert_ptr_nonnull(strstr(refused(&message, "message-algorithm", "0")->detail,
                                 "1.2.840.113549.2.5"));
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        allow(cases[i].legacy);
        message = request_of(&want, server_fixture_challenge(), EVP_md5());
        response = server_fixture_post(&message);
        ck_assert_int_eq(scep_fixture_open(world.fixture, &response->body, NULL, want.cert)->md,
                         cases[i].answer);
        ck_assert_str_eq(response->trace.outcome.reason, "ok");
    }
    /* the message's digest is one thing, the request's another */
    allow(SCEP_LEGACY_SHA1);
    want.md = NULL;
    world.submits = 0;
    message = request_of(&want, server_fixture_challenge(), EVP_md5());
    response = server_fixture_post(&message);
    ck_assert_str_eq(response->trace.outcome.reason, "csr-algorithm");
    ck_assert_int_eq(world.submits, 0);
    /* the certificate of whoever signs is not what vouches for the request */
    message = request_of(&want, server_fixture_challenge(), NULL);
    response = server_fixture_post(&message);
    ck_assert_str_eq(response->trace.outcome.reason, "ok");
}
END_TEST

START_TEST(says_when_there_is_no_legacy_provider)
{
    const scep_legacy_t *legacy;
    const char *error;

    ck_assert_ptr_null(scep_legacy_make(&legacy, SCEP_LEGACY_3DES | SCEP_LEGACY_SHA1,
                                        world.ctx.pool));
    ck_assert_ptr_null(legacy);
    setenv("OPENSSL_MODULES", "/nonexistent", 1);
    error = scep_legacy_make(&legacy, SCEP_LEGACY_DES, world.ctx.pool);
    ck_assert_ptr_nonnull(error);
    ck_assert_ptr_nonnull(strstr(error, "openssl-provider-legacy"));
    ck_assert_ptr_null(legacy);
    /* MD5 does without it */
    ck_assert_ptr_null(scep_legacy_make(&legacy, SCEP_LEGACY_MD5, world.ctx.pool));
    ck_assert_ptr_nonnull(legacy->md5);
    ck_assert_uint_eq(ERR_peek_error(), 0);
}
END_TEST

Suite *test_algorithm_suite(void);

Suite *test_algorithm_suite(void)
{
    Suite *suite = suite_create("algorithm");
    TCase *tcase = tcase_create("algorithm");

    scep_fixture_init();
    if (!pss_key) {
        pss_key = make_pss_key();
        p384_key = EVP_EC_gen("P-384");
    }
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, server_fixture_setup, fixture_teardown);
    tcase_add_test(tcase, enrolls_by_gcm);
    tcase_add_test(tcase, broken_gcm_looks_like_any_broken_envelope);
    tcase_add_test(tcase, each_envelope_has_ciphers_of_its_own);
    tcase_add_test(tcase, enrolls_by_oaep);
    tcase_add_test(tcase, the_answer_has_the_same_transport);
    tcase_add_test(tcase, small_keys_get_another_transport);
    tcase_add_test(tcase, refuses_other_transports);
    tcase_add_test(tcase, answers_with_the_digest_of_the_request);
    tcase_add_test(tcase, looks_into_pss_parameters);
    tcase_add_test(tcase, others_than_rsa_are_answered_by_challenge);
    tcase_add_test(tcase, without_a_challenge_they_are_refused);
    tcase_add_test(tcase, pss_keys_sign_by_pss_only);
    tcase_add_test(tcase, des_by_name_only);
    tcase_add_test(tcase, md5_by_name_only);
    tcase_add_test(tcase, says_when_there_is_no_legacy_provider);
    suite_add_tcase(suite, tcase);
    return suite;
}
