/*
 * Starting an operator's program: a hook, the command of a root.  No shell, a
 * process group of its own, plain signals, empty standard input, / as its
 * directory, no descriptor but those three, and the environment it is given.
 */
#ifndef CW_SITE_SPAWN_H
#define CW_SITE_SPAWN_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Where programs are looked for, and the PATH that they get. */
#define CW_SPAWN_PATH                                                          \
	"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/*
 * Starts the program at path.  output and errors become its standard output
 * and error; hold, if it is over 2, its descriptor 3, which it and what it
 * starts keep open as long as they live.  Returns 0 or an errno.
 */
int cw_spawn(const char *path, char *const argv[], char *const env[],
    int output, int errors, int hold, pid_t *pid);

/*
 * Adds to a sentence what a program said that failed: the end of it, on one
 * line.  is_cut: there was more before.
 */
void cw_spawn_said(
    struct cw_error *err, const char *text, size_t len, bool is_cut);

#endif
