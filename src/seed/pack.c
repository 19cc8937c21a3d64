#include "seed/pack.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/rotating.h"
#include "base/thread.h"
#include "seed/builder.h"
#include "seed/finisher.h"
#include "seed/increment.h"
#include "seed/ledger.h"
#include "seed/pack_begin.h"
#include "seed/pack_media.h"
#include "seed/pack_scan.h"
#include "seed/pack_where.h"
#include "seed/queue.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * Closing passes end when one misses nothing that it must have, and has packed
 * no more than this; or not much less than the one before, since the store
 * then changes as fast as it is packed.  What changes later is the next
 * generation's.
 */
#define CLOSING_SMALL 256u
/* From this pass on, files that never hold still are packed as they are. */
#define PASS_MOVING 4u
/* From this pass on, what is not found again is believed to be gone. */
#define PASS_GONE      8u
#define PASSES_MAX     100u
#define BUILDERS_USUAL 4u

struct pack {
	const struct cw_pack_options *o;
	struct cw_pack_result *result;
	struct cw_ledger ledger;
	int seed_dir;
	struct cw_pack_media media;
	struct cw_build build;
	unsigned builder_count;
	struct cw_builder *builders[CW_BUILDERS_MAX];
	struct cw_source_root *roots;
	struct cw_missing *missing;
	struct cw_pack_scanned scanned;
};

static int
open_media(struct pack *p, struct cw_error *err)
{
	uint64_t entries;
	uint32_t *kept;
	int ret;

	p->media.o = p->o;
	p->media.ledger = &p->ledger;
	p->media.seed_dir = p->seed_dir;
	p->media.build = &p->build;
	if (cw_increment_entries(p->o, &p->ledger, &entries, err) < 0 ||
	    cw_pack_media_open(&p->media, entries, err) < 0)
		return -1;
	if (!p->result->is_resumed)
		return 0; /* a seed that begins has nothing in volumes */
	kept = cw_calloc(p->ledger.volume_count + 1, sizeof(*kept));
	for (size_t i = 0; i < p->ledger.volume_count; i++)
		kept[i] = p->ledger.volumes[i].number;
	ret = cw_catalog_keep_volumes(
	    p->o->catalog, kept, p->ledger.volume_count, err);
	free(kept);
	return ret;
}

/* ---- the crew ---- */

static int
open_roots(struct pack *p, struct cw_error *err)
{
	const struct cw_pack_options *o = p->o;

	p->roots = cw_calloc(o->root_count, sizeof(*p->roots));
	for (size_t i = 0; i < o->root_count; i++)
		p->roots[i].dirfd = -1;
	for (size_t i = 0; i < o->root_count; i++) {
		p->roots[i].name = o->roots[i].name;
		p->roots[i].dirfd = cw_open_dir(o->roots[i].path, err);
		if (p->roots[i].dirfd < 0)
			return -1;
	}
	return 0;
}

static int
hire(struct pack *p, struct cw_error *err)
{
	const struct cw_pack_options *o = p->o;
	struct cw_build *b = &p->build;
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	p->builder_count = o->builders != 0 ? o->builders
			   : cores < 1	    ? 1
					    : (unsigned)cores;
	/* Each takes some 40 MB: 256 MiB must do, unless told otherwise. */
	if (o->builders == 0 && p->builder_count > BUILDERS_USUAL)
		p->builder_count = BUILDERS_USUAL;
	if (p->builder_count > CW_BUILDERS_MAX)
		p->builder_count = CW_BUILDERS_MAX;
	b->catalog_path = o->catalog_path;
	b->catalog = o->catalog;
	b->target = p->media.target;
	b->roots = p->roots;
	b->root_count = o->root_count;
	b->recipients = o->recipients;
	b->recipient_count = o->recipient_count;
	b->volume_size = p->ledger.volume_size;
	b->progress = o->progress;
	/* A medium that was lost may turn up, with files of its numbers. */
	b->next_number = p->ledger.last_volume + 1;
	b->finisher = cw_finisher_new(p->media.parity, p->media.target);
	if (cw_queue_new(o->catalog_path, p->ledger.time, p->builder_count,
		b->volume_size, &b->queue, err) < 0)
		return -1;
	cw_queue_since(b->queue, p->ledger.base);
	for (size_t i = 0; i < o->root_count; i++)
		if (cw_is_rotating(p->roots[i].dirfd))
			cw_queue_by_inode(b->queue, true);
	for (unsigned i = 0; i < p->builder_count; i++)
		if (cw_builder_new(b, i, &p->builders[i], err) < 0)
			return -1;
	return 0;
}

