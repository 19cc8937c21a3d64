/*
 * Which of Causeway's seeds a device holds, by the names below causeway/ and
 * the MEDIUM files there.  Nothing of it is checked against a signature: it is
 * for people who look for a disk, and for a last warning before one is erased.
 */
#ifndef CW_MEDIA_DEVICE_SEEDS_H
#define CW_MEDIA_DEVICE_SEEDS_H

#include "media/device.h"

#define CW_DEVICE_SEEDS_MAX 64u /* of one device; more are not listed */

/*
 * Looks on what is mounted; with may_mount also on filesystems that are not,
 * by cw_mount_look.  Why one could not be looked at is kept in look_problem.
 */
void cw_device_seeds(struct cw_device *device, bool may_mount);
void cw_devices_seeds(struct cw_devices *devices, bool may_mount);

/* The same for a directory: appends to the device's seeds. */
void cw_device_seeds_beneath(struct cw_device *device, int rootfd);

/* "seed 0123456789abcdef, medium 1 of 2, of 2026-11-22T12:00:00Z" */
#define CW_DEVICE_SEED_TEXT 128u
void cw_device_seed_text(
    const struct cw_device_seed *seed, char out[CW_DEVICE_SEED_TEXT]);

#endif
