/* seed/verify.h and media/set.h: what is found, trusted and named. */
#include "base/buf.h"
#include "base/bytes.h"
#include "base/crypto.h"
#include "base/fs.h"
#include "media/set.h"
#include "seed/custody_file.h"
#include "seed/verify.h"

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

/*
 * libgcrypt's pool of random numbers is reachable only from its secure memory,
 * where a leak checker does not look.
 */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_options(void);

const char *
__lsan_default_suppressions(void)
{
	return "leak:libgcrypt.so";
}

const char *
__lsan_default_options(void)
{
	return "print_suppressions=0";
}

static char root[] = "/tmp/test_verify.XXXXXX";
static struct cw_minisign_secret *secret;
static struct cw_card card;
static struct cw_set_signer signer;

static void
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

static void
teardown(void)
{
	char *command = cw_asprintf("rm -rf '%s'", root);

	ck_assert_int_eq(system(command), 0);
	free(command);
	cw_minisign_secret_free(secret);
}

/* ---- a seed by hand ---- */

struct medium {
	char *dir;    /* where it is mounted */
	char *folder; /* of the seed */
	int fd;
	struct cw_checksums sums;
};

static void
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

static void
close_medium(struct medium *m)
{
	cw_close(&m->fd);
	cw_checksums_free(&m->sums);
	free(m->dir);
	free(m->folder);
}

static void
save(const struct medium *m, const char *name, const void *data, size_t len)
{
	struct cw_error err = CW_ERROR_INIT;

	ck_assert_msg(cw_save_file(m->fd, name, data, len, 0644, &err) == 0,
	    "%s: %s", name, err.message);
}

static void
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

static uint8_t *
pattern(size_t len, uint32_t x)
{
	uint8_t *data = cw_malloc(len);

	for (size_t i = 0; i < len; i++) {
		x = x * 1664525u + 1013904223u;
		data[i] = (uint8_t)(x >> 24);
	}
	return data;
}

static void
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
	for (uint32_t i = 1; i <= 2; i++) {
		char name[32];

		snprintf(name, sizeof(name), "%06u.tar.zst.age",
		    2 * (number - 1) + i);
		data = pattern(VOLUME_SIZE, 10 * number + i);
		add(m, manifest, number, name, data, VOLUME_SIZE, false);
		free(data);
	}
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

static void
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
}

/* Signs a manifest onto a medium, and begins its log. */
static void
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
static void
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

static void
make_seed(uint32_t media)
{
	make_seed_named(SEED, 1000, media);
}

/* The path of a file of the seed on medium "1", for one statement. */
static const char *
path_of(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/1/causeway/" SEED "/%s", root, name);
	return path;
}

static void
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

/* ---- running it ---- */

static struct cw_verify_result result;
static struct cw_error error;

static int
run(const char *media, bool is_trusting, bool is_quick)
{
	struct cw_verify_options options = {.quick = is_quick};
	char dirs[MEDIA_MAX][256];
	const char *list[MEDIA_MAX];
	size_t count = 0;
	int ret;

	error = (struct cw_error)CW_ERROR_INIT;
	for (; media[count] != '\0'; count++) {
		snprintf(dirs[count], sizeof(dirs[count]), "%s/%c", root,
		    media[count]);
		list[count] = dirs[count];
	}
	if (is_trusting) {
		options.signers = &signer;
		options.signer_count = 1;
	}
	ret = cw_verify(list, count, &options, &result, &error);
	if (ret == 0)
		ck_assert((result.status == CW_VERIFY_OK) ==
			  (result.error.code == CW_OK));
	return ret;
}

/* Runs with trust; the status must be this. */
static void
verify_is(const char *media, enum cw_verify_status status)
{
	ck_assert_msg(run(media, true, false) == 0, "%s", error.message);
	ck_assert_msg(result.status == status, "%s: %s",
	    cw_verify_status_name(result.status), result.error.message);
}

static void
one_damage(const char *file, uint64_t offset, uint64_t length)
{
	ck_assert_uint_eq(result.damaged_count, 1);
	ck_assert_str_eq(result.damaged[0].file, file);
	ck_assert_uint_eq(result.damaged[0].offset, offset);
	ck_assert_uint_eq(result.damaged[0].length, length);
}

