#include "base/crypto.h"
#include "base/fs.h"
#include "seed/ledger.h"

#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/causeway-ledger-XXXXXX";
static int dirfd;

static void
setup(void)
{
	strcpy(strrchr(dir, '-'), "-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	dirfd = open(dir, O_RDONLY | O_DIRECTORY);
	ck_assert_int_ge(dirfd, 0);
}

static void
teardown(void)
{
	(void)unlinkat(dirfd, CW_LEDGER_FILE, 0);
	(void)close(dirfd);
	(void)rmdir(dir);
}

static void
create(struct cw_ledger *l)
{
	struct cw_error err = CW_ERROR_INIT;

	memset(l, 0, sizeof(*l));
	memset(l->seed_id, 7, sizeof(l->seed_id));
	strcpy(l->peer, "shreveport");
	l->time = 1700000000;
	l->generation = 42;
	l->volume_size = 1 << 20;
	l->parity_k = l->parity_m = l->survive_media = 2;
	memset(l->recipients[0], 9, 32);
	l->recipient_count = 1;
	ck_assert_int_eq(cw_ledger_create(dirfd, l, &err), 0);
}

static void
add(struct cw_ledger *l, uint32_t number)
{
	struct cw_ledger_volume v = {.number = number,
	    .medium = 2,
	    .size = 1 << 20,
	    .sha256 = {1},
	    .xxh = {2}};
	struct cw_error err = CW_ERROR_INIT;

	ck_assert_int_eq(cw_ledger_add_volume(l, &v, &err), 0);
}

START_TEST(what_was_written_is_read)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_ledger l, again;

	create(&l);
	for (uint32_t n = 1; n <= 100; n++)
		add(&l, n);
	ck_assert_int_eq(cw_ledger_lose_volume(&l, 50, &err), 0);
	ck_assert_int_eq(cw_ledger_add_medium(&l, 3, &err), 0);
	ck_assert_int_eq(cw_ledger_open(dirfd, &again, &err), 0);
	ck_assert_str_eq(again.peer, "shreveport");
	ck_assert_uint_eq(again.generation, 42);
	ck_assert_uint_eq(again.base, 0);
	ck_assert_uint_eq(again.volume_count, 99);
	ck_assert_ptr_null(cw_ledger_find(&again, 50));
	ck_assert_mem_eq(cw_ledger_find(&again, 51)->sha256,
	    cw_ledger_find(&l, 51)->sha256, CW_SHA256_SIZE);
	ck_assert_mem_eq(cw_ledger_find(&again, 51)->xxh,
	    cw_ledger_find(&l, 51)->xxh, CW_XXH_SIZE);
	ck_assert_uint_eq(cw_ledger_find(&again, 51)->size, 1 << 20);
	ck_assert_uint_eq(cw_ledger_find(&again, 51)->medium, 2);
	ck_assert_uint_eq(again.last_medium, 3);
	ck_assert(!again.is_finished);
	cw_ledger_close(&l);
	cw_ledger_close(&again);
}
END_TEST

START_TEST(an_increment_has_a_base)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_ledger l, again;

	create(&l);
	cw_ledger_close(&l);
	l.base = 17;
	ck_assert_int_eq(cw_ledger_create(dirfd, &l, &err), 0);
	add(&l, 1);
	cw_ledger_close(&l);
	ck_assert_int_eq(cw_ledger_open(dirfd, &again, &err), 0);
	ck_assert_uint_eq(again.base, 17);
	ck_assert_uint_eq(again.generation, 42);
	cw_ledger_close(&again);
}
END_TEST

START_TEST(groups_and_shards_are_read_as_written)
{
	static const uint32_t first[] = {2, 1}, second[] = {3, 4};
	static const uint32_t wrong[] = {4, 5}, unknown[] = {5, 99};
	struct cw_ledger_shard s = {.group = 1,
	    .index = 1,
	    .medium = 3,
	    .size = 7,
	    .sha256 = {1},
	    .xxh = {2}};
	struct cw_error err = CW_ERROR_INIT;
	struct cw_ledger l, again;

	create(&l);
	for (uint32_t n = 1; n <= 5; n++)
		add(&l, n);
	ck_assert_int_eq(cw_ledger_add_shard(&l, &s, &err), -1);
	ck_assert_int_eq(cw_ledger_add_group(&l, 1, first, 2, &err), 0);
	ck_assert_int_eq(cw_ledger_add_group(&l, 2, second, 2, &err), 0);
	/* In a group already, or not there; a number twice. */
	ck_assert_int_eq(cw_ledger_add_group(&l, 3, wrong, 2, &err), -1);
	ck_assert_int_eq(cw_ledger_add_group(&l, 3, unknown, 2, &err), -1);
	ck_assert_int_eq(cw_ledger_add_group(&l, 2, wrong + 1, 1, &err), -1);
	ck_assert_uint_eq(cw_ledger_find(&l, 5)->group, 0);
	ck_assert_int_eq(cw_ledger_add_shard(&l, &s, &err), 0);
	ck_assert_int_eq(cw_ledger_add_shard(&l, &s, &err), -1);
	s.group = 2;
	ck_assert_int_eq(cw_ledger_add_shard(&l, &s, &err), 0);
	s.index = 2;
	ck_assert_int_eq(cw_ledger_add_shard(&l, &s, &err), 0);
	ck_assert_int_eq(cw_ledger_lose_shard(&l, 2, 1, &err), 0);
	ck_assert_int_eq(cw_ledger_close_medium(&l, 1, &err), 0);
	ck_assert_int_eq(cw_ledger_add_revision(&l, 5, &err), 0);
	ck_assert_int_eq(cw_ledger_open(dirfd, &again, &err), 0);
	ck_assert_uint_eq(again.parity_k, 2);
	ck_assert_uint_eq(again.parity_m, 2);
	ck_assert_uint_eq(again.survive_media, 2);
	ck_assert_uint_eq(again.group_count, 2);
	ck_assert_uint_eq(cw_ledger_find_group(&again, 1)->volumes[0], 2);
	ck_assert_uint_eq(again.shard_count, 2);
	ck_assert_mem_eq(cw_ledger_find_shard(&again, 2, 2)->sha256, s.sha256,
	    CW_SHA256_SIZE);
	ck_assert_mem_eq(
	    cw_ledger_find_shard(&again, 2, 2)->xxh, s.xxh, CW_XXH_SIZE);
	ck_assert_uint_eq(cw_ledger_find_shard(&again, 2, 2)->size, 7);
	ck_assert_uint_eq(cw_ledger_find_shard(&again, 2, 2)->medium, 3);
	ck_assert(cw_ledger_is_closed(&again, 1));
	ck_assert(!cw_ledger_is_closed(&again, 2));
	ck_assert_uint_eq(again.last_revision, 5);
	ck_assert_uint_eq(again.last_medium, 3);
	cw_ledger_close(&l);
	cw_ledger_close(&again);
}
END_TEST

