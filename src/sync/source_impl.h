/*
 * The inside of a source, shared by source.c (the conversation), source_plan.c
 * (rows), source_data.c (contents) and source_dirs.c (comparison).
 */
#ifndef CW_SYNC_SOURCE_IMPL_H
#define CW_SYNC_SOURCE_IMPL_H

#include "base/buf.h"
#include "base/crypto.h"
#include "store/changes.h"
#include "sync/pace.h"
#include "sync/rows.h"
#include "sync/source.h"

#include <sys/stat.h>

/* A replica may have this many wants open; ours keeps well below. */
#define ITEMS_MAX 16384u
/* Bytes of directories that wait to be listed. */
#define PATHS_MAX (32u << 20)

struct item {
	uint32_t id;
	uint8_t digest[CW_DIGEST_SIZE];
	uint64_t size, offset;
	uint8_t prefix[CW_SHA256_SIZE];
	bool chunks;
	uint64_t ranges; /* how many follow in the list of ranges */
};

struct range {
	uint64_t offset, length;
};

/* The content that is being sent. */
struct sending {
	int fd; /* -1: none */
	struct item item;
	uint64_t at;	    /* next byte to read */
	uint64_t send_from; /* bytes before it are only hashed */
	/* NULL: ranges, checked by who wants them; or known is enough. */
	struct cw_sha256 *sha;
	struct stat known; /* when it was begun */
	struct range *ranges;
	size_t range_count, range_at;
};

struct cw_sync_source {
	struct cw_sync_source_options o;
	struct cw_catalog *catalog;
	struct cw_wire_writer *writer;
	struct cw_rows *rows;
	struct cw_pace pace;
	struct cw_sync_source_state state;

	/* The plan. */
	uint32_t serial;
	uint64_t since;
	struct cw_position at;
	bool is_first;
	bool is_done;	/* PLAN_END for the last generation is out */
	bool has_ended; /* one for end_generation was ever sent */
	uint64_t end_generation;
	uint64_t settled; /* see cw_sync_source_wake */
	bool is_waiting;  /* for contents to be read */
	int64_t waiting_ms;
	int64_t dir, sibling; /* of dir, "cur", its "new"; 0: none */

	/* The comparison. */
	bool is_comparing; /* until the next START: no plan meanwhile */
	bool in_dirs;
	int64_t dirs_after;
	uint64_t dirs_generation;
	struct cw_buf paths; /* directories to list: le32 length, bytes */
	size_t paths_at;

	/* Contents. */
	struct item *items;
	size_t item_first, item_count;
	struct range *ranges; /* of the items, in their order */
	size_t range_count;
	struct sending sending;
	uint8_t *buf;
};

#define SOURCE_BUF (256u << 10)
/*
 * Of content in one frame: when the line breaks within it, it is lost.  That
 * is nothing to a line that is faster than compression.
 */
#define PIECE_SIZE	(64u << 10)
#define FAST_PIECE_SIZE CW_WIRE_PAYLOAD_MAX /* fits into SOURCE_BUF */

/*
 * Opens the file of an entry in the directory at dir_path if it still is what
 * the catalog says: 0, 1 if it is not, -1.
 */
int source_open(struct cw_sync_source *s, const char *dir_path, size_t len,
    const struct cw_entry *e, int *fd, struct cw_error *err);

/* Each: 1 did something, 0 has nothing to do. */
int source_plan(struct cw_sync_source *s, struct cw_error *err);
int source_data(struct cw_sync_source *s, struct cw_error *err);
int source_dirs(struct cw_sync_source *s, struct cw_error *err);

int source_want(
    struct cw_sync_source *s, const Cw__Want *want, struct cw_error *err);
void source_forget_wants(struct cw_sync_source *s);
int source_row_want(
    struct cw_sync_source *s, const Cw__RowWant *want, struct cw_error *err);
int source_dir_want(
    struct cw_sync_source *s, const Cw__DirWant *want, struct cw_error *err);

/* Encodes and sends; level as in cw_wire_encode. */
int source_send(struct cw_sync_source *s, enum cw_frame_type type,
    const ProtobufCMessage *m, int level, struct cw_error *err);
/* Adds a put in full, with its content where it is small and new. */
int source_add_row(struct cw_sync_source *s, const struct cw_change *ch,
    bool with_dir, struct cw_error *err);

#endif