static void
one_missing(const char *file)
{
	ck_assert_uint_eq(result.missing_count, 1);
	ck_assert_str_eq(result.missing[0].file, file);
}

START_TEST(a_good_seed_is_ok)
{
	make_seed(1);
	verify_is("1", CW_VERIFY_OK);
	ck_assert_str_eq(result.seed_text, SEED);
	ck_assert_str_eq(result.signer_name, "metairie");
	ck_assert_uint_eq(result.volumes, 2);
	ck_assert_uint_eq(result.bytes, 2 * VOLUME_SIZE + 2 * CATALOG_SIZE);
	ck_assert_uint_eq(result.damaged_count, 0);
	ck_assert_uint_eq(result.missing_count, 0);
	ck_assert_uint_eq(result.remark_count, 0);
	ck_assert(result.is_final);
	cw_verify_free(&result);
}
END_TEST

START_TEST(a_good_seed_on_two_media_is_ok_in_any_order)
{
	make_seed(2);
	verify_is("12", CW_VERIFY_OK);
	ck_assert_uint_eq(result.volumes, 4);
	cw_verify_free(&result);
	verify_is("21", CW_VERIFY_OK);
	cw_verify_free(&result);
	verify_is("212", CW_VERIFY_OK);
	ck_assert_uint_eq(result.media_present, 2);
	cw_verify_free(&result);
}
END_TEST

START_TEST(the_folder_may_be_named_at_any_depth)
{
	static const char *const ends[] = {"1", "1/", "1/causeway",
	    "1/causeway/" SEED, "1/causeway/" SEED "/"};
	struct cw_verify_options options = {
	    .signers = &signer, .signer_count = 1};

	make_seed(1);
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		char path[256];
		const char *dir = path;

		snprintf(path, sizeof(path), "%s/%s", root, ends[i]);
		ck_assert_int_eq(
		    cw_verify(&dir, 1, &options, &result, &error), 0);
		ck_assert_int_eq(result.status, CW_VERIFY_OK);
		cw_verify_free(&result);
	}
}
END_TEST

START_TEST(a_medium_that_is_not_here_is_named)
{
	make_seed(2);
	verify_is("1", CW_VERIFY_DAMAGED);
	ck_assert_int_eq(result.error.code, CW_ERR_MISSING);
	ck_assert_uint_eq(result.absent_count, 1);
	ck_assert_uint_eq(result.absent[0], 2);
	ck_assert_uint_eq(result.missing_count, 5);
	ck_assert(result.missing[0].is_medium_absent);
	ck_assert_ptr_nonnull(strstr(result.error.message, "medium 2"));
	cw_verify_free(&result);
}
END_TEST

START_TEST(a_flipped_bit_in_a_volume_is_damage)
{
	make_seed(1);
	flip("000002.tar.zst.age", 77777);
	verify_is("1", CW_VERIFY_DAMAGED);
	ck_assert_int_eq(result.error.code, CW_ERR_DAMAGED);
	one_damage("000002.tar.zst.age", 0, VOLUME_SIZE);
	cw_verify_free(&result);
}
END_TEST

START_TEST(a_cut_volume_is_damage)
{
	make_seed(1);
	ck_assert_int_eq(truncate(path_of("000001.tar.zst.age"), 5), 0);
	verify_is("1", CW_VERIFY_DAMAGED);
	one_damage("000001.tar.zst.age", 0, VOLUME_SIZE);
	cw_verify_free(&result);
}
END_TEST

START_TEST(a_missing_volume_is_missing)
{
	make_seed(1);
	ck_assert_int_eq(unlink(path_of("000001.tar.zst.age")), 0);
	verify_is("1", CW_VERIFY_DAMAGED);
	ck_assert_int_eq(result.error.code, CW_ERR_MISSING);
	one_missing("000001.tar.zst.age");
	ck_assert_uint_eq(result.volumes, 1);
	cw_verify_free(&result);
}
END_TEST

START_TEST(swapped_volumes_are_damage)
{
	char first[256];

	make_seed(1);
	strcpy(first, path_of("000001.tar.zst.age"));
	ck_assert_int_eq(rename(first, path_of("x")), 0);
	ck_assert_int_eq(rename(path_of("000002.tar.zst.age"), first), 0);
	strcpy(first, path_of("x"));
	ck_assert_int_eq(rename(first, path_of("000002.tar.zst.age")), 0);
	verify_is("1", CW_VERIFY_DAMAGED);
	ck_assert_uint_eq(result.damaged_count, 2);
	cw_verify_free(&result);
}
END_TEST

