/*
 * A scan as a whole: its tables, its roots, its transaction.  scan_pass.c is
 * how it goes over the directories and what it believes.
 */
#include "store/scan.h"

#include "base/clock.h"
#include "base/fs.h"
#include "store/scan_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const statements[SC_COUNT] = {
    [SC_SPILL] =
	"INSERT OR REPLACE INTO temp.listing(dir,name,data) VALUES(?1,?2,?3)",
    [SC_SPILL_READ] = "SELECT data FROM temp.listing WHERE dir=?1"
		      " ORDER BY name",
    [SC_SPILL_DROP] = "DELETE FROM temp.listing WHERE dir=?1",
    [SC_SUSPECT] = "INSERT OR IGNORE INTO temp.suspect(dir,name,belief,round)"
		   " VALUES(?1,?2,?3,?4)",
    [SC_SUSPECT_ANY] = "SELECT 1 FROM temp.suspect WHERE dir=?1 LIMIT 1",
    [SC_SUSPECT_IS] = "SELECT 1 FROM temp.suspect WHERE dir=?1 AND name=?2",
    [SC_SUSPECT_CLEAR] = "DELETE FROM temp.suspect WHERE dir=?1 AND name=?2",
    [SC_LOOK_PUT] = "INSERT OR REPLACE INTO temp.look(dir,mtime,ctime,stable)"
		    " VALUES(?1,?2,?3,?4)",
    [SC_LOOK_GET] = "SELECT mtime,ctime,stable FROM temp.look WHERE dir=?1",
    [SC_FRESH] = "INSERT INTO temp.fresh(ino,dir,name) VALUES(?1,?2,?3)",
    [SC_FRESH_FIND] = "SELECT dir,name FROM temp.fresh WHERE ino=?1",
};

static const char temp_tables[] =
    "CREATE TEMP TABLE IF NOT EXISTS listing(dir INTEGER, name BLOB,"
    " data BLOB, PRIMARY KEY(dir,name)) WITHOUT ROWID;"
    "CREATE TEMP TABLE IF NOT EXISTS suspect(dir INTEGER, name BLOB,"
    " belief INTEGER, round INTEGER, PRIMARY KEY(dir,name)) WITHOUT ROWID;"
    "CREATE TEMP TABLE IF NOT EXISTS look(dir INTEGER PRIMARY KEY,"
    " mtime INTEGER, ctime INTEGER, stable INTEGER);"
    "CREATE TEMP TABLE IF NOT EXISTS fresh(ino INTEGER, dir INTEGER,"
    " name BLOB);"
    "CREATE INDEX IF NOT EXISTS temp.fresh_ino ON fresh(ino);"
    "CREATE TEMP TABLE IF NOT EXISTS unsettled(dir INTEGER PRIMARY KEY);"
    "CREATE TEMP TABLE IF NOT EXISTS glimpsed(ino INTEGER PRIMARY KEY);"
    "DELETE FROM temp.listing; DELETE FROM temp.suspect;"
    "DELETE FROM temp.look; DELETE FROM temp.fresh;"
    "DELETE FROM temp.unsettled;";

sqlite3_stmt *
scan_stmt(struct scan *s, enum scan_stmt which, struct cw_error *err)
{
	if (s->st[which] == NULL &&
	    catalog_prepare(s->c, statements[which], &s->st[which], err) < 0)
		return NULL;
	return s->st[which];
}

/* ---- roots ---- */

static const struct cw_root *
known_root(struct scan *s, const char *name)
{
	size_t count;
	const struct cw_root *known = cw_catalog_roots(s->c, &count);

	for (size_t i = 0; i < count; i++) {
		if (strcmp(known[i].name, name) == 0)
			return &known[i];
	}
	return NULL;
}

/* Nothing was in it: what it is to hold could not be told. */
static int
was_empty(struct scan *s, const struct cw_root *root, struct cw_error *err)
{
	struct cw_walk_query q = {.dir = root->dir};
	struct cw_error ignored = CW_ERROR_INIT;
	struct cw_entry e;
	struct cw_walk *w;
	int got;

	if (root->dir == 0)
		return 1;
	if (cw_walk_open(s->c, &q, &w, err) < 0)
		return -1;
	got = cw_walk_next(w, &e, &ignored);
	cw_walk_close(w);
	return got == 0;
}

