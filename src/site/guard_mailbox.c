#include "site/guard_mailbox.h"

#include "base/crypto.h"
#include "base/fs.h"
#include "formats/mail/mail.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Base names of the messages that are there, as hashes: 16 bytes each. */
struct present {
	bool is_known; /* false: the messages are elsewhere */
	uint8_t (*hashes)[CW_XXH_SIZE];
	size_t count, cap;
};

static int
compare(const void *a, const void *b)
{
	return memcmp(a, b, CW_XXH_SIZE);
}

static bool
is_present(void *arg, const char *base, size_t len)
{
	const struct present *p = arg;
	uint8_t hash[CW_XXH_SIZE];

	cw_xxh(base, len, hash);
	return p->count > 0 &&
	       bsearch(hash, p->hashes, p->count, CW_XXH_SIZE, compare) != NULL;
}

/* 1: no such directory. */
static int
list_messages(
    int dirfd, const char *name, struct present *p, struct cw_error *err)
{
	struct dirent *e;
	DIR *dir;
	int fd = cw_open_beneath(dirfd, name, O_RDONLY | O_DIRECTORY, 0, err);

	if (fd < 0)
		return errno == ENOENT ? 1 : -1;
	dir = fdopendir(fd);
	if (dir == NULL) {
		cw_close(&fd);
		return cw_error_errno(err, "cannot list %s", name);
	}
	for (errno = 0; (e = readdir(dir)) != NULL; errno = 0) {
		if (e->d_name[0] == '.')
			continue;
		if (p->count == p->cap) {
			p->cap = p->cap == 0 ? 256 : p->cap * 2;
			p->hashes = cw_reallocarray(
			    p->hashes, p->cap, sizeof(*p->hashes));
		}
		cw_xxh(e->d_name,
		    cw_maildir_base_len(e->d_name, strlen(e->d_name)),
		    p->hashes[p->count++]);
	}
	if (errno != 0) {
		cw_error_errno(err, "cannot list %s", name);
		(void)closedir(dir);
		return -1;
	}
	(void)closedir(dir);
	return 0;
}

static int
list_all(int dirfd, struct present *p, struct cw_error *err)
{
	int cur = list_messages(dirfd, "cur", p, err);
	int new = cur < 0 ? -1 : list_messages(dirfd, "new", p, err);

	if (cur < 0 || new < 0)
		return -1;
	/* With CONTROL= the list stands apart from the messages. */
	p->is_known = cur == 0 || new == 0;
	if (p->count > 0)
		qsort(p->hashes, p->count, CW_XXH_SIZE, compare);
	return 0;
}

int
guard_read_list(
    int dirfd, struct cw_buf *text, struct stat *st, struct cw_error *err)
{
	size_t got = 0;
	int ret = -1;
	int fd = cw_open_beneath(
	    dirfd, CW_UIDLIST_NAME, O_RDONLY | O_NONBLOCK, 0, err);

	if (fd < 0)
		return errno == ENOENT ? 1 : -1;
	if (fstat(fd, st) < 0) {
		cw_error_errno(err, "cannot stat " CW_UIDLIST_NAME);
		goto out;
	}
	if (!S_ISREG(st->st_mode) || st->st_size > CW_UIDLIST_MAX) {
		cw_error_set(err, CW_ERR_FORMAT,
		    CW_UIDLIST_NAME " is no file of at most %u bytes",
		    CW_UIDLIST_MAX);
		goto out;
	}
	if (cw_read_full(fd, cw_buf_reserve(text, (size_t)st->st_size + 1),
		(size_t)st->st_size, &got, err) < 0)
		goto out;
	text->len += got;
	ret = 0;
out:
	cw_close(&fd);
	return ret;
}

static int
write_tmp(int dirfd, const struct cw_buf *text, const struct stat *old,
    dev_t *written_on, struct cw_error *err)
{
	struct stat st;
	int fd, ret = -1;

	(void)unlinkat(dirfd, GUARD_TMP, 0);
	fd = openat(dirfd, GUARD_TMP,
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return cw_error_errno(err, "cannot create " GUARD_TMP);
	if (cw_write_all(fd, text->data, text->len, err) < 0)
		goto out;
	/* The owner before the mode, which a change of owner may cut. */
	if (fchown(fd, old->st_uid, old->st_gid) < 0 ||
	    fchmod(fd, old->st_mode & 07777) < 0 || fstat(fd, &st) < 0) {
		cw_error_errno(err, "cannot give " GUARD_TMP " to its owner");
		goto out;
	}
	*written_on = st.st_dev;
	ret = 0;
out:
	if (ret < 0)
		(void)unlinkat(dirfd, GUARD_TMP, 0);
	cw_close(&fd);
	return ret;
}

int
guard_write_list(int dirfd, uint32_t next_uid, uint64_t *dropped,
    dev_t *written_on, struct cw_error *err)
{
	struct cw_buf text = CW_BUF_INIT, out = CW_BUF_INIT;
	struct present present = {0};
	struct cw_uidlist_guard guard = {
	    .next_uid = next_uid, .is_present = is_present, .arg = &present};
	struct stat st;
	int ret;

	*dropped = 0;
	(void)unlinkat(dirfd, GUARD_TMP, 0);
	ret = guard_read_list(dirfd, &text, &st, err);
	if (ret != 0)
		goto out;
	ret = -1;
	if (list_all(dirfd, &present, err) < 0)
		goto out;
	if (!present.is_known)
		guard.is_present = NULL;
	if (cw_uidlist_guard((const char *)text.data, text.len, &guard, &out,
		dropped, err) < 0)
		goto out;
	if (out.len == text.len && memcmp(out.data, text.data, out.len) == 0) {
		ret = 1;
		goto out;
	}
	ret = write_tmp(dirfd, &out, &st, written_on, err);
out:
	free(present.hashes);
	cw_buf_free(&text);
	cw_buf_free(&out);
	return ret;
}
