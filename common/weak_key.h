/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RSA keys that anybody can factor: what a bad generator leaves in the modulus.
 *
 * Cheap checks only (some ten microseconds), since every request pays for them.  The list of
 * Debian's keys of 2006 to 2008 (CVE-2008-0166) is not here: no package has it any more.
 */
#ifndef COMMON_WEAK_KEY_H
#define COMMON_WEAK_KEY_H

#include <openssl/evp.h>

/*
 * Why the key's modulus is weak: "has a small factor", "has the ROCA fingerprint
 * (CVE-2017-15361)", "is a square", "is a product of two close primes"; NULL: nothing found, or
 * not an RSA key.  Sizes and exponents are spki_key_make()'s.  "cannot be examined" if OpenSSL
 * fails: refused too.
 */
const char *weak_key_find(const EVP_PKEY *key);

#endif /* COMMON_WEAK_KEY_H */
