/* SPDX-License-Identifier: Apache-2.0 */
/* What errors of a Redis server mean; see redis_rule.h. */
#include "redis_rule.h"
#include "redis_topology.h"
#include "redis_url.h"
#include <apr_strings.h>
#include <stdlib.h>
#include <string.h>

#define IN_SCRIPT "ERR Error running script"
#define FOREIGN_KEY "attempted to access a non local key in a cluster node"

static const struct {
    const char *code;
    redis_rule_e rule;
} rules[] = {{"READONLY", REDIS_RULE_MOVE},    /* a replica, or a master that was replaced */
             {"LOADING", REDIS_RULE_MOVE},     /* just started: somebody else may be chosen */
             {"MASTERDOWN", REDIS_RULE_MOVE},  /* a replica without its master */
             {"NOREPLICAS", REDIS_RULE_MOVE},  /* cut off, or new and not yet followed */
             {"UNBLOCKED", REDIS_RULE_MOVE},   /* made a replica while it was in WAIT */
             {"CLUSTERDOWN", REDIS_RULE_MOVE}, /* the slot has no master now */
             {"MOVED", REDIS_RULE_FOLLOW},
             {"ASK", REDIS_RULE_ASK},
             {"TRYAGAIN", REDIS_RULE_LATER},
             {"BUSY", REDIS_RULE_LATER}, /* somebody's script takes long */
             {"NOAUTH", REDIS_RULE_DENIED},
             {"WRONGPASS", REDIS_RULE_DENIED},
             {"NOPERM", REDIS_RULE_DENIED}};

/* Where the code begins: Redis 6 has that of a script's error at the end of a sentence. */
static const char *find_code(const char *error)
{
    const char *inner;

    if (strncmp(error, IN_SCRIPT, strlen(IN_SCRIPT)) != 0)
        return error;
    inner = strstr(error, ": -");
    return inner ? inner + 3 : error;
}

redis_rule_e redis_rule(const char *error)
{
    const char *code = find_code(error);
    size_t len = strcspn(code, " "), i;

    for (i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        if (len == strlen(rules[i].code) && strncmp(code, rules[i].code, len) == 0)
            return rules[i].rule;
    }
    return strstr(error, FOREIGN_KEY) ? REDIS_RULE_HALF : REDIS_RULE_TELL;
}

int redis_rule_target(const char *error, const redis_address_t *asked, int *slot,
                      redis_address_t *to)
{
    const char *text, *colon;
    char *end;
    long number, port;

    if (strncmp(error, "MOVED ", 6) != 0 && strncmp(error, "ASK ", 4) != 0)
        return 0;
    text = strchr(error, ' ') + 1;
    number = strtol(text, &end, 10);
    if (end == text || *end != ' ' || number < 0 || number >= REDIS_SLOTS)
        return 0;
    text = end + 1;
    colon = strrchr(text, ':');
    if (!colon)
        return 0;
    port = strtol(colon + 1, &end, 10);
    if (end == colon + 1 || *end)
        return 0;
    *slot = (int)number;
    if (colon == text || (colon == text + 1 && *text == '?'))
        return redis_address_set(to, asked->host, strlen(asked->host), port);
    return redis_address_set(to, text, colon - text, port);
}
