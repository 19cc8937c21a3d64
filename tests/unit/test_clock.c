#include "base/clock.h"

#include <check.h>

#define SECOND INT64_C(1000000000)

START_TEST(a_time_and_its_nanoseconds_are_one)
{
	static const struct {
		struct timespec t;
		int64_t ns;
	} same[] = {
	    {{0, 0}, 0},
	    {{1, 5}, SECOND + 5},
	    {{-1, 999999999}, -1},
	    {{-1, 0}, -SECOND},
	    {{9223372036, 854775806}, INT64_MAX - 1},
	    {{-9223372036, 0}, -9223372036 * SECOND},
	};

	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		struct timespec t = cw_time_split(same[i].ns);

		ck_assert_int_eq(cw_time_ns(same[i].t), same[i].ns);
		ck_assert_int_eq(t.tv_sec, same[i].t.tv_sec);
		ck_assert_int_eq(t.tv_nsec, same[i].t.tv_nsec);
	}
}
END_TEST

START_TEST(what_is_too_far_becomes_the_nearest)
{
	struct timespec late = {INT64_MAX, 999999999}, early = {INT64_MIN, 0};
	struct timespec just_over = {9223372036, 854775807}, t;

	ck_assert_int_eq(cw_time_ns(late), INT64_MAX - 1);
	ck_assert_int_eq(cw_time_ns(just_over), INT64_MAX - 1);
	ck_assert_int_eq(cw_time_ns(early), INT64_MIN + 1);
	t = cw_time_split(INT64_MIN);
	ck_assert_int_eq(t.tv_sec, -9223372037);
	ck_assert_int_eq(t.tv_nsec, 145224192);
}
END_TEST

START_TEST(the_clock_only_goes_forward)
{
	int64_t from_ns = cw_clock_ns(), ms = cw_clock_ms();

	ck_assert_int_ge(ms, from_ns / 1000000);
	ck_assert_int_ge(cw_clock_ns(), from_ns);
	ck_assert(cw_clock_since(from_ns) >= 0);
	ck_assert(cw_clock_since(from_ns - 3600 * SECOND) >= 3600);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("clock");
	TCase *tc = tcase_create("clock");
	SRunner *sr = srunner_create(suite);
	int failed;

	tcase_add_test(tc, a_time_and_its_nanoseconds_are_one);
	tcase_add_test(tc, what_is_too_far_becomes_the_nearest);
	tcase_add_test(tc, the_clock_only_goes_forward);
	suite_add_tcase(suite, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
