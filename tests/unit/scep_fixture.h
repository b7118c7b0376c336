/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other side of SCEP for tests: a CA, a registration authority, and a device that is built on
 * OpenSSL's own CMS functions, so that our encoder and decoder are never tested against themselves.
 *
 * Knows nothing of Check: the fuzz targets and their corpus are made with it too.  Every function
 * aborts the process instead of returning a failure.
 */
#ifndef UNIT_SCEP_FIXTURE_H
#define UNIT_SCEP_FIXTURE_H

#include "../../mod_scep/core/scep.h"
#include <openssl/cms.h>

typedef enum {
    SCEP_FIXTURE_CA,
    SCEP_FIXTURE_SIGNER,        /* the RA's two */
    SCEP_FIXTURE_DECRYPTER,
    SCEP_FIXTURE_OLD_DECRYPTER, /* an older generation of it */
    SCEP_FIXTURE_DEVICE,
    SCEP_FIXTURE_STRANGER,      /* who has nothing to do with this service */
    SCEP_FIXTURE_KEYS
} scep_fixture_key_e;

/* Makes the keys, once per process; every suite calls it before its tests fork. */
void scep_fixture_init(void);
/* Takes these keys (PEM) instead; for reproducible certificates. */
void scep_fixture_set_keys(const char *const pem[SCEP_FIXTURE_KEYS]);
/* Borrowed. */
EVP_PKEY *scep_fixture_key(scep_fixture_key_e who);
EVP_PKEY *scep_fixture_ec_key(void);

/*
 * A service with an RA signer and two generations of decrypters; takes 3DES and SHA-1.  No policy,
 * no CA.  Certificates are the same for the same keys.
 */
typedef struct scep_fixture_t {
    apr_pool_t *pool;
    X509 *certs[SCEP_FIXTURE_KEYS]; /* device and stranger: self-signed */
    scep_service_t service;
} scep_fixture_t;

scep_fixture_t *scep_fixture_make(apr_pool_t *p);

/* ---- certificates and requests */

/* What scep_fixture_certificate() makes. */
typedef struct scep_fixture_cert_t {
    const char *subject, *issuer;   /* common names; issuer NULL: the same */
    EVP_PKEY *key;
    EVP_PKEY *issuer_key;           /* NULL: key */
    long serial;
    int version1;                   /* as old Cisco IOS: no extensions at all */
    int ca;
    const EVP_MD *md;               /* NULL: SHA-256 */
} scep_fixture_cert_t;

X509 *scep_fixture_certificate(apr_pool_t *p, const scep_fixture_cert_t *want);

/* What scep_fixture_csr() makes. */
typedef struct scep_fixture_csr_t {
    const char *subject;            /* common name; NULL: "device"; "": empty subject */
    EVP_PKEY *key;                  /* NULL: the device's */
    const char *challenge;          /* NULL: none */
    const char *key_usage;          /* as openssl.cnf writes it; NULL: none */
    const EVP_MD *md;               /* NULL: SHA-256 */
    void (*edit)(X509_REQ *req, void *baton);   /* before it is signed */
    void *baton;
} scep_fixture_csr_t;

crypt_buf_t scep_fixture_csr(apr_pool_t *p, const scep_fixture_csr_t *want);

/* ---- what the device sends */

