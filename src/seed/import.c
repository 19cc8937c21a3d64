#include "seed/import.h"

#include "base/buf.h"
#include "base/bytes.h"
#include "base/crypto.h"
#include "base/fs.h"
#include "base/text.h"
#include "replica/place.h"
#include "seed/import_trust.h"
#include "seed/import_volume.h"
#include "seed/sealed_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define THREADS_MAX 16u
/*
 * A catalog that opens to more than this is a bomb: half of a row are digests,
 * so that it shrinks to a third, and never to a 64th.
 */
#define CATALOG_FACTOR 64u
#define CATALOG_LEAST  (64ull << 20)
#define CATALOG_MAX    (64ull << 30) /* a hundred million entries */
/* Volumes that are imported, one number a line; in the store's folder. */
#define DONE_FILE "import.done"

enum volume_state {
	WAITING,
	TAKEN,
	DONE,	/* imported, and that is on disk */
	FAULTY, /* something in it is wrong */
	ABSENT, /* not on the media that are here */
};

struct volume {
	uint32_t number;
	const struct cw_manifest_file *file;
	const struct cw_set_medium *medium; /* NULL: absent */
	enum volume_state state;
};

struct import {
	const struct cw_import_options *o;
	struct cw_import_result *result;
	char *store_dir;
	char *catalog_path;
	struct cw_catalog *catalog;
	struct cw_place_root *roots;
	size_t root_count;
	struct volume *volumes;
	size_t volume_count;
	int done_fd;

	pthread_mutex_t lock;
	pthread_cond_t moved;
	size_t next;
	bool is_stopped;
	struct cw_error first;

	/* Volumes that are read but not yet on disk. */
	struct volume **unsynced;
	size_t unsynced_count;
	bool is_ending;
};

static void
fault(void *arg, const char *sentence)
{
	struct import *im = arg;
	struct cw_import_result *r = im->result;

	pthread_mutex_lock(&im->lock);
	r->faults_in_all++;
	if (r->fault_count < CW_IMPORT_FAULTS_MAX) {
		r->faults = cw_reallocarray(r->faults, r->fault_count + 1,
		    sizeof(*r->faults));
		r->faults[r->fault_count++] = cw_strdup(sentence);
	}
	pthread_mutex_unlock(&im->lock);
}

/* ---- the catalog ---- */

/* Any medium's, either copy. */
static int
find_catalog(const struct import *im, struct cw_error *err)
{
	static const char *const names[] = {CW_SET_CATALOG,
	    CW_SET_COPY "/" CW_SET_CATALOG};
	const struct cw_set *set = im->o->set;

	for (size_t i = 0; i < set->count; i++) {
		const struct cw_set_medium *m = &set->media[i];
		const struct cw_manifest_file *listed = cw_manifest_find(
		    &set->manifest, m->number, CW_SET_CATALOG);

		for (size_t k = 0; listed != NULL && k < 2; k++) {
			int fd = cw_import_open_listed(m, names[k], listed, err);

			if (fd >= 0)
				return fd;
			if (cw_stop_requested())
				return -1;
		}
	}
	return cw_error_set(err, CW_ERR_MISSING,
	    "no whole copy of the catalog is on the media that are here: bring "
	    "another medium of the set, or use --without-catalog with --store "
	    "and --root");
}

/*
 * What a crash left of one that was coming in, SQLite's own files as well:
 * it would take an old log for that of the new file.
 */
static int
remove_incoming(const char *path, struct cw_error *err)
{
	static const char *const ends[] = {"-wal", "-shm", "-journal", ""};
	int ret = 0;

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]) && ret == 0;
	     i++) {
		char *name = cw_asprintf("%s%s", path, ends[i]);

		if (unlink(name) < 0 && errno != ENOENT)
			ret = cw_error_errno(err, "cannot remove %s", name);
		free(name);
	}
	return ret;
}

static uint64_t
catalog_max(int sealed)
{
	struct stat st;
	uint64_t size;

	if (fstat(sealed, &st) < 0 || st.st_size < 0)
		return CATALOG_LEAST;
	size = (uint64_t)st.st_size;
	return size > (CATALOG_MAX - CATALOG_LEAST) / CATALOG_FACTOR ?
	    CATALOG_MAX :
	    CATALOG_LEAST + CATALOG_FACTOR * size;
}

