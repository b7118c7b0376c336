/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local backend: signs with a key of this host.
 *
 * Serial and notBefore come from the grant, so the same request signed again after a crash gives
 * the same certificate (RSA: byte for byte).  What is equal in all certificates of a template is
 * built once; the key is copied from the CSR as algorithm and bit string, since
 * X509_set_pubkey() encodes and decodes it again (0.26 ms on OpenSSL 3.0).
 */
#include "ca_local.h"
#include "ca_sid.h"

#include <apr_strings.h>
#include <openssl/err.h>
#include <openssl/sha.h>
#include <string.h>
#include <strings.h>

typedef struct local_template_t {
    const ca_template_t *template;
    STACK_OF(X509_EXTENSION) *rsa;      /* constant extensions for an RSA key */
    STACK_OF(X509_EXTENSION) *ec;       /* the same for an EC key */
} local_template_t;

static const settings_key_t local_keys[] = {
    {"certificate", "FILE", 1},
    {"key", "FILE-OR-pkcs11:URI", 1},
    {"pinFile", "FILE", 0},
    {"pkcs11Module", "FILE", 0},
    {"concurrency", "NUMBER", 0},
    {"digest", "sha256|sha384|sha512", 0},
    {"signature", "pkcs1|pss", 0},
    {"crlLifetime", "TIME|off", 0},
    {"crlDistributionPoint", "URL", 0},
    {NULL, NULL, 0}
};

/* Builds the constant extensions of one template; error text, NULL on success. */
static const char *add_template(local_t *local, const ca_template_t *t, apr_pool_t *p)
{
    local_template_t *made = apr_array_push(local->templates);

    made->template = t;
    made->rsa = local_extensions_make(local, t, t->key_usage, p);
    made->ec = local_extensions_make(local, t, t->key_usage_ec, p);
    if (made->rsa == NULL || made->ec == NULL) {
        ERR_clear_error();
        return apr_psprintf(p, "the extensions of template %s cannot be built", t->name);
    }
    return NULL;
}

/* Whether the certificate may sign others now; error text, NULL if it may. */
static const char *check_ca(const local_t *local, const char *file, apr_pool_t *p)
{
    char date[APR_RFC822_DATE_LEN];
    apr_time_t now = apr_time_now();

    if ((X509_get_key_usage(local->cert) & KU_KEY_CERT_SIGN) == 0) {
        return apr_psprintf(p, "certificate=%s must not sign certificates (its key usage has no "
                               "keyCertSign)", file);
    }
    if (X509_check_ca(local->cert) != 1) {
        return apr_psprintf(p, "certificate=%s is not a CA's (basicConstraints CA:TRUE is missing)",
                            file);
    }
    if (now >= local->not_after) {
        apr_rfc822_date(date, local->not_after);
        return apr_psprintf(p, "certificate=%s expired on %s", file, date);
    }
    if (now < local->not_before) {
        apr_rfc822_date(date, local->not_before);
        return apr_psprintf(p, "certificate=%s is not valid before %s", file, date);
    }
    return NULL;
}

/* See ca_provider_t.create. */
static const char *local_create(void **pinstance, const settings_t *settings,
                                const ca_config_t *cfg, apr_pool_t *p)
{
    local_t *local = apr_pcalloc(p, sizeof(*local));
    const char *cert_file = settings_get(settings, "certificate", "");
    const char *err;
    int i, n = cfg->templates != NULL ? cfg->templates->nelts : 0;

    *pinstance = NULL;
    if ((err = crypt_load_certificates(&local->chain, cert_file, p)) != NULL ||
        (err = local_key_configure(local, settings, p)) != NULL) {
        return err;
    }
    local->not_before = crypt_asn1_time(X509_get0_notBefore(local->cert));
    local->not_after = crypt_asn1_time(X509_get0_notAfter(local->cert));
    local->skew = cfg->not_before_skew > 0 ? cfg->not_before_skew : 0;
    local->templates = apr_array_make(p, n + 1, sizeof(local_template_t));
    if ((err = check_ca(local, cert_file, p)) != NULL ||
        (err = local_names_configure(local, cfg, p)) != NULL ||
        (err = local_crl_configure(local, settings, cfg, p)) != NULL ||
        (err = add_template(local, ca_template_default(), p)) != NULL) {
        return err;
    }
    for (i = 0; i < n && err == NULL; i++) {
        err = add_template(local, APR_ARRAY_IDX(cfg->templates, i, const ca_template_t *), p);
    }
    if (err == NULL) {
        *pinstance = local;
    }
    return err;
}

/* Copies the CSR's key as it came; 0 if that fails. */
static int copy_key(X509 *cert, const csr_t *csr)
{
    X509_PUBKEY *pubkey = X509_get_X509_PUBKEY(cert);
    const ASN1_BIT_STRING *bits = csr->spki->key;
    unsigned char *data = OPENSSL_memdup(bits->data, (size_t)bits->length);
    const ASN1_OBJECT *oid;
    X509_ALGOR *algor;

    X509_ALGOR_get0(&oid, NULL, NULL, csr->spki->algor);
    if (data == NULL ||
        !X509_PUBKEY_set0_param(pubkey, OBJ_dup(oid), V_ASN1_UNDEF, NULL, data, bits->length)) {
        OPENSSL_free(data);
        return 0;
    }
    /* with its parameter as it is: absent, NULL or a curve */
    return X509_PUBKEY_get0_param(NULL, NULL, NULL, &algor, pubkey) &&
           X509_ALGOR_copy(algor, csr->spki->algor);
}

