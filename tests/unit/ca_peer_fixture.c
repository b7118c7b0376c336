/* SPDX-License-Identifier: Apache-2.0 */
/* See ca_peer_fixture.h. */
#include "ca_peer_fixture.h"

#include "../../ca_backend/ca_certs.h"
#include "../../common/http_client.h"
#include <apr_strings.h>
#include <openssl/cms.h>
#include <string.h>

#define WORDS_MAX 12

/* A certificate of the CA for key. */
static X509 *issued(const ca_peer_t *peer, EVP_PKEY *key)
{
    fixture_certificate_t want;

    memset(&want, 0, sizeof(want));
    want.subject = "device";
    want.key = key;
    want.issuer = peer->issuer;
    want.issuer_key = fixture_rsa(0);
    return fixture_certificate(fixture_pool(), &want);
}

const char *ca_peer_file_word(const char *name, const char *text)
{
    apr_pool_t *p = fixture_pool();

    return apr_pstrcat(p, name, "=", fixture_file(p, fixture_directory(p), name, text, 0600), NULL);
}

const char *ca_peer_certificate_word(void)
{
    fixture_certificate_t want;

    memset(&want, 0, sizeof(want));
    return ca_peer_file_word("certificate",
                             fixture_certificate_pem(fixture_pool(),
                                                     fixture_certificate(fixture_pool(), &want)));
}

const char *ca_peer_key_word(void)
{
    return ca_peer_file_word("key", fixture_key_pem(fixture_pool(), fixture_rsa(0)));
}

ca_peer_t *ca_peer_make(const ca_provider_t *provider, const char *const *words, int with_chain)
{
    apr_pool_t *p = fixture_pool();
    ca_peer_t *peer = apr_pcalloc(p, sizeof(*peer));
    ca_config_t *cfg = ca_fixture_config();
    const char *all[WORDS_MAX], *error;
    int n = 2;

    peer->server = http_fixture_start(p);
    peer->log = fixture_log(p);
    peer->issuer = ca_fixture_ca(fixture_rsa(0), 3650);
    peer->request = ca_fixture_request(fixture_ec(), "device", NULL, NULL);
    if (with_chain) {
        cfg->chain_file = fixture_file(p, fixture_directory(p), "chain.pem",
                                       fixture_certificate_pem(p, peer->issuer), 0600);
    }
    all[0] = apr_pstrcat(p, "url=", http_fixture_url(peer->server, "", p), NULL);
    all[1] = "plainLoopback=on";
    for (; *words != NULL && n < WORDS_MAX; words++) {
        all[n++] = *words;
    }
    error = ca_make(&peer->ca, provider, n, all, cfg, p);
    ck_assert_msg(error == NULL, "%s", error);
    ck_assert_int_eq(ca_child_init(peer->ca, p), APR_SUCCESS);
    return peer;
}

/* text with every line's end as JSON writes it. */
static const char *as_json(const char *text)
{
    const char *made = "", *end;

    for (; (end = strchr(text, '\n')) != NULL; text = end + 1) {
        made = apr_pstrcat(fixture_pool(), made,
                           apr_pstrmemdup(fixture_pool(), text, (apr_size_t)(end - text)), "\\n",
                           NULL);
    }
    return apr_pstrcat(fixture_pool(), made, text, NULL);
}

/* A certificate as PEM in JSON. */
static const char *pem_of(X509 *cert)
{
    return as_json(fixture_certificate_pem(fixture_pool(), cert));
}

/* A certificate as base64, in a CMS with certificates only where asked for. */
static const char *base64_of(X509 *cert, int in_cms)
{
    STACK_OF(X509) *certs = sk_X509_new_null();
    CMS_ContentInfo *cms = NULL;
    unsigned char *der = NULL;
    const char *text;
    int len;

    sk_X509_push(certs, cert);
    if (in_cms) {
        cms = CMS_sign(NULL, NULL, certs, NULL, CMS_BINARY | CMS_PARTIAL);
    }
    len = in_cms ? i2d_CMS_ContentInfo(cms, &der) : i2d_X509(cert, &der);
    ck_assert_int_gt(len, 0);
    text = ca_base64_encode(der, (apr_size_t)len, fixture_pool());
    OPENSSL_free(der);
    CMS_ContentInfo_free(cms);
    sk_X509_free(certs);
    return text;
}

/* What a mark of a body stands for; NULL: it is none. */
static const char *meaning(const ca_peer_t *peer, const char *mark)
{
    X509 *leaf = issued(peer, fixture_ec());

    if (strncmp(mark, "@LEAF@", 6) == 0) {
        return pem_of(leaf);
    }
    if (strncmp(mark, "@CA@", 4) == 0) {
        return pem_of(peer->issuer);
    }
    if (strncmp(mark, "@OTHER@", 7) == 0) {
        return pem_of(issued(peer, fixture_rsa(1)));
    }
    if (strncmp(mark, "@HALF@", 6) == 0) {
        return apr_pstrmemdup(fixture_pool(), pem_of(leaf), 300);
    }
    if (strncmp(mark, "@DER@", 5) == 0) {
        return base64_of(leaf, 0);
    }
    return strncmp(mark, "@CMS@", 5) == 0 ? base64_of(leaf, 1) : NULL;
}