/* Opens, checks and names it; the file is then at *path. */
static int
receive_catalog(struct import *im, char **path, struct cw_error *err)
{
	struct cw_catalog *foreign = NULL;
	const struct cw_catalog_info *info;
	int sealed, out = -1, ret = -1;

	sealed = find_catalog(im, err);
	if (sealed < 0)
		return -1;
	*path = cw_asprintf("%s/.incoming-%s.sqlite", im->o->stores_path,
	    im->o->set->seed_text);
	if (remove_incoming(*path, err) < 0)
		goto out;
	out = open(*path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (out < 0) {
		cw_error_errno(err, "cannot create %s", *path);
		goto out;
	}
	if (cw_sealed_file_read(sealed, out, im->o->identity,
		catalog_max(sealed), err) < 0 ||
	    cw_sync(out, err) < 0) {
		cw_error_context(err, "the seed's catalog, opened into %s",
		    *path);
		goto out;
	}
	if (cw_catalog_open_foreign(*path, &foreign, err) < 0) {
		cw_error_context(err, "the seed's catalog");
		goto out;
	}
	info = cw_catalog_info(foreign);
	if (memcmp(info->store_id, im->o->set->manifest.store_id,
		CW_STORE_ID_SIZE) != 0 ||
	    !info->has_seed ||
	    memcmp(info->seed_id, im->o->set->seed_id, CW_SEED_ID_SIZE) != 0) {
		cw_error_set(err, CW_ERR_DAMAGED,
		    "the catalog is of another seed than the manifest");
		goto out;
	}
	(void)snprintf(im->result->store, sizeof(im->result->store), "%s",
	    im->o->store != NULL ? im->o->store : info->name);
	ret = 0;
out:
	cw_catalog_close(foreign);
	cw_close(&sealed);
	cw_close(&out);
	if (ret < 0 && *path != NULL)
		(void)unlink(*path);
	return ret;
}

static int
note_is(struct cw_catalog *c, const char *key, const char *value,
    bool *is_equal, struct cw_error *err)
{
	char *text = NULL;
	int ret = cw_catalog_note_get(c, key, &text, err);

	*is_equal = ret == 0 && strcmp(text, value) == 0;
	free(text);
	return ret < 0 ? -1 : 0;
}

enum found {
	FOUND_NOTHING,
	FOUND_THIS,  /* the same seed: go on, or done */
	FOUND_OTHER, /* a replica of the store by another seed */
};

/* Compares what is in the store's folder with the seed. */
static int
judge(struct import *im, struct cw_catalog *old, enum found *found,
    struct cw_error *err)
{
	const struct cw_set *set = im->o->set;
	const struct cw_catalog_info *info = cw_catalog_info(old);
	bool is_standby, is_this;
	uint64_t generation = 0;
	char *text = NULL;
	int ret;

	if (note_is(old, CW_NOTE_ROLE, "standby", &is_standby, err) < 0 ||
	    note_is(old, CW_NOTE_IMPORT_SEED, set->seed_text, &is_this, err) <
		0)
		return -1;
	if (!is_standby)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "store %s is active at this site: a seed is received at "
		    "the recovery site, or here under another name (--store)",
		    im->result->store);
	if (memcmp(info->store_id, set->manifest.store_id, CW_STORE_ID_SIZE) !=
	    0)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "this site has a replica named %s of another store: choose "
		    "another name with --store",
		    im->result->store);
	*found = is_this ? FOUND_THIS : FOUND_OTHER;
	if (is_this)
		return 0;
	ret = cw_catalog_note_get(old, CW_NOTE_IMPORT_GENERATION, &text, err);
	if (ret == 0)
		(void)cw_decimal_parse(text, strlen(text), UINT64_MAX,
		    &generation);
	free(text);
	if (ret < 0)
		return -1;
	if (info->generation > generation)
		generation = info->generation;
	if (set->manifest.generation < generation && !im->o->allow_older)
		return cw_error_set(err, CW_ERR_UNTRUSTED,
		    "seed %s is older (generation %" PRIu64
		    ") than the replica %s, which is at %" PRIu64
		    ": somebody may have put an old medium in place of a new "
		    "one; --allow-older takes it all the same",
		    set->seed_text, set->manifest.generation, im->result->store,
		    generation);
	im->result->has_replaced = true;
	return 0;
}

static int
look_at_store(struct import *im, enum found *found, struct cw_error *err)
{
	struct cw_catalog *old = NULL;
	int ret;

	*found = FOUND_NOTHING;
	if (access(im->catalog_path, F_OK) != 0)
		return 0;
	if (cw_catalog_open(im->catalog_path, CW_CATALOG_WRITE, &old, err) < 0)
		return -1;
	ret = judge(im, old, found, err);
	if (ret == 0 && *found == FOUND_THIS)
		im->catalog = old;
	else
		cw_catalog_close(old);
	return ret;
}

