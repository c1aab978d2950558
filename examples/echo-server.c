/*
 * A guarded JSON RPC server, as small as it gets.
 *
 *	echo-server /run/user/1000/echo.sock &
 *	kedge call /run/user/1000/echo.sock echo '{"hello":"world"}'
 */
#include <stdio.h>

#include <kedge/server.h>

static void echo(const struct kedge_call *call, void *userdata)
{
	(void)userdata;
	(void)kedge_call_reply(call, call->params);
}

static void on_signal(uv_signal_t *signal, int number)
{
	(void)number;
	kedge_server_stop(signal->data, 2000, NULL, NULL);
	uv_close((uv_handle_t *)signal, NULL);
}

int main(int argc, char **argv)
{
	static const struct kedge_method methods[] = { { .name = "echo", .handler = echo } };
	struct kedge_server_options options = { .size = sizeof(options) };
	struct kedge_error error = KEDGE_ERROR_INIT;
	uv_loop_t *loop = uv_default_loop();
	struct kedge_server *server;
	uv_signal_t signal;

	if (argc != 2 || kedge_server_new(&server, loop, &options, &error) < 0 ||
	    kedge_server_add_methods(server, methods, 1) < 0 ||
	    kedge_server_listen(server, argv[1], NULL, &error) < 0) {
		(void)fprintf(stderr, "echo-server PATH: %s\n", error.text);
		return 1;
	}
	(void)uv_signal_init(loop, &signal);
	signal.data = server;
	(void)uv_signal_start(&signal, on_signal, SIGTERM);
	(void)uv_run(loop, UV_RUN_DEFAULT);
	(void)kedge_server_free(server);
	return uv_run(loop, UV_RUN_DEFAULT);
}
