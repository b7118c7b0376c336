/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose a request is: device and user are names that a challenge, a provider or a registration
 * point's front says.  They change no certificate, but logs, records and policy "known" go by them,
 * so what two of them say has to be one.
 */
#include "policy_attributes.h"
#include "policy_provider.h"
#include "../common/http_client.h"
#include <apr_cstr.h>
#include <apr_strings.h>

#define SHOWN 255 /* bytes of a name in a refusal's detail */

const char *policy_device_of(const policy_tx_t *tx)
{
    return tx->gathered && tx->gathered->device ? tx->gathered->device : tx->request->device;
}

const char *policy_user_of(const policy_tx_t *tx)
{
    return tx->gathered && tx->gathered->user ? tx->gathered->user : tx->request->user;
}

apr_status_t policy_refuse_owner(outcome_t *out, const char *reason, apr_pool_t *p,
                                 const char *detail)
{
    outcome_refuse(out, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_ACCESS_DENIED, reason,
                   POLICY_BOUND_TEXT, p, "%s", detail);
    out->phase = OUTCOME_PHASE_PERMISSION;
    return APR_EACCES;
}

/* Whether two names are one, where both are there; otherwise out is refused. */
static int is_same(const char *said, const char *known, const char *reason, outcome_t *out,
                   apr_pool_t *p)
{
    if (!said || !known || apr_cstr_casecmp(said, known) == 0)
        return 1;
    policy_refuse_owner(out, reason, p,
                        apr_psprintf(p, "it was sent for \"%s\", but policy says \"%s\"",
                                     http_printable(said, SHOWN, p),
                                     http_printable(known, SHOWN, p)));
    return 0;
}

int policy_owner_agrees(const policy_tx_t *tx, const policy_attributes_t *added, outcome_t *out,
                        apr_pool_t *p)
{
    return is_same(tx->request->device, added->device, "device-mismatch", out, p) &&
           is_same(tx->request->user, added->user, "user-mismatch", out, p);
}

void policy_owner_keep(policy_tx_t *tx)
{
    const char *device = policy_device_of(tx), *user = policy_user_of(tx);

    if (device)
        tx->attributes.device = device;
    if (user)
        tx->attributes.user = user;
}

void policy_attributes_owner(policy_attributes_t *attributes, const policy_bound_t *bound)
{
    if (*bound->device)
        attributes->device = bound->device;
    if (*bound->user)
        attributes->user = bound->user;
}
