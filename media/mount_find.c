#include "media/mount_impl.h"

#include "base/buf.h"
#include "base/text.h"
#include "media/device_probe.h"
#include "media/device_use.h"
#include "media/mount.h"
#include "media/partition.h"

#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHOICES_MAX 8u /* devices that a message lists */

static const char *
tag_value(const char *name, const char *tag)
{
	size_t len = strlen(tag);

	return strncmp(name, tag, len) == 0 ? name + len : NULL;
}

bool
cw_mount_is_name(const char *text)
{
	struct stat st;

	return tag_value(text, "LABEL=") != NULL ||
	       tag_value(text, "UUID=") != NULL ||
	       (stat(text, &st) == 0 && S_ISBLK(st.st_mode));
}

static bool
is_filesystem(const struct cw_device *d)
{
	return strcmp(d->usage, "filesystem") == 0;
}

static bool
is_wanted(const struct cw_device *d, const char *label, const char *uuid)
{
	if (!is_filesystem(d))
		return false;
	return label != NULL ? strcmp(d->label, label) == 0
			     : strcasecmp(d->uuid, uuid) == 0;
}

static bool
has_partitions(const struct cw_devices *all, size_t disk)
{
	return disk + 1 < all->count && all->list[disk + 1].parent == (int)disk;
}

/* Tells the kernel of tables that it did not read; true if it knows more. */
static bool
add_partitions(const struct cw_devices *all, int only)
{
	bool has_more = false;

	for (size_t i = 0; i < all->count; i++) {
		const struct cw_device *d = &all->list[i];

		if ((only < 0 || only == (int)i) && d->table[0] != '\0' &&
		    d->parent < 0 && d->has_node && d->use_count == 0 &&
		    !has_partitions(all, i) &&
		    cw_partition_add_all(d->path) > 0)
			has_more = true;
	}
	return has_more;
}

static void
append_choice(struct cw_buf *text, const struct cw_device *d)
{
	cw_buf_printf(text, "%s%s", text->len > 0 ? ", " : "", d->path);
	if (d->serial[0] != '\0') {
		char quoted[CW_QUOTE_MAX];

		cw_text_quote(d->serial, strlen(d->serial), quoted);
		cw_buf_printf(text, " (serial %s)", quoted);
	}
}

/*
 * The device that a label or UUID stands for.  Returns 1 if there is none, -1
 * if there are several.
 */
static int
find_tag(const struct cw_devices *all, const char *label, const char *uuid,
    size_t *index, struct cw_error *err)
{
	struct cw_buf choices = CW_BUF_INIT;
	char quoted[CW_QUOTE_MAX];
	size_t found = 0;

	for (size_t i = 0; i < all->count; i++) {
		const struct cw_device *d = &all->list[i];

		/* What LVM, RAID or multipath is built on is not the disk. */
		if (!is_wanted(d, label, uuid) || d->holder_count > 0)
			continue;
		*index = i;
		if (found++ < CHOICES_MAX)
			append_choice(&choices, d);
	}
	if (found > 1) {
		const char *value = label != NULL ? label : uuid;

		cw_text_quote(value, strlen(value), quoted);
		cw_error_set(err, CW_ERR_USAGE,
		    "%zu filesystems have the %s %s: %s; name the device "
		    "instead",
		    found, label != NULL ? "label" : "UUID", quoted,
		    cw_buf_string(&choices));
	}
	cw_buf_free(&choices);
	return found == 1 ? 0 : found == 0 ? 1 : -1;
}

/* A disk stands for its only partition with a filesystem; 1 if none. */
static int
find_on_disk(const struct cw_devices *all, size_t disk, size_t *index,
    struct cw_error *err)
{
	struct cw_buf choices = CW_BUF_INIT;
	size_t found = 0;

	*index = disk;
	if (is_filesystem(&all->list[disk]) ||
	    all->list[disk].kind == CW_DEVICE_PARTITION)
		return 0;
	for (size_t i = 0; i < all->count; i++)
		if (all->list[i].parent == (int)disk &&
		    cw_mount_takes(all->list[i].type)) {
			*index = i;
			if (found++ < CHOICES_MAX)
				append_choice(&choices, &all->list[i]);
		}
	if (found > 1)
		cw_error_set(err, CW_ERR_USAGE,
		    "%s has %zu partitions with filesystems: %s; name one",
		    all->list[disk].path, found, cw_buf_string(&choices));
	cw_buf_free(&choices);
	return found == 1 ? 0 : found == 0 ? 1 : -1;
}

static int
find_name(const struct cw_devices *all, const char *name, size_t *index,
    int *disk, struct cw_error *err)
{
	const char *label = tag_value(name, "LABEL=");
	const char *uuid = tag_value(name, "UUID=");
	size_t found;

	*disk = -1;
	if (label != NULL || uuid != NULL)
		return find_tag(all, label, uuid, index, err);
	if (cw_devices_by_path(all, name, &found, err) < 0)
		return -1;
	*disk = (int)found;
	return find_on_disk(all, found, index, err);
}

struct cw_devices *
cw_mount_list(struct cw_error *err)
{
	struct cw_devices *all;

	if (cw_devices_list("", &all, err) < 0)
		return NULL;
	cw_devices_probe(all);
	if (cw_devices_uses(all, NULL, 0, false, err) < 0) {
		cw_devices_free(all);
		return NULL;
	}
	return all;
}

int
cw_mount_find(const char *name, struct cw_devices **out, size_t *index,
    struct cw_error *err)
{
	struct cw_devices *all = cw_mount_list(err);
	bool is_tag = tag_value(name, "LABEL=") != NULL ||
		      tag_value(name, "UUID=") != NULL;
	char quoted[CW_QUOTE_MAX];
	int disk = -1, ret = 1;

	*out = NULL;
	if (all == NULL)
		return -1;
	if (!is_tag)
		ret = find_name(all, name, index, &disk, err);
	/* Of two disks with one label neither may be overlooked. */
	if (ret == 1 && add_partitions(all, disk)) {
		cw_devices_free(all);
		all = cw_mount_list(err);
		if (all == NULL)
			return -1;
	}
	if (ret == 1)
		ret = find_name(all, name, index, &disk, err);
	if (ret == 0) {
		*out = all;
		return 0;
	}
	cw_text_quote(name, strlen(name), quoted);
	if (ret == 1 && disk >= 0)
		cw_error_set(err, CW_ERR_USAGE,
		    "%s holds no filesystem that could be mounted; `causeway "
		    "media list` says what is on it",
		    quoted);
	else if (ret == 1)
		cw_error_set(err, CW_ERR_MISSING,
		    "no disk with %s is attached; `causeway media list` shows "
		    "those that are%s",
		    quoted,
		    geteuid() == 0 ? "" : " (only root may look at all)");
	cw_devices_free(all);
	return -1;
}
