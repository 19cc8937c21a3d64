/* media/blocks.h and media/recover.h: what parity gives back, and what not. */
#include "media/blocks.h"
#include "media/recover.h"
#include "tests/unit/parity_seed.h"

#define BLOCK CW_PARITY_COLUMN

static const struct parity_seed small = {
    .k = 3, .m = 1, .media = 1, .volumes = 5, .size = 5 * BLOCK + 100};
static const struct parity_seed two = {
    .k = 4, .m = 2, .media = 1, .volumes = 5, .size = 40 * BLOCK};

/* Rebuilds a volume into a scratch file; whether it is the right one. */
static int
rebuild(const struct parity_seed *s, struct cw_recover *r, uint32_t number,
    struct cw_error *err)
{
	uint64_t size = parity_volume_size(s, number);
	uint8_t *data = parity_pattern(size, number), *got = cw_malloc(size);
	char name[32];
	int fd = open(parity_root, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	struct stat st;
	int ret;

	ck_assert_int_ge(fd, 0);
	parity_volume_name(number, name);
	ret = cw_recover_file(r, name, fd, err);
	if (ret == 0) {
		ck_assert_int_eq(fstat(fd, &st), 0);
		ck_assert_uint_eq((uint64_t)st.st_size, size);
		ck_assert_int_eq(pread(fd, got, size, 0), (ssize_t)size);
		ck_assert_mem_eq(got, data, size);
	}
	close(fd);
	free(data);
	free(got);
	return ret;
}

static void
rebuilds(const struct parity_seed *s, const char *media, uint32_t number)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_set *set = parity_open(media);
	struct cw_recover *r;

	ck_assert_int_eq(cw_recover_new(set, &r, &err), 0);
	ck_assert_msg(rebuild(s, r, number, &err) == 0, "%s", err.message);
	cw_recover_free(r);
	cw_set_free(set);
}

static void
does_not_rebuild(const struct parity_seed *s, const char *media,
    uint32_t number, enum cw_code code)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_set *set = parity_open(media);
	struct cw_recover *r;

	ck_assert_int_eq(cw_recover_new(set, &r, &err), 0);
	ck_assert_int_eq(rebuild(s, r, number, &err), -1);
	ck_assert_msg(err.code == code, "%s", err.message);
	cw_recover_free(r);
	cw_set_free(set);
}

START_TEST(blocks_are_good_in_either_copy)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_blocks *b;
	struct cw_set *set;
	uint8_t *data, xxh[16];

	parity_make(&small);
	parity_flip(1, CW_SET_BLOCKS, 3);
	parity_flip(1, "copy/" CW_SET_BLOCKS, 16 + 3);
	parity_flip(1, CW_SET_BLOCKS, 32 + 3);
	parity_flip(1, "copy/" CW_SET_BLOCKS, 32 + 5);
	set = parity_open("1");
	ck_assert_int_eq(cw_blocks_open(set, 0, &b, &err), 0);
	ck_assert(cw_blocks_has(b));
	/* The first file by name is the first group's shard. */
	data = parity_pattern(small.size, 1);
	for (uint64_t i = 0; i < 6; i++) {
		cw_xxh(data + i * BLOCK, i < 5 ? BLOCK : 100, xxh);
		ck_assert(cw_blocks_is_good(b, "000001.tar.zst.age", i, xxh));
		ck_assert(
		    !cw_blocks_is_good(b, "000001.tar.zst.age", i + 1, xxh));
		ck_assert(!cw_blocks_is_good(b, "000002.tar.zst.age", i, xxh));
	}
	ck_assert(!cw_blocks_is_good(b, "000001.tar.zst.age", 6, xxh));
	ck_assert(!cw_blocks_is_good(b, "000009.tar.zst.age", 0, xxh));
	{
		struct cw_buf shard = CW_BUF_INIT;

		ck_assert_int_eq(cw_set_read_file(set->media[0].dirfd,
				     "000001.01.rs", small.size, &shard, NULL),
		    0);
		for (uint64_t i = 0; i < 3; i++) {
			cw_xxh(shard.data + i * BLOCK, BLOCK, xxh);
			/* The third entry is wrong in both. */
			ck_assert_int_eq(
			    cw_blocks_is_good(b, "000001.01.rs", i, xxh),
			    i != 2);
		}
		cw_buf_free(&shard);
	}
	free(data);
	cw_blocks_free(b);
	cw_set_free(set);
}
END_TEST

