/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attributes (policy_attributes_t) as JSON: how providers are told what a certificate shall carry,
 * and how that is kept with a waiting request.  docs/policy.md, "Attributes", is the format.
 *
 * What is said is an allow-list: a member that is unknown, malformed or not allowed by the
 * provider's configuration is an error, so that nothing a peer wants is silently left out.
 */
#ifndef POLICY_ATTRIBUTES_H
#define POLICY_ATTRIBUTES_H

#include "policy.h"
#include "policy_bound.h"

struct json_t;

/* What a peer may add; device and user always, since they are for logs and records only. */
#define POLICY_ADDS_TEMPLATE 1u
#define POLICY_ADDS_SUBJECT  2u
#define POLICY_ADDS_SID      4u
#define POLICY_ADDS_ALL      7u

/* For a provider's table of settings. */
#define POLICY_ATTRIBUTES_KEY {"attributes", "template,subject,sid", 0}

/* Reads the setting "attributes" (absent: nothing may be added) into bits.  Error text in p, NULL
 * on success. */
const char *policy_attributes_setting(unsigned *allowed, const settings_t *settings,
                                      apr_pool_t *p);

/* The same for a provider whose challenges can add a security identifier and nothing else. */
const char *policy_attributes_setting_sid(int *adds_sid, const settings_t *settings,
                                          apr_pool_t *p);

/*
 * The security identifier that nobody has to be asked for: the only one that the challenge is bound
 * to (bound NULL: to nothing), else that of a renewal's certificate in use, if our CA issued it:
 * what another one attests counts in its domain.  One that is not spelled as below is none.
 */
void policy_attributes_sid(policy_attributes_t *attributes, const policy_bound_t *bound,
                           const policy_request_t *request, apr_pool_t *p);

/* Whose the challenge is, as it is bound; what that does not say stays. */
void policy_attributes_owner(policy_attributes_t *attributes, const policy_bound_t *bound);

/*
 * Reads a JSON object with any of the strings
 *
 *   template      1 to 64 printable ASCII characters
 *   subject       RFC 4514 text of at most 1024 bytes; becomes a DER Name whose strings have the
 *                 types and lengths of RFC 5280 appendix A.1
 *   sid           S-1-5-21-A-B-C-RID, decimal numbers of 32 bits, without leading zeros
 *   device, user  1 to 255 bytes
 *
 * without control characters.  allowed: POLICY_ADDS_*.  The result is in p, and empty after an
 * error.  object NULL: nothing is added.  Error text in p, which quotes no value, NULL on success.
 */
const char *policy_attributes_read(policy_attributes_t *attributes, const struct json_t *object,
                                   unsigned allowed, apr_pool_t *p);

/* The same from text, at most 8192 bytes: one object, no name twice, nothing behind it. */
const char *policy_attributes_parse(policy_attributes_t *attributes, const void *text,
                                    apr_size_t len, unsigned allowed, apr_pool_t *p);

/* The JSON text that policy_attributes_parse() reads, compact, in p; NULL: no memory, or a subject
 * that was not made here. */
const char *policy_attributes_write(const policy_attributes_t *attributes, apr_pool_t *p);

/* Whether nothing is added. */
int policy_attributes_empty(const policy_attributes_t *attributes);

/* Whether both make the same certificate: device and user do not matter. */
int policy_attributes_same(const policy_attributes_t *a, const policy_attributes_t *b);

/*
 * A waiting request as it is sealed: the CSR, preceded by the attributes that verify added, where
 * it added some, and by a renewal's certificate in use.  It may hold a challenge: what pack makes
 * is cleansed with p.  signer NULL: an initial request.  APR_EGENERAL: attributes or signer cannot
 * be written.
 */
apr_status_t policy_attributes_pack(crypt_buf_t *plain, const crypt_buf_t *csr_der,
                                    const policy_attributes_t *attributes, const X509 *signer,
                                    apr_pool_t *p);

/* The reverse; csr_der and signer_der (len 0: none was kept) are parts of plain.  APR_EINVAL: plain
 * is damaged. */
apr_status_t policy_attributes_unpack(crypt_buf_t *csr_der, policy_attributes_t *attributes,
                                      crypt_buf_t *signer_der, const crypt_buf_t *plain,
                                      apr_pool_t *p);

#endif /* POLICY_ATTRIBUTES_H */
