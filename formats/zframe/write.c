#include "formats/zframe/zframe.h"

#include "base/buf.h"
#include "base/bytes.h"
#include "formats/zframe/job.h"
#include "formats/zframe/layout.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

/* What LONG and FAR frames look for, see SPEC.md, Choices. */
#define STREAM_LEVEL 1
#define LONG_WINDOW  23
#define LONG_HASH    16
#define FAR_WINDOW   25
#define FAR_HASH     15
#define FAR_LDM	     9
#define STREAM_PIECE (1u << 20)

/* How a SHORT frame of no asked-for level is made, see SPEC.md, Choices. */
#define SHORT_LEVEL	2
#define SHORT_WINDOW	22
#define SHORT_HASH	15
#define SHORT_MIN_MATCH 6

/* Frame header, end, and ZSTD_COMPRESSBOUND's allowance, rounded up. */
#define FRAME_WORST 128u
/* What such a frame may have taken in and not yet given out: two blocks. */
#define STREAM_UNSEEN (2u * ((128u << 10) + FRAME_WORST))

#define PAD_PIECE (256u << 10)

struct cw_zframe_writer {
	ZSTD_CCtx *short_ctx;
	ZSTD_CCtx *long_ctx; /* of LONG and FAR; NULL until needed */
	struct zframe_job *job;
	cw_zframe_sink_fn *sink;
	void *arg;

	bool is_open;
	enum cw_zframe_kind kind;
	uint64_t content;  /* of the open frame */
	uint64_t packed;   /* of the open frame, unless it is SHORT */
	uint8_t *in;	   /* CW_ZFRAME_SHORT_MAX: of its content, ... */
	size_t fill;	   /* ... what no job has got yet */
	uint8_t *other;	   /* the same, of the job; NULL until needed */
	struct cw_buf out; /* what the sink has not got */
	uint64_t written;

	struct cw_zframe_entry *entries;
	size_t count;
	size_t cap;

	bool is_held;
	bool is_over; /* more than hold_limit: out is no longer kept */
	uint64_t hold_limit;
	uint64_t hold_written;
	size_t hold_count;
};

static void
set(ZSTD_CCtx *ctx, ZSTD_cParameter parameter, int value)
{
	size_t r = ZSTD_CCtx_setParameter(ctx, parameter, value);

	/* Our own constants, and a level that new() has bounded. */
	assert(!ZSTD_isError(r));
	(void)r;
}

static ZSTD_CCtx *
context(int level)
{
	ZSTD_CCtx *ctx = ZSTD_createCCtx();

	if (ctx == NULL)
		abort();
	set(ctx, ZSTD_c_compressionLevel, level);
	set(ctx, ZSTD_c_checksumFlag, 0);
	return ctx;
}

struct cw_zframe_writer *
cw_zframe_writer_new(int level)
{
	struct cw_zframe_writer *w = cw_calloc(1, sizeof(*w));

	if (level > 19)
		level = 19;
	if (level < 0)
		level = 1;
	w->short_ctx = context(level == 0 ? SHORT_LEVEL : level);
	if (level == 0) {
		set(w->short_ctx, ZSTD_c_windowLog, SHORT_WINDOW);
		set(w->short_ctx, ZSTD_c_hashLog, SHORT_HASH);
		set(w->short_ctx, ZSTD_c_minMatch, SHORT_MIN_MATCH);
	}
	w->job = zframe_job_new(CW_ZFRAME_SHORT_MAX);
	w->in = cw_malloc(CW_ZFRAME_SHORT_MAX);
	return w;
}

void
cw_zframe_writer_free(struct cw_zframe_writer *w)
{
	if (w == NULL)
		return;
	zframe_job_free(w->job);
	ZSTD_freeCCtx(w->short_ctx);
	ZSTD_freeCCtx(w->long_ctx);
	free(w->in);
	free(w->other);
	free(w->entries);
	cw_buf_free(&w->out);
	free(w);
}

