/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The object identifiers of SCEP that OpenSSL has no number for.
 *
 * They are compared as bytes and never registered: OBJ_create() would change a table that all of
 * httpd shares.
 */
#ifndef SCEP_OID_H
#define SCEP_OID_H

#include <openssl/asn1.h>

typedef enum {
    SCEP_OID_MESSAGE_TYPE,      /* 2.16.840.1.113733.1.9.2, RFC 8894 section 3.2.1, table 1 */
    SCEP_OID_PKI_STATUS,        /* ...9.3 */
    SCEP_OID_FAIL_INFO,         /* ...9.4 */
    SCEP_OID_SENDER_NONCE,      /* ...9.5 */
    SCEP_OID_RECIPIENT_NONCE,   /* ...9.6 */
    SCEP_OID_TRANSACTION_ID,    /* ...9.7 */
    SCEP_OID_FAIL_INFO_TEXT,    /* 1.3.6.1.5.5.7.24.1, RFC 8894 section 3.2.1.4.5 */
    SCEP_OID_ENROLL_ERROR,      /* 1.3.6.1.4.1.311.21.33, szOID_ENROLL_SCEP_ERROR */
    SCEP_OID_COUNT,
    SCEP_OID_UNKNOWN = SCEP_OID_COUNT
} scep_oid_e;

/* Which one it is; SCEP_OID_UNKNOWN for any other. */
scep_oid_e scep_oid_find(const ASN1_OBJECT *object);

/* A new object, to be freed with ASN1_OBJECT_free(); NULL if out of memory. */
ASN1_OBJECT *scep_oid_make(scep_oid_e oid);

#endif /* SCEP_OID_H */
