/*
 * Two passes.  The first looks at all lists and writes down which next UID
 * each is to get: the plan.  The second makes it so, and may be run again.
 * Normative for the file: SPEC.md.
 */
#include "site/guard.h"

#include "base/buf.h"
#include "base/bytes.h"
#include "base/fs.h"
#include "base/percent.h"
#include "base/progress.h"
#include "base/text.h"
#include "site/guard_mailbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADER	  "causeway-guard 1"
#define DONE	  "done"
#define PLAN_END  "end"
#define BATCH	  256u
#define LINE_MAX_ 65536u
#define FLUSH	  (1u << 20)

struct guard {
	int dirfd; /* the store's directory */
	const struct cw_config_store *store;
	struct cw_guard_result *result;
	/* The first pass. */
	int plan_fd;
	struct cw_buf plan; /* what is not yet written of it */
	uint32_t raise;
	char **dirs; /* paths below the root that wait, a stack */
	size_t dir_count, dir_cap;
};

static void
count_broken(
    struct guard *g, const struct cw_config_root *root, const char *path)
{
	char quoted[CW_QUOTE_MAX];

	if (g->result->broken++ > 0)
		return;
	cw_text_quote(path, strlen(path), quoted);
	(void)snprintf(g->result->first_broken, sizeof(g->result->first_broken),
	    "%s%s%s", root->path, quoted[0] == '\0' ? "" : "/", quoted);
}

/* The path of a line; NULL if it is none.  The caller frees it. */
static char *
take_path(const char *text, size_t len)
{
	char *path = cw_percent_take(text, len, false);

	if (path == NULL || path[0] == '\0' ||
	    cw_path_is_safe(path, strlen(path)))
		return path;
	free(path);
	return NULL;
}

static int
flush_plan(struct guard *g, size_t least, struct cw_error *err)
{
	if (g->plan.len < least)
		return 0;
	if (cw_write_all(g->plan_fd, g->plan.data, g->plan.len, err) < 0)
		return cw_error_context(err, CW_GUARD_FILE);
	cw_buf_reset(&g->plan);
	return 0;
}

static void
push(struct guard *g, char *path)
{
	if (g->dir_count == g->dir_cap) {
		g->dir_cap = g->dir_cap == 0 ? 64 : g->dir_cap * 2;
		g->dirs =
		    cw_reallocarray(g->dirs, g->dir_cap, sizeof(*g->dirs));
	}
	g->dirs[g->dir_count++] = path;
}

/* A mailbox with a list: what its next UID shall be. */
static int
plan_list(struct guard *g, const struct cw_config_root *root, int fd,
    const char *path, struct cw_error *err)
{
	struct cw_buf text = CW_BUF_INIT;
	struct cw_error why = CW_ERROR_INIT;
	struct cw_uidlist list;
	struct stat st;
	int ret = guard_read_list(fd, &text, &st, &why);

	if (ret == 0) {
		g->result->mailboxes++;
		ret = cw_uidlist_parse(
		    (const char *)text.data, text.len, &list, &why);
	}
	if (ret == 0) {
		cw_buf_printf(&g->plan, "%u %s ",
		    cw_uidlist_raised(&list, g->raise), root->name);
		cw_percent_put(&g->plan, path, false);
		cw_buf_text(&g->plan, "\n");
	} else if (ret < 0 && (why.code == CW_ERR_FORMAT ||
				  why.code == CW_ERR_UNSUPPORTED ||
				  why.code == CW_ERR_DAMAGED)) {
		count_broken(g, root, path);
		ret = 0;
	} else if (ret < 0) {
		if (err != NULL)
			*err = why;
	}
	cw_buf_free(&text);
	return ret < 0 ? -1 : flush_plan(g, FLUSH, err);
}

/* Directories that hold messages hold no mailboxes. */
static bool
is_mailbox_dir(const char *name)
{
	return strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
	       strcmp(name, "cur") != 0 && strcmp(name, "new") != 0 &&
	       strcmp(name, "tmp") != 0;
}

static bool
is_directory(int fd, const struct dirent *e)
{
	struct stat st;

	if (e->d_type != DT_UNKNOWN)
		return e->d_type == DT_DIR;
	return fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISDIR(st.st_mode);
}

