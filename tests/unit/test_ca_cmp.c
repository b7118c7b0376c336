/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ScepCABackend cmp against OpenSSL's CMP server in this process: what the wire can bring, byte by
 * byte, and revocation.  Enrollments over HTTP are in tests/system/test_855_cmp.py.
 */
#include "../../ca_backend/ca_cmp.h"
#include "../../ca_backend/ca_state.h"
#include "ca_fixture.h"

#include <apr_strings.h>
#include <openssl/err.h>
#include <string.h>

Suite *test_ca_cmp_suite(void);

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* What the server is, and does to its answers; ask() has no baton. */
static struct {
    OSSL_CMP_SRV_CTX *server;
    X509 *ca;
    int fail_info;              /* bit of a rejection; -1: none */
    apr_size_t damage;          /* which byte changes; 0: none, as no answer's first one does */
    unsigned char by;           /* how */
    apr_size_t cut;             /* bytes that come; 0: all */
    apr_status_t unreachable;   /* what ask() returns */
    int asked, idempotent;
    int silent;                 /* it does not tell its certificates */
    crypt_buf_t sent;
    unsigned char transaction[16];
    char revoked[64];
} peer;

/* See OSSL_CMP_SRV_cert_request_cb_t. */
static OSSL_CMP_PKISI *certify(OSSL_CMP_SRV_CTX *server, const OSSL_CMP_MSG *message, int id,
                               const OSSL_CRMF_MSG *crm, const X509_REQ *csr, X509 **cert,
                               STACK_OF(X509) **chain, STACK_OF(X509) **ca_pubs)
{
    fixture_certificate_t want;

    (void)server, (void)message, (void)id, (void)crm, (void)csr, (void)chain, (void)ca_pubs;
    if (peer.fail_info >= 0) {
        return OSSL_CMP_STATUSINFO_new(OSSL_CMP_PKISTATUS_rejection, 1 << peer.fail_info, "no");
    }
    memset(&want, 0, sizeof(want));
    want.subject = "device";
    want.key = fixture_rsa(1);
    want.issuer = peer.ca;
    want.issuer_key = fixture_rsa(0);
    want.key_usage = "critical,digitalSignature";
    *cert = X509_dup(fixture_certificate(fixture_pool(), &want));
    return OSSL_CMP_STATUSINFO_new(OSSL_CMP_PKISTATUS_accepted, 0, NULL);
}

/* See OSSL_CMP_SRV_rr_cb_t. */
static OSSL_CMP_PKISI *withdraw(OSSL_CMP_SRV_CTX *server, const OSSL_CMP_MSG *message,
                                const X509_NAME *issuer, const ASN1_INTEGER *serial)
{
    (void)server, (void)message;
    ck_assert_int_eq(X509_NAME_cmp(issuer, X509_get_subject_name(peer.ca)), 0);
    if (peer.fail_info >= 0) {
        return OSSL_CMP_STATUSINFO_new(OSSL_CMP_PKISTATUS_rejection, 1 << peer.fail_info, "no");
    }
    apr_cpystrn(peer.revoked, crypt_serial_text(serial, fixture_pool()), sizeof(peer.revoked));
    return OSSL_CMP_STATUSINFO_new(OSSL_CMP_PKISTATUS_accepted, 0, NULL);
}

/* The CA's certificate as the part of a general message. */
static OSSL_CMP_ITAV *make_ca_certs(void)
{
#if OPENSSL_VERSION_NUMBER >= 0x30200000L
    STACK_OF(X509) *certs = sk_X509_new_null();
    OSSL_CMP_ITAV *part;

    sk_X509_push(certs, peer.ca);
    part = OSSL_CMP_ITAV_new_caCerts(certs);
    sk_X509_free(certs);
    return part;
#else
    ASN1_SEQUENCE_ANY *list = sk_ASN1_TYPE_new_null();
    ASN1_TYPE *value = ASN1_TYPE_new(), *cert = ASN1_TYPE_new();
    ASN1_STRING *inner = ASN1_STRING_new(), *outer = ASN1_STRING_new();
    unsigned char *der = NULL;
    int len = i2d_X509(peer.ca, &der);

    ASN1_STRING_set0(inner, der, len);
    ASN1_TYPE_set(cert, V_ASN1_SEQUENCE, inner);
    sk_ASN1_TYPE_push(list, cert);
    der = NULL;
    len = i2d_ASN1_SEQUENCE_ANY(list, &der);
    ASN1_STRING_set0(outer, der, len);
    ASN1_TYPE_set(value, V_ASN1_SEQUENCE, outer);
    sk_ASN1_TYPE_pop_free(list, ASN1_TYPE_free);
    return OSSL_CMP_ITAV_create(OBJ_nid2obj(NID_id_it_caCerts), value);
#endif
}

