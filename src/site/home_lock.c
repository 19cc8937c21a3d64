/*
 * The locks of a home: its own, those of its stores, and that of changes to
 * the configuration.  All are flock(2) on files that stay: the kernel gives
 * them back when the last process that shares them ends, however it ends.
 */
#include "base/buf.h"
#include "base/bytes.h"
#include "base/fs.h"
#include "base/progress.h"
#include "site/home.h"
#include "site/home_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define HOME_LOCK      "lock"
#define CONFIG_LOCK    "config.lock"
#define CONFIG_WAIT_MS 10000u
#define LOOK_MS	       20u /* how often a held lock is tried again */

/* The lock that cw_home_share_lock named. */
static int shared_lock = -1;

void
cw_home_share_lock(int lock_fd)
{
	shared_lock = lock_fd;
}

/*
 * Which process wrote its number into a lock file; 0: nobody's, or that of a
 * process that has ended while one of its children holds the lock on.
 */
static uint64_t
holder_of(int dirfd, const char *name)
{
	struct cw_buf text = CW_BUF_INIT;
	uint64_t pid = 0;
	size_t len;

	if (cw_read_file(dirfd, name, 64, &text, NULL) == 0) {
		len = text.len;
		if (len > 0 && text.data[len - 1] == '\n')
			len--;
		if (!cw_decimal_parse(
			(const char *)text.data, len, INT32_MAX, &pid))
			pid = 0;
	}
	cw_buf_free(&text);
	if (pid > 0 && kill((pid_t)pid, 0) < 0 && errno == ESRCH)
		pid = 0;
	return pid;
}

static int
write_holder(int fd, const char *what, struct cw_error *err)
{
	char pid[24];

	(void)snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
	if (ftruncate(fd, 0) < 0)
		return cw_error_errno(err, "cannot write %s", what);
	if (cw_pwrite_all(fd, pid, strlen(pid), 0, err) < 0)
		return cw_error_context(err, "%s", what);
	return 0;
}

/* Whether the lock that we were given is that of this state directory. */
static bool
is_shared(int state_fd)
{
	struct stat ours, theirs;

	return shared_lock >= 0 && fstat(shared_lock, &ours) == 0 &&
	       fstatat(state_fd, HOME_LOCK, &theirs, AT_SYMLINK_NOFOLLOW) ==
		   0 &&
	       ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
}

int
home_take_lock(struct cw_home *home, struct cw_error *err)
{
	uint64_t holder;

	if (is_shared(home->state_fd)) {
		home->lock_fd = fcntl(shared_lock, F_DUPFD_CLOEXEC, 0);
		if (home->lock_fd < 0)
			return cw_error_errno(err, "cannot share the lock");
		return 0;
	}
	if (cw_lock_file(home->state_fd, HOME_LOCK, &home->lock_fd, err) < 0) {
		if (err == NULL || err->code != CW_ERR_BUSY)
			return cw_error_context(err, "%s", home->state_path);
		holder = holder_of(home->state_fd, HOME_LOCK);
		if (holder == 0)
			return cw_error_set(err, CW_ERR_BUSY,
			    "another process holds %s; wait until it is done",
			    home->state_path);
		return cw_error_set(err, CW_ERR_BUSY,
		    "process %llu holds %s; wait until it is done, or stop it",
		    (unsigned long long)holder, home->state_path);
	}
	if (write_holder(home->lock_fd, HOME_LOCK, err) < 0)
		return cw_error_context(err, "%s", home->state_path);
	return 0;
}

/* Tries until the time is up.  CW_ERR_BUSY: somebody else had it all along. */
static int
lock_within(int dirfd, const char *name, unsigned wait_ms, int *fd,
    struct cw_error *err)
{
	const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
	struct cw_error why;

	for (unsigned waited = 0;; waited += LOOK_MS) {
		why = (struct cw_error)CW_ERROR_INIT;
		if (cw_lock_file(dirfd, name, fd, &why) == 0)
			return 0;
		if (why.code != CW_ERR_BUSY || waited >= wait_ms)
			break;
		if (cw_stop_check(err) < 0)
			return -1;
		(void)nanosleep(&pause, NULL);
	}
	if (err != NULL)
		*err = why;
	return -1;
}

int
cw_home_lock_store(const struct cw_home *home, const char *store,
    unsigned wait_ms, int *fd, struct cw_error *err)
{
	struct cw_error why = CW_ERROR_INIT;
	char *name = cw_asprintf("stores/%s/" HOME_STORE_LOCK, store);
	uint64_t holder;
	int ret = -1;

	*fd = -1;
	if (cw_home_make_store_dir(home, store, err) < 0)
		goto out;
	if (lock_within(home->state_fd, name, wait_ms, fd, &why) == 0) {
		ret = write_holder(*fd, name, err);
		if (ret < 0)
			cw_close(fd);
	} else if (why.code == CW_ERR_BUSY) {
		holder = holder_of(home->state_fd, name);
		if (holder == 0)
			cw_error_set(err, CW_ERR_BUSY,
			    "another process works on store %s; try again "
			    "when it is done",
			    store);
		else
			cw_error_set(err, CW_ERR_BUSY,
			    "process %llu works on store %s; try again when "
			    "it is done",
			    (unsigned long long)holder, store);
	} else if (err != NULL) {
		*err = why;
	}
out:
	free(name);
	return ret;
}

int
home_begin_change(struct cw_home *home, int *lock, struct cw_error *err)
{
	*lock = -1;
	if (home->lock_fd < 0)
		return cw_error_set(
		    err, CW_ERR_FAILED, "the home was opened for reading only");
	if (lock_within(
		home->state_fd, CONFIG_LOCK, CONFIG_WAIT_MS, lock, err) < 0)
		return cw_error_context(err, "%s", home->config_path);
	if (cw_home_reload(home, NULL, err) == 0)
		return 0;
	cw_close(lock);
	return -1;
}

void
home_end_change(int *lock)
{
	cw_close(lock);
}
