#include "media/device.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define ATTRIBUTE_MAX 4096u
#define SECTOR	      512u /* of sysfs's sizes, whatever the disk's own are */

/* A directory of sysfs as it is, symlinks resolved: the way to the device. */
struct place {
	const char *root;
	char path[PATH_MAX];
};

static char *
attribute_path(const struct place *at, const char *name)
{
	return cw_asprintf("%s/%s", at->path, name);
}

/* The text of an attribute without white space at its ends; "" if none. */
static size_t
read_attribute(const struct place *at, const char *name, char *out, size_t size)
{
	char *path = attribute_path(at, name), text[ATTRIBUTE_MAX + 1];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char *begin = text;
	size_t got = 0;

	free(path);
	out[0] = '\0';
	if (fd < 0)
		return 0;
	if (cw_read_full(fd, text, ATTRIBUTE_MAX, &got, NULL) < 0)
		got = 0;
	cw_close(&fd);
	while (got > 0 && (text[got - 1] == '\n' || text[got - 1] == ' ' ||
			      text[got - 1] == '\0'))
		got--;
	while (got > 0 && *begin == ' ') {
		begin++;
		got--;
	}
	if (got >= size)
		got = size - 1;
	memcpy(out, begin, got);
	out[got] = '\0';
	return strlen(out);
}

static uint64_t
read_number(const struct place *at, const char *name)
{
	char text[32];

	read_attribute(at, name, text, sizeof(text));
	return strtoull(text, NULL, 10);
}

static bool
has_entry(const struct place *at, const char *name)
{
	char *path = attribute_path(at, name);
	bool is_there = access(path, F_OK) == 0;

	free(path);
	return is_there;
}

static bool
begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/* By name, since that is the kernel's own way to tell them apart. */
static enum cw_device_kind
kind_of(const char *name, const struct place *at)
{
	if (has_entry(at, "partition"))
		return CW_DEVICE_PARTITION;
	if (begins(name, "loop"))
		return CW_DEVICE_LOOP;
	if (begins(name, "dm-") || has_entry(at, "dm"))
		return CW_DEVICE_MAPPED;
	if (has_entry(at, "md") || (begins(name, "md") && name[2] != '\0' &&
				       strspn(name + 2, "0123456789_") > 0))
		return CW_DEVICE_RAID;
	if (begins(name, "sr"))
		return CW_DEVICE_OPTICAL;
	if (begins(name, "ram") || begins(name, "zram") || begins(name, "zd") ||
	    begins(name, "nullb"))
		return CW_DEVICE_VIRTUAL;
	return CW_DEVICE_DISK;
}

/* The way through /sys/devices tells how the disk is attached. */
static void
find_bus(struct cw_device *d, const struct place *at)
{
	static const struct {
		const char *in, *bus;
	} ways[] = {
	    {"/usb", "usb"},
	    {"/firewire", "firewire"},
	    {"/nvme", "nvme"},
	    {"/mmc", "mmc"},
	    {"/virtio", "virtio"},
	    {"/ata", "sata"},
	    {"/vbd", "xen"},
	    {"/host", "scsi"},
	};
	const char *bus = "other";

	if (d->kind == CW_DEVICE_LOOP)
		bus = "loop";
	else if (d->kind == CW_DEVICE_MAPPED)
		bus = "dm";
	else if (d->kind == CW_DEVICE_RAID)
		bus = "md";
	else if (d->kind == CW_DEVICE_VIRTUAL)
		bus = "virtual";
	else
		for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++)
			if (strstr(at->path + strlen(at->root), ways[i].in) !=
			    NULL) {
				bus = ways[i].bus;
				break;
			}
	(void)snprintf(d->bus, sizeof(d->bus), "%s", bus);
}

/* SCSI's page 0x80: four bytes of header, then the number. */
static void
read_page80(const struct place *at, char *out, size_t size)
{
	char *path = attribute_path(at, "device/vpd_pg80");
	uint8_t page[4 + 252];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t got = 0, len = 0;

	free(path);
	if (fd < 0)
		return;
	if (cw_read_full(fd, page, sizeof(page), &got, NULL) < 0)
		got = 0;
	cw_close(&fd);
	for (size_t i = 4; i < got && len + 1 < size; i++)
		if (page[i] > ' ' || (page[i] == ' ' && len > 0))
			out[len++] = (char)page[i];
	while (len > 0 && out[len - 1] == ' ')
		len--;
	out[len] = '\0';
}

/* The serial number of the USB device that a disk hangs on. */
static void
read_usb_serial(const struct place *at, char *out, size_t size)
{
	struct place up = *at;

	for (unsigned level = 0; level < 12; level++) {
		char *slash = strrchr(up.path, '/');

		if (slash == NULL ||
		    (size_t)(slash - up.path) <= strlen(up.root))
			return;
		*slash = '\0';
		if (has_entry(&up, "idVendor")) {
			read_attribute(&up, "serial", out, size);
			return;
		}
	}
}

