/*
 * One entry into volumes, as it is found on disk: whole, in parts, as a hard
 * link; and what is told of it.
 */
#include "seed/builder_impl.h"

#include "base/fs.h"
#include "base/text.h"
#include "formats/mail/mail.h"
#include "formats/volume/acl.h"
#include "seed/member_name.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A file that can't be read costs itself only; the operator hears of it. */
void
builder_note_unreadable(struct cw_builder *b, const struct cw_error *why)
{
	pthread_mutex_lock(&b->build->number_lock);
	if (b->build->first_unreadable.code == CW_OK)
		b->build->first_unreadable = *why;
	pthread_mutex_unlock(&b->build->number_lock);
	atomic_fetch_add(&b->build->unreadable, 1);
}

uint64_t
cw_build_part_size(uint64_t volume_size, size_t recipients)
{
	uint64_t capacity = cw_volume_capacity(volume_size, recipients);
	uint64_t size = capacity / 4;

	return size > 65536 ? size & ~65535ull : size;
}

static uint64_t
whole_max(const struct cw_build *build)
{
	uint64_t capacity =
	    cw_volume_capacity(build->volume_size, build->recipient_count);

	/* Some is left over for the frames that the file will lie in. */
	return capacity - capacity / 32;
}

/*
 * Dovecot's index log may ask for an expunge, as MOVE does, of which the
 * listing of the messages knows nothing yet.  A Dovecot that is started on such
 * a pair carries it out: the message is gone from the old folder, and is not in
 * the new one.  Without an index it makes another from what is there.  So one
 * that was touched since the scan began is left out.
 */
static bool
is_late_index(const struct cw_builder *b, const struct cw_entry *found)
{
	static const char prefix[] = "dovecot.index";

	return found->class == CW_MAIL_CONTROL &&
	       found->name_len >= sizeof(prefix) - 1 &&
	       memcmp(found->name, prefix, sizeof(prefix) - 1) == 0 &&
	       found->mtime_ns >= b->build->scan_began_ns;
}

/*
 * The content of a message never changes: another ctime says that it got
 * another name, or had one more for a moment, as MOVE does it.
 */
static bool
is_same_message(const struct cw_entry *row, const struct cw_entry *now)
{
	return row->class == CW_MAIL_MESSAGE && now->size == row->size &&
	       now->mtime_ns == row->mtime_ns && now->ino == row->ino &&
	       now->mode == row->mode;
}

/* Is a file that was read still what it was before? */
static bool
holds_still(const struct cw_entry *found, int fd)
{
	struct cw_entry now = *found;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return false;
	cw_source_note(&now, &st);
	return cw_source_is_same(found, &st) || is_same_message(found, &now);
}

/* Ends the file's digest and tells what was found. */
static void
mark_file(struct cw_builder *b, struct cw_entry *found,
    const struct cw_entry *row, int fd, bool is_short,
    const struct cw_error *why)
{
	struct builder_mark *m;
	bool has_moved;

	cw_sha256_final(b->sha, found->digest);
	found->has_digest = true;
	/*
	 * Bytes that changed between the two looks are of no one moment: the
	 * next pass packs the file again, unless it never holds still.
	 */
	has_moved = is_short || !holds_still(found, fd);
	m = builder_mark(b, found,
	    found->size != row->size || found->mtime_ns != row->mtime_ns ||
		found->ctime_ns != row->ctime_ns || found->ino != row->ino ||
		found->mode != row->mode);
	if (why->code != CW_OK) {
		m->is_void = m->is_unreadable = true;
		builder_note_unreadable(b, why);
	} else if (has_moved && b->build->accept_moving) {
		m->has_changed = true;
		atomic_fetch_add(&b->build->moving, 1);
	} else {
		m->is_void = has_moved;
	}
	if (why->code == CW_OK && is_late_index(b, found)) {
		m->is_void = m->is_late = true;
		m->has_changed = false;
	}
}

static int
pack_parts(struct cw_builder *b, const struct cw_entry *row,
    struct cw_entry *found, struct cw_member *member, int fd, const char *path,
    struct cw_error *err)
{
	uint64_t size = found->size, at = 0;
	uint64_t part_size = cw_build_part_size(
	    b->build->volume_size, b->build->recipient_count);
	uint64_t parts = (size + part_size - 1) / part_size;
	struct cw_error why = CW_ERROR_INIT;
	uint32_t first = 0, part = 1;
	bool is_short = false;

