#include "base/fs.h"
#include "base/thread.h"
#include "seed/blocks.h"
#include "seed/finish_catalog.h"
#include "seed/finish_impl.h"

#include <stdlib.h>
#include <string.h>

/* A medium at the end of the seed. */
struct ending {
	uint32_t number;
	struct cw_target_medium *m; /* NULL: it is not here */
	bool was_closed;
	bool is_fresh; /* it gets the manifest */
	struct cw_pack_medium report;
};

struct endings {
	struct ending *items;
	size_t count;
	struct cw_error
	    failed; /* of the first medium that could not be closed */
	uint32_t failed_number;
	bool has_lost_volumes;
};

/* Volumes on media that are not here and were not closed can't be listed. */
static int
check_media(const struct cw_finish *f, const struct cw_ledger *now,
    struct cw_error *err)
{
	for (size_t i = 0; i < now->volume_count; i++) {
		uint32_t n = now->volumes[i].medium;

		if (!cw_ledger_is_closed(now, n) &&
		    cw_target_find(f->p.target, n) == NULL)
			return cw_error_set(err, CW_ERR_REFUSED,
			    "medium %u of this seed is not among the "
			    "directories given with --to: attach it and run "
			    "the same command again with its directory too; "
			    "if it is lost: `causeway seed remake %s --medium "
			    "%u --to DIR`",
			    n, f->seed, n);
	}
	return 0;
}

/* A line a medium, by number. */
static void
find_endings(
    const struct cw_finish *f, const struct cw_ledger *now, struct endings *e)
{
	e->items = cw_calloc(now->last_medium + 1, sizeof(*e->items));
	for (uint32_t n = 1; n <= now->last_medium; n++) {
		struct ending *end = &e->items[e->count];

		*end = (struct ending){
		    .number = n, .was_closed = cw_ledger_is_closed(now, n)};
		if (!end->was_closed)
			end->m = cw_target_find(f->p.target, n);
		else if (f->p.closed != NULL)
			end->m = cw_target_find(f->p.closed, n);
		if (end->m != NULL || end->was_closed)
			e->count++;
	}
}

static bool
has_volumes(const struct cw_ledger *now, uint32_t medium)
{
	for (size_t i = 0; i < now->volume_count; i++)
		if (now->volumes[i].medium == medium)
			return true;
	return false;
}

/* What a manifest says of a medium, for the report. */
static void
report_lines(struct ending *e, const struct cw_manifest *m)
{
	const struct cw_medium *is = cw_manifest_medium(m, e->number);
	struct cw_medium unknown = {.number = e->number};

	free(e->report.path);
	finish_begin_report(&e->report, is == NULL ? &unknown : is,
	    e->m == NULL ? "" : e->m->path);
	for (size_t i = 0; i < m->file_count; i++) {
		const struct cw_manifest_file *file = &m->files[i];
		size_t len = strlen(file->name);

		if (file->medium != e->number)
			continue;
		e->report.bytes += file->size;
		if (file->name[0] >= '0' && file->name[0] <= '9') {
			if (strcmp(file->name + len - 3, ".rs") == 0)
				e->report.shards++;
			else
				e->report.volumes++;
		}
	}
}

static void
note_failure(struct endings *e, struct ending *end, const struct cw_error *why)
{
	end->is_fresh = false;
	if (e->failed.code != CW_OK)
		return;
	e->failed = *why;
	e->failed_number = end->number;
	/* What was said when it was closed names it already. */
	if (!end->m->is_closed)
		cw_error_context(
		    &e->failed, "medium %u in %s", end->number, end->m->path);
}

/*
 * One medium: its files, and its lines in the manifest.  A medium that fails
 * is noted and has no lines; -1 is our own failure.
 */
static int
end_medium(const struct cw_finish *f, const struct cw_ledger *now,
    struct endings *e, struct ending *end, struct cw_manifest *manifest,
    struct cw_error *err)
{
	struct cw_error why = CW_ERROR_INIT;
	struct cw_manifest part = CW_MANIFEST_INIT;
	int ret = 1;

	memcpy(part.seed_id, manifest->seed_id, sizeof(part.seed_id));
	if (!end->was_closed) {
		/* One that failed before anything was on it is no medium. */
		if (end->m->is_failed && !has_volumes(now, end->number)) {
			cw_manifest_free(&part);
			return 0;
		}
		if (end->m->is_closed) {
			/* It was taken away before it was complete. */
			why = end->m->why;
			ret = -1;
		} else if (end->m->is_failed && now->survive_media == 0) {
			ret = cw_seed_parity_close(f->p.parity, end->m, &why);
		} else {
			ret = 0;
		}
		if (ret == 0)
			ret = finish_write_listed(f, now, end->m,
			    now->last_medium, f->catalog, &part, &end->report,
			    &why);
	} else if (end->m != NULL) {
		ret = finish_refresh(f, now, end->m, f->catalog,
		    f->catalog_size, &part, &end->report, &why);
	}
	if (ret < 0 && why.code == CW_ERR_INTERRUPTED) {
		*err = why;
		cw_manifest_free(&part);
		return -1;
	}
	if (ret < 0 && end->m != NULL) {
		note_failure(e, end, &why);
		if (!end->was_closed) {
			e->has_lost_volumes = true;
			cw_manifest_free(&part);
			return 0;
		}
	}
	end->is_fresh = ret == 0;
	if (ret == 0) {
		if (part.has_catalog) {
			manifest->has_catalog = true;
			memcpy(manifest->catalog, part.catalog,
			    sizeof(part.catalog));
		}
		ret = finish_copy_medium(manifest, &part, end->number, err);
	} else {
		/* It stays as it was closed, and is as good as it was. */
		ret = finish_copy_closed(f, manifest, end->number, err);
		if (ret == 0) {
			report_lines(end, &f->last);
			end->report.is_closed = true;
		}
	}
	cw_manifest_free(&part);
	return ret < 0 ? -1 : 0;
}

