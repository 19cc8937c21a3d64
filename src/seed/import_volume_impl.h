/*
 * The inside of import_volume.h, shared by import_volume*.c.
 */
#ifndef CW_SEED_IMPORT_VOLUME_IMPL_H
#define CW_SEED_IMPORT_VOLUME_IMPL_H

#include "base/buf.h"
#include "base/crypto.h"
#include "formats/volume/volume.h"
#include "seed/import_volume.h"
#include "seed/members.h"
#include "seed/name_set.h"

#include <stddef.h>

/*
 * A hard link to a member that is out of date: the store's file went away or
 * changed after both were packed, its other name did not.
 */
struct orphan {
	char *path;   /* the link's, in the store */
	char *target; /* the path of its file when it was packed */
	bool is_placed;
};

struct cw_importer {
	struct cw_catalog *catalog;
	struct cw_place *place;
	struct cw_volume_reader *reader;
	const struct cw_age_identity *identity;
	struct cw_sha256 *content, *file;
	uint8_t *gather; /* a piece of a file, on its way */
	size_t gathered;
	uint64_t gather_at;
	cw_import_fault_fn *fault;
	void *fault_arg;
	struct cw_progress *progress;

	/* The volume under way. */
	int fd;
	uint32_t number;
	const char *name;
	bool is_bad, is_unreadable;
	bool is_root_lost; /* nothing can be placed any more */
	uint64_t placed;   /* files */
	bool is_unsure;	   /* of that */
	struct cw_buf path;
	struct orphan *orphans;
	size_t orphan_count;
	struct cw_name_set names;
};

/* Something is wrong with the volume, or (path) with one member of it. */
void importer_tell(struct cw_importer *w, const char *path, const char *why);
/*
 * The member of this path in the store is not what the catalog has.  No fault
 * where the catalog knows: a file that changed while it was packed stands in
 * the volume twice, and a later member, or none, took the first one's place.
 */
int importer_differs(struct cw_importer *w, const struct cw_member *m,
    const char *path, size_t len, const char *why, struct cw_error *err);
/*
 * Finds the entry of a member, its path in w->path; 1 and told if the catalog
 * has another idea.
 */
int importer_find(struct cw_importer *w, const struct cw_member *m,
    enum cw_kind kind, struct cw_entry *e, struct cw_error *err);
/*
 * An error that came while a member was placed: told, if it is only the
 * member's; the volume's own end the volume.  path is NULL where the error
 * names it.
 */
int importer_place_failed(
    struct cw_importer *w, const char *path, struct cw_error *err);
/*
 * Writes a member's content to path as the entry has it.  1 if it is other
 * content: then nothing is there.  What else fails is told.
 */
int importer_place_content(struct cw_importer *w, const struct cw_member *m,
    const char *path, const struct cw_entry *e, struct cw_error *err);

/* One more file is in its place. */
void importer_count(struct cw_importer *w);

/* Reads the volume under way, of `sealed` bytes; take gets the importer. */
int importer_read_members(struct cw_importer *w, uint64_t sealed,
    members_take_fn *take, struct cw_error *err);

/* import_volume_links.c */

/* A hard link to a member of this volume: the catalog must agree. */
int importer_take_link(
    struct cw_importer *w, const struct cw_member *m, struct cw_error *err);
/* Reads the volume once more for the links that lost their file. */
int importer_adopt_orphans(
    struct cw_importer *w, uint64_t sealed, struct cw_error *err);
void importer_forget_orphans(struct cw_importer *w);

#endif
