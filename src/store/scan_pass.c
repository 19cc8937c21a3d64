/*
 * The scan goes over the directories in passes:
 *
 * 1. Every directory, in the order of ids (parents before children, rows
 *    nearly in the order of their key).  What is missing becomes a suspect.
 * 2. Every directory of a mail store again, but only its mtime: what moved
 *    since it was listed is listed again.  This finds the message that was
 *    renamed from a directory not yet read into one already read.
 * 3. The accounts in which something moved or is suspected: scan_account.c.
 *    Only now a suspect of such an account is believed.
 * 4. If any was, pass 2 once more, for what moved between accounts.  What it
 *    finds missing is left to the next scan.
 */
#include "store/scan_impl.h"

#include <stdlib.h>
#include <string.h>

#define WINDOW 32u /* directories under way at once */
/* With more of them it is not some directories that are damaged. */
#define UNREADABLE_MAX 1000u
#define RACY_NS	       INT64_C(2000000000)

/* ---- suspects ---- */

int
scan_suspect(struct scan *s, int64_t dir, const char *name, size_t len,
    struct cw_error *err)
{
	sqlite3_stmt *st = scan_stmt(s, SC_SUSPECT, err);

	if (st == NULL)
		return -1;
	sqlite3_bind_int64(st, 1, dir);
	bind_bytes(st, 2, name, len);
	sqlite3_bind_int64(st, 3, s->belief);
	sqlite3_bind_int64(st, 4, s->round);
	if (catalog_run(s->c, st, err) < 0)
		return -1;
	if (sqlite3_changes(s->c->db) > 0) {
		s->suspects++;
		s->pass_moved++;
	}
	return 0;
}

/* A directory of the catalog that is not there: its own entry is missing. */
static int
suspect_dir(struct scan *s, int64_t dir, struct cw_error *err)
{
	struct cw_buf name = CW_BUF_INIT;
	int64_t parent;
	int ret;

	ret = catalog_dir_parent(s->c, dir, &parent, &name, err);
	if (ret == 0)
		ret = scan_suspect(
		    s, parent, (const char *)name.data, name.len, err);
	cw_buf_free(&name);
	return ret;
}

/* ---- one directory ---- */

/* What a directory said when it was last listed; 1 if it never was. */
static int
last_look(struct scan *s, int64_t dir, int64_t *mtime_ns, int64_t *ctime_ns,
    bool *stable, struct cw_error *err)
{
	sqlite3_stmt *st = scan_stmt(s, SC_LOOK_GET, err);
	int got;

	if (st == NULL)
		return -1;
	sqlite3_bind_int64(st, 1, dir);
	got = sqlite3_step(st);
	if (got == SQLITE_ROW) {
		*mtime_ns = sqlite3_column_int64(st, 0);
		*ctime_ns = sqlite3_column_int64(st, 1);
		*stable = sqlite3_column_int(st, 2) != 0;
	}
	sqlite3_reset(st);
	if (got != SQLITE_ROW && got != SQLITE_DONE)
		return catalog_fail(s->c, "recall a directory", err);
	return got == SQLITE_ROW ? 0 : 1;
}

static int
note_look(struct scan *s, const struct list_batch *b, struct cw_error *err)
{
	sqlite3_stmt *st = scan_stmt(s, SC_LOOK_PUT, err);

	if (st == NULL)
		return -1;
	sqlite3_bind_int64(st, 1, b->job->dir);
	sqlite3_bind_int64(st, 2, b->mtime_ns);
	sqlite3_bind_int64(st, 3, b->ctime_ns);
	sqlite3_bind_int(st, 4, b->stable);
	return catalog_run(s->c, st, err);
}

/*
 * Lets the next scan pass over the directory if it stays as it is.  One that
 * was changed just before it was listed may change again under the same
 * mtime (git calls it racily clean), and files that are written in place say
 * nothing to their directory.
 */
