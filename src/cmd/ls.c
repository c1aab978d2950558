/* kedge ls: every listening Unix socket of the machine. */
#include <errno.h>
#include <getopt.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "cmd/command.h"
#include "cmd/survey.h"
#include "cmd/table.h"

struct ls_options {
	bool lost, json;
};

enum column {
	COLUMN_STATE = 0,
	COLUMN_QUEUE,
	COLUMN_USER,
	COLUMN_OWNER,
	COLUMN_GUARD,
	COLUMN_PATH, /* the last, and the one that is cut */
	COLUMNS_,
};

static const char *const headings[COLUMNS_] = {
	"STATE", "QUEUE", "USER", "OWNER", "GUARD", "PATH"
};

/* The path gets at least so many columns: where there are fewer, others are left out. */
#define PATH_COLUMNS_MIN 24

static const enum column dispensable[] = { COLUMN_USER, COLUMN_QUEUE, COLUMN_GUARD, COLUMN_OWNER };

static const char *const colours[SURVEY_STATE_MAX_] = {
	[SURVEY_REACHABLE] = "\033[32m",
	[SURVEY_LOST] = "\033[1;31m",
	[SURVEY_REPLACED] = "\033[1;31m",
	[SURVEY_UNKNOWN] = "\033[33m",
};

struct row {
	char *cells[COLUMNS_];
};

static const char *type_name(uint32_t type)
{
	return type == SOCK_STREAM ? "stream" : type == SOCK_SEQPACKET ? "seqpacket" : "datagram";
}

static bool is_shown(const struct surveyed *item, const struct ls_options *o)
{
	return !o->lost || item->state == SURVEY_LOST || item->state == SURVEY_REPLACED;
}

/* As text of its own; NULL: no memory. */
static char *cell(struct buf *b)
{
	char *text = buf_append(b, "", 1) == 0 ? strdup(buf_front(b)) : NULL;

	buf_deinit(b);
	return text;
}

static char *user_cell(const struct surveyed *item)
{
	struct buf b = BUF_INIT;
	uid_t uid = item->owner ? item->owner->uid : item->socket.uid;
	const struct passwd *user = getpwuid(uid);

	if (!item->owner && !item->socket.has_uid)
		(void)buf_append(&b, "-", 1);
	else if (user)
		(void)append_clean(&b, user->pw_name);
	else
		(void)buf_appendf(&b, "%u", uid);
	return cell(&b);
}

static char *process_cell(const char *comm, pid_t pid, size_t more)
{
	struct buf b = BUF_INIT;

	(void)append_clean(&b, pid ? comm : "-");
	if (pid)
		(void)buf_appendf(&b, " %d", pid);
	if (more > 1)
		(void)buf_appendf(&b, " +%zu", more - 1);
	return cell(&b);
}

static char *queue_cell(const struct surveyed *item)
{
	struct buf b = BUF_INIT;

	/* Of a datagram socket there is no queue of clients, but bytes. */
	if (item->socket.listening && item->socket.has_queue)
		(void)buf_appendf(&b, "%u/%u", item->socket.queued, item->socket.backlog);
	else
		(void)buf_append(&b, "-", 1);
	return cell(&b);
}

static char *path_cell(const struct surveyed *item)
{
	struct buf b = BUF_INIT;

	(void)append_clean(&b, item->path);
	if (item->foreign_root)
		(void)buf_appendf(&b, " (root of %d)", item->owner->pid);
	if (item->foreign_net && item->state == SURVEY_ABSTRACT)
		(void)buf_appendf(&b, " (other network)");
	return cell(&b);
}

static int fill_row(struct row *row, const struct surveyed *item)
{
	const struct owner *owner = item->owner;

	row->cells[COLUMN_STATE] = strdup(survey_state_names[item->state]);
	row->cells[COLUMN_QUEUE] = queue_cell(item);
	row->cells[COLUMN_USER] = user_cell(item);
	row->cells[COLUMN_OWNER] = process_cell(owner ? owner->comm : "", owner ? owner->pid : 0,
						item->owner_count);
	row->cells[COLUMN_GUARD] = process_cell(item->guard_comm, item->guard_pid, 0);
	row->cells[COLUMN_PATH] = path_cell(item);
	for (int i = 0; i < COLUMNS_; i++)
		if (!row->cells[i])
			return -ENOMEM;
	return 0;
}

