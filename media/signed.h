/*
 * The manifest on a medium: which of the copies of manifest and signature
 * belong together, and whether a key that is trusted made them.
 */
#ifndef CW_MEDIA_SIGNED_H
#define CW_MEDIA_SIGNED_H

#include "media/set.h"

#include <stdbool.h>
#include <stddef.h>

/* What the media looked at so far have told about the set's manifest. */
struct cw_signed {
	const struct cw_set_signer *signers;
	size_t signer_count;
	bool has_file;	   /* something named MANIFEST was there */
	bool has_manifest; /* set->manifest is one, trusted or not */
};

/*
 * Looks at the manifest of a medium.  Keeps it in the set if it is better than
 * what the set has: signed before claimed, final before open, longer before
 * shorter, newer before older.  Adds faults.
 */
void cw_signed_load(struct cw_set *set, size_t medium, struct cw_signed *seen);

#endif
