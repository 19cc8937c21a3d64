/*
 * The inside of finish.h, shared by the finish*.c: finish.c closes one medium,
 * finish_end.c the whole seed.
 */
#ifndef CW_SEED_FINISH_IMPL_H
#define CW_SEED_FINISH_IMPL_H

#include "base/buf.h"
#include "media/set.h"
#include "seed/finish.h"

#include <pthread.h>

struct cw_finish {
	struct cw_finish_parts p;
	const struct cw_pack_options *o;
	char seed[CW_SEED_ID_TEXT];
	char key[CW_MINISIGN_BASE64_SIZE];
	char *path; /* of the seed's state directory */
	uint8_t store_id[CW_STORE_ID_SIZE];
	uint64_t epoch;
	/* The last one that was signed: what it says of closed media stands. */
	struct cw_manifest last;
	bool has_last;

	/* The sealed catalog that is being made, or was; see finish_end.c. */
	pthread_t maker;
	bool is_making; /* the thread is to be joined */
	int catalog;	/* -1: none */
	uint64_t catalog_size;
	int made; /* what cw_finish_catalog answered */
	struct cw_error made_err;
};

/* finish_manifest.c */

/*
 * The ledger as it is at one moment: other media may get volumes while one is
 * closed.  cw_ledger_close frees it.
 */
void finish_snapshot(struct cw_ledger *l, struct cw_ledger *copy);
/*
 * Takes the groups off a snapshot whose volumes are not all listed: they have
 * no meaning in that manifest.
 */
void finish_keep_listed_groups(
    struct cw_ledger *copy, const struct cw_manifest *m);

/* All but media, files, groups and revision. */
int finish_begin_manifest(
    const struct cw_finish *f, struct cw_manifest *m, struct cw_error *err);
/* Copies what a manifest says of a medium; 1 if it says nothing. */
int finish_copy_medium(struct cw_manifest *to, const struct cw_manifest *from,
    uint32_t number, struct cw_error *err);
/* The same of the last manifest, which must list a medium that was closed. */
int finish_copy_closed(const struct cw_finish *f, struct cw_manifest *m,
    uint32_t number, struct cw_error *err);

/* A manifest that was signed. */
struct finish_signed {
	struct cw_buf text, signature;
	uint32_t revision;
};

/*
 * Signs, with a revision that no manifest had before, and keeps it in the
 * state directory, before any medium has it.
 */
int finish_sign(struct cw_finish *f, struct cw_manifest *m,
    struct finish_signed *out, struct cw_error *err);

/* finish_write.c */

/* Number, label and path of a medium. */
void finish_begin_report(struct cw_pack_medium *report,
    const struct cw_medium *is, const char *path);
/*
 * All that the manifest lists of a medium, and its lines in *part.  count is
 * how many media there are, 0 if that is not known; catalog is a file or -1.
 */
int finish_write_listed(const struct cw_finish *f,
    const struct cw_ledger *ledger, struct cw_target_medium *m, uint32_t count,
    int catalog, struct cw_manifest *part, struct cw_pack_medium *report,
    struct cw_error *err);
/*
 * The new catalog for a medium that was closed: beside that, only CHECKSUMS
 * changes.  1: there is no room, and it stays as it is.
 */
int finish_refresh(const struct cw_finish *f, const struct cw_ledger *now,
    struct cw_target_medium *m, int catalog, uint64_t catalog_size,
    struct cw_manifest *part, struct cw_pack_medium *report,
    struct cw_error *err);
/* Manifest and signature, custody, and what `seed close` has to know. */
int finish_write_signed(const struct cw_finish *f,
    const struct cw_target_medium *m, const struct finish_signed *s,
    struct cw_pack_medium *report, struct cw_error *err);

#endif
