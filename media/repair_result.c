#include "media/repair_impl.h"

#include "base/buf.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void
add(struct cw_repair_item **items, size_t *count, uint32_t medium,
    const char *file, uint64_t offset, uint64_t length, const char *reason)
{
	struct cw_repair_item *item;

	/* Ranges that touch are one. */
	item = *count == 0 ? NULL : &(*items)[*count - 1];
	if (item != NULL && item->medium == medium &&
	    item->offset + item->length == offset &&
	    strcmp(item->file, file) == 0) {
		item->length += length;
		return;
	}
	if ((*count & (*count - 1)) == 0)
		*items = cw_reallocarray(
		    *items, *count == 0 ? 1 : 2 * *count, sizeof(**items));
	item = &(*items)[(*count)++];
	*item = (struct cw_repair_item){
	    .medium = medium, .offset = offset, .length = length};
	(void)snprintf(item->file, sizeof(item->file), "%s", file);
	item->reason = reason == NULL ? NULL : cw_strdup(reason);
}

void
cw_repair_raise(struct cw_repair *r, enum cw_repair_status status)
{
	if (status > r->result->status)
		r->result->status = status;
}

void
cw_repair_done(struct cw_repair *r, uint32_t medium, const char *file,
    uint64_t offset, uint64_t length)
{
	add(&r->result->repaired, &r->result->repaired_count, medium, file,
	    offset, length, NULL);
	if (r->options->is_dry)
		cw_repair_raise(r, CW_REPAIR_POSSIBLE);
}

void
cw_repair_cannot(struct cw_repair *r, uint32_t medium, const char *file,
    uint64_t offset, uint64_t length, const struct cw_error *why)
{
	bool is_disk = why->code == CW_ERR_IO || why->code == CW_ERR_NOSPACE ||
		       why->code == CW_ERR_FAILED;

	add(&r->result->unrepairable, &r->result->unrepairable_count, medium,
	    file, offset, length, why->message);
	if (is_disk && r->failure.code == CW_OK) {
		r->failure = *why;
		r->failed = medium;
	}
	if (why->code == CW_ERR_REFUSED && r->blocked.code == CW_OK)
		r->blocked = *why;
	cw_repair_raise(r, is_disk ? CW_REPAIR_FAILED : CW_REPAIR_DAMAGED);
}

