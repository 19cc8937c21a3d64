#include "media/repair_impl.h"

#include "base/buf.h"
#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

/* The volumes and shards of the media that are here. */
static void
list_files(struct cw_repair *r)
{
	const struct cw_manifest *m = &r->set->manifest;
	size_t room = 0;

	for (size_t i = 0; i < r->set->count; i++) {
		const struct cw_set_medium *medium = &r->set->media[i];

		for (size_t j = 0; j < m->file_count; j++) {
			struct cw_repair_file *f;

			if (m->files[j].medium != medium->number ||
			    !cw_blocks_has_file(m->files[j].name))
				continue;
			if (r->count == room) {
				room = room == 0 ? 64 : 2 * room;
				r->files = cw_reallocarray(
				    r->files, room, sizeof(*r->files));
			}
			f = &r->files[r->count++];
			*f = (struct cw_repair_file){.medium = medium,
			    .file = &m->files[j],
			    .is_holder =
				cw_set_holder(r->set, &m->files[j]) == medium};
			(void)snprintf(
			    f->name, sizeof(f->name), "%s", f->file->name);
		}
	}
	r->scrubs = cw_calloc(r->count + 1, sizeof(*r->scrubs));
	for (size_t i = 0; i < r->count; i++)
		r->files[i].scrub = &r->scrubs[i];
}

/* The digests of all media, for the reading threads. */
struct reading {
	struct cw_repair *r;
	struct cw_blocks **blocks;
};

static bool
is_block_good(void *arg, const struct cw_scrub_file *file, uint64_t block,
    const uint8_t xxh[CW_XXH_SIZE])
{
	const struct reading *reading = arg;
	const struct cw_repair_file *f = file->tag;

	return cw_blocks_is_good(
	    reading->blocks[f->medium - reading->r->set->media], f->file->name,
	    block, xxh);
}

/* Tells what was found to those who rebuild. */
static void
judge(struct cw_repair *r, struct cw_repair_file *f)
{
	const struct cw_scrub_file *s = f->scrub;

	f->is_good = s->state == CW_SCRUB_READ && !s->is_prefix &&
		     memcmp(s->sha256, f->file->sha256, CW_SHA256_SIZE) == 0;
	/* Of a medium that is here twice the other copy is what is read. */
	if (f->is_good || !f->is_holder)
		return;
	for (size_t i = 0; i < s->bad_count; i++)
		cw_recover_bad(r->recover, f->file->medium, f->file->name,
		    s->bad[i].offset, s->bad[i].length);
	if (s->bad_count == 0 && s->found <= f->file->size)
		cw_recover_bad(
		    r->recover, f->file->medium, f->file->name, 0, UINT64_MAX);
}

/* Puts those that are still to be read in front; returns how many. */
static size_t
list_unread(struct cw_repair *r, uint64_t *bytes)
{
	size_t count = 0;

	for (size_t i = 0; i < r->count; i++) {
		struct cw_repair_file *f = &r->files[i];

		f->is_good = f->is_done ||
			     (f->is_holder &&
				 cw_recover_is_good(r->recover, f->file->name));
		if (f->is_good)
			continue;
		*bytes += f->file->size;
		r->scrubs[count] =
		    (struct cw_scrub_file){.dirfd = f->medium->dirfd,
			.name = f->name,
			.size = f->file->size,
			.tag = f};
		f->scrub = &r->scrubs[count++];
	}
	return count;
}

static int
read_all(struct cw_repair *r, struct cw_error *err)
{
	struct reading reading = {.r = r};
	struct cw_scrub_options o = {.threads = r->options->threads,
	    .progress = r->options->progress,
	    .arg = &reading,
	    .is_good = is_block_good};
	uint64_t bytes = 0;
	int ret = 0;

	reading.blocks = cw_calloc(r->set->count, sizeof(struct cw_blocks *));
	for (size_t i = 0; i < r->set->count && ret == 0; i++)
		ret = cw_blocks_open(r->set, i, &reading.blocks[i], err);
	r->scrub_count = list_unread(r, &bytes);
	cw_progress_start(
	    r->options->progress, "checking", bytes, r->scrub_count);
	if (ret == 0)
		ret = cw_scrub(r->scrubs, r->scrub_count, &o, err);
	for (size_t i = 0; i < r->set->count; i++)
		cw_blocks_free(reading.blocks[i]);
	free(reading.blocks);
	for (size_t i = 0; i < r->count && ret == 0; i++)
		if (!r->files[i].is_good)
			judge(r, &r->files[i]);
	r->result->files = r->count;
	return ret;
}

/* Two repairs of one medium would write over each other. */
static int
lock_media(struct cw_repair *r, struct cw_error *err)
{
	for (size_t i = 0; i < r->set->count && !r->options->is_dry; i++)
		if (flock(r->set->media[i].dirfd, LOCK_EX | LOCK_NB) < 0 &&
		    errno == EWOULDBLOCK)
			return cw_error_set(err, CW_ERR_BUSY,
			    "another process repairs %s",
			    r->set->media[i].path);
	return 0;
}

