#include "tests/unit/mailbox.h"

#include "store/changes.h"
#include "store/increment.h"

#include <sqlite3.h>

static void
setup(void)
{
	mailbox_setup();
	begin();
	put_dir(catalog, mail, "quiet", 1);
	put_text(catalog, cur, "old", "old", 1);
	put_text(catalog, cur, "moves", "moves", 1);
	put_text(catalog, cur, "changes", "before", 1);
	put_text(catalog, cur, "goes", "goes", 1);
	commit_as(catalog, 5);
}

/* What is to be packed of an increment on generation 5. */
static const char *
waiting(void)
{
	static struct cw_buf text = CW_BUF_INIT;
	struct cw_walk_query q = CW_WALK_ALL;
	struct cw_walk *w;
	struct cw_entry e;
	int got;

	cw_buf_reset(&text);
	q.since = 5;
	OK(cw_walk_open(catalog, &q, &w, &err));
	while ((got = cw_walk_next(w, &e, &err)) == 1)
		if (e.volume == 0)
			cw_buf_printf(&text, "%s ", e.name);
	ck_assert_int_eq(got, 0);
	cw_walk_close(w);
	return cw_buf_string(&text);
}

static const char *
packed_since(uint64_t since)
{
	uint8_t seed[CW_SEED_ID_SIZE] = {1};

	OK(cw_catalog_start_seed(catalog, seed, &err));
	OK(cw_catalog_spare(catalog, since, &err));
	return waiting();
}

static void
pack(const char *path, uint32_t volume)
{
	struct cw_entry e;

	begin();
	ck_assert_int_eq(find(catalog, path, &e), 0);
	ck_assert_int_eq(cw_catalog_mark_packed(catalog, &e, volume, &err), 0);
	OK(cw_catalog_commit(catalog, &err));
}

START_TEST(what_the_replica_has_needs_no_volume)
{
	begin();
	put_text(catalog, cur, "new", "new", 6);
	put_text(catalog, cur, "copy of old", "old", 6);
	remove_entry(catalog, cur, "moves", 6);
	put_text(catalog, mail, "moved", "moves", 6);
	put_text(catalog, cur, "changes", "after", 6);
	put_text(catalog, mail, "as before", "before", 6);
	remove_entry(catalog, cur, "goes", 7);
	put_dir(catalog, mail, "made", 7);
	commit_as(catalog, 7);
	ck_assert_str_eq(packed_since(5), "changes new ");
}
END_TEST

/* A message that was delivered and read since was never at the replica. */
START_TEST(what_came_and_moved_since_is_packed)
{
	begin();
	put_text(catalog, mail, "delivered", "fresh", 6);
	commit_as(catalog, 6);
	begin();
	remove_entry(catalog, mail, "delivered", 7);
	put_text(catalog, cur, "read", "fresh", 7);
	commit_as(catalog, 7);
	ck_assert_str_eq(packed_since(5), "read ");
	/* At 6 it is known, as a walk of the replica would show. */
	OK(cw_catalog_spare(catalog, 6, &err));
	ck_assert_str_eq(waiting(), "");
}
END_TEST

START_TEST(a_message_that_moves_on_is_known_by_where_it_began)
{
	begin();
	remove_entry(catalog, cur, "moves", 6);
	put_text(catalog, cur, "moves:2,S", "moves", 6);
	commit_as(catalog, 6);
	begin();
	remove_entry(catalog, cur, "moves:2,S", 7);
	put_text(catalog, cur, "moves:2,RS", "moves", 7);
	commit_as(catalog, 7);
	ck_assert_str_eq(packed_since(5), "");
	/* One of two that went was there before. */
	begin();
	put_text(catalog, cur, "again", "goes", 8);
	commit_as(catalog, 8);
	begin();
	remove_entry(catalog, cur, "again", 9);
	remove_entry(catalog, cur, "goes", 9);
	put_text(catalog, cur, "third", "goes", 9);
	commit_as(catalog, 9);
	ck_assert_str_eq(packed_since(5), "");
}
END_TEST

