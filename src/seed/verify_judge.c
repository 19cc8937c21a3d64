#include "base/buf.h"
#include "seed/verify_impl.h"
#include "seed/verify_result.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

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

/* ---- one file ---- */

static bool
is_as_signed(const struct cw_verify_item *item, const struct cw_scrub_file *f)
{
	return memcmp(f->sha256, item->file->sha256, CW_SHA256_SIZE) == 0;
}

/* Of a file whose SHA-256 differs; has_sum: CHECKSUMS says it is good. */
static const char *
why_not_signed(const struct cw_verify_work *v,
    const struct cw_verify_item *item, const struct cw_scrub_file *f,
    bool has_sum)
{
	bool has_blocks =
	    item->has_blocks && cw_blocks_has(v->blocks[item->medium]);

	if (has_sum || (has_blocks && f->bad_count == 0))
		return ", but its checksums do not: somebody did that on "
		       "purpose";
	return "";
}

char *
cw_verify_find_fault(const struct cw_verify_work *v,
    const struct cw_verify_item *item, const struct cw_scrub_file *f)
{
	const struct cw_set_medium *medium = &v->set->media[item->medium];
	const struct cw_checksum *sum = NULL;
	bool is_xxh_good;

	switch (f->state) {
	case CW_SCRUB_PENDING:
	case CW_SCRUB_MISSING:
		return NULL;
	case CW_SCRUB_STRANGE:
		return cw_asprintf(
		    "%s/%s is not a regular file", medium->path, item->name);
	case CW_SCRUB_SIZE:
		return cw_asprintf("%s/%s is %llu bytes, expected %llu",
		    medium->path, item->name, (unsigned long long)f->found,
		    (unsigned long long)f->size);
	case CW_SCRUB_UNREADABLE:
		return cw_asprintf("%s/%s can't be read: %s", medium->path,
		    item->name,
		    strerrordesc_np(f->os_error) == NULL
			? "unknown error"
			: strerrordesc_np(f->os_error));
	case CW_SCRUB_READ:
		break;
	}
	if (item->is_quick || item->was_before)
		return NULL;
	if (medium->has_checksums)
		sum = cw_checksums_find(&medium->checksums, item->file->name);
	is_xxh_good = sum == NULL || memcmp(sum->xxh, f->xxh, CW_XXH_SIZE) == 0;
	if (!is_as_signed(item, f))
		return cw_asprintf(
		    "%s/%s is not what was signed: its SHA-256 differs%s",
		    medium->path, item->name,
		    why_not_signed(v, item, f, sum != NULL && is_xxh_good));
	if (!is_xxh_good)
		return cw_asprintf("%s/%s is what was signed, but CHECKSUMS "
				   "says otherwise",
		    medium->path, item->name);
	return NULL;
}

/*
 * Calls what for each bad range of a faulty file: those known, or else all of
 * it.  Of a file that is too long and good up to there, nothing is bad but
 * what is behind.
 */
static void
each_range(const struct cw_verify_item *item, const struct cw_scrub_file *f,
    void (*what)(void *arg, uint64_t offset, uint64_t length), void *arg)
{
	bool is_good_so_far =
	    f->state == CW_SCRUB_SIZE && f->found > f->size &&
	    (item->is_quick || (f->is_prefix && is_as_signed(item, f)));

	for (size_t i = 0; i < f->bad_count && !is_good_so_far; i++)
		what(arg, f->bad[i].offset, f->bad[i].length);
	if (is_good_so_far)
		what(arg, f->size, f->found - f->size);
	else if (f->bad_count == 0)
		what(arg, 0, f->size);
}

/* ---- what is bad of volumes and shards ---- */

struct marking {
	struct cw_verify_work *v;
	const struct cw_verify_item *item;
};

static void
mark(void *arg, uint64_t offset, uint64_t length)
{
	const struct marking *m = arg;
	const struct cw_manifest_file *file = m->item->file;

	cw_recover_bad(m->v->recover, file->medium, file->name, offset,
	    offset == 0 && length == file->size ? UINT64_MAX : length);
}

