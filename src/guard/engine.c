#include "guard/engine.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"

/* Steps for one path in one turn: the longest way home takes seven. */
#define TURN_STEPS_MAX 24

/* Where an adversary used them all up: so long until the next turn. */
#define TURN_REST_NS (10 * NSEC_PER_MSEC)

void engine_init(struct engine *e, const struct guard_ports *ports,
		 const struct engine_options *options)
{
	*e = (struct engine){ .ports = ports, .options = *options, .safety_ns = TIME_NEVER };
	e->watches.ports = ports;
	list_init(&e->places);
	list_init(&e->dirty);
	e->turn = 1;
}

static uint64_t engine_now(const struct engine *e)
{
	return e->ports->now_ns(e->ports->ctx);
}

/* Blind without a safety look would be no guard: then there is one all the same. */
static uint64_t safety_interval(const struct engine *e)
{
	if (e->options.interval_ns == TIME_NEVER && (e->blind || e->short_of_watches))
		return KEDGE_INTERVAL_DEFAULT_MS * NSEC_PER_MSEC;
	return e->options.interval_ns;
}

static void plan_safety(struct engine *e)
{
	uint64_t interval = safety_interval(e);

	e->safety_ns = interval == TIME_NEVER || e->count == 0 ? TIME_NEVER
							       : engine_now(e) + interval;
}

/* Paths by name. */

struct guarded *engine_find(const struct engine *e, const char *path)
{
	struct guarded *g = map_get(&e->by_path, map_hash_text(path));

	while (g && strcmp(g->path, path) != 0)
		g = g->same_hash;
	return g;
}

static int index_path(struct engine *e, struct guarded *g)
{
	uint64_t hash = map_hash_text(g->path);

	g->same_hash = map_get(&e->by_path, hash);
	return map_put(&e->by_path, hash, g);
}

static void unindex_path(struct engine *e, struct guarded *g)
{
	uint64_t hash = map_hash_text(g->path);
	struct guarded *first = map_get(&e->by_path, hash);

	if (first == g) {
		map_remove(&e->by_path, hash);
		if (g->same_hash)
			(void)map_put(&e->by_path, hash, g->same_hash);
		return;
	}
	for (; first; first = first->same_hash)
		if (first->same_hash == g)
			first->same_hash = g->same_hash;
}

/* Places. */

/* A place that is known may have been moved or removed since: a start is a look as well. */
static int refresh_place(struct engine *e, struct place *place)
{
	e->turn++;
	place_look(place, e->ports, e->turn);
	if (place->seen_error < 0 || node_same(&place->seen, &place->node))
		return place->seen_error;
	return engine_enter(e, place);
}

static int get_place(struct engine *e, const char *path, struct place **ret)
{
	int r;

	list_for_each (it, &e->places) {
		struct place *place = list_entry(it, struct place, link);

		if (strcmp(place->path, path) == 0) {
			*ret = place;
			return refresh_place(e, place);
		}
	}
	r = place_open(ret, e->ports, &e->watches, path);
	if (r == 0)
		list_append(&e->places, &(*ret)->link);
	return r;
}

static void put_place(struct engine *e, struct place *place)
{
	if (place && list_empty(&place->members))
		place_free(place, e->ports, &e->watches);
}

/* The directory part of a socket's path, which the caller frees. */
static char *directory_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	while (slash > path && slash[-1] == '/')
		slash--;
	return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

static struct guarded *guarded_new(struct engine *e, const char *path,
				   const struct listen_config *config)
{
	struct guarded *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->engine = e;
	g->path = strdup(path);
	g->config = *config;
	g->lock = -EBADF;
	g->timer = (struct heap_node)HEAP_NODE_INIT;
	list_init(&g->in_place);
	list_init(&g->dirty);
	list_init(&g->retired);
	watcher_init(&g->stranger, WATCHER_STRANGER, g);
	if (!g->path) {
		free(g);
		return NULL;
	}
	g->name = strrchr(g->path, '/') + 1;
	return g;
}

static void guarded_free(struct guarded *g)
{
	struct engine *e = g->engine;

	list_unlink(&g->in_place);
	list_unlink(&g->dirty);
	put_place(e, g->place);
	free(g->path);
	free(g);
}

void engine_forget(struct engine *e, struct guarded *g)
{
	if (engine_find(e, g->path) == g) {
		unindex_path(e, g);
		e->count--;
	}
	if (e->count == 0)
		e->safety_ns = TIME_NEVER;
}