START_TEST(in_doubt_it_is_packed)
{
	struct cw_entry e;

	begin();
	ck_assert_int_eq(find(catalog, "mail/cur/moves", &e), 0);
	e.mode = 0640;
	put_entry(catalog, &e, 6);
	commit_as(catalog, 6);
	begin();
	remove_entry(catalog, cur, "moves", 7);
	put_text(catalog, mail, "moved", "moves", 7);
	put_text(catalog, mail, "not read", NULL, 7);
	commit_as(catalog, 7);
	ck_assert_str_eq(packed_since(5), "moved not read ");
}
END_TEST

START_TEST(of_one_new_content_one_file_is_packed)
{
	uint64_t again, entries, bytes;

	begin();
	put_text(catalog, cur, "a", "twin", 6);
	put_text(catalog, cur, "b", "twin", 6);
	put_text(catalog, cur, "c", "twin", 7);
	commit_as(catalog, 7);
	ck_assert_str_eq(packed_since(5), "a ");
	OK(cw_catalog_unpacked_since(catalog, 5, &entries, &bytes, &err));
	ck_assert_uint_eq(entries, 1);
	ck_assert_uint_eq(bytes, 4);
	pack("mail/cur/a", 1);
	OK(cw_catalog_spare_check(catalog, 5, &again, &err));
	ck_assert_uint_eq(again, 0);
	/* It changes after it was packed: another one has to be. */
	begin();
	put_text(catalog, cur, "a", "other", 8);
	commit_as(catalog, 8);
	OK(cw_catalog_spare_check(catalog, 5, &again, &err));
	ck_assert_uint_eq(again, 2);
	OK(cw_catalog_spare(catalog, 5, &err));
	ck_assert_str_eq(waiting(), "a b ");
	/* A volume that is lost brings nothing. */
	pack("mail/cur/a", 2);
	pack("mail/cur/b", 2);
	OK(cw_catalog_unpack_volume(catalog, 2, &err));
	OK(cw_catalog_spare(catalog, 5, &err));
	ck_assert_str_eq(waiting(), "a b ");
}
END_TEST

/* ---- the catalog of an increment ---- */

static struct cw_catalog *export(uint64_t since)
{
	struct cw_catalog *c = NULL;
	char path[100];

	snprintf(path, sizeof(path), "%s/increment.sqlite", tree_base);
	(void)unlink(path);
	OK(cw_catalog_export_since(catalog, since, path, &err));
	OK(cw_catalog_open_foreign(path, &c, &err));
	return c;
}

static const char *
stream(struct cw_catalog *c, uint64_t since)
{
	static struct cw_buf text[2];
	static unsigned turn;
	struct cw_buf *out = &text[turn++ % 2];
	struct cw_changes *s;
	struct cw_change ch;
	int got;

	cw_buf_reset(out);
	OK(cw_changes_open(c, since, NULL, &s, &err));
	while ((got = cw_changes_next(s, &ch, &err)) == 1)
		cw_buf_printf(out, "%d:%c%c %s/%s %o\n", (int)ch.e.generation,
		    ch.is_removal ? '-' : '+', (char)ch.kind, ch.dir_path,
		    ch.e.name, ch.is_removal ? 0 : ch.e.mode);
	ck_assert_int_eq(got, 0);
	cw_changes_close(s);
	return cw_buf_string(out);
}

static void
change_much(void)
{
	int64_t d;

	begin();
	put_text(catalog, cur, "new", "new", 6);
	remove_entry(catalog, cur, "goes", 6);
	remove_entry(catalog, mail, "quiet", 7);
	d = put_dir(catalog, mail, "quiet", 7);
	put_text(catalog, put_dir(catalog, d, "deep", 7), "in", "in", 8);
	put_text(catalog, cur, "not read", NULL, 8);
	commit_as(catalog, 8);
}

START_TEST(its_changes_are_those_of_the_store)
{
	struct cw_catalog *c;

	change_much();
	c = export(5);
	for (uint64_t since = 5; since <= 8; since++)
		ck_assert_str_eq(stream(c, since), stream(catalog, since));
	ck_assert_uint_eq(cw_catalog_info(c)->generation, 8);
	ck_assert_uint_eq(cw_catalog_info(c)->floor, 5);
	ck_assert_uint_eq(cw_catalog_info(c)->pending, 0);
	/* mail, cur, quiet, deep, in, new: nothing that did not change. */
	ck_assert_uint_eq(cw_catalog_info(c)->entries, 6);
	OK(cw_state_check(c, &err));
	cw_catalog_close(c);
}
END_TEST

