/* SPDX-License-Identifier: Apache-2.0 */
/* A configured CA, as ca_backend.c, ca_signer.c and ca_crl.c see it; for nobody else. */
#ifndef CA_STATE_H
#define CA_STATE_H

#include "ca_backend.h"
#include "ca_chain.h"
#include "ca_gate.h"
#include <apr_file_info.h>
#include <apr_thread_cond.h>
#include <apr_thread_mutex.h>
#include <apr_thread_proc.h>

/* By what a file is seen to be another one. */
typedef struct ca_stamp_t {
    apr_status_t rv;            /* of looking; nothing else is set unless APR_SUCCESS */
    apr_time_t mtime, ctime;
    apr_off_t size;
    apr_ino_t inode;
    apr_dev_t device;
} ca_stamp_t;

/* The CRL file as it was read last. */
typedef struct ca_crl_t {
    apr_thread_mutex_t *mutex;  /* guards the rest; NULL before child_init: there is one thread */
    int known;                  /* the file was looked at */
    unsigned generation;        /* of the chain it was verified by */
    ca_stamp_t stamp;
    X509_CRL *crl;              /* NULL: cannot be used, error says why */
    int reported;               /* that it is not valid now was logged */
    X509_CRL *backend;          /* the backend's list that was decoded last; NULL: none */
    unsigned char *backend_der; /* its bytes, of OpenSSL's memory */
    apr_size_t backend_len;
    char error[512];
} ca_crl_t;

/* What the backend said of its health last, guarded by the gate's mutex. */
typedef struct ca_health_t {
    apr_thread_cond_t *said;    /* NULL before child_init: there is one thread */
    apr_thread_t *thread;       /* that finds out, or has; in pool */
    apr_pool_t *pool;
    int asking;                 /* it is finding out */
    apr_time_t since;
    apr_status_t rv;
    apr_time_t until;           /* it need not be asked again before */
    char text[256];
} ca_health_t;

struct ca_t {
    const ca_provider_t *provider;
    void *instance;
    int capabilities;           /* CA_CAP_* of provider and instance */
    const ca_config_t *cfg;
    STACK_OF(X509) *chain;      /* known at configuration time; NULL: the backend is asked */
    X509_STORE *store;          /* of chain */
    ca_fetched_t *fetched;      /* the backend's, where it has to ask; else NULL */
    ca_crl_t crl;
    ca_gate_t gate;
    ca_health_t health;
};

/* What is trusted now.  deadline: as ca_fetched_get(), and so is *why, which may be NULL.  Any
 * other status than APR_SUCCESS: the chain is not known. */
apr_status_t ca_trust(ca_t *ca, ca_trust_t *trust, apr_time_t deadline, const char **why,
                      const log_sink_t *log, apr_pool_t *p);

/* The template of that name; the default's if there is none. */
const ca_template_t *ca_find_template(const ca_t *ca, const char *name);

/* In the child: health is asked in threads from now on. */
apr_status_t ca_health_child_init(ca_t *ca, apr_pool_t *pchild);

/* Reads crl_file for the first time, if there is one; error text in p, NULL on success.  The CRL
 * goes with p. */
const char *ca_crl_open(ca_t *ca, apr_pool_t *p);

/* In the child: threads may ask for lists from now on. */
apr_status_t ca_crl_child_init(ca_t *ca, apr_pool_t *pchild);

/*
 * The current CRL with a reference of the caller's (X509_CRL_free()); it is the chain's and valid
 * now.  Returns as ca_crl().
 */
apr_status_t ca_crl_get1(ca_t *ca, X509_CRL **pcrl, apr_time_t now, outcome_t *out,
                         const log_sink_t *log, apr_pool_t *p);

#endif /* CA_STATE_H */
