/* SPDX-License-Identifier: Apache-2.0 */
/* What a helper's answers mean, what it is told, and which configuration is refused. */
#include "../../ca_backend/ca_exec.h"
#include "ca_fixture.h"

#include <apr_strings.h>
#include <openssl/pem.h>
#include <openssl/pkcs7.h>
#include <string.h>

Suite *test_ca_exec_suite(void);
Suite *test_ca_exec_run_missing_suite(void);

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

#define NAMES "subjectAltName=DNS:a.example,DNS:b.example,email:c@example,IP:192.0.2.7," \
              "otherName:msUPN;UTF8:d@example"

static const char *folder;
static X509 *ca_cert;               /* key: fixture_rsa(0) */
static ca_fixture_request_t *request;

/* A folder, a CA and a request, for each test. */
static void setup(void)
{
    fixture_setup();
    folder = fixture_directory(fixture_pool());
    ca_cert = ca_fixture_ca(fixture_rsa(0), 3650);
    request = ca_fixture_request(fixture_rsa(1), "device", NAMES, "Laptop");
}

/* A file in the folder. */
static const char *file(const char *name, const char *text)
{
    return fixture_file(fixture_pool(), folder, name, text, 0755);
}

/* The configuration, with the CA's certificate as chain. */
static ca_config_t *config(void)
{
    ca_config_t *cfg = ca_fixture_config();

    cfg->chain_file = file("chain.pem", fixture_certificate_pem(fixture_pool(), ca_cert));
    return cfg;
}

/* The backend for a script. */
static ca_t *make(const char *script)
{
    apr_pool_t *p = fixture_pool();
    const char *words[2], *error;
    ca_t *ca = NULL;

    words[0] = apr_pstrcat(p, "helper=", file("helper", apr_pstrcat(p, "#!/bin/sh\n", script, "\n",
                                                                    NULL)), NULL);
    words[1] = apr_pstrcat(p, "directory=", folder, NULL);
    error = ca_make(&ca, &ca_exec_provider, 2, words, config(), p);
    ck_assert_msg(error == NULL, "ca_make: %s", error);
    ck_assert_int_eq(ca_child_init(ca, p), APR_SUCCESS);
    return ca;
}

/* Submits (cookie NULL) or polls; the log's text is *plog. */
static ca_answer_t ask(ca_t *ca, const char *cookie, const char **plog)
{
    log_sink_t *log = fixture_log(fixture_pool());
    ca_answer_t answer;

    if (cookie == NULL) {
        ca_submit(ca, request->grant, request->csr, ca_fixture_deadline(), &answer, log,
                  fixture_pool());
    }
    else {
        ca_poll(ca, request->grant, request->csr, cookie, ca_fixture_deadline(), &answer, log,
                fixture_pool());
    }
    *plog = fixture_log_text(log);
    return answer;
}

/* A good certificate for the request's key, or for another one. */
static X509 *leaf(int key)
{
    fixture_certificate_t want;

    memset(&want, 0, sizeof(want));
    want.subject = "device";
    want.key = fixture_rsa(key);
    want.issuer = ca_cert;
    want.issuer_key = fixture_rsa(0);
    want.extension = NAMES;
    return fixture_certificate(fixture_pool(), &want);
}

/* The certificate and the CA's as certificates-only PKCS#7, PEM with the given label. */
static const char *pkcs7_pem(X509 *cert, const char *label)
{
    BIO *bio = BIO_new(BIO_s_mem());
    PKCS7 *p7 = PKCS7_new();
    unsigned char *der = NULL;
    const char *text;
    char *data;
    long len;

    ck_assert(PKCS7_set_type(p7, NID_pkcs7_signed) && PKCS7_content_new(p7, NID_pkcs7_data));
    ck_assert(PKCS7_add_certificate(p7, ca_cert) && PKCS7_add_certificate(p7, cert));
    len = i2d_PKCS7(p7, &der);
    ck_assert_int_gt(PEM_write_bio(bio, label, "", der, len), 0);
    OPENSSL_free(der);
    len = BIO_get_mem_data(bio, &data);
    text = apr_pstrmemdup(fixture_pool(), data, (apr_size_t)len);
    PKCS7_free(p7);
    BIO_free(bio);
    return text;
}

