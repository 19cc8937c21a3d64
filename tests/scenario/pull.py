"""Pulls out the disk that is mounted on DIR: all that is tried on it from now on
ends in EIO, and what was not synced is gone.  After disk_off and disk_on (of
disks.sh) it is there again.

    pull.py DIR
"""

import fcntl
import os
import sys

# _IOR('X', 125, __u32), of ext4 and xfs; 2: not even the log is flushed
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587d, b"\2\0\0\0")
