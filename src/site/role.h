/*
 * The role of a site for a store: active, standby or fenced; the epoch; and
 * the history of epochs.  It stands in STORE_DIR/role, a text signed by this
 * site, which is durable before anything acts on it.  Normative: SPEC.md in
 * this folder; the ideas: design, cutover.
 *
 * Functions that change a struct cw_role change the value alone; nothing
 * counts before cw_role_save (or cw_home_role_save) has returned 0.  Whoever
 * saves must hold the store's lock.
 *
 * Call cw_crypto_init first.
 */
#ifndef CW_SITE_ROLE_H
#define CW_SITE_ROLE_H

#include "base/buf.h"
#include "base/error.h"
#include "formats/minisign/minisign.h"
#include "site/home.h"
#include "store/catalog.h"
#include "store/peer.h"
#include "store/state.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CW_ROLE_FILE	   "role"
#define CW_ROLE_TEXT_MAX   (1u << 20) /* bytes */
#define CW_ROLE_EPOCHS_MAX 4096u      /* of one history */
#define CW_ROLE_EPOCH_MAX  (UINT64_C(1) << 48)
#define CW_FORK_NONE	   UINT64_MAX

enum cw_role_is {
	CW_ROLE_IS_ACTIVE,  /* serves the store, if the gate says so */
	CW_ROLE_IS_STANDBY, /* follows */
	CW_ROLE_IS_FENCED,  /* was active, and a greater epoch is elsewhere:
			       rejoin makes it a standby */
};

enum cw_epoch_kind {
	CW_EPOCH_CREATED, /* the store's first, or what a seed came with */
	CW_EPOCH_SWITCHOVER,
	CW_EPOCH_FAILOVER,
	CW_EPOCH_REJOIN,
};

/* One epoch: who began it, and at which generation. */
struct cw_epoch {
	uint64_t epoch;
	uint64_t generation; /* the last one of the epoch before */
	struct cw_minisign_public site;
	enum cw_epoch_kind kind;
	int64_t time; /* seconds since 1970, by that site's clock */
	/* Of that site, over all of the above and the store's id.  Epochs of
	   kind "created" have none. */
	uint8_t signature[CW_ED25519_SIGNATURE_SIZE];
};

struct cw_epochs {
	struct cw_epoch *epochs; /* ascending */
	size_t count;		 /* of a record or a peer: at least 1 */
};

#define CW_EPOCHS_INIT                                                         \
	{                                                                      \
		NULL, 0                                                        \
	}

enum cw_moving {
	CW_MOVING_NOT,
	CW_MOVING_FENCING, /* nothing is handed over: put back after a crash */
	CW_MOVING_HANDING, /* the hand-over record may be out: ask the peer */
};

/* What the active site gives away: this store, at this state, to that site. */
struct cw_handover {
	struct cw_minisign_public from;
	struct cw_minisign_public to;
	uint64_t epoch; /* the one that `to` begins */
	uint64_t generation;
	uint8_t digest[CW_STATE_SIZE];
	int64_t time;
};

struct cw_role {
	uint8_t store_id[CW_STORE_ID_SIZE];
	struct cw_minisign_public site; /* ours */
	enum cw_role_is is;
	uint64_t epoch; /* that of the last entry of history */
	uint64_t seen;	/* the greatest that began, or was offered and not
			   taken; >= epoch, and the next one is beyond it */
	struct cw_epochs history;
	/* The boot in which this site was promoted or forced; "": none. */
	char boot[CW_BOOT_ID_SIZE];
	/* A human said `gate --force`: when (0: never), in which boot. */
	int64_t forced_time;
	char forced_boot[CW_BOOT_ID_SIZE];
	enum cw_moving moving;
	int64_t moving_since; /* seconds since 1970 */
	bool has_handover;    /* given away, and not heard that it arrived */
	struct cw_handover handover;
	/*
	 * Our store agrees with the history up to this generation; what we
	 * have beyond it, if we have, belongs to a lost epoch: salvage it, then
	 * cw_role_rejoin.  CW_FORK_NONE: all of it agrees.  A site with a fork
	 * accepts no hand-over.
	 */
	uint64_t fork;
	bool is_stored; /* it came from the file */
};

