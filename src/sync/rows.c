#include "sync/rows.h"

#include "base/buf.h"

#include <stdlib.h>
#include <string.h>

/*
 * Of rows, before compression: what arrived of a frame is lost when the line
 * breaks within it.
 */
#define FRAME_BYTES (128u << 10)
#define FRAME_ROWS  4096u
#define FRAME_DIRS  1024u
#define BLOCK_SIZE  (128u << 10)

/* Memory of one frame, given back all at once. */
struct block {
	struct block *next;
	size_t used, size;
	_Alignas(16) uint8_t data[];
};

struct cw_rows {
	struct block *blocks;
	Cw__Row *rows[FRAME_ROWS];
	size_t row_count;
	Cw__Dir *dirs[FRAME_DIRS];
	size_t dir_count;
	Cw__Owner *owners[CW_WIRE_OWNER_MAX + 1];
	size_t owner_count;
	size_t bytes;
	struct cw_buf account;
};

struct cw_rows *
cw_rows_new(void)
{
	return cw_calloc(1, sizeof(struct cw_rows));
}

void
cw_rows_reset(struct cw_rows *b)
{
	/* The first block is kept: most frames fit into it. */
	while (b->blocks != NULL && b->blocks->next != NULL) {
		struct block *next = b->blocks->next;

		free(b->blocks);
		b->blocks = next;
	}
	if (b->blocks != NULL)
		b->blocks->used = 0;
	b->row_count = b->dir_count = b->owner_count = b->bytes = 0;
	cw_buf_reset(&b->account);
}

void
cw_rows_free(struct cw_rows *b)
{
	if (b == NULL)
		return;
	cw_rows_reset(b);
	free(b->blocks);
	cw_buf_free(&b->account);
	free(b);
}

static void *
take(struct cw_rows *b, size_t size)
{
	size_t need = (size + 15) & ~(size_t)15;
	void *out;

	if (b->blocks == NULL || b->blocks->size - b->blocks->used < need) {
		size_t room = need > BLOCK_SIZE ? need : BLOCK_SIZE;
		struct block *more = cw_malloc(sizeof(*more) + room);

		more->next = b->blocks;
		more->used = 0;
		more->size = room;
		b->blocks = more;
	}
	out = b->blocks->data + b->blocks->used;
	b->blocks->used += need;
	return out;
}

static ProtobufCBinaryData
copy(struct cw_rows *b, const void *data, size_t len)
{
	ProtobufCBinaryData out = {len, take(b, len + 1)};

	if (len > 0)
		memcpy(out.data, data, len);
	out.data[len] = '\0';
	b->bytes += len;
	return out;
}

size_t
cw_rows_count(const struct cw_rows *b)
{
	return b->row_count;
}

size_t
cw_rows_bytes(const struct cw_rows *b)
{
	return b->bytes;
}

bool
cw_rows_is_full(const struct cw_rows *b)
{
	return b->bytes >= FRAME_BYTES || b->row_count == FRAME_ROWS ||
	       b->dir_count == FRAME_DIRS || b->owner_count > CW_WIRE_OWNER_MAX;
}

/* "root/account" of "root/account/cur". */
static size_t
account_len(const char *path, size_t len)
{
	const char *slash = memchr(path, '/', len);

	if (slash != NULL)
		slash =
		    memchr(slash + 1, '/', len - (size_t)(slash + 1 - path));
	return slash != NULL ? (size_t)(slash - path) : len;
}

bool
cw_rows_takes(const struct cw_rows *b, const char *dir_path, size_t len)
{
	size_t own = account_len(dir_path, len);

	return b->row_count == 0 ||
	       (own == b->account.len &&
		   (own == 0 || memcmp(b->account.data, dir_path, own) == 0));
}

static uint32_t
dir_index(struct cw_rows *b, const struct cw_change *ch)
{
	Cw__Dir *dir;

	/* Rows come in the order of directories: the last one, mostly. */
	for (size_t i = b->dir_count; i > 0; i--)
		if (b->dirs[i - 1]->id == (uint64_t)ch->dir)
			return b->dirs[i - 1]->index;
	dir = take(b, sizeof(*dir));
	cw__dir__init(dir);
	dir->index = (uint32_t)b->dir_count;
	dir->id = (uint64_t)ch->dir;
	dir->path = copy(b, ch->dir_path, ch->dir_path_len);
	b->dirs[b->dir_count++] = dir;
	return dir->index;
}

