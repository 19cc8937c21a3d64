#include "seed/builder_impl.h"

#include "seed/member_name.h"

#include <stdlib.h>

/* Entries of a run that may be put off because they do not fit any more. */
#define MISSES_MAX 8u
/* A volume with less room than this is full. */
#define ROOM_LEAST 32768u
/*
 * Files of this size and more look for their likes in the whole window of FAR
 * frames; smaller ones, some of which fit into what LONG frames remember.
 */
#define FAR_MIN ((uint64_t)2 << 20)

int
cw_builder_new(struct cw_build *build, unsigned index, struct cw_builder **out,
    struct cw_error *err)
{
	struct cw_builder *b = cw_calloc(1, sizeof(*b));

	b->build = build;
	b->index = index;
	b->writer = cw_volume_writer_new(0);
	b->sha = cw_sha256_new();
	if (cw_source_new(build->catalog_path, build->roots, build->root_count,
		&b->source, err) < 0) {
		cw_builder_free(b);
		*out = NULL;
		return -1;
	}
	*out = b;
	return 0;
}

void
cw_builder_free(struct cw_builder *b)
{
	if (b == NULL)
		return;
	if (b->number != 0) {
		cw_volume_abort(b->writer);
		cw_durable_free(b->file);
	}
	if (b->links != NULL) {
		builder_forget_links(b);
		free(b->links);
	}
	builder_free_marks(b);
	cw_run_free(&b->run);
	cw_source_free(b->source);
	cw_volume_writer_free(b->writer);
	cw_sha256_free(b->sha);
	cw_buf_free(&b->name);
	free(b);
}

static enum cw_zframe_kind
frame_of(const struct cw_entry *row, enum cw_run_what what)
{
	if (what != CW_RUN_LARGE)
		return CW_ZFRAME_SHORT;
	return row->size < FAR_MIN ? CW_ZFRAME_LONG : CW_ZFRAME_FAR;
}

static int
pack(struct cw_builder *b, const struct cw_entry *row, enum cw_run_what what,
    const struct builder_opened *opened, struct cw_error *err)
{
	int ret;

	if (cw_stop_check(err) < 0)
		return -1;
	/* Parts take several marks: leave room for those of one file. */
	if (b->marks.count + CW_PARTS_MAX + 2 > BUILDER_MARKS_MAX &&
	    builder_hand_marks(b, err) < 0)
		return -1;
	for (;;) {
		ret = builder_pack_entry(
		    b, row, frame_of(row, what), opened, err);
		if (ret >= 0)
			return ret;
		if (b->number != 0 && b->sink_failed) {
			/* The medium failed: the next one takes the entry. */
			if (builder_fail_volume(b, err, err) < 0)
				return -1;
			continue;
		}
		if (err->code == CW_ERR_UNSUPPORTED) {
			/* A member over the limits costs itself only. */
			builder_note_unreadable(b, err);
			return BUILDER_DONE;
		}
		return -1;
	}
}

/*
 * The volume is full: what was put off comes first in the next one, which
 * holds any whole file.
 */
static int
pack_late(struct cw_builder *b, enum cw_run_what what, const size_t *late,
    size_t count, struct cw_error *err)
{
	size_t i = 0;

	while (i < count) {
		int ret = cw_builder_close_volume(b, false, err);

		while (ret == BUILDER_DONE && i < count) {
			ret =
			    pack(b, &b->run.entries[late[i]], what, NULL, err);
			i += ret == BUILDER_DONE;
		}
		if (ret < 0)
			return -1;
	}
	return 0;
}

static int
pack_run(struct cw_builder *b, enum cw_run_what what, struct cw_error *err)
{
	size_t late[MISSES_MAX], late_count = 0;

	for (size_t i = 0; i < b->run.count; i++) {
		int ret = pack(b, &b->run.entries[i], what, NULL, err);

		if (ret < 0)
			return -1;
		if (ret == BUILDER_DONE)
			continue;
		late[late_count++] = i;
		if (late_count < MISSES_MAX &&
		    cw_volume_room(b->writer) > ROOM_LEAST)
			continue;
		if (pack_late(b, what, late, late_count, err) < 0)
			return -1;
		late_count = 0;
	}
	return pack_late(b, what, late, late_count, err);
}

int
cw_builder_run(struct cw_builder *b, struct cw_error *err)
{
	enum cw_run_what what;
	struct cw_error broken;
	int ret;

	b->must_wait = false;
	builder_park(b, false);
	builder_report(b);
	while ((ret = cw_queue_take(
		    b->build->queue, b->index, &what, &b->run, err)) == 1) {
		if (pack_run(b, what, err) < 0) {
			ret = -1;
			break;
		}
		builder_report(b);
	}
	/*
	 * What has no place before another volume is full waits for the next
	 * pass.
	 */
	if (ret < 0 && b->must_wait) {
		b->build->moved++;
		ret = 0;
	}
	if (ret == 0)
		ret = builder_tell_marks(b, err);
	builder_park(b, true);
	/* A medium that all need has failed: the others end their volumes. */
	if (ret < 0 && !cw_target_broken(b->build->target, &broken))
		cw_queue_stop(b->build->queue);
	else
		cw_queue_leave(b->build->queue, b->index);
	return ret;
}

/* A message that was missing has been found. */
static int
pack_found(void *arg, const struct cw_missing_file *file, int fd,
    const struct stat *st, const char *path, struct cw_error *err)
{
	const struct builder_opened opened = {fd, st};
	const struct cw_entry *row = &file->row;
	struct cw_builder *b = arg;
	int ret = 0;

	/* One name, which is packed as well: this row is what is left of it. */
	if (st->st_nlink == 1)
		ret = cw_source_is_packed(b->source, path, st, err);
	if (ret != 0)
		return ret;
	while ((ret = pack(b, row,
		    row->size > CW_SMALL_MAX ? CW_RUN_LARGE : CW_RUN_SMALL,
		    &opened, err)) == BUILDER_DOES_NOT_FIT)
		if (cw_builder_close_volume(b, false, err) < 0)
			return -1;
	return ret;
}

int
cw_builder_chase(struct cw_builder *b, struct cw_error *err)
{
	const struct cw_build *build = b->build;
	int ret;

	b->must_wait = false;
	builder_park(b, false);
	ret = cw_missing_chase(build->missing, build->roots, build->root_count,
	    pack_found, b, err);
	builder_park(b, true);
	if (ret < 0 && b->must_wait) {
		b->build->moved++;
		return 1;
	}
	if (ret == 0)
		ret = builder_tell_marks(b, err);
	return ret;
}
