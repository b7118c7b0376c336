/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check_config: finds every mistake that needs no network, so that "httpd -t" tells it; and what it
 * has to make for that (store, CA, policy, keys) is what the service then runs with.
 */
#include "mod_scep_ledger.h"
#include "mod_scep_lint.h"
#include "mod_scep_status_files.h"
#include "core/caps.h"
#include <ap_mpm.h>
#include <apr_file_io.h>
#include <apr_strings.h>
#include <ap_provider.h>
#include <http_log.h>
#include <unistd.h>
#include <unixd.h>

APLOG_USE_MODULE(scep);

/* A finding's text. */
static const char *finding(const scep_check_t *check, const scep_service_conf_t *service,
                           const char *directive, const char *format, va_list args, apr_pool_t *p)
{
    const char *where =
        directive ? scep_props_where(&service->effective, directive, check->entry, p) : NULL;

    return apr_psprintf(p, "ScepService %s (%s): %s: %s", service->name,
                        where ? where : service->where, directive ? directive : "<ScepService>",
                        apr_pvsprintf(p, format, args));
}

void scep_check_error(scep_check_t *check, const scep_service_conf_t *service,
                      const char *directive, const char *format, ...)
{
    va_list args;
    const char *text;

    va_start(args, format);
    text = finding(check, service, directive, format, args, check->ptemp);
    va_end(args);
    check->errors++;
    if (check->early) {
        ap_log_error(APLOG_MARK, APLOG_ERR | APLOG_STARTUP, 0, NULL, SCEPTAG(0450) ": %s", text);
    }
    else {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, service->server, SCEPTAG(0451) ": %s", text);
    }
}

void scep_check_warning(scep_check_t *check, scep_service_conf_t *service, const char *directive,
                        const char *format, ...)
{
    va_list args;
    const char *text;

    va_start(args, format);
    text = finding(check, service, directive, format, args, check->pconf);
    va_end(args);
    if (check->test) {
        ap_log_error(APLOG_MARK, APLOG_WARNING | APLOG_STARTUP, 0, NULL, SCEPTAG(0452) ": %s",
                     text);
    }
    else {
        APR_ARRAY_PUSH(service->warnings, const char *) = text;
    }
}

void scep_check_notice(scep_check_t *check, const scep_service_conf_t *service,
                       const char *directive, const char *format, ...)
{
    va_list args;
    const char *text;

    if (!check->test) {
        return;
    }
    va_start(args, format);
    text = finding(check, service, directive, format, args, check->ptemp);
    va_end(args);
    ap_log_error(APLOG_MARK, APLOG_NOTICE | APLOG_STARTUP, 0, NULL, SCEPTAG(0459) ": %s", text);
}

/* Error when a file cannot be read; secret: also when everybody can.  NULL name is fine. */
static void check_file(scep_check_t *check, const scep_service_conf_t *service,
                       const char *directive, const char *name, int secret)
{
    apr_file_t *file;
    apr_finfo_t info;
    apr_status_t rv;
    char why[120];

    if (!name) {
        return;
    }
    rv = apr_file_open(&file, name, APR_FOPEN_READ, APR_FPROT_OS_DEFAULT, check->ptemp);
    if (rv != APR_SUCCESS) {
        scep_check_error(check, service, directive, "cannot read %s: %s", name,
                         apr_strerror(rv, why, sizeof(why)));
        return;
    }
    rv = apr_file_info_get(&info, APR_FINFO_TYPE | APR_FINFO_PROT, file);
    if (rv == APR_SUCCESS && info.filetype != APR_REG && info.filetype != APR_PIPE) {
        scep_check_error(check, service, directive, "%s is not a file", name);
    }
    else if (rv == APR_SUCCESS && secret &&
             (info.protection & (APR_FPROT_WREAD | APR_FPROT_WWRITE))) {
        scep_check_error(check, service, directive,
                         "%s is a secret, but every user can read or write it (chmod o= it)", name);
    }
    apr_file_close(file);
}

