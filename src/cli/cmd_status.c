#include "base/buf.h"
#include "base/bytes.h"
#include "base/fs.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/ranges.h"
#include "cli/status_daemon.h"
#include "cli/status_rest.h"
#include "cli/untended.h"
#include "seed/import.h"
#include "site/control.h"
#include "site/current.h"
#include "site/role.h"
#include "site/seeds.h"
#include "store/peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: causeway status [STORE]\n"
    "\n"
    "Says for all stores, or one: role, epoch, generation, entries and the "
    "state\n"
    "digest.  Two sites hold the same store if generation and digest are the "
    "same.\n"
    "\n"
    "Example: causeway status mail\n"
    "Next: where a store is behind or incomplete, the output says what to "
    "do.\n";

static const struct option options[] = {
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* What a store's catalog says; all zero where there is none yet. */
struct facts {
	struct cw_catalog_info info;
	bool has_catalog;
	char *role;
	char *import;  /* "running" while files of a seed are to come */
	char *awaited; /* volumes of it, "3 7" */
	bool has_digest;
	uint8_t digest[CW_STATE_SIZE];
	const char *site; /* where it is active; NULL: not known */
	bool is_active;
	bool has_handover; /* given away, not heard that it arrived */
	uint64_t epoch;
	struct cw_status_rest rest;
	bool has_current; /* a replica: how long ago it was all there was */
	double current;
	struct cw_behind behind;       /* what came and is not applied */
	struct cw_peer *peers;	       /* one for each of the configuration */
	struct cw_seed_summary *seeds; /* that were packed here */
	size_t seed_count;
	uint64_t settled; /* up to it, nobody needs deletions any more */
	const char *waits_for;
	json_t *roots; /* name, path, capture, what is wrong */
};

/* What sessions noted beside the catalog. */
static int
look_beside(const struct cw_home *home, const struct cw_config_store *store,
    struct facts *f, struct cw_error *err)
{
	int dirfd = cw_home_open_store_dir(home, store->name, err), got = -1;
	uint64_t generation;

	f->peers = cw_calloc(home->config.peer_count + 1, sizeof(*f->peers));
	for (size_t i = 0; dirfd >= 0 && i < home->config.peer_count; i++)
		if (cw_peer_load(dirfd, home->config.peers[i].name,
			&f->peers[i], err) < 0)
			goto out;
	if (dirfd >= 0)
		got = cw_current_age(dirfd, &generation, &f->current, err);
	f->has_current = got == 0;
	if (dirfd >= 0)
		cw_behind_load(dirfd, &f->behind);
out:
	cw_close(&dirfd);
	return got < 0 ? -1 : 0;
}

/* Where the store is active as far as is known here; NULL: nobody told. */
static const char *
active_site(const struct cw_home *home, const struct cw_role *role)
{
	const struct cw_config *config = &home->config;
	const struct cw_minisign_public *last =
	    &role->history.epochs[role->history.count - 1].site;

	if (role->is == CW_ROLE_IS_ACTIVE)
		return config->name;
	for (size_t i = 0; i < config->peer_count; i++)
		if (cw_minisign_public_equal(last, &config->peers[i].card.sign))
			return config->peers[i].name;
	return NULL;
}

static int
look_at_role(const struct cw_home *home, const struct cw_config_store *store,
    struct cw_catalog *c, struct facts *f, struct cw_error *err)
{
	struct cw_role role;
	int ret;

	if (cw_home_role(home, store, c, &role, err) < 0)
		return -1;
	f->role = cw_strdup(cw_role_name(role.is));
	f->is_active = role.is == CW_ROLE_IS_ACTIVE;
	f->has_handover = role.has_handover;
	f->epoch = role.epoch;
	f->site = active_site(home, &role);
	ret = cw_status_rest_look(home, store, &role, &f->rest, err);
	cw_role_free(&role);
	return ret;
}

/* The roots, and what is wrong with those that are a command's output. */
static json_t *
look_at_roots(const struct cw_cli *cli, const struct cw_config_store *store,
    bool is_active, struct cw_catalog *c)
{
	json_t *roots = json_array();

	for (size_t i = 0; i < store->root_count; i++) {
		const struct cw_config_root *root = &store->roots[i];
		enum cw_command_state state = CW_COMMAND_NONE;
		char *why = NULL, *text = NULL;

		if (is_active && c != NULL)
			state =
			    cw_command_look(cli->home, store, root, c, &why);
		if (state == CW_COMMAND_UNTENDED)
			text = cw_cli_untended(cli, store, root);
		else if (state == CW_COMMAND_STALE)
			text = cw_asprintf("root %s: its command failed, and "
					   "its last good output is kept, if "
					   "there is one: %s",
			    root->name, why != NULL ? why : "see its log");
		json_array_append_new(roots,
		    json_pack("{s:s, s:o, s:b, s:b, s:o}", "name", root->name,
			"path",
			cw_cli_json_text(root->path, strlen(root->path)),
			"command", root->command != NULL, "stale", text != NULL,
			"failure",
			text == NULL ? json_null()
				     : cw_cli_json_text(text, strlen(text))));
		free(why);
		free(text);
	}
	return roots;
}

static int
look(const struct cw_cli *cli, const struct cw_config_store *store,
    struct facts *f, struct cw_error *err)
{
	const struct cw_home *home = cli->home;
	struct cw_catalog *c = NULL;
	int ret = -1;

	*f = (struct facts){.has_catalog = cw_home_has_catalog(home, store)};
	if (f->has_catalog) {
		if (cw_home_catalog(home, store, CW_CATALOG_READ, &c, err) < 0)
			return -1;
		f->info = *cw_catalog_info(c);
		if (look_at_role(home, store, c, f, err) < 0 ||
		    look_beside(home, store, f, err) < 0 ||
		    cw_catalog_note_get(
			c, CW_NOTE_IMPORT_STATE, &f->import, err) < 0 ||
		    cw_catalog_note_get(
			c, CW_NOTE_IMPORT_AWAITED, &f->awaited, err) < 0 ||
		    cw_state_digest(c, f->digest, &f->has_digest, err) < 0)
			goto out;
		f->seed_count = cw_seeds_of_store(home, f->info.store_id,
		    f->info.has_seed ? f->info.seed_id : NULL, &f->seeds);
		f->settled = cw_seeds_settled(
		    home, f->seeds, f->seed_count, f->peers, &f->waits_for);
	}
	if (f->role == NULL) {
		f->is_active = store->follow == NULL;
		f->role =
		    cw_strdup(f->is_active ? CW_ROLE_ACTIVE : CW_ROLE_STANDBY);
	}
	f->roots = look_at_roots(cli, store, f->is_active, c);
	ret = 0;
out:
	cw_catalog_close(c);
	return ret;
}

/* What the daemon says is under way; NULL: none answers. */
static json_t *
ask_daemon(const struct cw_home *home)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_buf text = CW_BUF_INIT;
	json_t *daemon = NULL;
	int fd = -1;

	if (cw_control_connect(home->state_fd, &fd, &err) != 0)
		return NULL;
	if (cw_control_status(fd, &text, &err) == 0)
		daemon = json_loadb((const char *)text.data, text.len, 0, NULL);
	/* It is there, but does not say much. */
	if (!json_is_object(daemon)) {
		json_decref(daemon);
		daemon = json_object();
	}
	cw_close(&fd);
	cw_buf_free(&text);
	return daemon;
}