/* @widths: 0: the column is left out. @path_columns: 0: there is no bound. */
static void print_row(const struct row *row, const size_t *widths, size_t path_columns,
		      const char *colour)
{
	const char *path = row->cells[COLUMN_PATH];

	for (int i = 0; i < COLUMN_PATH; i++) {
		const char *on = i == COLUMN_STATE && colour ? colour : "";

		if (widths[i])
			(void)printf("%s%s%s%*s  ", on, row->cells[i], *on ? "\033[0m" : "",
				     (int)(widths[i] - text_columns(row->cells[i])), "");
	}
	/* The end of a path says more than its beginning. */
	if (path_columns && text_columns(path) > path_columns)
		(void)printf("...%s\n", text_tail(path, path_columns - 3));
	else
		(void)puts(path);
}

/* Columns that are left for the path. */
static size_t path_columns(const size_t *widths, unsigned columns)
{
	size_t used = 0;

	for (int c = 0; c < COLUMN_PATH; c++)
		used += widths[c] ? widths[c] + 2 : 0;
	return columns > used ? columns - used : 0;
}

static void print_rows(const struct row *rows, const enum survey_state *states, size_t count)
{
	unsigned columns = terminal_columns();
	size_t widths[COLUMNS_] = { 0 }, left = 0;
	bool coloured = terminal_has_colours();

	for (size_t i = 0; i < count; i++)
		for (int c = 0; c < COLUMN_PATH; c++)
			if (text_columns(rows[i].cells[c]) > widths[c])
				widths[c] = text_columns(rows[i].cells[c]);
	if (columns) {
		for (size_t i = 0; i < ARRAY_SIZE(dispensable); i++)
			if (path_columns(widths, columns) < PATH_COLUMNS_MIN)
				widths[dispensable[i]] = 0;
		left = path_columns(widths, columns);
		left = left < 4 ? 4 : left;
	}
	for (size_t i = 0; i < count; i++)
		print_row(&rows[i], widths, left, coloured && i ? colours[states[i]] : NULL);
}

static int print_table(const struct survey *survey, const struct ls_options *o)
{
	struct row *rows = calloc(survey->count + 1, sizeof(*rows));
	enum survey_state *states = calloc(survey->count + 1, sizeof(*states));
	size_t count = 1;
	int r = rows && states ? 0 : -ENOMEM;

	for (int c = 0; r == 0 && c < COLUMNS_; c++)
		if (!(rows[0].cells[c] = strdup(headings[c])))
			r = -ENOMEM;
	for (size_t i = 0; r == 0 && i < survey->count; i++)
		if (is_shown(&survey->items[i], o)) {
			states[count] = survey->items[i].state;
			r = fill_row(&rows[count++], &survey->items[i]);
		}
	/* Nothing lost prints nothing: that is what a script wants to see. */
	if (r == 0 && (count > 1 || !o->lost))
		print_rows(rows, states, count);
	for (size_t i = 0; rows && i < count; i++)
		for (int c = 0; c < COLUMNS_; c++)
			free(rows[i].cells[c]);
	free(rows);
	free(states);
	return r;
}

static int append_process(struct buf *b, const char *name, pid_t pid, const char *comm)
{
	if (buf_appendf(b, ",\"%s\":{\"pid\":%d,\"name\":", name, pid) < 0 ||
	    append_json_text(b, comm) < 0)
		return -ENOMEM;
	return buf_append(b, "}", 1);
}

static int append_item(struct buf *b, const struct surveyed *item)
{
	const struct owner *owner = item->owner;
	const struct diag_socket *s = &item->socket;
	int r = buf_appendf(b, "{\"path\":");

	r = r < 0 ? r : append_json_text(b, item->path);
	r = r < 0 ? r
		  : buf_appendf(b, ",\"state\":\"%s\",\"type\":\"%s\",\"socketInode\":%u",
				survey_state_names[item->state], type_name(s->type),
				s->socket_inode);
	if (r == 0 && item->error)
		r = buf_appendf(b, ",\"error\":\"%s\"", error_name(item->error));
	if (r == 0 && s->has_path)
		r = buf_appendf(b, ",\"inode\":%u", s->path_inode);
	if (r == 0 && s->listening && s->has_queue)
		r = buf_appendf(b, ",\"queued\":%u,\"backlog\":%u", s->queued, s->backlog);
	if (r == 0 && (owner || s->has_uid))
		r = buf_appendf(b, ",\"uid\":%u", owner ? owner->uid : s->uid);
	if (r == 0 && owner)
		r = append_process(b, "owner", owner->pid, owner->comm);
	if (r == 0 && owner)
		r = buf_appendf(b, ",\"holders\":%zu", item->owner_count);
	if (r == 0 && item->guard_pid)
		r = append_process(b, "guard", item->guard_pid, item->guard_comm);
	if (r == 0)
		r = buf_appendf(b, ",\"foreignRoot\":%s,\"foreignNetwork\":%s}",
				item->foreign_root ? "true" : "false",
				item->foreign_net ? "true" : "false");
	return r;
}

