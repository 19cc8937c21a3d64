/*
 * Who uses a device: mounts, swap, devices built on it, files behind loop
 * devices, the running system, places of ours; and all of it also for the
 * devices below, down to the disk.
 */
#ifndef CW_MEDIA_DEVICE_USE_H
#define CW_MEDIA_DEVICE_USE_H

#include "media/device.h"

/* A directory that must not be lost: "store mail", "the state directory". */
struct cw_device_place {
	const char *words;
	const char *path;
};

/*
 * Fills uses and mounts.  Places that are not there are left out.  With
 * has_exclusive each device without another use is opened with O_EXCL for a
 * moment, to see whether the kernel says that somebody has it.
 */
int cw_devices_uses(struct cw_devices *devices,
    const struct cw_device_place *places, size_t place_count,
    bool has_exclusive, struct cw_error *err);

/* Adds one, unless the device has it. */
void cw_device_add_use(
    struct cw_device *device, enum cw_use_kind kind, const char *what);

/* "mounted on /mnt/x", "swap", "used by dm-0 (vg-root)": for people. */
char *cw_use_text(const struct cw_use *use); /* the caller's to free */
/* "mounted", "swap", "held", ...: stable, for --json. */
const char *cw_use_name(enum cw_use_kind kind);

#endif
