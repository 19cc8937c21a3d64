/*
 * The gate before media are shipped (`seed close`): each is read again in
 * full, past the page cache, after it was unmounted and mounted, and nothing
 * that would make the shipment worthless is passed over.
 *
 * What is wrong is a result, with all of its reasons, not an error.
 */
#ifndef CW_SITE_SHIPMENT_H
#define CW_SITE_SHIPMENT_H

#include "base/progress.h"
#include "formats/minisign/minisign.h"
#include "media/set.h"
#include "site/home.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cw_shipment_options {
	const char *seed; /* hex id; NULL: what the directories hold */
	const char *const *dirs;
	size_t dir_count; /* 0: where the media were written */
	/* Media that can't be mounted again: disks of a server that is
	   shipped as a whole. */
	bool without_remount;
	const struct cw_minisign_secret *secret; /* signs the events */
	struct cw_progress *progress;
};

struct cw_shipment_reasons {
	char **list; /* sentences */
	size_t count;
};

struct cw_shipment_medium {
	uint32_t number; /* 0: a directory that is no medium of the seed */
	char *path;	 /* as given; NULL: it is not here */
	char label[CW_MEDIUM_LABEL_MAX + 1];
	bool is_closed;	 /* it may be shipped */
	bool was_closed; /* by an earlier run */
	uint64_t bytes;	 /* of its files in the manifest */
	struct cw_shipment_reasons why_not;
};

struct cw_shipment {
	char seed_text[CW_SEED_ID_TEXT];
	bool is_ready;			  /* all media are closed */
	struct cw_shipment_medium *media; /* all of the seed's, by number */
	size_t count;
	struct cw_shipment_reasons why_not; /* that hold for all media */
};

/*
 * Judges the media in the directories, and closes those that pass: a signed
 * event "closed" in the medium's log, and a durable note here.  A medium that
 * was closed and fails now is no longer.  CW_ERR_MISSING: no such seed here,
 * or none in the directories.  Free the result in either case.
 */
int cw_shipment_close(const struct cw_home *home,
    const struct cw_shipment_options *options, struct cw_shipment *result,
    struct cw_error *err);
void cw_shipment_free(struct cw_shipment *result);

#endif
