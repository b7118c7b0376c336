/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of backends over HTTP share: a backend whose CA is an HTTP server with canned
 * answers, so that each way in which an answer can be wrong is one line.
 */
#ifndef UNIT_CA_PEER_FIXTURE_H
#define UNIT_CA_PEER_FIXTURE_H

#include "ca_fixture.h"
#include "http_fixture.h"

typedef struct ca_peer_t {
    http_fixture_t *server;
    X509 *issuer;                   /* the CA's */
    ca_fixture_request_t *request;
    ca_t *ca;
    log_sink_t *log;
} ca_peer_t;

/* An answer and what it makes of a request. */
typedef struct ca_peer_case_t {
    const char *status, *headers, *body;    /* as ca_peer_says() */
    ca_result_e result;
    const char *reason;                     /* of the outcome; NULL: none is looked at */
} ca_peer_case_t;

/*
 * A backend with these words (ended by NULL) besides url and plainLoopback, ready to be asked.
 * with_chain 0: there is no ScepCAChain.  Route 0 of the server is everything.
 */
ca_peer_t *ca_peer_make(const ca_provider_t *provider, const char *const *words, int with_chain);

/*
 * What the CA answers to whatever is asked, or on the route n to paths that hold match.  In the
 * body stands for the JSON text (without quotes) of a certificate in PEM:
 *   @LEAF@ the right one   @CA@ the CA's   @OTHER@ the right one for another key
 *   @HALF@ half a PEM      @DER@ the right one as DER in base64   @CMS@ in a CMS, base64
 */
void ca_peer_says(ca_peer_t *peer, const char *status, const char *headers, const char *body);
void ca_peer_route(ca_peer_t *peer, int n, const char *match, const char *status,
                   const char *headers, const char *body);

/* Submits the request, or polls it with cookie unless that is NULL. */
ca_answer_t ca_peer_ask(ca_peer_t *peer, const char *cookie);

/* Has the CA answer so, and looks at what becomes of the request. */
void ca_peer_check(ca_peer_t *peer, const ca_peer_case_t *c, const char *cookie);

/* The same for value number i of a field that has to hold a PEM, between two parts of a body. */
#define CA_PEER_VALUES 14
void ca_peer_check_value(ca_peer_t *peer, const char *status, const char *before,
                         const char *after, int i);

/*
 * Revokes the certificate with the serial number 0x01234567 for a reason, as the CA answers now;
 * also while the process ends, since nobody else would revoke what must not be.
 */
void ca_peer_check_revocation(ca_peer_t *peer, int reason, apr_status_t rv);

/* Asks the CA, which has no ScepCAChain, for its chain.  With APR_SUCCESS it begins with the
 * CA's certificate, and another look asks nobody. */
void ca_peer_check_chain(ca_peer_t *peer, apr_status_t rv);

/* A file with a client's certificate and its key; "certificate=FILE" and "key=FILE". */
const char *ca_peer_certificate_word(void);
const char *ca_peer_key_word(void);

/* "NAME=FILE" of a file with this text. */
const char *ca_peer_file_word(const char *name, const char *text);

#endif /* UNIT_CA_PEER_FIXTURE_H */
