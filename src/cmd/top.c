/* kedge top: guarded paths, live. */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/time.h"
#include "cmd/command.h"
#include "cmd/control.h"
#include "cmd/table.h"
#include "cmd/top-crowd.h"
#include "cmd/top-feed.h"
#include "cmd/top-screen.h"
#include "sys/clock.h"

#define INTERVAL_MS     2000
#define INTERVAL_MS_MIN 100
#define INTERVAL_S_MAX  3600
#define BATCH_MAX       1000000

struct top {
	struct top_ui ui;
	struct top_feed feed;
	int64_t interval_ms;
	int64_t tables, printed; /* 0 are to be: it is live */
	bool without_colours;
	uint64_t asked_ns;
};

/* Signals that came; looked at when poll() returns. */
static volatile sig_atomic_t ended_by, stopped, resumed;

static void on_end(int number)
{
	ended_by = number;
}

static void on_stop(int number)
{
	(void)number;
	stopped = 1;
}

/* That the terminal has another size: it is asked for with each frame. */
static void on_resize(int number)
{
	(void)number;
}

static void on_resume(int number)
{
	(void)number;
	resumed = 1;
}

static struct top_moment now(void)
{
	return (struct top_moment){ monotonic_ns(), realtime_ms() };
}

/* Asking. */

static int ask(struct top *top)
{
	int r;

	top->asked_ns = monotonic_ns();
	r = top_feed_ask(&top->feed, &top->ui, top->asked_ns);
	if (top->ui.page == TOP_PAGE_EVENTS)
		top_feed_ask_events(&top->feed, &top->ui);
	return r;
}

/* When to ask again. */
static uint64_t next_ns(const struct top *top)
{
	int64_t wait_ms = top->interval_ms;

	if (top->feed.hurry && wait_ms > TOP_HURRY_MS && !top->tables)
		wait_ms = TOP_HURRY_MS;
	return top->asked_ns + (uint64_t)wait_ms * NSEC_PER_MSEC;
}

/* Wait until a kedge or a key says something, or @until_ns. Signals come in here alone.
 * Return: 0; -ENOTCONN: the terminal is gone. */
static int wait_for_news(struct top *top, uint64_t until_ns, const sigset_t *signals)
{
	struct pollfd polls[TOP_SOURCES_MAX + 1];
	size_t n = top_feed_polls(&top->feed, polls);
	uint64_t at_ns = monotonic_ns(), left_ns = until_ns > at_ns ? until_ns - at_ns : 0;
	struct timespec wait = { (time_t)(left_ns / NSEC_PER_SEC), (long)(left_ns % NSEC_PER_SEC) };

	polls[n] = (struct pollfd){ .fd = top->tables ? -1 : STDIN_FILENO, .events = POLLIN };
	if (ppoll(polls, n + 1, &wait, signals) < 0)
		return errno == EINTR ? 0 : -errno;
	return polls[n].revents & (POLLHUP | POLLERR | POLLNVAL) ? -ENOTCONN : 0;
}

static int take_in(struct top *top)
{
	int r = top_feed_read(&top->feed, &top->ui, now());

	if (r < 0)
		return r;
	top_crowd_count(&top->ui.model);
	return top_model_arrange(&top->ui.model);
}

/* Live. */

static int draw(struct top *top, const sigset_t *signals)
{
	struct top_frame frame;
	int r;

	top_screen_size(&top->ui.columns, &top->ui.lines);
	top->ui.wall_ms = realtime_ms();
	r = top_view_draw(&top->ui, &frame);
	if (r < 0)
		return r;
	r = top_screen_show(&frame, signals);
	top_frame_deinit(&frame);
	return r;
}

/* Return: 1: leave; 0; negative. */
static int press_keys(struct top *top)
{
	int key, r;

	while ((key = top_screen_key()) != TOP_KEY_NONE) {
		r = top_ui_press(&top->ui, key);
		if (r < 0 || r == TOP_WISH_END)
			return r < 0 ? r : 1;
		if (r == TOP_WISH_EVENTS)
			top_feed_ask_events(&top->feed, &top->ui);
	}
	return 0;
}

/* Stop as if we had not caught it: what stopped us may be no shell, and never let us go on. */
static void stop_here(void)
{
	struct sigaction ours, plain = { .sa_handler = SIG_DFL };
	sigset_t one, held;

	top_screen_suspend();
	(void)sigemptyset(&one);
	(void)sigaddset(&one, SIGTSTP);
	(void)sigaction(SIGTSTP, &plain, &ours);
	(void)raise(SIGTSTP);
	(void)sigprocmask(SIG_UNBLOCK, &one, &held);
	/* Here it is stopped. */
	(void)sigprocmask(SIG_SETMASK, &held, NULL);
	(void)sigaction(SIGTSTP, &ours, NULL);
	top_screen_resume();
}

