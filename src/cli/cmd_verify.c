#include "base/bytes.h"
#include "base/fs.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/progress_line.h"
#include "seed/custody_file.h"
#include "seed/verify.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SHOWN_MAX 20u /* lines about damage, for people */

static const char usage[] =
    "usage: causeway verify DIR... [--signer KEY] [--seed ID] [--quick | "
    "--cached]\n"
    "\n"
    "Checks a seed on the media mounted on DIR...: its signature, that every "
    "file is\n"
    "there and is what was signed (SHA-256 and XXH3 of every byte, read from "
    "the\n"
    "device), and its second copies.  No secret and no home are needed; with a "
    "home\n"
    "the seeds of paired sites are trusted.\n"
    "\n"
    "  --signer KEY   trust this minisign public key, or the file that holds "
    "it\n"
    "  --seed ID      which seed, where the media hold several (else the "
    "newest)\n"
    "  --quick        do not read volumes: names, sizes and small files only\n"
    "  --cached       reading from the page cache will do\n"
    "  --rate SIZE    read at most so many bytes a second (64M)\n"
    "  --threads N    read and hash N files at once (default: one a core)\n"
    "  --no-custody   do not write the event into the seed's log\n"
    "\n"
    "Exit status: 0 good, 3 damaged and repairable, 4 damaged or incomplete, "
    "5 not\n"
    "trusted.\n"
    "Example: causeway verify /mnt/disk1 /mnt/disk2 --signer metairie.pub\n"
    "Next: `causeway receive DIR... --root DIR`.\n";

enum {
	OPT_SIGNER = 256,
	OPT_SEED,
	OPT_QUICK,
	OPT_CACHED,
	OPT_RATE,
	OPT_THREADS,
	OPT_NO_CUSTODY
};

