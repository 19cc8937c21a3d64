#include "seed/queue.h"

#include "base/buf.h"

#include <pthread.h>
#include <stdlib.h>

#define DAY_NS (86400ll * 1000000000ll)

/*
 * Runs of small files end their turn often, so that builders stay even; runs
 * of large ones are long, since what repeats is found only within a run, and
 * shrink with what is left so that all builders end together.
 */
#define SMALL_ENTRIES 2048u
#define SMALL_BYTES   (16ull << 20)
#define LARGE_ENTRIES 8192u
#define LARGE_BYTES   (256ull << 20)
#define LARGE_LEAST   (16ull << 20)

/* Mail compresses to this share before we know better (percent). */
#define RATIO_GUESS 75u

#define STAGES_MAX 7u

struct stage {
	enum cw_run_what what;
	int64_t from, to; /* mtime in ns */
};

struct slot {
	uint32_t volume;
	uint64_t room;
	bool is_active;
};

struct cw_queue {
	pthread_mutex_t lock;
	pthread_cond_t moved;
	struct cw_catalog *catalog;
	struct stage stages[STAGES_MAX];
	size_t stage_count, stage;
	struct cw_run_query query;
	unsigned builders;
	uint64_t volume_size;
	struct slot slots[CW_BUILDERS_MAX];
	uint64_t since;
	bool by_inode;
	uint64_t left;	      /* bytes not handed out */
	uint64_t raw, packed; /* so far, for the ratio */
	bool is_stopped;
};

static void
plan(struct cw_queue *q, int64_t now)
{
	int64_t now_ns = now * 1000000000ll;
	int64_t edges[] = {
	    INT64_MAX, now_ns - 30 * DAY_NS, now_ns - 365 * DAY_NS, INT64_MIN};

	q->stages[q->stage_count++] =
	    (struct stage){CW_RUN_META, INT64_MIN, INT64_MAX};
	for (size_t i = 0; i + 1 < sizeof(edges) / sizeof(edges[0]); i++) {
		q->stages[q->stage_count++] =
		    (struct stage){CW_RUN_SMALL, edges[i + 1], edges[i]};
		q->stages[q->stage_count++] =
		    (struct stage){CW_RUN_LARGE, edges[i + 1], edges[i]};
	}
}

static void
begin_stage(struct cw_queue *q)
{
	const struct stage *s = &q->stages[q->stage];

	if (q->stage < q->stage_count)
		cw_run_query_init(&q->query, s->what, s->from, s->to);
	q->query.since = q->since;
}

int
cw_queue_new(const char *catalog_path, int64_t now, unsigned builders,
    uint64_t volume_size, struct cw_queue **out, struct cw_error *err)
{
	struct cw_queue *q = cw_calloc(1, sizeof(*q));

	pthread_mutex_init(&q->lock, NULL);
	pthread_cond_init(&q->moved, NULL);
	q->builders = builders;
	q->volume_size = volume_size;
	plan(q, now);
	if (cw_catalog_open(catalog_path, CW_CATALOG_READ, &q->catalog, err) <
	    0) {
		cw_queue_free(q);
		*out = NULL;
		return -1;
	}
	*out = q;
	return 0;
}

void
cw_queue_free(struct cw_queue *q)
{
	if (q == NULL)
		return;
	cw_catalog_close(q->catalog);
	pthread_cond_destroy(&q->moved);
	pthread_mutex_destroy(&q->lock);
	free(q);
}

void
cw_queue_since(struct cw_queue *q, uint64_t since)
{
	q->since = since;
}

void
cw_queue_by_inode(struct cw_queue *q, bool by_inode)
{
	q->by_inode = by_inode;
}

int
cw_queue_rewind(
    struct cw_queue *q, uint64_t bytes, unsigned active, struct cw_error *err)
{
	q->stage = 0;
	q->left = bytes;
	for (unsigned i = 0; i < q->builders; i++)
		q->slots[i].is_active = i < active;
	begin_stage(q);
	return cw_catalog_refresh(q->catalog, err);
}

void
cw_queue_alone(struct cw_queue *q, unsigned builder)
{
	for (unsigned i = 0; i < q->builders; i++)
		q->slots[i].is_active = i == builder;
}

/* What the bytes not handed out will take in volumes, as far as we know. */
static uint64_t
left_packed(const struct cw_queue *q)
{
	if (q->raw < (1u << 20))
		return q->left / 100 * RATIO_GUESS;
	return (uint64_t)((double)q->left * (double)q->packed / (double)q->raw);
}

