/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of make_corpus share. */
#ifndef MAKE_CORPUS_H
#define MAKE_CORPUS_H

#include "../../common/crypt.h"

/* Writes one seed of a target; ends the program if that fails. */
void corpus_write(const char *target, const char *name, const crypt_buf_t *data);

/* Writes the seeds of fuzz_server, fuzz_poll, fuzz_getcert, fuzz_getcrl and fuzz_renewal. */
void corpus_make_engine(apr_pool_t *p);

#endif /* MAKE_CORPUS_H */
