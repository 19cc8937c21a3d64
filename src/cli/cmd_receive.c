#include "base/buf.h"
#include "base/bytes.h"
#include "base/fs.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/progress_line.h"
#include "media/set.h"
#include "seed/custody_file.h"
#include "seed/import.h"
#include "seed/import_bare.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SHOWN_MAX 10u

static const char usage[] =
    "usage: causeway receive DIR... --root [ROOTNAME=]DIR [--store STORE]\n"
    "                        [--seed ID] [--allow-older] [--without-catalog]\n"
    "\n"
    "Imports a seed from the media mounted on DIR... into an empty directory, "
    "and\n"
    "makes this site's replica of the store from it.  Media may come one after "
    "another,\n"
    "in any order: run it again with the next ones.  An import that was "
    "interrupted is\n"
    "gone on with in the same way.\n"
    "\n"
    "  --root [NAME=]DIR  where the files of a root go; one for each root of "
    "the store\n"
    "  --store STORE      the store's name here (default: as at the other "
    "site)\n"
    "  --seed ID          which seed, where the media hold several (else the "
    "newest)\n"
    "  --allow-older      take a seed that is older than the replica\n"
    "  --without-catalog  no copy of the catalog is left: rebuild it from the "
    "volumes\n"
    "  --threads N        volumes that are read at once (default: one a "
    "core)\n"
    "\n"
    "Exit status: 0 whole; 4 something is missing or damaged (what arrived is "
    "there);\n"
    "5 not trusted.\n"
    "Example: causeway receive /mnt/disk1 --root /var/vmail\n"
    "Next: `causeway status`; start the mail service on the directory when the "
    "other\n"
    "site is gone for good.\n";

enum {
	OPT_ROOT = 256,
	OPT_STORE,
	OPT_SEED,
	OPT_OLDER,
	OPT_BARE,
	OPT_THREADS
};

static const struct option options[] = {
    {"root", required_argument, NULL, OPT_ROOT},
    {"store", required_argument, NULL, OPT_STORE},
    {"seed", required_argument, NULL, OPT_SEED},
    {"allow-older", no_argument, NULL, OPT_OLDER},
    {"without-catalog", no_argument, NULL, OPT_BARE},
    {"threads", required_argument, NULL, OPT_THREADS},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

struct request {
	const char **dirs;
	size_t dir_count;
	struct cw_import_root *roots; /* names and paths are ours */
	size_t root_count;
	const char *store, *seed;
	bool allow_older, is_bare;
	unsigned threads;
};

static bool
is_whole(const struct cw_import_result *r)
{
	return r->wanted == 0 && r->faults_in_all == 0 && r->absent_count == 0;
}

/* The digest is that of a whole replica: what is not whole has none yet. */
static json_t *
to_json(const struct cw_set *set, const struct cw_import_result *r,
    double seconds)
{
	json_t *faults = json_array(), *absent = json_array();

	for (size_t i = 0; i < r->fault_count; i++)
		json_array_append_new(faults,
		    cw_cli_json_text(r->faults[i], strlen(r->faults[i])));
	for (size_t i = 0; i < r->absent_count; i++)
		json_array_append_new(absent,
		    json_integer((json_int_t)r->absent[i]));
	return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:o, s:f, s:o, "
			 "s:o, s:b, s:b, s:I}",
	    "seed_id", set->seed_text, "store", r->store, "generation",
	    (json_int_t)r->generation, "entries", (json_int_t)r->entries,
	    "bytes", (json_int_t)r->bytes, "wanted", (json_int_t)r->wanted,
	    "volumes", (json_int_t)r->volumes, "digest",
	    cw_cli_json_hex(r->digest, sizeof(r->digest)), "seconds", seconds,
	    "faults", faults, "missing_media", absent, "repeated",
	    r->is_repeated, "resumed", r->is_resumed, "unmapped_owners",
	    (json_int_t)r->unmapped);
}

static void
say(struct cw_cli *cli, const struct cw_set *set,
    const struct cw_import_result *r, double seconds)
{
	char entries[CW_TEXT_MAX], bytes[CW_TEXT_MAX], took[CW_TEXT_MAX];
	char digest[2 * CW_STATE_SIZE + 1];

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
		    set->seed_text, is_whole(r) ? "" : " in part", r->store,
		    r->generation, took);
	cw_cli_say(cli, "  %s entries, %s%s%s", entries, bytes,
	    is_whole(r) ? "; state digest " : " when it is whole",
	    is_whole(r) ? digest : "");
	for (size_t i = 0; i < r->root_count; i++)
		cw_cli_say(cli, "  root %s is in %s", r->roots[i].name,
		    r->roots[i].path);
	if (r->unmapped > 0)
		cw_cli_warn(cli,
		    "%" PRIu64 " owners of files have no name at this site; "
		    "their numbers were kept: compare them with those of the "
		    "mail service's user",
		    r->unmapped);
	for (size_t i = 0; i < r->fault_count && i < SHOWN_MAX; i++)
		cw_cli_say(cli, "  wrong: %s", r->faults[i]);
	if (r->faults_in_all > SHOWN_MAX)
		cw_cli_say(cli, "  and %zu more",
		    r->faults_in_all - SHOWN_MAX);
}

