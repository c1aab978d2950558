#!/usr/bin/env python3
"""kedge top in a terminal: what is seen, keys, sizes, signals, and what it writes. TAP.

top.py KEDGE PEER"""
import contextlib, fcntl, os, pty, re, resource, select, signal, socket, struct
import subprocess, sys, tempfile, termios, time

KEDGE, PEER = (os.path.abspath(a) for a in sys.argv[1:3])
# The longest that anybody waits, on the slowest machine.
CAP_S = 60
UP, DOWN, END = "\033[A", "\033[B", "\033[F"


def until(condition, what, look=lambda: ""):
    end = time.monotonic() + CAP_S
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError("not within %d s: %s; there is:\n%s" % (CAP_S, what, look()))
        time.sleep(0.01)
    return value


def same(got, wanted):
    if got != wanted:
        raise AssertionError("got %r, wanted %r" % (got, wanted))


class Screen:
    """What a terminal shows, for the sequences that kedge top may use: any other is an error."""

    def __init__(self, columns, lines):
        self.modes, self.seen = set(), ""
        self.resize(columns, lines)

    def resize(self, columns, lines):
        self.columns, self.lines, self.x, self.y = columns, lines, 0, 0
        self.cells = [[" "] * columns for _ in range(lines)]

    def put(self, c):
        if c == "\r":
            self.x = 0
        elif c == "\n":
            self.y += 1
            if self.y == self.lines:
                self.y -= 1
                self.cells = self.cells[1:] + [[" "] * self.columns]
        if c < " ":
            return
        if self.x < self.columns:
            self.cells[self.y][self.x] = c
        self.x += 1

    def csi(self, parameters, final):
        if final == "H":
            y, x = (int(n) for n in (parameters or "1;1").split(";"))
            self.y, self.x = min(y, self.lines) - 1, min(x, self.columns) - 1
        elif final == "J" and parameters == "2":
            self.cells = [[" "] * self.columns for _ in range(self.lines)]
        elif final == "K" and parameters == "":
            self.cells[self.y][self.x:] = [" "] * (self.columns - self.x)
        elif final in "hl" and parameters[0] == "?":
            (self.modes.add if final == "h" else self.modes.discard)(parameters)
            if parameters == "?1049":  # the other screen
                self.resize(self.columns, self.lines)
        elif final != "m":
            raise AssertionError("a sequence that terminals may not know: %s%s" % (parameters, final))

    def feed(self, text):
        self.seen += text
        for whole, parameters, final in re.findall(r"(\033\[([0-9;?]*)([a-zA-Z])|[^\033])", text):
            if final:
                self.csi(parameters, final)
            else:
                self.put(whole)

    def text(self):
        return "\n".join("".join(row).rstrip() for row in self.cells)


class Terminal:
    """A command in a terminal of its own."""

    def __init__(self, top, *args, size=(80, 24), command=None, **env):
        self.screen = Screen(*size)
        self.master, slave = pty.openpty()
        self.slave = slave
        self.resize(*size)
        self.before = termios.tcgetattr(slave)
        env = {"PATH": os.environ["PATH"], "TERM": "xterm", "LC_ALL": "C.UTF-8",
               "KEDGE_RUNTIME_DIR": top + "/rt", **env}
        self.process = subprocess.Popen(
            command or [KEDGE, "top", "--interval", "0.2", *args], stdin=slave, stdout=slave,
            stderr=slave, env={k: v for k, v in env.items() if v is not None}, preexec_fn=self.lead)

    @staticmethod
    def lead():
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        # A shell that runs us behind "&" has had them ignored.
        for number in signal.SIGINT, signal.SIGQUIT, signal.SIGHUP:
            signal.signal(number, signal.SIG_DFL)

    def resize(self, columns, lines):
        self.look()
        self.screen.resize(columns, lines)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def look(self):
        while select.select([self.master], [], [], 0)[0]:
            data = os.read(self.master, 65536)
            self.screen.feed(data.decode())
        return self.screen.text()

    def type(self, keys):
        os.write(self.master, keys.encode())

    def shows(self, pattern):
        return until(lambda: re.search(pattern, self.look(), re.M), pattern, self.look)

    def lacks(self, pattern):
        until(lambda: not re.search(pattern, self.look(), re.M), "no " + pattern, self.look)

    def ended(self):
        until(lambda: self.process.poll() is not None, "the end", self.look)
        self.look()
        return self.process.returncode

    def is_restored(self):
        """As it was found: modes, cursor, screen, wrapping."""
        self.look()
        same(termios.tcgetattr(self.slave), self.before)
        same(self.screen.modes, {"?25", "?7"} if self.screen.seen else set())

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)


