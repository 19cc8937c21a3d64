/*
 * `seed slip`: the packing slips of a seed's media.
 */
#include "base/bytes.h"
#include "base/fs.h"
#include "base/text.h"
#include "cli/cmd_seed.h"
#include "cli/output.h"
#include "media/set.h"
#include "media/slip.h"
#include "seed/ledger.h"
#include "seed/shipping.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: causeway seed slip ID [--medium N] [--call TEXT] [--no-names] "
    "[--text]\n"
    "\n"
    "Prints the packing slip of each medium of a seed, to go into its box: "
    "what it is,\n"
    "what to do when it arrives, whom to call, and a QR code for a telephone.  "
    "It names\n"
    "no user and no mailbox.  In a file or a pipe the code is drawn for paper, "
    "and each\n"
    "slip is a page; on a terminal it is drawn for light letters on dark.\n"
    "\n"
    "  --medium N   only that one\n"
    "  --call TEXT  whom to call (else `contact` of the configuration's "
    "[site])\n"
    "  --no-names   leave out the names of the two sites\n"
    "  --text       draw for paper on a terminal, too\n"
    "\n"
    "Example: causeway seed slip 0123456789abcdef --call 'Ann +1 504 555 0100' "
    "| lp\n"
    "Next: one into each box; keep one, and read the manifest's words out on "
    "the\n"
    "telephone.\n";

enum { OPT_MEDIUM = 256, OPT_CALL, OPT_NO_NAMES, OPT_TEXT };

static const struct option options[] = {
    {"medium", required_argument, NULL, OPT_MEDIUM},
    {"call", required_argument, NULL, OPT_CALL},
    {"no-names", no_argument, NULL, OPT_NO_NAMES},
    {"text", no_argument, NULL, OPT_TEXT},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

struct request {
	const char *id, *call;
	uint32_t medium; /* 0: all */
	bool without_names, is_for_paper;
};

/* What this site remembers of the seed. */
struct seed {
	struct cw_manifest manifest;
	uint8_t sha256[CW_SHA256_SIZE];
	char to[CW_LEDGER_PEER_MAX + 1];
	struct cw_shipping shipping;
};

static int
load(
    struct cw_cli *cli, const char *id, struct seed *seed, struct cw_error *err)
{
	struct cw_buf text = CW_BUF_INIT;
	struct cw_ledger ledger;
	char *path = cw_home_seed_dir(cli->home, id);
	int dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), ret = 1;

	free(path);
	if (dirfd >= 0)
		ret = cw_read_file(
		    dirfd, CW_SET_MANIFEST, CW_MANIFEST_TEXT_MAX, &text, err);
	if (ret == 1)
		ret = cw_error_set(err, CW_ERR_MISSING,
		    "this site has no finished seed %s: see `causeway seed "
		    "list`",
		    id);
	if (ret == 0)
		ret = cw_manifest_decode(
		    (const char *)text.data, text.len, &seed->manifest, err);
	if (ret == 0 && !seed->manifest.is_final)
		ret = cw_error_set(err, CW_ERR_REFUSED,
		    "seed %s is not finished: its slips would show a "
		    "fingerprint that will change",
		    id);
	if (ret == 0) {
		cw_sha256(text.data, text.len, seed->sha256);
		/* Kind, but not needed. */
		if (cw_ledger_read(dirfd, &ledger, NULL) == 0) {
			memcpy(seed->to, ledger.peer, sizeof(seed->to));
			cw_ledger_close(&ledger);
		}
		ret = cw_shipping_load(dirfd, &seed->shipping, err);
	}
	cw_buf_free(&text);
	cw_close(&dirfd);
	return ret;
}

static void
fill(const struct cw_cli *cli, const struct request *q, const struct seed *seed,
    uint32_t number, struct cw_slip *slip)
{
	const struct cw_manifest *m = &seed->manifest;
	const struct cw_medium *medium = cw_manifest_medium(m, number);

	*slip = (struct cw_slip){.number = number,
	    .media = m->media,
	    .time = m->time,
	    .call = q->call != NULL ? q->call : cli->home->config.contact};
	memcpy(slip->seed_id, m->seed_id, sizeof(slip->seed_id));
	memcpy(slip->manifest_sha256, seed->sha256, 32);
	(void)snprintf(slip->filesystem, sizeof(slip->filesystem), "%s",
	    medium != NULL ? medium->filesystem : "-");
	if (medium != NULL)
		(void)snprintf(
		    slip->label, sizeof(slip->label), "%s", medium->label);
	for (size_t i = 0; i < m->file_count; i++)
		if (m->files[i].medium == number)
			slip->bytes += m->files[i].size;
	if (!q->without_names && seed->to[0] != '\0') {
		slip->from = cli->home->config.name;
		slip->to = seed->to;
	}
}

