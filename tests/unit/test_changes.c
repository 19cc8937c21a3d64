#include "tests/unit/mailbox.h"
#include "tests/unit/plans.h"

#include "store/changes.h"

#include <sqlite3.h>
#include <sys/wait.h>

static void
append_change(struct cw_buf *out, const struct cw_change *g)
{
	cw_buf_printf(out, "%c%d%c%s%s%s ", g->is_removal ? '-' : '+',
	    (int)g->e.generation, (char)g->kind, g->dir_path,
	    g->dir_path_len > 0 ? "/" : "", g->e.name);
}

/* "+1dmail -2fmail/x ": sign, generation, kind, path. */
static const char *
stream_of(
    struct cw_catalog *c, uint64_t since, struct cw_position *at, size_t batch)
{
	static struct cw_buf text = CW_BUF_INIT;
	struct cw_changes *s;
	struct cw_change g;
	int got = 0;

	cw_buf_reset(&text);
	OK(cw_changes_open(c, since, at, &s, &err));
	while (batch-- > 0 && (got = cw_changes_next(s, &g, &err)) == 1) {
		append_change(&text, &g);
		if (at != NULL)
			cw_change_position(&g, at);
	}
	ck_assert_msg(got >= 0, "%s", err.message);
	cw_changes_close(s);
	return cw_buf_string(&text);
}

static const char *
all_since(uint64_t since)
{
	return stream_of(catalog, since, NULL, SIZE_MAX);
}

START_TEST(an_empty_catalog_has_no_changes)
{
	ck_assert_str_eq(all_since(1), "");
	ck_assert_str_eq(all_since(UINT64_MAX), "");
}
END_TEST

START_TEST(everything_comes_by_generation_then_place)
{
	struct cw_entry link = make_entry(mail, "link", CW_KIND_SYMLINK);

	begin();
	put_text(catalog, cur, "a", "1", 1);
	put_text(catalog, cur, "c", "2", 3);
	put_text(catalog, cur, "b", "3", 3);
	put_text(catalog, mail, "z", "4", 3);
	put_entry(catalog, &link, 2);
	commit_as(catalog, 3);
	ck_assert_str_eq(all_since(0),
	    "+1dmail +1dmail/cur +1fmail/cur/a +2lmail/link +3fmail/z "
	    "+3fmail/cur/b +3fmail/cur/c ");
	ck_assert_str_eq(all_since(1),
	    "+2lmail/link +3fmail/z +3fmail/cur/b +3fmail/cur/c ");
	ck_assert_str_eq(
	    all_since(2), "+3fmail/z +3fmail/cur/b +3fmail/cur/c ");
	ck_assert_str_eq(all_since(3), "");
}
END_TEST

START_TEST(rows_tell_all_of_an_entry)
{
	static const uint8_t attrs[] = {1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0,
	    0, 0, 6, 0, 0, 0, 'u', 's', 'e', 'r', '.', 'b', 0, 1, 0, 0, 0, '2'};
	struct cw_entry f = make_file(cur, "f", "text"), other;
	struct cw_entry link = make_entry(mail, "link", CW_KIND_SYMLINK);
	struct cw_changes *s;
	struct cw_change g;

	f.attrs = attrs;
	f.attrs_len = sizeof(attrs);
	f.linkgroup = 7;
	f.sparse = true;
	begin();
	put_entry(catalog, &f, 2);
	put_entry(catalog, &link, 2);
	commit_as(catalog, 2);
	OK(cw_changes_open(catalog, 1, NULL, &s, &err));
	ck_assert_int_eq(cw_changes_next(s, &g, &err), 1);
	/* Look-ups do not take a row away. */
	ck_assert_int_eq(find(catalog, "mail/cur/f", &other), 0);
	ck_assert_str_eq(g.dir_path, "mail");
	ck_assert_str_eq(g.e.name, "link");
	ck_assert_str_eq(g.e.target, "../x");
	ck_assert_int_eq(cw_changes_next(s, &g, &err), 1);
	ck_assert_int_eq(find(catalog, "mail/link", &other), 0);
	ck_assert_int_eq(find(catalog, "mail/cur", &other), 0);
	ck_assert_str_eq(g.dir_path, "mail/cur");
	ck_assert_uint_eq(g.dir_path_len, 8);
	ck_assert_int_eq(g.dir, cur);
	ck_assert_uint_eq(g.e.attrs_len, sizeof(attrs));
	ck_assert_mem_eq(g.e.attrs, attrs, sizeof(attrs));
	ck_assert_mem_eq(g.e.digest, f.digest, CW_DIGEST_SIZE);
	ck_assert_int_eq(g.e.linkgroup, 7);
	ck_assert(g.e.sparse);
	ck_assert_str_eq(g.e.user, "vmail");
	ck_assert_int_eq(cw_changes_next(s, &g, &err), 0);
	ck_assert_int_eq(cw_changes_next(s, &g, &err), 0);
	cw_changes_close(s);
}
END_TEST