class Place:
    """A directory with daemons, kedges and terminals, which all end with it."""

    def __init__(self, directory):
        self.top, self.processes, self.terminals = directory, [], []
        self.env = {**os.environ, "KEDGE_RUNTIME_DIR": directory + "/rt"}

    def path(self, name):
        return os.path.join(self.top, name)

    def start(self, args, ready):
        log = open(self.path("log%d" % len(self.processes)), "w+")
        process = subprocess.Popen(args, stdout=log, stderr=log, env=self.env, stdin=subprocess.DEVNULL)
        self.processes.append(process)
        until(lambda: re.search(ready, open(log.name).read()) or process.poll() is not None, ready)
        if process.poll() is not None:
            raise AssertionError("%s failed: %s" % (args, open(log.name).read()))
        return process

    def daemon(self, name):
        return self.start([PEER, "listen", "stream", self.path(name)], "ready")

    def guard(self, *names):
        return self.start([KEDGE, "guard", *(self.path(n) for n in names)], "guarding")

    def gateway(self):
        return self.start([KEDGE, "serve", "gateway", "--workspace", self.top, "--socket",
                           self.path("gate")], "listening")

    def terminal(self, *args, **options):
        self.terminals.append(Terminal(self.top, *args, **options))
        return self.terminals[-1]

    def print(self, *args, **env):
        return subprocess.run([KEDGE, "top", *args], capture_output=True, text=True, timeout=CAP_S,
                              env={**self.env, **env}, stdin=subprocess.DEVNULL)

    def end(self):
        for terminal in self.terminals:
            terminal.close()
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()


def prints_tables(place):
    done = place.print("--once")
    same((done.returncode, "no kedge guard" in done.stderr), (1, True))
    place.daemon("a")
    place.guard("a")
    place.gateway()
    for args in [], ["--once"]:
        done = place.print(*args)
        same((done.returncode, done.stderr), (0, ""))
        same(done.stdout.count("STATE"), 1)
        if not re.search(r"^reachable +0 +- +0 +- +peer/\d+ +%s/a$" % place.top, done.stdout, re.M):
            raise AssertionError(done.stdout)
    done = place.print("--batch", "2", "--interval", "0.2", "--filter", "GATE", "--sort", "path")
    first, second = done.stdout.split("\n\n")
    row = r"^reachable +0 +- +0 +%s +gateway +%s/gate$"
    for table, rate in (first, "-"), (second, "0"):
        if not re.search(row % (rate, place.top), table, re.M) or "peer" in table:
            raise AssertionError(table)
    same(place.print("--unwell", "--once").stdout.count("\n"), 1)
    lines = place.print("--sort", "path", "--reverse").stdout.split("\n")
    same([line.split("/")[-1] for line in lines[1:3]], ["gate", "a"])


def refuses(place):
    for args, words in [
            (["--interval", "0"], "--interval '0': seconds, 0.1 to 3600"),
            (["--batch", "0"], "--batch '0': a number of tables, 1 to 1000000"),
            (["--sort", "x"], "--sort 'x': allowed: state, losses, outage, clients, rate, owner, path"),
            (["--filter", "x" * 64], "64 bytes, no more than 63 are allowed"),
            (["--sort"], "'--sort' is no option, or lacks its value"),
            (["--nonsense"], "'--nonsense' is no option"), (["x"], "takes no arguments")]:
        done = place.print(*args)
        same((done.returncode, words in done.stderr, done.stderr.count("\n")), (2, True, 1))


def waits_for_a_kedge(place):
    t = place.terminal()
    t.shows("waiting for one")
    place.daemon("a")
    guard = place.guard("a")
    t.shows("^reachable .*/a$")
    same(len(t.look().split("\n")), 24)
    guard.terminate()
    t.shows("waiting for one")
    t.lacks("reachable")


