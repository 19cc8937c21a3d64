#include "cli/output.h"

#include "base/bytes.h"
#include "base/buf.h"
#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *
error_object(const struct cw_error *err)
{
	size_t len = strlen(err->message);

	return json_pack("{s:s, s:o}", "code", cw_error_name(err->code),
	    "message", cw_cli_json_text(err->message, len));
}

int
cw_cli_emit(struct cw_cli *cli, json_t *object)
{
	json_t *whole = json_pack("{s:i}", "version", 1);

	cli->has_spoken = true;
	json_object_update(whole, object);
	json_decref(object);
	/* main finds out whether all of it reached standard output. */
	(void)json_dumpf(whole, stdout, JSON_COMPACT);
	(void)fputc('\n', stdout);
	json_decref(whole);
	return 0;
}

int
cw_cli_fail_with(struct cw_cli *cli, json_t *result, const struct cw_error *err)
{
	json_t *object = result != NULL ? result : json_object();

	if (cli->was_handed_over) {
		json_decref(object);
		return cli->handed_status;
	}
	if (cli->json && !cli->has_spoken) {
		json_object_set_new(object, "error", error_object(err));
		cw_cli_emit(cli, object);
	} else {
		json_decref(object);
		(void)fprintf(stderr, "causeway: %s\n", err->message);
	}
	return cw_error_status(err->code);
}

int
cw_cli_fail(struct cw_cli *cli, const struct cw_error *err)
{
	return cw_cli_fail_with(cli, NULL, err);
}

int
cw_cli_usage_error(struct cw_cli *cli, const char *usage, const char *fmt, ...)
{
	struct cw_error err = CW_ERROR_INIT;
	va_list ap;

	err.code = CW_ERR_USAGE;
	va_start(ap, fmt);
	(void)vsnprintf(err.message, sizeof(err.message), fmt, ap);
	va_end(ap);
	(void)cw_cli_fail(cli, &err);
	/* What stands before the first empty line says how to call it. */
	if (!cli->json) {
		const char *end = strstr(usage, "\n\n");
		size_t len =
		    end != NULL ? (size_t)(end - usage) + 1 : strlen(usage);

		(void)fprintf(stderr,
		    "%.*sAdd --help for what the options do.\n", (int)len,
		    usage);
	}
	return cw_error_status(CW_ERR_USAGE);
}

int
cw_cli_help(const char *usage)
{
	(void)fputs(usage, stdout);
	return 0;
}

int
cw_cli_bad_option(struct cw_cli *cli, const char *usage, int opt, char **argv)
{
	const char *arg = argv[optind > 0 ? optind - 1 : 0];
	char letter[3] = {'-', (char)optopt, '\0'};
	char quoted[CW_QUOTE_MAX];

	/* A long option stands whole before optind, a letter is in optopt. */
	if (strncmp(arg, "--", 2) != 0 && optopt > 0 && optopt < 128)
		arg = letter;
	cw_text_quote(arg, strlen(arg), quoted);
	if (opt == ':')
		return cw_cli_usage_error(
		    cli, usage, "option %s needs a value", quoted);
	if (optopt != 0 && strncmp(arg, "--", 2) == 0)
		return cw_cli_usage_error(
		    cli, usage, "option %s takes no value", quoted);
	return cw_cli_usage_error(cli, usage, "there is no option %s", quoted);
}

void
cw_cli_say(struct cw_cli *cli, const char *fmt, ...)
{
	va_list ap;

	if (cli->json || cli->quiet)
		return;
	va_start(ap, fmt);
	(void)vprintf(fmt, ap);
	va_end(ap);
	(void)fputc('\n', stdout);
}

void
cw_cli_show(struct cw_cli *cli, const char *fmt, ...)
{
	va_list ap;

	if (cli->json)
		return;
	va_start(ap, fmt);
	(void)vprintf(fmt, ap);
	va_end(ap);
	(void)fputc('\n', stdout);
}

void
cw_cli_warn(struct cw_cli *cli, const char *fmt, ...)
{
	va_list ap;

	(void)cli;
	(void)fputs("causeway: warning: ", stderr);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputc('\n', stderr);
}

json_t *
cw_cli_json_text(const char *text, size_t len)
{
	json_t *string = json_stringn(text, len);
	struct cw_buf quoted = CW_BUF_INIT;

	if (string != NULL)
		return string;
	cw_text_quote_whole(text, len, &quoted);
	string = json_string(cw_buf_string(&quoted));
	cw_buf_free(&quoted);
	return string;
}

json_t *
cw_cli_json_hex(const void *data, size_t len)
{
	char *hex = cw_malloc(2 * len + 1);
	json_t *string;

	cw_hex_encode(data, len, hex);
	string = json_string(hex);
	free(hex);
	return string;
}

json_t *
cw_cli_json_card(const struct cw_card *card)
{
	char line[CW_CARD_TEXT_SIZE], words[CW_CARD_WORDS_SIZE];
	char recipient[CW_AGE_RECIPIENT_TEXT], sign[CW_MINISIGN_BASE64_SIZE];
	struct cw_age_recipient r;

	cw_card_encode(card, line);
	cw_card_fingerprint_text(card, words);
	memcpy(r.point, card->age_point, sizeof(r.point));
	cw_age_recipient_format(&r, recipient);
	cw_minisign_public_base64(&card->sign, sign);
	return json_pack("{s:s, s:s, s:s, s:s, s:s}", "name", card->name,
	    "card", line, "fingerprint", words, "age_recipient", recipient,
	    "minisign_key", sign);
}

int
cw_cli_fail_resumable(struct cw_cli *cli, struct cw_error *err)
{
	if (err->code == CW_ERR_IO || err->code == CW_ERR_NOSPACE)
		cw_error_advise(err,
		    "when that is mended, run the same command again, it goes "
		    "on from here");
	else if (err->code == CW_ERR_INTERRUPTED &&
		 strstr(err->message, "again") == NULL)
		cw_error_advise(
		    err, "run the same command again, it goes on from here");
	return cw_cli_fail(cli, err);
}
