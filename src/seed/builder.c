#include "seed/builder.h"

#include "base/buf.h"
#include "base/crypto.h"
#include "base/fs.h"
#include "base/text.h"
#include "formats/mail/mail.h"
#include "formats/volume/volume.h"
#include "seed/member_name.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Entries that are told to the catalog in one transaction. */
#define MARKS_MAX 32768u
/* Hard links that are remembered for one volume. */
#define LINKS_MAX 65536u
/* Entries of a run that may be put off because they do not fit any more. */
#define MISSES_MAX 8u
/* A volume with less room than this is full. */
#define ROOM_LEAST 32768u

enum outcome {
	DONE = 0,
	DOES_NOT_FIT = 1,
};

/* One member, to be told to the catalog. */
struct mark {
	struct cw_entry entry; /* as it was found; names lie in marks_text */
	uint32_t part, parts;  /* 0: a whole file, or all parts are told */
	bool has_changed;      /* the row says otherwise: replace it */
	bool is_void;	       /* it moved while it was read */
	bool is_late;	       /* an index, maybe newer than its messages */
	bool is_unreadable;    /* void, and nobody should wait for better */
	bool is_fresh;	       /* parts of an earlier try are void */
};

struct link {
	int64_t group;
	uint64_t ino, size;
	int64_t mtime_ns;
	uint8_t digest[CW_DIGEST_SIZE];
	char *path; /* the member */
};

struct cw_builder {
	struct cw_build *build;
	unsigned index;
	struct cw_source *source;
	struct cw_volume_writer *writer;
	struct cw_sha256 *sha;
	struct cw_run run;
	struct cw_buf name;

	/* The open volume. */
	uint32_t number; /* 0: none */
	struct cw_durable *file;
	struct cw_target_medium *medium;
	uint64_t promised; /* by the medium, to be given back */
	bool sink_failed;
	bool is_framed; /* frames of the kind below have begun */
	enum cw_zframe_kind frame;
	struct link *links; /* hashed by group, open addressing */
	size_t link_count;

	struct mark *marks;
	size_t mark_count;
	struct cw_buf *mark_text; /* one buffer a mark would be dear: chunks */
	size_t mark_text_count;
	uint64_t raw_reported, written_reported;
	uint64_t raw;
};

#define LINK_SLOTS (2 * LINKS_MAX)
#define TEXT_CHUNK (256u << 10)

static int
sink(void *arg, const uint8_t *data, size_t len, struct cw_error *err)
{
	struct cw_builder *b = arg;

	if (cw_durable_write(b->file, data, len, err) < 0) {
		b->sink_failed = true;
		return -1;
	}
	return 0;
}

int
cw_builder_new(struct cw_build *build, unsigned index, struct cw_builder **out,
    struct cw_error *err)
{
	struct cw_builder *b = cw_calloc(1, sizeof(*b));

	b->build = build;
	b->index = index;
	b->writer = cw_volume_writer_new(0);
	b->sha = cw_sha256_new();
	b->marks = cw_calloc(MARKS_MAX, sizeof(*b->marks));
	if (cw_source_new(build->catalog_path, build->roots, build->root_count,
		&b->source, err) < 0) {
		cw_builder_free(b);
		*out = NULL;
		return -1;
	}
	*out = b;
	return 0;
}

/* ---- marks: what the catalog is told ---- */

static void
forget_marks(struct cw_builder *b)
{
	for (size_t i = 0; i < b->mark_text_count; i++)
		cw_buf_reset(&b->mark_text[i]);
	b->mark_count = 0;
}

