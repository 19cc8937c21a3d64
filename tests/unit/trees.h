/*
 * Small trees on disk and their catalogs, for the tests of src/store.
 */
#ifndef TESTS_UNIT_TREES_H
#define TESTS_UNIT_TREES_H

#include "tests/unit/scratch.h"

#include "base/buf.h"
#include "store/catalog.h"
#include "store/scan.h"

#include <check.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Fails with the error's sentence. */
#define OK(call) ck_assert_msg((call) == 0, "%s: %s", #call, err.message)

static char tree_base[64]; /* a fresh directory; "root" in it is the store */
static struct cw_error err;

static inline void
tree_setup(void)
{
	char root[80];

	err = (struct cw_error)CW_ERROR_INIT;
	strcpy(tree_base, "/tmp/cw-store-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(tree_base));
	snprintf(root, sizeof(root), "%s/root", tree_base);
	ck_assert_int_eq(mkdir(root, 0755), 0);
}

static inline void
tree_teardown(void)
{
	scratch_remove(tree_base);
}

/* "BASE/root/NAME", in one of a few buffers. */
static inline const char *
in_root(const char *name)
{
	static char paths[8][4200];
	static unsigned next;
	char *path = paths[next++ % 8];

	snprintf(path, sizeof(paths[0]), "%s/root/%s", tree_base, name);
	return path;
}

static inline void
make_dir(const char *name)
{
	ck_assert_msg(mkdir(in_root(name), 0755) == 0, "%s", name);
}

static inline void
write_file(const char *name, const char *text)
{
	int fd = open(in_root(name), O_WRONLY | O_CREAT | O_TRUNC, 0644);

	ck_assert_msg(fd >= 0, "%s", name);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static inline void
make_maildir(const char *name)
{
	char path[300];

	make_dir(name);
	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", name,
		    i == 0   ? "cur"
		    : i == 1 ? "new"
			     : "tmp");
		make_dir(path);
	}
}

/* Puts mtimes of a directory so far back that they tell. */
static inline void
age_dir(const char *name, time_t seconds)
{
	struct timespec times[2] = {{0, UTIME_OMIT}, {0, 0}};

	times[1].tv_sec = time(NULL) - seconds;
	ck_assert_int_eq(utimensat(AT_FDCWD, in_root(name), times, 0), 0);
}

static inline struct cw_catalog *
open_catalog(void)
{
	struct cw_catalog *c;
	char path[100];

	snprintf(path, sizeof(path), "%s/catalog.sqlite", tree_base);
	if (access(path, F_OK) != 0)
		OK(cw_catalog_create(path, "mail", &err));
	OK(cw_catalog_open(path, CW_CATALOG_WRITE, &c, &err));
	return c;
}

/* Scans BASE/root as root "mail"; what is asked for in options may be NULL. */
static inline struct cw_scan_result
scan_with(struct cw_catalog *c, const char *format,
    const struct cw_scan_options *options)
{
	char path[80];
	struct cw_scan_root root = {
	    .name = "mail", .path = path, .format = format};
	struct cw_scan_result result;

	snprintf(path, sizeof(path), "%s/root", tree_base);
	OK(cw_scan(c, &root, 1, options, &result, &err));
	OK(cw_state_check(c, &err));
	return result;
}

/* 0 found, 1 not there. */
static inline int
find(struct cw_catalog *c, const char *path, struct cw_entry *e)
{
	int got = cw_catalog_lookup_path(c, path, strlen(path), e, &err);

	ck_assert_msg(got >= 0, "%s", err.message);
	return got;
}

#endif
