/*
 * Makes a sample mail store: Maildir++ as Dovecot lays it out, with mail that
 * nobody wrote.  Tests, benchmarks and demonstrations read it.
 *
 *     cc -O2 -o mkstore mkstore.c
 *     mkstore --messages 50000 --profile mixed /tmp/store
 *
 * The same options make the same names, bytes and times on every machine: all
 * randomness comes from --seed, all times from --until.  Users are made side
 * by side by one process a processor, each user from a seed of its own, so
 * the number of processes changes nothing.
 *
 * "mixed" is an office: median 6 KB, attachments of up to 10 MB holding most
 * of the bytes, about an eighth of them copies of attachments that several
 * people got or that were forwarded days later.  "small" has no attachments
 * and a median of 2 KB.  Some messages are hard-linked into a second folder,
 * as Dovecot's COPY does.  Names, domains and addresses are those that RFC
 * 2606 and RFC 5737 keep for examples.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define COUNT(a)   (sizeof(a) / sizeof((a)[0]))
#define DAY	   INT64_C(86400)
#define MAX_ATT	   UINT32_C(10000000) /* bytes of the message, in base64 */
#define VOCABULARY 7000u
#define DRAWS	   65536u /* words in the urn; frequent ones are many */
#define MAX_YEARS  32u
#define HOST	   "mail1"
#define DOMAIN	   "metairie.example"

/* ---- randomness -------------------------------------------------------- */

/* xoshiro256** by Blackman and Vigna, seeded by splitmix64 (Steele et al.). */
struct rng {
	uint64_t s[4];
};

static uint64_t
mix(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

static struct rng
rng_of(uint64_t seed, uint64_t stream)
{
	struct rng r;
	uint64_t x = mix(seed) ^ mix(~stream);

	for (size_t i = 0; i < 4; i++)
		r.s[i] = x = mix(x);
	return r;
}

static inline uint64_t
rotate(uint64_t x, int k)
{
	return (x << k) | (x >> (64 - k));
}

static inline uint64_t
next(struct rng *r)
{
	uint64_t *s = r->s;
	uint64_t result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotate(s[3], 45);
	return result;
}

static inline uint32_t
below(struct rng *r, uint32_t n)
{
	return (uint32_t)(((next(r) >> 32) * n) >> 32);
}

/*
 * Draws several numbers in order; as arguments of one call their order would
 * be the compiler's.
 */
static void
draw(struct rng *r, size_t n, const uint32_t *limits, uint32_t *out)
{
	for (size_t i = 0; i < n; i++)
		out[i] = below(r, limits[i]);
}

static double
unit(struct rng *r)
{
	return (double)(next(r) >> 11) * 0x1p-53;
}

static bool
chance(struct rng *r, double p)
{
	return unit(r) < p;
}

/* e^x by repeated squaring: good to 1% where we use it, and without libm. */
static double
exp_of(double x)
{
	double y = 1 + x / 4096;

	for (int i = 0; i < 12; i++)
		y *= y;
	return y;
}

static uint32_t
log_normal(struct rng *r, double median, double sigma, uint32_t limit)
{
	double z = -6, v;

	for (int i = 0; i < 12; i++)
		z += unit(r);
	v = median * exp_of(sigma * z);
	return v > limit ? limit : (uint32_t)v;
}

/* ---- output ------------------------------------------------------------ */

struct text {
	char *p;
	size_t len, cap;
};

static void __attribute__((noreturn, format(printf, 1, 2)))
die(const char *format, ...)
{
	int error = errno;
	va_list ap;

	fputs("mkstore: ", stderr);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fprintf(stderr, error ? ": %s\n" : "\n", strerror(error));
	exit(1);
}

static char *
room(struct text *t, size_t more)
{
	if (t->cap - t->len < more) {
		t->cap = (t->len + more) * 2;
		if (!(t->p = realloc(t->p, t->cap)))
			die("no memory");
	}
	return t->p + t->len;
}

static void
put_bytes(struct text *t, const char *s, size_t n)
{
	memcpy(room(t, n), s, n);
	t->len += n;
}

static void
put(struct text *t, const char *s)
{
	put_bytes(t, s, strlen(s));
}

static void __attribute__((format(printf, 2, 3)))
say(struct text *t, const char *format, ...)
{
	char *to = room(t, 2048);
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(to, 2048, format, ap);
	va_end(ap);
	if (n < 0 || n >= 2048)
		die("a line is too long");
	t->len += (size_t)n;
}

static uint16_t base64_pairs[4096]; /* 12 bits to two characters */

static void
base64_start(void)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz0123456789+/";
	for (unsigned i = 0; i < 4096; i++) {
		char two[2] = {digits[i >> 6], digits[i & 63]};

		memcpy(&base64_pairs[i], two, 2);
	}
}

/* One line of base64 without its end; n is at most 57. */
static void
base64_line(struct text *t, const uint8_t *in, size_t n)
{
	char *to = room(t, 80);
	size_t i;

	for (i = 0; i + 3 <= n; i += 3) {
		uint32_t v = (uint32_t)in[i] << 16 | (uint32_t)in[i + 1] << 8 |
			     in[i + 2];

		memcpy(to, &base64_pairs[v >> 12], 2);
		memcpy(to + 2, &base64_pairs[v & 4095], 2);
		to += 4;
	}
	if (i < n) {
		uint32_t v = (uint32_t)in[i] << 16;

		if (n - i == 2)
			v |= (uint32_t)in[i + 1] << 8;
		memcpy(to, &base64_pairs[v >> 12], 2);
		memcpy(to + 2, &base64_pairs[v & 4095], 2);
		to[3] = '=';
		if (n - i == 1)
			to[2] = '=';
		to += 4;
	}
	t->len = (size_t)(to - t->p);
}

/* Random base64 folded as a header's continuation. */
static void
put_signature(struct text *t, struct rng *r, size_t bytes)
{
	uint8_t raw[64];

	while (bytes > 0) {
		size_t n = bytes < 51 ? bytes : 51;

		for (size_t i = 0; i < 56; i += 8) {
			uint64_t v = next(r);

			memcpy(raw + i, &v, 8);
		}
		base64_line(t, raw, n);
		bytes -= n;
		if (bytes > 0)
			put(t, "\n\t ");
	}
}

static void
put_date(struct text *t, int64_t when)
{
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	struct tm tm;

	gmtime_r(&when, &tm);
	say(t, "%.3s, %d %.3s %d %02d:%02d:%02d +0000", days + 3 * tm.tm_wday,
	    tm.tm_mday, months + 3 * tm.tm_mon, tm.tm_year + 1900, tm.tm_hour,
	    tm.tm_min, tm.tm_sec);
}

/* ---- words ------------------------------------------------------------- */

