#include "base/log.h"

#include "base/text.h"

#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char who_speaks[CW_LOG_WHO];
static enum cw_log_level most_shown = CW_LOG_INFO;
static unsigned lost;

void
cw_log_who(const char *who)
{
	(void)snprintf(
	    who_speaks, sizeof(who_speaks), "%s", who == NULL ? "" : who);
}

void
cw_log_limit(enum cw_log_level most)
{
	most_shown = most;
}

/* Adds text as people may see it; the last byte stays free for the newline. */
static size_t
add_quoted(char *out, size_t at, size_t size, const char *text)
{
	static const char hex[] = "0123456789abcdef";
	size_t len = strlen(text);

	for (size_t i = 0; i < len;) {
		size_t n = cw_text_printable(text + i, len - i);
		size_t need = n == 0 ? 4 : n;

		/* Room for the dots and the newline behind it. */
		if (at + need + 4 > size) {
			if (at + 4 <= size) {
				memcpy(out + at, "...", 3);
				at += 3;
			}
			break;
		}
		if (n == 0) {
			out[at++] = '\\';
			out[at++] = 'x';
			out[at++] = hex[(uint8_t)text[i] >> 4];
			out[at++] = hex[(uint8_t)text[i] & 15];
			n = 1;
		} else {
			memcpy(out + at, text + i, n);
			at += n;
		}
		i += n;
	}
	return at;
}

size_t
cw_log_format(enum cw_log_level level, const char *who, const char *message,
    bool for_journal, int64_t at, char *out, size_t size)
{
	char head[CW_TIME_TEXT + 4];
	size_t len;

	if (size < 64)
		return 0;
	if (for_journal) {
		(void)snprintf(head, sizeof(head), "<%d>", (int)level);
	} else {
		cw_time_format(at, head);
		(void)strcat(head, " ");
	}
	len = strlen(head);
	memcpy(out, head, len);
	if (who != NULL && who[0] != '\0') {
		len = add_quoted(out, len, size, who);
		len = add_quoted(out, len, size, ": ");
	}
	len = add_quoted(out, len, size, message);
	out[len++] = '\n';
	return len;
}

/* Whether the journal reads our standard error: systemd.exec(5). */
static bool
is_for_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	char own[64];
	struct stat st;

	if (stream == NULL || fstat(STDERR_FILENO, &st) < 0)
		return false;
	(void)snprintf(own, sizeof(own), "%" PRIuMAX ":%" PRIuMAX,
	    (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	return strcmp(stream, own) == 0;
}

/* Whether all of it was taken, without waiting. */
static bool
put(const char *line, size_t len)
{
	struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};

	return poll(&p, 1, 0) == 1 && (p.revents & POLLOUT) != 0 &&
	       write(STDERR_FILENO, line, len) == (ssize_t)len;
}

static void
put_message(enum cw_log_level level, const char *message)
{
	struct timespec now;
	char line[CW_LOG_MAX];
	size_t len;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	len = cw_log_format(level, who_speaks, message, is_for_journal(),
	    (int64_t)now.tv_sec, line, sizeof(line));
	if (!put(line, len))
		lost++;
}

void
cw_log(enum cw_log_level level, const char *fmt, ...)
{
	char text[CW_LOG_MAX];
	unsigned were_lost = lost;
	va_list ap;

	if (level > most_shown)
		return;
	if (were_lost > 0) {
		lost = 0;
		(void)snprintf(
		    text, sizeof(text), "%u lines were lost here", were_lost);
		put_message(CW_LOG_WARNING, text);
		if (lost > 0) {
			lost = were_lost + 1;
			return;
		}
	}
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	put_message(level, text);
}
