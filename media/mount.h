/*
 * Mounting media, by libmount: nosuid, nodev, noexec; read-only for reading.
 *
 * A medium is named as an operator would: "LABEL=metairie-1", "UUID=...", a
 * device or its only partition that holds a filesystem ("/dev/sdb").  Only
 * filesystems that one finds on media are mounted (ext2-4, xfs, btrfs, exfat,
 * vfat); a label is a hint and several disks may have the same one: then
 * nothing is mounted (CW_ERR_USAGE lists them).
 *
 * What is mounted already is used where it is and left as it is.
 */
#ifndef CW_MEDIA_MOUNT_H
#define CW_MEDIA_MOUNT_H

#include "base/error.h"
#include "media/device.h"

#include <stdbool.h>

#define CW_MOUNT_DIR "/run/causeway/media" /* a directory below it for each */

struct cw_mount_options {
	bool is_readonly;
	bool takes_readonly; /* is it mounted read-only already, that will do */
	const char *at; /* directory to mount on; NULL: CW_MOUNT_DIR/LABEL */
};

struct cw_mounted {
	char *dir;     /* where it is mounted */
	char *device;  /* "/dev/sdb1" */
	char *label;   /* of the filesystem, "" */
	char *uuid;    /* "" */
	char *type;    /* "ext4" */
	bool is_ours;  /* mounted by this call, else it was there */
	bool made_dir; /* dir was made by this call */
};

/*
 * Whether a text names a medium for cw_mount: LABEL=, UUID=, or the path of a
 * block device.  Anything else is a directory.
 */
bool cw_mount_is_name(const char *text);

/*
 * Mounts.  CW_ERR_MISSING: no such medium; CW_ERR_USAGE: not clear which one,
 * or no filesystem that we mount; CW_ERR_REFUSED: part of something else, or
 * mounted read-only where writing is asked for, or we may not mount.  *out is
 * the caller's: cw_mount_end or cw_mount_keep.
 */
int cw_mount(const char *name, const struct cw_mount_options *options,
    struct cw_mounted **out, struct cw_error *err);

/*
 * Syncs and unmounts what this mount made, removes its directory, frees.
 * CW_ERR_BUSY if it is still in use: it stays mounted, and m is freed all the
 * same.  NULL is allowed.
 */
int cw_mount_end(struct cw_mounted *m, struct cw_error *err);
/* Frees m and leaves it mounted. */
void cw_mount_keep(struct cw_mounted *m);

/*
 * Unmounts a medium, wherever it is mounted: named as above or by its mount
 * point.  CW_ERR_MISSING if it is not mounted; CW_ERR_REFUSED for filesystems
 * of the system (/, /usr, /boot, ...); CW_ERR_BUSY.  *dir (may be NULL) says
 * where it was, the caller's to free.
 */
int cw_unmount(const char *name, char **dir, struct cw_error *err);

/* Whether cw_mount would mount that type of filesystem. */
bool cw_mount_takes(const char *type);

/*
 * A filesystem opened to be looked at: read-only, its journal not replayed, no
 * device written to, mounted nowhere.  Returns a descriptor of its root, and
 * closing the last descriptor beneath ends it; or -1 (CW_ERR_REFUSED where we
 * may not, CW_ERR_IO).
 */
int cw_mount_look(const char *device, const char *type, struct cw_error *err);

#endif
