#include "seed/finisher.h"

#include "base/buf.h"
#include "base/progress.h"
#include "base/thread.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define WAITING_MAX 3u
/* Each reads back one medium. */
#define THREADS 4u

struct cw_finisher {
	pthread_mutex_t lock;
	pthread_cond_t moved;
	pthread_t threads[THREADS];
	struct cw_seed_parity *parity;
	struct cw_target *target;
	struct cw_finisher_volume waiting[WAITING_MAX];
	size_t waiting_count;
	const struct cw_target_medium *busy[THREADS]; /* NULL: idle */
	unsigned started;
	bool is_ending;
	uint32_t *lost;
	size_t lost_count;
	struct cw_error why;	/* of the first that was lost */
	struct cw_error broken; /* the ledger failed */
};

static void
note_lost(void *arg, uint32_t number, const struct cw_error *why)
{
	struct cw_finisher *f = arg;

	pthread_mutex_lock(&f->lock);
	if (f->lost_count == 0)
		f->why = *why;
	f->lost = cw_reallocarray(f->lost, f->lost_count + 1, sizeof(*f->lost));
	f->lost[f->lost_count++] = number;
	pthread_mutex_unlock(&f->lock);
}

static void
finish(struct cw_finisher *f, struct cw_finisher_volume *v)
{
	struct cw_error why = CW_ERROR_INIT, fatal = CW_ERROR_INIT;
	int ret = cw_seed_parity_settle(
	    f->parity, v->file, v->number, &v->place, &why, &fatal);

	if (ret == 1)
		note_lost(f, v->number, &why);
	if (ret >= 0)
		return;
	pthread_mutex_lock(&f->lock);
	if (f->broken.code == CW_OK)
		f->broken = fatal;
	pthread_mutex_unlock(&f->lock);
}

/* The first volume on a medium that nobody reads; with the lock. */
static bool
choose(struct cw_finisher *f, struct cw_finisher_volume *out)
{
	for (size_t i = 0; i < f->waiting_count; i++) {
		bool is_busy = false;

		for (unsigned t = 0; t < THREADS; t++)
			is_busy |= f->busy[t] == f->waiting[i].place.medium;
		if (is_busy)
			continue;
		*out = f->waiting[i];
		f->waiting_count--;
		memmove(&f->waiting[i], &f->waiting[i + 1],
		    (f->waiting_count - i) * sizeof(f->waiting[0]));
		return true;
	}
	return false;
}

static void *
run(void *arg)
{
	struct cw_finisher *f = arg;
	struct cw_finisher_volume v;
	unsigned me;

	pthread_mutex_lock(&f->lock);
	me = f->started++;
	for (;;) {
		if (f->is_ending && cw_stop_requested())
			break;
		if (!choose(f, &v)) {
			if (f->is_ending && f->waiting_count == 0)
				break;
			pthread_cond_wait(&f->moved, &f->lock);
			continue;
		}
		f->busy[me] = v.place.medium;
		pthread_cond_broadcast(&f->moved);
		pthread_mutex_unlock(&f->lock);
		finish(f, &v);
		pthread_mutex_lock(&f->lock);
		f->busy[me] = NULL;
		pthread_cond_broadcast(&f->moved);
	}
	pthread_mutex_unlock(&f->lock);
	return NULL;
}

struct cw_finisher *
cw_finisher_new(struct cw_seed_parity *parity, struct cw_target *target)
{
	struct cw_finisher *f = cw_calloc(1, sizeof(*f));

	f->parity = parity;
	f->target = target;
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->moved, NULL);
	cw_seed_parity_on_lost(parity, note_lost, f);
	for (unsigned t = 0; t < THREADS; t++)
		if (cw_thread_start(&f->threads[t], run, f) != 0)
			abort(); /* only without memory */
	return f;
}

void
cw_finisher_free(struct cw_finisher *f)
{
	if (f == NULL)
		return;
	pthread_mutex_lock(&f->lock);
	f->is_ending = true;
	pthread_cond_broadcast(&f->moved);
	pthread_mutex_unlock(&f->lock);
	for (unsigned t = 0; t < THREADS; t++)
		pthread_join(f->threads[t], NULL);
	for (size_t i = 0; i < f->waiting_count; i++)
		cw_durable_free(f->waiting[i].file);
	cw_seed_parity_on_lost(f->parity, NULL, NULL);
	free(f->lost);
	pthread_cond_destroy(&f->moved);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

void
cw_finisher_put(struct cw_finisher *f, const struct cw_finisher_volume *volume)
{
	pthread_mutex_lock(&f->lock);
	while (f->waiting_count == WAITING_MAX)
		pthread_cond_wait(&f->moved, &f->lock);
	f->waiting[f->waiting_count++] = *volume;
	pthread_cond_broadcast(&f->moved);
	pthread_mutex_unlock(&f->lock);
}

/* With the lock. */
static void
wait_for_all(struct cw_finisher *f)
{
	for (unsigned t = 0; t < THREADS;) {
		if (f->waiting_count == 0 && f->busy[t] == NULL) {
			t++;
			continue;
		}
		pthread_cond_wait(&f->moved, &f->lock);
		t = 0;
	}
}

int
cw_finisher_drain(struct cw_finisher *f, bool at_end, uint32_t **lost,
    size_t *count, struct cw_error *why, struct cw_error *err)
{
	int ret = 0;

	pthread_mutex_lock(&f->lock);
	wait_for_all(f);
	if (at_end && f->lost_count == 0 && f->broken.code == CW_OK) {
		pthread_mutex_unlock(&f->lock);
		ret = cw_seed_parity_close(f->parity, NULL, err);
		pthread_mutex_lock(&f->lock);
	}
	*lost = f->lost;
	*count = f->lost_count;
	*why = f->why;
	f->lost = NULL;
	f->lost_count = 0;
	if (f->broken.code != CW_OK) {
		*err = f->broken;
		ret = -1;
	}
	pthread_mutex_unlock(&f->lock);
	return ret;
}
