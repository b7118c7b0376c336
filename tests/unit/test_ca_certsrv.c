/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of AD CS' web enrollment, as they are in any language, and as they should not be. */
#include "ca_peer_fixture.h"

#include <apr_strings.h>
#include <string.h>

Suite *test_ca_certsrv_suite(void);

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define HTML "Content-Type: text/html\r\n"
#define CERT "Content-Type: application/pkix-cert\r\n"
#define LINK "<a href=\"certnew.cer?ReqID=17&Enc=b64\">"
#define WAITS "<LocID ID=locInfoReqID>Votre ID de demande est 17.</LocID>"
#define STATE(n) "<p>" #n " <LocID ID=locDispSpacer>"

/* A backend that asks without an agent. */
static ca_peer_t *make(int with_chain)
{
    const char *words[] = {"request=pkcs10", NULL, NULL};

    words[1] = ca_peer_file_word("userFile", "CORP\\front:s3cret-word\n");
    return ca_peer_make(&ca_certsrv_provider, words, with_chain);
}

/* The page after a request; what is fetched then is on a route of its own. */
static const ca_peer_case_t pages[] = {
    {"200 OK", HTML, WAITS, CA_PENDING, NULL},
    {"200 OK", HTML, "<LocID ID=locInfoReqID>no number at all", CA_RETRY, "ca-answer"},
    {"200 OK", HTML, "locInfoReqID 17", CA_RETRY, "ca-answer"},
    {"200 OK", HTML, "<LocID ID=locInfoReqID>123456789012345", CA_RETRY, "ca-answer"},
    {"200 OK", HTML, "", CA_RETRY, "ca-answer"},
    {"200 OK", HTML, "<html>hello</html>", CA_RETRY, "ca-answer"},
    {"200 OK", HTML, "certnew.cer?ReqID=&Enc=b64", CA_RETRY, "ca-answer"},
    {"200 OK", HTML, "certnew.cer?ReqID=x17", CA_RETRY, "ca-answer"},
    {"200 OK", HTML, "<p>Denied by Policy Module  0x80094800, The request <b>", CA_REJECTED, NULL},
    {"200 OK", HTML, "<script>var x = 0x80094800;</script>" WAITS, CA_PENDING, NULL},
    {"200 OK", HTML, "<SCRIPT>0x80094800;" WAITS, CA_PENDING, NULL},
    {"200 OK", HTML, "0x8009480 " WAITS, CA_PENDING, NULL},
    {"401 Unauthorized", HTML, WAITS, CA_RETRY, "ca-credentials"},
    {"302 Found", HTML, WAITS, CA_RETRY, "ca-status"},
    {"500 Oh", HTML, "", CA_RETRY, "ca-status"},
    {"503 Busy", HTML, "", CA_RETRY, "ca-unavailable"},
    {"", "", "", CA_RETRY, "ca-unreachable"},
};

START_TEST(page)
{
    ca_peer_t *peer = make(1);
    const char *request = peer->server->routes[HTTP_FIXTURE_ROUTES - 1].request;

    ca_peer_check(peer, &pages[_i], NULL);
    ck_assert_ptr_nonnull(strstr(request, "POST /certfnsh.asp HTTP/1.1"));
    ck_assert_ptr_nonnull(strstr(request, "User-Agent: Mozilla/5.0"));
    ck_assert_ptr_nonnull(strstr(request, "&CertAttrib=CertificateTemplate%3a"));
    ck_assert_ptr_null(strstr(fixture_log_text(peer->log), "s3cret-word"));
}
END_TEST

/* What certnew.cer answers. */
static const ca_peer_case_t fetched[] = {
    {"200 OK", HTML, STATE(5), CA_PENDING, NULL},
    {"200 OK", HTML, STATE(2), CA_REJECTED, NULL},
    {"200 OK", HTML, STATE(2) "0x80094012 denied", CA_REJECTED, NULL},
    {"200 OK", HTML, STATE(1), CA_REJECTED, "ca-rejected"},
    {"200 OK", HTML, STATE(6), CA_REJECTED, "ca-rejected"},
    {"200 OK", HTML, STATE(3), CA_RETRY, "ca-answer"},
    {"200 OK", HTML, STATE(55), CA_RETRY, "ca-answer"},
    {"200 OK", HTML, "<LocID ID=locDispSpacer>", CA_RETRY, "ca-answer"},
    {"200 OK", HTML, "0x80094800", CA_REJECTED, "ca-not-published"},
    {"200 OK", HTML, "", CA_RETRY, "ca-answer"},
    {"200 OK", CERT, "", CA_RETRY, "ca-answer"},
    {"200 OK", CERT, "@DER@", CA_RETRY, "ca-answer"},
    {"500 Oh", HTML, "", CA_RETRY, "ca-status"},
    {"", "", "", CA_RETRY, "ca-unreachable"},
};

