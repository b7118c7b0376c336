/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration's life: the table of directives, <ScepService>, create and merge.  What a
 * directive does with its words stands in mod_scep_directive.c.
 */
#include "mod_scep_directive.h"
#include <apr_lib.h>
#include <apr_strings.h>
#include <http_log.h>
#include <stddef.h>

APLOG_USE_MODULE(scep);

#define SECTION "<ScepService"
#define NAME_MAX_LEN 32

scep_server_conf_t *scep_server_conf(const server_rec *s)
{
    return ap_get_module_config(s->module_config, &scep_module);
}

/* Sets each member to its sentinel. */
static void props_clear(scep_props_t *props, apr_pool_t *p)
{
#define X(type, member, unset, preset) props->member = unset;
    SCEP_PROPS(X)
#undef X
    props->where = apr_table_make(p, 8);
}

/* Templates of add, then those of base with other names; NULL for none at all. */
static const apr_array_header_t *merge_templates(const apr_array_header_t *base,
                                                 const apr_array_header_t *add, apr_pool_t *p)
{
    apr_array_header_t *result;
    int i, j;

    if (!base || !add) {
        return add ? add : base;
    }
    result = apr_array_copy(p, add);
    for (i = 0; i < base->nelts; i++) {
        const ca_template_t *t = APR_ARRAY_IDX(base, i, const ca_template_t *);

        for (j = 0; j < add->nelts; j++) {
            if (!strcmp(APR_ARRAY_IDX(add, j, const ca_template_t *)->name, t->name)) {
                break;
            }
        }
        if (j == add->nelts) {
            APR_ARRAY_PUSH(result, const ca_template_t *) = t;
        }
    }
    return result;
}

void scep_props_merge(scep_props_t *result, const scep_props_t *base, const scep_props_t *add,
                      apr_pool_t *p)
{
#define X(type, member, unset, preset) \
    result->member = (add->member != unset) ? add->member : base->member;
    SCEP_PROPS(X)
#undef X
    result->local_templates = merge_templates(base->local_templates, add->local_templates, p);
    result->where = apr_table_overlay(p, add->where, base->where);
}

void scep_props_preset(scep_props_t *props)
{
#define X(type, member, unset, preset) \
    if (props->member == unset) {      \
        props->member = preset;        \
    }
    SCEP_PROPS(X)
#undef X
}

const char *scep_props_where(const scep_props_t *props, const char *directive, int entry,
                             apr_pool_t *p)
{
    const char *where = NULL;

    if (entry > 0) {
        where = apr_table_get(props->where, apr_psprintf(p, "%s#%d", directive, entry + 1));
    }
    return where ? where : apr_table_get(props->where, directive);
}

void *scep_create_server_conf(apr_pool_t *p, server_rec *s)
{
    scep_server_conf_t *sc = apr_pcalloc(p, sizeof(*sc));

    (void)s;
    props_clear(&sc->props, p);
    sc->services = apr_array_make(p, 2, sizeof(scep_service_conf_t *));
    return sc;
}

void *scep_merge_server_conf(apr_pool_t *p, void *basev, void *addv)
{
    const scep_server_conf_t *base = basev, *add = addv;
    scep_server_conf_t *sc = apr_pcalloc(p, sizeof(*sc));

    scep_props_merge(&sc->props, &base->props, &add->props, p);
    sc->services = add->services;
    sc->inherited = base->services;
    return sc;
}

int scep_each_service(server_rec *main_server, int (*visit)(scep_service_conf_t *, void *),
                      void *baton)
{
    server_rec *s;
    int i, rv;

    for (s = main_server; s; s = s->next) {
        scep_server_conf_t *sc = scep_server_conf(s);

        /* a host without directives of ours has the main server's very struct */
        if (s != main_server && sc == scep_server_conf(main_server)) {
            continue;
        }
        for (i = 0; i < sc->services->nelts; i++) {
            rv = visit(APR_ARRAY_IDX(sc->services, i, scep_service_conf_t *), baton);
            if (rv != OK) {
                return rv;
            }
        }
    }
    return OK;
}

const char *scep_path_enroll(const scep_service_conf_t *service, apr_pool_t *p)
{
    return apr_pstrcat(p, service->effective.path, "/mscep/mscep.dll", NULL);
}

