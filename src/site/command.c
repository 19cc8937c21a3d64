#include "site/command.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/text.h"
#include "site/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define NEW_FILE      "." CW_COMMAND_FILE ".new"
#define CHUNK	      65536u
#define SAID_MAX      4096u /* bytes of its standard error: the last */
#define LOOK_MS	      200   /* whether we are asked to stop */
#define KILL_AFTER_MS 5000
/* Catalogs and mail queues want to be written, too. */
#define FREE_LEAST  (UINT64_C(64) << 20)
#define FREE_LOOK   (UINT64_C(8) << 20) /* how often it is looked at */
#define FAILURE_MAX (CW_ERROR_MAX + 1)

struct run {
	const struct cw_config_store *store;
	const struct cw_config_root *root;
	pid_t pid;
	int pidfd;
	int output, errors; /* the reading ends; -1 after their end */
	int file;
	uint64_t size, limit;
	uint64_t looked; /* size when the room was looked at */
	char said[SAID_MAX];
	size_t said_len;
	bool said_more;
	bool has_ended;
	int status;
	struct cw_progress *progress;
};

/* ---- the program ---- */

/* The path of a program as it is named in a command; NULL: none there. */
static char *
find_program(const char *name)
{
	static const char dirs[] = CW_SPAWN_PATH;

	if (name[0] == '/')
		return cw_strdup(name);
	for (const char *at = dirs; *at != '\0';) {
		size_t len = strcspn(at, ":");
		char *path = cw_asprintf("%.*s/%s", (int)len, at, name);

		if (access(path, X_OK) == 0)
			return path;
		free(path);
		at += len + (at[len] == ':');
	}
	return NULL;
}

static int
check_program(const char *name, char **path, struct cw_error *err)
{
	struct stat st;

	*path = find_program(name);
	if (*path == NULL)
		return cw_error_set(err, CW_ERR_USAGE,
		    "there is no program %s in %s", name, CW_SPAWN_PATH);
	if (stat(*path, &st) < 0) {
		cw_error_errno(err, "program %s", *path);
		if (err != NULL)
			err->code = CW_ERR_USAGE;
	} else if (!S_ISREG(st.st_mode)) {
		cw_error_set(
		    err, CW_ERR_USAGE, "program %s is not a file", *path);
	} else if (access(*path, X_OK) < 0) {
		cw_error_set(err, CW_ERR_USAGE,
		    "program %s is not executable; chmod +x it", *path);
	} else if ((st.st_mode & S_IWOTH) != 0) {
		cw_error_set(err, CW_ERR_USAGE,
		    "program %s may be written by everybody; chmod o-w it",
		    *path);
	} else {
		return 0;
	}
	free(*path);
	*path = NULL;
	return -1;
}

int
cw_command_check(const char *command, struct cw_error *err)
{
	char **words, *path = NULL;
	int ret;

	if (cw_config_words(command, &words, err) < 0)
		return -1;
	ret = check_program(words[0], &path, err);
	free(path);
	cw_config_words_free(words);
	return ret;
}

static char **
make_environment(const struct run *r)
{
	static const char *const inherited[] = {"TZ", "LANG", "LC_ALL"};
	const struct passwd *user = getpwuid(geteuid());
	char **env = cw_calloc(8, sizeof(*env));
	size_t n = 0;

	env[n++] = cw_strdup("PATH=" CW_SPAWN_PATH);
	env[n++] = cw_asprintf("HOME=%s",
	    user != NULL && user->pw_dir != NULL ? user->pw_dir : "/");
	env[n++] = cw_asprintf("CAUSEWAY_STORE=%s", r->store->name);
	env[n++] = cw_asprintf("CAUSEWAY_ROOT=%s", r->root->name);
	for (size_t i = 0; i < sizeof(inherited) / sizeof(*inherited); i++) {
		const char *value = getenv(inherited[i]);

		if (value != NULL)
			env[n++] = cw_asprintf("%s=%s", inherited[i], value);
	}
	return env;
}

