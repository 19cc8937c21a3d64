#include "seed/missing.h"

#include "base/fs.h"
#include "formats/mail/mail.h"
#include "trees.h"

static struct cw_missing *missing;
static struct cw_source_root root;

/* What the chase found, in order. */
static char found[8][200];
static size_t found_count;
static int answer;

static void
setup(void)
{
	tree_setup();
	make_maildir("u");
	make_maildir("u/.A");
	make_maildir("v");
	root.name = "mail";
	root.dirfd = cw_open_dir(in_root("."), &err);
	ck_assert_int_ge(root.dirfd, 0);
	missing = cw_missing_new();
	found_count = 0;
	answer = 0;
}

static void
teardown(void)
{
	cw_missing_free(missing);
	cw_close(&root.dirfd);
	tree_teardown();
}

/* Makes a message and lists it as one that could not be opened. */
static void
list(const char *path, uint64_t generation)
{
	const char *name = strrchr(path, '/') + 1;
	struct cw_entry row = CW_ENTRY_INIT;
	char whole[300];
	struct stat st;

	if (access(in_root(path), F_OK) != 0)
		write_file(path, "text");
	ck_assert_int_eq(stat(in_root(path), &st), 0);
	row.class = CW_MAIL_MESSAGE;
	row.name = name;
	row.name_len = strlen(name);
	row.generation = generation;
	cw_source_note(&row, &st);
	snprintf(whole, sizeof(whole), "mail/%s", path);
	ck_assert(cw_missing_add(missing, &row, whole));
}

static void
become(const char *from, const char *to)
{
	ck_assert_int_eq(rename(in_root(from), in_root(to)), 0);
}

static int
note(void *arg, const struct cw_missing_file *file, int fd,
    const struct stat *st, const char *path, struct cw_error *e)
{
	char text[5] = "";

	(void)arg;
	(void)e;
	ck_assert_uint_eq(file->row.ino, st->st_ino);
	ck_assert_int_eq(read(fd, text, 4), 4);
	ck_assert_str_eq(text, "text");
	snprintf(found[found_count++], sizeof(found[0]), "%s", path);
	return answer;
}

static enum cw_missing_fate
fate(size_t i)
{
	size_t count;
	const struct cw_missing_file *files =
	    cw_missing_files(missing, &count);

	ck_assert_uint_lt(i, count);
	return files[i].fate;
}

static void
chase(void)
{
	OK(cw_missing_chase(missing, &root, 1, note, NULL, &err));
}

START_TEST(a_flagged_message_is_found)
{
	list("u/cur/1.M1.h:2,", 1);
	become("u/cur/1.M1.h:2,", "u/cur/1.M1.h:2,FS");
	chase();
	ck_assert_uint_eq(fate(0), CW_MISSING_FOUND);
	ck_assert_uint_eq(found_count, 1);
	ck_assert_str_eq(found[0], "mail/u/cur/1.M1.h:2,FS");
}
END_TEST

START_TEST(a_message_seen_for_the_first_time_is_found)
{
	list("u/new/1.M1.h", 1);
	become("u/new/1.M1.h", "u/cur/1.M1.h:2,S");
	chase();
	ck_assert_uint_eq(fate(0), CW_MISSING_FOUND);
}
END_TEST

START_TEST(a_message_that_was_moved_under_another_name_is_found)
{
	list("u/cur/1.M1.h:2,S", 1);
	become("u/cur/1.M1.h:2,S", "u/.A/cur/2.M2.h:2,S");
	list("u/.A/cur/3.M3.h:2,S", 1);
	become("u/.A/cur/3.M3.h:2,S", "u/new/4.M4.h");
	chase();
	ck_assert_uint_eq(fate(0), CW_MISSING_FOUND);
	ck_assert_uint_eq(fate(1), CW_MISSING_FOUND);
}
END_TEST

START_TEST(a_message_of_a_renamed_folder_is_found)
{
	list("u/.A/cur/1.M1.h:2,S", 1);
	become("u/.A", "u/.B");
	chase();
	ck_assert_uint_eq(fate(0), CW_MISSING_FOUND);
	ck_assert_str_eq(found[0], "mail/u/.B/cur/1.M1.h:2,S");
}
END_TEST

