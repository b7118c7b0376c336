/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole engine: knobs (fuzz_world.h), one byte that says GET or POST, then query string or
 * body.
 *
 * A build for fuzzing lets wrong signatures of messages pass (message.c, must_verify()); those of
 * requests and certificates count.
 */
#include "fuzz_world.h"

#include <apr_strings.h>

#define HEAD (FUZZ_WORLD_KNOBS + 1)

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    crypt_buf_t body;

    if (size < HEAD)
        return 0;
    fuzz_world_begin(data);
    body.data = data + HEAD;
    body.len = size - HEAD;
    if (data[FUZZ_WORLD_KNOBS] & 1)
        fuzz_world_process(1, "operation=PKIOperation", &body);
    else
        fuzz_world_process(0, apr_pstrmemdup(fuzz_world.pool, (const char *)body.data, body.len),
                           NULL);
    fuzz_world_end();
    return 0;
}
