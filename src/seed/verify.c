#include "seed/verify.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/text.h"
#include "seed/verify_folder.h"
#include "seed/verify_impl.h"
#include "seed/verify_result.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define QUICK_MAX (1u << 20) /* files that a quick look reads all the same */
#define NOTED_MAX 4u	     /* media named as being read */

/* ---- what there is to read ---- */

/* Whether a file has a second copy that is read beside it. */
static bool
is_twice(const char *name)
{
	return strcmp(name, CW_SET_CATALOG) == 0 ||
	       strcmp(name, CW_SET_BLOCKS) == 0;
}

/* Files that cw_set_open has looked at, or that are looked at as copies. */
static bool
is_done_elsewhere(
    const struct cw_verify_work *v, const struct cw_manifest_file *file)
{
	static const char *const names[] = {
	    CW_SET_MEDIUM,
	    CW_SET_CHECKSUMS,
	    CW_SET_COPY "/" CW_SET_MEDIUM,
	    CW_SET_COPY "/" CW_SET_CHECKSUMS,
	};
	const size_t copy_len = strlen(CW_SET_COPY "/");

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(file->name, names[i]) == 0)
			return true;
	return strncmp(file->name, CW_SET_COPY "/", copy_len) == 0 &&
	       is_twice(file->name + copy_len) &&
	       cw_manifest_find(&v->set->manifest, file->medium,
		   file->name + copy_len) != NULL;
}

static void
add_item(struct cw_verify_work *v, size_t medium,
    const struct cw_manifest_file *file, bool is_copy)
{
	struct cw_verify_item *item;

	if (v->count == v->room) {
		v->room = v->room == 0 ? 64 : 2 * v->room;
		v->items =
		    cw_reallocarray(v->items, v->room, sizeof(*v->items));
		v->files =
		    cw_reallocarray(v->files, v->room, sizeof(*v->files));
	}
	item = &v->items[v->count];
	*item = (struct cw_verify_item){
	    .medium = medium,
	    .file = file,
	    .is_copy = is_copy,
	    .has_blocks = !is_copy && cw_blocks_has_file(file->name),
	};
	snprintf(item->name, sizeof(item->name), "%s%s",
	    is_copy ? CW_SET_COPY "/" : "", file->name);
	v->files[v->count++] = (struct cw_scrub_file){
	    .dirfd = v->set->media[medium].dirfd,
	    .size = file->size,
	};
}

/* Lists the files of all media that are here. */
static void
list_items(struct cw_verify_work *v)
{
	const struct cw_manifest *m = &v->set->manifest;

	for (size_t i = 0; i < v->set->count; i++) {
		for (size_t j = 0; j < m->file_count; j++) {
			const struct cw_manifest_file *file = &m->files[j];

			if (file->medium != v->set->media[i].number ||
			    is_done_elsewhere(v, file))
				continue;
			add_item(v, i, file, false);
			if (!is_twice(file->name))
				continue;
			v->items[v->count - 1].has_copy = true;
			add_item(v, i, file, true);
		}
	}
	/* The arrays have their final place only now. */
	for (size_t i = 0; i < v->count; i++) {
		v->files[i].name = v->items[i].name;
		v->files[i].tag = &v->items[i];
	}
}

/* ---- reading ---- */

static bool
is_good_block(void *arg, const struct cw_scrub_file *file, uint64_t block,
    const uint8_t xxh[CW_XXH_SIZE])
{
	const struct cw_verify_work *v = arg;
	const struct cw_verify_item *item = file->tag;
	const struct cw_blocks *blocks = v->blocks[item->medium];

	/* Where nothing tells, the file is good or bad as a whole. */
	return !item->has_blocks || !cw_blocks_has(blocks) ||
	       cw_blocks_is_good(blocks, file->name, block, xxh);
}

/* Says which media are read now. */
static void
note_media(struct cw_verify_work *v)
{
	struct cw_buf text = CW_BUF_INIT;
	unsigned count = 0;

	if (v->options->note == NULL)
		return;
	for (size_t i = 0; i < v->set->count; i++) {
		if (v->running[i] == 0 || ++count > NOTED_MAX)
			continue;
		cw_buf_printf(&text, "%s%u", count == 1 ? "" : ", ",
		    v->set->media[i].number);
	}
	if (count > NOTED_MAX)
		cw_buf_text(&text, ", ...");
	if (count > 0 && v->result->media > 0)
		cw_buf_printf(&text, " of %u", v->result->media);
	if (count > 0) {
		char *note = cw_asprintf("%s %s",
		    count == 1 ? "medium" : "media", cw_buf_string(&text));

		v->options->note(v->options->note_arg, note);
		free(note);
	}
	cw_buf_free(&text);
}

static void
file_begun(void *arg, const struct cw_scrub_file *file)
{
	struct cw_verify_work *v = arg;
	const struct cw_verify_item *item = file->tag;

	if (v->running[item->medium]++ == 0)
		note_media(v);
}

