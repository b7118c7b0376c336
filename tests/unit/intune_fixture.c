/* SPDX-License-Identifier: Apache-2.0 */
/* Policy "intune" alone; see intune_fixture.h. */
#include "intune_fixture.h"
#include <apr_strings.h>
#include <jansson.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static intune_fixture_t fixture;

intune_fixture_t *intune_fixture(void)
{
    return &fixture;
}

void intune_fixture_route(int route, const char *status, const char *headers, const char *body)
{
    static const char *const match[] = {"/oauth2/v2.0/token", "/servicePrincipals/",
                                        "/validateRequest", "/successNotification",
                                        "/failureNotification", "/CertificateAuthorityRequests/"};

    http_fixture_route(fixture.server, route, match[route], status, headers, body);
}

void intune_fixture_says(int route, const char *body)
{
    intune_fixture_route(route, "200 OK", "", body);
}

void intune_fixture_setup(void)
{
    apr_pool_t *p;
    int i;

    policy_fixture_setup();
    memset(&fixture, 0, sizeof(fixture));
    fixture.f = policy_fixture();
    p = fixture.f->p;
    fixture.server = http_fixture_start(p);
    intune_fixture_says(ROUTE_TOKEN, INTUNE_TOKEN);
    intune_fixture_says(
        ROUTE_DISCOVERY,
        apr_psprintf(p, "{\"value\":[{\"providerName\":\"Other\",\"uri\":\"https://no.example\"},"
                        "{\"providerName\":\"scepRequestValidationFEservice\",\"uri\":\"%s/\"},"
                        "{\"serviceName\":\"PkiConnectorFEService\",\"uri\":\"%s\"}]}",
                     http_fixture_url(fixture.server, "/scep", p),
                     http_fixture_url(fixture.server, "/pki", p)));
    for (i = ROUTE_VALIDATE; i <= ROUTE_FAILURE; i++)
        intune_fixture_says(i, "{\"code\":\"Success\",\"errorDescription\":\"\"}");
}

const char *intune_fixture_create(const char *const *words)
{
    settings_t *settings = NULL;
    apr_pool_t *p = fixture.f->p;
    const char *error;
    int argc = 0;

    while (words[argc])
        argc++;
    error = settings_parse(&settings, policy_intune.keys, argc, words, p);
    return error ? error
                 : policy_intune.create(&fixture.instance, settings, &fixture.f->cfg, p);
}

void intune_fixture_start(const char *word1, const char *word2)
{
    apr_pool_t *p = fixture.f->p;
    const char *url = http_fixture_url(fixture.server, "", p);
    const char *file = fixture_file(p, fixture_directory(p), "secret", INTUNE_SECRET "\n", 0600);
    const char *words[] = {"tenant=contoso.example", "clientId=0b5e-1", "plainLoopback=on",
                           apr_pstrcat(p, "authority=", url, "/", NULL),
                           apr_pstrcat(p, "graph=", url, NULL),
                           apr_pstrcat(p, "secretFile=", file, NULL), word1, word1 ? word2 : NULL,
                           NULL};
    const char *error = intune_fixture_create(words);

    if (!error)
        error = policy_intune.check(fixture.instance, p);
    if (!error)
        error = policy_intune.prepare(fixture.instance, geteuid(), getegid(), p);
    ck_assert_msg(!error, "%s", error);
    ck_assert_int_eq(policy_intune.child_init(fixture.instance, p), APR_SUCCESS);
}

apr_status_t intune_fixture_ask(void)
{
    policy_attributes_t attributes;
    policy_fixture_t *f = fixture.f;
    apr_status_t rv;

    memset(&attributes, 0, sizeof(attributes));
    memset(&fixture.claim, 0, sizeof(fixture.claim));
    memset(&fixture.tx, 0, sizeof(fixture.tx));
    outcome_init(&fixture.out);
    rv = policy_intune.reserve(fixture.instance, &f->request, &fixture.claim, &fixture.out, f->p);
    if (rv != APR_SUCCESS)
        return rv;
    fixture.tx.request = &f->request;
    fixture.tx.policy = f->policy;
    fixture.tx.store_tx.challenge_id =
        fixture.claim.challenge_id[0] ? fixture.claim.challenge_id[0] : "";
    f->request.deadline = apr_time_now() + apr_time_from_sec(10);
    return policy_intune.verify(fixture.instance, &fixture.tx, &attributes, &fixture.out, f->sink,
                                f->p);
}

/* Pool cleanup: gives an object back. */
static apr_status_t drop(void *object)
{
    json_decref(object);
    return APR_SUCCESS;
}

json_t *intune_fixture_body(int route)
{
    const char *request = fixture.server->routes[route].request;
    const char *body = strstr(request, "\r\n\r\n");
    json_t *object = body ? json_loads(body, JSON_REJECT_DUPLICATES, NULL) : NULL;

    ck_assert_msg(object != NULL, "%s", request);
    apr_pool_cleanup_register(fixture.f->p, object, drop, apr_pool_cleanup_null);
    return object;
}

const char *intune_fixture_header(int route, const char *name)
{
    const char *line = strcasestr(fixture.server->routes[route].request,
                                  apr_pstrcat(fixture.f->p, "\r\n", name, ": ", NULL));

    if (!line)
        return "";
    line += strlen(name) + 4;
    return apr_pstrmemdup(fixture.f->p, line, strcspn(line, "\r"));
}
