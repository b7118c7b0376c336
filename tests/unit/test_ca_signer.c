/* SPDX-License-Identifier: Apache-2.0 */
/* Whose certificate a signer's is, and what the CA's revocation list says of it. */
#include "ca_fixture.h"

#include <apr_file_io.h>
#include <apr_strings.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

Suite *test_ca_signer_suite(void);

#define DAY 86400L
#define SERIAL 4711

static X509 *ca_cert;           /* key: fixture_rsa(0) */
static const char *dir;
static ca_config_t *cfg;

static void setup(void)
{
    fixture_setup();
    ca_cert = ca_fixture_ca(fixture_rsa(0), 400);
    dir = fixture_directory(fixture_pool());
    cfg = ca_fixture_config();
}

/* What a device has: issued by the CA, valid from and to days from now. */
static X509 *device_cert(long from, long to)
{
    fixture_certificate_t want;

    memset(&want, 0, sizeof(want));
    want.subject = "device";
    want.key = fixture_rsa(1);
    want.issuer = ca_cert;
    want.issuer_key = fixture_rsa(0);
    want.serial = SERIAL;
    want.not_before = from * DAY - 60;
    want.not_after = to * DAY;
    return fixture_certificate(fixture_pool(), &want);
}

/* What crl_file() makes. */
typedef struct list_t {
    X509 *issuer;               /* NULL: the CA */
    EVP_PKEY *key;              /* NULL: the CA's */
    long serial;                /* revoked; 0: none */
    int reason;                 /* -1: none is given */
    long to;                    /* nextUpdate in days; 0: none */
    const EVP_MD *md;           /* NULL: SHA-256 */
    const char *name, *value;   /* an extension */
    int is_der;
} list_t;

static const list_t good_list = {.serial = SERIAL + 1, .reason = -1, .to = 1};

/* Adds want's revoked serial number. */
static void add_entry(X509_CRL *crl, const list_t *want)
{
    X509_REVOKED *entry = X509_REVOKED_new();
    ASN1_INTEGER *serial = ASN1_INTEGER_new();
    ASN1_ENUMERATED *reason = ASN1_ENUMERATED_new();
    ASN1_TIME *now = X509_gmtime_adj(NULL, -60);

    ck_assert(ASN1_INTEGER_set(serial, want->serial));
    ck_assert(X509_REVOKED_set_serialNumber(entry, serial));
    ck_assert(X509_REVOKED_set_revocationDate(entry, now));
    if (want->reason >= 0) {
        ck_assert(ASN1_ENUMERATED_set(reason, want->reason));
        ck_assert_int_eq(X509_REVOKED_add1_ext_i2d(entry, NID_crl_reason, reason, 0, 0), 1);
    }
    ck_assert(X509_CRL_add0_revoked(crl, entry));
    ASN1_TIME_free(now);
    ASN1_ENUMERATED_free(reason);
    ASN1_INTEGER_free(serial);
}

/* Writes a CRL to name; returns its path. */
static const char *crl_file(const char *name, const list_t *want)
{
    X509_CRL *crl = X509_CRL_new();
    X509 *issuer = want->issuer != NULL ? want->issuer : ca_cert;
    const char *path = apr_pstrcat(fixture_pool(), dir, "/", name, NULL);
    ASN1_TIME *time = X509_gmtime_adj(NULL, -60);
    BIO *out = BIO_new_file(path, "wb");

    ck_assert(X509_CRL_set_version(crl, 1));
    ck_assert(X509_CRL_set_issuer_name(crl, X509_get_subject_name(issuer)));
    ck_assert(X509_CRL_set1_lastUpdate(crl, time));
    if (want->to != 0) {
        ck_assert(X509_gmtime_adj(time, want->to * DAY) != NULL);
        ck_assert(X509_CRL_set1_nextUpdate(crl, time));
    }
    if (want->serial != 0) {
        add_entry(crl, want);
    }
    if (want->name != NULL) {
        X509V3_CTX ctx;
        X509_EXTENSION *ext;

        X509V3_set_ctx(&ctx, issuer, NULL, NULL, crl, 0);
        ext = X509V3_EXT_conf(NULL, &ctx, want->name, want->value);
        ck_assert_ptr_nonnull(ext);
        ck_assert(X509_CRL_add_ext(crl, ext, -1));
        X509_EXTENSION_free(ext);
    }
    ck_assert(X509_CRL_sign(crl, want->key != NULL ? want->key : fixture_rsa(0),
                            want->md != NULL ? want->md : EVP_sha256()) > 0);
    ck_assert(want->is_der ? i2d_X509_CRL_bio(out, crl) : PEM_write_bio_X509_CRL(out, crl));
    BIO_free(out);
    ASN1_TIME_free(time);
    X509_CRL_free(crl);
    return path;
}