/* Keeps bytes until the marks are told; never moves what it kept before. */
static const void *
keep(struct cw_builder *b, const void *data, size_t len)
{
	struct cw_buf *text = NULL;

	for (size_t i = b->mark_text_count; i-- > 0;) {
		text = &b->mark_text[i];
		if (text->len > 0 || i == 0)
			break;
	}
	if (text == NULL || text->cap - text->len < len + 1) {
		size_t next = text == NULL ? 0 :
					     (size_t)(text - b->mark_text) + 1;

		if (next == b->mark_text_count) {
			b->mark_text = cw_reallocarray(b->mark_text, next + 1,
			    sizeof(*b->mark_text));
			b->mark_text[next] = (struct cw_buf)CW_BUF_INIT;
			b->mark_text_count++;
		}
		text = &b->mark_text[next];
		(void)cw_buf_reserve(text,
		    len + 1 > TEXT_CHUNK ? len + 1 : TEXT_CHUNK);
	}
	uint8_t *at = text->data + text->len;

	if (len > 0)
		memcpy(at, data, len);
	at[len] = '\0';
	text->len += len + 1;
	return at;
}

static struct mark *
add_mark(struct cw_builder *b, const struct cw_entry *found, bool has_changed)
{
	struct mark *m = &b->marks[b->mark_count++];

	memset(m, 0, sizeof(*m));
	m->entry = *found;
	m->entry.name = keep(b, found->name, found->name_len);
	if (found->target != NULL)
		m->entry.target = keep(b, found->target, found->target_len);
	m->entry.attrs = NULL;
	if (found->attrs != NULL)
		m->entry.attrs = keep(b, found->attrs, found->attrs_len);
	m->has_changed = has_changed;
	return m;
}

static int
tell(struct cw_builder *b, struct cw_catalog *c, struct mark *m,
    struct cw_error *err)
{
	struct cw_build *build = b->build;
	const struct cw_entry *e = &m->entry;
	uint64_t generation;

	if (m->is_fresh)
		return cw_catalog_clear_parts(c, e->dir, e->name, e->name_len,
		    err);
	if (m->parts > 0)
		return cw_catalog_mark_part(c, e->dir, e->name, e->name_len,
		    m->part, m->parts, e->volume, err);
	if (m->is_void) {
		/* No row has this time: the member is superseded. */
		m->entry.mtime_ns = INT64_MIN;
		if (cw_catalog_clear_parts(c, e->dir, e->name, e->name_len,
			err) < 0)
			return -1;
		if (!m->is_unreadable && !m->is_late)
			atomic_fetch_add(&build->moved, 1);
	} else if (m->has_changed) {
		/*
		 * A follower at this generation must learn of it: a new one.
		 */
		generation = cw_catalog_info(c)->generation + 1;
		if (cw_catalog_put(c, e, generation, NULL, err) < 0)
			return -1;
		cw_catalog_set_generation(c, generation);
		atomic_fetch_add(&build->packed, 1);
		return 0;
	}
	switch (cw_catalog_mark_packed(c, e, e->volume, err)) {
	case 0:
		atomic_fetch_add(&build->packed, 1);
		return 0;
	case 1:
		if (m->is_late) {
			/* If there is another scan, it finds it again. */
			generation = cw_catalog_info(c)->generation + 1;
			if (cw_catalog_remove(c, e->dir, e->name, e->name_len,
				generation, err) < 0)
				return -1;
			cw_catalog_set_generation(c, generation);
		} else if (!m->is_void) {
			atomic_fetch_add(&build->moved, 1);
		}
		return 0;
	default:
		return -1;
	}
}

static int
tell_marks(struct cw_builder *b, struct cw_error *err)
{
	struct cw_catalog *c = b->build->catalog;
	int ret = 0;

	if (b->mark_count == 0)
		return 0;
	pthread_mutex_lock(&b->build->catalog_lock);
	ret = cw_catalog_begin(c, err);
	for (size_t i = 0; i < b->mark_count && ret == 0; i++)
		ret = tell(b, c, &b->marks[i], err);
	if (ret == 0)
		ret = cw_catalog_commit(c, err);
	if (ret < 0)
		cw_catalog_rollback(c);
	pthread_mutex_unlock(&b->build->catalog_lock);
	forget_marks(b);
	return ret;
}