/* ---- what it prints ---- */

static int
check_room(struct run *r, struct cw_error *err)
{
	struct statvfs fs;
	char room[CW_TEXT_MAX];

	if (r->size < r->looked || fstatvfs(r->file, &fs) < 0)
		return 0;
	r->looked = r->size + FREE_LOOK;
	if ((uint64_t)fs.f_bavail * fs.f_frsize >= FREE_LEAST + FREE_LOOK)
		return 0;
	cw_text_bytes(FREE_LEAST + FREE_LOOK, room);
	return cw_error_set(err, CW_ERR_NOSPACE,
	    "less than %s is free where its output goes, %s", room,
	    r->root->path);
}

/* A piece of the output.  0; -1: it is to be stopped, or failed. */
static int
take_output(struct run *r, char *chunk, struct cw_error *err)
{
	char size[CW_TEXT_MAX];
	ssize_t n = read(r->output, chunk, CHUNK);

	if (n < 0)
		return errno == EINTR || errno == EAGAIN
			   ? 0
			   : cw_error_errno(err, "cannot read its output");
	if (n == 0) {
		cw_close(&r->output);
		return 0;
	}
	if ((uint64_t)n > r->limit - r->size) {
		cw_text_bytes(r->limit, size);
		return cw_error_set(err, CW_ERR_FAILED,
		    "it printed more than %s and was stopped; set limit in "
		    "[store \"%s\"] if it may",
		    size, r->store->name);
	}
	if (check_room(r, err) < 0 ||
	    cw_write_all(r->file, chunk, (size_t)n, err) < 0)
		return -1;
	r->size += (uint64_t)n;
	cw_progress_add(r->progress, (uint64_t)n, 0);
	return 0;
}

/* The end of its standard error is kept. */
static void
take_errors(struct run *r, char *chunk)
{
	ssize_t n = read(r->errors, chunk, SAID_MAX);
	size_t over;

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		cw_close(&r->errors);
		return;
	}
	if (r->said_len + (size_t)n > SAID_MAX) {
		over = r->said_len + (size_t)n - SAID_MAX;
		memmove(r->said, r->said + over, r->said_len - over);
		r->said_len -= over;
		r->said_more = true;
	}
	memcpy(r->said + r->said_len, chunk, (size_t)n);
	r->said_len += (size_t)n;
}

static void
reap(struct run *r)
{
	if (r->has_ended)
		return;
	while (waitpid(r->pid, &r->status, 0) < 0 && errno == EINTR)
		;
	r->has_ended = true;
}

/*
 * Until it has ended and nobody holds its output: what a child of it prints
 * later belongs to it as well.
 */
static int
follow(struct run *r, unsigned timeout_s, struct cw_error *err)
{
	int64_t end = cw_clock_ms() + (int64_t)timeout_s * 1000;
	char *chunk = cw_malloc(CHUNK), took[CW_TEXT_MAX];
	int ret = 0;

	while (ret == 0 && (r->output >= 0 || !r->has_ended)) {
		struct pollfd fds[3] = {
		    {.fd = r->output, .events = POLLIN},
		    {.fd = r->errors, .events = POLLIN},
		    {.fd = r->has_ended ? -1 : r->pidfd, .events = POLLIN},
		};
		int64_t left = end - cw_clock_ms();

		if (cw_stop_check(err) < 0) {
			ret = -1;
		} else if (left <= 0) {
			cw_text_seconds(timeout_s, took);
			ret = cw_error_set(err, CW_ERR_FAILED,
			    "%s within %s and was stopped; set timeout in "
			    "[store \"%s\"] if it may take longer",
			    r->has_ended ? "it ended, but what it started did "
					   "not close its output"
					 : "it did not end",
			    took, r->store->name);
		} else if (poll(fds, 3, left < LOOK_MS ? (int)left : LOOK_MS) <
			   0) {
			if (errno != EINTR)
				ret = cw_error_errno(err, "cannot wait for it");
		} else {
			if (fds[1].revents != 0)
				take_errors(r, chunk);
			if (fds[0].revents != 0)
				ret = take_output(r, chunk, err);
			if (fds[2].revents != 0)
				reap(r);
		}
	}
	/* Its last words, as far as they are there. */
	for (int i = 0; r->errors >= 0 && i < 64; i++) {
		size_t before = r->said_len;

		take_errors(r, chunk);
		if (r->said_len == before)
			break;
	}
	free(chunk);
	return ret;
}

