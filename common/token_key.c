/* SPDX-License-Identifier: Apache-2.0 */
/* A private key in a token (see token_key.h). */
#include "token_key.h"
#include "secret.h"
#include "token_open.h"

#include <apr_strings.h>
#include <apr_tables.h>
#include <apr_thread_mutex.h>
#include <apr_time.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/sha.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_URI_BYTES 1024
#define MAX_PIN_BYTES 255
#define TRY_AGAIN apr_time_from_sec(1)
#define TRIES 3
#define PAUSE 50000
#define LOCK_TRIES 60
#define TRY_MILLISECONDS 30000

/* What the process of token_key_try() ends with. */
enum { TRY_GOOD = 0, TRY_AWAY = 1, TRY_WRONG = 2 };

/* The library of a token, as one process has it.  It ends for all keys that are opened by it. */
typedef struct token_module_t {
    const char *path;               /* NULL: the default */
    apr_array_header_t *keys;       /* of token_key_t* */
    apr_thread_mutex_t *mutex;      /* guards the rest and the keys; NULL before child_init */
    token_engine_t engine;          /* also used by whoever set opening */
    int opening;
    int users;                      /* of its keys */
    int broken;                     /* a key could not be used: nobody gets one until it closed */
} token_module_t;

struct token_key_t {
    token_options_t options;
    secret_file_t *pin;             /* NULL: none */
    token_module_t *module;
    OSSL_LIB_CTX *libctx;           /* to use the key with; NULL: OpenSSL's own */
    EVP_PKEY *key;                  /* NULL: not open */
    apr_time_t failed;              /* when opening it failed last; 0: it did not */
    char error[256];                /* why */
    int reported;                   /* that it is away was logged */
    int wrong;                      /* the same try would fail again */
    int refused;                    /* the token did not take this PIN */
    unsigned char refused_pin[SHA256_DIGEST_LENGTH];
};

int token_is_uri(const char *name)
{
    return strncasecmp(name, "pkcs11:", 7) == 0;
}

/* Whether the URI names an object; error text, NULL if it does. */
static const char *check_uri(const char *uri, apr_pool_t *p)
{
    const char *at, *attribute = uri + 7;
    int named = 0;

    for (at = uri; *at > ' ' && *at <= '~' && *at != '?' && *at != '#'; at++) {
        continue;
    }
    if (*at == '?') {
        return "a pkcs11: URI is taken without its query part: the PIN stands in a file "
               "(pinFile=), the library in pkcs11Module=";
    }
    if (*at != '\0' || at - uri > MAX_URI_BYTES) {
        return "a pkcs11: URI has no spaces and at most 1024 characters; others are written as %20";
    }
    while (*attribute != '\0') {
        size_t len = strcspn(attribute, ";");

        if (strncmp(attribute, "type=", 5) == 0 &&
            (len != 12 || strncmp(attribute, "type=private", len) != 0)) {
            return "the pkcs11: URI names something else than a private key (type=private)";
        }
        named = named || (len > 7 && strncmp(attribute, "object=", 7) == 0) ||
                (len > 3 && strncmp(attribute, "id=", 3) == 0);
        attribute += len + (attribute[len] == ';');
    }
    return named ? NULL : apr_psprintf(p, "%.64s names no key; object=NAME or id=%%01 says which",
                                       uri);
}

/* The module of that path among those of p, made at the first call. */
static token_module_t *find_module(const char *path, apr_pool_t *p)
{
    const char *name = apr_pstrcat(p, "scep-token:", path, NULL);
    void *found = NULL;
    token_module_t *module;

    if (apr_pool_userdata_get(&found, name, p) == APR_SUCCESS && found != NULL) {
        return found;
    }
    module = apr_pcalloc(p, sizeof(*module));
    module->path = path;
    module->keys = apr_array_make(p, 2, sizeof(token_key_t *));
    apr_pool_userdata_set(module, name, apr_pool_cleanup_null, p);
    return module;
}

