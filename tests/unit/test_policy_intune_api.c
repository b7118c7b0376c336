/* SPDX-License-Identifier: Apache-2.0 */
/* Policy "intune": log-in, tokens, discovery, revocations; one thread fetches for all. */
#include "../../common/clock.h"
#include "../../common/fetch_cache.h"
#include "intune_fixture.h"
#include <apr_atomic.h>
#include <apr_strings.h>
#include <apr_thread_proc.h>
#include <jansson.h>
#include <openssl/rsa.h>
#include <string.h>

Suite *test_policy_intune_api_suite(void);

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static intune_fixture_t *t;
static policy_fixture_t *f;
static apr_pool_t *p;

static void setup(void)
{
    intune_fixture_setup();
    t = intune_fixture();
    f = t->f;
    p = f->p;
}

/* How often a route was asked. */
static int asked(int route)
{
    return t->server->routes[route].requests;
}

/* Asks about one more request. */
static apr_status_t ask(void)
{
    policy_fixture_request("S3cret", NULL);
    return intune_fixture_ask();
}

/* A member of the last token request's form, still encoded. */
static const char *form(const char *name)
{
    const char *body = strstr(t->server->routes[ROUTE_TOKEN].request, "\r\n\r\n") + 4, *at;

    name = apr_pstrcat(p, name, "=", NULL);
    at = strncmp(body, name, strlen(name)) == 0 ? body
                                                : strstr(body, apr_pstrcat(p, "&", name, NULL));
    ck_assert_msg(at != NULL, "%s", body);
    at += strlen(name) + (*at == '&');
    return apr_pstrmemdup(p, at, strcspn(at, "&"));
}

START_TEST(log_in_by_secret)
{
    intune_fixture_start(NULL, NULL);
    ck_assert_int_eq(ask(), APR_SUCCESS);
    ck_assert_str_eq(form("grant_type"), "client_credentials");
    ck_assert_str_eq(form("client_id"), "0b5e-1");
    ck_assert_str_eq(form("client_secret"), "s3cret~of%20the%26application%3D");
    ck_assert_str_eq(form("scope"), "https%3A%2F%2Fapi.manage.microsoft.com%2F%2F.default");
    ck_assert_str_eq(intune_fixture_header(ROUTE_TOKEN, "Content-Type"),
                     "application/x-www-form-urlencoded");
    ck_assert_ptr_nonnull(strstr(t->server->routes[ROUTE_TOKEN].request,
                                 "POST /contoso.example/oauth2/v2.0/token HTTP/1.1\r\n"));
    ck_assert_ptr_nonnull(strstr(t->server->routes[ROUTE_DISCOVERY].request,
                                 "GET /v1.0/servicePrincipals/appId=0000000a-0000-0000-c000-"
                                 "000000000000/endpoints HTTP/1.1\r\n"));
    ck_assert_uint_eq(strlen(intune_fixture_header(ROUTE_DISCOVERY, "client-request-id")), 36);
    ck_assert_ptr_null(strstr(fixture_log_text(f->sink), "s3cret"));
}
END_TEST

/* Bytes of base64url. */
static unsigned char *decode(const char *text, size_t len, int *count)
{
    char *plain = apr_palloc(p, len + 5), *c;
    unsigned char *bytes = apr_palloc(p, len + 5);

    memcpy(plain, text, len);
    memcpy(plain + len, "====", 5);
    for (c = plain; *c; c++)
        *c = *c == '-' ? '+' : *c == '_' ? '/' : *c;
    *count = EVP_DecodeBlock(bytes, (unsigned char *)plain, (int)((len + 3) / 4 * 4));
    *count -= (4 - len % 4) % 4;
    bytes[*count] = '\0';
    return bytes;
}

/* A text in a part of a JWT. */
static const char *claim(const char *part, const char *name)
{
    int len;
    const char *json = (const char *)decode(part, strcspn(part, "."), &len);
    json_t *object = json_loads(json, 0, NULL);
    const char *text = json_string_value(json_object_get(object, name));

    text = apr_pstrdup(p, text ? text : "");
    json_decref(object);
    return text;
}

