#include "tests/unit/trees.h"

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/fs.h"
#include "replica/history.h"
#include "replica/staging.h"

#include <sys/mount.h>

static struct cw_staging *s;

static void
setup(void)
{
	tree_setup();
	OK(cw_staging_open(tree_base, &s, &err));
}

static void
teardown(void)
{
	cw_staging_close(s);
	tree_teardown();
}

static void
reopen(void)
{
	cw_staging_close(s);
	OK(cw_staging_open(tree_base, &s, &err));
}

/* As the staging of another boot. */
static void
reboot(void)
{
	char path[100];
	int fd;

	cw_staging_close(s);
	snprintf(path, sizeof(path), "%s/staging/boot", tree_base);
	fd = open(path, O_WRONLY | O_TRUNC);
	ck_assert_int_eq(write(fd, "another\n", 8), 8);
	close(fd);
	OK(cw_staging_open(tree_base, &s, &err));
}

static const uint8_t *
digest_of(const char *text)
{
	static uint8_t digest[CW_SHA256_SIZE];

	cw_sha256(text, strlen(text), digest);
	return digest;
}

static bool
has(const char *text)
{
	int got = cw_staging_has(s, digest_of(text), strlen(text), &err);

	ck_assert_msg(got >= 0, "%s", err.message);
	return got == 1;
}

static void
put(const char *text)
{
	OK(cw_staging_put(s, digest_of(text), text, strlen(text), NULL, &err));
}

static int
file_with(const char *text)
{
	write_file("f", text);
	return open(in_root("f"), O_RDONLY);
}

/* What lies in staging under this name is replaced behind our back. */
static void
overwrite(const char *text, const char *with)
{
	char path[200], hex[65];
	int fd;

	cw_hex_encode(digest_of(text), 32, hex);
	snprintf(path, sizeof(path), "%s/staging/%s", tree_base, hex);
	fd = open(path, O_WRONLY | O_TRUNC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, with, strlen(with)), (ssize_t)strlen(with));
	close(fd);
}

START_TEST(a_content_gets_the_look_of_its_file)
{
	const struct cw_look look = {
	    .mode = 0640, .mtime_ns = 1234567890123456};
	struct stat st;
	int fd;

	OK(cw_staging_put(s, digest_of("look"), "look", 4, &look, &err));
	OK(cw_staging_open_content(s, digest_of("look"), 4, &fd, &err));
	OK(fstat(fd, &st));
	close(fd);
	ck_assert(cw_look_fits(&look, &st));
	ck_assert_uint_eq(st.st_mode & 07777u, 0640);
	ck_assert_int_eq(st.st_mtim.tv_sec, 1234567);
}
END_TEST

START_TEST(a_content_is_there_when_it_is_whole)
{
	struct cw_staging_writer *w;
	uint64_t offset;
	int fd;

	OK(cw_staging_begin(s, digest_of("hello"), 5, &w, &offset, &err));
	ck_assert_uint_eq(offset, 0);
	OK(cw_staging_write(w, "hel", 3, &err));
	ck_assert(!has("hello"));
	OK(cw_staging_write(w, "lo", 2, &err));
	OK(cw_staging_finish(w, NULL, &err));
	ck_assert(has("hello"));
	ck_assert_int_eq(cw_staging_has(s, digest_of("hello"), 6, &err), 0);
	OK(cw_staging_open_content(s, digest_of("hello"), 5, &fd, &err));
	close(fd);
	put("hello");
	put("");
	ck_assert(has(""));
	OK(cw_staging_discard(s, digest_of("hello"), &err));
	OK(cw_staging_discard(s, digest_of("hello"), &err));
	ck_assert(!has("hello"));
}
END_TEST

START_TEST(a_broken_transfer_goes_on_where_it_was)
{
	struct cw_staging_writer *w;
	uint8_t prefix[CW_SHA256_SIZE];
	uint64_t offset;

	OK(cw_staging_begin(s, digest_of("hello"), 5, &w, &offset, &err));
	OK(cw_staging_write(w, "hel", 3, &err));
	cw_staging_abandon(w);
	for (int i = 0; i < 2; i++) {
		if (i == 1)
			reboot();
		OK(cw_staging_partial(
		    s, digest_of("hello"), &offset, prefix, &err));
		ck_assert_uint_eq(offset, 3);
		ck_assert_mem_eq(prefix, digest_of("hel"), sizeof(prefix));
	}
	OK(cw_staging_begin(s, digest_of("hello"), 5, &w, &offset, &err));
	ck_assert_uint_eq(offset, 3);
	OK(cw_staging_write(w, "lo", 2, &err));
	OK(cw_staging_finish(w, NULL, &err));
	ck_assert(has("hello"));
	ck_assert_int_eq(
	    cw_staging_partial(s, digest_of("hello"), &offset, prefix, &err),
	    1);
}
END_TEST

