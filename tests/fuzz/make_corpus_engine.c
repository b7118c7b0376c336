/* SPDX-License-Identifier: Apache-2.0 */
/* Seeds of the targets that have a whole service (fuzz_world.h); their names say the answer. */
#include "fuzz_world.h"
#include "make_corpus.h"

#include <apr_strings.h>
#include <openssl/pkcs7.h>
#include <string.h>

/* The second byte of knobs, besides a fault of the store. */
#define CRL(which) ((which) << 4)
#define GET_OFF 64
#define POLICY_REFUSES 16
#define POLICY_UNAVAILABLE 32
#define FORBID 64

#define OURS "Fixture CA"

static apr_pool_t *pool;
static scep_fixture_t *fixture;

/* Some bytes and what follows them. */
static crypt_buf_t join(const unsigned char *head, size_t head_len, const crypt_buf_t *tail)
{
    unsigned char *data = apr_palloc(pool, head_len + tail->len);
    crypt_buf_t buf;

    memcpy(data, head, head_len);
    if (tail->len)
        memcpy(data + head_len, tail->data, tail->len);
    buf.data = data;
    buf.len = head_len + tail->len;
    return buf;
}

/* What an encoder of OpenSSL allocated, in the pool. */
static crypt_buf_t take(unsigned char *der, int len)
{
    crypt_buf_t buf;

    FUZZ_CHECK(len > 0);
    buf.data = apr_pmemdup(pool, der, (apr_size_t)len);
    buf.len = (apr_size_t)len;
    OPENSSL_free(der);
    return buf;
}

/* A name of one common name; the caller frees it. */
static X509_NAME *make_name(const char *cn)
{
    X509_NAME *name = X509_NAME_new();

    FUZZ_CHECK(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1,
                                          -1, 0));
    return name;
}

/* IssuerAndSubject. */
static crypt_buf_t issuer_and_subject(const char *issuer, const char *subject)
{
    const char *const names[2] = { issuer, subject };
    unsigned char head[2] = { V_ASN1_SEQUENCE | V_ASN1_CONSTRUCTED, 0 };
    crypt_buf_t both = { (const unsigned char *)"", 0 }, one;
    int i;

    for (i = 0; i < 2; i++) {
        X509_NAME *name = make_name(names[i]);
        unsigned char *der = NULL;
        int len = i2d_X509_NAME(name, &der);

        one = take(der, len);
        both = join(both.data, both.len, &one);
        X509_NAME_free(name);
    }
    head[1] = (unsigned char)both.len;
    return join(head, sizeof(head), &both);
}

/* IssuerAndSerialNumber. */
static crypt_buf_t issuer_and_serial(const char *issuer, long serial)
{
    PKCS7_ISSUER_AND_SERIAL *id = PKCS7_ISSUER_AND_SERIAL_new();
    unsigned char *der = NULL;
    crypt_buf_t buf;
    int len;

    X509_NAME_free(id->issuer);
    id->issuer = make_name(issuer);
    FUZZ_CHECK(ASN1_INTEGER_set_int64(id->serial, serial));
    len = i2d_PKCS7_ISSUER_AND_SERIAL(id, &der);
    buf = take(der, len);
    PKCS7_ISSUER_AND_SERIAL_free(id);
    return buf;
}

/* ---- polls */