/* Ends it and what it started, unless that left its group. */
static void
stop(struct run *r)
{
	struct pollfd fd = {.fd = r->pidfd, .events = POLLIN};
	int64_t end = cw_clock_ms() + KILL_AFTER_MS;
	int64_t left;

	(void)kill(-r->pid, SIGTERM);
	while (!r->has_ended && (left = end - cw_clock_ms()) > 0 &&
	       (poll(&fd, 1, (int)left) >= 0 || errno == EINTR))
		if (fd.revents != 0)
			reap(r);
	(void)kill(-r->pid, SIGKILL);
	reap(r);
}

static int
judge(struct run *r, struct cw_error *err)
{
	if (WIFSIGNALED(r->status))
		return cw_error_set(err, CW_ERR_FAILED,
		    "it was killed by signal %d", WTERMSIG(r->status));
	if (!WIFEXITED(r->status) || WEXITSTATUS(r->status) != 0)
		return cw_error_set(err, CW_ERR_FAILED,
		    "it ended with status %d", WEXITSTATUS(r->status));
	if (r->size == 0)
		return cw_error_set(err, CW_ERR_FAILED,
		    "it ended with status 0, but printed nothing; an empty "
		    "output is not believed");
	return 0;
}

/* Runs it; what it prints goes into r->file. */
static int
run(struct run *r, const char *path, char **words, struct cw_error *err)
{
	int out[2] = {-1, -1}, errors[2] = {-1, -1};
	char **env = make_environment(r);
	int code, ret = -1;

	if (pipe2(out, O_CLOEXEC) < 0 || pipe2(errors, O_CLOEXEC) < 0) {
		cw_error_errno(err, "cannot make a pipe");
		goto out;
	}
	(void)fcntl(out[0], F_SETFL, O_NONBLOCK);
	(void)fcntl(errors[0], F_SETFL, O_NONBLOCK);
	code = cw_spawn(path, words, env, out[1], errors[1], -1, &r->pid);
	cw_close(&out[1]);
	cw_close(&errors[1]);
	if (code != 0) {
		errno = code;
		cw_error_errno(err, "cannot run %s", path);
		goto out;
	}
	r->output = out[0];
	r->errors = errors[0];
	out[0] = errors[0] = -1;
	r->pidfd = pidfd_open(r->pid, 0);
	if (r->pidfd < 0)
		cw_error_errno(err, "cannot watch %s", path);
	else
		ret = follow(r, cw_config_timeout(r->store), err);
	if (ret < 0)
		stop(r);
	else
		ret = judge(r, err);
	if (ret < 0 && r->said_len > 0 && err != NULL &&
	    err->code == CW_ERR_FAILED)
		cw_spawn_said(err, r->said, r->said_len, r->said_more);
out:
	for (size_t i = 0; env[i] != NULL; i++)
		free(env[i]);
	free(env);
	for (int i = 0; i < 2; i++) {
		cw_close(&out[i]);
		cw_close(&errors[i]);
	}
	cw_close(&r->output);
	cw_close(&r->errors);
	cw_close(&r->pidfd);
	return ret;
}

/* ---- its file ---- */

