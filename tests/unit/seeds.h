/*
 * Seeds made by hand, on media that are directories "1", "2", ... beneath
 * root: two volumes each, a catalog, and what else belongs there.
 */
#ifndef CW_TESTS_UNIT_SEEDS_H
#define CW_TESTS_UNIT_SEEDS_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/crypto.h"
#include "base/fs.h"
#include "formats/parity/parity.h"
#include "media/blocks.h"
#include "media/set.h"
#include "seed/custody_file.h"
#include "tests/unit/scratch.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEED	     "0123456789abcdef"
#define OTHER_SEED   "00000000000000ff"
#define VOLUME_SIZE  100000u
#define CATALOG_SIZE 5000u
#define MEDIA_MAX    3u

static char root[] = "/tmp/test_seed.XXXXXX";
static struct cw_minisign_secret *secret;
static struct cw_card card;
static struct cw_set_signer signer;

static inline void
setup(void)
{
	struct cw_error err = CW_ERROR_INIT;

	memcpy(root + sizeof(root) - 7, "XXXXXX", 6);
	ck_assert_int_eq(cw_crypto_init(&err), 0);
	ck_assert_ptr_nonnull(mkdtemp(root));
	secret = cw_minisign_generate();
	memset(&card, 0, sizeof(card));
	strcpy(card.name, "metairie");
	memset(card.age_point, 7, sizeof(card.age_point));
	cw_minisign_secret_public(secret, &card.sign);
	cw_set_signer_from_card(&card, &signer);
}

static inline void
teardown(void)
{
	scratch_remove(root);
	cw_minisign_secret_free(secret);
}

/* ---- a seed by hand ---- */

struct medium {
	char *dir;    /* where it is mounted */
	char *folder; /* of the seed */
	int fd;
	struct cw_checksums sums;
};

static inline void
open_medium(struct medium *m, const char *name, const char *seed)
{
	struct cw_error err = CW_ERROR_INIT;
	char *copy;

	*m = (struct medium){.sums = CW_CHECKSUMS_INIT};
	m->dir = cw_asprintf("%s/%s", root, name);
	m->folder = cw_asprintf("%s/causeway/%s", m->dir, seed);
	copy = cw_asprintf("%s/copy", m->folder);
	ck_assert_int_eq(cw_make_dirs(copy, 0755, &err), 0);
	m->fd = cw_open_dir(m->folder, &err);
	ck_assert_int_ge(m->fd, 0);
	free(copy);
}

static inline void
close_medium(struct medium *m)
{
	cw_close(&m->fd);
	cw_checksums_free(&m->sums);
	free(m->dir);
	free(m->folder);
}

static inline void
save(const struct medium *m, const char *name, const void *data, size_t len)
{
	struct cw_error err = CW_ERROR_INIT;

	ck_assert_msg(cw_save_file(m->fd, name, data, len, 0644, &err) == 0,
	    "%s: %s", name, err.message);
}

static inline void
add(struct medium *m, struct cw_manifest *manifest, uint32_t number,
    const char *name, const void *data, size_t len, bool has_copy)
{
	struct cw_manifest_file file = {.medium = number, .size = len};
	struct cw_error err = CW_ERROR_INIT;
	uint8_t xxh[CW_XXH_SIZE];

	save(m, name, data, len);
	strcpy(file.name, name);
	cw_sha256(data, len, file.sha256);
	ck_assert_int_eq(cw_manifest_add_file(manifest, &file, &err), 0);
	cw_xxh(data, len, xxh);
	if (strcmp(name, CW_SET_CHECKSUMS) != 0)
		ck_assert_int_eq(
		    cw_checksums_add(&m->sums, name, xxh, &err), 0);
	if (has_copy) {
		char copy[80];

		snprintf(copy, sizeof(copy), "copy/%s", name);
		save(m, copy, data, len);
		if (strcmp(name, CW_SET_CHECKSUMS) != 0)
			ck_assert_int_eq(
			    cw_checksums_add(&m->sums, copy, xxh, &err), 0);
	}
}

static inline uint8_t *
pattern(size_t len, uint32_t x)
{
	uint8_t *data = cw_malloc(len);

	for (size_t i = 0; i < len; i++) {
		x = x * 1664525u + 1013904223u;
		data[i] = (uint8_t)(x >> 24);
	}
	return data;
}

/* What is of a seed's nature and not of each test. */
static bool seed_has_parity;   /* 2+1 on each medium, and blocks */
static bool seed_is_described; /* each MEDIUM stands in the manifest, too */

/* Adds the digests of a file's blocks. */
static inline void
add_blocks(struct cw_buf *blocks, const uint8_t *data, size_t len)
{
	for (size_t at = 0; at < len; at += CW_PARITY_COLUMN) {
		uint8_t xxh[CW_XXH_SIZE];

		cw_xxh(data + at,
		    len - at < CW_PARITY_COLUMN ? len - at : CW_PARITY_COLUMN,
		    xxh);
		cw_buf_append(blocks, xxh, sizeof(xxh));
	}
}

