#include "seed/pack_media.h"

#include "base/bytes.h"
#include "base/fs.h"
#include "base/text.h"
#include "media/set.h"
#include "seed/pack_where.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define TRIES_MAX 1000u /* answers to one question */
#define SHORT_ID  8	/* digits of a seed's id that go onto a sticker */

int
cw_pack_media_peek(const char *dir, const uint8_t seed_id[CW_SEED_ID_SIZE],
    struct cw_medium *out, struct cw_error *err)
{
	char id[CW_SEED_ID_TEXT], name[64];
	struct cw_buf text = CW_BUF_INIT;
	int fd, ret;

	cw_hex_encode(seed_id, CW_SEED_ID_SIZE, id);
	(void)snprintf(
	    name, sizeof(name), CW_SET_FOLDER "/%s/" CW_SET_MEDIUM, id);
	if ((fd = cw_open_dir(dir, err)) < 0)
		return -1;
	ret = cw_read_file(fd, name, CW_MEDIUM_TEXT_MAX, &text, err);
	if (ret == 0)
		ret = cw_medium_decode(
		    (const char *)text.data, text.len, out, err);
	if (ret < 0)
		cw_error_context(err, "%s/%s", dir, name);
	else if (ret == 0 &&
		 memcmp(out->seed_id, seed_id, CW_SEED_ID_SIZE) != 0)
		ret = 1;
	cw_buf_free(&text);
	cw_close(&fd);
	return ret;
}

/* ---- a medium that is made again ---- */

static int
lose_medium(struct cw_ledger *l, uint32_t medium, struct cw_error *err)
{
	for (size_t i = l->shard_count; i-- > 0;)
		if (i < l->shard_count && l->shards[i].medium == medium &&
		    cw_ledger_lose_shard(
			l, l->shards[i].group, l->shards[i].index, err) < 0)
			return -1;
	for (size_t i = l->volume_count; i-- > 0;)
		if (i < l->volume_count && l->volumes[i].medium == medium &&
		    cw_ledger_lose_volume(l, l->volumes[i].number, err) < 0)
			return -1;
	return 0;
}

/* Gives a directory that no medium of the seed is in the lost one's number. */
static int
number_medium(
    const struct cw_pack_media *m, const char *dir, struct cw_error *err)
{
	uint32_t last = m->o->remake - 1;
	struct cw_target *t;

	if (cw_target_open(&dir, 1, m->ledger->seed_id, m->ledger->time, 0,
		&last, &t, err) < 0)
		return -1;
	cw_target_free(t);
	return 0;
}

int
cw_pack_media_remake(struct cw_pack_media *m, struct cw_error *err)
{
	struct cw_ledger *l = m->ledger;
	uint32_t n = m->o->remake;
	const char *fresh = NULL, *same = NULL;
	char id[CW_SEED_ID_TEXT];

	cw_hex_encode(l->seed_id, CW_SEED_ID_SIZE, id);
	if (l->last_medium == 0)
		return cw_error_set(err, CW_ERR_USAGE,
		    "nothing of seed %s is on a medium yet: run `causeway "
		    "seed` "
		    "again, it goes on",
		    id);
	if (n == 0 || n > l->last_medium)
		return cw_error_set(err, CW_ERR_USAGE,
		    "seed %s has media 1 to %u, no medium %u", id,
		    l->last_medium, n);
	if (l->survive_media > 0)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "seed %s was made with --survive-media %u: any %u of its "
		    "media hold all of it, so rebuild medium %u from those "
		    "with `causeway repair DIR... --to NEWDIR`; nothing has to "
		    "be packed again",
		    id, l->survive_media, l->parity_k, n);
	for (size_t i = 0; i < m->o->to_count; i++) {
		struct cw_medium is;
		int ret = cw_pack_media_peek(m->o->to[i], l->seed_id, &is, err);

		if (ret < 0)
			return -1;
		if (ret == 1 && fresh == NULL)
			fresh = m->o->to[i];
		else if (ret == 0 && is.number == n)
			same = m->o->to[i];
	}
	if (same != NULL && cw_ledger_is_closed(l, n))
		return cw_error_set(err, CW_ERR_REFUSED,
		    "medium %u is there, in %s: `causeway repair` mends what "
		    "is damaged on it; to make it again give the directory of "
		    "an empty medium",
		    n, same);
	/* Interrupted, and gone on with: see cw_seed_parity_open. */
	if (same != NULL)
		return l->is_finished ? cw_ledger_reopen_medium(l, n, err) : 0;
	if (fresh == NULL)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "the directories given all hold other media of seed %s: "
		    "give that of an empty one, which becomes medium %u",
		    id, n);
	if (cw_ledger_reopen_medium(l, n, err) < 0 ||
	    lose_medium(l, n, err) < 0)
		return -1;
	return number_medium(m, fresh, err);
}

