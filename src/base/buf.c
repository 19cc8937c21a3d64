#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *
must(void *ptr)
{
	if (ptr == NULL) {
		static const char text[] = "causeway: out of memory\n";

		(void)!fwrite(text, 1, sizeof(text) - 1, stderr);
		abort();
	}
	return ptr;
}

void *
cw_malloc(size_t size)
{
	return must(malloc(size == 0 ? 1 : size));
}

void *
cw_calloc(size_t count, size_t size)
{
	return must(calloc(count == 0 ? 1 : count, size == 0 ? 1 : size));
}

void *
cw_realloc(void *ptr, size_t size)
{
	return must(realloc(ptr, size == 0 ? 1 : size));
}

void *
cw_reallocarray(void *ptr, size_t count, size_t size)
{
	return must(
	    reallocarray(ptr, count == 0 ? 1 : count, size == 0 ? 1 : size));
}

char *
cw_strdup(const char *text)
{
	return must(strdup(text));
}

void *
cw_memdup(const void *data, size_t len)
{
	void *copy = cw_malloc(len);

	if (len > 0)
		memcpy(copy, data, len);
	return copy;
}

char *
cw_asprintf(const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	return must(text);
}

uint8_t *
cw_buf_reserve(struct cw_buf *buf, size_t more)
{
	size_t cap = buf->cap;

	if (more > SIZE_MAX / 2 - buf->len)
		must(NULL);
	if (buf->cap - buf->len < more || buf->data == NULL) {
		if (cap < 64)
			cap = 64;
		while (cap - buf->len < more)
			cap *= 2;
		buf->data = cw_realloc(buf->data, cap);
		buf->cap = cap;
	}
	return buf->data + buf->len;
}

void
cw_buf_append(struct cw_buf *buf, const void *data, size_t len)
{
	if (len == 0)
		return;
	memcpy(cw_buf_reserve(buf, len), data, len);
	buf->len += len;
}

void
cw_buf_text(struct cw_buf *buf, const char *text)
{
	cw_buf_append(buf, text, strlen(text));
}

void
cw_buf_printf(struct cw_buf *buf, const char *fmt, ...)
{
	va_list ap, again;
	int len;

	va_start(ap, fmt);
	va_copy(again, ap);
	len = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (len > 0) {
		uint8_t *at = cw_buf_reserve(buf, (size_t)len + 1);

		(void)vsnprintf((char *)at, (size_t)len + 1, fmt, again);
		buf->len += (size_t)len;
	}
	va_end(again);
}

char *
cw_buf_string(struct cw_buf *buf)
{
	*cw_buf_reserve(buf, 1) = '\0';
	return (char *)buf->data;
}

void
cw_buf_reset(struct cw_buf *buf)
{
	buf->len = 0;
}

void
cw_buf_free(struct cw_buf *buf)
{
	free(buf->data);
	buf->data = NULL;
	buf->len = buf->cap = 0;
}

void
cw_buf_wipe(struct cw_buf *buf)
{
	if (buf->data != NULL)
		explicit_bzero(buf->data, buf->cap);
	cw_buf_free(buf);
}
