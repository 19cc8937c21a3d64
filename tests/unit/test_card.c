#include "base/bytes.h"
#include "base/crypto.h"
#include "formats/card/card.h"
#include "formats/card/words.h"
#include "tests/unit/vectors.h"

#include <check.h>

static struct cw_card
read_card(const char *name)
{
	struct cw_buf text = vector_read(name);
	struct cw_card card;
	struct cw_error err = CW_ERROR_INIT;

	ck_assert_msg(
	    cw_card_decode((char *)text.data, text.len, &card, &err) == 0, "%s",
	    err.message);
	cw_buf_free(&text);
	return card;
}

static int
run_card(const char *text, size_t len, struct cw_error *err)
{
	char again[CW_CARD_TEXT_SIZE];
	struct cw_card card;

	if (cw_card_decode(text, len, &card, err) < 0)
		return -1;
	cw_card_encode(&card, again);
	ck_assert_ptr_nonnull(strstr(text, again));
	return 0;
}

START_TEST(every_card_vector_has_its_outcome)
{
	ck_assert_int_eq(vector_run("card", "expected", run_card), 0);
}
END_TEST

START_TEST(any_changed_character_of_a_card_is_refused)
{
	struct cw_buf text = vector_read("card/good.card");
	struct cw_card card;

	for (size_t i = 0; i < text.len - 1; i++) {
		char was = (char)text.data[i];

		text.data[i] = was == 'b' ? 'c' : 'b';
		ck_assert_int_eq(
		    cw_card_decode((char *)text.data, text.len, &card, NULL),
		    -1);
		text.data[i] = (uint8_t)was;
	}
	cw_buf_free(&text);
}
END_TEST

START_TEST(refused_card_leaves_the_value_untouched)
{
	struct cw_card card, before;

	memset(&card, 0x5a, sizeof(card));
	before = card;
	ck_assert_int_eq(cw_card_decode("causeway1 x y", 13, &card, NULL), -1);
	ck_assert_mem_eq(&card, &before, sizeof(card));
}
END_TEST

START_TEST(fingerprint_has_its_hex_and_its_words)
{
	struct cw_card card = read_card("card/good.card");
	struct cw_buf hex = vector_read("card/good.fingerprint");
	struct cw_buf words = vector_read("card/good.words");
	uint8_t fingerprint[CW_CARD_FINGERPRINT_SIZE];
	char text[2 * CW_CARD_FINGERPRINT_SIZE + 1];
	char spoken[CW_CARD_WORDS_SIZE], id[CW_CARD_SHORT_ID_SIZE];

	cw_card_fingerprint(&card, fingerprint);
	cw_hex_encode(fingerprint, sizeof(fingerprint), text);
	ck_assert_int_eq(strncmp((char *)hex.data, text, 64), 0);
	cw_card_fingerprint_text(&card, spoken);
	ck_assert_int_eq(
	    strncmp((char *)words.data, spoken, strlen(spoken)), 0);
	cw_card_short_id(&card, id);
	ck_assert_int_eq(strncmp((char *)hex.data, id, 16), 0);
	cw_buf_free(&words);
	cw_buf_free(&hex);
}
END_TEST

START_TEST(fingerprint_does_not_depend_on_the_name)
{
	struct cw_card one = read_card("card/good.card");
	struct cw_card two = read_card("card/good-long-name.card");
	uint8_t a[CW_CARD_FINGERPRINT_SIZE], b[CW_CARD_FINGERPRINT_SIZE];

	cw_card_fingerprint(&one, a);
	cw_card_fingerprint(&two, b);
	ck_assert_mem_eq(a, b, sizeof(a));
	two.age_point[0] ^= 1;
	cw_card_fingerprint(&two, b);
	ck_assert_mem_ne(a, b, sizeof(a));
}
END_TEST

START_TEST(words_are_sorted_and_differ_in_four_letters)
{
	char longest[CW_CARD_WORDS_SIZE];
	uint8_t fingerprint[CW_CARD_FINGERPRINT_SIZE] = {0};

	for (int i = 0; i < 256; i++) {
		size_t len = strlen(cw_card_words[i]);

		ck_assert_uint_le(len, CW_CARD_WORD_MAX);
		ck_assert_uint_eq(
		    strspn(cw_card_words[i], "abcdefghijklmnopqrstuvwxyz"),
		    len);
		if (i > 0) {
			ck_assert_int_lt(
			    strcmp(cw_card_words[i - 1], cw_card_words[i]), 0);
			ck_assert_int_ne(
			    strncmp(cw_card_words[i - 1], cw_card_words[i], 4),
			    0);
		}
		if (len == CW_CARD_WORD_MAX)
			memset(fingerprint, i, sizeof(fingerprint));
	}
	cw_card_fingerprint_words(fingerprint, longest);
	ck_assert_uint_eq(strlen(longest), 16 * CW_CARD_WORD_MAX + 12 + 9);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("card");
	TCase *tc = tcase_create("card");
	struct cw_error err = CW_ERROR_INIT;
	SRunner *sr;
	int failed;

	if (cw_crypto_init(&err) < 0) {
		fprintf(stderr, "%s\n", err.message);
		return 1;
	}
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, every_card_vector_has_its_outcome);
	tcase_add_test(tc, any_changed_character_of_a_card_is_refused);
	tcase_add_test(tc, refused_card_leaves_the_value_untouched);
	tcase_add_test(tc, fingerprint_has_its_hex_and_its_words);
	tcase_add_test(tc, fingerprint_does_not_depend_on_the_name);
	tcase_add_test(tc, words_are_sorted_and_differ_in_four_letters);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
