/*
 * The threads of a listing: jobs wait in line, batches go round.
 */
#include "store/scan_dir.h"

#include "base/fs.h"
#include "base/thread.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

/* Jobs that a thread takes at once. */
#define JOBS_MAX 32u
/* Full batches with more items than this a thread keep the threads waiting. */
#define ITEMS_A_THREAD (4u * LIST_BATCH_ITEMS)
/* A batch that grew beyond this is not kept. */
#define KEPT_ITEMS 1024u
#define KEPT_BYTES (128u << 10)

struct job_queue {
	struct list_job *first; /* first in, first out */
	struct list_job **end;
	size_t count;
};

struct batch_queue {
	struct list_batch *first; /* in the order in which they were filled */
	struct list_batch **end;
	size_t items;
};

struct lister {
	/* The feeder's own; the threads hear of it when it takes. */
	struct job_queue fed;
	struct list_batch *spent;
	size_t ended;	   /* jobs */
	size_t last_known; /* of under_way, which falls meanwhile */

	pthread_mutex_t lock;	   /* for what follows */
	pthread_cond_t job_came;   /* or stop */
	pthread_cond_t room_came;  /* or stop */
	pthread_cond_t batch_came; /* or under_way fell to what is awaited */
	struct job_queue jobs;
	struct batch_queue full;
	struct list_batch *empty;
	size_t under_way; /* jobs submitted and not yet ended */
	size_t awaited;
	atomic_bool stop;
	struct lister_thread *threads;
	unsigned thread_count;
};

struct lister_thread {
	struct lister *lister;
	pthread_t id;
	/* What the lister has yet to be told. */
	struct batch_queue full;
	size_t passed_over;
};

static void
batch_free(struct list_batch *b)
{
	free(b->items);
	cw_buf_free(&b->bytes);
	free(b);
}

static void
job_free(struct list_job *job)
{
	cw_close(&job->fd);
	free(job);
}

static void
jobs_init(struct job_queue *q)
{
	q->first = NULL;
	q->end = &q->first;
	q->count = 0;
}

static void
batches_init(struct batch_queue *q)
{
	q->first = NULL;
	q->end = &q->first;
	q->items = 0;
}

static void
batches_append(struct batch_queue *q, struct batch_queue *more)
{
	if (more->first == NULL)
		return;
	*q->end = more->first;
	q->end = more->end;
	q->items += more->items;
	batches_init(more);
}

/* ---- the threads' side ---- */

struct list_batch *
lister_empty(struct lister_thread *t)
{
	struct lister *l = t->lister;
	struct list_batch *b;

	pthread_mutex_lock(&l->lock);
	b = l->empty;
	if (b != NULL)
		l->empty = b->next;
	pthread_mutex_unlock(&l->lock);
	return b != NULL ? b : cw_calloc(1, sizeof(*b));
}

/* Hands over all that the thread has. */
static void
hand_over(struct lister_thread *t)
{
	struct lister *l = t->lister;

	pthread_mutex_lock(&l->lock);
	while (l->full.items >= (size_t)l->thread_count * ITEMS_A_THREAD &&
	       !l->stop)
		pthread_cond_wait(&l->room_came, &l->lock);
	batches_append(&l->full, &t->full);
	l->under_way -= t->passed_over;
	t->passed_over = 0;
	if (l->full.first != NULL || l->under_way <= l->awaited)
		pthread_cond_signal(&l->batch_came);
	pthread_mutex_unlock(&l->lock);
}

void
lister_fill(struct lister_thread *t, struct list_batch *b)
{
	b->next = NULL;
	*t->full.end = b;
	t->full.end = &b->next;
	t->full.items += b->count;
	if (t->full.items >= LIST_BATCH_ITEMS)
		hand_over(t);
}

void
lister_pass_over(
    struct lister_thread *t, struct list_job *job, struct list_batch *unused)
{
	struct lister *l = t->lister;

	job_free(job);
	t->passed_over++;
	if (unused == NULL)
		return;
	pthread_mutex_lock(&l->lock);
	unused->next = l->empty;
	l->empty = unused;
	pthread_mutex_unlock(&l->lock);
}

/*
 * The next jobs, or NULL to end.  Of few of them no thread takes so many that
 * the others have nothing to do.
 */
static struct list_job *
jobs_get(struct lister *l)
{
	struct list_job *jobs = NULL, *last;
	size_t count;

	pthread_mutex_lock(&l->lock);
	while (l->jobs.first == NULL && !l->stop)
		pthread_cond_wait(&l->job_came, &l->lock);
	if (!l->stop) {
		count = l->jobs.count / l->thread_count;
		count = count == 0 ? 1 : count > JOBS_MAX ? JOBS_MAX : count;
		jobs = last = l->jobs.first;
		for (size_t i = 1; i < count; i++)
			last = last->next;
		l->jobs.first = last->next;
		l->jobs.count -= count;
		if (l->jobs.first == NULL)
			l->jobs.end = &l->jobs.first;
		last->next = NULL;
	}
	pthread_mutex_unlock(&l->lock);
	return jobs;
}

