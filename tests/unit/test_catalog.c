#include "tests/unit/plans.h"
#include "tests/unit/trees.h"

#include "base/crypto.h"

#include <sqlite3.h>

static struct cw_catalog *catalog;
static int64_t root_dir;

/* An entry with all that put wants; the caller changes what matters. */
static struct cw_entry
entry(int64_t dir, const char *name, enum cw_kind kind)
{
	struct cw_entry e = CW_ENTRY_INIT;

	e.dir = dir;
	e.name = name;
	e.name_len = strlen(name);
	e.kind = kind;
	e.class = 2;
	e.mode = 0600;
	e.uid = 5000;
	e.gid = 5000;
	e.user = "vmail";
	e.group = "vmail";
	e.mtime_ns = 1700000000000000000;
	e.ctime_ns = 5;
	e.ino = 6;
	if (kind == CW_KIND_SYMLINK) {
		e.target = "x";
		e.target_len = 1;
	}
	return e;
}

static int64_t
put(const struct cw_entry *e, uint64_t generation)
{
	int64_t child;

	OK(cw_catalog_put(catalog, e, generation, &child, &err));
	return child;
}

static void
put_file(int64_t dir, const char *name, uint8_t class, uint64_t size)
{
	struct cw_entry e = entry(dir, name, CW_KIND_FILE);

	e.class = class;
	e.size = size;
	put(&e, 1);
}

static void
setup(void)
{
	struct cw_entry root = entry(0, "mail", CW_KIND_DIR);

	tree_setup();
	catalog = open_catalog();
	OK(cw_catalog_begin(catalog, &err));
	OK(cw_catalog_root_put(catalog, "mail", "maildir", "fuzzy", &err));
	root_dir = put(&root, 1);
	cw_catalog_set_generation(catalog, 1);
	OK(cw_catalog_commit(catalog, &err));
}

static void
teardown(void)
{
	cw_catalog_close(catalog);
	tree_teardown();
}

static void
reopen(void)
{
	cw_catalog_close(catalog);
	catalog = open_catalog();
}

static void
begin(void)
{
	OK(cw_catalog_begin(catalog, &err));
}

static void
commit(void)
{
	OK(cw_catalog_commit(catalog, &err));
	OK(cw_state_check(catalog, &err));
}

START_TEST(entries_come_back_as_they_were_put)
{
	static const uint8_t attrs[] = {1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0,
	    0, 0, 6, 0, 0, 0, 'u', 's', 'e', 'r', '.', 'b', 0, 1, 0, 0, 0, '2'};
	struct cw_entry e = entry(root_dir, "f\n\xff", CW_KIND_FILE), got;

	e.size = UINT64_C(1) << 40;
	e.mtime_ns = -7;
	e.ino = UINT64_MAX;
	e.linkgroup = INT64_MAX;
	e.sparse = true;
	e.has_digest = true;
	memset(e.digest, 0xab, sizeof(e.digest));
	e.attrs = attrs;
	e.attrs_len = sizeof(attrs);
	e.user = "";
	begin();
	put(&e, 2);
	cw_catalog_set_generation(catalog, 2);
	commit();
	reopen();
	ck_assert_int_eq(find(catalog, "mail/f\n\xff", &got), 0);
	ck_assert_uint_eq(got.size, e.size);
	ck_assert_int_eq(got.mtime_ns, -7);
	ck_assert_uint_eq(got.ino, UINT64_MAX);
	ck_assert_int_eq(got.linkgroup, INT64_MAX);
	ck_assert(got.sparse);
	ck_assert(got.has_digest);
	ck_assert_mem_eq(got.digest, e.digest, sizeof(e.digest));
	ck_assert_mem_eq(got.attrs, attrs, sizeof(attrs));
	ck_assert_str_eq(got.user, "");
	ck_assert_str_eq(got.group, "vmail");
	ck_assert_uint_eq(got.generation, 2);
	ck_assert_uint_eq(got.volume, 0);
	ck_assert_int_eq(find(catalog, "mail/nothing", &got), 1);
	ck_assert_int_eq(find(catalog, "mail//f", &got), 1);
	ck_assert_int_eq(find(catalog, "/mail", &got), 1);
	ck_assert_int_eq(find(catalog, "", &got), 1);
}
END_TEST

START_TEST(paths_and_directories_find_each_other)
{
	struct cw_entry a = entry(root_dir, "a", CW_KIND_DIR);
	struct cw_entry b = entry(0, "b", CW_KIND_DIR);
	const char *path;
	int64_t id, found;
	size_t len;

	begin();
	b.dir = put(&a, 1);
	id = put(&b, 1);
	commit();
	OK(cw_catalog_dir_path(catalog, id, &path, &len, &err));
	ck_assert_str_eq(path, "mail/a/b");
	ck_assert_uint_eq(len, 8);
	OK(cw_catalog_dir_path(catalog, 0, &path, &len, &err));
	ck_assert_uint_eq(len, 0);
	ck_assert_int_eq(
	    cw_catalog_dir_lookup(catalog, "mail/a/b", 8, &found, &err), 0);
	ck_assert_int_eq(found, id);
	ck_assert_int_eq(
	    cw_catalog_dir_lookup(catalog, "mail/x", 6, &found, &err), 1);
	ck_assert_int_eq(
	    cw_catalog_dir_lookup(catalog, "mail/a/", 7, &found, &err), 1);
}
END_TEST

