#include "formats/zframe/job.h"

#include "base/buf.h"
#include "base/thread.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

/* What zstd may have kept of the pieces before, and give with this one. */
#define KEPT_MAX (256u << 10)

struct zframe_job {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_t thread;
	bool has_thread;
	bool is_ending;
	bool is_waiting; /* there is something to compress, or being so */

	ZSTD_CCtx *ctx;
	const uint8_t *in;
	size_t size;
	bool has_piece; /* begun, and not collected */
	enum zframe_part part;

	uint8_t *out;	/* bound bytes */
	uint8_t *given; /* the same: of the piece before, or NULL */
	size_t bound;
	size_t packed, result; /* result is what zstd said */
};

struct zframe_job *
zframe_job_new(size_t most)
{
	struct zframe_job *j = cw_calloc(1, sizeof(*j));

	pthread_mutex_init(&j->lock, NULL);
	pthread_cond_init(&j->changed, NULL);
	j->bound = ZSTD_compressBound(most + KEPT_MAX);
	j->out = cw_malloc(j->bound);
	return j;
}

void
zframe_job_free(struct zframe_job *j)
{
	if (j == NULL)
		return;
	if (j->has_thread) {
		zframe_job_drop(j);
		pthread_mutex_lock(&j->lock);
		j->is_ending = true;
		pthread_cond_broadcast(&j->changed);
		pthread_mutex_unlock(&j->lock);
		pthread_join(j->thread, NULL);
	}
	pthread_cond_destroy(&j->changed);
	pthread_mutex_destroy(&j->lock);
	free(j->out);
	free(j->given);
	free(j);
}

static void
compress(struct zframe_job *j)
{
	ZSTD_inBuffer in = {j->in, j->size, 0};
	ZSTD_outBuffer out = {j->out, j->bound, 0};
	bool is_end = j->part == ZFRAME_END;

	if (j->part == ZFRAME_WHOLE) {
		/* Without a copy into a window. */
		j->result =
		    ZSTD_compress2(j->ctx, j->out, j->bound, j->in, j->size);
		j->packed = j->result;
		return;
	}
	do
		j->result = ZSTD_compressStream2(
		    j->ctx, &out, &in, is_end ? ZSTD_e_end : ZSTD_e_continue);
	while (!ZSTD_isError(j->result) && out.pos < out.size &&
	       (in.pos < in.size || (is_end && j->result != 0)));
	j->packed = out.pos;
}

static void *
run(void *arg)
{
	struct zframe_job *j = arg;

	pthread_mutex_lock(&j->lock);
	for (;;) {
		while (!j->is_waiting && !j->is_ending)
			pthread_cond_wait(&j->changed, &j->lock);
		if (j->is_ending)
			break;
		pthread_mutex_unlock(&j->lock);
		compress(j);
		pthread_mutex_lock(&j->lock);
		j->is_waiting = false;
		pthread_cond_broadcast(&j->changed);
	}
	pthread_mutex_unlock(&j->lock);
	return NULL;
}

void
zframe_job_begin(struct zframe_job *j, ZSTD_CCtx *ctx, const uint8_t *in,
    size_t size, enum zframe_part part, bool in_background)
{
	assert(!j->has_piece);
	j->ctx = ctx;
	j->in = in;
	j->size = size;
	j->part = part;
	j->has_piece = true;
	if (in_background && !j->has_thread)
		j->has_thread = cw_thread_start(&j->thread, run, j) == 0;
	if (!in_background || !j->has_thread) {
		compress(j);
		return;
	}
	pthread_mutex_lock(&j->lock);
	j->is_waiting = true;
	pthread_cond_broadcast(&j->changed);
	pthread_mutex_unlock(&j->lock);
}

static void
await(struct zframe_job *j)
{
	pthread_mutex_lock(&j->lock);
	while (j->is_waiting)
		pthread_cond_wait(&j->changed, &j->lock);
	pthread_mutex_unlock(&j->lock);
}

int
zframe_job_collect(
    struct zframe_job *j, struct zframe_piece *out, struct cw_error *err)
{
	uint8_t *swap;

	if (!j->has_piece)
		return 0;
	await(j);
	j->has_piece = false;
	if (ZSTD_isError(j->result))
		return cw_error_set(err, CW_ERR_FAILED, "zstd: %s",
		    ZSTD_getErrorName(j->result));
	*out = (struct zframe_piece){j->out, j->packed, j->size};
	swap = j->given != NULL ? j->given : cw_malloc(j->bound);
	j->given = j->out;
	j->out = swap;
	return 1;
}

void
zframe_job_drop(struct zframe_job *j)
{
	if (!j->has_piece)
		return;
	await(j);
	j->has_piece = false;
}

size_t
zframe_job_size(const struct zframe_job *j)
{
	return j->has_piece ? j->size : 0;
}
