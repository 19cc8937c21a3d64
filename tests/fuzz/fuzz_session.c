/*
 * A whole session, as frames that TLS has let through: into a follower with a
 * small replica on disk, or into a source with a small store.  Whatever comes,
 * nothing appears beside the replica's tree, and nothing breaks.
 *
 * The first byte tells which (odd: the source), frames follow as on the line.
 * CW_FUZZ_RECORD=DIR writes what an honest session says, as seeds.
 */
#include "base/bytes.h"
#include "base/crypto.h"
#include "base/fs.h"
#include "formats/minisign/minisign.h"
#include "store/contents.h"
#include "store/scan.h"
#include "sync/follower.h"
#include "sync/source.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

#define FRAMES_MAX 64
#define STEPS_MAX  64

/* BASE/source and BASE/replica: trees; *.sqlite: their catalogs as they were;
   BASE/work/: the follower's store directory and BASE/copy its tree. */
static char base[64];
static struct cw_link *link_of[2];
static int far_fd;
static struct cw_wire_reader *reader;
static struct cw_error err;

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "fuzz_session: %s: %s\n", what, err.message);
	abort();
}

static const char *
at(const char *name)
{
	static char paths[8][300];
	static unsigned next;
	char *path = paths[next++ % 8];

	snprintf(path, sizeof(paths[0]), "%s/%s", base, name);
	return path;
}

static void
set_time(const char *path)
{
	const struct timespec times[2] = {{1700000000, 0}, {1700000000, 0}};

	(void)utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW);
}

static void
make(const char *path, size_t len, unsigned seed)
{
	FILE *f = fopen(path, "we");

	if (f == NULL)
		die(path);
	for (size_t i = 0; i < len; i++) {
		seed = seed * 1103515245u + 12345u;
		fputc((int)(seed >> 16 & 0xff), f);
	}
	fclose(f);
	set_time(path);
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *f)
{
	(void)st;
	(void)type;
	(void)f;
	return remove(path);
}

static void
remove_tree(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void
make_tree(const char *name)
{
	static const char *const dirs[] = {"", "/cur", "/new", "/tmp"};
	char path[400];

	for (size_t i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "%s%s", at(name), dirs[i]);
		if (mkdir(path, 0755) < 0)
			die(path);
	}
	snprintf(path, sizeof(path), "%s/cur/1.M1.h:2,", at(name));
	make(path, 300, 1);
	snprintf(path, sizeof(path), "%s/cur/2.M2.h:2,", at(name));
	make(path, 400, 2);
	snprintf(path, sizeof(path), "%s/new/3.M3.h", at(name));
	make(path, 50, 3);
	snprintf(path, sizeof(path), "%s/log", at(name));
	make(path, 5000, 4);
	snprintf(path, sizeof(path), "%s/big", at(name));
	make(path, 300000, 5);
	for (size_t i = 4; i > 0; i--) {
		snprintf(path, sizeof(path), "%s%s", at(name), dirs[i - 1]);
		set_time(path);
	}
}

/* Flags, a move, a new one, an appended one, one that changed inside. */
static void
live(const char *name)
{
	char from[400], to[400];
	FILE *f;

	snprintf(from, sizeof(from), "%s/cur/1.M1.h:2,", at(name));
	snprintf(to, sizeof(to), "%s/cur/1.M1.h:2,S", at(name));
	(void)rename(from, to);
	snprintf(from, sizeof(from), "%s/new/3.M3.h", at(name));
	snprintf(to, sizeof(to), "%s/cur/3.M3.h:2,RS", at(name));
	(void)rename(from, to);
	snprintf(from, sizeof(from), "%s/cur/2.M2.h:2,", at(name));
	(void)unlink(from);
	snprintf(to, sizeof(to), "%s/new/4.M4.h", at(name));
	make(to, 700, 6);
	snprintf(to, sizeof(to), "%s/new/5.M5.h", at(name));
	make(to, 40000, 7);
	snprintf(to, sizeof(to), "%s/log", at(name));
	make(to, 6000, 4);
	snprintf(to, sizeof(to), "%s/big", at(name));
	if ((f = fopen(to, "r+e")) == NULL)
		die(to);
	fseek(f, 150000, SEEK_SET);
	fputs("something else", f);
	fclose(f);
	set_time(to);
}

