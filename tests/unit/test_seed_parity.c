/*
 * seed/parity.h, seed/target.h, seed/blocks.h: volumes form groups, shards
 * rebuild what is lost, groups lie across media, and a seed that was cut off
 * anywhere has them in the end.
 */
#include "base/buf.h"
#include "base/bytes.h"
#include "base/fs.h"
#include "formats/parity/parity.h"
#include "seed/blocks.h"
#include "seed/parity.h"
#include "tests/unit/scratch.h"

#include <check.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define VOLUME	  200000u
#define MEDIA_MAX 6u

/* In memory where there is such a place: a disk is slow to sync. */
static char in_memory[] = "/dev/shm/causeway-parity-XXXXXX";
static char on_disk[] = "/tmp/causeway-parity-XXXXXX";
static char *root;
static char *dirs[MEDIA_MAX];
static int state = -1;
static struct cw_ledger ledger;
static struct cw_target *target;
static struct cw_seed_parity *parity;
static struct cw_error err;
static uint32_t lost[64];
static size_t lost_count;

static void
note_lost(void *arg, uint32_t number, const struct cw_error *why)
{
	(void)arg;
	(void)why;
	lost[lost_count++] = number;
}

static void
setup(void)
{
	char *path;

	ck_assert_int_eq(cw_crypto_init(&err), 0);
	memcpy(strrchr(in_memory, '-'), "-XXXXXX", 7);
	memcpy(strrchr(on_disk, '-'), "-XXXXXX", 7);
	root = mkdtemp(in_memory);
	if (root == NULL)
		root = mkdtemp(on_disk);
	ck_assert_ptr_nonnull(root);
	for (unsigned i = 0; i < MEDIA_MAX; i++) {
		dirs[i] = cw_asprintf("%s/m%u", root, i + 1);
		ck_assert_int_eq(mkdir(dirs[i], 0755), 0);
	}
	path = cw_asprintf("%s/state", root);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	state = open(path, O_RDONLY | O_DIRECTORY);
	ck_assert_int_ge(state, 0);
	free(path);
	lost_count = 0;
}

static void
stop(void)
{
	cw_seed_parity_free(parity);
	cw_target_free(target);
	cw_ledger_close(&ledger);
	parity = NULL;
	target = NULL;
}

static void
teardown(void)
{
	stop();
	cw_close(&state);
	scratch_remove(root);
	for (unsigned i = 0; i < MEDIA_MAX; i++)
		free(dirs[i]);
}

static void
open_target(size_t media)
{
	uint32_t last = ledger.last_medium;
	const char *const *names = (const char *const *)dirs;

	if (ledger.survive_media > 0)
		ck_assert_msg(cw_target_open_set(names, media, ledger.seed_id,
				  ledger.time, 0, &target, &err) == 0,
		    "%s", err.message);
	else
		ck_assert_msg(cw_target_open(names, media, ledger.seed_id,
				  ledger.time, 0, &last, &target, &err) == 0,
		    "%s", err.message);
	ck_assert_msg(
	    cw_seed_parity_open(&ledger, target, state, &parity, &err) == 0,
	    "%s", err.message);
	cw_seed_parity_on_lost(parity, note_lost, NULL);
}

static void
begin(uint32_t k, uint32_t m, uint32_t survive, size_t media)
{
	memset(&ledger, 0, sizeof(ledger));
	memset(ledger.seed_id, 7, sizeof(ledger.seed_id));
	strcpy(ledger.peer, "shreveport");
	ledger.volume_size = VOLUME;
	ledger.recipient_count = 1;
	ledger.parity_k = k;
	ledger.parity_m = m;
	ledger.survive_media = survive;
	ck_assert_int_eq(cw_ledger_create(state, &ledger, &err), 0);
	open_target(media);
}

/* As a crash and another run. */
static void
again(size_t media)
{
	stop();
	ck_assert_msg(
	    cw_ledger_open(state, &ledger, &err) == 0, "%s", err.message);
	open_target(media);
}

static void
fill(uint32_t number, uint8_t *data, size_t len)
{
	uint32_t x = number * 2654435761u + 1;

	for (size_t i = 0; i < len; i++) {
		x = x * 1664525u + 1013904223u;
		data[i] = (uint8_t)(x >> 24);
	}
}

