/*
 * A source (BASE/root, scanned) and its replica (BASE/replica, with its parts
 * in BASE/store), and a sync between them without a link: for the tests of
 * src/replica.
 */
#ifndef TESTS_UNIT_PAIRS_H
#define TESTS_UNIT_PAIRS_H

#include "tests/unit/trees.h"

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/fs.h"
#include "replica/apply.h"
#include "store/changes.h"
#include "store/contents.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/xattr.h>

struct pair {
	struct cw_catalog *source;
	struct cw_catalog *catalog; /* the replica's */
	struct cw_place_root root;
	struct cw_replica r;
};

static const struct cw_scan_options pair_scan_options = {
    .contents = CW_SCAN_CONTENTS};

static inline const char *
in_base(const char *name)
{
	static char paths[8][4300];
	static unsigned next;
	char *path = paths[next++ % 8];

	snprintf(path, sizeof(paths[0]), "%s/%s", tree_base, name);
	return path;
}

static inline const char *
in_replica(const char *name)
{
	static char paths[8][4300];
	static unsigned next;
	char *path = paths[next++ % 8];

	snprintf(path, sizeof(paths[0]), "%s/replica/%s", tree_base, name);
	return path;
}

/* Opens the replica's side; made if it is not there. */
static inline void
pair_open_replica(struct pair *p)
{
	const struct cw_catalog_info *info = cw_catalog_info(p->source);
	uint8_t key[CW_STATE_KEY_SIZE];

	if (mkdir(in_base("store"), 0700) == 0) {
		if (access(in_base("replica"), F_OK) != 0)
			ck_assert_int_eq(mkdir(in_base("replica"), 0755), 0);
		OK(cw_catalog_state_key(p->source, key, &err));
		OK(cw_catalog_create_replica(in_base("store/catalog.sqlite"),
		    "mail", info->store_id, key, &err));
	}
	OK(cw_catalog_open(in_base("store/catalog.sqlite"), CW_CATALOG_WRITE,
	    &p->catalog, &err));
	OK(cw_catalog_index_contents(p->catalog, &err));
	OK(cw_catalog_root_put(p->catalog, "mail", "maildir", "fuzzy", &err));
	p->root.name = "mail";
	p->root.dirfd = open(in_base("replica"), O_RDONLY | O_DIRECTORY);
	ck_assert_int_ge(p->root.dirfd, 0);
	OK(cw_replica_open(
	    in_base("store"), p->catalog, &p->root, 1, &p->r, &err));
}

static inline void
pair_close_replica(struct pair *p)
{
	cw_replica_close(&p->r);
	cw_catalog_close(p->catalog);
	cw_close(&p->root.dirfd);
}

static inline void
pair_scan(struct pair *p)
{
	scan_with(p->source, "maildir", &pair_scan_options);
}

static inline void
pair_open(struct pair *p)
{
	*p = (struct pair){0};
	p->source = open_catalog();
	pair_scan(p);
	pair_open_replica(p);
}

static inline void
pair_close(struct pair *p)
{
	pair_close_replica(p);
	cw_catalog_close(p->source);
}

/* Stages a content from the source's file at "mail/..." */
static inline void
pair_supply(struct pair *p, const char *path,
    const uint8_t digest[CW_DIGEST_SIZE], uint64_t size)
{
	int fd = open(in_root(path + strlen("mail/")), O_RDONLY);

	ck_assert_msg(fd >= 0, "%s", path);
	OK(cw_staging_take(p->r.staging, digest, size, fd, &err));
	close(fd);
}

/* Its file becomes what it is to be while it is in staging. */
static inline void
pair_dress(struct pair *p, const struct cw_want *want)
{
	int fd;

	OK(cw_staging_open_content(
	    p->r.staging, want->digest, want->size, &fd, &err));
	cw_look_give(&want->look, fd);
	close(fd);
}

/* Rows and contents of all changes, up to COMPLETE; how many were wanted. */
static inline unsigned
pair_supply_wants(struct pair *p)
{
	struct cw_want_cursor at = {0};
	struct cw_want want;
	unsigned count = 0;
	int got;

	while ((got = cw_incoming_next_want(
		    p->r.incoming, &p->r, &at, &want, &err)) == 1) {
		pair_supply(p, want.path, want.digest, want.size);
		if (count % 2 == 0)
			pair_dress(p, &want);
		count++;
	}
	ck_assert_msg(got == 0, "%s", err.message);
	return count;
}

static inline void
pair_complete(struct pair *p)
{
	uint8_t digest[CW_STATE_SIZE];
	bool known;

	OK(cw_state_digest(p->source, digest, &known, &err));
	ck_assert(known);
	OK(cw_incoming_complete(p->r.incoming,
	    cw_catalog_info(p->source)->generation, digest, &err));
}

static inline unsigned
pair_collect(struct pair *p)
{
	uint64_t since = cw_catalog_info(p->catalog)->generation;
	struct cw_position at = {0};
	struct cw_changes *s;
	struct cw_change ch;
	int got;

	OK(cw_incoming_begin(
	    p->r.incoming, since, cw_catalog_info(p->source)->epoch, &err));
	OK(cw_changes_open(p->source, since, NULL, &s, &err));
	while ((got = cw_changes_next(s, &ch, &err)) == 1) {
		OK(cw_incoming_add(p->r.incoming, &ch, &err));
		cw_change_position(&ch, &at);
	}
	ck_assert_msg(got == 0, "%s", err.message);
	cw_changes_close(s);
	OK(cw_incoming_commit(p->r.incoming, &at, &err));
	unsigned count = pair_supply_wants(p);

	pair_complete(p);
	return count;
}

