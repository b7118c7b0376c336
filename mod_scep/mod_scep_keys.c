/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The certificates and keys of a service: loaded as root while the configuration is checked, and
 * held against what SCEP clients need, so that a mistake shows in "httpd -t" and not as a device
 * that silently gives up.
 */
#include "mod_scep_lint.h"
#include <apr_strings.h>
#include <openssl/x509v3.h>

int scep_days_left(const X509 *cert)
{
    apr_time_t left = crypt_asn1_time(X509_get0_notAfter(cert)) - apr_time_now();

    return (int)(left / apr_time_from_sec(86400)) - (left < 0 ? 1 : 0);
}

void scep_check_chain(scep_check_t *check, scep_service_conf_t *service)
{
    STACK_OF(X509) *chain = NULL;
    const char *where = service->effective.ca_chain ? "ScepCAChain" : "ScepCABackend";
    X509 *identity = NULL;
    EVP_PKEY *key = NULL;

    if (ca_chain_is_fetched(service->core.ca)) {
        return; /* the children ask for it */
    }
    if (ca_chain(service->core.ca, &chain, NULL, check->ptemp) != APR_SUCCESS ||
        sk_X509_num(chain) < 1) {
        scep_check_error(check, service, where, "the CA's certificates are not known%s",
                         service->effective.ca_chain ? "" : "; name them with ScepCAChain");
        return;
    }
    scep_lint_chain(check, service, where, chain);
    if (service->effective.ca_chain &&
        ca_get0_identity(service->core.ca, &identity, &key) == APR_SUCCESS &&
        X509_cmp(identity, sk_X509_value(chain, 0)) != 0) {
        scep_check_error(check, service, where,
                         "the chain does not begin with the CA that signs, %s",
                         crypt_name_text(X509_get_subject_name(identity), check->ptemp));
    }
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

/* No RA certificates: the CA answers for itself. */
static void use_identity(scep_check_t *check, scep_service_conf_t *service)
{
    apr_array_header_t *pairs = apr_array_make(check->pconf, 1, sizeof(scep_ra_key_t));
    scep_ra_key_t pair = {NULL, NULL};

    if (ca_get0_identity(service->core.ca, &pair.cert, &pair.key) != APR_SUCCESS) {
        scep_check_error(check, service, SCEP_RA_SIGNING,
                         "missing: the CA cannot answer devices by itself; " SCEP_RA_SIGNING
                         " and " SCEP_RA_ENCRYPTION " are needed");
        return;
    }
    if (EVP_PKEY_get_base_id(pair.key) != EVP_PKEY_RSA) {
        scep_check_error(check, service, SCEP_RA_SIGNING,
                         "missing: the CA's key is %s, and devices cannot encrypt to it; "
                         SCEP_RA_SIGNING " and " SCEP_RA_ENCRYPTION " with RSA keys are needed",
                         crypt_key_name(pair.key, check->ptemp));
        return;
    }
    scep_lint_identity(check, service, &pair);
    APR_ARRAY_PUSH(pairs, scep_ra_key_t) = pair;
    service->core.signers = pairs;
    service->core.decrypters = pairs;
    service->core.has_ra = 0;
}

/* The generations that a directive names, the current one first; fewer when one is bad. */
static apr_array_header_t *load_pairs(scep_check_t *check, scep_service_conf_t *service,
                                      const char *directive, const apr_array_header_t *files,
                                      unsigned usage)
{
    apr_array_header_t *pairs = apr_array_make(check->pconf, 2, sizeof(scep_ra_key_t));
    scep_ra_key_t pair;
    int i;

    for (i = 0; i < files->nelts; i++) {
        const scep_keyfile_t *file = &APR_ARRAY_IDX(files, i, scep_keyfile_t);

        memset(&pair, 0, sizeof(pair));
        check->entry = i;
        if (load_pair(check, service, directive, file, &pair)) {
            scep_lint_ra(check, service, directive, file->cert, &pair, usage, i);
            APR_ARRAY_PUSH(pairs, scep_ra_key_t) = pair;
        }
    }
    check->entry = 0;
    return pairs;
}

/* The signing certificates for both roles; an error where they are for signing only. */
static void use_signers(scep_check_t *check, scep_service_conf_t *service)
{
    const apr_array_header_t *files = service->effective.ra_signing;
    int i;

    for (i = 0; i < service->core.signers->nelts; i++) {
        const scep_ra_key_t *pair = &APR_ARRAY_IDX(service->core.signers, i, scep_ra_key_t);
        const char *file = APR_ARRAY_IDX(files, i, scep_keyfile_t).cert;

        check->entry = i;
        if (!(X509_get_key_usage(pair->cert) & KU_KEY_ENCIPHERMENT)) {
            scep_check_error(check, service, SCEP_RA_ENCRYPTION,
                             "missing: the certificate in %s is for signing only", file);
        }
        else if (EVP_PKEY_get_base_id(pair->key) != EVP_PKEY_RSA) {
            scep_check_error(check, service, SCEP_RA_ENCRYPTION,
                             "missing: the key in %s is %s, and devices cannot encrypt to it",
                             file, crypt_key_name(pair->key, check->ptemp));
        }
    }
    check->entry = 0;
    service->core.decrypters = service->core.signers;
}

void scep_check_keys(scep_check_t *check, scep_service_conf_t *service)
{
    const scep_props_t *e = &service->effective;
    int before = check->errors;

    if (!e->ra_signing && !e->ra_encryption) {
        use_identity(check, service);
        return;
    }
    service->core.has_ra = 1;
    if (!e->ra_signing) {
        scep_check_error(check, service, SCEP_RA_SIGNING,
                         "missing: it is needed besides " SCEP_RA_ENCRYPTION);
        return;
    }
    service->core.signers =
        load_pairs(check, service, SCEP_RA_SIGNING, e->ra_signing, KU_DIGITAL_SIGNATURE);
    if (e->ra_encryption) {
        service->core.decrypters =
            load_pairs(check, service, SCEP_RA_ENCRYPTION, e->ra_encryption, KU_KEY_ENCIPHERMENT);
    }
    else if (check->errors == before) {
        use_signers(check, service);
    }
    if (check->errors == before) {
        scep_lint_ras(check, service);
    }
}

/* The RA certificates under the next CA, behind its chain. */
static void load_next_ras(scep_check_t *check, scep_service_conf_t *service,
                          STACK_OF(X509) * chain)
{
    const apr_array_header_t *files = service->effective.next_ra_certificates;
    STACK_OF(X509) *certs;
    const char *err;
    int i;

    for (i = 0; files && i < files->nelts; i++) {
        const char *file = APR_ARRAY_IDX(files, i, const char *);

        check->entry = i;
        certs = NULL;
        err = crypt_load_certificates(&certs, file, check->pconf);
        if (err) {
            scep_check_error(check, service, SCEP_NEXT_RA, "%s", err);
            continue;
        }
        scep_lint_next_ra(check, service, file, sk_X509_value(certs, 0), chain);
        X509_add_cert(service->core.next_certs, sk_X509_value(certs, 0), X509_ADD_FLAG_UP_REF);
    }
    check->entry = 0;
}

void scep_check_next_ca(scep_check_t *check, scep_service_conf_t *service)
{
    const scep_props_t *e = &service->effective;
    STACK_OF(X509) *chain = NULL;
    const char *err;

    if (!e->next_ca_chain) {
        if (e->next_ra_certificates) {
            scep_check_error(check, service, SCEP_NEXT_RA,
                             "is of no use without " SCEP_NEXT_CA_CHAIN);
        }
        return;
    }
    err = crypt_load_certificates(&chain, e->next_ca_chain, check->pconf);
    if (err) {
        scep_check_error(check, service, SCEP_NEXT_CA_CHAIN, "%s", err);
        return;
    }
    scep_lint_next_chain(check, service, chain);
    service->core.next_certs = X509_chain_up_ref(chain);
    if (!service->core.next_certs) {
        scep_check_error(check, service, SCEP_NEXT_CA_CHAIN, "out of memory");
        return;
    }
    crypt_chain_own(service->core.next_certs, check->pconf);
    load_next_ras(check, service, chain);
}
