#include "replica/history.h"

#include "base/bytes.h"
#include "base/fs.h"
#include "replica/db.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char schema[] =
    "CREATE TABLE kept(n INTEGER PRIMARY KEY AUTOINCREMENT,"
    " diverged INTEGER NOT NULL, number INTEGER NOT NULL,"
    " path BLOB NOT NULL, again INTEGER NOT NULL, " DB_ENTRY_SCHEMA ","
    " UNIQUE(diverged,number,path,again));"
    "CREATE INDEX kept_digest ON kept(digest) WHERE digest IS NOT NULL;";

enum stmt {
	KEPT_PUT,
	KEPT_FIND,
	KEPT_COUNT,
	KEPT_DIGEST,
	KEPT_LIST,
	KEPT_SHELVES,
	KEPT_FORGET,
	STMT_COUNT
};

static const char *const statements[STMT_COUNT] = {
    [KEPT_PUT] = "INSERT INTO kept(diverged,number,path,again," DB_ENTRY_COLUMNS
		 ") VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
    [KEPT_FIND] = "SELECT n FROM kept"
		  " WHERE diverged=?1 AND number=?2 AND path=?3 AND again=0",
    [KEPT_COUNT] = "SELECT coalesce(max(again),0) FROM kept"
		   " WHERE diverged=?1 AND number=?2 AND path=?3",
    [KEPT_DIGEST] = "SELECT diverged,number,n FROM kept"
		    " WHERE digest=?1 AND size=?2 ORDER BY n DESC",
    [KEPT_LIST] = "SELECT path,again,n," DB_ENTRY_COLUMNS " FROM kept"
		  " WHERE diverged=?1 AND number=?2 AND (path,again)>(?3,?4)"
		  " ORDER BY path,again LIMIT 1",
    [KEPT_SHELVES] = "SELECT diverged,number,count(*),"
		     "coalesce(sum(size),0) FROM kept"
		     " GROUP BY diverged,number ORDER BY diverged,number",
    [KEPT_FORGET] = "DELETE FROM kept WHERE diverged=?1 AND number=?2",
};

struct cw_history {
	struct db db;
	char *store_dir;
	int store_fd;
	int shelf_fd; /* of shelf, or -1 */
	struct cw_shelf shelf;
};

int
cw_history_open(
    const char *store_dir, struct cw_history **out, struct cw_error *err)
{
	struct cw_history *h = cw_calloc(1, sizeof(*h));

	*out = NULL;
	h->store_dir = cw_strdup(store_dir);
	h->store_fd = h->shelf_fd = -1;
	if ((h->store_fd = cw_open_dir(store_dir, err)) < 0 ||
	    db_open(&h->db, store_dir, "history.sqlite", 1, schema, statements,
		STMT_COUNT, err) < 0) {
		cw_history_close(h);
		return -1;
	}
	*out = h;
	return 0;
}

void
cw_history_close(struct cw_history *h)
{
	if (h == NULL)
		return;
	db_close(&h->db);
	cw_close(&h->store_fd);
	cw_close(&h->shelf_fd);
	free(h->store_dir);
	free(h);
}

void
cw_history_name(int64_t n, char out[CW_HISTORY_NAME])
{
	(void)snprintf(out, CW_HISTORY_NAME, "%" PRId64, n);
}

static void
bind_shelf(sqlite3_stmt *st, const struct cw_shelf *shelf)
{
	sqlite3_bind_int(st, 1, shelf->is_diverged);
	sqlite3_bind_int64(st, 2, (int64_t)shelf->number);
}

/* The row that is there: 1 and *n, 0 none. */
static int
find_row(struct cw_history *h, enum stmt which, const struct cw_shelf *shelf,
    const char *path, size_t len, int64_t *n, struct cw_error *err)
{
	sqlite3_stmt *st = db_stmt(&h->db, which, err);
	int got;

	if (st == NULL)
		return -1;
	bind_shelf(st, shelf);
	db_bind_bytes(st, 3, path, len);
	got = db_step(&h->db, st, err);
	if (got == 1)
		*n = sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	return got;
}