/* See OSSL_CMP_SRV_genm_cb_t. */
static int tell(OSSL_CMP_SRV_CTX *server, const OSSL_CMP_MSG *message,
                const STACK_OF(OSSL_CMP_ITAV) *in, STACK_OF(OSSL_CMP_ITAV) **out)
{
    OSSL_CMP_ITAV *asked = sk_OSSL_CMP_ITAV_value(in, 0);

    (void)server, (void)message;
    ck_assert_int_eq(OBJ_obj2nid(OSSL_CMP_ITAV_get0_type(asked)), NID_id_it_caCerts);
    *out = sk_OSSL_CMP_ITAV_new_null();
    sk_OSSL_CMP_ITAV_push(*out, peer.silent ? OSSL_CMP_ITAV_create(OBJ_nid2obj(NID_commonName),
                                                                   NULL) : make_ca_certs());
    return 1;
}

/* See OSSL_CMP_SRV_error_cb_t. */
static void hear_error(OSSL_CMP_SRV_CTX *server, const OSSL_CMP_MSG *message,
                       const OSSL_CMP_PKISI *status, const ASN1_INTEGER *code,
                       const OSSL_CMP_PKIFREETEXT *details)
{
    (void)server, (void)message, (void)status, (void)code, (void)details;
}

/* OpenSSL's callback: says nothing. */
static int no_log(const char *function, const char *file, int line, OSSL_CMP_severity level,
                  const char *message)
{
    (void)function, (void)file, (void)line, (void)level, (void)message;
    return 1;
}

/* See ca_cmp_t.ask: the server's answer, as damaged as peer says. */
static apr_status_t ask(http_client_t *client, const http_request_t *request, http_answer_t *http,
                        ca_answer_t *answer, const log_sink_t *log, apr_pool_t *p)
{
    const unsigned char *at = request->body.data;
    OSSL_CMP_MSG *message = d2i_OSSL_CMP_MSG(NULL, &at, (long)request->body.len), *reply;
    unsigned char *der = NULL, *copy;
    int len;

    (void)client, (void)log;
    ck_assert_ptr_nonnull(message);
    ck_assert_str_eq(request->content_type, "application/pkixcmp");
    ck_assert_int_eq(request->urgent, 1); /* not cut when the process is about to end */
    memset(http, 0, sizeof(*http));
    http->peer = "https://cmp.example:443";
    peer.asked++;
    peer.idempotent = request->idempotent;
    memcpy(peer.transaction, ASN1_STRING_get0_data(OSSL_CMP_HDR_get0_transactionID(
                                 OSSL_CMP_MSG_get0_header(message))), 16);
    if (peer.unreachable != APR_SUCCESS) {
        answer->result = CA_RETRY;
        outcome_unavailable(&answer->outcome, "ca-unreachable", 0, p, "no answer");
        OSSL_CMP_MSG_free(message);
        return peer.unreachable;
    }
    reply = OSSL_CMP_SRV_process_request(peer.server, message);
    ck_assert_ptr_nonnull(reply);
    len = i2d_OSSL_CMP_MSG(reply, &der);
    copy = apr_pmemdup(p, der, (apr_size_t)len);
    OPENSSL_free(der);
    OSSL_CMP_MSG_free(reply);
    OSSL_CMP_MSG_free(message);
    peer.sent.data = copy;
    peer.sent.len = (apr_size_t)len;
    if (peer.damage > 0 && peer.damage < (apr_size_t)len) {
        copy[peer.damage] ^= peer.by;
    }
    http->status = 200;
    http->body.data = copy;
    http->body.len = peer.cut > 0 && peer.cut < (apr_size_t)len ? peer.cut : (apr_size_t)len;
    return APR_SUCCESS;
}

/* Pool cleanup; returns APR_SUCCESS. */
static apr_status_t end_server(void *data)
{
    OSSL_CMP_SRV_CTX_free(data);
    return APR_SUCCESS;
}

/* Starts the server, whose certificate is the CA's. */
static void start_server(X509 *ra)
{
    OSSL_CMP_CTX *ctx;
    X509_STORE *store = X509_STORE_new();

    memset(&peer, 0, sizeof(peer));
    peer.fail_info = -1;
    peer.ca = ca_fixture_ca(fixture_rsa(0), 30);
    peer.server = OSSL_CMP_SRV_CTX_new(NULL, NULL);
    apr_pool_cleanup_register(fixture_pool(), peer.server, end_server, apr_pool_cleanup_null);
    ck_assert(OSSL_CMP_SRV_CTX_init(peer.server, NULL, certify, withdraw, tell, hear_error, NULL,
                                    NULL));
    OSSL_CMP_SRV_CTX_set_grant_implicit_confirm(peer.server, 1);
    ctx = OSSL_CMP_SRV_CTX_get0_cmp_ctx(peer.server);
    X509_STORE_add_cert(store, ra);
    X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
    ck_assert(OSSL_CMP_CTX_set_log_cb(ctx, no_log) && OSSL_CMP_CTX_set1_cert(ctx, peer.ca) &&
              OSSL_CMP_CTX_set1_pkey(ctx, fixture_rsa(0)) &&
              OSSL_CMP_CTX_set0_trustedStore(ctx, store));
}

