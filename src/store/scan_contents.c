/*
 * Reading what has no digest yet.  Pages of entries are read by threads and
 * then noted; they are committed after a moment first, for who waits for them,
 * and then ever more rarely, since digests are all over their index.  So an
 * interruption loses two seconds of reading.
 */
#include "base/clock.h"
#include "base/crypto.h"
#include "base/fs.h"
#include "base/rotating.h"
#include "base/text.h"
#include "base/thread.h"
#include "store/scan_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE_ENTRIES 512
#define READ_SIZE    (256u << 10)
#define THREADS_MAX  8u
/* From one commit to the next, at first and in the end. */
#define COMMIT_FIRST_MS 20
#define COMMIT_LAST_MS	2000
/* A page of so many takes its time, and what is known does not wait for it. */
#define COMMIT_BYTES (128u << 20)

enum outcome {
	READ_DONE,
	READ_MOVED, /* it is not, or no longer, what the row says */
	READ_FAILED,
};

/* Which entry is read when. */
struct turn {
	size_t entry;
	uint64_t ino;
};

struct work {
	struct scan *s;
	struct cw_run *page;
	char **paths; /* of the entries, relative to rootfds */
	int *rootfds;
	enum outcome *outcomes;
	struct turn *turns;
	atomic_size_t next;
	pthread_mutex_t lock;
	struct cw_error err; /* the first failure */
};

static bool
still_is(int fd, const struct cw_entry *e)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	       (uint64_t)st.st_size == e->size && st.st_ino == e->ino &&
	       cw_time_ns(st.st_mtim) == e->mtime_ns &&
	       cw_time_ns(st.st_ctim) == e->ctime_ns;
}

static enum outcome
hash_file(int fd, struct cw_entry *e, struct cw_sha256 *h, uint8_t *buf,
    struct cw_error *err)
{
	uint64_t left = e->size;

	if (!still_is(fd, e))
		return READ_MOVED;
	while (left > 0) {
		size_t want = left < READ_SIZE ? (size_t)left : READ_SIZE, got;

		if (cw_stop_check(err) < 0 ||
		    cw_read_full(fd, buf, want, &got, err) < 0)
			return READ_FAILED;
		if (got != want)
			return READ_MOVED;
		cw_sha256_update(h, buf, got);
		left -= got;
	}
	return still_is(fd, e) ? READ_DONE : READ_MOVED;
}

static enum outcome
read_one(struct work *w, size_t i, struct cw_sha256 *h, uint8_t *buf,
    struct cw_error *err)
{
	struct cw_entry *e = &w->page->entries[i];
	uint8_t ignored[CW_SHA256_SIZE];
	char quoted[CW_QUOTE_MAX];
	enum outcome outcome;
	int fd;

	fd = cw_scan_open(w->rootfds[i], w->paths[i],
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 && (errno == ENOENT || errno == ELOOP || errno == ENOTDIR))
		return READ_MOVED;
	if (fd < 0) {
		cw_text_quote(w->paths[i], strlen(w->paths[i]), quoted);
		cw_error_errno(err, "cannot open %s", quoted);
		return READ_FAILED;
	}
	outcome = hash_file(fd, e, h, buf, err);
	cw_sha256_final(h, outcome == READ_DONE ? e->digest : ignored);
	(void)close(fd);
	if (outcome == READ_FAILED) {
		cw_text_quote(w->paths[i], strlen(w->paths[i]), quoted);
		cw_error_context(err, "%s", quoted);
	}
	return outcome;
}

static void *
read_some(void *arg)
{
	struct work *w = arg;
	struct cw_sha256 *h = cw_sha256_new();
	uint8_t *buf = cw_malloc(READ_SIZE);
	size_t turn;

	while ((turn = atomic_fetch_add(&w->next, 1)) < w->page->count) {
		struct cw_error err = CW_ERROR_INIT;
		size_t i = w->turns[turn].entry;

		if (w->rootfds[i] < 0) {
			w->outcomes[i] = READ_MOVED;
			continue;
		}
		w->outcomes[i] = read_one(w, i, h, buf, &err);
		if (w->outcomes[i] != READ_FAILED)
			continue;
		pthread_mutex_lock(&w->lock);
		if (w->err.code == CW_OK)
			w->err = err;
		pthread_mutex_unlock(&w->lock);
		atomic_store(&w->next, w->page->count);
	}
	free(buf);
	cw_sha256_free(h);
	return NULL;
}

