/*
 * The catalog of a seed that is imported: opened, judged, compared with what
 * the store's folder holds, and put into its place.
 */
#include "seed/import_impl.h"

#include "base/buf.h"
#include "base/bytes.h"
#include "base/fs.h"
#include "seed/import_trust.h"
#include "seed/sealed_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * A catalog that opens to more than this is a bomb: half of a row are digests,
 * so that it shrinks to a third, and never to a 64th.
 */
#define CATALOG_FACTOR 64u
#define CATALOG_LEAST  (64ull << 20)
#define CATALOG_MAX    (64ull << 30) /* a hundred million entries */

/* Any medium's, either copy. */
static int
find_catalog(const struct import *im, struct cw_error *err)
{
	static const char *const names[] = {
	    CW_SET_CATALOG, CW_SET_COPY "/" CW_SET_CATALOG};
	const struct cw_set *set = im->o->set;

	for (size_t i = 0; i < set->count; i++) {
		const struct cw_set_medium *m = &set->media[i];
		const struct cw_manifest_file *listed =
		    cw_manifest_find(&set->manifest, m->number, CW_SET_CATALOG);

		for (size_t k = 0; listed != NULL && k < 2; k++) {
			int fd =
			    cw_import_open_listed(m, names[k], listed, err);

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
int
import_remove_incoming(const char *path, struct cw_error *err)
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
	return size > (CATALOG_MAX - CATALOG_LEAST) / CATALOG_FACTOR
		   ? CATALOG_MAX
		   : CATALOG_LEAST + CATALOG_FACTOR * size;
}

/* Opens, checks and names it; the file is then at *path. */
int
import_receive_catalog(struct import *im, char **path, struct cw_error *err)
{
	struct cw_catalog *foreign = NULL;
	const struct cw_catalog_info *info;
	int sealed, out = -1, ret = -1;

	sealed = find_catalog(im, err);
	if (sealed < 0)
		return -1;
	*path = cw_asprintf("%s/.incoming-%s.sqlite", im->o->stores_path,
	    im->o->set->seed_text);
	if (import_remove_incoming(*path, err) < 0)
		goto out;
	out = open(*path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (out < 0) {
		cw_error_errno(err, "cannot create %s", *path);
		goto out;
	}
	if (cw_sealed_file_read(
		sealed, out, im->o->identity, catalog_max(sealed), err) < 0 ||
	    cw_sync(out, err) < 0) {
		cw_error_context(
		    err, "the seed's catalog, opened into %s", *path);
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

int
import_note_is(struct cw_catalog *c, const char *key, const char *value,
    bool *is_equal, struct cw_error *err)
{
	char *text = NULL;
	int ret = cw_catalog_note_get(c, key, &text, err);

	*is_equal = ret == 0 && strcmp(text, value) == 0;
	free(text);
	return ret < 0 ? -1 : 0;
}

static int
judge(struct import *im, struct cw_catalog *old, enum import_found *found,
    struct cw_error *err)
{
	const struct cw_set *set = im->o->set;
	const struct cw_catalog_info *info = cw_catalog_info(old);
	bool is_standby, is_this;
	uint64_t generation = 0;
	char *text = NULL;
	int ret;

	if (import_note_is(old, CW_NOTE_ROLE, "standby", &is_standby, err) <
		0 ||
	    import_note_is(
		old, CW_NOTE_IMPORT_SEED, set->seed_text, &is_this, err) < 0)
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
		(void)cw_decimal_parse(
		    text, strlen(text), UINT64_MAX, &generation);
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

int
import_look_at_store(
    struct import *im, enum import_found *found, struct cw_error *err)
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

/*
 * The catalog gets its place.  Order: notes, then the name; a catalog with a
 * name is always one that resume can go on with.
 */
int
import_install_catalog(
    struct import *im, const char *incoming, struct cw_error *err)
{
	const struct cw_set *set = im->o->set;
	char number[24], sealed[24];
	int dir = -1, ret = -1;

	if (cw_make_dirs(im->store_dir, 0700, err) < 0)
		return -1;
	dir = cw_open_dir(im->store_dir, err);
	if (dir < 0)
		return -1;
	if (cw_catalog_open(incoming, CW_CATALOG_WRITE, &im->catalog, err) < 0)
		goto out;
	(void)snprintf(
	    number, sizeof(number), "%" PRIu64, set->manifest.generation);
	(void)snprintf(
	    sealed, sizeof(sealed), "%" PRId64, set->manifest.time);
	if (cw_catalog_note_set(im->catalog, CW_NOTE_ROLE, "standby", err) <
		0 ||
	    cw_catalog_note_set(
		im->catalog, CW_NOTE_IMPORT_SEED, set->seed_text, err) < 0 ||
	    cw_catalog_note_set(
		im->catalog, CW_NOTE_IMPORT_GENERATION, number, err) < 0 ||
	    cw_catalog_note_set(
		im->catalog, CW_NOTE_IMPORT_TIME, sealed, err) < 0 ||
	    cw_catalog_note_set(
		im->catalog, CW_NOTE_IMPORT_STATE, "running", err) < 0)
		goto out;
	/*
	 * Roots are looked at before the name appears, so that a refusal
	 * leaves no trace.  Then SQLite's own files must be gone, since they
	 * go by the name: closing does that.
	 */
	if (import_open_roots(im, true, err) < 0 || import_declare(im, err) < 0)
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
			cw_error_errno(
			    err, "cannot move %s aside", im->catalog_path);
			goto out;
		}
	}
	if (rename(incoming, im->catalog_path) < 0) {
		cw_error_errno(
		    err, "cannot rename %s to %s", incoming, im->catalog_path);
		goto out;
	}
	if (cw_sync(dir, err) < 0) {
		cw_error_context(err, "%s", im->store_dir);
		goto out;
	}
	ret = cw_catalog_open(
	    im->catalog_path, CW_CATALOG_WRITE, &im->catalog, err);
out:
	if (ret < 0) {
		cw_catalog_close(im->catalog);
		im->catalog = NULL;
	}
	cw_close(&dir);
	return ret;
}
