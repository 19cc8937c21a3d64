#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/text.h"
#include "cli/ask.h"
#include "cli/commands.h"
#include "cli/media_dirs.h"
#include "cli/output.h"
#include "cli/progress_line.h"
#include "cli/receive_increment.h"
#include "cli/receive_report.h"
#include "cli/receive_signing.h"
#include "media/set.h"
#include "seed/import.h"
#include "seed/import_bare.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: causeway receive DIR... --root [ROOTNAME=]DIR [--store STORE]\n"
    "                        [--seed ID] [--manifest FILE] [--allow-older] "
    "[--again]\n"
    "                        [--without-catalog] [--consume] [--yes]\n"
    "\n"
    "Imports a seed from the media mounted on DIR... into an empty directory, "
    "and\n"
    "makes this site's replica of the store from it.  Media may come one after "
    "another,\n"
    "in any order: run it again with the next ones.  An import that was "
    "interrupted is\n"
    "gone on with in the same way.  Volumes that are damaged or lost are "
    "rebuilt from\n"
    "parity on the way.  An increment changes the replica that is there, and "
    "needs no\n"
    "--root.  DIR may also be a device, or LABEL=... or UUID=... of one.\n"
    "\n"
    "  --root [NAME=]DIR  where the files of a root go; one for each root of "
    "the store\n"
    "  --store STORE      the store's name here (default: as at the other "
    "site)\n"
    "  --seed ID          which seed, where the media hold several (else the "
    "newest)\n"
    "  --manifest FILE    the final manifest, with FILE.minisig, that came by "
    "itself\n"
    "  --allow-older      take a seed that is older than the replica\n"
    "  --without-catalog  no copy of the catalog is left: rebuild it from the "
    "volumes\n"
    "  --consume          delete the volumes as they are imported, to have "
    "room: for a\n"
    "                     server that was shipped with the seed on its disks\n"
    "  --yes              confirm --consume, and too little room\n"
    "  --identity FILE    open it with this age key (one from escrow), not "
    "with this\n"
    "                     site's\n"
    "  --again            import once more what was in a root that is empty "
    "now\n"
    "  --threads N        volumes that are read at once (default: 2 to "
    "4,\n"
    "                     by the number of cores)\n"
    "\n"
    "Exit status: 0 whole; 4 something is missing or damaged (what arrived is "
    "there);\n"
    "5 not trusted; 7 not confirmed, or the directory is not empty.\n"
    "Example: causeway receive /mnt/disk1 --root /var/vmail\n"
    "Next: `causeway status`; start the mail service on the directory when the "
    "other\n"
    "site is gone for good.\n";

enum {
	OPT_ROOT = 256,
	OPT_STORE,
	OPT_SEED,
	OPT_MANIFEST,
	OPT_OLDER,
	OPT_BARE,
	OPT_CONSUME,
	OPT_YES,
	OPT_THREADS,
	OPT_IDENTITY,
	OPT_AGAIN
};

