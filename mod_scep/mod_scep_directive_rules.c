/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directives that say who may have a certificate and when: renewal, approval, limits, weak
 * algorithms, expressions.
 */
#include "mod_scep_directive.h"
#include "mod_scep_log_file.h"
#include <apr_strings.h>
#include <http_log.h>

APLOG_USE_MODULE(scep);

#define TEMPLATE_NAME_MAX 64
#define CA_WAIT apr_time_from_sec(86400)
#define CA_WAIT_MAX apr_time_from_sec(30 * 86400)
#define SECONDS_MAX (APR_INT64_C(3660) * 86400)

const char *scep_set_uses(cmd_parms *cmd, void *dummy, const char *arg)
{
    scep_props_t *props;
    const char *err = scep_scope(cmd, cmd->cmd->name, 0, &props);

    (void)dummy;
    if (err) {
        return err;
    }
    if (!ap_cstr_casecmp(arg, "once")) {
        props->uses = 1;
    }
    else if (!ap_cstr_casecmp(arg, "unlimited")) {
        props->uses = 0;
    }
    else if (scep_parse_number(&props->uses, arg, 0) || props->uses < 1 || props->uses > 1000000) {
        return scep_complain(cmd, "once, a number from 1 to 1000000, or unlimited is needed");
    }
    return NULL;
}

const char *scep_set_expr(cmd_parms *cmd, void *dummy, const char *arg)
{
    scep_props_t *props;
    const char *expr_err = NULL;
    const char *err = scep_scope(cmd, cmd->cmd->name, 0, &props);

    (void)dummy;
    if (err) {
        return err;
    }
    *(const ap_expr_info_t **)scep_member(props, (apr_size_t)cmd->info) =
        ap_expr_parse_cmd(cmd, arg, 0, &expr_err, NULL);
    return expr_err ? scep_complain(cmd, expr_err) : NULL;
}

const char *scep_add_template_rule(cmd_parms *cmd, void *dummy, const char *name, const char *arg)
{
    scep_props_t *props;
    scep_template_rule_t *rule;
    const char *expr_err = NULL;
    const char *err =
        scep_scope(cmd, apr_psprintf(cmd->temp_pool, "%s %s", cmd->cmd->name, name), 0, &props);

    (void)dummy;
    if (err) {
        return err;
    }
    if (!*name || strlen(name) > TEMPLATE_NAME_MAX) {
        return scep_complain(cmd, "a template's name has 1 to 64 characters");
    }
    rule = apr_array_push(scep_own_list(&props->admin_templates, sizeof(*rule), cmd->pool));
    rule->template_name = name;
    rule->expr = ap_expr_parse_cmd(cmd, arg, 0, &expr_err, NULL);
    return expr_err ? scep_complain(cmd, expr_err) : NULL;
}

const char *scep_set_ca_unavailable(cmd_parms *cmd, void *dummy, const char *what,
                                    const char *time)
{
    scep_props_t *props;
    apr_interval_time_t span = CA_WAIT;
    const char *err = scep_scope(cmd, cmd->cmd->name, 0, &props);

    (void)dummy;
    if (err) {
        return err;
    }
    if (!strcmp(what, "503") && !time) {
        props->ca_wait = 0;
        return NULL;
    }
    if (ap_cstr_casecmp(what, "pending")) {
        return scep_complain(cmd, "503, or pending and a time is needed");
    }
    err = time ? settings_duration(time, &span, cmd->pool) : NULL;
    if (err) {
        return scep_complain(cmd, err);
    }
    if (span < apr_time_from_sec(1) || span > CA_WAIT_MAX) {
        return scep_complain(cmd, "a time from 1s to 30d is needed");
    }
    props->ca_wait = span;
    return NULL;
}

const char *scep_add_file(cmd_parms *cmd, void *dummy, const char *arg)
{
    scep_props_t *props;
    const char *err = scep_scope(cmd, cmd->cmd->name, 1, &props);
    const char *file = scep_absolute(cmd, arg);
    const apr_array_header_t **list;

    (void)dummy;
    if (!err && !file) {
        err = scep_complain(cmd, "not a file name");
    }
    if (!err) {
        list = scep_member(props, (apr_size_t)cmd->info);
        APR_ARRAY_PUSH(scep_own_list(list, sizeof(file), cmd->pool), const char *) = file;
    }
    return err;
}

const char *scep_set_log(cmd_parms *cmd, void *dummy, const char *arg)
{
    scep_props_t *props;
    const char *err = scep_scope(cmd, cmd->cmd->name, 0, &props);
    const char *name = *arg == '|' ? arg : scep_absolute(cmd, arg);

    (void)dummy;
    if (err) {
        return err;
    }
    err = name ? scep_log_file_check(name, cmd->pool) : "not a file name";
    if (err) {
        return scep_complain(cmd, err);
    }
    *(const char **)scep_member(props, (apr_size_t)cmd->info) = name;
    return NULL;
}

