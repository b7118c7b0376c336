/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The certificates and keys of a service: loaded as root while the configuration is checked, and
 * held against what SCEP clients need, so that a mistake shows in "httpd -t" and not as a device
 * that silently gives up.
 */
#include "mod_scep_check.h"
#include <apr_strings.h>
#include <openssl/x509v3.h>

#define SIGNING "ScepRASigningCertificate"
#define ENCRYPTION "ScepRAEncryptionCertificate"
#define MINIMUM_RSA_BITS 2048

int scep_days_left(const X509 *cert)
{
    apr_time_t left = crypt_asn1_time(X509_get0_notAfter(cert)) - apr_time_now();

    return (int)(left / apr_time_from_sec(86400)) - (left < 0 ? 1 : 0);
}

/* "expired since ..." or "not valid before ...", NULL when the certificate is good today. */
static const char *out_of_time(const X509 *cert, apr_pool_t *p)
{
    char date[APR_RFC822_DATE_LEN];
    apr_time_t now = apr_time_now();
    apr_time_t before = crypt_asn1_time(X509_get0_notBefore(cert));
    apr_time_t after = crypt_asn1_time(X509_get0_notAfter(cert));

    if (now >= after) {
        apr_rfc822_date(date, after);
        return apr_psprintf(p, "expired on %s", date);
    }
    if (now < before) {
        apr_rfc822_date(date, before);
        return apr_psprintf(p, "is not valid before %s", date);
    }
    return NULL;
}

void scep_check_chain(scep_check_t *check, scep_service_conf_t *service)
{
    STACK_OF(X509) *chain = NULL;
    const char *where = service->effective.ca_chain ? "ScepCAChain" : "ScepCABackend";
    const char *late;
    X509 *cert, *identity = NULL;
    EVP_PKEY *key = NULL;
    int i, n;

    if (ca_chain(service->core.ca, &chain, NULL, check->ptemp) != APR_SUCCESS ||
        sk_X509_num(chain) < 1) {
        scep_check_error(check, service, where, "the CA's certificates are not known%s",
                         service->effective.ca_chain ? "" : "; name them with ScepCAChain");
        return;
    }
    n = sk_X509_num(chain);
    for (i = 0; i < n; i++) {
        cert = sk_X509_value(chain, i);
        X509_check_purpose(cert, -1, 0); /* caches the extensions before threads share it */
        late = out_of_time(cert, check->ptemp);
        if (late) {
            scep_check_error(check, service, where, "the certificate of %s %s",
                             crypt_name_text(X509_get_subject_name(cert), check->ptemp), late);
        }
        if (i + 1 < n && X509_check_issued(sk_X509_value(chain, i + 1), cert) != X509_V_OK) {
            scep_check_error(
                check, service, where,
                "the chain is not in order: %s is not issued by the next certificate, %s",
                crypt_name_text(X509_get_subject_name(cert), check->ptemp),
                crypt_name_text(X509_get_subject_name(sk_X509_value(chain, i + 1)), check->ptemp));
        }
    }
    if (X509_self_signed(sk_X509_value(chain, n - 1), 0) != 1) {
        scep_check_warning(
            check, service, where,
            "the chain does not end in a self-signed root; many clients need it "
            "(missing: %s)",
            crypt_name_text(X509_get_issuer_name(sk_X509_value(chain, n - 1)), check->ptemp));
    }
    if (service->effective.ca_chain &&
        ca_get0_identity(service->core.ca, &identity, &key) == APR_SUCCESS &&
        X509_cmp(identity, sk_X509_value(chain, 0)) != 0) {
        scep_check_error(check, service, where,
                         "the chain does not begin with the CA that signs, %s",
                         crypt_name_text(X509_get_subject_name(identity), check->ptemp));
    }
}

