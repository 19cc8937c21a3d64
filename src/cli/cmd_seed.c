#include "base/buf.h"
#include "base/bytes.h"
#include "base/fs.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/progress_line.h"
#include "site/generation.h"
#include "formats/volume/volume.h"
#include "media/set.h"
#include "seed/ledger.h"
#include "seed/pack.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char usage[] =
    "usage: causeway seed STORE --for SITE --to DIR... [--volume-size SIZE]\n"
    "                     [--recipient age1...]... [--new]\n"
    "       causeway seed list\n"
    "       causeway seed manifest ID\n"
    "\n"
    "Packs a seed: the whole store, sealed for the paired SITE, in volumes on "
    "the media\n"
    "mounted on DIR..., while mail flows.  A seed that was interrupted is gone "
    "on with:\n"
    "run the same command again.  `list` shows seeds; `manifest` prints the "
    "final\n"
    "manifest of one.\n"
    "\n"
    "  --for SITE         the recovery site; its key can open the seed, this "
    "site's can't\n"
    "  --to DIR           a medium; given several times, they are filled in "
    "turn\n"
    "  --volume-size SIZE 256M unless given (64k to 4G)\n"
    "  --recipient KEY    a further age key that can open it (escrow)\n"
    "  --builders N       volumes that are built at once (default: one a "
    "core)\n"
    "  --new              give up an unfinished seed instead of going on\n"
    "\n"
    "Example: causeway seed mail --for shreveport --to /mnt/disk1\n"
    "Next: `causeway verify /mnt/disk1`, then ship the disk; at the recovery "
    "site\n"
    "`causeway receive /mnt/disk1 --root DIR`.\n";

enum {
	OPT_FOR = 256,
	OPT_TO,
	OPT_VOLUME_SIZE,
	OPT_RECIPIENT,
	OPT_BUILDERS,
	OPT_NEW
};

static const struct option options[] = {
    {"for", required_argument, NULL, OPT_FOR},
    {"to", required_argument, NULL, OPT_TO},
    {"volume-size", required_argument, NULL, OPT_VOLUME_SIZE},
    {"recipient", required_argument, NULL, OPT_RECIPIENT},
    {"builders", required_argument, NULL, OPT_BUILDERS},
    {"new", no_argument, NULL, OPT_NEW},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* What the command line says. */
struct request {
	const char *store, *site;
	const char **to;
	size_t to_count;
	struct cw_age_recipient recipients[CW_AGE_RECIPIENTS_MAX];
	size_t recipient_count; /* the site's is put first */
	uint64_t volume_size;
	unsigned builders;
	bool is_new;
};

static json_t *
media_json(const struct cw_pack_result *r)
{
	json_t *media = json_array();

	for (size_t i = 0; i < r->media_count; i++) {
		const struct cw_pack_medium *m = &r->media[i];

		json_array_append_new(media,
		    json_pack("{s:I, s:o, s:o, s:I, s:I}", "medium",
			(json_int_t)m->number, "path",
			cw_cli_json_text(m->path, strlen(m->path)), "label",
			cw_cli_json_text(m->label, strlen(m->label)), "volumes",
			(json_int_t)m->volumes, "bytes", (json_int_t)m->bytes));
	}
	return media;
}

static json_t *
to_json(const struct cw_pack_result *r, double seconds)
{
	return json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:f, s:o, "
			 "s:b, s:I, s:I, s:I, s:I}",
	    "seed_id", cw_cli_json_hex(r->seed_id, CW_SEED_ID_SIZE),
	    "generation", (json_int_t)r->generation, "entries",
	    (json_int_t)r->entries, "bytes_read", (json_int_t)r->bytes_read,
	    "bytes_written", (json_int_t)r->bytes_written, "volumes",
	    (json_int_t)r->volumes, "parity_shards", (json_int_t)0, "media",
	    media_json(r), "seconds", seconds, "manifest_sha256",
	    cw_cli_json_hex(r->manifest_sha256, 32), "resumed", r->is_resumed,
	    "passes", (json_int_t)r->passes, "moving", (json_int_t)r->moving,
	    "unreadable", (json_int_t)r->unreadable, "bytes",
	    (json_int_t)r->bytes);
}

