/* SPDX-License-Identifier: Apache-2.0 */
/* The linter's part about certificates (see mod_scep_lint.h): one table of findings. */
#include "mod_scep_lint.h"
#include <apr_strings.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <unixd.h>

#define MINIMUM_RSA_BITS 2048
#define SCEP_LINT_GRACE apr_time_from_sec(APR_INT64_C(100) * 365 * 86400) /* any time */
#define REQUEST_AGENT "1.3.6.1.4.1.311.20.2.1"

typedef enum { SILENT, NOTICE, WARNING, FAILURE } severity_e;

typedef enum {
    EXPIRED,
    TOO_EARLY,
    ENDS_SOON,
    USAGE_MISSING,
    USAGE_WRONG,
    USAGE_BOTH,
    USAGE_SELF,
    KEY_NOT_RSA,
    KEY_UNKNOWN,
    KEY_SHORT,
    KEY_EC,
    IS_THE_CA,
    IS_A_CA,
    NOT_A_CA,
    NOT_ISSUED,
    ISSUER_BYTES,
    OUTLIVES_CA,
    WEAK_SIGNATURE,
    NO_REQUEST_AGENT,
    CRL_NOT_CHECKED,
    CRL_ENDED,
    CRL_UNREADABLE,
    REVOKED,
    NAMED_TWICE,
    UNPAIRED,
    CHAIN_ORDER,
    CHAIN_NO_ROOT,
    NEXT_IS_CURRENT,
    NEXT_ENDS_FIRST,
    NEXT_NOT_ISSUED
} finding_e;

/* Of the current generation and of the others; what it is, and what it breaks. */
static const struct {
    severity_e current, other;
    const char *what, *breaks;
} findings[] = {
    [EXPIRED] = {FAILURE, WARNING, "expired on", "devices do not take it any more"},
    [TOO_EARLY] = {FAILURE, SILENT, "is not valid before", "devices do not take it until then"},
    [ENDS_SOON] = {WARNING, SILENT, "ends soon, days left:",
                   "devices that fetched it do not enroll after that; see docs/ra-certificates.md"},
    [USAGE_MISSING] = {WARNING, WARNING, "has no key usage; clients look for",
                       "Apple devices and jscep tell the RA's certificates apart by it"},
    [USAGE_WRONG] = {FAILURE, FAILURE, "lacks the key usage",
                     "clients choose the RA's certificates by it (RFC 8894 section 2.1.2)"},
    [USAGE_BOTH] = {WARNING, SILENT, "has the key usages of both roles, beside another for",
                    "Apple devices and jscep may take it for both, and fail then"},
    [USAGE_SELF] = {WARNING, WARNING, "answers devices by itself without the key usage",
                    "some clients refuse that, Apple's among them"},
    [KEY_NOT_RSA] = {FAILURE, FAILURE, "has a key that no device can encrypt to:",
                     "RSA is needed, by all clients"},
    [KEY_UNKNOWN] = {FAILURE, FAILURE, "has a key of the kind", "RSA is needed, by all clients"},
    [KEY_SHORT] = {FAILURE, FAILURE, "has the key",
                   "2048 bits are needed; Apple devices and OpenSSL refuse less"},
    [KEY_EC] = {WARNING, SILENT, "has the key",
                "many clients verify RSA signatures only (Cisco IOS, sscep, Windows)"},
    [IS_THE_CA] = {FAILURE, FAILURE, "is the CA's own",
                   "without RA certificates the CA answers devices by itself; leave the line out"},
    [IS_A_CA] = {FAILURE, FAILURE, "is a CA's, not an RA's (basicConstraints)",
                 "jscep, sscep and certmonger take it for the issuer"},
    [NOT_A_CA] = {FAILURE, FAILURE, "is not a CA's (basicConstraints)",
                  "no client verifies a certificate with it"},
    [NOT_ISSUED] = {FAILURE, SILENT, "was not issued by this service's CA; issuer:",
                    "Apple devices want one root for all that GetCACert holds, others verify it"},
    [ISSUER_BYTES] = {WARNING, SILENT, "spells its issuer in other bytes than the CA its subject:",
                      "jscep, Android and other clients that compare bytes do not find the CA"},
    [OUTLIVES_CA] = {WARNING, SILENT, "is valid for longer than the CA that issued it, to",
                     "it ends with the CA all the same, on Windows and wherever chains are "
                     "verified"},
    [WEAK_SIGNATURE] = {WARNING, SILENT, "is signed with",
                        "Apple devices and current OpenSSL refuse it"},
    [NO_REQUEST_AGENT] = {WARNING, SILENT, "has extended key usages without",
                          "Certificate Request Agent is what NDES' own has and AD CS asks for"},
    [CRL_NOT_CHECKED] = {NOTICE, SILENT, "names a CRL, which is fetched at a start only:",
                         "Windows does not enroll while it cannot be read"},
    [CRL_ENDED] = {WARNING, WARNING, "had to be replaced by",
                   "GetCRL and renewals are refused until it is"},
    [CRL_UNREADABLE] = {WARNING, WARNING, "is read by httpd's children, whose user may not read",
                        "GetCRL and renewals are refused as soon as it is replaced"},
    [REVOKED] = {FAILURE, FAILURE, "is revoked by ScepCRLFile", "devices that look refuse it"},
    [NAMED_TWICE] = {WARNING, WARNING, "is named twice", "one of the two generations is missing"},
    [UNPAIRED] = {WARNING, WARNING, "generations are not as many as the others:",
                  "they are paired by their order, and answers may be signed by one that the "
                  "device does not know"},
    [CHAIN_ORDER] = {FAILURE, FAILURE, "is not issued by the next one; the chain is not in order:",
                     "Apple devices want one root for all that GetCACert holds"},
    [CHAIN_NO_ROOT] = {WARNING, WARNING, "is the chain's last, which does not end in a self-signed "
                       "root; missing:",
                       "Apple devices and Windows compare the root's fingerprint, many verify to "
                       "it"},
    [NEXT_IS_CURRENT] = {FAILURE, FAILURE, "is that of the CA in force",
                         "GetNextCACert is for another"},
    [NEXT_ENDS_FIRST] = {WARNING, WARNING, "does not outlast the CA in force, it ends on",
                         "devices that change to it gain nothing"},
    [NEXT_NOT_ISSUED] = {FAILURE, FAILURE, "was not issued by the next CA; issuer:",
                         "devices do not take it after the change"},
};

