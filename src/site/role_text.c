#include "site/role_text.h"

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/text.h"
#include "formats/manifest/lines.h"

#include <stdlib.h>
#include <string.h>

#define EPOCH_DOMAIN	"causeway-epoch-1\n"
#define ROLE_DOMAIN	"causeway-role-1\n"
#define HANDOVER_DOMAIN "causeway-handover-1\n"
#define SIGNATURE_LEN	CW_BASE64_LEN(CW_ED25519_SIGNATURE_SIZE)
#define NONE		"-"

static const char *const roles[] = {
    [CW_ROLE_IS_ACTIVE] = "active",
    [CW_ROLE_IS_STANDBY] = "standby",
    [CW_ROLE_IS_FENCED] = "fenced",
};

static const char *const kinds[] = {
    [CW_EPOCH_CREATED] = "created",
    [CW_EPOCH_SWITCHOVER] = "switchover",
    [CW_EPOCH_FAILOVER] = "failover",
    [CW_EPOCH_REJOIN] = "rejoin",
};

static const char *const movings[] = {
    [CW_MOVING_NOT] = "none",
    [CW_MOVING_FENCING] = "fencing",
    [CW_MOVING_HANDING] = "handing",
};

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

const char *
cw_role_name(enum cw_role_is is)
{
	return roles[is];
}

const char *
cw_epoch_kind_name(enum cw_epoch_kind kind)
{
	return kinds[kind];
}

static bool
find_word(const char *const *list, size_t count, const char *word, size_t len,
    size_t *found)
{
	for (size_t i = 0; i < count; i++)
		if (strlen(list[i]) == len && memcmp(list[i], word, len) == 0) {
			*found = i;
			return true;
		}
	return false;
}

static bool
is_none(const char *word, size_t len)
{
	return len == 1 && word[0] == '-';
}

/*
 * Signatures: Ed25519 over a domain and the bytes before the signature.
 */

static int
sign(const struct cw_minisign_secret *secret, const char *domain,
    const void *text, size_t len, uint8_t sig[CW_ED25519_SIGNATURE_SIZE],
    struct cw_error *err)
{
	uint8_t hash[CW_SHA256_SIZE];
	struct cw_buf message = CW_BUF_INIT;
	int ret;

	/* A history may be longer than what Ed25519 signs here at once. */
	cw_sha256(text, len, hash);
	cw_buf_text(&message, domain);
	cw_buf_append(&message, hash, sizeof(hash));
	ret = cw_ed25519_sign(secret, message.data, message.len, sig, err);
	cw_buf_free(&message);
	return ret;
}

static bool
signature_holds(const struct cw_minisign_public *signer, const char *domain,
    const void *text, size_t len, const uint8_t sig[CW_ED25519_SIGNATURE_SIZE])
{
	uint8_t hash[CW_SHA256_SIZE];
	struct cw_buf message = CW_BUF_INIT;
	bool holds;

	cw_sha256(text, len, hash);
	cw_buf_text(&message, domain);
	cw_buf_append(&message, hash, sizeof(hash));
	holds =
	    cw_ed25519_verify(signer->point, message.data, message.len, sig);
	cw_buf_free(&message);
	return holds;
}

static void
put_signature(struct cw_buf *text, const uint8_t sig[CW_ED25519_SIGNATURE_SIZE])
{
	char base64[SIGNATURE_LEN + 1];

	cw_base64_encode(sig, CW_ED25519_SIGNATURE_SIZE, true, base64);
	cw_buf_text(text, base64);
}

static bool
take_signature(
    const char *word, size_t len, uint8_t sig[CW_ED25519_SIGNATURE_SIZE])
{
	uint8_t bytes[CW_ED25519_SIGNATURE_SIZE + 3];
	size_t got = 0;

	if (len != SIGNATURE_LEN ||
	    !cw_base64_decode(word, len, true, bytes, &got) ||
	    got != CW_ED25519_SIGNATURE_SIZE)
		return false;
	memcpy(sig, bytes, CW_ED25519_SIGNATURE_SIZE);
	return true;
}

static void
put_key(struct cw_buf *text, const struct cw_minisign_public *key)
{
	char base64[CW_MINISIGN_BASE64_SIZE];

	cw_minisign_public_base64(key, base64);
	cw_buf_text(text, base64);
}

static void
put_time(struct cw_buf *text, int64_t seconds)
{
	char time[CW_TIME_TEXT];

	cw_time_format(seconds, time);
	cw_buf_text(text, time);
}

/* The line has no more words. */
static int
line_end(const struct cw_lines *lines, struct cw_error *err)
{
	if (lines->value != NULL)
		return cw_lines_error(lines, err, "too many values");
	return 0;
}

static int
take_word_key(struct cw_lines *lines, struct cw_minisign_public *key,
    struct cw_error *err)
{
	const char *word;
	size_t len;

