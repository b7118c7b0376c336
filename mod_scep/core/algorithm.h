/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parameters of algorithms that SCEP messages name: RSA-OAEP and RSA-PSS.
 *
 * An algorithm that is not on a list here is not used, whatever OpenSSL could do.
 */
#ifndef SCEP_ALGORITHM_H
#define SCEP_ALGORITHM_H

#include <openssl/evp.h>
#include <openssl/x509.h>

/* RSA key transport; oaep NULL: PKCS #1 v1.5. */
typedef struct scep_transport_t {
    const EVP_MD *oaep;
    const EVP_MD *mgf1;
} scep_transport_t;

/* SHA-1, SHA-224, SHA-256, SHA-384 or SHA-512 by its NID, NULL for any other. */
const EVP_MD *scep_sha(int nid);

/*
 * Reads keyEncryptionAlgorithm (RFC 8017 appendix A.2.1): rsaEncryption, or id-RSAES-OAEP with
 * digests of scep_sha().  0: another algorithm, or parameters that are not well formed.
 */
int scep_transport_read(scep_transport_t *transport, const X509_ALGOR *algor);

/* Writes the same; 0 if out of memory. */
int scep_transport_write(const scep_transport_t *transport, X509_ALGOR *algor);

/*
 * Whether RSASSA-PSS parameters (RFC 8017 appendix A.2.3) mask by MGF1 with a digest of
 * scep_sha(). The digest of what is signed is crypt_signature_digest()'s.
 */
int scep_pss_is_usable(const X509_ALGOR *algor);

#endif /* SCEP_ALGORITHM_H */