START_TEST(removals_come_before_puts_of_their_generation)
{
	begin();
	put_text(catalog, cur, "1:2,", "one", 1);
	put_text(catalog, mail, "x", "x", 1);
	commit_as(catalog, 1);
	begin();
	put_text(catalog, cur, "0", "zero", 2);
	put_text(catalog, cur, "1:2,S", "one", 2);
	remove_entry(catalog, cur, "1:2,", 2);
	remove_entry(catalog, mail, "x", 3);
	commit_as(catalog, 3);
	ck_assert_str_eq(all_since(1),
	    "-2fmail/cur/1:2, +2fmail/cur/0 +2fmail/cur/1:2,S -3fmail/x ");
}
END_TEST

START_TEST(a_directory_that_was_there_once_stays_known_as_removed)
{
	int64_t d;

	begin();
	d = put_dir(catalog, mail, "d", 1);
	put_text(catalog, d, "in", "1", 1);
	commit_as(catalog, 1);
	begin();
	remove_entry(catalog, mail, "d", 2);
	put_text(catalog, mail, "d", "file", 2);
	commit_as(catalog, 2);
	ck_assert_str_eq(all_since(1), "-2dmail/d +2fmail/d ");
	/* The file goes as well: a replica at 1 still has the directory. */
	begin();
	remove_entry(catalog, mail, "d", 3);
	commit_as(catalog, 3);
	ck_assert_str_eq(all_since(1), "-3dmail/d ");
	begin();
	put_text(catalog, mail, "d", "again", 4);
	commit_as(catalog, 4);
	ck_assert_str_eq(all_since(1), "-3dmail/d +4fmail/d ");
	begin();
	remove_entry(catalog, mail, "d", 5);
	d = put_dir(catalog, mail, "d", 5);
	put_text(catalog, d, "new", "2", 5);
	commit_as(catalog, 5);
	begin();
	put_dir(catalog, mail, "d", 6);
	commit_as(catalog, 6);
	/* Touched again: its row is behind that of what is in it. */
	ck_assert_str_eq(all_since(1), "-5dmail/d +5fmail/d/new +6dmail/d ");
}
END_TEST

/* Five generations of all that can happen. */
static void
put_history(void)
{
	char name[20];
	int64_t d;

	begin();
	for (int i = 0; i < 7; i++) {
		snprintf(name, sizeof(name), "%d:2,", i);
		put_text(catalog, cur, name, name, 1);
	}
	d = put_dir(catalog, mail, "d", 1);
	put_text(catalog, d, "f", "f", 1);
	commit_as(catalog, 1);
	for (uint64_t g = 2; g <= 5; g++) {
		begin();
		snprintf(name, sizeof(name), "%d:2,", (int)g);
		remove_entry(catalog, cur, name, g);
		put_text(catalog, cur, strcat(name, "S"), name, g);
		snprintf(name, sizeof(name), "new%d", (int)g);
		put_text(catalog, mail, name, name, g);
		remove_entry(catalog, mail, "d", g);
		put_text(
		    catalog, put_dir(catalog, mail, "d", g), name, name, g);
		commit_as(catalog, g);
	}
}

