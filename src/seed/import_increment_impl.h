/*
 * The inside of import_increment_volumes.c and import_increment_cut.c.
 */
#ifndef CW_SEED_IMPORT_INCREMENT_IMPL_H
#define CW_SEED_IMPORT_INCREMENT_IMPL_H

#include "formats/volume/volume.h"
#include "seed/import_increment.h"

/* A link whose file has another content by now: who has it, is read again. */
struct orphan {
	char *target;
	uint8_t digest[CW_DIGEST_SIZE];
	uint64_t size;
};

/* A file in parts that is being put together. */
struct whole {
	uint8_t digest[CW_DIGEST_SIZE];
	uint64_t size;
	const char *path;
	uint32_t next, parts;
	struct cw_staging_writer *writer;
};

struct taking {
	struct increment *inc;
	struct cw_volume_reader *reader;
	const struct import_volume *volume;
	int fd;
	struct orphan *orphans;
	size_t orphan_count;
	struct whole *whole; /* NULL: single members are taken */
	bool has_parts;	     /* parts were seen that lack here */
	uint8_t *needed;     /* by number of volume */
};

/* Notes a sentence about the volume, or a member of it. */
void increment_tell(struct taking *t, const char *path, const char *why);
/* Does a content lack at home?  1, 0, -1. */
int increment_lacks(struct taking *t, const uint8_t digest[CW_DIGEST_SIZE],
    uint64_t size, struct cw_error *err);
/* The file at a path of the increment's catalog: 0, 1 none, -1. */
int increment_find(struct taking *t, const char *path, size_t len,
    struct cw_entry *e, struct cw_error *err);
/* A member's content behind what the writer has. */
int increment_copy(struct taking *t, const struct cw_member *m,
    struct cw_staging_writer *w, struct cw_error *err);
/* Reads a volume, rebuilt if need be: 0, 1 if it can't be had, -1. */
int increment_read_volume(
    struct taking *t, struct import_volume *v, struct cw_error *err);
/* A medium that would have to be here. */
void increment_note_absent(struct import *im, const struct import_volume *v);

/* import_increment_cut.c: a part of a file that is cut over volumes. */
int increment_take_part(struct taking *t, const struct cw_member *m, size_t len,
    uint32_t part, uint32_t parts, struct cw_error *err);
/* Puts the part-files that lack together. */
int increment_take_cuts(struct taking *t, struct cw_error *err);

#endif
