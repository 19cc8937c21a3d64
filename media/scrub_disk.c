#include "media/scrub_disk.h"

#include "base/buf.h"
#include "base/bytes.h"
#include "base/fs.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define DEPTH_MAX 8u /* a volume on encryption on a partition on ... */
#define TEXT_MAX  32u

/* Reads a small file of sysfs without its newline; false if there is none. */
static bool
read_text(int dirfd, const char *name, char text[TEXT_MAX])
{
	int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, text, TEXT_MAX - 1);

	cw_close(&fd);
	if (got < 0)
		return false;
	text[got] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return true;
}

/* Reads "8:16\n". */
static bool
read_device(int dirfd, const char *name, dev_t *device)
{
	char text[TEXT_MAX], *colon;
	uint64_t first, second;

	if (!read_text(dirfd, name, text) ||
	    (colon = strchr(text, ':')) == NULL ||
	    !cw_decimal_parse(
		text, (size_t)(colon - text), UINT32_MAX, &first) ||
	    !cw_decimal_parse(
		colon + 1, strlen(colon + 1), UINT32_MAX, &second))
		return false;
	*device = makedev((unsigned)first, (unsigned)second);
	return true;
}

/* The one device that this one is made of; false if of none or several. */
static bool
only_slave(int dirfd, dev_t *device)
{
	int fd = openat(dirfd, "slaves", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	unsigned count = 0;
	dev_t found = 0;

	if (dir == NULL) {
		cw_close(&fd);
		return false;
	}
	while (count < 2 && (entry = readdir(dir)) != NULL) {
		char *name;

		if (entry->d_name[0] == '.')
			continue;
		name = cw_asprintf("%s/dev", entry->d_name);
		if (!read_device(fd, name, &found))
			count = 2;
		free(name);
		count++;
	}
	closedir(dir);
	if (count != 1)
		return false;
	*device = found;
	return true;
}

void
cw_scrub_disk_of_device(
    const char *sysfs, dev_t device, struct cw_scrub_disk *disk)
{
	*disk = (struct cw_scrub_disk){.id = device};
	for (unsigned i = 0; i < DEPTH_MAX; i++) {
		char *path = cw_asprintf("%s/dev/block/%u:%u", sysfs,
		    major(disk->id), minor(disk->id));
		int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		char text[TEXT_MAX];
		bool is_part;

		free(path);
		if (fd < 0)
			return;
		/* A partition's directory lies in that of its disk. */
		is_part = faccessat(fd, "partition", F_OK, 0) == 0;
		if (is_part ? read_device(fd, "../dev", &disk->id)
			    : only_slave(fd, &disk->id)) {
			cw_close(&fd);
			continue;
		}
		disk->is_rotating = read_text(fd, "queue/rotational", text) &&
				    strcmp(text, "1") == 0;
		cw_close(&fd);
		return;
	}
}

/* The device of a mount, by its line in mountinfo, or 0. */
static dev_t
device_of_line(char *line, uint64_t mount)
{
	char *save = NULL, *word = strtok_r(line, " ", &save);
	struct stat st;
	uint64_t id;

	if (word == NULL ||
	    !cw_decimal_parse(word, strlen(word), UINT64_MAX, &id) ||
	    id != mount)
		return 0;
	while (word != NULL && strcmp(word, "-") != 0)
		word = strtok_r(NULL, " ", &save);
	if (word == NULL || strtok_r(NULL, " ", &save) == NULL)
		return 0;
	word = strtok_r(NULL, " ", &save);
	if (word == NULL || word[0] != '/' || stat(word, &st) < 0 ||
	    !S_ISBLK(st.st_mode))
		return 0;
	return st.st_rdev;
}

/* Of a filesystem that has no device number of its own (btrfs), or 0. */
static dev_t
device_of_mount(int dirfd)
{
	struct statx stx;
	dev_t device = 0;
	char *line = NULL;
	size_t cap = 0;
	FILE *f;

	if (statx(dirfd, "", AT_EMPTY_PATH, STATX_MNT_ID, &stx) < 0 ||
	    (stx.stx_mask & STATX_MNT_ID) == 0 ||
	    (f = fopen("/proc/self/mountinfo", "re")) == NULL)
		return 0;
	while (device == 0 && getline(&line, &cap, f) > 0)
		device = device_of_line(line, stx.stx_mnt_id);
	free(line);
	(void)fclose(f);
	return device;
}

void
cw_scrub_disk_of(int dirfd, struct cw_scrub_disk *disk)
{
	struct stat st = {.st_dev = 0};
	dev_t device;

	(void)fstat(dirfd, &st);
	device = st.st_dev;
	if (major(device) == 0) {
		dev_t below = device_of_mount(dirfd);

		if (below != 0)
			device = below;
	}
	cw_scrub_disk_of_device("/sys", device, disk);
}
