#include "replica/intake.h"

#include "base/buf.h"
#include "base/direct.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define PIECE	    ((size_t)1 << 20) /* of a content, gathered */
#define WAITING_MAX ((size_t)8 << 20) /* bytes handed over */
#define JOBS_MAX    512u
/* The thread is woken for so much at a time, not for every message. */
#define WAKE_BYTES ((size_t)128 << 10)
#define WAKE_JOBS  32u
#define PIECES_MAX 12u /* kept for use again */

enum kind { PUT, WRITE, FINISH };

struct job {
	enum kind kind;
	bool has_digest; /* it will be a whole content of this digest */
	uint8_t digest[CW_SHA256_SIZE];
	struct cw_staging_writer *writer;
	uint8_t *data;
	size_t len;
};

struct cw_intake {
	struct cw_staging *staging;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t work, room;
	bool is_waiting_for_work, is_waiting_for_room, is_ending;

	uint8_t *pieces[PIECES_MAX];
	size_t piece_count;

	/* A ring; the first one is being done. */
	struct job jobs[JOBS_MAX];
	size_t first, count;
	size_t bytes;

	uint64_t damaged;
	struct cw_error failure;

	/* The caller's side: a piece that is being gathered. */
	struct cw_staging_writer *writer;
	uint8_t *piece;
	size_t fill;
};

static int
run_job(struct cw_intake *in, struct job *j, struct cw_error *err)
{
	switch (j->kind) {
	case PUT:
		return cw_staging_put(
		    in->staging, j->digest, j->data, j->len, err);
	case WRITE:
		return cw_staging_write(j->writer, j->data, j->len, err);
	case FINISH:
		return cw_staging_finish(j->writer, err);
	}
	return 0;
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
		in->bytes -= j->len;
		if (j->kind == WRITE && in->piece_count < PIECES_MAX)
			in->pieces[in->piece_count++] = j->data;
		else
			free(j->data);
		in->first = (in->first + 1) % JOBS_MAX;
		in->count--;
		if (ret < 0 && err.code == CW_ERR_DAMAGED && kind != PUT)
			in->damaged++;
		else if (ret < 0 && in->failure.code == CW_OK)
			in->failure = err;
		if (in->is_waiting_for_room &&
		    (in->count == 0 || (in->bytes <= WAITING_MAX / 2 &&
					   in->count <= JOBS_MAX / 2)))
			pthread_cond_signal(&in->room);
	}
	pthread_mutex_unlock(&in->lock);
	return NULL;
}

int
cw_intake_new(
    struct cw_staging *s, struct cw_intake **out, struct cw_error *err)
{
	struct cw_intake *in = cw_calloc(1, sizeof(*in));
	sigset_t all, old;
	int code;

	in->staging = s;
	pthread_mutex_init(&in->lock, NULL);
	pthread_cond_init(&in->work, NULL);
	pthread_cond_init(&in->room, NULL);
	/* Signals are for the thread of the program that expects them. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	code = pthread_create(&in->thread, NULL, run, in);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (code == 0) {
		*out = in;
		return 0;
	}
	*out = NULL;
	free(in);
	return cw_error_set(
	    err, CW_ERR_FAILED, "cannot start a thread: %s", strerror(code));
}

/* Waits for what was handed over; the lock is held. */
static void
wait_until(struct cw_intake *in, bool empty)
{
	in->is_waiting_for_room = true;
	pthread_cond_signal(&in->work);
	while (empty ? in->count > 0
		     : in->count > JOBS_MAX / 2 || in->bytes > WAITING_MAX / 2)
		pthread_cond_wait(&in->room, &in->lock);
	in->is_waiting_for_room = false;
}

static uint8_t *
new_piece(struct cw_intake *in)
{
	uint8_t *piece = NULL;

	pthread_mutex_lock(&in->lock);
	if (in->piece_count > 0)
		piece = in->pieces[--in->piece_count];
	pthread_mutex_unlock(&in->lock);
	return piece != NULL ? piece : cw_direct_buffer(PIECE);
}

/* Takes data over. */
static int
hand_over(struct cw_intake *in, enum kind kind, const uint8_t *digest,
    struct cw_staging_writer *w, uint8_t *data, size_t len,
    struct cw_error *err)
{
	struct job *j;
	int ret = 0;

	pthread_mutex_lock(&in->lock);
	if (in->count == JOBS_MAX || in->bytes + len > WAITING_MAX)
		wait_until(in, false);
	j = &in->jobs[(in->first + in->count++) % JOBS_MAX];
	*j = (struct job){.kind = kind, .writer = w, .data = data, .len = len};
	if (digest != NULL) {
		j->has_digest = true;
		memcpy(j->digest, digest, sizeof(j->digest));
	}
	in->bytes += len;
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

int
cw_intake_put(struct cw_intake *in, const uint8_t digest[CW_SHA256_SIZE],
    const void *data, size_t len, struct cw_error *err)
{
	return hand_over(in, PUT, digest, NULL, cw_memdup(data, len), len, err);
}

/* Hands the piece that is being gathered over. */
static int
flush(struct cw_intake *in, struct cw_error *err)
{
	struct cw_staging_writer *w = in->writer;
	uint8_t *piece = in->piece;
	size_t fill = in->fill;

	in->writer = NULL;
	in->piece = NULL;
	in->fill = 0;
	return piece == NULL ? 0
			     : hand_over(in, WRITE, NULL, w, piece, fill, err);
}

int
cw_intake_write(struct cw_intake *in, struct cw_staging_writer *w,
    const void *data, size_t len, struct cw_error *err)
{
	const uint8_t *from = data;

	if (in->writer != w && flush(in, err) < 0)
		return -1;
	while (len > 0) {
		size_t n = PIECE - in->fill;

		if (in->piece == NULL) {
			in->piece = new_piece(in);
			in->writer = w;
		}
		if (n > len)
			n = len;
		memcpy(in->piece + in->fill, from, n);
		in->fill += n;
		from += n;
		len -= n;
		if (in->fill == PIECE && flush(in, err) < 0)
			return -1;
	}
	return 0;
}

int
cw_intake_finish(struct cw_intake *in, struct cw_staging_writer *w,
    const uint8_t digest[CW_SHA256_SIZE], struct cw_error *err)
{
	int ret = flush(in, err);

	return hand_over(in, FINISH, digest, w, NULL, 0, err) < 0 ? -1 : ret;
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
	int ret = flush(in, err);

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
	(void)flush(in, NULL);
	pthread_mutex_lock(&in->lock);
	in->is_ending = true;
	pthread_cond_signal(&in->work);
	pthread_mutex_unlock(&in->lock);
	pthread_join(in->thread, NULL);
	for (size_t i = 0; i < in->piece_count; i++)
		free(in->pieces[i]);
	pthread_cond_destroy(&in->room);
	pthread_cond_destroy(&in->work);
	pthread_mutex_destroy(&in->lock);
	free(in);
}
