/* SPDX-License-Identifier: Apache-2.0 */
/* What every fuzz target is: libFuzzer's entry, and a check that stays in every build. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

/* What must hold for every input; its failure is a finding. */
#define FUZZ_CHECK(what)                                                                    \
    do {                                                                                    \
        if (!(what)) {                                                                      \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #what);       \
            abort();                                                                        \
        }                                                                                   \
    } while (0)

#endif /* FUZZ_H */
