#include "site/config.h"

#include "base/bytes.h"
#include "base/fs.h"
#include "formats/mail/mail.h"
#include "sync/carrier.h"

#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECTIONS_MAX 1000u
#define SETTINGS_MAX 10000u
#define KEYS_MAX     100u /* of one repeatable key */

static const char *const hooks[] = {"fence", "unfence", "quiesce", "resume",
    "promote", "demote", "alarm", "medium"};
static const char *const checks[] = {
    "store", "probe", "every", "failures", "then"};

enum section {
	NO_SECTION,
	SITE,
	PEER,
	STORE,
	LINK,
	HOOKS,
	CHECK,
};

static const struct {
	const char *word;
	bool is_named;
} sections[] = {
    [SITE] = {"site", false},
    [PEER] = {"peer", true},
    [STORE] = {"store", true},
    [LINK] = {"link", true},
    [HOOKS] = {"hooks", true},
    [CHECK] = {"check", true},
};

struct parse {
	const char *file;
	const char *at, *end; /* what the reader has not handed out */
	unsigned line;	      /* of what it handed out last, from 1 */
	enum section section;
	char *name; /* in quotes in the section's head */
	bool has_site;
	bool has_failed;
	struct cw_config *config;
	struct cw_error *err;
};

/* The first fault is the one that is told. */
static int __attribute__((format(printf, 3, 4)))
refuse(struct parse *p, unsigned line, const char *fmt, ...)
{
	char text[CW_ERROR_MAX / 2];
	va_list ap;

	if (p->has_failed)
		return -1;
	p->has_failed = true;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return cw_error_set(
	    p->err, CW_ERR_USAGE, "%s:%u: %s", p->file, line, text);
}

static bool
is_one_of(const char *text, const char *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(text, list[i]) == 0)
			return true;
	return false;
}

static int
set_once(struct parse *p, char **field, const char *key, const char *value)
{
	if (*field != NULL)
		return refuse(p, p->line, "%s is given twice", key);
	*field = cw_strdup(value);
	return 0;
}

static int
set_address(struct parse *p, char **field, const char *key, const char *value)
{
	bool is_peer = strcmp(key, "address") == 0;

	if (is_peer ? cw_address_check(value, NULL) < 0
		    : !cw_config_address_is_valid(value))
		return refuse(p, p->line,
		    "%s = %s is not HOST:PORT (mail.example:7625)%s", key,
		    value, is_peer ? " nor ssh://HOST" : "");
	return set_once(p, field, key, value);
}

static int
take_site(struct parse *p, const char *key, const char *value)
{
	struct cw_config *c = p->config;

	if (strcmp(key, "name") == 0) {
		if (!cw_card_name_is_valid(value, strlen(value)))
			return refuse(p, p->line,
			    "%s is no name for a site; use 1 to %u of a-z, "
			    "0-9 and -",
			    value, CW_CARD_NAME_MAX);
		return set_once(p, &c->name, key, value);
	}
	if (strcmp(key, "state") == 0) {
		if (value[0] != '/')
			return refuse(p, p->line,
			    "state = %s is not an absolute path", value);
		return set_once(p, &c->state, key, value);
	}
	if (strcmp(key, "listen") == 0)
		return set_address(p, &c->listen, key, value);
	if (strcmp(key, "contact") == 0) {
		if (strlen(value) > CW_CONFIG_CONTACT_MAX)
			return refuse(p, p->line,
			    "contact is over %u bytes: a name and a telephone "
			    "number are enough",
			    CW_CONFIG_CONTACT_MAX);
		return set_once(p, &c->contact, key, value);
	}
	return refuse(p, p->line,
	    "unknown key %s in [site]; it has name, state, listen, contact",
	    key);
}

static int
take_card(struct parse *p, struct cw_config_peer *peer, const char *value)
{
	struct cw_error err = CW_ERROR_INIT;
	char text[CW_CARD_TEXT_SIZE];

	if (peer->card_text != NULL)
		return refuse(p, p->line, "card is given twice");
	if (cw_card_decode(value, strlen(value), &peer->card, &err) < 0)
		return refuse(p, p->line, "card: %s", err.message);
	if (strcmp(peer->card.name, peer->name) != 0)
		return refuse(p, p->line,
		    "this is the card of %s, in the section of %s",
		    peer->card.name, peer->name);
	cw_card_encode(&peer->card, text);
	peer->card_text = cw_strdup(text);
	return 0;
}

