/* SPDX-License-Identifier: Apache-2.0 */
/* pkiMessage: decode, verify, read attributes (RFC 8894 section 3.2). */
#include "message.h"
#include "algorithm.h"
#include "oid.h"

#include <apr_strings.h>
#include <openssl/err.h>
#include <openssl/pkcs7.h>
#include <openssl/x509v3.h>
#include <string.h>

#define MAX_CERTIFICATES 16
#define MAX_TRANSACTION_ID 255
#define MAX_NONCE 64

/* Every failure here means that there is nobody to answer to. */
static apr_status_t malformed(outcome_t *out, const char *reason, const char *detail, apr_pool_t *p)
{
    ERR_clear_error();
    outcome_malformed(out, reason, p, "%s", detail);
    return APR_EINVAL;
}

const char *scep_message_type_name(int type)
{
    switch (type) {
    case SCEP_CERT_REP: return "CertRep";
    case SCEP_RENEWAL_REQ: return "RenewalReq";
    case SCEP_PKCS_REQ: return "PKCSReq";
    case SCEP_CERT_POLL: return "CertPoll";
    case SCEP_GET_CERT: return "GetCert";
    case SCEP_GET_CRL: return "GetCRL";
    default: return "unknown";
    }
}

/* The digest to verify with, NULL if it may not be used (allow-list). */
static const EVP_MD *allowed_digest(int nid, const scep_service_t *service)
{
    if (nid == NID_md5)
        return service->legacy & SCEP_LEGACY_MD5 && service->legacy_lib ? service->legacy_lib->md5
                                                                        : NULL;
    if (nid == NID_sha1 && !(service->legacy & SCEP_LEGACY_SHA1))
        return NULL;
    return scep_sha(nid);
}

/* Whether the certificate is the one that a subjectKeyIdentifier names. */
static int has_key_id(const cert_t *cert, const unsigned char *id, long len)
{
    int found;
    ASN1_OCTET_STRING *ski =
        X509V3_get_d2i(cert->info->extensions, NID_subject_key_identifier, NULL, NULL);

    found = ski && len > 0 && ASN1_STRING_length(ski) == len &&
            memcmp(ASN1_STRING_get0_data(ski), id, (size_t)len) == 0;
    ASN1_OCTET_STRING_free(ski);
    ERR_clear_error();
    return found;
}

/* Whether the certificate is the one that sid names (RFC 5652 section 5.3). */
static int is_signer(const cert_t *cert, const ASN1_TYPE *sid)
{
    int found = 0, tag, class;
    long len;
    const unsigned char *data = sid->value.asn1_string->data;
    PKCS7_ISSUER_AND_SERIAL *ias;

    if (sid->type == V_ASN1_SEQUENCE) {
        ias = ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(PKCS7_ISSUER_AND_SERIAL), sid);
        found = ias && ASN1_INTEGER_cmp(ias->serial, cert->info->serial) == 0 &&
                X509_NAME_cmp(ias->issuer, cert->info->issuer) == 0;
        PKCS7_ISSUER_AND_SERIAL_free(ias);
        ERR_clear_error();
        return found;
    }
    if (sid->type != V_ASN1_OTHER ||
        (ASN1_get_object(&data, &len, &tag, &class, sid->value.asn1_string->length) & 0x80) ||
        tag != 0 || class != V_ASN1_CONTEXT_SPECIFIC)
        return 0;
    return has_key_id(cert, data, len);
}

/* The signer's certificate among those in the message, with its bytes; NULL: it is not there. */
static cert_t *find_signer(crypt_buf_t *der, const cms_signed_data_t *data,
                           const cms_signer_info_t *signer, apr_pool_t *p)
{
    int i, n = sk_ASN1_TYPE_num(data->certificates);

    if (n > MAX_CERTIFICATES ||
        (signer->sid->type != V_ASN1_SEQUENCE && signer->sid->type != V_ASN1_OTHER))
        return NULL;
    for (i = 0; i < n; i++) {
        ASN1_TYPE *any = sk_ASN1_TYPE_value(data->certificates, i);
        cert_t *cert;

        if (any->type != V_ASN1_SEQUENCE)
            continue;
        cert = cms_decode(ASN1_ITEM_rptr(cert_t), any->value.asn1_string->data,
                          (apr_size_t)any->value.asn1_string->length, p);
        if (cert && is_signer(cert, signer->sid)) {
            der->data = any->value.asn1_string->data;
            der->len = (apr_size_t)any->value.asn1_string->length;
            return cert;
        }
    }
    return NULL;
}

