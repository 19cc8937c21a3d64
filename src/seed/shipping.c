#include "seed/shipping.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/percent.h"
#include "base/text.h"
#include "formats/manifest/lines.h"
#include "formats/manifest/manifest.h"
#include "store/peer.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#define TEXT_MAX (32u << 20) /* all media, each with a long path */

#ifndef STATX_MNT_ID
#define STATX_MNT_ID 0x1000u
#endif
#ifndef STATX_MNT_ID_UNIQUE /* Linux 6.8 */
#define STATX_MNT_ID_UNIQUE 0x4000u
#endif

/* ---- the file ---- */

static void
put_medium(struct cw_buf *text, const struct cw_shipping_medium *m)
{
	char written[CW_TIME_TEXT], closed[CW_TIME_TEXT] = "-";

	cw_time_format(m->written, written);
	if (m->closed != 0)
		cw_time_format(m->closed, closed);
	cw_buf_printf(text, "medium %u %s %s %" PRIu64 " %c %" PRIu64 " %s ",
	    m->number, written,
	    m->mounted.boot[0] == '\0' ? "-" : m->mounted.boot,
	    m->mounted.device, m->mounted.kind, m->mounted.life, closed);
	cw_percent_put(text, m->path, false);
	cw_buf_text(text, "\n");
}

static int
take_time(struct cw_lines *l, bool may_lack, int64_t *out, struct cw_error *err)
{
	const char *word;
	size_t len;

	if (cw_lines_word(l, &word, &len, err) < 0)
		return -1;
	if (may_lack && len == 1 && *word == '-')
		return 0;
	if (!cw_time_parse(word, len, out))
		return cw_lines_error(l, err, "expected a time");
	return 0;
}

static int
take_medium(
    struct cw_lines *l, struct cw_shipping_medium *m, struct cw_error *err)
{
	const char *boot, *kind;
	size_t boot_len, kind_len;
	uint64_t number;

	if (cw_lines_take(l, "medium", err) < 0 ||
	    cw_lines_word_number(l, 1, CW_MANIFEST_MEDIA_MAX, &number, err) <
		0 ||
	    take_time(l, false, &m->written, err) < 0 ||
	    cw_lines_word(l, &boot, &boot_len, err) < 0 ||
	    cw_lines_word_number(l, 0, UINT64_MAX, &m->mounted.device, err) <
		0 ||
	    cw_lines_word(l, &kind, &kind_len, err) < 0 ||
	    cw_lines_word_number(l, 0, UINT64_MAX, &m->mounted.life, err) < 0 ||
	    take_time(l, true, &m->closed, err) < 0)
		return -1;
	if (boot_len >= sizeof(m->mounted.boot) || kind_len != 1 ||
	    strchr("sum", *kind) == NULL)
		return cw_lines_error(l, err, "no way a medium was mounted");
	if (boot_len != 1 || *boot != '-')
		memcpy(m->mounted.boot, boot, boot_len);
	m->mounted.kind = *kind;
	m->number = (uint32_t)number;
	m->path = l->value == NULL || l->value_len == 0
		      ? NULL
		      : cw_percent_take(l->value, l->value_len, false);
	if (m->path == NULL)
		return cw_lines_error(l, err, "no valid path");
	return 0;
}

/* Room for one more, zeroed. */
static struct cw_shipping_medium *
add(struct cw_shipping *s)
{
	s->media = cw_reallocarray(s->media, s->count + 1, sizeof(*s->media));
	memset(&s->media[s->count], 0, sizeof(*s->media));
	return &s->media[s->count++];
}

int
cw_shipping_load(int state_dirfd, struct cw_shipping *s, struct cw_error *err)
{
	struct cw_buf text = CW_BUF_INIT;
	struct cw_lines l;
	int ret;

	*s = (struct cw_shipping){NULL, 0};
	ret = cw_read_file(state_dirfd, CW_SHIPPING_FILE, TEXT_MAX, &text, err);
	if (ret != 0) {
		ret = ret > 0 ? 0 : -1;
		goto out;
	}
	cw_lines_begin(&l, CW_SHIPPING_FILE, (const char *)text.data, text.len);
	ret = cw_lines_version(&l, "causeway-shipping", err);
	while (ret == 0 && l.len > 0) {
		if (s->count == CW_MANIFEST_MEDIA_MAX)
			ret = cw_lines_error(&l, err, "too many media");
		else
			ret = take_medium(&l, add(s), err);
		if (ret == 0 && s->count > 1 &&
		    s->media[s->count - 1].number <=
			s->media[s->count - 2].number)
			ret = cw_lines_error(&l, err, "media out of order");
	}
out:
	cw_buf_free(&text);
	return ret;
}

void
cw_shipping_free(struct cw_shipping *s)
{
	for (size_t i = 0; i < s->count; i++)
		free(s->media[i].path);
	free(s->media);
	*s = (struct cw_shipping){NULL, 0};
}

const struct cw_shipping_medium *
cw_shipping_find(const struct cw_shipping *s, uint32_t number)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->media[i].number == number)
			return &s->media[i];
	return NULL;
}

