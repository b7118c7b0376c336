/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a checked configuration to a running server: post_config as root (directories, password
 * files, secrets, start-up lines), child_init as the server's user (pools of connections).
 */
#include "mod_scep_admission.h"
#include "mod_scep_announce.h"
#include "mod_scep_check.h"
#include "mod_scep_log.h"
#include "mod_scep_metrics.h"
#include "mod_scep_status_files.h"
#include "mod_scep_worker.h"
#include <apr_file_io.h>
#include <ap_mpm.h>
#include <apr_strings.h>
#include <http_log.h>
#include <unistd.h>
#include <unixd.h>

APLOG_USE_MODULE(scep);

/* What one start works with. */
typedef struct start_t {
    apr_pool_t *pconf, *ptemp;
    uid_t uid;
    gid_t gid;
    apr_hash_t *done; /* stores that are prepared, servers whose limit was told */
    int services;
} start_t;

/* Whether this start sees the object for the first time. */
static int first_time(start_t *start, const void *object)
{
    const char *key = apr_psprintf(start->ptemp, "%pp", object);

    if (apr_hash_get(start->done, key, APR_HASH_KEY_STRING)) {
        return 0;
    }
    apr_hash_set(start->done, key, APR_HASH_KEY_STRING, "");
    return 1;
}

#define PRIVATE (APR_FPROT_UREAD | APR_FPROT_UWRITE | APR_FPROT_UEXECUTE)
#define FOR_GROUP (PRIVATE | APR_FPROT_GREAD | APR_FPROT_GEXECUTE)

/* Makes the directory, owned by the server's user.  One that is there stays as it is. */
static apr_status_t make_directory(const char *dir, apr_fileperms_t prot, const start_t *start)
{
    apr_finfo_t info;
    apr_status_t rv;

    if (apr_stat(&info, dir, APR_FINFO_TYPE, start->ptemp) == APR_SUCCESS) {
        return info.filetype == APR_DIR ? APR_SUCCESS : APR_ENOTDIR;
    }
    rv = apr_dir_make_recursive(dir, prot, start->ptemp);
    if (rv == APR_SUCCESS && geteuid() == 0 && chown(dir, start->uid, start->gid) != 0) {
        rv = APR_FROM_OS_ERROR(errno);
    }
    return rv;
}

/* The SHA-1 thumbprint, which profiles for devices carry of the CA; "" when there is none. */
static const char *thumbprint_text(const X509 *cert, apr_pool_t *p)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    return crypt_thumbprint(cert, EVP_sha1(), digest, &len) == APR_SUCCESS
               ? crypt_hex(digest, len, 1, p)
               : "";
}

/* The folders of the request-status files.  Error text, NULL on success. */
static const char *make_status_folders(const char *dir, const start_t *start)
{
    const char *const *folder;
    apr_status_t rv = dir ? make_directory(dir, FOR_GROUP, start) : APR_SUCCESS;
    char why[120];

    for (folder = dir ? scep_status_files_folders(dir, start->ptemp) : NULL;
         rv == APR_SUCCESS && folder && *folder; folder++) {
        rv = make_directory(*folder, FOR_GROUP, start);
    }
    return rv == APR_SUCCESS ? NULL
                             : apr_psprintf(start->ptemp, "cannot make the folders of %s: %s", dir,
                                            apr_strerror(rv, why, sizeof(why)));
}

/* One certificate's start-up line; louder the nearer its end is. */
static void tell_certificate(const scep_service_conf_t *service, const char *what, X509 *cert,
                             apr_pool_t *p)
{
    int days = scep_days_left(cert);
    int level = days < 0 ? APLOG_ERR : (days < SCEP_WARN_DAYS ? APLOG_WARNING : APLOG_NOTICE);
    const char *name = crypt_name_text(X509_get_subject_name(cert), p);
    const char *serial = crypt_serial_text(X509_get0_serialNumber(cert), p);
    const char *thumbprint = thumbprint_text(cert, p);

    if (days < 0) {
        ap_log_error(APLOG_MARK, level, 0, service->server,
                     SCEPTAG(0470) ": service %s: %s %s (serial %s, SHA-1 thumbprint %s) has "
                                   "expired",
                     service->name, what, name, serial, thumbprint);
    }
    else {
        ap_log_error(APLOG_MARK, level, 0, service->server,
                     SCEPTAG(0471) ": service %s: %s %s (serial %s, SHA-1 thumbprint %s), %d days "
                                   "left",
                     service->name, what, name, serial, thumbprint, days);
    }
}

