#include "base/bytes.h"
#include "formats/parity/parity.h"
#include "tests/unit/vectors.h"

#include <check.h>

#define ROWS 255

/* As tests/vectors/parity/README.md says. */
static void
fill_row(uint8_t *out, size_t len, uint32_t k, uint32_t row)
{
	uint32_t x = k * 1000 + row * 7 + 1;

	for (size_t i = 0; i < len; i++) {
		x = x * 1664525u + 1013904223u;
		out[i] = (uint8_t)(x >> 24);
	}
}

/* A group in memory: all rows, of len bytes. */
struct group {
	struct cw_parity *p;
	uint32_t k, m;
	size_t len;
	uint8_t *rows[ROWS];
};

static struct group
make_group(uint32_t k, uint32_t m, size_t len)
{
	struct group g = {.k = k, .m = m, .len = len};

	ck_assert_int_eq(cw_parity_new(k, m, &g.p, NULL), 0);
	for (uint32_t i = 0; i < k + m; i++)
		g.rows[i] = cw_calloc(1, len + 1);
	for (uint32_t i = 0; i < k; i++)
		fill_row(g.rows[i], len, k, i);
	for (uint32_t i = 0; i < k; i++)
		cw_parity_add(g.p, i, g.rows[i], len, g.rows + k);
	return g;
}

static void
free_group(struct group *g)
{
	for (uint32_t i = 0; i < g->k + g->m; i++)
		free(g->rows[i]);
	cw_parity_free(g->p);
}

/* Loses the rows of a mask, rebuilds them from others, compares. */
static void
lose(const struct group *g, const bool *is_lost, uint32_t from)
{
	const uint8_t *have[ROWS];
	uint32_t have_rows[ROWS], want_rows[ROWS], haves = 0, wants = 0;
	uint8_t *out[ROWS];

	for (uint32_t i = 0; i < g->k + g->m; i++) {
		uint32_t row = (i + from) % (g->k + g->m);

		if (is_lost[row]) {
			out[wants] = cw_malloc(g->len + 1);
			memset(out[wants], 0x5a, g->len + 1);
			want_rows[wants++] = row;
		} else if (haves < g->k) {
			have[haves] = g->rows[row];
			have_rows[haves++] = row;
		}
	}
	ck_assert_uint_eq(haves, g->k);
	ck_assert_int_eq(cw_parity_rebuild(g->p, have_rows, have, want_rows,
			     wants, out, g->len, NULL),
	    0);
	for (uint32_t i = 0; i < wants; i++) {
		ck_assert_mem_eq(out[i], g->rows[want_rows[i]], g->len);
		ck_assert_uint_eq(out[i][g->len], 0x5a);
		free(out[i]);
	}
}

START_TEST(every_shard_is_what_an_independent_program_computes)
{
	struct cw_buf lines = vector_read("parity/expected");
	char *save = NULL;
	int count = 0;

	for (char *line = strtok_r((char *)lines.data, "\n", &save);
	     line != NULL; line = strtok_r(NULL, "\n", &save)) {
		char lengths[2048], hex[512], *at = lengths;
		unsigned k, m, j, len;
		struct cw_parity *p;
		uint8_t expected[256], data[256], shards[ROWS][256];
		uint8_t *acc[ROWS];

		memset(shards, 0, sizeof(shards));
		ck_assert_int_eq(sscanf(line, "%u %u %2047s %u %511s", &k, &m,
				     lengths, &j, hex),
		    5);
		len = (unsigned)strlen(hex) / 2;
		ck_assert(cw_hex_decode(hex, strlen(hex), expected, len));
		ck_assert_int_eq(cw_parity_new(k, m, &p, NULL), 0);
		for (unsigned i = 0; i < m; i++)
			acc[i] = shards[i];
		for (uint32_t row = 0; *at != '\0'; row++) {
			size_t n = strtoul(at, &at, 10);

			at += *at == ',';
			fill_row(data, n, k, row);
			cw_parity_add(p, row, data, n, acc);
		}
		ck_assert_mem_eq(shards[j - 1], expected, len);
		cw_parity_free(p);
		count++;
	}
	ck_assert_int_ge(count, 60);
	cw_buf_free(&lines);
}
END_TEST

