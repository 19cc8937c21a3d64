#include "seed/finisher.h"

#include "base/buf.h"
#include "media/set.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WAITING_MAX 2u

struct cw_finisher {
	pthread_mutex_t lock;
	pthread_cond_t moved;
	pthread_t thread;
	struct cw_ledger *ledger;
	struct cw_target *target;
	struct cw_finisher_volume waiting[WAITING_MAX];
	size_t waiting_count;
	bool is_busy, is_ending;
	uint32_t *lost;
	size_t lost_count;
	struct cw_error why;	/* of the first that was lost */
	struct cw_error broken; /* the ledger failed */
};

/*
 * The ledger says what the volume is before it gets its name, so that a file
 * that turns up on a medium later is never taken for one of ours.
 */
static int
settle(struct cw_finisher *f, struct cw_finisher_volume *v,
    struct cw_error *why, struct cw_error *fatal)
{
	struct cw_durable_result result;
	struct cw_ledger_volume line;
	char name[32];

	if (cw_durable_prove(v->file, &result, why) < 0)
		return -1;
	line.number = v->number;
	line.medium = v->medium->is.number;
	line.size = result.size;
	memcpy(line.sha256, result.sha256, sizeof(line.sha256));
	memcpy(line.xxh, result.xxh, sizeof(line.xxh));
	if (cw_ledger_add_volume(f->ledger, &line, fatal) < 0) {
		*why = *fatal;
		return -1;
	}
	if (cw_durable_finish(v->file, &result, why) == 0)
		return 0;
	/* Where only the directory's sync failed, it has its name. */
	(void)snprintf(name, sizeof(name), "%06u" CW_SET_VOLUME, v->number);
	(void)unlinkat(v->medium->folder, name, 0);
	(void)cw_ledger_lose_volume(f->ledger, v->number, fatal);
	return -1;
}

static void
finish(struct cw_finisher *f, struct cw_finisher_volume *v)
{
	struct cw_error why = CW_ERROR_INIT, fatal = CW_ERROR_INIT;
	bool is_lost = settle(f, v, &why, &fatal) < 0;

	cw_durable_free(v->file);
	cw_target_release(f->target, v->medium, v->promised,
	    is_lost && fatal.code == CW_OK ? &why : NULL);
	pthread_mutex_lock(&f->lock);
	if (is_lost) {
		if (f->lost_count == 0)
			f->why = why;
		f->lost = cw_reallocarray(f->lost, f->lost_count + 1,
		    sizeof(*f->lost));
		f->lost[f->lost_count++] = v->number;
	}
	if (fatal.code != CW_OK && f->broken.code == CW_OK)
		f->broken = fatal;
	pthread_mutex_unlock(&f->lock);
}

static void *
run(void *arg)
{
	struct cw_finisher *f = arg;

	pthread_mutex_lock(&f->lock);
	for (;;) {
		struct cw_finisher_volume v;

		while (f->waiting_count == 0 && !f->is_ending)
			pthread_cond_wait(&f->moved, &f->lock);
		if (f->is_ending)
			break;
		v = f->waiting[0];
		f->waiting_count--;
		memmove(&f->waiting[0], &f->waiting[1],
		    f->waiting_count * sizeof(f->waiting[0]));
		f->is_busy = true;
		pthread_cond_broadcast(&f->moved);
		pthread_mutex_unlock(&f->lock);
		finish(f, &v);
		pthread_mutex_lock(&f->lock);
		f->is_busy = false;
		pthread_cond_broadcast(&f->moved);
	}
	pthread_mutex_unlock(&f->lock);
	return NULL;
}

struct cw_finisher *
cw_finisher_new(struct cw_ledger *ledger, struct cw_target *target)
{
	struct cw_finisher *f = cw_calloc(1, sizeof(*f));

	f->ledger = ledger;
	f->target = target;
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->moved, NULL);
	if (pthread_create(&f->thread, NULL, run, f) != 0)
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
	pthread_join(f->thread, NULL);
	for (size_t i = 0; i < f->waiting_count; i++)
		cw_durable_free(f->waiting[i].file);
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

int
cw_finisher_drain(struct cw_finisher *f, uint32_t **lost, size_t *count,
    struct cw_error *why, struct cw_error *err)
{
	int ret = 0;

	pthread_mutex_lock(&f->lock);
	while (f->waiting_count > 0 || f->is_busy)
		pthread_cond_wait(&f->moved, &f->lock);
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