/* One form of a good answer. */
typedef enum {
    FORM_PEM, FORM_CHAIN, FORM_NOISE, FORM_CRLF, FORM_NO_NEWLINE, FORM_PKCS7, FORM_CMS, FORM_DER,
    FORM_COUNT
} form_e;

/* The answer's text; *len its length. */
static const char *form_text(form_e form, apr_size_t *len)
{
    apr_pool_t *p = fixture_pool();
    X509 *cert = leaf(1);
    const char *pem = fixture_certificate_pem(p, cert), *text = pem, *at;
    unsigned char *der = NULL;
    char *crlf;

    switch (form) {
    case FORM_CHAIN:
        text = apr_pstrcat(p, fixture_certificate_pem(p, ca_cert), pem, NULL);
        break;
    case FORM_NOISE:
        text = apr_pstrcat(p, "issued:\n\n", pem, "good bye\n", NULL);
        break;
    case FORM_CRLF:
        crlf = apr_pcalloc(p, 2 * strlen(pem) + 1);
        for (at = pem, text = crlf; *at != '\0'; at++) {
            if (*at == '\n') {
                *crlf++ = '\r';
            }
            *crlf++ = *at;
        }
        break;
    case FORM_NO_NEWLINE:
        text = apr_pstrmemdup(p, pem, strlen(pem) - 1);
        break;
    case FORM_PKCS7:
        text = pkcs7_pem(cert, PEM_STRING_PKCS7);
        break;
    case FORM_CMS:
        text = pkcs7_pem(cert, PEM_STRING_CMS);
        break;
    case FORM_DER:
        *len = (apr_size_t)i2d_X509(cert, &der);
        text = apr_pstrmemdup(p, (const char *)der, *len);
        OPENSSL_free(der);
        return text;
    default:
        break;
    }
    *len = strlen(text);
    return text;
}

START_TEST(certificates_in_every_form)
{
    STACK_OF(X509) *certs = NULL;
    apr_size_t len = 0;
    const char *text = form_text((form_e)_i, &len);
    const char *error = ca_exec_certificates(&certs, text, len, fixture_pool());

    ck_assert_msg(error == NULL, "form %d: %s", _i, error);
    ck_assert_int_eq(sk_X509_num(certs), _i == FORM_CHAIN || _i == FORM_PKCS7 || _i == FORM_CMS ? 2
                                                                                               : 1);
    if (len > 100) {
        /* cut in the middle it is none */
        error = ca_exec_certificates(&certs, text, len / 2, fixture_pool());
        ck_assert_msg(error != NULL || _i == FORM_CHAIN, "form %d was taken when cut", _i);
    }
}
END_TEST

START_TEST(no_certificates)
{
    static const char encrypted[] = "-----BEGIN CERTIFICATE-----\nProc-Type: 4,ENCRYPTED\n"
                                    "DEK-Info: AES-128-CBC,00\n\nAAAA\n"
                                    "-----END CERTIFICATE-----\n";
    static const char *const texts[] = {
        "", "\n", "hello\n", "0", "0\x82\xff\xff", "-----BEGIN CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n",
        "-----BEGIN PKCS7-----\nAAAA\n-----END PKCS7-----\n",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END X509 CRL-----\n",
        "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n",
        encrypted};
    apr_pool_t *p = fixture_pool();
    STACK_OF(X509) *certs;
    const char *pem = fixture_certificate_pem(p, leaf(1)), *error;
    int i;

    for (i = 0; i < COUNT(texts); i++) {
        error = ca_exec_certificates(&certs, texts[i], strlen(texts[i]), p);
        ck_assert_msg(error != NULL && strstr(error, "printed") == error, "%d: %s", i, texts[i]);
        ck_assert_ptr_null(certs);
    }
    /* a good one does not excuse a broken one */
    pem = apr_pstrcat(p, pem, texts[6], NULL);
    ck_assert_ptr_nonnull(ca_exec_certificates(&certs, pem, strlen(pem), p));
}
END_TEST