const char *token_key_make(token_key_t **ptoken, const token_options_t *options, apr_pool_t *p)
{
    token_key_t *token = apr_pcalloc(p, sizeof(*token));
    const char *err = check_uri(options->uri, p);
    struct stat info;

    *ptoken = NULL;
    token->options = *options;
    if (err == NULL && options->module != NULL &&
        (stat(options->module, &info) != 0 || !S_ISREG(info.st_mode))) {
        err = apr_psprintf(p, "pkcs11Module=%s is not a file", options->module);
    }
    if (err == NULL && options->pin_file != NULL) {
        err = secret_file_make(&token->pin, options->pin_file, "the PIN", 1, MAX_PIN_BYTES, p);
    }
    if (err == NULL) {
        token->module = find_module(options->module, p);
        APR_ARRAY_PUSH(token->module->keys, token_key_t *) = token;
        *ptoken = token;
    }
    return err;
}

/* Whether a key of the module is open. */
static int is_used(const token_module_t *module)
{
    int i;

    for (i = 0; i < module->keys->nelts; i++) {
        if (APR_ARRAY_IDX(module->keys, i, token_key_t *)->key != NULL) {
            return 1;
        }
    }
    return 0;
}

/* Ends what a process has of a module that nobody uses. */
static void close_module(token_module_t *module)
{
    int i;

    for (i = 0; i < module->keys->nelts; i++) {
        token_key_t *token = APR_ARRAY_IDX(module->keys, i, token_key_t *);

        EVP_PKEY_free(token->key);
        token->key = NULL;
        OSSL_LIB_CTX_free(token->libctx);
        token->libctx = NULL;
    }
    token_engine_close(&module->engine);
    module->broken = 0;
}

/* Takes the reason out of OpenSSL's queue: a PIN's where there is one, else the first. */
static void take_error(token_key_t *token)
{
    const char *reason, *found = NULL;
    unsigned long code;

    token->refused = 0;
    while ((code = ERR_get_error()) != 0) {
        reason = ERR_reason_error_string(code);
        if (reason != NULL && strstr(reason, "PIN") != NULL && !token->refused) {
            token->refused = 1;
            found = reason;
        }
        found = found != NULL ? found : reason;
    }
    token->wrong = token->refused;
    apr_snprintf(token->error, sizeof(token->error), "%s: %s",
                 token->refused ? "the token does not take the PIN"
                                : "the key cannot be opened in the token",
                 found != NULL ? found : "no such key, a wrong PIN, or no engine and provider");
}

/* The PIN, as a string in p that is wiped with it; NULL: none. */
static const char *get_pin(token_key_t *token, const log_sink_t *log, apr_pool_t *p)
{
    return token->pin != NULL ? (const char *)secret_file_get(token->pin, log, p).data : NULL;
}

/* A lock on the library that all processes share, to be closed; -1: none.  The files of a software
 * token are misread by processes that open it at the same moment, as children do at a start. */
static int lock_module(const char *module)
{
    int tries, fd = module != NULL ? open(module, O_RDONLY | O_CLOEXEC) : -1;

    /* who has it may hang in a token that gives no answer: then without */
    for (tries = 0; fd >= 0 && tries < LOCK_TRIES && flock(fd, LOCK_EX | LOCK_NB) != 0; tries++) {
        apr_sleep(PAUSE);
    }
    return fd;
}

/* Asks the token for the key once; NULL if it does not give it.  *again: it may be asked again at
 * once, since a PIN that it did not take would have been told; a provider does not tell. */
static EVP_PKEY *ask_once(token_key_t *token, const char *pin, int *again)
{
    const token_options_t *options = &token->options;
    EVP_PKEY *key = NULL;

    *again = 1;
    ERR_clear_error();
    if (token->libctx == NULL &&
        token_open_by_engine(&key, &token->module->engine, options->uri, options->module, pin) !=
            APR_ENOTIMPL) {
        return key;
    }
    *again = 0;
    ERR_clear_error();
    (void)token_open_by_store(&key, &token->libctx, options->uri, options->module, pin);
    return key;
}

/* Asks the token for the key, more than once, since one that is used at the moment may not give it;
 * NULL if it does not, with token's error set. */
