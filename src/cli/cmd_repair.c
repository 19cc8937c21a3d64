#include "base/bytes.h"
#include "base/fs.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/media_dirs.h"
#include "cli/output.h"
#include "cli/progress_line.h"
#include "cli/trust.h"
#include "media/repair.h"
#include "seed/custody_file.h"
#include "seed/readme.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SHOWN_MAX 20u /* lines of either kind, for people */
#define TO_MAX	  64u

static const char usage[] =
    "usage: causeway repair DIR... [--signer KEY] [--seed ID] [--to DIR]... "
    "[--dry-run]\n"
    "\n"
    "Reads a seed on the media mounted on DIR..., and writes back what parity "
    "and second\n"
    "copies can restore: bad blocks, files that are damaged, cut or lost, and "
    "with --to\n"
    "whole media that are missing.  What is good is not touched.  Run it again "
    "after an\n"
    "interruption.  No secret and no home are needed; with a home the seeds of "
    "paired\n"
    "sites are trusted.\n"
    "\n"
    "  --signer KEY   trust this minisign public key, or the file that holds "
    "it\n"
    "  --seed ID      which seed, where the media hold several (else the "
    "newest)\n"
    "  --to DIR       make the missing medium again in this directory, the "
    "mount point\n"
    "                 of another disk; once for each medium that is missing\n"
    "  --medium N     make this medium again in --to, though it is here: a "
    "disk that\n"
    "                 fails is not written to, but read as far as it can be\n"
    "  --dry-run      only say what would be repaired\n"
    "  --threads N    check N files at once (default: one a core)\n"
    "  --no-custody   do not write the event into the seed's log\n"
    "\n"
    "Exit status: 0 all is good (again), 3 it would be (--dry-run), 4 "
    "something is beyond\n"
    "repair or not here (what could be repaired is), 5 not trusted: not "
    "written to, 1 a\n"
    "disk does not take it.\n"
    "Example: causeway repair /mnt/disk1 /mnt/disk2 --to /mnt/disk3\n"
    "Next: `causeway verify DIR...`.\n";

enum {
	OPT_SIGNER = 256,
	OPT_SEED,
	OPT_TO,
	OPT_MEDIUM,
	OPT_DRY_RUN,
	OPT_THREADS,
	OPT_NO_CUSTODY
};

static const struct option options[] = {
    {"signer", required_argument, NULL, OPT_SIGNER},
    {"seed", required_argument, NULL, OPT_SEED},
    {"to", required_argument, NULL, OPT_TO},
    {"medium", required_argument, NULL, OPT_MEDIUM},
    {"dry-run", no_argument, NULL, OPT_DRY_RUN},
    {"threads", required_argument, NULL, OPT_THREADS},
    {"no-custody", no_argument, NULL, OPT_NO_CUSTODY},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* What was typed. */
struct request {
	struct cw_repair_options o;
	const char *signer;
	char *to[TO_MAX];
	size_t to_count;
	bool has_custody;
};

static json_t *
items_json(const struct cw_repair_item *items, size_t count)
{
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++) {
		json_t *item = json_pack("{s:o, s:I, s:I, s:I}", "file",
		    cw_cli_json_text(items[i].file, strlen(items[i].file)),
		    "medium", (json_int_t)items[i].medium, "offset",
		    (json_int_t)items[i].offset, "length",
		    (json_int_t)items[i].length);

		if (items[i].reason != NULL)
			json_object_set_new(item, "reason",
			    cw_cli_json_text(
				items[i].reason, strlen(items[i].reason)));
		json_array_append_new(list, item);
	}
	return list;
}

