#include "media/prepare.h"

#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Room for the table, and what mkfs asks for at least. */
#define MIN_SMALL (24u << 20)
#define MIN_XFS	  (304u << 20) /* mkfs.xfs refuses less than 300 MiB */
#define SHOWN_MAX 6u	       /* reasons, and signatures, in a message */

static const struct {
	const char *name;
	enum cw_prepare_fs fs;
	size_t label_max; /* bytes */
	uint64_t min;	  /* bytes of the disk */
} kinds[] = {
    {"ext4", CW_PREPARE_EXT4, 16, MIN_SMALL},
    {"xfs", CW_PREPARE_XFS, 12, MIN_XFS},
    {"exfat", CW_PREPARE_EXFAT, 11, MIN_SMALL},
};

bool
cw_prepare_fs_parse(const char *text, enum cw_prepare_fs *fs)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (strcmp(kinds[i].name, text) == 0) {
			*fs = kinds[i].fs;
			return true;
		}
	return false;
}

const char *
cw_prepare_fs_name(enum cw_prepare_fs fs)
{
	return kinds[fs].name;
}

int
cw_prepare_check_label(
    const char *label, enum cw_prepare_fs fs, struct cw_error *err)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "abcdefghijklmnopqrstuvwxyz0123456789._-";
	char quoted[CW_QUOTE_MAX];
	size_t len = strlen(label);

	cw_text_quote(label, len, quoted);
	if (len == 0 || len > kinds[fs].label_max)
		return cw_error_set(err, CW_ERR_USAGE,
		    "the label \"%s\" has %zu bytes; %s holds 1 to %zu", quoted,
		    len, kinds[fs].name, kinds[fs].label_max);
	if (strspn(label, plain) != len || label[0] == '.' || label[0] == '-')
		return cw_error_set(err, CW_ERR_USAGE,
		    "the label \"%s\" may hold letters, digits, '.', '_' and "
		    "'-' only, and begin with a letter, a digit or '_'",
		    quoted);
	return 0;
}

/* Reasons that no option overrides; appended, separated by "; ". */
static void add_reason(struct cw_buf *text, unsigned *count, const char *fmt,
    ...) __attribute__((format(printf, 3, 4)));
static void
add_reason(struct cw_buf *text, unsigned *count, const char *fmt, ...)
{
	char reason[256];
	va_list ap;

	if ((*count)++ >= SHOWN_MAX)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(reason, sizeof(reason), fmt, ap);
	va_end(ap);
	cw_buf_printf(text, "%s%s", text->len > 0 ? "; " : "", reason);
}

/* What a whole disk must be, whatever it holds. */
static void
refuse_kind(const struct cw_devices *all, const struct cw_device *d,
    enum cw_prepare_fs fs, struct cw_buf *text, unsigned *count)
{
	char size[CW_TEXT_MAX], min[CW_TEXT_MAX];

	switch (d->kind) {
	case CW_DEVICE_DISK:
	case CW_DEVICE_LOOP:
		break;
	case CW_DEVICE_PARTITION:
		add_reason(text, count,
		    "it is a partition; name the disk, which is %s",
		    d->parent >= 0 ? all->list[d->parent].path : "unknown");
		return;
	case CW_DEVICE_MAPPED:
	case CW_DEVICE_RAID:
		add_reason(text, count,
		    "it is built on other disks (LVM, LUKS, RAID); name a "
		    "disk");
		return;
	case CW_DEVICE_OPTICAL:
	case CW_DEVICE_VIRTUAL:
		add_reason(text, count, "it is no disk that can be carried");
		return;
	}
	if (d->is_readonly)
		add_reason(text, count, "it is read-only");
	if (d->size == 0) {
		add_reason(text, count, "there is no medium in it");
		return;
	}
	if (d->size < kinds[fs].min) {
		cw_text_bytes(d->size, size);
		cw_text_bytes(kinds[fs].min, min);
		add_reason(text, count, "it has %s, and %s needs %s", size,
		    kinds[fs].name, min);
	}
	if (!d->was_probed)
		add_reason(text, count, "it cannot be looked at: %s",
		    d->problem != NULL ? d->problem : "unknown why");
	else if (d->problem != NULL && d->signature_count == 0)
		add_reason(text, count, "%s", d->problem);
}

