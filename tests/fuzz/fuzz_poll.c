/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CertPoll of every transaction that the store knows: knobs (fuzz_world.h), one byte that says
 * which transaction and whose signature, then what stands in the envelope.
 */
#include "fuzz_world.h"

#include <string.h>

#define HEAD (FUZZ_WORLD_KNOBS + 1)

/* In the order that corpus_engine.c knows. */
static const char *const transactions[8] = {
    FUZZ_WORLD_READY, FUZZ_WORLD_ISSUED, FUZZ_WORLD_WAITS, FUZZ_WORLD_MANUAL,
    FUZZ_WORLD_APPROVED, FUZZ_WORLD_DENIED, FUZZ_WORLD_RENEWAL, "unknown"
};

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    scep_fixture_message_t want;
    unsigned which;
    crypt_buf_t plain;

    if (size < HEAD)
        return 0;
    fuzz_world_begin(data);
    which = data[FUZZ_WORLD_KNOBS];
    plain.data = data + HEAD;
    plain.len = size - HEAD;
    memset(&want, 0, sizeof(want));
    want.message_type = "20";
    want.transaction_id = (which & 128) ? FUZZ_WORLD_FAILED : transactions[which & 7];
    want.plain = &plain;
    fuzz_world_send(&want, (fuzz_signer_e)((which >> 3) % FUZZ_SIGNERS));
    fuzz_world_end();
    return 0;
}