struct job {
	struct cw_builder *builder;
	struct cw_error err;
	int ret;
};

static void *
work(void *arg)
{
	struct job *job = arg;

	job->ret = cw_builder_run(job->builder, &job->err);
	return NULL;
}

/* The builder with the open volume of the lowest number, or any. */
static struct cw_builder *
first_builder(const struct pack *p)
{
	struct cw_builder *first = NULL;

	for (unsigned i = 0; i < p->builder_count; i++) {
		struct cw_builder *b = p->builders[i];

		if (cw_builder_volume(b) != 0 &&
		    (first == NULL ||
			cw_builder_volume(b) < cw_builder_volume(first)))
			first = b;
	}
	return first != NULL ? first : p->builders[0];
}

/*
 * All builders, or the one alone, pack until nothing is left; the first real
 * error is kept.
 */
static int
run_builders(struct pack *p, uint64_t bytes, const struct cw_builder *alone,
    struct cw_error *err)
{
	pthread_t threads[CW_BUILDERS_MAX];
	struct job jobs[CW_BUILDERS_MAX];
	int ret = 0;

	if (cw_queue_rewind(p->build.queue, bytes, p->builder_count, err) < 0)
		return -1;
	for (unsigned i = 0; i < p->builder_count; i++) {
		jobs[i] = (struct job){p->builders[i], CW_ERROR_INIT, 0};
		if (alone == p->builders[i])
			cw_queue_alone(p->build.queue, i);
	}
	for (unsigned i = 0; i < p->builder_count; i++) {
		if (alone != NULL && alone != p->builders[i])
			continue;
		if (cw_thread_start(&threads[i], work, &jobs[i]) != 0)
			abort(); /* only without memory */
	}
	for (unsigned i = 0; i < p->builder_count; i++)
		if (alone == NULL || alone == p->builders[i])
			pthread_join(threads[i], NULL);
	for (unsigned i = 0; i < p->builder_count; i++) {
		if (jobs[i].ret == 0)
			continue;
		if (ret == 0 || err->code == CW_ERR_INTERRUPTED)
			*err = jobs[i].err;
		ret = -1;
	}
	return ret;
}

/*
 * At most one volume stays open.  The queue sees to that; where its guess was
 * wrong, the later volume is given up, and its entries fill the earlier one.
 */
static int
settle(struct pack *p, bool *has_dropped, struct cw_error *err)
{
	struct cw_builder *first = NULL;

	*has_dropped = false;
	for (unsigned i = 0; i < p->builder_count; i++) {
		struct cw_builder *b = p->builders[i], *late;

		if (cw_builder_volume(b) == 0)
			continue;
		if (first == NULL) {
			first = b;
			continue;
		}
		late =
		    cw_builder_volume(b) > cw_builder_volume(first) ? b : first;
		first = late == b ? first : b;
		if (cw_builder_drop_volume(late, err) < 0)
			return -1;
		*has_dropped = true;
	}
	return 0;
}

/* Waits for the finisher; what it lost is to be packed again. */
static int
drain(struct pack *p, bool at_end, bool *has_lost, struct cw_error *err)
{
	struct cw_error why = CW_ERROR_INIT;
	uint32_t *lost = NULL;
	size_t count = 0;
	int ret;

	ret = cw_finisher_drain(
	    p->build.finisher, at_end, &lost, &count, &why, err);
	for (size_t i = 0; i < count && ret == 0; i++)
		ret = cw_build_lose_volume(&p->build, lost[i], err);
	free(lost);
	*has_lost = count > 0;
	return ret;
}

static int
close_last(struct pack *p, bool *has_lost, struct cw_error *err)
{
	uint64_t moved = p->build.moved;
	bool is_dropped;

	for (unsigned i = 0; i < p->builder_count; i++)
		if (cw_builder_close_volume(p->builders[i], true, err) < 0)
			return -1;
	/* Its medium failed before the volume could be handed over. */
	is_dropped = p->build.moved != moved;
	/* Nothing more is told to it, unless a volume is lost. */
	if (!is_dropped)
		cw_finish_begin_catalog(p->media.finish);
	if (drain(p, true, has_lost, err) == 0) {
		*has_lost = *has_lost || is_dropped;
		return 0;
	}
	/* cw_finish completes the others, and says what is to be done. */
	return cw_pack_media_has_failed(&p->media) ? 0 : -1;
}

static int
scan(struct pack *p, struct cw_error *err)
{
	int ret = cw_pack_scan(p->o, &p->scanned, err);

	p->build.scan_began_ns = p->scanned.began_ns;
	return ret;
}

