/*
 * The scan goes over the directories in passes:
 *
 * 1. Every directory, in the order of ids (parents before children, rows
 *    nearly in the order of their key).  What is missing becomes a suspect.
 * 2. Every directory of a mail store again, but only its mtime: what moved
 *    since it was listed is listed again.  This finds the message that was
 *    renamed from a directory not yet read into one already read.  It is left
 *    out where pass 1 found all as it was before the scan began.
 * 3. The accounts in which something moved or is suspected: scan_account.c.
 *    Only now a suspect of such an account is believed.
 * 4. If any was, pass 2 once more, for what moved between accounts.  What it
 *    finds missing is left to the next scan.
 */
#include "store/scan_impl.h"

#include <stdlib.h>
#include <string.h>

/* Directories under way at once, and with how many of them more are sent. */
#define WINDOW	   128u
#define WINDOW_LOW 64u
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

/*
 * Does every change of what is in the directory change its mtime?  Files that
 * are written in place say nothing to it, and are not looked at: only messages
 * may be in it, or nothing at all, as in a Maildir's tmp.
 */
static bool
tells_by_mtime(const struct list_batch *b)
{
	const struct list_job *job = b->job;

	if (b->count == 0 && !job->spilled && job->skipped == 0 &&
	    job->vanished == 0)
		return true;
	return b->only_messages &&
	       job->root->format->dir_tells(job->path, strlen(job->path));
}

/*
 * Lets the next scan pass over the directory if it stays as it is.  One that
 * was changed just before it was listed may change again under the same
 * mtime (git calls it racily clean).
 */
