#include "seed/verify_result.h"

#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ABSENT_MAX 8u /* numbers named in a message */

void
cw_verify_raise(struct cw_verify_result *r, enum cw_verify_status status)
{
	if (status > r->status)
		r->status = status;
}

void
cw_verify_add_damage(struct cw_verify_result *r, uint32_t medium,
    const char *file, uint64_t offset, uint64_t length,
    enum cw_verify_status status, char *reason)
{
	struct cw_verify_damage *d;

	r->damaged = cw_reallocarray(
	    r->damaged, r->damaged_count + 1, sizeof(*r->damaged));
	d = &r->damaged[r->damaged_count++];
	*d = (struct cw_verify_damage){
	    .medium = medium,
	    .offset = offset,
	    .length = length,
	    .status = status,
	    .reason = reason,
	};
	snprintf(d->file, sizeof(d->file), "%s", file);
	cw_verify_raise(r, status);
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

/* The first damage of a weight; *count says how many there are. */
static const struct cw_verify_damage *
first_damage(const struct cw_verify_result *r, enum cw_verify_status status,
    size_t *count)
{
	const struct cw_verify_damage *first = NULL;

	*count = 0;
	for (size_t i = 0; i < r->damaged_count; i++) {
		if (r->damaged[i].status != status)
			continue;
		if (first == NULL)
			first = &r->damaged[i];
		++*count;
	}
	return first;
}

/* Files that are missing from media that are here, and have no copy. */
static const struct cw_verify_missing *
first_missing(const struct cw_verify_result *r, size_t *count)
{
	const struct cw_verify_missing *first = NULL;

	*count = 0;
	for (size_t i = 0; i < r->missing_count; i++) {
		if (r->missing[i].is_medium_absent ||
		    r->missing[i].is_repairable)
			continue;
		if (first == NULL)
			first = &r->missing[i];
		++*count;
	}
	return first;
}

static const char *
plural(size_t count)
{
	return count == 1 ? "" : "s";
}

static void
conclude_untrusted(
    struct cw_verify_result *r, const struct cw_set *set, bool has_signers)
{
	const char *hint =
	    "do not receive it; if you expected this signer, pair with its "
	    "card or give --signer with its minisign.pub";
	char words[CW_CARD_WORDS_SIZE];

	for (size_t i = 0; i < set->fault_count && has_signers; i++) {
		if (set->faults[i].kind != CW_SET_UNTRUSTED)
			continue;
		cw_error_set(&r->error, CW_ERR_UNTRUSTED, "%s; %s",
		    set->faults[i].message, hint);
		return;
	}
	cw_card_fingerprint_words(r->signer, words);
	cw_error_set(&r->error, CW_ERR_UNTRUSTED,
	    "seed %s says it was signed with minisign key %s, and nobody has "
	    "said to trust that: give --signer with the active site's "
	    "minisign.pub, or pair with its card; the site's fingerprint, as "
	    "the seed claims it, is: %s",
	    r->seed_text, r->key_id[0] == '\0' ? "(none)" : r->key_id, words);
}

static void
absent_media(const struct cw_verify_result *r, struct cw_buf *text)
{
	for (size_t i = 0; i < r->absent_count && i < ABSENT_MAX; i++)
		cw_buf_printf(text, "%s%u", i == 0 ? "" : ", ", r->absent[i]);
	if (r->absent_count > ABSENT_MAX)
		cw_buf_text(text, ", ...");
}

/* Whether a file holds mail or its catalog; NULL does not. */
static bool
is_content(const char *file)
{
	return file != NULL && strstr(file, ".age") != NULL;
}

static void
conclude_damaged(struct cw_verify_result *r)
{
	const struct cw_verify_damage *damage;
	const struct cw_verify_missing *missing;
	struct cw_buf text = CW_BUF_INIT;
	size_t damaged_count, missing_count;

	damage = first_damage(r, CW_VERIFY_DAMAGED, &damaged_count);
	missing = first_missing(r, &missing_count);
	if (damage != NULL)
		cw_buf_printf(&text, "%zu place%s damaged beyond repair (%s)",
		    damaged_count, plural(damaged_count), damage->reason);
	if (missing != NULL)
		cw_buf_printf(&text, "%s%zu file%s missing (medium %u: %s)",
		    text.len == 0 ? "" : "; ", missing_count,
		    plural(missing_count), missing->medium, missing->file);
	if (is_content(damage == NULL ? NULL : damage->file) ||
	    is_content(missing == NULL ? NULL : missing->file))
		cw_buf_text(&text,
		    "; `causeway receive` takes what is good and says what "
		    "is wanting; or have the seed written again");
	if (r->absent_count > 0) {
		cw_buf_printf(&text,
		    "%snot all of the seed is here: also "
		    "give the directory of medium ",
		    text.len == 0 ? "" : "; ");
		absent_media(r, &text);
	} else if (!r->is_final) {
		cw_buf_printf(&text,
		    "%sthe manifest here is not the seed's last one: also "
		    "give the directory of its last medium, or finish the "
		    "seed at the active site",
		    text.len == 0 ? "" : "; ");
	}
	cw_error_set(&r->error,
	    damage != NULL ? CW_ERR_DAMAGED : CW_ERR_MISSING, "seed %s: %s",
	    r->seed_text, cw_buf_string(&text));
	cw_buf_free(&text);
}

static void
conclude_repairable(struct cw_verify_result *r, const struct cw_set *set)
{
	const struct cw_verify_damage *damage;
	const char *reason = "a second copy is missing";
	size_t count;

	damage = first_damage(r, CW_VERIFY_REPAIRABLE, &count);
	if (damage != NULL)
		reason = damage->reason;
	for (size_t i = 0; i < set->fault_count && damage == NULL; i++)
		if (set->faults[i].kind == CW_SET_REPAIRABLE) {
			reason = set->faults[i].message;
			break;
		}
	cw_error_set(&r->error, CW_ERR_REPAIRABLE,
	    "seed %s is whole, but not every file of it is good: %s; copy the "
	    "good one of NAME and copy/NAME over the other",
	    r->seed_text, reason);
}

void
cw_verify_conclude(
    struct cw_verify_result *r, const struct cw_set *set, bool has_signers)
{
	switch (r->status) {
	case CW_VERIFY_OK:
		break;
	case CW_VERIFY_REPAIRABLE:
		conclude_repairable(r, set);
		break;
	case CW_VERIFY_DAMAGED:
		conclude_damaged(r);
		break;
	case CW_VERIFY_UNTRUSTED:
		conclude_untrusted(r, set, has_signers);
		break;
	}
}