/* The daemon's link to a peer; NULL: it said nothing of it. */
static const json_t *
link_to(const json_t *daemon, const char *peer)
{
	const json_t *links = json_object_get(daemon, "links"), *link;
	size_t i;

	json_array_foreach(links, i, link)
	{
		const char *name =
		    json_string_value(json_object_get(link, "peer"));

		if (name != NULL && strcmp(name, peer) == 0)
			return link;
	}
	return NULL;
}

static json_t *
peers_json(
    const struct cw_config *config, const struct facts *f, const json_t *daemon)
{
	json_t *peers = json_array();

	for (size_t i = 0; i < config->peer_count; i++) {
		const char *name = config->peers[i].name;
		bool is_connected = json_is_true(
		    json_object_get(link_to(daemon, name), "connected"));

		const struct cw_peer *peer =
		    f->peers != NULL ? &f->peers[i] : NULL;
		bool has_acked = peer != NULL && peer->has_acked;

		json_array_append_new(peers,
		    json_pack("{s:s, s:b, s:o, s:o}", "name", name, "connected",
			is_connected, "acked_generation",
			has_acked
			    ? json_integer((json_int_t)peer->acked_generation)
			    : json_null(),
			"acked_digest",
			has_acked ? cw_cli_json_hex(peer->acked_digest,
					sizeof(peer->acked_digest))
				  : json_null()));
	}
	return peers;
}