START_TEST(it_says_what_the_whole_store_is)
{
	uint8_t digest[CW_STATE_SIZE];
	struct cw_increment is;
	struct cw_catalog *c;
	struct cw_entry e;
	bool known;

	change_much();
	c = export(5);
	ck_assert_int_eq(cw_catalog_increment(c, &is, &err), 0);
	ck_assert_uint_eq(is.since, 5);
	ck_assert_uint_eq(is.entries, cw_catalog_info(catalog)->entries);
	ck_assert_uint_eq(is.bytes, cw_catalog_info(catalog)->bytes);
	ck_assert(!is.has_digest);
	cw_catalog_close(c);

	begin();
	ck_assert_int_eq(find(catalog, "mail/cur/not read", &e), 0);
	remove_entry(catalog, cur, "not read", 9);
	commit_as(catalog, 9);
	OK(cw_state_digest(catalog, digest, &known, &err));
	c = export(7);
	ck_assert_int_eq(cw_catalog_increment(c, &is, &err), 0);
	ck_assert(is.has_digest);
	ck_assert_mem_eq(is.digest, digest, CW_STATE_SIZE);
	cw_catalog_close(c);
	ck_assert_int_eq(cw_catalog_increment(catalog, &is, &err), 1);
}
END_TEST

START_TEST(nothing_changed_is_an_increment_too)
{
	struct cw_catalog *c = export(5);

	ck_assert_str_eq(stream(c, 5), "");
	ck_assert_uint_eq(cw_catalog_info(c)->entries, 0);
	cw_catalog_close(c);
}
END_TEST

START_TEST(a_base_that_cannot_be_is_refused)
{
	char path[100];

	snprintf(path, sizeof(path), "%s/increment.sqlite", tree_base);
	change_much();
	for (uint64_t since = 0; since <= 9; since += 9) {
		ck_assert_int_eq(
		    cw_catalog_export_since(catalog, since, path, &err), -1);
		ck_assert_int_eq(err.code, CW_ERR_REFUSED);
	}
	begin();
	OK(cw_catalog_forget_tombstones(catalog, 6, &err));
	OK(cw_catalog_commit(catalog, &err));
	ck_assert_int_eq(cw_catalog_export_since(catalog, 5, path, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_REFUSED);
	ck_assert_int_ne(access(path, F_OK), 0);
	cw_catalog_close(export(6));
}
END_TEST

START_TEST(it_is_small_however_large_the_store_is)
{
	struct cw_catalog *c;
	struct stat st;
	char path[100];

	begin();
	for (int i = 0; i < 20000; i++) {
		char name[32];

		snprintf(name, sizeof(name), "%08d.M1.host:2,S", i);
		put_text(catalog, cur, name, name, 1);
	}
	put_text(catalog, cur, "new", "new", 6);
	commit_as(catalog, 6);
	c = export(5);
	ck_assert_uint_eq(cw_catalog_info(c)->files, 1);
	cw_catalog_close(c);
	snprintf(path, sizeof(path), "%s/increment.sqlite", tree_base);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_lt(st.st_size, 256 << 10);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("increment");
	TCase *tc = tcase_create("increment");
	SRunner *sr = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, mailbox_teardown);
	tcase_add_test(tc, what_the_replica_has_needs_no_volume);
	tcase_add_test(tc, what_came_and_moved_since_is_packed);
	tcase_add_test(tc, a_message_that_moves_on_is_known_by_where_it_began);
	tcase_add_test(tc, in_doubt_it_is_packed);
	tcase_add_test(tc, of_one_new_content_one_file_is_packed);
	tcase_add_test(tc, its_changes_are_those_of_the_store);
	tcase_add_test(tc, it_says_what_the_whole_store_is);
	tcase_add_test(tc, nothing_changed_is_an_increment_too);
	tcase_add_test(tc, a_base_that_cannot_be_is_refused);
	tcase_add_test(tc, it_is_small_however_large_the_store_is);
	suite_add_tcase(suite, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