void engine_release(struct guarded *g)
{
	if (g->held == 0)
		guarded_free(g);
}

/* Let go of what was held over callbacks. Return: whether one of them has closed it. */
static bool let_go(struct guarded *g)
{
	bool closed = g->closed;

	if (--g->held == 0 && closed)
		guarded_free(g);
	return closed;
}

static bool is_watched(const struct guarded *g)
{
	return g->engine->blind ||
	       (g->current->watcher.number != WATCH_NONE && place_is_watched(g->place));
}

/* Without a watch the safety look is all that tells: say so once, and try on. */
static void watch_again(struct guarded *g)
{
	struct engine *e = g->engine;
	int r = 0;

	if (g->current->watcher.number == WATCH_NONE)
		r = listener_watch(g->current, g);
	if (r == 0 && !place_is_watched(g->place))
		r = place_watch(g->place, e->ports, &e->watches);
	if (r == 0) {
		e->short_of_watches = false;
		/* What happened between the last look and this watch, no event has told. */
		engine_hint(e, g);
		return;
	}
	if (e->short_of_watches)
		return;
	e->short_of_watches = true;
	if (e->safety_ns == TIME_NEVER)
		plan_safety(e);
	report(e, g, KEDGE_EVENT_DEGRADED, r, "no watch: the safety look alone");
}

int engine_add(struct engine *e, const char *path, const struct listen_config *config,
	       int adopted_fd, struct guarded **ret, struct kedge_error *error)
{
	struct guarded *g = guarded_new(e, path, config);
	_cleanup_(freep) char *directory = directory_of(path);
	struct guarded *busy = e->busy;
	int r;

	if (!g || !directory) {
		if (g)
			guarded_free(g);
		return error_set(error, -ENOMEM, "out of memory");
	}
	r = get_place(e, directory, &g->place);
	if (r < 0) {
		guarded_free(g);
		return error_set(error, r, "the directory of %s: %s", path, error_words(r));
	}
	list_append(&g->place->members, &g->in_place);
	e->turn++;
	e->busy = g;
	r = guarded_start(g, adopted_fd, error);
	e->busy = busy;
	/* A callback of the start may have been quicker with the same path. */
	if (r == 0 && engine_find(e, path))
		r = error_set(error, -EEXIST, "%s is guarded already", path);
	if (r == 0 && index_path(e, g) < 0)
		r = error_set(error, -ENOMEM, "out of memory");
	if (r < 0) {
		guarded_stop(g);
		return r;
	}
	if (e->count++ == 0)
		plan_safety(e);
	g->state = KEDGE_STATE_REACHABLE;
	engine_hint(e, g);
	*ret = g;
	g->held++;
	report(e, g, KEDGE_EVENT_LISTENING, 0, "");
	if (!g->closed && !is_watched(g))
		watch_again(g);
	if (let_go(g))
		return error_set(error, -ECANCELED, "%s was closed by a callback", path);
	return 0;
}

/* Events. */

/* Watch again whatever lost its watch, or never had one. */
static void watch_all(struct engine *e)
{
	list_for_each (it, &e->places) {
		struct place *place = list_entry(it, struct place, link);

		(void)place_watch(place, e->ports, &e->watches);
		list_for_each (it2, &place->members) {
			struct guarded *g = list_entry(it2, struct guarded, in_place);

			if (g->current)
				(void)listener_watch(g->current, g);
		}
	}
}

void engine_set_blind(struct engine *e, bool blind, int error)
{
	if (blind == e->blind)
		return;
	e->blind = blind;
	if (blind) {
		report(e, NULL, KEDGE_EVENT_DEGRADED, error, "no events: the safety look alone");
	} else {
		watch_all(e);
		engine_hint_all(e);
		report(e, NULL, KEDGE_EVENT_RECOVERED, 0, "events tell again");
	}
	plan_safety(e);
}

void engine_rest(struct guarded *g, uint64_t deadline_ns)
{
	if (deadline_ns == TIME_NEVER)
		heap_remove(&g->engine->timers, &g->timer);
	else if (heap_set(&g->engine->timers, &g->timer, deadline_ns) < 0)
		/* No memory for a deadline: stay in the queue for the next turn. */
		engine_hint(g->engine, g);
}

/* All is well: forget the streak, and be ready for the next loss. */
static void settle(struct guarded *g, const struct plan *plan, const struct look *look)
{
	record_settled(&g->record, look);
	g->hinted = false;
	watcher_stop(&g->engine->watches, &g->stranger);
	if (!is_watched(g))
		watch_again(g);
	engine_rest(g, plan->deadline_ns);
	guarded_trim(g);
}

