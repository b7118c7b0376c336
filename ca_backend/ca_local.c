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

#define MIN_CA_RSA_BITS 2048
#define MIN_CA_EC_BITS 256

typedef struct local_template_t {
    const ca_template_t *template;
    STACK_OF(X509_EXTENSION) *rsa;      /* constant extensions for an RSA key */
    STACK_OF(X509_EXTENSION) *ec;       /* the same for EC: no encipherment (RFC 8813 section 3) */
} local_template_t;

static const settings_key_t local_keys[] = {
    {"certificate", "FILE", 1},
    {"key", "FILE", 1},
    {"digest", "sha256|sha384|sha512", 0},
    {"crlLifetime", "TIME|off", 0},
    {"crlDistributionPoint", "URL", 0},
    {NULL, NULL, 0}
};

/* Pool cleanup of a list of extensions; returns APR_SUCCESS. */
static apr_status_t extensions_cleanup(void *data)
{
    sk_X509_EXTENSION_pop_free(data, X509_EXTENSION_free);
    return APR_SUCCESS;
}

/* Pushes ext to list, which owns it then; 0 if ext is NULL or there is no memory. */
static int push(STACK_OF(X509_EXTENSION) *list, X509_EXTENSION *ext)
{
    if (ext == NULL || !sk_X509_EXTENSION_push(list, ext)) {
        X509_EXTENSION_free(ext);
        return 0;
    }
    return 1;
}

/* The keyUsage extension for bits; NULL if that fails. */
static X509_EXTENSION *make_key_usage(unsigned bits)
{
    ASN1_BIT_STRING *usage = ASN1_BIT_STRING_new();
    X509_EXTENSION *ext = NULL;
    int i, ok = usage != NULL;

    /* KU_* are the first two bytes of the bit string: bit 0 is 0x80, bit 8 is 0x8000 */
    for (i = 0; ok && i < 9; i++) {
        unsigned mask = i < 8 ? 0x80u >> i : KU_DECIPHER_ONLY;

        ok = (bits & mask) == 0 || ASN1_BIT_STRING_set_bit(usage, i, 1);
    }
    if (ok) {
        ext = X509V3_EXT_i2d(NID_key_usage, 1, usage);
    }
    ASN1_BIT_STRING_free(usage);
    return ext;
}

/* The CA's key identifier: its subjectKeyIdentifier, else SHA-1 of its key (RFC 5280 section
 * 4.2.1.1).  NULL if that fails. */
X509_EXTENSION *local_authority_key_id(X509 *ca)
{
    AUTHORITY_KEYID *akid = AUTHORITY_KEYID_new();
    const ASN1_OCTET_STRING *skid = X509_get0_subject_key_id(ca);
    const ASN1_BIT_STRING *bits = X509_get0_pubkey_bitstr(ca);
    X509_EXTENSION *ext = NULL;
    unsigned char digest[SHA_DIGEST_LENGTH];
    int ok = akid != NULL;

    if (ok && skid != NULL) {
        akid->keyid = ASN1_OCTET_STRING_dup(skid);
        ok = akid->keyid != NULL;
    }
    else if (ok) {
        akid->keyid = ASN1_OCTET_STRING_new();
        ok = akid->keyid != NULL && EVP_Digest(bits->data, (size_t)bits->length, digest, NULL,
                                               EVP_sha1(), NULL) &&
             ASN1_OCTET_STRING_set(akid->keyid, digest, sizeof(digest));
    }
    if (ok) {
        ext = X509V3_EXT_i2d(NID_authority_key_identifier, 0, akid);
    }
    AUTHORITY_KEYID_free(akid);
    return ext;
}

/* A GeneralName with a URL; NULL if that fails. */
static GENERAL_NAME *make_url(const char *url)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_IA5STRING *text = ASN1_IA5STRING_new();

    if (name == NULL || text == NULL || !ASN1_STRING_set(text, url, (int)strlen(url))) {
        GENERAL_NAME_free(name);
        ASN1_IA5STRING_free(text);
        return NULL;
    }
    GENERAL_NAME_set0_value(name, GEN_URI, text);
    return name;
}

/* The cRLDistributionPoints extension; NULL if that fails. */
static X509_EXTENSION *make_crl_points(const char *url)
{
    CRL_DIST_POINTS *points = CRL_DIST_POINTS_new();
    DIST_POINT *point = DIST_POINT_new();
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    GENERAL_NAME *name = make_url(url);
    X509_EXTENSION *ext = NULL;

    if (points == NULL || point == NULL || names == NULL || name == NULL ||
        (point->distpoint = DIST_POINT_NAME_new()) == NULL ||
        !sk_GENERAL_NAME_push(names, name)) {
        goto leave;
    }
    name = NULL;
    point->distpoint->type = 0;
    point->distpoint->name.fullname = names;
    names = NULL;
    if (!sk_DIST_POINT_push(points, point)) {
        goto leave;
    }
    point = NULL;
    ext = X509V3_EXT_i2d(NID_crl_distribution_points, 0, points);

leave:
    GENERAL_NAME_free(name);
    GENERAL_NAMES_free(names);
    DIST_POINT_free(point);
    CRL_DIST_POINTS_free(points);
    return ext;
}