static int
take_peer(struct parse *p, const char *key, const char *value)
{
	struct cw_config_peer *peer =
	    &p->config->peers[p->config->peer_count - 1];

	if (strcmp(key, "card") == 0)
		return take_card(p, peer, value);
	if (strcmp(key, "address") == 0) {
		peer->address_line = p->line;
		return set_address(p, &peer->address, key, value);
	}
	return refuse(p, p->line,
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
add_root(struct parse *p, struct cw_config_store *store,
    const struct cw_config_root *root)
{
	store->roots =
	    cw_reallocarray(store->roots, store->root_count + 1, sizeof(*root));
	store->roots[store->root_count++] = *root;
	if (store->root_count > CW_CONFIG_ROOTS_MAX)
		return refuse(
		    p, p->line, "more than %u roots", CW_CONFIG_ROOTS_MAX);
	return 0;
}

static int
take_root(struct parse *p, struct cw_config_store *store, const char *value)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_config_root root = {.name = NULL}, *known;

	if (cw_config_root_parse(value, &root.name, &root.path, &err) < 0)
		return refuse(p, p->line, "root: %s", err.message);
	known = find_root(store, root.name);
	if (root.path[0] != '/') {
		refuse(p, p->line, "root = %s is not an absolute path", value);
	} else if (known != NULL && known->has_spool) {
		/* Its command stands above. */
		free(known->path);
		known->path = cw_strdup(root.path);
		known->has_spool = false;
	} else if (known != NULL) {
		refuse(p, p->line,
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
take_command(struct parse *p, struct cw_config_store *store, const char *value)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_config_root root = {.has_spool = true}, *known;

	if (cw_config_command_parse(value, &root.name, &root.command, &err) < 0)
		return refuse(p, p->line, "command: %s", err.message);
	known = find_root(store, root.name);
	if (known == NULL) {
		root.path = cw_config_spool(store->name, root.name);
		return add_root(p, store, &root);
	}
	if (known->command != NULL)
		refuse(p, p->line,
		    "root %s has two commands; write command = NAME=%s",
		    root.name, root.command);
	else
		known->command = cw_strdup(root.command);
	free(root.name);
	free(root.command);
	return p->has_failed ? -1 : 0;
}

static int
take_store(struct parse *p, const char *key, const char *value)
{
	struct cw_config_store *store =
	    &p->config->stores[p->config->store_count - 1];

	if (strcmp(key, "root") == 0)
		return take_root(p, store, value);
	if (strcmp(key, "command") == 0)
		return take_command(p, store, value);
	if (strcmp(key, "timeout") == 0) {
		if (!cw_config_every_is_valid(value))
			return refuse(p, p->line,
			    "timeout = %s is no time: write 10s, 5m or 1h",
			    value);
		return set_once(p, &store->timeout, key, value);
	}
	if (strcmp(key, "limit") == 0) {
		if (!cw_config_limit_is_valid(value))
			return refuse(p, p->line,
			    "limit = %s is no size: write 500M or 2G", value);
		return set_once(p, &store->limit, key, value);
	}
	if (strcmp(key, "format") == 0) {
		if (cw_mail_format_find(value) == NULL)
			return refuse(p, p->line,
			    "unknown format %s; this version has maildir and "
			    "plain",
			    value);
		return set_once(p, &store->format, key, value);
	}
	if (strcmp(key, "history") == 0) {
		if (!cw_config_history_is_valid(value))
			return refuse(p, p->line,
			    "history = %s is no time: write 12h, 30d, 8w or "
			    "forever",
			    value);
		return set_once(p, &store->history, key, value);
	}
	if (strcmp(key, "every") == 0) {
		if (!cw_config_every_is_valid(value))
			return refuse(p, p->line,
			    "every = %s is no time: write 10s, 5m or 1h",
			    value);
		return set_once(p, &store->every, key, value);
	}
	if (strcmp(key, "exclude") == 0) {
		if (store->exclude_count == KEYS_MAX)
			return refuse(
			    p, p->line, "more than %u excludes", KEYS_MAX);
		store->excludes = cw_reallocarray(store->excludes,
		    store->exclude_count + 1, sizeof(*store->excludes));
		store->excludes[store->exclude_count++] = cw_strdup(value);
		return 0;
	}
	if (strcmp(key, "follow") == 0)
		return set_once(p, &store->follow, key, value);
	return refuse(p, p->line,
	    "unknown key %s in [store \"%s\"]; it has root, command, format, "
	    "history, every, timeout, limit, exclude, follow",
	    key, p->name);
}

static int
check_hook(struct parse *p, const char *key, const char *value)
{
	uint64_t number;

	if (strcmp(key, "timeout") == 0) {
		if (!cw_config_duration_is_valid(value, "smh") ||
		    !cw_decimal_parse(
			value, strlen(value) - 1, 86400, &number) ||
		    number == 0)
			return refuse(p, p->line,
			    "timeout = %s is no time: write 60s or 5m", value);
		return 0;
	}
	if (strcmp(key, "holders") == 0) {
		if (strcmp(value, "wait") != 0 && strcmp(value, "kill") != 0)
			return refuse(p, p->line,
			    "holders = %s is neither wait nor kill", value);
		return 0;
	}
	if (strcmp(key, "guard") == 0) {
		if (!cw_decimal_parse(
			value, strlen(value), 1000000000, &number))
			return refuse(p, p->line,
			    "guard = %s is no number up to 1000000000", value);
		return 0;
	}
	if (!is_one_of(key, hooks, sizeof(hooks) / sizeof(*hooks)))
		return refuse(p, p->line,
		    "unknown key %s in [hooks \"%s\"]; it has fence, unfence, "
		    "quiesce, resume, promote, demote, alarm, medium, "
		    "timeout, holders, guard",
		    key, p->name);
	if (value[0] != '/')
		return refuse(
		    p, p->line, "%s = %s is not an absolute path", key, value);
	return 0;
}

static int
check_setting(struct parse *p, const char *key, const char *value)
{
	switch (p->section) {
	case LINK:
		if (strcmp(key, "rate") != 0)
			return refuse(p, p->line,
			    "unknown key %s in [link \"%s\"]; it has rate", key,
			    p->name);
		return 0;
	case HOOKS:
		return check_hook(p, key, value);
	default:
		if (!is_one_of(key, checks, sizeof(checks) / sizeof(*checks)))
			return refuse(p, p->line,
			    "unknown key %s in [check \"%s\"]; it has store, "
			    "probe, every, failures, then",
			    key, p->name);
		if (strcmp(key, "every") == 0 &&
		    !cw_config_duration_is_valid(value, "smh"))
			return refuse(p, p->line,
			    "every = %s is no time: write 10s or 5m", value);
		if (strcmp(key, "failures") == 0) {
			uint64_t count;

			if (!cw_decimal_parse(
				value, strlen(value), 1000, &count) ||
			    count == 0)
				return refuse(p, p->line,
				    "failures = %s is no count", value);
		}
		return 0;
	}
}

static int
take_setting(struct parse *p, const char *key, const char *value)
{
	struct cw_config *c = p->config;
	struct cw_config_setting *s;
	const char *section = sections[p->section].word;

	if (check_setting(p, key, value) < 0)
		return -1;
	for (size_t i = 0; i < c->setting_count; i++) {
		s = &c->settings[i];
		if (strcmp(s->section, section) == 0 &&
		    strcmp(s->name, p->name) == 0 && strcmp(s->key, key) == 0)
			return refuse(p, p->line, "%s is given twice", key);
	}
	if (c->setting_count == SETTINGS_MAX)
		return refuse(p, p->line, "too many settings");
	c->settings =
	    cw_reallocarray(c->settings, c->setting_count + 1, sizeof(*s));
	s = &c->settings[c->setting_count++];
	*s = (struct cw_config_setting){
	    .section = cw_strdup(section),
	    .name = cw_strdup(p->name),
	    .key = cw_strdup(key),
	    .value = cw_strdup(value),
	    .line = p->line,
	};
	return 0;
}

/*
 * inih's handler.  The section it reports is cut to 49 characters and is not
 * reported for a section without keys: the reader below keeps our own.
 */
static int
take(void *user, const char *section, const char *key, const char *value)
{
	struct parse *p = user;
	int ret;

	(void)section;
	if (p->has_failed)
		return 0;
	if (value[0] == '\0') {
		refuse(p, p->line, "%s has no value", key);
		return 0;
	}
	switch (p->section) {
	case NO_SECTION:
		ret = refuse(p, p->line, "%s stands before any [section]", key);
		break;
	case SITE:
		ret = take_site(p, key, value);
		break;
	case PEER:
		ret = take_peer(p, key, value);
		break;
	case STORE:
		ret = take_store(p, key, value);
		break;
	default:
		ret = take_setting(p, key, value);
	}
	return ret == 0;
}

static int
begin_peer(struct parse *p)
{
	struct cw_config *c = p->config;

	if (!cw_card_name_is_valid(p->name, strlen(p->name)))
		return refuse(p, p->line, "\"%s\" is no site's name", p->name);
	if (cw_config_peer(c, p->name) != NULL)
		return refuse(
		    p, p->line, "[peer \"%s\"] is there twice", p->name);
	if (c->peer_count == SECTIONS_MAX)
		return refuse(p, p->line, "too many peers");
	c->peers =
	    cw_reallocarray(c->peers, c->peer_count + 1, sizeof(*c->peers));
	c->peers[c->peer_count++] = (struct cw_config_peer){
	    .name = cw_strdup(p->name), .line = p->line};
	return 0;
}

static int
begin_store(struct parse *p)
{
	struct cw_config *c = p->config;

	if (cw_config_store(c, p->name) != NULL)
		return refuse(
		    p, p->line, "[store \"%s\"] is there twice", p->name);
	if (c->store_count == SECTIONS_MAX)
		return refuse(p, p->line, "too many stores");
	c->stores =
	    cw_reallocarray(c->stores, c->store_count + 1, sizeof(*c->stores));
	c->stores[c->store_count++] = (struct cw_config_store){
	    .name = cw_strdup(p->name), .line = p->line};
	return 0;
}

/* The head of a section: [word] or [word "NAME"], without the brackets. */
static int
begin_section(struct parse *p, const char *head, size_t len)
{
	const char *space = memchr(head, ' ', len);
	size_t word = space == NULL ? len : (size_t)(space - head);
	size_t at = word;
	size_t which = SITE;

	while (which < sizeof(sections) / sizeof(*sections) &&
	       (strlen(sections[which].word) != word ||
		   memcmp(sections[which].word, head, word) != 0))
		which++;
	if (which == sizeof(sections) / sizeof(*sections))
		return refuse(p, p->line,
		    "unknown section [%.*s]; there are [site], [peer \"NAME\"],"
		    " [store \"NAME\"], [link \"NAME\"], [hooks \"NAME\"], "
		    "[check \"NAME\"]",
		    (int)(len > 100 ? 100 : len), head);
	free(p->name);
	p->name = NULL;
	p->section = (enum section)which;
	if (!sections[which].is_named) {
		if (word != len)
			return refuse(p, p->line, "[site] takes no name");
		if (p->has_site)
			return refuse(p, p->line, "[site] is there twice");
		p->has_site = true;
		return 0;
	}
	while (at < len && head[at] == ' ')
		at++;
	if (len - at < 3 || head[at] != '"' || head[len - 1] != '"' ||
	    !cw_config_name_is_valid(head + at + 1, len - at - 2))
		return refuse(p, p->line,
		    "write [%s \"NAME\"], where NAME is 1 to %u of A-Z, a-z, "
		    "0-9, '.', '_' and '-'",
		    sections[which].word, CW_CONFIG_NAME_MAX);
	p->name = cw_asprintf("%.*s", (int)(len - at - 2), head + at + 1);
	if (which == PEER)
		return begin_peer(p);
	return which == STORE ? begin_store(p) : 0;
}

/* inih's reader, as fgets: one line, the head of a section taken note of. */
static char *
read_line(char *out, int size, void *stream)
{
	struct parse *p = stream;
	const char *end, *first = p->at, *last;
	size_t len;

	if (p->has_failed || p->at == p->end)
		return NULL;
	p->line++;
	end = memchr(p->at, '\n', (size_t)(p->end - p->at));
	end = end == NULL ? p->end : end + 1;
	len = (size_t)(end - p->at);
	if (len >= CW_CONFIG_LINE_MAX || len >= (size_t)size) {
		refuse(p, p->line, "a line is longer than %u bytes",
		    CW_CONFIG_LINE_MAX - 1);
		return NULL;
	}
	if (memchr(p->at, '\0', len) != NULL) {
		refuse(p, p->line, "a NUL byte in text");
		return NULL;
	}
	memcpy(out, p->at, len);
	out[len] = '\0';
	p->at = end;

	last = end;
	while (last > first && strchr(" \t\r\n", last[-1]) != NULL)
		last--;
	while (first < last && strchr(" \t", *first) != NULL)
		first++;
	if (first == last || *first != '[')
		return out;
	if (last[-1] != ']') {
		refuse(p, p->line, "a section's head has no ']' at its end");
		return NULL;
	}
	if (begin_section(p, first + 1, (size_t)(last - first) - 2) < 0)
		return NULL;
	return out;
}

/* What only the whole file shows. */
static int
check_whole(struct parse *p)
{
	struct cw_config *c = p->config;

	if (c->name == NULL)
		return refuse(p, p->line,
		    "no name in [site]; make a configuration with `causeway "
		    "init`");
	for (size_t i = 0; i < c->peer_count; i++)
		if (c->peers[i].card_text == NULL)
			return refuse(p, c->peers[i].line,
			    "[peer \"%s\"] has no card; copy what `causeway "
			    "card` prints there",
			    c->peers[i].name);
	for (size_t i = 0; i < c->store_count; i++) {
		struct cw_config_store *s = &c->stores[i];

		if (s->root_count == 0)
			return refuse(p, s->line,
			    "[store \"%s\"] has neither root nor command",
			    s->name);
		/* A site may hold a copy made of its own seed. */
		if (s->follow != NULL && strcmp(s->follow, c->name) != 0 &&
		    cw_config_peer(c, s->follow) == NULL)
			return refuse(p, s->line,
			    "[store \"%s\"] follows %s, but there is no [peer "
			    "\"%s\"]; trust that site with `causeway pair`",
			    s->name, s->follow, s->follow);
	}
	return 0;
}

int
cw_config_parse(const char *text, size_t len, const char *file,
    struct cw_config *config, struct cw_error *err)
{
	struct parse p = {.file = file,
	    .at = text,
	    .end = text + len,
	    .config = config,
	    .err = err};
	int bad;

	/*
	 * The library's own settings: whole lines on the heap; a value is what
	 * stands on its line, "; " in a path included.
	 */
	ini_use_stack = false;
	ini_allow_realloc = false;
	ini_initial_alloc = (int)CW_CONFIG_LINE_MAX + 4;
	ini_max_line = (int)CW_CONFIG_LINE_MAX + 4;
	ini_allow_multiline = false;
	ini_allow_inline_comments = false;
	bad = ini_parse_stream(read_line, &p, take, &p);
	if (!p.has_failed && bad > 0)
		refuse(&p, (unsigned)bad,
		    "neither a [section], nor key = value, nor a comment");
	else if (!p.has_failed && bad < 0)
		refuse(&p, p.line, "no memory to read it");
	if (!p.has_failed)
		check_whole(&p);
	free(p.name);
	if (p.has_failed) {
		cw_config_free(config);
		return -1;
	}
	return 0;
}

static void
free_store(struct cw_config_store *store)
{
	for (size_t i = 0; i < store->root_count; i++) {
		free(store->roots[i].name);
		free(store->roots[i].path);
		free(store->roots[i].command);
	}
	for (size_t i = 0; i < store->exclude_count; i++)
		free(store->excludes[i]);
	free(store->roots);
	free(store->excludes);
	free(store->name);
	free(store->format);
	free(store->history);
	free(store->every);
	free(store->timeout);
	free(store->limit);
	free(store->follow);
}

void
cw_config_free(struct cw_config *config)
{
	for (size_t i = 0; i < config->peer_count; i++) {
		free(config->peers[i].name);
		free(config->peers[i].card_text);
		free(config->peers[i].address);
	}
	for (size_t i = 0; i < config->store_count; i++)
		free_store(&config->stores[i]);
	for (size_t i = 0; i < config->setting_count; i++) {
		free(config->settings[i].section);
		free(config->settings[i].name);
		free(config->settings[i].key);
		free(config->settings[i].value);
	}
	free(config->peers);
	free(config->stores);
	free(config->settings);
	free(config->name);
	free(config->state);
	free(config->listen);
	free(config->contact);
	*config = (struct cw_config)CW_CONFIG_INIT;
}

const struct cw_config_peer *
cw_config_peer(const struct cw_config *config, const char *name)
{
	for (size_t i = 0; i < config->peer_count; i++)
		if (strcmp(config->peers[i].name, name) == 0)
			return &config->peers[i];
	return NULL;
}

const struct cw_config_store *
cw_config_store(const struct cw_config *config, const char *name)
{
	for (size_t i = 0; i < config->store_count; i++)
		if (strcmp(config->stores[i].name, name) == 0)
			return &config->stores[i];
	return NULL;
}