const char *scep_path_admin(const scep_service_conf_t *service, apr_pool_t *p)
{
    return apr_pstrcat(p, service->effective.path, "/mscep_admin", NULL);
}

const char *scep_path_crl(const scep_service_conf_t *service, apr_pool_t *p)
{
    return apr_pstrcat(p, service->effective.path, SCEP_PATH_CRL, NULL);
}

/* The section's name out of "NAME>"; error text or NULL. */
static const char *section_name(const char **pname, const char *arg, apr_pool_t *p)
{
    const char *end = ap_strrchr_c(arg, '>');
    const char *name, *c;

    if (!end || end[1 + strspn(end + 1, " \t")]) {
        return SECTION "> directive missing closing '>'";
    }
    arg = apr_pstrmemdup(p, arg, end - arg);
    name = ap_getword_conf(p, &arg);
    for (c = name; apr_isalnum(*c) || *c == '-' || *c == '_'; c++) {
        continue;
    }
    if (!*name || *c || c - name > NAME_MAX_LEN || *arg) {
        return SECTION " NAME>: one name of at most 32 letters, digits, '-' and '_' is needed";
    }
    *pname = name;
    return NULL;
}

/* Error text when a directive in the section is not one of ours, or NULL. */
static const char *section_content(const ap_directive_t *directive, apr_pool_t *p)
{
    for (; directive; directive = directive->next) {
        if (!ap_cstr_casecmp(directive->directive, SECTION)) {
            return SECTION ">: sections cannot be nested";
        }
        if (ap_cstr_casecmpn(directive->directive, "Scep", 4)) {
            return apr_psprintf(p, SECTION ">: %s (line %d) does not belong into this section",
                                directive->directive, directive->line_num);
        }
    }
    return NULL;
}

/* <ScepService NAME>: makes the service, reads its directives into it. */
static const char *set_service(cmd_parms *cmd, void *dummy, const char *arg)
{
    scep_server_conf_t *sc = scep_server_conf(cmd->server);
    scep_service_conf_t *service;
    const char *name = NULL, *err;
    int i;

    (void)dummy;
    if (sc->current) {
        return SECTION ">: sections cannot be nested";
    }
    err = section_name(&name, arg, cmd->pool);
    if (!err) {
        err = section_content(cmd->directive->first_child, cmd->pool);
    }
    if (err) {
        return err;
    }
    for (i = 0; i < sc->services->nelts; i++) {
        service = APR_ARRAY_IDX(sc->services, i, scep_service_conf_t *);
        if (!ap_cstr_casecmp(service->name, name)) {
            return apr_psprintf(cmd->pool, SECTION " %s>: the name is taken by the service at %s",
                                name, service->where);
        }
    }
    service = apr_pcalloc(cmd->pool, sizeof(*service));
    service->name = name;
    service->server = cmd->server;
    service->where =
        apr_psprintf(cmd->pool, "%s:%d", cmd->directive->filename, cmd->directive->line_num);
    service->warnings = apr_array_make(cmd->pool, 2, sizeof(const char *));
    props_clear(&service->props, cmd->pool);
    APR_ARRAY_PUSH(sc->services, scep_service_conf_t *) = service;

    sc->current = service;
    err = ap_walk_config(cmd->directive->first_child, cmd, cmd->context);
    sc->current = NULL;
    return err;
}

#define AT(member) ((void *)offsetof(scep_props_t, member))
#define RANGE(name, member, kind, min, max) \
    static const scep_range_t name = {offsetof(scep_props_t, member), kind, min, max}
#define DAYS(n) apr_time_from_sec((n)*APR_INT64_C(86400))

RANGE(range_lifetime, lifetime, SCEP_VALUE_DURATION, apr_time_from_sec(1), DAYS(3660));
RANGE(range_length, length, SCEP_VALUE_NUMBER, 8, 64);
RANGE(range_max, max, SCEP_VALUE_NUMBER, 1, 100000000);
RANGE(range_caller, max_per_caller, SCEP_VALUE_NUMBER, 0, 1000000);
RANGE(range_attempts, attempts, SCEP_VALUE_NUMBER, 0, 1000000);
RANGE(range_retention, retention, SCEP_VALUE_DURATION, apr_time_from_sec(60), DAYS(3660));
RANGE(range_message, max_message_size, SCEP_VALUE_SIZE, 4096, 16 * 1024 * 1024);
RANGE(range_timeout, request_timeout, SCEP_VALUE_DURATION, apr_time_from_sec(1),
      apr_time_from_sec(300));