START_TEST(a_sidecar_of_a_wrong_length_is_none)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_blocks *b;
	struct cw_set *set;

	parity_make(&small);
	parity_cut(1, CW_SET_BLOCKS, 16);
	set = parity_open("1");
	ck_assert_int_eq(cw_blocks_open(set, 0, &b, &err), 0);
	ck_assert(cw_blocks_has(b));
	cw_blocks_free(b);
	parity_remove(1, "copy/" CW_SET_BLOCKS);
	ck_assert_int_eq(cw_blocks_open(set, 0, &b, &err), 0);
	ck_assert(!cw_blocks_has(b));
	cw_blocks_free(b);
	cw_set_free(set);
}
END_TEST

START_TEST(every_lost_file_of_a_group_is_rebuilt)
{
	for (uint32_t i = 1; i <= small.volumes; i++) {
		char name[32];

		parity_clear();
		parity_make(&small);
		parity_volume_name(i, name);
		parity_remove(1, name);
		for (uint32_t j = 1; j <= small.volumes; j++)
			rebuilds(&small, "1", j);
	}
}
END_TEST

START_TEST(each_column_survives_on_its_own)
{
	/* In each column two others of the six files are bad. */
	parity_make(&two);
	for (uint64_t c = 0; c < 40; c++)
		for (uint64_t bad = 0; bad < 2; bad++) {
			uint64_t row = (c * 7 + bad * (1 + c % 5)) % 6;
			char name[32];

			if (row < 4)
				parity_volume_name((uint32_t)row + 1, name);
			else
				cw_parity_name(1, (uint32_t)row - 3, name);
			parity_flip(1, name, c * BLOCK + c * 1000);
		}
	for (uint32_t i = 1; i <= 4; i++)
		rebuilds(&two, "1", i);
	/* One more in one column is too much for those that are bad in it. */
	parity_make(&two);
	for (uint32_t i = 1; i <= 3; i++) {
		char name[32];

		parity_volume_name(i, name);
		parity_flip(1, name, 17 * BLOCK);
	}
	for (uint32_t i = 1; i <= 3; i++)
		does_not_rebuild(&two, "1", i, CW_ERR_DAMAGED);
	rebuilds(&two, "1", 4);
}
END_TEST

START_TEST(a_file_that_was_cut_serves_as_far_as_it_goes)
{
	parity_make(&small);
	parity_cut(1, "000001.tar.zst.age", 2 * BLOCK + 7);
	parity_flip(1, "000002.tar.zst.age", BLOCK);
	rebuilds(&small, "1", 1);
	rebuilds(&small, "1", 2);
	parity_flip(1, "000003.tar.zst.age", 2 * BLOCK);
	does_not_rebuild(&small, "1", 1, CW_ERR_DAMAGED);
	does_not_rebuild(&small, "1", 3, CW_ERR_DAMAGED);
	rebuilds(&small, "1", 2);
}
END_TEST