/* ---- hard links within a volume ---- */

static void
forget_links(struct cw_builder *b)
{
	if (b->link_count == 0)
		return;
	for (size_t i = 0; i < LINK_SLOTS; i++) {
		free(b->links[i].path);
		b->links[i].path = NULL;
	}
	b->link_count = 0;
}

static struct link *
link_slot(struct cw_builder *b, int64_t group)
{
	size_t i = (size_t)((uint64_t)group * 0x9e3779b97f4a7c15ull >> 47) %
	    LINK_SLOTS;

	if (b->links == NULL)
		b->links = cw_calloc(LINK_SLOTS, sizeof(*b->links));
	while (b->links[i].path != NULL && b->links[i].group != group)
		i = (i + 1) % LINK_SLOTS;
	return &b->links[i];
}

static void
remember_link(struct cw_builder *b, const struct cw_entry *e, const char *path)
{
	struct link *l;

	if (e->linkgroup == 0 || b->link_count == LINKS_MAX)
		return;
	l = link_slot(b, e->linkgroup);
	if (l->path == NULL)
		b->link_count++;
	free(l->path);
	l->path = cw_strdup(path);
	l->group = e->linkgroup;
	l->ino = e->ino;
	l->size = e->size;
	l->mtime_ns = e->mtime_ns;
	memcpy(l->digest, e->digest, sizeof(l->digest));
}

/* The same file, if this volume holds it under another name. */
static const struct link *
find_link(struct cw_builder *b, const struct cw_entry *e)
{
	const struct link *l;

	if (e->linkgroup == 0 || b->link_count == 0)
		return NULL;
	l = link_slot(b, e->linkgroup);
	return l->path != NULL && l->ino == e->ino && l->size == e->size &&
		l->mtime_ns == e->mtime_ns ?
	    l :
	    NULL;
}

/* ---- volumes ---- */

static void
report(struct cw_builder *b)
{
	uint64_t written = b->number == 0 ? 0 : cw_volume_written(b->writer);

	cw_queue_report(b->build->queue, b->index, b->number,
	    b->number == 0 ? 0 : cw_volume_room(b->writer),
	    b->raw - b->raw_reported, written - b->written_reported);
	b->raw_reported = b->raw;
	b->written_reported = written;
}

uint32_t
cw_builder_volume(const struct cw_builder *b)
{
	return b->number;
}

static int
take_number(struct cw_build *build, uint32_t *number, struct cw_error *err)
{
	size_t least = 0;

	pthread_mutex_lock(&build->number_lock);
	for (size_t i = 1; i < build->free_count; i++)
		if (build->free_numbers[i] < build->free_numbers[least])
			least = i;
	if (build->free_count > 0) {
		*number = build->free_numbers[least];
		build->free_numbers[least] =
		    build->free_numbers[--build->free_count];
	} else {
		*number = build->next_number++;
	}
	pthread_mutex_unlock(&build->number_lock);
	if (*number > 999999)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "a seed has at most 999999 volumes: choose a larger "
		    "--volume-size");
	return 0;
}

/* The highest number goes back to those that were never given out. */
static void
give_number(struct cw_build *build, uint32_t number)
{
	bool is_highest;

	pthread_mutex_lock(&build->number_lock);
	build->free_numbers = cw_reallocarray(build->free_numbers,
	    build->free_count + 1, sizeof(*build->free_numbers));
	build->free_numbers[build->free_count++] = number;
	do {
		is_highest = false;
		for (size_t i = 0; i < build->free_count; i++) {
			if (build->free_numbers[i] + 1 != build->next_number)
				continue;
			build->free_numbers[i] =
			    build->free_numbers[--build->free_count];
			build->next_number--;
			is_highest = true;
		}
	} while (is_highest);
	pthread_mutex_unlock(&build->number_lock);
}