/* "active", "standby", "fenced". */
const char *cw_role_name(enum cw_role_is is);

/* What a store without a record gets. */
struct cw_role_start {
	const uint8_t *store_id;	       /* CW_STORE_ID_SIZE bytes */
	const struct cw_minisign_public *site; /* ours */
	bool is_standby;
	uint64_t epoch; /* the catalog's; 0 counts as 1 */
	/* Who began that epoch as far as we know: the site that is followed;
	   NULL: we did. */
	const struct cw_minisign_public *origin;
};

/*
 * Reads STORE_DIR/role (dirfd is the store's directory) into *role, which is
 * to be freed with cw_role_free, also after failure.  No file: what start
 * says, with is_stored false.  CW_ERR_DAMAGED for a record that is not signed
 * by this site, not of this store, or malformed: nothing may act then.
 */
int cw_role_load(int dirfd, const struct cw_role_start *start,
    struct cw_role *role, struct cw_error *err);

/*
 * Signs and writes it; it is on disk when this returns 0.  CW_ERR_REFUSED if
 * the stored record has a greater epoch, or has seen a greater one.
 */
int cw_role_save(int dirfd, const struct cw_role *role,
    const struct cw_minisign_secret *secret, struct cw_error *err);

/* Frees what it holds; role is empty afterwards. */
void cw_role_free(struct cw_role *role);

/*
 * The same for a store of a home: the start comes from configuration and
 * catalog.  A store without a catalog, received or scanned: CW_ERR_MISSING.
 * c is an open catalog of the store, or NULL: it is opened to be read.
 */
int cw_home_role(const struct cw_home *home,
    const struct cw_config_store *store, struct cw_catalog *c,
    struct cw_role *role, struct cw_error *err);

/*
 * Saves the record, then makes the catalog follow: its note "role" and its
 * epoch.  A crash between them is mended by the next cw_home_role_settle.  c:
 * an open catalog for writing without a transaction, or NULL.
 */
int cw_home_role_save(const struct cw_home *home,
    const struct cw_config_store *store, struct cw_catalog *c,
    const struct cw_role *role, const struct cw_minisign_secret *secret,
    struct cw_error *err);

/* Makes the catalog say what the record says; no change where it does. */
int cw_home_role_settle(const struct cw_home *home,
    const struct cw_config_store *store, struct cw_catalog *c,
    const struct cw_role *role, struct cw_error *err);

/*
 * Changes.  Each leaves *role untouched when it fails.
 */

/*
 * This site becomes the active one, beginning epoch max(epoch, seen) + 1 at
 * `generation`, its own last one.  Drops a pending hand-over, the moving state
 * and the fork.  By failover an active site may be promoted too: that is how a
 * human ends a split brain.  Else CW_ERR_REFUSED for an active one.
 */
int cw_role_promote(struct cw_role *role, enum cw_epoch_kind kind,
    uint64_t generation, const struct cw_minisign_secret *secret,
    struct cw_error *err);

/*
 * Gives the store away: notes the pending hand-over and appends the text of
 * its signed record to `record`.  SAVE THE ROLE BEFORE SENDING IT.  Repeated
 * with the same arguments it gives the same text; with others while one is
 * pending, CW_ERR_REFUSED.  CW_ERR_REFUSED unless active.  From now on the
 * gate is shut here; the site stays "active" in name until cw_role_supersede
 * tells that the other one took over (then it is standby), or
 * cw_role_withdraw.
 */
int cw_role_hand_over(struct cw_role *role, const struct cw_minisign_public *to,
    uint64_t generation, const uint8_t digest[CW_STATE_SIZE],
    const struct cw_minisign_secret *secret, struct cw_buf *record,
    struct cw_error *err);

/*
 * Takes a pending hand-over back.  Only when the other site has said that it
 * did not take it and never will (it called cw_role_shun and saved): the epoch
 * that was offered counts as seen, so that it is offered to nobody again.
 */
int cw_role_withdraw(struct cw_role *role, struct cw_error *err);

