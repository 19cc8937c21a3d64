/*
 * A stranger's catalog: patches to a good one.  The input is a list of
 * records, each 3 bytes of offset, 1 of length, and so many bytes.  What is
 * accepted must be readable from end to end.
 */
#include "base/crypto.h"
#include "store/changes.h"
#include "store/contents.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static char dir[] = "/tmp/cw-fuzz-XXXXXX";
static char path[64];
static uint8_t *model;
static size_t model_len;

static void
forget(void)
{
	(void)unlink(path);
	(void)rmdir(dir);
}

static void
fill(struct cw_catalog *c)
{
	struct cw_error err;
	struct cw_entry e = CW_ENTRY_INIT;
	int64_t child;

	e.name = "mail";
	e.name_len = 4;
	e.kind = CW_KIND_DIR;
	e.mode = 0755;
	if (cw_catalog_begin(c, &err) < 0 ||
	    cw_catalog_root_put(c, "mail", "maildir", "fuzzy", &err) < 0)
		abort();
	for (int i = 0; i < 3; i++) {
		if (cw_catalog_put(c, &e, 1, &child, &err) < 0)
			abort();
		e.dir = child;
	}
	e.kind = CW_KIND_FILE;
	e.size = 70000;
	e.has_digest = true;
	e.volume = 1;
	for (int i = 0; i < 10; i++) {
		char name[20];

		snprintf(name, sizeof(name), "file%d", i);
		e.name = name;
		e.name_len = strlen(name);
		if (cw_catalog_put(c, &e, 2, NULL, &err) < 0)
			abort();
	}
	/* Deletions, and contents that went. */
	if (cw_catalog_remove(c, e.dir, "file0", 5, 3, &err) < 0 ||
	    cw_catalog_remove(c, e.dir, "file1", 5, 3, &err) < 0)
		abort();
	cw_catalog_set_generation(c, 3);
	if (cw_catalog_commit(c, &err) < 0)
		abort();
}

static void
make_model(void)
{
	char first[80];
	struct cw_error err;
	struct cw_catalog *c;
	struct stat st;
	int fd;

	if (mkdtemp(dir) == NULL)
		abort();
	snprintf(first, sizeof(first), "%s/first", dir);
	snprintf(path, sizeof(path), "%s/catalog", dir);
	if (cw_catalog_create(first, "mail", &err) < 0 ||
	    cw_catalog_open(first, CW_CATALOG_WRITE, &c, &err) < 0)
		abort();
	fill(c);
	if (cw_catalog_export(c, path, &err) < 0)
		abort();
	cw_catalog_close(c);
	(void)unlink(first);
	if ((fd = open(path, O_RDONLY)) < 0 || fstat(fd, &st) < 0)
		abort();
	model_len = (size_t)st.st_size;
	model = malloc(model_len);
	if (model == NULL || read(fd, model, model_len) != st.st_size)
		abort();
	close(fd);
	atexit(forget);
}

static void
write_patched(const uint8_t *data, size_t len)
{
	uint8_t *bytes = malloc(model_len);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0 || bytes == NULL)
		abort();
	memcpy(bytes, model, model_len);
	while (len >= 4) {
		size_t at = (size_t)(data[0] << 16 | data[1] << 8 | data[2]);
		size_t n = data[3];

		data += 4;
		len -= 4;
		n = n < len ? n : len;
		at %= model_len;
		n = n < model_len - at ? n : model_len - at;
		memcpy(bytes + at, data, n);
		data += n;
		len -= n;
	}
	if (write(fd, bytes, model_len) != (ssize_t)model_len)
		abort();
	close(fd);
	free(bytes);
}

static void
read_all(struct cw_catalog *c)
{
	const struct cw_walk_query all = CW_WALK_ALL;
	struct cw_error err;
	struct cw_entry e;
	struct cw_walk *w;
	uint64_t count = 0;
	const char *dir_path;
	size_t len;
	int got;

	if (cw_walk_open(c, &all, &w, &err) < 0)
		abort();
	while ((got = cw_walk_next(w, &e, &err)) == 1) {
		count++;
		if (cw_catalog_dir_path(c, e.dir, &dir_path, &len, &err) < 0)
			abort();
	}
	cw_walk_close(w);
	if (got != 0 || count != cw_catalog_info(c)->entries)
		abort();
}

static int
look_at_dir(void *arg, int64_t id, const char *text, size_t len,
    const uint8_t digest[CW_STATE_SIZE])
{
	struct cw_error err;
	struct cw_entry e;

	(void)digest;
	if (strlen(text) != len ||
	    cw_catalog_find_base(arg, id, "file2", 5, &e, &err) < 0 ||
	    cw_catalog_tombstone_base(arg, id, "file0", 5, 0, &err) < 0)
		abort();
	return 0;
}

static void
read_changes(struct cw_catalog *c)
{
	struct cw_position last = {0};
	struct cw_error err;
	struct cw_changes *s;
	struct cw_change g;
	int got;

	if (cw_changes_open(c, 0, NULL, &s, &err) < 0)
		abort();
	while ((got = cw_changes_next(s, &g, &err)) == 1) {
		if (g.dir_path_len + 1 + g.e.name_len > CW_PATH_MAX ||
		    g.e.name[g.e.name_len] != '\0')
			abort();
		cw_change_position(&g, &last);
	}
	if (got < 0)
		abort();
	cw_changes_close(s);
	/* Behind the last row there is nothing. */
	if (cw_changes_open(c, 0, &last, &s, &err) < 0)
		abort();
	if (last.generation > 0 && cw_changes_next(s, &g, &err) == 1)
		abort();
	cw_changes_close(s);
	if (cw_catalog_each_dir(c, -1, look_at_dir, c, &err) != 0)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_catalog *c;

	if (model == NULL)
		make_model();
	write_patched(data, len);
	if (cw_catalog_open_foreign(path, &c, &err) < 0)
		return 0;
	read_all(c);
	read_changes(c);
	cw_catalog_close(c);
	return 0;
}
