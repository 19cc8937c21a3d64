#include "store/state.h"

#include "base/bytes.h"
#include "base/crypto.h"
#include "store/catalog_impl.h"

#include <gcrypt.h>
#include <stdlib.h>
#include <string.h>

/*
 * HMAC-SHA256 and not keyed BLAKE2b: with 220 bytes an entry libgcrypt 1.10
 * takes 0.24 us for it and 0.32 us for BLAKE2b, and `openssl dgst -mac hmac`
 * can check it.
 */
struct cw_state {
	gcry_md_hd_t md;
	struct cw_buf message;
};

/* 1 version, 1 kind, 4 mode, 8 mtime, 8 size, two digests of 32. */
#define MAC_VERSION 1u
#define FIXED_SIZE  86u

struct cw_state *
cw_state_new(const uint8_t key[CW_STATE_KEY_SIZE])
{
	struct cw_state *s = cw_calloc(1, sizeof(*s));

	if (gcry_md_open(&s->md, GCRY_MD_SHA256,
		GCRY_MD_FLAG_HMAC | GCRY_MD_FLAG_SECURE) != 0 ||
	    gcry_md_setkey(s->md, key, CW_STATE_KEY_SIZE) != 0)
		abort(); /* SHA-256 is always there, memory never is not */
	return s;
}

void
cw_state_free(struct cw_state *s)
{
	if (s == NULL)
		return;
	gcry_md_close(s->md);
	cw_buf_free(&s->message);
	free(s);
}

static void
append_text(struct cw_buf *out, const void *text, size_t len)
{
	cw_put_le32(cw_buf_reserve(out, 4), (uint32_t)len);
	out->len += 4;
	if (len > 0)
		cw_buf_append(out, text, len);
}

static void
append_cstring(struct cw_buf *out, const char *text)
{
	append_text(out, text, text == NULL ? 0 : strlen(text));
}

static void
encode(struct cw_buf *out, const char *dir_path, size_t dir_path_len,
    const struct cw_entry *e)
{
	bool is_file = e->kind == CW_KIND_FILE;
	uint8_t *p = cw_buf_reserve(out, FIXED_SIZE);
	size_t slash = dir_path_len > 0;

	memset(p, 0, FIXED_SIZE);
	p[0] = MAC_VERSION;
	p[1] = (uint8_t)e->kind;
	cw_put_le32(p + 2, e->mode);
	if (e->kind != CW_KIND_DIR)
		cw_put_le64(p + 6, (uint64_t)e->mtime_ns);
	if (is_file) {
		cw_put_le64(p + 14, e->size);
		memcpy(p + 22, e->digest, CW_DIGEST_SIZE);
	}
	if (e->attrs_len > 0)
		cw_sha256(e->attrs, e->attrs_len, p + 54);
	out->len += FIXED_SIZE;
	append_cstring(out, e->user);
	append_cstring(out, e->group);
	append_text(
	    out, e->target, e->kind == CW_KIND_SYMLINK ? e->target_len : 0);
	cw_put_le32(cw_buf_reserve(out, 4),
	    (uint32_t)(dir_path_len + slash + e->name_len));
	out->len += 4;
	cw_buf_append(out, dir_path, dir_path_len);
	cw_buf_append(out, "/", slash);
	cw_buf_append(out, e->name, e->name_len);
}

void
cw_state_mac(struct cw_state *s, const char *dir_path, size_t dir_path_len,
    const struct cw_entry *e, uint8_t out[CW_STATE_SIZE])
{
	cw_buf_reset(&s->message);
	encode(&s->message, dir_path, dir_path_len, e);
	gcry_md_reset(s->md);
	gcry_md_write(s->md, s->message.data, s->message.len);
	memcpy(out, gcry_md_read(s->md, GCRY_MD_SHA256), CW_STATE_SIZE);
}

void
cw_state_add(uint8_t sum[CW_STATE_SIZE], const uint8_t mac[CW_STATE_SIZE])
{
	uint64_t carry = 0;

	for (size_t i = 0; i < CW_STATE_SIZE; i += 8) {
		uint64_t a = cw_get_le64(sum + i), b = cw_get_le64(mac + i);
		uint64_t s = a + b;

		cw_put_le64(sum + i, s + carry);
		carry = (uint64_t)(s < a) | (uint64_t)(s + carry < s);
	}
}

void
cw_state_sub(uint8_t sum[CW_STATE_SIZE], const uint8_t mac[CW_STATE_SIZE])
{
	uint64_t borrow = 0;

	for (size_t i = 0; i < CW_STATE_SIZE; i += 8) {
		uint64_t a = cw_get_le64(sum + i), b = cw_get_le64(mac + i);
		uint64_t d = a - b;

		cw_put_le64(sum + i, d - borrow);
		borrow = (uint64_t)(a < b) | (uint64_t)(d < borrow);
	}
}

void
cw_catalog_mac(struct cw_catalog *c, const char *dir_path, size_t dir_path_len,
    const struct cw_entry *e, uint8_t out[CW_STATE_SIZE])
{
	cw_state_mac(c->state, dir_path, dir_path_len, e, out);
}

int
cw_state_digest(struct cw_catalog *c, uint8_t out[CW_STATE_SIZE], bool *known,
    struct cw_error *err)
{
	(void)err;
	memcpy(out, c->sum, CW_STATE_SIZE);
	*known = c->info.pending == 0;
	return 0;
}

int
cw_state_dir_digest(struct cw_catalog *c, int64_t dir,
    uint8_t out[CW_STATE_SIZE], struct cw_error *err)
{
	sqlite3_stmt *st;
	int got;

	if (c->sum_dir == dir) {
		memcpy(out, c->dir_sum, CW_STATE_SIZE);
		return 0;
	}
	if ((st = catalog_stmt(c, ST_DIR_GET, err)) == NULL)
		return -1;
	sqlite3_bind_int64(st, 1, dir);
	got = sqlite3_step(st);
	if (got == SQLITE_ROW && sqlite3_column_bytes(st, 2) == CW_STATE_SIZE)
		memcpy(out, sqlite3_column_blob(st, 2), CW_STATE_SIZE);
	else if (got == SQLITE_ROW || got == SQLITE_DONE)
		got = cw_error_set(err, CW_ERR_DAMAGED,
		    "catalog %s has no directory %lld", c->path,
		    (long long)dir);
	else
		got = catalog_fail(c, "read a directory", err);
	sqlite3_reset(st);
	return got == SQLITE_ROW ? 0 : -1;
}
