#include "seed/target_impl.h"

#include "base/buf.h"
#include "base/bytes.h"
#include "base/fs.h"
#include "media/set.h"

#include <blkid/blkid.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * Label and UUID of the filesystem a directory is on, as far as we may look:
 * without permission to read the device they stay unknown.
 */
static void
identify(int fd, struct cw_medium *medium)
{
	const char *value;
	struct stat st;
	blkid_probe probe = NULL;
	char *device;
	size_t len;

	memcpy(medium->filesystem, "-", 2);
	medium->label[0] = '\0';
	if (fstat(fd, &st) < 0)
		return;
	device = blkid_devno_to_devname(st.st_dev);
	if (device == NULL)
		return;
	probe = blkid_new_probe_from_filename(device);
	if (probe != NULL) {
		blkid_probe_enable_superblocks(probe, 1);
		blkid_probe_set_superblocks_flags(
		    probe, BLKID_SUBLKS_LABEL | BLKID_SUBLKS_UUID);
		if (blkid_do_safeprobe(probe) == 0) {
			if (blkid_probe_lookup_value(
				probe, "UUID", &value, &len) == 0 &&
			    len > 1 && len <= CW_MEDIUM_UUID_MAX)
				memcpy(medium->filesystem, value, len);
			if (blkid_probe_lookup_value(
				probe, "LABEL", &value, &len) == 0 &&
			    len > 1 && len <= CW_MEDIUM_LABEL_MAX)
				memcpy(medium->label, value, len);
		}
		blkid_free_probe(probe);
	}
	free(device);
	/* A label is any bytes; ours is printable ASCII, and only a hint. */
	for (char *at = medium->label; *at != '\0'; at++)
		if (*at < 0x20 || *at > 0x7e)
			*at = '?';
	for (char *at = medium->filesystem; *at != '\0'; at++)
		if (*at <= 0x20 || *at > 0x7e)
			*at = '?';
}

static int
make_dir(int dirfd, const char *name, struct cw_error *err)
{
	if (mkdirat(dirfd, name, 0755) < 0 && errno != EEXIST)
		return cw_error_errno(err, "cannot make directory %s", name);
	return 0;
}

static int
open_dir(int dirfd, const char *name, struct cw_error *err)
{
	if (make_dir(dirfd, name, err) < 0)
		return -1;
	return cw_open_beneath(dirfd, name, O_RDONLY | O_DIRECTORY, 0, err);
}

/* What a crash left half-written is of no use to anyone. */
static int
remove_leftovers(int folder, const char *below, struct cw_error *err)
{
	struct dirent *entry;
	DIR *dir;
	int fd;

	fd = cw_open_beneath(folder, below, O_RDONLY | O_DIRECTORY, 0, err);
	if (fd < 0)
		return -1;
	dir = fdopendir(fd);
	if (dir == NULL) {
		cw_close(&fd);
		return cw_error_errno(err, "cannot list the seed's folder");
	}
	while ((entry = readdir(dir)) != NULL) {
		size_t len = strlen(entry->d_name);

		if (len > 4 && strcmp(entry->d_name + len - 4, ".tmp") == 0)
			(void)unlinkat(dirfd(dir), entry->d_name, 0);
	}
	closedir(dir);
	return 0;
}

static int
save_medium(struct cw_target_medium *m, struct cw_error *err)
{
	struct cw_buf text = CW_BUF_INIT;
	int ret = cw_medium_encode(&m->is, &text, err);

	if (ret == 0)
		ret = cw_save_file(
		    m->folder, CW_SET_MEDIUM, text.data, text.len, 0644, err);
	cw_buf_free(&text);
	return ret;
}

/* Reads MEDIUM; *is_known tells whether there is one of this seed. */
static int
load_medium(struct cw_target_medium *m, const uint8_t *seed_id, bool *is_known,
    struct cw_error *err)
{
	struct cw_buf text = CW_BUF_INIT;
	struct cw_medium found;
	int ret;

