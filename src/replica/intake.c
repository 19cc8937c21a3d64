#include "replica/intake.h"

#include "base/buf.h"
#include "base/direct.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define PIECE	  ((size_t)1 << 20)  /* of a content, gathered */
#define RING_SIZE ((size_t)12 << 20) /* all that waits */
#define JOBS_MAX  512u
/* The thread is woken for so much at a time, not for every message. */
#define WAKE_BYTES ((size_t)128 << 10)
#define WAKE_JOBS  32u

/*
 * Bytes in the page cache that are written out beside: else all of them would
 * be waited for at the end, when nothing else is left to do.
 */
#define FLUSH_BYTES ((size_t)32 << 20)

enum kind { PUT, WRITE, FINISH };

struct job {
	enum kind kind;
	bool has_digest; /* it will be a whole content of this digest */
	uint8_t digest[CW_SHA256_SIZE];
	bool has_look;
	struct cw_look look;
	struct cw_staging_writer *writer;
	const uint8_t *data;
	size_t len;
	uint64_t end; /* where the ring is free when it is done */
};

struct cw_intake {
	struct cw_staging *staging;
	pthread_t thread, flusher;
	pthread_mutex_t lock;
	pthread_cond_t work, room, dirt;
	bool is_waiting_for_work, is_waiting_for_room, is_ending;

	/*
	 * What waits lies in a ring that is there from the beginning: memory
	 * taken and given back for each content costs more than the copy into
	 * it.  Both ends count on over all rounds.
	 */
	uint8_t *ring;
	uint64_t head, tail;

	/* A ring as well; the first one is being done. */
	struct job jobs[JOBS_MAX];
	size_t first, count;
	size_t bytes;

	size_t dirty; /* bytes since the last flush */
	uint64_t damaged;
	struct cw_error failure;

	/* The caller's side: a piece that is being gathered, at head. */
	struct cw_staging_writer *writer;
	uint8_t *piece;
	size_t fill;
};

/* ---- the thread ---- */

static int
run_job(struct cw_intake *in, struct job *j, struct cw_error *err)
{
	const struct cw_look *look = j->has_look ? &j->look : NULL;

	switch (j->kind) {
	case PUT:
		return cw_staging_put(
		    in->staging, j->digest, j->data, j->len, look, err);
	case WRITE:
		return cw_staging_write(j->writer, j->data, j->len, err);
	case FINISH:
		return cw_staging_finish(j->writer, look, err);
	}
	return 0;
}

/* Half of it is free: threads are not to change with every message. */
static bool
is_half_free(const struct cw_intake *in)
{
	return in->count <= JOBS_MAX / 2 &&
	       in->head - in->tail <= RING_SIZE / 2;
}

/* Those that go past the page cache need no flush. */
static void
count_dirt(struct cw_intake *in, const struct job *j)
{
	if (j->len >= CW_DIRECT_MIN)
		return;
	in->dirty += j->len;
	if (in->dirty >= FLUSH_BYTES)
		pthread_cond_signal(&in->dirt);
}

static void *
run_flusher(void *arg)
{
	struct cw_intake *in = arg;

	pthread_mutex_lock(&in->lock);
	for (;;) {
		struct cw_error err = CW_ERROR_INIT;
		int ret;

		while (in->dirty < FLUSH_BYTES && !in->is_ending)
			pthread_cond_wait(&in->dirt, &in->lock);
		if (in->is_ending)
			break;
		in->dirty = 0;
		pthread_mutex_unlock(&in->lock);
		ret = cw_staging_sync(in->staging, &err);
		pthread_mutex_lock(&in->lock);
		/* The kernel tells a failure once, so we have to keep it. */
		if (ret < 0 && in->failure.code == CW_OK)
			in->failure = err;
	}
	pthread_mutex_unlock(&in->lock);
	return NULL;
}

