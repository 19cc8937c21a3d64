/*
 * The conversation of a source: what the replica asks becomes work that waits,
 * and steps take it up in turn: contents before rows, since the replica wants
 * what it asked for, and rows before comparisons.
 */
#include "sync/source_impl.h"

#include "base/fs.h"
#include "store/scan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int
cw_sync_source_new(const struct cw_sync_source_options *options,
    struct cw_sync_source **out, struct cw_error *err)
{
	struct cw_sync_source *s = cw_calloc(1, sizeof(*s));

	s->o = *options;
	s->sending.fd = -1;
	if (cw_catalog_open(
		options->catalog_path, CW_CATALOG_READ, &s->catalog, err) < 0) {
		free(s);
		return -1;
	}
	s->writer = cw_wire_writer_new();
	s->rows = cw_rows_new();
	s->buf = cw_malloc(SOURCE_BUF);
	cw_pace_init(&s->pace);
	s->state.generation = cw_catalog_info(s->catalog)->generation;
	*out = s;
	return 0;
}

void
cw_sync_source_free(struct cw_sync_source *s)
{
	if (s == NULL)
		return;
	source_forget_wants(s);
	free(s->items);
	free(s->ranges);
	free(s->buf);
	cw_buf_free(&s->paths);
	cw_rows_free(s->rows);
	cw_wire_writer_free(s->writer);
	cw_catalog_close(s->catalog);
	free(s);
}

int
source_send(struct cw_sync_source *s, enum cw_frame_type type,
    const ProtobufCMessage *m, int level, struct cw_error *err)
{
	struct cw_frame frame;

	if (cw_wire_encode(s->writer, type, m, level, &frame, err) < 0 ||
	    cw_link_send_frame(s->o.link, &frame, err) < 0)
		return -1;
	return 0;
}

int
source_open(struct cw_sync_source *s, const char *dir_path, size_t len,
    const struct cw_entry *e, int *fd, struct cw_error *err)
{
	const char *slash = memchr(dir_path, '/', len);
	size_t root_len = slash != NULL ? (size_t)(slash - dir_path) : len;
	char *below;
	struct stat st;
	int rootfd = -1;

	*fd = -1;
	for (size_t i = 0; i < s->o.root_count; i++)
		if (strlen(s->o.roots[i].name) == root_len &&
		    memcmp(s->o.roots[i].name, dir_path, root_len) == 0)
			rootfd = s->o.roots[i].dirfd;
	if (rootfd < 0)
		return 1;
	below = cw_asprintf("%.*s%s%.*s",
	    slash != NULL ? (int)(len - root_len - 1) : 0,
	    slash != NULL ? slash + 1 : "", slash != NULL ? "/" : "",
	    (int)e->name_len, e->name);
	*fd = cw_scan_open(rootfd, below, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
	free(below);
	if (*fd < 0) {
		/* Out of descriptors or memory is no property of the file. */
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
			return cw_error_errno(err, "cannot open a file of the "
						   "store to send it");
		return 1;
	}
	/*
	 * One that was appended to since still begins with what it was; the
	 * digest decides.
	 */
	if (fstat(*fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    (uint64_t)st.st_size < e->size) {
		cw_close(fd);
		return 1;
	}
	return 0;
}

static int
start(struct cw_sync_source *s, const Cw__Start *m, struct cw_error *err)
{
	const struct cw_catalog_info *info;

	if (cw_catalog_refresh(s->catalog, err) < 0)
		return -1;
	info = cw_catalog_info(s->catalog);
	source_forget_wants(s);
	cw_buf_reset(&s->paths);
	s->paths_at = 0;
	s->serial = m->serial;
	s->since = m->since;
	s->is_first = true;
	s->is_done = false;
	s->in_dirs = s->is_comparing = false;
	memset(&s->at, 0, sizeof(s->at));
	if (!s->state.has_started) {
		s->state.has_started = true;
		s->state.since = m->since;
	}
	/*
	 * Deletions at or below the floor are forgotten: a replica that may
	 * not know of them is compared.  An empty one needs none.
	 */
	if (m->all || m->since > info->generation ||
	    (m->since < info->floor && m->since > 0)) {
		s->in_dirs = s->is_comparing = true;
		s->dirs_after = -1;
		s->dirs_generation = info->generation;
		s->since = info->generation;
		return 0;
	}
	s->at.generation = m->generation;
	s->at.is_put = m->is_put;
	s->at.dir = m->dir <= INT64_MAX ? (int64_t)m->dir : 0;
	s->at.name_len = m->name.len;
	if (m->name.len > 0)
		memcpy(s->at.name, m->name.data, m->name.len);
	s->at.name[m->name.len] = '\0';
	return 0;
}

static int
ack(struct cw_sync_source *s, const Cw__Ack *m, struct cw_error *err)
{
	/* What it acknowledges must have been offered to it. */
	if (!s->has_ended || m->generation > s->end_generation ||
	    m->digest.len != CW_STATE_SIZE)
		return cw_error_set(err, CW_ERR_FORMAT,
		    "the peer acknowledged a generation that it was not sent");
	if (s->o.acked != NULL &&
	    s->o.acked(s->o.arg, m->generation, m->digest.data, err) < 0)
		return -1;
	s->state.has_acked = true;
	s->state.acked = m->generation;
	memcpy(s->state.acked_digest, m->digest.data, CW_STATE_SIZE);
	/* The next plan begins there, behind all that was sent. */
	s->since = m->generation;
	if (s->at.generation <= s->since)
		memset(&s->at, 0, sizeof(s->at));
	s->is_first = true;
	return 0;
}

int
cw_sync_source_take(struct cw_sync_source *s, const struct cw_wire_msg *msg,
    struct cw_error *err)
{
	switch (msg->type) {
	case CW_FRAME_START:
		return start(s, msg->start, err);
	case CW_FRAME_WANT:
		return source_want(s, msg->want, err);
	case CW_FRAME_ACK:
		return ack(s, msg->ack, err);
	case CW_FRAME_ROW_WANT:
		return source_row_want(s, msg->row_want, err);
	case CW_FRAME_DIR_WANT:
		return source_dir_want(s, msg->dir_want, err);
	default:
		return cw_error_set(err, CW_ERR_FORMAT,
		    "the peer sent %s to the active site",
		    cw_frame_name(msg->type));
	}
}

void
cw_sync_source_advance(struct cw_sync_source *s, uint64_t generation)
{
	if (!s->is_done || s->is_comparing || generation <= s->since)
		return;
	s->since = generation;
	if (s->at.generation <= generation)
		memset(&s->at, 0, sizeof(s->at));
	s->is_first = true;
}

void
cw_sync_source_wake(struct cw_sync_source *s, uint64_t settled)
{
	/* The plan goes on where it ended. */
	s->is_done = s->is_waiting = false;
	if (settled > s->settled)
		s->settled = settled;
}

int
cw_sync_source_step(struct cw_sync_source *s, struct cw_error *err)
{
	int did;

	if (!s->state.has_started)
		return 0;
	if ((did = source_data(s, err)) != 0 ||
	    (did = source_dirs(s, err)) != 0)
		return did;
	return source_plan(s, err);
}

bool
cw_sync_source_is_waiting(const struct cw_sync_source *s)
{
	return s->is_waiting;
}

void
cw_sync_source_state(
    const struct cw_sync_source *s, struct cw_sync_source_state *out)
{
	*out = s->state;
}
