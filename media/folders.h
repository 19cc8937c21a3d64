/*
 * The folders of seeds on media: finding them in the directories an operator
 * names, and choosing the seed that is meant.  What manifests claim is used to
 * choose and to list, and is not believed.
 */
#ifndef CW_MEDIA_FOLDERS_H
#define CW_MEDIA_FOLDERS_H

#include "base/buf.h"
#include "base/error.h"
#include "media/set.h"

#include <stddef.h>

struct cw_folder {
	size_t dir;		  /* which of the directories given */
	char id[CW_SEED_ID_TEXT]; /* what it is named */
	char *path;		  /* for messages */
	int fd;
};

struct cw_folders {
	struct cw_folder *items;
	size_t count;
};

#define CW_FOLDERS_INIT                                                        \
	{                                                                      \
		NULL, 0                                                        \
	}

/*
 * Adds the seeds' folders that a directory holds: see cw_set_open.
 * CW_ERR_MISSING if there are none.  Symlinks are followed in given only.
 */
int cw_folders_search(struct cw_folders *all, size_t dir, const char *given,
    struct cw_error *err);

/*
 * Chooses, into id, a seed that each of the dir_count directories holds a
 * part of, and of several the newest.  CW_ERR_USAGE, with a list, if there is
 * none or it is a tie.
 */
int cw_folders_choose(const struct cw_folders *all, size_t dir_count,
    char id[CW_SEED_ID_TEXT], struct cw_error *err);

/* Appends what was found for people, with the times that manifests claim. */
void cw_folders_list(const struct cw_folders *all, struct cw_buf *text);

/* Closes and frees; all is empty and usable again. */
void cw_folders_free(struct cw_folders *all);

#endif
