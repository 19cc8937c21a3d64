/*
 * Writing configurations: the text that init makes, and additions to it.
 */
#include "site/config.h"

#include <stdlib.h>
#include <string.h>

void
cw_config_template(const char *name, const char *listen, const char *state,
    struct cw_buf *text)
{
	cw_buf_printf(text,
	    "# Configuration of Causeway at this site: causeway(1).\n"
	    "# A line that begins with # or ; is a comment.  Unknown sections "
	    "and keys\n"
	    "# are refused.  `pair`, `store add` and `receive` append sections "
	    "and leave\n"
	    "# the rest as you wrote it.\n"
	    "\n"
	    "[site]\n"
	    "# The name other sites know this one by: a-z, 0-9 and -.  It is "
	    "on the card;\n"
	    "# do not change it here.\n"
	    "name = %s\n"
	    "# Where keys, catalogs and the state of seeds are kept.  With "
	    "--home DIR it is\n"
	    "# DIR itself.\n"
	    "%sstate = %s\n"
	    "# Where other sites reach this one: HOST:PORT.  Without it "
	    "nothing listens.\n"
	    "%slisten = %s\n"
	    "# Whom to call about media of this site: it stands on their "
	    "packing slips.\n"
	    "# contact = Ann Otis +1 504 555 0100\n",
	    name, state == NULL ? "# " : "",
	    state == NULL ? "/var/lib/causeway" : state,
	    listen == NULL ? "# " : "",
	    listen == NULL ? "0.0.0.0:7625" : listen);
	cw_buf_text(text,
	    "\n"
	    "# A site that this one trusts; `causeway pair CARD` writes this.\n"
	    "# [peer \"shreveport\"]\n"
	    "# The line that `causeway card` prints there.\n"
	    "# card = causeway1 ...\n"
	    "# Where it listens: HOST:PORT.\n"
	    "# address = shreveport.example:7625\n"
	    "\n"
	    "# A store; `causeway store add` and `causeway receive` write "
	    "this.\n"
	    "# [store \"mail\"]\n"
	    "# A directory tree of the store, with a name of its own or that "
	    "of its last\n"
	    "# component; give one line a tree.\n"
	    "# root = /var/vmail\n"
	    "# root = etc=/etc/dovecot\n"
	    "# A root that is what a program prints at each scan, as the file "
	    "output; no shell.\n"
	    "# command = users=/usr/bin/sqlite3 /etc/mail/users.db .dump\n"
	    "# How long it may take, and how much it may print; 10m and 1G "
	    "unless set.\n"
	    "# timeout = 10m\n"
	    "# limit = 1G\n"
	    "# maildir or plain; without it each root's is detected.\n"
	    "# format = maildir\n"
	    "# How long a replica keeps what was replaced or removed: 12h, "
	    "30d, 8w, forever.\n"
	    "# history = 30d\n"
	    "# How often the daemon looks for changes: 10s, 5m, 1h; 60s unless "
	    "set.\n"
	    "# every = 60s\n"
	    "# What is left out: a pattern of fnmatch(3) against the whole "
	    "path below the\n"
	    "# root.  * matches no slash, so each depth needs a line of its "
	    "own; a directory\n"
	    "# that matches is left out with all that is in it.\n"
	    "# exclude = *.bak\n"
	    "# exclude = */*.bak\n"
	    "# exclude = */*/*.bak\n"
	    "# The site of which this store is a replica.\n"
	    "# follow = metairie\n"
	    "\n"
	    "# The line to a peer.\n"
	    "# [link \"shreveport\"]\n"
	    "# How much of it may be used, and when.\n"
	    "# rate = 08:00-18:00 mon-fri 512k, otherwise unlimited\n"
	    "\n"
	    "# Executables that stop and start the service of a store.\n"
	    "# [hooks \"mail\"]\n"
	    "# fence = /etc/causeway/hooks/dovecot-stop\n"
	    "# unfence = /etc/causeway/hooks/dovecot-start\n"
	    "# quiesce = /etc/causeway/hooks/hold\n"
	    "# resume = /etc/causeway/hooks/release\n"
	    "# promote = /etc/causeway/hooks/dovecot-start\n"
	    "# demote = /etc/causeway/hooks/dovecot-stop\n"
	    "# alarm = /etc/causeway/hooks/alarm\n"
	    "# Brings the next medium of a seed (`seed --to ask`), and prints\n"
	    "# the directory that it is mounted on.\n"
	    "# medium = /etc/causeway/hooks/next-disk\n"
	    "# How long one may take, and how long to wait for processes that\n"
	    "# hold the store's files.\n"
	    "# timeout = 60s\n"
	    "# Whether the move is put back then, or they are killed: wait, "
	    "kill.\n"
	    "# holders = wait\n"
	    "# After a failover the next UID of every mailbox is raised by:\n"
	    "# guard = 100000\n"
	    "\n"
	    "# What is watched, and what is done when it fails.\n"
	    "# [check \"imap\"]\n"
	    "# store = mail\n"
	    "# probe = imap://localhost\n"
	    "# every = 10s\n"
	    "# failures = 3\n"
	    "# then = /etc/causeway/hooks/dovecot-restart, alarm\n");
}

