#!/usr/bin/env python3
"""Run the examples of the man pages, of README and of docs/, as they are printed. TAP.

examples.py PAGES-DIRECTORY KEDGE PEER INCLUDE-DIRECTORY CC... [LIBKEDGE.SO]

A comment before a block of a page says what is to be done with it:

    ; run [as root] [with PROGRAM]: SETUP   its "$ " lines are commands, the others what they print
    ; file: PATH                            the text of a file that the examples find there
    ; c: LIBRARY                            a program, which ends with 0
    ; elsewhere: WHERE                      run by another test

/run, /srv, /tmp, /etc/kedge and /var/log are below a directory of the test's own, which /home/u
stands for. In what is printed, any number stands for any other, "..." for any text, a line of "..."
for any lines, and the user "redis" for any user. Who removed a path is told to root, and may be
gone before it could be asked for its name; that this is not told is said to nobody else. In Markdown the comments are those of HTML; in README
every block has one, but the first."""
import os, re, shutil, signal, subprocess, sys, tempfile, time

PAGES, KEDGE, PEER, INCLUDE = (os.path.abspath(a) for a in sys.argv[1:5])
CC, LIBRARY = sys.argv[5:-1], sys.argv[-1]
# The longest that anybody waits, on the slowest machine.
CAP_S = 60
# What takes root takes these: fanotify, and a handle to an inode without a name.
CAPABILITIES = 1 << 21 | 1 << 12  # CAP_SYS_ADMIN, CAP_NET_ADMIN

# What a set-up may say.
PRELUDE = """
daemon() {
	mkdir -p "$(dirname "$1")"
	redis-server listen stream "$1" >/dev/null &
	DAEMON=$!
	kedge wait --timeout 60 "$1"
}
lost() { daemon "$1"; rm "$1"; }
lost_named() { daemon "$1"; ln "$1" "$1.other"; rm "$1"; }
later() { mkdir -p "$(dirname "$1")"; { sleep 0.3; exec redis-server listen stream "$1"; } >/dev/null & }
server() {
	mkdir -p "$2"
	kedge serve "$1" --workspace "$2" >/dev/null 2>&1 &
	kedge wait --timeout 60 "$2/$1.sock"
}
gateway() { server gateway "$1"; }
assistant() { server assistant "$1"; }
guarded() {
	daemon "$1"
	mkfifo begun
	kedge guard "$1" >begun 2>/dev/null &
	read -r line <begun
}
"""


def is_mighty():
    status = open("/proc/self/status").read()
    capabilities = int(re.search(r"^CapEff:\s*(\w+)", status, re.M)[1], 16)
    return os.geteuid() == 0 and capabilities & CAPABILITIES == CAPABILITIES


def blocks(page):
    """The marked blocks of a page: (number of the line, mark, lines)."""
    mark, block = None, None
    with open(os.path.join(PAGES, page)) as f:
        for n, line in enumerate(f.read().split("\n"), 1):
            if block is not None and line == "```":
                if mark:
                    yield n - len(block), mark, block
                mark, block = None, None
            elif block is not None:
                block.append(line)
            elif re.fullmatch(r"```\w*", line):
                block = []
            elif re.match(r"; |<!-- (run|file|c|elsewhere)\b", line):
                mark = re.sub(r"^; |^<!-- | -->$", "", line)


def unmarked(page):
    """What a reader might copy and nobody runs: (number of the line, the line)."""
    with open(os.path.join(PAGES, page)) as f:
        lines = f.read().split("\n")
    fenced, first = False, True
    for n, line in enumerate(lines, 1):
        if line.startswith("```"):
            fenced = not fenced
            if fenced and not re.match(r"<!-- (run|file|c|elsewhere)\b", lines[n - 2]):
                yield n, line
        elif not fenced and line.startswith("    ") and not first:
            yield n, line
        first = first and not line.startswith("**")


def below(text, top):
    text = re.sub(r"(?<![\w./-])/(run|srv|tmp|etc/kedge|var/log)/", "\0" + r"/\1/", text)
    return re.sub(r"(?<![\w./-])/home/u/", "\0/", text).replace("\0", top)


