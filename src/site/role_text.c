/*
 * The record of a role, with the hand-over that is under way as one line of it.
 */
#include "site/role_text.h"

#include "base/bytes.h"
#include "site/role_lines.h"

#include <string.h>

#define DOMAIN "causeway-role-1\n"

static const char *const roles[] = {
    [CW_ROLE_IS_ACTIVE] = "active",
    [CW_ROLE_IS_STANDBY] = "standby",
    [CW_ROLE_IS_FENCED] = "fenced",
};

static const char *const movings[] = {
    [CW_MOVING_NOT] = "none",
    [CW_MOVING_FENCING] = "fencing",
    [CW_MOVING_HANDING] = "handing",
};

const char *
cw_role_name(enum cw_role_is is)
{
	return roles[is];
}

/* "-" or the id of a boot. */
static int
take_word_boot(
    struct cw_lines *lines, char boot[CW_BOOT_ID_SIZE], struct cw_error *err)
{
	const char *word;
	size_t len;

	if (cw_lines_word(lines, &word, &len, err) < 0)
		return -1;
	if (len == 0 || len >= CW_BOOT_ID_SIZE)
		return cw_lines_error(lines, err, "no id of a boot");
	boot[0] = '\0';
	if (!role_word_is_none(word, len)) {
		memcpy(boot, word, len);
		boot[len] = '\0';
	}
	return 0;
}

static const char *
boot_text(const char *boot)
{
	return boot[0] == '\0' ? ROLE_NONE : boot;
}

static void
put_pending(struct cw_buf *text, const struct cw_role *role)
{
	char digest[2 * CW_STATE_SIZE + 1];

	if (!role->has_handover) {
		cw_buf_text(text, "handover none\n");
		return;
	}
	cw_hex_encode(role->handover.digest, CW_STATE_SIZE, digest);
	cw_buf_text(text, "handover ");
	role_put_key(text, &role->handover.to);
	cw_buf_printf(text, " %llu %llu %s ",
	    (unsigned long long)role->handover.epoch,
	    (unsigned long long)role->handover.generation, digest);
	role_put_time(text, role->handover.time);
	cw_buf_text(text, "\n");
}

int
role_format(const struct cw_role *role, const struct cw_minisign_secret *secret,
    struct cw_buf *text, struct cw_error *err)
{
	size_t start = text->len;
	char id[2 * CW_STORE_ID_SIZE + 1];

	cw_hex_encode(role->store_id, CW_STORE_ID_SIZE, id);
	cw_buf_printf(text, "causeway-role 1\nstore %s\nsite ", id);
	role_put_key(text, &role->site);
	cw_buf_printf(text, "\nrole %s\nepoch %llu\nseen %llu\nboot %s\n",
	    roles[role->is], (unsigned long long)role->epoch,
	    (unsigned long long)role->seen, boot_text(role->boot));
	cw_buf_text(text, "forced ");
	if (role->forced_time == 0) {
		cw_buf_text(text, "never\n");
	} else {
		role_put_time(text, role->forced_time);
		cw_buf_printf(text, " %s\n", boot_text(role->forced_boot));
	}
	cw_buf_printf(text, "moving %s", movings[role->moving]);
	if (role->moving != CW_MOVING_NOT) {
		cw_buf_text(text, " ");
		role_put_time(text, role->moving_since);
	}
	cw_buf_text(text, "\n");
	put_pending(text, role);
	if (role->fork == CW_FORK_NONE)
		cw_buf_text(text, "fork none\n");
	else
		cw_buf_printf(
		    text, "fork %llu\n", (unsigned long long)role->fork);
	cw_buf_printf(text, "history %zu\n", role->history.count);
	cw_epochs_format(&role->history, text);
	return role_finish_text(text, start, DOMAIN, secret, err);
}

/* Whether this word is all that the line says. */
static bool
value_is(const struct cw_lines *lines, const char *word)
{
	return lines->value != NULL && lines->value_len == strlen(word) &&
	       memcmp(lines->value, word, lines->value_len) == 0;
}

static int
take_role(struct cw_lines *lines, struct cw_role *role, struct cw_error *err)
{
	const char *word;
	size_t len, is;

	if (cw_lines_take(lines, "role", err) < 0 ||
	    cw_lines_word(lines, &word, &len, err) < 0 ||
	    role_line_end(lines, err) < 0)
		return -1;
	if (!role_find_word(roles, ROLE_COUNT(roles), word, len, &is))
		return cw_lines_error(lines, err, "no such role");
	role->is = (enum cw_role_is)is;
	return 0;
}

