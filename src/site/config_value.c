/*
 * What may stand in a configuration: names, roots, addresses, times.
 */
#include "base/bytes.h"
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