	if (cw_lines_word(lines, &word, &len, err) < 0)
		return -1;
	if (len != CW_MINISIGN_BASE64_SIZE - 1 ||
	    cw_minisign_public_parse(word, len, key, NULL) < 0)
		return cw_lines_error(
		    lines, err, "no valid minisign public key");
	return 0;
}

static int
take_word_time(struct cw_lines *lines, int64_t *seconds, struct cw_error *err)
{
	const char *word;
	size_t len;

	if (cw_lines_word(lines, &word, &len, err) < 0)
		return -1;
	if (!cw_time_parse(word, len, seconds))
		return cw_lines_error(
		    lines, err, "expected a time like 2026-11-22T12:00:00Z");
	return 0;
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
	if (!is_none(word, len)) {
		memcpy(boot, word, len);
		boot[len] = '\0';
	}
	return 0;
}

static const char *
boot_text(const char *boot)
{
	return boot[0] == '\0' ? NONE : boot;
}

/*
 * Histories.
 */

static void
put_epoch(struct cw_buf *text, const struct cw_epoch *e)
{
	cw_buf_printf(text, "%llu %llu ", (unsigned long long)e->epoch,
	    (unsigned long long)e->generation);
	put_key(text, &e->site);
	cw_buf_printf(text, " %s ", kinds[e->kind]);
	put_time(text, e->time);
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
	ret = sign(
	    secret, EPOCH_DOMAIN, text.data, text.len, epoch->signature, err);
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
	holds = signature_holds(
	    &epoch->site, EPOCH_DOMAIN, text.data, text.len, epoch->signature);
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
			cw_buf_text(text, NONE);
		else
			put_signature(text, e->signature);
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
	    take_word_key(lines, &e->site, err) < 0 ||
	    cw_lines_word(lines, &word, &len, err) < 0)
		return -1;
	if (!find_word(kinds, COUNT(kinds), word, len, &kind))
		return cw_lines_error(lines, err, "no such kind of epoch");
	e->kind = (enum cw_epoch_kind)kind;
	if (take_word_time(lines, &e->time, err) < 0 ||
	    cw_lines_word(lines, &word, &len, err) < 0 ||
	    line_end(lines, err) < 0)
		return -1;
	if (before != NULL && e->epoch <= before->epoch)
		return cw_lines_error(lines, err, "epochs do not ascend");
	if (e->kind == CW_EPOCH_CREATED) {
		if (before != NULL || !is_none(word, len))
			return cw_lines_error(
			    lines, err, "only the first epoch may be unsigned");
		return 0;
	}
	if (!take_signature(word, len, e->signature))
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
static int
take_history(struct cw_lines *lines, const uint8_t store_id[CW_STORE_ID_SIZE],
    struct cw_epochs *history, struct cw_error *err)
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

/* Puts "signature ..." behind what stands in text from `start`. */
static int
finish_text(struct cw_buf *text, size_t start, const char *domain,
    const struct cw_minisign_secret *secret, struct cw_error *err)
{
	uint8_t sig[CW_ED25519_SIGNATURE_SIZE];

	if (sign(secret, domain, text->data + start, text->len - start, sig,
		err) < 0) {
		text->len = start;
		return -1;
	}
	cw_buf_text(text, "signature ");
	put_signature(text, sig);
	cw_buf_text(text, "\n");
	return 0;
}

/* Takes the last line, and checks it over all that stands before it. */
static int
check_text(struct cw_lines *lines, const char *text, const char *domain,
    const struct cw_minisign_public *signer, struct cw_error *err)
{
	uint8_t sig[CW_ED25519_SIGNATURE_SIZE];
	size_t before = (size_t)(lines->at - text);

	if (cw_lines_take(lines, "signature", err) < 0)
		return -1;
	if (!take_signature(lines->value, lines->value_len, sig))
		return cw_lines_error(lines, err, "no valid signature");
	if (lines->len > 0)
		return cw_lines_error(
		    lines, err, "something follows the signature");
	if (!signature_holds(signer, domain, text, before, sig))
		return cw_error_set(err, CW_ERR_UNTRUSTED,
		    "%s: the signature is wrong", lines->what);
	return 0;
}

/*
 * The hand-over: its fields in a record of the role, and on its own.
 */

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
	put_key(text, &handover->from);
	cw_buf_text(text, "\nto ");
	put_key(text, &handover->to);
	cw_buf_printf(text, "\nepoch %llu\ngeneration %llu\ndigest %s\ntime ",
	    (unsigned long long)handover->epoch,
	    (unsigned long long)handover->generation, digest);
	put_time(text, handover->time);
	cw_buf_printf(text, "\nhistory %zu\n", role->history.count);
	cw_epochs_format(&role->history, text);
	return finish_text(text, start, HANDOVER_DOMAIN, secret, err);
}