static void
refuse_uses(const struct cw_device *d, struct cw_buf *text, unsigned *count)
{
	/* What would hurt most comes first. */
	static const enum cw_use_kind order[] = {CW_USE_SYSTEM, CW_USE_PLACE,
	    CW_USE_MOUNTED, CW_USE_SWAP, CW_USE_HELD, CW_USE_BACKING,
	    CW_USE_PART, CW_USE_EXCLUSIVE};

	for (size_t k = 0; k < sizeof(order) / sizeof(*order); k++)
		for (size_t i = 0; i < d->use_count; i++) {
			char *use;

			if (d->uses[i].kind != order[k])
				continue;
			use = cw_use_text(&d->uses[i]);
			add_reason(text, count, "%s", use);
			free(use);
		}
}

static void
describe(const struct cw_device *d, struct cw_buf *text, unsigned *count)
{
	char label[CW_QUOTE_MAX];
	const char *what = d->type[0] != '\0' ? d->type : d->table;

	if (what[0] == '\0' && d->signature_count > 0)
		what = d->signatures[0].type;
	cw_text_quote(d->label, strlen(d->label), label);
	if (what[0] == '\0')
		return;
	if (label[0] != '\0')
		add_reason(
		    text, count, "%s \"%s\" on %s", what, label, d->path);
	else if (what == d->table)
		add_reason(text, count, "a partition table (%s)", what);
	else
		add_reason(text, count, "%s on %s", what, d->path);
}

/* Everything that is on the disk and its partitions. */
static unsigned
find_contents(const struct cw_devices *all, size_t index, struct cw_buf *text)
{
	unsigned count = 0;

	for (size_t i = 0; i < all->count; i++) {
		const struct cw_device *d = &all->list[i];

		if (i != index && d->parent != (int)index)
			continue;
		describe(d, text, &count);
		if (i != index && d->type[0] == '\0')
			add_reason(text, &count, "the partition %s", d->path);
		if (d->seed_count > 0)
			add_reason(text, &count,
			    "%zu of Causeway's seeds on %s", d->seed_count,
			    d->path);
	}
	if (all->list[index].has_other)
		add_reason(text, &count, "data of a kind that is not known");
	return count;
}

int
cw_prepare_decide(const struct cw_devices *devices, size_t index,
    enum cw_prepare_fs fs, bool has_erase, struct cw_error *err)
{
	const struct cw_device *d = &devices->list[index];
	struct cw_buf text = CW_BUF_INIT;
	unsigned count = 0, contents;
	bool is_needed = false;
	int ret = 0;

	refuse_uses(d, &text, &count);
	refuse_kind(devices, d, fs, &text, &count);
	for (size_t i = 0; i < d->use_count; i++)
		is_needed = is_needed || d->uses[i].kind == CW_USE_SYSTEM ||
			    d->uses[i].kind == CW_USE_PLACE;
	if (count > 0) {
		ret = cw_error_set(err, CW_ERR_REFUSED,
		    "%s is not prepared: %s%s", d->path, cw_buf_string(&text),
		    count > SHOWN_MAX ? "; and more" : "");
		if (d->use_count > 0 && !is_needed)
			cw_error_advise(
			    err, "unmount it, or take it out of use, first");
		goto out;
	}
	contents = find_contents(devices, index, &text);
	if (contents > 0 && !has_erase) {
		ret = cw_error_set(err, CW_ERR_REFUSED,
		    "%s is not prepared: it holds %s%s; if all of that may be "
		    "lost, add --erase %s",
		    d->path, cw_buf_string(&text),
		    contents > SHOWN_MAX ? "; and more" : "", d->path);
	}
out:
	cw_buf_free(&text);
	return ret;
}
