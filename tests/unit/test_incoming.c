#include "tests/unit/pairs.h"

static struct pair p;

static void
setup(void)
{
	tree_setup();
	make_maildir("u");
	write_file("u/cur/1.M1.h:2,", "one");
	write_file("u/cur/2.M2.h:2,S", "two two");
	pair_open(&p);
	pair_sync(&p);
	OK(cw_incoming_begin(p.r.incoming, 1, 1, &err));
}

static void
teardown(void)
{
	pair_close(&p);
	tree_teardown();
}

static struct cw_change
put_of(const char *dir, const char *name, const char *text)
{
	struct cw_change ch = {.kind = CW_KIND_FILE,
	    .dir_path = dir,
	    .dir_path_len = strlen(dir),
	    .e = {.name = name,
		.name_len = strlen(name),
		.kind = CW_KIND_FILE,
		.class = 1,
		.mode = 0600,
		.size = strlen(text),
		.has_digest = true,
		.mtime_ns = 1000,
		.generation = 2}};

	cw_sha256(text, strlen(text), ch.e.digest);
	return ch;
}

static struct cw_change
removal_of(const char *dir, const char *name, enum cw_kind kind)
{
	struct cw_change ch = {.is_removal = true,
	    .kind = kind,
	    .dir_path = dir,
	    .dir_path_len = strlen(dir),
	    .e = {.name = name,
		.name_len = strlen(name),
		.kind = kind,
		.generation = 2}};

	return ch;
}

static void
add(struct cw_change ch)
{
	OK(cw_incoming_add(p.r.incoming, &ch, &err));
}

static uint64_t
rows(void)
{
	return cw_incoming_info(p.r.incoming)->rows;
}

static void
reopen(void)
{
	pair_close_replica(&p);
	pair_open_replica(&p);
}

START_TEST(one_row_a_path)
{
	add(put_of("mail/u/cur", "3", "three"));
	add(put_of("mail/u/cur", "3", "three again"));
	ck_assert_uint_eq(rows(), 1);
	add(put_of("mail/u/cur", "30", "thirty"));
	add(put_of("mail/u", "cur0", "beside"));
	add(put_of("mail/u", "cur.x", "beside"));
	ck_assert_uint_eq(rows(), 4);
	/* Takes what is below it, and nothing else. */
	add(removal_of("mail/u", "cur", CW_KIND_DIR));
	ck_assert_uint_eq(rows(), 3);
	add(removal_of("mail", "u", CW_KIND_DIR));
	ck_assert_uint_eq(rows(), 1);
}
END_TEST

START_TEST(position_and_rows_come_with_the_commit)
{
	struct cw_position at = {.generation = 7,
	    .is_put = true,
	    .dir = 3,
	    .name_len = 2,
	    .name = "ab"};
	const struct cw_incoming_info *i;

	add(put_of("mail/u/cur", "3", "three"));
	OK(cw_incoming_commit(p.r.incoming, &at, &err));
	add(put_of("mail/u/cur", "4", "four"));
	ck_assert_uint_eq(rows(), 2);
	reopen();
	i = cw_incoming_info(p.r.incoming);
	ck_assert_int_eq(i->stage, CW_INCOMING_COLLECTING);
	ck_assert_uint_eq(i->rows, 1);
	ck_assert_uint_eq(i->since, 1);
	ck_assert_int_eq(cw_position_compare(&i->position, &at), 0);
	/* The same plan goes on, another one begins anew. */
	OK(cw_incoming_begin(p.r.incoming, 1, 1, &err));
	ck_assert_uint_eq(rows(), 1);
	OK(cw_incoming_begin(p.r.incoming, 1, 2, &err));
	ck_assert_uint_eq(rows(), 0);
	ck_assert_uint_eq(
	    cw_incoming_info(p.r.incoming)->position.generation, 0);
}
END_TEST