/* A volume is opened and written; it is not settled yet. */
static struct cw_durable *
write_volume(uint32_t number, size_t len, struct cw_target_place *place)
{
	char name[CW_LEDGER_NAME_MAX];
	uint8_t *data = cw_malloc(len);
	struct cw_durable *d;

	fill(number, data, len);
	cw_ledger_volume_name(number, name);
	ck_assert_int_eq(
	    cw_durable_open(place->medium->folder, name, VOLUME, &d, &err), 0);
	ck_assert_int_eq(cw_durable_write(d, data, len, &err), 0);
	free(data);
	return d;
}

static void
settle(uint32_t number, struct cw_durable *d, struct cw_target_place *place)
{
	struct cw_error why = CW_ERROR_INIT;

	ck_assert_msg(
	    cw_seed_parity_settle(parity, d, number, place, &why, &err) == 0,
	    "%s%s", why.message, err.message);
}

static void
add_volume(uint32_t number, size_t len)
{
	struct cw_target_place place;
	struct cw_durable *d;

	ck_assert_msg(cw_target_take(target, VOLUME, &place, &err) == 0, "%s",
	    err.message);
	d = write_volume(number, len, &place);
	settle(number, d, &place);
}

static uint8_t *
read_file(uint32_t medium, const char *name, size_t size)
{
	uint8_t *data = cw_calloc(1, VOLUME);
	int fd = openat(cw_target_find(target, medium)->folder, name, O_RDONLY);
	size_t got;

	ck_assert_msg(fd >= 0, "medium %u has no %s", medium, name);
	ck_assert_int_eq(cw_read_full(fd, data, VOLUME, &got, &err), 0);
	ck_assert_uint_eq(got, size);
	cw_close(&fd);
	return data;
}

/* Each of its members is rebuilt from the others and the first shard. */
static void
check_group(const struct cw_ledger_group *g)
{
	uint8_t *rows[CW_PARITY_ROWS_MAX] = {NULL};
	uint32_t have_rows[CW_PARITY_ROWS_MAX], k = ledger.parity_k;
	struct cw_parity *code;
	char name[CW_LEDGER_NAME_MAX];
	uint8_t *out = cw_malloc(VOLUME);
	uint64_t longest = 0;

	ck_assert_int_eq(cw_parity_new(k, ledger.parity_m, &code, &err), 0);
	for (uint32_t i = 0; i < g->count; i++) {
		const struct cw_ledger_volume *v =
		    cw_ledger_find(&ledger, g->volumes[i]);

		ck_assert_uint_eq(v->group, g->number);
		cw_ledger_volume_name(v->number, name);
		rows[i] = read_file(v->medium, name, v->size);
		if (v->size > longest)
			longest = v->size;
	}
	for (uint32_t j = 1; j <= ledger.parity_m; j++) {
		const struct cw_ledger_shard *s =
		    cw_ledger_find_shard(&ledger, g->number, j);

		ck_assert_msg(
		    s != NULL, "group %u has no shard %u", g->number, j);
		ck_assert_uint_eq(s->size, longest);
		cw_ledger_shard_name(g->number, j, name);
		rows[k + j - 1] = read_file(s->medium, name, s->size);
	}
	for (uint32_t i = 0; i < g->count; i++) {
		for (uint32_t j = 0; j < ledger.parity_m; j++) {
			const uint8_t *have[CW_PARITY_ROWS_MAX];
			uint32_t n = 0;

			for (uint32_t r = 0; r < k; r++) {
				have_rows[n] = r == i ? k + j : r;
				have[n] = rows[have_rows[n]];
				n++;
			}
			ck_assert_int_eq(cw_parity_rebuild(code, have_rows,
					     have, &i, 1, &out, VOLUME, &err),
			    0);
			ck_assert_mem_eq(out, rows[i], VOLUME);
		}
	}
	for (uint32_t r = 0; r < CW_PARITY_ROWS_MAX; r++)
		free(rows[r]);
	free(out);
	cw_parity_free(code);
}

/* All volumes are in groups, and each group gives its members back. */
static void
check_all(size_t volumes)
{
	size_t members = 0;

	ck_assert_uint_eq(ledger.volume_count, volumes);
	for (size_t i = 0; i < ledger.group_count; i++) {
		check_group(&ledger.groups[i]);
		members += ledger.groups[i].count;
	}
	ck_assert_uint_eq(members, volumes);
	ck_assert_uint_eq(
	    ledger.shard_count, ledger.group_count * ledger.parity_m);
}

