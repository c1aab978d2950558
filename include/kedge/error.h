/*
 * kedge/error.h - errors with words.
 *
 * Every function of the library that can fail returns a negative errno value.
 * Where the number alone does not help a person (which path? what is allowed?)
 * the function also takes a struct kedge_error and fills it on failure.
 */
#ifndef KEDGE_ERROR_H
#define KEDGE_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

#define KEDGE_PUBLIC __attribute__((visibility("default")))

/* Long enough for a path of PATH_MAX cut to its last part and a sentence. */
#define KEDGE_ERROR_TEXT_MAX 512

/**
 * struct kedge_error - why a call failed
 * @code: what the call returned, a negative errno value; 0 if nothing failed
 * @text: one line in English that names the thing, its value and what is
 *        allowed; no newline at its end; never longer than the array
 *
 * Belongs to the caller, needs no clean-up. Start from KEDGE_ERROR_INIT.
 */
struct kedge_error {
	int code;
	char text[KEDGE_ERROR_TEXT_MAX];
};

#define KEDGE_ERROR_INIT                                                                           \
	{                                                                                          \
		0, ""                                                                              \
	}

#ifdef __cplusplus
}
#endif

#endif
