/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pages about certificates, from the JSON that programs get.  Every text is escaped here, once;
 * attributes are in double quotes.
 */
#include "mod_scep_inventory.h"
#include "mod_scep_status.h"
#include <apr_strings.h>
#include <http_protocol.h>
#include <openssl/x509v3.h>

/* A member's text, escaped; "" where there is none. */
static const char *text(const json_t *object, const char *key, apr_pool_t *p)
{
    const char *value = json_string_value(json_object_get(object, key));

    return ap_escape_html(p, value ? value : "");
}

/* "valid", "expired" or "revoked", in a color. */
static const char *state(const json_t *certificate, apr_pool_t *p)
{
    const char *what = text(certificate, "state", p);

    return apr_psprintf(p, "<span class=\"%s\">%s</span>",
                        !strcmp(what, "valid")     ? "ok"
                        : !strcmp(what, "revoked") ? "bad"
                                                   : "warn",
                        what);
}

/* The forms that find a certificate. */
static const char *search_forms(const char *service, apr_pool_t *p)
{
    static const char *const fields[][2] = {{"serial", "Serial number"},
                                            {"transactionID", "transactionID"}};
    const char *all = "";
    int i;

    for (i = 0; i < 2; i++) {
        all = apr_psprintf(
            p,
            "%s<form method=\"get\"><input type=\"hidden\" name=\"service\" value=\"%s\">"
            "<label for=\"%s\">%s</label><br><input type=\"text\" id=\"%s\" name=\"%s\" "
            "maxlength=\"255\"><button type=\"submit\">Find</button></form>",
            all, service, fields[i][0], fields[i][1], fields[i][0], fields[i][0]);
    }
    return all;
}

/* One line of the table. */
static const char *table_row(const char *service, const json_t *certificate, apr_pool_t *p)
{
    const char *subject = text(certificate, "subject", p), *serial = text(certificate, "serial", p);

    return apr_psprintf(p,
                        "<tr><td class=\"mono\"><a href=\"?service=%s&amp;serial=%s&amp;issuer=%s"
                        "\">%s</a></td><td>%s</td><td>%s</td><td>%s</td><td>%s</td><td>%s</td>"
                        "</tr>",
                        service, serial, text(certificate, "issuer", p), serial,
                        *subject ? subject : "(no subject)", text(certificate, "template", p),
                        text(certificate, "issued", p), text(certificate, "notAfter", p),
                        state(certificate, p));
}

const char *scep_status_page_certificates(const json_t *page, apr_pool_t *p)
{
    const json_t *list = json_object_get(page, "certificates");
    const char *service = text(page, "service", p), *next = text(page, "next", p);
    apr_array_header_t *parts = apr_array_make(p, 128, sizeof(const char *));
    size_t i;

    APR_ARRAY_PUSH(parts, const char *) = apr_psprintf(
        p,
        "<p><a href=\"?service=%s\">All of service %s</a> &middot; "
        "<a href=\"?service=%s&amp;export=index.txt\">index.txt</a></p>%s"
        "<table><thead><tr><th>Serial number</th><th>Subject</th><th>Template</th><th>Issued</th>"
        "<th>Ends</th><th>State</th></tr></thead><tbody>",
        service, service, service, search_forms(service, p));
    for (i = 0; i < json_array_size(list); i++) {
        APR_ARRAY_PUSH(parts, const char *) = table_row(service, json_array_get(list, i), p);
    }
    APR_ARRAY_PUSH(parts, const char *) = "</tbody></table>";
    if (!i) {
        APR_ARRAY_PUSH(parts, const char *) = "<p>None.</p>";
    }
    if (*next) {
        APR_ARRAY_PUSH(parts, const char *) =
            apr_psprintf(p, "<p><a href=\"?service=%s&amp;certificates=%s\">Older ones</a></p>",
                         service, next);
    }
    return apr_array_pstrcat(p, parts, 0);
}

/* The form that revokes the certificate; "" where the page has no token for it. */
static const char *revoke_form(const json_t *certificate, apr_pool_t *p)
{
    const char *token = text(certificate, "token", p), *options = "", *name;
    int reason;

    if (!*token) {
        return "";
    }
    for (reason = 0; reason <= CRL_REASON_AA_COMPROMISE; reason++) {
        name = scep_inventory_reason_name(reason);
        if (*name) {
            options = apr_psprintf(p, "%s<option value=\"%s\">%s</option>", options, name, name);
        }
    }
    return apr_psprintf(
        p,
        "<form method=\"post\"><input type=\"hidden\" name=\"service\" value=\"%s\">"
        "<input type=\"hidden\" name=\"serial\" value=\"%s\">"
        "<input type=\"hidden\" name=\"issuer\" value=\"%s\">"
        "<input type=\"hidden\" name=\"token\" value=\"%s\">"
        "<label for=\"revocation\">Why (in the CRL)</label><br>"
        "<select id=\"revocation\" name=\"revocation\">%s</select><br>"
        "<label for=\"reason\">Remark (in the log)</label><br>"
        "<input type=\"text\" id=\"reason\" name=\"reason\" maxlength=\"255\"><br>"
        "<button type=\"submit\" name=\"action\" value=\"revoke\">Revoke for good</button></form>",
        text(certificate, "service", p), text(certificate, "serial", p),
        text(certificate, "issuer", p), token, options);
}

const char *scep_status_page_certificate(const json_t *certificate, apr_pool_t *p)
{
    static const char *const rows[][2] = {{"subject", "Subject"},
                                          {"serial", "Serial number"},
                                          {"template", "Template"},
                                          {"issued", "Issued"},
                                          {"notAfter", "Ends"},
                                          {"revoked", "Revoked"},
                                          {"revocation", "Why"},
                                          {"transactionID", "transactionID"},
                                          {"thumbprintSHA256", "SHA-256 thumbprint"}};
    const char *service = text(certificate, "service", p), *all, *value;
    size_t i;

    all = apr_psprintf(p,
                       "<p><a href=\"?service=%s&amp;certificates=\">Certificates of service %s</a>"
                       "</p><table><tbody><tr><th scope=\"row\">State</th><td>%s</td></tr>",
                       service, service, state(certificate, p));
    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        value = text(certificate, rows[i][0], p);
        if (*value) {
            all = apr_psprintf(p, "%s<tr><th scope=\"row\">%s</th><td>%s</td></tr>", all,
                               rows[i][1], value);
        }
    }
    return apr_pstrcat(p, all, "</tbody></table>", revoke_form(certificate, p), NULL);
}
