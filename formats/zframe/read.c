#include "formats/zframe/zframe.h"

#include "base/buf.h"
#include "base/bytes.h"
#include "formats/zframe/layout.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

/* Holds the worst SHORT frame, and what the source may give beyond it. */
#define IN_CAP (CW_ZFRAME_SHORT_MAX + (512u << 10))
/* Small enough for the caller to find it in the cache of the last level. */
#define STREAM_STEP (1u << 20)

enum state {
	BETWEEN, /* the next byte begins a frame */
	WITHIN,	 /* a frame that is decompressed piece by piece */
	ENDED,
	FAILED,
};

struct cw_zframe_reader {
	ZSTD_DCtx *ctx;
	cw_zframe_source_fn *source;
	void *arg;
	uint64_t max_size;
	enum state state;

	uint8_t *in; /* IN_CAP; in_pos to in_len are not used up */
	size_t in_pos;
	size_t in_len;
	bool is_eof;
	uint64_t offset; /* of in[0] in the stream, for messages */

	uint8_t *own;  /* CW_ZFRAME_SHORT_MAX */
	uint8_t *out;  /* where content goes: own, or the caller's */
	uint64_t size; /* of all content so far */

	uint64_t packed; /* of the frame WITHIN */
	uint64_t content;

	const uint8_t *left; /* for cw_zframe_read: decoded, not yet passed */
	size_t left_len;

	struct cw_zframe_entry *entries;
	size_t count;
	size_t cap;
};

struct cw_zframe_reader *
cw_zframe_reader_new(void)
{
	struct cw_zframe_reader *r = cw_calloc(1, sizeof(*r));

	r->ctx = ZSTD_createDCtx();
	if (r->ctx == NULL ||
	    ZSTD_isError(ZSTD_DCtx_setParameter(
		r->ctx, ZSTD_d_windowLogMax, (int)CW_ZFRAME_WINDOW_MAX)))
		abort();
	r->in = cw_malloc(IN_CAP);
	r->own = cw_malloc(CW_ZFRAME_SHORT_MAX);
	r->state = FAILED;
	return r;
}

void
cw_zframe_reader_free(struct cw_zframe_reader *r)
{
	if (r == NULL)
		return;
	ZSTD_freeDCtx(r->ctx);
	free(r->in);
	free(r->own);
	free(r->entries);
	free(r);
}

void
cw_zframe_reader_start(struct cw_zframe_reader *r, uint64_t max_size,
    cw_zframe_source_fn *source, void *arg)
{
	r->source = source;
	r->arg = arg;
	r->max_size = max_size;
	r->state = BETWEEN;
	r->in_pos = 0;
	r->in_len = 0;
	r->is_eof = false;
	r->offset = 0;
	r->size = 0;
	r->left_len = 0;
	r->count = 0;
}

static int
damaged(
    const struct cw_zframe_reader *r, const char *what, struct cw_error *err)
{
	return cw_error_set(err, CW_ERR_DAMAGED,
	    "zstd frames, byte %llu, frame %zu: %s",
	    (unsigned long long)(r->offset + r->in_pos), r->count, what);
}

/* Takes in more; *got 0 at the end of the input. */
static int
fetch(struct cw_zframe_reader *r, size_t *got, struct cw_error *err)
{
	*got = 0;
	if (r->is_eof)
		return 0;
	if (IN_CAP - r->in_len < CW_ZFRAME_SOURCE_MIN) {
		memmove(r->in, r->in + r->in_pos, r->in_len - r->in_pos);
		r->offset += r->in_pos;
		r->in_len -= r->in_pos;
		r->in_pos = 0;
	}
	if (r->source(r->arg, r->in + r->in_len, IN_CAP - r->in_len, got, err) <
	    0)
		return -1;
	r->in_len += *got;
	r->is_eof = *got == 0;
	return 0;
}

/* Makes len bytes stand at in_pos, or fails: the input ends before. */
static int
need(struct cw_zframe_reader *r, size_t len, struct cw_error *err)
{
	while (r->in_len - r->in_pos < len) {
		size_t got;

		if (fetch(r, &got, err) < 0)
			return -1;
		if (got == 0)
			return damaged(r, "the input ends too early", err);
	}
	return 0;
}

static int
record(struct cw_zframe_reader *r, uint64_t packed, uint64_t size,
    struct cw_error *err)
{
	if (r->count == CW_ZFRAME_FRAMES_MAX && size > 0)
		return damaged(r, "too many frames", err);
	if (packed > UINT32_MAX || size > CONTENT_MAX)
		return damaged(r, "a frame is too large", err);
	if (r->count == r->cap) {
		r->cap = r->cap == 0 ? 256 : 2 * r->cap;
		r->entries =
		    cw_reallocarray(r->entries, r->cap, sizeof(*r->entries));
	}
	r->entries[r->count].packed = (uint32_t)packed;
	r->entries[r->count].size = (uint32_t)size;
	r->count++;
	return 0;
}

