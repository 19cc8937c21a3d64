#include "formats/wire/check.h"

#include "base/bytes.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

/*
 * What a message's decoded form may take, which can be far more than its
 * bytes: an empty row is two bytes on the line and a struct of 250 here.
 */
#define ARENA_MAX  (40u << 20) /* of frames with rows */
#define ARENA_LESS (16u << 20) /* of all others */
#define ARENA_KEEP (2u << 20)  /* what may stay in memory between frames */

struct cw_wire_reader {
	ZSTD_DCtx *zstd;
	struct cw_buf plain;   /* a decompressed message */
	struct cw_buf content; /* a decompressed content */
	/*
	 * Memory for one message.  It is address space first: pages come as
	 * they are used.
	 */
	uint8_t *arena;
	size_t used, limit;
	bool is_full;
	ProtobufCAllocator allocator;
};

static void *
take(void *arg, size_t size)
{
	struct cw_wire_reader *r = arg;
	size_t whole = (size + 15) & ~(size_t)15;
	void *p;

	if (whole < size || whole > r->limit - r->used) {
		r->is_full = true;
		return NULL;
	}
	p = r->arena + r->used;
	r->used += whole;
	return p;
}

/* All at once, before the next message. */
static void
give_back(void *arg, void *p)
{
	(void)arg;
	(void)p;
}

struct cw_wire_reader *
cw_wire_reader_new(void)
{
	struct cw_wire_reader *r = cw_calloc(1, sizeof(*r));

	r->zstd = ZSTD_createDCtx();
	if (r->zstd == NULL)
		abort();
	r->allocator.alloc = take;
	r->allocator.free = give_back;
	r->allocator.allocator_data = r;
	return r;
}

void
cw_wire_reader_free(struct cw_wire_reader *r)
{
	if (r == NULL)
		return;
	ZSTD_freeDCtx(r->zstd);
	cw_buf_free(&r->plain);
	cw_buf_free(&r->content);
	free(r->arena);
	free(r);
}

static void
reset_arena(struct cw_wire_reader *r, uint8_t type)
{
	if (r->used > ARENA_KEEP) {
		free(r->arena);
		r->arena = NULL;
	}
	if (r->arena == NULL)
		r->arena = cw_malloc(ARENA_MAX);
	r->used = 0;
	r->is_full = false;
	r->limit = cw_wire_plain_max(type) == CW_FRAME_ROWS_MAX ? ARENA_MAX
								: ARENA_LESS;
}

/* Exactly one frame that tells its size, at most max. */
static int
unzip(struct cw_wire_reader *r, const void *data, size_t len, size_t max,
    struct cw_buf *out, struct cw_error *err)
{
	unsigned long long size;
	size_t got;

	/* The magic number too, since zstd takes skippable frames as empty. */
	if (len < 4 || cw_get_le32(data) != ZSTD_MAGICNUMBER ||
	    ZSTD_findFrameCompressedSize(data, len) != len)
		return cw_error_set(
		    err, CW_ERR_FORMAT, "what should be one zstd frame is not");
	size = ZSTD_getFrameContentSize(data, len);
	if (size == ZSTD_CONTENTSIZE_UNKNOWN || size == ZSTD_CONTENTSIZE_ERROR)
		return cw_error_set(err, CW_ERR_FORMAT,
		    "a zstd frame that does not tell its content's size");
	if (size > max)
		return cw_error_set(err, CW_ERR_FORMAT,
		    "a zstd frame of %llu bytes, more than %zu", size, max);
	cw_buf_reset(out);
	got = ZSTD_decompressDCtx(r->zstd,
	    cw_buf_reserve(out, (size_t)size + 1), (size_t)size + 1, data, len);
	if (ZSTD_isError(got) || got != size)
		return cw_error_set(err, CW_ERR_FORMAT, "a bad zstd frame: %s",
		    ZSTD_getErrorName(got));
	out->len = got;
	return 0;
}

/* A row says its generation only where it is another one. */
static void
fill_generations(Cw__Row *const *rows, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		if (rows[i]->generation == 0)
			rows[i]->generation = rows[i - 1]->generation;
	}
}

static int
unpack(struct cw_wire_reader *r, const struct cw_frame *frame,
    struct cw_wire_msg *out, struct cw_error *err)
{
	const uint8_t *data = frame->body;
	struct cw_wire_msg msg = {.type = frame->type};
	size_t len = frame->len;

	if (len > CW_FRAME_MAX)
		return cw_error_set(
		    err, CW_ERR_FORMAT, "%zu bytes are too many", len);
	if ((frame->flags & CW_FRAME_ZSTD) != 0) {
		if (unzip(r, data, len, cw_wire_plain_max(frame->type),
			&r->plain, err) < 0)
			return -1;
		data = r->plain.data;
		len = r->plain.len;
	}
	reset_arena(r, frame->type);
	msg.base = protobuf_c_message_unpack(
	    cw_wire_descriptor(frame->type), &r->allocator, len, data);
	if (msg.base == NULL)
		return cw_error_set(err, CW_ERR_FORMAT,
		    r->is_full ? "%zu bytes that would take too much memory"
			       : "%zu bytes that are no message",
		    len);
	if (cw_wire_check(&msg, err) < 0)
		return -1;
	if (msg.type == CW_FRAME_PLAN)
		fill_generations(msg.plan->rows, msg.plan->n_rows);
	if (msg.type == CW_FRAME_DIR_LIST)
		fill_generations(msg.dir_list->rows, msg.dir_list->n_rows);
	*out = msg;
	return 0;
}

int
cw_wire_decode(struct cw_wire_reader *r, const struct cw_frame *frame,
    struct cw_wire_msg *out, struct cw_error *err)
{
	if (cw_wire_descriptor(frame->type) == NULL) {
		if (frame->type >= CW_FRAME_OPTIONAL)
			return 1;
		return cw_error_set(err, CW_ERR_UNSUPPORTED,
		    "the peer sent a frame of type %u, which we do not know",
		    frame->type);
	}
	if (unpack(r, frame, out, err) < 0)
		return cw_error_context(
		    err, "%s from the peer", cw_frame_name(frame->type));
	return 0;
}

int
cw_wire_content(struct cw_wire_reader *r, Cw__Coding coding,
    const ProtobufCBinaryData *bytes, size_t max, const uint8_t **out,
    size_t *len, struct cw_error *err)
{
	if (coding == CW__CODING__ZSTD) {
		if (unzip(r, bytes->data, bytes->len, max, &r->content, err) <
		    0)
			return -1;
		*out = r->content.data;
		*len = r->content.len;
		return 0;
	}
	if (bytes->len > max)
		return cw_error_set(err, CW_ERR_FORMAT,
		    "a content of %zu bytes, more than %zu", bytes->len, max);
	*out = bytes->data;
	*len = bytes->len;
	return 0;
}
