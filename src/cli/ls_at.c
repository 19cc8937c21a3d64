#include "cli/ls_at.h"

#include "base/bytes.h"
#include "base/text.h"

#include <string.h>

#define ULL(n) ((unsigned long long)(n))

int
cw_ls_at_parse(const char *text, uint64_t *at, struct cw_error *err)
{
	size_t len = strlen(text);
	char quoted[CW_QUOTE_MAX];

	if (cw_decimal_parse(text, len, INT64_MAX, at) && *at > 0)
		return 0;
	cw_text_quote(text, len, quoted);
	if (text[0] > '0' && text[0] <= '9' &&
	    strspn(text, "0123456789-:.+TZ smhdw") == len &&
	    strpbrk(text, "-:smhdw") != NULL)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "--at %s is a time, and this version does not keep when "
		    "generations were taken; give the number of one (`causeway "
		    "status` says the present one)",
		    quoted);
	return cw_error_set(err, CW_ERR_USAGE,
	    "--at takes the number of a generation, not %s", quoted);
}

/* What is listed, and what of it is known to have changed. */
struct scope {
	struct cw_listing *l;
	uint64_t at;
	int64_t dir;
	const struct cw_buf *top;
	bool is_deep;
	/* Of a name that is not there: was it removed after all? */
	const char *name;
	size_t name_len;
	uint64_t changed, removed;
	struct cw_error *err;
};

static int
count_changed(struct scope *s)
{
	struct cw_walk_query q = CW_WALK_ALL;
	struct cw_walk *walk = NULL;
	struct cw_entry e;
	int got, below = 1;

	q.since = s->at;
	if (!s->is_deep)
		q.dir = s->dir;
	if (cw_walk_open(s->l->catalog, &q, &walk, s->err) < 0)
		return -1;
	while ((got = cw_walk_next(walk, &e, s->err)) > 0) {
		if (s->is_deep)
			below =
			    cw_listing_is_below(s->l, e.dir, s->top, s->err);
		if (below < 0) {
			got = -1;
			break;
		}
		s->changed += below > 0;
	}
	cw_walk_close(walk);
	return got;
}

static int
count_removed(void *arg, int64_t dir, const char *name, size_t len,
    enum cw_kind kind, uint64_t generation)
{
	struct scope *s = arg;
	int below = dir == s->dir;

	(void)kind;
	(void)generation;
	if (s->name != NULL)
		below = below && len == s->name_len &&
			memcmp(name, s->name, len) == 0;
	else if (s->is_deep && !below)
		below = cw_listing_is_below(s->l, dir, s->top, s->err);
	if (below < 0)
		return -1;
	s->removed += below > 0;
	return 0;
}

static int
refuse(const struct scope *s, const char *store)
{
	char quoted[CW_QUOTE_MAX];

	cw_text_quote((const char *)s->top->data, s->top->len, quoted);
	if (s->name != NULL || s->changed + s->removed == 0)
		return cw_error_set(s->err, CW_ERR_REFUSED,
		    "%s of store %s came, changed or went since generation "
		    "%llu, and what was there then is not kept in the catalog",
		    quoted, store, ULL(s->at));
	return cw_error_set(s->err, CW_ERR_REFUSED,
	    "since generation %llu of store %s %llu of the entries to be "
	    "listed came or changed and %llu went, and what was there then is "
	    "not kept in the catalog; name a directory that stayed as it was",
	    ULL(s->at), store, ULL(s->changed), ULL(s->removed));
}

/*
 * Of a path that is not there: the last directory on the way that is, and
 * whether the next name was removed from it.
 */
static int
check_absent(struct scope *s, const char *store)
{
	struct cw_catalog *c = s->l->catalog;
	const char *path = (const char *)s->top->data;
	size_t len = s->top->len, next = 0;
	struct cw_entry e = CW_ENTRY_INIT;
	int found = 1;

	while (found > 0 && len > 0) {
		while (len > 0 && path[len - 1] != '/')
			len--;
		next = len;
		len -= len > 0;
		if (len > 0)
			found =
			    cw_catalog_lookup_path(c, path, len, &e, s->err);
	}
	if (found < 0)
		return -1;
	if (len > 0 && e.generation > s->at)
		return refuse(s, store);
	if (len > 0 && e.kind != CW_KIND_DIR)
		return 0;
	s->dir = len > 0 ? e.child : 0;
	s->name = path + next;
	s->name_len = strcspn(s->name, "/");
	if (cw_catalog_tombstones(c, s->at, count_removed, s, s->err) < 0)
		return -1;
	return s->removed == 0 ? 0 : refuse(s, store);
}

int
cw_ls_at_check(struct cw_listing *l, const char *store, uint64_t at,
    struct cw_buf *top, bool is_deep, struct cw_error *err)
{
	const struct cw_catalog_info *info = cw_catalog_info(l->catalog);
	struct scope s = {
	    .l = l, .at = at, .top = top, .is_deep = is_deep, .err = err};
	struct cw_entry e = CW_ENTRY_INIT;
	int found = 0;

	if (at == info->generation)
		return 0;
	if (at > info->generation)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "store %s is at generation %llu: there is no generation "
		    "%llu yet",
		    store, ULL(info->generation), ULL(at));
	if (at < info->floor)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "what store %s had at generation %llu is not known any "
		    "more: deletions are forgotten up to generation %llu",
		    store, ULL(at), ULL(info->floor));
	(void)cw_buf_string(top);
	if (top->len > 0)
		found = cw_catalog_lookup_path(
		    l->catalog, (const char *)top->data, top->len, &e, err);
	if (found < 0)
		return -1;
	if (found > 0)
		return check_absent(&s, store);
	/* What was touched later may have come later. */
	if (top->len > 0 && e.generation > at)
		return refuse(&s, store);
	if (top->len > 0 && e.kind != CW_KIND_DIR)
		return 0;
	s.dir = top->len > 0 ? e.child : 0;
	if (count_changed(&s) < 0 ||
	    cw_catalog_tombstones(l->catalog, at, count_removed, &s, err) < 0)
		return -1;
	return s.changed + s.removed == 0 ? 0 : refuse(&s, store);
}
