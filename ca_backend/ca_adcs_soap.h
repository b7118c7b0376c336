/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages of a Certificate Enrollment Web Service: [MS-WSTEP] over SOAP 1.2.
 *
 * Nothing here knows HTTP or what an answer means for a device.
 */
#ifndef CA_ADCS_SOAP_H
#define CA_ADCS_SOAP_H

#include "../common/crypt.h"

#define ADCS_SOAP_TYPE "application/soap+xml; charset=utf-8"
#define ADCS_REQUEST_ID_MAX 10      /* digits: RequestID is an xs:int, [MS-WSTEP] 3.1.4.1.2.5 */

/* What is asked; strings are text, not XML. */
typedef struct adcs_question_t {
    const char *to;             /* the service's URL */
    const char *message_id;     /* urn:uuid:..., see adcs_message_id() */
    const char *user;           /* UsernameToken; NULL: none */
    const char *password;
    /* one of the three: */
    const crypt_buf_t *cmc;
    const crypt_buf_t *pkcs10;  /* with template_name */
    const char *request_id;     /* what became of that request (QueryTokenStatus) */
    const char *template_name;
} adcs_question_t;

/* A new "urn:uuid:..." (RFC 4122, version 4) in p; NULL: there are no random bytes. */
const char *adcs_message_id(apr_pool_t *p);

/* The envelope in p; with a password, the caller overwrites it when it was sent. */
char *adcs_soap_write(const adcs_question_t *question, apr_pool_t *p);

typedef struct adcs_reply_t {
    const char *relates_to;     /* the question's message_id; NULL: it does not say */
    int is_fault;
    /* not a fault */
    const char *request_id;     /* digits; NULL: none */
    const char *disposition;    /* "" none; text for people, in any language */
    crypt_buf_t leaf, cmc;      /* DER; len 0: none */
    int is_pending;             /* a reference stands where the certificate would be */
    /* a fault */
    const char *text, *subcode; /* "" none */
    int has_error;              /* CertificateEnrollmentWSDetail with a failing ErrorCode */
    apr_int32_t error;          /* HRESULT */
    int is_denied;              /* InvalidRequest: the CA refused this very request */
} adcs_reply_t;

/*
 * Reads an answer; strings and bytes in p.  Refused are document types (so no entity of anybody's
 * is ever expanded), NUL bytes, more than a thousand tags, names of other namespaces, and anything
 * that is there twice.  Error text in p, NULL on success.
 */
const char *adcs_soap_read(adcs_reply_t *reply, const crypt_buf_t *body, apr_pool_t *p);

/* Whether text can be the number of a request. */
int adcs_is_request_id(const char *text);

#endif /* CA_ADCS_SOAP_H */
