#!/usr/bin/env python3
"""docs/hazards.md: a row for each hazard, and what a row names exists. TAP.

usage: hazards.py ROOT
"""
import os, re, sys

HAZARDS = 24


def read(*names):
    with open(os.path.join(*names)) as f:
        return f.read()


def has_function(text, name):
    return re.search(r"^[a-z].*\b%s\(" % re.escape(name), text, re.M) is not None


def check_where(root, cell):
    """'`a` and `b` in `file`, ...' -> what is wrong with it."""
    names = []
    for word in re.findall(r"`([^`]+)`", cell):
        if "." not in word:
            names.append(word)
            continue
        path = os.path.join(root, "src", word)
        if not os.path.exists(path):
            yield "no file src/" + word
        else:
            text = read(path)
            yield from ("no %s() in src/%s" % (n, word) for n in names if not has_function(text, n))
        names = []
    if names:
        yield "%s is in no file" % names[0]


def check_tests(listed, cell):
    names = re.findall(r"`([^`]+)`", cell)
    if not names:
        yield "no test"
    yield from ("no test " + n for n in names if "'%s'" % n not in listed)


def main(root):
    listed = read(root, "tests", "integration", "meson.build")
    rows = re.findall(r"^\| H(\d+) \|(.*)\|(.*)\|(.*)\|(.*)\|$", read(root, "docs", "hazards.md"), re.M)
    numbers = [int(row[0]) for row in rows]
    failed = numbers != list(range(1, HAZARDS + 1))
    print("1..%d" % (len(rows) + 1))
    print("%s 1 - a row for each of %d hazards" % ("not ok" if failed else "ok", HAZARDS))
    for i, (number, _, _, where, tests) in enumerate(rows, 2):
        wrong = list(check_where(root, where)) + list(check_tests(listed, tests))
        failed |= bool(wrong)
        print("%s %d - H%s names what exists" % ("not ok" if wrong else "ok", i, number))
        for line in wrong:
            print("# " + line)
    return 1 if failed else 0


sys.exit(main(sys.argv[1]))
