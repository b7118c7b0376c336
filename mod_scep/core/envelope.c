/* SPDX-License-Identifier: Apache-2.0 */
/* pkcsPKIEnvelope: opening the device's (see envelope.h). */
#include "envelope.h"

#include <apr_strings.h>
#include <openssl/cms.h>
#include <openssl/err.h>
#include <string.h>

#define MAX_RECIPIENTS 8    /* a key may be tried on each: that many private-key operations */
#define MIN_TAG_LEN 12      /* RFC 5084 section 3.2; a short one can be guessed */

/* The parts of EnvelopedData or AuthEnvelopedData that say how it can be opened. */
typedef struct parts_t {
    const cms_any_set_t *recipients;
    const cms_encrypted_t *encrypted;
    const ASN1_OCTET_STRING *mac;   /* NULL: EnvelopedData */
} parts_t;

void scep_envelope_refuse(outcome_t *out, const char *detail, apr_pool_t *p)
{
    outcome_refuse(out, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_BAD_DATA, "envelope",
                   "The enveloped certificate request cannot be opened.", p, "%s", detail);
}

static apr_status_t buf_cleanup(void *data)
{
    crypt_buf_t *buf = data;

    OPENSSL_cleanse((void *)buf->data, buf->len);
    return APR_SUCCESS;
}

static apr_status_t cms_cleanup(void *data)
{
    CMS_ContentInfo_free(data);
    return APR_SUCCESS;
}

/* The cipher of that OID if EnvelopedData may use it, else NULL (allow-list). */
static const EVP_CIPHER *allowed_cbc(int nid, const scep_service_t *service)
{
    switch (nid) {
    case NID_aes_128_cbc: return EVP_aes_128_cbc();
    case NID_aes_192_cbc: return EVP_aes_192_cbc();
    case NID_aes_256_cbc: return EVP_aes_256_cbc();
    case NID_des_ede3_cbc:
        return service->legacy & SCEP_LEGACY_3DES ? EVP_des_ede3_cbc() : NULL;
    case NID_des_cbc:
        return service->legacy & SCEP_LEGACY_DES && service->legacy_lib ? service->legacy_lib->des
                                                                        : NULL;
    default: return NULL;
    }
}

/* The cipher of that OID if AuthEnvelopedData may use it, else NULL (allow-list). */
static const EVP_CIPHER *allowed_gcm(int nid)
{
    switch (nid) {
    case NID_aes_128_gcm: return EVP_aes_128_gcm();
    case NID_aes_192_gcm: return EVP_aes_192_gcm();
    case NID_aes_256_gcm: return EVP_aes_256_gcm();
    default: return NULL;
    }
}

/* Reads the parts of either kind of envelope; 0 if it is neither. */
static int read_parts(parts_t *parts, const crypt_buf_t *der, apr_pool_t *p)
{
    const cms_auth_enveloped_t *authenticated;
    const cms_enveloped_t *enveloped =
        cms_decode(ASN1_ITEM_rptr(cms_enveloped_t), der->data, der->len, p);

    if (enveloped && OBJ_obj2nid(enveloped->type) == NID_pkcs7_enveloped) {
        parts->recipients = enveloped->content->recipients;
        parts->encrypted = enveloped->content->encrypted;
        parts->mac = NULL;
        return 1;
    }
    authenticated = cms_decode(ASN1_ITEM_rptr(cms_auth_enveloped_t), der->data, der->len, p);
    if (!authenticated ||
        OBJ_obj2nid(authenticated->type) != NID_id_smime_ct_authEnvelopedData)
        return 0;
    parts->recipients = authenticated->content->recipients;
    parts->encrypted = authenticated->content->encrypted;
    parts->mac = authenticated->content->mac;
    return 1;
}

/* Sets how->cipher; REFUSED badAlg if it is not allowed. */
static apr_status_t choose_cipher(scep_envelope_t *how, const parts_t *parts,
                                  const scep_service_t *service, outcome_t *out, apr_pool_t *p)
{
    char oid_text[80];
    const ASN1_OBJECT *oid = NULL;

    X509_ALGOR_get0(&oid, NULL, NULL, parts->encrypted->algor);
    how->cipher = parts->mac ? allowed_gcm(OBJ_obj2nid(oid))
                             : allowed_cbc(OBJ_obj2nid(oid), service);
    if (how->cipher)
        return APR_SUCCESS;
    OBJ_obj2txt(oid_text, sizeof(oid_text), oid, 1);
    outcome_refuse(out, FAIL_INFO_BAD_ALG, OUTCOME_HR_BAD_ALGID, "envelope-algorithm",
                   "The content encryption algorithm is not allowed.", p,
                   "content encryption algorithm %s is not allowed%s", oid_text,
                   parts->mac ? " in AuthEnvelopedData" : "");
    return APR_EINVAL;
}

