/*
 * Seeds with parity for unit tests, written by hand: media "1", "2", ...
 * beneath a root, with volumes, shards, digests of blocks, manifest.
 */
#ifndef CW_TESTS_UNIT_PARITY_SEED_H
#define CW_TESTS_UNIT_PARITY_SEED_H

#include "base/buf.h"
#include "base/crypto.h"
#include "base/fs.h"
#include "formats/parity/parity.h"
#include "media/blocks.h"
#include "media/set.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PARITY_SEED_ID	  "0123456789abcdef"
#define PARITY_SEED_MEDIA 6u

/* What a seed is to be. */
struct parity_seed {
	uint32_t k, m, survive, media;
	uint32_t volumes;
	uint64_t size; /* of each volume; the last one is shorter */
	bool no_blocks;
	bool forge; /* volume 1's bytes are not those of its SHA-256 */
	bool not_described;
};

static char parity_root[] = "/tmp/test_parity.XXXXXX";
static struct cw_minisign_secret *parity_secret;
static struct cw_set_signer parity_signer;

/* One medium being written. */
struct parity_medium {
	int fd;
	struct cw_checksums sums;
	struct cw_buf blocks;
};

static inline void
parity_setup(void)
{
	struct cw_error err = CW_ERROR_INIT;

	memcpy(parity_root + sizeof(parity_root) - 7, "XXXXXX", 6);
	ck_assert_int_eq(cw_crypto_init(&err), 0);
	ck_assert_ptr_nonnull(mkdtemp(parity_root));
	parity_secret = cw_minisign_generate();
	memset(&parity_signer, 0, sizeof(parity_signer));
	cw_minisign_secret_public(parity_secret, &parity_signer.key);
}

static inline void
parity_clear(void)
{
	char *command = cw_asprintf("rm -rf '%s'/*", parity_root);

	ck_assert_int_eq(system(command), 0);
	free(command);
}

static inline void
parity_teardown(void)
{
	parity_clear();
	ck_assert_int_eq(rmdir(parity_root), 0);
	cw_minisign_secret_free(parity_secret);
}

/* The path of a file of the seed on a medium; to be freed. */
static inline char *
parity_path(uint32_t medium, const char *name)
{
	return cw_asprintf(
	    "%s/%u/causeway/" PARITY_SEED_ID "/%s", parity_root, medium, name);
}

static inline void
parity_volume_name(uint32_t number, char name[32])
{
	snprintf(name, 32, "%06u" CW_SET_VOLUME, number);
}

static inline uint64_t
parity_volume_size(const struct parity_seed *s, uint32_t number)
{
	return number == s->volumes ? s->size * 2 / 3 + 1 : s->size;
}

static inline uint8_t *
parity_pattern(uint64_t len, uint32_t x)
{
	uint8_t *data = cw_malloc(len + 1);

	x *= 2654435761u;
	for (uint64_t i = 0; i < len; i++) {
		x = x * 1664525u + 1013904223u;
		data[i] = (uint8_t)(x >> 24);
	}
	return data;
}

static inline void
parity_save(int fd, const char *name, const void *data, size_t len)
{
	struct cw_error err = CW_ERROR_INIT;

	ck_assert_msg(cw_save_file(fd, name, data, len, 0644, &err) == 0,
	    "%s: %s", name, err.message);
}

/* Saves and lists a file, perhaps twice. */
static inline void
parity_add(struct parity_medium *pm, struct cw_manifest *manifest,
    uint32_t medium, const char *name, const void *data, size_t len,
    bool is_twice)
{
	struct cw_manifest_file file = {.medium = medium, .size = len};
	char second[CW_MANIFEST_NAME_MAX + 8];
	uint8_t xxh[CW_XXH_SIZE];

	snprintf(file.name, sizeof(file.name), "%s", name);
	snprintf(second, sizeof(second), CW_SET_COPY "/%s", name);
	parity_save(pm->fd, name, data, len);
	if (is_twice)
		parity_save(pm->fd, second, data, len);
	cw_sha256(data, len, file.sha256);
	cw_xxh(data, len, xxh);
	ck_assert_int_eq(cw_manifest_add_file(manifest, &file, NULL), 0);
	if (strcmp(name, CW_SET_CHECKSUMS) == 0)
		return;
	ck_assert_int_eq(cw_checksums_add(&pm->sums, name, xxh, NULL), 0);
	if (is_twice)
		ck_assert_int_eq(
		    cw_checksums_add(&pm->sums, second, xxh, NULL), 0);
}

/* Where member i of a group lies, shards behind the members. */
static inline uint32_t
parity_medium_of(const struct parity_seed *s, uint32_t group, uint32_t i)
{
	return s->survive > 0 ? 1 + (group + i) % s->media
			      : 1 + (group - 1) % s->media;
}