static void
close_all(void)
{
	ck_assert_msg(
	    cw_seed_parity_close(parity, NULL, &err) == 0, "%s", err.message);
}

/* Of no group do two files lie on one medium. */
static void
check_apart(void)
{
	for (size_t i = 0; i < ledger.group_count; i++) {
		const struct cw_ledger_group *g = &ledger.groups[i];
		bool has[MEDIA_MAX + 1] = {false};

		for (uint32_t j = 0; j < g->count + ledger.parity_m; j++) {
			uint32_t m =
			    j < g->count
				? cw_ledger_find(&ledger, g->volumes[j])->medium
				: cw_ledger_find_shard(
				      &ledger, g->number, j - g->count + 1)
				      ->medium;

			ck_assert_msg(!has[m],
			    "group %u has two files on medium %u", g->number,
			    m);
			has[m] = true;
		}
	}
}

START_TEST(shards_of_a_medium_rebuild_its_volumes)
{
	begin(3, 2, 0, 1);
	for (uint32_t n = 1; n <= 7; n++)
		add_volume(n, n == 7 ? 1234 : VOLUME);
	ck_assert_uint_eq(ledger.group_count, 2);
	close_all();
	ck_assert_uint_eq(ledger.group_count, 3);
	check_all(7);
	close_all(); /* nothing is left to be done */
	check_all(7);
}
END_TEST

START_TEST(a_group_that_was_cut_off_is_completed_by_reading)
{
	begin(3, 1, 0, 1);
	for (uint32_t n = 1; n <= 5; n++)
		add_volume(n, VOLUME);
	again(1);
	add_volume(6, VOLUME);
	ck_assert_uint_eq(ledger.group_count, 2);
	add_volume(7, VOLUME - 1);
	again(1);
	close_all();
	check_all(7);
}
END_TEST

START_TEST(a_lost_volume_breaks_its_group_up)
{
	begin(2, 1, 0, 1);
	for (uint32_t n = 1; n <= 4; n++)
		add_volume(n, VOLUME);
	check_all(4);
	ck_assert_int_eq(unlinkat(cw_target_medium(target, 0)->folder,
			     "000001.tar.zst.age", 0),
	    0);
	again(1);
	ck_assert_uint_eq(ledger.volume_count, 3);
	ck_assert_uint_eq(ledger.group_count, 1);
	ck_assert_int_lt(faccessat(cw_target_medium(target, 0)->folder,
			     "000001.01.rs", F_OK, 0),
	    0);
	add_volume(5, VOLUME);
	check_all(4);
}
END_TEST

START_TEST(a_lost_shard_is_computed_again)
{
	struct cw_ledger_shard before;

	begin(2, 2, 0, 1);
	for (uint32_t n = 1; n <= 4; n++)
		add_volume(n, VOLUME);
	before = *cw_ledger_find_shard(&ledger, 2, 1);
	ck_assert_int_eq(
	    unlinkat(cw_target_medium(target, 0)->folder, "000002.01.rs", 0),
	    0);
	again(1);
	ck_assert_ptr_null(cw_ledger_find_shard(&ledger, 2, 1));
	close_all();
	check_all(4);
	ck_assert_mem_eq(cw_ledger_find_shard(&ledger, 2, 1)->sha256,
	    before.sha256, sizeof(before.sha256));
}
END_TEST

START_TEST(a_line_without_its_name_is_a_whole_file)
{
	int folder;

	begin(2, 1, 0, 1);
	add_volume(1, VOLUME);
	add_volume(2, VOLUME);
	folder = cw_target_medium(target, 0)->folder;
	ck_assert_int_eq(
	    renameat(folder, "000001.01.rs", folder, "000001.01.rs.tmp"), 0);
	ck_assert_int_eq(renameat(folder, "000002.tar.zst.age", folder,
			     "000002.tar.zst.age.tmp"),
	    0);
	again(1);
	check_all(2);
}
END_TEST

START_TEST(a_member_that_rotted_is_given_up)
{
	int fd;

	begin(3, 1, 0, 1);
	add_volume(1, VOLUME);
	add_volume(2, VOLUME);
	fd = openat(cw_target_medium(target, 0)->folder, "000001.tar.zst.age",
	    O_WRONLY);
	ck_assert_int_eq(pwrite(fd, "xyz", 3, 70000), 3);
	cw_close(&fd);
	again(1);
	close_all();
	ck_assert_uint_eq(lost_count, 1);
	ck_assert_uint_eq(lost[0], 1);
	check_all(1);
}
END_TEST

