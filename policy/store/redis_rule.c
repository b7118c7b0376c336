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
    store_move_e why; /* with MOVE */
} rules[] = {
    {"READONLY", REDIS_RULE_MOVE, STORE_MOVE_READONLY}, /* a replica, or it was replaced */
    {"LOADING", REDIS_RULE_MOVE, STORE_MOVE_LOADING},   /* just started: another may be chosen */
    {"MASTERDOWN", REDIS_RULE_MOVE, STORE_MOVE_MASTERDOWN},   /* a replica without its master */
    {"NOREPLICAS", REDIS_RULE_MOVE, STORE_MOVE_NOREPLICAS},   /* cut off, or not yet followed */
    {"UNBLOCKED", REDIS_RULE_MOVE, STORE_MOVE_UNBLOCKED},     /* made a replica while in WAIT */
    {"CLUSTERDOWN", REDIS_RULE_MOVE, STORE_MOVE_CLUSTERDOWN}, /* the slot has no master now */
    {"MOVED", REDIS_RULE_FOLLOW, STORE_MOVE_MOVED},
    {"ASK", REDIS_RULE_ASK, STORE_MOVES},
    {"TRYAGAIN", REDIS_RULE_LATER, STORE_MOVES},
    {"BUSY", REDIS_RULE_LATER, STORE_MOVES}, /* somebody's script takes long */
    {"NOAUTH", REDIS_RULE_DENIED, STORE_MOVES},
    {"WRONGPASS", REDIS_RULE_DENIED, STORE_MOVES},
    {"NOPERM", REDIS_RULE_DENIED, STORE_MOVES}};
#define RULES (sizeof(rules) / sizeof(rules[0]))

/* Where the code begins: Redis 6 has that of a script's error at the end of a sentence. */
static const char *find_code(const char *error)
{
    const char *inner;

    if (strncmp(error, IN_SCRIPT, strlen(IN_SCRIPT)) != 0)
        return error;
    inner = strstr(error, ": -");
    return inner ? inner + 3 : error;
}

/* The place of an error in the table; RULES: it has none. */
static size_t find_rule(const char *error)
{
    const char *code = find_code(error);
    size_t len = strcspn(code, " "), i;

    for (i = 0; i < RULES; i++) {
        if (len == strlen(rules[i].code) && strncmp(code, rules[i].code, len) == 0)
            break;
    }
    return i;
}

redis_rule_e redis_rule(const char *error)
{
    size_t i = find_rule(error);

    if (i < RULES)
        return rules[i].rule;
    return strstr(error, FOREIGN_KEY) ? REDIS_RULE_HALF : REDIS_RULE_TELL;
}

store_move_e redis_rule_move(const char *error)
{
    size_t i = find_rule(error);

    return i < RULES ? rules[i].why : STORE_MOVES;
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
