/* SPDX-License-Identifier: Apache-2.0 */
/* What the local CA takes back: revocation, and the CRL that two hosts make of one ledger. */
#include "ca_fixture.h"

#include <apr_strings.h>
#include <openssl/err.h>
#include <string.h>

Suite *test_ca_ledger_suite(void);

#define SERIAL "0112233445566778899aabbccddeeff"
#define HOURS(n) apr_time_from_sec((n) * 3600L)
#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* A ledger in memory. */
static struct {
    apr_array_header_t *revoked; /* of ca_revoked_t */
    const char *known;           /* serial of the one certificate that is kept */
    ca_ledger_crl_t crl;
    int down;                    /* gives no answer */
    int puts, lists;
    crypt_buf_t overtake;        /* what another host puts before the next put */
} book;

static ca_config_t *cfg;
static X509 *authority;
static log_sink_t *sink;

static apr_status_t book_known(void *baton, const char *serial, apr_time_t *not_after,
                               apr_pool_t *p)
{
    (void)baton, (void)p;
    if (book.down) {
        return APR_TIMEUP;
    }
    *not_after = apr_time_now() + HOURS(24);
    return book.known != NULL && strcmp(book.known, serial) == 0 ? APR_SUCCESS : APR_NOTFOUND;
}

static apr_status_t book_find(void *baton, X509 *issuer, const char *serial,
                              ca_revoked_t *revoked, apr_pool_t *p)
{
    int i;

    (void)baton, (void)issuer, (void)p;
    if (book.down) {
        return APR_TIMEUP;
    }
    for (i = 0; i < book.revoked->nelts; i++) {
        *revoked = APR_ARRAY_IDX(book.revoked, i, ca_revoked_t);
        if (strcmp(revoked->serial, serial) == 0) {
            return APR_SUCCESS;
        }
    }
    return APR_NOTFOUND;
}

static apr_status_t book_revoke(void *baton, const ca_revoked_t *what, apr_pool_t *p)
{
    ca_revoked_t entry;
    apr_status_t rv = book_find(baton, NULL, what->serial, &entry, p);

    if (rv == APR_NOTFOUND) {
        entry = *what;
        entry.serial = apr_pstrdup(fixture_pool(), what->serial);
        entry.when = apr_time_now();
        APR_ARRAY_PUSH(book.revoked, ca_revoked_t) = entry;
        book.crl.changes++;
        rv = APR_SUCCESS;
    }
    return rv;
}

static apr_status_t book_list(void *baton, apr_array_header_t **plist, apr_pool_t *p)
{
    (void)baton;
    book.lists++;
    *plist = apr_array_copy(p, book.revoked);
    return book.down ? APR_TIMEUP : APR_SUCCESS;
}

static apr_status_t book_get(void *baton, apr_int64_t have, ca_ledger_crl_t *crl, apr_pool_t *p)
{
    (void)baton, (void)p;
    *crl = book.crl;
    if (crl->number == have) {
        crl->der.len = 0;
    }
    return book.down ? APR_TIMEUP : APR_SUCCESS;
}

/* Keeps bytes as the list of that number. */
static void keep(apr_int64_t number, apr_int64_t made_of, const crypt_buf_t *der)
{
    book.crl.number = number;
    book.crl.made_of = made_of;
    book.crl.der.data = apr_pmemdup(fixture_pool(), der->data, der->len);
    book.crl.der.len = der->len;
}

static apr_status_t book_put(void *baton, apr_int64_t replaces, const ca_ledger_crl_t *crl,
                             apr_pool_t *p)
{
    (void)baton, (void)p;
    book.puts++;
    if (book.down) {
        return APR_TIMEUP;
    }
    if (book.overtake.len > 0) {
        keep(book.crl.number + 5, book.crl.changes, &book.overtake);
        book.overtake.len = 0;
    }
    if (replaces != book.crl.number) {
        return APR_EEXIST;
    }
    ck_assert(crl->number > replaces);
    keep(crl->number, crl->made_of, &crl->der);
    return APR_SUCCESS;
}

static const char *book_error(void *baton, apr_pool_t *p)
{
    (void)baton, (void)p;
    return "the book is shut";
}

static const ca_ledger_t ledger = {NULL, book_known, book_revoke, book_find,
                                   book_list, book_get, book_put, book_error};

