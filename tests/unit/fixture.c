/* SPDX-License-Identifier: Apache-2.0 */
/* See fixture.h. */
#include "fixture.h"
#include <apr_file_io.h>
#include <apr_strings.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HOUR 3600L
#define YEAR (365L * 24 * HOUR)

static EVP_PKEY *rsa_keys[FIXTURE_RSA_KEYS];
static EVP_PKEY *ec_key;
static apr_pool_t *test_pool;

/* Ends the test unless ok. */
static void need(int ok, const char *what)
{
    if (!ok) {
        ck_abort_msg("fixture: %s failed", what);
    }
}

void fixture_init(void)
{
    int i;

    for (i = 0; i < FIXTURE_RSA_KEYS; i++) {
        rsa_keys[i] = EVP_RSA_gen(2048);
    }
    ec_key = EVP_EC_gen("P-256");
    if (!rsa_keys[FIXTURE_RSA_KEYS - 1] || !ec_key) {
        abort();
    }
}

void fixture_done(void)
{
    int i;

    for (i = 0; i < FIXTURE_RSA_KEYS; i++) {
        EVP_PKEY_free(rsa_keys[i]);
    }
    EVP_PKEY_free(ec_key);
}

void fixture_setup(void)
{
    need(apr_pool_create(&test_pool, NULL) == APR_SUCCESS, "apr_pool_create");
}

void fixture_teardown(void)
{
    apr_pool_destroy(test_pool);
    test_pool = NULL;
}

apr_pool_t *fixture_pool(void)
{
    return test_pool;
}

apr_time_t fixture_patience(int milliseconds)
{
    const char *word = getenv("SCEP_PATIENCE");
    int factor = word ? atoi(word) : 1;

    return apr_time_from_msec(milliseconds) * (factor > 1 ? factor : 1);
}

EVP_PKEY *fixture_rsa(int number)
{
    return rsa_keys[number];
}

EVP_PKEY *fixture_ec(void)
{
    return ec_key;
}

/* Removes a directory and the files in it (pool cleanup); returns APR_SUCCESS. */
static apr_status_t remove_directory(void *data)
{
    const char *path = data;
    apr_pool_t *p;
    apr_dir_t *dir;
    apr_finfo_t info;

    need(apr_pool_create(&p, NULL) == APR_SUCCESS, "apr_pool_create");
    if (apr_dir_open(&dir, path, p) == APR_SUCCESS) {
        while (apr_dir_read(&info, APR_FINFO_NAME, dir) == APR_SUCCESS) {
            if (strcmp(info.name, ".") && strcmp(info.name, "..")) {
                apr_file_remove(apr_pstrcat(p, path, "/", info.name, NULL), p);
            }
        }
        apr_dir_close(dir);
    }
    apr_dir_remove(path, p);
    apr_pool_destroy(p);
    return APR_SUCCESS;
}

const char *fixture_directory(apr_pool_t *p)
{
    const char *base = getenv("TMPDIR");
    char *path = apr_pstrcat(p, base && *base ? base : "/tmp", "/scep-unit.XXXXXX", NULL);

    need(mkdtemp(path) != NULL, "mkdtemp");
    apr_pool_cleanup_register(p, path, remove_directory, apr_pool_cleanup_null);
    return path;
}

const char *fixture_file(apr_pool_t *p, const char *directory, const char *name, const char *text,
                         int mode)
{
    const char *path = apr_pstrcat(p, directory, "/", name, NULL);
    apr_file_t *file;
    apr_status_t rv;

    rv = apr_file_open(&file, path, APR_WRITE | APR_CREATE | APR_TRUNCATE, APR_OS_DEFAULT, p);
    need(rv == APR_SUCCESS, path);
    need(apr_file_write_full(file, text, strlen(text), NULL) == APR_SUCCESS, path);
    need(apr_file_close(file) == APR_SUCCESS, path);
    need(chmod(path, (mode_t)mode) == 0, path);
    return path;
}

typedef struct memory_log_t {
    apr_pool_t *pool;
    char *text;
} memory_log_t;

/* Appends one line to the text; by any thread. */
static void memory_write(void *baton, log_sink_level_e level, const char *tag, const char *message)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    memory_log_t *log = baton;

    pthread_mutex_lock(&mutex);
    log->text = apr_psprintf(log->pool, "%s%d %s %s\n", log->text, (int)level, tag, message);
    pthread_mutex_unlock(&mutex);
}

log_sink_t *fixture_log(apr_pool_t *p)
{
    memory_log_t *log = apr_pcalloc(p, sizeof(*log));
    log_sink_t *sink = apr_pcalloc(p, sizeof(*sink));

    apr_pool_create(&log->pool, p);
    log->text = apr_pstrdup(p, "");
    sink->write = memory_write;
    sink->baton = log;
    sink->level = LOG_SINK_DEBUG;
    return sink;
}

const char *fixture_log_text(const log_sink_t *sink)
{
    const memory_log_t *log = sink->baton;

    return log->text;
}

/* Adds "name=value" to cert. */
static void add_extension(X509 *cert, X509 *issuer, apr_pool_t *p, const char *text)
{
    const char *equals = strchr(text, '=');
    X509V3_CTX ctx;
    X509_EXTENSION *extension;

    need(equals != NULL, text);
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    extension = X509V3_EXT_conf(NULL, &ctx, apr_pstrmemdup(p, text, (apr_size_t)(equals - text)),
                                equals + 1);
    need(extension != NULL && X509_add_ext(cert, extension, -1), text);
    X509_EXTENSION_free(extension);
}

