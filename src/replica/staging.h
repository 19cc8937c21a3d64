/*
 * Staging: contents on their way into a replica's tree, by their SHA-256, in
 * STORE_DIR/staging/: the hexadecimal digest for what is whole, HEX.part for
 * what is not, HEX.1, HEX.2, ... for further copies that one apply needs.
 * Nothing is here that was not hashed on the way in, but for what apply moved
 * here out of the tree.
 *
 * No file is synced by itself: cw_staging_sync makes all that was finished
 * durable.  After a reboot, which is told by the kernel's boot id, whole files
 * count only when they have been hashed again: they wait in staging.old/ and
 * are looked at when somebody asks for them.
 *
 * One process at a time (the store's lock), one thread; but for
 * cw_staging_sync, which any may call.
 */
#ifndef CW_REPLICA_STAGING_H
#define CW_REPLICA_STAGING_H

#include "base/crypto.h"
#include "base/error.h"
#include "replica/look.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cw_staging;

/* store_dir (STATE/stores/NAME) is there; staging/ in it is made. */
int cw_staging_open(
    const char *store_dir, struct cw_staging **out, struct cw_error *err);
void cw_staging_close(struct cw_staging *s); /* NULL is allowed */

/* 1 whole and of this size, 0 not, -1. */
int cw_staging_has(struct cw_staging *s, const uint8_t digest[CW_SHA256_SIZE],
    uint64_t size, struct cw_error *err);
/* Opens a whole content for reading: 0, 1 if it is not there. */
int cw_staging_open_content(struct cw_staging *s,
    const uint8_t digest[CW_SHA256_SIZE], uint64_t size, int *fd,
    struct cw_error *err);

/*
 * What is there of a content that is not whole: 0 with its length and the
 * SHA-256 of those bytes (for the want), 1 if there is nothing.  Reads it.
 */
int cw_staging_partial(struct cw_staging *s,
    const uint8_t digest[CW_SHA256_SIZE], uint64_t *len,
    uint8_t prefix[CW_SHA256_SIZE], struct cw_error *err);
/* The same for the first len bytes of any file; CW_ERR_MISSING if shorter. */
int cw_staging_prefix(
    int fd, uint64_t len, uint8_t prefix[CW_SHA256_SIZE], struct cw_error *err);
/* Forgets a partial or whole content; nothing there is no error. */
int cw_staging_discard(struct cw_staging *s,
    const uint8_t digest[CW_SHA256_SIZE], struct cw_error *err);

/*
 * Writing a content in order.  begin goes on behind what is there of it:
 * *offset says where; a partial longer than size cannot be right and is thrown
 * away.  begin_at cuts the partial to keep bytes (0: from the start): when the
 * other side said that it goes on from there.  begin_from starts with the
 * first len bytes of fd, an older version of a file that was appended to.
 */
struct cw_staging_writer;
int cw_staging_begin(struct cw_staging *s, const uint8_t digest[CW_SHA256_SIZE],
    uint64_t size, struct cw_staging_writer **out, uint64_t *offset,
    struct cw_error *err);
int cw_staging_begin_at(struct cw_staging *s,
    const uint8_t digest[CW_SHA256_SIZE], uint64_t size, uint64_t keep,
    struct cw_staging_writer **out, struct cw_error *err);
int cw_staging_begin_from(struct cw_staging *s,
    const uint8_t digest[CW_SHA256_SIZE], uint64_t size, int fd, uint64_t len,
    struct cw_staging_writer **out, struct cw_error *err);

/* More than the size is CW_ERR_DAMAGED.  NOSPACE names the directory. */
int cw_staging_write(struct cw_staging_writer *w, const void *data, size_t len,
    struct cw_error *err);
/* Appends len bytes of fd from offset (chunks of the version that we hold). */
int cw_staging_copy(struct cw_staging_writer *w, int fd, uint64_t offset,
    uint64_t len, struct cw_error *err);
/* What it is to be; as long as the writer is. */
const uint8_t *cw_staging_digest(const struct cw_staging_writer *w);
/* Bytes so far. */
uint64_t cw_staging_at(const struct cw_staging_writer *w);
/*
 * Both end the writer, whatever they return.  finish checks size and SHA-256:
 * CW_ERR_DAMAGED, and the partial is gone, if they are not as promised; look
 * (NULL: none) is given to the file.
 * abandon keeps what was written for the next begin; NULL is allowed.
 */
int cw_staging_finish(struct cw_staging_writer *w, const struct cw_look *look,
    struct cw_error *err);
void cw_staging_abandon(struct cw_staging_writer *w);

/* A small content in one go; one that is there already is fine. */
int cw_staging_put(struct cw_staging *s, const uint8_t digest[CW_SHA256_SIZE],
    const void *data, size_t len, const struct cw_look *look,
    struct cw_error *err);
/* A content from a file that should have it; CW_ERR_DAMAGED if not. */
int cw_staging_take(struct cw_staging *s, const uint8_t digest[CW_SHA256_SIZE],
    uint64_t size, int fd, struct cw_error *err);

/* Makes all that was finished durable. */
int cw_staging_sync(struct cw_staging *s, struct cw_error *err);

/*
 * Throws away all whole contents and copies, and the partial ones that were
 * last written before this time (seconds since 1970).
 */
int cw_staging_clear(
    struct cw_staging *s, int64_t partials_before, struct cw_error *err);

/*
 * For apply, which renames into and out of here.  A slot is one copy: 0 is the
 * content itself.  open_slot opens it for reading: 0, 1 if it is not there.
 */
#define CW_STAGING_NAME 88u
int cw_staging_dirfd(const struct cw_staging *s);
void cw_staging_name(const uint8_t digest[CW_SHA256_SIZE], uint64_t slot,
    char out[CW_STAGING_NAME]);
int cw_staging_open_slot(struct cw_staging *s,
    const uint8_t digest[CW_SHA256_SIZE], uint64_t slot, uint64_t size, int *fd,
    struct cw_error *err);
/* 1 there, 0 not, -1. */
int cw_staging_has_slot(struct cw_staging *s,
    const uint8_t digest[CW_SHA256_SIZE], uint64_t slot, uint64_t size,
    struct cw_error *err);
/* Makes a copy of slot 0 (reflinked where the filesystem can). */
int cw_staging_make_slot(struct cw_staging *s,
    const uint8_t digest[CW_SHA256_SIZE], uint64_t slot, uint64_t size,
    struct cw_error *err);

#endif