/* A host of the CA, with one more word; child_init is done. */
static ca_t *host(const char *word)
{
    ca_t *ca = ca_fixture_local(authority, fixture_rsa(0), word, cfg);

    ck_assert_int_eq(ca_child_init(ca, fixture_pool()), APR_SUCCESS);
    return ca;
}

static void setup(void)
{
    fixture_setup();
    memset(&book, 0, sizeof(book));
    book.revoked = apr_array_make(fixture_pool(), 4, sizeof(ca_revoked_t));
    authority = ca_fixture_ca(fixture_rsa(0), 3650);
    cfg = ca_fixture_config();
    cfg->ledger = &ledger;
    sink = fixture_log(fixture_pool());
}

/* The CRL's bytes. */
static crypt_buf_t bytes(ca_t *ca)
{
    crypt_buf_t der = {NULL, 0};
    outcome_t out;
    apr_status_t rv = ca_crl(ca, &der, SIZE_MAX, &out, sink, fixture_pool());

    ck_assert_msg(rv == APR_SUCCESS, "%s: %s", out.reason, out.detail);
    ck_assert_uint_eq(ERR_peek_error(), 0);
    return der;
}

/* The CRL, verified by the CA's key; the caller frees it. */
static X509_CRL *get(ca_t *ca)
{
    crypt_buf_t der = bytes(ca);
    const unsigned char *at = der.data;
    X509_CRL *crl = d2i_X509_CRL(NULL, &at, (long)der.len);

    ck_assert_ptr_nonnull(crl);
    ck_assert_int_eq(X509_CRL_verify(crl, fixture_rsa(0)), 1);
    return crl;
}

/* The CRLNumber. */
static apr_int64_t number_of(X509_CRL *crl)
{
    ASN1_INTEGER *number = X509_CRL_get_ext_d2i(crl, NID_crl_number, NULL, NULL);
    int64_t value = -1;

    ck_assert_int_eq(ASN1_INTEGER_get_int64(&value, number), 1);
    ASN1_INTEGER_free(number);
    return value;
}

/* The ASN.1 of hex. */
static ASN1_INTEGER *integer(const char *hex)
{
    static ASN1_INTEGER *value;
    BIGNUM *bn = NULL;

    ASN1_INTEGER_free(value);
    ck_assert_int_gt(BN_hex2bn(&bn, hex), 0);
    value = BN_to_ASN1_INTEGER(bn, NULL);
    BN_free(bn);
    return value;
}

/* The reason of an entry; -1: it has none, -2: there is no such entry. */
static long reason_of(X509_CRL *crl, const char *serial)
{
    X509_REVOKED *entry = NULL;
    ASN1_ENUMERATED *reason;
    long value = -1;

    if (X509_CRL_get0_by_serial(crl, &entry, integer(serial)) != 1) {
        return -2;
    }
    reason = X509_REVOKED_get_ext_d2i(entry, NID_crl_reason, NULL, NULL);
    if (reason != NULL) {
        value = ASN1_ENUMERATED_get(reason);
    }
    ASN1_ENUMERATED_free(reason);
    return value;
}

/* A certificate's DER. */
static crypt_buf_t encode(X509 *cert)
{
    unsigned char *data = NULL;
    crypt_buf_t der;
    int len = i2d_X509(cert, &data);

    ck_assert_int_gt(len, 0);
    der.data = apr_pmemdup(fixture_pool(), data, (apr_size_t)len);
    der.len = (apr_size_t)len;
    OPENSSL_free(data);
    return der;
}

/* What the CA issues for a request, as others read it. */
static X509 *issue(ca_t *ca)
{
    const ca_fixture_request_t *request = ca_fixture_request(fixture_rsa(1), "device", NULL, NULL);
    const unsigned char *at;
    ca_answer_t answer;
    crypt_buf_t der;

    ca_submit(ca, request->grant, request->csr, ca_fixture_deadline(), &answer, sink,
              fixture_pool());
    ck_assert_int_eq(answer.result, CA_ISSUED);
    der = encode(answer.leaf);
    at = der.data;
    return crypt_x509_own(d2i_X509(NULL, &at, (long)der.len), fixture_pool());
}