static int
note_seen(struct scan *s, const struct list_batch *b, struct cw_error *err)
{
	const struct list_job *job = b->job;
	const char *path = job->path;
	int64_t age = b->looked_ns - b->mtime_ns;
	bool tells = b->stable && b->only_messages &&
		     (age > RACY_NS || age < -RACY_NS) &&
		     job->root->format->dir_tells(path, strlen(path));
	int64_t mtime_ns = tells ? b->mtime_ns : 0;
	int64_t ctime_ns = tells ? b->ctime_ns : 0;
	int64_t old_mtime_ns, old_ctime_ns;

	if (catalog_dir_seen(
		s->c, job->dir, &old_mtime_ns, &old_ctime_ns, err) < 0)
		return -1;
	if (old_mtime_ns == mtime_ns && old_ctime_ns == ctime_ns)
		return 0;
	return catalog_dir_set_seen(s->c, job->dir, mtime_ns, ctime_ns, err);
}

struct scan_root *
scan_root_of(struct scan *s, const char *path, size_t len)
{
	const char *slash = memchr(path, '/', len);
	size_t first = slash == NULL ? len : (size_t)(slash - path);

	for (size_t i = 0; i < s->root_count; i++) {
		const char *name = s->roots[i].list.name;

		if (strlen(name) == first && memcmp(name, path, first) == 0)
			return &s->roots[i];
	}
	return NULL;
}

static int
make_job(struct scan *s, int64_t dir, enum scan_how how, const char *path,
    struct scan_root *root, struct cw_error *err)
{
	struct list_job *job = cw_calloc(1, sizeof(*job));
	bool stable = true;
	int got;

	job->dir = dir;
	job->root = &root->list;
	job->path = cw_strdup(path);
	job->fd = -1;
	job->settle = how == HOW_ROUND;
	got = last_look(
	    s, dir, &job->seen_mtime_ns, &job->seen_ctime_ns, &stable, err);
	if (got > 0) {
		got = catalog_dir_seen(
		    s->c, dir, &job->seen_mtime_ns, &job->seen_ctime_ns, err);
		job->is_new = dir >= s->first_new_dir;
		job->with_attrs = job->is_new;
		job->must_list = s->full || job->seen_mtime_ns == 0;
		stable = true;
	}
	if (got < 0) {
		free(job->path);
		free(job);
		return -1;
	}
	job->must_list = job->must_list || !stable;
	lister_submit(s->lister, job);
	return 0;
}

/* Submits a directory, if it still is one and its root is scanned. */
static int
dispatch(struct scan *s, int64_t dir, enum scan_how how, struct cw_error *err)
{
	struct scan_root *root;
	const char *path, *slash;
	size_t len;
	int there = 1;

	if (dir == 0)
		return 0;
	if (s->has_removed_dirs)
		there = catalog_dir_exists(s->c, dir, err);
	if (there <= 0)
		return there;
	if (cw_catalog_dir_path(s->c, dir, &path, &len, err) < 0)
		return -1;
	root = scan_root_of(s, path, len);
	if (root == NULL || !root->in_pass)
		return 0;
	slash = memchr(path, '/', len);
	return make_job(
	    s, dir, how, slash == NULL ? "." : slash + 1, root, err);
}

static int
note_unsettled(struct scan *s, int64_t dir, struct cw_error *err)
{
	sqlite3_stmt *st = NULL;
	int ret;

	if (catalog_prepare(s->c,
		"INSERT OR IGNORE INTO temp.unsettled(dir) VALUES(?1)", &st,
		err) < 0)
		return -1;
	sqlite3_bind_int64(st, 1, dir);
	ret = catalog_run(s->c, st, err);
	sqlite3_finalize(st);
	return ret;
}

/*
 * A root that held something, is another directory now, and holds nothing,
 * is most likely a disk that is not mounted.
 */