/* ---- roots ---- */

static bool
is_empty(int fd)
{
	struct dirent *entry;
	bool empty = true;
	DIR *dir;
	int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	dir = again < 0 ? NULL : fdopendir(again);
	if (dir == NULL) {
		cw_close(&again);
		return false;
	}
	while ((entry = readdir(dir)) != NULL && empty)
		empty = strcmp(entry->d_name, ".") == 0 ||
		    strcmp(entry->d_name, "..") == 0 ||
		    strcmp(entry->d_name, "lost+found") == 0;
	closedir(dir);
	return empty;
}

static char *
root_note(const char *name)
{
	return cw_asprintf("import.root.%s", name);
}

/*
 * Opens (makes) one root's directory; it is empty, or ours from before.  What
 * a catalog that just came in says of before is another site's, or a lie.
 */
static int
open_root(struct import *im, const char *name, const char *path,
    bool is_new, struct cw_error *err)
{
	struct cw_place_root *root = &im->roots[im->root_count];
	char *real, *note = root_note(name), *before = NULL;
	int ret = -1;

	if (mkdir(path, 0700) < 0 && errno != EEXIST) {
		cw_error_errno(err, "cannot make the root %s", path);
		free(note);
		return -1;
	}
	real = realpath(path, NULL);
	root->dirfd = cw_open_dir(path, err);
	if (root->dirfd < 0 || real == NULL)
		goto out;
	root->name = name;
	im->result->roots[im->root_count].name = cw_strdup(name);
	im->result->roots[im->root_count].path = cw_strdup(real);
	im->result->root_count = ++im->root_count;
	if (!is_new && cw_catalog_note_get(im->catalog, note, &before, err) < 0)
		goto out;
	if (before != NULL && strcmp(before, real) != 0) {
		cw_error_set(err, CW_ERR_REFUSED,
		    "this seed is being received into %s: go on with --root "
		    "%s=%s, or remove the replica first",
		    before, name, before);
		goto out;
	}
	if (before == NULL) {
		if (!is_empty(root->dirfd)) {
			cw_error_set(err, CW_ERR_REFUSED,
			    "%s is not empty: receive into an empty directory, "
			    "nothing there is ever overwritten",
			    real);
			goto out;
		}
		if (cw_catalog_note_set(im->catalog, note, real, err) < 0)
			goto out;
	}
	ret = 0;
out:
	free(before);
	free(note);
	free(real);
	return ret;
}

static int
open_roots(struct import *im, bool is_new, struct cw_error *err)
{
	const struct cw_import_options *o = im->o;
	const struct cw_root *listed;
	struct cw_root *roots;
	size_t count;
	int ret = 0;

	listed = cw_catalog_roots(im->catalog, &count);
	roots = cw_memdup(listed, count * sizeof(*listed));
	im->roots = cw_calloc(count, sizeof(*im->roots));
	for (size_t i = 0; i < count; i++)
		im->roots[i].dirfd = -1;
	im->result->roots = cw_calloc(count, sizeof(*im->result->roots));
	for (size_t i = 0; i < count && ret == 0; i++) {
		const char *path = NULL;

		for (size_t k = 0; k < o->root_count; k++)
			if (o->roots[k].name == NULL ?
				count == 1 :
				strcmp(o->roots[k].name, roots[i].name) == 0)
				path = o->roots[k].path;
		if (path == NULL && count == 1 && o->root_count == 1)
			path = o->roots[0].path;
		if (path == NULL)
			ret = cw_error_set(err, CW_ERR_USAGE,
			    "the store has %zu roots, and none was given for "
			    "%s: add --root %s=DIR",
			    count, roots[i].name, roots[i].name);
		else
			ret = open_root(im, listed[i].name, path, is_new, err);
		listed = cw_catalog_roots(im->catalog, &count);
	}
	if (ret == 0 && o->root_count > count)
		ret = cw_error_set(err, CW_ERR_USAGE,
		    "%zu roots were given, the store has %zu", o->root_count,
		    count);
	/* The catalog's list moves when notes are set; keep our own names. */
	for (size_t i = 0; i < im->root_count; i++)
		im->roots[i].name = im->result->roots[i].name;
	free(roots);
	return ret;
}