static void *
run(void *arg)
{
	struct cw_intake *in = arg;

	pthread_mutex_lock(&in->lock);
	for (;;) {
		struct cw_error err = CW_ERROR_INIT;
		enum kind kind;
		struct job *j;
		int ret = 0;

		while (in->count == 0 && !in->is_ending) {
			in->is_waiting_for_work = true;
			pthread_cond_wait(&in->work, &in->lock);
			in->is_waiting_for_work = false;
		}
		if (in->count == 0)
			break;
		j = &in->jobs[in->first];
		kind = j->kind;
		/* After a failure writers are still ended. */
		if (in->failure.code == CW_OK || j->kind == FINISH) {
			pthread_mutex_unlock(&in->lock);
			ret = run_job(in, j, &err);
			pthread_mutex_lock(&in->lock);
		}
		count_dirt(in, j);
		in->bytes -= j->len;
		in->tail = j->end;
		in->first = (in->first + 1) % JOBS_MAX;
		in->count--;
		if (ret < 0 && err.code == CW_ERR_DAMAGED && kind != PUT)
			in->damaged++;
		else if (ret < 0 && in->failure.code == CW_OK)
			in->failure = err;
		if (in->is_waiting_for_room &&
		    (in->count == 0 || is_half_free(in)))
			pthread_cond_signal(&in->room);
	}
	pthread_mutex_unlock(&in->lock);
	return NULL;
}

static void
end_thread(struct cw_intake *in, pthread_t thread)
{
	pthread_mutex_lock(&in->lock);
	in->is_ending = true;
	pthread_cond_signal(&in->work);
	pthread_cond_signal(&in->dirt);
	pthread_mutex_unlock(&in->lock);
	pthread_join(thread, NULL);
}

static void
free_parts(struct cw_intake *in)
{
	pthread_cond_destroy(&in->dirt);
	pthread_cond_destroy(&in->room);
	pthread_cond_destroy(&in->work);
	pthread_mutex_destroy(&in->lock);
	free(in->ring);
	free(in);
}

int
cw_intake_new(
    struct cw_staging *s, struct cw_intake **out, struct cw_error *err)
{
	struct cw_intake *in = cw_calloc(1, sizeof(*in));
	sigset_t all, old;
	int code;

	in->staging = s;
	in->ring = cw_direct_buffer(RING_SIZE);
	pthread_mutex_init(&in->lock, NULL);
	pthread_cond_init(&in->work, NULL);
	pthread_cond_init(&in->room, NULL);
	pthread_cond_init(&in->dirt, NULL);
	/* Signals are for the thread of the program that expects them. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	code = pthread_create(&in->thread, NULL, run, in);
	if (code == 0) {
		code = pthread_create(&in->flusher, NULL, run_flusher, in);
		if (code != 0)
			end_thread(in, in->thread);
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (code == 0) {
		*out = in;
		return 0;
	}
	*out = NULL;
	free_parts(in);
	return cw_error_set(
	    err, CW_ERR_FAILED, "cannot start a thread: %s", strerror(code));
}

/* ---- the caller's side ---- */

/* Waits for what was handed over; the lock is held. */
static void
wait_until(struct cw_intake *in, bool empty)
{
	in->is_waiting_for_room = true;
	pthread_cond_signal(&in->work);
	while (in->count > 0 && (empty || !is_half_free(in)))
		pthread_cond_wait(&in->room, &in->lock);
	in->is_waiting_for_room = false;
}

/*
 * Room for at most a piece, where it can be written past the page cache from.
 * It is taken for good when it is handed over; until then it is the next one.
 */
static uint8_t *
find_room(struct cw_intake *in, size_t len)
{
	size_t at = (size_t)(in->head % RING_SIZE);
	size_t gap = (CW_DIRECT_ALIGN - at % CW_DIRECT_ALIGN) % CW_DIRECT_ALIGN;

	assert(len <= PIECE && in->piece == NULL);
	if (at + gap + len > RING_SIZE)
		gap = RING_SIZE - at;
	pthread_mutex_lock(&in->lock);
	if (in->head - in->tail + gap + len > RING_SIZE)
		wait_until(in, false);
	in->head += gap;
	pthread_mutex_unlock(&in->lock);
	return in->ring + in->head % RING_SIZE;
}

/* Takes what lies at head over. */
static int
hand_over(struct cw_intake *in, const struct job *job, struct cw_error *err)
{
	struct job *j;
	int ret = 0;

	pthread_mutex_lock(&in->lock);
	if (in->count == JOBS_MAX)
		wait_until(in, false);
	j = &in->jobs[(in->first + in->count++) % JOBS_MAX];
	*j = *job;
	in->head += j->len;
	in->bytes += j->len;
	j->end = in->head;
	if (in->is_waiting_for_work &&
	    (in->bytes >= WAKE_BYTES || in->count >= WAKE_JOBS))
		pthread_cond_signal(&in->work);
	if (in->failure.code != CW_OK) {
		if (err != NULL)
			*err = in->failure;
		ret = -1;
	}
	pthread_mutex_unlock(&in->lock);
	return ret;
}

/* Hands n bytes of the piece that is being gathered over. */
static int
flush(struct cw_intake *in, size_t n, struct cw_error *err)
{
	const struct job job = {
	    .kind = WRITE, .writer = in->writer, .data = in->piece, .len = n};

	in->writer = NULL;
	in->piece = NULL;
	in->fill = 0;
	return n == 0 ? 0 : hand_over(in, &job, err);
}

static void
begin_piece(struct cw_intake *in, struct cw_staging_writer *w)
{
	in->piece = find_room(in, PIECE);
	in->writer = w;
}

static struct job
whole(enum kind kind, const uint8_t digest[CW_SHA256_SIZE],
    const struct cw_look *look)
{
	struct job job = {.kind = kind, .has_digest = true};

	memcpy(job.digest, digest, sizeof(job.digest));
	if (look != NULL) {
		job.has_look = true;
		job.look = *look;
	}
	return job;
}

int
cw_intake_put(struct cw_intake *in, const uint8_t digest[CW_SHA256_SIZE],
    const void *data, size_t len, const struct cw_look *look,
    struct cw_error *err)
{
	struct job job = whole(PUT, digest, look);
	struct cw_staging_writer *w = in->writer;
	uint8_t rest[CW_DIRECT_ALIGN], *room;
	size_t rest_len = in->fill % CW_DIRECT_ALIGN;
	int ret = 0;

