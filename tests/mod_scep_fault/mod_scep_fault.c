/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A module for tests, never installed: CA backends that fail as they are told to (fault_ca.c), and
 * stores that fail at a step (fault_store.c).
 *
 *   ScepFaultFile PATH             the one fault to come, see fault.h
 *   ScepStore fault+SCHEME:...
 *   ScepCABackend fault certificate=FILE key=FILE ...
 */
#include "fault.h"
#include "../../mod_scep/mod_scep.h"

#include <ap_provider.h>

static const char *const schemes[] = {
    "sqlite", "redis", "rediss", "redis+unix", "redis+sentinel", "redis+cluster", NULL
};

/* ScepFaultFile. */
static const char *set_file(cmd_parms *cmd, void *dummy, const char *path)
{
    (void)dummy;
    fault_file = ap_server_root_relative(cmd->pool, path);
    return NULL;
}

static const command_rec commands[] = {
    AP_INIT_TAKE1("ScepFaultFile", set_file, NULL, RSRC_CONF, "where the next fault is told"),
    {NULL}
};

/* Registers backends and stores. */
static void register_hooks(apr_pool_t *p)
{
    const ca_provider_t *const backends[] = {
        &fault_provider, &fault_remote_provider, &fault_foreign_provider, NULL
    };
    int i;

    for (i = 0; backends[i] != NULL; i++) {
        ap_register_provider(p, CA_PROVIDER_GROUP, backends[i]->name, CA_PROVIDER_VERSION,
                             backends[i]);
    }
    for (i = 0; schemes[i] != NULL; i++) {
        const store_provider_t *provider = fault_store(schemes[i], p);

        ap_register_provider(p, SCEP_STORE_GROUP, provider->name, SCEP_PROVIDER_VERSION, provider);
    }
}

module AP_MODULE_DECLARE_DATA scep_fault_module = {
    STANDARD20_MODULE_STUFF,
    NULL, NULL, NULL, NULL,
    commands,
    register_hooks,
    AP_MODULE_FLAG_NONE
};