static const struct option options[] = {
    {"root", required_argument, NULL, OPT_ROOT},
    {"store", required_argument, NULL, OPT_STORE},
    {"seed", required_argument, NULL, OPT_SEED},
    {"manifest", required_argument, NULL, OPT_MANIFEST},
    {"allow-older", no_argument, NULL, OPT_OLDER},
    {"without-catalog", no_argument, NULL, OPT_BARE},
    {"consume", no_argument, NULL, OPT_CONSUME},
    {"yes", no_argument, NULL, OPT_YES},
    {"threads", required_argument, NULL, OPT_THREADS},
    {"again", no_argument, NULL, OPT_AGAIN},
    {"identity", required_argument, NULL, OPT_IDENTITY},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

struct request {
	struct cw_cli *cli;
	char *const *args; /* as typed */
	size_t arg_count;
	const char *const *dirs; /* what they stand for */
	size_t dir_count;
	struct cw_import_root *roots; /* names and paths are ours */
	size_t root_count;
	const char *store, *seed, *manifest, *identity;
	bool allow_older, is_bare, consume, has_yes, again;
	unsigned threads;
};

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

/* ---- room ---- */

static int
judge_space(void *arg, const struct cw_import_space *s, struct cw_error *err)
{
	struct request *q = arg;
	char needed[CW_TEXT_MAX], there[CW_TEXT_MAX];
	char *question;
	int ret;

	cw_text_bytes(s->needed, needed);
	cw_text_bytes(s->there, there);
	if (s->files > s->files_there) {
		char files[CW_TEXT_MAX], room[CW_TEXT_MAX];

		cw_text_count(s->files, files);
		cw_text_count(s->files_there, room);
		question = cw_asprintf(
		    "The filesystem of %s has room for %s more files (inodes), "
		    "and %s are to come: go on all the same?",
		    s->root, room, files);
	} else if (s->needed > s->there + s->freed) {
		question = cw_asprintf(
		    "The filesystem of %s has %s free, and %s are needed: "
		    "%s. Go on all the same?",
		    s->root, there, needed,
		    q->consume ? "deleting the volumes on the way does not "
				 "make enough room"
			       : "it will be full before all is there (where "
				 "the seed lies on it too, --consume makes "
				 "room)");
	} else {
		return 0;
	}
	ret = cw_ask_yes(q->cli, q->has_yes, question, err);
	if (ret == 0)
		cw_cli_warn(q->cli, "%s Yes.", question);
	free(question);
	return ret;
}

/* ---- the seed ---- */

static int
open_set(struct cw_cli *cli, const struct request *q, const char *stores_path,
    char **manifest, struct cw_set **set, struct cw_error *err)
{
	const struct cw_config *config = &cli->home->config;
	struct cw_set_signer *signers =
	    cw_calloc(config->peer_count + 1, sizeof(*signers));
	struct cw_set_source source = {.dirs = q->dirs,
	    .dir_count = q->dir_count,
	    .seed = q->seed,
	    .manifest = q->manifest,
	    .signers = signers};
	struct cw_error ignored = CW_ERROR_INIT;
	struct cw_set *better = NULL;
	struct cw_card own;
	int ret;

	for (size_t i = 0; i < config->peer_count; i++)
		cw_set_signer_from_card(
		    &config->peers[i].card, &signers[source.signer_count++]);
	/* A site may take its own seed back. */
	if (cw_identity_card(cli->home->state_fd, &own, err) == 0)
		cw_set_signer_from_card(&own, &signers[source.signer_count++]);
	ret = cw_set_open_from(&source, set, err);
	if (ret == 0 && cw_import_kept_manifest(
			    stores_path, (*set)->seed_text, manifest, err) < 0)
		ret = -1;
	/*
	 * Media that were closed early know less than the one that came
	 * before them: what that said is kept.
	 */
	if (ret == 0 && *manifest != NULL) {
		source.seed = (*set)->seed_text;
		source.manifest = *manifest;
		if (cw_set_open_from(&source, &better, &ignored) == 0 &&
		    better->is_trusted &&
		    (!(*set)->is_trusted || better->manifest.revision >
						(*set)->manifest.revision)) {
			cw_set_free(*set);
			*set = better;
			better = NULL;
		}
		cw_set_free(better);
	}
	if (ret == 0 && *manifest == NULL && q->manifest != NULL)
		*manifest = cw_strdup(q->manifest);
	free(signers);
	return ret;
}

/* Whether the seed may be deleted: asked for, possible, and confirmed. */
static int
allow_consume(struct cw_cli *cli, const struct request *q,
    const struct cw_set *set, struct cw_error *err)
{
	char *question;
	int ret;

	if (!q->consume)
		return 0;
	if (set->manifest.base != 0)
		return cw_error_set(err, CW_ERR_USAGE,
		    "--consume is for full seeds: an increment is small");
	for (size_t i = 0; i < set->count; i++)
		if (faccessat(set->media[i].dirfd, ".", W_OK, AT_EACCESS) < 0)
			return cw_error_errno(err,
			    "--consume: nothing can be deleted in %s",
			    set->media[i].path);
	question = cw_asprintf(
	    "--consume deletes seed %s in %s%s while it is imported: this copy "
	    "can't be received a second time. Go on?",
	    set->seed_text, set->media[0].path,
	    set->count > 1 ? " and on the other media" : "");
	ret = cw_ask_yes(cli, q->has_yes, question, err);
	free(question);
	return ret;
}

static int
check_roots(
    const struct request *q, const struct cw_set *set, struct cw_error *err)
{
	if (q->root_count > 0 || set->manifest.base != 0)
		return 0;
	return cw_error_set(
	    err, CW_ERR_USAGE, "receive needs --root DIR: where the mail goes");
}

static int
import(struct cw_cli *cli, struct request *q, struct cw_set *set,
    struct declaring *declaring, struct cw_import_options *o)
{
	struct cw_receive_signing signing = {.cli = cli, .set = set};
	struct cw_progress progress = {.what = NULL};
	struct cw_import_result result = {0};
	struct cw_error err = CW_ERROR_INIT;
	char receipt[CW_RECEIPT_TEXT_SIZE];
	struct cw_progress_line *line;
	int64_t from_ns;
	double seconds;
	bool has_receipt;
	int ret;

	bool is_increment = set->manifest.base != 0;

	o->set = set;
	o->store = q->store;
	o->roots = q->roots;
	o->root_count = q->root_count;
	o->allow_older = q->allow_older;
	o->again = q->again;
	o->threads = q->threads;
	o->progress = &progress;
	o->declare = add_store;
	o->declare_arg = declaring;
	o->space = judge_space;
	o->space_arg = q;
	o->consume = q->consume;
	o->begin_consume = cw_receive_begin_consume;
	o->consume_arg = &signing;
	if (is_increment &&
	    (cw_cli_receive_increment(cli, set, o, &err) < 0 ||
		(o->store != NULL &&
		    lock_store(declaring, o->store, &err) < 0))) {
		if (o->roots != q->roots)
			free((void *)(uintptr_t)o->roots);
		return cw_cli_fail_resumable(cli, &err);
	}
	cw_receive_note_received(&signing);
	from_ns = cw_clock_ns();
	line = cw_progress_line_begin(cli, &progress);
	ret = q->is_bare ? cw_import_bare(o, &result, &err)
			 : cw_import(o, &result, &err);
	cw_progress_line_end(line);
	seconds = cw_clock_since(from_ns);
	if (ret < 0) {
		ret = cw_cli_fail_resumable(cli, &err);
	} else {
		has_receipt =
		    cw_receive_sign_import(&signing, &result, receipt);
		ret = cw_receive_report(
		    cli, set, &result, has_receipt ? receipt : NULL, seconds);
	}
	if (o->roots != q->roots)
		free((void *)(uintptr_t)o->roots);
	cw_minisign_secret_free(signing.secret);
	cw_import_free(&result);
	return ret;
}

static const char *
ask_for_key(void *arg, const char *what, struct cw_error *err)
{
	return cw_ask_passphrase(arg, what, err);
}

/* The site's own key, or one from escrow. */
static int
load_identity(struct cw_cli *cli, const struct request *q,
    struct cw_age_identity **out, struct cw_error *err)
{
	const struct cw_passphrase ask = {ask_for_key, cli};

	if (q->identity == NULL)
		return cw_cli_age_identity(cli, out, err);
	return cw_identity_age_file(AT_FDCWD, q->identity, &ask, out, err);
}

static int
receive(struct cw_cli *cli, struct request *q)
{
	struct declaring declaring = {.cli = cli, .lock = -1};
	struct cw_media_dirs dirs = CW_MEDIA_DIRS_INIT;
	struct cw_age_identity *identity = NULL;
	struct cw_import_options o = {0};
	struct cw_error err = CW_ERROR_INIT;
	char *stores_path = NULL, *manifest = NULL;
	struct cw_set *set = NULL;
	int status;

	if (cw_cli_home(cli, CW_HOME_WRITE, &err) < 0 ||
	    cw_media_dirs_begin(q->args, q->arg_count,
		q->consume ? CW_MEDIA_WRITE : CW_MEDIA_NOTE, &dirs, &err) < 0)
		return cw_cli_fail_resumable(cli, &err);
	q->dirs = dirs.dirs;
	q->dir_count = dirs.count;
	stores_path = cw_asprintf("%s/stores", cli->home->state_path);
	if (open_set(cli, q, stores_path, &manifest, &set, &err) < 0 ||
	    check_roots(q, set, &err) < 0 ||
	    allow_consume(cli, q, set, &err) < 0 ||
	    (q->store != NULL && lock_store(&declaring, q->store, &err) < 0) ||
	    load_identity(cli, q, &identity, &err) < 0) {
		status = cw_cli_fail_resumable(cli, &err);
	} else {
		o.identity = identity;
		o.stores_path = stores_path;
		o.manifest = manifest;
		declaring.set = set;
		status = import(cli, q, set, &declaring, &o);
	}
	cw_age_identity_free(identity);
	cw_set_free(set);
	cw_media_dirs_end(cli, &dirs);
	cw_close(&declaring.lock);
	free(manifest);
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
		return cw_cli_usage_error(
		    cli, usage, "--root %s: %s", text, err.message);
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
		case OPT_MANIFEST:
			q->manifest = optarg;
			break;
		case OPT_CONSUME:
			q->consume = true;
			break;
		case OPT_YES:
			q->has_yes = true;
			break;
		case OPT_OLDER:
			q->allow_older = true;
			break;
		case OPT_AGAIN:
			q->again = true;
			break;
		case OPT_BARE:
			q->is_bare = true;
			break;
		case OPT_IDENTITY:
			q->identity = optarg;
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

	q.cli = cli;
	q.roots = cw_calloc((size_t)argc, sizeof(*q.roots));
	status = parse(cli, &q, argc, argv);
	if (status == 0) {
		q.args = argv + optind;
		q.arg_count = (size_t)(argc - optind);
		if (q.arg_count == 0)
			status = cw_cli_usage_error(cli, usage,
			    "receive takes the directories where the media "
			    "are mounted");
		else if (q.consume && q.is_bare)
			status = cw_cli_usage_error(cli, usage,
			    "--consume needs the catalog: not with "
			    "--without-catalog");
		else
			status = receive(cli, &q);
	} else if (status < 0) {
		status = 0;
	}
	for (size_t i = 0; i < q.root_count; i++) {
		free((void *)(uintptr_t)q.roots[i].name);
		free((void *)(uintptr_t)q.roots[i].path);
	}
	free(q.roots);
	return status;
}