/* Whether the old output is what was printed now, byte for byte. */
static int
is_same(int dirfd, const struct run *r, struct cw_error *err)
{
	int old = openat(dirfd, CW_COMMAND_FILE,
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	uint8_t *a = cw_malloc(2 * (size_t)CHUNK), *b = a + CHUNK;
	uint64_t at = 0;
	struct stat st;
	int ret = 0;

	if (old < 0 || fstat(old, &st) < 0 || !S_ISREG(st.st_mode) ||
	    (uint64_t)st.st_size != r->size)
		goto out;
	ret = 1;
	while (ret == 1 && at < r->size) {
		size_t m = 0, n = 0;

		if (cw_pread_full(old, a, CHUNK, at, &m, err) < 0 ||
		    cw_pread_full(r->file, b, CHUNK, at, &n, err) < 0)
			ret = -1;
		else if (m != n || m == 0 || memcmp(a, b, m) != 0)
			ret = 0;
		at += n;
	}
out:
	cw_close(&old);
	free(a);
	return ret;
}

static int
keep(int dirfd, const struct run *r, bool *is_new, struct cw_error *err)
{
	int same = is_same(dirfd, r, err);

	*is_new = same == 0;
	if (same < 0)
		return -1;
	if (same == 1)
		return unlinkat(dirfd, NEW_FILE, 0) < 0
			   ? cw_error_errno(err, "cannot remove %s", NEW_FILE)
			   : 0;
	/* Data, then name, then directory: the old output or the new one. */
	if (cw_sync(r->file, err) < 0)
		return -1;
	if (renameat(dirfd, NEW_FILE, dirfd, CW_COMMAND_FILE) < 0)
		return cw_error_errno(err, "cannot replace %s/%s",
		    r->root->path, CW_COMMAND_FILE);
	return cw_sync(dirfd, err);
}

static int
run_into(int dirfd, const struct cw_config_store *store,
    const struct cw_config_root *root, struct cw_progress *progress,
    struct cw_error *err)
{
	struct run r = {.store = store,
	    .root = root,
	    .pidfd = -1,
	    .output = -1,
	    .errors = -1,
	    .file = -1,
	    .limit = cw_config_limit(store),
	    .progress = progress};
	char **words = NULL, *path = NULL;
	bool is_new = false;
	struct stat before;
	int ret = -1;

	if (cw_config_words(root->command, &words, err) < 0 ||
	    check_program(words[0], &path, err) < 0)
		goto out;
	if (fstat(dirfd, &before) < 0) {
		cw_error_errno(err, "cannot look at %s", root->path);
		goto out;
	}
	(void)unlinkat(dirfd, NEW_FILE, 0);
	r.file = openat(dirfd, NEW_FILE,
	    O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (r.file < 0) {
		cw_error_errno(err, "cannot make a file in %s", root->path);
		goto out;
	}
	ret = run(&r, path, words, err);
	if (ret == 0)
		ret = keep(dirfd, &r, &is_new, err);
	if (ret < 0)
		(void)unlinkat(dirfd, NEW_FILE, 0);
	/* Nothing is new: the directory does not look as if something were. */
	if (!is_new)
		(void)futimens(
		    dirfd, (struct timespec[]){
			       {.tv_nsec = UTIME_OMIT}, before.st_mtim});
out:
	cw_close(&r.file);
	free(path);
	cw_config_words_free(words);
	return ret;
}

static char *
failure_name(const struct cw_config_root *root)
{
	return cw_asprintf(".%s.failed", root->name);
}

/*
 * Why it failed stands beside its directory, for `status`.  Returns whether it
 * is another end than last time.
 */
static bool
note_end(const struct cw_home *home, const struct cw_config_store *store,
    const struct cw_config_root *root, const struct cw_error *failed)
{
	char *dir =
	    cw_asprintf("%s/commands/%s", home->state_path, store->name);
	char *name = failure_name(root);
	struct cw_buf old = CW_BUF_INIT;
	int dirfd = cw_open_dir(dir, NULL);
	bool is_news = false;

	if (dirfd >= 0 && failed == NULL) {
		is_news = unlinkat(dirfd, name, 0) == 0;
	} else if (dirfd >= 0 &&
		   (cw_read_file(dirfd, name, FAILURE_MAX, &old, NULL) != 0 ||
		       strcmp(cw_buf_string(&old), failed->message) != 0)) {
		(void)cw_save_file(dirfd, name, failed->message,
		    strlen(failed->message), 0600, NULL);
		is_news = true;
	}
	cw_close(&dirfd);
	cw_buf_free(&old);
	free(name);
	free(dir);
	return is_news;
}

/* The directories, the last of them the root's. */
static int
open_dir(const struct cw_home *home, const struct cw_config_store *store,
    const struct cw_config_root *root, struct cw_error *err)
{
	char *notes =
	    cw_asprintf("%s/commands/%s", home->state_path, store->name);
	int ret = cw_make_dirs(notes, 0700, err);

	if (ret == 0)
		ret = cw_home_make_spool(root, err);
	free(notes);
	return ret < 0 ? -1 : cw_open_dir(root->path, err);
}

int
cw_commands_run(const struct cw_home *home, const struct cw_config_store *store,
    struct cw_progress *progress, struct cw_commands *result,
    struct cw_error *err)
{
	*result = (struct cw_commands){.failed = 0};
	for (size_t i = 0; i < store->root_count; i++) {
		const struct cw_config_root *root = &store->roots[i];
		struct cw_error why = CW_ERROR_INIT;
		int dirfd, ret = -1;

		if (root->command == NULL)
			continue;
		cw_progress_start(progress, "running commands", 0, 0);
		dirfd = open_dir(home, store, root, &why);
		if (dirfd >= 0)
			ret = run_into(dirfd, store, root, progress, &why);
		cw_close(&dirfd);
		if (ret < 0 && why.code == CW_ERR_INTERRUPTED) {
			if (err != NULL)
				*err = why;
			return -1;
		}
		if (note_end(home, store, root, ret < 0 ? &why : NULL))
			result->has_news = true;
		if (ret == 0)
			continue;
		(void)cw_error_context(
		    &why, "the command of root %s", root->name);
		result->has_failed[i] = true;
		if (result->failed++ == 0)
			result->first = why;
	}
	return 0;
}

int
cw_commands_judge(
    const struct cw_commands *result, const char *where, struct cw_error *err)
{
	if (result->failed == 0)
		return 0;
	return cw_error_set(err, CW_ERR_MISSING,
	    "%s holds an older output, or none, of %zu command%s that failed; "
	    "all else is as it was found.  %s%.700s",
	    where, result->failed, result->failed == 1 ? "" : "s",
	    result->failed == 1 ? "" : "The first: ", result->first.message);
}

enum cw_command_state
cw_command_look(const struct cw_home *home, const struct cw_config_store *store,
    const struct cw_config_root *root, struct cw_catalog *c, char **why)
{
	size_t count = 0;
	const struct cw_root *known = cw_catalog_roots(c, &count);
	const char *capture = "";
	struct cw_buf text = CW_BUF_INIT;
	char *name;

	*why = NULL;
	for (size_t i = 0; i < count; i++)
		if (strcmp(known[i].name, root->name) == 0)
			capture = known[i].capture;
	if (root->command == NULL)
		return strcmp(capture, CW_CAPTURE_COMMAND) == 0 ||
			       strcmp(capture, CW_CAPTURE_STALE) == 0
			   ? CW_COMMAND_UNTENDED
			   : CW_COMMAND_NONE;
	if (strcmp(capture, CW_CAPTURE_STALE) != 0)
		return CW_COMMAND_FRESH;
	name = cw_asprintf("commands/%s/.%s.failed", store->name, root->name);
	if (cw_read_file(home->state_fd, name, FAILURE_MAX, &text, NULL) == 0)
		*why = cw_strdup(cw_buf_string(&text));
	cw_buf_free(&text);
	free(name);
	return CW_COMMAND_STALE;
}
