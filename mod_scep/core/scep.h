/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SCEP (RFC 8894) itself: one request in, one HTTP answer out.  Knows nothing of httpd.
 *
 * scep_server_process() is the only entry point for requests.  A scep_service_t is made while the
 * configuration is read and is read-only once children run: all threads share it.
 */
#ifndef SCEP_H
#define SCEP_H

#include "../../ca_backend/ca_backend.h"
#include "../../common/crypt.h"
#include "../../common/log.h"
#include "../../common/outcome.h"
#include "../../policy/policy.h"
#include "legacy.h"

/* ScepLegacyAlgorithms: what may come in although it is weak. */
#define SCEP_LEGACY_3DES 1u
#define SCEP_LEGACY_SHA1 2u
#define SCEP_LEGACY_DES 4u
#define SCEP_LEGACY_MD5 8u

/* One key pair of the registration authority. */
typedef struct scep_ra_key_t {
    X509 *cert;
    EVP_PKEY *key;
} scep_ra_key_t;

/* ScepRenewalKey: whether a renewal may, must or must not keep its key. */
typedef enum { SCEP_RENEWAL_KEY_ANY, SCEP_RENEWAL_KEY_NEW, SCEP_RENEWAL_KEY_SAME } scep_key_rule_e;

/* When a certificate in use allows its holder a new one without a challenge (section 2.5). */
typedef struct scep_renewal_t {
    int enabled;                    /* ScepRenewal */
    apr_interval_time_t window;     /* ScepRenewalWindow: so long before notAfter; 0: at any time */
    apr_interval_time_t grace;      /* ScepRenewalGrace: so long after notAfter */
    int same_subject;               /* ScepRenewalSameSubject: subject as before, no new SAN */
    scep_key_rule_e key;            /* ScepRenewalKey */
    X509_STORE *foreign;            /* ScepRenewalCAFile: CAs besides ours; NULL: none */
} scep_renewal_t;

typedef struct scep_service_t {
    const char *name;
    /*
     * Both of scep_ra_key_t, the current generation first; the CA's own pair without an RA.  What
     * decrypters[i] opened is answered by scep_service_signer(service, i).
     */
    const apr_array_header_t *signers;
    const apr_array_header_t *decrypters;
    int has_ra;                             /* the keys are an RA's, not the CA's */
    policy_t *policy;
    ca_t *ca;
    const char *templates[3];               /* by csr_usage_e; else CA_TEMPLATE_DEFAULT */
    unsigned legacy;                        /* SCEP_LEGACY_* */
    const scep_legacy_t *legacy_lib;        /* scep_legacy_make(); NULL: neither DES nor MD5 */
    const char *capabilities;               /* ScepCapabilities, LF between; NULL: generated */
    int include_ca;                         /* ScepIncludeCA: the issuing CA follows the leaf */
    apr_interval_time_t request_timeout;    /* budget of one request, from arrival */
    apr_interval_time_t ca_wait;            /* ScepCAUnavailable pending: how long a request may
                                             * wait for a CA that cannot be asked; 0: it has to
                                             * come again */
    scep_renewal_t renewal;
    int get_cert, get_crl;                  /* ScepGetCert, ScepGetCRL: offered */
    STACK_OF(X509) *next_certs;             /* GetNextCACert: the CA to come and its chain, then
                                             * its RAs'; NULL: not offered */
    /* filled by scep_service_prepare(); the chain's as far as that is known then */
    crypt_buf_t ca_cert;                    /* GetCACert's body; see scep_service_ca_cert() */
    const char *ca_cert_type;
    const char *caps;                       /* GetCACaps' body */
    crypt_buf_t next_ca;                    /* content of GetNextCACert's answer; len 0: none */
    const char *thumbprint;                 /* see scep_service_thumbprint() */
} scep_service_t;

/*
 * The pair that signs the answer to what that decrypter opened: of its own generation, or of the
 * last one there is.
 */
const scep_ra_key_t *scep_service_signer(const scep_service_t *service, int generation);

/*
 * Builds what is served unchanged (GetCACert, GetCACaps, thumbprint).  Call once after all fields
 * are set.  Error text in p, NULL on success.  p must outlive the service.
 */
const char *scep_service_prepare(scep_service_t *service, const log_sink_t *log, apr_pool_t *p);

/*
 * GetCACert's answer, which may need the CA to be asked (ca_chain()).  Other than APR_SUCCESS: out
 * is UNAVAILABLE, reason "ca-chain".
 */
apr_status_t scep_service_ca_cert(const scep_service_t *service, crypt_buf_t *body,
                                  const char **type, outcome_t *out, const log_sink_t *log,
                                  apr_pool_t *p);