/* Where each entry of the page is on disk. */
static int
find_paths(struct work *w, struct cw_error *err)
{
	struct scan *s = w->s;

	for (size_t i = 0; i < w->page->count; i++) {
		const struct cw_entry *e = &w->page->entries[i];
		const char *dir, *slash;
		size_t len;

		if (cw_catalog_dir_path(s->c, e->dir, &dir, &len, err) < 0)
			return -1;
		slash = memchr(dir, '/', len);
		w->rootfds[i] = -1;
		w->outcomes[i] = READ_FAILED;
		w->paths[i] = slash == NULL
				  ? cw_strdup(e->name)
				  : cw_asprintf("%s/%s", slash + 1, e->name);
		if (slash != NULL)
			len = (size_t)(slash - dir);
		for (size_t k = 0; k < s->root_count; k++) {
			if (strlen(s->roots[k].list.name) == len &&
			    memcmp(s->roots[k].list.name, dir, len) == 0)
				w->rootfds[i] = s->roots[k].list.fd;
		}
	}
	return 0;
}

static void
run_threads(struct work *w)
{
	pthread_t threads[THREADS_MAX];
	unsigned started = 0, wanted = THREADS_MAX;
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	if (cores >= 1 && (unsigned long)cores < THREADS_MAX)
		wanted = (unsigned)cores;
	/* This thread is one of them. */
	while (started + 1 < wanted &&
	       cw_thread_start(&threads[started], read_some, w) == 0)
		started++;
	read_some(w);
	for (unsigned i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
}

static int
note_page(struct work *w, struct cw_error *err)
{
	struct scan *s = w->s;
	bool mine;

	if (catalog_begin_own(s->c, &mine, err) < 0)
		return -1;
	for (size_t i = 0; i < w->page->count; i++) {
		const struct cw_entry *e = &w->page->entries[i];

		if (w->outcomes[i] != READ_DONE)
			continue;
		if (cw_catalog_set_digest(s->c, e, e->digest, err) < 0) {
			cw_catalog_rollback(s->c);
			return -1;
		}
		s->result->read++;
		s->result->read_bytes += e->size;
		if (s->options != NULL)
			cw_progress_add(s->options->progress, e->size, 1);
	}
	return 0;
}

/* When what was noted is to be durable, and seen by others. */
struct commits {
	int64_t last_ms, every_ms;
};

static uint64_t
bytes_of(const struct cw_run *page)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < page->count; i++)
		sum += page->entries[i].size;
	return sum;
}

/* Before the next page is read. */
static int
commit_if_due(struct scan *s, struct commits *m, const struct cw_run *next,
    struct cw_error *err)
{
	int64_t now = cw_clock_ms();

	if (now - m->last_ms < m->every_ms && bytes_of(next) < COMMIT_BYTES)
		return 0;
	m->last_ms = now;
	m->every_ms =
	    m->every_ms * 2 < COMMIT_LAST_MS ? m->every_ms * 2 : COMMIT_LAST_MS;
	return catalog_end_own(s->c, s->c->in_tx, 0, err);
}

static int
compare_turns(const void *a, const void *b)
{
	const struct turn *x = a, *y = b;

	return (x->ino > y->ino) - (x->ino < y->ino);
}

/* As they come, or by inode where the disk rotates. */
static void
order(struct work *w)
{
	struct scan *s = w->s;
	bool is_rotating = false;

	for (size_t i = 0; i < s->root_count && !is_rotating; i++)
		is_rotating = cw_is_rotating(s->roots[i].list.fd);
	for (size_t i = 0; i < w->page->count; i++)
		w->turns[i] = (struct turn){i, w->page->entries[i].ino};
	if (is_rotating)
		qsort(
		    w->turns, w->page->count, sizeof(*w->turns), compare_turns);
}

