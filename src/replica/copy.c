#include "replica/copy.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/progress.h"

#include <errno.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK ((size_t)1 << 20)
/* One call of copy_file_range; between calls we look whether to stop. */
#define STEP ((uint64_t)64 << 20)

static int
short_of(struct cw_error *err, uint64_t at)
{
	return cw_error_set(err, CW_ERR_DAMAGED,
	    "a file ends at offset %llu, expected more",
	    (unsigned long long)at);
}

static int
through_memory(int from, uint64_t offset, int to, uint64_t to_offset,
    uint64_t len, struct cw_error *err)
{
	uint8_t *buf = cw_malloc(CHUNK);
	int ret = 0;

	while (len > 0 && ret == 0) {
		size_t want = len < CHUNK ? (size_t)len : CHUNK, got = 0;

		if (cw_stop_check(err) < 0 ||
		    cw_pread_full(from, buf, want, offset, &got, err) < 0 ||
		    cw_pwrite_all(to, buf, got, to_offset, err) < 0)
			ret = -1;
		else if (got < want)
			ret = short_of(err, offset + got);
		offset += got;
		to_offset += got;
		len -= got;
	}
	free(buf);
	return ret;
}

int
cw_copy_range(int from, uint64_t offset, int to, uint64_t to_offset,
    uint64_t len, struct cw_error *err)
{
	while (len > 0) {
		loff_t in = (loff_t)offset, out = (loff_t)to_offset;
		ssize_t n = copy_file_range(
		    from, &in, to, &out, len < STEP ? len : STEP, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == ENOSPC || errno == EDQUOT))
			return cw_error_errno(err, "cannot copy");
		/* Filesystems that cannot say so in various ways. */
		if (n <= 0)
			return through_memory(
			    from, offset, to, to_offset, len, err);
		offset += (uint64_t)n;
		to_offset += (uint64_t)n;
		len -= (uint64_t)n;
		if (cw_stop_check(err) < 0)
			return -1;
	}
	return 0;
}

/* Only what is data; the rest of the size is a hole. */
static int
copy_data(int from, int to, uint64_t size, struct cw_error *err)
{
	off_t at = 0;

	while ((uint64_t)at < size) {
		off_t data = lseek(from, at, SEEK_DATA), end;

		if (data < 0 && errno == ENXIO)
			break;
		if (data < 0)
			return cw_copy_range(from, (uint64_t)at, to,
			    (uint64_t)at, size - (uint64_t)at, err);
		end = lseek(from, data, SEEK_HOLE);
		if (end < 0 || (uint64_t)end > size)
			end = (off_t)size;
		if ((uint64_t)data >= size)
			break;
		if (cw_copy_range(from, (uint64_t)data, to, (uint64_t)data,
			(uint64_t)(end - data), err) < 0)
			return -1;
		at = end;
	}
	return 0;
}

int
cw_copy_file(int from, int to, struct cw_error *err)
{
	struct stat st;

	if (ioctl(to, FICLONE, from) == 0)
		return 0;
	if (fstat(from, &st) < 0)
		return cw_error_errno(err, "cannot look at a file");
	if (ftruncate(to, st.st_size) < 0)
		return cw_error_errno(err, "cannot copy");
	return copy_data(from, to, (uint64_t)st.st_size, err);
}