	/* What follows in the content between shall lie on sectors still. */
	if (rest_len > 0)
		memcpy(rest, in->piece + in->fill - rest_len, rest_len);
	if (in->piece != NULL)
		ret = flush(in, in->fill - rest_len, err);
	job.data = room = find_room(in, len);
	job.len = len;
	if (len > 0)
		memcpy(room, data, len);
	if (hand_over(in, &job, err) < 0)
		ret = -1;
	if (rest_len > 0) {
		begin_piece(in, w);
		memcpy(in->piece, rest, rest_len);
		in->fill = rest_len;
	}
	return ret;
}

int
cw_intake_write(struct cw_intake *in, struct cw_staging_writer *w,
    const void *data, size_t len, struct cw_error *err)
{
	const uint8_t *from = data;

	if (in->writer != w && flush(in, in->fill, err) < 0)
		return -1;
	while (len > 0) {
		size_t n = PIECE - in->fill;

		if (in->piece == NULL)
			begin_piece(in, w);
		if (n > len)
			n = len;
		memcpy(in->piece + in->fill, from, n);
		in->fill += n;
		from += n;
		len -= n;
		if (in->fill == PIECE && flush(in, in->fill, err) < 0)
			return -1;
	}
	return 0;
}

int
cw_intake_finish(struct cw_intake *in, struct cw_staging_writer *w,
    const uint8_t digest[CW_SHA256_SIZE], const struct cw_look *look,
    struct cw_error *err)
{
	struct job job = whole(FINISH, digest, look);
	int ret = flush(in, in->fill, err);

	job.writer = w;
	return hand_over(in, &job, err) < 0 ? -1 : ret;
}

bool
cw_intake_holds(struct cw_intake *in, const uint8_t digest[CW_SHA256_SIZE])
{
	bool has = false;

	pthread_mutex_lock(&in->lock);
	for (size_t i = 0; i < in->count && !has; i++) {
		const struct job *j = &in->jobs[(in->first + i) % JOBS_MAX];

		has = j->has_digest &&
		      memcmp(j->digest, digest, sizeof(j->digest)) == 0;
	}
	pthread_mutex_unlock(&in->lock);
	return has;
}

int
cw_intake_drain(struct cw_intake *in, uint64_t *damaged, struct cw_error *err)
{
	int ret = flush(in, in->fill, err);

	pthread_mutex_lock(&in->lock);
	wait_until(in, true);
	*damaged = in->damaged;
	in->damaged = 0;
	if (in->failure.code != CW_OK) {
		if (err != NULL)
			*err = in->failure;
		ret = -1;
	}
	pthread_mutex_unlock(&in->lock);
	return ret;
}

void
cw_intake_free(struct cw_intake *in)
{
	if (in == NULL)
		return;
	(void)flush(in, in->fill, NULL);
	end_thread(in, in->thread);
	end_thread(in, in->flusher);
	free_parts(in);
}
