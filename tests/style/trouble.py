#!/usr/bin/env python3
"""docs/troubleshooting.md: each message is one that kedge says, and no warning is left out. TAP.

trouble.py SOURCE-ROOT"""
import os, re, sys

root = os.path.abspath(sys.argv[1])
# What stands for what differs, in a heading: as "%s" does in the source.
DIFFERS = re.compile(r"\b(PATH|DIR|WHY|NAME|FILE|METHOD|GROUP|N)\b")
# Where what is said to people comes from.
FOLDERS = "base", "guard", "rpc", "sys", "api", "loop", "services", "cmd"
# A word as short as "lost" is in many literals: it has to be all of one.
WHOLE_BELOW = 8


def read(*names):
    with open(os.path.join(root, *names)) as f:
        return f.read()


def sources():
    for folder in FOLDERS:
        for where, _, names in os.walk(os.path.join(root, "src", folder)):
            yield from (os.path.join(where, name) for name in sorted(names)
                        if re.match(r"(?!test-).*\.[ch]$", name))


def plain(text):
    """The same text for a heading and for the literal it comes from."""
    text = re.sub(r"%[-+ 0-9.*]*(?:hh|h|ll|l|z|j)?[a-zA-Z]", "\0", text.replace("%%", "%"))
    return DIFFERS.sub("\0", text.replace("\\n", "").replace('\\"', '"')).strip("\0 ")


def literals(text):
    """String literals, those that stand side by side put together as the compiler does."""
    text = re.sub(r'%"\s*PRI\w+\s*"', "%d", text)
    text = re.sub(r'%"\s*PRI\w+', '%d"', text)
    for run in re.findall(r'"(?:[^"\\\n]|\\.)*"(?:\s*"(?:[^"\\\n]|\\.)*")*', text):
        yield plain("".join(re.findall(r'"((?:[^"\\\n]|\\.)*)"', run)))


def is_said(heading, said):
    heading = plain(heading)
    if len(heading) < WHOLE_BELOW:
        return heading in said
    return any(heading in literal for literal in said)


def told_of(words, headings):
    return any(plain(h) in plain(words) or plain(words) in plain(h) for h in headings)


page = read("docs", "troubleshooting.md")
headings = re.findall(r"^### `(.*)`$", page, re.M)
said = {literal for path in sources() for literal in literals(read(path))}
warnings = re.findall(r'KEDGE_LOG_(?:WARNING|ERROR),\s*"([^"]*)"', read("src", "cmd", "log.c"))
less = [literal for path in sources() for step in
        re.findall(r"KEDGE_EVENT_DEGRADED[^;{}]*;", read(path)) for literal in literals(step) if literal]
# What is logged as a warning elsewhere; "%s: %s" says nothing by itself.
logged = {literal for folder in ("cmd", "services") for path in sources() if "/src/%s/" % folder in path
          for step in re.findall(r"log_line\([^;]*KEDGE_LOG_(?:WARNING|ERROR)[^;]*;", read(path))
          for literal in literals(step) if len(literal) >= WHOLE_BELOW}
rows = [("every heading is a message", [h for h in re.findall(r"^### (.*)", page, re.M)
                                        if not re.fullmatch("`.*`", h)])]
rows += [("'%s' is said" % h, [] if is_said(h, said) else ["no such literal in src/"]) for h in headings]
rows += [("the warning '%s' is explained" % w, [] if told_of(w, headings) else ["no heading"])
         for w in warnings]
rows += [("guarded with less, '%s', is explained" % w, [] if told_of(w, headings) else ["no heading"])
         for w in sorted(set(less))]
rows += [("what is logged, '%s', is explained" % w, [] if told_of(w, headings) else ["no heading"])
         for w in sorted(logged)]
print("1..%d" % len(rows))
for i, (what, wrong) in enumerate(rows, 1):
    print("%sok %d - %s" % ("not " if wrong else "", i, what.replace("\0", "...")))
    for line in wrong:
        print("# " + line)
sys.exit(1 if any(wrong for _, wrong in rows) or min(len(warnings), len(less), len(logged)) < 5 else 0)
