/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a host does besides answering requests: it announces itself (mod_scep_announce.h), delivers
 * news and lets policies work (policy_work()), and moves request-status files.
 */
#ifndef MOD_SCEP_WORKER_H
#define MOD_SCEP_WORKER_H

#include "mod_scep_config.h"

/* post_config, as root: the lock file of a state directory.  0 or errno. */
int scep_worker_setup(const char *state_directory, uid_t uid, gid_t gid, apr_pool_t *p);

/* child_init: starts this child's thread. */
void scep_worker_child(server_rec *main_server, apr_pool_t *pchild);

/*
 * child_stopping: without grace, who still waits for a policy's answer is told at once that there
 * is none (503), so that the end is not held up; what is being signed, or told of a certificate, is
 * let go on, for as long as its time limit.
 */
void scep_worker_stopping(apr_pool_t *pchild, int graceful);

#endif /* MOD_SCEP_WORKER_H */
