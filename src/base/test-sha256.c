/* SHA-256 against the vectors of FIPS 180-4 and of NIST's CAVP. */
#include "base/sha256.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"

static const struct {
	const char *message, *hex;
} vectors[] = {
	{ "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
	{ "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
	{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
	  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
	{ "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn"
	  "hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
	  "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1" },
};

static void test_texts(void **state)
{
	char hex[SHA256_HEX_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		sha256_hex(vectors[i].message, strlen(vectors[i].message), hex);
		assert_string_equal(hex, vectors[i].hex);
	}
}

/* Bytes that are no text, NUL among them (CAVP SHA256ShortMsg). */
static void test_bytes(void **state)
{
	static const uint8_t message[] = { 0x11, 0xaf };
	static const uint8_t zeroes[4] = { 0 };
	char hex[SHA256_HEX_SIZE];

	(void)state;
	sha256_hex(message, sizeof(message), hex);
	assert_string_equal(hex,
			    "5ca7133fa735326081558ac312c620eeca9970d1e70a4b95533d956f072d1f98");
	sha256_hex(zeroes, sizeof(zeroes), hex);
	assert_string_equal(hex,
			    "df3f619804a92fdb4057192dc43dd748ea778adc52bc498ce80524c014b81119");
}

static void test_million_a(void **state)
{
	_cleanup_(freep) char *message = malloc(1000000);
	char hex[SHA256_HEX_SIZE];

	(void)state;
	assert_non_null(message);
	memset(message, 'a', 1000000);
	sha256_hex(message, 1000000, hex);
	assert_string_equal(hex,
			    "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

/*
 * Where the padding needs a second block (56 bytes and more) and where it does
 * not: every length around both edges, folded into one digest. The figure is
 * from Node: for n in 0..129, sha256 of the digests of n bytes 'x', joined.
 */
static void test_every_padding(void **state)
{
	uint8_t digests[130][SHA256_BYTES];
	char message[130], hex[SHA256_HEX_SIZE];

	(void)state;
	memset(message, 'x', sizeof(message));
	for (size_t n = 0; n < 130; n++)
		sha256(message, n, digests[n]);
	sha256_hex(digests, sizeof(digests), hex);
	assert_string_equal(hex,
			    "6d0989028287a2bd990515b95658bb810cf688b69517dfc49e4b3778e0b6d923");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_million_a),
		cmocka_unit_test(test_every_padding),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("sha256", tests, NULL, NULL);
}