/* Whether the assertion's signature holds. */
static int verifies(const char *jwt, EVP_PKEY *key, int pss)
{
    const char *dot = strrchr(jwt, '.');
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *how = NULL;
    int len, good;
    unsigned char *signature = decode(dot + 1, strlen(dot + 1), &len);

    good = EVP_DigestVerifyInit(ctx, &how, EVP_sha256(), NULL, key) > 0 &&
           (!pss || EVP_PKEY_CTX_set_rsa_padding(how, RSA_PKCS1_PSS_PADDING) > 0) &&
           EVP_DigestVerify(ctx, signature, len, (const unsigned char *)jwt, dot - jwt) > 0;
    EVP_MD_CTX_free(ctx);
    return good;
}

static const char *const assertions[] = {"PS256", "RS256"};

START_TEST(log_in_by_certificate)
{
    fixture_certificate_t want = {0};
    X509 *cert = fixture_certificate(p, &want);
    const char *folder = fixture_directory(p), *jwt, *payload;
    intune_login_t login;
    unsigned char digest[20];
    int len;

    memset(&login, 0, sizeof(login));
    login.client_id = "0b5e-1";
    login.token_url = "https://login.example/t/oauth2/v2.0/token";
    login.certificate_file =
        fixture_file(p, folder, "cert", fixture_certificate_pem(p, cert), 0644);
    login.key_file = fixture_file(p, folder, "key", fixture_key_pem(p, fixture_rsa(0)), 0600);
    login.pss = _i == 0;
    ck_assert_ptr_null(intune_login_load(&login, p));
    jwt = strstr(intune_login_form(&login, "scope", p), "&client_assertion=");
    ck_assert_ptr_nonnull(strstr(intune_login_form(&login, "scope", p),
                                 "&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3A"
                                 "client-assertion-type%3Ajwt-bearer&"));
    jwt += strlen("&client_assertion=");
    ck_assert(verifies(jwt, fixture_rsa(0), login.pss));
    ck_assert(!verifies(jwt, fixture_rsa(1), login.pss));
    payload = strchr(jwt, '.') + 1;
    ck_assert_str_eq(claim(jwt, "alg"), assertions[_i]);
    ck_assert_str_eq(claim(jwt, "typ"), "JWT");
    X509_digest(cert, EVP_sha1(), digest, NULL);
    ck_assert_int_eq(memcmp(decode(claim(jwt, "x5t"), 27, &len), digest, 20), 0);
    ck_assert_uint_eq(strlen(claim(jwt, "x5t#S256")), 43);
    ck_assert_str_eq(claim(payload, "aud"), login.token_url);
    ck_assert_str_eq(claim(payload, "iss"), "0b5e-1");
    ck_assert_str_eq(claim(payload, "sub"), "0b5e-1");
    ck_assert_uint_eq(strlen(claim(payload, "jti")), 36);
    ck_assert_str_ne(jwt, strstr(intune_login_form(&login, "scope", p), "ey"));
    intune_login_wipe(&login);
    ck_assert_ptr_null(intune_login_form(&login, "scope", p));
}
END_TEST

START_TEST(bad_credentials)
{
    fixture_certificate_t want = {0};
    const char *folder = fixture_directory(p), *key, *ec, *cert, *old;
    intune_login_t login;

    key = fixture_file(p, folder, "key", fixture_key_pem(p, fixture_rsa(1)), 0600);
    ec = fixture_file(p, folder, "ec", fixture_key_pem(p, fixture_ec()), 0600);
    cert = fixture_file(p, folder, "cert",
                        fixture_certificate_pem(p, fixture_certificate(p, &want)), 0644);
    want.not_before = -7200;
    want.not_after = -3600;
    want.key = fixture_rsa(1);
    old = fixture_file(p, folder, "old",
                       fixture_certificate_pem(p, fixture_certificate(p, &want)), 0644);
    memset(&login, 0, sizeof(login));
    login.certificate_file = cert;
    ck_assert_ptr_nonnull(intune_login_load(&login, p)); /* no key in it */
    login.key_file = key;
    ck_assert_ptr_nonnull(strstr(intune_login_load(&login, p), "not that of"));
    login.key_file = ec;
    ck_assert_ptr_nonnull(strstr(intune_login_load(&login, p), "RSA"));
    login.key_file = key;
    login.certificate_file = old;
    ck_assert_ptr_nonnull(strstr(intune_login_load(&login, p), "expired"));
    login.secret_file = fixture_file(p, folder, "short", "1234567\n", 0600);
    ck_assert_ptr_nonnull(strstr(intune_login_load(&login, p), "shorter than 8"));
    login.secret_file = fixture_file(p, folder, "open", "12345678\n", 0644);
    ck_assert_ptr_nonnull(strstr(intune_login_load(&login, p), "by others"));
}
END_TEST

