#include "seed/custody_file.h"

#include "base/fs.h"
#include "media/set.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The text of the log; no file is an empty one. */
static int
read_text(int dirfd, struct cw_buf *text, struct cw_error *err)
{
	struct cw_error why = CW_ERROR_INIT;

	if (cw_set_read_file(
		dirfd, CW_SET_CUSTODY, CW_CUSTODY_TEXT_MAX, text, &why) == 0 ||
	    why.code == CW_ERR_MISSING)
		return 0;
	if (err != NULL)
		*err = why;
	return -1;
}

/* Decodes a log, and sees to it that it is of this seed. */
static int
decode(const struct cw_buf *text, const uint8_t seed_id[CW_SEED_ID_SIZE],
    struct cw_custody *log, struct cw_error *err)
{
	if (cw_custody_decode((const char *)text->data, text->len, log, err) <
	    0)
		return -1;
	if (log->whole_len > 0 &&
	    memcmp(log->seed_id, seed_id, CW_SEED_ID_SIZE) != 0)
		return cw_error_set(err, CW_ERR_UNTRUSTED,
		    "%s is the log of another seed", CW_SET_CUSTODY);
	return 0;
}

int
cw_custody_file_read(int dirfd, const uint8_t seed_id[CW_SEED_ID_SIZE],
    struct cw_custody *log, struct cw_error *err)
{
	struct cw_buf text = CW_BUF_INIT;
	int ret;

	ret = read_text(dirfd, &text, err);
	if (ret == 0)
		ret = decode(&text, seed_id, log, err);
	cw_buf_free(&text);
	return ret;
}

int
cw_custody_file_append(int dirfd, const uint8_t seed_id[CW_SEED_ID_SIZE],
    enum cw_custody_kind kind, const char *note, const char *site,
    const struct cw_minisign_secret *secret, struct cw_error *err)
{
	struct cw_custody_event event = {.kind = kind, .time = time(NULL)};
	struct cw_custody log = CW_CUSTODY_INIT;
	struct cw_buf text = CW_BUF_INIT, more = CW_BUF_INIT;
	int ret = -1;

	if (note != NULL && strlen(note) > CW_CUSTODY_NOTE_MAX)
		return cw_error_set(err, CW_ERR_USAGE,
		    "the note is %zu bytes, at most %u go into the log",
		    strlen(note), CW_CUSTODY_NOTE_MAX);
	snprintf(
	    event.note, sizeof(event.note), "%s", note == NULL ? "" : note);
	snprintf(event.site, sizeof(event.site), "%s", site);
	if (read_text(dirfd, &text, err) < 0)
		goto out;
	if (decode(&text, seed_id, &log, err) < 0) {
		cw_error_context(err, "the log is wrong and stays as it is");
		goto out;
	}
	text.len = log.whole_len;
	if (cw_custody_append((const char *)text.data, text.len, seed_id,
		&event, secret, &more, err) < 0)
		goto out;
	cw_buf_append(&text, more.data, more.len);
	ret =
	    cw_save_file(dirfd, CW_SET_CUSTODY, text.data, text.len, 0644, err);
out:
	cw_custody_free(&log);
	cw_buf_free(&text);
	cw_buf_free(&more);
	return ret;
}

int
cw_custody_file_append_once(int dirfd, const uint8_t seed_id[CW_SEED_ID_SIZE],
    enum cw_custody_kind kind, const char *note, const char *site,
    const struct cw_minisign_secret *secret, struct cw_error *err)
{
	struct cw_custody log = CW_CUSTODY_INIT;
	struct cw_minisign_public own;
	bool is_there = false;
	int ret = cw_custody_file_read(dirfd, seed_id, &log, err);

	cw_minisign_secret_public(secret, &own);
	for (size_t i = 0; i < log.event_count; i++)
		if (log.events[i].kind == kind &&
		    cw_minisign_public_equal(&log.events[i].signer, &own))
			is_there = true;
	cw_custody_free(&log);
	if (ret < 0)
		return cw_error_context(
		    err, "the log is wrong and stays as it is");
	return is_there ? 0
			: cw_custody_file_append(dirfd, seed_id, kind, note,
			      site, secret, err);
}
