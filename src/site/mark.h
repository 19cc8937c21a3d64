/*
 * Marks: small files beside the record of the role, each of which holds an
 * epoch.  They say what is still to be done, or known, about that epoch; about
 * any other one they say nothing.  Durable when they are set.
 */
#ifndef CW_SITE_MARK_H
#define CW_SITE_MARK_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

/* This site took over, and its promote hook has not succeeded yet. */
#define CW_MARK_PROMOTING "promoting"
/* This site was passed by, and its fence hook has not succeeded yet. */
#define CW_MARK_FENCING "fencing"
/* Another site began the epoch as well, and a human has to decide. */
#define CW_MARK_SPLIT "split"

int cw_mark_set(
    int dirfd, const char *mark, uint64_t epoch, struct cw_error *err);
/* 1: it is set for this epoch; 0; -1: it can't be read. */
int cw_mark_look(
    int dirfd, const char *mark, uint64_t epoch, struct cw_error *err);
/* No harm where there is none.  One that a crash brings back is harmless. */
void cw_mark_clear(int dirfd, const char *mark);

#endif