#define TOKEN(type, seconds, token) \
    "{\"token_type\":" type ",\"expires_in\":" seconds ",\"access_token\":" token "}"

static const struct {
    const char *status, *body, *said; /* said NULL: good */
} token_cases[] = {
    {"200 OK", TOKEN("\"bearer\"", "10", "\"a\""), NULL},
    {"200 OK", TOKEN("\"pop\"", "10", "\"a\""), "no Bearer"},
    {"200 OK", TOKEN("7", "10", "\"a\""), "no Bearer"},
    {"200 OK", TOKEN("\"Bearer\"", "0", "\"a\""), "expires_in"},
    {"200 OK", TOKEN("\"Bearer\"", "-5", "\"a\""), "expires_in"},
    {"200 OK", TOKEN("\"Bearer\"", "\"3599\"", "\"a\""), "expires_in"},
    {"200 OK", TOKEN("\"Bearer\"", "9999999999999", "\"a\""), "expires_in"},
    {"200 OK", TOKEN("\"Bearer\"", "10", "\"\""), "access_token"},
    {"200 OK", TOKEN("\"Bearer\"", "10", "7"), "access_token"},
    {"200 OK", TOKEN("\"Bearer\"", "10", "\"a b\""), "access_token"},
    {"200 OK", TOKEN("\"Bearer\"", "10", "\"a\\r\\nX: y\""), "access_token"},
    {"200 OK", TOKEN("\"Bearer\"", "10", "\"a\\u0000\""), "not JSON"},
    {"200 OK", "{\"access_token\":\"x\",\"access_token\":\"y\"}", "not JSON"},
    {"200 OK", "", "not JSON"},
    {"200 OK", "[]", "not a JSON object"},
    {"302 Found", INTUNE_TOKEN, "HTTP status 302"},
    {"400 Bad", "{\"error\":\"invalid_client\",\"error_description\":\"AADSTS7000215: s3cret~of\"}",
     "HTTP status 400, invalid_client (AADSTS7000215)"},
    {"401 No", "{\"error\":\"invalid_client\",\"error_description\":\"s3cret~of the&app\"}",
     "HTTP status 401, invalid_client"},
    {"401 No", "{\"error\":\"s3cret~of\"}", "HTTP status 401, no reason given"},
    {"400 Bad", "<html>", "HTTP status 400, no reason given"},
    {"", "", "token: http://127.0.0.1"}};

START_TEST(tokens)
{
    apr_status_t rv;

    intune_fixture_start(NULL, NULL);
    intune_fixture_route(ROUTE_TOKEN, token_cases[_i].status, "", token_cases[_i].body);
    rv = ask();
    ck_assert_msg((rv == APR_SUCCESS) == !token_cases[_i].said, "%s", t->out.detail);
    if (rv == APR_SUCCESS)
        return;
    ck_assert_int_eq(t->out.result, OUTCOME_UNAVAILABLE);
    ck_assert_msg(strstr(t->out.detail, token_cases[_i].said) != NULL, "%s", t->out.detail);
    ck_assert_ptr_null(strstr(t->out.detail, "s3cret"));
    ck_assert_ptr_null(strstr(fixture_log_text(f->sink), "s3cret"));
    ck_assert_int_eq(asked(ROUTE_DISCOVERY) + asked(ROUTE_VALIDATE), 0);
}
END_TEST

#define PLACE(name, uri) "{\"value\":[{\"providerName\":" name ",\"uri\":" uri "}]}"
#define SCEP "\"ScepRequestValidationFEService\""

