/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The chain of a CA that is asked for it: fetched once for all threads, kept in a file for the
 * other children and for the next start; see ca_chain.h.
 */
#include "../common/http_client.h"
#include "ca_chain.h"

#include <apr_atomic.h>
#include <apr_file_info.h>
#include <apr_file_io.h>
#include <apr_strings.h>
#include <apr_thread_cond.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>
#include <unistd.h>

#define BUDGET_WITH_OLD apr_time_from_sec(3)
#define RENEW_PAUSE     apr_time_from_sec(10)
#define CLOCK_TOLERANCE apr_time_from_sec(300)
#define FILE_SIZE_MAX   (256 * 1024)

struct ca_fetched_t {
    const ca_provider_t *provider;
    void *instance;
    const char *service;
    const char *file;           /* NULL: none */
    apr_thread_mutex_t *mutex;  /* guards all below; NULL before child_init */
    apr_thread_cond_t *done;    /* a fetch ended */
    int fetching;               /* a thread is at it */
    STACK_OF(X509) *chain;      /* NULL: not known; never changed, only replaced */
    X509_STORE *store;
    apr_time_t fetched;         /* by whoever wrote the file */
    apr_time_t next;            /* not before, after a failure */
    int reported;               /* the failure was logged */
    char error[400];
    apr_uint32_t generation;
};

/* The file's name, of everything that makes another CA of it. */
static const char *file_name(const ca_provider_t *provider, const ca_config_t *cfg, int argc,
                             const char *const *argv, apr_pool_t *p)
{
    crypt_buf_t *part = apr_pcalloc(p, (apr_size_t)(argc + 2) * sizeof(*part));
    unsigned char digest[32];
    int i;

    for (i = 0; i < argc + 2; i++) {
        const char *text = i == 0 ? cfg->service : i == 1 ? provider->name : argv[i - 2];

        part[i].data = (const unsigned char *)text;
        part[i].len = strlen(text);
    }
    if (cfg->state_directory == NULL ||
        crypt_sha256_parts(digest, part, argc + 2) != APR_SUCCESS) {
        return NULL;
    }
    return apr_pstrcat(p, cfg->state_directory, "/ca-chain-", crypt_hex(digest, 12, 0, p), ".pem",
                       NULL);
}

ca_fetched_t *ca_fetched_make(const ca_provider_t *provider, void *instance,
                              const ca_config_t *cfg, int argc, const char *const *argv,
                              apr_pool_t *p)
{
    ca_fetched_t *f = apr_pcalloc(p, sizeof(*f));

    f->provider = provider;
    f->instance = instance;
    f->service = cfg->service;
    f->file = file_name(provider, cfg, argc, argv, p);
    apr_cpystrn(f->error, "the CA was not asked yet", sizeof(f->error));
    return f;
}

/* Frees what is held; returns APR_SUCCESS. */
static apr_status_t drop(void *baton)
{
    ca_fetched_t *f = baton;

    sk_X509_pop_free(f->chain, X509_free);
    X509_STORE_free(f->store);
    f->chain = NULL;
    f->store = NULL;
    return APR_SUCCESS;
}

apr_status_t ca_fetched_child_init(ca_fetched_t *f, apr_pool_t *pchild)
{
    apr_status_t rv = apr_thread_cond_create(&f->done, pchild);

    if (rv == APR_SUCCESS) {
        rv = apr_thread_mutex_create(&f->mutex, APR_THREAD_MUTEX_DEFAULT, pchild);
    }
    apr_pool_cleanup_register(pchild, f, drop, apr_pool_cleanup_null);
    return rv;
}

/* Whether two chains are the same certificates. */
static int is_same(STACK_OF(X509) *a, STACK_OF(X509) *b)
{
    int i, same = sk_X509_num(a) == sk_X509_num(b);

    for (i = 0; same && i < sk_X509_num(a); i++) {
        same = X509_cmp(sk_X509_value(a, i), sk_X509_value(b, i)) == 0;
    }
    return same;
}

