/* SPDX-License-Identifier: Apache-2.0 */
/* A CA, an RA and a device on OpenSSL's own functions: see scep_fixture.h. */
#include "scep_fixture.h"
#include "../../mod_scep/core/cms_asn1.h"

#include <apr_strings.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs7.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEVICE_BITS 2048    /* the least that CAs take */
#define SERVER_BITS 1024    /* quick, for valgrind */

static EVP_PKEY *keys[SCEP_FIXTURE_KEYS];
static X509 *parties[SCEP_FIXTURE_KEYS];   /* their certificates */
static EVP_PKEY *ec_key;

/* Aborts unless ok. */
static void need(int ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "scep_fixture: %s failed\n", what);
    ERR_print_errors_fp(stderr);
    abort();
}

/* What out holds, in p; frees it. */
static crypt_buf_t bio_take(BIO *out, apr_pool_t *p)
{
    char *data = NULL;
    long len = BIO_get_mem_data(out, &data);
    crypt_buf_t buf;

    buf.len = len > 0 ? (apr_size_t)len : 0;
    buf.data = (const unsigned char *)apr_pstrmemdup(p, data ? data : "", buf.len);
    BIO_free(out);
    return buf;
}

/* Sets a name to one common name, or to nothing. */
static void set_name(X509_NAME *name, const char *cn)
{
    if (*cn)
        need(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1,
                                        -1, 0), "X509_NAME_add_entry_by_txt");
}

/* Adds an extension as openssl.cnf writes it. */
static void add_extension(X509 *cert, const char *name, const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *ext;

    X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
    ext = X509V3_EXT_conf(NULL, &ctx, name, value);
    need(ext && X509_add_ext(cert, ext, -1), name);
    X509_EXTENSION_free(ext);
}

/* The certificate, owned by the caller. */
static X509 *make_certificate(const scep_fixture_cert_t *want)
{
    X509 *cert = X509_new();
    const char *issuer = want->issuer ? want->issuer : want->subject;

    need(cert && X509_set_version(cert, want->version1 ? X509_VERSION_1 : X509_VERSION_3) &&
         ASN1_INTEGER_set(X509_get_serialNumber(cert), want->serial) &&
         ASN1_TIME_set_string(X509_getm_notBefore(cert), "200101000000Z") &&
         ASN1_TIME_set_string(X509_getm_notAfter(cert), "491231235959Z") &&
         X509_set_pubkey(cert, want->key), "X509");
    set_name(X509_get_subject_name(cert), want->subject);
    set_name(X509_get_issuer_name(cert), issuer);
    if (!want->version1) {
        add_extension(cert, "basicConstraints", want->ca ? "critical,CA:TRUE" : "CA:FALSE");
        add_extension(cert, "keyUsage", want->ca ? "critical,keyCertSign,cRLSign"
                                                 : "digitalSignature,keyEncipherment");
        add_extension(cert, "subjectKeyIdentifier", "hash");
    }
    need(X509_sign(cert, want->issuer_key ? want->issuer_key : want->key,
                   want->md ? want->md : EVP_sha256()) > 0, "X509_sign");
    return cert;
}

X509 *scep_fixture_certificate(apr_pool_t *p, const scep_fixture_cert_t *want)
{
    return crypt_x509_own(make_certificate(want), p);
}

/* The certificate of one of the parties, owned by nobody. */
static X509 *party(scep_fixture_key_e who)
{
    static const char *const names[SCEP_FIXTURE_KEYS] = {
        "Fixture CA", "RA signer", "RA decrypter", "RA decrypter", "device", "stranger"
    };
    scep_fixture_cert_t want;

    memset(&want, 0, sizeof(want));
    want.subject = names[who];
    want.key = keys[who];
    want.serial = 1000 + (long)who;
    want.ca = who == SCEP_FIXTURE_CA;
    if (who != SCEP_FIXTURE_DEVICE && who != SCEP_FIXTURE_STRANGER) {
        want.issuer = names[SCEP_FIXTURE_CA];
        want.issuer_key = keys[SCEP_FIXTURE_CA];
    }
    return make_certificate(&want);
}