void
cw_zframe_start(struct cw_zframe_writer *w, cw_zframe_sink_fn *sink, void *arg)
{
	zframe_job_drop(w->job);
	w->sink = sink;
	w->arg = arg;
	w->is_open = false;
	w->content = 0;
	w->fill = 0;
	w->packed = 0;
	w->written = 0;
	w->count = 0;
	w->is_held = false;
	w->is_over = false;
	cw_buf_reset(&w->out);
}

bool
cw_zframe_is_open(const struct cw_zframe_writer *w)
{
	return w->is_open;
}

uint64_t
cw_zframe_written(const struct cw_zframe_writer *w)
{
	return w->written;
}

uint64_t
cw_zframe_held(const struct cw_zframe_writer *w)
{
	return w->is_held ? w->written - w->hold_written : 0;
}

/* len bytes behind w->out are output now: counts, and passes or keeps them. */
static int
give(struct cw_zframe_writer *w, size_t len, size_t threshold,
    struct cw_error *err)
{
	w->out.len += len;
	w->written += len;
	if (w->is_held) {
		if (cw_zframe_held(w) > w->hold_limit)
			w->is_over = true;
		if (w->is_over)
			cw_buf_reset(&w->out);
		return 0;
	}
	if (w->out.len < threshold || w->out.len == 0)
		return 0;
	if (w->sink(w->arg, w->out.data, w->out.len, err) < 0)
		return -1;
	cw_buf_reset(&w->out);
	return 0;
}

static int
record(struct cw_zframe_writer *w, uint64_t packed, uint64_t size,
    struct cw_error *err)
{
	/* The padding, of no content, comes on top. */
	if (w->count == CW_ZFRAME_FRAMES_MAX && size > 0)
		return cw_error_set(err, CW_ERR_FAILED,
		    "more than %u zstd frames in one volume",
		    CW_ZFRAME_FRAMES_MAX);
	if (w->count == w->cap) {
		w->cap = w->cap == 0 ? 256 : 2 * w->cap;
		w->entries =
		    cw_reallocarray(w->entries, w->cap, sizeof(*w->entries));
	}
	w->entries[w->count].packed = (uint32_t)packed;
	w->entries[w->count].size = (uint32_t)size;
	w->count++;
	return 0;
}

static int
failed(size_t result, struct cw_error *err)
{
	return cw_error_set(
	    err, CW_ERR_FAILED, "zstd: %s", ZSTD_getErrorName(result));
}

static int
begin_streaming(struct cw_zframe_writer *w, bool is_far, struct cw_error *err)
{
	size_t r;

	if (w->long_ctx == NULL)
		w->long_ctx = context(STREAM_LEVEL);
	r = ZSTD_CCtx_reset(w->long_ctx, ZSTD_reset_session_only);
	if (ZSTD_isError(r))
		return failed(r, err);
	set(w->long_ctx, ZSTD_c_windowLog, is_far ? FAR_WINDOW : LONG_WINDOW);
	set(w->long_ctx, ZSTD_c_hashLog, is_far ? FAR_HASH : LONG_HASH);
	set(w->long_ctx, ZSTD_c_enableLongDistanceMatching, is_far);
	set(w->long_ctx, ZSTD_c_ldmHashRateLog, is_far ? FAR_LDM : 0);
	return 0;
}

int
cw_zframe_begin(
    struct cw_zframe_writer *w, enum cw_zframe_kind kind, struct cw_error *err)
{
	assert(!w->is_open);
	if (kind != CW_ZFRAME_SHORT &&
	    begin_streaming(w, kind == CW_ZFRAME_FAR, err) < 0)
		return -1;
	w->is_open = true;
	w->kind = kind;
	w->content = 0;
	w->fill = 0;
	w->packed = 0;
	return 0;
}

