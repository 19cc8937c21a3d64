/*
 * The catalog: the SQLite database in which a site knows the entries of a
 * store, the generation that last touched each, which volume of the current
 * seed holds it, and the sums of the state digest.  SPEC.md is its schema.
 *
 * A struct cw_catalog is for one thread at a time, and is not to be used on
 * both sides of a fork.  A thread or process that reads while another writes
 * opens the file a second time (WAL: readers see the last commit and do not
 * wait for writers).  One writer a catalog; a lock of the caller's sees to it.
 * Where two meet all the same, or where what a crash left has to be recovered,
 * the second waits up to 20 seconds before it is CW_ERR_BUSY.
 *
 * Memory stays the same however large the store is.  Rows are checked when
 * they are read, also those of our own catalogs: a row that SPEC.md does not
 * allow is CW_ERR_DAMAGED.
 */
#ifndef CW_STORE_CATALOG_H
#define CW_STORE_CATALOG_H

#include "base/error.h"
#include "store/entry.h"
#include "store/state.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CW_STORE_ID_SIZE  16u
#define CW_SEED_ID_SIZE	  8u
#define CW_STORE_NAME_MAX 64u
#define CW_PATH_MAX	  CW_MEMBER_PATH_MAX /* "root/dir/name" */

struct cw_catalog;

/* What the catalog says of the store as a whole; see cw_catalog_info. */
struct cw_catalog_info {
	uint8_t store_id[CW_STORE_ID_SIZE]; /* random, made at creation */
	char name[CW_STORE_NAME_MAX + 1];
	uint64_t generation; /* 0: never scanned */
	uint64_t epoch;	     /* starts at 1 */
	bool has_seed;	     /* volumes below belong to seed_id */
	uint8_t seed_id[CW_SEED_ID_SIZE];
	uint64_t seed_generation; /* that of the seed's start */
	uint64_t entries;	  /* all kinds */
	uint64_t files;
	uint64_t dirs;
	uint64_t bytes;	  /* of files; hard links count each time */
	uint64_t pending; /* files without a digest */
	/* Deletions are complete only for generations above it; 0 at first. */
	uint64_t floor;
};

/*
 * Makes a catalog for a new store, with a new store id and state key.  An
 * existing file is refused (CW_ERR_REFUSED).  A failure leaves no file.
 */
int cw_catalog_create(
    const char *path, const char *store_name, struct cw_error *err);

/*
 * The same for a copy of a store that another site has: with its id and state
 * key, generation 0, epoch 1, no entries.
 */
int cw_catalog_create_replica(const char *path, const char *store_name,
    const uint8_t store_id[CW_STORE_ID_SIZE],
    const uint8_t state_key[CW_STATE_KEY_SIZE], struct cw_error *err);

enum cw_catalog_mode {
	CW_CATALOG_READ,
	CW_CATALOG_WRITE,
};

/*
 * CW_ERR_MISSING if there is none, CW_ERR_UNSUPPORTED if it is newer.  WRITE
 * brings an older one up to this version; READ takes it as it is.
 */
int cw_catalog_open(const char *path, enum cw_catalog_mode mode,
    struct cw_catalog **out, struct cw_error *err);

/*
 * Opens a catalog that came from media or a peer.  It is hostile even when it
 * is signed: read-only, no WAL, schema exactly that of its version (1 to 3; the
 * index of contents is none of it), SQLite's own structure and indexes
 * checked, no triggers or views, every row and the directory graph checked
 * (names, kinds, sizes, paths, no cycles, sums and counts).  Anything else is
 * CW_ERR_DAMAGED or CW_ERR_UNSUPPORTED.  After success the file may be moved to
 * its place and opened with CW_CATALOG_WRITE.
 */
int cw_catalog_open_foreign(
    const char *path, struct cw_catalog **out, struct cw_error *err);

/* Rolls back what was not committed.  NULL is allowed. */
void cw_catalog_close(struct cw_catalog *c);

/* As of the last commit or of this connection's own changes. */
const struct cw_catalog_info *cw_catalog_info(struct cw_catalog *c);
/* Reads it anew after another connection committed. */
int cw_catalog_refresh(struct cw_catalog *c, struct cw_error *err);

/*
 * Small facts of other modules ("role", ...): text by key.  get returns 1 if
 * there is none, else 0 and text for the caller to free.  set needs no
 * transaction of its own (it makes one); NULL removes.
 */
int cw_catalog_note_get(
    struct cw_catalog *c, const char *key, char **text, struct cw_error *err);