static void make_polls(void)
{
    static const struct {
        const char *name;
        unsigned char head[3];  /* knobs, transaction and signer */
    } seeds[] = {
        { "success-ready", { FUZZ_CA_ISSUES, 0, 0 } },
        { "success-issued", { FUZZ_CA_ISSUES, 0, 1 } },
        { "success-approved", { FUZZ_CA_ISSUES, 0, 4 } },
        { "success-renewal", { FUZZ_CA_ISSUES, 0, 6 | FUZZ_SIGNER_CLIENT << 3 } },
        { "pending-early", { FUZZ_CA_ISSUES, 0, 2 } },
        { "pending-manual", { FUZZ_CA_ISSUES, 0, 3 } },
        { "pending-ca_waits", { FUZZ_CA_WAITS, 0, 0 } },
        { "pending-ca_retry", { FUZZ_CA_RETRY, 0, 0 } },
        { "pending-busy", { FUZZ_CA_ISSUES, FUZZ_STORE_BUSY, 0 } },
        { "failure-denied", { FUZZ_CA_ISSUES, 0, 5 } },
        { "failure-failed", { FUZZ_CA_ISSUES, 0, 128 } },
        { "failure-unknown", { FUZZ_CA_ISSUES, 0, 7 } },
        { "failure-other_signer", { FUZZ_CA_ISSUES, 0, 0 | FUZZ_SIGNER_STRANGER << 3 } },
        { "failure-renewal_revoked", { FUZZ_CA_ISSUES, 0, 6 | FUZZ_SIGNER_REVOKED << 3 } },
        { "failure-ca_rejects", { FUZZ_CA_REJECTS, 0, 0 } },
        { "failure-policy", { FUZZ_CA_ISSUES | POLICY_REFUSES, 0, 4 } },
        { "failure-forbidden", { FUZZ_CA_ISSUES | FORBID, 0, 0 } },
        { "pending-policy", { FUZZ_CA_ISSUES | POLICY_UNAVAILABLE, 0, 4 } },
        { "http503-ca_unknown", { FUZZ_CA_UNKNOWN, 0, 0 } },
        { "http503-ca_broken", { FUZZ_CA_BROKEN, 0, 0 } },
        { "http503-ca_other_key", { FUZZ_CA_OTHER_KEY, 0, 0 } },
        { "http503-ca_no_leaf", { FUZZ_CA_NO_LEAF, 0, 0 } },
        { "http503-poll", { FUZZ_CA_ISSUES, FUZZ_STORE_POLL_FAILS, 0 } },
        { "http503-commit", { FUZZ_CA_ISSUES, FUZZ_STORE_COMMIT_FAILS, 0 } },
        { "http503-fenced", { FUZZ_CA_ISSUES, FUZZ_STORE_FENCED, 0 } },
        { "http503-pend", { FUZZ_CA_WAITS, FUZZ_STORE_PEND_FAILS, 0 } }
    };
    crypt_buf_t content = issuer_and_subject(OURS, "device"), seed;
    crypt_buf_t ber = scep_fixture_ber(pool, &content, 0);
    crypt_buf_t cut = { content.data, content.len - 1 };
    size_t i;

    for (i = 0; i < sizeof(seeds) / sizeof(seeds[0]); i++) {
        seed = join(seeds[i].head, 3, &content);
        corpus_write("poll", seeds[i].name, &seed);
    }
    seed = join(seeds[0].head, 3, &ber);
    corpus_write("poll", "success-ber", &seed);
    seed = join(seeds[0].head, 3, &cut);
    corpus_write("poll", "failure-cut", &seed);
}

/* ---- GetCert, GetCRL */

/* One question for each of seeds. */
typedef struct lookup_t {
    const char *name;
    unsigned char head[3];      /* knobs, signer */
    const char *issuer;
    long serial;
} lookup_t;

static void write_lookups(const char *target, const lookup_t *seeds, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++) {
        crypt_buf_t content = issuer_and_serial(seeds[i].issuer, seeds[i].serial);
        crypt_buf_t ber = scep_fixture_ber(pool, &content, 0);
        crypt_buf_t seed = join(seeds[i].head, 3, &content);

        corpus_write(target, seeds[i].name, &seed);
        if (i > 0)
            continue;
        seed = join(seeds[i].head, 3, &ber);
        corpus_write(target, "success-ber", &seed);
        content.len--;
        seed = join(seeds[i].head, 3, &content);
        corpus_write(target, "failure-cut", &seed);
    }
}

