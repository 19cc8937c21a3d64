/*
 * Names of users and groups, asked of the system once each.
 */
#include "store/scan_impl.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#define OWNERS_CHECKED 64u

static char *
system_name(char kind, uint32_t number)
{
	size_t size = 1024;
	char *buf = cw_malloc(size), *name = NULL;
	struct passwd pw, *pw_found = NULL;
	struct group gr, *gr_found = NULL;
	int got;

	for (;;) {
		got = kind == 'u'
			  ? getpwuid_r(number, &pw, buf, size, &pw_found)
			  : getgrgid_r(number, &gr, buf, size, &gr_found);
		if (got != ERANGE || size >= (1u << 20))
			break;
		size *= 2;
		buf = cw_realloc(buf, size);
	}
	if (got == 0 && pw_found != NULL)
		name = pw.pw_name;
	else if (got == 0 && gr_found != NULL)
		name = gr.gr_name;
	if (name == NULL || strlen(name) > CW_MEMBER_NAME_MAX)
		name = NULL;
	name = cw_strdup(name == NULL ? "" : name);
	free(buf);
	return name;
}

static struct scan_owner *
owner_slot(struct scan *s, char kind, uint32_t number)
{
	uint64_t mix = ((uint64_t)number << 1 | (kind == 'g')) *
		       UINT64_C(0x9e3779b97f4a7c15);
	size_t at = (size_t)(mix >> 32) & (s->owner_slots - 1);

	while (s->owners[at].kind != 0 &&
	       (s->owners[at].kind != kind || s->owners[at].number != number))
		at = (at + 1) & (s->owner_slots - 1);
	return &s->owners[at];
}

static void
grow_owners(struct scan *s)
{
	struct scan_owner *old = s->owners;
	size_t slots = s->owner_slots;

	s->owner_slots = slots == 0 ? 64 : slots * 2;
	s->owners = cw_calloc(s->owner_slots, sizeof(*s->owners));
	for (size_t i = 0; i < slots; i++) {
		if (old[i].kind != 0)
			*owner_slot(s, old[i].kind, old[i].number) = old[i];
	}
	free(old);
}

const char *
scan_owner_name(struct scan *s, char kind, uint32_t number)
{
	struct scan_owner *o;

	if (s->owner_count * 2 >= s->owner_slots)
		grow_owners(s);
	o = owner_slot(s, kind, number);
	if (o->kind == 0) {
		*o = (struct scan_owner){
		    kind, number, system_name(kind, number)};
		s->owner_count++;
	}
	return o->name;
}

bool
scan_owners_moved(struct scan *s)
{
	struct cw_catalog *c = s->c;

	if (c->owner_count > OWNERS_CHECKED)
		return false;
	for (size_t i = 0; i < c->owner_hash_size; i++) {
		const struct owner *o = c->owner_hash[i];

		if (o != NULL && strcmp(o->name, scan_owner_name(s, o->kind,
						     o->number)) != 0)
			return true;
	}
	return false;
}