static inline void
parity_make_group(const struct parity_seed *s, struct parity_medium *media,
    struct cw_manifest *manifest, uint32_t group)
{
	uint32_t members[CW_PARITY_ROWS_MAX], count = 0;
	uint8_t *shards[CW_PARITY_ROWS_MAX];
	uint64_t length = 0;
	struct cw_parity *p;

	for (uint32_t i = 0; i < s->k; i++)
		if ((group - 1) * s->k + i < s->volumes) {
			members[count] = (group - 1) * s->k + i + 1;
			if (parity_volume_size(s, members[count]) > length)
				length = parity_volume_size(s, members[count]);
			count++;
		}
	ck_assert_int_eq(cw_parity_new(s->k, s->m, &p, NULL), 0);
	for (uint32_t j = 0; j < s->m; j++)
		shards[j] = cw_calloc(1, length + 1);
	for (uint32_t i = 0; i < count; i++) {
		uint64_t size = parity_volume_size(s, members[i]);
		uint8_t *data = parity_pattern(size, members[i]);
		uint32_t medium = parity_medium_of(s, group, i);
		char name[32];

		cw_parity_add(p, i, data, size, shards);
		parity_volume_name(members[i], name);
		parity_add(
		    &media[medium], manifest, medium, name, data, size, false);
		free(data);
	}
	ck_assert_int_eq(
	    cw_manifest_add_group(manifest, group, members, count, NULL), 0);
	for (uint32_t j = 0; j < s->m; j++) {
		uint32_t medium = parity_medium_of(s, group, s->k + j);
		char name[CW_PARITY_NAME_MAX];

		cw_parity_name(group, j + 1, name);
		parity_add(&media[medium], manifest, medium, name, shards[j],
		    length, false);
		free(shards[j]);
	}
	cw_parity_free(p);
}

/* The digests of the blocks of a medium's volumes and shards, by name. */
static inline void
parity_make_blocks(
    struct parity_medium *pm, struct cw_manifest *manifest, uint32_t medium)
{
	struct cw_buf text = CW_BUF_INIT, data = CW_BUF_INIT;
	struct cw_buf sorted = CW_BUF_INIT;

	/* Encoding sorts the files. */
	ck_assert_int_eq(cw_manifest_encode(manifest, &sorted, NULL), 0);
	for (size_t i = 0; i < manifest->file_count; i++) {
		const struct cw_manifest_file *f = &manifest->files[i];

		if (f->medium != medium || !cw_blocks_has_file(f->name))
			continue;
		cw_buf_reset(&data);
		ck_assert_int_eq(
		    cw_set_read_file(pm->fd, f->name, f->size, &data, NULL), 0);
		for (uint64_t at = 0; at < f->size; at += CW_PARITY_COLUMN) {
			uint64_t rest = f->size - at;

			cw_xxh(data.data + at,
			    rest < CW_PARITY_COLUMN ? rest : CW_PARITY_COLUMN,
			    cw_buf_reserve(&text, CW_XXH_SIZE));
			text.len += CW_XXH_SIZE;
		}
	}
	parity_add(pm, manifest, medium, CW_SET_BLOCKS,
	    text.len == 0 ? (const void *)"" : text.data, text.len, true);
	cw_buf_free(&text);
	cw_buf_free(&data);
	cw_buf_free(&sorted);
}

static inline void
parity_close_medium(const struct parity_seed *s, struct parity_medium *pm,
    struct cw_manifest *manifest, uint32_t medium)
{
	struct cw_medium is = {.number = medium,
	    .count = s->media,
	    .label = "DISK 0",
	    .filesystem = "0a1b-2c3d",
	    .time = 1000 + medium};
	struct cw_buf text = CW_BUF_INIT;

	memcpy(is.seed_id, manifest->seed_id, sizeof(is.seed_id));
	if (!s->not_described)
		ck_assert_int_eq(
		    cw_manifest_add_medium(manifest, &is, NULL), 0);
	ck_assert_int_eq(cw_medium_encode(&is, &text, NULL), 0);
	parity_add(
	    pm, manifest, medium, CW_SET_MEDIUM, text.data, text.len, true);
	if (!s->no_blocks)
		parity_make_blocks(pm, manifest, medium);
	cw_buf_reset(&text);
	cw_buf_text(&text, "the catalog");
	parity_add(
	    pm, manifest, medium, CW_SET_CATALOG, text.data, text.len, true);
	cw_sha256(text.data, text.len, manifest->catalog);
	manifest->has_catalog = true;
	cw_buf_reset(&text);
	ck_assert_int_eq(cw_checksums_encode(&pm->sums, &text, NULL), 0);
	parity_add(
	    pm, manifest, medium, CW_SET_CHECKSUMS, text.data, text.len, true);
	cw_buf_free(&text);
}

