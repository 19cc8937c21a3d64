#include "media/slip.h"

#include "base/bytes.h"
#include "base/text.h"
#include "formats/card/card.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define HASH_GROUPS   16u /* of four digits */
#define GROUPS_A_LINE 8u
#define VALUE_MAX     64 /* columns of a value: 14 are before it */
#define WORDS_A_LINE  4u

static bool
is_plain(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

void
cw_slip_code(const struct cw_slip *slip, char out[CW_SLIP_CODE_SIZE])
{
	char id[2 * CW_SEED_ID_SIZE + 1], sha[65];
	size_t len; /* at most 108 + 3 * CW_MEDIUM_LABEL_MAX */

	cw_hex_encode(slip->seed_id, CW_SEED_ID_SIZE, id);
	cw_hex_encode(slip->manifest_sha256, 32, sha);
	len = (size_t)snprintf(out, CW_SLIP_CODE_SIZE,
	    "causeway-slip 1 %s %u/%u %s ", id, slip->number, slip->media, sha);
	if (slip->label[0] == '\0')
		out[len++] = '-';
	for (const char *c = slip->label; *c != '\0'; c++)
		if (is_plain(*c))
			out[len++] = *c;
		else
			len += (size_t)snprintf(
			    out + len, 4, "%%%02x", (unsigned char)*c);
	out[len] = '\0';
}

void
cw_slip_groups(const uint8_t sha256[32], char out[CW_SLIP_GROUPS_SIZE])
{
	char sha[65];

	cw_hex_encode(sha256, 32, sha);
	for (size_t i = 0; i < HASH_GROUPS; i++) {
		memcpy(out + 5 * i, sha + 4 * i, 4);
		out[5 * i + 4] = ' ';
	}
	out[5 * HASH_GROUPS - 1] = '\0';
}

static void
rule(struct cw_buf *out, char c)
{
	char line[CW_SLIP_COLUMNS];

	memset(line, c, sizeof(line));
	line[sizeof(line) - 1] = '\n'; /* 79: printers break a full line */
	cw_buf_append(out, line, sizeof(line));
}

static void
put_fingerprint(struct cw_buf *out, const uint8_t sha256[32])
{
	char groups[CW_SLIP_GROUPS_SIZE], words[CW_CARD_WORDS_SIZE];
	char *at = words, *word;

	cw_slip_groups(sha256, groups);
	groups[5 * GROUPS_A_LINE - 1] = '\0';
	cw_buf_printf(out, "  Manifest    %s\n              %s\n", groups,
	    groups + 5 * GROUPS_A_LINE);
	/* Those that `card --fingerprint` would say of it. */
	cw_card_fingerprint_words(sha256, words);
	for (size_t i = 0; (word = strsep(&at, " ")) != NULL;) {
		if (strcmp(word, "-") == 0)
			continue;
		cw_buf_printf(out, "%s%s",
		    i == 0			  ? "  in words    "
		    : i % (2 * WORDS_A_LINE) == 0 ? "\n              "
						  : " ",
		    word);
		i++;
	}
	cw_buf_text(out, "\n");
}

static void
put_facts(struct cw_buf *out, const struct cw_slip *s)
{
	char id[2 * CW_SEED_ID_SIZE + 1], time[CW_TIME_TEXT];
	char size[CW_TEXT_MAX], count[CW_TEXT_MAX], quoted[CW_QUOTE_MAX];

	cw_hex_encode(s->seed_id, CW_SEED_ID_SIZE, id);
	cw_time_format(s->time, time);
	cw_text_bytes(s->bytes, size);
	cw_text_count(s->bytes, count);
	cw_buf_printf(out, "  Seed        %s\n", id);
	cw_buf_printf(out, "  Medium      %u of %u\n", s->number, s->media);
	cw_text_quote(s->label, strlen(s->label), quoted);
	cw_buf_printf(out, "  Label       %.*s\n", VALUE_MAX,
	    s->label[0] == '\0' ? "(none: write the seed and the number on it)"
				: quoted);
	cw_text_quote(s->filesystem, strlen(s->filesystem), quoted);
	cw_buf_printf(out, "  Filesystem  %.*s\n", VALUE_MAX,
	    strcmp(s->filesystem, "-") == 0 ? "(unknown)" : quoted);
	cw_buf_printf(out, "  Size        %s (%s bytes)\n", size, count);
	if (s->from != NULL && s->to != NULL)
		cw_buf_printf(
		    out, "  Way         from %s to %s\n", s->from, s->to);
	cw_buf_printf(out, "  Sealed      %s\n", time);
	put_fingerprint(out, s->manifest_sha256);
}

static void
put_steps(struct cw_buf *out, const struct cw_slip *s)
{
	char id[2 * CW_SEED_ID_SIZE + 1], call[CW_QUOTE_MAX];

	cw_hex_encode(s->seed_id, CW_SEED_ID_SIZE, id);
	cw_buf_text(out, "\nWHEN IT ARRIVES\n");
	cw_buf_printf(out, "  1. Before you plug it in: is the box whole, are "
			   "label and number "
			   "as above?\n"
			   "     If not, leave it unplugged and call.\n");
	cw_buf_printf(out,
	    "  2. Plug it into the recovery server, into nothing else.  If a "
	    "machine offers\n"
	    "     to format, repair or initialize it: NO.\n");
	cw_buf_printf(out,
	    "  3. Mount it, then run      causeway verify DIR      (DIR: its "
	    "mount point).\n"
	    "     This slip came with the disk and proves nothing: call the "
	    "sender, who\n"
	    "     reads you the manifest's digits.  They are what this "
	    "prints%s:\n"
	    "         sha256sum DIR/causeway/%s/MANIFEST\n",
	    s->media > 1 ? " on\n     the last medium" : "", id);
	cw_buf_printf(out,
	    "  4. Run                     causeway receive DIR --root "
	    "DIRECTORY-OF-THE-MAIL\n");
	cw_buf_printf(out,
	    "     also where verify found damage: it takes all that can be "
	    "had.%s\n",
	    s->media > 1 ? "  Do not\n"
			   "     wait for the other media: run it again with "
			   "each that comes, in any order."
			 : "");
	cw_buf_printf(out,
	    "  5. Send back the line that it ends with: causeway-receipt1 ...\n"
	    "     Erase or return nothing before the sender says so.\n");
	cw_text_quote(s->call == NULL ? "" : s->call,
	    s->call == NULL ? 0 : strlen(s->call), call);
	cw_buf_printf(out, "\nCALL  %.*s\n", (int)CW_SLIP_COLUMNS - 8,
	    call[0] == '\0'
		? "_______________________________________________________"
		: call);
}

int
cw_slip_page(const struct cw_slip *s, enum cw_qr_ink ink, struct cw_buf *out,
    struct cw_error *err)
{
	char code[CW_SLIP_CODE_SIZE], title[CW_SLIP_COLUMNS];
	int len;

	len = snprintf(
	    title, sizeof(title), "MEDIUM %u OF %u", s->number, s->media);
	cw_buf_printf(out, "CAUSEWAY PACKING SLIP%*s\n",
	    (int)CW_SLIP_COLUMNS - 1 - 21, len > 0 ? title : "");
	rule(out, '=');
	cw_buf_text(out,
	    "This disk carries a sealed copy of a mail store.  Nobody can read "
	    "it without\n"
	    "the key of the site that it is for.  Keep it dry; do not write to "
	    "it.\n\n");
	put_facts(out, s);
	put_steps(out, s);
	rule(out, '-');
	cw_slip_code(s, code);
	return cw_qr_draw(code, ink, CW_SLIP_COLUMNS, out, err);
}
