#include "site/current.h"

#include "base/fs.h"
#include "store/peer.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CURRENT_MAX 128u
#define BEHIND_FILE "behind"

int
cw_current_save(int dirfd, uint64_t generation, struct cw_error *err)
{
	char text[CURRENT_MAX], boot[CW_BOOT_ID_SIZE];
	int len;

	cw_boot_id(boot);
	len = snprintf(text, sizeof(text), "%" PRIu64 " %lld %" PRIu64 " %s\n",
	    generation, (long long)time(NULL), cw_boot_seconds(),
	    boot[0] != '\0' ? boot : "-");
	(void)unlinkat(dirfd, BEHIND_FILE, 0);
	return cw_save_file(
	    dirfd, CW_CURRENT_FILE, text, (size_t)len, 0600, err);
}

int
cw_current_age(
    int dirfd, uint64_t *generation, double *seconds, struct cw_error *err)
{
	char boot[CW_BOOT_ID_SIZE], noted[CW_BOOT_ID_SIZE] = "";
	struct cw_buf text = CW_BUF_INIT;
	uint64_t wall, uptime = 0;
	int ret = cw_read_file(dirfd, CW_CURRENT_FILE, CURRENT_MAX, &text, err);
	int count;

	if (ret != 0)
		goto out;
	/* What makes no sense tells nothing. */
	ret = 1;
	count = sscanf(cw_buf_string(&text),
	    "%" SCNu64 " %" SCNu64 " %" SCNu64 " %36[0-9a-f-]", generation,
	    &wall, &uptime, noted);
	cw_boot_id(boot);
	if (count == 4 && boot[0] != '\0' && strcmp(boot, noted) == 0 &&
	    uptime <= cw_boot_seconds()) {
		*seconds = (double)(cw_boot_seconds() - uptime);
		ret = 0;
	} else if (count >= 2 && wall <= (uint64_t)time(NULL)) {
		*seconds = (double)((uint64_t)time(NULL) - wall);
		ret = 0;
	}
out:
	cw_buf_free(&text);
	return ret;
}

void
cw_behind_save(int dirfd, const struct cw_behind *behind)
{
	char text[64];
	int len = snprintf(text, sizeof(text), "%" PRIu64 " %" PRIu64 "\n",
	    behind->rows, behind->bytes);
	int fd = openat(dirfd, BEHIND_FILE ".tmp",
	    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0)
		return;
	if (cw_write_all(fd, text, (size_t)len, NULL) == 0)
		(void)renameat(dirfd, BEHIND_FILE ".tmp", dirfd, BEHIND_FILE);
	cw_close(&fd);
}

void
cw_behind_load(int dirfd, struct cw_behind *behind)
{
	struct cw_buf text = CW_BUF_INIT;

	*behind = (struct cw_behind){0, 0};
	if (cw_read_file(dirfd, BEHIND_FILE, 64, &text, NULL) == 0 &&
	    sscanf(cw_buf_string(&text), "%" SCNu64 " %" SCNu64, &behind->rows,
		&behind->bytes) != 2)
		*behind = (struct cw_behind){0, 0};
	cw_buf_free(&text);
}