static int
plan_dir(struct guard *g, const struct cw_config_root *root, int root_fd,
    const char *path, struct cw_error *err)
{
	bool has_list = false;
	struct dirent *e;
	DIR *dir;
	int ret = 0, fd;

	fd = cw_open_beneath(root_fd, path[0] == '\0' ? "." : path,
	    O_RDONLY | O_DIRECTORY, 0, err);
	if (fd < 0)
		return -1;
	if ((dir = fdopendir(fd)) == NULL) {
		cw_close(&fd);
		return cw_error_errno(err, "cannot list a directory");
	}
	for (errno = 0; (e = readdir(dir)) != NULL; errno = 0) {
		if (strcmp(e->d_name, CW_UIDLIST_NAME) == 0)
			has_list = true;
		else if (is_mailbox_dir(e->d_name) && is_directory(fd, e))
			push(g, path[0] == '\0'
				    ? cw_strdup(e->d_name)
				    : cw_asprintf("%s/%s", path, e->d_name));
	}
	if (errno != 0)
		ret = cw_error_errno(err, "cannot list a directory");
	if (ret == 0 && has_list)
		ret = plan_list(g, root, fd, path, err);
	(void)closedir(dir);
	return ret;
}

static int
plan_root(
    struct guard *g, const struct cw_config_root *root, struct cw_error *err)
{
	int ret = 0, fd = cw_open_dir(root->path, err);

	if (fd < 0)
		return -1;
	push(g, cw_strdup(""));
	while (ret == 0 && g->dir_count > 0) {
		char *path = g->dirs[--g->dir_count];

		ret = cw_stop_check(err);
		if (ret == 0)
			ret = plan_dir(g, root, fd, path, err);
		if (ret < 0) {
			char quoted[CW_QUOTE_MAX];

			cw_text_quote(path, strlen(path), quoted);
			cw_error_context(err, "%s/%s", root->path, quoted);
		}
		free(path);
	}
	while (g->dir_count > 0)
		free(g->dirs[--g->dir_count]);
	cw_close(&fd);
	return ret;
}

/* The first pass: the plan is whole and on disk when this returns 0. */
static int
make_plan(struct guard *g, uint64_t epoch, struct cw_error *err)
{
	static const char tmp[] = CW_GUARD_FILE ".tmp";
	int ret = -1;

	g->plan_fd = openat(
	    g->dirfd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (g->plan_fd < 0)
		return cw_error_errno(err, "cannot create %s", tmp);
	cw_buf_printf(&g->plan, HEADER " %llu\n", (unsigned long long)epoch);
	for (size_t i = 0; i < g->store->root_count; i++)
		if (plan_root(g, &g->store->roots[i], err) < 0)
			goto out;
	cw_buf_text(&g->plan, PLAN_END "\n");
	if (flush_plan(g, 0, err) < 0 || cw_sync(g->plan_fd, err) < 0)
		goto out;
	if (renameat(g->dirfd, tmp, g->dirfd, CW_GUARD_FILE) < 0) {
		cw_error_errno(err, "cannot rename %s", tmp);
		goto out;
	}
	ret = cw_sync(g->dirfd, err);
out:
	if (ret < 0)
		(void)unlinkat(g->dirfd, tmp, 0);
	cw_close(&g->plan_fd);
	cw_buf_free(&g->plan);
	free(g->dirs);
	g->dirs = NULL;
	g->dir_cap = 0;
	return ret;
}

/* The mailboxes whose new list is written and not yet in place. */
struct batch {
	int fds[BATCH];
	size_t count;
	int roots[CW_CONFIG_ROOTS_MAX]; /* -1: not open */
	dev_t devs[CW_CONFIG_ROOTS_MAX];
	bool is_used[CW_CONFIG_ROOTS_MAX]; /* since the last batch */
};

/* Data, then names, then directories; filesystems at a time. */
static int
finish_batch(struct guard *g, struct batch *b, struct cw_error *err)
{
	int ret = 0;

	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; ret == 0 && i < g->store->root_count; i++)
			if (b->is_used[i] && syncfs(b->roots[i]) < 0)
				ret = cw_error_errno(err, "cannot sync %s",
				    g->store->roots[i].path);
		if (round == 1 || ret < 0)
			break;
		for (size_t i = 0; ret == 0 && i < b->count; i++)
			if (renameat(b->fds[i], GUARD_TMP, b->fds[i],
				CW_UIDLIST_NAME) < 0)
				ret = cw_error_errno(
				    err, "cannot rename " GUARD_TMP);
	}
	for (size_t i = 0; i < b->count; i++) {
		if (ret < 0)
			(void)unlinkat(b->fds[i], GUARD_TMP, 0);
		cw_close(&b->fds[i]);
	}
	b->count = 0;
	memset(b->is_used, 0, sizeof(b->is_used));
	return ret;
}