START_TEST(quick_reads_no_volume_but_sees_sizes)
{
	make_seed(1);
	ck_assert_int_eq(run("1", true, true), 0);
	ck_assert_int_eq(result.status, CW_VERIFY_OK);
	cw_verify_free(&result);
	ck_assert_int_eq(truncate(path_of("000001.tar.zst.age"), 5), 0);
	ck_assert_int_eq(run("1", true, true), 0);
	ck_assert_int_eq(result.status, CW_VERIFY_DAMAGED);
	cw_verify_free(&result);
}
END_TEST

/* Files that are there twice: one of them is enough. */
static const char *const twice[] = {CW_SET_MEDIUM, CW_SET_CHECKSUMS,
    CW_SET_CATALOG, "copy/MEDIUM", "copy/CHECKSUMS",
    "copy/catalog.sqlite.zst.age", "copy/MANIFEST", "copy/MANIFEST.minisig"};

START_TEST(damage_to_one_of_two_copies_is_repairable)
{
	make_seed(1);
	flip(twice[_i], 40);
	verify_is("1", CW_VERIFY_REPAIRABLE);
	ck_assert_int_eq(result.error.code, CW_ERR_REPAIRABLE);
	ck_assert_uint_eq(result.damaged_count, 1);
	ck_assert_str_eq(result.damaged[0].file, twice[_i]);
	cw_verify_free(&result);
}
END_TEST

START_TEST(the_loss_of_one_of_two_copies_is_repairable)
{
	make_seed(1);
	ck_assert_int_eq(unlink(path_of(twice[_i])), 0);
	verify_is("1", CW_VERIFY_REPAIRABLE);
	one_missing(twice[_i]);
	ck_assert(result.missing[0].is_repairable);
	cw_verify_free(&result);
}
END_TEST

START_TEST(the_loss_of_manifest_and_signature_is_repairable)
{
	make_seed(1);
	ck_assert_int_eq(unlink(path_of(CW_SET_MANIFEST)), 0);
	ck_assert_int_eq(unlink(path_of(CW_SET_SIGNATURE)), 0);
	verify_is("1", CW_VERIFY_REPAIRABLE);
	ck_assert_uint_eq(result.missing_count, 2);
	cw_verify_free(&result);
}
END_TEST

START_TEST(both_copies_gone_are_damage)
{
	make_seed(1);
	flip(CW_SET_CATALOG, 40);
	ck_assert_int_eq(unlink(path_of("copy/catalog.sqlite.zst.age")), 0);
	verify_is("1", CW_VERIFY_DAMAGED);
	ck_assert_uint_eq(result.damaged_count, 1);
	ck_assert_uint_eq(result.missing_count, 1);
	cw_verify_free(&result);
}
END_TEST

START_TEST(without_any_medium_file_volumes_tell_which_it_is)
{
	make_seed(2);
	ck_assert_int_eq(unlink(path_of(CW_SET_MEDIUM)), 0);
	ck_assert_int_eq(unlink(path_of("copy/MEDIUM")), 0);
	verify_is("12", CW_VERIFY_DAMAGED);
	ck_assert_uint_eq(result.volumes, 4);
	ck_assert_uint_eq(result.absent_count, 0);
	ck_assert_uint_eq(result.missing_count, 2);
	cw_verify_free(&result);
}
END_TEST

START_TEST(a_changed_manifest_is_not_trusted)
{
	make_seed(1);
	flip(CW_SET_MANIFEST, 50);
	verify_is("1", CW_VERIFY_UNTRUSTED);
	ck_assert_int_eq(result.error.code, CW_ERR_UNTRUSTED);
	cw_verify_free(&result);
}
END_TEST

START_TEST(a_changed_signature_is_not_trusted)
{
	make_seed(1);
	flip(CW_SET_SIGNATURE, 100);
	verify_is("1", CW_VERIFY_UNTRUSTED);
	cw_verify_free(&result);
}
END_TEST