/* Makes the certificates that all fixtures share. */
static void make_parties(void)
{
    int i;

    for (i = 0; i < SCEP_FIXTURE_KEYS; i++) {
        X509_free(parties[i]);
        parties[i] = party((scep_fixture_key_e)i);
    }
}

void scep_fixture_init(void)
{
    int i;

    for (i = 0; i < SCEP_FIXTURE_KEYS; i++) {
        if (!keys[i])
            keys[i] = EVP_RSA_gen(i == SCEP_FIXTURE_DEVICE ? DEVICE_BITS : SERVER_BITS);
        need(keys[i] != NULL, "EVP_RSA_gen");
    }
    if (!ec_key)
        ec_key = EVP_EC_gen("P-256");
    need(ec_key != NULL, "EVP_EC_gen");
    make_parties();
}

void scep_fixture_set_keys(const char *const pem[SCEP_FIXTURE_KEYS])
{
    int i;

    for (i = 0; i < SCEP_FIXTURE_KEYS; i++) {
        BIO *in = BIO_new_mem_buf(pem[i], -1);

        EVP_PKEY_free(keys[i]);
        keys[i] = PEM_read_bio_PrivateKey(in, NULL, NULL, NULL);
        need(keys[i] != NULL, "PEM_read_bio_PrivateKey");
        BIO_free(in);
    }
    make_parties();
}

EVP_PKEY *scep_fixture_key(scep_fixture_key_e who)
{
    return keys[who];
}

EVP_PKEY *scep_fixture_ec_key(void)
{
    return ec_key;
}

scep_fixture_t *scep_fixture_make(apr_pool_t *p)
{
    int i;
    scep_ra_key_t *ra;
    scep_fixture_t *f = apr_pcalloc(p, sizeof(*f));
    apr_array_header_t *signers = apr_array_make(p, 1, sizeof(scep_ra_key_t));
    apr_array_header_t *decrypters = apr_array_make(p, 2, sizeof(scep_ra_key_t));

    f->pool = p;
    for (i = 0; i < SCEP_FIXTURE_KEYS; i++)
        f->certs[i] = parties[i];
    for (i = SCEP_FIXTURE_DECRYPTER; i <= SCEP_FIXTURE_OLD_DECRYPTER; i++) {
        ra = &APR_ARRAY_PUSH(decrypters, scep_ra_key_t);
        ra->cert = f->certs[i];
        ra->key = keys[i];
    }
    f->service.name = "fixture";
    ra = &APR_ARRAY_PUSH(signers, scep_ra_key_t);
    ra->cert = f->certs[SCEP_FIXTURE_SIGNER];
    ra->key = keys[SCEP_FIXTURE_SIGNER];
    f->service.signers = signers;
    f->service.decrypters = decrypters;
    f->service.has_ra = 1;
    f->service.legacy = SCEP_LEGACY_3DES | SCEP_LEGACY_SHA1;
    f->service.request_timeout = apr_time_from_sec(10);
    for (i = 0; i < 3; i++)
        f->service.templates[i] = CA_TEMPLATE_DEFAULT;
    return f;
}

crypt_buf_t scep_fixture_csr(apr_pool_t *p, const scep_fixture_csr_t *want)
{
    EVP_PKEY *key = want->key ? want->key : keys[SCEP_FIXTURE_DEVICE];
    X509_REQ *req = X509_REQ_new();
    STACK_OF(X509_EXTENSION) *exts = NULL;
    X509_EXTENSION *ext;
    BIO *out = BIO_new(BIO_s_mem());

    need(req && out && X509_REQ_set_version(req, X509_REQ_VERSION_1) &&
         X509_REQ_set_pubkey(req, key), "X509_REQ");
    set_name(X509_REQ_get_subject_name(req), want->subject ? want->subject : "device");
    if (want->challenge)
        need(X509_REQ_add1_attr_by_NID(req, NID_pkcs9_challengePassword, MBSTRING_ASC,
                                       (const unsigned char *)want->challenge, -1), "challenge");
    if (want->key_usage) {
        exts = sk_X509_EXTENSION_new_null();
        ext = X509V3_EXT_conf(NULL, NULL, "keyUsage", want->key_usage);
        need(exts && ext && sk_X509_EXTENSION_push(exts, ext) &&
             X509_REQ_add_extensions(req, exts), "keyUsage");
        sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
    }
    if (want->edit)
        want->edit(req, want->baton);
    need(X509_REQ_sign(req, key, want->md ? want->md : EVP_sha256()) > 0, "X509_REQ_sign");
    need(i2d_X509_REQ_bio(out, req), "i2d_X509_REQ_bio");
    X509_REQ_free(req);
    return bio_take(out, p);
}

