/* SPDX-License-Identifier: Apache-2.0 */
/* GetCACaps' keywords. */
#include "caps.h"

#include <apr_strings.h>
#include <string.h>

/*
 * RFC 8894 section 3.5.2, table 5.  legacy: SCEP_LEGACY_* that must be on.  ON_REQUEST: true, but
 * not the RFC's, so it is said only where ScepCapabilities says so (strongSwan 5.9.8 takes AES for
 * missing where SHA-384 is not offered).
 */
static const struct {
    const char *keyword;
    unsigned legacy;
    enum { ALWAYS, NEXT_CA, RENEWAL, ON_REQUEST } when;
} keywords[] = {
    { "AES", 0, ALWAYS },
    { "DES3", SCEP_LEGACY_3DES, ALWAYS },
    { "GetNextCACert", 0, NEXT_CA },
    { "POSTPKIOperation", 0, ALWAYS },
    { "Renewal", 0, RENEWAL },
    { "SHA-1", SCEP_LEGACY_SHA1, ALWAYS },
    { "SHA-256", 0, ALWAYS },
    { "SHA-384", 0, ON_REQUEST },
    { "SHA-512", 0, ALWAYS },
    { "SCEPStandard", 0, ALWAYS },
    { NULL, 0, ALWAYS }
};

/* Index of the keyword; that of the end if it is none. */
static int find(const char *word)
{
    int i;

    for (i = 0; keywords[i].keyword && strcmp(keywords[i].keyword, word) != 0; i++)
        continue;
    return i;
}

/* Whether the service does what the keyword says. */
static int is_served(const scep_service_t *service, int i)
{
    return (keywords[i].legacy & service->legacy) == keywords[i].legacy &&
           (keywords[i].when != NEXT_CA || service->next_certs) &&
           (keywords[i].when != RENEWAL || service->renewal.enabled);
}

const char *scep_caps_make(const scep_service_t *service, apr_pool_t *p)
{
    const char *text = "";
    int i;

    /* a last line without LF is lost on clients that read line by line (strongSwan) */
    if (service->capabilities)
        return apr_pstrcat(p, service->capabilities, "\n", NULL);
    for (i = 0; keywords[i].keyword; i++) {
        if (keywords[i].when != ON_REQUEST && is_served(service, i))
            text = apr_pstrcat(p, text, keywords[i].keyword, "\n", NULL);
    }
    return text;
}

const char *scep_caps_unserved(const scep_service_t *service, apr_pool_t *p)
{
    char *last = NULL, *word;

    if (!service->capabilities)
        return NULL;
    word = apr_strtok(apr_pstrdup(p, service->capabilities), "\n", &last);
    while (word && is_served(service, find(word)))
        word = apr_strtok(NULL, "\n", &last);
    return word;
}

const char *scep_caps_check(const char *text, apr_pool_t *p)
{
    char *last = NULL, *copy = apr_pstrdup(p, text), *word;

    for (word = apr_strtok(copy, "\n", &last); word; word = apr_strtok(NULL, "\n", &last)) {
        if (!keywords[find(word)].keyword)
            return apr_psprintf(p, "'%s' is not a known capability", word);
    }
    return NULL;
}
