#include "media/mount.h"

#include "base/buf.h"
#include "base/fs.h"
#include "media/device_use.h"
#include "media/mount_impl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libmount/libmount.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define NAME_MAX_OURS 64u /* bytes of a directory we make */
#define UNMOUNT_TRIES 20u /* a tenth of a second each */
#define SAFE_OPTIONS  "nosuid,nodev,noexec"

bool
cw_mount_takes(const char *type)
{
	static const char *const types[] = {
	    "ext2", "ext3", "ext4", "xfs", "btrfs", "exfat", "vfat"};

	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
		if (strcmp(type, types[i]) == 0)
			return true;
	return false;
}

/* ---- where ---- */

/* A label is chosen by whoever made the disk: it names one directory. */
static char *
dir_name(const struct cw_device *d)
{
	const char *from = d->label[0] != '\0'	? d->label
			   : d->uuid[0] != '\0' ? d->uuid
						: d->name;
	char name[NAME_MAX_OURS];
	size_t len = 0;

	for (; *from != '\0' && len + 1 < sizeof(name); from++) {
		bool is_plain = (*from >= 'a' && *from <= 'z') ||
				(*from >= 'A' && *from <= 'Z') ||
				(*from >= '0' && *from <= '9') ||
				*from == '-' || *from == '_' ||
				(*from == '.' && len > 0);

		name[len++] = is_plain ? *from : '_';
	}
	name[len] = '\0';
	return cw_asprintf("%s/%s", CW_MOUNT_DIR, name);
}

static bool
is_mount_point(const char *dir)
{
	char *up = cw_asprintf("%s/..", dir);
	struct stat here, there;
	bool is_it = stat(dir, &here) == 0 && stat(up, &there) == 0 &&
		     here.st_dev != there.st_dev;

	free(up);
	return is_it;
}

static bool
is_empty_dir(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	bool is_empty = dir != NULL;

	while (is_empty && (entry = readdir(dir)) != NULL)
		is_empty = strcmp(entry->d_name, ".") == 0 ||
			   strcmp(entry->d_name, "..") == 0;
	if (dir != NULL)
		(void)closedir(dir);
	return is_empty;
}

/* Makes or takes an empty directory; another disk may have our label. */
static int
make_dir(const struct cw_device *d, const char *at, struct cw_mounted *m,
    struct cw_error *err)
{
	char *base = at == NULL ? dir_name(d) : NULL;

	m->dir = cw_strdup(at != NULL ? at : base);
	for (unsigned i = 2; at == NULL && is_mount_point(m->dir) && i < 100;
	     i++) {
		free(m->dir);
		m->dir = cw_asprintf("%s-%u", base, i);
	}
	free(base);
	m->made_dir = access(m->dir, F_OK) < 0;
	if (cw_make_dirs(m->dir, 0755, err) < 0)
		return -1;
	if (!is_empty_dir(m->dir))
		return cw_error_set(err, CW_ERR_REFUSED,
		    "%s is not an empty directory; what is in it would be "
		    "hidden by the medium: name another one",
		    m->dir);
	return 0;
}

/* ---- mounting ---- */

static int
explain(struct libmnt_context *cxt, int ret, const char *what,
    const char *device, struct cw_error *err)
{
	char said[256] = "";

	/* Also undoes what a failed step left; the text is for people. */
	(void)mnt_context_get_excode(cxt, ret, said, sizeof(said));
	for (char *at = said; *at != '\0'; at++)
		*at = *at == '\n' ? ' ' : *at;
	if (mnt_context_syscall_called(cxt) &&
	    mnt_context_get_syscall_errno(cxt) == EBUSY)
		return cw_error_set(err, CW_ERR_BUSY,
		    "cannot %s %s: it is in use; close what is open on it",
		    what, device);
	if (geteuid() != 0)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "cannot %s %s: only root may; run it as root, or give "
		    "directories on which media are mounted",
		    what, device);
	return cw_error_set(err, CW_ERR_IO, "cannot %s %s: %s", what, device,
	    said[0] != '\0' ? said : "the kernel refused");
}

static int
mount_on(const struct cw_device *d, const char *dir, bool is_readonly,
    struct cw_error *err)
{
	struct libmnt_context *cxt = mnt_new_context();
	int ret;