/* What helpers print, and the cookie; NULL: it is refused. */
typedef struct cookie_case_t {
    const char *text, *cookie;
    int delayed, seconds;
} cookie_case_t;

static const cookie_case_t cookies[] = {
    {"abc", "abc", 0, 0},
    {"abc def=1&2\r\n\n", "abc def=1&2", 0, 0},
    {"", NULL, 0, 0},
    {"\n", NULL, 0, 0},
    {"a\nb\n", NULL, 0, 0},
    {"a\001", NULL, 0, 0},
    {"\303\244", NULL, 0, 0},
    {"13\nabc\n", "abc", 1, 13},
    {"13\r\nabc", "abc", 1, 13},
    {"0\nabc", "abc", 1, 1},
    {"999999999\nabc", "abc", 1, 604800},
    {"9999999999\nabc", NULL, 1, 0},
    {"-1\nabc", NULL, 1, 0},
    {"\nabc", NULL, 1, 0},
    {"?13\nabc", NULL, 1, 0},
    {"13 \nabc", NULL, 1, 0},
    {"13", NULL, 1, 0},
    {"13\n", NULL, 1, 0},
    {"", NULL, 1, 0},
};

START_TEST(cookies_are_read)
{
    const cookie_case_t *c = &cookies[_i];
    apr_interval_time_t wait = 0;
    const char *cookie, *error = ca_exec_cookie(&cookie, c->delayed ? &wait : NULL, c->text,
                                                strlen(c->text), fixture_pool());

    ck_assert_msg((error == NULL) == (c->cookie != NULL), "'%s': %s", c->text, error);
    if (c->cookie == NULL) {
        ck_assert_ptr_null(cookie);
        return;
    }
    ck_assert_str_eq(cookie, c->cookie);
    ck_assert_int_eq((int)apr_time_sec(wait), c->seconds);
}
END_TEST

START_TEST(longest_cookie)
{
    char text[CA_EXEC_COOKIE_MAX + 2];
    const char *cookie;

    memset(text, 'x', sizeof(text));
    ck_assert_ptr_null(ca_exec_cookie(&cookie, NULL, text, CA_EXEC_COOKIE_MAX, fixture_pool()));
    ck_assert_int_eq((int)strlen(cookie), CA_EXEC_COOKIE_MAX);
    ck_assert_ptr_nonnull(ca_exec_cookie(&cookie, NULL, text, CA_EXEC_COOKIE_MAX + 1,
                                         fixture_pool()));
}
END_TEST

/* What a helper does, and what that means. */
typedef struct status_case_t {
    const char *script;
    ca_result_e result;
    int unknown, down;
    const char *reason;
    const char *log;        /* part of it; NULL: nothing is logged */
} status_case_t;

