/*
 * What the files of home.h share.
 */
#ifndef CW_SITE_HOME_DIR_H
#define CW_SITE_HOME_DIR_H

#include <stdbool.h>

/*
 * Whether there is a directory that holds nothing, but for names that begin
 * with leftover (NULL: none is allowed).
 */
bool home_dir_is_empty(const char *path, const char *leftover);

#endif