static int
repair_media(struct cw_repair *r, struct cw_error *err)
{
	cw_progress_start(r->options->progress, "repairing", 0, 0);
	for (size_t i = 0; i < r->count; i++) {
		const struct cw_repair_file *f = &r->files[i];
		size_t medium = (size_t)(f->medium - r->set->media);

		if (!f->is_good && !cw_repair_is_untrusted(r, medium) &&
		    f->file->medium != r->options->medium &&
		    cw_repair_volume(r, f, err) < 0)
			return -1;
	}
	for (size_t i = 0; i < r->set->count; i++) {
		struct cw_repair_medium to = {.number = r->set->media[i].number,
		    .dirfd = r->set->media[i].dirfd,
		    .path = r->set->media[i].path};

		if (cw_repair_is_untrusted(r, i))
			cw_repair_raise(r, CW_REPAIR_UNTRUSTED);
		/* Which is made again elsewhere is left as it is. */
		else if (to.number != 0 && to.number != r->options->medium &&
			 cw_repair_small(r, &to, err) < 0)
			return -1;
	}
	return 0;
}

/* Media that the manifest lists, and nobody has. */
static void
find_absent(struct cw_repair *r)
{
	const struct cw_manifest *m = &r->set->manifest;
	struct cw_repair_result *result = r->result;
	uint32_t last = m->media;
	size_t would_make = r->options->is_dry ? r->options->to_count : 0;

	if (m->file_count > 0 && m->files[m->file_count - 1].medium > last)
		last = m->files[m->file_count - 1].medium;
	for (uint32_t number = 1; number <= last; number++) {
		bool is_here = cw_set_find(r->set, number) != NULL;

		for (size_t i = 0; i < result->made_count; i++)
			is_here = is_here || result->made[i].medium == number;
		if (is_here)
			continue;
		if (would_make > 0 &&
		    (r->options->medium == 0 || r->options->medium == number)) {
			would_make--;
			continue;
		}
		result->absent = cw_reallocarray(result->absent,
		    result->absent_count + 1, sizeof(*result->absent));
		result->absent[result->absent_count++] = number;
	}
}

static int
repair(struct cw_repair *r, struct cw_error *err)
{
	if (lock_media(r, err) < 0 ||
	    cw_recover_new(r->set, &r->recover, err) < 0)
		return -1;
	cw_recover_progress(r->recover, r->options->progress);
	cw_repair_find_manifest(r);
	list_files(r);
	/* What is gone comes first: see cw_repair_missing. */
	cw_progress_start(r->options->progress, "repairing", 0, 0);
	if (!r->options->is_dry &&
	    (cw_repair_missing(r, err) < 0 || cw_repair_make_media(r, err) < 0))
		return -1;
	if (read_all(r, err) < 0 || repair_media(r, err) < 0 ||
	    (r->options->is_dry && cw_repair_make_media(r, err) < 0))
		return -1;
	find_absent(r);
	return 0;
}

int
cw_repair(const char *const *dirs, size_t dir_count,
    const struct cw_repair_options *options, struct cw_repair_result *result,
    struct cw_error *err)
{
	struct cw_repair r = {.options = options, .result = result};
	int64_t from_ns = cw_clock_ns();
	int ret = -1;

	*result = (struct cw_repair_result){.status = CW_REPAIR_OK};
	if (options->medium != 0 && options->to_count != 1)
		return cw_error_set(err, CW_ERR_USAGE,
		    "a medium is made again in one directory: give --to once");
	if (cw_set_open(dirs, dir_count, options->seed, options->signers,
		options->signer_count, &r.set, err) < 0)
		return -1;
	memcpy(result->seed_id, r.set->seed_id, sizeof(result->seed_id));
	memcpy(result->seed_text, r.set->seed_text, sizeof(result->seed_text));
	result->signer = r.set->signer.key;
	result->parity_k = r.set->manifest.parity_k;
	result->parity_m = r.set->manifest.parity_m;
	result->survive_media = r.set->manifest.survive_media;
	if (!r.set->is_trusted) {
		/* Nothing is read or written by the word of a stranger. */
		cw_repair_raise(&r, CW_REPAIR_UNTRUSTED);
		ret = 0;
	} else {
		ret = repair(&r, err);
	}
	if (ret == 0)
		cw_repair_conclude(&r);
	result->seconds = cw_clock_since(from_ns);
	cw_scrub_free(r.scrubs, r.scrub_count);
	cw_recover_free(r.recover);
	cw_buf_free(&r.manifest);
	cw_buf_free(&r.signature);
	free(r.scrubs);
	free(r.files);
	cw_set_free(r.set);
	return ret;
}
