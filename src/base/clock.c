#include "base/clock.h"

#define SECOND 1000000000

int64_t
cw_clock_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * SECOND + now.tv_nsec;
}

int64_t
cw_clock_ms(void)
{
	return cw_clock_ns() / 1000000;
}

double
cw_clock_since(int64_t from_ns)
{
	return (double)(cw_clock_ns() - from_ns) / SECOND;
}

int64_t
cw_time_ns(struct timespec t)
{
	int64_t ns;

	if (__builtin_mul_overflow((int64_t)t.tv_sec, (int64_t)SECOND, &ns) ||
	    __builtin_add_overflow(ns, (int64_t)t.tv_nsec, &ns) ||
	    ns == INT64_MAX || ns == INT64_MIN)
		return t.tv_sec < 0 ? INT64_MIN + 1 : INT64_MAX - 1;
	return ns;
}

struct timespec
cw_time_split(int64_t ns)
{
	struct timespec t = {
	    .tv_sec = (time_t)(ns / SECOND),
	    .tv_nsec = (long)(ns % SECOND),
	};

	if (t.tv_nsec < 0) {
		t.tv_nsec += SECOND;
		t.tv_sec--;
	}
	return t;
}
