/*
 * Which medium takes a volume: by room, and by how many are in progress.
 */
#include "base/clock.h"
#include "base/fs.h"
#include "base/progress.h"
#include "base/text.h"
#include "media/durable.h"
#include "seed/target_impl.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

/* How long a wait lasts before it looks whether it should stop. */
#define WAIT_NS 200000000l

uint64_t
target_sidecar(uint64_t size)
{
	return 2 * CW_XXH_SIZE *
	       ((size + CW_DURABLE_BLOCK - 1) / CW_DURABLE_BLOCK);
}

/* What shards will take on a medium that protects its own volumes. */
static uint64_t
shards_due(
    const struct cw_target *t, const struct cw_target_medium *m, uint32_t more)
{
	uint64_t members = m->loose + m->taken + more;

	if (t->k == 0 || t->survive)
		return 0;
	return (members + t->k - 1) / t->k * t->m *
	       (t->volume_size + target_sidecar(t->volume_size));
}

/* Bytes that are free on it and not promised to anything. */
static uint64_t
left(const struct cw_target *t, const struct cw_target_medium *m, uint64_t due)
{
	uint64_t taken = m->promised + m->sidecar + m->reserved + t->reserve;
	uint64_t available;
	struct statvfs vfs;

	if (m->is_failed || m->is_closed || fstatvfs(m->folder, &vfs) < 0)
		return 0;
	available = (uint64_t)vfs.f_bavail * vfs.f_frsize;
	/*
	 * Without allocation a promise may be half written already and so be
	 * counted twice: that only makes us careful.
	 */
	return available < taken + due ? 0 : available - taken - due;
}

bool
target_has_room(const struct cw_target *t, const struct cw_target_medium *m,
    uint64_t size, bool is_volume)
{
	return left(t, m, shards_due(t, m, is_volume)) >=
	       size + target_sidecar(size);
}

void
target_charge(
    struct cw_target_place *place, struct cw_target_medium *m, uint64_t size)
{
	*place = (struct cw_target_place){
	    .medium = m, .size = size, .promised = size};
	m->promised += size;
	m->sidecar += target_sidecar(size);
}

static bool
place_within(struct cw_target *t, uint64_t size, struct cw_target_place *out)
{
	struct cw_target_medium *best = NULL;

	for (size_t i = 0; i < t->count; i++) {
		struct cw_target_medium *m = t->media[i];

		if ((best == NULL || m->taken < best->taken) &&
		    target_has_room(t, m, size, true))
			best = m;
	}
	if (best == NULL)
		return false;
	target_charge(out, best, size);
	best->taken++;
	return true;
}

/* Why no medium takes the next volume. */
static int
explain(const struct cw_target *t, uint64_t size, struct cw_error *err)
{
	const struct cw_target_medium *failed = NULL, *emptiest = NULL;
	char need[CW_TEXT_MAX], most[CW_TEXT_MAX];
	uint64_t best = 0;

	for (size_t i = 0; i < t->count; i++) {
		const struct cw_target_medium *m = t->media[i];
		uint64_t have;

		if (m->is_closed)
			continue;
		have = left(t, m, shards_due(t, m, 1));
		if (emptiest == NULL || have > best) {
			best = have;
			emptiest = m;
		}
		if (failed == NULL && m->is_failed)
			failed = m;
	}
	if (failed != NULL)
		return cw_error_set(err,
		    failed->why.code == CW_ERR_NOSPACE ? CW_ERR_NOSPACE
						       : CW_ERR_IO,
		    "no medium takes the next volume; the one in %s failed: "
		    "%s; attach another one, and give its directory as a "
		    "further --to",
		    failed->path, failed->why.message);
	cw_text_bytes(size + target_sidecar(size), need);
	cw_text_bytes(best, most);
	if (t->survive)
		return cw_error_set(err, CW_ERR_NOSPACE,
		    "no group of volumes has room any more: each needs %s on "
		    "%u of the media at least; make room on them and run the "
		    "same command again, or begin anew with --new on larger "
		    "ones",
		    need, t->m + 1);
	if (emptiest == NULL)
		return cw_error_set(err, CW_ERR_NOSPACE,
		    "no medium is attached that takes the next volume; attach "
		    "one, and give its directory with --to");
	return cw_error_set(err, CW_ERR_NOSPACE,
	    "no medium has room for the next volume: it needs %s besides its "
	    "share of parity, and the emptiest, in %s, has %s free; attach "
	    "another one, and give its directory as a further --to",
	    need, emptiest->path, most);
}

