/*
 * The inside of a builder, shared by the builder*.c.
 */
#ifndef CW_SEED_BUILDER_IMPL_H
#define CW_SEED_BUILDER_IMPL_H

#include "base/buf.h"
#include "base/crypto.h"
#include "formats/volume/volume.h"
#include "seed/builder.h"

/* Entries that are told to the catalog in one transaction. */
#define BUILDER_MARKS_MAX 24576u

enum builder_outcome {
	BUILDER_DONE = 0,
	BUILDER_DOES_NOT_FIT = 1,
};

/* One member, to be told to the catalog. */
struct builder_mark {
	struct cw_entry entry; /* as it was found; names lie in marks_text */
	uint32_t part, parts;  /* 0: a whole file, or all parts are told */
	bool has_changed;      /* the row says otherwise: replace it */
	bool is_void;	       /* it moved while it was read */
	bool is_late;	       /* an index, maybe newer than its messages */
	bool is_unreadable;    /* void, and nobody should wait for better */
	bool is_fresh;	       /* parts of an earlier try are void */
	bool is_cut;	       /* its parts are told already */
};

/* What is told in one transaction. */
struct builder_marks {
	struct builder_mark *items; /* BUILDER_MARKS_MAX */
	size_t count;
	struct cw_buf *text; /* one buffer a mark would be dear: chunks */
	size_t text_count;
};

struct builder_link {
	int64_t group;
	uint64_t ino, size;
	int64_t mtime_ns;
	uint8_t digest[CW_DIGEST_SIZE];
	char *path; /* the member */
};

struct builder_opened {
	int fd;
	const struct stat *st;
};

struct cw_builder {
	struct cw_build *build;
	unsigned index;
	struct cw_source *source;
	struct cw_volume_writer *writer;
	struct cw_sha256 *sha;
	struct cw_run run;
	struct cw_buf name;

	/* The open volume. */
	uint32_t number; /* 0: none */
	struct cw_durable *file;
	struct cw_target_place place; /* to be kept or given back */
	bool is_parked;
	bool must_wait; /* no volume has a place before others are full */
	bool sink_failed;
	bool is_framed; /* frames of the kind below have begun */
	enum cw_zframe_kind frame;
	struct builder_link *links; /* hashed by group, open addressing */
	size_t link_count;

	struct builder_marks marks;

	/* The marks before, which a thread of their own tells. */
	struct builder_marks before;
	pthread_t teller;
	bool is_telling; /* to be joined */
	int told;
	struct cw_error tell_err;

	uint64_t raw_reported, written_reported;
	uint64_t raw;
};

/* builder_marks.c */

/* Adds a mark; found is copied.  There must be room for it. */
struct builder_mark *builder_mark(
    struct cw_builder *b, const struct cw_entry *found, bool has_changed);
/* Makes room: what there is is told while the builder goes on. */
int builder_hand_marks(struct cw_builder *b, struct cw_error *err);
/* All of them; when it is back, the catalog has them. */
int builder_tell_marks(struct cw_builder *b, struct cw_error *err);
/* Those that no thread has begun to tell; it waits for the others. */
void builder_forget_marks(struct cw_builder *b);
void builder_free_marks(struct cw_builder *b);

/* builder_links.c */

void builder_remember_link(
    struct cw_builder *b, const struct cw_entry *e, const char *path);
/* The same file, if this volume holds it under another name, or NULL. */
const struct builder_link *builder_find_link(
    struct cw_builder *b, const struct cw_entry *e);
void builder_forget_links(struct cw_builder *b);

/* builder_volume.c */

/* Tells the queue how the builder stands. */
void builder_report(struct cw_builder *b);
int builder_open_volume(struct cw_builder *b, struct cw_error *err);
/* Nobody fills the open volume for now; or somebody does again. */
void builder_park(struct cw_builder *b, bool is_parked);
/* Gives up the open volume; why is NULL unless its medium failed. */
int builder_fail_volume(
    struct cw_builder *b, const struct cw_error *why, struct cw_error *err);

/* builder_member.c */

/*
 * Writes one member; fd is -1 for what has no content.  The digest goes on in
 * b->sha, which the caller finishes.  Where the file ends too early, or can't
 * be read (*why then says so), *is_short is set: the member is void.
 */
int builder_put_member(struct cw_builder *b, const struct cw_member *m,
    enum cw_zframe_kind kind, int fd, uint64_t offset, bool *is_short,
    struct cw_error *why, struct cw_error *err);

/* builder_entry.c */

/* A file that can't be read costs itself only; the operator hears of it. */
void builder_note_unreadable(struct cw_builder *b, const struct cw_error *why);
/*
 * Packs one entry: an enum builder_outcome, or -1.  opened is NULL, or its
 * file, which has another name by now.
 */
int builder_pack_entry(struct cw_builder *b, const struct cw_entry *row,
    enum cw_zframe_kind kind, const struct builder_opened *opened,
    struct cw_error *err);

#endif
