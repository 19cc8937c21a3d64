#include "seed/missing.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/progress.h"
#include "formats/mail/mail.h"
#include "store/scan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/*
 * Looks at an account, each begun when the one before has ended.  A message
 * that is there is missed by all of them only if it is renamed during each,
 * from a folder not yet read into one already read.
 */
#define LOOKS	 5
#define DIRS_MAX 65536u

struct cw_missing {
	pthread_mutex_t lock;
	struct cw_missing_file *files;
	size_t count, room;
};

/* A message that is looked for. */
struct sought {
	struct cw_missing_file *file;
	const struct cw_source_root *root;
	char *top; /* of its account, beneath the root; "." */
};

/* What a look at one account needs. */
struct look {
	const struct cw_source_root *root;
	const char *top;
	struct sought **by_ino, **by_base;
	size_t count;
	size_t left; /* not found yet */
	int (*found)(void *arg, const struct cw_missing_file *file, int fd,
	    const struct stat *st, const char *path, struct cw_error *err);
	void *arg;
	struct cw_buf path;
	char **dirs; /* that are still to be read; owned */
	size_t dir_count, dir_room;
};

struct cw_missing *
cw_missing_new(void)
{
	struct cw_missing *m = cw_calloc(1, sizeof(*m));

	pthread_mutex_init(&m->lock, NULL);
	return m;
}

void
cw_missing_reset(struct cw_missing *m)
{
	for (size_t i = 0; i < m->count; i++) {
		free(m->files[i].attrs);
		free(m->files[i].path);
	}
	m->count = 0;
}

