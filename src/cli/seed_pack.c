/*
 * `seed STORE`: packing, and what is told of it.
 */
#include "base/buf.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/text.h"
#include "cli/cmd_seed.h"
#include "cli/media_dirs.h"
#include "cli/medium_ask.h"
#include "cli/output.h"
#include "cli/progress_line.h"
#include "cli/seed_since.h"
#include "cli/untended.h"
#include "formats/parity/parity.h"
#include "media/set.h"
#include "seed/pack.h"
#include "site/command.h"
#include "site/generation.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static json_t *
media_json(const struct cw_pack_result *r)
{
	json_t *media = json_array();

	for (size_t i = 0; i < r->media_count; i++) {
		const struct cw_pack_medium *m = &r->media[i];

		json_array_append_new(media,
		    json_pack("{s:I, s:o, s:o, s:I, s:I, s:I, s:b}", "medium",
			(json_int_t)m->number, "path",
			m->path[0] == '\0'
			    ? json_null()
			    : cw_cli_json_text(m->path, strlen(m->path)),
			"label", cw_cli_json_text(m->label, strlen(m->label)),
			"volumes", (json_int_t)m->volumes, "parity_shards",
			(json_int_t)m->shards, "bytes", (json_int_t)m->bytes,
			"closed", m->is_closed));
	}
	return media;
}

static json_t *
add_base(json_t *object, const struct cw_pack_result *r)
{
	if (r->base == 0)
		return object;
	json_object_set_new(
	    object, "base_generation", json_integer((json_int_t)r->base));
	json_object_set_new(
	    object, "removals", json_integer((json_int_t)r->removals));
	return object;
}

static json_t *
to_json(const struct cw_pack_result *r, double seconds)
{
	return add_base(
	    json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:f, s:o, "
		      "s:b, s:I, s:I, s:I, s:I, s:I}",
		"seed_id", cw_cli_json_hex(r->seed_id, CW_SEED_ID_SIZE),
		"generation", (json_int_t)r->generation, "entries",
		(json_int_t)r->entries, "bytes_read", (json_int_t)r->bytes_read,
		"bytes_written", (json_int_t)r->bytes_written, "volumes",
		(json_int_t)r->volumes, "parity_shards",
		(json_int_t)r->parity_shards, "media", media_json(r), "seconds",
		seconds, "manifest_sha256",
		cw_cli_json_hex(r->manifest_sha256, 32), "resumed",
		r->is_resumed, "passes", (json_int_t)r->passes, "moving",
		(json_int_t)r->moving, "unreadable", (json_int_t)r->unreadable,
		"unreadable_directories", (json_int_t)r->unreadable_dirs,
		"bytes", (json_int_t)r->bytes),
	    r);
}

/* What may be lost. */
static void
say_losses(struct cw_cli *cli, const struct cw_pack_result *r)
{
	struct cw_buf text = CW_BUF_INIT;
	char *line, *at;

	cw_parity_survives(&text, r->parity_k, r->parity_m, r->survive_media,
	    (uint32_t)r->media_count, r->volume_size);
	at = (char *)text.data;
	(void)cw_buf_string(&text);
	at = (char *)text.data;
	while ((line = strsep(&at, "\n")) != NULL)
		if (line[0] != '\0')
			cw_cli_say(cli, "  %s", line);
	cw_buf_free(&text);
}

static const char *
s_of(uint64_t count)
{
	return count == 1 ? "" : "s";
}

