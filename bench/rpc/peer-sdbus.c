/*
 * sd-bus peer to peer: no broker between the two. A method that echoes a string.
 *
 *	peer-sdbus serve PATH
 *	peer-sdbus drive PATH CONNECTIONS DEPTH PAYLOAD SECONDS [PID]
 */
#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "tally.h"

#define OBJECT    "/"
#define INTERFACE "bench.Echo"

/* Of a driver. */
static struct {
	struct load load;
	struct tally tally;
	char *payload;
} drive;

struct request {
	sd_bus *bus;
	uint64_t sent_ns;
};

static void check(int r, const char *what)
{
	if (r < 0) {
		fprintf(stderr, "peer-sdbus: %s: %s\n", what, strerror(-r));
		exit(1);
	}
}

static int open_socket(const char *path, struct sockaddr_un *ret_address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*ret_address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(ret_address->sun_path))
		check(-ENAMETOOLONG, path);
	strcpy(ret_address->sun_path, path);
	check(fd < 0 ? -errno : 0, "a socket");
	return fd;
}

static int echo(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	const char *text;
	int r = sd_bus_message_read(call, "s", &text);

	(void)userdata, (void)error;
	return r < 0 ? r : sd_bus_reply_method_return(call, "s", text);
}

static const sd_bus_vtable methods[] = {
	SD_BUS_VTABLE_START(0), SD_BUS_METHOD("Echo", "s", "s", echo, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END
};

/* The other side has gone. */
static int on_gone(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	sd_bus *bus = sd_bus_message_get_bus(message);

	(void)userdata, (void)error;
	sd_bus_detach_event(bus);
	sd_bus_close(bus);
	sd_bus_unref(bus);
	return 0;
}

/* Make @fd a bus on which the methods are. Return: 0, or -errno: its client has gone. */
static int add_client(int fd, sd_event *event)
{
	sd_id128_t id;
	sd_bus *bus;
	int r;

	check(sd_id128_randomize(&id), "an id");
	check(sd_bus_new(&bus), "a bus");
	check(sd_bus_set_fd(bus, fd, fd), "a bus");
	check(sd_bus_set_server(bus, 1, id), "a bus");
	check(sd_bus_set_anonymous(bus, 1), "a bus");
	r = sd_bus_start(bus);
	if (r >= 0)
		r = sd_bus_add_object_vtable(bus, NULL, OBJECT, INTERFACE, methods, NULL);
	if (r >= 0)
		r = sd_bus_match_signal_async(bus, NULL, "org.freedesktop.DBus.Local", NULL,
					      "org.freedesktop.DBus.Local", "Disconnected", on_gone,
					      NULL, NULL);
	if (r >= 0)
		r = sd_bus_attach_event(bus, event, 0);
	if (r < 0)
		sd_bus_unref(bus);
	return r;
}

static int on_client(sd_event_source *source, int listener, uint32_t events, void *userdata)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)source, (void)events;
	if (fd >= 0)
		(void)add_client(fd, userdata);
	return 0;
}

static int serve(const char *path)
{
	struct sockaddr_un address;
	int listener = open_socket(path, &address);
	sd_event *event;

	check(sd_event_default(&event), "the loop");
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(listener, 4096) < 0)
		check(-errno, path);
	check(sd_event_add_io(event, NULL, listener, EPOLLIN, on_client, event), "the loop");
	return sd_event_loop(event);
}

static int on_answer(sd_bus_message *answer, void *userdata, sd_bus_error *error);

static void ask(struct request *r)
{
	r->sent_ns = tally_now_ns();
	check(sd_bus_call_method_async(r->bus, NULL, NULL, OBJECT, INTERFACE, "Echo", on_answer, r,
				       "s", drive.payload),
	      "a call");
}

static int on_answer(sd_bus_message *answer, void *userdata, sd_bus_error *error)
{
	struct request *r = userdata;
	const char *text = NULL;

	(void)error;
	if (sd_bus_message_is_method_error(answer, NULL) ||
	    sd_bus_message_read(answer, "s", &text) < 0 || strcmp(text, drive.payload) != 0) {
		fputs("peer-sdbus: a wrong answer\n", stderr);
		exit(1);
	}
	tally_add(&drive.tally, tally_now_ns() - r->sent_ns, 1);
	ask(r);
	return 0;
}

static sd_bus *connect_one(sd_event *event)
{
	struct sockaddr_un address;
	int fd = open_socket(drive.load.path, &address);
	sd_bus *bus;

	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		check(-errno, drive.load.path);
	check(sd_bus_new(&bus), "a bus");
	check(sd_bus_set_fd(bus, fd, fd), "a bus");
	check(sd_bus_set_anonymous(bus, 1), "a bus");
	check(sd_bus_start(bus), "a bus");
	check(sd_bus_attach_event(bus, event, 0), "the loop");
	return bus;
}

static int run(int argc, char **argv)
{
	struct request *requests;
	sd_event *event;

	load_read(&drive.load, argc, argv);
	drive.payload = calloc(1, drive.load.payload + 1);
	memset(drive.payload, 'x', drive.load.payload);
	requests = calloc((size_t)drive.load.connections * drive.load.depth, sizeof(*requests));
	check(sd_event_default(&event), "the loop");
	for (size_t i = 0; i < (size_t)drive.load.connections * drive.load.depth; i++)
		requests[i].bus = i % drive.load.depth ? requests[i - 1].bus : connect_one(event);
	load_begin(&drive.load);
	for (size_t i = 0; i < (size_t)drive.load.connections * drive.load.depth; i++)
		ask(&requests[i]);
	while (!load_is_over(&drive.load, &drive.tally))
		check(sd_event_run(event, 100000), "the loop");
	tally_print(&drive.tally);
	_exit(0);
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "serve") == 0)
		return serve(argv[2]);
	if (argc > 3 && strcmp(argv[1], "drive") == 0)
		return run(argc - 2, argv + 2);
	fputs("usage: peer-sdbus serve PATH | drive PATH CONNECTIONS DEPTH PAYLOAD SECONDS [PID]\n",
	      stderr);
	return 2;
}
