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

/* Where it could be had, as "bring medium 3 or 5". */
static int
ask_for_catalog(const struct import *im, struct cw_error *err)
{
	const struct cw_set *set = im->o->set;
	uint32_t numbers[16], greatest = 0;
	struct cw_buf media = CW_BUF_INIT;
	size_t count;

	if (!set->manifest.has_catalog) {
		for (size_t i = 0; i < set->manifest.file_count; i++)
			if (set->manifest.files[i].medium > greatest)
				greatest = set->manifest.files[i].medium;
		return cw_error_set(err, CW_ERR_MISSING,
		    "seed %s went on after the media that are here were "
		    "closed, so the catalog is not on them: bring the last "
		    "medium of the set (its number is greater than %u). If "
		    "there is none any more, --without-catalog with --store "
		    "and --root imports the volumes that are here",
		    set->seed_text, greatest);
	}
	count = cw_set_catalog_media(
	    set, numbers, sizeof(numbers) / sizeof(numbers[0]));
	for (size_t i = 0; i < count && i < 16; i++)
		if (cw_set_find(set, numbers[i]) == NULL)
			cw_buf_printf(&media, "%s%u",
			    media.len > 0 ? " or " : "", numbers[i]);
	if (media.len > 0)
		cw_error_set(err, CW_ERR_MISSING,
		    "no whole copy of the catalog is on the media that are "
		    "here: bring medium %s, or use --without-catalog with "
		    "--store and --root",
		    cw_buf_string(&media));
	else
		cw_error_set(err, CW_ERR_MISSING,
		    "no whole copy of the catalog is left on the media: use "
		    "--without-catalog with --store and --root");
	cw_buf_free(&media);
	return -1;
}

/* The size it has by the manifest, where a line has its digest. */
static const struct cw_manifest_file *
listed_catalog(const struct cw_manifest *m)
{
	for (size_t i = 0; i < m->file_count; i++)
		if (strcmp(m->files[i].name, CW_SET_CATALOG) == 0 &&
		    memcmp(m->files[i].sha256, m->catalog,
			sizeof(m->catalog)) == 0)
			return &m->files[i];
	return NULL;
}

/*
 * The governing catalog from any medium, either copy: what the manifest says
 * of that medium does not matter, the digest does.
 */
