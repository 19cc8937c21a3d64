#include "site/seeds.h"

#include "base/buf.h"
#include "base/bytes.h"
#include "base/fs.h"
#include "seed/shipping.h"
#include "site/receipts.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Whether all media were closed. */
static bool
is_closed(int dirfd, const struct cw_manifest *m)
{
	struct cw_shipping s;
	size_t closed = 0;

	if (cw_shipping_load(dirfd, &s, NULL) == 0)
		for (size_t i = 0; i < s.count; i++)
			closed += s.media[i].closed != 0;
	cw_shipping_free(&s);
	return m->media > 0 && closed >= m->media;
}

static void
add_receipt(const struct cw_home *home, struct cw_seed_summary *s)
{
	struct cw_receipt all[CW_RECEIPTS_SITES_MAX];
	uint8_t theirs[CW_CARD_FINGERPRINT_SIZE];

	if (cw_receipts_of_seed(home, s->id, all, CW_RECEIPTS_SITES_MAX) == 0)
		return;
	s->is_confirmed = true;
	s->is_complete = all[0].wanted == 0;
	s->wanted = all[0].wanted;
	s->confirmed_time = all[0].time;
	for (size_t i = 0; i < home->config.peer_count; i++) {
		const struct cw_config_peer *p = &home->config.peers[i];

		cw_card_fingerprint(&p->card, theirs);
		if (memcmp(theirs, all[0].site, sizeof(theirs)) == 0)
			(void)snprintf(s->by, sizeof(s->by), "%s", p->name);
	}
}

/* Whether the seed of that name is one of the store, and what it is. */
static bool
look(const struct cw_home *home, int seeds_fd, const char *name,
    const uint8_t store_id[CW_STORE_ID_SIZE], const uint8_t *current,
    struct cw_seed_summary *s)
{
	struct cw_manifest m = CW_MANIFEST_INIT;
	struct cw_buf text = CW_BUF_INIT;
	uint8_t id[CW_SEED_ID_SIZE];
	struct cw_ledger ledger;
	bool has_manifest, is_ours = false;
	int dirfd;

	if (!cw_hex_decode(name, strlen(name), id, sizeof(id)))
		return false;
	dirfd = openat(seeds_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return false;
	if (cw_ledger_read(dirfd, &ledger, NULL) != 0) {
		(void)close(dirfd);
		return false;
	}
	has_manifest = cw_read_file(dirfd, CW_SET_MANIFEST,
			   CW_MANIFEST_TEXT_MAX, &text, NULL) == 0 &&
		       cw_manifest_decode(
			   (const char *)text.data, text.len, &m, NULL) == 0;
	if (has_manifest)
		is_ours = memcmp(m.store_id, store_id, CW_STORE_ID_SIZE) == 0;
	else
		is_ours =
		    current != NULL && memcmp(current, id, sizeof(id)) == 0;
	if (is_ours) {
		memset(s, 0, sizeof(*s));
		(void)snprintf(s->id, sizeof(s->id), "%s", name);
		(void)snprintf(s->peer, sizeof(s->peer), "%s", ledger.peer);
		s->generation = ledger.generation;
		s->base = has_manifest ? m.base : 0;
		s->time = ledger.time;
		s->state = !has_manifest || !ledger.is_finished ? "unfinished"
			   : is_closed(dirfd, &m)		? "closed"
								: "sealed";
		add_receipt(home, s);
	}
	cw_ledger_close(&ledger);
	cw_manifest_free(&m);
	cw_buf_free(&text);
	(void)close(dirfd);
	return is_ours;
}

static int
newest_first(const void *a, const void *b)
{
	const struct cw_seed_summary *x = a, *y = b;

	if (x->time != y->time)
		return x->time < y->time ? 1 : -1;
	return strcmp(x->id, y->id);
}

size_t
cw_seeds_of_store(const struct cw_home *home,
    const uint8_t store_id[CW_STORE_ID_SIZE], const uint8_t *current,
    struct cw_seed_summary **out)
{
	struct cw_seed_summary *all = NULL, one;
	size_t count = 0;
	int fd =
	    openat(home->state_fd, "seeds", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	while (dir != NULL && (e = readdir(dir)) != NULL) {
		if (!look(home, fd, e->d_name, store_id, current, &one))
			continue;
		all = cw_reallocarray(all, count + 1, sizeof(*all));
		all[count++] = one;
	}
	if (dir != NULL)
		closedir(dir);
	if (count > 0)
		qsort(all, count, sizeof(*all), newest_first);
	*out = all;
	return count;
}

uint64_t
cw_seeds_settled(const struct cw_home *home,
    const struct cw_seed_summary *seeds, size_t count,
    const struct cw_peer *peers, const char **waits_for)
{
	uint64_t least = UINT64_MAX;

	*waits_for = NULL;
	for (size_t i = 0; i < home->config.peer_count; i++) {
		const char *name = home->config.peers[i].name;
		uint64_t has = 0;
		bool is_concerned = false;

		if (peers != NULL && peers[i].has_acked) {
			is_concerned = true;
			has = peers[i].acked_generation;
		}
		for (size_t k = 0; k < count; k++) {
			const struct cw_seed_summary *s = &seeds[k];

			if (strcmp(s->peer, name) == 0)
				is_concerned = true;
			if (s->is_confirmed && s->is_complete &&
			    strcmp(s->by, name) == 0 && s->generation > has) {
				is_concerned = true;
				has = s->generation;
			}
		}
		if (!is_concerned)
			continue;
		if (has == 0 && *waits_for == NULL)
			*waits_for = name;
		if (has < least)
			least = has;
	}
	return least == UINT64_MAX ? 0 : least;
}