static const status_case_t statuses[] = {
    {"cat leaf", CA_ISSUED, 0, 0, "ok", NULL},
    {"cat leaf; echo a warning >&2", CA_ISSUED, 0, 0, "ok", "6 SCEP0366"},
    {"cat chain leaf", CA_ISSUED, 0, 0, "ok", NULL},
    {"cat leaf; echo well", CA_ISSUED, 0, 0, "ok", NULL},
    {"cat other", CA_RETRY, 1, 0, "ca-answer", "no certificate for the key"},
    {"cat chain", CA_RETRY, 1, 0, "ca-answer", "no certificate for the key"},
    {"echo hello", CA_RETRY, 1, 0, "ca-answer", "printed no certificate"},
    {"exit 0", CA_RETRY, 1, 0, "ca-answer", "printed no certificate"},
    {"echo cookie; exit 1", CA_PENDING, 0, 0, "ca-pending", NULL},
    {"exit 1", CA_RETRY, 1, 0, "ca-answer", "printed no cookie"},
    {"echo 5; echo cookie; exit 5", CA_PENDING, 0, 0, "ca-pending", NULL},
    {"echo cookie; exit 5", CA_RETRY, 1, 0, "ca-answer", "printed no number"},
    {"echo not for you; exit 2", CA_REJECTED, 0, 0, "ca-rejected", NULL},
    {"exit 2", CA_REJECTED, 0, 0, "ca-rejected", NULL},
    {"exit 17", CA_REJECTED, 0, 0, "ca-rejected", NULL},
    {"echo no route; exit 3", CA_RETRY, 0, 1, "ca-unavailable", "reach the CA: no route"},
    {"echo no realm; exit 4", CA_RETRY, 0, 0, "ca-unavailable", "exit status 4): no realm"},
    {"exit 6", CA_RETRY, 0, 0, "ca-unavailable", "exit status 6)"},
    {"exit 16", CA_RETRY, 0, 0, "ca-unavailable", "exit status 16)"},
    {"exit 99", CA_RETRY, 1, 0, "ca-answer", "unknown exit status 99"},
    {"echo trace >&2; exit 99", CA_RETRY, 1, 0, "ca-answer", "4 SCEP0366"},
    {"kill -KILL $$", CA_RETRY, 1, 0, "ca-answer", "signal 9"},
    {"yes", CA_RETRY, 1, 0, "ca-answer", "more than 64 KiB"},
    {"rm helper; exit 3", CA_RETRY, 0, 1, "ca-unavailable", "reach the CA: "},
};

START_TEST(exit_statuses)
{
    const status_case_t *c = &statuses[_i];
    apr_pool_t *p = fixture_pool();
    ca_t *ca = make(c->script);
    const char *log;
    ca_answer_t answer;

    file("leaf", fixture_certificate_pem(p, leaf(1)));
    file("other", fixture_certificate_pem(p, leaf(2)));
    file("chain", fixture_certificate_pem(p, ca_cert));
    answer = ask(ca, NULL, &log);
    ck_assert_msg(answer.result == c->result, "%s: %s", c->script, log);
    ck_assert_str_eq(answer.outcome.reason, c->reason);
    ck_assert_int_eq(answer.unknown, c->unknown);
    ck_assert_int_eq(answer.down, c->down);
    if (c->log == NULL) {
        ck_assert_str_eq(log, "");
    }
    else {
        ck_assert_msg(strstr(log, c->log) != NULL, "%s: %s", c->script, log);
    }
    /* while it is polled for, the CA has signed at most what was submitted */
    answer = ask(ca, "cookie", &log);
    ck_assert_int_eq(answer.result, strncmp(c->script, "rm", 2) != 0 ? c->result : CA_RETRY);
}
END_TEST

START_TEST(refusals_have_a_reason)
{
    const char *log;
    ca_answer_t answer = ask(make("printf 'not \\033[1mfor\\033 you\\nsecond line\\n'; exit 2"),
                             NULL, &log);

    ck_assert_ptr_nonnull(strstr(answer.outcome.text, "refused the request: not  [1mfor  you"));
    ck_assert_ptr_null(strstr(answer.outcome.text, "second"));
    ck_assert_ptr_nonnull(strstr(answer.outcome.detail, "refused: not"));
    answer = ask(make("echo reason >&2; exit 2"), NULL, &log);
    ck_assert_ptr_nonnull(strstr(answer.outcome.text, "request: reason"));
    answer = ask(make("exit 2"), NULL, &log);
    ck_assert_str_eq(answer.outcome.text, "The certification authority refused the request.");
    answer = ask(make("head -c 5000 /dev/zero | tr '\\0' x; exit 2"), NULL, &log);
    ck_assert_int_lt((int)strlen(answer.outcome.text), 300);
}
END_TEST

