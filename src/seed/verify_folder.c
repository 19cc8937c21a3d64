#include "seed/verify_folder.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/text.h"
#include "media/blocks.h"
#include "seed/custody_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define DEPTH_MAX   4u
#define ENTRIES_MAX 2000000u /* looked at in one folder */
#define EXTRAS_MAX  100u     /* reported of one medium */

/* A walk through one seed's folder. */
struct walk {
	const struct cw_set *set;
	const struct cw_set_medium *medium;
	struct cw_verify_result *result;
	size_t extras, entries;
};

static bool
ends_with(const char *name, const char *end)
{
	size_t len = strlen(name), end_len = strlen(end);

	return len >= end_len && strcmp(name + len - end_len, end) == 0;
}

/* Whether a file is one that a folder has beside those in the manifest. */
static bool
is_expected(const struct walk *w, const char *name)
{
	static const char *const others[] = {
	    CW_SET_MANIFEST,
	    CW_SET_SIGNATURE,
	    CW_SET_CUSTODY,
	    CW_SET_COPY "/" CW_SET_MANIFEST,
	    CW_SET_COPY "/" CW_SET_SIGNATURE,
	    CW_SET_COPY "/" CW_SET_MEDIUM,
	    CW_SET_COPY "/" CW_SET_CHECKSUMS,
	};

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (strcmp(name, others[i]) == 0)
			return true;
	if (strcmp(name, CW_SET_COPY "/" CW_SET_CATALOG) == 0)
		name = CW_SET_CATALOG;
	if (strcmp(name, CW_SET_COPY "/" CW_SET_BLOCKS) == 0)
		name = CW_SET_BLOCKS;
	return cw_manifest_find(&w->set->manifest, w->medium->number, name) !=
	       NULL;
}

/* Whether files of the seed lie in a directory of this name. */
static bool
is_directory_of_seed(const struct walk *w, const char *name)
{
	const struct cw_manifest *m = &w->set->manifest;
	size_t len = strlen(name);

	if (strcmp(name, CW_SET_COPY) == 0)
		return true;
	for (size_t i = 0; i < m->file_count; i++)
		if (m->files[i].medium == w->medium->number &&
		    strncmp(m->files[i].name, name, len) == 0 &&
		    m->files[i].name[len] == '/')
			return true;
	return false;
}

/* Something that no list has. */
static void
add_extra(struct walk *w, const char *name, const struct stat *st)
{
	uint64_t size = S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0;
	const char *slash = strrchr(name, '/');
	const char *last = slash == NULL ? name : slash + 1;
	char quoted[CW_QUOTE_MAX], shown[CW_MANIFEST_NAME_MAX + 1];

	if (w->extras++ >= EXTRAS_MAX) {
		cw_verify_raise(w->result, CW_VERIFY_DAMAGED);
		return;
	}
	cw_text_quote(name, strlen(name), quoted);
	if (last[0] == '.' ||
	    (S_ISREG(st->st_mode) && ends_with(last, ".tmp"))) {
		cw_verify_add_remark(w->result,
		    cw_asprintf("%s/%s is no part of the seed; it may be "
				"deleted",
			w->medium->path, quoted));
		return;
	}
	snprintf(shown, sizeof(shown), "%.*s", (int)sizeof(shown) - 1, quoted);
	cw_verify_add_extra(w->result, w->medium->number, shown, size,
	    cw_asprintf("%s/%s is not in the manifest: delete it",
		w->medium->path, quoted));
}

