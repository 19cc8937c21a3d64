#include "media/folders.h"

#include "base/buf.h"
#include "base/bytes.h"
#include "base/fs.h"
#include "base/text.h"
#include "media/twice.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDERS_MAX 256u   /* of seeds, on one medium */
#define ENTRIES_MAX 65536u /* looked at to find them */
#define LISTED_MAX  8u	   /* in a message */

static bool
is_seed_id(const char *name)
{
	uint8_t id[CW_SEED_ID_SIZE];

	return cw_hex_decode(name, strlen(name), id, sizeof(id));
}

/* Takes over fd and path. */
static void
add_folder(
    struct cw_folders *all, size_t dir, const char *id, int fd, char *path)
{
	struct cw_folder *f;

	all->items =
	    cw_reallocarray(all->items, all->count + 1, sizeof(*all->items));
	f = &all->items[all->count++];
	*f = (struct cw_folder){.dir = dir, .fd = fd, .path = path};
	snprintf(f->id, sizeof(f->id), "%s", id);
}

/* Adds the seeds' folders within a directory. */
static int
list_folders(struct cw_folders *all, size_t dir, int parent, const char *path,
    struct cw_error *err)
{
	/* fdopendir takes the descriptor with it. */
	int fd = cw_open_beneath(parent, ".", O_RDONLY | O_DIRECTORY, 0, err);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	size_t found = 0, seen = 0;

	if (d == NULL) {
		cw_close(&fd);
		return cw_error_context(err, "%s", path);
	}
	while (found < FOLDERS_MAX && seen++ < ENTRIES_MAX &&
	       (entry = readdir(d)) != NULL) {
		int folder;

		if (!is_seed_id(entry->d_name))
			continue;
		folder = cw_open_beneath(
		    parent, entry->d_name, O_RDONLY | O_DIRECTORY, 0, NULL);
		if (folder < 0)
			continue; /* a file or a symlink of that name */
		add_folder(all, dir, entry->d_name, folder,
		    cw_asprintf("%s/%s", path, entry->d_name));
		found++;
	}
	closedir(d);
	return 0;
}

