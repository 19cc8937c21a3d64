/*
 * From lines to sections and their keys, and what only the whole file shows.
 */
#include "site/config_impl.h"

#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECTIONS_MAX 1000u

static const struct {
	const char *word;
	bool is_named;
} sections[] = {
    [CONFIG_SITE] = {"site", false},
    [CONFIG_PEER] = {"peer", true},
    [CONFIG_STORE] = {"store", true},
    [CONFIG_LINK] = {"link", true},
    [CONFIG_HOOKS] = {"hooks", true},
    [CONFIG_CHECK] = {"check", true},
};

int
config_refuse(struct config_parse *p, unsigned line, const char *fmt, ...)
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

/*
 * inih's handler.  The section it reports is cut to 49 characters and is not
 * reported for a section without keys: the reader below keeps our own.
 */
static int
take(void *user, const char *section, const char *key, const char *value)
{
	struct config_parse *p = user;
	int ret;

	(void)section;
	if (p->has_failed)
		return 0;
	if (value[0] == '\0') {
		config_refuse(p, p->line, "%s has no value", key);
		return 0;
	}
	switch (p->section) {
	case CONFIG_NO_SECTION:
		ret = config_refuse(
		    p, p->line, "%s stands before any [section]", key);
		break;
	case CONFIG_SITE:
		ret = config_take_site(p, key, value);
		break;
	case CONFIG_PEER:
		ret = config_take_peer(p, key, value);
		break;
	case CONFIG_STORE:
		ret = config_take_store(p, key, value);
		break;
	default:
		ret = config_take_setting(p, key, value);
	}
	return ret == 0;
}

static int
begin_peer(struct config_parse *p)
{
	struct cw_config *c = p->config;

	if (!cw_card_name_is_valid(p->name, strlen(p->name)))
		return config_refuse(
		    p, p->line, "\"%s\" is no site's name", p->name);
	if (cw_config_peer(c, p->name) != NULL)
		return config_refuse(
		    p, p->line, "[peer \"%s\"] is there twice", p->name);
	if (c->peer_count == SECTIONS_MAX)
		return config_refuse(p, p->line, "too many peers");
	c->peers =
	    cw_reallocarray(c->peers, c->peer_count + 1, sizeof(*c->peers));
	c->peers[c->peer_count++] = (struct cw_config_peer){
	    .name = cw_strdup(p->name), .line = p->line};
	return 0;
}

static int
begin_store(struct config_parse *p)
{
	struct cw_config *c = p->config;

	if (cw_config_store(c, p->name) != NULL)
		return config_refuse(
		    p, p->line, "[store \"%s\"] is there twice", p->name);
	if (c->store_count == SECTIONS_MAX)
		return config_refuse(p, p->line, "too many stores");
	c->stores =
	    cw_reallocarray(c->stores, c->store_count + 1, sizeof(*c->stores));
	c->stores[c->store_count++] = (struct cw_config_store){
	    .name = cw_strdup(p->name), .line = p->line};
	return 0;
}

/* The head of a section: [word] or [word "NAME"], without the brackets. */
static int
begin_section(struct config_parse *p, const char *head, size_t len)
{
	const char *space = memchr(head, ' ', len);
	size_t word = space == NULL ? len : (size_t)(space - head);
	size_t at = word;
	size_t which = CONFIG_SITE;

	while (which < sizeof(sections) / sizeof(*sections) &&
	       (strlen(sections[which].word) != word ||
		   memcmp(sections[which].word, head, word) != 0))
		which++;
	if (which == sizeof(sections) / sizeof(*sections))
		return config_refuse(p, p->line,
		    "unknown section [%.*s]; there are [site], [peer \"NAME\"],"
		    " [store \"NAME\"], [link \"NAME\"], [hooks \"NAME\"], "
		    "[check \"NAME\"]",
		    (int)(len > 100 ? 100 : len), head);
	free(p->name);
	p->name = NULL;
	p->section = (enum config_section)which;
	p->word = sections[which].word;
	if (!sections[which].is_named) {
		if (word != len)
			return config_refuse(
			    p, p->line, "[site] takes no name");
		if (p->has_site)
			return config_refuse(
			    p, p->line, "[site] is there twice");
		p->has_site = true;
		return 0;
	}
	while (at < len && head[at] == ' ')
		at++;
	if (len - at < 3 || head[at] != '"' || head[len - 1] != '"' ||
	    !cw_config_name_is_valid(head + at + 1, len - at - 2))
		return config_refuse(p, p->line,
		    "write [%s \"NAME\"], where NAME is 1 to %u of A-Z, a-z, "
		    "0-9, '.', '_' and '-'",
		    sections[which].word, CW_CONFIG_NAME_MAX);
	p->name = cw_asprintf("%.*s", (int)(len - at - 2), head + at + 1);
	if (which == CONFIG_PEER)
		return begin_peer(p);
	return which == CONFIG_STORE ? begin_store(p) : 0;
}

/* inih's reader, as fgets: one line, the head of a section taken note of. */
static char *
read_line(char *out, int size, void *stream)
{
	struct config_parse *p = stream;
	const char *end, *first = p->at, *last;
	size_t len;

	if (p->has_failed || p->at == p->end)
		return NULL;
	p->line++;
	end = memchr(p->at, '\n', (size_t)(p->end - p->at));
	end = end == NULL ? p->end : end + 1;
	len = (size_t)(end - p->at);
	if (len >= CW_CONFIG_LINE_MAX || len >= (size_t)size) {
		config_refuse(p, p->line, "a line is longer than %u bytes",
		    CW_CONFIG_LINE_MAX - 1);
		return NULL;
	}
	if (memchr(p->at, '\0', len) != NULL) {
		config_refuse(p, p->line, "a NUL byte in text");
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
		config_refuse(
		    p, p->line, "a section's head has no ']' at its end");
		return NULL;
	}
	if (begin_section(p, first + 1, (size_t)(last - first) - 2) < 0)
		return NULL;
	return out;
}

/* What only the whole file shows. */
static int
check_whole(struct config_parse *p)
{
	struct cw_config *c = p->config;

	if (c->name == NULL)
		return config_refuse(p, p->line,
		    "no name in [site]; make a configuration with `causeway "
		    "init`");
	for (size_t i = 0; i < c->peer_count; i++)
		if (c->peers[i].card_text == NULL)
			return config_refuse(p, c->peers[i].line,
			    "[peer \"%s\"] has no card; copy what `causeway "
			    "card` prints there",
			    c->peers[i].name);
	for (size_t i = 0; i < c->store_count; i++) {
		struct cw_config_store *s = &c->stores[i];

		if (s->root_count == 0)
			return config_refuse(p, s->line,
			    "[store \"%s\"] has neither root nor command",
			    s->name);
		/* A site may hold a copy made of its own seed. */
		if (s->follow != NULL && strcmp(s->follow, c->name) != 0 &&
		    cw_config_peer(c, s->follow) == NULL)
			return config_refuse(p, s->line,
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
	struct config_parse p = {.file = file,
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
		config_refuse(&p, (unsigned)bad,
		    "neither a [section], nor key = value, nor a comment");
	else if (!p.has_failed && bad < 0)
		config_refuse(&p, p.line, "no memory to read it");
	if (!p.has_failed)
		check_whole(&p);
	free(p.name);
	if (p.has_failed) {
		cw_config_free(config);
		return -1;
	}
	return 0;
}