/* Replaces what is known by chain, as it was at that time.  With the mutex. */
static void take(ca_fetched_t *f, STACK_OF(X509) *chain, apr_time_t fetched, apr_pool_t *p)
{
    STACK_OF(X509) *held = NULL;
    X509_STORE *store = NULL;

    if (f->chain == NULL || !is_same(f->chain, chain)) {
        held = X509_chain_up_ref(chain);
        store = ca_store_make(chain, p);
        if (held == NULL || store == NULL || !X509_STORE_up_ref(store)) {
            sk_X509_pop_free(held, X509_free);
            ERR_clear_error();
            return;
        }
        (void)drop(f);
        f->chain = held;
        f->store = store;
        apr_atomic_inc32(&f->generation);
    }
    f->fetched = fetched;
    f->next = 0;
    f->reported = 0;
}

/* When the file was written; 0 if it is not one that a child of ours wrote. */
static apr_time_t file_time(const ca_fetched_t *f, apr_pool_t *p)
{
    apr_finfo_t info;

    memset(&info, 0, sizeof(info));
    if (f->file == NULL ||
        apr_stat(&info, f->file, APR_FINFO_LINK | APR_FINFO_TYPE | APR_FINFO_MTIME |
                 APR_FINFO_SIZE | APR_FINFO_USER | APR_FINFO_PROT, p) != APR_SUCCESS ||
        info.filetype != APR_REG || info.size > FILE_SIZE_MAX || info.user != geteuid() ||
        (info.protection & (APR_FPROT_GWRITE | APR_FPROT_WWRITE)) != 0) {
        return 0;
    }
    return info.mtime;
}

/* Reads the file if it is newer than what is known.  Without the mutex; one thread at a time.
 * NULL: nothing to take. */
static STACK_OF(X509) *read_file(const ca_fetched_t *f, apr_time_t known, apr_time_t *when,
                                 const log_sink_t *log, apr_pool_t *p)
{
    STACK_OF(X509) *certs = NULL, *chain = NULL;
    const char *error;

    *when = file_time(f, p);
    if (*when <= known || *when > apr_time_now() + CLOCK_TOLERANCE) {
        return NULL;
    }
    error = crypt_load_certificates(&certs, f->file, p);
    if (error == NULL) {
        error = ca_chain_path(&chain, certs, p);
    }
    if (error != NULL) {
        log_to(log, LOG_SINK_WARN, SCEPTAG(0340), "service %s: %s is not used: %s", f->service,
               f->file, error);
    }
    return chain;
}

/* The certificates as a file's text. */
static const char *text_of(STACK_OF(X509) *chain, apr_size_t *len, apr_pool_t *p)
{
    BIO *out = BIO_new(BIO_s_mem());
    const char *text = NULL;
    char *data = NULL;
    long n;
    int i;

    for (i = 0; out != NULL && i < sk_X509_num(chain); i++) {
        if (!PEM_write_bio_X509(out, sk_X509_value(chain, i))) {
            goto leave;
        }
    }
    n = out != NULL ? BIO_get_mem_data(out, &data) : 0;
    if (n > 0) {
        text = apr_pstrmemdup(p, data, (apr_size_t)n);
        *len = (apr_size_t)n;
    }

leave:
    BIO_free(out);
    ERR_clear_error();
    return text;
}

/* Replaces the file as a whole: whoever reads it sees the old one or the new one. */
static void write_file(const ca_fetched_t *f, STACK_OF(X509) *chain, const log_sink_t *log,
                       apr_pool_t *p)
{
    char *temporary = f->file != NULL ? apr_pstrcat(p, f->file, ".XXXXXX", NULL) : NULL;
    apr_file_t *out = NULL;
    char why[120];
    apr_status_t rv;
    apr_size_t len = 0;
    const char *text = text_of(chain, &len, p);

    if (temporary == NULL || text == NULL) {
        return;
    }
    rv = apr_file_mktemp(&out, temporary, APR_FOPEN_CREATE | APR_FOPEN_EXCL | APR_FOPEN_WRITE |
                         APR_FOPEN_BINARY, p);
    if (rv == APR_SUCCESS) {
        rv = apr_file_write_full(out, text, len, NULL);
        if (rv == APR_SUCCESS) {
            rv = apr_file_sync(out);
        }
        apr_file_close(out);
        if (rv == APR_SUCCESS) {
            rv = apr_file_rename(temporary, f->file, p);
        }
        if (rv != APR_SUCCESS) {
            apr_file_remove(temporary, p);
        }
    }
    if (rv != APR_SUCCESS) {
        log_to(log, LOG_SINK_WARN, SCEPTAG(0341),
               "service %s: the CA's certificates cannot be kept in %s: %s", f->service, f->file,
               apr_strerror(rv, why, sizeof(why)));
    }
}

