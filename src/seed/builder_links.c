/*
 * Hard links within a volume: a file that the open volume holds already under
 * another name becomes a link to it.
 */
#include "seed/builder_impl.h"

#include <stdlib.h>
#include <string.h>

/* Hard links that are remembered for one volume. */
#define LINKS_MAX  65536u
#define LINK_SLOTS (2 * LINKS_MAX)

void
builder_forget_links(struct cw_builder *b)
{
	if (b->link_count == 0)
		return;
	for (size_t i = 0; i < LINK_SLOTS; i++) {
		free(b->links[i].path);
		b->links[i].path = NULL;
	}
	b->link_count = 0;
}

static struct builder_link *
link_slot(struct cw_builder *b, int64_t group)
{
	size_t i = (size_t)((uint64_t)group * 0x9e3779b97f4a7c15ull >> 47) %
		   LINK_SLOTS;

	if (b->links == NULL)
		b->links = cw_calloc(LINK_SLOTS, sizeof(*b->links));
	while (b->links[i].path != NULL && b->links[i].group != group)
		i = (i + 1) % LINK_SLOTS;
	return &b->links[i];
}

void
builder_remember_link(
    struct cw_builder *b, const struct cw_entry *e, const char *path)
{
	struct builder_link *l;

	if (e->linkgroup == 0 || b->link_count == LINKS_MAX)
		return;
	l = link_slot(b, e->linkgroup);
	if (l->path == NULL)
		b->link_count++;
	free(l->path);
	l->path = cw_strdup(path);
	l->group = e->linkgroup;
	l->ino = e->ino;
	l->size = e->size;
	l->mtime_ns = e->mtime_ns;
	memcpy(l->digest, e->digest, sizeof(l->digest));
}

/* The same file, if this volume holds it under another name. */
const struct builder_link *
builder_find_link(struct cw_builder *b, const struct cw_entry *e)
{
	const struct builder_link *l;

	if (e->linkgroup == 0 || b->link_count == 0)
		return NULL;
	l = link_slot(b, e->linkgroup);
	return l->path != NULL && l->ino == e->ino && l->size == e->size &&
		       l->mtime_ns == e->mtime_ns
		   ? l
		   : NULL;
}
