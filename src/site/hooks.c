#include "site/hooks.h"

#include "base/buf.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/progress.h"
#include "base/text.h"
#include "site/guard.h"
#include "site/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TIMEOUT_DEFAULT_MS 60000u
#define TIMEOUT_MAX_S	   86400u
#define KILL_AFTER_MS	   5000
#define MEDIUM_TIMEOUT_MS  86400000u
#define LOOK_MS		   200 /* whether we are asked to stop */
#define MORE_MAX	   8u

static const char *const names[] = {
    [CW_HOOK_FENCE] = "fence",
    [CW_HOOK_UNFENCE] = "unfence",
    [CW_HOOK_QUIESCE] = "quiesce",
    [CW_HOOK_RESUME] = "resume",
    [CW_HOOK_PROMOTE] = "promote",
    [CW_HOOK_DEMOTE] = "demote",
    [CW_HOOK_ALARM] = "alarm",
    [CW_HOOK_MEDIUM] = "medium",
};

/* What a hook takes over from us. */
static const char *const inherited[] = {
    "CAUSEWAY_HOOKS_CONF", "TZ", "LANG", "LC_ALL"};

const char *
cw_hook_name(enum cw_hook hook)
{
	return names[hook];
}

static const char *
setting(const struct cw_config *config, const char *store, const char *key)
{
	for (size_t i = 0; i < config->setting_count; i++) {
		const struct cw_config_setting *s = &config->settings[i];

		if (strcmp(s->section, "hooks") == 0 &&
		    strcmp(s->name, store) == 0 && strcmp(s->key, key) == 0)
			return s->value;
	}
	return NULL;
}

static unsigned
timeout_of(const char *text)
{
	uint64_t value;

	if (text == NULL || text[0] == '\0' ||
	    !cw_decimal_parse(text, strlen(text) - 1, TIMEOUT_MAX_S, &value))
		return TIMEOUT_DEFAULT_MS;
	switch (text[strlen(text) - 1]) {
	case 'h':
		value *= 3600;
		break;
	case 'm':
		value *= 60;
		break;
	default:
		break;
	}
	return (unsigned)(value > TIMEOUT_MAX_S ? TIMEOUT_MAX_S : value) *
	       1000u;
}

void
cw_hook_settings(const struct cw_config *config, const char *store,
    struct cw_hook_settings *settings)
{
	const char *holders = setting(config, store, "holders");
	const char *guard = setting(config, store, "guard");
	uint64_t number;

	settings->timeout_ms = timeout_of(setting(config, store, "timeout"));
	settings->kill_holders =
	    holders != NULL && strcmp(holders, "kill") == 0;
	settings->guard = CW_GUARD_DEFAULT;
	if (guard != NULL &&
	    cw_decimal_parse(guard, strlen(guard), UINT32_MAX, &number))
		settings->guard = (uint32_t)number;
}

int
cw_hook_check(const struct cw_config *config, const char *store,
    enum cw_hook hook, struct cw_error *err)
{
	const char *path = setting(config, store, names[hook]);
	struct stat st;

	if (path == NULL)
		return 1;
	if (stat(path, &st) < 0) {
		cw_error_errno(err, "the %s hook of store %s: %s", names[hook],
		    store, path);
		if (err != NULL)
			err->code = CW_ERR_USAGE;
		return -1;
	}
	if (!S_ISREG(st.st_mode))
		return cw_error_set(err, CW_ERR_USAGE,
		    "the %s hook of store %s: %s is not a file", names[hook],
		    store, path);
	if (access(path, X_OK) < 0)
		return cw_error_set(err, CW_ERR_USAGE,
		    "the %s hook of store %s: %s is not executable; chmod +x "
		    "it",
		    names[hook], store, path);
	if ((st.st_mode & S_IWOTH) != 0)
		return cw_error_set(err, CW_ERR_USAGE,
		    "the %s hook of store %s: %s may be written by everybody; "
		    "chmod o-w it",
		    names[hook], store, path);
	return 0;
}