static void make_lookups(void)
{
    static const lookup_t certs[] = {
        { "success-own", { 0, 0, FUZZ_SIGNER_SELF }, OURS, FUZZ_WORLD_SERIAL },
        { "success-client", { 0, 0, FUZZ_SIGNER_CLIENT }, OURS, FUZZ_WORLD_SERIAL },
        { "success-ca", { 0, 0, FUZZ_SIGNER_STRANGER }, OURS, 1000 },
        { "failure-stranger", { 0, 0, FUZZ_SIGNER_STRANGER }, OURS, FUZZ_WORLD_SERIAL },
        { "failure-unknown", { 0, 0, FUZZ_SIGNER_CLIENT }, OURS, 77 },
        { "failure-negative", { 0, 0, FUZZ_SIGNER_CLIENT }, OURS, -FUZZ_WORLD_SERIAL },
        { "failure-issuer", { 0, 0, FUZZ_SIGNER_CLIENT }, "Other CA", FUZZ_WORLD_SERIAL },
        { "failure-off", { 0, GET_OFF, FUZZ_SIGNER_CLIENT }, OURS, FUZZ_WORLD_SERIAL },
        { "http503-find", { 0, FUZZ_STORE_FIND_FAILS, 0 }, OURS, FUZZ_WORLD_SERIAL }
    };
    static const lookup_t crls[] = {
        { "success-client", { 0, 0, FUZZ_SIGNER_CLIENT }, OURS, FUZZ_WORLD_CLIENT_SERIAL },
        { "success-stranger", { 0, 0, FUZZ_SIGNER_STRANGER }, OURS, 1 },
        { "failure-issuer", { 0, 0, FUZZ_SIGNER_CLIENT }, "Other CA", 1 },
        { "failure-none", { 0, CRL(FUZZ_CRL_NONE), FUZZ_SIGNER_CLIENT }, OURS, 1 },
        { "failure-off", { 0, GET_OFF, FUZZ_SIGNER_CLIENT }, OURS, 1 },
        { "http503-garbage", { 0, CRL(FUZZ_CRL_GARBAGE), FUZZ_SIGNER_CLIENT }, OURS, 1 },
        { "http503-broken", { 0, CRL(FUZZ_CRL_BROKEN), FUZZ_SIGNER_CLIENT }, OURS, 1 }
    };

    write_lookups("getcert", certs, sizeof(certs) / sizeof(certs[0]));
    write_lookups("getcrl", crls, sizeof(crls) / sizeof(crls[0]));
}

/* ---- renewals: the bits of the rules are those of fuzz_renewal.c */

#define NEW_KEY 1
#define AS_PKCS_REQ 2
#define BY_FOREIGN_CA 4
#define BY_ITSELF 8
#define SHA1_SIGNED 16
#define TRUST_FOREIGN 32
#define OTHER_SUBJECT 64
#define OFF 128
#define KEY_MUST_BE_NEW 1
#define KEY_MUST_STAY 2
#define WINDOW 4
#define GRACE 8
#define LONG_MEMORY 16

/* What the certificate in use is. */
typedef enum { CLIENT, REVOKED, FOREIGN, SELF, EXPIRED, EARLY } in_use_e;

/* DER of the certificate in use. */
static crypt_buf_t certificate_in_use(in_use_e which)
{
    static const char *const issuers[] = { OURS, OURS, "Foreign CA", NULL, OURS, OURS };
    scep_fixture_cert_t want;
    unsigned char *der = NULL;
    X509 *cert;
    int len;

    memset(&want, 0, sizeof(want));
    want.subject = "device";
    want.issuer = issuers[which];
    want.key = scep_fixture_key(SCEP_FIXTURE_DEVICE);
    want.serial = which == REVOKED ? FUZZ_WORLD_REVOKED_SERIAL : FUZZ_WORLD_CLIENT_SERIAL;
    cert = scep_fixture_certificate(pool, &want);
    if (which == EXPIRED)
        ASN1_TIME_set_string(X509_getm_notAfter(cert), "210101000000Z");
    if (which == EARLY)
        ASN1_TIME_set_string(X509_getm_notBefore(cert), "490101000000Z");
    X509_sign(cert, scep_fixture_key(SCEP_FIXTURE_CA), EVP_sha256());
    len = i2d_X509(cert, &der);
    return take(der, len);
}

