/*
 * The inside of reading a configuration, shared by config_read.c (lines and
 * sections) and config_keys.c (what each key may say).
 */
#ifndef CW_SITE_CONFIG_IMPL_H
#define CW_SITE_CONFIG_IMPL_H

#include "site/config.h"

enum config_section {
	CONFIG_NO_SECTION,
	CONFIG_SITE,
	CONFIG_PEER,
	CONFIG_STORE,
	CONFIG_LINK,
	CONFIG_HOOKS,
	CONFIG_CHECK,
};

struct config_parse {
	const char *file;
	const char *at, *end; /* what the reader has not handed out */
	unsigned line;	      /* of what it handed out last, from 1 */
	enum config_section section;
	const char *word; /* of that section: "peer" */
	char *name;	  /* in quotes in the section's head */
	bool has_site;
	bool has_failed;
	struct cw_config *config;
	struct cw_error *err;
};

/*
 * Refuses the file, by the name of file and line.  The first fault is the one
 * that is told.  Returns -1.
 */
int config_refuse(struct config_parse *p, unsigned line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * Take a key of the section that was begun last: [site], [peer], [store] into
 * their structs, the others as settings.  The value is not empty.
 */
int config_take_site(
    struct config_parse *p, const char *key, const char *value);
int config_take_peer(
    struct config_parse *p, const char *key, const char *value);
int config_take_store(
    struct config_parse *p, const char *key, const char *value);
int config_take_setting(
    struct config_parse *p, const char *key, const char *value);

#endif