START_TEST(removing_a_directory_removes_all_in_it)
{
	struct cw_entry a = entry(root_dir, "a", CW_KIND_DIR);
	struct cw_entry b = entry(0, "b", CW_KIND_DIR);
	struct cw_entry e;

	begin();
	b.dir = put(&a, 1);
	put_file(b.dir, "f", 1, 10);
	put_file(put(&b, 1), "g", 1, 10);
	commit();
	ck_assert_uint_eq(cw_catalog_info(catalog)->entries, 5);
	begin();
	OK(cw_catalog_remove(catalog, root_dir, "a", 1, 2, &err));
	OK(cw_catalog_remove(catalog, root_dir, "nothing", 7, 2, &err));
	cw_catalog_set_generation(catalog, 2);
	commit();
	ck_assert_uint_eq(cw_catalog_info(catalog)->entries, 1);
	ck_assert_uint_eq(cw_catalog_info(catalog)->dirs, 1);
	ck_assert_uint_eq(cw_catalog_info(catalog)->bytes, 0);
	ck_assert_uint_eq(cw_catalog_info(catalog)->pending, 0);
	ck_assert_int_eq(find(catalog, "mail/a/b/g", &e), 1);
}
END_TEST

START_TEST(rollback_takes_everything_back)
{
	const struct cw_catalog_info *info = cw_catalog_info(catalog);
	uint8_t before[CW_STATE_SIZE], after[CW_STATE_SIZE];
	struct cw_entry d = entry(root_dir, "d", CW_KIND_DIR), e;
	bool known;

	OK(cw_state_digest(catalog, before, &known, &err));
	begin();
	d.user = "somebody new";
	put(&d, 2);
	cw_catalog_set_generation(catalog, 2);
	cw_catalog_rollback(catalog);
	OK(cw_state_digest(catalog, after, &known, &err));
	ck_assert_mem_eq(before, after, sizeof(before));
	ck_assert_uint_eq(info->generation, 1);
	ck_assert_uint_eq(info->entries, 1);
	ck_assert_int_eq(find(catalog, "mail/d", &e), 1);
	begin();
	d.user = "another";
	put(&d, 2);
	cw_catalog_set_generation(catalog, 2);
	commit();
	reopen();
	ck_assert_int_eq(find(catalog, "mail/d", &e), 0);
	ck_assert_str_eq(e.user, "another");
}
END_TEST

START_TEST(a_reader_sees_the_last_commit_after_refresh)
{
	struct cw_catalog *reader;
	struct cw_entry e;
	char path[100];

	snprintf(path, sizeof(path), "%s/catalog.sqlite", tree_base);
	OK(cw_catalog_open(path, CW_CATALOG_READ, &reader, &err));
	begin();
	put_file(root_dir, "f", 1, 1);
	ck_assert_int_eq(find(reader, "mail/f", &e), 1);
	commit();
	OK(cw_catalog_refresh(reader, &err));
	ck_assert_int_eq(find(reader, "mail/f", &e), 0);
	ck_assert_uint_eq(cw_catalog_info(reader)->files, 1);
	ck_assert_int_eq(cw_catalog_begin(reader, &err), -1);
	cw_catalog_close(reader);
}
END_TEST

START_TEST(notes_are_kept)
{
	char *text;

	ck_assert_int_eq(cw_catalog_note_get(catalog, "role", &text, &err), 1);
	OK(cw_catalog_note_set(catalog, "role", "active", &err));
	reopen();
	OK(cw_catalog_note_get(catalog, "role", &text, &err));
	ck_assert_str_eq(text, "active");
	free(text);
	OK(cw_catalog_note_set(catalog, "role", NULL, &err));
	ck_assert_int_eq(cw_catalog_note_get(catalog, "role", &text, &err), 1);
}
END_TEST

