/*
 * Rows, in plans and in the lists of directories that are compared.
 */
#include "formats/wire/bounds.h"

#include "base/crypto.h"

#include <string.h>

/* A removal and a brief row say what they are about, and nothing more. */
static bool
is_bare(const Cw__Row *r)
{
	return r->mode == 0 && r->mtime_ns == 0 && r->size == 0 &&
	       r->digest.len == 0 && r->owner == 0 && r->content.len == 0 &&
	       r->content_coding == CW__CODING__RAW && r->linkgroup == 0 &&
	       r->target.len == 0 && r->attrs.len == 0 && !r->sparse;
}

static int
check_content(const Cw__Row *r, struct cw_error *err)
{
	if (wire_known(
		err, "coding", (int)r->content_coding, CW__CODING__ZSTD) < 0)
		return -1;
	if (r->content.len == 0)
		return r->content_coding == CW__CODING__RAW
			   ? 0
			   : wire_bad(err, "coding of no content", 1);
	if (r->size > CW_WIRE_CONTENT_MAX ||
	    r->content.len > CW_WIRE_CONTENT_MAX)
		return wire_bad(err, "size of a content in a row", r->size);
	if (r->content_coding == CW__CODING__RAW && r->content.len != r->size)
		return wire_bad(
		    err, "size of a content in a row", r->content.len);
	return 0;
}

static int
check_file(const Cw__Row *r, struct cw_error *err)
{
	if (wire_sized(err, "a content's digest", &r->digest, CW_SHA256_SIZE,
		false) < 0 ||
	    wire_most(err, "size of a file", r->size, CW_WIRE_SIZE_MAX) < 0 ||
	    wire_most(err, "target of a file", r->target.len, 0) < 0)
		return -1;
	return check_content(r, err);
}

/* Directories and symlinks. */
static int
check_other(const Cw__Row *r, struct cw_error *err)
{
	bool is_link = r->kind == CW__KIND__SYMLINK;

	if (r->size != 0 || r->digest.len != 0 || r->content.len != 0 ||
	    r->content_coding != CW__CODING__RAW || r->sparse)
		return wire_bad(err, "content of what is no file", r->size);
	if (!is_link && (r->linkgroup != 0 || r->target.len != 0))
		return wire_bad(err, "links of a directory", r->linkgroup);
	if (is_link &&
	    (r->target.len == 0 || r->target.len > CW_WIRE_TARGET_MAX ||
		memchr(r->target.data, '\0', r->target.len) != NULL))
		return wire_bad(err, "a symlink's target", r->target.len);
	return 0;
}

static int
check_row(const Cw__Row *r, struct cw_error *err)
{
	if (wire_name(err, &r->name) < 0 ||
	    wire_most(err, "number of a directory", r->dir, CW_WIRE_DIR_MAX) <
		0 ||
	    wire_most(err, "generation", r->generation, WIRE_NUMBER_MAX) < 0 ||
	    wire_known(err, "kind", (int)r->kind, CW__KIND__SYMLINK) < 0 ||
	    wire_most(err, "class", r->class_, UINT8_MAX) < 0 ||
	    wire_sized(err, "the MAC of a brief row", &r->brief_mac,
		CW_WIRE_BRIEF_SIZE, true) < 0)
		return -1;
	if (r->removed || r->brief_mac.len > 0) {
		if (!is_bare(r) || (r->removed && r->brief_mac.len > 0))
			return wire_bad(
			    err, "fields beside a removal", r->size);
		if (r->brief_mac.len > 0 && r->kind != CW__KIND__FILE)
			return wire_bad(
			    err, "kind of a brief row", (uint64_t)r->kind);
		return 0;
	}
	if (wire_most(err, "mode", r->mode, 07777) < 0 ||
	    wire_most(err, "number of an owner", r->owner, CW_WIRE_OWNER_MAX) <
		0 ||
	    wire_most(err, "link group", r->linkgroup, WIRE_NUMBER_MAX) < 0 ||
	    wire_most(
		err, "size of attributes", r->attrs.len, CW_WIRE_ATTRS_MAX) < 0)
		return -1;
	return r->kind == CW__KIND__FILE ? check_file(r, err)
					 : check_other(r, err);
}