START_TEST(every_loss_of_small_groups_is_rebuilt)
{
	for (uint32_t k = 1; k <= 5; k++)
		for (uint32_t m = 1; m <= 3; m++) {
			struct group g = make_group(k, m, 100);

			for (unsigned mask = 0; mask < 1u << (k + m); mask++) {
				bool is_lost[ROWS] = {false};

				if ((uint32_t)__builtin_popcount(mask) > m)
					continue;
				for (uint32_t i = 0; i < k + m; i++)
					is_lost[i] = mask >> i & 1;
				for (uint32_t from = 0; from < k + m; from++)
					lose(&g, is_lost, from);
			}
			free_group(&g);
		}
}
END_TEST

START_TEST(random_losses_of_wide_groups_are_rebuilt)
{
	static const struct {
		uint32_t k, m;
		size_t len;
	} wide[] = {{10, 2, 70001}, {10, 1, 4097}, {20, 20, 999},
	    {128, 127, 50}, {254, 1, 1}, {1, 254, 40}};
	uint32_t x = 4;

	for (size_t w = 0; w < sizeof(wide) / sizeof(wide[0]); w++) {
		struct group g = make_group(wide[w].k, wide[w].m, wide[w].len);

		for (int round = 0; round < 10; round++) {
			bool is_lost[ROWS] = {false};

			for (uint32_t i = 0; i < g.m; i++) {
				x = x * 1664525u + 1013904223u;
				is_lost[(x >> 8) % (g.k + g.m)] = true;
			}
			lose(&g, is_lost, x % (g.k + g.m));
		}
		free_group(&g);
	}
}
END_TEST

START_TEST(pieces_make_the_same_shard_as_the_whole)
{
	struct group g = make_group(3, 2, 50000);
	uint8_t *acc[2] = {cw_calloc(1, 50000), cw_calloc(1, 50000)};
	static const size_t steps[] = {1, 7, 4096, 333, 20000};

	for (uint32_t row = 3; row-- > 0;)
		for (size_t at = 0, i = 0; at < 50000; i++) {
			uint8_t *place[2] = {acc[0] + at, acc[1] + at};
			size_t n = steps[(i + row) % 5];

			n = n < 50000 - at ? n : 50000 - at;
			cw_parity_add(g.p, row, g.rows[row] + at, n, place);
			at += n;
		}
	ck_assert_mem_eq(acc[0], g.rows[3], 50000);
	ck_assert_mem_eq(acc[1], g.rows[4], 50000);
	free(acc[0]);
	free(acc[1]);
	free_group(&g);
}
END_TEST

START_TEST(rows_that_lack_count_as_zeros)
{
	struct cw_parity *p;
	uint8_t data[100], a[100] = {0}, b[100] = {0}, out[100];
	uint8_t *acc[2] = {a, b}, *want[1] = {out};
	const uint8_t *have[3] = {NULL, NULL, b};
	const uint32_t have_rows[3] = {1, 2, 4}, want_rows[1] = {0};

	ck_assert_int_eq(cw_parity_new(3, 2, &p, NULL), 0);
	fill_row(data, sizeof(data), 3, 0);
	cw_parity_add(p, 0, data, sizeof(data), acc);
	ck_assert_int_eq(cw_parity_rebuild(p, have_rows, have, want_rows, 1,
			     want, sizeof(out), NULL),
	    0);
	ck_assert_mem_eq(out, data, sizeof(data));
	cw_parity_free(p);
}
END_TEST

