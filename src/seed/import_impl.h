/*
 * The inside of an import, shared by the import*.c.
 */
#ifndef CW_SEED_IMPORT_IMPL_H
#define CW_SEED_IMPORT_IMPL_H

#include "base/buf.h"
#include "media/recover.h"
#include "replica/place.h"
#include "seed/import.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum import_volume_state {
	VOLUME_WAITING,
	VOLUME_TAKEN,
	VOLUME_READ,   /* imported, not yet on disk */
	VOLUME_DONE,   /* imported, and that is on disk */
	VOLUME_BROKEN, /* its bytes are wrong: parity may have them */
	VOLUME_FAULTY, /* something in it is wrong, and stays so */
	VOLUME_ABSENT, /* not on the media that are here */
};

struct import_volume {
	uint32_t number;
	const struct cw_manifest_file *file;
	const struct cw_set_medium *medium; /* NULL: absent */
	struct import_group *group;	    /* NULL: none */
	enum import_volume_state state;
	bool is_tried; /* to be rebuilt: once a run */
	/* Files: put from it in this run, if that is known; listed in it. */
	bool is_counted;
	uint64_t placed, listed;
	/* What was wrong with it, told only if it can't be rebuilt. */
	char **faults;
	size_t fault_count, faults_in_all;
};

/* Volumes that are there for each other. */
struct import_group {
	const struct cw_manifest_group *listed;
	size_t unread;	 /* volumes that are waiting or taken */
	size_t undone;	 /* that are not VOLUME_DONE */
	bool is_checked; /* none of them is wrong: each may go by itself */
};

struct import {
	const struct cw_import_options *o;
	struct cw_import_result *result;
	char *store_dir;
	char *catalog_path;
	struct cw_catalog *catalog;
	struct cw_place_root *roots;
	size_t root_count;
	struct import_volume *volumes; /* in the order they are read */
	size_t volume_count;
	struct import_volume **by_number; /* from 0 to number_max */
	uint32_t number_max;
	struct import_group *groups;
	int done_fd;

	pthread_mutex_t lock;
	pthread_cond_t moved; /* something for the others to do */
	size_t next;
	size_t taken;			/* volumes that are being read */
	size_t unconfirmed;		/* that are read, and not on disk */
	struct import_volume **rebuild; /* to be tried, first come first */
	size_t rebuild_count, rebuild_next;
	struct cw_recover *recover; /* NULL until it is needed */
	pthread_mutex_t consuming;
	bool has_consumed; /* the caller was asked */
	bool is_stopped;
	struct cw_error first;

	/* Volumes that are read but not yet on disk. */
	struct import_volume **unsynced;
	size_t unsynced_count;
	bool is_ending;
};

/* import.c: notes a sentence for the result.  arg is the struct import. */
void import_fault(void *arg, const char *sentence);
/* The volume of this number, NULL if the seed has none. */
struct import_volume *import_find_volume(
    const struct import *im, uint32_t number);

/* import_walk.c: calls each for the entries of a catalog, with their paths. */
int import_walk(const char *catalog_path, const struct cw_walk_query *query,
    int (*each)(const char *path, const struct cw_entry *e, void *arg,
	struct cw_error *err),
    void *arg, struct cw_error *err);

/* import_catalog.c */

enum import_found {
	FOUND_NOTHING,
	FOUND_THIS,    /* the same seed: go on, or done */
	FOUND_REVISED, /* the same seed, to be gone on with by a new catalog */
	FOUND_OTHER,   /* a replica of the store by another seed */
};

/*
 * Opens the seed's catalog into a file of its own and judges it: *path is the
 * caller's, to be removed and freed; im->result->store is set.
 */
int import_receive_catalog(
    struct import *im, char **path, struct cw_error *err);
/* Removes such a file with what SQLite puts beside it. */
int import_remove_incoming(const char *path, struct cw_error *err);
/* Is the note's text this one? */
int import_note_is(struct cw_catalog *c, const char *key, const char *value,
    bool *is, struct cw_error *err);
/* A note that is a number; 0 if there is none. */
int import_note_number(struct cw_catalog *c, const char *key, uint64_t *number,
    struct cw_error *err);
/* What the store's folder holds; FOUND_THIS leaves im->catalog open. */
int import_look_at_store(struct import *im, const char *incoming,
    enum import_found *found, struct cw_error *err);
/* The catalog gets its place and is opened; so are the roots. */
int import_install_catalog(struct import *im, const char *incoming,
    enum import_found found, struct cw_error *err);
/* Sets result->store, store_dir and catalog_path. */
void import_name_store(struct import *im, const char *store);

/* import_kept.c */

/*
 * The store here that is being received from this seed, by the catalog that
 * governs, into the roots given: then no medium has to bring the catalog.
 * Returns 1 if there is none, 0 and its name for the caller to free.
 */
int import_find_store(
    const struct import *im, char **store, struct cw_error *err);
