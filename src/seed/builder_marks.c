/*
 * Marks: what the catalog is told of entries that were packed.  They are
 * gathered and told in one transaction.
 */
#include "seed/builder_impl.h"

#include <string.h>

#define TEXT_CHUNK (256u << 10)

void
builder_forget_marks(struct cw_builder *b)
{
	for (size_t i = 0; i < b->mark_text_count; i++)
		cw_buf_reset(&b->mark_text[i]);
	b->mark_count = 0;
}

/* Keeps bytes until the marks are told; never moves what it kept before. */
static const void *
keep(struct cw_builder *b, const void *data, size_t len)
{
	struct cw_buf *text = NULL;

	for (size_t i = b->mark_text_count; i-- > 0;) {
		text = &b->mark_text[i];
		if (text->len > 0 || i == 0)
			break;
	}
	if (text == NULL || text->cap - text->len < len + 1) {
		size_t next =
		    text == NULL ? 0 : (size_t)(text - b->mark_text) + 1;

		if (next == b->mark_text_count) {
			b->mark_text = cw_reallocarray(
			    b->mark_text, next + 1, sizeof(*b->mark_text));
			b->mark_text[next] = (struct cw_buf)CW_BUF_INIT;
			b->mark_text_count++;
		}
		text = &b->mark_text[next];
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
	struct builder_mark *m = &b->marks[b->mark_count++];

	memset(m, 0, sizeof(*m));
	m->entry = *found;
	m->entry.name = keep(b, found->name, found->name_len);
	if (found->target != NULL)
		m->entry.target = keep(b, found->target, found->target_len);
	m->entry.attrs = NULL;
	if (found->attrs != NULL)
		m->entry.attrs = keep(b, found->attrs, found->attrs_len);
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

int
builder_tell_marks(struct cw_builder *b, struct cw_error *err)
{
	struct cw_catalog *c = b->build->catalog;
	int ret = 0;

	if (b->mark_count == 0)
		return 0;
	pthread_mutex_lock(&b->build->catalog_lock);
	ret = cw_catalog_begin(c, err);
	for (size_t i = 0; i < b->mark_count && ret == 0; i++)
		ret = tell(b, c, &b->marks[i], err);
	if (ret == 0)
		ret = cw_catalog_commit(c, err);
	if (ret < 0)
		cw_catalog_rollback(c);
	pthread_mutex_unlock(&b->build->catalog_lock);
	builder_forget_marks(b);
	return ret;
}