/* A piece of the open frame, or else a whole SHORT one, is output now. */
static int
give_piece(struct cw_zframe_writer *w, const struct zframe_piece *piece,
    struct cw_error *err)
{
	if (w->is_open && w->kind != CW_ZFRAME_SHORT)
		w->packed += piece->packed;
	else if (record(w, piece->packed, piece->size, err) < 0)
		return -1;
	if (!w->is_held && w->out.len == 0) {
		w->written += piece->packed;
		return w->sink(w->arg, piece->data, piece->packed, err);
	}
	memcpy(
	    cw_buf_reserve(&w->out, piece->packed), piece->data, piece->packed);
	return give(w, piece->packed, 0, err);
}

/* Waits for what is being compressed, if anything is, and gives it. */
static int
collect(struct cw_zframe_writer *w, struct cw_error *err)
{
	struct zframe_piece piece;
	int ret = zframe_job_collect(w->job, &piece, err);

	return ret <= 0 ? ret : give_piece(w, &piece, err);
}

/*
 * What was filled becomes the job: a whole SHORT frame, or a piece of another
 * one.  In the background: the other memory fills meanwhile.  The piece before
 * is given when this one is under way.
 */
static int
hand_over(struct cw_zframe_writer *w, enum zframe_part part, bool in_background,
    struct cw_error *err)
{
	ZSTD_CCtx *ctx = part == ZFRAME_WHOLE ? w->short_ctx : w->long_ctx;
	uint8_t *full = w->in;
	struct zframe_piece before;
	int ret;

	ret = zframe_job_collect(w->job, &before, err);
	if (ret < 0)
		return -1;
	if (in_background) {
		w->in = w->other != NULL ? w->other
					 : cw_malloc(CW_ZFRAME_SHORT_MAX);
		w->other = full;
	}
	zframe_job_begin(w->job, ctx, full, w->fill, part, in_background);
	w->fill = 0;
	if (ret > 0 && give_piece(w, &before, err) < 0)
		return -1;
	return in_background ? 0 : collect(w, err);
}

static int
end(struct cw_zframe_writer *w, bool in_background, struct cw_error *err)
{
	if (w->kind == CW_ZFRAME_SHORT || w->content == 0) {
		w->is_open = false;
		if (w->content == 0)
			return collect(w, err);
		return hand_over(w, ZFRAME_WHOLE, in_background, err);
	}
	if (hand_over(w, ZFRAME_END, false, err) < 0)
		return -1;
	w->is_open = false;
	return record(w, w->packed, w->content, err);
}

int
cw_zframe_end(struct cw_zframe_writer *w, struct cw_error *err)
{
	return w->is_open ? end(w, false, err) : 0;
}

static uint64_t
frame_max(const struct cw_zframe_writer *w)
{
	return w->kind == CW_ZFRAME_SHORT ? CW_ZFRAME_SHORT_MAX
					  : CW_ZFRAME_LONG_MAX;
}

/* Content that goes to a job at once. */
static size_t
piece_max(const struct cw_zframe_writer *w)
{
	return w->kind == CW_ZFRAME_SHORT ? CW_ZFRAME_SHORT_MAX : STREAM_PIECE;
}

int
cw_zframe_write(struct cw_zframe_writer *w, const void *data, size_t len,
    struct cw_error *err)
{
	const uint8_t *from = data;

	assert(w->is_open);
	while (len > 0) {
		size_t n = piece_max(w) - w->fill;
		int ret = 0;

		if (n > len)
			n = len;
		if (from != w->in + w->fill)
			memcpy(w->in + w->fill, from, n);
		w->fill += n;
		w->content += n;
		from += n;
		len -= n;
		if (w->content == frame_max(w)) {
			ret = end(w, true, err);
			if (ret == 0)
				ret = cw_zframe_begin(w, w->kind, err);
		} else if (w->fill == piece_max(w)) {
			ret = hand_over(w, ZFRAME_PIECE, true, err);
		}
		if (ret < 0)
			return -1;
	}
	return 0;
}

uint8_t *
cw_zframe_space(struct cw_zframe_writer *w, size_t *len)
{
	assert(w->is_open);
	*len = piece_max(w) - w->fill;
	return w->in + w->fill;
}