/* What is looked at. */
typedef struct lint_t {
    scep_check_t *check;
    scep_service_conf_t *service;
    const char *directive;
    const char *subject; /* how the finding begins */
    X509 *cert;
    int other; /* of a generation that is not the current one */
} lint_t;

/* Says a finding about the certificate; detail NULL: none. */
static void say(const lint_t *lint, finding_e finding, const char *detail)
{
    severity_e severity = lint->other ? findings[finding].other : findings[finding].current;
    const char *text = apr_pstrcat(lint->check->pconf, lint->subject, " ", findings[finding].what,
                                   detail ? " " : "", detail ? detail : "", "; ",
                                   findings[finding].breaks, NULL);

    switch (severity) {
    case FAILURE:
        scep_check_error(lint->check, lint->service, lint->directive, "%s", text);
        break;
    case WARNING:
        scep_check_warning(lint->check, lint->service, lint->directive, "%s", text);
        break;
    case NOTICE:
        scep_check_notice(lint->check, lint->service, lint->directive, "%s", text);
        break;
    case SILENT:
        break;
    }
}

/* The time for people. */
static const char *date_of(const ASN1_TIME *when, apr_pool_t *p)
{
    char *date = apr_palloc(p, APR_RFC822_DATE_LEN);

    apr_rfc822_date(date, crypt_asn1_time(when));
    return date;
}

/* A certificate's name as a finding shows it. */
static const char *name_of(const X509_NAME *name, const lint_t *lint)
{
    return crypt_name_text(name, lint->check->ptemp);
}

/* Whether basicConstraints say so, whatever the key usage: that is what clients look at. */
static int says_ca(X509 *cert)
{
    return (X509_get_extension_flags(cert) & EXFLAG_CA) != 0;
}

/* Whether it is the very same certificate as one of those. */
static int is_one_of(X509 *cert, const STACK_OF(X509) * certs)
{
    int i;

    for (i = 0; i < sk_X509_num(certs); i++) {
        if (X509_cmp(cert, sk_X509_value(certs, i)) == 0) {
            return 1;
        }
    }
    return 0;
}