/* The most frequent words first: their rank is their frequency. */
static const char core[] =
    "the of and to a in is that for it on you with as be this are we have was "
    "by not at or from will your our can if an they but all which has please "
    "would there their been were more one about when so out up no what do "
    "know who me time some may could other than then its only any my these "
    "also after first new should just like how now people into over two need "
    "because them see get make year very before here work back see week day "
    "much where those while well send both through between under same last "
    "next still office order list report account number question meeting "
    "thanks regards attached invoice customer project monday tuesday "
    "wednesday thursday friday morning afternoon today tomorrow storm water "
    "power line server mail message phone call team contract price offer "
    "delivery payment address street city state parish insurance claim "
    "damage roof generator fuel truck warehouse supply schedule plan update "
    "review change copy draft version file document page table section "
    "figure total amount balance due date receipt bank tax rate quarter "
    "budget cost sales market product service support issue problem ticket "
    "error system network backup restore disk site access password user "
    "department manager director board staff member family school house "
    "river road bridge airport flight hotel room dinner lunch coffee weekend "
    "holiday birthday photo picture video music book story news paper letter "
    "package box shipment tracking confirm confirmed received sent forward "
    "reply discuss decide agree sign approve request require provide include "
    "contact information details available possible important urgent ready "
    "open closed early late soon already again another every each few many "
    "several enough little long short high low great good better best right "
    "wrong sure sorry happy hope think believe understand remember forget "
    "find found look looking give given take taken keep kept leave left start "
    "started finish finished continue wait waiting move moved bring brought "
    "buy bought pay paid sell sold build built open write written read talk "
    "talked ask asked tell told help helped try tried use used want wanted";

/* Words of more than ASCII, for the messages that have 8-bit text. */
static const char *const accented[] = {"caf\303\251", "\303\234bersicht",
    "na\303\257ve", "fa\303\247ade", "se\303\261or", "cr\303\250me",
    "Stra\303\237e", "ma\303\261ana"};

struct word {
	char s[15];
	uint8_t len;
};

static struct word words[VOCABULARY];
static uint16_t urn[DRAWS];

static void
make_word(struct rng *r, struct word *w)
{
	static const char *const on[] = {"b", "b", "br", "c", "c", "ch", "cl",
	    "d", "d", "dr", "f", "fl", "g", "gr", "h", "j", "l", "m", "m", "n",
	    "p", "p", "pl", "pr", "qu", "r", "r", "s", "s", "sc", "sh", "st",
	    "t", "t", "th", "tr", "v", "w"};
	static const char *const mid[] = {"a", "a", "e", "e", "i", "o", "u",
	    "a", "e", "i", "o", "ai", "ea", "ou"};
	static const char *const off[] = {
	    "", "", "", "", "n", "r", "l", "s", "t", "m", "nd", "ck", "st"};
	static const char *const end[] = {"", "", "s", "ed", "ing", "er", "ion",
	    "ly", "al", "ment", "y", "e"};
	unsigned syllables = 1 + below(r, 2);
	char s[40];
	int n = 0;

	for (unsigned i = 0; i < syllables; i++) {
		static const uint32_t limits[] = {
		    COUNT(on), COUNT(mid), COUNT(off)};
		uint32_t v[3];

		draw(r, 3, limits, v);
		n += snprintf(s + n, sizeof(s) - (size_t)n, "%s%s%s", on[v[0]],
		    mid[v[1]], off[v[2]]);
	}
	n += snprintf(
	    s + n, sizeof(s) - (size_t)n, "%s", end[below(r, COUNT(end))]);
	if (n > (int)sizeof(w->s))
		n = sizeof(w->s);
	memcpy(w->s, s, (size_t)n);
	w->len = (uint8_t)n;
}

/*
 * Fills the vocabulary and the urn.  Frequency falls as Zipf and Mandelbrot
 * found it in real text: 1 / (rank + 2.7).
 */
static void
words_start(void)
{
	struct rng r = rng_of(7, 7);
	double sum = 0, mass = 0;
	size_t n = 0, drawn = 0;

	for (const char *s = core; *s;) {
		size_t len = strcspn(s, " ");

		memcpy(words[n].s, s, len);
		words[n++].len = (uint8_t)len;
		s += len + (s[len] == ' ');
	}
	while (n < VOCABULARY)
		make_word(&r, &words[n++]);
	for (size_t i = 0; i < VOCABULARY; i++)
		sum += 1 / ((double)i + 2.7);
	for (size_t i = 0; i < VOCABULARY; i++) {
		mass += 1 / ((double)i + 2.7);
		while (drawn < DRAWS && (double)drawn < mass / sum * DRAWS)
			urn[drawn++] = (uint16_t)i;
	}
	while (drawn < DRAWS)
		urn[drawn++] = VOCABULARY - 1;
}

/* What one message is about: words that come back in it. */
#define TOPIC 28u
struct topic {
	uint16_t words[TOPIC];
	bool is_8bit;
};

static void
choose_topic(struct rng *r, struct topic *topic)
{
	for (size_t i = 0; i < TOPIC; i++)
		topic->words[i] = (uint16_t)(120 + below(r, VOCABULARY - 120));
	topic->is_8bit = chance(r, 0.04);
}

static const struct word *
draw_word(struct rng *r, const struct topic *topic)
{
	uint64_t v = next(r);

	if ((v & 0xff) < 50)
		return &words[topic->words[(v >> 32) % TOPIC]];
	return &words[urn[v >> 48]];
}

/*
 * Sentences, until `bytes` are written, wrapped at 72 columns, each line
 * begun with `lead` ("> " where somebody is quoted).
 */
static void
put_sentences(struct text *t, struct rng *r, const struct topic *topic,
    const char *lead, size_t bytes)
{
	size_t end = t->len + bytes, left = 0, lead_len = strlen(lead);
	size_t column = lead_len;
	bool starts = true;

	put(t, lead);
	while (t->len < end || !starts) {
		const struct word *w = draw_word(r, topic);
		char *to = room(t, 64);
		size_t n = w->len;

		memcpy(to, w->s, sizeof(w->s));
		if (topic->is_8bit && below(r, 40) == 0) {
			const char *s = accented[below(r, COUNT(accented))];

			n = strlen(s);
			memcpy(to, s, n);
		} else if (below(r, 60) == 0) {
			n = (size_t)snprintf(to, 12, "%u", below(r, 10000));
		}
		if (starts) {
			if (to[0] >= 'a' && to[0] <= 'z')
				to[0] = (char)(to[0] - 'a' + 'A');
			left = 5 + below(r, 16);
			starts = false;
		}
		if (--left == 0) {
			to[n++] = below(r, 8) ? '.' : '?';
			starts = true;
		} else if (below(r, 11) == 0) {
			to[n++] = ',';
		}
		t->len += n;
		column += n + 1;
		if (column > 66 && !(starts && t->len >= end)) {
			put(t, "\n");
			put(t, lead);
			column = lead_len;
		} else if (!(starts && t->len >= end)) {
			put(t, " ");
		}
	}
	put(t, "\n");
}

/* ---- people ------------------------------------------------------------ */

static const char *const first_names[] = {"claire", "remy", "odette", "marcus",
    "ines", "thomas", "yvonne", "walter", "adele", "beau", "celeste", "dwight",
    "elise", "felix", "gloria", "hector", "irma", "jules", "kathryn", "leon",
    "mabel", "nelson", "opal", "pascal", "renee", "samuel", "tessa", "ulysse",
    "vera", "wendell", "xavier", "yolanda", "zachary", "amelie", "bernard",
    "colette", "denis", "estelle", "francis", "genevieve", "henri", "isabel",
    "jerome", "lucille", "maurice", "noelle", "oscar", "paulette"};