	if (parts > CW_PARTS_MAX) {
		cw_error_set(&why, CW_ERR_REFUSED,
		    "a file of %llu bytes needs more than %u parts: choose a "
		    "larger --volume-size",
		    (unsigned long long)size, CW_PARTS_MAX);
		builder_note_unreadable(b, &why);
		return BUILDER_DONE;
	}
	builder_mark(b, found, false)->is_fresh = true;
	while (part <= parts) {
		struct cw_sha256 *before = cw_sha256_copy(b->sha);
		struct builder_mark *m;
		int ret;

		member->size = size - at < part_size ? size - at : part_size;
		cw_buf_reset(&b->name);
		member->path = cw_member_name_make(
		    &b->name, path, strlen(path), part, (uint32_t)parts);
		ret = builder_put_member(
		    b, member, CW_ZFRAME_FAR, fd, at, &is_short, &why, err);
		if (ret == BUILDER_DOES_NOT_FIT) {
			/* What was tried is in the digest: back to before. */
			cw_sha256_free(b->sha);
			b->sha = before;
			if (cw_builder_close_volume(b, false, err) < 0)
				return -1;
			continue;
		}
		cw_sha256_free(before);
		if (ret < 0)
			return -1;
		if (part == 1)
			first = b->number;
		found->volume = b->number;
		m = builder_mark(b, found, false);
		m->part = part;
		m->parts = (uint32_t)parts;
		at += member->size;
		part++;
		/* Only the first part carries these. */
		member->xattr_count = 0;
		member->acl_access = NULL;
		cw_progress_add(b->build->progress, member->size, 0);
		b->raw += member->size;
		builder_report(b);
	}
	found->volume = first;
	mark_file(b, found, row, fd, is_short, &why);
	b->marks.items[b->marks.count - 1].is_cut = true;
	return BUILDER_DONE;
}

/*
 * No mail store needs a file that runs with its owner's rights, and the
 * recovery site would refuse it (docs/decisions/setuid.md).
 */
static void
refuse_setuid(struct cw_builder *b, const struct cw_entry *row)
{
	struct cw_error why = CW_ERROR_INIT;
	char quoted[CW_QUOTE_MAX];
	const char *path;

	if (cw_source_path(b->source, row, &path, &why) == 0) {
		cw_text_quote(path, strlen(path), quoted);
		cw_error_set(&why, CW_ERR_REFUSED,
		    "%s has a setuid or setgid bit, which a seed does not "
		    "carry: clear it (chmod ug-s), or exclude the file",
		    quoted);
	}
	builder_note_unreadable(b, &why);
}

/* Another name of a file that the open volume holds already. */
static int
pack_link(struct cw_builder *b, const struct cw_entry *row,
    struct cw_entry *found, struct cw_member *member,
    const struct builder_link *link, enum cw_zframe_kind kind,
    struct cw_error *err)
{
	bool is_short;
	int ret;

	member->kind = CW_KIND_LINK;
	member->target = link->path;
	member->size = 0;
	member->xattr_count = 0;
	member->acl_access = NULL;
	memcpy(found->digest, link->digest, sizeof(found->digest));
	found->has_digest = true;
	ret = builder_put_member(b, member, kind, -1, 0, &is_short, NULL, err);
	if (ret == BUILDER_DONE) {
		found->volume = b->number;
		(void)builder_mark(b, found, found->ctime_ns != row->ctime_ns);
		cw_progress_add(b->build->progress, found->size, 1);
	}
	return ret;
}

static int
pack_content(struct cw_builder *b, const struct cw_entry *row,
    struct cw_entry *found, struct cw_member *member, enum cw_zframe_kind kind,
    int fd, const char *path, struct cw_error *err)
{
	struct cw_error why = CW_ERROR_INIT;
	struct cw_range *ranges = NULL;
	bool is_short = false;
	int ret;

	if (row->sparse) {
		size_t count = 0;

		ret = cw_source_ranges(fd, found->size, &ranges, &count, &why);
		member->is_sparse = ret == 0;
		member->ranges = ranges;
		member->range_count = count;
	}
	if (cw_volume_cost(member) > whole_max(b->build)) {
		member->is_sparse = false;
		ret = pack_parts(b, row, found, member, fd, path, err);
		cw_progress_add(b->build->progress, 0, 1);
		goto out;
	}
	ret = builder_put_member(b, member, kind, fd, 0, &is_short, &why, err);
	if (ret == BUILDER_DONE) {
		found->volume = b->number;
		mark_file(b, found, row, fd, is_short, &why);
		if (!b->marks.items[b->marks.count - 1].is_void)
			builder_remember_link(b, found, member->path);
		atomic_fetch_add(&b->build->bytes_read, found->size);
		cw_progress_add(b->build->progress, found->size, 1);
		b->raw += found->size;
	}
out:
	if (ret != BUILDER_DONE) {
		/* Half a digest is of no use: the file is read again. */
		uint8_t unused[CW_DIGEST_SIZE];

		cw_sha256_final(b->sha, unused);
	}
	free(ranges);
	return ret;
}