START_TEST(a_change_after_the_end_opens_it_again)
{
	uint8_t digest[CW_STATE_SIZE] = {9};
	const struct cw_incoming_info *i = cw_incoming_info(p.r.incoming);

	add(put_of("mail/u/cur", "3", "three"));
	OK(cw_incoming_complete(p.r.incoming, 2, digest, &err));
	ck_assert_int_eq(i->stage, CW_INCOMING_COMPLETE);
	reopen();
	i = cw_incoming_info(p.r.incoming);
	ck_assert_int_eq(i->stage, CW_INCOMING_COMPLETE);
	ck_assert_uint_eq(i->generation, 2);
	ck_assert_mem_eq(i->digest, digest, sizeof(digest));
	add(put_of("mail/u/cur", "4", "four"));
	ck_assert_int_eq(i->stage, CW_INCOMING_COLLECTING);
	cw_incoming_rollback(p.r.incoming);
	ck_assert_int_eq(i->stage, CW_INCOMING_COMPLETE);
	ck_assert_uint_eq(i->rows, 1);
	OK(cw_incoming_discard(p.r.incoming, &err));
	ck_assert_int_eq(i->stage, CW_INCOMING_EMPTY);
	ck_assert_uint_eq(i->rows, 0);
}
END_TEST

static void
refused(struct cw_change ch)
{
	ck_assert_int_eq(cw_incoming_add(p.r.incoming, &ch, &err), -1);
	ck_assert_msg(err.code == CW_ERR_FORMAT, "%s", err.message);
}

START_TEST(hostile_rows_are_refused)
{
	static const char *const names[] = {"", ".", "..", "a/b", "../x", "/"};
	static const char *const dirs[] = {"mail/..", "/mail", "mail/",
	    "mail//u", "other", "mai", "mailx/u", "mail/../other", ".."};
	static const uint8_t junk[] = {1, 2, 3};
	static char long_name[300];
	struct cw_change ch;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		refused(put_of("mail/u", names[i], "x"));
		refused(removal_of("mail/u", names[i], CW_KIND_FILE));
	}
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
		refused(put_of(dirs[i], "x", "x"));
	memset(long_name, 'x', sizeof(long_name) - 1);
	refused(put_of("mail/u", long_name, "x"));
	refused(put_of("", "mail", "a file as a root"));
	refused(put_of("", "other", "x"));
	ch = put_of("mail", "x\0y", "x");
	ch.e.name_len = 3;
	refused(ch);
	ch = put_of("mail", "x", "x");
	ch.e.kind = (enum cw_kind)'h';
	refused(ch);
	ch = put_of("mail", "x", "x");
	ch.e.size = UINT64_MAX;
	refused(ch);
	ch = put_of("mail", "x", "x");
	ch.e.size = 0;
	refused(ch);
	ch = put_of("mail", "x", "x");
	ch.e.has_digest = false;
	refused(ch);
	ch = put_of("mail", "x", "x");
	ch.e.mode = 04755;
	refused(ch);
	ch = put_of("mail", "x", "x");
	ch.e.mode = 0x10000;
	refused(ch);
	ch = put_of("mail", "x", "x");
	ch.e.class = 3;
	refused(ch);
	ch = put_of("mail", "x", "x");
	ch.e.linkgroup = -1;
	refused(ch);
	ch = put_of("mail", "x", "x");
	ch.e.attrs = junk;
	ch.e.attrs_len = sizeof(junk);
	refused(ch);
	ch = put_of("mail", "x", "x");
	ch.e.generation = UINT64_MAX;
	refused(ch);
	ch = put_of("mail", "x", "x");
	ch.e.kind = CW_KIND_SYMLINK;
	ch.e.has_digest = false;
	ch.e.size = 0;
	refused(ch); /* without a target */
	ch.e.target = "a\0b";
	ch.e.target_len = 3;
	refused(ch);
	ck_assert_uint_eq(rows(), 0);
}
END_TEST

static void
refused_attrs(const struct cw_attrs *attrs)
{
	struct cw_buf data = CW_BUF_INIT;
	struct cw_change ch = put_of("mail", "x", "x");

	OK(cw_attrs_encode(attrs, &data, &err));
	ch.e.attrs = data.data;
	ch.e.attrs_len = data.len;
	refused(ch);
	cw_buf_free(&data);
}

START_TEST(attributes_that_give_rights_or_cannot_be_set_are_refused)
{
	struct cw_xattr x = {"security.capability", (const uint8_t *)"1", 1};
	struct cw_attrs attrs = {.xattrs = &x, .xattr_count = 1};

	refused_attrs(&attrs);
	attrs = (struct cw_attrs){.acl_access = "no such thing\n"};
	refused_attrs(&attrs);
	attrs = (struct cw_attrs){
	    .acl_default = "user::rw-\ngroup::r--\nother::---\n"};
	refused_attrs(&attrs); /* of a file */
}
END_TEST