START_TEST(a_stream_broken_at_every_row_is_the_unbroken_one)
{
	put_history();
	for (uint64_t since = 0; since <= 5; since++) {
		char *whole = cw_strdup(all_since(since));

		for (size_t batch = 1; batch < 9; batch++) {
			struct cw_position at = {0};
			struct cw_buf parts = CW_BUF_INIT;
			const char *part;

			while (*(part = stream_of(
				     catalog, since, &at, batch)) != '\0')
				cw_buf_text(&parts, part);
			ck_assert_str_eq(cw_buf_string(&parts), whole);
			cw_buf_free(&parts);
		}
		free(whole);
	}
}
END_TEST

START_TEST(positions_are_in_the_order_of_the_stream)
{
	struct cw_position last = {0}, at;
	struct cw_changes *s;
	struct cw_change g;
	unsigned rows = 0;

	put_history();
	OK(cw_changes_open(catalog, 0, &last, &s, &err));
	while (cw_changes_next(s, &g, &err) == 1) {
		cw_change_position(&g, &at);
		ck_assert_int_eq(cw_position_compare(&last, &at), -1);
		ck_assert_int_eq(cw_position_compare(&at, &last), 1);
		ck_assert_int_eq(cw_position_compare(&at, &at), 0);
		last = at;
		rows++;
	}
	ck_assert_uint_eq(rows, 20);
	cw_changes_close(s);
}
END_TEST

START_TEST(changes_between_two_batches_come_behind)
{
	struct cw_position at = {0};

	put_history();
	/* Break off in the middle of the first generation. */
	ck_assert_str_eq(stream_of(catalog, 0, &at, 4),
	    "+1dmail +1dmail/cur +1fmail/cur/0:2, +1fmail/cur/1:2, ");
	begin();
	remove_entry(catalog, cur, "0:2,", 6);
	remove_entry(catalog, cur, "6:2,", 6);
	put_text(catalog, cur, "0", "before the position", 6);
	put_text(catalog, cur, "1:2,", "again", 6);
	commit_as(catalog, 6);
	ck_assert_ptr_nonnull(strstr(stream_of(catalog, 0, &at, SIZE_MAX),
	    "-6fmail/cur/0:2, -6fmail/cur/6:2, +6fmail/cur/0 "
	    "+6fmail/cur/1:2, "));
	ck_assert_int_eq(at.is_put, 1);
	ck_assert_uint_eq(at.generation, 6);
	ck_assert_str_eq(stream_of(catalog, 0, &at, SIZE_MAX), "");
}
END_TEST

START_TEST(an_open_stream_is_of_one_commit)
{
	struct cw_catalog *reader;
	struct cw_changes *s;
	struct cw_change g;
	unsigned rows = 0;
	char path[100];
	struct cw_entry e;

	put_history();
	snprintf(path, sizeof(path), "%s/catalog.sqlite", tree_base);
	OK(cw_catalog_open(path, CW_CATALOG_READ, &reader, &err));
	begin();
	put_text(catalog, cur, "later", "1", 6);
	commit_as(catalog, 6);
	OK(cw_changes_open(reader, 5, NULL, &s, &err));
	/* Refreshed: information and rows agree. */
	ck_assert_uint_eq(cw_catalog_info(reader)->generation, 6);
	ck_assert_uint_eq(cw_catalog_info(reader)->pending, 0);
	begin();
	put_text(catalog, cur, "much later", "2", 7);
	put_text(catalog, cur, "pending", NULL, 7);
	commit_as(catalog, 7);
	while (cw_changes_next(s, &g, &err) == 1) {
		ck_assert_str_eq(g.e.name, "later");
		rows++;
	}
	ck_assert_uint_eq(rows, 1);
	ck_assert_int_eq(find(reader, "mail/cur/much later", &e), 1);
	cw_changes_close(s);
	ck_assert_int_eq(find(reader, "mail/cur/much later", &e), 0);
	/* What was not read yet is left out, and pending says so. */
	ck_assert_str_eq(
	    stream_of(reader, 6, NULL, SIZE_MAX), "+7fmail/cur/much later ");
	ck_assert_uint_eq(cw_catalog_info(reader)->pending, 1);
	cw_catalog_close(reader);
}
END_TEST

