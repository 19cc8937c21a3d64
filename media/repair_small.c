#include "media/repair_impl.h"

#include "base/buf.h"
#include "base/crypto.h"
#include "base/fs.h"
#include "media/durable.h"
#include "media/twice.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER (1u << 20)

/* The files that stand twice; the order is that of making them. */
static const char *const twice[] = {
    CW_SET_MEDIUM, CW_SET_CATALOG, CW_SET_BLOCKS, CW_SET_CHECKSUMS};

/* Reads a file beneath a folder whole; false if it can't be. */
static bool
digest(int dirfd, const char *name, uint64_t size,
    uint8_t sha256[CW_SHA256_SIZE], struct cw_xxh *xxh)
{
	uint8_t *buf = cw_malloc(BUFFER);
	struct cw_sha256 *hash = cw_sha256_new();
	uint64_t done = 0;
	size_t got = 0;
	struct stat st;
	int fd = cw_set_open_file(dirfd, name, 0, &st, NULL);
	bool is_read = fd >= 0 && (uint64_t)st.st_size == size;

	if (is_read)
		(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	while (is_read && done < size) {
		is_read =
		    cw_pread_full(fd, buf, BUFFER, done, &got, NULL) == 0 &&
		    got > 0;
		if (!is_read)
			break;
		cw_sha256_update(hash, buf, got);
		if (xxh != NULL)
			cw_xxh_update(xxh, buf, got);
		done += got;
	}
	cw_sha256_final(hash, sha256);
	cw_sha256_free(hash);
	cw_close(&fd);
	free(buf);
	return is_read && done == size;
}

bool
cw_repair_is_good(
    int dirfd, const char *name, const struct cw_manifest_file *file)
{
	uint8_t sha256[CW_SHA256_SIZE];

	return digest(dirfd, name, file->size, sha256, NULL) &&
	       memcmp(sha256, file->sha256, sizeof(sha256)) == 0;
}

/* ---- writing ---- */

static int
save(int dirfd, const char *name, const void *data, size_t len,
    struct cw_error *err)
{
	struct cw_durable_result made;
	struct cw_durable *d = NULL;
	int ret;

	if (mkdirat(dirfd, CW_SET_COPY, 0755) < 0 && errno != EEXIST)
		return cw_error_errno(err, "cannot make %s", CW_SET_COPY);
	ret = cw_durable_open(dirfd, name, len, &d, err);
	if (ret == 0)
		ret = cw_durable_write(d, data, len, err);
	if (ret == 0)
		ret = cw_durable_finish(d, &made, err);
	cw_durable_free(d);
	return ret;
}

int
cw_repair_copy(int from, const char *from_name,
    const struct cw_manifest_file *file, int dirfd, const char *name,
    struct cw_error *err)
{
	uint8_t *buf = cw_malloc(BUFFER);
	struct cw_durable_result made;
	struct cw_durable *d = NULL;
	uint64_t done = 0;
	size_t got = 0;
	struct stat st;
	int fd, ret = -1;

	fd = cw_set_open_file(from, from_name, 0, &st, err);
	if (fd < 0)
		goto out;
	if (mkdirat(dirfd, CW_SET_COPY, 0755) < 0 && errno != EEXIST) {
		cw_error_errno(err, "cannot make %s", CW_SET_COPY);
		goto out;
	}
	ret = cw_durable_open(dirfd, name, file->size, &d, err);
	while (ret == 0 && done < file->size) {
		uint64_t rest = file->size - done;

		ret = cw_pread_full(
		    fd, buf, rest < BUFFER ? rest : BUFFER, done, &got, err);
		if (ret == 0 && got == 0)
			break;
		if (ret == 0)
			ret = cw_durable_write(d, buf, got, err);
		done += got;
	}
	if (ret == 0)
		ret = cw_durable_prove(d, NULL, NULL, &made, err);
	if (ret == 0 &&
	    (made.size != file->size ||
		memcmp(made.sha256, file->sha256, sizeof(made.sha256)) != 0))
		ret = cw_error_set(err, CW_ERR_DAMAGED,
		    "%s changed while it was copied", from_name);
	if (ret == 0)
		ret = cw_durable_finish(d, &made, err);
out:
	cw_durable_free(d);
	cw_close(&fd);
	free(buf);
	return ret;
}

/* ---- making again what no medium has ---- */

static int
make_medium(struct cw_repair *r, uint32_t number, struct cw_buf *text,
    struct cw_error *err)
{
	const struct cw_medium *is =
	    cw_manifest_medium(&r->set->manifest, number);

	if (is == NULL)
		return cw_error_set(err, CW_ERR_MISSING,
		    "both copies of MEDIUM are lost, and the manifest does not "
		    "describe medium %u",
		    number);
	return cw_medium_encode(is, text, err);
}

/* The digests of all blocks of the medium's volumes and shards. */
static int
make_blocks(struct cw_repair *r, const struct cw_repair_medium *to,
    struct cw_buf *text, struct cw_error *err)
{
	const struct cw_manifest *m = &r->set->manifest;
	uint8_t *buf = cw_malloc(CW_PARITY_COLUMN);
	int ret = 0;

	for (size_t i = 0; i < m->file_count && ret == 0; i++) {
		const struct cw_manifest_file *f = &m->files[i];
		uint64_t done = 0;
		struct stat st;
		int fd;

		if (f->medium != to->number || !cw_blocks_has_file(f->name))
			continue;
		fd = cw_set_open_file(to->dirfd, f->name, 0, &st, err);
		if (fd < 0)
			ret = -1;
		while (ret == 0 && done < f->size) {
			size_t got;

			ret = cw_pread_full(
			    fd, buf, CW_PARITY_COLUMN, done, &got, err);
			if (ret == 0 && got == 0)
				ret = cw_error_set(err, CW_ERR_DAMAGED,
				    "%s is too short", f->name);
			if (ret < 0)
				break;
			cw_xxh(buf, got, cw_buf_reserve(text, CW_XXH_SIZE));
			text->len += CW_XXH_SIZE;
			done += got;
		}
		cw_close(&fd);
	}
	free(buf);
	return ret;
}

/*
 * The lines of CHECKSUMS: all that the manifest lists of the medium but
 * CHECKSUMS itself, and the second copies.
 */
static int
make_checksums(struct cw_repair *r, const struct cw_repair_medium *to,
    struct cw_buf *text, struct cw_error *err)
{
	const struct cw_manifest *m = &r->set->manifest;
	struct cw_checksums sums = CW_CHECKSUMS_INIT;
	int ret = 0;

	for (size_t i = 0; i < m->file_count && ret == 0; i++) {
		const struct cw_manifest_file *f = &m->files[i];
		uint8_t sha256[CW_SHA256_SIZE], xxh[CW_XXH_SIZE];
		char second[sizeof(CW_SET_COPY) + sizeof(f->name)];
		struct cw_xxh *hash;

		if (f->medium != to->number ||
		    strcmp(f->name, CW_SET_CHECKSUMS) == 0)
			continue;
		hash = cw_xxh_new();
		if (!digest(to->dirfd, f->name, f->size, sha256, hash))
			ret = cw_error_set(err, CW_ERR_DAMAGED,
			    "%s can't be read, so CHECKSUMS can't be made "
			    "again",
			    f->name);
		cw_xxh_final(hash, xxh);
		cw_xxh_free(hash);
		if (ret == 0)
			ret = cw_checksums_add(&sums, f->name, xxh, err);
		for (size_t j = 0; j < sizeof(twice) / sizeof(twice[0]); j++) {
			if (ret < 0 || strcmp(f->name, twice[j]) != 0)
				continue;
			(void)snprintf(
			    second, sizeof(second), CW_SET_COPY "/%s", f->name);
			ret = cw_checksums_add(&sums, second, xxh, err);
		}
	}
	if (ret == 0)
		ret = cw_checksums_encode(&sums, text, err);
	cw_checksums_free(&sums);
	return ret;
}

static int
make_text(struct cw_repair *r, const struct cw_repair_medium *to,
    const struct cw_manifest_file *file, struct cw_buf *text,
    struct cw_error *err)
{
	uint8_t sha256[CW_SHA256_SIZE];
	int ret;

	if (strcmp(file->name, CW_SET_MEDIUM) == 0)
		ret = make_medium(r, to->number, text, err);
	else if (strcmp(file->name, CW_SET_BLOCKS) == 0)
		ret = make_blocks(r, to, text, err);
	else if (strcmp(file->name, CW_SET_CHECKSUMS) == 0)
		ret = make_checksums(r, to, text, err);
	else
		ret = cw_error_set(err, CW_ERR_DAMAGED,
		    "no good copy of %s is on the media that are here",
		    file->name);
	if (ret < 0)
		return -1;
	cw_sha256(text->data, text->len, sha256);
	if (text->len != file->size ||
	    memcmp(sha256, file->sha256, sizeof(sha256)) != 0)
		return cw_error_set(err, CW_ERR_DAMAGED,
		    "%s could be made again only in other words than were "
		    "signed",
		    file->name);
	return 0;
}

/* Where a good one is on other media: only the catalog can be. */
static const struct cw_set_medium *
find_elsewhere(struct cw_repair *r, const struct cw_manifest_file *file,
    char name[CW_MANIFEST_NAME_MAX + 8])
{
	const struct cw_manifest *m = &r->set->manifest;

	for (size_t i = 0; i < r->set->count; i++) {
		const struct cw_set_medium *medium = &r->set->media[i];
		const struct cw_manifest_file *f =
		    cw_manifest_find(m, medium->number, file->name);

		if (f == NULL || f->size != file->size ||
		    memcmp(f->sha256, file->sha256, sizeof(f->sha256)) != 0)
			continue;
		for (int second = 0; second < 2; second++) {
			(void)snprintf(name, CW_MANIFEST_NAME_MAX + 8, "%s%s",
			    second ? CW_SET_COPY "/" : "", file->name);
			if (cw_repair_is_good(medium->dirfd, name, file))
				return medium;
		}
	}
	return NULL;
}

/* ---- each of them ---- */

static void
outcome(struct cw_repair *r, const struct cw_repair_medium *to,
    const char *name, uint64_t size, int ret, struct cw_error *why)
{
	if (ret == 0 && !to->is_made)
		cw_repair_done(r, to->number, name, 0, size);
	if (ret < 0 && why->code != CW_ERR_REFUSED)
		cw_error_context(why, "%s/%s", to->path, name);
	if (ret < 0)
		cw_repair_cannot(r, to->number, name, 0, size, why);
}

/* One that the manifest lists, and its copy. */
static void
repair_twice(struct cw_repair *r, const struct cw_repair_medium *to,
    const struct cw_manifest_file *file)
{
	char names[2][CW_MANIFEST_NAME_MAX + 8];
	char elsewhere[CW_MANIFEST_NAME_MAX + 8];
	struct cw_buf text = CW_BUF_INIT;
	bool good[2];

	for (int i = 0; i < 2; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "%s%s",
		    i == 0 ? "" : CW_SET_COPY "/", file->name);
		good[i] = cw_repair_is_good(to->dirfd, names[i], file);
	}
	for (int i = 0; i < 2; i++) {
		const struct cw_set_medium *other = NULL;
		struct cw_error why = CW_ERROR_INIT;
		int ret = 0;

		if (good[i])
			continue;
		if (!good[1 - i])
			other = find_elsewhere(r, file, elsewhere);
		if (cw_repair_is_blocked(to, names[i], &why))
			ret = -1;
		else if (r->options->is_dry &&
			 strcmp(file->name, CW_SET_CATALOG))
			ret = 0; /* made again from what else is good */
		else if (r->options->is_dry)
			ret = good[1 - i] || other != NULL
				  ? 0
				  : make_text(r, to, file, &text, &why);
		else if (good[1 - i])
			ret = cw_repair_copy(to->dirfd, names[1 - i], file,
			    to->dirfd, names[i], &why);
		else if (other != NULL)
			ret = cw_repair_copy(other->dirfd, elsewhere, file,
			    to->dirfd, names[i], &why);
		else if ((ret = make_text(r, to, file, &text, &why)) == 0)
			ret = save(
			    to->dirfd, names[i], text.data, text.len, &why);
		good[i] = ret == 0 && !r->options->is_dry;
		outcome(r, to, names[i], file->size, ret, &why);
	}
	cw_buf_free(&text);
}

