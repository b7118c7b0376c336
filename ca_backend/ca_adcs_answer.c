/* SPDX-License-Identifier: Apache-2.0 */
/* What an answer of AD CS means; see ca_adcs_answer.h. */
#include "ca_adcs_answer.h"

#include <apr_strings.h>
#include <openssl/err.h>
#include <string.h>

#define TEXT_MAX 300        /* bytes of the CA's words that are passed on */

/* The names and meanings are those of [MS-ERREF] section 2.1.1. */
typedef struct hresult_row_t {
    apr_uint32_t hresult;
    const char *reason;         /* NULL: the CA cannot decide now */
    const char *name;
    const char *text;           /* for the device */
} hresult_row_t;

#define DENIED "The certification authority refused the request."
#define PERMISSION "The certification authority does not let this service enroll."
#define AGENT "The certification authority does not accept this service's signature."
#define SUBJECT "The certification authority does not accept the subject."

static const hresult_row_t rows[] = {
    /* the template */
    {0x80094800, "ca-not-published", "CERTSRV_E_UNSUPPORTED_CERT_TYPE",
     "The certification authority does not offer the template."},
    {0x80094801, "ca-not-published", "CERTSRV_E_NO_CERT_TYPE",
     "The request names no template."},
    {0x80094802, "ca-not-published", "CERTSRV_E_TEMPLATE_CONFLICT",
     "The request names two templates."},
    {0x80094807, "ca-not-published", "CERTSRV_E_BAD_TEMPLATE_VERSION",
     "The certification authority has another version of the template."},
    /* who may enroll */
    {0x80094012, "ca-permission", "CERTSRV_E_TEMPLATE_DENIED", PERMISSION},
    {0x80094011, "ca-permission", "CERTSRV_E_ENROLL_DENIED", PERMISSION},
    {0x80094009, "ca-permission", "CERTSRV_E_RESTRICTEDOFFICER", PERMISSION},
    {0x80070005, "ca-permission", "E_ACCESSDENIED", PERMISSION},
    /* the CA's own end */
    {0x800b0102, "ca-validity", "CERT_E_VALIDITYPERIODNESTING",
     "The certification authority cannot issue certificates that are valid for so long."},
    {0x800b0101, "ca-validity", "CERT_E_EXPIRED",
     "A certificate of the certification authority or of this service is not valid any more."},
    /* our signature */
    {0x80094808, "ca-agent", "CERTSRV_E_TEMPLATE_POLICY_REQUIRED", AGENT},
    {0x80094809, "ca-agent", "CERTSRV_E_SIGNATURE_POLICY_REQUIRED", AGENT},
    {0x8009480a, "ca-agent", "CERTSRV_E_SIGNATURE_COUNT", AGENT},
    {0x8009480b, "ca-agent", "CERTSRV_E_SIGNATURE_REJECTED", AGENT},
    {0x8009480c, "ca-agent", "CERTSRV_E_ISSUANCE_POLICY_REQUIRED", AGENT},
    {0x80094815, "ca-agent", "CERTSRV_E_TOO_MANY_SIGNATURES", AGENT},
    {0x800b0109, "ca-agent", "CERT_E_UNTRUSTEDROOT", AGENT},
    {0x800b010a, "ca-agent", "CERT_E_CHAINING", AGENT},
    {0x800b010c, "ca-agent", "CERT_E_REVOKED", AGENT},
    {0x800b0110, "ca-agent", "CERT_E_WRONG_USAGE", AGENT},
    {0x80092010, "ca-agent", "CRYPT_E_REVOKED", AGENT},
    /* a person said no */
    {0x80094014, "ca-denied", "CERTSRV_E_ADMIN_DENIED_REQUEST",
     "A manager of the certification authority denied the request."},
    /* the request itself */
    {0x80094001, "ca-rejected", "CERTSRV_E_BAD_REQUESTSUBJECT", SUBJECT},
    {0x80094803, "ca-rejected", "CERTSRV_E_SUBJECT_ALT_NAME_REQUIRED", SUBJECT},
    {0x8009480d, "ca-rejected", "CERTSRV_E_SUBJECT_UPN_REQUIRED", SUBJECT},
    {0x8009480e, "ca-rejected", "CERTSRV_E_SUBJECT_DIRECTORY_GUID_REQUIRED", SUBJECT},
    {0x8009480f, "ca-rejected", "CERTSRV_E_SUBJECT_DNS_REQUIRED", SUBJECT},
    {0x80094812, "ca-rejected", "CERTSRV_E_SUBJECT_EMAIL_REQUIRED", SUBJECT},
    {0x80094811, "ca-rejected", "CERTSRV_E_KEY_LENGTH",
     "The key is too short for the template."},
    {0x80094016, "ca-rejected", "CERTSRV_E_WEAK_SIGNATURE_OR_KEY",
     "The key or the signature is too weak."},
    {0x80094002, "ca-rejected", "CERTSRV_E_NO_REQUEST",
     "The certification authority does not know the request any more."},
    {0x80094003, "ca-rejected", "CERTSRV_E_BAD_REQUESTSTATUS", DENIED},
    {0x8009310b, "ca-rejected", "CRYPT_E_ASN1_BADTAG", DENIED},
    {0x80090006, "ca-rejected", "NTE_BAD_SIGNATURE", DENIED},
    /* later */
    {0x80094006, NULL, "CERTSRV_E_SERVER_SUSPENDED", NULL},
    {0x8009400f, NULL, "CERTSRV_E_NO_DB_SESSIONS", NULL},
    {0x80092012, NULL, "CRYPT_E_NO_REVOCATION_CHECK", NULL},
    {0x80092013, NULL, "CRYPT_E_REVOCATION_OFFLINE", NULL},
    {0x800706ba, NULL, "RPC_S_SERVER_UNAVAILABLE", NULL},
    {0x800706bb, NULL, "RPC_S_SERVER_TOO_BUSY", NULL},
};