/* ---- what the device sends */

/* Adds a recipient by its certificate, with want's key transport. */
static void add_recipient(CMS_ContentInfo *cms, X509 *cert, const scep_fixture_message_t *want)
{
    unsigned flags = want->recipient_flags | (want->oaep ? CMS_KEY_PARAM : 0);
    CMS_RecipientInfo *info = CMS_add1_recipient_cert(cms, cert, flags);
    EVP_PKEY_CTX *ctx;

    need(info != NULL, "CMS_add1_recipient_cert");
    if (!want->oaep)
        return;
    ctx = CMS_RecipientInfo_get0_pkey_ctx(info);
    need(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) > 0 &&
         EVP_PKEY_CTX_set_rsa_oaep_md(ctx, want->oaep) > 0 &&
         EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, want->oaep_mgf1 ? want->oaep_mgf1 : want->oaep) > 0,
         "RSA_PKCS1_OAEP_PADDING");
}

crypt_buf_t scep_fixture_envelope(const scep_fixture_t *f, const scep_fixture_message_t *want,
                                  const crypt_buf_t *plain)
{
    const EVP_CIPHER *cipher = want->cipher ? want->cipher : EVP_aes_128_cbc();
    X509 *recipient = want->recipient ? want->recipient : f->certs[SCEP_FIXTURE_DECRYPTER];
    BIO *in = BIO_new_mem_buf(plain->data, (int)plain->len), *out = BIO_new(BIO_s_mem());
    CMS_ContentInfo *cms = CMS_encrypt_ex(NULL, NULL, cipher, CMS_BINARY | CMS_PARTIAL,
                                          want->libctx, NULL);

    need(in && out && cms, "CMS_encrypt_ex");
    if (want->password) {
        need(CMS_add0_recipient_password(cms, -1, NID_undef, NID_undef, (unsigned char *)
                                         OPENSSL_strdup(want->password), -1, NULL) != NULL,
             "CMS_add0_recipient_password");
    }
    else {
        add_recipient(cms, recipient, want);
        if (want->second_recipient)
            add_recipient(cms, want->second_recipient, want);
    }
    need(CMS_final(cms, in, NULL, CMS_BINARY) && i2d_CMS_bio(out, cms), "CMS_final");
    CMS_ContentInfo_free(cms);
    BIO_free(in);
    return bio_take(out, f->pool);
}

/* Index of the attribute of that OID. */
static int attribute_index(CMS_SignerInfo *signer, const char *oid)
{
    ASN1_OBJECT *object = OBJ_txt2obj(oid, 1);
    int i = CMS_signed_get_attr_by_OBJ(signer, object, -1);

    ASN1_OBJECT_free(object);
    return i;
}

void scep_fixture_add_attribute(CMS_SignerInfo *signer, const char *oid, int type, const void *data,
                                int len)
{
    char unused[32];
    int i, n = CMS_signed_get_attr_count(signer);
    ASN1_OBJECT *object = OBJ_txt2obj(oid, 1);

    /* under a name of its own first, since the library refuses to add one twice */
    snprintf(unused, sizeof(unused), "1.2.3.4.%d", n < 0 ? 0 : n);
    need(object && CMS_signed_add1_attr_by_txt(signer, unused, type, data, len), oid);
    i = attribute_index(signer, unused);
    need(i >= 0 && X509_ATTRIBUTE_set1_object(CMS_signed_get_attr(signer, i), object), oid);
    ASN1_OBJECT_free(object);
}

void scep_fixture_add_value(CMS_SignerInfo *signer, const char *oid, int type, const void *data,
                            int len)
{
    int i = attribute_index(signer, oid);

    need(i >= 0 && X509_ATTRIBUTE_set1_data(CMS_signed_get_attr(signer, i), type, data, len), oid);
}

