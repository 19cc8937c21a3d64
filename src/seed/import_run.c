/*
 * The volumes of a seed that is imported: several are read at once, and made
 * durable together.  One that is wrong or absent is rebuilt as soon as all
 * others of its parity group were read; none of them stops the rest.
 */
#include "seed/import_impl.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/thread.h"
#include "seed/import_volume.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THREADS_MAX 16u
/* More would take over 256 MiB together. */
#define THREADS_USUAL 4u
#define AHEAD_MAX     2u /* volumes that wait for the disk, when consuming */

/* A thread, and the volume it has under way. */
struct worker {
	struct import *im;
	struct cw_importer *importer;
	struct import_volume *v;
};

/* ---- whose turn it is; all of these hold the lock ---- */

static bool
can_rebuild(const struct import_volume *v)
{
	return !v->is_tried && v->group != NULL &&
	       (v->state == VOLUME_BROKEN || v->state == VOLUME_ABSENT);
}

/* A group of which nothing is left to be read: what lacks may be rebuilt. */
static void
queue_rebuilds(struct import *im, const struct import_group *g)
{
	const struct cw_manifest *m = &im->o->set->manifest;

	if (g->unread > 0)
		return;
	for (size_t i = 0; i < g->listed->count; i++) {
		struct import_volume *v =
		    import_find_volume(im, m->members[g->listed->first + i]);

		if (v == NULL || !can_rebuild(v))
			continue;
		v->is_tried = true;
		im->rebuild[im->rebuild_count++] = v;
	}
}

static struct import_volume *
next_waiting(struct import *im)
{
	while (im->next < im->volume_count) {
		struct import_volume *v = &im->volumes[im->next++];

		if (v->state == VOLUME_WAITING)
			return v;
	}
	return NULL;
}

/* The next one to read or (*is_rebuild) to rebuild; NULL at the end. */
static struct import_volume *
take(struct import *im, bool *is_rebuild)
{
	struct import_volume *v = NULL;

	pthread_mutex_lock(&im->lock);
	while (!im->is_stopped) {
		/* Room comes of what is on disk: do not run ahead of that. */
		if (im->o->consume && im->unconfirmed >= AHEAD_MAX) {
			pthread_cond_wait(&im->moved, &im->lock);
			continue;
		}
		*is_rebuild = im->rebuild_next < im->rebuild_count;
		if (*is_rebuild)
			v = im->rebuild[im->rebuild_next++];
		else
			v = next_waiting(im);
		/* Those under way may be the last ones of their groups. */
		if (v != NULL || im->taken == 0)
			break;
		pthread_cond_wait(&im->moved, &im->lock);
	}
	if (v != NULL) {
		if (!*is_rebuild)
			v->state = VOLUME_TAKEN;
		im->taken++;
	}
	pthread_mutex_unlock(&im->lock);
	return v;
}

/* The volume is read, or was given up. */
static void
settle(struct import *im, struct import_volume *v,
    enum import_volume_state state, bool was_rebuild)
{
	pthread_mutex_lock(&im->lock);
	v->state = state;
	if (state == VOLUME_READ) { /* to the thread that syncs */
		im->unsynced[im->unsynced_count++] = v;
		im->unconfirmed++;
	}
	if (v->group != NULL && !was_rebuild) {
		v->group->unread--;
		queue_rebuilds(im, v->group);
	}
	im->taken--;
	pthread_cond_broadcast(&im->moved);
	pthread_mutex_unlock(&im->lock);
}

static void
stop(struct import *im, const struct cw_error *err)
{
	pthread_mutex_lock(&im->lock);
	if (!im->is_stopped)
		im->first = *err;
	im->is_stopped = true;
	pthread_cond_broadcast(&im->moved);
	pthread_mutex_unlock(&im->lock);
}

/* ---- faults are the volume's until it is known what becomes of it ---- */

static void
hold_fault(void *arg, const char *sentence)
{
	struct import_volume *v = ((struct worker *)arg)->v;

	if (v->faults_in_all++ >= CW_IMPORT_FAULTS_MAX)
		return;
	v->faults =
	    cw_reallocarray(v->faults, v->fault_count + 1, sizeof(*v->faults));
	v->faults[v->fault_count++] = cw_strdup(sentence);
}

static void
drop_faults(struct import_volume *v)
{
	for (size_t i = 0; i < v->fault_count; i++)
		free(v->faults[i]);
	free(v->faults);
	v->faults = NULL;
	v->fault_count = v->faults_in_all = 0;
}

