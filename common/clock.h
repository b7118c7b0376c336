/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clock for time limits, rests and life times that one process keeps: nobody sets it, so a
 * corrected wall clock neither prolongs nor ends them.
 */
#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include <apr_time.h>

/* Microseconds since some moment; only differences within a boot mean something. */
apr_time_t clock_monotonic(void);

#endif /* COMMON_CLOCK_H */
