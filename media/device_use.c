#include "media/device_use.h"

#include "base/buf.h"
#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <libmount/libmount.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define USES_MAX                                                               \
	64u /* of one device; who mounts it more often sees the rest           \
	     */

/* Mount points without which the machine does not run. */
static const char *const system_points[] = {
    "/", "/usr", "/etc", "/var", "/home", "/boot", "/boot/efi", "/efi"};

void
cw_device_add_use(struct cw_device *d, enum cw_use_kind kind, const char *what)
{
	for (size_t i = 0; i < d->use_count; i++)
		if (d->uses[i].kind == kind &&
		    strcmp(d->uses[i].what, what) == 0)
			return;
	if (d->use_count == USES_MAX)
		return;
	d->uses = cw_reallocarray(d->uses, d->use_count + 1, sizeof(*d->uses));
	d->uses[d->use_count].kind = kind;
	d->uses[d->use_count++].what = cw_strdup(what);
}

/* A table of libmount; NULL where the file can't be read. */
static struct libmnt_table *
read_mounts(const struct cw_devices *all)
{
	char *path = cw_asprintf("%s/proc/self/mountinfo", all->root);
	struct libmnt_table *table = mnt_new_table();

	if (table != NULL && mnt_table_parse_file(table, path) != 0) {
		mnt_unref_table(table);
		table = NULL;
	}
	free(path);
	return table;
}

/* The device with this path; btrfs and others tell of it by that alone. */
static int
find_source(const struct cw_devices *all, const char *source)
{
	struct stat st;

	if (source == NULL || source[0] != '/')
		return -1;
	for (size_t i = 0; i < all->count; i++)
		if (strcmp(all->list[i].path, source) == 0)
			return (int)i;
	if (all->root[0] == '\0' && stat(source, &st) == 0 &&
	    S_ISBLK(st.st_mode))
		return cw_devices_by_number(all, st.st_rdev);
	return -1;
}

static int
device_of_mount(const struct cw_devices *all, struct libmnt_fs *fs)
{
	int found = cw_devices_by_number(all, mnt_fs_get_devno(fs));

	return found >= 0 ? found : find_source(all, mnt_fs_get_source(fs));
}

static bool
is_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	while (len > 0 && dir[len - 1] == '/')
		len--;
	return strncmp(path, dir, len) == 0 &&
	       (path[len] == '/' || path[len] == '\0');
}

/* The device with the filesystem that a path is on. */
static int
device_of_path(
    const struct cw_devices *all, struct libmnt_table *mounts, const char *path)
{
	struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_FORWARD);
	char resolved[PATH_MAX];
	struct libmnt_fs *fs, *best = NULL;
	struct stat st;
	size_t best_len = 0;
	int found = -1;

	if (all->root[0] == '\0') {
		if (realpath(path, resolved) != NULL)
			path = resolved;
		if (stat(path, &st) == 0)
			found = cw_devices_by_number(all, st.st_dev);
	}
	/* Of several at one place the last one covers the others. */
	while (found < 0 && iter != NULL &&
	       mnt_table_next_fs(mounts, iter, &fs) == 0) {
		const char *target = mnt_fs_get_target(fs);

		if (target != NULL && is_below(path, target) &&
		    strlen(target) >= best_len) {
			best = fs;
			best_len = strlen(target);
		}
	}
	mnt_free_iter(iter);
	if (best != NULL)
		found = device_of_mount(all, best);
	return found;
}

static void
add_mount(struct cw_device *d, const char *point, const char *type)
{
	cw_device_add_use(d, CW_USE_MOUNTED, point);
	/* Where we may not look at the disk, the kernel still knows. */
	if (d->type[0] == '\0' && type != NULL) {
		(void)snprintf(d->type, sizeof(d->type), "%s", type);
		(void)snprintf(d->usage, sizeof(d->usage), "filesystem");
	}
	if (d->mount_count < USES_MAX) {
		d->mounts = cw_reallocarray(
		    d->mounts, d->mount_count + 1, sizeof(*d->mounts));
		d->mounts[d->mount_count++] = cw_strdup(point);
	}
	for (size_t i = 0; i < sizeof(system_points) / sizeof(*system_points);
	     i++)
		if (strcmp(point, system_points[i]) == 0)
			cw_device_add_use(d, CW_USE_SYSTEM, point);
}

