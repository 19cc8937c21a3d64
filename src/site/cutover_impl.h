/*
 * What the two sides of a cutover share: steps with their times, hooks, saving
 * the role.
 */
#ifndef CW_SITE_CUTOVER_IMPL_H
#define CW_SITE_CUTOVER_IMPL_H

#include "site/cutover.h"
#include "site/hooks.h"

void cutover_say(const struct cw_cutover_options *o, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Begins a step, which ends the one before it as done. */
void cutover_step(const struct cw_cutover_options *o,
    struct cw_cutover_result *r, const char *name);
/* Ends the last step. */
void cutover_end(struct cw_cutover_result *r, bool ok);

/* Runs a hook: 0 also if none is configured. */
int cutover_hook(const struct cw_cutover_options *o,
    const struct cw_config_store *store, enum cw_hook hook,
    const struct cw_role *role, const char *reason, struct cw_error *err);

/*
 * Waits for a fence hook that a process which was killed has left running, as
 * long as a hook may take.
 */
void cutover_await_fence(
    const struct cw_cutover_options *o, const struct cw_config_store *store);

/* Saves it under the store's lock. */
int cutover_save(const struct cw_cutover_options *o,
    const struct cw_config_store *store, const struct cw_role *role,
    struct cw_error *err);

/*
 * Keeps other cutovers of the store away, until cw_close: CW_ERR_BUSY if one
 * is under way for so long.
 */
int cutover_lock(const struct cw_cutover_options *o,
    const struct cw_config_store *store, unsigned wait_ms, int *lock,
    struct cw_error *err);

/*
 * That a site which took over owes the promote hook stands in the file
 * STORE_DIR/promoting, written before the record of the role, until the hook
 * has succeeded.  Owing: 1 if the hook is owed for this epoch, 0, -1.
 */
int cutover_owe(const struct cw_cutover_options *o,
    const struct cw_config_store *store, uint64_t epoch, struct cw_error *err);
int cutover_is_owed(const struct cw_cutover_options *o,
    const struct cw_config_store *store, uint64_t epoch, struct cw_error *err);
/* Runs the promote hook, and it is owed no more. */
int cutover_promote(const struct cw_cutover_options *o,
    const struct cw_config_store *store, const struct cw_role *role,
    const char *reason, struct cw_error *err);

/* Generation and digest of the catalog; CW_ERR_FAILED if it is not known. */
int cutover_look(const struct cw_cutover_options *o,
    const struct cw_config_store *store, uint64_t *generation,
    uint8_t digest[CW_STATE_SIZE], struct cw_error *err);

/* The keys of all paired sites; the caller frees them. */
struct cw_minisign_public *cutover_pins(
    const struct cw_cutover_options *o, size_t *count);

/* The standby's answers. */
int cutover_preflight(const struct cw_cutover_options *o, struct cw_session *s,
    struct cw_session_store *st, const struct cw_session_args *args,
    struct cw_session_args *values, struct cw_error *err);
int cutover_accept(const struct cw_cutover_options *o, struct cw_session *s,
    struct cw_session_store *st, const struct cw_session_args *args,
    struct cw_session_args *values, struct cw_error *err);

#endif
