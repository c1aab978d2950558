/*
 * Envelopes: the outermost object of a message, checked in one pass, and the
 * spans of the members that matter. Of a member given twice the last counts;
 * escapes in member names are understood; other members are checked and
 * ignored.
 */
#pragma once

#include "wire/members.h"

enum member {
	MEMBER_ID = 0,
	MEMBER_METHOD,
	MEMBER_PARAMS,
	MEMBER_HEADERS,
	MEMBER_RESULT,
	MEMBER_ERROR,
	MEMBER_STATUS_CODE,
	MEMBER_ERROR_CODE,
	MEMBER_ERROR_DETAILS,
	MEMBER_EVENT,
	MEMBER_DATA,
	MEMBER_PAYLOAD,
	MEMBER_MAX_,
};

struct envelope {
	struct kedge_span members[MEMBER_MAX_]; /* absent: size 0 */
	bool method_is_plain;                   /* it was seen to be a string without escapes */
};

enum envelope_verdict {
	ENVELOPE_OK = 0,
	ENVELOPE_NOT_JSON,   /* not valid, or nested too deep */
	ENVELOPE_NOT_OBJECT, /* valid, but something else */
};

/**
 * envelope_scan() - check a message and find its members
 * @text:      the whole message; white space around it is allowed
 * @depth_max: 1 to JSON_DEPTH_MAX
 * @ret:       always filled; spans into @text
 */
enum envelope_verdict envelope_scan(struct kedge_span text, unsigned depth_max,
				    struct envelope *ret);

/**
 * envelope_scan_usual() - check a request that is written as most of them are
 * @text:        begins with the message; more may follow it
 * @ret:         its id (with quotes), method (without) and params (or an absent span); nothing
 *               else of it is touched. Void where 0 is returned
 * @ret_members: those of params; set where there are any, and else left as it is
 *
 * {"id":STRING,"method":STRING,"params":VALUE} and nothing else, params maybe missing, the
 * strings of one to fifteen plain bytes, no white space but within what params have, and no
 * newline: as JSON.stringify() writes what the clients ask. There is no table of members to
 * clear, to fill and to read, and the end of a line need not be looked for before: a third
 * of the instructions of envelope_scan().
 *
 * Return: the message's size; 0: look at it with envelope_scan(), whatever it is.
 */
size_t envelope_scan_usual(struct kedge_span text, unsigned depth_max, struct kedge_request *ret,
			   struct members *ret_members);

/* Whether an id is one at all: not absent, null, false, a zero, or "". As in
 * JavaScript, 0, -0, 0.0 and 0e7 are all zero. */
bool envelope_id_counts(struct kedge_span id);

/* The statusCode of an answer; 0: none, or not a whole number of up to five digits. */
int envelope_status(const struct envelope *e);
