#include "base/crypto.h"
#include "site/escrow.h"
#include "tests/unit/vectors.h"

#include <check.h>
#include <ctype.h>

#define MADE   5u
#define NEEDED 3u

static int
run_share(const char *text, size_t len, struct cw_error *err)
{
	char again[CW_SHARE_TEXT_SIZE];
	struct cw_share s;

	if (cw_share_decode(text, len, &s, err) < 0)
		return -1;
	cw_share_encode(&s, again);
	ck_assert_str_eq(again, text);
	return 0;
}

static struct cw_age_identity *
read_key(void)
{
	struct cw_buf text = vector_read("share/key");
	struct cw_age_identity *id = NULL;

	ck_assert_int_eq(
	    cw_age_identity_parse((char *)text.data, text.len, &id, NULL), 0);
	cw_buf_free(&text);
	return id;
}

static bool
is_same_key(const struct cw_age_identity *a, const struct cw_age_identity *b)
{
	return memcmp(cw_age_identity_scalar(a, 0),
		   cw_age_identity_scalar(b, 0), 32) == 0;
}

START_TEST(every_share_vector_has_its_outcome)
{
	ck_assert_int_eq(vector_run("share", "expected", run_share), 0);
}
END_TEST

START_TEST(changed_character_is_named_by_its_group)
{
	struct cw_buf text = vector_read("share/group-4-changed.share");
	struct cw_buf last = vector_read("share/last-group-changed.share");
	struct cw_error err = CW_ERROR_INIT;
	struct cw_share s;

	ck_assert_int_eq(
	    cw_share_decode((char *)text.data, text.len, &s, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.message, "group 4"));
	ck_assert_int_eq(
	    cw_share_decode((char *)last.data, last.len, &s, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.message, "last group"));
	cw_buf_free(&text);
	cw_buf_free(&last);
}
END_TEST

START_TEST(any_changed_character_of_a_share_is_refused)
{
	struct cw_buf text = vector_read("share/good-1.share");
	struct cw_share s;

	for (size_t i = 0; i < text.len; i++) {
		char was = (char)text.data[i];

		text.data[i] = was == '2' ? '3' : '2';
		ck_assert_int_eq(
		    cw_share_decode((char *)text.data, text.len, &s, NULL), -1);
		text.data[i] = (uint8_t)was;
	}
	cw_buf_free(&text);
}
END_TEST

/* Which of MADE shares a mask stands for. */
static size_t
choose(const struct cw_share *all, unsigned mask, struct cw_share *out)
{
	size_t n = 0;

	for (unsigned i = 0; i < MADE; i++)
		if ((mask >> i & 1) != 0)
			out[n++] = all[i];
	return n;
}

static void
try_all_subsets(const struct cw_share *all, const struct cw_age_identity *key)
{
	for (unsigned mask = 1; mask < 1u << MADE; mask++) {
		struct cw_age_identity *joined = NULL;
		struct cw_error err = CW_ERROR_INIT;
		struct cw_share some[MADE];
		size_t n = choose(all, mask, some);
		int ret = cw_escrow_join(some, n, &joined, &err);

		if (n >= NEEDED) {
			ck_assert_msg(ret == 0, "%s", err.message);
			ck_assert(is_same_key(joined, key));
		} else {
			ck_assert_int_eq(ret, -1);
			ck_assert_int_eq(err.code, CW_ERR_MISSING);
			ck_assert_ptr_null(joined);
		}
		cw_age_identity_free(joined);
	}
}

START_TEST(every_subset_that_is_large_enough_joins_to_the_key)
{
	struct cw_age_identity *key = cw_age_identity_generate();
	struct cw_share *all = NULL;

	ck_assert_int_eq(cw_escrow_split(key, NEEDED, MADE, &all, NULL), 0);
	try_all_subsets(all, key);
	cw_secret_free(all);
	cw_age_identity_free(key);
}
END_TEST