static int
check_root(struct scan *s, const struct list_batch *b, struct cw_error *err)
{
	const struct list_job *job = b->job;
	struct cw_error ignored = CW_ERROR_INIT;
	struct cw_walk_query q = {.dir = job->dir};
	struct cw_walk *w;
	struct cw_entry e;
	int had;

	if (strcmp(job->path, ".") != 0 || b->count > 0 || job->spilled ||
	    (s->options != NULL && s->options->accept_empty))
		return 0;
	for (size_t i = 0; i < s->root_count; i++) {
		struct scan_root *r = &s->roots[i];

		if (&r->list != job->root || !r->was_replaced)
			continue;
		if (cw_walk_open(s->c, &q, &w, err) < 0)
			return -1;
		had = cw_walk_next(w, &e, &ignored);
		cw_walk_close(w);
		if (had != 0)
			return cw_error_set(err, CW_ERR_REFUSED,
			    "%s is empty and not the directory it was: is its "
			    "disk mounted?",
			    r->in->path);
	}
	return 0;
}

static int
merge_listed(struct scan *s, struct list_batch *b, struct cw_error *err)
{
	struct list_job *job = b->job;
	int64_t mtime_ns = 0, ctime_ns = 0;
	bool stable = false;
	int looked = last_look(s, job->dir, &mtime_ns, &ctime_ns, &stable, err);

	if (looked < 0 || check_root(s, b, err) < 0)
		return -1;
	if (looked == 1 || mtime_ns != b->mtime_ns || ctime_ns != b->ctime_ns ||
	    !b->stable) {
		s->pass_moved++;
		if (s->note_unsettled && note_unsettled(s, job->dir, err) < 0)
			return -1;
	}
	s->result->dirs_read += looked == 1;
	s->result->skipped += looked == 1 ? job->skipped : 0;
	s->result->vanished += job->vanished;
	if (s->options != NULL && looked == 1)
		cw_progress_add(s->options->progress, 0, b->count);
	if (scan_merge(s, b, err) < 0)
		return -1;
	/* A kind that changed may have taken the directory away. */
	return note_look(s, b, err) < 0 ? -1 : note_seen(s, b, err);
}

/*
 * A directory that could not be read: either that ends the scan, or its rows
 * stay, and it is counted once however often it is looked at.
 */
static int
keep_unreadable(struct scan *s, struct list_batch *b, struct cw_error *err)
{
	const struct list_job *job = b->job;

	if (s->options == NULL || !s->options->keep_unreadable ||
	    b->err.code == CW_ERR_INTERRUPTED || strcmp(job->path, ".") == 0 ||
	    s->unreadable.count == UNREADABLE_MAX) {
		if (err != NULL)
			*err = b->err;
		return -1;
	}
	if (job->spilled && scan_drop_spilled(s, job->dir, err) < 0)
		return -1;
	for (size_t i = 0; i < s->unreadable.count; i++)
		if (s->unreadable.ids[i] == job->dir)
			return 0;
	scan_ids_append(&s->unreadable, job->dir);
	if (s->result->unreadable++ == 0)
		s->result->first_unreadable = b->err;
	return 0;
}

static int
handle(struct scan *s, struct list_batch *b, struct cw_error *err)
{
	const struct list_job *job = b->job;
	int there = 1;

	if (b->end == LIST_FAILED)
		return keep_unreadable(s, b, err);
	if (s->has_removed_dirs)
		there = catalog_dir_exists(s->c, job->dir, err);
	if (there <= 0)
		return there;
	switch (b->end) {
	case LIST_MORE:
		return scan_spill(s, b, err);
	case LIST_DONE:
		return merge_listed(s, b, err);
	case LIST_GONE:
		if (strcmp(job->path, ".") == 0)
			return cw_error_set(err, CW_ERR_MISSING,
			    "the directory of root %s went away",
			    job->root->name);
		s->result->vanished++;
		return suspect_dir(s, job->dir, err);
	default:
		return 0;
	}
}

/* ---- passes ---- */

/* Where a pass takes its directories from. */
struct dirs {
	const int64_t *list; /* NULL: all of the catalog, in order */
	size_t count;
	size_t at;
	int64_t page[64];
	int64_t last;
};

