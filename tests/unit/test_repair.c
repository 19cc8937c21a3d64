/* media/repair.h: what is written back, what is told, what is not touched. */
#include "media/repair.h"
#include "tests/unit/parity_seed.h"

#include <fcntl.h>
#include <sys/file.h>

#define BLOCK CW_PARITY_COLUMN

static const struct parity_seed one = {
    .k = 4, .m = 2, .media = 1, .volumes = 9, .size = 6 * BLOCK + 1};
static const struct parity_seed many = {
    .k = 3, .m = 1, .survive = 1, .media = 4, .volumes = 7, .size = 3 * BLOCK};

static struct cw_repair_result result;

static int
run(const char *media, const char *to, const struct cw_repair_options *with)
{
	struct cw_repair_options o = *with;
	struct cw_error err = CW_ERROR_INIT;
	char *dirs[16], *tos[16];
	size_t count = parity_dirs(media, dirs);
	int ret;

	o.to_count = parity_dirs(to, tos);
	o.to = (const char *const *)tos;
	if (o.signers == NULL) {
		o.signers = &parity_signer;
		o.signer_count = 1;
	}
	for (size_t i = 0; i < o.to_count; i++)
		ck_assert_int_eq(cw_make_dirs(tos[i], 0755, &err), 0);
	ret = cw_repair((const char *const *)dirs, count, &o, &result, &err);
	if (ret < 0)
		result.error = err;
	while (count > 0)
		free(dirs[--count]);
	while (o.to_count > 0)
		free(tos[--o.to_count]);
	return ret;
}

static void
gives(const char *media, const char *to, enum cw_repair_status status)
{
	const struct cw_repair_options o = {.seed = NULL};

	ck_assert_msg(run(media, to, &o) == 0, "%s", result.error.message);
	ck_assert_msg(result.status == status, "%s: %s",
	    cw_repair_status_name(result.status), result.error.message);
	ck_assert_int_eq(result.error.code == CW_OK, status == CW_REPAIR_OK);
}

/* All there is below a root, in order of name, as one digest. */
static char *
digest(const char *which)
{
	char *command = cw_asprintf(
	    "cd '%s' && find %s -type f ! -name CUSTODY ! -name MEDIA | "
	    "LC_ALL=C sort | xargs sha256sum | sha256sum",
	    parity_root, which);
	char line[80] = "";
	FILE *pipe = popen(command, "r");

	ck_assert_ptr_nonnull(pipe);
	ck_assert_ptr_nonnull(fgets(line, sizeof(line), pipe));
	pclose(pipe);
	free(command);
	return cw_strdup(line);
}

static void
is_as_before(char *before, const char *which)
{
	char *now = digest(which);

	ck_assert_str_eq(before, now);
	free(now);
	free(before);
}

START_TEST(a_good_seed_is_not_touched)
{
	char *before;

	parity_make(&one);
	before = digest("1");
	gives("1", "", CW_REPAIR_OK);
	ck_assert_uint_eq(result.repaired_count, 0);
	ck_assert_uint_eq(result.files, 9 + 6);
	is_as_before(before, "1");
	cw_repair_free(&result);
}
END_TEST

START_TEST(blocks_are_written_back_in_place)
{
	char *before, *path;
	struct stat was, is;

	parity_make(&one);
	before = digest("1");
	path = parity_path(1, "000002.tar.zst.age");
	ck_assert_int_eq(stat(path, &was), 0);
	parity_flip(1, "000002.tar.zst.age", 2 * BLOCK + 9);
	parity_flip(1, "000002.tar.zst.age", 6 * BLOCK);
	parity_flip(1, "000001.02.rs", 2 * BLOCK);
	gives("1", "", CW_REPAIR_OK);
	ck_assert_uint_eq(result.repaired_count, 3);
	ck_assert_str_eq(result.repaired[1].file, "000002.tar.zst.age");
	ck_assert_uint_eq(result.repaired[1].offset, 2 * BLOCK);
	ck_assert_uint_eq(result.repaired[1].length, BLOCK);
	ck_assert_uint_eq(result.repaired[2].offset, 6 * BLOCK);
	ck_assert_uint_eq(result.repaired[2].length, 1);
	ck_assert_int_eq(stat(path, &is), 0);
	ck_assert_uint_eq(was.st_ino, is.st_ino);
	is_as_before(before, "1");
	free(path);
	cw_repair_free(&result);
}
END_TEST

