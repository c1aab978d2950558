/*
 * API: the public functions; the only layer where guard/ meets sys/.
 *
 * This file: the words for the enums of kedge/guard.h.
 */
#include "base/cleanup.h"
#include "kedge/guard.h"

static const char *const event_names[KEDGE_EVENT_MAX_] = {
	[KEDGE_EVENT_LISTENING] = "listening",       [KEDGE_EVENT_LOST] = "lost",
	[KEDGE_EVENT_RELINKED] = "relinked",         [KEDGE_EVENT_REBOUND] = "rebound",
	[KEDGE_EVENT_BIND_MOUNTED] = "bind-mounted", [KEDGE_EVENT_MODE_RESTORED] = "mode-restored",
	[KEDGE_EVENT_MOVED_ASIDE] = "moved-aside",   [KEDGE_EVENT_DISPLACED] = "displaced",
	[KEDGE_EVENT_BLOCKED] = "blocked",           [KEDGE_EVENT_RECOVERED] = "recovered",
	[KEDGE_EVENT_ANCHORED] = "anchored",         [KEDGE_EVENT_DEGRADED] = "degraded",
	[KEDGE_EVENT_RETIRED] = "retired",           [KEDGE_EVENT_NOTICED] = "noticed",
	[KEDGE_EVENT_STOPPED] = "stopped",           [KEDGE_EVENT_FOLLOWED] = "followed",
	[KEDGE_EVENT_LEFT_ALONE] = "left-alone",     [KEDGE_EVENT_WITHDRAWN] = "withdrawn",
	[KEDGE_EVENT_AWAITED] = "awaited",
};

static const char *const cause_names[KEDGE_CAUSE_MAX_] = {
	[KEDGE_CAUSE_NONE] = "none",
	[KEDGE_CAUSE_UNLINKED] = "unlinked",
	[KEDGE_CAUSE_RENAMED] = "renamed",
	[KEDGE_CAUSE_DIR_REMOVED] = "dir-removed",
	[KEDGE_CAUSE_DIR_REPLACED] = "dir-replaced",
	[KEDGE_CAUSE_MOUNTED_OVER] = "mounted-over",
	[KEDGE_CAUSE_REPLACED_STALE] = "replaced-stale",
	[KEDGE_CAUSE_REPLACED_LIVE] = "replaced-live",
	[KEDGE_CAUSE_REPLACED_FILE] = "replaced-file",
	[KEDGE_CAUSE_REPLACED_DIR] = "replaced-dir",
	[KEDGE_CAUSE_MODE_CHANGED] = "mode-changed",
	[KEDGE_CAUSE_DIR_MODE_CHANGED] = "dir-mode-changed",
	[KEDGE_CAUSE_LISTENER_GONE] = "listener-gone",
	[KEDGE_CAUSE_ERROR] = "error",
};

static const char *const state_names[] = {
	[KEDGE_STATE_STOPPED] = "stopped",     [KEDGE_STATE_REACHABLE] = "reachable",
	[KEDGE_STATE_REPAIRING] = "repairing", [KEDGE_STATE_DISPLACED] = "displaced",
	[KEDGE_STATE_BLOCKED] = "blocked",
};

static const char *name_of(const char *const *names, size_t count, unsigned value)
{
	return value < count ? names[value] : "unknown";
}

const char *kedge_event_name(enum kedge_event_kind kind)
{
	return name_of(event_names, ARRAY_SIZE(event_names), (unsigned)kind);
}

const char *kedge_cause_name(enum kedge_cause cause)
{
	return name_of(cause_names, ARRAY_SIZE(cause_names), (unsigned)cause);
}

const char *kedge_state_name(enum kedge_state state)
{
	return name_of(state_names, ARRAY_SIZE(state_names), (unsigned)state);
}