/* The shard of a medium's two volumes, and CHECKSUMS.blocks. */
static inline void
add_parity(struct medium *m, struct cw_manifest *manifest, uint32_t number)
{
	const uint32_t volumes[2] = {2 * number - 1, 2 * number};
	uint8_t *shard = cw_calloc(1, VOLUME_SIZE), *data[2];
	struct cw_error err = CW_ERROR_INIT;
	struct cw_buf blocks = CW_BUF_INIT;
	char name[CW_PARITY_NAME_MAX];
	struct cw_parity *parity;

	manifest->parity_k = 2;
	manifest->parity_m = 1;
	ck_assert_msg(
	    cw_manifest_add_group(manifest, number, volumes, 2, &err) == 0,
	    "%s", err.message);
	ck_assert_int_eq(cw_parity_new(2, 1, &parity, &err), 0);
	for (uint32_t i = 0; i < 2; i++) {
		data[i] = pattern(VOLUME_SIZE, 10 * number + i + 1);
		cw_parity_add(parity, i, data[i], VOLUME_SIZE, &shard);
	}
	cw_parity_name(number, 1, name);
	/* In order of name. */
	add_blocks(&blocks, shard, VOLUME_SIZE);
	add_blocks(&blocks, data[0], VOLUME_SIZE);
	add_blocks(&blocks, data[1], VOLUME_SIZE);
	add(m, manifest, number, name, shard, VOLUME_SIZE, false);
	add(m, manifest, number, CW_SET_BLOCKS, blocks.data, blocks.len, true);
	cw_parity_free(parity);
	cw_buf_free(&blocks);
	free(data[0]);
	free(data[1]);
	free(shard);
}

static inline void
fill_medium(struct medium *m, struct cw_manifest *manifest, uint32_t number,
    uint32_t count)
{
	struct cw_medium is = {.number = number,
	    .count = count,
	    .label = "DISK",
	    .filesystem = "-",
	    .time = 1000};
	struct cw_error err = CW_ERROR_INIT;
	struct cw_buf text = CW_BUF_INIT;
	uint8_t *data;

	memcpy(is.seed_id, manifest->seed_id, sizeof(is.seed_id));
	if (seed_is_described)
		ck_assert_int_eq(
		    cw_manifest_add_medium(manifest, &is, &err), 0);
	for (uint32_t i = 1; i <= 2; i++) {
		char name[32];

		snprintf(name, sizeof(name), "%06u.tar.zst.age",
		    2 * (number - 1) + i);
		data = pattern(VOLUME_SIZE, 10 * number + i);
		add(m, manifest, number, name, data, VOLUME_SIZE, false);
		free(data);
	}
	if (seed_has_parity)
		add_parity(m, manifest, number);
	data = pattern(CATALOG_SIZE, 99);
	add(m, manifest, number, CW_SET_CATALOG, data, CATALOG_SIZE, true);
	free(data);
	ck_assert_int_eq(cw_medium_encode(&is, &text, &err), 0);
	add(m, manifest, number, CW_SET_MEDIUM, text.data, text.len, true);
	cw_buf_reset(&text);
	ck_assert_int_eq(cw_checksums_encode(&m->sums, &text, &err), 0);
	add(m, manifest, number, CW_SET_CHECKSUMS, text.data, text.len, true);
	cw_buf_free(&text);
}

static inline void
begin_manifest(struct cw_manifest *m, const char *seed, int64_t time,
    uint32_t media, bool is_final)
{
	*m = (struct cw_manifest)CW_MANIFEST_INIT;
	ck_assert(cw_hex_decode(seed, 16, m->seed_id, 8));
	m->generation = 42;
	m->time = time;
	memcpy(m->signer, signer.fingerprint, sizeof(m->signer));
	ck_assert_int_eq(cw_manifest_add_recipient(m, card.age_point, NULL), 0);
	m->volume_size = VOLUME_SIZE;
	m->media = media;
	m->is_final = is_final;
	m->has_catalog = true;
}

/* Signs a manifest onto a medium, and begins its log. */
static inline void
seal(const struct medium *m, struct cw_manifest *manifest)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_buf text = CW_BUF_INIT, sig = CW_BUF_INIT;

	ck_assert_msg(
	    cw_manifest_encode(manifest, &text, &err) == 0, "%s", err.message);
	ck_assert_int_eq(
	    cw_minisign_sign(secret, text.data, text.len, "a seed", &sig, &err),
	    0);
	save(m, CW_SET_MANIFEST, text.data, text.len);
	save(m, CW_SET_SIGNATURE, sig.data, sig.len);
	save(m, "copy/MANIFEST", text.data, text.len);
	save(m, "copy/MANIFEST.minisig", sig.data, sig.len);
	ck_assert_int_eq(cw_custody_file_append(m->fd, manifest->seed_id,
			     CW_CUSTODY_SEALED, "", card.name, secret, &err),
	    0);
	cw_buf_free(&text);
	cw_buf_free(&sig);
}

/* A whole seed on media named "1", "2", ... beneath the root. */
static inline void
make_seed_named(const char *seed, int64_t time, uint32_t media)
{
	struct cw_manifest manifest;
	struct medium m[MEDIA_MAX];

	begin_manifest(&manifest, seed, time, media, true);
	for (uint32_t i = 0; i < media; i++) {
		char name[16];

		snprintf(name, sizeof(name), "%u", i + 1);
		open_medium(&m[i], name, seed);
		fill_medium(&m[i], &manifest, i + 1, media);
	}
	for (uint32_t i = 0; i < media; i++) {
		seal(&m[i], &manifest);
		close_medium(&m[i]);
	}
	cw_manifest_free(&manifest);
}

static inline void
make_seed(uint32_t media)
{
	make_seed_named(SEED, 1000, media);
}

/* The path of a file of the seed on medium "1", for one statement. */
static inline const char *
path_of(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/1/causeway/" SEED "/%s", root, name);
	return path;
}

static inline void
flip(const char *name, off_t offset)
{
	int fd = open(path_of(name), O_RDWR | O_CLOEXEC);
	uint8_t byte;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pread(fd, &byte, 1, offset), 1);
	byte ^= 0x40;
	ck_assert_int_eq(pwrite(fd, &byte, 1, offset), 1);
	ck_assert_int_eq(fsync(fd), 0);
	cw_close(&fd);
}

#endif
