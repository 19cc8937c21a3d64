#include "tests/unit/mailbox.h"

#include "base/bytes.h"
#include "store/contents.h"

#include <sqlite3.h>

/* ---- contents ---- */

static int
note_entry(void *arg, const struct cw_entry *e)
{
	struct cw_buf *text = arg;
	struct cw_entry other;

	/* Look-ups, also of contents, do not disturb. */
	ck_assert_int_eq(find(catalog, "mail/cur", &other), 0);
	ck_assert(e->has_digest);
	cw_buf_printf(text, "%d/%s ", (int)e->dir, e->name);
	return strcmp(e->name, "stop") == 0 ? 7 : 0;
}

static const char *
names_with(const char *content)
{
	static struct cw_buf text = CW_BUF_INIT;
	uint8_t digest[CW_DIGEST_SIZE];

	cw_buf_reset(&text);
	cw_sha256(content, strlen(content), digest);
	OK(cw_catalog_each_content(catalog, digest, note_entry, &text, &err));
	return cw_buf_string(&text);
}

START_TEST(contents_are_found_wherever_they_are)
{
	struct cw_buf text = CW_BUF_INIT;
	uint8_t digest[CW_DIGEST_SIZE];

	begin();
	put_text(catalog, cur, "b", "one", 1);
	put_text(catalog, cur, "a", "one", 2);
	put_text(catalog, mail, "z", "one", 1);
	put_text(catalog, cur, "c", "two", 1);
	put_text(catalog, cur, "pending", NULL, 2);
	commit_as(catalog, 2);
	OK(cw_catalog_index_contents(catalog, &err));
	OK(cw_catalog_index_contents(catalog, &err));
	ck_assert_str_eq(names_with("one"), "1/z 2/a 2/b ");
	ck_assert_str_eq(names_with("two"), "2/c ");
	ck_assert_str_eq(names_with("three"), "");
	/* It is kept up. */
	begin();
	put_text(catalog, cur, "b", "three", 3);
	remove_entry(catalog, mail, "z", 3);
	put_text(catalog, cur, "stop", "one", 3);
	put_text(catalog, cur, "tail", "one", 3);
	commit_as(catalog, 3);
	ck_assert_str_eq(names_with("three"), "2/b ");
	cw_sha256("one", 3, digest);
	ck_assert_int_eq(
	    cw_catalog_each_content(catalog, digest, note_entry, &text, &err),
	    7);
	ck_assert_str_eq(cw_buf_string(&text), "2/a 2/stop ");
	cw_buf_free(&text);
}
END_TEST

