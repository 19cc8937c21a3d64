#include "site/holders.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/text.h"
#include "site/hooks.h"
#include "site/mounts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PLACES_MAX     4096u
#define NAMESPACES_MAX 256u
#define DELETED	       " (deleted)"
#define POLL_MS	       100
#define LOOKS_AGAIN    10

/* A tree to be free: this path of this filesystem, and all below it. */
struct place {
	char device[24];
	char *inner;
	dev_t dev; /* as stat(2) says */
};

/* The mounts of a namespace that some process is in. */
struct namespace
{
	ino_t id;
	struct cw_mounts mounts;
};

struct look {
	char **roots; /* real paths */
	size_t root_count;
	struct place *places;
	size_t place_count;
	struct namespace *namespaces; /* the first one is ours */
	size_t namespace_count;
	struct stat self; /* our executable */
	struct cw_holders *out;
};

static bool
add_place(
    struct look *l, const struct cw_mount *mount, char *inner, const char *path)
{
	struct stat st;

	if (inner == NULL || l->place_count == PLACES_MAX ||
	    stat(path, &st) < 0) {
		free(inner);
		return false;
	}
	l->places =
	    cw_reallocarray(l->places, l->place_count + 1, sizeof(*l->places));
	struct place *p = &l->places[l->place_count++];

	(void)snprintf(p->device, sizeof(p->device), "%s", mount->device);
	p->inner = inner;
	p->dev = st.st_dev;
	return true;
}

/* A root, and what is mounted below it. */
static int
add_root(struct look *l, const char *root, struct cw_error *err)
{
	const struct cw_mounts *ours = &l->namespaces[0].mounts;
	const struct cw_mount *on;
	char real[PATH_MAX];

	if (realpath(root, real) == NULL)
		return cw_error_errno(err, "cannot look at %s", root);
	on = cw_mounts_find(ours, -1, real);
	if (on == NULL || !add_place(l, on, cw_mount_inner(on, real), real))
		return cw_error_set(
		    err, CW_ERR_FAILED, "cannot tell what %s is on", root);
	l->roots[l->root_count++] = cw_strdup(real);
	for (size_t i = 0; i < ours->count; i++) {
		const struct cw_mount *m = &ours->list[i];

		if (m != on && cw_path_is_below(m->point, real) &&
		    !add_place(l, m, cw_strdup(m->root), m->point))
			return cw_error_set(err, CW_ERR_FAILED,
			    "too much is mounted below %s", root);
	}
	return 0;
}

static int
begin(struct look *l, const char *const *roots, size_t count,
    struct cw_holders *out, struct cw_error *err)
{
	struct stat st;

	memset(out, 0, sizeof(*out));
	l->out = out;
	l->namespaces = cw_calloc(1, sizeof(*l->namespaces));
	l->namespace_count = 1;
	if (stat("/proc/self/ns/mnt", &st) < 0 ||
	    stat("/proc/self/exe", &l->self) < 0)
		return cw_error_errno(err, "cannot look at /proc/self");
	l->namespaces[0].id = st.st_ino;
	if (cw_mounts_read(NULL, &l->namespaces[0].mounts, err) < 0)
		return -1;
	l->roots = cw_calloc(count, sizeof(*l->roots));
	for (size_t i = 0; i < count; i++)
		if (add_root(l, roots[i], err) < 0)
			return -1;
	return 0;
}

static void
end(struct look *l)
{
	for (size_t i = 0; i < l->root_count; i++)
		free(l->roots[i]);
	for (size_t i = 0; i < l->place_count; i++)
		free(l->places[i].inner);
	for (size_t i = 0; i < l->namespace_count; i++)
		cw_mounts_free(&l->namespaces[i].mounts);
	free(l->roots);
	free(l->places);
	free(l->namespaces);
}

/* The mounts of a process's namespace; NULL if it is gone. */
static const struct namespace *
namespace_of(struct look *l, const char *pid)
{
	char path[64];
	struct stat st;
	struct namespace n;

	(void)snprintf(path, sizeof(path), "/proc/%s/ns/mnt", pid);
	if (stat(path, &st) < 0)
		return NULL;
	for (size_t i = 0; i < l->namespace_count; i++)
		if (l->namespaces[i].id == st.st_ino)
			return &l->namespaces[i];
	/* Beyond any machine we know: then paths alone decide. */
	if (l->namespace_count == NAMESPACES_MAX)
		return &l->namespaces[0];
	memset(&n, 0, sizeof(n));
	n.id = st.st_ino;
	if (cw_mounts_read(pid, &n.mounts, NULL) != 0) {
		cw_mounts_free(&n.mounts);
		return NULL;
	}
	l->namespaces =
	    cw_reallocarray(l->namespaces, l->namespace_count + 1, sizeof(n));
	l->namespaces[l->namespace_count] = n;
	return &l->namespaces[l->namespace_count++];
}

