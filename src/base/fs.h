/*
 * Files: opening beneath a directory only, writing whole and durably.  Every
 * path that came from media, mail or a peer is resolved here, by openat2(2)
 * with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS, so that neither "..", nor an
 * absolute path, nor a symlink planted meanwhile leads outside the root.
 *
 * Sentences in errors quote names with cw_text_quote.
 */
#ifndef CW_BASE_FS_H
#define CW_BASE_FS_H

#include "base/buf.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/*
 * Opens path beneath dirfd (O_CLOEXEC is added); no component may be a
 * symlink, the last neither.  Returns the descriptor; or -1, with errno kept
 * and *err set.  ENOENT is for the caller to tell from the rest.
 */
int cw_open_beneath(
    int dirfd, const char *path, int flags, mode_t mode, struct cw_error *err);

/* Opens a directory the operator named: symlinks are followed. */
int cw_open_dir(const char *path, struct cw_error *err);

/* Makes a directory and its missing parents (mode 0777 less umask). */
int cw_make_dirs(const char *path, mode_t mode, struct cw_error *err);

/* Closes *fd unless it is -1, and makes it -1. */
void cw_close(int *fd);

/* All of it or an error; short writes and EINTR are handled. */
int cw_write_all(int fd, const void *data, size_t len, struct cw_error *err);
int cw_pwrite_all(int fd, const void *data, size_t len, uint64_t offset,
    struct cw_error *err);
/* Reads until len bytes or end of file; *got says how many. */
int cw_read_full(
    int fd, void *data, size_t len, size_t *got, struct cw_error *err);
int cw_pread_full(int fd, void *data, size_t len, uint64_t offset, size_t *got,
    struct cw_error *err);

int cw_sync(int fd, struct cw_error *err); /* fsync */

/*
 * Reads a whole file of at most max bytes into buf (appended).  Returns 1 if
 * there is no such file, 0 if read; a larger file is CW_ERR_FORMAT.
 */
int cw_read_file(int dirfd, const char *name, size_t max, struct cw_buf *buf,
    struct cw_error *err);

/*
 * Writes name whole: to "name.tmp", synced, renamed, and the directory synced.
 * A crash leaves the old file or the new one, never half of either.  name has
 * no slash, or one whose directory is synced as well.
 */
int cw_save_file(int dirfd, const char *name, const void *data, size_t len,
    mode_t mode, struct cw_error *err);

/*
 * Takes an exclusive lock on a file (made if it is missing), without waiting.
 * Returns 0 and the descriptor that holds it, or CW_ERR_BUSY.
 */
int cw_lock_file(int dirfd, const char *name, int *fd, struct cw_error *err);

/* A name that may be one component of a path: not "", ".", "..", no '/'. */
bool cw_name_is_safe(const char *name, size_t len);
/* A relative path made of such names. */
bool cw_path_is_safe(const char *path, size_t len);

#endif