static const struct {
    const char *status, *body, *said;
} discovery_cases[] = {
    {"200 OK", "{\"value\":[]}", "knows no ScepRequestValidationFEService"},
    {"200 OK", "{}", "no list"},
    {"200 OK", "{\"value\":{}}", "no list"},
    {"200 OK", "{\"value\":[1,null,[]]}", "knows no"},
    {"200 OK", PLACE("\"ScepRequestValidation\"", "\"https://a.example\""), "knows no"},
    {"200 OK", PLACE(SCEP, "7"), "knows no"},
    {"200 OK", PLACE(SCEP, "\"\""), "not https"},
    {"200 OK", PLACE(SCEP, "\"http://intune.example/x\""), "in the clear"},
    {"200 OK", PLACE(SCEP, "\"http+unix://%2Frun%2Fa.sock/\""), "not https"},
    {"200 OK", PLACE(SCEP, "\"file:///etc/passwd\""), "not https"},
    {"200 OK", PLACE(SCEP, "\"//intune.example\""), "not https"},
    {"200 OK", PLACE(SCEP, "\"https://u:pw@intune.manage.example/\""), "not https"},
    {"200 OK", PLACE(SCEP, "\"https://manage.example.evil/\""), "allowed host"},
    {"200 OK", PLACE(SCEP, "\"https://evilmanage.example/\""), "allowed host"},
    {"200 OK", PLACE(SCEP, "\"https://.manage.example/\""), "allowed host"},
    {"200 OK", PLACE(SCEP, "\"https://evil.example/.manage.example\""), "allowed host"},
    {"200 OK", PLACE(SCEP, "\"https://evil.example?.manage.example\""), "allowed host"},
    {"200 OK", PLACE(SCEP, "\"https://evil.example#.manage.example\""), "allowed host"},
    {"200 OK", PLACE(SCEP, "\"https://evil.example:1\\r\\n.manage.example\""), "allowed host"},
    {"200 OK", "not JSON", "not JSON"},
    {"401 No", "", "HTTP status 401"},
    {"403 No", "", "HTTP status 403"},
    {"500 Broken", "", "HTTP status 500"},
    {"302 Found", "", "HTTP status 302"}};

START_TEST(discovery)
{
    intune_fixture_start("serviceHosts=.manage.example", NULL);
    intune_fixture_route(ROUTE_DISCOVERY, discovery_cases[_i].status, "",
                         discovery_cases[_i].body);
    ck_assert_int_eq(ask(), APR_EGENERAL);
    ck_assert_int_eq(t->out.result, OUTCOME_UNAVAILABLE);
    ck_assert_msg(strstr(t->out.detail, discovery_cases[_i].said) != NULL, "%s", t->out.detail);
    ck_assert_ptr_null(strstr(t->out.detail, "pw@"));
    ck_assert_int_eq(asked(ROUTE_VALIDATE), 0);
    /* a token may have been taken back: with 401 there is one more try */
    ck_assert_int_eq(asked(ROUTE_DISCOVERY), strncmp(discovery_cases[_i].status, "401", 3) ? 1 : 2);
}
END_TEST

START_TEST(all_is_kept)
{
    int i;

    intune_fixture_start(NULL, NULL);
    for (i = 0; i < 5; i++)
        ck_assert_int_eq(ask(), APR_SUCCESS);
    ck_assert_int_eq(asked(ROUTE_TOKEN), 2); /* two scopes */
    ck_assert_int_eq(asked(ROUTE_DISCOVERY), 1);
    ck_assert_int_eq(asked(ROUTE_VALIDATE), 5);
}
END_TEST

static const struct {
    const char *status;
    int tokens, discoveries, calls; /* of one call that fails and one that is good */
} fault_cases[] = {{"401 No", 4, 2, 3}, {"500 Broken", 2, 2, 2}, {"404 Gone", 2, 2, 2},
                   {"", 2, 2, 3}};

/* What is kept is dropped when it may be the cause. */
START_TEST(faults_drop)
{
    intune_fixture_start(NULL, NULL);
    intune_fixture_route(ROUTE_VALIDATE, fault_cases[_i].status, "", "");
    ck_assert_int_eq(ask(), APR_EGENERAL);
    intune_fixture_says(ROUTE_VALIDATE, "{\"code\":\"Success\"}");
    ck_assert_int_eq(ask(), APR_SUCCESS);
    ck_assert_int_eq(asked(ROUTE_TOKEN), fault_cases[_i].tokens);
    ck_assert_int_eq(asked(ROUTE_DISCOVERY), fault_cases[_i].discoveries);
    ck_assert_int_eq(asked(ROUTE_VALIDATE), fault_cases[_i].calls);
}
END_TEST

