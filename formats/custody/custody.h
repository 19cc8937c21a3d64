/*
 * Custody: the log of what happened to a seed, on its medium: who sealed,
 * handed over, received, imported it.  Each event is signed and holds the
 * hash of the line before it, so that no event can be changed, put in or
 * taken out of the middle.  Normative: formats/custody/SPEC.md.
 *
 * A thief may cut events off the end: a log proves what it holds, not that it
 * is whole.  Whether a signer is to be believed is the caller's to say.
 */
#ifndef CW_FORMATS_CUSTODY_CUSTODY_H
#define CW_FORMATS_CUSTODY_CUSTODY_H

#include "base/buf.h"
#include "base/error.h"
#include "formats/card/card.h"
#include "formats/manifest/manifest.h"
#include "formats/minisign/minisign.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CW_CUSTODY_NOTE_MAX   512u /* bytes before escaping */
#define CW_CUSTODY_EVENTS_MAX 4096u
#define CW_CUSTODY_LINE_MAX   2048u /* bytes with the newline */
#define CW_CUSTODY_TEXT_MAX   (4u << 20)

enum cw_custody_kind {
	CW_CUSTODY_SEALED,
	CW_CUSTODY_CLOSED,
	CW_CUSTODY_HANDED_OVER,
	CW_CUSTODY_RECEIVED,
	CW_CUSTODY_VERIFIED,
	CW_CUSTODY_IMPORTED,
	CW_CUSTODY_RELEASED,
	CW_CUSTODY_ERASED,
	CW_CUSTODY_NOTE,
};

struct cw_custody_event {
	uint64_t sequence; /* counts from 1 */
	int64_t time;	   /* seconds since 1970, UTC, by the signer's clock */
	enum cw_custody_kind kind;
	char site[CW_CARD_NAME_MAX + 1]; /* the name the signer goes by */
	struct cw_minisign_public signer;
	char note[CW_CUSTODY_NOTE_MAX + 1]; /* any bytes: quote before print */
};

struct cw_custody {
	uint8_t seed_id[CW_SEED_ID_SIZE]; /* zeros if whole_len is 0 */
	struct cw_custody_event *events;  /* verified, in order */
	size_t event_count;
	size_t whole_len; /* bytes of the header and these events */
	bool is_torn;	  /* bytes without a newline follow: cut them */
	size_t bad_line;  /* first line that is wrong, from 1; 0: none */
};

#define CW_CUSTODY_INIT                                                        \
	{                                                                      \
		.events = NULL                                                 \
	}

/* "handed-over" and its like, as in the log. */
const char *cw_custody_kind_name(enum cw_custody_kind kind);
bool cw_custody_kind_parse(
    const char *text, size_t len, enum cw_custody_kind *kind);

/*
 * Decodes a log into *log, which must be empty, verifying chain and
 * signatures.  An empty text is a log that has not begun.  A last line
 * without newline is torn, not wrong: success, with is_torn set and whole_len
 * saying where to cut.
 *
 * Failure is CW_ERR_FORMAT, CW_ERR_UNSUPPORTED (newer version) or
 * CW_ERR_UNTRUSTED (chain or signature); *log then holds the good events
 * before bad_line, and is to be freed as after success.
 */
int cw_custody_decode(
    const char *text, size_t len, struct cw_custody *log, struct cw_error *err);

/*
 * Appends to `more` what has to be written behind the log `text` to add an
 * event: its line, and the header before it if the log is empty.  Of event,
 * time, kind, site and note are used; sequence and signer follow from the log
 * and the secret.
 *
 * text is verified whole: a log that is wrong, torn (CW_ERR_DAMAGED) or of
 * another seed (CW_ERR_REFUSED) is not added to.  Failure leaves `more`
 * untouched.
 */
int cw_custody_append(const char *text, size_t len,
    const uint8_t seed_id[CW_SEED_ID_SIZE],
    const struct cw_custody_event *event,
    const struct cw_minisign_secret *secret, struct cw_buf *more,
    struct cw_error *err);

/* Frees the events; log is empty and usable again. */
void cw_custody_free(struct cw_custody *log);

#endif
