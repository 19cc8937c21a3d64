#include "cli/media_dirs.h"

#include "base/buf.h"
#include "cli/output.h"
#include "media/mount.h"

#include <stdlib.h>

/* Unmounts without a word, since there is an error to speak of already. */
static void
undo(struct cw_media_dirs *dirs)
{
	for (size_t i = dirs->count; i-- > 0;)
		(void)cw_mount_end(dirs->mounted[i], NULL);
	free(dirs->mounted);
	free(dirs->dirs);
	*dirs = (struct cw_media_dirs)CW_MEDIA_DIRS_INIT;
}

int
cw_media_dirs_begin(char *const *args, size_t count, enum cw_media_mode mode,
    struct cw_media_dirs *out, struct cw_error *err)
{
	const struct cw_mount_options o = {.is_readonly = mode == CW_MEDIA_READ,
	    .takes_readonly = mode == CW_MEDIA_NOTE};

	out->dirs = cw_calloc(count + 1, sizeof(*out->dirs));
	out->mounted = cw_calloc(count + 1, sizeof(struct cw_mounted *));
	out->count = 0;
	for (size_t i = 0; i < count; i++) {
		struct cw_mounted *m = NULL;

		if (cw_mount_is_name(args[i]) &&
		    cw_mount(args[i], &o, &m, err) < 0) {
			undo(out);
			return -1;
		}
		out->mounted[i] = m;
		out->dirs[i] = m != NULL ? m->dir : args[i];
		out->count++;
	}
	return 0;
}

void
cw_media_dirs_end(struct cw_cli *cli, struct cw_media_dirs *dirs)
{
	struct cw_error err = CW_ERROR_INIT;

	for (size_t i = dirs->count; i-- > 0;)
		if (cw_mount_end(dirs->mounted[i], &err) < 0)
			cw_cli_warn(cli, "%s", err.message);
	free(dirs->mounted);
	free(dirs->dirs);
	*dirs = (struct cw_media_dirs)CW_MEDIA_DIRS_INIT;
}
