/*
 * While a hook runs or a store is scanned, nobody serves the link, and a peer
 * that hears nothing takes the line for dead.  So a thread says that we live.
 */
#include "site/session_impl.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/thread.h"

#include <poll.h>
#include <sys/eventfd.h>

static void *
keep_alive(void *arg)
{
	struct cw_session *s = arg;
	struct pollfd stop = {.fd = s->pinger_stop, .events = POLLIN};

	while (poll(&stop, 1, SESSION_PING_MS) == 0) {
		Cw__Ping ping = CW__PING__INIT;

		/* A line that is broken is found out by who uses it next. */
		if (session_send(s, CW_FRAME_PING, &ping.base, NULL) < 0)
			break;
	}
	return NULL;
}

static void
begin(struct cw_session *s)
{
	if ((s->pinger_stop = eventfd(0, EFD_CLOEXEC)) < 0)
		return;
	s->has_pinger = cw_thread_start(&s->pinger, keep_alive, s) == 0;
	if (!s->has_pinger)
		cw_close(&s->pinger_stop);
}

static void
end(struct cw_session *s)
{
	if (s->has_pinger) {
		(void)eventfd_write(s->pinger_stop, 1);
		(void)pthread_join(s->pinger, NULL);
		cw_close(&s->pinger_stop);
		s->has_pinger = false;
	}
	/* What came meanwhile lies unread. */
	s->listened_ms = cw_clock_ms();
}

void
cw_session_busy(struct cw_session *s, bool is_busy)
{
	if (is_busy && s->busy_depth++ == 0)
		begin(s);
	else if (!is_busy && --s->busy_depth == 0)
		end(s);
}