/* The certificates of a service, one line each. */
static void tell_certificates(const scep_service_conf_t *service, apr_pool_t *p)
{
    const scep_service_t *core = &service->core;
    STACK_OF(X509) *chain = NULL;
    int i;

    if (core->has_ra) {
        tell_certificate(service, "RA signing certificate", scep_service_signer(core, 0)->cert, p);
        /* older generations only decrypt; they are meant to expire */
        tell_certificate(service, "RA encryption certificate",
                         APR_ARRAY_IDX(core->decrypters, 0, scep_ra_key_t).cert, p);
    }
    if (ca_chain(core->ca, &chain, NULL, p) == APR_SUCCESS) {
        for (i = 0; i < sk_X509_num(chain); i++) {
            tell_certificate(service, "CA certificate", sk_X509_value(chain, i), p);
        }
    }
    for (i = 0; i < sk_X509_num(core->next_certs); i++) {
        tell_certificate(service, "next CA's certificate", sk_X509_value(core->next_certs, i), p);
    }
}

/* The names of the policy providers. */
static const char *policy_names(const scep_props_t *e, apr_pool_t *p)
{
    const char *text = "";
    int i;

    for (i = 0; i < e->policies->nelts; i++) {
        text = apr_pstrcat(p, text, i ? ", " : "", APR_ARRAY_IDX(e->policies, i, scep_words_t).name,
                           NULL);
    }
    return text;
}

/* The start-up lines of a service. */
static void tell(const scep_service_conf_t *service, start_t *start)
{
    const scep_props_t *e = &service->effective;
    server_rec *s = service->server;
    int i;

    ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s,
                 SCEPTAG(0472) ": service %s: %s and %s, store %s, CA %s, policy %s", service->name,
                 scep_path_enroll(service, start->ptemp), scep_path_admin(service, start->ptemp),
                 service->store->display, ca_name(service->core.ca), policy_names(e, start->ptemp));
    tell_certificates(service, start->ptemp);
    for (i = 0; i < service->warnings->nelts; i++) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s, SCEPTAG(0473) ": %s",
                     APR_ARRAY_IDX(service->warnings, i, const char *));
    }
    if (s->limit_req_line < SCEP_REQUEST_LINE && first_time(start, s)) {
        ap_log_error(
            APLOG_MARK, APLOG_NOTICE, 0, s,
            SCEPTAG(0474) ": LimitRequestLine is %d; devices that enroll by GET with a large "
                          "key or challenge need more (up to %d)",
            s->limit_req_line, SCEP_REQUEST_LINE);
    }
}

/* An error of the start with the place that it is about. */
static int fail(const scep_service_conf_t *service, const char *directive, const char *text)
{
    const char *where =
        scep_props_where(&service->effective, directive, 0, service->server->process->pconf);

    ap_log_error(APLOG_MARK, APLOG_ERR, 0, service->server,
                 SCEPTAG(0475) ": ScepService %s (%s): %s: %s", service->name,
                 where ? where : service->where, directive, text);
    return HTTP_INTERNAL_SERVER_ERROR;
}

/* Lets the CA look at what only a start can try.  What may be back later ends a start, where
 * somebody looks, but not a server that runs and only restarts. */
static int prepare_ca(const scep_service_conf_t *service, const start_t *start)
{
    int away = 0, generation = 0;
    const char *err = ca_prepare(service->core.ca, start->uid, start->gid, &away, start->ptemp);

    if (!err) {
        return OK;
    }
    if (!away || ap_mpm_query(AP_MPMQ_GENERATION, &generation) != APR_SUCCESS || !generation) {
        return fail(service, "ScepCABackend", err);
    }
    ap_log_error(APLOG_MARK, APLOG_ERR, 0, service->server,
                 SCEPTAG(0590) ": service %s: %s; it is tried again when a device asks",
                 service->name, err);
    return OK;
}

