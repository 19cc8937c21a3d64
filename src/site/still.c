#include "site/still.h"

#include "base/buf.h"
#include "base/bytes.h"
#include "base/crypto.h"
#include "base/fs.h"
#include "base/progress.h"
#include "base/text.h"
#include "formats/mail/mail.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * Entries are hashed one by one and their hashes added, so that the order in
 * which a directory lists them does not matter.  Nobody chooses these bytes to
 * deceive us: it is a check against accident.
 */
struct walk {
	int root;
	const struct cw_mail_format *format; /* NULL: look at every file */
	char **dirs; /* paths below the root that wait, a stack */
	size_t count, cap;
	uint64_t sum[4];
};

#define DIRS_MAX 10000000u

static void
add(struct walk *w, uint64_t parent, const char *name, const struct stat *st)
{
	uint8_t fields[72], hash[CW_SHA256_SIZE];
	struct cw_buf text = CW_BUF_INIT;

	cw_put_le64(fields, parent);
	cw_put_le64(fields + 8, st->st_ino);
	cw_put_le64(fields + 16, st->st_mode);
	cw_put_le64(
	    fields + 24, S_ISDIR(st->st_mode) ? 0 : (uint64_t)st->st_size);
	cw_put_le64(fields + 32, (uint64_t)st->st_mtim.tv_sec);
	cw_put_le64(fields + 40, (uint64_t)st->st_mtim.tv_nsec);
	cw_put_le64(fields + 48, (uint64_t)st->st_ctim.tv_sec);
	cw_put_le64(fields + 56, (uint64_t)st->st_ctim.tv_nsec);
	cw_put_le64(fields + 64, st->st_dev);
	cw_buf_append(&text, fields, sizeof(fields));
	cw_buf_text(&text, name);
	cw_sha256(text.data, text.len, hash);
	cw_buf_free(&text);
	for (int i = 0; i < 4; i++)
		w->sum[i] += cw_get_le64(hash + 8 * i);
}

static void
push(struct walk *w, char *path)
{
	if (w->count == w->cap) {
		w->cap = w->cap == 0 ? 64 : w->cap * 2;
		w->dirs = cw_reallocarray(w->dirs, w->cap, sizeof(*w->dirs));
	}
	w->dirs[w->count++] = path;
}

/* One entry; what vanished makes the digest another by its absence. */
static int
look(struct walk *w, int fd, uint64_t parent, const char *path,
    const struct dirent *e, bool dir_tells, struct cw_error *err)
{
	struct stat st;

	if (dir_tells && e->d_type != DT_DIR && e->d_type != DT_UNKNOWN)
		return 0;
	if (fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno == ENOENT)
			return 0;
		return cw_error_errno(err, "cannot stat a file");
	}
	add(w, parent, e->d_name, &st);
	if (!S_ISDIR(st.st_mode))
		return 0;
	if (w->count >= DIRS_MAX)
		return cw_error_set(err, CW_ERR_FAILED,
		    "more than %u directories in one", DIRS_MAX);
	push(w, path[0] == '\0' ? cw_strdup(e->d_name)
				: cw_asprintf("%s/%s", path, e->d_name));
	return 0;
}

static int
walk_dir(struct walk *w, const char *path, struct cw_error *err)
{
	bool tells = w->format != NULL && w->format->dir_tells != NULL &&
		     w->format->dir_tells(path, strlen(path));
	struct dirent *e;
	struct stat st;
	DIR *dir = NULL;
	int fd, ret = -1;

	fd = cw_open_beneath(w->root, path[0] == '\0' ? "." : path,
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, err);
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -1;
	if (fstat(fd, &st) < 0 || (dir = fdopendir(fd)) == NULL) {
		cw_error_errno(err, "cannot list a directory");
		goto out;
	}
	add(w, 0, "", &st);
	/* The files of a directory that tells need not even be listed, but
	   directories may be among them. */
	if (tells && st.st_nlink == 2) {
		ret = 0;
		goto out;
	}
	for (errno = 0; (e = readdir(dir)) != NULL; errno = 0) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (look(w, fd, st.st_ino, path, e, tells, err) < 0)
			goto out;
	}
	if (errno != 0) {
		cw_error_errno(err, "cannot list a directory");
		goto out;
	}
	ret = 0;
out:
	if (dir != NULL)
		(void)closedir(dir);
	else
		cw_close(&fd);
	if (ret < 0) {
		char quoted[CW_QUOTE_MAX];

		cw_text_quote(path, strlen(path), quoted);
		cw_error_context(err, "%s", quoted);
	}
	return ret;
}

static int
walk_root(
    struct walk *w, const struct cw_still_root *root, struct cw_error *err)
{
	int ret = 0;

	w->format =
	    root->format == NULL ? NULL : cw_mail_format_find(root->format);
	w->root = cw_open_dir(root->path, err);
	if (w->root < 0)
		return -1;
	push(w, cw_strdup(""));
	while (ret == 0 && w->count > 0) {
		char *path = w->dirs[--w->count];

		ret = cw_stop_check(err);
		if (ret == 0)
			ret = walk_dir(w, path, err);
		free(path);
	}
	while (w->count > 0)
		free(w->dirs[--w->count]);
	cw_close(&w->root);
	return ret;
}

int
cw_still_digest(const struct cw_still_root *roots, size_t root_count,
    uint8_t out[CW_STILL_SIZE], struct cw_error *err)
{
	struct walk w = {.root = -1};
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < root_count; i++)
		ret = walk_root(&w, &roots[i], err);
	for (int i = 0; i < 4; i++)
		cw_put_le64(out + 8 * i, w.sum[i]);
	free(w.dirs);
	return ret;
}