/* Other small files of the manifest, which stand there once. */
static void
repair_once(struct cw_repair *r, const struct cw_repair_medium *to,
    const struct cw_manifest_file *file)
{
	char elsewhere[CW_MANIFEST_NAME_MAX + 8];
	struct cw_error why = CW_ERROR_INIT;
	const struct cw_set_medium *other;
	int ret;

	if (cw_repair_is_good(to->dirfd, file->name, file))
		return;
	other = find_elsewhere(r, file, elsewhere);
	if (cw_repair_is_blocked(to, file->name, &why))
		ret = -1;
	else if (other == NULL)
		ret = cw_error_set(&why, CW_ERR_DAMAGED,
		    "no good copy of it is on the media that are here");
	else if (r->options->is_dry)
		ret = 0;
	else
		ret = cw_repair_copy(
		    other->dirfd, elsewhere, file, to->dirfd, file->name, &why);
	outcome(r, to, file->name, file->size, ret, &why);
}

/* ---- the manifest and its signature ---- */

void
cw_repair_find_manifest(struct cw_repair *r)
{
	uint8_t sha256[CW_SHA256_SIZE];
	struct cw_error err = CW_ERROR_INIT;

	/* A manifest has one text, so this is the one that was read. */
	if (cw_manifest_encode(&r->set->manifest, &r->manifest, &err) < 0)
		return;
	cw_sha256(r->manifest.data, r->manifest.len, sha256);
	if (memcmp(sha256, r->set->manifest_sha256, sizeof(sha256)) != 0) {
		cw_buf_reset(&r->manifest);
		return;
	}
	for (size_t i = 0; i < r->set->count; i++) {
		struct cw_twice t;

		cw_twice_read(&t, r->set->media[i].dirfd, CW_SET_SIGNATURE,
		    CW_MINISIGN_FILE_MAX);
		for (int j = 0; j < 2 && r->signature.len == 0; j++)
			if (t.has[j] && cw_minisign_verify(&r->set->signer.key,
					    r->manifest.data, r->manifest.len,
					    (const char *)t.text[j].data,
					    t.text[j].len, NULL, 0, NULL) == 0)
				cw_buf_append(&r->signature, t.text[j].data,
				    t.text[j].len);
		cw_twice_free(&t);
	}
}

