/*
 * The keys of each section, and what they may say.
 */
#include "site/config_impl.h"

#include "base/bytes.h"
#include "formats/mail/mail.h"
#include "sync/carrier.h"

#include <stdlib.h>
#include <string.h>

#define SETTINGS_MAX 10000u
#define KEYS_MAX     100u /* of one repeatable key */

static const char *const hooks[] = {"fence", "unfence", "quiesce", "resume",
    "promote", "demote", "alarm", "medium"};
static const char *const checks[] = {
    "store", "probe", "every", "failures", "then"};

static bool
is_one_of(const char *text, const char *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(text, list[i]) == 0)
			return true;
	return false;
}

static int
set_once(
    struct config_parse *p, char **field, const char *key, const char *value)
{
	if (*field != NULL)
		return config_refuse(p, p->line, "%s is given twice", key);
	*field = cw_strdup(value);
	return 0;
}

static int
set_address(
    struct config_parse *p, char **field, const char *key, const char *value)
{
	bool is_peer = strcmp(key, "address") == 0;

	if (is_peer ? cw_address_check(value, NULL) < 0
		    : !cw_config_address_is_valid(value))
		return config_refuse(p, p->line,
		    "%s = %s is not HOST:PORT (mail.example:7625)%s", key,
		    value, is_peer ? " nor ssh://HOST" : "");
	return set_once(p, field, key, value);
}

int
config_take_site(struct config_parse *p, const char *key, const char *value)
{
	struct cw_config *c = p->config;

	if (strcmp(key, "name") == 0) {
		if (!cw_card_name_is_valid(value, strlen(value)))
			return config_refuse(p, p->line,
			    "%s is no name for a site; use 1 to %u of a-z, "
			    "0-9 and -",
			    value, CW_CARD_NAME_MAX);
		return set_once(p, &c->name, key, value);
	}
	if (strcmp(key, "state") == 0) {
		if (value[0] != '/')
			return config_refuse(p, p->line,
			    "state = %s is not an absolute path", value);
		return set_once(p, &c->state, key, value);
	}
	if (strcmp(key, "listen") == 0)
		return set_address(p, &c->listen, key, value);
	if (strcmp(key, "contact") == 0) {
		if (strlen(value) > CW_CONFIG_CONTACT_MAX)
			return config_refuse(p, p->line,
			    "contact is over %u bytes: a name and a telephone "
			    "number are enough",
			    CW_CONFIG_CONTACT_MAX);
		return set_once(p, &c->contact, key, value);
	}
	return config_refuse(p, p->line,
	    "unknown key %s in [site]; it has name, state, listen, contact",
	    key);
}

static int
take_card(
    struct config_parse *p, struct cw_config_peer *peer, const char *value)
{
	struct cw_error err = CW_ERROR_INIT;
	char text[CW_CARD_TEXT_SIZE];

	if (peer->card_text != NULL)
		return config_refuse(p, p->line, "card is given twice");
	if (cw_card_decode(value, strlen(value), &peer->card, &err) < 0)
		return config_refuse(p, p->line, "card: %s", err.message);
	if (strcmp(peer->card.name, peer->name) != 0)
		return config_refuse(p, p->line,
		    "this is the card of %s, in the section of %s",
		    peer->card.name, peer->name);
	cw_card_encode(&peer->card, text);
	peer->card_text = cw_strdup(text);
	return 0;
}

int
config_take_peer(struct config_parse *p, const char *key, const char *value)
{
	struct cw_config_peer *peer =
	    &p->config->peers[p->config->peer_count - 1];

	if (strcmp(key, "card") == 0)
		return take_card(p, peer, value);
	if (strcmp(key, "address") == 0) {
		peer->address_line = p->line;
		return set_address(p, &peer->address, key, value);
	}
	return config_refuse(p, p->line,
	    "unknown key %s in [peer \"%s\"]; it has card, address", key,
	    p->name);
}

static struct cw_config_root *
find_root(const struct cw_config_store *store, const char *name)
{
	for (size_t i = 0; i < store->root_count; i++)
		if (strcmp(store->roots[i].name, name) == 0)
			return &store->roots[i];
	return NULL;
}

