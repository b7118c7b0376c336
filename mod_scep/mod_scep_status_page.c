/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The status page for people: HTML without script.  Every text in it is escaped here, once, when it
 * is written; attributes are in double quotes.
 */
#include "mod_scep_status.h"
#include <apr_strings.h>
#include <http_protocol.h>
#include <stdarg.h>

#define STYLE                                                                                   \
    "body{font:15px/1.5 system-ui,sans-serif;max-width:70em;margin:1.5em auto;padding:0 1em;"   \
    "color:#1a1a1a;background:#fff}h1{font-size:1.4em}h2{font-size:1.15em;margin:1.6em 0 .4em}" \
    "table{border-collapse:collapse;width:100%;margin:.4em 0}th,td{text-align:left;"            \
    "vertical-align:top;padding:.3em .6em;border-bottom:1px solid #ddd;overflow-wrap:anywhere}" \
    "th{font-weight:600;white-space:nowrap}.ok{color:#096b2d}.warn{color:#8a5300}"              \
    ".bad{color:#b00020}.mono{font-family:monospace}form{margin:1em 0;padding:1em;"             \
    "border:1px solid #ccc;border-radius:6px}input[type=text]{width:100%;max-width:40em;"       \
    "font:inherit;padding:.3em}button{font:inherit;padding:.3em 1.2em;margin:.8em .8em 0 0}"    \
    ".note{background:#eef6ee;padding:.6em 1em;border-left:4px solid #096b2d}"

/* A page under construction. */
typedef struct html_t {
    apr_array_header_t *parts; /* of const char* */
    apr_pool_t *p;
} html_t;

/* Appends; the arguments are escaped already. */
static void put(html_t *h, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(html_t *h, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    APR_ARRAY_PUSH(h->parts, const char *) = apr_pvsprintf(h->p, format, args);
    va_end(args);
}

/* A new page. */
static html_t begin(apr_pool_t *p)
{
    html_t h;

    h.parts = apr_array_make(p, 64, sizeof(const char *));
    h.p = p;
    return h;
}

/* All that was put. */
static const char *end(html_t *h)
{
    return apr_array_pstrcat(h->p, h->parts, 0);
}

/* A member's text, escaped; "" where there is none. */
static const char *text(html_t *h, const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));

    return ap_escape_html(h->p, value ? value : "");
}

/* A member's number. */
static apr_int64_t number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

