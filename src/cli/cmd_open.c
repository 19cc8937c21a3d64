#include "base/fs.h"
#include "base/progress.h"
#include "cli/ask.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "formats/age/age.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

static const char usage[] =
    "usage: causeway open FILE... [--identity KEYFILE] [--raw]\n"
    "\n"
    "The escape hatch: decrypts a volume of a seed to a tar archive on "
    "standard\n"
    "output, or any other age file to its plaintext, armored ones too.  "
    "Nothing is\n"
    "written that was not authenticated.  Several files come one after "
    "another (tar\n"
    "reads their archives with --ignore-zeros).  FILE - is standard input.\n"
    "\n"
    "  --identity KEYFILE  the age key to use (default: this site's); a file "
    "that is\n"
    "                      sealed by a passphrase needs the passphrase only\n"
    "  --raw               never decompress\n"
    "\n"
    "Example: causeway open 000001.tar.zst.age | tar xp\n"
    "Next: the same without Causeway: age -d -i KEYFILE FILE | zstd -d | tar "
    "xp\n";

static const struct option options[] = {
    {"identity", required_argument, NULL, 'i'},
    {"raw", no_argument, NULL, 'r'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

#define READ_SIZE  ((size_t)256 * 1024)
#define WINDOW_LOG 27 /* 128 MiB: the largest that a volume's frames use */
#define MAGIC_SIZE 4u

/* Where the plaintext of one file goes. */
struct outlet {
	struct cw_cli *cli;
	bool is_raw;
	const char *file;
	bool has_asked;		  /* for a passphrase: no key would help */
	uint8_t head[MAGIC_SIZE]; /* until we know whether it is zstd */
	size_t head_len;
	bool is_decided, is_zstd;
	ZSTD_DCtx *zstd;
	size_t left; /* what zstd wants more; 0: between frames */
	uint8_t *out;
	size_t out_size;
};

static int
emit(const void *data, size_t len, struct cw_error *err)
{
	if (cw_write_all(STDOUT_FILENO, data, len, err) < 0)
		return cw_error_context(err, "standard output");
	return cw_stop_check(err);
}

/* A zstd frame or a skippable one, as RFC 8878 has them. */
static bool
is_zstd_magic(const uint8_t magic[MAGIC_SIZE])
{
	return (magic[0] == 0x28 && magic[1] == 0xb5 && magic[2] == 0x2f &&
		   magic[3] == 0xfd) ||
	       (magic[0] >= 0x50 && magic[0] <= 0x5f && magic[1] == 0x2a &&
		   magic[2] == 0x4d && magic[3] == 0x18);
}

static int
begin_zstd(struct outlet *o, struct cw_error *err)
{
	if (isatty(STDOUT_FILENO))
		return cw_error_set(err, CW_ERR_REFUSED,
		    "%s holds an archive, which is nothing for a terminal; "
		    "write `causeway open %s | tar t`",
		    o->file, o->file);
	if (o->zstd == NULL) {
		o->zstd = ZSTD_createDCtx();
		o->out_size = ZSTD_DStreamOutSize();
		o->out = cw_malloc(o->out_size);
		if (o->zstd == NULL)
			return cw_error_set(
			    err, CW_ERR_FAILED, "no memory for zstd");
		(void)ZSTD_DCtx_setParameter(
		    o->zstd, ZSTD_d_windowLogMax, WINDOW_LOG);
	}
	(void)ZSTD_DCtx_reset(o->zstd, ZSTD_reset_session_only);
	o->left = 0;
	return 0;
}

static int
decompress(
    struct outlet *o, const uint8_t *data, size_t len, struct cw_error *err)
{
	ZSTD_inBuffer in = {data, len, 0};
	bool is_full;

	/* A full output buffer may hide more behind it. */
	do {
		ZSTD_outBuffer out = {o->out, o->out_size, 0};

		o->left = ZSTD_decompressStream(o->zstd, &out, &in);
		if (ZSTD_isError(o->left))
			return cw_error_set(err, CW_ERR_DAMAGED,
			    "%s decrypts, but its content is no sound zstd: %s "
			    "(--raw gives it as it is)",
			    o->file, ZSTD_getErrorName(o->left));
		if (emit(out.dst, out.pos, err) < 0)
			return -1;
		is_full = out.pos == out.size;
	} while (in.pos < in.size || (is_full && o->left != 0));
	return 0;
}

static int
pass(struct outlet *o, const uint8_t *data, size_t len, struct cw_error *err)
{
	return o->is_zstd ? decompress(o, data, len, err)
			  : emit(data, len, err);
}

static int
decide(struct outlet *o, struct cw_error *err)
{
	o->is_decided = true;
	o->is_zstd =
	    !o->is_raw && o->head_len == MAGIC_SIZE && is_zstd_magic(o->head);
	if (o->is_zstd && begin_zstd(o, err) < 0)
		return -1;
	return pass(o, o->head, o->head_len, err);
}

/* Takes authenticated plaintext from the decoder. */
static int
take(void *arg, const uint8_t *data, size_t len, struct cw_error *err)
{
	struct outlet *o = arg;

	while (!o->is_decided && len > 0) {
		o->head[o->head_len++] = *data++;
		len--;
		if (o->head_len == MAGIC_SIZE && decide(o, err) < 0)
			return -1;
	}
	return len == 0 ? 0 : pass(o, data, len, err);
}

static int
end_outlet(struct outlet *o, struct cw_error *err)
{
	if (!o->is_decided && decide(o, err) < 0)
		return -1;
	if (o->is_zstd && o->left != 0)
		return cw_error_set(err, CW_ERR_DAMAGED,
		    "%s decrypts, but its content ends within a zstd frame",
		    o->file);
	return 0;
}

static const char *
passphrase(void *arg, struct cw_error *err)
{
	struct outlet *o = arg;

	o->has_asked = true;
	return cw_ask_passphrase(o->cli, o->file, err);
}

/* The key files: read when the first file that needs one comes. */
struct keys {
	const char *file; /* NULL: the site's own */
	struct cw_age_identity *id;
};

static const char *
ask_for_key(void *arg, const char *what, struct cw_error *err)
{
	return cw_ask_passphrase(arg, what, err);
}

/*
 * Without --identity and without a home there is no key; a file that is
 * sealed by a passphrase opens all the same.
 */
static int
load_keys(struct cw_cli *cli, struct keys *keys, const uint8_t *head,
    size_t len, struct cw_error *err)
{
	struct cw_passphrase ask = {ask_for_key, cli};

	if (keys->id != NULL || cw_age_wants_passphrase(head, len))
		return 0;
	if (keys->file != NULL)
		return cw_identity_age_file(
		    AT_FDCWD, keys->file, &ask, &keys->id, err);
	if (!cw_home_exists(cli->home_dir, cli->config_file) &&
	    cli->home_dir == NULL && cli->config_file == NULL)
		return 0;
	return cw_cli_age_identity(cli, &keys->id, err);
}

static void
explain(
    enum cw_age_outcome outcome, const struct keys *keys, struct cw_error *err)
{
	char old[CW_ERROR_MAX];

	if (outcome != CW_AGE_NO_MATCH || err->code == CW_ERR_REFUSED)
		return;
	memcpy(old, err->message, sizeof(old));
	cw_error_set(err, err->code, "%.900s; %s", old,
	    keys->id == NULL ? "name the key file with --identity, or the site "
			       "with --home"
			     : "give the key it was sealed for with "
			       "--identity");
}

static int
open_stream(struct cw_cli *cli, int fd, struct outlet *o, struct keys *keys,
    struct cw_error *err)
{
	struct cw_age_hooks hooks = {passphrase, take, o};
	struct cw_age_decoder *d = NULL;
	uint8_t *data = cw_malloc(READ_SIZE);
	size_t got;
	int ret = -1;

	do {
		if (cw_stop_check(err) < 0 ||
		    cw_read_full(fd, data, READ_SIZE, &got, err) < 0)
			goto out;
		if (d == NULL) {
			if (load_keys(cli, keys, data, got, err) < 0)
				goto out;
			d = cw_age_decoder_new(keys->id, &hooks);
		}
		if (got > 0 && cw_age_decoder_push(d, data, got, err) < 0)
			goto refused;
	} while (got == READ_SIZE);
	if (cw_age_decoder_finish(d, err) < 0)
		goto refused;
	ret = end_outlet(o, err);
	goto out;
refused:
	if (!o->has_asked)
		explain(cw_age_decoder_outcome(d), keys, err);
out:
	cw_age_decoder_free(d);
	free(data);
	return ret;
}

static int
open_file(struct cw_cli *cli, const char *name, struct outlet *o,
    struct keys *keys, struct cw_error *err)
{
	bool is_stdin = strcmp(name, "-") == 0;
	int fd, ret;

	o->file = is_stdin ? "standard input" : name;
	o->head_len = 0;
	o->is_decided = o->is_zstd = o->has_asked = false;
	fd = is_stdin ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return cw_error_errno(err, "cannot open %s", name);
	ret = open_stream(cli, fd, o, keys, err);
	if (ret < 0 && strstr(err->message, o->file) == NULL)
		cw_error_context(err, "%s", o->file);
	if (!is_stdin)
		cw_close(&fd);
	return ret;
}

static int
open_all(struct cw_cli *cli, char *const *files, int count, const char *key,
    bool is_raw)
{
	struct cw_error err = CW_ERROR_INIT;
	struct outlet o = {.cli = cli, .is_raw = is_raw};
	struct keys keys = {.file = key};
	int status = 0;

	for (int i = 0; i < count && status == 0; i++)
		if (open_file(cli, files[i], &o, &keys, &err) < 0)
			status = cw_cli_fail(cli, &err);
	cw_age_identity_free(keys.id);
	ZSTD_freeDCtx(o.zstd);
	free(o.out);
	return status;
}

int
cmd_open(struct cw_cli *cli, int argc, char **argv)
{
	const char *key = NULL;
	bool is_raw = false;
	int opt;

	while ((opt = getopt_long(argc, argv, ":i:h", options, NULL)) != -1) {
		switch (opt) {
		case 'i':
			key = optarg;
			break;
		case 'r':
			is_raw = true;
			break;
		case 'h':
			return cw_cli_help(usage);
		default:
			return cw_cli_bad_option(cli, usage, opt, argv);
		}
	}
	if (argc == optind)
		return cw_cli_usage_error(
		    cli, usage, "open takes the files to open");
	if (cli->json)
		return cw_cli_usage_error(cli, usage,
		    "open writes plaintext to standard output; leave --json "
		    "out");
	return open_all(cli, argv + optind, argc - optind, key, is_raw);
}