static void
hand_over_reports(struct endings *e, struct cw_pack_result *result)
{
	result->media = cw_calloc(e->count + 1, sizeof(*result->media));
	for (size_t i = 0; i < e->count; i++) {
		if (e->items[i].report.path == NULL)
			continue;
		result->bytes_written += e->items[i].report.bytes;
		result->media[result->media_count++] = e->items[i].report;
	}
}

static int
fail_end(
    const struct cw_finish *f, const struct endings *e, struct cw_error *err)
{
	*err = e->failed;
	err->code = err->code == CW_ERR_NOSPACE ? CW_ERR_NOSPACE : CW_ERR_IO;
	return cw_error_context(err,
	    "seed %s is not finished, all other media are: attach medium %u "
	    "again and run the same command, or make it again with `causeway "
	    "seed remake %s --medium %u --to DIR`",
	    f->seed, e->failed_number, f->seed, e->failed_number);
}

/* ---- the catalog ---- */

static void *
make_catalog(void *arg)
{
	struct cw_finish *f = arg;

	f->made = cw_finish_catalog(f->o, f->p.ledger->base, f->p.seed_dir,
	    f->path, &f->catalog, &f->catalog_size, &f->made_err);
	return NULL;
}

void
cw_finish_begin_catalog(struct cw_finish *f)
{
	cw_finish_forget_catalog(f);
	/* That of an increment asks more of ours than a copy of its rows. */
	if (f->p.ledger->base != 0)
		return;
	f->is_making = cw_thread_start(&f->maker, make_catalog, f) == 0;
}

void
cw_finish_forget_catalog(struct cw_finish *f)
{
	if (f->is_making)
		pthread_join(f->maker, NULL);
	f->is_making = false;
	cw_close(&f->catalog);
	f->made_err = (struct cw_error)CW_ERROR_INIT;
}

/* The one that was begun, or a new one. */
static int
take_catalog(struct cw_finish *f, struct cw_error *err)
{
	if (!f->is_making)
		return cw_finish_catalog(f->o, f->p.ledger->base, f->p.seed_dir,
		    f->path, &f->catalog, &f->catalog_size, err);
	pthread_join(f->maker, NULL);
	f->is_making = false;
	if (f->made < 0)
		*err = f->made_err;
	return f->made;
}

/* ---- the end ---- */

int
cw_finish(
    struct cw_finish *f, struct cw_pack_result *result, struct cw_error *err)
{
	struct finish_signed text = {CW_BUF_INIT, CW_BUF_INIT, 0};
	struct cw_manifest manifest = CW_MANIFEST_INIT;
	struct endings e = {.failed = CW_ERROR_INIT};
	struct cw_ledger now;
	size_t fresh = 0;
	int ret = -1;

	finish_snapshot(f->p.ledger, &now);
	find_endings(f, &now, &e);
	if (check_media(f, &now, err) < 0 || take_catalog(f, err) < 0 ||
	    finish_begin_manifest(f, &manifest, err) < 0)
		goto out;
	for (size_t i = 0; i < e.count; i++) {
		if (end_medium(f, &now, &e, &e.items[i], &manifest, err) < 0)
			goto out;
		fresh += e.items[i].is_fresh;
	}
	if (fresh == 0 && e.failed.code == CW_OK) {
		cw_error_set(err, CW_ERR_REFUSED,
		    "all volumes are on media that are closed, and none is "
		    "here for the catalog: attach one more and run the same "
		    "command with its directory as --to");
		goto out;
	}
	/* Some medium still has to come: then this is not all. */
	manifest.is_final = !e.has_lost_volumes && fresh > 0;
	manifest.media = manifest.is_final ? now.last_medium : 0;
	finish_keep_listed_groups(&now, &manifest);
	if (fresh == 0) {
		fail_end(f, &e, err);
		goto out;
	}
	if (cw_seed_parity_list(&now, &manifest, err) < 0 ||
	    finish_sign(f, &manifest, &text, err) < 0)
		goto out;
	for (size_t i = 0; i < e.count; i++) {
		struct cw_error why = CW_ERROR_INIT;
		struct ending *end = &e.items[i];

		if (!end->is_fresh)
			continue;
		if (finish_write_signed(f, end->m, &text, &end->report, &why) <
		    0)
			note_failure(&e, end, &why);
		else if (!end->was_closed && cw_ledger_close_medium(f->p.ledger,
						 end->number, err) < 0)
			goto out;
	}
	cw_sha256(text.text.data, text.text.len, result->manifest_sha256);
	result->revision = text.revision;
	hand_over_reports(&e, result);
	e.count = 0; /* the reports are the result's */
	if (e.failed.code != CW_OK) {
		fail_end(f, &e, err);
		goto out;
	}
	if (cw_ledger_finish(f->p.ledger, err) < 0)
		goto out;
	cw_seed_blocks_forget(f->p.seed_dir);
	ret = 0;
out:
	for (size_t i = 0; i < e.count; i++)
		free(e.items[i].report.path);
	free(e.items);
	cw_finish_forget_catalog(f);
	cw_ledger_close(&now);
	cw_manifest_free(&manifest);
	cw_buf_free(&text.text);
	cw_buf_free(&text.signature);
	return ret;
}