static int
take_key(struct cw_lines *lines, const char *key,
    struct cw_minisign_public *out, struct cw_error *err)
{
	if (cw_lines_take(lines, key, err) < 0 ||
	    take_word_key(lines, out, err) < 0)
		return -1;
	return line_end(lines, err);
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
	    take_key(&lines, "from", &h.from, err) < 0 ||
	    take_key(&lines, "to", &h.to, err) < 0 ||
	    cw_lines_number(
		&lines, "epoch", 2, CW_ROLE_EPOCH_MAX, &h.epoch, err) < 0 ||
	    cw_lines_number(
		&lines, "generation", 0, INT64_MAX, &h.generation, err) < 0 ||
	    cw_lines_hex(&lines, "digest", h.digest, CW_STATE_SIZE, err) < 0 ||
	    cw_lines_time(&lines, "time", &h.time, err) < 0 ||
	    take_history(&lines, id, &found, err) < 0 ||
	    check_text(&lines, text, HANDOVER_DOMAIN, &h.from, err) < 0)
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

/*
 * The record.
 */

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
	put_key(text, &role->handover.to);
	cw_buf_printf(text, " %llu %llu %s ",
	    (unsigned long long)role->handover.epoch,
	    (unsigned long long)role->handover.generation, digest);
	put_time(text, role->handover.time);
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
	put_key(text, &role->site);
	cw_buf_printf(text, "\nrole %s\nepoch %llu\nseen %llu\nboot %s\n",
	    roles[role->is], (unsigned long long)role->epoch,
	    (unsigned long long)role->seen, boot_text(role->boot));
	cw_buf_text(text, "forced ");
	if (role->forced_time == 0) {
		cw_buf_text(text, "never\n");
	} else {
		put_time(text, role->forced_time);
		cw_buf_printf(text, " %s\n", boot_text(role->forced_boot));
	}
	cw_buf_printf(text, "moving %s", movings[role->moving]);
	if (role->moving != CW_MOVING_NOT) {
		cw_buf_text(text, " ");
		put_time(text, role->moving_since);
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
	return finish_text(text, start, ROLE_DOMAIN, secret, err);
}

/* Takes "KEY WORD" with WORD in value, to be looked at more closely. */
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
	    line_end(lines, err) < 0)
		return -1;
	if (!find_word(roles, COUNT(roles), word, len, &is))
		return cw_lines_error(lines, err, "no such role");
	role->is = (enum cw_role_is)is;
	return 0;
}

static int
take_boots(struct cw_lines *lines, struct cw_role *role, struct cw_error *err)
{
	if (cw_lines_take(lines, "boot", err) < 0 ||
	    take_word_boot(lines, role->boot, err) < 0 ||
	    line_end(lines, err) < 0 || cw_lines_take(lines, "forced", err) < 0)
		return -1;
	if (value_is(lines, "never"))
		return 0;
	if (take_word_time(lines, &role->forced_time, err) < 0 ||
	    take_word_boot(lines, role->forced_boot, err) < 0)
		return -1;
	if (role->forced_time == 0)
		return cw_lines_error(lines, err, "no time");
	return line_end(lines, err);
}

static int
take_moving(struct cw_lines *lines, struct cw_role *role, struct cw_error *err)
{
	const char *word;
	size_t len, moving;

	if (cw_lines_take(lines, "moving", err) < 0 ||
	    cw_lines_word(lines, &word, &len, err) < 0)
		return -1;
	if (!find_word(movings, COUNT(movings), word, len, &moving))
		return cw_lines_error(lines, err, "no such state of a move");
	role->moving = (enum cw_moving)moving;
	if (role->moving != CW_MOVING_NOT &&
	    take_word_time(lines, &role->moving_since, err) < 0)
		return -1;
	return line_end(lines, err);
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
	if (take_word_key(lines, &h->to, err) < 0 ||
	    cw_lines_word_number(lines, 2, CW_ROLE_EPOCH_MAX, &h->epoch, err) <
		0 ||
	    cw_lines_word_number(lines, 0, INT64_MAX, &h->generation, err) <
		0 ||
	    cw_lines_word(lines, &word, &len, err) < 0)
		return -1;
	if (!cw_hex_decode(word, len, h->digest, CW_STATE_SIZE))
		return cw_lines_error(lines, err, "no digest");
	if (take_word_time(lines, &h->time, err) < 0)
		return -1;
	return line_end(lines, err);
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
	return line_end(lines, err);
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
	    take_key(&lines, "site", &role->site, err) < 0)
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
	    take_history(&lines, role->store_id, &role->history, err) < 0 ||
	    check_text(&lines, text, ROLE_DOMAIN, site, err) < 0)
		return -1;
	if (role->history.epochs[role->history.count - 1].epoch != role->epoch)
		return cw_error_set(err, CW_ERR_FORMAT,
		    "%s: its history does not end in its epoch", lines.what);
	role->is_stored = true;
	return 0;
}