/* Whether the two are a manifest and signature by the seed's signer. */
static bool
is_signed(const struct cw_repair *r, const struct cw_buf *text,
    const struct cw_buf *sig)
{
	return cw_minisign_verify(&r->set->signer.key, text->data, text->len,
		   (const char *)sig->data, sig->len, NULL, 0, NULL) == 0;
}

/* The revision of a manifest that was found signed; 0 if it is none. */
static uint32_t
revision_of(const struct cw_buf *text)
{
	struct cw_manifest m = CW_MANIFEST_INIT;
	uint32_t revision = 0;

	if (cw_manifest_decode((const char *)text->data, text->len, &m, NULL) ==
	    0)
		revision = m.revision;
	cw_manifest_free(&m);
	return revision;
}

/*
 * The pair that the medium holds, from whichever copies; else the one that
 * governs.  An older manifest of the seed stays: it is no fault.  Where a
 * crash left two (the copy is written first), the later one is it.
 */
static void
choose_pair(const struct cw_repair *r, const struct cw_twice *text,
    const struct cw_twice *sig, const struct cw_buf **manifest,
    const struct cw_buf **signature)
{
	uint32_t best = 0;

	*manifest = &r->manifest;
	*signature = &r->signature;
	for (int pair = 0; pair < 4; pair++) {
		const struct cw_buf *t = &text->text[pair >> 1];
		const struct cw_buf *s = &sig->text[pair & 1];
		uint32_t revision;

		if (!text->has[pair >> 1] || !sig->has[pair & 1] ||
		    !is_signed(r, t, s))
			continue;
		revision = revision_of(t);
		if (revision <= best)
			continue;
		best = revision;
		*manifest = t;
		*signature = s;
	}
}

