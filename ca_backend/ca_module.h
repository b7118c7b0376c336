/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For a CA backend in a module of its own; docs/writing-a-ca-backend.md has a whole one.
 *
 * Such a module includes this header alone, and registers a ca_provider_t:
 *
 *     ap_register_provider(p, CA_PROVIDER_GROUP, "name", CA_PROVIDER_VERSION, &provider);
 *
 * mod_scep exports nothing but its module record.  What a backend may call reaches it as a table,
 * ca_config_t.api, in its slot create: the functions of the headers below, which say what they
 * take, give and own.  A function that is declared there and not in the table is not for it.
 *
 * CA_PROVIDER_VERSION changes with every change of these headers that a built module would not
 * survive; mod_scep does not take a backend of another version, and says so.
 */
#ifndef CA_MODULE_H
#define CA_MODULE_H

/* leaves out what ca_backend.h declares for mod_scep's own rooms */
#ifndef CA_MODULE
#define CA_MODULE
#endif

#include "ca_backend.h"
#include "ca_certs.h"
#include "ca_http.h"
#include "../common/csr_names.h"

/* Each function that is in the table. */
#define CA_API_FUNCTIONS(X)                                                                        \
    X(settings_get) X(settings_get_number) X(settings_get_flag) X(settings_get_duration)           \
    X(http_settings_read) X(http_settings_read_urls)                                               \
    X(outcome_refuse) X(outcome_unavailable)                                                       \
    X(log_to) X(log_openssl_errors)                                                                \
    X(grant_service) X(grant_tx_key) X(grant_transaction_id) X(grant_template)                     \
    X(grant_csr_digest) X(grant_serial) X(grant_not_before) X(grant_subject) X(grant_sid)          \
    X(csr_names)                                                                                   \
    X(crypt_x509_own) X(crypt_pkey_own) X(crypt_chain_own)                                         \
    X(crypt_load_certificates) X(crypt_load_key) X(crypt_name_text) X(crypt_serial_text)           \
    X(crypt_hex) X(crypt_random) X(crypt_asn1_time)                                                \
    X(http_client_make) X(http_client_check) X(http_client_prepare) X(http_client_child_init)      \
    X(http_client_call) X(http_client_health) X(http_answer_header) X(http_printable)              \
    X(ca_http_make) X(ca_http_ask) X(ca_http_status) X(ca_http_rejected)                           \
    X(ca_http_not_understood)                                                                      \
    X(ca_certs_add_der) X(ca_certs_add_pem) X(ca_certs_add_cms)                                    \
    X(ca_base64_decode) X(ca_base64_encode)

#define CA_API_MEMBER(name) __typeof__(name) *name;
struct ca_api_t {
    CA_API_FUNCTIONS(CA_API_MEMBER)
};
#undef CA_API_MEMBER

#endif /* CA_MODULE_H */
