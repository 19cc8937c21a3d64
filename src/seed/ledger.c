#include "seed/ledger_impl.h"

#include "base/buf.h"
#include "base/bytes.h"
#include "base/fs.h"
#include "base/text.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define FIRST_LINE LEDGER_FIRST_LINE

/*
 * After a failure the last line may be torn, or there and not durable: another
 * behind it would make the ledger one that cannot be read.  So nothing follows;
 * who opens it again cuts it.
 */
static int
append(struct cw_ledger *l, const struct cw_buf *line, struct cw_error *err)
{
	struct cw_error why = CW_ERROR_INIT;

	if (l->broken.code == CW_OK) {
		if (cw_write_all(l->fd, line->data, line->len, &why) == 0 &&
		    cw_sync(l->fd, &why) == 0)
			return 0;
		cw_error_context(&why, "the seed's ledger");
		l->broken = why;
	}
	if (err != NULL)
		*err = l->broken;
	return -1;
}

int
cw_ledger_create(int dirfd, struct cw_ledger *l, struct cw_error *err)
{
	char id[2 * CW_SEED_ID_SIZE + 1], time[CW_TIME_TEXT], point[65];
	struct cw_buf text = CW_BUF_INIT;
	int ret;

	pthread_mutex_init(&l->lock, NULL);
	cw_hex_encode(l->seed_id, CW_SEED_ID_SIZE, id);
	cw_time_format(l->time, time);
	cw_buf_printf(&text,
	    FIRST_LINE "\nseed %s\nfor %s\ntime %s\ngeneration %" PRIu64
		       "\nvolume-size %" PRIu64 "\nparity %u %u %u\n",
	    id, l->peer, time, l->generation, l->volume_size, l->parity_k,
	    l->parity_m, l->survive_media);
	if (l->base != 0)
		cw_buf_printf(&text, "base %" PRIu64 "\n", l->base);
	for (uint32_t i = 0; i < l->recipient_count; i++) {
		cw_hex_encode(l->recipients[i], 32, point);
		cw_buf_printf(&text, "recipient %s\n", point);
	}
	ret =
	    cw_save_file(dirfd, CW_LEDGER_FILE, text.data, text.len, 0600, err);
	cw_buf_free(&text);
	if (ret < 0)
		return -1;
	l->fd = openat(dirfd, CW_LEDGER_FILE, O_WRONLY | O_APPEND | O_CLOEXEC);
	if (l->fd < 0)
		return cw_error_errno(err, "cannot open the seed's ledger");
	return 0;
}

int
cw_ledger_add_volume(
    struct cw_ledger *l, const struct cw_ledger_volume *v, struct cw_error *err)
{
	char sha[65], xxh[33];
	struct cw_buf line = CW_BUF_INIT;
	int ret;

	cw_hex_encode(v->sha256, sizeof(v->sha256), sha);
	cw_hex_encode(v->xxh, sizeof(v->xxh), xxh);
	cw_buf_printf(&line, "volume %u %u %" PRIu64 " %s %s\n", v->number,
	    v->medium, v->size, sha, xxh);
	pthread_mutex_lock(&l->lock);
	ret = append(l, &line, err);
	if (ret == 0)
		ledger_keep_volume(l, v);
	pthread_mutex_unlock(&l->lock);
	cw_buf_free(&line);
	return ret;
}

int
cw_ledger_add_group(struct cw_ledger *l, uint32_t number,
    const uint32_t *volumes, uint32_t count, struct cw_error *err)
{
	struct cw_buf line = CW_BUF_INIT;
	int ret = 0;

	cw_buf_printf(&line, "group %u", number);
	for (uint32_t i = 0; i < count; i++)
		cw_buf_printf(&line, " %u", volumes[i]);
	cw_buf_text(&line, "\n");
	pthread_mutex_lock(&l->lock);
	if (!ledger_keep_group(l, number, volumes, count))
		ret = cw_error_set(err, CW_ERR_USAGE,
		    "group %u is none of volumes that are there", number);
	else if ((ret = append(l, &line, err)) < 0)
		ledger_break_group(l, number);
	pthread_mutex_unlock(&l->lock);
	cw_buf_free(&line);
	return ret;
}

