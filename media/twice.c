#include "media/twice.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
cw_twice_read(struct cw_twice *t, int dirfd, const char *name, size_t max)
{
	*t = (struct cw_twice){.has = {false, false}};
	snprintf(t->name[0], sizeof(t->name[0]), "%s", name);
	snprintf(t->name[1], sizeof(t->name[1]), "%s/%s", CW_SET_COPY, name);
	for (int i = 0; i < 2; i++)
		t->has[i] = cw_set_read_file(dirfd, t->name[i], max,
				&t->text[i], &t->errors[i]) == 0;
}

void
cw_twice_free(struct cw_twice *t)
{
	cw_buf_free(&t->text[0]);
	cw_buf_free(&t->text[1]);
}

bool
cw_twice_is_same(const struct cw_twice *t)
{
	return t->has[0] && t->has[1] && t->text[0].len == t->text[1].len &&
	       memcmp(t->text[0].data, t->text[1].data, t->text[0].len) == 0;
}

void
cw_twice_fault(const struct cw_twice *t, int which, struct cw_set *set,
    size_t medium, enum cw_set_fault_kind wrong, enum cw_set_fault_kind unread,
    const char *reason)
{
	const struct cw_error *err = &t->errors[which];
	struct cw_set_fault *f;

	set->faults = cw_reallocarray(
	    set->faults, set->fault_count + 1, sizeof(*set->faults));
	f = &set->faults[set->fault_count++];
	*f = (struct cw_set_fault){
	    .medium = medium,
	    .kind = t->has[which] ? wrong : unread,
	    .is_missing = !t->has[which] && err->code == CW_ERR_MISSING,
	    .size = t->text[which].len,
	};
	snprintf(f->file, sizeof(f->file), "%s", t->name[which]);
	if (f->is_missing)
		f->message = cw_asprintf(
		    "%s/%s is missing", set->media[medium].path, f->file);
	else if (!t->has[which])
		f->message = cw_asprintf("%s/%s can't be read: %s",
		    set->media[medium].path, f->file, err->message);
	else
		f->message = cw_asprintf(
		    "%s/%s %s", set->media[medium].path, f->file, reason);
}