/* Adds what RFC 8894 section 3.2.1 wants in a request. */
static void add_scep_attributes(CMS_SignerInfo *signer, const scep_fixture_message_t *want)
{
    const char *type = want->message_type ? want->message_type : "19";
    const char *id = want->transaction_id ? want->transaction_id : SCEP_FIXTURE_TRANSACTION_ID;
    const void *nonce = want->nonce.data ? want->nonce.data : (const void *)SCEP_FIXTURE_NONCE;
    int nonce_len = want->nonce.data ? (int)want->nonce.len : (int)strlen(SCEP_FIXTURE_NONCE);

    if (*type)
        scep_fixture_add_attribute(signer, SCEP_FIXTURE_OID(2), want->message_type_as
                                   ? want->message_type_as : V_ASN1_PRINTABLESTRING, type,
                                   (int)strlen(type));
    if (*id)
        scep_fixture_add_attribute(signer, SCEP_FIXTURE_OID(7), want->transaction_id_as
                                   ? want->transaction_id_as : V_ASN1_PRINTABLESTRING, id,
                                   (int)strlen(id));
    if (!want->no_nonce)
        scep_fixture_add_attribute(signer, SCEP_FIXTURE_OID(5), want->nonce_as
                                   ? want->nonce_as : V_ASN1_OCTET_STRING, nonce, nonce_len);
}

/* The certificate of who signs. */
static X509 *signer_certificate(const scep_fixture_t *f, const scep_fixture_message_t *want)
{
    scep_fixture_cert_t cert;

    if (want->cert)
        return want->cert;
    if (!want->key)
        return f->certs[SCEP_FIXTURE_DEVICE];
    memset(&cert, 0, sizeof(cert));
    cert.subject = "device";
    cert.key = want->key;
    cert.serial = 1;
    return scep_fixture_certificate(f->pool, &cert);
}

/* The content: want's envelope, or one made of want's plain text or of a good CSR. */
static crypt_buf_t content_of(const scep_fixture_t *f, const scep_fixture_message_t *want)
{
    scep_fixture_csr_t csr;
    crypt_buf_t plain;

    if (want->envelope)
        return *want->envelope;
    if (want->plain)
        return scep_fixture_envelope(f, want, want->plain);
    memset(&csr, 0, sizeof(csr));
    csr.challenge = SCEP_FIXTURE_CHALLENGE;
    csr.key = want->key;
    plain = scep_fixture_csr(f->pool, &csr);
    return scep_fixture_envelope(f, want, &plain);
}

crypt_buf_t scep_fixture_message(const scep_fixture_t *f, const scep_fixture_message_t *want)
{
    EVP_PKEY *key = want->key ? want->key : keys[SCEP_FIXTURE_DEVICE];
    unsigned flags = CMS_BINARY | CMS_NOSMIMECAP | want->flags | (want->pss ? CMS_KEY_PARAM : 0);
    unsigned detached = want->no_content ? CMS_DETACHED : 0;
    crypt_buf_t content = { (const unsigned char *)"", 0 };
    CMS_SignerInfo *signer;
    CMS_ContentInfo *cms = CMS_sign(NULL, NULL, NULL, NULL, CMS_PARTIAL | CMS_BINARY | detached);
    BIO *in, *out = BIO_new(BIO_s_mem());

    if (!want->no_content)
        content = content_of(f, want);
    in = BIO_new_mem_buf(content.data, (int)content.len);
    need(cms && in && out, "CMS_sign");
    signer = CMS_add1_signer(cms, signer_certificate(f, want), key,
                             want->md ? want->md : EVP_sha256(), flags);
    need(signer != NULL, "CMS_add1_signer");
    if (want->pss)
        need(EVP_PKEY_CTX_set_rsa_padding(CMS_SignerInfo_get0_pkey_ctx(signer),
                                          RSA_PKCS1_PSS_PADDING) > 0, "RSA_PKCS1_PSS_PADDING");
    if (want->pss_mgf1)
        need(EVP_PKEY_CTX_set_rsa_mgf1_md(CMS_SignerInfo_get0_pkey_ctx(signer),
                                          want->pss_mgf1) > 0, "EVP_PKEY_CTX_set_rsa_mgf1_md");
    if (!(want->flags & CMS_NOATTR))
        add_scep_attributes(signer, want);
    if (want->edit)
        want->edit(cms, signer);
    need(CMS_final(cms, in, NULL, CMS_BINARY | detached), "CMS_final");
    if (want->spoil)
        want->spoil(cms, signer);
    need(i2d_CMS_bio(out, cms), "i2d_CMS_bio");
    CMS_ContentInfo_free(cms);
    BIO_free(in);
    return bio_take(out, f->pool);
}

