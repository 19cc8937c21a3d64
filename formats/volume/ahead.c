#include "formats/volume/ahead.h"

#include "base/buf.h"
#include "base/thread.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

/* One is filled, one is read, and one smooths what differs. */
#define SLOTS 3u

struct slot {
	uint8_t *data; /* CW_ZFRAME_SHORT_MAX */
	size_t len;
};

struct cw_ahead {
	struct cw_zframe_reader *frames;
	pthread_t thread;
	bool has_thread;
	bool is_lent; /* the slot of `taken` is being read */

	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct slot slots[SLOTS];
	uint64_t filled, taken; /* slots, since start */
	bool is_ended;		/* no slot will be filled any more */
	bool is_stopping;
	int ret;	     /* how it ended */
	struct cw_error why; /* and why */
};

struct cw_ahead *
cw_ahead_new(void)
{
	struct cw_ahead *a = cw_calloc(1, sizeof(*a));

	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->changed, NULL);
	for (size_t i = 0; i < SLOTS; i++)
		a->slots[i].data = cw_malloc(CW_ZFRAME_SHORT_MAX);
	return a;
}

void
cw_ahead_free(struct cw_ahead *a)
{
	if (a == NULL)
		return;
	cw_ahead_stop(a);
	for (size_t i = 0; i < SLOTS; i++)
		free(a->slots[i].data);
	pthread_cond_destroy(&a->changed);
	pthread_mutex_destroy(&a->lock);
	free(a);
}

static void *
run(void *arg)
{
	struct cw_ahead *a = arg;

	pthread_mutex_lock(&a->lock);
	while (!a->is_ended) {
		struct slot *s = &a->slots[a->filled % SLOTS];
		int ret;

		while (a->filled - a->taken == SLOTS && !a->is_stopping)
			pthread_cond_wait(&a->changed, &a->lock);
		if (a->is_stopping)
			break;
		pthread_mutex_unlock(&a->lock);
		ret = cw_zframe_next_into(a->frames, s->data, &s->len, &a->why);
		pthread_mutex_lock(&a->lock);
		if (ret < 0 || s->len == 0) {
			a->ret = ret;
			a->is_ended = true;
		} else {
			a->filled++;
		}
		pthread_cond_broadcast(&a->changed);
	}
	pthread_mutex_unlock(&a->lock);
	return NULL;
}

void
cw_ahead_start(struct cw_ahead *a, struct cw_zframe_reader *frames)
{
	cw_ahead_stop(a);
	a->frames = frames;
	a->filled = a->taken = 0;
	a->is_lent = a->is_ended = a->is_stopping = false;
	a->ret = 0;
	a->why = (struct cw_error)CW_ERROR_INIT;
	a->has_thread = cw_thread_start(&a->thread, run, a) == 0;
}

void
cw_ahead_stop(struct cw_ahead *a)
{
	if (a == NULL || !a->has_thread)
		return;
	pthread_mutex_lock(&a->lock);
	a->is_stopping = true;
	pthread_cond_broadcast(&a->changed);
	pthread_mutex_unlock(&a->lock);
	pthread_join(a->thread, NULL);
	a->has_thread = false;
}

int
cw_ahead_next(
    struct cw_ahead *a, const uint8_t **data, size_t *len, struct cw_error *err)
{
	const struct slot *s;
	int ret = 0;

	if (!a->has_thread)
		return cw_zframe_next(a->frames, data, len, err);
	pthread_mutex_lock(&a->lock);
	if (a->is_lent) {
		a->is_lent = false;
		a->taken++;
		pthread_cond_broadcast(&a->changed);
	}
	while (a->filled == a->taken && !a->is_ended)
		pthread_cond_wait(&a->changed, &a->lock);
	s = &a->slots[a->taken % SLOTS];
	*data = s->data;
	*len = 0;
	if (a->filled != a->taken) {
		*len = s->len;
		a->is_lent = true;
	} else {
		ret = a->ret;
		if (ret < 0 && err != NULL)
			*err = a->why;
	}
	pthread_mutex_unlock(&a->lock);
	return ret;
}
