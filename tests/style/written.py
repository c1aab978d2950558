"""What the tests share that hold the command to what is written about it. TAP.

Started as: TEST SOURCE-ROOT KEDGE"""
import os, re, subprocess, sys

root, kedge = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
# Everywhere, and said once: in kedge(1).
COMMON = {"--help", "--version"}
number = failed = 0


def read(*names):
    with open(os.path.join(root, *names)) as f:
        return f.read()


def said(*args):
    return subprocess.run([kedge, *args], stdout=subprocess.PIPE, text=True, check=True).stdout


def check(what, wrong, skip=None):
    """A row of TAP; @wrong has a line for each thing that is wrong."""
    global number, failed
    number += 1
    failed += bool(wrong)
    print("%sok %d - %s%s" % ("not " if wrong else "", number, what, " # SKIP " + skip if skip else ""))
    for line in wrong:
        print("# " + line)


def end():
    print("1..%d" % number)
    sys.exit(1 if failed else 0)


def differences(**sets):
    """What is not in all of them."""
    everything = set().union(*sets.values())
    return ["%s: not in %s" % (word, name) for name, words in sets.items()
            for word in sorted(everything - words)]


def options_in(text):
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z]", text)) - COMMON


def options_of_help(command):
    """Examples show options of servers (--assistant-mode) and of other commands."""
    lines = [line for line in said(command, "--help").split("\n")
             if not re.match(r"  (kedge|#) ", line)]
    return options_in(re.sub(r"--[A-Z-]+", "", "\n".join(lines)))


commands = re.findall(r"^  ([a-z]+) ", said("--help").split("Commands:")[1].split("\n\n")[0], re.M)