START_TEST(every_medium_has_groups_of_its_own)
{
	struct cw_target_place places[4];
	struct cw_durable *d[4];

	begin(2, 1, 0, 2);
	for (uint32_t round = 0; round < 2; round++) {
		for (uint32_t i = 0; i < 4; i++) {
			ck_assert_int_eq(
			    cw_target_take(target, VOLUME, &places[i], &err),
			    0);
			ck_assert_uint_eq(
			    places[i].medium->is.number, i % 2 + 1);
			d[i] =
			    write_volume(4 * round + i + 1, VOLUME, &places[i]);
		}
		for (uint32_t i = 4; i-- > 0;)
			settle(4 * round + i + 1, d[i], &places[i]);
	}
	ck_assert_uint_eq(ledger.group_count, 4);
	check_all(8);
	for (size_t i = 0; i < ledger.group_count; i++)
		ck_assert_uint_eq(
		    cw_ledger_find(&ledger, ledger.groups[i].volumes[0])
			->medium,
		    cw_ledger_find(&ledger, ledger.groups[i].volumes[1])
			->medium);
}
END_TEST

START_TEST(block_digests_follow_and_may_be_made_again)
{
	struct cw_durable_result result;
	uint8_t *first, *second;
	struct cw_target_medium *m;
	struct cw_durable *d;

	begin(2, 1, 0, 1);
	add_volume(1, VOLUME);
	add_volume(2, 65537);
	m = cw_target_medium(target, 0);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(
		    cw_durable_open(state, i == 0 ? "a" : "b", 0, &d, &err), 0);
		ck_assert_int_eq(
		    cw_seed_blocks_write(&ledger, state, m, d, &err), 0);
		ck_assert_int_eq(cw_durable_finish(d, &result, &err), 0);
		/* 4 of the shard, 4, and 2. */
		ck_assert_uint_eq(result.size, 10 * 16);
		cw_durable_free(d);
		cw_seed_blocks_forget(state);
	}
	ck_assert_int_lt(faccessat(state, "blocks", F_OK, 0), 0);
	first = cw_malloc(160);
	second = cw_malloc(160);
	{
		int a = openat(state, "a", O_RDONLY);
		int b = openat(state, "b", O_RDONLY);
		uint8_t *data = read_file(1, "000001.tar.zst.age", VOLUME);
		uint8_t xxh[16];

		ck_assert_int_eq(read(a, first, 160), 160);
		ck_assert_int_eq(read(b, second, 160), 160);
		ck_assert_mem_eq(first, second, 160);
		cw_xxh(data + 65536, 65536, xxh);
		ck_assert_mem_eq(first + (4 + 1) * 16, xxh, 16);
		cw_close(&a);
		cw_close(&b);
		free(data);
	}
	free(first);
	free(second);
}
END_TEST

/* ---- across media ---- */

/* As many volumes at once as there are builders; some are dropped. */
static void
pack_across(unsigned builders, uint32_t volumes)
{
	struct cw_target_place places[8];
	struct cw_durable *open[8] = {NULL};
	uint32_t numbers[8], next = 1, done = 0;
	unsigned x = 7;

	while (done < volumes) {
		for (unsigned i = 0; i < builders; i++) {
			if (open[i] != NULL || next > volumes)
				continue;
			ck_assert_msg(cw_target_take(target, VOLUME, &places[i],
					  &err) == 0,
			    "%s", err.message);
			numbers[i] = next++;
			open[i] = write_volume(numbers[i], VOLUME, &places[i]);
		}
		x = x * 1103515245u + 12345u;
		for (unsigned i = (x >> 16) % builders; i < builders; i++) {
			if (open[i] == NULL)
				continue;
			if ((x >> 20) % 5 == 0) {
				/* It is given up, and comes elsewhere. */
				cw_durable_free(open[i]);
				cw_target_release(target, &places[i], NULL);
				ck_assert_int_eq(cw_target_take(target, VOLUME,
						     &places[i], &err),
				    0);
				open[i] = write_volume(
				    numbers[i], VOLUME, &places[i]);
			}
			settle(numbers[i], open[i], &places[i]);
			open[i] = NULL;
			done++;
			break;
		}
	}
}