/* Asks for an alternative name that the certificate in use does not have. */
static void add_name(X509_REQ *req, void *baton)
{
    STACK_OF(X509_EXTENSION) *exts = sk_X509_EXTENSION_new_null();

    (void)baton;
    sk_X509_EXTENSION_push(exts, X509V3_EXT_conf(NULL, NULL, "subjectAltName",
                                                 "DNS:device.example"));
    X509_REQ_add_extensions(req, exts);
    sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
}

static const struct renewal_t {
    const char *name;
    unsigned char head[4];      /* knobs, rules */
    in_use_e in_use;
    const char *subject, *challenge, *key_usage;
    int alternative_name;
} renewals[] = {
    { "success-same_key", { 0, 0, 0, 0 }, CLIENT, NULL, NULL, NULL, 0 },
    { "success-new_key", { 0, 0, NEW_KEY, KEY_MUST_BE_NEW }, CLIENT, NULL, NULL, NULL, 0 },
    { "success-pkcs_req", { 0, 0, AS_PKCS_REQ, KEY_MUST_STAY }, CLIENT, NULL, NULL, NULL, 0 },
    { "success-challenge", { 0, 0, 0, 0 }, CLIENT, NULL, SCEP_FIXTURE_CHALLENGE, NULL, 0 },
    { "success-initial", { 0, 0, AS_PKCS_REQ | BY_ITSELF, 0 }, SELF, NULL, SCEP_FIXTURE_CHALLENGE,
      NULL, 0 },
    { "success-early_challenge", { 0, 0, AS_PKCS_REQ, WINDOW }, CLIENT, NULL,
      SCEP_FIXTURE_CHALLENGE, NULL, 0 },
    { "success-foreign", { 0, 0, BY_FOREIGN_CA | TRUST_FOREIGN, 0 }, FOREIGN, NULL, NULL, NULL,
      0 },
    { "success-grace", { 0, 0, 0, GRACE }, EXPIRED, NULL, NULL, NULL, 0 },
    { "success-other_subject", { 0, 0, OTHER_SUBJECT, 0 }, CLIENT, "other", NULL, NULL, 1 },
    { "pending-ca", { FUZZ_CA_WAITS, 0, 0, 0 }, CLIENT, NULL, NULL, NULL, 0 },
    { "pending-manual", { 0, 0, 0, 0 }, CLIENT, NULL, NULL, "digitalSignature", 0 },
    { "failure-off", { 0, 0, OFF, 0 }, CLIENT, NULL, NULL, NULL, 0 },
    { "failure-foreign", { 0, 0, BY_FOREIGN_CA, 0 }, FOREIGN, NULL, NULL, NULL, 0 },
    { "failure-itself", { 0, 0, BY_ITSELF, 0 }, SELF, NULL, NULL, NULL, 0 },
    { "failure-itself_challenge", { 0, 0, BY_ITSELF, 0 }, SELF, NULL, SCEP_FIXTURE_CHALLENGE, NULL,
      0 },
    { "failure-signer_key", { 0, 0, AS_PKCS_REQ | BY_ITSELF | NEW_KEY, 0 }, SELF, NULL,
      SCEP_FIXTURE_CHALLENGE, NULL, 0 },
    { "failure-revoked", { 0, 0, 0, 0 }, REVOKED, NULL, SCEP_FIXTURE_CHALLENGE, NULL, 0 },
    { "failure-expired", { 0, 0, 0, 0 }, EXPIRED, NULL, NULL, NULL, 0 },
    { "failure-not_yet", { 0, 0, 0, 0 }, EARLY, NULL, NULL, NULL, 0 },
    { "failure-early", { 0, 0, 0, WINDOW }, CLIENT, NULL, NULL, NULL, 0 },
    { "failure-sha1", { 0, 0, SHA1_SIGNED, 0 }, CLIENT, NULL, NULL, NULL, 0 },
    { "failure-subject", { 0, 0, 0, 0 }, CLIENT, "other", NULL, NULL, 0 },
    { "failure-name", { 0, 0, 0, 0 }, CLIENT, NULL, NULL, NULL, 1 },
    { "failure-key_is_old", { 0, 0, 0, KEY_MUST_BE_NEW }, CLIENT, NULL, NULL, NULL, 0 },
    { "failure-key_is_new", { 0, 0, NEW_KEY, KEY_MUST_STAY }, CLIENT, NULL, NULL, NULL, 0 },
    { "success-forgotten_challenge", { 0, 0, 0, 0 }, CLIENT, NULL, "old", NULL, 0 },
    { "failure-wrong_challenge", { 0, 0, 0, LONG_MEMORY }, CLIENT, NULL, "wrong", NULL, 0 },
    { "http503-crl", { 0, CRL(FUZZ_CRL_GARBAGE), 0, 0 }, CLIENT, NULL, NULL, NULL, 0 },
    { "http503-claim", { 0, FUZZ_STORE_CLAIM_FAILS, 0, 0 }, CLIENT, NULL, NULL, NULL, 0 },
    { "http429-full", { FUZZ_CA_WAITS, FUZZ_STORE_FULL, 0, 0 }, CLIENT, NULL, NULL, NULL, 0 }
};

