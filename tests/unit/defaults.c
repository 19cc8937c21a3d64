/*
 * What holds for every unit test, linked to each of them: how long a test may
 * take, and what a leak checker is not to tell.
 */
#include <stdlib.h>

const char *__lsan_default_suppressions(void);
const char *__lsan_default_options(void);

/*
 * Check's 4 s are too short for a test that makes thousands of files where
 * another process has the processor; and so may be what a test says itself.
 * What the environment says goes first.
 */
__attribute__((constructor)) static void
set_timeout(void)
{
	(void)setenv("CK_DEFAULT_TIMEOUT", "60", 0);
	(void)setenv("CK_TIMEOUT_MULTIPLIER", "5", 0);
}

/*
 * libgcrypt keeps the only pointer to a buffer of its entropy collector in
 * secure memory, where a leak checker does not look.
 */
const char *
__lsan_default_suppressions(void)
{
	return "leak:libgcrypt\n";
}

const char *
__lsan_default_options(void)
{
	return "print_suppressions=0";
}