/* Whether what was seen of listener, anchor and lock is as it was: a link to the path is none
 * of theirs, and an anchor that was there already has only been asked for. */
static bool leaves_backing(enum action action, int result, const struct look *look)
{
	return action == ACTION_LINK || (action == ACTION_ANCHOR && result == 1 && look->anchored);
}

/* One step. Return: whether to go on. */
static bool take_step(struct guarded *g)
{
	const struct guard_ports *p = g->engine->ports;
	struct look look;
	struct plan plan;
	uint64_t now;
	bool again;
	int result;

	guarded_look(g, &look);
	now = p->now_ns(p->ctx);
	if (g->engine->options.leave && !leave_ask(g, &look, now, &again))
		return again;
	plan = guard_plan(&g->record, &look, now);
	report_plan(g, &plan, &look, now);
	if (g->closed)
		return false;
	if (plan.action == ACTION_NONE) {
		settle(g, &plan, &look);
		return false;
	}
	if (plan.action == ACTION_WAIT) {
		engine_rest(g, plan.deadline_ns);
		return false;
	}
	result = guarded_act(g, plan.action, &look);
	if (g->closed)
		return false;
	g->backing_seen &= leaves_backing(plan.action, result, &look);
	record_acted(&g->record, plan.action, result, &look, p->now_ns(p->ctx));
	report_acted(g, &plan, result, now);
	return !g->closed;
}

static void take_turn(struct engine *e, struct guarded *g)
{
	unsigned steps = 0;

	e->busy = g;
	g->held++;
	g->backing_seen = false;
	while (steps < TURN_STEPS_MAX && take_step(g))
		steps++;
	if (!g->closed && steps == TURN_STEPS_MAX)
		engine_rest(g, engine_now(e) + TURN_REST_NS);
	e->busy = NULL;
	(void)let_go(g);
}

static void hint_due(struct engine *e, uint64_t now)
{
	struct heap_node *first;

	while ((first = heap_first(&e->timers)) && first->at <= now) {
		struct guarded *g = container_of(first, struct guarded, timer);

		heap_remove(&e->timers, first);
		engine_hint(e, g);
	}
	if (e->safety_ns <= now) {
		engine_hint_all(e);
		plan_safety(e);
	}
}

void engine_run(struct engine *e)
{
	struct list now = LIST_INIT(now);
	struct list *it;

	/* From a callback: the turn that is under way goes on when it returns. */
	if (e->busy)
		return;
	e->turn++;
	hint_due(e, engine_now(e));
	/* What is hinted at from here on waits for the next run: this one ends. */
	while ((it = list_first(&e->dirty))) {
		list_unlink(it);
		list_append(&now, it);
	}
	while ((it = list_first(&now))) {
		list_unlink(it);
		take_turn(e, list_entry(it, struct guarded, dirty));
	}
}

void engine_run_one(struct engine *e, struct guarded *g)
{
	if (e->busy)
		return;
	e->turn++;
	record_hurry(&g->record);
	g->hinted = true;
	list_unlink(&g->dirty);
	take_turn(e, g);
}

uint64_t engine_deadline(const struct engine *e)
{
	const struct heap_node *first = heap_first(&e->timers);
	uint64_t timer = first ? first->at : TIME_NEVER;

	if (!list_empty(&e->dirty))
		return 0;
	return timer < e->safety_ns ? timer : e->safety_ns;
}

static struct guarded *any_guarded(const struct engine *e)
{
	list_for_each (it, &e->places) {
		struct list *first = list_first(&list_entry(it, struct place, link)->members);

		if (first)
			return list_entry(first, struct guarded, in_place);
	}
	return NULL;
}

static void engine_free_tables(struct engine *e)
{
	heap_deinit(&e->timers);
	map_deinit(&e->by_path);
	map_deinit(&e->watches.by_number);
}

void engine_deinit(struct engine *e)
{
	struct guarded *g;

	assert(!e->busy);
	while ((g = any_guarded(e)))
		guarded_stop(g);
	engine_free_tables(e);
}

void engine_abandon(struct engine *e)
{
	struct guarded *g;

	while ((g = any_guarded(e)))
		guarded_abandon(g);
	while (!list_empty(&e->places))
		place_abandon(list_entry(list_first(&e->places), struct place, link), e->ports);
	engine_free_tables(e);
}