static void *
work(void *arg)
{
	struct lister_thread *t = arg;
	struct listing *s = listing_new(t);
	struct list_job *job, *next;

	while ((job = jobs_get(t->lister)) != NULL) {
		for (; job != NULL; job = next) {
			next = job->next;
			if (t->lister->stop)
				job_free(job);
			else
				listing_run(s, job);
		}
		hand_over(t);
	}
	listing_free(s);
	return NULL;
}

/* ---- the feeder's side ---- */

struct lister *
lister_new(unsigned threads)
{
	struct lister *l = cw_calloc(1, sizeof(*l));

	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->job_came, NULL);
	pthread_cond_init(&l->room_came, NULL);
	pthread_cond_init(&l->batch_came, NULL);
	jobs_init(&l->fed);
	jobs_init(&l->jobs);
	batches_init(&l->full);
	l->threads = cw_calloc(threads, sizeof(*l->threads));
	pthread_mutex_lock(&l->lock);
	for (unsigned i = 0; i < threads; i++) {
		struct lister_thread *t = &l->threads[i];

		t->lister = l;
		batches_init(&t->full);
		if (cw_thread_start(&t->id, work, t) != 0)
			break;
		l->thread_count++;
	}
	pthread_mutex_unlock(&l->lock);
	if (l->thread_count == 0)
		abort(); /* no memory for a stack */
	return l;
}

static void
jobs_free(struct job_queue *q)
{
	for (struct list_job *job = q->first, *next; job != NULL; job = next) {
		next = job->next;
		job_free(job);
	}
}

static void
batches_free(struct list_batch *b)
{
	for (struct list_batch *next; b != NULL; b = next) {
		next = b->next;
		batch_free(b);
	}
}

void
lister_free(struct lister *l)
{
	if (l == NULL)
		return;
	pthread_mutex_lock(&l->lock);
	l->stop = true;
	pthread_cond_broadcast(&l->job_came);
	pthread_cond_broadcast(&l->room_came);
	pthread_mutex_unlock(&l->lock);
	for (unsigned i = 0; i < l->thread_count; i++)
		pthread_join(l->threads[i].id, NULL);
	jobs_free(&l->fed);
	jobs_free(&l->jobs);
	for (struct list_batch *b = l->full.first, *next; b != NULL; b = next) {
		next = b->next;
		if (b->end != LIST_MORE)
			job_free(b->job);
		batch_free(b);
	}
	batches_free(l->empty);
	batches_free(l->spent);
	pthread_cond_destroy(&l->job_came);
	pthread_cond_destroy(&l->room_came);
	pthread_cond_destroy(&l->batch_came);
	pthread_mutex_destroy(&l->lock);
	free(l->threads);
	free(l);
}

/* Tells the threads what the feeder did; l->lock is held. */
static void
feed(struct lister *l)
{
	struct list_batch *b;

	l->under_way += l->fed.count;
	l->under_way -= l->ended;
	l->ended = 0;
	while ((b = l->spent) != NULL) {
		l->spent = b->next;
		b->next = l->empty;
		l->empty = b;
	}
	if (l->fed.first != NULL) {
		*l->jobs.end = l->fed.first;
		l->jobs.end = l->fed.end;
		l->jobs.count += l->fed.count;
		jobs_init(&l->fed);
		pthread_cond_broadcast(&l->job_came);
	}
	l->last_known = l->under_way;
}

void
lister_submit(struct lister *l, struct list_job *job)
{
	job->next = NULL;
	job->fd = -1;
	*l->fed.end = job;
	l->fed.end = &job->next;
	if (++l->fed.count < JOBS_MAX)
		return;
	pthread_mutex_lock(&l->lock);
	feed(l);
	pthread_mutex_unlock(&l->lock);
}

/*
 * Takes the batch of the lowest directory, so that rows are written nearly in
 * the order of their key; of one directory's batches the earliest.
 */
static struct list_batch *
take_lowest(struct batch_queue *q)
{
	struct list_batch **best = &q->first, *b;

	for (struct list_batch **at = best; *at != NULL; at = &(*at)->next) {
		if ((*at)->job->dir < (*best)->job->dir)
			best = at;
	}
	b = *best;
	*best = b->next;
	if (b->next == NULL)
		q->end = best;
	q->items -= b->count;
	return b;
}

struct list_batch *
lister_take(struct lister *l, size_t under_way)
{
	struct list_batch *b = NULL;

	pthread_mutex_lock(&l->lock);
	feed(l);
	l->awaited = under_way;
	while (l->full.first == NULL && l->under_way > under_way)
		pthread_cond_wait(&l->batch_came, &l->lock);
	l->last_known = l->under_way;
	if (l->full.first != NULL) {
		b = take_lowest(&l->full);
		pthread_cond_broadcast(&l->room_came);
	}
	pthread_mutex_unlock(&l->lock);
	return b;
}

void
lister_return(struct lister *l, struct list_batch *b)
{
	if (b->end != LIST_MORE) {
		job_free(b->job);
		l->ended++;
	}
	b->job = NULL;
	if (b->capacity > KEPT_ITEMS || b->bytes.cap > KEPT_BYTES) {
		batch_free(b);
		return;
	}
	b->next = l->spent;
	l->spent = b;
}

size_t
lister_under_way(const struct lister *l)
{
	return l->last_known + l->fed.count - l->ended;
}