/* Takes over what root holds. */
static int
add_root(struct config_parse *p, struct cw_config_store *store,
    const struct cw_config_root *root)
{
	store->roots =
	    cw_reallocarray(store->roots, store->root_count + 1, sizeof(*root));
	store->roots[store->root_count++] = *root;
	if (store->root_count > CW_CONFIG_ROOTS_MAX)
		return config_refuse(
		    p, p->line, "more than %u roots", CW_CONFIG_ROOTS_MAX);
	return 0;
}

static int
take_root(
    struct config_parse *p, struct cw_config_store *store, const char *value)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_config_root root = {.name = NULL}, *known;

	if (cw_config_root_parse(value, &root.name, &root.path, &err) < 0)
		return config_refuse(p, p->line, "root: %s", err.message);
	known = find_root(store, root.name);
	if (root.path[0] != '/') {
		config_refuse(
		    p, p->line, "root = %s is not an absolute path", value);
	} else if (known != NULL && known->has_spool) {
		/* Its command stands above. */
		free(known->path);
		known->path = cw_strdup(root.path);
		known->has_spool = false;
	} else if (known != NULL) {
		config_refuse(p, p->line,
		    "two roots are named %s; write root = NAME=%s", root.name,
		    root.path);
	} else {
		return add_root(p, store, &root);
	}
	free(root.name);
	free(root.path);
	return p->has_failed ? -1 : 0;
}

/* What prints a root's file; a root of this name may have a directory. */
static int
take_command(
    struct config_parse *p, struct cw_config_store *store, const char *value)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_config_root root = {.has_spool = true}, *known;

	if (cw_config_command_parse(value, &root.name, &root.command, &err) < 0)
		return config_refuse(p, p->line, "command: %s", err.message);
	known = find_root(store, root.name);
	if (known == NULL) {
		root.path = cw_config_spool(store->name, root.name);
		return add_root(p, store, &root);
	}
	if (known->command != NULL)
		config_refuse(p, p->line,
		    "root %s has two commands; write command = NAME=%s",
		    root.name, root.command);
	else
		known->command = cw_strdup(root.command);
	free(root.name);
	free(root.command);
	return p->has_failed ? -1 : 0;
}

int
config_take_store(struct config_parse *p, const char *key, const char *value)
{
	struct cw_config_store *store =
	    &p->config->stores[p->config->store_count - 1];

	if (strcmp(key, "root") == 0)
		return take_root(p, store, value);
	if (strcmp(key, "command") == 0)
		return take_command(p, store, value);
	if (strcmp(key, "timeout") == 0) {
		if (!cw_config_every_is_valid(value))
			return config_refuse(p, p->line,
			    "timeout = %s is no time: write 10s, 5m or 1h",
			    value);
		return set_once(p, &store->timeout, key, value);
	}
	if (strcmp(key, "limit") == 0) {
		if (!cw_config_limit_is_valid(value))
			return config_refuse(p, p->line,
			    "limit = %s is no size: write 500M or 2G", value);
		return set_once(p, &store->limit, key, value);
	}
	if (strcmp(key, "format") == 0) {
		if (cw_mail_format_find(value) == NULL)
			return config_refuse(p, p->line,
			    "unknown format %s; this version has maildir and "
			    "plain",
			    value);
		return set_once(p, &store->format, key, value);
	}
	if (strcmp(key, "history") == 0) {
		if (!cw_config_history_is_valid(value))
			return config_refuse(p, p->line,
			    "history = %s is no time: write 12h, 30d, 8w or "
			    "forever",
			    value);
		return set_once(p, &store->history, key, value);
	}
	if (strcmp(key, "every") == 0) {
		if (!cw_config_every_is_valid(value))
			return config_refuse(p, p->line,
			    "every = %s is no time: write 10s, 5m or 1h",
			    value);
		return set_once(p, &store->every, key, value);
	}
	if (strcmp(key, "exclude") == 0) {
		if (store->exclude_count == KEYS_MAX)
			return config_refuse(
			    p, p->line, "more than %u excludes", KEYS_MAX);
		store->excludes = cw_reallocarray(store->excludes,
		    store->exclude_count + 1, sizeof(*store->excludes));
		store->excludes[store->exclude_count++] = cw_strdup(value);
		return 0;
	}
	if (strcmp(key, "follow") == 0)
		return set_once(p, &store->follow, key, value);
	return config_refuse(p, p->line,
	    "unknown key %s in [store \"%s\"]; it has root, command, format, "
	    "history, every, timeout, limit, exclude, follow",
	    key, p->name);
}

