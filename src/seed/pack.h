/*
 * Packing a seed: the whole store, sealed for its recipients, in volumes on
 * media, with a signed manifest; while the store lives on.
 *
 * An interruption at any point costs the volumes in progress: run again, it
 * goes on, and needs no secret but the site's own signing key at the end.
 * What has to be true is in ledger.h and store/catalog.h.
 */
#ifndef CW_SEED_PACK_H
#define CW_SEED_PACK_H

#include "base/progress.h"
#include "formats/age/age.h"
#include "formats/card/card.h"
#include "formats/manifest/manifest.h"
#include "formats/minisign/minisign.h"
#include "store/catalog.h"
#include "store/scan.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CW_VOLUME_SIZE_DEFAULT (256ull << 20)

struct cw_pack_options {
	struct cw_catalog *catalog; /* for writing */
	const char *catalog_path;
	const char *seeds_path;		  /* folder of SEED-ID/ledger */
	const struct cw_scan_root *roots; /* as configured */
	size_t root_count;
	const char *const *excludes;
	size_t exclude_count;

	const char *peer; /* the site it is for */
	const struct cw_age_recipient *recipients; /* its key first */
	size_t recipient_count;
	uint64_t volume_size; /* 0: the default, or what the seed began with */
	const char *const *to; /* directories of media */
	size_t to_count;
	bool is_new; /* gives up an unfinished seed instead of going on */

	const struct cw_minisign_secret *secret;
	const struct cw_card *card; /* of this site */
	unsigned builders;	    /* 0: one a core */
	struct cw_progress *progress;
};

struct cw_pack_medium {
	uint32_t number;
	char *path;
	char label[CW_MANIFEST_NAME_MAX + 1];
	uint64_t volumes; /* on it */
	uint64_t bytes;	  /* of the seed's files on it */
};

struct cw_pack_result {
	uint8_t seed_id[CW_SEED_ID_SIZE];
	bool is_resumed;
	uint64_t generation; /* that of the seed's start */
	uint64_t entries;
	uint64_t bytes;		/* of files in the store */
	uint64_t bytes_read;	/* by this run */
	uint64_t bytes_written; /* of all files on all media */
	uint64_t volumes;
	uint64_t passes;
	uint64_t moving;     /* files packed though they did not hold still */
	uint64_t unreadable; /* files that are not in the seed */
	struct cw_error first_unreadable;
	uint8_t manifest_sha256[32];
	struct cw_pack_medium *media;
	size_t media_count;
};

/*
 * Packs, or goes on with what is unfinished.  A seed of the store for somebody
 * else that is unfinished is CW_ERR_REFUSED unless is_new.  Files that cannot
 * be read are counted in the result and left out; everything else is in.
 * Free the result in either case.
 */
int cw_pack(const struct cw_pack_options *options,
    struct cw_pack_result *result, struct cw_error *err);
void cw_pack_free(struct cw_pack_result *result);

#endif