/* What is missing, and what would bring it. */
static void
explain(const struct cw_import_result *r, struct cw_error *err)
{
	struct cw_buf media = CW_BUF_INIT;

	for (size_t i = 0; i < r->absent_count; i++)
		cw_buf_printf(&media, "%s%u", i > 0 ? ", " : "", r->absent[i]);
	if (r->absent_count > 0)
		cw_error_set(err, CW_ERR_MISSING,
		    "%" PRIu64 " files have not arrived: bring medium %s and "
		    "run the same command with its directory",
		    r->wanted, cw_buf_string(&media));
	else
		cw_error_set(err, CW_ERR_DAMAGED,
		    "%" PRIu64 " files have not arrived (%zu faults, the "
		    "first: %s); everything else has. Run the same command "
		    "again, with another copy of the media if need be",
		    r->wanted, r->faults_in_all,
		    r->fault_count > 0 ? r->faults[0] : "none");
	cw_buf_free(&media);
}

static int
finish(struct cw_cli *cli, const struct cw_set *set,
    const struct cw_import_result *r, double seconds)
{
	struct cw_error err = CW_ERROR_INIT;

	if (!cli->json)
		say(cli, set, r, seconds);
	if (!is_whole(r)) {
		explain(r, &err);
		return cw_cli_fail_with(cli,
		    cli->json ? to_json(set, r, seconds) : NULL, &err);
	}
	return cli->json ? cw_cli_emit(cli, to_json(set, r, seconds)) : 0;
}

struct declaring {
	struct cw_cli *cli;
	const struct cw_set *set;
	int lock; /* of the store; -1: not taken yet */
};

/* Once: as soon as it is known which store it is. */
static int
lock_store(struct declaring *d, const char *store, struct cw_error *err)
{
	return d->lock >= 0 ? 0
			    : cw_cli_lock_store(d->cli, store, &d->lock, err);
}

/* The replica's place in the configuration: before anything is placed. */
static int
add_store(void *arg, const struct cw_import_result *r, struct cw_error *err)
{
	struct cw_cli *cli = ((struct declaring *)arg)->cli;
	const struct cw_set *set = ((struct declaring *)arg)->set;
	struct cw_config_store store = {0};
	struct cw_config_root *roots;
	const char *source = set->signer.name;
	int ret;

	if (lock_store(arg, r->store, err) < 0)
		return -1;
	for (size_t i = 0; i < cli->home->config.peer_count; i++) {
		const struct cw_config_peer *p = &cli->home->config.peers[i];

		if (cw_minisign_public_equal(&p->card.sign, &set->signer.key))
			source = p->name;
	}
	roots = cw_calloc(r->root_count, sizeof(*roots));
	for (size_t i = 0; i < r->root_count; i++) {
		roots[i].name = cw_strdup(r->roots[i].name);
		roots[i].path = cw_strdup(r->roots[i].path);
	}
	store.name = cw_strdup(r->store);
	store.roots = roots;
	store.root_count = r->root_count;
	store.follow = cw_strdup(source);
	ret = cw_home_put_replica(cli->home, &store, err);
	for (size_t i = 0; i < r->root_count; i++) {
		free(roots[i].name);
		free(roots[i].path);
	}
	free(roots);
	free(store.name);
	free(store.follow);
	return ret;
}

/* "imported", on every medium that can be written to. */
static void
write_custody(struct cw_cli *cli, const struct cw_set *set,
    const struct cw_import_result *r)
{
	struct cw_minisign_secret *secret = NULL;
	struct cw_error err = CW_ERROR_INIT;
	struct cw_card own;
	char note[96];

	if (r->is_repeated ||
	    cw_identity_card(cli->home->state_fd, &own, &err) < 0)
		return;
	if (cw_cli_signing_key(cli, &secret, &err) < 0) {
		cw_cli_warn(cli, "the import is not in the seed's log: %s",
		    err.message);
		return;
	}
	(void)snprintf(note, sizeof(note), "generation %" PRIu64 ", %" PRIu64
					   " files wanted",
	    r->generation, r->wanted);
	for (size_t i = 0; i < set->count; i++) {
		int fd = set->media[i].dirfd;

		if (faccessat(fd, ".", W_OK, AT_EACCESS) == 0 &&
		    cw_custody_file_append(fd, set->seed_id,
			CW_CUSTODY_IMPORTED, note, own.name, secret, &err) < 0)
			cw_cli_warn(cli, "%s: no event in the log: %s",
			    set->media[i].path, err.message);
	}
	cw_minisign_secret_free(secret);
}

static int
open_set(struct cw_cli *cli, const struct request *q, struct cw_set **set,
    struct cw_error *err)
{
	const struct cw_config *config = &cli->home->config;
	struct cw_set_signer *signers =
	    cw_calloc(config->peer_count + 1, sizeof(*signers));
	struct cw_card own;
	size_t count = 0;
	int ret;

