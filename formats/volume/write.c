#include "formats/volume/volume.h"

#include "base/buf.h"
#include "formats/volume/header.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK CW_TAR_BLOCK
/* The end of the archive, and what its frame costs at worst. */
#define END_LEN	  (2 * BLOCK)
#define END_WORST (END_LEN + 128u + 8u)

struct cw_volume_writer {
	struct cw_zframe_writer *frames;
	cw_volume_sink_fn *sink;
	void *arg;
	bool is_open;
	size_t header_len;   /* of the age file; 0 where unsealed */
	uint64_t size;	     /* of the volume */
	uint64_t plain_size; /* of the age file's plaintext */

	bool is_in_member;
	bool is_held;
	uint64_t left; /* content that the member still promises */
	uint32_t fill; /* zeros behind it */
	struct cw_buf header;

	struct cw_age_seal *seal; /* NULL where unsealed */
	uint64_t chunk;		  /* index of the next */
	uint8_t *pending;	  /* CW_AGE_CHUNK: plaintext not yet sealed */
	size_t pending_len;
	uint8_t *out; /* CW_VOLUME_PIECE + CW_AGE_SEALED_CHUNK */
	size_t out_len;
	uint64_t written;
};

struct cw_volume_writer *
cw_volume_writer_new(int level)
{
	struct cw_volume_writer *w = cw_calloc(1, sizeof(*w));

	w->frames = cw_zframe_writer_new(level);
	w->pending = cw_malloc(CW_AGE_CHUNK);
	w->out = cw_malloc(CW_VOLUME_PIECE + CW_AGE_SEALED_CHUNK);
	return w;
}

void
cw_volume_writer_free(struct cw_volume_writer *w)
{
	if (w == NULL)
		return;
	cw_volume_abort(w);
	cw_zframe_writer_free(w->frames);
	cw_buf_free(&w->header);
	free(w->pending);
	free(w->out);
	free(w);
}

void
cw_volume_abort(struct cw_volume_writer *w)
{
	cw_age_seal_free(w->seal);
	w->seal = NULL;
	w->is_open = false;
}

/* ---- sealing ---- */

/* len more bytes stand at the end of out; passes on whole pieces. */
static int
give(struct cw_volume_writer *w, size_t len, struct cw_error *err)
{
	w->out_len += len;
	if (w->out_len < CW_VOLUME_PIECE)
		return 0;
	if (w->sink(w->arg, w->out, CW_VOLUME_PIECE, err) < 0)
		return -1;
	w->written += CW_VOLUME_PIECE;
	w->out_len -= CW_VOLUME_PIECE;
	memmove(w->out, w->out + CW_VOLUME_PIECE, w->out_len);
	return 0;
}

static int
seal(struct cw_volume_writer *w, const uint8_t *plain, size_t len, bool is_last,
    struct cw_error *err)
{
	if (cw_age_seal_chunk(w->seal, w->chunk, is_last, plain, len,
		w->out + w->out_len, err) < 0)
		return -1;
	w->chunk++;
	return give(w, len + CW_AGE_TAG, err);
}

/*
 * The sink of the frames.  A full chunk is sealed only when more follows it,
 * since the last one is sealed as such and must not be empty.
 */
static int
take_plain(void *arg, const uint8_t *data, size_t len, struct cw_error *err)
{
	struct cw_volume_writer *w = arg;

	while (len > 0) {
		size_t n = len;

		if (w->seal == NULL) {
			if (n > CW_AGE_CHUNK)
				n = CW_AGE_CHUNK;
			memcpy(w->out + w->out_len, data, n);
			if (give(w, n, err) < 0)
				return -1;
		} else if (w->pending_len == CW_AGE_CHUNK) {
			n = 0;
			w->pending_len = 0;
			if (seal(w, w->pending, CW_AGE_CHUNK, false, err) < 0)
				return -1;
		} else if (w->pending_len == 0 && n > CW_AGE_CHUNK) {
			n = CW_AGE_CHUNK;
			if (seal(w, data, n, false, err) < 0)
				return -1;
		} else {
			if (n > CW_AGE_CHUNK - w->pending_len)
				n = CW_AGE_CHUNK - w->pending_len;
			memcpy(w->pending + w->pending_len, data, n);
			w->pending_len += n;
		}
		data += n;
		len -= n;
	}
	return 0;
}

/* ---- sizes ---- */

uint64_t
cw_padme(uint64_t len)
{
	unsigned exponent, digits;
	uint64_t mask;

	if (len < 2)
		return len;
	exponent = 63 - (unsigned)__builtin_clzll(len);
	/* Bits that it takes to write the exponent. */
	digits = 32 - (unsigned)__builtin_clz(exponent | 1);
	if (digits >= exponent)
		return len;
	mask = (UINT64_C(1) << (exponent - digits)) - 1;
	return (len + mask) & ~mask;
}

