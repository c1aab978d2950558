/*
 * Resolves what it is asked, for a script that knows the rules as well. A
 * question is a line of fields with tabs between them: the name, the workspace
 * ("-": none given), then VARIABLE=VALUE, or VARIABLE alone for one that is not
 * set. The answer is a line: the rule and the path, or what is wrong.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kedge/endpoint.h"

static void set_variable(char *field)
{
	char *equals = strchr(field, '=');

	if (!equals) {
		(void)unsetenv(field);
		return;
	}
	*equals = '\0';
	(void)setenv(field, equals + 1, 1);
}

static void answer(const char *name, const char *workspace)
{
	struct kedge_error error = KEDGE_ERROR_INIT;
	enum kedge_endpoint_rule rule;
	char *path = NULL;

	if (kedge_endpoint_resolve(name, workspace, &path, &rule, &error) < 0)
		printf("error\t%s\n", error.text);
	else
		printf("%d\t%s\n", (int)rule, path);
	free(path);
}

int main(void)
{
	char *line = NULL;
	size_t room = 0;

	while (getline(&line, &room, stdin) > 0) {
		char *rest = line, *name, *workspace, *field;

		line[strcspn(line, "\n")] = '\0';
		name = strsep(&rest, "\t");
		workspace = strsep(&rest, "\t");
		while ((field = strsep(&rest, "\t")))
			set_variable(field);
		answer(name, strcmp(workspace, "-") == 0 ? NULL : workspace);
	}
	free(line);
	return 0;
}