START_TEST(files_that_are_lost_cut_or_grown_come_back)
{
	char *before;
	char *path;

	parity_make(&one);
	before = digest("1");
	parity_remove(1, "000001.tar.zst.age");
	parity_cut(1, "000002.tar.zst.age", 2 * BLOCK + 9);
	parity_cut(1, "000005.tar.zst.age", 20 * BLOCK);
	parity_cut(1, "000006.tar.zst.age", 0);
	parity_remove(1, "000003.01.rs");
	parity_remove(1, "000003.02.rs");
	path = parity_path(1, "000007.tar.zst.age");
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(symlink("/etc/passwd", path), 0);
	gives("1", "", CW_REPAIR_OK);
	is_as_before(before, "1");
	free(path);
	cw_repair_free(&result);
}
END_TEST

START_TEST(what_is_beyond_parity_is_told_and_the_rest_mended)
{
	parity_make(&one);
	for (uint32_t v = 1; v <= 3; v++) {
		char name[32];

		parity_volume_name(v, name);
		parity_flip(1, name, 3 * BLOCK);
		parity_flip(1, name, v * BLOCK + 1);
	}
	parity_remove(1, "000006.tar.zst.age");
	gives("1", "", CW_REPAIR_DAMAGED);
	ck_assert_int_eq(result.error.code, CW_ERR_DAMAGED);
	/* Column 3 of volumes 1 to 3; columns 1 and 2 are back. */
	ck_assert_uint_eq(result.unrepairable_count, 3);
	for (size_t i = 0; i < 3; i++) {
		ck_assert_uint_eq(result.unrepairable[i].offset, 3 * BLOCK);
		ck_assert_uint_eq(result.unrepairable[i].length, BLOCK);
		ck_assert_ptr_nonnull(result.unrepairable[i].reason);
	}
	ck_assert_uint_eq(result.repaired_count, 3);
	ck_assert(parity_is_whole(&one, 1, 6));
	ck_assert(!parity_is_whole(&one, 1, 1));
	/* What is left is still bad, and no more than that. */
	cw_repair_free(&result);
	gives("1", "", CW_REPAIR_DAMAGED);
	ck_assert_uint_eq(result.unrepairable_count, 3);
	ck_assert_uint_eq(result.repaired_count, 0);
	cw_repair_free(&result);
}
END_TEST

START_TEST(small_files_come_from_their_copies_or_are_made_again)
{
	static const char *const names[] = {CW_SET_MEDIUM, CW_SET_CATALOG,
	    CW_SET_BLOCKS, CW_SET_CHECKSUMS, CW_SET_SIGNATURE};
	char *before;

	parity_make(&one);
	before = digest("1");
	for (size_t i = 0; i < 5; i++)
		for (int copy = 0; copy < 2; copy++) {
			char name[64];

			snprintf(name, sizeof(name), "%s%s",
			    copy ? "copy/" : "", names[i]);
			/* A changed signature is no damage but distrust. */
			if (i == 4)
				parity_remove(1, name);
			else
				parity_flip(1, name, 5);
			gives("1", "", CW_REPAIR_OK);
			ck_assert_uint_eq(result.repaired_count, 1);
			ck_assert_str_eq(result.repaired[0].file, name);
			cw_repair_free(&result);
		}
	parity_remove(1, CW_SET_MANIFEST);
	parity_flip(1, "copy/" CW_SET_SIGNATURE, 100);
	gives("1", "", CW_REPAIR_OK);
	ck_assert_uint_eq(result.repaired_count, 2);
	cw_repair_free(&result);
	/* Both copies: made again from the manifest and the volumes. */
	for (size_t i = 0; i < 4; i++) {
		char name[64];

		if (i == 1)
			continue;
		snprintf(name, sizeof(name), "copy/%s", names[i]);
		parity_remove(1, name);
		parity_flip(1, names[i], 7);
	}
	parity_remove(1, "000001.tar.zst.age");
	gives("1", "", CW_REPAIR_OK);
	cw_repair_free(&result);
	is_as_before(before, "1");
	parity_remove(1, CW_SET_CATALOG);
	parity_remove(1, "copy/" CW_SET_CATALOG);
	gives("1", "", CW_REPAIR_DAMAGED);
	cw_repair_free(&result);
}
END_TEST

START_TEST(a_changed_manifest_is_not_repaired)
{
	char *before;

	parity_make(&one);
	parity_flip(1, CW_SET_MANIFEST, 200);
	parity_remove(1, "000001.tar.zst.age");
	before = digest("1");
	gives("1", "", CW_REPAIR_UNTRUSTED);
	ck_assert_int_eq(result.error.code, CW_ERR_UNTRUSTED);
	is_as_before(before, "1");
	cw_repair_free(&result);
}
END_TEST

