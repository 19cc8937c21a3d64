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
#define CW_PACK_PARITY_K       10u /* unless told otherwise */
#define CW_PACK_PARITY_M       1u

/* A medium that was full and may be taken away now. */
struct cw_pack_closed {
	uint32_t number;
	const char *path;
	const char *label; /* of its filesystem, "" */
	char note[32];	   /* what to write on it */
	/*
	 * NULL, or why it could not be completed: it has to come again at the
	 * end, or be made again.
	 */
	const char *problem;
};

/* A question for another medium. */
struct cw_pack_ask {
	char seed[2 * CW_SEED_ID_SIZE + 1];
	uint32_t medium; /* the number that the next one gets */
	/*
	 * It has that number: it was being written when the seed was
	 * interrupted, and only it will do.
	 */
	bool is_again;
	char label[32]; /* what to write on it, "0123abcd 2 of ?" */
	/* Those that were closed since the last question that was answered. */
	const struct cw_pack_closed *closed;
	size_t closed_count;
	uint64_t volume_size; /* a medium must have room for one */
	uint64_t bytes_left;  /* roughly, on media; 0: not known */
	/*
	 * Why the last answer would not do, a sentence; NULL if this is the
	 * first time that it is asked.
	 */
	const char *problem;
};

struct cw_pack_options {
	struct cw_catalog *catalog; /* for writing */
	const char *catalog_path;
	const char *seeds_path;		  /* folder of SEED-ID/ledger */
	const struct cw_scan_root *roots; /* as configured */
	size_t root_count;
	const char *const *excludes;
	size_t exclude_count;
	/* Roots of other stores: no medium may lie in one of them either. */
	const char **others;
	size_t other_count;

	const char *peer;			   /* the site it is for */
	const struct cw_age_recipient *recipients; /* its key first */
	size_t recipient_count;
	uint64_t volume_size; /* 0: the default, or what the seed began with */
	bool has_parity; /* else what the seed began with, or the default */
	uint32_t parity_k, parity_m; /* 0 0: none */
	uint32_t survive_media;	     /* 0, or parity_m with k media more */
	const char *const *to;	     /* directories of media */
	size_t to_count;
	bool is_new; /* gives up an unfinished seed instead of going on */
	/*
	 * An increment: what changed after this generation; 0: a full seed.
	 * since_acked: it is what the site has acknowledged, so that one which
	 * was begun on another generation is gone on with all the same.
	 */
	uint64_t since;
	bool since_acked;
	/*
	 * The medium of this number, of the store's last seed, is lost: what
	 * was on it is packed again onto one of `to`, finished or not.  0: no
	 * such thing.
	 */
	uint32_t remake;

	/*
	 * Asks for a directory (malloc'd) where all media are full; those are
	 * then closed one by one.  1: nobody answers, and the seed waits to be
	 * gone on with.  NULL: all media must be there at the end.
	 */
	int (*ask)(void *arg, const struct cw_pack_ask *ask, char **dir,
	    struct cw_error *err);
	void *ask_arg;

	const struct cw_minisign_secret *secret;
	const struct cw_card *card; /* of this site */
	unsigned builders;	    /* 0: one a core */
	struct cw_progress *progress;
};

struct cw_pack_medium {
	uint32_t number;
	char label[CW_MANIFEST_NAME_MAX + 1];
	uint64_t volumes; /* on it */
	uint64_t shards;
	uint64_t bytes; /* of the seed's files on it */
	/*
	 * It was closed before the end, and has no part of what came later:
	 * neither the catalog nor the final manifest.
	 */
	bool is_closed;
	char *path; /* "" if it is not here */
};

struct cw_pack_result {
	uint8_t seed_id[CW_SEED_ID_SIZE];
	bool is_resumed;
	uint64_t generation; /* that of the seed's start */
	uint64_t base;	     /* an increment's; else 0 */
	uint64_t removals;   /* an increment's deletions */
	uint64_t entries;
	uint64_t bytes;		/* of files in the store */
	uint64_t bytes_read;	/* by this run */
	uint64_t bytes_written; /* of all files on all media */
	uint64_t volumes;
	uint64_t parity_shards;
	uint64_t passes;
	uint64_t moving;     /* files packed though they did not hold still */
	uint64_t unreadable; /* files that are not in the seed */
	uint64_t unreadable_dirs; /* what is in them is as it was known */
	struct cw_error first_unreadable;
	uint8_t manifest_sha256[32];
	uint32_t revision;	     /* of the manifest */
	uint32_t parity_k, parity_m; /* as the seed was begun */
	uint32_t survive_media;
	uint64_t volume_size;
	struct cw_pack_medium *media; /* by number */
	size_t media_count;
};

/*
 * Packs, or goes on with what is unfinished.  A seed of the store for somebody
 * else that is unfinished is CW_ERR_REFUSED unless is_new.  Files and
 * directories that cannot be read are counted in the result and left out;
 * everything else is in.
 * Free the result in either case.
 */
int cw_pack(const struct cw_pack_options *options,
    struct cw_pack_result *result, struct cw_error *err);
void cw_pack_free(struct cw_pack_result *result);

#endif