/* A number of connections that gives each thread one. */
static int threads_per_child(void)
{
    int threads = 0;

    return ap_mpm_query(AP_MPMQ_MAX_THREADS, &threads) == APR_SUCCESS && threads > 1 ? threads : 1;
}

/* ap_lookup_provider() for store_make(). */
static const store_provider_t *lookup_store(const char *scheme)
{
    return ap_lookup_provider(SCEP_STORE_GROUP, scheme, SCEP_PROVIDER_VERSION);
}

/* The directive that named the file which a store's message is about, else ScepStore. */
static const char *store_directive(const scep_props_t *e, const char *message)
{
    const struct {
        const char *file, *directive;
    } files[] = {{e->store_sentinel_password_file, "ScepStoreSentinelPasswordFile"},
                 {e->store_password_file, "ScepStorePasswordFile"},
                 {e->store_ca_file, "ScepStoreCAFile"},
                 {e->store_certificate_file, "ScepStoreCertificateFile"},
                 {e->store_key_file, "ScepStoreKeyFile"}};
    apr_size_t i;

    for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        if (files[i].file && strstr(message, files[i].file)) {
            return files[i].directive;
        }
    }
    return "ScepStore";
}

/* The settings of a store. */
static store_config_t *store_settings(const scep_props_t *e, apr_pool_t *p)
{
    store_config_t *cfg = apr_pcalloc(p, sizeof(*cfg));

    cfg->url = e->store_url;
    cfg->state_directory = e->state_directory;
    cfg->user = e->store_user;
    cfg->password_file = e->store_password_file;
    cfg->sentinel_user = e->store_sentinel_user;
    cfg->sentinel_password_file = e->store_sentinel_password_file;
    cfg->ca_file = e->store_ca_file;
    cfg->certificate_file = e->store_certificate_file;
    cfg->key_file = e->store_key_file;
    cfg->connect_timeout = e->store_connect_timeout;
    cfg->command_timeout = e->store_command_timeout;
    cfg->relocate_timeout = e->store_relocate_timeout;
    cfg->wait_replicas = (int)e->store_wait_replicas;
    cfg->wait_time = e->store_wait_time;
    cfg->connections = threads_per_child() + 1; /* one is the worker's */
    return cfg;
}

/* A text by which equal settings of a store are found again. */
static const char *store_key(const store_config_t *cfg, apr_pool_t *p)
{
    const char *const texts[] = {cfg->url,           cfg->state_directory,  cfg->user,
                                 cfg->password_file, cfg->sentinel_user,
                                 cfg->sentinel_password_file,
                                 cfg->ca_file,       cfg->certificate_file, cfg->key_file};
    const char *key = apr_psprintf(
        p, "%" APR_INT64_T_FMT " %" APR_INT64_T_FMT " %" APR_INT64_T_FMT " %d %" APR_INT64_T_FMT,
        cfg->connect_timeout, cfg->command_timeout, cfg->relocate_timeout, cfg->wait_replicas,
        cfg->wait_time);
    apr_size_t i;

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        key = apr_pstrcat(p, key, "\n", texts[i] ? texts[i] : "", NULL);
    }
    return key;
}

/* A host that does not answer must leave time to ask another one who the master is. */
static void check_times(scep_check_t *check, scep_service_conf_t *service,
                        const store_config_t *cfg)
{
    apr_interval_time_t connect = cfg->connect_timeout, relocate = cfg->relocate_timeout;

    if (!ap_strcasestr(cfg->url, "+sentinel:") && !ap_strcasestr(cfg->url, "+cluster:")) {
        return;
    }
    if (connect <= 0) {
        connect = STORE_CONNECT_TIMEOUT;
    }
    if (relocate <= 0) {
        relocate = STORE_RELOCATE_TIMEOUT;
    }
    if (relocate < 2 * connect) {
        scep_check_warning(check, service, "ScepStoreTimeout",
                           "the time to find a new master is less than twice the time to connect: "
                           "a host that does not answer leaves too little to ask the others");
    }
}