/* A CA with that crl_file (NULL: none). */
static ca_t *make_ca(const char *path)
{
    cfg->crl_file = path;
    return ca_fixture_local(ca_cert, fixture_rsa(0), NULL, cfg);
}

/* ca_check_signer() without grace and foreign CAs; checks what it leaves in out. */
static apr_status_t check(ca_t *ca, X509 *cert, const char *reason)
{
    outcome_t out;
    apr_status_t rv;

    memset(&out, 0, sizeof(out));
    rv = ca_check_signer(ca, cert, NULL, apr_time_now(), 0, &out, NULL, fixture_pool());
    if (reason == NULL) {
        ck_assert_ptr_null(out.reason);
        return rv;
    }
    ck_assert_ptr_nonnull(out.reason);
    ck_assert_str_eq(out.reason, reason);
    ck_assert_int_eq(out.result, rv == APR_EACCES ? OUTCOME_REFUSED : OUTCOME_UNAVAILABLE);
    return rv;
}

START_TEST(own_and_strange)
{
    ca_t *ca = make_ca(NULL);
    fixture_certificate_t want;
    X509 *ours = device_cert(0, 10), *sub;

    ck_assert_int_eq(check(ca, ours, NULL), APR_SUCCESS);
    ck_assert_int_eq(check(ca, ca_cert, NULL), APR_NOTFOUND);
    memset(&want, 0, sizeof(want));
    want.subject = "self";
    ck_assert_int_eq(check(ca, fixture_certificate(fixture_pool(), &want), NULL), APR_NOTFOUND);
    /* the CA's name, another's key: only the signature tells */
    want.subject = "device";
    want.key = fixture_rsa(1);
    want.issuer = ca_cert;
    want.issuer_key = fixture_rsa(2);
    ck_assert_int_eq(check(ca, fixture_certificate(fixture_pool(), &want), NULL), APR_NOTFOUND);
    /* a CA below ours, and who has a certificate from it */
    want.subject = "sub CA";
    want.issuer_key = fixture_rsa(0);
    want.ca = 1;
    sub = fixture_certificate(fixture_pool(), &want);
    ck_assert_int_eq(check(ca, sub, NULL), APR_NOTFOUND);
    want.subject = "below";
    want.issuer = sub;
    want.issuer_key = fixture_rsa(1);
    want.ca = 0;
    ck_assert_int_eq(check(ca, fixture_certificate(fixture_pool(), &want), NULL), APR_NOTFOUND);
    /* the CA's own key in a leaf of its own name */
    want.subject = "unit CA";
    want.key = fixture_rsa(0);
    want.issuer = ca_cert;
    want.issuer_key = fixture_rsa(0);
    ck_assert_int_eq(check(ca, fixture_certificate(fixture_pool(), &want), NULL), APR_NOTFOUND);
}
END_TEST

