#include "seed/import_impl.h"

#include "base/buf.h"
#include "base/fs.h"
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
	return cw_state_digest(im->catalog, im->result->digest, &is_known, err);
}

static int
import(struct import *im, struct cw_error *err)
{
	struct cw_place *place = NULL;
	char *incoming = NULL;
	enum import_found found;
	bool is_ended = false;
	int ret = -1;

	if (cw_import_check_trust(im->o, err) < 0 ||
	    cw_make_dirs(im->o->stores_path, 0700, err) < 0 ||
	    import_receive_catalog(im, &incoming, err) < 0)
		goto out;
	im->store_dir =
	    cw_asprintf("%s/%s", im->o->stores_path, im->result->store);
	im->catalog_path = cw_asprintf("%s/catalog.sqlite", im->store_dir);
	if (import_look_at_store(im, &found, err) < 0)
		goto out;
	if (found == FOUND_THIS) {
		if (import_open_roots(im, false, err) < 0 ||
		    import_declare(im, err) < 0 ||
		    import_note_is(im->catalog, CW_NOTE_IMPORT_STATE, "ended",
			&is_ended, err) < 0)
			goto out;
		im->result->is_resumed = true;
	} else if (import_install_catalog(im, incoming, err) < 0) {
		goto out;
	}
	import_list_volumes(im);
	if (import_read_done(im, err) < 0)
		goto out;
	if (is_ended) {
		im->result->is_repeated = true;
		im->result->volumes = im->volume_count;
		ret = report(im, err);
		goto out;
	}
	place = cw_place_new(im->roots, im->root_count);
	if (import_make_dirs(im, place, err) < 0 ||
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
	pthread_cond_init(&im->moved, NULL);

	ret = import(im, err);

	cw_catalog_close(im->catalog);
	for (size_t i = 0; i < im->root_count; i++)
		cw_close(&im->roots[i].dirfd);
	free(im->roots);
	free(im->volumes);
	free(im->unsynced);
	free(im->store_dir);
	free(im->catalog_path);
	cw_close(&im->done_fd);
	pthread_cond_destroy(&im->moved);
	pthread_mutex_destroy(&im->lock);
	free(im);
	return ret;
}

void
cw_import_free(struct cw_import_result *result)
{
	for (size_t i = 0; i < result->root_count; i++) {
		free((void *)(uintptr_t)result->roots[i].name);
		free((void *)(uintptr_t)result->roots[i].path);
	}
	free(result->roots);
	for (size_t i = 0; i < result->fault_count; i++)
		free(result->faults[i]);
	free(result->faults);
	free(result->absent);
	memset(result, 0, sizeof(*result));
}
