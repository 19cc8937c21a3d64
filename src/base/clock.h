/*
 * Times as whole numbers: a clock that only goes forward, for how long
 * something takes, and the times of files, in nanoseconds since 1970.  What
 * time of day it is, who needs that asks time() or clock_gettime() himself.
 */
#ifndef CW_BASE_CLOCK_H
#define CW_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* CLOCK_MONOTONIC: nobody sets it, and it stands while the machine sleeps. */
int64_t cw_clock_ms(void);
int64_t cw_clock_ns(void);
/* How many seconds have passed since cw_clock_ns said from_ns. */
double cw_clock_since(int64_t from_ns);

/*
 * A time of stat(2) as catalogs have it, in ns; of one that lies beyond their
 * 292 years before or after 1970 (some filesystems keep any time) the nearest.
 * Never the least or greatest number: bands and members without a time mean
 * something else by those.
 */
int64_t cw_time_ns(struct timespec t);
/* The same time again; tv_nsec is never negative, before 1970 neither. */
struct timespec cw_time_split(int64_t ns);

#endif