START_TEST(times)
{
    ca_t *ca = make_ca(NULL);
    apr_time_t now = apr_time_now();
    X509 *expired = device_cert(-30, -10);
    outcome_t out;

    ck_assert_int_eq(check(ca, expired, "signer-expired"), APR_EACCES);
    ck_assert_int_eq(check(ca, device_cert(1, 10), "signer-not-yet-valid"), APR_EACCES);
    ck_assert_int_eq(ca_check_signer(ca, expired, NULL, now, apr_time_from_sec(9 * DAY), &out,
                                     NULL, fixture_pool()), APR_EACCES);
    ck_assert_int_eq(ca_check_signer(ca, expired, NULL, now, apr_time_from_sec(11 * DAY), &out,
                                     NULL, fixture_pool()), APR_SUCCESS);
    /* 4 minutes ahead is a clock, 6 are not */
    ck_assert_int_eq(ca_check_signer(ca, device_cert(0, 10), NULL,
                                     now - apr_time_from_sec(60 + 240), 0, &out, NULL,
                                     fixture_pool()), APR_SUCCESS);
    ck_assert_int_eq(ca_check_signer(ca, device_cert(0, 10), NULL,
                                     now - apr_time_from_sec(60 + 360), 0, &out, NULL,
                                     fixture_pool()), APR_EACCES);
    /* within grace the CA's own expiry does not matter */
    ck_assert_int_eq(ca_check_signer(ca, expired, NULL, now + apr_time_from_sec(500 * DAY),
                                     apr_time_from_sec(600 * DAY), &out, NULL, fixture_pool()),
                     APR_SUCCESS);
}
END_TEST

START_TEST(weak_signature_and_path)
{
    ca_t *ca = make_ca(NULL);
    X509 *weak = device_cert(0, 10);
    fixture_certificate_t want;

    ck_assert(X509_sign(weak, fixture_rsa(0), EVP_sha1()) > 0);
    ck_assert_int_eq(check(ca, weak, "signer-algorithm"), APR_EACCES);
    memset(&want, 0, sizeof(want));
    want.subject = "device";
    want.key = fixture_rsa(1);
    want.issuer = ca_cert;
    want.issuer_key = fixture_rsa(0);
    want.extension = "1.2.3.4=critical,DER:0500";
    ck_assert_int_eq(check(ca, fixture_certificate(fixture_pool(), &want), "signer-path"),
                     APR_EACCES);
}
END_TEST

START_TEST(foreign_store)
{
    ca_t *ca = make_ca(NULL);
    X509_STORE *store = X509_STORE_new();
    apr_time_t now = apr_time_now();
    fixture_certificate_t want;
    X509 *other, *theirs;
    outcome_t out;

    memset(&want, 0, sizeof(want));
    want.subject = "other CA";
    want.key = fixture_rsa(2);
    want.ca = 1;
    other = fixture_certificate(fixture_pool(), &want);
    ck_assert(X509_STORE_add_cert(store, other));
    want.subject = "device";
    want.key = fixture_rsa(1);
    want.issuer = other;
    want.issuer_key = fixture_rsa(2);
    want.ca = 0;
    want.not_before = -3600;
    want.not_after = DAY;
    theirs = fixture_certificate(fixture_pool(), &want);
    ck_assert_int_eq(check(ca, theirs, NULL), APR_NOTFOUND);
    ck_assert_int_eq(ca_check_signer(ca, theirs, store, now, 0, &out, NULL, fixture_pool()),
                     APR_SUCCESS);
    ck_assert_int_eq(ca_check_signer(ca, theirs, store, now + apr_time_from_sec(2 * DAY), 0, &out,
                                     NULL, fixture_pool()), APR_EACCES);
    ck_assert_str_eq(out.reason, "signer-expired");
    ck_assert_int_eq(ca_check_signer(ca, other, store, now, 0, &out, NULL, fixture_pool()),
                     APR_NOTFOUND);
    want.issuer_key = fixture_rsa(0);
    ck_assert_int_eq(ca_check_signer(ca, fixture_certificate(fixture_pool(), &want), store, now, 0,
                                     &out, NULL, fixture_pool()), APR_NOTFOUND);
    X509_STORE_free(store);
}
END_TEST

