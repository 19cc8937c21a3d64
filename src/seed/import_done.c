/*
 * import.done: which volumes of a seed are imported.
 */
#include "seed/import_impl.h"

#include "base/bytes.h"
#include "base/fs.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DONE_MAX (256u << 20) /* bytes: a million lines, three times over */

/* Takes one line; what is no line, or of another volume, says nothing. */
static void
take_line(struct import *im, const char *line, size_t len)
{
	const char *space = memchr(line, ' ', len);
	struct import_volume *v;
	uint8_t sha256[32];
	uint64_t number;
	size_t value_len;

	if (space == NULL ||
	    !cw_decimal_parse(line, (size_t)(space - line), 999999, &number))
		return;
	v = import_find_volume(im, (uint32_t)number);
	if (v == NULL)
		return;
	value_len = len - (size_t)(space + 1 - line);
	if (cw_hex_decode(space + 1, value_len, sha256, sizeof(sha256))) {
		if (memcmp(sha256, v->file->sha256, sizeof(sha256)) == 0)
			v->state = VOLUME_DONE;
	} else if (value_len == 1 && space[1] == '-' &&
		   v->state == VOLUME_DONE) {
		v->state = v->medium == NULL ? VOLUME_ABSENT : VOLUME_WAITING;
	}
}

void
import_done_parse(struct import *im, const char *text)
{
	for (const char *at = text; *at != '\0';) {
		size_t len = strcspn(at, "\n");

		if (at[len] == '\0')
			break; /* torn */
		take_line(im, at, len);
		at += len + 1;
	}
}

/* A line that was torn must not become the beginning of the next one. */
static int
cut_torn(int fd, const struct cw_buf *text, struct cw_error *err)
{
	size_t len = text->len;

	while (len > 0 && text->data[len - 1] != '\n')
		len--;
	if (len < text->len && ftruncate(fd, (off_t)len) < 0)
		return cw_error_errno(err, "cannot cut " DONE_FILE);
	return 0;
}

int
import_read_done(struct import *im, struct cw_error *err)
{
	struct cw_buf text = CW_BUF_INIT;
	int dir, ret = -1;

	dir = cw_open_dir(im->store_dir, err);
	if (dir < 0)
		return -1;
	if (cw_read_file(dir, DONE_FILE, DONE_MAX, &text, err) < 0)
		goto out;
	import_done_parse(im, cw_buf_string(&text));
	im->done_fd = openat(
	    dir, DONE_FILE, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (im->done_fd < 0) {
		cw_error_errno(err, "cannot open %s/" DONE_FILE, im->store_dir);
		goto out;
	}
	ret = cut_torn(im->done_fd, &text, err);
	if (ret == 0)
		ret = cw_sync(dir, err);
	if (ret < 0)
		cw_error_context(err, "%s", im->store_dir);
out:
	cw_close(&dir);
	cw_buf_free(&text);
	return ret;
}

void
import_done_line(struct cw_buf *lines, const struct import_volume *v)
{
	char hex[2 * sizeof(v->file->sha256) + 1];

	cw_hex_encode(v->file->sha256, sizeof(v->file->sha256), hex);
	cw_buf_printf(lines, "%u %s\n", v->number, hex);
}

int
import_write_done(
    struct import *im, const struct cw_buf *lines, struct cw_error *err)
{
	if (cw_write_all(im->done_fd, lines->data, lines->len, err) < 0 ||
	    cw_sync(im->done_fd, err) < 0)
		return cw_error_context(err, "%s/" DONE_FILE, im->store_dir);
	return 0;
}

int
import_undo(struct import *im, struct import_volume *v, struct cw_error *err)
{
	struct cw_buf line = CW_BUF_INIT;
	int ret;

	cw_buf_printf(&line, "%u -\n", v->number);
	ret = import_write_done(im, &line, err);
	cw_buf_free(&line);
	if (ret == 0)
		v->state = v->medium == NULL ? VOLUME_ABSENT : VOLUME_WAITING;
	return ret;
}