static uint32_t
owner_index(struct cw_rows *b, const struct cw_entry *e)
{
	Cw__Owner *owner;

	for (size_t i = b->owner_count; i > 0; i--) {
		owner = b->owners[i - 1];
		if (owner->uid == e->uid && owner->gid == e->gid &&
		    strcmp(owner->user, e->user) == 0 &&
		    strcmp(owner->group, e->group) == 0)
			return owner->index;
	}
	owner = take(b, sizeof(*owner));
	cw__owner__init(owner);
	owner->index = (uint32_t)b->owner_count;
	owner->uid = e->uid;
	owner->gid = e->gid;
	owner->user = (char *)copy(b, e->user, strlen(e->user)).data;
	owner->group = (char *)copy(b, e->group, strlen(e->group)).data;
	b->owners[b->owner_count++] = owner;
	return owner->index;
}

static Cw__Kind
wire_kind(enum cw_kind kind)
{
	return kind == CW_KIND_DIR	 ? CW__KIND__DIRECTORY
	       : kind == CW_KIND_SYMLINK ? CW__KIND__SYMLINK
					 : CW__KIND__FILE;
}

/* All that a put says in full. */
static void
fill(struct cw_rows *b, Cw__Row *row, const struct cw_entry *e)
{
	row->mode = e->mode;
	row->owner = owner_index(b, e);
	row->class_ = e->class;
	if (e->kind != CW_KIND_DIR)
		row->mtime_ns = e->mtime_ns;
	if (e->attrs_len > 0)
		row->attrs = copy(b, e->attrs, e->attrs_len);
	if (e->kind == CW_KIND_SYMLINK)
		row->target = copy(b, e->target, e->target_len);
	if (e->kind != CW_KIND_FILE)
		return;
	row->size = e->size;
	row->sparse = e->sparse;
	row->linkgroup = (uint64_t)e->linkgroup;
	if (e->has_digest)
		row->digest = copy(b, e->digest, CW_DIGEST_SIZE);
}

void
cw_rows_add(struct cw_rows *b, const struct cw_change *ch, bool with_dir,
    const struct cw_row_content *content)
{
	Cw__Row *row = take(b, sizeof(*row));
	uint64_t generation = ch->e.generation;

	cw__row__init(row);
	if (b->row_count == 0) {
		size_t len = account_len(ch->dir_path, ch->dir_path_len);

		cw_buf_reset(&b->account);
		cw_buf_append(&b->account, ch->dir_path, len);
	}
	b->rows[b->row_count++] = row;
	b->bytes += 64;
	if (with_dir)
		row->dir = dir_index(b, ch);
	row->name = copy(b, ch->e.name, ch->e.name_len);
	row->generation = generation;
	row->kind = wire_kind(ch->is_removal ? ch->kind : ch->e.kind);
	row->removed = ch->is_removal;
	if (ch->is_removal)
		return;
	if (content != NULL && content->brief != NULL) {
		row->brief_mac = copy(b, content->brief, CW_WIRE_BRIEF_SIZE);
		return;
	}
	fill(b, row, &ch->e);
	if (content != NULL && content->content != NULL)
		row->content = copy(b, content->content, content->content_len);
}

/* A generation that repeats is left out. */
static void
shorten(const struct cw_rows *b)
{
	uint64_t last = 0;

	for (size_t i = 0; i < b->row_count; i++) {
		uint64_t own = b->rows[i]->generation;

		if (own == last)
			b->rows[i]->generation = 0;
		else if (own != 0)
			last = own;
	}
}

void
cw_rows_plan(const struct cw_rows *b, Cw__Plan *plan)
{
	shorten(b);
	plan->n_rows = b->row_count;
	plan->rows = (Cw__Row **)(uintptr_t)b->rows;
	plan->n_dirs = b->dir_count;
	plan->dirs = (Cw__Dir **)(uintptr_t)b->dirs;
	plan->n_owners = b->owner_count;
	plan->owners = (Cw__Owner **)(uintptr_t)b->owners;
}