static int
declare(struct import *im, struct cw_error *err)
{
	return im->o->declare == NULL ?
	    0 :
	    im->o->declare(im->o->declare_arg, im->result, err);
}

/* ---- the state directory ---- */

/*
 * The catalog gets its place.  Order: notes, then the name; a catalog with a
 * name is always one that resume can go on with.
 */
static int
install_catalog(struct import *im, const char *incoming, struct cw_error *err)
{
	const struct cw_set *set = im->o->set;
	char number[24];
	int dir = -1, ret = -1;

	if (cw_make_dirs(im->store_dir, 0700, err) < 0)
		return -1;
	dir = cw_open_dir(im->store_dir, err);
	if (dir < 0)
		return -1;
	if (cw_catalog_open(incoming, CW_CATALOG_WRITE, &im->catalog, err) < 0)
		goto out;
	(void)snprintf(number, sizeof(number), "%" PRIu64,
	    set->manifest.generation);
	if (cw_catalog_note_set(im->catalog, CW_NOTE_ROLE, "standby", err) <
		0 ||
	    cw_catalog_note_set(im->catalog, CW_NOTE_IMPORT_SEED,
		set->seed_text, err) < 0 ||
	    cw_catalog_note_set(im->catalog, CW_NOTE_IMPORT_GENERATION, number,
		err) < 0 ||
	    cw_catalog_note_set(im->catalog, CW_NOTE_IMPORT_STATE, "running",
		err) < 0)
		goto out;
	/*
	 * Roots are looked at before the name appears, so that a refusal
	 * leaves no trace.  Then SQLite's own files must be gone, since they
	 * go by the name: closing does that.
	 */
	if (open_roots(im, true, err) < 0 || declare(im, err) < 0)
		goto out;
	cw_catalog_close(im->catalog);
	im->catalog = NULL;
	if (unlinkat(dir, DONE_FILE, 0) < 0 && errno != ENOENT) {
		cw_error_errno(err, "cannot remove " DONE_FILE);
		goto out;
	}
	if (im->result->has_replaced) {
		char *old = cw_asprintf("%s.replaced", im->catalog_path);
		bool is_moved = rename(im->catalog_path, old) == 0;

		free(old);
		if (!is_moved) {
			cw_error_errno(err, "cannot move %s aside",
			    im->catalog_path);
			goto out;
		}
	}
	if (rename(incoming, im->catalog_path) < 0) {
		cw_error_errno(err, "cannot rename %s to %s", incoming,
		    im->catalog_path);
		goto out;
	}
	if (cw_sync(dir, err) < 0) {
		cw_error_context(err, "%s", im->store_dir);
		goto out;
	}
	ret = cw_catalog_open(im->catalog_path, CW_CATALOG_WRITE, &im->catalog,
	    err);
out:
	if (ret < 0) {
		cw_catalog_close(im->catalog);
		im->catalog = NULL;
	}
	cw_close(&dir);
	return ret;
}

