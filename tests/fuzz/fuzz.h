/* SPDX-License-Identifier: Apache-2.0 */
/* What every fuzz target is: libFuzzer's entry, and a check that stays in every build. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

/*
 * What became of the last input, one word: "success", "pending", "failure", "http400" ...; each
 * target has one.  A corpus file NAME-whatever must get the answer NAME (standalone.c).
 */
extern const char *fuzz_answer;

/* What must hold for every input; its failure is a finding. */
#define FUZZ_CHECK(what)                                                                    \
    do {                                                                                    \
        if (!(what)) {                                                                      \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #what);       \
            abort();                                                                        \
        }                                                                                   \
    } while (0)

#endif /* FUZZ_H */
