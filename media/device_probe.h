/*
 * What is on a device, by the bytes on it (libblkid): filesystem, label, UUID,
 * partition table, and the marks of RAID, LVM, LUKS, ZFS and others.
 */
#ifndef CW_MEDIA_DEVICE_PROBE_H
#define CW_MEDIA_DEVICE_PROBE_H

#include "media/device.h"

/*
 * Looks at one device, or at all of them; a device that can't be read keeps
 * why in problem.  Reads a few hundred KiB of each; devices of size 0 are left
 * alone.
 */
void cw_device_probe(struct cw_device *device);
void cw_devices_probe(struct cw_devices *devices);

/*
 * The same for an open descriptor of it.  With is_thorough it also reads
 * samples all over the device, for has_other: a disk is empty only if its
 * first and last MiB and all of the samples are zeros.
 */
void cw_device_probe_fd(struct cw_device *device, int fd, bool is_thorough);

#endif