static int
read_done(struct import *im, struct cw_error *err)
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
					im->volumes[i].state = DONE;
		at += len + 1;
	}
	im->done_fd = openat(dir, DONE_FILE,
	    O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (im->done_fd < 0) {
		cw_error_errno(err, "cannot open %s/" DONE_FILE,
		    im->store_dir);
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

/* ---- volumes ---- */

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

static void
list_volumes(struct import *im)
{
	const struct cw_set *set = im->o->set;
	const struct cw_manifest *m = &set->manifest;

	im->volumes = cw_calloc(m->file_count, sizeof(*im->volumes));
	for (size_t i = 0; i < m->file_count; i++) {
		struct volume *v = &im->volumes[im->volume_count];

		if (!volume_number(m->files[i].name, &v->number))
			continue;
		v->file = &m->files[i];
		v->medium = cw_set_find(set, v->file->medium);
		v->state = v->medium == NULL ? ABSENT : WAITING;
		im->volume_count++;
	}
}

static struct volume *
next_volume(struct import *im)
{
	struct volume *v = NULL;

	pthread_mutex_lock(&im->lock);
	while (im->next < im->volume_count && v == NULL && !im->is_stopped) {
		v = &im->volumes[im->next++];
		if (v->state != WAITING)
			v = NULL;
	}
	if (v != NULL)
		v->state = TAKEN;
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
hand_over(struct import *im, struct volume *v)
{
	pthread_mutex_lock(&im->lock);
	im->unsynced[im->unsynced_count++] = v;
	pthread_cond_broadcast(&im->moved);
	pthread_mutex_unlock(&im->lock);
}

static int
import_volume(struct import *im, struct cw_importer *w, struct volume *v,
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
		fault(im, why.message);
		v->state = FAULTY;
		return 0;
	}
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	ret = cw_importer_run(w, fd, v->number, v->file->name, v->file->size,
	    v->file->sha256, err);
	cw_close(&fd);
	if (ret == 0)
		hand_over(im, v);
	else if (ret == 1)
		v->state = FAULTY;
	return ret < 0 ? -1 : 0;
}

static void *
work(void *arg)
{
	struct import *im = arg;
	struct cw_error err = CW_ERROR_INIT;
	struct cw_importer *w = NULL;
	struct volume *v;
	int ret;

	ret = cw_importer_new(im->catalog_path, im->o->identity, im->roots,
	    im->root_count, fault, im, im->o->progress, &w, &err);
	while (ret == 0 && (v = next_volume(im)) != NULL)
		ret = import_volume(im, w, v, &err);
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
		if (ret == 0 &&
		    (cw_write_all(im->done_fd, lines.data, lines.len, &err) <
			    0 ||
			cw_sync(im->done_fd, &err) < 0))
			ret = cw_error_context(&err, "%s/" DONE_FILE,
			    im->store_dir);
		cw_buf_free(&lines);
		if (ret < 0)
			stop(im, &err);

		pthread_mutex_lock(&im->lock);
		for (size_t i = 0; i < count; i++)
			im->unsynced[i]->state = ret < 0 ? FAULTY : DONE;
		im->unsynced_count -= count;
		memmove(im->unsynced, im->unsynced + count,
		    im->unsynced_count * sizeof(*im->unsynced));
	}
	pthread_mutex_unlock(&im->lock);
	cw_place_free(place);
	return NULL;
}

static int
run_workers(struct import *im, struct cw_error *err)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned count = im->o->threads != 0 ? im->o->threads :
	    cores < 1			     ? 1 :
					       (unsigned)cores;
	pthread_t threads[THREADS_MAX], syncer;
	uint64_t bytes = 0;

	for (size_t i = 0; i < im->volume_count; i++)
		if (im->volumes[i].state == WAITING)
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

/* ---- before and after the volumes ---- */

/* Calls each for the entries of a kind, with their paths. */
static int
walk(struct import *im, const struct cw_walk_query *query,
    int (*each)(struct import *im, const char *path, const struct cw_entry *e,
	void *arg, struct cw_error *err),
    void *arg, struct cw_error *err)
{
	struct cw_catalog *c = NULL;
	struct cw_buf path = CW_BUF_INIT;
	struct cw_walk *w = NULL;
	struct cw_entry e;
	int64_t dir = -1;
	size_t dir_len = 0;
	int ret;

	/* A connection of its own: each may use im->catalog. */
	ret = cw_catalog_open(im->catalog_path, CW_CATALOG_READ, &c, err);
	if (ret == 0)
		ret = cw_walk_open(c, query, &w, err);
	while (ret == 0 && (ret = cw_walk_next(w, &e, err)) == 1) {
		ret = cw_stop_check(err);
		if (ret == 0 && e.dir != dir) {
			const char *text;

			ret = cw_catalog_dir_path(c, e.dir, &text, &dir_len,
			    err);
			if (ret < 0)
				break;
			dir = e.dir;
			cw_buf_reset(&path);
			cw_buf_append(&path, text, dir_len);
			if (dir_len++ > 0)
				cw_buf_append(&path, "/", 1);
			else
				dir_len = 0;
		}
		if (ret == 0) {
			path.len = dir_len;
			cw_buf_append(&path, e.name, e.name_len);
			ret = each(im, cw_buf_string(&path), &e, arg, err);
		}
	}
	cw_walk_close(w);
	cw_catalog_close(c);
	cw_buf_free(&path);
	return ret;
}

static int
make_dir(struct import *im, const char *path, const struct cw_entry *e,
    void *arg, struct cw_error *err)
{
	(void)im;
	(void)e;
	return cw_place_dir(arg, path, err);
}

static int
finish_dir(struct import *im, const char *path, const struct cw_entry *e,
    void *arg, struct cw_error *err)
{
	(void)im;
	return cw_place_dir_finish(arg, path, e, err);
}

static int
make_symlink(struct import *im, const char *path, const struct cw_entry *e,
    void *arg, struct cw_error *err)
{
	struct stat st;
	int ret;

	(void)im;
	/* What is as it should be stays: run again, nothing changes. */
	ret = cw_place_stat(arg, path, &st, err);
	if (ret < 0)
		return -1;
	return cw_place_symlink(arg, path, e, err);
}

static bool
is_placed(const struct stat *st, const struct cw_entry *e)
{
	return S_ISREG(st->st_mode) && (uint64_t)st->st_size == e->size &&
	    (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec ==
	    e->mtime_ns;
}

/*
 * Names of one file.  Those that lay in one volume are links already; here
 * those of different volumes become one.  A name is taken away before it is
 * linked: one that an interruption left missing is linked when we come again.
 */
struct group {
	struct cw_place *place;
	int64_t id;
	uint8_t digest[CW_DIGEST_SIZE];
	uint64_t size;
	char *path;
};

static int
join_links(struct import *im, const char *path, const struct cw_entry *e,
    void *arg, struct cw_error *err)
{
	struct group *g = arg;
	struct stat st;
	int ret;

	(void)im;
	ret = cw_place_stat(g->place, path, &st, err);
	if (ret < 0 || (ret == 0 && !is_placed(&st, e)))
		return ret;
	if (g->path != NULL && g->id == e->linkgroup && g->size == e->size &&
	    memcmp(g->digest, e->digest, sizeof(g->digest)) == 0)
		return cw_place_link(g->place, path, g->path, err);
	if (ret == 1)
		return 0;
	free(g->path);
	g->path = cw_strdup(path);
	g->id = e->linkgroup;
	g->size = e->size;
	memcpy(g->digest, e->digest, sizeof(g->digest));
	return 0;
}

/* Files of which all parts should be here now. */
struct cut {
	struct import *im;
	struct cw_place *place;
	struct cw_error *err;
	struct cw_buf awaited; /* their names, each dir, length, bytes */
};

static int
await_part(void *arg, uint32_t part, uint32_t parts, uint32_t number)
{
	struct import *im = arg;

	(void)part;
	(void)parts;
	for (size_t i = 0; i < im->volume_count; i++)
		if (im->volumes[i].number == number)
			return im->volumes[i].state == DONE ? 0 : 1;
	return 1;
}

static int
check_content(int fd, const struct cw_entry *e, bool *is_good,
    struct cw_error *err)
{
	struct cw_sha256 *sha = cw_sha256_new();
	uint8_t *buf = cw_malloc(1u << 20), digest[CW_DIGEST_SIZE];
	uint64_t size = 0;
	size_t got = 0;
	int ret;

	do {
		ret = cw_read_full(fd, buf, 1u << 20, &got, err);
		cw_sha256_update(sha, buf, got);
		size += got;
		if (ret == 0)
			ret = cw_stop_check(err);
	} while (ret == 0 && got > 0);
	cw_sha256_final(sha, digest);
	*is_good = size == e->size && e->has_digest &&
	    memcmp(digest, e->digest, sizeof(digest)) == 0;
	cw_sha256_free(sha);
	free(buf);
	return ret;
}

static int
finish_cut(void *arg, int64_t dir, const char *name, size_t len)
{
	struct cut *cut = arg;
	struct import *im = cut->im;
	struct cw_catalog *c = NULL;
	const char *dir_path;
	char *path = NULL;
	struct cw_entry e;
	size_t dir_len;
	bool is_good = false;
	int fd = -1, ret;

	/* A connection of its own: the caller's statement is running. */
	if (cw_catalog_open(im->catalog_path, CW_CATALOG_READ, &c, cut->err) <
	    0)
		return -1;
	ret = cw_catalog_parts(c, dir, name, len, await_part, im, cut->err);
	if (ret != 0) {
		ret = ret < 0 ? -1 : 0;
		goto out;
	}
	ret = cw_catalog_dir_path(c, dir, &dir_path, &dir_len, cut->err);
	if (ret < 0)
		goto out;
	path = cw_asprintf("%.*s/%.*s", (int)dir_len, dir_path, (int)len, name);
	ret = cw_catalog_lookup(c, dir, name, len, &e, cut->err);
	if (ret != 0)
		goto out;
	ret = cw_place_open(cut->place, path, &fd, cut->err);
	if (ret == 0)
		ret = check_content(fd, &e, &is_good, cut->err);
	cw_close(&fd);
	if (ret < 0)
		goto out;
	if (!is_good) {
		fault(im, "the parts of a file do not make the file that the "
			  "catalog lists");
		for (size_t i = 0; i < im->volume_count; i++)
			if (im->volumes[i].number == e.volume)
				im->volumes[i].state = FAULTY;
		ret = 0;
		goto out;
	}
	ret = cw_place_file_begin(cut->place, path, true, &fd, cut->err);
	if (ret == 0)
		ret = cw_place_file_finish(cut->place, &fd, &e, cut->err);
out:
	free(path);
	cw_catalog_close(c);
	return ret;
}

static const struct volume *
find_volume(const struct import *im, uint32_t number)
{
	/* On a single medium they stand in order. */
	if (number > 0 && number <= im->volume_count &&
	    im->volumes[number - 1].number == number)
		return &im->volumes[number - 1];
	for (size_t i = 0; i < im->volume_count; i++)
		if (im->volumes[i].number == number)
			return &im->volumes[i];
	return NULL;
}

/*
 * Counts the files that did not arrive.  Of a volume that came whole all are
 * there, unless the signer listed some that it does not hold; what is there
 * of it was checked when it was written, and may be a name of a file whose
 * other name has another time.
 */
static int
count_wanted(struct import *im, const char *path, const struct cw_entry *e,
    void *arg, struct cw_error *err)
{
	const struct volume *v = find_volume(im, e->volume);
	bool is_done = v != NULL && v->state == DONE;
	char quoted[CW_QUOTE_MAX], *sentence;
	struct stat st;
	int ret;

	ret = cw_place_stat(arg, path, &st, err);
	if (ret < 0)
		return -1;
	if (ret == 0 &&
	    (is_done ?
		    S_ISREG(st.st_mode) && (uint64_t)st.st_size == e->size :
		    is_placed(&st, e)))
		return 0;
	im->result->wanted++;
	/* No volume: it could not be read at the active site. */
	if (is_done || (v == NULL && e->volume != 0)) {
		cw_text_quote(path, strlen(path), quoted);
		sentence = cw_asprintf(
		    "%s: the catalog lists it in volume %u, which does not "
		    "hold it",
		    quoted, e->volume);
		fault(im, sentence);
		free(sentence);
	}
	return 0;
}

static int
note_awaited(struct import *im, bool *is_whole, struct cw_error *err)
{
	struct cw_buf text = CW_BUF_INIT;
	int ret;

	*is_whole = true;
	for (size_t i = 0; i < im->volume_count; i++) {
		const struct volume *v = &im->volumes[i];

		if (v->state == DONE) {
			im->result->volumes++;
			continue;
		}
		*is_whole = false;
		cw_buf_printf(&text, "%s%u", text.len > 0 ? " " : "",
		    v->number);
	}
	ret = cw_catalog_note_set(im->catalog, CW_NOTE_IMPORT_AWAITED,
	    *is_whole ? NULL : cw_buf_string(&text), err);
	cw_buf_free(&text);
	return ret;
}

static void
list_absent(struct import *im)
{
	struct cw_import_result *r = im->result;

	for (size_t i = 0; i < im->volume_count; i++) {
		uint32_t number = im->volumes[i].file->medium;
		bool is_listed = false;

		if (im->volumes[i].state != ABSENT)
			continue;
		for (size_t k = 0; k < r->absent_count; k++)
			is_listed |= r->absent[k] == number;
		if (is_listed)
			continue;
		r->absent = cw_reallocarray(r->absent, r->absent_count + 1,
		    sizeof(*r->absent));
		r->absent[r->absent_count++] = number;
	}
}

/* What volumes can't give: links over volumes, symlinks, directories. */
static int
complete(struct import *im, struct cw_place *place, struct cw_error *err)
{
	const struct cw_walk_query dirs = {.dir = CW_WALK_ALL_DIRS,
	    .kind = 'd'};
	const struct cw_walk_query symlinks = {.dir = CW_WALK_ALL_DIRS,
	    .kind = 'l'};
	const struct cw_walk_query files = {.dir = CW_WALK_ALL_DIRS,
	    .kind = 'f'};
	const struct cw_walk_query links = {.dir = CW_WALK_ALL_DIRS,
	    .kind = 'f',
	    .by_links = true};
	struct cut cut = {.im = im, .place = place, .err = err};
	struct group group = {.place = place};
	uint64_t left_out = 0, bytes;
	bool is_whole = false;
	int ret;

	cw_progress_start(im->o->progress, "completing", 0, 0);
	ret = cw_catalog_each_cut(im->catalog, finish_cut, &cut, err);
	if (ret == 0)
		ret = walk(im, &links, join_links, &group, err);
	free(group.path);
	if (ret == 0)
		ret = walk(im, &files, count_wanted, place, err);
	if (ret == 0)
		ret = walk(im, &symlinks, make_symlink, place, err);
	if (ret == 0)
		ret = walk(im, &dirs, finish_dir, place, err);
	if (ret == 0)
		ret = cw_place_sync(place, err);
	if (ret == 0)
		ret = note_awaited(im, &is_whole, err);
	if (ret == 0)
		ret = cw_catalog_unpacked(im->catalog, &left_out, &bytes, err);
	if (ret == 0 && left_out > 0)
		fault(im, "some files could not be read at the active site "
			  "when the seed was packed: no medium has them");
	is_whole = is_whole && left_out == 0 && im->result->wanted == 0;
	if (ret == 0)
		ret = cw_catalog_note_set(im->catalog, CW_NOTE_IMPORT_STATE,
		    is_whole ? "ended" : "running", err);
	list_absent(im);
	return ret;
}

static int
report(struct import *im, struct cw_error *err)
{
	const struct cw_catalog_info *info = cw_catalog_info(im->catalog);
	bool is_known;

	im->result->generation = im->o->set->manifest.generation;
	im->result->entries = info->entries;
	im->result->bytes = info->bytes;
	return cw_state_digest(im->catalog, im->result->digest, &is_known, err);
}

static int
import(struct import *im, struct cw_error *err)
{
	const struct cw_walk_query dirs = {.dir = CW_WALK_ALL_DIRS,
	    .kind = 'd'};
	struct cw_place *place = NULL;
	char *incoming = NULL;
	enum found found;
	bool is_ended = false;
	int ret = -1;

	if (cw_import_check_trust(im->o, err) < 0 ||
	    cw_make_dirs(im->o->stores_path, 0700, err) < 0 ||
	    receive_catalog(im, &incoming, err) < 0)
		goto out;
	im->store_dir = cw_asprintf("%s/%s", im->o->stores_path,
	    im->result->store);
	im->catalog_path = cw_asprintf("%s/catalog.sqlite", im->store_dir);
	if (look_at_store(im, &found, err) < 0)
		goto out;
	if (found == FOUND_THIS) {
		if (open_roots(im, false, err) < 0 || declare(im, err) < 0 ||
		    note_is(im->catalog, CW_NOTE_IMPORT_STATE, "ended",
			&is_ended, err) < 0)
			goto out;
		im->result->is_resumed = true;
	} else if (install_catalog(im, incoming, err) < 0) {
		goto out;
	}
	list_volumes(im);
	if (read_done(im, err) < 0)
		goto out;
	if (is_ended) {
		im->result->is_repeated = true;
		im->result->volumes = im->volume_count;
		ret = report(im, err);
		goto out;
	}
	place = cw_place_new(im->roots, im->root_count);
	if (walk(im, &dirs, make_dir, place, err) < 0 ||
	    run_workers(im, err) < 0 || complete(im, place, err) < 0)
		goto out;
	ret = report(im, err);
out:
	if (incoming != NULL)
		(void)remove_incoming(incoming, NULL);
	free(incoming);
	cw_place_free(place);
	return ret;
}

int
cw_import(const struct cw_import_options *options,
    struct cw_import_result *result, struct cw_error *err)
{
	struct import *im = cw_calloc(1, sizeof(*im));
	int ret;

	memset(result, 0, sizeof(*result));
	im->o = options;
	im->result = result;
	im->done_fd = -1;
	pthread_mutex_init(&im->lock, NULL);
	pthread_cond_init(&im->moved, NULL);

	ret = import(im, err);

	cw_catalog_close(im->catalog);
	for (size_t i = 0; i < im->root_count; i++)
		cw_close(&im->roots[i].dirfd);
	free(im->roots);
	free(im->volumes);
	free(im->unsynced);
	free(im->store_dir);
	free(im->catalog_path);
	cw_close(&im->done_fd);
	pthread_cond_destroy(&im->moved);
	pthread_mutex_destroy(&im->lock);
	free(im);
	return ret;
}

void
cw_import_free(struct cw_import_result *result)
{
	for (size_t i = 0; i < result->root_count; i++) {
		free((void *)(uintptr_t)result->roots[i].name);
		free((void *)(uintptr_t)result->roots[i].path);
	}
	free(result->roots);
	for (size_t i = 0; i < result->fault_count; i++)
		free(result->faults[i]);
	free(result->faults);
	free(result->absent);
	memset(result, 0, sizeof(*result));
}
