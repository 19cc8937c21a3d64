#include "store/scan.h"

#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define OPEN_PIECE 3500u /* bytes of path for one openat2, of 4096 */

int
cw_scan_open(int rootfd, const char *path, int flags)
{
	size_t len = strlen(path);
	char piece[OPEN_PIECE + 1];
	int fd = -1, at = rootfd, saved;

	while (len > OPEN_PIECE) {
		const char *slash = memrchr(path, '/', OPEN_PIECE);
		size_t take = slash == NULL ? 0 : (size_t)(slash - path);
		int next = -1;

		memcpy(piece, path, take);
		piece[take] = '\0';
		errno = ENAMETOOLONG;
		if (take > 0)
			next = cw_open_beneath(
			    at, piece, O_PATH | O_DIRECTORY, 0, NULL);
		saved = errno;
		cw_close(&fd);
		errno = saved;
		if (next < 0)
			return -1;
		at = fd = next;
		path += take + 1;
		len -= take + 1;
	}
	at = cw_open_beneath(at, path, flags, 0, NULL);
	saved = errno;
	cw_close(&fd);
	errno = saved;
	return at;
}