static inline void
parity_seal(int fd, const struct cw_buf *text, const struct cw_buf *sig)
{
	parity_save(fd, CW_SET_MANIFEST, text->data, text->len);
	parity_save(fd, CW_SET_SIGNATURE, sig->data, sig->len);
	parity_save(fd, "copy/" CW_SET_MANIFEST, text->data, text->len);
	parity_save(fd, "copy/" CW_SET_SIGNATURE, sig->data, sig->len);
}

static inline void
parity_make(const struct parity_seed *s)
{
	struct parity_medium media[PARITY_SEED_MEDIA + 1];
	struct cw_manifest manifest = CW_MANIFEST_INIT;
	struct cw_buf text = CW_BUF_INIT, sig = CW_BUF_INIT;
	uint8_t point[32] = {9};
	struct cw_error err = CW_ERROR_INIT;

	memcpy(manifest.seed_id, "\x01\x23\x45\x67\x89\xab\xcd\xef", 8);
	manifest.generation = 1;
	manifest.time = 1000;
	manifest.volume_size = s->size;
	manifest.parity_k = s->k;
	manifest.parity_m = s->m;
	manifest.survive_media = s->survive;
	manifest.media = s->media;
	ck_assert_int_eq(cw_manifest_add_recipient(&manifest, point, NULL), 0);
	for (uint32_t i = 1; i <= s->media; i++) {
		char *path = parity_path(i, "copy");

		media[i] =
		    (struct parity_medium){.fd = -1, .sums = CW_CHECKSUMS_INIT};
		ck_assert_int_eq(cw_make_dirs(path, 0755, &err), 0);
		path[strlen(path) - 5] = '\0';
		media[i].fd = cw_open_dir(path, &err);
		free(path);
	}
	for (uint32_t g = 1; (g - 1) * s->k < s->volumes; g++)
		parity_make_group(s, media, &manifest, g);
	if (s->forge)
		manifest.files[0].sha256[0] ^= 1;
	for (uint32_t i = 1; i <= s->media; i++)
		parity_close_medium(s, &media[i], &manifest, i);
	manifest.is_final = true;
	ck_assert_msg(
	    cw_manifest_encode(&manifest, &text, &err) == 0, "%s", err.message);
	ck_assert_int_eq(cw_minisign_sign(parity_secret, text.data, text.len,
			     "a seed", &sig, &err),
	    0);
	for (uint32_t i = 1; i <= s->media; i++) {
		parity_seal(media[i].fd, &text, &sig);
		cw_close(&media[i].fd);
		cw_checksums_free(&media[i].sums);
	}
	cw_manifest_free(&manifest);
	cw_buf_free(&text);
	cw_buf_free(&sig);
}

/* ---- damage ---- */

static inline void
parity_flip(uint32_t medium, const char *name, uint64_t offset)
{
	char *path = parity_path(medium, name);
	int fd = open(path, O_RDWR | O_CLOEXEC);
	uint8_t byte;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pread(fd, &byte, 1, (off_t)offset), 1);
	byte ^= 0x10;
	ck_assert_int_eq(pwrite(fd, &byte, 1, (off_t)offset), 1);
	close(fd);
	free(path);
}

static inline void
parity_cut(uint32_t medium, const char *name, uint64_t size)
{
	char *path = parity_path(medium, name);

	ck_assert_int_eq(truncate(path, (off_t)size), 0);
	free(path);
}

static inline void
parity_remove(uint32_t medium, const char *name)
{
	char *path = parity_path(medium, name);

	ck_assert_int_eq(unlink(path), 0);
	free(path);
}

/* Whether a volume on a medium has the bytes it was made with. */
static inline bool
parity_is_whole(const struct parity_seed *s, uint32_t medium, uint32_t number)
{
	uint64_t size = parity_volume_size(s, number);
	uint8_t *data = parity_pattern(size, number);
	struct cw_buf found = CW_BUF_INIT;
	char name[32], *path;
	bool is_same;
	int fd;

	parity_volume_name(number, name);
	path = parity_path(medium, "");
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	is_same = cw_set_read_file(fd, name, size, &found, NULL) == 0 &&
		  found.len == size && memcmp(found.data, data, size) == 0;
	close(fd);
	free(path);
	free(data);
	cw_buf_free(&found);
	return is_same;
}

/* The directories of media: "13" is media 1 and 3; to be freed by dirs_free. */
static inline size_t
parity_dirs(const char *which, char *dirs[16])
{
	size_t count = 0;

	for (; which[count] != '\0'; count++)
		dirs[count] = cw_asprintf("%s/%c", parity_root, which[count]);
	return count;
}

static inline struct cw_set *
parity_open(const char *which)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_set *set;
	char *dirs[16];
	size_t count = parity_dirs(which, dirs);

	ck_assert_msg(cw_set_open((const char *const *)dirs, count, NULL,
			  &parity_signer, 1, &set, &err) == 0,
	    "%s", err.message);
	ck_assert(set->is_trusted);
	while (count > 0)
		free(dirs[--count]);
	return set;
}

#endif
