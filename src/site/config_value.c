/*
 * What may stand in a configuration: names, roots, addresses, times.
 */
#include "base/buf.h"
#include "base/bytes.h"
#include "base/text.h"
#include "site/config.h"

#include <stdlib.h>
#include <string.h>

bool
cw_config_name_is_valid(const char *name, size_t len)
{
	if (len == 0 || len > CW_CONFIG_NAME_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		char c = name[i];
		bool is_word = (c >= 'a' && c <= 'z') ||
			       (c >= 'A' && c <= 'Z') ||
			       (c >= '0' && c <= '9') || c == '_';

		if (!is_word && (i == 0 || (c != '.' && c != '-')))
			return false;
	}
	return true;
}

char *
cw_config_root_name(const char *path)
{
	size_t len = strlen(path), start;
	char *name;

	while (len > 0 && path[len - 1] == '/')
		len--;
	start = len;
	while (start > 0 && path[start - 1] != '/')
		start--;
	if (start == len)
		return cw_strdup("root");
	if (len - start > CW_CONFIG_NAME_MAX)
		len = start + CW_CONFIG_NAME_MAX;
	name = cw_asprintf("%.*s", (int)(len - start), path + start);
	for (size_t i = 0; name[i] != '\0'; i++)
		if (!cw_config_name_is_valid(name, i + 1))
			name[i] = '_';
	return name;
}

int
cw_config_root_parse(
    const char *text, char **name, char **dir, struct cw_error *err)
{
	const char *equals = strchr(text, '=');
	const char *path = text;
	bool is_named = equals != NULL &&
			cw_config_name_is_valid(text, (size_t)(equals - text));

	if (is_named)
		path = equals + 1;
	if (*path == '\0')
		return cw_error_set(err, CW_ERR_USAGE,
		    "no directory in \"%s\"; write [ROOTNAME=]DIR", text);
	*name = is_named ? cw_asprintf("%.*s", (int)(equals - text), text)
			 : cw_config_root_name(path);
	*dir = cw_strdup(path);
	return 0;
}

bool
cw_config_address_is_valid(const char *text)
{
	const char *colon = strrchr(text, ':');
	size_t host;
	uint64_t port;

	if (colon == NULL || colon == text)
		return false;
	host = (size_t)(colon - text);
	if (!cw_decimal_parse(colon + 1, strlen(colon + 1), 65535, &port))
		return false;
	/* An IPv6 address stands in brackets. */
	if (text[0] == '[')
		return text[host - 1] == ']' && host > 3 &&
		       strspn(text + 1, "0123456789abcdefABCDEF:.%") ==
			   host - 2;
	return strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUV"
			    "WXYZ0123456789.-_") == host;
}

/* "10s", "30d": a number and a unit out of units. */
bool
cw_config_duration_is_valid(const char *text, const char *units)
{
	size_t len = strlen(text);
	uint64_t value;

	return len > 1 && strchr(units, text[len - 1]) != NULL &&
	       cw_decimal_parse(text, len - 1, 1000000, &value);
}

bool
cw_config_history_is_valid(const char *text)
{
	return strcmp(text, "forever") == 0 ||
	       cw_config_duration_is_valid(text, "hdw");
}

/* Seconds; 0 for what is none. */
static uint64_t
every_seconds(const char *text)
{
	size_t len = strlen(text);
	uint64_t value;

	if (!cw_config_duration_is_valid(text, "smh") ||
	    !cw_decimal_parse(text, len - 1, 86400, &value))
		return 0;
	if (text[len - 1] == 'm')
		value *= 60;
	else if (text[len - 1] == 'h')
		value *= 3600;
	return value > 86400 ? 0 : value;
}

bool
cw_config_every_is_valid(const char *text)
{
	return every_seconds(text) > 0;
}

unsigned
cw_config_every(const struct cw_config_store *store)
{
	return store->every == NULL ? CW_CONFIG_EVERY
				    : (unsigned)every_seconds(store->every);
}

unsigned
cw_config_timeout(const struct cw_config_store *store)
{
	return store->timeout == NULL ? CW_CONFIG_TIMEOUT
				      : (unsigned)every_seconds(store->timeout);
}

bool
cw_config_limit_is_valid(const char *text)
{
	uint64_t bytes;

	return cw_size_parse(text, &bytes) && bytes > 0;
}

uint64_t
cw_config_limit(const struct cw_config_store *store)
{
	uint64_t bytes;

	return store->limit != NULL && cw_size_parse(store->limit, &bytes)
		   ? bytes
		   : CW_CONFIG_LIMIT;
}

char *
cw_config_spool(const char *store, const char *root)
{
	return cw_asprintf("commands/%s/%s", store, root);
}

/* ---- commands ---- */

/* One word from *at, which is moved behind it.  False: a quote has no end. */
static bool
take_word(const char **at, struct cw_buf *word)
{
	const char *c = *at;
	char quote = '\0';

	for (; *c != '\0'; c++) {
		if (quote == '\0' && (*c == ' ' || *c == '\t'))
			break;
		if (quote == '\0' && (*c == '\'' || *c == '"')) {
			quote = *c;
			continue;
		}
		if (quote != '\0' && *c == quote) {
			quote = '\0';
			continue;
		}
		if (quote == '"' && *c == '\\' && (c[1] == '"' || c[1] == '\\'))
			c++;
		cw_buf_append(word, c, 1);
	}
	*at = c;
	return quote == '\0';
}

int
cw_config_words(const char *command, char ***words, struct cw_error *err)
{
	char **argv = cw_calloc(CW_CONFIG_WORDS_MAX + 1, sizeof(*argv));
	size_t count = 0;

	*words = NULL;
	for (;;) {
		struct cw_buf word = CW_BUF_INIT;
		bool is_whole;

		command += strspn(command, " \t");
		if (*command == '\0')
			break;
		if (count == CW_CONFIG_WORDS_MAX) {
			cw_error_set(err, CW_ERR_USAGE,
			    "a command has more than %u words",
			    CW_CONFIG_WORDS_MAX);
			goto fail;
		}
		is_whole = take_word(&command, &word);
		argv[count++] = cw_strdup(cw_buf_string(&word));
		cw_buf_free(&word);
		if (!is_whole) {
			cw_error_set(err, CW_ERR_USAGE,
			    "a quote in a command has no end");
			goto fail;
		}
	}
	if (count == 0 || argv[0][0] == '\0') {
		cw_error_set(err, CW_ERR_USAGE, "a command names no program");
		goto fail;
	}
	if (argv[0][0] != '/' && strchr(argv[0], '/') != NULL) {
		cw_error_set(err, CW_ERR_USAGE,
		    "the program %s of a command is not an absolute path",
		    argv[0]);
		goto fail;
	}
	*words = argv;
	return 0;
fail:
	cw_config_words_free(argv);
	return -1;
}

void
cw_config_words_free(char **words)
{
	for (size_t i = 0; words != NULL && words[i] != NULL; i++)
		free(words[i]);
	free(words);
}

int
cw_config_command_parse(
    const char *text, char **name, char **command, struct cw_error *err)
{
	const char *equals = strchr(text, '=');
	size_t len = equals == NULL ? 0 : (size_t)(equals - text);
	bool is_named = cw_config_name_is_valid(text, len);
	const char *rest = is_named ? equals + 1 : text;
	char **words;

	rest += strspn(rest, " \t");
	if (cw_config_words(rest, &words, err) < 0)
		return -1;
	*name = is_named ? cw_asprintf("%.*s", (int)len, text)
			 : cw_config_root_name(words[0]);
	*command = cw_strdup(rest);
	cw_config_words_free(words);
	return 0;
}
