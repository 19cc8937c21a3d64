/*
 * What a site knows of a peer that follows a store, or that it follows: when
 * it was heard last, what it acknowledged, which epoch it told.  One small
 * text file for each, STORE_DIR/peers/PEER, written by sessions and read by
 * status, the gate and the cutover:
 *
 *   causeway-peer 1
 *   heard SECONDS BOOTID      CLOCK_BOOTTIME, and the boot it counts from
 *   acked GENERATION DIGEST   64 hex digits
 *   epoch N                   the greatest that it told
 *
 * Each of the three lines may be missing.  It is no record of trust: the worst
 * that a lost or old one does is a gate that asks.
 */
#ifndef CW_STORE_PEER_H
#define CW_STORE_PEER_H

#include "base/error.h"
#include "store/state.h"

#include <stdbool.h>
#include <stdint.h>

#define CW_PEER_DIR	  "peers"
#define CW_BOOT_ID_SIZE	  37u /* the kernel's UUID text and a NUL */
#define CW_PEER_HEARD_MAX 60u /* seconds after which it counts as silent */

struct cw_peer {
	bool has_heard;
	uint64_t heard; /* seconds of CLOCK_BOOTTIME */
	char heard_boot[CW_BOOT_ID_SIZE];
	bool has_acked;
	uint64_t acked_generation;
	uint8_t acked_digest[CW_STATE_SIZE];
	uint64_t epoch; /* 0: not known */
};

/* The id of this boot, or "" where the kernel tells none. */
void cw_boot_id(char out[CW_BOOT_ID_SIZE]);
uint64_t cw_boot_seconds(void); /* CLOCK_BOOTTIME */

/*
 * Reads what is known of a peer.  dirfd is the store's directory.  Returns 1,
 * with *peer empty, if there is no file; CW_ERR_FORMAT for a wrong one.
 */
int cw_peer_load(
    int dirfd, const char *name, struct cw_peer *peer, struct cw_error *err);
/* Writes it durably; makes the directory peers (0700) if it is missing. */
int cw_peer_save(int dirfd, const char *name, const struct cw_peer *peer,
    struct cw_error *err);

/*
 * Notes that the peer was heard now, and nothing else.  Not synced: a crash
 * may lose it, and the boot it belongs to with it.
 */
int cw_peer_hear(
    int dirfd, const char *name, uint64_t epoch, struct cw_error *err);

/* Whether it was heard in this boot, in the last CW_PEER_HEARD_MAX seconds. */
bool cw_peer_is_heard(const struct cw_peer *peer);

#endif