START_TEST(an_expunged_message_is_gone)
{
	list("u/cur/1.M1.h:2,S", 1);
	ck_assert_int_eq(unlink(in_root("u/cur/1.M1.h:2,S")), 0);
	chase();
	ck_assert_uint_eq(fate(0), CW_MISSING_GONE);
	ck_assert_uint_eq(found_count, 0);
}
END_TEST

START_TEST(other_content_is_not_taken_for_the_message)
{
	list("u/cur/1.M1.h:2,S", 1);
	ck_assert_int_eq(unlink(in_root("u/cur/1.M1.h:2,S")), 0);
	/* The base name, and with luck the inode, but not the message. */
	write_file("u/cur/1.M1.h:2,", "other text");
	chase();
	ck_assert_uint_eq(fate(0), CW_MISSING_GONE);
}
END_TEST

START_TEST(of_two_rows_of_one_file_the_newer_counts)
{
	list("u/cur/1.M1.h:2,", 1);
	become("u/cur/1.M1.h:2,", "u/cur/1.M1.h:2,S");
	list("u/cur/1.M1.h:2,S", 2);
	become("u/cur/1.M1.h:2,S", "u/cur/1.M1.h:2,FS");
	chase();
	ck_assert_uint_eq(fate(0), CW_MISSING_TWICE);
	ck_assert_uint_eq(fate(1), CW_MISSING_FOUND);
	ck_assert_uint_eq(found_count, 1);
}
END_TEST

START_TEST(what_is_packed_under_its_new_name_is_not_packed_twice)
{
	list("u/cur/1.M1.h:2,", 1);
	become("u/cur/1.M1.h:2,", "u/cur/1.M1.h:2,S");
	answer = 1;
	chase();
	ck_assert_uint_eq(fate(0), CW_MISSING_TWICE);
}
END_TEST

START_TEST(nobody_knows_of_an_account_that_went_as_a_whole)
{
	list("u/cur/1.M1.h:2,S", 1);
	become("u", "w");
	chase();
	ck_assert_uint_eq(fate(0), CW_MISSING_UNKNOWN);
}
END_TEST

START_TEST(nobody_looks_outside_the_account_or_for_other_files)
{
	list("u/cur/1.M1.h:2,S", 1);
	become("u/cur/1.M1.h:2,S", "v/cur/1.M1.h:2,S");
	chase();
	ck_assert_uint_eq(fate(0), CW_MISSING_GONE);
	cw_missing_reset(missing);
	{
		struct cw_entry row = CW_ENTRY_INIT;

		row.name = "subscriptions";
		row.name_len = strlen(row.name);
		row.class = CW_MAIL_CONTROL;
		ck_assert(cw_missing_add(missing, &row, "mail/u/subscriptions"));
	}
	chase();
	ck_assert_uint_eq(fate(0), CW_MISSING_UNKNOWN);
}
END_TEST

START_TEST(there_is_room_for_so_many)
{
	struct cw_entry row = CW_ENTRY_INIT;

	row.name = "x";
	row.name_len = 1;
	for (unsigned i = 0; i < CW_MISSING_MAX; i++)
		ck_assert(cw_missing_add(missing, &row, "mail/x"));
	ck_assert(!cw_missing_add(missing, &row, "mail/x"));
	cw_missing_reset(missing);
	ck_assert(cw_missing_add(missing, &row, "mail/x"));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("missing");
	TCase *tc = tcase_create("missing");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_flagged_message_is_found);
	tcase_add_test(tc, a_message_seen_for_the_first_time_is_found);
	tcase_add_test(
	    tc, a_message_that_was_moved_under_another_name_is_found);
	tcase_add_test(tc, a_message_of_a_renamed_folder_is_found);
	tcase_add_test(tc, an_expunged_message_is_gone);
	tcase_add_test(tc, other_content_is_not_taken_for_the_message);
	tcase_add_test(tc, of_two_rows_of_one_file_the_newer_counts);
	tcase_add_test(
	    tc, what_is_packed_under_its_new_name_is_not_packed_twice);
	tcase_add_test(tc, nobody_knows_of_an_account_that_went_as_a_whole);
	tcase_add_test(
	    tc, nobody_looks_outside_the_account_or_for_other_files);
	tcase_add_test(tc, there_is_room_for_so_many);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