static int
grow(struct cw_zframe_reader *r, uint64_t more, struct cw_error *err)
{
	if (more > r->max_size - r->size)
		return cw_error_set(err, CW_ERR_DAMAGED,
		    "zstd frames hold more than the %llu bytes stated",
		    (unsigned long long)r->max_size);
	r->size += more;
	return 0;
}

/*
 * Checks a frame header (RFC 8878, section 3.1.1.1) for what we do not allow:
 * a checksum, a dictionary, bits without a meaning, a window that stock zstd
 * would refuse.
 */
static int
parse_header(
    struct cw_zframe_reader *r, size_t *header_len, struct cw_error *err)
{
	static const uint8_t size_bytes[4] = {0, 2, 4, 8};
	unsigned descriptor, is_single;

	if (need(r, 6, err) < 0)
		return -1;
	descriptor = r->in[r->in_pos + 4];
	is_single = descriptor >> 5 & 1;
	if (descriptor & 0x1f)
		return damaged(r, "a frame has a checksum or dictionary", err);
	if (!is_single) {
		unsigned window = r->in[r->in_pos + 5];
		unsigned log = 10 + (window >> 3);

		if (log > CW_ZFRAME_WINDOW_MAX ||
		    (log == CW_ZFRAME_WINDOW_MAX && (window & 7) != 0))
			return damaged(r, "a window is too large", err);
	}
	*header_len = 6u - is_single + size_bytes[descriptor >> 6];
	if (is_single && descriptor >> 6 == 0)
		*header_len += 1;
	return need(r, *header_len, err);
}