/* Sets the grant's serial number; 0 if that fails or does not read back equal. */
static int set_serial(X509 *cert, const unsigned char serial[16])
{
    BIGNUM *number = BN_bin2bn(serial, 16, NULL), *built = NULL;
    int ok = number != NULL && (serial[0] & 0x80) == 0 && !BN_is_zero(number) &&
             BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) != NULL &&
             (built = ASN1_INTEGER_to_BN(X509_get0_serialNumber(cert), NULL)) != NULL &&
             BN_cmp(built, number) == 0;

    BN_free(built);
    BN_free(number);
    return ok;
}

/* Adds SHA-1 of the key bits as subjectKeyIdentifier (RFC 5280 section 4.2.1.2); 0 on failure. */
static int add_key_id(X509 *cert, const csr_t *csr)
{
    ASN1_OCTET_STRING *id = ASN1_OCTET_STRING_new();
    unsigned char digest[SHA_DIGEST_LENGTH];
    int ok = id != NULL &&
             EVP_Digest(csr->spki->key->data, (size_t)csr->spki->key->length, digest, NULL,
                        EVP_sha1(), NULL) &&
             ASN1_OCTET_STRING_set(id, digest, sizeof(digest)) &&
             X509_add1_ext_i2d(cert, NID_subject_key_identifier, id, 0, X509V3_ADD_APPEND) == 1;

    ASN1_OCTET_STRING_free(id);
    return ok;
}

/* Adds the CSR's SAN, encoded anew; critical where the subject is empty.  0 if that fails. */
static int add_san(X509 *cert, const csr_t *csr)
{
    GENERAL_NAMES *names = NULL;
    apr_status_t rv = ca_template_san_make(&names, csr);
    int ok = rv == APR_NOTFOUND;

    if (rv == APR_SUCCESS) {
        int critical = X509_NAME_entry_count(X509_get_subject_name(cert)) == 0;

        ok = X509_add1_ext_i2d(cert, NID_subject_alt_name, names, critical,
                               X509V3_ADD_APPEND) == 1;
    }
    GENERAL_NAMES_free(names);
    return ok;
}

/* The prepared template of a request; NULL if there is none. */
static const local_template_t *find_template(const local_t *local, const ca_template_t *t)
{
    int i;

    for (i = 0; i < local->templates->nelts; i++) {
        const local_template_t *made = &APR_ARRAY_IDX(local->templates, i, local_template_t);

        if (made->template == t) {
            return made;
        }
    }
    return NULL;
}

/* Adds the granted security identifier, if there is one; 0 if that fails. */
static int add_sid(X509 *cert, const char *sid)
{
    X509_EXTENSION *ext = sid != NULL ? ca_sid_make(sid) : NULL;
    int ok = sid == NULL || (ext != NULL && X509_add_ext(cert, ext, -1));

    X509_EXTENSION_free(ext);
    return ok;
}

/* Adds all extensions; 0 if that fails. */
static int add_extensions(X509 *cert, const local_template_t *made, const ca_request_t *request)
{
    const csr_t *csr = request->csr;
    const STACK_OF(X509_EXTENSION) *constant =
        EVP_PKEY_is_a(csr->key, "EC") ? made->ec : made->rsa;
    int i, n = sk_X509_EXTENSION_num(constant);

    for (i = 0; i < n; i++) {
        if (!X509_add_ext(cert, sk_X509_EXTENSION_value(constant, i), -1)) {
            return 0;
        }
    }
    return add_key_id(cert, csr) && (made->template->san != CA_FROM_CSR || add_san(cert, csr)) &&
           add_sid(cert, grant_sid(request->grant));
}

/* The signed certificate, owned by p; NULL if OpenSSL fails, or, with *error, a token does. */
static X509 *build(const local_t *local, const local_template_t *made, const ca_request_t *request,
                   apr_time_t not_after, const char **error, const log_sink_t *log, apr_pool_t *p)
{
    const csr_t *csr = request->csr;
    time_t from = (time_t)apr_time_sec(grant_not_before(request->grant));
    X509 *cert = crypt_x509_own(X509_new(), p);

    *error = NULL;
    ERR_clear_error();
    if (cert == NULL || !X509_set_version(cert, X509_VERSION_3) ||
        !set_serial(cert, grant_serial(request->grant)) ||
        !X509_set_issuer_name(cert, X509_get_subject_name(local->cert)) ||
        !ASN1_TIME_set(X509_getm_notBefore(cert), from) ||
        !ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)apr_time_sec(not_after)) ||
        (made->template->subject == CA_FROM_CSR &&
         !X509_set_subject_name(cert, request->subject)) ||
        !copy_key(cert, csr) || !add_extensions(cert, made, request) ||
        !local_sign_certificate(local, cert, error, log, p)) {
        return NULL;
    }
    return cert;
}

