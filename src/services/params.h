/*
 * Params: reading what a request brings, and telling all that is wrong with it
 * at once, as `Invalid params: WHERE: WHY; WHERE: WHY` with a list of details.
 */
#pragma once

#include "base/buf.h"
#include "kedge/server.h"

struct params {
	struct kedge_span object; /* absent: they are no object, which was noted */
	struct buf words, details;
	unsigned failures;
};

/* Take the params of a call, which must be an object. */
void params_init(struct params *p, const struct kedge_call *call);
void params_deinit(struct params *p);

enum params_need {
	PARAMS_REQUIRED = 0,
	PARAMS_OPTIONAL, /* may be absent */
};

enum params_empty {
	PARAMS_NOT_EMPTY = 0,
	PARAMS_MAY_BE_EMPTY,
};

/**
 * params_string() - a member that is a string
 * @ret: the text, decoded; allocated with a NUL behind it, the caller frees
 *
 * Strings with half a surrogate pair are refused: no UTF-8 can hold them.
 *
 * Return: whether there is one. Failures are noted.
 */
bool params_string(struct params *p, const char *name, enum params_empty empty, char **ret,
		   size_t *ret_size);

/* A member that is one of @count words. Return: its index, or -1: absent or noted. */
int params_choice(struct params *p, const char *name, enum params_need need,
		  const char *const *words, size_t count);

/* If anything was noted, refuse the call. Return: whether it was refused. */
bool params_refused(struct params *p, const struct kedge_call *call);
