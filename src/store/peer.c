#include "store/peer.h"

#include "base/bytes.h"
#include "base/fs.h"
#include "formats/manifest/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PEER_FILE_MAX 4096u
#define BOOT_ID_FILE  "/proc/sys/kernel/random/boot_id"

void
cw_boot_id(char out[CW_BOOT_ID_SIZE])
{
	struct cw_buf text = CW_BUF_INIT;
	size_t len;

	out[0] = '\0';
	/* Its size is 0 to stat(2): read as many bytes as an id has. */
	int fd = open(BOOT_ID_FILE, O_RDONLY | O_CLOEXEC);

	if (fd >= 0 &&
	    cw_read_full(fd, cw_buf_reserve(&text, CW_BOOT_ID_SIZE),
		CW_BOOT_ID_SIZE - 1, &len, NULL) == 0 &&
	    len == CW_BOOT_ID_SIZE - 1) {
		memcpy(out, text.data, len);
		out[len] = '\0';
		/* One word, whatever the kernel says. */
		if (strpbrk(out, " \t\n") != NULL)
			out[0] = '\0';
	}
	cw_close(&fd);
	cw_buf_free(&text);
}

uint64_t
cw_boot_seconds(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec;
}

static char *
file_of(const char *name)
{
	return cw_asprintf(CW_PEER_DIR "/%s", name);
}

static int
check_name(const char *name, struct cw_error *err)
{
	if (!cw_name_is_safe(name, strlen(name)))
		return cw_error_set(
		    err, CW_ERR_USAGE, "%s is no name of a site", name);
	return 0;
}

/* The line has no more words. */
static int
line_end(const struct cw_lines *lines, struct cw_error *err)
{
	if (lines->value != NULL)
		return cw_lines_error(lines, err, "too many values");
	return 0;
}

static int
take_heard(struct cw_lines *lines, struct cw_peer *peer, struct cw_error *err)
{
	const char *boot;
	size_t len;

	if (cw_lines_word_number(lines, 0, INT64_MAX, &peer->heard, err) < 0 ||
	    cw_lines_word(lines, &boot, &len, err) < 0 ||
	    line_end(lines, err) < 0)
		return -1;
	if (len >= CW_BOOT_ID_SIZE)
		return cw_lines_error(lines, err, "no id of a boot");
	memcpy(peer->heard_boot, boot, len);
	peer->heard_boot[len] = '\0';
	peer->has_heard = true;
	return 0;
}

static int
take_acked(struct cw_lines *lines, struct cw_peer *peer, struct cw_error *err)
{
	const char *hex;
	size_t len;

	if (cw_lines_word_number(
		lines, 0, INT64_MAX, &peer->acked_generation, err) < 0 ||
	    cw_lines_word(lines, &hex, &len, err) < 0 ||
	    line_end(lines, err) < 0)
		return -1;
	if (!cw_hex_decode(hex, len, peer->acked_digest, CW_STATE_SIZE))
		return cw_lines_error(lines, err, "no digest");
	peer->has_acked = true;
	return 0;
}

static int
parse(const char *text, size_t len, const char *file, struct cw_peer *peer,
    struct cw_error *err)
{
	struct cw_lines lines;
	const char *key;
	size_t key_len;

	cw_lines_begin(&lines, file, text, len);
	if (cw_lines_version(&lines, "causeway-peer", err) < 0)
		return -1;
	while (lines.len > 0) {
		if (cw_lines_next(&lines, err) < 0 ||
		    cw_lines_word(&lines, &key, &key_len, err) < 0)
			return -1;
		if (key_len == 5 && memcmp(key, "heard", 5) == 0) {
			if (take_heard(&lines, peer, err) < 0)
				return -1;
		} else if (key_len == 5 && memcmp(key, "acked", 5) == 0) {
			if (take_acked(&lines, peer, err) < 0)
				return -1;
		} else if (key_len == 5 && memcmp(key, "epoch", 5) == 0) {
			if (cw_lines_word_number(
				&lines, 1, INT64_MAX, &peer->epoch, err) < 0 ||
			    line_end(&lines, err) < 0)
				return -1;
		} else {
			return cw_lines_error(&lines, err, "unknown line");
		}
	}
	return 0;
}

