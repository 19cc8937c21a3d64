/*
 * One directory: opened beneath its root, listed, everything in it looked at.
 */
#include "store/scan_dir.h"

#include "base/clock.h"
#include "base/progress.h"
#include "base/text.h"
#include "store/scan.h"
#include "store/scan_attrs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#define GETDENTS_SIZE (64u << 10)

/*
 * The clock that stamps mtimes ticks every 1 to 10 ms; what was changed less
 * than this before a look can change again without a new mtime.
 */
#define SETTLE_NS    20000000
#define SETTLE_TRIES 20

int64_t
scan_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return cw_time_ns(t);
}

/* What getdents says of a name, before anybody looked at it. */
struct raw {
	uint64_t ino;
	size_t name; /* in the batch's bytes */
	uint32_t len;
	unsigned char type;
};

struct listing {
	struct lister_thread *thread;
	struct list_job *job;
	struct list_batch *batch;
	struct raw *raw;
	size_t raw_count;
	struct cw_buf path; /* of what is looked at, relative to the root */
	size_t path_dir;    /* bytes of it that are the directory's */
	struct cw_buf attrs;
	bool own_cwd; /* this thread's working directory is its own */
	uint8_t dents[GETDENTS_SIZE] __attribute__((aligned(8)));
};

static void
batch_reset(struct list_batch *b, struct list_job *job)
{
	b->job = job;
	b->end = LIST_DONE;
	b->count = 0;
	b->only_messages = true;
	b->stable = false;
	b->mtime_ns = b->ctime_ns = 0;
	cw_buf_reset(&b->bytes);
	b->err = (struct cw_error)CW_ERROR_INIT;
}

static int
fail_at(struct listing *s, const char *doing, struct cw_error *err)
{
	int saved = errno;
	struct cw_buf path = CW_BUF_INIT;
	char quoted[CW_QUOTE_MAX];

	cw_buf_printf(&path, "%s/", s->job->root->name);
	cw_buf_append(&path, s->path.data, s->path.len);
	cw_text_quote((const char *)path.data, path.len, quoted);
	cw_buf_free(&path);
	errno = saved;
	return cw_error_errno(err, "cannot %s %s", doing, quoted);
}

static bool
is_excluded(const struct list_root *root, const char *path)
{
	for (size_t i = 0; i < root->exclude_count; i++) {
		if (fnmatch(root->excludes[i], path, FNM_PATHNAME) == 0)
			return true;
	}
	return false;
}

/* Makes s->path the path of this name. */
static const char *
path_of(struct listing *s, const char *name, size_t len)
{
	s->path.len = s->path_dir;
	cw_buf_append(&s->path, name, len);
	return cw_buf_string(&s->path);
}

