/*
 * Running another program (mkfs) to its end: no shell, nothing on its standard
 * input, a plain environment, bounded time, and its words kept for the message
 * if it fails.  It dies with the thread that runs it.
 */
#ifndef CW_MEDIA_CHILD_H
#define CW_MEDIA_CHILD_H

#include "base/error.h"

/*
 * The path of a program in the system's directories; NULL if it is not
 * installed.  The caller frees it.
 */
char *cw_child_find(const char *name);

/*
 * Runs path with argv (NULL-ended, argv[0] the name).  Returns 0 if it ended
 * with status 0; else CW_ERR_FAILED with the end of what it said,
 * CW_ERR_INTERRUPTED if we are to stop (it is killed then).
 */
int cw_child_run(const char *path, const char *const argv[], unsigned timeout_s,
    struct cw_error *err);

#endif