static void
say(struct cw_cli *cli, const struct request *q, const struct cw_pack_result *r,
    double seconds)
{
	char id[CW_SEED_ID_TEXT], entries[CW_TEXT_MAX], bytes[CW_TEXT_MAX];
	char written[CW_TEXT_MAX], took[CW_TEXT_MAX], rate[CW_TEXT_MAX];
	char sha[65];

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
	cw_cli_say(cli, "  %s entries, %s of content; %s in %" PRIu64
			" volumes; %s (%s/s)",
	    entries, bytes, written, r->volumes, took, rate);
	for (size_t i = 0; i < r->media_count; i++) {
		const struct cw_pack_medium *m = &r->media[i];

		cw_text_bytes(m->bytes, written);
		cw_cli_say(cli, "  medium %u in %s%s%s: %" PRIu64
				" volumes, %s",
		    m->number, m->path, m->label[0] == '\0' ? "" : ", label ",
		    m->label, m->volumes, written);
	}
	cw_cli_say(cli, "  manifest SHA-256 %s", sha);
	if (r->moving > 0)
		cw_cli_warn(cli,
		    "%" PRIu64 " files changed while they were read, each time "
		    "they were read; they are in the seed as they were found",
		    r->moving);
	cw_cli_say(cli,
	    "Next: unmount and mount the media again, `causeway verify DIR...`,"
	    " then ship them.");
}

static int
finish(struct cw_cli *cli, const struct request *q,
    const struct cw_pack_result *r, double seconds)
{
	struct cw_error err = CW_ERROR_INIT;

	if (!cli->json)
		say(cli, q, r, seconds);
	if (r->unreadable > 0) {
		cw_error_set(&err, CW_ERR_MISSING,
		    "%" PRIu64 " files are not in the seed, all others are. "
		    "The first: %s",
		    r->unreadable, r->first_unreadable.message);
		return cw_cli_fail_with(cli,
		    cli->json ? to_json(r, seconds) : NULL, &err);
	}
	return cli->json ? cw_cli_emit(cli, to_json(r, seconds)) : 0;
}

/* The roots as a scan takes them; pointers are the configuration's. */
static struct cw_scan_root *
scan_roots(const struct cw_config_store *store)
{
	struct cw_scan_root *roots =
	    cw_calloc(store->root_count, sizeof(*roots));

	for (size_t i = 0; i < store->root_count; i++) {
		roots[i].name = store->roots[i].name;
		roots[i].path = store->roots[i].path;
		roots[i].format = store->format;
	}
	return roots;
}

static void
add_recipient(struct request *q, const struct cw_age_recipient *r, bool first)
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

static int
pack(struct cw_cli *cli, struct request *q)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_progress progress = {.what = NULL};
	const struct cw_config_store *store;
	const struct cw_config_peer *peer;
	struct cw_minisign_secret *secret = NULL;
	struct cw_progress_line *line;
	struct cw_pack_options o = {0};
	struct cw_pack_result result = {0};
	struct cw_scan_root *roots = NULL;
	struct cw_age_recipient site;
	struct timespec from, to;
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
		return cw_cli_fail(cli, &err);
	memcpy(site.point, peer->card.age_point, 32);
	add_recipient(q, &site, true);
	roots = scan_roots(store);
	catalog_path = cw_home_catalog_path(cli->home, q->store);
	seeds_path = cw_asprintf("%s/seeds", cli->home->state_path);
	if (cw_cli_signing_key(cli, &secret, &err) < 0 ||
	    cw_cli_lock_store(cli, q->store, &lock, &err) < 0 ||
	    cw_home_catalog(cli->home, store, CW_CATALOG_WRITE, &o.catalog,
		&err) < 0) {
		status = cw_cli_fail_resumable(cli, &err);
		goto out;
	}
	o.catalog_path = catalog_path;
	o.seeds_path = seeds_path;
	o.roots = roots;
	o.root_count = store->root_count;
	o.excludes = (const char *const *)store->excludes;
	o.exclude_count = store->exclude_count;
	o.peer = q->site;
	o.recipients = q->recipients;
	o.recipient_count = q->recipient_count;
	o.volume_size = q->volume_size;
	o.to = q->to;
	o.to_count = q->to_count;
	o.is_new = q->is_new;
	o.secret = secret;
	o.card = &own;
	o.builders = q->builders;
	o.progress = &progress;

	(void)clock_gettime(CLOCK_MONOTONIC, &from);
	line = cw_progress_line_begin(cli, &progress);
	ret = cw_pack(&o, &result, &err);
	cw_progress_line_end(line);
	(void)clock_gettime(CLOCK_MONOTONIC, &to);
	if (ret < 0)
		status = cw_cli_fail_resumable(cli, &err);
	else
		status = finish(cli, q, &result,
		    (double)(to.tv_sec - from.tv_sec) +
			(double)(to.tv_nsec - from.tv_nsec) / 1e9);
