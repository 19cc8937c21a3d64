/*
 * Where a command takes directories with media, it also takes LABEL=..., UUID=
 * and devices: those are mounted for the time of the command.
 */
#ifndef CW_CLI_MEDIA_DIRS_H
#define CW_CLI_MEDIA_DIRS_H

#include "base/error.h"
#include "cli/cli.h"

#include <stdbool.h>
#include <stddef.h>

struct cw_media_dirs {
	const char **dirs; /* count of them, in the order given */
	size_t count;
	struct cw_mounted **mounted; /* NULL for what was a directory */
};

#define CW_MEDIA_DIRS_INIT                                                     \
	{                                                                      \
		NULL, 0, NULL                                                  \
	}

/* What is to be done with them. */
enum cw_media_mode {
	CW_MEDIA_READ,
	CW_MEDIA_NOTE, /* read, and the log of custody written if that can be:
			  a medium that is mounted read-only will do */
	CW_MEDIA_WRITE,
};

/*
 * Turns arguments into directories; those that are none of our names are
 * passed on as they are.  Failure leaves nothing mounted and *out empty.
 */
int cw_media_dirs_begin(char *const *args, size_t count,
    enum cw_media_mode mode, struct cw_media_dirs *out, struct cw_error *err);
/*
 * Unmounts what begin mounted (nothing of it may be open); a medium that is
 * still in use stays mounted, with a warning.  dirs is empty afterwards.
 */
void cw_media_dirs_end(struct cw_cli *cli, struct cw_media_dirs *dirs);

#endif
