/* SPDX-License-Identifier: Apache-2.0 */
/* GetCACaps' keywords. */
#include "caps.h"

#include <apr_strings.h>
#include <string.h>

/*
 * RFC 8894 section 3.5.2, table 5.  needed: SCEP_LEGACY_* that must be on.  NEVER: this server
 * does not have it.  ON_REQUEST: true, but not the RFC's, so it is said only where
 * ScepCapabilities says so (strongSwan 5.9.8 takes AES for missing where SHA-384 is not offered).
 */
static const struct {
    const char *keyword;
    unsigned needed;
    enum { GENERATED, ON_REQUEST, NEVER } offered;
} keywords[] = {
    { "AES", 0, GENERATED },
    { "DES3", SCEP_LEGACY_3DES, GENERATED },
    { "GetNextCACert", 0, NEVER },
    { "POSTPKIOperation", 0, GENERATED },
    { "Renewal", 0, NEVER },
    { "SHA-1", SCEP_LEGACY_SHA1, GENERATED },
    { "SHA-256", 0, GENERATED },
    { "SHA-384", 0, ON_REQUEST },
    { "SHA-512", 0, GENERATED },
    { "SCEPStandard", 0, GENERATED },
    { NULL, 0, NEVER }
};

const char *scep_caps_make(const scep_service_t *service, apr_pool_t *p)
{
    const char *text = "";
    int i;

    /* a last line without LF is lost on clients that read line by line (strongSwan) */
    if (service->capabilities)
        return apr_pstrcat(p, service->capabilities, "\n", NULL);
    for (i = 0; keywords[i].keyword; i++) {
        if (keywords[i].offered == GENERATED &&
            (keywords[i].needed & service->legacy) == keywords[i].needed)
            text = apr_pstrcat(p, text, keywords[i].keyword, "\n", NULL);
    }
    return text;
}

const char *scep_caps_check(const char *text, apr_pool_t *p)
{
    char *last = NULL, *copy = apr_pstrdup(p, text), *word;
    int i;

    for (word = apr_strtok(copy, "\n", &last); word; word = apr_strtok(NULL, "\n", &last)) {
        for (i = 0; keywords[i].keyword; i++) {
            if (strcmp(word, keywords[i].keyword) == 0)
                break;
        }
        if (!keywords[i].keyword)
            return apr_psprintf(p, "'%s' is not a known capability", word);
        if (keywords[i].offered == NEVER)
            return apr_psprintf(p, "'%s' is not supported by this version", word);
    }
    return NULL;
}
