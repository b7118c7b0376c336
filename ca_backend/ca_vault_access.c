/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How Vault is asked: namespace, and a token out of a file or by a login, which lives in the
 * child's memory only; see ca_vault.h.
 */
#include "ca_vault.h"
#include "../common/clock.h"
#include "../common/json_text.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <string.h>

#define SECRET_MIN 4
#define SECRET_MAX 3000
#define LEASE_MAX (30 * 24 * 3600)  /* seconds */
#define LEASE_NONE 3600             /* for a token that does not end */
#define LOGIN_PAUSE apr_time_from_sec(5) /* between logins because of a 403 */

/* Error text if a setting cannot stand in a path or header, else NULL. */
static const char *check_word(const char *key, const char *value, const char *others,
                              apr_pool_t *p)
{
    const char *at;

    for (at = value; *at != '\0'; at++) {
        if (!apr_isalnum(*at) && strchr(others, *at) == NULL) {
            return apr_psprintf(p, "%s holds a character that is not allowed there", key);
        }
    }
    if (at == value || *value == '/' || at[-1] == '/' || strstr(value, "..") != NULL ||
        strstr(value, "//") != NULL) {
        return apr_psprintf(p, "%s=%.64s is not usable", key, value);
    }
    return NULL;
}

const char *vault_get_word(const char **value, const settings_t *s, const char *key,
                           const char *fallback, const char *others, apr_pool_t *p)
{
    *value = settings_get(s, key, fallback);
    return *value != NULL ? check_word(key, *value, others, p) : NULL;
}

/* Error text if one of the keys (ended by NULL) is set, which auth does not want; else NULL. */
static const char *check_unwanted(const settings_t *s, const char *auth, const char *const *keys,
                                  apr_pool_t *p)
{
    for (; *keys != NULL; keys++) {
        if (settings_get(s, *keys, NULL) != NULL) {
            return apr_psprintf(p, "%s has no use with auth=%s", *keys, auth);
        }
    }
    return NULL;
}

const char *vault_read_auth(vault_t *self, const settings_t *s, apr_pool_t *p)
{
    static const char *const not_token[] = {"authMount", "authRole", "roleId", "secretIdFile",
                                            NULL};
    static const char *const not_approle[] = {"authRole", "tokenFile", NULL};
    static const char *const not_cert[] = {"roleId", "secretIdFile", "tokenFile", NULL};
    const char *auth = settings_get(s, "auth", "token"), *file, *mount, *error;

    if ((error = vault_get_word(&mount, s, "authMount", auth, "-_./", p)) != NULL ||
        (error = vault_get_word(&self->auth_role, s, "authRole", NULL, "-_.", p)) != NULL) {
        return error;
    }
    self->login_path = apr_pstrcat(p, "/v1/auth/", mount, "/login", NULL);
    if (strcmp(auth, "token") == 0) {
        self->auth = AUTH_TOKEN;
        if ((file = settings_get(s, "tokenFile", NULL)) == NULL) {
            return "auth=token needs tokenFile";
        }
        error = check_unwanted(s, auth, not_token, p);
        return error != NULL ? error : secret_file_make(&self->secret, file, "Vault token",
                                                        SECRET_MIN, SECRET_MAX, p);
    }
    if (strcmp(auth, "approle") == 0) {
        self->auth = AUTH_APPROLE;
        file = settings_get(s, "secretIdFile", NULL);
        self->role_id = settings_get(s, "roleId", NULL);
        if (file == NULL || self->role_id == NULL) {
            return "auth=approle needs roleId and secretIdFile";
        }
        error = check_unwanted(s, auth, not_approle, p);
        return error != NULL ? error : secret_file_make(&self->secret, file, "Vault secret id",
                                                        SECRET_MIN, SECRET_MAX, p);
    }
    if (strcmp(auth, "cert") == 0) {
        self->auth = AUTH_CERT;
        return settings_get(s, "certificate", NULL) != NULL ? check_unwanted(s, auth, not_cert, p)
                                                            : "auth=cert needs certificate";
    }
    return apr_psprintf(p, "auth=%.32s is none of token, approle, cert", auth);
}

