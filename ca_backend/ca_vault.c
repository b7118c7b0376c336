/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CA backends "vault" and "vault-role": the PKI secrets engine of HashiCorp Vault and OpenBao.
 *
 * "vault" has the CSR signed as it is (sign-verbatim), with the template's usages and validity;
 * since Vault copies all the CSR's extensions then, those that the template does not have are
 * refused before Vault is asked.  "vault-role" leaves subject, names and usages to a role.
 */
#include "ca_certs.h"
#include "ca_copied.h"
#include "ca_vault.h"
#include "../common/json_text.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <jansson.h>
#include <openssl/x509v3.h>
#include <string.h>

#define CALL_TIME apr_time_from_sec(5)      /* for a call that nobody gave a deadline */

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

/* Makes an instance of either backend; error text in p, NULL on success. */
static const char *create(vault_t **pself, const char *name, int verbatim,
                          const settings_t *settings, const ca_config_t *cfg, apr_pool_t *p)
{
    vault_t *self = apr_pcalloc(p, sizeof(*self));
    const char *mount, *role, *namespace, *error;

    *pself = self;
    self->service = cfg->service;
    self->verbatim = verbatim;
    if ((error = vault_get_word(&mount, settings, "mount", "pki", "-_./", p)) != NULL ||
        (error = vault_get_word(&role, settings, "role", NULL, "-_.", p)) != NULL ||
        (error = vault_get_word(&namespace, settings, "namespace", NULL, "-_./", p)) != NULL ||
        (error = vault_read_auth(self, settings, p)) != NULL) {
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
    return vault_access_child_init(instance, pchild);
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
    if (vault_ask(self, self->sign_path, sign_body(self, request, p), request->deadline, &http,
                  answer, log, p) != APR_SUCCESS) {
        return APR_SUCCESS;
    }
    if (http.status == 200) {
        read_issued(&http, answer, p);
    }
    else {
        ca_http_status(answer, &http, vault_errors(&http, p), p);
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
    rv = vault_call(self, self->chain_path, NULL, NULL, deadline, &http, &answer, log, p);
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
    rv = vault_ask(self, self->revoke_path, json_text_take(object, p), apr_time_now() + CALL_TIME,
                   &http, &answer, NULL, p);
    if (rv != APR_SUCCESS) {
        *out = answer.outcome;
        return rv;
    }
    if (http.status == 200) {
        outcome_success(out);
        return APR_SUCCESS;
    }
    text = vault_errors(&http, p);
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
    rv = vault_call(self, "/v1/sys/health", NULL, NULL, apr_time_now() + CALL_TIME, &http, &answer,
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