static uint64_t
mix(uint64_t x)
{
	/* splitmix64 (Steele, Lea, Flood 2014), its finalizer */
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static int64_t
link_group(const struct statx *st)
{
	uint64_t dev = makedev(st->stx_dev_major, st->stx_dev_minor);
	uint64_t group = mix(mix(dev) ^ st->stx_ino) >> 1;

	return group == 0 ? 1 : (int64_t)group;
}

static int64_t
time_of(const struct statx_timestamp *t)
{
	return cw_time_ns((struct timespec){t->tv_sec, t->tv_nsec});
}

static void
fill_item(struct list_item *item, const struct statx *st)
{
	item->mode = st->stx_mode & 07777u;
	item->uid = st->stx_uid;
	item->gid = st->stx_gid;
	item->mtime_ns = time_of(&st->stx_mtime);
	item->ctime_ns = time_of(&st->stx_ctime);
	item->ino = st->stx_ino;
	item->size = 0;
	item->linkgroup = 0;
	item->sparse = false;
	if (item->kind != CW_KIND_FILE)
		return;
	item->size = st->stx_size;
	item->sparse = st->stx_blocks < st->stx_size / 512;
	if (st->stx_nlink > 1)
		item->linkgroup = link_group(st);
}

/* 0 taken, 1 vanished, -1 error. */
static int
fill_target(struct listing *s, struct list_item *item, const char *name,
    struct cw_error *err)
{
	struct cw_buf *bytes = &s->batch->bytes;
	size_t room = CW_MEMBER_TARGET_MAX;
	ssize_t n;
	char target[4096];

	n = readlinkat(s->job->fd, name, target, sizeof(target));
	if (n < 0 && (errno == ENOENT || errno == EINVAL))
		return 1;
	if (n <= 0 || (size_t)n > room || (size_t)n == sizeof(target))
		return fail_at(s, "read the symbolic link", err);
	item->target = bytes->len;
	item->target_len = (uint32_t)n;
	cw_buf_append(bytes, target, (size_t)n);
	cw_buf_append(bytes, "", 1);
	return 0;
}

static int
fill_attrs(struct listing *s, struct list_item *item, const char *name,
    struct cw_error *err)
{
	bool is_dir = item->kind == CW_KIND_DIR;
	int got;

	item->attrs = 0;
	item->attrs_len = 0;
	if (!s->job->with_attrs || item->kind == CW_KIND_SYMLINK)
		return 0;
	cw_buf_reset(&s->attrs);
	got = s->own_cwd
		  ? attrs_read(name, is_dir, &s->attrs, err)
		  : cw_scan_attrs(s->job->fd, name, is_dir, &s->attrs, err);
	if (got < 0)
		return cw_error_context(
		    err, "%s/%s", s->job->root->name, s->job->path);
	if (s->attrs.len > 0) {
		item->attrs = s->batch->bytes.len;
		item->attrs_len = (uint32_t)s->attrs.len;
		cw_buf_append(&s->batch->bytes, s->attrs.data, s->attrs.len);
	}
	return 0;
}

static int
look(struct listing *s, const struct raw *r, struct cw_error *err)
{
	struct list_batch *b = s->batch;
	const struct list_root *root = s->job->root;
	char name[CW_ENTRY_NAME_MAX + 1];
	struct list_item item = {.name = r->name, .name_len = r->len};
	enum cw_mail_class class;
	struct statx st;
	const char *path;
	int got;

	/* A copy: the batch's bytes may move. */
	memcpy(name, b->bytes.data + r->name, (size_t)r->len + 1);
	path = path_of(s, name, r->len);
	if (s->path.len + strlen(root->name) + 1 > CW_PATH_MAX) {
		errno = ENAMETOOLONG;
		return fail_at(s, "keep the path of", err);
	}
	if (root->exclude_count > 0 && is_excluded(root, path)) {
		s->job->skipped++;
		return 0;
	}
	if (statx(s->job->fd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT,
		STATX_BASIC_STATS, &st) < 0) {
		if (errno != ENOENT)
			return fail_at(s, "look at", err);
		s->job->vanished++;
		return 0;
	}
	switch (st.stx_mode & S_IFMT) {
	case S_IFREG:
		item.kind = CW_KIND_FILE;
		break;
	case S_IFDIR:
		item.kind = CW_KIND_DIR;
		break;
	case S_IFLNK:
		item.kind = CW_KIND_SYMLINK;
		break;
	default:
		s->job->skipped++;
		return 0;
	}
	class =
	    root->format->classify(path, s->path.len, (enum cw_kind)item.kind);
	if (class == CW_MAIL_SKIP) {
		s->job->skipped++;
		return 0;
	}
	item.class = (uint8_t) class;
	fill_item(&item, &st);
	if (item.kind == CW_KIND_SYMLINK &&
	    (got = fill_target(s, &item, name, err)) != 0) {
		s->job->vanished += got > 0;
		return got < 0 ? -1 : 0;
	}
	if (fill_attrs(s, &item, name, err) < 0)
		return -1;
	if (item.kind == CW_KIND_FILE && class != CW_MAIL_MESSAGE)
		b->only_messages = false;
	if (b->count == b->capacity) {
		b->capacity = b->capacity == 0 ? 256 : b->capacity * 2;
		b->items =
		    cw_reallocarray(b->items, b->capacity, sizeof(*b->items));
	}
	b->items[b->count++] = item;
	return 0;
}

static int
compare_inodes(const void *a, const void *b)
{
	const struct raw *x = a, *y = b;

	return (x->ino > y->ino) - (x->ino < y->ino);
}

/*
 * Looks at what was gathered, in the order of inodes: on a rotating disk that
 * is a fraction of the seeks, in memory it costs nothing.
 */
static int
look_at_all(struct listing *s, struct cw_error *err)
{
	/*
	 * Attributes have no call relative to a directory (before Linux 6.13),
	 * and the way over /proc costs twice what statx does.
	 */
	if (s->own_cwd && s->job->with_attrs && fchdir(s->job->fd) < 0)
		return fail_at(s, "enter", err);
	qsort(s->raw, s->raw_count, sizeof(*s->raw), compare_inodes);
	for (size_t i = 0; i < s->raw_count; i++) {
		if (look(s, &s->raw[i], err) < 0)
			return -1;
	}
	s->raw_count = 0;
	s->path.len = s->path_dir;
	return 0;
}

static void
gather(struct listing *s, const struct dirent64 *d)
{
	size_t len = strlen(d->d_name);
	struct raw *r;

	if (len == 0 || len > CW_ENTRY_NAME_MAX ||
	    strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
		return;
	switch (d->d_type) {
	case DT_FIFO:
	case DT_SOCK:
	case DT_CHR:
	case DT_BLK:
		s->job->skipped++;
		return;
	default:
		break;
	}
	r = &s->raw[s->raw_count++];
	*r = (struct raw){
	    d->d_ino, s->batch->bytes.len, (uint32_t)len, d->d_type};
	cw_buf_append(&s->batch->bytes, d->d_name, len + 1);
}

/* Hands the batch over and goes on with another one of the same job. */
static void
next_batch(struct listing *s)
{
	struct list_batch *done = s->batch;
	struct list_batch *fresh = lister_empty(s->thread);

	batch_reset(fresh, s->job);
	fresh->mtime_ns = done->mtime_ns;
	fresh->ctime_ns = done->ctime_ns;
	fresh->looked_ns = done->looked_ns;
	fresh->only_messages = done->only_messages;
	done->end = LIST_MORE;
	lister_fill(s->thread, done);
	s->batch = fresh;
}

static int
list_names(struct listing *s, struct cw_error *err)
{
	for (;;) {
		ssize_t n = getdents64(s->job->fd, s->dents, sizeof(s->dents));

		if (n < 0)
			return fail_at(s, "list", err);
		if (n == 0)
			break;
		if (cw_stop_check(err) < 0)
			return -1;
		for (ssize_t at = 0; at < n;) {
			const struct dirent64 *d =
			    (const void *)(s->dents + at);

			at += d->d_reclen;
			if (s->raw_count + s->batch->count ==
			    LIST_BATCH_ITEMS) {
				if (look_at_all(s, err) < 0)
					return -1;
				next_batch(s);
			}
			gather(s, d);
		}
	}
	return look_at_all(s, err);
}

static int
stat_dir(struct listing *s, int64_t *mtime_ns, int64_t *ctime_ns,
    struct cw_error *err)
{
	struct stat st;

	if (fstat(s->job->fd, &st) < 0)
		return fail_at(s, "look at", err);
	*mtime_ns = cw_time_ns(st.st_mtim);
	*ctime_ns = cw_time_ns(st.st_ctim);
	return 0;
}

/* Before the listing: what the directory says, settled if asked for. */
static int
look_before(struct listing *s, bool *settled, struct cw_error *err)
{
	struct list_batch *b = s->batch;
	const struct timespec pause = {0, SETTLE_NS};

	for (int tries = 0;; tries++) {
		if (stat_dir(s, &b->mtime_ns, &b->ctime_ns, err) < 0)
			return -1;
		b->looked_ns = scan_now_ns();
		*settled = b->looked_ns - b->mtime_ns > SETTLE_NS;
		/* A directory from the future never settles. */
		if (*settled || !s->job->settle || tries == SETTLE_TRIES ||
		    b->mtime_ns > b->looked_ns)
			return 0;
		nanosleep(&pause, NULL);
	}
}

/*
 * Is the directory what it was when it was seen?  One call by its path tells,
 * where opening it takes three.  A symlink on the way may lead elsewhere: to
 * a directory of the very same times, which then is not listed either.
 */
static bool
is_unchanged(const struct list_job *job)
{
	int64_t mtime_ns;
	struct stat st;

	if (job->must_list || fstatat(job->root->fd, job->path, &st,
				  AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) < 0)
		return false;
	mtime_ns = cw_time_ns(st.st_mtim);
	return S_ISDIR(st.st_mode) && mtime_ns == job->seen_mtime_ns &&
	       cw_time_ns(st.st_ctim) == job->seen_ctime_ns &&
	       (!job->settle || scan_now_ns() - mtime_ns > SETTLE_NS);
}

/* 0 listed to its end, which is in *end; 1 it says what was seen. */
static int
list_one(struct listing *s, enum list_end *end, struct cw_error *err)
{
	struct list_job *job = s->job;
	int64_t mtime_ns, ctime_ns;
	bool settled;

	*end = LIST_FAILED;
	s->path.len = 0;
	if (strcmp(job->path, ".") != 0)
		cw_buf_text(&s->path, job->path);
	job->fd = cw_scan_open(job->root->fd, job->path,
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK);
	if (job->fd < 0) {
		/* ELOOP, EXDEV: it is a symlink now. */
		if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP ||
		    errno == EXDEV)
			*end = LIST_GONE;
		else
			fail_at(s, "open", err);
		return 0;
	}
	if (s->path.len > 0)
		cw_buf_append(&s->path, "/", 1);
	s->path_dir = s->path.len;
	if (look_before(s, &settled, err) < 0)
		return 0;
	if (!job->must_list && s->batch->mtime_ns == job->seen_mtime_ns &&
	    s->batch->ctime_ns == job->seen_ctime_ns)
		return 1;
	if (list_names(s, err) < 0 ||
	    stat_dir(s, &mtime_ns, &ctime_ns, err) < 0)
		return 0;
	s->batch->stable = settled && mtime_ns == s->batch->mtime_ns &&
			   ctime_ns == s->batch->ctime_ns;
	*end = LIST_DONE;
	return 0;
}

struct listing *
listing_new(struct lister_thread *t)
{
	struct listing *s = cw_calloc(1, sizeof(*s));

	s->thread = t;
	s->own_cwd = unshare(CLONE_FS) == 0;
	s->raw = cw_calloc(LIST_BATCH_ITEMS, sizeof(*s->raw));
	return s;
}

void
listing_free(struct listing *s)
{
	cw_buf_free(&s->path);
	cw_buf_free(&s->attrs);
	free(s->raw);
	free(s);
}

void
listing_run(struct listing *s, struct list_job *job)
{
	struct cw_error err = CW_ERROR_INIT;
	enum list_end end;

	if (is_unchanged(job)) {
		lister_pass_over(s->thread, job, NULL);
		return;
	}
	s->job = job;
	s->raw_count = 0;
	s->batch = lister_empty(s->thread);
	batch_reset(s->batch, job);
	if (list_one(s, &end, &err) == 1) {
		lister_pass_over(s->thread, job, s->batch);
		return;
	}
	s->batch->err = err;
	s->batch->end = end;
	lister_fill(s->thread, s->batch);
}