static void
scan(const char *catalog, const char *tree)
{
	const struct cw_scan_root root = {
	    .name = "mail", .path = tree, .format = "maildir"};
	const struct cw_scan_options options = {
	    .contents = CW_SCAN_CONTENTS, .full = true, .threads = 1};
	struct cw_scan_result result;
	struct cw_catalog *c;

	if (cw_catalog_open(catalog, CW_CATALOG_WRITE, &c, &err) < 0 ||
	    cw_scan(c, &root, 1, &options, &result, &err) < 0 ||
	    cw_catalog_index_contents(c, &err) < 0)
		die("scan");
	cw_catalog_close(c);
}

static void
make_store(const char *catalog, const char *tree)
{
	static const uint8_t id[CW_STORE_ID_SIZE] = {1};
	static const uint8_t key[CW_STATE_KEY_SIZE] = {2};

	if (cw_catalog_create_replica(at(catalog), "mail", id, key, &err) < 0)
		die("catalog");
	scan(at(catalog), at(tree));
}

static void
copy_file(const char *from, const char *to)
{
	struct cw_buf data = CW_BUF_INIT;
	int fd;

	if (cw_read_file(AT_FDCWD, from, 64u << 20, &data, &err) != 0 ||
	    (fd = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)) <
		0 ||
	    write(fd, data.data, data.len) != (ssize_t)data.len)
		die(to);
	close(fd);
	cw_buf_free(&data);
}

/* ---- the line ---- */

struct end {
	int fd;
	bool is_server;
	const struct cw_minisign_secret *secret, *peer;
	struct cw_link *link;
};

static void *
shake(void *arg)
{
	struct end *e = arg;
	struct cw_minisign_public peer;
	struct cw_link_pin pin = {.name = "peer"};
	const struct cw_link_options options = {.is_server = e->is_server,
	    .secret = e->secret,
	    .pins = &pin,
	    .pin_count = 1};
	struct cw_error why = CW_ERROR_INIT;

	cw_minisign_secret_public(e->peer, &peer);
	memcpy(pin.key, peer.point, sizeof(pin.key));
	if (cw_link_open(e->fd, e->fd, &options, &e->link, &why) < 0)
		abort();
	return NULL;
}

/* What we say goes nowhere: the far end takes it from the socket, unread. */
static void *
drain(void *arg)
{
	static uint8_t buf[65536];
	int fd = *(int *)arg;

	for (;;)
		if (read(fd, buf, sizeof(buf)) <= 0)
			usleep(500);
	return NULL;
}

static void
make_line(void)
{
	struct cw_minisign_secret *a = cw_minisign_generate();
	struct cw_minisign_secret *b = cw_minisign_generate();
	struct end ends[2] = {{-1, false, a, b, NULL}, {-1, true, b, a, NULL}};
	pthread_t thread;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		die("socketpair");
	ends[0].fd = pair[0];
	ends[1].fd = pair[1];
	pthread_create(&thread, NULL, shake, &ends[1]);
	shake(&ends[0]);
	pthread_join(thread, NULL);
	link_of[0] = ends[0].link;
	link_of[1] = ends[1].link;
	far_fd = pair[1];
	cw_minisign_secret_free(a);
	cw_minisign_secret_free(b);
}

/* ---- the two sides ---- */

static struct cw_place_root roots[2];

