#include "media/slip.h"
#include "tests/unit/vectors.h"

#include <check.h>

static struct cw_slip
make_slip(void)
{
	struct cw_slip s = {
	    .seed_id = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef},
	    .number = 2,
	    .media = 3,
	    .label = "CAUSEWAY-02",
	    .filesystem = "0a1b2c3d-0000-4000-8000-000000000001",
	    .bytes = 1640000000,
	    .from = "metairie",
	    .to = "shreveport",
	    .time = 1795348800,
	    .call = "Ann Otis +1 504 555 0100",
	};

	for (uint8_t i = 0; i < 32; i++)
		s.manifest_sha256[i] = i;
	return s;
}

/* The page up to its code. */
static char *
page_of(const struct cw_slip *s)
{
	struct cw_buf out = CW_BUF_INIT;
	struct cw_error err = CW_ERROR_INIT;

	ck_assert_msg(
	    cw_slip_page(s, CW_QR_DARK, &out, &err) == 0, "%s", err.message);
	return cw_buf_string(&out);
}

/* Columns of UTF-8 text without wide characters. */
static size_t
widest(const char *text)
{
	size_t most = 0, now = 0;

	for (; *text != '\0'; text++) {
		if (*text == '\n')
			now = 0;
		else if (((unsigned char)*text & 0xc0) != 0x80)
			now++;
		if (now > most)
			most = now;
	}
	return most;
}

static void
check_has(const char *page, const char *text)
{
	ck_assert_msg(
	    strstr(page, text) != NULL, "no \"%s\" in\n%s", text, page);
}

START_TEST(slip_says_what_where_to_and_whom_to_call)
{
	struct cw_slip s = make_slip();
	char *page = page_of(&s);

	check_has(page, "0123456789abcdef");
	check_has(page, "2 of 3");
	check_has(page, "CAUSEWAY-02");
	check_has(page, "0a1b2c3d-0000-4000-8000-000000000001");
	check_has(page, "1,640,000,000 bytes");
	check_has(page, "from metairie to shreveport");
	check_has(page, "2026-11-22T12:00:00Z");
	check_has(page, "0001 0203 0405 0607 0809 0a0b 0c0d 0e0f");
	check_has(page, "causeway verify");
	check_has(page, "causeway receive");
	check_has(page, "CALL  Ann Otis +1 504 555 0100");
	free(page);
}
END_TEST

START_TEST(slip_is_never_wider_than_a_page)
{
	struct cw_slip s = make_slip();
	char *page = page_of(&s), call[CW_SLIP_CALL_MAX + 1];

	ck_assert_uint_le(widest(page), CW_SLIP_COLUMNS);
	free(page);
	s.number = s.media = 9999;
	s.bytes = UINT64_MAX;
	memset(s.label, '%', CW_MEDIUM_LABEL_MAX);
	memset(s.filesystem, 'x', CW_MEDIUM_UUID_MAX);
	memset(call, 'c', sizeof(call) - 1);
	call[sizeof(call) - 1] = '\0';
	s.call = call;
	page = page_of(&s);
	ck_assert_uint_le(widest(page), CW_SLIP_COLUMNS);
	free(page);
}
END_TEST

START_TEST(slip_without_names_tells_no_site)
{
	struct cw_slip s = make_slip();
	char *page;

	s.from = s.to = s.call = NULL;
	page = page_of(&s);
	ck_assert_ptr_null(strstr(page, "metairie"));
	ck_assert_ptr_null(strstr(page, "shreveport"));
	check_has(page, "CALL  ____");
	free(page);
}
END_TEST

START_TEST(text_of_others_cannot_move_the_printer)
{
	struct cw_slip s = make_slip();
	char *page;

	s.call = "a\x1b[2J\nCALL someone else";
	page = page_of(&s);
	ck_assert_ptr_null(strchr(page, '\x1b'));
	ck_assert_ptr_null(strstr(page, "\nCALL someone"));
	free(page);
}
END_TEST

START_TEST(code_is_one_line_of_plain_words)
{
	struct cw_slip s = make_slip();
	char code[CW_SLIP_CODE_SIZE];

	cw_slip_code(&s, code);
	ck_assert_str_eq(code, "causeway-slip 1 0123456789abcdef 2/3 "
			       "000102030405060708090a0b0c0d0e0f"
			       "101112131415161718191a1b1c1d1e1f CAUSEWAY-02");
	snprintf(s.label, sizeof(s.label), "my disk");
	cw_slip_code(&s, code);
	ck_assert_ptr_nonnull(strstr(code, " my%20disk"));
	s.label[0] = '\0';
	cw_slip_code(&s, code);
	ck_assert_str_eq(code + strlen(code) - 2, " -");
	memset(s.label, ' ', CW_MEDIUM_LABEL_MAX);
	s.number = s.media = 9999;
	cw_slip_code(&s, code);
	ck_assert_uint_lt(strlen(code), CW_SLIP_CODE_SIZE);
}
END_TEST

START_TEST(codes_for_paper_and_screen_are_each_others_negative)
{
	struct cw_buf dark = CW_BUF_INIT, light = CW_BUF_INIT;

	ck_assert_int_eq(cw_qr_draw("x", CW_QR_DARK, 0, &dark, NULL), 0);
	ck_assert_int_eq(cw_qr_draw("x", CW_QR_LIGHT, 0, &light, NULL), 0);
	/* The quiet zone: nothing on paper, all light on a screen. */
	ck_assert_int_eq(dark.data[0], ' ');
	ck_assert_mem_eq(light.data, "\u2588", 3);
	cw_buf_free(&dark);
	cw_buf_free(&light);
}
END_TEST

START_TEST(text_that_no_code_can_hold_is_refused)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_buf out = CW_BUF_INIT;
	char *text = cw_calloc(5001, 1);

	memset(text, 'x', 5000);
	ck_assert_int_eq(cw_qr_draw(text, CW_QR_DARK, 0, &out, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_USAGE);
	free(text);
	cw_buf_free(&out);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("slip");
	TCase *tc = tcase_create("slip");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, slip_says_what_where_to_and_whom_to_call);
	tcase_add_test(tc, slip_is_never_wider_than_a_page);
	tcase_add_test(tc, slip_without_names_tells_no_site);
	tcase_add_test(tc, text_of_others_cannot_move_the_printer);
	tcase_add_test(tc, code_is_one_line_of_plain_words);
	tcase_add_test(tc, codes_for_paper_and_screen_are_each_others_negative);
	tcase_add_test(tc, text_that_no_code_can_hold_is_refused);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