/* The same as stream_of, as far as contents were read. */
static const char *
read_so_far(struct cw_position *at, bool *is_cut)
{
	static struct cw_buf text = CW_BUF_INIT;
	struct cw_changes *s;
	struct cw_change g;

	cw_buf_reset(&text);
	OK(cw_changes_open(catalog, 0, at, &s, &err));
	cw_changes_await_contents(s);
	while (cw_changes_next(s, &g, &err) == 1) {
		append_change(&text, &g);
		cw_change_position(&g, at);
	}
	*is_cut = cw_changes_is_cut(s);
	ck_assert_int_eq(cw_changes_next(s, &g, &err), 0);
	cw_changes_close(s);
	return cw_buf_string(&text);
}

static void
note_content(const char *path, const char *text)
{
	uint8_t digest[CW_DIGEST_SIZE];
	struct cw_entry e;

	ck_assert_int_eq(find(catalog, path, &e), 0);
	cw_sha256(text, strlen(text), digest);
	begin();
	ck_assert_int_eq(cw_catalog_set_digest(catalog, &e, digest, &err), 0);
	OK(cw_catalog_commit(catalog, &err));
}

START_TEST(a_stream_can_end_before_the_first_file_that_was_not_read)
{
	struct cw_position at = {.generation = 0};
	bool is_cut;

	begin();
	put_text(catalog, cur, "a", "1", 1);
	put_text(catalog, cur, "b", NULL, 1);
	put_text(catalog, cur, "c", "3", 1);
	put_text(catalog, cur, "d", "4", 2);
	put_text(catalog, cur, "e", NULL, 3);
	commit_as(catalog, 3);
	begin();
	OK(cw_catalog_remove(catalog, cur, "d", 1, 4, &err));
	commit_as(catalog, 4);
	ck_assert_str_eq(
	    read_so_far(&at, &is_cut), "+1dmail +1dmail/cur +1fmail/cur/a ");
	ck_assert(is_cut);
	ck_assert_str_eq(read_so_far(&at, &is_cut), "");
	ck_assert(is_cut);
	note_content("mail/cur/b", "2");
	/* What was removed later has to wait as well. */
	ck_assert_str_eq(
	    read_so_far(&at, &is_cut), "+1fmail/cur/b +1fmail/cur/c ");
	ck_assert(is_cut);
	note_content("mail/cur/e", "5");
	ck_assert_str_eq(
	    read_so_far(&at, &is_cut), "+3fmail/cur/e -4fmail/cur/d ");
	ck_assert(!is_cut);
}
END_TEST

START_TEST(a_holder_keeps_its_hold)
{
	struct cw_changes *s;
	struct cw_entry e;
	struct cw_catalog *reader;
	char path[100];

	snprintf(path, sizeof(path), "%s/catalog.sqlite", tree_base);
	OK(cw_catalog_open(path, CW_CATALOG_READ, &reader, &err));
	OK(cw_catalog_hold(reader, &err));
	OK(cw_catalog_refresh(reader, &err));
	OK(cw_changes_open(reader, 0, NULL, &s, &err));
	cw_changes_close(s);
	begin();
	put_text(catalog, cur, "later", "1", 2);
	commit_as(catalog, 2);
	ck_assert_int_eq(find(reader, "mail/cur/later", &e), 1);
	cw_catalog_release(reader);
	ck_assert_int_eq(find(reader, "mail/cur/later", &e), 0);
	cw_catalog_close(reader);
}
END_TEST

