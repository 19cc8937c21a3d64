/*
 * Repair: what parity and second copies can restore of a seed's media is
 * written back, in place or on another disk.  It needs no key but the public
 * one of the signer; nothing is written that is not what the signed manifest
 * lists.
 *
 * Order of writes: a bad block is computed, compared with its digest, written,
 * synced, read back past the page cache and compared; a file is good again
 * when its SHA-256, read back whole, is the manifest's.  What can't be written
 * so is written anew beside it and renamed.  A crash at any moment leaves what
 * was bad bad and what was good good: run it again.
 */
#ifndef CW_MEDIA_REPAIR_H
#define CW_MEDIA_REPAIR_H

#include "base/error.h"
#include "base/progress.h"
#include "media/set.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cw_repair_options {
	const char *seed; /* seed id of 16 hex digits, or NULL: see set.h */
	const struct cw_set_signer *signers;
	size_t signer_count;
	/*
	 * Directories in which media are made again: one a medium, in order of
	 * their numbers; each on a filesystem of its own.
	 */
	const char *const *to;
	size_t to_count;
	uint32_t medium;  /* 0, or which to make in the only `to` */
	bool is_dry;	  /* only says what would be done */
	unsigned threads; /* that read at first; 0: one a core */
	struct cw_progress *progress;
};

struct cw_repair_item {
	uint32_t medium;
	char file[CW_MANIFEST_NAME_MAX + 1];
	uint64_t offset, length;
	char *reason; /* why not, NULL if it was repaired */
};

struct cw_repair_made {
	uint32_t medium;
	char *path;			     /* of the seed's folder */
	char label[CW_MEDIUM_LABEL_MAX + 1]; /* what it was labelled */
	bool is_whole; /* else some of its files are unrepairable */
};

enum cw_repair_status {
	CW_REPAIR_OK,	    /* all that is here is good (again) */
	CW_REPAIR_POSSIBLE, /* dry: all that is bad can be repaired */
	CW_REPAIR_DAMAGED,  /* something is beyond repair, or not here */
	CW_REPAIR_FAILED,   /* a medium does not take what is written */
	CW_REPAIR_UNTRUSTED,
};

struct cw_repair_result {
	enum cw_repair_status status;
	uint8_t seed_id[CW_SEED_ID_SIZE];
	char seed_text[CW_SEED_ID_TEXT];
	/* What README.txt of a medium that was made says. */
	struct cw_minisign_public signer;
	uint32_t parity_k, parity_m, survive_media;
	struct cw_repair_item *repaired; /* or would be, when dry */
	size_t repaired_count;
	struct cw_repair_item *unrepairable;
	size_t unrepairable_count;
	struct cw_repair_made *made;
	size_t made_count;
	uint32_t *absent; /* numbers of media that are neither here nor made */
	size_t absent_count;
	uint64_t files; /* looked at */
	double seconds;
	/* Why status is not OK: the worst, and what to do. */
	struct cw_error error;
};

/*
 * Repairs the seed that the directories hold.  0: see the result; -1 for what
 * kept us from it: no seed there, another repair of it runs (CW_ERR_BUSY), it
 * is not clear what is meant, interrupted.  Free the result in either case.
 *
 * A medium whose manifest or signature was changed is not written to, and
 * makes the status UNTRUSTED; others of the set are repaired all the same.
 */
int cw_repair(const char *const *dirs, size_t dir_count,
    const struct cw_repair_options *options, struct cw_repair_result *result,
    struct cw_error *err);

void cw_repair_free(struct cw_repair_result *result);

/* "ok", "repairable", "damaged", "failed", "untrusted" */
const char *cw_repair_status_name(enum cw_repair_status status);

#endif
