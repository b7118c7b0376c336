/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the checks of the configuration share: one pass over all services, and how a finding is
 * said.
 */
#ifndef MOD_SCEP_CHECK_H
#define MOD_SCEP_CHECK_H

#include "mod_scep_config.h"

#define SCEP_RA_SIGNING "ScepRASigningCertificate"
#define SCEP_RA_ENCRYPTION "ScepRAEncryptionCertificate"
#define SCEP_NEXT_CA_CHAIN "ScepNextCAChain"
#define SCEP_NEXT_RA "ScepNextRACertificate"

/* Fewer days than these, and a certificate's end is told. */
#define SCEP_WARN_DAYS 30

/* LimitRequestLine for a GET with an Intune challenge or a 4096-bit key (httpd: 8190). */
#define SCEP_REQUEST_LINE 65534

typedef struct scep_check_t {
    apr_pool_t *pconf, *ptemp;
    apr_hash_t *stores; /* what the store's directives say -> store_t* */
    apr_hash_t *names;  /* lower-case name -> scep_service_conf_t* */
    int entry; /* of a directive that may be repeated: which line findings are about, from 0 */
    int errors;
    int early; /* no error_log yet: findings go to the terminal */
    int test;  /* httpd -t: warnings are said at once, not at the start */
} scep_check_t;

/* Says "ScepService corp (FILE:LINE): DIRECTIVE: text" and counts it; the start will fail. */
void scep_check_error(scep_check_t *check, const scep_service_conf_t *service,
                      const char *directive, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The same without consequence; said once per start. */
void scep_check_warning(scep_check_t *check, scep_service_conf_t *service, const char *directive,
                        const char *format, ...) __attribute__((format(printf, 4, 5)));

/* What is no mistake but may be one; said by httpd -t only. */
void scep_check_notice(scep_check_t *check, const scep_service_conf_t *service,
                       const char *directive, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/*
 * mod_scep_keys.c: the CA's chain, the keys that open requests and sign replies, and what
 * GetNextCACert tells of.
 */
void scep_check_chain(scep_check_t *check, scep_service_conf_t *service);
void scep_check_keys(scep_check_t *check, scep_service_conf_t *service);
void scep_check_next_ca(scep_check_t *check, scep_service_conf_t *service);

/* mod_scep_check_rules.c: what renewals, approval and limits go by.  core.templates are set. */
void scep_check_renewal(scep_check_t *check, scep_service_conf_t *service);
void scep_check_limits(scep_check_t *check, scep_service_conf_t *service, policy_config_t *cfg);

/* mod_scep_point_check.c: the registration point's rules; a service without a CA gets backend
 * "none", others service->enrolls. */
void scep_check_point(scep_check_t *check, scep_service_conf_t *service);

/* Whole days until the certificate ends; negative when it has. */
int scep_days_left(const X509 *cert);

#endif /* MOD_SCEP_CHECK_H */