START_TEST(forgetting_raises_the_floor)
{
	put_history();
	ck_assert_uint_eq(cw_catalog_info(catalog)->floor, 0);
	begin();
	OK(cw_catalog_forget_tombstones(catalog, 3, &err));
	OK(cw_catalog_forget_tombstones(catalog, 2, &err));
	OK(cw_catalog_commit(catalog, &err));
	ck_assert_uint_eq(cw_catalog_info(catalog)->floor, 3);
	cw_catalog_close(catalog);
	catalog = open_catalog();
	ck_assert_uint_eq(cw_catalog_info(catalog)->floor, 3);
	ck_assert_ptr_nonnull(strstr(all_since(3), "-4fmail/cur/4:2,"));
	ck_assert_ptr_null(strstr(all_since(0), "-3"));
	begin();
	OK(cw_catalog_forget_tombstones(catalog, 99, &err));
	cw_catalog_rollback(catalog);
	ck_assert_uint_eq(cw_catalog_info(catalog)->floor, 3);
	begin();
	OK(cw_catalog_forget_tombstones(catalog, 99, &err));
	OK(cw_catalog_commit(catalog, &err));
	/* Nobody can have more than there is. */
	ck_assert_uint_eq(cw_catalog_info(catalog)->floor, 5);
}
END_TEST

START_TEST(streams_use_the_indexes_and_sort_nothing)
{
	plans_begin(catalog);
	all_since(0);
	ck_assert_str_eq(plans_end(catalog, ">(?"),
	    "SEARCH entry USING PRIMARY KEY ((dir,name)>(?,?))\n"
	    "SEARCH tombstone USING INDEX tombstone_gen "
	    "((gen,dir,name)>(?,?,?))\n"
	    "SEARCH entry USING INDEX entry_gen ((gen,dir,name)>(?,?,?))\n");
}
END_TEST

START_TEST(malformed_deletions_are_damage)
{
	static const char *const lies[] = {
	    "INSERT INTO tombstone VALUES(2,CAST('../x' AS BLOB),'f',2)",
	    "INSERT INTO tombstone VALUES(2,x'610062','f',2)",
	    "INSERT INTO tombstone VALUES(2,x'','f',2)",
	    "INSERT INTO tombstone VALUES(2,zeroblob(300),'f',2)",
	    "INSERT INTO tombstone VALUES(2,CAST('x' AS BLOB),'fd',2)",
	    "INSERT INTO tombstone VALUES(2,CAST('x' AS BLOB),'x',2)",
	    "INSERT INTO tombstone VALUES(77,CAST('x' AS BLOB),'f',2)",
	    "INSERT INTO tombstone VALUES(-1,CAST('x' AS BLOB),'f',2)",
	};
	struct cw_changes *s;
	struct cw_change g;
	char path[100];
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/catalog.sqlite", tree_base);
	ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		int got;

		ck_assert_int_eq(
		    sqlite3_exec(db, lies[i], NULL, NULL, NULL), SQLITE_OK);
		if (cw_changes_open(catalog, 1, NULL, &s, &err) == 0) {
			got = cw_changes_next(s, &g, &err);
			ck_assert_msg(got == -1, "%s", lies[i]);
			cw_changes_close(s);
		}
		ck_assert_int_eq(err.code, CW_ERR_DAMAGED);
		ck_assert_int_eq(cw_state_check(catalog, &err), -1);
		sqlite3_exec(db, "DELETE FROM tombstone", NULL, NULL, NULL);
	}
	sqlite3_close(db);
	OK(cw_state_check(catalog, &err));
}
END_TEST

/* ---- replicas ---- */

struct applied {
	struct cw_catalog *to;
	uint64_t generation;
};

/* The simplest thing that applies a stream: row by row. */
static void
apply_row(struct applied *a, const struct cw_change *g)
{
	struct cw_entry e = g->e;
	int64_t dir;

	ck_assert_int_eq(cw_catalog_dir_lookup(
			     a->to, g->dir_path, g->dir_path_len, &dir, &err),
	    0);
	e.dir = dir;
	if (g->is_removal)
		OK(cw_catalog_remove(
		    a->to, dir, e.name, e.name_len, a->generation, &err));
	else
		OK(cw_catalog_put(a->to, &e, a->generation, NULL, &err));
}

