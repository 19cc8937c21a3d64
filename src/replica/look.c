#include "replica/look.h"

#include "base/clock.h"

#include <unistd.h>

void
cw_look_give(const struct cw_look *look, int fd)
{
	struct timespec times[2] = {{0, UTIME_OMIT}};

	times[1] = cw_time_split(look->mtime_ns);
	/* The owner first: a change of it takes bits off the mode. */
	if ((look->has_owner && fchown(fd, look->uid, look->gid) < 0) ||
	    fchmod(fd, look->mode) < 0)
		return;
	(void)futimens(fd, times);
}

bool
cw_look_fits(const struct cw_look *look, const struct stat *st)
{
	return (!look->has_owner ||
		   (st->st_uid == look->uid && st->st_gid == look->gid)) &&
	       (st->st_mode & 07777u) == look->mode &&
	       cw_time_ns(st->st_mtim) == look->mtime_ns;
}
