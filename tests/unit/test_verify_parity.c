/* seed/verify.h: damage to the block, what can be repaired, going on. */
#include "seed/verify.h"
#include "seed/verify_resume.h"
#include "tests/unit/seeds.h"

#define BLOCK CW_PARITY_COLUMN

static struct cw_verify_result result;
static struct cw_error error;
static struct cw_verify_options options;

static void
parity_setup(void)
{
	setup();
	seed_has_parity = seed_is_described = true;
	error = (struct cw_error)CW_ERROR_INIT;
	options = (struct cw_verify_options){
	    .signers = &signer,
	    .signer_count = 1,
	};
}

/* Verifies the media named by the digits of a text. */
static void
verify_is(const char *media, enum cw_verify_status status)
{
	char dirs[MEDIA_MAX][256];
	const char *list[MEDIA_MAX];
	size_t count = 0;

	for (; media[count] != '\0'; count++) {
		snprintf(dirs[count], sizeof(dirs[count]), "%s/%c", root,
		    media[count]);
		list[count] = dirs[count];
	}
	cw_verify_free(&result);
	ck_assert_msg(cw_verify(list, count, &options, &result, &error) == 0,
	    "%s", error.message);
	ck_assert_msg(result.status == status, "%s: %s",
	    cw_verify_status_name(result.status), result.error.message);
}

static void
damage_is(size_t i, const char *file, uint64_t offset, uint64_t length,
    enum cw_verify_status status)
{
	ck_assert_uint_lt(i, result.damaged_count);
	ck_assert_str_eq(result.damaged[i].file, file);
	ck_assert_uint_eq(result.damaged[i].offset, offset);
	ck_assert_uint_eq(result.damaged[i].length, length);
	ck_assert_int_eq(result.damaged[i].status, status);
}

static const char one[] = "000001.tar.zst.age", two[] = "000002.tar.zst.age";
static const char shard[] = "000001.01.rs";

START_TEST(a_good_seed_with_parity_is_ok)
{
	make_seed(2);
	verify_is("12", CW_VERIFY_OK);
	ck_assert_uint_eq(result.volumes, 4);
	ck_assert_uint_eq(result.shards, 2);
	ck_assert(result.has_parity);
	ck_assert_uint_eq(result.present[1].number, 2);
	ck_assert_str_eq(result.present[1].label, "DISK");
	ck_assert_uint_eq(result.remark_count, 0);
}
END_TEST

START_TEST(a_bad_block_is_named_and_repairable)
{
	make_seed(1);
	flip(two, BLOCK + 5);
	verify_is("1", CW_VERIFY_REPAIRABLE);
	ck_assert_int_eq(result.error.code, CW_ERR_REPAIRABLE);
	ck_assert_uint_eq(result.damaged_count, 1);
	damage_is(0, two, BLOCK, VOLUME_SIZE - BLOCK, CW_VERIFY_REPAIRABLE);
	ck_assert_ptr_nonnull(
	    strstr(result.error.message, "causeway repair /tmp/"));
	ck_assert_ptr_nonnull(strstr(result.error.message, "medium 1 (DISK)"));
	ck_assert_ptr_nonnull(
	    strstr(result.error.message, "1 damaged block of"));
}
END_TEST

START_TEST(different_columns_of_two_files_are_repairable)
{
	make_seed(1);
	flip(one, 5);
	flip(two, BLOCK + 5);
	verify_is("1", CW_VERIFY_REPAIRABLE);
	ck_assert_uint_eq(result.damaged_count, 2);
	ck_assert_uint_eq(result.tallies[CW_VERIFY_REPAIRABLE].files, 2);
	ck_assert_uint_eq(result.tallies[CW_VERIFY_REPAIRABLE].blocks, 2);
	flip(shard, BLOCK + 5); /* the same column as two */
	verify_is("1", CW_VERIFY_DAMAGED);
	ck_assert_uint_eq(result.damaged_count, 3);
	damage_is(0, shard, BLOCK, VOLUME_SIZE - BLOCK, CW_VERIFY_DAMAGED);
	damage_is(1, one, 0, BLOCK, CW_VERIFY_REPAIRABLE);
	damage_is(2, two, BLOCK, VOLUME_SIZE - BLOCK, CW_VERIFY_DAMAGED);
	ck_assert_ptr_nonnull(strstr(result.error.message, "beyond repair"));
}
END_TEST