static int
check_hook(struct config_parse *p, const char *key, const char *value)
{
	uint64_t number;

	if (strcmp(key, "timeout") == 0) {
		if (!cw_config_duration_is_valid(value, "smh") ||
		    !cw_decimal_parse(
			value, strlen(value) - 1, 86400, &number) ||
		    number == 0)
			return config_refuse(p, p->line,
			    "timeout = %s is no time: write 60s or 5m", value);
		return 0;
	}
	if (strcmp(key, "holders") == 0) {
		if (strcmp(value, "wait") != 0 && strcmp(value, "kill") != 0)
			return config_refuse(p, p->line,
			    "holders = %s is neither wait nor kill", value);
		return 0;
	}
	if (strcmp(key, "guard") == 0) {
		if (!cw_decimal_parse(
			value, strlen(value), 1000000000, &number))
			return config_refuse(p, p->line,
			    "guard = %s is no number up to 1000000000", value);
		return 0;
	}
	if (!is_one_of(key, hooks, sizeof(hooks) / sizeof(*hooks)))
		return config_refuse(p, p->line,
		    "unknown key %s in [hooks \"%s\"]; it has fence, unfence, "
		    "quiesce, resume, promote, demote, alarm, medium, "
		    "timeout, holders, guard",
		    key, p->name);
	if (value[0] != '/')
		return config_refuse(
		    p, p->line, "%s = %s is not an absolute path", key, value);
	return 0;
}

static int
check_setting(struct config_parse *p, const char *key, const char *value)
{
	switch (p->section) {
	case CONFIG_LINK:
		if (strcmp(key, "rate") != 0)
			return config_refuse(p, p->line,
			    "unknown key %s in [link \"%s\"]; it has rate", key,
			    p->name);
		return 0;
	case CONFIG_HOOKS:
		return check_hook(p, key, value);
	default:
		if (!is_one_of(key, checks, sizeof(checks) / sizeof(*checks)))
			return config_refuse(p, p->line,
			    "unknown key %s in [check \"%s\"]; it has store, "
			    "probe, every, failures, then",
			    key, p->name);
		if (strcmp(key, "every") == 0 &&
		    !cw_config_duration_is_valid(value, "smh"))
			return config_refuse(p, p->line,
			    "every = %s is no time: write 10s or 5m", value);
		if (strcmp(key, "failures") == 0) {
			uint64_t count;

			if (!cw_decimal_parse(
				value, strlen(value), 1000, &count) ||
			    count == 0)
				return config_refuse(p, p->line,
				    "failures = %s is no count", value);
		}
		return 0;
	}
}

int
config_take_setting(struct config_parse *p, const char *key, const char *value)
{
	struct cw_config *c = p->config;
	struct cw_config_setting *s;

	if (check_setting(p, key, value) < 0)
		return -1;
	for (size_t i = 0; i < c->setting_count; i++) {
		s = &c->settings[i];
		if (strcmp(s->section, p->word) == 0 &&
		    strcmp(s->name, p->name) == 0 && strcmp(s->key, key) == 0)
			return config_refuse(
			    p, p->line, "%s is given twice", key);
	}
	if (c->setting_count == SETTINGS_MAX)
		return config_refuse(p, p->line, "too many settings");
	c->settings =
	    cw_reallocarray(c->settings, c->setting_count + 1, sizeof(*s));
	s = &c->settings[c->setting_count++];
	*s = (struct cw_config_setting){
	    .section = cw_strdup(p->word),
	    .name = cw_strdup(p->name),
	    .key = cw_strdup(key),
	    .value = cw_strdup(value),
	    .line = p->line,
	};
	return 0;
}
