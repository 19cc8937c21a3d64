#include "base/rotating.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

bool
cw_is_rotating(int fd)
{
	const char *said = getenv("CAUSEWAY_ROTATING");
	char path[80], answer = '0';
	struct stat st;

	if (said != NULL && (strcmp(said, "0") == 0 || strcmp(said, "1") == 0))
		return said[0] == '1';
	if (fstat(fd, &st) < 0)
		return false;
	/* A partition has no queue of its own: its disk has. */
	for (int up = 0; up < 2; up++) {
		int file;
		ssize_t n;

		(void)snprintf(path, sizeof(path),
		    "/sys/dev/block/%u:%u%s/queue/rotational", major(st.st_dev),
		    minor(st.st_dev), up == 0 ? "" : "/..");
		file = open(path, O_RDONLY | O_CLOEXEC);
		if (file < 0)
			continue;
		n = read(file, &answer, 1);
		(void)close(file);
		return n == 1 && answer == '1';
	}
	return false;
}
