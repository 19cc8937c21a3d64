#include "seed/verify.h"

#include "base/buf.h"
#include "base/crypto.h"
#include "base/fs.h"
#include "base/text.h"
#include "media/scrub.h"
#include "seed/verify_folder.h"
#include "seed/verify_result.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define QUICK_MAX (1u << 20) /* files that a quick look reads all the same */

/* What one scrubbed file is. */
struct item {
	const struct cw_set_medium *medium;
	const struct cw_manifest_file *file;
	char name[sizeof(CW_SET_COPY) + CW_MANIFEST_NAME_MAX + 1];
	bool is_copy;  /* of the item before it */
	bool has_copy; /* the item behind this one */
	bool is_quick; /* its size was looked at, no more */
	bool is_good;
};

struct verify {
	const struct cw_verify_options *options;
	struct cw_verify_result *result;
	struct cw_set *set;
	struct cw_scrub_file *files; /* in the order of items */
	struct item *items;
	size_t count, room;
};

static bool
ends_with(const char *name, const char *end)
{
	size_t len = strlen(name), end_len = strlen(end);

	return len >= end_len && strcmp(name + len - end_len, end) == 0;
}

static bool
is_volume(const char *name)
{
	return isdigit((unsigned char)name[0]) &&
	       ends_with(name, CW_SET_VOLUME);
}

/* Files that cw_set_open has looked at, or that are looked at as copies. */
static bool
is_done_elsewhere(const struct verify *v, const struct cw_manifest_file *file)
{
	static const char *const names[] = {
	    CW_SET_MEDIUM,
	    CW_SET_CHECKSUMS,
	    CW_SET_COPY "/" CW_SET_MEDIUM,
	    CW_SET_COPY "/" CW_SET_CHECKSUMS,
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(file->name, names[i]) == 0)
			return true;
	return strcmp(file->name, CW_SET_COPY "/" CW_SET_CATALOG) == 0 &&
	       cw_manifest_find(
		   &v->set->manifest, file->medium, CW_SET_CATALOG) != NULL;
}

static void
add_item(struct verify *v, const struct cw_set_medium *medium,
    const struct cw_manifest_file *file, bool is_copy)
{
	struct item *item;

	if (v->count == v->room) {
		v->room = v->room == 0 ? 64 : 2 * v->room;
		v->items =
		    cw_reallocarray(v->items, v->room, sizeof(*v->items));
		v->files =
		    cw_reallocarray(v->files, v->room, sizeof(*v->files));
	}
	item = &v->items[v->count];
	*item =
	    (struct item){.medium = medium, .file = file, .is_copy = is_copy};
	snprintf(item->name, sizeof(item->name), "%s%s",
	    is_copy ? CW_SET_COPY "/" : "", file->name);
	v->files[v->count++] = (struct cw_scrub_file){
	    .dirfd = medium->dirfd,
	    .size = file->size,
	};
}

/* Lists the files of all media that are here. */
static void
list_items(struct verify *v)
{
	const struct cw_manifest *m = &v->set->manifest;

	for (size_t i = 0; i < v->set->count; i++) {
		const struct cw_set_medium *medium = &v->set->media[i];

		for (size_t j = 0; j < m->file_count; j++) {
			const struct cw_manifest_file *file = &m->files[j];

			if (file->medium != medium->number ||
			    is_done_elsewhere(v, file))
				continue;
			add_item(v, medium, file, false);
			if (strcmp(file->name, CW_SET_CATALOG) != 0)
				continue;
			v->items[v->count - 1].has_copy = true;
			add_item(v, medium, file, true);
		}
	}
	/* The array has its final place only now. */
	for (size_t i = 0; i < v->count; i++)
		v->files[i].name = v->items[i].name;
}

/* Looks at a file's size, as cw_scrub would, without reading it. */
static void
look(struct cw_scrub_file *file)
{
	struct cw_error err = CW_ERROR_INIT;
	struct stat st;
	int fd = cw_set_open_file(file->dirfd, file->name, 0, &st, &err);

	if (fd < 0) {
		file->state = err.code == CW_ERR_MISSING ? CW_SCRUB_MISSING
			      : err.code == CW_ERR_DAMAGED
				  ? CW_SCRUB_STRANGE
				  : CW_SCRUB_UNREADABLE;
		return;
	}
	file->found = (uint64_t)st.st_size;
	file->state = file->found == file->size ? CW_SCRUB_READ : CW_SCRUB_SIZE;
	cw_close(&fd);
}

/* Reads what is small, and looks at the rest. */
static int
scrub_quickly(struct verify *v, const struct cw_scrub_options *options,
    struct cw_error *err)
{
	for (size_t i = 0; i < v->count; i++) {
		v->items[i].is_quick = v->files[i].size > QUICK_MAX;
		if (v->items[i].is_quick)
			look(&v->files[i]);
		else if (cw_scrub(&v->files[i], 1, options, err) < 0)
			return -1;
	}
	return 0;
}