/* Adds one access method with its URL to info; 0 if that fails. */
static int add_access(AUTHORITY_INFO_ACCESS *info, int method, const char *url)
{
    ACCESS_DESCRIPTION *access = ACCESS_DESCRIPTION_new();

    if (access == NULL) {
        return 0;
    }
    ASN1_OBJECT_free(access->method);
    GENERAL_NAME_free(access->location);
    access->method = OBJ_nid2obj(method);
    access->location = make_url(url);
    if (access->location == NULL || !sk_ACCESS_DESCRIPTION_push(info, access)) {
        ACCESS_DESCRIPTION_free(access);
        return 0;
    }
    return 1;
}

/* The authorityInfoAccess extension; NULL if that fails. */
static X509_EXTENSION *make_info_access(const ca_template_t *t)
{
    AUTHORITY_INFO_ACCESS *info = AUTHORITY_INFO_ACCESS_new();
    X509_EXTENSION *ext = NULL;

    if (info != NULL && (t->ocsp_url == NULL || add_access(info, NID_ad_OCSP, t->ocsp_url)) &&
        (t->aia_url == NULL || add_access(info, NID_ad_ca_issuers, t->aia_url))) {
        ext = X509V3_EXT_i2d(NID_info_access, 0, info);
    }
    AUTHORITY_INFO_ACCESS_free(info);
    return ext;
}