START_TEST(a_lost_volume_takes_its_group_with_it)
{
	static const uint32_t members[] = {1, 2};
	struct cw_ledger_shard s = {.group = 1, .index = 1, .medium = 1};
	struct cw_error err = CW_ERROR_INIT;
	struct cw_ledger l, again;

	create(&l);
	add(&l, 1);
	add(&l, 2);
	ck_assert_int_eq(cw_ledger_add_group(&l, 1, members, 2, &err), 0);
	ck_assert_int_eq(cw_ledger_add_shard(&l, &s, &err), 0);
	ck_assert_int_eq(cw_ledger_lose_volume(&l, 1, &err), 0);
	ck_assert_int_eq(cw_ledger_open(dirfd, &again, &err), 0);
	ck_assert_uint_eq(again.volume_count, 1);
	ck_assert_uint_eq(again.group_count, 0);
	ck_assert_uint_eq(again.shard_count, 0);
	ck_assert_uint_eq(again.last_group, 1);
	ck_assert_uint_eq(cw_ledger_find(&again, 2)->group, 0);
	cw_ledger_close(&l);
	cw_ledger_close(&again);
}
END_TEST

START_TEST(a_torn_last_line_is_cut)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_ledger l, again;

	create(&l);
	add(&l, 1);
	ck_assert_int_eq(write(l.fd, "volume 2 1 10", 13), 13);
	cw_ledger_close(&l);
	ck_assert_int_eq(cw_ledger_open(dirfd, &again, &err), 0);
	ck_assert_uint_eq(again.volume_count, 1);
	add(&again, 2);
	cw_ledger_close(&again);
	ck_assert_int_eq(cw_ledger_open(dirfd, &again, &err), 0);
	ck_assert_uint_eq(again.volume_count, 2);
	cw_ledger_close(&again);
}
END_TEST

START_TEST(nothing_follows_a_line_that_failed)
{
	struct cw_ledger_volume v = {.number = 2, .medium = 2, .size = 1};
	struct rlimit unlimited, small;
	struct cw_error err = CW_ERROR_INIT;
	struct cw_ledger l, again;
	struct stat st;

	create(&l);
	add(&l, 1);
	ck_assert_int_eq(fstat(l.fd, &st), 0);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &unlimited), 0);
	small = unlimited;
	small.rlim_cur = (rlim_t)st.st_size + 10;
	(void)signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
	ck_assert_int_eq(cw_ledger_add_volume(&l, &v, &err), -1);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &unlimited), 0);
	/* There is room again, but half a line stands at the end. */
	v.number = 3;
	ck_assert_int_eq(cw_ledger_add_volume(&l, &v, &err), -1);
	ck_assert_uint_eq(l.volume_count, 1);
	cw_ledger_close(&l);
	ck_assert_int_eq(cw_ledger_open(dirfd, &again, &err), 0);
	ck_assert_uint_eq(again.volume_count, 1);
	add(&again, 2);
	cw_ledger_close(&again);
	ck_assert_int_eq(cw_ledger_open(dirfd, &again, &err), 0);
	ck_assert_uint_eq(again.volume_count, 2);
	cw_ledger_close(&again);
}
END_TEST

START_TEST(a_wrong_line_is_refused_by_number)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_ledger l;

	create(&l);
	ck_assert_int_eq(write(l.fd, "volume x\n", 9), 9);
	cw_ledger_close(&l);
	ck_assert_int_eq(cw_ledger_open(dirfd, &l, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_DAMAGED);
	ck_assert_msg(strstr(err.message, "line 9") != NULL, "%s", err.message);
}
END_TEST

START_TEST(no_ledger_is_an_answer)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_ledger l;

	ck_assert_int_eq(cw_ledger_open(dirfd, &l, &err), 1);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("ledger");
	TCase *t = tcase_create("ledger");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, what_was_written_is_read);
	tcase_add_test(t, an_increment_has_a_base);
	tcase_add_test(t, groups_and_shards_are_read_as_written);
	tcase_add_test(t, a_lost_volume_takes_its_group_with_it);
	tcase_add_test(t, a_torn_last_line_is_cut);
	tcase_add_test(t, nothing_follows_a_line_that_failed);
	tcase_add_test(t, a_wrong_line_is_refused_by_number);
	tcase_add_test(t, no_ledger_is_an_answer);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
