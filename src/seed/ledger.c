#include "seed/ledger.h"

#include "base/buf.h"
#include "base/bytes.h"
#include "base/fs.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LEDGER_MAX (256u << 20)
#define FIRST_LINE "causeway-ledger 1"

static void
keep_volume(struct cw_ledger *l, const struct cw_ledger_volume *volume)
{
	if (l->volume_count == l->volume_room) {
		l->volume_room = l->volume_room == 0 ? 64 : 2 * l->volume_room;
		l->volumes = cw_reallocarray(l->volumes, l->volume_room,
		    sizeof(*l->volumes));
	}
	l->volumes[l->volume_count++] = *volume;
	if (volume->medium > l->last_medium)
		l->last_medium = volume->medium;
}

static void
drop_volume(struct cw_ledger *l, uint32_t number)
{
	for (size_t i = 0; i < l->volume_count; i++) {
		if (l->volumes[i].number != number)
			continue;
		memmove(&l->volumes[i], &l->volumes[i + 1],
		    (l->volume_count - i - 1) * sizeof(*l->volumes));
		l->volume_count--;
		return;
	}
}

static int
append(struct cw_ledger *l, const struct cw_buf *line, struct cw_error *err)
{
	if (cw_write_all(l->fd, line->data, line->len, err) < 0 ||
	    cw_sync(l->fd, err) < 0)
		return cw_error_context(err, "the seed's ledger");
	return 0;
}

int
cw_ledger_create(int dirfd, struct cw_ledger *l, struct cw_error *err)
{
	char id[2 * CW_SEED_ID_SIZE + 1], time[CW_TIME_TEXT], point[65];
	struct cw_buf text = CW_BUF_INIT;
	int ret;

	cw_hex_encode(l->seed_id, CW_SEED_ID_SIZE, id);
	cw_time_format(l->time, time);
	cw_buf_printf(&text,
	    FIRST_LINE "\nseed %s\nfor %s\ntime %s\ngeneration %" PRIu64
		       "\nvolume-size %" PRIu64 "\n",
	    id, l->peer, time, l->generation, l->volume_size);
	for (uint32_t i = 0; i < l->recipient_count; i++) {
		cw_hex_encode(l->recipients[i], 32, point);
		cw_buf_printf(&text, "recipient %s\n", point);
	}
	ret = cw_save_file(dirfd, CW_LEDGER_FILE, text.data, text.len, 0600,
	    err);
	cw_buf_free(&text);
	if (ret < 0)
		return -1;
	l->fd = openat(dirfd, CW_LEDGER_FILE, O_WRONLY | O_APPEND | O_CLOEXEC);
	if (l->fd < 0)
		return cw_error_errno(err, "cannot open the seed's ledger");
	return 0;
}

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
	struct cw_ledger_volume v;
	uint64_t n, medium;

	if (!number(&at, end, 999999, &n) ||
	    !number(&at, end, CW_MANIFEST_MEDIA_MAX, &medium) ||
	    !number(&at, end, CW_MANIFEST_FILE_SIZE_MAX, &v.size) ||
	    !hex(&at, end, v.sha256, sizeof(v.sha256)) ||
	    !hex(&at, end, v.xxh, sizeof(v.xxh)) || n == 0 || medium == 0 ||
	    cw_ledger_find(l, (uint32_t)n) != NULL)
		return false;
	v.number = (uint32_t)n;
	v.medium = (uint32_t)medium;
	keep_volume(l, &v);
	return true;
}

static bool
parse_line(struct cw_ledger *l, const char *at, const char *end)
{
	uint64_t value;
	size_t len;
	const char *key = word(&at, end, &len);

	if (key == NULL)
		return false;
#define IS(text) (len == strlen(text) && memcmp(key, text, len) == 0)
	if (IS("seed"))
		return hex(&at, end, l->seed_id, CW_SEED_ID_SIZE);
	if (IS("for")) {
		if ((size_t)(end - at) > CW_LEDGER_PEER_MAX)
			return false;
		memcpy(l->peer, at, (size_t)(end - at));
		return true;
	}
	if (IS("time"))
		return cw_time_parse(at, (size_t)(end - at), &l->time);
	if (IS("generation"))
		return number(&at, end, CW_MANIFEST_COUNTER_MAX,
		    &l->generation);
	if (IS("volume-size"))
		return number(&at, end, CW_MANIFEST_VOLUME_MAX,
		    &l->volume_size);
	if (IS("recipient"))
		return l->recipient_count < CW_MANIFEST_RECIPIENTS_MAX &&
		    hex(&at, end, l->recipients[l->recipient_count++], 32);
	if (IS("volume"))
		return parse_volume(l, at, end);
	if (IS("lost") && number(&at, end, 999999, &value)) {
		drop_volume(l, (uint32_t)value);
		return true;
	}
	if (IS("medium") && number(&at, end, CW_MANIFEST_MEDIA_MAX, &value)) {
		if (value > l->last_medium)
			l->last_medium = (uint32_t)value;
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
		if (line == 1 ? (size_t)(stop - at) != strlen(FIRST_LINE) ||
				memcmp(at, FIRST_LINE, strlen(FIRST_LINE)) != 0 :
				!parse_line(l, at, stop))
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

int
cw_ledger_add_volume(struct cw_ledger *l, const struct cw_ledger_volume *v,
    struct cw_error *err)
{
	char sha[65], xxh[33];
	struct cw_buf line = CW_BUF_INIT;
	int ret;

	cw_hex_encode(v->sha256, sizeof(v->sha256), sha);
	cw_hex_encode(v->xxh, sizeof(v->xxh), xxh);
	cw_buf_printf(&line, "volume %u %u %" PRIu64 " %s %s\n", v->number,
	    v->medium, v->size, sha, xxh);
	ret = append(l, &line, err);
	cw_buf_free(&line);
	if (ret == 0)
		keep_volume(l, v);
	return ret;
}

static int
append_number(struct cw_ledger *l, const char *key, uint32_t value,
    struct cw_error *err)
{
	struct cw_buf line = CW_BUF_INIT;
	int ret;

	cw_buf_printf(&line, "%s %u\n", key, value);
	ret = append(l, &line, err);
	cw_buf_free(&line);
	return ret;
}

int
cw_ledger_add_medium(struct cw_ledger *l, uint32_t n, struct cw_error *err)
{
	if (append_number(l, "medium", n, err) < 0)
		return -1;
	if (n > l->last_medium)
		l->last_medium = n;
	return 0;
}

int
cw_ledger_lose_volume(struct cw_ledger *l, uint32_t n, struct cw_error *err)
{
	if (append_number(l, "lost", n, err) < 0)
		return -1;
	drop_volume(l, n);
	return 0;
}

int
cw_ledger_finish(struct cw_ledger *l, struct cw_error *err)
{
	struct cw_buf line = CW_BUF_INIT;
	int ret;

	cw_buf_text(&line, "finished\n");
	ret = append(l, &line, err);
	cw_buf_free(&line);
	if (ret == 0)
		l->is_finished = true;
	return ret;
}

const struct cw_ledger_volume *
cw_ledger_find(const struct cw_ledger *l, uint32_t n)
{
	for (size_t i = 0; i < l->volume_count; i++)
		if (l->volumes[i].number == n)
			return &l->volumes[i];
	return NULL;
}

void
cw_ledger_close(struct cw_ledger *l)
{
	free(l->volumes);
	l->volumes = NULL;
	l->volume_count = l->volume_room = 0;
	cw_close(&l->fd);
}
