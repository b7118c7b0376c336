/* SPDX-License-Identifier: Apache-2.0 */
/* PKCSReq: from the verified message to the certificate (steps 3 to 7 of an enrollment). */
#ifndef SCEP_ENROLL_H
#define SCEP_ENROLL_H

#include "message.h"

typedef struct scep_enrollment_t {
    const EVP_CIPHER *cipher;       /* of the request's envelope; NULL if it was not read */
    crypt_buf_t certificates[2];    /* with SUCCESS: DER, leaf, then the CA if configured */
    int ncertificates;
    int generation;                 /* of the RA pair that the envelope is for */
} scep_enrollment_t;

/* Always sets trace->outcome; the other parts of trace as far as it came.  May block. */
void scep_enroll(scep_enrollment_t *enrollment, const scep_ctx_t *ctx,
                 const scep_request_t *request, const scep_message_t *message,
                 scep_trace_t *trace);

#endif /* SCEP_ENROLL_H */