/* A pkiMessage; members left zero are what a good device does. */
typedef struct scep_fixture_message_t {
    /* signer */
    EVP_PKEY *key;                  /* NULL: the device's */
    X509 *cert;                     /* NULL: self-signed by key, CN=device */
    const EVP_MD *md;               /* NULL: SHA-256 */
    unsigned flags;                 /* CMS_USE_KEYID, CMS_NOCERTS, CMS_NOATTR, CMS_KEY_PARAM ... */
    int pss;                        /* RSASSA-PSS */
    const EVP_MD *pss_mgf1;         /* NULL: md */
    /* attributes */
    const char *message_type;       /* NULL: "19"; "": none */
    int message_type_as;            /* ASN.1 type; 0: PrintableString */
    const char *transaction_id;     /* NULL: "4F3C..." ; "": none */
    int transaction_id_as;
    crypt_buf_t nonce;              /* data NULL: 16 bytes; len 0: empty */
    int nonce_as;
    int no_nonce;
    void (*edit)(CMS_ContentInfo *cms, CMS_SignerInfo *signer);     /* before it is signed */
    void (*spoil)(CMS_ContentInfo *cms, CMS_SignerInfo *signer);    /* after */
    /* content */
    const crypt_buf_t *envelope;    /* NULL: plain, enveloped as follows */
    int no_content;
    const crypt_buf_t *plain;       /* NULL: a CSR of the device with challenge "secret" */
    const EVP_CIPHER *cipher;       /* NULL: AES-128-CBC */
    X509 *recipient;                /* NULL: the RA's current decrypter */
    X509 *second_recipient;         /* NULL: none */
    unsigned recipient_flags;       /* CMS_USE_KEYID ... */
    const EVP_MD *oaep, *oaep_mgf1; /* NULL: PKCS #1 v1.5 */
    const char *password;           /* PasswordRecipientInfo in place of recipient */
    OSSL_LIB_CTX *libctx;           /* where cipher is from; NULL: the default */
} scep_fixture_message_t;

#define SCEP_FIXTURE_TRANSACTION_ID "4F3C9A0B7E21D5C68890AB12CD34EF5601234567"
#define SCEP_FIXTURE_NONCE "0123456789abcdef"
#define SCEP_FIXTURE_CHALLENGE "secret"

crypt_buf_t scep_fixture_message(const scep_fixture_t *f, const scep_fixture_message_t *want);

/* An EnvelopedData of plain for want's recipients. */
crypt_buf_t scep_fixture_envelope(const scep_fixture_t *f, const scep_fixture_message_t *want,
                                  const crypt_buf_t *plain);

/* Adds an attribute by its dotted OID; also a second time, which the library itself refuses. */
void scep_fixture_add_attribute(CMS_SignerInfo *signer, const char *oid, int type, const void *data,
                                int len);
/* Adds one more value to the attribute of that OID. */
void scep_fixture_add_value(CMS_SignerInfo *signer, const char *oid, int type, const void *data,
                            int len);

#define SCEP_FIXTURE_OID(last) "2.16.840.1.113733.1.9." #last

/*
 * The same in BER as jscep and other Java clients send it: constructed values of indefinite length,
 * octet strings in pieces.  split_context: also values of tag [0] (an envelope's content).
 */
crypt_buf_t scep_fixture_ber(apr_pool_t *p, const crypt_buf_t *der, int split_context);

/* ---- what the device reads */

/* A CertRep as OpenSSL's CMS and PKCS7 functions read it; texts are NULL where it has none. */
typedef struct scep_fixture_reply_t {
    const char *message_type, *status, *fail_info, *fail_info_text, *hresult, *transaction_id;
    crypt_buf_t sender_nonce, recipient_nonce;
    int md;                         /* NIDs; cipher NID_undef without an envelope */
    int cipher;
    int has_content;                /* not empty */
    STACK_OF(X509) *certs;          /* from the envelope, in their order; NULL: none */
    crypt_buf_t crl;                /* the one CRL from it, DER; data NULL: none */
} scep_fixture_reply_t;

/*
 * Verifies the signature with the RA signer's certificate, and opens the envelope with key and cert
 * (NULL: those of a good device).  Aborts if der is no such message.
 */
scep_fixture_reply_t *scep_fixture_open(const scep_fixture_t *f, const crypt_buf_t *der,
                                        EVP_PKEY *key, X509 *cert);

/* As scep_fixture_open(), the envelope by its password. */
scep_fixture_reply_t *scep_fixture_open_by_password(const scep_fixture_t *f, const crypt_buf_t *der,
                                                    const char *password);

#endif /* UNIT_SCEP_FIXTURE_H */