static json_t *
to_json(const struct cw_slip *slip, const struct cw_shipping_medium *closed)
{
	char code[CW_SLIP_CODE_SIZE], groups[CW_SLIP_GROUPS_SIZE];
	char time[CW_TIME_TEXT], words[CW_CARD_WORDS_SIZE];

	cw_slip_code(slip, code);
	cw_slip_groups(slip->manifest_sha256, groups);
	cw_card_fingerprint_words(slip->manifest_sha256, words);
	cw_time_format(slip->time, time);
	return json_pack("{s:I, s:o, s:o, s:I, s:b, s:s, s:s, s:s, s:s, s:s?, "
			 "s:s?, s:o}",
	    "medium", (json_int_t)slip->number, "label",
	    cw_cli_json_text(slip->label, strlen(slip->label)), "filesystem",
	    strcmp(slip->filesystem, "-") == 0
		? json_null()
		: cw_cli_json_text(slip->filesystem, strlen(slip->filesystem)),
	    "bytes", (json_int_t)slip->bytes, "closed",
	    closed != NULL && closed->closed != 0, "time", time, "fingerprint",
	    groups, "words", words, "code", code, "from", slip->from, "to",
	    slip->to, "call",
	    slip->call == NULL
		? json_null()
		: cw_cli_json_text(slip->call, strlen(slip->call)));
}

static int
print(struct cw_cli *cli, const struct request *q, const struct seed *seed)
{
	enum cw_qr_ink ink = isatty(STDOUT_FILENO) && !q->is_for_paper
				 ? CW_QR_LIGHT
				 : CW_QR_DARK;
	uint32_t first = q->medium != 0 ? q->medium : 1;
	uint32_t last = q->medium != 0 ? q->medium : seed->manifest.media;
	json_t *slips = cli->json ? json_array() : NULL;
	struct cw_error err = CW_ERROR_INIT;
	struct cw_buf page = CW_BUF_INIT;
	int status = 0;

	for (uint32_t n = first; status == 0 && n <= last; n++) {
		const struct cw_shipping_medium *known =
		    cw_shipping_find(&seed->shipping, n);
		struct cw_slip slip;

		fill(cli, q, seed, n, &slip);
		if (known == NULL || known->closed == 0)
			cw_cli_warn(cli,
			    "medium %u is not closed: do not ship it before "
			    "`causeway seed close` says so",
			    n);
		if (cli->json) {
			json_array_append_new(slips, to_json(&slip, known));
			continue;
		}
		cw_buf_reset(&page);
		/* Printers begin a new page there. */
		if (n > first)
			cw_buf_text(&page, isatty(STDOUT_FILENO) ? "\n" : "\f");
		if (cw_slip_page(&slip, ink, &page, &err) < 0)
			status = cw_cli_fail(cli, &err);
		else
			(void)fwrite(page.data, 1, page.len, stdout);
	}
	cw_buf_free(&page);
	if (cli->json && status == 0) {
		char sha[65];

		cw_hex_encode(seed->sha256, 32, sha);
		return cw_cli_emit(
		    cli, json_pack("{s:s, s:I, s:s, s:o}", "seed_id", q->id,
			     "media", (json_int_t)seed->manifest.media,
			     "manifest_sha256", sha, "slips", slips));
	}
	json_decref(slips);
	return status;
}

static int
slip(struct cw_cli *cli, const struct request *q)
{
	struct cw_error err = CW_ERROR_INIT;
	struct seed seed = {.manifest = CW_MANIFEST_INIT};
	int status;

	if (cw_cli_home(cli, CW_HOME_READ, &err) < 0 ||
	    load(cli, q->id, &seed, &err) < 0)
		status = cw_cli_fail(cli, &err);
	else if (q->medium > seed.manifest.media)
		status = cw_cli_usage_error(cli, usage,
		    "seed %s has %u media, there is no medium %u", q->id,
		    seed.manifest.media, q->medium);
	else
		status = print(cli, q, &seed);
	cw_manifest_free(&seed.manifest);
	cw_shipping_free(&seed.shipping);
	return status;
}

static int
parse(struct cw_cli *cli, struct request *q, int argc, char **argv)
{
	uint64_t n;
	int opt, ret = 0;

	optind = 0;
	while (ret == 0 &&
	       (opt = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		switch (opt) {
		case OPT_MEDIUM:
			if (!cw_decimal_parse(optarg, strlen(optarg),
				CW_MANIFEST_MEDIA_MAX, &n) ||
			    n == 0)
				ret = cw_cli_usage_error(cli, usage,
				    "--medium takes the number of a medium");
			else
				q->medium = (uint32_t)n;
			break;
		case OPT_CALL:
			q->call = optarg;
			if (strlen(optarg) > CW_SLIP_CALL_MAX)
				ret = cw_cli_usage_error(cli, usage,
				    "--call: at most %u bytes",
				    CW_SLIP_CALL_MAX);
			break;
		case OPT_NO_NAMES:
			q->without_names = true;
			break;
		case OPT_TEXT:
			q->is_for_paper = true;
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
cmd_seed_slip(struct cw_cli *cli, int argc, char **argv)
{
	uint8_t id[CW_SEED_ID_SIZE];
	struct request q = {.id = NULL};
	int status = parse(cli, &q, argc, argv);

	if (status != 0)
		return status < 0 ? 0 : status;
	if (argc - optind != 1 ||
	    !cw_hex_decode(argv[optind], strlen(argv[optind]), id, sizeof(id)))
		return cw_cli_usage_error(cli, usage,
		    "seed slip takes a seed's id, 16 hexadecimal digits: see "
		    "`causeway seed list`");
	q.id = argv[optind];
	return slip(cli, &q);
}
