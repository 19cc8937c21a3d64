#include "site/taking.h"

#include "base/fs.h"
#include "base/thread.h"
#include "store/contents.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct cw_taking {
	const struct cw_home *home;
	const struct cw_config_store *store;
	struct cw_progress *progress;
	int lock;
	pthread_t thread;

	pthread_mutex_t mutex;
	pthread_cond_t news; /* is_listed or has_ended */
	bool is_listed, has_ended;
	uint64_t generation; /* of what is listed */
	int ret;
	struct cw_generation taken;
	struct cw_error err;
};

/*
 * Looking contents up begins now, and from now on nobody else needs the store's
 * lock for it.
 */
static int
listed(void *arg, struct cw_catalog *c, struct cw_error *err)
{
	struct cw_taking *t = arg;

	if (cw_catalog_index_contents(c, err) < 0)
		return -1;
	(void)pthread_mutex_lock(&t->mutex);
	t->is_listed = true;
	t->generation = cw_catalog_info(c)->generation;
	(void)pthread_cond_signal(&t->news);
	(void)pthread_mutex_unlock(&t->mutex);
	return 0;
}

static void *
run(void *arg)
{
	struct cw_taking *t = arg;
	const struct cw_generation_options options = {
	    .progress = t->progress, .listed = listed, .arg = t};
	int ret =
	    cw_generation_take(t->home, t->store, &options, &t->taken, &t->err);

	(void)pthread_mutex_lock(&t->mutex);
	/* Whoever waits for the store need not wait for the line. */
	cw_close(&t->lock);
	t->ret = ret;
	t->has_ended = true;
	(void)pthread_cond_signal(&t->news);
	(void)pthread_mutex_unlock(&t->mutex);
	return NULL;
}

int
cw_taking_begin(const struct cw_home *home, const struct cw_config_store *store,
    int *lock, struct cw_progress *progress, struct cw_taking **out,
    uint64_t *generation, struct cw_error *err)
{
	struct cw_taking *t = cw_calloc(1, sizeof(*t));
	int code;

	t->home = home;
	t->store = store;
	t->progress = progress;
	t->lock = *lock;
	t->err = (struct cw_error)CW_ERROR_INIT;
	*lock = -1;
	(void)pthread_mutex_init(&t->mutex, NULL);
	(void)pthread_cond_init(&t->news, NULL);
	if ((code = cw_thread_start(&t->thread, run, t)) != 0) {
		cw_close(&t->lock);
		free(t);
		return cw_error_set(err, CW_ERR_FAILED,
		    "cannot start a thread: %s", strerror(code));
	}
	(void)pthread_mutex_lock(&t->mutex);
	while (!t->is_listed && !t->has_ended)
		(void)pthread_cond_wait(&t->news, &t->mutex);
	*generation = t->has_ended ? t->taken.scan.generation : t->generation;
	code = t->has_ended ? t->ret : 0;
	(void)pthread_mutex_unlock(&t->mutex);
	if (code < 0)
		return cw_taking_end(t, NULL, err);
	*out = t;
	return 0;
}

int
cw_taking_share_lock(struct cw_taking *t)
{
	int fd = -1;

	(void)pthread_mutex_lock(&t->mutex);
	if (t->lock >= 0)
		fd = fcntl(t->lock, F_DUPFD_CLOEXEC, 0);
	(void)pthread_mutex_unlock(&t->mutex);
	return fd;
}

bool
cw_taking_has_ended(struct cw_taking *t, bool *is_good)
{
	bool has_ended;

	(void)pthread_mutex_lock(&t->mutex);
	has_ended = t->has_ended;
	*is_good = t->ret == 0;
	(void)pthread_mutex_unlock(&t->mutex);
	return has_ended;
}

int
cw_taking_end(
    struct cw_taking *t, struct cw_generation *out, struct cw_error *err)
{
	int ret;

	(void)pthread_join(t->thread, NULL);
	ret = t->ret;
	if (ret < 0 && err != NULL)
		*err = t->err;
	if (out != NULL)
		*out = t->taken;
	(void)pthread_cond_destroy(&t->news);
	(void)pthread_mutex_destroy(&t->mutex);
	free(t);
	return ret;
}
