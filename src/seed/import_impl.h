/*
 * The inside of an import, shared by the import*.c.
 */
#ifndef CW_SEED_IMPORT_IMPL_H
#define CW_SEED_IMPORT_IMPL_H

#include "replica/place.h"
#include "seed/import.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Volumes that are imported, one number a line; in the store's folder. */
#define DONE_FILE "import.done"

enum import_volume_state {
	VOLUME_WAITING,
	VOLUME_TAKEN,
	VOLUME_DONE,   /* imported, and that is on disk */
	VOLUME_FAULTY, /* something in it is wrong */
	VOLUME_ABSENT, /* not on the media that are here */
};

struct import_volume {
	uint32_t number;
	const struct cw_manifest_file *file;
	const struct cw_set_medium *medium; /* NULL: absent */
	enum import_volume_state state;
};

struct import {
	const struct cw_import_options *o;
	struct cw_import_result *result;
	char *store_dir;
	char *catalog_path;
	struct cw_catalog *catalog;
	struct cw_place_root *roots;
	size_t root_count;
	struct import_volume *volumes;
	size_t volume_count;
	int done_fd;

	pthread_mutex_t lock;
	pthread_cond_t moved;
	size_t next;
	bool is_stopped;
	struct cw_error first;

	/* Volumes that are read but not yet on disk. */
	struct import_volume **unsynced;
	size_t unsynced_count;
	bool is_ending;
};

/* import.c: notes a sentence for the result.  arg is the struct import. */
void import_fault(void *arg, const char *sentence);

/* import_catalog.c */

enum import_found {
	FOUND_NOTHING,
	FOUND_THIS,  /* the same seed: go on, or done */
	FOUND_OTHER, /* a replica of the store by another seed */
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
/* What the store's folder holds; FOUND_THIS leaves im->catalog open. */
int import_look_at_store(
    struct import *im, enum import_found *found, struct cw_error *err);
/* The catalog gets its place and is opened; so are the roots. */
int import_install_catalog(
    struct import *im, const char *incoming, struct cw_error *err);

/* import_roots.c */

/* The note that keeps where a root is; the caller's to free. */
char *import_root_note(const char *name);
int import_open_roots(struct import *im, bool is_new, struct cw_error *err);
/* Asks the caller whether store and roots are as he wants them. */
int import_declare(struct import *im, struct cw_error *err);

/* import_run.c */

/* The seed's volumes, by its manifest; which are here. */
void import_list_volumes(struct import *im);
/* Which are done, by import.done; opens it for more. */
int import_read_done(struct import *im, struct cw_error *err);
/* Imports all that are here and not done, in several threads. */
int import_run_volumes(struct import *im, struct cw_error *err);

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