/* Has all that are here closed, and gets another one.  Without the lock. */
static int
ask(struct cw_target *t, const struct cw_error *full,
    struct cw_target_medium **added, struct cw_error *err)
{
	const struct cw_target_asker *a = &t->asker;
	struct cw_error why = *full;

	for (size_t i = 0; i < t->count; i++) {
		struct cw_target_medium *m = t->media[i];

		if (m->is_closed)
			continue;
		if (a->close != NULL && a->close(a->arg, m, err) < 0)
			return -1;
		m->is_closed = true;
		cw_close(&m->top);
		cw_close(&m->folder);
	}
	for (;;) {
		char *dir = NULL;
		int ret =
		    a->more == NULL ? 1 : a->more(a->arg, &why, &dir, err);

		if (ret == 1)
			*err = why;
		if (ret != 0)
			return -1;
		ret = target_add(t, dir, added, &why);
		free(dir);
		if (ret == 0)
			return a->added == NULL ? 0
						: a->added(a->arg, *added, err);
	}
}

static void
wait_a_while(struct cw_target *t)
{
	struct timespec until = cw_time_split(cw_clock_ns() + WAIT_NS);

	/* Not the wall clock: it may be set back meanwhile. */
	(void)pthread_cond_clockwait(
	    &t->moved, &t->lock, CLOCK_MONOTONIC, &until);
}

/* Nothing has room: 0 if it is worth trying again. */
static int
make_room(struct cw_target *t, uint64_t size, struct cw_error *err)
{
	struct cw_target_medium *added = NULL;
	uint32_t taken = 0, parked = 0;
	struct cw_error full = CW_ERROR_INIT;
	int ret;

	if (!t->has_asker)
		return explain(t, size, err);
	if (cw_stop_check(err) < 0)
		return -1;
	for (size_t i = 0; i < t->count; i++) {
		taken += t->media[i]->taken + t->media[i]->busy;
		parked += t->media[i]->parked;
	}
	if (t->is_asking || taken > parked) {
		wait_a_while(t);
		return 0;
	}
	if (parked > 0)
		return cw_error_set(err, CW_ERR_BUSY,
		    "a volume has to be filled before the next medium");
	(void)explain(t, size, &full);
	t->is_asking = true;
	pthread_mutex_unlock(&t->lock);
	ret = ask(t, &full, &added, err);
	pthread_mutex_lock(&t->lock);
	t->is_asking = false;
	if (added != NULL)
		target_append(t, added);
	pthread_cond_broadcast(&t->moved);
	return ret;
}

/* With the lock. */
static bool
is_broken(const struct cw_target *t, struct cw_error *err)
{
	for (size_t i = 0; t->survive && i < t->count; i++) {
		const struct cw_target_medium *m = t->media[i];

		if (!m->is_failed || m->why.code == CW_ERR_NOSPACE)
			continue;
		cw_error_set(err, CW_ERR_IO,
		    "the medium in %s (%u) failed: %s; this seed is to "
		    "survive the loss of %u media and needs all %zu of them: "
		    "replace it, and run the same command again with the "
		    "directory of the new one in its place; what is on the "
		    "others counts",
		    m->path, m->is.number, m->why.message, t->m, t->count);
		return true;
	}
	return false;
}

bool
cw_target_broken(struct cw_target *t, struct cw_error *err)
{
	bool broken;

	pthread_mutex_lock(&t->lock);
	broken = is_broken(t, err);
	pthread_mutex_unlock(&t->lock);
	return broken;
}

int
cw_target_take(struct cw_target *t, uint64_t size, struct cw_target_place *out,
    struct cw_error *err)
{
	int ret = 0;

