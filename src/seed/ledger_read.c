/*
 * Reading a ledger: line by line, and nothing that SPEC.md does not know.
 */
#include "base/buf.h"
#include "base/bytes.h"
#include "base/fs.h"
#include "base/text.h"
#include "seed/ledger_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LEDGER_MAX (256u << 20)
#define FIRST_LINE LEDGER_FIRST_LINE

/* The next word of a line; NULL at its end. */
static const char *
word(const char **at, const char *end, size_t *len)
{
	const char *begin = *at, *space;

	if (begin >= end)
		return NULL;
	space = memchr(begin, ' ', (size_t)(end - begin));
	*len = (size_t)((space == NULL ? end : space) - begin);
	*at = space == NULL ? end : space + 1;
	return begin;
}

static bool
number(const char **at, const char *end, uint64_t max, uint64_t *value)
{
	size_t len;
	const char *text = word(at, end, &len);

	return text != NULL && cw_decimal_parse(text, len, max, value);
}

static bool
hex(const char **at, const char *end, uint8_t *out, size_t size)
{
	size_t len;
	const char *text = word(at, end, &len);

	return text != NULL && cw_hex_decode(text, len, out, size);
}

static bool
parse_volume(struct cw_ledger *l, const char *at, const char *end)
{
	struct cw_ledger_volume v = {.group = 0};
	uint64_t n, medium;

	if (!number(&at, end, CW_LEDGER_VOLUME_MAX, &n) ||
	    !number(&at, end, CW_MANIFEST_MEDIA_MAX, &medium) ||
	    !number(&at, end, CW_MANIFEST_FILE_SIZE_MAX, &v.size) ||
	    !hex(&at, end, v.sha256, sizeof(v.sha256)) ||
	    !hex(&at, end, v.xxh, sizeof(v.xxh)) || n == 0 || medium == 0 ||
	    ledger_find(l, (uint32_t)n) != NULL)
		return false;
	v.number = (uint32_t)n;
	v.medium = (uint32_t)medium;
	ledger_keep_volume(l, &v);
	return true;
}

static bool
number32(const char **at, const char *end, uint32_t max, uint32_t *value)
{
	uint64_t n;

	if (!number(at, end, max, &n))
		return false;
	*value = (uint32_t)n;
	return true;
}

static bool
parse_parity(struct cw_ledger *l, const char *at, const char *end)
{
	return number32(&at, end, CW_MANIFEST_PARITY_MAX, &l->parity_k) &&
	       number32(&at, end, CW_MANIFEST_PARITY_MAX, &l->parity_m) &&
	       number32(&at, end, CW_MANIFEST_PARITY_MAX, &l->survive_media) &&
	       l->parity_k + l->parity_m <= CW_MANIFEST_PARITY_MAX &&
	       (l->parity_k == 0) == (l->parity_m == 0) &&
	       (l->survive_media == 0 || l->survive_media == l->parity_m);
}

static bool
parse_group(struct cw_ledger *l, const char *at, const char *end)
{
	uint32_t volumes[CW_MANIFEST_PARITY_MAX], group, count = 0;

	if (!number32(&at, end, CW_LEDGER_GROUP_MAX, &group))
		return false;
	while (at < end)
		if (count == CW_MANIFEST_PARITY_MAX ||
		    !number32(
			&at, end, CW_LEDGER_VOLUME_MAX, &volumes[count++]))
			return false;
	return ledger_keep_group(l, group, volumes, count);
}

static bool
parse_shard(struct cw_ledger *l, const char *at, const char *end)
{
	struct cw_ledger_shard s = {.group = 0};

	return number32(&at, end, CW_LEDGER_GROUP_MAX, &s.group) &&
	       number32(&at, end, CW_MANIFEST_PARITY_MAX, &s.index) &&
	       number32(&at, end, CW_MANIFEST_MEDIA_MAX, &s.medium) &&
	       number(&at, end, CW_MANIFEST_FILE_SIZE_MAX, &s.size) &&
	       hex(&at, end, s.sha256, sizeof(s.sha256)) &&
	       hex(&at, end, s.xxh, sizeof(s.xxh)) && s.medium != 0 &&
	       ledger_keep_shard(l, &s);
}

static bool
parse_for(struct cw_ledger *l, const char *at, const char *end)
{
	if ((size_t)(end - at) > CW_LEDGER_PEER_MAX)
		return false;
	memcpy(l->peer, at, (size_t)(end - at));
	return true;
}

