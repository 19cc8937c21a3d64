/* formats/certificate: vectors, and what no certificate may say. */
#include "formats/certificate/certificate.h"
#include "tests/unit/vectors.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static int
run_certificate(const char *text, size_t len, struct cw_error *err)
{
	struct cw_certificate c = CW_CERTIFICATE_INIT;
	struct cw_buf again = CW_BUF_INIT;

	if (cw_certificate_decode(text, len, &c, err) < 0) {
		ck_assert_ptr_null(c.media);
		ck_assert_ptr_null(c.damage);
		return -1;
	}
	ck_assert_int_eq(cw_certificate_encode(&c, &again, err), 0);
	ck_assert_uint_eq(again.len, len);
	ck_assert_mem_eq(again.data, text, len);
	cw_buf_free(&again);
	cw_certificate_free(&c);
	return 0;
}

START_TEST(certificates_are_judged_as_the_spec_says)
{
	ck_assert_int_eq(
	    vector_run("certificate", "expected", run_certificate), 0);
}
END_TEST

START_TEST(the_example_says_what_the_spec_says)
{
	struct cw_buf file =
	    vector_read("certificate/good-spec-example.certificate");
	struct cw_certificate c = CW_CERTIFICATE_INIT;
	const struct cw_certificate_medium *m;

	ck_assert_int_eq(
	    cw_certificate_decode((const char *)file.data, file.len, &c, NULL),
	    0);
	ck_assert_uint_eq(c.generation, 42);
	ck_assert_uint_eq(c.revision, 1);
	ck_assert(c.is_final);
	ck_assert_str_eq(c.site, "shreveport");
	ck_assert_int_eq(c.method, CW_CERTIFICATE_DEVICE);
	ck_assert_int_eq(c.to - c.from, 1200);
	ck_assert_int_eq(c.result, CW_CERTIFICATE_REPAIRABLE);
	m = cw_certificate_medium(&c, 1);
	ck_assert_ptr_nonnull(m);
	ck_assert_uint_eq(m->bytes, 3221225472);
	ck_assert_str_eq(m->label, "CAUSEWAY-01");
	ck_assert_ptr_null(cw_certificate_medium(&c, 2));
	ck_assert_uint_eq(c.damage_count, 1);
	ck_assert_uint_eq(c.damage[0].offset, 65536);
	ck_assert_uint_eq(c.damage[0].length, 131072);
	ck_assert(c.damage[0].is_repairable);
	cw_certificate_free(&c);
	cw_buf_free(&file);
}
END_TEST

static struct cw_certificate
a_certificate(void)
{
	struct cw_certificate c = CW_CERTIFICATE_INIT;
	struct cw_certificate_medium m = {.number = 2, .filesystem = "-"};

	c.revision = 1;
	c.is_final = true;
	c.media_count = 2;
	strcpy(c.site, "shreveport");
	cw_certificate_add_medium(&c, &m);
	m.number = 1;
	cw_certificate_add_medium(&c, &m);
	return c;
}

static void
encode_is(struct cw_certificate *c, int want)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_buf buf = CW_BUF_INIT;

	ck_assert_msg(
	    cw_certificate_encode(c, &buf, &err) == want, "%s", err.message);
	if (want < 0) {
		ck_assert_int_eq(err.code, CW_ERR_USAGE);
		ck_assert_uint_eq(buf.len, 0);
	}
	cw_buf_free(&buf);
	cw_certificate_free(c);
}

START_TEST(media_are_put_in_order)
{
	struct cw_certificate c = a_certificate();

	encode_is(&c, 0);
}
END_TEST

START_TEST(what_no_certificate_may_say_is_not_written)
{
	struct cw_certificate c = a_certificate();

	c.from = 5;
	encode_is(&c, -1); /* after it ends */
	c = a_certificate();
	c.media_count = 3; /* one was not there */
	encode_is(&c, -1);
	c = a_certificate();
	c.media[0].number = 1; /* twice */
	encode_is(&c, -1);
	c = a_certificate();
	strcpy(c.site, "no name");
	encode_is(&c, -1);
	c = a_certificate();
	strcpy(c.media[1].label, "two\nlines");
	encode_is(&c, -1);
	c = a_certificate();
	cw_certificate_add_damage(
	    &c, &(struct cw_certificate_damage){.file = "MEDIUM"});
	encode_is(&c, -1); /* and yet ok */
}
END_TEST

START_TEST(damage_beyond_the_limit_is_counted)
{
	struct cw_certificate c = a_certificate();

	c.result = CW_CERTIFICATE_DAMAGED;
	for (unsigned i = 0; i < CW_CERTIFICATE_DAMAGE_MAX + 3; i++)
		cw_certificate_add_damage(
		    &c, &(struct cw_certificate_damage){.file = "MEDIUM"});
	ck_assert_uint_eq(c.damage_count, CW_CERTIFICATE_DAMAGE_MAX);
	ck_assert_uint_eq(c.damage_more, 3);
	encode_is(&c, 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("certificate");
	TCase *tc = tcase_create("certificate");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, certificates_are_judged_as_the_spec_says);
	tcase_add_test(tc, the_example_says_what_the_spec_says);
	tcase_add_test(tc, media_are_put_in_order);
	tcase_add_test(tc, what_no_certificate_may_say_is_not_written);
	tcase_add_test(tc, damage_beyond_the_limit_is_counted);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
