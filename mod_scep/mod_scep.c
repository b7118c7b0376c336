/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The module record and the hook table; everything else is in the other mod_scep_*.c.
 */
#include "mod_scep_config.h"
#include "mod_scep_route.h"
#include "mod_scep_worker.h"
#include <ap_provider.h>
#include <http_request.h>
#include <mpm_common.h>

/* Registers what this program brings along; other modules register theirs the same way. */
static void register_builtins(apr_pool_t *p)
{
    int i;

    for (i = 0; store_builtin[i]; i++) {
        ap_register_provider(p, SCEP_STORE_GROUP, store_builtin[i]->name, SCEP_PROVIDER_VERSION,
                             store_builtin[i]);
    }
    for (i = 0; policy_builtin[i]; i++) {
        ap_register_provider(p, SCEP_POLICY_GROUP, policy_builtin[i]->name, SCEP_PROVIDER_VERSION,
                             policy_builtin[i]);
    }
    for (i = 0; ca_builtin[i]; i++) {
        ap_register_provider(p, SCEP_CA_GROUP, ca_builtin[i]->name, SCEP_PROVIDER_VERSION,
                             ca_builtin[i]);
    }
}

static void register_hooks(apr_pool_t *p)
{
    /* mod_rewrite sees the canonical path and may send the request elsewhere; Alias and ProxyPass
     * of a path above ours do not. */
    static const char *const after_rewrite[] = {"mod_rewrite.c", NULL};
    static const char *const before_mapping[] = {"mod_proxy.c", "mod_alias.c", "mod_userdir.c",
                                                 "mod_vhost_alias.c", NULL};

    register_builtins(p);

    ap_hook_check_config(scep_check_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_open_logs(scep_open_logs, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_post_config(scep_post_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_init(scep_child_init, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_stopping(scep_worker_stopping, NULL, NULL, APR_HOOK_MIDDLE);

    ap_hook_translate_name(scep_route_canonical, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_translate_name(scep_route_claim, after_rewrite, before_mapping, APR_HOOK_FIRST);
    ap_hook_map_to_storage(scep_route_storage, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_type_checker(scep_route_type, NULL, NULL, APR_HOOK_REALLY_FIRST);

    ap_hook_handler(scep_enroll_handler, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_handler(scep_admin_handler, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_handler(scep_crl_handler, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_handler(scep_point_handler, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_handler(scep_status_handler, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_handler(scep_ready_handler, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_handler(scep_metrics_handler, NULL, NULL, APR_HOOK_MIDDLE);
    scep_metrics_register(p);
}

AP_DECLARE_MODULE(scep) = {STANDARD20_MODULE_STUFF,
                           NULL, /* no per-directory configuration: never from .htaccess */
                           NULL,
                           scep_create_server_conf,
                           scep_merge_server_conf,
                           scep_directives,
                           register_hooks,
                           0};