/* The store that the settings name; services with equal settings share it. */
static void make_store(scep_check_t *check, scep_service_conf_t *service)
{
    const scep_props_t *e = &service->effective;
    store_config_t *cfg = store_settings(e, check->pconf);
    const char *key = store_key(cfg, check->pconf), *err;
    store_t *trial = NULL;

    check_file(check, service, "ScepStorePasswordFile", e->store_password_file, 1);
    check_file(check, service, "ScepStoreSentinelPasswordFile", e->store_sentinel_password_file,
               1);
    check_file(check, service, "ScepStoreCAFile", e->store_ca_file, 0);
    check_file(check, service, "ScepStoreCertificateFile", e->store_certificate_file, 0);
    check_file(check, service, "ScepStoreKeyFile", e->store_key_file, 1);
    if (!e->store_certificate_file != !e->store_key_file) {
        scep_check_error(check, service,
                         e->store_key_file ? "ScepStoreKeyFile" : "ScepStoreCertificateFile",
                         "ScepStoreCertificateFile and ScepStoreKeyFile are needed together");
    }
    service->store = apr_hash_get(check->stores, key, APR_HASH_KEY_STRING);
    if (service->store) {
        return;
    }
    err = store_make(&service->store, cfg, lookup_store, check->pconf);
    if (err) {
        scep_check_error(check, service, "ScepStore", "%s", err);
        service->store = NULL;
        return;
    }
    apr_hash_set(check->stores, key, APR_HASH_KEY_STRING, service->store);
    check_times(check, service, cfg);
    /* a store of its own that goes with ptemp, since it may read a password */
    if (store_make(&trial, cfg, lookup_store, check->ptemp) == NULL && trial->provider->check) {
        err = trial->provider->check(trial, check->ptemp);
        if (err) {
            scep_check_error(check, service, store_directive(e, err), "%s", err);
        }
    }
}

/* The CA backend and, as far as they concern the CA, the templates. */
static void make_ca(scep_check_t *check, scep_service_conf_t *service)
{
    const scep_props_t *e = &service->effective;
    ca_config_t *cfg = apr_pcalloc(check->pconf, sizeof(*cfg));
    ca_ledger_t *ledger = scep_ledger_make(service, check->pconf);
    const char *err;

    check_file(check, service, "ScepCAChain", e->ca_chain, 0);
    scep_check_point(check, service);
    if (!e->ca) {
        scep_check_error(check, service, "ScepCABackend",
                         "missing: who signs? For a key on this "
                         "host write: ScepCABackend local certificate=FILE key=FILE");
        return;
    }
    cfg->service = service->name;
    cfg->templates = e->local_templates ? e->local_templates
                                        : apr_array_make(check->pconf, 1, sizeof(ca_template_t *));
    cfg->chain_file = e->ca_chain;
    cfg->crl_file = e->crl_file;
    cfg->api = &ca_api;
    cfg->state_directory = e->state_directory;
    cfg->not_before_skew = e->not_before_skew;
    cfg->ledger = ledger;
    err = ca_make(&service->core.ca, e->ca->provider, e->ca->argc, e->ca->argv, cfg, check->pconf);
    if (err && e->crl_file && strstr(err, e->crl_file)) {
        scep_check_error(check, service, "ScepCRLFile", "%s", err);
        service->core.ca = NULL;
        return;
    }
    if (err) {
        scep_check_error(check, service, "ScepCABackend", "%s: %s", e->ca->name, err);
        service->core.ca = NULL;
        return;
    }
    if ((ca_capabilities(service->core.ca) & CA_CAP_LEDGER) &&
        !scep_ledger_name(ledger, check->pconf)) {
        scep_check_error(check, service, "ScepCABackend", "%s: the CA has no name and key",
                         e->ca->name);
    }
    service->revocations = scep_ledger_get0_name(ledger);
    scep_check_chain(check, service);
}