/* Whether a replica has all that its seed held. */
static bool
is_complete(const struct facts *f)
{
	return f->import == NULL || strcmp(f->import, "ended") == 0;
}

/* How old what we have may be; null where nothing is known. */
static json_t *
lag_json(const struct facts *f)
{
	if (f->is_active)
		return json_integer(0);
	return f->has_current ? json_integer((json_int_t)f->current)
			      : json_null();
}

/* Of a replica: the one it came with. */
static bool
has_imported(const struct facts *f)
{
	if (!f->info.has_seed)
		return false;
	for (size_t i = 0; i < f->seed_count; i++) {
		char id[CW_SEED_ID_TEXT];

		cw_hex_encode(f->info.seed_id, CW_SEED_ID_SIZE, id);
		if (strcmp(f->seeds[i].id, id) == 0)
			return false;
	}
	return true;
}

static json_t *
seeds_json(const struct facts *f)
{
	json_t *seeds = json_array();

	for (size_t i = 0; i < f->seed_count; i++) {
		const struct cw_seed_summary *s = &f->seeds[i];
		char time[CW_TIME_TEXT], confirmed[CW_TIME_TEXT];

		cw_time_format(s->time, time);
		cw_time_format(s->confirmed_time, confirmed);
		json_array_append_new(seeds,
		    json_pack("{s:s, s:s, s:s, s:I, s:I, s:s, s:b, s:s?, s:s?, "
			      "s:o, s:o}",
			"seed_id", s->id, "for", s->peer, "state", s->state,
			"generation", (json_int_t)s->generation, "base",
			(json_int_t)s->base, "time", time, "confirmed",
			s->is_confirmed, "confirmed_by",
			s->is_confirmed && s->by[0] != '\0' ? s->by : NULL,
			"confirmed_time", s->is_confirmed ? confirmed : NULL,
			"complete",
			s->is_confirmed ? json_boolean(s->is_complete)
					: json_null(),
			"wanted",
			s->is_confirmed ? json_integer((json_int_t)s->wanted)
					: json_null()));
	}
	if (has_imported(f))
		json_array_append_new(seeds,
		    json_pack("{s:o, s:s, s:I, s:b}", "seed_id",
			cw_cli_json_hex(f->info.seed_id, CW_SEED_ID_SIZE),
			"state", "imported", "generation",
			(json_int_t)f->info.seed_generation, "complete",
			is_complete(f)));
	return seeds;
}

static json_t *
store_json(const struct cw_config *config, const struct cw_config_store *store,
    const struct facts *f, const json_t *daemon)
{
	return json_pack(
	    "{s:s, s:o, s:s, s:I, s:I, s:o, s:I, s:I, s:I, s:b, s:o, s:o, s:o, "
	    "s:s?, s:s?, s:o, s:o, s:I, s:I, s:O, s:o, s:o, s:[]}",
	    "name", store->name, "id",
	    f->has_catalog ? cw_cli_json_hex(f->info.store_id, CW_STORE_ID_SIZE)
			   : json_null(),
	    "role", f->role, "epoch",
	    (json_int_t)(f->epoch > 0 ? f->epoch : f->info.epoch), "generation",
	    (json_int_t)f->info.generation, "digest",
	    f->has_digest ? cw_cli_json_hex(f->digest, sizeof(f->digest))
			  : json_null(),
	    "entries", (json_int_t)f->info.entries, "bytes",
	    (json_int_t)f->info.bytes, "pending", (json_int_t)f->info.pending,
	    "complete", is_complete(f), "lag_seconds", lag_json(f),
	    "behind_entries",
	    f->is_active ? json_integer(0)
			 : json_integer((json_int_t)f->behind.rows),
	    "behind_bytes",
	    f->is_active ? json_integer(0)
			 : json_integer((json_int_t)f->behind.bytes),
	    "follow", store->follow, "active_site", f->site, "peers",
	    peers_json(config, f, daemon), "seeds", seeds_json(f), "floor",
	    (json_int_t)f->info.floor, "settled_generation",
	    (json_int_t)f->settled, "roots", f->roots, "cutover",
	    cw_status_rest_json(&f->rest), "diverged",
	    cw_status_diverged_json(&f->rest), "checks");
}