/* ---- asking ---- */

/* What goes onto a sticker: "0123abcd 2 of ?". */
static void
write_note(
    const struct cw_pack_media *m, uint32_t number, char *note, size_t size)
{
	char id[CW_SEED_ID_TEXT];

	cw_hex_encode(m->ledger->seed_id, CW_SEED_ID_SIZE, id);
	(void)snprintf(note, size, "%.*s %u of ?", SHORT_ID, id, number);
}

static int
close_one(void *arg, struct cw_target_medium *t, struct cw_error *err)
{
	struct cw_pack_media *m = arg;
	struct cw_error why = CW_ERROR_INIT;
	struct cw_pack_closed *c;
	int ret = cw_finish_medium(m->finish, t, &why, err);

	if (ret < 0)
		return -1;
	if (ret == 1)
		cw_target_fail(m->target, t, &why);
	m->told = cw_reallocarray(m->told, m->told_count + 1, sizeof(*m->told));
	c = &m->told[m->told_count++];
	*c = (struct cw_pack_closed){
	    .number = t->is.number,
	    .path = cw_strdup(t->path),
	    .label = cw_strdup(t->is.label),
	    .problem = ret == 1 ? cw_strdup(why.message) : NULL,
	};
	write_note(m, t->is.number, c->note, sizeof(c->note));
	return 0;
}

static void
forget_told(struct cw_pack_media *m)
{
	for (size_t i = 0; i < m->told_count; i++) {
		free((char *)(uintptr_t)m->told[i].path);
		free((char *)(uintptr_t)m->told[i].label);
		free((char *)(uintptr_t)m->told[i].problem);
	}
	free(m->told);
	m->told = NULL;
	m->told_count = 0;
}

static int
added(void *arg, struct cw_target_medium *t, struct cw_error *err)
{
	struct cw_pack_media *m = arg;

	return cw_ledger_add_medium(m->ledger, t->is.number, err);
}

static uint64_t
volume_bytes(struct cw_ledger *l)
{
	uint64_t sum = 0;

	pthread_mutex_lock(&l->lock);
	for (size_t i = 0; i < l->volume_count; i++)
		sum += l->volumes[i].size;
	pthread_mutex_unlock(&l->lock);
	return sum;
}

/* What is still to come, by what has been written of what was read. */
static uint64_t
estimate(const struct cw_pack_media *m)
{
	const struct cw_progress *p = m->o->progress;
	const struct cw_ledger *l = m->ledger;
	double left, ratio = 1;
	uint64_t total, done, read = m->build->bytes_read, written;

	if (p == NULL)
		return 0;
	total = atomic_load(&p->bytes_total);
	done = atomic_load(&p->bytes_done);
	if (total <= done)
		return 0;
	written = volume_bytes(m->ledger) - m->written_before;
	if (read > 0 && written > 0)
		ratio = (double)written / (double)read;
	if (ratio > 1)
		ratio = 1;
	left = (double)(total - done) * ratio;
	if (l->parity_k > 0)
		left *= (double)(l->parity_k + l->parity_m) / l->parity_k;
	return (uint64_t)left + m->reserve;
}

/* Whether two directories are on one filesystem. */
static bool
is_same_fs(const struct stat *st, const char *path)
{
	struct stat other;

	return path != NULL && stat(path, &other) == 0 &&
	       other.st_dev == st->st_dev;
}

/*
 * What speaks against a directory, as a sentence (malloc'd); NULL if nothing
 * does.  An answer is typed by somebody tired: what is most likely wrong is
 * looked for first.
 */