/* Whether a member is true. */
static int is_true(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

/* Seconds for people. */
static const char *span(html_t *h, apr_int64_t seconds)
{
    static const struct {
        apr_int64_t seconds;
        const char *unit;
    } units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
    int i;

    for (i = 0; i < 3 && (seconds < units[i].seconds || seconds % units[i].seconds); i++) {
        continue;
    }
    return apr_psprintf(h->p, "%" APR_INT64_T_FMT "%s", seconds / units[i].seconds, units[i].unit);
}

/* The entries of an array of texts, escaped, with what goes between them. */
static const char *joined(html_t *h, const json_t *array, const char *between)
{
    const char *all = "";
    size_t i;

    for (i = 0; i < json_array_size(array); i++) {
        all = apr_pstrcat(h->p, all, i ? between : "",
                          ap_escape_html(h->p, json_string_value(json_array_get(array, i))), NULL);
    }
    return all;
}

/* One row of a table of two columns. */
static void row(html_t *h, const char *label, const char *value)
{
    put(h, "<tr><th scope=\"row\">%s</th><td>%s</td></tr>", label, value);
}

/* Whether a store or CA can be asked. */
static const char *peer(html_t *h, const json_t *object, const char *key)
{
    return apr_psprintf(h->p, "%s <span class=\"%s\">%s</span>", text(h, object, key),
                        is_true(object, "ok") ? "ok" : "bad",
                        is_true(object, "ok") ? "works" : text(h, object, "problem"));
}

/* Whether the service works, and why not. */
static void put_health(html_t *h, const json_t *service)
{
    const json_t *problems = json_object_get(service, "problems");
    const json_t *warnings = json_object_get(service, "warnings");

    if (json_array_size(problems)) {
        put(h, "<p class=\"bad\">Does not work: %s</p>", joined(h, problems, "<br>"));
    }
    if (json_array_size(warnings)) {
        put(h, "<p class=\"warn\">%s</p>", joined(h, warnings, "<br>"));
    }
    if (!json_array_size(problems) && !json_array_size(warnings)) {
        put(h, "<p class=\"ok\">Ready.</p>");
    }
}

/* Renewal in one line. */
static const char *renewal(html_t *h, const json_t *r)
{
    const json_t *window = json_object_get(r, "window");

    if (!is_true(r, "enabled")) {
        return "off";
    }
    return apr_psprintf(h->p, "%s before the end, %s after it, %s subject, %s key%s",
                        json_is_string(window) ? "any time" : span(h, json_integer_value(window)),
                        span(h, number(r, "grace")), is_true(r, "same_subject") ? "same" : "any",
                        text(h, r, "key"), is_true(r, "foreign") ? ", also of other CAs" : "");
}

/* The settings that decide who gets a certificate. */
static void put_rules(html_t *h, const json_t *service)
{
    const json_t *c = json_object_get(service, "challenges");
    const json_t *a = json_object_get(service, "approval");
    const json_t *templates = json_object_get(a, "templates");
    apr_int64_t uses = number(c, "uses");

    row(h, "Policy", joined(h, json_object_get(c, "policies"), ", "));
    row(h, "Challenges",
        apr_psprintf(
            h->p,
            "good for %s, %s, %" APR_INT64_T_FMT " attempts, at most %" APR_INT64_T_FMT
            " outstanding",
            span(h, number(c, "lifetime")),
            uses ? apr_psprintf(h->p, "%" APR_INT64_T_FMT " use%s", uses, uses == 1 ? "" : "s")
                 : "any number of uses",
            number(c, "attempts"), number(c, "max")));
    row(h, "Limit",
        number(c, "failure_limit")
            ? apr_psprintf(h->p, "%" APR_INT64_T_FMT " failed challenges per address in %s",
                           number(c, "failure_limit"), span(h, number(c, "failure_window")))
            : "none per address");
    row(h, "Renewal", renewal(h, json_object_get(service, "renewal")));
    row(h, "Approval",
        strcmp(text(h, a, "mode"), "manual") ? "automatic"
        : json_array_size(templates)
            ? apr_pstrcat(h->p, "by a person, for ", joined(h, templates, ", "), NULL)
            : "by a person");
}

/* The table of certificates. */
static void put_certificates(html_t *h, const json_t *certificates)
{
    size_t i;

    put(h, "<table><thead><tr><th>Certificate</th><th>Subject</th><th>Serial number</th>"
           "<th>Ends</th><th>Days left</th></tr></thead><tbody>");
    for (i = 0; i < json_array_size(certificates); i++) {
        const json_t *c = json_array_get(certificates, i);
        apr_int64_t days = number(c, "days");

        put(h,
            "<tr><td>%s</td><td>%s</td><td class=\"mono\">%s</td><td>%s</td>"
            "<td class=\"%s\">%" APR_INT64_T_FMT "</td></tr>",
            text(h, c, "use"), text(h, c, "subject"), text(h, c, "serial"), text(h, c, "not_after"),
            days < 0    ? "bad"
            : days < 30 ? "warn"
                        : "ok",
            days);
    }
    put(h, "</tbody></table>");
}

/* What the transaction waits for. */
static const char *waits_for(html_t *h, const json_t *tx)
{
    const char *what = text(h, tx, "waits_for");

    if (!strcmp(what, "ca")) {
        json_int_t tries = json_integer_value(json_object_get(tx, "ca_tries"));

        return tries > 0 ? apr_psprintf(h->p, "the CA, which could not be asked (tries: %d)",
                                        (int)tries)
                         : "the CA";
    }
    return strcmp(what, "device")
               ? "approval"
               : apr_pstrcat(h->p, "the device's next poll; ", text(h, tx, "decision"), " by ",
                             text(h, tx, "decided_by"), NULL);
}

/* The challenge's short id, and who asked for it where the store can tell. */
static const char *challenge(html_t *h, const json_t *tx)
{
    const char *caller = text(h, tx, "caller");

    return apr_pstrcat(h->p, text(h, tx, "challenge"), *caller ? " of " : "", caller, NULL);
}

/* The table of what waits in a service. */
static void put_waiting(html_t *h, const json_t *service)
{
    const json_t *waiting = json_object_get(service, "waiting");
    const char *problem = text(h, service, "waiting_problem");
    const char *name = text(h, service, "service");
    size_t i;

    put(h, "<h3>Waiting requests</h3>");
    if (*problem) {
        put(h, "<p class=\"bad\">They cannot be listed: %s</p>", problem);
        return;
    }
    if (!json_array_size(waiting)) {
        put(h, "<p>None.</p>");
        return;
    }
    put(h, "<table><thead><tr><th>Subject</th><th>Template</th><th>Client</th><th>Challenge</th>"
           "<th>Since</th><th>Waits for</th><th>transactionID</th></tr></thead><tbody>");
    for (i = 0; i < json_array_size(waiting); i++) {
        const json_t *tx = json_array_get(waiting, i);
        const char *subject = text(h, tx, "subject");

        put(h,
            "<tr><td><a href=\"?service=%s&amp;tx=%s\">%s</a></td><td>%s</td><td>%s</td><td>%s</td>"
            "<td>%s</td><td>%s</td><td class=\"mono\">%s</td></tr>",
            name, text(h, tx, "tx"), *subject ? subject : "(no subject)", text(h, tx, "template"),
            text(h, tx, "client"), challenge(h, tx), text(h, tx, "created"), waits_for(h, tx),
            text(h, tx, "transaction_id"));
    }
    put(h, "</tbody></table>");
    if (is_true(service, "waiting_more")) {
        put(h, "<p>There are more; these wait longest.</p>");
    }
}

/* The news that are still to be delivered. */
static void put_outbox(html_t *h, const json_t *outbox)
{
    apr_int64_t count = number(outbox, "count");

    if (!json_is_object(outbox)) {
        put(h, "<p class=\"bad\">The outbox cannot be asked.</p>");
    }
    else if (count) {
        put(h, "<p class=\"warn\">News to be delivered: %" APR_INT64_T_FMT ", the oldest of %s</p>",
            count, text(h, outbox, "oldest"));
    }
}

/* The request-status records: their numbers, and the newest. */
static void put_records(html_t *h, const json_t *records)
{
    const json_t *newest = json_object_get(records, "newest");
    size_t i;

    if (!json_is_object(records)) {
        put(h, "<p class=\"bad\">The certificates cannot be listed.</p>");
        return;
    }
    put(h,
        "<p>Processing %" APR_INT64_T_FMT ", Failed %" APR_INT64_T_FMT ", Succeed %" APR_INT64_T_FMT
        "%s</p>",
        number(records, "processing"), number(records, "failed"), number(records, "succeed"),
        is_true(records, "more") ? " or more" : "");
    if (!json_array_size(newest)) {
        return;
    }
    put(h, "<table><thead><tr><th>Status</th><th>Subject</th><th>Serial number</th>"
           "<th>Thumbprint</th><th>Device</th><th>User</th><th>Issued</th><th>transactionID</th>"
           "</tr></thead><tbody>");
    for (i = 0; i < json_array_size(newest); i++) {
        const json_t *r = json_array_get(newest, i);

        put(h,
            "<tr><td>%s</td><td>%s</td><td class=\"mono\">%s</td><td class=\"mono\">%s</td>"
            "<td>%s</td><td>%s</td><td>%s</td><td class=\"mono\">%s</td></tr>",
            text(h, r, "state"), text(h, r, "subject"), text(h, r, "serial"),
            text(h, r, "thumbprint"), text(h, r, "device"), text(h, r, "user"),
            text(h, r, "issued"), text(h, r, "transactionID"));
    }
    put(h, "</tbody></table>");
}

const char *scep_status_page_services(const json_t *services, const char *done, apr_pool_t *p)
{
    html_t h = begin(p);
    size_t i;

    if (done && (!strcmp(done, "approved") || !strcmp(done, "denied"))) {
        put(&h, "<p class=\"note\" role=\"status\">The request was %s.</p>", done);
    }
    for (i = 0; i < json_array_size(services); i++) {
        const json_t *service = json_array_get(services, i), *ca;

        put(&h, "<h2>Service %s</h2>", text(&h, service, "service"));
        put_health(&h, service);
        put(&h, "<table><tbody>");
        row(&h, "Devices enroll at", text(&h, service, "path"));
        row(&h, "Challenges are at", text(&h, service, "admin_path"));
        row(&h, "Store", peer(&h, json_object_get(service, "store"), "url"));
        ca = json_object_get(service, "ca");
        row(&h, "CA", peer(&h, ca, "backend"));
        if (*text(&h, ca, "crl_next_update")) {
            row(&h, "CRL good until", text(&h, ca, "crl_next_update"));
        }
        put_rules(&h, service);
        put(&h, "</tbody></table>");
        put_certificates(&h, json_object_get(service, "certificates"));
        put_waiting(&h, service);
        put(&h, "<h3>Issued certificates</h3>");
        put_outbox(&h, json_object_get(service, "outbox"));
        put_records(&h, json_object_get(service, "records"));
        put(&h, "<p><a href=\"?service=%s&amp;certificates=\">All certificates</a></p>",
            text(&h, service, "service"));
    }
    return end(&h);
}

/* The request as the device made it. */
static void put_csr(html_t *h, const json_t *csr)
{
    const json_t *extensions = json_object_get(csr, "extensions");
    const char *all;
    size_t i;

    put(h, "<h2>The request</h2>");
    if (!json_is_object(csr)) {
        put(h, "<p class=\"warn\">Its contents cannot be shown.</p>");
        return;
    }
    put(h, "<table><tbody>");
    row(h, "Subject", text(h, csr, "subject"));
    all = joined(h, json_object_get(csr, "names"), "<br>");
    row(h, "Alternative names", *all ? all : "none");
    row(h, "Key", text(h, csr, "key"));
    for (i = 0; i < json_array_size(extensions); i++) {
        const json_t *ext = json_array_get(extensions, i);

        row(h,
            apr_pstrcat(h->p, text(h, ext, "name"), is_true(ext, "critical") ? " (critical)" : "",
                        NULL),
            text(h, ext, "value"));
    }
    put(h, "</tbody></table>");
}

/* What policy adds to the request, and so what the certificate will be. */
static void put_attributes(html_t *h, const json_t *attributes)
{
    static const char *const names[][2] = {{"template", "Template"},
                                           {"subject", "Subject"},
                                           {"sid", "Security identifier"},
                                           {"device", "Device"},
                                           {"user", "User"}};
    size_t i;

    if (!json_is_object(attributes)) {
        return;
    }
    put(h, "<h2>Policy adds</h2><table><tbody>");
    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (*text(h, attributes, names[i][0])) {
            row(h, names[i][1], text(h, attributes, names[i][0]));
        }
    }
    put(h, "</tbody></table>");
}

