/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checks of a CA's answer.
 *
 * A certificate that the local backend has just built holds its key only as bytes: OpenSSL has not
 * decoded it, and to make it do so costs half a signature on OpenSSL 3.0.  So keys are compared
 * as SubjectPublicKeyInfo, and where the backend signs itself (CA_CAP_SERIAL) the signature is
 * verified by the issuer's key instead of X509_verify_cert(), which needs the leaf's key decoded.
 */
#include "ca_check.h"
#include "ca_sid.h"

#include <apr_strings.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

#define KEY_CERT_SIGN 5     /* bits of keyUsage, RFC 5280 section 4.2.1.3 */
#define CRL_SIGN 6
#define CLOCK_TOLERANCE apr_time_from_sec(300)
#define LONGEST_VALIDITY (APR_INT64_C(50) * 366 * 86400 * APR_USEC_PER_SEC)

/* Whether cert is for the CSR's key. */
static int has_key(const ca_check_t *check, X509 *cert, const csr_t *csr)
{
    unsigned char *der = NULL;
    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
    int equal = len > 0 && (apr_size_t)len == csr->spki_der.len &&
                memcmp(der, csr->spki_der.data, csr->spki_der.len) == 0;

    OPENSSL_free(der);
    if (!equal && !(check->capabilities & CA_CAP_SERIAL)) {
        /* a CA may write the same key differently (NULL parameter, compressed point) */
        EVP_PKEY *key = X509_get0_pubkey(cert);

        equal = key != NULL && EVP_PKEY_eq(key, csr->key) == 1;
        ERR_clear_error();
    }
    return equal;
}

/* The certificate for the CSR's key: leaf, else one of certs; NULL if there is none. */
static X509 *pick_leaf(const ca_check_t *check, const ca_answer_t *answer, const csr_t *csr)
{
    int i, n = answer->certs != NULL ? sk_X509_num(answer->certs) : 0;

    if (answer->leaf != NULL && has_key(check, answer->leaf, csr)) {
        return answer->leaf;
    }
    for (i = 0; i < n; i++) {
        X509 *cert = sk_X509_value(answer->certs, i);

        if (has_key(check, cert, csr)) {
            return cert;
        }
    }
    return NULL;
}

/* Whether a purpose is that of somebody who acts for a CA. */
static int is_agent(const ASN1_OBJECT *purpose)
{
    static const char *const agents[] = {"1.3.6.1.4.1.311.20.2.1" /* Certificate Request Agent */,
                                         "1.3.6.1.5.5.7.3.9" /* OCSPSigning */};
    char oid[80];
    size_t i;

    OBJ_obj2txt(oid, sizeof(oid), purpose, 1);
    for (i = 0; i < sizeof(agents) / sizeof(agents[0]); i++) {
        if (strcmp(oid, agents[i]) == 0) {
            return 1;
        }
    }
    return 0;
}

/* Whether Microsoft's application policies (1.3.6.1.4.1.311.21.10), which have the form of
 * certificatePolicies, name an agent; also if they cannot be read. */
static int has_agent_policy(X509 *cert)
{
    ASN1_OBJECT *oid = OBJ_txt2obj("1.3.6.1.4.1.311.21.10", 1);
    int i, found = oid == NULL, index = oid != NULL ? X509_get_ext_by_OBJ(cert, oid, -1) : -1;
    CERTIFICATEPOLICIES *policies = NULL;
    const ASN1_OCTET_STRING *value;
    const unsigned char *at;

    if (index >= 0) {
        value = X509_EXTENSION_get_data(X509_get_ext(cert, index));
        at = ASN1_STRING_get0_data(value);
        policies = d2i_CERTIFICATEPOLICIES(NULL, &at, ASN1_STRING_length(value));
        found = policies == NULL;
    }
    for (i = 0; !found && i < sk_POLICYINFO_num(policies); i++) {
        found = is_agent(sk_POLICYINFO_value(policies, i)->policyid);
    }
    CERTIFICATEPOLICIES_free(policies);
    ASN1_OBJECT_free(oid);
    return found;
}

/* Error text if cert is an agent's: whoever holds one could get certificates for others (a CSR may
 * ask for that, and a CA be careless); else NULL. */
static const char *check_purposes(X509 *cert)
{
    int critical, i, found;
    EXTENDED_KEY_USAGE *usage = X509_get_ext_d2i(cert, NID_ext_key_usage, &critical, NULL);

    found = (usage == NULL && critical != -1) || has_agent_policy(cert);
    for (i = 0; !found && i < sk_ASN1_OBJECT_num(usage); i++) {
        found = is_agent(sk_ASN1_OBJECT_value(usage, i));
    }
    EXTENDED_KEY_USAGE_free(usage);
    return found ? "the certificate is that of an enrollment agent or OCSP responder, or its "
                   "extendedKeyUsage cannot be read" : NULL;
}

