/*
 * What an import remembers between runs, and how it orders and counts: the
 * parts of import*.c that need no media.
 */
#include "base/buf.h"
#include "base/bytes.h"
#include "base/crypto.h"
#include "base/fs.h"
#include "seed/import_impl.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Volumes 1 to 7 on media 1 and 2; groups {1 4} and {2 3 5}, 6 and 7 alone. */
static struct cw_set set;
static struct cw_set_medium media[1];
static struct cw_import_options options;
static struct cw_import_result result;
static struct import im;

static void
digest_of(uint32_t number, uint8_t sha256[32])
{
	memset(sha256, (int)number, 32);
}

static void
make_set(void)
{
	static const uint32_t first[] = {1, 4}, second[] = {2, 3, 5};
	struct cw_error err = CW_ERROR_INIT;

	ck_assert_int_eq(cw_crypto_init(&err), 0);
	memset(&set, 0, sizeof(set));
	memset(&im, 0, sizeof(im));
	memset(media, 0, sizeof(media));
	set.manifest = (struct cw_manifest)CW_MANIFEST_INIT;
	set.manifest.parity_k = 3;
	set.manifest.parity_m = 1;
	for (uint32_t n = 7; n > 0; n--) {
		struct cw_manifest_file f = {.medium = n % 2 + 1, .size = 100};

		(void)snprintf(f.name, sizeof(f.name), "%06u.tar.zst.age", n);
		digest_of(n, f.sha256);
		ck_assert_int_eq(
		    cw_manifest_add_file(&set.manifest, &f, &err), 0);
	}
	ck_assert_int_eq(
	    cw_manifest_add_group(&set.manifest, 1, first, 2, &err), 0);
	ck_assert_int_eq(
	    cw_manifest_add_group(&set.manifest, 2, second, 3, &err), 0);
	media[0].number = 1;
	set.media = media;
	set.count = 1;
	options.set = &set;
	im.o = &options;
	im.result = &result;
	im.done_fd = -1;
	import_list_volumes(&im);
}

static void
free_set(void)
{
	import_free_volumes(&im);
	cw_manifest_free(&set.manifest);
}

static enum import_volume_state
state(uint32_t number)
{
	return import_find_volume(&im, number)->state;
}

/* Appends "NUMBER SHA256\n" as the volume has it now. */
static void
line(struct cw_buf *text, uint32_t number)
{
	import_done_line(text, import_find_volume(&im, number));
}

START_TEST(volumes_stand_by_group_then_number)
{
	static const uint32_t order[] = {1, 4, 2, 3, 5, 6, 7};

	ck_assert_uint_eq(im.volume_count, 7);
	for (size_t i = 0; i < 7; i++)
		ck_assert_uint_eq(im.volumes[i].number, order[i]);
	ck_assert_ptr_eq(import_find_volume(&im, 4)->group, &im.groups[0]);
	ck_assert_ptr_eq(import_find_volume(&im, 5)->group, &im.groups[1]);
	ck_assert_ptr_null(import_find_volume(&im, 6)->group);
	ck_assert_ptr_null(import_find_volume(&im, 8));
	ck_assert_ptr_null(import_find_volume(&im, 0));
}
END_TEST

START_TEST(volumes_of_absent_media_are_absent)
{
	ck_assert_int_eq(state(2), VOLUME_WAITING); /* on medium 1 */
	ck_assert_int_eq(state(1), VOLUME_ABSENT);
	import_count_groups(&im);
	ck_assert_uint_eq(im.groups[0].unread, 1);
	ck_assert_uint_eq(im.groups[0].undone, 2);
}
END_TEST

START_TEST(what_was_written_is_read)
{
	struct cw_buf text = CW_BUF_INIT;

	line(&text, 3);
	line(&text, 2);
	import_done_parse(&im, cw_buf_string(&text));
	ck_assert_int_eq(state(3), VOLUME_DONE);
	ck_assert_int_eq(state(2), VOLUME_DONE);
	ck_assert_int_eq(state(4), VOLUME_WAITING);
	cw_buf_free(&text);
}
END_TEST

START_TEST(a_volume_of_other_bytes_is_not_done)
{
	struct cw_buf text = CW_BUF_INIT;

	line(&text, 2);
	text.data[3] ^= 1; /* a digit of the digest: 0 or 1 */
	import_done_parse(&im, cw_buf_string(&text));
	ck_assert_int_eq(state(2), VOLUME_WAITING);
	cw_buf_free(&text);
}
END_TEST