/* The three template names.  A CA whose key is here knows no others than ScepLocalTemplate. */
static void check_templates(scep_check_t *check, scep_service_conf_t *service)
{
    static const char *const directives[] = {"ScepTemplate signature", "ScepTemplate encryption",
                                             "ScepTemplate general"};
    const scep_props_t *e = &service->effective;
    const char *names[3];
    int i, j, found;

    names[CSR_USAGE_SIGNATURE] = e->template_signature;
    names[CSR_USAGE_ENCRYPTION] = e->template_encryption;
    names[CSR_USAGE_GENERAL] = e->template_general;
    for (i = 0; i < 3; i++) {
        service->core.templates[i] = names[i] ? names[i] : CA_TEMPLATE_DEFAULT;
        found = !names[i] || !strcmp(names[i], CA_TEMPLATE_DEFAULT) || !e->ca ||
                !((const ca_provider_t *)e->ca->provider)->get0_identity;
        for (j = 0; !found && e->local_templates && j < e->local_templates->nelts; j++) {
            found = !strcmp(names[i],
                            APR_ARRAY_IDX(e->local_templates, j, const ca_template_t *)->name);
        }
        if (!found) {
            scep_check_error(check, service, directives[i],
                             "unknown template '%s'; it needs a line ScepLocalTemplate %s ...",
                             names[i], names[i]);
        }
    }
}

/* The words of the default: ScepPolicy challenge. */
static const apr_array_header_t *default_policies(apr_pool_t *p)
{
    apr_array_header_t *list = apr_array_make(p, 1, sizeof(scep_words_t));
    scep_words_t *words = apr_array_push(list);

    memset(words, 0, sizeof(*words));
    words->name = "challenge";
    words->provider = ap_lookup_provider(SCEP_POLICY_GROUP, "challenge", SCEP_PROVIDER_VERSION);
    return list;
}

/* The rules that a policy is made of. */
static policy_config_t *policy_config(scep_check_t *check, scep_service_conf_t *service)
{
    const scep_props_t *e = &service->effective;
    policy_config_t *cfg = apr_pcalloc(check->pconf, sizeof(*cfg));

    cfg->service = service->name;
    cfg->store = service->store;
    cfg->secret_file = e->secret_file;
    cfg->state_directory = e->state_directory;
    cfg->secret_may_be_made = !strcmp(service->store->provider->name, "sqlite");
    cfg->lifetime = e->lifetime;
    cfg->length = (int)e->length;
    cfg->max = (int)e->max;
    cfg->max_per_caller = (int)e->max_per_caller;
    cfg->uses = (int)e->uses;
    cfg->attempts = (int)e->attempts;
    cfg->retention = e->retention;
    /* whoever still works on a request after this has lost it to another worker */
    cfg->lease = 2 * e->request_timeout + apr_time_from_sec(5);
    cfg->hold = e->point_hold > cfg->lease ? e->point_hold : cfg->lease;
    cfg->busy_wait = e->request_timeout / 2;
    cfg->not_before_skew = e->not_before_skew;
    cfg->news_lifetime = e->notify_lifetime;
    scep_check_limits(check, service, cfg);
    return cfg;
}

/* A request has one challenge password; no two of these policies take the same for a good one. */
static void check_judges(scep_check_t *check, scep_service_conf_t *service)
{
    const apr_array_header_t *policies = service->effective.policies;
    const char *first = NULL;
    int i;

    for (i = 0; i < policies->nelts; i++) {
        const scep_words_t *words = &APR_ARRAY_IDX(policies, i, scep_words_t);

        if (!((const policy_provider_t *)words->provider)->needs_challenge) {
            continue;
        }
        if (first) {
            scep_check_warning(check, service, "ScepPolicy",
                               "%s and %s both judge the one challenge password of a request; no "
                               "request may please both", first, words->name);
        }
        first = words->name;
    }
}

