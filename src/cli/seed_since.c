#include "cli/seed_since.h"

#include "base/fs.h"
#include "site/receipts.h"
#include "store/peer.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What the link told. */
static int
by_link(struct cw_cli *cli, const char *store, const char *site,
    uint64_t *since, struct cw_error *err)
{
	struct cw_peer peer;
	int dir = cw_home_open_store_dir(cli->home, store, err);
	int ret = dir < 0 ? -1 : cw_peer_load(dir, site, &peer, err);

	if (ret == 0 && peer.has_acked)
		*since = peer.acked_generation;
	cw_close(&dir);
	return ret < 0 ? -1 : 0;
}

/* What the receipts of this store's seeds tell. */
static void
by_receipts(struct cw_cli *cli, const struct cw_catalog_info *store,
    const struct cw_card *card, uint64_t *since)
{
	uint8_t site[CW_CARD_FINGERPRINT_SIZE];
	struct dirent *entry;
	int seeds = openat(
	    cli->home->state_fd, "seeds", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = seeds < 0 ? NULL : fdopendir(seeds);

	cw_card_fingerprint(card, site);
	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		struct cw_receipt r[CW_RECEIPTS_SITES_MAX];
		size_t count =
		    entry->d_name[0] == '.'
			? 0
			: cw_receipts_of_seed(cli->home, entry->d_name, r,
			      CW_RECEIPTS_SITES_MAX);

		for (size_t i = 0; i < count; i++)
			if (memcmp(r[i].site, site, sizeof(site)) == 0 &&
			    memcmp(r[i].store_id, store->store_id,
				CW_STORE_ID_SIZE) == 0 &&
			    r[i].generation > *since)
				*since = r[i].generation;
	}
	if (dir != NULL)
		closedir(dir);
}

int
cw_cli_seed_since(struct cw_cli *cli, const struct cw_config_store *store,
    const char *site, uint64_t *since, struct cw_error *err)
{
	const struct cw_config_peer *peer;
	struct cw_catalog *c = NULL;

	*since = 0;
	if (cw_home_peer(cli->home, site, &peer, err) < 0 ||
	    cw_home_catalog(cli->home, store, CW_CATALOG_READ, &c, err) < 0)
		return -1;
	by_receipts(cli, cw_catalog_info(c), &peer->card, since);
	cw_catalog_close(c);
	{
		uint64_t told = 0;

		if (by_link(cli, store->name, site, &told, err) < 0)
			return -1;
		if (told > *since)
			*since = told;
	}
	if (*since > 0)
		return 0;
	return cw_error_set(err, CW_ERR_REFUSED,
	    "site %s has not acknowledged any generation of store %s, neither "
	    "over the link nor by a receipt (`causeway seed confirm`): if you "
	    "know which seed it has received, give that one's generation "
	    "(`causeway seed list`) with --since",
	    site, store->name);
}
