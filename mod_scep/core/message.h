/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pkiMessage (RFC 8894 section 3.2): decoding, verifying the signature, reading the attributes.
 */
#ifndef SCEP_MESSAGE_H
#define SCEP_MESSAGE_H

#include "cms_asn1.h"
#include "scep.h"

/* messageType, RFC 8894 section 3.2.1.2; any other number is refused. */
typedef enum {
    SCEP_MESSAGE_NONE = -1,     /* attribute missing or not a number */
    SCEP_CERT_REP = 3,
    SCEP_RENEWAL_REQ = 17,
    SCEP_PKCS_REQ = 19,
    SCEP_CERT_POLL = 20,
    SCEP_GET_CERT = 21,
    SCEP_GET_CRL = 22
} scep_message_type_e;

typedef struct scep_message_t {
    /* the signer, by the certificate in the message (section 2.3) */
    cert_t *signer_cert;
    EVP_PKEY *signer_key;
    crypt_buf_t signer_der;         /* the certificate as it came */
    crypt_buf_t signer_spki;        /* DER */
    const EVP_MD *digest;           /* of the signature; the reply uses the same */
    /* attributes */
    const char *transaction_id;     /* printable ASCII, 1..255 */
    crypt_buf_t sender_nonce;       /* 1..64 bytes; len 0: missing */
    int message_type;               /* as sent; SCEP_MESSAGE_NONE: missing or not a number */
    crypt_buf_t envelope;           /* pkcsPKIEnvelope; len 0: none */
} scep_message_t;

/*
 * Steps 2 of an enrollment.  APR_SUCCESS: *pmessage is verified, its transactionID is there
 * (other attributes are the caller's to check).  APR_EINVAL with out MALFORMED: no answer but
 * HTTP 400. APR_EINVAL with out REFUSED (badAlg): an algorithm that may not vouch for a message;
 * *pmessage then holds transactionID and nonce for the answer, unverified, and nothing else may
 * be used.  Of service only legacy and legacy_lib are looked at.  der must outlive the message.
 */
apr_status_t scep_message_make(scep_message_t **pmessage, const crypt_buf_t *der,
                               const scep_service_t *service, outcome_t *out, apr_pool_t *p);

/* "PKCSReq" ...; "unknown" for an undefined number.  Never NULL. */
const char *scep_message_type_name(int type);

#endif /* SCEP_MESSAGE_H */
