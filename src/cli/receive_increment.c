#include "cli/receive_increment.h"

#include "base/bytes.h"
#include "base/text.h"
#include "cli/output.h"
#include "site/role.h"

#include <inttypes.h>
#include <string.h>

/* Is the store's catalog that of the seed's store? */
static bool
is_of_store(struct cw_cli *cli, const struct cw_config_store *store,
    const uint8_t store_id[CW_STORE_ID_SIZE])
{
	struct cw_catalog *c = NULL;
	bool is_it;

	if (!cw_home_has_catalog(cli->home, store) ||
	    cw_home_catalog(cli->home, store, CW_CATALOG_READ, &c, NULL) < 0)
		return false;
	is_it = memcmp(cw_catalog_info(c)->store_id, store_id,
		    CW_STORE_ID_SIZE) == 0;
	cw_catalog_close(c);
	return is_it;
}

static int
find_store(struct cw_cli *cli, const struct cw_set *set, const char *name,
    const struct cw_config_store **out, struct cw_error *err)
{
	const struct cw_config *config = &cli->home->config;

	if (name != NULL)
		return cw_home_store(cli->home, name, out, err);
	for (size_t i = 0; i < config->store_count; i++) {
		*out = &config->stores[i];
		if (is_of_store(cli, *out, set->manifest.store_id))
			return 0;
	}
	return cw_error_set(err, CW_ERR_REFUSED,
	    "seed %s is an increment on generation %" PRIu64
	    ", and this site has no replica of its store: receive a full seed "
	    "first (`causeway seed` without --since at the active site), or "
	    "`causeway store add STORE --follow SITE` and `causeway sync`",
	    set->seed_text, set->manifest.base);
}

int
cw_cli_receive_increment(struct cw_cli *cli, const struct cw_set *set,
    struct cw_import_options *o, struct cw_error *err)
{
	const struct cw_config_store *store;
	struct cw_import_root *roots;
	struct cw_role role;
	const char *is;
	bool is_standby;

	/* Whom nobody trusts is told so by the import. */
	if (!set->is_trusted)
		return 0;
	if (o->root_count > 0)
		return cw_error_set(err, CW_ERR_USAGE,
		    "seed %s is an increment: it goes where the replica is, "
		    "leave out --root",
		    set->seed_text);
	if (find_store(cli, set, o->store, &store, err) < 0)
		return -1;
	if (cw_home_role(cli->home, store, NULL, &role, err) < 0)
		return -1;
	is_standby = role.is == CW_ROLE_IS_STANDBY && role.fork == CW_FORK_NONE;
	is = cw_role_name(role.is);
	cw_role_free(&role);
	if (!is_standby)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "store %s is %s at this site%s: an increment is received "
		    "where the store follows",
		    store->name, is,
		    strcmp(is, "standby") == 0
			? " and has generations that the active site does not "
			  "have (`causeway sync` puts them aside)"
			: "");
	roots = cw_calloc(store->root_count, sizeof(*roots));
	for (size_t i = 0; i < store->root_count; i++) {
		roots[i].name = store->roots[i].name;
		roots[i].path = store->roots[i].path;
	}
	o->store = store->name;
	o->roots = roots;
	o->root_count = store->root_count;
	return 0;
}

void
cw_cli_say_increment(struct cw_cli *cli, const struct cw_set *set,
    const struct cw_import_result *r, double seconds)
{
	char removed[CW_TEXT_MAX], placed[CW_TEXT_MAX], took[CW_TEXT_MAX];
	char wanted[CW_TEXT_MAX], digest[2 * CW_STATE_SIZE + 1];

	cw_hex_encode(r->digest, sizeof(r->digest), digest);
	cw_text_count(r->removed, removed);
	cw_text_count(r->placed, placed);
	cw_text_count(r->wanted, wanted);
	cw_text_seconds(seconds, took);
	if (r->is_repeated)
		cw_cli_say(cli,
		    "Store %s is at generation %" PRIu64
		    " already: increment %s is in it, nothing to be done.",
		    r->store, r->generation, set->seed_text);
	else
		cw_cli_say(cli,
		    "Increment %s is applied%s: store %s went from generation "
		    "%" PRIu64 " to %" PRIu64 " (%s).",
		    set->seed_text, r->wanted > 0 ? " in part" : "", r->store,
		    r->from, r->generation, took);
	cw_cli_say(cli,
	    "  %s files placed, %s entries gone or replaced; state digest %s",
	    placed, removed, digest);
	if (r->wanted > 0)
		cw_cli_say(cli,
		    "  %s files have not arrived: the next `causeway sync` "
		    "fetches them",
		    wanted);
}
