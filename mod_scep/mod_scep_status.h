/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handlers scep-status (for people who look after a service, and their programs) and scep-ready
 * (for load balancers): what they share.  What they know is collected as JSON; the page shows the
 * same.
 */
#ifndef MOD_SCEP_STATUS_H
#define MOD_SCEP_STATUS_H

#include "mod_scep_http.h"
#include <jansson.h>

/* Whether a service works; the texts hold no secret. */
typedef struct scep_health_t {
    apr_array_header_t *problems; /* of const char*: why it does not work; empty: it does */
    apr_array_header_t *warnings; /* of const char*: what will end within 30 days */
    const char *store, *ca;       /* why they cannot be asked; "" when they can */
} scep_health_t;

/* Asks store and CA, looks at the certificates.  Lives in p. */
scep_health_t *scep_status_health(const scep_service_conf_t *service, apr_pool_t *p);

/* The services that the virtual host of this request offers (scep_service_conf_t*). */
apr_array_header_t *scep_status_services(request_rec *r);

/*
 * The facts as JSON; the caller owns a reference.  Strings are UTF-8 without control characters.
 * scep_status_service(): one service without what waits.  scep_status_tx(): one transaction.
 * scep_status_csr(): its request; the challenge is not in it; NULL: not readable.
 * scep_status_attributes(): what policy adds to it; null: nothing.
 */
json_t *scep_status_service(const scep_service_conf_t *service, apr_pool_t *p);
json_t *scep_status_tx(const store_tx_t *tx, apr_pool_t *p);
json_t *scep_status_csr(const scep_service_conf_t *service, const crypt_buf_t *der, apr_pool_t *p);
json_t *scep_status_attributes(const policy_attributes_t *attributes, apr_pool_t *p);
json_t *scep_status_text(const char *text, apr_pool_t *p);
void scep_status_set_time(json_t *object, const char *key, apr_time_t when); /* RFC 3339 */

/* Adds "records" and "outbox" of a service; null where the store gives no answer. */
void scep_status_add_records(json_t *object, const scep_service_conf_t *service, apr_pool_t *p);

/* The text as UTF-8 without control characters; "" for NULL. */
const char *scep_status_clean(const char *text, apr_pool_t *p);

/* Whether the transaction waits for the CA, so that no person decides. */
int scep_status_at_ca(const store_tx_t *tx);

/* The character at *c, which moves on; -1: not UTF-8 (one byte is passed over).  Not at the end. */
int scep_status_utf8(const char **c);

/* Sends JSON (and gives it up) or what it says as a page; title is plain text. */
int scep_status_send_json(request_rec *r, int status, json_t *object);
int scep_status_send_page(request_rec *r, int status, const char *title, const char *body_html);

/* The pages' bodies, from the JSON: all services; one transaction with its forms. */
const char *scep_status_page_services(const json_t *services, const char *done, apr_pool_t *p);
const char *scep_status_page_tx(const json_t *tx, const char *service, apr_pool_t *p);
/* A page of certificates; one of them with the form that revokes it. */
const char *scep_status_page_certificates(const json_t *page, apr_pool_t *p);
const char *scep_status_page_certificate(const json_t *certificate, apr_pool_t *p);

#endif /* MOD_SCEP_STATUS_H */