	if (cxt == NULL)
		return cw_error_set(err, CW_ERR_FAILED, "out of memory");
	(void)mnt_context_set_source(cxt, d->path);
	(void)mnt_context_set_target(cxt, dir);
	(void)mnt_context_set_fstype(cxt, d->type);
	(void)mnt_context_set_options(
	    cxt, is_readonly ? SAFE_OPTIONS ",ro" : SAFE_OPTIONS);
	(void)mnt_context_disable_mtab(cxt, 1);
	ret = mnt_context_mount(cxt);
	if (ret != 0 || mnt_context_get_status(cxt) != 1)
		ret = explain(cxt, ret, "mount", d->path, err);
	mnt_free_context(cxt);
	return ret;
}

static int
unmount_from(const char *dir, const char *device, struct cw_error *err)
{
	const struct timespec pause = {.tv_nsec = 100000000};
	int ret = -1;

	/* Who looked at it may be letting go of it just now. */
	for (unsigned i = 0; i < UNMOUNT_TRIES; i++) {
		struct libmnt_context *cxt = mnt_new_context();

		if (cxt == NULL)
			return cw_error_set(
			    err, CW_ERR_FAILED, "out of memory");
		(void)mnt_context_set_target(cxt, dir);
		(void)mnt_context_disable_mtab(cxt, 1);
		ret = mnt_context_umount(cxt);
		if (ret != 0 || mnt_context_get_status(cxt) != 1) {
			struct cw_error why = CW_ERROR_INIT;

			ret = explain(cxt, ret, "unmount", device, &why);
			if (err != NULL)
				*err = why;
			mnt_free_context(cxt);
			if (why.code != CW_ERR_BUSY)
				return -1;
			(void)nanosleep(&pause, NULL);
			continue;
		}
		mnt_free_context(cxt);
		return 0;
	}
	return ret;
}

/* A device that something else has, or that is no disk with our files. */
static int
check_device(const struct cw_device *d, struct cw_error *err)
{
	for (size_t i = 0; i < d->use_count; i++) {
		char *text;

		if (d->uses[i].kind != CW_USE_SWAP &&
		    d->uses[i].kind != CW_USE_HELD)
			continue;
		text = cw_use_text(&d->uses[i]);
		cw_error_set(err, CW_ERR_REFUSED, "%s is not mounted: it is %s",
		    d->path, text);
		free(text);
		return -1;
	}
	if (!cw_mount_takes(d->type))
		return cw_error_set(err, CW_ERR_USAGE,
		    "%s holds %s, which is no filesystem for media", d->path,
		    d->type[0] != '\0'	 ? d->type
		    : d->problem != NULL ? d->problem
					 : "nothing that is known");
	return 0;
}

/* It is mounted: there, if that serves.  1: it is not. */
static int
use_mounted(const struct cw_device *d, const struct cw_mount_options *o,
    struct cw_mounted *m, struct cw_error *err)
{
	struct statvfs fs;

	for (size_t i = 0; i < d->mount_count; i++) {
		struct stat st;

		if (o->at != NULL && strcmp(o->at, d->mounts[i]) != 0)
			continue;
		if (stat(d->mounts[i], &st) < 0 ||
		    statvfs(d->mounts[i], &fs) < 0 ||
		    (strcmp(d->type, "btrfs") != 0 && st.st_dev != d->number))
			continue; /* gone, or something is mounted over it */
		if (!o->is_readonly && !o->takes_readonly &&
		    (fs.f_flag & ST_RDONLY) != 0)
			return cw_error_set(err, CW_ERR_REFUSED,
			    "%s is mounted read-only on %s; unmount it, or "
			    "mount it for writing",
			    d->path, d->mounts[i]);
		m->dir = cw_strdup(d->mounts[i]);
		return 0;
	}
	return 1;
}

static void
free_mounted(struct cw_mounted *m)
{
	free(m->dir);
	free(m->device);
	free(m->label);
	free(m->uuid);
	free(m->type);
	free(m);
}

int
cw_mount(const char *name, const struct cw_mount_options *options,
    struct cw_mounted **out, struct cw_error *err)
{
	struct cw_devices *all;
	struct cw_mounted *m;
	const struct cw_device *d;
	size_t index = 0;
	int ret;