	*is_known = false;
	ret = cw_read_file(
	    m->folder, CW_SET_MEDIUM, CW_MEDIUM_TEXT_MAX, &text, err);
	if (ret == 0)
		ret = cw_medium_decode(
		    (const char *)text.data, text.len, &found, err);
	else if (ret == 1)
		goto none;
	if (ret == 0 &&
	    memcmp(found.seed_id, seed_id, sizeof(found.seed_id)) != 0)
		ret = cw_error_set(err, CW_ERR_DAMAGED,
		    "it is of another seed than its folder's name says");
	if (ret < 0) {
		cw_error_context(err, "%s/MEDIUM on the medium in %s",
		    CW_SET_FOLDER, m->path);
		goto out;
	}
	m->is = found;
	*is_known = true;
none:
	ret = 0;
out:
	cw_buf_free(&text);
	return ret;
}

/* Opens its folders, and reads its MEDIUM if there is one. */
static int
open_medium(struct cw_target_medium *m, const char *dir, const uint8_t *seed_id,
    bool *is_known, struct cw_error *err)
{
	char id[CW_SEED_ID_TEXT];
	int top = -1, ret = -1;

	cw_hex_encode(seed_id, CW_SEED_ID_SIZE, id);
	m->path = cw_strdup(dir);
	top = cw_open_dir(dir, err);
	if (top < 0)
		return -1;
	m->top = open_dir(top, CW_SET_FOLDER, err);
	if (m->top < 0)
		goto out;
	m->folder = open_dir(m->top, id, err);
	if (m->folder < 0 || make_dir(m->folder, CW_SET_COPY, err) < 0)
		goto out;
	/* The names must be there after a power cut, before what is in them. */
	if (cw_sync(m->folder, err) < 0 || cw_sync(m->top, err) < 0 ||
	    cw_sync(top, err) < 0 || load_medium(m, seed_id, is_known, err) < 0)
		goto out;
	ret = 0;
out:
	if (ret < 0)
		cw_error_context(err, "medium in %s", dir);
	cw_close(&top);
	return ret;
}

/* Gives a number to a medium that has none. */
static int
number_medium(const struct cw_target *t, struct cw_target_medium *m,
    uint32_t number, struct cw_error *err)
{
	memcpy(m->is.seed_id, t->seed_id, CW_SEED_ID_SIZE);
	m->is.number = number;
	m->is.count = 0;
	m->is.time = t->now;
	identify(m->folder, &m->is);
	if (save_medium(m, err) < 0)
		return cw_error_context(err, "medium in %s", m->path);
	return 0;
}

/* Closes and frees what is known of a medium. */
static void
free_medium(struct cw_target_medium *m)
{
	if (m == NULL)
		return;
	free(m->path);
	cw_close(&m->top);
	cw_close(&m->folder);
	free(m);
}

/* Opens one more; two of one number are an error. */
static int
add(struct cw_target *t, const char *dir, bool *is_known,
    struct cw_target_medium **out, struct cw_error *err)
{
	struct cw_target_medium *m = cw_calloc(1, sizeof(*m));

	m->top = m->folder = -1;
	if (open_medium(m, dir, t->seed_id, is_known, err) < 0)
		goto fail;
	for (size_t i = 0; i < t->count && *is_known; i++) {
		if (t->media[i]->is.number != m->is.number)
			continue;
		cw_error_set(err, CW_ERR_USAGE,
		    "%s and %s are the same medium (%u of this seed): name "
		    "each once",
		    t->media[i]->path, m->path, m->is.number);
		goto fail;
	}
	*out = m;
	return 0;
fail:
	free_medium(m);
	return -1;
}

int
target_add(struct cw_target *t, const char *dir, struct cw_target_medium **out,
    struct cw_error *err)
{
	struct cw_target_medium *m;
	bool is_known;

