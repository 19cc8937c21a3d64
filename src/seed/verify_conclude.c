#include "base/buf.h"
#include "seed/verify_result.h"

#include <stdlib.h>
#include <string.h>

#define NAMED_MAX 8u   /* media named in a message */
#define DIRS_MAX  200u /* characters of directories in a command to type */

/* What is wrong, of one weight. */
struct found {
	const struct cw_verify_damage *damage;	 /* the first, or NULL */
	const struct cw_verify_missing *missing; /* the first, or NULL */
	uint64_t damages;			 /* places */
	uint64_t extras;			 /* of these, no part of it */
	uint64_t missings; /* files of media that are here */
	bool is_content;   /* some of it holds mail, or its catalog */
};

static const char *
plural(uint64_t count)
{
	return count == 1 ? "" : "s";
}

static bool
is_content(const char *file)
{
	return strstr(file, ".age") != NULL;
}

static void
find(const struct cw_verify_result *r, enum cw_verify_status status,
    struct found *f)
{
	*f = (struct found){.damage = NULL};
	for (size_t i = 0; i < r->damaged_count; i++) {
		const struct cw_verify_damage *d = &r->damaged[i];

		if (d->status != status)
			continue;
		/* What is damaged goes before what should not be there. */
		if (f->damage == NULL || (f->damage->is_extra && !d->is_extra))
			f->damage = d;
		f->damages++;
		f->extras += d->is_extra;
		f->is_content =
		    f->is_content || (!d->is_extra && is_content(d->file));
	}
	for (size_t i = 0; i < r->missing_count; i++) {
		const struct cw_verify_missing *m = &r->missing[i];

		if (m->is_medium_absent ||
		    m->is_repairable != (status == CW_VERIFY_REPAIRABLE))
			continue;
		if (f->missing == NULL)
			f->missing = m;
		f->missings++;
		f->is_content = f->is_content || is_content(m->file);
	}
}

/* "medium 2 (CAUSEWAY-02)" */
static void
name_medium(const struct cw_verify_result *r, const struct cw_set *set,
    uint32_t number, struct cw_buf *text)
{
	const struct cw_medium *is = cw_manifest_medium(&set->manifest, number);
	const char *label = is == NULL ? "" : is->label;

	for (uint32_t i = 0; i < r->media_present && label[0] == '\0'; i++)
		if (r->present[i].number == number)
			label = r->present[i].label;
	cw_buf_printf(text, "%u", number);
	if (label[0] != '\0')
		cw_buf_printf(text, " (%s)", label);
}

/* " on medium 1 (A), 3 (B)": where the damage of a weight is. */
static void
say_where(const struct cw_verify_result *r, const struct cw_set *set,
    enum cw_verify_status status, struct cw_buf *text)
{
	uint32_t named[NAMED_MAX], count = 0;

	for (size_t i = 0; i < r->damaged_count && count < NAMED_MAX; i++) {
		bool is_named =
		    r->damaged[i].status != status || r->damaged[i].medium == 0;

		for (uint32_t j = 0; j < count && !is_named; j++)
			is_named = named[j] == r->damaged[i].medium;
		if (is_named)
			continue;
		cw_buf_text(text, count == 0 ? " on medium " : ", ");
		named[count++] = r->damaged[i].medium;
		name_medium(r, set, r->damaged[i].medium, text);
	}
}

/* "5 damaged blocks of 64 KiB in 3 files on medium 1 (DISK)" */
static void
say_damage(const struct cw_verify_result *r, const struct cw_set *set,
    const struct found *f, enum cw_verify_status status, struct cw_buf *text)
{
	const struct cw_verify_tally *t = &r->tallies[status];
	uint64_t count = t->files > 0 ? t->files : f->damages - f->extras;

	if (count == 0) { /* nothing is damaged, something is there too much */
		cw_buf_printf(text, "%llu file%s no part of it (%s)",
		    (unsigned long long)f->extras,
		    f->extras == 1 ? " is" : "s are", f->damage->reason);
		return;
	}
	if (t->files > 0)
		cw_buf_printf(text,
		    "%llu damaged block%s of 64 KiB in %llu file%s",
		    (unsigned long long)t->blocks, plural(t->blocks),
		    (unsigned long long)count, plural(count));
	else
		cw_buf_printf(text, "%llu damaged place%s",
		    (unsigned long long)count, plural(count));
	say_where(r, set, status, text);
	if (status == CW_VERIFY_DAMAGED)
		cw_buf_text(text, ", beyond repair");
	/* Blocks are listed; of a place one has to be told what it is. */
	if (t->files == 0)
		cw_buf_printf(text, " (%s)", f->damage->reason);
}

/* What is damaged, and which files are missing. */
static void
say_found(const struct cw_verify_result *r, const struct cw_set *set,
    const struct found *f, enum cw_verify_status status, struct cw_buf *text)
{
	const char *beyond =
	    status == CW_VERIFY_DAMAGED ? " beyond repair" : "";

	if (f->damage != NULL)
		say_damage(r, set, f, status, text);
	if (f->missing != NULL) {
		cw_buf_printf(text, "%s%llu file%s missing%s (medium ",
		    text->len == 0 ? "" : "; ", (unsigned long long)f->missings,
		    f->missings == 1 ? " is" : "s are", beyond);
		name_medium(r, set, f->missing->medium, text);
		cw_buf_printf(text, ": %s)", f->missing->file);
	}
}