int
cw_history_note(struct cw_history *h, const struct cw_shelf *shelf,
    const char *path, size_t len, const struct cw_entry *e, bool again,
    int64_t *n, struct cw_error *err)
{
	sqlite3_stmt *st;
	int64_t number = 0;
	int got;

	if (db_begin(&h->db, err) < 0)
		return -1;
	got = find_row(h, again ? KEPT_COUNT : KEPT_FIND, shelf, path, len,
	    again ? &number : n, err);
	if (got < 0)
		return -1;
	if (got == 1 && !again)
		return 0;
	if ((st = db_stmt(&h->db, KEPT_PUT, err)) == NULL)
		return -1;
	bind_shelf(st, shelf);
	db_bind_bytes(st, 3, path, len);
	sqlite3_bind_int64(st, 4, again ? number + 1 : 0);
	db_bind_entry(st, 5, e);
	if (db_run(&h->db, st, err) < 0)
		return -1;
	*n = sqlite3_last_insert_rowid(h->db.db);
	return 0;
}

int
cw_history_commit(struct cw_history *h, struct cw_error *err)
{
	return db_commit(&h->db, err);
}

/* ---- folders ---- */

static void
shelf_path(const struct cw_shelf *shelf, char out[64])
{
	(void)snprintf(out, 64, "%s/%" PRIu64,
	    shelf->is_diverged ? "diverged" : "history", shelf->number);
}

/* 0, 1 if there is no such folder and it is not to be made. */
static int
open_shelf(struct cw_history *h, const struct cw_shelf *shelf, bool make,
    struct cw_error *err)
{
	char path[64];

	if (h->shelf_fd >= 0 && h->shelf.number == shelf->number &&
	    h->shelf.is_diverged == shelf->is_diverged)
		return 0;
	cw_close(&h->shelf_fd);
	shelf_path(shelf, path);
	if (make &&
	    ((mkdirat(h->store_fd, shelf->is_diverged ? "diverged" : "history",
		  0700) < 0 &&
		 errno != EEXIST) ||
		(mkdirat(h->store_fd, path, 0700) < 0 && errno != EEXIST)))
		return cw_error_errno(
		    err, "cannot make directory %s/%s", h->store_dir, path);
	h->shelf_fd = openat(
	    h->store_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	h->shelf = *shelf;
	if (h->shelf_fd >= 0)
		return 0;
	if (!make && errno == ENOENT)
		return 1;
	return cw_error_errno(
	    err, "cannot open directory %s/%s", h->store_dir, path);
}

int
cw_history_dirfd(struct cw_history *h, const struct cw_shelf *shelf, int *dirfd,
    struct cw_error *err)
{
	if (open_shelf(h, shelf, true, err) < 0)
		return -1;
	*dirfd = h->shelf_fd;
	return 0;
}

static int
stat_kept(struct cw_history *h, const struct cw_shelf *shelf, int64_t n,
    struct stat *st, struct cw_error *err)
{
	char name[CW_HISTORY_NAME];
	int got = open_shelf(h, shelf, false, err);