START_TEST(create_refuses_what_is_there_and_bad_names)
{
	struct cw_catalog *c;
	char path[100];

	snprintf(path, sizeof(path), "%s/catalog.sqlite", tree_base);
	ck_assert_int_eq(cw_catalog_create(path, "mail", &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_REFUSED);
	snprintf(path, sizeof(path), "%s/other.sqlite", tree_base);
	ck_assert_int_eq(cw_catalog_create(path, "a/b", &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_USAGE);
	ck_assert_int_ne(access(path, F_OK), 0);
	ck_assert_int_eq(cw_catalog_open(path, CW_CATALOG_READ, &c, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_MISSING);
}
END_TEST

/* ---- runs ---- */

static const uint8_t seed_id[CW_SEED_ID_SIZE] = {1};

static void
put_some(void)
{
	struct cw_entry d = entry(root_dir, "d", CW_KIND_DIR);
	struct cw_entry link = entry(root_dir, "link", CW_KIND_SYMLINK);
	int64_t dir;

	begin();
	dir = put(&d, 1);
	put(&link, 1);
	put_file(dir, "uidlist", 0, 70000);
	put_file(dir, "m1", 1, 10);
	put_file(dir, "m2", 1, 65536);
	put_file(root_dir, "m0", 1, 20);
	put_file(root_dir, "large", 1, 65537);
	put_file(dir, "larger", 2, 100000);
	put_file(dir, "also", 1, 65537);
	commit();
	OK(cw_catalog_start_seed(catalog, seed_id, &err));
}

/* The names of a queue in order, with a blank behind each. */
static const char *
queue(enum cw_run_what what, int64_t from, int64_t to, size_t max_entries)
{
	static char names[500];
	struct cw_run run = CW_RUN_INIT;
	struct cw_run_query q;

	names[0] = '\0';
	cw_run_query_init(&q, what, from, to);
	do {
		OK(cw_catalog_next_run(
		    catalog, &q, &run, max_entries, 1 << 30, &err));
		for (size_t i = 0; i < run.count; i++)
			strcat(strcat(names, run.entries[i].name), " ");
	} while (run.count > 0);
	cw_run_free(&run);
	return names;
}

START_TEST(runs_give_each_unpacked_entry_once_in_order)
{
	put_some();
	for (size_t max = 1; max < 5; max++) {
		ck_assert_str_eq(queue(CW_RUN_META, INT64_MIN, INT64_MAX, max),
		    "mail d link uidlist ");
		ck_assert_str_eq(queue(CW_RUN_SMALL, INT64_MIN, INT64_MAX, max),
		    "m0 m1 m2 ");
		ck_assert_str_eq(queue(CW_RUN_LARGE, INT64_MIN, INT64_MAX, max),
		    "large also larger ");
	}
	ck_assert_str_eq(
	    queue(CW_RUN_SMALL, 1700000000000000001, INT64_MAX, 9), "");
	ck_assert_str_eq(
	    queue(CW_RUN_SMALL, 1700000000000000000, 1700000000000000001, 9),
	    "m0 m1 m2 ");
}
END_TEST

START_TEST(runs_end_at_their_bytes)
{
	struct cw_run run = CW_RUN_INIT;
	struct cw_run_query q;

	put_some();
	cw_run_query_init(&q, CW_RUN_LARGE, INT64_MIN, INT64_MAX);
	OK(cw_catalog_next_run(catalog, &q, &run, 10, 140000, &err));
	ck_assert_uint_eq(run.count, 2);
	ck_assert_uint_eq(run.bytes, 2 * 65537);
	OK(cw_catalog_next_run(catalog, &q, &run, 10, 10, &err));
	ck_assert_uint_eq(run.count, 1);
	OK(cw_catalog_next_run(catalog, &q, &run, 10, 10, &err));
	ck_assert_uint_eq(run.count, 0);
	cw_run_free(&run);
}
END_TEST

/* Marks everything of the queues as packed in this volume. */
static unsigned
pack_all(uint32_t volume, uint64_t since)
{
	struct cw_run run = CW_RUN_INIT;
	unsigned packed = 0;

	begin();
	for (int what = CW_RUN_META; what <= CW_RUN_LARGE; what++) {
		struct cw_run_query q;

		cw_run_query_init(
		    &q, (enum cw_run_what)what, INT64_MIN, INT64_MAX);
		q.since = since;
		OK(cw_catalog_next_run(catalog, &q, &run, 1000, 1 << 30, &err));
		for (size_t i = 0; i < run.count; i++) {
			struct cw_entry *e = &run.entries[i];

			e->has_digest = e->kind == CW_KIND_FILE;
			cw_sha256(e->name, e->name_len, e->digest);
			OK(cw_catalog_mark_packed(catalog, e, volume, &err));
			packed++;
		}
	}
	commit();
	cw_run_free(&run);
	return packed;
}

static bool
is_superseded(uint32_t volume, const char *path)
{
	int got =
	    cw_catalog_is_superseded(catalog, volume, path, strlen(path), &err);

	ck_assert_int_ge(got, 0);
	return got == 1;
}

START_TEST(what_is_packed_has_a_digest_and_waits_no_more)
{
	uint64_t entries, bytes;
	struct cw_entry e;

	put_some();
	ck_assert_uint_eq(pack_all(1, 0), 10);
	OK(cw_catalog_unpacked(catalog, &entries, &bytes, &err));
	ck_assert_uint_eq(entries, 0);
	ck_assert_uint_eq(cw_catalog_info(catalog)->pending, 0);
	ck_assert_int_eq(find(catalog, "mail/d/m1", &e), 0);
	ck_assert(e.has_digest);
	ck_assert_uint_eq(e.volume, 1);
	OK(cw_catalog_start_seed(catalog, seed_id, &err));
	OK(cw_catalog_unpacked(catalog, &entries, &bytes, &err));
	ck_assert_uint_eq(entries, 10);
	ck_assert_uint_eq(bytes, 70000 + 10 + 65536 + 20 + 2 * 65537 + 100000);
	/* With digests known the second seed takes the other way. */
	ck_assert_uint_eq(pack_all(1, 0), 10);
}
END_TEST

START_TEST(a_change_after_packing_supersedes_the_member)
{
	struct cw_entry e;

	put_some();
	pack_all(3, 0);
	begin();
	e = entry(root_dir, "m0", CW_KIND_FILE);
	e.size = 21;
	put(&e, 2);
	OK(cw_catalog_remove(catalog, root_dir, "d", 1, 2, &err));
	cw_catalog_set_generation(catalog, 2);
	commit();
	ck_assert(is_superseded(3, "mail/m0"));
	ck_assert(is_superseded(3, "mail/d"));
	ck_assert(is_superseded(3, "mail/d/m1"));
	ck_assert(!is_superseded(3, "mail/large"));
	ck_assert(!is_superseded(2, "mail/m0"));
	ck_assert_str_eq(queue(CW_RUN_SMALL, INT64_MIN, INT64_MAX, 9), "m0 ");
	ck_assert_uint_eq(pack_all(4, 1), 1);
	ck_assert_str_eq(queue(CW_RUN_SMALL, INT64_MIN, INT64_MAX, 9), "");
}
END_TEST

START_TEST(a_change_before_marking_supersedes_the_member)
{
	struct cw_entry packed, e;

	put_some();
	ck_assert_int_eq(find(catalog, "mail/m0", &e), 0);
	packed = e;
	packed.name = "m0";
	packed.has_digest = true;
	begin();
	e = entry(root_dir, "m0", CW_KIND_FILE);
	e.mtime_ns++;
	put(&e, 2);
	cw_catalog_set_generation(catalog, 2);
	ck_assert_int_eq(cw_catalog_mark_packed(catalog, &packed, 7, &err), 1);
	packed.name = "gone";
	packed.name_len = 4;
	ck_assert_int_eq(cw_catalog_mark_packed(catalog, &packed, 7, &err), 1);
	commit();
	ck_assert(is_superseded(7, "mail/m0"));
	ck_assert(is_superseded(7, "mail/gone"));
	ck_assert_int_eq(find(catalog, "mail/m0", &e), 0);
	ck_assert_uint_eq(e.volume, 0);
	ck_assert(!e.has_digest);
}
END_TEST

START_TEST(content_that_changed_unseen_is_a_new_generation)
{
	struct cw_entry packed, e;

	put_some();
	pack_all(1, 0);
	OK(cw_catalog_start_seed(catalog, seed_id, &err));
	ck_assert_int_eq(find(catalog, "mail/m0", &e), 0);
	packed = e;
	packed.name = "m0";
	packed.digest[0] ^= 1;
	begin();
	OK(cw_catalog_mark_packed(catalog, &packed, 1, &err));
	commit();
	ck_assert_uint_eq(cw_catalog_info(catalog)->generation, 2);
	ck_assert_int_eq(find(catalog, "mail/m0", &e), 0);
	ck_assert_uint_eq(e.generation, 2);
	ck_assert_uint_eq(e.volume, 1);
	ck_assert_mem_eq(e.digest, packed.digest, CW_DIGEST_SIZE);
}
END_TEST

static int
note_part(void *arg, uint32_t part, uint32_t parts, uint32_t volume)
{
	char *text = arg;

	sprintf(text + strlen(text), "%u/%u:%u ", part, parts, volume);
	return 0;
}

START_TEST(parts_are_listed_and_superseded_together)
{
	char text[100] = "";

	put_some();
	begin();
	for (uint32_t i = 1; i <= 3; i++)
		OK(cw_catalog_mark_part(
		    catalog, root_dir, "large", 5, i, 3, i + 10, &err));
	OK(cw_catalog_parts(
	    catalog, root_dir, "large", 5, note_part, text, &err));
	ck_assert_str_eq(text, "1/3:11 2/3:12 3/3:13 ");
	OK(cw_catalog_clear_parts(catalog, root_dir, "large", 5, &err));
	commit();
	text[0] = '\0';
	OK(cw_catalog_parts(
	    catalog, root_dir, "large", 5, note_part, text, &err));
	ck_assert_str_eq(text, "");
	ck_assert(is_superseded(12, "mail/large"));
}
END_TEST

START_TEST(noted_stat_changes_nothing_that_counts)
{
	uint8_t before[CW_STATE_SIZE], after[CW_STATE_SIZE];
	struct cw_entry e;
	bool known;

	put_some();
	pack_all(1, 0);
	OK(cw_state_digest(catalog, before, &known, &err));
	begin();
	OK(cw_catalog_note_stat(catalog, root_dir, "m0", 2, 77, 88, 99, &err));
	commit();
	OK(cw_state_digest(catalog, after, &known, &err));
	ck_assert_mem_eq(before, after, sizeof(before));
	ck_assert(known);
	ck_assert_int_eq(find(catalog, "mail/m0", &e), 0);
	ck_assert_uint_eq(e.ino, 77);
	ck_assert_int_eq(e.ctime_ns, 88);
	ck_assert_int_eq(e.linkgroup, 99);
	ck_assert_uint_eq(e.generation, 1);
	ck_assert_uint_eq(e.volume, 1);
}
END_TEST

static int
note_tombstone(void *arg, int64_t dir, const char *name, size_t len,
    enum cw_kind kind, uint64_t generation)
{
	char *text = arg;

	(void)dir;
	(void)len;
	sprintf(text + strlen(text), "%s:%c:%d ", name, kind, (int)generation);
	return 0;
}

START_TEST(tombstones_go_when_the_file_comes_back)
{
	struct cw_entry f = entry(root_dir, "f", CW_KIND_FILE);
	struct cw_entry d = entry(root_dir, "d", CW_KIND_DIR);
	char text[200] = "";

	begin();
	put(&f, 1);
	put(&d, 1);
	put_file(root_dir, "g", 1, 1);
	OK(cw_catalog_remove(catalog, root_dir, "f", 1, 2, &err));
	OK(cw_catalog_remove(catalog, root_dir, "d", 1, 2, &err));
	OK(cw_catalog_remove(catalog, root_dir, "g", 1, 3, &err));
	OK(cw_catalog_tombstones(catalog, 1, note_tombstone, text, &err));
	ck_assert_str_eq(text, "d:d:2 f:f:2 g:f:3 ");
	put(&f, 4);
	put(&d, 4);
	cw_catalog_set_generation(catalog, 4);
	text[0] = '\0';
	OK(cw_catalog_tombstones(catalog, 1, note_tombstone, text, &err));
	/* What was in the old directory has to go before the new one comes. */
	ck_assert_str_eq(text, "d:d:2 g:f:3 ");
	OK(cw_catalog_forget_tombstones(catalog, 2, &err));
	text[0] = '\0';
	OK(cw_catalog_tombstones(catalog, 0, note_tombstone, text, &err));
	ck_assert_str_eq(text, "g:f:3 ");
	commit();
}
END_TEST

static const char *
walk_names(const struct cw_walk_query *q)
{
	static char names[500];
	struct cw_entry e;
	struct cw_walk *w;
	int got;

	names[0] = '\0';
	OK(cw_walk_open(catalog, q, &w, &err));
	while ((got = cw_walk_next(w, &e, &err)) == 1)
		strcat(strcat(names, e.name), " ");
	ck_assert_int_eq(got, 0);
	cw_walk_close(w);
	return names;
}

START_TEST(walks_choose_by_what_is_asked)
{
	struct cw_walk_query q = CW_WALK_ALL;
	struct cw_entry e = entry(root_dir, "m0", CW_KIND_FILE);

	put_some();
	ck_assert_str_eq(
	    walk_names(&q), "mail d large link m0 also larger m1 m2 uidlist ");
	q.kind = 'd';
	ck_assert_str_eq(walk_names(&q), "mail d ");
	q.kind = 0;
	q.dir = root_dir;
	ck_assert_str_eq(walk_names(&q), "d large link m0 ");
	pack_all(5, 0);
	begin();
	e.linkgroup = 3;
	put(&e, 2);
	cw_catalog_set_generation(catalog, 2);
	commit();
	q = (struct cw_walk_query)CW_WALK_ALL;
	q.volume = 5;
	ck_assert_str_eq(
	    walk_names(&q), "mail d large link also larger m1 m2 uidlist ");
	q = (struct cw_walk_query)CW_WALK_ALL;
	q.since = 1;
	ck_assert_str_eq(walk_names(&q), "m0 ");
	q = (struct cw_walk_query)CW_WALK_ALL;
	q.by_links = true;
	ck_assert_str_eq(walk_names(&q), "m0 ");
}
END_TEST

/* ---- strangers' catalogs ---- */

static char foreign_path[100];

static void
export_some(void)
{
	put_some();
	pack_all(1, 0);
	snprintf(foreign_path, sizeof(foreign_path), "%s/export #1?.sqlite",
	    tree_base);
	OK(cw_catalog_export(catalog, foreign_path, &err));
}

static int
open_foreign(void)
{
	struct cw_catalog *c;

	if (cw_catalog_open_foreign(foreign_path, &c, &err) < 0)
		return -1;
	cw_catalog_close(c);
	return 0;
}

START_TEST(an_export_opens_as_a_stranger_and_then_as_ours)
{
	struct cw_catalog *c;
	struct cw_entry e;
	char other[120];

	export_some();
	ck_assert_int_eq(cw_catalog_export(catalog, foreign_path, &err), -1);
	OK(cw_catalog_open_foreign(foreign_path, &c, &err));
	ck_assert_uint_eq(cw_catalog_info(c)->entries, 10);
	ck_assert_uint_eq(cw_catalog_info(c)->pending, 0);
	ck_assert_int_eq(find(c, "mail/d/m1", &e), 0);
	/* Of one machine, so they stay on it. */
	ck_assert_uint_eq(e.ino, 0);
	ck_assert_int_eq(e.ctime_ns, 0);
	ck_assert_int_eq(find(catalog, "mail/d/m1", &e), 0);
	ck_assert_uint_ne(e.ino, 0);
	ck_assert_int_eq(cw_catalog_begin(c, &err), -1);
	cw_catalog_close(c);
	snprintf(other, sizeof(other), "%s-wal", foreign_path);
	ck_assert_int_ne(access(other, F_OK), 0);
	OK(cw_catalog_open(foreign_path, CW_CATALOG_WRITE, &c, &err));
	OK(cw_state_check(c, &err));
	cw_catalog_close(c);
}
END_TEST

/* Rows and sums that were changed behind our back. */
static const char *const tampered[] = {
    "UPDATE entry SET mode=420 WHERE name=CAST('m0' AS BLOB)",
    "UPDATE dir SET sum=zeroblob(32) WHERE id=(SELECT max(id) FROM dir)",
    "UPDATE meta SET value=zeroblob(32) WHERE key='sum'",
};

START_TEST(sums_that_do_not_fit_the_rows_are_mended)
{
	uint8_t before[CW_STATE_SIZE], after[CW_STATE_SIZE];
	struct cw_catalog *c;
	bool was_wrong, is_known;
	sqlite3 *db;

	export_some();
	OK(cw_catalog_open(foreign_path, CW_CATALOG_WRITE, &c, &err));
	OK(cw_state_digest(c, before, &is_known, &err));
	OK(cw_state_mend(c, &was_wrong, &err));
	ck_assert(!was_wrong);
	cw_catalog_close(c);
	ck_assert_int_eq(sqlite3_open(foreign_path, &db), SQLITE_OK);
	ck_assert_int_eq(
	    sqlite3_exec(db, tampered[_i], NULL, NULL, NULL), SQLITE_OK);
	ck_assert_int_gt(sqlite3_total_changes(db), 0);
	sqlite3_close(db);
	OK(cw_catalog_open(foreign_path, CW_CATALOG_WRITE, &c, &err));
	ck_assert_int_eq(cw_state_check(c, &err), -1);
	OK(cw_state_mend(c, &was_wrong, &err));
	ck_assert(was_wrong);
	OK(cw_state_check(c, &err));
	OK(cw_state_digest(c, after, &is_known, &err));
	/* The rows count: another row is another store. */
	ck_assert_int_eq(memcmp(before, after, sizeof(before)) == 0, _i != 0);
	OK(cw_state_mend(c, &was_wrong, &err));
	ck_assert(!was_wrong);
	cw_catalog_close(c);
}
END_TEST

/* What a hand with SQLite can do to a catalog; each alone is refused. */
static const char *const lies[] = {
    "UPDATE entry SET name=CAST('../x' AS BLOB) WHERE name=CAST('m0' AS BLOB)",
    "UPDATE entry SET name=CAST('..' AS BLOB) WHERE name=CAST('m0' AS BLOB)",
    "UPDATE entry SET name=x'' WHERE name=CAST('m0' AS BLOB)",
    "UPDATE entry SET name=x'610062' WHERE name=CAST('m0' AS BLOB)",
    "UPDATE entry SET name=zeroblob(300) WHERE name=CAST('m0' AS BLOB)",
    "UPDATE entry SET name='m0' WHERE name=CAST('m0' AS BLOB)",
    "UPDATE entry SET kind='x' WHERE name=CAST('m0' AS BLOB)",
    "UPDATE entry SET kind='d' WHERE name=CAST('m0' AS BLOB)",
    "UPDATE entry SET kind='ff' WHERE name=CAST('m0' AS BLOB)",
    "UPDATE entry SET class=3 WHERE name=CAST('m0' AS BLOB)",
    "UPDATE entry SET mode=65535 WHERE name=CAST('m0' AS BLOB)",
    "UPDATE entry SET mode=-1 WHERE name=CAST('m0' AS BLOB)",
    "UPDATE entry SET size=-1 WHERE name=CAST('m0' AS BLOB)",
    "UPDATE entry SET size=21 WHERE name=CAST('m0' AS BLOB)",
    "UPDATE entry SET size=9223372036854775807 WHERE kind='f'",
    "UPDATE entry SET size='20' || x'00' WHERE name=CAST('m0' AS BLOB)",
    "UPDATE entry SET mtime_ns=1.5 WHERE name=CAST('m0' AS BLOB)",
    "UPDATE entry SET mtime_ns=mtime_ns+1 WHERE name=CAST('m0' AS BLOB)",
    "UPDATE entry SET user=99 WHERE name=CAST('m0' AS BLOB)",
    "UPDATE entry SET user=2 WHERE name=CAST('m0' AS BLOB)",
    "UPDATE entry SET digest=zeroblob(31) WHERE name=CAST('m0' AS BLOB)",
    "UPDATE entry SET digest=zeroblob(32) WHERE name=CAST('m0' AS BLOB)",
    "UPDATE entry SET digest=NULL WHERE name=CAST('m0' AS BLOB)",
    "UPDATE entry SET digest=zeroblob(32) WHERE kind='d'",
    "UPDATE entry SET target=NULL WHERE kind='l'",
    "UPDATE entry SET target=x'6100' WHERE kind='l'",
    "UPDATE entry SET target=zeroblob(40000) WHERE kind='l'",
    "UPDATE entry SET target=x'61' WHERE name=CAST('m0' AS BLOB)",
    "UPDATE entry SET attrs=7 WHERE name=CAST('m0' AS BLOB)",
    "UPDATE entry SET gen=99 WHERE name=CAST('m0' AS BLOB)",
    "UPDATE entry SET volume=0 WHERE name=CAST('m0' AS BLOB)",
    "UPDATE entry SET volume=4294967296 WHERE name=CAST('m0' AS BLOB)",
    "UPDATE entry SET child=5 WHERE name=CAST('m0' AS BLOB)",
    "UPDATE entry SET child=dir WHERE name=CAST('d' AS BLOB)",
    "UPDATE entry SET linkgroup=0 WHERE name=CAST('m0' AS BLOB)",
    "UPDATE entry SET dir=77 WHERE name=CAST('m0' AS BLOB)",
    "UPDATE entry SET dir=0 WHERE name=CAST('m0' AS BLOB)",
    "DELETE FROM entry WHERE name=CAST('m0' AS BLOB)",
    "DELETE FROM entry WHERE name=CAST('d' AS BLOB)",
    "DELETE FROM dir WHERE id=2",
    "DELETE FROM dir WHERE id=0",
    "UPDATE dir SET parent=2 WHERE id=2",
    "UPDATE dir SET parent=2 WHERE id=1",
    "UPDATE dir SET name=CAST('e' AS BLOB) WHERE id=2",
    "UPDATE dir SET sum=zeroblob(32) WHERE id=2",
    "UPDATE dir SET sum=zeroblob(31) WHERE id=2",
    "INSERT INTO dir VALUES(3,1,CAST('z' AS BLOB),zeroblob(32),0,0)",
    "INSERT INTO entry SELECT dir,CAST('twin' AS BLOB),kind,class,mode,user,"
    "grp,mtime_ns,ctime_ns,size,ino,linkgroup,digest,target,attrs,sparse,gen,"
    "volume,child FROM entry WHERE name=CAST('d' AS BLOB)",
    "UPDATE owner SET kind='x' WHERE id=1",
    "UPDATE owner SET number=4294967296",
    "UPDATE owner SET id=id+10",
    "UPDATE root SET name='../x'",
    "UPDATE root SET name='other'",
    "UPDATE root SET format='a format with a long name'",
    "UPDATE meta SET value=zeroblob(32) WHERE key='sum'",
    "UPDATE meta SET value=zeroblob(31) WHERE key='state_key'",
    "UPDATE meta SET value=zeroblob(32) WHERE key='state_key'",
    "UPDATE meta SET value='../x' WHERE key='name'",
    "UPDATE meta SET value=-1 WHERE key='generation'",
    "UPDATE meta SET value=11 WHERE key='entries'",
    "UPDATE meta SET value=1 WHERE key='pending'",
    "UPDATE meta SET value=2 WHERE key='next_dir'",
    "DELETE FROM meta WHERE key='store_id'",
    "INSERT INTO part VALUES(1,CAST('none' AS BLOB),1,2,1)",
    "INSERT INTO part VALUES(1,CAST('m0' AS BLOB),3,2,1)",
    "INSERT INTO tombstone VALUES(1,'text','f',1)",
    "INSERT INTO superseded VALUES(1,'text')",
    /* A row that the index of generations does not have. */
    "UPDATE meta SET value=5 WHERE key='generation';"
    "PRAGMA writable_schema=ON; UPDATE sqlite_schema SET"
    " sql=replace(sql,'gen>1','gen>9') WHERE name='entry_gen';"
    "PRAGMA writable_schema=RESET;"
    "UPDATE entry SET gen=3 WHERE name=CAST('m0' AS BLOB);"
    "PRAGMA writable_schema=ON; UPDATE sqlite_schema SET"
    " sql=replace(sql,'gen>9','gen>1') WHERE name='entry_gen';"
    "PRAGMA writable_schema=RESET;",
    "INSERT INTO tombstone VALUES(1,CAST('a/b' AS BLOB),'f',1)",
    "INSERT INTO tombstone VALUES(1,CAST('..' AS BLOB),'f',1)",
    "INSERT INTO tombstone VALUES(1,x'610062','f',1)",
    "INSERT INTO tombstone VALUES(77,CAST('x' AS BLOB),'f',1)",
    "INSERT INTO tombstone VALUES(1,CAST('x' AS BLOB),'f',-1)",
    "INSERT INTO gone VALUES(zeroblob(31),2,1)",
    "INSERT INTO gone VALUES(zeroblob(32),-2,1)",
    "INSERT INTO gone VALUES(zeroblob(32),'x',1)",
    "INSERT INTO gone VALUES(zeroblob(32),2,-1)",
    "INSERT INTO gone VALUES(zeroblob(32),2,'x')",
    "UPDATE meta SET value=-1 WHERE key='floor'",
    "DELETE FROM meta WHERE key='floor'",
    "CREATE TABLE more(x)",
    "CREATE VIEW v AS SELECT * FROM entry",
    "CREATE TRIGGER t AFTER INSERT ON entry BEGIN SELECT 1; END",
    "DROP INDEX entry_gen",
    "CREATE INDEX more ON entry(gen)",
    "DROP TABLE part",
    "DROP TABLE part; CREATE VIEW part AS SELECT 1 AS dir, x'61' AS name",
    "ALTER TABLE entry ADD COLUMN extra",
    "CREATE INDEX entry_digest ON entry(digest) WHERE digest IS NOT NULL",
    "DROP TABLE gone",
    "PRAGMA user_version=1",
    "PRAGMA user_version=2",
    "PRAGMA user_version=4",
    "PRAGMA user_version=0",
    "PRAGMA application_id=1",
};

#define LIES ((int)(sizeof(lies) / sizeof(lies[0])))

START_TEST(a_catalog_that_was_tampered_with_is_refused)
{
	sqlite3 *db;
	char *text = NULL;

	export_some();
	ck_assert_int_eq(open_foreign(), 0);
	ck_assert_int_eq(sqlite3_open(foreign_path, &db), SQLITE_OK);
	ck_assert_msg(
	    sqlite3_exec(db, lies[_i], NULL, NULL, &text) == SQLITE_OK,
	    "%s: %s", lies[_i], text == NULL ? "" : text);
	ck_assert_int_gt(sqlite3_total_changes(db) + (_i > LIES - 16), 0);
	sqlite3_close(db);
	ck_assert_msg(open_foreign() == -1, "accepted: %s", lies[_i]);
	ck_assert_msg(
	    err.code == CW_ERR_DAMAGED || err.code == CW_ERR_UNSUPPORTED,
	    "%s: %s", lies[_i], err.message);
}
END_TEST

START_TEST(a_damaged_file_is_refused)
{
	static const char noise[] = "no database at all, but long enough "
				    "to hold the header of one, with room "
				    "for a hundred bytes and some more.";
	struct stat st;
	int fd;

	export_some();
	ck_assert_int_eq(stat(foreign_path, &st), 0);
	fd = open(foreign_path, O_RDWR);
	/* A page in the middle. */
	ck_assert_int_eq(
	    pwrite(fd, noise, sizeof(noise), st.st_size / 2 / 8192 * 8192),
	    sizeof(noise));
	close(fd);
	ck_assert_int_eq(open_foreign(), -1);
	ck_assert_int_eq(err.code, CW_ERR_DAMAGED);
	ck_assert_int_eq(truncate(foreign_path, st.st_size / 2), 0);
	ck_assert_int_eq(open_foreign(), -1);
	ck_assert_int_eq(truncate(foreign_path, 0), 0);
	ck_assert_int_eq(open_foreign(), -1);
	fd = open(foreign_path, O_RDWR);
	ck_assert_int_eq(pwrite(fd, noise, sizeof(noise), 0), sizeof(noise));
	close(fd);
	ck_assert_int_eq(open_foreign(), -1);
	ck_assert_int_eq(err.code, CW_ERR_DAMAGED);
}
END_TEST

START_TEST(a_journal_beside_a_strangers_catalog_is_not_looked_at)
{
	char wal[120];
	int fd;

	export_some();
	snprintf(wal, sizeof(wal), "%s-journal", foreign_path);
	fd = open(wal, O_WRONLY | O_CREAT, 0600);
	ck_assert_int_eq(write(fd, "junk", 4), 4);
	close(fd);
	snprintf(wal, sizeof(wal), "%s-wal", foreign_path);
	fd = open(wal, O_WRONLY | O_CREAT, 0600);
	ck_assert_int_eq(write(fd, "junk", 4), 4);
	close(fd);
	ck_assert_int_eq(open_foreign(), 0);
	ck_assert_int_eq(access(wal, F_OK), 0);
}
END_TEST

START_TEST(queues_use_their_indexes)
{
	struct cw_run run = CW_RUN_INIT;
	struct cw_run_query q;

	plans_begin(catalog);
	cw_run_query_init(&q, CW_RUN_SMALL, INT64_MIN, INT64_MAX);
	OK(cw_catalog_next_run(catalog, &q, &run, 10, 1 << 20, &err));
	cw_run_query_init(&q, CW_RUN_LARGE, INT64_MIN, INT64_MAX);
	OK(cw_catalog_next_run(catalog, &q, &run, 10, 1 << 20, &err));
	cw_run_free(&run);
	/* And no sorting. */
	ck_assert_str_eq(plans_end(catalog, " ORDER BY "),
	    "SEARCH entry USING PRIMARY KEY ((dir,name)>(?,?))\n"
	    "SEARCH entry USING INDEX entry_large ((size,dir,name)>(?,?,?))\n");
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("catalog");
	TCase *tc = tcase_create("catalog");
	SRunner *sr = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, entries_come_back_as_they_were_put);
	tcase_add_test(tc, paths_and_directories_find_each_other);
	tcase_add_test(tc, removing_a_directory_removes_all_in_it);
	tcase_add_test(tc, rollback_takes_everything_back);
	tcase_add_test(tc, a_reader_sees_the_last_commit_after_refresh);
	tcase_add_test(tc, notes_are_kept);
	tcase_add_test(tc, create_refuses_what_is_there_and_bad_names);
	tcase_add_test(tc, runs_give_each_unpacked_entry_once_in_order);
	tcase_add_test(tc, runs_end_at_their_bytes);
	tcase_add_test(tc, what_is_packed_has_a_digest_and_waits_no_more);
	tcase_add_test(tc, a_change_after_packing_supersedes_the_member);
	tcase_add_test(tc, a_change_before_marking_supersedes_the_member);
	tcase_add_test(tc, content_that_changed_unseen_is_a_new_generation);
	tcase_add_test(tc, parts_are_listed_and_superseded_together);
	tcase_add_test(tc, noted_stat_changes_nothing_that_counts);
	tcase_add_test(tc, tombstones_go_when_the_file_comes_back);
	tcase_add_test(tc, walks_choose_by_what_is_asked);
	tcase_add_test(tc, an_export_opens_as_a_stranger_and_then_as_ours);
	tcase_add_loop_test(tc, sums_that_do_not_fit_the_rows_are_mended, 0,
	    sizeof(tampered) / sizeof(*tampered));
	tcase_add_loop_test(
	    tc, a_catalog_that_was_tampered_with_is_refused, 0, LIES);
	tcase_add_test(tc, a_damaged_file_is_refused);
	tcase_add_test(
	    tc, a_journal_beside_a_strangers_catalog_is_not_looked_at);
	tcase_add_test(tc, queues_use_their_indexes);
	suite_add_tcase(suite, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