/* See ca_provider_t.submit. */
static apr_status_t local_submit(void *instance, const ca_request_t *request, ca_answer_t *answer,
                                 const log_sink_t *log, apr_pool_t *p)
{
    const local_t *local = instance;
    const local_template_t *made = find_template(local, request->template);
    apr_time_t now = apr_time_now(), not_after;
    const char *error;

    answer->result = CA_RETRY;
    /* the service's own templates are there (httpd -t), one that policy asks for need not be */
    if (made == NULL || strcmp(made->template->name, request->template_name) != 0) {
        outcome_unavailable(&answer->outcome, "ca-template", 0, p,
                            "there is no ScepLocalTemplate %s", request->template_name);
        log_to(log, LOG_SINK_ERR, SCEPTAG(0311),
               "service %s: transaction %s: there is no ScepLocalTemplate %s",
               grant_service(request->grant), grant_transaction_id(request->grant),
               request->template_name);
        return APR_SUCCESS;
    }
    not_after = grant_not_before(request->grant) + local->skew + made->template->validity;
    if (not_after > local->not_after) {
        not_after = local->not_after;
    }
    if (now >= local->not_after || not_after <= now) {
        outcome_unavailable(&answer->outcome, "ca-expired", 0, p,
                            now >= local->not_after ? "the CA certificate has expired"
                            : "the certificate would be expired already");
        return APR_SUCCESS;
    }
    if (local_check_names(local, request, &answer->outcome, p) != APR_SUCCESS) {
        answer->result = CA_REJECTED;
        return APR_SUCCESS;
    }
    answer->leaf = build(local, made, request, not_after, &error, log, p);
    if (answer->leaf == NULL && error != NULL) {
        answer->down = 1;
        log_openssl_errors(log, LOG_SINK_ERR, SCEPTAG(0372), error);
        outcome_unavailable(&answer->outcome, "ca-key", 0, p, "the CA's key: %s", error);
        return APR_SUCCESS;
    }
    if (answer->leaf == NULL) {
        log_openssl_errors(log, LOG_SINK_ERR, SCEPTAG(0310), "local CA cannot sign");
        outcome_unavailable(&answer->outcome, "ca-sign", 0, p, "the local CA cannot sign");
        return APR_SUCCESS;
    }
    answer->result = CA_ISSUED;
    return APR_SUCCESS;
}

/* See ca_provider_t.child_init. */
static apr_status_t local_child_init(void *instance, apr_pool_t *pchild)
{
    local_t *local = instance;
    apr_status_t rv = local_crl_child_init(local, pchild);

    return rv == APR_SUCCESS && local->token != NULL ? token_key_child_init(local->token, pchild)
                                                     : rv;
}

/* See ca_provider_t.chain. */
static apr_status_t local_chain(void *instance, STACK_OF(X509) **pchain, const log_sink_t *log,
                                apr_pool_t *p)
{
    local_t *local = instance;

    (void)log;
    (void)p;
    *pchain = local->chain;
    return APR_SUCCESS;
}

/* See ca_provider_t.health. */
static apr_status_t local_health(void *instance, const char **text, apr_pool_t *p)
{
    const local_t *local = instance;
    char date[APR_RFC822_DATE_LEN];
    OSSL_LIB_CTX *libctx;
    EVP_PKEY *key;

    *text = "";
    if (apr_time_now() >= local->not_after) {
        apr_rfc822_date(date, local->not_after);
        *text = apr_psprintf(p, "the CA certificate expired on %s", date);
        return APR_EGENERAL;
    }
    if (local->token != NULL) {
        key = token_key_get(local->token, &libctx, text, NULL, p);
        if (key == NULL) {
            return APR_EGENERAL;
        }
        token_key_done(local->token, 1);
        *text = "";
    }
    return APR_SUCCESS;
}

/* See ca_provider_t.limit: a token may hang. */
static int local_limit(const void *instance)
{
    const local_t *local = instance;

    return local->concurrency;
}

/* See ca_provider_t.get0_identity. */
static apr_status_t local_get0_identity(void *instance, X509 **pcert, EVP_PKEY **pkey)
{
    local_t *local = instance;

    /* a CA's key in a token signs certificates, it does not open requests */
    *pcert = local->token == NULL ? local->cert : NULL;
    *pkey = local->key;
    return local->token == NULL ? APR_SUCCESS : APR_ENOTIMPL;
}

const ca_provider_t ca_local_provider = {
    .name = "local",
    .keys = local_keys,
    .capabilities = CA_CAP_SERIAL | CA_CAP_SUBJECT | CA_CAP_SID | CA_CAP_LEDGER,
    .create = local_create,
    .limit = local_limit,
    .prepare = local_prepare,
    .child_init = local_child_init,
    .submit = local_submit,
    .chain = local_chain,
    .health = local_health,
    .revoke = local_revoke,
    .crl = local_crl,
    .get0_identity = local_get0_identity,
};
