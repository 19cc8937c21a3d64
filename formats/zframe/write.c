#include "formats/zframe/zframe.h"

#include "base/buf.h"
#include "base/bytes.h"
#include "formats/zframe/layout.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

/* What a LONG frame looks for, see SPEC.md, Choices. */
#define LONG_LEVEL  1
#define LONG_WINDOW 25
#define LONG_HASH   15
#define LONG_SPACE  (256u << 10)
#define LONG_FLUSH  (256u << 10)

/* How a SHORT frame of no asked-for level is made, see SPEC.md, Choices. */
#define SHORT_LEVEL	2
#define SHORT_WINDOW	22
#define SHORT_HASH	17
#define SHORT_MIN_MATCH 6

/* Frame header, end, and ZSTD_COMPRESSBOUND's allowance, rounded up. */
#define FRAME_WORST 128u
/* What a LONG frame may have taken in and not yet given out: two blocks. */
#define LONG_UNSEEN (2u * ((128u << 10) + FRAME_WORST))

/*
 * One SHORT frame at a time is compressed by a thread of its own while the
 * next one fills, so that one stream keeps two cores busy.
 */
struct job {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_t thread;
	bool has_thread;
	bool is_ending;
	bool is_waiting; /* there is something to compress, or being so */
	uint8_t *in;
	size_t size;  /* of in; 0: the writer has got the last result */
	uint8_t *out; /* bound bytes */
	size_t bound;
	size_t result; /* what zstd said */
};

struct cw_zframe_writer {
	ZSTD_CCtx *short_ctx; /* the job's while one waits */
	struct job job;
	ZSTD_CCtx *long_ctx; /* NULL until needed */
	cw_zframe_sink_fn *sink;
	void *arg;

	bool is_open;
	enum cw_zframe_kind kind;
	uint64_t content;  /* of the open frame */
	uint64_t packed;   /* of the open frame, LONG only */
	uint8_t *in;	   /* CW_ZFRAME_SHORT_MAX: content of a SHORT frame */
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

/* ---- the job ---- */

static void *
compress(void *arg)
{
	struct cw_zframe_writer *w = arg;
	struct job *j = &w->job;

	pthread_mutex_lock(&j->lock);
	for (;;) {
		size_t result;

		while (!j->is_waiting && !j->is_ending)
			pthread_cond_wait(&j->changed, &j->lock);
		if (j->is_ending)
			break;
		pthread_mutex_unlock(&j->lock);
		result = ZSTD_compress2(
		    w->short_ctx, j->out, j->bound, j->in, j->size);
		pthread_mutex_lock(&j->lock);
		j->result = result;
		j->is_waiting = false;
		pthread_cond_broadcast(&j->changed);
	}
	pthread_mutex_unlock(&j->lock);
	return NULL;
}

/*
 * Begins with the content of `in`, in the background if there is a thread to
 * be had.  Signals are for the thread of the program that expects them.
 */
static void
begin_job(struct cw_zframe_writer *w, bool in_background)
{
	struct job *j = &w->job;
	sigset_t all, old;

	assert(j->size == 0);
	if (in_background && !j->has_thread) {
		sigfillset(&all);
		pthread_sigmask(SIG_SETMASK, &all, &old);
		j->has_thread =
		    pthread_create(&j->thread, NULL, compress, w) == 0;
		pthread_sigmask(SIG_SETMASK, &old, NULL);
	}
	j->in = w->in;
	j->size = (size_t)w->content;
	if (!in_background || !j->has_thread) {
		j->result = ZSTD_compress2(
		    w->short_ctx, j->out, j->bound, j->in, j->size);
		return;
	}
	w->in = w->other == NULL ? cw_malloc(CW_ZFRAME_SHORT_MAX) : w->other;
	w->other = j->in;
	pthread_mutex_lock(&j->lock);
	j->is_waiting = true;
	pthread_cond_broadcast(&j->changed);
	pthread_mutex_unlock(&j->lock);
}

/* Waits for the job, if there is one. */
static void
await_job(struct cw_zframe_writer *w)
{
	struct job *j = &w->job;

	if (j->size == 0)
		return;
	pthread_mutex_lock(&j->lock);
	while (j->is_waiting)
		pthread_cond_wait(&j->changed, &j->lock);
	pthread_mutex_unlock(&j->lock);
}

static void
end_job(struct job *j)
{
	if (j->has_thread) {
		pthread_mutex_lock(&j->lock);
		while (j->is_waiting)
			pthread_cond_wait(&j->changed, &j->lock);
		j->is_ending = true;
		pthread_cond_broadcast(&j->changed);
		pthread_mutex_unlock(&j->lock);
		pthread_join(j->thread, NULL);
	}
	pthread_cond_destroy(&j->changed);
	pthread_mutex_destroy(&j->lock);
}

/* ---- the writer ---- */

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
	pthread_mutex_init(&w->job.lock, NULL);
	pthread_cond_init(&w->job.changed, NULL);
	w->job.bound = ZSTD_compressBound(CW_ZFRAME_SHORT_MAX);
	w->job.out = cw_malloc(w->job.bound);
	w->in = cw_malloc(CW_ZFRAME_SHORT_MAX);
	return w;
}