static int
lacks(struct cw_change ch)
{
	int got = cw_incoming_lacks(p.r.incoming, &p.r, &ch, &err);

	ck_assert_msg(got >= 0, "%s", err.message);
	return got;
}

START_TEST(contents_at_home_are_not_lacking)
{
	struct cw_change ch = put_of("mail/u/new", "3", "three");

	ck_assert_int_eq(lacks(ch), 1);
	OK(cw_staging_put(p.r.staging, ch.e.digest, "three", 5, NULL, &err));
	ck_assert_int_eq(lacks(ch), 0);
	ck_assert_int_eq(lacks(put_of("mail/u/cur", "1.M1.h:2,", "one")), 0);
	ck_assert_int_eq(lacks(put_of("mail/u/new", "x", "one")), 0);
	ck_assert_int_eq(lacks(put_of("mail/u/new", "x", "")), 0);
	ck_assert_int_eq(lacks(removal_of("mail", "u", CW_KIND_DIR)), 0);
	/* The catalog says so, but the file is not what it should be. */
	ck_assert_int_eq(truncate(in_replica("u/cur/1.M1.h:2,"), 2), 0);
	ck_assert_int_eq(lacks(put_of("mail/u/new", "x", "one")), 1);
	ck_assert_int_eq(unlink(in_replica("u/cur/2.M2.h:2,S")), 0);
	ck_assert_int_eq(lacks(put_of("mail/u/new", "x", "two two")), 1);
}
END_TEST

START_TEST(wants_come_in_order_and_once)
{
	static const char *const order[] = {
	    "control", "newest", "newer", "old", "large", "largest"};
	static uint8_t zeros[CW_DIGEST_SIZE];
	struct cw_want_cursor at = {0};
	struct cw_change ch;
	struct cw_want want;
	uint64_t contents, bytes;

	ch = put_of("mail/u/cur", "old", "old");
	ch.e.mtime_ns = -5;
	add(ch);
	ch = put_of("mail/u/cur", "largest", "largest");
	ch.e.size = 1u << 30;
	add(ch);
	ch = put_of("mail/u/cur", "newer", "newer");
	add(ch);
	add(put_of("mail/u/cur", "same", "newer"));
	add(put_of("mail/u/cur", "known", "one"));
	ch = put_of("mail/u/cur", "newest", "newest");
	ch.e.mtime_ns = INT64_MAX;
	add(ch);
	ch = put_of("mail/u/cur", "large", "large");
	ch.e.size = 1u << 20;
	add(ch);
	ch = put_of("mail/u", "control", "control");
	ch.e.class = 0;
	add(ch);
	add(removal_of("mail/u/cur", "2.M2.h:2,S", CW_KIND_FILE));
	for (size_t i = 0; i < 6; i++) {
		if (i == 3) {
			OK(cw_incoming_commit(p.r.incoming, NULL, &err));
			reopen();
		}
		ck_assert_int_eq(
		    cw_incoming_next_want(p.r.incoming, &p.r, &at, &want, &err),
		    1);
		ck_assert_str_eq(strrchr(want.path, '/') + 1, order[i]);
		ck_assert(memcmp(want.digest, zeros, sizeof(zeros)) != 0);
		ck_assert(!want.has_base);
	}
	ck_assert_int_eq(
	    cw_incoming_next_want(p.r.incoming, &p.r, &at, &want, &err), 0);
	OK(cw_incoming_count_wants(
	    p.r.incoming, &p.r, &contents, &bytes, &err));
	ck_assert_uint_eq(contents, 6);
}
END_TEST