START_TEST(key_rules)
{
    static const char *const words[] = {"minimumKey=3072", "ecCurves=P-384"};
    ca_t *ca = make_ca(NULL);
    const ca_template_t *t;
    EVP_PKEY *ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    outcome_t out;

    ck_assert_ptr_null(ca_template_make(&t, "strict", 2, words, fixture_pool()));
    APR_ARRAY_PUSH((apr_array_header_t *)cfg->templates, const ca_template_t *) = t;
    ck_assert_int_eq(ca_check_key(ca, "none such", fixture_rsa(1), &out, fixture_pool()),
                     APR_SUCCESS);
    ck_assert_int_eq(ca_check_key(ca, "none such", fixture_ec(), &out, fixture_pool()),
                     APR_SUCCESS);
    ck_assert_int_eq(ca_check_key(ca, "strict", fixture_rsa(1), &out, fixture_pool()), APR_EACCES);
    ck_assert_str_eq(out.reason, "template-key-length");
    ck_assert_int_eq(ca_check_key(ca, "strict", fixture_ec(), &out, fixture_pool()), APR_EACCES);
    ck_assert_str_eq(out.reason, "template-key-type");
    ck_assert_int_eq(ca_check_key(ca, "default", ed, &out, fixture_pool()), APR_EACCES);
    ck_assert_str_eq(out.reason, "template-key-type");
    EVP_PKEY_free(ed);
}
END_TEST

START_TEST(revoked)
{
    list_t want = good_list;
    ca_t *ca;

    ck_assert_int_eq(check(make_ca(crl_file("good.crl", &want)), device_cert(0, 10), NULL),
                     APR_SUCCESS);
    want.serial = SERIAL;
    want.is_der = 1;
    ca = make_ca(crl_file("revoked.crl", &want));
    ck_assert_int_eq(check(ca, device_cert(0, 10), "signer-revoked"), APR_EACCES);
    want.reason = 6;                        /* certificateHold */
    ca = make_ca(crl_file("hold.crl", &want));
    ck_assert_int_eq(check(ca, device_cert(0, 10), "signer-revoked"), APR_EACCES);
    want.reason = 8;                        /* removeFromCRL */
    ca = make_ca(crl_file("released.crl", &want));
    ck_assert_int_eq(check(ca, device_cert(0, 10), NULL), APR_SUCCESS);
}
END_TEST

/* The error text of ca_make() with that crl_file. */
static const char *make_error(const char *path)
{
    apr_pool_t *p = fixture_pool();
    const char *words[2];
    ca_t *ca;

    cfg->crl_file = path;
    words[0] = apr_pstrcat(p, "certificate=", fixture_file(p, dir, "ca.pem",
                           fixture_certificate_pem(p, ca_cert), 0600), NULL);
    words[1] = apr_pstrcat(p, "key=", fixture_file(p, dir, "ca.key",
                           fixture_key_pem(p, fixture_rsa(0)), 0600), NULL);
    return ca_make(&ca, &ca_local_provider, 2, words, cfg, p);
}

/* The error text must hold part. */
static void assert_unusable(const char *path, const char *part)
{
    const char *error = make_error(path);

    ck_assert_ptr_nonnull(error);
    ck_assert_msg(strstr(error, part) != NULL && strstr(error, path) != NULL, "%s", error);
}