static void obey_signals(void)
{
	if (stopped) {
		stopped = 0;
		stop_here();
	} else if (resumed) {
		/* Stopped by SIGSTOP, and the shell has used the terminal since. */
		top_screen_resume();
	}
	resumed = 0;
}

static int go_round(struct top *top, const sigset_t *signals)
{
	int r = monotonic_ns() >= next_ns(top) ? ask(top) : 0;

	if (r == 0)
		r = wait_for_news(top, next_ns(top), signals);
	if (r == 0)
		obey_signals();
	if (r == 0)
		r = take_in(top);
	if (r == 0)
		r = press_keys(top);
	return r < 0 || r == 1 ? r : draw(top, signals);
}

/* They reach us in wait_for_news() alone, where nothing is half drawn.
 * @ret: what is to be let in there */
static void hold_signals(sigset_t *ret)
{
	static const struct {
		int number;
		void (*handler)(int number);
	} rows[] = {
		{ SIGINT, on_end },     { SIGTERM, on_end },  { SIGHUP, on_end },
		{ SIGCONT, on_resume }, { SIGTSTP, on_stop }, { SIGWINCH, on_resize },
	};
	sigset_t held;

	(void)sigemptyset(&held);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct sigaction action = { .sa_handler = rows[i].handler };

		(void)sigaddset(&held, rows[i].number);
		(void)sigaction(rows[i].number, &action, NULL);
	}
	(void)sigprocmask(SIG_BLOCK, &held, ret);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		(void)sigdelset(ret, rows[i].number);
}

/* Die of what we were told to die of, so that who waits for us knows. */
static void end_by_signal(int number)
{
	(void)signal(number, SIG_DFL);
	(void)raise(number);
}

static int be_live(struct top *top)
{
	sigset_t signals;
	int r = 0;

	hold_signals(&signals);
	while (r == 0 && !ended_by)
		r = go_round(top, &signals);
	/* A terminal that takes nothing does not hold up the end either. */
	(void)sigprocmask(SIG_SETMASK, &signals, NULL);
	top_screen_close();
	if (ended_by)
		end_by_signal(ended_by);
	if (r < 0 && r != -ENOTCONN && r != -EIO)
		usage_complain("top: %s", error_words(r));
	return r < 0 ? EXIT_FAILED : EXIT_OK;
}

/* Printing. */

static int print_table(struct top *top)
{
	struct top_frame frame;
	int r;

	top->ui.columns = terminal_columns();
	r = top_view_table(&top->ui, &frame);
	if (r < 0)
		return r;
	if (top->printed++)
		putchar('\n');
	for (size_t i = 0; i < frame.count; i++)
		puts(buf_front(&frame.lines[i].text));
	top_frame_deinit(&frame);
	return fflush(stdout) == 0 ? 0 : -errno;
}

/* Everybody's answer, or that there is none. */
static int gather(struct top *top, const sigset_t *signals)
{
	uint64_t until_ns = monotonic_ns() + TOP_SILENT_MS * NSEC_PER_MSEC;
	int r = ask(top);

	while (r == 0 && top_feed_waits(&top->feed) && monotonic_ns() < until_ns) {
		r = wait_for_news(top, until_ns, signals);
		if (r == 0)
			r = take_in(top);
	}
	return r < 0 ? r : top_model_arrange(&top->ui.model);
}

static int pause_between(struct top *top, const sigset_t *signals)
{
	int r = 0;

	while (r == 0 && monotonic_ns() < next_ns(top)) {
		r = wait_for_news(top, next_ns(top), signals);
		if (r == 0)
			r = take_in(top);
	}
	return r;
}

/* Return: the exit status. */
static int print_tables(struct top *top)
{
	bool alone = true, silent = false;
	sigset_t signals;
	int r = 0;

	(void)sigprocmask(SIG_SETMASK, NULL, &signals);
	while (r == 0 && top->printed < top->tables) {
		r = top->printed ? pause_between(top, &signals) : 0;
		if (r == 0)
			r = gather(top, &signals);
		alone = !top->feed.count;
		silent |= top_feed_waits(&top->feed) || top->ui.silent_count;
		if (r == 0)
			r = print_table(top);
	}
	if (r < 0)
		usage_complain("top: %s", error_words(r));
	else if (alone)
		control_complain_alone();
	if (silent)
		usage_complain("top: not all kedges answered");
	return r < 0 || alone || silent ? EXIT_FAILED : EXIT_OK;
}

