#include "site/spawn.h"

#include "base/buf.h"
#include "base/text.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>

/* posix_spawn, as we may have threads. */
int
cw_spawn(const char *path, char *const argv[], char *const env[], int output,
    int errors, int hold, pid_t *pid)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int code;

	(void)sigemptyset(&none);
	(void)sigfillset(&all);
	(void)posix_spawn_file_actions_init(&files);
	(void)posix_spawnattr_init(&attr);
	(void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP |
						  POSIX_SPAWN_SETSIGMASK |
						  POSIX_SPAWN_SETSIGDEF);
	(void)posix_spawnattr_setpgroup(&attr, 0);
	(void)posix_spawnattr_setsigmask(&attr, &none);
	(void)posix_spawnattr_setsigdefault(&attr, &all);
	if ((code = posix_spawn_file_actions_addopen(
		 &files, 0, "/dev/null", O_RDONLY, 0)) == 0 &&
	    (code = posix_spawn_file_actions_adddup2(&files, output, 1)) == 0 &&
	    (code = posix_spawn_file_actions_adddup2(&files, errors, 2)) == 0 &&
	    (hold <= 2 || (code = posix_spawn_file_actions_adddup2(
			       &files, hold, 3)) == 0) &&
	    (code = posix_spawn_file_actions_addclosefrom_np(
		 &files, hold <= 2 ? 3 : 4)) == 0 &&
	    (code = posix_spawn_file_actions_addchdir_np(&files, "/")) == 0)
		code = posix_spawn(pid, path, &files, &attr, argv, env);
	(void)posix_spawn_file_actions_destroy(&files);
	(void)posix_spawnattr_destroy(&attr);
	return code;
}

void
cw_spawn_said(struct cw_error *err, const char *text, size_t len, bool is_cut)
{
	char quoted[CW_QUOTE_MAX];
	size_t room = sizeof(quoted) - 64;
	char *line, *advice;

	if (err == NULL)
		return;
	while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == ' '))
		len--;
	if (len == 0) {
		(void)cw_error_advise(err, "it printed nothing");
		return;
	}
	/* The last words say most. */
	if (len > room) {
		text += len - room;
		len = room;
		is_cut = true;
	}
	line = cw_malloc(len);
	memcpy(line, text, len);
	for (size_t i = 0; i < len; i++)
		if (line[i] == '\n' || line[i] == '\t')
			line[i] = ' ';
	cw_text_quote(line, len, quoted);
	advice = cw_asprintf("it printed: %s%s", is_cut ? "... " : "", quoted);
	(void)cw_error_advise(err, advice);
	free(advice);
	free(line);
}