static int
save(int state_dirfd, const struct cw_shipping *s, struct cw_error *err)
{
	struct cw_buf text = CW_BUF_INIT;
	int ret;

	cw_buf_text(&text, "causeway-shipping 1\n");
	for (size_t i = 0; i < s->count; i++)
		put_medium(&text, &s->media[i]);
	ret = cw_save_file(
	    state_dirfd, CW_SHIPPING_FILE, text.data, text.len, 0600, err);
	cw_buf_free(&text);
	return ret;
}

static int
by_number(const void *a, const void *b)
{
	const struct cw_shipping_medium *x = a, *y = b;

	return (x->number > y->number) - (x->number < y->number);
}

int
cw_shipping_wrote(int state_dirfd, uint32_t number, int dirfd, const char *path,
    struct cw_error *err)
{
	struct cw_shipping s;
	struct cw_shipping_medium *m;
	char *whole;
	int ret = -1;

	if (cw_shipping_load(state_dirfd, &s, err) < 0)
		goto out;
	m = NULL;
	for (size_t i = 0; i < s.count; i++)
		if (s.media[i].number == number)
			m = &s.media[i];
	if (m == NULL)
		m = add(&s);
	free(m->path);
	/* Who closes it may stand elsewhere. */
	whole = realpath(path, NULL);
	*m = (struct cw_shipping_medium){.number = number,
	    .written = time(NULL),
	    .path = whole != NULL ? whole : cw_strdup(path)};
	if (cw_mount_life_look(dirfd, &m->mounted, err) < 0)
		goto out;
	qsort(s.media, s.count, sizeof(*s.media), by_number);
	ret = save(state_dirfd, &s, err);
out:
	cw_shipping_free(&s);
	return ret;
}

int
cw_shipping_close(
    int state_dirfd, uint32_t number, bool is_closed, struct cw_error *err)
{
	struct cw_shipping s;
	int ret = cw_shipping_load(state_dirfd, &s, err);

	for (size_t i = 0; ret == 0 && i < s.count; i++) {
		if (s.media[i].number != number)
			continue;
		s.media[i].closed = is_closed ? time(NULL) : 0;
		ret = save(state_dirfd, &s, err);
		goto out;
	}
	if (ret == 0)
		ret = cw_error_set(err, CW_ERR_MISSING,
		    "it is not known when medium %u was written", number);
out:
	cw_shipping_free(&s);
	return ret;
}

/* ---- how it is mounted ---- */

/*
 * ext4, xfs and f2fs have a folder in /sys for each mounted filesystem, by the
 * name of its device.  The kernel makes it anew, with an inode number that was
 * not used before, whenever the filesystem is mounted, and once however often
 * it is bound to other places.
 */
static bool
look_in_sysfs(dev_t device, uint64_t *life)
{
	static const char *const kinds[] = {"ext4", "xfs", "f2fs"};
	char link[64], target[512], path[320];
	const char *name;
	struct stat st;
	ssize_t len;

	(void)snprintf(link, sizeof(link), "/sys/dev/block/%u:%u",
	    major(device), minor(device));
	len = readlink(link, target, sizeof(target) - 1);
	if (len < 0)
		return false;
	target[len] = '\0';
	name = strrchr(target, '/');
	name = name == NULL ? target : name + 1;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		(void)snprintf(
		    path, sizeof(path), "/sys/fs/%s/%.255s", kinds[i], name);
		if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
			*life = st.st_ino;
			return true;
		}
	}
	return false;
}

/* glibc's statx of Debian 12 passes the newer flag through. */
static bool
look_at_mount(int dirfd, unsigned mask, uint64_t *life)
{
	struct statx stx;

	memset(&stx, 0, sizeof(stx));
	if (statx(dirfd, "", AT_EMPTY_PATH, mask, &stx) < 0 ||
	    (stx.stx_mask & mask) == 0)
		return false;
	*life = stx.stx_mnt_id;
	return true;
}

int
cw_mount_life_look(int dirfd, struct cw_mount_life *m, struct cw_error *err)
{
	struct stat st;

	memset(m, 0, sizeof(*m));
	if (fstat(dirfd, &st) < 0)
		return cw_error_errno(err, "cannot look at a medium's folder");
	cw_boot_id(m->boot);
	m->device = st.st_dev;
	if (look_in_sysfs(st.st_dev, &m->life)) {
		m->kind = CW_MOUNT_LIFE_SYSFS;
	} else if (look_at_mount(dirfd, STATX_MNT_ID_UNIQUE, &m->life)) {
		m->kind = CW_MOUNT_LIFE_UNIQUE;
	} else {
		m->kind = CW_MOUNT_LIFE_ID;
		(void)look_at_mount(dirfd, STATX_MNT_ID, &m->life);
	}
	return 0;
}

enum cw_remounted
cw_mount_life_anew(
    const struct cw_mount_life *then, const struct cw_mount_life *now)
{
	/* Nothing that is mounted outlives a boot. */
	if (then->boot[0] != '\0' && now->boot[0] != '\0' &&
	    strcmp(then->boot, now->boot) != 0)
		return CW_REMOUNTED_YES;
	/* It was plugged in elsewhere, which it can't be while mounted. */
	if (then->device != now->device)
		return CW_REMOUNTED_YES;
	if (then->kind != now->kind)
		return CW_REMOUNTED_UNKNOWN;
	if (then->life != now->life)
		return CW_REMOUNTED_YES;
	return then->kind == CW_MOUNT_LIFE_ID ? CW_REMOUNTED_UNKNOWN
					      : CW_REMOUNTED_NO;
}
