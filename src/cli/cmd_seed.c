/*
 * `seed`: its options, and which file does the rest.
 */
#include "base/buf.h"
#include "base/bytes.h"
#include "base/text.h"
#include "cli/cmd_seed.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "formats/volume/volume.h"

#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: causeway seed STORE --for SITE --to DIR... [--to ask]\n"
    "                     [--parity K+M | --survive-media M] "
    "[--volume-size SIZE]\n"
    "                     [--since GENERATION | --since-acked[=SITE]]\n"
    "                     [--recipient age1...]... [--new]\n"
    "       causeway seed list\n"
    "       causeway seed manifest ID [--to FILE]\n"
    "       causeway seed remake ID --medium N --to DIR...\n"
    "       causeway seed close ID|DIR... | slip ID | receipt ID | confirm "
    "LINE\n"
    "\n"
    "Packs a seed: the whole store, sealed for the paired SITE, in volumes on "
    "the media\n"
    "mounted on DIR..., while mail flows.  A seed that was interrupted is gone "
    "on with:\n"
    "run the same command again.  `list` shows seeds; `manifest` prints the "
    "last manifest\n"
    "of one; `remake` makes a lost medium again; `slip`, `close`, `receipt` "
    "and `confirm`\n"
    "are for shipping (`causeway seed slip --help`).\n"
    "\n"
    "  --for SITE         the recovery site; its key can open the seed, this "
    "site's can't\n"
    "  --to DIR           a medium (or its device, LABEL=... or UUID=...); "
    "given several\n"
    "                     times, they are written at once, each to its end\n"
    "  --to ask           asks for another one when all are full: on the "
    "terminal, by the\n"
    "                     hook `medium` of the configuration, or with "
    "--json\n"
    "  --parity K+M       each M parity files protect K volumes against "
    "damage of their\n"
    "                     medium (default 10+1; none: no parity)\n"
    "  --survive-media M  any M of the media may be lost: needs more than M "
    "--to, and all\n"
    "                     of them until the end\n"
    "  --volume-size SIZE 64k to 4G; 256M unless given, less on small media\n"
    "  --since GENERATION an increment: only what changed after a generation "
    "that SITE\n"
    "                     has; `receive` applies it to the replica there\n"
    "  --since-acked[=SITE]  the same, since what SITE (default: --for) has "
    "acknowledged\n"
    "  --recipient KEY    a further age key that can open it (escrow)\n"
    "  --builders N       volumes that are built at once (default: one a "
    "core)\n"
    "  --new              give up an unfinished seed instead of going on\n"
    "\n"
    "Example: causeway seed mail --for shreveport --to /mnt/disk1\n"
    "Next: unmount and mount the disk, `causeway seed close /mnt/disk1` (may "
    "it "
    "go?),\n"
    "`causeway seed slip ID`; at the recovery site `causeway receive "
    "/mnt/disk1 "
    "--root DIR`.\n";

enum {
	OPT_FOR = 256,
	OPT_TO,
	OPT_PARITY,
	OPT_SURVIVE,
	OPT_VOLUME_SIZE,
	OPT_RECIPIENT,
	OPT_BUILDERS,
	OPT_NEW,
	OPT_SINCE,
	OPT_SINCE_ACKED
};

static const struct option options[] = {
    {"for", required_argument, NULL, OPT_FOR},
    {"to", required_argument, NULL, OPT_TO},
    {"parity", required_argument, NULL, OPT_PARITY},
    {"survive-media", required_argument, NULL, OPT_SURVIVE},
    {"volume-size", required_argument, NULL, OPT_VOLUME_SIZE},
    {"recipient", required_argument, NULL, OPT_RECIPIENT},
    {"builders", required_argument, NULL, OPT_BUILDERS},
    {"new", no_argument, NULL, OPT_NEW},
    {"since", required_argument, NULL, OPT_SINCE},
    {"since-acked", optional_argument, NULL, OPT_SINCE_ACKED},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static const struct {
	const char *name;
	int (*run)(struct cw_cli *cli, int argc, char **argv);
} subcommands[] = {
    {"list", cmd_seed_list},
    {"manifest", cmd_seed_manifest},
    {"remake", cmd_seed_remake},
    {"close", cmd_seed_close},
    {"slip", cmd_seed_slip},
    {"receipt", cmd_seed_receipt},
    {"confirm", cmd_seed_confirm},
};

static int
take_recipient(struct cw_cli *cli, struct cw_seed_request *q, const char *text)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_age_recipient r;

	/* One place stays for the site itself. */
	if (q->recipient_count + 1 >= CW_AGE_RECIPIENTS_MAX)
		return cw_cli_usage_error(cli, usage,
		    "at most %u recipients can open a seed",
		    CW_AGE_RECIPIENTS_MAX);
	if (cw_age_recipient_parse(text, &r, &err) < 0)
		return cw_cli_usage_error(
		    cli, usage, "--recipient %s: %s", text, err.message);
	cw_cli_seed_recipient(q, &r, false);
	return 0;
}

static int
take_size(struct cw_cli *cli, struct cw_seed_request *q, const char *text)
{

	if (!cw_size_parse(text, &q->volume_size) ||
	    q->volume_size < CW_VOLUME_SIZE_MIN ||
	    q->volume_size > CW_VOLUME_SIZE_MAX)
		return cw_cli_usage_error(cli, usage,
		    "--volume-size %s: it is a size from 64k to 4G, like 256M",
		    text);
	return 0;
}