static int
check_owners(Cw__Owner *const *owners, size_t count, struct cw_error *err)
{
	if (wire_most(err, "count of owners", count, CW_WIRE_ROWS_MAX) < 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		const Cw__Owner *o = owners[i];

		if (wire_most(err, "number of an owner", o->index,
			CW_WIRE_OWNER_MAX) < 0 ||
		    wire_most(err, "bytes of a user's name", strlen(o->user),
			CW_WIRE_NAME_MAX) < 0 ||
		    wire_most(err, "bytes of a group's name", strlen(o->group),
			CW_WIRE_NAME_MAX) < 0)
			return -1;
	}
	return 0;
}

static int
check_directories(Cw__Dir *const *dirs, size_t count, struct cw_error *err)
{
	if (wire_most(err, "count of directories", count, CW_WIRE_ROWS_MAX) < 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		if (wire_most(err, "number of a directory", dirs[i]->index,
			CW_WIRE_DIR_MAX) < 0 ||
		    wire_most(err, "number of a directory", dirs[i]->id,
			WIRE_NUMBER_MAX) < 0 ||
		    wire_path(err, &dirs[i]->path) < 0)
			return -1;
	}
	return 0;
}

int
wire_check_plan(const Cw__Plan *m, struct cw_error *err)
{
	const Cw__Row *last = NULL;
	uint64_t generation = 0;

	if (wire_store(err, m->store) < 0 ||
	    wire_numbers(err, m->since, m->target) < 0 ||
	    wire_most(err, "count of rows", m->n_rows, CW_WIRE_ROWS_MAX) < 0 ||
	    check_directories(m->dirs, m->n_dirs, err) < 0 ||
	    check_owners(m->owners, m->n_owners, err) < 0)
		return -1;
	for (size_t i = 0; i < m->n_rows; i++) {
		const Cw__Row *r = m->rows[i];
		bool is_next =
		    generation == 0 ||
		    (r->generation != 0 && r->generation != generation);

		if (check_row(r, err) < 0)
			return -1;
		if (!m->answer && r->generation != 0 &&
		    r->generation < generation)
			return wire_bad(
			    err, "order of generations", r->generation);
		if (r->generation != 0)
			generation = r->generation;
		if (generation == 0)
			return wire_bad(err, "generation of the first row", 0);
		if (!m->answer && !is_next && r->removed && !last->removed)
			return wire_bad(
			    err, "removal behind a put", generation);
		last = r;
	}
	return 0;
}

int
wire_check_row_want(const Cw__RowWant *m, struct cw_error *err)
{
	if (wire_store(err, m->store) < 0 ||
	    wire_most(err, "count of rows", m->n_rows, CW_WIRE_ROWS_MAX) < 0 ||
	    check_directories(m->dirs, m->n_dirs, err) < 0)
		return -1;
	for (size_t i = 0; i < m->n_rows; i++) {
		const Cw__Row *r = m->rows[i];

		if (wire_name(err, &r->name) < 0 ||
		    wire_most(err, "number of a directory", r->dir,
			CW_WIRE_DIR_MAX) < 0)
			return -1;
		if (!is_bare(r) || r->brief_mac.len > 0)
			return wire_bad(err, "fields of a row wanted", r->size);
	}
	return 0;
}

int
wire_check_dir_list(const Cw__DirList *m, struct cw_error *err)
{
	if (wire_store(err, m->store) < 0 || wire_path(err, &m->path) < 0 ||
	    wire_most(err, "generation", m->generation, WIRE_NUMBER_MAX) < 0 ||
	    wire_most(err, "count of rows", m->n_rows, CW_WIRE_ROWS_MAX) < 0 ||
	    check_owners(m->owners, m->n_owners, err) < 0)
		return -1;
	if (m->gone && m->n_rows > 0)
		return wire_bad(err, "rows of what is gone", m->n_rows);
	for (size_t i = 0; i < m->n_rows; i++) {
		const Cw__Row *r = m->rows[i];

		if (check_row(r, err) < 0)
			return -1;
		if (r->removed || r->brief_mac.len > 0 || r->dir != 0)
			return wire_bad(err, "removal in a list", r->dir);
		if (i == 0 && r->generation == 0)
			return wire_bad(err, "generation of the first row", 0);
	}
	return 0;
}