/* Keeps the governing manifest and its signature in the store's folder. */
int import_keep_manifest(const struct import *im, struct cw_error *err);

/* import_revise.c */

/* Set while the tree is still that of the catalog before. */
#define NOTE_REVISING "import.revising"

/* Where the catalog before is while the tree is brought to the new one's. */
char *import_previous_path(const struct import *im);
/*
 * If a new catalog took another one's place: takes what it does not list away
 * from the tree, and the volumes it needs again off the list of what is done.
 */
int import_revise(struct import *im, struct cw_error *err);

/* import_roots.c */

/* The note that keeps where a root is; the caller's to free. */
char *import_root_note(const char *name);
/* before: the catalog that knows where roots were, NULL if nothing was. */
int import_open_roots(
    struct import *im, struct cw_catalog *before, struct cw_error *err);
/* Whether a directory holds nothing but lost+found. */
bool import_is_empty(int dirfd);
/* Asks the caller whether store and roots are as he wants them. */
int import_declare(struct import *im, struct cw_error *err);

/* import_vanished.c */

/*
 * A root that is empty though something was imported into it: refused, unless
 * the caller said that it is to be done again; then *is_ended becomes false.
 */
int import_check_emptied(
    struct import *im, bool *is_ended, struct cw_error *err);
/* The same for a replica that an increment is to change: refused. */
int import_check_mounted(struct import *im, struct cw_error *err);
/*
 * Takes volumes of which a file is gone off the list of what is done: they
 * are imported again.
 */
int import_undo_vanished(
    struct import *im, struct cw_place *place, struct cw_error *err);

/* import_done.c */

/*
 * Volumes that are imported, in the store's folder: a line is a number and the
 * SHA-256 of the volume, or "-" for one that is to be imported again.
 */
#define DONE_FILE "import.done"

/* Takes the file's text: sets the states of volumes. */
void import_done_parse(struct import *im, const char *text);
/* Reads it; opens it for more. */
int import_read_done(struct import *im, struct cw_error *err);
/* Appends lines durably. */
int import_write_done(
    struct import *im, const struct cw_buf *lines, struct cw_error *err);
void import_done_line(struct cw_buf *lines, const struct import_volume *v);
/* Volumes that have to be imported again: durable when it returns. */
int import_undo(
    struct import *im, struct import_volume *v, struct cw_error *err);

/* import_volumes.c */

/* The seed's volumes and groups, by its manifest; which are here. */
void import_list_volumes(struct import *im);
void import_free_volumes(struct import *im);
/* Counts what is done and what is to be read, when both are known. */
void import_count_groups(struct import *im);

/* import_run.c */

/* Imports all that are here and not done, in several threads. */
int import_run_volumes(struct import *im, struct cw_error *err);

/* Notes a volume that is not what was signed, for the result. */
void import_note_damage(struct import *im, const struct import_volume *v,
    enum cw_import_mended mended);

/* import_rebuild.c */

/*
 * Rebuilds a volume from parity into a file without a name: *fd, at its
 * beginning.  Returns 1, and why, if that can't be; -1 if we were stopped.
 */
int import_rebuild(struct import *im, const struct import_volume *v, int *fd,
    struct cw_error *why);

/* import_space.c: tells the caller what each filesystem needs. */
int import_check_space(struct import *im, struct cw_error *err);

/*
 * import_consume.c: deletes from the media what nobody needs any more.  One
 * thread at a time may call each of these; without the option all do nothing.
 */

/* v got done. */
int import_consume(
    struct import *im, struct import_volume *v, struct cw_error *err);
/* What a run before left; is_ended: the replica is whole, all may go. */
int import_consume_rest(struct import *im, bool is_ended, struct cw_error *err);
/*
 * There is no room for v, and nothing is left that waits for the disk.  Reads
 * what is still to be imported of its group: if all of that is good, what is
 * done may go already.
 */
int import_consume_early(
    struct import *im, struct import_volume *v, struct cw_error *err);

/* import_wanted.c */

/* Whether a file is whole: it gets its time last. */
bool import_is_placed(const struct stat *st, const struct cw_entry *e);
/* Bytes of a file's path that are its mailbox; is_maildir: the root's format.
 */
size_t import_mailbox_len(const char *path, bool is_maildir);
/* Counts the files that did not arrive, and the mailboxes they are of. */
int import_count_wanted(
    struct import *im, struct cw_place *place, struct cw_error *err);

/* import_cut.c: files in parts, of which all should be here now. */
int import_finish_cuts(
    struct import *im, struct cw_place *place, struct cw_error *err);

/* import_complete.c */

/* Before the volumes: makes the directories. */
int import_make_dirs(
    struct import *im, struct cw_place *place, struct cw_error *err);
/* What volumes can't give: links over volumes, symlinks, directories. */
int import_complete(
    struct import *im, struct cw_place *place, struct cw_error *err);

#endif
