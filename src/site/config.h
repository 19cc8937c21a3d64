/*
 * The configuration file: INI, with sections [site], [peer "NAME"],
 * [store "NAME"], [link "NAME"], [hooks "NAME"], [check "NAME"].  A section
 * or key that we do not know is refused with file and line, since a typo in a
 * safety setting must not pass for its absence.
 *
 * This module turns text into values and back and reads no file; home.h does.
 * Comments of the operator survive: we append sections or replace one line,
 * never rewrite the file.
 */
#ifndef CW_SITE_CONFIG_H
#define CW_SITE_CONFIG_H

#include "base/buf.h"
#include "base/error.h"
#include "formats/card/card.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CW_CONFIG_FILE	      "causeway.conf"
#define CW_CONFIG_DEFAULT     "/etc/causeway/" CW_CONFIG_FILE
#define CW_CONFIG_MAX	      (1u << 20) /* bytes of a file */
#define CW_CONFIG_LINE_MAX    8192u	 /* bytes of a line */
#define CW_CONFIG_NAME_MAX    63u	 /* bytes of a store's, a root's name */
#define CW_CONFIG_ROOTS_MAX   64u	 /* of one store */
#define CW_CONFIG_CONTACT_MAX 256u	 /* bytes: it goes on a slip */
#define CW_CONFIG_EVERY	      60u	 /* seconds between generations */
#define CW_CONFIG_TIMEOUT     600u	 /* seconds of a command */
#define CW_CONFIG_LIMIT	      (UINT64_C(1) << 30) /* bytes it may print */
#define CW_CONFIG_WORDS_MAX   100u		  /* of a command */

struct cw_config_root {
	char *name; /* first component of every path in seed and catalog */
	/*
	 * Absolute; but "commands/STORE/NAME" as parsed of a command's root
	 * that was given no directory (has_spool): home.h puts the state
	 * directory before it.
	 */
	char *path;
	char *command; /* prints the file "output" in it; NULL: none */
	bool has_spool;
};

struct cw_config_store {
	char *name;
	struct cw_config_root *roots;
	size_t root_count;
	char *format;	 /* NULL: each root's is detected */
	char *history;	 /* "30d", NULL: the default */
	char *every;	 /* "60s", NULL: the default, CW_CONFIG_EVERY */
	char *timeout;	 /* of a command, "10m"; NULL: CW_CONFIG_TIMEOUT */
	char *limit;	 /* of its output, "1G"; NULL: CW_CONFIG_LIMIT */
	char **excludes; /* fnmatch(3) patterns, relative to the root */
	size_t exclude_count;
	char *follow;  /* the site this is a replica of, NULL: none */
	unsigned line; /* of the section */
};

struct cw_config_peer {
	char *name;
	char *card_text; /* the line as encoded from card */
	struct cw_card card;
	char *address;	       /* HOST:PORT, NULL: none */
	unsigned line;	       /* of the section */
	unsigned address_line; /* 0: none */
};

/* A key of a section whose use is not here: [link], [hooks], [check]. */
struct cw_config_setting {
	char *section; /* "link", "hooks", "check" */
	char *name;    /* the text in quotes */
	char *key;
	char *value;
	unsigned line;
};

struct cw_config {
	char *name;    /* of the site */
	char *state;   /* directory; NULL: none given */
	char *listen;  /* HOST:PORT; NULL: none */
	char *contact; /* whom to call, for packing slips; NULL: none */
	struct cw_config_peer *peers;
	size_t peer_count;
	struct cw_config_store *stores;
	size_t store_count;
	struct cw_config_setting *settings;
	size_t setting_count;
};

#define CW_CONFIG_INIT                                                         \
	{                                                                      \
		.name = NULL                                                   \
	}

/*
 * Parses a whole text into config, which must be empty.  file is its name for
 * messages.  CW_ERR_USAGE says file, line and what would be right.  Failure
 * leaves config empty.
 */
int cw_config_parse(const char *text, size_t len, const char *file,
    struct cw_config *config, struct cw_error *err);
/* Frees all it holds; config is empty and usable again. */
void cw_config_free(struct cw_config *config);

/* NULL if there is none of that name.  They live as long as config. */
const struct cw_config_peer *cw_config_peer(
    const struct cw_config *config, const char *name);
const struct cw_config_store *cw_config_store(
    const struct cw_config *config, const char *name);

/*
 * Whether a text may name a store or a root: 1 to 63 of [A-Za-z0-9._-],
 * beginning with a letter, a digit or '_'.
 */
bool cw_config_name_is_valid(const char *name, size_t len);

/* Whether a text is HOST:PORT; "30d" or another time for `history`. */
bool cw_config_address_is_valid(const char *text);
bool cw_config_history_is_valid(const char *text);
/* "10s", "5m", "1h": not 0, at most a day. */
bool cw_config_every_is_valid(const char *text);
/* How many seconds lie between two generations that the daemon takes. */
unsigned cw_config_every(const struct cw_config_store *store);
/* "10s": a number and one of the letters of units. */
bool cw_config_duration_is_valid(const char *text, const char *units);

/*
 * The root's name that a directory gets unless it is given one: its last
 * component, with '_' for what a name may not hold.  The caller frees it.
 */
char *cw_config_root_name(const char *path);

/*
 * Splits "[ROOTNAME=]DIR" as it stands in a configuration and on a command
 * line.  What stands before the first '=' is the name if it may be one;
 * "./a=b" names a directory with '=' in it.  *name (the default one if none
 * was given) and *dir are the caller's to free.  CW_ERR_USAGE for an empty
 * DIR.
 */
int cw_config_root_parse(
    const char *text, char **name, char **dir, struct cw_error *err);

/*
 * Splits "[ROOTNAME=]PROGRAM [ARG...]".  What stands before the first '=' is
 * the name if it may be one; else the root is named after the program.
 */
int cw_config_command_parse(
    const char *text, char **name, char **command, struct cw_error *err);

/*
 * The words of a command, as an argv that ends in NULL, for
 * cw_config_words_free.  Blanks part words; '...' holds what is in it as it
 * is, "..." too, but for \" and \\.  Nothing else is special: there is no
 * shell.  CW_ERR_USAGE for none, for a quote that does not end, and for a
 * program with a slash that is not absolute.
 */
int cw_config_words(const char *command, char ***words, struct cw_error *err);
void cw_config_words_free(char **words);

/* How long a store's commands may take, and what each may print. */
unsigned cw_config_timeout(const struct cw_config_store *store); /* seconds */
uint64_t cw_config_limit(const struct cw_config_store *store);	 /* bytes */
bool cw_config_limit_is_valid(const char *text);

/* The path of a command's root without one; the caller frees it. */
char *cw_config_spool(const char *store, const char *root);

/*
 * What `init` writes: every key, commented.  listen and state may be NULL;
 * the file then shows what they would look like.
 */
void cw_config_template(const char *name, const char *listen, const char *state,
    struct cw_buf *text);

/* Append a section to the text of a file. */
void cw_config_append_peer(
    struct cw_buf *text, const struct cw_card *card, const char *address);
void cw_config_append_store(
    struct cw_buf *text, const struct cw_config_store *store);

/*
 * Takes a store's section, as parsed from text, out of it: from its head to
 * the next one.
 */
void cw_config_remove_store(
    struct cw_buf *text, const struct cw_config_store *store);

/*
 * Gives a peer of config, as parsed from text, another address (not NULL): one
 * line of text is replaced, or put in behind the section's head.
 */
void cw_config_set_address(struct cw_buf *text,
    const struct cw_config_peer *peer, const char *address);

#endif
