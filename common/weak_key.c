/* SPDX-License-Identifier: Apache-2.0 */
/* RSA moduli that anybody can factor (see weak_key.h). */
#include "weak_key.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>

#define ROCA_GENERATOR 65537
#define ROCA_LARGEST 167    /* M is a multiple of all primes up to here for keys of any size */
#define FERMAT_ROUNDS 16

/* Odd primes below 1024, in order. */
static const unsigned short primes[] = {
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97,
    101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167, 173, 179, 181, 191, 193,
    197, 199, 211, 223, 227, 229, 233, 239, 241, 251, 257, 263, 269, 271, 277, 281, 283, 293, 307,
    311, 313, 317, 331, 337, 347, 349, 353, 359, 367, 373, 379, 383, 389, 397, 401, 409, 419, 421,
    431, 433, 439, 443, 449, 457, 461, 463, 467, 479, 487, 491, 499, 503, 509, 521, 523, 541, 547,
    557, 563, 569, 571, 577, 587, 593, 599, 601, 607, 613, 617, 619, 631, 641, 643, 647, 653, 659,
    661, 673, 677, 683, 691, 701, 709, 719, 727, 733, 739, 743, 751, 757, 761, 769, 773, 787, 797,
    809, 811, 821, 823, 827, 829, 839, 853, 857, 859, 863, 877, 881, 883, 887, 907, 911, 919, 929,
    937, 941, 947, 953, 967, 971, 977, 983, 991, 997, 1009, 1013, 1019, 1021
};
#define NPRIMES (sizeof(primes) / sizeof(primes[0]))

/* The result of a check: 1 or 0, -1 if OpenSSL fails. */
typedef int verdict_t;

/* Whether r is a power of 65537 modulo prime. */
static int is_power(unsigned r, unsigned prime)
{
    unsigned power = 1, generator = ROCA_GENERATOR % prime;

    do {
        if (power == r)
            return 1;
        power = power * generator % prime;
    } while (power != 1);
    return 0;
}

/*
 * Divides by the small primes, several in one go while their product fits a word.  *roca: whether
 * the modulus is a power of 65537 modulo each prime up to ROCA_LARGEST.  That is so for all
 * primes k * M + (65537^a mod M), M the product of small primes, which one library made (Nemec et
 * al., "The Return of Coppersmith's Attack", 2017), and for one other modulus in 10^8.
 */
static verdict_t has_small_factor(const BIGNUM *n, int *roca)
{
    size_t i = 0, last;
    unsigned r;
    BN_ULONG product, rest;

    *roca = 1;
    while (i < NPRIMES) {
        product = 1;
        for (last = i; last < NPRIMES && product <= (BN_ULONG)-1 / primes[last]; last++)
            product *= primes[last];
        rest = BN_mod_word(n, product);
        if (rest == (BN_ULONG)-1)
            return -1;
        for (; i < last; i++) {
            r = (unsigned)(rest % primes[i]);
            if (r == 0)
                return 1;
            if (primes[i] <= ROCA_LARGEST && *roca && !is_power(r, primes[i]))
                *roca = 0;
        }
    }
    return 0;
}

/*
 * root = floor(sqrt(n)), n > 0: each round doubles the number of right bits, so that the last
 * division is the only long one (the invariant is that of CPython's math.isqrt()).
 */
static verdict_t square_root(BIGNUM *root, const BIGNUM *n, BN_CTX *ctx)
{
    int c = (BN_num_bits(n) - 1) / 2, d = 0, e, s, ok = -1;
    BIGNUM *part;

    BN_CTX_start(ctx);
    part = BN_CTX_get(ctx);
    if (!part || !BN_one(root))
        goto leave;
    for (s = c > 0 ? BN_num_bits_word((BN_ULONG)c) - 1 : -1; s >= 0; s--) {
        e = d;
        d = c >> s;
        if (!BN_rshift(part, n, 2 * c - e - d + 1) || !BN_div(part, NULL, part, root, ctx) ||
            !BN_lshift(root, root, d - e - 1) || !BN_add(root, root, part))
            goto leave;
    }
    if (!BN_sqr(part, root, ctx) || (BN_cmp(part, n) > 0 && !BN_sub_word(root, 1)))
        goto leave;
    ok = 1;

leave:
    BN_CTX_end(ctx);
    return ok;
}

