/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine "pkcs11" of libp11: the way into a token where there is no provider (Debian 12).
 *
 * OpenSSL 3.0 deprecated engines, and this is the only file that uses one.  The instance is our own
 * and not on OpenSSL's list: what httpd or mod_ssl configured for theirs is not changed.  It keeps
 * the slots and sessions that it had, also when the token was restarted, until it is
 * finished and begins anew.  It is never freed: its library does not stand being loaded twice.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "token_open.h"

#include <openssl/err.h>
#include <openssl/opensslconf.h>
#include <openssl/ui.h>
#include <string.h>
#ifndef OPENSSL_NO_ENGINE
#include <openssl/engine.h>

/* The folder of engines into dir; 0 if it is not known. */
static int engines_folder(char *dir, size_t size)
{
    const char *info = OPENSSL_info(OPENSSL_INFO_ENGINES_DIR);
    size_t len = info != NULL ? strlen(info) : 0;

    if (len == 0 || len >= size) {
        return 0;
    }
    memcpy(dir, info, len + 1);
    return 1;
}

/* A new instance of the engine; NULL if it is not there or does not take the module. */
static ENGINE *load_engine(const char *module)
{
    char dir[512];
    ENGINE *engine;

    ENGINE_load_dynamic();
    engine = engines_folder(dir, sizeof(dir)) ? ENGINE_by_id("dynamic") : NULL;
    if (engine == NULL || !ENGINE_ctrl_cmd_string(engine, "ID", "pkcs11", 0) ||
        !ENGINE_ctrl_cmd_string(engine, "DIR_LOAD", "2", 0) ||
        !ENGINE_ctrl_cmd_string(engine, "DIR_ADD", dir, 0) ||
        !ENGINE_ctrl_cmd_string(engine, "LIST_ADD", "0", 0) ||
        !ENGINE_ctrl_cmd_string(engine, "LOAD", NULL, 0) ||
        (module != NULL && !ENGINE_ctrl_cmd_string(engine, "MODULE_PATH", module, 0))) {
        ENGINE_free(engine);
        return NULL;
    }
    return engine;
}

apr_status_t token_open_by_engine(EVP_PKEY **pkey, token_engine_t *engine, const char *uri,
                                  const char *module, const char *pin)
{
    *pkey = NULL;
    if (engine->instance == NULL && (engine->instance = load_engine(module)) == NULL) {
        return APR_ENOTIMPL;
    }
    engine->active = engine->active || ENGINE_init(engine->instance);
    /* not in the URI, which the engine prints when it does not find the key */
    if (engine->active &&
        (pin == NULL || ENGINE_ctrl_cmd_string(engine->instance, "PIN", pin, 0))) {
        *pkey = ENGINE_load_private_key(engine->instance, uri, (UI_METHOD *)UI_null(), NULL);
    }
    return *pkey != NULL ? APR_SUCCESS : APR_EGENERAL;
}

void token_engine_close(token_engine_t *engine)
{
    if (engine->active) {
        ENGINE_finish(engine->instance);
        engine->active = 0;
    }
}

#else

apr_status_t token_open_by_engine(EVP_PKEY **pkey, token_engine_t *engine, const char *uri,
                                  const char *module, const char *pin)
{
    (void)engine, (void)uri, (void)module, (void)pin;
    *pkey = NULL;
    return APR_ENOTIMPL;
}

void token_engine_close(token_engine_t *engine)
{
    (void)engine;
}

#endif
