#include "seed/member_name.h"

#include <check.h>
#include <string.h>

static const char *
make(const char *path, uint32_t part, uint32_t parts)
{
	static struct cw_buf out;

	cw_buf_reset(&out);
	return cw_member_name_make(&out, path, strlen(path), part, parts);
}

START_TEST(a_usual_name_stays_as_it_is)
{
	ck_assert_str_eq(make("mail/u/cur/1.M2.h:2,S", 0, 0),
	    "mail/u/cur/1.M2.h:2,S");
}
END_TEST

START_TEST(parts_are_numbered_with_four_digits)
{
	ck_assert_str_eq(make("mail/big", 1, 120),
	    "mail/big.causeway-part-0001-of-0120");
	ck_assert_str_eq(make("mail/big", 9999, 9999),
	    "mail/big.causeway-part-9999-of-9999");
}
END_TEST

START_TEST(a_file_named_like_a_part_gets_a_name_of_its_own)
{
	ck_assert_str_eq(make("mail/x.causeway-part-0001-of-0002", 0, 0),
	    "mail/x.causeway-part-0001-of-0002.causeway-part-0001-of-0001");
}
END_TEST

START_TEST(what_was_made_is_parsed)
{
	const char *name = make("mail/big", 7, 12);
	uint32_t part, parts;
	size_t len;

	ck_assert(cw_member_name_parse(name, strlen(name), &len, &part,
	    &parts));
	ck_assert_uint_eq(len, strlen("mail/big"));
	ck_assert_uint_eq(part, 7);
	ck_assert_uint_eq(parts, 12);
}
END_TEST

START_TEST(what_is_no_part_is_not_parsed)
{
	static const char *const names[] = {"mail/big",
	    "mail/big.causeway-part-0000-of-0002",
	    "mail/big.causeway-part-0003-of-0002",
	    "mail/big.causeway-part-1-of-2",
	    "mail/big.causeway-part-0001-of-000x",
	    "mail/.causeway-part-0001-of-0002",
	    ".causeway-part-0001-of-0002",
	    "mail/big.causeway-part-0001-of-0002x"};
	uint32_t part, parts;
	size_t len;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		ck_assert_msg(!cw_member_name_parse(names[i], strlen(names[i]),
				  &len, &part, &parts),
		    "%s", names[i]);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("member_name");
	TCase *t = tcase_create("names");
	SRunner *sr;
	int failed;

	tcase_add_test(t, a_usual_name_stays_as_it_is);
	tcase_add_test(t, parts_are_numbered_with_four_digits);
	tcase_add_test(t, a_file_named_like_a_part_gets_a_name_of_its_own);
	tcase_add_test(t, what_was_made_is_parsed);
	tcase_add_test(t, what_is_no_part_is_not_parsed);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