static bool
parse_line(struct cw_ledger *l, const char *at, const char *end)
{
	uint32_t value, index;
	size_t len;
	const char *key = word(&at, end, &len);

	if (key == NULL)
		return false;
#define IS(text) (len == strlen(text) && memcmp(key, text, len) == 0)
	if (IS("seed"))
		return hex(&at, end, l->seed_id, CW_SEED_ID_SIZE);
	if (IS("for"))
		return parse_for(l, at, end);
	if (IS("time"))
		return cw_time_parse(at, (size_t)(end - at), &l->time);
	if (IS("base"))
		return number(&at, end, CW_MANIFEST_COUNTER_MAX, &l->base);
	if (IS("generation"))
		return number(
		    &at, end, CW_MANIFEST_COUNTER_MAX, &l->generation);
	if (IS("volume-size"))
		return number(
		    &at, end, CW_MANIFEST_VOLUME_MAX, &l->volume_size);
	if (IS("parity"))
		return parse_parity(l, at, end);
	if (IS("recipient"))
		return l->recipient_count < CW_MANIFEST_RECIPIENTS_MAX &&
		       hex(&at, end, l->recipients[l->recipient_count++], 32);
	if (IS("volume"))
		return parse_volume(l, at, end);
	if (IS("group"))
		return parse_group(l, at, end);
	if (IS("shard"))
		return parse_shard(l, at, end);
	if (IS("lost") && number32(&at, end, CW_LEDGER_VOLUME_MAX, &value)) {
		ledger_drop_volume(l, value);
		return true;
	}
	if (IS("lost-shard"))
		return number32(&at, end, CW_LEDGER_GROUP_MAX, &value) &&
		       number32(&at, end, CW_MANIFEST_PARITY_MAX, &index) &&
		       ledger_lose_shard(l, value, index);
	if (IS("medium") && number32(&at, end, CW_MANIFEST_MEDIA_MAX, &value)) {
		ledger_reopen(l, value);
		return true;
	}
	if (IS("closed") && number32(&at, end, CW_MANIFEST_MEDIA_MAX, &value)) {
		ledger_keep_closed(l, value);
		return true;
	}
	if (IS("revision") &&
	    number32(&at, end, CW_LEDGER_REVISION_MAX, &value)) {
		l->last_revision = value;
		return true;
	}
	if (IS("finished")) {
		l->is_finished = true;
		return true;
	}
#undef IS
	return false;
}

static int
parse(struct cw_ledger *l, const char *text, size_t len, size_t *whole,
    struct cw_error *err)
{
	const char *at = text, *end = text + len;
	size_t line = 0;

	while (at < end) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));

		if (stop == NULL)
			break; /* torn: the write was cut short */
		line++;
		if (line == 1
			? (size_t)(stop - at) != strlen(FIRST_LINE) ||
			      memcmp(at, FIRST_LINE, strlen(FIRST_LINE)) != 0
			: !parse_line(l, at, stop))
			return cw_error_set(err, CW_ERR_DAMAGED,
			    "the seed's ledger is wrong in line %zu; begin "
			    "anew with --new",
			    line);
		at = stop + 1;
	}
	*whole = (size_t)(at - text);
	if (line < 6 || l->recipient_count == 0)
		return cw_error_set(err, CW_ERR_DAMAGED,
		    "the seed's ledger is cut short; begin anew with --new");
	return 0;
}

static int
load(int dirfd, struct cw_ledger *l, size_t *len, size_t *whole,
    struct cw_error *err)
{
	struct cw_buf text = CW_BUF_INIT;
	int ret;

	memset(l, 0, sizeof(*l));
	pthread_mutex_init(&l->lock, NULL);
	l->fd = -1;
	ret = cw_read_file(dirfd, CW_LEDGER_FILE, LEDGER_MAX, &text, err);
	if (ret == 0)
		ret = parse(l, (const char *)text.data, text.len, whole, err);
	*len = text.len;
	if (ret != 0)
		cw_ledger_close(l);
	cw_buf_free(&text);
	return ret;
}

int
cw_ledger_read(int dirfd, struct cw_ledger *l, struct cw_error *err)
{
	size_t len, whole;

	return load(dirfd, l, &len, &whole, err);
}

int
cw_ledger_open(int dirfd, struct cw_ledger *l, struct cw_error *err)
{
	size_t len, whole;
	int ret;

	ret = load(dirfd, l, &len, &whole, err);
	if (ret != 0)
		return ret;
	ret = -1;
	l->fd = openat(dirfd, CW_LEDGER_FILE, O_WRONLY | O_APPEND | O_CLOEXEC);
	if (l->fd < 0) {
		cw_error_errno(err, "cannot open the seed's ledger");
		goto out;
	}
	if (whole < len && ftruncate(l->fd, (off_t)whole) < 0) {
		cw_error_errno(err, "cannot cut the seed's ledger");
		goto out;
	}
	ret = 0;
out:
	if (ret != 0)
		cw_ledger_close(l);
	return ret;
}