static int
note_seen(struct scan *s, const struct list_batch *b, struct cw_error *err)
{
	const struct list_job *job = b->job;
	int64_t age = b->looked_ns - b->mtime_ns;
	bool tells =
	    b->stable && (age > RACY_NS || age < -RACY_NS) && tells_by_mtime(b);
	int64_t mtime_ns = tells ? b->mtime_ns : 0;
	int64_t ctime_ns = tells ? b->ctime_ns : 0;
	int64_t old_mtime_ns = job->seen_mtime_ns;
	int64_t old_ctime_ns = job->seen_ctime_ns;

	/* In the first pass that is what the catalog had. */
	if (s->how != HOW_FIRST && catalog_dir_seen(s->c, job->dir,
				       &old_mtime_ns, &old_ctime_ns, err) < 0)
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

/* Of a directory in the one of this path; parent "" is that of the roots. */
static struct list_job *
new_job(const struct catalog_dir *d, const char *parent, size_t parent_len)
{
	const char *slash = memchr(parent, '/', parent_len);
	size_t skip = slash == NULL ? parent_len : (size_t)(slash - parent) + 1;
	size_t len = parent_len - skip;
	struct list_job *job =
	    cw_calloc(1, sizeof(*job) + len + d->name_len + 2);
	char *to = job->path;

	if (parent_len == 0) {
		*to = '.';
		return job;
	}
	memcpy(to, parent + skip, len);
	if (len > 0)
		to[len++] = '/';
	memcpy(to + len, d->name, d->name_len);
	return job;
}

static int
make_job(struct scan *s, const struct catalog_dir *d, struct scan_root *root,
    struct list_job *job, struct cw_error *err)
{
	bool stable = true;
	int looked = 1;

	job->dir = d->id;
	job->root = &root->list;
	job->settle = s->how == HOW_ROUND;
	if (s->how != HOW_FIRST)
		looked = scan_look_last(s, d->id, &job->seen_mtime_ns,
		    &job->seen_ctime_ns, &stable, err);
	if (looked < 0)
		return -1;
	job->was_looked_at = looked == 0;
	if (looked == 1) {
		job->seen_mtime_ns = d->seen_mtime_ns;
		job->seen_ctime_ns = d->seen_ctime_ns;
		job->is_new = d->id >= s->first_new_dir;
		job->with_attrs = job->is_new;
		job->must_list = s->full || job->seen_mtime_ns == 0;
		stable = true;
	}
	job->must_list = job->must_list || !stable;
	return 0;
}

/* Submits a directory, if it still is one and its root is scanned. */
static int
dispatch(struct scan *s, const struct catalog_dir *d, struct cw_error *err)
{
	struct scan_root *root;
	struct list_job *job;
	const char *parent;
	size_t len;
	int there = 1;

	if (s->has_removed_dirs)
		there = catalog_dir_exists(s->c, d->id, err);
	if (there <= 0)
		return there;
	if (cw_catalog_dir_path(s->c, d->parent, &parent, &len, err) < 0)
		return -1;
	root = len == 0 ? scan_root_of(s, d->name, d->name_len)
			: scan_root_of(s, parent, len);
	if (root == NULL || !root->in_pass)
		return 0;
	if (len + d->name_len + 1 > CW_PATH_MAX)
		return cw_error_set(err, CW_ERR_UNSUPPORTED,
		    "catalog %s has a path longer than %u bytes", s->c->path,
		    CW_PATH_MAX);
	job = new_job(d, parent, len);
	if (make_job(s, d, root, job, err) < 0) {
		free(job);
		return -1;
	}
	lister_submit(s->lister, job);
	return 0;
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

/*
 * Has the directory moved since it was looked at last?  In the first pass:
 * since the scan began, as far as can be told, or is it not what the catalog
 * has?
 */
static bool
has_moved(const struct scan *s, const struct list_batch *b, bool differs)
{
	const struct list_job *job = b->job;
	int64_t recent_ns = s->began_ns - RACY_NS;
	bool same_times = job->seen_mtime_ns == b->mtime_ns &&
			  job->seen_ctime_ns == b->ctime_ns;

	if (!b->stable)
		return true;
	if (s->how != HOW_FIRST)
		return !job->was_looked_at || !same_times;
	return differs || (job->seen_mtime_ns != 0 && !same_times) ||
	       b->mtime_ns > recent_ns || b->ctime_ns > recent_ns;
}

static int
merge_listed(struct scan *s, struct list_batch *b, struct cw_error *err)
{
	struct list_job *job = b->job;
	uint64_t differed = s->differed;

	if (check_root(s, b, err) < 0)
		return -1;
	if (!job->was_looked_at) {
		s->result->dirs_read++;
		s->result->skipped += job->skipped;
		if (s->options != NULL)
			cw_progress_add(s->options->progress, 0, b->count);
	}
	s->result->vanished += job->vanished;
	if (scan_merge(s, b, err) < 0)
		return -1;
	if (has_moved(s, b, s->differed != differed)) {
		s->pass_moved++;
		if (s->note_unsettled && note_unsettled(s, job->dir, err) < 0)
			return -1;
	}
	/* A kind that changed may have taken the directory away. */
	return scan_look_note(s, b, err) < 0 ? -1 : note_seen(s, b, err);
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
	/* Whatever was moved into it cannot be seen. */
	s->pass_moved++;
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
	default:
		break;
	}
	if (strcmp(job->path, ".") == 0)
		return cw_error_set(err, CW_ERR_MISSING,
		    "the directory of root %s went away", job->root->name);
	s->result->vanished++;
	return suspect_dir(s, job->dir, err);
}

/* ---- passes ---- */

/* Where a pass takes its directories from. */
struct dirs {
	const struct scan_ids *list; /* NULL: all of the catalog, in order */
	size_t listed;		     /* of the list, so far */
	int64_t last;
	struct catalog_dirs page;
	size_t at;
};

/* 1 and *dir, 0 none (yet: directories that are found come last). */
static int
next_dir(struct scan *s, struct dirs *d, const struct catalog_dir **dir,
    struct cw_error *err)
{
	while (d->at == d->page.count) {
		int64_t last = INT64_MAX;

		if (d->list != NULL) {
			if (d->listed == d->list->count)
				return 0;
			last = d->list->ids[d->listed++];
			d->last = last - 1;
		}
		d->at = 0;
		if (catalog_dirs(s->c, d->last, last, &d->page, err) < 0)
			return -1;
		if (d->list == NULL && d->page.count == 0)
			return 0;
	}
	*dir = &d->page.dirs[d->at++];
	d->last = (*dir)->id;
	return 1;
}

static int
run_pass(struct scan *s, struct dirs *d, struct cw_error *err)
{
	for (;;) {
		const struct catalog_dir *dir;
		struct list_batch *b;
		int got = 1, ret;

		while (lister_under_way(s->lister) < WINDOW &&
		       (got = next_dir(s, d, &dir, err)) == 1) {
			if (dispatch(s, dir, err) < 0)
				return -1;
		}
		if (got < 0 || cw_stop_check(err) < 0)
			return -1;
		b = lister_take(s->lister, got == 1 ? WINDOW_LOW : 0);
		if (b == NULL && got == 0)
			return 0;
		if (b == NULL)
			continue;
		ret = handle(s, b, err);
		lister_return(s->lister, b);
		if (ret < 0)
			return -1;
	}
}

int
scan_pass(struct scan *s, const struct scan_ids *list, enum scan_how how,
    struct cw_error *err)
{
	struct dirs *d = cw_calloc(1, sizeof(*d));
	int ret;

	d->list = list;
	s->how = how;
	s->pass_moved = 0;
	ret = run_pass(s, d, err);
	cw_buf_free(&d->page.names);
	free(d);
	/* Where nothing moved no other pass will ask. */
	if (ret == 0 && (how != HOW_FIRST || s->pass_moved > 0))
		ret = scan_look_keep(s, err);
	return ret;
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
	s->began_ns = scan_now_ns();
	if (scan_pass(s, NULL, HOW_FIRST, err) < 0)
		return -1;
	/*
	 * Every directory was, when it was looked at, as it had been when the
	 * scan began, and that is what the catalog has: nothing can have been
	 * moved out of sight.
	 */
	if (s->pass_moved == 0)
		return 0;
	s->note_unsettled = true;
	if (choose_mail_roots(s) > 0 && scan_pass(s, NULL, HOW_AGAIN, err) < 0)
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
	return scan_pass(s, NULL, HOW_AGAIN, err);
}