def pattern(lines, top):
    """What a block's text stands for."""
    parts = []
    for line in lines:
        if line == "...":
            parts.append(r"(?:.*\n)*?")
            continue
        text = re.sub(r"by rm \(.*?\)", "\6", below(line, "\2"))
        text = re.sub(r"lost \(unlinked\)$", "lost (unlinked)\7", text)
        text = re.sub(r"\d+(\.\d+)? (ns|us|ms|s)\b", "\1", text)
        text = re.sub(r"(?<![\w./-])redis(?![\w./-])", "\3", text).replace("...", "\4")
        text = re.sub(r" +", " ", re.sub(r"\d+", "\5", text))
        text = re.escape(text).replace("\\ ", " +").replace("\1", r"[\d.]+ (?:ns|us|ms|s)")
        text = text.replace("\2", re.escape(top)).replace("\3", r"(?:uid )?[\w-]+")
        text = text.replace("\6", r"by (?:rm \(.*\)|pid \d+, which is gone)")
        text = text.replace("\7", r"(?:, by .*)?")
        text = text.replace("\4", ".*").replace("\5", r"\d+") + "\n"
        # Root is not told that it lacks a right.
        parts.append("(?:%s)?" % text if "Operation +not +permitted" in text else text)
    return "".join(parts)


class Shell:
    """A shell in a directory of its own, whose output is read as it comes."""

    def __init__(self, top):
        self.top, self.output = top, os.path.join(top, "output")
        path = os.path.join(top, "bin") + os.pathsep + os.environ["PATH"]
        self.process = subprocess.Popen(
            ["sh"], stdin=subprocess.PIPE, stdout=open(self.output, "ab"), stderr=subprocess.STDOUT,
            cwd=top, env={**os.environ, "PATH": path, "KEDGE_RUNTIME_DIR": top + "/rt"}, text=True,
            start_new_session=True)

    def say(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def wait_for(self, wanted):
        end = time.monotonic() + CAP_S
        while not re.fullmatch(wanted, text := open(self.output, errors="replace").read()):
            if time.monotonic() > end:
                return text
            time.sleep(0.01)
        return None

    def end(self):
        """All that it started is in its session."""
        self.process.stdin.close()
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def furnish(top, files):
    os.makedirs(top + "/bin")
    os.makedirs(top + "/run/x")
    os.symlink(KEDGE, top + "/bin/kedge")
    shutil.copy(PEER, top + "/bin/redis-server")
    script(top + "/server", "exec redis-server inherit >/dev/null\n")
    if LIBRARY and shutil.which("pkg-config"):
        install_library(top)
    for path in "/tmp", "/srv/assistant":
        os.makedirs(top + path)
    for path, lines in files.items():
        os.makedirs(os.path.dirname(top + path), exist_ok=True)
        with open(top + path, "w") as f:
            f.write(below("\n".join(lines) + "\n", top))


def script(path, text):
    with open(path, "w") as f:
        f.write("#!/bin/sh\n" + text)
    os.chmod(path, 0o755)


def install_library(top):
    """libkedge.pc as it will be installed, and what it names, below @top."""
    pc = os.path.join(os.path.dirname(LIBRARY), "..", "meson-private")
    command = ["pkg-config", "--define-variable=prefix=" + top + "/usr"]
    # By a name without blanks: some split their arguments once more.
    where = subprocess.run([*command, "--variable=libdir", "./libkedge.pc"], check=True, text=True, cwd=pc,
                           stdout=subprocess.PIPE).stdout.strip()
    os.makedirs(where)
    os.makedirs(top + "/pc")
    os.symlink(INCLUDE, top + "/usr/include")
    os.symlink(pc + "/libkedge.pc", top + "/pc/libkedge.pc")
    for name in {"libkedge.so", os.path.basename(LIBRARY)}:
        os.symlink(os.path.realpath(LIBRARY), where + "/" + name)
    script(top + "/bin/cc", 'exec %s "$@" -Wl,-rpath,%s\n' % (" ".join(shutil.which(word) or word for word in CC), where))
    script(top + "/bin/pkg-config", 'export PKG_CONFIG_PATH=%s/pc\nexec %s %s "$@"\n' %
           (top, shutil.which("pkg-config"), command[1]))


def commands(lines):
    """(command, what it prints) in turn."""
    n = 0
    while n < len(lines):
        command, printed = lines[n][2:], []
        while command.endswith("\\"):
            n += 1
            command += "\n" + lines[n]
        n += 1
        while n < len(lines) and not lines[n].startswith("$ "):
            printed.append(lines[n])
            n += 1
        yield command, printed


def run_block(mark, lines, top):
    """Return None, or what went wrong."""
    setup = mark.partition(": ")[2]
    shell = Shell(top)
    try:
        shell.say(PRELUDE + below(setup, top))
        wanted = ""
        for command, printed in commands(lines):
            shell.say(below(command, top))
            wanted += pattern(printed, top)
            got = shell.wait_for(wanted)
            if got is not None:
                return "after '%s', got:\n%s\nwanted:\n%s" % (command, got, wanted)
        return None
    finally:
        shell.end()


def run_program(lines, top):
    source, program = top + "/example.c", top + "/example"
    with open(source, "w") as f:
        f.write(below("\n".join(lines) + "\n", top).replace('"/run/', '"%s/run/' % top))
    build = [*CC, "-std=c99", "-Wall", "-Werror", "-I", INCLUDE, "-o", program, source, LIBRARY,
             "-Wl,-rpath," + os.path.dirname(LIBRARY)]
    for command in build, [program]:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=CAP_S)
        if done.returncode:
            return "%s: %d\n%s" % (command, done.returncode, done.stdout)
    return None