/* Who follows, and how far; or how old the replica is. */
static void
print_peers(const struct cw_config *config, const struct facts *f)
{
	char text[CW_TEXT_MAX];

	for (size_t i = 0; f->is_active && i < config->peer_count; i++) {
		const struct cw_peer *peer = &f->peers[i];

		if (!peer->has_acked)
			continue;
		(void)printf("  %s has generation %llu%s\n",
		    config->peers[i].name,
		    (unsigned long long)peer->acked_generation,
		    peer->acked_generation < f->info.generation
			? ", which is not the last one"
			: "");
	}
	if (!f->is_active && f->has_current) {
		cw_text_seconds(f->current, text);
		(void)printf("  was all there was %s ago\n", text);
	}
	if (!f->is_active && f->behind.rows > 0) {
		cw_text_bytes(f->behind.bytes, text);
		(void)printf(
		    "  %llu changes have come in and are not complete, "
		    "%s of contents are still to come\n",
		    (unsigned long long)f->behind.rows, text);
	}
}

/* What became of the seeds, and of the deletions that are kept for them. */
static void
print_seeds(const struct facts *f)
{
	char hex[CW_SEED_ID_TEXT], when[CW_TIME_TEXT];

	for (size_t i = 0; i < f->seed_count; i++) {
		const struct cw_seed_summary *s = &f->seeds[i];

		(void)printf("  seed %s for %s at generation %llu: %s", s->id,
		    s->peer, (unsigned long long)s->generation, s->state);
		cw_time_format(s->confirmed_time, when);
		if (!s->is_confirmed)
			(void)puts(strcmp(s->state, "unfinished") == 0
				       ? ""
				       : ", no receipt yet");
		else if (s->is_complete)
			(void)printf(", confirmed by %s on %s\n", s->by, when);
		else
			(void)printf(", arrived at %s on %s but for %llu "
				     "files\n",
			    s->by, when, (unsigned long long)s->wanted);
	}
	if (has_imported(f)) {
		cw_hex_encode(f->info.seed_id, CW_SEED_ID_SIZE, hex);
		(void)printf("  seed %s at generation %llu, imported\n", hex,
		    (unsigned long long)f->info.seed_generation);
	}
	if (!f->is_active || f->seed_count == 0)
		return;
	if (f->settled > f->info.floor)
		(void)printf("  every site that follows has all up to "
			     "generation %llu: deletions up to there need not "
			     "be kept, and go by themselves after a sync\n",
		    (unsigned long long)f->settled);
	else if (f->waits_for != NULL)
		(void)printf("  deletions since generation %llu are kept until "
			     "%s confirms a seed or syncs\n",
		    (unsigned long long)f->info.floor, f->waits_for);
}

