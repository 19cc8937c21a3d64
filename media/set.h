/*
 * The media of one seed, as directories that are here now: which seed they
 * hold, which medium of the set each is, and the manifest that governs.
 *
 * Everything on a medium is hostile until the manifest's signature is found
 * good by a key the caller trusts: files are opened beneath the seed's folder
 * only, symlinks, devices and fifos are refused, and all that is read whole
 * is bounded.  Of what is there twice (in copy/ too) either serves; which one
 * did, and what was wrong with the other, is kept as faults.
 *
 * Nothing here reads volumes: see scrub.h.
 */
#ifndef CW_MEDIA_SET_H
#define CW_MEDIA_SET_H

#include "base/buf.h"
#include "base/error.h"
#include "formats/card/card.h"
#include "formats/manifest/checksums.h"
#include "formats/manifest/manifest.h"
#include "formats/manifest/medium.h"
#include "formats/minisign/minisign.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

/* The folder of all seeds on a medium, and the files of each. */
#define CW_SET_FOLDER	 "causeway"
#define CW_SET_COPY	 "copy"
#define CW_SET_MANIFEST	 "MANIFEST"
#define CW_SET_SIGNATURE "MANIFEST.minisig"
#define CW_SET_MEDIUM	 "MEDIUM"
#define CW_SET_CHECKSUMS "CHECKSUMS"
#define CW_SET_CUSTODY	 "CUSTODY"
#define CW_SET_CATALOG	 "catalog.sqlite.zst.age"
#define CW_SET_VOLUME	 ".tar.zst.age" /* how names of volumes end */

#define CW_SEED_ID_TEXT	     (2 * CW_SEED_ID_SIZE + 1) /* hex and a NUL */
#define CW_SET_DIRS_MAX	     256u
#define CW_SET_CHECKSUMS_MAX (128u << 20) /* bytes */

/* A key whose signature on a manifest is believed. */
struct cw_set_signer {
	struct cw_minisign_public key;
	/* With a card: the manifest must name this site as its writer. */
	bool has_fingerprint;
	uint8_t fingerprint[CW_CARD_FINGERPRINT_SIZE];
	char name[CW_CARD_NAME_MAX + 1]; /* "" if unknown */
};

/* The signer that a card stands for. */
void cw_set_signer_from_card(
    const struct cw_card *card, struct cw_set_signer *signer);

struct cw_set_medium {
	char *path;	 /* of the seed's folder, for messages */
	int dirfd;	 /* the seed's folder */
	uint32_t number; /* from 1; 0 if nothing tells which medium it is */
	/*
	 * Of the manifest that lies on it, if a trusted key signed it, else 0.
	 * Less than the governing one's is no fault: media that were closed
	 * early keep the manifest they were closed with.
	 */
	uint32_t revision;
	bool is_final;	 /* that manifest is the final one of its revision */
	bool has_medium; /* medium is as the manifest lists it */
	struct cw_medium medium;
	bool has_checksums; /* checksums is as the manifest lists it */
	struct cw_checksums checksums;
};

enum cw_set_fault_kind {
	CW_SET_REPAIRABLE, /* its other copy is good */
	CW_SET_DAMAGED,
	CW_SET_UNTRUSTED, /* a changed manifest or signature */
};

struct cw_set_fault {
	size_t medium; /* index into media */
	enum cw_set_fault_kind kind;
	bool is_missing;		     /* else it is there and wrong */
	char file[CW_MANIFEST_NAME_MAX + 1]; /* within the seed's folder */
	uint64_t size;			     /* bytes of it that were read */
	char *message;			     /* a sentence, with the path */
};

struct cw_set {
	uint8_t seed_id[CW_SEED_ID_SIZE];
	char seed_text[CW_SEED_ID_TEXT];
	struct cw_set_medium *media; /* at least one, as given */
	size_t count;

	/*
	 * The manifest that governs: of those that are signed by a trusted
	 * key (on media, or given as a file) the one with the greatest
	 * revision.  If none is, is_trusted is false, and it is what the first
	 * medium with a readable one claims.
	 */
	struct cw_manifest manifest;
	uint8_t manifest_sha256[32];
	bool is_trusted;
	struct cw_set_signer signer; /* if is_trusted */
	bool has_key_id;
	uint8_t key_id[CW_MINISIGN_KEY_ID_SIZE]; /* who claims to have signed */

