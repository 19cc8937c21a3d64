/*
 * Removing what a test made.
 */
#ifndef TESTS_UNIT_SCRATCH_H
#define TESTS_UNIT_SCRATCH_H

#include "base/buf.h"

#include <check.h>
#include <stdlib.h>

/* Removes a directory with all that is in it, however deep. */
static inline void
scratch_remove(const char *path)
{
	char *command = cw_asprintf("rm -rf '%s'", path);

	ck_assert_int_eq(system(command), 0);
	free(command);
}

#endif