int
cw_build_lose_volume(struct cw_build *build, uint32_t number,
    struct cw_error *err)
{
	int ret;

	pthread_mutex_lock(&build->catalog_lock);
	ret = cw_catalog_unpack_volume(build->catalog, number, err);
	pthread_mutex_unlock(&build->catalog_lock);
	return ret;
}

static int
open_volume(struct cw_builder *b, struct cw_error *err)
{
	struct cw_build *build = b->build;
	char name[32];
	uint32_t number;

	for (;;) {
		if (take_number(build, &number, err) < 0)
			return -1;
		if (cw_target_take(build->target, build->volume_size,
			&b->medium, err) < 0) {
			give_number(build, number);
			return -1;
		}
		(void)snprintf(name, sizeof(name), "%06u.tar.zst.age", number);
		if (cw_durable_open(b->medium->folder, name, build->volume_size,
			&b->file, err) == 0)
			break;
		/* This medium is done for; the next one may do. */
		cw_target_release(build->target, b->medium, build->volume_size,
		    err);
		give_number(build, number);
	}
	(void)snprintf(name, sizeof(name), "%06u.tar.zst.age.tmp", number);
	b->promised = cw_target_begun(build->target, b->medium, name,
	    build->volume_size);
	b->number = number;
	b->sink_failed = false;
	b->is_framed = false;
	b->written_reported = 0;
	if (cw_volume_open(b->writer, build->recipients, build->recipient_count,
		build->volume_size, sink, b, err) < 0)
		return -1;
	report(b);
	return 0;
}

/* Ends what is known of the open volume; its file has gone elsewhere. */
static void
leave_volume(struct cw_builder *b)
{
	b->file = NULL;
	b->number = 0;
	forget_links(b);
	report(b);
}

/*
 * The shorter volume is the last one by its number, too: where another
 * builder began a later one, and filled it first, it gets a new number.
 */
static int
renumber_last(struct cw_builder *b, struct cw_error *err)
{
	struct cw_build *build = b->build;
	char name[32];
	uint32_t number;
	int ret;

	pthread_mutex_lock(&build->number_lock);
	number = b->number + 1 == build->next_number ? 0 : build->next_number++;
	pthread_mutex_unlock(&build->number_lock);
	if (number == 0)
		return 0;
	(void)snprintf(name, sizeof(name), "%06u.tar.zst.age", number);
	if (tell_marks(b, err) < 0)
		return -1;
	pthread_mutex_lock(&build->catalog_lock);
	ret = cw_catalog_relabel_volume(build->catalog, b->number, number, err);
	pthread_mutex_unlock(&build->catalog_lock);
	if (ret < 0 || cw_durable_rename(b->file, name, err) < 0)
		return -1;
	b->number = number;
	return 0;
}

int
cw_builder_close_volume(struct cw_builder *b, bool is_last,
    struct cw_error *err)
{
	struct cw_finisher_volume v;

	if (b->number == 0)
		return 0;
	if (is_last && renumber_last(b, err) < 0)
		return -1;
	if (cw_volume_close(b->writer, is_last, err) < 0) {
		if (!b->sink_failed)
			return -1;
		return cw_builder_drop_volume(b, err);
	}
	/*
	 * The catalog may know of the volume before it is durable: without
	 * its line in the ledger that is undone.  The other way round there
	 * would be a volume of which nothing is known.
	 */
	if (tell_marks(b, err) < 0)
		return -1;
	v.file = b->file;
	v.medium = b->medium;
	v.number = b->number;
	v.promised = b->promised;
	leave_volume(b);
	cw_finisher_put(b->build->finisher, &v);
	return 0;
}

static int
drop_volume(struct cw_builder *b, const struct cw_error *why,
    struct cw_error *err)
{
	uint32_t number = b->number;