/* A regular file that was opened as row's, or found to be the same message. */
static int
pack_opened(struct cw_builder *b, const struct cw_entry *row,
    const struct cw_attrs *attrs, enum cw_zframe_kind kind, int fd,
    const struct stat *st, struct cw_error *err)
{
	struct cw_entry found = *row;
	struct cw_member member;
	const struct builder_link *link;
	const char *path;

	if (st->st_uid != row->uid || st->st_gid != row->gid) {
		/* Of another owner: the next scan finds it anew. */
		atomic_fetch_add(&b->build->moved, 1);
		return BUILDER_DONE;
	}
	cw_source_note(&found, st);
	if ((found.mode & (S_ISUID | S_ISGID)) != 0) {
		refuse_setuid(b, row);
		return BUILDER_DONE;
	}
	if (is_same_message(row, &found))
		found.ctime_ns = row->ctime_ns;
	if (cw_source_path(b->source, row, &path, err) < 0)
		return -1;
	cw_buf_reset(&b->name);
	cw_entry_member(&found,
	    cw_member_name_make(&b->name, path, strlen(path), 0, 0), attrs,
	    &member);
	link = builder_find_link(b, &found);
	if (link != NULL)
		return pack_link(b, row, &found, &member, link, kind, err);
	return pack_content(b, row, &found, &member, kind, fd, path, err);
}

static int
pack_file(struct cw_builder *b, const struct cw_entry *row,
    const struct cw_attrs *attrs, enum cw_zframe_kind kind,
    const struct builder_opened *opened, struct cw_error *err)
{
	struct cw_error why = CW_ERROR_INIT;
	const char *path;
	struct stat st;
	int fd = -1, ret;

	if (opened != NULL)
		return pack_opened(
		    b, row, attrs, kind, opened->fd, opened->st, err);
	ret = cw_source_open(b->source, row, &fd, &st, &why);
	if (ret < 0) {
		builder_note_unreadable(b, &why);
		return BUILDER_DONE;
	}
	if (ret == 0) {
		ret = pack_opened(b, row, attrs, kind, fd, &st, err);
		cw_close(&fd);
		return ret;
	}
	/* Gone, or renamed: it is looked for when all others are packed. */
	if (b->build->missing != NULL) {
		if (cw_source_path(b->source, row, &path, err) < 0)
			return -1;
		if (cw_missing_add(b->build->missing, row, path))
			return BUILDER_DONE;
	}
	atomic_fetch_add(&b->build->moved, 1);
	return BUILDER_DONE;
}

/* Directories and symlinks: all of them is in the catalog. */
static int
pack_plain(struct cw_builder *b, const struct cw_entry *row,
    const struct cw_attrs *attrs, struct cw_error *err)
{
	struct cw_entry found = *row;
	struct cw_member member;
	const char *path;
	bool is_short;
	int ret;

	if (cw_source_path(b->source, row, &path, err) < 0)
		return -1;
	cw_entry_member(row, path, attrs, &member);
	ret = builder_put_member(
	    b, &member, CW_ZFRAME_SHORT, -1, 0, &is_short, NULL, err);
	if (ret != BUILDER_DONE)
		return ret;
	found.volume = b->number;
	(void)builder_mark(b, &found, false);
	cw_progress_add(b->build->progress, 0, 1);
	return BUILDER_DONE;
}

int
builder_pack_entry(struct cw_builder *b, const struct cw_entry *row,
    enum cw_zframe_kind kind, const struct builder_opened *opened,
    struct cw_error *err)
{
	struct cw_attrs attrs = {0};
	int ret;

	if (row->attrs != NULL &&
	    cw_attrs_decode(row->attrs, row->attrs_len, &attrs, err) < 0)
		return -1;
	/*
	 * A list with what no tar header holds (a user of 2^31 or more) is in
	 * the catalog alone, which is what an import goes by.
	 */
	if (attrs.acl_access != NULL &&
	    !cw_acl_parse(attrs.acl_access, NULL, NULL))
		attrs.acl_access = NULL;
	if (attrs.acl_default != NULL &&
	    !cw_acl_parse(attrs.acl_default, NULL, NULL))
		attrs.acl_default = NULL;
	if (row->kind == CW_KIND_FILE)
		ret = pack_file(b, row, &attrs, kind, opened, err);
	else
		ret = pack_plain(b, row, &attrs, err);
	cw_attrs_free(&attrs);
	return ret;
}
