/* SPDX-License-Identifier: Apache-2.0 */
/* GetCACaps' keywords. */
#include "caps.h"

#include <apr_strings.h>
#include <string.h>

/* RFC 8894 section 3.5.2, table 5.  needed: SCEP_LEGACY_* that must be on; offered: whether this server has it. */
static const struct {
    const char *keyword;
    unsigned needed;
    int offered;
} keywords[] = {
    { "AES", 0, 1 },
    { "DES3", SCEP_LEGACY_3DES, 1 },
    { "GetNextCACert", 0, 0 },
    { "POSTPKIOperation", 0, 1 },
    { "Renewal", 0, 0 },
    { "SHA-1", SCEP_LEGACY_SHA1, 1 },
    { "SHA-256", 0, 1 },
    { "SHA-512", 0, 1 },
    { "SCEPStandard", 0, 1 },
    { NULL, 0, 0 }
};

const char *scep_caps_make(const scep_service_t *service, apr_pool_t *p)
{
    const char *text = "";
    int i;

    if (service->capabilities)
        return service->capabilities;
    for (i = 0; keywords[i].keyword; i++) {
        if (keywords[i].offered && (keywords[i].needed & service->legacy) == keywords[i].needed)
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
            return apr_psprintf(p, "'%s' is not a capability of RFC 8894", word);
        if (!keywords[i].offered)
            return apr_psprintf(p, "'%s' is not supported by this version", word);
    }
    return NULL;
}