/*
 * Does the next pass have to look where this file is now?  Not if it is newer
 * than the seed, which then need not hold it.  (A time that is still to come
 * was set by somebody: it says nothing.)
 */
static bool
must_wait(const struct pack *p, const struct cw_missing_file *f, unsigned pass)
{
	const struct cw_entry *row = &f->row;

	if (f->fate == CW_MISSING_FOUND || f->fate == CW_MISSING_TWICE ||
	    pass >= PASS_GONE)
		return false;
	return row->mtime_ns < p->ledger.time * 1000000000 ||
	       row->mtime_ns > p->build.scan_began_ns;
}

/* Takes the rows off that are missing for good, or that sync will bring. */
static int
forget_missing(struct pack *p, unsigned pass, struct cw_error *err)
{
	struct cw_catalog *c = p->o->catalog;
	uint64_t generation = cw_catalog_info(c)->generation + 1;
	const struct cw_missing_file *files;
	size_t count, removed = 0;
	int ret;

	files = cw_missing_files(p->missing, &count);
	ret = cw_catalog_begin(c, err);
	for (size_t i = 0; i < count && ret == 0; i++) {
		const struct cw_entry *row = &files[i].row;

		if (files[i].fate == CW_MISSING_FOUND)
			continue;
		if (must_wait(p, &files[i], pass)) {
			p->build.moved++;
			continue;
		}
		ret = cw_catalog_remove(
		    c, row->dir, row->name, row->name_len, generation, err);
		removed++;
	}
	if (removed > 0)
		cw_catalog_set_generation(c, generation);
	if (ret == 0)
		ret = cw_catalog_commit(c, err);
	if (ret < 0)
		cw_catalog_rollback(c);
	return ret;
}

/* What could not be opened under the name it was listed with. */
static int
find_missing(struct pack *p, unsigned pass, struct cw_error *err)
{
	size_t count;
	int ret;

	(void)cw_missing_files(p->missing, &count);
	if (count == 0)
		return 0;
	ret = cw_builder_chase(first_builder(p), err);
	if (ret < 0 || (ret == 0 && forget_missing(p, pass, err) < 0))
		return -1;
	cw_missing_reset(p->missing);
	return 0;
}

/*
 * What no pass would pack is an error of ours, and must not go unnoticed: all
 * that is in no volume is either what could not be read, or waits.
 */
static int
check_packed(
    struct pack *p, uint64_t packed, bool *is_whole, struct cw_error *err)
{
	uint64_t entries, bytes;

	if (cw_increment_unpacked(p->o, &p->ledger, &entries, &bytes, err) < 0)
		return -1;
	*is_whole = entries <= p->result->unreadable;
	if (*is_whole || packed > 0)
		return 0;
	return cw_error_set(err, CW_ERR_FAILED,
	    "%llu entries are in no volume though nothing speaks against it: "
	    "run `causeway scan STORE --full`, then the same command again",
	    (unsigned long long)entries);
}

/*
 * Packs what waits, over and over, until a pass finds little, or as much as
 * the one before, and loses nothing.
 */
static int
run_passes(struct pack *p, struct cw_error *err)
{
	struct cw_build *b = &p->build;
	uint64_t before = UINT64_MAX; /* entries that the last pass packed */
	bool has_dropped = false;

	for (unsigned pass = 0; pass < PASSES_MAX; pass++) {
		uint64_t entries, bytes, packed = b->packed, moved = b->moved;
		uint64_t unreadable = b->unreadable;
		bool has_lost, is_small, is_whole;

		/* It has not what this pass changes. */
		cw_finish_forget_catalog(p->media.finish);
		if (pass > 0 && scan(p, err) < 0)
			return -1;
		if (cw_increment_begin_pass(p->o, &p->ledger, err) < 0 ||
		    cw_increment_unpacked(
			p->o, &p->ledger, &entries, &bytes, err) < 0)
			return -1;
		p->result->passes++;
		cw_progress_start(p->o->progress, "packing", bytes, entries);
		b->accept_moving = pass >= PASS_MOVING;
		/* After the first pass all is looked at again anyway. */
		b->missing = pass == 0 ? NULL : p->missing;
		/* What was dropped fills the volume that stayed open. */
		if ((entries > 0 &&
			run_builders(p, bytes,
			    has_dropped ? first_builder(p) : NULL, err) < 0) ||
		    find_missing(p, pass, err) < 0 ||
		    settle(p, &has_dropped, err) < 0 ||
		    drain(p, false, &has_lost, err) < 0)
			return -1;
		if (pass == 0 && entries > 0) {
			before = b->packed - packed;
			continue;
		}
		packed = b->packed - packed;
		is_small = packed <= CLOSING_SMALL || packed > before / 2;
		before = packed;
		if (has_dropped || has_lost || b->moved != moved || !is_small)
			continue;
		p->result->unreadable = b->unreadable - unreadable;
		p->result->first_unreadable = b->first_unreadable;
		if (close_last(p, &has_lost, err) < 0 ||
		    cw_increment_end_pass(p->o, &p->ledger, &is_whole, err) < 0)
			return -1;
		if (has_lost || !is_whole)
			continue;
		if (entries > 0 && check_packed(p, packed, &is_whole, err) < 0)
			return -1;
		if (is_whole)
			return 0;
	}
	return cw_error_set(err, CW_ERR_REFUSED,
	    "the store changes faster than it can be packed: %u passes did not "
	    "catch up; stop the mail service for a minute (or take a snapshot) "
	    "and run the same command again, it goes on from here",
	    PASSES_MAX);
}