/*
 * Never to accept a hand-over of this epoch or a lower one.  CW_ERR_REFUSED
 * if this site has begun it already: then it is the active one.
 */
int cw_role_shun(struct cw_role *role, uint64_t epoch, struct cw_error *err);

/*
 * Decodes a hand-over record; its signature is checked against the `from` in
 * it.  Whom to believe is the caller's to say.  history may be NULL; else it
 * must be empty and is the caller's to free (cw_epochs_free).
 */
int cw_handover_parse(const char *text, size_t len,
    uint8_t store_id[CW_STORE_ID_SIZE], struct cw_handover *handover,
    struct cw_epochs *history, struct cw_error *err);

/*
 * Takes over what a record gives to this site: role active, with the record's
 * epoch.  generation and digest are those of our own store.  The signer must
 * be one of `pinned` (CW_ERR_UNTRUSTED), the store and we the ones it names,
 * the epoch greater than any seen, generation and digest the same
 * (CW_ERR_REFUSED).  A record that was accepted before: 0, and no change.
 */
int cw_role_accept(struct cw_role *role, const char *text, size_t len,
    const struct cw_minisign_public *pinned, size_t pinned_count,
    uint64_t generation, const uint8_t digest[CW_STATE_SIZE],
    const struct cw_minisign_secret *secret, struct cw_error *err);

/*
 * What a peer's history means for us.  One that ends in a greater epoch is
 * adopted, and role->fork set: an active site becomes fenced (standby without
 * a fork, if the hand-over that it had given away is in it), a standby and a
 * fenced one stay so.  An equal end replaces what we only assumed.  A lower
 * one changes nothing.  Returns 1 if the role was changed and is to be saved,
 * 0 if not.  CW_ERR_UNTRUSTED if the last epoch was not begun by one of
 * `pinned` or us (who began it vouches for those before);
 * CW_ERR_REFUSED for split brain (see cw_role_fork).
 */
int cw_role_supersede(struct cw_role *role, const struct cw_epochs *peer,
    const struct cw_minisign_public *pinned, size_t pinned_count,
    struct cw_error *err);

/*
 * A fenced site whose store was made to follow is a standby without a fork; so
 * is a standby that was made equal.  CW_ERR_REFUSED for an active site.
 */
int cw_role_rejoin(struct cw_role *role, struct cw_error *err);

/* Says that a cutover is under way, or no more (CW_MOVING_NOT). */
void cw_role_set_moving(struct cw_role *role, enum cw_moving moving);

/*
 * A human says that this active site may serve: recorded with time and boot.
 * CW_ERR_REFUSED, with what to do instead, unless the site is active without
 * a hand-over or cutover under way.
 */
int cw_role_force(struct cw_role *role, struct cw_error *err);

/*
 * Histories on the wire: lines of text, as in the record.  Parsing checks
 * order, limits and every signature (against the site that the epoch names),
 * not who that is.  The list must be empty; free it, also after failure.
 */
void cw_epochs_format(const struct cw_epochs *history, struct cw_buf *text);
int cw_epochs_parse(const char *text, size_t len,
    const uint8_t store_id[CW_STORE_ID_SIZE], struct cw_epochs *history,
    struct cw_error *err);
void cw_epochs_free(struct cw_epochs *history);

struct cw_fork {
	/*
	 * Both sites hold the same store up to this generation: what either
	 * has beyond it, the other may never have seen.  CW_FORK_NONE: the
	 * histories are the same; 0: nothing in common is known.  (Histories 1
	 * and 1, 2 at generation 40 give 40: if the site of the shorter one
	 * has no more than 40 generations, nothing was lost.)
	 */
	uint64_t generation;
	bool own_is_superseded;	 /* the peer's epoch is greater */
	bool peer_is_superseded; /* ours is */
};

/*
 * Compares two histories of the same store.  CW_ERR_REFUSED for equal epochs
 * that were begun by different sites, or by one at different generations:
 * split brain, and the message says what to do.
 */
int cw_role_fork(const struct cw_epochs *own, const struct cw_epochs *peer,
    struct cw_fork *fork, struct cw_error *err);

#endif