int cw_catalog_note_set(struct cw_catalog *c, const char *key, const char *text,
    struct cw_error *err);

/*
 * Transactions.  begin waits for another writer, and refreshes the catalog if
 * there was one.  commit is durable when it returns.  A failure of anything
 * between begin and commit calls for rollback.  Everything below that changes
 * something needs a transaction.
 */
int cw_catalog_begin(struct cw_catalog *c, struct cw_error *err);
int cw_catalog_commit(struct cw_catalog *c, struct cw_error *err);
void cw_catalog_rollback(struct cw_catalog *c); /* none open: harmless */

/*
 * Holds what a reading connection sees still, until release: many look-ups
 * then cost no file locks (which take longer than the look-ups).  The
 * write-ahead log cannot be emptied meanwhile, and this connection cannot begin
 * a transaction.  A refresh behind it makes info agree with what is seen.
 */
int cw_catalog_hold(struct cw_catalog *c, struct cw_error *err);
void cw_catalog_release(struct cw_catalog *c); /* not held: harmless */

void cw_catalog_set_generation(struct cw_catalog *c, uint64_t generation);
void cw_catalog_set_epoch(struct cw_catalog *c, uint64_t epoch);

/* Roots: the trees of a store.  The directory id of each is an entry of 0. */
struct cw_root {
	int64_t id;
	char name[CW_STORE_NAME_MAX + 1]; /* first part of every path */
	char format[17];		  /* "maildir", "plain" */
	char capture[17];		  /* "fuzzy", ...: below */
	int64_t dir; /* 0: its directory was never scanned */
};

#define CW_ROOTS_MAX 256u

/* What was true of a root when it was scanned. */
#define CW_CAPTURE_FUZZY    "fuzzy"    /* it lived on */
#define CW_CAPTURE_QUIESCED "quiesced" /* its service stood still */
#define CW_CAPTURE_SNAPSHOT "snapshot"
#define CW_CAPTURE_COMMAND  "command" /* it is the output of a command */
#define CW_CAPTURE_STALE    "stale"   /* that was not made anew */

/* The list is the catalog's, valid until the next call that changes it. */
const struct cw_root *cw_catalog_roots(struct cw_catalog *c, size_t *count);
/* Adds it, or sets format and capture of the one of this name. */
int cw_catalog_root_put(struct cw_catalog *c, const char *name,
    const char *format, const char *capture, struct cw_error *err);

/*
 * Directories.  path: "" for 0, else "root/a/b"; it is the catalog's, valid
 * until the next call on it.  lookup of the path of a directory: 0 found, 1
 * not there, -1 error; parts are looked up as they stand ("." is no name).
 */
int cw_catalog_dir_path(struct cw_catalog *c, int64_t dir, const char **path,
    size_t *len, struct cw_error *err);
int cw_catalog_dir_lookup(struct cw_catalog *c, const char *path, size_t len,
    int64_t *dir, struct cw_error *err);

/* 0 found, 1 not there, -1 error. */
int cw_catalog_lookup(struct cw_catalog *c, int64_t dir, const char *name,
    size_t len, struct cw_entry *out, struct cw_error *err);
/* The same by its whole path, "root/a/b". */
int cw_catalog_lookup_path(struct cw_catalog *c, const char *path, size_t len,
    struct cw_entry *out, struct cw_error *err);

/*
 * Inserts an entry or replaces the one of this (dir, name); sets its
 * generation to `generation`, keeps sums, counts and tombstones right, and
 * records the packed member it replaces as superseded.  Used: dir, name, kind,
 * class, mode, uid, gid, user, group, mtime_ns, ctime_ns, size, ino,
 * linkgroup, digest, target, attrs, sparse; volume counts too (0: has to be
 * packed).  A directory's id is kept, or made (returned in *child, may be
 * NULL); a directory that becomes something else must have been removed.
 */
int cw_catalog_put(struct cw_catalog *c, const struct cw_entry *e,
    uint64_t generation, int64_t *child, struct cw_error *err);

/*
 * Removes an entry, a directory with all that is in it, leaving tombstones
 * with `generation`.  Nothing there is no error.
 */
int cw_catalog_remove(struct cw_catalog *c, int64_t dir, const char *name,
    size_t len, uint64_t generation, struct cw_error *err);

/*
 * What this site alone sees of an entry (inode, ctime, link group): raises no
 * generation, supersedes nothing.  For the importer after writing a file.
 */
