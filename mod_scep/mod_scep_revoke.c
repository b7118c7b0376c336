/* SPDX-License-Identifier: Apache-2.0 */
/* Revocation by issuer and serial number (see mod_scep_revoke.h). */
#include "mod_scep_revoke.h"
#include "mod_scep_inventory.h"
#include <apr_lib.h>
#include <apr_strings.h>
#include <openssl/bn.h>
#include <openssl/err.h>

int scep_revoke_stopping(void *baton)
{
    scep_revoke_t *revoke = baton;

    return revoke->stopping(revoke->baton);
}

/* A name without regard to case, and to blanks around separators. */
static const char *plain_name(const char *name, apr_pool_t *p)
{
    char *text = apr_palloc(p, strlen(name) + 1), *o = text;

    for (; *name; name++) {
        if (*name == ' ' && (o == text || strchr(",=+", o[-1]) ||
                             strchr(",=+", name[strspn(name, " ")]))) {
            continue; /* the NUL counts as a separator too */
        }
        *o++ = (char)apr_tolower(*name);
    }
    *o = '\0';
    return text;
}

/* Whether the CA that issues is called so. */
static int is_issuer(const scep_service_conf_t *service, const char *issuer, const log_sink_t *log,
                     apr_pool_t *p)
{
    STACK_OF(X509) *chain = NULL;
    X509_NAME *name;

    if (!issuer) {
        return 1;
    }
    if (ca_chain(service->core.ca, &chain, log, p) != APR_SUCCESS || sk_X509_num(chain) < 1) {
        return 0;
    }
    name = X509_get_subject_name(sk_X509_value(chain, 0));
    return !strcmp(plain_name(issuer, p), plain_name(crypt_name_text(name, p), p));
}

apr_status_t scep_revoke(void *baton, const char *issuer, const char *serial, int reason,
                         outcome_t *out, apr_pool_t *p)
{
    scep_revoke_t *revoke = baton;
    apr_size_t len = serial ? strlen(serial) : 0;
    ASN1_INTEGER *number = NULL;
    BIGNUM *bn = NULL;
    apr_status_t rv;

    outcome_init(out);
    if (len < 1 || len > STORE_CERTIFICATE_SERIAL_MAX ||
        strspn(serial, "0123456789abcdefABCDEF") != len ||
        !is_issuer(revoke->service, issuer, revoke->log, p)) {
        return APR_NOTFOUND;
    }
    if (BN_hex2bn(&bn, serial) && (number = BN_to_ASN1_INTEGER(bn, NULL)) != NULL) {
        rv = ca_revoke(revoke->service->core.ca, number, reason, out, p);
        if (rv == APR_SUCCESS) {
            scep_inventory_note(revoke->service, serial, reason, revoke->log, p);
        }
    }
    else {
        outcome_unavailable(out, "revoke", 0, p, "the serial number cannot be read");
        rv = APR_EGENERAL;
    }
    ASN1_INTEGER_free(number);
    BN_free(bn);
    ERR_clear_error();
    return rv;
}
