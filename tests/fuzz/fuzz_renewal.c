/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests signed with a certificate in use, RenewalReq and PKCSReq: knobs (fuzz_world.h), two
 * bytes of rules, two with the length of the certificate, the certificate, and the CSR.
 *
 * Whatever certificate and CSR have become, they are signed again where they can still be read:
 * their fields are what is tested here, and nobody guesses a signature.
 */
#include "fuzz_world.h"

#include <apr_strings.h>
#include <openssl/err.h>
#include <string.h>

#define HEAD (FUZZ_WORLD_KNOBS + 4)

/* The first byte of rules. */
#define NEW_KEY 1u              /* the CSR is of another key than the certificate in use */
#define AS_PKCS_REQ 2u
#define BY_FOREIGN_CA 4u
#define BY_ITSELF 8u
#define SHA1_SIGNED 16u         /* the certificate in use */
#define TRUST_FOREIGN 32u
#define OTHER_SUBJECT 64u       /* may be asked for */
#define OFF 128u

#define DECADES apr_time_from_sec(APR_INT64_C(50) * 366 * 86400)

/* The certificate in use with the device's key, signed by who it should be; NULL: cannot be. */
static X509 *sign_certificate(const unsigned char *der, size_t len, unsigned rules)
{
    X509 *cert = crypt_x509_own(d2i_X509(NULL, &der, (long)len), fuzz_world.pool);
    EVP_PKEY *key = scep_fixture_key(SCEP_FIXTURE_CA);

    if (rules & BY_FOREIGN_CA)
        key = scep_fixture_key(SCEP_FIXTURE_STRANGER);
    if (rules & BY_ITSELF)
        key = scep_fixture_key(SCEP_FIXTURE_DEVICE);
    if (cert && (!X509_set_pubkey(cert, scep_fixture_key(SCEP_FIXTURE_DEVICE)) ||
                 X509_sign(cert, key, (rules & SHA1_SIGNED) ? EVP_sha1() : EVP_sha256()) <= 0))
        cert = NULL;
    ERR_clear_error();
    return cert;
}

/* The CSR with that key's signature; as it is, if it cannot be read. */
static crypt_buf_t sign_request(const unsigned char *data, size_t len, EVP_PKEY *key)
{
    crypt_buf_t plain = { data, len };
    unsigned char *der = NULL;
    X509_REQ *req = d2i_X509_REQ(NULL, &data, (long)len);
    int der_len;

    if (req && X509_REQ_set_pubkey(req, key) && X509_REQ_sign(req, key, EVP_sha256()) > 0 &&
        (der_len = i2d_X509_REQ(req, &der)) > 0) {
        plain.data = apr_pmemdup(fuzz_world.pool, der, (apr_size_t)der_len);
        plain.len = (apr_size_t)der_len;
    }
    OPENSSL_free(der);
    X509_REQ_free(req);
    ERR_clear_error();
    return plain;
}

/* Sets what the service allows. */
static void set_rules(unsigned rules, unsigned more)
{
    scep_renewal_t *renewal = &fuzz_world.service->renewal;

    renewal->enabled = !(rules & OFF);
    renewal->same_subject = !(rules & OTHER_SUBJECT);
    renewal->foreign = (rules & TRUST_FOREIGN) ? fuzz_world.foreign : NULL;
    renewal->key = (scep_key_rule_e)((more & 3) % 3);
    renewal->window = (more & 4) ? apr_time_from_sec(86400) : 0;
    renewal->grace = (more & 8) ? DECADES : 0;
    fuzz_world.policy.retention = (more & 16) ? DECADES : FUZZ_WORLD_RETENTION;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    const unsigned char *at = data + FUZZ_WORLD_KNOBS;
    scep_fixture_message_t want;
    crypt_buf_t plain;
    unsigned rules;
    size_t len;

    if (size < HEAD || (len = (size_t)at[2] << 8 | at[3]) > size - HEAD)
        return 0;
    fuzz_world_begin(data);
    rules = at[0];
    set_rules(rules, at[1]);
    memset(&want, 0, sizeof(want));
    want.message_type = (rules & AS_PKCS_REQ) ? "19" : "17";
    want.transaction_id = "new";
    want.key = scep_fixture_key(SCEP_FIXTURE_DEVICE);
    want.cert = sign_certificate(data + HEAD, len, rules);
    plain = sign_request(data + HEAD + len, size - HEAD - len,
                         (rules & NEW_KEY) ? scep_fixture_key(SCEP_FIXTURE_STRANGER) : want.key);
    want.plain = &plain;
    if (want.cert)
        fuzz_world_send(&want, FUZZ_SIGNER_CLIENT);
    fuzz_world_end();
    return 0;
}
