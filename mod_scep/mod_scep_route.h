/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which request is ours.  The paths of NDES are case-insensitive, httpd's <Location> is not: every
 * spelling is made canonical in translate_name, before the location walk that authorization is
 * taken from.
 */
#ifndef MOD_SCEP_ROUTE_H
#define MOD_SCEP_ROUTE_H

#include "mod_scep_config.h"

typedef enum {
    SCEP_ENDPOINT_ENROLL,
    SCEP_ENDPOINT_ADMIN,
    SCEP_ENDPOINT_CRL,
    SCEP_ENDPOINT_VERIFY, /* of a registration point */
    SCEP_ENDPOINT_NOTIFY
} scep_endpoint_e;

typedef struct scep_route_t {
    scep_service_conf_t *service;
    scep_endpoint_e endpoint;
    const char *uri; /* canonical */
    int claimed;     /* nothing sent the request elsewhere after it was made canonical */
} scep_route_t;

/* The claimed route of a request; NULL: not ours. */
const scep_route_t *scep_route_get(request_rec *r);

/* The hooks, in the order in which they run. */
int scep_route_canonical(request_rec *r); /* translate_name, first of all: rewrites r->uri */
int scep_route_claim(request_rec *r); /* translate_name, after mod_rewrite: no file is looked for */
int scep_route_storage(request_rec *r); /* map_to_storage */
int scep_route_type(request_rec *r);    /* type_checker: sets the handler */

#endif /* MOD_SCEP_ROUTE_H */