static int
find_catalog(const struct import *im, struct cw_error *err)
{
	static const char *const names[] = {
	    CW_SET_CATALOG, CW_SET_COPY "/" CW_SET_CATALOG};
	const struct cw_set *set = im->o->set;
	const struct cw_manifest_file *listed =
	    set->manifest.has_catalog ? listed_catalog(&set->manifest) : NULL;

	for (size_t i = 0; i < set->count && listed != NULL; i++) {
		for (size_t k = 0; k < 2; k++) {
			int fd = cw_import_open_listed(
			    &set->media[i], names[k], listed, err);

			if (fd >= 0)
				return fd;
			if (cw_stop_requested())
				return -1;
		}
	}
	return ask_for_catalog(im, err);
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
	import_name_store(im, im->o->store != NULL ? im->o->store : info->name);
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

int
import_note_number(struct cw_catalog *c, const char *key, uint64_t *number,
    struct cw_error *err)
{
	char *text = NULL;
	int ret = cw_catalog_note_get(c, key, &text, err);

	*number = 0;
	if (ret == 0)
		(void)cw_decimal_parse(text, strlen(text), UINT64_MAX, number);
	free(text);
	return ret < 0 ? -1 : 0;
}

void
import_name_store(struct import *im, const char *store)
{
	(void)snprintf(
	    im->result->store, sizeof(im->result->store), "%s", store);
	free(im->store_dir);
	free(im->catalog_path);
	im->store_dir =
	    cw_asprintf("%s/%s", im->o->stores_path, im->result->store);
	im->catalog_path = cw_asprintf("%s/catalog.sqlite", im->store_dir);
}

/*
 * The seed is the one that the replica comes from: by which of its catalogs
 * is it gone on with?  A greater revision of the manifest may have another.
 */
static int
judge_revision(struct import *im, struct cw_catalog *old, const char *incoming,
    enum import_found *found, struct cw_error *err)
{
	const struct cw_manifest *m = &im->o->set->manifest;
	char hex[2 * sizeof(m->catalog) + 1], *known = NULL;
	struct cw_catalog *new = NULL;
	uint64_t revision = 0;
	bool is_ended, is_behind;
	int ret;

	*found = FOUND_THIS;
	cw_hex_encode(m->catalog, sizeof(m->catalog), hex);
	ret = cw_catalog_note_get(old, CW_NOTE_IMPORT_CATALOG, &known, err);
	if (ret < 0 ||
	    import_note_number(old, CW_NOTE_IMPORT_REVISION, &revision, err) <
		0 ||
	    import_note_is(old, CW_NOTE_IMPORT_STATE, "ended", &is_ended, err) <
		0) {
		free(known);
		return -1;
	}
	/* A replica that is whole is kept up to date by sync alone. */
	is_behind = ret == 0 && strcmp(known, hex) != 0 && !is_ended;
	free(known);
	if (!is_behind)
		return 0;
	if (m->revision <= revision)
		return cw_error_set(err, CW_ERR_MISSING,
		    "seed %s is being received into store %s by a later "
		    "manifest (revision %" PRIu64
		    ") than the media that are here have (%u): bring a medium "
		    "that has it, or give it with --manifest",
		    im->o->set->seed_text, im->result->store, revision,
		    m->revision);
	ret = cw_catalog_open(incoming, CW_CATALOG_READ, &new, err);
	if (ret == 0 &&
	    cw_catalog_info(old)->generation > cw_catalog_info(new)->generation)
		ret = cw_error_set(err, CW_ERR_REFUSED,
		    "store %s was synced to generation %" PRIu64
		    " since, which is later than this seed: `causeway sync "
		    "%s` brings what it lacks",
		    im->result->store, cw_catalog_info(old)->generation,
		    im->result->store);
	cw_catalog_close(new);
	*found = FOUND_REVISED;
	return ret;
}

static int
judge(struct import *im, struct cw_catalog *old, const char *incoming,
    enum import_found *found, struct cw_error *err)
{
	const struct cw_set *set = im->o->set;
	const struct cw_catalog_info *info = cw_catalog_info(old);
	bool is_standby, is_this;
	uint64_t generation = 0;

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
	if (is_this)
		return incoming == NULL
			   ? (*found = FOUND_THIS, 0)
			   : judge_revision(im, old, incoming, found, err);
	*found = FOUND_OTHER;
	if (import_note_number(
		old, CW_NOTE_IMPORT_GENERATION, &generation, err) < 0)
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
import_look_at_store(struct import *im, const char *incoming,
    enum import_found *found, struct cw_error *err)
{
	struct cw_catalog *old = NULL;
	int ret;

	*found = FOUND_NOTHING;
	if (access(im->catalog_path, F_OK) != 0)
		return 0;
	if (cw_catalog_open(im->catalog_path, CW_CATALOG_WRITE, &old, err) < 0)
		return -1;
	ret = judge(im, old, incoming, found, err);
	if (ret == 0 && *found == FOUND_THIS)
		im->catalog = old;
	else
		cw_catalog_close(old);
	return ret;
}

/* What an import notes in a catalog before it gets its name. */
static int
note_import(struct import *im, struct cw_error *err)
{
	const struct cw_manifest *m = &im->o->set->manifest;
	char number[24], sealed[24], revision[24];
	char catalog[2 * sizeof(m->catalog) + 1];
	const char *const notes[][2] = {
	    {CW_NOTE_ROLE, "standby"},
	    {CW_NOTE_IMPORT_SEED, im->o->set->seed_text},
	    {CW_NOTE_IMPORT_GENERATION, number},
	    {CW_NOTE_IMPORT_TIME, sealed},
	    {CW_NOTE_IMPORT_REVISION, revision},
	    {CW_NOTE_IMPORT_CATALOG, catalog},
	    {CW_NOTE_IMPORT_STATE, "running"},
	};

	(void)snprintf(number, sizeof(number), "%" PRIu64, m->generation);
	(void)snprintf(sealed, sizeof(sealed), "%" PRId64, m->time);
	(void)snprintf(revision, sizeof(revision), "%u", m->revision);
	cw_hex_encode(m->catalog, sizeof(m->catalog), catalog);
	for (size_t i = 0; i < sizeof(notes) / sizeof(notes[0]); i++)
		if (cw_catalog_note_set(
			im->catalog, notes[i][0], notes[i][1], err) < 0)
			return -1;
	return 0;
}

/*
 * Roots are looked at, and all is noted in the catalog that comes in, before
 * its name appears, so that a refusal leaves no trace.  Then SQLite's own
 * files must be gone, since they go by the name: closing does that.
 */
static int
prepare(struct import *im, const char *incoming, enum import_found found,
    struct cw_error *err)
{
	struct cw_catalog *before = NULL;
	int ret = -1;

	if (found == FOUND_REVISED && cw_catalog_open(im->catalog_path,
					  CW_CATALOG_WRITE, &before, err) < 0)
		return -1;
	if (cw_catalog_open(incoming, CW_CATALOG_WRITE, &im->catalog, err) ==
		0 &&
	    note_import(im, err) == 0 &&
	    cw_catalog_note_set(im->catalog, NOTE_REVISING,
		found == FOUND_REVISED ? "1" : NULL, err) == 0 &&
	    import_open_roots(im, before, err) == 0 &&
	    import_declare(im, err) == 0)
		ret = 0;
	cw_catalog_close(im->catalog);
	cw_catalog_close(before);
	im->catalog = NULL;
	return ret;
}

/* The catalog before stays until the tree is as the new one has it. */
static int
keep_previous(struct import *im, struct cw_error *err)
{
	char *previous = import_previous_path(im);
	int ret = import_remove_incoming(previous, err);

	if (ret == 0 && link(im->catalog_path, previous) < 0)
		ret = cw_error_errno(
		    err, "cannot keep %s as %s", im->catalog_path, previous);
	free(previous);
	return ret;
}

/* A catalog of another seed goes aside, with what was done by it. */
static int
set_aside(struct import *im, int dir, struct cw_error *err)
{
	char *old;
	int ret = 0;

	if (unlinkat(dir, DONE_FILE, 0) < 0 && errno != ENOENT)
		return cw_error_errno(err, "cannot remove " DONE_FILE);
	if (!im->result->has_replaced)
		return 0;
	old = cw_asprintf("%s.replaced", im->catalog_path);
	if (rename(im->catalog_path, old) < 0)
		ret = cw_error_errno(
		    err, "cannot move %s aside", im->catalog_path);
	free(old);
	return ret;
}

int
import_install_catalog(struct import *im, const char *incoming,
    enum import_found found, struct cw_error *err)
{
	int dir, ret = -1;

	if (cw_make_dirs(im->store_dir, 0700, err) < 0)
		return -1;
	dir = cw_open_dir(im->store_dir, err);
	if (dir < 0)
		return -1;
	if (prepare(im, incoming, found, err) < 0 ||
	    (found == FOUND_REVISED ? keep_previous(im, err)
				    : set_aside(im, dir, err)) < 0)
		goto out;
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
	cw_close(&dir);
	return ret;
}