/* Finds what is good, and tells recover what is bad. */
static void
mark_all(struct cw_verify_work *v)
{
	for (size_t i = 0; i < v->count; i++) {
		struct cw_verify_item *item = &v->items[i];
		const struct cw_scrub_file *f = &v->files[i];
		char *reason = cw_verify_find_fault(v, item, f);

		item->is_good = reason == NULL && f->state == CW_SCRUB_READ;
		/* Of a medium that is here twice, what is read counts. */
		if (item->has_blocks && !item->is_good &&
		    cw_set_holder(v->set, item->file) ==
			&v->set->media[item->medium]) {
			struct marking m = {v, item};

			if (f->state == CW_SCRUB_MISSING)
				mark(&m, 0, item->file->size);
			else
				each_range(item, f, mark, &m);
		}
		free(reason);
	}
}

/* ---- what can be mended ---- */

/* Whether a good file like that is anywhere on the media that are here. */
static bool
has_like(const struct cw_verify_work *v, const uint8_t sha256[CW_SHA256_SIZE],
    const char *name)
{
	for (size_t i = 0; i < v->count; i++)
		if (v->items[i].is_good &&
		    strcmp(v->items[i].file->name, name) == 0 &&
		    memcmp(v->items[i].file->sha256, sha256, CW_SHA256_SIZE) ==
			0)
			return true;
	return false;
}

/* The catalog that a medium lists, or the one that governs in its place. */
static bool
can_mend_catalog(
    const struct cw_verify_work *v, const struct cw_manifest_file *file)
{
	const struct cw_manifest *m = &v->set->manifest;

	return has_like(v, file->sha256, CW_SET_CATALOG) ||
	       (m->has_catalog && has_like(v, m->catalog, CW_SET_CATALOG));
}

static bool can_mend(
    struct cw_verify_work *v, uint32_t medium, const char *name);

/* CHECKSUMS and CHECKSUMS.blocks follow from what they are of. */
static bool
can_compute(struct cw_verify_work *v, uint32_t medium)
{
	const struct cw_manifest *m = &v->set->manifest;

	for (size_t i = 0; i < m->file_count; i++) {
		const struct cw_manifest_file *file = &m->files[i];

		if (file->medium == medium && cw_blocks_has_file(file->name) &&
		    !cw_recover_can(v->recover, file->name))
			return false;
	}
	return true;
}

/*
 * Whether a file of a medium can be made again: volumes and shards by parity,
 * the rest from other media and from the manifest.
 */
static bool
can_mend(struct cw_verify_work *v, uint32_t medium, const char *name)
{
	const struct cw_manifest *m = &v->set->manifest;
	const size_t copy_len = strlen(CW_SET_COPY "/");
	const struct cw_manifest_file *file;

	if (strncmp(name, CW_SET_COPY "/", copy_len) == 0)
		name += copy_len;
	file = cw_manifest_find(m, medium, name);
	if (file == NULL)
		return false;
	if (cw_blocks_has_file(name))
		return cw_recover_can(v->recover, name);
	if (strcmp(name, CW_SET_MEDIUM) == 0)
		return cw_manifest_medium(m, medium) != NULL;
	if (strcmp(name, CW_SET_CATALOG) == 0)
		return can_mend_catalog(v, file);
	if (strcmp(name, CW_SET_BLOCKS) == 0 ||
	    strcmp(name, CW_SET_CHECKSUMS) == 0)
		return can_compute(v, medium);
	return false;
}

/* ---- what it comes to ---- */

struct adding {
	struct cw_verify_work *v;
	const struct cw_verify_item *item;
	enum cw_verify_status status;
	const char *reason;
};

static void
add(void *arg, uint64_t offset, uint64_t length)
{
	const struct adding *a = arg;

	cw_verify_add_damage(a->v->result,
	    a->v->set->media[a->item->medium].number, a->item->name, offset,
	    length, a->status, cw_strdup(a->reason));
}