/* ---- BER */

/* Appends len octets as they are. */
static void put(BIO *out, const void *data, size_t len)
{
    need(len == 0 || BIO_write(out, data, (int)len) == (int)len, "BIO_write");
}

/* Appends a definite tag, length and value of at most 127 octets, in primitive form. */
static void put_piece(BIO *out, const unsigned char *data, size_t len)
{
    unsigned char head[2];

    head[0] = V_ASN1_OCTET_STRING;
    head[1] = (unsigned char)len;
    put(out, head, sizeof(head));
    put(out, data, len);
}

/* Appends an octet string in pieces under the constructed form of tag, of indefinite length. */
static void put_split(BIO *out, unsigned char tag, const unsigned char *data, size_t len)
{
    unsigned char head[2];

    head[0] = tag | V_ASN1_CONSTRUCTED;
    head[1] = 0x80;
    put(out, head, sizeof(head));
    while (len > 0) {
        size_t n = len > 100 ? 100 : len;

        put_piece(out, data, n);
        data += n;
        len -= n;
    }
    put(out, "\0\0", 2);
}

/* Appends the values in len octets of DER; tags above 30 do not occur. */
static void put_values(BIO *out, const unsigned char *data, size_t len, int split_context)
{
    const unsigned char *end = data + len;

    while (data < end) {
        const unsigned char *value = data;
        int tag, class, kind;
        long n;

        kind = ASN1_get_object(&value, &n, &tag, &class, (long)(end - data));
        need(!(kind & 0x80), "ASN1_get_object");
        if (kind & V_ASN1_CONSTRUCTED) {
            put(out, data, 1);
            put(out, "\x80", 1);
            put_values(out, value, (size_t)n, split_context);
            put(out, "\0\0", 2);
        }
        else if (data[0] == V_ASN1_OCTET_STRING || (data[0] == 0x80 && split_context)) {
            put_split(out, data[0], value, (size_t)n);
        }
        else {
            put(out, data, (size_t)(value + n - data));
        }
        data = value + n;
    }
}

crypt_buf_t scep_fixture_ber(apr_pool_t *p, const crypt_buf_t *der, int split_context)
{
    BIO *out = BIO_new(BIO_s_mem());

    need(out != NULL, "BIO_new");
    put_values(out, der->data, der->len, split_context);
    return bio_take(out, p);
}

/* ---- what the device reads */

/* The attribute's only value if it has that type; NULL if there is no such attribute. */
static ASN1_STRING *attribute_of(CMS_SignerInfo *signer, const char *oid, int type)
{
    ASN1_TYPE *value;
    X509_ATTRIBUTE *attribute;
    int i = attribute_index(signer, oid);

    if (i < 0)
        return NULL;
    attribute = CMS_signed_get_attr(signer, i);
    need(X509_ATTRIBUTE_count(attribute) == 1, "one value of an attribute");
    value = X509_ATTRIBUTE_get0_type(attribute, 0);
    need(ASN1_TYPE_get(value) == type, "type of an attribute");
    return value->value.asn1_string;
}

/* The attribute's text; NULL if there is none. */
static const char *text_of(CMS_SignerInfo *signer, const char *oid, int type, apr_pool_t *p)
{
    ASN1_STRING *s = attribute_of(signer, oid, type);

    return s ? apr_pstrmemdup(p, (const char *)ASN1_STRING_get0_data(s),
                              (apr_size_t)ASN1_STRING_length(s)) : NULL;
}