/* A file that does not end in a newline gets one before we append. */
static void
end_line(struct cw_buf *text)
{
	if (text->len > 0 && text->data[text->len - 1] != '\n')
		cw_buf_text(text, "\n");
}

void
cw_config_append_peer(
    struct cw_buf *text, const struct cw_card *card, const char *address)
{
	char line[CW_CARD_TEXT_SIZE];

	cw_card_encode(card, line);
	end_line(text);
	cw_buf_printf(text, "\n[peer \"%s\"]\ncard = %s\n", card->name, line);
	if (address != NULL)
		cw_buf_printf(text, "address = %s\n", address);
}

void
cw_config_append_store(struct cw_buf *text, const struct cw_config_store *store)
{
	end_line(text);
	cw_buf_printf(text, "\n[store \"%s\"]\n", store->name);
	for (size_t i = 0; i < store->root_count; i++) {
		const struct cw_config_root *root = &store->roots[i];
		char *usual = cw_config_root_name(root->path);

		bool is_usual = strcmp(usual, root->name) == 0;

		if (!root->has_spool)
			cw_buf_printf(text, "root = %s%s%s\n",
			    is_usual ? "" : root->name, is_usual ? "" : "=",
			    root->path);
		if (root->command != NULL)
			cw_buf_printf(text, "command = %s=%s\n", root->name,
			    root->command);
		free(usual);
	}
	if (store->format != NULL)
		cw_buf_printf(text, "format = %s\n", store->format);
	if (store->history != NULL)
		cw_buf_printf(text, "history = %s\n", store->history);
	if (store->every != NULL)
		cw_buf_printf(text, "every = %s\n", store->every);
	if (store->timeout != NULL)
		cw_buf_printf(text, "timeout = %s\n", store->timeout);
	if (store->limit != NULL)
		cw_buf_printf(text, "limit = %s\n", store->limit);
	for (size_t i = 0; i < store->exclude_count; i++)
		cw_buf_printf(text, "exclude = %s\n", store->excludes[i]);
	if (store->follow != NULL)
		cw_buf_printf(text, "follow = %s\n", store->follow);
}

void
cw_config_set_address(
    struct cw_buf *text, const struct cw_config_peer *peer, const char *address)
{
	struct cw_buf out = CW_BUF_INIT;
	unsigned line = 0;

	end_line(text);
	for (size_t at = 0; at < text->len;) {
		const uint8_t *from = text->data + at;
		const uint8_t *end = memchr(from, '\n', text->len - at);
		size_t len = (size_t)(end - from) + 1;

		line++;
		if (line == peer->address_line)
			cw_buf_printf(&out, "address = %s\n", address);
		else
			cw_buf_append(&out, from, len);
		if (peer->address_line == 0 && line == peer->line)
			cw_buf_printf(&out, "address = %s\n", address);
		at += len;
	}
	cw_buf_free(text);
	*text = out;
}

void
cw_config_remove_store(struct cw_buf *text, const struct cw_config_store *store)
{
	char *at = cw_buf_string(text), *from, *to;

	for (unsigned line = 1; line < store->line && at != NULL; line++) {
		at = strchr(at, '\n');
		at = at == NULL ? NULL : at + 1;
	}
	if (at == NULL)
		return;
	from = to = at;
	do {
		char *end = strchr(to, '\n');

		to = end == NULL ? to + strlen(to) : end + 1;
	} while (*to != '\0' && *to != '[');
	text->len -= (size_t)(to - from);
	memmove(from, to, strlen(to) + 1);
}