/* ca_check_signer() of a certificate. */
static apr_status_t check(ca_t *ca, X509 *cert, outcome_t *out)
{
    outcome_init(out);
    return ca_check_signer(ca, cert, NULL, apr_time_now(), 0, out, sink, fixture_pool());
}

START_TEST(empty_list)
{
    ca_t *ca = host(NULL);
    X509_CRL *crl = get(ca);
    apr_time_t now = apr_time_now();
    apr_time_t from = crypt_asn1_time(X509_CRL_get0_lastUpdate(crl));
    apr_time_t to = crypt_asn1_time(X509_CRL_get0_nextUpdate(crl));
    crypt_buf_t first = bytes(ca), second = bytes(ca);

    ck_assert_int_eq(X509_CRL_get_version(crl), 1);
    ck_assert_ptr_null(X509_CRL_get_REVOKED(crl));
    ck_assert_int_eq(X509_CRL_get_signature_nid(crl), NID_sha256WithRSAEncryption);
    ck_assert_int_ge(X509_CRL_get_ext_by_NID(crl, NID_authority_key_identifier, -1), 0);
    ck_assert(number_of(crl) > apr_time_sec(now) - 60);
    ck_assert(from <= now - cfg->not_before_skew && from > now - HOURS(1));
    ck_assert(to > now + HOURS(23) && to <= now + HOURS(24));
    ck_assert(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
    ck_assert_int_eq(book.puts, 1);
    ck_assert_str_eq(fixture_log_text(sink), "");
    X509_CRL_free(crl);
}
END_TEST

START_TEST(revoked_at_once_on_each_host)
{
    ca_t *a = host(NULL), *b = host(NULL);
    X509 *cert = issue(a);
    const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);
    apr_int64_t number;
    crypt_buf_t one, two;
    X509_CRL *crl = get(b);
    outcome_t out;

    number = number_of(crl);
    X509_CRL_free(crl);
    ck_assert_int_eq(check(b, cert, &out), APR_SUCCESS);
    ck_assert_int_eq(ca_revoke(a, serial, 1, &out, fixture_pool()), APR_NOTFOUND);
    book.known = crypt_hex(ASN1_STRING_get0_data(serial), (apr_size_t)ASN1_STRING_length(serial),
                           0, fixture_pool());
    ck_assert_int_eq(ca_revoke(a, serial, 1, &out, fixture_pool()), APR_SUCCESS);
    ck_assert_int_eq(ca_revoke(a, serial, 5, &out, fixture_pool()), APR_SUCCESS);
    ck_assert_int_eq(check(b, cert, &out), APR_EACCES);
    ck_assert_str_eq(out.reason, "signer-revoked");
    one = bytes(b);
    two = bytes(a);
    ck_assert(one.len == two.len && memcmp(one.data, two.data, one.len) == 0);
    crl = get(a);
    ck_assert_int_eq(reason_of(crl, book.known), 1);
    ck_assert(number_of(crl) == number + 1);
    ck_assert_int_eq(book.puts, 2);
    X509_CRL_free(crl);
}
END_TEST

START_TEST(by_its_own_signature)
{
    ca_t *ca = host(NULL), *other;
    crypt_buf_t der = encode(issue(ca)), foreign, cut = der;
    X509_CRL *crl;
    outcome_t out;

    other = ca_fixture_local(ca_fixture_ca(fixture_rsa(2), 10), fixture_rsa(2), NULL, cfg);
    foreign = encode(issue(other));
    cut.len--;
    ck_assert_int_eq(ca_revoke_certificate(ca, &foreign, 0, &out, sink, fixture_pool()),
                     APR_NOTFOUND);
    ck_assert_int_eq(ca_revoke_certificate(ca, &cut, 0, &out, sink, fixture_pool()),
                     APR_NOTFOUND);
    cut.len = 0;
    ck_assert_int_eq(ca_revoke_certificate(ca, &cut, 0, &out, sink, fixture_pool()),
                     APR_NOTFOUND);
    ck_assert_uint_eq(ERR_peek_error(), 0);
    ck_assert_int_eq(book.revoked->nelts, 0);
    ck_assert_int_eq(ca_revoke_certificate(ca, &der, 0, &out, sink, fixture_pool()), APR_SUCCESS);
    ck_assert(APR_ARRAY_IDX(book.revoked, 0, ca_revoked_t).until >
              apr_time_now() + HOURS(24 * 366));
    crl = get(ca);
    ck_assert_int_eq(reason_of(crl, APR_ARRAY_IDX(book.revoked, 0, ca_revoked_t).serial), -1);
    X509_CRL_free(crl);
}
END_TEST

