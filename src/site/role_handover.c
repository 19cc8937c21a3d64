/*
 * The hand-over on its own: what a site that gives a store away signs for the
 * one that takes it.
 */
#include "site/role_lines.h"
#include "site/role_text.h"

#include "base/bytes.h"

#include <string.h>

#define DOMAIN "causeway-handover-1\n"

int
role_handover_format(const struct cw_role *role,
    const struct cw_handover *handover, const struct cw_minisign_secret *secret,
    struct cw_buf *text, struct cw_error *err)
{
	size_t start = text->len;
	char id[2 * CW_STORE_ID_SIZE + 1], digest[2 * CW_STATE_SIZE + 1];

	cw_hex_encode(role->store_id, CW_STORE_ID_SIZE, id);
	cw_hex_encode(handover->digest, CW_STATE_SIZE, digest);
	cw_buf_printf(text, "causeway-handover 1\nstore %s\nfrom ", id);
	role_put_key(text, &handover->from);
	cw_buf_text(text, "\nto ");
	role_put_key(text, &handover->to);
	cw_buf_printf(text, "\nepoch %llu\ngeneration %llu\ndigest %s\ntime ",
	    (unsigned long long)handover->epoch,
	    (unsigned long long)handover->generation, digest);
	role_put_time(text, handover->time);
	cw_buf_printf(text, "\nhistory %zu\n", role->history.count);
	cw_epochs_format(&role->history, text);
	return role_finish_text(text, start, DOMAIN, secret, err);
}

int
cw_handover_parse(const char *text, size_t len,
    uint8_t store_id[CW_STORE_ID_SIZE], struct cw_handover *handover,
    struct cw_epochs *history, struct cw_error *err)
{
	struct cw_epochs found = CW_EPOCHS_INIT;
	uint8_t id[CW_STORE_ID_SIZE];
	struct cw_handover h;
	struct cw_lines lines;
	int ret = -1;

	memset(&h, 0, sizeof(h));
	if (len > CW_ROLE_TEXT_MAX)
		return cw_error_set(err, CW_ERR_FORMAT,
		    "hand-over record is %zu bytes, expected at most %u", len,
		    CW_ROLE_TEXT_MAX);
	cw_lines_begin(&lines, "hand-over record", text, len);
	if (cw_lines_version(&lines, "causeway-handover", err) < 0 ||
	    cw_lines_hex(&lines, "store", id, sizeof(id), err) < 0 ||
	    role_take_key(&lines, "from", &h.from, err) < 0 ||
	    role_take_key(&lines, "to", &h.to, err) < 0 ||
	    cw_lines_number(
		&lines, "epoch", 2, CW_ROLE_EPOCH_MAX, &h.epoch, err) < 0 ||
	    cw_lines_number(
		&lines, "generation", 0, INT64_MAX, &h.generation, err) < 0 ||
	    cw_lines_hex(&lines, "digest", h.digest, CW_STATE_SIZE, err) < 0 ||
	    cw_lines_time(&lines, "time", &h.time, err) < 0 ||
	    role_take_history(&lines, id, &found, err) < 0 ||
	    role_check_text(&lines, text, DOMAIN, &h.from, err) < 0)
		goto out;
	if (h.epoch <= found.epochs[found.count - 1].epoch) {
		cw_error_set(err, CW_ERR_FORMAT,
		    "hand-over record offers epoch %llu behind epoch %llu",
		    (unsigned long long)h.epoch,
		    (unsigned long long)found.epochs[found.count - 1].epoch);
		goto out;
	}
	memcpy(store_id, id, sizeof(id));
	*handover = h;
	if (history != NULL) {
		*history = found;
		found = (struct cw_epochs)CW_EPOCHS_INIT;
	}
	ret = 0;
out:
	cw_epochs_free(&found);
	return ret;
}
