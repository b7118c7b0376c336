/* SPDX-License-Identifier: Apache-2.0 */
/* The key pairs of sealed challenges: read, and refused where they could not work. */
#include "policy_sealed.h"
#include <apr_strings.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

#define RSA_MIN 2048
#define EC_MIN 256

/* Error text where the key cannot sign (or decrypt), or its certificate forbids that; else NULL. */
static const char *check_purpose(X509 *cert, const EVP_PKEY *key, int decrypts, const char *file,
                                 apr_pool_t *p)
{
    unsigned need = decrypts ? KU_KEY_ENCIPHERMENT : KU_DIGITAL_SIGNATURE;
    int kind = EVP_PKEY_get_base_id(key), bits = EVP_PKEY_get_bits(key);

    if (decrypts && kind != EVP_PKEY_RSA)
        return apr_psprintf(p, "%s: its key is %s, but only an RSA key can open challenges; name "
                               "one as encryptionCertificate",
                            file, crypt_key_name(key, p));
    if (!(kind == EVP_PKEY_RSA && bits >= RSA_MIN) && !(kind == EVP_PKEY_EC && bits >= EC_MIN))
        return apr_psprintf(p, "%s: its key is %s; RSA with %d bits or more%s is needed", file,
                            crypt_key_name(key, p), RSA_MIN,
                            decrypts ? "" : ", or EC with 256 bits or more,");
    if ((X509_get_key_usage(cert) & need) == 0)
        return apr_psprintf(p, "%s: the certificate's key usage lacks %s", file,
                            decrypts ? "keyEncipherment" : "digitalSignature");
    return NULL;
}

/* Error text for a current certificate that is not valid now, else NULL. */
static const char *check_validity(const X509 *cert, const char *file, apr_pool_t *p)
{
    apr_time_t now = apr_time_now();

    if (crypt_asn1_time(X509_get0_notAfter(cert)) < now)
        return apr_psprintf(p, "%s: the certificate has expired", file);
    if (crypt_asn1_time(X509_get0_notBefore(cert)) > now)
        return apr_psprintf(p, "%s: the certificate is not valid yet", file);
    return NULL;
}

/* The first certificate of a file, and its key (pkey NULL: that is not needed). */
static const char *load(X509 **pcert, EVP_PKEY **pkey, const char *file, const char *key_file,
                        int current, int decrypts, apr_pool_t *p)
{
    STACK_OF(X509) *certs = NULL;
    EVP_PKEY *key = NULL;
    X509 *cert;
    const char *error = crypt_load_certificates(&certs, file, p);

    if (error)
        return error;
    cert = sk_X509_value(certs, 0);
    if (pkey) {
        error = crypt_load_key(&key, key_file ? key_file : file, p);
        if (!error && X509_check_private_key(cert, key) != 1)
            error = apr_psprintf(p, "%s: the key does not belong to the certificate in %s",
                                 key_file ? key_file : file, file);
        *pkey = key;
    }
    if (!error && !X509_get0_pubkey(cert))
        error = apr_psprintf(p, "%s: the certificate's key cannot be used", file);
    if (!error)
        error = check_purpose(cert, X509_get0_pubkey(cert), decrypts, file, p);
    if (!error && current)
        error = check_validity(cert, file, p);
    ERR_clear_error();
    *pcert = cert;
    return error;
}

/* One generation. */
static const char *load_generation(sealed_keys_t *keys, const sealed_files_t *f, int i,
                                   apr_pool_t *p)
{
    const char *error = NULL;

    if (f->cert[i])
        error = load(&keys->signer[i].cert, i == 0 ? &keys->signer[i].key : NULL, f->cert[i],
                     f->key[i], i == 0, 0, p);
    if (error)
        return error;
    if (f->encryption_cert[i])
        return load(&keys->opener[i].cert, &keys->opener[i].key, f->encryption_cert[i],
                    f->encryption_key[i], i == 0, 1, p);
    /* a previous pair that only signed, while another one was for encryption, opens nothing */
    if (f->cert[i] && !(i > 0 && f->encryption_cert[0] && !f->key[i]))
        return load(&keys->opener[i].cert, &keys->opener[i].key, f->cert[i], f->key[i], i == 0, 1,
                    p);
    return NULL;
}

const char *sealed_keys_load(sealed_keys_t *keys, const sealed_files_t *files, apr_pool_t *p)
{
    static const char *const names[SEALED_GENERATIONS][2] = {
        {"key needs certificate", "encryptionKey needs encryptionCertificate"},
        {"previousKey needs previousCertificate",
         "previousEncryptionKey needs previousEncryptionCertificate"}};
    const char *error = NULL;
    int i;

    memset(keys, 0, sizeof(*keys));
    for (i = 0; !error && i < SEALED_GENERATIONS; i++) {
        if (files->key[i] && !files->cert[i])
            error = names[i][0];
        else if (files->encryption_key[i] && !files->encryption_cert[i])
            error = names[i][1];
        else
            error = load_generation(keys, files, i, p);
    }
    return error;
}

const char *sealed_keys_fingerprint(const sealed_keys_t *keys, apr_pool_t *p)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    crypt_buf_t parts[2];
    unsigned int len;
    int i;

    for (i = 0; i < 2; i++) {
        const X509 *cert = i ? keys->opener[0].cert : keys->signer[0].cert;

        if (!cert || crypt_thumbprint(cert, EVP_sha256(), digest, &len) != APR_SUCCESS)
            return NULL;
        parts[i].data = apr_pmemdup(p, digest, len);
        parts[i].len = len;
    }
    if (crypt_sha256_parts(digest, parts, 2) != APR_SUCCESS)
        return NULL;
    return crypt_hex(digest, 32, 0, p);
}
