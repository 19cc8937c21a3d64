/*
 * The volumes of a seed that is imported: several are read at once, and made
 * durable together.
 */
#include "seed/import_impl.h"

#include "base/buf.h"
#include "base/bytes.h"
#include "base/fs.h"
#include "seed/import_trust.h"
#include "seed/import_volume.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THREADS_MAX 16u

int
import_read_done(struct import *im, struct cw_error *err)
{
	struct cw_buf text = CW_BUF_INIT;
	int dir, ret = -1;
	char *at;

	dir = cw_open_dir(im->store_dir, err);
	if (dir < 0)
		return -1;
	if (cw_read_file(dir, DONE_FILE, 16u << 20, &text, err) < 0)
		goto out;
	for (at = cw_buf_string(&text); *at != '\0';) {
		size_t len = strcspn(at, "\n");
		uint64_t number;

		if (at[len] == '\0')
			break; /* torn */
		if (cw_decimal_parse(at, len, 999999, &number))
			for (size_t i = 0; i < im->volume_count; i++)
				if (im->volumes[i].number == number)
					im->volumes[i].state = VOLUME_DONE;
		at += len + 1;
	}
	im->done_fd = openat(
	    dir, DONE_FILE, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (im->done_fd < 0) {
		cw_error_errno(err, "cannot open %s/" DONE_FILE, im->store_dir);
		goto out;
	}
	ret = cw_sync(dir, err);
	if (ret < 0)
		cw_error_context(err, "%s", im->store_dir);
out:
	cw_close(&dir);
	cw_buf_free(&text);
	return ret;
}

static bool
volume_number(const char *name, uint32_t *number)
{
	uint64_t value;
	size_t i = 0;

	while (i < 6 && name[i] == '0')
		i++;
	if (strlen(name) != 6 + strlen(CW_SET_VOLUME) ||
	    strcmp(name + 6, CW_SET_VOLUME) != 0 ||
	    !cw_decimal_parse(name + i, 6 - i, 999999, &value))
		return false;
	*number = (uint32_t)value;
	return true;
}

void
import_list_volumes(struct import *im)
{
	const struct cw_set *set = im->o->set;
	const struct cw_manifest *m = &set->manifest;

	im->volumes = cw_calloc(m->file_count, sizeof(*im->volumes));
	for (size_t i = 0; i < m->file_count; i++) {
		struct import_volume *v = &im->volumes[im->volume_count];

		if (!volume_number(m->files[i].name, &v->number))
			continue;
		v->file = &m->files[i];
		v->medium = cw_set_find(set, v->file->medium);
		v->state = v->medium == NULL ? VOLUME_ABSENT : VOLUME_WAITING;
		im->volume_count++;
	}
}

static struct import_volume *
next_volume(struct import *im)
{
	struct import_volume *v = NULL;

	pthread_mutex_lock(&im->lock);
	while (im->next < im->volume_count && v == NULL && !im->is_stopped) {
		v = &im->volumes[im->next++];
		if (v->state != VOLUME_WAITING)
			v = NULL;
	}
	if (v != NULL)
		v->state = VOLUME_TAKEN;
	pthread_mutex_unlock(&im->lock);
	return v;
}

static void
stop(struct import *im, const struct cw_error *err)
{
	pthread_mutex_lock(&im->lock);
	if (!im->is_stopped)
		im->first = *err;
	im->is_stopped = true;
	pthread_mutex_unlock(&im->lock);
}

/* Hands a volume that is read to the thread that syncs. */
static void
hand_over(struct import *im, struct import_volume *v)
{
	pthread_mutex_lock(&im->lock);
	im->unsynced[im->unsynced_count++] = v;
	pthread_cond_broadcast(&im->moved);
	pthread_mutex_unlock(&im->lock);
}

static int
import_one(struct import *im, struct cw_importer *w, struct import_volume *v,
    struct cw_error *err)
{
	struct cw_error why = CW_ERROR_INIT;
	struct stat st;
	int fd, ret;

	fd = cw_set_open_file(v->medium->dirfd, v->file->name, 0, &st, &why);
	if (fd < 0 || (uint64_t)st.st_size != v->file->size) {
		if (fd >= 0)
			cw_error_set(&why, CW_ERR_DAMAGED,
			    "%s is %lld bytes, expected %" PRIu64,
			    v->file->name, (long long)st.st_size,
			    v->file->size);
		cw_close(&fd);
		import_fault(im, why.message);
		v->state = VOLUME_FAULTY;
		return 0;
	}
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	ret = cw_importer_run(w, fd, v->number, v->file->name, v->file->size,
	    v->file->sha256, err);
	cw_close(&fd);
	if (ret == 0)
		hand_over(im, v);
	else if (ret == 1)
		v->state = VOLUME_FAULTY;
	return ret < 0 ? -1 : 0;
}

static void *
work(void *arg)
{
	struct import *im = arg;
	struct cw_error err = CW_ERROR_INIT;
	struct cw_importer *w = NULL;
	struct import_volume *v;
	int ret;

	ret = cw_importer_new(im->catalog_path, im->o->identity, im->roots,
	    im->root_count, import_fault, im, im->o->progress, &w, &err);
	while (ret == 0 && (v = next_volume(im)) != NULL)
		ret = import_one(im, w, v, &err);
	if (ret < 0)
		stop(im, &err);
	if (w != NULL) {
		pthread_mutex_lock(&im->lock);
		if (cw_importer_unmapped(w) > im->result->unmapped)
			im->result->unmapped = cw_importer_unmapped(w);
		pthread_mutex_unlock(&im->lock);
	}
	cw_importer_free(w);
	return NULL;
}

/*
 * Makes batches of volumes durable and says so in the file of what is done,
 * while others are read.
 */
static void *
sync_volumes(void *arg)
{
	struct import *im = arg;
	struct cw_place *place = cw_place_new(im->roots, im->root_count);
	struct cw_error err = CW_ERROR_INIT;

	pthread_mutex_lock(&im->lock);
	for (;;) {
		struct cw_buf lines = CW_BUF_INIT;
		size_t count;
		int ret;

		while (im->unsynced_count == 0 && !im->is_ending)
			pthread_cond_wait(&im->moved, &im->lock);
		count = im->unsynced_count;
		if (count == 0)
			break;
		for (size_t i = 0; i < count; i++)
			cw_buf_printf(&lines, "%u\n", im->unsynced[i]->number);
		pthread_mutex_unlock(&im->lock);

		ret = cw_place_sync(place, &err);
		if (ret == 0 && (cw_write_all(im->done_fd, lines.data,
				     lines.len, &err) < 0 ||
				    cw_sync(im->done_fd, &err) < 0))
			ret = cw_error_context(
			    &err, "%s/" DONE_FILE, im->store_dir);
		cw_buf_free(&lines);
		if (ret < 0)
			stop(im, &err);

		pthread_mutex_lock(&im->lock);
		for (size_t i = 0; i < count; i++)
			im->unsynced[i]->state =
			    ret < 0 ? VOLUME_FAULTY : VOLUME_DONE;
		im->unsynced_count -= count;
		memmove(im->unsynced, im->unsynced + count,
		    im->unsynced_count * sizeof(*im->unsynced));
	}
	pthread_mutex_unlock(&im->lock);
	cw_place_free(place);
	return NULL;
}

int
import_run_volumes(struct import *im, struct cw_error *err)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned count = im->o->threads != 0 ? im->o->threads
			 : cores < 1	     ? 1
					     : (unsigned)cores;
	pthread_t threads[THREADS_MAX], syncer;
	uint64_t bytes = 0;

	for (size_t i = 0; i < im->volume_count; i++)
		if (im->volumes[i].state == VOLUME_WAITING)
			bytes += im->volumes[i].file->size;
	cw_progress_start(im->o->progress, "importing", bytes, 0);
	if (count > THREADS_MAX)
		count = THREADS_MAX;
	im->unsynced = cw_calloc(im->volume_count, sizeof(*im->unsynced));
	if (pthread_create(&syncer, NULL, sync_volumes, im) != 0)
		abort(); /* only without memory */
	for (unsigned i = 0; i < count; i++)
		if (pthread_create(&threads[i], NULL, work, im) != 0)
			abort();
	for (unsigned i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	pthread_mutex_lock(&im->lock);
	im->is_ending = true;
	pthread_cond_broadcast(&im->moved);
	pthread_mutex_unlock(&im->lock);
	pthread_join(syncer, NULL);
	if (im->is_stopped) {
		*err = im->first;
		return -1;
	}
	return 0;
}
