/* Shared by repair*.c. */
#ifndef CW_MEDIA_REPAIR_IMPL_H
#define CW_MEDIA_REPAIR_IMPL_H

#include "media/recover.h"
#include "media/repair.h"
#include "media/scrub.h"

/* A medium that is written to: one of the set, or one that is made. */
struct cw_repair_medium {
	uint32_t number;
	int dirfd;
	const char *path;
	bool is_made;
};

/* A file on a medium, and what the first reading found. */
struct cw_repair_file {
	const struct cw_set_medium *medium;
	const struct cw_manifest_file *file;
	char name[CW_MANIFEST_NAME_MAX + 8]; /* perhaps in copy/ */
	bool is_copy;
	struct cw_scrub_file *scrub;
	bool is_holder; /* of the copies of this medium the one that is read
			   where others are rebuilt: cw_set_holder */
	bool is_good;
	bool is_done; /* rebuilt already */
};

struct cw_repair {
	const struct cw_repair_options *options;
	struct cw_repair_result *result;
	struct cw_set *set;
	struct cw_recover *recover;
	struct cw_buf manifest;	 /* its text and signature, as they govern */
	struct cw_buf signature; /* empty: on no medium that is here */
	struct cw_repair_file *files;
	size_t count;
	struct cw_scrub_file *scrubs; /* of those that are read at first */
	size_t scrub_count;
	struct cw_error failure; /* the first one of a disk */
	uint32_t failed;	 /* the medium of that disk */
	struct cw_error blocked; /* the first thing that stands in the way */
};

/* ---- the result (repair_result.c) ---- */

void cw_repair_done(struct cw_repair *r, uint32_t medium, const char *file,
    uint64_t offset, uint64_t length);
/* why's code tells whether it is the medium's or the bytes' fault. */
void cw_repair_cannot(struct cw_repair *r, uint32_t medium, const char *file,
    uint64_t offset, uint64_t length, const struct cw_error *why);
void cw_repair_raise(struct cw_repair *r, enum cw_repair_status status);
void cw_repair_conclude(struct cw_repair *r);

/*
 * Whether something that a file can't be renamed over stands in its place:
 * then why says what to do, with CW_ERR_REFUSED.
 */
bool cw_repair_is_blocked(
    const struct cw_repair_medium *to, const char *name, struct cw_error *why);

/* Whether a medium's manifest was changed: then it is not written to. */
bool cw_repair_is_untrusted(const struct cw_repair *r, size_t medium);

/* ---- volumes and shards (repair_volume.c) ---- */

/*
 * Rebuilds the files that are missing, before anything else is read: so what
 * they are rebuilt from is checked on the way, and not read twice.
 */
int cw_repair_missing(struct cw_repair *r, struct cw_error *err);

/* Repairs one that is bad; only CW_ERR_INTERRUPTED is an error. */
int cw_repair_volume(
    struct cw_repair *r, const struct cw_repair_file *f, struct cw_error *err);

/* Writes a volume or shard as a new file; reads whatever is needed. */
int cw_repair_write_volume(struct cw_repair *r,
    const struct cw_manifest_file *file, const struct cw_repair_medium *to,
    struct cw_error *err);

/* ---- what stands twice (repair_small.c) ---- */

/*
 * Makes good all files of a medium that are no volumes or shards, when these
 * are done with.
 */
int cw_repair_small(struct cw_repair *r, const struct cw_repair_medium *to,
    struct cw_error *err);

/* Finds the text of the manifest that governs, and its signature. */
void cw_repair_find_manifest(struct cw_repair *r);

/* Copies a good file; it is compared with the manifest once more. */
int cw_repair_copy(int from, const char *from_name,
    const struct cw_manifest_file *file, int dirfd, const char *name,
    struct cw_error *err);

/* Whether a file in a folder is that of the manifest, by its SHA-256. */
bool cw_repair_is_good(
    int dirfd, const char *name, const struct cw_manifest_file *file);

/* ---- whole media (repair_medium.c) ---- */

int cw_repair_make_media(struct cw_repair *r, struct cw_error *err);

#endif
