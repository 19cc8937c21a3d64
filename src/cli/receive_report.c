#include "cli/receive_report.h"

#include "base/buf.h"
#include "base/bytes.h"
#include "base/text.h"
#include "cli/output.h"
#include "cli/receive_increment.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN_MAX 10u

bool
cw_receive_is_whole(const struct cw_import_result *r)
{
	return r->wanted == 0 && r->faults_in_all == 0 &&
	       r->absent_count == 0 && !r->is_open;
}

static json_t *
damage_to_json(const struct cw_import_result *r)
{
	json_t *all = json_array();

	for (size_t i = 0; i < r->damaged_count; i++)
		json_array_append_new(all,
		    json_pack("{s:s, s:I, s:b, s:b}", "file",
			r->damaged[i].file, "medium",
			(json_int_t)r->damaged[i].medium, "rebuilt",
			r->damaged[i].mended == CW_IMPORT_REBUILT, "copied",
			r->damaged[i].mended == CW_IMPORT_COPIED));
	return all;
}

/* The digest is that of a whole replica: what is not whole has none yet. */
static json_t *
to_json(const struct cw_set *set, const struct cw_import_result *r,
    const char *receipt, double seconds)
{
	json_t *faults = json_array(), *absent = json_array(), *all;

	for (size_t i = 0; i < r->fault_count; i++)
		json_array_append_new(faults,
		    cw_cli_json_text(r->faults[i], strlen(r->faults[i])));
	for (size_t i = 0; i < r->absent_count; i++)
		json_array_append_new(
		    absent, json_integer((json_int_t)r->absent[i]));
	all = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
			"s:o, s:o, s:f, s:o, s:o, s:b, s:b, s:I}",
	    "seed_id", set->seed_text, "store", r->store, "generation",
	    (json_int_t)r->generation, "entries", (json_int_t)r->entries,
	    "bytes", (json_int_t)r->bytes, "wanted", (json_int_t)r->wanted,
	    "wanted_mailboxes", (json_int_t)r->wanted_mailboxes, "volumes",
	    (json_int_t)r->volumes, "rebuilt", (json_int_t)r->rebuilt,
	    "consumed", (json_int_t)r->consumed, "damaged", damage_to_json(r),
	    "digest", cw_cli_json_hex(r->digest, sizeof(r->digest)), "seconds",
	    seconds, "faults", faults, "missing_media", absent, "repeated",
	    r->is_repeated, "resumed", r->is_resumed, "unmapped_owners",
	    (json_int_t)r->unmapped);
	if (receipt != NULL)
		json_object_set_new(all, "receipt", json_string(receipt));
	if (r->base != 0) {
		json_object_set_new(
		    all, "base_generation", json_integer((json_int_t)r->base));
		json_object_set_new(
		    all, "from_generation", json_integer((json_int_t)r->from));
		json_object_set_new(
		    all, "removed", json_integer((json_int_t)r->removed));
		json_object_set_new(
		    all, "placed", json_integer((json_int_t)r->placed));
	}
	return all;
}

static void
say_damage(struct cw_cli *cli, const struct cw_import_result *r)
{
	size_t repaired = 0, rebuilt = 0;

	/* Of others a fault tells more. */
	for (size_t i = 0; i < r->damaged_count; i++) {
		const struct cw_import_damage *d = &r->damaged[i];

		rebuilt += d->mended == CW_IMPORT_REBUILT;
		if (d->mended != CW_IMPORT_LOST && repaired++ < SHOWN_MAX)
			cw_cli_say(cli, "  damaged: %s on medium %u; %s",
			    d->file, d->medium,
			    d->mended == CW_IMPORT_REBUILT
				? "rebuilt from parity"
				: "taken from the medium's other copy");
	}
	if (repaired > SHOWN_MAX)
		cw_cli_say(cli, "  and %s%zu more",
		    r->damaged_in_all > r->damaged_count ? "at least " : "",
		    repaired - SHOWN_MAX);
	if (r->rebuilt > rebuilt)
		cw_cli_say(cli,
		    "  volumes of media that are not here, rebuilt from "
		    "parity: %" PRIu64,
		    r->rebuilt - rebuilt);
	if (repaired > 0)
		cw_cli_say(cli,
		    "  Nothing is lost by the damage, but the media are worse "
		    "than they were: run `causeway repair DIR...` before they "
		    "are kept or used again");
}

static void
say_full(struct cw_cli *cli, const struct cw_set *set,
    const struct cw_import_result *r, double seconds)
{
	char entries[CW_TEXT_MAX], bytes[CW_TEXT_MAX], took[CW_TEXT_MAX];
	char digest[2 * CW_STATE_SIZE + 1];
	bool is_whole = cw_receive_is_whole(r);

	cw_hex_encode(r->digest, sizeof(r->digest), digest);
	cw_text_count(r->entries, entries);
	cw_text_bytes(r->bytes, bytes);
	cw_text_seconds(seconds, took);
	if (r->is_repeated)
		cw_cli_say(cli,
		    "Seed %s was imported before: nothing to be done.",
		    set->seed_text);
	else
		cw_cli_say(cli,
		    "Seed %s is imported%s: store %s at generation %" PRIu64
		    " (%s).",
		    set->seed_text, is_whole ? "" : " in part", r->store,
		    r->generation, took);
	cw_cli_say(cli, "  %s entries, %s%s%s", entries, bytes,
	    is_whole ? "; state digest " : " when it is whole",
	    is_whole ? digest : "");
	for (size_t i = 0; i < r->root_count; i++)
		cw_cli_say(cli, "  root %s is in %s%s%s", r->roots[i].name,
		    r->roots[i].path,
		    r->roots[i].is_output
			? ", the output of a command at the other site"
			: "",
		    r->roots[i].is_stale ? ", of an earlier time than the "
					   "rest, or none"
					 : "");
}

