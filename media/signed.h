/*
 * The manifest on a medium: which of the copies of manifest and signature
 * belong together, and whether a key that is trusted made them.
 */
#ifndef CW_MEDIA_SIGNED_H
#define CW_MEDIA_SIGNED_H

#include "media/set.h"

#include <stdbool.h>
#include <stddef.h>

/* A MEDIUM that some trusted manifest lists. */
struct cw_signed_medium {
	uint32_t number;
	uint8_t sha256[32];
};

/* What the media looked at so far have told about the set's manifest. */
struct cw_signed {
	const struct cw_set_signer *signers;
	size_t signer_count;
	bool has_file;	   /* something named MANIFEST was there */
	bool has_manifest; /* set->manifest is one, trusted or not */
	/* Of all trusted manifests, whether they govern or not. */
	struct cw_signed_medium *media;
	size_t media_count;
};

/*
 * Looks at the manifest of a medium, and says in set->media which revision it
 * has.  Keeps it in the set if it is better than what the set has: signed
 * before claimed, then the greater revision.  Adds faults; an older revision
 * is none.
 */
void cw_signed_load(struct cw_set *set, size_t medium, struct cw_signed *seen);

/*
 * The same for a manifest in a file of its own, with its signature in
 * PATH.minisig.  set->seed_id is set from it if has_seed is false, else it
 * must be that one.  Errors: see cw_set_open_from.
 */
int cw_signed_load_file(struct cw_set *set, const char *path, bool has_seed,
    struct cw_signed *seen, struct cw_error *err);

/* Whether some trusted manifest lists this text as a medium's MEDIUM. */
bool cw_signed_knows_medium(
    const struct cw_signed *seen, uint32_t number, const uint8_t sha256[32]);

void cw_signed_free(struct cw_signed *seen);

#endif
