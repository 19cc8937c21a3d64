/*
 * Placing entries in a replica's tree: files, directories, symlinks and hard
 * links with all their metadata, beneath the roots only.  No symlink is ever
 * followed, whatever lies in the tree already.
 *
 * Nothing here syncs each file (fsync costs 0.3 ms a file): cw_place_sync
 * makes a whole batch durable, and what was placed since the last one is to
 * be taken for missing after a crash.
 *
 * A placer is for one thread.
 */
#ifndef CW_REPLICA_PLACE_H
#define CW_REPLICA_PLACE_H

#include "base/error.h"
#include "replica/look.h"
#include "store/entry.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

struct cw_place_root {
	const char *name; /* first part of the paths in it */
	int dirfd;
};

struct cw_place;

/* roots must outlive it.  Owners are set only where we are root. */
struct cw_place *cw_place_new(const struct cw_place_root *roots, size_t count);
void cw_place_free(struct cw_place *p); /* NULL is allowed */

/*
 * Makes a directory at path ("root/a/b"; its parent is there), for us alone
 * until cw_place_dir_finish.  One that is there is fine.
 */
int cw_place_dir(struct cw_place *p, const char *path, struct cw_error *err);
/* Owner, mode, attributes and times of a directory, when all is in it. */
int cw_place_dir_finish(struct cw_place *p, const char *path,
    const struct cw_entry *e, struct cw_error *err);

/*
 * A file, in place of whatever is there but a directory.  begin gives a
 * descriptor to write to; finish sets owner, attributes, mode and times and
 * closes it; abandon removes the file.  Until finish the mtime is not the
 * entry's.  may_exist: goes on in a file that is there (parts).
 */
int cw_place_file_begin(struct cw_place *p, const char *path, bool may_exist,
    int *fd, struct cw_error *err);
int cw_place_file_finish(struct cw_place *p, int *fd, const struct cw_entry *e,
    struct cw_error *err);
void cw_place_file_abandon(struct cw_place *p, const char *path, int *fd);

int cw_place_symlink(struct cw_place *p, const char *path,
    const struct cw_entry *e, struct cw_error *err);

/* Makes path another name of the file at to; both beneath the roots. */
int cw_place_link(
    struct cw_place *p, const char *path, const char *to, struct cw_error *err);

/*
 * lstat beneath the roots: 0, 1 if nothing is there (also where something on
 * the way is no directory, or a symlink), -1.
 */
int cw_place_stat(struct cw_place *p, const char *path, struct stat *st,
    struct cw_error *err);
/* Opens a regular file beneath the roots for reading: 0, 1 if not there. */
int cw_place_open(
    struct cw_place *p, const char *path, int *fd, struct cw_error *err);

/*
 * For those who rename into and out of the tree.  parent gives the directory
 * that path is in (the placer's, until the next call on it) and the last part
 * of path: 0, 1 if there is no such directory.  open_dir opens the directory
 * at path, which may be a root: 0, 1 if there is none.  metadata makes a file
 * or directory what the entry says, and takes away the attributes and ACLs
 * that it does not have.  forget is due when a directory was removed or
 * renamed.
 */
int cw_place_parent(struct cw_place *p, const char *path, int *dirfd,
    const char **name, struct cw_error *err);
int cw_place_open_dir(
    struct cw_place *p, const char *path, int *fd, struct cw_error *err);
int cw_place_metadata(
    struct cw_place *p, int fd, const struct cw_entry *e, struct cw_error *err);
void cw_place_forget(struct cw_place *p);

/* What stat will tell of a file of this entry; attributes are not in it. */
void cw_place_look(
    struct cw_place *p, const struct cw_entry *e, struct cw_look *out);

/* Syncs the filesystems of all roots. */
int cw_place_sync(struct cw_place *p, struct cw_error *err);

/*
 * Whether the filesystems of all roots still take anything: one that failed
 * is read-only from then on, or answers nothing at all.
 */
bool cw_place_is_writable(const struct cw_place *p);

/* Owners that have no name here: their numbers were taken as they are. */
uint64_t cw_place_unmapped(const struct cw_place *p);

#endif
