/*
 * Entries put into a catalog by hand, without a tree on disk, for the tests of
 * src/store.
 */
#ifndef TESTS_UNIT_ENTRIES_H
#define TESTS_UNIT_ENTRIES_H

#include "tests/unit/trees.h"

#include "base/crypto.h"

/* An entry with all that put wants; the caller changes what matters. */
static inline struct cw_entry
make_entry(int64_t dir, const char *name, enum cw_kind kind)
{
	struct cw_entry e = CW_ENTRY_INIT;

	e.dir = dir;
	e.name = name;
	e.name_len = strlen(name);
	e.kind = kind;
	e.class = kind == CW_KIND_FILE ? 1 : 2;
	e.mode = 0600;
	e.uid = 5000;
	e.gid = 5000;
	e.user = "vmail";
	e.group = "vmail";
	e.mtime_ns = 1700000000000000000;
	if (kind == CW_KIND_SYMLINK) {
		e.target = "../x";
		e.target_len = 4;
	}
	return e;
}

/* A file with this content, or not read yet if that is NULL. */
static inline struct cw_entry
make_file(int64_t dir, const char *name, const char *content)
{
	struct cw_entry e = make_entry(dir, name, CW_KIND_FILE);

	if (content != NULL) {
		e.size = strlen(content);
		e.has_digest = true;
		cw_sha256(content, e.size, e.digest);
	}
	return e;
}

static inline int64_t
put_entry(struct cw_catalog *c, const struct cw_entry *e, uint64_t generation)
{
	int64_t child = 0;

	OK(cw_catalog_put(c, e, generation, &child, &err));
	return child;
}

static inline void
put_text(struct cw_catalog *c, int64_t dir, const char *name,
    const char *content, uint64_t generation)
{
	struct cw_entry e = make_file(dir, name, content);

	put_entry(c, &e, generation);
}

static inline int64_t
put_dir(
    struct cw_catalog *c, int64_t dir, const char *name, uint64_t generation)
{
	struct cw_entry e = make_entry(dir, name, CW_KIND_DIR);

	return put_entry(c, &e, generation);
}

static inline void
remove_entry(
    struct cw_catalog *c, int64_t dir, const char *name, uint64_t generation)
{
	OK(cw_catalog_remove(c, dir, name, strlen(name), generation, &err));
}

/* Commits all since begin as this generation. */
static inline void
commit_as(struct cw_catalog *c, uint64_t generation)
{
	cw_catalog_set_generation(c, generation);
	OK(cw_catalog_commit(c, &err));
	OK(cw_state_check(c, &err));
}

/* A new catalog with root "mail" in generation 1; its id in *dir. */
static inline struct cw_catalog *
open_with_root(int64_t *dir)
{
	struct cw_catalog *c = open_catalog();

	OK(cw_catalog_begin(c, &err));
	OK(cw_catalog_root_put(c, "mail", "maildir", "fuzzy", &err));
	*dir = put_dir(c, 0, "mail", 1);
	commit_as(c, 1);
	return c;
}

#endif
