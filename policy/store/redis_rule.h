/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an error of a Redis server means for the command that got it: one table, by the code that
 * the error begins with.  Every one of them is given before the command changed anything; scripts
 * that end half-way are the exception, and have a rule of their own.
 */
#ifndef REDIS_RULE_H
#define REDIS_RULE_H

#include "redis_conn.h"
#include "store_tally.h"

typedef enum {
    REDIS_RULE_TELL,   /* an answer like any other; the caller sees it */
    REDIS_RULE_DENIED, /* credentials or rights: the caller sees it, nobody is asked again */
    REDIS_RULE_MOVE,   /* this node is not the master, or cannot be now: ask who is, come again */
    REDIS_RULE_FOLLOW, /* MOVED: the error names the node that has the slot */
    REDIS_RULE_ASK,    /* ASK: the slot is being moved to the node that the error names, which may
                          be asked this once (redis_client.h) */
    REDIS_RULE_LATER,  /* the right node, not ready: come again */
    REDIS_RULE_HALF    /* a script ended where a key had moved away: as LATER, but only for what
                          may be repeated */
} redis_rule_e;

/*
 * The rule for an error's text.  Redis 6 tells of errors inside of scripts in a sentence that ends
 * with the code (": -READONLY ..."); they count like those at the beginning.
 */
redis_rule_e redis_rule(const char *error);

/* What an error of the rule MOVE counts as. */
store_move_e redis_rule_move(const char *error);

/* Reads "MOVED SLOT HOST:PORT", or ASK instead of MOVED; asked: who said so, meant by an empty HOST
 * or "?".  Whether it is that. */
int redis_rule_target(const char *error, const redis_address_t *asked, int *slot,
                      redis_address_t *to);

#endif /* REDIS_RULE_H */
