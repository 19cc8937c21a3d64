#include "media/partition.h"

#include "base/fs.h"

#include <blkid/blkid.h>
#include <errno.h>
#include <fcntl.h>
#include <libfdisk/libfdisk.h>
#include <linux/blkpg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define PARTITIONS_MAX 128  /* of a table, as GPT has room for */
#define SECTOR	       512u /* of libblkid */

/* The types of UEFI's list: Linux data, Microsoft basic data. */
#define TYPE_LINUX "0FC63DAF-8483-4772-8E79-3D69D8477DE4"
#define TYPE_BASIC "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"

static int
failed(struct cw_error *err, const char *path, const char *what, int ret)
{
	errno = ret < 0 ? -ret : EIO;
	return cw_error_errno(
	    err, "cannot write a partition table to %s (%s)", path, what);
}

/* libfdisk asks nothing of us but what would need an answer: there is none. */
static int
answer(struct fdisk_context *cxt, struct fdisk_ask *ask, void *arg)
{
	(void)cxt;
	(void)arg;
	return fdisk_ask_get_type(ask) == FDISK_ASKTYPE_YESNO ? -EINVAL : 0;
}

static int
fill(struct fdisk_context *cxt, struct fdisk_partition *wanted,
    const char *path, const char *name, bool is_exfat, struct cw_partition *out,
    struct cw_error *err)
{
	struct fdisk_partition *made = NULL;
	struct fdisk_parttype *type;
	uint64_t sector;
	size_t number;
	int ret;

	ret = fdisk_create_disklabel(cxt, "gpt");
	if (ret < 0)
		return failed(err, path, "GPT", ret);
	type = fdisk_label_get_parttype_from_string(
	    fdisk_get_label(cxt, NULL), is_exfat ? TYPE_BASIC : TYPE_LINUX);
	(void)fdisk_partition_set_type(wanted, type);
	(void)fdisk_partition_set_name(wanted, name);
	(void)fdisk_partition_partno_follow_default(wanted, 1);
	(void)fdisk_partition_start_follow_default(wanted, 1);
	(void)fdisk_partition_end_follow_default(wanted, 1);
	ret = fdisk_add_partition(cxt, wanted, &number);
	if (ret < 0)
		return failed(err, path, "its partition", ret);
	ret = fdisk_get_partition(cxt, number, &made);
	if (ret < 0)
		return failed(err, path, "its partition", ret);
	sector = fdisk_get_sector_size(cxt);
	out->number = (unsigned)number + 1;
	out->start = fdisk_partition_get_start(made) * sector;
	out->length = fdisk_partition_get_size(made) * sector;
	fdisk_unref_partition(made);
	ret = fdisk_write_disklabel(cxt);
	return ret < 0 ? failed(err, path, "writing", ret) : 0;
}

int
cw_partition_write(int fd, const char *path, const char *name, bool is_exfat,
    struct cw_partition *out, struct cw_error *err)
{
	struct fdisk_context *cxt = fdisk_new_context();
	struct fdisk_partition *wanted = fdisk_new_partition();
	int ret = -1;

	if (cxt == NULL || wanted == NULL) {
		cw_error_set(err, CW_ERR_FAILED, "out of memory");
		goto out;
	}
	(void)fdisk_set_ask(cxt, answer, NULL);
	(void)fdisk_disable_dialogs(cxt, 1);
	ret = fdisk_assign_device_by_fd(cxt, fd, path, 0);
	if (ret < 0) {
		ret = failed(err, path, "opening", ret);
		goto out;
	}
	ret = fill(cxt, wanted, path, name, is_exfat, out, err);
	(void)fdisk_deassign_device(cxt, 1);
	if (ret == 0 && fsync(fd) < 0)
		ret = cw_error_errno(err, "cannot sync %s", path);
out:
	fdisk_unref_partition(wanted);
	fdisk_unref_context(cxt);
	return ret;
}

static int
tell_kernel(int fd, int op, struct blkpg_partition *part)
{
	struct blkpg_ioctl_arg arg = {
	    .op = op, .datalen = (int)sizeof(*part), .data = part};

	return ioctl(fd, BLKPG, &arg);
}

int
cw_partition_add(int fd, const struct cw_partition *p, struct cw_error *err)
{
	struct blkpg_partition part = {.pno = (int)p->number,
	    .start = (long long)p->start,
	    .length = (long long)p->length};

	if (tell_kernel(fd, BLKPG_ADD_PARTITION, &part) == 0)
		return 0;
	if (errno == EBUSY)
		return cw_error_set(err, CW_ERR_BUSY,
		    "the kernel knows partition %u already", p->number);
	return cw_error_errno(
	    err, "cannot tell the kernel of partition %u", p->number);
}

int
cw_partition_forget(int fd, unsigned number, struct cw_error *err)
{
	struct blkpg_partition part = {.pno = (int)number};

	if (tell_kernel(fd, BLKPG_DEL_PARTITION, &part) == 0 || errno == ENXIO)
		return 0;
	if (errno == EBUSY)
		return cw_error_set(
		    err, CW_ERR_BUSY, "partition %u is in use", number);
	return cw_error_errno(
	    err, "the kernel does not let go of partition %u", number);
}

unsigned
cw_partition_add_all(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	blkid_probe probe = fd < 0 ? NULL : blkid_new_probe();
	blkid_partlist list = NULL;
	unsigned told = 0;

	if (probe != NULL && blkid_probe_set_device(probe, fd, 0, 0) == 0) {
		blkid_probe_enable_partitions(probe, 1);
		list = blkid_probe_get_partitions(probe);
	}
	for (int i = 0; list != NULL && i < PARTITIONS_MAX &&
			i < blkid_partlist_numof_partitions(list);
	     i++) {
		blkid_partition p = blkid_partlist_get_partition(list, i);
		struct cw_partition part = {
		    .number = (unsigned)blkid_partition_get_partno(p),
		    .start = (uint64_t)blkid_partition_get_start(p) * SECTOR,
		    .length = (uint64_t)blkid_partition_get_size(p) * SECTOR};

		if (!blkid_partition_is_extended(p) &&
		    cw_partition_add(fd, &part, NULL) == 0)
			told++;
	}
	blkid_free_probe(probe);
	cw_close(&fd);
	return told;
}
