/* SPDX-License-Identifier: Apache-2.0 */
/* The part of check_config that is about registration points. */
#include "mod_scep_check.h"
#include <apr_strings.h>

#define POINT "ScepRegistrationPoint"

/* The words of the default of a registration point: ScepCABackend none. */
static const scep_words_t *no_ca(apr_pool_t *p)
{
    scep_words_t *words = apr_pcalloc(p, sizeof(*words));

    words->name = ca_none_provider.name;
    words->provider = &ca_none_provider;
    return words;
}

/* Warns of what the section of a service that is no registration point says about one. */
static void check_useless(scep_check_t *check, scep_service_conf_t *service)
{
    static const char useless[] = "does nothing without " POINT " on";

    if (service->props.point_authorize) {
        scep_check_warning(check, service, POINT "Authorize", useless);
    }
    if (service->props.point_hold != SCEP_UNSET) {
        scep_check_warning(check, service, POINT "Hold", useless);
    }
}

void scep_check_point(scep_check_t *check, scep_service_conf_t *service)
{
    scep_props_t *e = &service->effective;

    if (e->point && !e->ca) {
        e->ca = no_ca(check->pconf);
    }
    service->enrolls = !e->ca || e->ca->provider != &ca_none_provider;
    if (!e->point) {
        check_useless(check, service);
        if (!service->enrolls) {
            scep_check_error(check, service, "ScepCABackend",
                             "none is for registration points (" POINT " on); this service could "
                             "do nothing");
        }
        return;
    }
    if (e->approval && e->approval->templates) {
        scep_check_error(check, service, "ScepApproval",
                         "requests cannot wait for a person at a registration point; the front has "
                         "to have that");
    }
    if (!e->point_authorize) {
        scep_check_warning(check, service, POINT,
                           "whoever holds a client certificate that this host's TLS verifies may "
                           "ask and tell; name the fronts by ScepRegistrationPointAuthorize");
    }
}
