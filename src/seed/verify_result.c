#include "seed/verify_result.h"

#include "base/buf.h"
#include "media/blocks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
cw_verify_raise(struct cw_verify_result *r, enum cw_verify_status status)
{
	if (status > r->status)
		r->status = status;
}

static void
tally(struct cw_verify_result *r, const struct cw_verify_damage *d)
{
	const struct cw_verify_damage *last =
	    r->damaged_count == 0 ? NULL : &r->damaged[r->damaged_count - 1];
	struct cw_verify_tally *t = &r->tallies[d->status];

	if (d->is_extra || !cw_blocks_has_file(d->file))
		return;
	if (last == NULL || last->medium != d->medium ||
	    strcmp(last->file, d->file) != 0)
		t->files++;
	t->blocks += cw_blocks_count(d->length);
}

/* reason is taken over. */
static void
keep(struct cw_verify_result *r, const char *file,
    const struct cw_verify_damage *damage, char *reason)
{
	struct cw_verify_damage d = *damage;

	d.reason = reason;
	snprintf(d.file, sizeof(d.file), "%s", file);
	cw_verify_raise(r, d.status);
	tally(r, &d);
	if (r->damaged_count >= CW_VERIFY_DAMAGE_MAX) {
		r->damaged_more++;
		free(reason);
		return;
	}
	/* Doubles with each power of two. */
	if ((r->damaged_count & (r->damaged_count - 1)) == 0)
		r->damaged = cw_reallocarray(r->damaged,
		    r->damaged_count == 0 ? 1 : 2 * r->damaged_count,
		    sizeof(*r->damaged));
	r->damaged[r->damaged_count++] = d;
}

void
cw_verify_add_damage(struct cw_verify_result *r, uint32_t medium,
    const char *file, uint64_t offset, uint64_t length,
    enum cw_verify_status status, char *reason)
{
	keep(r, file,
	    &(struct cw_verify_damage){
		.medium = medium,
		.offset = offset,
		.length = length,
		.status = status,
	    },
	    reason);
}

void
cw_verify_add_extra(struct cw_verify_result *r, uint32_t medium,
    const char *file, uint64_t size, char *reason)
{
	keep(r, file,
	    &(struct cw_verify_damage){
		.medium = medium,
		.length = size,
		.status = CW_VERIFY_DAMAGED,
		.is_extra = true,
	    },
	    reason);
}

void
cw_verify_add_missing(struct cw_verify_result *r, uint32_t medium,
    const char *file, bool is_medium_absent, bool is_repairable)
{
	struct cw_verify_missing *m;

	/* Doubles with each power of two: a medium may hold many. */
	if ((r->missing_count & (r->missing_count - 1)) == 0)
		r->missing = cw_reallocarray(r->missing,
		    r->missing_count == 0 ? 1 : 2 * r->missing_count,
		    sizeof(*r->missing));
	m = &r->missing[r->missing_count++];
	*m = (struct cw_verify_missing){
	    .medium = medium,
	    .is_medium_absent = is_medium_absent,
	    .is_repairable = is_repairable,
	};
	snprintf(m->file, sizeof(m->file), "%s", file);
	cw_verify_raise(
	    r, is_repairable ? CW_VERIFY_REPAIRABLE : CW_VERIFY_DAMAGED);
}

void
cw_verify_add_remark(struct cw_verify_result *r, char *text)
{
	r->remarks = cw_reallocarray(
	    r->remarks, r->remark_count + 1, sizeof(*r->remarks));
	r->remarks[r->remark_count++] = text;
}

void
cw_verify_free(struct cw_verify_result *r)
{
	for (size_t i = 0; i < r->damaged_count; i++)
		free(r->damaged[i].reason);
	for (size_t i = 0; i < r->remark_count; i++)
		free(r->remarks[i]);
	for (size_t i = 0; r->present != NULL && i < r->media_present; i++)
		free(r->present[i].path);
	free(r->present);
	free(r->damaged);
	free(r->missing);
	free(r->remarks);
	free(r->absent);
	*r = (struct cw_verify_result){.status = CW_VERIFY_OK};
}

const char *
cw_verify_status_name(enum cw_verify_status status)
{
	static const char *const names[] = {
	    [CW_VERIFY_OK] = "ok",
	    [CW_VERIFY_REPAIRABLE] = "repairable",
	    [CW_VERIFY_DAMAGED] = "damaged",
	    [CW_VERIFY_UNTRUSTED] = "untrusted",
	};

	return names[status];
}
