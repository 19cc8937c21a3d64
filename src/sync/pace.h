/*
 * How hard to compress: as hard as the line leaves time for.  While sends have
 * to wait the line is the slower part and a better level is free; when they
 * never wait, compression is what holds us up.  When they wait for a peer that
 * is slower than a fast line, nothing is gained by it either, and the peer has
 * the work of undoing it.
 */
#ifndef CW_SYNC_PACE_H
#define CW_SYNC_PACE_H

#include "sync/link.h"

#include <stdint.h>

#define CW_PACE_LEVEL 3 /* to begin with, and for small amounts */

struct cw_pace {
	int level;	/* 0: none */
	uint64_t bytes; /* since the last look */
	uint64_t total;
	int64_t since_ns;
	/* of the link, at the last look: */
	uint64_t blocked_ns;
	uint64_t peer_ns;
	uint64_t sent;
};

void cw_pace_init(struct cw_pace *p);
/* So many bytes, before compression, were given to the link. */
void cw_pace_sent(struct cw_pace *p, const struct cw_link *l, uint64_t bytes);

#endif
