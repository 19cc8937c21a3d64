/*
 * Applying takes its time, and the line must not die of it: the work is done
 * in a thread, while this one keeps the link alive and the frames that come.
 */
#include "sync/follower_impl.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/thread.h"

#define PING_MS	       15000
#define KEPT_BYTES_MAX (32u << 20)

struct work {
	struct cw_follower *f;
	struct cw_apply_result *result;
	struct cw_error err;
	int done_fd;
	int ret;
};

static void *
run(void *arg)
{
	struct work *w = arg;
	const struct cw_apply_options options = {
	    .diverged_epoch = w->f->o.diverged_epoch,
	    .progress = w->f->o.progress};
	const uint64_t one = 1;

	w->ret = cw_apply(&w->f->replica, &options, w->result, &w->err);
	(void)!write(w->done_fd, &one, sizeof(one));
	return NULL;
}

static int
keep_frame(struct cw_follower *f, struct cw_error *err)
{
	struct cw_frame frame;
	struct kept_frame *k;
	int got = cw_link_recv(f->o.link, 0, &frame, err);

	if (got <= 0)
		return got;
	k = cw_malloc(sizeof(*k) + frame.len);
	k->next = NULL;
	k->type = frame.type;
	k->flags = frame.flags;
	k->len = frame.len;
	memcpy(k->body, frame.body, frame.len);
	*f->kept_end = k;
	f->kept_end = &k->next;
	f->kept_bytes += k->len;
	return 0;
}

static int
wait_for(struct cw_follower *f, int done_fd, struct cw_error *err)
{
	for (;;) {
		Cw__Ping ping = CW__PING__INIT;
		bool is_full = f->kept_bytes > KEPT_BYTES_MAX;
		int got;

		got = cw_link_wait(f->o.link, done_fd, PING_MS, err);
		if (got < 0)
			return -1;
		if ((got & CW_LINK_OTHER) != 0)
			return 0;
		if (got == 0) {
			if (follower_send(f, CW_FRAME_PING, &ping.base, err) <
			    0)
				return -1;
		} else if (is_full) {
			return 0; /* it has to wait until we are done */
		} else if (keep_frame(f, err) < 0) {
			return -1;
		}
	}
}

int
follower_apply(
    struct cw_follower *f, struct cw_apply_result *result, struct cw_error *err)
{
	struct work w = {.f = f, .result = result, .err = CW_ERROR_INIT};
	struct cw_error line = CW_ERROR_INIT;
	pthread_t thread;
	int got;

	if ((w.done_fd = eventfd(0, EFD_CLOEXEC)) < 0)
		return cw_error_errno(err, "cannot make an event descriptor");
	if ((got = cw_thread_start(&thread, run, &w)) != 0) {
		cw_close(&w.done_fd);
		return cw_error_set(err, CW_ERR_FAILED,
		    "cannot start a thread: %s", strerror(got));
	}
	got = wait_for(f, w.done_fd, &line);
	/* A line that broke does not stop what needs no line. */
	(void)pthread_join(thread, NULL);
	cw_close(&w.done_fd);
	if (w.ret < 0) {
		if (err != NULL)
			*err = w.err;
		return -1;
	}
	if (got < 0 && err != NULL)
		*err = line;
	return got;
}