static void
find_model(struct cw_device *d, const struct place *at)
{
	char vendor[CW_DEVICE_TEXT], model[CW_DEVICE_TEXT];

	read_attribute(at, "device/vendor", vendor, sizeof(vendor));
	if (read_attribute(at, "device/model", model, sizeof(model)) == 0)
		read_attribute(at, "device/name", model, sizeof(model));
	/* "ATA" is no maker, nor is a number of the PCI people. */
	if (strcmp(vendor, "ATA") == 0 || begins(vendor, "0x") ||
	    model[0] == '\0')
		vendor[0] = '\0';
	(void)snprintf(d->model, sizeof(d->model), "%.60s%s%.60s", vendor,
	    vendor[0] != '\0' ? " " : "", model);
	if (read_attribute(at, "device/serial", d->serial, sizeof(d->serial)) ==
	    0)
		read_attribute(at, "serial", d->serial, sizeof(d->serial));
	if (d->serial[0] == '\0')
		read_page80(at, d->serial, sizeof(d->serial));
	if (d->serial[0] == '\0' && strcmp(d->bus, "usb") == 0)
		read_usb_serial(at, d->serial, sizeof(d->serial));
}

static dev_t
parse_number(const char *text)
{
	unsigned major, minor;

	if (sscanf(text, "%u:%u", &major, &minor) != 2)
		return 0;
	return makedev(major, minor);
}

static void
find_node(const struct cw_devices *devices, struct cw_device *d)
{
	char *path = cw_asprintf("%s%s", devices->root, d->path);
	struct stat st;

	d->has_node = stat(path, &st) == 0 && S_ISBLK(st.st_mode) &&
		      st.st_rdev == d->number;
	free(path);
}

static int
compare_text(const void *a, const void *b)
{
	return strverscmp(*(char *const *)a, *(char *const *)b);
}

/* The names in a directory of sysfs, sorted as people count. */
static size_t
read_names(const char *path, char ***out)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	size_t count = 0;

	*out = NULL;
	if (dir == NULL)
		return 0;
	while (count < CW_DEVICES_MAX && (entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		*out = cw_reallocarray(*out, count + 1, sizeof(**out));
		(*out)[count++] = cw_strdup(entry->d_name);
	}
	(void)closedir(dir);
	if (count > 0)
		qsort(*out, count, sizeof(**out), compare_text);
	return count;
}

static void
free_names(char **names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(names[i]);
	free(names);
}

/* Appends the device of a directory of sysfs; false if it is none. */
static bool
add_device(struct cw_devices *all, const struct place *at, const char *name,
    int parent)
{
	char text[CW_DEVICE_TEXT], *holders;
	struct cw_device *d;

	if (read_attribute(at, "dev", text, sizeof(text)) == 0 ||
	    all->count >= CW_DEVICES_MAX)
		return false;
	all->list =
	    cw_reallocarray(all->list, all->count + 1, sizeof(*all->list));
	d = &all->list[all->count++];
	memset(d, 0, sizeof(*d));
	d->number = parse_number(text);
	d->name = cw_strdup(name);
	d->path = cw_asprintf("/dev/%s", name);
	for (char *c = d->path; *c != '\0'; c++) /* "cciss!c0d0" */
		*c = *c == '!' ? '/' : *c;
	d->parent = parent;
	d->kind = kind_of(name, at);
	d->partition = (unsigned)read_number(at, "partition");
	d->start = read_number(at, "start") * SECTOR;
	d->size = read_number(at, "size") * SECTOR;
	d->sequence = read_number(at, "diskseq");
	d->is_readonly = read_number(at, "ro") != 0;
	d->is_removable = read_number(at, "removable") != 0;
	d->is_rotational = read_number(at, "queue/rotational") != 0;
	find_bus(d, at);
	if (parent >= 0) {
		const struct cw_device *disk = &all->list[parent];

		memcpy(d->bus, disk->bus, sizeof(d->bus));
		d->sequence = disk->sequence;
		d->is_removable = disk->is_removable;
		d->is_rotational = disk->is_rotational;
		d->is_readonly = d->is_readonly || disk->is_readonly;
	} else {
		find_model(d, at);
	}
	if (read_attribute(at, "dm/name", text, sizeof(text)) > 0)
		d->mapped = cw_strdup(text);
	if (d->kind == CW_DEVICE_LOOP) {
		char file[ATTRIBUTE_MAX];

		if (read_attribute(
			at, "loop/backing_file", file, sizeof(file)) > 0)
			d->backing = cw_strdup(file);
	}
	holders = attribute_path(at, "holders");
	d->holder_count = read_names(holders, &d->holders);
	free(holders);
	find_node(all, d);
	return true;
}

static bool
find_place(const char *root, const char *path, struct place *at)
{
	at->root = root;
	return realpath(path, at->path) != NULL;
}

