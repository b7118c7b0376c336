/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What became of a request, for people and for the wire.
 *
 * Control flow is apr_status_t; an outcome_t is the explanation that travels beside it.  Not found,
 * refused and broken are three different results.  An outcome starts as OUTCOME_UNAVAILABLE
 * (outcome_init): a missing answer is never a yes.
 */
#ifndef COMMON_OUTCOME_H
#define COMMON_OUTCOME_H

#include <apr.h>
#include <apr_pools.h>

typedef enum {
    OUTCOME_SUCCESS = 0,     /* done, a certificate or an answer is there */
    OUTCOME_PENDING,         /* accepted, not decided yet */
    OUTCOME_REFUSED,         /* final no: CertRep FAILURE with fail_info */
    OUTCOME_MALFORMED,       /* not a request that can be answered by CertRep: HTTP 400 */
    OUTCOME_UNAVAILABLE,     /* store, policy or CA cannot be asked: HTTP 503 and Retry-After */
    OUTCOME_LIMITED          /* too much of it: HTTP 429 and Retry-After */
} outcome_result_e;

/* failInfo, RFC 8894 section 3.2.1.4.5; the numbers are the wire's. */
typedef enum {
    FAIL_INFO_NONE = -1,
    FAIL_INFO_BAD_ALG = 0,
    FAIL_INFO_BAD_MESSAGE_CHECK = 1,
    FAIL_INFO_BAD_REQUEST = 2,
    FAIL_INFO_BAD_TIME = 3,
    FAIL_INFO_BAD_CERT_ID = 4
} fail_info_e;

/* HRESULTs that NDES clients were seen to show ([MS-ERREF] 2.1; decimal in
 * 1.3.6.1.4.1.311.21.33). */
#define OUTCOME_HR_NONE                 0
#define OUTCOME_HR_INVALIDARG           ((apr_int32_t)0x80070057) /* E_INVALIDARG */
#define OUTCOME_HR_NOT_FOUND            ((apr_int32_t)0x80070490) /* challenge unknown */
#define OUTCOME_HR_WRONG_USAGE          ((apr_int32_t)0x800b0110) /* challenge already used */
#define OUTCOME_HR_EXPIRED              ((apr_int32_t)0x800b0101) /* CERT_E_EXPIRED */
#define OUTCOME_HR_CERT_SIGNATURE       ((apr_int32_t)0x80096004) /* challenge missing */
#define OUTCOME_HR_BAD_DATA             ((apr_int32_t)0x80090005) /* NTE_BAD_DATA */
#define OUTCOME_HR_BAD_ALGID            ((apr_int32_t)0x80090008) /* NTE_BAD_ALGID */
#define OUTCOME_HR_BAD_SIGNATURE        ((apr_int32_t)0x80090006) /* NTE_BAD_SIGNATURE */
#define OUTCOME_HR_BAD_REQUESTSUBJECT   ((apr_int32_t)0x80094001) /* CERTSRV_E_BAD_REQUESTSUBJECT */
#define OUTCOME_HR_KEY_LENGTH           ((apr_int32_t)0x80094811) /* CERTSRV_E_KEY_LENGTH */
#define OUTCOME_HR_UNSUPPORTED_TEMPLATE ((apr_int32_t)0x80094800) /* ..._UNSUPPORTED_CERT_TYPE */
#define OUTCOME_HR_ACCESS_DENIED        ((apr_int32_t)0x80070005) /* E_ACCESSDENIED */
#define OUTCOME_HR_SERVER_UNAVAILABLE   ((apr_int32_t)0x800706ba) /* RPC_S_SERVER_UNAVAILABLE */

/*
 * Which phase of a registration point's validation refused, said where it is refused; the logs name
 * it as the certificate registration point does.
 */
typedef enum {
    OUTCOME_PHASE_NONE = 0,       /* none of them */
    OUTCOME_PHASE_CHALLENGE = 1,  /* the challenge itself: whose, whether it is still good */
    OUTCOME_PHASE_PERMISSION = 2, /* for whom it was made, and for which template */
    OUTCOME_PHASE_REQUEST = 3     /* the CSR against what the challenge says */
} outcome_phase_e;

typedef struct outcome_t {
    outcome_result_e result;
    fail_info_e fail_info;      /* FAIL_INFO_NONE unless refused */
    apr_int32_t hresult;        /* OUTCOME_HR_NONE: none is sent */
    const char *reason;         /* one lower-case word with dashes, for log and metrics; not NULL */
    const char *detail;         /* for the log: what was expected and found; no secret; "" none */
    const char *text;           /* for the client (failInfoText); nothing that helps a guesser */
    apr_interval_time_t retry_after; /* with UNAVAILABLE, LIMITED or PENDING; 0: default */
    outcome_phase_e phase; /* every function below sets OUTCOME_PHASE_NONE */
} outcome_t;

/* Sets *out to OUTCOME_UNAVAILABLE with reason "no-answer". */
void outcome_init(outcome_t *out);

/* Sets *out to success (reason "ok"). */
void outcome_success(outcome_t *out);

/* Sets *out to pending; reason must live as long as *out. */
void outcome_pending(outcome_t *out, const char *reason, apr_interval_time_t retry_after);

/*
 * Sets *out to a final refusal.  reason and text must live as long as *out (string literals do);
 * detail is a printf format, formatted into p (NULL: no detail).
 */
void outcome_refuse(outcome_t *out, fail_info_e fail_info, apr_int32_t hresult, const char *reason,
                    const char *text, apr_pool_t *p, const char *detail, ...)
    __attribute__((format(printf, 7, 8)));

/* Sets *out to OUTCOME_MALFORMED; as outcome_refuse(), but no CertRep can be made. */
void outcome_malformed(outcome_t *out, const char *reason, apr_pool_t *p, const char *detail, ...)
    __attribute__((format(printf, 4, 5)));

/* Sets *out to OUTCOME_UNAVAILABLE. */
void outcome_unavailable(outcome_t *out, const char *reason, apr_interval_time_t retry_after,
                         apr_pool_t *p, const char *detail, ...)
    __attribute__((format(printf, 5, 6)));

/* Sets *out to OUTCOME_LIMITED. */
void outcome_limited(outcome_t *out, const char *reason, apr_interval_time_t retry_after,
                     apr_pool_t *p, const char *detail, ...) __attribute__((format(printf, 5, 6)));

/* RFC 8894 name of a failInfo ("badAlg" ...), "none" for FAIL_INFO_NONE.  Never NULL. */
const char *fail_info_name(fail_info_e fail_info);

/* "success", "pending", "refused", "malformed", "unavailable", "limited".  Never NULL. */
const char *outcome_result_name(outcome_result_e result);

#endif /* COMMON_OUTCOME_H */