	*out = NULL;
	if (cw_mount_find(name, &all, &index, err) < 0)
		return -1;
	d = &all->list[index];
	m = cw_calloc(1, sizeof(*m));
	m->device = cw_strdup(d->path);
	m->label = cw_strdup(d->label);
	m->uuid = cw_strdup(d->uuid);
	m->type = cw_strdup(d->type);
	ret = use_mounted(d, options, m, err);
	if (ret == 1) {
		ret = check_device(d, err);
		if (ret == 0)
			ret = make_dir(d, options->at, m, err);
		if (ret == 0)
			ret = mount_on(d, m->dir,
			    options->is_readonly || d->is_readonly, err);
		m->is_ours = ret == 0;
		if (ret < 0 && m->made_dir)
			(void)rmdir(m->dir);
	}
	cw_devices_free(all);
	if (ret < 0)
		free_mounted(m);
	else
		*out = m;
	return ret;
}

int
cw_mount_end(struct cw_mounted *m, struct cw_error *err)
{
	int ret = 0;

	if (m == NULL)
		return 0;
	if (m->is_ours) {
		ret = unmount_from(m->dir, m->device, err);
		if (ret < 0)
			cw_error_context(
			    err, "%s stays mounted on %s", m->device, m->dir);
		else if (m->made_dir)
			(void)rmdir(m->dir);
	}
	free_mounted(m);
	return ret;
}

void
cw_mount_keep(struct cw_mounted *m)
{
	if (m != NULL)
		free_mounted(m);
}

/* ---- unmounting what is named ---- */

/* The device that is mounted on a directory; -1: none. */
static int
find_mount_point(const struct cw_devices *all, const char *dir)
{
	char resolved[PATH_MAX];

	if (realpath(dir, resolved) == NULL)
		return -1;
	for (size_t i = 0; i < all->count; i++)
		for (size_t n = 0; n < all->list[i].mount_count; n++)
			if (strcmp(all->list[i].mounts[n], resolved) == 0)
				return (int)i;
	return -1;
}

static int
unmount_all(const struct cw_device *d, const char *only, char **dir,
    struct cw_error *err)
{
	char resolved[PATH_MAX];
	size_t base = strlen(CW_MOUNT_DIR);

	if (only != NULL && realpath(only, resolved) == NULL)
		return cw_error_errno(err, "cannot find %s", only);
	for (size_t i = d->mount_count; i-- > 0;) {
		const char *point = d->mounts[i];

		if (only != NULL && strcmp(point, resolved) != 0)
			continue;
		if (unmount_from(point, d->path, err) < 0)
			return -1;
		if (strncmp(point, CW_MOUNT_DIR, base) == 0 &&
		    point[base] == '/')
			(void)rmdir(point);
		if (dir != NULL) {
			free(*dir);
			*dir = cw_strdup(point);
		}
	}
	return 0;
}

int
cw_unmount(const char *name, char **dir, struct cw_error *err)
{
	struct cw_devices *all = NULL;
	const struct cw_device *d;
	const char *only = NULL;
	size_t index = 0;
	int found, ret = -1;

	if (dir != NULL)
		*dir = NULL;
	if (cw_mount_is_name(name)) {
		if (cw_mount_find(name, &all, &index, err) < 0)
			return -1;
	} else {
		all = cw_mount_list(err);
		if (all == NULL)
			return -1;
		found = find_mount_point(all, name);
		if (found < 0) {
			cw_error_set(err, CW_ERR_MISSING,
			    "no medium is mounted on %s", name);
			goto out;
		}
		index = (size_t)found;
		only = name;
	}
	d = &all->list[index];
	for (size_t i = 0; i < d->use_count; i++)
		if (d->uses[i].kind == CW_USE_SYSTEM) {
			cw_error_set(err, CW_ERR_REFUSED,
			    "%s is not unmounted: this system runs from it",
			    d->path);
			goto out;
		}
	if (d->mount_count == 0) {
		cw_error_set(err, CW_ERR_MISSING, "%s is not mounted", d->path);
		goto out;
	}
	ret = unmount_all(d, only, dir, err);
out:
	cw_devices_free(all);
	return ret;
}