/* With ScepRenewalGrace a certificate is good for renewal long after its end. */
START_TEST(is_known_after_the_end)
{
    ca_t *ca = host(NULL);
    X509 *cert = issue(ca);
    crypt_buf_t der = encode(cert);
    apr_time_t end = crypt_asn1_time(X509_get0_notAfter(cert));
    ca_revoked_t *entry;
    X509_CRL *crl;
    outcome_t out;

    ck_assert_int_eq(ca_revoke_certificate(ca, &der, 1, &out, sink, fixture_pool()), APR_SUCCESS);
    entry = &APR_ARRAY_IDX(book.revoked, 0, ca_revoked_t);
    ck_assert(entry->until >= end + CA_GRACE_MAX);
    crl = get(ca);
    ck_assert_int_eq(reason_of(crl, entry->serial), 1);
    X509_CRL_free(crl);
    /* a month after the end */
    entry->until -= end - apr_time_now() + HOURS(24 * 30);
    book.crl.changes++;
    crl = get(ca);
    ck_assert_int_eq(X509_CRL_get_REVOKED(crl) ? sk_X509_REVOKED_num(X509_CRL_get_REVOKED(crl)) : 0,
                     0);
    X509_CRL_free(crl);
    ck_assert_int_eq(ca_check_signer(ca, cert, NULL, end + HOURS(24 * 30), HOURS(24 * 60), &out,
                                     sink, fixture_pool()), APR_EACCES);
    ck_assert_str_eq(out.reason, "signer-revoked");
}
END_TEST

START_TEST(reasons_and_hostile_numbers)
{
    static const int bad[] = {-1, 2, 6, 7, 8, 10, 11, 256};
    static const char *const numbers[] = {
        "-01", "00", "-0112233445566778899aabbccddeef00",
        "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"};
    ca_t *ca = host(NULL);
    outcome_t out;
    int i;

    book.known = SERIAL "0";
    for (i = 0; i < COUNT(bad); i++) {
        ck_assert_int_eq(ca_revoke(ca, integer(SERIAL "0"), bad[i], &out, fixture_pool()),
                         APR_EINVAL);
        ck_assert_str_eq(out.reason, "revoke-reason");
    }
    for (i = 0; i < COUNT(numbers); i++) {
        ck_assert_int_eq(ca_revoke(ca, integer(numbers[i]), 0, &out, fixture_pool()),
                         APR_NOTFOUND);
    }
    ck_assert_int_eq(book.revoked->nelts, 0);
    ck_assert_int_eq(ca_revoke(ca, integer(SERIAL "0"), 9, &out, fixture_pool()), APR_SUCCESS);
    cfg->ledger = NULL;
    ck_assert_int_eq(ca_revoke(host(NULL), integer(SERIAL "0"), 9, &out, fixture_pool()),
                     APR_ENOTIMPL);
}
END_TEST

START_TEST(thousands)
{
    ca_t *ca = host(NULL);
    ca_revoked_t entry = {NULL, 4, 0, 0};
    X509_CRL *crl;
    int i;

    entry.until = apr_time_now() + CA_GRACE_MAX + HOURS(24 * 30);
    for (i = 0; i < 5000; i++) {
        entry.serial = apr_psprintf(fixture_pool(), "%02x%030x", 1 + i % 100, i * 7919);
        entry.when = apr_time_now();
        APR_ARRAY_PUSH(book.revoked, ca_revoked_t) = entry;
    }
    book.crl.changes = 5000;
    crl = get(ca);
    ck_assert_int_eq(sk_X509_REVOKED_num(X509_CRL_get_REVOKED(crl)), 5000);
    ck_assert_int_eq(reason_of(crl, APR_ARRAY_IDX(book.revoked, 4321, ca_revoked_t).serial), 4);
    X509_CRL_free(crl);
    for (i = 0; i < 165000; i++) {
        entry.serial = apr_psprintf(fixture_pool(), "7f%030x", i);
        APR_ARRAY_PUSH(book.revoked, ca_revoked_t) = entry;
        if (i == 24999) {   /* more than SCEP can carry, not more than a URL */
            book.crl.changes = 30000;
            crl = get(ca);
            ck_assert_int_eq(sk_X509_REVOKED_num(X509_CRL_get_REVOKED(crl)), 30000);
            X509_CRL_free(crl);
        }
    }
    book.crl.changes = 170000;
    (void)bytes(ca);
    ck_assert_ptr_nonnull(strstr(fixture_log_text(sink), "too large"));
}
END_TEST