/* Whether the certificate leads to the CA's chain, whatever the time is. */
static int leads_to_chain(scep_check_t *check, scep_service_conf_t *service, X509 *cert)
{
    STACK_OF(X509) *chain = NULL;
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    int i, ok = 0;

    if (!store || !ctx || ca_chain(service->core.ca, &chain, NULL, check->ptemp) != APR_SUCCESS) {
        goto leave;
    }
    for (i = 0; i < sk_X509_num(chain); i++) {
        X509_STORE_add_cert(store, sk_X509_value(chain, i));
    }
    X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_NO_CHECK_TIME);
    ok = X509_STORE_CTX_init(ctx, store, cert, NULL) == 1 && X509_verify_cert(ctx) == 1;
leave:
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    return ok;
}

/* Loads one pair.  1 when it is complete and matches. */
static int load_pair(scep_check_t *check, scep_service_conf_t *service, const char *directive,
                     const scep_keyfile_t *files, scep_ra_key_t *pair)
{
    STACK_OF(X509) *certs = NULL;
    const char *err = crypt_load_certificates(&certs, files->cert, check->pconf);

    if (!err) {
        pair->cert = sk_X509_value(certs, 0);
        err = crypt_load_key(&pair->key, files->key, check->pconf);
    }
    if (err) {
        scep_check_error(check, service, directive, "%s", err);
        return 0;
    }
    if (X509_check_private_key(pair->cert, pair->key) != 1) {
        scep_check_error(check, service, directive,
                         "the key in %s does not belong to the "
                         "certificate in %s",
                         files->key, files->cert);
        return 0;
    }
    X509_check_purpose(pair->cert, -1, 0);
    return 1;
}

/* Holds an RA certificate against what its use needs; old ones may be over. */
static void check_pair(scep_check_t *check, scep_service_conf_t *service, const char *directive,
                       const char *file, const scep_ra_key_t *pair, unsigned usage, int old)
{
    const char *late = out_of_time(pair->cert, check->ptemp);
    const char *bit = usage == KU_DIGITAL_SIGNATURE ? "digitalSignature" : "keyEncipherment";
    unsigned has = X509_get_key_usage(pair->cert);
    int rsa = EVP_PKEY_get_base_id(pair->key) == EVP_PKEY_RSA;

    if (late && !old) {
        scep_check_error(check, service, directive, "the certificate in %s %s", file, late);
    }
    if (has == UINT32_MAX) {
        scep_check_warning(check, service, directive,
                           "the certificate in %s has no key usage; "
                           "clients look for %s",
                           file, bit);
    }
    else if (!(has & usage)) {
        scep_check_error(check, service, directive, "the certificate in %s lacks the key usage %s",
                         file, bit);
    }
    if (usage == KU_KEY_ENCIPHERMENT && !rsa) {
        scep_check_error(check, service, directive,
                         "the key in %s is %s; devices can encrypt to RSA "
                         "only",
                         file, crypt_key_name(pair->key, check->ptemp));
    }
    else if (rsa && EVP_PKEY_get_bits(pair->key) < MINIMUM_RSA_BITS) {
        scep_check_error(check, service, directive, "the key in %s is %s; %d bits are needed", file,
                         crypt_key_name(pair->key, check->ptemp), MINIMUM_RSA_BITS);
    }
    else if (!rsa && EVP_PKEY_get_base_id(pair->key) != EVP_PKEY_EC) {
        scep_check_error(check, service, directive, "the key in %s is %s; RSA is needed", file,
                         crypt_key_name(pair->key, check->ptemp));
    }
    else if (!rsa) {
        scep_check_warning(check, service, directive,
                           "the key in %s is %s; many clients verify RSA "
                           "signatures only",
                           file, crypt_key_name(pair->key, check->ptemp));
    }
    if (X509_check_ca(pair->cert) == 1) {
        scep_check_error(check, service, directive, "the certificate in %s is a CA's, not an RA's",
                         file);
    }
    if (!old && !leads_to_chain(check, service, pair->cert)) {
        scep_check_error(check, service, directive,
                         "the certificate in %s was not issued by this "
                         "service's CA (issuer: %s); clients refuse it then",
                         file, crypt_name_text(X509_get_issuer_name(pair->cert), check->ptemp));
    }
}

