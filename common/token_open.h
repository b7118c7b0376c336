/* SPDX-License-Identifier: Apache-2.0 */
/* How OpenSSL gets at a token: by an engine where there is one, else by a provider.  For
 * token_key.c only; nothing here is thread-safe. */
#ifndef COMMON_TOKEN_OPEN_H
#define COMMON_TOKEN_OPEN_H

#include "crypt.h"

/* The engine, as all keys of a module share it; zeros: not loaded yet. */
typedef struct token_engine_t {
    void *instance;
    int active;
} token_engine_t;

/*
 * Opens a key.  engine is loaded when it is not; *libctx, which each key has for itself, is made
 * when it is NULL; module NULL: the default; pin NULL: none.  APR_ENOTIMPL: this
 * OpenSSL, or this machine, does not have that way.  Other: OpenSSL's error queue says why, or
 * nothing does.
 */
apr_status_t token_open_by_engine(EVP_PKEY **pkey, token_engine_t *engine, const char *uri,
                                  const char *module, const char *pin);
apr_status_t token_open_by_store(EVP_PKEY **pkey, OSSL_LIB_CTX **libctx, const char *uri,
                                 const char *module, const char *pin);

/* Ends all sessions of the engine, once its keys are freed; the next key begins new ones. */
void token_engine_close(token_engine_t *engine);

#endif /* COMMON_TOKEN_OPEN_H */