static int
choose_format(struct scan *s, struct scan_root *r, struct cw_error *err)
{
	const struct cw_root *known = known_root(s, r->in->name);
	const char *name = r->in->format;

	if (name == NULL && known != NULL) {
		int empty = strcmp(known->format, "plain") == 0
				? was_empty(s, known, err)
				: 0;

		if (empty < 0)
			return -1;
		name = empty == 1 ? NULL : known->format;
	}
	if (name == NULL && cw_scan_detect(r->in->path, &name, err) < 0)
		return -1;
	r->list.format = cw_mail_format_find(name);
	if (r->list.format == NULL)
		return cw_error_set(err, CW_ERR_UNSUPPORTED,
		    "root %s has format %s, which is not known", r->in->name,
		    name);
	return 0;
}

/* Opens it; its own entry is in directory 0. */
static int
open_root(struct scan *s, struct scan_root *r, struct cw_error *err)
{
	r->list.name = r->in->name;
	if (s->options != NULL) {
		r->list.excludes = s->options->excludes;
		r->list.exclude_count = s->options->exclude_count;
	}
	r->list.fd = cw_open_dir(r->in->path, err);
	if (r->list.fd < 0) {
		if (err != NULL && errno == ENOENT)
			err->code = CW_ERR_MISSING;
		return -1;
	}
	return choose_format(s, r, err);
}

static int
put_root(struct scan *s, struct scan_root *r, struct cw_error *err)
{
	const char *capture =
	    r->in->capture != NULL ? r->in->capture
	    : s->options != NULL && s->options->capture != NULL
		? s->options->capture
		: CW_CAPTURE_FUZZY;
	const struct cw_root *known = known_root(s, r->in->name);
	struct cw_buf attrs = CW_BUF_INIT;
	struct cw_entry old, e = CW_ENTRY_INIT;
	struct stat st;
	int got, ret = -1;

	if ((known == NULL ||
		strcmp(known->format, r->list.format->name) != 0 ||
		strcmp(known->capture, capture) != 0) &&
	    cw_catalog_root_put(
		s->c, r->in->name, r->list.format->name, capture, err) < 0)
		return -1;
	if (fstat(r->list.fd, &st) < 0)
		return cw_error_errno(err, "cannot look at %s", r->in->path);
	if (cw_scan_attrs(r->list.fd, ".", true, &attrs, err) < 0)
		goto out;
	e.name = r->in->name;
	e.name_len = strlen(r->in->name);
	e.kind = CW_KIND_DIR;
	e.class = CW_MAIL_OTHER;
	e.mode = st.st_mode & 07777u;
	e.uid = st.st_uid;
	e.gid = st.st_gid;
	e.user = scan_owner_name(s, 'u', e.uid);
	e.group = scan_owner_name(s, 'g', e.gid);
	e.mtime_ns = cw_time_ns(st.st_mtim);
	e.ctime_ns = cw_time_ns(st.st_ctim);
	e.ino = st.st_ino;
	e.attrs = attrs.len > 0 ? attrs.data : NULL;
	e.attrs_len = attrs.len;
	got = cw_catalog_lookup(s->c, 0, e.name, e.name_len, &old, err);
	if (got < 0)
		goto out;
	r->was_replaced = got == 0 && old.ino != e.ino;
	ret = scan_update(s, NULL, got == 0 ? &old : NULL, &e, err);
	if (ret == 0)
		ret = cw_catalog_dir_lookup(
		    s->c, e.name, e.name_len, &r->dir, err);
out:
	cw_buf_free(&attrs);
	return ret;
}

/* ---- the whole ---- */

/* What is left of so many is so little that somebody should look first. */
#define LEFT_OF(before) ((before) / 10)

/* Is it likely that a disk went away, not mail? */
static int
check_left(struct scan *s, uint64_t before, struct cw_error *err)
{
	const struct cw_scan_options *o = s->options;
	uint64_t left = s->c->info.entries;
	uint64_t least = o == NULL ? 0 : o->least_entries;
	const char *name = s->root_count == 1 ? s->roots[0].in->path : NULL;

	for (size_t i = 0; i < s->root_count; i++) {
		if (!s->roots[i].was_replaced || (o != NULL && o->accept_empty))
			continue;
		if (left < LEFT_OF(before) && least < LEFT_OF(before)) {
			least = LEFT_OF(before);
			name = s->roots[i].in->path;
		}
	}
	if (left >= least)
		return 0;
	return cw_error_set(err, CW_ERR_REFUSED,
	    "of %llu entries that %s had, %llu are left: is its disk mounted?",
	    (unsigned long long)before, name == NULL ? "the roots" : name,
	    (unsigned long long)left);
}

