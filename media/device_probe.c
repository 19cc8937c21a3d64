#include "media/device_probe.h"

#include "base/buf.h"
#include "base/fs.h"

#include <blkid/blkid.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define EDGE	(1u << 20) /* bytes at either end that an empty disk has clean */
#define SAMPLE	(64u << 10) /* bytes of each sample between them */
#define SAMPLES 64u

static void
take_value(blkid_probe probe, const char *name, char out[CW_DEVICE_TEXT])
{
	const char *value;
	size_t len;

	if (blkid_probe_lookup_value(probe, name, &value, &len) != 0)
		return;
	/* With its NUL, mostly; and never longer than we keep. */
	len = strnlen(value, len);
	if (len >= CW_DEVICE_TEXT)
		len = CW_DEVICE_TEXT - 1;
	memcpy(out, value, len);
	out[len] = '\0';
}

static blkid_probe
new_probe(int fd)
{
	blkid_probe probe = blkid_new_probe();

	if (probe == NULL)
		return NULL;
	if (blkid_probe_set_device(probe, fd, 0, 0) != 0) {
		blkid_free_probe(probe);
		return NULL;
	}
	blkid_probe_enable_superblocks(probe, 1);
	blkid_probe_set_superblocks_flags(
	    probe, BLKID_SUBLKS_LABEL | BLKID_SUBLKS_UUID | BLKID_SUBLKS_TYPE |
		       BLKID_SUBLKS_USAGE);
	blkid_probe_enable_partitions(probe, 1);
	return probe;
}

static void
set_problem(struct cw_device *d, const char *what)
{
	free(d->problem);
	d->problem = cw_strdup(what);
}

static void
add_signature(struct cw_device *d, const char *type, const char *usage)
{
	struct cw_signature *s = &d->signatures[d->signature_count];

	if (type[0] == '\0' || d->signature_count == CW_SIGNATURES_MAX)
		return;
	for (size_t i = 0; i < d->signature_count; i++)
		if (strcmp(d->signatures[i].type, type) == 0)
			return;
	(void)snprintf(s->type, sizeof(s->type), "%s", type);
	(void)snprintf(s->usage, sizeof(s->usage), "%s", usage);
	d->signature_count++;
}

/* What governs: one answer, or the word that there are several. */
static void
probe_safely(struct cw_device *d, int fd)
{
	blkid_probe probe = new_probe(fd);
	int ret;

	if (probe == NULL) {
		set_problem(d, "cannot be read");
		return;
	}
	errno = 0;
	ret = blkid_do_safeprobe(probe);
	if (ret == -2) {
		set_problem(d, "holds the marks of several things at once");
	} else if (ret < 0) {
		set_problem(d, errno != 0 && strerrordesc_np(errno) != NULL
				   ? strerrordesc_np(errno)
				   : "cannot be read");
	} else if (ret == 0) {
		take_value(probe, "TYPE", d->type);
		take_value(probe, "USAGE", d->usage);
		take_value(probe, "LABEL", d->label);
		take_value(probe, "UUID", d->uuid);
		take_value(probe, "PTTYPE", d->table);
	}
	blkid_free_probe(probe);
}

/* All marks that are there, whichever governs. */
static void
probe_all(struct cw_device *d, int fd)
{
	blkid_probe probe = new_probe(fd);

	for (unsigned i = 0; probe != NULL && i < 4 * CW_SIGNATURES_MAX; i++) {
		char type[CW_DEVICE_TEXT] = "", usage[CW_DEVICE_TEXT] = "";

		if (blkid_do_probe(probe) != 0)
			break;
		take_value(probe, "TYPE", type);
		take_value(probe, "USAGE", usage);
		add_signature(d, type, usage);
		memset(type, 0, sizeof(type));
		take_value(probe, "PTTYPE", type);
		add_signature(d, type, "table");
	}
	blkid_free_probe(probe);
}

/* Reads len bytes at offset: 1 they are zeros, 0 not, -1 unreadable. */
static int
is_blank(int fd, uint8_t *buf, size_t len, uint64_t offset)
{
	size_t got;

	if (cw_pread_full(fd, buf, len, offset, &got, NULL) < 0)
		return -1;
	return got == 0 || (buf[0] == 0 && memcmp(buf, buf + 1, got - 1) == 0);
}

static void
find_other(struct cw_device *d, int fd, bool is_thorough)
{
	uint8_t *buf = cw_malloc(EDGE);
	uint64_t last = d->size > EDGE ? d->size - EDGE : 0;
	int blank = is_blank(fd, buf, EDGE, 0);

	if (blank == 1 && last > 0)
		blank = is_blank(fd, buf, EDGE, last);
	for (unsigned i = 1; is_thorough && blank == 1 && i < SAMPLES; i++) {
		uint64_t at = d->size / SAMPLES * i & ~(uint64_t)(SAMPLE - 1);

		blank = is_blank(fd, buf, SAMPLE, at);
	}
	d->has_other = blank == 0;
	if (blank < 0 && d->problem == NULL)
		set_problem(d, "cannot be read");
	free(buf);
}

void
cw_device_probe_fd(struct cw_device *d, int fd, bool is_thorough)
{
	d->was_probed = true;
	d->has_other = false;
	d->signature_count = 0;
	d->table[0] = d->type[0] = d->usage[0] = d->label[0] = d->uuid[0] = 0;
	free(d->problem);
	d->problem = NULL;
	probe_safely(d, fd);
	probe_all(d, fd);
	if (d->signature_count == 0)
		find_other(d, fd, is_thorough);
}

void
cw_device_probe(struct cw_device *d)
{
	struct stat st;
	int fd = -1;

	if (d->size == 0)
		return;
	if (!d->has_node) {
		set_problem(d, "has no node in /dev");
		return;
	}
	fd = open(d->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		set_problem(
		    d, errno == EACCES || errno == EPERM
			   ? geteuid() == 0
				 ? "the system does not let us look at it"
				 : "only root may look at it"
			   : strerrordesc_np(errno));
		return;
	}
	if (fstat(fd, &st) < 0 || !S_ISBLK(st.st_mode) ||
	    st.st_rdev != d->number)
		set_problem(d, "is another device now");
	else
		cw_device_probe_fd(d, fd, false);
	cw_close(&fd);
}

void
cw_devices_probe(struct cw_devices *devices)
{
	for (size_t i = 0; i < devices->count; i++)
		cw_device_probe(&devices->list[i]);
}
