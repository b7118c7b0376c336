/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CA backends "vault" and "vault-role": the PKI secrets engine of HashiCorp Vault and OpenBao.
 *
 * "vault" has the CSR signed as it is (sign-verbatim), with the template's usages and validity;
 * since Vault copies all the CSR's extensions then, those that the template does not have are
 * refused before Vault is asked.  "vault-role" leaves subject, names and usages to a role.  The
 * token comes out of a file or by a login, and lives in the child's memory only.
 */
#include "ca_certs.h"
#include "ca_copied.h"
#include "ca_http.h"
#include "../common/clock.h"
#include "../common/fetch_cache.h"
#include "../common/json_text.h"
#include "../common/secret.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <apr_thread_mutex.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <strings.h>

#define SECRET_MIN 4
#define SECRET_MAX 3000
#define LEASE_MAX (30 * 24 * 3600)  /* seconds */
#define LEASE_NONE 3600             /* for a token that does not end */
#define CALL_TIME apr_time_from_sec(5)      /* for a call that nobody gave a deadline */
#define LOGIN_PAUSE apr_time_from_sec(5)    /* between logins because of a 403 */

typedef enum { AUTH_TOKEN, AUTH_APPROLE, AUTH_CERT } auth_e;

typedef struct vault_t {
    const char *service;
    http_client_t *client;
    int verbatim;
    const char *sign_path, *revoke_path, *chain_path, *login_path;
    const char *namespace_header;   /* NULL: none */
    auth_e auth;
    const char *role_id;            /* approle */
    const char *auth_role;          /* cert; NULL: Vault finds it by the certificate */
    secret_file_t *secret;          /* the token, or approle's secret id; NULL: none */
    /* the child's */
    fetch_cache_t token;
    apr_thread_mutex_t *mutex;      /* guards next_login */
    apr_time_t next_login;          /* clock_monotonic()'s */
} vault_t;

static const settings_key_t vault_keys[] = {
    CA_HTTP_KEYS(0),
    {"mount", "PATH", 0},
    {"role", "NAME", 0},
    {"namespace", "PATH", 0},
    {"auth", "token|approle|cert", 0},
    {"authMount", "PATH", 0},
    {"authRole", "NAME", 0},
    {"tokenFile", "FILE", 0},
    {"roleId", "ID", 0},
    {"secretIdFile", "FILE", 0},
    {NULL, NULL, 0}
};

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

