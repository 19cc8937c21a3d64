#include "media/device_seeds.h"

#include "base/buf.h"
#include "base/bytes.h"
#include "base/fs.h"
#include "base/text.h"
#include "formats/manifest/medium.h"
#include "media/mount.h"
#include "media/set.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAMES_MAX 4096u /* of causeway/ that are looked at */

static bool
is_seed_id(const char *name)
{
	return strlen(name) == 16 && strspn(name, "0123456789abcdef") == 16;
}

/* MEDIUM or its second copy; what is neither tells nothing. */
static bool
read_medium(int dirfd, const char *id, struct cw_medium *medium)
{
	static const char *const names[] = {
	    CW_SET_MEDIUM, CW_SET_COPY "/" CW_SET_MEDIUM};
	char text[CW_SEED_ID_TEXT];

	for (size_t i = 0; i < 2; i++) {
		struct cw_buf buf = CW_BUF_INIT;
		bool is_good = cw_set_read_file(dirfd, names[i],
				   CW_MEDIUM_TEXT_MAX, &buf, NULL) == 0 &&
			       cw_medium_decode((const char *)buf.data, buf.len,
				   medium, NULL) == 0;

		cw_buf_free(&buf);
		if (!is_good)
			continue;
		cw_hex_encode(medium->seed_id, CW_SEED_ID_SIZE, text);
		if (strcmp(text, id) == 0)
			return true;
	}
	return false;
}

static void
add_seed(struct cw_device *d, int folder, const char *id)
{
	struct cw_device_seed *s;
	struct cw_medium medium;
	int dirfd = cw_open_beneath(
	    folder, id, O_RDONLY | O_DIRECTORY | O_NONBLOCK, 0, NULL);

	if (dirfd < 0)
		return;
	d->seeds =
	    cw_reallocarray(d->seeds, d->seed_count + 1, sizeof(*d->seeds));
	s = &d->seeds[d->seed_count++];
	memset(s, 0, sizeof(*s));
	(void)snprintf(s->id, sizeof(s->id), "%.16s", id);
	if (read_medium(dirfd, id, &medium)) {
		s->number = medium.number;
		s->count = medium.count;
		s->time = medium.time;
		(void)snprintf(s->label, sizeof(s->label), "%s", medium.label);
	}
	cw_close(&dirfd);
}

static int
compare_seeds(const void *a, const void *b)
{
	const struct cw_device_seed *x = a, *y = b;

	if (x->time != y->time)
		return x->time < y->time ? -1 : 1;
	return strcmp(x->id, y->id);
}

void
cw_device_seeds_beneath(struct cw_device *d, int rootfd)
{
	int folder = cw_open_beneath(rootfd, CW_SET_FOLDER,
	    O_RDONLY | O_DIRECTORY | O_NONBLOCK, 0, NULL);
	struct dirent *entry;
	unsigned seen = 0;
	DIR *dir;

	if (folder < 0)
		return;
	dir = fdopendir(dup(folder));
	while (dir != NULL && seen++ < NAMES_MAX &&
	       d->seed_count < CW_DEVICE_SEEDS_MAX &&
	       (entry = readdir(dir)) != NULL)
		if (is_seed_id(entry->d_name))
			add_seed(d, folder, entry->d_name);
	if (dir != NULL)
		(void)closedir(dir);
	cw_close(&folder);
	if (d->seed_count > 1)
		qsort(
		    d->seeds, d->seed_count, sizeof(*d->seeds), compare_seeds);
}

static void
look(struct cw_device *d, int rootfd)
{
	d->was_looked = true;
	cw_device_seeds_beneath(d, rootfd);
}

void
cw_device_seeds(struct cw_device *d, bool may_mount)
{
	struct cw_error err = CW_ERROR_INIT;
	int fd;

	for (size_t i = 0; i < d->mount_count; i++) {
		struct stat st;

		fd = cw_open_dir(d->mounts[i], &err);
		if (fd < 0)
			continue;
		/* Something may be mounted over it; btrfs has numbers of its
		 * own. */
		if (strcmp(d->type, "btrfs") != 0 &&
		    (fstat(fd, &st) < 0 || st.st_dev != d->number)) {
			cw_close(&fd);
			continue;
		}
		look(d, fd);
		cw_close(&fd);
		return;
	}
	/* What something else is built on is not ours to mount. */
	if (may_mount && d->mount_count == 0 && d->use_count == 0 &&
	    cw_mount_takes(d->type)) {
		fd = cw_mount_look(d->path, d->type, &err);
		if (fd >= 0) {
			look(d, fd);
			cw_close(&fd);
			return;
		}
	}
	if (err.code == CW_OK)
		return;
	free(d->look_problem);
	d->look_problem = cw_strdup(err.message);
}

void
cw_devices_seeds(struct cw_devices *devices, bool may_mount)
{
	for (size_t i = 0; i < devices->count; i++)
		cw_device_seeds(&devices->list[i], may_mount);
}

void
cw_device_seed_text(
    const struct cw_device_seed *seed, char out[CW_DEVICE_SEED_TEXT])
{
	char time[CW_TIME_TEXT], number[40] = "";

	cw_time_format(seed->time, time);
	if (seed->number > 0 && seed->count > 0)
		(void)snprintf(number, sizeof(number), ", medium %u of %u",
		    seed->number, seed->count);
	else if (seed->number > 0)
		(void)snprintf(
		    number, sizeof(number), ", medium %u", seed->number);
	(void)snprintf(out, CW_DEVICE_SEED_TEXT, "seed %s%s%s%s", seed->id,
	    number, seed->time != 0 ? ", of " : "",
	    seed->time != 0 ? time : "");
}