static void
add_mounts(struct cw_devices *all, struct libmnt_table *mounts)
{
	struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_FORWARD);
	struct libmnt_fs *fs;

	while (iter != NULL && mnt_table_next_fs(mounts, iter, &fs) == 0) {
		int found = device_of_mount(all, fs);

		if (found >= 0 && mnt_fs_get_target(fs) != NULL)
			add_mount(&all->list[found], mnt_fs_get_target(fs),
			    mnt_fs_get_fstype(fs));
	}
	mnt_free_iter(iter);
}

static void
add_swaps(struct cw_devices *all, struct libmnt_table *mounts)
{
	char *path = cw_asprintf("%s/proc/swaps", all->root);
	struct libmnt_table *swaps = mnt_new_table();
	struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_FORWARD);
	struct libmnt_fs *fs;

	if (swaps != NULL && iter != NULL &&
	    mnt_table_parse_swaps(swaps, path) == 0)
		while (mnt_table_next_fs(swaps, iter, &fs) == 0) {
			const char *source = mnt_fs_get_source(fs);
			int found = find_source(all, source);

			if (found >= 0) {
				cw_device_add_use(
				    &all->list[found], CW_USE_SWAP, "");
				continue;
			}
			found = source == NULL
				    ? -1
				    : device_of_path(all, mounts, source);
			if (found >= 0)
				cw_device_add_use(
				    &all->list[found], CW_USE_SWAP, source);
		}
	mnt_free_iter(iter);
	mnt_unref_table(swaps);
	free(path);
}

/*
 * What is built on a device uses it, and a file behind a loop device makes
 * that device one that is built on the disk the file lies on.
 */
static void
add_holders(struct cw_devices *all, struct libmnt_table *mounts)
{
	for (size_t i = 0; i < all->count; i++) {
		struct cw_device *d = &all->list[i];

		for (size_t h = 0; h < d->holder_count; h++) {
			int holder = cw_devices_by_name(all, d->holders[h]);
			const char *mapped =
			    holder < 0 ? NULL : all->list[holder].mapped;
			char *what =
			    mapped == NULL
				? cw_strdup(d->holders[h])
				: cw_asprintf("%s (%s)", d->holders[h], mapped);

			cw_device_add_use(d, CW_USE_HELD, what);
			free(what);
		}
	}
	for (size_t i = 0; i < all->count; i++) {
		struct cw_device *under;
		int found;

		if (all->list[i].backing == NULL)
			continue;
		found = device_of_path(all, mounts, all->list[i].backing);
		if (found < 0 || found == (int)i)
			continue;
		under = &all->list[found];
		cw_device_add_use(under, CW_USE_BACKING, all->list[i].path);
		under->holders = cw_reallocarray(under->holders,
		    under->holder_count + 1, sizeof(*under->holders));
		under->holders[under->holder_count++] =
		    cw_strdup(all->list[i].name);
	}
}

static bool
has_above(const struct cw_devices *all, size_t under)
{
	return all->list[under].holder_count > 0 ||
	       (under + 1 < all->count &&
		   all->list[under + 1].parent == (int)under);
}

