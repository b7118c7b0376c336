/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CAs that are asked over HTTP: what their backends share, over common/http_client.h.
 *
 * Thread rule: as http_client.h; the client lives as long as the instance.
 */
#ifndef CA_HTTP_H
#define CA_HTTP_H

#include "../common/http_settings.h"
#include "ca_backend.h"

/*
 * Options that every such backend has, for its table of keys: one to four URLs, TLS.  certificate
 * and key are ours, where the CA wants to see them (required: 1).
 */
#define CA_HTTP_KEYS(required)                                                                     \
    {"url", "URL", 1}, HTTP_SETTINGS_URLS, {"certificate", "FILE", required},                      \
        {"key", "FILE", required}, HTTP_SETTINGS_PEER

#define CA_HTTP_CONCURRENCY 8               /* default of ca_provider_t.concurrency */
#define CA_HTTP_BODY_MAX (256 * 1024)       /* bytes of an answer */

/*
 * For the slot create: reads the options and the credentials, which are read again when they
 * change.  timeout is 8 s without the option.  The gate limits how many calls there are.  With
 * plain=on (not of CA_HTTP_KEYS) http: is taken as well, with keytab and principal (nor these)
 * calls are authenticated by Kerberos.  Error text in p, NULL on success.
 */
const char *ca_http_make(http_client_t **pclient, const char *backend, const settings_t *settings,
                         const ca_config_t *cfg, apr_pool_t *p);

/*
 * Asks the CA.  APR_SUCCESS: *http is an answer of any status.  Otherwise answer is a complete
 * CA_RETRY with reason "ca-unreachable": down where the CA could not be asked, unknown where
 * something of the call may have arrived; or with "ca-credentials", where the KDC refused.
 */
apr_status_t ca_http_ask(http_client_t *client, const http_request_t *request, http_answer_t *http,
                         ca_answer_t *answer, const log_sink_t *log, apr_pool_t *p);

/*
 * Fills answer for a status that has no meaning of its own in the CA's protocol:
 *
 *   401, 403, 407           CA_RETRY, "ca-credentials": the CA does not take ours
 *   408, 425, 429, 502-504  CA_RETRY, "ca-unavailable", Retry-After is kept; 502 to 504 also down
 *   other 4xx but 404, 405, 410   CA_REJECTED, "ca-rejected"
 *   others                  CA_RETRY, "ca-status"; 5xx also unknown
 *
 * text: what the CA said, printable; NULL: nothing that can be read.
 */
void ca_http_status(ca_answer_t *answer, const http_answer_t *http, const char *text,
                    apr_pool_t *p);

/* The CA refused this request for good: CA_REJECTED, reason "ca-rejected"; text as above. */
void ca_http_rejected(ca_answer_t *answer, const http_answer_t *http, const char *text,
                      apr_pool_t *p);

/* An answer that cannot be understood: CA_RETRY, unknown, reason "ca-answer"; what: why. */
void ca_http_not_understood(ca_answer_t *answer, const http_answer_t *http, const char *what,
                            apr_pool_t *p);

#endif /* CA_HTTP_H */