apr_status_t vault_access_child_init(vault_t *self, apr_pool_t *pchild)
{
    apr_status_t rv = apr_thread_mutex_create(&self->mutex, APR_THREAD_MUTEX_DEFAULT, pchild);

    if (rv == APR_SUCCESS) {
        rv = fetch_cache_init(&self->token, pchild);
    }
    if (rv == APR_SUCCESS && self->secret != NULL) {
        rv = secret_file_child_init(self->secret, pchild);
    }
    return rv == APR_SUCCESS ? http_client_child_init(self->client, pchild) : rv;
}

const char *vault_errors(const http_answer_t *http, apr_pool_t *p)
{
    const json_t *errors = json_object_get(json_text_parse(&http->body, p), "errors");
    const char *text = NULL;
    size_t i;

    for (i = 0; i < json_array_size(errors); i++) {
        const char *one = json_string_value(json_array_get(errors, i));

        if (one != NULL) {
            text = text != NULL ? apr_pstrcat(p, text, "; ", one, NULL) : one;
        }
    }
    return text;
}

apr_status_t vault_call(vault_t *self, const char *path, const char *body, const char *token,
                        apr_time_t deadline, http_answer_t *http, ca_answer_t *answer,
                        const log_sink_t *log, apr_pool_t *p)
{
    const char *headers[4] = {"X-Vault-Request: true", NULL, NULL, NULL};
    char *token_header = NULL;
    http_request_t request;
    apr_status_t rv;
    int n = 1;

    memset(&request, 0, sizeof(request));
    if (self->namespace_header != NULL) {
        headers[n++] = self->namespace_header;
    }
    if (token != NULL) {
        headers[n] = token_header = apr_pstrcat(p, "X-Vault-Token: ", token, NULL);
    }
    request.path = path;
    request.headers = headers;
    request.idempotent = path != self->sign_path; /* that could be two certificates */
    /* revoking what must not be, and the login that others share for it */
    request.urgent = path == self->revoke_path || path == self->login_path;
    request.deadline = deadline;
    if (body != NULL) {
        request.content_type = "application/json";
        request.body.data = (const unsigned char *)body;
        request.body.len = strlen(body);
    }
    rv = ca_http_ask(self->client, &request, http, answer, log, p);
    if (token_header != NULL) {
        OPENSSL_cleanse(token_header, strlen(token_header));
    }
    return rv;
}

/* Whether a token can stand in a header. */
static int is_token(const char *token)
{
    const char *at = token;

    while (at != NULL && apr_isgraph(*at)) {
        at++;
    }
    return at != NULL && at != token && *at == '\0' && at - token <= SECRET_MAX;
}

/* The login's body, wiped with p. */
static const char *login_body(vault_t *self, const log_sink_t *log, apr_pool_t *p)
{
    json_t *object = json_object();
    crypt_buf_t secret;

    if (self->auth == AUTH_APPROLE) {
        secret = secret_file_get(self->secret, log, p);
        json_object_set_new(object, "role_id", json_text_string(self->role_id, p));
        json_object_set_new(object, "secret_id",
                            json_stringn((const char *)secret.data, secret.len));
    }
    else if (self->auth_role != NULL) {
        json_object_set_new(object, "name", json_text_string(self->auth_role, p));
    }
    return json_text_take(object, p);
}

/* Who asks for a token: the answer is filled if this call logged in without success. */
typedef struct login_t {
    vault_t *self;
    ca_answer_t *answer;
} login_t;

/* A login that Vault refused: whatever is wrong, it is not the device's request. */
static void login_refused(ca_answer_t *answer, const http_answer_t *http, apr_pool_t *p)
{
    const char *text = vault_errors(http, p);

    ca_http_status(answer, http, text, p);
    if (answer->result == CA_REJECTED) {
        answer->result = CA_RETRY;
        outcome_unavailable(&answer->outcome, "ca-credentials", 0, p,
                            "%s: the login is refused: HTTP %d: %s", http->peer, http->status,
                            text != NULL ? http_printable(text, 300, p) : "no reason was given");
    }
    answer->unknown = 0;
}

