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
#define CW_NOTE_IMPORT_TIME	  "import.time"	      /* its, since 1970 */
#define CW_NOTE_IMPORT_AWAITED	  "import.awaited"    /* volumes: "3 7" */
#define CW_NOTE_IMPORT_REVISION	  "import.revision"   /* of the manifest */
#define CW_NOTE_IMPORT_CATALOG	  "import.catalog"    /* its SHA-256, hex */

struct cw_import_root {
	const char *name; /* NULL: the store's only root */
	const char *path; /* a directory; made if its parent is there */
	/* In a result: it is the output of a command; of an earlier run. */
	bool is_output, is_stale;
};

struct cw_import_result;

/* A filesystem that roots are on: what an import takes of it. */
struct cw_import_space {
	const char *root;     /* path of the first root on it */
	uint64_t needed;      /* bytes, for what is still to be placed */
	uint64_t files;	      /* and so many files; hard links count once */
	uint64_t there;	      /* bytes that are free now */
	uint64_t files_there; /* and files; UINT64_MAX: it does not say */
	uint64_t freed;	      /* of volumes on it that consume may delete */
};

struct cw_import_options {
	const struct cw_set *set;
	const char *manifest; /* FILE of cw_set_open_from, or NULL */
	const struct cw_age_identity *identity;
	const char *stores_path; /* folder of STORE/catalog.sqlite */
	const char *store;	 /* its name here; NULL: as at the source */
	const struct cw_import_root *roots;
	size_t root_count;
	bool allow_older;
	bool again; /* also where a root was emptied since: see cw_import */
	unsigned threads; /* volumes at once; 0: 2 to 4, by cores */
	/*
	 * Called when store and roots are known (of the result, store and
	 * roots are set) and nothing has been placed: -1 refuses.
	 */
	int (*declare)(void *arg, const struct cw_import_result *result,
	    struct cw_error *err);
	void *declare_arg;
	/* Called after it with each filesystem: -1 refuses.  May be NULL. */
	int (*space)(void *arg, const struct cw_import_space *space,
	    struct cw_error *err);
	void *space_arg;
	/*
	 * Deletes volumes and shards from the media as soon as nobody needs
	 * them any more: what a volume holds is placed and synced, and so is
	 * that of all others of its parity group; or, where there is no room
	 * for that, the others were read and are as they were signed.
	 * begin_consume is called before the first one goes: -1 refuses.
	 */
	bool consume;
	int (*begin_consume)(void *arg, struct cw_error *err);
	void *consume_arg;
	struct cw_progress *progress;
};

/* What became of a volume that is damaged. */
enum cw_import_mended {
	CW_IMPORT_LOST,
	CW_IMPORT_REBUILT, /* from parity, and imported */
	CW_IMPORT_COPIED,  /* imported from another copy of the medium */
};

/* A volume on a medium that is here whose bytes are not what was signed. */
struct cw_import_damage {
	uint32_t medium; /* number */
	char file[CW_MANIFEST_NAME_MAX + 1];
	enum cw_import_mended mended;
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
	/*
	 * An increment: the generation it builds on (else 0), the one that the
	 * replica was at, and how many entries it removed and placed.
	 */
	uint64_t base, from;
	uint64_t removed, placed;
	uint64_t entries;
	uint64_t bytes;
	uint64_t wanted;	   /* files that did not arrive */
	uint64_t wanted_mailboxes; /* in so many mailboxes (directories) */
	uint8_t digest[CW_STATE_SIZE];
	uint64_t unmapped; /* owners without a name here */
	uint64_t volumes;  /* imported, all told */
	uint64_t rebuilt;  /* of them, from parity, now */
	uint64_t consumed; /* volumes and shards that were deleted now */
	struct cw_import_damage *damaged; /* more are only counted */
	size_t damaged_count, damaged_in_all;
	/* Why files are wanted: sentences; more are only counted. */
	char **faults;
	size_t fault_count, faults_in_all;
	uint32_t *absent; /* media to bring */
	size_t absent_count;
	bool is_grouped; /* parity could rebuild what they hold, with others */
	bool is_open;	 /* the seed was not finished: there is more to come */
};

/*
 * Imports.  0 also where files are wanted in the end: see the result.
 * CW_ERR_UNTRUSTED: signer, recipient, or a seed older than the replica's;
 * CW_ERR_REFUSED: a root is not empty, or the store is active here; or a root
 * is empty into which this seed was imported before, in part or whole.  Then
 * its disk may not be mounted: only the caller (again) has it done once more.
 * Single files that are gone since are brought again without a word.
 * Free the result in either case.
 */
int cw_import(const struct cw_import_options *options,
    struct cw_import_result *result, struct cw_error *err);
void cw_import_free(struct cw_import_result *result);

/*
 * The newest manifest that an import of this seed was given here: for media
 * that come later and were closed before it was written.  *path (for
 * cw_set_source.manifest) is the caller's, NULL if there is none.  It is as
 * hostile as any.
 */
int cw_import_kept_manifest(const char *stores_path, const char *seed_text,
    char **path, struct cw_error *err);

#endif