static int run_top(struct top *top)
{
	const char *terminal = getenv("TERM");
	int r;

	if (!top->tables && !(isatty(STDIN_FILENO) && isatty(STDOUT_FILENO)))
		top->tables = 1;
	if (top->tables)
		return print_tables(top);
	if (!top_screen_is_possible()) {
		usage_complain("TERM '%s': no terminal whose cursor can be moved; tables follow, "
			       "until Ctrl-C",
			       terminal ? terminal : "");
		top->tables = INT64_MAX;
		return print_tables(top);
	}
	r = top_screen_open(terminal_has_colours() && !top->without_colours ? TOP_COLOURS
									    : TOP_COLOURS_NONE);
	if (r == 0)
		return be_live(top);
	usage_complain("the terminal: %s", error_words(r));
	return EXIT_FAILED;
}

/* Options. */

static int parse_sort(struct top *top, const char *name)
{
	int column = top_column_find(name);

	if (column < 0)
		return usage_error("--sort '%s': allowed: state, losses, outage, clients, rate, "
				   "owner, path",
				   name);
	top->ui.model.sort = (enum top_column)column;
	return EXIT_OK;
}

static int parse_option(struct top *top, int c)
{
	switch (c) {
	case 'i':
		if (parse_seconds(optarg, INTERVAL_S_MAX, &top->interval_ms) < 0 ||
		    top->interval_ms < INTERVAL_MS_MIN)
			return usage_error("--interval '%s': seconds, 0.1 to %d", optarg,
					   INTERVAL_S_MAX);
		return EXIT_OK;
	case 'b':
		if (parse_number(optarg, 1, BATCH_MAX, &top->tables) < 0)
			return usage_error("--batch '%s': a number of tables, 1 to %d", optarg,
					   BATCH_MAX);
		return EXIT_OK;
	case 's':
		return parse_sort(top, optarg);
	case 'f':
		if (strlen(optarg) >= TOP_FILTER_BYTES)
			return usage_error("--filter '%s': %zu bytes, no more than %d are allowed",
					   optarg, strlen(optarg), TOP_FILTER_BYTES - 1);
		strcpy(top->ui.model.filter, optarg);
		return EXIT_OK;
	case 'r':
		top->ui.model.reverse = true;
		return EXIT_OK;
	case 'u':
		top->ui.model.only_unwell = true;
		return EXIT_OK;
	case 'o':
		top->tables = 1;
		return EXIT_OK;
	default:
		top->without_colours = true;
		return EXIT_OK;
	}
}

static int parse(int argc, char **argv, struct top *top)
{
	static const struct option longs[] = { { "interval", required_argument, NULL, 'i' },
					       { "once", no_argument, NULL, 'o' },
					       { "batch", required_argument, NULL, 'b' },
					       { "sort", required_argument, NULL, 's' },
					       { "reverse", no_argument, NULL, 'r' },
					       { "filter", required_argument, NULL, 'f' },
					       { "unwell", no_argument, NULL, 'u' },
					       { "no-colour", no_argument, NULL, 'c' },
					       { 0 } };
	int c, r;

	opterr = 0;
	while ((c = getopt_long(argc, argv, ":", longs, NULL)) != -1) {
		if (c == '?' || c == ':')
			return usage_error("top: '%s' is no option, or lacks its value",
					   argv[optind - 1]);
		r = parse_option(top, c);
		if (r != EXIT_OK)
			return r;
	}
	return argc == optind ? EXIT_OK : usage_error("top: takes no arguments");
}

static int run(int argc, char **argv)
{
	static struct top top = { .interval_ms = INTERVAL_MS };
	int r = parse(argc, argv, &top);

	if (r != EXIT_OK)
		return r;
	top.ui.alone = geteuid() == 0 ? "no kedge of root runs here: waiting for one"
				      : "no kedge of this user runs here: waiting for one";
	r = run_top(&top);
	top_feed_deinit(&top.feed);
	top_ui_deinit(&top.ui);
	return r;
}

const struct command command_top = {
	.name = "top",
	.summary = "watch the guarded paths, live",
	.help = "Usage: kedge top [OPTION]...\n\n"
		"Asks each kedge on this machine that guards, serves or runs (as kedge status\n"
		"does) every two seconds, and when something happens. ? shows the keys.\n\n"
		"  --interval S   seconds between looks, 0.1 to 3600 (2)\n"
		"  --once         print one table, and leave; so too where there is no terminal\n"
		"  --batch N      print N tables, one each interval\n"
		"  --sort COLUMN  state, losses, outage, clients, rate, owner or path (state)\n"
		"  --reverse      the other way round\n"
		"  --filter TEXT  only paths and owners with that text in them\n"
		"  --unwell       only what is not reachable\n"
		"  --no-colour    as with $NO_COLOR\n\n"
		"Exit status: 0; 1 printing: nobody, or not everybody, could be asked.\n\n"
		"  kedge top --sort losses\n"
		"  kedge top --batch 2 --sort rate\n",
	.run = run,
};