/* The attribute's octets; len 0 if there is none. */
static crypt_buf_t octets_of(CMS_SignerInfo *signer, const char *oid, apr_pool_t *p)
{
    crypt_buf_t buf = { NULL, 0 };
    ASN1_STRING *s = attribute_of(signer, oid, V_ASN1_OCTET_STRING);

    if (s) {
        buf.len = (apr_size_t)ASN1_STRING_length(s);
        buf.data = apr_pmemdup(p, ASN1_STRING_get0_data(s), buf.len);
    }
    return buf;
}

/* Certificates of a degenerate SignedData, in the order in which they stand there, and its CRL. */
static void read_degenerate(scep_fixture_reply_t *reply, const crypt_buf_t *der, apr_pool_t *p)
{
    const unsigned char *data = der->data;
    PKCS7 *p7 = d2i_PKCS7(NULL, &data, (long)der->len);
    BIO *crl = BIO_new(BIO_s_mem());

    need(crl && p7 && data == der->data + der->len && PKCS7_type_is_signed(p7) &&
         sk_PKCS7_SIGNER_INFO_num(p7->d.sign->signer_info) == 0 &&
         PKCS7_type_is_data(p7->d.sign->contents) && !p7->d.sign->contents->d.data,
         "degenerate SignedData");
    if (p7->d.sign->cert)
        reply->certs = crypt_chain_own(X509_chain_up_ref(p7->d.sign->cert), p);
    if (p7->d.sign->crl) {
        need(sk_X509_CRL_num(p7->d.sign->crl) == 1, "one CRL");
        need(i2d_X509_CRL_bio(crl, sk_X509_CRL_value(p7->d.sign->crl, 0)), "i2d_X509_CRL_bio");
        reply->crl = bio_take(crl, p);
    }
    else {
        BIO_free(crl);
    }
    PKCS7_free(p7);
}

/* NID of the content's cipher, which OpenSSL's CMS does not tell. */
static int content_cipher(const crypt_buf_t *der, int by_password, apr_pool_t *p)
{
    const unsigned char *data = der->data;
    const cms_auth_enveloped_t *authenticated;
    const cms_enveloped_t *enveloped;
    PKCS7 *p7;
    int nid;

    authenticated = cms_decode(ASN1_ITEM_rptr(cms_auth_enveloped_t), der->data, der->len, p);
    if (authenticated) {
        need(OBJ_obj2nid(authenticated->content->encrypted->type) == NID_pkcs7_data,
             "AuthEnvelopedData");
        return OBJ_obj2nid(authenticated->content->encrypted->algor->algorithm);
    }
    if (by_password) {
        enveloped = cms_decode(ASN1_ITEM_rptr(cms_enveloped_t), der->data, der->len, p);
        need(enveloped != NULL, "EnvelopedData");
        return OBJ_obj2nid(enveloped->content->encrypted->algor->algorithm);
    }
    p7 = d2i_PKCS7(NULL, &data, (long)der->len);
    need(p7 && PKCS7_type_is_enveloped(p7) &&
         OBJ_obj2nid(p7->d.enveloped->enc_data->content_type) == NID_pkcs7_data,
         "PKCS7 EnvelopedData");
    nid = OBJ_obj2nid(p7->d.enveloped->enc_data->algorithm->algorithm);
    PKCS7_free(p7);
    return nid;
}

/* Opens the envelope into reply->cipher and certs, by password unless that is NULL. */
static void open_envelope(scep_fixture_reply_t *reply, const crypt_buf_t *der, EVP_PKEY *key,
                          X509 *cert, const char *password, apr_pool_t *p)
{
    const unsigned char *data = der->data;
    BIO *out = BIO_new(BIO_s_mem());
    CMS_ContentInfo *cms = d2i_CMS_ContentInfo(NULL, &data, (long)der->len);
    crypt_buf_t plain;

    need(out && cms && data == der->data + der->len, "d2i_CMS_ContentInfo");
    if (password)
        need(CMS_decrypt_set1_password(cms, (unsigned char *)apr_pstrdup(p, password), -1) &&
             CMS_decrypt(cms, NULL, NULL, NULL, out, CMS_BINARY), "CMS_decrypt_set1_password");
    else
        need(CMS_decrypt(cms, key, cert, NULL, out, CMS_BINARY), "CMS_decrypt");
    CMS_ContentInfo_free(cms);
    plain = bio_take(out, p);
    read_degenerate(reply, &plain, p);
    reply->cipher = content_cipher(der, password != NULL, p);
}

