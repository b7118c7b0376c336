/* SPDX-License-Identifier: Apache-2.0 */
/* GetCert: see fuzz_world_lookup(). */
#include "fuzz_world.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    fuzz_world_lookup(data, size, "21");
    return 0;
}
