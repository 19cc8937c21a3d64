/*
 * Verifying a seed on its media: signature, set of files, sizes, SHA-256 and
 * XXH3-128 of every byte, the second copies; what is wrong is found to the
 * block of 64 KiB, and whether parity can mend it.  It needs no key but the
 * public one of the signer, and changes nothing on the media.
 *
 * A medium that was closed before the seed ended is good by itself: its
 * manifest is open, and says nothing of what came later.
 */
#ifndef CW_SEED_VERIFY_H
#define CW_SEED_VERIFY_H

#include "base/crypto.h"
#include "base/error.h"
#include "base/progress.h"
#include "formats/manifest/manifest.h"
#include "media/set.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cw_verify_options {
	const char *seed;     /* seed id of 16 hex digits, or NULL: see set.h */
	const char *manifest; /* a file of its own, or NULL: see set.h */
	const struct cw_set_signer *signers;
	size_t signer_count; /* 0: nobody is trusted */
	bool quick;	     /* sizes of volumes and catalog only */
	bool cached;	     /* reading from the page cache will do */
	unsigned threads;    /* 0: as many as there are cores */
	uint64_t rate;	     /* bytes a second; 0: no limit */
	struct cw_progress *progress;
	/* Told what is read now, "medium 2 of 3"; by any thread; may be NULL.
	 */
	void (*note)(void *arg, const char *text);
	void *note_arg;

	/*
	 * The directories as the operator named them, as many, for messages;
	 * NULL: as they are given.
	 */
	const char *const *typed;

	/*
	 * Where it keeps what was read, to go on after an interruption: the
	 * file resume_file, or one named for the seed in the directory
	 * resume_dir (made if it is not there), else nowhere.  Failure to use
	 * the former is an error, the latter a remark.
	 */
	const char *resume_file, *resume_dir;
	bool is_fresh; /* read all of it, whatever was read before */
};

/* In order of weight: the worst that was found is the seed's. */
enum cw_verify_status {
	CW_VERIFY_OK,
	CW_VERIFY_REPAIRABLE,
	CW_VERIFY_DAMAGED,
	CW_VERIFY_UNTRUSTED,
};

struct cw_verify_damage {
	uint32_t medium;		     /* 0 if it is not known which */
	char file[CW_MANIFEST_NAME_MAX + 1]; /* within the seed's folder */
	uint64_t offset, length;	     /* bytes; whole blocks, but at
						the end of the file */
	enum cw_verify_status status;	     /* what it makes of the seed */
	bool is_extra; /* a file that is no part of the seed */
	char *reason;  /* a sentence, with the path */
};

struct cw_verify_missing {
	uint32_t medium;
	char file[CW_MANIFEST_NAME_MAX + 1];
	bool is_medium_absent; /* else the file alone is */
	bool is_repairable;    /* from its other copy, parity, other media */
};

/* What was wrong, of one weight. */
struct cw_verify_tally {
	uint64_t files;	 /* volumes and shards */
	uint64_t blocks; /* of 64 KiB, of these; a cut file's count, too */
};

/* A medium that was here. */
struct cw_verify_medium {
	uint32_t number;			 /* 0 if nothing tells */
	char *path;				 /* of the seed's folder */
	char label[CW_MEDIUM_LABEL_MAX + 1];	 /* of MEDIUM; "" if none */
	char filesystem[CW_MEDIUM_UUID_MAX + 1]; /* of MEDIUM; "-": unknown */
	uint64_t files, bytes;			 /* read and compared */
};

struct cw_verify_result {
	enum cw_verify_status status;
	uint8_t seed_id[CW_SEED_ID_SIZE];
	char seed_text[CW_SEED_ID_TEXT];

	/*
	 * Who signed, if is_trusted; else who claims to.  signer_name is ""
	 * unless a card told it.
	 */
	bool is_trusted;
	uint8_t signer[CW_CARD_FINGERPRINT_SIZE]; /* card fingerprint */
	char signer_name[CW_CARD_NAME_MAX + 1];
	char key_id[17]; /* of minisign, "" if there is no signature */

	uint8_t store_id[CW_STORE_ID_SIZE];
	uint8_t manifest_sha256[CW_SHA256_SIZE];
	uint32_t revision; /* of the manifest */
	uint64_t generation;
	int64_t time;
	bool is_final, has_parity;
	uint32_t media, media_present; /* media is 0 if not known yet */
	uint64_t volumes;	       /* data volumes that were checked */
	uint64_t shards;	       /* parity shards that were */
	uint64_t bytes;		       /* read and compared, ever */
	uint64_t bytes_before;	       /* of these, in runs before this one */
	int64_t from, to; /* seconds since 1970; from: of the first run */
	double seconds;	  /* of this run */

	struct cw_verify_medium *present; /* media_present of them */
	struct cw_verify_damage *damaged;
	size_t damaged_count;
	uint64_t damaged_more; /* places that found no room in damaged */
	struct cw_verify_tally tallies[CW_VERIFY_UNTRUSTED + 1];
	struct cw_verify_missing *missing;
	size_t missing_count;
	char **remarks; /* sentences about what is odd but no damage */
	size_t remark_count;
	uint32_t *absent; /* numbers of the media that were not given */
	size_t absent_count;

	/* Why status is not OK: the worst, and what to do. */
	struct cw_error error;
};

/*
 * Verifies the seed that the directories hold.  Damage is a result, not a
 * failure: 0 is returned, and status and error say what was found.  -1 is for
 * what kept us from looking: no seed there, which one is meant is not clear,
 * interrupted.  Free the result in either case.
 */
int cw_verify(const char *const *dirs, size_t dir_count,
    const struct cw_verify_options *options, struct cw_verify_result *result,
    struct cw_error *err);

void cw_verify_free(struct cw_verify_result *result);

/* "ok", "repairable", "damaged", "untrusted" */
const char *cw_verify_status_name(enum cw_verify_status status);

#endif
