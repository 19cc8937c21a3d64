/* media/scrub.h: digests of many files, and what is wrong with the rest. */
#include "base/buf.h"
#include "base/fs.h"
#include "media/scrub.h"
#include "media/scrub_disk.h"
#include "tests/unit/scratch.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#define FILES 12

static char root[] = "/tmp/test_scrub.XXXXXX";
static int dirfd_;

static void
setup(void)
{
	struct cw_error err = CW_ERROR_INIT;

	memcpy(root + sizeof(root) - 7, "XXXXXX", 6);
	ck_assert_int_eq(cw_crypto_init(&err), 0);
	ck_assert_ptr_nonnull(mkdtemp(root));
	dirfd_ = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(dirfd_, 0);
}

static void
teardown(void)
{
	cw_close(&dirfd_);
	scratch_remove(root);
}

static uint8_t *
pattern(size_t len, uint32_t x)
{
	uint8_t *data = cw_malloc(len + 1);

	for (size_t i = 0; i < len; i++) {
		x = x * 1664525u + 1013904223u;
		data[i] = (uint8_t)(x >> 24);
	}
	return data;
}

static struct cw_scrub_file
file_named(const char *name, uint64_t size)
{
	return (struct cw_scrub_file){
	    .dirfd = dirfd_, .name = name, .size = size};
}

static void
save(const char *name, const uint8_t *data, size_t len)
{
	struct cw_error err = CW_ERROR_INIT;

	ck_assert_int_eq(cw_save_file(dirfd_, name, data, len, 0644, &err), 0);
}

static void
digests_are_right(bool cached, unsigned threads)
{
	static const size_t sizes[FILES] = {0, 1, 4095, 4096, 65536, 131072,
	    131073, 1000000, 4194303, 4194304, 4194305, 13000001};
	struct cw_scrub_options options = {
	    .cached = cached, .threads = threads};
	struct cw_progress progress = {.what = NULL};
	struct cw_error err = CW_ERROR_INIT;
	struct cw_scrub_file files[FILES];
	uint8_t *datas[FILES];
	char names[FILES][16];
	uint64_t total = 0;

	options.progress = &progress;
	for (size_t i = 0; i < FILES; i++) {
		datas[i] = pattern(sizes[i], (uint32_t)i);
		snprintf(names[i], sizeof(names[i]), "f%zu", i);
		save(names[i], datas[i], sizes[i]);
		files[i] = file_named(names[i], sizes[i]);
		total += sizes[i];
	}
	ck_assert_int_eq(cw_scrub(files, FILES, &options, &err), 0);
	for (size_t i = 0; i < FILES; i++) {
		uint8_t sha256[CW_SHA256_SIZE], xxh[CW_XXH_SIZE];

		cw_sha256(datas[i], sizes[i], sha256);
		cw_xxh(datas[i], sizes[i], xxh);
		ck_assert_int_eq(files[i].state, CW_SCRUB_READ);
		ck_assert_uint_eq(files[i].found, sizes[i]);
		ck_assert_mem_eq(files[i].sha256, sha256, sizeof(sha256));
		ck_assert_mem_eq(files[i].xxh, xxh, sizeof(xxh));
		ck_assert_uint_eq(files[i].bad_count, 0);
		free(datas[i]);
	}
	ck_assert_uint_eq(progress.bytes_done, total);
	ck_assert_uint_eq(progress.items_done, FILES);
	cw_scrub_free(files, FILES);
}

START_TEST(digests_from_the_device_are_right)
{
	digests_are_right(false, 0);
}
END_TEST

START_TEST(digests_from_the_page_cache_are_right)
{
	digests_are_right(true, 0);
}
END_TEST

START_TEST(one_thread_or_many_make_no_difference)
{
	digests_are_right(false, 1);
	digests_are_right(true, 1);
	digests_are_right(false, 64);
}
END_TEST

START_TEST(no_files_are_no_work)
{
	struct cw_scrub_options options = {.threads = 0};
	struct cw_error err = CW_ERROR_INIT;

	ck_assert_int_eq(cw_scrub(NULL, 0, &options, &err), 0);
}
END_TEST

