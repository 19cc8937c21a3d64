/*
 * The inside of a session, shared by session.c (frames), session_stores.c (our
 * stores), session_hello.c (who is who), session_meet.c (whose epoch is
 * greater), session_order.c (orders).
 */
#ifndef CW_SITE_SESSION_IMPL_H
#define CW_SITE_SESSION_IMPL_H

#include "site/session.h"

#include <pthread.h>

/*
 * Epochs rise one by one: those of cutovers that may have passed us by.  One
 * that is further away would only use them up, so that none were left for a
 * failover.
 */
#define EPOCHS_AHEAD UINT64_C(1000000)

/* Holds translations of addresses open, and tells that we live. */
#define SESSION_PING_MS 20000

struct slot {
	struct cw_session_store st; /* first: a session_store is its slot */
	struct cw_place_root *roots;
	size_t root_count;
	char *dir; /* STATE/stores/NAME */
	char *catalog_path;
	int dirfd;
	int lock_fd;
	unsigned lock_depth;
	bool is_left;	  /* it stands still: frames about it are void */
	bool is_polling;  /* the daemon was asked for a generation */
	int visit_fd;	  /* locked while a visit brings the peer up to date */
	bool is_deferred; /* a wake that waits for the end of a visit */
	uint64_t deferred;
	uint64_t role_ino; /* of the record as it was at HELLO, 0: none */
	int64_t role_ctime_ns;
	uint64_t noted_rows; /* in STORE_DIR/behind */
	struct cw_session *session;
};

/* An order of the peer that waits for the daemon's scan. */
struct waiting {
	struct waiting *next;
	uint32_t id;
	struct slot *slot;
};

struct cw_session {
	struct cw_session_options o;
	struct cw_carrier carrier;
	struct cw_link *link;
	const struct cw_config_peer *peer;
	struct cw_wire_reader *reader;
	struct cw_wire_writer *writer;
	struct slot *slots;
	size_t slot_count;
	int64_t clock_offset_ms;
	int64_t sent_ms, heard_noted_ms, looked_ms, behind_ms;
	bool has_stop;	/* the daemon says so */
	bool is_over;	/* BYE came */
	bool is_visit;	/* the peer came for one errand */
	bool is_server; /* we were called */

	/* While we do something that takes its time; see session_busy.c. */
	unsigned busy_depth;
	bool has_pinger;
	pthread_t pinger;
	int pinger_stop;	 /* an eventfd */
	pthread_mutex_t sending; /* frames of session_send */
	int64_t listened_ms;	 /* the end of what kept us from listening */

	uint32_t next_order;
	uint32_t awaited; /* the order whose reply we serve for, 0: none */
	bool has_reply;
	struct cw_error reply_error;
	int reply_status;
	struct cw_session_args *reply;

	cw_session_answer *answer;
	void *answer_arg;
	bool is_answering;
	uint32_t answering; /* id of the order, for reports */
	struct waiting *waiting;
	size_t waiting_count;
};

/*
 * May be called by the pinger as well, while the session is busy: then nothing
 * else is sent than by this.
 */
int session_send(struct cw_session *s, enum cw_frame_type type,
    const ProtobufCMessage *m, struct cw_error *err);
void session_event(struct cw_session *s, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Of the wall; what only has to pass is measured by cw_clock_ms. */
int64_t session_clock_ms(void);

/*
 * The source has something new, unless a visit brings it to the peer just now:
 * then as soon as that has ended.
 */
void session_wake(struct cw_session *s, struct slot *slot, uint64_t generation);
void session_wake_deferred(struct cw_session *s);
/* Tells the standing link that this visit does the work. */
void session_begin_visit(struct cw_session *s, struct slot *slot);

/* Which record of the role is there now; true if it is the one of HELLO. */
bool session_look_at_role(struct slot *slot, bool remember);

int session_open_stores(struct cw_session *s, struct cw_error *err);
int session_hello(struct cw_session *s, struct cw_error *err);
/*
 * Takes note of a store of the peer, its number-th; one that is not ours as
 * well is passed over.  A greater epoch of the peer's is taken over, and
 * fences us where we were active.  A store that must not be shared is left
 * out, with an event; that fails the session only if it is for this store.
 */
int session_meet(struct cw_session *s, const Cw__Store *theirs, uint32_t number,
    struct cw_error *err);
void session_close_store(struct slot *slot);
/* The fence hook, if it is owed since another site took over. */
void session_fence_owed(struct cw_session *s, struct slot *slot);
/* What we are to the peer: a store that was given away counts as fenced. */
Cw__Role session_role(const struct slot *slot);
struct slot *session_slot(struct cw_session *s, struct cw_session_store *st);

int session_lock(void *arg, bool take, struct cw_error *err);
/* Not while who opened the session holds it, and scans. */
int session_lock_alone(struct slot *slot, bool take, struct cw_error *err);
int session_take_order(
    struct cw_session *s, const Cw__Order *m, struct cw_error *err);
int session_take_reply(
    struct cw_session *s, const Cw__Reply *m, struct cw_error *err);
int session_take_error(
    struct cw_session *s, const Cw__Error *m, struct cw_error *err);
int session_take_poll(
    struct cw_session *s, const Cw__Poll *m, struct cw_error *err);
/* Tells the peer; slot NULL: that it is about all stores. */
int session_say_error(struct cw_session *s, const struct slot *slot,
    const struct cw_error *failed, struct cw_error *err);
/*
 * This store stands still in this session, the others go on.  is_ours: the
 * trouble is here, and not what the peer said.
 */
void session_leave_out(
    struct cw_session *s, struct slot *slot, bool is_ours, const char *why);
/* Made equal to the active site: what went its own way has come back. */
int session_rejoin(struct slot *slot, struct cw_error *err);
/* A line from the daemon. */
int session_take_line(struct cw_session *s, char *line, struct cw_error *err);

#endif
