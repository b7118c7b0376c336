/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request to the handler scep-status: its fields, the answers that say no, and the token of a
 * form.  For mod_scep_status*.c only.
 */
#ifndef MOD_SCEP_STATUS_REQUEST_H
#define MOD_SCEP_STATUS_REQUEST_H

#include "mod_scep_status.h"

/* Fields of a query or form, by these names (scep_status_parse()). */
enum {
    FIELD_SERVICE,
    FIELD_TX,
    FIELD_FORMAT,
    FIELD_DONE,
    FIELD_ACTION,
    FIELD_REASON,
    FIELD_TOKEN,
    FIELD_CERTIFICATES, /* the page of certificates that begins behind this place; "": the newest */
    FIELD_SERIAL,
    FIELD_ISSUER,
    FIELD_TRANSACTION, /* transactionID */
    FIELD_EXPORT,
    FIELD_REVOCATION /* the CRLReason by its name */
};
#define FIELDS 13

typedef struct scep_status_t {
    request_rec *r;
    int json;
    const char *field[FIELDS];    /* NULL: not there */
    apr_array_header_t *services; /* of const scep_service_conf_t*: those the user may see */
} scep_status_t;

/* Sends a no, in the form that was asked for; error is for programs, text for people. */
int scep_status_refuse(scep_status_t *s, int status, const char *error, const char *text);

/* Sends that store or CA gave no answer; why is in the log. */
int scep_status_refuse_unavailable(scep_status_t *s, const outcome_t *out);

/* Takes a query or form apart.  0 for one that is broken or names something twice. */
int scep_status_parse(scep_status_t *s, const char *args);

/* Reads the form.  0 when the answer was sent; it is *rv then. */
int scep_status_read_form(scep_status_t *s, int *rv);

/* The service of that name, NULL: none that this user may see. */
const scep_service_conf_t *scep_status_find_service(const scep_status_t *s, const char *name);

/*
 * The token that a form about "what" of a service needs, for this user and hour; NULL: the service
 * has no secret.  Whether the form's is that one or the one of the hour before.
 */
const char *scep_status_token(const scep_status_t *s, const scep_service_conf_t *service,
                              const char *what);
int scep_status_is_token(const scep_status_t *s, const scep_service_conf_t *service,
                         const char *what);

/* Whether it is a text of a line: at most 255 bytes of UTF-8 without control characters. */
int scep_status_is_line(const char *text);

/* Shows certificates, revokes one, and writes the list for openssl (mod_scep_status_certs.c). */
int scep_status_certificates(scep_status_t *s);
int scep_status_revoke(scep_status_t *s);
int scep_status_export(scep_status_t *s);

#endif /* MOD_SCEP_STATUS_REQUEST_H */