/* The length of the frame at in_pos, which is then all there. */
static int
measure(struct cw_zframe_reader *r, size_t header_len, size_t limit,
    size_t *packed, struct cw_error *err)
{
	size_t pos = header_len;
	bool is_last = false;

	while (!is_last) {
		const uint8_t *p;
		uint32_t block;

		if (need(r, pos + 3, err) < 0)
			return -1;
		p = r->in + r->in_pos + pos;
		block =
		    (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16;
		is_last = block & 1;
		/* Type 1 repeats one byte; 3 is reserved, and zstd says so. */
		pos += 3 + ((block >> 1 & 3) == 1 ? 1 : block >> 3);
		if (pos > limit)
			return damaged(
			    r, "a frame is longer than its content", err);
	}
	*packed = pos;
	return need(r, pos, err);
}

static int
decode_whole(struct cw_zframe_reader *r, size_t header_len, size_t size,
    struct cw_error *err)
{
	size_t packed = 0, n;

	if (grow(r, size, err) < 0 ||
	    measure(r, header_len, ZSTD_compressBound(CW_ZFRAME_SHORT_MAX),
		&packed, err) < 0)
		return -1;
	n = ZSTD_decompressDCtx(
	    r->ctx, r->out, size, r->in + r->in_pos, packed);
	if (ZSTD_isError(n))
		return damaged(r, ZSTD_getErrorName(n), err);
	if (n != size)
		return damaged(r, "a frame is shorter than it says", err);
	if (record(r, packed, size, err) < 0)
		return -1;
	r->in_pos += packed;
	return 0;
}

/* *len is 0 where the frame has ended. */
static int
decode_piece(struct cw_zframe_reader *r, size_t *len, struct cw_error *err)
{
	ZSTD_outBuffer out = {r->out, STREAM_STEP, 0};

	while (out.pos == 0) {
		ZSTD_inBuffer in = {
		    r->in + r->in_pos, r->in_len - r->in_pos, 0};
		size_t n = ZSTD_decompressStream(r->ctx, &out, &in);

		if (ZSTD_isError(n))
			return damaged(r, ZSTD_getErrorName(n), err);
		r->in_pos += in.pos;
		r->packed += in.pos;
		if (n == 0) {
			r->state = BETWEEN;
			break;
		}
		/* No output, no input left: it waits for more. */
		if (out.pos == 0 && need(r, 1, err) < 0)
			return -1;
	}
	r->content += out.pos;
	*len = out.pos;
	if (grow(r, out.pos, err) < 0)
		return -1;
	if (r->content > CONTENT_MAX)
		return damaged(r, "a frame is too large", err);
	if (r->state == WITHIN)
		return 0;
	if (r->content == 0)
		return damaged(r, "an empty frame", err);
	return record(r, r->packed, r->content, err);
}

static int
data_frame(struct cw_zframe_reader *r, size_t *len, struct cw_error *err)
{
	unsigned long long size;
	size_t header_len = 0;

	if (parse_header(r, &header_len, err) < 0)
		return -1;
	size = ZSTD_getFrameContentSize(r->in + r->in_pos, header_len);
	if (size == ZSTD_CONTENTSIZE_ERROR)
		return damaged(r, "no zstd frame header", err);
	if (size == 0)
		return damaged(r, "an empty frame", err);
	if (size <= CW_ZFRAME_SHORT_MAX) {
		*len = (size_t)size;
		return decode_whole(r, header_len, (size_t)size, err);
	}
	ZSTD_DCtx_reset(r->ctx, ZSTD_reset_session_only);
	r->state = WITHIN;
	r->packed = 0;
	r->content = 0;
	return decode_piece(r, len, err);
}

static int
skip_padding(struct cw_zframe_reader *r, struct cw_error *err)
{
	uint64_t left;

	if (need(r, 8, err) < 0)
		return -1;
	left = cw_get_le32(r->in + r->in_pos + 4);
	if (record(r, left + 8, 0, err) < 0)
		return -1;
	r->in_pos += 8;
	while (left > 0) {
		size_t n;

		if (need(r, 1, err) < 0)
			return -1;
		n = r->in_len - r->in_pos;
		if (n > left)
			n = (size_t)left;
		/* All are as the first, and the first is zero. */
		if (r->in[r->in_pos] != 0 ||
		    memcmp(r->in + r->in_pos, r->in + r->in_pos + 1, n - 1) !=
			0)
			return damaged(r, "padding is not of zeros", err);
		r->in_pos += n;
		left -= n;
	}
	return 0;
}

static int
check_table(struct cw_zframe_reader *r, struct cw_error *err)
{
	const uint8_t *p;
	size_t got;

	if (need(r, 8, err) < 0)
		return -1;
	p = r->in + r->in_pos;
	if (cw_get_le32(p) != TABLE_MAGIC ||
	    cw_get_le32(p + 4) != 8 * r->count + 9)
		return damaged(r, "no seek table where one must be", err);
	r->in_pos += 8;
	for (size_t i = 0; i < r->count; i++) {
		if (need(r, 8, err) < 0)
			return -1;
		p = r->in + r->in_pos;
		if (cw_get_le32(p) != r->entries[i].packed ||
		    cw_get_le32(p + 4) != r->entries[i].size)
			return damaged(r, "the seek table is wrong", err);
		r->in_pos += 8;
	}
	if (need(r, 9, err) < 0)
		return -1;
	p = r->in + r->in_pos;
	if (cw_get_le32(p) != r->count || p[4] != 0 ||
	    cw_get_le32(p + 5) != SEEKABLE_MAGIC)
		return damaged(r, "the seek table has a wrong end", err);
	r->in_pos += 9;
	if (r->in_pos == r->in_len && fetch(r, &got, err) < 0)
		return -1;
	if (r->in_pos != r->in_len)
		return damaged(r, "bytes behind the seek table", err);
	r->state = ENDED;
	return 0;
}

static int
step(struct cw_zframe_reader *r, size_t *len, struct cw_error *err)
{
	if (r->state == WITHIN) {
		if (decode_piece(r, len, err) < 0)
			return -1;
		if (*len > 0)
			return 0;
	}
	if (need(r, 4, err) < 0)
		return -1;
	switch (cw_get_le32(r->in + r->in_pos)) {
	case DATA_MAGIC:
		return data_frame(r, len, err);
	case PAD_MAGIC:
		if (skip_padding(r, err) < 0)
			return -1;
		return check_table(r, err);
	case TABLE_MAGIC:
		return damaged(r, "a seek table without padding", err);
	default:
		return damaged(r, "no frame that we know", err);
	}
}

int
cw_zframe_next_into(
    struct cw_zframe_reader *r, uint8_t *out, size_t *len, struct cw_error *err)
{
	r->out = out;
	*len = 0;
	if (r->state == FAILED)
		return cw_error_set(err, CW_ERR_DAMAGED,
		    "zstd frames: read on after a failure");
	if (r->state == ENDED)
		return 0;
	if (step(r, len, err) < 0) {
		r->state = FAILED;
		*len = 0;
		return -1;
	}
	return 0;
}

int
cw_zframe_next(struct cw_zframe_reader *r, const uint8_t **data, size_t *len,
    struct cw_error *err)
{
	*data = r->own;
	return cw_zframe_next_into(r, r->own, len, err);
}

int
cw_zframe_read(struct cw_zframe_reader *r, void *buf, size_t len, size_t *got,
    struct cw_error *err)
{
	uint8_t *to = buf;

	*got = 0;
	while (*got < len) {
		size_t n = len - *got;

		if (r->left_len == 0) {
			if (cw_zframe_next(r, &r->left, &r->left_len, err) < 0)
				return -1;
			if (r->left_len == 0)
				return 0;
		}
		if (n > r->left_len)
			n = r->left_len;
		memcpy(to + *got, r->left, n);
		*got += n;
		r->left += n;
		r->left_len -= n;
	}
	return 0;
}
