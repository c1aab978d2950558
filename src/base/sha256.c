#include "base/sha256.h"

#include <string.h>

/* The names of variables and functions are those of FIPS 180-4, section 4 to 6. */

#define BLOCK_BYTES 64
/* The end of the last block holds the length of the message in bits. */
#define LENGTH_BYTES 8

static const uint32_t K[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
	0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
	0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
	0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
	0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
	0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
	0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
	0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
	0xc67178f2,
};

static uint32_t rotr(uint32_t x, unsigned n)
{
	return x >> n | x << (32 - n);
}

static void schedule(uint32_t w[64], const uint8_t block[BLOCK_BYTES])
{
	for (size_t t = 0; t < 16; t++)
		w[t] = (uint32_t)block[4 * t] << 24 | (uint32_t)block[4 * t + 1] << 16 |
		       (uint32_t)block[4 * t + 2] << 8 | (uint32_t)block[4 * t + 3];
	for (size_t t = 16; t < 64; t++) {
		uint32_t x = w[t - 15], y = w[t - 2];

		w[t] = w[t - 16] + (rotr(x, 7) ^ rotr(x, 18) ^ x >> 3) + w[t - 7] +
		       (rotr(y, 17) ^ rotr(y, 19) ^ y >> 10);
	}
}

static void compress(uint32_t h[8], const uint8_t block[BLOCK_BYTES])
{
	uint32_t w[64], v[8];

	schedule(w, block);
	memcpy(v, h, sizeof(v));
	for (size_t t = 0; t < 64; t++) {
		uint32_t a = v[0], e = v[4];
		uint32_t ch = (e & v[5]) ^ (~e & v[6]);
		uint32_t maj = (a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]);
		uint32_t t1 = v[7] + (rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25)) + ch + K[t] + w[t];
		uint32_t t2 = (rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22)) + maj;

		memmove(&v[1], &v[0], 7 * sizeof(v[0]));
		v[4] += t1;
		v[0] = t1 + t2;
	}
	for (size_t i = 0; i < 8; i++)
		h[i] += v[i];
}

/* The last, unfilled block, the bit 1, zeroes, and the length: one block or two. */
static void finish(uint32_t h[8], const uint8_t *rest, size_t rest_bytes, uint64_t message_bits)
{
	uint8_t blocks[2 * BLOCK_BYTES] = { 0 };
	size_t used = rest_bytes + 1 + LENGTH_BYTES <= BLOCK_BYTES ? BLOCK_BYTES : 2 * BLOCK_BYTES;

	if (rest_bytes)
		memcpy(blocks, rest, rest_bytes);
	blocks[rest_bytes] = 0x80;
	for (size_t i = 0; i < LENGTH_BYTES; i++)
		blocks[used - 1 - i] = (uint8_t)(message_bits >> (8 * i));
	for (size_t at = 0; at < used; at += BLOCK_BYTES)
		compress(h, blocks + at);
}

void sha256(const void *data, size_t size, uint8_t ret_digest[SHA256_BYTES])
{
	uint32_t h[8] = {
		0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
		0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
	};
	const uint8_t *at = data;
	size_t left = size;

	for (; left >= BLOCK_BYTES; left -= BLOCK_BYTES, at += BLOCK_BYTES)
		compress(h, at);
	finish(h, at, left, (uint64_t)size * 8);
	for (size_t i = 0; i < SHA256_BYTES; i++)
		ret_digest[i] = (uint8_t)(h[i / 4] >> (24 - 8 * (i % 4)));
}

void sha256_hex(const void *data, size_t size, char ret_hex[SHA256_HEX_SIZE])
{
	static const char digits[] = "0123456789abcdef";
	uint8_t digest[SHA256_BYTES];

	sha256(data, size, digest);
	for (size_t i = 0; i < SHA256_BYTES; i++) {
		ret_hex[2 * i] = digits[digest[i] >> 4];
		ret_hex[2 * i + 1] = digits[digest[i] & 0xf];
	}
	ret_hex[SHA256_HEX_SIZE - 1] = '\0';
}