int
cw_zframe_hold(struct cw_zframe_writer *w, uint64_t limit, struct cw_error *err)
{
	assert(!w->is_open && !w->is_held);
	if (give(w, 0, 0, err) < 0)
		return -1;
	w->is_held = true;
	w->is_over = false;
	w->hold_limit = limit;
	w->hold_written = w->written;
	w->hold_count = w->count;
	return 0;
}

int
cw_zframe_commit(struct cw_zframe_writer *w, struct cw_error *err)
{
	assert(!w->is_open && w->is_held);
	if (w->is_over)
		return 1;
	w->is_held = false;
	return give(w, 0, 0, err);
}

void
cw_zframe_drop(struct cw_zframe_writer *w)
{
	assert(w->is_held);
	zframe_job_drop(w->job);
	w->is_open = false;
	w->is_held = false;
	w->is_over = false;
	w->written = w->hold_written;
	w->count = w->hold_count;
	cw_buf_reset(&w->out);
}

static uint64_t
tail_size(uint64_t frames)
{
	return CW_ZFRAME_PAD_MIN + CW_ZFRAME_TABLE_SIZE(frames);
}

uint64_t
cw_zframe_worst(const struct cw_zframe_writer *w, uint64_t more)
{
	uint64_t content = more, frames;

	content += zframe_job_size(w->job);
	if (w->is_open)
		content += w->fill;
	if (w->is_open && w->kind != CW_ZFRAME_SHORT)
		content +=
		    w->content < STREAM_UNSEEN ? w->content : STREAM_UNSEEN;
	/* The others have at least as much content as SHORT ones. */
	frames = content / CW_ZFRAME_SHORT_MAX + 2;
	return w->written + content + (content >> 8) + frames * FRAME_WORST +
	       tail_size(w->count + frames);
}

uint64_t
cw_zframe_least(const struct cw_zframe_writer *w)
{
	assert(!w->is_open);
	return w->written + tail_size(w->count);
}

static int
pad(struct cw_zframe_writer *w, uint64_t len, struct cw_error *err)
{
	uint8_t *to = cw_buf_reserve(&w->out, 8);

	cw_put_le32(to, PAD_MAGIC);
	cw_put_le32(to + 4, (uint32_t)(len - 8));
	if (give(w, 8, 0, err) < 0)
		return -1;
	for (uint64_t left = len - 8; left > 0;) {
		size_t n = left < PAD_PIECE ? (size_t)left : PAD_PIECE;

		memset(cw_buf_reserve(&w->out, n), 0, n);
		if (give(w, n, 0, err) < 0)
			return -1;
		left -= n;
	}
	return record(w, len, 0, err);
}

int
cw_zframe_finish(
    struct cw_zframe_writer *w, uint64_t total, struct cw_error *err)
{
	size_t table_len = (size_t)CW_ZFRAME_TABLE_SIZE(w->count);
	uint8_t *to;

	assert(!w->is_held);
	if (total < cw_zframe_least(w) ||
	    total - w->written - table_len > UINT32_MAX)
		return cw_error_set(err, CW_ERR_FAILED,
		    "zstd frames of %llu bytes cannot be made %llu long",
		    (unsigned long long)w->written, (unsigned long long)total);
	if (pad(w, total - w->written - table_len, err) < 0)
		return -1;
	to = cw_buf_reserve(&w->out, table_len);
	cw_put_le32(to, TABLE_MAGIC);
	cw_put_le32(to + 4, (uint32_t)(table_len - 8));
	to += 8;
	for (size_t i = 0; i < w->count; i++, to += 8) {
		cw_put_le32(to, w->entries[i].packed);
		cw_put_le32(to + 4, w->entries[i].size);
	}
	cw_put_le32(to, (uint32_t)w->count);
	to[4] = 0;
	cw_put_le32(to + 5, SEEKABLE_MAGIC);
	return give(w, table_len, 0, err);
}
