#include "formats/parity/parity.h"

#include "base/text.h"

/* "1 bad block", "2 bad blocks" */
static void
put_count(struct cw_buf *text, uint32_t n, const char *one, const char *many)
{
	cw_buf_printf(text, "%u %s", n, n == 1 ? one : many);
}

static void
put_small_files(struct cw_buf *text)
{
	cw_buf_text(text,
	    "  one copy of a small file    yes: catalog, manifest and "
	    "checksums\n"
	    "                              stand on each medium twice\n");
}

static void
put_columns(struct cw_buf *text, uint32_t m)
{
	cw_buf_text(text, "  bad blocks (64 KiB)         yes, any number: at "
			  "most ");
	cw_buf_printf(text, "%u in a column,\n", m);
	cw_buf_text(text, "                              the same place of a "
			  "group's files\n");
}

/* All of a group lies on one medium. */
static void
put_within(struct cw_buf *text, uint32_t k, uint32_t m, uint64_t volume_size)
{
	char bytes[CW_TEXT_MAX];

	cw_text_bytes(volume_size * m, bytes);
	cw_buf_printf(text, "Parity %u+%u: %u volumes and ", k, m, k);
	put_count(text, m, "shard", "shards");
	cw_buf_text(text, " are a group, on one medium.\n\n"
			  "  what is lost                is it restored\n");
	put_columns(text, m);
	cw_buf_text(text, "  whole files of a group      yes, up to ");
	put_count(text, m, "file of ", "files of ");
	cw_buf_printf(text, "%u (%s)\n", k + m, bytes);
	put_small_files(text);
	cw_buf_text(text,
	    "  a whole medium              no: its volumes come "
	    "by a sync, or\n"
	    "                              by `seed remake` at the "
	    "active site\n");
}

/* Each file of a group lies on another medium. */
static void
put_across(struct cw_buf *text, uint32_t k, uint32_t m, uint32_t survive,
    uint32_t media)
{
	cw_buf_printf(text,
	    "Parity %u+%u over %u media: the files of a group lie on "
	    "different media.\n\n"
	    "  what is lost                is it restored\n"
	    "  whole media                 yes, any %u of %u\n"
	    "  bad blocks (64 KiB)         yes: with the media that are lost, "
	    "at\n"
	    "                              most %u in a column, the same place "
	    "of\n"
	    "                              a group's files\n"
	    "  whole files of a group      yes, up to %u, lost media counted\n",
	    k, m, media != 0 ? media : k + m, survive,
	    media != 0 ? media : k + m, m, m);
	put_small_files(text);
	cw_buf_printf(text,
	    "  %u media                     no: what is left is restored, the "
	    "rest\n"
	    "                              comes by a sync\n",
	    survive + 1);
}

void
cw_parity_survives(struct cw_buf *text, uint32_t k, uint32_t m,
    uint32_t survive_media, uint32_t media, uint64_t volume_size)
{
	if (k == 0) {
		cw_buf_text(text, "No parity.\n\n"
				  "  what is lost                is it "
				  "restored\n"
				  "  bad blocks, files, media    no: what was "
				  "in them comes by a sync\n");
		put_small_files(text);
	} else if (survive_media == 0) {
		put_within(text, k, m, volume_size);
	} else {
		put_across(text, k, m, survive_media, media);
	}
}
