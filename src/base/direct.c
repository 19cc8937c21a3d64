#include "base/direct.h"

#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

uint8_t *
cw_direct_buffer(size_t size)
{
	void *data = NULL;

	if (posix_memalign(&data, CW_DIRECT_ALIGN, size) != 0)
		abort(); /* as cw_malloc does */
	return data;
}

static int
set(struct cw_direct *d, bool on)
{
	int flags;

	if (d->is_on == on)
		return 0;
	flags = fcntl(d->fd, F_GETFL);
	if (flags < 0 || fcntl(d->fd, F_SETFL,
			     on ? flags | O_DIRECT : flags & ~O_DIRECT) < 0)
		return -1;
	d->is_on = on;
	return 0;
}

int
cw_direct_off(struct cw_direct *d, struct cw_error *err)
{
	if (set(d, false) < 0)
		return cw_error_errno(err, "cannot change a file's mode");
	return 0;
}

int
cw_direct_pwrite(struct cw_direct *d, const void *data, size_t len,
    uint64_t offset, struct cw_error *err)
{
	const uint8_t *at = data;
	size_t whole = len - len % CW_DIRECT_ALIGN;

	if (!d->is_vain && len >= CW_DIRECT_MIN &&
	    offset % CW_DIRECT_ALIGN == 0 &&
	    (uintptr_t)at % CW_DIRECT_ALIGN == 0) {
		struct cw_error why = CW_ERROR_INIT;

		if (set(d, true) < 0) {
			d->is_vain = true;
		} else if (cw_pwrite_all(d->fd, at, whole, offset, &why) == 0) {
			at += whole;
			offset += whole;
			len -= whole;
		} else if (errno == EINVAL) {
			/* A disk or filesystem that wants other alignment. */
			d->is_vain = true;
		} else {
			if (err != NULL)
				*err = why;
			return -1;
		}
	}
	if (len == 0)
		return 0;
	return cw_direct_off(d, err) < 0
		   ? -1
		   : cw_pwrite_all(d->fd, at, len, offset, err);
}