/* The two decisions. */
static void put_form(html_t *h, const json_t *tx, const char *service)
{
    put(h,
        "<form method=\"post\"><input type=\"hidden\" name=\"service\" value=\"%s\">"
        "<input type=\"hidden\" name=\"tx\" value=\"%s\">"
        "<input type=\"hidden\" name=\"token\" value=\"%s\">"
        "<label for=\"reason\">Reason (the device is told; needed to deny)</label><br>"
        "<input type=\"text\" id=\"reason\" name=\"reason\" maxlength=\"255\"><br>"
        "<button type=\"submit\" name=\"action\" value=\"approve\">Approve</button>"
        "<button type=\"submit\" name=\"action\" value=\"deny\">Deny</button></form>",
        ap_escape_html(h->p, service), text(h, tx, "tx"), text(h, tx, "token"));
}

const char *scep_status_page_tx(const json_t *tx, const char *service, apr_pool_t *p)
{
    html_t h = begin(p);

    put(&h, "<p><a href=\"?service=%s\">All of service %s</a></p><table><tbody>",
        ap_escape_html(p, service), ap_escape_html(p, service));
    row(&h, "transactionID", text(&h, tx, "transaction_id"));
    row(&h, "Template", text(&h, tx, "template"));
    row(&h, "Client", text(&h, tx, "client"));
    row(&h, "Challenge", challenge(&h, tx));
    row(&h, "Since", text(&h, tx, "created"));
    row(&h, "Waits for", waits_for(&h, tx));
    put(&h, "</tbody></table>");
    put_csr(&h, json_object_get(tx, "request"));
    put_attributes(&h, json_object_get(tx, "attributes"));
    if (*text(&h, tx, "token")) {
        put_form(&h, tx, service);
    }
    return end(&h);
}