/* A fetch for the cache's tests. */
typedef struct source_t {
    volatile apr_uint32_t fetches;
    const char *text; /* NULL: fails */
    apr_interval_time_t lifetime, takes, retry_after;
} source_t;

static apr_status_t fetch(void *baton, const char **text, apr_interval_time_t *lifetime,
                          apr_time_t deadline, fetch_why_t *why, const log_sink_t *log,
                          apr_pool_t *pool)
{
    source_t *source = baton;

    (void)deadline;
    (void)log;
    (void)pool;
    apr_atomic_inc32(&source->fetches);
    if (source->takes)
        apr_sleep(source->takes);
    *text = source->text;
    *lifetime = source->lifetime;
    apr_cpystrn(why->text, "because", sizeof(why->text));
    why->retry_after = source->retry_after;
    return source->text ? APR_SUCCESS : APR_EGENERAL;
}

static source_t source;
static fetch_cache_t cache;

/* One caller; how it ended. */
static apr_status_t get(apr_interval_time_t patience, const char **text, fetch_why_t *why,
                        apr_pool_t *pool)
{
    return fetch_cache_get(&cache, fetch, &source, text, apr_time_now() + patience, why, NULL,
                            pool);
}

/* What the threads got. */
static apr_uint32_t threads_good;

/* A thread's caller.  Returns, since AddressSanitizer takes apr_thread_exit() for an overflow. */
static void *APR_THREAD_FUNC run(apr_thread_t *thread, void *baton)
{
    apr_pool_t *pool;
    const char *text;
    fetch_why_t why;

    (void)thread, (void)baton;
    apr_pool_create(&pool, NULL);
    if (get(apr_time_from_sec(10), &text, &why, pool) == APR_SUCCESS)
        apr_atomic_inc32(&threads_good);
    return NULL;
}

/* Eight callers at once; how many got the text. */
static int eight(void)
{
    apr_thread_t *thread[8];
    apr_uint32_t before = apr_atomic_read32(&threads_good);
    apr_status_t rv;
    int i;

    for (i = 0; i < 8; i++)
        ck_assert_int_eq(apr_thread_create(&thread[i], NULL, run, NULL, p), APR_SUCCESS);
    for (i = 0; i < 8; i++)
        apr_thread_join(&rv, thread[i]);
    return (int)(apr_atomic_read32(&threads_good) - before);
}

/* A new cache and source. */
static void make(const char *text, apr_interval_time_t lifetime, apr_interval_time_t takes)
{
    memset(&source, 0, sizeof(source));
    memset(&cache, 0, sizeof(cache));
    apr_atomic_set32(&threads_good, 0);
    source.text = text;
    source.lifetime = lifetime;
    source.takes = takes;
    ck_assert_int_eq(fetch_cache_init(&cache, p), APR_SUCCESS);
}

START_TEST(one_fetches)
{
    make("text", apr_time_from_sec(3600), apr_time_from_msec(100));
    ck_assert_int_eq(eight(), 8);
    ck_assert_int_eq(source.fetches, 1);
}
END_TEST

START_TEST(one_fails)
{
    make(NULL, 0, apr_time_from_msec(100));
    ck_assert_int_eq(eight(), 0);
    ck_assert_int_eq(source.fetches, 1);
}
END_TEST

START_TEST(failures_rest)
{
    const char *text;
    fetch_why_t why;

    make(NULL, 0, 0);
    source.retry_after = apr_time_from_sec(100);
    ck_assert_int_eq(get(1000000, &text, &why, p), APR_EGENERAL);
    source.text = "text";
    ck_assert_int_eq(get(1000000, &text, &why, p), APR_EGENERAL);
    ck_assert_str_eq(why.text, "because");
    ck_assert(why.retry_after > apr_time_from_sec(50));
    ck_assert_int_eq(source.fetches, 1);
    /* a wall clock that is set back does not prolong that */
    ck_assert(cache.rest <= clock_monotonic() + source.retry_after);
}
END_TEST