void
cw_missing_free(struct cw_missing *m)
{
	if (m == NULL)
		return;
	cw_missing_reset(m);
	free(m->files);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

bool
cw_missing_add(
    struct cw_missing *m, const struct cw_entry *row, const char *path)
{
	struct cw_missing_file *f;
	bool is_full;

	pthread_mutex_lock(&m->lock);
	is_full = m->count == CW_MISSING_MAX;
	if (!is_full) {
		if (m->count == m->room) {
			m->room = m->room == 0 ? 64 : m->room * 2;
			m->files = cw_reallocarray(
			    m->files, m->room, sizeof(*m->files));
		}
		f = &m->files[m->count++];
		f->row = *row;
		f->path = cw_strdup(path);
		f->row.name = f->path + strlen(path) - row->name_len;
		f->attrs = row->attrs == NULL
			       ? NULL
			       : cw_memdup(row->attrs, row->attrs_len);
		f->row.attrs = f->attrs;
		f->fate = CW_MISSING_UNKNOWN;
	}
	pthread_mutex_unlock(&m->lock);
	return !is_full;
}

const struct cw_missing_file *
cw_missing_files(const struct cw_missing *m, size_t *count)
{
	*count = m->count;
	return m->files;
}

/* ---- accounts ---- */

/* Takes the last part off a path beneath a root; "." is the root. */
static void
go_up(char *path)
{
	char *slash = strrchr(path, '/');

	if (slash != NULL)
		*slash = '\0';
	else
		memcpy(path, ".", 2); /* a name has a byte at least */
}

static bool
is_mailbox(int rootfd, const char *path)
{
	char *cur = cw_asprintf("%s/cur", path);
	int fd = cw_scan_open(rootfd, cur, O_PATH | O_DIRECTORY | O_NOFOLLOW);
	bool is = fd >= 0;

	free(cur);
	cw_close(&fd);
	return is;
}

/*
 * The topmost mailbox around a message, as the scan has it, for the caller to
 * free; NULL if there is none any more.
 */
static char *
account_of(int rootfd, const char *path)
{
	char *at = cw_strdup(path), *top = NULL;
	bool is_first = true;

	go_up(at); /* the message's directory, cur or new, */
	go_up(at); /* and the mailbox that it is of */
	for (;; is_first = false) {
		bool is = is_mailbox(rootfd, at);

		if (!is && !is_first)
			break;
		if (is) {
			free(top);
			top = cw_strdup(at);
		}
		if (strcmp(at, ".") == 0)
			break;
		go_up(at);
	}
	free(at);
	return top;
}

/* ---- one look ---- */

static size_t
base_len(const struct sought *x)
{
	return cw_maildir_base_len(x->file->row.name, x->file->row.name_len);
}

static int
compare_text(const char *a, size_t a_len, const char *b, size_t b_len)
{
	int c = memcmp(a, b, a_len < b_len ? a_len : b_len);

	return c != 0 ? c : (a_len > b_len) - (a_len < b_len);
}

static int
compare_bases(const void *a, const void *b)
{
	const struct sought *x = *(struct sought *const *)a;
	const struct sought *y = *(struct sought *const *)b;

	return compare_text(
	    x->file->row.name, base_len(x), y->file->row.name, base_len(y));
}

/* By inode; of one inode's rows the newest comes first. */
static int
compare_inodes(const void *a, const void *b)
{
	const struct cw_entry *x = &(*(struct sought *const *)a)->file->row;
	const struct cw_entry *y = &(*(struct sought *const *)b)->file->row;

	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	return (x->generation < y->generation) -
	       (x->generation > y->generation);
}

static bool
is_sought(const struct sought *x)
{
	return x->file->fate == CW_MISSING_GONE;
}

/* One that may be the file of this name and inode, or NULL. */
static struct sought *
match(const struct look *l, const char *name, uint64_t ino)
{
	size_t len = cw_maildir_base_len(name, strlen(name));
	size_t low = 0, high = l->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (l->by_ino[middle]->file->row.ino < ino)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < l->count && l->by_ino[low]->file->row.ino == ino; low++)
		if (is_sought(l->by_ino[low]))
			return l->by_ino[low];
	low = 0;
	high = l->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		struct sought *x = l->by_base[middle];
		int c = compare_text(x->file->row.name, base_len(x), name, len);

		if (c == 0)
			return is_sought(x) ? x : NULL;
		if (c < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/* A name that fits: is it the message?  Tells the caller if so. */
static int
try(struct look *l, struct sought *x, int dirfd, const char *dir,
    const char *name, struct cw_error *err)
{
	const struct cw_entry *row = &x->file->row;
	struct cw_entry is = *row;
	struct stat st;
	int ret = 0;
	int fd = openat(dirfd, name,
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		return 0; /* gone again, or not to be read: the next look */
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		cw_source_note(&is, &st);
		if (is.size == row->size && is.mtime_ns == row->mtime_ns) {
			cw_buf_reset(&l->path);
			cw_buf_printf(&l->path, "%s/%s%s%s", l->root->name,
			    strcmp(dir, ".") == 0 ? "" : dir,
			    strcmp(dir, ".") == 0 ? "" : "/", name);
			x->file->fate = CW_MISSING_FOUND;
			l->left--;
			ret = l->found(l->arg, x->file, fd, &st,
			    cw_buf_string(&l->path), err);
			if (ret == 1) {
				x->file->fate = CW_MISSING_TWICE;
				ret = 0;
			}
		}
	}
	cw_close(&fd);
	return ret;
}

static bool
is_dir(int dirfd, const struct dirent *d)
{
	struct stat st;

	if (d->d_type != DT_UNKNOWN)
		return d->d_type == DT_DIR;
	return fstatat(dirfd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISDIR(st.st_mode);
}

static void
push(struct look *l, const char *dir, const char *name)
{
	if (l->dir_count == DIRS_MAX)
		return;
	if (l->dir_count == l->dir_room) {
		l->dir_room = l->dir_room == 0 ? 64 : l->dir_room * 2;
		l->dirs =
		    cw_reallocarray(l->dirs, l->dir_room, sizeof(*l->dirs));
	}
	l->dirs[l->dir_count++] = strcmp(dir, ".") == 0
				      ? cw_strdup(name)
				      : cw_asprintf("%s/%s", dir, name);
}

/* Reads one directory: messages of cur and new, directories of all others. */
static int
read_dir(struct look *l, const char *path, struct cw_error *err)
{
	const char *slash = strrchr(path, '/');
	const char *last = slash == NULL ? path : slash + 1;
	bool has_messages =
	    strcmp(last, "cur") == 0 || strcmp(last, "new") == 0;
	const struct dirent *d;
	int fd, ret = 0;
	DIR *dir;

	fd = cw_scan_open(l->root->dirfd, path,
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
		return 0; /* a folder went away */
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (dir == NULL) {
		cw_error_errno(err, "cannot list a mail folder");
		cw_close(&fd);
		return -1;
	}
	while (ret == 0 && l->left > 0 && (d = readdir(dir)) != NULL) {
		struct sought *x = has_messages && d->d_type != DT_DIR
				       ? match(l, d->d_name, d->d_ino)
				       : NULL;

		if (x != NULL)
			ret = try(l, x, fd, path, d->d_name, err);
		else if (is_dir(fd, d) && strcmp(d->d_name, ".") != 0 &&
			 strcmp(d->d_name, "..") != 0)
			push(l, path, d->d_name);
	}
	(void)closedir(dir);
	return ret;
}

static int
look(struct look *l, struct cw_error *err)
{
	int ret = 0;

	push(l, ".", l->top);
	for (size_t i = 0; i < l->dir_count; i++) {
		if (ret == 0 && l->left > 0)
			ret = cw_stop_check(err);
		if (ret == 0 && l->left > 0)
			ret = read_dir(l, l->dirs[i], err);
		free(l->dirs[i]);
	}
	l->dir_count = 0;
	return ret;
}

/*
 * All looks at one account.  Several rows of one file that has a single name
 * are what is left of its renaming: the newest counts.
 */
static int
look_often(struct look *l, struct cw_error *err)
{
	int ret = 0;

	qsort(l->by_ino, l->count, sizeof(*l->by_ino), compare_inodes);
	qsort(l->by_base, l->count, sizeof(*l->by_base), compare_bases);
	l->left = 0;
	for (size_t i = 0; i < l->count; i++) {
		struct cw_missing_file *f = l->by_ino[i]->file;
		bool is_twice = i > 0 && f->row.linkgroup == 0 &&
				f->row.ino == l->by_ino[i - 1]->file->row.ino;

		f->fate = is_twice ? CW_MISSING_TWICE : CW_MISSING_GONE;
		l->left += !is_twice;
	}
	for (int i = 0; i < LOOKS && l->left > 0 && ret == 0; i++)
		ret = look(l, err);
	return ret;
}

/* ---- all of them ---- */

static const struct cw_source_root *
root_of(const struct cw_source_root *roots, size_t count, const char *path)
{
	size_t len = strcspn(path, "/");

	for (size_t i = 0; i < count; i++)
		if (strlen(roots[i].name) == len &&
		    memcmp(roots[i].name, path, len) == 0)
			return &roots[i];
	return NULL;
}

static bool
same_account(const struct sought *a, const struct sought *b)
{
	return a->root == b->root && strcmp(a->top, b->top) == 0;
}

static int
compare_accounts(const void *a, const void *b)
{
	const struct sought *x = a, *y = b;

	if (x->root != y->root)
		return x->root < y->root ? -1 : 1;
	return strcmp(x->top, y->top);
}

int
cw_missing_chase(struct cw_missing *m, const struct cw_source_root *roots,
    size_t root_count,
    int (*found)(void *arg, const struct cw_missing_file *file, int fd,
	const struct stat *st, const char *path, struct cw_error *err),
    void *arg, struct cw_error *err)
{
	struct look l = {.found = found, .arg = arg, .path = CW_BUF_INIT};
	struct sought *all = cw_calloc(m->count + 1, sizeof(*all));
	size_t count = 0;
	int ret = 0;

	l.by_ino = cw_calloc(m->count + 1, sizeof(*l.by_ino));
	l.by_base = cw_calloc(m->count + 1, sizeof(*l.by_base));
	for (size_t i = 0; i < m->count; i++) {
		struct sought *x = &all[count];

		x->file = &m->files[i];
		if (x->file->row.class != CW_MAIL_MESSAGE)
			continue;
		x->root = root_of(roots, root_count, x->file->path);
		if (x->root == NULL)
			continue;
		x->top = account_of(
		    x->root->dirfd, x->file->path + strlen(x->root->name) + 1);
		count += x->top != NULL;
	}
	qsort(all, count, sizeof(*all), compare_accounts);
	for (size_t i = 0; i < count && ret == 0; i += l.count) {
		l.root = all[i].root;
		l.top = all[i].top;
		for (l.count = 0; i + l.count < count &&
				  same_account(&all[i], &all[i + l.count]);
		     l.count++) {
			l.by_ino[l.count] = &all[i + l.count];
			l.by_base[l.count] = &all[i + l.count];
		}
		ret = look_often(&l, err);
	}
	for (size_t i = 0; i < count; i++)
		free(all[i].top);
	free(all);
	free(l.by_ino);
	free(l.by_base);
	free(l.dirs);
	cw_buf_free(&l.path);
	return ret;
}