START_TEST(what_came_with_its_change_is_wanted_last_or_not_looked_at)
{
	struct cw_want_cursor at = {0}, brief = {.skips_come = true}, back;
	struct cw_change ch = put_of("mail/u/cur", "came", "came");
	struct cw_want want;

	OK(cw_incoming_add_come(p.r.incoming, &ch, &err));
	ch = put_of("mail/u/cur", "large", "large");
	ch.e.size = 1u << 20;
	add(ch);
	ck_assert_int_eq(
	    cw_incoming_next_want(p.r.incoming, &p.r, &at, &want, &err), 1);
	ck_assert_str_eq(want.path, "mail/u/cur/large");
	ck_assert_int_eq(
	    cw_incoming_next_want(p.r.incoming, &p.r, &at, &want, &err), 1);
	ck_assert_str_eq(want.path, "mail/u/cur/came");
	ck_assert_int_eq(
	    cw_incoming_next_want(p.r.incoming, &p.r, &brief, &want, &err), 1);
	ck_assert_str_eq(want.path, "mail/u/cur/large");
	ck_assert_int_eq(
	    cw_incoming_next_want(p.r.incoming, &p.r, &brief, &want, &err), 0);
	/* Another version that did not come is wanted as any. */
	ch = put_of("mail/u/cur", "came", "and changed");
	add(ch);
	back = brief;
	cw_incoming_want_from(&ch.e, &back);
	ck_assert_int_eq(
	    cw_incoming_next_want(p.r.incoming, &p.r, &brief, &want, &err), 0);
	ck_assert_int_eq(
	    cw_incoming_next_want(p.r.incoming, &p.r, &back, &want, &err), 1);
	ck_assert_str_eq(want.path, "mail/u/cur/came");
}
END_TEST

START_TEST(a_want_names_the_older_version)
{
	struct cw_want_cursor at = {0};
	struct cw_want want;

	add(put_of("mail/u/cur", "1.M1.h:2,", "one and more"));
	ck_assert_int_eq(
	    cw_incoming_next_want(p.r.incoming, &p.r, &at, &want, &err), 1);
	ck_assert(want.has_base);
	ck_assert_uint_eq(want.base_size, 3);
}
END_TEST

START_TEST(nothing_comes_in_without_a_begin)
{
	struct cw_change ch = put_of("mail/u/cur", "3", "three");
	uint8_t digest[CW_STATE_SIZE] = {0};

	OK(cw_incoming_discard(p.r.incoming, &err));
	ck_assert_int_eq(cw_incoming_add(p.r.incoming, &ch, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_REFUSED);
	ck_assert_int_eq(
	    cw_incoming_complete(p.r.incoming, 2, digest, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_REFUSED);
}
END_TEST

START_TEST(a_listing_belongs_to_its_directory)
{
	struct cw_change ch = put_of("mail/u/new", "3", "three");

	OK(cw_incoming_list_begin(p.r.incoming, "mail/u/cur", 10, &err));
	ck_assert_int_eq(
	    cw_incoming_list_add(p.r.incoming, &p.r, &ch, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_FORMAT);
	/* An empty one removes all that is there. */
	OK(cw_incoming_list_end(p.r.incoming, &p.r, &err));
	ck_assert_uint_eq(rows(), 2);
	ck_assert_int_eq(
	    cw_incoming_list_begin(p.r.incoming, "../x", 4, &err), -1);
	/* One that we do not have is all new. */
	OK(cw_incoming_list_begin(p.r.incoming, "mail/v", 6, &err));
	ch = put_of("mail/v", "x", "x");
	OK(cw_incoming_list_add(p.r.incoming, &p.r, &ch, &err));
	OK(cw_incoming_list_end(p.r.incoming, &p.r, &err));
	ck_assert_uint_eq(rows(), 3);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("incoming");
	TCase *tc = tcase_create("incoming");
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, one_row_a_path);
	tcase_add_test(tc, position_and_rows_come_with_the_commit);
	tcase_add_test(tc, a_change_after_the_end_opens_it_again);
	tcase_add_test(tc, hostile_rows_are_refused);
	tcase_add_test(
	    tc, attributes_that_give_rights_or_cannot_be_set_are_refused);
	tcase_add_test(tc, contents_at_home_are_not_lacking);
	tcase_add_test(tc, wants_come_in_order_and_once);
	tcase_add_test(
	    tc, what_came_with_its_change_is_wanted_last_or_not_looked_at);
	tcase_add_test(tc, a_want_names_the_older_version);
	tcase_add_test(tc, nothing_comes_in_without_a_begin);
	tcase_add_test(tc, a_listing_belongs_to_its_directory);
	suite_add_tcase(s, tc);
	SRunner *sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