/* ---- what a tree is ---- */

struct tree_line {
	char *text;
};

static struct tree_line tree_lines[4096];
static struct {
	dev_t dev;
	ino_t ino;
} tree_inodes[4096];
static size_t tree_count, tree_skip;

static inline int
tree_note(const char *path, const struct stat *st, int type, struct FTW *at)
{
	static char text[16384], target[4200], names[4096], value[256];
	uint8_t digest[32];
	ssize_t len;
	size_t n;

	(void)type;
	(void)at;
	ck_assert_uint_lt(tree_count, 4096);
	n = (size_t)snprintf(text, sizeof(text), "%s %o %u:%u",
	    path + tree_skip, (unsigned)st->st_mode, st->st_uid, st->st_gid);
	tree_inodes[tree_count].dev = st->st_dev;
	tree_inodes[tree_count].ino = st->st_ino;
	if (!S_ISDIR(st->st_mode))
		n += (size_t)snprintf(text + n, sizeof(text) - n, " %lld.%09ld",
		    (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
	if (S_ISLNK(st->st_mode)) {
		len = readlink(path, target, sizeof(target) - 1);
		ck_assert_int_ge(len, 0);
		target[len] = '\0';
		n += (size_t)snprintf(
		    text + n, sizeof(text) - n, " -> %s", target);
	}
	if (S_ISREG(st->st_mode)) {
		struct cw_buf buf = CW_BUF_INIT;
		char hex[65];

		OK(cw_read_file(AT_FDCWD, path, 1 << 24, &buf, &err));
		cw_sha256(buf.data, buf.len, digest);
		cw_hex_encode(digest, 32, hex);
		n += (size_t)snprintf(text + n, sizeof(text) - n,
		    " %lld %s links %u", (long long)st->st_size, hex,
		    (unsigned)st->st_nlink);
		cw_buf_free(&buf);
	}
	len = llistxattr(path, names, sizeof(names));
	for (ssize_t i = 0; i < len; i += (ssize_t)strlen(names + i) + 1) {
		ssize_t got = lgetxattr(path, names + i, value, sizeof(value));

		if (strncmp(names + i, "user.", 5) == 0)
			n += (size_t)snprintf(text + n, sizeof(text) - n,
			    " %s=%.*s", names + i, (int)got, value);
		else if (strncmp(names + i, "system.posix_acl", 16) == 0)
			n += (size_t)snprintf(text + n, sizeof(text) - n,
			    " %s %zd", names + i, got);
	}
	tree_lines[tree_count++].text = strdup(text);
	return 0;
}

static inline int
tree_order(const void *a, const void *b)
{
	return strcmp(((const struct tree_line *)a)->text,
	    ((const struct tree_line *)b)->text);
}

/* All of a tree as text, to be freed. */
static inline char *
tree_text(const char *path)
{
	struct cw_buf out = CW_BUF_INIT;
	char *text;

	tree_count = 0;
	tree_skip = strlen(path);
	ck_assert_int_eq(nftw(path, tree_note, 16, FTW_PHYS), 0);
	qsort(tree_lines, tree_count, sizeof(tree_lines[0]), tree_order);
	for (size_t i = 0; i < tree_count; i++) {
		/* The tree's own line has its path cut away. */
		cw_buf_printf(&out, "%s\n", tree_lines[i].text);
		free(tree_lines[i].text);
	}
	text = strdup(cw_buf_string(&out));
	cw_buf_free(&out);
	return text;
}

static inline void
pair_check_trees(void)
{
	char *a = tree_text(in_base("root")),
	     *b = tree_text(in_base("replica"));

	if (strcmp(a, b) != 0)
		ck_abort_msg("source:\n%s\nreplica:\n%s", a, b);
	free(a);
	free(b);
}

/* Catalogs and trees agree, and a scan of the replica finds nothing new. */
static inline void
pair_check(struct pair *p)
{
	uint8_t a[CW_STATE_SIZE], b[CW_STATE_SIZE];
	struct cw_scan_result result;
	struct cw_scan_root root = {
	    .name = "mail", .path = in_base("replica"), .format = "maildir"};
	bool known_a, known_b;

	pair_check_trees();
	OK(cw_state_check(p->catalog, &err));
	OK(cw_state_digest(p->source, a, &known_a, &err));
	OK(cw_state_digest(p->catalog, b, &known_b, &err));
	ck_assert(known_a && known_b);
	ck_assert_mem_eq(a, b, sizeof(a));
	ck_assert_uint_eq(cw_catalog_info(p->catalog)->generation,
	    cw_catalog_info(p->source)->generation);
	OK(cw_scan(p->catalog, &root, 1, &pair_scan_options, &result, &err));
	ck_assert_uint_eq(result.added + result.changed + result.removed, 0);
	ck_assert_uint_eq(result.read, 0);
	ck_assert_uint_eq(cw_catalog_info(p->catalog)->generation,
	    cw_catalog_info(p->source)->generation);
}

static inline struct cw_apply_result
pair_apply(struct pair *p)
{
	struct cw_apply_result result;

	OK(cw_apply(&p->r, NULL, &result, &err));
	ck_assert(result.is_equal);
	return result;
}

/* Scans the source and brings the replica up to it. */
static inline struct cw_apply_result
pair_sync(struct pair *p)
{
	struct cw_apply_result result;

	pair_scan(p);
	pair_collect(p);
	result = pair_apply(p);
	pair_check(p);
	return result;
}

#endif
