/*
 * `seed remake`: a medium that was lost, made again alone.
 */
#include "base/buf.h"
#include "base/bytes.h"
#include "base/fs.h"
#include "cli/cmd_seed.h"
#include "cli/output.h"
#include "media/set.h"
#include "seed/ledger.h"
#include "store/catalog.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: causeway seed remake ID --medium N --to DIR...\n"
    "\n"
    "Makes a medium of a seed again that was lost, finished seed or not: what "
    "was on it\n"
    "is packed anew from the store as it is now, onto an empty medium.  The "
    "other media\n"
    "stay valid; those that are given too get the new catalog and manifest.\n"
    "\n"
    "  --medium N         which medium of the seed was lost, from 1\n"
    "  --to DIR           the empty medium; and, given again, other media of "
    "the seed that\n"
    "                     are still here\n"
    "\n"
    "Example: causeway seed remake 0123456789abcdef --medium 2 --to "
    "/mnt/disk4\n"
    "Where the seed was made with --survive-media, `causeway repair DIR... "
    "--to NEWDIR`\n"
    "rebuilds a lost medium from the others, without the store.\n";

enum { OPT_MEDIUM = 256, OPT_TO };

static const struct option options[] = {
    {"medium", required_argument, NULL, OPT_MEDIUM},
    {"to", required_argument, NULL, OPT_TO},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static int
read_ledger(struct cw_cli *cli, const char *id, struct cw_ledger *l,
    struct cw_error *err)
{
	char *path = cw_asprintf("seeds/%s", id);
	int dir = openat(
	    cli->home->state_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int ret = dir < 0 ? 1 : cw_ledger_read(dir, l, err);

	cw_close(&dir);
	free(path);
	if (ret == 1)
		return cw_error_set(err, CW_ERR_MISSING,
		    "this site has no seed %s: see `causeway seed list`", id);
	return ret;
}

/*
 * The store that a seed is of.  Which entry is in which volume, its catalog
 * knows of the last seed only.
 */
static int
find_store(struct cw_cli *cli, const char *id, const struct cw_ledger *l,
    const struct cw_config_store **out, struct cw_error *err)
{
	const struct cw_config *config = &cli->home->config;

	*out = NULL;
	for (size_t i = 0; i < config->store_count && *out == NULL; i++) {
		const struct cw_config_store *store = &config->stores[i];
		struct cw_error why = CW_ERROR_INIT;
		struct cw_catalog *c = NULL;
		const struct cw_catalog_info *info;

		if (cw_home_catalog(
			cli->home, store, CW_CATALOG_READ, &c, &why) < 0 ||
		    c == NULL)
			continue; /* never scanned: it has no seeds */
		info = cw_catalog_info(c);
		if (info->has_seed &&
		    memcmp(info->seed_id, l->seed_id, CW_SEED_ID_SIZE) == 0)
			*out = store;
		cw_catalog_close(c);
	}
	if (*out != NULL)
		return 0;
	return cw_error_set(err, CW_ERR_REFUSED,
	    "seed %s is not the last one of its store, and what was on its "
	    "media is not known any more: pack a new seed with `causeway seed "
	    "STORE --for %s --to DIR`",
	    id, l->peer);
}

/* What the seed began with. */
static void
fill_request(struct cw_seed_request *q, const struct cw_ledger *l)
{
	q->site = l->peer;
	q->since = l->base;
	for (uint32_t i = 0; i < l->recipient_count; i++) {
		struct cw_age_recipient r;

		memcpy(r.point, l->recipients[i], sizeof(r.point));
		cw_cli_seed_recipient(q, &r, false);
	}
}

static int
remake(struct cw_cli *cli, const char *id, struct cw_seed_request *q)
{
	const struct cw_config_store *store;
	struct cw_error err = CW_ERROR_INIT;
	struct cw_ledger l;
	int status;

	if (cw_cli_home(cli, CW_HOME_WRITE, &err) < 0 ||
	    read_ledger(cli, id, &l, &err) < 0)
		return cw_cli_fail(cli, &err);
	if (find_store(cli, id, &l, &store, &err) < 0) {
		status = cw_cli_fail(cli, &err);
	} else {
		q->store = store->name;
		fill_request(q, &l);
		status = cw_cli_seed_pack(cli, q);
	}
	cw_ledger_close(&l);
	return status;
}

int
cmd_seed_remake(struct cw_cli *cli, int argc, char **argv)
{
	struct cw_seed_request q = {.store = NULL};
	uint8_t id[CW_SEED_ID_SIZE];
	uint64_t medium = 0;
	int opt, status = 0;

	q.to = cw_calloc((size_t)argc, sizeof(*q.to));
	optind = 0;
	while (status == 0 &&
	       (opt = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		switch (opt) {
		case OPT_MEDIUM:
			if (!cw_decimal_parse(optarg, strlen(optarg),
				CW_MANIFEST_MEDIA_MAX, &medium) ||
			    medium == 0)
				status = cw_cli_usage_error(cli, usage,
				    "--medium takes the number of a medium, "
				    "from 1");
			break;
		case OPT_TO:
			q.to[q.to_count++] = optarg;
			break;
		case 'h':
			free(q.to);
			return cw_cli_help(usage);
		default:
			status = cw_cli_bad_option(cli, usage, opt, argv);
		}
	}
	q.remake = (uint32_t)medium;
	if (status != 0)
		goto out;
	argv += optind;
	argc -= optind;
	if (argc < 1 ||
	    !cw_hex_decode(argv[0], strlen(argv[0]), id, sizeof(id)))
		status = cw_cli_usage_error(cli, usage,
		    "seed remake takes a seed's id, 16 hexadecimal digits: "
		    "see `causeway seed list`");
	else if (medium == 0)
		status = cw_cli_usage_error(cli, usage,
		    "seed remake needs --medium N: which one was lost");
	else {
		/* `--to A B`: what follows the id are media too. */
		for (int i = 1; i < argc; i++)
			q.to[q.to_count++] = argv[i];
		if (q.to_count == 0)
			status = cw_cli_usage_error(cli, usage,
			    "seed remake needs --to DIR: where the empty "
			    "medium is mounted");
		else
			status = remake(cli, argv[0], &q);
	}
out:
	free(q.to);
	return status;
}