	if (got != 0)
		return got;
	cw_history_name(n, name);
	if (fstatat(h->shelf_fd, name, st, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	return errno == ENOENT
		   ? 1
		   : cw_error_errno(err, "cannot look at %s in history", name);
}

int
cw_history_open_kept(struct cw_history *h, const struct cw_shelf *shelf,
    int64_t n, int *fd, struct cw_error *err)
{
	char name[CW_HISTORY_NAME];
	struct stat st;
	int got = stat_kept(h, shelf, n, &st, err);

	*fd = -1;
	if (got != 0)
		return got;
	if (!S_ISREG(st.st_mode))
		return 1;
	cw_history_name(n, name);
	*fd = openat(
	    h->shelf_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (*fd < 0)
		return cw_error_errno(err, "cannot open %s in history", name);
	return 0;
}

int
cw_history_find(struct cw_history *h, const uint8_t digest[CW_DIGEST_SIZE],
    uint64_t size, int *fd, struct cw_error *err)
{
	sqlite3_stmt *st = db_stmt(&h->db, KEPT_DIGEST, err);
	struct stat found;
	int got, ret = 1;

	*fd = -1;
	if (st == NULL)
		return -1;
	db_bind_bytes(st, 1, digest, CW_DIGEST_SIZE);
	sqlite3_bind_int64(st, 2, (int64_t)size);
	while (ret == 1 && (got = db_step(&h->db, st, err)) != 0) {
		struct cw_shelf shelf = {sqlite3_column_int(st, 0) != 0,
		    (uint64_t)sqlite3_column_int64(st, 1)};

		if (got < 0)
			return -1;
		ret = cw_history_open_kept(
		    h, &shelf, sqlite3_column_int64(st, 2), fd, err);
		if (ret == 0 && (fstat(*fd, &found) < 0 ||
				    (uint64_t)found.st_size != size)) {
			cw_close(fd);
			ret = 1;
		}
	}
	sqlite3_reset(st);
	return ret;
}

/* ---- lists ---- */

int
cw_history_each(struct cw_history *h, const struct cw_shelf *shelf,
    int (*each)(void *arg, const struct cw_kept *kept), void *arg,
    struct cw_error *err)
{
	struct cw_buf path = CW_BUF_INIT, arena = CW_BUF_INIT;
	int64_t again = -1;
	int ret = 0, got;

	while (ret == 0) {
		sqlite3_stmt *st = db_stmt(&h->db, KEPT_LIST, err);
		struct cw_kept kept = {.shelf = *shelf};
		struct db_place at;
		struct stat found;

		if (st == NULL) {
			ret = -1;
			break;
		}
		bind_shelf(st, shelf);
		db_bind_bytes(st, 3, path.data, path.len);
		sqlite3_bind_int64(st, 4, again);
		got = db_step(&h->db, st, err);
		if (got <= 0) {
			ret = got;
			break;
		}
		again = sqlite3_column_int64(st, 1);
		kept.n = sqlite3_column_int64(st, 2);
		cw_buf_reset(&arena);
		db_read_entry(st, 3, &kept.e, &at, &arena);
		/* The bound path is the buffer that is filled here. */
		kept.path_len = (size_t)sqlite3_column_bytes(st, 0);
		cw_buf_append(
		    &arena, sqlite3_column_blob(st, 0), kept.path_len);
		db_entry_settle(&kept.e, &at, &arena);
		sqlite3_reset(st);
		cw_buf_reset(&path);
		cw_buf_append(&path, arena.data + arena.len - kept.path_len,
		    kept.path_len);
		kept.path = cw_buf_string(&path);
		got = stat_kept(h, shelf, kept.n, &found, err);
		if (got < 0) {
			ret = -1;
			break;
		}
		kept.has_file = got == 0;
		ret = each(arg, &kept);
	}
	cw_buf_free(&path);
	cw_buf_free(&arena);
	return ret;
}

int
cw_history_shelves(struct cw_history *h,
    int (*each)(void *arg, const struct cw_shelf *shelf, uint64_t entries,
	uint64_t bytes),
    void *arg, struct cw_error *err)
{
	sqlite3_stmt *st = db_stmt(&h->db, KEPT_SHELVES, err);
	int got, ret = 0;

	if (st == NULL)
		return -1;
	while (ret == 0 && (got = db_step(&h->db, st, err)) != 0) {
		struct cw_shelf shelf;

		if (got < 0)
			return -1;
		shelf.is_diverged = sqlite3_column_int(st, 0) != 0;
		shelf.number = (uint64_t)sqlite3_column_int64(st, 1);
		ret = each(arg, &shelf, (uint64_t)sqlite3_column_int64(st, 2),
		    (uint64_t)sqlite3_column_int64(st, 3));
	}
	sqlite3_reset(st);
	return ret;
}

/* ---- forgetting ---- */

static int
empty_folder(int dirfd, struct cw_error *err)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;
	int ret = 0;

	if (dir == NULL) {
		cw_close(&fd);
		return cw_error_errno(err, "cannot read a folder of history");
	}
	while (ret == 0 && (de = readdir(dir)) != NULL) {
		if (strcmp(de->d_name, ".") == 0 ||
		    strcmp(de->d_name, "..") == 0)
			continue;
		if (unlinkat(dirfd, de->d_name, 0) < 0 && errno != ENOENT)
			ret = cw_error_errno(
			    err, "cannot remove %s in history", de->d_name);
	}
	closedir(dir);
	return ret;
}

/* Files first: a row without its file is true, a file without its row is not
 * found again. */
int
cw_history_forget(
    struct cw_history *h, const struct cw_shelf *shelf, struct cw_error *err)
{
	char path[64], listing[80];
	int got = open_shelf(h, shelf, false, err);
	sqlite3_stmt *st;

	if (got < 0)
		return -1;
	shelf_path(shelf, path);
	if (got == 0) {
		if (empty_folder(h->shelf_fd, err) < 0)
			return -1;
		cw_close(&h->shelf_fd);
		if (unlinkat(h->store_fd, path, AT_REMOVEDIR) < 0 &&
		    errno != ENOENT)
			return cw_error_errno(
			    err, "cannot remove %s/%s", h->store_dir, path);
	}
	(void)snprintf(listing, sizeof(listing), "%s.txt", path);
	if (shelf->is_diverged && unlinkat(h->store_fd, listing, 0) < 0 &&
	    errno != ENOENT)
		return cw_error_errno(
		    err, "cannot remove %s/%s", h->store_dir, listing);
	if (db_begin(&h->db, err) < 0 ||
	    (st = db_stmt(&h->db, KEPT_FORGET, err)) == NULL)
		return -1;
	bind_shelf(st, shelf);
	if (db_run(&h->db, st, err) < 0) {
		db_rollback(&h->db);
		return -1;
	}
	return db_commit(&h->db, err);
}

/* ---- the listing ---- */

struct listing {
	FILE *out;
	struct cw_shelf shelf;
};

static void
put_path(FILE *out, const char *path, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)path[i];

		if (c <= ' ' || c >= 0x7f || c == '\\')
			fprintf(out, "\\x%02x", c);
		else
			fputc(c, out);
	}
}

static int
put_line(void *arg, const struct cw_kept *kept)
{
	struct listing *l = arg;
	char hex[2 * CW_DIGEST_SIZE + 1] = "-", path[64];

	if (kept->e.has_digest)
		cw_hex_encode(kept->e.digest, CW_DIGEST_SIZE, hex);
	put_path(l->out, kept->path, kept->path_len);
	fprintf(l->out, " %" PRIu64 " %s ", kept->e.size, hex);
	shelf_path(&l->shelf, path);
	if (kept->has_file)
		fprintf(l->out, "%s/%" PRId64 "\n", path, kept->n);
	else
		fputs("-\n", l->out);
	return 0;
}

int
cw_history_write_listing(
    struct cw_history *h, uint64_t epoch, struct cw_error *err)
{
	struct listing l = {NULL, {true, epoch}};
	char path[64], name[80], tmp[96];
	int fd, ret = -1;

	if (open_shelf(h, &l.shelf, true, err) < 0)
		return -1;
	shelf_path(&l.shelf, path);
	(void)snprintf(name, sizeof(name), "%s.txt", path);
	(void)snprintf(tmp, sizeof(tmp), "%s.tmp", name);
	fd = openat(h->store_fd, tmp,
	    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || (l.out = fdopen(fd, "w")) == NULL) {
		cw_close(&fd);
		return cw_error_errno(
		    err, "cannot create %s/%s", h->store_dir, tmp);
	}
	if (cw_history_each(h, &l.shelf, put_line, &l, err) < 0)
		goto out;
	if (fflush(l.out) != 0 || ferror(l.out) || fsync(fileno(l.out)) < 0 ||
	    renameat(h->store_fd, tmp, h->store_fd, name) < 0) {
		cw_error_errno(err, "cannot write %s/%s", h->store_dir, name);
		goto out;
	}
	ret = 0;
out:
	if (fclose(l.out) != 0 && ret == 0)
		ret = cw_error_errno(
		    err, "cannot write %s/%s", h->store_dir, name);
	return ret;
}