static void make_renewals(void)
{
    size_t i;

    for (i = 0; i < sizeof(renewals) / sizeof(renewals[0]); i++) {
        const struct renewal_t *r = &renewals[i];
        scep_fixture_csr_t want = { r->subject, NULL, r->challenge, r->key_usage, NULL,
                                    r->alternative_name ? add_name : NULL, NULL };
        crypt_buf_t csr = scep_fixture_csr(pool, &want);
        crypt_buf_t cert = certificate_in_use(r->in_use), seed;
        unsigned char head[6];

        memcpy(head, r->head, 4);
        head[4] = (unsigned char)(cert.len >> 8);
        head[5] = (unsigned char)cert.len;
        seed = join(cert.data, cert.len, &csr);
        seed = join(head, sizeof(head), &seed);
        corpus_write("renewal", r->name, &seed);
    }
}

/* ---- whole requests */

/* The query string of a message by GET. */
static crypt_buf_t by_get(const crypt_buf_t *message)
{
    char *base64 = apr_palloc(pool, message->len / 3 * 4 + 5), *text, *to;
    crypt_buf_t buf;

    EVP_EncodeBlock((unsigned char *)base64, message->data, (int)message->len);
    text = apr_palloc(pool, 3 * strlen(base64) + 40);
    to = text + sprintf(text, "operation=PKIOperation&message=");
    for (; *base64; base64++)
        to += sprintf(to, strchr("+/=", *base64) ? "%%%02X" : "%c", *base64);
    buf.data = (const unsigned char *)text;
    buf.len = strlen(text);
    return buf;
}

/* Writes a message as POST, in BER and as GET. */
static void write_message(const char *answer, const char *ber_answer, const char *name,
                          const crypt_buf_t *message)
{
    static const unsigned char post[3] = { 0, 0, 1 }, get[3] = { 0, 0, 0 };
    crypt_buf_t text = by_get(message), ber = scep_fixture_ber(pool, message, 0), seed;

    seed = join(post, 3, message);
    corpus_write("server", apr_pstrcat(pool, answer, "-", name, NULL), &seed);
    seed = join(post, 3, &ber);
    corpus_write("server", apr_pstrcat(pool, ber_answer, "-", name, "_ber", NULL), &seed);
    seed = join(get, 3, &text);
    corpus_write("server", apr_pstrcat(pool, answer, "-", name, "_get", NULL), &seed);
}