RANGE(range_skew, not_before_skew, SCEP_VALUE_DURATION, 0, DAYS(7));
RANGE(range_grace, renewal_grace, SCEP_VALUE_DURATION, 0, CA_GRACE_MAX);
RANGE(range_pending, pending_max, SCEP_VALUE_NUMBER, 0, 1000000);
RANGE(range_poll, poll_interval, SCEP_VALUE_DURATION, apr_time_from_sec(1), DAYS(7));
RANGE(range_notify, notify_lifetime, SCEP_VALUE_DURATION, apr_time_from_sec(60), DAYS(30));
RANGE(range_hold, point_hold, SCEP_VALUE_DURATION, apr_time_from_sec(10), DAYS(1));
RANGE(range_failure, failure_max_service, SCEP_VALUE_NUMBER, 0, 100000000);

const command_rec scep_directives[] = {
    AP_INIT_RAW_ARGS(SECTION, set_service, NULL, RSRC_CONF,
                     "NAME> one SCEP service; closed by </ScepService>"),
    AP_INIT_TAKE1("ScepPath", scep_set_path, NULL, RSRC_CONF,
                  "path above mscep/mscep.dll and mscep_admin (default /certsrv)"),
    AP_INIT_TAKE1("ScepStore", scep_set_store, NULL, RSRC_CONF,
                  "URL of the store of challenges and transactions (default sqlite:)"),
    AP_INIT_TAKE1("ScepStoreUser", scep_set_text, AT(store_user), RSRC_CONF,
                  "user name for the store"),
    AP_INIT_TAKE1("ScepStorePasswordFile", scep_set_file, AT(store_password_file), RSRC_CONF,
                  "file that holds the password for the store"),
    AP_INIT_TAKE1("ScepStoreCAFile", scep_set_file, AT(store_ca_file), RSRC_CONF,
                  "PEM certificates that vouch for the store's server"),
    AP_INIT_TAKE1("ScepStoreCertificateFile", scep_set_file, AT(store_certificate_file), RSRC_CONF,
                  "PEM client certificate for the store"),
    AP_INIT_TAKE1("ScepStoreKeyFile", scep_set_file, AT(store_key_file), RSRC_CONF,
                  "PEM key of the client certificate for the store"),
    AP_INIT_TAKE23("ScepStoreTimeout", scep_set_store_timeout, NULL, RSRC_CONF,
                   "time to connect, time for one command, and time to find a new master"),
    AP_INIT_TAKE12("ScepStoreWait", scep_set_store_wait, NULL, RSRC_CONF,
                   "how many replicas must have a claim before it is signed, and how long to wait"),
    AP_INIT_TAKE1("ScepStoreSentinelUser", scep_set_text, AT(store_sentinel_user), RSRC_CONF,
                  "user name for the sentinels of the store"),
    AP_INIT_TAKE1("ScepStoreSentinelPasswordFile", scep_set_file, AT(store_sentinel_password_file),
                  RSRC_CONF, "file that holds the password for the sentinels of the store"),
    AP_INIT_TAKE1("ScepStateDirectory", scep_set_file, AT(state_directory), RSRC_CONF,
                  "directory of the local state"),
    AP_INIT_TAKE1("ScepChallengeSecretFile", scep_set_file, AT(secret_file), RSRC_CONF,
                  "file that holds the key of the challenges' HMAC"),
    AP_INIT_TAKE12("ScepRASigningCertificate", scep_add_keyfile, AT(ra_signing), RSRC_CONF,
                   "PEM certificate, and key, that signs replies; the first one in force"),
    AP_INIT_TAKE12("ScepRAEncryptionCertificate", scep_add_keyfile, AT(ra_encryption), RSRC_CONF,
                   "PEM certificate, and key, that opens requests; the first one is given out"),
    AP_INIT_TAKE1("ScepCAChain", scep_set_file, AT(ca_chain), RSRC_CONF,
                  "PEM certificates from the issuing CA to the root"),
    AP_INIT_TAKE_ARGV("ScepCABackend", scep_set_ca, NULL, RSRC_CONF,
                      "NAME key=value ...: who signs"),
    AP_INIT_TAKE2("ScepTemplate", scep_set_template, NULL, RSRC_CONF,
                  "signature, encryption or general, and the template for such requests"),
    AP_INIT_TAKE_ARGV("ScepLocalTemplate", scep_add_local_template, NULL, RSRC_CONF,
                      "NAME key=value ...: what a certificate of that template holds"),
    AP_INIT_TAKE_ARGV("ScepPolicy", scep_add_policy, NULL, RSRC_CONF,
                      "NAME key=value ...: who may have a certificate; all have to agree"),
    AP_INIT_TAKE1("ScepChallengeLifetime", scep_set_range, (void *)&range_lifetime, RSRC_CONF,
                  "how long a challenge is good for (default 60min)"),
    AP_INIT_TAKE1("ScepChallengeLength", scep_set_range, (void *)&range_length, RSRC_CONF,
                  "random bytes in a challenge, shown as hex (default 8)"),
    AP_INIT_TAKE1("ScepChallengeMax", scep_set_range, (void *)&range_max, RSRC_CONF,
                  "outstanding challenges at most (default 10000)"),
    AP_INIT_TAKE1("ScepChallengeMaxPerCaller", scep_set_range, (void *)&range_caller, RSRC_CONF,
                  "outstanding challenges of one caller at most (default 0: no cap)"),
    AP_INIT_TAKE1("ScepChallengeUses", scep_set_uses, NULL, RSRC_CONF,
                  "enrollments per challenge: once (default), a number, or unlimited"),
    AP_INIT_TAKE1("ScepChallengeAttempts", scep_set_range, (void *)&range_attempts, RSRC_CONF,
                  "refused requests until a challenge is burned (default 3, 0: any number)"),
    AP_INIT_TAKE1("ScepAdminAuthorize", scep_set_expr, AT(admin_authorize), RSRC_CONF,
                  "expression that must be true for a user to be given a challenge"),
    AP_INIT_TAKE2("ScepAdminAuthorizeTemplate", scep_add_template_rule, NULL, RSRC_CONF,
                  "template, and expression that must be true for challenges that are good for it"),
    AP_INIT_TAKE1("ScepRetention", scep_set_range, (void *)&range_retention, RSRC_CONF,
                  "how long a transaction can be answered again (default 7d)"),
    AP_INIT_TAKE_ARGV("ScepLegacyAlgorithms", scep_set_legacy, NULL, RSRC_CONF,
                      "none, or any of 3des sha1 des md5 (default 3des sha1)"),
    AP_INIT_TAKE_ARGV("ScepCapabilities", scep_set_capabilities, NULL, RSRC_CONF,
                      "keywords of GetCACaps instead of the generated ones"),
    AP_INIT_FLAG("ScepInfoPage", scep_set_flag, AT(info_page), RSRC_CONF,
                 "page for a request without operation (default on), or 403 (off)"),
    AP_INIT_TAKE1("ScepMaxMessageSize", scep_set_range, (void *)&range_message, RSRC_CONF,
                  "largest request (default 64k)"),
    AP_INIT_FLAG("ScepIncludeCA", scep_set_flag, AT(include_ca), RSRC_CONF,
                 "send the issuing CA's certificate with an issued one (default off)"),
    AP_INIT_TAKE1("ScepRequestTimeout", scep_set_range, (void *)&range_timeout, RSRC_CONF,
                  "time for one request (default 8s)"),
    AP_INIT_TAKE1("ScepNotBeforeSkew", scep_set_range, (void *)&range_skew, RSRC_CONF,
                  "how far notBefore is dated back (default 10min)"),
    AP_INIT_FLAG("ScepRenewal", scep_set_flag, AT(renewal), RSRC_CONF,
                 "a certificate of this service can be renewed with its key (default on)"),
    AP_INIT_TAKE1("ScepRenewalWindow", scep_set_window, NULL, RSRC_CONF,
                  "how long before its end a certificate can be renewed, or any (default)"),
    AP_INIT_TAKE1("ScepRenewalGrace", scep_set_range, (void *)&range_grace, RSRC_CONF,
                  "how long after its end a certificate can be renewed (default 0)"),
    AP_INIT_FLAG("ScepRenewalSameSubject", scep_set_flag, AT(renewal_same_subject), RSRC_CONF,
                 "a renewal keeps subject and subject alternative names (default on)"),
    AP_INIT_TAKE1("ScepRenewalKey", scep_set_renewal_key, NULL, RSRC_CONF,
                  "any (default), new or same: the key of a renewal"),
    AP_INIT_TAKE1("ScepRenewalCAFile", scep_set_file, AT(renewal_ca_file), RSRC_CONF,
                  "PEM certificates of other CAs whose certificates can be renewed here"),
    AP_INIT_TAKE_ARGV("ScepApproval", scep_set_approval, NULL, RSRC_CONF,
                      "automatic (default), or manual [TEMPLATE ...]: requests wait for a person"),
    AP_INIT_TAKE1("ScepPendingMax", scep_set_range, (void *)&range_pending, RSRC_CONF,
                  "requests that may wait at a time (default 1000, 0: any number)"),
    AP_INIT_TAKE1("ScepPollInterval", scep_set_range, (void *)&range_poll, RSRC_CONF,
                  "when a client whose request waits should ask again (default 5min)"),
    AP_INIT_TAKE12("ScepCAUnavailable", scep_set_ca_unavailable, NULL, RSRC_CONF,
                   "503 (default), or pending [TIME]: for a request that the CA cannot sign now"),
    AP_INIT_TAKE12("ScepFailureLimit", scep_set_failure_limit, NULL, RSRC_CONF,
                   "failed challenges per client address in a time (default 1000 10min, 0: off)"),
    AP_INIT_TAKE1("ScepFailureLimitService", scep_set_range, (void *)&range_failure, RSRC_CONF,
                  "failed challenges of all clients in that time (default 0: off)"),
    AP_INIT_TAKE123("ScepConcurrency", scep_set_concurrency, NULL, RSRC_CONF,
                    "requests at once per child (0: no limit), how many more wait, how long"),
    AP_INIT_FLAG("ScepRegistrationPoint", scep_set_flag, AT(point), RSRC_CONF,
                 "fronts with a client certificate may ask and tell here (default off)"),
    AP_INIT_TAKE1("ScepRegistrationPointAuthorize", scep_set_expr, AT(point_authorize), RSRC_CONF,
                  "expression that must be true for a front (default: any verified certificate)"),
    AP_INIT_TAKE1("ScepRegistrationPointHold", scep_set_range, (void *)&range_hold, RSRC_CONF,
                  "how long an allowed request is held for its front (default 10min)"),
    AP_INIT_TAKE1("ScepLimitExempt", scep_set_expr, AT(limit_exempt), RSRC_CONF,
                  "expression that is true for requests which the limits do not concern"),
    AP_INIT_FLAG("ScepGetCert", scep_set_flag, AT(get_cert), RSRC_CONF,
                 "answer GetCert (default on)"),
    AP_INIT_FLAG("ScepGetCRL", scep_set_flag, AT(get_crl), RSRC_CONF,
                 "answer GetCRL and PREFIX/ca.crl (default on)"),
    AP_INIT_TAKE1("ScepCRLFile", scep_set_file, AT(crl_file), RSRC_CONF,
                  "PEM or DER file with the CA's CRL, for GetCRL"),
    AP_INIT_TAKE1("ScepNextCAChain", scep_set_file, AT(next_ca_chain), RSRC_CONF,
                  "PEM certificates of the CA that comes next, for GetNextCACert"),
    AP_INIT_TAKE1("ScepNextRACertificate", scep_add_file, AT(next_ra_certificates), RSRC_CONF,
                  "PEM certificate of an RA under the next CA"),
    AP_INIT_TAKE1("ScepStatusAuthorize", scep_set_expr, AT(status_authorize), RSRC_CONF,
                  "expression that must be true for a user of scep-status to see the service"),
    AP_INIT_TAKE1("ScepNotifyLifetime", scep_set_range, (void *)&range_notify, RSRC_CONF,
                  "how long delivery of a policy's news is tried (default 24h)"),
    AP_INIT_TAKE1("ScepStatusDirectory", scep_set_file, AT(status_directory), RSRC_CONF,
                  "directory that gets a file for each certificate, as NDES' request status"),
    AP_INIT_TAKE1("ScepAuditLog", scep_set_log, AT(audit_log), RSRC_CONF,
                  "file or |program that gets one JSON line for each PKIOperation"),
    AP_INIT_TAKE1("ScepPolicyLog", scep_set_log, AT(policy_log), RSRC_CONF,
                  "file or |program that gets NDES' policy module's lines, for CMTrace"),
    {NULL, {NULL}, NULL, 0, RAW_ARGS, NULL}};
