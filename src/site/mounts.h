/*
 * The mounts of a process, as /proc/PID/mountinfo tells them: to recognise a
 * file by its filesystem and its path there, whatever is mounted where.
 */
#ifndef CW_SITE_MOUNTS_H
#define CW_SITE_MOUNTS_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cw_mount {
	int id;
	char device[24]; /* "8:1": of the filesystem, not of stat(2) */
	char *root;	 /* what of the filesystem is mounted */
	char *point;	 /* where */
};

struct cw_mounts {
	struct cw_mount *list; /* in the order in which they were mounted */
	size_t count;
};

/*
 * Reads those of a process (NULL: ours; else "123") into *mounts, which must
 * be empty and is to be freed.  Returns 1 if the process is gone.
 */
int cw_mounts_read(
    const char *pid, struct cw_mounts *mounts, struct cw_error *err);
void cw_mounts_free(struct cw_mounts *mounts);

/*
 * The mount that a path is on: the one of this id; or, with id -1, the last of
 * those that hold the path most closely.  NULL: there is none.
 */
const struct cw_mount *cw_mounts_find(
    const struct cw_mounts *mounts, int id, const char *path);

/* The id of the mount that an open descriptor is on; -1: not known. */
int cw_mount_id(const char *fdinfo_path);

/*
 * The path within the filesystem of an absolute path on a mount; the caller
 * frees it.  NULL if the path is not on that mount.
 */
char *cw_mount_inner(const struct cw_mount *mount, const char *path);

/* Whether path is dir or below it. */
bool cw_path_is_below(const char *path, const char *dir);

#endif
