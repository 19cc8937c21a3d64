/*
 * What is kept here of a seed between runs, for media that come one after
 * another: the governing manifest, and which store is made from it.
 */
#include "seed/import_impl.h"

#include "base/bytes.h"
#include "base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEPT_MANIFEST  "import.manifest"
#define KEPT_SIGNATURE KEPT_MANIFEST ".minisig"

/*
 * Calls each for every replica here that comes from this seed.  Stores that
 * can't be read are passed over: they are others'.  A nonzero return ends it.
 */
static int
each_replica(const char *stores_path, const char *seed_text,
    int (*each)(void *arg, const char *store, struct cw_catalog *c,
	struct cw_error *err),
    void *arg, struct cw_error *err)
{
	DIR *dir = opendir(stores_path);
	const struct dirent *d;
	int ret = 0;

	if (dir == NULL)
		return errno == ENOENT
			   ? 0
			   : cw_error_errno(err, "cannot list %s", stores_path);
	while (ret == 0 && (d = readdir(dir)) != NULL) {
		struct cw_catalog *c = NULL;
		struct cw_error why = CW_ERROR_INIT;
		bool is_ours = false;
		char *path;

		if (d->d_name[0] == '.')
			continue;
		path =
		    cw_asprintf("%s/%s/catalog.sqlite", stores_path, d->d_name);
		if (access(path, F_OK) == 0 &&
		    cw_catalog_open(path, CW_CATALOG_READ, &c, &why) == 0 &&
		    import_note_is(
			c, CW_NOTE_ROLE, "standby", &is_ours, &why) == 0 &&
		    is_ours &&
		    import_note_is(c, CW_NOTE_IMPORT_SEED, seed_text, &is_ours,
			&why) == 0 &&
		    is_ours)
			ret = each(arg, d->d_name, c, err);
		cw_catalog_close(c);
		free(path);
	}
	(void)closedir(dir);
	return ret;
}

struct finding {
	const struct import *im;
	char *store;
};

/* Whether one of the directories given is where one of its roots is. */
static int
has_root(const struct cw_import_options *o, struct cw_catalog *c, bool *has,
    struct cw_error *err)
{
	size_t count;
	const struct cw_root *roots = cw_catalog_roots(c, &count);

	*has = false;
	for (size_t i = 0; i < count && !*has; i++) {
		char *note = import_root_note(roots[i].name), *at = NULL;
		int ret = cw_catalog_note_get(c, note, &at, err);

		for (size_t k = 0; k < o->root_count && ret == 0 && !*has;
		     k++) {
			char *real = realpath(o->roots[k].path, NULL);

			*has = real != NULL && strcmp(real, at) == 0;
			free(real);
		}
		free(note);
		free(at);
		if (ret < 0)
			return -1;
	}
	return 0;
}

static int
is_it(void *arg, const char *store, struct cw_catalog *c, struct cw_error *err)
{
	struct finding *f = arg;
	const struct cw_manifest *m = &f->im->o->set->manifest;
	char hex[2 * sizeof(m->catalog) + 1];
	bool is_same = false, is_ended;

	cw_hex_encode(m->catalog, sizeof(m->catalog), hex);
	if (import_note_is(c, CW_NOTE_IMPORT_STATE, "ended", &is_ended, err) <
		0 ||
	    import_note_is(c, CW_NOTE_IMPORT_CATALOG, hex, &is_same, err) < 0)
		return -1;
	if (!is_ended && (!is_same || !m->has_catalog))
		return 0;
	if (f->im->o->store != NULL)
		is_same = strcmp(f->im->o->store, store) == 0;
	else if (has_root(f->im->o, c, &is_same, err) < 0)
		return -1;
	if (!is_same)
		return 0;
	f->store = cw_strdup(store);
	return 1;
}

int
import_find_store(const struct import *im, char **store, struct cw_error *err)
{
	struct finding f = {.im = im};
	int ret = each_replica(
	    im->o->stores_path, im->o->set->seed_text, is_it, &f, err);

	*store = f.store;
	return ret < 0 ? -1 : ret == 1 ? 0 : 1;
}

struct keeper {
	const char *stores_path;
	uint64_t revision;
	char *path;
};

