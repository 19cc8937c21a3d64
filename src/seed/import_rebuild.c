/*
 * Volumes that are rebuilt from parity, to be imported and forgotten again.
 */
#include "seed/import_impl.h"

#include "base/fs.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* What a filesystem keeps for others besides the volume. */
#define RESERVE (16u << 20)

static uint64_t
room_at(int dirfd)
{
	struct statvfs vfs;

	if (dirfd < 0 || fstatvfs(dirfd, &vfs) < 0)
		return 0;
	return (uint64_t)vfs.f_bavail * vfs.f_frsize;
}

/* A file without a name, which is gone with us whatever happens. */
static int
open_unnamed(int dirfd, uint32_t number)
{
	int fd = openat(dirfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	char name[40];

	if (fd >= 0)
		return fd;
	/* A filesystem without O_TMPFILE (EOPNOTSUPP; older ones: EISDIR). */
	(void)snprintf(name, sizeof(name), ".causeway-rebuilding-%u", number);
	(void)unlinkat(dirfd, name, 0);
	fd = openat(dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd >= 0)
		(void)unlinkat(dirfd, name, 0);
	return fd;
}

/* Such a file, of size bytes that are taken already. */
static int
open_scratch(const struct import *im, const struct import_volume *v,
    struct cw_error *why)
{
	int state = cw_open_dir(im->store_dir, why), fd = -1, best;
	uint64_t size = v->file->size, at_state, at_root;
	char need[CW_TEXT_MAX], a[CW_TEXT_MAX], b[CW_TEXT_MAX];

	if (state < 0)
		return -1;
	at_state = room_at(state);
	at_root = im->root_count > 0 ? room_at(im->roots[0].dirfd) : 0;
	best = at_root > at_state ? im->roots[0].dirfd : state;
	if ((at_root > at_state ? at_root : at_state) >= size + RESERVE)
		fd = open_unnamed(best, v->number);
	else
		errno = ENOSPC;
	/* Only where the filesystem can't tell beforehand, later. */
	if (fd >= 0 && fallocate(fd, 0, 0, (off_t)size) < 0 &&
	    (errno == ENOSPC || errno == EDQUOT))
		cw_close(&fd);
	if (fd < 0 && (errno == ENOSPC || errno == EDQUOT)) {
		cw_text_bytes(size + RESERVE, need);
		cw_text_bytes(at_root, a);
		cw_text_bytes(at_state, b);
		cw_error_set(why, CW_ERR_NOSPACE,
		    "%s could be rebuilt from parity, but there is no room for "
		    "it: that takes %s, in %s are %s, in %s %s. Make room "
		    "and run the same command again",
		    v->file->name, need,
		    im->root_count > 0 ? im->result->roots[0].path : "-", a,
		    im->store_dir, b);
	} else if (fd < 0) {
		cw_error_errno(
		    why, "cannot make a file to rebuild %s in", v->file->name);
	}
	cw_close(&state);
	return fd;
}

/* One for all threads; NULL without memory or descriptors. */
static struct cw_recover *
get_recover(struct import *im, struct cw_error *why)
{
	struct cw_recover *r;

	pthread_mutex_lock(&im->lock);
	if (im->recover == NULL)
		(void)cw_recover_new(im->o->set, &im->recover, why);
	r = im->recover;
	pthread_mutex_unlock(&im->lock);
	return r;
}

static bool
is_there(const struct import_volume *v)
{
	struct stat st;

	return v->medium != NULL &&
	       fstatat(v->medium->dirfd, v->file->name, &st,
		   AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISREG(st.st_mode);
}

int
import_rebuild(struct import *im, const struct import_volume *v, int *fd,
    struct cw_error *why)
{
	struct cw_recover *r = get_recover(im, why);
	int ret;

	*fd = -1;
	if (r == NULL)
		return 1;
	if (v->medium != NULL && !is_there(v))
		cw_recover_bad(
		    r, v->file->medium, v->file->name, 0, UINT64_MAX);
	if (!cw_recover_can(r, v->file->name)) {
		/* That a medium is not here is said elsewhere. */
		if (v->medium != NULL)
			cw_error_set(why, CW_ERR_DAMAGED,
			    "%s: parity can't rebuild it from the media that "
			    "are here",
			    v->file->name);
		return 1;
	}
	*fd = open_scratch(im, v, why);
	if (*fd < 0)
		return 1;
	ret = cw_recover_file(r, v->file->name, *fd, why);
	if (ret == 0 && lseek(*fd, 0, SEEK_SET) < 0)
		ret = cw_error_errno(
		    why, "cannot read %s as it was rebuilt", v->file->name);
	if (ret == 0)
		return 0;
	cw_close(fd);
	if (why->code == CW_ERR_INTERRUPTED)
		return -1;
	/* An absent medium's volume may simply lack others. */
	if (v->medium == NULL && why->code == CW_ERR_MISSING)
		why->message[0] = '\0';
	return 1;
}