static void
apply_since(struct applied *a, uint64_t since, uint64_t generation)
{
	struct cw_changes *s;
	struct cw_change g;
	int got;

	a->generation = generation;
	OK(cw_catalog_begin(a->to, &err));
	OK(cw_catalog_root_put(a->to, "mail", "maildir", "fuzzy", &err));
	OK(cw_changes_open(catalog, since, NULL, &s, &err));
	while ((got = cw_changes_next(s, &g, &err)) == 1)
		apply_row(a, &g);
	ck_assert_msg(got == 0, "%s", err.message);
	cw_changes_close(s);
	commit_as(a->to, generation);
}

static void
check_equal(struct cw_catalog *other)
{
	uint8_t a[CW_STATE_SIZE], b[CW_STATE_SIZE];
	bool known;

	OK(cw_state_digest(catalog, a, &known, &err));
	ck_assert(known);
	OK(cw_state_digest(other, b, &known, &err));
	ck_assert(known);
	ck_assert_mem_eq(a, b, sizeof(a));
}

static struct cw_catalog *
open_replica(void)
{
	uint8_t key[CW_STATE_KEY_SIZE];
	struct cw_catalog *c;
	char path[100];

	snprintf(path, sizeof(path), "%s/replica.sqlite", tree_base);
	OK(cw_catalog_state_key(catalog, key, &err));
	OK(cw_catalog_create_replica(
	    path, "mail", cw_catalog_info(catalog)->store_id, key, &err));
	ck_assert_int_eq(cw_catalog_create_replica(path, "mail",
			     cw_catalog_info(catalog)->store_id, key, &err),
	    -1);
	ck_assert_int_eq(err.code, CW_ERR_REFUSED);
	OK(cw_catalog_open(path, CW_CATALOG_WRITE, &c, &err));
	return c;
}

START_TEST(a_replica_that_takes_the_changes_has_the_same_digest)
{
	struct cw_catalog *replica = open_replica();
	struct applied a = {replica, 0};
	const struct cw_catalog_info *info = cw_catalog_info(replica);
	struct cw_entry e;

	ck_assert_mem_eq(info->store_id, cw_catalog_info(catalog)->store_id,
	    CW_STORE_ID_SIZE);
	ck_assert_uint_eq(info->generation, 0);
	ck_assert_uint_eq(info->epoch, 1);
	put_history();
	apply_since(&a, 0, 5);
	check_equal(replica);
	/* A jump of many generations in one transaction. */
	begin();
	e = make_file(cur, "linked", "1");
	e.linkgroup = 9;
	put_entry(catalog, &e, UINT64_C(1) << 40);
	remove_entry(catalog, mail, "d", UINT64_C(1) << 40);
	commit_as(catalog, UINT64_C(1) << 40);
	apply_since(&a, 5, UINT64_C(1) << 40);
	check_equal(replica);
	ck_assert_uint_eq(info->generation, UINT64_C(1) << 40);
	ck_assert_int_eq(find(replica, "mail/cur/linked", &e), 0);
	ck_assert_int_eq(e.linkgroup, 9);
	ck_assert_uint_eq(e.generation, UINT64_C(1) << 40);
	cw_catalog_close(replica);
}
END_TEST

static int
note_dir(void *arg, int64_t dir, const char *path, size_t len,
    const uint8_t digest[CW_STATE_SIZE])
{
	struct cw_buf *text = arg;
	uint8_t same[CW_STATE_SIZE];
	struct cw_entry e;

	ck_assert_uint_eq(strlen(path), len);
	OK(cw_state_dir_digest(catalog, dir, same, &err));
	ck_assert_mem_eq(same, digest, sizeof(same));
	/* A look-up elsewhere does not disturb. */
	ck_assert_int_eq(find(catalog, "mail/cur", &e), 0);
	cw_buf_printf(text, "%d:%s ", (int)dir, path);
	return dir == 3 ? 5 : 0;
}