	if (number == 0)
		return 0;
	cw_volume_abort(b->writer);
	cw_durable_free(b->file);
	cw_target_release(b->build->target, b->medium, b->promised, why);
	forget_marks(b);
	leave_volume(b);
	if (cw_build_lose_volume(b->build, number, err) < 0)
		return -1;
	give_number(b->build, number); /* it never got its name */
	return 0;
}

int
cw_builder_drop_volume(struct cw_builder *b, struct cw_error *err)
{
	return drop_volume(b, b->sink_failed ? err : NULL, err);
}

void
cw_builder_free(struct cw_builder *b)
{
	if (b == NULL)
		return;
	if (b->number != 0) {
		cw_volume_abort(b->writer);
		cw_durable_free(b->file);
	}
	if (b->links != NULL) {
		forget_links(b);
		free(b->links);
	}
	for (size_t i = 0; i < b->mark_text_count; i++)
		cw_buf_free(&b->mark_text[i]);
	free(b->mark_text);
	free(b->marks);
	cw_run_free(&b->run);
	cw_source_free(b->source);
	cw_volume_writer_free(b->writer);
	cw_sha256_free(b->sha);
	cw_buf_free(&b->name);
	free(b);
}

/* ---- members ---- */

/*
 * Makes sure that a member of this cost may be begun: 0 as usual, 1 if only
 * trying can tell (then a held frame has begun), 2 if there is no hope.
 */
static int
make_room(struct cw_builder *b, enum cw_zframe_kind kind, uint64_t cost,
    struct cw_error *err)
{
	if (b->number == 0 && open_volume(b, err) < 0)
		return -1;
	if (!b->is_framed || b->frame != kind) {
		if (cw_volume_frame(b->writer, kind, false, err) < 0)
			return -1;
		b->is_framed = true;
		b->frame = kind;
	}
	if (cw_volume_room(b->writer) >= cost)
		return 0;
	/* What is in the frame counts as incompressible until it is cut. */
	if (cw_volume_frame(b->writer, kind, false, err) < 0)
		return -1;
	if (cw_volume_room(b->writer) >= cost)
		return 0;
	/* Mail seldom shrinks to less than half, text apart. */
	if (cost > CW_SMALL_MAX && cw_volume_room(b->writer) < cost / 2)
		return 2;
	if (cw_volume_room(b->writer) < cost / 8)
		return 2;
	if (cw_volume_frame(b->writer, kind, true, err) < 0)
		return -1;
	return 1;
}

static void
hash_zeros(struct cw_sha256 *sha, uint64_t len)
{
	static const uint8_t zeros[65536];

	while (len > 0) {
		size_t n = len < sizeof(zeros) ? (size_t)len : sizeof(zeros);

		cw_sha256_update(sha, zeros, n);
		len -= n;
	}
}

/*
 * Passes len bytes of fd from offset on to the member and to the digest.
 * Where the file ends too early, or can't be read (*why then says so), zeros
 * follow, and *is_short is set: the member is void, but the volume is whole.
 */
static int
copy(struct cw_builder *b, int fd, uint64_t offset, uint64_t len,
    bool *is_short, struct cw_error *why, struct cw_error *err)
{
	while (len > 0) {
		size_t cap, got = 0;
		uint8_t *space = cw_volume_space(b->writer, &cap);

		if (cap > len)
			cap = (size_t)len;
		if (cw_pread_full(fd, space, cap, offset, &got, why) < 0) {
			*is_short = true;
			got = 0;
		}
		if (got > 0) {
			cw_sha256_update(b->sha, space, got);
			if (cw_volume_data(b->writer, space, got, err) < 0)
				return -1;
		}
		offset += got;
		len -= got;
		if (got < cap) {
			*is_short = true;
			hash_zeros(b->sha, len);
			break;
		}
		if (cw_stop_check(err) < 0)
			return -1;
	}
	return 0;
}

/* The content of a whole member, holes and all. */
static int
copy_member(struct cw_builder *b, int fd, const struct cw_member *m,
    uint64_t offset, bool *is_short, struct cw_error *why,
    struct cw_error *err)
{
	uint64_t at = 0;

