#include "base/bytes.h"
#include "base/crypto.h"
#include "formats/manifest/checksums.h"
#include "formats/manifest/manifest.h"
#include "formats/manifest/medium.h"
#include "tests/unit/vectors.h"

#include <check.h>

/* Alice's public key of RFC 7748 section 6.1, as in the vectors. */
static const char age_hex[] =
    "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a";

static int
run_manifest(const char *text, size_t len, struct cw_error *err)
{
	struct cw_manifest m = CW_MANIFEST_INIT;
	struct cw_buf again = CW_BUF_INIT;

	if (cw_manifest_decode(text, len, &m, err) < 0) {
		ck_assert_ptr_null(m.files);
		return -1;
	}
	ck_assert_int_eq(cw_manifest_encode(&m, &again, err), 0);
	ck_assert_uint_eq(again.len, len);
	ck_assert_mem_eq(again.data, text, len);
	cw_buf_free(&again);
	cw_manifest_free(&m);
	return 0;
}

START_TEST(every_manifest_vector_has_its_outcome)
{
	ck_assert_int_eq(vector_run("manifest", "expected", run_manifest), 0);
}
END_TEST

static int
run_medium(const char *text, size_t len, struct cw_error *err)
{
	struct cw_buf again = CW_BUF_INIT;
	struct cw_medium medium;

	if (cw_medium_decode(text, len, &medium, err) < 0)
		return -1;
	ck_assert_int_eq(cw_medium_encode(&medium, &again, err), 0);
	ck_assert_uint_eq(again.len, len);
	ck_assert_mem_eq(again.data, text, len);
	cw_buf_free(&again);
	return 0;
}

START_TEST(every_medium_vector_has_its_outcome)
{
	ck_assert_int_eq(
	    vector_run("manifest", "expected-medium", run_medium), 0);
}
END_TEST

static int
run_checksums(const char *text, size_t len, struct cw_error *err)
{
	struct cw_checksums sums = CW_CHECKSUMS_INIT;
	struct cw_buf again = CW_BUF_INIT;

	if (cw_checksums_decode(text, len, &sums, err) < 0) {
		ck_assert_ptr_null(sums.items);
		return -1;
	}
	ck_assert_int_eq(cw_checksums_encode(&sums, &again, err), 0);
	ck_assert_uint_eq(again.len, len);
	if (len > 0)
		ck_assert_mem_eq(again.data, text, len);
	cw_buf_free(&again);
	cw_checksums_free(&sums);
	return 0;
}

START_TEST(every_checksums_vector_has_its_outcome)
{
	ck_assert_int_eq(
	    vector_run("manifest", "expected-checksums", run_checksums), 0);
}
END_TEST

START_TEST(an_error_names_its_line)
{
	struct cw_manifest m = CW_MANIFEST_INIT;
	struct cw_buf text = vector_read("manifest/leading-zero.manifest");
	struct cw_error err = CW_ERROR_INIT;

	ck_assert_int_eq(
	    cw_manifest_decode((char *)text.data, text.len, &m, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.message, "line 4"));
	cw_buf_free(&text);
}
END_TEST

static void
add(struct cw_manifest *m, uint32_t medium, const char *name)
{
	struct cw_manifest_file file = {.medium = medium, .size = 1};

	snprintf(file.name, sizeof(file.name), "%s", name);
	ck_assert_int_eq(cw_manifest_add_file(m, &file, NULL), 0);
}

static struct cw_manifest
small_manifest(void)
{
	struct cw_manifest m = CW_MANIFEST_INIT;
	uint8_t point[32] = {9};

	m.generation = 7;
	m.time = 1700000000;
	m.volume_size = 1 << 20;
	ck_assert_int_eq(cw_manifest_add_recipient(&m, point, NULL), 0);
	return m;
}

START_TEST(files_added_in_any_order_are_sorted_and_found)
{
	struct cw_manifest m = small_manifest();
	struct cw_buf text = CW_BUF_INIT;

	add(&m, 2, "a");
	add(&m, 1, "b");
	add(&m, 1, "B");
	ck_assert_ptr_nonnull(cw_manifest_find(&m, 1, "b"));
	ck_assert_int_eq(cw_manifest_encode(&m, &text, NULL), 0);
	ck_assert_str_eq(m.files[0].name, "B");
	ck_assert_str_eq(m.files[1].name, "b");
	ck_assert_str_eq(m.files[2].name, "a");
	ck_assert_ptr_eq(cw_manifest_find(&m, 2, "a"), &m.files[2]);
	ck_assert_ptr_null(cw_manifest_find(&m, 1, "a"));
	ck_assert_int_eq(run_manifest((char *)text.data, text.len, NULL), 0);
	cw_buf_free(&text);
	cw_manifest_free(&m);
}
END_TEST

