#include "base/bytes.h"
#include "base/clock.h"
#include "base/progress.h"
#include "cli/listing.h"
#include "formats/mail/mail.h"

#include <stdio.h>
#include <string.h>

/* What stands in a specification as it is; all else is written in octal. */
static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvw"
			    "xyz0123456789._-+,:@%/";

static void
put_escaped(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] != '\0' && strchr(plain, text[i]) != NULL)
			(void)putchar(text[i]);
		else
			(void)printf("\\%03o", (unsigned char)text[i]);
}

/*
 * A path.  A component with one of ?*[ in it is a pattern for mtree, found
 * after the octal is taken off: there such characters, and backslashes, get a
 * backslash in front.  Elsewhere a backslash stands for itself.
 */
static void
put_path(const char *path, size_t len)
{
	const char *end = path + len;

	while (path < end) {
		const char *slash = memchr(path, '/', (size_t)(end - path));
		const char *stop = slash != NULL ? slash : end;
		bool is_pattern = false;

		for (const char *at = path; at < stop; at++)
			is_pattern = is_pattern || strchr("?*[", *at) != NULL;
		for (const char *at = path; at < stop; at++) {
			if (is_pattern && strchr("?*[\\", *at) != NULL)
				put_escaped("\\", 1);
			put_escaped(at, 1);
		}
		if (slash == NULL)
			break;
		(void)putchar('/');
		path = slash + 1;
	}
}

static void
put_owner(const struct cw_entry *e)
{
	if (e->user[0] != '\0') {
		(void)fputs(" uname=", stdout);
		put_escaped(e->user, strlen(e->user));
	} else {
		(void)printf(" uid=%u", e->uid);
	}
	if (e->group[0] != '\0') {
		(void)fputs(" gname=", stdout);
		put_escaped(e->group, strlen(e->group));
	} else {
		(void)printf(" gid=%u", e->gid);
	}
}

static void
put_file(const struct cw_entry *e)
{
	char hex[2 * CW_DIGEST_SIZE + 1];
	struct timespec mtime = cw_time_split(e->mtime_ns);

	(void)printf(" size=%llu time=%lld.%09ld", (unsigned long long)e->size,
	    (long long)mtime.tv_sec, mtime.tv_nsec);
	if (e->has_digest) {
		cw_hex_encode(e->digest, sizeof(e->digest), hex);
		(void)printf(" sha256=%s", hex);
	}
}

/*
 * Whether the store leaves out whatever is in this directory, as in a
 * Maildir's tmp: mtree is then not to look into it.
 */
static bool
is_left_out(const struct cw_listing *l, const char *path, size_t len)
{
	static const char probe[] = "x";
	const struct cw_mail_format *format;
	struct cw_buf inside = CW_BUF_INIT;
	const struct cw_root *root = NULL;
	bool is_skipped;

	for (size_t i = 0; i < l->root_count; i++) {
		const char *name = l->roots[i].name;
		size_t n = strlen(name);

		if (l->root_count == 1) {
			root = &l->roots[i];
		} else if (len > n && memcmp(path, name, n) == 0 &&
			   path[n] == '/') {
			root = &l->roots[i];
			path += n + 1;
			len -= n + 1;
			break;
		}
	}
	format = root != NULL ? cw_mail_format_find(root->format) : NULL;
	if (format == NULL || len == 0)
		return false;
	cw_buf_append(&inside, path, len);
	cw_buf_printf(&inside, "/%s", probe);
	is_skipped = format->classify(cw_buf_string(&inside), inside.len,
			 CW_KIND_FILE) == CW_MAIL_SKIP;
	cw_buf_free(&inside);
	return is_skipped;
}

static int
put_entry(struct cw_listing *l, const struct cw_entry *e, struct cw_error *err)
{
	const char *path;
	size_t len;

	if (cw_listing_path(l, e, &path, &len, err) < 0)
		return -1;
	(void)putchar('.');
	if (len > 0)
		(void)putchar('/');
	put_path(path, len);
	switch (e->kind) {
	case CW_KIND_DIR:
		(void)printf(" type=dir mode=%04o", e->mode);
		put_owner(e);
		if (is_left_out(l, path, len))
			(void)fputs(" ignore", stdout);
		break;
	case CW_KIND_SYMLINK:
		/* Linux gives every symlink the same mode. */
		(void)fputs(" type=link", stdout);
		put_owner(e);
		(void)fputs(" link=", stdout);
		put_escaped(e->target, e->target_len);
		break;
	default:
		(void)printf(" type=file mode=%04o", e->mode);
		put_owner(e);
		put_file(e);
	}
	(void)putchar('\n');
	return 0;
}

int
cw_mtree_print(struct cw_listing *l, const char *store, uint64_t generation,
    struct cw_error *err)
{
	const struct cw_catalog_info *info = cw_catalog_info(l->catalog);
	struct cw_walk_query all = CW_WALK_ALL;
	struct cw_walk *walk = NULL;
	struct cw_entry e;
	int got, ret = -1;

	(void)printf(
	    "#mtree\n"
	    "# Store %s at generation %llu; paths are relative to %s.\n"
	    "# Check: mtree -e -p DIR -f THIS.  Without -e mtree "
	    "names files that are\n"
	    "# no part of the store (locks, caches) as extra.\n",
	    store, (unsigned long long)generation,
	    l->root_count == 1 ? "the root's directory"
			       : "a directory that holds the roots by name");
	if (info->pending > 0)
		(void)printf("# %llu files were not read yet and have no "
			     "sha256 here.\n",
		    (unsigned long long)info->pending);
	if (l->root_count != 1)
		(void)puts(". type=dir");
	if (cw_walk_open(l->catalog, &all, &walk, err) < 0)
		return -1;
	while ((got = cw_walk_next(walk, &e, err)) > 0) {
		if (put_entry(l, &e, err) < 0 || cw_stop_check(err) < 0)
			goto out;
		if (ferror(stdout)) {
			cw_error_set(
			    err, CW_ERR_IO, "cannot write to standard output");
			goto out;
		}
	}
	ret = got;
out:
	cw_walk_close(walk);
	return ret;
}