START_TEST(shares_of_an_independent_program_join)
{
	struct cw_age_identity *key = read_key();
	struct cw_share all[MADE];

	for (unsigned i = 0; i < MADE; i++) {
		char *name = cw_asprintf("share/good-%u.share", i + 1);
		struct cw_buf text = vector_read(name);

		ck_assert_int_eq(
		    cw_share_decode((char *)text.data, text.len, &all[i], NULL),
		    0);
		cw_buf_free(&text);
		free(name);
	}
	try_all_subsets(all, key);
	cw_age_identity_free(key);
}
END_TEST

START_TEST(two_splits_have_nothing_in_common)
{
	struct cw_age_identity *key = read_key();
	struct cw_share *a = NULL, *b = NULL;

	ck_assert_int_eq(cw_escrow_split(key, 2, 3, &a, NULL), 0);
	ck_assert_int_eq(cw_escrow_split(key, 2, 3, &b, NULL), 0);
	ck_assert_mem_ne(a[0].split, b[0].split, CW_SHARE_SPLIT_SIZE);
	ck_assert_mem_ne(a[0].data, b[0].data, CW_SHARE_DATA_SIZE);
	ck_assert_mem_ne(a[0].data, a[1].data, CW_SHARE_DATA_SIZE);
	cw_secret_free(a);
	cw_secret_free(b);
	cw_age_identity_free(key);
}
END_TEST