static void
say_absent(const struct cw_verify_result *r, const struct cw_set *set,
    struct cw_buf *text)
{
	cw_buf_text(text, r->absent_count == 1 ? "medium " : "media ");
	for (size_t i = 0; i < r->absent_count && i < NAMED_MAX; i++) {
		cw_buf_text(text, i == 0 ? "" : ", ");
		name_medium(r, set, r->absent[i], text);
	}
	if (r->absent_count > NAMED_MAX)
		cw_buf_text(text, ", ...");
}

/* The directories as they were typed, if they are not too many. */
static void
say_dirs(const struct cw_verify_asked *asked, struct cw_buf *text)
{
	size_t len = 0;
	bool is_plain = true;

	for (size_t i = 0; i < asked->dir_count; i++) {
		len += strlen(asked->dirs[i]) + 1;
		is_plain =
		    is_plain && strpbrk(asked->dirs[i],
				    " \t\n'\"\\$&|;<>()*?[]`~#!{}") == NULL;
	}
	if (len > DIRS_MAX || !is_plain) {
		cw_buf_text(text, " DIR...");
		return;
	}
	for (size_t i = 0; i < asked->dir_count; i++)
		cw_buf_printf(text, " %s", asked->dirs[i]);
}

static void
conclude_untrusted(struct cw_verify_result *r, const struct cw_set *set,
    const struct cw_verify_asked *asked)
{
	/* Where a medium's second copy, or another medium, is as it was signed.
	 */
	const char *hint =
	    r->is_trusted
		? "the seed's own manifest is here as it was signed, and "
		  "`causeway receive` goes by that one. Find out who or what "
		  "changed this file; where its second copy in copy/ is not "
		  "named here, that one is good: put it in its place"
		: "do not receive it; if you expected this signer, pair with "
		  "its card or give --signer with its minisign.pub";
	char words[CW_CARD_WORDS_SIZE];

	for (size_t i = 0; i < set->fault_count && asked->has_signers; i++) {
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
conclude_damaged(struct cw_verify_result *r, const struct cw_set *set)
{
	struct cw_buf text = CW_BUF_INIT;
	struct found f;

	find(r, CW_VERIFY_DAMAGED, &f);
	say_found(r, set, &f, CW_VERIFY_DAMAGED, &text);
	if (f.is_content)
		cw_buf_text(&text,
		    ". Receive it all the same: `causeway receive` takes what "
		    "is good and says what lacks; or have the seed written "
		    "again");
	else if (f.damages > f.extras && f.missings == 0)
		cw_buf_text(&text, ". No mail and no volume is touched by it");
	if (r->is_final && r->absent_count > 0) {
		cw_buf_printf(&text,
		    "%snot all of the seed is here: also give the %s of ",
		    text.len == 0 ? "" : ". And ",
		    r->absent_count == 1 ? "directory" : "directories");
		say_absent(r, set, &text);
	}
	cw_error_set(&r->error,
	    f.damage != NULL ? CW_ERR_DAMAGED : CW_ERR_MISSING, "seed %s: %s",
	    r->seed_text, cw_buf_string(&text));
	cw_buf_free(&text);
}

static void
conclude_repairable(struct cw_verify_result *r, const struct cw_set *set,
    const struct cw_verify_asked *asked)
{
	struct cw_buf text = CW_BUF_INIT;
	struct found f;

	find(r, CW_VERIFY_REPAIRABLE, &f);
	say_found(r, set, &f, CW_VERIFY_REPAIRABLE, &text);
	if (r->is_final && r->absent_count > 0) {
		cw_buf_printf(&text, "%snot here: ", text.len == 0 ? "" : "; ");
		say_absent(r, set, &text);
	}
	if (text.len == 0) /* a fault that is told nowhere else */
		cw_buf_text(&text, "a second copy is not good");
	cw_buf_text(&text, r->is_final && r->absent_count > 0
			       ? ". Bring what is not here, or make it again: "
				 "`causeway repair"
			       : ". Repair it: `causeway repair");
	say_dirs(asked, &text);
	cw_buf_text(
	    &text, r->is_final && r->absent_count > 0 ? " --to DIR`" : "`");
	cw_error_set(&r->error, CW_ERR_REPAIRABLE,
	    "seed %s is not whole, but nothing is lost: %s", r->seed_text,
	    cw_buf_string(&text));
	cw_buf_free(&text);
}

void
cw_verify_conclude(struct cw_verify_result *r, const struct cw_set *set,
    const struct cw_verify_asked *asked)
{
	switch (r->status) {
	case CW_VERIFY_OK:
		break;
	case CW_VERIFY_REPAIRABLE:
		conclude_repairable(r, set, asked);
		break;
	case CW_VERIFY_DAMAGED:
		conclude_damaged(r, set);
		break;
	case CW_VERIFY_UNTRUSTED:
		conclude_untrusted(r, set, asked);
		break;
	}
}
