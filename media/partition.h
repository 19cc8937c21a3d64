/*
 * Partition tables: writing a GPT with one partition (libfdisk), and telling
 * the kernel of partitions (BLKPG), which it does not always find by itself.
 */
#ifndef CW_MEDIA_PARTITION_H
#define CW_MEDIA_PARTITION_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cw_partition {
	unsigned number;
	uint64_t start;	 /* bytes */
	uint64_t length; /* bytes */
};

/*
 * Writes a GPT with one partition, as large as it can be, aligned to 1 MiB,
 * of the type for Linux or for exFAT, and syncs.  fd is the disk, open for
 * writing; path is for libfdisk's messages.  CW_ERR_IO.
 */
int cw_partition_write(int fd, const char *path, const char *name,
    bool is_exfat, struct cw_partition *out, struct cw_error *err);

/*
 * Tells the kernel of one; that it knows it already is no error.  CW_ERR_BUSY
 * if it knows another one there.
 */
int cw_partition_add(
    int fd, const struct cw_partition *part, struct cw_error *err);
/* The kernel forgets it; not on the disk.  CW_ERR_BUSY if it is in use. */
int cw_partition_forget(int fd, unsigned number, struct cw_error *err);

/*
 * Tells the kernel of all that the disk's table has, where it knows of none.
 * Returns how many it was told of, 0 if none or if we may not.
 */
unsigned cw_partition_add_all(const char *path);

#endif