def why_not(mark):
    if " as root" in mark.partition(":")[0] and not is_mighty():
        return "needs root with CAP_SYS_ADMIN and CAP_NET_ADMIN"
    program = re.match(r"run.* with (\w+)", mark.partition(":")[0])
    if program and program[1] != "cc" and not shutil.which(program[1]):
        return "no %s here" % program[1]
    if program and program[1] == "cc" and not shutil.which("pkg-config"):
        return "no pkg-config here"
    if (mark.startswith("c:") or program and program[1] == "cc") and not LIBRARY:
        return "no library to link with"
    return None


def main():
    pages = [page for page in sorted(os.listdir(PAGES)) if page.endswith(".scd")]
    pages += ["../README.md"] + ["../docs/" + page for page in sorted(os.listdir(PAGES + "/../docs"))
                                 if page.endswith(".md")]
    all_blocks = [(page, *block) for page in pages for block in blocks(page)]
    files = {"/" + mark[6:].lstrip("/"): lines for _, _, mark, lines in all_blocks
             if mark.startswith("file: ")}
    cases = [block for block in all_blocks if not re.match("file: |elsewhere: ", block[2])]
    loose = list(unmarked("../README.md"))
    failed = bool(loose)
    print("1..%d" % (len(cases) + 1))
    print("%sok 1 - README.md: every block is run" % ("not " if loose else ""))
    for line in loose:
        print("# line %d: %s" % line)
    for i, (page, line, mark, lines) in enumerate(cases, 2):
        what, skip = "%s:%d: %s" % (page, line, mark), why_not(mark)
        if skip:
            print("ok %d - %s # SKIP %s" % (i, what, skip), flush=True)
            continue
        with tempfile.TemporaryDirectory(prefix="kedge-man-", ignore_cleanup_errors=True) as top:
            furnish(top, files)
            wrong = run_program(lines, top) if mark.startswith("c:") else run_block(mark, lines, top)
        failed += bool(wrong)
        print("%sok %d - %s" % ("not " if wrong else "", i, what), flush=True)
        if wrong:
            print(re.sub("^", "# ", wrong, flags=re.M), flush=True)
    sys.exit(1 if failed else 0)


main()
