#include "replica/place.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/acl.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#define OWNERS_MAX 1024u

/* What a name of a user or group means here. */
struct owner {
	char *name;
	bool is_group, is_known;
	uint32_t number;
};

struct cw_place {
	const struct cw_place_root *roots;
	size_t root_count;
	bool is_root;
	char *dir; /* path of dirfd, NULL: none */
	size_t dir_len;
	int dirfd;
	struct owner owners[OWNERS_MAX];
	size_t owner_count;
	uint64_t unmapped;
};

struct cw_place *
cw_place_new(const struct cw_place_root *roots, size_t count)
{
	struct cw_place *p = cw_calloc(1, sizeof(*p));

	p->roots = roots;
	p->root_count = count;
	p->is_root = geteuid() == 0;
	p->dirfd = -1;
	return p;
}

void
cw_place_free(struct cw_place *p)
{
	if (p == NULL)
		return;
	for (size_t i = 0; i < p->owner_count; i++)
		free(p->owners[i].name);
	cw_close(&p->dirfd);
	free(p->dir);
	free(p);
}

bool
cw_place_is_writable(const struct cw_place *p)
{
	struct statvfs vfs;

	for (size_t i = 0; i < p->root_count; i++)
		if (fstatvfs(p->roots[i].dirfd, &vfs) < 0 ||
		    (vfs.f_flag & ST_RDONLY) != 0)
			return false;
	return true;
}

uint64_t
cw_place_unmapped(const struct cw_place *p)
{
	return p->unmapped;
}

/* Names the path in front of an error's sentence. */
static int
at_path(struct cw_error *err, const char *path)
{
	char quoted[CW_QUOTE_MAX];

	cw_text_quote(path, strlen(path), quoted);
	return cw_error_context(err, "%s", quoted);
}

static int
fail(struct cw_error *err, const char *path, const char *doing)
{
	cw_error_errno(err, "cannot %s", doing);
	return at_path(err, path);
}

/* ---- directories ---- */

/* Opens the directory at the first len bytes of path. */
static int
open_dir(struct cw_place *p, const char *path, size_t len, int *fd,
    struct cw_error *err)
{
	size_t name_len = 0;
	char *text;
	int ret = -1;

	while (name_len < len && path[name_len] != '/')
		name_len++;
	text = cw_asprintf("%.*s", (int)len, path);
	for (size_t i = 0; i < p->root_count; i++) {
		if (strlen(p->roots[i].name) != name_len ||
		    memcmp(p->roots[i].name, path, name_len) != 0)
			continue;
		*fd = cw_open_beneath(p->roots[i].dirfd,
		    name_len == len ? "." : text + name_len + 1,
		    O_RDONLY | O_DIRECTORY, 0, err);
		ret = *fd < 0 ? -1 : 0;
		goto out;
	}
	cw_error_set(
	    err, CW_ERR_DAMAGED, "no root is named %.*s", (int)name_len, path);
	errno = EINVAL;
out:
	free(text);
	return ret;
}

/* Splits a path; p->dirfd is then the directory that name is in. */
static int
enter(struct cw_place *p, const char *path, const char **name,
    struct cw_error *err)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash == NULL ? 0 : (size_t)(slash - path);
	int fd;

	if (len == 0 || !cw_path_is_safe(path, strlen(path))) {
		errno = EINVAL;
		return cw_error_set(
		    err, CW_ERR_DAMAGED, "a path leaves its root");
	}
	*name = slash + 1;
	if (p->dir != NULL && p->dir_len == len &&
	    memcmp(p->dir, path, len) == 0)
		return 0;
	if (open_dir(p, path, len, &fd, err) < 0)
		return -1;
	cw_close(&p->dirfd);
	free(p->dir);
	p->dirfd = fd;
	p->dir = cw_asprintf("%.*s", (int)len, path);
	p->dir_len = len;
	return 0;
}