/* MD5 of the chain's top in four groups, as NDES; NULL: the chain is not known. */
const char *scep_service_thumbprint(const scep_service_t *service, const log_sink_t *log,
                                    apr_pool_t *p);

typedef struct scep_request_t {
    int is_post;
    const char *args;               /* query string as on the request line, undecoded; NULL: none */
    crypt_buf_t body;               /* POST */
    const char *client_address;     /* for log and policy */
    const char *user_agent;         /* "" if none */
    apr_time_t arrived;
    int limit_exempt;               /* ScepLimitExempt: failures are neither counted nor limited */
} scep_request_t;

/* The steps of a PKIOperation whose times an audit log shows. */
typedef enum {
    SCEP_STEP_MESSAGE,  /* decoding, the message's signature */
    SCEP_STEP_ENVELOPE, /* opening it, the CSR and its signature */
    SCEP_STEP_CLAIM,    /* the signer's certificate, and the store's answer */
    SCEP_STEP_VERIFY,   /* the policy's providers */
    SCEP_STEP_CA,
    SCEP_STEP_COMMIT,   /* notifying the providers, the store's commit */
    SCEP_STEP_REPLY,
    SCEP_STEPS          /* how many there are */
} scep_step_e;

/* What policy said of a request. */
typedef enum {
    SCEP_VERDICT_NONE,    /* it was not asked */
    SCEP_VERDICT_ALLOWED, /* a person may still have to approve */
    SCEP_VERDICT_REFUSED,
    SCEP_VERDICT_UNKNOWN  /* it could not say */
} scep_verdict_e;

/* What the log line of a transaction says; strings are never NULL ("" unknown). */
typedef struct scep_trace_t {
    const char *operation;          /* "GetCACaps", "GetCACert", "PKIOperation", "", "unknown" */
    const char *message_type;       /* "PKCSReq" ... */
    const char *transaction_id;     /* printable, at most 255 characters */
    const char *subject;
    const char *template_name;
    const char *challenge_id;       /* short id, see policy_challenge_t */
    const char *challenge_caller;
    const char *renews;             /* renewal: serial number of the certificate in use */
    const char *serial;             /* upper-case hex of the certificate */
    const char *algorithms;         /* "aes-128-cbc/sha256/RSA-2048" */
    int replayed;                   /* a certificate that was issued before */
    outcome_t outcome;
    /* for the audit log and the policy log */
    const csr_t *csr;               /* NULL: none was read; its challenge is nobody's business */
    crypt_buf_t certificate;        /* DER of the leaf that was issued; len 0: none */
    const char *bound;              /* JSON of what the challenge was issued for */
    const policy_attributes_t *attributes; /* what policy added; NULL: it was not asked */
    scep_verdict_e verdict;
    policy_call_t asked, told;      /* a registration point, by verify and by notify */
    int notified;                   /* policy was told how it ended: 1; -1: it failed; 0: no */
    /* of a registration point's call: subject of the front's certificate, and what the front says
     * of its device; NULL: not told */
    const char *front, *device_address, *device_agent;
    const char *tx_key;             /* the store's name of the transaction */
    const char *record;             /* of a certificate that was issued now: the store's, JSON */
    int news;                       /* of it, that are still to be delivered */
    apr_time_t clock;               /* end of the last step; 0: steps are not measured */
    apr_interval_time_t steps[SCEP_STEPS]; /* -1: was not taken */
} scep_trace_t;

typedef struct scep_response_t {
    int http_status;                /* 200, 400, 429, 503; SCEP_NO_OPERATION: information page */
    const char *content_type;       /* exact, no charset */
    crypt_buf_t body;
    int retry_after;                /* seconds, with 429 and 503 */
    scep_trace_t trace;
} scep_response_t;

#define SCEP_NO_OPERATION 0

typedef struct scep_ctx_t {
    const scep_service_t *service;
    const log_sink_t *log;
    apr_pool_t *pool;
    int timed;                      /* trace.steps is wanted */
} scep_ctx_t;

#define SCEP_TYPE_MESSAGE    "application/x-pki-message"
#define SCEP_TYPE_CA_CERT    "application/x-x509-ca-cert"
#define SCEP_TYPE_CA_RA_CERT "application/x-x509-ca-ra-cert"
#define SCEP_TYPE_NEXT_CA    "application/x-x509-next-ca-cert"
#define SCEP_TYPE_TEXT       "text/plain"

/*
 * Answers one request.  Always APR_SUCCESS with a response in ctx->pool; what happened is in
 * response->http_status and response->trace.  May block: store, policy, CA.
 */
apr_status_t scep_server_process(scep_response_t **presponse, const scep_ctx_t *ctx,
                                 const scep_request_t *request);

#endif /* SCEP_H */