/* badAlg for an envelope that is not for an RSA key. */
static apr_status_t refuse_transport(outcome_t *out, const parts_t *parts, const char *oid,
                                     apr_pool_t *p)
{
    int i, tag, class, passwords = 0, n = sk_ASN1_TYPE_num(parts->recipients);
    long len;

    for (i = 0; i < n; i++) {
        const ASN1_TYPE *any = sk_ASN1_TYPE_value(parts->recipients, i);
        const unsigned char *data;

        if (any->type != V_ASN1_OTHER)
            continue;
        data = any->value.asn1_string->data;
        if (!(ASN1_get_object(&data, &len, &tag, &class, any->value.asn1_string->length) & 0x80) &&
            tag == 3 && class == V_ASN1_CONTEXT_SPECIFIC)
            passwords++;
    }
    ERR_clear_error();
    if (passwords > 0 && passwords == n)
        outcome_refuse(out, FAIL_INFO_BAD_ALG, OUTCOME_HR_BAD_ALGID, "key-transport",
                       "The server does not know challenges in clear, so it cannot open an "
                       "envelope by one; envelope to its RSA certificate.", p,
                       "all recipients are PasswordRecipientInfo");
    else
        outcome_refuse(out, FAIL_INFO_BAD_ALG, OUTCOME_HR_BAD_ALGID, "key-transport",
                       "The request is not enveloped by RSA key transport that is supported.", p,
                       "no recipient by rsaEncryption, or by RSAES-OAEP with SHA-1 or SHA-2%s%s",
                       *oid ? "; found " : "", oid);
    return APR_EINVAL;
}

/* Sets how->transport, which is that of the first recipient by RSA. */
static apr_status_t choose_transport(scep_envelope_t *how, const parts_t *parts, outcome_t *out,
                                     apr_pool_t *p)
{
    char oid_text[80] = "";
    const ASN1_OBJECT *oid = NULL;
    int i, found = 0;

    for (i = 0; i < sk_ASN1_TYPE_num(parts->recipients) && !found; i++) {
        const ASN1_TYPE *any = sk_ASN1_TYPE_value(parts->recipients, i);
        const cms_key_trans_t *info;

        if (any->type != V_ASN1_SEQUENCE)
            continue;
        info = cms_decode(ASN1_ITEM_rptr(cms_key_trans_t), any->value.asn1_string->data,
                          (apr_size_t)any->value.asn1_string->length, p);
        if (!info) {
            scep_envelope_refuse(out, "a recipient cannot be read", p);
            return APR_EINVAL;
        }
        found = scep_transport_read(&how->transport, info->algor);
        X509_ALGOR_get0(&oid, NULL, NULL, info->algor);
        OBJ_obj2txt(oid_text, sizeof(oid_text), oid, 1);
    }
    return found ? APR_SUCCESS : refuse_transport(out, parts, oid_text, p);
}

/* Reads how the envelope was made, and whether it may be made so. */
static apr_status_t choose(scep_envelope_t *how, const scep_message_t *message,
                           const scep_service_t *service, outcome_t *out, apr_pool_t *p)
{
    parts_t parts;

    if (!read_parts(&parts, &message->envelope, p)) {
        scep_envelope_refuse(out, "the content is no CMS EnvelopedData or AuthEnvelopedData", p);
        return APR_EINVAL;
    }
    if (sk_ASN1_TYPE_num(parts.recipients) < 1 ||
        sk_ASN1_TYPE_num(parts.recipients) > MAX_RECIPIENTS) {
        scep_envelope_refuse(out, "the envelope has no recipient, or too many", p);
        return APR_EINVAL;
    }
    if (parts.mac && ASN1_STRING_length(parts.mac) < MIN_TAG_LEN) {
        scep_envelope_refuse(out, "the authentication tag is too short", p);
        return APR_EINVAL;
    }
    if (choose_cipher(how, &parts, service, out, p) != APR_SUCCESS)
        return APR_EINVAL;
    return choose_transport(how, &parts, out, p);
}

/* The envelope as OpenSSL's CMS reads it in that context, owned by p; NULL if it cannot. */
static CMS_ContentInfo *parse(const scep_message_t *message, OSSL_LIB_CTX *libctx, apr_pool_t *p)
{
    const unsigned char *data = message->envelope.data;
    CMS_ContentInfo *cms = CMS_ContentInfo_new_ex(libctx, NULL);

    /* frees cms, and sets it to NULL, if it fails */
    if (cms && d2i_CMS_ContentInfo(&cms, &data, (long)message->envelope.len))
        apr_pool_cleanup_register(p, cms, cms_cleanup, apr_pool_cleanup_null);
    return cms;
}

