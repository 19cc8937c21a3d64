#include "base/clock.h"
#include "base/fs.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/link_events.h"
#include "cli/output.h"
#include "cli/progress_line.h"
#include "site/taking.h"

#include <stdio.h>
#include <string.h>

static const char usage[] =
    "usage: causeway sync STORE\n"
    "\n"
    "Catches up once and ends.  At the active site: takes a generation and "
    "brings\n"
    "it to every site that follows and has an address.  At a standby: fetches "
    "what\n"
    "it lacks from where the store is active.  May be broken off and run "
    "again at\n"
    "any time; nothing that arrived is sent twice.\n"
    "\n"
    "Example: causeway sync mail\n"
    "Next: `causeway run` does this all the time; `causeway status mail` says "
    "how far\n"
    "it is.\n";

static const struct option options[] = {
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

struct sync {
	struct cw_cli *cli;
	const char *store;
	struct cw_session_options o;
	uint64_t generation;	  /* that has to arrive */
	struct cw_taking *taking; /* at the active site */
	bool is_settled;	  /* and the session has been told so */
	struct cw_commands commands;
	uint64_t from, to, entries, sent, received;
	uint8_t digest[CW_STATE_SIZE];
	bool was_healed;
	size_t done; /* sites */
};

/* The generation is being taken while it is sent; true if that failed. */
static bool
has_failed(struct sync *y, struct cw_session_store *st)
{
	bool is_good = true;

	if (y->taking == NULL || !cw_taking_has_ended(y->taking, &is_good))
		return false;
	/* What it could not read is left for the next. */
	if (is_good && !y->is_settled && st->source != NULL) {
		y->is_settled = true;
		cw_sync_source_wake(st->source, y->generation);
	}
	return !is_good;
}

static int
share_lock(void *arg)
{
	const struct sync *y = arg;

	return y->taking != NULL ? cw_taking_share_lock(y->taking) : -1;
}

static bool
has_arrived(void *arg, struct cw_session *s)
{
	struct sync *y = arg;
	struct cw_session_store *st = cw_session_store(s, y->store);
	struct cw_follower_state follower;
	struct cw_sync_source_state source;

	if (has_failed(y, st))
		return true;

	if (st->follower != NULL) {
		cw_follower_state(st->follower, &follower);
		return cw_follower_is_current(st->follower) &&
		       follower.generation >= y->generation;
	}
	if (st->source == NULL)
		return true;
	cw_sync_source_state(st->source, &source);
	return source.has_acked && source.acked >= y->generation;
}

static void
count(struct sync *y, struct cw_session *s)
{
	struct cw_session_store *st = cw_session_store(s, y->store);
	struct cw_follower_state follower;
	struct cw_sync_source_state source;
	struct cw_link_stats stats;

	cw_link_stats(cw_session_link(s), &stats);
	y->sent += stats.bytes_sent;
	y->received += stats.bytes_received;
	if (st->follower != NULL) {
		cw_follower_state(st->follower, &follower);
		y->from = follower.from;
		y->to = follower.generation;
		y->entries += follower.rows;
		y->was_healed |= follower.was_healed;
		memcpy(y->digest, follower.digest, sizeof(y->digest));
	} else if (st->source != NULL) {
		cw_sync_source_state(st->source, &source);
		y->from = source.since;
		y->to = source.acked;
		y->entries += source.rows;
		memcpy(y->digest, source.acked_digest, sizeof(y->digest));
	}
}

/* At a standby: the active site takes a generation first. */
static int
ask_generation(struct sync *y, struct cw_session *s,
    struct cw_session_store *st, struct cw_error *err)
{
	struct cw_session_args *reply = cw_session_args_new();
	int ret = cw_session_order(s, st, "generation", NULL, reply, err);

	if (ret == 0 &&
	    !cw_session_args_get_number(reply, "generation", &y->generation))
		ret = cw_error_set(err, CW_ERR_FORMAT,
		    "site %s did not say which generation it took",
		    cw_session_peer(s)->name);
	cw_session_args_free(reply);
	return ret;
}

/* 0 done; 1 this site has nothing to do with the store now; -1. */
static int
sync_with(
    struct sync *y, const struct cw_config_peer *peer, struct cw_error *err)
{
	struct cw_session *s = NULL;
	struct cw_session_store *st;
	int ret = 1;

	if (cw_session_dial(&y->o, peer, &s, err) < 0)
		return -1;
	st = cw_session_store(s, y->store);
	if (st == NULL || (st->source == NULL && st->follower == NULL))
		goto out;
	ret = 0;
	y->is_settled = false;
	if (st->follower != NULL)
		ret = ask_generation(y, s, st, err);
	if (ret == 0)
		ret = cw_session_serve(s, has_arrived, y, 0, err);
	if (ret == 1)
		ret = cw_error_set(err, CW_ERR_UNREACHABLE,
		    "site %s hung up before all was there", peer->name);
	count(y, s);
	if (ret == 0 && has_failed(y, st)) {
		cw_session_bye(s, "the generation could not be taken");
	} else if (ret == 0) {
		y->done++;
		cw_session_bye(s, "done");
	}
out:
	cw_session_free(s);
	return ret;
}

static int
sync_all(struct sync *y, bool is_active, struct cw_error *err)
{
	const struct cw_config *config = &y->cli->home->config;
	struct cw_error last = CW_ERROR_INIT;
	int ret;

	for (size_t i = 0; i < config->peer_count; i++) {
		if (config->peers[i].address == NULL)
			continue;
		ret = sync_with(y, &config->peers[i], &last);
		if (ret < 0 && last.code != CW_ERR_UNREACHABLE) {
			if (err != NULL)
				*err = last;
			return -1;
		}
		/* There is one active site. */
		if (ret == 0 && !is_active)
			break;
	}
	if (last.code != CW_OK && (y->done == 0 || is_active)) {
		if (err != NULL)
			*err = last;
		return -1;
	}
	if (y->done == 0)
		return cw_error_set(err, CW_ERR_REFUSED, "%s",
		    is_active
			? "no site that answered follows this store; let one "
			  "receive a seed, or declare it there (`causeway "
			  "store add --follow`)"
			: "no site that answered is active for this store; "
			  "`causeway status` at each says why");
	return 0;
}

static int
sync_store(struct sync *y, struct cw_error *err)
{
	const struct cw_config_store *store;
	struct cw_generation taken;
	int active, lock = -1, ret;

	if (cw_home_store(y->cli->home, y->store, &store, err) < 0)
		return -1;
	if (cw_cli_reachable_peers(y->cli) == 0)
		return cw_error_set(err, CW_ERR_USAGE,
		    "no other site has an address here; give one (`causeway "
		    "pair CARD --at HOST:PORT`), or run `causeway sync` at a "
		    "site that has ours");
	if ((active = cw_home_is_active(y->cli->home, store, err)) < 0)
		return -1;
	if (active == 0)
		return sync_all(y, false, err);
	if (cw_cli_lock_store(y->cli, y->store, &lock, err) < 0 ||
	    cw_taking_begin(y->cli->home, store, &lock, y->o.progress,
		&y->taking, &y->generation, err) < 0)
		return -1;
	ret = sync_all(y, true, err);
	/* A line that failed does not stop what needs no line. */
	if (cw_taking_end(y->taking, &taken, err) < 0)
		return -1;
	y->commands = taken.commands;
	return ret;
}

static json_t *
to_json(const struct sync *y, double seconds)
{
	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:o, s:f}", "store",
	    y->store, "from_generation", (json_int_t)y->from, "to_generation",
	    (json_int_t)y->to, "entries", (json_int_t)y->entries, "bytes_sent",
	    (json_int_t)y->sent, "bytes_received", (json_int_t)y->received,
	    "digest", cw_cli_json_hex(y->digest, sizeof(y->digest)), "seconds",
	    seconds);
}