bool
cw_repair_is_blocked(
    const struct cw_repair_medium *to, const char *name, struct cw_error *why)
{
	bool is_second = strncmp(name, CW_SET_COPY "/", 5) == 0;
	struct stat st;
	bool is_dir;

	if (is_second &&
	    fstatat(to->dirfd, CW_SET_COPY, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    !S_ISDIR(st.st_mode)) {
		name = CW_SET_COPY;
		is_dir = false;
	} else if (fstatat(to->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		   S_ISDIR(st.st_mode)) {
		is_dir = true;
	} else {
		return false;
	}
	cw_error_set(why, CW_ERR_REFUSED,
	    "%s/%s is %s directory, and %s of the seed belongs there: move it "
	    "away (repair deletes nothing that it does not know) and run the "
	    "command again",
	    to->path, name, is_dir ? "a" : "no", is_dir ? "a file" : "one");
	return true;
}

bool
cw_repair_is_untrusted(const struct cw_repair *r, size_t medium)
{
	for (size_t i = 0; i < r->set->fault_count; i++)
		if (r->set->faults[i].medium == medium &&
		    r->set->faults[i].kind == CW_SET_UNTRUSTED)
			return true;
	return false;
}

/* The first sentence about what was not to be trusted. */
static const char *
find_distrust(const struct cw_repair *r)
{
	for (size_t i = 0; i < r->set->fault_count; i++)
		if (r->set->faults[i].kind == CW_SET_UNTRUSTED)
			return r->set->faults[i].message;
	return "nobody trusted signed its manifest";
}

static void
say_absent(struct cw_repair *r)
{
	const struct cw_repair_result *result = r->result;
	bool is_one = result->absent_count == 1;
	struct cw_buf text = CW_BUF_INIT;

	for (size_t i = 0; i < result->absent_count && i < 10; i++)
		cw_buf_printf(
		    &text, "%s%u", i == 0 ? "" : ", ", result->absent[i]);
	cw_error_set(&r->result->error, CW_ERR_MISSING,
	    "all that is here is good, but %s %s of %u %s not here: attach %s "
	    "and give %s too, or make %s again on %s with --to DIR",
	    is_one ? "medium" : "media", cw_buf_string(&text),
	    r->set->manifest.media, is_one ? "is" : "are",
	    is_one ? "it" : "them",
	    is_one ? "its directory" : "their directories",
	    is_one ? "it" : "them", is_one ? "an empty disk" : "empty disks");
	cw_buf_free(&text);
}

/* Each file has its ranges one behind the other. */
static void
say_beyond(struct cw_repair *r)
{
	const struct cw_repair_result *result = r->result;
	const struct cw_repair_item *all = result->unrepairable;
	size_t files = 1;

	for (size_t i = 1; i < result->unrepairable_count; i++)
		files += all[i].medium != all[i - 1].medium ||
			 strcmp(all[i].file, all[i - 1].file) != 0;
	cw_error_set(&r->result->error, CW_ERR_DAMAGED,
	    "%zu file%s beyond repair, %s%s of medium %u. Receive the seed all "
	    "the same: `causeway receive` takes the rest, and a sync or "
	    "another copy of the medium brings what lacks. Or the active site "
	    "makes the medium again: `causeway seed remake`",
	    files, files == 1 ? " is" : "s are", files == 1 ? "" : "the first ",
	    all[0].file, all[0].medium);
}

static void
advise_disk(struct cw_repair *r)
{
	char *advice = cw_asprintf(
	    "see to the disk (is it read-only, full, failing?) and run the "
	    "command again, or make the medium again on another one: "
	    "--medium %u --to DIR",
	    r->failed);

	cw_error_advise(&r->result->error, advice);
	free(advice);
}

void
cw_repair_conclude(struct cw_repair *r)
{
	struct cw_repair_result *result = r->result;

	if (result->absent_count > 0)
		cw_repair_raise(r, CW_REPAIR_DAMAGED);
	switch (result->status) {
	case CW_REPAIR_OK:
		break;
	case CW_REPAIR_POSSIBLE:
		cw_error_set(&result->error, CW_ERR_REPAIRABLE,
		    "all that is bad can be repaired: run the command again "
		    "without --dry-run");
		break;
	case CW_REPAIR_FAILED:
		result->error = r->failure;
		advise_disk(r);
		break;
	case CW_REPAIR_DAMAGED:
		if (result->unrepairable_count == 0)
			say_absent(r);
		else if (r->blocked.code != CW_OK)
			cw_error_set(&result->error, CW_ERR_DAMAGED, "%s",
			    r->blocked.message);
		else
			say_beyond(r);
		break;
	case CW_REPAIR_UNTRUSTED:
		cw_error_set(&result->error, CW_ERR_UNTRUSTED,
		    "%s; it was not written to: see who signed it with "
		    "`causeway verify`, and give the signer's key with "
		    "--signer, or replace the file by its copy yourself",
		    find_distrust(r));
		break;
	}
}

void
cw_repair_free(struct cw_repair_result *result)
{
	for (size_t i = 0; i < result->repaired_count; i++)
		free(result->repaired[i].reason);
	for (size_t i = 0; i < result->unrepairable_count; i++)
		free(result->unrepairable[i].reason);
	for (size_t i = 0; i < result->made_count; i++)
		free(result->made[i].path);
	free(result->repaired);
	free(result->unrepairable);
	free(result->made);
	free(result->absent);
	*result = (struct cw_repair_result){.status = CW_REPAIR_OK};
}

const char *
cw_repair_status_name(enum cw_repair_status status)
{
	static const char *const names[] = {
	    [CW_REPAIR_OK] = "ok",
	    [CW_REPAIR_POSSIBLE] = "repairable",
	    [CW_REPAIR_FAILED] = "failed",
	    [CW_REPAIR_DAMAGED] = "damaged",
	    [CW_REPAIR_UNTRUSTED] = "untrusted",
	};

	return names[status];
}
