/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificate templates: what a certificate of a given name looks like (ScepLocalTemplate), and
 * what any backend's request and answer are held against.
 */
#ifndef CA_TEMPLATE_H
#define CA_TEMPLATE_H

#include "../common/csr.h"
#include "../common/settings.h"
#include <apr_tables.h>
#include <openssl/x509v3.h>

/* Where subject or SAN come from. */
typedef enum { CA_FROM_CSR, CA_FROM_NOWHERE } ca_source_e;

/* One of certificatePolicies=OID[ URL],... */
typedef struct ca_template_policy_t {
    const char *oid;                    /* dotted numbers */
    const char *url;                    /* of the practice statement (CPS); NULL: none */
} ca_template_policy_t;

/* Read-only after it was parsed. */
typedef struct ca_template_t {
    const char *name;
    apr_interval_time_t validity;       /* validity=365d */
    unsigned key_usage;                 /* keyUsage=digitalSignature,keyEncipherment: KU_* bits */
    unsigned key_usage_ec;              /* keyUsageEC=: the same for EC keys; default key_usage
                                         * without encipherment (RFC 8813 section 3) */
    const char *key_usage_text;         /* as X509V3_EXT_conf_nid reads it, "critical," first */
    const char *extended_key_usage_text;/* extendedKeyUsage=clientAuth,1.3.6...; "" none */
    ca_source_e subject;                /* subject=csr|none */
    ca_source_e san;                    /* san=csr|none */
    const char *san_types;              /* sanTypes=dns,ip,...: a CSR with another kind of
                                         * GeneralName is refused; default all but sid */
    int min_rsa_bits;                   /* minimumKey=2048 */
    const char *ec_curves;              /* ecCurves=P-256,P-384,P-521; "" no EC keys */
    const char *crl_url, *aia_url;      /* crlUrl=, caIssuersUrl=; NULL: none */
    const char *ocsp_url;               /* ocspUrl=; NULL: none */
    const char *policies_text;          /* certificatePolicies=; NULL: none */
    const apr_array_header_t *policies; /* of ca_template_policy_t; NULL: none */
    const char *ms_name;                /* msTemplate=NAME: 1.3.6.1.4.1.311.20.2; NULL: none */
    const char *ms_oid;                 /* msTemplateOid=OID[ MAJOR[.MINOR]]: 1.3.6.1.4.1.311.21.7;
                                         * NULL: none */
    apr_int64_t ms_major, ms_minor;     /* of ms_oid; -1: none */
    int empty_subject_allowed;          /* emptySubject=on|off: only with a SAN, which is then
                                         * critical (RFC 5280 section 4.1.2.6) */
} ca_template_t;

/* Keys of ScepLocalTemplate, for messages and the reference. */
extern const settings_key_t ca_template_keys[];

/* Name used where no ScepTemplate is configured: digitalSignature and keyEncipherment, clientAuth,
 * one year, subject and SAN from the CSR. */
#define CA_TEMPLATE_DEFAULT "default"
const ca_template_t *ca_template_default(void);

/* Makes a template from key=value words over the default's values.  Error text in p, NULL on
 * success. */
const char *ca_template_make(const ca_template_t **ptemplate, const char *name, int argc,
                             const char *const *argv, apr_pool_t *p);

/* Everything that a template says, as one line in p: two are equal where this is. */
const char *ca_template_text(const ca_template_t *t, apr_pool_t *p);

/* Whether a setting's value may stand as URL in a certificate (NULL: absent); error text in p, NULL
 * if it may. */
const char *ca_template_check_url(const char *key, const char *url, apr_pool_t *p);

/*
 * Holds a CSR against the template before anything is signed: key type and length, subject, SAN
 * kinds.  subject: what the certificate's will be, the CSR's or another one; sid: the security
 * identifier that policy vouches for, which may stand in the SAN as well; NULL: none.  APR_SUCCESS,
 * or APR_EACCES with a refusal in out.
 */
apr_status_t ca_template_check_csr(const ca_template_t *t, const csr_t *csr,
                                   const X509_NAME *subject, const char *sid, outcome_t *out,
                                   apr_pool_t *p);

/* The template's rules for a key alone (kind, length, curve); results as above. */
apr_status_t ca_template_check_key(const ca_template_t *t, EVP_PKEY *key, outcome_t *out,
                                   apr_pool_t *p);

/*
 * The subjectAltName that the CSR asks for, decoded; the caller frees it.  APR_NOTFOUND: it asks
 * for none; APR_EINVAL: it cannot be read, is empty or has bytes after its end.
 */
apr_status_t ca_template_san_make(GENERAL_NAMES **pnames, const csr_t *csr);

/* Whether the template lets an alternative name of this kind into a certificate, and whether the
 * name is the URI of the security identifier that policy vouches for (NULL: of none). */
int ca_template_has_name(const ca_template_t *t, const GENERAL_NAME *name);
int ca_template_is_sid(const GENERAL_NAME *name, const char *sid);

#endif /* CA_TEMPLATE_H */