START_TEST(a_file_twice_on_a_medium_is_not_encoded)
{
	struct cw_manifest m = small_manifest();
	struct cw_buf text = CW_BUF_INIT;
	struct cw_error err = CW_ERROR_INIT;

	add(&m, 1, "a");
	add(&m, 2, "a");
	add(&m, 1, "a");
	ck_assert_int_eq(cw_manifest_encode(&m, &text, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_USAGE);
	ck_assert_uint_eq(text.len, 0);
	cw_manifest_free(&m);
}
END_TEST

START_TEST(a_file_beyond_the_set_is_not_encoded)
{
	struct cw_manifest m = small_manifest();
	struct cw_buf text = CW_BUF_INIT;

	m.media = 1;
	add(&m, 2, "a");
	ck_assert_int_eq(cw_manifest_encode(&m, &text, NULL), -1);
	ck_assert_uint_eq(text.len, 0);
	cw_manifest_free(&m);
}
END_TEST

START_TEST(groups_are_found_by_their_volumes)
{
	static const uint32_t first[] = {3, 1}, second[] = {70000},
			      again[] = {9, 1};
	static const uint32_t zero[] = {0}, wide[] = {4, 5, 6};
	struct cw_manifest m = small_manifest();
	struct cw_error err = CW_ERROR_INIT;

	m.parity_k = 2;
	m.parity_m = 1;
	ck_assert_int_eq(cw_manifest_add_group(&m, 1, first, 2, NULL), 0);
	ck_assert_int_eq(cw_manifest_add_group(&m, 4, second, 1, NULL), 0);
	ck_assert_int_eq(cw_manifest_add_group(&m, 4, zero, 1, NULL), -1);
	ck_assert_int_eq(cw_manifest_add_group(&m, 5, zero, 1, NULL), -1);
	ck_assert_int_eq(cw_manifest_add_group(&m, 5, zero, 0, NULL), -1);
	ck_assert_int_eq(cw_manifest_add_group(&m, 5, wide, 3, NULL), -1);
	ck_assert_int_eq(cw_manifest_add_group(&m, 5, again, 2, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_USAGE);
	/* What failed left nothing behind. */
	ck_assert_ptr_null(cw_manifest_group_of(&m, 9));
	ck_assert_ptr_eq(cw_manifest_group_of(&m, 1), &m.groups[0]);
	ck_assert_ptr_eq(cw_manifest_group_of(&m, 3), &m.groups[0]);
	ck_assert_ptr_eq(cw_manifest_group_of(&m, 70000), &m.groups[1]);
	ck_assert_ptr_null(cw_manifest_group_of(&m, 2));
	ck_assert_ptr_null(cw_manifest_group_of(&m, UINT32_MAX));
	ck_assert_uint_eq(m.groups[1].number, 4);
	ck_assert_uint_eq(m.members[m.groups[0].first], 3);
	cw_manifest_free(&m);
}
END_TEST

START_TEST(a_described_medium_is_that_of_MEDIUM)
{
	struct cw_manifest m = small_manifest(), again = CW_MANIFEST_INIT;
	struct cw_buf text = CW_BUF_INIT, first = CW_BUF_INIT;
	struct cw_buf second = CW_BUF_INIT;
	struct cw_medium is = {.count = 3,
	    .label = " two  words ",
	    .filesystem = "-",
	    .time = 1700000000};

	for (uint32_t i = 3; i > 0; i--) {
		is.number = i;
		ck_assert_int_eq(cw_manifest_add_medium(&m, &is, NULL), 0);
	}
	ck_assert_int_eq(cw_manifest_add_medium(&m, &is, NULL), -1);
	ck_assert_int_eq(cw_manifest_encode(&m, &text, NULL), 0);
	ck_assert_int_eq(
	    cw_manifest_decode((char *)text.data, text.len, &again, NULL), 0);
	ck_assert_int_eq(cw_medium_encode(&is, &first, NULL), 0);
	ck_assert_ptr_nonnull(cw_manifest_medium(&again, 1));
	ck_assert_int_eq(
	    cw_medium_encode(cw_manifest_medium(&again, 1), &second, NULL), 0);
	ck_assert_str_eq(cw_buf_string(&first), cw_buf_string(&second));
	ck_assert_ptr_null(cw_manifest_medium(&again, 4));
	is.number = 4;
	is.seed_id[0] ^= 1;
	ck_assert_int_eq(cw_manifest_add_medium(&m, &is, NULL), -1);
	cw_buf_free(&text);
	cw_buf_free(&first);
	cw_buf_free(&second);
	cw_manifest_free(&m);
	cw_manifest_free(&again);
}
END_TEST

START_TEST(a_bad_name_is_not_added)
{
	struct cw_manifest m = small_manifest();
	struct cw_manifest_file file = {.name = "../x", .medium = 1};
	struct cw_error err = CW_ERROR_INIT;

	ck_assert_int_eq(cw_manifest_add_file(&m, &file, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_USAGE);
	memset(file.name, 'x', sizeof(file.name)); /* no NUL at all */
	ck_assert_int_eq(cw_manifest_add_file(&m, &file, NULL), -1);
	ck_assert_uint_eq(m.file_count, 0);
	cw_manifest_free(&m);
}
END_TEST

START_TEST(a_recipient_is_known_by_its_point)
{
	struct cw_buf text = vector_read("manifest/good.manifest");
	struct cw_manifest m = CW_MANIFEST_INIT;
	uint8_t point[32];

	ck_assert(cw_hex_decode(age_hex, 64, point, 32));
	ck_assert_int_eq(
	    cw_manifest_decode((char *)text.data, text.len, &m, NULL), 0);
	ck_assert(cw_manifest_has_recipient(&m, point));
	ck_assert_int_eq(cw_manifest_add_recipient(&m, point, NULL), 0);
	ck_assert_uint_eq(m.recipient_count, 2);
	point[0] ^= 1;
	ck_assert(!cw_manifest_has_recipient(&m, point));
	cw_manifest_free(&m);
	cw_buf_free(&text);
}
END_TEST

START_TEST(good_manifest_has_its_values)
{
	struct cw_buf text = vector_read("manifest/good.manifest");
	struct cw_manifest m = CW_MANIFEST_INIT;
	const struct cw_manifest_file *file;

	ck_assert_int_eq(
	    cw_manifest_decode((char *)text.data, text.len, &m, NULL), 0);
	ck_assert_uint_eq(m.seed_id[0], 0x01);
	ck_assert_uint_eq(m.store_id[15], 0xff);
	ck_assert_uint_eq(m.generation, 42);
	ck_assert_uint_eq(m.base, 0);
	ck_assert_uint_eq(m.epoch, 3);
	ck_assert_int_eq(m.time, 1795348800);
	ck_assert_uint_eq(m.signer[0], 0x2b);
	ck_assert_uint_eq(m.volume_size, 256u << 20);
	ck_assert_uint_eq(m.parity_k, 10);
	ck_assert_uint_eq(m.parity_m, 1);
	ck_assert_uint_eq(m.survive_media, 0);
	ck_assert_uint_eq(m.media, 2);
	ck_assert(m.is_final);
	ck_assert_uint_eq(m.file_count, 7);
	file = cw_manifest_find(&m, 1, "catalog.sqlite.zst.age");
	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(file->size, 70000);
	cw_manifest_free(&m);
	cw_buf_free(&text);
}
END_TEST

START_TEST(ten_thousand_files_come_back)
{
	struct cw_manifest m = small_manifest(), again = CW_MANIFEST_INIT;
	struct cw_buf text = CW_BUF_INIT;
	char name[32];

	for (unsigned i = 10000; i > 0; i--) {
		snprintf(name, sizeof(name), "%06u.tar.zst.age", i);
		add(&m, 1 + i % 3, name);
	}
	ck_assert_int_eq(cw_manifest_encode(&m, &text, NULL), 0);
	ck_assert_int_eq(
	    cw_manifest_decode((char *)text.data, text.len, &again, NULL), 0);
	ck_assert_uint_eq(again.file_count, 10000);
	ck_assert_ptr_nonnull(
	    cw_manifest_find(&again, 2, "009997.tar.zst.age"));
	cw_manifest_free(&again);
	cw_manifest_free(&m);
	cw_buf_free(&text);
}
END_TEST

START_TEST(checksums_sort_and_refuse_a_name_twice)
{
	struct cw_checksums sums = CW_CHECKSUMS_INIT;
	struct cw_buf text = CW_BUF_INIT;
	struct cw_error err = CW_ERROR_INIT;
	uint8_t xxh[16];

	cw_xxh("", 0, xxh);
	ck_assert_int_eq(cw_checksums_add(&sums, "b", xxh, NULL), 0);
	ck_assert_int_eq(cw_checksums_add(&sums, "a", xxh, NULL), 0);
	ck_assert_int_eq(cw_checksums_add(&sums, "/a", xxh, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_USAGE);
	ck_assert_ptr_nonnull(cw_checksums_find(&sums, "a"));
	ck_assert_int_eq(cw_checksums_encode(&sums, &text, NULL), 0);
	ck_assert_str_eq(cw_buf_string(&text),
	    "99aa06d3014798d86001c324468d497f  a\n"
	    "99aa06d3014798d86001c324468d497f  b\n");
	ck_assert_ptr_nonnull(cw_checksums_find(&sums, "b"));
	ck_assert_ptr_null(cw_checksums_find(&sums, "c"));
	ck_assert_int_eq(cw_checksums_add(&sums, "a", xxh, NULL), 0);
	ck_assert_int_eq(cw_checksums_encode(&sums, &text, &err), -1);
	cw_checksums_free(&sums);
	cw_buf_free(&text);
}
END_TEST

START_TEST(stock_xxh128sum_checks_our_checksums)
{
	struct cw_checksums sums = CW_CHECKSUMS_INIT;
	char dir[] = "/tmp/cw-checksums-XXXXXX";
	struct cw_buf text = CW_BUF_INIT;
	uint8_t xxh[16];
	char *command;

	if (system("command -v xxh128sum >/dev/null") != 0) {
		puts("skip: stock_xxh128sum_checks_our_checksums");
		return;
	}
	ck_assert_ptr_nonnull(mkdtemp(dir));
	cw_xxh("mail", 4, xxh);
	ck_assert_int_eq(cw_checksums_add(&sums, "copy/MEDIUM", xxh, NULL), 0);
	ck_assert_int_eq(
	    cw_checksums_add(&sums, "000001.tar.zst.age", xxh, NULL), 0);
	ck_assert_int_eq(cw_checksums_encode(&sums, &text, NULL), 0);
	command = cw_asprintf(
	    "cd %s && mkdir copy && printf mail >copy/MEDIUM && "
	    "printf mail >000001.tar.zst.age && printf '%s' >CHECKSUMS && "
	    "xxh128sum --strict -c CHECKSUMS >out 2>&1; status=$?; "
	    "rm -r %s; exit $status",
	    dir, cw_buf_string(&text), dir);
	ck_assert_int_eq(system(command), 0);
	free(command);
	cw_checksums_free(&sums);
	cw_buf_free(&text);
}
END_TEST

START_TEST(medium_with_values_it_cannot_have_is_not_encoded)
{
	const struct cw_medium good = {
	    .number = 1, .count = 2, .label = "x", .filesystem = "-"};
	struct cw_buf text = CW_BUF_INIT;
	struct cw_medium bad;

	ck_assert_int_eq(cw_medium_encode(&good, &text, NULL), 0);
	cw_buf_reset(&text);
	bad = good;
	bad.number = 3;
	ck_assert_int_eq(cw_medium_encode(&bad, &text, NULL), -1);
	bad = good;
	bad.label[0] = '\n';
	ck_assert_int_eq(cw_medium_encode(&bad, &text, NULL), -1);
	bad = good;
	bad.filesystem[0] = '\0';
	ck_assert_int_eq(cw_medium_encode(&bad, &text, NULL), -1);
	ck_assert_uint_eq(text.len, 0);
	cw_buf_free(&text);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("manifest");
	TCase *tc = tcase_create("manifest");
	struct cw_error err = CW_ERROR_INIT;
	SRunner *sr;
	int failed;

	if (cw_crypto_init(&err) < 0) {
		fprintf(stderr, "%s\n", err.message);
		return 1;
	}
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, every_manifest_vector_has_its_outcome);
	tcase_add_test(tc, every_medium_vector_has_its_outcome);
	tcase_add_test(tc, every_checksums_vector_has_its_outcome);
	tcase_add_test(tc, an_error_names_its_line);
	tcase_add_test(tc, files_added_in_any_order_are_sorted_and_found);
	tcase_add_test(tc, a_file_twice_on_a_medium_is_not_encoded);
	tcase_add_test(tc, a_file_beyond_the_set_is_not_encoded);
	tcase_add_test(tc, groups_are_found_by_their_volumes);
	tcase_add_test(tc, a_described_medium_is_that_of_MEDIUM);
	tcase_add_test(tc, a_bad_name_is_not_added);
	tcase_add_test(tc, a_recipient_is_known_by_its_point);
	tcase_add_test(tc, good_manifest_has_its_values);
	tcase_add_test(tc, ten_thousand_files_come_back);
	tcase_add_test(tc, checksums_sort_and_refuse_a_name_twice);
	tcase_add_test(tc, stock_xxh128sum_checks_our_checksums);
	tcase_add_test(tc, medium_with_values_it_cannot_have_is_not_encoded);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
