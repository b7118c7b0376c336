/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What scep-status says about issued certificates and about news that are on their way: the store's
 * request-status records, and its outbox.
 */
#include "mod_scep_status.h"
#include <apr_strings.h>

#define NEWEST 100
#define COUNT_MAX 1000 /* more records of a state than these are not counted */

/* Members of a record that are shown. */
static const char *const members[] = {"transactionID", "serial",   "thumbprint", "subject",
                                      "template",      "device",   "user",       "issued",
                                      "notAfter"};

/* One record. */
static json_t *make_record(const store_tx_t *tx, apr_pool_t *p)
{
    json_t *object = json_object(), *record = json_loads(tx->record, 0, NULL);
    const char *value;
    apr_size_t i;

    json_object_set_new(object, "tx", scep_status_text(tx->tx_key, p));
    json_object_set_new(object, "state", scep_status_text(tx->record_state, p));
    scep_status_set_time(object, "updated", tx->updated);
    for (i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        value = json_string_value(json_object_get(record, members[i]));
        if (value) {
            json_object_set_new(object, members[i], scep_status_text(value, p));
        }
    }
    json_decref(record);
    return object;
}

/* How many records there are in a state; -1: the store gave no answer. */
static int count_records(const scep_service_conf_t *service, const char *state, apr_pool_t *p)
{
    apr_array_header_t *txs;
    apr_pool_t *scratch;
    int count = -1;

    apr_pool_create(&scratch, p);
    if (store_records(service->store, service->name, state, COUNT_MAX + 1, &txs, scratch) ==
        APR_SUCCESS) {
        count = txs->nelts;
    }
    apr_pool_destroy(scratch);
    return count;
}

/* The records; NULL: the store gave no answer. */
static json_t *make_records(const scep_service_conf_t *service, apr_pool_t *p)
{
    static const char *const states[] = {"processing", "failed", "succeed"};
    json_t *object = json_object(), *newest = json_array();
    apr_array_header_t *txs = NULL;
    int i, count = 0, more = 0;

    for (i = 0; count >= 0 && i < 3; i++) {
        count = count_records(service, states[i], p);
        more |= count > COUNT_MAX;
        json_object_set_new(object, states[i],
                            json_integer(count > COUNT_MAX ? COUNT_MAX : count));
    }
    json_object_set_new(object, "more", json_boolean(more));
    if (count < 0 || store_records(service->store, service->name, "", NEWEST, &txs, p) !=
                         APR_SUCCESS) {
        json_decref(object);
        json_decref(newest);
        return NULL;
    }
    for (i = 0; i < txs->nelts; i++) {
        json_array_append_new(newest, make_record(APR_ARRAY_IDX(txs, i, const store_tx_t *), p));
    }
    json_object_set_new(object, "newest", newest);
    return object;
}

/* The outbox; NULL: the store gave no answer. */
static json_t *make_outbox(const scep_service_conf_t *service, apr_pool_t *p)
{
    apr_time_t oldest = 0;
    json_t *object;
    int count = 0;

    if (store_outbox(service->store, service->name, &count, &oldest, p) != APR_SUCCESS) {
        return NULL;
    }
    object = json_object();
    json_object_set_new(object, "count", json_integer(count));
    if (oldest) {
        scep_status_set_time(object, "oldest", oldest);
    }
    return object;
}

void scep_status_add_records(json_t *object, const scep_service_conf_t *service, apr_pool_t *p)
{
    json_t *records = service->broken ? NULL : make_records(service, p);
    json_t *outbox = records ? make_outbox(service, p) : NULL;

    json_object_set_new(object, "records", records ? records : json_null());
    json_object_set_new(object, "outbox", outbox ? outbox : json_null());
}
