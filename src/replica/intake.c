#include "replica/intake.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/direct.h"
#include "base/thread.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define PIECE	  ((size_t)1 << 20)  /* of a content, gathered */
#define RING_SIZE ((size_t)12 << 20) /* all that waits */
#define JOBS_MAX  512u
/*
 * Two write: while one waits for the disk with a large content, the other
 * creates small files.
 */
#define WRITERS 2u
/* They are woken for so much at a time, not for every message. */
#define WAKE_BYTES ((size_t)128 << 10)
#define WAKE_JOBS  32u
/*
 * Nor does anything wait for more longer than this: on a slow line it would
 * be lost when the process is killed, and cross the line again.
 */
#define PATIENCE_NS ((int64_t)50 * 1000 * 1000)
/* The second one is woken for so much more. */
#define MORE_BYTES ((size_t)2 << 20)
#define MORE_JOBS  128u
/* How far ahead a writer looks for what it may do. */
#define LOOK_AHEAD 256u

/*
 * Bytes in the page cache that are written out beside: else all of them would
 * be waited for at the end, when nothing else is left to do.
 */
#define FLUSH_BYTES ((size_t)32 << 20)

enum kind { PUT, WRITE, FINISH };
enum progress { WAITS, RUNS, IS_DONE };

struct job {
	enum kind kind;
	enum progress progress;
	uint8_t digest[CW_SHA256_SIZE]; /* of the whole content */
	bool has_look;
	struct cw_look look;
	struct cw_staging_writer *writer;
	const uint8_t *data;
	size_t len;
	uint64_t end; /* where the ring is free when it is done */
	int64_t came; /* its first byte */
};

struct cw_intake {
	struct cw_staging *staging;
	pthread_t threads[WRITERS], flusher;
	pthread_mutex_t lock;
	pthread_cond_t work, room, dirt;
	unsigned thread_count, idle; /* writers */
	bool is_waiting_for_room, is_ending;

	/*
	 * What waits lies in a ring that is there from the beginning: memory
	 * taken and given back for each content costs more than the copy into
	 * it.  Both ends count on over all rounds.
	 */
	uint8_t *ring;
	uint64_t head, tail;

	/* A ring as well; room is given back in its order. */
	struct job jobs[JOBS_MAX];
	size_t first, count;
	size_t bytes;
	int64_t since; /* the first came, when there was none */

	size_t dirty; /* bytes since the last flush */
	uint64_t damaged;
	struct cw_error failure;

	/* The caller's side: a piece that is being gathered, at head. */
	struct cw_staging_writer *writer;
	uint8_t *piece;
	size_t fill;
	int64_t begun; /* its first byte came */
};

static struct job *
job_at(struct cw_intake *in, size_t i)
{
	return &in->jobs[(in->first + i) % JOBS_MAX];
}

/* ---- the writers ---- */

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

/* What is done to one content is done in order. */
static bool
must_wait(struct cw_intake *in, size_t i)
{
	const struct job *j = job_at(in, i);

	for (size_t k = 0; k < i; k++) {
		const struct job *before = job_at(in, k);

		if (before->progress != IS_DONE &&
		    memcmp(before->digest, j->digest, sizeof(j->digest)) == 0)
			return true;
	}
	return false;
}

/* The next thing to do; NULL: nothing now. */
static struct job *
next_job(struct cw_intake *in)
{
	for (size_t i = 0; i < in->count && i < LOOK_AHEAD; i++) {
		struct job *j = job_at(in, i);

		if (j->progress == WAITS && !must_wait(in, i))
			return j;
	}
	return NULL;
}

/* The lock is held, but for the job itself. */
static void
do_job(struct cw_intake *in, struct job *j)
{
	struct cw_error err = CW_ERROR_INIT;
	int ret = 0;

	j->progress = RUNS;
	/* After a failure writers are still ended. */
	if (in->failure.code == CW_OK || j->kind == FINISH) {
		pthread_mutex_unlock(&in->lock);
		ret = run_job(in, j, &err);
		pthread_mutex_lock(&in->lock);
	}
	j->progress = IS_DONE;
	count_dirt(in, j);
	if (ret < 0 && err.code == CW_ERR_DAMAGED && j->kind != PUT)
		in->damaged++;
	else if (ret < 0 && in->failure.code == CW_OK)
		in->failure = err;
}

static bool
is_worth_waking(const struct cw_intake *in)
{
	if (in->idle == WRITERS)
		return in->bytes >= WAKE_BYTES || in->count >= WAKE_JOBS ||
		       (in->count > 0 &&
			   cw_clock_ns() - in->since >= PATIENCE_NS);
	return in->idle > 0 &&
	       (in->bytes >= MORE_BYTES || in->count >= MORE_JOBS);
}

