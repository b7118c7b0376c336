/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bound challenges: what the request must be that a challenge was made for.
 *
 * Whoever makes a challenge says it as a JSON object (docs/policy.md has every member), the store
 * keeps it beside the challenge, and the CSR is held against it before anything is signed.  What is
 * said is an allow-list: an unknown member is an error, a part of the CSR that cannot be read is a
 * mismatch.  Names that the object does not mention are free, but for alternative names: as soon
 * as subject or san is bound, only those that are listed may be asked for.
 */
#ifndef POLICY_BOUND_H
#define POLICY_BOUND_H

#include "../common/csr.h"
#include <apr_tables.h>
#include <apr_time.h>

/* What the client is told of every mismatch. */
#define POLICY_BOUND_TEXT "The request does not match what the challenge was issued for."

#define POLICY_BOUND_KINDS 6

/* Kinds of alternative names; those after POLICY_BOUND_SID cannot be listed. */
typedef enum {
    POLICY_BOUND_DNS,
    POLICY_BOUND_EMAIL,
    POLICY_BOUND_URI,
    POLICY_BOUND_IP,
    POLICY_BOUND_UPN,
    POLICY_BOUND_SID, /* of Windows' strong mapping: an extension, or a URI */
    POLICY_BOUND_OTHER
} policy_bound_kind_e;

/* One alternative name, in the spelling that equal names share. */
typedef struct policy_bound_san_t {
    policy_bound_kind_e kind;
    const unsigned char *data;
    apr_size_t len;
} policy_bound_san_t;

/* One type of the subject, with all its values. */
typedef struct policy_bound_type_t {
    const char *name; /* as written */
    ASN1_OBJECT *type;
    apr_array_header_t *values; /* of X509_NAME*, with that value alone */
} policy_bound_type_t;

/* Read-only; owned by the pool that it was parsed into. */
typedef struct policy_bound_t {
    const char *json;          /* the object again, compact, its members sorted */
    const char *template_name; /* "" any */
    const char *device, *user; /* for people; "" unknown */
    apr_interval_time_t lifetime; /* 0: the service's */
    int uses;                     /* 0: the service's */
    X509_NAME *subject;           /* whole; NULL: not bound so */
    apr_array_header_t *types;    /* of policy_bound_type_t; NULL: not bound so */
    int subject_exact;            /* no other types than these */
    apr_array_header_t *san;      /* of policy_bound_san_t; NULL: not bound */
    unsigned san_kinds;           /* bit per kind that is listed */
    int san_other;                /* kinds that are not listed are free */
    int key_usage;                /* bits of RFC 5280's numbers, bit 0 the lowest; -1: not bound */
    int key_usage_optional;
    apr_array_header_t *eku;    /* of ASN1_OBJECT*; NULL: not bound */
    int min_key;                /* RSA bits; 0: not given */
    apr_array_header_t *curves; /* of const char*, OpenSSL's names; NULL: not given */
} policy_bound_t;

/*
 * Reads len bytes of JSON (UTF-8, an object, at most STORE_LONG_TEXT_MAX bytes).  Error text that
 * names the member, NULL on success.  What is malformed, repeated, unknown, empty, too long or of
 * another type is an error.
 */
const char *policy_bound_parse(policy_bound_t **pbound, const char *json, apr_size_t len,
                               apr_pool_t *p);

/*
 * Holds a CSR against it.  APR_SUCCESS; APR_EACCES with out refused (badRequest): reason
 * "bound-template", "bound-subject", "bound-san", "bound-key-usage", "bound-eku" or "bound-key",
 * detail what was expected and found (printable, bounded), text POLICY_BOUND_TEXT for each.
 */
apr_status_t policy_bound_check(const policy_bound_t *bound, const csr_t *csr,
                                const char *template_name, outcome_t *out, apr_pool_t *p);

/* For policy_bound*.c: names of kinds ("dns" ...), key usages ("digitalSignature" ...). */
extern const char *const policy_bound_kinds[POLICY_BOUND_KINDS + 1];
extern const char *const policy_bound_usages[9];

/* The spelling that equal names of a kind share; in p. */
policy_bound_san_t policy_bound_san(policy_bound_kind_e kind, const void *data, apr_size_t len,
                                    apr_pool_t *p);

/* A name from RFC 4514 text, the first of the text being the last of the name.  Error text in p,
 * NULL on success. */
const char *policy_bound_name(X509_NAME **pname, const char *text, apr_pool_t *p);

/* The attribute type of a short name ("CN"), long name or number; owned by p.  NULL: unknown. */
ASN1_OBJECT *policy_bound_type(const char *name, apr_pool_t *p);

/* A name that is one attribute, owned by p; NULL: cannot be made. */
X509_NAME *policy_bound_single(const ASN1_OBJECT *type, const char *value, apr_pool_t *p);

#endif /* POLICY_BOUND_H */
