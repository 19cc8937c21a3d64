/*
 * The inside of a scan, shared by the scan_*.c.
 */
#ifndef CW_STORE_SCAN_IMPL_H
#define CW_STORE_SCAN_IMPL_H

#include "store/catalog_impl.h"
#include "store/scan.h"
#include "store/scan_list.h"

struct scan_root {
	const struct cw_scan_root *in;
	struct list_root list;
	int64_t dir;	   /* its directory in the catalog */
	bool was_replaced; /* another inode than last time */
	bool in_pass;	   /* the pass under way goes over it */
};

/* A name of a uid or gid, as the system gives it. */
struct scan_owner {
	char kind; /* 'u', 'g', or 0 for a free slot */
	uint32_t number;
	char *name;
};

/* Statements on the scan's own temporary tables. */
enum scan_stmt {
	SC_SPILL,
	SC_SPILL_READ,
	SC_SPILL_DROP,
	SC_SUSPECT,
	SC_SUSPECT_ANY,
	SC_SUSPECT_IS,
	SC_SUSPECT_CLEAR,
	SC_LOOK_PUT,
	SC_LOOK_GET,
	SC_FRESH,
	SC_FRESH_FIND,
	SC_COUNT
};

/* What is thought of a missing entry. */
enum belief {
	BELIEF_OPEN,	 /* to be confirmed */
	BELIEF_GONE,	 /* believed */
	BELIEF_DOUBTFUL, /* left to the next scan */
};

/* How directories are looked at. */
enum scan_how {
	HOW_FIRST, /* pass 1: what the catalog saw is good enough */
	HOW_AGAIN, /* what this scan saw last is */
	HOW_ROUND, /* the same, and wait until it is settled */
};

/* Ids of directories. */
struct scan_ids {
	int64_t *ids;
	size_t count;
	size_t cap;
};

/* What a directory said when it was looked at. */
struct scan_look {
	int64_t dir;
	int64_t mtime_ns;
	int64_t ctime_ns;
	bool stable;
};

struct scan {
	struct cw_catalog *c;
	const struct cw_scan_options *options;
	struct cw_scan_result *result;
	struct scan_root *roots;
	size_t root_count;
	struct lister *lister;
	uint64_t generation; /* that changes get */
	bool is_first;	     /* the catalog was empty */
	bool full;
	int64_t first_new_dir; /* ids from here on are of this scan */
	bool has_removed_dirs;
	struct scan_ids unreadable; /* that are kept as they were */
	uint64_t suspects;	    /* ever noted */
	uint64_t fresh;		    /* new messages noted */

	int64_t began_ns;  /* no directory was looked at before */
	uint64_t differed; /* entries that were not what the catalog had */

	/* How the pass under way treats what it lists. */
	enum scan_how how;
	enum belief belief;  /* of what it finds missing */
	uint64_t pass_moved; /* directories that were not as last looked at */
	bool note_unsettled; /* put their accounts into temp.unsettled */
	int round;	     /* of an account, from 1; else 0 */

	sqlite3_stmt *st[SC_COUNT];
	struct scan_look *looks; /* that are not in temp.look yet */
	size_t look_count;
	struct cw_run page; /* rows of a directory */
	size_t *order;	    /* of a batch's items, by name */
	size_t order_cap;
	struct cw_buf attrs;

	struct scan_owner *owners;
	size_t owner_count;
	size_t owner_slots;
};

/* scan_pass.c: goes over the directories; leaves suspects in temp.suspect. */
int scan_passes(struct scan *s, struct cw_error *err);
void scan_ids_append(struct scan_ids *l, int64_t id);
/* The root that a path "root/a/b" of the catalog is in; NULL: none of ours. */
struct scan_root *scan_root_of(struct scan *s, const char *path, size_t len);
bool scan_is_mail(const struct scan_root *r);
/*
 * Looks at these directories, at all of the catalog's if list is NULL;
 * s->pass_moved says how many had moved.
 */
int scan_pass(struct scan *s, const struct scan_ids *list, enum scan_how how,
    struct cw_error *err);

/* scan_look.c */

/* What a directory said in an earlier pass of this scan; 1: was not asked. */
int scan_look_last(struct scan *s, int64_t dir, int64_t *mtime_ns,
    int64_t *ctime_ns, bool *stable, struct cw_error *err);
/* Remembers what it says now, for the passes after scan_look_keep. */
int scan_look_note(
    struct scan *s, const struct list_batch *b, struct cw_error *err);
int scan_look_keep(struct scan *s, struct cw_error *err);

/* scan_account.c: settles all that is open in a directory's account. */
int scan_settle_account(struct scan *s, int64_t dir, struct cw_error *err);

/*
 * scan_gone.c: believes of suspects in doubt those that moved; removes what is
 * believed gone; counts what is not.
 */
int scan_believe_moved(struct scan *s, struct cw_error *err);
int scan_remove_gone(struct scan *s, struct cw_error *err);
int scan_keep_doubtful(struct scan *s, struct cw_error *err);

/* scan_owners.c */

/* The name of a number, "" if it has none; lives as long as the scan. */
const char *scan_owner_name(struct scan *s, char kind, uint32_t number);
/*
 * A number whose name changed changes every entry that has it, and no
 * directory's mtime tells.  With many owners asking costs too much: false.
 */
bool scan_owners_moved(struct scan *s);

/* scan.c */
sqlite3_stmt *scan_stmt(
    struct scan *s, enum scan_stmt which, struct cw_error *err);
int scan_suspect(struct scan *s, int64_t dir, const char *name, size_t len,
    struct cw_error *err);

/* scan_merge.c */

/* Puts the items of a batch aside: its directory comes in several. */
int scan_spill(struct scan *s, struct list_batch *b, struct cw_error *err);
/* Forgets them: the directory could not be listed to its end. */
int scan_drop_spilled(struct scan *s, int64_t dir, struct cw_error *err);
/* The last or only batch of a directory: makes the rows agree. */
int scan_merge(struct scan *s, struct list_batch *b, struct cw_error *err);
/* One entry against its row (NULL: none), as found on disk. */
int scan_update(struct scan *s, const struct list_job *job,
    const struct cw_entry *old, struct cw_entry *found, struct cw_error *err);

/* scan_contents.c: reads what has no digest; its own transactions. */
int scan_contents(struct scan *s, uint64_t since, struct cw_error *err);

#endif