static void
print_store(const struct cw_home *home, const struct cw_config_store *store,
    const struct facts *f)
{
	const struct cw_config *config = &home->config;
	char entries[CW_TEXT_MAX], bytes[CW_TEXT_MAX], pending[CW_TEXT_MAX];
	const char *site;
	char hex[2 * CW_STATE_SIZE + 1];
	const json_t *root;
	size_t i;

	(void)printf("Store %s: %s", store->name, f->role);
	if (f->has_handover)
		(void)printf(" and given away; run `causeway cutover %s` again "
			     "to finish",
		    store->name);
	site = f->site != NULL ? f->site : store->follow;
	if (!f->is_active && site != NULL)
		(void)printf(", a replica of %s", site);
	if (f->info.generation == 0) {
		(void)puts(store->follow == NULL
			       ? "; not scanned yet: `causeway scan` does"
			       : "; nothing received yet: `causeway receive` "
				 "or `causeway sync` does");
		return;
	}
	cw_text_count(f->info.entries, entries);
	cw_text_bytes(f->info.bytes, bytes);
	(void)printf(", epoch %llu, generation %llu, %s entries, %s\n",
	    (unsigned long long)(f->epoch > 0 ? f->epoch : f->info.epoch),
	    (unsigned long long)f->info.generation, entries, bytes);
	print_peers(config, f);
	if (!is_complete(f)) {
		struct cw_buf numbers = CW_BUF_INIT;
		size_t count = f->awaited == NULL
				   ? 0
				   : cw_cli_ranges(f->awaited, &numbers);

		(void)fputs("  incomplete", stdout);
		if (count > 0)
			(void)printf("; %zu volume%s not arrived: %s", count,
			    count == 1 ? " has" : "s have",
			    cw_buf_string(&numbers));
		(void)puts(".  Run `causeway receive` with the media that are "
			   "missing.");
		cw_buf_free(&numbers);
	}
	if (f->has_digest) {
		cw_hex_encode(f->digest, sizeof(f->digest), hex);
		(void)printf("  state digest %s\n", hex);
	} else {
		cw_text_count(f->info.pending, pending);
		(void)printf("  state digest not known: %s files were not read "
			     "yet",
		    pending);
		(void)puts(store->follow == NULL
			       ? "; a seed does, or `causeway scan --contents`"
			       : "");
	}
	json_array_foreach(f->roots, i, root)
	{
		const char *failure =
		    json_string_value(json_object_get(root, "failure"));

		if (failure != NULL)
			(void)printf("  %s\n", failure);
	}
	print_seeds(f);
	cw_status_rest_print(&f->rest, home, store->name);
}

/* Adds a store to the array, or prints it.  -1: its catalog failed. */
static int
show(struct cw_cli *cli, const struct cw_config_store *store, json_t *stores,
    const json_t *daemon, struct cw_error *err)
{
	struct facts f;
	int ret = look(cli, store, &f, err);

	if (ret < 0)
		cw_error_context(err, "store %s", store->name);
	else if (cli->json)
		json_array_append_new(
		    stores, store_json(&cli->home->config, store, &f, daemon));
	else
		print_store(cli->home, store, &f);
	cw_status_rest_free(&f.rest);
	free(f.role);
	free(f.import);
	free(f.awaited);
	free(f.peers);
	free(f.seeds);
	json_decref(f.roots);
	return ret;
}

static int
status(struct cw_cli *cli, const char *only)
{
	struct cw_error err = CW_ERROR_INIT, first = CW_ERROR_INIT;
	const struct cw_config_store *store = NULL;
	char words[CW_CARD_WORDS_SIZE];
	struct cw_card card;
	json_t *stores, *result, *daemon;

	if (cw_cli_home(cli, CW_HOME_READ, &err) < 0 ||
	    cw_identity_card(cli->home->state_fd, &card, &err) < 0 ||
	    (only != NULL && cw_home_store(cli->home, only, &store, &err) < 0))
		return cw_cli_fail(cli, &err);
	cw_card_fingerprint_text(&card, words);
	daemon = ask_daemon(cli->home);
	if (!cli->json) {
		(void)printf("Site %s, %s\n", card.name, words);
		cw_status_daemon_print(daemon);
	}
	stores = json_array();
	/* One store that fails does not hide the others. */
	for (size_t i = 0; i < cli->home->config.store_count; i++) {
		const struct cw_config_store *s = &cli->home->config.stores[i];

		if ((store == NULL || store == s) &&
		    show(cli, s, stores, daemon, &err) < 0 &&
		    first.code == CW_OK)
			first = err;
	}
	result = json_pack("{s:s, s:s, s:o, s:o?}", "site", card.name,
	    "fingerprint", words, "stores", stores, "daemon", daemon);
	if (first.code != CW_OK)
		return cw_cli_fail_with(cli, result, &first);
	if (cli->json)
		return cw_cli_emit(cli, result);
	json_decref(result);
	if (cli->home->config.store_count == 0)
		(void)puts("No store is declared; `causeway store add STORE "
			   "DIR` or `causeway receive` does.");
	return 0;
}

int
cmd_status(struct cw_cli *cli, int argc, char **argv)
{
	int opt;

	while ((opt = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		if (opt == 'h')
			return cw_cli_help(usage);
		return cw_cli_bad_option(cli, usage, opt, argv);
	}
	if (argc - optind > 1)
		return cw_cli_usage_error(
		    cli, usage, "status takes at most one store");
	return status(cli, optind < argc ? argv[optind] : NULL);
}