static bool
is_in_place(
    const struct look *l, const struct cw_mount *mount, const char *path)
{
	char *inner = cw_mount_inner(mount, path);
	bool found = false;

	for (size_t i = 0; inner != NULL && !found && i < l->place_count; i++)
		found = strcmp(l->places[i].device, mount->device) == 0 &&
			cw_path_is_below(inner, l->places[i].inner);
	free(inner);
	return found;
}

/* Where a path comes from: a link of /proc (NULL: a map) and its mount. */
struct origin {
	const char *link;
	int mount_id; /* -1: not known */
};

/*
 * The mount of a file.  A descriptor that came from another namespace is still
 * on the mount it was opened on; ids are those of the whole system.
 */
static const struct cw_mount *
mount_of(
    const struct look *l, const struct namespace *n, const char *path, int id)
{
	const struct cw_mount *mount = cw_mounts_find(&n->mounts, id, path);

	for (size_t i = 0; mount == NULL && i < l->namespace_count; i++)
		if (id >= 0)
			mount =
			    cw_mounts_find(&l->namespaces[i].mounts, id, path);
	return mount;
}

static bool
is_held(const struct look *l, const struct namespace *n, const char *path,
    const struct origin *from)
{
	const struct cw_mount *mount = mount_of(l, n, path, from->mount_id);
	struct stat st;

	/*
	 * In our own namespace the path is enough.  It need not be on the
	 * mount that is found: that may be hidden below another one.
	 */
	for (size_t i = 0; n == &l->namespaces[0] && i < l->root_count; i++)
		if (cw_path_is_below(path, l->roots[i]))
			return true;
	if (mount != NULL)
		return is_in_place(l, mount, path);
	/* A mount that was taken away from under the process: who knows. */
	if (from->link == NULL || stat(from->link, &st) < 0)
		return false;
	for (size_t i = 0; i < l->place_count; i++)
		if (l->places[i].dev == st.st_dev)
			return true;
	return false;
}

/* The same with what the kernel puts behind the name of an unlinked file. */
static bool
is_held_or_deleted(const struct look *l, const struct namespace *n, char *path,
    const struct origin *from)
{
	size_t len = strlen(path), tail = strlen(DELETED);

	if (path[0] != '/')
		return false;
	if (is_held(l, n, path, from))
		return true;
	if (len <= tail || strcmp(path + len - tail, DELETED) != 0)
		return false;
	path[len - tail] = '\0';
	return is_held(l, n, path, from);
}

struct process {
	const char *pid; /* as text */
	const struct namespace *ns;
	struct cw_holder found;
	bool is_holder;
};

static void
note(struct process *p, const char *what, const char *path)
{
	p->is_holder = true;
	(void)snprintf(p->found.what, sizeof(p->found.what), "%s", what);
	cw_text_quote(path, strlen(path), p->found.path);
}

/*
 * -1: may not be looked at.  A process that has gone holds nothing; and what
 * started a container may be out of reach even for root in it.
 */
static int
refused(const struct process *p, struct cw_error *err)
{
	if (errno != EACCES && errno != EPERM)
		return 0;
	if (geteuid() == 0 && strcmp(p->pid, "1") == 0)
		return 0;
	return cw_error_set(err, CW_ERR_FAILED,
	    "cannot see what process %s holds open; only root can prove that "
	    "nobody holds a store",
	    p->pid);
}

/* A link of /proc that names a file. */
static int
look_at_link(struct look *l, struct process *p, const char *name,
    const char *what, int mount_id, struct cw_error *err)
{
	char link[300], path[PATH_MAX + 1];
	ssize_t len;

	(void)snprintf(link, sizeof(link), "/proc/%s/%s", p->pid, name);
	len = readlink(link, path, sizeof(path) - 1);
	if (len < 0)
		return refused(p, err);
	path[len] = '\0';
	if (is_held_or_deleted(
		l, p->ns, path, &(struct origin){link, mount_id}))
		note(p, what, path);
	return 0;
}

