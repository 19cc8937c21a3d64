#include "base/bytes.h"
#include "base/fs.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/media_dirs.h"
#include "cli/output.h"
#include "cli/progress_line.h"
#include "cli/trust.h"
#include "cli/verify_report.h"
#include "seed/custody_file.h"
#include "seed/verify.h"
#include "seed/verify_certificate.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: causeway verify DIR... [--signer KEY] [--seed ID] [--quick | "
    "--cached]\n"
    "\n"
    "Checks a seed on the media mounted on DIR...: its signature, that every "
    "file is\n"
    "there and is what was signed (SHA-256 and XXH3 of every byte, read from "
    "the\n"
    "device), and its second copies.  What is damaged is named to the block "
    "of 64 KiB,\n"
    "and whether parity can repair it.  Several media are read at the same "
    "time.  No\n"
    "secret and no home are needed; with a home the seeds of paired sites "
    "are trusted,\n"
    "and a run that was interrupted is gone on with by the next one.\n"
    "\n"
    "  --signer KEY   trust this minisign public key, or the file that holds "
    "it\n"
    "  --seed ID      which seed, where the media hold several (else the "
    "newest)\n"
    "  --manifest FILE  the final manifest, with FILE.minisig, that came by "
    "itself\n"
    "  --quick        do not read volumes: names, sizes and small files only\n"
    "  --cached       reading from the page cache will do\n"
    "  --rate SIZE    read at most so many bytes a second (64M)\n"
    "  --threads N    read and hash N files at once (default: one a core)\n"
    "  --resume FILE  keep in FILE what was read and good, and go on from "
    "there\n"
    "                 (default with a home: a file in its state directory)\n"
    "  --fresh        read all of it, whatever an earlier run has read\n"
    "  --certificate FILE  write what was verified to FILE, and this site's\n"
    "                 signature to FILE.minisig\n"
    "  --no-custody   do not write the event into the seed's log\n"
    "\n"
    "Exit status: 0 good, 3 damaged or incomplete and repairable, 4 damaged "
    "or\n"
    "incomplete, 5 not trusted.\n"
    "Example: causeway verify /mnt/disk1 /mnt/disk2 --signer metairie.pub\n"
    "Next: `causeway repair DIR...` after 3, or `causeway receive DIR... "
    "--root DIR`.\n";

enum {
	OPT_SIGNER = 256,
	OPT_SEED,
	OPT_MANIFEST,
	OPT_QUICK,
	OPT_CACHED,
	OPT_RATE,
	OPT_THREADS,
	OPT_RESUME,
	OPT_FRESH,
	OPT_CERTIFICATE,
	OPT_NO_CUSTODY
};

static const struct option options[] = {
    {"signer", required_argument, NULL, OPT_SIGNER},
    {"seed", required_argument, NULL, OPT_SEED},
    {"manifest", required_argument, NULL, OPT_MANIFEST},
    {"quick", no_argument, NULL, OPT_QUICK},
    {"cached", no_argument, NULL, OPT_CACHED},
    {"rate", required_argument, NULL, OPT_RATE},
    {"threads", required_argument, NULL, OPT_THREADS},
    {"resume", required_argument, NULL, OPT_RESUME},
    {"fresh", no_argument, NULL, OPT_FRESH},
    {"certificate", required_argument, NULL, OPT_CERTIFICATE},
    {"no-custody", no_argument, NULL, OPT_NO_CUSTODY},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* What was typed, and what it takes. */
struct request {
	struct cw_verify_options o;
	const char *signer;
	const char *certificate; /* NULL: none */
	bool has_custody;

	struct cw_minisign_secret *secret; /* for the certificate */
	struct cw_card own;
	struct cw_media_dirs dirs;
};

/* ---- certificate ---- */

/*
 * Before hours of reading: whether there is a key to sign with, and a place to
 * write to.
 */
static int
prepare_certificate(struct cw_cli *cli, struct request *q, struct cw_error *err)
{
	char *slash, *dir;
	int fd;

	if (q->certificate == NULL)
		return 0;
	if (cli->home == NULL)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "a certificate is signed, and there is no home with a key: "
		    "give --home or --config, or make a home with `causeway "
		    "init`");
	if (cw_identity_card(cli->home->state_fd, &q->own, err) < 0 ||
	    cw_cli_signing_key(cli, &q->secret, err) < 0)
		return -1;
	dir = cw_strdup(q->certificate);
	slash = strrchr(dir, '/');
	if (slash == NULL)
		strcpy(dir, ".");
	else
		slash[slash == dir] = '\0';
	fd = cw_open_dir(dir, err);
	if (fd >= 0 && faccessat(fd, ".", W_OK, AT_EACCESS) < 0) {
		cw_error_errno(err, "cannot write to %s", dir);
		cw_close(&fd);
	}
	free(dir);
	if (fd < 0)
		return cw_error_context(err, "--certificate");
	cw_close(&fd);
	return 0;
}

