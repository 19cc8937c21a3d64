/*
 * `key split` and `key join`: escrow of an age key in shares.
 */
#include "base/buf.h"
#include "base/bytes.h"
#include "base/crypto.h"
#include "base/fs.h"
#include "base/text.h"
#include "cli/ask.h"
#include "cli/cmd_key.h"
#include "cli/output.h"
#include "site/escrow.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define INPUT_MAX (256u << 10) /* bytes of shares from one file */

static const char split_usage[] =
    "usage: causeway key split N M [--out DIR | --print] [--identity "
    "KEYFILE]\n"
    "\n"
    "Splits this site's age key into N shares, any M of which put it together "
    "again\n"
    "and fewer tell nothing.  Each share is a line of text that can be kept on "
    "paper.\n"
    "Without --out the shares are printed, on a terminal only.\n"
    "\n"
    "  --out DIR           write share-01.txt ... and README.txt there, for "
    "their owner\n"
    "                      alone\n"
    "  --print             print them, wherever the output goes\n"
    "  --identity KEYFILE  split that key, as age-keygen writes it (a key for "
    "escrow\n"
    "                      alone: `seed --recipient` seals for it too)\n"
    "\n"
    "Example: causeway key split 5 3 --out /mnt/stick\n"
    "Next: give each share to another person, try `causeway key join`, and "
    "erase DIR.\n";

static const char join_usage[] =
    "usage: causeway key join [FILE... | -] --out FILE | --print\n"
    "\n"
    "Puts an age key together from shares that `causeway key split` made, and "
    "checks\n"
    "that it is the right one.  Shares come from files or from standard input; "
    "what\n"
    "stands around them is passed over, and capitals and line ends do not "
    "matter.\n"
    "\n"
    "  --out FILE  write the key there, for its owner alone, as age-keygen "
    "does\n"
    "  --print     print it, on a terminal only\n"
    "\n"
    "Exit status: 4 shares are missing; 5 they do not belong together.\n"
    "Example: causeway key join share-01.txt share-04.txt share-05.txt --out "
    "age.key\n"
    "Next: `causeway open --identity age.key FILE`, or `causeway receive "
    "--identity\n"
    "age.key`; stock `age -d -i age.key` takes it too.\n";

enum { OPT_OUT = 256, OPT_PRINT, OPT_IDENTITY };