static const char *const last_names[] = {"Fontenot", "Thibodeaux", "Guidry",
    "Landry", "Boudreaux", "Hebert", "Melancon", "Arceneaux", "Broussard",
    "Castille", "Duhon", "Estes", "Foret", "Gautreaux", "Huval", "Istre",
    "Jeansonne", "Kerner", "LeBlanc", "Mouton", "Naquin", "Ordoyne", "Prejean",
    "Quibodeaux", "Robichaux", "Savoie", "Trahan", "Usie", "Verret",
    "Washington", "Young", "Zeringue", "Miller", "Nguyen", "Johnson", "Okafor",
    "Schmidt"};
static const char *const domains[] = {"lakeview.example", "bayou.example",
    "example.org", "crescent.example", "pelican.example", "gulf.example",
    "example.net", "magnolia.example", "parish.example", "levee.example",
    "heron.example", "delta.example", "cypress.example", "example.com"};

#define EXTERNALS 3000u /* people outside, beside the store's users */

struct person {
	char user[40];	  /* the local part, and the store's directory */
	char display[40]; /* as in a From line */
	const char *domain;
};

/* Persons below `users` live in this store, the others elsewhere. */
static void
person(uint32_t id, uint32_t users, struct person *p)
{
	const uint32_t firsts = COUNT(first_names), lasts = COUNT(last_names);
	uint32_t k = id < users ? id : id - users;
	const char *first = first_names[k % firsts];
	const char *last = last_names[(k / firsts + k * 5) % lasts];

	if (id >= users) {
		snprintf(p->user, sizeof(p->user), "%s.%s", first, last);
		p->domain = domains[(k * 7 + k / firsts) % COUNT(domains)];
	} else {
		uint32_t round = k / firsts;

		p->domain = DOMAIN;
		if (round == 0)
			snprintf(p->user, sizeof(p->user), "%s", first);
		else
			snprintf(
			    p->user, sizeof(p->user), "%s%u", first, round + 1);
	}
	for (char *c = p->user; *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
	snprintf(p->display, sizeof(p->display), "%c%s %s",
	    first[0] - 'a' + 'A', first + 1, last);
}

/* ---- the plan ---------------------------------------------------------- */

/* Mailboxes; ARCHIVE is that of the first year, the others follow. */
enum folder {
	INBOX,
	SENT,
	DRAFTS,
	TRASH,
	JUNK,
	LISTS,
	CUSTOMERS,
	SUPPLIERS,
	PROJECTS,
	PRIVATE,
	TRAVEL,
	ARCHIVE
};

/* In modified UTF-7, as on disk (RFC 3501, 5.1.3): "&-" is "&". */
static const char *const folder_names[] = {"", ".Sent", ".Drafts", ".Trash",
    ".Junk", ".Lists.announce", ".Customers.Lakeview &- Sons",
    ".Suppliers.Caf&AOk- Bayou", ".Projects.Levee", ".Private", ".Travel"};
#define FOLDERS (ARCHIVE + MAX_YEARS)

struct options {
	uint32_t messages, users, days;
	uint64_t seed;
	int64_t until;
	bool is_mixed;
	const char *dir;
};

/* One message in one mailbox. */
struct item {
	int64_t when;
	uint64_t mail; /* what all copies of one mail share grows from it */
	uint64_t attachment; /* 0: none; else what its bytes grow from */
	uint32_t user;
	uint32_t sender;
	uint8_t folder;
	bool is_forward;
	bool is_repeat; /* its attachment is elsewhere in the store, too */
};

struct plan {
	struct item *items;
	uint32_t count;
	uint32_t *first; /* by user: where its items begin; one more at end */
};

struct kind {
	const char *type, *stem, *suffix, *magic;
};

static const struct kind kinds[] = {
    {"application/pdf", "Invoice", "pdf", "%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"},
    {"image/jpeg", "IMG_", "jpg", "\xff\xd8\xff\xe0\x1aJFIF"},
    {"application/pdf", "Scan", "pdf", "%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"},
    {"image/jpeg", "photo", "jpeg", "\377\330\377\341\020Exif"},
    {"application/vnd.openxmlformats-officedocument.wordprocessingml.document",
	"Contract", "docx", "PK\x03\x04\x14"},
    {"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
	"Budget", "xlsx", "PK\x03\x04\x14"},
    {"application/zip", "files", "zip", "PK\x03\x04\x14"},
    {"image/png", "screenshot", "png", "\x89PNG\r\n\x1a\n"},
    {"text/csv", "export", "csv", "date;customer;item;amount;total\r\n"},
};

/* What an attachment is, before its bytes are made. */
struct attachment {
	const struct kind *kind;
	uint32_t number; /* in its file name */
	uint32_t bytes;	 /* before base64, which makes 77 of 57 */
	struct rng rng;	 /* its bytes grow from it */
};

/* In a small store no single attachment may be most of it. */
static uint32_t
attachment_limit(const struct options *o)
{
	uint64_t share = 4000 + (uint64_t)o->messages * 2500;

	return share < MAX_ATT ? (uint32_t)share : MAX_ATT;
}

static void
describe(const struct options *o, uint64_t seed, struct attachment *a)
{
	uint32_t limit = attachment_limit(o), k;

	a->rng = rng_of(seed, 3);
	k = below(&a->rng, 100);
	a->kind = &kinds[k < 96 ? k / 12 : 8];
	a->number = below(&a->rng, 100000);
	a->bytes =
	    400 + log_normal(&a->rng, 46000, 1.72, limit / 77 * 57 - 400);
	if (k >= 96 && a->bytes > 400000) /* of tables */
		a->bytes = 400000;
}

static uint64_t
encoded_size(const struct attachment *a)
{
	return (uint64_t)a->bytes / 57 * 77;
}

/* Bytes of attachments planned so far: the plan is steered by them. */
struct tally {
	uint64_t attached, repeated;
};

static int64_t
choose_time(struct rng *r, const struct options *o)
{
	double u = unit(r), v = unit(r);

	/* The lesser of two in half the cases: newer mail is denser. */
	if ((next(r) & 1) && v < u)
		u = v;
	return o->until - 60 - (int64_t)(u * (double)o->days * 86400);
}

static uint32_t
year_of(int64_t when)
{
	struct tm tm;

	gmtime_r(&when, &tm);
	return (uint32_t)(tm.tm_year + 1900);
}

/* A folder for mail of this age; Archive stands for its year's. */
static uint8_t
choose_folder(struct rng *r, const struct options *o, const struct item *item)
{
	double age = (double)(o->until - item->when) / 86400.0;
	uint32_t x = below(r, 100);
	enum folder f;

	if (x < 4)
		f = TRASH;
	else if (x < 8)
		f = JUNK;
	else if (x < 16)
		f = LISTS;
	else if (x < 26)
		f = (enum folder)(CUSTOMERS + mix(item->user ^ x) % 5);
	else if (age > 120 && x < 70)
		f = ARCHIVE;
	else
		f = INBOX;
	if ((f == TRASH || f == JUNK) && age > 300)
		f = INBOX;
	return (uint8_t)f;
}

static uint64_t
seed_of(struct rng *r)
{
	return next(r) | 1; /* never 0, which means "none" */
}

static void
plan_single(struct rng *r, const struct options *o, struct item *item,
    double attach, struct tally *tally)
{
	struct attachment a;

	item->user = below(r, o->users);
	item->when = choose_time(r, o);
	item->mail = seed_of(r);
	if (chance(r, 0.16)) {
		item->sender = item->user;
		item->folder = chance(r, 0.06) ? DRAFTS : SENT;
	} else {
		item->sender = chance(r, 0.3) ? below(r, o->users)
					      : o->users + below(r, EXTERNALS);
		item->folder = choose_folder(r, o, item);
	}
	if (chance(r, attach)) {
		item->attachment = seed_of(r);
		describe(o, item->attachment, &a);
		tally->attached += encoded_size(&a);
	}
}

/*
 * One attachment for several people: the mail that brought it, and what some
 * of them forwarded or answered with it days later.
 */
static uint32_t
plan_shared(struct rng *r, const struct options *o, struct item *items,
    uint32_t limit, struct tally *tally)
{
	uint32_t copies = 2 + log_normal(r, 3, 0.9, 28);
	uint32_t user = below(r, o->users), step = 1 + below(r, 7);
	uint64_t mail = seed_of(r), attachment = seed_of(r);
	int64_t when = choose_time(r, o);
	uint32_t sender = chance(r, 0.5) ? below(r, o->users)
					 : o->users + below(r, EXTERNALS);
	uint64_t other = seed_of(r), size, most;
	struct attachment a, b;

	/* What goes round is rather the report than the receipt. */
	describe(o, attachment, &a);
	describe(o, other, &b);
	if (b.bytes > a.bytes) {
		attachment = other;
		a = b;
	}
	size = encoded_size(&a);
	/* Large things go to few people. */
	most = 2 + (uint64_t)attachment_limit(o) / size;
	if (copies > most)
		copies = (uint32_t)most;
	if (copies > limit)
		copies = limit;
	tally->attached += copies * size;
	tally->repeated += (copies - 1) * size;
	for (uint32_t i = 0; i < copies; i++) {
		struct item *item = &items[i];

		item->user = user = (user + step) % o->users;
		item->mail = mail;
		item->attachment = attachment;
		item->sender = sender;
		item->when = when + below(r, 20);
		item->is_repeat = i > 0;
		/* With more copies than users, the rest are forwards. */
		if (i > 0 && (chance(r, 0.2) || i >= o->users)) {
			item->mail = seed_of(r);
			item->is_forward = true;
			item->when += 600 + below(r, 12 * 86400);
			item->sender = below(r, o->users);
		}
		if (item->when >= o->until)
			item->when = o->until - 1 - i;
		item->folder = item->sender == item->user
				   ? SENT
				   : choose_folder(r, o, item);
	}
	return copies;
}

static int
compare_items(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	if (x->user != y->user)
		return x->user < y->user ? -1 : 1;
	if (x->when != y->when)
		return x->when < y->when ? -1 : 1;
	return x->mail < y->mail ? -1 : x->mail > y->mail;
}

static void
make_plan(const struct options *o, struct plan *plan)
{
	struct rng r = rng_of(o->seed, 1);
	struct tally tally = {0};
	uint32_t n = 0, user = 0;

	plan->items = calloc(o->messages, sizeof(*plan->items));
	plan->first = calloc((size_t)o->users + 1, sizeof(*plan->first));
	if (!plan->items || !plan->first)
		die("no memory");
	while (n < o->messages) {
		struct item *item = &plan->items[n];
		uint64_t bytes = tally.attached + (uint64_t)n * 6500;
		double attach =
		    tally.attached < n * UINT64_C(44000) ? 0.2 : 0.1;

		if (o->is_mixed && tally.repeated * 100 < bytes * 14) {
			n += plan_shared(&r, o, item, o->messages - n, &tally);
		} else {
			plan_single(
			    &r, o, item, o->is_mixed ? attach : 0, &tally);
			n++;
		}
	}
	plan->count = n;
	qsort(plan->items, n, sizeof(*plan->items), compare_items);
	for (uint32_t i = 0; i < n; i++)
		while (user < plan->items[i].user)
			plan->first[++user] = i;
	while (user < o->users)
		plan->first[++user] = n;
}

/* ---- messages ---------------------------------------------------------- */

struct stats {
	atomic_uint next_user;
	atomic_ullong files, bytes, attached, repeated;
};

/* What one process works with, kept from message to message. */
struct maker {
	const struct options *o;
	const struct plan *plan;
	struct stats *stats;
	struct text message;
	struct text names; /* of one path */
	uint8_t *raw;	   /* an attachment before base64 */
};

static const char *const subjects[] = {"Invoice %u", "Meeting on %s", "Re: %s",
    "Your order %u", "Fwd: %s", "%s and %s", "Schedule for %s",
    "Question on %s", "Minutes, %s", "Contract %u", "%s", "Updated %s",
    "Re: Re: %s %s", "Claim no. %u", "Weekly report %u"};

/* Letters only, so that a subject can't end in a folded blank. */
static void
put_subject(
    struct text *t, struct rng *r, const struct topic *topic, bool is_forward)
{
	const char *s = subjects[below(r, COUNT(subjects))];
	unsigned k = 0;

	put(t, "Subject: ");
	if (is_forward)
		put(t, chance(r, 0.6) ? "Fwd: " : "Re: ");
	if (topic->is_8bit)
		put(t, "=?utf-8?q?=C3=9Cbersicht_?= ");
	for (; *s; s++) {
		const struct word *w = &words[topic->words[k % TOPIC]];

		if (*s != '%') {
			put_bytes(t, s, 1);
		} else if (*++s == 'u') {
			say(t, "%u", 1000 + below(r, 90000));
		} else {
			put_bytes(t, w->s, w->len);
			k++;
		}
	}
	put(t, "\n");
}

/* What the mail servers on the way put on top, other for each copy. */
static void
put_trace(struct text *t, struct rng *r, const struct options *o,
    const struct item *item, const struct person *from)
{
	struct person to;
	uint64_t id = next(r);

	person(item->user, o->users, &to);
	say(t, "Return-Path: <%s@%s>\nDelivered-To: %s@" DOMAIN "\n",
	    from->user, from->domain, to.user);
	say(t,
	    "Received: from " HOST "." DOMAIN "\n\tby " HOST "." DOMAIN
	    " with LMTP\n\tid %08x%08xA%04x\n\t(envelope-from <%s@%s>)\n"
	    "\tfor <%s@" DOMAIN ">; ",
	    (uint32_t)item->when, (uint32_t)(id >> 32), (uint32_t)id & 0xffff,
	    from->user, from->domain, to.user);
	put_date(t, item->when);
	say(t,
	    "\nReceived: from mx%u.%s (mx%u.%s [203.0.113.%u])\n"
	    "\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 "
	    "bits))\n\tby " HOST "." DOMAIN
	    " (Postfix) with ESMTPS id %010llX\n\tfor <%s@" DOMAIN ">; ",
	    (unsigned)(id & 3), from->domain, (unsigned)(id & 3), from->domain,
	    (unsigned)(id >> 8 & 0xff), (unsigned long long)(id >> 24),
	    to.user);
	put_date(t, item->when - (int64_t)(id & 7));
	put(t, "\n");
}

/* A signature and a verdict, as the sender's and the own server write. */
static void
put_dkim(struct text *t, struct rng *r, const struct person *from, int64_t when)
{
	say(t,
	    "Authentication-Results: " HOST "." DOMAIN ";\n\tdkim=pass "
	    "(2048-bit key) header.d=%s header.i=@%s;\n\tspf=pass "
	    "smtp.mailfrom=%s@%s\n"
	    "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=%s;\n"
	    "\ts=s%u; t=%lld; h=from:to:subject:date:message-id:mime-version:\n"
	    "\t content-type; bh=",
	    from->domain, from->domain, from->user, from->domain, from->domain,
	    below(r, 4), (long long)when);
	put_signature(t, r, 32);
	put(t, ";\n\tb=");
	put_signature(t, r, 256);
	put(t, "\n");
}

static void
put_addresses(struct text *t, struct rng *r, const struct options *o,
    const struct item *item, const struct person *from)
{
	struct person to;
	unsigned more = chance(r, 0.3) ? 1 + below(r, 5) : 0;

	say(t, "From: %s <%s@%s>\nTo: ", from->display, from->user,
	    from->domain);
	person(item->sender == item->user ? o->users + below(r, EXTERNALS)
					  : (uint32_t)(item->mail % o->users),
	    o->users, &to);
	say(t, "%s <%s@%s>", to.display, to.user, to.domain);
	for (unsigned i = 0; i < more; i++) {
		person(chance(r, 0.5) ? below(r, o->users)
				      : o->users + below(r, EXTERNALS),
		    o->users, &to);
		say(t, "%s%s <%s@%s>", i == 1 ? "\nCc: " : ",\n\t", to.display,
		    to.user, to.domain);
	}
	put(t, "\n");
}

static void
put_head(struct text *t, struct rng *r, const struct options *o,
    const struct item *item, const struct person *from,
    const struct topic *topic)
{
	static const char *const agents[] = {
	    "User-Agent: Mozilla Thunderbird\n",
	    "X-Mailer: Microsoft Outlook 16.0\nThread-Index: ",
	    "X-Mailer: Apple Mail (2.3696.120.41.1.1)\n", ""};
	uint64_t a = next(r), b = next(r);
	unsigned agent = below(r, COUNT(agents));

	if (item->sender >= o->users && chance(r, o->is_mixed ? 0.8 : 0.6))
		put_dkim(t, r, from, item->when);
	put(t, "Date: ");
	put_date(t, item->when - 3 - below(r, 60));
	put(t, "\n");
	put_addresses(t, r, o, item, from);
	put_subject(t, r, topic, item->is_forward);
	say(t, "Message-ID: <%08llx.%010llx@%s>\n",
	    (unsigned long long)(a >> 32),
	    (unsigned long long)(b & UINT64_C(0xffffffffff)), from->domain);
	if (item->is_forward || chance(r, 0.3))
		say(t,
		    "In-Reply-To: <%016llx@%s>\n"
		    "References: <%016llx@%s>\n",
		    (unsigned long long)(a * 3), from->domain,
		    (unsigned long long)(a * 3), from->domain);
	put(t, agents[agent]);
	if (agent == 1) {
		put_signature(t, r, 22);
		put(t, "\n");
	}
	if (item->folder == LISTS)
		say(t,
		    "List-Id: <announce.%s>\nList-Unsubscribe: "
		    "<https://lists.%s/u/%016llx>\nPrecedence: list\n",
		    from->domain, from->domain, (unsigned long long)b);
	if (o->is_mixed)
		say(t, "X-Spam-Status: No, score=-%.1f required=5.0\n",
		    below(r, 50) / 10.0);
	put(t, "MIME-Version: 1.0\n");
}

static void
put_sign_off(struct text *t, struct rng *r, const struct person *from)
{
	static const char *const words_of[] = {"Best regards", "Thanks",
	    "Kind regards", "Yours sincerely", "See you"};

	say(t, "\n%s,\n%s\n\n-- \n%s\n%s, Office %u\nPhone +1 504 555 01%02u\n",
	    words_of[below(r, COUNT(words_of))], from->display, from->display,
	    from->domain, (unsigned)(mix((uint64_t)from->user[0]) % 300),
	    (unsigned)(mix((uint64_t)from->display[1]) % 100));
	if (from->display[0] % 3 == 0)
		say(t,
		    "\nThis message and its attachments are meant for the "
		    "addressee alone and may\nhold confidential information of "
		    "%s. If it reached you by mistake, please\ntell the sender "
		    "and delete it. Opinions are the sender's own.\n",
		    from->domain);
}

/* Paragraphs of plain text, in the end of `bytes` or a little more. */
static void
put_plain(struct text *t, struct rng *r, const struct topic *topic,
    const struct person *from, size_t bytes, bool is_quoting)
{
	size_t end = t->len + bytes;
	size_t quote = is_quoting ? t->len + bytes / 2 : end;

	const char *name = first_names[below(r, COUNT(first_names))];

	say(t, "%s %c%s,\n\n", chance(r, 0.7) ? "Hello" : "Dear",
	    name[0] - 'a' + 'A', name + 1);
	while (t->len < quote) {
		put_sentences(t, r, topic, "", 60 + below(r, 500));
		put(t, "\n");
	}
	while (t->len < end) {
		put_sentences(t, r, topic, "> ", 60 + below(r, 500));
		put(t, ">\n");
	}
	put_sign_off(t, r, from);
}

static const char html_head[] =
    "<!DOCTYPE html>\n<html><head>\n<meta http-equiv=\"Content-Type\" "
    "content=\"text/html; charset=utf-8\">\n<style type=\"text/css\">\n"
    "body { font-family: Calibri, Arial, sans-serif; font-size: 11pt; }\n"
    "p.MsoNormal { margin: 0cm; margin-bottom: .0001pt; }\n"
    "a:link { color: #0563C1; text-decoration: underline; }\n"
    "table.grid td { border: 1px solid #cccccc; padding: 4px 8px; }\n"
    ".footer { color: #777777; font-size: 8pt; }\n</style>\n</head>\n"
    "<body lang=\"EN-US\" link=\"#0563C1\" vlink=\"#954F72\">\n";

/* The plain text [from, to) of the same message again, as HTML. */
static void
put_html(struct text *t, size_t from, size_t to)
{
	bool is_open = false;

	put(t, html_head);
	while (from < to) {
		size_t len;
		const char *line = t->p + from, *end;

		end = memchr(line, '\n', to - from);
		len = end ? (size_t)(end - line) : to - from;
		if (len == 0) {
			if (is_open)
				put(t, "</p>\n");
			is_open = false;
		} else {
			if (!is_open)
				put(t, "<p class=\"MsoNormal\" "
				       "style=\"margin:0 0 12px 0\">\n");
			is_open = true;
			if (t->p[from] == '>') {
				put(t, "&gt;");
				from++;
				len--;
			}
			room(t, len + 8);
			put_bytes(t, t->p + from, len);
			put(t, "<br>\n");
		}
		from += len + 1;
	}
	put(t, is_open ? "</p>\n</body></html>\n" : "</body></html>\n");
}

/* ---- attachments ------------------------------------------------------- */

/* Rows of a table: the kind of attachment that does compress. */
static void
fill_rows(struct rng *r, uint8_t *raw, size_t n)
{
	size_t at = 0;
	char row[96];

	while (at < n) {
		static const uint32_t limits[] = {
		    10, 12, 28, 4000, 2000, 40, 2000, 100};
		const struct word *w;
		uint32_t v[8];
		size_t len, some;

		draw(r, 8, limits, v);
		w = &words[120 + v[4]];
		len = (size_t)snprintf(row, sizeof(row),
		    "20%02u-%02u-%02u;C%05u;%.*s;%u;%u.%02u\r\n", 15 + v[0],
		    1 + v[1], 1 + v[2], v[3], (int)w->len, w->s, 1 + v[5], v[6],
		    v[7]);
		some = len < n - at ? len : n - at;

		memcpy(raw + at, row, some);
		at += some;
	}
}

/*
 * Noise, as a compressed stream is, with here and there the frame that holds
 * such streams together (objects of a PDF, directories of a zip).
 */
static void
fill_noise(struct rng *r, uint8_t *raw, size_t n, bool has_objects)
{
	size_t at = 0;

	for (at = 0; at + 8 <= n; at += 8) {
		uint64_t v = next(r);

		memcpy(raw + at, &v, 8);
	}
	memset(raw + at, 0x20, n - at);
	if (!has_objects)
		return;
	for (at = 64 + below(r, 4000); at + 700 < n;) {
		static const uint32_t limits[] = {900, 3000, 3000, 90000, 9000};
		uint32_t v[5];

		draw(r, 5, limits, v);
		snprintf((char *)raw + at, 300,
		    "\nendstream\nendobj\n%u 0 obj\n<< /Type /XObject /Subtype "
		    "/Image /Width %u /Height %u\n/ColorSpace /DeviceRGB "
		    "/BitsPerComponent 8 /Filter /FlateDecode\n/Length %u >>\n"
		    "stream\n",
		    v[0], v[1], v[2], v[3]);
		at += 300 + v[4];
	}
}

/* One part of a multipart message, from the attachment's own seed only. */
static void
put_attachment(struct maker *m, uint64_t seed)
{
	struct text *t = &m->message;
	struct attachment a;
	const struct kind *kind;
	size_t n;

	describe(m->o, seed, &a);
	kind = a.kind;
	n = a.bytes;
	if (kind->type[0] == 't')
		fill_rows(&a.rng, m->raw, n);
	else
		fill_noise(&a.rng, m->raw, n, kind->type[0] == 'a');
	memcpy(m->raw, kind->magic, strlen(kind->magic));
	say(t,
	    "Content-Type: %s;\n name=\"%s%u.%s\"\nContent-Transfer-Encoding: "
	    "base64\nContent-Disposition: attachment;\n "
	    "filename=\"%s%u.%s\"\n\n",
	    kind->type, kind->stem, a.number, kind->suffix, kind->stem,
	    a.number, kind->suffix);
	room(t, n / 57 * 77 + 160);
	for (size_t at = 0; at < n; at += 57) {
		base64_line(t, m->raw + at, n - at < 57 ? n - at : 57);
		t->p[t->len++] = '\n';
	}
}

static void
put_text_part(struct text *t, struct rng *r, const struct topic *topic,
    const struct person *from, size_t bytes, bool is_quoting, bool has_html)
{
	const char *encoding = topic->is_8bit ? "8bit" : "7bit";
	uint64_t id = next(r);
	size_t start;

	if (has_html)
		say(t,
		    "Content-Type: multipart/alternative;\n"
		    " boundary=\"alt_%016llx\"\n\n--alt_%016llx\n",
		    (unsigned long long)id, (unsigned long long)id);
	say(t,
	    "Content-Type: text/plain; charset=utf-8\n"
	    "Content-Transfer-Encoding: %s\n\n",
	    encoding);
	start = t->len;
	put_plain(t, r, topic, from, bytes, is_quoting);
	if (has_html) {
		size_t end = t->len;

		say(t,
		    "\n--alt_%016llx\nContent-Type: text/html; "
		    "charset=utf-8\nContent-Transfer-Encoding: %s\n\n",
		    (unsigned long long)id, encoding);
		put_html(t, start, end);
		say(t, "\n--alt_%016llx--\n", (unsigned long long)id);
	}
}

/* The whole message of an item; answers how much of it is attachment. */
static size_t
make_message(struct maker *m, const struct item *item)
{
	const struct options *o = m->o;
	struct text *t = &m->message;
	/* What all copies share, and what only this one has. */
	struct rng shared = rng_of(item->mail, 2);
	struct rng own = rng_of(item->mail ^ mix(item->user), 4);
	struct topic topic;
	struct person from;
	bool has_html = chance(&shared, o->is_mixed ? 0.4 : 0.12);
	bool is_quoting = item->is_forward || chance(&shared, 0.3);
	double median = o->is_mixed ? 2900 : 480;
	size_t bytes, start;

	bytes = log_normal(&shared, median, o->is_mixed ? 1.0 : 1.8,
	    o->is_mixed ? 400000 : 150000);
	if (has_html)
		bytes /= 2;
	choose_topic(&shared, &topic);
	person(item->sender, o->users, &from);
	t->len = 0;
	if (item->sender != item->user)
		put_trace(t, &own, o, item, &from);
	put_head(t, &shared, o, item, &from, &topic);
	if (!item->attachment) {
		put_text_part(
		    t, &shared, &topic, &from, bytes, is_quoting, has_html);
		return 0;
	}
	say(t,
	    "Content-Type: multipart/mixed;\n boundary=\"mix_%016llx\"\n\n"
	    "This is a message in several parts.\n--mix_%016llx\n",
	    (unsigned long long)item->mail, (unsigned long long)item->mail);
	put_text_part(
	    t, &shared, &topic, &from, bytes / 2, is_quoting, has_html);
	say(t, "\n--mix_%016llx\n", (unsigned long long)item->mail);
	start = t->len;
	put_attachment(m, item->attachment);
	bytes = t->len - start;
	say(t, "\n--mix_%016llx--\n", (unsigned long long)item->mail);
	return bytes;
}

/* ---- mailboxes --------------------------------------------------------- */

struct mailbox {
	char path[120]; /* beneath the user's directory; "." is INBOX */
	int cur;	/* -1 until the mailbox is made */
	uint32_t next_uid, validity;
	int64_t changed;
	struct text uids;
};

struct account {
	int dir;
	struct rng r;
	struct mailbox boxes[FOLDERS];
	uint32_t first_year, made;
	int64_t changed;
};

static void
write_file(int dir, const char *path, const char *data, size_t len, mode_t mode,
    int64_t when)
{
	struct timespec ts[2] = {{when, 0}, {when, 0}};
	int fd =
	    openat(dir, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);

	if (fd < 0)
		die("%s", path);
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n <= 0)
			die("%s", path);
		data += n;
		len -= (size_t)n;
	}
	if (futimens(fd, ts) < 0 || close(fd) < 0)
		die("%s", path);
}

