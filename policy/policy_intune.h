/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of policy "intune" share: codes, bodies, and the calls themselves.
 *
 * Microsoft documents the API by its libraries only (github.com/microsoft/Intune-Resource-Access,
 * src/CsrValidation); names and values here are theirs.  docs/intune.md is for the administrator.
 */
#ifndef POLICY_INTUNE_H
#define POLICY_INTUNE_H

#include "../common/http_settings.h"
#include "policy_provider.h"

/* As discovery names the services; compared without regard to case. */
#define INTUNE_SCEP_SERVICE "ScepRequestValidationFEService"
#define INTUNE_SCEP_VERSION "2018-02-20"
#define INTUNE_PKI_SERVICE "PkiConnectorFEService"
#define INTUNE_PKI_VERSION "5019-05-05"

#define INTUNE_RETRY apr_time_from_sec(30) /* for the device, where nobody names a time */

/* policy_intune_code.c */

/* What an answer's code means to device and log. */
typedef struct intune_code_t {
    const char *name; /* on the wire */
    fail_info_e fail_info;
    apr_int32_t hresult;
    const char *reason; /* "intune-challenge-": the blob; "intune-client-": device, user, profile;
                         * "intune-request-": the CSR against the challenge */
    const char *log;
    const char *text; /* for the device */
} intune_code_t;

/* Whether a code is the one that allows: exactly "Success". */
int intune_code_allows(const char *name);

/* What any other code means, compared byte for byte; one that is not known is a refusal too.  Never
 * NULL. */
const intune_code_t *intune_code(const char *name);

/* All of them, ended by a NULL name, for the tests. */
extern const intune_code_t intune_codes[];

/* policy_intune_json.c */

/* How we call ourselves and our CA. */
typedef struct intune_names_t {
    const char *caller, *configuration, *authority; /* authority NULL: the issuer's name */
} intune_names_t;

/*
 * Bodies, JSON in p, wiped with it, since the CSR holds the challenge.  NULL: the certificate
 * cannot be read, or no memory.  description is cut to 255 bytes.
 */
const char *intune_validate_body(const policy_request_t *request, const intune_names_t *names,
                                 apr_pool_t *p);
const char *intune_success_body(const policy_request_t *request, const crypt_buf_t *certificate,
                                const intune_names_t *names, apr_pool_t *p);
const char *intune_failure_body(const policy_request_t *request, apr_int32_t hresult,
                                const char *description, const intune_names_t *names,
                                apr_pool_t *p);

/* The transactionID in a body of ours, printable; "" if there is none. */
const char *intune_body_transaction(const char *body, apr_pool_t *p);

/*
 * Reads an answer: one JSON object, no name twice, "code" a string; description: printable, at most
 * 200 bytes, with what may be a challenge or a token left out.  Error text, NULL on success.
 */
const char *intune_read_answer(const char **code, const char **description,
                               const crypt_buf_t *body, const char *challenge, apr_pool_t *p);

/* The URI of a service in discovery's answer.  Error text, NULL on success. */
const char *intune_read_location(const char **uri, const crypt_buf_t *body, const char *service,
                                 apr_pool_t *p);

/* An access token and its life time.  Error text in p that holds no secret, NULL on success. */
const char *intune_read_token(const char **token, apr_interval_time_t *lifetime,
                              const crypt_buf_t *body, apr_pool_t *p);

/* Why no token was given: OAuth's error and Microsoft's AADSTS number, nothing else of the peer's
 * text.  Never NULL. */
const char *intune_read_token_error(const crypt_buf_t *body, apr_pool_t *p);

/* policy_intune_id.c */

/*
 * The name that the store knows a challenge by, by secret number n: an HMAC over what Intune
 * signed, so that no other spelling of the same challenge (blanks in the base64, another encoding,
 * what a signature does not cover) is a new one.  NULL: there is no such secret.
 */
const char *intune_id(const secret_t *secret, int n, const char *service,
                      const char *challenge, apr_pool_t *p);

/* policy_intune_login.c */

/* Who we are to the tenant: a secret, or a certificate with its key. */
typedef struct intune_login_t {
    const char *client_id, *token_url;
    const char *secret_file, *certificate_file, *key_file;
    int pss; /* PS256 instead of RS256 */
    secret_t secret;
    X509 *certificate;
    EVP_PKEY *key;
} intune_login_t;

/* Reads secret, or certificate and key, into p.  Error text in p, NULL on success. */
const char *intune_login_load(intune_login_t *login, apr_pool_t *p);

/* Overwrites what is secret. */
void intune_login_wipe(intune_login_t *login);

/* The token request's form, wiped with p; NULL: it cannot be signed. */
const char *intune_login_form(const intune_login_t *login, const char *scope, apr_pool_t *p);

/* A new random GUID (RFC 9562 section 5.4); NULL: no random numbers. */
const char *intune_guid(apr_pool_t *p);

/* policy_intune_api.c */

typedef struct intune_api_t intune_api_t;

/* Where and how; strings are kept. */
typedef struct intune_options_t {
    const char *service; /* the ScepService's name */
    const char *authority, *tenant, *graph, *resource, *app_id;
    const char *service_hosts; /* what a discovered host's name must end in; NULL: anything */
    http_options_t http;       /* of each peer, but for name, URL and limits */
    intune_login_t login; /* without token_url */
} intune_options_t;

/* One call of a service. */
typedef struct intune_call_t {
    const char *service, *version; /* INTUNE_..._SERVICE, its version */
    const char *action;            /* "ScepActions/validateRequest" */
    const char *body;
    const char *about; /* for the log: "transaction ..." */
    apr_time_t deadline; /* 0: only the time limit */
    int urgent; /* made even while Intune wants to be left alone, or many others ask */
} intune_call_t;

typedef struct intune_reply_t {
    crypt_buf_t body;       /* with APR_SUCCESS: of HTTP 200 */
    int status;             /* 0: no HTTP answer of the service */
    const char *request_id; /* client-request-id, by which Microsoft's support finds the call */
    const char *error;      /* otherwise: why, printable, without secrets */
    apr_interval_time_t retry_after;
} intune_reply_t;

/* As the slots of a provider; no I/O in make. */
const char *intune_api_make(intune_api_t **papi, const intune_options_t *options, apr_pool_t *p);
const char *intune_api_check(const intune_api_t *api, apr_pool_t *p);
const char *intune_api_prepare(intune_api_t *api, apr_pool_t *p);
apr_status_t intune_api_child_init(intune_api_t *api, apr_pool_t *pchild);

/* As http_client_background(), of the calls to Intune. */
int intune_api_background(const intune_api_t *api);

/* Whether one of the peers, without which nothing can be asked, rests after failures. */
int intune_api_is_resting(const intune_api_t *api);

/*
 * Calls, with token and location, which each child keeps.  HTTP 401 gets a new token and one more
 * try; any other status drops the location; after 429 and 503 calls that are not urgent fail at
 * once until the time that Intune named.  APR_SUCCESS: HTTP 200.  APR_EGENERAL: reply->error.
 */
apr_status_t intune_api_call(intune_api_t *api, const intune_call_t *call, intune_reply_t *reply,
                             const log_sink_t *log, apr_pool_t *p);

/* policy_intune_revoke.c */

/*
 * One round: asks for the revocations of issuer, makes them, says how they went.  Returns whether
 * there may be more at once.
 */
int intune_revoke_round(intune_api_t *api, const char *service, const char *issuer,
                        const policy_work_t *work, const log_sink_t *log, apr_pool_t *p);

#endif /* POLICY_INTUNE_H */