/* A filesystem mounted below the root is not that of the batch. */
static int
put_in_place(int fd, struct cw_error *err)
{
	int file = cw_open_beneath(fd, GUARD_TMP, O_RDONLY, 0, err), ret = -1;

	if (file < 0)
		return -1;
	if (cw_sync(file, err) == 0) {
		if (renameat(fd, GUARD_TMP, fd, CW_UIDLIST_NAME) < 0)
			cw_error_errno(err, "cannot rename " GUARD_TMP);
		else
			ret = cw_sync(fd, err);
	}
	cw_close(&file);
	return ret;
}

static int
apply_list(struct guard *g, struct batch *b, size_t root, const char *path,
    uint32_t next_uid, struct cw_error *err)
{
	struct cw_error why = CW_ERROR_INIT;
	uint64_t dropped;
	dev_t dev = 0;
	int ret, fd;

	fd = cw_open_beneath(b->roots[root], path[0] == '\0' ? "." : path,
	    O_RDONLY | O_DIRECTORY, 0, err);
	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	ret = guard_write_list(fd, next_uid, &dropped, &dev, &why);
	if (ret < 0 && why.code == CW_ERR_FORMAT) {
		count_broken(g, &g->store->roots[root], path);
		ret = 1;
	} else if (ret < 0 && err != NULL) {
		*err = why;
	}
	if (ret == 0) {
		g->result->raised++;
		g->result->lines_dropped += dropped;
		if (dev == b->devs[root]) {
			b->is_used[root] = true;
			b->fds[b->count++] = fd;
			return b->count < BATCH ? 0 : finish_batch(g, b, err);
		}
		ret = put_in_place(fd, err);
	}
	cw_close(&fd);
	return ret < 0 ? -1 : 0;
}

static int
open_root(struct guard *g, struct batch *b, size_t i, struct cw_error *err)
{
	struct stat st;

	if (b->roots[i] >= 0)
		return 0;
	b->roots[i] = cw_open_dir(g->store->roots[i].path, err);
	if (b->roots[i] < 0)
		return -1;
	if (fstat(b->roots[i], &st) < 0)
		return cw_error_errno(
		    err, "cannot stat %s", g->store->roots[i].path);
	b->devs[i] = st.st_dev;
	return 0;
}

/* "NEXT ROOT PATH" */
static int
apply_line(struct guard *g, struct batch *b, const char *line, size_t len,
    struct cw_error *err)
{
	const char *root = memchr(line, ' ', len), *path;
	uint64_t next;
	char *name;
	int ret = -1;

	if (root == NULL ||
	    !cw_decimal_parse(line, (size_t)(root - line), UINT32_MAX, &next))
		goto bad;
	root++;
	path = memchr(root, ' ', len - (size_t)(root - line));
	if (path == NULL)
		goto bad;
	for (size_t i = 0; i < g->store->root_count; i++) {
		const char *want = g->store->roots[i].name;

		if (strlen(want) != (size_t)(path - root) ||
		    memcmp(want, root, strlen(want)) != 0)
			continue;
		name = take_path(path + 1, len - (size_t)(path + 1 - line));
		if (name == NULL)
			goto bad;
		ret = open_root(g, b, i, err);
		if (ret == 0)
			ret = apply_list(g, b, i, name, (uint32_t)next, err);
		if (ret < 0) {
			char quoted[CW_QUOTE_MAX];

			cw_text_quote(name, strlen(name), quoted);
			cw_error_context(err, "the UID guard of %s/%s",
			    g->store->roots[i].path, quoted);
		}
		free(name);
		return ret;
	}
	return 0; /* a root that is no longer configured */
bad:
	return cw_error_set(err, CW_ERR_DAMAGED,
	    CW_GUARD_FILE " holds a line that is none of ours");
}