/* The content's bytes for the digest, and the envelope's; 0 if it is of no usable type. */
static int read_content(scep_message_t *message, const cms_encap_t *encap, crypt_buf_t *digested)
{
    int tag, class, kind;
    long len;
    const unsigned char *data;

    if (!encap->content) {
        digested->data = (const unsigned char *)"";
        digested->len = 0;
        return 1;
    }
    if (encap->content->type != V_ASN1_OCTET_STRING && encap->content->type != V_ASN1_SEQUENCE)
        return 0;
    message->envelope.data = encap->content->value.asn1_string->data;
    message->envelope.len = (apr_size_t)encap->content->value.asn1_string->length;
    *digested = message->envelope;
    if (encap->content->type == V_ASN1_SEQUENCE) {
        /* PKCS #7 1.5: the digest is over the contents octets, without tag and length */
        data = digested->data;
        kind = ASN1_get_object(&data, &len, &tag, &class, (long)digested->len);
        if (kind & 0x80)
            return 0;
        if (kind & 1)   /* of indefinite length: all but the two octets at its end */
            len = (long)digested->len - (data - digested->data) - 2;
        if (len < 0)
            return 0;
        digested->data = data;
        digested->len = (apr_size_t)len;
    }
    return 1;
}

/* The value of the attribute at index i if it has exactly one of that type, else NULL. */
static ASN1_STRING *attribute_string(STACK_OF(X509_ATTRIBUTE) *attributes, int i, int type)
{
    X509_ATTRIBUTE *attribute = X509at_get_attr(attributes, i);
    ASN1_TYPE *value;

    if (!attribute || X509_ATTRIBUTE_count(attribute) != 1)
        return NULL;
    value = X509_ATTRIBUTE_get0_type(attribute, 0);
    if (!value || ASN1_TYPE_get(value) != type)
        return NULL;
    return value->value.asn1_string;
}

/* Compares the messageDigest attribute (RFC 5652 section 11.2) with the content's digest. */
static int digest_matches(const cms_signer_info_t *signer, const EVP_MD *md,
                          const crypt_buf_t *digested)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int len = 0;
    int i = X509at_get_attr_by_NID(signer->signed_attributes, NID_pkcs9_messageDigest, -1);
    ASN1_STRING *sent;

    if (i < 0 ||
        X509at_get_attr_by_NID(signer->signed_attributes, NID_pkcs9_messageDigest, i) >= 0)
        return 0;
    sent = attribute_string(signer->signed_attributes, i, V_ASN1_OCTET_STRING);
    return sent && EVP_Digest(digested->data, digested->len, digest, &len, md, NULL) &&
           ASN1_STRING_length(sent) == (int)len &&
           CRYPTO_memcmp(ASN1_STRING_get0_data(sent), digest, len) == 0;
}

/* NID of the SignerInfo's signature algorithm. */
static int signature_nid(const cms_signer_info_t *signer)
{
    const ASN1_OBJECT *oid = NULL;

    X509_ALGOR_get0(&oid, NULL, NULL, signer->signature_algor);
    return OBJ_obj2nid(oid);
}

/* 1 if the signature over the attributes verifies with the signer's key. */
static int signature_verifies(const scep_message_t *message, const cms_signer_info_t *signer,
                              const scep_service_t *service)
{
    int ok = 0, len, nid = signature_nid(signer);
    unsigned char *der = NULL;
    const char *name = nid == NID_ED25519 ? NULL : EVP_MD_get0_name(message->digest);
    EVP_MD_CTX *ctx = NULL;
    OSSL_LIB_CTX *libctx = NULL;
    EVP_PKEY *key = message->signer_key;

    if (service->legacy_lib && message->digest == service->legacy_lib->md5)
        libctx = service->legacy_lib->libctx;
    /* such a key verifies nothing else, whatever the message calls its signature */
    if (EVP_PKEY_is_a(key, "RSA-PSS") && nid != NID_rsassaPss)
        return 0;
    if (nid == NID_rsassaPss) {
        ok = ASN1_item_verify(ASN1_ITEM_rptr(cms_attributes_as_sent), signer->signature_algor,
                              signer->signature, signer->signed_attributes, key) == 1;
        ERR_clear_error();
        return ok;
    }
    len = ASN1_item_i2d((const ASN1_VALUE *)signer->signed_attributes, &der,
                        ASN1_ITEM_rptr(cms_attributes_as_sent));
    ctx = EVP_MD_CTX_new();
    if (len > 0 && ctx && EVP_DigestVerifyInit_ex(ctx, NULL, name, libctx, NULL, key, NULL) == 1)
        ok = EVP_DigestVerify(ctx, ASN1_STRING_get0_data(signer->signature),
                              (size_t)ASN1_STRING_length(signer->signature), der,
                              (size_t)len) == 1;
    EVP_MD_CTX_free(ctx);
    OPENSSL_free(der);
    ERR_clear_error();
    return ok;
}