START_TEST(no_signature_at_all_is_not_trusted)
{
	make_seed(1);
	ck_assert_int_eq(unlink(path_of(CW_SET_SIGNATURE)), 0);
	ck_assert_int_eq(unlink(path_of("copy/MANIFEST.minisig")), 0);
	verify_is("1", CW_VERIFY_UNTRUSTED);
	cw_verify_free(&result);
}
END_TEST

START_TEST(manifests_that_are_none_are_not_trusted)
{
	make_seed(1);
	ck_assert_int_eq(truncate(path_of(CW_SET_MANIFEST), 7), 0);
	ck_assert_int_eq(truncate(path_of("copy/MANIFEST"), 7), 0);
	ck_assert_int_eq(run("1", true, false), -1);
	ck_assert_int_eq(error.code, CW_ERR_UNTRUSTED);
	cw_verify_free(&result);
}
END_TEST

START_TEST(without_a_trusted_key_damage_is_still_found)
{
	make_seed(1);
	flip("000002.tar.zst.age", 77777);
	ck_assert_int_eq(run("1", false, false), 0);
	ck_assert_int_eq(result.status, CW_VERIFY_UNTRUSTED);
	one_damage("000002.tar.zst.age", 0, VOLUME_SIZE);
	ck_assert_uint_eq(strlen(result.key_id), 16);
	ck_assert_ptr_nonnull(strstr(result.error.message, result.key_id));
	cw_verify_free(&result);
}
END_TEST

START_TEST(another_signers_seed_is_not_trusted)
{
	struct cw_minisign_secret *other = cw_minisign_generate();

	make_seed(1);
	cw_minisign_secret_public(other, &signer.key);
	verify_is("1", CW_VERIFY_UNTRUSTED);
	ck_assert(!result.is_trusted);
	cw_verify_free(&result);
	cw_minisign_secret_free(other);
}
END_TEST

START_TEST(a_signer_that_is_not_the_named_writer_is_not_trusted)
{
	make_seed(1);
	signer.fingerprint[0] ^= 1;
	verify_is("1", CW_VERIFY_UNTRUSTED);
	cw_verify_free(&result);
	/* A bare key says nothing about the card. */
	signer.has_fingerprint = false;
	verify_is("1", CW_VERIFY_OK);
	cw_verify_free(&result);
}
END_TEST

START_TEST(the_signed_manifest_of_another_seed_is_not_trusted)
{
	char *command;

	make_seed(1);
	command = cw_asprintf(
	    "mv %s/1/causeway/" SEED " %s/1/causeway/" OTHER_SEED, root, root);
	ck_assert_int_eq(system(command), 0);
	ck_assert_int_eq(run("1", true, false), -1);
	ck_assert_int_eq(error.code, CW_ERR_UNTRUSTED);
	cw_verify_free(&result);
	free(command);
}
END_TEST

START_TEST(a_file_that_was_slipped_in_is_damage)
{
	FILE *f;

	make_seed(1);
	f = fopen(path_of("000009.tar.zst.age"), "w");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(fclose(f), 0);
	verify_is("1", CW_VERIFY_DAMAGED);
	one_damage("000009.tar.zst.age", 0, 0);
	cw_verify_free(&result);
}
END_TEST

START_TEST(leftovers_are_remarks)
{
	static const char *const names[] = {".DS_Store", "CUSTODY.tmp"};

	make_seed(1);
	for (size_t i = 0; i < 2; i++) {
		FILE *f = fopen(path_of(names[i]), "w");

		ck_assert_ptr_nonnull(f);
		ck_assert_int_eq(fclose(f), 0);
	}
	verify_is("1", CW_VERIFY_OK);
	ck_assert_uint_eq(result.remark_count, 2);
	cw_verify_free(&result);
}
END_TEST

START_TEST(symlinks_and_fifos_are_damage_and_nobody_waits)
{
	make_seed(1);
	ck_assert_int_eq(unlink(path_of("000001.tar.zst.age")), 0);
	ck_assert_int_eq(mkfifo(path_of("000001.tar.zst.age"), 0644), 0);
	ck_assert_int_eq(unlink(path_of("000002.tar.zst.age")), 0);
	ck_assert_int_eq(
	    symlink("/etc/passwd", path_of("000002.tar.zst.age")), 0);
	ck_assert_int_eq(unlink(path_of(CW_SET_MANIFEST)), 0);
	ck_assert_int_eq(mkfifo(path_of(CW_SET_MANIFEST), 0644), 0);
	verify_is("1", CW_VERIFY_DAMAGED);
	ck_assert_uint_eq(result.damaged_count, 3);
	cw_verify_free(&result);
}
END_TEST