START_TEST(wrong_rows_and_geometries_are_refused)
{
	static const uint32_t twice[2] = {0, 0}, far[2] = {0, 3};
	static const uint32_t good[2] = {0, 2}, want1[1] = {1}, want0[1] = {0};
	static const uint32_t both[2] = {1, 1};
	uint8_t a[8] = {0}, b[8] = {0}, *out[2] = {a, b};
	const uint8_t *have[2] = {a, b};
	struct cw_error err = CW_ERROR_INIT;
	struct cw_parity *p;

	ck_assert_int_eq(cw_parity_new(0, 1, &p, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_USAGE);
	ck_assert_int_eq(cw_parity_new(1, 0, &p, NULL), -1);
	ck_assert_int_eq(cw_parity_new(128, 128, &p, NULL), -1);
	ck_assert_int_eq(cw_parity_new(UINT32_MAX, 2, &p, NULL), -1);
	ck_assert_int_eq(cw_parity_new(2, UINT32_MAX, &p, NULL), -1);
	ck_assert_ptr_null(p);
	ck_assert_int_eq(cw_parity_new(2, 1, &p, NULL), 0);
	ck_assert_int_eq(
	    cw_parity_rebuild(p, twice, have, want1, 1, out, 8, NULL), -1);
	ck_assert_int_eq(
	    cw_parity_rebuild(p, far, have, want1, 1, out, 8, NULL), -1);
	ck_assert_int_eq(
	    cw_parity_rebuild(p, good, have, want0, 1, out, 8, NULL), -1);
	ck_assert_int_eq(
	    cw_parity_rebuild(p, good, have, both, 2, out, 8, NULL), -1);
	ck_assert_int_eq(
	    cw_parity_rebuild(p, good, have, want1, 1, out, 8, NULL), 0);
	cw_parity_free(p);
}
END_TEST

START_TEST(names_of_shards_have_one_form)
{
	static const char *const bad[] = {"", "000001.rs", "1.01.rs",
	    "000001.1.rs", "000001.001.rs", "000000.01.rs", "000001.00.rs",
	    "000001.01.rs.tmp", "0000001.01.rs", "-00001.01.rs", "000001.+1.rs",
	    "000001.256.rs", "000001.tar.zst.age", "99999999999999999999.01.rs",
	    "copy/000001.01.rs"};
	char name[CW_PARITY_NAME_MAX];
	uint32_t group, shard;

	cw_parity_name(1, 2, name);
	ck_assert_str_eq(name, "000001.02.rs");
	ck_assert(cw_parity_name_parse(name, &group, &shard));
	ck_assert_uint_eq(group, 1);
	ck_assert_uint_eq(shard, 2);
	cw_parity_name(1234567, 255, name);
	ck_assert(cw_parity_name_parse(name, &group, &shard));
	ck_assert_uint_eq(group, 1234567);
	ck_assert_uint_eq(shard, 255);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!cw_parity_name_parse(bad[i], &group, &shard),
		    "%s", bad[i]);
}
END_TEST

START_TEST(what_is_survived_fits_a_page)
{
	static const uint32_t kinds[][4] = {{0, 0, 0, 1}, {10, 1, 0, 1},
	    {10, 2, 0, 3}, {4, 1, 1, 5}, {240, 15, 15, 255}};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct cw_buf text = CW_BUF_INIT;
		char *save = NULL;

		cw_parity_survives(&text, kinds[i][0], kinds[i][1], kinds[i][2],
		    kinds[i][3], 256u << 20);
		cw_buf_string(&text);
		for (char *line = strtok_r((char *)text.data, "\n", &save);
		     line != NULL; line = strtok_r(NULL, "\n", &save))
			ck_assert_msg(strlen(line) <= 76, "%s", line);
		cw_buf_free(&text);
	}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("parity");
	TCase *tc = tcase_create("parity");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, every_shard_is_what_an_independent_program_computes);
	tcase_add_test(tc, every_loss_of_small_groups_is_rebuilt);
	tcase_add_test(tc, random_losses_of_wide_groups_are_rebuilt);
	tcase_add_test(tc, pieces_make_the_same_shard_as_the_whole);
	tcase_add_test(tc, rows_that_lack_count_as_zeros);
	tcase_add_test(tc, wrong_rows_and_geometries_are_refused);
	tcase_add_test(tc, names_of_shards_have_one_form);
	tcase_add_test(tc, what_is_survived_fits_a_page);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
