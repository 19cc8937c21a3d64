/*
 * What verify found, as it is put together: for verify's own parts.
 */
#ifndef CW_SEED_VERIFY_RESULT_H
#define CW_SEED_VERIFY_RESULT_H

#include "media/set.h"
#include "seed/verify.h"

#include <stdbool.h>
#include <stdint.h>

/* Places that are kept; more of them are counted only. */
#define CW_VERIFY_DAMAGE_MAX 100000u

/*
 * Adds a damaged range of a file of a medium, and makes the seed's status at
 * least as bad.  reason (taken over) is a sentence with the path.  The ranges
 * of a file come one after another.
 */
void cw_verify_add_damage(struct cw_verify_result *r, uint32_t medium,
    const char *file, uint64_t offset, uint64_t length,
    enum cw_verify_status status, char *reason);

/* The same for a file that is no part of the seed, and should not be there. */
void cw_verify_add_extra(struct cw_verify_result *r, uint32_t medium,
    const char *file, uint64_t size, char *reason);

/* Adds a file that is not there; the status follows from is_repairable. */
void cw_verify_add_missing(struct cw_verify_result *r, uint32_t medium,
    const char *file, bool is_medium_absent, bool is_repairable);

/* Adds a sentence (taken over); no change of status. */
void cw_verify_add_remark(struct cw_verify_result *r, char *text);

/* Makes the status at least as bad. */
void cw_verify_raise(struct cw_verify_result *r, enum cw_verify_status status);

/* What the operator typed, for messages that say what to type next. */
struct cw_verify_asked {
	const char *const *dirs;
	size_t dir_count;
	bool has_signers; /* whether somebody's signature would be believed */
};

/*
 * Says in r->error what the status comes from and what to do; nothing for
 * CW_VERIFY_OK.
 */
void cw_verify_conclude(struct cw_verify_result *r, const struct cw_set *set,
    const struct cw_verify_asked *asked);

#endif
