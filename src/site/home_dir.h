/*
 * What the files of home.h share.
 */
#ifndef CW_SITE_HOME_DIR_H
#define CW_SITE_HOME_DIR_H

#include "base/error.h"
#include "site/home.h"

#include <stdbool.h>

#define HOME_STORE_LOCK "lock"

/*
 * Whether there is a directory that holds nothing, but for names that begin
 * with leftover (NULL: none is allowed), and the lock of a store.
 */
bool home_dir_is_empty(const char *path, const char *leftover);

/* Puts the state directory, if it is known, before spools of commands. */
void home_place_spools(const struct cw_home *home, struct cw_config *config);

/* Takes the home's lock, or shares the one we were given. */
int home_take_lock(struct cw_home *home, struct cw_error *err);

/*
 * Changes of the configuration, one at a time: takes the lock and reads it
 * again.  *lock is for home_end_change.
 */
int home_begin_change(struct cw_home *home, int *lock, struct cw_error *err);
void home_end_change(int *lock);

#endif