	if (!m->is_sparse)
		return copy(b, fd, offset, m->size, is_short, why, err);
	for (size_t i = 0; i < m->range_count; i++) {
		hash_zeros(b->sha, m->ranges[i].offset - at);
		if (copy(b, fd, m->ranges[i].offset, m->ranges[i].len, is_short,
			why, err) < 0)
			return -1;
		at = m->ranges[i].offset + m->ranges[i].len;
	}
	hash_zeros(b->sha, m->size - at);
	return 0;
}

/*
 * Writes one member; fd is -1 for what has no content.  The digest goes on in
 * b->sha, which the caller finishes.
 */
static int
put_member(struct cw_builder *b, const struct cw_member *m,
    enum cw_zframe_kind kind, int fd, uint64_t offset, bool *is_short,
    struct cw_error *why, struct cw_error *err)
{
	uint64_t cost = cw_volume_cost(m);
	int held = make_room(b, kind, cost, err);

	if (held < 0)
		return -1;
	if (held == 2)
		return DOES_NOT_FIT;
	if (cw_volume_begin(b->writer, m, err) < 0)
		return -1;
	if (fd >= 0 &&
	    copy_member(b, fd, m, offset, is_short, why, err) < 0)
		return -1;
	if (cw_volume_end(b->writer, err) < 0)
		return -1;
	if (held == 0)
		return DONE;
	b->is_framed = false;
	switch (cw_volume_commit(b->writer, err)) {
	case 0:
		return DONE;
	case 1:
		cw_volume_drop(b->writer);
		return DOES_NOT_FIT;
	default:
		return -1;
	}
}

/* A file that can't be read costs itself only; the operator hears of it. */
static void
note_unreadable(struct cw_builder *b, const struct cw_error *why)
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
	uint64_t capacity = cw_volume_capacity(build->volume_size,
	    build->recipient_count);

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