static void
say(struct cw_cli *cli, const struct cw_seed_request *q,
    const struct cw_pack_result *r, double seconds)
{
	char id[CW_SEED_ID_TEXT], entries[CW_TEXT_MAX], bytes[CW_TEXT_MAX];
	char written[CW_TEXT_MAX], took[CW_TEXT_MAX], rate[CW_TEXT_MAX];
	char sha[65];
	bool has_closed = false;

	cw_hex_encode(r->seed_id, CW_SEED_ID_SIZE, id);
	cw_hex_encode(r->manifest_sha256, 32, sha);
	cw_text_count(r->entries, entries);
	cw_text_bytes(r->bytes, bytes);
	cw_text_bytes(r->bytes_written, written);
	cw_text_seconds(seconds, took);
	cw_text_bytes((uint64_t)((double)r->bytes_read /
				 (seconds > 0.001 ? seconds : 0.001)),
	    rate);
	cw_cli_say(cli,
	    "Seed %s of store %s is sealed for %s at generation %" PRIu64 ".",
	    id, q->store, q->site, r->generation);
	if (r->base > 0)
		cw_cli_say(cli,
		    "  an increment on generation %" PRIu64
		    ": %s entries changed, %" PRIu64 " removal%s",
		    r->base, entries, r->removals, s_of(r->removals));
	cw_cli_say(cli,
	    "  %s entries, %s of content; %s in %" PRIu64
	    " volume%s; %s (%s/s)",
	    entries, bytes, written, r->volumes, s_of(r->volumes), took, rate);
	for (size_t i = 0; i < r->media_count; i++) {
		const struct cw_pack_medium *m = &r->media[i];

		cw_text_bytes(m->bytes, written);
		cw_cli_say(cli,
		    "  medium %u%s%s%s%s: %" PRIu64 " volume%s, %" PRIu64
		    " parity file%s, %s%s",
		    m->number, m->path[0] == '\0' ? "" : " in ", m->path,
		    m->label[0] == '\0' ? "" : ", label ", m->label, m->volumes,
		    s_of(m->volumes), m->shards, s_of(m->shards), written,
		    m->is_closed ? "; closed before the end" : "");
	}
	say_losses(cli, r);
	cw_cli_say(cli, "  manifest SHA-256 %s", sha);
	if (r->moving > 0)
		cw_cli_warn(cli,
		    "%" PRIu64 " files changed while they were read, each time "
		    "they were read; they are in the seed as they were found",
		    r->moving);
	for (size_t i = 0; i < r->media_count; i++)
		has_closed = has_closed || r->media[i].is_closed;
	if (has_closed)
		cw_cli_say(cli,
		    "The catalog is on the media that were here at the end, "
		    "and on no other: ship all.");
	cw_cli_say(cli,
	    "Next: unmount and mount the media again, `causeway seed close "
	    "DIR...` (it reads all of them once more), `causeway seed slip "
	    "%s`.",
	    id);
}

static int
finish(struct cw_cli *cli, const struct cw_seed_request *q, size_t roots,
    const struct cw_pack_result *r, const struct cw_commands *commands,
    double seconds)
{
	struct cw_error err = CW_ERROR_INIT;

	if (!cli->json)
		say(cli, q, r, seconds);
	(void)cw_commands_judge(commands, "the seed", &err);
	if (r->unreadable + r->unreadable_dirs > 0 && err.code != CW_OK)
		cw_cli_warn(cli, "%s", err.message);
	/* Of a store that is new nobody knows that it held more. */
	if (r->base == 0 && r->entries <= roots)
		cw_cli_warn(cli,
		    "store %s holds nothing, and so does the seed: is its disk "
		    "mounted?",
		    q->store);
	if (r->unreadable + r->unreadable_dirs > 0) {
		const char *first = r->first_unreadable.message;

		if (r->unreadable_dirs == 0)
			cw_error_set(&err, CW_ERR_MISSING,
			    "%" PRIu64 " file%s not in the seed, all others "
			    "are. The first: %s",
			    r->unreadable, r->unreadable == 1 ? " is" : "s are",
			    first);
		else
			cw_error_set(&err, CW_ERR_MISSING,
			    "%" PRIu64 " director%s and %" PRIu64
			    " known file%s could not be read and are not in "
			    "the seed, all else is. The first: %s",
			    r->unreadable_dirs,
			    r->unreadable_dirs == 1 ? "y" : "ies",
			    r->unreadable, s_of(r->unreadable), first);
	}
	if (err.code != CW_OK)
		return cw_cli_fail_with(
		    cli, cli->json ? to_json(r, seconds) : NULL, &err);
	return cli->json ? cw_cli_emit(cli, to_json(r, seconds)) : 0;
}

void
cw_cli_seed_recipient(
    struct cw_seed_request *q, const struct cw_age_recipient *r, bool first)
{
	for (size_t i = 0; i < q->recipient_count; i++)
		if (memcmp(q->recipients[i].point, r->point, 32) == 0)
			return;
	if (first) {
		memmove(&q->recipients[1], &q->recipients[0],
		    q->recipient_count * sizeof(q->recipients[0]));
		q->recipients[0] = *r;
	} else {
		q->recipients[q->recipient_count] = *r;
	}
	q->recipient_count++;
}

/* The roots of all other stores; the strings stay the configuration's. */
static void
other_roots(const struct cw_config *config, const struct cw_config_store *store,
    struct cw_pack_options *o)
{
	for (size_t i = 0; i < config->store_count; i++) {
		const struct cw_config_store *other = &config->stores[i];

		if (other == store)
			continue;
		o->others = cw_reallocarray(o->others,
		    o->other_count + other->root_count, sizeof(*o->others));
		for (size_t k = 0; k < other->root_count; k++)
			o->others[o->other_count++] = other->roots[k].path;
	}
}