/* Whether a recipient of the envelope is named as the owner of that certificate. */
static int is_recipient(CMS_ContentInfo *cms, X509 *cert)
{
    STACK_OF(CMS_RecipientInfo) *infos = CMS_get0_RecipientInfos(cms);
    int i;

    for (i = 0; i < sk_CMS_RecipientInfo_num(infos); i++) {
        CMS_RecipientInfo *info = sk_CMS_RecipientInfo_value(infos, i);

        if (CMS_RecipientInfo_type(info) == CMS_RECIPINFO_TRANS &&
            CMS_RecipientInfo_ktri_cert_cmp(info, cert) == 0)
            return 1;
    }
    return 0;
}

/* Decrypts with one key pair; cert NULL: try the key on every recipient.  1 if that worked. */
static int decrypt(crypt_buf_t *plain, CMS_ContentInfo *cms, EVP_PKEY *key, X509 *cert,
                   apr_pool_t *p)
{
    char *data = NULL;
    long len;
    crypt_buf_t *owned;
    BIO *out = BIO_new(BIO_s_secmem());
    int ok = out && CMS_decrypt(cms, key, cert, NULL, out, CMS_BINARY) == 1;

    if (ok && (len = BIO_get_mem_data(out, &data)) > 0) {
        owned = apr_palloc(p, sizeof(*owned));
        owned->data = apr_pmemdup(p, data, (apr_size_t)len);
        owned->len = (apr_size_t)len;
        apr_pool_cleanup_register(p, owned, buf_cleanup, apr_pool_cleanup_null);
        *plain = *owned;
    }
    BIO_free(out);
    ERR_clear_error();
    return ok && plain->len > 0;
}

/*
 * For envelopes whose recipient is spelled in a way that does not match: the first key that gives
 * a SEQUENCE.
 */
static int decrypt_by_trial(crypt_buf_t *plain, int *pgeneration, const scep_message_t *message,
                            const apr_array_header_t *keys, OSSL_LIB_CTX *libctx, apr_pool_t *p)
{
    int i;

    for (i = 0; i < keys->nelts; i++) {
        const scep_ra_key_t *ra = &APR_ARRAY_IDX(keys, i, scep_ra_key_t);
        CMS_ContentInfo *cms = parse(message, libctx, p);

        plain->len = 0;
        if (cms && decrypt(plain, cms, ra->key, NULL, p) && plain->data[0] == 0x30) {
            *pgeneration = i;
            return 1;
        }
    }
    plain->len = 0;
    return 0;
}

/* Index of the RA pair that the envelope names as a recipient; -1: none. */
static int find_recipient(CMS_ContentInfo *cms, const scep_service_t *service)
{
    int i;

    for (i = 0; cms && i < service->decrypters->nelts; i++) {
        if (is_recipient(cms, APR_ARRAY_IDX(service->decrypters, i, scep_ra_key_t).cert))
            return i;
    }
    return -1;
}

int scep_envelope_generation(const scep_message_t *message, const scep_service_t *service,
                             apr_pool_t *p)
{
    int i = -1;

    if (service->signers->nelts > 1 && message->envelope.len > 0)
        i = find_recipient(parse(message, NULL, p), service);
    ERR_clear_error();
    return i < 0 ? 0 : i;
}

apr_status_t scep_envelope_open(crypt_buf_t *plain, scep_envelope_t *how,
                                const scep_message_t *message, const scep_service_t *service,
                                outcome_t *out, apr_pool_t *p)
{
    CMS_ContentInfo *cms;
    OSSL_LIB_CTX *libctx = NULL;
    int i;

    plain->data = NULL;
    plain->len = 0;
    memset(how, 0, sizeof(*how));
    if (message->envelope.len == 0) {
        scep_envelope_refuse(out, "the message holds no envelope", p);
        return APR_EINVAL;
    }
    if (choose(how, message, service, out, p) != APR_SUCCESS) {
        memset(how, 0, sizeof(*how));
        return APR_EINVAL;
    }
    if (service->legacy_lib && how->cipher == service->legacy_lib->des)
        libctx = service->legacy_lib->libctx;
    cms = parse(message, libctx, p);
    i = find_recipient(cms, service);
    if (i >= 0) {
        const scep_ra_key_t *ra = &APR_ARRAY_IDX(service->decrypters, i, scep_ra_key_t);

        how->generation = i;
        if (decrypt(plain, cms, ra->key, ra->cert, p))
            return APR_SUCCESS;
        scep_envelope_refuse(out, "decryption with the named RA key failed", p);
        return APR_EINVAL;
    }
    ERR_clear_error();
    if (cms && decrypt_by_trial(plain, &how->generation, message, service->decrypters, libctx, p))
        return APR_SUCCESS;
    scep_envelope_refuse(out, "no RA key of this service opens it", p);
    return APR_EINVAL;
}
