/*
 * The threads of a listing: jobs wait in line, batches go round.
 */
#include "store/scan_dir.h"

#include "base/fs.h"

#include <pthread.h>
#include <stdlib.h>

#define BATCHES_A_THREAD 4u

struct lister {
	pthread_mutex_t lock;
	pthread_cond_t job_came;   /* or stop */
	pthread_cond_t empty_came; /* or stop */
	pthread_cond_t batch_came;
	struct list_job *jobs; /* first in, first out */
	struct list_job **jobs_end;
	struct list_batch *full;
	struct list_batch *empty;
	size_t batches;	  /* made so far */
	size_t in_flight; /* jobs submitted and not yet returned */
	bool stop;
	pthread_t *threads;
	unsigned thread_count;
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
	free(job->path);
	free(job);
}

/* Waits for an empty one; all but a few threads' worth are with the feeder. */
struct list_batch *
lister_empty(struct lister *l)
{
	struct list_batch *b;

	pthread_mutex_lock(&l->lock);
	while (l->empty == NULL && !l->stop &&
	       l->batches >= (size_t)l->thread_count * BATCHES_A_THREAD)
		pthread_cond_wait(&l->empty_came, &l->lock);
	b = l->empty;
	if (b != NULL)
		l->empty = b->next;
	else
		l->batches++;
	pthread_mutex_unlock(&l->lock);
	return b != NULL ? b : cw_calloc(1, sizeof(*b));
}

static void
batch_put(struct lister *l, struct list_batch *b)
{
	pthread_mutex_lock(&l->lock);
	b->next = l->empty;
	l->empty = b;
	pthread_cond_signal(&l->empty_came);
	pthread_mutex_unlock(&l->lock);
}

void
lister_fill(struct lister *l, struct list_batch *b)
{
	pthread_mutex_lock(&l->lock);
	b->next = l->full;
	l->full = b;
	pthread_cond_signal(&l->batch_came);
	pthread_mutex_unlock(&l->lock);
}

/* The next job, or NULL to end. */
static struct list_job *
job_get(struct lister *l)
{
	struct list_job *job = NULL;

	pthread_mutex_lock(&l->lock);
	while (l->jobs == NULL && !l->stop)
		pthread_cond_wait(&l->job_came, &l->lock);
	if (!l->stop) {
		job = l->jobs;
		l->jobs = job->next;
		if (l->jobs == NULL)
			l->jobs_end = &l->jobs;
	}
	pthread_mutex_unlock(&l->lock);
	return job;
}

static void *
work(void *arg)
{
	struct lister *l = arg;
	struct listing *s = listing_new(l);
	struct list_job *job;

	while ((job = job_get(l)) != NULL)
		listing_run(s, job);
	listing_free(s);
	return NULL;
}

struct lister *
lister_new(unsigned threads)
{
	struct lister *l = cw_calloc(1, sizeof(*l));

	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->job_came, NULL);
	pthread_cond_init(&l->empty_came, NULL);
	pthread_cond_init(&l->batch_came, NULL);
	l->jobs_end = &l->jobs;
	l->threads = cw_calloc(threads, sizeof(*l->threads));
	for (unsigned i = 0; i < threads; i++) {
		if (pthread_create(&l->threads[i], NULL, work, l) != 0)
			break;
		l->thread_count++;
	}
	if (l->thread_count == 0)
		abort(); /* no memory for a stack */
	return l;
}

void
lister_free(struct lister *l)
{
	if (l == NULL)
		return;
	pthread_mutex_lock(&l->lock);
	l->stop = true;
	pthread_cond_broadcast(&l->job_came);
	pthread_cond_broadcast(&l->empty_came);
	pthread_mutex_unlock(&l->lock);
	for (unsigned i = 0; i < l->thread_count; i++)
		pthread_join(l->threads[i], NULL);
	while (l->jobs != NULL) {
		struct list_job *next = l->jobs->next;

		job_free(l->jobs);
		l->jobs = next;
	}
	for (struct list_batch *b = l->full, *next; b != NULL; b = next) {
		next = b->next;
		if (b->end != LIST_MORE)
			job_free(b->job);
		batch_free(b);
	}
	for (struct list_batch *b = l->empty, *next; b != NULL; b = next) {
		next = b->next;
		batch_free(b);
	}
	pthread_cond_destroy(&l->job_came);
	pthread_cond_destroy(&l->empty_came);
	pthread_cond_destroy(&l->batch_came);
	pthread_mutex_destroy(&l->lock);
	free(l->threads);
	free(l);
}

void
lister_submit(struct lister *l, struct list_job *job)
{
	job->next = NULL;
	job->fd = -1;
	pthread_mutex_lock(&l->lock);
	*l->jobs_end = job;
	l->jobs_end = &job->next;
	l->in_flight++;
	pthread_cond_signal(&l->job_came);
	pthread_mutex_unlock(&l->lock);
}

/*
 * Takes the batch of the lowest directory, so that rows are written nearly in
 * the order of their key; of one directory's batches the earliest.
 */
struct list_batch *
lister_take(struct lister *l)
{
	struct list_batch **best = NULL, *b = NULL;

	pthread_mutex_lock(&l->lock);
	while (l->full == NULL && l->in_flight > 0)
		pthread_cond_wait(&l->batch_came, &l->lock);
	for (struct list_batch **at = &l->full; *at != NULL;
	     at = &(*at)->next) {
		/* The list is last in, first out: <= finds the earliest. */
		if (best == NULL || (*at)->job->dir <= (*best)->job->dir)
			best = at;
	}
	if (best != NULL) {
		b = *best;
		*best = b->next;
	}
	pthread_mutex_unlock(&l->lock);
	return b;
}

void
lister_return(struct lister *l, struct list_batch *b)
{
	if (b->end != LIST_MORE) {
		job_free(b->job);
		pthread_mutex_lock(&l->lock);
		l->in_flight--;
		pthread_mutex_unlock(&l->lock);
	}
	b->job = NULL;
	batch_put(l, b);
}

size_t
lister_in_flight(const struct lister *l)
{
	return l->in_flight; /* written by the caller's thread only */
}