/* No RA certificates: the CA answers for itself. */
static void use_identity(scep_check_t *check, scep_service_conf_t *service)
{
    apr_array_header_t *pairs = apr_array_make(check->pconf, 1, sizeof(scep_ra_key_t));
    scep_ra_key_t pair = {NULL, NULL};
    unsigned usage;

    if (ca_get0_identity(service->core.ca, &pair.cert, &pair.key) != APR_SUCCESS) {
        scep_check_error(check, service, SIGNING,
                         "missing: the CA cannot answer devices by itself; " SIGNING
                         " and " ENCRYPTION " are needed");
        return;
    }
    if (EVP_PKEY_get_base_id(pair.key) != EVP_PKEY_RSA) {
        scep_check_error(check, service, SIGNING,
                         "missing: the CA's key is %s, and devices can "
                         "encrypt to RSA only; " SIGNING " and " ENCRYPTION
                         " with RSA keys are needed",
                         crypt_key_name(pair.key, check->ptemp));
        return;
    }
    usage = X509_get_key_usage(pair.cert);
    if ((usage & (KU_DIGITAL_SIGNATURE | KU_KEY_ENCIPHERMENT)) !=
        (KU_DIGITAL_SIGNATURE | KU_KEY_ENCIPHERMENT)) {
        scep_check_warning(check, service, "ScepCABackend",
                           "the CA answers devices by itself, but its "
                           "certificate lacks the key usages digitalSignature and keyEncipherment; "
                           "some clients refuse that (or use " SIGNING " and " ENCRYPTION ")");
    }
    APR_ARRAY_PUSH(pairs, scep_ra_key_t) = pair;
    service->core.signers = pairs;
    service->core.decrypters = pairs;
    service->core.has_ra = 0;
}

/* The older and the current decryption keys. */
static void load_decrypters(scep_check_t *check, scep_service_conf_t *service)
{
    const apr_array_header_t *files = service->effective.ra_encryption;
    apr_array_header_t *decrypters = apr_array_make(check->pconf, 2, sizeof(scep_ra_key_t));
    scep_ra_key_t pair;
    int i;

    for (i = 0; i < files->nelts; i++) {
        const scep_keyfile_t *file = &APR_ARRAY_IDX(files, i, scep_keyfile_t);

        memset(&pair, 0, sizeof(pair));
        if (load_pair(check, service, ENCRYPTION, file, &pair)) {
            check_pair(check, service, ENCRYPTION, file->cert, &pair, KU_KEY_ENCIPHERMENT, i > 0);
            APR_ARRAY_PUSH(decrypters, scep_ra_key_t) = pair;
        }
    }
    service->core.decrypters = decrypters;
}

void scep_check_keys(scep_check_t *check, scep_service_conf_t *service)
{
    const apr_array_header_t *files = service->effective.ra_signing;
    const scep_keyfile_t *signing = files ? &APR_ARRAY_IDX(files, 0, scep_keyfile_t) : NULL;
    apr_array_header_t *one = apr_array_make(check->pconf, 1, sizeof(scep_ra_key_t));
    scep_ra_key_t *pair = apr_array_push(one);

    if (!signing && !service->effective.ra_encryption) {
        use_identity(check, service);
        return;
    }
    service->core.has_ra = 1;
    if (!signing) {
        scep_check_error(check, service, SIGNING, "missing: it is needed besides " ENCRYPTION);
        return;
    }
    memset(pair, 0, sizeof(*pair));
    if (!load_pair(check, service, SIGNING, signing, pair)) {
        return;
    }
    service->core.signers = one;
    check_pair(check, service, SIGNING, signing->cert, pair, KU_DIGITAL_SIGNATURE, 0);
    if (service->effective.ra_encryption) {
        load_decrypters(check, service);
        return;
    }
    if (X509_get_key_usage(pair->cert) & KU_KEY_ENCIPHERMENT) {
        service->core.decrypters = one;
        check_pair(check, service, SIGNING, signing->cert, pair, KU_KEY_ENCIPHERMENT, 0);
        return;
    }
    scep_check_error(check, service, ENCRYPTION,
                     "missing: the certificate in %s is for signing only", signing->cert);
}