static char **
make_environment(const struct cw_config_store *store, enum cw_hook hook,
    const struct cw_hook_call *call)
{
	struct cw_buf roots = CW_BUF_INIT;
	char **env = cw_calloc(16 + MORE_MAX, sizeof(*env));
	size_t n = 0;

	for (size_t i = 0; i < store->root_count; i++)
		cw_buf_printf(
		    &roots, "%s%s", i == 0 ? "" : "\n", store->roots[i].path);
	env[n++] = cw_strdup("PATH=" CW_SPAWN_PATH);
	env[n++] = cw_asprintf("CAUSEWAY_HOOK=%s", names[hook]);
	env[n++] = cw_asprintf("CAUSEWAY_STORE=%s", store->name);
	env[n++] = cw_asprintf("CAUSEWAY_ROOTS=%s", cw_buf_string(&roots));
	env[n++] = cw_asprintf("CAUSEWAY_ROLE=%s", call->role);
	env[n++] =
	    cw_asprintf("CAUSEWAY_EPOCH=%llu", (unsigned long long)call->epoch);
	env[n++] = cw_asprintf("CAUSEWAY_REASON=%s", call->reason);
	for (size_t i = 0;
	     call->more != NULL && call->more[i] != NULL && i < MORE_MAX; i++)
		env[n++] = cw_strdup(call->more[i]);
	for (size_t i = 0; i < sizeof(inherited) / sizeof(*inherited); i++) {
		const char *value = getenv(inherited[i]);

		if (value != NULL)
			env[n++] = cw_asprintf("%s=%s", inherited[i], value);
	}
	cw_buf_free(&roots);
	return env;
}

static void
free_environment(char **env)
{
	for (size_t i = 0; env[i] != NULL; i++)
		free(env[i]);
	free(env);
}

struct run {
	pid_t pid;
	int pidfd;
	int output; /* the reading end, -1 after its end */
	char text[CW_HOOK_OUTPUT_MAX];
	size_t len;
	bool is_cut;
	bool timed_out;
	bool is_awaited; /* its answer: who is asked to stop does not wait */
	bool was_stopped;
};

/* Keeps the end of the output.  False: nothing there now, or ever again. */
static bool
take_output(struct run *run)
{
	char chunk[1024];
	ssize_t n = read(run->output, chunk, sizeof(chunk));
	size_t over;

	if (n < 0)
		return errno == EINTR;
	if (n == 0) {
		cw_close(&run->output);
		return false;
	}
	if (run->len + (size_t)n > sizeof(run->text)) {
		over = run->len + (size_t)n - sizeof(run->text);
		memmove(run->text, run->text + over, run->len - over);
		run->len -= over;
		run->is_cut = true;
	}
	memcpy(run->text + run->len, chunk, (size_t)n);
	run->len += (size_t)n;
	return true;
}

/*
 * Until the hook itself has ended.  Its output may be held open by a service
 * that it started, so the end of that says nothing.
 */
static void
watch(struct run *run, unsigned timeout_ms)
{
	int64_t end = cw_clock_ms() + timeout_ms;
	bool is_asked = false;

	for (;;) {
		struct pollfd fds[2] = {
		    {.fd = run->pidfd, .events = POLLIN},
		    {.fd = run->output, .events = POLLIN},
		};
		int64_t left = end - cw_clock_ms();

		if (run->is_awaited && cw_stop_requested())
			run->was_stopped = true;
		if (run->was_stopped && !is_asked)
			left = 0;
		if (left <= 0 && !is_asked) {
			run->timed_out = is_asked = true;
			(void)kill(-run->pid, SIGTERM);
			end = cw_clock_ms() + KILL_AFTER_MS;
			continue;
		}
		if (left <= 0) {
			(void)kill(-run->pid, SIGKILL);
			left = 1000;
		}
		if (run->is_awaited && left > LOOK_MS)
			left = LOOK_MS;
		if (poll(fds, 2, (int)left) < 0 && errno != EINTR)
			break;
		if (fds[1].revents != 0)
			(void)take_output(run);
		if ((fds[0].revents & POLLIN) != 0)
			break;
	}
	/* What is in the pipe, and no more than a pipe holds. */
	for (int i = 0; run->output >= 0 && i < 1024; i++)
		if (!take_output(run))
			break;
	/* Its children have had their time as well. */
	if (run->timed_out)
		(void)kill(-run->pid, SIGKILL);
}

