/*
 * Params: reading what a request brings, and telling all that is wrong with it
 * at once, as `Invalid params: WHERE: WHY; WHERE: WHY` with a list of details.
 */
#pragma once

#include "base/buf.h"
#include "kedge/server.h"

/* How deep objects in lists in objects may be entered: tools.0 is two. */
#define PARAMS_STEPS_MAX 4

/* One step of a path: the member @name, or, where that is NULL, the element @index. */
struct params_step {
	const char *name;
	size_t index;
};

struct params {
	struct kedge_span object;      /* absent: it is no object, which was noted */
	const struct kedge_conn *conn; /* whose request it is; NULL: it is no request's */
	struct params_step steps[PARAMS_STEPS_MAX];
	unsigned depth;
	struct buf words, details;
	unsigned failures;
};

/* Take the params of a call, which must be an object, for as long as its handler runs. */
void params_init(struct params *p, const struct kedge_call *call);

/* The same for any value in their place. */
void params_init_value(struct params *p, struct kedge_span value);

/* As params_init(), but missing ones and null count as {}. */
void params_init_optional(struct params *p, const struct kedge_call *call);

/* Take the members of a member in their place; missing or null it counts as {}. */
void params_take(struct params *p, const char *name);

void params_deinit(struct params *p);

/* The JSON text of a member, whatever it is; absent: there is none. */
struct kedge_span params_member(const struct params *p, const char *name);

enum params_need {
	PARAMS_REQUIRED = 0,
	PARAMS_OPTIONAL, /* may be absent */
};

enum params_text {
	PARAMS_NOT_EMPTY = 0,
	PARAMS_MAY_BE_EMPTY,
	PARAMS_MAY_BE_ABSENT, /* ... or empty */
};

/**
 * params_string() - a member that is a string
 * @ret: the text, decoded; allocated with a NUL behind it, the caller frees
 *
 * Strings with half a surrogate pair are refused: no UTF-8 can hold them.
 *
 * Return: whether there is one. Failures are noted.
 */
bool params_string(struct params *p, const char *name, enum params_text text, char **ret,
		   size_t *ret_size);

/* The same where only the JSON text is wanted. Return: that, or an absent span. */
struct kedge_span params_string_json(struct params *p, const char *name, enum params_text text);

/* A member that is one of @count words. Return: its index, or -1: absent or noted. */
int params_choice(struct params *p, const char *name, enum params_need need,
		  const char *const *words, size_t count);

/* A member of any kind. Return: its JSON text; absent: noted where it is required. */
struct kedge_span params_any(struct params *p, const char *name, enum params_need need);

/* A member that is an object. Return: its JSON text; absent: noted, or not there. */
struct kedge_span params_object(struct params *p, const char *name, enum params_need need);

/* A member that is a list with something in it. Return: as above. */
struct kedge_span params_list(struct params *p, const char *name);

/* A member that is true or false. Return: 1, 0, or -1: absent or noted. */
int params_boolean(struct params *p, const char *name, enum params_need need);

/* A whole number from @low to @high. Return: whether it is there. Failures are noted. */
bool params_integer(struct params *p, const char *name, enum params_need need, int64_t low,
		    int64_t high, int64_t *ret);

/* A JSON number without fraction and exponent. Return: whether it is one. */
bool params_number(struct kedge_span value, int64_t *ret);

/* Note that something is wrong with a member (NULL: with the object itself). */
void params_note(struct params *p, const char *name, const char *code, const char *why);

/**
 * params_enter() - go on inside a value: what is noted then has that place in its path
 * @step:  where it is
 * @value: that must be an object; otherwise that is noted
 *
 * Return: what params_leave() needs to come back.
 */
struct kedge_span params_enter(struct params *p, struct params_step step, struct kedge_span value);
void params_leave(struct params *p, struct kedge_span outer);

/* If anything was noted, refuse the call. Return: whether it was refused. */
bool params_refused(struct params *p, const struct kedge_call *call);