static void
walk(struct walk *w, int parent, const char *prefix, unsigned depth)
{
	struct cw_error err = CW_ERROR_INIT;
	int fd = cw_open_beneath(parent, prefix[0] == '\0' ? "." : prefix,
	    O_RDONLY | O_DIRECTORY, 0, &err);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (dir == NULL) {
		cw_close(&fd);
		cw_verify_add_damage(w->result, w->medium->number, prefix, 0, 0,
		    CW_VERIFY_DAMAGED,
		    cw_asprintf("%s/%s can't be listed: %s", w->medium->path,
			prefix, err.message));
		return;
	}
	for (;;) {
		struct stat st;
		char *name;

		errno = 0;
		entry = readdir(dir);
		if (entry == NULL || ++w->entries > ENTRIES_MAX ||
		    w->extras > EXTRAS_MAX)
			break;
		if (strcmp(entry->d_name, ".") == 0 ||
		    strcmp(entry->d_name, "..") == 0)
			continue;
		name = cw_asprintf("%s%s%s", prefix,
		    prefix[0] == '\0' ? "" : "/", entry->d_name);
		if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			st = (struct stat){.st_mode = 0};
		if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX &&
		    is_directory_of_seed(w, name))
			walk(w, parent, name, depth + 1);
		else if (!is_expected(w, name))
			add_extra(w, name, &st);
		free(name);
	}
	if (errno != 0)
		cw_verify_add_damage(w->result, w->medium->number, prefix, 0, 0,
		    CW_VERIFY_DAMAGED,
		    cw_asprintf("%s/%s can't be listed to its end: %s",
			w->medium->path, prefix, strerrordesc_np(errno)));
	closedir(dir);
}

void
cw_verify_folder(const struct cw_set *set, const struct cw_set_medium *medium,
    struct cw_verify_result *r)
{
	struct walk w = {.set = set, .medium = medium, .result = r};

	walk(&w, medium->dirfd, "", 0);
}

/* Both lists are the signer's: where they disagree, it is its fault. */
static void
disagree(const struct cw_set_medium *medium, const char *name, const char *how,
    struct cw_verify_result *r)
{
	cw_verify_add_damage(r, medium->number, CW_SET_CHECKSUMS, 0, 0,
	    CW_VERIFY_DAMAGED,
	    cw_asprintf("%s/%s and the manifest disagree: %s %s", medium->path,
		CW_SET_CHECKSUMS, name, how));
}

void
cw_verify_checksums(const struct cw_set *set,
    const struct cw_set_medium *medium, struct cw_verify_result *r)
{
	const struct cw_manifest *m = &set->manifest;
	const size_t copy_len = strlen(CW_SET_COPY "/");

	for (size_t i = 0; i < medium->checksums.count; i++) {
		const char *name = medium->checksums.items[i].name;

		if (cw_manifest_find(m, medium->number, name) != NULL)
			continue;
		if (strncmp(name, CW_SET_COPY "/", copy_len) == 0 &&
		    cw_manifest_find(m, medium->number, name + copy_len) !=
			NULL)
			continue;
		disagree(medium, name, "is only in the former", r);
	}
	for (size_t i = 0; i < m->file_count; i++) {
		const struct cw_manifest_file *file = &m->files[i];

		/* No file holds its own checksum. */
		if (file->medium != medium->number ||
		    strcmp(file->name, CW_SET_CHECKSUMS) == 0 ||
		    strcmp(file->name, CW_SET_COPY "/" CW_SET_CHECKSUMS) == 0)
			continue;
		if (cw_checksums_find(&medium->checksums, file->name) == NULL)
			disagree(
			    medium, file->name, "is only in the latter", r);
	}
}

void
cw_verify_custody(const struct cw_set *set, const struct cw_set_medium *medium,
    struct cw_verify_result *r)
{
	struct cw_custody log = CW_CUSTODY_INIT;
	struct cw_error err = CW_ERROR_INIT;

	if (cw_custody_file_read(medium->dirfd, set->seed_id, &log, &err) < 0)
		cw_verify_add_damage(r, medium->number, CW_SET_CUSTODY,
		    log.whole_len, 0, CW_VERIFY_DAMAGED,
		    cw_asprintf("%s/%s is wrong: %s", medium->path,
			CW_SET_CUSTODY, err.message));
	else if (log.whole_len == 0 && !log.is_torn)
		cw_verify_add_remark(
		    r, cw_asprintf("%s has no log of custody", medium->path));
	else if (log.is_torn)
		cw_verify_add_remark(
		    r, cw_asprintf("%s/%s ends in a torn line; the next event "
				   "cuts it off",
			   medium->path, CW_SET_CUSTODY));
	cw_custody_free(&log);
}