START_TEST(what_can_be_rebuilt_is_told_by_columns)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_recover *r;
	struct cw_set *set;

	parity_make(&small);
	set = parity_open("1");
	ck_assert_int_eq(cw_recover_new(set, &r, &err), 0);
	ck_assert(cw_recover_can(r, "000001.tar.zst.age"));
	ck_assert(cw_recover_can(r, "000002.01.rs"));
	ck_assert(!cw_recover_can(r, "000009.tar.zst.age"));
	ck_assert(!cw_recover_can(r, CW_SET_CATALOG));
	cw_recover_bad(r, 1, "000001.tar.zst.age", BLOCK, BLOCK);
	ck_assert(cw_recover_can(r, "000001.tar.zst.age"));
	cw_recover_bad(r, 1, "000002.tar.zst.age", 2 * BLOCK, 10 * BLOCK);
	ck_assert(cw_recover_can(r, "000001.tar.zst.age"));
	ck_assert(cw_recover_can(r, "000002.tar.zst.age"));
	/* Of another medium, or nowhere: nothing. */
	cw_recover_bad(r, 2, "000003.tar.zst.age", 0, UINT64_MAX);
	cw_recover_bad(r, 1, "000003.tar.zst.age", 100 * BLOCK, 5);
	cw_recover_bad(r, 1, "000003.tar.zst.age", 0, 0);
	ck_assert(cw_recover_can(r, "000001.tar.zst.age"));
	cw_recover_bad(r, 1, "000001.01.rs", BLOCK, 1);
	ck_assert(!cw_recover_can(r, "000001.tar.zst.age"));
	ck_assert(!cw_recover_can(r, "000001.01.rs"));
	ck_assert(cw_recover_can(r, "000002.tar.zst.age"));
	/* The other group has nothing to do with it. */
	cw_recover_bad(r, 1, "000002.01.rs", 0, UINT64_MAX);
	ck_assert(cw_recover_can(r, "000002.01.rs"));
	/* Volume 5 is shorter than 4: behind its end nothing can be bad. */
	cw_recover_bad(r, 1, "000004.tar.zst.age", 0, BLOCK);
	ck_assert(!cw_recover_can(r, "000004.tar.zst.age"));
	ck_assert(!cw_recover_can(r, "000002.01.rs"));
	ck_assert(cw_recover_can(r, "000005.tar.zst.age"));
	cw_recover_free(r);
	cw_set_free(set);
}
END_TEST

START_TEST(lost_media_are_rebuilt_from_the_others)
{
	static const struct parity_seed wide = {.k = 3,
	    .m = 2,
	    .survive = 2,
	    .media = 5,
	    .volumes = 10,
	    .size = 2 * BLOCK + 5};
	static const char *const pairs[] = {"123", "124", "125", "134", "135",
	    "145", "234", "235", "245", "345"};

	parity_make(&wide);
	for (size_t i = 0; i < 10; i++)
		for (uint32_t v = 1; v <= 10; v++)
			rebuilds(&wide, pairs[i], v);
	/* Two of five are not enough for what they do not hold themselves. */
	{
		struct cw_error err = CW_ERROR_INIT;
		struct cw_set *set = parity_open("24");
		struct cw_recover *r;
		int good = 0;

		ck_assert_int_eq(cw_recover_new(set, &r, &err), 0);
		for (uint32_t v = 1; v <= 10; v++) {
			char name[32];
			bool can;

			parity_volume_name(v, name);
			can = cw_recover_can(r, name);
			ck_assert_int_eq(rebuild(&wide, r, v, &err) == 0, can);
			good += can;
		}
		/* The last group has one member, which any shard gives. */
		ck_assert_int_ge(good, 4);
		ck_assert_int_lt(good, 10);
		cw_recover_free(r);
		cw_set_free(set);
	}
}
END_TEST

START_TEST(without_digests_whole_files_serve)
{
	struct parity_seed bare = small;

	bare.no_blocks = true;
	parity_make(&bare);
	rebuilds(&bare, "1", 2);
	parity_flip(1, "000002.tar.zst.age", 1);
	rebuilds(&bare, "1", 2);
	parity_flip(1, "000003.tar.zst.age", 3 * BLOCK);
	does_not_rebuild(&bare, "1", 2, CW_ERR_DAMAGED);
	rebuilds(&bare, "1", 1);
}
END_TEST

START_TEST(a_file_that_has_grown_serves_without_digests)
{
	struct parity_seed bare = small;

	bare.no_blocks = true;
	parity_make(&bare);
	parity_cut(1, "000002.tar.zst.age", 100 * BLOCK);
	parity_remove(1, "000001.tar.zst.age");
	rebuilds(&bare, "1", 1);
}
END_TEST