START_TEST(what_is_no_file_is_told_and_the_others_are_read)
{
	struct cw_scrub_options options = {.threads = 0};
	struct cw_error err = CW_ERROR_INIT;
	struct cw_scrub_file files[7];

	save("good", (const uint8_t *)"good", 4);
	save("long", (const uint8_t *)"longer", 6);
	ck_assert_int_eq(symlinkat("good", dirfd_, "symlink"), 0);
	ck_assert_int_eq(mkfifoat(dirfd_, "fifo", 0644), 0);
	ck_assert_int_eq(mkdirat(dirfd_, "dir", 0755), 0);
	files[0] = file_named("symlink", 4);
	files[1] = file_named("fifo", 4);
	files[2] = file_named("dir", 4);
	files[3] = file_named("nothing", 4);
	files[4] = file_named("long", 4);
	files[5] = file_named("../etc/passwd", 4);
	files[6] = file_named("good", 4);
	ck_assert_int_eq(cw_scrub(files, 7, &options, &err), 0);
	ck_assert_int_eq(files[0].state, CW_SCRUB_STRANGE);
	ck_assert_int_eq(files[1].state, CW_SCRUB_STRANGE);
	ck_assert_int_eq(files[2].state, CW_SCRUB_STRANGE);
	ck_assert_int_eq(files[3].state, CW_SCRUB_MISSING);
	ck_assert_int_eq(files[4].state, CW_SCRUB_SIZE);
	ck_assert_uint_eq(files[4].found, 6);
	ck_assert_int_ne(files[5].state, CW_SCRUB_READ);
	ck_assert_int_eq(files[6].state, CW_SCRUB_READ);
	cw_scrub_free(files, 7);
}
END_TEST