/* The body with its marks replaced. */
static const char *expand(const ca_peer_t *peer, const char *body)
{
    const char *made = "", *at, *text;

    for (; (at = strchr(body, '@')) != NULL; body = strchr(at + 1, '@') + 1) {
        text = meaning(peer, at);
        ck_assert_msg(text != NULL, "%s is no mark", at);
        made = apr_pstrcat(fixture_pool(), made,
                           apr_pstrmemdup(fixture_pool(), body, (apr_size_t)(at - body)), text,
                           NULL);
    }
    return apr_pstrcat(fixture_pool(), made, body, NULL);
}

void ca_peer_route(ca_peer_t *peer, int n, const char *match, const char *status,
                   const char *headers, const char *body)
{
    http_fixture_route(peer->server, n, match, status, headers, expand(peer, body));
}

void ca_peer_says(ca_peer_t *peer, const char *status, const char *headers, const char *body)
{
    ca_peer_route(peer, HTTP_FIXTURE_ROUTES - 1, "/", status, headers, body);
}

ca_answer_t ca_peer_ask(ca_peer_t *peer, const char *cookie)
{
    ca_answer_t answer;

    if (cookie != NULL) {
        ca_poll(peer->ca, peer->request->grant, peer->request->csr, cookie, ca_fixture_deadline(),
                &answer, peer->log, fixture_pool());
    }
    else {
        ca_submit(peer->ca, peer->request->grant, peer->request->csr, ca_fixture_deadline(),
                  &answer, peer->log, fixture_pool());
    }
    return answer;
}

void ca_peer_check(ca_peer_t *peer, const ca_peer_case_t *c, const char *cookie)
{
    ca_answer_t answer;

    ca_peer_says(peer, c->status, c->headers, c->body);
    answer = ca_peer_ask(peer, cookie);
    ck_assert_msg(answer.result == c->result, "%s %s: result %d, reason %s: %s", c->status,
                  c->body, answer.result, answer.outcome.reason, answer.outcome.detail);
    ck_assert_msg(c->reason == NULL || strcmp(answer.outcome.reason, c->reason) == 0,
                  "%s %s: reason %s: %s", c->status, c->body, answer.outcome.reason,
                  answer.outcome.detail);
    ck_assert((answer.leaf != NULL) == (c->result == CA_ISSUED));
}

void ca_peer_check_value(ca_peer_t *peer, const char *status, const char *before,
                         const char *after, int i)
{
    static const char *const values[CA_PEER_VALUES] = {
        "\"@LEAF@\"", "null", "1", "true", "[]", "[\"@LEAF@\"]", "{}", "\"\"", "\" \"",
        "\"@HALF@\"", "\"@LEAF@\\u0000\"", "\"@OTHER@\"", "\"@CA@\"",
        "\"-----BEGIN CERTIFICATE-----\\n-----END CERTIFICATE-----\\n\"",
    };
    ca_peer_case_t c = {status, "", NULL, i == 0 ? CA_ISSUED : CA_RETRY,
                        i == 0 ? NULL : "ca-answer"};

    c.body = apr_pstrcat(fixture_pool(), before, values[i], after, NULL);
    ca_peer_check(peer, &c, NULL);
}

void ca_peer_check_revocation(ca_peer_t *peer, int reason, apr_status_t rv)
{
    ASN1_INTEGER *serial = ASN1_INTEGER_new();
    apr_status_t came;
    outcome_t out;

    outcome_init(&out);
    ASN1_INTEGER_set(serial, 0x1234567);
    http_client_end_calls(HTTP_END_QUESTIONS);
    came = ca_revoke(peer->ca, serial, reason, &out, fixture_pool());
    http_client_end_calls(HTTP_END_NONE);
    ASN1_INTEGER_free(serial);
    ck_assert_msg(came == rv, "status %d: %s", came, out.detail);
}

void ca_peer_check_chain(ca_peer_t *peer, apr_status_t rv)
{
    STACK_OF(X509) *found = NULL;
    int asked;

    ck_assert_int_eq(ca_chain(peer->ca, &found, peer->log, fixture_pool()), rv);
    if (rv != APR_SUCCESS) {
        return;
    }
    ck_assert_int_eq(X509_cmp(sk_X509_value(found, 0), peer->issuer), 0);
    asked = *peer->server->requests;
    ck_assert_int_gt(asked, 0);
    ck_assert_int_eq(ca_chain(peer->ca, &found, peer->log, fixture_pool()), rv);
    ck_assert_int_eq(*peer->server->requests, asked);
}
