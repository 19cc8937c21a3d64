#include "cli/verify_report.h"

#include "base/text.h"
#include "cli/output.h"

#include <stdio.h>
#include <string.h>

#define SHOWN_MAX 20u /* lines about damage, for people */

/* What is wrong, file by file. */
static void
say_damage(struct cw_cli *cli, const struct cw_verify_result *r)
{
	unsigned shown = 0;
	uint64_t more = r->damaged_more;

	for (size_t i = 0; i < r->damaged_count; i++) {
		const struct cw_verify_damage *d = &r->damaged[i];

		if (shown++ >= SHOWN_MAX)
			more++;
		else
			cw_cli_say(cli, "  %s: %s (%llu bytes at offset %llu)",
			    cw_verify_status_name(d->status), d->reason,
			    (unsigned long long)d->length,
			    (unsigned long long)d->offset);
	}
	for (size_t i = 0; i < r->missing_count; i++) {
		const struct cw_verify_missing *m = &r->missing[i];

		if (m->is_medium_absent)
			continue; /* the medium is named, not each file */
		if (shown++ >= SHOWN_MAX)
			more++;
		else
			cw_cli_say(cli, "  missing: %s of medium %u%s", m->file,
			    m->medium,
			    m->is_repairable ? " (it can be had back)" : "");
	}
	if (more > 0)
		cw_cli_say(cli, "  and %llu more: see --json",
		    (unsigned long long)more);
	for (size_t i = 0; i < r->remark_count && i < SHOWN_MAX; i++)
		cw_cli_say(cli, "  note: %s", r->remarks[i]);
}

/* Which media of the set they were. */
static void
say_media(struct cw_cli *cli, const struct cw_verify_result *r)
{
	for (uint32_t i = 0; i < r->media_present && i < SHOWN_MAX; i++) {
		const struct cw_verify_medium *m = &r->present[i];
		char bytes[CW_TEXT_MAX], of[24] = "";

		if (r->media > 0)
			(void)snprintf(of, sizeof(of), " of %u", r->media);
		cw_text_bytes(m->bytes, bytes);
		cw_cli_say(cli, "  medium %u%s%s%s: %llu file%s, %s", m->number,
		    of, m->label[0] == '\0' ? "" : " ", m->label,
		    (unsigned long long)m->files, m->files == 1 ? "" : "s",
		    bytes);
	}
}

void
cw_verify_say(
    struct cw_cli *cli, const struct cw_verify_result *r, bool is_quick)
{
	char bytes[CW_TEXT_MAX], rate[CW_TEXT_MAX], took[CW_TEXT_MAX];
	char time[CW_TIME_TEXT], count[CW_TEXT_MAX], shards[CW_TEXT_MAX];
	const char *how = "signed by", *who = r->key_id;

	cw_text_count(r->volumes, count);
	cw_text_count(r->shards, shards);
	cw_text_bytes(r->bytes - r->bytes_before, bytes);
	cw_text_seconds(r->seconds, took);
	cw_text_bytes(
	    r->seconds > 0
		? (uint64_t)((double)(r->bytes - r->bytes_before) / r->seconds)
		: 0,
	    rate);
	cw_time_format(r->time, time);
	if (!r->is_trusted)
		how = "said to be signed with key";
	else if (r->signer_name[0] == '\0')
		how = "signed with the trusted key";
	else
		who = r->signer_name;
	cw_cli_say(cli, "Seed %s, generation %llu, of %s, %s %s%s.",
	    r->seed_text, (unsigned long long)r->generation, time, how, who,
	    r->is_trusted ? "" : ", which nobody trusts here");
	if (is_quick)
		cw_cli_say(cli, "Looked at the size%s of %s volume%s (%s).",
		    r->volumes == 1 ? "" : "s", count,
		    r->volumes == 1 ? "" : "s", took);
	else
		cw_cli_say(cli,
		    "Read %s in %s volume%s%s%s%s and the catalog: %s, %s/s.",
		    bytes, count, r->volumes == 1 ? "" : "s",
		    r->shards > 0 ? ", " : "", r->shards > 0 ? shards : "",
		    r->shards == 0   ? ""
		    : r->shards == 1 ? " parity shard"
				     : " parity shards",
		    took, rate);
	say_media(cli, r);
	say_damage(cli, r);
	if (r->status != CW_VERIFY_OK)
		return;
	cw_cli_say(cli, is_quick ? "All files are there; leave out --quick to "
				   "read them."
			: r->is_final
			    ? "All of it is as it was signed."
			    : "All that is here is as it was signed.");
}