/* What all certificates of a template have in common, owned by p; NULL if that fails. */
static STACK_OF(X509_EXTENSION) *make_constant(const local_t *local, const ca_template_t *t,
                                               unsigned key_usage, apr_pool_t *p)
{
    STACK_OF(X509_EXTENSION) *list = sk_X509_EXTENSION_new_null();
    char *eku = apr_pstrdup(p, t->extended_key_usage_text);
    const char *crl_url = t->crl_url != NULL ? t->crl_url : local->crl_url;

    if (list == NULL) {
        return NULL;
    }
    apr_pool_cleanup_register(p, list, extensions_cleanup, apr_pool_cleanup_null);
    if (!push(list, X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:FALSE")) ||
        !push(list, make_key_usage(key_usage)) ||
        (*eku != '\0' && !push(list, X509V3_EXT_conf_nid(NULL, NULL, NID_ext_key_usage, eku))) ||
        !push(list, local_authority_key_id(local->cert)) ||
        (crl_url != NULL && !push(list, make_crl_points(crl_url))) ||
        ((t->ocsp_url != NULL || t->aia_url != NULL) && !push(list, make_info_access(t)))) {
        return NULL;
    }
    return list;
}

/* Builds the constant extensions of one template; error text, NULL on success. */
static const char *add_template(local_t *local, const ca_template_t *t, apr_pool_t *p)
{
    local_template_t *made = apr_array_push(local->templates);
    unsigned ec_usage = t->key_usage & ~(unsigned)(KU_KEY_ENCIPHERMENT | KU_DATA_ENCIPHERMENT);

    made->template = t;
    made->rsa = make_constant(local, t, t->key_usage, p);
    made->ec = make_constant(local, t, ec_usage != 0 ? ec_usage : t->key_usage, p);
    if (made->rsa == NULL || made->ec == NULL) {
        ERR_clear_error();
        return apr_psprintf(p, "the extensions of template %s cannot be built", t->name);
    }
    return NULL;
}

/* Moves the certificate that belongs to the key to the front; error text, NULL on success. */
static const char *match_key(local_t *local, const char *cert_file, const char *key_file,
                             apr_pool_t *p)
{
    int i, n = sk_X509_num(local->chain);

    for (i = 0; i < n; i++) {
        X509 *cert = sk_X509_value(local->chain, i);

        if (X509_check_private_key(cert, local->key)) {
            local->cert = cert;
            if (i > 0) {
                (void)sk_X509_delete(local->chain, i);
                if (!sk_X509_unshift(local->chain, cert)) {
                    X509_free(cert);
                    return "no memory";
                }
            }
            ERR_clear_error();
            return NULL;
        }
    }
    ERR_clear_error();
    return apr_psprintf(p, "key=%s does not belong to the certificate in %s", key_file, cert_file);
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

/* Whether the CA's key is one that may sign; error text, NULL if it is. */
static const char *check_ca_key(const local_t *local, const char *file, apr_pool_t *p)
{
    int is_rsa = EVP_PKEY_is_a(local->key, "RSA"), is_ec = EVP_PKEY_is_a(local->key, "EC");
    int bits = EVP_PKEY_get_bits(local->key);

    if (!is_rsa && !is_ec) {
        return apr_psprintf(p, "key=%s is %s; RSA or EC is needed", file,
                            crypt_key_name(local->key, p));
    }
    if (bits < (is_rsa ? MIN_CA_RSA_BITS : MIN_CA_EC_BITS)) {
        return apr_psprintf(p, "key=%s is too short: %s, at least %s is needed", file,
                            crypt_key_name(local->key, p), is_rsa ? "RSA-2048" : "EC P-256");
    }
    return NULL;
}

/* Sets local->digest: as configured, else what fits the key; error text, NULL on success. */
static const char *set_digest(local_t *local, const char *name, apr_pool_t *p)
{
    int bits = EVP_PKEY_is_a(local->key, "EC") ? EVP_PKEY_get_bits(local->key) : 256;

    if (name == NULL) {
        name = bits > 384 ? "sha512" : bits > 256 ? "sha384" : "sha256";
    }
    if (strcasecmp(name, "sha256") == 0) {
        local->digest = EVP_sha256();
    }
    else if (strcasecmp(name, "sha384") == 0) {
        local->digest = EVP_sha384();
    }
    else if (strcasecmp(name, "sha512") == 0) {
        local->digest = EVP_sha512();
    }
    else {
        return apr_psprintf(p, "digest=%.64s must be sha256, sha384 or sha512", name);
    }
    return NULL;
}

/* See ca_provider_t.create. */
static const char *local_create(void **pinstance, const settings_t *settings,
                                const ca_config_t *cfg, apr_pool_t *p)
{
    local_t *local = apr_pcalloc(p, sizeof(*local));
    const char *cert_file = settings_get(settings, "certificate", "");
    const char *key_file = settings_get(settings, "key", "");
    const char *err;
    int i, n = cfg->templates != NULL ? cfg->templates->nelts : 0;

    *pinstance = NULL;
    if ((err = crypt_load_certificates(&local->chain, cert_file, p)) != NULL ||
        (err = crypt_load_key(&local->key, key_file, p)) != NULL ||
        (err = match_key(local, cert_file, key_file, p)) != NULL) {
        return err;
    }
    local->not_before = crypt_asn1_time(X509_get0_notBefore(local->cert));
    local->not_after = crypt_asn1_time(X509_get0_notAfter(local->cert));
    local->skew = cfg->not_before_skew > 0 ? cfg->not_before_skew : 0;
    local->templates = apr_array_make(p, n + 1, sizeof(local_template_t));
    if ((err = check_ca(local, cert_file, p)) != NULL ||
        (err = check_ca_key(local, key_file, p)) != NULL ||
        (err = set_digest(local, settings_get(settings, "digest", NULL), p)) != NULL ||
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

/* The signed certificate, owned by p; NULL if OpenSSL fails. */
static X509 *build(const local_t *local, const local_template_t *made, const ca_request_t *request,
                   apr_time_t not_after, apr_pool_t *p)
{
    const csr_t *csr = request->csr;
    time_t from = (time_t)apr_time_sec(grant_not_before(request->grant));
    X509 *cert = crypt_x509_own(X509_new(), p);

    ERR_clear_error();
    if (cert == NULL || !X509_set_version(cert, X509_VERSION_3) ||
        !set_serial(cert, grant_serial(request->grant)) ||
        !X509_set_issuer_name(cert, X509_get_subject_name(local->cert)) ||
        !ASN1_TIME_set(X509_getm_notBefore(cert), from) ||
        !ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)apr_time_sec(not_after)) ||
        (made->template->subject == CA_FROM_CSR &&
         !X509_set_subject_name(cert, request->subject)) ||
        !copy_key(cert, csr) || !add_extensions(cert, made, request) ||
        X509_sign(cert, local->key, local->digest) <= 0) {
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
    answer->leaf = build(local, made, request, not_after, p);
    if (answer->leaf == NULL) {
        log_openssl_errors(log, LOG_SINK_ERR, SCEPTAG(0310), "local CA cannot sign");
        outcome_unavailable(&answer->outcome, "ca-sign", 0, p, "the local CA cannot sign");
        return APR_SUCCESS;
    }
    answer->result = CA_ISSUED;
    return APR_SUCCESS;
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

    if (apr_time_now() < local->not_after) {
        *text = "";
        return APR_SUCCESS;
    }
    apr_rfc822_date(date, local->not_after);
    *text = apr_psprintf(p, "the CA certificate expired on %s", date);
    return APR_EGENERAL;
}

/* See ca_provider_t.get0_identity. */
static apr_status_t local_get0_identity(void *instance, X509 **pcert, EVP_PKEY **pkey)
{
    local_t *local = instance;

    *pcert = local->cert;
    *pkey = local->key;
    return APR_SUCCESS;
}

const ca_provider_t ca_local_provider = {
    .name = "local",
    .keys = local_keys,
    .capabilities = CA_CAP_SERIAL | CA_CAP_SUBJECT | CA_CAP_SID | CA_CAP_LEDGER,
    .create = local_create,
    .child_init = local_crl_child_init,
    .submit = local_submit,
    .chain = local_chain,
    .health = local_health,
    .revoke = local_revoke,
    .crl = local_crl,
    .get0_identity = local_get0_identity,
};