/* The id of the mount that cwd, root or exe is on. */
static int
link_mount(const char *pid, const char *name)
{
	char path[64];
	int fd, id;

	(void)snprintf(path, sizeof(path), "/proc/%.20s/%.20s", pid, name);
	fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return -1;
	(void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	id = cw_mount_id(path);
	cw_close(&fd);
	return id;
}

static int
look_at_fds(struct look *l, struct process *p, struct cw_error *err)
{
	char path[300], link[PATH_MAX], name[300], what[32];
	struct dirent *e;
	ssize_t len;
	DIR *dir;
	int ret = 0;

	(void)snprintf(path, sizeof(path), "/proc/%s/fd", p->pid);
	dir = opendir(path);
	if (dir == NULL)
		return refused(p, err);
	while (ret == 0 && !p->is_holder && (e = readdir(dir)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		/* Sockets, pipes and their like are most of them. */
		len = readlinkat(dirfd(dir), e->d_name, link, sizeof(link));
		if (len <= 0 || link[0] != '/')
			continue;
		(void)snprintf(path, sizeof(path), "/proc/%s/fdinfo/%s", p->pid,
		    e->d_name);
		(void)snprintf(name, sizeof(name), "fd/%s", e->d_name);
		(void)snprintf(what, sizeof(what), "fd %.20s", e->d_name);
		ret = look_at_link(l, p, name, what, cw_mount_id(path), err);
	}
	(void)closedir(dir);
	return ret;
}

/* Mapped files: the sixth field of a line, as it comes behind the spaces. */
static int
look_at_maps(struct look *l, struct process *p, struct cw_error *err)
{
	char name[64], *line = NULL, before[PATH_MAX + 1] = "";
	size_t size = 0;
	FILE *file;

	(void)snprintf(name, sizeof(name), "/proc/%s/maps", p->pid);
	file = fopen(name, "re");
	if (file == NULL)
		return refused(p, err);
	while (!p->is_holder && getline(&line, &size, file) > 0) {
		char *path = strchr(line, '/');

		if (path == NULL)
			continue;
		path[strcspn(path, "\n")] = '\0';
		if (strcmp(path, before) == 0)
			continue;
		(void)snprintf(before, sizeof(before), "%s", path);
		if (is_held_or_deleted(
			l, p->ns, path, &(struct origin){NULL, -1}))
			note(p, "map", path);
	}
	free(line);
	(void)fclose(file);
	return 0;
}

static void
take_name(struct process *p)
{
	char path[64], comm[64] = "";
	ssize_t len = 0;
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%s/comm", p->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		len = read(fd, comm, 16);
	cw_close(&fd);
	len = len < 0 ? 0 : len;
	if (len > 0 && comm[len - 1] == '\n')
		len--;

	char quoted[CW_QUOTE_MAX];

	cw_text_quote(comm, (size_t)len, quoted);
	(void)snprintf(p->found.comm, sizeof(p->found.comm), "%.63s", quoted);
}

/* A process of this very program: it locks what it works on. */
static bool
is_ours(const struct look *l, const char *pid)
{
	char path[64];
	struct stat st;

	(void)snprintf(path, sizeof(path), "/proc/%.20s/exe", pid);
	return stat(path, &st) == 0 && st.st_dev == l->self.st_dev &&
	       st.st_ino == l->self.st_ino;
}

static int
look_at(struct look *l, const char *pid, struct cw_error *err)
{
	static const char *const links[] = {"cwd", "root", "exe"};
	struct process p = {.pid = pid};

	if (is_ours(l, pid))
		return 0;
	errno = 0;
	p.ns = namespace_of(l, pid);
	if (p.ns == NULL)
		return refused(&p, err);
	if (look_at_fds(l, &p, err) < 0)
		return -1;
	for (size_t i = 0; i < 3 && !p.is_holder; i++) {
		int id = link_mount(pid, links[i]);

		/* The root of every process but a few is "/". */
		if (look_at_link(l, &p, links[i], links[i], id, err) < 0)
			return -1;
	}
	if (!p.is_holder && look_at_maps(l, &p, err) < 0)
		return -1;
	if (!p.is_holder)
		return 0;
	take_name(&p);
	p.found.pid = (pid_t)strtol(pid, NULL, 10);
	if (l->out->count < CW_HOLDERS_MAX)
		l->out->list[l->out->count] = p.found;
	l->out->count++;
	return 0;
}

/*
 * In a container a process that somebody outside begins is, until it has become
 * another program, one that even root may not look at.
 */
static int
look_patiently(struct look *l, const char *pid, struct cw_error *err)
{
	int ret = look_at(l, pid, err);

	for (int i = 0; ret < 0 && geteuid() == 0 && i < LOOKS_AGAIN; i++) {
		(void)poll(NULL, 0, POLL_MS);
		ret = look_at(l, pid, err);
	}
	return ret;
}

int
cw_holders_find(const char *const *roots, size_t root_count,
    struct cw_holders *out, struct cw_error *err)
{
	struct look l = {0};
	struct dirent *e;
	DIR *dir = NULL;
	int ret = begin(&l, roots, root_count, out, err);

	if (ret == 0 && (dir = opendir("/proc")) == NULL)
		ret = cw_error_errno(err, "cannot list /proc");
	/* All namespaces first: what one process holds may be of another's. */
	while (ret == 0 && (e = readdir(dir)) != NULL)
		if (e->d_name[0] >= '1' && e->d_name[0] <= '9')
			(void)namespace_of(&l, e->d_name);
	if (ret == 0)
		rewinddir(dir);
	while (ret == 0 && (e = readdir(dir)) != NULL)
		if (e->d_name[0] >= '1' && e->d_name[0] <= '9')
			ret = look_patiently(&l, e->d_name, err);
	if (dir != NULL)
		(void)closedir(dir);
	end(&l);
	return ret;
}

static int
name_them(const struct cw_holders *h, const char *root, bool kill,
    struct cw_error *err)
{
	struct cw_buf text = CW_BUF_INIT;

	for (size_t i = 0; i < h->count && i < 3; i++)
		cw_buf_printf(&text, "%s%s (process %ld, %s: %.120s)",
		    i == 0 ? "" : ", ", h->list[i].comm, (long)h->list[i].pid,
		    h->list[i].what, h->list[i].path);
	if (h->count > 3)
		cw_buf_printf(&text, " and %zu more", h->count - 3);
	cw_error_set(err, CW_ERR_REFUSED, "the store at %s is still held by %s",
	    root, cw_buf_string(&text));
	cw_buf_free(&text);
	return cw_error_advise(
	    err, kill ? "they did not die"
		      : "stop them, or set holders = kill in [hooks]");
}

/* Never init, nor ourselves: they could only be named by mistake. */
static void
signal_them(const struct cw_holders *h, int sig)
{
	for (size_t i = 0; i < h->count && i < CW_HOLDERS_MAX; i++)
		if (h->list[i].pid > 1 && h->list[i].pid != getpid())
			(void)kill(h->list[i].pid, sig);
}

int
cw_holders_wait(const char *const *roots, size_t root_count, unsigned limit_ms,
    bool kill, struct cw_holders *out, struct cw_error *err)
{
	struct cw_holders *h = cw_malloc(sizeof(*h));
	int64_t from = cw_clock_ms(), term_at = from + limit_ms / 2;
	int64_t end_at = from + limit_ms;
	int ret;

	for (;;) {
		int64_t now;

		ret = cw_holders_find(roots, root_count, h, err);
		if (ret < 0 || h->count == 0)
			break;
		now = cw_clock_ms();
		if (now >= end_at) {
			ret = name_them(h, roots[0], kill, err);
			break;
		}
		/* Each that turns up gets both, a second apart. */
		if (kill && now >= term_at)
			signal_them(
			    h, now >= term_at + 1000 || end_at - now < 1000
				   ? SIGKILL
				   : SIGTERM);
		(void)poll(NULL, 0, POLL_MS);
	}
	if (out != NULL)
		*out = *h;
	free(h);
	return ret;
}

int
cw_home_prove_unheld(const struct cw_home *home,
    const struct cw_config_store *store, struct cw_error *err)
{
	const char **paths = cw_calloc(store->root_count, sizeof(*paths));
	struct cw_hook_settings settings;
	int ret;

	for (size_t i = 0; i < store->root_count; i++)
		paths[i] = store->roots[i].path;
	cw_hook_settings(&home->config, store->name, &settings);
	ret = cw_holders_wait(paths, store->root_count, settings.timeout_ms,
	    settings.kill_holders, NULL, err);
	free(paths);
	return ret;
}
