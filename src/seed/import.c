#include "seed/import_impl.h"

#include "base/buf.h"
#include "base/fs.h"
#include "seed/import_increment.h"
#include "seed/import_trust.h"

#include <stdlib.h>
#include <string.h>

void
import_fault(void *arg, const char *sentence)
{
	struct import *im = arg;
	struct cw_import_result *r = im->result;

	pthread_mutex_lock(&im->lock);
	r->faults_in_all++;
	if (r->fault_count < CW_IMPORT_FAULTS_MAX) {
		r->faults = cw_reallocarray(
		    r->faults, r->fault_count + 1, sizeof(*r->faults));
		r->faults[r->fault_count++] = cw_strdup(sentence);
	}
	pthread_mutex_unlock(&im->lock);
}

static int
report(struct import *im, struct cw_error *err)
{
	const struct cw_catalog_info *info = cw_catalog_info(im->catalog);
	bool is_known;

	im->result->generation = im->o->set->manifest.generation;
	im->result->entries = info->entries;
	im->result->bytes = info->bytes;
	im->result->is_open = !im->o->set->manifest.is_final;
	return cw_state_digest(im->catalog, im->result->digest, &is_known, err);
}

static void
free_roots(struct cw_import_result *result)
{
	for (size_t i = 0; i < result->root_count; i++) {
		free((void *)(uintptr_t)result->roots[i].name);
		free((void *)(uintptr_t)result->roots[i].path);
	}
	free(result->roots);
	result->roots = NULL;
	result->root_count = 0;
}

static void
close_roots(struct import *im)
{
	for (size_t i = 0; i < im->root_count; i++)
		cw_close(&im->roots[i].dirfd);
	free(im->roots);
	im->roots = NULL;
	im->root_count = 0;
}

/* What a run needs besides catalog and roots. */
static int
begin(struct import *im, struct cw_error *err)
{
	import_free_volumes(im);
	cw_close(&im->done_fd);
	import_list_volumes(im);
	if (import_read_done(im, err) < 0)
		return -1;
	return import_revise(im, err);
}

/*
 * Before a catalog takes the place of another one: a change of catalogs that
 * was interrupted comes first.
 */
static int
end_revision(struct import *im, struct cw_error *err)
{
	int ret;

	ret = cw_catalog_open(
	    im->catalog_path, CW_CATALOG_WRITE, &im->catalog, err);
	if (ret == 0)
		ret = import_open_roots(im, im->catalog, err);
	if (ret == 0)
		ret = begin(im, err);
	cw_catalog_close(im->catalog);
	im->catalog = NULL;
	close_roots(im);
	free_roots(im->result);
	return ret;
}

/*
 * Finds or makes the store: its catalog and roots are then open.  A catalog
 * that is here already need not be on the media any more.
 */
static int
open_store(struct import *im, char **incoming, struct cw_error *err)
{
	enum import_found found;
	char *store = NULL;
	int ret;

	ret = import_find_store(im, &store, err);
	if (ret == 0)
		import_name_store(im, store);
	else if (ret == 1)
		ret = import_receive_catalog(im, incoming, err);
	free(store);
	if (ret < 0 || import_look_at_store(im, *incoming, &found, err) < 0)
		return -1;
	im->result->is_resumed = found == FOUND_THIS || found == FOUND_REVISED;
	if (found == FOUND_THIS)
		return import_open_roots(im, im->catalog, err) < 0
			   ? -1
			   : import_declare(im, err);
	if (found == FOUND_REVISED && end_revision(im, err) < 0)
		return -1;
	return import_install_catalog(im, *incoming, found, err);
}

/* The replica is whole: what is left to do is little. */
static int
repeat(struct import *im, struct cw_error *err)
{
	im->result->is_repeated = true;
	im->result->volumes = im->volume_count;
	if (import_consume_rest(im, true, err) < 0)
		return -1;
	return report(im, err);
}

static int
import(struct import *im, struct cw_error *err)
{
	struct cw_place *place = NULL;
	char *incoming = NULL;
	bool is_ended = false;
	int ret = -1;

	if (cw_import_check_trust(im->o, err) < 0)
		return -1;
	if (im->o->set->manifest.base != 0)
		return import_increment(im, err);
	if (cw_make_dirs(im->o->stores_path, 0700, err) < 0 ||
	    open_store(im, &incoming, err) < 0 ||
	    import_keep_manifest(im, err) < 0 || begin(im, err) < 0 ||
	    import_note_is(im->catalog, CW_NOTE_IMPORT_STATE, "ended",
		&is_ended, err) < 0 ||
	    import_check_emptied(im, &is_ended, err) < 0)
		goto out;
	if (is_ended) {
		ret = repeat(im, err);
		goto out;
	}
	place = cw_place_new(im->roots, im->root_count);
	if (import_undo_vanished(im, place, err) < 0 ||
	    import_check_space(im, err) < 0 ||
	    import_consume_rest(im, false, err) < 0 ||
	    import_make_dirs(im, place, err) < 0 ||
	    import_run_volumes(im, err) < 0 ||
	    import_complete(im, place, err) < 0)
		goto out;
	ret = report(im, err);
out:
	if (incoming != NULL)
		(void)import_remove_incoming(incoming, NULL);
	free(incoming);
	cw_place_free(place);
	return ret;
}

int
cw_import(const struct cw_import_options *options,
    struct cw_import_result *result, struct cw_error *err)
{
	struct import *im = cw_calloc(1, sizeof(*im));
	int ret;

	memset(result, 0, sizeof(*result));
	im->o = options;
	im->result = result;
	im->done_fd = -1;
	pthread_mutex_init(&im->lock, NULL);
	pthread_mutex_init(&im->consuming, NULL);
	pthread_cond_init(&im->moved, NULL);

	ret = import(im, err);

	cw_catalog_close(im->catalog);
	close_roots(im);
	import_free_volumes(im);
	free(im->unsynced);
	free(im->rebuild);
	free(im->store_dir);
	free(im->catalog_path);
	cw_close(&im->done_fd);
	pthread_cond_destroy(&im->moved);
	pthread_mutex_destroy(&im->consuming);
	pthread_mutex_destroy(&im->lock);
	free(im);
	return ret;
}

void
cw_import_free(struct cw_import_result *result)
{
	free_roots(result);
	for (size_t i = 0; i < result->fault_count; i++)
		free(result->faults[i]);
	free(result->faults);
	free(result->damaged);
	free(result->absent);
	memset(result, 0, sizeof(*result));
}