/* Whether the signature algorithm goes with the SignerInfo's digest. */
static int signature_fits(const cms_signer_info_t *signer, int digest)
{
    switch (signature_nid(signer)) {
    case NID_rsaEncryption:
    case NID_X9_62_id_ecPublicKey:
        return 1;                       /* a bare key algorithm: the digest is the SignerInfo's */
    case NID_ED25519:
        return digest == NID_sha512;    /* RFC 8419 section 3.1 */
    case NID_rsassaPss:
        return digest != NID_md5 && crypt_signature_digest(signer->signature_algor) == digest &&
               scep_pss_is_usable(signer->signature_algor);
    default:
        return crypt_signature_digest(signer->signature_algor) == digest;
    }
}

/* Sets message->digest; REFUSED badAlg if digest or signature algorithm is not allowed. */
static apr_status_t choose_digest(scep_message_t *message, const cms_signer_info_t *signer,
                                  const scep_service_t *service, outcome_t *out, apr_pool_t *p)
{
    char digest_oid[80], signature_oid[80];
    const ASN1_OBJECT *digest = NULL, *signature = NULL;

    X509_ALGOR_get0(&digest, NULL, NULL, signer->digest);
    X509_ALGOR_get0(&signature, NULL, NULL, signer->signature_algor);
    message->digest = allowed_digest(OBJ_obj2nid(digest), service);
    if (message->digest && signature_fits(signer, OBJ_obj2nid(digest)))
        return APR_SUCCESS;
    OBJ_obj2txt(digest_oid, sizeof(digest_oid), digest, 1);
    OBJ_obj2txt(signature_oid, sizeof(signature_oid), signature, 1);
    ERR_clear_error();
    outcome_refuse(out, FAIL_INFO_BAD_ALG, OUTCOME_HR_BAD_ALGID, "message-algorithm",
                   "The digest or signature algorithm of the message is not allowed.", p,
                   "digest %s with signature algorithm %s is not allowed", digest_oid,
                   signature_oid);
    return APR_EINVAL;
}

/* Reads transactionID; 0 if it is missing, repeated, empty, too long or not printable. */
static int read_transaction_id(scep_message_t *message, const ASN1_TYPE *value, apr_pool_t *p)
{
    const unsigned char *data;
    int i, len;

    switch (ASN1_TYPE_get(value)) {
    case V_ASN1_PRINTABLESTRING:
    case V_ASN1_UTF8STRING:
    case V_ASN1_IA5STRING:
        break;
    default:
        return 0;
    }
    data = ASN1_STRING_get0_data(value->value.asn1_string);
    len = ASN1_STRING_length(value->value.asn1_string);
    if (len < 1 || len > MAX_TRANSACTION_ID)
        return 0;
    for (i = 0; i < len; i++) {
        if (data[i] < 0x20 || data[i] > 0x7e)
            return 0;
    }
    message->transaction_id = apr_pstrmemdup(p, (const char *)data, (apr_size_t)len);
    return 1;
}

/* The number in a PrintableString of one to three digits without leading zeros, else NONE. */
static int read_message_type(const ASN1_TYPE *value)
{
    const unsigned char *data;
    int i, len, number = 0;

    if (ASN1_TYPE_get(value) != V_ASN1_PRINTABLESTRING)
        return SCEP_MESSAGE_NONE;
    data = ASN1_STRING_get0_data(value->value.asn1_string);
    len = ASN1_STRING_length(value->value.asn1_string);
    if (len < 1 || len > 3 || (data[0] == '0' && len > 1))
        return SCEP_MESSAGE_NONE;
    for (i = 0; i < len; i++) {
        if (data[i] < '0' || data[i] > '9')
            return SCEP_MESSAGE_NONE;
        number = 10 * number + (data[i] - '0');
    }
    return number;
}

/* Reads SCEP's own attributes; error text or NULL. */
static const char *read_attributes(scep_message_t *message, const cms_signer_info_t *signer,
                                   apr_pool_t *p)
{
    int i, n = X509at_get_attr_count(signer->signed_attributes);
    unsigned seen = 0;

    for (i = 0; i < n; i++) {
        X509_ATTRIBUTE *attribute = X509at_get_attr(signer->signed_attributes, i);
        scep_oid_e oid = scep_oid_find(X509_ATTRIBUTE_get0_object(attribute));
        ASN1_TYPE *value;

        if (oid == SCEP_OID_UNKNOWN)
            continue;
        if (seen & (1u << oid))
            return "a SCEP attribute stands there twice";
        seen |= 1u << oid;
        if (X509_ATTRIBUTE_count(attribute) != 1)
            return "a SCEP attribute does not have one value";
        value = X509_ATTRIBUTE_get0_type(attribute, 0);
        if (oid == SCEP_OID_TRANSACTION_ID && !read_transaction_id(message, value, p))
            return "transactionID is not 1 to 255 printable characters";
        if (oid == SCEP_OID_MESSAGE_TYPE)
            message->message_type = read_message_type(value);
        if (oid == SCEP_OID_SENDER_NONCE && ASN1_TYPE_get(value) == V_ASN1_OCTET_STRING &&
            ASN1_STRING_length(value->value.asn1_string) <= MAX_NONCE) {
            message->sender_nonce.data = ASN1_STRING_get0_data(value->value.asn1_string);
            message->sender_nonce.len = (apr_size_t)ASN1_STRING_length(value->value.asn1_string);
        }
    }
    return message->transaction_id ? NULL : "transactionID is missing";
}