START_TEST(bad_files)
{
    apr_pool_t *p = fixture_pool();
    list_t want = good_list;
    const char *pem, *path;
    char *twice;
    apr_file_t *file;
    apr_size_t len;

    assert_unusable(apr_pstrcat(p, dir, "/absent", NULL), "No such file");
    assert_unusable(dir, "not a file");
    assert_unusable(fixture_file(p, dir, "empty", "", 0600), "empty");
    assert_unusable(fixture_file(p, dir, "text", "no CRL at all\n", 0600), "not a CRL");
    assert_unusable(fixture_file(p, dir, "zero", "0\n", 0600), "not a CRL");
    assert_unusable(fixture_file(p, dir, "cert", fixture_certificate_pem(p, ca_cert), 0600),
                    "not a CRL");
    path = crl_file("good.crl", &want);
    twice = apr_pcalloc(p, 8192);
    len = 8191;
    ck_assert_int_eq(apr_file_open(&file, path, APR_READ, 0, p), APR_SUCCESS);
    ck_assert_int_eq(apr_file_read(file, twice, &len), APR_SUCCESS);
    apr_file_close(file);
    pem = apr_pstrdup(p, twice);
    assert_unusable(fixture_file(p, dir, "two", apr_pstrcat(p, pem, pem, NULL), 0600),
                    "more than one");
    assert_unusable(fixture_file(p, dir, "cut", apr_pstrndup(p, pem, 300), 0600), "not a CRL");
    want.key = fixture_rsa(2);
    assert_unusable(crl_file("forged.crl", &want), "signature");
    want.issuer = ca_fixture_ca(fixture_rsa(2), 10);
    assert_unusable(crl_file("named.crl", &want), "signature");
    want = good_list;
    want.to = 0;
    assert_unusable(crl_file("endless.crl", &want), "nextUpdate");
    want = good_list;
    want.md = EVP_sha1();
    assert_unusable(crl_file("sha1.crl", &want), "algorithm");
}
END_TEST

START_TEST(other_scopes)
{
    list_t want = good_list;
    fixture_certificate_t other;

    want.name = "deltaCRL";
    want.value = "critical,DER:020103";
    assert_unusable(crl_file("delta.crl", &want), "delta");
    want.name = "issuingDistributionPoint";
    want.value = "critical,onlyCA:TRUE";
    assert_unusable(crl_file("onlyca.crl", &want), "CA certificates");
    want.value = "critical,indirectCRL:TRUE";
    assert_unusable(crl_file("indirect.crl", &want), "CAs only");
    want.value = "critical,onlysomereasons:keyCompromise";
    assert_unusable(crl_file("reasons.crl", &want), "reasons");
    want.value = "critical,fullname:URI:http://crl.example/ca.crl";
    ck_assert_ptr_null(make_error(crl_file("point.crl", &want)));
    want.name = "1.2.3.4";
    want.value = "critical,DER:0500";
    assert_unusable(crl_file("critical.crl", &want), "critical");
    memset(&other, 0, sizeof(other));
    other.subject = "another CA";
    other.key = fixture_rsa(2);
    other.ca = 1;
    want = good_list;
    want.issuer = fixture_certificate(fixture_pool(), &other);
    want.key = fixture_rsa(2);
    assert_unusable(crl_file("other.crl", &want), "issuer");
}
END_TEST

START_TEST(not_configured)
{
    ca_t *ca = make_ca(NULL);
    apr_time_t time;
    crypt_buf_t der;
    outcome_t out;

    memset(&out, 0, sizeof(out));
    ck_assert_int_eq(ca_crl(ca, &der, SIZE_MAX, &out, NULL, fixture_pool()), APR_ENOTIMPL);
    ck_assert_ptr_null(out.reason);
    ck_assert_int_eq(ca_crl_expires(ca, &time), APR_ENOTIMPL);
}
END_TEST

START_TEST(out_of_date)
{
    log_sink_t *log = fixture_log(fixture_pool());
    list_t want = good_list;
    ca_t *ca;
    apr_time_t time;
    crypt_buf_t der;
    outcome_t out;

    want.to = -1;
    ca = make_ca(crl_file("old.crl", &want));
    ck_assert_int_eq(ca_crl_expires(ca, &time), APR_SUCCESS);
    ck_assert(time < apr_time_now() && time > apr_time_now() - apr_time_from_sec(2 * DAY));
    ck_assert_int_eq(ca_crl(ca, &der, SIZE_MAX, &out, log, fixture_pool()), APR_EGENERAL);
    ck_assert_int_eq(out.result, OUTCOME_UNAVAILABLE);
    ck_assert_int_eq(check(ca, device_cert(0, 10), "crl"), APR_EGENERAL);
    ck_assert_int_eq(ca_crl(ca, &der, SIZE_MAX, &out, log, fixture_pool()), APR_EGENERAL);
    /* said once */
    ck_assert_ptr_nonnull(strstr(fixture_log_text(log), "SCEP0321"));
    ck_assert_ptr_null(strstr(strstr(fixture_log_text(log), "SCEP0321") + 1, "SCEP0321"));
}
END_TEST