START_TEST(a_shard_alone_is_repairable)
{
	make_seed(1);
	ck_assert_int_eq(unlink(path_of(shard)), 0);
	verify_is("1", CW_VERIFY_REPAIRABLE);
	ck_assert_uint_eq(result.missing_count, 1);
	ck_assert(result.missing[0].is_repairable);
	flip(one, 3);
	verify_is("1", CW_VERIFY_DAMAGED);
}
END_TEST

START_TEST(a_lost_and_a_cut_volume_are_repairable_alone)
{
	make_seed(1);
	ck_assert_int_eq(truncate(path_of(one), BLOCK + 9), 0);
	verify_is("1", CW_VERIFY_REPAIRABLE);
	damage_is(0, one, BLOCK, VOLUME_SIZE - BLOCK, CW_VERIFY_REPAIRABLE);
	flip(two, 7); /* the column before the cut */
	verify_is("1", CW_VERIFY_REPAIRABLE);
	ck_assert_int_eq(unlink(path_of(one)), 0);
	verify_is("1", CW_VERIFY_DAMAGED);
}
END_TEST

START_TEST(a_volume_that_is_too_long_is_bad_behind_its_end)
{
	make_seed(1);
	ck_assert_int_eq(truncate(path_of(one), VOLUME_SIZE + 77), 0);
	verify_is("1", CW_VERIFY_REPAIRABLE);
	ck_assert_uint_eq(result.damaged_count, 1);
	damage_is(0, one, VOLUME_SIZE, 77, CW_VERIFY_REPAIRABLE);
}
END_TEST

START_TEST(without_block_digests_a_bad_volume_is_wholly_bad)
{
	make_seed(1);
	ck_assert_int_eq(unlink(path_of(CW_SET_BLOCKS)), 0);
	ck_assert_int_eq(unlink(path_of("copy/" CW_SET_BLOCKS)), 0);
	verify_is("1", CW_VERIFY_REPAIRABLE); /* they can be computed */
	ck_assert_uint_eq(result.missing_count, 2);
	flip(one, 7);
	verify_is("1", CW_VERIFY_REPAIRABLE);
	damage_is(0, one, 0, VOLUME_SIZE, CW_VERIFY_REPAIRABLE);
	flip(two, BLOCK + 7); /* another column, but who knows */
	verify_is("1", CW_VERIFY_DAMAGED);
}
END_TEST

START_TEST(either_copy_of_the_block_digests_serves)
{
	make_seed(1);
	flip(CW_SET_BLOCKS, 20);
	verify_is("1", CW_VERIFY_REPAIRABLE);
	ck_assert_uint_eq(result.damaged_count, 1);
	ck_assert_str_eq(result.damaged[0].file, CW_SET_BLOCKS);
	flip(two, 7);
	verify_is("1", CW_VERIFY_REPAIRABLE);
	ck_assert_uint_eq(result.damaged_count, 2);
	damage_is(0, two, 0, BLOCK, CW_VERIFY_REPAIRABLE);
}
END_TEST