static int
write_certificate(const struct request *q, const struct cw_verify_result *r,
    struct cw_error *err)
{
	enum cw_certificate_method method = q->o.quick ? CW_CERTIFICATE_QUICK
					    : q->o.cached
						? CW_CERTIFICATE_CACHED
						: CW_CERTIFICATE_DEVICE;
	char *comment = cw_asprintf("certificate of seed %s by %s: %s",
	    r->seed_text, q->own.name, cw_verify_status_name(r->status));
	char *name = cw_asprintf("%s.minisig", q->certificate);
	struct cw_buf text = CW_BUF_INIT, sig = CW_BUF_INIT;
	int ret = -1;

	if (cw_verify_certify(r, method, &q->own, &text, err) < 0 ||
	    cw_minisign_sign(
		q->secret, text.data, text.len, comment, &sig, err) < 0 ||
	    cw_save_file(
		AT_FDCWD, q->certificate, text.data, text.len, 0644, err) < 0 ||
	    cw_save_file(AT_FDCWD, name, sig.data, sig.len, 0644, err) < 0)
		goto out;
	ret = 0;
out:
	cw_buf_free(&text);
	cw_buf_free(&sig);
	free(comment);
	free(name);
	return ret;
}

/* ---- custody ---- */

/* Writes "verified" into the log of each medium that can be written to. */
static void
write_custody(struct cw_cli *cli, const char *const *dirs, size_t count,
    const struct cw_verify_result *r)
{
	struct cw_minisign_secret *secret = NULL;
	struct cw_error err = CW_ERROR_INIT;
	struct cw_set *set = NULL;
	struct cw_card own;
	char note[160], manifest[65];

	/* Without a key that opens unasked there is nobody to sign. */
	if (cli->home == NULL || r->status == CW_VERIFY_UNTRUSTED ||
	    cw_identity_card(cli->home->state_fd, &own, NULL) < 0)
		return;
	if (getenv("CAUSEWAY_PASSPHRASE") != NULL
		? cw_cli_signing_key(cli, &secret, NULL) < 0
		: cw_identity_sign(cli->home->state_fd, NULL, &secret, NULL) <
		      0)
		return;
	cw_hex_encode(r->manifest_sha256, sizeof(r->manifest_sha256), manifest);
	snprintf(note, sizeof(note), "%s, %llu bytes read, manifest %s",
	    cw_verify_status_name(r->status), (unsigned long long)r->bytes,
	    manifest);
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

/* ---- the command ---- */

/* Ends the command: prints the result, and the error if there is one. */
static int
report(struct cw_cli *cli, const struct request *q,
    const struct cw_verify_result *r, const char *certificate,
    const struct cw_error *err)
{
	cw_verify_say(cli, r, q->o.quick);
	if (certificate != NULL)
		cw_cli_say(cli, "Certificate: %s, signed in %s.minisig.",
		    certificate, certificate);
	(void)fflush(stdout); /* before the error, where both go to one file */
	if (err->code != CW_OK)
		return cw_cli_fail_with(cli,
		    cli->json ? cw_verify_json(r, certificate) : NULL, err);
	return cli->json ? cw_cli_emit(cli, cw_verify_json(r, certificate)) : 0;
}

/* What follows from a verification that ran to its end. */
static int
finish(struct cw_cli *cli, const struct request *q,
    const struct cw_verify_result *r)
{
	const char *certificate = NULL;
	struct cw_error err = CW_ERROR_INIT;

	if (q->has_custody && !q->o.quick)
		write_custody(cli, q->dirs.dirs, q->dirs.count, r);
	if (q->certificate != NULL) {
		if (write_certificate(q, r, &err) == 0)
			certificate = q->certificate;
		else if (r->status != CW_VERIFY_OK)
			cw_cli_warn(cli, "no certificate: %s", err.message);
	}
	/* What is wrong with the seed goes before all else. */
	return report(cli, q, r, certificate,
	    r->status != CW_VERIFY_OK ? &r->error : &err);
}

static void
show_note(void *arg, const char *text)
{
	cw_progress_line_note(arg, text);
}

static int
verify(struct cw_cli *cli, struct request *q)
{
	struct cw_progress progress = {.what = NULL};
	struct cw_error err = CW_ERROR_INIT;
	struct cw_verify_result result;
	struct cw_cli_trust trust;
	char *resume_dir = NULL;
	int ret, status;

	if (cw_cli_trust(cli, q->signer, &trust, &err) < 0)
		return cw_cli_fail(cli, &err);
	if (prepare_certificate(cli, q, &err) < 0) {
		free(trust.signers);
		return cw_cli_fail(cli, &err);
	}
	if (cli->home != NULL)
		resume_dir = cw_asprintf("%s/verify", cli->home->state_path);
	q->o.resume_dir = resume_dir;
	q->o.signers = trust.signers;
	q->o.signer_count = trust.count;
	q->o.progress = &progress;
	q->o.note = show_note;
	q->o.note_arg = cw_progress_line_begin(cli, &progress);
	ret = cw_verify(q->dirs.dirs, q->dirs.count, &q->o, &result, &err);
	cw_progress_line_end(q->o.note_arg);
	status = ret == 0 ? finish(cli, q, &result) : cw_cli_fail(cli, &err);
	cw_verify_free(&result);
	free(trust.signers);
	free(resume_dir);
	return status;
}

/* Mounts what are names of disks, and lets go of them in the end. */
static int
run(struct cw_cli *cli, struct request *q, char *const *args, size_t count)
{
	struct cw_error err = CW_ERROR_INIT;
	int status;

	q->o.typed = (const char *const *)args;
	if (cw_media_dirs_begin(args, count,
		q->has_custody ? CW_MEDIA_NOTE : CW_MEDIA_READ, &q->dirs,
		&err) < 0)
		status = cw_cli_fail(cli, &err);
	else
		status = verify(cli, q);
	cw_media_dirs_end(cli, &q->dirs);
	cw_minisign_secret_free(q->secret);
	return status;
}

/* Takes one option; returns 0, or the status to end with. */
static int
take_option(struct cw_cli *cli, struct request *q, int opt, char **argv)
{
	uint64_t threads;

	switch (opt) {
	case OPT_SIGNER:
		q->signer = optarg;
		return 0;
	case OPT_SEED:
		q->o.seed = optarg;
		return 0;
	case OPT_MANIFEST:
		q->o.manifest = optarg;
		return 0;
	case OPT_QUICK:
		q->o.quick = true;
		return 0;
	case OPT_CACHED:
		q->o.cached = true;
		return 0;
	case OPT_RATE:
		if (cw_size_parse(optarg, &q->o.rate) && q->o.rate != 0)
			return 0;
		return cw_cli_usage_error(
		    cli, usage, "--rate takes bytes a second, like 64M");
	case OPT_THREADS:
		if (!cw_decimal_parse(optarg, strlen(optarg), 64, &threads) ||
		    threads == 0)
			return cw_cli_usage_error(cli, usage,
			    "--threads takes a number from 1 to 64");
		q->o.threads = (unsigned)threads;
		return 0;
	case OPT_RESUME:
		q->o.resume_file = optarg;
		return 0;
	case OPT_FRESH:
		q->o.is_fresh = true;
		return 0;
	case OPT_CERTIFICATE:
		q->certificate = optarg;
		return 0;
	case OPT_NO_CUSTODY:
		q->has_custody = false;
		return 0;
	default:
		return cw_cli_bad_option(cli, usage, opt, argv);
	}
}

int
cmd_verify(struct cw_cli *cli, int argc, char **argv)
{
	struct request q = {
	    .has_custody = true,
	    .dirs = CW_MEDIA_DIRS_INIT,
	};
	int opt, status;

	while ((opt = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		if (opt == 'h')
			return cw_cli_help(usage);
		status = take_option(cli, &q, opt, argv);
		if (status != 0)
			return status;
	}
	if (optind == argc)
		return cw_cli_usage_error(cli, usage,
		    "verify takes the directories the media are mounted on");
	return run(cli, &q, argv + optind, (size_t)(argc - optind));
}
