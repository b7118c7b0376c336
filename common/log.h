/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log sink: how rooms that know nothing of httpd say something.
 *
 * Whoever calls into a room passes a log_sink_t; the httpd glue's sink ends in ap_log_rerror().
 * Every message of debug and above has a tag of its own (SCEPnnnn), never used twice; the list of
 * used numbers is kept unique by tests/guards/check_log_tags.sh.  Log once, where the cause is
 * known.  Never a challenge, password or key.  A NULL sink is allowed everywhere and says nothing.
 */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include <stdarg.h>

/* Numerically httpd's APLOG_* levels. */
typedef enum {
    LOG_SINK_ERR = 3,
    LOG_SINK_WARN = 4,
    LOG_SINK_NOTICE = 5,
    LOG_SINK_INFO = 6,
    LOG_SINK_DEBUG = 7
} log_sink_level_e;

typedef struct log_sink_t {
    /* message is complete and NUL-terminated, without the tag; may be called from any thread that
     * was handed this sink. */
    void (*write)(void *baton, log_sink_level_e level, const char *tag, const char *message);
    void *baton;
    log_sink_level_e level;     /* more verbose messages are not formatted */
} log_sink_t;

/* The tag of one message: SCEPTAG(0042) is "SCEP0042". */
#define SCEPTAG(number) "SCEP" #number

/* Formats and writes one line (cut at 1,023 bytes). */
void log_to(const log_sink_t *sink, log_sink_level_e level, const char *tag, const char *format,
            ...) __attribute__((format(printf, 4, 5)));

/*
 * Writes each entry of this thread's OpenSSL error queue as one line at level, and empties the
 * queue (also with a NULL sink).
 */
void log_openssl_errors(const log_sink_t *sink, log_sink_level_e level, const char *tag,
                        const char *what);

#endif /* COMMON_LOG_H */