START_TEST(giant_small_files_are_refused)
{
	make_seed(1);
	ck_assert_int_eq(truncate(path_of(CW_SET_SIGNATURE), 1ll << 40), 0);
	ck_assert_int_eq(truncate(path_of(CW_SET_MEDIUM), 1ll << 40), 0);
	ck_assert_int_eq(truncate(path_of(CW_SET_CUSTODY), 1ll << 40), 0);
	verify_is("1", CW_VERIFY_DAMAGED);
	ck_assert_uint_eq(result.damaged_count, 3);
	cw_verify_free(&result);
}
END_TEST

START_TEST(a_changed_log_is_damage_and_a_torn_one_is_not)
{
	FILE *f;

	make_seed(1);
	f = fopen(path_of(CW_SET_CUSTODY), "a");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(fputs("2 half a li", f) < 0, 0);
	ck_assert_int_eq(fclose(f), 0);
	verify_is("1", CW_VERIFY_OK);
	ck_assert_uint_eq(result.remark_count, 1);
	cw_verify_free(&result);
	flip(CW_SET_CUSTODY, 60);
	verify_is("1", CW_VERIFY_DAMAGED);
	ck_assert_str_eq(result.damaged[0].file, CW_SET_CUSTODY);
	cw_verify_free(&result);
}
END_TEST

START_TEST(the_log_is_added_to_and_a_torn_line_cut)
{
	struct cw_custody log = CW_CUSTODY_INIT;
	struct medium m;
	uint8_t id[CW_SEED_ID_SIZE];
	FILE *f;

	make_seed(1);
	ck_assert(cw_hex_decode(SEED, 16, id, sizeof(id)));
	f = fopen(path_of(CW_SET_CUSTODY), "a");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(fputs("2 half a li", f) < 0, 0);
	ck_assert_int_eq(fclose(f), 0);
	open_medium(&m, "1", SEED);
	ck_assert_int_eq(cw_custody_file_append(m.fd, id, CW_CUSTODY_NOTE,
			     "to the courier", card.name, secret, &error),
	    0);
	ck_assert_int_eq(cw_custody_file_read(m.fd, id, &log, &error), 0);
	ck_assert_uint_eq(log.event_count, 2);
	ck_assert(!log.is_torn);
	ck_assert_str_eq(log.events[1].note, "to the courier");
	cw_custody_free(&log);
	id[0] ^= 1;
	ck_assert_int_eq(cw_custody_file_append(m.fd, id, CW_CUSTODY_NOTE, "",
			     card.name, secret, &error),
	    -1);
	ck_assert_int_eq(error.code, CW_ERR_UNTRUSTED);
	close_medium(&m);
}
END_TEST

START_TEST(of_several_seeds_the_newest_is_chosen)
{
	struct cw_verify_options options = {
	    .signers = &signer, .signer_count = 1, .seed = SEED};
	char path[256];
	const char *dir = path;

	make_seed_named(OTHER_SEED, 2000, 1);
	make_seed(1);
	verify_is("1", CW_VERIFY_OK);
	ck_assert_str_eq(result.seed_text, OTHER_SEED);
	cw_verify_free(&result);
	snprintf(path, sizeof(path), "%s/1", root);
	ck_assert_int_eq(cw_verify(&dir, 1, &options, &result, &error), 0);
	ck_assert_str_eq(result.seed_text, SEED);
	ck_assert_int_eq(result.status, CW_VERIFY_OK);
	cw_verify_free(&result);
}
END_TEST

START_TEST(equally_new_seeds_are_listed_and_not_guessed)
{
	make_seed_named(OTHER_SEED, 1000, 1);
	make_seed(1);
	ck_assert_int_eq(run("1", true, false), -1);
	ck_assert_int_eq(error.code, CW_ERR_USAGE);
	ck_assert_ptr_nonnull(strstr(error.message, SEED));
	ck_assert_ptr_nonnull(strstr(error.message, OTHER_SEED));
	cw_verify_free(&result);
}
END_TEST

