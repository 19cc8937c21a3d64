/*
 * Files that lay in parts over several volumes: when all parts are there, the
 * whole is checked against its digest.
 */
#include "seed/import_impl.h"

#include "base/buf.h"
#include "base/crypto.h"
#include "base/fs.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Files of which all parts should be here now. */
struct cut {
	struct import *im;
	struct cw_place *place;
	struct cw_error *err;
};

static int
await_part(void *arg, uint32_t part, uint32_t parts, uint32_t number)
{
	const struct import_volume *v = import_find_volume(arg, number);

	(void)part;
	(void)parts;
	return v != NULL && v->state == VOLUME_DONE ? 0 : 1;
}

/* The volumes of its parts are to be read again. */
static int
undo_part(void *arg, uint32_t part, uint32_t parts, uint32_t number)
{
	struct cut *cut = arg;
	struct import_volume *v = import_find_volume(cut->im, number);

	(void)part;
	(void)parts;
	if (v == NULL || v->state != VOLUME_DONE)
		return 0;
	if (import_undo(cut->im, v, cut->err) < 0)
		return -1;
	v->state = VOLUME_FAULTY;
	return 0;
}

/* Until it is whole it is a byte too long. */
static int
check_content(
    int fd, const struct cw_entry *e, bool *is_good, struct cw_error *err)
{
	struct cw_sha256 *sha = cw_sha256_new();
	uint8_t *buf = cw_malloc(1u << 20), digest[CW_DIGEST_SIZE];
	uint64_t left = e->size;
	size_t got = 1;
	int ret = 0;

	while (ret == 0 && left > 0 && got > 0) {
		ret = cw_read_full(fd, buf,
		    left < 1u << 20 ? (size_t)left : 1u << 20, &got, err);
		if (ret == 0)
			ret = cw_stop_check(err);
		cw_sha256_update(sha, buf, got);
		left -= got;
	}
	cw_sha256_final(sha, digest);
	*is_good = left == 0 && e->has_digest &&
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
	struct stat st;
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
	if (ret != 0) {
		ret = ret < 0 ? -1 : 0;
		goto out;
	}
	ret = cw_place_stat(cut->place, path, &st, cut->err);
	if (ret == 0 && import_is_placed(&st, &e))
		goto out; /* checked before */
	if (ret == 0)
		ret = cw_place_open(cut->place, path, &fd, cut->err);
	if (ret == 0)
		ret = check_content(fd, &e, &is_good, cut->err);
	cw_close(&fd);
	if (ret < 0)
		goto out;
	if (!is_good) {
		import_fault(im,
		    "the parts of a file do not make the file that the "
		    "catalog lists");
		ret = cw_catalog_parts(
		    c, dir, name, len, undo_part, cut, cut->err);
		goto out;
	}
	ret = cw_place_file_begin(cut->place, path, true, &fd, cut->err);
	if (ret == 0 && ftruncate(fd, (off_t)e.size) < 0)
		ret = cw_error_errno(cut->err, "cannot set its size");
	if (ret == 0)
		ret = cw_place_file_finish(cut->place, &fd, &e, cut->err);
out:
	free(path);
	cw_catalog_close(c);
	return ret;
}

int
import_finish_cuts(
    struct import *im, struct cw_place *place, struct cw_error *err)
{
	struct cut cut = {.im = im, .place = place, .err = err};

	return cw_catalog_each_cut(im->catalog, finish_cut, &cut, err);
}
