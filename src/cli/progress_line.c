#include "cli/progress_line.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/text.h"
#include "base/thread.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define NOTE_MAX     128u
#define LINE_MAX_LEN 400u
#define DRAW_MS	     200
#define PLAIN_MS     5000
#define FIRST_MS     1000

struct cw_progress_line {
	struct cw_progress *p;
	bool is_terminal;
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t wake; /* told when is_ending or note change */
	bool is_ending;
	bool is_paused;
	char note[NOTE_MAX];

	/* The rate of the stage that is shown: the thread's alone. */
	const char *what;
	uint64_t last_done;
	int64_t last_ns;
	double rate; /* a second, smoothed over some seconds */
	bool counts_bytes;
};

/* Brings the rate up to now. */
static void
measure(struct cw_progress_line *line, uint64_t done)
{
	int64_t now_ns = cw_clock_ns();
	double passed = (double)(now_ns - line->last_ns) / 1e9;
	double rate, weight;

	if (done < line->last_done || passed <= 0) {
		line->last_done = done;
		line->last_ns = now_ns;
		return;
	}
	rate = (double)(done - line->last_done) / passed;
	/* Half of what is shown is younger than three seconds or so. */
	weight = passed / (passed + 3);
	line->rate =
	    line->rate <= 0 ? rate : line->rate + weight * (rate - line->rate);
	line->last_done = done;
	line->last_ns = now_ns;
}

static void
add_numbers(struct cw_buf *out, uint64_t done, uint64_t total, bool is_bytes,
    double rate)
{
	char a[CW_TEXT_MAX], b[CW_TEXT_MAX];

	/* Nothing was counted: what is done says more than a zero. */
	if (done == 0 && total == 0)
		return;
	if (is_bytes) {
		cw_text_bytes(done, a);
		cw_text_bytes(total, b);
	} else {
		cw_text_count(done, a);
		cw_text_count(total, b);
	}
	cw_buf_printf(out, "  %s", a);
	if (total > 0)
		cw_buf_printf(out, " of %s (%d%%)", b,
		    (int)(done >= total
			      ? 100
			      : 100.0 * (double)done / (double)total));
	if (rate > 0) {
		if (is_bytes)
			cw_text_bytes((uint64_t)rate, a);
		else
			cw_text_count((uint64_t)rate, a);
		cw_buf_printf(out, "  %s/s", a);
	}
	if (rate > 0 && total > done) {
		cw_text_seconds((double)(total - done) / rate, a);
		cw_buf_printf(out, "  ETA %s", a);
	}
}

/* The line as it is now; false while nothing has begun. */
static bool
compose(struct cw_progress_line *line, struct cw_buf *out)
{
	struct cw_progress *p = line->p;
	const char *what = atomic_load(&p->what);
	uint64_t bytes = atomic_load(&p->bytes_done);
	uint64_t bytes_total = atomic_load(&p->bytes_total);
	uint64_t items = atomic_load(&p->items_done);
	uint64_t items_total = atomic_load(&p->items_total);
	bool is_bytes = bytes_total > 0 || bytes > 0;
	uint64_t done = is_bytes ? bytes : items;

	if (what == NULL)
		return false;
	if (what != line->what || is_bytes != line->counts_bytes) {
		line->what = what;
		line->counts_bytes = is_bytes;
		line->rate = 0;
		line->last_done = done;
		line->last_ns = cw_clock_ns();
	} else {
		measure(line, done);
	}
	cw_buf_reset(out);
	cw_buf_text(out, what);
	add_numbers(out, done, is_bytes ? bytes_total : items_total, is_bytes,
	    line->rate);
	if (line->note[0] != '\0')
		cw_buf_printf(out, "  %s", line->note);
	return true;
}

static void
draw(const char *text)
{
	struct winsize size;
	size_t width = LINE_MAX_LEN;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1)
		width = (size_t)size.ws_col - 1;
	(void)fprintf(stderr, "\r%.*s\033[K", (int)width, text);
	(void)fflush(stderr);
}

static void
wait_ms(struct cw_progress_line *line, long ms)
{
	struct timespec until =
	    cw_time_split(cw_clock_ns() + (int64_t)ms * 1000000);

	while (!line->is_ending)
		if (pthread_cond_clockwait(&line->wake, &line->mutex,
			CLOCK_MONOTONIC, &until) != 0)
			break;
}

static void *
run(void *arg)
{
	struct cw_progress_line *line = arg;
	struct cw_buf text = CW_BUF_INIT;
	long shown_ms = 0, due_ms = FIRST_MS;

	(void)pthread_mutex_lock(&line->mutex);
	for (;;) {
		bool has_begun;

		wait_ms(line, DRAW_MS);
		if (line->is_ending)
			break;
		/* Plain lines are rare, but their rate is measured always. */
		has_begun = compose(line, &text);
		shown_ms += DRAW_MS;
		if (line->is_paused)
			continue;
		if (has_begun && line->is_terminal) {
			draw(cw_buf_string(&text));
		} else if (has_begun && shown_ms >= due_ms) {
			(void)fprintf(stderr, "%s\n", cw_buf_string(&text));
			shown_ms = 0;
			due_ms = PLAIN_MS;
		}
	}
	(void)pthread_mutex_unlock(&line->mutex);
	cw_buf_free(&text);
	return NULL;
}

struct cw_progress_line *
cw_progress_line_begin(const struct cw_cli *cli, struct cw_progress *p)
{
	bool is_plain = cli->progress == CW_CLI_PROGRESS_PLAIN;
	struct cw_progress_line *line;

	if (p == NULL || cli->progress == CW_CLI_PROGRESS_NONE ||
	    (!is_plain && (cli->quiet || cli->json)))
		return NULL;
	line = cw_calloc(1, sizeof(*line));
	line->p = p;
	line->is_terminal = !is_plain && isatty(STDERR_FILENO);
	(void)pthread_mutex_init(&line->mutex, NULL);
	(void)pthread_cond_init(&line->wake, NULL);
	if (cw_thread_start(&line->thread, run, line) == 0)
		return line;
	(void)pthread_cond_destroy(&line->wake);
	(void)pthread_mutex_destroy(&line->mutex);
	free(line);
	return NULL;
}

void
cw_progress_line_note(struct cw_progress_line *line, const char *note)
{
	if (line == NULL)
		return;
	(void)pthread_mutex_lock(&line->mutex);
	(void)snprintf(line->note, sizeof(line->note), "%s", note);
	(void)pthread_mutex_unlock(&line->mutex);
}

void
cw_progress_line_pause(struct cw_progress_line *line, bool is_paused)
{
	if (line == NULL)
		return;
	(void)pthread_mutex_lock(&line->mutex);
	line->is_paused = is_paused;
	if (is_paused && line->is_terminal) {
		(void)fputs("\r\033[K", stderr);
		(void)fflush(stderr);
	}
	(void)pthread_mutex_unlock(&line->mutex);
}

void
cw_progress_line_end(struct cw_progress_line *line)
{
	if (line == NULL)
		return;
	(void)pthread_mutex_lock(&line->mutex);
	line->is_ending = true;
	(void)pthread_cond_signal(&line->wake);
	(void)pthread_mutex_unlock(&line->mutex);
	(void)pthread_join(line->thread, NULL);
	if (line->is_terminal)
		(void)fputs("\r\033[K", stderr);
	(void)pthread_cond_destroy(&line->wake);
	(void)pthread_mutex_destroy(&line->mutex);
	free(line);
}