def lost_and_back(place):
    place.daemon("a")
    guard = place.guard("a")
    t = place.terminal()
    t.shows(r"^reachable +0 +- ")
    os.unlink(place.path("a"))
    t.shows(r"^reachable +1 +[\d.]+[mu]?s ")
    t.shows("losses: 1$")
    # A kedge that does not answer is said to be silent, and its paths are shown as they were.
    guard.send_signal(signal.SIGSTOP)
    t.shows("no answer from pid %d" % guard.pid)
    t.shows(r"^silent +1 ")
    os.unlink(place.path("a"))
    os.mkdir(place.path("a"))
    guard.send_signal(signal.SIGCONT)
    t.shows(r"^blocked +2 +[\d.]+(ms|s|m)\+ ")
    t.lacks("no answer")
    t.type("\r")
    t.shows("^TIME +EVENT")
    t.shows(r"Z blocked .*error=")
    os.rmdir(place.path("a"))
    t.shows(r"Z recovered .*outageNs=\d+")
    t.type("q")
    t.shows(r"^reachable +2 +[\d.]+(ms|s|m) ")


def clients_and_requests(place):
    place.daemon("a")
    place.guard("a")
    place.gateway()
    t = place.terminal("--sort", "path")
    t.shows(r"^reachable +0 +- +0 +- .*/a$")
    with contextlib.ExitStack() as stack:
        for name, count in ("a", 3), ("gate", 2):
            for _ in range(count):
                s = stack.enter_context(socket.socket(socket.AF_UNIX))
                s.connect(place.path(name))
        t.shows(r"^reachable +0 +- +3 +- .*/a$")
        t.shows(r"^reachable +0 +- +2 +0 .*/gate$")

        def asks():
            for _ in range(10):
                s.sendall(b'{"id":"1","method":"echo"}\n')
                s.recv(1000)
            return re.search(r" 2 +[1-9][\d.k]* +gateway", t.look())
        until(asks, "requests are seen", t.look)
    t.shows(r"^reachable +0 +- +0 +- .*/a$")
    t.shows(r"^reachable +0 +- +0 +0 .*/gate$")


def keys(place):
    for name in "abc":
        place.daemon(name)
    place.guard("a", "b", "c")
    place.gateway()
    order = lambda: "".join(re.findall(r"/([abc]|gate)$", t.look(), re.M))
    becomes = lambda wanted: until(lambda: order() == wanted, wanted, t.look)
    t = place.terminal()
    becomes("abcgate")
    t.type("7r")
    becomes("gatecba")
    t.shows(r"PATH\^")
    t.type("r/GATE")
    becomes("gate")
    t.shows("with: GATE_")
    t.type("\177")
    t.type("\r")
    t.shows('with "GAT"')
    t.type("\033")
    t.lacks("with ")
    t.type("u")
    t.shows("0 of 4 shown")
    t.type("u")
    becomes("abcgate")
    t.type("?")
    t.shows("^q +leave")
    t.type("x")
    becomes("abcgate")
    # The chosen one is the one that is looked at, however far the arrows went.
    t.type("g" + DOWN + DOWN + UP + "\r")
    t.shows("^%s/b$" % place.top)
    t.type("\033")
    becomes("abcgate")
    t.type(END + "\r")
    t.shows("^%s/gate$" % place.top)
    t.type("qq")
    same(t.ended(), 0)
    t.is_restored()


def sizes(place):
    place.daemon("a")
    place.guard("a")
    t = place.terminal()
    t.shows("^q leave")
    for columns, lines in (40, 10), (200, 50), (20, 5), (1, 1), (80, 24):
        t.resize(columns, lines)
        if columns > 10:
            t.shows(r"^reachable .*a$")
            until(lambda: t.look().split("\n")[-1].startswith("q leave"), "a last line", t.look)
        else:
            until(lambda: t.look().strip(), "anything", t.look)
    same(re.search("OWNER +PATH", t.look()) is not None, True)


def colours(place):
    for name in "ab":
        place.daemon(name)
    place.guard("a", "b")
    for args, env, coloured in [([], {}, True), (["--no-colour"], {}, False),
                                ([], {"NO_COLOR": "1"}, False), ([], {"NO_COLOR": ""}, True)]:
        t = place.terminal(*args, **env)
        t.shows("^reachable")
        same((args, env, "\033[0;32m" in t.screen.seen), (args, env, coloured))
        t.type("q")
        same(t.ended(), 0)
        t.is_restored()