static const struct option options[] = {
    {"signer", required_argument, NULL, OPT_SIGNER},
    {"seed", required_argument, NULL, OPT_SEED},
    {"quick", no_argument, NULL, OPT_QUICK},
    {"cached", no_argument, NULL, OPT_CACHED},
    {"rate", required_argument, NULL, OPT_RATE},
    {"threads", required_argument, NULL, OPT_THREADS},
    {"no-custody", no_argument, NULL, OPT_NO_CUSTODY},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* Whom the seed may be signed by. */
struct trust {
	struct cw_set_signer *signers;
	size_t count;
};

static void
add_card(struct trust *t, const struct cw_card *card)
{
	t->signers =
	    cw_reallocarray(t->signers, t->count + 1, sizeof(*t->signers));
	cw_set_signer_from_card(card, &t->signers[t->count++]);
}

/*
 * The home's own card and those it is paired with.  Without a home there are
 * none, which is no error unless the operator named one.
 */
static int
trust_cards(struct cw_cli *cli, struct trust *t, struct cw_error *err)
{
	bool is_named = cli->home_dir != NULL || cli->config_file != NULL;
	struct cw_card own;

	if (!is_named && !cw_home_exists(NULL, NULL))
		return 0;
	if (cw_cli_home(cli, CW_HOME_READ, err) < 0) {
		if (is_named)
			return -1;
		cw_cli_warn(cli, "going on without the home: %s", err->message);
		return 0;
	}
	if (cw_identity_card(cli->home->state_fd, &own, NULL) == 0)
		add_card(t, &own);
	for (size_t i = 0; i < cli->home->config.peer_count; i++)
		add_card(t, &cli->home->config.peers[i].card);
	return 0;
}

/* Trusts the key in an argument, or in the file that it names, alone. */
static int
trust_only(struct trust *t, const char *arg, struct cw_error *err)
{
	struct cw_set_signer only = {.has_fingerprint = false};
	struct cw_buf text = CW_BUF_INIT;
	int ret;

	ret = cw_minisign_public_parse(arg, strlen(arg), &only.key, NULL);
	if (ret < 0) {
		ret = cw_read_file(
		    AT_FDCWD, arg, CW_MINISIGN_FILE_MAX, &text, err);
		if (ret > 0)
			ret = cw_error_set(err, CW_ERR_USAGE,
			    "--signer: %s is no minisign public key, and no "
			    "file of that name is here",
			    arg);
		else if (ret == 0)
			ret = cw_minisign_public_parse(
			    (const char *)text.data, text.len, &only.key, err);
		cw_buf_free(&text);
		if (ret < 0) {
			if (err->code != CW_ERR_USAGE)
				cw_error_context(err, "--signer %s", arg);
			err->code = CW_ERR_USAGE;
			return -1;
		}
	}
	/* A card with that key says more about it than the key alone. */
	for (size_t i = 0; i < t->count; i++)
		if (cw_minisign_public_equal(&t->signers[i].key, &only.key))
			only = t->signers[i];
	free(t->signers);
	t->signers = cw_memdup(&only, sizeof(only));
	t->count = 1;
	return 0;
}

/* Writes "verified" into the log of each medium that can be written to. */
static void
write_custody(struct cw_cli *cli, const char *const *dirs, size_t count,
    const struct cw_verify_result *r)
{
	struct cw_minisign_secret *secret = NULL;
	struct cw_error err = CW_ERROR_INIT;
	struct cw_set *set = NULL;
	struct cw_card own;
	char note[64];

	/* Without a key that opens unasked there is nobody to sign. */
	if (cli->home == NULL || r->status == CW_VERIFY_UNTRUSTED ||
	    cw_identity_card(cli->home->state_fd, &own, NULL) < 0)
		return;
	if (getenv("CAUSEWAY_PASSPHRASE") != NULL
		? cw_cli_signing_key(cli, &secret, NULL) < 0
		: cw_identity_sign(cli->home->state_fd, NULL, &secret, NULL) <
		      0)
		return;
	snprintf(note, sizeof(note), "%s, %llu bytes read",
	    cw_verify_status_name(r->status), (unsigned long long)r->bytes);
	if (cw_set_open(dirs, count, r->seed_text, NULL, 0, &set, &err) == 0)
		for (size_t i = 0; i < set->count; i++) {
			int fd = set->media[i].dirfd;

			if (faccessat(fd, ".", W_OK, AT_EACCESS) < 0)
				continue;
			if (cw_custody_file_append(fd, set->seed_id,
				CW_CUSTODY_VERIFIED, note, own.name, secret,
				&err) < 0)
				cw_cli_warn(cli,
				    "no event written to the log in %s: %s",
				    set->media[i].path, err.message);
		}
	cw_set_free(set);
	cw_minisign_secret_free(secret);
}

static json_t *
to_json(const struct cw_verify_result *r)
{
	json_t *damaged = json_array(), *missing = json_array();
	json_t *remarks = json_array(), *absent = json_array();
	char words[CW_CARD_WORDS_SIZE];

	for (size_t i = 0; i < r->damaged_count; i++) {
		const struct cw_verify_damage *d = &r->damaged[i];

		json_array_append_new(damaged,
		    json_pack("{s:o, s:I, s:I, s:I, s:s, s:o}", "file",
			cw_cli_json_text(d->file, strlen(d->file)), "offset",
			(json_int_t)d->offset, "length", (json_int_t)d->length,
			"medium", (json_int_t)d->medium, "status",
			cw_verify_status_name(d->status), "reason",
			cw_cli_json_text(d->reason, strlen(d->reason))));
	}
	for (size_t i = 0; i < r->missing_count; i++)
		json_array_append_new(missing, json_string(r->missing[i].file));
	for (size_t i = 0; i < r->remark_count; i++)
		json_array_append_new(remarks,
		    cw_cli_json_text(r->remarks[i], strlen(r->remarks[i])));
	for (size_t i = 0; i < r->absent_count; i++)
		json_array_append_new(
		    absent, json_integer((json_int_t)r->absent[i]));
	cw_card_fingerprint_words(r->signer, words);
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:o, s:o, "
			 "s:o, s:o, s:f}",
	    "seed_id", r->seed_text, "signer", words, "signer_name",
	    r->signer_name, "signer_key", r->key_id, "status",
	    cw_verify_status_name(r->status), "generation",
	    (json_int_t)r->generation, "volumes", (json_int_t)r->volumes,
	    "bytes", (json_int_t)r->bytes, "damaged", damaged, "missing",
	    missing, "missing_media", absent, "remarks", remarks, "seconds",
	    r->seconds);
}

/* What is wrong, file by file. */
static void
say_damage(struct cw_cli *cli, const struct cw_verify_result *r)
{
	unsigned shown = 0;
	size_t more = 0;

	for (size_t i = 0; i < r->damaged_count; i++) {
		const struct cw_verify_damage *d = &r->damaged[i];

		if (shown++ >= SHOWN_MAX)
			more++;
		else
			cw_cli_say(cli, "  %s: %s (%llu bytes at offset %llu)",
			    cw_verify_status_name(d->status), d->reason,
			    (unsigned long long)d->length,
			    (unsigned long long)d->offset);
	}
	for (size_t i = 0; i < r->missing_count; i++) {
		const struct cw_verify_missing *m = &r->missing[i];

		if (m->is_medium_absent)
			continue; /* the medium is named, not each file */
		if (shown++ >= SHOWN_MAX)
			more++;
		else
			cw_cli_say(cli, "  missing: %s of medium %u%s", m->file,
			    m->medium,
			    m->is_repairable ? " (its other copy is good)"
					     : "");
	}
	if (more > 0)
		cw_cli_say(cli, "  and %zu more: see --json", more);
	for (size_t i = 0; i < r->remark_count && i < SHOWN_MAX; i++)
		cw_cli_say(cli, "  note: %s", r->remarks[i]);
}