static int
look_for_manifest(
    void *arg, const char *store, struct cw_catalog *c, struct cw_error *err)
{
	struct keeper *k = arg;
	uint64_t revision;
	char *path;

	if (import_note_number(c, CW_NOTE_IMPORT_REVISION, &revision, err) < 0)
		return -1;
	path = cw_asprintf("%s/%s/" KEPT_MANIFEST, k->stores_path, store);
	if (access(path, F_OK) == 0 &&
	    (k->path == NULL || revision > k->revision)) {
		free(k->path);
		k->path = path;
		k->revision = revision;
		return 0;
	}
	free(path);
	return 0;
}

int
cw_import_kept_manifest(const char *stores_path, const char *seed_text,
    char **path, struct cw_error *err)
{
	struct keeper k = {.stores_path = stores_path};
	int ret =
	    each_replica(stores_path, seed_text, look_for_manifest, &k, err);

	if (ret < 0) {
		free(k.path);
		k.path = NULL;
	}
	*path = k.path;
	return ret;
}

/* ---- keeping it ---- */

static bool
is_signature(const struct cw_set *set, const struct cw_buf *text,
    const struct cw_buf *sig)
{
	return cw_minisign_verify(&set->signer.key, text->data, text->len,
		   (const char *)sig->data, sig->len, NULL, 0, NULL) == 0;
}

/* The signature that belongs to the governing manifest, wherever it is. */
static bool
find_signature(
    const struct import *im, const struct cw_buf *text, struct cw_buf *sig)
{
	static const char *const names[] = {
	    CW_SET_SIGNATURE, CW_SET_COPY "/" CW_SET_SIGNATURE};
	const struct cw_set *set = im->o->set;
	bool is_found = false;

	for (size_t i = 0; i < 2 * set->count && !is_found; i++) {
		cw_buf_reset(sig);
		is_found =
		    cw_set_read_file(set->media[i / 2].dirfd, names[i % 2],
			CW_MINISIGN_FILE_MAX, sig, NULL) == 0 &&
		    is_signature(set, text, sig);
	}
	if (!is_found && im->o->manifest != NULL) {
		char *path = cw_asprintf("%s.minisig", im->o->manifest);

		cw_buf_reset(sig);
		is_found = cw_read_file(AT_FDCWD, path, CW_MINISIGN_FILE_MAX,
			       sig, NULL) == 0 &&
			   is_signature(set, text, sig);
		free(path);
	}
	return is_found;
}

int
import_keep_manifest(const struct import *im, struct cw_error *err)
{
	struct cw_buf text = CW_BUF_INIT, sig = CW_BUF_INIT, old = CW_BUF_INIT;
	struct cw_manifest *m =
	    (struct cw_manifest *)(uintptr_t)&im->o->set->manifest;
	uint64_t revision;
	char number[24];
	int dir, ret = -1;

	if (import_note_number(
		im->catalog, CW_NOTE_IMPORT_REVISION, &revision, err) < 0)
		return -1;
	if (m->revision < revision)
		return 0;
	dir = cw_open_dir(im->store_dir, err);
	/* One valid encoding: these are the bytes that were signed. */
	if (dir < 0 || cw_manifest_encode(m, &text, err) < 0 ||
	    cw_read_file(dir, KEPT_MANIFEST, CW_MANIFEST_TEXT_MAX, &old, err) <
		0)
		goto out;
	if (old.len != text.len ||
	    (text.len > 0 && memcmp(old.data, text.data, text.len) != 0)) {
		if (find_signature(im, &text, &sig) &&
		    (cw_save_file(dir, KEPT_SIGNATURE, sig.data, sig.len, 0600,
			 err) < 0 ||
			cw_save_file(dir, KEPT_MANIFEST, text.data, text.len,
			    0600, err) < 0))
			goto out;
	}
	ret = 0;
	if (m->revision > revision) {
		(void)snprintf(number, sizeof(number), "%u", m->revision);
		ret = cw_catalog_note_set(
		    im->catalog, CW_NOTE_IMPORT_REVISION, number, err);
	}
out:
	cw_close(&dir);
	cw_buf_free(&text);
	cw_buf_free(&sig);
	cw_buf_free(&old);
	return ret;
}