	if (add(t, dir, &is_known, &m, err) < 0)
		return -1;
	if (!is_known && number_medium(t, m, t->last_number + 1, err) < 0) {
		free_medium(m);
		return -1;
	}
	if (m->is.number > t->last_number)
		t->last_number = m->is.number;
	*out = m;
	return 0;
}

void
target_append(struct cw_target *t, struct cw_target_medium *m)
{
	m->index = t->count;
	t->media = cw_reallocarray(t->media, t->count + 1, sizeof(*t->media));
	t->media[t->count++] = m;
}

static struct cw_target *
new_target(const uint8_t *seed_id, int64_t now, uint64_t reserve)
{
	struct cw_target *t = cw_calloc(1, sizeof(*t));

	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->moved, NULL);
	t->reserve = reserve;
	memcpy(t->seed_id, seed_id, sizeof(t->seed_id));
	t->now = now;
	return t;
}

int
cw_target_open(const char *const *dirs, size_t count,
    const uint8_t seed_id[CW_SEED_ID_SIZE], int64_t now, uint64_t reserve,
    uint32_t *last_number, struct cw_target **out, struct cw_error *err)
{
	struct cw_target *t = new_target(seed_id, now, reserve);

	*out = NULL;
	t->last_number = *last_number;
	for (size_t i = 0; i < count; i++) {
		struct cw_target_medium *m;

		if (target_add(t, dirs[i], &m, err) < 0) {
			cw_target_free(t);
			return -1;
		}
		target_append(t, m);
	}
	*last_number = t->last_number;
	*out = t;
	return 0;
}

int
cw_target_open_set(const char *const *dirs, size_t count,
    const uint8_t seed_id[CW_SEED_ID_SIZE], int64_t now, uint64_t reserve,
    struct cw_target **out, struct cw_error *err)
{
	struct cw_target *t = new_target(seed_id, now, reserve);
	int ret = 0;

	*out = NULL;
	for (size_t i = 0; i < count && ret == 0; i++) {
		struct cw_target_medium *m;
		bool is_known;

		ret = add(t, dirs[i], &is_known, &m, err);
		if (ret == 0)
			target_append(t, m);
	}
	for (size_t i = 0; i < count && ret == 0; i++) {
		uint32_t number = 1;

		if (t->media[i]->is.number != 0)
			continue;
		while (cw_target_find(t, number) != NULL)
			number++;
		ret = number_medium(t, t->media[i], number, err);
	}
	if (ret < 0) {
		cw_target_free(t);
		return -1;
	}
	t->last_number = (uint32_t)count;
	*out = t;
	return 0;
}

void
cw_target_free(struct cw_target *t)
{
	if (t == NULL)
		return;
	target_groups_free(t);
	for (size_t i = 0; i < t->count; i++)
		free_medium(t->media[i]);
	free(t->media);
	pthread_cond_destroy(&t->moved);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

int
cw_target_clean(struct cw_target *t, struct cw_error *err)
{
	for (size_t i = 0; i < t->count; i++)
		if (remove_leftovers(t->media[i]->folder, ".", err) < 0 ||
		    remove_leftovers(t->media[i]->folder, CW_SET_COPY, err) < 0)
			return cw_error_context(
			    err, "medium in %s", t->media[i]->path);
	return 0;
}

void
cw_target_set_asker(struct cw_target *t, const struct cw_target_asker *asker)
{
	t->asker = *asker;
	t->has_asker = true;
}

size_t
cw_target_count(const struct cw_target *t)
{
	return t->count;
}

struct cw_target_medium *
cw_target_medium(struct cw_target *t, size_t i)
{
	return t->media[i];
}

struct cw_target_medium *
cw_target_find(struct cw_target *t, uint32_t number)
{
	for (size_t i = 0; i < t->count; i++)
		if (t->media[i]->is.number == number)
			return t->media[i];
	return NULL;
}