static EVP_PKEY *ask_token(token_key_t *token, const char *pin)
{
    int tries, again = 1, lock = lock_module(token->options.module);
    EVP_PKEY *key = NULL;

    token->refused = 0;
    for (tries = 0; tries < TRIES && key == NULL && again && !token->refused; tries++) {
        if (tries > 0) {
            apr_sleep(PAUSE);
        }
        key = ask_once(token, pin, &again);
        if (key == NULL) {
            take_error(token);
            OSSL_LIB_CTX_free(token->libctx);
            token->libctx = NULL;
            if (!is_used(token->module)) {
                token_engine_close(&token->module->engine);
            }
        }
    }
    if (lock >= 0) {
        close(lock);
    }
    return key;
}

/* Opens and checks the key; NULL if that fails, with token's error set.  One at a time. */
static EVP_PKEY *open_key(token_key_t *token, const log_sink_t *log, apr_pool_t *p)
{
    const char *pin = get_pin(token, log, p), *error;
    unsigned char digest[SHA256_DIGEST_LENGTH] = {0};
    EVP_PKEY *key;

    if (pin != NULL) {
        SHA256((const unsigned char *)pin, strlen(pin), digest);
    }
    if (token->refused && memcmp(digest, token->refused_pin, sizeof(digest)) == 0) {
        return NULL;
    }
    key = ask_token(token, pin);
    if (key == NULL) {
        memcpy(token->refused_pin, digest, sizeof(digest));
        return NULL;
    }
    error = token->options.check(token->options.baton, key, token->libctx, p);
    ERR_clear_error();
    if (error != NULL) {
        apr_cpystrn(token->error, error, sizeof(token->error));
        token->wrong = 1;
        EVP_PKEY_free(key);
        key = NULL;
    }
    return key;
}

/* In the process of token_key_try(): becomes the children's user; 0 if that fails. */
static int become(uid_t uid, gid_t gid)
{
    return geteuid() != 0 || (setgroups(0, NULL) == 0 && setgid(gid) == 0 && setuid(uid) == 0);
}

/* In the process of token_key_try(): says into out how it went, and ends. */
static void try_and_end(token_key_t *token, int out, uid_t uid, gid_t gid, apr_pool_t *p)
{
    int result = TRY_WRONG;
    size_t len;

    signal(SIGPIPE, SIG_IGN);
    if (!become(uid, gid)) {
        apr_cpystrn(token->error, "cannot become httpd's user", sizeof(token->error));
    }
    else if (open_key(token, NULL, p) != NULL) {
        result = TRY_GOOD;
    }
    else if (!token->wrong) {
        result = TRY_AWAY;
    }
    len = strlen(token->error);
    _exit(write(out, token->error, len) == (ssize_t)len ? result : TRY_WRONG);
}

/* Reads what the process says until it ends; error text in p, NULL if all is well. */
static const char *listen_to(pid_t pid, int in, int *away, apr_pool_t *p)
{
    struct pollfd wait = {in, POLLIN, 0};
    char text[256];
    int ready, status = 0;
    ssize_t len;

    do {
        ready = poll(&wait, 1, TRY_MILLISECONDS);
    } while (ready < 0 && errno == EINTR);
    if (ready < 1) {
        kill(pid, SIGKILL);
    }
    /* a process that the token's library left behind may hold the pipe open */
    len = ready > 0 ? read(in, text, sizeof(text)) : 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        continue;
    }
    if (!WIFEXITED(status)) {
        *away = 1;
        return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL
                   ? "the token gives no answer within 30 seconds"
                   : "the token's library crashed";
    }
    *away = WEXITSTATUS(status) == TRY_AWAY;
    return WEXITSTATUS(status) == TRY_GOOD ? NULL
                                           : apr_pstrmemdup(p, text, len > 0 ? (size_t)len : 0);
}