static void
tell_faults(struct import *im, struct import_volume *v)
{
	for (size_t i = 0; i < v->fault_count; i++)
		import_fault(im, v->faults[i]);
	pthread_mutex_lock(&im->lock);
	im->result->faults_in_all += v->faults_in_all - v->fault_count;
	pthread_mutex_unlock(&im->lock);
	drop_faults(v);
}

/* What is wrong with a damaged volume is one fault, however often it shows. */
static void
tell_damage(struct import *im, struct import_volume *v)
{
	size_t len = strlen(v->file->name);
	struct cw_buf text = CW_BUF_INIT;

	if (v->fault_count == 0)
		return;
	cw_buf_printf(&text, "medium %u: %s", v->file->medium, v->faults[0]);
	/* The last one says why parity does not help. */
	if (v->fault_count > 1) {
		const char *last = v->faults[v->fault_count - 1];

		if (strncmp(last, v->file->name, len) == 0 &&
		    strncmp(last + len, ": ", 2) == 0)
			last += len + 2;
		cw_buf_printf(&text, "; %s", last);
	}
	import_fault(im, cw_buf_string(&text));
	cw_buf_free(&text);
	drop_faults(v);
}

void
import_note_damage(struct import *im, const struct import_volume *v,
    enum cw_import_mended mended)
{
	struct cw_import_result *r = im->result;

	pthread_mutex_lock(&im->lock);
	if (r->damaged_in_all++ < CW_IMPORT_FAULTS_MAX) {
		struct cw_import_damage *d;

		r->damaged = cw_reallocarray(
		    r->damaged, r->damaged_count + 1, sizeof(*r->damaged));
		d = &r->damaged[r->damaged_count++];
		*d = (struct cw_import_damage){
		    .medium = v->file->medium, .mended = mended};
		memcpy(d->file, v->file->name, sizeof(d->file));
	}
	pthread_mutex_unlock(&im->lock);
}

/* ---- one volume ---- */

