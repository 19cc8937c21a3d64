/*
 * Making a medium of a disk: a GPT with one partition, a filesystem, a label.
 *
 * It refuses what could be a mistake: a disk that is mounted, in use, part of
 * something, read-only or the system's, always; one that holds anything at
 * all, unless the operator named it twice.  The disk is opened once, for us
 * alone, compared with what was decided about, and held while it is written.
 *
 * Killed anywhere, the disk holds something half done; prepare with erase
 * makes it good.
 */
#ifndef CW_MEDIA_PREPARE_H
#define CW_MEDIA_PREPARE_H

#include "base/buf.h"
#include "base/error.h"
#include "base/progress.h"
#include "media/device.h"
#include "media/device_use.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cw_prepare_fs { CW_PREPARE_EXT4, CW_PREPARE_XFS, CW_PREPARE_EXFAT };

struct cw_prepare_options {
	const char *device; /* as the operator typed it */
	const char *label;
	enum cw_prepare_fs fs;
	const char *erase; /* the device once more; NULL: it must be empty */
	const struct cw_device_place *places;
	size_t place_count;
};

/* "ext4" and so on; false for another text. */
bool cw_prepare_fs_parse(const char *text, enum cw_prepare_fs *fs);
const char *cw_prepare_fs_name(enum cw_prepare_fs fs);

/*
 * Whether the filesystem can hold the label: 1 to 16 bytes for ext4, 12 for
 * xfs, 11 for exfat; letters, digits and ._- so that it names a directory and
 * a LABEL= anywhere.  CW_ERR_USAGE.
 */
int cw_prepare_check_label(
    const char *label, enum cw_prepare_fs fs, struct cw_error *err);

/*
 * The decision, from a list that was probed and whose uses were filled: it
 * looks at nothing else.  has_erase: the operator named this device twice.
 * CW_ERR_REFUSED with all the reasons.
 */
int cw_prepare_decide(const struct cw_devices *devices, size_t index,
    enum cw_prepare_fs fs, bool has_erase, struct cw_error *err);

/* What is planned; only to be looked at. */
struct cw_prepare {
	struct cw_devices *devices;
	size_t index; /* the disk */
	struct cw_prepare_options options;
	char *mkfs; /* path of the program */
};

/*
 * Looks and decides; nothing is written to the disk (the kernel may be told of
 * partitions it did not read).  CW_ERR_REFUSED, CW_ERR_USAGE (also
 * where mkfs is not installed), CW_ERR_MISSING.  options' texts must live as
 * long as the plan, which the caller frees.
 */
int cw_prepare_plan(const struct cw_prepare_options *options,
    struct cw_prepare **out, struct cw_error *err);
void cw_prepare_free(struct cw_prepare *p); /* NULL is allowed */

/*
 * What would be lost: lines for people, without newlines, each the caller's
 * to free with the array.  None: the disk is empty.
 */
size_t cw_prepare_losses(const struct cw_prepare *p, char ***lines);
void cw_prepare_free_losses(char **lines, size_t count);

struct cw_prepared {
	char partition[64]; /* "/dev/sdb1" */
	char label[CW_DEVICE_TEXT];
	char uuid[CW_DEVICE_TEXT];
	uint64_t size;	 /* bytes of the partition */
	uint64_t usable; /* bytes free in the filesystem; 0: not known */
};

/*
 * Does it: wipes the old marks, writes the table, makes the node, runs mkfs,
 * syncs, drops what is cached, looks again.  progress->what says where it is.
 * CW_ERR_REFUSED if the disk has changed since it was planned; CW_ERR_DAMAGED
 * if it does not read back what was written.  out is filled on success.
 */
int cw_prepare_run(struct cw_prepare *p, struct cw_progress *progress,
    struct cw_prepared *out, struct cw_error *err);

#endif