int
cw_ledger_add_shard(
    struct cw_ledger *l, const struct cw_ledger_shard *s, struct cw_error *err)
{
	char sha[65], xxh[33];
	struct cw_buf line = CW_BUF_INIT;
	int ret = 0;

	cw_hex_encode(s->sha256, sizeof(s->sha256), sha);
	cw_hex_encode(s->xxh, sizeof(s->xxh), xxh);
	cw_buf_printf(&line, "shard %u %u %u %" PRIu64 " %s %s\n", s->group,
	    s->index, s->medium, s->size, sha, xxh);
	pthread_mutex_lock(&l->lock);
	if (!ledger_keep_shard(l, s))
		ret = cw_error_set(err, CW_ERR_USAGE,
		    "shard %u of group %u is of no group, or there already",
		    s->index, s->group);
	else if ((ret = append(l, &line, err)) < 0)
		(void)ledger_lose_shard(l, s->group, s->index);
	pthread_mutex_unlock(&l->lock);
	cw_buf_free(&line);
	return ret;
}

/* Called with the lock. */
static int
append_number(
    struct cw_ledger *l, const char *key, uint32_t value, struct cw_error *err)
{
	struct cw_buf line = CW_BUF_INIT;
	int ret;

	cw_buf_printf(&line, "%s %u\n", key, value);
	ret = append(l, &line, err);
	cw_buf_free(&line);
	return ret;
}

int
cw_ledger_lose_shard(
    struct cw_ledger *l, uint32_t group, uint32_t index, struct cw_error *err)
{
	struct cw_buf line = CW_BUF_INIT;
	int ret;

	cw_buf_printf(&line, "lost-shard %u %u\n", group, index);
	pthread_mutex_lock(&l->lock);
	ret = append(l, &line, err);
	if (ret == 0)
		(void)ledger_lose_shard(l, group, index);
	pthread_mutex_unlock(&l->lock);
	cw_buf_free(&line);
	return ret;
}

int
cw_ledger_add_medium(struct cw_ledger *l, uint32_t n, struct cw_error *err)
{
	int ret;

	pthread_mutex_lock(&l->lock);
	ret = append_number(l, "medium", n, err);
	if (ret == 0)
		ledger_saw_medium(l, n);
	pthread_mutex_unlock(&l->lock);
	return ret;
}

int
cw_ledger_reopen_medium(struct cw_ledger *l, uint32_t n, struct cw_error *err)
{
	int ret;

	pthread_mutex_lock(&l->lock);
	ret = append_number(l, "medium", n, err);
	if (ret == 0)
		ledger_reopen(l, n);
	pthread_mutex_unlock(&l->lock);
	return ret;
}

int
cw_ledger_lose_volume(struct cw_ledger *l, uint32_t n, struct cw_error *err)
{
	int ret;

	pthread_mutex_lock(&l->lock);
	ret = append_number(l, "lost", n, err);
	if (ret == 0)
		ledger_drop_volume(l, n);
	pthread_mutex_unlock(&l->lock);
	return ret;
}

int
cw_ledger_close_medium(struct cw_ledger *l, uint32_t n, struct cw_error *err)
{
	int ret;

	pthread_mutex_lock(&l->lock);
	ret = append_number(l, "closed", n, err);
	if (ret == 0)
		ledger_keep_closed(l, n);
	pthread_mutex_unlock(&l->lock);
	return ret;
}

int
cw_ledger_add_revision(struct cw_ledger *l, uint32_t n, struct cw_error *err)
{
	int ret;

	pthread_mutex_lock(&l->lock);
	ret = append_number(l, "revision", n, err);
	if (ret == 0)
		l->last_revision = n;
	pthread_mutex_unlock(&l->lock);
	return ret;
}

int
cw_ledger_finish(struct cw_ledger *l, struct cw_error *err)
{
	struct cw_buf line = CW_BUF_INIT;
	int ret;

	cw_buf_text(&line, "finished\n");
	pthread_mutex_lock(&l->lock);
	ret = append(l, &line, err);
	if (ret == 0)
		l->is_finished = true;
	pthread_mutex_unlock(&l->lock);
	cw_buf_free(&line);
	return ret;
}