out:
	cw_pack_free(&result);
	cw_catalog_close(o.catalog);
	cw_close(&lock);
	cw_minisign_secret_free(secret);
	free(roots);
	free(catalog_path);
	free(seeds_path);
	return status;
}

/* ---- seed list, seed manifest ---- */

static json_t *
ledger_json(const char *id, const struct cw_ledger *l, uint64_t bytes)
{
	char time[CW_TIME_TEXT];

	cw_time_format(l->time, time);
	return json_pack("{s:s, s:s, s:s, s:I, s:s, s:I, s:I, s:I}", "seed_id",
	    id, "for", l->peer, "state",
	    l->is_finished ? "sealed" : "unfinished", "generation",
	    (json_int_t)l->generation, "time", time, "volumes",
	    (json_int_t)l->volume_count, "bytes", (json_int_t)bytes, "media",
	    (json_int_t)l->last_medium);
}

static int
list_one(struct cw_cli *cli, int seeds, const char *id, json_t *array)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_ledger l;
	char bytes[CW_TEXT_MAX], time[CW_TIME_TEXT];
	uint64_t sum = 0;
	int dir, ret;

	dir = openat(seeds, id, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return 0;
	ret = cw_ledger_read(dir, &l, &err);
	(void)close(dir);
	if (ret < 0)
		cw_cli_warn(cli, "seed %s: %s", id, err.message);
	if (ret != 0)
		return 0;
	for (size_t i = 0; i < l.volume_count; i++)
		sum += l.volumes[i].size;
	if (array != NULL)
		json_array_append_new(array, ledger_json(id, &l, sum));
	cw_text_bytes(sum, bytes);
	cw_time_format(l.time, time);
	cw_cli_say(cli, "%s  for %s, %s, begun %s, generation %" PRIu64
			", %zu volumes, %s on %u %s",
	    id, l.peer, l.is_finished ? "sealed" : "unfinished", time,
	    l.generation, l.volume_count, bytes, l.last_medium,
	    l.last_medium == 1 ? "medium" : "media");
	cw_ledger_close(&l);
	return 1;
}

