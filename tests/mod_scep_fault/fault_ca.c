/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A CA backend that fails as it is told to.
 *
 *   ScepCABackend fault certificate=FILE key=FILE [mode=MODE] [delay=DURATION]
 *                       [delay-after=DURATION] [switch=FILE] [journal=FILE]
 *
 * It signs through the backend "local", which is looked up when the instance is made, so that the
 * order of LoadModule lines does not matter.  While switch=FILE exists its first line, e.g.
 * "mode=pending delay=2s" or just "pending", overrides the options, request by request.  journal
 * gets a line for each certificate that was signed: its SHA-256.  ScepFaultFile's step "ca" is
 * before and after the signature.
 *
 * "fault-remote" is the same as a CA of somebody else's: with bulkhead and circuit breaker;
 * "fault-foreign" one that also chooses serial numbers itself and revokes.
 */
#include "fault.h"

#include <httpd.h>
#include <http_config.h>
#include <ap_provider.h>

#include <apr_escape.h>
#include <apr_file_io.h>
#include <apr_strings.h>
#include <string.h>

#define FAULT_COOKIE "fault-1"

typedef enum {
    MODE_ISSUED, MODE_PENDING, MODE_REJECTED, MODE_RETRY, MODE_UNKNOWN, MODE_ERROR, MODE_GARBAGE,
    MODE_WRONG_KEY, MODE_CA_CERT, MODE_SELF_SIGNED, MODE_SAME_SERIAL, MODE_ADDED_NAME, MODE_COUNT
} fault_mode_e;

static const char *const mode_names[MODE_COUNT] = {
    "issued", "pending", "rejected", "retry", "unknown", "error", "garbage", "wrong-key",
    "ca-cert", "self-signed", "same-serial", "added-name"
};

/* How to behave. */
typedef struct behavior_t {
    fault_mode_e mode;
    apr_interval_time_t delay, delay_after;
} behavior_t;

typedef struct fault_t {
    const ca_provider_t *local;
    void *local_instance;
    behavior_t behavior;
    const char *switch_file, *journal;
    EVP_PKEY *other_key;        /* nobody's */
} fault_t;

static const settings_key_t fault_keys[] = {
    {"certificate", "FILE", 1},
    {"key", "FILE", 1},
    {"digest", "sha256|sha384|sha512", 0},
    {"mode", "issued|pending|rejected|retry|unknown|error|garbage|wrong-key|ca-cert|self-signed|"
     "same-serial|added-name", 0},
    {"delay", "DURATION", 0},
    {"delay-after", "DURATION", 0},
    {"switch", "FILE", 0},
    {"journal", "FILE", 0},
    {NULL, NULL, 0}
};

static const settings_key_t switch_keys[] = {
    {"mode", "MODE", 0},
    {"delay", "DURATION", 0},
    {"delay-after", "DURATION", 0},
    {NULL, NULL, 0}
};

/* Reads mode and delays over what *behavior holds; error text, NULL on success. */
static const char *read_behavior(behavior_t *behavior, const settings_t *s, apr_pool_t *p)
{
    const apr_interval_time_t longest = apr_time_from_sec(600);
    const char *mode = settings_get(s, "mode", mode_names[behavior->mode]);
    const char *err;
    int i;

    for (i = 0; i < MODE_COUNT && strcmp(mode, mode_names[i]) != 0; i++) {
        continue;
    }
    if (i == MODE_COUNT) {
        return apr_psprintf(p, "unknown mode '%s'", mode);
    }
    behavior->mode = (fault_mode_e)i;
    err = settings_get_duration(s, "delay", behavior->delay, 0, longest, &behavior->delay, p);
    if (err == NULL) {
        err = settings_get_duration(s, "delay-after", behavior->delay_after, 0, longest,
                                    &behavior->delay_after, p);
    }
    return err;
}

/* The behavior of this request: the switch file's, else as configured.  A file that cannot be
 * understood is as good as none. */
