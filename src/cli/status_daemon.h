/*
 * What `status` says of the daemon: its links, and what is under way.
 */
#ifndef CW_CLI_STATUS_DAEMON_H
#define CW_CLI_STATUS_DAEMON_H

#include <jansson.h>

/* As the daemon told it (daemon_status.c); NULL: it does not run. */
void cw_status_daemon_print(const json_t *daemon);

#endif
