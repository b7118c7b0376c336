/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ASN.1 shapes of CMS (RFC 5652) as SCEP messages use them, for reading and writing.
 *
 * OpenSSL's CMS and PKCS7 types decode the public key of every certificate inside (120 us each on
 * OpenSSL 3.0) and do not tell the cipher of an envelope.  Here certificates stay bytes.  Signing,
 * verifying and decrypting are the library's.
 */
#ifndef SCEP_CMS_ASN1_H
#define SCEP_CMS_ASN1_H

#include "../../common/csr.h"
#include <openssl/asn1t.h>
#include <openssl/x509.h>

typedef STACK_OF(ASN1_TYPE) cms_any_set_t;

typedef struct cms_encap_t {
    ASN1_OBJECT *type;
    ASN1_TYPE *content;             /* OCTET STRING, or what PKCS #7 1.5 puts there; NULL: absent */
} cms_encap_t;

typedef struct cms_signer_info_t {
    ASN1_INTEGER *version;
    ASN1_TYPE *sid;                 /* SEQUENCE issuerAndSerialNumber or [0] subjectKeyIdentifier */
    X509_ALGOR *digest;
    STACK_OF(X509_ATTRIBUTE) *signed_attributes;
    X509_ALGOR *signature_algor;
    ASN1_OCTET_STRING *signature;
    STACK_OF(X509_ATTRIBUTE) *unsigned_attributes;
} cms_signer_info_t;
DECLARE_ASN1_ITEM(cms_signer_info_t)
DEFINE_STACK_OF(cms_signer_info_t)

typedef struct cms_signed_data_t {
    ASN1_INTEGER *version;
    STACK_OF(X509_ALGOR) *digests;
    cms_encap_t *encap;
    cms_any_set_t *certificates;    /* each a SEQUENCE (certificate); others are ignored */
    cms_any_set_t *crls;
    STACK_OF(cms_signer_info_t) *signers;
} cms_signed_data_t;

/* ContentInfo of type signedData. */
typedef struct cms_signed_t {
    ASN1_OBJECT *type;
    cms_signed_data_t *content;
} cms_signed_t;
DECLARE_ASN1_ITEM(cms_signed_t)

/* SET OF Attribute in the order of the stack: as it was sent, for the signature's digest. */
DECLARE_ASN1_ITEM(cms_attributes_as_sent)
/* SET OF Attribute in DER order, for signing. */
DECLARE_ASN1_ITEM(cms_attributes_der)

/* EncryptedContentInfo: only its algorithm is of interest. */
typedef struct cms_encrypted_t {
    ASN1_OBJECT *type;
    X509_ALGOR *algor;
    ASN1_OCTET_STRING *content;
} cms_encrypted_t;

typedef struct cms_enveloped_data_t {
    ASN1_INTEGER *version;
    cms_any_set_t *originator;
    cms_any_set_t *recipients;
    cms_encrypted_t *encrypted;
    cms_any_set_t *unprotected;
} cms_enveloped_data_t;

/* ContentInfo of type envelopedData. */
typedef struct cms_enveloped_t {
    ASN1_OBJECT *type;
    cms_enveloped_data_t *content;
} cms_enveloped_t;
DECLARE_ASN1_ITEM(cms_enveloped_t)

typedef struct cms_auth_enveloped_data_t {
    ASN1_INTEGER *version;
    cms_any_set_t *originator;
    cms_any_set_t *recipients;
    cms_encrypted_t *encrypted;
    cms_any_set_t *authenticated;
    ASN1_OCTET_STRING *mac;
    cms_any_set_t *unauthenticated;
} cms_auth_enveloped_data_t;

/* ContentInfo of type authEnvelopedData, RFC 5083 section 2.1. */
typedef struct cms_auth_enveloped_t {
    ASN1_OBJECT *type;
    cms_auth_enveloped_data_t *content;
} cms_auth_enveloped_t;
DECLARE_ASN1_ITEM(cms_auth_enveloped_t)

/* KeyTransRecipientInfo, RFC 5652 section 6.2.1. */
typedef struct cms_key_trans_t {
    ASN1_INTEGER *version;
    ASN1_TYPE *rid;                 /* as a signer's sid */
    X509_ALGOR *algor;
    ASN1_OCTET_STRING *key;
} cms_key_trans_t;
DECLARE_ASN1_ITEM(cms_key_trans_t)

/* GCMParameters, RFC 5084 section 3.2; OpenSSL writes and reads them without the default. */
typedef struct cms_gcm_t {
    ASN1_OCTET_STRING *nonce;
    ASN1_INTEGER *tag_len;
} cms_gcm_t;
DECLARE_ASN1_ITEM(cms_gcm_t)

/* Certificate, RFC 5280 section 4.1, with the key left as bytes. */
typedef struct cert_info_t {
    ASN1_INTEGER *version;
    ASN1_INTEGER *serial;
    X509_ALGOR *signature;
    X509_NAME *issuer;
    X509_VAL *validity;
    X509_NAME *subject;
    spki_t *spki;
    ASN1_BIT_STRING *issuer_uid;
    ASN1_BIT_STRING *subject_uid;
    STACK_OF(X509_EXTENSION) *extensions;
} cert_info_t;

typedef struct cert_t {
    cert_info_t *info;
    X509_ALGOR *algor;
    ASN1_BIT_STRING *signature;
} cert_t;
DECLARE_ASN1_ITEM(cert_t)

/* Frees any of the above with its pool. */
void *cms_own(void *value, const ASN1_ITEM *item, apr_pool_t *p);

/* Decodes all len bytes or nothing; owned by p; NULL if it is not that type or bytes follow. */
void *cms_decode(const ASN1_ITEM *item, const void *data, apr_size_t len, apr_pool_t *p);

/* The serial number of a certificate in DER, owned by p, without decoding the rest (which costs as
 * much as encoding the answer); NULL if that is not what it begins with. */
ASN1_INTEGER *cms_certificate_serial(const crypt_buf_t *der, apr_pool_t *p);

/* Encodes into p; data NULL if that fails. */
crypt_buf_t cms_encode(const ASN1_ITEM *item, const void *value, apr_pool_t *p);

/* Appends bytes that are a SEQUENCE already (a certificate) to a set; 0 if out of memory. */
int cms_push_sequence(cms_any_set_t *set, const crypt_buf_t *der);

/*
 * A degenerate SignedData (RFC 8894 section 3.4) of certificates given as DER, in the order given.
 * data NULL if that fails.
 */
crypt_buf_t cms_degenerate_make(const crypt_buf_t *certs, int ncerts, apr_pool_t *p);

/* The same of a CRL given as DER, without certificates. */
crypt_buf_t cms_degenerate_crl_make(const crypt_buf_t *crl, apr_pool_t *p);

#endif /* SCEP_CMS_ASN1_H */