int
cw_place_dir(struct cw_place *p, const char *path, struct cw_error *err)
{
	const char *name;
	struct stat st;

	if (strchr(path, '/') == NULL)
		return 0; /* a root: it is there */
	if (enter(p, path, &name, err) < 0)
		return at_path(err, path);
	if (mkdirat(p->dirfd, name, 0700) == 0)
		return 0;
	if (errno != EEXIST)
		return fail(err, path, "make the directory");
	if (fstatat(p->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return fail(err, path, "look at it");
	if (!S_ISDIR(st.st_mode))
		return cw_error_set(err, CW_ERR_REFUSED,
		    "%s is there and is no directory: receive into an empty "
		    "directory",
		    path);
	return 0;
}

/* ---- metadata ---- */

static uint32_t
map_owner(struct cw_place *p, const char *name, bool is_group, uint32_t number)
{
	struct owner *o = NULL;

	if (name == NULL || name[0] == '\0')
		return number;
	for (size_t i = 0; i < p->owner_count && o == NULL; i++)
		if (p->owners[i].is_group == is_group &&
		    strcmp(p->owners[i].name, name) == 0)
			o = &p->owners[i];
	if (o == NULL && p->owner_count < OWNERS_MAX) {
		struct passwd *user = NULL, user_buf;
		struct group *group = NULL, group_buf;
		size_t size = 1u << 16;
		char *text = cw_malloc(size);

		o = &p->owners[p->owner_count++];
		o->name = cw_strdup(name);
		o->is_group = is_group;
		if (is_group &&
		    getgrnam_r(name, &group_buf, text, size, &group) == 0 &&
		    group != NULL) {
			o->is_known = true;
			o->number = group->gr_gid;
		} else if (!is_group &&
			   getpwnam_r(name, &user_buf, text, size, &user) ==
			       0 &&
			   user != NULL) {
			o->is_known = true;
			o->number = user->pw_uid;
		} else {
			p->unmapped++;
		}
		free(text);
	}
	return o != NULL && o->is_known ? o->number : number;
}

static int
set_acl(int fd, const char *text, acl_type_t type, struct cw_error *err)
{
	acl_t acl;
	int ret;

	acl = acl_from_text(text);
	if (acl == NULL)
		return cw_error_set(err, CW_ERR_DAMAGED,
		    "its access control list is not valid");
	if (type == ACL_TYPE_ACCESS) {
		ret = acl_set_fd(fd, acl);
	} else {
		/* There is no acl_set_fd for the default one. */
		char path[64];

		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		ret = acl_set_file(path, type, acl);
	}
	if (ret < 0)
		ret = cw_error_errno(err,
		    "cannot set its access control list (is the filesystem "
		    "mounted without acl?)");
	acl_free(acl);
	return ret;
}

static int
set_attrs(int fd, const struct cw_entry *e, struct cw_error *err)
{
	struct cw_attrs attrs;
	int ret = 0;

	if (e->attrs == NULL)
		return 0;
	if (cw_attrs_decode(e->attrs, e->attrs_len, &attrs, err) < 0)
		return -1;
	for (size_t i = 0; i < attrs.xattr_count && ret == 0; i++)
		/* security.* and trusted.* give rights: no seed has them. */
		if (strncmp(attrs.xattrs[i].name, "user.", 5) != 0)
			ret = cw_error_set(err, CW_ERR_REFUSED,
			    "its attribute %s is none that a seed carries",
			    attrs.xattrs[i].name);
		else if (fsetxattr(fd, attrs.xattrs[i].name,
			     attrs.xattrs[i].value, attrs.xattrs[i].len, 0) < 0)
			ret = cw_error_errno(err, "cannot set its attribute %s",
			    attrs.xattrs[i].name);
	if (ret == 0 && attrs.acl_access != NULL)
		ret = set_acl(fd, attrs.acl_access, ACL_TYPE_ACCESS, err);
	if (ret == 0 && attrs.acl_default != NULL)
		ret = set_acl(fd, attrs.acl_default, ACL_TYPE_DEFAULT, err);
	cw_attrs_free(&attrs);
	return ret;
}

static void
times_of(const struct cw_entry *e, struct timespec times[2])
{
	times[0].tv_sec = 0;
	times[0].tv_nsec = UTIME_OMIT;
	times[1] = cw_time_split(e->mtime_ns);
}

/* Owner first: it takes bits off the mode; the time last. */
static int
set_metadata(
    struct cw_place *p, int fd, const struct cw_entry *e, struct cw_error *err)
{
	struct timespec times[2];
	struct stat st;

	if (fstat(fd, &st) < 0)
		return cw_error_errno(err, "cannot look at it");
	if (p->is_root) {
		uint32_t uid = map_owner(p, e->user, false, e->uid);
		uint32_t gid = map_owner(p, e->group, true, e->gid);

		if ((st.st_uid != uid || st.st_gid != gid) &&
		    fchown(fd, uid, gid) < 0)
			return cw_error_errno(
			    err, "cannot give it to its owner");
	}
	if ((st.st_mode & 07777u) != e->mode && fchmod(fd, e->mode) < 0)
		return cw_error_errno(err, "cannot set its mode");
	if (set_attrs(fd, e, err) < 0)
		return -1;
	/* A sync does not carry that of a directory: it is not from 1970. */
	if (e->kind == CW_KIND_DIR && e->mtime_ns == 0)
		return 0;
	times_of(e, times);
	if (futimens(fd, times) < 0)
		return cw_error_errno(err, "cannot set its times");
	return 0;
}

void
cw_place_look(struct cw_place *p, const struct cw_entry *e, struct cw_look *out)
{
	/* The peer's row is checked after its content was handed on. */
	*out =
	    (struct cw_look){.mode = e->mode & 01777u, .mtime_ns = e->mtime_ns};
	if (p->is_root) {
		out->has_owner = true;
		out->uid = map_owner(p, e->user, false, e->uid);
		out->gid = map_owner(p, e->group, true, e->gid);
	}
}

int
cw_place_dir_finish(struct cw_place *p, const char *path,
    const struct cw_entry *e, struct cw_error *err)
{
	int fd, ret;

	if (open_dir(p, path, strlen(path), &fd, err) < 0)
		return at_path(err, path);
	ret = set_metadata(p, fd, e, err);
	cw_close(&fd);
	return ret < 0 ? at_path(err, path) : 0;
}

/* ---- files ---- */

/* Makes way for a new entry; a directory in the way is for the caller. */
static int
clear(struct cw_place *p, const char *path, const char *name,
    struct cw_error *err)
{
	if (unlinkat(p->dirfd, name, 0) < 0 && errno != ENOENT)
		return fail(err, path, "replace what is there");
	return 0;
}

int
cw_place_file_begin(struct cw_place *p, const char *path, bool may_exist,
    int *fd, struct cw_error *err)
{
	const int flags =
	    O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
	const char *name;

	*fd = -1;
	if (enter(p, path, &name, err) < 0)
		return at_path(err, path);
	*fd = openat(p->dirfd, name, flags | (may_exist ? 0 : O_EXCL), 0600);
	if (*fd < 0 && (errno == EEXIST || errno == ELOOP)) {
		if (clear(p, path, name, err) < 0)
			return -1;
		*fd = openat(p->dirfd, name, flags | O_EXCL, 0600);
	}
	if (*fd < 0)
		return fail(err, path, "create it");
	return 0;
}

int
cw_place_file_finish(
    struct cw_place *p, int *fd, const struct cw_entry *e, struct cw_error *err)
{
	int ret = set_metadata(p, *fd, e, err);

	cw_close(fd);
	return ret;
}

void
cw_place_file_abandon(struct cw_place *p, const char *path, int *fd)
{
	const char *name;

	cw_close(fd);
	if (enter(p, path, &name, NULL) == 0)
		(void)unlinkat(p->dirfd, name, 0);
}

int
cw_place_symlink(struct cw_place *p, const char *path, const struct cw_entry *e,
    struct cw_error *err)
{
	struct timespec times[2];
	const char *name;

	if (enter(p, path, &name, err) < 0)
		return at_path(err, path);
	if (clear(p, path, name, err) < 0)
		return -1;
	if (symlinkat(e->target, p->dirfd, name) < 0)
		return fail(err, path, "make the symlink");
	if (p->is_root &&
	    fchownat(p->dirfd, name, map_owner(p, e->user, false, e->uid),
		map_owner(p, e->group, true, e->gid), AT_SYMLINK_NOFOLLOW) < 0)
		return fail(err, path, "give it to its owner");
	times_of(e, times);
	if (utimensat(p->dirfd, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return fail(err, path, "set its times");
	return 0;
}

int
cw_place_link(
    struct cw_place *p, const char *path, const char *to, struct cw_error *err)
{
	const char *name, *to_name;
	struct stat a, b;
	int to_dir = -1, ret = -1;

	/* The target's directory stays open while the other is entered. */
	if (enter(p, to, &to_name, err) < 0)
		return at_path(err, to);
	to_dir = fcntl(p->dirfd, F_DUPFD_CLOEXEC, 0);
	if (to_dir < 0)
		return fail(err, to, "open its directory");
	if (enter(p, path, &name, err) < 0) {
		at_path(err, path);
		goto out;
	}
	if (fstatat(to_dir, to_name, &a, AT_SYMLINK_NOFOLLOW) < 0) {
		fail(err, to, "look at it");
		goto out;
	}
	if (!S_ISREG(a.st_mode)) {
		cw_error_set(err, CW_ERR_DAMAGED, "it is no regular file");
		at_path(err, to);
		goto out;
	}
	if (fstatat(p->dirfd, name, &b, AT_SYMLINK_NOFOLLOW) == 0) {
		if (a.st_dev == b.st_dev && a.st_ino == b.st_ino) {
			ret = 0;
			goto out;
		}
		if (clear(p, path, name, err) < 0)
			goto out;
	}
	if (linkat(to_dir, to_name, p->dirfd, name, 0) < 0) {
		fail(err, path, "link it");
		goto out;
	}
	ret = 0;
out:
	cw_close(&to_dir);
	return ret;
}

/* Nothing is there, or something on the way that is no directory. */
static bool
is_absent(int number)
{
	return number == ENOENT || number == ENOTDIR || number == ELOOP;
}

int
cw_place_stat(
    struct cw_place *p, const char *path, struct stat *st, struct cw_error *err)
{
	const char *name;

	if (enter(p, path, &name, err) < 0)
		return is_absent(errno) ? 1 : at_path(err, path);
	if (fstatat(p->dirfd, name, st, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	return errno == ENOENT ? 1 : fail(err, path, "look at it");
}

int
cw_place_open(
    struct cw_place *p, const char *path, int *fd, struct cw_error *err)
{
	const char *name;
	struct stat st;

	*fd = -1;
	if (enter(p, path, &name, err) < 0)
		return is_absent(errno) ? 1 : at_path(err, path);
	*fd = openat(
	    p->dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (*fd < 0)
		return errno == ENOENT || errno == ELOOP
			   ? 1
			   : fail(err, path, "open it");
	if (fstat(*fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		cw_close(fd);
		return 1;
	}
	return 0;
}

int
cw_place_sync(struct cw_place *p, struct cw_error *err)
{
	for (size_t i = 0; i < p->root_count; i++)
		if (syncfs(p->roots[i].dirfd) < 0)
			return cw_error_errno(err,
			    "cannot sync the filesystem of root %s",
			    p->roots[i].name);
	return 0;
}

/* ---- for those who rename ---- */

int
cw_place_parent(struct cw_place *p, const char *path, int *dirfd,
    const char **name, struct cw_error *err)
{
	if (enter(p, path, name, err) < 0)
		return is_absent(errno) ? 1 : at_path(err, path);
	*dirfd = p->dirfd;
	return 0;
}

int
cw_place_open_dir(
    struct cw_place *p, const char *path, int *fd, struct cw_error *err)
{
	if (!cw_path_is_safe(path, strlen(path)))
		return cw_error_set(
		    err, CW_ERR_DAMAGED, "a path leaves its root");
	if (open_dir(p, path, strlen(path), fd, err) == 0)
		return 0;
	return is_absent(errno) ? 1 : at_path(err, path);
}

static bool
has_xattr(const struct cw_attrs *attrs, const char *name)
{
	if (strcmp(name, "system.posix_acl_access") == 0)
		return attrs->acl_access != NULL;
	if (strcmp(name, "system.posix_acl_default") == 0)
		return attrs->acl_default != NULL;
	for (size_t i = 0; i < attrs->xattr_count; i++)
		if (strcmp(attrs->xattrs[i].name, name) == 0)
			return true;
	/* Labels and states of this machine are its own business. */
	return strncmp(name, "user.", 5) != 0;
}

/* Takes away what a file has and the entry has not. */
static int
drop_attrs(int fd, const struct cw_entry *e, struct cw_error *err)
{
	struct cw_attrs attrs = {0};
	char *names;
	ssize_t len = flistxattr(fd, NULL, 0);
	int ret = 0;

	/* ENOTSUP: then there is nothing to take away. */
	if (len <= 0)
		return 0;
	if (e->attrs != NULL &&
	    cw_attrs_decode(e->attrs, e->attrs_len, &attrs, err) < 0)
		return -1;
	names = cw_malloc((size_t)len);
	len = flistxattr(fd, names, (size_t)len);
	for (ssize_t at = 0; at < len && ret == 0;
	     at += (ssize_t)strlen(names + at) + 1) {
		if (!has_xattr(&attrs, names + at) &&
		    fremovexattr(fd, names + at) < 0 && errno != ENODATA)
			ret = cw_error_errno(
			    err, "cannot remove its attribute %s", names + at);
	}
	free(names);
	cw_attrs_free(&attrs);
	return ret;
}

int
cw_place_metadata(
    struct cw_place *p, int fd, const struct cw_entry *e, struct cw_error *err)
{
	/* An ACL that goes takes its mask out of the mode: it goes first. */
	if (drop_attrs(fd, e, err) < 0)
		return -1;
	return set_metadata(p, fd, e, err);
}

void
cw_place_forget(struct cw_place *p)
{
	cw_close(&p->dirfd);
	free(p->dir);
	p->dir = NULL;
	p->dir_len = 0;
}
