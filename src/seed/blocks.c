#include "seed/blocks.h"

#include "base/fs.h"
#include "media/set.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FOLDER "blocks"
#define CHUNK  (1u << 20)

static uint64_t
count_of(uint64_t size)
{
	return (size + CW_DURABLE_BLOCK - 1) / CW_DURABLE_BLOCK;
}

int
cw_seed_blocks_save(int seed_dir, const char *name,
    const struct cw_durable_result *result, struct cw_error *err)
{
	char *path;
	int ret;

	if (mkdirat(seed_dir, FOLDER, 0700) < 0) {
		if (errno != EEXIST)
			return cw_error_errno(err,
			    "cannot make the folder " FOLDER
			    " in the seed's state directory");
	} else if (cw_sync(seed_dir, err) < 0) {
		return -1;
	}
	path = cw_asprintf(FOLDER "/%s", name);
	ret = cw_save_file(seed_dir, path, result->blocks,
	    result->block_count * CW_XXH_SIZE, 0600, err);
	if (ret < 0)
		cw_error_context(err, "%s in the seed's state directory", path);
	free(path);
	return ret;
}

void
cw_seed_blocks_remove(int seed_dir, const char *name)
{
	char *path = cw_asprintf(FOLDER "/%s", name);

	(void)unlinkat(seed_dir, path, 0);
	free(path);
}

/* Reads the file itself; it must be the one that the ledger has. */
static int
read_again(const struct cw_target_medium *m, const char *name, uint64_t size,
    const uint8_t sha256[CW_SHA256_SIZE], struct cw_buf *out,
    struct cw_error *err)
{
	struct cw_sha256 *sha = cw_sha256_new();
	uint8_t *data = cw_malloc(CHUNK);
	uint8_t found[CW_SHA256_SIZE], xxh[CW_XXH_SIZE];
	struct stat st;
	uint64_t offset = 0;
	size_t got, before = out->len;
	int fd, ret = -1;

	fd = cw_set_open_file(m->folder, name, 0, &st, err);
	while (fd >= 0) {
		if (cw_pread_full(fd, data, CHUNK, offset, &got, err) < 0)
			goto out;
		if (got == 0)
			break;
		cw_sha256_update(sha, data, got);
		for (size_t at = 0; at < got; at += CW_DURABLE_BLOCK) {
			size_t n = got - at < CW_DURABLE_BLOCK
				       ? got - at
				       : CW_DURABLE_BLOCK;

			cw_xxh(data + at, n, xxh);
			cw_buf_append(out, xxh, sizeof(xxh));
		}
		offset += got;
	}
	cw_sha256_final(sha, found);
	if (fd < 0)
		goto out;
	if (offset != size || memcmp(found, sha256, sizeof(found)) != 0) {
		cw_error_set(
		    err, CW_ERR_DAMAGED, "it is not what was written there");
		goto out;
	}
	ret = 0;
out:
	if (ret < 0) {
		out->len = before;
		cw_error_context(err, "%s on the medium in %s", name, m->path);
	}
	cw_close(&fd);
	cw_sha256_free(sha);
	free(data);
	return ret;
}

int
cw_seed_blocks_load(int seed_dir, const struct cw_target_medium *m,
    const char *name, uint64_t size, const uint8_t sha256[CW_SHA256_SIZE],
    struct cw_buf *out, struct cw_error *err)
{
	size_t want = count_of(size) * CW_XXH_SIZE, before = out->len;
	char *path = cw_asprintf(FOLDER "/%s", name);
	int ret;

	ret = cw_read_file(seed_dir, path, want, out, NULL);
	free(path);
	if (ret == 0 && out->len - before == want)
		return 0;
	out->len = before;
	return read_again(m, name, size, sha256, out, err);
}

/* A file of the medium, to be put in order. */
struct listed {
	char name[CW_LEDGER_NAME_MAX];
	uint64_t size;
	const uint8_t *sha256;
};

static int
by_name(const void *a, const void *b)
{
	return strcmp(
	    ((const struct listed *)a)->name, ((const struct listed *)b)->name);
}

int
cw_seed_blocks_write(const struct cw_ledger *l, int seed_dir,
    const struct cw_target_medium *m, struct cw_durable *d,
    struct cw_error *err)
{
	struct listed *files =
	    cw_calloc(l->volume_count + l->shard_count + 1, sizeof(*files));
	struct cw_buf text = CW_BUF_INIT;
	size_t count = 0;
	int ret = 0;

	for (size_t i = 0; i < l->volume_count; i++) {
		const struct cw_ledger_volume *v = &l->volumes[i];

		if (v->medium != m->is.number)
			continue;
		cw_ledger_volume_name(v->number, files[count].name);
		files[count].sha256 = v->sha256;
		files[count++].size = v->size;
	}
	for (size_t i = 0; i < l->shard_count; i++) {
		const struct cw_ledger_shard *s = &l->shards[i];

		if (s->medium != m->is.number)
			continue;
		cw_ledger_shard_name(s->group, s->index, files[count].name);
		files[count].sha256 = s->sha256;
		files[count++].size = s->size;
	}
	qsort(files, count, sizeof(*files), by_name);
	for (size_t i = 0; i < count && ret == 0; i++) {
		cw_buf_reset(&text);
		ret = cw_seed_blocks_load(seed_dir, m, files[i].name,
		    files[i].size, files[i].sha256, &text, err);
		if (ret == 0)
			ret = cw_durable_write(d, text.data, text.len, err);
	}
	cw_buf_free(&text);
	free(files);
	return ret;
}

void
cw_seed_blocks_forget(int seed_dir)
{
	int fd = openat(seed_dir, FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (dir == NULL) {
		cw_close(&fd);
		return;
	}
	while ((entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.')
			(void)unlinkat(dirfd(dir), entry->d_name, 0);
	closedir(dir);
	(void)unlinkat(seed_dir, FOLDER, AT_REMOVEDIR);
}
