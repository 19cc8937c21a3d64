#include "media/prepare_impl.h"

#include "base/fs.h"
#include "media/child.h"
#include "media/device_probe.h"
#include "media/mount.h"
#include "media/partition.h"

#include <blkid/blkid.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#define EDGE	   (2u << 20) /* bytes at both ends that are wiped */
#define TRIES	   100u	      /* of TRY_MS: others let go, nodes appear */
#define TRY_MS	   20
#define NODE_TRIES 25u	 /* before we make the node ourselves */
#define MKFS_S	   1800u /* seconds that mkfs may take */
#define WIPES_MAX  64u	 /* marks that are wiped one by one */

/* ioctl of Linux 5.15; its header is younger than some systems'. */
#ifndef BLKGETDISKSEQ
#define BLKGETDISKSEQ _IOR(0x12, 128, uint64_t)
#endif

/*
 * Two descriptors of the disk: one for us alone while its table is written,
 * which also keeps partitions from being used; and one that stays when mkfs
 * must have the partition.  As long as either is open the disk's number
 * belongs to this disk, even if it is pulled out.
 */
struct work {
	struct cw_prepare *p;
	const struct cw_device *disk;
	int alone, hold;
	int part; /* the partition, held likewise */
	struct cw_partition partition;
	char node[64];
	dev_t number; /* of the partition */
};

static void
pause_a_moment(void)
{
	const struct timespec pause = {.tv_nsec = TRY_MS * 1000000L};

	(void)nanosleep(&pause, NULL);
}

/* Others (udev, a desktop) may look at a disk for a moment. */
static int
open_patiently(const char *path, int flags)
{
	int fd = -1;

	for (unsigned i = 0; i < TRIES; i++) {
		fd = open(path, flags | O_CLOEXEC);
		if (fd >= 0 || errno != EBUSY)
			break;
		pause_a_moment();
	}
	return fd;
}

static int
changed(const struct work *w, const char *how, struct cw_error *err)
{
	return cw_error_set(err, CW_ERR_REFUSED,
	    "nothing was done: %s has changed since it was looked at (%s); "
	    "look again with `causeway media list`",
	    w->disk->path, how);
}

/* Whether an open descriptor is the disk that was decided about. */
static int
check_same(const struct work *w, int fd, struct cw_error *err)
{
	uint64_t size = 0, sequence = 0;
	struct stat st;
	int is_readonly = 0;

	if (fstat(fd, &st) < 0 || !S_ISBLK(st.st_mode) ||
	    st.st_rdev != w->disk->number)
		return changed(w, "it is another device", err);
	if (ioctl(fd, BLKGETSIZE64, &size) < 0 || size != w->disk->size)
		return changed(w, "its size", err);
	if (w->disk->sequence != 0 &&
	    ioctl(fd, BLKGETDISKSEQ, &sequence) == 0 &&
	    sequence != w->disk->sequence)
		return changed(w, "it is another disk", err);
	if (ioctl(fd, BLKROGET, &is_readonly) == 0 && is_readonly != 0)
		return changed(w, "it is read-only now", err);
	return 0;
}

static int
open_disk(struct work *w, struct cw_error *err)
{
	w->alone = open_patiently(w->disk->path, O_RDWR | O_EXCL);
	if (w->alone < 0 && errno == EBUSY)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "%s is in use: another program has it open for itself",
		    w->disk->path);
	if (w->alone < 0)
		return cw_error_errno(err, "cannot write to %s", w->disk->path);
	w->hold = open(w->disk->path, O_RDWR | O_CLOEXEC);
	if (w->hold < 0)
		return cw_error_errno(err, "cannot open %s", w->disk->path);
	/* udev leaves a locked disk alone (systemd's BLOCK_DEVICE_LOCKING). */
	for (unsigned i = 0; flock(w->hold, LOCK_EX | LOCK_NB) < 0; i++) {
		if (i == TRIES)
			return cw_error_set(err, CW_ERR_BUSY,
			    "%s is locked by another program", w->disk->path);
		pause_a_moment();
	}
	if (check_same(w, w->alone, err) < 0)
		return -1;
	return check_same(w, w->hold, err);
}

/* Now that nobody else can change it: is all as it was decided about? */
static int
decide_again(const struct work *w, struct cw_error *err)
{
	const struct cw_prepare_options *o = &w->p->options;
	struct cw_devices *all = NULL;
	char **before, **now = NULL;
	size_t index, before_count, now_count = 0;
	bool is_same;
	int ret = -1;

	before_count =
	    cw_prepare_contents(w->p->devices, w->p->index, false, &before);
	if (cw_prepare_look(o, &all, &index, err) < 0 ||
	    cw_devices_uses(all, o->places, o->place_count, false, err) < 0 ||
	    cw_prepare_decide(all, index, o->fs, o->erase != NULL, err) < 0)
		goto out;
	now_count = cw_prepare_contents(all, index, false, &now);
	is_same = all->list[index].number == w->disk->number &&
		  now_count == before_count;
	for (size_t i = 0; is_same && i < now_count; i++)
		is_same = strcmp(before[i], now[i]) == 0;
	ret = is_same ? 0 : changed(w, "what it holds", err);
out:
	cw_prepare_free_losses(before, before_count);
	cw_prepare_free_losses(now, now_count);
	cw_devices_free(all);
	return ret;
}

