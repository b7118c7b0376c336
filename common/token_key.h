/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A private key that stays in a PKCS#11 token (HSM, softhsm2), named by a URI (RFC 7512).
 *
 * The parent only looks at words and files.  Each child opens the token for itself: a session does
 * not outlive a fork, and some modules fail in threads when it did.  A token that goes away is
 * opened again when somebody wants the key, at most once a second; a PIN that the token refused is
 * not tried again, since tokens lock after a few.
 */
#ifndef COMMON_TOKEN_KEY_H
#define COMMON_TOKEN_KEY_H

#include "crypt.h"
#include "log.h"
#include <sys/types.h>

typedef struct token_key_t token_key_t;

/*
 * Whether a key that was just opened is the one that is meant, shown by using it; error text in p,
 * NULL if it is.  libctx: what to use it with; NULL: OpenSSL's own.
 */
typedef const char *token_check_fn(void *baton, EVP_PKEY *key, OSSL_LIB_CTX *libctx, apr_pool_t *p);

typedef struct token_options_t {
    const char *uri;        /* pkcs11:..., with object= or id=, without a query part */
    const char *module;     /* the token's library; NULL: what p11-kit knows */
    const char *pin_file;   /* NULL: the token wants no PIN */
    token_check_fn *check;
    void *baton;
} token_options_t;

/* Whether the name of a key is a URI for a token. */
int token_is_uri(const char *name);

/* Looks at words and files, reads the PIN, as root; the token is not touched.  Error text in p,
 * NULL on success. */
const char *token_key_make(token_key_t **ptoken, const token_options_t *options, apr_pool_t *p);

/*
 * Opens and checks the key in a process of its own, which runs as uid and gid and ends then: the
 * parent never opens a token.  Waits half a minute at most.  Error text in p, NULL on success;
 * *away is set where a later try may go well without anybody changing anything.
 */
const char *token_key_try(token_key_t *token, uid_t uid, gid_t gid, int *away, apr_pool_t *p);

/* In each child, before it has threads: opens the key.  That this fails is no error:
 * token_key_get() says so, and tries again. */
apr_status_t token_key_child_init(token_key_t *token, apr_pool_t *pchild);

/*
 * The key, to be handed back with token_key_done(), and what to use it with (see token_check_fn);
 * NULL: the token is away, and *error, in p, says why; log is told once (SCEP0370), and when it is
 * back (SCEP0371).  Any thread; whoever comes while another one opens the token does not wait.
 */
EVP_PKEY *token_key_get(token_key_t *token, OSSL_LIB_CTX **plibctx, const char **error,
                        const log_sink_t *log, apr_pool_t *p);

/* ok 0: the key could not be used; the token is opened again for the next one who wants it. */
void token_key_done(token_key_t *token, int ok);

#endif /* COMMON_TOKEN_KEY_H */