int
cw_cli_seed_pack(struct cw_cli *cli, struct cw_seed_request *q)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_progress progress = {.what = NULL};
	const struct cw_config_store *store;
	const struct cw_config_peer *peer;
	struct cw_minisign_secret *secret = NULL;
	struct cw_progress_line *line;
	struct cw_pack_options o = {0};
	struct cw_media_dirs dirs = CW_MEDIA_DIRS_INIT;
	struct cw_medium_ask ask = {.cli = cli, .dirs = &dirs};
	struct cw_pack_result result = {0};
	struct cw_scan_root *roots = NULL;
	struct cw_commands commands;
	struct cw_age_recipient site;
	int64_t from_ns;
	double seconds;
	char *catalog_path = NULL, *seeds_path = NULL;
	struct cw_card own;
	int lock = -1, ret, status = 1;

	if (cw_cli_home(cli, CW_HOME_WRITE, &err) < 0 ||
	    cw_home_store(cli->home, q->store, &store, &err) < 0 ||
	    cw_home_peer(cli->home, q->site, &peer, &err) < 0 ||
	    cw_identity_card(cli->home->state_fd, &own, &err) < 0)
		return cw_cli_fail_resumable(cli, &err);
	if (cw_home_require_active(cli->home, store,
		"seeds are packed where it is active", &err) < 0)
		return cw_cli_fail_resumable(cli, &err);
	if (q->since_acked && cw_cli_seed_since(cli, store,
				  q->acked_by != NULL ? q->acked_by : q->site,
				  &q->since, &err) < 0)
		return cw_cli_fail_resumable(cli, &err);
	memcpy(site.point, peer->card.age_point, 32);
	cw_cli_seed_recipient(q, &site, true);
	catalog_path = cw_home_catalog_path(cli->home, q->store);
	seeds_path = cw_asprintf("%s/seeds", cli->home->state_path);
	if (cw_cli_signing_key(cli, &secret, &err) < 0 ||
	    cw_cli_lock_store(cli, q->store, &lock, &err) < 0 ||
	    cw_home_catalog(
		cli->home, store, CW_CATALOG_WRITE, &o.catalog, &err) < 0) {
		status = cw_cli_fail_resumable(cli, &err);
		goto out;
	}
	ask = (struct cw_medium_ask){.cli = cli,
	    .store = store,
	    .epoch = cw_catalog_info(o.catalog)->epoch,
	    .dirs = &dirs};
	if ((q->has_ask && cw_medium_ask_begin(&ask, &err) < 0) ||
	    cw_media_dirs_begin((char *const *)(uintptr_t)q->to, q->to_count,
		CW_MEDIA_WRITE, &dirs, &err) < 0) {
		status = cw_cli_fail_resumable(cli, &err);
		goto out;
	}
	line = cw_progress_line_begin(cli, &progress);
	ret = cw_commands_run(cli->home, store, &progress, &commands, &err);
	cw_progress_line_end(line);
	if (ret < 0) {
		status = cw_cli_fail_resumable(cli, &err);
		goto out;
	}
	cw_cli_warn_untended(cli, store, o.catalog);
	o.catalog_path = catalog_path;
	o.seeds_path = seeds_path;
	o.roots = roots = cw_home_scan_roots(store, o.catalog, &commands);
	o.root_count = store->root_count;
	o.excludes = (const char *const *)store->excludes;
	o.exclude_count = store->exclude_count;
	other_roots(&cli->home->config, store, &o);
	o.peer = q->site;
	o.recipients = q->recipients;
	o.recipient_count = q->recipient_count;
	o.volume_size = q->volume_size;
	o.has_parity = q->has_parity;
	o.parity_k = q->parity_k;
	o.parity_m = q->parity_m;
	o.survive_media = q->survive_media;
	o.to = dirs.dirs;
	o.to_count = dirs.count;
	o.remake = q->remake;
	if (q->has_ask) {
		o.ask = cw_medium_ask;
		o.ask_arg = &ask;
	}
	o.is_new = q->is_new;
	o.since = q->since;
	o.since_acked = q->since_acked;
	o.secret = secret;
	o.card = &own;
	o.builders = q->builders;
	o.progress = &progress;

	from_ns = cw_clock_ns();
	line = cw_progress_line_begin(cli, &progress);
	ask.line = line;
	ret = cw_pack(&o, &result, &err);
	cw_progress_line_end(line);
	seconds = cw_clock_since(from_ns);
	if (ret < 0)
		status = cw_cli_fail_resumable(cli, &err);
	else
		status = finish(
		    cli, q, store->root_count, &result, &commands, seconds);
out:
	free(o.others);
	cw_pack_free(&result);
	cw_catalog_close(o.catalog);
	cw_medium_ask_end(&ask);
	cw_media_dirs_end(cli, &dirs);
	cw_close(&lock);
	cw_minisign_secret_free(secret);
	free(roots);
	free(catalog_path);
	free(seeds_path);
	return status;
}