static int
list(struct cw_cli *cli)
{
	struct cw_error err = CW_ERROR_INIT;
	json_t *array = cli->json ? json_array() : NULL;
	struct dirent *entry;
	int seeds, found = 0;
	DIR *dir = NULL;

	if (cw_cli_home(cli, CW_HOME_READ, &err) < 0)
		return cw_cli_fail(cli, &err);
	seeds = openat(cli->home->state_fd, "seeds",
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = seeds < 0 ? NULL : fdopendir(seeds);
	while (dir != NULL && (entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.')
			found += list_one(cli, seeds, entry->d_name, array);
	if (dir != NULL)
		closedir(dir);
	if (found == 0)
		cw_cli_say(cli, "No seeds yet: `causeway seed STORE --for SITE "
				"--to DIR` packs one.");
	return cli->json ? cw_cli_emit(cli, json_pack("{s:o}", "seeds", array)) :
			   0;
}

static int
manifest(struct cw_cli *cli, const char *id)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_buf text = CW_BUF_INIT;
	uint8_t seed[CW_SEED_ID_SIZE];
	int ret, status = 0;
	char *name;

	if (!cw_hex_decode(id, strlen(id), seed, sizeof(seed)))
		return cw_cli_usage_error(cli, usage,
		    "a seed's id is 16 hexadecimal digits: see `causeway seed "
		    "list`");
	if (cw_cli_home(cli, CW_HOME_READ, &err) < 0)
		return cw_cli_fail(cli, &err);
	name = cw_asprintf("seeds/%s/" CW_SET_MANIFEST, id);
	ret = cw_read_file(cli->home->state_fd, name, CW_MANIFEST_TEXT_MAX,
	    &text, &err);
	free(name);
	if (ret == 1)
		cw_error_set(&err, CW_ERR_MISSING,
		    "this site has no finished seed %s: see `causeway seed "
		    "list`",
		    id);
	if (ret != 0)
		status = cw_cli_fail(cli, &err);
	else if (cli->json)
		status = cw_cli_emit(cli,
		    json_pack("{s:s, s:o}", "seed_id", id, "manifest",
			cw_cli_json_text((const char *)text.data, text.len)));
	else
		(void)fwrite(text.data, 1, text.len, stdout);
	cw_buf_free(&text);
	return status;
}

/* ---- arguments ---- */

static int
take_recipient(struct cw_cli *cli, struct request *q, const char *text)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_age_recipient r;

	/* One place stays for the site itself. */
	if (q->recipient_count + 1 >= CW_AGE_RECIPIENTS_MAX)
		return cw_cli_usage_error(cli, usage,
		    "at most %u recipients can open a seed",
		    CW_AGE_RECIPIENTS_MAX);
	if (cw_age_recipient_parse(text, &r, &err) < 0)
		return cw_cli_usage_error(cli, usage, "--recipient %s: %s",
		    text, err.message);
	add_recipient(q, &r, false);
	return 0;
}

static int
take_size(struct cw_cli *cli, struct request *q, const char *text)
{

	if (!cw_size_parse(text, &q->volume_size) ||
	    q->volume_size < CW_VOLUME_SIZE_MIN ||
	    q->volume_size > CW_VOLUME_SIZE_MAX)
		return cw_cli_usage_error(cli, usage,
		    "--volume-size %s: it is a size from 64k to 4G, like 256M",
		    text);
	return 0;
}

static int
parse(struct cw_cli *cli, struct request *q, int argc, char **argv)
{
	unsigned long n;
	char *end;
	int opt, ret = 0;

	while (ret == 0 &&
	    (opt = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		switch (opt) {
		case OPT_FOR:
			q->site = optarg;
			break;
		case OPT_TO:
			q->to[q->to_count++] = optarg;
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
	struct request q = {0};
	int status;

	/* Every argument may be a directory. */
	q.to = cw_calloc((size_t)argc, sizeof(*q.to));
	status = parse(cli, &q, argc, argv);
	if (status != 0) {
		status = status < 0 ? 0 : status;
		goto out;
	}
	argv += optind;
	argc -= optind;
	if (argc == 1 && strcmp(argv[0], "list") == 0 && q.to_count == 0) {
		status = list(cli);
	} else if (argc == 2 && strcmp(argv[0], "manifest") == 0) {
		status = manifest(cli, argv[1]);
	} else if (argc < 1 || q.site == NULL || q.to_count == 0) {
		status = cw_cli_usage_error(cli, usage,
		    argc < 1	       ? "seed takes the name of a store" :
			q.site == NULL ? "seed needs --for SITE: a paired site "
					 "(`causeway pair CARD`)" :
					 "seed needs --to DIR: where the "
					 "medium is mounted");
	} else {
		/* `--to A B C`: what follows the store are media too. */
		q.store = argv[0];
		for (int i = 1; i < argc; i++)
			q.to[q.to_count++] = argv[i];
		status = pack(cli, &q);
	}
out:
	free(q.to);
	return status;
}