/* Whether a directory is a seed's folder, by the files it has. */
static bool
is_seed_folder(int fd)
{
	static const char *const names[] = {CW_SET_MANIFEST, CW_SET_MEDIUM,
	    CW_SET_COPY "/" CW_SET_MANIFEST, CW_SET_COPY "/" CW_SET_MEDIUM};
	struct stat st;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (fstatat(fd, names[i], &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISREG(st.st_mode))
			return true;
	return false;
}

/*
 * The manifest in a folder, signed or not, main or copy: to tell what the
 * folder may be, not to believe it.
 */
static int
peek(int fd, struct cw_manifest *m, struct cw_error *err)
{
	struct cw_twice t;
	int ret = -1;

	cw_twice_read(&t, fd, CW_SET_MANIFEST, CW_MANIFEST_TEXT_MAX);
	for (int i = 0; i < 2 && ret < 0; i++) {
		if (!t.has[i]) {
			if (err != NULL && i == 0)
				*err = t.errors[i];
			continue;
		}
		ret = cw_manifest_decode(
		    (const char *)t.text[i].data, t.text[i].len, m, err);
	}
	cw_twice_free(&t);
	return ret;
}

/* The seed id of a folder that the operator named itself. */
static int
name_folder(
    int fd, const char *path, char id[CW_SEED_ID_TEXT], struct cw_error *err)
{
	struct cw_manifest m = CW_MANIFEST_INIT;
	char *real = realpath(path, NULL);
	const char *slash = real == NULL ? NULL : strrchr(real, '/');
	bool is_named = slash != NULL && is_seed_id(slash + 1);

	if (is_named)
		memcpy(id, slash + 1, CW_SEED_ID_TEXT);
	free(real);
	if (is_named)
		return 0;
	if (peek(fd, &m, err) < 0)
		return cw_error_context(err,
		    "%s looks like a seed's folder, but has no seed id for "
		    "a name and no good manifest",
		    path);
	cw_hex_encode(m.seed_id, sizeof(m.seed_id), id);
	cw_manifest_free(&m);
	return 0;
}

/* Adds the seeds' folders that one of the directories given holds. */
int
cw_folders_search(
    struct cw_folders *all, size_t dir, const char *given, struct cw_error *err)
{
	size_t before = all->count, len = strlen(given);
	char *path, *folder = NULL;
	int fd = -1, inner = -1, ret = -1;

	/* "/mnt/" is shown as "/mnt". */
	while (len > 1 && given[len - 1] == '/')
		len--;
	path = cw_asprintf("%.*s", (int)len, given);
	if ((fd = cw_open_dir(path, err)) < 0)
		goto out;
	if (is_seed_folder(fd)) {
		char id[CW_SEED_ID_TEXT];

		if (name_folder(fd, path, id, err) < 0)
			goto out;
		add_folder(all, dir, id, fd, path);
		fd = -1;
		path = NULL;
		ret = 0;
		goto out;
	}
	inner =
	    cw_open_beneath(fd, CW_SET_FOLDER, O_RDONLY | O_DIRECTORY, 0, err);
	if (inner >= 0) {
		folder = cw_asprintf(
		    "%s/%s", strcmp(path, "/") == 0 ? "" : path, CW_SET_FOLDER);
		ret = list_folders(all, dir, inner, folder, err);
	} else if (errno == ENOENT || errno == ENOTDIR) {
		ret = list_folders(all, dir, fd, path, err);
	} else {
		cw_error_context(err, "%s", path);
	}
	if (ret == 0 && all->count == before)
		ret = cw_error_set(err, CW_ERR_MISSING,
		    "no seed in %s: give the directory a medium is mounted on, "
		    "which holds %s/SEED-ID/",
		    path, CW_SET_FOLDER);
out:
	cw_close(&fd);
	cw_close(&inner);
	free(path);
	free(folder);
	return ret;
}

/* How many of the directories hold a part of a seed. */
static size_t
dirs_with(const struct cw_folders *all, size_t dir_count, const char *id)
{
	size_t found = 0;

	for (size_t dir = 0; dir < dir_count; dir++)
		for (size_t i = 0; i < all->count; i++)
			if (all->items[i].dir == dir &&
			    strcmp(all->items[i].id, id) == 0) {
				found++;
				break;
			}
	return found;
}

void
cw_folders_list(const struct cw_folders *all, struct cw_buf *text)
{
	for (size_t i = 0; i < all->count && i < LISTED_MAX; i++) {
		struct cw_manifest m = CW_MANIFEST_INIT;
		char time[CW_TIME_TEXT] = "unknown time";

		if (peek(all->items[i].fd, &m, NULL) == 0)
			cw_time_format(m.time, time);
		cw_manifest_free(&m);
		cw_buf_printf(text, "%s%s of %s in %s", i == 0 ? "" : ", ",
		    all->items[i].id, time, all->items[i].path);
	}
}

static int
is_ambiguous(
    const struct cw_folders *all, const char *why, struct cw_error *err)
{
	struct cw_buf text = CW_BUF_INIT;

	cw_folders_list(all, &text);
	cw_error_set(err, CW_ERR_USAGE, "%s: say which one with --seed: %s",
	    why, cw_buf_string(&text));
	cw_buf_free(&text);
	return -1;
}

/*
 * Chooses a seed that each directory holds a part of, and of several the
 * newest.  The time is what an unverified manifest claims: a lie leads to a
 * seed whose signature is then found bad.
 */
int
cw_folders_choose(const struct cw_folders *all, size_t dir_count,
    char id[CW_SEED_ID_TEXT], struct cw_error *err)
{
	int64_t best_time = 0;
	bool has_time = false, is_tie = false;

	id[0] = '\0';
	for (size_t i = 0; i < all->count; i++) {
		const struct cw_folder *f = &all->items[i];
		struct cw_manifest m = CW_MANIFEST_INIT;
		int known;

		if (strcmp(f->id, id) == 0 ||
		    dirs_with(all, dir_count, f->id) < dir_count)
			continue;
		if (id[0] == '\0') {
			memcpy(id, f->id, CW_SEED_ID_TEXT);
			if (all->count == dir_count)
				return 0; /* there is no other */
		}
		known = peek(f->fd, &m, NULL);
		if (known == 0 && (!has_time || m.time > best_time)) {
			memcpy(id, f->id, CW_SEED_ID_TEXT);
			best_time = m.time;
			has_time = true;
			is_tie = false;
		} else if (known == 0 && m.time == best_time &&
			   strcmp(f->id, id) != 0) {
			is_tie = true;
		}
		cw_manifest_free(&m);
	}
	if (id[0] == '\0')
		return is_ambiguous(
		    all, "the directories hold no seed in common", err);
	if (is_tie)
		return is_ambiguous(all, "several seeds are equally new", err);
	return 0;
}

void
cw_folders_free(struct cw_folders *all)
{
	for (size_t i = 0; i < all->count; i++) {
		cw_close(&all->items[i].fd);
		free(all->items[i].path);
	}
	free(all->items);
	*all = (struct cw_folders)CW_FOLDERS_INIT;
}