static struct cw_follower *
begin_follower(bool by_comparison)
{
	struct cw_follower_options o = {.root_count = 1, .epoch = 1};
	struct cw_follower *f;

	remove_tree(at("work"));
	remove_tree(at("copy"));
	if (mkdir(at("work"), 0700) < 0)
		die("work");
	make_tree("copy");
	copy_file(at("replica.sqlite"), at("work/catalog.sqlite"));
	roots[0].name = "mail";
	roots[0].dirfd = cw_open_dir(at("copy"), &err);
	o.roots = &roots[0];
	o.store_dir = at("work");
	o.catalog_path = at("work/catalog.sqlite");
	o.link = link_of[0];
	o.diverged_epoch = by_comparison ? 1 : 0;
	if (cw_follower_new(&o, &f, &err) < 0 || cw_follower_start(f, &err) < 0)
		die("follower");
	return f;
}

static struct cw_sync_source *
begin_source(struct cw_link *link)
{
	struct cw_sync_source_options o = {.root_count = 1, .epoch = 1};
	struct cw_sync_source *s;

	roots[1].name = "mail";
	if (roots[1].dirfd <= 0)
		roots[1].dirfd = cw_open_dir(at("source"), &err);
	o.roots = &roots[1];
	o.catalog_path = at("source.sqlite");
	o.link = link;
	if (cw_sync_source_new(&o, &s, &err) < 0)
		die("source");
	return s;
}

static bool
is_for_source(uint8_t type)
{
	return type == CW_FRAME_START || type == CW_FRAME_WANT ||
	       type == CW_FRAME_ACK || type == CW_FRAME_DIR_WANT ||
	       type == CW_FRAME_ROW_WANT;
}

static bool
is_for_follower(uint8_t type)
{
	return type == CW_FRAME_PLAN || type == CW_FRAME_PLAN_END ||
	       type == CW_FRAME_DATA || type == CW_FRAME_CHUNKS ||
	       type == CW_FRAME_DIRS || type == CW_FRAME_DIR_LIST;
}

static void
check_nothing_outside(void)
{
	static const char *const known[] = {".", "..", "source", "replica",
	    "copy", "work", "canary", "source.sqlite", "replica.sqlite"};
	DIR *d = opendir(base);
	struct dirent *e;

	if (d == NULL)
		die(base);
	while ((e = readdir(d)) != NULL) {
		bool is_known = false;

		for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
			is_known |= strcmp(e->d_name, known[i]) == 0;
		/* The journals of SQLite. */
		if (!is_known && strstr(e->d_name, ".sqlite-") == NULL)
			abort();
	}
	closedir(d);
	/* An empty directory can be removed. */
	if (rmdir(at("canary")) < 0 || mkdir(at("canary"), 0755) < 0)
		abort();
}

/* The next frame: 1; 0 at the end. */
static int
next_frame(const uint8_t **data, size_t *size, struct cw_frame *out)
{
	struct cw_frame_head head;

	if (*size < CW_FRAME_HEAD_SIZE ||
	    cw_frame_head_decode(*data, &head, NULL) < 0)
		return 0;
	*data += CW_FRAME_HEAD_SIZE;
	*size -= CW_FRAME_HEAD_SIZE;
	*out = (struct cw_frame){head.type, head.flags, *data, head.len};
	if (out->len > *size)
		out->len = *size;
	*data += out->len;
	*size -= out->len;
	return 1;
}

static void
run_follower(const uint8_t *data, size_t size)
{
	struct cw_follower *f = begin_follower(false);
	struct cw_frame frame;
	struct cw_wire_msg m;

	for (unsigned i = 0;
	     i < FRAMES_MAX && next_frame(&data, &size, &frame) == 1; i++) {
		if (cw_wire_decode(reader, &frame, &m, NULL) != 0 ||
		    !is_for_follower(m.type))
			continue;
		if (cw_follower_take(f, reader, &m, &err) < 0 ||
		    cw_follower_poll(f, &err) < 0)
			break;
	}
	cw_follower_free(f);
	close(roots[0].dirfd);
	check_nothing_outside();
}