static void
repair_signed(struct cw_repair *r, const struct cw_repair_medium *to)
{
	struct cw_twice text, sig;
	const struct cw_buf *good[2];

	cw_twice_read(&text, to->dirfd, CW_SET_MANIFEST, CW_MANIFEST_TEXT_MAX);
	cw_twice_read(&sig, to->dirfd, CW_SET_SIGNATURE, CW_MINISIGN_FILE_MAX);
	choose_pair(r, &text, &sig, &good[0], &good[1]);
	/* The manifest first: alone it is no lie, a signature would be. */
	for (int i = 0; i < 4; i++) {
		const struct cw_twice *t = i < 2 ? &text : &sig;
		const struct cw_buf *now = good[i / 2];
		struct cw_error why = CW_ERROR_INIT;
		const char *name = t->name[i % 2];
		int ret = 0;

		if (t->has[i % 2] && t->text[i % 2].len == now->len &&
		    memcmp(t->text[i % 2].data, now->data, now->len) == 0)
			continue;
		if (cw_repair_is_blocked(to, name, &why))
			ret = -1;
		else if (good[0]->len == 0 || good[1]->len == 0)
			ret = cw_error_set(&why, CW_ERR_MISSING,
			    "no medium that is here holds the signed manifest");
		else if (!r->options->is_dry)
			ret = save(to->dirfd, name, now->data, now->len, &why);
		outcome(r, to, name, now->len, ret, &why);
	}
	cw_twice_free(&text);
	cw_twice_free(&sig);
}

int
cw_repair_small(struct cw_repair *r, const struct cw_repair_medium *to,
    struct cw_error *err)
{
	const struct cw_manifest *m = &r->set->manifest;

	for (size_t j = 0; j < sizeof(twice) / sizeof(twice[0]); j++) {
		const struct cw_manifest_file *f =
		    cw_manifest_find(m, to->number, twice[j]);

		if (cw_stop_check(err) < 0)
			return -1;
		if (f != NULL)
			repair_twice(r, to, f);
	}
	for (size_t i = 0; i < m->file_count; i++) {
		const char *name = m->files[i].name;
		bool is_done = cw_blocks_has_file(name);

		for (size_t j = 0; j < sizeof(twice) / sizeof(twice[0]); j++)
			is_done = is_done || strcmp(name, twice[j]) == 0 ||
				  (strncmp(name, CW_SET_COPY "/", 5) == 0 &&
				      strcmp(name + 5, twice[j]) == 0);
		if (m->files[i].medium == to->number && !is_done)
			repair_once(r, to, &m->files[i]);
	}
	repair_signed(r, to);
	return 0;
}