const char *token_key_try(token_key_t *token, uid_t uid, gid_t gid, int *away, apr_pool_t *p)
{
    const char *error;
    int ends[2];
    pid_t pid;

    *away = 0;
    if (pipe(ends) != 0) {
        return "no pipe to a process that tries the token";
    }
    pid = fork();
    if (pid < 0) {
        close(ends[0]);
        close(ends[1]);
        return "no process to try the token with";
    }
    if (pid == 0) {
        close(ends[0]);
        try_and_end(token, ends[1], uid, gid, p);
    }
    close(ends[1]);
    error = listen_to(pid, ends[0], away, p);
    close(ends[0]);
    return error;
}

/* Pool cleanup; returns APR_SUCCESS.  The engine stays: the process ends, and so may the library's
 * own threads before it. */
static apr_status_t token_cleanup(void *data)
{
    token_key_t *token = data;

    EVP_PKEY_free(token->key);
    token->key = NULL;
    return APR_SUCCESS;
}

/* Tells of what changed. */
static void report(token_key_t *token, const log_sink_t *log)
{
    if (token->key == NULL && !token->reported && log != NULL) {
        token->reported = 1;
        log_to(log, LOG_SINK_ERR, SCEPTAG(0370), "%s: %s", token->options.uri, token->error);
    }
    else if (token->key != NULL && token->reported) {
        token->reported = 0;
        log_to(log, LOG_SINK_NOTICE, SCEPTAG(0371), "%s: the token is there again",
               token->options.uri);
    }
}

/* Opens the key where that may be tried now; called with the mutex, which others may have while the
 * token is asked.  Error text, NULL if the key is open. */
static const char *open_now(token_key_t *token, const log_sink_t *log, apr_pool_t *p)
{
    token_module_t *module = token->module;
    EVP_PKEY *key;

    if (module->opening || (module->broken && module->users > 0)) {
        return "the token is being opened";
    }
    if (module->broken) {
        close_module(module);
    }
    if (token->key != NULL) {
        return NULL;
    }
    if (token->failed == 0 || apr_time_now() >= token->failed + TRY_AGAIN) {
        module->opening = 1;
        apr_thread_mutex_unlock(module->mutex);
        key = open_key(token, log, p);
        apr_thread_mutex_lock(module->mutex);
        module->opening = 0;
        token->key = key;
        token->failed = key == NULL ? apr_time_now() : 0;
    }
    report(token, log);
    return token->key != NULL ? NULL : apr_pstrdup(p, token->error);
}

apr_status_t token_key_child_init(token_key_t *token, apr_pool_t *pchild)
{
    token_module_t *module = token->module;
    apr_status_t rv = APR_SUCCESS;

    if (module->mutex == NULL) {
        rv = apr_thread_mutex_create(&module->mutex, APR_THREAD_MUTEX_DEFAULT, pchild);
    }
    if (rv == APR_SUCCESS && token->pin != NULL) {
        rv = secret_file_child_init(token->pin, pchild);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    apr_pool_cleanup_register(pchild, token, token_cleanup, apr_pool_cleanup_null);
    apr_thread_mutex_lock(module->mutex);
    (void)open_now(token, NULL, pchild);
    apr_thread_mutex_unlock(module->mutex);
    return APR_SUCCESS;
}

EVP_PKEY *token_key_get(token_key_t *token, OSSL_LIB_CTX **plibctx, const char **error,
                        const log_sink_t *log, apr_pool_t *p)
{
    token_module_t *module = token->module;
    EVP_PKEY *key = NULL;

    *error = "the token is opened in a child only";
    if (module->mutex == NULL) {
        return NULL;
    }
    *error = NULL;
    apr_thread_mutex_lock(module->mutex);
    if (token->key == NULL || module->broken) {
        *error = open_now(token, log, p);
    }
    if (*error == NULL) {
        key = token->key;
        *plibctx = token->libctx;
        module->users++;
    }
    apr_thread_mutex_unlock(module->mutex);
    return key;
}

void token_key_done(token_key_t *token, int ok)
{
    token_module_t *module = token->module;

    apr_thread_mutex_lock(module->mutex);
    module->users--;
    module->broken = module->broken || !ok;
    apr_thread_mutex_unlock(module->mutex);
}