START_TEST(what_cannot_be_right_is_thrown_away)
{
	struct cw_staging_writer *w;
	uint64_t offset;

	OK(cw_staging_begin(s, digest_of("hello"), 50, &w, &offset, &err));
	OK(cw_staging_write(w, "longer than it", 14, &err));
	cw_staging_abandon(w);
	OK(cw_staging_begin(s, digest_of("hello"), 5, &w, &offset, &err));
	ck_assert_uint_eq(offset, 0);
	ck_assert_int_eq(cw_staging_write(w, "hello!", 6, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_DAMAGED);
	OK(cw_staging_write(w, "hallo", 5, &err));
	ck_assert_int_eq(cw_staging_finish(w, NULL, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_DAMAGED);
	ck_assert(!has("hello"));
	OK(cw_staging_begin(s, digest_of("hello"), 5, &w, &offset, &err));
	ck_assert_uint_eq(offset, 0);
	OK(cw_staging_write(w, "hell", 4, &err));
	ck_assert_int_eq(cw_staging_finish(w, NULL, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_DAMAGED);
	OK(cw_staging_begin(s, digest_of("hello"), 5, &w, &offset, &err));
	OK(cw_staging_write(w, "hexxx", 5, &err));
	cw_staging_abandon(w);
	OK(cw_staging_begin_at(s, digest_of("hello"), 5, 2, &w, &err));
	ck_assert_uint_eq(cw_staging_at(w), 2);
	OK(cw_staging_write(w, "llo", 3, &err));
	OK(cw_staging_finish(w, NULL, &err));
}
END_TEST

START_TEST(an_appended_file_starts_from_its_older_version)
{
	struct cw_staging_writer *w;
	int fd = file_with("one two 12345");

	OK(cw_staging_begin_from(
	    s, digest_of("one two three"), 13, fd, 8, &w, &err));
	ck_assert_uint_eq(cw_staging_at(w), 8);
	OK(cw_staging_write(w, "three", 5, &err));
	OK(cw_staging_finish(w, NULL, &err));
	ck_assert(has("one two three"));
	ck_assert_int_eq(cw_staging_begin_from(s, digest_of("longer than that"),
			     16, fd, 15, &w, &err),
	    -1);
	/* Chunks out of it, in any order. */
	OK(cw_staging_begin_at(s, digest_of("two one "), 8, 0, &w, &err));
	OK(cw_staging_copy(w, fd, 4, 4, &err));
	OK(cw_staging_copy(w, fd, 0, 4, &err));
	OK(cw_staging_finish(w, NULL, &err));
	ck_assert(has("two one "));
	close(fd);
}
END_TEST

START_TEST(after_a_reboot_contents_are_hashed_before_they_count)
{
	put("good");
	put("bad");
	put("short");
	OK(cw_staging_make_slot(s, digest_of("good"), 3, 4, &err));
	overwrite("bad", "BAD");
	overwrite("short", "shor");
	reopen();
	ck_assert(has("bad")); /* the same boot: it was not touched by us */
	reboot();
	ck_assert(has("good"));
	ck_assert(!has("bad"));
	ck_assert(!has("short"));
	ck_assert_int_eq(
	    cw_staging_has_slot(s, digest_of("good"), 3, 4, &err), 1);
	reopen();
	ck_assert(has("good"));
	reboot();
	reboot();
	ck_assert(has("good"));
}
END_TEST

START_TEST(clearing_keeps_partial_contents_that_are_young)
{
	struct cw_staging_writer *w;
	uint8_t prefix[CW_SHA256_SIZE];
	uint64_t offset;

	put("whole");
	OK(cw_staging_make_slot(s, digest_of("whole"), 1, 5, &err));
	OK(cw_staging_begin(s, digest_of("hello"), 5, &w, &offset, &err));
	OK(cw_staging_write(w, "hel", 3, &err));
	cw_staging_abandon(w);
	OK(cw_staging_clear(s, (int64_t)time(NULL) - 3600, &err));
	ck_assert(!has("whole"));
	ck_assert_int_eq(
	    cw_staging_has_slot(s, digest_of("whole"), 1, 5, &err), 0);
	OK(cw_staging_partial(s, digest_of("hello"), &offset, prefix, &err));
	OK(cw_staging_clear(s, (int64_t)time(NULL) + 3600, &err));
	ck_assert_int_eq(
	    cw_staging_partial(s, digest_of("hello"), &offset, prefix, &err),
	    1);
}
END_TEST

START_TEST(holes_stay_holes)
{
	static uint8_t data[1 << 20];
	uint8_t digest[CW_SHA256_SIZE];
	struct cw_staging_writer *w;
	struct stat st;
	int fd, again;

	memcpy(data + 300001, "island", 6);
	cw_sha256(data, sizeof(data), digest);
	OK(cw_staging_begin_at(s, digest, sizeof(data), 0, &w, &err));
	for (size_t at = 0; at < sizeof(data); at += sizeof(data) / 8)
		OK(cw_staging_write(w, data + at, sizeof(data) / 8, &err));
	OK(cw_staging_finish(w, NULL, &err));
	OK(cw_staging_open_content(s, digest, sizeof(data), &fd, &err));
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(st.st_size, sizeof(data));
	ck_assert_int_lt(st.st_blocks, 64);
	OK(cw_staging_discard(s, digest, &err));
	OK(cw_staging_take(s, digest, sizeof(data), fd, &err));
	OK(cw_staging_open_content(s, digest, sizeof(data), &again, &err));
	ck_assert_int_eq(fstat(again, &st), 0);
	ck_assert_int_lt(st.st_blocks, 64);
	close(fd);
	close(again);
}
END_TEST

START_TEST(a_full_disk_is_named)
{
	static uint8_t data[1 << 16];
	struct cw_staging_writer *w;
	char path[100];
	int got = 0;

	snprintf(path, sizeof(path), "%s/full", tree_base);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	if (mount("causeway-test", path, "tmpfs", 0, "size=64k") < 0) {
		printf("skip: no tmpfs can be mounted here\n");
		return;
	}
	/* Zeros would be holes, and take no room. */
	memset(data, 1, sizeof(data));
	cw_staging_close(s);
	OK(cw_staging_open(path, &s, &err));
	OK(cw_staging_begin_at(
	    s, digest_of("any"), 16 * sizeof(data), 0, &w, &err));
	for (int i = 0; i < 16 && got == 0; i++)
		got = cw_staging_write(w, data, sizeof(data), &err);
	cw_staging_abandon(w);
	ck_assert_int_eq(got, -1);
	ck_assert_int_eq(err.code, CW_ERR_NOSPACE);
	ck_assert_ptr_nonnull(strstr(err.message, path));
	cw_staging_close(s);
	s = NULL;
	ck_assert_int_eq(umount2(path, MNT_DETACH), 0);
}
END_TEST

/* ---- history ---- */

START_TEST(keeping_the_same_again_changes_nothing)
{
	struct cw_history *h;
	struct cw_shelf shelf = {false, 7};
	struct cw_entry e = CW_ENTRY_INIT;
	int64_t a, b, other;
	int fd, dir;
	char name[CW_HISTORY_NAME];

	e.size = 5;
	e.has_digest = true;
	memcpy(e.digest, digest_of("hello"), CW_DIGEST_SIZE);
	OK(cw_history_open(tree_base, &h, &err));
	OK(cw_history_note(h, &shelf, "mail/a", 6, &e, false, &a, &err));
	OK(cw_history_note(h, &shelf, "mail/a", 6, &e, false, &b, &err));
	OK(cw_history_note(h, &shelf, "mail/a", 6, &e, true, &other, &err));
	OK(cw_history_commit(h, &err));
	ck_assert_int_eq(a, b);
	ck_assert_int_ne(a, other);
	/* The row is there, its content is not. */
	ck_assert_int_eq(
	    cw_history_find(h, digest_of("hello"), 5, &fd, &err), 1);
	OK(cw_history_dirfd(h, &shelf, &dir, &err));
	cw_history_name(other, name);
	fd = openat(dir, name, O_WRONLY | O_CREAT, 0600);
	ck_assert_int_eq(write(fd, "hello", 5), 5);
	close(fd);
	cw_history_close(h);
	OK(cw_history_open(tree_base, &h, &err));
	OK(cw_history_find(h, digest_of("hello"), 5, &fd, &err));
	close(fd);
	OK(cw_history_note(h, &shelf, "mail/a", 6, &e, false, &b, &err));
	ck_assert_int_eq(a, b);
	OK(cw_history_forget(h, &shelf, &err));
	ck_assert_int_eq(
	    cw_history_find(h, digest_of("hello"), 5, &fd, &err), 1);
	OK(cw_history_forget(h, &shelf, &err));
	cw_history_close(h);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("staging");
	TCase *tc = tcase_create("staging");
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_content_gets_the_look_of_its_file);
	tcase_add_test(tc, a_content_is_there_when_it_is_whole);
	tcase_add_test(tc, a_broken_transfer_goes_on_where_it_was);
	tcase_add_test(tc, what_cannot_be_right_is_thrown_away);
	tcase_add_test(tc, an_appended_file_starts_from_its_older_version);
	tcase_add_test(
	    tc, after_a_reboot_contents_are_hashed_before_they_count);
	tcase_add_test(tc, clearing_keeps_partial_contents_that_are_young);
	tcase_add_test(tc, holes_stay_holes);
	tcase_add_test(tc, a_full_disk_is_named);
	tcase_add_test(tc, keeping_the_same_again_changes_nothing);
	suite_add_tcase(suite, tc);
	SRunner *sr = srunner_create(suite);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