/* The old text is good until it expires, also when no new one comes. */
START_TEST(old_text_is_used)
{
    const char *text;
    fetch_why_t why;

    make("old", apr_time_from_sec(3600), 0);
    ck_assert_int_eq(get(1000000, &text, &why, p), APR_SUCCESS);
    cache.refresh = clock_monotonic() - 1;
    source.text = NULL;
    ck_assert_int_eq(get(1000000, &text, &why, p), APR_SUCCESS);
    ck_assert_str_eq(text, "old");
    ck_assert_int_eq(source.fetches, 2);
    ck_assert_int_eq(get(1000000, &text, &why, p), APR_SUCCESS);
    ck_assert_int_eq(source.fetches, 2);
    cache.refresh = cache.expires = clock_monotonic() - 1;
    cache.rest = 0;
    ck_assert_int_eq(get(1000000, &text, &why, p), APR_EGENERAL);
    ck_assert_ptr_null(text);
    source.text = "new";
    cache.rest = 0;
    ck_assert_int_eq(get(1000000, &text, &why, p), APR_SUCCESS);
    ck_assert_str_eq(text, "new");
    fetch_cache_drop(&cache, "old");
    ck_assert_int_eq(get(1000000, &text, &why, p), APR_SUCCESS);
    ck_assert_int_eq(source.fetches, 4);
    fetch_cache_drop(&cache, "new");
    ck_assert_int_eq(get(1000000, &text, &why, p), APR_SUCCESS);
    ck_assert_int_eq(source.fetches, 5);
}
END_TEST

START_TEST(waiting_ends)
{
    apr_thread_t *thread;
    const char *text;
    fetch_why_t why;
    apr_status_t rv;

    make("text", apr_time_from_sec(3600), apr_time_from_msec(500));
    ck_assert_int_eq(apr_thread_create(&thread, NULL, run, NULL, p), APR_SUCCESS);
    while (!source.fetches)
        apr_sleep(1000);
    ck_assert_int_eq(get(apr_time_from_msec(20), &text, &why, p), APR_TIMEUP);
    ck_assert_ptr_nonnull(strstr(why.text, "still asking"));
    apr_thread_join(&rv, thread);
    ck_assert_int_eq(apr_atomic_read32(&threads_good), 1);
}
END_TEST

/* policy_work_t.revoke: what the serial number ends in decides. */
static apr_status_t revoke_it(void *baton, const char *issuer, const char *serial, int reason,
                              outcome_t *out, apr_pool_t *pool)
{
    int *count = baton;

    ck_assert_str_eq(issuer, "CN=Our CA");
    ck_assert_int_eq(reason, 5);
    ck_assert_ptr_null(strpbrk(serial, "ABCDEF"));
    (*count)++;
    outcome_unavailable(out, "ca", 0, pool, "it is away");
    switch (serial[strlen(serial) - 1]) {
    case '1': return APR_SUCCESS;
    case '2': return APR_NOTFOUND;
    case '3': return APR_ENOTIMPL;
    default: return APR_EGENERAL;
    }
}

/* One round of work; when it wants to be asked again. */
static apr_interval_time_t work(int *revoked)
{
    policy_work_t what;

    memset(&what, 0, sizeof(what));
    *revoked = 0;
    what.deadline = apr_time_now() + apr_time_from_sec(10);
    what.revoke = revoke_it;
    what.baton = revoked;
    what.holder = "unit";
    return policy_intune.work(t->instance, &what, f->sink, p);
}

#define WANT(context, serial, issuer) \
    "{\"requestContext\":\"" context "\",\"serialNumber\":" serial ",\"issuerName\":" issuer "}"

