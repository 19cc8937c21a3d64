/*
 * The volumes of a builder: opened under the least free number, closed, handed
 * to the finisher; or given up.
 */
#include "seed/builder_impl.h"

#include <stdio.h>

static int
sink(void *arg, const uint8_t *data, size_t len, struct cw_error *err)
{
	struct cw_builder *b = arg;

	if (cw_durable_write(b->file, data, len, err) < 0) {
		b->sink_failed = true;
		return -1;
	}
	return 0;
}

void
builder_report(struct cw_builder *b)
{
	uint64_t written = b->number == 0 ? 0 : cw_volume_written(b->writer);

	cw_queue_report(b->build->queue, b->index, b->number,
	    b->number == 0 ? 0 : cw_volume_room(b->writer),
	    b->raw - b->raw_reported, written - b->written_reported);
	b->raw_reported = b->raw;
	b->written_reported = written;
}

uint32_t
cw_builder_volume(const struct cw_builder *b)
{
	return b->number;
}

static int
take_number(struct cw_build *build, uint32_t *number, struct cw_error *err)
{
	size_t least = 0;

	pthread_mutex_lock(&build->number_lock);
	for (size_t i = 1; i < build->free_count; i++)
		if (build->free_numbers[i] < build->free_numbers[least])
			least = i;
	if (build->free_count > 0) {
		*number = build->free_numbers[least];
		build->free_numbers[least] =
		    build->free_numbers[--build->free_count];
	} else {
		*number = build->next_number++;
	}
	pthread_mutex_unlock(&build->number_lock);
	if (*number > 999999)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "a seed has at most 999999 volumes: choose a larger "
		    "--volume-size");
	return 0;
}

/* The highest number goes back to those that were never given out. */
static void
give_number(struct cw_build *build, uint32_t number)
{
	bool is_highest;

	pthread_mutex_lock(&build->number_lock);
	build->free_numbers = cw_reallocarray(build->free_numbers,
	    build->free_count + 1, sizeof(*build->free_numbers));
	build->free_numbers[build->free_count++] = number;
	do {
		is_highest = false;
		for (size_t i = 0; i < build->free_count; i++) {
			if (build->free_numbers[i] + 1 != build->next_number)
				continue;
			build->free_numbers[i] =
			    build->free_numbers[--build->free_count];
			build->next_number--;
			is_highest = true;
		}
	} while (is_highest);
	pthread_mutex_unlock(&build->number_lock);
}

int
cw_build_lose_volume(
    struct cw_build *build, uint32_t number, struct cw_error *err)
{
	int ret;

	pthread_mutex_lock(&build->catalog_lock);
	ret = cw_catalog_unpack_volume(build->catalog, number, err);
	pthread_mutex_unlock(&build->catalog_lock);
	return ret;
}

int
builder_open_volume(struct cw_builder *b, struct cw_error *err)
{
	struct cw_build *build = b->build;
	char name[32];
	uint32_t number;

	for (;;) {
		if (take_number(build, &number, err) < 0)
			return -1;
		if (cw_target_take(build->target, build->volume_size, &b->place,
			err) < 0) {
			b->must_wait = err->code == CW_ERR_BUSY;
			give_number(build, number);
			return -1;
		}
		(void)snprintf(name, sizeof(name), "%06u.tar.zst.age", number);
		if (cw_durable_open(b->place.medium->folder, name,
			build->volume_size, &b->file, err) == 0)
			break;
		/* This medium is done for; the next one may do. */
		cw_target_release(build->target, &b->place, err);
		give_number(build, number);
	}
	(void)snprintf(name, sizeof(name), "%06u.tar.zst.age.tmp", number);
	cw_target_begun(build->target, &b->place, name);
	b->number = number;
	b->sink_failed = false;
	b->is_framed = false;
	b->written_reported = 0;
	if (cw_volume_open(b->writer, build->recipients, build->recipient_count,
		build->volume_size, sink, b, err) < 0)
		return -1;
	builder_report(b);
	return 0;
}

void
builder_park(struct cw_builder *b, bool is_parked)
{
	if (b->number == 0 || b->is_parked == is_parked)
		return;
	b->is_parked = is_parked;
	cw_target_park(b->build->target, &b->place, is_parked);
}

/* Ends what is known of the open volume; its file has gone elsewhere. */
static void
leave_volume(struct cw_builder *b)
{
	b->file = NULL;
	b->number = 0;
	/* What it took stays counted, or left_packed() would guess too low. */
	b->written_reported = 0;
	builder_forget_links(b);
	builder_report(b);
}

/*
 * The shorter volume is the last one by its number, too: where another
 * builder began a later one, and filled it first, it gets a new number.
 */
static int
renumber_last(struct cw_builder *b, struct cw_error *err)
{
	struct cw_build *build = b->build;
	char name[32];
	uint32_t number;
	int ret;

	pthread_mutex_lock(&build->number_lock);
	number = b->number + 1 == build->next_number ? 0 : build->next_number++;
	pthread_mutex_unlock(&build->number_lock);
	if (number == 0)
		return 0;
	(void)snprintf(name, sizeof(name), "%06u.tar.zst.age", number);
	if (builder_tell_marks(b, err) < 0)
		return -1;
	pthread_mutex_lock(&build->catalog_lock);
	ret = cw_catalog_relabel_volume(build->catalog, b->number, number, err);
	pthread_mutex_unlock(&build->catalog_lock);
	if (ret < 0 || cw_durable_rename(b->file, name, err) < 0)
		return -1;
	b->number = number;
	return 0;
}

int
cw_builder_close_volume(
    struct cw_builder *b, bool is_last, struct cw_error *err)
{
	struct cw_finisher_volume v;

	if (b->number == 0)
		return 0;
	if (is_last && renumber_last(b, err) < 0)
		return -1;
	if (cw_volume_close(b->writer, is_last, err) < 0) {
		if (!b->sink_failed)
			return -1;
		return cw_builder_drop_volume(b, err);
	}
	/*
	 * The catalog may know of the volume before it is durable: without
	 * its line in the ledger that is undone.  The other way round there
	 * would be a volume of which nothing is known.
	 */
	if (builder_tell_marks(b, err) < 0)
		return -1;
	v.file = b->file;
	v.place = b->place;
	v.number = b->number;
	builder_park(b, false);
	leave_volume(b);
	cw_finisher_put(b->build->finisher, &v);
	return 0;
}

int
builder_fail_volume(
    struct cw_builder *b, const struct cw_error *why, struct cw_error *err)
{
	uint32_t number = b->number;

	if (number == 0)
		return 0;
	cw_volume_abort(b->writer);
	cw_durable_free(b->file);
	builder_park(b, false);
	cw_target_release(b->build->target, &b->place, why);
	builder_forget_marks(b);
	leave_volume(b);
	if (cw_build_lose_volume(b->build, number, err) < 0)
		return -1;
	give_number(b->build, number); /* it never got its name */
	/* What was in it waits: this pass is not the last one. */
	atomic_fetch_add(&b->build->moved, 1);
	return 0;
}

int
cw_builder_drop_volume(struct cw_builder *b, struct cw_error *err)
{
	return builder_fail_volume(b, b->sink_failed ? err : NULL, err);
}