/* A CA that asks the server. */
static ca_t *make_ca(void)
{
    apr_pool_t *p = fixture_pool();
    const char *dir = fixture_directory(p), *words[4], *error;
    fixture_certificate_t want;
    ca_config_t *cfg = ca_fixture_config();
    X509 *ra;
    ca_t *ca;

    memset(&want, 0, sizeof(want));
    want.subject = "RA";
    want.key = fixture_rsa(2);
    want.key_usage = "critical,digitalSignature";
    ra = fixture_certificate(p, &want);
    start_server(ra);
    cfg->chain_file = fixture_file(p, dir, "chain.pem", fixture_certificate_pem(p, peer.ca), 0600);
    words[0] = "url=https://cmp.example";
    words[1] = apr_pstrcat(p, "raCertificate=", fixture_file(p, dir, "ra.pem",
                           fixture_certificate_pem(p, ra), 0600), NULL);
    words[2] = apr_pstrcat(p, "raKey=", fixture_file(p, dir, "ra.key",
                           fixture_key_pem(p, fixture_rsa(2)), 0600), NULL);
    words[3] = "ignoreKeyUsage=on";
    error = ca_make(&ca, &ca_cmp_provider, 4, words, cfg, p);
    ck_assert_msg(error == NULL, "ca_make: %s", error);
    ck_assert_int_eq(ca_child_init(ca, p), APR_SUCCESS);
    ((ca_cmp_t *)ca->instance)->ask = ask;
    return ca;
}

/* One request. */
static void submit(ca_t *ca, ca_answer_t *answer, const log_sink_t *log)
{
    static ca_fixture_request_t *request;

    request = ca_fixture_request(fixture_rsa(1), "device", NULL, NULL);
    request->values.tx_key = "00112233445566778899aabbccddeeff";
    request->grant = grant_make(&request->values, fixture_pool());
    ca_submit(ca, request->grant, request->csr, ca_fixture_deadline(), answer, log,
              fixture_pool());
    ck_assert_uint_eq(ERR_peek_error(), 0);
}

START_TEST(issued)
{
    static const unsigned char first[8] = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77};
    log_sink_t *log = fixture_log(fixture_pool());
    ca_t *ca = make_ca();
    unsigned char before[16];
    ca_answer_t answer;

    submit(ca, &answer, log);
    ck_assert_msg(answer.result == CA_ISSUED, "%s", answer.outcome.detail);
    ck_assert(X509_check_private_key(answer.leaf, fixture_rsa(1)));
    ck_assert_int_eq(peer.idempotent, 0);
    ck_assert_mem_eq(peer.transaction, first, 8);
    memcpy(before, peer.transaction, 16);
    submit(ca, &answer, log);
    ck_assert_int_eq(answer.result, CA_ISSUED);
    ck_assert_mem_eq(peer.transaction, first, 8);
    ck_assert_mem_ne(peer.transaction, before, 16);
}
END_TEST

START_TEST(unreachable)
{
    ca_t *ca = make_ca();
    ca_answer_t answer;

    peer.unreachable = APR_ECONNREFUSED;
    submit(ca, &answer, NULL);
    ck_assert_int_eq(answer.result, CA_RETRY);
    ck_assert_str_eq(answer.outcome.reason, "ca-unreachable");
    ck_assert_int_eq(answer.unknown, 0);
}
END_TEST

/* Which of so many parts of the answer a test damages. */
#define PARTS 8

START_TEST(damaged)
{
    static const unsigned char how[] = {0x01, 0x20, 0x80, 0xff};
    ca_t *ca = make_ca();
    ca_answer_t answer;
    apr_size_t at, len;

    submit(ca, &answer, NULL);
    len = peer.sent.len;
    for (at = 1 + (apr_size_t)_i; at < len; at += 8 * PARTS + 1) {
        peer.damage = at;
        peer.by = how[at % 4];
        submit(ca, &answer, NULL);
        /* the gate's breaker does not count these */
        ck_assert_str_ne(answer.outcome.reason, "ca-down");
        if (answer.result == CA_ISSUED) {
            /* the certificates behind the protected part may be damaged without harm */
            ck_assert(X509_check_private_key(answer.leaf, fixture_rsa(1)));
            ck_assert_int_eq(X509_verify(answer.leaf, fixture_rsa(0)), 1);
        }
        else {
            ck_assert_int_eq(answer.result, CA_RETRY);
            ck_assert_str_eq(answer.outcome.reason, "ca-answer");
            ck_assert_int_eq(answer.unknown, 1);
        }
    }
}
END_TEST