/* What is done at the ring's end is free. */
static void
free_jobs(struct cw_intake *in)
{
	while (in->count > 0 && job_at(in, 0)->progress == IS_DONE) {
		const struct job *j = job_at(in, 0);

		in->bytes -= j->len;
		in->tail = j->end;
		in->first = (in->first + 1) % JOBS_MAX;
		in->count--;
	}
	if (in->is_waiting_for_room && (in->count == 0 || is_half_free(in)))
		pthread_cond_signal(&in->room);
	if (is_worth_waking(in))
		pthread_cond_signal(&in->work);
}

static void *
run(void *arg)
{
	struct cw_intake *in = arg;

	pthread_mutex_lock(&in->lock);
	for (;;) {
		struct job *j = next_job(in);

		if (j != NULL) {
			do_job(in, j);
			free_jobs(in);
			continue;
		}
		/* What waits for the other one is the other one's to do. */
		if (in->is_ending)
			break;
		in->idle++;
		pthread_cond_wait(&in->work, &in->lock);
		in->idle--;
	}
	pthread_mutex_unlock(&in->lock);
	return NULL;
}

static void
end_threads(struct cw_intake *in, bool has_flusher)
{
	pthread_mutex_lock(&in->lock);
	in->is_ending = true;
	pthread_cond_broadcast(&in->work);
	pthread_cond_signal(&in->dirt);
	pthread_mutex_unlock(&in->lock);
	while (in->thread_count > 0)
		pthread_join(in->threads[--in->thread_count], NULL);
	if (has_flusher)
		pthread_join(in->flusher, NULL);
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
	bool has_flusher;
	int code;

	in->staging = s;
	in->ring = cw_direct_buffer(RING_SIZE);
	pthread_mutex_init(&in->lock, NULL);
	pthread_cond_init(&in->work, NULL);
	pthread_cond_init(&in->room, NULL);
	pthread_cond_init(&in->dirt, NULL);
	code = cw_thread_start(&in->flusher, run_flusher, in);
	has_flusher = code == 0;
	while (code == 0 && in->thread_count < WRITERS) {
		code = cw_thread_start(&in->threads[in->thread_count], run, in);
		in->thread_count += code == 0;
	}
	if (code == 0) {
		*out = in;
		return 0;
	}
	*out = NULL;
	end_threads(in, has_flusher);
	return cw_error_set(
	    err, CW_ERR_FAILED, "cannot start a thread: %s", strerror(code));
}

/* ---- the caller's side ---- */

/* Waits for what was handed over; the lock is held. */
static void
wait_until(struct cw_intake *in, bool empty)
{
	in->is_waiting_for_room = true;
	pthread_cond_broadcast(&in->work);
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
	if (in->count == 0)
		in->since = job->came;
	j = &in->jobs[(in->first + in->count++) % JOBS_MAX];
	*j = *job;
	in->head += j->len;
	in->bytes += j->len;
	j->end = in->head;
	if (is_worth_waking(in))
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
	struct job job = {.kind = WRITE,
	    .writer = in->writer,
	    .data = in->piece,
	    .len = n,
	    .came = in->begun};

	if (n > 0)
		memcpy(job.digest, cw_staging_digest(in->writer),
		    sizeof(job.digest));
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
	in->begun = cw_clock_ns();
}

/*
 * What came may go to its writer before the piece is full, and what follows
 * shall still lie on sectors: bytes after the last one stay behind.
 */
struct rest {
	struct cw_staging_writer *writer;
	uint8_t bytes[CW_DIRECT_ALIGN];
	size_t len;
};

static int
flush_early(struct cw_intake *in, struct rest *rest, struct cw_error *err)
{
	size_t len = in->fill % CW_DIRECT_ALIGN;

	rest->writer = in->writer;
	rest->len = len;
	if (len > 0)
		memcpy(rest->bytes, in->piece + in->fill - len, len);
	return in->piece == NULL ? 0 : flush(in, in->fill - len, err);
}

static void
put_back(struct cw_intake *in, const struct rest *rest)
{
	if (rest->len == 0)
		return;
	begin_piece(in, rest->writer);
	memcpy(in->piece, rest->bytes, rest->len);
	in->fill = rest->len;
}

static struct job
whole(enum kind kind, const uint8_t digest[CW_SHA256_SIZE],
    const struct cw_look *look)
{
	struct job job = {.kind = kind, .came = cw_clock_ns()};

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
	struct rest rest;
	int ret = flush_early(in, &rest, err);
	uint8_t *room;

	job.data = room = find_room(in, len);
	job.len = len;
	if (len > 0)
		memcpy(room, data, len);
	if (hand_over(in, &job, err) < 0)
		ret = -1;
	put_back(in, &rest);
	return ret;
}

/* A piece that has been gathered for long. */
static int
flush_old(struct cw_intake *in, struct cw_error *err)
{
	struct rest rest;
	int ret;

	if (in->fill < CW_DIRECT_ALIGN ||
	    cw_clock_ns() - in->begun < PATIENCE_NS)
		return 0;
	ret = flush_early(in, &rest, err);
	put_back(in, &rest);
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
	return flush_old(in, err);
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
		const struct job *j = job_at(in, i);

		has = j->kind != WRITE &&
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
	end_threads(in, true);
}