/* Headers of every answer. */
static void guard(request_rec *r)
{
    apr_table_setn(r->err_headers_out, "Cache-Control", "no-store");
    apr_table_setn(r->headers_out, "X-Content-Type-Options", "nosniff");
    /* no-referrer would make browsers send "Origin: null" with the form */
    apr_table_setn(r->headers_out, "Referrer-Policy", "same-origin");
    apr_table_setn(r->headers_out, "X-Frame-Options", "DENY");
    apr_table_setn(r->headers_out, "Content-Security-Policy",
                   "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; "
                   "form-action 'self'; frame-ancestors 'none'");
    apr_table_mergen(r->headers_out, "Vary", "Accept");
}

int scep_status_send_page(request_rec *r, int status, const char *title, const char *body_html)
{
    const char *escaped = ap_escape_html(r->pool, title);
    const char *page = apr_pstrcat(r->pool,
                                   "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">"
                                   "<meta name=\"viewport\" content=\"width=device-width\"><title>",
                                   escaped, "</title><style>" STYLE "</style></head><body><h1>",
                                   escaped, "</h1>", body_html, "</body></html>\n", NULL);

    guard(r);
    return scep_http_send(r, status, "text/html; charset=utf-8", page, strlen(page));
}

int scep_status_send_json(request_rec *r, int status, json_t *object)
{
    char *text = json_dumps(object, JSON_INDENT(1));
    const char *copy = text ? apr_pstrcat(r->pool, text, "\n", NULL) : NULL;

    free(text);
    json_decref(object);
    guard(r);
    return copy ? scep_http_send(r, status, "application/json", copy, strlen(copy))
                : HTTP_INTERNAL_SERVER_ERROR;
}
