#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cmd/command.h"
#include "kedge/version.h"

static const struct command *const commands[] = {
	&command_serve,  &command_guard,  &command_run,   &command_call, &command_ls,
	&command_status, &command_events, &command_check, &command_wait, &command_rescue,
};

void usage_complain(const char *format, ...)
{
	va_list args;

	fputs("kedge: ", stderr);
	va_start(args, format);
	(void)vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

int parse_number(const char *text, int64_t low, int64_t high, int64_t *ret)
{
	char *end;
	long long value;

	errno = 0;
	value = strtoll(text, &end, 10);
	if (errno || end == text || *end || strchr(" \t\n\v\f\r", *text) || value < low ||
	    value > high)
		return -EINVAL;
	*ret = value;
	return 0;
}

int parse_seconds(const char *text, int64_t max_s, int64_t *ret_ms)
{
	char *end;
	double value;

	/* strtod() would take white space, signs, hex, "inf" and "nan" as well. */
	if (!*text || strspn(text, "0123456789.") != strlen(text))
		return -EINVAL;
	value = strtod(text, &end);
	if (*end || value > (double)max_s)
		return -EINVAL;
	*ret_ms = (int64_t)(value * 1000);
	return 0;
}

static void print_help(FILE *to)
{
	fputs("kedge keeps Unix sockets reachable.\n\n"
	      "Usage: kedge COMMAND [ARGUMENT]...\n\nCommands:\n",
	      to);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		(void)fprintf(to, "  %-8s %s\n", commands[i]->name, commands[i]->summary);
	fputs("\n  kedge COMMAND --help   what a command takes\n"
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
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		print_help(stdout);
		return EXIT_OK;
	}
	if (strcmp(argv[1], "--version") == 0) {
		puts("kedge " KEDGE_VERSION);
		return EXIT_OK;
	}
	command = find_command(argv[1]);
	if (!command)
		return usage_error("'%s' is no command; kedge --help lists them", argv[1]);
	if (argc > 2 && (strcmp(argv[2], "--help") == 0 || strcmp(argv[2], "-h") == 0)) {
		fputs(command->help, stdout);
		return EXIT_OK;
	}
	return command->run(argc - 1, argv + 1);
}