/* --parity K+M, or none. */
static int
take_parity(struct cw_cli *cli, struct cw_seed_request *q, const char *text)
{
	const char *plus = strchr(text, '+');
	uint64_t k, m;

	q->has_parity = true;
	q->parity_k = q->parity_m = 0;
	if (strcmp(text, "none") == 0)
		return 0;
	if (plus == NULL ||
	    !cw_decimal_parse(
		text, (size_t)(plus - text), CW_MANIFEST_PARITY_MAX, &k) ||
	    !cw_decimal_parse(
		plus + 1, strlen(plus + 1), CW_MANIFEST_PARITY_MAX, &m) ||
	    k == 0 || m == 0 || k + m > CW_MANIFEST_PARITY_MAX)
		return cw_cli_usage_error(cli, usage,
		    "--parity %s: it is K+M, like 10+1 (M parity files for K "
		    "volumes, together at most %u), or none",
		    text, CW_MANIFEST_PARITY_MAX);
	q->parity_k = (uint32_t)k;
	q->parity_m = (uint32_t)m;
	return 0;
}

static int
take_survive(struct cw_cli *cli, struct cw_seed_request *q, const char *text)
{
	uint64_t m;

	if (!cw_decimal_parse(
		text, strlen(text), CW_MANIFEST_PARITY_MAX - 1, &m) ||
	    m == 0)
		return cw_cli_usage_error(cli, usage,
		    "--survive-media %s: how many media may be lost, from 1",
		    text);
	q->survive_media = (uint32_t)m;
	return 0;
}

/* What several options say together. */
static int
check(struct cw_cli *cli, struct cw_seed_request *q)
{
	uint32_t n = (uint32_t)q->to_count;

	if (q->survive_media == 0)
		return 0;
	if (q->has_parity)
		return cw_cli_usage_error(cli, usage,
		    "--survive-media makes its own parity: leave out "
		    "--parity");
	if (q->has_ask) {
		struct cw_error err = CW_ERROR_INIT;

		cw_error_set(&err, CW_ERR_REFUSED,
		    "--survive-media spreads each group over all media, so "
		    "all of them must be attached: give each with --to, and "
		    "leave out --to ask");
		return cw_cli_fail(cli, &err);
	}
	if (n <= q->survive_media || n > CW_MANIFEST_PARITY_MAX)
		return cw_cli_usage_error(cli, usage,
		    "--survive-media %u needs more than %u media, and %u were "
		    "given with --to",
		    q->survive_media, q->survive_media, n);
	q->has_parity = true;
	q->parity_k = n - q->survive_media;
	q->parity_m = q->survive_media;
	return 0;
}

static int
parse(struct cw_cli *cli, struct cw_seed_request *q, int argc, char **argv)
{
	unsigned long n;
	char *end;
	int opt, ret = 0;

	while (ret == 0 &&
	       (opt = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		switch (opt) {
		case OPT_FOR:
			if (q->site != NULL)
				ret = cw_cli_usage_error(cli, usage,
				    "--for names one site; for whoever else "
				    "is to open the seed there is --recipient");
			q->site = optarg;
			break;
		case OPT_TO:
			if (strcmp(optarg, "ask") == 0)
				q->has_ask = true;
			else
				q->to[q->to_count++] = optarg;
			break;
		case OPT_PARITY:
			ret = take_parity(cli, q, optarg);
			break;
		case OPT_SURVIVE:
			ret = take_survive(cli, q, optarg);
			break;
		case OPT_VOLUME_SIZE:
			ret = take_size(cli, q, optarg);
			break;
		case OPT_RECIPIENT:
			ret = take_recipient(cli, q, optarg);
			break;
		case OPT_BUILDERS:
			n = strtoul(optarg, &end, 10);
			if (*end != '\0' || n < 1 || n > 16)
				ret = cw_cli_usage_error(cli, usage,
				    "--builders takes a number from 1 to 16");
			q->builders = (unsigned)n;
			break;
		case OPT_NEW:
			q->is_new = true;
			break;
		case OPT_SINCE:
			if (!cw_decimal_parse(
				optarg, strlen(optarg), INT64_MAX, &q->since) ||
			    q->since == 0)
				ret = cw_cli_usage_error(cli, usage,
				    "--since takes a generation from 1 on; a "
				    "full seed needs no --since");
			break;
		case OPT_SINCE_ACKED:
			q->since_acked = true;
			q->acked_by = optarg;
			break;
		case 'h':
			(void)cw_cli_help(usage);
			return -1;
		default:
			ret = cw_cli_bad_option(cli, usage, opt, argv);
		}
	}
	return ret;
}

int
cmd_seed(struct cw_cli *cli, int argc, char **argv)
{
	struct cw_seed_request q = {.store = NULL};
	int status;

	for (size_t i = 0; i < sizeof(subcommands) / sizeof(*subcommands); i++)
		if (argc > 1 && strcmp(argv[1], subcommands[i].name) == 0)
			return subcommands[i].run(cli, argc - 1, argv + 1);
	/* Every argument may be a directory. */
	q.to = cw_calloc((size_t)argc, sizeof(*q.to));
	status = parse(cli, &q, argc, argv);
	if (status != 0) {
		status = status < 0 ? 0 : status;
		goto out;
	}
	argv += optind;
	argc -= optind;
	if (argc < 1 || q.site == NULL || (q.to_count == 0 && !q.has_ask)) {
		status = cw_cli_usage_error(cli, usage,
		    argc < 1	     ? "seed takes the name of a store"
		    : q.site == NULL ? "seed needs --for SITE: a paired site "
				       "(`causeway pair CARD`)"
				     : "seed needs --to DIR: where the "
				       "medium is mounted; or --to ask");
		goto out;
	}
	/* `--to A B C`: what follows the store are media too. */
	q.store = argv[0];
	for (int i = 1; i < argc; i++)
		q.to[q.to_count++] = argv[i];
	status = check(cli, &q);
	if (status == 0)
		status = cw_cli_seed_pack(cli, &q);
out:
	free(q.to);
	return status;
}
