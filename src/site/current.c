#include "site/current.h"

#include "base/bytes.h"
#include "base/fs.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CURRENT_FILE "current"
#define BEHIND_FILE  "behind"

int
cw_current_save(
    int dirfd, uint64_t generation, int64_t time, struct cw_error *err)
{
	char text[64];
	int len = snprintf(
	    text, sizeof(text), "%" PRIu64 " %" PRId64 "\n", generation, time);

	(void)unlinkat(dirfd, BEHIND_FILE, 0);
	return cw_save_file(dirfd, CURRENT_FILE, text, (size_t)len, 0600, err);
}

int
cw_current_load(
    int dirfd, uint64_t *generation, int64_t *time, struct cw_error *err)
{
	struct cw_buf text = CW_BUF_INIT;
	uint64_t seconds = 0;
	char *space;
	int ret = cw_read_file(dirfd, CURRENT_FILE, 64, &text, err);

	if (ret != 0)
		goto out;
	/* What makes no sense tells nothing. */
	ret = 1;
	space = strchr(cw_buf_string(&text), ' ');
	if (space != NULL && text.data[text.len - 1] == '\n' &&
	    cw_decimal_parse((const char *)text.data,
		(size_t)(space - (const char *)text.data), INT64_MAX,
		generation) &&
	    cw_decimal_parse(space + 1,
		text.len - (size_t)(space + 2 - (const char *)text.data),
		INT64_MAX, &seconds)) {
		*time = (int64_t)seconds;
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