const char *scep_set_legacy(cmd_parms *cmd, void *dummy, int argc, char *const argv[])
{
    static const struct {
        const char *word;
        unsigned flag;
    } words[] = {{"3des", SCEP_LEGACY_3DES},
                 {"sha1", SCEP_LEGACY_SHA1},
                 {"des", SCEP_LEGACY_DES},
                 {"md5", SCEP_LEGACY_MD5},
                 {"none", 0}};
    static const int known = sizeof(words) / sizeof(words[0]);
    scep_props_t *props;
    const char *err = scep_scope(cmd, cmd->cmd->name, 0, &props);
    int i, j;

    (void)dummy;
    if (err) {
        return err;
    }
    props->legacy = 0;
    for (i = 0; i < argc; i++) {
        for (j = 0; j < known && ap_cstr_casecmp(argv[i], words[j].word); j++) {
            continue;
        }
        if (j == known || (!words[j].flag && argc > 1)) {
            argc = 0;
            break;
        }
        props->legacy |= words[j].flag;
    }
    return argc > 0 ? NULL
                    : scep_complain(cmd, "none (alone), or any of 3des, sha1, des and md5 is "
                                         "needed");
}

const char *scep_set_window(cmd_parms *cmd, void *dummy, const char *arg)
{
    scep_props_t *props;
    apr_interval_time_t window = 0;
    const char *err = scep_scope(cmd, cmd->cmd->name, 0, &props);

    (void)dummy;
    if (err) {
        return err;
    }
    if (ap_cstr_casecmp(arg, "any")) {
        err = settings_duration(arg, &window, cmd->pool);
        if (err || window < apr_time_from_sec(1) || window > apr_time_from_sec(SECONDS_MAX)) {
            return scep_complain(cmd, "any, or a time from 1s to 3660d, such as 30d, is needed");
        }
    }
    props->renewal_window = window;
    return NULL;
}

const char *scep_set_renewal_key(cmd_parms *cmd, void *dummy, const char *arg)
{
    scep_props_t *props;
    const char *err = scep_scope(cmd, cmd->cmd->name, 0, &props);

    (void)dummy;
    if (err) {
        return err;
    }
    if (!ap_cstr_casecmp(arg, "any")) {
        props->renewal_key = SCEP_RENEWAL_KEY_ANY;
    }
    else if (!ap_cstr_casecmp(arg, "new")) {
        props->renewal_key = SCEP_RENEWAL_KEY_NEW;
    }
    else if (!ap_cstr_casecmp(arg, "same")) {
        props->renewal_key = SCEP_RENEWAL_KEY_SAME;
    }
    else {
        return scep_complain(cmd, "any, new or same is needed");
    }
    return NULL;
}

const char *scep_set_approval(cmd_parms *cmd, void *dummy, int argc, char *const argv[])
{
    scep_props_t *props;
    apr_array_header_t *names = apr_array_make(cmd->pool, 2, sizeof(const char *));
    scep_approval_t *approval = apr_pcalloc(cmd->pool, sizeof(*approval));
    const char *err = scep_scope(cmd, cmd->cmd->name, 0, &props);
    int i;

    (void)dummy;
    if (err) {
        return err;
    }
    if (argc == 1 && !ap_cstr_casecmp(argv[0], "automatic")) {
        props->approval = approval;
        return NULL;
    }
    if (argc < 1 || ap_cstr_casecmp(argv[0], "manual")) {
        return scep_complain(cmd, "automatic (alone), or manual and perhaps names of templates is "
                                  "needed");
    }
    for (i = 1; i < argc; i++) {
        if (!*argv[i] || strlen(argv[i]) > TEMPLATE_NAME_MAX) {
            return scep_complain(cmd, "a template's name has 1 to 64 characters");
        }
        APR_ARRAY_PUSH(names, const char *) = argv[i];
    }
    approval->templates = names;
    props->approval = approval;
    return NULL;
}

const char *scep_set_failure_limit(cmd_parms *cmd, void *dummy, const char *count,
                                   const char *window)
{
    scep_props_t *props;
    apr_interval_time_t span = SCEP_FAILURE_WINDOW;
    const char *err = scep_scope(cmd, cmd->cmd->name, 0, &props);

    (void)dummy;
    if (err) {
        return err;
    }
    if (scep_parse_number(&props->failure_max, count, 0) || props->failure_max > 1000000) {
        return scep_complain(cmd, "a number from 0 (no limit) to 1000000 is needed");
    }
    err = window ? settings_duration(window, &span, cmd->pool) : NULL;
    if (err) {
        return scep_complain(cmd, err);
    }
    if (span < apr_time_from_sec(1) || span > apr_time_from_sec(86400)) {
        return scep_complain(cmd, "a time from 1s to 1d is needed");
    }
    props->failure_window = span;
    return NULL;
}

const char *scep_set_concurrency(cmd_parms *cmd, void *dummy, const char *max, const char *queue,
                                 const char *wait)
{
    scep_props_t *props;
    apr_interval_time_t span = 0;
    const char *err = scep_scope(cmd, cmd->cmd->name, 0, &props);

    (void)dummy;
    if (err) {
        return err;
    }
    if (scep_parse_number(&props->concurrency, max, 0) || props->concurrency > 100000) {
        return scep_complain(cmd, "a number from 0 (no limit) to 100000 is needed");
    }
    /* a queue of an outer scope belongs to that scope's number */
    props->concurrency_queue = props->concurrency;
    if (queue && (scep_parse_number(&props->concurrency_queue, queue, 0) ||
                  props->concurrency_queue > 100000)) {
        return scep_complain(cmd, "how many may wait is a number from 0 to 100000");
    }
    err = wait ? settings_duration(wait, &span, cmd->pool) : NULL;
    if (err) {
        return scep_complain(cmd, err);
    }
    if (wait && (span < apr_time_from_msec(1) || span > apr_time_from_sec(60))) {
        return scep_complain(cmd, "a time from 1ms to 60s is needed");
    }
    props->concurrency_wait = wait ? span : SCEP_CONCURRENCY_WAIT;
    return NULL;
}
