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
                                   const char *command);
const char *scep_set_ra_signing(cmd_parms *cmd, void *dummy, const char *cert, const char *key);
const char *scep_add_ra_encryption(cmd_parms *cmd, void *dummy, const char *cert, const char *key);
const char *scep_set_ca(cmd_parms *cmd, void *dummy, int argc, char *const argv[]);
const char *scep_add_policy(cmd_parms *cmd, void *dummy, int argc, char *const argv[]);
const char *scep_set_template(cmd_parms *cmd, void *dummy, const char *usage, const char *name);
const char *scep_add_local_template(cmd_parms *cmd, void *dummy, int argc, char *const argv[]);
const char *scep_set_uses(cmd_parms *cmd, void *dummy, const char *arg);
const char *scep_set_authorize(cmd_parms *cmd, void *dummy, const char *arg);
const char *scep_set_legacy(cmd_parms *cmd, void *dummy, int argc, char *const argv[]);
const char *scep_set_capabilities(cmd_parms *cmd, void *dummy, int argc, char *const argv[]);

#endif /* MOD_SCEP_DIRECTIVE_H */