static behavior_t behavior_now(const fault_t *fault, apr_pool_t *p)
{
    behavior_t behavior = fault->behavior;
    const char *words[8];
    char line[256], *word, *last;
    apr_size_t len = sizeof(line) - 1;
    apr_file_t *file;
    settings_t *s;
    int n = 0;

    if (fault->switch_file == NULL ||
        apr_file_open(&file, fault->switch_file, APR_READ, APR_OS_DEFAULT, p) != APR_SUCCESS) {
        return behavior;
    }
    if (apr_file_read(file, line, &len) != APR_SUCCESS) {
        len = 0;
    }
    apr_file_close(file);
    line[len] = '\0';
    line[strcspn(line, "\r\n")] = '\0';
    for (word = apr_strtok(line, " \t", &last); word != NULL && n < 8;
         word = apr_strtok(NULL, " \t", &last)) {
        words[n++] = strchr(word, '=') != NULL ? word : apr_pstrcat(p, "mode=", word, NULL);
    }
    if (settings_parse(&s, switch_keys, n, words, p) != NULL ||
        read_behavior(&behavior, s, p) != NULL) {
        return fault->behavior;
    }
    return behavior;
}

/* See ca_provider_t.create. */
static const char *fault_create(void **pinstance, const settings_t *settings,
                                const ca_config_t *cfg, apr_pool_t *p)
{
    fault_t *fault = apr_pcalloc(p, sizeof(*fault));
    const char *err;

    *pinstance = fault;
    fault->local = ap_lookup_provider(CA_PROVIDER_GROUP, "local", CA_PROVIDER_VERSION);
    if (fault->local == NULL) {
        return "backend local is not there: is mod_scep loaded?";
    }
    fault->switch_file = settings_get(settings, "switch", NULL);
    fault->journal = settings_get(settings, "journal", NULL);
    fault->other_key = crypt_pkey_own(EVP_EC_gen("P-256"), p);
    err = read_behavior(&fault->behavior, settings, p);
    return err != NULL ? err : fault->local->create(&fault->local_instance, settings, cfg, p);
}

/* Puts CA:TRUE where CA:FALSE stands; 0 if that fails. */
static int make_ca_true(X509 *cert)
{
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints,
                                              "critical,CA:TRUE");
    int index = X509_get_ext_by_NID(cert, NID_basic_constraints, -1);
    int ok;

    if (index >= 0) {
        X509_EXTENSION_free(X509_delete_ext(cert, index));
    }
    ok = ext != NULL && X509_add_ext(cert, ext, -1);
    X509_EXTENSION_free(ext);
    return ok;
}

/* Gives the serial number that every certificate of this mode has; 0 if that fails. */
static int set_same_serial(X509 *cert)
{
    ASN1_INTEGER *serial = ASN1_INTEGER_new();
    int ok = serial != NULL && ASN1_INTEGER_set(serial, 0x2a5a) &&
             X509_set_serialNumber(cert, serial);

    ASN1_INTEGER_free(serial);
    return ok;
}

/* Adds a name that nobody asked for; 0 if that fails. */
static int add_name(X509 *cert)
{
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name,
                                              "DNS:somebody-else.example");
    int ok = ext != NULL && X509_add_ext(cert, ext, -1);

    X509_EXTENSION_free(ext);
    return ok;
}

/* Spoils the good certificate as mode says; 0 if OpenSSL fails. */
static int spoil(const fault_t *fault, fault_mode_e mode, X509 *cert)
{
    const ASN1_BIT_STRING *signature = NULL;
    EVP_PKEY *ca_key = NULL;
    X509 *ca_cert = NULL;

    if (fault->local->get0_identity(fault->local_instance, &ca_cert, &ca_key) != APR_SUCCESS) {
        return 0;
    }
    switch (mode) {
    case MODE_GARBAGE:
        X509_get0_signature(&signature, NULL, cert);
        signature->data[signature->length - 1] ^= 1;
        return 1;
    case MODE_WRONG_KEY:
        return X509_set_pubkey(cert, fault->other_key) && X509_sign(cert, ca_key, EVP_sha256()) > 0;
    case MODE_CA_CERT:
        return make_ca_true(cert) && X509_sign(cert, ca_key, EVP_sha256()) > 0;
    case MODE_SAME_SERIAL:
        return set_same_serial(cert) && X509_sign(cert, ca_key, EVP_sha256()) > 0;
    case MODE_ADDED_NAME:
        return add_name(cert) && X509_sign(cert, ca_key, EVP_sha256()) > 0;
    case MODE_SELF_SIGNED:
        return X509_set_issuer_name(cert, X509_get_subject_name(cert)) &&
               X509_sign(cert, fault->other_key, EVP_sha256()) > 0;
    default:
        return 1;
    }
}

