/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of check_config that turns the directives about renewal, approval and limits into what
 * the core and the policy work by.
 */
#include "mod_scep_check.h"
#include <apr_strings.h>

#define RENEWAL_CA_FILE "ScepRenewalCAFile"
#define APPROVAL "ScepApproval"
#define ADMIN_TEMPLATE "ScepAdminAuthorizeTemplate"

/* Pool cleanup of an X509_STORE. */
static apr_status_t free_store(void *data)
{
    X509_STORE_free(data);
    return APR_SUCCESS;
}

/* Adds the CAs to the store, and their names to a warning: each of them is as good as our own. */
static void trust_foreign(scep_check_t *check, scep_service_conf_t *service, X509_STORE *store,
                          STACK_OF(X509) * certs)
{
    const char *file = service->effective.renewal_ca_file, *names = "";
    int i;

    for (i = 0; i < sk_X509_num(certs); i++) {
        X509 *cert = sk_X509_value(certs, i);
        const char *name = crypt_name_text(X509_get_subject_name(cert), check->pconf);

        if (X509_check_ca(cert) != 1) {
            scep_check_error(check, service, RENEWAL_CA_FILE,
                             "the certificate of %s in %s is not a CA's", name, file);
            return;
        }
        if (scep_days_left(cert) < 0) {
            scep_check_warning(check, service, RENEWAL_CA_FILE,
                               "the certificate of %s in %s has expired", name, file);
        }
        X509_STORE_add_cert(store, cert);
        names = apr_pstrcat(check->pconf, names, i ? "; " : "", name, NULL);
    }
    scep_check_warning(check, service, RENEWAL_CA_FILE,
                       "whoever holds a certificate of these CAs gets one of this service without "
                       "a challenge: %s",
                       names);
}

/* The CAs besides ours whose certificates may be renewed here; NULL: none. */
static X509_STORE *foreign_store(scep_check_t *check, scep_service_conf_t *service)
{
    STACK_OF(X509) *certs = NULL;
    X509_STORE *store;
    const char *err;

    if (!service->effective.renewal_ca_file) {
        return NULL;
    }
    err = crypt_load_certificates(&certs, service->effective.renewal_ca_file, check->ptemp);
    store = err ? NULL : X509_STORE_new();
    if (!store) {
        scep_check_error(check, service, RENEWAL_CA_FILE, "%s", err ? err : "out of memory");
        return NULL;
    }
    apr_pool_cleanup_register(check->pconf, store, free_store, apr_pool_cleanup_null);
    /* the named CA counts, whoever stands above it */
    X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
    trust_foreign(check, service, store, certs);
    return store;
}

void scep_check_renewal(scep_check_t *check, scep_service_conf_t *service)
{
    const scep_props_t *e = &service->effective;
    scep_renewal_t *renewal = &service->core.renewal;

    renewal->enabled = (int)e->renewal;
    renewal->window = e->renewal_window;
    renewal->grace = e->renewal_grace;
    renewal->same_subject = (int)e->renewal_same_subject;
    renewal->key = (scep_key_rule_e)e->renewal_key;
    renewal->foreign = foreign_store(check, service);
}

/* Whether requests may be of that template. */
static int is_template(const scep_service_conf_t *service, const char *name)
{
    const apr_array_header_t *local = service->effective.local_templates;
    int i, found = 0;

    for (i = 0; !found && i < 3; i++) {
        found = !strcmp(service->core.templates[i], name);
    }
    for (i = 0; !found && local && i < local->nelts; i++) {
        found = !strcmp(APR_ARRAY_IDX(local, i, const ca_template_t *)->name, name);
    }
    return found;
}

/* Says that a directive names a template which no request can be of. */
static void check_template(scep_check_t *check, const scep_service_conf_t *service,
                           const char *directive, const char *name)
{
    if (!is_template(service, name)) {
        scep_check_error(check, service, directive,
                         "unknown template '%s'; this service has %s, %s and %s", name,
                         service->core.templates[0], service->core.templates[1],
                         service->core.templates[2]);
    }
}

/* What waits for a person, as policy_config_t says it. */
static const apr_array_header_t *approval(scep_check_t *check, scep_service_conf_t *service)
{
    const scep_approval_t *rule = service->effective.approval;
    const apr_array_header_t *names = rule ? rule->templates : NULL;
    int i;

    for (i = 0; names && i < names->nelts; i++) {
        check_template(check, service, APPROVAL, APR_ARRAY_IDX(names, i, const char *));
    }
    return names;
}

void scep_check_limits(scep_check_t *check, scep_service_conf_t *service, policy_config_t *cfg)
{
    const scep_props_t *e = &service->effective;
    int i;

    for (i = 0; e->admin_templates && i < e->admin_templates->nelts; i++) {
        check_template(check, service, ADMIN_TEMPLATE,
                       APR_ARRAY_IDX(e->admin_templates, i, scep_template_rule_t).template_name);
    }
    cfg->approval = approval(check, service);
    cfg->pending_max = (int)e->pending_max;
    cfg->poll_interval = e->poll_interval;
    if (e->ca_wait >= e->retention) {
        scep_check_warning(check, service, "ScepCAUnavailable",
                           "is longer than ScepRetention: a request that waits for the CA is "
                           "forgotten before its device is told why it failed");
    }
    cfg->failure_max = (int)e->failure_max;
    cfg->failure_max_service = (int)e->failure_max_service;
    cfg->failure_window = e->failure_window;
    if (e->poll_interval > e->retention) {
        scep_check_warning(check, service, "ScepPollInterval",
                           "is longer than ScepRetention: a waiting request is forgotten before "
                           "its device asks again");
    }
}
