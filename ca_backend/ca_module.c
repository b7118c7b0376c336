/* SPDX-License-Identifier: Apache-2.0 */
/* The functions that a backend in another module may call; see ca_module.h. */
#include "ca_module.h"

extern const ca_api_t ca_api;

#define CA_API_ENTRY(name) .name = name,
const ca_api_t ca_api = {
    CA_API_FUNCTIONS(CA_API_ENTRY)
};