/* Opens it on a medium; -1 and held if it is not there as it should be. */
static int
open_volume(struct worker *w, const struct cw_set_medium *medium)
{
	const struct import_volume *v = w->v;
	struct cw_error why = CW_ERROR_INIT;
	struct stat st;
	int fd;

	fd = cw_set_open_file(medium->dirfd, v->file->name, 0, &st, &why);
	if (fd >= 0 && (uint64_t)st.st_size != v->file->size) {
		cw_error_set(&why, CW_ERR_DAMAGED,
		    "%s is %lld bytes, expected %" PRIu64, v->file->name,
		    (long long)st.st_size, v->file->size);
		/* What is there of it may hold files. */
		if (st.st_size == 0)
			cw_close(&fd);
		hold_fault(w, why.message);
	} else if (fd < 0) {
		hold_fault(w, why.message);
	} else {
		(void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	}
	return fd;
}

/*
 * There was no room.  When we delete what was imported there may be some, as
 * soon as that is on disk.  1 if it is worth trying again.
 */
static int
await_room(struct worker *w, uint64_t before, struct cw_error *err)
{
	struct import *im = w->im;
	bool freed;
	int ret;

	pthread_mutex_lock(&im->lock);
	while (im->unconfirmed > 0 && !im->is_stopped)
		pthread_cond_wait(&im->moved, &im->lock);
	freed = im->result->consumed > before;
	ret = im->is_stopped ? -1 : 0;
	pthread_mutex_unlock(&im->lock);
	if (ret < 0 || freed)
		return ret < 0 ? -1 : 1;
	if (import_consume_early(im, w->v, err) < 0)
		return -1;
	/* Another thread may have been first. */
	pthread_mutex_lock(&im->lock);
	freed = im->result->consumed > before;
	pthread_mutex_unlock(&im->lock);
	return freed ? 1 : 0;
}

static void
note_placed(struct worker *w, int imported)
{
	struct import_volume *v = w->v;

	v->is_counted = cw_importer_placed(w->importer, &v->placed) &&
			imported == CW_IMPORTED_WHOLE;
}

static int
run_in_room(struct worker *w, int fd, struct cw_error *err)
{
	struct import *im = w->im;
	const struct import_volume *v = w->v;

	for (;;) {
		struct cw_error full = CW_ERROR_INIT;
		uint64_t before;
		int ret;

		pthread_mutex_lock(&im->lock);
		before = im->result->consumed;
		pthread_mutex_unlock(&im->lock);
		ret = cw_importer_run(w->importer, fd, v->number, v->file->name,
		    v->file->size, v->file->sha256, &full);
		if (ret >= 0) {
			note_placed(w, ret);
			return ret;
		}
		*err = full;
		if (full.code != CW_ERR_NOSPACE || !im->o->consume)
			return -1;
		ret = await_room(w, before, err);
		if (ret <= 0)
			return -1;
		drop_faults(w->v);
		if (lseek(fd, 0, SEEK_SET) < 0)
			return cw_error_errno(
			    err, "cannot read %s again", v->file->name);
	}
}

static int
import_from(
    struct worker *w, const struct cw_set_medium *medium, struct cw_error *err)
{
	int fd = open_volume(w, medium), ret = CW_IMPORTED_DAMAGED;

	if (fd >= 0)
		ret = run_in_room(w, fd, err);
	cw_close(&fd);
	return ret;
}

/* Reads it from its medium, and where that is damaged from other copies. */
static int
import_copies(struct worker *w, struct cw_error *err)
{
	const struct cw_set *set = w->im->o->set;
	struct import_volume *v = w->v;
	int ret = import_from(w, v->medium, err);

	for (size_t i = 0; i < set->count && ret == CW_IMPORTED_DAMAGED; i++) {
		if (&set->media[i] == v->medium ||
		    !cw_set_holds(&set->media[i], v->file))
			continue;
		ret = import_from(w, &set->media[i], err);
		if (ret != CW_IMPORTED_WHOLE)
			continue;
		drop_faults(v);
		import_note_damage(w->im, v, CW_IMPORT_COPIED);
	}
	return ret;
}

static int
import_one(struct worker *w, struct cw_error *err)
{
	struct import *im = w->im;
	struct import_volume *v = w->v;
	int ret = import_copies(w, err);

	if (ret == CW_IMPORTED_DAMAGED && v->group == NULL)
		import_note_damage(im, v, CW_IMPORT_LOST);
	if (ret == CW_IMPORTED_WRONG)
		tell_faults(im, v);
	else if (ret == CW_IMPORTED_DAMAGED && v->group == NULL)
		tell_damage(im, v);
	settle(im, v,
	    ret == CW_IMPORTED_WHOLE			     ? VOLUME_READ
	    : ret == CW_IMPORTED_DAMAGED && v->group != NULL ? VOLUME_BROKEN
							     : VOLUME_FAULTY,
	    false);
	return ret < 0 ? -1 : 0;
}

/* From parity; one that can't be stays what it is, and is told. */
static int
rebuild_one(struct worker *w, struct cw_error *err)
{
	struct import *im = w->im;
	struct import_volume *v = w->v;
	bool is_damaged = v->state == VOLUME_BROKEN;
	enum import_volume_state state =
	    is_damaged ? VOLUME_FAULTY : VOLUME_ABSENT;
	bool is_rebuilt;
	int fd = -1, ret;

	ret = import_rebuild(im, v, &fd, err);
	is_rebuilt = ret == 0;
	if (ret == 0) {
		drop_faults(v);
		ret = cw_importer_run(w->importer, fd, v->number, v->file->name,
		    v->file->size, v->file->sha256, err);
		note_placed(w, ret);
		if (ret == CW_IMPORTED_WHOLE)
			state = VOLUME_READ;
		else
			state = VOLUME_FAULTY;
	} else if (ret == 1 && err->message[0] != '\0') {
		hold_fault(w, err->message);
	}
	cw_close(&fd);
	if (is_damaged && ret >= 0)
		import_note_damage(im, v,
		    state == VOLUME_READ ? CW_IMPORT_REBUILT : CW_IMPORT_LOST);
	if (ret >= 0 && is_rebuilt)
		tell_faults(im, v);
	else if (ret >= 0)
		tell_damage(im, v);
	if (state == VOLUME_READ) {
		pthread_mutex_lock(&im->lock);
		im->result->rebuilt++;
		pthread_mutex_unlock(&im->lock);
	}
	settle(im, v, state, true);
	return ret < 0 ? -1 : 0;
}

static void *
work(void *arg)
{
	struct worker w = {.im = arg};
	struct import *im = arg;
	bool is_rebuild = false;
	struct cw_error err = CW_ERROR_INIT;
	int ret;

	ret = cw_importer_new(im->catalog_path, im->o->identity, im->roots,
	    im->root_count, hold_fault, &w, im->o->progress, &w.importer, &err);
	while (ret == 0 && (w.v = take(im, &is_rebuild)) != NULL) {
		err = (struct cw_error)CW_ERROR_INIT;
		ret = is_rebuild ? rebuild_one(&w, &err) : import_one(&w, &err);
	}
	if (ret < 0)
		stop(im, &err);
	if (w.importer != NULL) {
		pthread_mutex_lock(&im->lock);
		if (cw_importer_unmapped(w.importer) > im->result->unmapped)
			im->result->unmapped = cw_importer_unmapped(w.importer);
		pthread_mutex_unlock(&im->lock);
	}
	cw_importer_free(w.importer);
	return NULL;
}

/* ---- durability ---- */

/*
 * What the volumes hold is on disk, then it is said so; only then may they be
 * deleted.
 */
static int
finish_batch(struct import *im, struct cw_place *place,
    struct import_volume *const *batch, size_t count, struct cw_error *err)
{
	struct cw_buf lines = CW_BUF_INIT;
	int ret;

	for (size_t i = 0; i < count; i++)
		import_done_line(&lines, batch[i]);
	ret = cw_place_sync(place, err);
	if (ret == 0)
		ret = import_write_done(im, &lines, err);
	cw_buf_free(&lines);
	for (size_t i = 0; i < count; i++) {
		struct import_volume *v = batch[i];

		pthread_mutex_lock(&im->lock);
		v->state = ret < 0 ? VOLUME_FAULTY : VOLUME_DONE;
		if (ret == 0 && v->group != NULL)
			v->group->undone--;
		pthread_mutex_unlock(&im->lock);
	}
	for (size_t i = 0; i < count && ret == 0; i++)
		ret = import_consume(im, batch[i], err);
	pthread_mutex_lock(&im->lock);
	im->unconfirmed -= count;
	pthread_cond_broadcast(&im->moved);
	pthread_mutex_unlock(&im->lock);
	return ret;
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
		struct import_volume **batch;
		size_t count;

		while (im->unsynced_count == 0 && !im->is_ending)
			pthread_cond_wait(&im->moved, &im->lock);
		count = im->unsynced_count;
		if (count == 0)
			break;
		batch = cw_memdup(im->unsynced, count * sizeof(*batch));
		im->unsynced_count = 0;
		pthread_mutex_unlock(&im->lock);
		if (finish_batch(im, place, batch, count, &err) < 0)
			stop(im, &err);
		free(batch);
		pthread_mutex_lock(&im->lock);
	}
	pthread_mutex_unlock(&im->lock);
	cw_place_free(place);
	return NULL;
}