/* "CN=x (SHA-256 ...)" */
static const char *describe(X509 *cert, apr_pool_t *p)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    (void)crypt_thumbprint(cert, EVP_sha256(), digest, &len);
    return apr_psprintf(p, "%s (SHA-256 %s)", crypt_name_text(X509_get_subject_name(cert), p),
                        crypt_hex(digest, len, 1, p));
}

/* Asks the CA; NULL with *error set.  Without the mutex. */
static STACK_OF(X509) *ask(const ca_fetched_t *f, apr_time_t deadline, const char **error,
                           const log_sink_t *log, apr_pool_t *p)
{
    STACK_OF(X509) *certs = NULL, *chain = NULL;
    apr_status_t rv;

    *error = NULL;
    rv = f->provider->fetch_chain(f->instance, &certs, deadline, error, log, p);
    if (rv != APR_SUCCESS) {
        *error = *error != NULL ? *error : "no answer";
        return NULL;
    }
    *error = ca_chain_path(&chain, certs, p);
    if (*error != NULL) {
        *error = apr_pstrcat(p, *error, "; name the CA's certificates by ScepCAChain", NULL);
    }
    return chain;
}

/* Takes note of a failure; logged once.  With the mutex. */
static void fail(ca_fetched_t *f, const char *error, const log_sink_t *log)
{
    f->next = apr_time_now() + (f->chain != NULL ? CA_CHAIN_PAUSE : CA_CHAIN_SOON);
    apr_cpystrn(f->error, error, sizeof(f->error));
    if (http_client_is_ending()) {
        return;
    }
    if (!f->reported) {
        log_to(log, LOG_SINK_WARN, SCEPTAG(0342),
               "service %s: the CA's certificates cannot be fetched%s: %s", f->service,
               f->chain != NULL ? ", the known ones stay in use" : "", error);
    }
    f->reported = log != NULL;
}

/* Says what is new.  With the mutex; before NULL: nothing was known. */
static void tell(const ca_fetched_t *f, X509 *before, const log_sink_t *log, apr_pool_t *p)
{
    X509 *issuer = sk_X509_value(f->chain, 0);

    if (before == NULL) {
        log_to(log, LOG_SINK_NOTICE, SCEPTAG(0343),
               "service %s: the CA's certificates were fetched, the issuing one is %s", f->service,
               describe(issuer, p));
    }
    else if (X509_cmp(before, issuer) != 0) {
        log_to(log, LOG_SINK_NOTICE, SCEPTAG(0344),
               "service %s: the CA has another certificate now: %s instead of %s", f->service,
               describe(issuer, p), describe(before, p));
    }
}

/* Whether something of that time has to be asked for again. */
static int is_old(apr_time_t when, apr_time_t now, apr_interval_time_t fresh)
{
    return now - when > fresh || when > now + CLOCK_TOLERANCE;
}

/*
 * Learns the chain: out of the file, where another child wrote a newer one, and from the CA, unless
 * that is as fresh as wanted or deadline is 0.  Enters and leaves with the mutex, alone at it.
 */
static void learn(ca_fetched_t *f, apr_interval_time_t fresh, apr_time_t deadline,
                  const log_sink_t *log, apr_pool_t *p)
{
    const apr_time_t now = apr_time_now(), known = f->fetched;
    const apr_time_t end = now + (f->chain != NULL ? BUDGET_WITH_OLD : CA_CHAIN_BUDGET);
    STACK_OF(X509) *kept, *asked = NULL;
    const char *error = NULL;
    X509 *before = NULL;
    apr_time_t when = 0;

    f->fetching = 1;
    apr_thread_mutex_unlock(f->mutex);
    kept = read_file(f, known, &when, log, p);
    if (deadline > 0 && (kept == NULL || is_old(when, now, fresh))) {
        asked = ask(f, deadline < end ? deadline : end, &error, log, p);
    }
    if (asked != NULL) {
        write_file(f, asked, log, p);
    }
    apr_thread_mutex_lock(f->mutex);
    if (kept != NULL) {
        take(f, kept, when, p);
    }
    if (asked != NULL) {
        if (f->chain != NULL && X509_up_ref(sk_X509_value(f->chain, 0))) {
            before = crypt_x509_own(sk_X509_value(f->chain, 0), p);
        }
        take(f, asked, apr_time_now(), p);
        tell(f, before, log, p);
    }
    else if (error != NULL) {
        fail(f, error, log);
    }
    f->fetching = 0;
    apr_thread_cond_broadcast(f->done);
}