static void
run_source(const uint8_t *data, size_t size)
{
	struct cw_sync_source *s = begin_source(link_of[0]);
	struct cw_frame frame;
	struct cw_wire_msg m;

	for (unsigned i = 0;
	     i < FRAMES_MAX && next_frame(&data, &size, &frame) == 1; i++) {
		if (cw_wire_decode(reader, &frame, &m, NULL) != 0 ||
		    !is_for_source(m.type))
			continue;
		if (cw_sync_source_take(s, &m, &err) < 0)
			break;
		for (unsigned k = 0; k < STEPS_MAX; k++)
			if (cw_sync_source_step(s, &err) <= 0)
				break;
	}
	cw_sync_source_free(s);
}

/* ---- seeds ---- */

static void
keep(FILE *out, const struct cw_frame *f)
{
	const struct cw_frame_head head = {(uint32_t)f->len, f->type, f->flags};
	uint8_t bytes[CW_FRAME_HEAD_SIZE];

	cw_frame_head_encode(&head, bytes);
	fwrite(bytes, 1, sizeof(bytes), out);
	fwrite(f->body, 1, f->len, out);
}

static void
record(const char *dir, const char *name, bool by_comparison)
{
	struct cw_follower *f = begin_follower(by_comparison);
	struct cw_sync_source *s = begin_source(link_of[1]);
	char path[400];
	FILE *out[2];
	unsigned idle = 0;

	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s.%s", dir, name,
		    i == 0 ? "follower" : "source");
		if ((out[i] = fopen(path, "we")) == NULL)
			die(path);
		fputc(i, out[i]);
	}
	while (!cw_follower_is_current(f) && idle < 100) {
		struct cw_frame frame;
		struct cw_wire_msg m;

		idle++;
		while (cw_sync_source_step(s, &err) == 1)
			idle = 0;
		while (cw_link_recv(link_of[1], 10, &frame, &err) == 1) {
			keep(out[1], &frame);
			if (cw_wire_decode(reader, &frame, &m, &err) == 0 &&
			    is_for_source(m.type) &&
			    cw_sync_source_take(s, &m, &err) < 0)
				die("source");
		}
		while (cw_sync_source_step(s, &err) == 1)
			;
		(void)cw_link_flush(link_of[1], &err);
		while (cw_link_recv(link_of[0], 10, &frame, &err) == 1) {
			idle = 0;
			keep(out[0], &frame);
			if (cw_wire_decode(reader, &frame, &m, &err) == 0 &&
			    is_for_follower(m.type) &&
			    cw_follower_take(f, reader, &m, &err) < 0)
				die("follower");
		}
	}
	/* Its last words. */
	for (struct cw_frame frame;
	     cw_link_recv(link_of[1], 100, &frame, &err) == 1;)
		keep(out[1], &frame);
	printf("%s: %s\n", name,
	    cw_follower_is_current(f) ? "current" : "not current");
	fclose(out[0]);
	fclose(out[1]);
	cw_follower_free(f);
	cw_sync_source_free(s);
	close(roots[0].dirfd);
}

static void
clean_up(void)
{
	if (base[0] != '\0')
		remove_tree(base);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *dir = getenv("CW_FUZZ_RECORD");
	pthread_t thread;

	(void)argc;
	(void)argv;
	if (cw_crypto_init(&err) < 0)
		die("libgcrypt");
	strcpy(base, access("/dev/shm", W_OK) == 0 ? "/dev/shm/cw-fuzz-XXXXXX"
						   : "/tmp/cw-fuzz-XXXXXX");
	if (mkdtemp(base) == NULL)
		die(base);
	atexit(clean_up);
	reader = cw_wire_reader_new();
	if (mkdir(at("canary"), 0755) < 0)
		die("canary");
	make_tree("replica");
	make_tree("source");
	make_store("replica.sqlite", "replica");
	make_store("source.sqlite", "source");
	live("source");
	scan(at("source.sqlite"), at("source"));
	make_line();
	if (dir != NULL) {
		record(dir, "changes", false);
		record(dir, "comparison", true);
		exit(0);
	}
	pthread_create(&thread, NULL, drain, &far_fd);
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	if ((data[0] & 1) != 0)
		run_source(data + 1, size - 1);
	else
		run_follower(data + 1, size - 1);
	return 0;
}
