/*
 * Whether a file lies on a disk that rotates, where reading files in the order
 * of their inodes saves most of the seeks.
 */
#ifndef CW_BASE_ROTATING_H
#define CW_BASE_ROTATING_H

#include <stdbool.h>

/*
 * What sysfs says of the device of an open file or directory; false where that
 * is not known (network, btrfs, memory).  CAUSEWAY_ROTATING=0 or 1 in the
 * environment is believed instead, for disks that say what is not true.
 */
bool cw_is_rotating(int fd);

#endif
