/* SPDX-License-Identifier: Apache-2.0 */
/* Outcomes are complete whoever fills them; the log sink cuts, filters and drains. */
#include "../../common/outcome.h"
#include "fixture.h"

#include <openssl/err.h>
#include <string.h>

Suite *test_outcome_suite(void);

START_TEST(starts_as_unavailable)
{
    outcome_t out;

    memset(&out, 0xff, sizeof(out));
    outcome_init(&out);
    ck_assert_int_eq(out.result, OUTCOME_UNAVAILABLE);
    ck_assert_int_eq(out.fail_info, FAIL_INFO_NONE);
    ck_assert_int_eq(out.hresult, OUTCOME_HR_NONE);
    ck_assert_str_eq(out.reason, "no-answer");
    ck_assert_str_eq(out.detail, "");
    ck_assert_str_eq(out.text, "");
    ck_assert_int_eq(out.retry_after, 0);
}
END_TEST

START_TEST(refusal_is_complete)
{
    outcome_t out;

    outcome_init(&out);
    outcome_refuse(&out, FAIL_INFO_BAD_ALG, OUTCOME_HR_BAD_ALGID, "why", "for you",
                   fixture_pool(), "%s %d", "for us", 7);
    ck_assert_int_eq(out.result, OUTCOME_REFUSED);
    ck_assert_int_eq(out.fail_info, FAIL_INFO_BAD_ALG);
    ck_assert_int_eq(out.hresult, (apr_int32_t)0x80090008);
    ck_assert_str_eq(out.reason, "why");
    ck_assert_str_eq(out.text, "for you");
    ck_assert_str_eq(out.detail, "for us 7");
    outcome_refuse(&out, FAIL_INFO_NONE, OUTCOME_HR_NONE, NULL, NULL, fixture_pool(), NULL);
    ck_assert_int_eq(out.fail_info, FAIL_INFO_BAD_REQUEST);
    ck_assert_str_eq(out.reason, "unknown");
    ck_assert_str_eq(out.text, "");
    ck_assert_str_eq(out.detail, "");
}
END_TEST

START_TEST(later_result_leaves_nothing_of_the_earlier)
{
    outcome_t out;

    outcome_refuse(&out, FAIL_INFO_BAD_TIME, OUTCOME_HR_EXPIRED, "old", "old", fixture_pool(),
                   "old");
    outcome_unavailable(&out, "store", 5, fixture_pool(), "was %s", out.reason);
    ck_assert_int_eq(out.result, OUTCOME_UNAVAILABLE);
    ck_assert_int_eq(out.fail_info, FAIL_INFO_NONE);
    ck_assert_int_eq(out.hresult, OUTCOME_HR_NONE);
    ck_assert_str_eq(out.detail, "was old");
    ck_assert_str_eq(out.text, "");
    ck_assert_int_eq(out.retry_after, 5);
    outcome_malformed(&out, "bytes", fixture_pool(), "at %d", 3);
    ck_assert_int_eq(out.result, OUTCOME_MALFORMED);
    ck_assert_str_eq(out.detail, "at 3");
    ck_assert_int_eq(out.retry_after, 0);
    outcome_success(&out);
    ck_assert_int_eq(out.result, OUTCOME_SUCCESS);
    ck_assert_str_eq(out.reason, "ok");
    ck_assert_str_eq(out.detail, "");
    outcome_unavailable(&out, "store", -5, fixture_pool(), NULL);
    ck_assert_int_eq(out.retry_after, 0);
}
END_TEST

START_TEST(every_value_has_a_name)
{
    ck_assert_str_eq(fail_info_name(FAIL_INFO_NONE), "none");
    ck_assert_str_eq(fail_info_name(FAIL_INFO_BAD_ALG), "badAlg");
    ck_assert_str_eq(fail_info_name(FAIL_INFO_BAD_MESSAGE_CHECK), "badMessageCheck");
    ck_assert_str_eq(fail_info_name(FAIL_INFO_BAD_REQUEST), "badRequest");
    ck_assert_str_eq(fail_info_name(FAIL_INFO_BAD_TIME), "badTime");
    ck_assert_str_eq(fail_info_name(FAIL_INFO_BAD_CERT_ID), "badCertId");
    ck_assert_str_eq(fail_info_name((fail_info_e)99), "none");
    ck_assert_str_eq(outcome_result_name(OUTCOME_SUCCESS), "success");
    ck_assert_str_eq(outcome_result_name(OUTCOME_PENDING), "pending");
    ck_assert_str_eq(outcome_result_name(OUTCOME_REFUSED), "refused");
    ck_assert_str_eq(outcome_result_name(OUTCOME_MALFORMED), "malformed");
    ck_assert_str_eq(outcome_result_name(OUTCOME_UNAVAILABLE), "unavailable");
    ck_assert_str_eq(outcome_result_name((outcome_result_e)99), "unavailable");
}
END_TEST

START_TEST(sink_filters_and_cuts)
{
    log_sink_t *log = fixture_log(fixture_pool());
    char longest[3000];

    log->level = LOG_SINK_INFO;
    log_to(log, LOG_SINK_DEBUG, "T0", "unseen");
    ck_assert_str_eq(fixture_log_text(log), "");
    log_to(log, LOG_SINK_ERR, "T1", "%s %d%%", "seen", 5);
    ck_assert_str_eq(fixture_log_text(log), "3 T1 seen 5%\n");
    memset(longest, 'x', sizeof(longest));
    longest[sizeof(longest) - 1] = '\0';
    log_to(log, LOG_SINK_ERR, "T2", "%s", longest);
    ck_assert_uint_eq(strlen(fixture_log_text(log)), strlen("3 T1 seen 5%\n3 T2 \n") + 1023);
    log_to(NULL, LOG_SINK_ERR, "T3", "nobody listens");
}
END_TEST

START_TEST(error_queue_is_drained)
{
    log_sink_t *log = fixture_log(fixture_pool());

    ERR_clear_error();
    ERR_raise_data(ERR_LIB_USER, ERR_R_INTERNAL_ERROR, "the %s", "cause");
    ERR_raise(ERR_LIB_USER, ERR_R_MALLOC_FAILURE);
    log_openssl_errors(log, LOG_SINK_WARN, "T1", "while testing");
    ck_assert_ptr_nonnull(strstr(fixture_log_text(log), "4 T1 while testing: "));
    ck_assert_ptr_nonnull(strstr(fixture_log_text(log), ": the cause\n"));
    ck_assert_uint_eq(ERR_peek_error(), 0);
    ERR_raise(ERR_LIB_USER, ERR_R_INTERNAL_ERROR);
    log_openssl_errors(NULL, LOG_SINK_WARN, "T1", "nobody listens");
    ck_assert_uint_eq(ERR_peek_error(), 0);
}
END_TEST

Suite *test_outcome_suite(void)
{
    Suite *suite = suite_create("outcome");
    TCase *tc = tcase_create("outcome and log");

    tcase_add_checked_fixture(tc, fixture_setup, fixture_teardown);
    tcase_add_test(tc, starts_as_unavailable);
    tcase_add_test(tc, refusal_is_complete);
    tcase_add_test(tc, later_result_leaves_nothing_of_the_earlier);
    tcase_add_test(tc, every_value_has_a_name);
    tcase_add_test(tc, sink_filters_and_cuts);
    tcase_add_test(tc, error_queue_is_drained);
    suite_add_tcase(suite, tc);
    return suite;
}