/* The chain of policy providers, and the secret of the challenges. */
static void make_policy(scep_check_t *check, scep_service_conf_t *service)
{
    scep_props_t *e = &service->effective;
    policy_config_t *cfg = policy_config(check, service);
    const char *err;
    int i, needs = 0;

    service->core.policy = policy_make(cfg, check->pconf);
    if (!e->policies) {
        e->policies = default_policies(check->pconf);
    }
    for (i = 0; i < e->policies->nelts; i++) {
        const scep_words_t *words = &APR_ARRAY_IDX(e->policies, i, scep_words_t);
        const policy_provider_t *provider = words->provider;

        /* news that a policy leaves are sealed with it too */
        needs = needs || provider->needs_secret || provider->deliver;
        err = policy_add(service->core.policy, provider, words->argc, words->argv, check->pconf);
        if (err) {
            scep_check_error(check, service, "ScepPolicy", "%s: %s", words->name, err);
        }
    }
    check_judges(check, service);
    /* requests that wait are sealed with the secret, whoever allowed them */
    if ((needs || cfg->approval || e->ca_wait > 0) && !e->secret_file && !cfg->secret_may_be_made) {
        scep_check_error(check, service, "ScepStore",
                         "ScepChallengeSecretFile is missing: hosts that share a store need the "
                         "same secret; make one with: openssl rand -hex 32");
    }
    else {
        err = policy_check(service->core.policy, check->ptemp);
        if (err) {
            scep_check_error(check, service,
                             e->secret_file && strstr(err, e->secret_file)
                                 ? "ScepChallengeSecretFile" : "ScepPolicy", "%s", err);
        }
    }
}

/* What is announced has to be taken. */
static void check_capabilities(scep_check_t *check, scep_service_conf_t *service)
{
    const char *word = scep_caps_unserved(&service->core, check->ptemp);

    if (word) {
        scep_check_warning(check, service, "ScepCapabilities",
                           "announces %s, which the other directives do not allow; devices that "
                           "believe it fail",
                           word);
    }
}

/* The folders of the request-status files, which the server's user will write. */
static void check_status_directory(scep_check_t *check, const scep_service_conf_t *service)
{
    const char *dir = service->effective.status_directory;
    uid_t uid = geteuid() == 0 ? ap_unixd_config.user_id : geteuid();
    const char *err = dir ? scep_status_files_check(dir, uid, check->ptemp) : NULL;

    if (err) {
        scep_check_error(check, service, "ScepStatusDirectory", "%s", err);
    }
}

/* Makes one service; a visitor of scep_each_service(). */
static int check_service(scep_service_conf_t *service, void *baton)
{
    scep_check_t *check = baton;
    const scep_service_conf_t *other;
    char *name = apr_pstrdup(check->pconf, service->name);
    scep_props_t *e = &service->effective;
    const char *err;
    int before = check->errors;

    scep_props_merge(e, &scep_server_conf(service->server)->props, &service->props, check->pconf);
    scep_props_preset(e);
    ap_str_tolower(name);
    other = apr_hash_get(check->names, name, APR_HASH_KEY_STRING);
    if (other) {
        scep_check_error(check, service, NULL, "the name is taken by the service at %s",
                         other->where);
    }
    apr_hash_set(check->names, name, APR_HASH_KEY_STRING, service);

    service->core.name = service->name;
    service->core.legacy = (unsigned)e->legacy;
    err = scep_legacy_make(&service->core.legacy_lib, service->core.legacy, check->pconf);
    if (err) {
        scep_check_error(check, service, "ScepLegacyAlgorithms", "%s", err);
    }
    service->core.capabilities = e->capabilities;
    service->core.include_ca = (int)e->include_ca;
    service->core.request_timeout = e->request_timeout;
    service->core.ca_wait = e->ca_wait;
    service->core.get_cert = (int)e->get_cert;
    service->core.get_crl = (int)e->get_crl;
    make_store(check, service);
    make_ca(check, service);
    check_templates(check, service);
    scep_check_renewal(check, service);
    if (service->core.ca && service->enrolls) {
        scep_check_keys(check, service);
        scep_check_next_ca(check, service);
        scep_lint_crl(check, service);
    }
    if (service->store) {
        make_policy(check, service);
    }
    check_capabilities(check, service);
    check_status_directory(check, service);
    scep_lint_httpd(check, service);
    if (check->errors == before) {
        err = scep_service_prepare(&service->core, NULL, check->pconf);
        if (err) {
            scep_check_error(check, service, NULL, "%s", err);
        }
    }
    return OK;
}