static int
judge(struct run *run, const char *store, enum cw_hook hook, const char *path,
    unsigned timeout_ms, int status, struct cw_error *err)
{
	char took[CW_TEXT_MAX];

	if (run->was_stopped) {
		return cw_stop_check(err);
	} else if (run->timed_out) {
		cw_text_seconds(timeout_ms / 1000.0, took);
		cw_error_set(err, CW_ERR_FAILED,
		    "the %s hook of store %s (%s) did not end within %s and "
		    "was stopped",
		    names[hook], store, path, took);
	} else if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		return 0;
	} else if (WIFEXITED(status)) {
		cw_error_set(err, CW_ERR_FAILED,
		    "the %s hook of store %s (%s) ended with status %d",
		    names[hook], store, path, WEXITSTATUS(status));
	} else {
		cw_error_set(err, CW_ERR_FAILED,
		    "the %s hook of store %s (%s) was killed by signal %d",
		    names[hook], store, path,
		    WIFSIGNALED(status) ? WTERMSIG(status) : 0);
	}
	cw_spawn_said(err, run->text, run->len, run->is_cut);
	return -1;
}

int
cw_hook_run(const struct cw_config *config, const struct cw_config_store *store,
    enum cw_hook hook, const struct cw_hook_call *call, struct cw_error *err)
{
	const char *path = setting(config, store->name, names[hook]);
	struct run run = {.pidfd = -1, .output = -1};
	struct cw_hook_settings settings;
	char **env = NULL;
	unsigned timeout_ms;
	char *argv[] = {NULL, NULL};
	int ends[2] = {-1, -1};
	int code, status = 0, ret;

	ret = cw_hook_check(config, store->name, hook, err);
	if (ret != 0)
		return ret;
	ret = -1;
	cw_hook_settings(config, store->name, &settings);
	timeout_ms =
	    hook == CW_HOOK_MEDIUM ? MEDIUM_TIMEOUT_MS : settings.timeout_ms;
	run.is_awaited = call->answer != NULL;
	if (pipe2(ends, O_CLOEXEC) < 0) {
		cw_error_errno(err, "cannot make a pipe");
		goto out;
	}
	(void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
	run.output = ends[0];
	env = make_environment(store, hook, call);
	argv[0] = cw_strdup(path);
	code = cw_spawn(path, argv, env, ends[1],
	    call->answer == NULL ? ends[1] : STDERR_FILENO, call->hold,
	    &run.pid);
	cw_close(&ends[1]);
	if (code != 0) {
		errno = code;
		cw_error_errno(err, "cannot run the %s hook of store %s, %s",
		    names[hook], store->name, path);
		if (err != NULL)
			err->code = CW_ERR_FAILED;
		goto out;
	}
	run.pidfd = pidfd_open(run.pid, 0);
	if (run.pidfd < 0) {
		cw_error_errno(err, "cannot watch the %s hook", names[hook]);
		(void)kill(-run.pid, SIGKILL);
	} else {
		watch(&run, timeout_ms);
	}
	while (waitpid(run.pid, &status, 0) < 0 && errno == EINTR)
		;
	if (run.pidfd >= 0)
		ret = judge(
		    &run, store->name, hook, path, timeout_ms, status, err);
	if (ret == 0 && call->answer != NULL)
		cw_buf_append(call->answer, run.text, run.len);
out:
	if (env != NULL)
		free_environment(env);
	free(argv[0]);
	cw_close(&ends[1]);
	cw_close(&run.output);
	cw_close(&run.pidfd);
	return ret;
}
