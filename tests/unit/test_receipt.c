#include "base/crypto.h"
#include "formats/receipt/receipt.h"
#include "tests/unit/vectors.h"

#include <check.h>

static struct cw_minisign_secret *
read_secret(void)
{
	struct cw_buf text = vector_read("minisign/plain.key");
	struct cw_minisign_secret *secret = NULL;

	ck_assert_int_eq(cw_minisign_secret_parse(
			     (char *)text.data, text.len, NULL, &secret, NULL),
	    0);
	cw_buf_free(&text);
	return secret;
}

static struct cw_minisign_public
read_public(void)
{
	struct cw_minisign_secret *secret = read_secret();
	struct cw_minisign_public pub;

	cw_minisign_secret_public(secret, &pub);
	cw_minisign_secret_free(secret);
	return pub;
}

static int
run_receipt(const char *text, size_t len, struct cw_error *err)
{
	struct cw_minisign_public pub = read_public();
	char again[CW_RECEIPT_TEXT_SIZE];
	struct cw_receipt r;

	if (cw_receipt_decode(text, len, &r, err) < 0)
		return -1;
	cw_receipt_encode(&r, again);
	ck_assert_str_eq(again, text);
	return cw_receipt_verify(&r, &pub, err);
}

START_TEST(every_receipt_vector_has_its_outcome)
{
	ck_assert_int_eq(vector_run("receipt", "expected", run_receipt), 0);
}
END_TEST

START_TEST(signing_gives_the_bytes_of_an_independent_program)
{
	struct cw_buf text = vector_read("receipt/good.receipt");
	struct cw_minisign_secret *secret = read_secret();
	char again[CW_RECEIPT_TEXT_SIZE];
	struct cw_receipt r;

	ck_assert_int_eq(
	    cw_receipt_decode((char *)text.data, text.len, &r, NULL), 0);
	memset(r.signature, 0, sizeof(r.signature));
	ck_assert_int_eq(cw_receipt_sign(&r, secret, NULL), 0);
	cw_receipt_encode(&r, again);
	ck_assert_str_eq(again, (char *)text.data);
	cw_minisign_secret_free(secret);
	cw_buf_free(&text);
}
END_TEST

START_TEST(any_changed_character_of_a_receipt_is_refused)
{
	struct cw_buf text = vector_read("receipt/good.receipt");
	struct cw_minisign_public pub = read_public();
	struct cw_receipt r;

	for (size_t i = 0; i < text.len; i++) {
		char was = (char)text.data[i];

		text.data[i] = was == '2' ? '3' : '2';
		ck_assert(cw_receipt_decode(
			      (char *)text.data, text.len, &r, NULL) < 0 ||
			  cw_receipt_verify(&r, &pub, NULL) < 0);
		text.data[i] = (uint8_t)was;
	}
	cw_buf_free(&text);
}
END_TEST

START_TEST(refused_receipt_leaves_the_value_untouched)
{
	struct cw_buf text = vector_read("receipt/short-signature.receipt");
	struct cw_receipt r, before;

	memset(&r, 0x5a, sizeof(r));
	before = r;
	ck_assert_int_eq(
	    cw_receipt_decode((char *)text.data, text.len, &r, NULL), -1);
	ck_assert_mem_eq(&r, &before, sizeof(r));
	cw_buf_free(&text);
}
END_TEST

START_TEST(receipt_out_of_range_is_not_signed)
{
	struct cw_minisign_secret *secret = read_secret();
	struct cw_receipt r = {.wanted = CW_MANIFEST_COUNTER_MAX + 1};
	struct cw_error err = CW_ERROR_INIT;

	ck_assert_int_eq(cw_receipt_sign(&r, secret, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_USAGE);
	cw_minisign_secret_free(secret);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("receipt");
	TCase *tc = tcase_create("receipt");
	SRunner *runner;
	int failed;

	if (cw_crypto_init(NULL) < 0)
		return 1;
	tcase_add_test(tc, every_receipt_vector_has_its_outcome);
	tcase_add_test(tc, signing_gives_the_bytes_of_an_independent_program);
	tcase_add_test(tc, any_changed_character_of_a_receipt_is_refused);
	tcase_add_test(tc, refused_receipt_leaves_the_value_untouched);
	tcase_add_test(tc, receipt_out_of_range_is_not_signed);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