static int
forget_partitions(const struct work *w, struct cw_error *err)
{
	const struct cw_devices *all = w->p->devices;

	for (size_t i = 0; i < all->count; i++)
		if (all->list[i].parent == (int)w->p->index &&
		    cw_partition_forget(w->alone, all->list[i].partition, err) <
			0)
			return cw_error_context(err, "%s", w->disk->path);
	return 0;
}

static int
zero(const struct work *w, uint64_t from, uint64_t to, struct cw_error *err)
{
	uint8_t *zeros = cw_calloc(1, EDGE);
	int ret = cw_pwrite_all(w->alone, zeros, to - from, from, err);

	free(zeros);
	return ret < 0 ? cw_error_context(err, "%s", w->disk->path) : 0;
}

/*
 * Old marks go first, so that a disk which is half prepared is nothing: not
 * the old thing, not a medium.  They lie at the ends, but for a few.
 */
static int
wipe(const struct work *w, struct cw_error *err)
{
	uint64_t size = w->disk->size;
	blkid_probe probe;

	if (zero(w, size - EDGE, size, err) < 0 || zero(w, 0, EDGE, err) < 0)
		return -1;
	probe = blkid_new_probe();
	if (probe != NULL &&
	    blkid_probe_set_device(probe, w->alone, 0, 0) == 0) {
		blkid_probe_enable_superblocks(probe, 1);
		blkid_probe_set_superblocks_flags(
		    probe, BLKID_SUBLKS_MAGIC | BLKID_SUBLKS_TYPE);
		blkid_probe_enable_partitions(probe, 1);
		blkid_probe_set_partitions_flags(probe, BLKID_PARTS_MAGIC);
		for (unsigned i = 0;
		     i < WIPES_MAX && blkid_do_probe(probe) == 0; i++)
			if (blkid_do_wipe(probe, 0) != 0)
				break;
	}
	blkid_free_probe(probe);
	if (fsync(w->alone) < 0)
		return cw_error_errno(err, "cannot sync %s", w->disk->path);
	return 0;
}

/* Finds what the kernel calls the partition; 1: it knows none such. */
static int
find_partition(struct work *w, struct cw_error *err)
{
	struct cw_devices *all;
	int ret = 1, disk;

	if (cw_devices_list("", &all, err) < 0)
		return -1;
	disk = cw_devices_by_number(all, w->disk->number);
	for (size_t i = 0; disk >= 0 && i < all->count; i++) {
		const struct cw_device *d = &all->list[i];

		if (d->parent != disk || d->start != w->partition.start ||
		    d->size != w->partition.length ||
		    d->partition != w->partition.number ||
		    strlen(d->path) >= sizeof(w->node))
			continue;
		(void)snprintf(w->node, sizeof(w->node), "%s", d->path);
		w->number = d->number;
		ret = 0;
	}
	cw_devices_free(all);
	return ret;
}

static bool
is_node(const struct work *w)
{
	struct stat st;

	return stat(w->node, &st) == 0 && S_ISBLK(st.st_mode) &&
	       st.st_rdev == w->number;
}

/* devtmpfs or udev make the node; where there are neither, we do. */
static int
make_node(const struct work *w, struct cw_error *err)
{
	for (unsigned i = 0; i < NODE_TRIES && !is_node(w); i++)
		pause_a_moment();
	if (is_node(w))
		return 0;
	if (mknod(w->node, S_IFBLK | 0600, w->number) < 0 && errno != EEXIST)
		return cw_error_errno(err, "cannot make %s", w->node);
	if (is_node(w))
		return 0;
	return cw_error_set(err, CW_ERR_REFUSED,
	    "%s is there and is not partition %u of %s (%u:%u); remove it",
	    w->node, w->partition.number, w->disk->path, major(w->number),
	    minor(w->number));
}

static int
write_table(struct work *w, struct cw_error *err)
{
	const struct cw_prepare_options *o = &w->p->options;
	struct cw_error why = CW_ERROR_INIT;
	int ret;

	if (cw_partition_write(w->alone, w->disk->path, o->label,
		o->fs == CW_PREPARE_EXFAT, &w->partition, err) < 0)
		return -1;
	/* Someone else may have told the kernel just before us. */
	if (cw_partition_add(w->alone, &w->partition, &why) < 0 &&
	    why.code != CW_ERR_BUSY) {
		if (err != NULL)
			*err = why;
		return cw_error_context(err, "%s", w->disk->path);
	}
	ret = find_partition(w, err);
	if (ret == 1)
		ret = cw_error_set(err, CW_ERR_BUSY,
		    "the kernel does not know partition %u of %s as it was "
		    "written",
		    w->partition.number, w->disk->path);
	if (ret < 0)
		return -1;
	if (make_node(w, err) < 0)
		return -1;
	w->part = open(w->node, O_RDWR | O_CLOEXEC);
	if (w->part < 0)
		return cw_error_errno(err, "cannot open %s", w->node);
	return 0;
}