	pthread_mutex_lock(&t->lock);
	for (;;) {
		if (is_broken(t, err)) {
			ret = -1;
			break;
		}
		if (!t->is_asking &&
		    (t->survive ? target_place_across(t, size, out)
				: place_within(t, size, out)))
			break;
		if ((ret = make_room(t, size, err)) < 0)
			break;
	}
	pthread_mutex_unlock(&t->lock);
	return ret;
}

void
cw_target_begun(
    struct cw_target *t, struct cw_target_place *place, const char *temporary)
{
	struct stat st;

	if (fstatat(place->medium->folder, temporary, &st,
		AT_SYMLINK_NOFOLLOW) < 0 ||
	    (uint64_t)st.st_blocks * 512 < place->size)
		return;
	pthread_mutex_lock(&t->lock);
	place->medium->promised -= place->promised;
	place->promised = 0;
	pthread_cond_broadcast(&t->moved);
	pthread_mutex_unlock(&t->lock);
}

void
cw_target_park(
    struct cw_target *t, const struct cw_target_place *place, bool is_parked)
{
	pthread_mutex_lock(&t->lock);
	if (is_parked)
		place->medium->parked++;
	else
		place->medium->parked--;
	pthread_cond_broadcast(&t->moved);
	pthread_mutex_unlock(&t->lock);
}

/* With the lock. */
static void
end_place(struct cw_target *t, struct cw_target_place *place, bool is_kept)
{
	struct cw_target_medium *m = place->medium;

	m->promised -= place->promised;
	place->promised = 0;
	if (!place->is_shard) {
		m->taken--;
		if (t->survive)
			target_member_ended(t, place, is_kept);
		else if (is_kept && t->k != 0)
			m->loose++;
	}
	pthread_cond_broadcast(&t->moved);
}

void
cw_target_keep(
    struct cw_target *t, struct cw_target_place *place, uint64_t size)
{
	pthread_mutex_lock(&t->lock);
	place->medium->sidecar -= target_sidecar(place->size);
	place->medium->sidecar += target_sidecar(size);
	end_place(t, place, true);
	pthread_mutex_unlock(&t->lock);
}

static void
fail(struct cw_target_medium *m, const struct cw_error *why)
{
	if (why == NULL || m->is_failed)
		return;
	m->is_failed = true;
	m->why = *why;
}

void
cw_target_release(struct cw_target *t, struct cw_target_place *place,
    const struct cw_error *why)
{
	pthread_mutex_lock(&t->lock);
	place->medium->sidecar -= target_sidecar(place->size);
	fail(place->medium, why);
	end_place(t, place, false);
	pthread_mutex_unlock(&t->lock);
}

void
cw_target_busy(struct cw_target *t, struct cw_target_medium *m, bool is_busy)
{
	pthread_mutex_lock(&t->lock);
	if (is_busy)
		m->busy++;
	else
		m->busy--;
	pthread_cond_broadcast(&t->moved);
	pthread_mutex_unlock(&t->lock);
}

void
cw_target_fail(
    struct cw_target *t, struct cw_target_medium *m, const struct cw_error *why)
{
	pthread_mutex_lock(&t->lock);
	fail(m, why);
	pthread_cond_broadcast(&t->moved);
	pthread_mutex_unlock(&t->lock);
}

void
cw_target_holds(struct cw_target *t, struct cw_target_medium *m, uint64_t size)
{
	pthread_mutex_lock(&t->lock);
	m->sidecar += target_sidecar(size);
	pthread_mutex_unlock(&t->lock);
}

void
cw_target_removed(
    struct cw_target *t, struct cw_target_medium *m, uint64_t size)
{
	pthread_mutex_lock(&t->lock);
	m->sidecar -= target_sidecar(size);
	pthread_cond_broadcast(&t->moved);
	pthread_mutex_unlock(&t->lock);
}

void
cw_target_loose(struct cw_target *t, struct cw_target_medium *m, int count)
{
	pthread_mutex_lock(&t->lock);
	m->loose = (uint32_t)((int64_t)m->loose + count);
	pthread_cond_broadcast(&t->moved);
	pthread_mutex_unlock(&t->lock);
}