static int
report(struct sync *y, double seconds)
{
	struct cw_error failed = CW_ERROR_INIT;
	char entries[CW_TEXT_MAX], sent[CW_TEXT_MAX], received[CW_TEXT_MAX];
	char took[CW_TEXT_MAX];

	(void)cw_commands_judge(&y->commands, "the generation", &failed);
	if (y->cli->json)
		return failed.code == CW_OK
			   ? cw_cli_emit(y->cli, to_json(y, seconds))
			   : cw_cli_fail_with(
				 y->cli, to_json(y, seconds), &failed);
	cw_text_count(y->entries, entries);
	cw_text_bytes(y->sent, sent);
	cw_text_bytes(y->received, received);
	cw_text_seconds(seconds, took);
	cw_cli_say(y->cli,
	    "Store %s: generation %llu to %llu, %s entries, %s sent, %s "
	    "received, %s; both sites hold the same.",
	    y->store, (unsigned long long)y->from, (unsigned long long)y->to,
	    entries, sent, received, took);
	if (y->was_healed)
		cw_cli_say(y->cli,
		    "The copies differed; comparing their directories mended "
		    "it.");
	return failed.code == CW_OK ? 0 : cw_cli_fail(y->cli, &failed);
}

int
cmd_sync(struct cw_cli *cli, int argc, char **argv)
{
	struct cw_progress progress = {.what = NULL};
	struct cw_minisign_secret *secret = NULL;
	struct cw_error err = CW_ERROR_INIT;
	struct sync y = {.cli = cli};
	struct cw_progress_line *line;
	int64_t from_ns;
	double seconds;
	int opt, ret;

	while ((opt = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		if (opt == 'h')
			return cw_cli_help(usage);
		return cw_cli_bad_option(cli, usage, opt, argv);
	}
	if (optind + 1 != argc)
		return cw_cli_usage_error(cli, usage, "name one store");
	y.store = argv[optind];
	if (cw_cli_session_options(cli, y.store, &secret, &y.o, &err) < 0)
		return cw_cli_fail(cli, &err);
	y.o.progress = &progress;
	y.o.share_lock = share_lock;
	y.o.lock_arg = &y;
	from_ns = cw_clock_ns();
	line = cw_progress_line_begin(cli, &progress);
	ret = sync_store(&y, &err);
	cw_progress_line_end(line);
	seconds = cw_clock_since(from_ns);
	cw_minisign_secret_free(secret);
	if (ret < 0)
		return cw_cli_fail_resumable(cli, &err);
	return report(&y, seconds);
}