START_TEST(an_empty_directory_holds_no_seed)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/1", root);
	ck_assert_int_eq(mkdir(path, 0755), 0);
	ck_assert_int_eq(run("1", true, false), -1);
	ck_assert_int_eq(error.code, CW_ERR_MISSING);
	cw_verify_free(&result);
}
END_TEST

START_TEST(the_final_manifest_governs_over_an_open_one)
{
	struct cw_manifest manifest;
	struct medium m[2];

	begin_manifest(&manifest, SEED, 1000, 0, false);
	open_medium(&m[0], "1", SEED);
	fill_medium(&m[0], &manifest, 1, 0);
	seal(&m[0], &manifest);
	/* Alone, it is good as far as it goes, and not the whole seed. */
	verify_is("1", CW_VERIFY_DAMAGED);
	ck_assert_int_eq(result.error.code, CW_ERR_MISSING);
	ck_assert_uint_eq(result.damaged_count, 0);
	cw_verify_free(&result);
	open_medium(&m[1], "2", SEED);
	fill_medium(&m[1], &manifest, 2, 2);
	manifest.is_final = true;
	manifest.media = 2;
	seal(&m[1], &manifest);
	verify_is("12", CW_VERIFY_OK);
	ck_assert_uint_eq(result.volumes, 4);
	cw_verify_free(&result);
	cw_manifest_free(&manifest);
	close_medium(&m[0]);
	close_medium(&m[1]);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("verify");
	TCase *tc = tcase_create("verify");
	const int copies = (int)(sizeof(twice) / sizeof(twice[0]));
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_good_seed_is_ok);
	tcase_add_test(tc, a_good_seed_on_two_media_is_ok_in_any_order);
	tcase_add_test(tc, the_folder_may_be_named_at_any_depth);
	tcase_add_test(tc, a_medium_that_is_not_here_is_named);
	tcase_add_test(tc, a_flipped_bit_in_a_volume_is_damage);
	tcase_add_test(tc, a_cut_volume_is_damage);
	tcase_add_test(tc, a_missing_volume_is_missing);
	tcase_add_test(tc, swapped_volumes_are_damage);
	tcase_add_test(tc, quick_reads_no_volume_but_sees_sizes);
	tcase_add_loop_test(
	    tc, damage_to_one_of_two_copies_is_repairable, 0, copies);
	tcase_add_loop_test(
	    tc, the_loss_of_one_of_two_copies_is_repairable, 0, copies);
	tcase_add_test(tc, the_loss_of_manifest_and_signature_is_repairable);
	tcase_add_test(tc, both_copies_gone_are_damage);
	tcase_add_test(tc, without_any_medium_file_volumes_tell_which_it_is);
	tcase_add_test(tc, a_changed_manifest_is_not_trusted);
	tcase_add_test(tc, a_changed_signature_is_not_trusted);
	tcase_add_test(tc, no_signature_at_all_is_not_trusted);
	tcase_add_test(tc, manifests_that_are_none_are_not_trusted);
	tcase_add_test(tc, without_a_trusted_key_damage_is_still_found);
	tcase_add_test(tc, another_signers_seed_is_not_trusted);
	tcase_add_test(
	    tc, a_signer_that_is_not_the_named_writer_is_not_trusted);
	tcase_add_test(tc, the_signed_manifest_of_another_seed_is_not_trusted);
	tcase_add_test(tc, a_file_that_was_slipped_in_is_damage);
	tcase_add_test(tc, leftovers_are_remarks);
	tcase_add_test(tc, symlinks_and_fifos_are_damage_and_nobody_waits);
	tcase_add_test(tc, giant_small_files_are_refused);
	tcase_add_test(tc, a_changed_log_is_damage_and_a_torn_one_is_not);
	tcase_add_test(tc, the_log_is_added_to_and_a_torn_line_cut);
	tcase_add_test(tc, of_several_seeds_the_newest_is_chosen);
	tcase_add_test(tc, equally_new_seeds_are_listed_and_not_guessed);
	tcase_add_test(tc, an_empty_directory_holds_no_seed);
	tcase_add_test(tc, the_final_manifest_governs_over_an_open_one);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