START_TEST(damaged_digests_cost_nothing_where_files_are_good)
{
	parity_make(&small);
	/* Both copies lose what they say of volumes 2 and 3. */
	for (int copy = 0; copy < 2; copy++)
		for (uint64_t i = 12; i < 24; i++)
			parity_flip(1,
			    copy ? "copy/" CW_SET_BLOCKS : CW_SET_BLOCKS,
			    i * 16);
	parity_remove(1, "000001.tar.zst.age");
	rebuilds(&small, "1", 1);
	rebuilds(&small, "1", 2);
	rebuilds(&small, "1", 3);
}
END_TEST

/* Replaces a volume by another of its length, and its digests with it. */
static void
swap_with_digests(uint32_t number, uint64_t first)
{
	uint64_t size = parity_volume_size(&small, number);
	uint8_t *data = parity_pattern(size, 777);
	char name[32], *path = parity_path(1, "");
	int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint8_t xxh[16];

	parity_volume_name(number, name);
	parity_save(dir, name, data, size);
	for (int copy = 0; copy < 2; copy++) {
		int fd =
		    openat(dir, copy ? "copy/" CW_SET_BLOCKS : CW_SET_BLOCKS,
			O_WRONLY | O_CLOEXEC);

		for (uint64_t i = 0; i * BLOCK < size; i++) {
			uint64_t rest = size - i * BLOCK;

			cw_xxh(
			    data + i * BLOCK, rest < BLOCK ? rest : BLOCK, xxh);
			ck_assert_int_eq(
			    pwrite(fd, xxh, 16, (off_t)(first + i) * 16), 16);
		}
		close(fd);
	}
	close(dir);
	free(path);
	free(data);
}

START_TEST(a_forged_volume_with_forged_digests_is_not_believed)
{
	parity_make(&small);
	/* Names in order: 000001.01.rs (6 blocks), 000001.tar (6), 000002.01.rs
	 * (6), 000002.tar from the 18th. */
	swap_with_digests(2, 18);
	rebuilds(&small, "1", 2);
	/* With it among the sources nothing but its exclusion helps. */
	rebuilds(&small, "1", 1);
	parity_remove(1, "000001.tar.zst.age");
	does_not_rebuild(&small, "1", 1, CW_ERR_DAMAGED);
	does_not_rebuild(&small, "1", 2, CW_ERR_DAMAGED);
}
END_TEST

START_TEST(links_and_fifos_are_no_volumes)
{
	char *path, *aside;

	parity_make(&small);
	path = parity_path(1, "000001.tar.zst.age");
	aside = parity_path(1, "aside");
	ck_assert_int_eq(rename(path, aside), 0);
	ck_assert_int_eq(symlink("aside", path), 0);
	rebuilds(&small, "1", 1);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	rebuilds(&small, "1", 1);
	/* And what it would have held does not serve the others. */
	parity_remove(1, "000002.tar.zst.age");
	does_not_rebuild(&small, "1", 2, CW_ERR_DAMAGED);
	free(path);
	free(aside);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("recover");
	TCase *tc = tcase_create("recover");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, parity_setup, parity_teardown);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, blocks_are_good_in_either_copy);
	tcase_add_test(tc, a_sidecar_of_a_wrong_length_is_none);
	tcase_add_test(tc, every_lost_file_of_a_group_is_rebuilt);
	tcase_add_test(tc, each_column_survives_on_its_own);
	tcase_add_test(tc, a_file_that_was_cut_serves_as_far_as_it_goes);
	tcase_add_test(tc, what_can_be_rebuilt_is_told_by_columns);
	tcase_add_test(tc, lost_media_are_rebuilt_from_the_others);
	tcase_add_test(tc, without_digests_whole_files_serve);
	tcase_add_test(tc, a_file_that_has_grown_serves_without_digests);
	tcase_add_test(tc, damaged_digests_cost_nothing_where_files_are_good);
	tcase_add_test(tc, a_forged_volume_with_forged_digests_is_not_believed);
	tcase_add_test(tc, links_and_fifos_are_no_volumes);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