/* 1 and *dir, 0 none (yet: directories that are found come last). */
static int
next_dir(struct scan *s, struct dirs *d, int64_t *dir, struct cw_error *err)
{
	if (d->at == d->count && d->list == NULL) {
		d->at = 0;
		if (catalog_dir_ids(
			s->c, d->last, d->page, 64, &d->count, err) < 0)
			return -1;
	}
	if (d->at == d->count)
		return 0;
	*dir = d->list != NULL ? d->list[d->at] : d->page[d->at];
	d->at++;
	d->last = *dir;
	return 1;
}

static int
pass(struct scan *s, struct dirs *d, enum scan_how how, struct cw_error *err)
{
	s->pass_moved = 0;
	for (;;) {
		struct list_batch *b;
		int got = 1, ret;
		int64_t dir;

		while (lister_in_flight(s->lister) < WINDOW &&
		       (got = next_dir(s, d, &dir, err)) == 1) {
			if (dispatch(s, dir, how, err) < 0)
				return -1;
		}
		if (got < 0 || cw_stop_check(err) < 0)
			return -1;
		b = lister_take(s->lister);
		if (b == NULL)
			return 0;
		ret = handle(s, b, err);
		lister_return(s->lister, b);
		if (ret < 0)
			return -1;
	}
}

int
scan_pass_dirs(struct scan *s, const struct scan_ids *dirs, enum scan_how how,
    struct cw_error *err)
{
	struct dirs d = {.list = dirs->ids, .count = dirs->count};

	return pass(s, &d, how, err);
}

static int
pass_all(struct scan *s, enum scan_how how, struct cw_error *err)
{
	struct dirs d = {.last = 0};

	return pass(s, &d, how, err);
}

bool
scan_is_mail(const struct scan_root *r)
{
	/* A format whose directories tell is one of messages. */
	return r->list.format->dir_tells("cur", 3);
}

/* A directory of which something is open; 1 and *dir, 0 none. */
static int
next_unsettled(struct scan *s, int64_t *dir, struct cw_error *err)
{
	sqlite3_stmt *st = NULL;
	int got;

	if (catalog_prepare(s->c,
		"SELECT dir FROM (SELECT dir FROM temp.unsettled UNION ALL"
		" SELECT dir FROM temp.suspect WHERE belief=0) LIMIT 1",
		&st, err) < 0)
		return -1;
	got = sqlite3_step(st);
	if (got == SQLITE_ROW)
		*dir = sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	if (got != SQLITE_ROW && got != SQLITE_DONE)
		return catalog_fail(s->c, "look for suspects", err);
	return got == SQLITE_ROW;
}

/* Of the roots, those of mail; the number of them. */
static size_t
choose_mail_roots(struct scan *s)
{
	size_t count = 0;

	for (size_t i = 0; i < s->root_count; i++) {
		s->roots[i].in_pass = scan_is_mail(&s->roots[i]);
		count += s->roots[i].in_pass;
	}
	return count;
}

static void
choose_all_roots(struct scan *s)
{
	for (size_t i = 0; i < s->root_count; i++)
		s->roots[i].in_pass = true;
}

/* Passes 1 to 4. */
int
scan_passes(struct scan *s, struct cw_error *err)
{
	int64_t dir = 0;
	int got;

	s->belief = BELIEF_OPEN;
	choose_all_roots(s);
	if (pass_all(s, HOW_FIRST, err) < 0)
		return -1;
	s->note_unsettled = true;
	if (choose_mail_roots(s) > 0 && pass_all(s, HOW_AGAIN, err) < 0)
		return -1;
	s->note_unsettled = false;
	choose_all_roots(s);
	while ((got = next_unsettled(s, &dir, err)) == 1) {
		if (scan_settle_account(s, dir, err) < 0)
			return -1;
	}
	if (got < 0)
		return -1;
	s->belief = BELIEF_DOUBTFUL;
	if (s->suspects == 0 || choose_mail_roots(s) == 0)
		return 0;
	return pass_all(s, HOW_AGAIN, err);
}
