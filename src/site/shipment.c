#include "site/shipment.h"

#include "base/bytes.h"
#include "base/fs.h"
#include "seed/custody_file.h"
#include "seed/ledger.h"
#include "seed/shipping.h"
#include "seed/verify.h"
#include "site/identity.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SHOWN_MAX 5u /* files that are named of what is wrong */

/* What one run works with. */
struct work {
	const struct cw_home *home;
	const struct cw_shipment_options *o;
	struct cw_shipment *result;
	char *seed_path; /* STATE/seeds/ID */
	int seed_fd;
	struct cw_set *set;
	char **dirs; /* of set->media, as the operator named them */
	size_t dir_count;
	struct cw_ledger ledger;
	bool has_ledger;
	struct cw_shipping shipping;
	struct cw_card own;
	struct cw_set_signer signer;
	bool has_manifest; /* in the state directory */
	struct cw_manifest manifest;
	bool may_close; /* else nothing is, however good */
};

static void because(struct cw_shipment_reasons *r, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void
because(struct cw_shipment_reasons *r, const char *fmt, ...)
{
	char text[CW_ERROR_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	r->list = cw_reallocarray(r->list, r->count + 1, sizeof(*r->list));
	r->list[r->count++] = cw_strdup(text);
}

static void
free_reasons(struct cw_shipment_reasons *r)
{
	for (size_t i = 0; i < r->count; i++)
		free(r->list[i]);
	free(r->list);
}

void
cw_shipment_free(struct cw_shipment *result)
{
	for (size_t i = 0; i < result->count; i++) {
		free(result->media[i].path);
		free_reasons(&result->media[i].why_not);
	}
	free(result->media);
	free_reasons(&result->why_not);
	memset(result, 0, sizeof(*result));
}

/* ---- which seed, which media ---- */

/* Where the media were written, of those that hold the seed now. */
static void
remembered_dirs(struct work *w, const char *seed)
{
	w->dirs = cw_calloc(w->shipping.count + 1, sizeof(*w->dirs));
	for (size_t i = 0; i < w->shipping.count; i++) {
		const char *dir = w->shipping.media[i].path;
		char *inside = cw_asprintf(
		    "%s/" CW_SET_FOLDER "/%s/" CW_SET_MANIFEST, dir, seed);

		if (access(inside, F_OK) == 0)
			w->dirs[w->dir_count++] = cw_strdup(dir);
		free(inside);
	}
}

/* The seed's directory here, and what is in it. */
static int
open_state(struct work *w, const char *seed, struct cw_error *err)
{
	struct cw_buf text = CW_BUF_INIT;
	int ret;

	w->seed_path = cw_home_seed_dir(w->home, seed);
	w->seed_fd = open(w->seed_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (w->seed_fd < 0)
		return cw_error_set(err, CW_ERR_MISSING,
		    "seed %s was not packed at this site: see `causeway seed "
		    "list`",
		    seed);
	ret = cw_ledger_read(w->seed_fd, &w->ledger, err);
	if (ret == 1)
		return cw_error_set(
		    err, CW_ERR_MISSING, "%s has no ledger", w->seed_path);
	if (ret < 0)
		return -1;
	w->has_ledger = true;
	if (cw_shipping_load(w->seed_fd, &w->shipping, err) < 0)
		return cw_error_context(err, "%s", w->seed_path);
	ret = cw_read_file(
	    w->seed_fd, CW_SET_MANIFEST, CW_MANIFEST_TEXT_MAX, &text, err);
	if (ret == 0) {
		ret = cw_manifest_decode(
		    (const char *)text.data, text.len, &w->manifest, err);
		w->has_manifest = ret == 0;
	}
	cw_buf_free(&text);
	return ret < 0 ? cw_error_context(err, "%s", w->seed_path) : 0;
}

/* The set, governed by the manifest that this site signed last. */
static int
open_set(struct work *w, const char *seed, struct cw_error *err)
{
	char *manifest = w->has_manifest
			     ? cw_asprintf("%s/" CW_SET_MANIFEST, w->seed_path)
			     : NULL;
	const struct cw_set_source source = {
	    .dirs = (const char *const *)w->dirs,
	    .dir_count = w->dir_count,
	    .seed = seed,
	    .manifest = manifest,
	    .signers = &w->signer,
	    .signer_count = 1,
	};
	int ret = cw_set_open_from(&source, &w->set, err);

	free(manifest);
	return ret;
}

/* Which seed the directories hold, where it was not said. */
static int
find_seed(struct work *w, char id[CW_SEED_ID_TEXT], struct cw_error *err)
{
	struct cw_set *set;

	if (cw_set_open((const char *const *)w->dirs, w->dir_count, NULL,
		&w->signer, 1, &set, err) < 0)
		return -1;
	memcpy(id, set->seed_text, CW_SEED_ID_TEXT);
	cw_set_free(set);
	return 0;
}

static int
begin(struct work *w, struct cw_error *err)
{
	char *id = w->result->seed_text;

	if (cw_identity_card(w->home->state_fd, &w->own, err) < 0)
		return -1;
	cw_set_signer_from_card(&w->own, &w->signer);
	if (w->o->dir_count > 0) {
		w->dirs = cw_calloc(w->o->dir_count, sizeof(*w->dirs));
		for (size_t i = 0; i < w->o->dir_count; i++)
			w->dirs[w->dir_count++] = cw_strdup(w->o->dirs[i]);
	}
	if (w->o->seed != NULL)
		(void)snprintf(id, CW_SEED_ID_TEXT, "%s", w->o->seed);
	else if (find_seed(w, id, err) < 0)
		return -1;
	if (open_state(w, id, err) < 0)
		return -1;
	if (w->o->dir_count == 0)
		remembered_dirs(w, id);
	/* None here is an answer, too. */
	return w->dir_count == 0 ? 0 : open_set(w, id, err);
}

/* ---- what holds for all of them ---- */

static const char *
list_numbers(const struct cw_shipment *s, struct cw_buf *text)
{
	bool is_first = true;

	for (size_t i = 0; i < s->count; i++)
		if (!s->media[i].is_closed && s->media[i].number != 0) {
			cw_buf_printf(text, "%s%u", is_first ? "" : ", ",
			    s->media[i].number);
			is_first = false;
		}
	return cw_buf_string(text);
}

/* That the site it is for can be trusted to be able to open it. */
static void
judge_recipient(struct work *w)
{
	struct cw_shipment_reasons *why = &w->result->why_not;
	const char *name = w->ledger.peer;
	const struct cw_config_peer *peer =
	    cw_config_peer(&w->home->config, name);
	const struct cw_manifest *m = w->has_manifest  ? &w->manifest
				      : w->set != NULL ? &w->set->manifest
						       : NULL;

	w->may_close = false;
	if (peer == NULL)
		because(why,
		    "the seed is for %s, which is not paired with this site "
		    "any more: `causeway pair CARD`, with its card",
		    name);
	else if (memcmp(peer->card.age_point, w->ledger.recipients[0], 32) !=
		     0 ||
		 (m != NULL &&
		     !cw_manifest_has_recipient(m, peer->card.age_point)))
		because(why,
		    "the seed was sealed for another key than the one %s has "
		    "now, so %s cannot open it: pack it again with --new",
		    name, name);
	else
		w->may_close = true;
}

static void
judge_manifest(struct work *w)
{
	struct cw_shipment_reasons *why = &w->result->why_not;

	if (!w->ledger.is_finished || !w->has_manifest || !w->manifest.is_final)
		because(why,
		    "the seed is not finished, its manifest is not final: run "
		    "the same `causeway seed` command again");
	if (w->set != NULL && !w->set->is_trusted)
		because(why,
		    "the manifest on the media was not signed by this site");
}

/* ---- each of them ---- */

static struct cw_shipment_medium *
medium_of(struct cw_shipment *s, uint32_t number)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->media[i].number == number)
			return &s->media[i];
	return NULL;
}

static struct cw_shipment_medium *
add_medium(struct cw_shipment *s, uint32_t number)
{
	struct cw_shipment_medium *m;

	s->media = cw_reallocarray(s->media, s->count + 1, sizeof(*s->media));
	m = &s->media[s->count++];
	memset(m, 0, sizeof(*m));
	m->number = number;
	return m;
}

/* All that the seed has, as far as is known, and what was given besides. */
static void
list_media(struct work *w)
{
	const struct cw_manifest *m = w->has_manifest  ? &w->manifest
				      : w->set != NULL ? &w->set->manifest
						       : NULL;
	struct cw_shipment *s = w->result;
	uint32_t last = m != NULL ? m->media : 0;

	if (last < w->ledger.last_medium && !w->has_manifest)
		last = w->ledger.last_medium;
	for (uint32_t n = 1; n <= last; n++) {
		struct cw_shipment_medium *to = add_medium(s, n);
		const struct cw_medium *is =
		    m != NULL ? cw_manifest_medium(m, n) : NULL;
		const struct cw_shipping_medium *known =
		    cw_shipping_find(&w->shipping, n);

		if (is != NULL)
			(void)snprintf(
			    to->label, sizeof(to->label), "%s", is->label);
		to->was_closed = to->is_closed =
		    known != NULL && known->closed != 0;
		for (size_t i = 0; m != NULL && i < m->file_count; i++)
			if (m->files[i].medium == n)
				to->bytes += m->files[i].size;
	}
	for (size_t i = 0; w->set != NULL && i < w->set->count; i++) {
		uint32_t number = w->set->media[i].number;
		struct cw_shipment_medium *to =
		    number != 0 ? medium_of(s, number) : NULL;

		if (to == NULL || to->path != NULL)
			to = add_medium(s, 0);
		if (to->number == 0 && number == 0)
			because(&to->why_not,
			    "nothing readable there tells which medium of the "
			    "seed it is");
		else if (to->number == 0)
			because(&to->why_not,
			    "it says that it is medium %u, and so does another "
			    "that was given",
			    number);
		to->path = cw_strdup(w->set->media[i].path);
	}
}

/* ---- what was read ---- */

static void
judge_damage(struct work *w, const struct cw_verify_result *v)
{
	struct cw_shipment *s = w->result;

	for (size_t i = 0; i < s->count; i++) {
		struct cw_shipment_medium *m = &s->media[i];
		size_t found = 0;

		if (m->path == NULL)
			continue;
		for (size_t k = 0; k < v->damaged_count; k++) {
			const struct cw_verify_damage *d = &v->damaged[k];

			if (d->medium != 0 && d->medium != m->number)
				continue;
			if (found++ < SHOWN_MAX)
				because(&m->why_not, "it is damaged: %s",
				    d->reason);
		}
		for (size_t k = 0; k < v->missing_count; k++) {
			const struct cw_verify_missing *x = &v->missing[k];

			if (x->is_medium_absent || x->medium != m->number)
				continue;
			if (found++ < SHOWN_MAX)
				because(&m->why_not, "%s is missing on it",
				    x->file);
		}
		if (found > SHOWN_MAX)
			because(&m->why_not,
			    "and %zu places more are wrong: `causeway verify` "
			    "lists them",
			    found - SHOWN_MAX);
		if (v->damaged_more > 0)
			because(&m->why_not,
			    "more is wrong on the media than can be listed: "
			    "try each alone");
		if (found > 0)
			because(&m->why_not,
			    "mend it with `causeway repair`, or make it again "
			    "with `causeway seed remake %s --medium %u`",
			    s->seed_text, m->number);
	}
}

static int
verify(struct work *w, struct cw_error *err)
{
	char *manifest = w->has_manifest
			     ? cw_asprintf("%s/" CW_SET_MANIFEST, w->seed_path)
			     : NULL;
	const struct cw_verify_options o = {
	    .seed = w->result->seed_text,
	    .manifest = manifest,
	    .signers = &w->signer,
	    .signer_count = 1,
	    .is_fresh = true,
	    .progress = w->o->progress,
	};
	struct cw_verify_result v = {0};
	int ret =
	    cw_verify((const char *const *)w->dirs, w->dir_count, &o, &v, err);

	if (ret == 0)
		judge_damage(w, &v);
	cw_verify_free(&v);
	free(manifest);
	return ret;
}

/*
 * A filesystem that is still mounted as when it was written may have been read
 * from memory, whatever is done about the page cache, and its journal may not
 * be through.
 */
static int
judge_mount(struct work *w, size_t index, struct cw_shipment_medium *m,
    struct cw_error *err)
{
	const struct cw_shipping_medium *known =
	    cw_shipping_find(&w->shipping, m->number);
	int dirfd = w->set->media[index].dirfd;
	struct cw_mount_life now;
	struct stat st, root;

	if (w->o->without_remount || m->was_closed)
		return 0;
	if (cw_mount_life_look(dirfd, &now, err) < 0)
		return -1;
	if (known == NULL) {
		because(&m->why_not,
		    "it is not known how it was mounted when it was written: "
		    "say --no-remount if it was unmounted since then");
		return 0;
	}
	switch (cw_mount_life_anew(&known->mounted, &now)) {
	case CW_REMOUNTED_YES:
		return 0;
	case CW_REMOUNTED_NO:
		break;
	case CW_REMOUNTED_UNKNOWN:
		because(&m->why_not,
		    "the system does not tell whether it was unmounted since "
		    "it was written: unmount and mount it, and say "
		    "--no-remount");
		return 0;
	}
	if (stat("/", &root) == 0 && fstat(dirfd, &st) == 0 &&
	    root.st_dev == st.st_dev)
		because(&m->why_not,
		    "it lies on this system's own filesystem, which cannot be "
		    "unmounted: if the whole server is shipped, restart it "
		    "first, or say --no-remount");
	else
		because(&m->why_not,
		    "it was not unmounted and mounted again since it was "
		    "written, so what is read may come from memory: `umount`, "
		    "`mount`, and run this again");
	return 0;
}

/* Whether the last thing in its log is that it was closed. */
static bool
has_event(struct work *w, int dirfd)
{
	struct cw_custody log = CW_CUSTODY_INIT;
	bool is_last = false;

	if (cw_custody_file_read(dirfd, w->set->seed_id, &log, NULL) == 0 &&
	    log.event_count > 0) {
		const struct cw_custody_event *last =
		    &log.events[log.event_count - 1];

		is_last = last->kind == CW_CUSTODY_CLOSED &&
			  cw_minisign_public_equal(&last->signer, &w->own.sign);
	}
	cw_custody_free(&log);
	return is_last;
}

static int
close_medium(struct work *w, size_t index, struct cw_shipment_medium *m,
    struct cw_error *err)
{
	int dirfd = w->set->media[index].dirfd;
	char note[160], sha[65];

	cw_hex_encode(w->set->manifest_sha256, 32, sha);
	(void)snprintf(note, sizeof(note),
	    "medium %u, read again in full (%" PRIu64
	    " bytes), manifest %.16s, revision %u",
	    m->number, m->bytes, sha, w->set->manifest.revision);
	/* The event first: a crash between them only asks for it again. */
	if (!has_event(w, dirfd) &&
	    cw_custody_file_append(dirfd, w->set->seed_id, CW_CUSTODY_CLOSED,
		note, w->own.name, w->o->secret, err) < 0)
		return cw_error_context(err, "%s", m->path);
	if (cw_shipping_close(w->seed_fd, m->number, true, err) < 0)
		return cw_error_context(err, "%s", w->seed_path);
	m->is_closed = true;
	return 0;
}

static int
judge_media(struct work *w, struct cw_error *err)
{
	struct cw_shipment *s = w->result;

	for (size_t i = 0; i < w->set->count; i++) {
		struct cw_shipment_medium *m = NULL;

		for (size_t k = 0; k < s->count; k++)
			if (s->media[k].path != NULL &&
			    strcmp(s->media[k].path, w->set->media[i].path) ==
				0)
				m = &s->media[k];
		if (m == NULL || m->number == 0)
			continue;
		if (judge_mount(w, i, m, err) < 0)
			return -1;
		if (m->why_not.count == 0 && w->may_close &&
		    w->set->is_trusted) {
			if (!m->was_closed && close_medium(w, i, m, err) < 0)
				return -1;
		} else if (m->why_not.count > 0 && m->was_closed) {
			m->is_closed = false;
			if (cw_shipping_close(
				w->seed_fd, m->number, false, err) < 0)
				return -1;
		}
	}
	return 0;
}

static void
judge_all(struct work *w)
{
	struct cw_shipment *s = w->result;
	struct cw_buf text = CW_BUF_INIT;
	size_t open = 0, untold = 0;

	for (size_t i = 0; i < s->count; i++) {
		struct cw_shipment_medium *m = &s->media[i];

		if (!m->is_closed && m->path == NULL)
			because(&m->why_not,
			    "it is not here: run this again with its "
			    "directory");
		open += !m->is_closed && m->number != 0;
		untold +=
		    !m->is_closed && m->number != 0 && m->why_not.count == 0;
	}
	/* Not where what keeps them open is said already. */
	if (untold > 0 && s->why_not.count == 0)
		because(&s->why_not, "%s %s %s not closed yet",
		    open == 1 ? "medium" : "media", list_numbers(s, &text),
		    open == 1 ? "is" : "are");
	s->is_ready = open == 0 && s->why_not.count == 0 && s->count > 0;
	cw_buf_free(&text);
}

int
cw_shipment_close(const struct cw_home *home,
    const struct cw_shipment_options *options, struct cw_shipment *result,
    struct cw_error *err)
{
	struct work w = {.home = home,
	    .o = options,
	    .result = result,
	    .seed_fd = -1,
	    .manifest = CW_MANIFEST_INIT};
	int ret = -1;

	memset(result, 0, sizeof(*result));
	if (begin(&w, err) < 0)
		goto out;
	judge_recipient(&w);
	judge_manifest(&w);
	list_media(&w);
	if (w.set != NULL && (verify(&w, err) < 0 || judge_media(&w, err) < 0))
		goto out;
	judge_all(&w);
	ret = 0;
out:
	cw_set_free(w.set);
	for (size_t i = 0; i < w.dir_count; i++)
		free(w.dirs[i]);
	free(w.dirs);
	if (w.has_ledger)
		cw_ledger_close(&w.ledger);
	cw_shipping_free(&w.shipping);
	cw_manifest_free(&w.manifest);
	cw_close(&w.seed_fd);
	free(w.seed_path);
	return ret;
}
