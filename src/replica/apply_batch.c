/*
 * One file leaves: it is renamed, to staging if its content is needed and a
 * slot is vacant, else to history.
 *
 * Where tree and STORE_DIR are different filesystems, a file is copied, all
 * copies of a batch are synced, and only then the old names are removed.
 */
#include "base/fs.h"
#include "replica/apply_batch.h"
#include "replica/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int
fail(const char *path, const char *doing, struct cw_error *err)
{
	return cw_error_errno(err, "cannot %s %s", doing, path);
}

void
batch_drop(struct batch *b)
{
	for (size_t i = 0; i < b->count; i++)
		free(b->at[i].path);
	b->count = b->copies = 0;
}

/* The vacant slot of a content that is needed: 1 and *slot, 0 none. */
static int
vacant_slot(struct apply *a, const struct cw_entry *e, uint64_t *slot,
    struct cw_error *err)
{
	struct need need;
	int got = need_get(a, e->digest, &need, err);

	if (got <= 0 || need.size != e->size)
		return got < 0 ? -1 : 0;
	for (; need.filled < need.copies; need.filled++) {
		got = cw_staging_has_slot(
		    a->r->staging, e->digest, need.filled, e->size, err);
		if (got < 0)
			return -1;
		if (got == 0) {
			*slot = need.filled++;
			return need_set(a, &need, err) < 0 ? -1 : 1;
		}
	}
	return need_set(a, &need, err);
}

/* Copies what lies at dirfd/name to the leaver's place, under .part. */
static int
copy_away(int dirfd, const char *name, const struct stat *st, struct leaver *l,
    struct cw_error *err)
{
	char *part = cw_asprintf("%s.part", l->copy_name);
	struct timespec times[2] = {{0, UTIME_OMIT}, st->st_mtim};
	int from = -1, to = -1, ret = -1;