static void
say(struct cw_cli *cli, const struct cw_set *set,
    const struct cw_import_result *r, double seconds)
{
	if (r->base != 0)
		cw_cli_say_increment(cli, set, r, seconds);
	else
		say_full(cli, set, r, seconds);
	if (r->consumed > 0)
		cw_cli_say(cli,
		    "  %" PRIu64 " file%s of the seed %s deleted from the "
		    "media: what they held is in the replica",
		    r->consumed, r->consumed == 1 ? "" : "s",
		    r->consumed == 1 ? "was" : "were");
	if (r->unmapped > 0)
		cw_cli_warn(cli,
		    "%" PRIu64 " owners of files have no name at this site; "
		    "their numbers were kept: compare them with those of the "
		    "mail service's user",
		    r->unmapped);
	say_damage(cli, r);
	for (size_t i = 0; i < r->fault_count && i < SHOWN_MAX; i++)
		cw_cli_say(cli, "  wrong: %s", r->faults[i]);
	if (r->faults_in_all > SHOWN_MAX)
		cw_cli_say(cli, "  and %zu more", r->faults_in_all - SHOWN_MAX);
}

/*
 * Parity over media needs all but the lost ones at once: whether it would do,
 * and they are not.
 */
static bool
is_together_better(const struct cw_set *set, const struct cw_import_result *r)
{
	const struct cw_manifest *m = &set->manifest;

	return r->is_grouped && m->is_final &&
	       r->absent_count <= m->survive_media &&
	       set->count + r->absent_count < m->media;
}

/* What is missing, and what would bring it. */
static void
explain(const struct cw_set *set, const struct cw_import_result *r,
    bool is_listed, struct cw_error *err)
{
	struct cw_buf media = CW_BUF_INIT;
	char *lacking = cw_asprintf("%" PRIu64 " file%s in %" PRIu64
				    " mailbox%s %s not arrived",
	    r->wanted, r->wanted == 1 ? "" : "s", r->wanted_mailboxes,
	    r->wanted_mailboxes == 1 ? "" : "es",
	    r->wanted == 1 ? "has" : "have");
	const char *first = r->fault_count > 0 ? r->faults[0] : "none";
	char *faults = is_listed ? cw_asprintf("faults: %zu, listed above",
				       r->faults_in_all)
				 : cw_asprintf("faults: %zu; the first: %s",
				       r->faults_in_all, first);

	cw_buf_text(&media, r->absent_count > 1 ? "media " : "medium ");
	for (size_t i = 0; i < r->absent_count; i++)
		cw_buf_printf(&media, "%s%u",
		    i == 0		       ? ""
		    : i + 1 == r->absent_count ? " and "
					       : ", ",
		    r->absent[i]);
	if (r->absent_count > 0)
		cw_error_set(err, CW_ERR_MISSING,
		    "%s: bring %s and run the same command with %s.%s%s "
		    "`causeway sync %s` fetches what lacks, that alone",
		    lacking, cw_buf_string(&media),
		    r->absent_count > 1 ? "their directories" : "its directory",
		    is_together_better(set, r)
			? " If that can't be: give the directories of all "
			  "other media in one command, then parity rebuilds "
			  "what it holds."
			: "",
		    is_together_better(set, r) ? " Else"
		    : r->absent_count > 1      ? " If they are lost,"
					       : " If it is lost,",
		    r->store);
	else if (r->is_open)
		cw_error_set(err, CW_ERR_MISSING,
		    "the seed went on after the media that are here were "
		    "closed: what came later is not in the replica. `causeway "
		    "sync %s` brings it; or receive all media of the set, the "
		    "last one too, into an empty directory",
		    r->store);
	else if (r->wanted == 0)
		cw_error_set(err, CW_ERR_DAMAGED,
		    "all files have arrived, but not without faults (%s): run "
		    "the same command again; what it says then is wrong with "
		    "the seed, and no mail lacks",
		    faults);
	else
		cw_error_set(err, CW_ERR_DAMAGED,
		    "%s, everything else has (%s). "
		    "`causeway sync %s` fetches what lacks from the other "
		    "site, that alone; or run the same command again with "
		    "another copy of the media",
		    lacking, faults, r->store);
	free(faults);
	free(lacking);
	cw_buf_free(&media);
}

int
cw_receive_report(struct cw_cli *cli, const struct cw_set *set,
    const struct cw_import_result *r, const char *receipt, double seconds)
{
	struct cw_error err = CW_ERROR_INIT;
	json_t *object = cli->json ? to_json(set, r, receipt, seconds) : NULL;

	if (!cli->json) {
		say(cli, set, r, seconds);
		if (receipt != NULL)
			cw_cli_say(cli,
			    "Receipt: it goes to the other site with the next "
			    "sync; where there is no line, send it this one, "
			    "for `causeway seed confirm`:\n%s",
			    receipt);
	}
	if (!cw_receive_is_whole(r)) {
		(void)fflush(stdout); /* before the error */
		explain(set, r, !cli->json && !cli->quiet, &err);
		return cw_cli_fail_with(cli, object, &err);
	}
	return cli->json ? cw_cli_emit(cli, object) : 0;
}