/*
 * Few inodes, since media hold few and large files; no blocks kept back; no
 * discard, which some disks take minutes for.
 */
static int
make_filesystem(const struct work *w, struct cw_error *err)
{
	const char *label = w->p->options.label;
	const char *const ext4[] = {"mkfs.ext4", "-q", "-F", "-m", "0", "-i",
	    "262144", "-E", "nodiscard", "-L", label, w->node, NULL};
	const char *const xfs[] = {
	    "mkfs.xfs", "-q", "-f", "-K", "-L", label, w->node, NULL};
	const char *const exfat[] = {"mkfs.exfat", "-L", label, w->node, NULL};
	const char *const *argv = w->p->options.fs == CW_PREPARE_EXT4  ? ext4
				  : w->p->options.fs == CW_PREPARE_XFS ? xfs
								       : exfat;

	if (!is_node(w))
		return cw_error_set(
		    err, CW_ERR_REFUSED, "%s is another device now", w->node);
	return cw_child_run(w->p->mkfs, argv, MKFS_S, err);
}

/* What counts is what the disk gives back, not what was sent to it. */
static int
check_written(
    const struct work *w, struct cw_prepared *out, struct cw_error *err)
{
	struct cw_device seen = {.size = w->partition.length};
	const struct cw_prepare_options *o = &w->p->options;
	int ret = 0;

	if (fsync(w->part) < 0 || fsync(w->hold) < 0)
		return cw_error_errno(err, "cannot sync %s", w->disk->path);
	(void)ioctl(w->part, BLKFLSBUF, 0);
	(void)ioctl(w->hold, BLKFLSBUF, 0);
	cw_device_probe_fd(&seen, w->part, false);
	if (strcmp(seen.type, cw_prepare_fs_name(o->fs)) != 0 ||
	    strcmp(seen.label, o->label) != 0)
		ret = cw_error_set(err, CW_ERR_DAMAGED,
		    "%s does not read back what was written: %s \"%s\", "
		    "expected %s \"%s\"; do not use this disk",
		    w->node, seen.type[0] != '\0' ? seen.type : "nothing",
		    seen.label, cw_prepare_fs_name(o->fs), o->label);
	(void)snprintf(out->partition, sizeof(out->partition), "%s", w->node);
	memcpy(out->label, seen.label, sizeof(out->label));
	memcpy(out->uuid, seen.uuid, sizeof(out->uuid));
	out->size = w->partition.length;
	free(seen.problem);
	return ret;
}

static void
find_usable(const struct work *w, struct cw_prepared *out)
{
	struct statvfs fs;
	int fd =
	    cw_mount_look(w->node, cw_prepare_fs_name(w->p->options.fs), NULL);

	if (fd >= 0 && fstatvfs(fd, &fs) == 0)
		out->usable = (uint64_t)fs.f_bavail * fs.f_frsize;
	cw_close(&fd);
}

int
cw_prepare_run(struct cw_prepare *p, struct cw_progress *progress,
    struct cw_prepared *out, struct cw_error *err)
{
	struct work w = {.p = p,
	    .disk = &p->devices->list[p->index],
	    .alone = -1,
	    .hold = -1,
	    .part = -1};
	bool is_touched = false;
	char *advice;
	int ret = -1;

	memset(out, 0, sizeof(*out));
	cw_progress_start(progress, "looking at the disk", 0, 0);
	if (open_disk(&w, err) < 0 || decide_again(&w, err) < 0 ||
	    cw_stop_check(err) < 0)
		goto out;
	cw_progress_start(progress, "erasing", 0, 0);
	if (forget_partitions(&w, err) < 0)
		goto out;
	is_touched = true;
	if (wipe(&w, err) < 0)
		goto out;
	cw_progress_start(progress, "writing the partition table", 0, 0);
	if (write_table(&w, err) < 0)
		goto out;
	/* mkfs wants the partition for itself; hold and its lock stay. */
	cw_close(&w.alone);
	cw_progress_start(progress, "making the filesystem", 0, 0);
	if (make_filesystem(&w, err) < 0)
		goto out;
	cw_progress_start(progress, "checking", 0, 0);
	if (check_written(&w, out, err) < 0)
		goto out;
	cw_close(&w.part);
	find_usable(&w, out);
	ret = 0;
out:
	if (ret < 0 && is_touched && err != NULL &&
	    err->code != CW_ERR_DAMAGED) {
		advice = cw_asprintf("what was on %s is lost; run it again "
				     "with --erase %s",
		    w.disk->path, w.disk->path);
		cw_error_advise(err, advice);
		free(advice);
	}
	cw_close(&w.part);
	cw_close(&w.alone);
	cw_close(&w.hold);
	return ret;
}