START_TEST(a_request_to_stop_leaves_files_pending)
{
	struct cw_scrub_options options = {.threads = 0};
	struct cw_error err = CW_ERROR_INIT;
	struct cw_scrub_file file;

	save("f", (const uint8_t *)"good", 4);
	file = file_named("f", 4);
	cw_stop_request(); /* of this test's own process */
	ck_assert_int_eq(cw_scrub(&file, 1, &options, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_INTERRUPTED);
	ck_assert_int_eq(file.state, CW_SCRUB_PENDING);
}
END_TEST

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

START_TEST(the_rate_is_kept)
{
	/* 3 MiB at 8 MiB a second; the first read waits for nobody. */
	struct cw_scrub_options options = {
	    .rate = 8u << 20, .cached = true, .threads = 2};
	struct cw_error err = CW_ERROR_INIT;
	struct cw_scrub_file files[3];
	char names[3][8];
	double begun;

	for (uint32_t i = 0; i < 3; i++) {
		uint8_t *data = pattern(1u << 20, i);

		snprintf(names[i], sizeof(names[i]), "f%u", i);
		save(names[i], data, 1u << 20);
		files[i] = file_named(names[i], 1u << 20);
		free(data);
	}
	begun = now();
	ck_assert_int_eq(cw_scrub(files, 3, &options, &err), 0);
	ck_assert(now() - begun > 0.3);
	cw_scrub_free(files, 3);
}
END_TEST

/* ---- blocks ---- */

/* What the blocks of one file should be, and what the scrub told. */
struct expected {
	uint8_t (*blocks)[CW_XXH_SIZE];
	_Atomic unsigned seen[2000];
	unsigned begun, done;
};

static bool
is_good(void *arg, const struct cw_scrub_file *file, uint64_t block,
    const uint8_t xxh[CW_XXH_SIZE])
{
	struct expected *e = arg;

	ck_assert_uint_lt(block, 2000);
	ck_assert_ptr_nonnull(file->name);
	e->seen[block]++;
	return memcmp(e->blocks[block], xxh, CW_XXH_SIZE) == 0;
}

static void
note_begun(void *arg, const struct cw_scrub_file *file)
{
	ck_assert_ptr_nonnull(file);
	((struct expected *)arg)->begun++;
}

static void
note_done(void *arg, const struct cw_scrub_file *file)
{
	ck_assert_int_ne(file->state, CW_SCRUB_PENDING);
	((struct expected *)arg)->done++;
}

/* Saves a file, notes its blocks, then writes changed bytes over it. */
static void
expect(struct expected *e, uint8_t *data, size_t len)
{
	size_t count = (len + CW_SCRUB_BLOCK - 1) / CW_SCRUB_BLOCK;

	memset(e, 0, sizeof(*e));
	e->blocks = cw_calloc(count, CW_XXH_SIZE);
	for (size_t i = 0; i < count; i++) {
		size_t at = i * CW_SCRUB_BLOCK;

		cw_xxh(data + at,
		    len - at < CW_SCRUB_BLOCK ? len - at : CW_SCRUB_BLOCK,
		    e->blocks[i]);
	}
}

static struct cw_scrub_file
scrub_blocks(struct expected *e, uint64_t size, bool cached)
{
	struct cw_scrub_options options = {
	    .cached = cached,
	    .arg = e,
	    .is_good = is_good,
	    .begun = note_begun,
	    .done = note_done,
	};
	struct cw_scrub_file file = file_named("f", size);
	struct cw_error err = CW_ERROR_INIT;

	for (size_t i = 0; i < sizeof(e->seen) / sizeof(*e->seen); i++)
		e->seen[i] = 0;
	ck_assert_int_eq(cw_scrub(&file, 1, &options, &err), 0);
	return file;
}

static void
range_is(const struct cw_scrub_file *file, size_t i, uint64_t offset,
    uint64_t length)
{
	ck_assert_uint_lt(i, file->bad_count);
	ck_assert_uint_eq(file->bad[i].offset, offset);
	ck_assert_uint_eq(file->bad[i].length, length);
	ck_assert(!file->bad[i].is_unreadable);
}

#define BLOCKS 150u /* some chunks, and a last block that is short */
#define SHORT  1234u

START_TEST(wrong_blocks_are_found_to_the_block_and_merged)
{
	const size_t len = (BLOCKS - 1) * CW_SCRUB_BLOCK + SHORT;
	uint8_t *data = pattern(len, 5), sha256[CW_SHA256_SIZE];
	struct expected e;
	struct cw_scrub_file file;

	expect(&e, data, len);
	data[0] ^= 1;
	data[63 * CW_SCRUB_BLOCK + 7] ^= 1; /* over the end of a chunk */
	data[64 * CW_SCRUB_BLOCK] ^= 1;
	data[66 * CW_SCRUB_BLOCK - 1] ^= 0x80;
	data[len - 1] ^= 1;
	cw_sha256(data, len, sha256);
	save("f", data, len);
	for (int cached = 0; cached < 2; cached++) {
		file = scrub_blocks(&e, len, cached == 1);
		ck_assert_int_eq(file.state, CW_SCRUB_READ);
		ck_assert_mem_eq(file.sha256, sha256, sizeof(sha256));
		ck_assert_uint_eq(file.bad_count, 3);
		range_is(&file, 0, 0, CW_SCRUB_BLOCK);
		range_is(&file, 1, 63 * CW_SCRUB_BLOCK, 3 * CW_SCRUB_BLOCK);
		range_is(&file, 2, (BLOCKS - 1) * CW_SCRUB_BLOCK, SHORT);
		for (unsigned i = 0; i < BLOCKS; i++)
			ck_assert_uint_eq(e.seen[i], 1);
		ck_assert_uint_eq(e.begun, cached ? 2u : 1u);
		ck_assert_uint_eq(e.done, cached ? 2u : 1u);
		cw_scrub_free(&file, 1);
	}
	free(data);
	free(e.blocks);
}
END_TEST

START_TEST(of_a_good_file_every_block_is_good)
{
	const size_t len = BLOCKS * CW_SCRUB_BLOCK;
	uint8_t *data = pattern(len, 6);
	struct expected e;
	struct cw_scrub_file file;
	struct stat st;

	expect(&e, data, len);
	save("f", data, len);
	file = scrub_blocks(&e, len, false);
	ck_assert_uint_eq(file.bad_count, 0);
	ck_assert_int_eq(fstatat(dirfd_, "f", &st, 0), 0);
	ck_assert_uint_eq(file.identity.inode, st.st_ino);
	ck_assert_uint_eq(file.identity.device, st.st_dev);
	ck_assert_int_eq(file.identity.mtime_ns,
	    st.st_mtim.tv_sec * 1000000000ll + st.st_mtim.tv_nsec);
	for (unsigned i = 0; i < BLOCKS; i++)
		ck_assert_uint_eq(e.seen[i], 1);
	free(data);
	free(e.blocks);
}
END_TEST

START_TEST(a_file_that_was_cut_is_bad_from_the_block_of_the_cut)
{
	const size_t len = BLOCKS * CW_SCRUB_BLOCK;
	const size_t cut = 100 * CW_SCRUB_BLOCK + 5;
	uint8_t *data = pattern(len, 7);
	struct cw_progress progress = {.what = NULL};
	struct expected e;
	struct cw_scrub_file file;

	expect(&e, data, len);
	data[3 * CW_SCRUB_BLOCK] ^= 1;
	save("f", data, cut);
	file = scrub_blocks(&e, len, false);
	ck_assert_int_eq(file.state, CW_SCRUB_SIZE);
	ck_assert(!file.is_prefix);
	ck_assert_uint_eq(file.found, cut);
	ck_assert_uint_eq(file.bad_count, 2);
	range_is(&file, 0, 3 * CW_SCRUB_BLOCK, CW_SCRUB_BLOCK);
	range_is(&file, 1, 100 * CW_SCRUB_BLOCK, 50 * CW_SCRUB_BLOCK);
	cw_scrub_free(&file, 1);

	/* Without blocks to tell, it is not read; the count is kept. */
	file = file_named("f", len);
	ck_assert_int_eq(
	    cw_scrub(&file, 1,
		&(struct cw_scrub_options){.progress = &progress}, NULL),
	    0);
	ck_assert_int_eq(file.state, CW_SCRUB_SIZE);
	ck_assert_uint_eq(file.bad_count, 0);
	ck_assert_uint_eq(progress.bytes_done, len);
	free(data);
	free(e.blocks);
}
END_TEST

START_TEST(of_a_file_that_has_grown_the_beginning_is_read)
{
	const size_t len = 3 * CW_SCRUB_BLOCK + SHORT;
	uint8_t *data = pattern(len + 70000, 8), sha256[CW_SHA256_SIZE];
	struct expected e;
	struct cw_scrub_file file;

	expect(&e, data, len);
	cw_sha256(data, len, sha256);
	save("f", data, len + 70000);
	file = scrub_blocks(&e, len, false);
	ck_assert_int_eq(file.state, CW_SCRUB_SIZE);
	ck_assert(file.is_prefix);
	ck_assert_uint_eq(file.found, len + 70000);
	ck_assert_uint_eq(file.bad_count, 0);
	ck_assert_mem_eq(file.sha256, sha256, sizeof(sha256));
	free(data);
	free(e.blocks);
}
END_TEST

static bool
odd_is_good(void *arg, const struct cw_scrub_file *file, uint64_t block,
    const uint8_t xxh[CW_XXH_SIZE])
{
	(void)arg, (void)file, (void)xxh;
	return block % 2 == 1;
}

START_TEST(ranges_beyond_the_limit_become_one)
{
	const uint64_t blocks = 2 * CW_SCRUB_WRONG_MAX + 9;
	struct cw_scrub_options options = {
	    .cached = true, .is_good = odd_is_good};
	struct cw_scrub_file file = file_named("f", blocks * CW_SCRUB_BLOCK);
	struct cw_error err = CW_ERROR_INIT;
	const struct cw_scrub_range *last;

	save("f", (const uint8_t *)"", 0); /* holes */
	ck_assert_int_eq(ftruncate(openat(dirfd_, "f", O_WRONLY | O_CLOEXEC),
			     (off_t)file.size),
	    0);
	ck_assert_int_eq(cw_scrub(&file, 1, &options, &err), 0);
	ck_assert_uint_eq(file.bad_count, CW_SCRUB_WRONG_MAX);
	range_is(&file, 1, 2 * CW_SCRUB_BLOCK, CW_SCRUB_BLOCK);
	last = &file.bad[file.bad_count - 1];
	ck_assert_uint_eq(last->offset + last->length, file.size);
	cw_scrub_free(&file, 1);
}
END_TEST

START_TEST(a_look_reads_nothing_and_sees_the_size)
{
	struct cw_scrub_file file = file_named("f", 4);

	save("f", (const uint8_t *)"good", 4);
	cw_scrub_look(&file);
	ck_assert_int_eq(file.state, CW_SCRUB_READ);
	ck_assert_uint_ne(file.identity.inode, 0);
	file = file_named("f", 5);
	cw_scrub_look(&file);
	ck_assert_int_eq(file.state, CW_SCRUB_SIZE);
	file = file_named("g", 5);
	cw_scrub_look(&file);
	ck_assert_int_eq(file.state, CW_SCRUB_MISSING);
}
END_TEST

/* ---- disks ---- */

static void
put(const char *path, const char *text)
{
	char *whole = cw_asprintf("%s/sys/%s", root, path);
	char *dir = cw_strdup(whole);
	struct cw_error err = CW_ERROR_INIT;

	*strrchr(dir, '/') = '\0';
	ck_assert_int_eq(cw_make_dirs(dir, 0755, &err), 0);
	ck_assert_int_eq(
	    cw_save_file(AT_FDCWD, whole, text, strlen(text), 0644, &err), 0);
	free(dir);
	free(whole);
}

static void
link_block(const char *device, const char *to)
{
	char *path = cw_asprintf("%s/sys/dev/block/%s", root, device);
	char *target = cw_asprintf("../../devices/%s", to);

	ck_assert_int_eq(symlink(target, path), 0);
	free(target);
	free(path);
}

static struct cw_scrub_disk
disk_of(unsigned first, unsigned second)
{
	char *sysfs = cw_asprintf("%s/sys", root);
	struct cw_scrub_disk disk;

	cw_scrub_disk_of_device(sysfs, makedev(first, second), &disk);
	free(sysfs);
	return disk;
}

START_TEST(what_shares_a_disk_is_that_disk)
{
	put("dev/block/x", "");
	put("devices/sda/dev", "8:0\n");
	put("devices/sda/queue/rotational", "1\n");
	put("devices/sda/sda1/dev", "8:1\n");
	put("devices/sda/sda1/partition", "1\n");
	put("devices/sda/sda2/dev", "8:2\n");
	put("devices/sda/sda2/partition", "2\n");
	put("devices/sdb/dev", "8:16\n");
	put("devices/sdb/queue/rotational", "0\n");
	put("devices/dm-0/dev", "253:0\n");
	put("devices/dm-0/slaves/sda2/dev", "8:2\n");
	put("devices/dm-0/queue/rotational", "0\n");
	put("devices/md0/dev", "9:0\n");
	put("devices/md0/slaves/sda1/dev", "8:1\n");
	put("devices/md0/slaves/sdb/dev", "8:16\n");
	put("devices/md0/queue/rotational", "1\n");
	link_block("8:0", "sda");
	link_block("8:1", "sda/sda1");
	link_block("8:2", "sda/sda2");
	link_block("8:16", "sdb");
	link_block("253:0", "dm-0");
	link_block("9:0", "md0");
	ck_assert_uint_eq(disk_of(8, 1).id, makedev(8, 0));
	ck_assert_uint_eq(disk_of(8, 2).id, makedev(8, 0));
	ck_assert(disk_of(8, 2).is_rotating);
	ck_assert_uint_eq(disk_of(8, 16).id, makedev(8, 16));
	ck_assert(!disk_of(8, 16).is_rotating);
	/* An encrypted partition is its disk; an array is one of its own. */
	ck_assert_uint_eq(disk_of(253, 0).id, makedev(8, 0));
	ck_assert_uint_eq(disk_of(9, 0).id, makedev(9, 0));
	ck_assert(disk_of(9, 0).is_rotating);
	/* Nothing is known of it. */
	ck_assert_uint_eq(disk_of(0, 77).id, makedev(0, 77));
	ck_assert(!disk_of(0, 77).is_rotating);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("scrub");
	TCase *tc = tcase_create("scrub");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, digests_from_the_device_are_right);
	tcase_add_test(tc, digests_from_the_page_cache_are_right);
	tcase_add_test(tc, one_thread_or_many_make_no_difference);
	tcase_add_test(tc, no_files_are_no_work);
	tcase_add_test(tc, what_is_no_file_is_told_and_the_others_are_read);
	tcase_add_test(tc, a_request_to_stop_leaves_files_pending);
	tcase_add_test(tc, the_rate_is_kept);
	tcase_add_test(tc, wrong_blocks_are_found_to_the_block_and_merged);
	tcase_add_test(tc, of_a_good_file_every_block_is_good);
	tcase_add_test(
	    tc, a_file_that_was_cut_is_bad_from_the_block_of_the_cut);
	tcase_add_test(tc, of_a_file_that_has_grown_the_beginning_is_read);
	tcase_add_test(tc, ranges_beyond_the_limit_become_one);
	tcase_add_test(tc, a_look_reads_nothing_and_sees_the_size);
	tcase_add_test(tc, what_shares_a_disk_is_that_disk);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