static char *
find_problem(const struct cw_pack_media *m, const struct cw_pack_ask *ask,
    const char *dir)
{
	struct cw_error err = CW_ERROR_INIT;
	char need_text[CW_TEXT_MAX], have_text[CW_TEXT_MAX];
	uint64_t have, need = m->ledger->volume_size *
				  (1 + (uint64_t)m->ledger->parity_m) +
			      m->reserve;
	struct statvfs vfs;
	struct cw_medium is;
	struct stat st;
	int ret;

	(void)ask;
	if (stat(dir, &st) < 0)
		return errno == ENOENT
			   ? cw_asprintf("there is no directory %s", dir)
			   : cw_asprintf("%s cannot be looked at: %s", dir,
				 strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return cw_asprintf("%s is not a directory", dir);
	if (cw_pack_where(m->o, dir, &err) < 0)
		return cw_strdup(err.message);
	ret = cw_pack_media_peek(dir, m->ledger->seed_id, &is, &err);
	if (ret < 0)
		return cw_strdup(err.message);
	if (ret == 0 && cw_ledger_is_closed(m->ledger, is.number))
		return cw_asprintf("%s is medium %u again, which is full and "
				   "closed: attach another one",
		    dir, is.number);
	for (size_t i = 0; i < cw_target_count(m->target); i++) {
		struct cw_target_medium *t = cw_target_medium(m->target, i);

		if (!t->is_closed && is_same_fs(&st, t->path))
			return cw_asprintf(
			    "%s is on the same disk as medium %u, in %s", dir,
			    t->is.number, t->path);
		if (ret == 0 && t->is.number == is.number)
			return cw_asprintf("%s is medium %u, which was in use "
					   "already; attach another one",
			    dir, is.number);
	}
	ret = is_same_fs(&st, "/") || is_same_fs(&st, m->o->seeds_path);
	for (size_t i = 0; i < m->o->root_count && !ret; i++)
		ret = is_same_fs(&st, m->o->roots[i].path);
	if (ret)
		return cw_asprintf(
		    "nothing is mounted on %s: it is on a disk of this "
		    "server; mount the medium there first",
		    dir);
	if (access(dir, W_OK) < 0)
		return cw_asprintf(
		    "%s cannot be written to: %s", dir, strerror(errno));
	if (statvfs(dir, &vfs) < 0)
		return cw_asprintf(
		    "%s cannot be looked at: %s", dir, strerror(errno));
	have = (uint64_t)vfs.f_bavail * vfs.f_frsize;
	if (have >= need)
		return NULL;
	cw_text_bytes(need, need_text);
	cw_text_bytes(have, have_text);
	return cw_asprintf("%s has %s free, and %s are needed at least (one "
			   "volume, its parity, room for the catalog)",
	    dir, have_text, need_text);
}

static void
make_ask(const struct cw_pack_media *m, struct cw_pack_ask *ask)
{
	*ask = (struct cw_pack_ask){
	    .medium = m->ledger->last_medium + 1,
	    .closed = m->told,
	    .closed_count = m->told_count,
	    .volume_size = m->ledger->volume_size,
	    .bytes_left = estimate(m),
	};
	cw_hex_encode(m->ledger->seed_id, CW_SEED_ID_SIZE, ask->seed);
	write_note(m, ask->medium, ask->label, sizeof(ask->label));
}

/*
 * Asks until an answer will do; 1 if nobody answers.  problem is what speaks
 * against an answer that was given already, or NULL; it is freed.
 */
static int
ask_until(struct cw_pack_media *m, struct cw_pack_ask *ask, char *problem,
    char *(*find)(const struct cw_pack_media *m, const struct cw_pack_ask *ask,
	const char *dir),
    char **dir, struct cw_error *err)
{
	int ret = -1;

	*dir = NULL;
	for (unsigned tries = 0; tries < TRIES_MAX; tries++) {
		ask->problem = problem;
		ret = m->o->ask(m->o->ask_arg, ask, dir, err);
		free(problem);
		problem = NULL;
		if (ret != 0)
			return ret;
		problem = find(m, ask, *dir);
		if (problem == NULL)
			return 0;
		free(*dir);
		*dir = NULL;
	}
	cw_error_set(err, CW_ERR_REFUSED,
	    "no answer out of %u was a medium; the last one: %s", TRIES_MAX,
	    problem);
	free(problem);
	return -1;
}

static int
more(void *arg, const struct cw_error *why, char **dir, struct cw_error *err)
{
	struct cw_pack_media *m = arg;
	struct cw_pack_ask ask;
	char *problem = NULL;
	int ret;

	*dir = NULL;
	/* Another builder wants a place, too. */
	if (m->is_over) {
		*err = m->over;
		return -1;
	}
	make_ask(m, &ask);
	/* A directory that passed, and could not be made a medium after all. */
	if (why->code != CW_ERR_NOSPACE && why->code != CW_OK)
		problem = cw_strdup(why->message);
	ret = ask_until(m, &ask, problem, find_problem, dir, err);
	if (ret == 0) {
		forget_told(m);
	} else {
		m->is_over = true;
		m->over = ret == 1 ? *why : *err;
	}
	return ret;
}

/* What speaks against a directory where a certain medium has to come. */
static char *
find_other(const struct cw_pack_media *m, const struct cw_pack_ask *ask,
    const char *dir)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_medium is;
	int ret = cw_pack_media_peek(dir, m->ledger->seed_id, &is, &err);

	if (ret < 0)
		return cw_strdup(err.message);
	if (ret == 0 && is.number == ask->medium)
		return NULL;
	return ret == 1 ? cw_asprintf("%s holds nothing of this seed", dir)
			: cw_asprintf("%s is medium %u, not medium %u", dir,
			      is.number, ask->medium);
}

