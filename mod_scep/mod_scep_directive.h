/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The setters behind the command table of mod_scep_config.c.  Each returns the error text that
 * httpd prints with file and line, NULL on success.
 */
#ifndef MOD_SCEP_DIRECTIVE_H
#define MOD_SCEP_DIRECTIVE_H

#include "mod_scep_config.h"

/* cmd->info of the setters that serve several directives. */
typedef enum { SCEP_VALUE_NUMBER, SCEP_VALUE_SIZE, SCEP_VALUE_DURATION } scep_value_e;
typedef struct scep_range_t {
    apr_size_t offset; /* of the member in scep_props_t */
    scep_value_e kind;
    apr_int64_t min, max;
} scep_range_t;

const char *scep_set_path(cmd_parms *cmd, void *dummy, const char *arg);
const char *scep_set_text(cmd_parms *cmd, void *dummy, const char *arg);  /* info: offset */
const char *scep_set_file(cmd_parms *cmd, void *dummy, const char *arg);  /* info: offset */
const char *scep_set_flag(cmd_parms *cmd, void *dummy, int value);        /* info: offset */
const char *scep_set_range(cmd_parms *cmd, void *dummy, const char *arg); /* info: scep_range_t */
const char *scep_set_store(cmd_parms *cmd, void *dummy, const char *arg);
const char *scep_set_store_timeout(cmd_parms *cmd, void *dummy, const char *connect,
                                   const char *command, const char *relocate);
const char *scep_set_store_wait(cmd_parms *cmd, void *dummy, const char *replicas,
                                const char *span);
const char *scep_add_keyfile(cmd_parms *cmd, void *dummy, const char *cert,
                             const char *key); /* info: offset of the list */
const char *scep_set_ca(cmd_parms *cmd, void *dummy, int argc, char *const argv[]);
const char *scep_add_policy(cmd_parms *cmd, void *dummy, int argc, char *const argv[]);
const char *scep_set_template(cmd_parms *cmd, void *dummy, const char *usage, const char *name);
const char *scep_add_local_template(cmd_parms *cmd, void *dummy, int argc, char *const argv[]);
const char *scep_set_capabilities(cmd_parms *cmd, void *dummy, int argc, char *const argv[]);

/* mod_scep_directive_rules.c */
const char *scep_set_uses(cmd_parms *cmd, void *dummy, const char *arg);
const char *scep_set_expr(cmd_parms *cmd, void *dummy, const char *arg);  /* info: offset */
const char *scep_add_file(cmd_parms *cmd, void *dummy, const char *arg);  /* info: of the list */
const char *scep_set_log(cmd_parms *cmd, void *dummy, const char *arg); /* info: offset */
const char *scep_set_legacy(cmd_parms *cmd, void *dummy, int argc, char *const argv[]);
const char *scep_set_window(cmd_parms *cmd, void *dummy, const char *arg);
const char *scep_set_renewal_key(cmd_parms *cmd, void *dummy, const char *arg);
const char *scep_add_template_rule(cmd_parms *cmd, void *dummy, const char *name,
                                   const char *arg);
const char *scep_set_approval(cmd_parms *cmd, void *dummy, int argc, char *const argv[]);
const char *scep_set_ca_unavailable(cmd_parms *cmd, void *dummy, const char *what,
                                    const char *time);
const char *scep_set_failure_limit(cmd_parms *cmd, void *dummy, const char *count,
                                   const char *window);
const char *scep_set_concurrency(cmd_parms *cmd, void *dummy, const char *max, const char *queue,
                                 const char *wait);

/*
 * For the setters.  scep_scope(): the settings that this line goes to; label is the directive, or
 * what of it may be given once per scope, and a label that is taken is an error unless it may be
 * repeated.  scep_complain(): the error text with the directive's name before it.
 */
const char *scep_scope(cmd_parms *cmd, const char *label, int repeatable, scep_props_t **pprops);
const char *scep_complain(cmd_parms *cmd, const char *text);

/* An absolute file name, or NULL when it is no path at all. */
const char *scep_absolute(cmd_parms *cmd, const char *arg);

/* The member of props at offset (cmd->info). */
void *scep_member(scep_props_t *props, apr_size_t offset);

/* The array behind *plist, made when there is none: only the scope's own line can have made it. */
apr_array_header_t *scep_own_list(const apr_array_header_t **plist, int size, apr_pool_t *p);

/* A whole number, with k or m behind it when size is set; error text or NULL. */
const char *scep_parse_number(apr_int64_t *value, const char *arg, int size);

#endif /* MOD_SCEP_DIRECTIVE_H */