/* Returns the serial number that was asked for, or a random positive one. */
static long serial_of(const fixture_certificate_t *want)
{
    unsigned char bytes[4];

    if (want->serial) {
        return want->serial;
    }
    need(crypt_random(bytes, sizeof(bytes)) == APR_SUCCESS, "crypt_random");
    return 1 + (((long)(bytes[0] & 0x7f) << 24) | ((long)bytes[1] << 16) | ((long)bytes[2] << 8)
                | bytes[3]);
}

X509 *fixture_certificate(apr_pool_t *p, const fixture_certificate_t *want)
{
    EVP_PKEY *key = want->key ? want->key : fixture_rsa(0);
    const char *cn = want->subject ? want->subject : "unit test";
    int dated = want->not_before || want->not_after;
    X509 *cert = crypt_x509_own(X509_new(), p);
    X509 *issuer = want->issuer ? want->issuer : cert;

    need(X509_set_version(cert, X509_VERSION_3)
         && ASN1_INTEGER_set(X509_get_serialNumber(cert), serial_of(want))
         && X509_gmtime_adj(X509_getm_notBefore(cert), dated ? want->not_before : -HOUR)
         && X509_gmtime_adj(X509_getm_notAfter(cert), dated ? want->not_after : YEAR)
         && X509_set_pubkey(cert, key)
         && X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_UTF8,
                                       (const unsigned char *)cn, -1, -1, 0)
         && X509_set_issuer_name(cert, X509_get_subject_name(issuer)), "certificate");
    add_extension(cert, issuer, p, want->ca ? "basicConstraints=critical,CA:TRUE"
                                            : "basicConstraints=CA:FALSE");
    if (want->key_usage || want->ca) {
        add_extension(cert, issuer, p,
                      apr_pstrcat(p, "keyUsage=", want->key_usage ? want->key_usage
                                  : "critical,keyCertSign,cRLSign,digitalSignature", NULL));
    }
    add_extension(cert, issuer, p, "subjectKeyIdentifier=hash");
    if (want->extension) {
        add_extension(cert, issuer, p, want->extension);
    }
    need(X509_sign(cert, want->issuer_key ? want->issuer_key : key, EVP_sha256()) > 0, "X509_sign");
    return cert;
}

/* Adds the extensions to a CSR. */
static void request_extensions(X509_REQ *req, apr_pool_t *p, const char *const *extensions)
{
    STACK_OF(X509_EXTENSION) *stack = sk_X509_EXTENSION_new_null();
    X509V3_CTX ctx;

    need(stack != NULL, "stack");
    X509V3_set_ctx(&ctx, NULL, NULL, req, NULL, 0);
    for (; *extensions; extensions++) {
        const char *equals = strchr(*extensions, '=');
        X509_EXTENSION *extension;

        need(equals != NULL, *extensions);
        extension = X509V3_EXT_conf(NULL, &ctx,
                                    apr_pstrmemdup(p, *extensions,
                                                   (apr_size_t)(equals - *extensions)),
                                    equals + 1);
        need(extension != NULL && sk_X509_EXTENSION_push(stack, extension), *extensions);
    }
    need(X509_REQ_add_extensions(req, stack), "X509_REQ_add_extensions");
    sk_X509_EXTENSION_pop_free(stack, X509_EXTENSION_free);
}

crypt_buf_t fixture_csr(apr_pool_t *p, EVP_PKEY *key, const char *common_name,
                        const char *challenge, const char *const *extensions)
{
    X509_REQ *req = X509_REQ_new();
    unsigned char *der = NULL;
    crypt_buf_t csr;
    int len;

    need(req && X509_REQ_set_version(req, X509_REQ_VERSION_1) && X509_REQ_set_pubkey(req, key),
         "X509_REQ");
    if (common_name) {
        need(X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(req), "CN", MBSTRING_UTF8,
                                        (const unsigned char *)common_name, -1, -1, 0), "subject");
    }
    if (challenge) {
        need(X509_REQ_add1_attr_by_NID(req, NID_pkcs9_challengePassword, MBSTRING_UTF8,
                                       (const unsigned char *)challenge, -1), "challenge");
    }
    if (extensions) {
        request_extensions(req, p, extensions);
    }
    need(X509_REQ_sign(req, key, EVP_sha256()) > 0, "X509_REQ_sign");
    len = i2d_X509_REQ(req, &der);
    need(len > 0, "i2d_X509_REQ");
    csr.data = apr_pmemdup(p, der, (apr_size_t)len);
    csr.len = (apr_size_t)len;
    OPENSSL_free(der);
    X509_REQ_free(req);
    return csr;
}

/* Returns what was written to bio, and frees it. */
static const char *bio_text(BIO *bio, apr_pool_t *p)
{
    char *data;
    long len = BIO_get_mem_data(bio, &data);
    const char *text = apr_pstrmemdup(p, data, (apr_size_t)len);

    BIO_free(bio);
    return text;
}

const char *fixture_certificate_pem(apr_pool_t *p, X509 *cert)
{
    BIO *bio = BIO_new(BIO_s_mem());

    need(bio && PEM_write_bio_X509(bio, cert), "PEM_write_bio_X509");
    return bio_text(bio, p);
}

const char *fixture_key_pem(apr_pool_t *p, EVP_PKEY *key)
{
    BIO *bio = BIO_new(BIO_s_mem());

    need(bio && PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL),
         "PEM_write_bio_PrivateKey");
    return bio_text(bio, p);
}