static bool
has_volumes(const struct cw_ledger *l, uint32_t medium)
{
	for (size_t i = 0; i < l->volume_count; i++)
		if (l->volumes[i].medium == medium)
			return true;
	return false;
}

/* Whether one of the directories is that medium. */
static bool
is_given(const struct cw_pack_media *m, const char *const *dirs, size_t count,
    uint32_t medium)
{
	struct cw_medium is;

	for (size_t i = 0; i < count; i++)
		if (cw_pack_media_peek(
			dirs[i], m->ledger->seed_id, &is, NULL) == 0 &&
		    is.number == medium)
			return true;
	return false;
}

/*
 * Media that were being written when the seed was interrupted: they have to be
 * here from the beginning, to be gone on with or to be closed.
 */
static int
ask_again(struct cw_pack_media *m, const char **open, size_t *open_count,
    struct cw_error *err)
{
	struct cw_ledger *l = m->ledger;

	for (uint32_t n = 1; n <= l->last_medium; n++) {
		struct cw_pack_ask ask;
		char *dir = NULL;
		int ret;

		if (cw_ledger_is_closed(l, n) || !has_volumes(l, n) ||
		    is_given(m, open, *open_count, n))
			continue;
		make_ask(m, &ask);
		ask.medium = n;
		ask.is_again = true;
		write_note(m, n, ask.label, sizeof(ask.label));
		ret = ask_until(m, &ask, NULL, find_other, &dir, err);
		if (ret == 1)
			cw_error_set(err, CW_ERR_REFUSED,
			    "medium %u of seed %s was being written when the "
			    "seed was interrupted: attach it and run the same "
			    "command again; if it is lost: `causeway seed "
			    "remake %s --medium %u --to DIR`",
			    n, ask.seed, ask.seed, n);
		if (ret != 0)
			return -1;
		m->answers = cw_reallocarray(
		    m->answers, m->answer_count + 1, sizeof(*m->answers));
		m->answers[m->answer_count++] = dir;
		open[(*open_count)++] = dir;
	}
	return 0;
}

/* ---- the beginning ---- */

/* Whether media that were closed have to be written to again. */
static bool
must_reopen(const struct cw_pack_media *m, size_t open_count)
{
	return m->ledger->survive_media > 0 ||
	       (open_count == 0 && m->o->ask == NULL);
}

/*
 * Which of the directories are media that were closed.  They get the catalog
 * at the end, and no volumes any more.
 */
static int
sort_dirs(struct cw_pack_media *m, const char **open, size_t *open_count,
    const char **closed, size_t *closed_count, struct cw_error *err)
{
	struct cw_medium is;

	*open_count = *closed_count = 0;
	for (size_t i = 0; i < m->o->to_count; i++) {
		int ret = cw_pack_media_peek(
		    m->o->to[i], m->ledger->seed_id, &is, err);

		if (ret < 0)
			return cw_error_context(
			    err, "medium in %s", m->o->to[i]);
		if (ret == 0 && cw_ledger_is_closed(m->ledger, is.number))
			closed[(*closed_count)++] = m->o->to[i];
		else
			open[(*open_count)++] = m->o->to[i];
	}
	if (!must_reopen(m, *open_count))
		return 0;
	for (size_t i = 0; i < *closed_count; i++) {
		if (cw_pack_media_peek(
			closed[i], m->ledger->seed_id, &is, err) < 0 ||
		    cw_ledger_reopen_medium(m->ledger, is.number, err) < 0)
			return -1;
		open[(*open_count)++] = closed[i];
	}
	*closed_count = 0;
	return 0;
}