/* Whoever lies below a device that is used is used by it. */
static void
pass_down(struct cw_devices *all)
{
	for (size_t top = 0; top < all->count; top++)
		for (size_t under = 0; under < all->count; under++) {
			size_t count = all->list[top].use_count;

			if (under == top || count == 0 ||
			    !has_above(all, under) ||
			    !cw_devices_is_on(all, under, top))
				continue;
			for (size_t i = 0; i < count; i++) {
				const struct cw_use *use =
				    &all->list[top].uses[i];
				char *text, *what;

				if (use->kind == CW_USE_PART)
					continue;
				if (use->kind == CW_USE_SYSTEM ||
				    use->kind == CW_USE_PLACE) {
					cw_device_add_use(&all->list[under],
					    use->kind, use->what);
					continue;
				}
				text = cw_use_text(use);
				what = cw_asprintf(
				    "%s: %s", all->list[top].path, text);
				cw_device_add_use(
				    &all->list[under], CW_USE_PART, what);
				free(what);
				free(text);
			}
		}
}

/* Partitions come behind their disk, and say better what is used. */
static void
try_exclusive(struct cw_devices *all)
{
	for (size_t i = all->count; i-- > 0;) {
		struct cw_device *d = &all->list[i];
		struct stat st;
		int fd;

		if (d->use_count > 0 || !d->has_node || d->size == 0 ||
		    all->root[0] != '\0')
			continue;
		fd = open(d->path, O_RDONLY | O_EXCL | O_CLOEXEC | O_NONBLOCK);
		if (fd < 0 && errno == EBUSY && stat(d->path, &st) == 0 &&
		    S_ISBLK(st.st_mode) && st.st_rdev == d->number)
			cw_device_add_use(d, CW_USE_EXCLUSIVE, "");
		cw_close(&fd);
	}
}

int
cw_devices_uses(struct cw_devices *devices,
    const struct cw_device_place *places, size_t place_count,
    bool has_exclusive, struct cw_error *err)
{
	struct libmnt_table *mounts = read_mounts(devices);

	if (mounts == NULL)
		return cw_error_set(err, CW_ERR_IO,
		    "cannot read %s/proc/self/mountinfo, which says what is "
		    "mounted",
		    devices->root);
	add_mounts(devices, mounts);
	add_swaps(devices, mounts);
	add_holders(devices, mounts);
	for (size_t i = 0; i < place_count; i++) {
		int found = device_of_path(devices, mounts, places[i].path);

		if (found >= 0)
			cw_device_add_use(&devices->list[found], CW_USE_PLACE,
			    places[i].words);
	}
	mnt_unref_table(mounts);
	pass_down(devices);
	if (has_exclusive) {
		try_exclusive(devices);
		pass_down(devices);
	}
	return 0;
}

char *
cw_use_text(const struct cw_use *use)
{
	switch (use->kind) {
	case CW_USE_MOUNTED:
		return cw_asprintf("mounted on %s", use->what);
	case CW_USE_SWAP:
		return use->what[0] == '\0'
			   ? cw_strdup("swap")
			   : cw_asprintf("swap file %s", use->what);
	case CW_USE_HELD:
		return cw_asprintf("part of %s", use->what);
	case CW_USE_BACKING:
		return cw_asprintf("holds the file behind %s", use->what);
	case CW_USE_PART:
		return cw_strdup(use->what);
	case CW_USE_SYSTEM:
		return strcmp(use->what, "/") == 0
			   ? cw_strdup("this system (/)")
			   : cw_asprintf("this system's %s", use->what);
	case CW_USE_PLACE:
		return cw_asprintf("holds %s", use->what);
	case CW_USE_EXCLUSIVE:
		break;
	}
	return cw_strdup("another program has it open for itself");
}

const char *
cw_use_name(enum cw_use_kind kind)
{
	switch (kind) {
	case CW_USE_MOUNTED:
		return "mounted";
	case CW_USE_SWAP:
		return "swap";
	case CW_USE_HELD:
		return "held";
	case CW_USE_BACKING:
		return "backing";
	case CW_USE_PART:
		return "part";
	case CW_USE_SYSTEM:
		return "system";
	case CW_USE_PLACE:
		return "place";
	case CW_USE_EXCLUSIVE:
		break;
	}
	return "exclusive";
}