int
cw_peer_load(
    int dirfd, const char *name, struct cw_peer *peer, struct cw_error *err)
{
	struct cw_buf text = CW_BUF_INIT;
	struct cw_peer found;
	char *file;
	int ret;

	memset(peer, 0, sizeof(*peer));
	memset(&found, 0, sizeof(found));
	if (check_name(name, err) < 0)
		return -1;
	file = file_of(name);
	ret = cw_read_file(dirfd, file, PEER_FILE_MAX, &text, err);
	if (ret == 0)
		ret =
		    parse((const char *)text.data, text.len, file, &found, err);
	if (ret == 0)
		*peer = found;
	free(file);
	cw_buf_free(&text);
	return ret;
}

static void
format(const struct cw_peer *peer, struct cw_buf *text)
{
	char hex[2 * CW_STATE_SIZE + 1];

	cw_buf_text(text, "causeway-peer 1\n");
	if (peer->has_heard)
		cw_buf_printf(text, "heard %llu %s\n",
		    (unsigned long long)peer->heard,
		    peer->heard_boot[0] == '\0' ? "-" : peer->heard_boot);
	if (peer->has_acked) {
		cw_hex_encode(peer->acked_digest, CW_STATE_SIZE, hex);
		cw_buf_printf(text, "acked %llu %s\n",
		    (unsigned long long)peer->acked_generation, hex);
	}
	if (peer->epoch > 0)
		cw_buf_printf(
		    text, "epoch %llu\n", (unsigned long long)peer->epoch);
}

static int
make_dir(int dirfd, struct cw_error *err)
{
	if (mkdirat(dirfd, CW_PEER_DIR, 0700) < 0 && errno != EEXIST)
		return cw_error_errno(
		    err, "cannot make directory " CW_PEER_DIR);
	return 0;
}

int
cw_peer_save(int dirfd, const char *name, const struct cw_peer *peer,
    struct cw_error *err)
{
	struct cw_buf text = CW_BUF_INIT;
	char *file;
	int ret = -1;

	if (check_name(name, err) < 0)
		return -1;
	file = file_of(name);
	format(peer, &text);
	if (make_dir(dirfd, err) == 0)
		ret = cw_save_file(dirfd, file, text.data, text.len, 0600, err);
	free(file);
	cw_buf_free(&text);
	return ret;
}

/* Written every few seconds: renamed into place, but never synced. */
static int
put(int dirfd, const char *name, const struct cw_buf *text,
    struct cw_error *err)
{
	char *tmp = cw_asprintf(CW_PEER_DIR "/.%s.%ld", name, (long)getpid());
	char *file = file_of(name);
	int fd = -1, ret = -1;

	fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0) {
		cw_error_errno(err, "cannot create %s", tmp);
		goto out;
	}
	if (cw_write_all(fd, text->data, text->len, err) < 0) {
		cw_error_context(err, "%s", tmp);
		goto out;
	}
	if (renameat(dirfd, tmp, dirfd, file) < 0) {
		cw_error_errno(err, "cannot rename %s to %s", tmp, file);
		goto out;
	}
	ret = 0;
out:
	if (ret < 0 && fd >= 0)
		(void)unlinkat(dirfd, tmp, 0);
	cw_close(&fd);
	free(tmp);
	free(file);
	return ret;
}

int
cw_peer_hear(int dirfd, const char *name, uint64_t epoch, struct cw_error *err)
{
	struct cw_buf text = CW_BUF_INIT;
	struct cw_peer peer;
	int ret;

	/* A file that a power cut emptied is made anew. */
	if (cw_peer_load(dirfd, name, &peer, err) < 0 &&
	    (err == NULL || err->code != CW_ERR_FORMAT))
		return -1;
	peer.has_heard = true;
	peer.heard = cw_boot_seconds();
	cw_boot_id(peer.heard_boot);
	if (epoch > peer.epoch)
		peer.epoch = epoch;
	format(&peer, &text);
	ret = make_dir(dirfd, err);
	if (ret == 0)
		ret = put(dirfd, name, &text, err);
	cw_buf_free(&text);
	return ret;
}

bool
cw_peer_is_heard(const struct cw_peer *peer)
{
	char boot[CW_BOOT_ID_SIZE];
	uint64_t now = cw_boot_seconds();

	cw_boot_id(boot);
	return peer->has_heard && boot[0] != '\0' &&
	       strcmp(boot, peer->heard_boot) == 0 && peer->heard <= now &&
	       now - peer->heard <= CW_PEER_HEARD_MAX;
}
