#include "cmd/top-feed.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/time.h"
#include "cmd/control.h"
#include "wire/json.h"

/* Lines of one kedge that are taken in before the others, and keys, have their turn. */
#define LINES_MAX 1000

/* Ids of what is asked. */
#define ID_STATUS "status"
#define ID_EVENTS "events"

static void peer_close(struct top_peer *peer)
{
	peer->fd = fd_close(peer->fd);
	buf_deinit(&peer->input);
}

void top_feed_deinit(struct top_feed *feed)
{
	for (size_t i = 0; i < feed->count; i++)
		peer_close(&feed->peers[i]);
	feed->count = 0;
}

static struct top_peer *find_peer(struct top_feed *feed, pid_t pid)
{
	for (size_t i = 0; i < feed->count; i++)
		if (feed->peers[i].pid == pid)
			return &feed->peers[i];
	return NULL;
}

/* Who has gone makes room, and his paths are guarded by nobody. */
static void drop_gone(struct top_feed *feed, struct top_ui *ui)
{
	for (size_t i = 0; i < feed->count;) {
		if (feed->peers[i].fd >= 0) {
			i++;
			continue;
		}
		top_model_drop(&ui->model, feed->peers[i].pid);
		feed->peers[i] = feed->peers[--feed->count];
	}
}

static int meet_newcomers(struct top_feed *feed)
{
	struct control_peers found;
	int r = control_peers_find(&found);

	for (size_t i = 0; r == 0 && i < found.count && feed->count < TOP_SOURCES_MAX; i++) {
		int fd;

		if (find_peer(feed, found.pids[i]))
			continue;
		/* One that was killed left its socket: it is simply not there. */
		fd = control_connect(found.pids[i]);
		if (fd >= 0)
			feed->peers[feed->count++] = (struct top_peer){ .pid = found.pids[i],
									.fd = fd };
	}
	control_peers_deinit(&found);
	/* A user without a runtime directory has no kedges that could be asked. */
	return r == -ENOENT ? 0 : r;
}

/* A kedge that takes no more has enough to do, and will be found silent. */
static void send_request(const struct top_peer *peer, const char *request, size_t size)
{
	(void)!send(peer->fd, request, size, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void name_silent(struct top_feed *feed, struct top_ui *ui, uint64_t now_ns)
{
	ui->silent_count = 0;
	for (size_t i = 0; i < feed->count; i++) {
		struct top_peer *peer = &feed->peers[i];

		peer->silent = peer->awaited &&
			       now_ns - peer->asked_ns >= TOP_SILENT_MS * NSEC_PER_MSEC;
		if (!peer->silent)
			continue;
		top_model_silence(&ui->model, peer->pid);
		if (ui->silent_count++ < TOP_SILENT_MAX)
			ui->silent[ui->silent_count - 1] = peer->pid;
	}
}

int top_feed_ask(struct top_feed *feed, struct top_ui *ui, uint64_t now_ns)
{
	static const char request[] = "{\"id\":\"" ID_STATUS "\",\"method\":\"sockets_status\"}\n";
	int r;

	drop_gone(feed, ui);
	r = meet_newcomers(feed);
	for (size_t i = 0; i < feed->count; i++) {
		struct top_peer *peer = &feed->peers[i];

		if (peer->awaited)
			continue;
		send_request(peer, request, sizeof(request) - 1);
		peer->awaited = true;
		peer->asked_ns = now_ns;
	}
	name_silent(feed, ui, now_ns);
	feed->hurry = false;
	return r;
}

void top_feed_ask_events(struct top_feed *feed, const struct top_ui *ui)
{
	const struct top_peer *peer = find_peer(feed, ui->looked_at.guard);
	_cleanup_(buf_deinit) struct buf b = BUF_INIT;

	if (!peer || peer->fd < 0 || peer->silent)
		return;
	if (buf_appendf(&b,
			"{\"id\":\"" ID_EVENTS "\",\"method\":\"sockets_events\",\"params\":{"
			"\"most\":%d,\"path\":",
			TOP_EVENTS_MAX) == 0 &&
	    json_append_string(&b, kedge_span(ui->looked_at.path)) == 0 &&
	    buf_append(&b, "}}\n", 3) == 0)
		send_request(peer, buf_front(&b), buf_size(&b));
}

size_t top_feed_polls(const struct top_feed *feed, struct pollfd *polls)
{
	for (size_t i = 0; i < feed->count; i++)
		polls[i] = (struct pollfd){ .fd = feed->peers[i].fd, .events = POLLIN };
	return feed->count;
}

static int take_status(struct top_peer *peer, struct top_ui *ui, struct kedge_span result,
		       struct top_moment now)
{
	int r = top_model_take(&ui->model, peer->pid, result, now);

	peer->awaited = false;
	/* Each source is a peer, and there are no more of these. */
	return r == -ENOSPC ? 0 : r;
}

static int take_line(struct top_feed *feed, struct top_peer *peer, struct top_ui *ui,
		     struct kedge_span line, struct top_moment now)
{
	struct kedge_span id, result;

	if (!json_is_valid(line, JSON_DEPTH_MAX))
		return 0;
	id = json_member(line, "id");
	result = json_member(line, "result");
	feed->hurry |= !id.size;
	if (json_string_is(id, ID_STATUS))
		return take_status(peer, ui, result, now);
	if (json_string_is(id, ID_EVENTS) && ui->page == TOP_PAGE_EVENTS &&
	    peer->pid == ui->looked_at.guard)
		return top_ui_take_events(ui, result);
	return 0;
}

static int read_peer(struct top_feed *feed, struct top_peer *peer, struct top_ui *ui,
		     struct top_moment now)
{
	_cleanup_(buf_deinit) struct buf line = BUF_INIT;
	int r = 0;

	for (int i = 0; i < LINES_MAX && peer->fd >= 0 && r == 0; i++) {
		int e = control_read_line(peer->fd, &peer->input, &line, 0);

		if (e == -ETIMEDOUT)
			return 0;
		if (e < 0)
			peer_close(peer);
		else
			r = take_line(feed, peer, ui, buf_span(&line), now);
	}
	return r;
}

int top_feed_read(struct top_feed *feed, struct top_ui *ui, struct top_moment now)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < feed->count; i++)
		r = read_peer(feed, &feed->peers[i], ui, now);
	drop_gone(feed, ui);
	return r;
}

bool top_feed_waits(const struct top_feed *feed)
{
	for (size_t i = 0; i < feed->count; i++)
		if (feed->peers[i].awaited && !feed->peers[i].silent)
			return true;
	return false;
}
