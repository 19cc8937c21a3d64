/*
 * Vectors for unit tests: a folder of tests/vectors/, in which each file has
 * one fault, and a table of "FILE OUTCOME" lines beside them, where an
 * outcome is "ok" or the name of an error.
 */
#ifndef CW_TESTS_UNIT_VECTORS_H
#define CW_TESTS_UNIT_VECTORS_H

#include "base/buf.h"
#include "base/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The bytes of a file, with a NUL behind them; aborts if it is not there. */
static inline struct cw_buf
vector_read_at(const char *root, const char *name)
{
	char *path = cw_asprintf("%s/%s", root, name);
	struct cw_buf buf = CW_BUF_INIT;
	FILE *file = fopen(path, "rb");
	size_t got;

	if (file == NULL) {
		fprintf(stderr, "cannot open %s\n", path);
		abort();
	}
	do {
		got = fread(cw_buf_reserve(&buf, 4096), 1, 4096, file);
		buf.len += got;
	} while (got > 0);
	fclose(file);
	free(path);
	cw_buf_string(&buf);
	return buf;
}

/* The same for "folder/file" below tests/vectors. */
static inline struct cw_buf
vector_read(const char *name)
{
	return vector_read_at(CW_SOURCE_DIR "/tests/vectors", name);
}

/* What the table calls the outcome of a call. */
static inline const char *
vector_outcome(int ret, const struct cw_error *err)
{
	return ret == 0 ? "ok" : cw_error_name(err->code);
}

/*
 * Calls run(text, len, err) for each file in a table; returns how many had
 * another outcome than expected, each said on standard error.
 */
static inline int
vector_run(const char *folder, const char *table,
    int (*run)(const char *text, size_t len, struct cw_error *err))
{
	char *table_name = cw_asprintf("%s/%s", folder, table);
	struct cw_buf lines = vector_read(table_name);
	char *save = NULL;
	int wrong = 0, count = 0;

	for (char *line = strtok_r((char *)lines.data, "\n", &save);
	     line != NULL; line = strtok_r(NULL, "\n", &save)) {
		struct cw_error err = CW_ERROR_INIT;
		char *outcome = strchr(line, ' ');
		struct cw_buf text;
		const char *found;
		char *path;

		*outcome++ = '\0';
		path = cw_asprintf("%s/%s", folder, line);
		text = vector_read(path);
		found = vector_outcome(
		    run((const char *)text.data, text.len, &err), &err);
		if (strcmp(found, outcome) != 0) {
			fprintf(stderr, "%s: %s (%s), expected %s\n", path,
			    found, err.message, outcome);
			wrong++;
		}
		count++;
		cw_buf_free(&text);
		free(path);
	}
	cw_buf_free(&lines);
	free(table_name);
	return count == 0 ? 1 : wrong;
}

#endif
