/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The certificate registration point: a front (NDES-like server) that has its own CA asks here
 * whether a request is allowed, and tells how it ended.
 *
 * A question that is answered with yes holds transaction and challenge for the front that asked
 * (policy_request_t.holder), until it tells the end or policy_config_t.hold is over.  No grant
 * leaves, so nothing is signed here.  The messages are those of docs/registration-point.md.
 *
 * Thread rule: as policy.h.
 */
#ifndef POLICY_POINT_H
#define POLICY_POINT_H

#include "policy.h"

#define POLICY_POINT_BODY_MAX (256 * 1024)

/* hresult of a failure that nobody is to blame for: RPC_S_SERVER_UNAVAILABLE as HRESULT. */
#define POLICY_POINT_UNAVAILABLE 0x800706baU

/* A message of a front; all in the pool that it was read into.  Strings are NULL where absent. */
typedef struct policy_point_message_t {
    const char *transaction_id;
    crypt_buf_t request; /* DER of the CSR */
    const char *template_name;
    X509 *signer; /* a renewal's certificate in use */
    const char *client_address, *user_agent;
    const char *device, *user; /* whose it is, as the front says */
    policy_event_e event; /* Notify: ISSUED, PENDING, REFUSED or TRANSIENT */
    X509 *certificate;    /* Notify: with ISSUED */
    crypt_buf_t certificate_der;
    apr_int32_t hresult; /* Notify: OUTCOME_HR_NONE absent */
    const char *error;   /* Notify: "" absent; printable */
} policy_point_message_t;

/*
 * Reads a message: one JSON object with the members of VerifyRequest (notify 0) or Notify, no
 * other, none twice.  Error text in p that quotes nothing of it, NULL on success.
 */
const char *policy_point_read(policy_point_message_t **pmessage, int notify,
                              const crypt_buf_t *body, apr_pool_t *p);

/*
 * The request that a message is about.  csr: made of message->request; template_name: message's,
 * else what the caller takes by the CSR's key usage.  APR_EGENERAL: a key cannot be encoded.
 */
apr_status_t policy_point_request(policy_request_t *request, const policy_point_message_t *message,
                                  const csr_t *csr, const char *template_name, const char *holder,
                                  apr_pool_t *p);

/*
 * VerifyRequest.  APR_SUCCESS: allowed and held; *attributes is what policy adds, with device and
 * user where they are known.  Otherwise out says why not: REFUSED, LIMITED or UNAVAILABLE (also:
 * held by another front).  *ptx: the transaction, NULL where there is none, for logs.
 */
apr_status_t policy_point_verify(policy_tx_t **ptx, policy_attributes_t *attributes,
                                 policy_t *policy, const policy_request_t *request, outcome_t *out,
                                 const log_sink_t *log, apr_pool_t *p);

/*
 * Notify.  APR_SUCCESS: recorded, now or by the same message before.  APR_EACCES: out is a refusal,
 * and a certificate must not be delivered: the transaction is unknown, ended otherwise, held by
 * another front ("not-held"), the certificate is not for the CSR's key ("certificate-key"), or a
 * provider forbids it.  Other: out is UNAVAILABLE.  *ptx: the transaction, with device and user
 * where they are known; never NULL.
 */
apr_status_t policy_point_notify(policy_tx_t **ptx, policy_t *policy,
                                 const policy_request_t *request,
                                 const policy_point_message_t *message, outcome_t *out,
                                 const log_sink_t *log, apr_pool_t *p);

#endif /* POLICY_POINT_H */