static int
scrub(struct verify *v, struct cw_error *err)
{
	struct cw_scrub_options options = {
	    .threads = v->options->threads,
	    .cached = v->options->cached,
	    .rate = v->options->rate,
	    .progress = v->options->progress,
	};
	uint64_t bytes = 0;

	for (size_t i = 0; i < v->count; i++)
		if (!v->options->quick || v->files[i].size <= QUICK_MAX)
			bytes += v->files[i].size;
	cw_progress_start(v->options->progress, "verifying", bytes, v->count);
	if (v->options->quick)
		return scrub_quickly(v, &options, err);
	return cw_scrub(v->files, v->count, &options, err);
}

/* What is wrong with a file that is there, or NULL; to be freed. */
static char *
find_fault(const struct item *item, const struct cw_scrub_file *f)
{
	const struct cw_checksum *sum = NULL;
	bool is_xxh_good;

	switch (f->state) {
	case CW_SCRUB_PENDING:
	case CW_SCRUB_MISSING:
		return NULL;
	case CW_SCRUB_STRANGE:
		return cw_asprintf("%s/%s is not a regular file",
		    item->medium->path, item->name);
	case CW_SCRUB_SIZE:
		return cw_asprintf("%s/%s is %llu bytes, expected %llu",
		    item->medium->path, item->name,
		    (unsigned long long)f->found, (unsigned long long)f->size);
	case CW_SCRUB_UNREADABLE:
		return cw_asprintf("%s/%s can't be read: %s",
		    item->medium->path, item->name,
		    strerrordesc_np(f->os_error) == NULL
			? "unknown error"
			: strerrordesc_np(f->os_error));
	case CW_SCRUB_READ:
		break;
	}
	if (item->is_quick)
		return NULL;
	if (item->medium->has_checksums)
		sum = cw_checksums_find(
		    &item->medium->checksums, item->file->name);
	is_xxh_good = sum == NULL || memcmp(sum->xxh, f->xxh, CW_XXH_SIZE) == 0;
	if (memcmp(f->sha256, item->file->sha256, CW_SHA256_SIZE) != 0)
		return cw_asprintf(
		    "%s/%s is not what was signed: its SHA-256 differs%s",
		    item->medium->path, item->name,
		    sum != NULL && is_xxh_good
			? ", but its checksum does not: somebody did that "
			  "on purpose"
			: "");
	if (!is_xxh_good)
		return cw_asprintf("%s/%s is what was signed, but CHECKSUMS "
				   "says otherwise",
		    item->medium->path, item->name);
	return NULL;
}

/* The damaged ranges of a file: those known, or else all of it. */
static void
add_ranges(struct verify *v, const struct item *item,
    const struct cw_scrub_file *f, enum cw_verify_status status, char *reason)
{
	for (size_t i = 0; i < f->bad_count; i++)
		cw_verify_add_damage(v->result, item->medium->number,
		    item->name, f->bad[i].offset, f->bad[i].length, status,
		    cw_strdup(reason));
	if (f->bad_count == 0)
		cw_verify_add_damage(v->result, item->medium->number,
		    item->name, 0, f->size, status, cw_strdup(reason));
	free(reason);
}

/* What the scrub of a file means, given that of its other copy. */
static void
judge(struct verify *v, size_t i)
{
	struct item *item = &v->items[i];
	const struct cw_scrub_file *f = &v->files[i];
	bool has_good = (item->has_copy && v->items[i + 1].is_good) ||
			(item->is_copy && v->items[i - 1].is_good);
	char *reason;

	if (f->state == CW_SCRUB_MISSING) {
		cw_verify_add_missing(v->result, item->medium->number,
		    item->name, false, has_good);
		return;
	}
	reason = find_fault(item, f);
	if (reason == NULL)
		return;
	add_ranges(v, item, f,
	    has_good ? CW_VERIFY_REPAIRABLE : CW_VERIFY_DAMAGED, reason);
}

static void
judge_all(struct verify *v)
{
	for (size_t i = 0; i < v->count; i++) {
		char *reason = find_fault(&v->items[i], &v->files[i]);

		v->items[i].is_good =
		    reason == NULL && v->files[i].state == CW_SCRUB_READ;
		free(reason);
	}
	for (size_t i = 0; i < v->count; i++) {
		const struct cw_scrub_file *f = &v->files[i];
		bool is_read = f->state == CW_SCRUB_READ ||
			       f->state == CW_SCRUB_UNREADABLE;

		judge(v, i);
		if (is_volume(v->items[i].name) && f->state != CW_SCRUB_MISSING)
			v->result->volumes++;
		if (is_read && !v->items[i].is_quick)
			v->result->bytes += f->found;
	}
}