/* A setting that was checked by check_word(); fallback may be NULL.  Error text or NULL. */
static const char *get_word(const char **value, const settings_t *s, const char *key,
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

/* Reads how to log in; error text in p, NULL on success. */
static const char *read_auth(vault_t *self, const settings_t *s, apr_pool_t *p)
{
    static const char *const not_token[] = {"authMount", "authRole", "roleId", "secretIdFile",
                                            NULL};
    static const char *const not_approle[] = {"authRole", "tokenFile", NULL};
    static const char *const not_cert[] = {"roleId", "secretIdFile", "tokenFile", NULL};
    const char *auth = settings_get(s, "auth", "token"), *file, *mount, *error;

    if ((error = get_word(&mount, s, "authMount", auth, "-_./", p)) != NULL ||
        (error = get_word(&self->auth_role, s, "authRole", NULL, "-_.", p)) != NULL) {
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

/* Makes an instance of either backend; error text in p, NULL on success. */
static const char *create(vault_t **pself, const char *name, int verbatim,
                          const settings_t *settings, const ca_config_t *cfg, apr_pool_t *p)
{
    vault_t *self = apr_pcalloc(p, sizeof(*self));
    const char *mount, *role, *namespace, *error;

    *pself = self;
    self->service = cfg->service;
    self->verbatim = verbatim;
    if ((error = get_word(&mount, settings, "mount", "pki", "-_./", p)) != NULL ||
        (error = get_word(&role, settings, "role", NULL, "-_.", p)) != NULL ||
        (error = get_word(&namespace, settings, "namespace", NULL, "-_./", p)) != NULL ||
        (error = read_auth(self, settings, p)) != NULL) {
        return error;
    }
    if (!verbatim && role == NULL) {
        return "role is missing: who decides on subject and usages";
    }
    self->sign_path = apr_pstrcat(p, "/v1/", mount, verbatim ? "/sign-verbatim" : "/sign",
                                  role != NULL ? "/" : "", role, NULL);
    self->revoke_path = apr_pstrcat(p, "/v1/", mount, "/revoke", NULL);
    self->chain_path = apr_pstrcat(p, "/v1/", mount, "/ca_chain", NULL);
    if (namespace != NULL) {
        self->namespace_header = apr_pstrcat(p, "X-Vault-Namespace: ", namespace, NULL);
    }
    return ca_http_make(&self->client, name, settings, cfg, p);
}

static const char *vault_create(void **pinstance, const settings_t *settings,
                                const ca_config_t *cfg, apr_pool_t *p)
{
    return create((vault_t **)pinstance, "vault", 1, settings, cfg, p);
}

static const char *vault_role_create(void **pinstance, const settings_t *settings,
                                     const ca_config_t *cfg, apr_pool_t *p)
{
    return create((vault_t **)pinstance, "vault-role", 0, settings, cfg, p);
}

static apr_status_t vault_child_init(void *instance, apr_pool_t *pchild)
{
    vault_t *self = instance;
    apr_status_t rv = apr_thread_mutex_create(&self->mutex, APR_THREAD_MUTEX_DEFAULT, pchild);

    if (rv == APR_SUCCESS) {
        rv = fetch_cache_init(&self->token, pchild);
    }
    if (rv == APR_SUCCESS && self->secret != NULL) {
        rv = secret_file_child_init(self->secret, pchild);
    }
    return rv == APR_SUCCESS ? http_client_child_init(self->client, pchild) : rv;
}

/* What Vault says with an error, its "errors" in a row; NULL: nothing. */
static const char *errors_of(const http_answer_t *http, apr_pool_t *p)
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

/* One call; body NULL: GET, token NULL: without.  As ca_http_ask(). */
static apr_status_t call(vault_t *self, const char *path, const char *body, const char *token,
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
    const char *text = errors_of(http, p);

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

    rv = call(login->self, login->self->login_path, login_body(login->self, log, p), NULL,
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

/*
 * Posts with a token; with another one where Vault does not take it.  As ca_http_ask(); also
 * without a token answer is a complete CA_RETRY.
 */
static apr_status_t ask(vault_t *self, const char *path, const char *body, apr_time_t deadline,
                        http_answer_t *http, ca_answer_t *answer, const log_sink_t *log,
                        apr_pool_t *p)
{
    const char *token, *other;
    apr_status_t rv;

    answer->outcome.result = OUTCOME_SUCCESS;
    rv = get_token(self, &token, deadline, answer, log, p);
    if (rv == APR_SUCCESS) {
        rv = call(self, path, body, token, deadline, http, answer, log, p);
    }
    if (rv != APR_SUCCESS || http->status != 403) {
        return rv;
    }
    if (may_log_in(self)) {
        fetch_cache_drop(&self->token, token);
    }
    rv = get_token(self, &other, deadline, answer, log, p);
    if (rv == APR_SUCCESS && strcmp(other, token) != 0) {
        rv = call(self, path, body, other, deadline, http, answer, log, p);
    }
    return rv;
}

/* Key usage (KU_* bits) in Vault's words. */
static json_t *key_usage(unsigned bits)
{
    static const struct {
        unsigned bit;
        const char *name;
    } names[] = {
        {KU_DIGITAL_SIGNATURE, "DigitalSignature"}, {KU_NON_REPUDIATION, "ContentCommitment"},
        {KU_KEY_ENCIPHERMENT, "KeyEncipherment"},   {KU_DATA_ENCIPHERMENT, "DataEncipherment"},
        {KU_KEY_AGREEMENT, "KeyAgreement"},         {KU_ENCIPHER_ONLY, "EncipherOnly"},
        {KU_DECIPHER_ONLY, "DecipherOnly"},
    };
    json_t *list = json_array();
    size_t i;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if ((bits & names[i].bit) != 0) {
            json_array_append_new(list, json_string(names[i].name));
        }
    }
    return list;
}

/* The request for a certificate. */
static const char *sign_body(const vault_t *self, const ca_request_t *request, apr_pool_t *p)
{
    const ca_template_t *t = request->template;
    json_t *object = json_object(), *oids;
    apr_array_header_t *usages;
    int i;

    json_object_set_new(object, "csr", json_text_string(ca_csr_pem(&request->csr->der, p), p));
    json_object_set_new(object, "format", json_string("pem"));
    /* a role has a validity of its own, unless the template is configured here */
    if (self->verbatim || t != ca_template_default()) {
        json_object_set_new(object, "ttl", json_text_string(apr_psprintf(
            p, "%" APR_TIME_T_FMT "s", apr_time_sec(t->validity)), p));
    }
    if (self->verbatim) {
        oids = json_array();
        usages = ca_copied_usages(t, p);
        for (i = 0; i < usages->nelts; i++) {
            json_array_append_new(oids, json_text_string(
                APR_ARRAY_IDX(usages, i, const char *), p));
        }
        json_object_set_new(object, "key_usage",
                            key_usage(ca_copied_key_usage(t, request->csr)));
        json_object_set_new(object, "ext_key_usage", json_array());
        json_object_set_new(object, "ext_key_usage_oids", oids);
    }
    return json_text_take(object, p);
}

/* Adds a text of PEM certificates; 0: it is none. */
static int add_pem(ca_answer_t *answer, const json_t *value, apr_pool_t *p)
{
    return json_is_string(value) &&
           ca_certs_add_pem(&answer->certs, json_string_value(value), json_string_length(value),
                            p) == APR_SUCCESS;
}

/* Takes the certificates out of Vault's answer. */
static void read_issued(const http_answer_t *http, ca_answer_t *answer, apr_pool_t *p)
{
    const json_t *data = json_object_get(json_text_parse(&http->body, p), "data");
    const json_t *chain = json_object_get(data, "ca_chain");
    const json_t *issuer = json_object_get(data, "issuing_ca");
    int good = add_pem(answer, json_object_get(data, "certificate"), p);
    size_t i;

    if (good && json_is_string(issuer)) {
        good = add_pem(answer, issuer, p);
    }
    for (i = 0; good && i < json_array_size(chain); i++) {
        good = add_pem(answer, json_array_get(chain, i), p);
    }
    if (!good) {
        ca_http_not_understood(answer, http, "its answer holds no certificate", p);
        return;
    }
    answer->result = CA_ISSUED;
}

static apr_status_t vault_submit(void *instance, const ca_request_t *request, ca_answer_t *answer,
                                 const log_sink_t *log, apr_pool_t *p)
{
    vault_t *self = instance;
    http_answer_t http;

    if (self->verbatim && ca_copied_check(request->template, request->csr, &answer->outcome,
                                          p) != APR_SUCCESS) {
        answer->result = CA_REJECTED;
        return APR_SUCCESS;
    }
    if (ask(self, self->sign_path, sign_body(self, request, p), request->deadline, &http, answer,
            log, p) != APR_SUCCESS) {
        return APR_SUCCESS;
    }
    if (http.status == 200) {
        read_issued(&http, answer, p);
    }
    else {
        ca_http_status(answer, &http, errors_of(&http, p), p);
    }
    return APR_SUCCESS;
}

/* Needs no token. */
static apr_status_t vault_fetch_chain(void *instance, STACK_OF(X509) **pcerts, apr_time_t deadline,
                                      const char **error, const log_sink_t *log, apr_pool_t *p)
{
    vault_t *self = instance;
    ca_answer_t answer;
    http_answer_t http;
    apr_status_t rv;

    memset(&answer, 0, sizeof(answer));
    rv = call(self, self->chain_path, NULL, NULL, deadline, &http, &answer, log, p);
    if (rv != APR_SUCCESS) {
        *error = answer.outcome.detail;
        return rv;
    }
    if (http.status != 200 ||
        ca_certs_add_pem(pcerts, http.body.data, http.body.len, p) != APR_SUCCESS) {
        *error = apr_psprintf(p, "%s%s: HTTP %d, and no certificates", http.peer, self->chain_path,
                              http.status);
        return APR_EGENERAL;
    }
    return APR_SUCCESS;
}

/* Lower-case hex of a serial number with colons, as Vault writes it. */
static const char *serial_text(const ASN1_INTEGER *serial, apr_pool_t *p)
{
    const char *hex = crypt_serial_text(serial, p);
    char *text = apr_palloc(p, strlen(hex) / 2 * 3 + 1), *to = text;

    for (; *hex != '\0'; hex += 2) {
        *to++ = (char)apr_tolower(hex[0]);
        *to++ = (char)apr_tolower(hex[1]);
        *to++ = ':';
    }
    to[-1] = '\0';
    return text;
}

static apr_status_t vault_revoke(void *instance, const ASN1_INTEGER *serial, apr_time_t not_after,
                                 int reason, outcome_t *out, apr_pool_t *p)
{
    vault_t *self = instance;
    json_t *object = json_object();
    const char *text;
    ca_answer_t answer;
    http_answer_t http;
    apr_status_t rv;

    (void)not_after;
    (void)reason; /* Vault keeps none */
    memset(&answer, 0, sizeof(answer));
    json_object_set_new(object, "serial_number", json_text_string(serial_text(serial, p), p));
    rv = ask(self, self->revoke_path, json_text_take(object, p), apr_time_now() + CALL_TIME, &http,
             &answer, NULL, p);
    if (rv != APR_SUCCESS) {
        *out = answer.outcome;
        return rv;
    }
    if (http.status == 200) {
        outcome_success(out);
        return APR_SUCCESS;
    }
    text = errors_of(&http, p);
    if ((http.status == 400 || http.status == 404) && text != NULL &&
        strstr(text, "not found") != NULL && strstr(text, "serial") != NULL) {
        return APR_NOTFOUND;
    }
    ca_http_status(&answer, &http, text, p);
    outcome_unavailable(out, answer.outcome.reason, http.retry_after, p, "%s",
                        answer.outcome.detail);
    return APR_EGENERAL;
}

static apr_status_t vault_health(void *instance, const char **text, apr_pool_t *p)
{
    vault_t *self = instance;
    ca_answer_t answer;
    http_answer_t http;
    apr_status_t rv;

    memset(&answer, 0, sizeof(answer));
    rv = call(self, "/v1/sys/health", NULL, NULL, apr_time_now() + CALL_TIME, &http, &answer,
              NULL, p);
    if (rv != APR_SUCCESS) {
        *text = answer.outcome.detail;
        return rv;
    }
    switch (http.status) {
    case 200: /* active */
    case 429: /* standby */
    case 473: /* performance standby */
        return APR_SUCCESS;
    case 501:
        *text = apr_psprintf(p, "%s: Vault is not initialized", http.peer);
        break;
    case 503:
        *text = apr_psprintf(p, "%s: Vault is sealed", http.peer);
        break;
    default:
        *text = apr_psprintf(p, "%s: HTTP %d", http.peer, http.status);
    }
    return APR_EGENERAL;
}

const ca_provider_t ca_vault_provider = {
    .name = "vault",
    .keys = vault_keys,
    .concurrency = CA_HTTP_CONCURRENCY,
    .create = vault_create,
    .child_init = vault_child_init,
    .submit = vault_submit,
    .fetch_chain = vault_fetch_chain,
    .health = vault_health,
    .revoke = vault_revoke
};

const ca_provider_t ca_vault_role_provider = {
    .name = "vault-role",
    .keys = vault_keys,
    .capabilities = CA_CAP_REWRITES_SUBJECT,
    .concurrency = CA_HTTP_CONCURRENCY,
    .create = vault_role_create,
    .child_init = vault_child_init,
    .submit = vault_submit,
    .fetch_chain = vault_fetch_chain,
    .health = vault_health,
    .revoke = vault_revoke
};