static json_t *
to_json(const struct cw_repair_result *r, bool is_dry)
{
	json_t *made = json_array(), *absent = json_array();

	for (size_t i = 0; i < r->made_count; i++)
		json_array_append_new(
		    made, json_pack("{s:I, s:o, s:o, s:b}", "medium",
			      (json_int_t)r->made[i].medium, "path",
			      cw_cli_json_text(
				  r->made[i].path, strlen(r->made[i].path)),
			      "label",
			      cw_cli_json_text(
				  r->made[i].label, strlen(r->made[i].label)),
			      "whole", r->made[i].is_whole));
	for (size_t i = 0; i < r->absent_count; i++)
		json_array_append_new(
		    absent, json_integer((json_int_t)r->absent[i]));
	return json_pack("{s:s, s:s, s:b, s:I, s:o, s:o, s:o, s:o, s:f}",
	    "seed_id", r->seed_text, "status", cw_repair_status_name(r->status),
	    "dry_run", is_dry, "files", (json_int_t)r->files, "repaired",
	    items_json(r->repaired, r->repaired_count), "unrepairable",
	    items_json(r->unrepairable, r->unrepairable_count), "media_made",
	    made, "missing_media", absent, "seconds", r->seconds);
}

static void
say_repaired(struct cw_cli *cli, const char *what,
    const struct cw_repair_item *items, size_t count)
{
	for (size_t i = 0; i < count && i < SHOWN_MAX; i++) {
		char bytes[CW_TEXT_MAX];

		cw_text_bytes(items[i].length, bytes);
		cw_cli_say(cli, "  %s: %s of medium %u, %s at offset %llu",
		    what, items[i].file, items[i].medium, bytes,
		    (unsigned long long)items[i].offset);
	}
	if (count > SHOWN_MAX)
		cw_cli_say(
		    cli, "  and %zu more: see --json", count - SHOWN_MAX);
}

/* A line a file: its ranges have one reason, and stand in a row. */
static void
say_unrepairable(
    struct cw_cli *cli, const struct cw_repair_item *items, size_t count)
{
	size_t files = 0;

	for (size_t i = 0; i < count; i++) {
		const char *reason = items[i].reason;
		size_t len = strlen(items[i].file);

		if (i > 0 && items[i].medium == items[i - 1].medium &&
		    strcmp(items[i].file, items[i - 1].file) == 0)
			continue;
		if (files++ >= SHOWN_MAX)
			continue;
		/* "FILE: reason": it was named already. */
		if (strncmp(reason, items[i].file, len) == 0 &&
		    strncmp(reason + len, ": ", 2) == 0)
			reason += len + 2;
		cw_cli_say(cli, "  not repaired: %s of medium %u: %s",
		    items[i].file, items[i].medium, reason);
	}
	if (files > SHOWN_MAX)
		cw_cli_say(
		    cli, "  and %zu more: see --json", files - SHOWN_MAX);
}

static void
say(struct cw_cli *cli, const struct cw_repair_result *r, bool is_dry)
{
	char took[CW_TEXT_MAX], count[CW_TEXT_MAX];

	cw_text_seconds(r->seconds, took);
	cw_text_count(r->files, count);
	cw_cli_say(cli, "Seed %s: checked %s volumes and shards (%s).",
	    r->seed_text, count, took);
	say_repaired(cli, is_dry ? "can be repaired" : "repaired", r->repaired,
	    r->repaired_count);
	say_unrepairable(cli, r->unrepairable, r->unrepairable_count);
	for (size_t i = 0; i < r->made_count; i++) {
		const struct cw_repair_made *m = &r->made[i];

		if (m->is_whole)
			cw_cli_say(cli,
			    "Medium %u was made again in %s. Label the disk"
			    "%s%s, and keep it with the others.",
			    m->medium, m->path, m->label[0] == '\0' ? "" : " ",
			    m->label);
		else
			cw_cli_say(cli,
			    "Medium %u could not be made again whole: what "
			    "could be is in %s. The same command goes on from "
			    "there.",
			    m->medium, m->path);
	}
	if (r->status != CW_REPAIR_OK)
		return;
	cw_cli_say(cli, r->repaired_count == 0 && r->made_count == 0
			    ? "Nothing is bad."
			    : "All of it is good again: `causeway verify` "
			      "says so too.");
}