/* What is known of an HRESULT; NULL: nothing. */
static const hresult_row_t *find(apr_uint32_t hresult)
{
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].hresult == hresult) {
            return &rows[i];
        }
    }
    return NULL;
}

void adcs_failed(ca_answer_t *answer, apr_int32_t hresult, int denied, const char *text,
                 const char *where, apr_pool_t *p)
{
    const hresult_row_t *row = find((apr_uint32_t)hresult);
    const char *detail = apr_psprintf(p, "%s: 0x%08x%s%s%s%s", where, (unsigned)hresult,
                                      row != NULL ? " " : "", row != NULL ? row->name : "",
                                      *text != '\0' ? ": " : "",
                                      http_printable(text, TEXT_MAX, p));

    if (row != NULL ? row->reason != NULL : denied) {
        answer->result = CA_REJECTED;
        outcome_refuse(&answer->outcome, FAIL_INFO_BAD_REQUEST, hresult,
                       row != NULL ? row->reason : "ca-rejected",
                       row != NULL ? row->text : DENIED, p, "%s", detail);
        return;
    }
    answer->result = CA_RETRY;
    answer->unknown = row == NULL;
    outcome_unavailable(&answer->outcome, "ca-unavailable", 0, p, "%s", detail);
}

/* Whether a name has an entry of that type and value, whatever the case and the string's type. */
static int has_entry(const X509_NAME *name, const X509_NAME_ENTRY *wanted)
{
    X509_NAME *one = X509_NAME_new(), *other = X509_NAME_new();
    int i, found = 0;

    if (one == NULL || other == NULL || !X509_NAME_add_entry(one, wanted, -1, 0)) {
        goto leave;
    }
    for (i = 0; !found && i < X509_NAME_entry_count(name); i++) {
        if (X509_NAME_add_entry(other, X509_NAME_get_entry(name, i), -1, 0)) {
            found = X509_NAME_cmp(one, other) == 0;
            X509_NAME_ENTRY_free(X509_NAME_delete_entry(other, 0));
        }
    }

leave:
    X509_NAME_free(other);
    X509_NAME_free(one);
    return found;
}

/* Whether subject has only what wanted has, and is not empty unless that is. */
static int is_made_of(const X509_NAME *subject, const X509_NAME *wanted)
{
    int i, n = X509_NAME_entry_count(subject);

    for (i = 0; i < n; i++) {
        if (!has_entry(wanted, X509_NAME_get_entry(subject, i))) {
            return 0;
        }
    }
    return n > 0 || X509_NAME_entry_count(wanted) == 0;
}

const char *adcs_check_subject(STACK_OF(X509) *certs, const csr_t *csr, apr_pool_t *p)
{
    const char *error = NULL;
    int i;

    for (i = 0; error == NULL && i < sk_X509_num(certs); i++) {
        X509 *cert = sk_X509_value(certs, i);
        EVP_PKEY *key = X509_get0_pubkey(cert);

        if (key != NULL && EVP_PKEY_eq(key, csr->key) == 1 &&
            !is_made_of(X509_get_subject_name(cert), csr->subject)) {
            error = apr_psprintf(p, "the certificate's subject '%s' is not made of the requested "
                                 "'%s': the template has to take it from the request",
                                 crypt_name_text(X509_get_subject_name(cert), p),
                                 csr->subject_text);
        }
    }
    ERR_clear_error();
    return error;
}
