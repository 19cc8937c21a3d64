/* seed/verify.h and media/set.h: what is found, trusted and named. */
#include "base/buf.h"
#include "base/bytes.h"
#include "base/crypto.h"
#include "base/fs.h"
#include "media/set.h"
#include "seed/custody_file.h"
#include "seed/verify.h"
#include "tests/unit/seeds.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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
	ck_assert(result.damaged[0].is_extra);
	ck_assert_ptr_nonnull(
	    strstr(result.error.message, "1 file is no part of it"));
	ck_assert_ptr_nonnull(strstr(result.error.message, "delete it"));
	ck_assert_ptr_null(strstr(result.error.message, "written again"));
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
	/* Alone, it is good as far as it goes: the seed goes on. */
	verify_is("1", CW_VERIFY_OK);
	ck_assert(!result.is_final);
	ck_assert_uint_eq(result.remark_count, 1);
	ck_assert_ptr_nonnull(strstr(result.remarks[0], "goes on"));
	cw_verify_free(&result);
	open_medium(&m[1], "2", SEED);
	fill_medium(&m[1], &manifest, 2, 2);
	manifest.is_final = true;
	manifest.media = 2;
	manifest.revision = 2;
	seal(&m[1], &manifest);
	verify_is("12", CW_VERIFY_OK);
	ck_assert_uint_eq(result.volumes, 4);
	ck_assert_uint_eq(result.revision, 2);
	cw_verify_free(&result);
	/* By the final one, the first medium is missing. */
	verify_is("2", CW_VERIFY_DAMAGED);
	ck_assert_uint_eq(result.absent_count, 1);
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