START_TEST(directories_come_by_id_and_can_be_gone_on_with)
{
	struct cw_buf text = CW_BUF_INIT;

	begin();
	put_dir(catalog, put_dir(catalog, mail, "a", 2), "b", 2);
	commit_as(catalog, 2);
	ck_assert_int_eq(
	    cw_catalog_each_dir(catalog, -1, note_dir, &text, &err), 5);
	ck_assert_str_eq(
	    cw_buf_string(&text), "0: 1:mail 2:mail/cur 3:mail/a ");
	cw_buf_reset(&text);
	OK(cw_catalog_each_dir(catalog, 3, note_dir, &text, &err));
	ck_assert_str_eq(cw_buf_string(&text), "4:mail/a/b ");
	cw_buf_free(&text);
}
END_TEST

static int
count_dir(void *arg, int64_t dir, const char *path, size_t len,
    const uint8_t digest[CW_STATE_SIZE])
{
	(void)dir;
	(void)path;
	(void)len;
	(void)digest;
	++*(unsigned *)arg;
	return 0;
}

START_TEST(many_directories_come_in_several_batches)
{
	unsigned count = 0;
	char name[20];

	begin();
	for (int i = 0; i < 600; i++) {
		snprintf(name, sizeof(name), "d%d", i);
		put_dir(catalog, mail, name, 2);
	}
	commit_as(catalog, 2);
	OK(cw_catalog_each_dir(catalog, -1, count_dir, &count, &err));
	ck_assert_uint_eq(count, 603);
}
END_TEST

START_TEST(a_mac_is_that_of_the_stores_key)
{
	uint8_t key[CW_STATE_KEY_SIZE], a[CW_STATE_SIZE], b[CW_STATE_SIZE];
	struct cw_entry e = make_file(0, "f", "text");
	struct cw_state *state;

	OK(cw_catalog_state_key(catalog, key, &err));
	state = cw_state_new(key);
	cw_state_mac(state, "mail/cur", 8, &e, a);
	cw_catalog_mac(catalog, "mail/cur", 8, &e, b);
	ck_assert_mem_eq(a, b, sizeof(a));
	cw_catalog_mac(catalog, "mail/new", 8, &e, b);
	ck_assert_mem_ne(a, b, sizeof(a));
	cw_state_free(state);
}
END_TEST

/* ---- several processes ---- */

/* Opens, reads the stream and closes, again and again. */
static int
read_often(const char *path, int rounds)
{
	for (int i = 0; i < rounds; i++) {
		struct cw_catalog *c;
		struct cw_changes *s;
		struct cw_change g;
		int got;

		if (cw_catalog_open(path, CW_CATALOG_READ, &c, &err) < 0 ||
		    cw_changes_open(c, 0, NULL, &s, &err) < 0)
			return 1;
		while ((got = cw_changes_next(s, &g, &err)) == 1)
			;
		cw_changes_close(s);
		cw_catalog_close(c);
		if (got < 0)
			return 1;
	}
	return 0;
}

/* Opens, commits and closes (which empties the log); dies in the last. */
static int
write_often(const char *path, int rounds)
{
	for (int i = 0; i < rounds; i++) {
		struct cw_catalog *c;
		struct cw_entry e;
		char name[20];

		if (cw_catalog_open(path, CW_CATALOG_WRITE, &c, &err) < 0 ||
		    cw_catalog_begin(c, &err) < 0)
			return 1;
		snprintf(name, sizeof(name), "f%d", i % 50);
		e = make_file(cur, name, name);
		e.mtime_ns += i;
		if (cw_catalog_put(c, &e, (uint64_t)i + 2, NULL, &err) < 0)
			return 1;
		cw_catalog_set_generation(c, (uint64_t)i + 2);
		/* A crash leaves the log for others to recover. */
		if (i + 1 == rounds)
			_exit(0);
		if (cw_catalog_commit(c, &err) < 0)
			return 1;
		cw_catalog_close(c);
	}
	return 0;
}

static pid_t
start(int (*work)(const char *, int), const char *path, int rounds)
{
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		int status = work(path, rounds);

		if (status != 0)
			fprintf(stderr, "%s\n", err.message);
		_exit(status);
	}
	return pid;
}

