#include "media/mount.h"

#include "base/fs.h"

#include <errno.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

/* What keeps a filesystem from being repaired as it is mounted. */
static const char *
as_it_is(const char *type)
{
	if (strcmp(type, "ext3") == 0 || strcmp(type, "ext4") == 0 ||
	    strcmp(type, "xfs") == 0)
		return "norecovery";
	return NULL;
}

/*
 * A mount that is attached nowhere, so no other program sees it, no directory
 * is needed, and the kernel ends it with its descriptor even if we are killed.
 */
int
cw_mount_look(const char *device, const char *type, struct cw_error *err)
{
	int fs, mounted = -1;
	bool is_set;

	fs = fsopen(type, FSOPEN_CLOEXEC);
	if (fs < 0) {
		cw_error_errno(err, "cannot look at %s: %s", device, type);
		if (err != NULL && errno == EPERM)
			err->code = CW_ERR_REFUSED;
		return -1;
	}
	is_set = fsconfig(fs, FSCONFIG_SET_STRING, "source", device, 0) == 0 &&
		 fsconfig(fs, FSCONFIG_SET_FLAG, "ro", NULL, 0) == 0;
	if (is_set && as_it_is(type) != NULL)
		is_set = fsconfig(fs, FSCONFIG_SET_FLAG, as_it_is(type), NULL,
			     0) == 0;
	if (is_set && strcmp(type, "btrfs") == 0)
		is_set = fsconfig(fs, FSCONFIG_SET_STRING, "rescue",
			     "nologreplay", 0) == 0;
	if (is_set && fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
		mounted = fsmount(fs, FSMOUNT_CLOEXEC,
		    MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
			MOUNT_ATTR_NOEXEC);
	if (mounted < 0)
		cw_error_errno(err, "cannot look at %s (%s)", device, type);
	cw_close(&fs);
	return mounted;
}