static void
check_untrusted(const struct cw_share *shares, size_t n, const char *sentence)
{
	struct cw_age_identity *joined = NULL;
	struct cw_error err = CW_ERROR_INIT;

	ck_assert_int_eq(cw_escrow_join(shares, n, &joined, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_UNTRUSTED);
	ck_assert_msg(strstr(err.message, sentence) != NULL, "%s", err.message);
	ck_assert_ptr_null(joined);
}

START_TEST(shares_that_do_not_belong_together_are_refused)
{
	struct cw_age_identity *key = read_key();
	struct cw_age_identity *other = cw_age_identity_generate();
	struct cw_share *a = NULL, *b = NULL, *c = NULL, some[3];

	ck_assert_int_eq(cw_escrow_split(key, 2, 3, &a, NULL), 0);
	ck_assert_int_eq(cw_escrow_split(key, 2, 3, &b, NULL), 0);
	ck_assert_int_eq(cw_escrow_split(other, 2, 3, &c, NULL), 0);
	some[0] = a[0];
	some[1] = b[1];
	check_untrusted(some, 2, "different splits");
	some[1] = c[1];
	check_untrusted(some, 2, "different keys");
	some[1] = a[0];
	some[1].data[0] ^= 1;
	some[2] = a[2];
	check_untrusted(some, 3, "given twice");
	some[1] = a[1];
	some[1].data[31] ^= 0x80;
	check_untrusted(some, 2, "do not give the key");
	cw_secret_free(a);
	cw_secret_free(b);
	cw_secret_free(c);
	cw_age_identity_free(key);
	cw_age_identity_free(other);
}
END_TEST

START_TEST(same_share_twice_counts_once)
{
	struct cw_age_identity *key = read_key(), *joined = NULL;
	struct cw_share *a = NULL, some[3];
	struct cw_error err = CW_ERROR_INIT;

	ck_assert_int_eq(cw_escrow_split(key, 3, 3, &a, NULL), 0);
	some[0] = some[1] = a[0];
	some[2] = a[2];
	ck_assert_int_eq(cw_escrow_join(some, 3, &joined, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_MISSING);
	ck_assert_ptr_nonnull(strstr(err.message, "bring 1 more"));
	cw_secret_free(a);
	cw_age_identity_free(key);
}
END_TEST

START_TEST(largest_split_joins)
{
	struct cw_age_identity *key = read_key(), *joined = NULL;
	struct cw_share *a = NULL;

	ck_assert_int_eq(cw_escrow_split(key, 255, 255, &a, NULL), 0);
	ck_assert_int_eq(cw_escrow_join(a, 255, &joined, NULL), 0);
	ck_assert(is_same_key(joined, key));
	cw_age_identity_free(joined);
	cw_secret_free(a);
	cw_age_identity_free(key);
}
END_TEST

START_TEST(split_refuses_numbers_that_make_no_sense)
{
	static const unsigned wrong[][2] = {
	    {0, 3}, {1, 3}, {4, 3}, {2, 256}, {300, 300}};
	struct cw_age_identity *key = read_key();

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct cw_error err = CW_ERROR_INIT;
		struct cw_share *a = NULL;

		ck_assert_int_eq(
		    cw_escrow_split(key, wrong[i][0], wrong[i][1], &a, &err),
		    -1);
		ck_assert_int_eq(err.code, CW_ERR_USAGE);
		ck_assert_ptr_null(a);
	}
	cw_age_identity_free(key);
}
END_TEST

START_TEST(shares_are_found_in_what_people_typed)
{
	struct cw_buf one = vector_read("share/good-1.share");
	struct cw_buf two = vector_read("share/good-2.share");
	struct cw_buf text = CW_BUF_INIT;
	struct cw_share *list = NULL;
	struct cw_error err = CW_ERROR_INIT;
	size_t count = 0;

	for (size_t i = 0; i < one.len; i++) /* capitals, wrapped lines */
		one.data[i] = one.data[i] == ' ' && i > 30
				  ? (i % 2 == 0 ? '\n' : '\t')
				  : (uint8_t)toupper(one.data[i]);
	cw_buf_text(&text, "# causeway-share1 in a comment is none\n\nHere: ");
	cw_buf_append(&text, one.data, one.len);
	cw_buf_text(&text, "\r\nand another one\n");
	cw_buf_append(&text, two.data, two.len);
	ck_assert_msg(cw_escrow_read("x", (char *)text.data, text.len, &list,
			  &count, &err) == 0,
	    "%s", err.message);
	ck_assert_uint_eq(count, 2);
	ck_assert_uint_eq(list[0].index, 1);
	ck_assert_uint_eq(list[1].index, 2);
	cw_secret_free(list);
	cw_buf_free(&text);
	cw_buf_free(&one);
	cw_buf_free(&two);
}
END_TEST

START_TEST(typing_error_says_which_share_of_which_file)
{
	struct cw_buf one = vector_read("share/good-1.share");
	struct cw_buf two = vector_read("share/group-4-changed.share");
	struct cw_buf text = CW_BUF_INIT;
	struct cw_share *list = NULL;
	struct cw_error err = CW_ERROR_INIT;
	size_t count = 0;

	cw_buf_printf(&text, "%s\n%s\n", (char *)one.data, (char *)two.data);
	ck_assert_int_eq(cw_escrow_read("paper.txt", (char *)text.data,
			     text.len, &list, &count, &err),
	    -1);
	ck_assert_msg(strstr(err.message, "paper.txt, share 2: ") != NULL, "%s",
	    err.message);
	ck_assert_ptr_nonnull(strstr(err.message, "group 4"));
	cw_secret_free(list);
	cw_buf_free(&text);
	cw_buf_free(&one);
	cw_buf_free(&two);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("escrow");
	TCase *tc = tcase_create("escrow");
	SRunner *runner;
	int failed;

	if (cw_crypto_init(NULL) < 0)
		return 1;
	/* The best random bytes take their time. */
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, every_share_vector_has_its_outcome);
	tcase_add_test(tc, changed_character_is_named_by_its_group);
	tcase_add_test(tc, any_changed_character_of_a_share_is_refused);
	tcase_add_test(tc, every_subset_that_is_large_enough_joins_to_the_key);
	tcase_add_test(tc, shares_of_an_independent_program_join);
	tcase_add_test(tc, two_splits_have_nothing_in_common);
	tcase_add_test(tc, shares_that_do_not_belong_together_are_refused);
	tcase_add_test(tc, same_share_twice_counts_once);
	tcase_add_test(tc, largest_split_joins);
	tcase_add_test(tc, split_refuses_numbers_that_make_no_sense);
	tcase_add_test(tc, shares_are_found_in_what_people_typed);
	tcase_add_test(tc, typing_error_says_which_share_of_which_file);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