START_TEST(truncated)
{
    ca_t *ca = make_ca();
    ca_answer_t answer;
    apr_size_t len;

    submit(ca, &answer, NULL);
    len = peer.sent.len;
    for (peer.cut = 1 + (apr_size_t)_i; peer.cut < len; peer.cut += 16 * PARTS + 1) {
        submit(ca, &answer, NULL);
        ck_assert_int_eq(answer.result, CA_RETRY);
        ck_assert_str_eq(answer.outcome.reason, "ca-answer");
        ck_assert_int_eq(answer.unknown, 1);
    }
}
END_TEST

static const struct {
    int fail_info;
    apr_status_t unreachable, rv;
    int reason;
} revoke_cases[] = {
    {-1, APR_SUCCESS, APR_SUCCESS, 1},
    {-1, APR_SUCCESS, APR_SUCCESS, 0},
    {10, APR_SUCCESS, APR_SUCCESS, 4},            /* certRevoked */
    {4, APR_SUCCESS, APR_NOTFOUND, 1},            /* badCertId */
    {2, APR_SUCCESS, APR_EGENERAL, 1},            /* badRequest */
    {23, APR_SUCCESS, APR_EGENERAL, 1},           /* notAuthorized */
    {-1, APR_ECONNREFUSED, APR_EGENERAL, 1},
    {-1, APR_SUCCESS, APR_EINVAL, 6},             /* a hold */
};

START_TEST(revokes)
{
    ca_t *ca = make_ca();
    ASN1_INTEGER *serial = ASN1_INTEGER_new();
    apr_status_t rv;
    outcome_t out;

    ASN1_INTEGER_set_int64(serial, 0x4711);
    peer.fail_info = revoke_cases[_i].fail_info;
    peer.unreachable = revoke_cases[_i].unreachable;
    rv = ca_revoke(ca, serial, revoke_cases[_i].reason, &out, fixture_pool());
    ck_assert_msg(rv == revoke_cases[_i].rv, "%d: %s", rv, out.detail);
    ck_assert_int_eq(out.result == OUTCOME_SUCCESS, revoke_cases[_i].rv == APR_SUCCESS);
    if (revoke_cases[_i].rv == APR_SUCCESS && peer.fail_info < 0) {
        ck_assert_str_eq(peer.revoked, "4711");
    }
    ck_assert_uint_eq(ERR_peek_error(), 0);
    ASN1_INTEGER_free(serial);
}
END_TEST

START_TEST(chain)
{
    ca_t *ca = make_ca();
    STACK_OF(X509) *certs;
    const char *error = NULL;

    ck_assert_int_eq(ca_cmp_fetch_chain(ca->instance, &certs, ca_fixture_deadline(), &error, NULL,
                                        fixture_pool()), APR_SUCCESS);
    ck_assert_int_eq(sk_X509_num(certs), 1);
    ck_assert_int_eq(X509_cmp(sk_X509_value(certs, 0), peer.ca), 0);
    peer.silent = 1;
    ck_assert_int_eq(ca_cmp_fetch_chain(ca->instance, &certs, ca_fixture_deadline(), &error, NULL,
                                        fixture_pool()), APR_EGENERAL);
    ck_assert_ptr_nonnull(strstr(error, "does not tell"));
    peer.unreachable = APR_ECONNREFUSED;
    ck_assert_int_eq(ca_cmp_fetch_chain(ca->instance, &certs, ca_fixture_deadline(), &error, NULL,
                                        fixture_pool()), APR_EGENERAL);
    ck_assert_str_eq(error, "no answer");
    ck_assert_uint_eq(ERR_peek_error(), 0);
}
END_TEST

Suite *test_ca_cmp_suite(void)
{
    Suite *suite = suite_create("ca_cmp");
    TCase *tcase = tcase_create("all");

    tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
    tcase_set_timeout(tcase, 300);
    tcase_add_test(tcase, issued);
    tcase_add_test(tcase, unreachable);
    tcase_add_test(tcase, chain);
    tcase_add_loop_test(tcase, damaged, 0, PARTS);
    tcase_add_loop_test(tcase, truncated, 0, PARTS);
    tcase_add_loop_test(tcase, revokes, 0, COUNT(revoke_cases));
    suite_add_tcase(suite, tcase);
    return suite;
}