/* Whoever can make blocks of the same XXH3 can't make the same SHA-256. */
START_TEST(a_forged_volume_with_forged_digests_is_found)
{
	uint8_t xxh[CW_XXH_SIZE], data[BLOCK];
	int fd;

	make_seed(1);
	flip(one, 7);
	fd = open(path_of(one), O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(pread(fd, data, BLOCK, 0), BLOCK);
	cw_close(&fd);
	cw_xxh(data, BLOCK, xxh);
	for (int i = 0; i < 2; i++) {
		fd = open(
		    path_of(i == 0 ? CW_SET_BLOCKS : "copy/" CW_SET_BLOCKS),
		    O_WRONLY | O_CLOEXEC);
		ck_assert_int_eq(pwrite(fd, xxh, sizeof(xxh), 32),
		    sizeof(xxh)); /* behind the two of the shard */
		cw_close(&fd);
	}
	verify_is("1", CW_VERIFY_REPAIRABLE);
	damage_is(0, one, 0, VOLUME_SIZE, CW_VERIFY_REPAIRABLE);
	ck_assert_ptr_nonnull(strstr(result.damaged[0].reason, "purpose"));
}
END_TEST

START_TEST(small_files_are_made_again_from_the_rest)
{
	static const char *const names[] = {
	    CW_SET_MEDIUM, CW_SET_CHECKSUMS, CW_SET_BLOCKS, CW_SET_CATALOG};

	make_seed(2);
	for (size_t i = 0; i < 4; i++) {
		char copy[64];

		snprintf(copy, sizeof(copy), "copy/%s", names[i]);
		ck_assert_int_eq(unlink(path_of(names[i])), 0);
		ck_assert_int_eq(unlink(path_of(copy)), 0);
	}
	verify_is("12", CW_VERIFY_REPAIRABLE);
	ck_assert_uint_eq(result.missing_count, 8);
	/* The catalog was on the other medium. */
	verify_is("1", CW_VERIFY_DAMAGED);
}
END_TEST

START_TEST(an_absent_medium_is_named_with_its_label)
{
	make_seed(2);
	verify_is("1", CW_VERIFY_DAMAGED);
	ck_assert_ptr_nonnull(strstr(result.error.message, "medium 2 (DISK)"));
}
END_TEST

/* ---- going on ---- */

static void
keep_progress(void)
{
	options.resume_file = cw_asprintf("%s/progress", root);
}

static void
forget_progress(void)
{
	free((void *)(uintptr_t)options.resume_file);
	options.resume_file = NULL;
}

static bool
has_progress(void)
{
	return access(options.resume_file, F_OK) == 0;
}

/* Notes files of medium 1 as read and good, as a run that was broken off. */
static void
break_off(const char *const *names, size_t count, bool is_cached)
{
	struct cw_verify_resume_source source;
	struct cw_scrub_options scrub = {.cached = is_cached};
	struct cw_buf text = CW_BUF_INIT;
	struct cw_verify_resume *progress;
	struct medium m;
	uint8_t manifest[32];

	open_medium(&m, "1", SEED);
	ck_assert_int_eq(
	    cw_read_file(m.fd, CW_SET_MANIFEST, 1u << 20, &text, &error), 0);
	cw_sha256(text.data, text.len, manifest);
	source = (struct cw_verify_resume_source){
	    .dirfd = AT_FDCWD,
	    .name = options.resume_file,
	    .manifest = manifest,
	    .is_cached = is_cached,
	};
	ck_assert_int_eq(cw_verify_resume_open(&source, &progress, &error), 0);
	for (size_t i = 0; i < count; i++) {
		struct cw_scrub_file file = {
		    .dirfd = m.fd, .name = names[i], .size = VOLUME_SIZE};

		ck_assert_int_eq(cw_scrub(&file, 1, &scrub, &error), 0);
		ck_assert_int_eq(file.state, CW_SCRUB_READ);
		cw_verify_resume_add(progress, 1, &file);
	}
	ck_assert_ptr_null(cw_verify_resume_error(progress));
	cw_verify_resume_close(progress);
	cw_buf_free(&text);
	close_medium(&m);
}

static const char *const both[] = {one, two};

START_TEST(what_was_read_and_good_is_not_read_again)
{
	uint64_t all;

	make_seed(1);
	keep_progress();
	verify_is("1", CW_VERIFY_OK);
	all = result.bytes;
	ck_assert_uint_eq(result.bytes_before, 0);
	ck_assert(!has_progress());
	break_off(both, 2, false);
	verify_is("1", CW_VERIFY_OK);
	ck_assert_uint_eq(result.bytes, all);
	ck_assert_uint_eq(result.bytes_before, 2 * VOLUME_SIZE);
	ck_assert_uint_eq(result.remark_count, 1);
	ck_assert(!has_progress());
	break_off(both, 2, false);
	options.is_fresh = true;
	verify_is("1", CW_VERIFY_OK);
	ck_assert_uint_eq(result.bytes_before, 0);
	forget_progress();
}
END_TEST

START_TEST(a_verdict_of_damage_begins_anew_the_next_time)
{
	make_seed(1);
	keep_progress();
	break_off(both, 1, false);
	flip(two, 7);
	verify_is("1", CW_VERIFY_REPAIRABLE);
	ck_assert_uint_eq(result.bytes_before, VOLUME_SIZE);
	ck_assert(!has_progress());
	forget_progress();
}
END_TEST

START_TEST(a_file_that_changed_is_read_again)
{
	struct timespec times[2];
	struct stat st;
	int fd;

	make_seed(1);
	keep_progress();
	break_off(both, 2, false);
	/* With the old times put back; nobody can put back ctime. */
	ck_assert_int_eq(stat(path_of(two), &st), 0);
	flip(two, 7);
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	fd = open(path_of(two), O_WRONLY | O_CLOEXEC);
	ck_assert_int_eq(futimens(fd, times), 0);
	cw_close(&fd);
	verify_is("1", CW_VERIFY_REPAIRABLE);
	damage_is(0, two, 0, BLOCK, CW_VERIFY_REPAIRABLE);
	ck_assert_uint_eq(result.bytes_before, VOLUME_SIZE);
	forget_progress();
}
END_TEST

START_TEST(what_was_read_from_memory_does_not_count_for_the_device)
{
	make_seed(1);
	keep_progress();
	break_off(both, 2, true);
	verify_is("1", CW_VERIFY_OK);
	ck_assert_uint_eq(result.bytes_before, 0);
	options.cached = true;
	break_off(both, 2, true);
	verify_is("1", CW_VERIFY_OK);
	ck_assert_uint_eq(result.bytes_before, 2 * VOLUME_SIZE);
	break_off(both, 2, false); /* the other way round it does */
	verify_is("1", CW_VERIFY_OK);
	ck_assert_uint_eq(result.bytes_before, 2 * VOLUME_SIZE);
	forget_progress();
}
END_TEST

START_TEST(progress_of_another_manifest_does_not_count)
{
	struct cw_manifest manifest;
	struct medium m;

	make_seed(1);
	keep_progress();
	break_off(both, 2, false);
	begin_manifest(&manifest, SEED, 2000, 1, true);
	manifest.revision = 2;
	open_medium(&m, "1", SEED);
	fill_medium(&m, &manifest, 1, 1);
	seal(&m, &manifest);
	close_medium(&m);
	cw_manifest_free(&manifest);
	verify_is("1", CW_VERIFY_OK);
	ck_assert_uint_eq(result.bytes_before, 0);
	forget_progress();
}
END_TEST

START_TEST(a_line_that_was_cut_off_is_none)
{
	struct stat st;

	make_seed(1);
	keep_progress();
	break_off(both, 2, false);
	ck_assert_int_eq(stat(options.resume_file, &st), 0);
	ck_assert_int_eq(truncate(options.resume_file, st.st_size - 1), 0);
	break_off(both, 0, false); /* another run that did nothing */
	verify_is("1", CW_VERIFY_OK);
	ck_assert_uint_eq(result.bytes_before, VOLUME_SIZE);
	/* And what is added behind it is whole again. */
	break_off(both, 2, false);
	ck_assert_int_eq(truncate(options.resume_file, st.st_size - 1), 0);
	break_off(both + 1, 1, false);
	verify_is("1", CW_VERIFY_OK);
	ck_assert_uint_eq(result.bytes_before, 2 * VOLUME_SIZE);
	forget_progress();
}
END_TEST

static void
verify_refuses(enum cw_code code)
{
	char dir[256];
	const char *list[1] = {dir};

	snprintf(dir, sizeof(dir), "%s/1", root);
	cw_verify_free(&result);
	ck_assert_int_eq(cw_verify(list, 1, &options, &result, &error), -1);
	ck_assert_int_eq(error.code, code);
}

START_TEST(a_file_of_something_else_is_left_alone)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_buf text = CW_BUF_INIT;

	make_seed(1);
	keep_progress();
	ck_assert_int_eq(cw_save_file(AT_FDCWD, options.resume_file,
			     "a letter\n", 9, 0600, &err),
	    0);
	verify_refuses(CW_ERR_REFUSED);
	ck_assert_int_eq(
	    cw_read_file(AT_FDCWD, options.resume_file, 100, &text, &err), 0);
	ck_assert_uint_eq(text.len, 9);
	cw_buf_free(&text);
	forget_progress();
}
END_TEST

