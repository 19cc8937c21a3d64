/*
 * A session: the conversation of two paired sites over one link, about all the
 * stores that both have.  After HELLO the greater epoch settles who is active:
 * a site that was superseded fences itself before anything else.  Then for
 * each store the active site is the source and the other follows.
 *
 * One thread.  Work that another process does on a store (scan, receive) is
 * kept apart by the store's lock.
 */
#ifndef CW_SITE_SESSION_H
#define CW_SITE_SESSION_H

#include "base/progress.h"
#include "formats/minisign/minisign.h"
#include "site/home.h"
#include "site/role.h"
#include "sync/carrier.h"
#include "sync/follower.h"
#include "sync/link.h"
#include "sync/source.h"

#include <stdbool.h>

struct cw_session;

struct cw_session_options {
	struct cw_home *home; /* borrowed, the configuration must not change */
	const struct cw_minisign_secret *secret;
	const char *store; /* only this one; NULL: all */
	/* To the daemon (channel.h), or -1: generations are taken here. */
	int channel;
	struct cw_progress *progress; /* may be NULL */
	/* What happened that is worth a line; may be NULL. */
	void (*event)(void *arg, const char *text);
	void *arg;
	/*
	 * A descriptor more of the lock of `store`, for as long as whoever
	 * opened the session holds it; -1 when it does not.  May be NULL.
	 */
	int (*share_lock)(void *lock_arg);
	void *lock_arg;
};

/* What a store is in this session. */
struct cw_session_store {
	const struct cw_config_store *config;
	struct cw_role role;
	bool is_shared;	 /* the peer has it, too */
	uint32_t number; /* in our frames */
	uint32_t peer_number;
	Cw__Role peer_role;
	uint64_t peer_epoch;
	uint64_t peer_generation;
	bool has_catalog;
	uint8_t store_id[CW_STORE_ID_SIZE];
	struct cw_sync_source *source; /* we are active, the peer follows */
	struct cw_follower *follower;  /* the peer is active, we follow */
};

/*
 * Dials a peer of the configuration: CW_ERR_USAGE if it has no address.  Or
 * takes a connection over, which is closed in the end (also on failure).  Both
 * do the handshake and exchange HELLO, settle roles, and begin to follow.
 */
int cw_session_dial(const struct cw_session_options *options,
    const struct cw_config_peer *peer, struct cw_session **out,
    struct cw_error *err);
int cw_session_accept(const struct cw_session_options *options,
    struct cw_carrier *carrier, struct cw_session **out, struct cw_error *err);
void cw_session_free(struct cw_session *s); /* NULL is allowed */

/*
 * What is done between true and false takes its time (a hook, a scan): a
 * thread keeps the line alive meanwhile.  Nothing else may be done with the
 * session then but reports.  May be nested.
 */
void cw_session_busy(struct cw_session *s, bool is_busy);

/* Says goodbye. */
void cw_session_bye(struct cw_session *s, const char *reason);

/* The peer came for one errand (a sync, a cutover), not to stay. */
bool cw_session_is_visit(const struct cw_session *s);

const struct cw_config_peer *cw_session_peer(const struct cw_session *s);
struct cw_link *cw_session_link(struct cw_session *s);
/* NULL if there is none of this name (or the peer does not share it: see
 * is_shared). */
struct cw_session_store *cw_session_store(
    struct cw_session *s, const char *name);
/* The peer's clock less ours, in ms, as of HELLO (with half a round trip). */
int64_t cw_session_clock_offset(const struct cw_session *s);

/*
 * Serves: until `until` says so (NULL: until the end).  Returns 0 when until
 * was true, 1 when the peer said goodbye, -1.  limit_ms without until becoming
 * true is CW_ERR_UNREACHABLE; 0: none.
 */
int cw_session_serve(struct cw_session *s,
    bool (*until)(void *arg, struct cw_session *s), void *arg, int64_t limit_ms,
    struct cw_error *err);

/*
 * Gives an order and serves until its answer: 0, or -1 with the peer's own
 * error.  reply (may be NULL) gets a copy of its values, to be freed.  Reports
 * on the way go to `event`.
 */
struct cw_session_args {
	size_t count;
	struct cw_session_arg {
		char key[CW_WIRE_WORD_MAX + 1];
		struct cw_buf value;
	} list[CW_WIRE_ARGS_MAX];
};

struct cw_session_args *cw_session_args_new(void);
void cw_session_args_free(struct cw_session_args *a);
void cw_session_args_add(
    struct cw_session_args *a, const char *key, const void *value, size_t len);
void cw_session_args_number(
    struct cw_session_args *a, const char *key, uint64_t value);
/* NULL, or false, if there is none (of the right form). */
const struct cw_buf *cw_session_args_get(
    const struct cw_session_args *a, const char *key);
bool cw_session_args_get_number(
    const struct cw_session_args *a, const char *key, uint64_t *value);

int cw_session_order(struct cw_session *s, const struct cw_session_store *st,
    const char *kind, const struct cw_session_args *args,
    struct cw_session_args *reply, struct cw_error *err);

/*
 * Who answers orders but "generation" and "adopt", which the session knows.
 * values is to be filled.  Reports may be sent meanwhile.
 */
typedef int cw_session_answer(void *arg, struct cw_session *s,
    struct cw_session_store *st, const char *kind,
    const struct cw_session_args *args, struct cw_session_args *values,
    struct cw_error *err);
void cw_session_on_order(
    struct cw_session *s, cw_session_answer *answer, void *arg);
/* A report about the order that is being answered. */
int cw_session_report(struct cw_session *s, struct cw_session_args *values,
    const char *text, struct cw_error *err);

/* cw_generation_take() of an active store here, under its lock. */
int cw_session_generation(struct cw_session *s, struct cw_session_store *st,
    const char *capture, uint64_t *generation, struct cw_error *err);

/* Reads the role again (it changed), and ends source and follower. */
int cw_session_settle(
    struct cw_session *s, struct cw_session_store *st, struct cw_error *err);
/* Begins what the roles now ask for. */
int cw_session_begin(
    struct cw_session *s, struct cw_session_store *st, struct cw_error *err);

#endif
