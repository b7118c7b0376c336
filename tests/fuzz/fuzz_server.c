/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole engine: knobs (fuzz_world.h), one byte that says GET or POST and whether DES and MD5
 * are allowed, then query string or body.
 *
 * A build for fuzzing lets wrong signatures of messages pass (message.c, must_verify()); those of
 * requests and certificates count.
 */
#include "fuzz_world.h"

#include <apr_strings.h>

#define HEAD (FUZZ_WORLD_KNOBS + 1)
#define POST 1u
#define LEGACY 2u

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    crypt_buf_t body;

    if (size < HEAD)
        return 0;
    fuzz_world_begin(data);
    if ((data[FUZZ_WORLD_KNOBS] & LEGACY) && fuzz_world.legacy) {
        fuzz_world.service->legacy |= SCEP_LEGACY_DES | SCEP_LEGACY_MD5;
        fuzz_world.service->legacy_lib = fuzz_world.legacy;
    }
    body.data = data + HEAD;
    body.len = size - HEAD;
    if (data[FUZZ_WORLD_KNOBS] & POST)
        fuzz_world_process(1, "operation=PKIOperation", &body);
    else
        fuzz_world_process(0, apr_pstrmemdup(fuzz_world.pool, (const char *)body.data, body.len),
                           NULL);
    fuzz_world_end();
    return 0;
}
