/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the verified message to the certificate (steps 3 to 7 of an enrollment): PKCSReq and
 * RenewalReq here, CertPoll in poll.c.
 */
#ifndef SCEP_ENROLL_H
#define SCEP_ENROLL_H

#include "envelope.h"

/* What may allow a message of some type; the table in server.c gives each type its set. */
#define SCEP_BY_CHALLENGE 1u    /* whatever policy asks of an initial request */
#define SCEP_BY_SIGNER 2u       /* a certificate of ours, under the rules of renewal.h */
#define SCEP_BY_TRANSACTION 4u  /* transactionID and key of a request that was made before */
#define SCEP_BY_LOOKUP 8u       /* nothing is issued: see lookup.h */

typedef struct scep_enrollment_t {
    unsigned allowed;               /* SCEP_BY_*: of the message's type */
    scep_envelope_t envelope;       /* how the request's was made; cipher NULL: it was not read */
    const csr_t *csr;               /* whose challenge may key the answer; NULL: none */
    crypt_buf_t certificates[2];    /* with SUCCESS: DER, leaf, then the CA if configured */
    int ncertificates;
    crypt_buf_t crl;                /* with SUCCESS of GetCRL: DER, and no certificates */
} scep_enrollment_t;

/*
 * PKCSReq and RenewalReq.  Always sets trace->outcome; the other parts of trace as far as it came.
 * May block.
 */
void scep_enroll(scep_enrollment_t *enrollment, const scep_ctx_t *ctx,
                 const scep_request_t *request, const scep_message_t *message,
                 scep_trace_t *trace);

/* CertPoll: as scep_enroll().  PENDING while nobody has decided. */
void scep_poll(scep_enrollment_t *enrollment, const scep_ctx_t *ctx,
               const scep_request_t *request, const scep_message_t *message,
               scep_trace_t *trace);

/*
 * Goes on with the pending transaction of message (poll.c): gives its certificate, or asks the CA,
 * or says that it waits.  Sets trace->outcome.
 */
void scep_continue(scep_enrollment_t *enrollment, const scep_ctx_t *ctx,
                   const scep_request_t *request, const scep_message_t *message,
                   scep_trace_t *trace);

/* Fills what policy is asked, but for authorization, signer and template. */
void scep_ask(policy_request_t *asked, const scep_ctx_t *ctx, const scep_request_t *request,
              const scep_message_t *message, const csr_t *csr);

/* Says in trace what is known of a transaction's challenge, and where to see what policy adds. */
void scep_trace_tx(scep_trace_t *trace, const policy_tx_t *tx, apr_pool_t *p);

/* Puts the leaf, and the issuing CA where it is wanted, into the answer: success. */
void scep_deliver(scep_enrollment_t *enrollment, const scep_ctx_t *ctx, const crypt_buf_t *leaf,
                  scep_trace_t *trace);

/* 5. to 7.: a claimed transaction up to its end; ca_cookie: ask the CA again instead. */
void scep_sign(scep_enrollment_t *enrollment, const scep_ctx_t *ctx, policy_tx_t *tx,
               scep_trace_t *trace);

/* Counts the time since the last step for that one, where steps are measured. */
void scep_trace_step(scep_trace_t *trace, scep_step_e step);

/* Which weak digests may vouch for a CSR (csr_make()): CSR_ALLOW_*. */
unsigned scep_csr_digests(const scep_service_t *service);

#endif /* SCEP_ENROLL_H */