/* The second pass.  plan stands behind its header. */
static int
apply_plan(struct guard *g, FILE *plan, struct cw_error *err)
{
	struct batch *b = cw_calloc(1, sizeof(*b));
	char *line = NULL;
	bool has_end = false;
	size_t size = 0;
	ssize_t len;
	int ret = 0;

	for (size_t i = 0; i < CW_CONFIG_ROOTS_MAX; i++)
		b->roots[i] = -1;
	while (ret == 0 && (len = getline(&line, &size, plan)) > 0) {
		if (line[len - 1] != '\n' || (size_t)len > LINE_MAX_) {
			ret = cw_error_set(
			    err, CW_ERR_DAMAGED, CW_GUARD_FILE " is cut off");
			break;
		}
		if (strcmp(line, PLAN_END "\n") == 0) {
			has_end = true;
			break;
		}
		ret = cw_stop_check(err);
		if (ret == 0)
			ret = apply_line(g, b, line, (size_t)len - 1, err);
	}
	if (ret == 0 && !has_end)
		ret = cw_error_set(
		    err, CW_ERR_DAMAGED, CW_GUARD_FILE " has no end");
	if (ret == 0)
		ret = finish_batch(g, b, err);
	for (size_t i = 0; i < b->count; i++) {
		(void)unlinkat(b->fds[i], GUARD_TMP, 0);
		cw_close(&b->fds[i]);
	}
	for (size_t i = 0; i < CW_CONFIG_ROOTS_MAX; i++)
		cw_close(&b->roots[i]);
	free(line);
	free(b);
	return ret;
}

/*
 * The plan of an epoch, behind its header; NULL if there is none of it.
 * *is_done: it was carried out.
 */
static int
open_plan(struct guard *g, uint64_t epoch, FILE **plan, bool *is_done,
    struct cw_error *err)
{
	int fd = openat(g->dirfd, CW_GUARD_FILE, O_RDONLY | O_CLOEXEC);
	unsigned long long found = 0;
	char head[64], rest[8] = "";

	*plan = NULL;
	*is_done = false;
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 || (*plan = fdopen(fd, "r")) == NULL) {
		cw_error_errno(err, "cannot open " CW_GUARD_FILE);
		cw_close(&fd);
		return -1;
	}
	if (fgets(head, sizeof(head), *plan) == NULL ||
	    sscanf(head, HEADER " %llu %7s", &found, rest) < 1) {
		(void)fclose(*plan);
		*plan = NULL;
		return cw_error_set(err, CW_ERR_DAMAGED,
		    CW_GUARD_FILE " is not what the UID guard wrote; remove it "
				  "from the store's state directory");
	}
	if (found == epoch) {
		*is_done = strcmp(rest, DONE) == 0;
		return 0;
	}
	(void)fclose(*plan);
	*plan = NULL;
	if (found > epoch)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "the UIDs were guarded for epoch %llu, this is epoch %llu",
		    found, (unsigned long long)epoch);
	return 0;
}

int
cw_guard_run(int dirfd, const struct cw_config_store *store, uint64_t epoch,
    uint32_t raise, struct cw_guard_result *result, struct cw_error *err)
{
	struct guard g = {.dirfd = dirfd,
	    .store = store,
	    .result = result,
	    .plan_fd = -1,
	    .raise = raise};
	FILE *plan = NULL;
	char done[64];
	int ret = -1;

	memset(result, 0, sizeof(*result));
	if (open_plan(&g, epoch, &plan, &result->was_done, err) < 0)
		return -1;
	if (result->was_done) {
		ret = 0;
		goto out;
	}
	if (plan == NULL &&
	    (make_plan(&g, epoch, err) < 0 ||
		open_plan(&g, epoch, &plan, &result->was_done, err) < 0))
		goto out;
	if (apply_plan(&g, plan, err) < 0)
		goto out;
	(void)snprintf(done, sizeof(done), HEADER " %llu " DONE "\n",
	    (unsigned long long)epoch);
	ret = cw_save_file(dirfd, CW_GUARD_FILE, done, strlen(done), 0600, err);
out:
	if (plan != NULL)
		(void)fclose(plan);
	return ret;
}