START_TEST(no_answer)
{
    ca_t *ca = host(NULL), *late = host(NULL);
    X509 *cert = issue(ca);
    crypt_buf_t der, good = bytes(ca);
    const char *said;
    outcome_t out;

    book.down = 1;
    ck_assert_int_eq(check(ca, cert, &out), APR_TIMEUP);
    ck_assert_int_eq(out.result, OUTCOME_UNAVAILABLE);
    ck_assert_ptr_nonnull(strstr(out.detail, "the book is shut"));
    ck_assert_int_eq(ca_revoke(ca, integer(SERIAL "0"), 0, &out, fixture_pool()), APR_TIMEUP);
    ck_assert_int_eq(out.result, OUTCOME_UNAVAILABLE);
    ck_assert_int_eq(ca_crl(late, &der, SIZE_MAX, &out, sink, fixture_pool()), APR_EGENERAL);
    ck_assert_ptr_nonnull(strstr(out.detail, "the book is shut"));
    ck_assert_str_eq(fixture_log_text(sink), "");
    der = bytes(ca);
    ck_assert(der.len == good.len && memcmp(der.data, good.data, der.len) == 0);
    der = bytes(ca);
    said = strstr(fixture_log_text(sink), "SCEP0322");
    ck_assert_ptr_nonnull(said);
    ck_assert_ptr_null(strstr(said + 1, "SCEP0322"));
}
END_TEST

/* Puts the list back into the book with other times, signed by key. */
static void age(apr_interval_time_t from, apr_interval_time_t to, EVP_PKEY *key)
{
    const unsigned char *at = book.crl.der.data;
    X509_CRL *crl = d2i_X509_CRL(NULL, &at, (long)book.crl.der.len);
    apr_time_t now = apr_time_now();
    ASN1_TIME *start = ASN1_TIME_set(NULL, (time_t)apr_time_sec(now + from));
    ASN1_TIME *end = ASN1_TIME_set(NULL, (time_t)apr_time_sec(now + to));
    unsigned char *data = NULL;
    crypt_buf_t der;

    ck_assert(X509_CRL_set1_lastUpdate(crl, start) && X509_CRL_set1_nextUpdate(crl, end) &&
              X509_CRL_sign(crl, key, EVP_sha256()) > 0);
    der.len = (apr_size_t)i2d_X509_CRL(crl, &data);
    der.data = data;
    keep(book.crl.number + 1, book.crl.made_of, &der);
    OPENSSL_free(data);
    ASN1_TIME_free(start);
    ASN1_TIME_free(end);
    X509_CRL_free(crl);
}

START_TEST(renewed_in_time)
{
    ca_t *ca = host(NULL);
    apr_int64_t number;

    (void)bytes(ca);
    age(HOURS(-13), HOURS(13), fixture_rsa(0));
    number = book.crl.number;
    (void)bytes(ca);
    ck_assert_int_eq(book.puts, 1);
    age(HOURS(-14), HOURS(12), fixture_rsa(0));
    (void)bytes(ca);
    ck_assert_int_eq(book.puts, 2);
    ck_assert(book.crl.number == number + 2);
    (void)bytes(host(NULL));
    ck_assert_int_eq(book.puts, 2);
}
END_TEST

START_TEST(lists_of_others)
{
    crypt_buf_t garbage = {(const unsigned char *)"0\x03\x02\x01\x01", 5};
    ca_t *ca = host(NULL);

    (void)bytes(ca);
    age(0, HOURS(24), fixture_rsa(2));
    (void)bytes(ca);
    ck_assert_int_eq(book.puts, 2);
    keep(book.crl.number + 1, 0, &garbage);
    (void)bytes(ca);
    ck_assert_int_eq(book.puts, 3);
    ck_assert_str_eq(fixture_log_text(sink), "");
}
END_TEST