/* The certificate as it comes from a network, owned by p: what was built holds its key as bytes
 * only; NULL: no memory. */
static X509 *read_again(X509 *cert, apr_pool_t *p)
{
    unsigned char *der = NULL;
    int len = i2d_X509(cert, &der);
    const unsigned char *at = der;
    X509 *copy = len > 0 ? crypt_x509_own(d2i_X509(NULL, &at, len), p) : NULL;

    OPENSSL_free(der);
    return copy;
}

/* Answers without a signature: as mode says, APR_ENOTIMPL if it needs one. */
static apr_status_t answer_unsigned(fault_mode_e mode, ca_answer_t *answer, apr_pool_t *p)
{
    switch (mode) {
    case MODE_PENDING:
        answer->result = CA_PENDING;
        answer->cookie = FAULT_COOKIE;
        answer->retry_after = apr_time_from_sec(1);
        return APR_SUCCESS;
    case MODE_REJECTED:
        answer->result = CA_REJECTED;
        outcome_refuse(&answer->outcome, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_ACCESS_DENIED,
                       "ca-rejected", "The certification authority refused the request.", p,
                       "backend fault was told to refuse");
        return APR_SUCCESS;
    case MODE_RETRY:
        answer->result = CA_RETRY;
        outcome_unavailable(&answer->outcome, "ca-fault", apr_time_from_sec(1), p,
                            "backend fault was told to fail");
        return APR_SUCCESS;
    case MODE_ERROR:
        return APR_EGENERAL;
    default:
        return APR_ENOTIMPL;
    }
}

/* Writes into the journal that cert was signed; 0 if that fails. */
static int note_signed(const fault_t *fault, X509 *cert, apr_pool_t *p)
{
    unsigned char digest[32];
    char line[2 * sizeof(digest) + 2];
    apr_file_t *file;
    apr_size_t len = sizeof(line) - 1;
    int ok;

    if (fault->journal == NULL) {
        return 1;
    }
    if (!X509_digest(cert, EVP_sha256(), digest, NULL) ||
        apr_file_open(&file, fault->journal, APR_WRITE | APR_CREATE | APR_APPEND, APR_OS_DEFAULT,
                      p) != APR_SUCCESS) {
        return 0;
    }
    apr_escape_hex(line, digest, sizeof(digest), 0, NULL);
    line[2 * sizeof(digest)] = '\n';
    ok = apr_file_write(file, line, &len) == APR_SUCCESS;
    apr_file_close(file);
    return ok;
}

