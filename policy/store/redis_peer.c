/* SPDX-License-Identifier: Apache-2.0 */
/* What is read at the start to reach a Redis server: passwords, trust anchors, keys; and the server
 * that is asked but once; see redis_conn.h. */
#include "redis_conn.h"
#include "../../common/clock.h"
#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>
#include <unistd.h>

#define PASSWORD_MAX 1024

/* Cleanup of the passwords. */
apr_status_t redis_peer_wipe(void *baton)
{
    redis_peer_t *peer = baton;

    if (peer->password)
        OPENSSL_cleanse(peer->password, strlen(peer->password));
    if (peer->sentinel_password)
        OPENSSL_cleanse(peer->sentinel_password, strlen(peer->sentinel_password));
    peer->password = peer->sentinel_password = NULL;
    return APR_SUCCESS;
}

/* Pool cleanup of the TLS context. */
static apr_status_t free_tls(void *baton)
{
    redis_peer_t *peer = baton;

    SSL_CTX_free(peer->tls);
    peer->tls = NULL;
    return APR_SUCCESS;
}

/* Reads the first line of a password file into *password.  Error text in p, NULL on success. */
static const char *read_password(char **password, const char *file, apr_pool_t *p)
{
    char line[PASSWORD_MAX + 2], message[120];
    const char *error = NULL;
    ssize_t n;
    int fd = open(file, O_RDONLY | O_CLOEXEC);

    n = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);
    if (n < 0)
        error = apr_psprintf(p, "cannot read the store's password file %s: %s", file,
                             apr_strerror(APR_FROM_OS_ERROR(errno), message, sizeof(message)));
    if (fd >= 0)
        close(fd);
    if (error)
        return error;
    line[n] = '\0';
    line[strcspn(line, "\r\n")] = '\0';
    if (!line[0] || strlen(line) > PASSWORD_MAX)
        error =
            apr_psprintf(p, "the store's password file %s has no password in its first line", file);
    else
        *password = apr_pstrdup(p, line);
    OPENSSL_cleanse(line, sizeof(line));
    return error;
}

/* The last OpenSSL error's reason. */
static const char *tls_reason(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());

    return reason ? reason : "unknown error";
}

/* Loads trust anchors and the client certificate.  Error text in p, NULL on success. */
static const char *make_tls(redis_peer_t *peer, apr_pool_t *p)
{
    const redis_options_t *o = peer->options;
    const char *key = o->key_file ? o->key_file : o->certificate_file;
    const char *error = NULL;
    SSL_CTX *tls;

    ERR_clear_error();
    tls = SSL_CTX_new(TLS_client_method());
    if (!tls || SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION) != 1)
        error = "cannot set up TLS for the store";
    else if (o->ca_file && SSL_CTX_load_verify_locations(tls, o->ca_file, NULL) != 1)
        error = apr_psprintf(p, "cannot load the store's CA file %s: %s", o->ca_file, tls_reason());
    else if (!o->ca_file && SSL_CTX_set_default_verify_paths(tls) != 1)
        error = "cannot load the system's trust anchors for the store";
    else if (o->certificate_file &&
             SSL_CTX_use_certificate_chain_file(tls, o->certificate_file) != 1)
        error = apr_psprintf(p, "cannot load the store's certificate %s: %s", o->certificate_file,
                             tls_reason());
    else if (o->certificate_file && SSL_CTX_use_PrivateKey_file(tls, key, SSL_FILETYPE_PEM) != 1)
        error = apr_psprintf(p, "cannot load the key %s of the store's certificate: %s", key,
                             tls_reason());
    ERR_clear_error();
    if (error) {
        SSL_CTX_free(tls);
        return error;
    }
    SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (peer->tls)
        SSL_CTX_free(peer->tls);
    peer->tls = tls;
    apr_pool_cleanup_register(p, peer, free_tls, apr_pool_cleanup_null);
    return NULL;
}

const char *redis_peer_prepare(redis_peer_t *peer, apr_pool_t *p)
{
    const redis_options_t *o = peer->options;
    const char *error = NULL;

    redis_peer_wipe(peer);
    if (o->password_file || o->sentinel_password_file)
        apr_pool_cleanup_register(p, peer, redis_peer_wipe, apr_pool_cleanup_null);
    if (o->password_file)
        error = read_password(&peer->password, o->password_file, p);
    if (!error && o->sentinel_password_file)
        error = read_password(&peer->sentinel_password, o->sentinel_password_file, p);
    if (!error && o->kind == REDIS_TLS)
        error = make_tls(peer, p);
    return error;
}

apr_status_t redis_peer_ask(redisReply **preply, const redis_peer_t *peer,
                            const redis_address_t *address, redis_login_e login, int argc,
                            const char **argv, apr_time_t deadline, apr_pool_t *p)
{
    const redis_options_t *o = peer->options;
    apr_time_t until = clock_monotonic() + o->connect_timeout;
    redis_conn_t *conn = NULL;
    apr_status_t rv = redis_conn_open(&conn, peer, address, login,
                                      until < deadline ? until : deadline, p);

    until = clock_monotonic() + o->command_timeout;
    if (rv == APR_SUCCESS)
        rv = redis_conn_command(conn, preply, argc, argv, NULL,
                                until < deadline ? until : deadline, p);
    redis_conn_close(conn);
    return rv;
}