START_TEST(replaced_file)
{
    apr_pool_t *p = fixture_pool();
    log_sink_t *log = fixture_log(p);
    list_t want = good_list;
    const char *path = crl_file("current.crl", &want), *next;
    ca_t *ca = make_ca(path);
    crypt_buf_t first, second;
    outcome_t out;

    ck_assert_int_eq(ca_child_init(ca, p), APR_SUCCESS);
    ck_assert_int_eq(check(ca, device_cert(0, 10), NULL), APR_SUCCESS);
    ck_assert_int_eq(ca_crl(ca, &first, SIZE_MAX, &out, log, p), APR_SUCCESS);
    ck_assert_int_eq(ca_crl(ca, &second, first.len - 1, &out, log, p), APR_ENOSPC);
    ck_assert_int_eq(ca_crl(ca, &second, first.len, &out, log, p), APR_SUCCESS);
    want.serial = SERIAL;
    next = crl_file("next.crl", &want);
    ck_assert_int_eq(apr_file_rename(next, path, p), APR_SUCCESS);
    ck_assert_int_eq(check(ca, device_cert(0, 10), "signer-revoked"), APR_EACCES);
    ck_assert_int_eq(ca_crl(ca, &second, SIZE_MAX, &out, log, p), APR_SUCCESS);
    ck_assert(first.len != second.len || memcmp(first.data, second.data, first.len) != 0);
    ck_assert_str_eq(fixture_log_text(log), "");
    /* a bad one is no list, said once; a good one counts again */
    fixture_file(p, dir, "current.crl", "garbage", 0600);
    ck_assert_int_eq(ca_crl(ca, &second, SIZE_MAX, &out, log, p), APR_EGENERAL);
    ck_assert_int_eq(check(ca, device_cert(0, 10), "crl"), APR_EGENERAL);
    ck_assert_int_eq(ca_crl(ca, &second, SIZE_MAX, &out, log, p), APR_EGENERAL);
    ck_assert_ptr_null(strstr(strstr(fixture_log_text(log), "SCEP0320") + 1, "SCEP0320"));
    want.serial = SERIAL + 1;
    crl_file("current.crl", &want);
    ck_assert_int_eq(check(ca, device_cert(0, 10), NULL), APR_SUCCESS);
    ck_assert_int_eq(apr_file_remove(path, p), APR_SUCCESS);
    ck_assert_int_eq(check(ca, device_cert(0, 10), "crl"), APR_EGENERAL);
}
END_TEST

Suite *test_ca_signer_suite(void)
{
    Suite *suite = suite_create("ca_signer");
    TCase *signer = tcase_create("signer"), *crl = tcase_create("crl");

    tcase_add_checked_fixture(signer, setup, fixture_teardown);
    tcase_add_test(signer, own_and_strange);
    tcase_add_test(signer, times);
    tcase_add_test(signer, weak_signature_and_path);
    tcase_add_test(signer, foreign_store);
    tcase_add_test(signer, key_rules);
    suite_add_tcase(suite, signer);
    tcase_add_checked_fixture(crl, setup, fixture_teardown);
    tcase_add_test(crl, revoked);
    tcase_add_test(crl, bad_files);
    tcase_add_test(crl, other_scopes);
    tcase_add_test(crl, not_configured);
    tcase_add_test(crl, out_of_date);
    tcase_add_test(crl, replaced_file);
    suite_add_tcase(suite, crl);
    return suite;
}
