/*
 * What the active site remembers of a seed's media until they are shipped:
 * how each was mounted when it was last written, and which were closed
 * (`seed close`: read again in full after they were unmounted and mounted, so
 * that what was read came from the medium).
 *
 * A small text file in the seed's state directory, SPEC.md has its lines.
 */
#ifndef CW_SEED_SHIPPING_H
#define CW_SEED_SHIPPING_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CW_SHIPPING_FILE "shipping"
#define CW_SHIPPING_BOOT 37u /* the boot id and a NUL */

/* One life of a mounted filesystem, from mount to unmount. */
struct cw_mount_life {
	char boot[CW_SHIPPING_BOOT]; /* "" if the kernel tells none */
	uint64_t device;	     /* st_dev */
	char kind; /* what life counts, one of the letters below; see SPEC.md */
	uint64_t life; /* differs from one mount of a filesystem to the next */
};

/*
 * What tells two lives apart.  The first is the best: it is the filesystem's
 * own and bind mounts do not change it.  Of the last an equal one proves
 * nothing, since ids of mounts are used again.
 */
#define CW_MOUNT_LIFE_SYSFS  's' /* inode of the filesystem's folder in /sys */
#define CW_MOUNT_LIFE_UNIQUE 'u' /* STATX_MNT_ID_UNIQUE, from Linux 6.8 */
#define CW_MOUNT_LIFE_ID     'm' /* STATX_MNT_ID */

struct cw_shipping_medium {
	uint32_t number;
	int64_t written;	      /* when it was last written, since 1970 */
	struct cw_mount_life mounted; /* at that time */
	int64_t closed;		      /* when it was closed; 0: it is not */
	char *path;		      /* the directory it was written to */
};

struct cw_shipping {
	struct cw_shipping_medium *media; /* by number */
	size_t count;
};

/*
 * For who writes on a medium: all of it is written and synced.  state_dirfd is
 * the seed's state directory, dirfd the seed's folder on the medium, path for
 * the operator.  What was known of the medium is replaced: it is not closed.
 */
int cw_shipping_wrote(int state_dirfd, uint32_t number, int dirfd,
    const char *path, struct cw_error *err);

/* Notes durably that the medium passed, or that it does no longer. */
int cw_shipping_close(
    int state_dirfd, uint32_t number, bool is_closed, struct cw_error *err);

/* Reads it; no file is an empty one.  Free it in either case. */
int cw_shipping_load(
    int state_dirfd, struct cw_shipping *s, struct cw_error *err);
void cw_shipping_free(struct cw_shipping *s);
/* NULL if nothing is known of it. */
const struct cw_shipping_medium *cw_shipping_find(
    const struct cw_shipping *s, uint32_t number);

/* How the filesystem of a directory is mounted now. */
int cw_mount_life_look(
    int dirfd, struct cw_mount_life *m, struct cw_error *err);

/* Whether it was mounted anew. */
enum cw_remounted {
	CW_REMOUNTED_YES,
	CW_REMOUNTED_NO,
	CW_REMOUNTED_UNKNOWN, /* the kernel does not tell */
};
enum cw_remounted cw_mount_life_anew(
    const struct cw_mount_life *then, const struct cw_mount_life *now);

#endif