START_TEST(without_the_index_it_is_a_bug)
{
	struct cw_entry e = make_file(cur, "a", "one");
	bool known;

	ck_assert_int_eq(
	    cw_catalog_each_content(catalog, e.digest, note_entry, NULL, &err),
	    -1);
	ck_assert_int_eq(err.code, CW_ERR_FAILED);
	ck_assert_int_eq(
	    cw_catalog_content_known(catalog, &e, 0, &known, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_FAILED);
	/* Taken back with the transaction it was made in. */
	begin();
	OK(cw_catalog_index_contents(catalog, &err));
	cw_catalog_rollback(catalog);
	ck_assert_int_eq(
	    cw_catalog_content_known(catalog, &e, 0, &known, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_FAILED);
}
END_TEST

static bool
is_known(const char *path, uint64_t since)
{
	struct cw_entry e;
	bool known;

	ck_assert_int_eq(find(catalog, path, &e), 0);
	OK(cw_catalog_content_known(catalog, &e, since, &known, &err));
	return known;
}

START_TEST(a_content_is_known_if_the_replica_has_it_before)
{
	OK(cw_catalog_index_contents(catalog, &err));
	begin();
	put_text(catalog, cur, "old", "old", 1);
	put_text(catalog, cur, "a copy", "old", 3);
	put_text(catalog, cur, "new 1", "new", 3);
	put_text(catalog, cur, "new 2", "new", 3);
	put_text(catalog, cur, "alone", "alone", 3);
	commit_as(catalog, 3);
	ck_assert(is_known("mail/cur/a copy", 2));
	ck_assert(!is_known("mail/cur/alone", 2));
	/* Of two new ones the first brings it. */
	ck_assert(!is_known("mail/cur/new 1", 2));
	ck_assert(is_known("mail/cur/new 2", 2));
	/* All at once: what stands first in the stream brings it. */
	ck_assert(!is_known("mail/cur/old", 0));
	ck_assert(is_known("mail/cur/a copy", 0));
}
END_TEST

START_TEST(a_content_that_went_is_still_known)
{
	int64_t d, deeper;

	OK(cw_catalog_index_contents(catalog, &err));
	begin();
	put_text(catalog, cur, "moves", "moved", 1);
	put_text(catalog, cur, "changes", "replaced", 1);
	d = put_dir(catalog, mail, "d", 1);
	deeper = put_dir(catalog, d, "deeper", 1);
	put_text(catalog, deeper, "f", "below", 1);
	commit_as(catalog, 1);
	begin();
	remove_entry(catalog, cur, "moves", 4);
	put_text(catalog, mail, "moved", "moved", 4);
	put_text(catalog, cur, "changes", "other", 4);
	put_text(catalog, mail, "replaced", "replaced", 4);
	remove_entry(catalog, mail, "d", 4);
	put_text(catalog, mail, "below", "below", 4);
	commit_as(catalog, 4);
	ck_assert(is_known("mail/moved", 3));
	ck_assert(is_known("mail/replaced", 3));
	ck_assert(is_known("mail/below", 3));
	ck_assert(!is_known("mail/cur/changes", 3));
	/* Who is at 4 has seen it go, and may have forgotten it. */
	ck_assert(!is_known("mail/moved", 4));
	/* A file that is touched keeps its content. */
	begin();
	put_text(catalog, cur, "changes", "other", 5);
	commit_as(catalog, 5);
	ck_assert(!is_known("mail/cur/changes", 4));
	/* A file not read yet may have another content now. */
	begin();
	put_text(catalog, cur, "changes", NULL, 6);
	put_text(catalog, cur, "again", "other", 6);
	commit_as(catalog, 6);
	ck_assert(is_known("mail/cur/again", 5));
	begin();
	OK(cw_catalog_forget_tombstones(catalog, 5, &err));
	OK(cw_catalog_commit(catalog, &err));
	ck_assert(!is_known("mail/moved", 3));
	ck_assert(is_known("mail/cur/again", 5));
}
END_TEST

START_TEST(the_first_generation_notes_nothing_gone)
{
	sqlite3_stmt *st;
	sqlite3 *db;
	char path[100];

	begin();
	put_text(catalog, cur, "f", "1", 1);
	put_text(catalog, cur, "f", "2", 1);
	remove_entry(catalog, cur, "f", 1);
	commit_as(catalog, 1);
	snprintf(path, sizeof(path), "%s/catalog.sqlite", tree_base);
	ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
	ck_assert_int_eq(
	    sqlite3_prepare_v2(db, "SELECT count(*) FROM gone", -1, &st, NULL),
	    SQLITE_OK);
	ck_assert_int_eq(sqlite3_step(st), SQLITE_ROW);
	ck_assert_int_eq(sqlite3_column_int(st, 0), 0);
	sqlite3_finalize(st);
	sqlite3_close(db);
}
END_TEST

/* ---- base names ---- */

static const char *
name_of_base(const char *base)
{
	static char name[CW_ENTRY_NAME_MAX + 1];
	struct cw_entry e;
	int got =
	    cw_catalog_find_base(catalog, cur, base, strlen(base), &e, &err);

	ck_assert_int_ge(got, 0);
	strcpy(name, got == 0 ? e.name : "none");
	return name;
}

START_TEST(messages_are_found_by_their_base)
{
	char longest[CW_ENTRY_NAME_MAX + 2];

	memset(longest, 'x', sizeof(longest));
	longest[CW_ENTRY_NAME_MAX] = '\0';
	begin();
	put_text(catalog, cur, "1.M1.h", "1", 1);
	put_text(catalog, cur, "1.M1.h,S=5:2,S", "2", 1);
	put_text(catalog, cur, "2.M2.h,S=5:2,RS", "3", 1);
	put_text(catalog, cur, "2.M2.h;x", "4", 1);
	put_text(catalog, cur, "3.M3.h:2,", "5", 1);
	put_dir(catalog, cur, "4.M4.h", 1);
	put_text(catalog, cur, "4.M4.h:2,T", "6", 1);
	put_text(catalog, mail, "5.M5.h", "7", 1);
	put_text(catalog, cur, longest, "8", 1);
	commit_as(catalog, 1);
	ck_assert_str_eq(name_of_base("1.M1.h"), "1.M1.h");
	ck_assert_str_eq(name_of_base("1.M1.h,S=5"), "1.M1.h,S=5:2,S");
	ck_assert_str_eq(name_of_base("2.M2.h"), "none");
	ck_assert_str_eq(name_of_base("2.M2.h,S=5"), "2.M2.h,S=5:2,RS");
	ck_assert_str_eq(name_of_base("3.M3.h"), "3.M3.h:2,");
	ck_assert_str_eq(name_of_base("3.M3"), "none");
	ck_assert_str_eq(name_of_base("4.M4.h"), "4.M4.h:2,T");
	ck_assert_str_eq(name_of_base("5.M5.h"), "none");
	ck_assert_str_eq(name_of_base("3.M3.h:2,"), "none");
	ck_assert_str_eq(name_of_base(""), "none");
	ck_assert_str_eq(name_of_base(longest), longest);
	longest[CW_ENTRY_NAME_MAX] = 'x';
	ck_assert_int_eq(cw_catalog_find_base(catalog, cur, longest,
			     sizeof(longest), &(struct cw_entry){0}, &err),
	    1);
}
END_TEST

static bool
has_tombstone(int64_t dir, const char *base, uint64_t since)
{
	int got = cw_catalog_tombstone_base(
	    catalog, dir, base, strlen(base), since, &err);

	ck_assert_int_ge(got, 0);
	return got == 1;
}

START_TEST(removals_are_found_by_their_base)
{
	begin();
	put_text(catalog, cur, "1.M1.h", "1", 1);
	put_text(catalog, cur, "2.M2.h,S=5:2,S", "2", 1);
	put_text(catalog, cur, "3.M3.h:2,", "3", 1);
	commit_as(catalog, 1);
	begin();
	remove_entry(catalog, cur, "1.M1.h", 2);
	put_text(catalog, cur, "1.M1.h:2,S", "1", 2);
	remove_entry(catalog, cur, "2.M2.h,S=5:2,S", 2);
	remove_entry(catalog, cur, "3.M3.h:2,", 3);
	put_text(catalog, cur, "3.M3.h:2,S", "3", 3);
	remove_entry(catalog, cur, "3.M3.h:2,S", 4);
	put_text(catalog, cur, "3.M3.h:2,", "3", 4);
	commit_as(catalog, 4);
	ck_assert(has_tombstone(cur, "1.M1.h", 1));
	ck_assert(!has_tombstone(cur, "1.M1.h", 2));
	ck_assert(!has_tombstone(mail, "1.M1.h", 1));
	ck_assert(!has_tombstone(cur, "1.M1", 1));
	ck_assert(!has_tombstone(cur, "2.M2.h", 1));
	ck_assert(has_tombstone(cur, "2.M2.h,S=5", 1));
	/* Flags there and back again: the other name's stands. */
	ck_assert(has_tombstone(cur, "3.M3.h", 1));
	ck_assert(has_tombstone(cur, "3.M3.h", 3));
	ck_assert(!has_tombstone(cur, "3.M3.h", 4));
}
END_TEST

/* ---- schema ---- */

static int64_t
number_in(const char *path, const char *sql)
{
	sqlite3_stmt *st;
	sqlite3 *db;
	int64_t number;

	ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
	ck_assert_msg(sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK,
	    "%s", sqlite3_errmsg(db));
	ck_assert_int_eq(sqlite3_step(st), SQLITE_ROW);
	number = sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	sqlite3_close(db);
	return number;
}

START_TEST(an_export_has_no_index_of_contents)
{
	char path[100], copy[100];
	struct cw_catalog *c;

	snprintf(path, sizeof(path), "%s/catalog.sqlite", tree_base);
	snprintf(copy, sizeof(copy), "%s/copy.sqlite", tree_base);
	begin();
	put_text(catalog, cur, "f", "1", 1);
	commit_as(catalog, 1);
	OK(cw_catalog_index_contents(catalog, &err));
	OK(cw_catalog_export(catalog, copy, &err));
	ck_assert_int_eq(number_in(copy, "SELECT count(*) FROM sqlite_schema"
					 " WHERE name='entry_digest'"),
	    0);
	ck_assert_int_eq(number_in(copy, "PRAGMA freelist_count"), 0);
	ck_assert_int_eq(number_in(copy, "PRAGMA user_version"), 3);
	OK(cw_catalog_open_foreign(copy, &c, &err));
	ck_assert_uint_eq(cw_catalog_info(c)->files, 1);
	cw_catalog_close(c);
	/* Ours still has it, and both kinds of opening take it so. */
	cw_catalog_close(catalog);
	OK(cw_catalog_open(path, CW_CATALOG_READ, &catalog, &err));
	ck_assert_str_eq(names_with("1"), "2/f ");
	ck_assert_int_eq(cw_catalog_open_foreign(path, &c, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_DAMAGED);
}
END_TEST

START_TEST(an_index_that_is_called_so_but_is_another_is_refused)
{
	char path[100];
	sqlite3 *db;
	struct cw_catalog *c;

	snprintf(path, sizeof(path), "%s/catalog.sqlite", tree_base);
	ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
	ck_assert_int_eq(
	    sqlite3_exec(db, "CREATE INDEX entry_digest ON entry(size)", NULL,
		NULL, NULL),
	    SQLITE_OK);
	sqlite3_close(db);
	ck_assert_int_eq(cw_catalog_open(path, CW_CATALOG_READ, &c, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_DAMAGED);
}
END_TEST

/* The catalog of tests/vectors/catalog/version-1.sql. */
static void
make_version_1(const char *path)
{
	struct cw_buf sql = CW_BUF_INIT;
	char *text = NULL;
	sqlite3 *db;
	FILE *f =
	    fopen(CW_SOURCE_DIR "/tests/vectors/catalog/version-1.sql", "r");
	size_t got;

	ck_assert_ptr_nonnull(f);
	do {
		got = fread(cw_buf_reserve(&sql, 4096), 1, 4096, f);
		sql.len += got;
	} while (got > 0);
	fclose(f);
	ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
	ck_assert_msg(sqlite3_exec(db, cw_buf_string(&sql), NULL, NULL,
			  &text) == SQLITE_OK,
	    "%s", text);
	sqlite3_close(db);
	cw_buf_free(&sql);
}

static void
check_version_1(struct cw_catalog *c)
{
	uint8_t digest[CW_STATE_SIZE];
	struct cw_entry e;
	char hex[65];
	bool known;

	OK(cw_state_digest(c, digest, &known, &err));
	cw_hex_encode(digest, sizeof(digest), hex);
	ck_assert_str_eq(hex, "06af34e35b70bf316340ef44a7a9ceaa"
			      "d1743347e6a5e488749c1461840ba8e5");
	ck_assert_uint_eq(cw_catalog_info(c)->generation, 3);
	ck_assert_uint_eq(cw_catalog_info(c)->floor, 0);
	ck_assert_int_eq(find(c, "mail/u/cur/3.M3.h:2,", &e), 0);
	ck_assert_int_eq(
	    cw_catalog_tombstone_base(c, e.dir, "1.M1.h", 6, 1, &err), 1);
	OK(cw_state_check(c, &err));
}

START_TEST(a_catalog_of_version_1_is_read_and_brought_up)
{
	struct cw_catalog *c;
	char path[100];

	snprintf(path, sizeof(path), "%s/old.sqlite", tree_base);
	make_version_1(path);
	/* From media, and as our own by one who only reads. */
	OK(cw_catalog_open_foreign(path, &c, &err));
	check_version_1(c);
	cw_catalog_close(c);
	OK(cw_catalog_open(path, CW_CATALOG_READ, &c, &err));
	check_version_1(c);
	cw_catalog_close(c);
	ck_assert_int_eq(number_in(path, "PRAGMA user_version"), 1);

	OK(cw_catalog_open(path, CW_CATALOG_WRITE, &c, &err));
	check_version_1(c);
	OK(cw_catalog_index_contents(c, &err));
	cw_catalog_close(catalog);
	catalog = c;
	ck_assert(is_known("mail/u/cur/2.M2.h:2,S", 0) == false);
	begin();
	remove_entry(c, 3, "2.M2.h:2,S", 4);
	put_text(c, 3, "2.M2.h:2,", "two", 4);
	commit_as(c, 4);
	ck_assert(is_known("mail/u/cur/2.M2.h:2,", 3));
	ck_assert_int_eq(number_in(path, "PRAGMA user_version"), 3);
	ck_assert_int_eq(number_in(path, "SELECT count(*) FROM gone"), 1);
}
END_TEST

START_TEST(a_reader_of_version_1_finds_contents_too)
{
	char path[100];
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/old.sqlite", tree_base);
	make_version_1(path);
	ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(db,
			     "CREATE INDEX entry_digest ON entry(digest)"
			     " WHERE digest IS NOT NULL",
			     NULL, NULL, NULL),
	    SQLITE_OK);
	sqlite3_close(db);
	cw_catalog_close(catalog);
	OK(cw_catalog_open(path, CW_CATALOG_READ, &catalog, &err));
	ck_assert(!is_known("mail/u/cur/3.M3.h:2,", 2));
}
END_TEST

/* The number alone does not make a version. */
static const char *const lies[] = {
    "PRAGMA user_version=2",
    "CREATE TABLE gone(digest BLOB NOT NULL, gen INTEGER NOT NULL,"
    " PRIMARY KEY(digest,gen)) WITHOUT ROWID",
    "INSERT INTO tombstone VALUES(77,CAST('x' AS BLOB),'f',2)",
    "UPDATE entry SET mode=0 WHERE kind='f'",
};

START_TEST(a_tampered_catalog_of_version_1_is_refused)
{
	struct cw_catalog *c;
	char path[100];
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/old.sqlite", tree_base);
	make_version_1(path);
	ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
	ck_assert_int_eq(
	    sqlite3_exec(db, lies[_i], NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	ck_assert_int_eq(cw_catalog_open_foreign(path, &c, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_DAMAGED);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("contents");
	TCase *tc = tcase_create("contents");
	SRunner *sr = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, mailbox_setup, mailbox_teardown);
	tcase_add_test(tc, contents_are_found_wherever_they_are);
	tcase_add_test(tc, without_the_index_it_is_a_bug);
	tcase_add_test(tc, a_content_is_known_if_the_replica_has_it_before);
	tcase_add_test(tc, a_content_that_went_is_still_known);
	tcase_add_test(tc, the_first_generation_notes_nothing_gone);
	tcase_add_test(tc, messages_are_found_by_their_base);
	tcase_add_test(tc, removals_are_found_by_their_base);
	tcase_add_test(tc, an_export_has_no_index_of_contents);
	tcase_add_test(
	    tc, an_index_that_is_called_so_but_is_another_is_refused);
	tcase_add_test(tc, a_catalog_of_version_1_is_read_and_brought_up);
	tcase_add_test(tc, a_reader_of_version_1_finds_contents_too);
	tcase_add_loop_test(tc, a_tampered_catalog_of_version_1_is_refused, 0,
	    (int)(sizeof(lies) / sizeof(lies[0])));
	suite_add_tcase(suite, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
