#include "store/scan.h"

#include "base/fs.h"
#include "formats/mail/mail.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * Enough to meet an account of any layout, little enough to be at once.  First
 * what lies near the top; then, since an account may lie below domains and
 * letters, far down in few places.
 */
#define DETECT_DIRS_MAX	    512u
#define DETECT_DEPTH_MAX    6u
#define DETECT_ENTRIES_MAX  4096u /* looked at in one directory */
#define DETECT_CHILDREN_MAX 32u	  /* taken of one directory */
#define DETECT_FAR_DEPTH    16u
#define DETECT_FAR_CHILDREN 4u
#define DETECT_FAR_LISTED   2048u /* directories */

struct found {
	char **paths;
	size_t count;
};

static size_t
depth_of(const char *path)
{
	size_t depth = 1;

	for (; *path != '\0'; path++)
		depth += *path == '/';
	return depth;
}

static bool
is_dir(int dirfd, const struct dirent *d)
{
	int fd;

	if (d->d_type != DT_UNKNOWN)
		return d->d_type == DT_DIR;
	fd = cw_open_beneath(dirfd, d->d_name, O_PATH | O_DIRECTORY, 0, NULL);
	if (fd < 0)
		return false;
	(void)close(fd);
	return true;
}

/* The first directories in one; cur, new and tmp always. */
static void
list_dirs(int rootfd, const char *path, size_t children, struct found *f)
{
	int fd = cw_open_beneath(rootfd, *path == '\0' ? "." : path,
	    O_RDONLY | O_DIRECTORY, 0, NULL);
	size_t seen = 0, taken = 0;
	struct dirent *d;
	DIR *dir;

	if (fd < 0)
		return;
	if ((dir = fdopendir(fd)) == NULL) {
		(void)close(fd);
		return;
	}
	while ((d = readdir(dir)) != NULL && seen++ < DETECT_ENTRIES_MAX &&
	       f->count < DETECT_DIRS_MAX) {
		bool is_part = strcmp(d->d_name, "cur") == 0 ||
			       strcmp(d->d_name, "new") == 0 ||
			       strcmp(d->d_name, "tmp") == 0;

		if (strcmp(d->d_name, ".") == 0 ||
		    strcmp(d->d_name, "..") == 0 || !is_dir(fd, d) ||
		    (!is_part && taken++ >= children))
			continue;
		f->paths[f->count++] =
		    *path == '\0' ? cw_strdup(d->d_name)
				  : cw_asprintf("%s/%s", path, d->d_name);
	}
	closedir(dir);
}

static bool
tells(const struct found *f, size_t from, const char **format)
{
	const struct cw_mail_format *found = cw_mail_format_detect(
	    (const char *const *)f->paths + from, f->count - from);

	*format = found->name;
	return found != cw_mail_format_find("plain");
}

static void
forget(struct found *f)
{
	for (size_t i = 0; i < f->count; i++)
		free(f->paths[i]);
	f->count = 0;
}

/* Breadth first: the list itself is the queue. */
static bool
look_near(int fd, struct found *f, const char **format)
{
	list_dirs(fd, "", DETECT_CHILDREN_MAX, f);
	for (size_t i = 0; i < f->count; i++) {
		if (depth_of(f->paths[i]) < DETECT_DEPTH_MAX)
			list_dirs(fd, f->paths[i], DETECT_CHILDREN_MAX, f);
	}
	return tells(f, 0, format);
}

/* Depth first: the list is the stack. */
static bool
look_far(int fd, struct found *f, const char **format)
{
	list_dirs(fd, "", DETECT_CHILDREN_MAX, f);
	for (size_t n = 0; f->count > 0 && n < DETECT_FAR_LISTED; n++) {
		char *path = f->paths[--f->count];
		size_t from = f->count;

		if (depth_of(path) < DETECT_FAR_DEPTH)
			list_dirs(fd, path, DETECT_FAR_CHILDREN, f);
		free(path);
		if (tells(f, from, format))
			return true;
	}
	return false;
}

int
cw_scan_detect(const char *path, const char **format, struct cw_error *err)
{
	struct found f = {NULL, 0};
	int fd = cw_open_dir(path, err);

	if (fd < 0)
		return -1;
	f.paths = cw_calloc(DETECT_DIRS_MAX, sizeof(*f.paths));
	if (!look_near(fd, &f, format)) {
		forget(&f);
		(void)look_far(fd, &f, format);
	}
	forget(&f);
	free(f.paths);
	(void)close(fd);
	return 0;
}
