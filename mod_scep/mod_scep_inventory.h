/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The certificates that a service issued (the store's inventory) together with what became of them,
 * and taking one back by hand.
 *
 * Where the CA revokes by the ledger, that is the truth about revocations.  Of any other CA's the
 * store notes what was revoked through this service; what was revoked at the CA only it tells.
 */
#ifndef MOD_SCEP_INVENTORY_H
#define MOD_SCEP_INVENTORY_H

#include "mod_scep_config.h"

typedef struct scep_certificate_t {
    const store_entry_t *entry;
    int revoked;
    store_revoked_t revocation; /* where revoked */
} scep_certificate_t;

/* What stands for the CA that issues now in the inventory; NULL: its chain is not known. */
const char *scep_inventory_issuer(const scep_service_conf_t *service, const log_sink_t *log,
                                  apr_pool_t *p);

/* The serial number as the inventory has it, of what a person copied from somewhere (upper or lower
 * case, with colons, with 0x); NULL: it is none. */
const char *scep_inventory_serial(const char *text, apr_pool_t *p);

/*
 * One certificate.  issuer NULL: any that the chain names.  APR_SUCCESS; APR_NOTFOUND; other: the
 * store gave no answer.
 */
apr_status_t scep_inventory_find(const scep_service_conf_t *service, const char *issuer,
                                 const char *serial, scep_certificate_t **pfound,
                                 const log_sink_t *log, apr_pool_t *p);

/* What a search finds, an array of scep_certificate_t; as store_inventory(). */
apr_status_t scep_inventory_search(const scep_service_conf_t *service,
                                   const store_search_t *search, apr_array_header_t **pfound,
                                   const char **next, apr_pool_t *p);

/* All revocations that are known, a hash from serial number to store_revoked_t*. */
apr_status_t scep_inventory_revoked(const scep_service_conf_t *service, apr_hash_t **pall,
                                    apr_pool_t *p);

/*
 * Takes a certificate back.  As ca_revoke(), and APR_BADARG: it was issued by another CA than the
 * service has now.
 */
apr_status_t scep_inventory_revoke(const scep_service_conf_t *service,
                                   const scep_certificate_t *certificate, int reason,
                                   outcome_t *out, const log_sink_t *log, apr_pool_t *p);

/* Notes that the CA took a certificate back, where no ledger says so; what fails is logged. */
void scep_inventory_note(const scep_service_conf_t *service, const char *serial, int reason,
                         const log_sink_t *log, apr_pool_t *p);

/* A reason that ca_revoke() takes: its name, "" for another; and the other way round, -1: none. */
const char *scep_inventory_reason_name(int reason);
int scep_inventory_reason(const char *name);

/* Name of a certificate's subject by RFC 4514; "" where it is not kept. */
const char *scep_inventory_subject(const store_entry_t *entry, apr_pool_t *p);

/*
 * The line of index.txt, as openssl ca writes it: flag, end, revocation, serial number, "unknown",
 * subject.  revoked NULL: it is not.
 */
const char *scep_inventory_line(const store_entry_t *entry, const store_revoked_t *revoked,
                                apr_time_t now, apr_pool_t *p);

#endif /* MOD_SCEP_INVENTORY_H */