static void
say(struct cw_cli *cli, const struct cw_verify_result *r, bool is_quick)
{
	char bytes[CW_TEXT_MAX], rate[CW_TEXT_MAX], took[CW_TEXT_MAX];
	char time[CW_TIME_TEXT], count[CW_TEXT_MAX];
	const char *how = "signed by", *who = r->key_id;

	cw_text_count(r->volumes, count);
	cw_text_bytes(r->bytes, bytes);
	cw_text_seconds(r->seconds, took);
	cw_text_bytes(
	    r->seconds > 0 ? (uint64_t)((double)r->bytes / r->seconds) : 0,
	    rate);
	cw_time_format(r->time, time);
	if (!r->is_trusted)
		how = "said to be signed with key";
	else if (r->signer_name[0] == '\0')
		how = "signed with the trusted key";
	else
		who = r->signer_name;
	cw_cli_say(cli, "Seed %s, generation %llu, of %s, %s %s%s.",
	    r->seed_text, (unsigned long long)r->generation, time, how, who,
	    r->is_trusted ? "" : ", which nobody trusts here");
	if (is_quick)
		cw_cli_say(cli, "Looked at the sizes of %s volumes (%s).",
		    count, took);
	else
		cw_cli_say(cli,
		    "Read %s in %s volumes and the catalog: %s, "
		    "%s/s.",
		    bytes, count, took, rate);
	say_damage(cli, r);
	if (r->status != CW_VERIFY_OK)
		return;
	cw_cli_say(cli, is_quick ? "All files are there; leave out --quick to "
				   "read them."
				 : "All of it is as it was signed.");
}

/* Ends the command: prints the result, and the error if there is one. */
static int
report(struct cw_cli *cli, const struct cw_verify_result *r, bool is_quick)
{
	say(cli, r, is_quick);
	(void)fflush(stdout); /* before the error, where both go to one file */
	if (r->status != CW_VERIFY_OK)
		return cw_cli_fail_with(
		    cli, cli->json ? to_json(r) : NULL, &r->error);
	return cli->json ? cw_cli_emit(cli, to_json(r)) : 0;
}

static int
verify(struct cw_cli *cli, const char *const *dirs, size_t count,
    struct cw_verify_options *o, const char *signer, bool has_custody)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_progress progress = {.what = NULL};
	struct cw_progress_line *line;
	struct cw_verify_result result;
	struct trust trust = {NULL, 0};
	int ret, status;

	if (trust_cards(cli, &trust, &err) < 0 ||
	    (signer != NULL && trust_only(&trust, signer, &err) < 0)) {
		free(trust.signers);
		return cw_cli_fail(cli, &err);
	}
	o->signers = trust.signers;
	o->signer_count = trust.count;
	o->progress = &progress;
	line = cw_progress_line_begin(cli, &progress);
	ret = cw_verify(dirs, count, o, &result, &err);
	cw_progress_line_end(line);
	o->progress = NULL;
	if (ret == 0) {
		if (has_custody && !o->quick)
			write_custody(cli, dirs, count, &result);
		status = report(cli, &result, o->quick);
	} else {
		status = cw_cli_fail(cli, &err);
	}
	cw_verify_free(&result);
	free(trust.signers);
	return status;
}

int
cmd_verify(struct cw_cli *cli, int argc, char **argv)
{
	struct cw_verify_options o = {.seed = NULL};
	const char *signer = NULL;
	bool has_custody = true;
	uint64_t threads;
	int opt;

	while ((opt = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		switch (opt) {
		case OPT_SIGNER:
			signer = optarg;
			break;
		case OPT_SEED:
			o.seed = optarg;
			break;
		case OPT_QUICK:
			o.quick = true;
			break;
		case OPT_CACHED:
			o.cached = true;
			break;
		case OPT_RATE:
			if (!cw_size_parse(optarg, &o.rate) || o.rate == 0)
				return cw_cli_usage_error(cli, usage,
				    "--rate takes bytes a second, like 64M");
			break;
		case OPT_THREADS:
			if (!cw_decimal_parse(
				optarg, strlen(optarg), 64, &threads) ||
			    threads == 0)
				return cw_cli_usage_error(cli, usage,
				    "--threads takes a number from 1 to 64");
			o.threads = (unsigned)threads;
			break;
		case OPT_NO_CUSTODY:
			has_custody = false;
			break;
		case 'h':
			return cw_cli_help(usage);
		default:
			return cw_cli_bad_option(cli, usage, opt, argv);
		}
	}
	if (optind == argc)
		return cw_cli_usage_error(cli, usage,
		    "verify takes the directories the media are mounted on");
	return verify(cli, (const char *const *)(argv + optind),
	    (size_t)(argc - optind), &o, signer, has_custody);
}