/* README.txt of a medium that was made, beside the seed's folder. */
static void
write_readme(struct cw_cli *cli, const struct cw_repair_result *r,
    const struct cw_repair_made *made)
{
	char key[CW_MINISIGN_BASE64_SIZE];
	struct cw_seed_readme about = {.seed_id = r->seed_text,
	    .minisign_key = key,
	    .medium = made->medium,
	    .parity_k = r->parity_k,
	    .parity_m = r->parity_m,
	    .survive_media = r->survive_media};
	char *top = cw_asprintf("%s/..", made->path);
	struct cw_error err = CW_ERROR_INIT;
	struct cw_buf text = CW_BUF_INIT;
	int fd = cw_open_dir(top, &err);

	cw_minisign_public_base64(&r->signer, key);
	cw_seed_readme(&text, &about);
	if (fd < 0 ||
	    cw_save_file(fd, "README.txt", text.data, text.len, 0644, &err) < 0)
		cw_cli_warn(cli, "no README.txt beside %s: %s", made->path,
		    err.message);
	cw_close(&fd);
	cw_buf_free(&text);
	free(top);
}

/* A note in the log of each medium that was written to. */
static void
write_custody(struct cw_cli *cli, const char *const *dirs, size_t count,
    const struct cw_repair_result *r)
{
	struct cw_minisign_secret *secret = NULL;
	struct cw_error err = CW_ERROR_INIT;
	struct cw_set *set = NULL;
	struct cw_card own;
	const char **all =
	    cw_calloc(count + r->made_count + 1, sizeof(const char *));

	memcpy(all, dirs, count * sizeof(*all));
	for (size_t i = 0; i < r->made_count; i++)
		all[count + i] = r->made[i].path;
	/* Without a key that opens unasked there is nobody to sign. */
	if (cli->home == NULL ||
	    cw_identity_card(cli->home->state_fd, &own, NULL) < 0 ||
	    (getenv("CAUSEWAY_PASSPHRASE") != NULL
		    ? cw_cli_signing_key(cli, &secret, NULL) < 0
		    : cw_identity_sign(
			  cli->home->state_fd, NULL, &secret, NULL) < 0))
		goto out;
	if (cw_set_open(all, count + r->made_count, r->seed_text, NULL, 0, &set,
		&err) < 0)
		goto out;
	for (size_t i = 0; i < set->count; i++) {
		uint32_t number = set->media[i].number;
		bool is_made = false, was_made = false;
		size_t ranges = 0;
		char note[64];

		/* The one that it was made from was not written to. */
		for (size_t j = 0; j < r->made_count; j++) {
			was_made = was_made || r->made[j].medium == number;
			is_made = is_made || strcmp(r->made[j].path,
						 set->media[i].path) == 0;
		}
		for (size_t j = 0; j < r->repaired_count; j++)
			ranges += r->repaired[j].medium == number;
		if (!is_made && (ranges == 0 || was_made))
			continue;
		(void)snprintf(note, sizeof(note),
		    is_made ? "made again by repair" : "repaired, %zu ranges",
		    ranges);
		if (cw_custody_file_append(set->media[i].dirfd, set->seed_id,
			CW_CUSTODY_NOTE, note, own.name, secret, &err) < 0)
			cw_cli_warn(cli,
			    "no event written to the log in %s: %s",
			    set->media[i].path, err.message);
	}
out:
	free(all);
	cw_set_free(set);
	cw_minisign_secret_free(secret);
}

/* Ends the command: prints the result, and the error if there is one. */
static int
report(struct cw_cli *cli, const struct cw_repair_result *r, bool is_dry)
{
	say(cli, r, is_dry);
	(void)fflush(stdout); /* before the error, where both go to one file */
	if (r->status != CW_REPAIR_OK)
		return cw_cli_fail_with(
		    cli, cli->json ? to_json(r, is_dry) : NULL, &r->error);
	return cli->json ? cw_cli_emit(cli, to_json(r, is_dry)) : 0;
}