START_TEST(no_medium_holds_two_of_a_group)
{
	static const uint32_t geometry[][2] = {{5, 1}, {6, 2}, {2, 1}, {6, 5}};
	uint32_t n = geometry[_i / 4][0], m = geometry[_i / 4][1];
	unsigned builders = (unsigned)_i % 4 + 1;
	uint32_t volumes = 4 * n, shards[MEDIA_MAX + 1] = {0};
	uint32_t least = UINT32_MAX, most = 0;

	begin(n - m, m, m, n);
	pack_across(builders, volumes);
	close_all();
	check_all(volumes);
	check_apart();
	for (size_t i = 0; i < ledger.shard_count; i++)
		shards[ledger.shards[i].medium]++;
	for (uint32_t i = 1; i <= n; i++) {
		if (shards[i] < least)
			least = shards[i];
		if (shards[i] > most)
			most = shards[i];
	}
	ck_assert_msg(most - least <= 1,
	    "one medium holds %u shards, another one %u", most, least);
}
END_TEST

START_TEST(a_cut_off_seed_is_laid_across_media_again)
{
	begin(3, 2, 2, 5);
	pack_across(4, 8);
	again(5);
	for (uint32_t n = 9; n <= 13; n++)
		add_volume(n, VOLUME);
	again(5);
	close_all();
	check_all(13);
	check_apart();
}
END_TEST

START_TEST(a_replaced_medium_costs_what_was_on_it_only)
{
	size_t left;
	char *seed;

	begin(3, 1, 1, 4);
	pack_across(2, 12);
	close_all();
	stop();
	seed = cw_asprintf("%s/causeway", dirs[2]);
	scratch_remove(seed);
	free(seed);
	ck_assert_int_eq(cw_ledger_open(state, &ledger, &err), 0);
	open_target(4);
	ck_assert_uint_eq(cw_target_medium(target, 2)->is.number, 3);
	left = ledger.volume_count;
	ck_assert_uint_eq(left, 9); /* 3 of 4 of its files were volumes */
	for (uint32_t n = 13; ledger.volume_count < 12; n++)
		add_volume(n, VOLUME);
	close_all();
	check_all(12);
	check_apart();
}
END_TEST