static int
scan_in_transaction(struct scan *s, struct cw_error *err)
{
	const struct cw_scan_result *r = s->result;
	uint64_t before = s->c->info.entries;

	s->first_new_dir = s->c->next_dir;
	for (size_t i = 0; i < s->root_count; i++) {
		if (put_root(s, &s->roots[i], err) < 0)
			return -1;
	}
	if (scan_passes(s, err) < 0 || scan_believe_moved(s, err) < 0 ||
	    scan_remove_gone(s, err) < 0 || scan_keep_doubtful(s, err) < 0 ||
	    check_left(s, before, err) < 0)
		return -1;
	if (r->added > 0 || r->changed > 0 || r->removed > 0)
		cw_catalog_set_generation(s->c, s->generation);
	return 0;
}

static unsigned
thread_count(const struct cw_scan_options *options)
{
	long cores;

	if (options != NULL && options->threads > 0)
		return options->threads > 64 ? 64 : options->threads;
	cores = sysconf(_SC_NPROCESSORS_ONLN);
	return cores < 1 ? 1 : cores > 8 ? 8 : (unsigned)cores;
}

static void
scan_release(struct scan *s)
{
	lister_free(s->lister);
	for (int i = 0; i < SC_COUNT; i++)
		sqlite3_finalize(s->st[i]);
	for (size_t i = 0; i < s->root_count; i++)
		cw_close(&s->roots[i].list.fd);
	for (size_t i = 0; i < s->owner_slots; i++)
		free(s->owners[i].name);
	free(s->owners);
	free(s->roots);
	free(s->order);
	free(s->looks);
	free(s->unreadable.ids);
	cw_buf_free(&s->attrs);
	cw_run_free(&s->page);
}

static int
scan_entries(struct scan *s, struct cw_error *err)
{
	int ret = -1;

	if (catalog_exec(s->c, temp_tables, err) < 0 ||
	    cw_catalog_begin(s->c, err) < 0)
		return -1;
	s->lister = lister_new(thread_count(s->options));
	if (scan_in_transaction(s, err) == 0)
		ret = 0;
	lister_free(s->lister);
	s->lister = NULL;
	/* Statements that stand would hold the transaction. */
	for (int i = 0; i < SC_COUNT; i++) {
		if (s->st[i] != NULL)
			sqlite3_reset(s->st[i]);
	}
	if (ret == 0)
		ret = cw_catalog_commit(s->c, err);
	if (ret < 0)
		cw_catalog_rollback(s->c);
	return ret;
}

static int
read_contents(struct scan *s, uint64_t since, struct cw_error *err)
{
	const struct cw_scan_options *o = s->options;

	if (s->c->info.pending == 0)
		return 0;
	if (o->listed != NULL && o->listed(o->arg, s->c, err) < 0)
		return -1;
	return scan_contents(s, since, err);
}

int
cw_scan(struct cw_catalog *c, const struct cw_scan_root *roots,
    size_t root_count, const struct cw_scan_options *options,
    struct cw_scan_result *result, struct cw_error *err)
{
	struct scan s = {.c = c, .options = options, .result = result};
	uint64_t since = 0;
	int ret = -1;

	*result = (struct cw_scan_result){.generation = c->info.generation};
	s.generation = c->info.generation + 1;
	s.is_first = c->info.entries == 0;
	s.full = options != NULL && options->full;
	s.roots = cw_calloc(root_count + 1, sizeof(*s.roots));
	s.root_count = root_count;
	if (options != NULL)
		cw_progress_start(
		    options->progress, "scanning", 0, c->info.entries);
	for (size_t i = 0; i < root_count; i++) {
		s.roots[i].in = &roots[i];
		s.roots[i].list.fd = -1;
	}
	for (size_t i = 0; i < root_count; i++) {
		if (open_root(&s, &s.roots[i], err) < 0)
			goto out;
	}
	s.full = s.full || scan_owners_moved(&s);
	/* What waited before has to be found by going over everything. */
	since = c->info.pending == 0 ? c->info.generation : 0;
	if (scan_entries(&s, err) < 0)
		goto out;
	ret = 0;
	if (options != NULL && options->contents == CW_SCAN_CONTENTS)
		ret = read_contents(&s, since, err);
out:
	result->generation = c->info.generation;
	scan_release(&s);
	return ret;
}