/* Whether n is a square; most that are not are seen by their last bits and one remainder. */
static verdict_t is_square(const BIGNUM *n, BN_CTX *ctx)
{
    static const BN_ULONG moduli[] = { 63, 65, 11, 17 };
    BN_ULONG rest, r, x, product = 63 * 65 * 11 * 17;
    BIGNUM *root;
    verdict_t found = -1;
    size_t i;

    if (BN_is_zero(n))
        return 1;
    /* squares are 0, 1 or 4 modulo 8 */
    if (BN_is_bit_set(n, 1) || (BN_is_bit_set(n, 0) && BN_is_bit_set(n, 2)))
        return 0;
    rest = BN_mod_word(n, product);
    if (rest == (BN_ULONG)-1)
        return -1;
    for (i = 0; i < sizeof(moduli) / sizeof(moduli[0]); i++) {
        r = rest % moduli[i];
        for (x = 0; x < moduli[i] && x * x % moduli[i] != r; x++)
            ;
        if (x == moduli[i])
            return 0;
    }
    BN_CTX_start(ctx);
    root = BN_CTX_get(ctx);
    if (root && square_root(root, n, ctx) > 0 && BN_sqr(root, root, ctx))
        found = BN_cmp(root, n) == 0;
    BN_CTX_end(ctx);
    return found;
}

/*
 * Fermat's method: a * a - n is a square soon above sqrt(n) if the primes are close (as
 * CVE-2022-26320).  *square: n itself is one.
 */
static verdict_t has_close_primes(const BIGNUM *n, int *square, BN_CTX *ctx)
{
    int i;
    verdict_t found = -1;
    BIGNUM *a, *rest;

    *square = 0;
    BN_CTX_start(ctx);
    a = BN_CTX_get(ctx);
    rest = BN_CTX_get(ctx);
    if (!rest || square_root(a, n, ctx) <= 0 || !BN_sqr(rest, a, ctx) || !BN_sub(rest, rest, n))
        goto leave;
    *square = BN_is_zero(rest);
    found = *square;
    for (i = 0; i < FERMAT_ROUNDS && found == 0; i++) {
        /* (a + 1)^2 - n = a^2 - n + 2a + 1 */
        if (!BN_add(rest, rest, a) || !BN_add_word(a, 1) || !BN_add(rest, rest, a))
            found = -1;
        else
            found = is_square(rest, ctx);
    }

leave:
    BN_CTX_end(ctx);
    return found;
}

const char *weak_key_find(const EVP_PKEY *key)
{
    const char *found = "cannot be examined";
    int roca = 0, square = 0;
    verdict_t verdict;
    BIGNUM *n = NULL;
    BN_CTX *ctx = NULL;

    if (!EVP_PKEY_is_a(key, "RSA") && !EVP_PKEY_is_a(key, "RSA-PSS"))
        return NULL;
    ERR_clear_error();
    ctx = BN_CTX_new();
    if (!ctx || !EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &n) ||
        (verdict = has_small_factor(n, &roca)) < 0)
        goto leave;
    if (verdict) {
        found = "has a small factor";
        goto leave;
    }
    if (roca) {
        found = "has the ROCA fingerprint (CVE-2017-15361)";
        goto leave;
    }
    verdict = has_close_primes(n, &square, ctx);
    if (square)
        found = "is a square";
    else if (verdict >= 0)
        found = verdict ? "is a product of two close primes" : NULL;

leave:
    BN_CTX_free(ctx);
    BN_free(n);
    ERR_clear_error();
    return found;
}
