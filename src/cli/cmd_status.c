#include "base/bytes.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "seed/import.h"

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
};

static int
look(const struct cw_home *home, const struct cw_config_store *store,
    struct facts *f, struct cw_error *err)
{
	struct cw_catalog *c = NULL;
	int ret = -1;

	*f = (struct facts){.has_catalog = cw_home_has_catalog(home, store)};
	if (f->has_catalog) {
		if (cw_home_catalog(home, store, CW_CATALOG_READ, &c, err) < 0)
			return -1;
		f->info = *cw_catalog_info(c);
		if (cw_catalog_note_get(c, CW_NOTE_ROLE, &f->role, err) < 0 ||
		    cw_catalog_note_get(
			c, CW_NOTE_IMPORT_STATE, &f->import, err) < 0 ||
		    cw_catalog_note_get(
			c, CW_NOTE_IMPORT_AWAITED, &f->awaited, err) < 0 ||
		    cw_state_digest(c, f->digest, &f->has_digest, err) < 0)
			goto out;
	}
	if (f->role == NULL)
		f->role = cw_strdup(
		    store->follow == NULL ? CW_ROLE_ACTIVE : CW_ROLE_STANDBY);
	ret = 0;
out:
	cw_catalog_close(c);
	return ret;
}

/* No daemon keeps a line to the peers yet: what is known is the pairing. */
static json_t *
peers_json(const struct cw_config *config)
{
	json_t *peers = json_array();

	for (size_t i = 0; i < config->peer_count; i++)
		json_array_append_new(
		    peers, json_pack("{s:s, s:b, s:n, s:n}", "name",
			       config->peers[i].name, "connected", 0,
			       "acked_generation", "acked_digest"));
	return peers;
}

/* Whether a replica has all that its seed held. */
static bool
is_complete(const struct facts *f)
{
	return f->import == NULL || strcmp(f->import, "ended") == 0;
}

static json_t *
store_json(const struct cw_config *config, const struct cw_config_store *store,
    const struct facts *f)
{
	bool is_active = strcmp(f->role, CW_ROLE_ACTIVE) == 0;
	json_t *seeds = json_array();

	if (f->info.has_seed)
		json_array_append_new(seeds,
		    json_pack("{s:o, s:I}", "seed_id",
			cw_cli_json_hex(f->info.seed_id, CW_SEED_ID_SIZE),
			"generation", (json_int_t)f->info.seed_generation));
	/*
	 * How far a replica is behind only its active site can say, and there
	 * is no line to it yet.
	 */
	return json_pack(
	    "{s:s, s:o, s:s, s:I, s:I, s:o, s:I, s:I, s:I, s:b, s:o, s:o, s:o, "
	    "s:s?, s:o, s:o, s:[]}",
	    "name", store->name, "id",
	    f->has_catalog ? cw_cli_json_hex(f->info.store_id, CW_STORE_ID_SIZE)
			   : json_null(),
	    "role", f->role, "epoch", (json_int_t)f->info.epoch, "generation",
	    (json_int_t)f->info.generation, "digest",
	    f->has_digest ? cw_cli_json_hex(f->digest, sizeof(f->digest))
			  : json_null(),
	    "entries", (json_int_t)f->info.entries, "bytes",
	    (json_int_t)f->info.bytes, "pending", (json_int_t)f->info.pending,
	    "complete", is_complete(f), "lag_seconds",
	    is_active ? json_integer(0) : json_null(), "behind_entries",
	    is_active ? json_integer(0) : json_null(), "behind_bytes",
	    is_active ? json_integer(0) : json_null(), "follow", store->follow,
	    "peers", peers_json(config), "seeds", seeds, "checks");
}

static void
print_store(const struct cw_config_store *store, const struct facts *f)
{
	char entries[CW_TEXT_MAX], bytes[CW_TEXT_MAX], pending[CW_TEXT_MAX];
	char hex[2 * CW_STATE_SIZE + 1];

	(void)printf("Store %s: %s", store->name, f->role);
	if (store->follow != NULL)
		(void)printf(", a replica of %s", store->follow);
	if (f->info.generation == 0) {
		(void)puts(store->follow == NULL
			       ? "; not scanned yet: `causeway scan` does"
			       : "; nothing received yet: `causeway receive` "
				 "does");
		return;
	}
	cw_text_count(f->info.entries, entries);
	cw_text_bytes(f->info.bytes, bytes);
	(void)printf(", epoch %llu, generation %llu, %s entries, %s\n",
	    (unsigned long long)f->info.epoch,
	    (unsigned long long)f->info.generation, entries, bytes);
	if (!is_complete(f)) {
		(void)fputs("  incomplete", stdout);
		if (f->awaited != NULL)
			(void)printf(
			    "; volumes that have not arrived: %s", f->awaited);
		(void)puts(".  Run `causeway receive` with the media that are "
			   "missing.");
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
	if (f->info.has_seed) {
		cw_hex_encode(f->info.seed_id, CW_SEED_ID_SIZE, hex);
		(void)printf("  seed %s at generation %llu\n", hex,
		    (unsigned long long)f->info.seed_generation);
	}
}

/* Adds a store to the array, or prints it.  -1: its catalog failed. */
static int
show(struct cw_cli *cli, const struct cw_config_store *store, json_t *stores,
    struct cw_error *err)
{
	struct facts f;
	int ret = look(cli->home, store, &f, err);

	if (ret < 0)
		cw_error_context(err, "store %s", store->name);
	else if (cli->json)
		json_array_append_new(
		    stores, store_json(&cli->home->config, store, &f));
	else
		print_store(store, &f);
	free(f.role);
	free(f.import);
	free(f.awaited);
	return ret;
}

static int
status(struct cw_cli *cli, const char *only)
{
	struct cw_error err = CW_ERROR_INIT, first = CW_ERROR_INIT;
	const struct cw_config_store *store = NULL;
	char words[CW_CARD_WORDS_SIZE];
	struct cw_card card;
	json_t *stores, *result;

	if (cw_cli_home(cli, CW_HOME_READ, &err) < 0 ||
	    cw_identity_card(cli->home->state_fd, &card, &err) < 0 ||
	    (only != NULL && cw_home_store(cli->home, only, &store, &err) < 0))
		return cw_cli_fail(cli, &err);
	cw_card_fingerprint_text(&card, words);
	if (!cli->json)
		(void)printf("Site %s, %s\n", card.name, words);
	stores = json_array();
	/* One store that fails does not hide the others. */
	for (size_t i = 0; i < cli->home->config.store_count; i++) {
		const struct cw_config_store *s = &cli->home->config.stores[i];

		if ((store == NULL || store == s) &&
		    show(cli, s, stores, &err) < 0 && first.code == CW_OK)
			first = err;
	}
	result = json_pack("{s:s, s:s, s:o}", "site", card.name, "fingerprint",
	    words, "stores", stores);
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