START_TEST(what_the_helper_is_told)
{
    ca_t *ca = make("env | grep -v -e CSR= -e SPKI= >told; printf %s \"$CERTMONGER_CSR\" >csr; "
                    "cat /proc/self/cmdline >arguments; echo later; exit 1");
    apr_pool_t *p = fixture_pool();
    const char *log, *told = apr_pstrcat(p, folder, "/told", NULL);
    char text[8192];
    FILE *f;
    size_t n;
    int i;
    static const char *const lines[] = {
        "CERTMONGER_OPERATION=SUBMIT\n", "CERTMONGER_CA_NICKNAME=unit\n",
        "CERTMONGER_CA_PROFILE=Laptop\n", "CERTMONGER_REQ_SUBJECT=CN=device\n",
        "CERTMONGER_REQ_HOSTNAME=a.example\nb.example\n", "CERTMONGER_REQ_EMAIL=c@example\n",
        "CERTMONGER_REQ_PRINCIPAL=d@example\n", "CERTMONGER_REQ_IP_ADDRESS=192.0.2.7\n",
        "CERTMONGER_KEY_TYPE=RSA\n", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:"};

    ck_assert_int_eq(ask(ca, NULL, &log).result, CA_PENDING);
    f = fopen(told, "r");
    ck_assert_ptr_nonnull(f);
    n = fread(text, 1, sizeof(text) - 1, f);
    text[n] = '\0';
    (void)fclose(f);
    for (i = 0; i < COUNT(lines); i++) {
        ck_assert_msg(strstr(text, lines[i]) != NULL, "%s is not in %s", lines[i], text);
    }
    ck_assert_ptr_null(strstr(text, "HOME="));
    ck_assert_ptr_null(strstr(text, "COOKIE"));
    f = fopen(apr_pstrcat(p, folder, "/csr", NULL), "r");
    ck_assert_ptr_nonnull(f);
    {
        X509_REQ *req = PEM_read_X509_REQ(f, NULL, NULL, NULL);

        ck_assert_ptr_nonnull(req);
        ck_assert_int_eq(i2d_X509_REQ(req, NULL), (int)request->csr->der.len);
        X509_REQ_free(req);
    }
    (void)fclose(f);
    ca = make("test \"$CERTMONGER_OPERATION $CERTMONGER_CA_COOKIE\" = 'POLL some cookie' &&"
              " cat leaf");
    file("leaf", fixture_certificate_pem(p, leaf(1)));
    ck_assert_int_eq(ask(ca, "some cookie", &log).result, CA_ISSUED);
}
END_TEST

START_TEST(default_template_has_no_profile)
{
    const char *log;

    request = ca_fixture_request(fixture_rsa(1), "device", NULL, NULL);
    ck_assert_int_eq(ask(make("test -z \"${CERTMONGER_CA_PROFILE+set}\" && exit 2"), NULL,
                         &log).result, CA_REJECTED);
}
END_TEST

START_TEST(hostile_names_stay_in_their_line)
{
    const char *log;

    /* a dNSName with a line break and more */
    request = ca_fixture_request(fixture_rsa(1), "device",
                                 "subjectAltName=DER:30:0B:82:09:61:0A:50:41:54:48:3D:62:00", NULL);
    ck_assert_int_eq(ask(make("test \"$CERTMONGER_REQ_HOSTNAME\" = 'a?PATH=b?' && exit 2"), NULL,
                         &log).result, CA_REJECTED);
}
END_TEST

START_TEST(a_long_csr_is_refused)
{
    const char *log;
    char *names = apr_pcalloc(fixture_pool(), 140000);
    int i;
    char *at = names;

    strcpy(names, "nsComment=");
    at += strlen(names);
    for (i = 0; i < 110000; i++) {
        *at++ = 'x';
    }
    request = ca_fixture_request(fixture_rsa(1), "device", names, NULL);
    ck_assert_int_eq(ask(make("exit 3"), NULL, &log).result, CA_REJECTED);
}
END_TEST

START_TEST(time_is_kept)
{
    apr_pool_t *p = fixture_pool();
    ca_t *ca = make("exec sleep 1000");
    log_sink_t *log = fixture_log(p);
    ca_answer_t answer;

    ca_submit(ca, request->grant, request->csr, apr_time_now() + apr_time_from_msec(400), &answer,
              log, p);
    ck_assert_int_eq(answer.result, CA_RETRY);
    ck_assert_int_eq(answer.unknown, 1);
    ck_assert_str_eq(answer.outcome.reason, "ca-deadline");
    ck_assert_int_eq(answer.down, 0);       /* the request had less time than the CA may take */
    ck_assert_ptr_nonnull(strstr(fixture_log_text(log), "took too long"));
}
END_TEST

/* A configuration that is refused; %s stands for a good helper. */
typedef struct option_case_t {
    const char *words[3];
    const char *error;
} option_case_t;

static const option_case_t options[] = {
    {{"timeout=5s"}, "helper"},
    {{"helper="}, "absolute"},
    {{"helper=bin/true"}, "absolute"},
    {{"helper=/nowhere"}, "No such file"},
    {{"helper=/tmp"}, "regular"},
    {{"helper=/bin/true", "helper=/bin/true"}, "helper"},
    {{"helper=/bin/true", "timeout=0"}, "timeout"},
    {{"helper=/bin/true", "timeout=x"}, "timeout"},
    {{"helper=/bin/true", "timeout=11min"}, "timeout"},
    {{"helper=/bin/true", "pollInterval=0"}, "pollInterval"},
    {{"helper=/bin/true", "directory=tmp"}, "absolute"},
    {{"helper=/bin/true", "directory=/nowhere"}, "No such file"},
    {{"helper=/bin/true", "directory=/bin/true"}, "not a directory"},
    {{"helper=/bin/true", "environment=HOME"}, "'HOME' is not NAME=value"},
    {{"helper=/bin/true", "environment==x"}, "not NAME=value"},
    {{"helper=/bin/true", "environment=2A=x"}, "not NAME=value"},
    {{"helper=/bin/true", "environment=A-B=x"}, "not NAME=value"},
    {{"helper=/bin/true", "environment=CERTMONGER_CSR=x"}, "CERTMONGER_CSR is the request's"},
    {{"helper=/bin/true", "environment=A=1 CERTMONGER_REQ_SUBJECT=x"}, "is the request's"},
    {{"helper=/bin/true", "concurrency=0"}, "concurrency"},
    {{"helper=/bin/true", "rewritesSubject=yes"}, "rewritesSubject"},
    {{"helper=/bin/true", "shell=on"}, "shell"},
};

START_TEST(bad_configuration)
{
    const option_case_t *c = &options[_i];
    int n = 0;
    ca_t *ca;
    const char *error;

    while (n < 3 && c->words[n] != NULL) {
        n++;
    }
    error = ca_make(&ca, &ca_exec_provider, n, c->words, config(), fixture_pool());
    ck_assert_msg(error != NULL && strstr(error, c->error) != NULL, "%s: %s",
                  c->words[n > 1 ? 1 : 0], error != NULL ? error : "accepted");
}
END_TEST

START_TEST(chain_is_required)
{
    static const char *const words[] = {"helper=/bin/true"};
    ca_t *ca;
    const char *error = ca_make(&ca, &ca_exec_provider, 1, words, ca_fixture_config(),
                                fixture_pool());

    ck_assert_ptr_nonnull(error);
    ck_assert_ptr_nonnull(strstr(error, "ScepCAChain is missing"));
}
END_TEST

START_TEST(arguments_and_environment)
{
    apr_pool_t *p = fixture_pool();
    const char *words[4], *log;
    ca_t *ca = NULL;

    words[0] = apr_pstrcat(p, "helper=", file("helper", "#!/bin/sh\n"
                                              "echo \"$#:$1:$2:$HOME:$A:$PATH\"\nexit 2\n"), NULL);
    words[1] = "arguments=-d 'two words'";
    words[2] = "environment=HOME=/var/empty 'A=b c' PATH=/bin";
    words[3] = "concurrency=1";
    ck_assert_ptr_null(ca_make(&ca, &ca_exec_provider, 4, words, config(), p));
    ck_assert_int_eq(ca_child_init(ca, p), APR_SUCCESS);
    ck_assert_ptr_nonnull(strstr(ask(ca, NULL, &log).outcome.detail,
                                 "2:-d:two words:/var/empty:b c:/bin"));
}
END_TEST

START_TEST(names_that_the_ca_chooses)
{
    apr_pool_t *p = fixture_pool();
    const char *words[3], *log;
    ca_t *ca = NULL;

    /* the CSR asks for more than the certificate has, and by another name */
    file("leaf", fixture_certificate_pem(p, leaf(1)));
    request = ca_fixture_request(fixture_rsa(1), "another", NAMES ",DNS:c.example", NULL);
    ck_assert_str_eq(ask(make("cat leaf"), NULL, &log).outcome.reason, "ca-answer");
    words[0] = apr_pstrcat(p, "helper=", file("helper", "#!/bin/sh\ncat leaf\n"), NULL);
    words[1] = apr_pstrcat(p, "directory=", folder, NULL);
    words[2] = "rewritesSubject=on";
    ck_assert_ptr_null(ca_make(&ca, &ca_exec_provider, 3, words, config(), p));
    ck_assert_int_eq(ca_child_init(ca, p), APR_SUCCESS);
    ck_assert_int_ne(ca_capabilities(ca) & CA_CAP_REWRITES_SUBJECT, 0);
    ck_assert_int_eq(ask(ca, NULL, &log).result, CA_ISSUED);
    /* a name that nobody asked for is none of them */
    request = ca_fixture_request(fixture_rsa(1), "another", "subjectAltName=DNS:a.example", NULL);
    ck_assert_str_eq(ask(ca, NULL, &log).outcome.reason, "ca-answer");
    ck_assert_ptr_nonnull(strstr(log, "not asked for"));
}
END_TEST

START_TEST(health_is_that_it_can_be_run)
{
    ca_t *ca = make("exit 0");
    const char *text;

    ck_assert_int_eq(ca_health(ca, &text, fixture_pool()), APR_SUCCESS);
    ca = make("exit 0"); /* an answer is kept for a while */
    ck_assert_int_eq(remove(apr_pstrcat(fixture_pool(), folder, "/helper", NULL)), 0);
    ck_assert_int_ne(ca_health(ca, &text, fixture_pool()), APR_SUCCESS);
    ck_assert_ptr_nonnull(strstr(text, "No such file"));
}
END_TEST

START_TEST(no_helper)
{
    ca_t *ca = make("exit 0");
    const char *log;

    ck_assert_int_eq(remove(apr_pstrcat(fixture_pool(), folder, "/helper", NULL)), 0);
    ck_assert_str_eq(ask(ca, NULL, &log).outcome.reason, "ca-unreachable");
    ck_assert_ptr_nonnull(strstr(log, "cannot be run: No such file"));
}
END_TEST

Suite *test_ca_exec_suite(void)
{
    Suite *suite = suite_create("ca_exec");
    TCase *tc = tcase_create("exec");

    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, fixture_teardown);
    tcase_add_loop_test(tc, certificates_in_every_form, 0, FORM_COUNT);
    tcase_add_test(tc, no_certificates);
    tcase_add_loop_test(tc, cookies_are_read, 0, COUNT(cookies));
    tcase_add_test(tc, longest_cookie);
    tcase_add_loop_test(tc, exit_statuses, 0, COUNT(statuses));
    tcase_add_test(tc, refusals_have_a_reason);
    tcase_add_test(tc, what_the_helper_is_told);
    tcase_add_test(tc, default_template_has_no_profile);
    tcase_add_test(tc, hostile_names_stay_in_their_line);
    tcase_add_test(tc, a_long_csr_is_refused);
    tcase_add_test(tc, time_is_kept);
    tcase_add_loop_test(tc, bad_configuration, 0, COUNT(options));
    tcase_add_test(tc, chain_is_required);
    tcase_add_test(tc, arguments_and_environment);
    tcase_add_test(tc, names_that_the_ca_chooses);
    tcase_add_test(tc, health_is_that_it_can_be_run);
    suite_add_tcase(suite, tc);
    return suite;
}

Suite *test_ca_exec_run_missing_suite(void)
{
    Suite *suite = suite_create("ca_exec_run_missing");
    TCase *tc = tcase_create("exec");

    tcase_add_checked_fixture(tc, setup, fixture_teardown);
    tcase_add_test(tc, no_helper);
    suite_add_tcase(suite, tc);
    return suite;
}
