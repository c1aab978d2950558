#!/usr/bin/env python3
"""What `make coverage` lets pass: each exception stands in the source, and the judgement holds. TAP.

coverage.py SOURCE-ROOT"""
import os, sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader

sys.dont_write_bytecode = True
os.chdir(sys.argv[1])
loader = SourceFileLoader("coverage", os.path.abspath("scripts/coverage"))
coverage = module_from_spec(spec_from_loader("coverage", loader))
loader.exec_module(coverage)
known = coverage.read_exceptions()
number = failed = 0


def check(what, wrong):
    global number, failed
    number += 1
    failed += bool(wrong)
    print("%sok %d - %s" % ("not " if wrong else "", number, what))
    for line in wrong:
        print("# %s" % (line,))


def lines_of(file):
    with open(file) as f:
        return [line.strip() for line in f]


def judged(left, exceptions):
    """How many are excepted, open, void."""
    known = {}
    for place in exceptions:
        known.setdefault(place, []).append("why")
    return tuple(map(len, coverage.judge(left, known)))


def differ(rows):
    return ["%s and not %s" % row for row in rows if row[0] != row[1]]


check("each place that is excepted is in the source, as often as it is excepted",
      ["%s: %s" % place for place, reasons in known.items()
       if not os.path.exists(place[0]) or lines_of(place[0]).count(place[1]) < len(reasons)])
check("only folders that are held to all have exceptions",
      [place for place in known if place[0].split("/")[1] not in coverage.HELD])

# Two places of one text.
A, B = ("f.c", 7, "line", "return r;"), ("f.c", 9, "line", "return r;")
PLACE = ("f.c", "return r;")
check("an exception holds for one place, and for no other of the same text", differ([
    (judged([], []), (0, 0, 0)),
    (judged([A], []), (0, 1, 0)),
    (judged([A], [PLACE]), (1, 0, 0)),
    (judged([A, B], [PLACE]), (1, 1, 0)),
    (judged([A, B], [PLACE, PLACE]), (2, 0, 0)),
    (judged([A], [("g.c", "return r;")]), (0, 1, 1))]))
check("an exception that is reached, or gone, is named", differ([
    (judged([], [PLACE]), (0, 0, 1)),
    (judged([A], [PLACE, PLACE]), (1, 0, 1))]))


def status(left, exceptions, tests=0):
    """What the script ends with where the tests have left @left over."""
    coverage.read_exceptions = lambda: {place: ["why"] for place in exceptions}
    coverage.build = lambda: None
    coverage.run_tests = lambda: tests
    coverage.counts = lambda: None
    coverage.survey = lambda files: ({"all": coverage.Folder()}, left)
    coverage.write_page = lambda *what: None
    os.environ.pop("TESTS", None)
    out, sys.stdout = sys.stdout, open(os.devnull, "w")
    try:
        return coverage.main()
    finally:
        sys.stdout = out


check("what is neither reached nor excepted fails, and so does what is excepted in vain", differ([
    (status([], []), 0), (status([A], [PLACE]), 0), (status([A], []), 1), (status([], [PLACE]), 1),
    (status([], [], 3), 3)]))
print("1..%d" % number)
sys.exit(1 if failed else 0)