/* Expired, not yet valid, about to end: what httpd's start says in lines of its own. */
static void lint_time(const lint_t *lint)
{
    apr_time_t now = apr_time_now();
    int days = scep_days_left(lint->cert);
    apr_pool_t *p = lint->check->ptemp;

    if (days < 0) {
        say(lint, EXPIRED, date_of(X509_get0_notAfter(lint->cert), p));
    }
    else if (now < crypt_asn1_time(X509_get0_notBefore(lint->cert))) {
        say(lint, TOO_EARLY, date_of(X509_get0_notBefore(lint->cert), p));
    }
    else if (days < SCEP_WARN_DAYS && lint->check->test) {
        say(lint, ENDS_SOON, apr_itoa(p, days));
    }
}

/* SHA-1 and MD5 under a certificate that has to be verified; a root is taken as it is. */
static void lint_signature(const lint_t *lint)
{
    int digest = NID_undef;

    if (X509_self_signed(lint->cert, 0) != 1 &&
        X509_get_signature_info(lint->cert, &digest, NULL, NULL, NULL) == 1 &&
        (digest == NID_sha1 || digest == NID_md5)) {
        say(lint, WEAK_SIGNATURE, OBJ_nid2sn(digest));
    }
}

/* Key usage, and what the extended ones leave out. */
static void lint_usage(const lint_t *lint, unsigned usage)
{
    const char *bit = usage == KU_DIGITAL_SIGNATURE ? "digitalSignature" : "keyEncipherment";
    unsigned has = X509_get_key_usage(lint->cert);
    EXTENDED_KEY_USAGE *list;
    char oid[80];
    int i, found = 0;

    if (has == UINT32_MAX) {
        say(lint, USAGE_MISSING, bit);
    }
    else if (!(has & usage)) {
        say(lint, USAGE_WRONG, bit);
    }
    list = X509_get_ext_d2i(lint->cert, NID_ext_key_usage, NULL, NULL);
    for (i = 0; i < sk_ASN1_OBJECT_num(list); i++) {
        OBJ_obj2txt(oid, sizeof(oid), sk_ASN1_OBJECT_value(list, i), 1);
        found = found || !strcmp(oid, REQUEST_AGENT) ||
                OBJ_obj2nid(sk_ASN1_OBJECT_value(list, i)) == NID_anyExtendedKeyUsage;
    }
    if (list && !found && usage == KU_DIGITAL_SIGNATURE) {
        say(lint, NO_REQUEST_AGENT, REQUEST_AGENT);
    }
    EXTENDED_KEY_USAGE_free(list);
}

/* Its kind and size. */
static void lint_key(const lint_t *lint, EVP_PKEY *key, unsigned usage)
{
    const char *name = crypt_key_name(key, lint->check->ptemp);
    int kind = EVP_PKEY_get_base_id(key);

    if (kind == EVP_PKEY_RSA && EVP_PKEY_get_bits(key) < MINIMUM_RSA_BITS) {
        say(lint, KEY_SHORT, name);
    }
    else if (kind != EVP_PKEY_RSA && usage == KU_KEY_ENCIPHERMENT) {
        say(lint, KEY_NOT_RSA, name);
    }
    else if (kind == EVP_PKEY_EC) {
        say(lint, KEY_EC, name);
    }
    else if (kind != EVP_PKEY_RSA) {
        say(lint, KEY_UNKNOWN, name);
    }
}

