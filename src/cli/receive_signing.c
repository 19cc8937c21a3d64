#include "cli/receive_signing.h"

#include "cli/output.h"
#include "cli/receive_report.h"
#include "seed/custody_file.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

static int
open_signing(struct cw_receive_signing *s, struct cw_error *err)
{
	if (s->secret != NULL)
		return 0;
	if (cw_identity_card(s->cli->home->state_fd, &s->own, err) < 0)
		return -1;
	return cw_cli_signing_key(s->cli, &s->secret, err);
}

/* An event on every medium that can be written to. */
static void
write_custody(
    struct cw_receive_signing *s, enum cw_custody_kind kind, const char *note)
{
	struct cw_error err = CW_ERROR_INIT;

	for (size_t i = 0; i < s->set->count; i++) {
		int fd = s->set->media[i].dirfd;

		if (faccessat(fd, ".", W_OK, AT_EACCESS) == 0 &&
		    cw_custody_file_append(fd, s->set->seed_id, kind, note,
			s->own.name, s->secret, &err) < 0)
			cw_cli_warn(s->cli, "%s: no event in the log: %s",
			    s->set->media[i].path, err.message);
	}
}

void
cw_receive_note_received(struct cw_receive_signing *s)
{
	struct cw_error err = CW_ERROR_INIT;

	if (!s->set->is_trusted)
		return;
	if (open_signing(s, &err) < 0) {
		cw_cli_warn(s->cli,
		    "that they arrived is not in the media's "
		    "logs: %s",
		    err.message);
		return;
	}
	for (size_t i = 0; i < s->set->count; i++) {
		int fd = s->set->media[i].dirfd;

		if (faccessat(fd, ".", W_OK, AT_EACCESS) == 0 &&
		    cw_custody_file_append_once(fd, s->set->seed_id,
			CW_CUSTODY_RECEIVED, NULL, s->own.name, s->secret,
			&err) < 0)
			cw_cli_warn(s->cli, "%s: no event in the log: %s",
			    s->set->media[i].path, err.message);
	}
}

int
cw_receive_begin_consume(void *arg, struct cw_error *err)
{
	if (open_signing(arg, err) < 0)
		return cw_error_context(
		    err, "nothing is deleted before the seed's log says so");
	write_custody(arg, CW_CUSTODY_ERASED,
	    "receive --consume: volumes are deleted as they are imported");
	return 0;
}

bool
cw_receive_sign_import(struct cw_receive_signing *s,
    const struct cw_import_result *r, char line[CW_RECEIPT_TEXT_SIZE])
{
	struct cw_error err = CW_ERROR_INIT;
	char note[96];

	if (open_signing(s, &err) < 0) {
		cw_cli_warn(s->cli,
		    "the import is not in the seed's log, and there is no "
		    "receipt: %s",
		    err.message);
		return false;
	}
	(void)snprintf(note, sizeof(note),
	    "generation %" PRIu64 ", %" PRIu64 " files wanted", r->generation,
	    r->wanted);
	if (!r->is_repeated)
		write_custody(s, CW_CUSTODY_IMPORTED, note);
	if (cw_receipts_make(s->cli->home, s->secret, s->set,
		cw_receive_is_whole(r) ? r->digest : NULL, r->wanted, line,
		&err) < 0) {
		cw_cli_warn(s->cli, "there is no receipt: %s", err.message);
		return false;
	}
	return true;
}