START_TEST(two_runs_do_not_share_their_progress)
{
	struct cw_verify_resume_source source;
	struct cw_verify_resume *other;
	uint8_t manifest[32] = {1};

	make_seed(1);
	keep_progress();
	source = (struct cw_verify_resume_source){
	    .dirfd = AT_FDCWD,
	    .name = options.resume_file,
	    .manifest = manifest,
	};
	ck_assert_int_eq(cw_verify_resume_open(&source, &other, &error), 0);
	verify_refuses(CW_ERR_BUSY);
	cw_verify_resume_close(other);
	verify_is("1", CW_VERIFY_OK);
	forget_progress();
}
END_TEST

START_TEST(in_a_directory_the_file_is_named_for_the_seed)
{
	char *dir = cw_asprintf("%s/state/verify", root);
	char *name = cw_asprintf("%s/%s", dir, SEED);

	make_seed(1);
	ck_assert_int_eq(cw_make_dirs(dir, 0700, &error), 0);
	options.resume_file = name;
	break_off(both, 2, false);
	options.resume_file = NULL;
	options.resume_dir = dir;
	verify_is("1", CW_VERIFY_OK);
	ck_assert_uint_eq(result.bytes_before, 2 * VOLUME_SIZE);
	ck_assert_int_ne(access(name, F_OK), 0);
	/* Where it can't be kept, the seed is verified all the same. */
	options.resume_dir = path_of(one);
	verify_is("1", CW_VERIFY_OK);
	ck_assert_uint_eq(result.remark_count, 1);
	free(name);
	free(dir);
}
END_TEST