/* Whether the certificate leads to the chain, whatever the time is. */
static int leads_to(X509 *cert, STACK_OF(X509) * chain)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    int i, ok = 0;

    if (!store || !ctx) {
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

/* The certificate's issuer in the chain; NULL: none. */
static X509 *issuer_of(X509 *cert, STACK_OF(X509) * chain)
{
    int i;

    for (i = 0; i < sk_X509_num(chain); i++) {
        if (X509_check_issued(sk_X509_value(chain, i), cert) == X509_V_OK) {
            return sk_X509_value(chain, i);
        }
    }
    return NULL;
}

/* Whether two names have the same encoding. */
static int same_bytes(const X509_NAME *a, const X509_NAME *b)
{
    const unsigned char *der_a = NULL, *der_b = NULL;
    size_t len_a = 0, len_b = 0;

    return X509_NAME_get0_der(a, &der_a, &len_a) == 1 &&
           X509_NAME_get0_der(b, &der_b, &len_b) == 1 && len_a == len_b &&
           memcmp(der_a, der_b, len_a) == 0;
}

/* What its issuer says to it; not_issued: the finding when none of the chain is. */
static void lint_issuer(const lint_t *lint, STACK_OF(X509) * chain, finding_e not_issued)
{
    const X509_NAME *name = X509_get_issuer_name(lint->cert);
    X509 *issuer = issuer_of(lint->cert, chain);
    const ASN1_TIME *end = X509_get0_notAfter(lint->cert);

    if (!leads_to(lint->cert, chain)) {
        say(lint, not_issued, name_of(name, lint));
        return;
    }
    if (issuer && !same_bytes(name, X509_get_subject_name(issuer))) {
        say(lint, ISSUER_BYTES, name_of(name, lint));
    }
    if (issuer && crypt_asn1_time(end) > crypt_asn1_time(X509_get0_notAfter(issuer))) {
        say(lint, OUTLIVES_CA, date_of(end, lint->check->ptemp));
    }
}

const char *scep_lint_crl_url(X509 *cert, apr_pool_t *p)
{
    CRL_DIST_POINTS *points = X509_get_ext_d2i(cert, NID_crl_distribution_points, NULL, NULL);
    const GENERAL_NAME *name;
    const char *url = NULL;
    int i, j;

    for (i = 0; i < sk_DIST_POINT_num(points); i++) {
        const DIST_POINT *point = sk_DIST_POINT_value(points, i);

        if (!point->distpoint || point->distpoint->type != 0) {
            continue;
        }
        for (j = 0; !url && j < sk_GENERAL_NAME_num(point->distpoint->name.fullname); j++) {
            name = sk_GENERAL_NAME_value(point->distpoint->name.fullname, j);
            if (name->type == GEN_URI) {
                url = apr_pstrmemdup(
                    p, (const char *)ASN1_STRING_get0_data(name->d.uniformResourceIdentifier),
                    (apr_size_t)ASN1_STRING_length(name->d.uniformResourceIdentifier));
            }
        }
    }
    CRL_DIST_POINTS_free(points);
    return url;
}

/* Whether ScepCRLFile has it; a CRL that does not tell is found elsewhere. */
static int is_revoked(scep_check_t *check, scep_service_conf_t *service, X509 *cert)
{
    outcome_t out;

    outcome_init(&out);
    return service->effective.crl_file &&
           ca_check_signer(service->core.ca, cert, NULL, apr_time_now(), SCEP_LINT_GRACE, &out,
                           NULL, check->ptemp) == APR_EACCES &&
           !strcmp(out.reason, "signer-revoked");
}

/* Whether the children's user has that right (4: read, 1: pass) by the mode; unknown is a yes. */
static int child_may(const char *name, mode_t right)
{
    struct stat info;

    if (stat(name, &info) != 0) {
        return 1;
    }
    if (info.st_uid == ap_unixd_config.user_id) {
        return (info.st_mode >> 6 & right) != 0;
    }
    return (info.st_mode & right) != 0 ||
           (info.st_gid == ap_unixd_config.group_id && (info.st_mode >> 3 & right) != 0);
}

/* The file, or the folder above it, that the children's user may not use; NULL: none. */
static const char *closed_to_child(const char *file, apr_pool_t *p)
{
    char *folder = apr_pstrdup(p, file), *slash;

    if (geteuid() != 0 || ap_unixd_config.user_id == 0) {
        return NULL;
    }
    while ((slash = strrchr(folder, '/')) != NULL && slash != folder) {
        *slash = '\0';
        if (!child_may(folder, 1)) {
            return folder;
        }
    }
    return child_may(file, 4) ? NULL : file;
}

void scep_lint_crl(scep_check_t *check, scep_service_conf_t *service)
{
    const char *file = service->effective.crl_file, *closed;
    lint_t lint = {check, service, "ScepCRLFile", NULL, NULL, 0};
    apr_time_t end = 0;
    char *date = apr_palloc(check->ptemp, APR_RFC822_DATE_LEN);

    if (!file) {
        return;
    }
    lint.subject = apr_psprintf(check->ptemp, "the CRL in %s", file);
    if (ca_crl_expires(service->core.ca, &end) == APR_SUCCESS && end <= apr_time_now()) {
        apr_rfc822_date(date, end);
        say(&lint, CRL_ENDED, date);
    }
    closed = closed_to_child(file, check->ptemp);
    if (closed) {
        say(&lint, CRL_UNREADABLE, closed);
    }
}

void scep_lint_ra(scep_check_t *check, scep_service_conf_t *service, const char *directive,
                  const char *file, const scep_ra_key_t *pair, unsigned usage, int generation)
{
    lint_t lint = {check, service, directive, NULL, pair->cert, generation > 0};
    STACK_OF(X509) *chain = NULL;
    const char *url;

    lint.subject = apr_psprintf(check->ptemp, "the certificate in %s", file);
    lint_time(&lint);
    lint_signature(&lint);
    lint_usage(&lint, usage);
    lint_key(&lint, pair->key, usage);
    if (ca_chain(service->core.ca, &chain, NULL, check->ptemp) != APR_SUCCESS) {
        chain = NULL;
    }
    if (is_one_of(pair->cert, chain)) {
        say(&lint, IS_THE_CA, NULL);
    }
    else if (says_ca(pair->cert)) {
        say(&lint, IS_A_CA, NULL);
    }
    if (chain) {
        lint_issuer(&lint, chain, NOT_ISSUED);
    }
    if (is_revoked(check, service, pair->cert)) {
        say(&lint, REVOKED, NULL);
    }
    url = scep_lint_crl_url(pair->cert, check->ptemp);
    if (url) {
        say(&lint, CRL_NOT_CHECKED, url);
    }
}

/* The generations of one directive: none twice. */
static void lint_twice(scep_check_t *check, scep_service_conf_t *service, const char *directive,
                       const apr_array_header_t *pairs)
{
    lint_t lint = {check, service, directive, NULL, NULL, 0};
    int i, j;

    for (i = 1; i < pairs->nelts; i++) {
        lint.cert = APR_ARRAY_IDX(pairs, i, scep_ra_key_t).cert;
        for (j = 0; j < i; j++) {
            if (X509_cmp(lint.cert, APR_ARRAY_IDX(pairs, j, scep_ra_key_t).cert) == 0) {
                check->entry = i;
                lint.subject = name_of(X509_get_subject_name(lint.cert), &lint);
                say(&lint, NAMED_TWICE, NULL);
            }
        }
    }
    check->entry = 0;
}

/* One current certificate of two, with the usages of both. */
static void lint_both(scep_check_t *check, scep_service_conf_t *service, const char *directive,
                      const scep_ra_key_t *pair, const char *role)
{
    lint_t lint = {check, service, directive, NULL, pair->cert, 0};
    const unsigned both = KU_DIGITAL_SIGNATURE | KU_KEY_ENCIPHERMENT;
    unsigned has = X509_get_key_usage(pair->cert);

    lint.subject = name_of(X509_get_subject_name(pair->cert), &lint);
    if (has != UINT32_MAX && (has & both) == both) {
        say(&lint, USAGE_BOTH, role);
    }
}

void scep_lint_ras(scep_check_t *check, scep_service_conf_t *service)
{
    const scep_service_t *core = &service->core;
    lint_t lint = {check, service, SCEP_RA_SIGNING, "the RA signing certificate's", NULL, 0};

    lint_twice(check, service, SCEP_RA_SIGNING, core->signers);
    if (core->signers == core->decrypters) {
        return;
    }
    lint_twice(check, service, SCEP_RA_ENCRYPTION, core->decrypters);
    if (core->signers->nelts > 1 && core->signers->nelts != core->decrypters->nelts) {
        say(&lint, UNPAIRED,
            apr_psprintf(check->ptemp, "%d of " SCEP_RA_SIGNING ", %d of " SCEP_RA_ENCRYPTION,
                         core->signers->nelts, core->decrypters->nelts));
    }
    if (X509_cmp(APR_ARRAY_IDX(core->signers, 0, scep_ra_key_t).cert,
                 APR_ARRAY_IDX(core->decrypters, 0, scep_ra_key_t).cert) != 0) {
        lint_both(check, service, SCEP_RA_SIGNING, &APR_ARRAY_IDX(core->signers, 0, scep_ra_key_t),
                  "encryption");
        lint_both(check, service, SCEP_RA_ENCRYPTION,
                  &APR_ARRAY_IDX(core->decrypters, 0, scep_ra_key_t), "signing");
    }
}

void scep_lint_identity(scep_check_t *check, scep_service_conf_t *service,
                        const scep_ra_key_t *pair)
{
    lint_t lint = {check, service, "ScepCABackend", "the CA", pair->cert, 0};
    unsigned has = X509_get_key_usage(pair->cert);

    if (!(has & KU_DIGITAL_SIGNATURE)) {
        say(&lint, USAGE_SELF, "digitalSignature");
    }
    if (!(has & KU_KEY_ENCIPHERMENT)) {
        say(&lint, USAGE_SELF, "keyEncipherment");
    }
}

/* A chain's certificates in time, well signed, in order, to a root. */
static void lint_chain(lint_t *lint, STACK_OF(X509) * chain, int coming)
{
    int i, n = sk_X509_num(chain);

    for (i = 0; i < n; i++) {
        lint->cert = sk_X509_value(chain, i);
        X509_check_purpose(lint->cert, -1, 0); /* caches the extensions before threads share it */
        lint->subject = apr_pstrcat(lint->check->ptemp, "the certificate of ",
                                    name_of(X509_get_subject_name(lint->cert), lint), NULL);
        if (!coming || scep_days_left(lint->cert) < SCEP_WARN_DAYS) {
            lint_time(lint);
        }
        lint_signature(lint);
        if (X509_check_ca(lint->cert) < 1) {
            say(lint, NOT_A_CA, NULL);
        }
        if (i + 1 < n && X509_check_issued(sk_X509_value(chain, i + 1), lint->cert) != X509_V_OK) {
            say(lint, CHAIN_ORDER,
                name_of(X509_get_subject_name(sk_X509_value(chain, i + 1)), lint));
        }
    }
    if (X509_self_signed(sk_X509_value(chain, n - 1), 0) != 1) {
        say(lint, CHAIN_NO_ROOT,
            name_of(X509_get_issuer_name(sk_X509_value(chain, n - 1)), lint));
    }
}

void scep_lint_chain(scep_check_t *check, scep_service_conf_t *service, const char *directive,
                     STACK_OF(X509) * chain)
{
    lint_t lint = {check, service, directive, NULL, NULL, 0};

    lint_chain(&lint, chain, 0);
}

void scep_lint_next_chain(scep_check_t *check, scep_service_conf_t *service,
                          STACK_OF(X509) * chain)
{
    lint_t lint = {check, service, SCEP_NEXT_CA_CHAIN, NULL, NULL, 0};
    STACK_OF(X509) *current = NULL;
    const ASN1_TIME *end = X509_get0_notAfter(sk_X509_value(chain, 0));

    lint_chain(&lint, chain, 1);
    if (ca_chain(service->core.ca, &current, NULL, check->ptemp) != APR_SUCCESS ||
        sk_X509_num(current) < 1) {
        return;
    }
    lint.subject = "the first certificate";
    if (X509_cmp(sk_X509_value(chain, 0), sk_X509_value(current, 0)) == 0) {
        say(&lint, NEXT_IS_CURRENT, NULL);
    }
    else if (crypt_asn1_time(end) <=
             crypt_asn1_time(X509_get0_notAfter(sk_X509_value(current, 0)))) {
        say(&lint, NEXT_ENDS_FIRST, date_of(end, check->ptemp));
    }
}

void scep_lint_next_ra(scep_check_t *check, scep_service_conf_t *service, const char *file,
                       X509 *cert, STACK_OF(X509) * chain)
{
    lint_t lint = {check, service, SCEP_NEXT_RA, NULL, cert, 0};

    lint.subject = apr_psprintf(check->ptemp, "the certificate in %s", file);
    if (scep_days_left(cert) < 0) {
        lint_time(&lint);
    }
    lint_signature(&lint);
    if (says_ca(cert)) {
        say(&lint, IS_A_CA, NULL);
    }
    lint_issuer(&lint, chain, NEXT_NOT_ISSUED);
}