uint64_t
cw_volume_last_size(size_t header, uint64_t len)
{
	uint64_t size = cw_padme(len), plain;

	/* At most CW_AGE_TAG sizes in a row cannot be. */
	while (header > 0 && !cw_age_plain_size(header, size, &plain))
		size++;
	return size;
}

/* What fits where `space` bytes are free for frames of tar. */
static uint64_t
content_of(uint64_t space)
{
	uint64_t less = (space >> 8) +
			(space / CW_ZFRAME_SHORT_MAX + 2) * (128 + 8) +
			END_WORST;

	return space > less ? space - less : 0;
}

uint64_t
cw_volume_room(const struct cw_volume_writer *w)
{
	uint64_t worst = cw_zframe_worst(w->frames, 0);

	return worst < w->plain_size ? content_of(w->plain_size - worst) : 0;
}

uint64_t
cw_volume_capacity(uint64_t volume_size, size_t recipients)
{
	const uint64_t tail =
	    CW_ZFRAME_PAD_MIN + CW_ZFRAME_TABLE_SIZE(2) + 2 * 128;
	uint64_t plain;

	if (!cw_age_plain_size(
		cw_age_header_size(recipients), volume_size, &plain) ||
	    plain < tail)
		return 0;
	return content_of(plain - tail);
}

uint64_t
cw_volume_cost(const struct cw_member *m)
{
	uint64_t stored = m->size;

	if (m->is_sparse) {
		stored = 0;
		for (size_t i = 0; i < m->range_count; i++)
			stored += m->ranges[i].len;
	}
	return cw_header_bound(m) + (stored + BLOCK - 1) / BLOCK * BLOCK;
}

uint64_t
cw_volume_written(const struct cw_volume_writer *w)
{
	return w->written;
}

/* ---- the volume ---- */

static void
start(struct cw_volume_writer *w, cw_volume_sink_fn *sink, void *arg)
{
	w->sink = sink;
	w->arg = arg;
	w->is_open = true;
	w->is_in_member = false;
	w->is_held = false;
	w->chunk = 0;
	w->pending_len = 0;
	w->out_len = 0;
	w->written = 0;
	cw_zframe_start(w->frames, take_plain, w);
}

int
cw_volume_open(struct cw_volume_writer *w,
    const struct cw_age_recipient *recipients, size_t count,
    uint64_t volume_size, cw_volume_sink_fn *sink, void *arg,
    struct cw_error *err)
{
	const uint8_t *header;

	cw_volume_abort(w);
	w->header_len = cw_age_header_size(count);
	if (volume_size < CW_VOLUME_SIZE_MIN ||
	    volume_size > CW_VOLUME_SIZE_MAX ||
	    !cw_age_plain_size(w->header_len, volume_size, &w->plain_size))
		return cw_error_set(err, CW_ERR_USAGE,
		    "a volume cannot have %llu bytes: choose another size "
		    "from %u KiB to 4 GiB",
		    (unsigned long long)volume_size, CW_VOLUME_SIZE_MIN >> 10);
	if (cw_age_seal_new(recipients, count, &w->seal, err) < 0)
		return -1;
	w->size = volume_size;
	start(w, sink, arg);
	header = cw_age_seal_header(w->seal, &w->header_len);
	memcpy(w->out, header, w->header_len);
	return give(w, w->header_len, err);
}

int
cw_volume_open_unsealed(struct cw_volume_writer *w, uint64_t size,
    cw_volume_sink_fn *sink, void *arg, struct cw_error *err)
{
	cw_volume_abort(w);
	if (size < CW_VOLUME_SIZE_MIN || size > CW_VOLUME_SIZE_MAX)
		return cw_error_set(err, CW_ERR_USAGE,
		    "a volume cannot have %llu bytes",
		    (unsigned long long)size);
	w->header_len = 0;
	w->size = size;
	w->plain_size = size;
	start(w, sink, arg);
	return 0;
}

int
cw_volume_frame(struct cw_volume_writer *w, enum cw_zframe_kind kind, bool held,
    struct cw_error *err)
{
	assert(w->is_open && !w->is_in_member && !(held && w->is_held));
	if (cw_zframe_end(w->frames, err) < 0)
		return -1;
	if (held) {
		if (cw_zframe_hold(w->frames, w->plain_size, err) < 0)
			return -1;
		w->is_held = true;
	}
	return cw_zframe_begin(w->frames, kind, err);
}

