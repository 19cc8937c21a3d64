/* What the parts of the carriers share. */
#ifndef CW_SYNC_CARRIER_IMPL_H
#define CW_SYNC_CARRIER_IMPL_H

#include "sync/carrier.h"

/* An address, taken apart.  user and dir may be empty. */
struct cw_address {
	bool is_ssh;
	bool has_port;
	char user[64];
	char host[256];
	char port[8];
	char dir[CW_ADDRESS_MAX];
};

int cw_address_parse(
    const char *text, struct cw_address *out, struct cw_error *err);

/* ---- carrier_ssh.c ---- */

int cw_dial_ssh(const struct cw_address *a, const char *address, int limit_ms,
    const struct cw_dial_options *options, struct cw_carrier *out,
    struct cw_error *err);

#endif