void
cw_rows_list(const struct cw_rows *b, Cw__DirList *list)
{
	shorten(b);
	list->n_rows = b->row_count;
	list->rows = (Cw__Row **)(uintptr_t)b->rows;
	list->n_owners = b->owner_count;
	list->owners = (Cw__Owner **)(uintptr_t)b->owners;
}

static int
set_dir(const Cw__Row *row, const struct cw_row_tables *t,
    struct cw_change *out, struct cw_error *err)
{
	const Cw__Dir *dir = NULL;

	if (t->dir != NULL) {
		out->dir_path = (const char *)t->dir->data;
		out->dir_path_len = t->dir->len;
		return 0;
	}
	/* As we write them they are in order; from others they may not be. */
	if (row->dir < t->dir_count && t->dirs[row->dir]->index == row->dir)
		dir = t->dirs[row->dir];
	for (size_t i = 0; dir == NULL && i < t->dir_count; i++)
		if (t->dirs[i]->index == row->dir)
			dir = t->dirs[i];
	if (dir == NULL || dir->id > INT64_MAX)
		return cw_error_set(err, CW_ERR_FORMAT,
		    "the peer sent a row in directory %u, which it never named",
		    row->dir);
	out->dir = (int64_t)dir->id;
	out->dir_path = (const char *)dir->path.data;
	out->dir_path_len = dir->path.len;
	return 0;
}

static int
set_owner(const Cw__Row *row, const struct cw_row_tables *t, struct cw_entry *e,
    struct cw_error *err)
{
	const Cw__Owner *owner = NULL;

	if (row->owner < t->owner_count &&
	    t->owners[row->owner]->index == row->owner)
		owner = t->owners[row->owner];
	for (size_t i = 0; owner == NULL && i < t->owner_count; i++)
		if (t->owners[i]->index == row->owner)
			owner = t->owners[i];
	if (owner == NULL)
		return cw_error_set(err, CW_ERR_FORMAT,
		    "the peer sent a row of owner %u, whom it never named",
		    row->owner);
	e->uid = owner->uid;
	e->gid = owner->gid;
	e->user = owner->user;
	e->group = owner->group;
	return 0;
}

static int
fill_file(const Cw__Row *row, struct cw_entry *e, struct cw_error *err)
{
	if (row->digest.len != CW_DIGEST_SIZE)
		return cw_error_set(err, CW_ERR_FORMAT,
		    "the peer sent a file without a digest");
	e->size = row->size;
	e->has_digest = true;
	memcpy(e->digest, row->digest.data, CW_DIGEST_SIZE);
	e->sparse = row->sparse;
	e->linkgroup = (int64_t)row->linkgroup;
	return 0;
}

int
cw_row_change(const Cw__Row *row, const struct cw_row_tables *t,
    struct cw_change *out, bool *is_brief, struct cw_error *err)
{
	struct cw_entry *e = &out->e;

	memset(out, 0, sizeof(*out));
	if (set_dir(row, t, out, err) < 0)
		return -1;
	out->is_removal = row->removed;
	out->kind = row->kind == CW__KIND__DIRECTORY ? CW_KIND_DIR
		    : row->kind == CW__KIND__SYMLINK ? CW_KIND_SYMLINK
						     : CW_KIND_FILE;
	*is_brief = row->brief_mac.len > 0;
	e->kind = out->kind;
	e->name = (const char *)row->name.data;
	e->name_len = row->name.len;
	e->generation = row->generation;
	e->user = e->group = "";
	if (row->removed)
		return 0;
	if (*is_brief)
		return e->kind == CW_KIND_FILE
			   ? 0
			   : cw_error_set(err, CW_ERR_FORMAT,
				 "the peer sent a brief row of no file");
	if (set_owner(row, t, e, err) < 0)
		return -1;
	e->mode = row->mode;
	e->class = (uint8_t)row->class_;
	e->mtime_ns = row->mtime_ns;
	if (row->attrs.len > 0) {
		e->attrs = row->attrs.data;
		e->attrs_len = row->attrs.len;
	}
	if (e->kind == CW_KIND_SYMLINK) {
		e->target = (const char *)row->target.data;
		e->target_len = row->target.len;
	}
	return e->kind == CW_KIND_FILE ? fill_file(row, e, err) : 0;
}
