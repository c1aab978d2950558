/* A guarded server on libuv, and a client in the same loop that prints its answer. */
#include <kedge/server.h>

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct kedge_server *server;
static int failed = 1;

static void hello(const struct kedge_call *call, void *userdata)
{
	(void)userdata;
	kedge_call_reply(call, kedge_span("{\"hello\":\"world\"}"));
}

static void on_answer(uv_poll_t *client, int status, int events)
{
	static const char wanted[] = "{\"id\":1,\"result\":{\"hello\":\"world\"}}\n";
	char got[sizeof(wanted)];

	(void)status;
	(void)events;
	failed = read(*(int *)client->data, got, sizeof(got)) != (ssize_t)sizeof(wanted) - 1 ||
		 memcmp(got, wanted, sizeof(wanted) - 1) != 0;
	uv_close((uv_handle_t *)client, NULL);
	kedge_server_stop(server, 0, NULL, NULL);
}

static int ask(const char *path)
{
	static const char request[] = "{\"id\":1,\"method\":\"hello\"}\n";
	struct sockaddr_un address;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	memset(&address, 0, sizeof(address));
	address.sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(address.sun_path))
		return -1;
	strcpy(address.sun_path, path);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -1;
	return write(fd, request, sizeof(request) - 1) < 0 ? -1 : fd;
}

int main(int argc, char **argv)
{
	static const struct kedge_method methods[] = { { "hello", hello, NULL } };
	struct kedge_server_options options;
	struct kedge_error error = KEDGE_ERROR_INIT;
	uv_poll_t client;
	int fd;

	if (argc != 2)
		return 2;
	memset(&options, 0, sizeof(options));
	options.size = sizeof(options);
	if (kedge_server_new(&server, uv_default_loop(), &options, &error) < 0 ||
	    kedge_server_add_methods(server, methods, 1) < 0 ||
	    kedge_server_listen(server, argv[1], NULL, &error) < 0) {
		fprintf(stderr, "%s\n", error.text);
		return 1;
	}
	fd = ask(argv[1]);
	if (fd < 0 || uv_poll_init(uv_default_loop(), &client, fd) < 0)
		return 1;
	client.data = &fd;
	uv_poll_start(&client, UV_READABLE, on_answer);
	uv_run(uv_default_loop(), UV_RUN_DEFAULT);
	kedge_server_free(server);
	uv_run(uv_default_loop(), UV_RUN_DEFAULT);
	close(fd);
	return failed;
}