static int
pack(struct pack *p, struct cw_error *err)
{
	int found;

	for (size_t i = 0; i < p->o->to_count; i++)
		if (cw_pack_where(p->o, p->o->to[i], err) < 0)
			return -1;
	found = cw_pack_resume(p->o, &p->ledger, &p->seed_dir, err);
	if (found < 0)
		return -1;
	p->result->is_resumed = found == 0;
	if (open_roots(p, err) < 0 || scan(p, err) < 0 ||
	    (found == 1 &&
		cw_pack_begin(p->o, &p->ledger, &p->seed_dir, err) < 0))
		return -1;
	memcpy(p->result->seed_id, p->ledger.seed_id, CW_SEED_ID_SIZE);
	if (open_media(p, err) < 0 || hire(p, err) < 0 ||
	    run_passes(p, err) < 0)
		return -1;
	cw_progress_start(p->o->progress, "closing", 0, 0);
	p->result->parity_k = p->ledger.parity_k;
	p->result->parity_m = p->ledger.parity_m;
	p->result->survive_media = p->ledger.survive_media;
	p->result->volume_size = p->ledger.volume_size;
	/* From now on nothing can be packed again. */
	cw_seed_parity_on_lost(p->media.parity, NULL, NULL);
	if (cw_finish(p->media.finish, p->result, err) < 0)
		return -1;
	p->result->generation = p->ledger.generation;
	p->result->entries = cw_catalog_info(p->o->catalog)->entries;
	p->result->bytes = cw_catalog_info(p->o->catalog)->bytes;
	p->result->bytes_read = p->build.bytes_read;
	p->result->moving = p->build.moving;
	p->result->unreadable_dirs = p->scanned.unreadable;
	if (p->scanned.unreadable > 0)
		p->result->first_unreadable = p->scanned.first_unreadable;
	p->result->volumes = p->ledger.volume_count;
	p->result->parity_shards = p->ledger.shard_count;
	return cw_increment_report(p->o, &p->ledger, p->result, err);
}

int
cw_pack(const struct cw_pack_options *options, struct cw_pack_result *result,
    struct cw_error *err)
{
	struct pack *p = cw_calloc(1, sizeof(*p));
	int ret;

	memset(result, 0, sizeof(*result));
	p->o = options;
	p->result = result;
	p->seed_dir = -1;
	p->ledger.fd = -1;
	p->missing = cw_missing_new();
	pthread_mutex_init(&p->build.catalog_lock, NULL);
	pthread_mutex_init(&p->build.number_lock, NULL);

	ret = pack(p, err);

	for (unsigned i = 0; i < p->builder_count; i++)
		cw_builder_free(p->builders[i]);
	cw_finisher_free(p->build.finisher);
	cw_queue_free(p->build.queue);
	cw_missing_free(p->missing);
	free(p->build.free_numbers);
	cw_pack_media_free(&p->media);
	cw_ledger_close(&p->ledger);
	for (size_t i = 0; p->roots != NULL && i < options->root_count; i++)
		cw_close(&p->roots[i].dirfd);
	free(p->roots);
	cw_close(&p->seed_dir);
	pthread_mutex_destroy(&p->build.catalog_lock);
	pthread_mutex_destroy(&p->build.number_lock);
	free(p);
	return ret;
}

void
cw_pack_free(struct cw_pack_result *result)
{
	for (size_t i = 0; i < result->media_count; i++)
		free(result->media[i].path);
	free(result->media);
	result->media = NULL;
	result->media_count = 0;
}