static int
repair(struct cw_cli *cli, const struct cw_media_dirs *dirs,
    const struct cw_media_dirs *to, struct request *request)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_progress progress = {.what = NULL};
	struct cw_progress_line *line;
	struct cw_repair_result result;
	struct cw_cli_trust trust;
	int ret, status;

	if (cw_cli_trust(cli, request->signer, &trust, &err) < 0)
		return cw_cli_fail(cli, &err);
	request->o.signers = trust.signers;
	request->o.signer_count = trust.count;
	request->o.to = to->dirs;
	request->o.to_count = to->count;
	request->o.progress = &progress;
	line = cw_progress_line_begin(cli, &progress);
	ret = cw_repair(dirs->dirs, dirs->count, &request->o, &result, &err);
	cw_progress_line_end(line);
	if (ret == 0 && !request->o.is_dry) {
		for (size_t i = 0; i < result.made_count; i++)
			write_readme(cli, &result, &result.made[i]);
		if (request->has_custody)
			write_custody(cli, dirs->dirs, dirs->count, &result);
	}
	status = ret == 0 ? report(cli, &result, request->o.is_dry)
			  : cw_cli_fail_resumable(cli, &err);
	cw_repair_free(&result);
	free(trust.signers);
	return status;
}

/* Mounts what are names of disks, and lets go of them in the end. */
static int
run(struct cw_cli *cli, struct request *request, char *const *args,
    size_t count)
{
	struct cw_media_dirs dirs = CW_MEDIA_DIRS_INIT;
	struct cw_media_dirs to = CW_MEDIA_DIRS_INIT;
	struct cw_error err = CW_ERROR_INIT;
	int status;

	if (cw_media_dirs_begin(args, count,
		request->o.is_dry ? CW_MEDIA_READ : CW_MEDIA_NOTE, &dirs,
		&err) < 0 ||
	    cw_media_dirs_begin(request->to, request->to_count,
		request->o.is_dry ? CW_MEDIA_READ : CW_MEDIA_WRITE, &to,
		&err) < 0)
		status = cw_cli_fail(cli, &err);
	else
		status = repair(cli, &dirs, &to, request);
	cw_media_dirs_end(cli, &to);
	cw_media_dirs_end(cli, &dirs);
	return status;
}

int
cmd_repair(struct cw_cli *cli, int argc, char **argv)
{
	struct request r = {.o = {.seed = NULL}, .has_custody = true};
	uint64_t number;
	int opt;

	while ((opt = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		switch (opt) {
		case OPT_SIGNER:
			r.signer = optarg;
			break;
		case OPT_SEED:
			r.o.seed = optarg;
			break;
		case OPT_TO:
			if (r.to_count == TO_MAX)
				return cw_cli_usage_error(cli, usage,
				    "--to is given more than %u times", TO_MAX);
			r.to[r.to_count++] = optarg;
			break;
		case OPT_MEDIUM:
			if (!cw_decimal_parse(optarg, strlen(optarg),
				CW_MANIFEST_MEDIA_MAX, &number) ||
			    number == 0)
				return cw_cli_usage_error(cli, usage,
				    "--medium takes the number of a medium");
			r.o.medium = (uint32_t)number;
			break;
		case OPT_DRY_RUN:
			r.o.is_dry = true;
			break;
		case OPT_THREADS:
			if (!cw_decimal_parse(
				optarg, strlen(optarg), 64, &number) ||
			    number == 0)
				return cw_cli_usage_error(cli, usage,
				    "--threads takes a number from 1 to 64");
			r.o.threads = (unsigned)number;
			break;
		case OPT_NO_CUSTODY:
			r.has_custody = false;
			break;
		case 'h':
			return cw_cli_help(usage);
		default:
			return cw_cli_bad_option(cli, usage, opt, argv);
		}
	}
	if (optind == argc)
		return cw_cli_usage_error(cli, usage,
		    "repair takes the directories the media are mounted on");
	if (r.o.medium != 0 && r.to_count != 1)
		return cw_cli_usage_error(
		    cli, usage, "--medium needs --to, once");
	return run(cli, &r, argv + optind, (size_t)(argc - optind));
}
