/*
 * A site's home: its configuration and its state directory, opened together.
 *
 *   STATE/lock                          held by the one process that writes
 *   STATE/keys/                         identity.h
 *   STATE/commands/                     command.h
 *   STATE/config.lock                   held while the configuration is changed
 *   STATE/control.sock                  the daemon's: control.h
 *   STATE/stores/<STORE>/catalog.sqlite store/catalog.h
 *   STATE/stores/<STORE>/lock           held by who works on that store
 *   STATE/seeds/<seed-id>/              seeds that this site packs or receives
 *
 * With --home DIR the state directory is DIR and the configuration is
 * DIR/causeway.conf; with --config FILE the file names the state directory.
 * Everything in the state directory is for its owner alone (0700).
 */
#ifndef CW_SITE_HOME_H
#define CW_SITE_HOME_H

#include "base/error.h"
#include "formats/card/card.h"
#include "site/config.h"
#include "store/catalog.h"
#include "store/scan.h"

#include <stdbool.h>
#include <stdint.h>

enum cw_home_mode {
	CW_HOME_READ,  /* looks only; others may write meanwhile */
	CW_HOME_WRITE, /* takes the lock, or fails with CW_ERR_BUSY */
};

struct cw_home {
	char *config_path; /* absolute */
	char *state_path;  /* absolute */
	int state_fd;
	int lock_fd;		   /* -1: not ours */
	struct cw_config config;   /* as the file was when we opened it */
	uint8_t config_sha256[32]; /* of the text that config is of */
};

/*
 * Opens a home.  home_dir or config_file is NULL; both: CW_CONFIG_DEFAULT.
 * CW_ERR_FAILED, naming `causeway init`, where there is none; CW_ERR_BUSY says
 * which process holds it; CW_ERR_USAGE for a configuration that is wrong.
 * *out is the caller's to close, NULL on failure.
 */
int cw_home_open(const char *home_dir, const char *config_file,
    enum cw_home_mode mode, struct cw_home **out, struct cw_error *err);
/* Gives back the lock.  NULL is allowed. */
void cw_home_close(struct cw_home *home);

/*
 * For a process that works on behalf of the one that holds the lock (a command
 * that the daemon runs for the CLI): lock_fd is that lock, inherited.  From
 * now on opening this very home for writing shares it.  The caller keeps
 * lock_fd open.
 */
void cw_home_share_lock(int lock_fd);

/* Whether there is a configuration where cw_home_open would look for it. */
bool cw_home_exists(const char *home_dir, const char *config_file);

/* What `init` makes a home of. */
struct cw_home_options {
	const char *name;   /* of the site */
	const char *listen; /* NULL: none */
	const char *state;  /* with --config: the directory; NULL: default */
	const char *passphrase; /* NULL: keys are not encrypted */
};

#define CW_STATE_DEFAULT "/var/lib/causeway"

/*
 * Makes directories, identity and configuration, the latter last, and opens
 * the home for writing.  CW_ERR_REFUSED where there is a configuration.  A
 * run that was killed is gone on with by the next one.
 */
int cw_home_create(const char *home_dir, const char *config_file,
    const struct cw_home_options *options, struct cw_home **out,
    struct cw_error *err);

/* Paths; the caller frees them.  seed_id is its hex text. */
char *cw_home_store_dir(const struct cw_home *home, const char *store);
char *cw_home_catalog_path(const struct cw_home *home, const char *store);
char *cw_home_seed_dir(const struct cw_home *home, const char *seed_id);

/* Opens the directory of a store.  Returns the descriptor, or -1. */
int cw_home_open_store_dir(
    const struct cw_home *home, const char *store, struct cw_error *err);

/* Make these directories (0700) and their parents, if they are not there. */
int cw_home_make_store_dir(
    const struct cw_home *home, const char *store, struct cw_error *err);
int cw_home_make_seed_dir(
    const struct cw_home *home, const char *seed_id, struct cw_error *err);

/*
 * Takes the lock of a store, for who scans, packs, receives, applies or moves
 * it: several processes may share a home (daemon.h), and only one of them
 * works on a store.  Waits up to wait_ms.  CW_ERR_BUSY says who holds it,
 * CW_ERR_INTERRUPTED that somebody asked us to stop.  *fd is the caller's to
 * close, which gives the lock back, as does the end of the process.
 */
