/* SPDX-License-Identifier: Apache-2.0 */
/* What mod_scep_fault's files share: faults at a step of an enrollment, for tests only. */
#ifndef MOD_SCEP_FAULT_H
#define MOD_SCEP_FAULT_H

#include "../../ca_backend/ca_backend.h"
#include "../../policy/store/store.h"

/* The file of ScepFaultFile; NULL: no faults at steps. */
extern const char *fault_file;

/* What the caller of fault_at() does; all else has happened when it returns. */
typedef enum {
    FAULT_NONE, /* go on */
    FAULT_LOSE  /* answer as if the step's word, or the answer to it, had been lost */
} fault_e;

/*
 * A step begins ("before") or is over ("after").  While fault_file's one line is
 *
 *   STEP before|after kill|stop|lose|MILLISECONDS
 *
 * of this step and side, the first process that comes here renames the file to *.done and does it:
 * SIGKILL to itself; SIGSTOP, again and again until somebody removes *.done; or sleeps.
 * p: for the call.  Any thread.
 */
fault_e fault_at(const char *step, const char *side, apr_pool_t *p);

/* The backends fault, fault-remote and fault-foreign (fault_ca.c). */
extern const ca_provider_t fault_provider, fault_remote_provider, fault_foreign_provider;

/*
 * The store "fault+SCHEME": the store SCHEME, with faults at issue, claim, commit, fail, pend,
 * poll, decide, take, settle and revoke (of a certificate).  *provider lives in p.
 */
const store_provider_t *fault_store(const char *scheme, apr_pool_t *p);

#endif /* MOD_SCEP_FAULT_H */
