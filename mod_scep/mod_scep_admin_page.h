/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What mscep_admin says, in the three forms it can say it in.
 */
#ifndef MOD_SCEP_ADMIN_PAGE_H
#define MOD_SCEP_ADMIN_PAGE_H

#include "mod_scep_http.h"

typedef enum { SCEP_FORM_PAGE, SCEP_FORM_JSON, SCEP_FORM_TEXT } scep_form_e;

/* The form that the Accept header prefers; the page where it does not care. */
scep_form_e scep_form_accepted(request_rec *r);

/* The answers; all of them are never stored anywhere.  They return what a handler returns. */
int scep_admin_say_challenge(request_rec *r, scep_form_e form, const scep_service_conf_t *service,
                             const policy_challenge_t *challenge);
int scep_admin_say_full(request_rec *r, scep_form_e form, const scep_service_conf_t *service,
                        apr_interval_time_t wait, int own); /* own: the caller's cap */
int scep_admin_say_forbidden(request_rec *r, scep_form_e form, const scep_service_conf_t *service);
int scep_admin_say_unavailable(request_rec *r, scep_form_e form, int retry_after);

/* Any other no (400, 403); text is for people. */
int scep_admin_say_no(request_rec *r, scep_form_e form, int status, const char *error,
                      const char *text);

/* HEAD: the headers that GET would have. */
int scep_admin_say_nothing(request_rec *r, scep_form_e form);

/* Bare text, as a policy module's operations answer. */
int scep_admin_say_text(request_rec *r, int status, const char *text);

#endif /* MOD_SCEP_ADMIN_PAGE_H */