/* Reads the signed attributes. */
static void read_reply(scep_fixture_reply_t *reply, CMS_SignerInfo *signer, apr_pool_t *p)
{
    X509_ALGOR *md = NULL;

    CMS_SignerInfo_get0_algs(signer, NULL, NULL, &md, NULL);
    reply->md = OBJ_obj2nid(md->algorithm);
    reply->message_type = text_of(signer, SCEP_FIXTURE_OID(2), V_ASN1_PRINTABLESTRING, p);
    reply->status = text_of(signer, SCEP_FIXTURE_OID(3), V_ASN1_PRINTABLESTRING, p);
    reply->fail_info = text_of(signer, SCEP_FIXTURE_OID(4), V_ASN1_PRINTABLESTRING, p);
    reply->sender_nonce = octets_of(signer, SCEP_FIXTURE_OID(5), p);
    reply->recipient_nonce = octets_of(signer, SCEP_FIXTURE_OID(6), p);
    reply->transaction_id = text_of(signer, SCEP_FIXTURE_OID(7), V_ASN1_PRINTABLESTRING, p);
    reply->fail_info_text = text_of(signer, "1.3.6.1.5.5.7.24.1", V_ASN1_UTF8STRING, p);
    reply->hresult = text_of(signer, "1.3.6.1.4.1.311.21.33", V_ASN1_PRINTABLESTRING, p);
}

/* Verifies and reads a reply; its envelope's octets go to *content. */
static scep_fixture_reply_t *open_signed(const scep_fixture_t *f, const crypt_buf_t *der,
                                         crypt_buf_t *content)
{
    scep_fixture_reply_t *reply = apr_pcalloc(f->pool, sizeof(*reply));
    const unsigned char *data = der->data;
    STACK_OF(X509) *signers = sk_X509_new_null();
    BIO *out = BIO_new(BIO_s_mem());
    CMS_ContentInfo *cms = d2i_CMS_ContentInfo(NULL, &data, (long)der->len);

    need(cms && data == der->data + der->len && signers && out, "d2i_CMS_ContentInfo");
    need(OBJ_obj2nid(CMS_get0_eContentType(cms)) == NID_pkcs7_data, "eContentType");
    /* sscep wants octets there, if only none */
    need(*CMS_get0_content(cms) != NULL, "eContent");
    reply->has_content = ASN1_STRING_length(*CMS_get0_content(cms)) > 0;
    /* only by this certificate: what the message holds is not looked at */
    need(sk_X509_push(signers, scep_service_signer(&f->service, 0)->cert) &&
         CMS_verify(cms, signers, NULL, NULL, out,
                    CMS_BINARY | CMS_NOINTERN | CMS_NO_SIGNER_CERT_VERIFY), "CMS_verify");
    sk_X509_free(signers);
    read_reply(reply, sk_CMS_SignerInfo_value(CMS_get0_SignerInfos(cms), 0), f->pool);
    CMS_ContentInfo_free(cms);
    *content = bio_take(out, f->pool);
    return reply;
}

scep_fixture_reply_t *scep_fixture_open(const scep_fixture_t *f, const crypt_buf_t *der,
                                        EVP_PKEY *key, X509 *cert)
{
    crypt_buf_t content;
    scep_fixture_reply_t *reply = open_signed(f, der, &content);

    if (reply->has_content)
        open_envelope(reply, &content, key ? key : keys[SCEP_FIXTURE_DEVICE],
                      cert ? cert : f->certs[SCEP_FIXTURE_DEVICE], NULL, f->pool);
    return reply;
}

scep_fixture_reply_t *scep_fixture_open_by_password(const scep_fixture_t *f, const crypt_buf_t *der,
                                                    const char *password)
{
    crypt_buf_t content;
    scep_fixture_reply_t *reply = open_signed(f, der, &content);

    if (reply->has_content)
        open_envelope(reply, &content, NULL, NULL, password, f->pool);
    return reply;
}
