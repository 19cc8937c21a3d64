/*
 * The scan: makes the catalog agree with what is in a store's roots, in one
 * transaction, and raises the generation if anything changed.
 *
 * What it promises: the generation lacks no entry that existed all through
 * the scan, whatever was renamed meanwhile; an entry is believed deleted only
 * after confirmation (design: mail-formats.md, "Scan").  Nothing outside the
 * roots is looked at: no symlink is followed, all is opened beneath.  A
 * filesystem mounted below a root belongs to the store and is scanned.
 *
 * What it refuses: to take a directory it cannot read for an empty one.  The
 * scan fails then, or, with keep_unreadable, keeps what it knows of it.
 */
#ifndef CW_STORE_SCAN_H
#define CW_STORE_SCAN_H

#include "base/progress.h"
#include "store/catalog.h"

struct cw_scan_root {
	const char *name;    /* of the root, as in paths */
	const char *path;    /* absolute directory; may itself be a symlink */
	const char *format;  /* "maildir", "plain"; NULL: detected once, kept */
	const char *capture; /* NULL: that of the options */
};

enum cw_scan_contents {
	CW_SCAN_NO_CONTENTS, /* changed files wait without a digest */
	CW_SCAN_CONTENTS,    /* all files without a digest are read */
};

struct cw_scan_options {
	enum cw_scan_contents contents;
	unsigned threads; /* that look at files; 0: one a core, at most 8 */
	bool full;	  /* look at every file, trust no directory's mtime */
	/*
	 * A root that was replaced, and is empty now or has lost nine tenths
	 * of the store, is taken at its word.
	 */
	bool accept_empty;
	/* With fewer entries left nothing is changed: CW_ERR_REFUSED; 0: any */
	uint64_t least_entries;
	/*
	 * A directory that cannot be read is counted, and what the catalog has
	 * of it stays; for who saves what can be saved.  Not a root.
	 */
	bool keep_unreadable;
	const char *capture;	     /* "fuzzy" if NULL */
	const char *const *excludes; /* fnmatch(3) with FNM_PATHNAME, against
					paths relative to the root; what they
					match is not in the store */
	size_t exclude_count;
	struct cw_progress *progress; /* items; may be NULL */
	/*
	 * The entries are committed, and contents are about to be read; not
	 * called if there are none to read.  -1 ends the scan.  May be NULL.
	 */
	int (*listed)(void *arg, struct cw_catalog *c, struct cw_error *err);
	void *arg;
};

struct cw_scan_result {
	uint64_t generation; /* after the scan */
	uint64_t added;	     /* entries, moved ones too */
	uint64_t changed;
	uint64_t removed; /* moved ones too */
	uint64_t moved;	  /* messages found again under another name */
	uint64_t read;	  /* files whose content was read */
	uint64_t read_bytes;
	uint64_t dirs_read;  /* others were not listed: unchanged */
	uint64_t skipped;    /* locks, sockets, temporary and excluded files */
	uint64_t vanished;   /* went away between listing and looking */
	uint64_t unreadable; /* directories, with keep_unreadable */
	struct cw_error first_unreadable;
	uint64_t suspects; /* missing, not yet believed: still in the catalog */
};

/*
 * Scans all roots of the store that are given; others keep their entries.
 * options may be NULL.  On failure the catalog is as before, and the error
 * names the file.  Contents are read after the entries are committed, so that
 * an interruption keeps what was read.
 */
int cw_scan(struct cw_catalog *c, const struct cw_scan_root *roots,
    size_t root_count, const struct cw_scan_options *options,
    struct cw_scan_result *result, struct cw_error *err);

/*
 * Says which format's store lies in a directory ("maildir" or "plain"), from
 * its first directories.  *format is a literal.
 */
int cw_scan_detect(const char *path, const char **format, struct cw_error *err);

/*
 * Opens what lies in a root (cw_open_beneath), also where the path is longer
 * than the kernel takes at once (4096 bytes).  -1 with errno.
 */
int cw_scan_open(int rootfd, const char *path, int flags);

/*
 * The attributes (user.* and ACLs) of a file as they are encoded in entries,
 * appended to out; nothing is appended where there are none.
 */
int cw_scan_attrs(int dirfd, const char *name, bool is_dir, struct cw_buf *out,
    struct cw_error *err);

#endif