START_TEST(revocations)
{
    static const char *const codes[] = {"None", "CertificateNotFoundError", "NotSupportedError",
                                        "RetryableServiceException", "ParameterDataInvalidError",
                                        "ParameterDataInvalidError", "CertificateNotFoundError"};
    json_t *list, *one;
    int i, revoked;

    intune_fixture_start("revocation=on", "revocationIssuer=CN=Our CA");
    intune_fixture_says(ROUTE_PKI,
                        "{\"value\":[" WANT("c0", "\"0AB1\"", "\"CN=Our CA\"") ","
                        WANT("c1", "\"0AB2\"", "null") "," WANT("c2", "\"0AB3\"", "\"\"") ","
                        WANT("c3", "\"0AB4\"", "\"CN=Our CA\"") ","
                        WANT("c4", "\"0x1\"", "\"CN=Our CA\"") ","
                        WANT("c5", "7", "\"CN=Our CA\"") ","
                        WANT("c6", "\"0AB1\"", "\"CN=Their CA\"") ",{},7]}");
    ck_assert(work(&revoked) == apr_time_from_sec(600));
    ck_assert_int_eq(revoked, 4);
    ck_assert_int_eq(asked(ROUTE_PKI), 2);
    ck_assert_str_eq(intune_fixture_header(ROUTE_PKI, "api-version"), "5019-05-05");
    ck_assert_ptr_nonnull(strstr(t->server->routes[ROUTE_PKI].request,
                                 "POST /pki/CertificateAuthorityRequests/uploadRevocationResults"));
    list = json_object_get(intune_fixture_body(ROUTE_PKI), "results");
    ck_assert_uint_eq(json_array_size(list), COUNT(codes));
    for (i = 0; i < COUNT(codes); i++) {
        one = json_array_get(list, i);
        ck_assert_str_eq(json_string_value(json_object_get(one, "requestContext")),
                         apr_psprintf(p, "c%d", i));
        ck_assert_str_eq(json_string_value(json_object_get(one, "errorCode")), codes[i]);
        ck_assert_int_eq(json_is_true(json_object_get(one, "succeeded")), i == 0);
    }
    /* the answer to the upload was the list again: Intune did not take them */
    ck_assert_ptr_nonnull(strstr(fixture_log_text(f->sink), "SCEP0277"));
}
END_TEST

static const char *const odd_lists[] = {"{}", "{\"value\":7}", "{\"value\":[]}", "[]", "", "null",
                                        "{\"value\":[{\"serialNumber\":\"01\"}]}",
                                        "{\"value\":[{\"requestContext\":7}]}"};

START_TEST(odd_revocations)
{
    json_t *parameters;
    int revoked;

    intune_fixture_start("revocation=on", "revocationIssuer=CN=Our CA");
    intune_fixture_says(ROUTE_PKI, odd_lists[_i]);
    work(&revoked);
    ck_assert_int_eq(revoked, 0);
    ck_assert_int_eq(asked(ROUTE_PKI), 1);
    parameters = json_object_get(intune_fixture_body(ROUTE_PKI), "downloadParameters");
    ck_assert_int_eq(json_integer_value(json_object_get(parameters, "maxRequests")), 50);
    ck_assert_str_eq(json_string_value(json_object_get(parameters, "issuerName")), "CN=Our CA");
}
END_TEST

START_TEST(no_revocations)
{
    int revoked;

    intune_fixture_start(NULL, NULL);
    work(&revoked);
    ck_assert_int_eq(asked(ROUTE_TOKEN) + asked(ROUTE_PKI), 0);
}
END_TEST

Suite *test_policy_intune_api_suite(void)
{
    Suite *suite = suite_create("policy_intune_api");
    TCase *tc = tcase_create("policy_intune_api");

    tcase_add_checked_fixture(tc, setup, fixture_teardown);
    tcase_set_timeout(tc, 20);
    tcase_add_test(tc, log_in_by_secret);
    tcase_add_loop_test(tc, log_in_by_certificate, 0, COUNT(assertions));
    tcase_add_test(tc, bad_credentials);
    tcase_add_loop_test(tc, tokens, 0, COUNT(token_cases));
    tcase_add_loop_test(tc, discovery, 0, COUNT(discovery_cases));
    tcase_add_test(tc, all_is_kept);
    tcase_add_loop_test(tc, faults_drop, 0, COUNT(fault_cases));
    tcase_add_test(tc, one_fetches);
    tcase_add_test(tc, one_fails);
    tcase_add_test(tc, failures_rest);
    tcase_add_test(tc, old_text_is_used);
    tcase_add_test(tc, waiting_ends);
    tcase_add_test(tc, revocations);
    tcase_add_loop_test(tc, odd_revocations, 0, COUNT(odd_lists));
    tcase_add_test(tc, no_revocations);
    suite_add_tcase(suite, tc);
    return suite;
}