	for (; count < config->peer_count; count++)
		cw_set_signer_from_card(&config->peers[count].card,
		    &signers[count]);
	/* A site may take its own seed back. */
	if (cw_identity_card(cli->home->state_fd, &own, err) == 0)
		cw_set_signer_from_card(&own, &signers[count++]);
	ret = cw_set_open(q->dirs, q->dir_count, q->seed, signers, count, set,
	    err);
	free(signers);
	return ret;
}

static int
receive(struct cw_cli *cli, const struct request *q)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_progress progress = {.what = NULL};
	struct cw_age_identity *identity = NULL;
	struct cw_import_options o = {0};
	struct cw_import_result result = {0};
	struct cw_progress_line *line;
	struct declaring declaring = {.cli = cli, .lock = -1};
	struct timespec from, to;
	struct cw_set *set = NULL;
	char *stores_path = NULL;
	int ret, status;

	if (cw_cli_home(cli, CW_HOME_WRITE, &err) < 0 ||
	    open_set(cli, q, &set, &err) < 0)
		return cw_cli_fail_resumable(cli, &err);
	stores_path = cw_asprintf("%s/stores", cli->home->state_path);
	if (q->store != NULL && lock_store(&declaring, q->store, &err) < 0) {
		status = cw_cli_fail_resumable(cli, &err);
		goto out;
	}
	if (cw_cli_age_identity(cli, &identity, &err) < 0) {
		status = cw_cli_fail_resumable(cli, &err);
		goto out;
	}
	o.set = set;
	o.identity = identity;
	o.stores_path = stores_path;
	o.store = q->store;
	o.roots = q->roots;
	o.root_count = q->root_count;
	o.allow_older = q->allow_older;
	o.threads = q->threads;
	o.progress = &progress;
	o.declare = add_store;
	o.declare_arg = &declaring;
	declaring.set = set;
	(void)clock_gettime(CLOCK_MONOTONIC, &from);
	line = cw_progress_line_begin(cli, &progress);
	ret = q->is_bare ? cw_import_bare(&o, &result, &err) :
			   cw_import(&o, &result, &err);
	cw_progress_line_end(line);
	(void)clock_gettime(CLOCK_MONOTONIC, &to);
	if (ret < 0) {
		status = cw_cli_fail_resumable(cli, &err);
		goto out;
	}
	write_custody(cli, set, &result);
	status = finish(cli, set, &result,
	    (double)(to.tv_sec - from.tv_sec) +
		(double)(to.tv_nsec - from.tv_nsec) / 1e9);
out:
	cw_import_free(&result);
	cw_age_identity_free(identity);
	cw_set_free(set);
	cw_close(&declaring.lock);
	free(stores_path);
	return status;
}

static int
take_root(struct cw_cli *cli, struct request *q, const char *text)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_import_root *root = &q->roots[q->root_count];
	const char *equals = strchr(text, '=');
	char *name, *dir;

	if (cw_config_root_parse(text, &name, &dir, &err) < 0)
		return cw_cli_usage_error(cli, usage, "--root %s: %s", text,
		    err.message);
	/* Without a name it is for the store's only root. */
	if (equals == NULL ||
	    !cw_config_name_is_valid(text, (size_t)(equals - text))) {
		free(name);
		name = NULL;
	}
	root->name = name;
	root->path = dir;
	q->root_count++;
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
		case OPT_ROOT:
			ret = take_root(cli, q, optarg);
			break;
		case OPT_STORE:
			q->store = optarg;
			if (!cw_config_name_is_valid(optarg, strlen(optarg)))
				ret = cw_cli_usage_error(cli, usage,
				    "--store %s: a name is letters, digits, "
				    "'.', '_' and '-'",
				    optarg);
			break;
		case OPT_SEED:
			q->seed = optarg;
			break;
		case OPT_OLDER:
			q->allow_older = true;
			break;
		case OPT_BARE:
			q->is_bare = true;
			break;
		case OPT_THREADS:
			n = strtoul(optarg, &end, 10);
			if (*end != '\0' || n < 1 || n > 16)
				ret = cw_cli_usage_error(cli, usage,
				    "--threads takes a number from 1 to 16");
			q->threads = (unsigned)n;
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
cmd_receive(struct cw_cli *cli, int argc, char **argv)
{
	struct request q = {0};
	int status;

	q.dirs = cw_calloc((size_t)argc, sizeof(*q.dirs));
	q.roots = cw_calloc((size_t)argc, sizeof(*q.roots));
	status = parse(cli, &q, argc, argv);
	if (status == 0) {
		for (int i = optind; i < argc; i++)
			q.dirs[q.dir_count++] = argv[i];
		if (q.dir_count == 0)
			status = cw_cli_usage_error(cli, usage,
			    "receive takes the directories where the media "
			    "are mounted");
		else if (q.root_count == 0)
			status = cw_cli_usage_error(cli, usage,
			    "receive needs --root DIR: where the mail goes");
		else
			status = receive(cli, &q);
	} else if (status < 0) {
		status = 0;
	}
	for (size_t i = 0; i < q.root_count; i++) {
		free((void *)(uintptr_t)q.roots[i].name);
		free((void *)(uintptr_t)q.roots[i].path);
	}
	free(q.dirs);
	free(q.roots);
	return status;
}
