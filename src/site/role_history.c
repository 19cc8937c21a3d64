/*
 * Histories: the epochs of a store, each signed by the site that began it.
 */
#include "site/role_lines.h"
#include "site/role_text.h"

#include "base/bytes.h"

#include <stdlib.h>
#include <string.h>

#define DOMAIN "causeway-epoch-1\n"

static const char *const kinds[] = {
    [CW_EPOCH_CREATED] = "created",
    [CW_EPOCH_SWITCHOVER] = "switchover",
    [CW_EPOCH_FAILOVER] = "failover",
    [CW_EPOCH_REJOIN] = "rejoin",
};

static void
put_epoch(struct cw_buf *text, const struct cw_epoch *e)
{
	cw_buf_printf(text, "%llu %llu ", (unsigned long long)e->epoch,
	    (unsigned long long)e->generation);
	role_put_key(text, &e->site);
	cw_buf_printf(text, " %s ", kinds[e->kind]);
	role_put_time(text, e->time);
}

/* What an epoch's signature is over. */
static void
epoch_bytes(struct cw_buf *text, const uint8_t store_id[CW_STORE_ID_SIZE],
    const struct cw_epoch *e)
{
	char hex[2 * CW_STORE_ID_SIZE + 1];

	cw_hex_encode(store_id, CW_STORE_ID_SIZE, hex);
	cw_buf_printf(text, "%s ", hex);
	put_epoch(text, e);
}

int
role_epoch_sign(const uint8_t store_id[CW_STORE_ID_SIZE],
    struct cw_epoch *epoch, const struct cw_minisign_secret *secret,
    struct cw_error *err)
{
	struct cw_buf text = CW_BUF_INIT;
	int ret;

	epoch_bytes(&text, store_id, epoch);
	ret = role_sign(
	    secret, DOMAIN, text.data, text.len, epoch->signature, err);
	cw_buf_free(&text);
	return ret;
}

static bool
epoch_holds(
    const uint8_t store_id[CW_STORE_ID_SIZE], const struct cw_epoch *epoch)
{
	struct cw_buf text = CW_BUF_INIT;
	bool holds;

	epoch_bytes(&text, store_id, epoch);
	holds = role_signature_holds(
	    &epoch->site, DOMAIN, text.data, text.len, epoch->signature);
	cw_buf_free(&text);
	return holds;
}

void
cw_epochs_format(const struct cw_epochs *history, struct cw_buf *text)
{
	for (size_t i = 0; i < history->count; i++) {
		const struct cw_epoch *e = &history->epochs[i];

		put_epoch(text, e);
		cw_buf_text(text, " ");
		if (e->kind == CW_EPOCH_CREATED)
			cw_buf_text(text, ROLE_NONE);
		else
			role_put_signature(text, e->signature);
		cw_buf_text(text, "\n");
	}
}

void
cw_epochs_free(struct cw_epochs *history)
{
	free(history->epochs);
	*history = (struct cw_epochs)CW_EPOCHS_INIT;
}

void
role_history_copy(const struct cw_epochs *from, struct cw_epochs *to)
{
	to->count = from->count;
	to->epochs =
	    cw_memdup(from->epochs, from->count * sizeof(*from->epochs));
}

/* One line, whose first one may be of kind "created". */
static int
take_epoch(struct cw_lines *lines, const uint8_t store_id[CW_STORE_ID_SIZE],
    const struct cw_epoch *before, struct cw_epoch *e, struct cw_error *err)
{
	const char *word;
	size_t len, kind;

	memset(e, 0, sizeof(*e));
	if (cw_lines_next(lines, err) < 0 ||
	    cw_lines_word_number(lines, 1, CW_ROLE_EPOCH_MAX, &e->epoch, err) <
		0 ||
	    cw_lines_word_number(lines, 0, INT64_MAX, &e->generation, err) <
		0 ||
	    role_word_key(lines, &e->site, err) < 0 ||
	    cw_lines_word(lines, &word, &len, err) < 0)
		return -1;
	if (!role_find_word(kinds, ROLE_COUNT(kinds), word, len, &kind))
		return cw_lines_error(lines, err, "no such kind of epoch");
	e->kind = (enum cw_epoch_kind)kind;
	if (role_word_time(lines, &e->time, err) < 0 ||
	    cw_lines_word(lines, &word, &len, err) < 0 ||
	    role_line_end(lines, err) < 0)
		return -1;
	if (before != NULL && e->epoch <= before->epoch)
		return cw_lines_error(lines, err, "epochs do not ascend");
	if (e->kind == CW_EPOCH_CREATED) {
		if (before != NULL || !role_word_is_none(word, len))
			return cw_lines_error(
			    lines, err, "only the first epoch may be unsigned");
		return 0;
	}
	if (!role_word_signature(word, len, e->signature))
		return cw_lines_error(lines, err, "no valid signature");
	if (!epoch_holds(store_id, e))
		return cw_error_set(err, CW_ERR_UNTRUSTED,
		    "%s, line %zu: the signature of epoch %llu is wrong",
		    lines->what, lines->number, (unsigned long long)e->epoch);
	return 0;
}

static int
take_epochs(struct cw_lines *lines, const uint8_t store_id[CW_STORE_ID_SIZE],
    size_t count, struct cw_epochs *history, struct cw_error *err)
{
	history->epochs = cw_calloc(count, sizeof(*history->epochs));
	for (size_t i = 0; i < count; i++) {
		if (take_epoch(lines, store_id,
			i == 0 ? NULL : &history->epochs[i - 1],
			&history->epochs[i], err) < 0)
			return -1;
		history->count++;
	}
	return 0;
}

/* Takes "history COUNT" and its lines. */
int
role_take_history(struct cw_lines *lines,
    const uint8_t store_id[CW_STORE_ID_SIZE], struct cw_epochs *history,
    struct cw_error *err)
{
	uint64_t count;

	if (cw_lines_number(
		lines, "history", 1, CW_ROLE_EPOCHS_MAX, &count, err) < 0)
		return -1;
	return take_epochs(lines, store_id, (size_t)count, history, err);
}

int
cw_epochs_parse(const char *text, size_t len,
    const uint8_t store_id[CW_STORE_ID_SIZE], struct cw_epochs *history,
    struct cw_error *err)
{
	struct cw_lines lines;
	size_t count = 0;

	if (len > CW_ROLE_TEXT_MAX)
		return cw_error_set(err, CW_ERR_FORMAT,
		    "history is %zu bytes, expected at most %u", len,
		    CW_ROLE_TEXT_MAX);
	for (size_t i = 0; i < len; i++)
		count += text[i] == '\n';
	if (count == 0 || count > CW_ROLE_EPOCHS_MAX || text[len - 1] != '\n')
		return cw_error_set(err, CW_ERR_FORMAT,
		    "history has %zu lines, expected 1 to %u", count,
		    CW_ROLE_EPOCHS_MAX);
	cw_lines_begin(&lines, "history", text, len);
	return take_epochs(&lines, store_id, count, history, err);
}