int
cw_volume_commit(struct cw_volume_writer *w, struct cw_error *err)
{
	int ret;

	assert(w->is_open && w->is_held && !w->is_in_member);
	if (cw_zframe_end(w->frames, err) < 0)
		return -1;
	if (cw_zframe_least(w->frames) + END_WORST > w->plain_size)
		return 1;
	ret = cw_zframe_commit(w->frames, err);
	if (ret == 0)
		w->is_held = false;
	return ret;
}

void
cw_volume_drop(struct cw_volume_writer *w)
{
	assert(w->is_open && w->is_held);
	cw_zframe_drop(w->frames);
	w->is_held = false;
	w->is_in_member = false;
}

/*
 * Stops a caller who writes more than cw_volume_room allowed, before the sink
 * has got more than the volume can be.  What is held may be over: commit says.
 */
static int
check_room(const struct cw_volume_writer *w, struct cw_error *err)
{
	if (!w->is_held &&
	    cw_zframe_written(w->frames) + END_WORST > w->plain_size)
		return cw_error_set(err, CW_ERR_FAILED,
		    "the members do not fit a volume of %llu bytes",
		    (unsigned long long)w->size);
	return 0;
}

int
cw_volume_begin(
    struct cw_volume_writer *w, const struct cw_member *m, struct cw_error *err)
{
	assert(w->is_open && !w->is_in_member);
	if (cw_member_check(m, err) < 0)
		return -1;
	if (!cw_zframe_is_open(w->frames) &&
	    cw_zframe_begin(w->frames, CW_ZFRAME_SHORT, err) < 0)
		return -1;
	cw_buf_reset(&w->header);
	w->left = cw_header_encode(m, &w->header);
	w->fill = (uint32_t)((BLOCK - w->left % BLOCK) % BLOCK);
	w->is_in_member = true;
	return cw_zframe_write(w->frames, w->header.data, w->header.len, err);
}

int
cw_volume_data(struct cw_volume_writer *w, const void *data, size_t len,
    struct cw_error *err)
{
	assert(w->is_in_member);
	if (len > w->left)
		return cw_error_set(err, CW_ERR_FAILED,
		    "a member has more content than its header says");
	w->left -= len;
	if (cw_zframe_write(w->frames, data, len, err) < 0)
		return -1;
	return check_room(w, err);
}

static int
write_zeros(struct cw_volume_writer *w, uint64_t len, struct cw_error *err)
{
	static const uint8_t zeros[64 * BLOCK];

	while (len > 0) {
		size_t n = len < sizeof(zeros) ? (size_t)len : sizeof(zeros);

		if (cw_zframe_write(w->frames, zeros, n, err) < 0 ||
		    check_room(w, err) < 0)
			return -1;
		len -= n;
	}
	return 0;
}

int
cw_volume_end(struct cw_volume_writer *w, struct cw_error *err)
{
	assert(w->is_in_member);
	w->is_in_member = false;
	return write_zeros(w, w->left + w->fill, err);
}

uint8_t *
cw_volume_space(struct cw_volume_writer *w, size_t *len)
{
	assert(w->is_in_member);
	return cw_zframe_space(w->frames, len);
}

static int
finish(struct cw_volume_writer *w, bool is_last, struct cw_error *err)
{
	uint64_t plain = w->plain_size, size = w->size, least;

	if (!cw_zframe_is_open(w->frames) &&
	    cw_zframe_begin(w->frames, CW_ZFRAME_SHORT, err) < 0)
		return -1;
	if (write_zeros(w, END_LEN, err) < 0 ||
	    cw_zframe_end(w->frames, err) < 0)
		return -1;
	least = cw_zframe_least(w->frames);
	if (least > plain)
		return cw_error_set(err, CW_ERR_FAILED,
		    "the members do not fit a volume of %llu bytes",
		    (unsigned long long)w->size);
	if (is_last) {
		size = cw_volume_last_size(w->header_len,
		    w->seal == NULL ? least
				    : cw_age_file_size(w->header_len, least));
		if (size >= w->size)
			size = w->size;
		else if (w->seal == NULL)
			plain = size;
		else
			(void)cw_age_plain_size(w->header_len, size, &plain);
	}
	if (cw_zframe_finish(w->frames, plain, err) < 0)
		return -1;
	if (w->seal != NULL &&
	    seal(w, w->pending, w->pending_len, true, err) < 0)
		return -1;
	if (w->out_len > 0 && w->sink(w->arg, w->out, w->out_len, err) < 0)
		return -1;
	w->written += w->out_len;
	assert(w->written == size);
	return 0;
}

int
cw_volume_close(struct cw_volume_writer *w, bool is_last, struct cw_error *err)
{
	int ret;

	assert(w->is_open && !w->is_held && !w->is_in_member);
	ret = finish(w, is_last, err);
	cw_volume_abort(w);
	return ret;
}