/* Error text if cert could sign others, else NULL. */
static const char *check_not_ca(const ca_check_t *check, X509 *cert)
{
    const char *error = NULL;
    int critical, i;
    BASIC_CONSTRAINTS *basic = X509_get_ext_d2i(cert, NID_basic_constraints, &critical, NULL);
    ASN1_BIT_STRING *usage = NULL;

    if ((basic == NULL && critical != -1) || (basic != NULL && basic->ca)) {
        error = "the certificate is a CA's or its basicConstraints cannot be read";
        goto leave;
    }
    usage = X509_get_ext_d2i(cert, NID_key_usage, &critical, NULL);
    if ((usage == NULL && critical != -1) ||
        (usage != NULL && (ASN1_BIT_STRING_get_bit(usage, KEY_CERT_SIGN) ||
                           ASN1_BIT_STRING_get_bit(usage, CRL_SIGN)))) {
        error = "the certificate may sign certificates or its keyUsage cannot be read";
        goto leave;
    }
    if (!(check->capabilities & CA_CAP_SERIAL) && (error = check_purposes(cert)) != NULL) {
        goto leave;
    }
    /* not asked of our own signature, whose serial number is random: X509_cmp() is expensive */
    for (i = 0; !(check->capabilities & CA_CAP_SERIAL) && i < sk_X509_num(check->chain); i++) {
        if (X509_cmp(cert, sk_X509_value(check->chain, i)) == 0) {
            error = "the certificate is one of the CA's own";
        }
    }

leave:
    ASN1_BIT_STRING_free(usage);
    BASIC_CONSTRAINTS_free(basic);
    return error;
}

/* Error text if the validity is not sane, else NULL. */
static const char *check_validity(const X509 *cert, apr_time_t now)
{
    apr_time_t from = crypt_asn1_time(X509_get0_notBefore(cert));
    apr_time_t to = crypt_asn1_time(X509_get0_notAfter(cert));

    if (to <= now) {
        return "the certificate has expired";
    }
    if (from > now + CLOCK_TOLERANCE) {
        return "the certificate is not valid yet";
    }
    if (to - from > LONGEST_VALIDITY) {
        return "the certificate is valid for more than 50 years";
    }
    return NULL;
}

int ca_algorithm_is_allowed(const X509_ALGOR *algor)
{
    const ASN1_OBJECT *oid = NULL;

    switch (crypt_signature_digest(algor)) {
    case NID_sha224:
    case NID_sha256:
    case NID_sha384:
    case NID_sha512:
    case NID_sha3_256:
    case NID_sha3_384:
    case NID_sha3_512:
        return 1;
    case NID_undef:
        X509_ALGOR_get0(&oid, NULL, NULL, algor);
        return OBJ_obj2nid(oid) == NID_ED25519 || OBJ_obj2nid(oid) == NID_ED448;
    default:
        return 0;
    }
}

/* Error text if the signature uses a digest that must not vouch for a certificate, else NULL. */
static const char *check_algorithm(const X509 *cert)
{
    const X509_ALGOR *algor = NULL;

    X509_get0_signature(NULL, &algor, cert);
    return ca_algorithm_is_allowed(algor)
               ? NULL : "the certificate is signed with an algorithm that is not allowed";
}

/* Error text if serial number or notBefore are not the reserved ones, else NULL. */
static const char *check_reserved(const X509 *cert, const grant_t *grant, apr_pool_t *p)
{
    const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);
    const unsigned char *want = grant_serial(grant), *have = ASN1_STRING_get0_data(serial);
    int skip = 0, len = ASN1_STRING_length(serial);

    while (skip < 15 && want[skip] == 0) {
        skip++;
    }
    if (ASN1_STRING_type(serial) != V_ASN1_INTEGER || len != 16 - skip ||
        memcmp(have, want + skip, (size_t)len) != 0) {
        return apr_psprintf(p, "serial number %s is not the reserved %s",
                            crypt_serial_text(serial, p), crypt_hex(want, 16, 1, p));
    }
    if (apr_time_sec(crypt_asn1_time(X509_get0_notBefore(cert))) !=
        apr_time_sec(grant_not_before(grant))) {
        return "notBefore is not the reserved one";
    }
    return NULL;
}

/* Error text if the subject is not the one that was asked for, else NULL. */
static const char *check_subject(X509 *cert, const ca_request_t *request, apr_pool_t *p)
{
    X509_NAME *subject = X509_get_subject_name(cert);
    int equal;

    if (request->template->subject == CA_FROM_CSR) {
        equal = X509_NAME_cmp(subject, request->subject) == 0;
    }
    else {
        equal = X509_NAME_entry_count(subject) == 0;
    }
    return equal ? NULL : apr_psprintf(p, "subject '%s' is not the requested one",
                                       crypt_name_text(subject, p));
}