/* What the scrub of a file means, given that of its other copy. */
static void
judge(struct cw_verify_work *v, size_t i)
{
	struct cw_verify_item *item = &v->items[i];
	const struct cw_scrub_file *f = &v->files[i];
	uint32_t number = v->set->media[item->medium].number;
	bool can;
	char *reason;

	if (item->is_good || f->state == CW_SCRUB_PENDING)
		return;
	can = (item->has_copy && v->items[i + 1].is_good) ||
	      (item->is_copy && v->items[i - 1].is_good) ||
	      can_mend(v, number, item->name) ||
	      has_like(v, item->file->sha256, item->file->name);
	if (f->state == CW_SCRUB_MISSING) {
		cw_verify_add_missing(
		    v->result, number, item->name, false, can);
		return;
	}
	reason = cw_verify_find_fault(v, item, f);
	each_range(item, f, add,
	    &(struct adding){
		.v = v,
		.item = item,
		.status = can ? CW_VERIFY_REPAIRABLE : CW_VERIFY_DAMAGED,
		.reason = reason,
	    });
	free(reason);
}

/* Counts what was read. */
static void
count(struct cw_verify_work *v, size_t i)
{
	const struct cw_verify_item *item = &v->items[i];
	const struct cw_scrub_file *f = &v->files[i];
	struct cw_verify_medium *medium = &v->result->present[item->medium];

	if (item->has_blocks && f->state != CW_SCRUB_MISSING) {
		if (is_volume(item->name))
			v->result->volumes++;
		else
			v->result->shards++;
	}
	if (item->is_quick || f->state == CW_SCRUB_MISSING)
		return;
	medium->files++;
	if (f->state != CW_SCRUB_READ && f->state != CW_SCRUB_UNREADABLE)
		return;
	medium->bytes += f->found;
	v->result->bytes += f->found;
	if (item->was_before)
		v->result->bytes_before += f->found;
}

/* What cw_set_open found wrong with the files it read. */
static void
take_faults(struct cw_verify_work *v)
{
	static const enum cw_verify_status statuses[] = {
	    [CW_SET_REPAIRABLE] = CW_VERIFY_REPAIRABLE,
	    [CW_SET_DAMAGED] = CW_VERIFY_DAMAGED,
	    [CW_SET_UNTRUSTED] = CW_VERIFY_UNTRUSTED,
	};

	for (size_t i = 0; i < v->set->fault_count; i++) {
		const struct cw_set_fault *f = &v->set->faults[i];
		uint32_t number = v->set->media[f->medium].number;
		enum cw_verify_status status = statuses[f->kind];

		if (status == CW_VERIFY_DAMAGED && can_mend(v, number, f->file))
			status = CW_VERIFY_REPAIRABLE;
		if (f->is_missing)
			cw_verify_add_missing(v->result, number, f->file, false,
			    status == CW_VERIFY_REPAIRABLE);
		else
			cw_verify_add_damage(v->result, number, f->file, 0,
			    f->size, status, cw_strdup(f->message));
		cw_verify_raise(v->result, status);
	}
}

static void
add_absent(struct cw_verify_result *r, uint32_t number)
{
	r->absent =
	    cw_reallocarray(r->absent, r->absent_count + 1, sizeof(*r->absent));
	r->absent[r->absent_count++] = number;
}

/*
 * The media of the set that were not given, and their files.  While the seed
 * goes on, nobody expects them to be here.
 */
static void
find_absent(struct cw_verify_work *v)
{
	const struct cw_manifest *m = &v->set->manifest;
	uint32_t last = 0;

	for (size_t i = 0; i < m->file_count; i++) {
		const struct cw_manifest_file *file = &m->files[i];

		/* In order of medium.  A number without files is of none. */
		if (file->medium != last &&
		    cw_set_find(v->set, file->medium) == NULL)
			add_absent(v->result, file->medium);
		last = file->medium;
		if (m->is_final && cw_set_find(v->set, file->medium) == NULL)
			cw_verify_add_missing(v->result, file->medium,
			    file->name, true,
			    can_mend(v, file->medium, file->name));
	}
	if (m->is_final && v->result->absent_count > 0)
		cw_verify_raise(v->result, CW_VERIFY_REPAIRABLE);
	if (!m->is_final)
		cw_verify_add_remark(v->result,
		    cw_asprintf("the seed goes on: this is what it held when "
				"%s closed, and only its final manifest "
				"tells whether that is all",
			v->set->count == 1 ? "this medium was"
					   : "these media were"));
}

void
cw_verify_judge(struct cw_verify_work *v)
{
	mark_all(v);
	for (size_t i = 0; i < v->count; i++) {
		judge(v, i);
		count(v, i);
	}
	take_faults(v);
	find_absent(v);
}