/* Files and secrets of one service, then its start-up lines; a visitor of scep_each_service(). */
static int start_service(scep_service_conf_t *service, void *baton)
{
    start_t *start = baton;
    const scep_props_t *e = &service->effective;
    const log_sink_t *log = scep_log_server(service->server, start->ptemp);
    const char *err;
    char why[120];
    apr_status_t rv = make_directory(e->state_directory, PRIVATE, start);
    int error;

    start->services++;
    if (rv != APR_SUCCESS) {
        return fail(service, "ScepStateDirectory",
                    apr_psprintf(start->ptemp, "cannot make %s: %s", e->state_directory,
                                 apr_strerror(rv, why, sizeof(why))));
    }
    error = scep_worker_setup(e->state_directory, start->uid, start->gid, start->ptemp);
    if (error) {
        return fail(service, "ScepStateDirectory",
                    apr_psprintf(start->ptemp, "cannot make the worker's lock file in %s: %s",
                                 e->state_directory, strerror(error)));
    }
    err = make_status_folders(e->status_directory, start);
    if (err) {
        return fail(service, "ScepStatusDirectory", err);
    }
    if (first_time(start, service->store)) {
        err =
            service->store->provider->prepare(service->store, start->uid, start->gid, start->pconf);
        if (err) {
            return fail(service, "ScepStore", err);
        }
    }
    err = policy_prepare(service->core.policy, start->uid, start->gid, log, start->pconf);
    if (err) {
        return fail(service, "ScepPolicy", err);
    }
    if (prepare_ca(service, start) != OK) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    service->metrics = scep_metrics_take(service->name);
    if (service->metrics) {
        store_tally_set(service->store, service->name, &service->metrics->store, start->pconf);
    }
    tell(service, start);
    return OK;
}

int scep_post_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    start_t start;
    int rv;

    (void)plog;
    /* the first of two passes at start: everything is unloaded again after it */
    if (ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG) {
        return OK;
    }
    memset(&start, 0, sizeof(start));
    start.pconf = pconf;
    start.ptemp = ptemp;
    start.uid = geteuid() == 0 ? ap_unixd_config.user_id : geteuid();
    start.gid = geteuid() == 0 ? ap_unixd_config.group_id : getegid();
    start.done = apr_hash_make(ptemp);
    if (scep_metrics_setup(s) != APR_SUCCESS) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    rv = scep_each_service(s, start_service, &start);
    if (rv == OK && start.services &&
        scep_announce_setup(s, start.services, pconf) != APR_SUCCESS) {
        rv = HTTP_INTERNAL_SERVER_ERROR;
    }
    return rv;
}

/* What a child sets up. */
typedef struct child_t {
    apr_pool_t *pchild;
    apr_hash_t *done; /* store_t* -> "ok" or "failed" */
} child_t;

/* Sets up one service in this child; a visitor of scep_each_service(). */
static int child_service(scep_service_conf_t *service, void *baton)
{
    child_t *child = baton;
    const char *state = apr_hash_get(child->done, &service->store, sizeof(service->store));
    apr_status_t rv = APR_SUCCESS;

    if (!state) {
        rv = store_child_init(service->store, child->pchild);
        state = rv == APR_SUCCESS ? "ok" : "failed";
        apr_hash_set(child->done, &service->store, sizeof(service->store), state);
    }
    if (rv == APR_SUCCESS && !strcmp(state, "failed")) {
        rv = APR_EGENERAL;
    }
    if (rv == APR_SUCCESS) {
        rv = policy_child_init(service->core.policy, child->pchild);
    }
    if (rv == APR_SUCCESS) {
        rv = ca_child_init(service->core.ca, child->pchild);
    }
    if (rv == APR_SUCCESS) {
        rv = scep_admission_child(service, child->pchild);
    }
    if (rv != APR_SUCCESS) {
        /* the other services go on; this one answers 503 */
        service->broken = 1;
        ap_log_error(APLOG_MARK, APLOG_ERR, rv, service->server,
                     SCEPTAG(0476) ": service %s cannot be set up in this child", service->name);
    }
    return OK;
}

void scep_child_init(apr_pool_t *pchild, server_rec *s)
{
    child_t child;

    child.pchild = pchild;
    child.done = apr_hash_make(pchild);
    scep_each_service(s, child_service, &child);
    scep_worker_child(s, pchild);
}
