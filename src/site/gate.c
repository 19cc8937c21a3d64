#include "site/gate.h"

#include "base/fs.h"
#include "site/mark.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SERVED_MAX 256u

static void __attribute__((format(printf, 4, 5))) answer(
    struct cw_gate *gate, bool is_open, const char *why, const char *fmt, ...)
{
	va_list ap;

	gate->is_open = is_open;
	gate->why = why;
	va_start(ap, fmt);
	(void)vsnprintf(gate->reason, sizeof(gate->reason), fmt, ap);
	va_end(ap);
}

/* "boot ID epoch N", as cw_gate_note writes it. */
static void
format_served(uint64_t epoch, const char *boot, char *text, size_t size)
{
	(void)snprintf(text, size, "causeway-served 1 %s %llu\n", boot,
	    (unsigned long long)epoch);
}

/* Whether the gate was open before, in this boot and epoch. */
static bool
was_served(int dirfd, uint64_t epoch, const char *boot)
{
	struct cw_buf text = CW_BUF_INIT;
	char want[SERVED_MAX];
	bool was = false;

	format_served(epoch, boot, want, sizeof(want));
	if (boot[0] != '\0' && cw_read_file(dirfd, CW_GATE_SERVED_FILE,
				   SERVED_MAX, &text, NULL) == 0)
		was = strcmp(cw_buf_string(&text), want) == 0;
	cw_buf_free(&text);
	return was;
}

int
cw_gate_note(const struct cw_home *home, const struct cw_config_store *store,
    uint64_t epoch, struct cw_error *err)
{
	char boot[CW_BOOT_ID_SIZE], text[SERVED_MAX];
	int dir, ret = 0;

	cw_boot_id(boot);
	if (boot[0] == '\0')
		return 0;
	dir = cw_home_open_store_dir(home, store->name, err);
	if (dir < 0)
		return -1;
	if (!was_served(dir, epoch, boot)) {
		format_served(epoch, boot, text, sizeof(text));
		ret = cw_save_file(
		    dir, CW_GATE_SERVED_FILE, text, strlen(text), 0600, err);
	}
	cw_close(&dir);
	return ret;
}

/* What the peers have to do with a store. */
struct peers {
	size_t known;	/* with a file of their own */
	size_t unheard; /* of those that count */
	const char *first_unheard;
	uint64_t epoch; /* the greatest that one told */
	const char *teller;
};

/*
 * All that follow must have been heard: each of them may have taken over.
 * Where we don't know who follows (a seed was made, and nobody has called
 * yet), every paired site counts.
 */
static int
ask_peers(const struct cw_home *home, int dirfd, struct peers *peers,
    struct cw_error *err)
{
	const struct cw_config *config = &home->config;
	struct cw_peer peer;
	size_t missing = 0;
	const char *first_missing = NULL;

	memset(peers, 0, sizeof(*peers));
	for (size_t i = 0; i < config->peer_count; i++) {
		const char *name = config->peers[i].name;
		struct cw_error why = CW_ERROR_INIT;
		int found = cw_peer_load(dirfd, name, &peer, &why);

		/* A power cut may have left a file without its bytes. */
		if (found < 0 && why.code != CW_ERR_FORMAT) {
			if (err != NULL)
				*err = why;
			return -1;
		}
		if (found == 1) {
			missing++;
			first_missing = name;
			continue;
		}
		peers->known++;
		if (peer.epoch > peers->epoch) {
			peers->epoch = peer.epoch;
			peers->teller = name;
		}
		if (!cw_peer_is_heard(&peer)) {
			peers->unheard++;
			peers->first_unheard = name;
		}
	}
	if (peers->known == 0) {
		peers->unheard = missing;
		peers->first_unheard = first_missing;
	}
	return 0;
}

/* Whether somebody may have a copy of this store that could take over. */
static int
is_followed(const struct cw_home *home, const struct cw_config_store *store,
    const struct cw_role *role, const struct peers *peers, bool *is,
    struct cw_error *err)
{
	struct cw_catalog *c = NULL;

	*is = false;
	if (home->config.peer_count == 0)
		return 0;
	*is = peers->known > 0;
	for (size_t i = 0; i < role->history.count; i++)
		if (!cw_minisign_public_equal(
			&role->history.epochs[i].site, &role->site))
			*is = true;
	if (*is)
		return 0;
	if (cw_home_catalog(home, store, CW_CATALOG_READ, &c, err) < 0)
		return -1;
	*is = cw_catalog_info(c)->has_seed;
	cw_catalog_close(c);
	return 0;
}