static void
add_disk(struct cw_devices *all, const char *name)
{
	char *path = cw_asprintf("%s/sys/block/%s", all->root, name);
	int disk = (int)all->count;
	char **parts = NULL;
	size_t count = 0;
	struct place at;

	if (!find_place(all->root, path, &at) ||
	    !add_device(all, &at, name, -1))
		goto out;
	count = read_names(at.path, &parts);
	for (size_t i = 0; i < count; i++) {
		struct place part = {.root = all->root};

		if (!begins(parts[i], name) ||
		    snprintf(part.path, sizeof(part.path), "%s/%s", at.path,
			parts[i]) >= (int)sizeof(part.path) ||
		    !has_entry(&part, "partition"))
			continue;
		add_device(all, &part, parts[i], disk);
	}
out:
	free_names(parts, count);
	free(path);
}

int
cw_devices_list(const char *root, struct cw_devices **out, struct cw_error *err)
{
	struct cw_devices *all;
	char *block = cw_asprintf("%s/sys/block", root);
	char resolved[PATH_MAX], **names;
	size_t count;

	*out = NULL;
	if (access(block, R_OK | X_OK) < 0) {
		cw_error_errno(err, "cannot list disks in %s", block);
		free(block);
		return -1;
	}
	all = cw_calloc(1, sizeof(*all));
	/* Devices are compared with resolved paths, so root is one, too. */
	all->root = cw_strdup(
	    root[0] != '\0' && realpath(root, resolved) != NULL ? resolved
								: root);
	count = read_names(block, &names);
	for (size_t i = 0; i < count; i++)
		add_disk(all, names[i]);
	free_names(names, count);
	free(block);
	*out = all;
	return 0;
}

static void
free_device(struct cw_device *d)
{
	for (size_t i = 0; i < d->use_count; i++)
		free(d->uses[i].what);
	free_names(d->holders, d->holder_count);
	free_names(d->mounts, d->mount_count);
	free(d->uses);
	free(d->seeds);
	free(d->name);
	free(d->path);
	free(d->mapped);
	free(d->backing);
	free(d->problem);
	free(d->look_problem);
}

void
cw_devices_free(struct cw_devices *devices)
{
	if (devices == NULL)
		return;
	for (size_t i = 0; i < devices->count; i++)
		free_device(&devices->list[i]);
	free(devices->list);
	free(devices->root);
	free(devices);
}

int
cw_devices_by_number(const struct cw_devices *devices, dev_t number)
{
	for (size_t i = 0; i < devices->count && number != 0; i++)
		if (devices->list[i].number == number)
			return (int)i;
	return -1;
}

int
cw_devices_by_name(const struct cw_devices *devices, const char *name)
{
	for (size_t i = 0; i < devices->count; i++)
		if (strcmp(devices->list[i].name, name) == 0)
			return (int)i;
	return -1;
}

int
cw_devices_by_path(const struct cw_devices *devices, const char *path,
    size_t *index, struct cw_error *err)
{
	char quoted[CW_QUOTE_MAX];
	struct stat st;
	int found;

	cw_text_quote(path, strlen(path), quoted);
	if (stat(path, &st) < 0) {
		cw_error_errno(err, "cannot find the device %s", quoted);
		if (err != NULL && (errno == ENOENT || errno == ENOTDIR)) {
			err->code = CW_ERR_MISSING;
			cw_error_advise(err, "see `causeway media list`");
		}
		return -1;
	}
	if (!S_ISBLK(st.st_mode))
		return cw_error_set(err, CW_ERR_USAGE,
		    "%s is no disk; name one like /dev/sdb, as `causeway media "
		    "list` does",
		    quoted);
	found = cw_devices_by_number(devices, st.st_rdev);
	if (found < 0)
		return cw_error_set(err, CW_ERR_MISSING,
		    "%s stands for device %u:%u, which is not attached", quoted,
		    major(st.st_rdev), minor(st.st_rdev));
	*index = (size_t)found;
	return 0;
}

static bool
holds(const struct cw_device *d, const char *name)
{
	for (size_t i = 0; i < d->holder_count; i++)
		if (strcmp(d->holders[i], name) == 0)
			return true;
	return false;
}

/* depth bounds stacks that hold one another, which the kernel forbids. */
static bool
is_on(const struct cw_devices *all, size_t a, size_t b, unsigned depth)
{
	if (a == b)
		return true;
	if (depth == 0)
		return false;
	for (size_t i = 0; i < all->count; i++)
		if (i != a &&
		    (all->list[i].parent == (int)a ||
			holds(&all->list[a], all->list[i].name)) &&
		    is_on(all, i, b, depth - 1))
			return true;
	return false;
}

bool
cw_devices_is_on(const struct cw_devices *devices, size_t a, size_t b)
{
	return is_on(devices, a, b, 8);
}

const char *
cw_device_kind_name(enum cw_device_kind kind)
{
	switch (kind) {
	case CW_DEVICE_PARTITION:
		return "partition";
	case CW_DEVICE_LOOP:
		return "loop";
	case CW_DEVICE_MAPPED:
		return "mapped";
	case CW_DEVICE_RAID:
		return "raid";
	case CW_DEVICE_OPTICAL:
		return "optical";
	case CW_DEVICE_VIRTUAL:
		return "virtual";
	case CW_DEVICE_DISK:
		break;
	}
	return "disk";
}