int cw_home_lock_store(const struct cw_home *home, const char *store,
    unsigned wait_ms, int *fd, struct cw_error *err);

/*
 * Reads the configuration again, into home->config if it is right (pointers
 * into it are stale then).  *has_changed (may be NULL) says whether the file's
 * text is another.  Failure leaves home->config as it was.
 */
int cw_home_reload(
    struct cw_home *home, bool *has_changed, struct cw_error *err);

/*
 * Adds a peer to the configuration file and to home->config (pointers into
 * home->config are stale afterwards).  The same card again is no change;
 * *is_new (may be NULL) says so.  A non-NULL address replaces the peer's.
 * CW_ERR_REFUSED for our own card, for another key under a known name, and
 * for a known key under another name.
 */
int cw_home_add_peer(struct cw_home *home, const struct cw_card *card,
    const char *address, bool *is_new, struct cw_error *err);

/*
 * Adds a store in the same way.  Of store, name, roots (names, absolute paths)
 * and what else is set are used.  CW_ERR_USAGE for invalid names and values;
 * CW_ERR_REFUSED for a store of that name, and for roots that hold one another,
 * another store's root or the home itself.  The directories must be there.
 */
int cw_home_add_store(struct cw_home *home, const struct cw_config_store *store,
    struct cw_error *err);

/*
 * CW_ERR_REFUSED if a root holds the state directory or lies in its keys:
 * somebody wrote that into the configuration, and add_store did not see it.
 * Looks at the directories, so not for who only reads.
 */
int cw_home_check_roots(const struct cw_home *home,
    const struct cw_config_store *store, struct cw_error *err);

/*
 * Declares the replica that was received: adds the store, or, where another
 * seed of it was received before, puts the new roots in place of the old ones
 * and keeps what else the section says.
 * The same again is no change.
 */
int cw_home_put_replica(struct cw_home *home,
    const struct cw_config_store *store, struct cw_error *err);

/* The store, or CW_ERR_USAGE with the names of those there are. */
int cw_home_store(const struct cw_home *home, const char *name,
    const struct cw_config_store **out, struct cw_error *err);
/* The peer, or CW_ERR_USAGE with what to do (`causeway pair`). */
int cw_home_peer(const struct cw_home *home, const char *name,
    const struct cw_config_peer **out, struct cw_error *err);

/*
 * Opens a store's catalog.  With CW_CATALOG_WRITE (the home must be ours) that
 * of a store that is declared and was never opened is made, with role
 * "active"; a replica's is not: it comes with a seed.  A catalog that was
 * there and is gone is CW_ERR_MISSING, never made anew: the store would be
 * another to its replicas.
 */
int cw_home_catalog(const struct cw_home *home,
    const struct cw_config_store *store, enum cw_catalog_mode mode,
    struct cw_catalog **out, struct cw_error *err);

/* Whether there is one. */
bool cw_home_has_catalog(
    const struct cw_home *home, const struct cw_config_store *store);

/*
 * Makes the directory of a command's root that was given none, and its
 * parents (0700); of any other root nothing.
 */
int cw_home_make_spool(const struct cw_config_root *root, struct cw_error *err);

struct cw_commands;

/*
 * The roots of a store as a scan takes them, for the caller to free; what they
 * point to is the configuration's.  c is its catalog.  commands is what came
 * of those that were run (command.h); NULL: none was.
 */
struct cw_scan_root *cw_home_scan_roots(const struct cw_config_store *store,
    struct cw_catalog *c, const struct cw_commands *commands);

/*
 * Scans a store with these roots, and the excludes of the configuration; those
 * of options are not used.
 */
int cw_home_scan(const struct cw_config_store *store, struct cw_catalog *c,
    const struct cw_commands *commands, const struct cw_scan_options *options,
    struct cw_scan_result *result, struct cw_error *err);

/* The note of a catalog in which its role stands; see design, cutover. */
#define CW_NOTE_ROLE	"role"
#define CW_ROLE_ACTIVE	"active"
#define CW_ROLE_STANDBY "standby"

#endif
