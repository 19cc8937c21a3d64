/*
 * Marks: what the catalog is told of entries that were packed.  They are
 * gathered, and told in one transaction while the builder goes on.
 */
#include "seed/builder_impl.h"

#include "base/thread.h"

#include <stdlib.h>
#include <string.h>

#define TEXT_CHUNK (256u << 10)

static void
empty(struct builder_marks *m)
{
	for (size_t i = 0; i < m->text_count; i++)
		cw_buf_reset(&m->text[i]);
	m->count = 0;
}

/* Keeps bytes until the marks are told; never moves what it kept before. */
static const void *
keep(struct builder_marks *m, const void *data, size_t len)
{
	struct cw_buf *text = NULL;

	for (size_t i = m->text_count; i-- > 0;) {
		text = &m->text[i];
		if (text->len > 0 || i == 0)
			break;
	}
	if (text == NULL || text->cap - text->len < len + 1) {
		size_t next = text == NULL ? 0 : (size_t)(text - m->text) + 1;

		if (next == m->text_count) {
			m->text = cw_reallocarray(
			    m->text, next + 1, sizeof(*m->text));
			m->text[next] = (struct cw_buf)CW_BUF_INIT;
			m->text_count++;
		}
		text = &m->text[next];
		(void)cw_buf_reserve(
		    text, len + 1 > TEXT_CHUNK ? len + 1 : TEXT_CHUNK);
	}
	uint8_t *at = text->data + text->len;

	if (len > 0)
		memcpy(at, data, len);
	at[len] = '\0';
	text->len += len + 1;
	return at;
}

struct builder_mark *
builder_mark(
    struct cw_builder *b, const struct cw_entry *found, bool has_changed)
{
	struct builder_marks *to = &b->marks;
	struct builder_mark *m;

	if (to->items == NULL)
		to->items = cw_calloc(BUILDER_MARKS_MAX, sizeof(*to->items));
	m = &to->items[to->count++];
	memset(m, 0, sizeof(*m));
	m->entry = *found;
	m->entry.name = keep(to, found->name, found->name_len);
	if (found->target != NULL)
		m->entry.target = keep(to, found->target, found->target_len);
	m->entry.attrs = NULL;
	if (found->attrs != NULL)
		m->entry.attrs = keep(to, found->attrs, found->attrs_len);
	m->has_changed = has_changed;
	return m;
}

static int
tell(struct cw_builder *b, struct cw_catalog *c, struct builder_mark *m,
    struct cw_error *err)
{
	struct cw_build *build = b->build;
	const struct cw_entry *e = &m->entry;
	uint64_t generation;

	if (m->is_fresh)
		return cw_catalog_clear_parts(
		    c, e->dir, e->name, e->name_len, err);
	if (m->parts > 0)
		return cw_catalog_mark_part(c, e->dir, e->name, e->name_len,
		    m->part, m->parts, e->volume, err);
	if (m->is_void) {
		/* No row has this time: the member is superseded. */
		m->entry.mtime_ns = INT64_MIN;
		if (cw_catalog_clear_parts(
			c, e->dir, e->name, e->name_len, err) < 0)
			return -1;
		if (!m->is_unreadable && !m->is_late)
			atomic_fetch_add(&build->moved, 1);
	} else if (m->has_changed) {
		/*
		 * A follower at this generation must learn of it: a new one.
		 */
		generation = cw_catalog_info(c)->generation + 1;
		if ((m->is_cut
			    ? cw_catalog_put_cut(c, e, generation, err)
			    : cw_catalog_put(c, e, generation, NULL, err)) < 0)
			return -1;
		cw_catalog_set_generation(c, generation);
		atomic_fetch_add(&build->packed, 1);
		return 0;
	}
	switch (cw_catalog_mark_packed(c, e, e->volume, err)) {
	case 0:
		atomic_fetch_add(&build->packed, 1);
		return 0;
	case 1:
		if (m->is_late) {
			/* If there is another scan, it finds it again. */
			generation = cw_catalog_info(c)->generation + 1;
			if (cw_catalog_remove(c, e->dir, e->name, e->name_len,
				generation, err) < 0)
				return -1;
			cw_catalog_set_generation(c, generation);
		} else if (!m->is_void) {
			atomic_fetch_add(&build->moved, 1);
		}
		return 0;
	default:
		return -1;
	}
}

static int
tell_all(struct cw_builder *b, struct builder_marks *m, struct cw_error *err)
{
	struct cw_catalog *c = b->build->catalog;
	int ret = 0;

	if (m->count == 0)
		return 0;
	pthread_mutex_lock(&b->build->catalog_lock);
	ret = cw_catalog_begin(c, err);
	for (size_t i = 0; i < m->count && ret == 0; i++)
		ret = tell(b, c, &m->items[i], err);
	if (ret == 0)
		ret = cw_catalog_commit(c, err);
	if (ret < 0)
		cw_catalog_rollback(c);
	pthread_mutex_unlock(&b->build->catalog_lock);
	empty(m);
	return ret;
}

static void *
tell_before(void *arg)
{
	struct cw_builder *b = arg;

	b->told = tell_all(b, &b->before, &b->tell_err);
	return NULL;
}

static int
await(struct cw_builder *b, struct cw_error *err)
{
	if (!b->is_telling)
		return 0;
	pthread_join(b->teller, NULL);
	b->is_telling = false;
	if (b->told < 0 && err != NULL)
		*err = b->tell_err;
	return b->told;
}

int
builder_hand_marks(struct cw_builder *b, struct cw_error *err)
{
	struct builder_marks full = b->marks;

	if (await(b, err) < 0)
		return -1;
	b->marks = b->before;
	b->before = full;
	b->tell_err = (struct cw_error)CW_ERROR_INIT;
	b->is_telling = cw_thread_start(&b->teller, tell_before, b) == 0;
	return b->is_telling ? 0 : tell_all(b, &b->before, err);
}

int
builder_tell_marks(struct cw_builder *b, struct cw_error *err)
{
	if (await(b, err) < 0)
		return -1;
	return tell_all(b, &b->marks, err);
}

void
builder_forget_marks(struct cw_builder *b)
{
	(void)await(b, NULL);
	empty(&b->marks);
}

static void
free_marks(struct builder_marks *m)
{
	for (size_t i = 0; i < m->text_count; i++)
		cw_buf_free(&m->text[i]);
	free(m->text);
	free(m->items);
}

void
builder_free_marks(struct cw_builder *b)
{
	(void)await(b, NULL);
	free_marks(&b->marks);
	free_marks(&b->before);
}