static unsigned
active(const struct cw_queue *q)
{
	unsigned count = 0;

	for (unsigned i = 0; i < q->builders; i++)
		count += q->slots[i].is_active;
	return count;
}

static uint64_t
run_bytes(const struct cw_queue *q, enum cw_run_what what)
{
	uint64_t share = q->left / (4 * (active(q) == 0 ? 1 : active(q)));
	uint64_t most = what == CW_RUN_LARGE ? LARGE_BYTES : SMALL_BYTES;
	uint64_t least = what == CW_RUN_LARGE ? LARGE_LEAST : SMALL_BYTES / 8;

	return share > most ? most : share < least ? least : share;
}

/*
 * A builder may go on if the volumes of lower number will be filled all the
 * same.  A builder without a volume would open one of the highest number.
 */
static bool
may_take(const struct cw_queue *q, unsigned builder)
{
	const struct slot *mine = &q->slots[builder];
	uint64_t need = 0, left;

	for (unsigned i = 0; i < q->builders; i++) {
		const struct slot *s = &q->slots[i];

		if (i == builder)
			continue;
		if (s->volume == 0) {
			/* Of those without a volume the first begins. */
			if (mine->volume == 0 && s->is_active && i < builder)
				need += q->volume_size;
			continue;
		}
		if (mine->volume != 0 && mine->volume < s->volume)
			continue;
		if (!s->is_active)
			return false; /* nobody would fill it */
		need += s->room;
	}
	if (need == 0)
		return true;
	/* What is left may compress better: to fill too little is dear. */
	need += need / 8;
	left = left_packed(q);
	return left > need &&
	       left - need >= run_bytes(q, CW_RUN_SMALL) / 100 * RATIO_GUESS;
}

/*
 * Small files stay with their directory.  The large ones of a run have to be in
 * the order of size, and one of them is worth a seek.
 */
static int
compare_inodes(const void *a, const void *b)
{
	const struct cw_entry *x = a, *y = b;

	if (x->dir != y->dir)
		return (x->dir > y->dir) - (x->dir < y->dir);
	return (x->ino > y->ino) - (x->ino < y->ino);
}

/* Fills the run from this stage or the next that has something. */
static int
fetch(struct cw_queue *q, enum cw_run_what *what, struct cw_run *run,
    struct cw_error *err)
{
	while (q->stage < q->stage_count) {
		*what = q->stages[q->stage].what;
		if (cw_catalog_next_run(q->catalog, &q->query, run,
			*what == CW_RUN_LARGE ? LARGE_ENTRIES : SMALL_ENTRIES,
			run_bytes(q, *what), err) < 0)
			return -1;
		if (run->count > 0) {
			if (q->by_inode && *what == CW_RUN_SMALL)
				qsort(run->entries, run->count,
				    sizeof(*run->entries), compare_inodes);
			q->left -= run->bytes > q->left ? q->left : run->bytes;
			return 1;
		}
		q->stage++;
		begin_stage(q);
	}
	return 0;
}

int
cw_queue_take(struct cw_queue *q, unsigned builder, enum cw_run_what *what,
    struct cw_run *run, struct cw_error *err)
{
	int ret;

	pthread_mutex_lock(&q->lock);
	while (!q->is_stopped && q->stage < q->stage_count &&
	       !may_take(q, builder))
		pthread_cond_wait(&q->moved, &q->lock);
	if (q->is_stopped)
		ret = cw_error_set(
		    err, CW_ERR_INTERRUPTED, "packing was stopped");
	else
		ret = fetch(q, what, run, err);
	if (ret == 0)
		pthread_cond_broadcast(&q->moved);
	pthread_mutex_unlock(&q->lock);
	return ret;
}

void
cw_queue_report(struct cw_queue *q, unsigned builder, uint32_t volume,
    uint64_t room, uint64_t raw, uint64_t packed)
{
	pthread_mutex_lock(&q->lock);
	q->slots[builder].volume = volume;
	q->slots[builder].room = room;
	q->raw += raw;
	q->packed += packed;
	pthread_cond_broadcast(&q->moved);
	pthread_mutex_unlock(&q->lock);
}

void
cw_queue_leave(struct cw_queue *q, unsigned builder)
{
	pthread_mutex_lock(&q->lock);
	q->slots[builder].is_active = false;
	pthread_cond_broadcast(&q->moved);
	pthread_mutex_unlock(&q->lock);
}

void
cw_queue_stop(struct cw_queue *q)
{
	pthread_mutex_lock(&q->lock);
	q->is_stopped = true;
	pthread_cond_broadcast(&q->moved);
	pthread_mutex_unlock(&q->lock);
}
