#include "cmd/top-screen.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cmd/top-keys.h"

/* The rest of a key's bytes comes within that time, also over a slow line. */
#define ESCAPE_MS 100

/* The other screen, without cursor, and without a next line after the last column. */
#define ENTER "\033[?1049h\033[?25l\033[?7l"
#define LEAVE "\033[m\033[?7h\033[?25h\033[?1049l"

static struct {
	bool open;
	struct termios before, raw;
	struct top_paint paint;
	char typed[256]; /* not made keys of yet */
	size_t typed_size;
} screen;

/* What cannot be written to a terminal that is gone need not be. */
static void say(const char *text, size_t size)
{
	(void)!write(STDOUT_FILENO, text, size);
}

/* Nothing but write() and tcsetattr(): both may be called from a signal handler. */
static void give_back(void)
{
	say(LEAVE, sizeof(LEAVE) - 1);
	(void)tcsetattr(STDIN_FILENO, TCSANOW, &screen.before);
}

static void take_over(void)
{
	(void)tcsetattr(STDIN_FILENO, TCSANOW, &screen.raw);
	say(ENTER, sizeof(ENTER) - 1);
	top_paint_forget(&screen.paint);
}

static void on_crash(int number)
{
	give_back();
	/* SA_RESETHAND: this time it ends us. */
	(void)raise(number);
}

static void catch_crashes(void)
{
	static const int crashes[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGQUIT };
	struct sigaction action = { .sa_handler = on_crash, .sa_flags = (int)SA_RESETHAND }, old;

	for (size_t i = 0; i < ARRAY_SIZE(crashes); i++)
		/* A sanitizer's own handler has more to say. */
		if (sigaction(crashes[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL)
			(void)sigaction(crashes[i], &action, NULL);
}

bool top_screen_is_possible(void)
{
	static const char *const unable[] = { "", "dumb", "emacs", "unknown" };
	const char *terminal = getenv("TERM");

	for (size_t i = 0; terminal && i < ARRAY_SIZE(unable); i++)
		if (strcmp(terminal, unable[i]) == 0)
			return false;
	return terminal;
}

int top_screen_open(enum top_colours colours)
{
	if (tcgetattr(STDIN_FILENO, &screen.before) < 0)
		return -errno;
	(void)setlocale(LC_CTYPE, "");
	screen.paint.colours = colours;
	screen.paint.charset = strcmp(nl_langinfo(CODESET), "UTF-8") == 0 ? TOP_UTF8 : TOP_ASCII;
	screen.raw = screen.before;
	screen.raw.c_iflag &= ~(tcflag_t)(ICRNL | INLCR | IGNCR);
	screen.raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	/* read() takes what is there, and does not wait. */
	screen.raw.c_cc[VMIN] = 0;
	screen.raw.c_cc[VTIME] = 0;
	screen.open = true;
	catch_crashes();
	take_over();
	return 0;
}

void top_screen_close(void)
{
	if (!screen.open)
		return;
	give_back();
	top_paint_deinit(&screen.paint);
	screen.open = false;
}

void top_screen_suspend(void)
{
	give_back();
}

void top_screen_resume(void)
{
	take_over();
}

void top_screen_size(unsigned *ret_columns, unsigned *ret_lines)
{
	struct winsize size = { 0 };

	(void)ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	*ret_columns = size.ws_col ? size.ws_col : 80;
	*ret_lines = size.ws_row ? size.ws_row : 24;
}

/* Return: whether more was typed. */
static bool read_typed(int timeout_ms)
{
	struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
	ssize_t n;

	if (screen.typed_size == sizeof(screen.typed) || poll(&p, 1, timeout_ms) <= 0)
		return false;
	n = read(STDIN_FILENO, screen.typed + screen.typed_size,
		 sizeof(screen.typed) - screen.typed_size);
	if (n > 0)
		screen.typed_size += (size_t)n;
	return n > 0;
}

int top_screen_key(void)
{
	int key = TOP_KEY_NONE;

	while (key == TOP_KEY_NONE && (screen.typed_size > 0 || read_typed(0))) {
		enum top_keys_end end = TOP_KEYS_GO_ON;
		size_t n;

		while ((n = top_keys_next(screen.typed, screen.typed_size, end, &key)) == 0)
			if (!read_typed(ESCAPE_MS))
				end = TOP_KEYS_END;
		screen.typed_size -= n;
		memmove(screen.typed, screen.typed + n, screen.typed_size);
	}
	return key;
}

static int write_whole(const struct buf *out)
{
	size_t done = 0;

	while (done < buf_size(out)) {
		ssize_t n = write(STDOUT_FILENO, buf_front(out) + done, buf_size(out) - done);

		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	return 0;
}

int top_screen_show(const struct top_frame *frame, const sigset_t *signals)
{
	_cleanup_(buf_deinit) struct buf out = BUF_INIT;
	unsigned columns, lines;
	sigset_t held;
	int r;

	top_screen_size(&columns, &lines);
	r = top_paint_frame(&screen.paint, frame, columns, lines, &out);
	if (r < 0 || buf_size(&out) == 0)
		return r;
	(void)sigprocmask(SIG_SETMASK, signals, &held);
	r = write_whole(&out);
	(void)sigprocmask(SIG_SETMASK, &held, NULL);
	if (r != -EINTR)
		return r;
	top_paint_forget(&screen.paint);
	return 0;
}
