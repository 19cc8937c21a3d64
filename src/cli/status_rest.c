#include "cli/status_rest.h"

#include "base/bytes.h"
#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIVERGED_MAX 64u /* listings; the oldest are left out */

static uint64_t
count_lines(const char *path)
{
	FILE *f = fopen(path, "re");
	char chunk[16384];
	uint64_t lines = 0;
	size_t n;

	if (f == NULL)
		return 0;
	while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		for (size_t i = 0; i < n; i++)
			lines += chunk[i] == '\n';
	(void)fclose(f);
	return lines;
}

static int
by_epoch(const void *a, const void *b)
{
	const struct cw_status_diverged *x = a, *y = b;

	return (x->epoch > y->epoch) - (x->epoch < y->epoch);
}

static void
find_diverged(const char *dir, struct cw_status_rest *rest)
{
	char *path = cw_asprintf("%s/diverged", dir);
	DIR *d = opendir(path);
	struct dirent *de;

	rest->diverged = cw_calloc(DIVERGED_MAX, sizeof(*rest->diverged));
	while (d != NULL && (de = readdir(d)) != NULL &&
	       rest->diverged_count < DIVERGED_MAX) {
		struct cw_status_diverged *one =
		    &rest->diverged[rest->diverged_count];
		size_t len = strlen(de->d_name);

		if (len < 5 || strcmp(de->d_name + len - 4, ".txt") != 0 ||
		    !cw_decimal_parse(
			de->d_name, len - 4, INT64_MAX, &one->epoch))
			continue;
		one->list = cw_asprintf("%s/%s", path, de->d_name);
		one->files = count_lines(one->list);
		if (one->files > 0)
			rest->diverged_count++;
		else
			free(one->list);
	}
	if (d != NULL)
		(void)closedir(d);
	qsort(rest->diverged, rest->diverged_count, sizeof(*rest->diverged),
	    by_epoch);
	free(path);
}

int
cw_status_rest_look(const struct cw_home *home,
    const struct cw_config_store *store, const struct cw_role *role,
    struct cw_status_rest *rest, struct cw_error *err)
{
	const struct cw_epochs *history = &role->history;
	char *dir = cw_home_store_dir(home, store->name);

	rest->epoch = role->epoch;
	rest->is_failover =
	    history->count > 0 &&
	    history->epochs[history->count - 1].kind == CW_EPOCH_FAILOVER;
	find_diverged(dir, rest);
	free(dir);
	return cw_cutover_look(home, store, role, &rest->rest, err);
}

void
cw_status_rest_free(struct cw_status_rest *rest)
{
	for (size_t i = 0; i < rest->diverged_count; i++)
		free(rest->diverged[i].list);
	free(rest->diverged);
	*rest = (struct cw_status_rest){.diverged = NULL};
}

json_t *
cw_status_rest_json(const struct cw_status_rest *rest)
{
	static const char *const words[] = {
	    [CW_CUTOVER_REST_NONE] = NULL,
	    [CW_CUTOVER_REST_RUNS] = "running",
	    [CW_CUTOVER_REST_FENCING] = "cut-off",
	    [CW_CUTOVER_REST_GIVEN] = "given-away",
	    [CW_CUTOVER_REST_PROMOTE] = "promote-owed",
	    [CW_CUTOVER_REST_FENCE] = "fence-owed",
	    [CW_CUTOVER_REST_SPLIT] = "split",
	};

	return words[rest->rest] == NULL ? json_null()
					 : json_string(words[rest->rest]);
}

json_t *
cw_status_diverged_json(const struct cw_status_rest *rest)
{
	json_t *list = json_array();

	for (size_t i = 0; i < rest->diverged_count; i++)
		json_array_append_new(
		    list, json_pack("{s:I, s:I, s:s}", "epoch",
			      (json_int_t)rest->diverged[i].epoch, "files",
			      (json_int_t)rest->diverged[i].files, "list",
			      rest->diverged[i].list));
	return list;
}

void
cw_status_rest_print(const struct cw_status_rest *rest,
    const struct cw_home *home, const char *store)
{
	char files[CW_TEXT_MAX];

	switch (rest->rest) {
	case CW_CUTOVER_REST_NONE:
	case CW_CUTOVER_REST_GIVEN: /* stands behind the role */
		break;
	case CW_CUTOVER_REST_RUNS:
		(void)puts("  a cutover is under way");
		break;
	case CW_CUTOVER_REST_FENCING:
		(void)printf("  a cutover was cut off before anything was "
			     "handed over, and the service may be stopped: the "
			     "daemon puts it back, or `causeway cutover %s "
			     "--to %s`\n",
		    store, home->config.name);
		break;
	case CW_CUTOVER_REST_PROMOTE:
		(void)printf("  the promote hook has not succeeded, so nobody "
			     "may be served; `causeway cutover %s%s` runs it "
			     "again\n",
		    store, rest->is_failover ? " --primary-lost" : "");
		break;
	case CW_CUTOVER_REST_FENCE:
		(void)puts("  another site took over, and the fence hook has "
			   "not succeeded here: stop the mail service by hand. "
			   " The next link runs the hook again");
		break;
	case CW_CUTOVER_REST_SPLIT:
		(void)printf("  SPLIT BRAIN: another site began epoch %llu, "
			     "too.  Decide which one is right, stop the "
			     "service of the other, and run `causeway cutover "
			     "%s --primary-lost` at the right one\n",
		    (unsigned long long)rest->epoch, store);
		break;
	}
	for (size_t i = 0; i < rest->diverged_count; i++) {
		cw_text_count(rest->diverged[i].files, files);
		(void)printf("  %s file%s that only this site had when epoch "
			     "%llu began, kept and listed: %s\n",
		    files, rest->diverged[i].files == 1 ? "" : "s",
		    (unsigned long long)rest->diverged[i].epoch,
		    rest->diverged[i].list);
	}
}
