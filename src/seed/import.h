/*
 * Importing a seed: from media to a replica's tree and catalog, and nothing
 * outside its roots.  Volumes are read in parallel and in any order; an
 * interruption costs those in progress.
 *
 * What is believed: the manifest because a paired site signed it; the catalog
 * because the manifest lists it; a file because the catalog has its SHA-256.
 * Names, owners, modes and times are the catalog's, never the volume's.
 */
#ifndef CW_SEED_IMPORT_H
#define CW_SEED_IMPORT_H

#include "base/progress.h"
#include "formats/age/age.h"
#include "media/set.h"
#include "store/catalog.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Notes of a replica's catalog (cw_catalog_note_get). */
#define CW_NOTE_ROLE		  "role"	      /* "standby" */
#define CW_NOTE_IMPORT_SEED	  "import.seed"	      /* hex id */
#define CW_NOTE_IMPORT_STATE	  "import.state"      /* running, ended */
#define CW_NOTE_IMPORT_GENERATION "import.generation" /* of the manifest */
#define CW_NOTE_IMPORT_TIME	  "import.time" /* its, since 1970 */
#define CW_NOTE_IMPORT_AWAITED	  "import.awaited"    /* volumes: "3 7" */

struct cw_import_root {
	const char *name; /* NULL: the store's only root */
	const char *path; /* a directory; made if its parent is there */
};

struct cw_import_result;

struct cw_import_options {
	const struct cw_set *set;
	const struct cw_age_identity *identity;
	const char *stores_path; /* folder of STORE/catalog.sqlite */
	const char *store;	 /* its name here; NULL: as at the source */
	const struct cw_import_root *roots;
	size_t root_count;
	bool allow_older;
	unsigned threads; /* 0: one a core */
	/*
	 * Called when store and roots are known (of the result, store and
	 * roots are set) and nothing has been placed: -1 refuses.
	 */
	int (*declare)(void *arg, const struct cw_import_result *result,
	    struct cw_error *err);
	void *declare_arg;
	struct cw_progress *progress;
};

#define CW_IMPORT_FAULTS_MAX 100u

struct cw_import_result {
	char store[CW_STORE_NAME_MAX + 1];
	struct cw_import_root *roots; /* as matched with the store's; owned */
	size_t root_count;
	bool is_repeated; /* this very seed was here already, whole */
	bool is_resumed;
	bool has_replaced; /* another seed of the store was here */
	uint64_t generation;
	uint64_t entries;
	uint64_t bytes;
	uint64_t wanted; /* files that did not arrive */
	uint8_t digest[CW_STATE_SIZE];
	uint64_t unmapped; /* owners without a name here */
	uint64_t volumes;  /* imported, all told */
	/* Why files are wanted: sentences; more are only counted. */
	char **faults;
	size_t fault_count, faults_in_all;
	bool is_untrusted; /* a fault that only the signer can have made */
	uint32_t *absent; /* media to bring */
	size_t absent_count;
};

/*
 * Imports.  0 also where files are wanted in the end: see the result.
 * CW_ERR_UNTRUSTED: signer, recipient, or a seed older than the replica's;
 * CW_ERR_REFUSED: a root is not empty, or the store is active here.
 * Free the result in either case.
 */
int cw_import(const struct cw_import_options *options,
    struct cw_import_result *result, struct cw_error *err);
void cw_import_free(struct cw_import_result *result);

#endif
