/* SPDX-License-Identifier: Apache-2.0 */
/* A clock that nobody sets; see clock.h. */
#include "clock.h"
#include <time.h>

apr_time_t clock_monotonic(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return apr_time_from_sec(now.tv_sec) + now.tv_nsec / 1000;
}