START_TEST(somebody_was_first)
{
    ca_t *a = host(NULL), *b = host(NULL);
    crypt_buf_t theirs = bytes(a), ours;
    ca_revoked_t entry = {"0a", 1, 0, 0};

    (void)bytes(b);
    entry.until = apr_time_now() + HOURS(1);
    ck_assert_int_eq(book_revoke(NULL, &entry, fixture_pool()), APR_SUCCESS);
    book.overtake = theirs; /* says of itself that it holds the change */
    ours = bytes(b);
    ck_assert(ours.len == theirs.len && memcmp(ours.data, theirs.data, ours.len) == 0);
    ck_assert_int_eq(book.puts, 2);
}
END_TEST

/* The error of making a CA with these words and this key usage. */
static const char *error_of(const char *word, const char *key_usage)
{
    apr_pool_t *p = fixture_pool();
    const char *dir = fixture_directory(p), *words[3];
    fixture_certificate_t want;
    ca_t *ca;

    memset(&want, 0, sizeof(want));
    want.subject = "unit CA";
    want.key = fixture_rsa(0);
    want.ca = 1;
    want.not_before = -3600;
    want.not_after = 86400;
    want.key_usage = key_usage;
    words[0] = apr_pstrcat(p, "certificate=", fixture_file(p, dir, "ca.pem",
                           fixture_certificate_pem(p, fixture_certificate(p, &want)), 0600), NULL);
    words[1] = apr_pstrcat(p, "key=", fixture_file(p, dir, "ca.key",
                           fixture_key_pem(p, want.key), 0600), NULL);
    words[2] = word;
    return ca_make(&ca, &ca_local_provider, 3, words, cfg, p);
}

START_TEST(settings)
{
    static const char *const bad[] = {"crlLifetime=", "crlLifetime=0", "crlLifetime=59s",
                                      "crlLifetime=400d", "crlLifetime=on", "crlLifetime=-1h",
                                      "crlDistributionPoint=", "crlDistributionPoint=ftp://x/",
                                      "crlDistributionPoint=http://x/ y"};
    X509_CRL *crl;
    X509 *cert;
    crypt_buf_t der;
    outcome_t out;
    int i;

    for (i = 0; i < COUNT(bad); i++) {
        ck_assert_msg(error_of(bad[i], NULL) != NULL, "%s", bad[i]);
    }
    ck_assert_int_eq(ca_crl(host("crlLifetime=off"), &der, SIZE_MAX, &out, sink, fixture_pool()),
                     APR_ENOTIMPL);
    crl = get(host("crlLifetime=2h"));
    ck_assert(crypt_asn1_time(X509_CRL_get0_nextUpdate(crl)) <= apr_time_now() + HOURS(2));
    X509_CRL_free(crl);
    cert = issue(host("crlDistributionPoint=http://pki.example/mscep.crl"));
    ck_assert_int_ge(X509_get_ext_by_NID(cert, NID_crl_distribution_points, -1), 0);
    ck_assert_ptr_nonnull(strstr(error_of("crlLifetime=2h", "critical,keyCertSign"), "cRLSign"));
    ck_assert_ptr_null(error_of("digest=sha256", "critical,keyCertSign"));
    cfg->crl_file = "/nowhere";
    ck_assert_ptr_nonnull(strstr(error_of("crlLifetime=2h", NULL), "ScepCRLFile"));
}
END_TEST

Suite *test_ca_ledger_suite(void)
{
    Suite *suite = suite_create("ca_ledger");
    TCase *tcase = tcase_create("ledger");

    tcase_add_checked_fixture(tcase, setup, fixture_teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, empty_list);
    tcase_add_test(tcase, revoked_at_once_on_each_host);
    tcase_add_test(tcase, by_its_own_signature);
    tcase_add_test(tcase, is_known_after_the_end);
    tcase_add_test(tcase, reasons_and_hostile_numbers);
    tcase_add_test(tcase, thousands);
    tcase_add_test(tcase, no_answer);
    tcase_add_test(tcase, renewed_in_time);
    tcase_add_test(tcase, lists_of_others);
    tcase_add_test(tcase, somebody_was_first);
    tcase_add_test(tcase, settings);
    suite_add_tcase(suite, tcase);
    return suite;
}
