/*
 * Receiving an increment: its changes go the way that those of a sync go.
 * They are collected in `incoming`, contents that are nowhere at home come
 * from the volumes into staging, and cw_apply makes tree and catalog what they
 * say.  An interruption at any point costs what was in progress.
 *
 * What could not be had (a medium that is not here, damage beyond parity) does
 * not stop the rest: those files stand in the catalog alone and are wanted,
 * from another medium by the same command, or from the link by the next sync.
 */
#ifndef CW_SEED_IMPORT_INCREMENT_H
#define CW_SEED_IMPORT_INCREMENT_H

#include "replica/replica.h"
#include "seed/import_impl.h"

/*
 * For cw_import, of a set that is trusted.  CW_ERR_REFUSED: the replica is not
 * here, not a standby, or older than the increment's base; CW_ERR_UNTRUSTED:
 * it follows a later epoch.  A replica that is as far already: no change.
 */
int import_increment(struct import *im, struct cw_error *err);

/* What import_increment.c and import_increment_volumes.c share. */
struct increment {
	struct import *im;
	struct cw_catalog *c; /* the increment's; with an index of contents */
	struct cw_replica *replica;
};

/*
 * Brings what incoming wants from the volumes into staging, as far as it is
 * in them and they can be read or rebuilt; tells faults, and absent media.
 */
int import_increment_contents(struct increment *inc, struct cw_error *err);

#endif
