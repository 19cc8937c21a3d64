#include "site/mounts.h"

#include "base/buf.h"
#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOUNTS_MAX    100000u
#define MOUNTINFO_MAX (64u << 20)
#define FDINFO_MAX    4096u

/* Files of /proc have no size: read to the end. */
static int
read_proc(const char *path, size_t max, struct cw_buf *text)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t got = 1;

	if (fd < 0)
		return -1;
	while (got > 0 && text->len < max) {
		if (cw_read_full(fd, cw_buf_reserve(text, 65536), 65536, &got,
			NULL) < 0) {
			cw_close(&fd);
			return -1;
		}
		text->len += got;
	}
	cw_close(&fd);
	return 0;
}

/* "\040" and its like, in place. */
static void
unescape(char *text)
{
	char *to = text;

	while (*text != '\0') {
		if (text[0] == '\\' && text[1] >= '0' && text[1] <= '3' &&
		    text[2] >= '0' && text[2] <= '7' && text[3] >= '0' &&
		    text[3] <= '7') {
			*to++ = (char)((text[1] - '0') << 6 |
				       (text[2] - '0') << 3 | (text[3] - '0'));
			text += 4;
		} else {
			*to++ = *text++;
		}
	}
	*to = '\0';
}

/* "ID PARENT MAJ:MIN ROOT POINT ..." */
static bool
take_line(char *line, struct cw_mount *m)
{
	char *save = NULL;
	char *id = strtok_r(line, " ", &save);
	char *parent = strtok_r(NULL, " ", &save);
	char *device = strtok_r(NULL, " ", &save);
	char *root = strtok_r(NULL, " ", &save);
	char *point = strtok_r(NULL, " ", &save);

	if (id == NULL || parent == NULL || device == NULL || root == NULL ||
	    point == NULL || strlen(device) >= sizeof(m->device))
		return false;
	unescape(root);
	unescape(point);
	m->id = (int)strtol(id, NULL, 10);
	(void)snprintf(m->device, sizeof(m->device), "%s", device);
	m->root = cw_strdup(root);
	m->point = cw_strdup(point);
	return true;
}

int
cw_mounts_read(const char *pid, struct cw_mounts *mounts, struct cw_error *err)
{
	char *path =
	    cw_asprintf("/proc/%s/mountinfo", pid == NULL ? "self" : pid);
	struct cw_buf text = CW_BUF_INIT;
	char *save = NULL;
	int ret = -1;

	if (read_proc(path, MOUNTINFO_MAX, &text) < 0) {
		/* EINVAL: a process that is ending has no mounts. */
		if (pid != NULL &&
		    (errno == ENOENT || errno == ESRCH || errno == EINVAL))
			ret = 1;
		else
			cw_error_errno(err, "cannot read %s", path);
		goto out;
	}
	for (char *line = strtok_r(cw_buf_string(&text), "\n", &save);
	     line != NULL && mounts->count < MOUNTS_MAX;
	     line = strtok_r(NULL, "\n", &save)) {
		struct cw_mount m;

		if (!take_line(line, &m))
			continue;
		if ((mounts->count & (mounts->count - 1)) == 0)
			mounts->list = cw_reallocarray(mounts->list,
			    mounts->count == 0 ? 1 : mounts->count * 2,
			    sizeof(*mounts->list));
		mounts->list[mounts->count++] = m;
	}
	ret = 0;
out:
	cw_buf_free(&text);
	free(path);
	return ret;
}

void
cw_mounts_free(struct cw_mounts *mounts)
{
	for (size_t i = 0; i < mounts->count; i++) {
		free(mounts->list[i].root);
		free(mounts->list[i].point);
	}
	free(mounts->list);
	mounts->list = NULL;
	mounts->count = 0;
}

bool
cw_path_is_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	if (len == 1 && dir[0] == '/')
		return path[0] == '/';
	return strncmp(path, dir, len) == 0 &&
	       (path[len] == '\0' || path[len] == '/');
}

const struct cw_mount *
cw_mounts_find(const struct cw_mounts *mounts, int id, const char *path)
{
	const struct cw_mount *best = NULL;

	for (size_t i = 0; i < mounts->count; i++) {
		const struct cw_mount *m = &mounts->list[i];

		if (id >= 0) {
			if (m->id == id)
				return m;
			continue;
		}
		if (cw_path_is_below(path, m->point) &&
		    (best == NULL || strlen(m->point) >= strlen(best->point)))
			best = m;
	}
	return best;
}

int
cw_mount_id(const char *fdinfo_path)
{
	struct cw_buf text = CW_BUF_INIT;
	const char *at;
	int id = -1;

	if (read_proc(fdinfo_path, FDINFO_MAX, &text) == 0 &&
	    (at = strstr(cw_buf_string(&text), "mnt_id:")) != NULL)
		id = (int)strtol(at + strlen("mnt_id:"), NULL, 10);
	cw_buf_free(&text);
	return id;
}

char *
cw_mount_inner(const struct cw_mount *mount, const char *path)
{
	const char *rest;

	if (!cw_path_is_below(path, mount->point))
		return NULL;
	rest =
	    strcmp(mount->point, "/") == 0 ? path : path + strlen(mount->point);
	while (*rest == '/')
		rest++;
	if (*rest == '\0')
		return cw_strdup(mount->root);
	return cw_asprintf(
	    "%s/%s", strcmp(mount->root, "/") == 0 ? "" : mount->root, rest);
}
