/*
 * What stat tells of a file, but for its size: owner, mode, time.  A content
 * gets it in staging while it is still open there, so that apply, when its
 * time comes, need not open the file again to make it what it is to be.
 *
 * It is a help and no promise: apply looks, and sets what is missing.
 */
#ifndef CW_REPLICA_LOOK_H
#define CW_REPLICA_LOOK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

struct cw_look {
	bool has_owner; /* only root gives files away */
	uint32_t uid, gid;
	uint32_t mode; /* 01777: never setuid or setgid */
	int64_t mtime_ns;
};

/* As far as it goes; before the descriptor is closed, after the last write. */
void cw_look_give(const struct cw_look *look, int fd);

/* Does a file look so? */
bool cw_look_fits(const struct cw_look *look, const struct stat *st);

#endif