	(void)unlinkat(l->copy_dir, part, 0);
	if (S_ISLNK(st->st_mode)) {
		char *target = cw_calloc(1, CW_MEMBER_TARGET_MAX + 1);

		if (readlinkat(dirfd, name, target, CW_MEMBER_TARGET_MAX) < 0 ||
		    symlinkat(target, l->copy_dir, part) < 0)
			fail(l->path, "copy the symlink", err);
		else
			ret = 0;
		free(target);
		goto out;
	}
	from =
	    openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	to = openat(
	    l->copy_dir, part, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (from < 0 || to < 0) {
		fail(l->path, "copy", err);
		goto out;
	}
	if (cw_copy_file(from, to, err) < 0) {
		cw_error_context(err, "copying %s away", l->path);
		goto out;
	}
	if (futimens(to, times) < 0)
		fail(l->path, "copy the times of", err);
	else
		ret = 0;
out:
	cw_close(&from);
	cw_close(&to);
	free(part);
	return ret;
}

/* Is the file that is there under this name a copy of this one? */
static bool
is_copied(int dir, const char *name, const struct stat *st)
{
	struct stat kept;

	return fstatat(dir, name, &kept, AT_SYMLINK_NOFOLLOW) == 0 &&
	       (kept.st_dev != st->st_dev || kept.st_ino != st->st_ino) &&
	       S_ISREG(st->st_mode) && kept.st_size == st->st_size &&
	       kept.st_mtim.tv_sec == st->st_mtim.tv_sec &&
	       kept.st_mtim.tv_nsec == st->st_mtim.tv_nsec;
}

/* Copies it to dst/to, its old name to go later: 0, 1 if there is another. */
static int
move_by_copy(struct batch *b, struct leaver *l, int dirfd, const char *name,
    const struct stat *st, int dst, const char *to, struct cw_error *err)
{
	struct stat there;

	if (fstatat(dst, to, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
	    !is_copied(dst, to, st))
		return 1;
	l->copy_dir = dst;
	(void)snprintf(l->copy_name, sizeof(l->copy_name), "%s", to);
	if (copy_away(dirfd, name, st, l, err) < 0)
		return -1;
	b->copies++;
	return 0;
}

/* Renames it to dst/to: 0, 1 if there is something else already. */
static int
move(struct batch *b, struct leaver *l, int dirfd, const char *name,
    const struct stat *st, int dst, const char *to, struct cw_error *err)
{
	int got = renameat2(dirfd, name, dst, to, RENAME_NOREPLACE);

	/* A filesystem without that flag. */
	if (got < 0 && errno == EINVAL) {
		struct stat there;

		if (fstatat(dst, to, &there, AT_SYMLINK_NOFOLLOW) == 0)
			return 1;
		got = renameat(dirfd, name, dst, to);
	}
	if (got == 0)
		return 0;
	if (errno == EXDEV)
		return move_by_copy(b, l, dirfd, name, st, dst, to, err);
	if (errno == EEXIST)
		return 1;
	return fail(l->path, "take away", err);
}

/* To staging if it is of use there: 1, 0 not, -1. */
static int
to_staging(struct batch *b, struct leaver *l, int dirfd, const char *name,
    const struct stat *st, struct cw_error *err)
{
	struct apply *a = b->a;
	char to[CW_STAGING_NAME];
	uint64_t slot = 0;
	int got;

	if (!l->is_known || l->e.kind != CW_KIND_FILE || !l->e.has_digest ||
	    !apply_trusts(&l->e, st))
		return 0;
	got = incoming_is_bad(a->in, l->path, strlen(l->path), err);
	if (got != 0)
		return got < 0 ? -1 : 0;
	if ((got = vacant_slot(a, &l->e, &slot, err)) <= 0)
		return got;
	cw_staging_name(l->e.digest, slot, to);
	/* What is there has another size than it should. */
	(void)unlinkat(cw_staging_dirfd(a->r->staging), to, 0);
	got = move(
	    b, l, dirfd, name, st, cw_staging_dirfd(a->r->staging), to, err);
	return got < 0 ? -1 : 1;
}

static int
to_history(struct batch *b, struct leaver *l, int dirfd, const char *name,
    const struct stat *st, struct cw_error *err)
{
	struct cw_history *h = b->a->r->history;
	char to[CW_HISTORY_NAME];
	int dst, got;

	for (;;) {
		if (cw_history_dirfd(h, &b->a->shelf, &dst, err) < 0)
			return -1;
		cw_history_name(l->n, to);
		/* History must not change with the other names of a file. */
		got = l->is_known && S_ISREG(st->st_mode) && st->st_nlink > 1
			  ? move_by_copy(b, l, dirfd, name, st, dst, to, err)
			  : move(b, l, dirfd, name, st, dst, to, err);
		if (got <= 0)
			return got;
		/* Somebody made it again meanwhile: it is kept as well. */
		if (cw_history_note(h, &b->a->shelf, l->path, strlen(l->path),
			&l->e, true, &l->n, err) < 0 ||
		    cw_history_commit(h, err) < 0)
			return -1;
	}
}

static int
take_away(struct batch *b, struct leaver *l, struct cw_error *err)
{
	const char *name;
	struct stat st;
	int dirfd, got;

	l->copy_dir = -1;
	got = cw_place_parent(b->a->r->place, l->path, &dirfd, &name, err);
	if (got != 0)
		return got < 0 ? -1 : 0;
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : fail(l->path, "look at", err);
	if (S_ISDIR(st.st_mode))
		return 0; /* not ours: put aside with what is left */
	if (!S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode)) {
		/* Sockets and pipes are nothing without who made them. */
		if (unlinkat(dirfd, name, 0) < 0 && errno != ENOENT)
			return fail(l->path, "remove", err);
		return 0;
	}
	b->a->result->removed += l->is_known;
	if ((got = to_staging(b, l, dirfd, name, &st, err)) != 0)
		return got < 0 ? -1 : 0;
	if (l->is_known && S_ISREG(st.st_mode) && st.st_nlink > 1 &&
	    l->e.has_digest &&
	    (got = apply_has_other_name(
		 b->a, l->e.digest, l->path, &st, err)) != 0) {
		if (got < 0)
			return -1;
		/* Looking around may have moved the placer elsewhere. */
		got = cw_place_parent(
		    b->a->r->place, l->path, &dirfd, &name, err);
		if (got != 0)
			return got < 0 ? -1 : 0;
		return unlinkat(dirfd, name, 0) < 0 && errno != ENOENT
			   ? fail(l->path, "remove", err)
			   : 0;
	}
	got = cw_place_parent(b->a->r->place, l->path, &dirfd, &name, err);
	if (got != 0)
		return got < 0 ? -1 : 0;
	return to_history(b, l, dirfd, name, &st, err);
}

/* ---- batches ---- */

/* The copies become durable, then whole, then the old names go. */
static int
finish_copies(struct batch *b, struct cw_error *err)
{
	if (b->copies == 0)
		return 0;
	if (cw_staging_sync(b->a->r->staging, err) < 0)
		return -1;
	for (size_t i = 0; i < b->count; i++) {
		struct leaver *l = &b->at[i];
		const char *name;
		char *part;
		int dirfd, got;

		if (l->copy_dir < 0)
			continue;
		part = cw_asprintf("%s.part", l->copy_name);
		got = renameat(l->copy_dir, part, l->copy_dir, l->copy_name);
		free(part);
		if (got < 0)
			return fail(l->path, "take away", err);
		got = cw_place_parent(
		    b->a->r->place, l->path, &dirfd, &name, err);
		if (got < 0)
			return -1;
		if (got == 0 && unlinkat(dirfd, name, 0) < 0 && errno != ENOENT)
			return fail(l->path, "remove", err);
	}
	return 0;
}

int
batch_flush(struct batch *b, struct cw_error *err)
{
	int ret = cw_history_commit(b->a->r->history, err);

	for (size_t i = 0; i < b->count && ret == 0; i++)
		ret = take_away(b, &b->at[i], err);
	if (ret == 0)
		ret = finish_copies(b, err);
	if (ret == 0)
		ret = cw_stop_check(err);
	batch_drop(b);
	return ret;
}

int
batch_add(struct batch *b, const char *path, const struct cw_entry *e,
    bool is_known, struct cw_error *err)
{
	struct cw_entry noted = *e;
	struct leaver *l;
	int bad;

	if (b->count == BATCH && batch_flush(b, err) < 0)
		return -1;
	if (b->at == NULL)
		b->at = cw_calloc(BATCH, sizeof(*b->at));
	l = &b->at[b->count];
	*l = (struct leaver){.e = *e, .is_known = is_known, .copy_dir = -1};
	l->e.name = l->e.user = l->e.group = l->e.target = NULL;
	l->e.attrs = NULL;
	l->e.attrs_len = l->e.target_len = l->e.name_len = 0;
	/* History must not give back what is not what it was. */
	if ((bad = incoming_is_bad(b->a->in, path, strlen(path), err)) < 0)
		return -1;
	noted.has_digest = e->has_digest && bad == 0;
	if (cw_history_note(b->a->r->history, &b->a->shelf, path, strlen(path),
		&noted, !is_known, &l->n, err) < 0)
		return -1;
	l->path = cw_strdup(path);
	b->count++;
	return 0;
}