/* Nobody signed for what it says. */
START_TEST(of_a_seed_that_nobody_trusts_no_progress_is_kept)
{
	make_seed(1);
	keep_progress();
	options.signer_count = 0;
	verify_is("1", CW_VERIFY_UNTRUSTED);
	ck_assert(!has_progress());
	forget_progress();
}
END_TEST

static void
parity_teardown(void)
{
	cw_verify_free(&result);
	teardown();
}

int
main(void)
{
	Suite *suite = suite_create("verify_parity");
	TCase *tc = tcase_create("verify_parity");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, parity_setup, parity_teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_good_seed_with_parity_is_ok);
	tcase_add_test(tc, a_bad_block_is_named_and_repairable);
	tcase_add_test(tc, different_columns_of_two_files_are_repairable);
	tcase_add_test(tc, a_shard_alone_is_repairable);
	tcase_add_test(tc, a_lost_and_a_cut_volume_are_repairable_alone);
	tcase_add_test(tc, a_volume_that_is_too_long_is_bad_behind_its_end);
	tcase_add_test(tc, without_block_digests_a_bad_volume_is_wholly_bad);
	tcase_add_test(tc, either_copy_of_the_block_digests_serves);
	tcase_add_test(tc, a_forged_volume_with_forged_digests_is_found);
	tcase_add_test(tc, small_files_are_made_again_from_the_rest);
	tcase_add_test(tc, an_absent_medium_is_named_with_its_label);
	tcase_add_test(tc, what_was_read_and_good_is_not_read_again);
	tcase_add_test(tc, a_verdict_of_damage_begins_anew_the_next_time);
	tcase_add_test(tc, a_file_that_changed_is_read_again);
	tcase_add_test(
	    tc, what_was_read_from_memory_does_not_count_for_the_device);
	tcase_add_test(tc, progress_of_another_manifest_does_not_count);
	tcase_add_test(tc, a_line_that_was_cut_off_is_none);
	tcase_add_test(tc, a_file_of_something_else_is_left_alone);
	tcase_add_test(tc, two_runs_do_not_share_their_progress);
	tcase_add_test(tc, in_a_directory_the_file_is_named_for_the_seed);
	tcase_add_test(tc, of_a_seed_that_nobody_trusts_no_progress_is_kept);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