def other_terminals(place):
    place.daemon("a")
    place.guard("a")
    for name in "dumb", None:
        t = place.terminal(TERM=name)
        until(lambda: t.look().count("STATE") >= 2, "two tables", t.look)
        same("\033" in t.screen.seen, False)
        t.type("\003")
        same(t.ended(), -signal.SIGINT)
    # One without UTF-8 gets none.
    os.rename(place.path("a"), place.path("ä"))
    place.daemon("ö")
    place.guard("ö")
    t = place.terminal(LC_ALL="C", TERM="vt100")
    t.shows("/[?]$")
    same("ö" in t.screen.seen, False)
    t = place.terminal()
    t.shows("/ö$")


def writes_little(place):
    place.daemon("a")
    place.guard("a")
    t = place.terminal()
    t.shows("^reachable")
    clock = lambda: re.search(r"^\d\d:\d\d:\d\d", t.look())[0]
    before = clock()
    until(lambda: clock() != before, "another second", t.look)
    t.screen.seen, times = "", {clock()}
    until(lambda: times.add(clock()) or len(times) > 3, "three seconds", t.look)
    # A second or two of the clock in each frame: its place, and a digit or some.
    same((len(t.screen.seen) < 40 * len(times), "\033[2J" in t.screen.seen), (True, False))


def signals(place):
    place.daemon("a")
    place.guard("a")
    for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGABRT, signal.SIGQUIT:
        t = place.terminal()
        t.shows("^reachable")
        if number == signal.SIGINT:
            t.type("\003")
        else:
            t.process.send_signal(number)
        same(t.ended(), -number)
        t.is_restored()


def stopped_and_continued(place):
    place.daemon("a")
    place.guard("a")
    # The shell's job control: a stopped job lets it go on, and fg continues it.
    script = '"$0" top --interval 0.2; echo STOPPED; read line; fg >/dev/null; echo ENDED'
    t = place.terminal(command=["sh", "-mc", script, KEDGE])
    t.shows("^reachable")
    t.type("\032")
    t.shows("^STOPPED")
    t.is_restored()
    t.type("\n")
    t.shows("^reachable")
    t.shows("^q leave")
    t.type("q")
    t.shows("^ENDED")
    same(t.ended(), 0)
    t.is_restored()


def terminal_gone(place):
    place.daemon("a")
    place.guard("a")
    t = place.terminal()
    t.shows("^reachable")
    os.close(t.slave)
    os.close(t.master)
    t.slave, t.master = os.open("/dev/null", os.O_RDWR), os.open("/dev/null", os.O_RDWR)
    until(lambda: t.process.poll() is not None, "the end")


TESTS = {
    "without a terminal it prints tables": prints_tables,
    "wrong usage is one line": refuses,
    "it waits for a kedge, and sees it come and go": waits_for_a_kedge,
    "a path is lost and back, a kedge is silent": lost_and_back,
    "connections and requests are counted": clients_and_requests,
    "keys sort, filter, choose, open and leave": keys,
    "it fits a terminal of any size, also when that changes": sizes,
    "colours, where they are wanted": colours,
    "terminals that cannot be drawn on, or have no UTF-8": other_terminals,
    "only what changes is written": writes_little,
    "whatever ends it, the terminal is given back": signals,
    "Ctrl-Z gives the terminal back, fg takes it again": stopped_and_continued,
    "a terminal that goes away ends it": terminal_gone,
}


def main():
    failed = 0
    print("1..%d" % len(TESTS))
    for i, (name, test) in enumerate(TESTS.items(), 1):
        wrong = None
        with tempfile.TemporaryDirectory(prefix="kedge top ") as directory:
            place = Place(os.path.realpath(directory))
            try:
                test(place)
            except AssertionError as e:
                wrong = str(e)
            finally:
                place.end()
        failed += bool(wrong)
        print("%sok %d - %s" % ("not " if wrong else "", i, name), flush=True)
        if wrong:
            print(re.sub("^", "# ", wrong, flags=re.M), flush=True)
    sys.exit(1 if failed else 0)


main()
