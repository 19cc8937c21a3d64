/*
 * A sync or a cutover that was typed by hand is a link of its own, beside the
 * one that the daemons keep.  While it brings the peer up to date the other one
 * holds still, so that nothing is sent twice; afterwards that goes on behind
 * what was acknowledged meanwhile.
 */
#include "site/session_impl.h"

#include "base/fs.h"
#include "store/peer.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>

static int
open_mark(struct cw_session *s, const struct slot *slot)
{
	char *name = cw_asprintf(CW_PEER_DIR "/%s.visit", s->peer->name);
	int fd;

	(void)mkdirat(slot->dirfd, CW_PEER_DIR, 0700);
	fd = openat(slot->dirfd, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	free(name);
	return fd;
}

void
session_begin_visit(struct cw_session *s, struct slot *slot)
{
	if ((s->o.channel >= 0 && !s->is_visit) || slot->visit_fd >= 0)
		return;
	slot->visit_fd = open_mark(s, slot);
	/* Shared: two visits at a time are no harm. */
	if (slot->visit_fd >= 0)
		(void)flock(slot->visit_fd, LOCK_SH | LOCK_NB);
}

static bool
is_visited(struct cw_session *s, const struct slot *slot)
{
	bool is_locked;
	int fd;

	if (slot->visit_fd >= 0 || (fd = open_mark(s, slot)) < 0)
		return false;
	is_locked = flock(fd, LOCK_EX | LOCK_NB) < 0;
	cw_close(&fd);
	return is_locked;
}

void
session_wake(struct cw_session *s, struct slot *slot, uint64_t generation)
{
	struct cw_peer peer;

	if (slot->st.source == NULL)
		return;
	if (is_visited(s, slot)) {
		slot->is_deferred = true;
		if (generation > slot->deferred)
			slot->deferred = generation;
		return;
	}
	slot->is_deferred = false;
	if (cw_peer_load(slot->dirfd, s->peer->name, &peer, NULL) == 0 &&
	    peer.has_acked)
		cw_sync_source_advance(slot->st.source, peer.acked_generation);
	cw_sync_source_wake(slot->st.source, generation);
}

void
session_wake_deferred(struct cw_session *s)
{
	for (size_t i = 0; i < s->slot_count; i++)
		if (s->slots[i].is_deferred)
			session_wake(s, &s->slots[i], s->slots[i].deferred);
}