/* Error text if the certificate lacks the granted security identifier, or carries one that nobody
 * but the device asked for, else NULL. */
static const char *check_sid(X509 *cert, const ca_request_t *request)
{
    const STACK_OF(X509_EXTENSION) *extensions = X509_get0_extensions(cert);
    const char *sid = grant_sid(request->grant);

    if (sid != NULL) {
        return ca_sid_is(extensions, sid)
                   ? NULL : "the security identifier is not exactly the granted one";
    }
    return ca_sid_find(request->csr->extensions) != NULL && ca_sid_find(extensions) != NULL
               ? "it carries a security identifier that policy did not add" : NULL;
}

/* Verifies the signature of a backend that signs by a certificate of the chain; error text or
 * NULL.  The chain above that was verified at start. */
static const char *check_issuer(const ca_check_t *check, X509 *cert, apr_time_t now)
{
    int i;

    for (i = 0; i < sk_X509_num(check->chain); i++) {
        X509 *issuer = sk_X509_value(check->chain, i);

        if (X509_NAME_cmp(X509_get_issuer_name(cert), X509_get_subject_name(issuer)) == 0 &&
            X509_verify(cert, X509_get0_pubkey(issuer)) == 1) {
            return now < crypt_asn1_time(X509_get0_notAfter(issuer))
                       ? NULL : "the CA certificate has expired";
        }
    }
    return "the certificate's signature does not verify by the CA chain";
}

/* Whether cert, which may be NULL, is in chain. */
static int is_one_of(X509 *cert, STACK_OF(X509) *chain)
{
    int i;

    for (i = 0; cert != NULL && i < sk_X509_num(chain); i++) {
        if (X509_cmp(cert, sk_X509_value(chain, i)) == 0) {
            return 1;
        }
    }
    return 0;
}

/* Verifies cert up to the chain; error text in p, NULL on success. */
static const char *check_path(const ca_check_t *check, const ca_answer_t *answer, X509 *cert,
                              apr_time_t now, apr_pool_t *p)
{
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    apr_time_t from = crypt_asn1_time(X509_get0_notBefore(cert));
    const char *error = NULL;

    if (check->store == NULL || ctx == NULL ||
        !X509_STORE_CTX_init(ctx, check->store, cert, answer->certs)) {
        error = "the certificate cannot be verified: no memory";
        goto leave;
    }
    /* a CA whose clock is ahead by less than the tolerance */
    X509_STORE_CTX_set_time(ctx, 0, (time_t)apr_time_sec(from > now ? from : now));
    if (X509_check_ca(cert) != 0) {
        error = "the certificate is a CA's";
    }
    else if (X509_verify_cert(ctx) != 1) {
        error = apr_psprintf(p, "the certificate does not verify by the CA chain: %s",
                             X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx)));
    }
    else if (!is_one_of(sk_X509_value(X509_STORE_CTX_get0_chain(ctx), 1), check->chain)) {
        /* another CA below the same root, which could neither be renewed nor revoked here */
        error = "the certificate does not verify by the CA chain: its issuer is not in it";
    }

leave:
    X509_STORE_CTX_free(ctx);
    return error;
}

const char *ca_check_leaf(const ca_check_t *check, const ca_request_t *request,
                          ca_answer_t *answer, apr_pool_t *p)
{
    apr_time_t now = apr_time_now();
    X509 *leaf = pick_leaf(check, answer, request->csr);
    const char *error;

    if (leaf == NULL) {
        return "no certificate for the key of the CSR";
    }
    if ((error = check_not_ca(check, leaf)) != NULL ||
        (error = check_validity(leaf, now)) != NULL ||
        (error = check_algorithm(leaf)) != NULL) {
        return error;
    }
    if ((check->capabilities & CA_CAP_SERIAL) != 0) {
        error = check_reserved(leaf, request->grant, p);
    }
    if (error == NULL && ((check->capabilities & CA_CAP_REWRITES_SUBJECT) == 0 ||
                          grant_subject(request->grant) != NULL)) {
        error = check_subject(leaf, request, p);
    }
    if (error == NULL) {
        error = ca_check_san(check->capabilities, leaf, request);
    }
    if (error == NULL) {
        error = check_sid(leaf, request);
    }
    if (error == NULL) {
        error = (check->capabilities & CA_CAP_SERIAL) != 0
                    ? check_issuer(check, leaf, now) : check_path(check, answer, leaf, now, p);
    }
    if (error == NULL) {
        answer->leaf = leaf;
    }
    return error;
}
