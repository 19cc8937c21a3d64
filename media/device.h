/*
 * The disks of this machine: every block device that sysfs knows, what is on
 * it, and who uses it.  No udev and no daemon are asked: the kernel's own
 * files tell (/sys/class/block, /proc), and libblkid looks at the bytes.
 *
 * A list is a snapshot and grows in steps, each a module of its own:
 *
 *   cw_devices_list        here: names, sizes, partitions, what stacks on what
 *   cw_devices_probe       device_probe.h: filesystem, label, UUID, tables
 *   cw_devices_uses        device_use.h: mounted, swap, holders, system, store
 *   cw_devices_seeds       device_seeds.h: which of Causeway's seeds
 *
 * What disks say of themselves (model, label) is hostile text: quote it before
 * it is shown.
 */
#ifndef CW_MEDIA_DEVICE_H
#define CW_MEDIA_DEVICE_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CW_DEVICES_MAX 4096u /* more are not listed */
#define CW_DEVICE_TEXT 128u  /* bytes of a model, label, ... and a NUL */

enum cw_device_kind {
	CW_DEVICE_DISK,
	CW_DEVICE_PARTITION,
	CW_DEVICE_LOOP,
	CW_DEVICE_MAPPED, /* device-mapper: LUKS, LVM, multipath */
	CW_DEVICE_RAID,	  /* md */
	CW_DEVICE_OPTICAL,
	CW_DEVICE_VIRTUAL, /* ram, zram, and others without a disk behind */
};

/* One thing on a device that libblkid knows the mark of. */
struct cw_signature {
	char type[CW_DEVICE_TEXT];  /* "ext4", "LVM2_member", "gpt", ... */
	char usage[CW_DEVICE_TEXT]; /* "filesystem", "raid", "crypto",
				       "other", "table" */
};
#define CW_SIGNATURES_MAX 8u

/* Why a device is not free. */
enum cw_use_kind {
	CW_USE_MOUNTED,	 /* what: the mount point */
	CW_USE_SWAP,	 /* what: "" or the swap file */
	CW_USE_HELD,	 /* what: the device built on it ("dm-0 (vg-root)") */
	CW_USE_BACKING,	 /* what: the loop device whose file lies on it */
	CW_USE_PART,	 /* what: its partition (or the device on it) in use */
	CW_USE_SYSTEM,	 /* what: "/" or what of the system it holds */
	CW_USE_PLACE,	 /* what: the words of a cw_device_place */
	CW_USE_EXCLUSIVE /* what: "": O_EXCL was refused, nobody says why */
};

struct cw_use {
	enum cw_use_kind kind;
	char *what;
};

struct cw_device_seed {
	char id[17];	 /* hex */
	uint32_t number; /* of the medium; 0: nothing readable says it */
	uint32_t count;	 /* of media; 0: not known when it was written */
	char label[65];	 /* of the medium as its MEDIUM says, "" */
	int64_t time;	 /* of its MEDIUM; 0: not known */
};

struct cw_device {
	char *name;    /* the kernel's: "sdb1" */
	char *path;    /* "/dev/sdb1" */
	char *mapped;  /* device-mapper's name, else NULL */
	bool has_node; /* path is there and is this device */
	dev_t number;
	uint64_t sequence;  /* diskseq: another disk has another; 0: unknown */
	int parent;	    /* index of the disk of a partition; else -1 */
	unsigned partition; /* its number; 0: none */
	uint64_t start;	    /* bytes */
	uint64_t size;	    /* bytes */
	enum cw_device_kind kind;
	char bus[16]; /* "usb", "sata", "nvme", "virtio", "mmc", "loop" */
	char model[CW_DEVICE_TEXT]; /* "" if it has none */
	char serial[CW_DEVICE_TEXT];
	char *backing; /* the file behind a loop device, else NULL */
	bool is_removable, is_rotational, is_readonly;
	char **holders; /* names of devices built on this one */
	size_t holder_count;

	/* cw_devices_probe */
	bool was_probed;
	char *problem;	/* why it could not be looked at, else NULL */
	bool has_other; /* bytes that are not zero and have no known mark */
	struct cw_signature signatures[CW_SIGNATURES_MAX];
	size_t signature_count;
	char table[CW_DEVICE_TEXT]; /* "gpt", "dos", "" */
	char type[CW_DEVICE_TEXT];  /* "ext4", "crypto_LUKS", "" */
	char usage[CW_DEVICE_TEXT]; /* as in cw_signature */
	char label[CW_DEVICE_TEXT];
	char uuid[CW_DEVICE_TEXT];

	/* cw_devices_uses */
	char **mounts; /* mount points; also in uses */
	size_t mount_count;
	struct cw_use *uses;
	size_t use_count; /* 0: free */

	/* cw_devices_seeds */
	bool was_looked;    /* its files were looked at */
	char *look_problem; /* why not, else NULL */
	struct cw_device_seed *seeds;
	size_t seed_count;
};

struct cw_devices {
	char *root;		/* "" or a tree that stands for / in tests */
	struct cw_device *list; /* disks by name, each before its partitions */
	size_t count;
};

/*
 * Lists all block devices.  root is put in front of /sys, /proc and /dev: ""
 * but in tests.  A device that vanishes meanwhile is left out; CW_ERR_IO only
 * if sysfs can't be read at all.  *out is the caller's to free.
 */
int cw_devices_list(
    const char *root, struct cw_devices **out, struct cw_error *err);
void cw_devices_free(struct cw_devices *devices); /* NULL is allowed */

/* Index by number, kernel's name; -1: there is none. */
int cw_devices_by_number(const struct cw_devices *devices, dev_t number);
int cw_devices_by_name(const struct cw_devices *devices, const char *name);
/*
 * The device that an operator names by a path (symlinks are followed).
 * CW_ERR_MISSING for no such file, CW_ERR_USAGE for what is no block device.
 */
int cw_devices_by_path(const struct cw_devices *devices, const char *path,
    size_t *index, struct cw_error *err);

/* Whether b lies on a: is it, is a partition of it or built on it. */
bool cw_devices_is_on(const struct cw_devices *devices, size_t a, size_t b);

/* "disk", "partition", "loop", ... */
const char *cw_device_kind_name(enum cw_device_kind kind);

#endif
