/* Which device a medium's name stands for; see mount.h. */
#ifndef CW_MEDIA_MOUNT_IMPL_H
#define CW_MEDIA_MOUNT_IMPL_H

#include "base/error.h"
#include "media/device.h"

#include <stddef.h>

/* All devices, looked at and with their uses; NULL with *err. */
struct cw_devices *cw_mount_list(struct cw_error *err);

/*
 * Finds the device of a name.  Where it is a label or UUID, or nothing is
 * found otherwise, the kernel is told of partitions it did not read.  *out, the
 * caller's to free, is the list in which *index is the device.  The errors are
 * those of cw_mount.
 */
int cw_mount_find(const char *name, struct cw_devices **out, size_t *index,
    struct cw_error *err);

#endif