int cw_catalog_note_stat(struct cw_catalog *c, int64_t dir, const char *name,
    size_t len, uint64_t ino, int64_t ctime_ns, int64_t linkgroup,
    struct cw_error *err);

/* The digest of a file read at last, or false if the row moved on (1). */
int cw_catalog_set_digest(struct cw_catalog *c, const struct cw_entry *read,
    const uint8_t digest[CW_DIGEST_SIZE], struct cw_error *err);

/*
 * Runs: the queue of what has to be packed, in order.  A run holds copies, so
 * no transaction stays open between calls.
 */
enum cw_run_what {
	CW_RUN_META,  /* directories (parents first), symlinks, control files */
	CW_RUN_SMALL, /* other files of at most CW_SMALL_MAX bytes */
	CW_RUN_LARGE, /* other files, by size, then directory and name */
};

struct cw_run_query {
	enum cw_run_what what;
	int64_t mtime_from; /* inclusive; files of SMALL and LARGE only */
	int64_t mtime_to;   /* exclusive; INT64_MAX: no end */
	uint64_t since;	    /* only entries touched after this generation (0:
			       all); cheap when few were */
	/* The position behind which the next run begins; kept by next_run. */
	int64_t dir;
	uint64_t size;
	size_t name_len;
	char name[CW_ENTRY_NAME_MAX + 1];
};

void cw_run_query_init(struct cw_run_query *q, enum cw_run_what what,
    int64_t mtime_from, int64_t mtime_to);

struct cw_run {
	struct cw_entry *entries;
	size_t count;	/* 0: the end */
	uint64_t bytes; /* of the files in it */
	size_t capacity;
	void *arena; /* names, targets and attributes */
};

#define CW_RUN_INIT                                                            \
	{                                                                      \
		NULL, 0, 0, 0, NULL                                            \
	}

/*
 * Fills the run (its memory is used again) with entries that no volume holds:
 * at most max_entries, and no more after max_bytes are reached (one larger
 * file is a run by itself).
 */
int cw_catalog_next_run(struct cw_catalog *c, struct cw_run_query *q,
    struct cw_run *run, size_t max_entries, uint64_t max_bytes,
    struct cw_error *err);
void cw_run_free(struct cw_run *run);

/* What is left to be packed in all: entries and bytes (reads every row). */
int cw_catalog_unpacked(struct cw_catalog *c, uint64_t *entries,
    uint64_t *bytes, struct cw_error *err);
/* Calls each for every file, in no order, with its volume (0: in none). */
int cw_catalog_file_volumes(struct cw_catalog *c,
    void (*each)(void *arg, uint32_t volume), void *arg, struct cw_error *err);

/*
 * Begins a seed: nothing is in a volume, nothing superseded.  Makes a
 * transaction of its own.
 */
int cw_catalog_start_seed(struct cw_catalog *c,
    const uint8_t seed_id[CW_SEED_ID_SIZE], struct cw_error *err);

/*
 * The member of this entry lies in a durable volume.  packed is as it was
 * found on disk when it was packed (kind, size, mtime_ns, ctime_ns, ino), with
 * the digest of a file.  Returns 0; or 1 if the row is gone or says otherwise:
 * then the member is recorded as superseded, and the row waits to be packed.
 * Order by (dir, name) where it can be had: it is several times faster.
 */
int cw_catalog_mark_packed(struct cw_catalog *c, const struct cw_entry *packed,
    uint32_t volume, struct cw_error *err);

/*
 * A part of a file that is cut over volumes; part counts from 1.  When all
 * parts lie in durable volumes, mark_packed with the first one's volume.
 * clear forgets the parts of a file that changed while it was being packed,
 * and records them as superseded.
 */
int cw_catalog_mark_part(struct cw_catalog *c, int64_t dir, const char *name,
    size_t len, uint32_t part, uint32_t parts, uint32_t volume,
    struct cw_error *err);
int cw_catalog_clear_parts(struct cw_catalog *c, int64_t dir, const char *name,
    size_t len, struct cw_error *err);
/*
 * cw_catalog_put of a file that is cut: the parts that have been told of are
 * those of the content that is put, and stay.
 */
int cw_catalog_put_cut(struct cw_catalog *c, const struct cw_entry *e,
    uint64_t generation, struct cw_error *err);
/* Calls each for the parts of a file in order; a nonzero return ends it. */
int cw_catalog_parts(struct cw_catalog *c, int64_t dir, const char *name,
    size_t len,
    int (*each)(void *arg, uint32_t part, uint32_t parts, uint32_t volume),
    void *arg, struct cw_error *err);