/* Pool cleanups; return APR_SUCCESS. */
static apr_status_t chain_cleanup(void *data)
{
    sk_X509_pop_free(data, X509_free);
    return APR_SUCCESS;
}

static apr_status_t store_cleanup(void *data)
{
    X509_STORE_free(data);
    return APR_SUCCESS;
}

/* Gives references to what is known.  With the mutex. */
static apr_status_t give(const ca_fetched_t *f, ca_trust_t *trust, apr_pool_t *p)
{
    trust->chain = X509_chain_up_ref(f->chain);
    if (trust->chain == NULL || !X509_STORE_up_ref(f->store)) {
        sk_X509_pop_free(trust->chain, X509_free);
        trust->chain = NULL;
        return APR_ENOMEM;
    }
    trust->store = f->store;
    apr_pool_cleanup_register(p, trust->chain, chain_cleanup, apr_pool_cleanup_null);
    apr_pool_cleanup_register(p, trust->store, store_cleanup, apr_pool_cleanup_null);
    return APR_SUCCESS;
}

/* Waits while another thread is at it, until deadline.  With the mutex. */
static void wait_for_other(ca_fetched_t *f, apr_time_t deadline)
{
    apr_time_t now = apr_time_now();

    while (f->fetching && now < deadline) {
        apr_thread_cond_timedwait(f->done, f->mutex, deadline - now);
        now = apr_time_now();
    }
}

apr_status_t ca_fetched_get(ca_fetched_t *f, ca_trust_t *trust, apr_time_t deadline,
                            const char **why, const log_sink_t *log, apr_pool_t *p)
{
    apr_status_t rv = APR_EAGAIN;
    apr_time_t now;

    trust->chain = NULL;
    trust->store = NULL;
    *why = "the CA is not asked while the configuration is read";
    if (f->mutex == NULL) {
        return APR_EAGAIN;
    }
    apr_thread_mutex_lock(f->mutex);
    if (f->chain == NULL && f->fetching) {
        wait_for_other(f, deadline);
    }
    now = apr_time_now();
    if (!f->fetching && (f->chain == NULL || is_old(f->fetched, now, CA_CHAIN_FRESH))) {
        int may_ask = deadline > now && now >= f->next;

        if (may_ask || f->chain == NULL) {
            learn(f, CA_CHAIN_FRESH, may_ask ? deadline : 0, log, p);
        }
    }
    if (f->chain != NULL) {
        rv = give(f, trust, p);
    }
    *why = rv != APR_SUCCESS ? apr_pstrdup(p, f->error) : NULL;
    apr_thread_mutex_unlock(f->mutex);
    return rv;
}

int ca_fetched_renew(ca_fetched_t *f, STACK_OF(X509) *used, apr_time_t deadline,
                     const log_sink_t *log, apr_pool_t *p)
{
    apr_time_t now;
    int other = 0;

    if (f->mutex == NULL) {
        return 0;
    }
    apr_thread_mutex_lock(f->mutex);
    wait_for_other(f, deadline);
    now = apr_time_now();
    if (!f->fetching && f->chain != NULL && is_same(f->chain, used) && deadline > now &&
        now >= f->next && is_old(f->fetched, now, RENEW_PAUSE)) {
        learn(f, RENEW_PAUSE, deadline, log, p);
    }
    other = f->chain != NULL && !is_same(f->chain, used);
    apr_thread_mutex_unlock(f->mutex);
    return other;
}

unsigned ca_fetched_generation(ca_fetched_t *f)
{
    return apr_atomic_read32(&f->generation);
}
