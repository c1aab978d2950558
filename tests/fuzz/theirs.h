/* jansson behind other names: its header and wire/json.h both have a JSON_OBJECT. */
#pragma once

#include <stddef.h>

struct theirs;

enum theirs_verdict {
	THEIRS_TAKEN = 0,
	THEIRS_REFUSED,
	THEIRS_TOO_BIG, /* a number beyond a double: in the grammar, but refused by jansson */
};

enum theirs_verdict theirs_parse(const char *text, size_t size, struct theirs **ret);
void theirs_free(struct theirs *t);

/* One of {["0tfn */
char theirs_kind(const struct theirs *t);
const char *theirs_text(const struct theirs *t, size_t *ret_size);
double theirs_number(const struct theirs *t);
/* Elements of an array, members of an object. */
size_t theirs_size(const struct theirs *t);
struct theirs *theirs_element(const struct theirs *t, size_t i);
struct theirs *theirs_member(const struct theirs *t, const char *key);
