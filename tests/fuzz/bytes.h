/*
 * Bytes in memory as a source that is read, and as a place that is written to:
 * for fuzzers and for the tests that try the same things.
 */
#ifndef CW_TESTS_FUZZ_BYTES_H
#define CW_TESTS_FUZZ_BYTES_H

#include "base/buf.h"
#include "base/error.h"

#include <string.h>

struct source {
	const uint8_t *data;
	size_t len;
};

/* Reads on from a struct source. */
static inline int
take(void *arg, uint8_t *buf, size_t cap, size_t *got, struct cw_error *err)
{
	struct source *s = arg;

	(void)err;
	*got = s->len < cap ? s->len : cap;
	if (*got > 0)
		memcpy(buf, s->data, *got);
	s->data += *got;
	s->len -= *got;
	return 0;
}

/* Writes behind what a struct cw_buf has. */
static inline int
append(void *arg, const uint8_t *data, size_t len, struct cw_error *err)
{
	(void)err;
	cw_buf_append(arg, data, len);
	return 0;
}

#endif