/* fetch_cache_fn: logs in. */
static apr_status_t log_in(void *baton, const char **token, apr_interval_time_t *lifetime,
                           apr_time_t deadline, fetch_why_t *why, const log_sink_t *log,
                           apr_pool_t *p)
{
    const login_t *login = baton;
    ca_answer_t *answer = login->answer;
    const json_t *auth = NULL;
    json_int_t lease = -1;
    http_answer_t http;
    apr_status_t rv;

    rv = vault_call(login->self, login->self->login_path, login_body(login->self, log, p), NULL,
                    deadline, &http, answer, log, p);
    answer->unknown = 0; /* nothing was signed */
    if (rv == APR_SUCCESS && http.status != 200) {
        login_refused(answer, &http, p);
        rv = APR_EACCES;
    }
    else if (rv == APR_SUCCESS) {
        auth = json_object_get(json_text_parse(&http.body, p), "auth");
        *token = json_text_get(auth, "client_token");
        lease = json_is_integer(json_object_get(auth, "lease_duration"))
                    ? json_integer_value(json_object_get(auth, "lease_duration")) : -1;
        OPENSSL_cleanse((void *)http.body.data, http.body.len);
        if (!is_token(*token) || lease < 0) {
            ca_http_not_understood(answer, &http, "its answer to the login holds no token", p);
            answer->unknown = 0;
            rv = APR_EINVAL;
        }
    }
    if (rv != APR_SUCCESS) {
        apr_cpystrn(why->text, answer->outcome.detail, sizeof(why->text));
        why->retry_after = answer->retry_after;
        return rv;
    }
    lease = lease == 0 ? LEASE_NONE : lease > LEASE_MAX ? LEASE_MAX : lease;
    *lifetime = apr_time_from_sec(lease);
    log_to(log, LOG_SINK_DEBUG, SCEPTAG(0330), "service '%s': logged in at %s for %d s",
           login->self->service, http.peer, (int)lease);
    return APR_SUCCESS;
}

/* A token, wiped with p; otherwise answer is a complete CA_RETRY. */
static apr_status_t get_token(vault_t *self, const char **token, apr_time_t deadline,
                              ca_answer_t *answer, const log_sink_t *log, apr_pool_t *p)
{
    login_t login = {self, answer};
    fetch_why_t why = {"", 0};
    crypt_buf_t secret;
    apr_status_t rv;

    if (self->auth == AUTH_TOKEN) {
        secret = secret_file_get(self->secret, log, p);
        *token = (const char *)secret.data; /* a NUL follows */
        if (is_token(*token)) {
            return APR_SUCCESS;
        }
        rv = APR_EINVAL;
        apr_cpystrn(why.text, "the token in tokenFile holds a space or a control character",
                    sizeof(why.text));
    }
    else {
        rv = fetch_cache_get(&self->token, log_in, &login, token, deadline, &why, log, p);
    }
    if (rv != APR_SUCCESS && answer->outcome.result != OUTCOME_UNAVAILABLE) {
        answer->result = CA_RETRY;
        answer->retry_after = why.retry_after;
        outcome_unavailable(&answer->outcome, "ca-credentials", why.retry_after, p,
                            "no token of Vault: %s", why.text);
    }
    return rv;
}

/* Whether a token that Vault did not take may be replaced by a login: not for each request. */
static int may_log_in(vault_t *self)
{
    apr_time_t now = clock_monotonic();
    int may;

    apr_thread_mutex_lock(self->mutex);
    may = now >= self->next_login;
    if (may) {
        self->next_login = now + LOGIN_PAUSE;
    }
    apr_thread_mutex_unlock(self->mutex);
    return may;
}

apr_status_t vault_ask(vault_t *self, const char *path, const char *body, apr_time_t deadline,
                       http_answer_t *http, ca_answer_t *answer, const log_sink_t *log,
                       apr_pool_t *p)
{
    const char *token, *other;
    apr_status_t rv;

    answer->outcome.result = OUTCOME_SUCCESS;
    rv = get_token(self, &token, deadline, answer, log, p);
    if (rv == APR_SUCCESS) {
        rv = vault_call(self, path, body, token, deadline, http, answer, log, p);
    }
    if (rv != APR_SUCCESS || http->status != 403) {
        return rv;
    }
    if (may_log_in(self)) {
        fetch_cache_drop(&self->token, token);
    }
    rv = get_token(self, &other, deadline, answer, log, p);
    if (rv == APR_SUCCESS && strcmp(other, token) != 0) {
        rv = vault_call(self, path, body, other, deadline, http, answer, log, p);
    }
    return rv;
}
