/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The linter's part about httpd: settings of the virtual host that some devices cannot live with.
 * Other modules' settings cannot be asked, so the directives themselves are read.  Sections below
 * the virtual host are left alone: what they say about the administrators' pages is their matter.
 */
#include "mod_scep_lint.h"
#include <apr_strings.h>

/* The section of a virtual host; address not NULL: the first one of that address. */
static const ap_directive_t *host_section(const server_rec *s, const char *address)
{
    const ap_directive_t *d;

    for (d = ap_conftree; d; d = d->next) {
        if (ap_cstr_casecmp(d->directive, "<VirtualHost") != 0) {
            continue;
        }
        if (address ? !ap_cstr_casecmp(d->args, address)
                    : s->defn_name && d->line_num == (int)s->defn_line_number &&
                          !strcmp(d->filename, s->defn_name)) {
            return d;
        }
    }
    return NULL;
}

/* The last of the directives with that name right in a section; NULL: none. */
static const ap_directive_t *last_in(const ap_directive_t *section, const char *name)
{
    const ap_directive_t *d, *found = NULL;

    for (d = section; d; d = d->next) {
        if (!ap_cstr_casecmp(d->directive, name)) {
            found = d;
        }
    }
    return found;
}

/* What is in force in the server: its own directive, else the main server's; NULL: none. */
static const ap_directive_t *in_force(const ap_directive_t *host, const char *name)
{
    const ap_directive_t *found = host ? last_in(host->first_child, name) : NULL;

    return found ? found : last_in(ap_conftree, name);
}

/* Whether SSLProtocol's words leave TLS 1.2 on. */
static int has_tls12(const char *words, apr_pool_t *p)
{
    const char *word;
    int on = 1, add, is_it;

    while (*(word = ap_getword_conf(p, &words))) {
        add = *word != '-';
        is_it = !ap_cstr_casecmp(word + (*word == '+' || *word == '-'), "TLSv1.2") ||
                !ap_cstr_casecmp(word + (*word == '+' || *word == '-'), "all");
        if (*word != '+' && *word != '-') {
            on = is_it; /* without a sign it is all there is */
        }
        else if (is_it) {
            on = add;
        }
    }
    return on;
}

/* mod_ssl's settings, where TLS is on. */
static void lint_tls(scep_check_t *check, scep_service_conf_t *service, const ap_directive_t *host)
{
    const ap_directive_t *engine = in_force(host, "SSLEngine");
    const ap_directive_t *d;

    if (!engine || !ap_cstr_casecmp(engine->args, "off")) {
        return;
    }
    d = in_force(host, "SSLVerifyClient");
    if (d && ap_cstr_casecmp(d->args, "none") != 0) {
        scep_check_warning(check, service, NULL,
                           "SSLVerifyClient %s (%s:%d) is in force for all of the virtual host; "
                           "macOS does not renew and phones do not enroll where TLS asks for a "
                           "certificate; say it in <Location> of the pages for administrators",
                           d->args, d->filename, d->line_num);
    }
    d = in_force(host, "SSLProtocol");
    if (d && !has_tls12(d->args, check->ptemp)) {
        scep_check_warning(check, service, NULL,
                           "SSLProtocol %s (%s:%d) leaves out TLSv1.2; Windows' SCEP client knows "
                           "nothing newer",
                           d->args, d->filename, d->line_num);
    }
}

/* A device that names no host gets the first virtual host of the address. */
static void lint_host(scep_check_t *check, scep_service_conf_t *service,
                      const ap_directive_t *host)
{
    const ap_directive_t *first = host ? host_section(NULL, host->args) : NULL;

    if (first && first != host) {
        scep_check_notice(check, service, NULL,
                          "devices that send no Host (Cisco IOS, HTTP/1.0) get the virtual host at "
                          "%s:%d, which is the first one of <VirtualHost %s",
                          first->filename, first->line_num, host->args);
    }
}

/* The settings of one server that offers the service. */
static void lint_server(scep_check_t *check, scep_service_conf_t *service, const server_rec *s)
{
    const ap_directive_t *host = host_section(s, NULL);

    if (s->limit_req_line < SCEP_REQUEST_LINE &&
        (s == service->server || s->limit_req_line < service->server->limit_req_line)) {
        scep_check_warning(check, service, NULL,
                           "LimitRequestLine is %d here; devices that enroll by GET (Cisco IOS) "
                           "with a 4096-bit key or a long challenge need more (up to %d)",
                           s->limit_req_line, SCEP_REQUEST_LINE);
    }
    lint_tls(check, service, host);
    if (s == service->server) {
        lint_host(check, service, host);
    }
}

void scep_lint_httpd(scep_check_t *check, scep_service_conf_t *service)
{
    const server_rec *s;

    if (!check->test) {
        return;
    }
    lint_server(check, service, service->server);
    /* what the main server offers, all virtual hosts do */
    for (s = service->server->next; s && !service->server->is_virtual; s = s->next) {
        lint_server(check, service, s);
    }
}
