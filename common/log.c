/* SPDX-License-Identifier: Apache-2.0 */
/* The log sink: formats one line on the stack and hands it to whoever listens. */
#include "log.h"

#include <openssl/err.h>
#include <stdio.h>

#define LINE_MAX_BYTES 1024

void log_to(const log_sink_t *sink, log_sink_level_e level, const char *tag, const char *format,
            ...)
{
    char line[LINE_MAX_BYTES];
    va_list args;
    int len;

    if (sink == NULL || sink->write == NULL || level > sink->level) {
        return;
    }
    va_start(args, format);
    len = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    sink->write(sink->baton, level, tag, len < 0 ? "(message cannot be formatted)" : line);
}

void log_openssl_errors(const log_sink_t *sink, log_sink_level_e level, const char *tag,
                        const char *what)
{
    const char *data;
    char text[256];
    unsigned long code;
    int flags;

    while ((code = ERR_get_error_all(NULL, NULL, NULL, &data, &flags)) != 0) {
        int has_data = (flags & ERR_TXT_STRING) != 0 && data != NULL && *data != '\0';

        ERR_error_string_n(code, text, sizeof(text));
        log_to(sink, level, tag, "%s: %s%s%s", what, text, has_data ? ": " : "",
               has_data ? data : "");
    }
}