START_TEST(strangers_seeds_are_not_written_to)
{
	struct cw_minisign_secret *other;
	struct cw_set_signer stranger = {.has_fingerprint = false};
	struct cw_repair_options o = {.signers = &stranger, .signer_count = 1};
	char *before;

	parity_make(&one);
	other = cw_minisign_generate();
	cw_minisign_secret_public(other, &stranger.key);
	parity_remove(1, "000001.tar.zst.age");
	before = digest("1");
	ck_assert_int_eq(run("1", "", &o), 0);
	ck_assert_int_eq(result.status, CW_REPAIR_UNTRUSTED);
	ck_assert_int_eq(result.error.code, CW_ERR_UNTRUSTED);
	is_as_before(before, "1");
	cw_repair_free(&result);
	cw_minisign_secret_free(other);
}
END_TEST

START_TEST(a_dry_run_says_and_does_nothing)
{
	const struct cw_repair_options o = {.is_dry = true};
	char *before;

	parity_make(&one);
	parity_remove(1, "000001.tar.zst.age");
	parity_flip(1, "000005.tar.zst.age", 0);
	parity_remove(1, "copy/" CW_SET_CHECKSUMS);
	before = digest("1");
	ck_assert_int_eq(run("1", "", &o), 0);
	ck_assert_int_eq(result.status, CW_REPAIR_POSSIBLE);
	ck_assert_int_eq(result.error.code, CW_ERR_REPAIRABLE);
	ck_assert_uint_eq(result.repaired_count, 3);
	is_as_before(before, "1");
	cw_repair_free(&result);
	parity_remove(1, "000002.tar.zst.age");
	parity_remove(1, "000003.tar.zst.age");
	ck_assert_int_eq(run("1", "", &o), 0);
	ck_assert_int_eq(result.status, CW_REPAIR_DAMAGED);
	ck_assert_uint_eq(result.unrepairable_count, 3);
	cw_repair_free(&result);
}
END_TEST

START_TEST(a_forged_volume_is_replaced)
{
	struct parity_seed forged = one;

	/* The manifest tells another SHA-256 of the first file by name (a
	 * shard) than it has, though all its blocks have their digests. */
	forged.forge = true;
	parity_make(&forged);
	gives("1", "", CW_REPAIR_DAMAGED);
	ck_assert_uint_eq(result.unrepairable_count, 1);
	ck_assert_uint_eq(result.repaired_count, 0);
	cw_repair_free(&result);
}
END_TEST

START_TEST(what_was_put_behind_a_file_is_cut_off_without_parity)
{
	struct parity_seed bare = one;
	char *before;

	bare.no_blocks = true;
	parity_make(&bare);
	before = digest("1");
	parity_remove(1, "000001.tar.zst.age");
	parity_cut(1, "000002.tar.zst.age", 7 * BLOCK);
	parity_cut(1, "000003.tar.zst.age", 9 * BLOCK);
	gives("1", "", CW_REPAIR_OK);
	ck_assert_uint_eq(result.repaired_count, 3);
	is_as_before(before, "1");
	cw_repair_free(&result);
	/* The rest of the group is gone: this one needs nothing of it. */
	for (uint32_t i = 1; i <= 4; i++) {
		char name[32];

		parity_volume_name(i, name);
		if (i == 2)
			parity_cut(1, name, 7 * BLOCK);
		else
			parity_remove(1, name);
	}
	gives("1", "", CW_REPAIR_DAMAGED);
	ck_assert(parity_is_whole(&bare, 1, 2));
	cw_repair_free(&result);
}
END_TEST

START_TEST(a_lost_medium_is_made_again)
{
	for (char lost = '1'; lost <= '4'; lost++) {
		char here[4], *before, *from, *to;
		size_t n = 0;

		for (char c = '1'; c <= '4'; c++)
			if (c != lost)
				here[n++] = c;
		here[n] = '\0';
		parity_clear();
		parity_make(&many);
		before = digest("1 2 3 4");
		from = cw_asprintf("%s/%c", parity_root, lost);
		to = cw_asprintf("%s/gone", parity_root);
		ck_assert_int_eq(rename(from, to), 0);
		/* The others are damaged too, elsewhere. */
		gives(here, "", CW_REPAIR_DAMAGED);
		ck_assert_int_eq(result.error.code, CW_ERR_MISSING);
		ck_assert_uint_eq(result.absent_count, 1);
		cw_repair_free(&result);
		gives(here, "5", CW_REPAIR_OK);
		ck_assert_uint_eq(result.made_count, 1);
		ck_assert_uint_eq(
		    result.made[0].medium, (uint32_t)(lost - '0'));
		ck_assert_str_eq(result.made[0].label, "DISK 0");
		ck_assert(result.made[0].is_whole);
		cw_repair_free(&result);
		/* Half of it lost, as if killed: the rest is made again. */
		free(to);
		to = cw_asprintf("rm '%s'/5/causeway/*/[0-9M]*", parity_root);
		ck_assert_int_eq(system(to), 0);
		gives(here, "5", CW_REPAIR_OK);
		ck_assert_uint_eq(
		    result.made[0].medium, (uint32_t)(lost - '0'));
		cw_repair_free(&result);
		free(to);
		to = cw_asprintf("%s/5", parity_root);
		ck_assert_int_eq(rename(to, from), 0);
		is_as_before(before, "1 2 3 4");
		free(from);
		free(to);
	}
}
END_TEST

