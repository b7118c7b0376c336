/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration: what the directives said (scep_props_t), per server and per <ScepService>, and
 * what became of it (the service's objects).  Merge order: main server, virtual host, service; a
 * sentinel marks what was not set, and presets are applied once after the merge.  Read-only
 * after post_config, but for what scep_service_conf_t has per child, which child_init sets.
 */
#ifndef MOD_SCEP_CONFIG_H
#define MOD_SCEP_CONFIG_H

#include "mod_scep.h"
#include "core/scep.h"
#include <ap_expr.h>
#include <apr_hash.h>
#include <apr_tables.h>

/* Where state goes when ScepStateDirectory is not given. */
#ifndef SCEP_STATE_DIRECTORY
#define SCEP_STATE_DIRECTORY "/var/lib/mod_scep"
#endif

#define SCEP_UNSET (-1)

/* FILE [KEY] of an RA certificate; absolute. */
typedef struct scep_keyfile_t {
    const char *cert, *key;
} scep_keyfile_t;

/* NAME key=value ... of a provider. */
typedef struct scep_words_t {
    const char *name;
    const void *provider;
    int argc;
    const char *const *argv;
} scep_words_t;

/* ScepApproval: which templates' requests wait for a person. */
typedef struct scep_approval_t {
    const apr_array_header_t *templates; /* of const char*; empty: all; NULL: automatic */
} scep_approval_t;

/* ScepAdminAuthorizeTemplate: who may make challenges for a template. */
typedef struct scep_template_rule_t {
    const char *template_name;
    const ap_expr_info_t *expr;
} scep_template_rule_t;

/* The time in which ScepFailureLimit counts, when it names none. */
#define SCEP_FAILURE_WINDOW apr_time_from_sec(600)

/* How long a request waits for its turn, when ScepConcurrency does not say. */
#define SCEP_CONCURRENCY_WAIT apr_time_from_sec(2)

/* Every setting: type, member, sentinel, preset. */
#define SCEP_PROPS(X)                                                         \
    X(const char *, path, NULL, "/certsrv")                                   \
    X(const char *, store_url, NULL, "sqlite:")                               \
    X(const char *, store_user, NULL, NULL)                                   \
    X(const char *, store_password_file, NULL, NULL)                          \
    X(const char *, store_ca_file, NULL, NULL)                                \
    X(const char *, store_certificate_file, NULL, NULL)                       \
    X(const char *, store_key_file, NULL, NULL)                               \
    X(apr_int64_t, store_connect_timeout, SCEP_UNSET, 0)                      \
    X(apr_int64_t, store_command_timeout, SCEP_UNSET, 0)                      \
    X(apr_int64_t, store_relocate_timeout, SCEP_UNSET, 0)                     \
    X(apr_int64_t, store_wait_replicas, SCEP_UNSET, 0)                        \
    X(apr_int64_t, store_wait_time, SCEP_UNSET, 0)                            \
    X(const char *, store_sentinel_user, NULL, NULL)                          \
    X(const char *, store_sentinel_password_file, NULL, NULL)                 \
    X(const char *, state_directory, NULL, SCEP_STATE_DIRECTORY)              \
    X(const char *, secret_file, NULL, NULL)                                  \
    X(const apr_array_header_t *, ra_signing, NULL, NULL)                     \
    X(const apr_array_header_t *, ra_encryption, NULL, NULL)                  \
    X(const char *, ca_chain, NULL, NULL)                                     \
    X(const scep_words_t *, ca, NULL, NULL)                                   \
    X(const char *, template_signature, NULL, NULL)                           \
    X(const char *, template_encryption, NULL, NULL)                          \
    X(const char *, template_general, NULL, NULL)                             \
    X(const apr_array_header_t *, local_templates, NULL, NULL)                \
    X(const apr_array_header_t *, policies, NULL, NULL)                       \
    X(apr_int64_t, lifetime, SCEP_UNSET, apr_time_from_sec(3600))             \
    X(apr_int64_t, length, SCEP_UNSET, 8)                                     \
    X(apr_int64_t, max, SCEP_UNSET, 10000)                                    \
    X(apr_int64_t, max_per_caller, SCEP_UNSET, 0)                             \
    X(apr_int64_t, uses, SCEP_UNSET, 1)                                       \
    X(apr_int64_t, attempts, SCEP_UNSET, 3)                                   \
    X(const ap_expr_info_t *, admin_authorize, NULL, NULL)                    \
    X(const apr_array_header_t *, admin_templates, NULL, NULL)                \
    X(apr_int64_t, retention, SCEP_UNSET, apr_time_from_sec(7 * 86400))       \
    X(apr_int64_t, legacy, SCEP_UNSET, (SCEP_LEGACY_3DES | SCEP_LEGACY_SHA1)) \
    X(const char *, capabilities, NULL, NULL)                                 \
    X(apr_int64_t, info_page, SCEP_UNSET, 1)                                  \
    X(apr_int64_t, max_message_size, SCEP_UNSET, 65536)                       \
    X(apr_int64_t, include_ca, SCEP_UNSET, 0)                                 \
    X(apr_int64_t, request_timeout, SCEP_UNSET, apr_time_from_sec(8))         \
    X(apr_int64_t, not_before_skew, SCEP_UNSET, apr_time_from_sec(600))       \
    X(apr_int64_t, renewal, SCEP_UNSET, 1)                                    \
    X(apr_int64_t, renewal_window, SCEP_UNSET, 0)                             \
    X(apr_int64_t, renewal_grace, SCEP_UNSET, 0)                              \
    X(apr_int64_t, renewal_same_subject, SCEP_UNSET, 1)                       \
    X(apr_int64_t, renewal_key, SCEP_UNSET, SCEP_RENEWAL_KEY_ANY)             \
    X(const char *, renewal_ca_file, NULL, NULL)                              \
    X(const scep_approval_t *, approval, NULL, NULL)                          \
    X(apr_int64_t, pending_max, SCEP_UNSET, 1000)                             \
    X(apr_int64_t, poll_interval, SCEP_UNSET, apr_time_from_sec(300))         \
    X(apr_int64_t, ca_wait, SCEP_UNSET, 0)                                    \
    X(apr_int64_t, failure_max, SCEP_UNSET, 1000)                             \
    X(apr_int64_t, failure_window, SCEP_UNSET, SCEP_FAILURE_WINDOW)           \
    X(apr_int64_t, failure_max_service, SCEP_UNSET, 0)                        \
    X(const ap_expr_info_t *, limit_exempt, NULL, NULL)                       \
    X(apr_int64_t, concurrency, SCEP_UNSET, SCEP_UNSET)                       \
    X(apr_int64_t, concurrency_queue, SCEP_UNSET, SCEP_UNSET)                 \
    X(apr_int64_t, concurrency_wait, SCEP_UNSET, SCEP_CONCURRENCY_WAIT)       \
    X(apr_int64_t, get_cert, SCEP_UNSET, 1)                                   \
    X(apr_int64_t, get_crl, SCEP_UNSET, 1)                                    \
    X(const char *, crl_file, NULL, NULL)                                     \
    X(const char *, next_ca_chain, NULL, NULL)                                \
    X(const apr_array_header_t *, next_ra_certificates, NULL, NULL)           \
    X(const ap_expr_info_t *, status_authorize, NULL, NULL)                   \
    X(apr_int64_t, notify_lifetime, SCEP_UNSET, apr_time_from_sec(86400))     \
    X(const char *, status_directory, NULL, NULL)                             \
    X(apr_int64_t, point, SCEP_UNSET, 0)                                      \
    X(const ap_expr_info_t *, point_authorize, NULL, NULL)                    \
    X(apr_int64_t, point_hold, SCEP_UNSET, apr_time_from_sec(600))            \
    X(const char *, audit_log, NULL, NULL)                                    \
    X(const char *, policy_log, NULL, NULL)

typedef struct scep_props_t {
#define X(type, member, unset, preset) type member;
    SCEP_PROPS(X)
#undef X
    apr_table_t *where; /* directive, or directive#2 ... -> "FILE:LINE" */
} scep_props_t;

/* One <ScepService>. */
typedef struct scep_service_conf_t {
    const char *name;
    const char *where;  /* "FILE:LINE" of the section */
    server_rec *server; /* that it was written in */
    scep_props_t props; /* as written */
    /* from here on filled by check_config */
    scep_props_t effective; /* after merge and presets */
    store_t *store;
    scep_service_t core;
    const char *revocations; /* as which service of the store the CA's ledger is; NULL: none */
    int enrolls; /* it has a CA; otherwise it is a registration point only */
    struct scep_log_file_t *audit_log, *policy_log; /* opened by open_logs; NULL: none */
    apr_array_header_t *warnings; /* of const char*: said at a real start and by a test */
    struct scep_metrics_t *metrics; /* set by post_config; NULL: not counted */
    int inspects;               /* its host looks at the settings of the store, on its occasion */
    apr_uint32_t *differs_told; /* shared by all children: hosts that differ were logged; set by
                                 * post_config */
    /* per child */
    int broken; /* child_init failed: answers 503 */
    struct admission_t *admission; /* before PKIOperations; NULL: no limit */
    apr_uint32_t admission_told;   /* atomic: when the log was told last that it is full */
} scep_service_conf_t;

typedef struct scep_server_conf_t {
    scep_props_t props;
    apr_array_header_t *services; /* of scep_service_conf_t*: written in this server */
    apr_array_header_t
        *inherited; /* of scep_service_conf_t*: written in the main server; NULL: none */
    scep_service_conf_t *current; /* the section being read; NULL: none */
} scep_server_conf_t;

/* Command table and the two constructors of the module record. */
extern const command_rec scep_directives[];
void *scep_create_server_conf(apr_pool_t *p, server_rec *s);
void *scep_merge_server_conf(apr_pool_t *p, void *basev, void *addv);

scep_server_conf_t *scep_server_conf(const server_rec *s);

/* *result = add over base; presets fill the rest when they are asked for. */
void scep_props_merge(scep_props_t *result, const scep_props_t *base, const scep_props_t *add,
                      apr_pool_t *p);
void scep_props_preset(scep_props_t *props);

/*
 * "FILE:LINE" of a directive in the merged settings; NULL: not given.  entry: which of its lines,
 * from 0, where it may be repeated.
 */
const char *scep_props_where(const scep_props_t *props, const char *directive, int entry,
                             apr_pool_t *p);

/*
 * Calls visit for each service of the program, once each, the main server's first.  Stops at and
 * returns the first value that is not OK.
 */
int scep_each_service(server_rec *main_server, int (*visit)(scep_service_conf_t *, void *),
                      void *baton);

/* What a challenge of this service is for: the path of an endpoint in its canonical spelling. */
const char *scep_path_enroll(const scep_service_conf_t *service, apr_pool_t *p);
const char *scep_path_admin(const scep_service_conf_t *service, apr_pool_t *p);

/* Where the CRL is; under the service's prefix. */
#define SCEP_PATH_CRL "/ca.crl"
const char *scep_path_crl(const scep_service_conf_t *service, apr_pool_t *p);

/* The registration point's paths, in the one spelling that all others are taken as. */
#define SCEP_PATH_POINT "/CertificateRegistrationSvc/Certificate"
#define SCEP_PATH_VERIFY SCEP_PATH_POINT "/VerifyRequest"
#define SCEP_PATH_NOTIFY SCEP_PATH_POINT "/Notify"

#endif /* MOD_SCEP_CONFIG_H */