static int
open_dirs(struct cw_pack_media *m, const char **open, size_t open_count,
    const char **closed, size_t closed_count, struct cw_error *err)
{
	struct cw_ledger *l = m->ledger;
	uint32_t last = l->last_medium, last_closed = last;

	if (closed_count > 0 &&
	    cw_target_open(closed, closed_count, l->seed_id, l->time, 0,
		&last_closed, &m->closed, err) < 0)
		return -1;
	/* Where all must be there, one may be replaced, and none is added. */
	if (l->survive_media > 0) {
		if (cw_target_open_set(open, open_count, l->seed_id, l->time,
			m->reserve, &m->target, err) < 0)
			return -1;
		last = (uint32_t)open_count;
	} else if (cw_target_open(open, open_count, l->seed_id, l->time,
		       m->reserve, &last, &m->target, err) < 0) {
		return -1;
	}
	for (uint32_t n = l->last_medium + 1; n <= last; n++)
		if (cw_ledger_add_medium(l, n, err) < 0)
			return -1;
	return 0;
}

/* Volumes, and as many shards as a group has, that a medium is to hold. */
#define VOLUMES_LEAST	  4u
#define VOLUME_SIZE_LEAST (1ull << 20)

uint64_t
cw_pack_media_volume_size(const struct cw_pack_options *o, uint32_t shards)
{
	uint64_t size = CW_VOLUME_SIZE_DEFAULT;

	for (size_t i = 0; i < o->to_count; i++) {
		struct statvfs vfs;
		uint64_t room;

		if (statvfs(o->to[i], &vfs) < 0)
			continue; /* opening it will tell */
		room = (uint64_t)vfs.f_bavail * vfs.f_frsize;
		while (size > VOLUME_SIZE_LEAST &&
		       size * VOLUMES_LEAST * (1 + shards) > room)
			size /= 2;
	}
	return size;
}

int
cw_pack_media_open(
    struct cw_pack_media *m, uint64_t entries, struct cw_error *err)
{
	const char **open, **closed;
	size_t open_count, closed_count;
	struct cw_target_asker asker = {close_one, more, added, m};
	struct cw_finish_parts parts;
	int ret = -1;

	m->reserve = cw_finish_reserve(entries);
	open = cw_calloc(
	    m->o->to_count + m->ledger->last_medium + 1, sizeof(*open));
	closed = cw_calloc(m->o->to_count + 1, sizeof(*closed));
	if (m->o->remake != 0 && cw_pack_media_remake(m, err) < 0)
		goto out;
	if (sort_dirs(m, open, &open_count, closed, &closed_count, err) < 0)
		goto out;
	if (m->o->ask != NULL && ask_again(m, open, &open_count, err) < 0)
		goto out;
	if (open_dirs(m, open, open_count, closed, closed_count, err) < 0)
		goto out;
	if (m->o->ask != NULL)
		cw_target_set_asker(m->target, &asker);
	if (cw_seed_parity_open(
		m->ledger, m->target, m->seed_dir, &m->parity, err) < 0)
		goto out;
	m->written_before = volume_bytes(m->ledger);
	parts = (struct cw_finish_parts){
	    .options = m->o,
	    .ledger = m->ledger,
	    .target = m->target,
	    .parity = m->parity,
	    .seed_dir = m->seed_dir,
	    .closed = m->closed,
	};
	ret = cw_finish_new(&parts, &m->finish, err);
out:
	free(open);
	free(closed);
	return ret;
}

void
cw_pack_media_free(struct cw_pack_media *m)
{
	cw_finish_free(m->finish);
	cw_seed_parity_free(m->parity);
	cw_target_free(m->target);
	cw_target_free(m->closed);
	forget_told(m);
	for (size_t i = 0; i < m->answer_count; i++)
		free(m->answers[i]);
	free(m->answers);
}

bool
cw_pack_media_has_failed(const struct cw_pack_media *m)
{
	if (m->ledger->survive_media > 0)
		return false;
	for (size_t i = 0; i < cw_target_count(m->target); i++)
		if (cw_target_medium(m->target, i)->is_failed)
			return true;
	return false;
}
