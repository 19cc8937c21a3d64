#include "cli/ask.h"

#include "base/buf.h"
#include "base/crypto.h"
#include "base/fs.h"
#include "base/progress.h"
#include "site/control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <termios.h>
#include <unistd.h>

#define PASSPHRASE_ENV "CAUSEWAY_PASSPHRASE"
#define PASSPHRASE_MAX 1024u
#define ANSWER_MAX     4096u
#define LOOK_MS	       200 /* whether we are asked to stop */

static int
open_terminal(void)
{
	/* A command that was handed over asks where it was typed. */
	if (cw_control_is_taken_over())
		return cw_control_terminal() < 0
			   ? -1
			   : fcntl(cw_control_terminal(), F_DUPFD_CLOEXEC, 0);
	return open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
}

/* One line from the terminal, without its newline; a signal ends the wait. */
static int
read_line(int tty, char *out, size_t size, struct cw_error *err)
{
	size_t len = 0;

	for (;;) {
		struct pollfd p = {.fd = tty, .events = POLLIN};
		char c;
		ssize_t n;

		if (cw_stop_check(err) < 0)
			return -1;
		/* The signal may have come to another thread. */
		switch (poll(&p, 1, LOOK_MS)) {
		case 0:
			continue;
		case -1:
			if (errno == EINTR)
				continue;
			return cw_error_errno(err, "cannot wait for input");
		default:
			break;
		}
		n = read(tty, &c, 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return cw_error_set(err, CW_ERR_REFUSED,
			    "no answer came from the terminal");
		if (c == '\n')
			break;
		if (len + 1 == size)
			return cw_error_set(err, CW_ERR_USAGE,
			    "the answer is longer than %zu bytes", size - 1);
		out[len++] = c;
	}
	out[len] = '\0';
	return 0;
}

static int
ask_secret(int tty, const char *prompt, char *out, struct cw_error *err)
{
	struct termios old, quiet;
	int ret = -1;

	if (tcgetattr(tty, &old) < 0)
		return cw_error_errno(err, "cannot use the terminal");
	quiet = old;
	quiet.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
	if (tcsetattr(tty, TCSAFLUSH, &quiet) < 0)
		return cw_error_errno(err, "cannot use the terminal");
	if (cw_write_all(tty, prompt, strlen(prompt), err) == 0)
		ret = read_line(tty, out, PASSPHRASE_MAX, err);
	(void)tcsetattr(tty, TCSAFLUSH, &old);
	(void)cw_write_all(tty, "\n", 1, NULL);
	return ret;
}

/* The variable's value, taken out of the environment of our children. */
static char *
take_variable(void)
{
	char *value = getenv(PASSPHRASE_ENV);
	char *copy;
	size_t len;

	if (value == NULL)
		return NULL;
	len = strlen(value);
	copy = cw_secret_alloc(len + 1);
	memcpy(copy, value, len);
	explicit_bzero(value, len);
	(void)unsetenv(PASSPHRASE_ENV);
	return copy;
}

static int
ask_terminal(const char *what, bool is_new, char *text, struct cw_error *err)
{
	char *prompt = cw_asprintf(
	    "%s for %s: ", is_new ? "New passphrase" : "Passphrase", what);
	char *again = cw_secret_alloc(PASSPHRASE_MAX);
	int tty = open_terminal(), ret = -1;

	if (tty < 0) {
		cw_error_set(err, CW_ERR_REFUSED,
		    "no passphrase for %s: there is no terminal to ask on; "
		    "set " PASSPHRASE_ENV,
		    what);
		goto out;
	}
	if (ask_secret(tty, prompt, text, err) < 0)
		goto out;
	if (is_new) {
		if (ask_secret(tty, "Once more: ", again, err) < 0)
			goto out;
		if (strcmp(text, again) != 0) {
			cw_error_set(err, CW_ERR_REFUSED,
			    "the two passphrases differ; try again");
			goto out;
		}
	}
	ret = 0;
out:
	cw_close(&tty);
	cw_secret_free(again);
	free(prompt);
	return ret;
}

static const char *
passphrase(
    struct cw_cli *cli, const char *what, bool is_new, struct cw_error *err)
{
	char *text;

	if (cli->passphrase != NULL)
		return cli->passphrase;
	text = take_variable();
	if (text == NULL) {
		text = cw_secret_alloc(PASSPHRASE_MAX);
		if (ask_terminal(what, is_new, text, err) < 0) {
			cw_secret_free(text);
			return NULL;
		}
	}
	if (text[0] == '\0') {
		cw_secret_free(text);
		cw_error_set(err, CW_ERR_REFUSED, "the passphrase is empty");
		return NULL;
	}
	cli->passphrase = text;
	return text;
}

const char *
cw_ask_passphrase(struct cw_cli *cli, const char *what, struct cw_error *err)
{
	return passphrase(cli, what, false, err);
}

const char *
cw_ask_new_passphrase(
    struct cw_cli *cli, const char *what, struct cw_error *err)
{
	return passphrase(cli, what, true, err);
}

int
cw_ask_line(struct cw_cli *cli, const char *question, char **answer,
    struct cw_error *err)
{
	char text[ANSWER_MAX];
	int tty = -1, ret = -1;

	(void)cli;
	*answer = NULL;
	/* Both ends: a script may have a terminal and not look at it. */
	if (isatty(STDIN_FILENO) && isatty(STDERR_FILENO))
		tty = open_terminal();
	if (tty < 0)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "there is no terminal to ask: \"%s\"", question);
	if (cw_write_all(tty, question, strlen(question), err) == 0 &&
	    cw_write_all(tty, " ", 1, err) == 0)
		ret = read_line(tty, text, sizeof(text), err);
	cw_close(&tty);
	if (ret == 0)
		*answer = cw_strdup(text);
	return ret;
}

int
cw_ask_yes(struct cw_cli *cli, bool has_yes, const char *question,
    struct cw_error *err)
{
	char *prompt, *answer = NULL;
	int ret;

	if (has_yes)
		return 0;
	if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
		return cw_error_set(err, CW_ERR_REFUSED,
		    "not without confirmation: \"%s\"  Add --yes, or run it on "
		    "a terminal",
		    question);
	prompt = cw_asprintf("%s [yes/no]", question);
	ret = cw_ask_line(cli, prompt, &answer, err);
	free(prompt);
	if (ret < 0)
		return -1;
	if (strcasecmp(answer, "yes") != 0)
		ret = cw_error_set(
		    err, CW_ERR_REFUSED, "not confirmed; nothing was done");
	free(answer);
	return ret;
}
