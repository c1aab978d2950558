/*
 * The plain driver of a fuzz target: its corpus, then mutations of it from a seed.
 *
 *	fuzz-NAME CORPUS-DIR [ROUNDS [SEED]]
 *
 * A failure prints its input in hexadecimal: xxd -r -p makes a file of it again.
 */
#include "fuzz/fuzz.h"

#include <dirent.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

#define FILES_MAX      256
#define INPUT_MAX      8192
#define ROUNDS_DEFAULT 50000
#define STEPS_MAX      8

struct input {
	uint8_t data[INPUT_MAX];
	size_t size;
};

/* Pieces that make sense to one target or another; bytes alone would take long to find them. */
static const char *const pieces[] = {
	"\"id\":",    "\"method\":",  "\"params\":",    "\"result\":",  "\"error\":",
	"\"event\":", "\"data\":",    "\"\\u0069d\":1", "\\ud83d",      "\\ude00",
	"\\u0000",    "\xEF\xBB\xBF", "\xF0\x9F",       "\xED\xA0\x80", "\n",
	"\r\n",       "{\"id\":1,",   "[[[[",           "1e999",        "-0.0",
	"1E+05",      "null",         "true",           "{}",           "\"\"",
	"/../",       "//./",         "../../../../..", "gateway",      "\"1\"",
};

static const struct input *current;

/* Not async-signal-safe, but the process is at its end, and its input worth the risk. */
/* NOLINTBEGIN(bugprone-signal-handler) */
static void show_input(int signal_number)
{
	printf("not ok - input of %zu bytes:\n# ", current ? current->size : 0);
	for (size_t i = 0; current && i < current->size; i++)
		printf("%02x", current->data[i]);
	printf("\n");
	(void)fflush(stdout);
	(void)signal(signal_number, SIG_DFL);
	(void)raise(signal_number);
}
/* NOLINTEND(bugprone-signal-handler) */

static size_t read_corpus(const char *directory, struct input *inputs)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;
	size_t count = 0;

	while (dir && count < FILES_MAX && (entry = readdir(dir))) {
		char path[4096];
		FILE *file;

		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
		file = fopen(path, "rb");
		if (!file)
			continue;
		inputs[count].size = fread(inputs[count].data, 1, INPUT_MAX, file);
		(void)fclose(file);
		count++;
	}
	if (dir)
		(void)closedir(dir);
	return count;
}

static void insert(struct input *input, size_t at, const void *data, size_t size)
{
	if (size > INPUT_MAX - input->size)
		return;
	memmove(input->data + at + size, input->data + at, input->size - at);
	memcpy(input->data + at, data, size);
	input->size += size;
}

static void cut(struct input *input, size_t at, size_t size)
{
	if (size > input->size - at)
		size = input->size - at;
	memmove(input->data + at, input->data + at + size, input->size - at - size);
	input->size -= size;
}

static void mutate(struct input *input, const struct input *other, uint64_t *seed)
{
	size_t at = input->size ? fuzz_random(seed) % input->size : 0;
	size_t n = 1 + fuzz_random(seed) % 32;
	const char *piece = pieces[fuzz_random(seed) % ARRAY_SIZE(pieces)];

	switch (fuzz_random(seed) % 6) {
	case 0:
		if (input->size)
			input->data[at] ^= (uint8_t)(1u << fuzz_random(seed) % 8);
		break;
	case 1:
		if (input->size)
			input->data[at] = (uint8_t)fuzz_random(seed);
		break;
	case 2:
		cut(input, at, n);
		break;
	case 3:
		insert(input, at, piece, strlen(piece));
		break;
	case 4:
		insert(input, at, other->data, other->size < n ? other->size : n);
		break;
	default:
		if (input->size - at > n)
			insert(input, at, input->data + at, n);
	}
}

static void run(const struct input *input)
{
	char *copy = fuzz_copy(input->data, input->size);

	current = input;
	(void)LLVMFuzzerTestOneInput((const uint8_t *)copy, input->size);
	free(copy);
}

int main(int argc, char **argv)
{
	static struct input inputs[FILES_MAX];
	static struct input mutant;
	unsigned long rounds = argc > 2 ? strtoul(argv[2], NULL, 10) : ROUNDS_DEFAULT;
	uint64_t first_seed = argc > 3 ? strtoull(argv[3], NULL, 10) : 1, seed = first_seed;
	size_t count = argc > 1 ? read_corpus(argv[1], inputs) : 0;

	if (count == 0 || seed == 0) {
		fprintf(stderr, "fuzz: wanted: CORPUS-DIR with files in it, ROUNDS, SEED not 0\n");
		return 2;
	}
	(void)signal(SIGABRT, show_input);
	(void)signal(SIGSEGV, show_input);
	printf("1..2\n");
	for (size_t i = 0; i < count; i++)
		run(&inputs[i]);
	printf("ok 1 - the corpus, %zu files\n", count);
	for (unsigned long i = 0; i < rounds; i++) {
		mutant = inputs[fuzz_random(&seed) % count];
		for (uint64_t steps = 1 + fuzz_random(&seed) % STEPS_MAX; steps > 0; steps--)
			mutate(&mutant, &inputs[fuzz_random(&seed) % count], &seed);
		run(&mutant);
	}
	printf("ok 2 - %lu mutations from seed %llu\n", rounds, (unsigned long long)first_seed);
	return 0;
}