/*
 * A volume keeps two cores busy, one of them opens ahead; but both wait at
 * times for each other and for the disk, and each takes some 45 MB.
 */
static unsigned
usual_threads(void)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned count = 2 + (cores < 1 ? 0 : (unsigned)cores / 2);

	return count < THREADS_USUAL ? count : THREADS_USUAL;
}

int
import_run_volumes(struct import *im, struct cw_error *err)
{
	unsigned count = im->o->threads != 0 ? im->o->threads : usual_threads();
	pthread_t threads[THREADS_MAX], syncer;
	uint64_t bytes = 0;

	for (size_t i = 0; i < im->volume_count; i++)
		if (im->volumes[i].state == VOLUME_WAITING)
			bytes += im->volumes[i].file->size;
	cw_progress_start(im->o->progress, "importing", bytes, 0);
	if (count > THREADS_MAX)
		count = THREADS_MAX;
	im->unsynced = cw_calloc(im->volume_count + 1, sizeof(*im->unsynced));
	im->rebuild = cw_calloc(im->volume_count + 1, sizeof(*im->rebuild));
	import_count_groups(im);
	for (size_t i = 0; i < im->o->set->manifest.group_count; i++)
		queue_rebuilds(im, &im->groups[i]);
	if (cw_thread_start(&syncer, sync_volumes, im) != 0)
		abort(); /* only without memory */
	for (unsigned i = 0; i < count; i++)
		if (cw_thread_start(&threads[i], work, im) != 0)
			abort();
	for (unsigned i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	pthread_mutex_lock(&im->lock);
	im->is_ending = true;
	pthread_cond_broadcast(&im->moved);
	pthread_mutex_unlock(&im->lock);
	pthread_join(syncer, NULL);
	cw_recover_free(im->recover);
	im->recover = NULL;
	if (im->is_stopped) {
		*err = im->first;
		return -1;
	}
	return 0;
}