START_TEST(media_beyond_parity_are_made_as_far_as_they_can_be)
{
	parity_make(&many);
	gives("13", "56", CW_REPAIR_DAMAGED);
	ck_assert_uint_eq(result.made_count, 2);
	ck_assert(!result.made[0].is_whole);
	ck_assert_uint_gt(result.unrepairable_count, 0);
	/* The last group has one member: that comes back. */
	ck_assert_uint_gt(result.repaired_count, 0);
	cw_repair_free(&result);
}
END_TEST

START_TEST(a_failing_medium_is_copied_to_another_disk)
{
	struct cw_repair_options o = {.medium = 2};
	char *before;

	parity_make(&many);
	before = digest("2/causeway");
	parity_flip(2, CW_SET_CHECKSUMS, 3);
	parity_remove(2, "copy/MEDIUM");
	for (uint32_t v = 1; v <= 8; v++) {
		char name[32], *path;

		parity_volume_name(v, name);
		path = parity_path(2, name);
		if (access(path, F_OK) == 0)
			parity_flip(2, name, 4);
		free(path);
	}
	ck_assert_int_eq(run("1234", "5", &o), 0);
	ck_assert_msg(
	    result.status == CW_REPAIR_OK, "%s", result.error.message);
	ck_assert_uint_eq(result.made[0].medium, 2);
	cw_repair_free(&result);
	{
		char *command =
		    cw_asprintf("cd '%s' && rm -r 2 && mv 5 2", parity_root);

		ck_assert_int_eq(system(command), 0);
		free(command);
	}
	is_as_before(before, "2/causeway");
}
END_TEST

START_TEST(wrong_requests_are_refused)
{
	const struct cw_repair_options none = {.seed = NULL};
	const struct cw_repair_options far = {.medium = 9};
	char *path;
	int fd;

	parity_make(&many);
	ck_assert_int_eq(run("1234", "5", &none), -1);
	ck_assert_int_eq(result.error.code, CW_ERR_USAGE);
	cw_repair_free(&result);
	ck_assert_int_eq(run("1234", "5", &far), -1);
	ck_assert_int_eq(result.error.code, CW_ERR_USAGE);
	cw_repair_free(&result);
	ck_assert_int_eq(run("123", "3", &none), -1);
	ck_assert_int_eq(result.error.code, CW_ERR_USAGE);
	cw_repair_free(&result);
	path = parity_path(2, "");
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_eq(flock(fd, LOCK_EX), 0);
	ck_assert_int_eq(run("1234", "", &none), -1);
	ck_assert_int_eq(result.error.code, CW_ERR_BUSY);
	cw_repair_free(&result);
	close(fd);
	free(path);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("repair");
	TCase *tc = tcase_create("repair");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, parity_setup, parity_teardown);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, a_good_seed_is_not_touched);
	tcase_add_test(tc, blocks_are_written_back_in_place);
	tcase_add_test(tc, files_that_are_lost_cut_or_grown_come_back);
	tcase_add_test(tc, what_is_beyond_parity_is_told_and_the_rest_mended);
	tcase_add_test(
	    tc, small_files_come_from_their_copies_or_are_made_again);
	tcase_add_test(tc, a_changed_manifest_is_not_repaired);
	tcase_add_test(tc, strangers_seeds_are_not_written_to);
	tcase_add_test(tc, a_dry_run_says_and_does_nothing);
	tcase_add_test(tc, a_forged_volume_is_replaced);
	tcase_add_test(
	    tc, what_was_put_behind_a_file_is_cut_off_without_parity);
	tcase_add_test(tc, a_lost_medium_is_made_again);
	tcase_add_test(tc, media_beyond_parity_are_made_as_far_as_they_can_be);
	tcase_add_test(tc, a_failing_medium_is_copied_to_another_disk);
	tcase_add_test(tc, wrong_requests_are_refused);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