	struct cw_set_fault *faults; /* of the files that are there twice */
	size_t fault_count;

	/*
	 * Folders that are left out (not in media): each was a medium of the
	 * seed until another one was made in its place (`seed remake`), and
	 * nothing that the governing manifest lists is on it.
	 */
	char **replaced;
	size_t replaced_count;
};

/*
 * Opens the seed that the directories hold.  Each is a mount point or
 * directory with causeway/SEED-ID/, or that causeway/ or SEED-ID/ itself.
 * seed is a seed id of 16 hex digits, or NULL: then the newest of the seeds
 * that every directory holds a part of.
 *
 * Damage and distrust are not errors here: see faults and is_trusted.  An
 * error is CW_ERR_MISSING where a directory holds no seed or no medium has a
 * manifest, CW_ERR_UNTRUSTED where what there is of manifests is none,
 * CW_ERR_DAMAGED where the device does not give it,
 * CW_ERR_USAGE where it is not clear which seed is meant (the message lists
 * them), CW_ERR_IO.  *out is then NULL.
 */
int cw_set_open(const char *const *dirs, size_t dir_count, const char *seed,
    const struct cw_set_signer *signers, size_t signer_count,
    struct cw_set **out, struct cw_error *err);
void cw_set_free(struct cw_set *set); /* NULL is allowed */

/*
 * The same with a manifest that travelled by itself (by mail, by line), as
 * `seed manifest` gives it: FILE, and its signature in FILE.minisig.  It
 * counts like one more medium's; which seed is meant follows from it.
 * CW_ERR_UNTRUSTED if no trusted key signed it, CW_ERR_MISSING if FILE or its
 * signature is not there, CW_ERR_REFUSED if the seed given is another one.
 */
struct cw_set_source {
	const char *const *dirs;
	size_t dir_count;
	const char *seed;     /* NULL: see cw_set_open */
	const char *manifest; /* FILE; NULL: only what is on the media */
	const struct cw_set_signer *signers;
	size_t signer_count;
};
int cw_set_open_from(const struct cw_set_source *source, struct cw_set **out,
    struct cw_error *err);

/*
 * Whether a medium that is here has, by the governing manifest, the governing
 * catalog.  Media that were closed early have none, or (after a remake) an
 * older one, which serves nobody.  Whether the file is whole, this does not
 * tell.  False for all while the seed is open and has no catalog yet.
 */
bool cw_set_has_catalog(const struct cw_set *set, size_t medium);
/*
 * The numbers of media that have it, here or not, ascending, into numbers;
 * returns how many there are, of which at most max are stored.
 */
size_t cw_set_catalog_media(
    const struct cw_set *set, uint32_t *numbers, size_t max);

/* The first medium of that number, or NULL if it is not here. */
const struct cw_set_medium *cw_set_find(
    const struct cw_set *set, uint32_t number);

/*
 * Where a file of the governing manifest is read from.  A medium may be here
 * in several copies, of which one was cut short: of those with its number the
 * first that has it as a regular file of the right size, else the first one.
 * NULL if none is here.  Whether its bytes are right, this does not tell.
 */
const struct cw_set_medium *cw_set_holder(
    const struct cw_set *set, const struct cw_manifest_file *file);
/* Whether a medium has that number, and the file so. */
bool cw_set_holds(
    const struct cw_set_medium *medium, const struct cw_manifest_file *file);

/*
 * Opens a regular file beneath a seed's folder for reading; flags may add
 * O_DIRECT.  Returns the descriptor, or -1 with CW_ERR_MISSING if there is no
 * such file, CW_ERR_DAMAGED if it is something else than a regular file,
 * CW_ERR_IO (errno is kept, so that EINVAL tells that O_DIRECT was refused).
 */
int cw_set_open_file(int dirfd, const char *name, int flags, struct stat *st,
    struct cw_error *err);

/*
 * Reads such a file whole, appended to buf.  A file over max bytes is
 * CW_ERR_DAMAGED; the other errors are those of cw_set_open_file.
 */
int cw_set_read_file(int dirfd, const char *name, size_t max,
    struct cw_buf *buf, struct cw_error *err);

#endif