/* What cw_set_open found wrong with the files it read. */
static void
take_faults(struct verify *v)
{
	static const enum cw_verify_status statuses[] = {
	    [CW_SET_REPAIRABLE] = CW_VERIFY_REPAIRABLE,
	    [CW_SET_DAMAGED] = CW_VERIFY_DAMAGED,
	    [CW_SET_UNTRUSTED] = CW_VERIFY_UNTRUSTED,
	};

	for (size_t i = 0; i < v->set->fault_count; i++) {
		const struct cw_set_fault *f = &v->set->faults[i];
		uint32_t number = v->set->media[f->medium].number;

		if (f->is_missing)
			cw_verify_add_missing(v->result, number, f->file, false,
			    f->kind == CW_SET_REPAIRABLE);
		else
			cw_verify_add_damage(v->result, number, f->file, 0,
			    f->size, statuses[f->kind], cw_strdup(f->message));
		cw_verify_raise(v->result, statuses[f->kind]);
	}
}

static void
add_absent(struct cw_verify_result *r, uint32_t number)
{
	r->absent =
	    cw_reallocarray(r->absent, r->absent_count + 1, sizeof(*r->absent));
	r->absent[r->absent_count++] = number;
}

/* The media of the set that were not given, and their files. */
static void
find_absent(struct verify *v)
{
	const struct cw_manifest *m = &v->set->manifest;
	uint32_t last = m->media;

	for (size_t i = 0; i < m->file_count; i++) {
		const struct cw_manifest_file *file = &m->files[i];

		if (file->medium > last)
			last = file->medium;
		if (cw_set_find(v->set, file->medium) == NULL)
			cw_verify_add_missing(
			    v->result, file->medium, file->name, true, false);
	}
	for (uint32_t number = 1; number <= last; number++)
		if (cw_set_find(v->set, number) == NULL)
			add_absent(v->result, number);
	if (v->result->absent_count > 0 || !m->is_final)
		cw_verify_raise(v->result, CW_VERIFY_DAMAGED);
}

/* The set of files on each medium. */
static void
check_folders(struct verify *v)
{
	for (size_t i = 0; i < v->set->count; i++) {
		const struct cw_set_medium *medium = &v->set->media[i];

		cw_verify_custody(v->set, medium, v->result);
		if (medium->number == 0) {
			cw_verify_add_remark(v->result,
			    cw_asprintf("nothing tells which medium of the "
					"seed %s is",
				medium->path));
			continue;
		}
		cw_verify_folder(v->set, medium, v->result);
		if (medium->has_checksums)
			cw_verify_checksums(v->set, medium, v->result);
	}
}

/* What the manifest says of the seed. */
static void
describe(struct verify *v, struct cw_verify_result *r)
{
	const struct cw_set *set = v->set;
	const struct cw_manifest *m = &set->manifest;

	memcpy(r->seed_id, set->seed_id, sizeof(r->seed_id));
	memcpy(r->seed_text, set->seed_text, sizeof(r->seed_text));
	memcpy(r->signer, m->signer, sizeof(r->signer));
	r->is_trusted = set->is_trusted;
	if (set->is_trusted)
		snprintf(r->signer_name, sizeof(r->signer_name), "%s",
		    set->signer.name);
	if (set->has_key_id)
		cw_minisign_key_id_text(set->key_id, r->key_id);
	r->generation = m->generation;
	r->time = m->time;
	r->is_final = m->is_final;
	r->media = m->media;
	r->media_present = (uint32_t)set->count;
}

static double
seconds_since(const struct timespec *from)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - from->tv_sec) +
	       (double)(now.tv_nsec - from->tv_nsec) / 1e9;
}

int
cw_verify(const char *const *dirs, size_t dir_count,
    const struct cw_verify_options *options, struct cw_verify_result *result,
    struct cw_error *err)
{
	struct verify v = {.options = options, .result = result};
	struct timespec from;
	int ret = -1;

	*result = (struct cw_verify_result){.status = CW_VERIFY_OK};
	clock_gettime(CLOCK_MONOTONIC, &from);
	if (cw_set_open(dirs, dir_count, options->seed, options->signers,
		options->signer_count, &v.set, err) < 0)
		goto out;
	describe(&v, result);
	if (!v.set->is_trusted)
		cw_verify_raise(result, CW_VERIFY_UNTRUSTED);
	take_faults(&v);
	list_items(&v);
	if (scrub(&v, err) < 0)
		goto out;
	judge_all(&v);
	check_folders(&v);
	find_absent(&v);
	cw_verify_conclude(result, v.set, options->signer_count > 0);
	ret = 0;
out:
	result->seconds = seconds_since(&from);
	cw_scrub_free(v.files, v.count);
	free(v.files);
	free(v.items);
	cw_set_free(v.set);
	return ret;
}