static void
file_done(void *arg, const struct cw_scrub_file *file)
{
	struct cw_verify_work *v = arg;
	const struct cw_verify_item *item = file->tag;

	v->running[item->medium]--;
	if (v->resume != NULL && file->state == CW_SCRUB_READ) {
		char *fault = cw_verify_find_fault(v, item, file);

		if (fault == NULL)
			cw_verify_resume_add(v->resume,
			    v->set->media[item->medium].number, file);
		free(fault);
	}
}

/* Whether a file need not be read; looks at it where that can be. */
static bool
is_settled(struct cw_verify_work *v, size_t i)
{
	struct cw_verify_item *item = &v->items[i];

	if (v->options->quick &&
	    (item->has_blocks || v->files[i].size > QUICK_MAX)) {
		item->is_quick = true;
		cw_scrub_look(&v->files[i]);
		return true;
	}
	if (v->resume == NULL)
		return false;
	cw_scrub_look(&v->files[i]);
	item->was_before =
	    v->files[i].state == CW_SCRUB_READ &&
	    cw_verify_resume_has(
		v->resume, v->set->media[item->medium].number, &v->files[i]);
	return item->was_before;
}

static int
scrub(struct cw_verify_work *v, struct cw_error *err)
{
	struct cw_scrub_options options = {
	    .threads = v->options->threads,
	    .cached = v->options->cached,
	    .rate = v->options->rate,
	    .progress = v->options->progress,
	    .arg = v,
	    .is_good = is_good_block,
	    .begun = file_begun,
	    .done = file_done,
	};
	struct cw_scrub_file *todo =
	    cw_reallocarray(NULL, v->count + 1, sizeof(*todo));
	uint64_t bytes = 0;
	size_t count = 0;
	int ret;

	for (size_t i = 0; i < v->count; i++) {
		if (is_settled(v, i))
			continue;
		bytes += v->files[i].size;
		todo[count] = v->files[i];
		todo[count].state = CW_SCRUB_PENDING;
		count++;
	}
	cw_progress_start(v->options->progress, "verifying", bytes, count);
	ret = cw_scrub(todo, count, &options, err);
	for (size_t i = 0; i < count; i++)
		v->files[(struct cw_verify_item *)todo[i].tag - v->items] =
		    todo[i];
	free(todo);
	return ret;
}

/* ---- going on ---- */

/* The file named for the seed in the directory of the options. */
static int
open_resume_in(struct cw_verify_work *v, struct cw_verify_resume_source *source,
    struct cw_error *err)
{
	int fd, ret;

	if (cw_make_dirs(v->options->resume_dir, 0700, err) < 0 ||
	    (fd = cw_open_dir(v->options->resume_dir, err)) < 0)
		return -1;
	source->dirfd = fd;
	source->name = v->set->seed_text;
	ret = cw_verify_resume_open(source, &v->resume, err);
	cw_close(&fd);
	return ret;
}

static int
open_resume(struct cw_verify_work *v, struct cw_error *err)
{
	struct cw_verify_resume_source source = {
	    .dirfd = AT_FDCWD,
	    .name = v->options->resume_file,
	    .manifest = v->set->manifest_sha256,
	    .is_cached = v->options->cached,
	    .is_fresh = v->options->is_fresh,
	};
	struct cw_error why = CW_ERROR_INIT;

	/* Nothing signed says what was read: it would have to be read again. */
	if (v->options->quick || !v->set->is_trusted)
		return 0;
	if (v->options->resume_file != NULL) {
		if (cw_verify_resume_open(&source, &v->resume, err) < 0)
			return -1;
	} else if (v->options->resume_dir == NULL) {
		return 0;
	} else if (open_resume_in(v, &source, &why) < 0) {
		cw_verify_add_remark(v->result,
		    cw_asprintf("nothing was kept to go on with, had it been "
				"interrupted: %s",
			why.message));
		return 0;
	}
	v->result->from = cw_verify_resume_begun(v->resume);
	return 0;
}

/* After the reading; an interrupted run leaves the file to the next one. */
static void
end_resume(struct cw_verify_work *v)
{
	const struct cw_error *why;
	char bytes[CW_TEXT_MAX], time_text[CW_TIME_TEXT];
	bool has_failed = false;

	if (v->resume == NULL)
		return;
	why = cw_verify_resume_error(v->resume);
	if (why != NULL)
		cw_verify_add_remark(v->result,
		    cw_asprintf("not all that was read could be noted, to go "
				"on after an interruption: %s",
			why->message));
	if (v->result->bytes_before > 0) {
		cw_text_bytes(v->result->bytes_before, bytes);
		cw_time_format(v->result->from, time_text);
		cw_verify_add_remark(v->result,
		    cw_asprintf("%s of it were read and good in a run that "
				"began at %s, and not read again: --fresh "
				"reads all",
			bytes, time_text));
	}
	/*
	 * A run that came to its end is a verdict, and the next one is another:
	 * blocks go bad without a trace in the times of a file.  Where a
	 * device failed, it did not come to its end.
	 */
	for (size_t i = 0; i < v->count && !has_failed; i++)
		has_failed = v->files[i].state == CW_SCRUB_UNREADABLE;
	if (!has_failed)
		cw_verify_resume_drop(v->resume);
}

/* ---- the whole ---- */

