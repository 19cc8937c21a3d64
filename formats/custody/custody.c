#include "formats/custody/custody.h"

#include "base/bytes.h"
#include "base/percent.h"
#include "base/crypto.h"
#include "base/text.h"
#include "formats/manifest/lines.h"

#include <stdlib.h>
#include <string.h>

#define HEADER	      "causeway-custody 1 "
#define HEADER_SIZE   (sizeof(HEADER) - 1 + 2 * CW_SEED_ID_SIZE + 1)
#define DOMAIN	      "causeway-custody-1\n" /* before what is signed */
#define SIGNATURE_LEN CW_BASE64_LEN(CW_ED25519_SIGNATURE_SIZE)

static const char *const kinds[] = {
    [CW_CUSTODY_SEALED] = "sealed",
    [CW_CUSTODY_CLOSED] = "closed",
    [CW_CUSTODY_HANDED_OVER] = "handed-over",
    [CW_CUSTODY_RECEIVED] = "received",
    [CW_CUSTODY_VERIFIED] = "verified",
    [CW_CUSTODY_IMPORTED] = "imported",
    [CW_CUSTODY_RELEASED] = "released",
    [CW_CUSTODY_ERASED] = "erased",
    [CW_CUSTODY_NOTE] = "note",
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

const char *
cw_custody_kind_name(enum cw_custody_kind kind)
{
	return kinds[kind];
}

bool
cw_custody_kind_parse(const char *text, size_t len, enum cw_custody_kind *kind)
{
	for (size_t i = 0; i < KINDS; i++) {
		if (strlen(kinds[i]) == len &&
		    memcmp(kinds[i], text, len) == 0) {
			*kind = (enum cw_custody_kind)i;
			return true;
		}
	}
	return false;
}

void
cw_custody_free(struct cw_custody *log)
{
	free(log->events);
	*log = (struct cw_custody)CW_CUSTODY_INIT;
}

static bool
parse_note(const char *text, size_t len, char note[CW_CUSTODY_NOTE_MAX + 1])
{
	char *bytes = cw_percent_take(text, len, true);
	size_t n = bytes == NULL ? 0 : strlen(bytes);
	bool is_note = bytes != NULL && n <= CW_CUSTODY_NOTE_MAX;

	if (is_note)
		memcpy(note, bytes, n + 1);
	free(bytes);
	return is_note;
}

/* What a signature is over: the domain, then the line up to its last space. */
static void
signed_bytes(struct cw_buf *buf, const char *line, size_t len)
{
	cw_buf_text(buf, DOMAIN);
	cw_buf_append(buf, line, len);
}

static bool
signature_holds(const struct cw_minisign_public *signer, const char *line,
    size_t len, const char *base64)
{
	uint8_t sig[CW_ED25519_SIGNATURE_SIZE + 3];
	struct cw_buf message = CW_BUF_INIT;
	size_t got = 0;
	bool holds;

	if (!cw_base64_decode(base64, SIGNATURE_LEN, true, sig, &got) ||
	    got != CW_ED25519_SIGNATURE_SIZE)
		return false;
	signed_bytes(&message, line, len);
	holds =
	    cw_ed25519_verify(signer->point, message.data, message.len, sig);
	cw_buf_free(&message);
	return holds;
}

static int
take_header(
    struct cw_lines *lines, struct cw_custody *log, struct cw_error *err)
{
	uint8_t seed_id[CW_SEED_ID_SIZE];
	const char *seed;
	uint64_t version;
	size_t len;

	if (cw_lines_take(lines, "causeway-custody", err) < 0 ||
	    cw_lines_word_number(lines, 0, UINT32_MAX, &version, err) < 0)
		return -1;
	if (version != 1)
		return cw_error_set(err, CW_ERR_UNSUPPORTED,
		    "custody log is of version %llu, expected 1",
		    (unsigned long long)version);
	if (cw_lines_word(lines, &seed, &len, err) < 0)
		return -1;
	if (lines->value != NULL ||
	    !cw_hex_decode(seed, len, seed_id, sizeof(seed_id)))
		return cw_lines_error(lines, err,
		    "expected a seed id of %u digits", 2 * CW_SEED_ID_SIZE);
	memcpy(log->seed_id, seed_id, sizeof(seed_id));
	return 0;
}

/* The fields of a line in lines->value, without its signature. */
static int
take_fields(struct cw_lines *lines, struct cw_custody_event *event,
    uint8_t previous[CW_SHA256_SIZE], struct cw_error *err)
{
	const char *hash, *time, *kind, *site, *key;
	size_t hash_len, time_len, kind_len, site_len, key_len;

	if (cw_lines_word_number(
		lines, 1, CW_CUSTODY_EVENTS_MAX, &event->sequence, err) < 0 ||
	    cw_lines_word(lines, &hash, &hash_len, err) < 0 ||
	    cw_lines_word(lines, &time, &time_len, err) < 0 ||
	    cw_lines_word(lines, &kind, &kind_len, err) < 0 ||
	    cw_lines_word(lines, &site, &site_len, err) < 0 ||
	    cw_lines_word(lines, &key, &key_len, err) < 0)
		return -1;
	if (!cw_hex_decode(hash, hash_len, previous, CW_SHA256_SIZE))
		return cw_lines_error(
		    lines, err, "expected the hash of the line before");
	if (!cw_time_parse(time, time_len, &event->time))
		return cw_lines_error(
		    lines, err, "expected a time like 2026-11-22T12:00:00Z");
	if (!cw_custody_kind_parse(kind, kind_len, &event->kind))
		return cw_lines_error(lines, err, "no such kind of event");
	if (!cw_card_name_is_valid(site, site_len))
		return cw_lines_error(lines, err, "no valid name of a site");
	memcpy(event->site, site, site_len);
	if (key_len != CW_MINISIGN_BASE64_SIZE - 1 ||
	    cw_minisign_public_parse(key, key_len, &event->signer, NULL) < 0)
		return cw_lines_error(
		    lines, err, "no valid minisign public key");
	if (lines->value == NULL ||
	    !parse_note(lines->value, lines->value_len, event->note))
		return cw_lines_error(lines, err, "no valid note");
	return 0;
}

/* Takes an event; previous is the hash of the line before it. */
static int
take_event(struct cw_lines *lines, size_t sequence,
    const uint8_t previous[CW_SHA256_SIZE], struct cw_custody_event *event,
    struct cw_error *err)
{
	uint8_t hash[CW_SHA256_SIZE];
	const char *line;
	size_t len;

	if (cw_lines_next(lines, err) < 0)
		return -1;
	if (sequence > CW_CUSTODY_EVENTS_MAX)
		return cw_lines_error(
		    lines, err, "more than %u events", CW_CUSTODY_EVENTS_MAX);
	line = lines->value;
	if (lines->value_len >= CW_CUSTODY_LINE_MAX)
		return cw_lines_error(
		    lines, err, "line is over %u bytes", CW_CUSTODY_LINE_MAX);
	if (lines->value_len <= SIGNATURE_LEN ||
	    line[lines->value_len - SIGNATURE_LEN - 1] != ' ')
		return cw_lines_error(lines, err, "no signature at its end");
	len = lines->value_len - SIGNATURE_LEN - 1;
	lines->value_len = len;
	if (take_fields(lines, event, hash, err) < 0)
		return -1;
	if (event->sequence != sequence)
		return cw_error_set(err, CW_ERR_UNTRUSTED,
		    "custody log, line %zu: event %llu, expected %zu",
		    lines->number, (unsigned long long)event->sequence,
		    sequence);
	if (memcmp(hash, previous, sizeof(hash)) != 0)
		return cw_error_set(err, CW_ERR_UNTRUSTED,
		    "custody log, line %zu: it does not follow the line "
		    "before it",
		    lines->number);
	if (!signature_holds(&event->signer, line, len, line + len + 1))
		return cw_error_set(err, CW_ERR_UNTRUSTED,
		    "custody log, line %zu: its signature is wrong",
		    lines->number);
	return 0;
}

static void
add_event(struct cw_custody *log, const struct cw_custody_event *event)
{
	size_t count = log->event_count;

	/* Doubles at each power of two; at most CW_CUSTODY_EVENTS_MAX. */
	if ((count & (count - 1)) == 0)
		log->events = cw_reallocarray(log->events,
		    count == 0 ? 1 : 2 * count, sizeof(*log->events));
	log->events[log->event_count++] = *event;
}

/* Whether a whole line is still to be read. */
static bool
has_line(const struct cw_lines *lines)
{
	return lines->len > 0 && memchr(lines->at, '\n', lines->len) != NULL;
}

/* Decodes; last is the hash of the last good line. */
static int
decode(const char *text, size_t len, struct cw_custody *log,
    uint8_t last[CW_SHA256_SIZE], struct cw_error *err)
{
	struct cw_lines lines;

	if (len > CW_CUSTODY_TEXT_MAX)
		return cw_error_set(err, CW_ERR_FORMAT,
		    "custody log is %zu bytes, expected at most %u", len,
		    CW_CUSTODY_TEXT_MAX);
	cw_lines_begin(&lines, "custody log", text, len);
	while (has_line(&lines)) {
		struct cw_custody_event event = {.sequence = 0};
		size_t start = log->whole_len;
		int ret = lines.number == 0
			      ? take_header(&lines, log, err)
			      : take_event(&lines, log->event_count + 1, last,
				    &event, err);

		if (ret < 0) {
			log->bad_line = lines.number;
			return -1;
		}
		if (lines.number > 1)
			add_event(log, &event);
		log->whole_len = len - lines.len;
		cw_sha256(text + start, log->whole_len - start, last);
	}
	log->is_torn = lines.len > 0;
	return 0;
}

int
cw_custody_decode(
    const char *text, size_t len, struct cw_custody *log, struct cw_error *err)
{
	uint8_t last[CW_SHA256_SIZE];

	return decode(text, len, log, last, err);
}

/* What an event must be to be written. */
static int
check_event(const struct cw_custody_event *event, struct cw_error *err)
{
	char time[CW_TIME_TEXT];
	int64_t again;

	cw_time_format(event->time, time);
	if (!cw_time_parse(time, strlen(time), &again) || again != event->time)
		return cw_error_set(
		    err, CW_ERR_USAGE, "time of a custody event out of range");
	if ((size_t)event->kind >= KINDS)
		return cw_error_set(
		    err, CW_ERR_USAGE, "no such kind of custody event");
	if (!cw_card_name_is_valid(
		event->site, strnlen(event->site, sizeof(event->site))))
		return cw_error_set(err, CW_ERR_USAGE,
		    "site of a custody event has no valid name");
	if (strnlen(event->note, sizeof(event->note)) > CW_CUSTODY_NOTE_MAX)
		return cw_error_set(err, CW_ERR_USAGE, "note is over %u bytes",
		    CW_CUSTODY_NOTE_MAX);
	return 0;
}

/* Appends a line with its signature. */
static int
put_event(const struct cw_custody_event *event, size_t sequence,
    const uint8_t previous[CW_SHA256_SIZE],
    const struct cw_minisign_secret *secret, struct cw_buf *more,
    struct cw_error *err)
{
	char hash[2 * CW_SHA256_SIZE + 1], time[CW_TIME_TEXT];
	char key[CW_MINISIGN_BASE64_SIZE], base64[SIGNATURE_LEN + 1];
	uint8_t sig[CW_ED25519_SIGNATURE_SIZE];
	struct cw_buf line = CW_BUF_INIT, message = CW_BUF_INIT;
	struct cw_minisign_public signer;
	int ret = -1;

	cw_minisign_secret_public(secret, &signer);
	cw_minisign_public_base64(&signer, key);
	cw_hex_encode(previous, CW_SHA256_SIZE, hash);
	cw_time_format(event->time, time);
	cw_buf_printf(&line, "%zu %s %s %s %s %s ", sequence, hash, time,
	    kinds[event->kind], event->site, key);
	cw_percent_put(&line, event->note, true);
	signed_bytes(&message, (const char *)line.data, line.len);
	if (cw_ed25519_sign(secret, message.data, message.len, sig, err) < 0)
		goto out;
	cw_base64_encode(sig, sizeof(sig), true, base64);
	cw_buf_append(more, line.data, line.len);
	cw_buf_printf(more, " %s\n", base64);
	ret = 0;
out:
	cw_buf_free(&message);
	cw_buf_free(&line);
	return ret;
}

/* What a log must be to be added to. */
static int
check_log(const struct cw_custody *log, size_t len,
    const uint8_t seed_id[CW_SEED_ID_SIZE], struct cw_error *err)
{
	if (log->is_torn)
		return cw_error_set(err, CW_ERR_DAMAGED,
		    "custody log has %zu bytes of an unfinished line at its "
		    "end",
		    len - log->whole_len);
	if (len != 0 && memcmp(log->seed_id, seed_id, CW_SEED_ID_SIZE) != 0) {
		char found[2 * CW_SEED_ID_SIZE + 1];
		char expected[2 * CW_SEED_ID_SIZE + 1];

		cw_hex_encode(log->seed_id, CW_SEED_ID_SIZE, found);
		cw_hex_encode(seed_id, CW_SEED_ID_SIZE, expected);
		return cw_error_set(err, CW_ERR_REFUSED,
		    "custody log is of seed %s, expected %s", found, expected);
	}
	if (log->event_count >= CW_CUSTODY_EVENTS_MAX ||
	    len > CW_CUSTODY_TEXT_MAX - HEADER_SIZE - CW_CUSTODY_LINE_MAX)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "custody log is full: %zu events, %zu bytes",
		    log->event_count, len);
	return 0;
}

int
cw_custody_append(const char *text, size_t len,
    const uint8_t seed_id[CW_SEED_ID_SIZE],
    const struct cw_custody_event *event,
    const struct cw_minisign_secret *secret, struct cw_buf *more,
    struct cw_error *err)
{
	struct cw_custody log = CW_CUSTODY_INIT;
	uint8_t last[CW_SHA256_SIZE];
	size_t start = more->len;
	int ret = -1;

	if (check_event(event, err) < 0 ||
	    decode(text, len, &log, last, err) < 0 ||
	    check_log(&log, len, seed_id, err) < 0)
		goto out;
	if (len == 0) {
		char id[2 * CW_SEED_ID_SIZE + 1];

		cw_hex_encode(seed_id, CW_SEED_ID_SIZE, id);
		cw_buf_printf(more, HEADER "%s\n", id);
		cw_sha256(more->data + start, more->len - start, last);
	}
	ret = put_event(event, log.event_count + 1, last, secret, more, err);
	if (ret < 0)
		more->len = start;
out:
	cw_custody_free(&log);
	return ret;
}