static const struct option options[] = {
    {"out", required_argument, NULL, OPT_OUT},
    {"print", no_argument, NULL, OPT_PRINT},
    {"identity", required_argument, NULL, OPT_IDENTITY},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

struct request {
	const char *out, *identity;
	bool may_print;
};

/* -1: help was asked for; else a status, 0 to go on. */
static int
parse(struct cw_cli *cli, const char *usage, struct request *q, int argc,
    char **argv)
{
	int opt;

	optind = 0;
	while ((opt = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		switch (opt) {
		case OPT_OUT:
			q->out = optarg;
			break;
		case OPT_PRINT:
			q->may_print = true;
			break;
		case OPT_IDENTITY:
			q->identity = optarg;
			break;
		case 'h':
			(void)cw_cli_help(usage);
			return -1;
		default:
			return cw_cli_bad_option(cli, usage, opt, argv);
		}
	}
	if (q->out != NULL && q->may_print)
		return cw_cli_usage_error(
		    cli, usage, "give --out or --print, not both");
	return 0;
}

static const char *
ask(void *arg, const char *what, struct cw_error *err)
{
	return cw_ask_passphrase(arg, what, err);
}

/* ---- split ---- */

static void
describe(const struct cw_share *s, struct cw_buf *text)
{
	char key[2 * CW_SHARE_KEY_SIZE + 1], split[2 * CW_SHARE_SPLIT_SIZE + 1];

	cw_hex_encode(s->key, CW_SHARE_KEY_SIZE, key);
	cw_hex_encode(s->split, CW_SHARE_SPLIT_SIZE, split);
	cw_buf_printf(text,
	    "# Share %u of %u of an age key; any %u of them put it together "
	    "again:\n"
	    "#     causeway key join FILE... --out age.key\n"
	    "# Key %s, split %s.  Keep it where the other shares are not.\n",
	    s->index, s->made, s->needed, key, split);
}

static void
readme(const struct cw_share *s, const char *recipient, struct cw_buf *text)
{
	cw_buf_printf(text,
	    "These are the %u shares of the private age key of\n"
	    "\n"
	    "    %s\n"
	    "\n"
	    "Any %u of them put the key together again; %u tell nothing about "
	    "it.  Whoever\n"
	    "has the key can read all that was sealed for it.\n"
	    "\n"
	    "- Give each share to another person, or put it in another place. "
	    " A printed\n"
	    "  share in a sealed envelope keeps longer than a stick.\n"
	    "- Write down who has which number, and keep the list apart.\n"
	    "- Try it once, before you need it:\n"
	    "      causeway key join share-01.txt ... --print\n"
	    "- Then erase this directory.  A medium that shares were on "
	    "together is worth as\n"
	    "  much as the key: destroy it.\n"
	    "- When a share is lost or read by others, split the key again: "
	    "shares of two\n"
	    "  splits do not mix, but %u old ones still join.  To shut them "
	    "out, make a new\n"
	    "  key.\n"
	    "\n"
	    "A share is a line of text.  Mistyped characters are found and "
	    "named.\n",
	    s->made, recipient, s->needed, s->needed - 1, s->needed);
}

/* Never over a file that is there: it might be the last of its kind. */
static int
save_new(int dirfd, const char *dir, const char *name, const struct cw_buf *b,
    struct cw_error *err)
{
	int fd =
	    openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int ret;

	if (fd < 0)
		return errno == EEXIST
			   ? cw_error_set(err, CW_ERR_REFUSED,
				 "%s/%s is there already, and is not written "
				 "over: choose another place",
				 dir, name)
			   : cw_error_errno(
				 err, "cannot make %s/%s", dir, name);
	ret = cw_write_all(fd, b->data, b->len, err);
	if (ret == 0)
		ret = cw_sync(fd, err);
	if (ret == 0)
		ret = cw_sync(dirfd, err);
	if (ret < 0)
		cw_error_context(err, "%s/%s", dir, name);
	cw_close(&fd);
	return ret;
}

/* In secure memory. */
static char *
share_line(const struct cw_share *s)
{
	char *line = cw_secret_alloc(CW_SHARE_TEXT_SIZE);

	cw_share_encode(s, line);
	return line;
}

static int
save_shares(const char *dir, const struct cw_share *shares,
    const char *recipient, json_t *files, struct cw_error *err)
{
	struct cw_buf text = CW_BUF_INIT;
	int dirfd, ret = 0;

	if (cw_make_dirs(dir, 0700, err) < 0)
		return -1;
	dirfd = cw_open_dir(dir, err);
	if (dirfd < 0)
		return -1;
	for (unsigned i = 0; ret == 0 && i < shares[0].made; i++) {
		char name[32], *line = share_line(&shares[i]), *path;

		(void)snprintf(
		    name, sizeof(name), "share-%02u.txt", shares[i].index);
		describe(&shares[i], &text);
		cw_buf_printf(&text, "%s\n", line);
		cw_secret_free(line);
		ret = save_new(dirfd, dir, name, &text, err);
		cw_buf_wipe(&text);
		path = cw_asprintf("%s/%s", dir, name);
		json_array_append_new(
		    files, cw_cli_json_text(path, strlen(path)));
		free(path);
	}
	if (ret == 0) {
		readme(&shares[0], recipient, &text);
		ret = save_new(dirfd, dir, "README.txt", &text, err);
	}
	cw_buf_wipe(&text);
	cw_close(&dirfd);
	return ret;
}

static json_t *
print_shares(struct cw_cli *cli, const struct cw_share *shares)
{
	json_t *lines = json_array();
	struct cw_buf text = CW_BUF_INIT;

	for (unsigned i = 0; i < shares[0].made; i++) {
		char *line = share_line(&shares[i]);

		describe(&shares[i], &text);
		if (cli->json)
			json_array_append_new(lines, json_string(line));
		else
			(void)printf("%s%s%s\n", i > 0 ? "\n" : "",
			    cw_buf_string(&text), line);
		cw_buf_reset(&text);
		cw_secret_free(line);
	}
	cw_buf_free(&text);
	return lines;
}

static int
load_key(struct cw_cli *cli, const struct request *q,
    struct cw_age_identity **id, struct cw_error *err)
{
	const struct cw_passphrase passphrase = {ask, cli};

	if (q->identity != NULL)
		return cw_identity_age_file(
		    AT_FDCWD, q->identity, &passphrase, id, err);
	return cw_cli_age_identity(cli, id, err);
}

static int
split(
    struct cw_cli *cli, const struct request *q, unsigned made, unsigned needed)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_age_identity *id = NULL;
	char recipient[CW_AGE_RECIPIENT_TEXT], name[2 * CW_SHARE_KEY_SIZE + 1];
	struct cw_age_recipient point;
	struct cw_share *shares = NULL;
	json_t *list = NULL;
	int status;

	if (q->out == NULL && !q->may_print && !isatty(STDOUT_FILENO)) {
		cw_error_set(&err, CW_ERR_REFUSED,
		    "shares are secret and the output is no terminal: write "
		    "them to files with --out DIR, or say --print");
		return cw_cli_fail(cli, &err);
	}
	if (load_key(cli, q, &id, &err) < 0 ||
	    cw_escrow_split(id, needed, made, &shares, &err) < 0) {
		status = cw_cli_fail(cli, &err);
		goto out;
	}
	cw_age_identity_recipient(id, &point);
	cw_age_recipient_format(&point, recipient);
	if (q->out != NULL) {
		list = json_array();
		if (save_shares(q->out, shares, recipient, list, &err) < 0) {
			json_decref(list);
			status = cw_cli_fail(cli, &err);
			goto out;
		}
		cw_cli_say(cli,
		    "%u shares of the key of %s are in %s; any %u of them are "
		    "enough.",
		    made, recipient, q->out, needed);
		cw_cli_say(cli,
		    "Next: give each to another person, try `causeway key "
		    "join`, erase %s.",
		    q->out);
	} else {
		list = print_shares(cli, shares);
	}
	cw_hex_encode(shares[0].key, CW_SHARE_KEY_SIZE, name);
	status = cli->json ? cw_cli_emit(cli,
				 json_pack("{s:s, s:s, s:i, s:i, s:O}",
				     "age_recipient", recipient, "key", name,
				     "made", (int)made, "needed", (int)needed,
				     q->out != NULL ? "files" : "shares", list))
			   : 0;
	json_decref(list);
out:
	cw_secret_free(shares);
	cw_age_identity_free(id);
	return status;
}

static bool
parse_count(const char *text, unsigned *out)
{
	uint64_t n;

	if (!cw_decimal_parse(text, strlen(text), CW_SHARE_MADE_MAX, &n))
		return false;
	*out = (unsigned)n;
	return true;
}

int
cmd_key_split(struct cw_cli *cli, int argc, char **argv)
{
	struct request q = {.out = NULL};
	unsigned made, needed;
	int status = parse(cli, split_usage, &q, argc, argv);

	if (status != 0)
		return status < 0 ? 0 : status;
	if (argc - optind != 2 || !parse_count(argv[optind], &made) ||
	    !parse_count(argv[optind + 1], &needed))
		return cw_cli_usage_error(cli, split_usage,
		    "key split takes two numbers up to %u: how many shares are "
		    "made, and how many of them are needed",
		    CW_SHARE_MADE_MAX);
	if (needed < CW_SHARE_NEEDED_MIN || needed > made)
		return cw_cli_usage_error(cli, split_usage,
		    "of %u shares, %u to %u may be needed, not %u", made,
		    CW_SHARE_NEEDED_MIN, made, needed);
	return split(cli, &q, made, needed);
}

/* ---- join ---- */

/*
 * A whole file, or standard input, behind what text holds, which has room for
 * INPUT_MAX bytes and is never moved: secure memory is too small for what
 * people may put around a share, so the caller wipes it.
 */
static int
read_secret(const char *file, struct cw_buf *text, struct cw_error *err)
{
	bool is_stdin = strcmp(file, "-") == 0;
	int fd = is_stdin ? STDIN_FILENO : open(file, O_RDONLY | O_CLOEXEC);
	size_t got = 0;
	int ret;

	if (fd < 0)
		return cw_error_errno(err, "cannot open %s", file);
	ret = cw_read_full(fd, text->data, INPUT_MAX, &got, err);
	text->len = got;
	if (ret == 0 && got == INPUT_MAX)
		ret = cw_error_set(err, CW_ERR_FORMAT,
		    "%s is too long to hold shares",
		    is_stdin ? "standard input" : file);
	if (!is_stdin)
		cw_close(&fd);
	return ret;
}

static int
read_shares(char **files, int count, struct cw_share **shares, size_t *n,
    struct cw_error *err)
{
	static char dash[] = "-";
	char *only[] = {dash};
	struct cw_buf text = CW_BUF_INIT;
	int ret = 0;

	if (count == 0) {
		files = only;
		count = 1;
	}
	(void)cw_buf_reserve(&text, INPUT_MAX);
	for (int i = 0; ret == 0 && i < count; i++) {
		ret = read_secret(files[i], &text, err);
		if (ret == 0)
			ret = cw_escrow_read(strcmp(files[i], "-") == 0
						 ? "standard input"
						 : files[i],
			    (const char *)text.data, text.len, shares, n, err);
		explicit_bzero(text.data, INPUT_MAX);
	}
	cw_buf_free(&text);
	return ret;
}

/* "DIR" and "NAME" of a path. */
static int
open_parent(
    const char *path, char **dir, const char **name, struct cw_error *err)
{
	const char *slash = strrchr(path, '/');
	int fd;

	*dir = slash == NULL   ? cw_strdup(".")
	       : slash == path ? cw_strdup("/")
			       : cw_asprintf("%.*s", (int)(slash - path), path);
	*name = slash == NULL ? path : slash + 1;
	fd = cw_open_dir(*dir, err);
	return fd;
}

static int
save_key(const char *path, const char *text, struct cw_error *err)
{
	const struct cw_buf whole = {
	    .data = (uint8_t *)(uintptr_t)text, .len = strlen(text)};
	char *dir = NULL;
	const char *name;
	int fd = open_parent(path, &dir, &name, err);
	int ret = fd < 0 ? -1 : save_new(fd, dir, name, &whole, err);

	cw_close(&fd);
	free(dir);
	return ret;
}

static int
join(struct cw_cli *cli, const struct request *q, char **files, int count)
{
	struct cw_error err = CW_ERROR_INIT;
	char recipient[CW_AGE_RECIPIENT_TEXT], when[CW_TIME_TEXT];
	struct cw_age_identity *id = NULL;
	struct cw_age_recipient point;
	struct cw_share *shares = NULL;
	char *text = NULL;
	size_t n = 0;
	int status = 0;

	if (q->may_print && !isatty(STDOUT_FILENO)) {
		cw_error_set(&err, CW_ERR_REFUSED,
		    "the key is secret and the output is no terminal: write it "
		    "to a file with --out FILE");
		return cw_cli_fail(cli, &err);
	}
	if (count == 0 && isatty(STDIN_FILENO) && isatty(STDERR_FILENO))
		(void)fputs(
		    "Type the shares, one a line; end with Ctrl-D.\n", stderr);
	if (read_shares(files, count, &shares, &n, &err) < 0 ||
	    cw_escrow_join(shares, n, &id, &err) < 0) {
		status = cw_cli_fail(cli, &err);
		goto out;
	}
	cw_age_identity_recipient(id, &point);
	cw_age_recipient_format(&point, recipient);
	cw_time_format(time(NULL), when);
	text = cw_age_identity_format(id, when);
	if (q->out != NULL && save_key(q->out, text, &err) < 0) {
		status = cw_cli_fail(cli, &err);
		goto out;
	}
	if (q->out == NULL && !cli->json)
		(void)fputs(text, stdout);
	else
		cw_cli_say(cli, "The key of %s is in %s.", recipient, q->out);
	if (cli->json)
		status =
		    cw_cli_emit(cli, json_pack("{s:s, s:s*}", "age_recipient",
					 recipient, "age_file", q->out));
out:
	cw_secret_free(text);
	cw_secret_free(shares);
	cw_age_identity_free(id);
	return status;
}

int
cmd_key_join(struct cw_cli *cli, int argc, char **argv)
{
	struct request q = {.out = NULL};
	int status = parse(cli, join_usage, &q, argc, argv);

	if (status != 0)
		return status < 0 ? 0 : status;
	if (q.identity != NULL)
		return cw_cli_usage_error(
		    cli, join_usage, "--identity is for key split");
	if (q.out == NULL && !q.may_print)
		return cw_cli_usage_error(cli, join_usage,
		    "key join needs --out FILE, or --print on a terminal");
	if (cli->json && q.out == NULL)
		return cw_cli_usage_error(
		    cli, join_usage, "with --json the key goes to --out FILE");
	return join(cli, &q, argv + optind, argc - optind);
}