/* See ca_provider_t.submit. */
static apr_status_t fault_submit(void *instance, const ca_request_t *request, ca_answer_t *answer,
                                 const log_sink_t *log, apr_pool_t *p)
{
    const fault_t *fault = instance;
    behavior_t behavior = behavior_now(fault, p);
    apr_status_t rv;

    if (behavior.delay > 0) {
        apr_sleep(behavior.delay);
    }
    rv = fault_at("ca", "before", p) == FAULT_LOSE ? APR_TIMEUP
                                                   : answer_unsigned(behavior.mode, answer, p);
    if (rv != APR_ENOTIMPL) {
        return rv;
    }
    rv = fault->local->submit(fault->local_instance, request, answer, log, p);
    if (rv == APR_SUCCESS && answer->result == CA_ISSUED &&
        (!spoil(fault, behavior.mode, answer->leaf) ||
         (answer->leaf = read_again(answer->leaf, p)) == NULL ||
         !note_signed(fault, answer->leaf, p))) {
        rv = APR_EGENERAL;
    }
    if (fault_at("ca", "after", p) == FAULT_LOSE) {
        rv = APR_TIMEUP;
    }
    if (behavior.delay_after > 0) {
        apr_sleep(behavior.delay_after);
    }
    if (rv == APR_SUCCESS && behavior.mode == MODE_UNKNOWN) {
        answer->result = CA_RETRY;
        answer->unknown = 1;
        outcome_unavailable(&answer->outcome, "ca-fault", apr_time_from_sec(1), p,
                            "backend fault was told to lose the answer");
    }
    return rv;
}

/* See ca_provider_t.poll. */
static apr_status_t fault_poll(void *instance, const ca_request_t *request, const char *cookie,
                               ca_answer_t *answer, const log_sink_t *log, apr_pool_t *p)
{
    return strcmp(cookie, FAULT_COOKIE) == 0 ? fault_submit(instance, request, answer, log, p)
                                             : APR_EINVAL;
}

/* See ca_provider_t.chain. */
static apr_status_t fault_chain(void *instance, STACK_OF(X509) **pchain, const log_sink_t *log,
                                apr_pool_t *p)
{
    const fault_t *fault = instance;

    return fault->local->chain(fault->local_instance, pchain, log, p);
}

/* See ca_provider_t.health. */
static apr_status_t fault_health(void *instance, const char **text, apr_pool_t *p)
{
    const fault_t *fault = instance;
    behavior_t behavior = behavior_now(fault, p);

    if (behavior.mode == MODE_RETRY || behavior.mode == MODE_ERROR) {
        *text = "backend fault was told to fail";
        return APR_EGENERAL;
    }
    return fault->local->health(fault->local_instance, text, p);
}

/* See ca_provider_t.get0_identity. */
static apr_status_t fault_get0_identity(void *instance, X509 **pcert, EVP_PKEY **pkey)
{
    const fault_t *fault = instance;

    return fault->local->get0_identity(fault->local_instance, pcert, pkey);
}

/* See ca_provider_t.revoke: as mode says, and nothing is remembered. */
static apr_status_t fault_revoke(void *instance, const ASN1_INTEGER *serial, apr_time_t not_after,
                                 int reason, outcome_t *out, apr_pool_t *p)
{
    (void)serial, (void)not_after, (void)reason;
    switch (behavior_now(instance, p).mode) {
    case MODE_REJECTED:
        return APR_NOTFOUND;
    case MODE_RETRY:
        outcome_unavailable(out, "ca-fault", 0, p, "backend fault was told to fail");
        return APR_EGENERAL;
    default:
        return APR_SUCCESS;
    }
}

/* What all three have. */
#define FAULT_SLOTS                                                                                \
    .keys = fault_keys, .create = fault_create, .submit = fault_submit, .poll = fault_poll,        \
    .chain = fault_chain, .health = fault_health, .get0_identity = fault_get0_identity

const ca_provider_t fault_provider = {
    .name = "fault",
    .capabilities = CA_CAP_SERIAL | CA_CAP_PENDING | CA_CAP_SUBJECT | CA_CAP_SID,
    FAULT_SLOTS,
};

const ca_provider_t fault_remote_provider = {
    .name = "fault-remote",
    .capabilities = CA_CAP_SERIAL | CA_CAP_PENDING | CA_CAP_SUBJECT | CA_CAP_SID,
    .concurrency = 8,
    FAULT_SLOTS,
};

/* A CA that chooses serial numbers itself. */
const ca_provider_t fault_foreign_provider = {
    .name = "fault-foreign",
    .capabilities = CA_CAP_PENDING | CA_CAP_SUBJECT | CA_CAP_SID,
    .concurrency = 8,
    .revoke = fault_revoke,
    FAULT_SLOTS,
};
