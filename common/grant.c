/* SPDX-License-Identifier: Apache-2.0 */
/* The grant's only implementation: an immutable copy of what policy allowed (see grant.h). */
#include "grant_make.h"
#include <apr_strings.h>
#include <string.h>

struct grant_t {
    grant_values_t values;
};

const grant_t *grant_make(const grant_values_t *values, apr_pool_t *p)
{
    grant_t *grant = apr_pcalloc(p, sizeof(*grant));

    grant->values = *values;
    grant->values.service = apr_pstrdup(p, values->service);
    grant->values.tx_key = apr_pstrdup(p, values->tx_key);
    grant->values.transaction_id = apr_pstrdup(p, values->transaction_id);
    grant->values.template_name = apr_pstrdup(p, values->template_name);
    if (values->subject.data)
        grant->values.subject.data = apr_pmemdup(p, values->subject.data, values->subject.len);
    grant->values.sid = apr_pstrdup(p, values->sid);
    return grant;
}

const char *grant_service(const grant_t *grant)
{
    return grant->values.service;
}

const char *grant_tx_key(const grant_t *grant)
{
    return grant->values.tx_key;
}

const char *grant_transaction_id(const grant_t *grant)
{
    return grant->values.transaction_id;
}

const char *grant_template(const grant_t *grant)
{
    return grant->values.template_name;
}

const unsigned char *grant_csr_digest(const grant_t *grant)
{
    return grant->values.csr_digest;
}

const unsigned char *grant_serial(const grant_t *grant)
{
    return grant->values.serial;
}

apr_time_t grant_not_before(const grant_t *grant)
{
    return grant->values.not_before;
}

const crypt_buf_t *grant_subject(const grant_t *grant)
{
    return grant->values.subject.data ? &grant->values.subject : NULL;
}

const char *grant_sid(const grant_t *grant)
{
    return grant->values.sid;
}
