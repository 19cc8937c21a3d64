/*
 * Who holds a store: processes with an open file, a working directory, a root,
 * an executable or a mapping below one of its roots.  Stopping a mail server
 * is no fence (a busy imap process goes on for half a minute); this is the
 * proof that it is gone.
 *
 * A file is recognised by the filesystem it is on and its path there, so a
 * bind mount or another mount namespace hides nobody, nor does unlinking the
 * file.  Filesystems that are mounted below a root belong to it.
 *
 * Not seen: other machines (NFS), descriptors in flight between processes or
 * held by io_uring alone, threads with descriptors of their own, the kernel
 * itself (a loop device), and process 1 where root may not look at it (in some
 * containers).  still.h tells whether anything moved.
 */
#ifndef CW_SITE_HOLDERS_H
#define CW_SITE_HOLDERS_H

#include "base/error.h"
#include "site/home.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define CW_HOLDERS_MAX 64u /* that are listed; more are counted */

struct cw_holder {
	pid_t pid;
	char comm[64];	/* quoted for people */
	char what[32];	/* "fd 7", "cwd", "root", "exe", "map" */
	char path[512]; /* quoted for people, may be cut */
};

struct cw_holders {
	struct cw_holder list[CW_HOLDERS_MAX]; /* one a process: its first */
	size_t count;			       /* processes, also unlisted */
};

/*
 * Looks once.  Causeway's own processes (the same executable file) do not
 * count.  CW_ERR_FAILED if a process may not be looked at: we must be root.
 */
int cw_holders_find(const char *const *roots, size_t root_count,
    struct cw_holders *out, struct cw_error *err);

/*
 * Looks until nobody holds the roots, at most limit_ms.  With kill, whoever
 * holds them after half of that gets SIGTERM, and SIGKILL a second later.
 * CW_ERR_REFUSED names who is left.  out may be NULL.
 */
int cw_holders_wait(const char *const *roots, size_t root_count,
    unsigned limit_ms, bool kill, struct cw_holders *out, struct cw_error *err);

/* The same for a store, with the limit and the way of [hooks "STORE"]. */
int cw_home_prove_unheld(const struct cw_home *home,
    const struct cw_config_store *store, struct cw_error *err);

#endif