START_TEST(a_failing_medium_breaks_the_promise_and_says_so)
{
	struct cw_target_place first, second;
	struct cw_error why = CW_ERROR_INIT;
	struct cw_durable *d;

	begin(2, 1, 1, 3);
	ck_assert_int_eq(cw_target_take(target, VOLUME, &first, &err), 0);
	ck_assert_int_eq(cw_target_take(target, VOLUME, &second, &err), 0);
	d = write_volume(2, VOLUME, &second);
	cw_error_set(&why, CW_ERR_IO, "gone");
	cw_target_release(target, &first, &why);
	ck_assert(cw_target_broken(target, &err));
	/* What is in progress elsewhere is finished. */
	settle(2, d, &second);
	ck_assert_int_eq(cw_target_take(target, VOLUME, &first, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_IO);
	ck_assert_ptr_nonnull(strstr(err.message, dirs[1]));
	ck_assert_ptr_nonnull(strstr(err.message, "run the same command"));
}
END_TEST

START_TEST(all_media_must_be_there)
{
	begin(2, 1, 1, 3);
	stop();
	ck_assert_int_eq(cw_ledger_open(state, &ledger, &err), 0);
	ck_assert_int_eq(cw_target_open_set((const char *const *)dirs, 2,
			     ledger.seed_id, ledger.time, 0, &target, &err),
	    0);
	ck_assert_int_eq(
	    cw_seed_parity_open(&ledger, target, state, &parity, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_USAGE);
}
END_TEST

/* ---- asking for more ---- */

static unsigned closed_count, asked_count, added_count;

static int
on_close(void *arg, struct cw_target_medium *m, struct cw_error *e)
{
	(void)arg;
	ck_assert_uint_eq(m->taken, 0);
	closed_count++;
	return cw_seed_parity_close(parity, m, e);
}

static int
on_more(void *arg, const struct cw_error *why, char **dir, struct cw_error *e)
{
	(void)arg;
	(void)e;
	ck_assert_int_eq(why->code, CW_ERR_NOSPACE);
	if (asked_count == 2)
		return 1;
	*dir = cw_strdup(dirs[++asked_count]);
	return 0;
}

static int
on_added(void *arg, struct cw_target_medium *m, struct cw_error *e)
{
	(void)arg;
	added_count++;
	return cw_ledger_add_medium(&ledger, m->is.number, e);
}

/* Fills a medium: as the target sees it. */
static void
exhaust(struct cw_target_medium *m)
{
	m->reserved = UINT64_MAX / 4;
}

struct taker {
	struct cw_target_place place;
	struct cw_error err;
	int ret;
};

static void *
take(void *arg)
{
	struct taker *t = arg;

	t->ret = cw_target_take(target, VOLUME, &t->place, &t->err);
	return NULL;
}

START_TEST(a_full_target_waits_closes_and_asks)
{
	struct cw_target_asker asker = {on_close, on_more, on_added, NULL};
	struct taker takers[3] = {{.ret = 1}, {.ret = 1}, {.ret = 1}};
	struct cw_target_place place;
	pthread_t threads[3];
	struct cw_durable *d;

	closed_count = asked_count = added_count = 0;
	begin(2, 1, 0, 1);
	cw_target_set_asker(target, &asker);
	ck_assert_int_eq(cw_target_take(target, VOLUME, &place, &err), 0);
	d = write_volume(1, VOLUME, &place);
	exhaust(place.medium);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(
		    pthread_create(&threads[i], NULL, take, &takers[i]), 0);
	usleep(300000); /* they wait for the volume; no luck is needed */
	ck_assert_uint_eq(closed_count + asked_count, 0);
	settle(1, d, &place);
	for (unsigned i = 0; i < 3; i++) {
		pthread_join(threads[i], NULL);
		ck_assert_msg(takers[i].ret == 0, "%s", takers[i].err.message);
		ck_assert_uint_eq(takers[i].place.medium->is.number, 2);
	}
	ck_assert_uint_eq(closed_count, 1);
	ck_assert_uint_eq(asked_count, 1);
	ck_assert_uint_eq(added_count, 1);
	ck_assert_uint_eq(ledger.shard_count, 1);
	ck_assert(cw_target_medium(target, 0)->is_closed);
	ck_assert_int_eq(cw_target_medium(target, 0)->folder, -1);
	/* A volume that nobody fills has to be filled first. */
	exhaust(cw_target_medium(target, 1));
	for (unsigned i = 0; i < 2; i++)
		cw_target_release(target, &takers[i].place, NULL);
	cw_target_park(target, &takers[2].place, true);
	ck_assert_int_eq(cw_target_take(target, VOLUME, &place, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_BUSY);
	cw_target_park(target, &takers[2].place, false);
	cw_target_release(target, &takers[2].place, NULL);
	ck_assert_int_eq(cw_target_take(target, VOLUME, &place, &err), 0);
	ck_assert_uint_eq(place.medium->is.number, 3);
	cw_target_release(target, &place, NULL);
	/* At last nobody answers. */
	exhaust(cw_target_medium(target, 2));
	ck_assert_int_eq(cw_target_take(target, VOLUME, &place, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_NOSPACE);
	ck_assert_uint_eq(closed_count, 3);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("seed_parity");
	TCase *t = tcase_create("seed_parity");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, shards_of_a_medium_rebuild_its_volumes);
	tcase_add_test(t, a_group_that_was_cut_off_is_completed_by_reading);
	tcase_add_test(t, a_lost_volume_breaks_its_group_up);
	tcase_add_test(t, a_lost_shard_is_computed_again);
	tcase_add_test(t, a_line_without_its_name_is_a_whole_file);
	tcase_add_test(t, a_member_that_rotted_is_given_up);
	tcase_add_test(t, every_medium_has_groups_of_its_own);
	tcase_add_test(t, block_digests_follow_and_may_be_made_again);
	tcase_add_loop_test(t, no_medium_holds_two_of_a_group, 0, 16);
	tcase_add_test(t, a_cut_off_seed_is_laid_across_media_again);
	tcase_add_test(t, a_replaced_medium_costs_what_was_on_it_only);
	tcase_add_test(t, a_failing_medium_breaks_the_promise_and_says_so);
	tcase_add_test(t, all_media_must_be_there);
	tcase_add_test(t, a_full_target_waits_closes_and_asks);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
