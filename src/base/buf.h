/*
 * Growable byte buffers, and memory that aborts when there is none.  Sizes
 * that come from media, network or mail are bounded by the caller before they
 * get here.
 */
#ifndef CW_BASE_BUF_H
#define CW_BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

struct cw_buf {
	uint8_t *data;
	size_t len;
	size_t cap;
};

#define CW_BUF_INIT                                                            \
	{                                                                      \
		NULL, 0, 0                                                     \
	}

/* Never return NULL: they abort with a message when memory is exhausted. */
void *cw_malloc(size_t size);
void *cw_calloc(size_t count, size_t size);
void *cw_realloc(void *ptr, size_t size);
void *cw_reallocarray(void *ptr, size_t count, size_t size);
char *cw_strdup(const char *text);
void *cw_memdup(const void *data, size_t len);
char *cw_asprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Makes room for `more` bytes behind data[len]; returns that place. */
uint8_t *cw_buf_reserve(struct cw_buf *buf, size_t more);
void cw_buf_append(struct cw_buf *buf, const void *data, size_t len);
void cw_buf_text(struct cw_buf *buf, const char *text);
void cw_buf_printf(struct cw_buf *buf, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* A NUL behind the bytes, not counted in len; returns data as text. */
char *cw_buf_string(struct cw_buf *buf);
/* Empties, keeps the memory. */
void cw_buf_reset(struct cw_buf *buf);
/* Frees the memory; buf is empty and usable again. */
void cw_buf_free(struct cw_buf *buf);
/* Overwrites the memory with zeros first. */
void cw_buf_wipe(struct cw_buf *buf);

#endif