/* One message of each type. */
static void make_server_messages(void)
{
    crypt_buf_t poll = issuer_and_subject(OURS, "device");
    crypt_buf_t id = issuer_and_serial(OURS, FUZZ_WORLD_SERIAL);
    scep_fixture_csr_t no_challenge = { NULL, NULL, NULL, NULL, NULL, NULL, NULL };
    scep_fixture_csr_t wrong_challenge = { NULL, NULL, "wrong", NULL, NULL, NULL, NULL };
    crypt_buf_t renewal = scep_fixture_csr(pool, &no_challenge);
    crypt_buf_t wrong = scep_fixture_csr(pool, &wrong_challenge);
    scep_fixture_cert_t client = { "device", OURS, scep_fixture_key(SCEP_FIXTURE_DEVICE),
                                   scep_fixture_key(SCEP_FIXTURE_CA), FUZZ_WORLD_CLIENT_SERIAL, 0,
                                   0 };
    X509 *cert = scep_fixture_certificate(pool, &client);
    const struct {
        const char *answer, *name;
        scep_fixture_message_t want;
    } seeds[] = {
        { "success", "pkcs_req", { .message_type = "19" } },
        { "success", "renewal_req", { .message_type = "17", .plain = &renewal, .cert = cert } },
        { "success", "cert_poll", { .message_type = "20", .plain = &poll,
                                    .transaction_id = FUZZ_WORLD_READY } },
        { "success", "get_cert", { .message_type = "21", .plain = &id } },
        { "success", "get_crl", { .message_type = "22", .plain = &id } },
        { "success", "gcm", { .cipher = EVP_aes_128_gcm() } },
        { "success", "oaep_pss", { .oaep = EVP_sha256(), .pss = 1 } },
        { "success", "ec", { .key = scep_fixture_ec_key() } },
        { "failure", "update_req", { .message_type = "18" } },
        { "failure", "cert_rep", { .message_type = "3" } },
        { "failure", "no_nonce", { .no_nonce = 1 } },
        { "failure", "no_challenge", { .plain = &renewal } },
        { "failure", "wrong_challenge", { .plain = &wrong } },
        { "failure", "md5", { .md = EVP_md5() } },
        { "http400", "no_transaction_id", { .transaction_id = "" } }
    };
    size_t i;

    for (i = 0; i < sizeof(seeds) / sizeof(seeds[0]); i++) {
        crypt_buf_t message = scep_fixture_message(fixture, &seeds[i].want);

        /* in BER a certificate is no longer what the CA signed */
        write_message(seeds[i].answer, seeds[i].want.cert ? "failure" : seeds[i].answer,
                      seeds[i].name, &message);
    }
}

/* DES and MD5 where they are allowed; no answer is promised, since OpenSSL may lack them. */
static void make_legacy(void)
{
    static const unsigned char post[3] = { 0, 0, 3 };
    const scep_legacy_t *legacy;
    scep_fixture_message_t want;
    crypt_buf_t message, seed;

    FUZZ_CHECK(scep_legacy_make(&legacy, SCEP_LEGACY_DES, pool) == NULL);
    memset(&want, 0, sizeof(want));
    want.md = EVP_md5();
    message = scep_fixture_message(fixture, &want);
    seed = join(post, 3, &message);
    corpus_write("server", "legacy_md5", &seed);
    want.md = NULL;
    want.cipher = legacy->des;
    want.libctx = legacy->libctx;
    message = scep_fixture_message(fixture, &want);
    seed = join(post, 3, &message);
    corpus_write("server", "legacy_des", &seed);
}

/* Requests without a message. */
static void make_server_queries(void)
{
    static const unsigned char get[3] = { 0, 0, 0 };
    static const struct {
        const char *name, *text;
    } seeds[] = {
        { "served-caps", "operation=GetCACaps" },
        { "served-ca", "operation=GetCACert&message=any" },
        { "served-next_ca", "operation=GetNextCACert" },
        { "info-nothing", "" },
        { "http400-operation", "operation=Other" },
        { "http400-no_message", "operation=PKIOperation" },
        { "http400-message", "operation=PKIOperation&message=MIIB%2B%2FAA%3D%3D" }
    };
    size_t i;

    for (i = 0; i < sizeof(seeds) / sizeof(seeds[0]); i++) {
        crypt_buf_t text = { (const unsigned char *)seeds[i].text, strlen(seeds[i].text) };
        crypt_buf_t seed = join(get, 3, &text);

        corpus_write("server", seeds[i].name, &seed);
    }
}

void corpus_make_engine(apr_pool_t *p)
{
    pool = p;
    fixture = scep_fixture_make(p);
    make_polls();
    make_lookups();
    make_renewals();
    make_server_messages();
    make_legacy();
    make_server_queries();
}