/* The set of files on each medium. */
static void
check_folders(struct cw_verify_work *v)
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
	for (size_t i = 0; i < v->set->replaced_count; i++)
		cw_verify_add_remark(v->result,
		    cw_asprintf("%s is no medium of the seed any more: another "
				"one was made in its place",
			v->set->replaced[i]));
}

/* The media that are here, as they say of themselves. */
static void
describe_media(struct cw_verify_work *v, struct cw_verify_result *r)
{
	r->media_present = (uint32_t)v->set->count;
	r->present = cw_calloc(v->set->count, sizeof(*r->present));
	for (size_t i = 0; i < v->set->count; i++) {
		const struct cw_set_medium *m = &v->set->media[i];
		const struct cw_medium *is =
		    m->has_medium
			? &m->medium
			: cw_manifest_medium(&v->set->manifest, m->number);

		r->present[i].number = m->number;
		r->present[i].path = cw_strdup(m->path);
		snprintf(r->present[i].label, sizeof(r->present[i].label), "%s",
		    is == NULL ? "" : is->label);
		snprintf(r->present[i].filesystem,
		    sizeof(r->present[i].filesystem), "%s",
		    is == NULL ? "-" : is->filesystem);
	}
}

/* What the manifest says of the seed. */
static void
describe(struct cw_verify_work *v, struct cw_verify_result *r)
{
	const struct cw_set *set = v->set;
	const struct cw_manifest *m = &set->manifest;

	memcpy(r->seed_id, set->seed_id, sizeof(r->seed_id));
	memcpy(r->seed_text, set->seed_text, sizeof(r->seed_text));
	memcpy(r->store_id, m->store_id, sizeof(r->store_id));
	memcpy(r->manifest_sha256, set->manifest_sha256, CW_SHA256_SIZE);
	memcpy(r->signer, m->signer, sizeof(r->signer));
	r->is_trusted = set->is_trusted;
	if (set->is_trusted)
		snprintf(r->signer_name, sizeof(r->signer_name), "%s",
		    set->signer.name);
	if (set->has_key_id)
		cw_minisign_key_id_text(set->key_id, r->key_id);
	r->revision = m->revision;
	r->generation = m->generation;
	r->time = m->time;
	r->is_final = m->is_final;
	r->has_parity = m->parity_k > 0;
	r->media = m->media;
	describe_media(v, r);
}

static int
open_work(struct cw_verify_work *v, const char *const *dirs, size_t dir_count,
    struct cw_error *err)
{
	const struct cw_verify_options *o = v->options;
	struct cw_set_source source = {
	    .dirs = dirs,
	    .dir_count = dir_count,
	    .seed = o->seed,
	    .manifest = o->manifest,
	    .signers = o->signers,
	    .signer_count = o->signer_count,
	};

	if (cw_set_open_from(&source, &v->set, err) < 0)
		return -1;
	v->running = cw_calloc(v->set->count, sizeof(*v->running));
	v->blocks = cw_calloc(v->set->count, sizeof(struct cw_blocks *));
	for (size_t i = 0; i < v->set->count; i++)
		if (cw_blocks_open(v->set, i, &v->blocks[i], err) < 0)
			return -1;
	return cw_recover_new(v->set, &v->recover, err);
}

static void
free_work(struct cw_verify_work *v)
{
	cw_verify_resume_close(v->resume);
	cw_recover_free(v->recover);
	for (size_t i = 0; v->blocks != NULL && i < v->set->count; i++)
		cw_blocks_free(v->blocks[i]);
	cw_scrub_free(v->files, v->count);
	free(v->blocks);
	free(v->running);
	free(v->files);
	free(v->items);
	cw_set_free(v->set);
}

int
cw_verify(const char *const *dirs, size_t dir_count,
    const struct cw_verify_options *options, struct cw_verify_result *result,
    struct cw_error *err)
{
	struct cw_verify_work v = {.options = options, .result = result};
	int64_t from_ns = cw_clock_ns();
	int ret = -1;

	*result = (struct cw_verify_result){.status = CW_VERIFY_OK};
	result->from = (int64_t)time(NULL);
	if (open_work(&v, dirs, dir_count, err) < 0)
		goto out;
	describe(&v, result);
	if (!v.set->is_trusted)
		cw_verify_raise(result, CW_VERIFY_UNTRUSTED);
	if (open_resume(&v, err) < 0)
		goto out;
	list_items(&v);
	if (scrub(&v, err) < 0) {
		if (v.resume != NULL && err->code == CW_ERR_INTERRUPTED)
			cw_error_advise(
			    err, "the same command goes on where it was");
		goto out;
	}
	cw_verify_judge(&v);
	check_folders(&v);
	result->seconds = cw_clock_since(from_ns);
	end_resume(&v);
	cw_verify_conclude(result, v.set,
	    &(struct cw_verify_asked){
		.dirs = options->typed == NULL ? dirs : options->typed,
		.dir_count = dir_count,
		.has_signers = options->signer_count > 0,
	    });
	ret = 0;
out:
	result->to = (int64_t)time(NULL);
	if (result->to < result->from) /* the clock was put back */
		result->to = result->from;
	free_work(&v);
	return ret;
}
