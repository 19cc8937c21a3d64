/*
 * Rows of a plan or of a directory's list, from catalog entries and back.  A
 * batch gathers rows with the directories and owners that they name until a
 * frame is full; every frame stands by itself.
 */
#ifndef CW_SYNC_ROWS_H
#define CW_SYNC_ROWS_H

#include "base/error.h"
#include "formats/wire/wire.h"
#include "store/changes.h"
#include "store/entry.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cw_rows;

struct cw_rows *cw_rows_new(void);
void cw_rows_free(struct cw_rows *b); /* NULL is allowed */
void cw_rows_reset(struct cw_rows *b);

size_t cw_rows_count(const struct cw_rows *b);
/* What they say, more or less: before compression. */
size_t cw_rows_bytes(const struct cw_rows *b);
/* True when a frame should be sent before more is added. */
bool cw_rows_is_full(const struct cw_rows *b);

/*
 * Whether a row in this directory may share a frame (that is, a compression
 * context) with those that are in it: the same account, which is what comes
 * behind the root's name in a path.
 */
bool cw_rows_takes(const struct cw_rows *b, const char *dir_path, size_t len);

/* How much of an entry a row says. */
struct cw_row_content {
	const uint8_t *brief; /* of its MAC, CW_WIRE_BRIEF_SIZE; or NULL */
	const void *content;  /* that travels with it; or NULL */
	size_t content_len;
};

/*
 * Adds the row of a change.  All is copied.  content may be NULL.  The
 * directory is left out with with_dir false (a DIR_LIST).
 */
void cw_rows_add(struct cw_rows *b, const struct cw_change *ch, bool with_dir,
    const struct cw_row_content *content);

/* Points the message at the batch, which must stay until it is encoded. */
void cw_rows_plan(const struct cw_rows *b, Cw__Plan *plan);
void cw_rows_list(const struct cw_rows *b, Cw__DirList *list);

/*
 * The other way: what a frame's row says.  The tables are the frame's.  dir is
 * that of a DIR_LIST, NULL for rows of a PLAN, which name their own.  Pointers
 * in *out are the message's.  A brief row leaves out all but name, kind and
 * generation, and *is_brief says so.  CW_ERR_FORMAT for an index that was not
 * given, or a row that contradicts itself.
 */
struct cw_row_tables {
	Cw__Dir *const *dirs;
	size_t dir_count;
	Cw__Owner *const *owners;
	size_t owner_count;
	const ProtobufCBinaryData *dir;
};

int cw_row_change(const Cw__Row *row, const struct cw_row_tables *tables,
    struct cw_change *out, bool *is_brief, struct cw_error *err);

#endif