/* Ends the file's digest and tells what was found. */
static void
mark_file(struct cw_builder *b, struct cw_entry *found,
    const struct cw_entry *row, int fd, bool is_short,
    const struct cw_error *why)
{
	struct stat after;
	struct mark *m;
	bool has_moved;

	cw_sha256_final(b->sha, found->digest);
	found->has_digest = true;
	/*
	 * Bytes that changed between the two looks are of no one moment: the
	 * next pass packs the file again, unless it never holds still.
	 */
	has_moved = is_short || fstat(fd, &after) < 0 ||
	    !cw_source_is_same(found, &after);
	m = add_mark(b, found,
	    found->size != row->size || found->mtime_ns != row->mtime_ns ||
		found->ctime_ns != row->ctime_ns || found->ino != row->ino ||
		found->mode != row->mode);
	if (why->code != CW_OK) {
		m->is_void = m->is_unreadable = true;
		note_unreadable(b, why);
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
    struct cw_entry *found, struct cw_member *member, int fd,
    const char *path, struct cw_error *err)
{
	uint64_t size = found->size, at = 0;
	uint64_t part_size = cw_build_part_size(b->build->volume_size,
	    b->build->recipient_count);
	uint64_t parts = (size + part_size - 1) / part_size;
	struct cw_error why = CW_ERROR_INIT;
	uint32_t first = 0, part = 1;
	bool is_short = false;

	if (parts > CW_PARTS_MAX) {
		cw_error_set(&why, CW_ERR_REFUSED,
		    "a file of %llu bytes needs more than %u parts: choose a "
		    "larger --volume-size",
		    (unsigned long long)size, CW_PARTS_MAX);
		note_unreadable(b, &why);
		return DONE;
	}
	add_mark(b, found, false)->is_fresh = true;
	while (part <= parts) {
		struct cw_sha256 *before = cw_sha256_copy(b->sha);
		struct mark *m;
		int ret;

		member->size = size - at < part_size ? size - at : part_size;
		cw_buf_reset(&b->name);
		member->path = cw_member_name_make(&b->name, path, strlen(path),
		    part, (uint32_t)parts);
		ret = put_member(b, member, CW_ZFRAME_LONG, fd, at, &is_short,
		    &why, err);
		if (ret == DOES_NOT_FIT) {
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
		m = add_mark(b, found, false);
		m->part = part;
		m->parts = (uint32_t)parts;
		at += member->size;
		part++;
		/* Only the first part carries these. */
		member->xattr_count = 0;
		member->acl_access = NULL;
		cw_progress_add(b->build->progress, member->size, 0);
		b->raw += member->size;
		report(b);
	}
	found->volume = first;
	mark_file(b, found, row, fd, is_short, &why);
	return DONE;
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
	note_unreadable(b, &why);
}

static int
pack_file(struct cw_builder *b, const struct cw_entry *row,
    const struct cw_attrs *attrs, enum cw_zframe_kind kind,
    struct cw_error *err)
{
	struct cw_error why = CW_ERROR_INIT;
	struct cw_entry found = *row;
	struct cw_member member;
	struct cw_range *ranges = NULL;
	const struct link *link;
	const char *path;
	struct stat st;
	bool is_short = false;
	int fd = -1, ret;

	ret = cw_source_open(b->source, row, &fd, &st, &why);
	if (ret < 0) {
		note_unreadable(b, &why);
		return DONE;
	}
	if (ret == 1 || st.st_uid != row->uid || st.st_gid != row->gid) {
		/* Gone, or of another owner: the next scan finds it anew. */
		atomic_fetch_add(&b->build->moved, 1);
		ret = DONE;
		goto out;
	}
	cw_source_note(&found, &st);
	if ((found.mode & (S_ISUID | S_ISGID)) != 0) {
		refuse_setuid(b, row);
		ret = DONE;
		goto out;
	}
	ret = -1;
	if (cw_source_path(b->source, row, &path, err) < 0)
		goto out;
	cw_buf_reset(&b->name);
	cw_entry_member(&found,
	    cw_member_name_make(&b->name, path, strlen(path), 0, 0), attrs,
	    &member);

	link = find_link(b, &found);
	if (link != NULL) {
		member.kind = CW_KIND_LINK;
		member.target = link->path;
		member.size = 0;
		member.xattr_count = 0;
		member.acl_access = NULL;
		memcpy(found.digest, link->digest, sizeof(found.digest));
		found.has_digest = true;
		ret = put_member(b, &member, kind, -1, 0, &is_short, &why, err);
		if (ret == DONE) {
			found.volume = b->number;
			(void)add_mark(b, &found,
			    found.ctime_ns != row->ctime_ns);
			cw_progress_add(b->build->progress, found.size, 1);
		}
		goto out;
	}
	if (row->sparse) {
		size_t count = 0;

		ret = cw_source_ranges(fd, found.size, &ranges, &count, &why);
		member.is_sparse = ret == 0;
		member.ranges = ranges;
		member.range_count = count;
	}
	if (cw_volume_cost(&member) > whole_max(b->build)) {
		member.is_sparse = false;
		ret = pack_parts(b, row, &found, &member, fd, path, err);
		cw_progress_add(b->build->progress, 0, 1);
		goto out;
	}
	ret = put_member(b, &member, kind, fd, 0, &is_short, &why, err);
	if (ret == DONE) {
		found.volume = b->number;
		mark_file(b, &found, row, fd, is_short, &why);
		if (!b->marks[b->mark_count - 1].is_void)
			remember_link(b, &found, member.path);
		atomic_fetch_add(&b->build->bytes_read, found.size);
		cw_progress_add(b->build->progress, found.size, 1);
		b->raw += found.size;
	}
out:
	if (ret != DONE) {
		/* Half a digest is of no use: the file is read again. */
		uint8_t unused[CW_DIGEST_SIZE];

		cw_sha256_final(b->sha, unused);
	}
	free(ranges);
	cw_close(&fd);
	return ret;
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
	ret = put_member(b, &member, CW_ZFRAME_SHORT, -1, 0, &is_short, NULL,
	    err);
	if (ret != DONE)
		return ret;
	found.volume = b->number;
	(void)add_mark(b, &found, false);
	cw_progress_add(b->build->progress, 0, 1);
	return DONE;
}

static int
pack_once(struct cw_builder *b, const struct cw_entry *row,
    enum cw_zframe_kind kind, struct cw_error *err)
{
	struct cw_attrs attrs = {0};
	int ret;

	if (row->attrs != NULL &&
	    cw_attrs_decode(row->attrs, row->attrs_len, &attrs, err) < 0)
		return -1;
	if (row->kind == CW_KIND_FILE)
		ret = pack_file(b, row, &attrs, kind, err);
	else
		ret = pack_plain(b, row, &attrs, err);
	cw_attrs_free(&attrs);
	return ret;
}

static int
pack(struct cw_builder *b, const struct cw_entry *row, enum cw_zframe_kind kind,
    struct cw_error *err)
{
	int ret;

	if (cw_stop_check(err) < 0)
		return -1;
	/* Parts take several marks: leave room for those of one file. */
	if (b->mark_count + CW_PARTS_MAX + 2 > MARKS_MAX &&
	    tell_marks(b, err) < 0)
		return -1;
	for (;;) {
		ret = pack_once(b, row, kind, err);
		if (ret >= 0)
			return ret;
		if (b->number != 0 && b->sink_failed) {
			/* The medium failed: the next one takes the entry. */
			if (drop_volume(b, err, err) < 0)
				return -1;
			continue;
		}
		if (err->code == CW_ERR_UNSUPPORTED) {
			/* A member over the limits costs itself only. */
			note_unreadable(b, err);
			return DONE;
		}
		return -1;
	}
}

/*
 * The volume is full: what was put off comes first in the next one, which
 * holds any whole file.
 */
static int
pack_late(struct cw_builder *b, enum cw_zframe_kind kind, const size_t *late,
    size_t count, struct cw_error *err)
{
	size_t i = 0;

	while (i < count) {
		int ret = cw_builder_close_volume(b, false, err);

		while (ret == DONE && i < count) {
			ret = pack(b, &b->run.entries[late[i]], kind, err);
			i += ret == DONE;
		}
		if (ret < 0)
			return -1;
	}
	return 0;
}

static int
pack_run(struct cw_builder *b, enum cw_zframe_kind kind, struct cw_error *err)
{
	size_t late[MISSES_MAX], late_count = 0;

	for (size_t i = 0; i < b->run.count; i++) {
		int ret = pack(b, &b->run.entries[i], kind, err);

		if (ret < 0)
			return -1;
		if (ret == DONE)
			continue;
		late[late_count++] = i;
		if (late_count < MISSES_MAX &&
		    cw_volume_room(b->writer) > ROOM_LEAST)
			continue;
		if (pack_late(b, kind, late, late_count, err) < 0)
			return -1;
		late_count = 0;
	}
	return pack_late(b, kind, late, late_count, err);
}

int
cw_builder_run(struct cw_builder *b, struct cw_error *err)
{
	enum cw_run_what what;
	int ret;

	report(b);
	while ((ret = cw_queue_take(b->build->queue, b->index, &what, &b->run,
		    err)) == 1) {
		if (pack_run(b,
			what == CW_RUN_LARGE ? CW_ZFRAME_LONG :
					       CW_ZFRAME_SHORT,
			err) < 0) {
			ret = -1;
			break;
		}
		report(b);
	}
	if (ret == 0)
		ret = tell_marks(b, err);
	if (ret < 0)
		cw_queue_stop(b->build->queue);
	else
		cw_queue_leave(b->build->queue, b->index);
	return ret;
}