START_TEST(polled)
{
    ca_peer_check(make(1), &fetched[_i], "17");
}
END_TEST

/* One that exists is not asked for anew: what cannot be fetched is fetched later. */
START_TEST(issued_but_not_fetched)
{
    static const ca_peer_case_t issued = {"200 OK", HTML, LINK, CA_PENDING, NULL};
    ca_peer_t *peer = make(1);

    ca_peer_route(peer, 0, "certnew.cer?ReqID=17", "500 Oh", HTML, "");
    ca_peer_check(peer, &issued, NULL);
    ck_assert_int_eq(peer->server->routes[0].requests, 1);
}
END_TEST

/* A PEM as it comes, not as in JSON. */
static const char *leaf_of(const ca_peer_t *peer, const char *name)
{
    fixture_certificate_t want;

    memset(&want, 0, sizeof(want));
    want.subject = name;
    want.key = fixture_ec();
    want.issuer = peer->issuer;
    want.issuer_key = fixture_rsa(0);
    return fixture_certificate_pem(fixture_pool(), fixture_certificate(fixture_pool(), &want));
}

static const struct {
    const char *name;
    ca_result_e result;
} subjects[] = {{"device", CA_ISSUED}, {"somebody else", CA_RETRY}};

START_TEST(issued)
{
    ca_peer_t *peer = make(1);
    ca_answer_t answer;

    http_fixture_route(peer->server, 0, "certnew.cer?ReqID=17", "200 OK", CERT,
                       leaf_of(peer, subjects[_i].name));
    ca_peer_says(peer, "200 OK", HTML, LINK);
    answer = ca_peer_ask(peer, NULL);
    ck_assert_msg(answer.result == subjects[_i].result, "%s", answer.outcome.detail);
    answer = ca_peer_ask(peer, "17");
    ck_assert_int_eq(answer.result, subjects[_i].result);
}
END_TEST

START_TEST(cookies)
{
    static const char *const bad[] = {"", "17&x=1", "-1", "12345678901", "csr"};
    ca_peer_t *peer = make(1);
    ca_answer_t answer = ca_peer_ask(peer, bad[_i]);

    ck_assert_int_eq(answer.result, CA_RETRY);
    ck_assert_str_eq(answer.outcome.reason, "ca-poll");
    ck_assert_int_eq(*peer->server->requests, 0);
}
END_TEST

static const struct {
    const char *status, *page, *p7b;
    int asked;  /* for the certificates */
} chains[] = {
    {"200 OK", "var nRenewals=2;", "no PKCS#7", 1},
    {"200 OK", "var nRenewals=0;", "", 1},
    {"200 OK", "var nRenewals=;", "", 0},
    {"200 OK", "var nRenewals=-1;", "", 0},
    {"200 OK", "var nRenewals=12345;", "", 0},
    {"200 OK", "", "", 0},
    {"401 Unauthorized", "var nRenewals=2;", "", 0},
    {"", "", "", 0},
};

START_TEST(chain)
{
    ca_peer_t *peer = make(0);

    ca_peer_route(peer, 0, "certnew.p7b?ReqID=CACert&Renewal=", "200 OK", "", chains[_i].p7b);
    ca_peer_says(peer, chains[_i].status, HTML, chains[_i].page);
    ca_peer_check_chain(peer, APR_EAGAIN);
    ck_assert_int_eq(peer->server->routes[0].requests > 0, chains[_i].asked);
}
END_TEST

Suite *test_ca_certsrv_suite(void)
{
    Suite *suite = suite_create("ca_certsrv");
    TCase *tcase = tcase_create("all");

    tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
    tcase_add_loop_test(tcase, page, 0, COUNT(pages));
    tcase_add_loop_test(tcase, polled, 0, COUNT(fetched));
    tcase_add_test(tcase, issued_but_not_fetched);
    tcase_add_loop_test(tcase, issued, 0, COUNT(subjects));
    tcase_add_loop_test(tcase, cookies, 0, 5);
    tcase_add_loop_test(tcase, chain, 0, COUNT(chains));
    suite_add_tcase(suite, tcase);
    return suite;
}
