#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "cmd/command.h"
#include "kedge/version.h"

static const struct command *const commands[] = {
	&command_serve, &command_guard,  &command_run,    &command_call,
	&command_ls,    &command_status, &command_events, &command_top,
	&command_check, &command_wait,   &command_rescue,
};

static void print_help(FILE *to)
{
	fputs("kedge keeps Unix sockets reachable.\n\n"
	      "Usage: kedge COMMAND [ARGUMENT]...\n\nCommands:\n",
	      to);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		(void)fprintf(to, "  %-8s %s\n", commands[i]->name, commands[i]->summary);
	fputs("\n  kedge COMMAND --help   what a command takes; so does kedge help COMMAND\n"
	      "  kedge --version        the version\n",
	      to);
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	return NULL;
}

static bool asks_for_help(const char *word)
{
	return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

static int refuse_command(const char *name)
{
	return usage_error("'%s' is no command; kedge --help lists them", name);
}

/* As --help alone, and as COMMAND --help: `kedge help`, `kedge help COMMAND`. */
static int run_help(int argc, char **argv)
{
	const struct command *command;

	if (argc > 2)
		return usage_error("help '%s': one command at a time", argv[2]);
	if (argc < 2 || asks_for_help(argv[1]) || strcmp(argv[1], "help") == 0) {
		print_help(stdout);
		return EXIT_OK;
	}
	command = find_command(argv[1]);
	if (!command)
		return refuse_command(argv[1]);
	fputs(command->help, stdout);
	return EXIT_OK;
}

/*
 * Started with one of the three closed (`>&-`), the next socket would get its number,
 * and what is printed would go to a server. A handle that can be neither read nor
 * written takes the place: printing fails, as it should.
 */
static void hold_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/", O_PATH);
	while (fd >= 0 && fd <= STDERR_FILENO);
	fd_close(fd);
}

int main(int argc, char **argv)
{
	const struct command *command;

	hold_standard_descriptors();
	if (argc < 2) {
		print_help(stderr);
		return EXIT_USAGE;
	}
	if (asks_for_help(argv[1]) || strcmp(argv[1], "help") == 0)
		return run_help(argc - 1, argv + 1);
	if (strcmp(argv[1], "--version") == 0) {
		puts("kedge " KEDGE_VERSION);
		return EXIT_OK;
	}
	command = find_command(argv[1]);
	if (!command)
		return refuse_command(argv[1]);
	if (argc > 2 && asks_for_help(argv[2])) {
		fputs(command->help, stdout);
		return EXIT_OK;
	}
	return command->run(argc - 1, argv + 1);
}
