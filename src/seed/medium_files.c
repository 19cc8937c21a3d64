#include "seed/medium_files.h"

#include "base/fs.h"
#include "media/set.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK (1u << 20)

int
cw_medium_files_list(struct cw_medium_files *f, const char *name,
    const struct cw_durable_result *r, enum cw_medium_files_listed listed,
    struct cw_error *err)
{
	struct cw_manifest_file file = {.medium = f->medium, .size = r->size};
	bool is_copy = strncmp(name, CW_SET_COPY "/", 5) == 0;

	f->bytes += r->size;
	if (listed == CW_MEDIUM_FILES_NOWHERE)
		return 0;
	(void)snprintf(file.name, sizeof(file.name), "%s", name);
	memcpy(file.sha256, r->sha256, sizeof(file.sha256));
	/* A copy goes by the line of the file it copies. */
	if (!is_copy && cw_manifest_add_file(f->manifest, &file, err) < 0)
		return -1;
	if (listed == CW_MEDIUM_FILES_IN_MANIFEST)
		return 0;
	return cw_checksums_add(&f->sums, name, r->xxh, err);
}

static int
write_one(struct cw_medium_files *f, const char *name,
    cw_medium_files_fill *fill, void *arg, enum cw_medium_files_listed listed,
    struct cw_durable_result *result, struct cw_error *err)
{
	struct cw_durable *d = NULL;
	struct cw_durable_result r;
	int ret;

	ret = cw_durable_open(f->folder, name, 0, &d, err);
	if (ret == 0)
		ret = fill(arg, d, err);
	if (ret == 0)
		ret = cw_durable_finish(d, &r, err);
	if (ret == 0)
		ret = cw_medium_files_list(f, name, &r, listed, err);
	cw_durable_free(d);
	if (ret < 0)
		return cw_error_context(err, "%s", name);
	if (result != NULL) {
		*result = r;
		result->blocks = NULL;
		result->block_count = 0;
	}
	return 0;
}

/*
 * The copy first: while a manifest is replaced by a later one, there is always
 * one on the medium that goes with its signature.
 */
static int
write_twice(struct cw_medium_files *f, const char *name,
    cw_medium_files_fill *fill, void *arg, enum cw_medium_files_listed listed,
    struct cw_durable_result *result, struct cw_error *err)
{
	char second[CW_MANIFEST_NAME_MAX + 1];

	(void)snprintf(second, sizeof(second), CW_SET_COPY "/%s", name);
	if (write_one(f, second, fill, arg, listed, NULL, err) < 0)
		return -1;
	return write_one(f, name, fill, arg, listed, result, err);
}

static int
fill_text(void *arg, struct cw_durable *d, struct cw_error *err)
{
	const struct cw_buf *text = arg;

	return cw_durable_write(d, text->data, text->len, err);
}

int
cw_medium_files_save(struct cw_medium_files *f, const char *name,
    const struct cw_buf *text, enum cw_medium_files_listed listed,
    struct cw_error *err)
{
	struct cw_buf look = *text;

	return write_twice(f, name, fill_text, &look, listed, NULL, err);
}

int
cw_medium_files_write(struct cw_medium_files *f, const char *name,
    cw_medium_files_fill *fill, void *arg, struct cw_durable_result *result,
    struct cw_error *err)
{
	return write_twice(
	    f, name, fill, arg, CW_MEDIUM_FILES_IN_BOTH, result, err);
}

int
cw_medium_files_fill_copy(void *arg, struct cw_durable *d, struct cw_error *err)
{
	const int *fd = arg;
	uint8_t *buf = cw_malloc(CHUNK);
	uint64_t offset = 0;
	size_t got = 0;
	int ret;

	do {
		ret = cw_pread_full(*fd, buf, CHUNK, offset, &got, err);
		if (ret == 0 && got > 0)
			ret = cw_durable_write(d, buf, got, err);
		offset += got;
	} while (ret == 0 && got > 0);
	free(buf);
	return ret;
}
