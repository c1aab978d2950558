/* SHA-256 of a piece of memory (FIPS 180-4): names that are short and stable. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define SHA256_BYTES 32

/* Room for the digest in lower-case hex digits, with its NUL. */
#define SHA256_HEX_SIZE (2 * SHA256_BYTES + 1)

/* The digest of @size bytes at @data (NULL only where @size is 0). Any thread. */
void sha256(const void *data, size_t size, uint8_t ret_digest[SHA256_BYTES]);

/* The same as text: 64 lower-case hex digits and a NUL. */
void sha256_hex(const void *data, size_t size, char ret_hex[SHA256_HEX_SIZE]);