START_TEST(the_last_line_of_a_volume_counts)
{
	struct cw_buf text = CW_BUF_INIT;

	line(&text, 2);
	line(&text, 3);
	line(&text, 1);
	cw_buf_text(&text, "2 -\n1 -\n3 -\n");
	line(&text, 3);
	import_done_parse(&im, cw_buf_string(&text));
	ck_assert_int_eq(state(2), VOLUME_WAITING);
	ck_assert_int_eq(state(1), VOLUME_ABSENT);
	ck_assert_int_eq(state(3), VOLUME_DONE);
	cw_buf_free(&text);
}
END_TEST

START_TEST(lines_that_are_none_say_nothing)
{
	struct cw_buf text = CW_BUF_INIT, torn = CW_BUF_INIT;

	cw_buf_text(
	    &text, "2\n\n2 \n 2 -\n99 -\nx y\n2 0202\n0002 -\n1000000 -\n-\n");
	line(&torn, 2);
	cw_buf_append(&text, torn.data, torn.len - 1);
	import_done_parse(&im, cw_buf_string(&text));
	for (uint32_t n = 1; n <= 7; n++)
		ck_assert_int_ne(state(n), VOLUME_DONE);
	cw_buf_free(&text);
	cw_buf_free(&torn);
}
END_TEST

START_TEST(a_torn_line_does_not_spoil_the_next)
{
	char dir[] = "/tmp/causeway-unit.XXXXXX", path[64];
	struct cw_error err = CW_ERROR_INIT;
	struct cw_buf lines = CW_BUF_INIT;
	FILE *f;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/" DONE_FILE, dir);
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_gt(fprintf(f, "3 -\n2 0202"), 0);
	ck_assert_int_eq(fclose(f), 0);
	im.store_dir = dir;
	ck_assert_int_eq(import_read_done(&im, &err), 0);
	line(&lines, 4);
	ck_assert_int_eq(import_write_done(&im, &lines, &err), 0);
	cw_close(&im.done_fd);
	ck_assert_int_eq(import_read_done(&im, &err), 0);
	ck_assert_int_eq(state(4), VOLUME_DONE);
	ck_assert_int_eq(import_undo(&im, import_find_volume(&im, 4), &err), 0);
	ck_assert_int_eq(state(4), VOLUME_WAITING);
	cw_close(&im.done_fd);
	ck_assert_int_eq(import_read_done(&im, &err), 0);
	ck_assert_int_eq(state(4), VOLUME_WAITING);
	cw_close(&im.done_fd);
	cw_buf_free(&lines);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

START_TEST(a_mailbox_is_the_directory_of_a_maildir)
{
	static const struct {
		const char *path, *mailbox;
		bool is_maildir;
	} cases[] = {
	    {"mail/ada/cur/1.M1:2,S", "mail/ada", true},
	    {"mail/ada/new/1.M1", "mail/ada", true},
	    {"mail/ada/.Sent/cur/1.M1:2,S", "mail/ada/.Sent", true},
	    {"mail/ada/.Sent/dovecot-uidlist", "mail/ada/.Sent", true},
	    {"mail/ada/.new/x", "mail/ada/.new", true},
	    {"mail/cur/1.M1", "mail", true},
	    {"mail/ada/cur/1.M1", "mail/ada/cur", false},
	    {"mail/file", "mail", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t len =
		    import_mailbox_len(cases[i].path, cases[i].is_maildir);

		ck_assert_uint_eq(len, strlen(cases[i].mailbox));
		ck_assert_int_eq(
		    memcmp(cases[i].path, cases[i].mailbox, len), 0);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("import_done");
	TCase *t = tcase_create("import_done");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(t, make_set, free_set);
	tcase_add_test(t, volumes_stand_by_group_then_number);
	tcase_add_test(t, volumes_of_absent_media_are_absent);
	tcase_add_test(t, what_was_written_is_read);
	tcase_add_test(t, a_volume_of_other_bytes_is_not_done);
	tcase_add_test(t, the_last_line_of_a_volume_counts);
	tcase_add_test(t, lines_that_are_none_say_nothing);
	tcase_add_test(t, a_torn_line_does_not_spoil_the_next);
	tcase_add_test(t, a_mailbox_is_the_directory_of_a_maildir);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