/* What shuts the gate whatever else there is.  True: it is shut. */
static bool
is_barred(const struct cw_role *role, const char *store,
    const struct peers *peers, struct cw_gate *gate)
{
	switch (role->is) {
	case CW_ROLE_IS_STANDBY:
		answer(gate, false, "standby",
		    "this site is a standby of store %s; `causeway cutover %s` "
		    "makes it the active one",
		    store, store);
		return true;
	case CW_ROLE_IS_FENCED:
		answer(gate, false, "fenced",
		    "another site has taken over store %s in epoch %llu; this "
		    "one must rejoin first: `causeway sync %s`",
		    store, (unsigned long long)role->epoch, store);
		return true;
	case CW_ROLE_IS_ACTIVE:
		break;
	}
	if (role->has_handover) {
		answer(gate, false, "handed-over",
		    "store %s is being handed over to another site, to begin "
		    "epoch %llu; `causeway cutover %s` ends that",
		    store, (unsigned long long)role->handover.epoch, store);
		return true;
	}
	if (role->moving != CW_MOVING_NOT) {
		answer(gate, false, "moving",
		    "a cutover of store %s is under way; `causeway cutover %s` "
		    "ends it or puts it back",
		    store, store);
		return true;
	}
	if (peers->epoch > role->epoch) {
		answer(gate, false, "epoch",
		    "%s says that epoch %llu of store %s has begun, and this "
		    "site is in epoch %llu; `causeway sync %s` clears it up",
		    peers->teller, (unsigned long long)peers->epoch, store,
		    (unsigned long long)role->epoch, store);
		return true;
	}
	return false;
}

static int
decide(const struct cw_home *home, const struct cw_config_store *store,
    int dirfd, const struct cw_role *role, struct cw_gate *gate,
    struct cw_error *err)
{
	char boot[CW_BOOT_ID_SIZE];
	struct peers peers;
	bool followed;

	if (ask_peers(home, dirfd, &peers, err) < 0)
		return -1;
	if (is_barred(role, store->name, &peers, gate))
		return 0;
	if (is_followed(home, store, role, &peers, &followed, err) < 0)
		return -1;
	cw_boot_id(boot);
	if (!followed)
		answer(gate, true, "unfollowed", "nobody follows store %s",
		    store->name);
	else if (was_served(dirfd, role->epoch, boot))
		answer(gate, true, "served",
		    "store %s was active here since this boot", store->name);
	else if (boot[0] != '\0' && strcmp(boot, role->boot) == 0)
		answer(gate, true, "promoted",
		    "this site was promoted for store %s in this boot",
		    store->name);
	else if (boot[0] != '\0' && strcmp(boot, role->forced_boot) == 0)
		answer(gate, true, "forced",
		    "an operator let store %s through in this boot",
		    store->name);
	else if (cw_mark_look(dirfd, CW_MARK_SPLIT, role->epoch, NULL) != 0)
		answer(gate, false, "split",
		    "another site began epoch %llu of store %s, too.  Decide "
		    "which one is right, and run `causeway cutover %s "
		    "--primary-lost` there",
		    (unsigned long long)role->epoch, store->name, store->name);
	else if (peers.unheard == 0)
		answer(gate, true, "heard",
		    "the other site was heard, and knows of no other active "
		    "one");
	else
		answer(gate, false, "unheard",
		    "%s was not heard in the last %u seconds since this boot, "
		    "and may have taken over store %s.  Wait for the line; or, "
		    "if you know that it has not, `causeway gate %s --force`",
		    peers.first_unheard, CW_PEER_HEARD_MAX, store->name,
		    store->name);
	return 0;
}

/*
 * A store without a generation.  If another site is paired it may have one all
 * the same, since our state may have been lost.
 */
static void
decide_without_catalog(const struct cw_home *home,
    const struct cw_config_store *store, struct cw_gate *gate)
{
	if (store->follow != NULL) {
		gate->role = CW_ROLE_IS_STANDBY;
		answer(gate, false, "standby",
		    "store %s is a replica of %s, and nothing of it has "
		    "arrived yet",
		    store->name, store->follow);
	} else if (home->config.peer_count == 0) {
		gate->role = CW_ROLE_IS_ACTIVE;
		answer(gate, true, "unfollowed", "nobody follows store %s",
		    store->name);
	} else {
		gate->role = CW_ROLE_IS_ACTIVE;
		answer(gate, false, "unknown",
		    "no generation of store %s is known here, so another site "
		    "might serve it; `causeway scan %s` begins it, if it is "
		    "new",
		    store->name, store->name);
	}
}

int
cw_gate_look(const struct cw_home *home, const struct cw_config_store *store,
    struct cw_gate *gate, struct cw_error *err)
{
	struct cw_role role;
	int dir = -1, ret = -1;

	memset(gate, 0, sizeof(*gate));
	gate->why = "";
	if (!cw_home_has_catalog(home, store)) {
		decide_without_catalog(home, store, gate);
		return 0;
	}
	if (cw_home_role(home, store, NULL, &role, err) < 0)
		goto out;
	gate->role = role.is;
	gate->epoch = role.epoch;
	dir = cw_home_open_store_dir(home, store->name, err);
	if (dir < 0)
		goto out;
	ret = decide(home, store, dir, &role, gate, err);
out:
	cw_close(&dir);
	cw_role_free(&role);
	return ret;
}

int
cw_gate_force(const struct cw_home *home, const struct cw_config_store *store,
    const struct cw_minisign_secret *secret, struct cw_error *err)
{
	struct cw_role role;
	int ret = -1;

	if (cw_home_role(home, store, NULL, &role, err) == 0 &&
	    cw_role_force(&role, err) == 0)
		ret = cw_home_role_save(home, store, NULL, &role, secret, err);
	cw_role_free(&role);
	return ret;
}
