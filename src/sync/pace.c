#include "sync/pace.h"

#include "base/clock.h"

#define LOOK_EVERY (16u << 20) /* bytes */
/*
 * Small amounts are always compressed: they are what crosses slow lines every
 * day, and they cost no time worth saving.
 */
#define FREE_BYTES (64u << 20)
#define LEVEL_MAX  6
/*
 * Bytes a second.  A slower line may also find the peer's window full, because
 * it is long: then the line is what we wait for.
 */
#define FAST_LINE (32u << 20)

void
cw_pace_init(struct cw_pace *p)
{
	*p =
	    (struct cw_pace){.level = CW_PACE_LEVEL, .since_ns = cw_clock_ns()};
}

void
cw_pace_sent(struct cw_pace *p, const struct cw_link *l, uint64_t bytes)
{
	struct cw_link_stats stats;
	int64_t now, took;
	uint64_t blocked, peer, sent;

	p->bytes += bytes;
	p->total += bytes;
	if (p->bytes < LOOK_EVERY)
		return;
	cw_link_stats(l, &stats);
	now = cw_clock_ns();
	took = now - p->since_ns;
	blocked = stats.blocked_ns - p->blocked_ns;
	peer = stats.peer_ns - p->peer_ns;
	sent = stats.bytes_sent - p->sent;
	if (sent >= (uint64_t)(took / 1000000) * FAST_LINE / 1000)
		blocked = blocked > peer ? blocked - peer : 0;
	if (p->total >= FREE_BYTES && took > 0) {
		if (blocked < (uint64_t)took / 4 && p->level > 0)
			p->level = p->level > 1 ? 1 : 0;
		else if (blocked > (uint64_t)took / 4 * 3 &&
			 p->level < LEVEL_MAX)
			p->level++;
	}
	p->bytes = 0;
	p->since_ns = now;
	p->blocked_ns = stats.blocked_ns;
	p->peer_ns = stats.peer_ns;
	p->sent = stats.bytes_sent;
}