START_TEST(readers_never_fail_while_others_write_and_die)
{
	pid_t readers[3];
	char path[100];
	int status;

	snprintf(path, sizeof(path), "%s/catalog.sqlite", tree_base);
	/* A connection must not be carried over a fork. */
	cw_catalog_close(catalog);
	catalog = NULL;
	for (int i = 0; i < 3; i++)
		readers[i] = start(read_often, path, 150);
	for (int i = 0; i < 12; i++) {
		pid_t writer = start(write_often, path, 20);

		ck_assert_int_eq(waitpid(writer, &status, 0), writer);
		ck_assert_int_eq(status, 0);
	}
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(waitpid(readers[i], &status, 0), readers[i]);
		ck_assert_int_eq(status, 0);
	}
	catalog = open_catalog();
	OK(cw_state_check(catalog, &err));
}
END_TEST

START_TEST(a_second_writer_waits_for_the_first)
{
	char path[100], byte;
	int ready[2], status;
	struct cw_entry e;
	pid_t pid;

	snprintf(path, sizeof(path), "%s/catalog.sqlite", tree_base);
	cw_catalog_close(catalog);
	catalog = NULL;
	ck_assert_int_eq(pipe(ready), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		struct cw_catalog *c;

		if (cw_catalog_open(path, CW_CATALOG_WRITE, &c, &err) < 0 ||
		    cw_catalog_begin(c, &err) < 0 ||
		    write(ready[1], "x", 1) != 1)
			_exit(1);
		/* Long enough that the other has to wait, not to give up. */
		usleep(200000);
		e = make_file(cur, "theirs", "1");
		e.user = "somebody new";
		if (cw_catalog_put(c, &e, 2, NULL, &err) < 0)
			_exit(1);
		cw_catalog_set_generation(c, 2);
		_exit(cw_catalog_commit(c, &err) < 0);
	}
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	/* Opened before their commit, and begun after it. */
	catalog = open_catalog();
	begin();
	ck_assert_uint_eq(cw_catalog_info(catalog)->generation, 2);
	e = make_file(cur, "ours", "2");
	e.user = "another";
	put_entry(catalog, &e, 3);
	commit_as(catalog, 3);
	ck_assert_uint_eq(cw_catalog_info(catalog)->files, 2);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	close(ready[0]);
	close(ready[1]);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("changes");
	TCase *tc = tcase_create("changes");
	SRunner *sr = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, mailbox_setup, mailbox_teardown);
	tcase_add_test(tc, an_empty_catalog_has_no_changes);
	tcase_add_test(tc, everything_comes_by_generation_then_place);
	tcase_add_test(tc, rows_tell_all_of_an_entry);
	tcase_add_test(tc, removals_come_before_puts_of_their_generation);
	tcase_add_test(
	    tc, a_directory_that_was_there_once_stays_known_as_removed);
	tcase_add_test(tc, a_stream_broken_at_every_row_is_the_unbroken_one);
	tcase_add_test(tc, positions_are_in_the_order_of_the_stream);
	tcase_add_test(tc, changes_between_two_batches_come_behind);
	tcase_add_test(tc, an_open_stream_is_of_one_commit);
	tcase_add_test(
	    tc, a_stream_can_end_before_the_first_file_that_was_not_read);
	tcase_add_test(tc, a_holder_keeps_its_hold);
	tcase_add_test(tc, forgetting_raises_the_floor);
	tcase_add_test(tc, streams_use_the_indexes_and_sort_nothing);
	tcase_add_test(tc, malformed_deletions_are_damage);
	tcase_add_test(
	    tc, a_replica_that_takes_the_changes_has_the_same_digest);
	tcase_add_test(tc, directories_come_by_id_and_can_be_gone_on_with);
	tcase_add_test(tc, many_directories_come_in_several_batches);
	tcase_add_test(tc, a_mac_is_that_of_the_stores_key);
	tcase_add_test(tc, readers_never_fail_while_others_write_and_die);
	tcase_add_test(tc, a_second_writer_waits_for_the_first);
	suite_add_tcase(suite, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
