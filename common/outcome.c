/* SPDX-License-Identifier: Apache-2.0 */
/* Outcomes: the one place that fills an outcome_t, so that no field is ever left undefined. */
#include "outcome.h"

#include <apr_strings.h>
#include <stdarg.h>

static const char *const result_names[] = {"success", "pending", "refused", "malformed",
                                           "unavailable", "limited"};

static const char *const fail_info_names[] = {"badAlg", "badMessageCheck", "badRequest", "badTime",
                                              "badCertId"};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Sets every field of *out, the optional ones to nothing. */
static void fill(outcome_t *out, outcome_result_e result, const char *reason)
{
    out->result = result;
    out->fail_info = FAIL_INFO_NONE;
    out->hresult = OUTCOME_HR_NONE;
    out->reason = reason != NULL ? reason : "unknown";
    out->detail = "";
    out->text = "";
    out->retry_after = 0;
    out->phase = OUTCOME_PHASE_NONE;
}

/* The detail formatted into p; "" without a format or a pool. */
static const char *format_detail(apr_pool_t *p, const char *detail, va_list args)
{
    if (detail == NULL || p == NULL) {
        return "";
    }
    return apr_pvsprintf(p, detail, args);
}

void outcome_init(outcome_t *out)
{
    fill(out, OUTCOME_UNAVAILABLE, "no-answer");
}

void outcome_success(outcome_t *out)
{
    fill(out, OUTCOME_SUCCESS, "ok");
}

void outcome_pending(outcome_t *out, const char *reason, apr_interval_time_t retry_after)
{
    fill(out, OUTCOME_PENDING, reason);
    out->retry_after = retry_after > 0 ? retry_after : 0;
}

void outcome_refuse(outcome_t *out, fail_info_e fail_info, apr_int32_t hresult, const char *reason,
                    const char *text, apr_pool_t *p, const char *detail, ...)
{
    const char *formatted;
    va_list args;

    /* Formatted before *out is touched: an argument may be a string of the old outcome. */
    va_start(args, detail);
    formatted = format_detail(p, detail, args);
    va_end(args);
    fill(out, OUTCOME_REFUSED, reason);
    out->fail_info = fail_info == FAIL_INFO_NONE ? FAIL_INFO_BAD_REQUEST : fail_info;
    out->hresult = hresult;
    out->text = text != NULL ? text : "";
    out->detail = formatted;
}

void outcome_malformed(outcome_t *out, const char *reason, apr_pool_t *p, const char *detail, ...)
{
    const char *formatted;
    va_list args;

    va_start(args, detail);
    formatted = format_detail(p, detail, args);
    va_end(args);
    fill(out, OUTCOME_MALFORMED, reason);
    out->detail = formatted;
}

void outcome_unavailable(outcome_t *out, const char *reason, apr_interval_time_t retry_after,
                         apr_pool_t *p, const char *detail, ...)
{
    const char *formatted;
    va_list args;

    va_start(args, detail);
    formatted = format_detail(p, detail, args);
    va_end(args);
    fill(out, OUTCOME_UNAVAILABLE, reason);
    out->retry_after = retry_after > 0 ? retry_after : 0;
    out->detail = formatted;
}

void outcome_limited(outcome_t *out, const char *reason, apr_interval_time_t retry_after,
                     apr_pool_t *p, const char *detail, ...)
{
    const char *formatted;
    va_list args;

    va_start(args, detail);
    formatted = format_detail(p, detail, args);
    va_end(args);
    fill(out, OUTCOME_LIMITED, reason);
    out->retry_after = retry_after > 0 ? retry_after : 0;
    out->detail = formatted;
}

const char *fail_info_name(fail_info_e fail_info)
{
    int i = (int)fail_info;

    return i >= 0 && i < (int)COUNT(fail_info_names) ? fail_info_names[i] : "none";
}

const char *outcome_result_name(outcome_result_e result)
{
    int i = (int)result;

    return i >= 0 && i < (int)COUNT(result_names) ? result_names[i] : "unavailable";
}
