/*
 * Which disk a directory lies on, for who reads several and wants each to be
 * read in order: partitions of a disk, and what lies on one disk alone
 * (encryption, a logical volume), are that disk.
 */
#ifndef CW_MEDIA_SCRUB_DISK_H
#define CW_MEDIA_SCRUB_DISK_H

#include <stdbool.h>
#include <sys/types.h>

struct cw_scrub_disk {
	dev_t id;	  /* the same for what shares a disk */
	bool is_rotating; /* says the kernel; many virtual disks say so too */
};

/* A wrong guess costs speed only, so there is always an answer. */
void cw_scrub_disk_of(int dirfd, struct cw_scrub_disk *disk);

/* The same for a device; sysfs is "/sys", or something like it for a test. */
void cw_scrub_disk_of_device(
    const char *sysfs, dev_t device, struct cw_scrub_disk *disk);

#endif