static int
take_boots(struct cw_lines *lines, struct cw_role *role, struct cw_error *err)
{
	if (cw_lines_take(lines, "boot", err) < 0 ||
	    take_word_boot(lines, role->boot, err) < 0 ||
	    role_line_end(lines, err) < 0 ||
	    cw_lines_take(lines, "forced", err) < 0)
		return -1;
	if (value_is(lines, "never"))
		return 0;
	if (role_word_time(lines, &role->forced_time, err) < 0 ||
	    take_word_boot(lines, role->forced_boot, err) < 0)
		return -1;
	if (role->forced_time == 0)
		return cw_lines_error(lines, err, "no time");
	return role_line_end(lines, err);
}

static int
take_moving(struct cw_lines *lines, struct cw_role *role, struct cw_error *err)
{
	const char *word;
	size_t len, moving;

	if (cw_lines_take(lines, "moving", err) < 0 ||
	    cw_lines_word(lines, &word, &len, err) < 0)
		return -1;
	if (!role_find_word(movings, ROLE_COUNT(movings), word, len, &moving))
		return cw_lines_error(lines, err, "no such state of a move");
	role->moving = (enum cw_moving)moving;
	if (role->moving != CW_MOVING_NOT &&
	    role_word_time(lines, &role->moving_since, err) < 0)
		return -1;
	return role_line_end(lines, err);
}

static int
take_pending(struct cw_lines *lines, struct cw_role *role, struct cw_error *err)
{
	struct cw_handover *h = &role->handover;
	const char *word;
	size_t len;

	if (cw_lines_take(lines, "handover", err) < 0)
		return -1;
	if (value_is(lines, "none"))
		return 0;
	role->has_handover = true;
	h->from = role->site;
	if (role_word_key(lines, &h->to, err) < 0 ||
	    cw_lines_word_number(lines, 2, CW_ROLE_EPOCH_MAX, &h->epoch, err) <
		0 ||
	    cw_lines_word_number(lines, 0, INT64_MAX, &h->generation, err) <
		0 ||
	    cw_lines_word(lines, &word, &len, err) < 0)
		return -1;
	if (!cw_hex_decode(word, len, h->digest, CW_STATE_SIZE))
		return cw_lines_error(lines, err, "no digest");
	if (role_word_time(lines, &h->time, err) < 0)
		return -1;
	return role_line_end(lines, err);
}

static int
take_fork(struct cw_lines *lines, struct cw_role *role, struct cw_error *err)
{
	if (cw_lines_take(lines, "fork", err) < 0)
		return -1;
	role->fork = CW_FORK_NONE;
	if (value_is(lines, "none"))
		return 0;
	if (cw_lines_word_number(lines, 0, INT64_MAX, &role->fork, err) < 0)
		return -1;
	return role_line_end(lines, err);
}

int
role_parse(const char *text, size_t len, const struct cw_minisign_public *site,
    struct cw_role *role, struct cw_error *err)
{
	struct cw_lines lines;

	cw_lines_begin(&lines, "record of the role", text, len);
	if (cw_lines_version(&lines, "causeway-role", err) < 0 ||
	    cw_lines_hex(
		&lines, "store", role->store_id, CW_STORE_ID_SIZE, err) < 0 ||
	    role_take_key(&lines, "site", &role->site, err) < 0)
		return -1;
	if (!cw_minisign_public_equal(&role->site, site))
		return cw_error_set(err, CW_ERR_UNTRUSTED,
		    "%s: it is another site's", lines.what);
	if (take_role(&lines, role, err) < 0 ||
	    cw_lines_number(
		&lines, "epoch", 1, CW_ROLE_EPOCH_MAX, &role->epoch, err) < 0 ||
	    cw_lines_number(&lines, "seen", role->epoch, CW_ROLE_EPOCH_MAX,
		&role->seen, err) < 0 ||
	    take_boots(&lines, role, err) < 0 ||
	    take_moving(&lines, role, err) < 0 ||
	    take_pending(&lines, role, err) < 0 ||
	    take_fork(&lines, role, err) < 0 ||
	    role_take_history(&lines, role->store_id, &role->history, err) <
		0 ||
	    role_check_text(&lines, text, DOMAIN, site, err) < 0)
		return -1;
	if (role->history.epochs[role->history.count - 1].epoch != role->epoch)
		return cw_error_set(err, CW_ERR_FORMAT,
		    "%s: its history does not end in its epoch", lines.what);
	role->is_stored = true;
	return 0;
}
