/*
 * Maildir as Dovecot and Courier keep it, with folders as Maildir++ ("." in
 * front of their names) or as directories in directories ("fs").  A store may
 * hold any number of accounts at any depth: only the last two parts of a path
 * decide.
 *
 * An account may be called "cur", "new" or "tmp" itself.  So directories are
 * never left out, and what is known as a control file is one everywhere.
 */
#include "formats/mail/mail.h"

#include "formats/mail/name.h"

extern const struct cw_mail_format cw_mail_maildir;

size_t
cw_maildir_base_len(const char *name, size_t len)
{
	const char *colon = len == 0 ? NULL : memchr(name, ':', len);

	return colon == NULL ? len : (size_t)(colon - name);
}

/* Dovecot writes anew and renames: these are the files under way. */
static bool
is_temporary(const struct mail_name *n)
{
	if (mail_text_begins(n->at, n->len, ".temp."))
		return true;
	if (!mail_text_begins(n->at, n->len, "dovecot"))
		return false;
	return mail_text_ends(n->at, n->len, ".tmp") ||
	       mail_text_ends(n->at, n->len, ".newlock");
}

static bool
is_control(const struct mail_name *n)
{
	static const char *const whole[] = {
	    "subscriptions",
	    "courierimapsubscribed",
	    "maildirfolder",
	    "maildirsize",
	    "sieve",
	};
	static const char *const beginnings[] = {
	    "dovecot-",	    /* uidlist, keywords, uidvalidity, acl, ... */
	    "dovecot.",	    /* index, index.log, list.index, mailbox.log */
	    ".dovecot.",    /* sieve, svbin, lda-dupes */
	    "courierimap",  /* uiddb, keywords, hieracl, acl */
	    "courierpop3d", /* sizelist */
	};

	for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++) {
		if (mail_text_is(n->at, n->len, whole[i]))
			return true;
	}
	for (size_t i = 0; i < sizeof(beginnings) / sizeof(beginnings[0]);
	     i++) {
		if (mail_text_begins(n->at, n->len, beginnings[i]))
			return true;
	}
	return mail_text_ends(n->at, n->len, ".sieve");
}

static bool
holds_messages(const char *at, size_t len)
{
	return mail_text_is(at, len, "cur") || mail_text_is(at, len, "new");
}

static enum cw_mail_class
classify(const char *path, size_t len, enum cw_kind kind)
{
	struct mail_name n = mail_name_split(path, len);
	bool among_messages = holds_messages(n.parent, n.parent_len);

	if (kind == CW_KIND_DIR)
		return CW_MAIL_OTHER;
	/* A host may be called "x.lock", and its messages end so. */
	if ((!among_messages && mail_name_is_fleeting(&n)) || is_temporary(&n))
		return CW_MAIL_SKIP;
	/* Can be derived, is large, and changes with every look. */
	if (mail_text_is(n.at, n.len, "dovecot.index.cache"))
		return CW_MAIL_SKIP;
	if (is_control(&n))
		return CW_MAIL_CONTROL;
	if (mail_text_is(n.parent, n.parent_len, "tmp"))
		return CW_MAIL_SKIP;
	if (among_messages && kind == CW_KIND_FILE && n.at[0] != '.')
		return CW_MAIL_MESSAGE;
	if (among_messages && mail_text_begins(n.at, n.len, ".nfs"))
		return CW_MAIL_SKIP;
	return CW_MAIL_OTHER;
}

static bool
dir_tells(const char *path, size_t len)
{
	struct mail_name n = mail_name_split(path, len);

	return holds_messages(n.at, n.len);
}

static bool
has_path(const char *const *paths, size_t count, const char *dir,
    size_t dir_len, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		size_t len = strlen(paths[i]);

		if (len == dir_len + strlen(name) &&
		    memcmp(paths[i], dir, dir_len) == 0 &&
		    strcmp(paths[i] + dir_len, name) == 0)
			return true;
	}
	return false;
}

/*
 * One directory with cur and new in it is proof enough: an empty tmp is what
 * archives and copies lose.
 */
static int
detect(const char *const *paths, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		size_t len = strlen(paths[i]);
		struct mail_name n = mail_name_split(paths[i], len);
		size_t dir_len = len - n.len;

		if (mail_text_is(n.at, n.len, "cur") &&
		    has_path(paths, count, paths[i], dir_len, "new"))
			return 100;
	}
	return 0;
}

const struct cw_mail_format cw_mail_maildir = {
    .name = "maildir",
    .classify = classify,
    .dir_tells = dir_tells,
    .detect = detect,
};