/* ---- JSON ---- */

static json_t *
damage_json(const struct cw_verify_damage *d)
{
	return json_pack("{s:o, s:I, s:I, s:I, s:b, s:s, s:o}", "file",
	    cw_cli_json_text(d->file, strlen(d->file)), "offset",
	    (json_int_t)d->offset, "length", (json_int_t)d->length, "medium",
	    (json_int_t)d->medium, "repairable",
	    d->status == CW_VERIFY_REPAIRABLE, "status",
	    cw_verify_status_name(d->status), "reason",
	    cw_cli_json_text(d->reason, strlen(d->reason)));
}

static json_t *
medium_json(const struct cw_verify_medium *m)
{
	return json_pack("{s:I, s:s, s:s, s:o, s:I, s:I}", "medium",
	    (json_int_t)m->number, "label", m->label, "uuid", m->filesystem,
	    "path", cw_cli_json_text(m->path, strlen(m->path)), "files",
	    (json_int_t)m->files, "bytes", (json_int_t)m->bytes);
}

/* The lists of the object. */
static void
add_lists(json_t *object, const struct cw_verify_result *r)
{
	json_t *damaged = json_array(), *missing = json_array();
	json_t *remarks = json_array(), *absent = json_array();
	json_t *media = json_array();

	for (size_t i = 0; i < r->damaged_count; i++)
		json_array_append_new(damaged, damage_json(&r->damaged[i]));
	for (size_t i = 0; i < r->missing_count; i++)
		json_array_append_new(missing, json_string(r->missing[i].file));
	for (size_t i = 0; i < r->absent_count; i++)
		json_array_append_new(
		    absent, json_integer((json_int_t)r->absent[i]));
	for (size_t i = 0; i < r->remark_count; i++)
		json_array_append_new(remarks,
		    cw_cli_json_text(r->remarks[i], strlen(r->remarks[i])));
	for (uint32_t i = 0; i < r->media_present; i++)
		json_array_append_new(media, medium_json(&r->present[i]));
	json_object_set_new(object, "media", media);
	json_object_set_new(object, "damaged", damaged);
	json_object_set_new(object, "missing", missing);
	json_object_set_new(object, "missing_media", absent);
	json_object_set_new(object, "remarks", remarks);
}

json_t *
cw_verify_json(const struct cw_verify_result *r, const char *certificate)
{
	char words[CW_CARD_WORDS_SIZE];
	json_t *object;

	cw_card_fingerprint_words(r->signer, words);
	object = json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:b, s:o, "
			   "s:I, s:I, s:I, s:I, s:I, s:f}",
	    "seed_id", r->seed_text, "signer", words, "signer_name",
	    r->signer_name, "signer_key", r->key_id, "status",
	    cw_verify_status_name(r->status), "generation",
	    (json_int_t)r->generation, "revision", (json_int_t)r->revision,
	    "final", r->is_final, "manifest_sha256",
	    cw_cli_json_hex(r->manifest_sha256, sizeof(r->manifest_sha256)),
	    "volumes", (json_int_t)r->volumes, "parity_shards",
	    (json_int_t)r->shards, "bytes", (json_int_t)r->bytes,
	    "bytes_before", (json_int_t)r->bytes_before, "damaged_more",
	    (json_int_t)r->damaged_more, "seconds", r->seconds);
	add_lists(object, r);
	if (certificate != NULL)
		json_object_set_new(object, "certificate",
		    cw_cli_json_text(certificate, strlen(certificate)));
	return object;
}
