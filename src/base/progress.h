/*
 * What long work tells those who watch: counters that any thread may raise,
 * and a request to stop.  Libraries only count; the CLI prints.
 */
#ifndef CW_BASE_PROGRESS_H
#define CW_BASE_PROGRESS_H

#include "base/error.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct cw_progress {
	_Atomic(const char *) what; /* "packing", "verifying": a literal */
	_Atomic uint64_t bytes_done;
	_Atomic uint64_t bytes_total; /* 0: not known yet */
	_Atomic uint64_t items_done;
	_Atomic uint64_t items_total;
};

/* Starts a stage; progress may be NULL in all of these. */
void cw_progress_start(
    struct cw_progress *p, const char *what, uint64_t bytes, uint64_t items);
void cw_progress_add(struct cw_progress *p, uint64_t bytes, uint64_t items);

/*
 * Asks all long work of the process to end soon (async-signal-safe).  The
 * work then returns CW_ERR_INTERRUPTED and leaves what a crash would leave:
 * run it again and it goes on.
 */
void cw_stop_request(void);
bool cw_stop_requested(void);
/* Returns -1 and CW_ERR_INTERRUPTED if somebody asked us to stop. */
int cw_stop_check(struct cw_error *err);

#endif