/* Whether inner lies below an endpoint of outer. */
static int lies_below(const char *inner, const char *outer)
{
    apr_size_t len = strlen(outer);

    if (ap_cstr_casecmpn(inner, outer, len)) {
        return 0;
    }
    inner += len;
    return (!ap_cstr_casecmpn(inner, "/mscep", 6) && (inner[6] == '/' || !inner[6])) ||
           (!ap_cstr_casecmpn(inner, "/mscep_admin", 12) && (inner[12] == '/' || !inner[12]));
}

/* Paths of two services that one server offers; own: of the same server. */
static void check_paths(scep_check_t *check, scep_service_conf_t *a, scep_service_conf_t *b,
                        int own)
{
    if (own && a->effective.point && b->effective.point) {
        scep_check_error(check, b, "ScepRegistrationPoint",
                         "there is one per server; it is ScepService %s (%s) already", a->name,
                         a->where);
    }
    if (own && !ap_cstr_casecmp(a->effective.path, b->effective.path)) {
        scep_check_error(check, b, "ScepPath", "%s/mscep is served by ScepService %s (%s) already",
                         b->effective.path, a->name, a->where);
    }
    else if (lies_below(a->effective.path, b->effective.path) ||
             lies_below(b->effective.path, a->effective.path)) {
        scep_check_error(check, b, "ScepPath",
                         "%s/mscep overlaps with %s/mscep of ScepService %s (%s)",
                         b->effective.path, a->effective.path, a->name, a->where);
    }
}

/* All pairs of services that a server offers. */
static void check_server(scep_check_t *check, const scep_server_conf_t *sc)
{
    int i, j;

    for (i = 0; i < sc->services->nelts; i++) {
        scep_service_conf_t *b = APR_ARRAY_IDX(sc->services, i, scep_service_conf_t *);

        for (j = 0; j < i; j++) {
            check_paths(check, APR_ARRAY_IDX(sc->services, j, scep_service_conf_t *), b, 1);
        }
        for (j = 0; sc->inherited && j < sc->inherited->nelts; j++) {
            check_paths(check, APR_ARRAY_IDX(sc->inherited, j, scep_service_conf_t *), b, 0);
        }
    }
}

int scep_check_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    scep_check_t check;
    server_rec *each;

    (void)plog;
    memset(&check, 0, sizeof(check));
    check.pconf = pconf;
    check.ptemp = ptemp;
    check.stores = apr_hash_make(ptemp);
    check.names = apr_hash_make(ptemp);
    check.early = ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG;
    check.test = ap_state_query(AP_SQ_RUN_MODE) == AP_SQ_RM_CONFIG_TEST;

    scep_each_service(s, check_service, &check);
    for (each = s; each; each = each->next) {
        if (each == s || scep_server_conf(each) != scep_server_conf(s)) {
            check_server(&check, scep_server_conf(each));
        }
    }
    return check.errors ? HTTP_INTERNAL_SERVER_ERROR : OK;
}
