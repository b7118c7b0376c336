/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole service for the fuzz targets: the real engine and policy chain on a store in memory, a CA
 * that answers what the input says, and transactions in every state.  All of it is set back before
 * each input, so that an input does the same whenever it is run.
 */
#ifndef FUZZ_WORLD_H
#define FUZZ_WORLD_H

#include "../unit/scep_fixture.h"
#include "fuzz.h"
#include "fuzz_store.h"

/* transactionIDs of the device that the store knows. */
#define FUZZ_WORLD_ISSUED "issued"
#define FUZZ_WORLD_WAITS "waits"         /* for the CA, and a poll comes too early */
#define FUZZ_WORLD_READY "ready"         /* a poll asks the CA */
#define FUZZ_WORLD_MANUAL "manual"       /* waits for a person */
#define FUZZ_WORLD_APPROVED "approved"   /* by a person; a poll submits it */
#define FUZZ_WORLD_DENIED "denied"
#define FUZZ_WORLD_FAILED "failed"
#define FUZZ_WORLD_RENEWAL "renewal"     /* a renewal; a poll asks the CA */

/* Serial numbers of certificates: of the one that was issued, of the device's, of a revoked one. */
#define FUZZ_WORLD_SERIAL 5000
#define FUZZ_WORLD_CLIENT_SERIAL 2000
#define FUZZ_WORLD_REVOKED_SERIAL 2001

/* Templates: a CSR for digitalSignature alone waits for a person. */
#define FUZZ_WORLD_MANUAL_TEMPLATE "manual"

#define FUZZ_WORLD_RETENTION apr_time_from_sec(600)

typedef enum {
    FUZZ_CA_ISSUES,
    FUZZ_CA_WAITS,
    FUZZ_CA_REJECTS,
    FUZZ_CA_RETRY,
    FUZZ_CA_UNKNOWN,
    FUZZ_CA_BROKEN,         /* a status other than APR_SUCCESS */
    FUZZ_CA_OTHER_KEY,      /* a certificate of somebody else */
    FUZZ_CA_NO_LEAF,
    FUZZ_CA_ANSWERS
} fuzz_ca_e;

typedef enum { FUZZ_CRL_GOOD, FUZZ_CRL_NONE, FUZZ_CRL_GARBAGE, FUZZ_CRL_BROKEN } fuzz_crl_e;

typedef enum {
    FUZZ_SIGNER_SELF,       /* the device's key, self-signed */
    FUZZ_SIGNER_CLIENT,     /* the device's key, by the CA */
    FUZZ_SIGNER_REVOKED,    /* the same, revoked */
    FUZZ_SIGNER_STRANGER,   /* another key, self-signed */
    FUZZ_SIGNERS
} fuzz_signer_e;

typedef struct fuzz_world_t {
    scep_fixture_t *fixture;
    X509 *client, *revoked;
    X509 *foreign_ca;       /* of the stranger's key; trusted only by renewal.foreign */
    X509_STORE *foreign;
    const scep_legacy_t *legacy;    /* NULL where OpenSSL has no legacy provider */
    apr_pool_t *pool;       /* of the input */
    scep_service_t *service;
    fuzz_store_t store;
    policy_config_t policy;
    /* what an input can change; 0 is the best there is */
    fuzz_ca_e ca;
    fuzz_crl_e crl;
    outcome_result_e verify;    /* policy's answer */
    int forbid;                 /* policy forbids delivery */
    int limit_exempt;
    /* what happened */
    int submits;
    int submits_without_challenge;
} fuzz_world_t;

extern fuzz_world_t fuzz_world;

#define FUZZ_WORLD_KNOBS 2

/* Before and after each input.  begin takes the first FUZZ_WORLD_KNOBS bytes of it. */
void fuzz_world_begin(const unsigned char *knobs);
void fuzz_world_end(void);

/*
 * Has the engine answer a request, checks what must hold for every answer, and sets fuzz_answer:
 * "success", "pending" or "failure" for a CertRep, "http400", "http429", "http503", "info", or
 * "served" for any other answer.
 */
scep_response_t *fuzz_world_process(int is_post, const char *args, const crypt_buf_t *body);

/* Sends want's message, signed by that signer (want's key and cert where want has them), and reads
 * the answer as the device does. */
void fuzz_world_send(scep_fixture_message_t *want, fuzz_signer_e signer);

/*
 * A whole input that asks for what the CA has made: knobs, one byte that says whose signature
 * (fuzz_signer_e), then what stands in the envelope.  The answer is never PENDING.
 */
void fuzz_world_lookup(const unsigned char *data, size_t size, const char *message_type);

#endif /* FUZZ_WORLD_H */