static int print_json(const struct survey *survey, const struct ls_options *o)
{
	_cleanup_(buf_deinit) struct buf b = BUF_INIT;
	int r = buf_append(&b, "[", 1);
	bool first = true;

	for (size_t i = 0; r == 0 && i < survey->count; i++) {
		if (!is_shown(&survey->items[i], o))
			continue;
		r = buf_appendf(&b, first ? "\n" : ",\n");
		r = r < 0 ? r : append_item(&b, &survey->items[i]);
		first = false;
	}
	r = r < 0 ? r : buf_appendf(&b, first ? "]\n" : "\n]\n");
	if (r == 0)
		(void)fwrite(buf_front(&b), 1, buf_size(&b), stdout);
	return r;
}

/* What could not be seen, said once each. */
static void print_limits(const struct survey *survey)
{
	if (survey->owners.hidden)
		(void)fprintf(stderr,
			      "kedge: %u processes of other users could not be looked into: some "
			      "owners are missing; run as root to see all\n",
			      survey->owners.hidden);
	if (survey->closed_namespaces)
		(void)fprintf(stderr,
			      "kedge: %u network namespaces may not be entered: their sockets are "
			      "missing\n",
			      survey->closed_namespaces);
	if (survey->interrupted)
		(void)fputs("kedge: sockets came and went all the while: some may be missing\n",
			    stderr);
}

static int parse(int argc, char **argv, struct ls_options *o)
{
	static const struct option longs[] = { { "lost", no_argument, NULL, 'l' },
					       { "json", no_argument, NULL, 'j' },
					       { 0 } };
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, ":", longs, NULL)) != -1) {
		if (c == 'l')
			o->lost = true;
		else if (c == 'j')
			o->json = true;
		else
			return usage_error("ls: '%s' is no option", argv[optind - 1]);
	}
	return optind == argc
		       ? EXIT_OK
		       : usage_error("ls: '%s': takes no PATH; kedge check PATH looks at one",
				     argv[optind]);
}

static int run(int argc, char **argv)
{
	_cleanup_(survey_deinit) struct survey survey = SURVEY_INIT;
	struct ls_options o = { 0 };
	int r = parse(argc, argv, &o);

	if (r != EXIT_OK)
		return r;
	r = survey_take(SURVEY_MACHINE, &survey);
	if (r == 0)
		r = o.json ? print_json(&survey, &o) : print_table(&survey, &o);
	if (r == 0 && fflush(stdout) != 0)
		r = -errno;
	if (r < 0) {
		(void)fprintf(stderr, "kedge: the sockets cannot be listed: %s\n", error_words(r));
		return EXIT_FAILED;
	}
	print_limits(&survey);
	return EXIT_OK;
}

const struct command command_ls = {
	.name = "ls",
	.summary = "list the listening sockets, and which have lost their path",
	.help = "Usage: kedge ls [--lost] [--json]\n\n"
		"Every Unix socket of the machine that clients can send to, by path.\n\n"
		"  --lost  only those that no client comes to by their path\n"
		"  --json  an array of objects, one a line\n\n"
		"  STATE  reachable  the path leads to the socket\n"
		"         lost       nothing stands at the path: kedge rescue PATH\n"
		"         replaced   something else stands there\n"
		"         abstract   a name that is no path (@), and cannot be lost\n"
		"         unknown    it may not be looked at, or was bound as a relative path\n"
		"  QUEUE  clients that wait to be accepted / how many may\n"
		"  OWNER  a process that holds it, +N more\n"
		"  GUARD  the process that keeps the path\n\n"
		"Ordinary users see the owners of their own sockets, and root sees all, those in\n"
		"containers too, whose paths are as the owner sees them.\n",
	.run = run,
};
