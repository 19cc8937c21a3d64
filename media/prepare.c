#include "media/prepare.h"

#include "base/fs.h"
#include "base/text.h"
#include "media/child.h"
#include "media/device_probe.h"
#include "media/device_seeds.h"
#include "media/partition.h"
#include "media/prepare_impl.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool
has_partitions(const struct cw_devices *all, size_t disk)
{
	return disk + 1 < all->count && all->list[disk + 1].parent == (int)disk;
}

/*
 * Lists, and looks at this disk and its partitions alone: others may sleep.
 * Whether it is empty is told by samples of all of it.
 */
int
cw_prepare_look(const struct cw_prepare_options *o, struct cw_devices **out,
    size_t *index, struct cw_error *err)
{
	struct cw_devices *all;
	struct cw_device *disk;
	int fd;

	*out = NULL;
	if (cw_devices_list("", &all, err) < 0)
		return -1;
	if (cw_devices_by_path(all, o->device, index, err) < 0) {
		cw_devices_free(all);
		return -1;
	}
	disk = &all->list[*index];
	cw_device_probe(disk); /* also says why it can't be opened */
	if (disk->was_probed) {
		fd = open(disk->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		if (fd >= 0)
			cw_device_probe_fd(disk, fd, true);
		cw_close(&fd);
	}
	for (size_t i = 0; i < all->count; i++)
		if (all->list[i].parent == (int)*index)
			cw_device_probe(&all->list[i]);
	*out = all;
	return 0;
}

/* A table whose partitions the kernel did not read hides what is on them. */
static int
look_again(const struct cw_prepare_options *o, struct cw_devices **all,
    size_t *index, struct cw_error *err)
{
	const struct cw_device *d = &(*all)->list[*index];

	if (d->table[0] == '\0' || d->use_count > 0 || d->parent >= 0 ||
	    has_partitions(*all, *index) || cw_partition_add_all(d->path) == 0)
		return 0;
	cw_devices_free(*all);
	if (cw_prepare_look(o, all, index, err) < 0)
		return -1;
	return cw_devices_uses(*all, o->places, o->place_count, true, err);
}

/* --erase must mean this disk and no other. */
static int
check_erase(const struct cw_devices *all, size_t index,
    const struct cw_prepare_options *o, struct cw_error *err)
{
	char quoted[CW_QUOTE_MAX];
	size_t named;

	if (o->erase == NULL)
		return 0;
	if (cw_devices_by_path(all, o->erase, &named, err) < 0)
		return cw_error_context(err, "--erase");
	if (named == index)
		return 0;
	cw_text_quote(o->erase, strlen(o->erase), quoted);
	return cw_error_set(err, CW_ERR_REFUSED,
	    "nothing was done: --erase names %s, which is not %s; name the "
	    "disk twice",
	    quoted, all->list[index].path);
}

static int
find_mkfs(struct cw_prepare *p, struct cw_error *err)
{
	const char *fs = cw_prepare_fs_name(p->options.fs);
	char name[32];

	(void)snprintf(name, sizeof(name), "mkfs.%s", fs);
	p->mkfs = cw_child_find(name);
	if (p->mkfs != NULL)
		return 0;
	return cw_error_set(err, CW_ERR_FAILED,
	    "%s is not installed; install %s, or choose another --fs", name,
	    p->options.fs == CW_PREPARE_EXT4  ? "e2fsprogs"
	    : p->options.fs == CW_PREPARE_XFS ? "xfsprogs"
					      : "exfatprogs");
}

int
cw_prepare_plan(const struct cw_prepare_options *options,
    struct cw_prepare **out, struct cw_error *err)
{
	struct cw_prepare *p = cw_calloc(1, sizeof(*p));

	*out = NULL;
	p->options = *options;
	if (cw_prepare_check_label(options->label, options->fs, err) < 0 ||
	    find_mkfs(p, err) < 0 ||
	    cw_prepare_look(&p->options, &p->devices, &p->index, err) < 0 ||
	    cw_devices_uses(p->devices, options->places, options->place_count,
		true, err) < 0 ||
	    look_again(&p->options, &p->devices, &p->index, err) < 0 ||
	    check_erase(p->devices, p->index, &p->options, err) < 0)
		goto fail;
	for (size_t i = 0; i < p->devices->count; i++)
		if (i == p->index ||
		    p->devices->list[i].parent == (int)p->index)
			cw_device_seeds(&p->devices->list[i], true);
	if (cw_prepare_decide(p->devices, p->index, options->fs,
		options->erase != NULL, err) < 0)
		goto fail;
	*out = p;
	return 0;
fail:
	cw_prepare_free(p);
	return -1;
}

void
cw_prepare_free(struct cw_prepare *p)
{
	if (p == NULL)
		return;
	cw_devices_free(p->devices);
	free(p->mkfs);
	free(p);
}

/* ---- what would be lost ---- */

struct lines {
	char **list;
	size_t count;
};

static void __attribute__((format(printf, 2, 3)))
add_line(struct lines *lines, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	lines->list = cw_reallocarray(
	    lines->list, lines->count + 1, sizeof(*lines->list));
	lines->list[lines->count++] = cw_strdup(text);
}

static void
add_filesystem(struct lines *lines, const struct cw_device *d)
{
	char label[CW_QUOTE_MAX], size[CW_TEXT_MAX], uuid[CW_QUOTE_MAX];

	cw_text_bytes(d->size, size);
	cw_text_quote(d->label, strlen(d->label), label);
	cw_text_quote(d->uuid, strlen(d->uuid), uuid);
	add_line(lines, "%s: %s%s%s%s, %s%s%s", d->path, d->type,
	    label[0] != '\0' ? " \"" : "", label, label[0] != '\0' ? "\"" : "",
	    size, uuid[0] != '\0' ? ", UUID " : "", uuid);
}

static void
add_seeds(struct lines *lines, const struct cw_device *d)
{
	for (size_t i = 0; i < d->seed_count; i++) {
		char text[CW_DEVICE_SEED_TEXT];

		cw_device_seed_text(&d->seeds[i], text);
		add_line(lines, "%s: Causeway %s", d->path, text);
	}
}

static void
add_device(struct lines *lines, const struct cw_device *d, bool has_seeds)
{
	char size[CW_TEXT_MAX];

	if (d->type[0] != '\0') {
		add_filesystem(lines, d);
	} else if (d->parent >= 0) {
		cw_text_bytes(d->size, size);
		add_line(
		    lines, "%s: %s of data that is not known", d->path, size);
	}
	for (size_t i = 0; i < d->signature_count; i++) {
		const char *type = d->signatures[i].type;

		if (strcmp(type, d->type) != 0 && strcmp(type, d->table) != 0)
			add_line(
			    lines, "%s: also the marks of %s", d->path, type);
	}
	if (d->has_other && d->parent < 0)
		add_line(
		    lines, "%s: data of a kind that is not known", d->path);
	if (has_seeds)
		add_seeds(lines, d);
}

size_t
cw_prepare_contents(
    const struct cw_devices *all, size_t index, bool has_seeds, char ***out)
{
	const struct cw_device *disk = &all->list[index];
	struct lines lines = {NULL, 0};
	unsigned parts = 0;

	for (size_t i = 0; i < all->count; i++)
		parts += all->list[i].parent == (int)index;
	if (disk->table[0] != '\0')
		add_line(&lines, "%s: partition table (%s), %u partition%s",
		    disk->path, disk->table, parts, parts == 1 ? "" : "s");
	add_device(&lines, disk, has_seeds);
	for (size_t i = 0; i < all->count; i++)
		if (all->list[i].parent == (int)index)
			add_device(&lines, &all->list[i], has_seeds);
	*out = lines.list;
	return lines.count;
}

size_t
cw_prepare_losses(const struct cw_prepare *p, char ***lines)
{
	return cw_prepare_contents(p->devices, p->index, true, lines);
}

void
cw_prepare_free_losses(char **lines, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(lines[i]);
	free(lines);
}
