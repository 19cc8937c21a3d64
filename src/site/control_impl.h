/*
 * The inside of the control socket, shared by control.c (socket and words),
 * control_request.c (what a daemon receives) and control_client.c.
 */
#ifndef CW_SITE_CONTROL_IMPL_H
#define CW_SITE_CONTROL_IMPL_H

#include "site/control.h"

#include <sys/un.h>

#ifndef CW_VERSION
#define CW_VERSION "unknown"
#endif

#define CONTROL_MAGIC "causeway"

/* What a command is told of its client's environment; the passphrase first. */
#define CONTROL_VARIABLES 3u
extern const char *const control_variables[CONTROL_VARIABLES];

/*
 * The socket's address by way of the state directory's descriptor: a path of
 * any length is as good as another.
 */
void control_address(struct sockaddr_un *address, int state_fd);

/* The texts of a datagram, one after the other. */
struct control_texts {
	const char *at, *end;
};

/* The next text; NULL at the end, or if no NUL ends it. */
const char *control_next(struct control_texts *t);
bool control_next_is(struct control_texts *t, const char *wanted);

/* Adds a text and its NUL. */
void control_add(struct cw_buf *out, const char *text);
/* Sends what was added; never waits.  -1 and errno. */
int control_send(int fd, const struct cw_buf *text);

#endif