static void
make_dir(int dir, const char *path)
{
	if (mkdirat(dir, path, 0700) < 0)
		die("%s", path);
}

static struct mailbox *
mailbox(struct account *a, const struct item *item, enum folder folder)
{
	uint32_t k = folder;
	struct mailbox *box;
	char path[160];

	if (folder == ARCHIVE) {
		k += year_of(item->when) - a->first_year;
		if (k >= FOLDERS)
			k = FOLDERS - 1;
	}
	box = &a->boxes[k];
	if (box->cur >= 0)
		return box;
	if (folder == ARCHIVE)
		snprintf(box->path, sizeof(box->path), ".Archive.%u",
		    a->first_year + k - ARCHIVE);
	else
		snprintf(box->path, sizeof(box->path), "%s",
		    folder == INBOX ? "." : folder_names[folder]);
	if (folder != INBOX) {
		make_dir(a->dir, box->path);
		snprintf(path, sizeof(path), "%s/maildirfolder", box->path);
		write_file(a->dir, path, "", 0, 0600, item->when);
	}
	for (size_t i = 0; i < 3; i++) {
		static const char *const subs[] = {"new", "tmp", "cur"};

		snprintf(path, sizeof(path), "%s/%s", box->path, subs[i]);
		make_dir(a->dir, path);
	}
	box->cur = openat(a->dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (box->cur < 0)
		die("%s", path);
	box->next_uid = 1;
	/* The account's earliest mail is the time of its first mailbox. */
	box->validity = (uint32_t)item->when + a->made++;
	return box;
}

/* Flags and keywords as Dovecot sorts them: by ASCII. */
static void
choose_flags(struct rng *r, enum folder folder, char flags[16])
{
	size_t n = 0;

	if (folder == DRAFTS)
		flags[n++] = 'D';
	if (chance(r, 0.04))
		flags[n++] = 'F';
	if (folder != SENT && chance(r, 0.15))
		flags[n++] = 'R';
	if (folder == SENT || chance(r, 0.85))
		flags[n++] = 'S';
	if (chance(r, 0.01))
		flags[n++] = 'T';
	if (chance(r, 0.03))
		flags[n++] = 'a';
	if (chance(r, 0.04))
		flags[n++] = 'b';
	flags[n] = '\0';
}

static void
list_uid(struct account *a, struct mailbox *box, const char *base, int64_t when)
{
	if (chance(&a->r, 0.2)) /* what was there has been expunged */
		box->next_uid += 1 + below(&a->r, 6);
	say(&box->uids, "%u :%s\n", box->next_uid++, base);
	box->changed = when;
}

static size_t
count_lines(const struct text *t)
{
	size_t lines = 0;

	for (size_t i = 0; i < t->len; i++)
		lines += t->p[i] == '\n';
	return lines;
}

static void
store_message(struct maker *m, struct account *a, const struct item *item)
{
	struct text *t = &m->message;
	struct mailbox *box = mailbox(a, item, (enum folder)item->folder);
	/* The last hundredth of the inbox waits in new/, not yet listed. */
	bool is_new =
	    item->folder == INBOX &&
	    item->when > m->o->until - (int64_t)m->o->days * DAY / 100;
	uint32_t micros = below(&a->r, 1000000);
	struct timespec ts[2];
	char base[96], name[128], flags[16];
	int dir = box->cur, fd = -1;

	choose_flags(&a->r, (enum folder)item->folder, flags);
	for (; fd < 0; micros++) {
		snprintf(base, sizeof(base), "%lld.M%uP%u." HOST ",S=%zu,W=%zu",
		    (long long)item->when, micros, 1000 + item->user, t->len,
		    t->len + count_lines(t));
		snprintf(name, sizeof(name), "%s%s%s", is_new ? "../new/" : "",
		    base, is_new ? "" : ":2,");
		if (!is_new)
			strcat(name, flags);
		fd = openat(
		    dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd < 0 && errno != EEXIST)
			die("%s", name);
	}
	for (size_t at = 0; at < t->len;) {
		ssize_t n = write(fd, t->p + at, t->len - at);

		if (n <= 0)
			die("%s", name);
		at += (size_t)n;
	}
	ts[0].tv_sec = ts[1].tv_sec = item->when;
	ts[0].tv_nsec = ts[1].tv_nsec =
	    (long)(micros % 1000000) * 1000 + below(&a->r, 1000);
	if (futimens(fd, ts) < 0 || close(fd) < 0)
		die("%s", name);
	a->changed = item->when;
	box->changed = item->when;
	if (is_new)
		return;
	list_uid(a, box, base, item->when);

	/* As IMAP COPY does: the same file under the same name. */
	if (item->folder == INBOX && below(&a->r, 100) == 0) {
		struct mailbox *other = mailbox(a, item, PROJECTS);

		if (linkat(dir, name, other->cur, name, 0) < 0)
			die("%s", name);
		list_uid(a, other, base, item->when);
	}
}

/* Makes the times of directories those of the last change in them. */
static void
date_mailbox(const struct account *a, struct mailbox *box)
{
	static const char *const subs[] = {"/cur", "/new", "/tmp", ""};
	struct timespec ts[2] = {{box->changed, 0}, {box->changed, 0}};
	char path[160];

	for (size_t i = 0; i < COUNT(subs); i++) {
		snprintf(path, sizeof(path), "%s%s", box->path, subs[i]);
		if (utimensat(a->dir, path, ts, 0) < 0)
			die("%s", path);
	}
}

static void
finish_mailbox(struct account *a, struct mailbox *box, struct text *list)
{
	static const char keywords[] = "0 $Forwarded\n1 Project\n";
	uint64_t high = next(&a->r), low = next(&a->r);
	char path[160];

	list->len = 0;
	say(list, "3 V%u N%u G%016llx%016llx\n", box->validity, box->next_uid,
	    (unsigned long long)high, (unsigned long long)low);
	put_bytes(list, box->uids.p ? box->uids.p : "", box->uids.len);
	snprintf(path, sizeof(path), "%s/dovecot-uidlist", box->path);
	write_file(a->dir, path, list->p, list->len, 0600, box->changed);
	snprintf(path, sizeof(path), "%s/dovecot-keywords", box->path);
	write_file(
	    a->dir, path, keywords, sizeof(keywords) - 1, 0600, box->changed);
	close(box->cur);
	free(box->uids.p);
}

static void
finish_account(struct account *a)
{
	struct text list = {0}, subscribed = {0};
	struct timespec ts[2] = {{a->changed, 0}, {a->changed, 0}};
	uint32_t validity = 0;
	char path[64], value[16];

	put(&subscribed, "V\t2\n\n");
	for (size_t i = 0; i < FOLDERS; i++) {
		struct mailbox *box = &a->boxes[i];

		if (box->cur < 0)
			continue;
		finish_mailbox(a, box, &list);
		if (box->validity > validity)
			validity = box->validity;
		if (i == INBOX)
			continue;
		for (const char *c = box->path + 1; *c; c++)
			put_bytes(&subscribed, *c == '.' ? "\t" : c, 1);
		put(&subscribed, "\n");
	}
	snprintf(value, sizeof(value), "%08x", validity);
	snprintf(path, sizeof(path), "dovecot-uidvalidity.%s", value);
	write_file(a->dir, "dovecot-uidvalidity", value, 8, 0600, a->changed);
	write_file(a->dir, path, "", 0, 0444, a->changed);
	write_file(a->dir, "subscriptions", subscribed.p, subscribed.len, 0600,
	    a->changed);
	for (size_t i = FOLDERS; i-- > 0;)
		if (a->boxes[i].cur >= 0)
			date_mailbox(a, &a->boxes[i]);
	futimens(a->dir, ts);
	close(a->dir);
	free(list.p);
	free(subscribed.p);
}

static void
make_account(struct maker *m, uint32_t user)
{
	struct account a = {.r = rng_of(m->o->seed ^ mix(user), 5)};
	struct item start = {.user = user};
	uint32_t first = m->plan->first[user], end = m->plan->first[user + 1];
	struct person p;

	person(user, m->o->users, &p);
	if (mkdir(p.user, 0700) < 0)
		die("%s", p.user);
	a.dir = open(p.user, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (a.dir < 0)
		die("%s", p.user);
	for (size_t i = 0; i < FOLDERS; i++)
		a.boxes[i].cur = -1;
	start.when = m->o->until - (int64_t)m->o->days * DAY;
	a.first_year = year_of(start.when);
	a.changed = start.when;
	mailbox(&a, &start, INBOX)->changed = start.when;
	for (uint32_t i = first; i < end; i++) {
		const struct item *item = &m->plan->items[i];
		size_t attached = make_message(m, item);

		store_message(m, &a, item);
		atomic_fetch_add(&m->stats->files, 1);
		atomic_fetch_add(&m->stats->bytes, m->message.len);
		atomic_fetch_add(&m->stats->attached, attached);
		if (item->is_repeat)
			atomic_fetch_add(&m->stats->repeated, attached);
	}
	finish_account(&a);
}

static void
work(const struct options *o, const struct plan *plan, struct stats *stats)
{
	struct maker m = {.o = o, .plan = plan, .stats = stats};
	uint32_t user;

	if (!(m.raw = malloc(MAX_ATT)))
		die("no memory");
	while ((user = atomic_fetch_add(&stats->next_user, 1)) < o->users)
		make_account(&m, user);
}

/* Makes the accounts, in as many processes as there are processors. */
static void
make_store(
    const struct options *o, const struct plan *plan, struct stats *stats)
{
	long processes = sysconf(_SC_NPROCESSORS_ONLN);
	bool is_good = true;
	int status;

	if (processes < 1 || processes > 64)
		processes = processes < 1 ? 1 : 64;
	fflush(stdout);
	for (long i = 0; i < processes; i++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (pid == 0) {
			work(o, plan, stats);
			exit(0);
		}
	}
	while (wait(&status) > 0)
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
			is_good = false;
	if (!is_good) {
		errno = 0;
		die("%s is incomplete", o->dir);
	}
}

/* ---- command line ------------------------------------------------------ */

static const char usage[] =
    "usage: mkstore --messages N --profile mixed|small [--users U]\n"
    "               [--seed S] [--days D] [--until SECONDS] DIR\n"
    "Makes a Maildir++ store of N messages in DIR, which must be new or "
    "empty.\n"
    "  --users U        accounts (default: one for 1200 messages, mixed,\n"
    "                   or 2400, small, at least 2)\n"
    "  --seed S         another store of the same kind (default 1)\n"
    "  --days D         messages spread over D days (default 1095)\n"
    "  --until SECONDS  the last of these days, since 1970 (default\n"
    "                   1748736000, 2025-06-01)\n";

static uint64_t
number(const char *s, uint64_t least, uint64_t most)
{
	char *end;
	unsigned long long v;

	errno = 0;
	v = strtoull(s, &end, 10);
	if (errno || *end || end == s || *s == '-' || v < least || v > most) {
		fprintf(stderr,
		    "mkstore: %s is not a number from %llu to "
		    "%llu\n%s",
		    s, (unsigned long long)least, (unsigned long long)most,
		    usage);
		exit(2);
	}
	return v;
}

static void
parse(int argc, char **argv, struct options *o)
{
	static const struct option options[] = {
	    {"messages", required_argument, NULL, 'm'},
	    {"profile", required_argument, NULL, 'p'},
	    {"users", required_argument, NULL, 'u'},
	    {"seed", required_argument, NULL, 's'},
	    {"days", required_argument, NULL, 'd'},
	    {"until", required_argument, NULL, 't'},
	    {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	bool is_good = true;
	int c;

	*o = (struct options){
	    .seed = 1, .days = 1095, .until = 1748736000, .is_mixed = true};
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'm')
			o->messages = (uint32_t)number(optarg, 1, 50000000);
		else if (c == 'u')
			o->users = (uint32_t)number(optarg, 1, 100000);
		else if (c == 's')
			o->seed = number(optarg, 0, UINT64_MAX);
		else if (c == 'd')
			o->days = (uint32_t)number(optarg, 1, 10000);
		else if (c == 't')
			o->until =
			    (int64_t)number(optarg, 1000000000, UINT32_MAX);
		else if (c == 'p' && strcmp(optarg, "small") == 0)
			o->is_mixed = false;
		else if (c == 'h') {
			fputs(usage, stdout);
			exit(0);
		} else if (c != 'p' || strcmp(optarg, "mixed") != 0)
			is_good = false;
	}
	if (!is_good || !o->messages || optind + 1 != argc) {
		fputs(usage, stderr);
		exit(2);
	}
	o->dir = argv[optind];
	if (!o->users) {
		o->users = o->messages / (o->is_mixed ? 1200 : 2400);
		if (o->users < 2)
			o->users = 2;
	}
}

/* Makes the store's directory, or takes an empty one. */
static void
enter(const char *path)
{
	struct dirent *entry;
	DIR *dir;

	if (mkdir(path, 0755) == 0)
		chmod(path, 0755);
	else if (errno != EEXIST)
		die("%s", path);
	if (!(dir = opendir(path)) || chdir(path) < 0)
		die("%s", path);
	while ((entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..")) {
			errno = ENOTEMPTY;
			die("%s", path);
		}
	closedir(dir);
}

int
main(int argc, char **argv)
{
	struct options o;
	struct plan plan;
	struct stats *stats;
	struct timespec ts[2] = {{0, 0}, {0, 0}};

	parse(argc, argv, &o);
	umask(0077);
	enter(o.dir);
	stats = mmap(NULL, sizeof(*stats), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (stats == MAP_FAILED)
		die("no memory");
	base64_start();
	words_start();
	make_plan(&o, &plan);
	make_store(&o, &plan, stats);
	ts[0].tv_sec = ts[1].tv_sec = o.until;
	utimensat(AT_FDCWD, ".", ts, 0);
	printf("%llu messages of %u users, %.3f GB, %.1f%% of it attachments, "
	       "%.1f%% repeated attachments\n",
	    (unsigned long long)stats->files, o.users,
	    (double)stats->bytes / 1e9,
	    100.0 * (double)stats->attached / (double)stats->bytes,
	    100.0 * (double)stats->repeated / (double)stats->bytes);
	free(plan.items);
	free(plan.first);
	return 0;
}