void
cw_zframe_writer_free(struct cw_zframe_writer *w)
{
	if (w == NULL)
		return;
	end_job(&w->job);
	ZSTD_freeCCtx(w->short_ctx);
	ZSTD_freeCCtx(w->long_ctx);
	free(w->job.out);
	free(w->in);
	free(w->other);
	free(w->entries);
	cw_buf_free(&w->out);
	free(w);
}

void
cw_zframe_start(struct cw_zframe_writer *w, cw_zframe_sink_fn *sink, void *arg)
{
	await_job(w);
	w->job.size = 0;
	w->sink = sink;
	w->arg = arg;
	w->is_open = false;
	w->content = 0;
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

int
cw_zframe_begin(
    struct cw_zframe_writer *w, enum cw_zframe_kind kind, struct cw_error *err)
{
	assert(!w->is_open);
	if (kind == CW_ZFRAME_LONG) {
		size_t r;

		if (w->long_ctx == NULL) {
			w->long_ctx = context(LONG_LEVEL);
			set(w->long_ctx, ZSTD_c_windowLog, LONG_WINDOW);
			set(w->long_ctx, ZSTD_c_hashLog, LONG_HASH);
			set(w->long_ctx, ZSTD_c_enableLongDistanceMatching, 1);
		}
		r = ZSTD_CCtx_reset(w->long_ctx, ZSTD_reset_session_only);
		if (ZSTD_isError(r))
			return failed(r, err);
	}
	w->is_open = true;
	w->kind = kind;
	w->content = 0;
	w->packed = 0;
	return 0;
}

/* Waits for the SHORT frame that is being compressed, and gives it. */
static int
collect(struct cw_zframe_writer *w, struct cw_error *err)
{
	struct job *j = &w->job;
	size_t size = j->size, packed;

	if (size == 0)
		return 0;
	await_job(w);
	packed = j->result;
	j->size = 0;
	if (ZSTD_isError(packed))
		return failed(packed, err);
	if (record(w, packed, size, err) < 0)
		return -1;
	if (!w->is_held && w->out.len == 0) {
		w->written += packed;
		return w->sink(w->arg, j->out, packed, err);
	}
	memcpy(cw_buf_reserve(&w->out, packed), j->out, packed);
	return give(w, packed, 0, err);
}

/* The open frame, which is SHORT and not empty, becomes the job. */
static int
end_short(struct cw_zframe_writer *w, bool in_background, struct cw_error *err)
{
	if (collect(w, err) < 0)
		return -1;
	begin_job(w, in_background);
	return in_background ? 0 : collect(w, err);
}

static int
feed_long(struct cw_zframe_writer *w, const void *data, size_t len,
    ZSTD_EndDirective mode, struct cw_error *err)
{
	ZSTD_inBuffer in = {data, len, 0};
	size_t r;

	do {
		size_t cap = ZSTD_CStreamOutSize();
		ZSTD_outBuffer out = {cw_buf_reserve(&w->out, cap), cap, 0};

		r = ZSTD_compressStream2(w->long_ctx, &out, &in, mode);
		if (ZSTD_isError(r))
			return failed(r, err);
		w->packed += out.pos;
		if (give(w, out.pos, LONG_FLUSH, err) < 0)
			return -1;
	} while (in.pos < in.size || (mode == ZSTD_e_end && r != 0));
	return 0;
}

static int
end(struct cw_zframe_writer *w, bool in_background, struct cw_error *err)
{
	w->is_open = false;
	if (w->content == 0)
		return collect(w, err);
	if (w->kind == CW_ZFRAME_SHORT)
		return end_short(w, in_background, err);
	if (feed_long(w, NULL, 0, ZSTD_e_end, err) < 0 ||
	    record(w, w->packed, w->content, err) < 0)
		return -1;
	return give(w, 0, 0, err);
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

int
cw_zframe_write(struct cw_zframe_writer *w, const void *data, size_t len,
    struct cw_error *err)
{
	const uint8_t *from = data;

	assert(w->is_open);
	while (len > 0) {
		size_t n = len;

		if (n > frame_max(w) - w->content)
			n = (size_t)(frame_max(w) - w->content);
		if (w->kind == CW_ZFRAME_LONG) {
			if (feed_long(w, from, n, ZSTD_e_continue, err) < 0)
				return -1;
		} else if (from != w->in + w->content) {
			memcpy(w->in + w->content, from, n);
		}
		w->content += n;
		from += n;
		len -= n;
		if (w->content == frame_max(w) &&
		    (end(w, true, err) < 0 ||
			cw_zframe_begin(w, w->kind, err) < 0))
			return -1;
	}
	return 0;
}

uint8_t *
cw_zframe_space(struct cw_zframe_writer *w, size_t *len)
{
	assert(w->is_open);
	if (w->kind == CW_ZFRAME_LONG) {
		*len = LONG_SPACE;
		return w->in;
	}
	*len = (size_t)(CW_ZFRAME_SHORT_MAX - w->content);
	return w->in + w->content;
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
	await_job(w);
	w->job.size = 0;
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

	content += w->job.size;
	if (w->is_open && w->kind == CW_ZFRAME_SHORT)
		content += w->content;
	else if (w->is_open)
		content += w->content < LONG_UNSEEN ? w->content : LONG_UNSEEN;
	/* A LONG frame has at least as much content as SHORT ones. */
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
		size_t n = left < LONG_FLUSH ? (size_t)left : LONG_FLUSH;

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