static int
read_page(struct scan *s, struct cw_run *page, struct cw_error *err)
{
	struct work w = {.s = s, .page = page, .err = CW_ERROR_INIT};
	int ret;

	w.paths = cw_calloc(page->count, sizeof(*w.paths));
	w.rootfds = cw_calloc(page->count, sizeof(*w.rootfds));
	w.outcomes = cw_calloc(page->count, sizeof(*w.outcomes));
	w.turns = cw_calloc(page->count, sizeof(*w.turns));
	order(&w);
	pthread_mutex_init(&w.lock, NULL);
	ret = find_paths(&w, err);
	if (ret == 0) {
		run_threads(&w);
		ret = note_page(&w, err);
	}
	if (ret == 0 && w.err.code != CW_OK) {
		if (err != NULL)
			*err = w.err;
		ret = -1;
	}
	pthread_mutex_destroy(&w.lock);
	for (size_t i = 0; i < page->count; i++)
		free(w.paths[i]);
	free(w.paths);
	free(w.rootfds);
	free(w.outcomes);
	free(w.turns);
	return ret;
}

/* Fills the page with what comes behind its own last entry. */
static int
next_page(
    struct scan *s, sqlite3_stmt *st, struct cw_run *page, struct cw_error *err)
{
	char name[CW_ENTRY_NAME_MAX];
	int64_t dir = -1;
	size_t len = 0;
	int got, ret = 0;

	if (page->count > 0) {
		const struct cw_entry *last = &page->entries[page->count - 1];

		dir = last->dir;
		len = last->name_len;
		memcpy(name, last->name, len);
	}
	run_reset(page);
	sqlite3_bind_int64(st, 1, dir);
	bind_bytes(st, 2, name, len);
	while ((got = sqlite3_step(st)) == SQLITE_ROW && ret == 0) {
		struct cw_entry e;

		ret = row_read(s->c, st, &e, err);
		if (ret == 0)
			run_append(page, &e);
	}
	sqlite3_reset(st);
	if (ret == 0 && got != SQLITE_DONE)
		ret = catalog_fail(s->c, "read what waits", err);
	return ret;
}

int
scan_contents(struct scan *s, uint64_t since, struct cw_error *err)
{
	/* The first generation is in no index: SPEC.md, entry_gen. */
	static const char all[] =
	    "SELECT " ENTRY_COLUMNS " FROM entry WHERE kind='f' AND digest IS"
	    " NULL AND (dir,name)>(?1,?2)"
	    " ORDER BY dir,name LIMIT ?3";
	static const char few[] =
	    "SELECT " ENTRY_COLUMNS " FROM entry WHERE kind='f' AND digest IS"
	    " NULL AND gen>?4 AND gen>1 AND"
	    " (dir,name)>(?1,?2)"
	    " ORDER BY dir,name LIMIT ?3";
	struct commits commits = {cw_clock_ms(), COMMIT_FIRST_MS};
	struct cw_run page = CW_RUN_INIT;
	sqlite3_stmt *st = NULL;
	int ret = -1;

	if (s->options != NULL)
		cw_progress_start(
		    s->options->progress, "reading", 0, s->c->info.pending);
	if (catalog_prepare(s->c, since > 0 ? few : all, &st, err) < 0)
		return -1;
	sqlite3_bind_int64(st, 3, PAGE_ENTRIES);
	if (since > 0)
		sqlite3_bind_int64(st, 4, (int64_t)since);
	do {
		if ((ret = next_page(s, st, &page, err)) < 0 || page.count == 0)
			break;
		ret = commit_if_due(s, &commits, &page, err);
		if (ret == 0)
			ret = read_page(s, &page, err);
	} while (ret == 0);
	sqlite3_finalize(st);
	/* Also if a file failed: what was read need not be read again. */
	if (s->c->in_tx &&
	    catalog_end_own(s->c, true, 0, ret < 0 ? NULL : err) < 0)
		ret = -1;
	cw_run_free(&page);
	return ret;
}