/*
 * Volumes that are not to be: unpack_volume forgets one; keep_volumes all but
 * those given (what a crash left of volumes that never became durable).  Their
 * entries wait to be packed again, a file with a part in one of them as a
 * whole.  Each makes a transaction of its own.
 */
int cw_catalog_unpack_volume(
    struct cw_catalog *c, uint32_t volume, struct cw_error *err);
/* Gives all that lies in one volume to another number, that of none. */
int cw_catalog_relabel_volume(
    struct cw_catalog *c, uint32_t from, uint32_t to, struct cw_error *err);
int cw_catalog_keep_volumes(struct cw_catalog *c, const uint32_t *volumes,
    size_t count, struct cw_error *err);

/* The files that are cut into parts; a nonzero return of each ends it. */
int cw_catalog_each_cut(struct cw_catalog *c,
    int (*each)(void *arg, int64_t dir, const char *name, size_t len),
    void *arg, struct cw_error *err);

/*
 * Is the member of this path in this volume of the current seed out of date?
 * 1 yes, 0 no.
 */
int cw_catalog_is_superseded(struct cw_catalog *c, uint32_t volume,
    const char *path, size_t len, struct cw_error *err);

/*
 * Walks: every entry in the order (dir, name), so parents before what is in
 * them.  The catalog must not be changed by this connection meanwhile, except
 * by note_stat, set_digest and mark_packed on entries already passed.
 */
struct cw_walk;

struct cw_walk_query {
	int64_t dir;	 /* only what is in this one; CW_WALK_ALL_DIRS */
	uint32_t volume; /* only what this one holds; 0: all */
	char kind;	 /* 'f', 'd', 'l'; 0: all */
	uint64_t since;	 /* only what was touched after it; 0: all */
	bool by_links;	 /* only files of link groups, group by group */
};
#define CW_WALK_ALL_DIRS (-1)
#define CW_WALK_ALL                                                            \
	{                                                                      \
		CW_WALK_ALL_DIRS, 0, 0, 0, false                               \
	}

int cw_walk_open(struct cw_catalog *c, const struct cw_walk_query *q,
    struct cw_walk **out, struct cw_error *err);
/* 1 with *out filled, 0 at the end, -1 on error. */
int cw_walk_next(struct cw_walk *w, struct cw_entry *out, struct cw_error *err);
void cw_walk_close(struct cw_walk *w);

/*
 * Entries deleted after a generation, newest last.  A nonzero return of each
 * ends it and is returned (use -1).
 */
int cw_catalog_tombstones(struct cw_catalog *c, uint64_t since,
    int (*each)(void *arg, int64_t dir, const char *name, size_t len,
	enum cw_kind kind, uint64_t generation),
    void *arg, struct cw_error *err);
/* Also forgets which contents went; raises the floor to up_to. */
int cw_catalog_forget_tombstones(
    struct cw_catalog *c, uint64_t up_to, struct cw_error *err);

/*
 * For comparing two copies.  The state key is a secret: it goes only into a
 * link's TLS, and the caller wipes it.  mac is that of an entry in the
 * directory of this path under the store's key (cw_state_mac).
 */
int cw_catalog_state_key(
    struct cw_catalog *c, uint8_t out[CW_STATE_KEY_SIZE], struct cw_error *err);
void cw_catalog_mac(struct cw_catalog *c, const char *dir_path,
    size_t dir_path_len, const struct cw_entry *e, uint8_t out[CW_STATE_SIZE]);

/*
 * Calls each with the directories whose id is greater than `after` (-1: all,
 * beginning with 0, that of the roots), by id, so parents first; digest is
 * that of the entries in it.  A nonzero return ends it and is returned; go on
 * behind the last id.  Holds the catalog meanwhile; each may look things up.
 */
int cw_catalog_each_dir(struct cw_catalog *c, int64_t after,
    int (*each)(void *arg, int64_t dir, const char *path, size_t len,
	const uint8_t digest[CW_STATE_SIZE]),
    void *arg, struct cw_error *err);

/*
 * Writes a compact copy in one file without WAL, as of the last commit, for
 * sealing into the seed.  to must not exist; a failure removes it.  The copy
 * has no index of contents, and neither inodes nor times of change, which say
 * nothing at another site.
 */
int cw_catalog_export(
    struct cw_catalog *c, const char *to, struct cw_error *err);

#endif