/*
 * Whether a wrong digest or signature counts.  Always, but in a fuzzing build, which could not
 * reach what comes after them otherwise (as in OpenSSL's own).
 */
static int must_verify(void)
{
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
    return 0;
#else
    return 1;
#endif
}

/* Makes the signer's key and identity. */
static apr_status_t read_signer(scep_message_t *message, const cms_signed_data_t *data,
                                const cms_signer_info_t *signer, outcome_t *out, apr_pool_t *p)
{
    unsigned char *der = NULL;
    int len;

    message->signer_cert = find_signer(&message->signer_der, data, signer, p);
    if (!message->signer_cert)
        return malformed(out, "no-signer-certificate",
                         "the message does not hold its signer's certificate", p);
    if (spki_key_make(&message->signer_key, message->signer_cert->info->spki, p) != APR_SUCCESS)
        return malformed(out, "signer-key", "the signer's public key cannot be used", p);
    len = i2d_spki_t(message->signer_cert->info->spki, &der);
    if (len <= 0)
        return malformed(out, "signer-key", "the signer's public key cannot be encoded", p);
    message->signer_spki.data = apr_pmemdup(p, der, (apr_size_t)len);
    message->signer_spki.len = (apr_size_t)len;
    OPENSSL_free(der);
    return APR_SUCCESS;
}

/* What is wrong with bytes that are no SignedData: a proxy's limit shows as a cut message. */
static const char *why_not_signed_data(const crypt_buf_t *der, apr_pool_t *p)
{
    const unsigned char *body = der->data;
    long len = 0;
    int tag = V_ASN1_UNDEF, class = 0, form;
    apr_uint64_t whole;

    /* an object that is longer than what is there has its fields set nevertheless */
    form = ASN1_get_object(&body, &len, &tag, &class, (long)der->len);
    ERR_clear_error();
    whole = (apr_uint64_t)len + (apr_uint64_t)(body - der->data);
    if (tag == V_ASN1_SEQUENCE && class == V_ASN1_UNIVERSAL && !(form & 1) && whole > der->len)
        return apr_psprintf(p,
                            "the message was cut at %" APR_SIZE_T_FMT " of %" APR_UINT64_T_FMT
                            " bytes",
                            der->len, whole);
    return "the message is not a CMS SignedData";
}

apr_status_t scep_message_make(scep_message_t **pmessage, const crypt_buf_t *der,
                               const scep_service_t *service, outcome_t *out, apr_pool_t *p)
{
    scep_message_t *message = apr_pcalloc(p, sizeof(*message));
    cms_signed_t *cms;
    cms_signer_info_t *signer;
    crypt_buf_t digested;
    const char *error;

    *pmessage = NULL;
    message->message_type = SCEP_MESSAGE_NONE;
    cms = cms_decode(ASN1_ITEM_rptr(cms_signed_t), der->data, der->len, p);
    if (!cms || OBJ_obj2nid(cms->type) != NID_pkcs7_signed)
        return malformed(out, "not-signed-data", why_not_signed_data(der, p), p);
    if (sk_cms_signer_info_t_num(cms->content->signers) != 1)
        return malformed(out, "signer-count", "the message does not have exactly one signer", p);
    signer = sk_cms_signer_info_t_value(cms->content->signers, 0);
    if (X509at_get_attr_count(signer->signed_attributes) <= 0)
        return malformed(out, "no-signed-attributes", "the message has no signed attributes", p);
    if (!read_content(message, cms->content->encap, &digested))
        return malformed(out, "content-type", "the signed content is not an octet string", p);
    if ((error = read_attributes(message, signer, p)) != NULL)
        return malformed(out, "attributes", error, p);
    if (choose_digest(message, signer, service, out, p) != APR_SUCCESS) {
        *pmessage = message;
        return APR_EINVAL;
    }
    if (read_signer(message, cms->content, signer, out, p) != APR_SUCCESS)
        return APR_EINVAL;
    if (!digest_matches(signer, message->digest, &digested) && must_verify())
        return malformed(out, "message-digest", "the message's digest is wrong or missing", p);
    if (!signature_verifies(message, signer, service) && must_verify())
        return malformed(out, "message-signature", "the message's signature does not verify", p);
    *pmessage = message;
    return APR_SUCCESS;
}
