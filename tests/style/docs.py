#!/usr/bin/env python3
"""The pages in Markdown: none unreachable, no link dead, each drawing sound and shown. TAP.

docs.py SOURCE-ROOT"""
import os, re, sys
import xml.etree.ElementTree as tree

root = os.path.abspath(sys.argv[1])
SKIP = re.compile(r"^(build|subprojects|workspace|\.)")
number = failed = 0


def read(*names):
    with open(os.path.join(root, *names)) as f:
        return f.read()


def check(what, wrong):
    global number, failed
    number += 1
    failed += bool(wrong)
    print("%sok %d - %s" % ("not " if wrong else "", number, what))
    for line in wrong:
        print("# " + line)


def files(ending):
    for where, folders, names in os.walk(root):
        folders[:] = [f for f in folders if not SKIP.match(f)]
        for name in names:
            if name.endswith(ending):
                yield os.path.relpath(os.path.join(where, name), root)


def prose(page):
    """Without blocks of code and inline code: what is in them is no link."""
    text = re.sub(r"^```.*?^```", "", read(page), flags=re.M | re.S)
    return re.sub(r"`[^`\n]*`", "`", text)


def links(page):
    """(file, anchor) of each relative link and picture."""
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        path = os.path.normpath(os.path.join(os.path.dirname(page), path)) if path else page
        yield path, anchor


def anchors(page):
    """As GitHub makes them from the headings; of one that is there again, with a number."""
    seen = {}
    for heading in re.findall(r"^#+ (.*)", re.sub(r"^```.*?^```", "", read(page), flags=re.M | re.S), re.M):
        heading = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        anchor = re.sub(r"[^\w\- ]", "", heading).replace(" ", "-")
        seen[anchor] = seen.get(anchor, -1) + 1
        yield anchor + ("-%d" % seen[anchor] if seen[anchor] else "")


def dead(page):
    for path, anchor in links(page):
        if not os.path.exists(os.path.join(root, path)):
            yield "%s: no %s" % (page, path)
        elif anchor and path.endswith(".md") and anchor not in anchors(path):
            yield "%s: no heading #%s in %s" % (page, anchor, path)


def reachable(start):
    found, new = set(), {start}
    while new:
        page = new.pop()
        found.add(page)
        new |= {path for path, _ in links(page) if path.endswith(".md")} & set(pages) - found
    return found


def sources(text):
    """Files of the sources that a text or a drawing names: "guard/look.c", "guard/act.c, publish.c"."""
    for folder, names in re.findall(r"\b(base|wire|guard|rpc|sys|api|loop|services|cmd)/([a-z/-]+\.[ch]"
                                    r"(?:, [a-z-]+\.[ch])*)", text):
        yield from ("src/%s/%s" % (folder, name) for name in names.split(", "))


# Widths of a letter to the size of its font, of DejaVu, which is wider than what most people have.
SVG = "{http://www.w3.org/2000/svg}"
WIDTHS = {"head": (16, 0.58), "bold": (14, 0.59), "soft": (13, 0.51), "file": (12, 0.602)}


def extents(svg):
    """(text, left, top, right, bottom) of each text of a drawing, by an estimate of its width."""
    for element in svg.iter(SVG + "text"):
        text, classes = "".join(element.itertext()), element.get("class", "").split()
        size, factor = next((WIDTHS[c] for c in classes if c in WIDTHS), (14, 0.53))
        width, x, y = len(text) * size * factor, float(element.get("x")), float(element.get("y"))
        left = x - width / 2 if "mid" in classes else x
        yield text, left, y - 0.75 * size, left + width, y + 0.2 * size


def crowded(svg):
    """Texts that reach out of their box or of the drawing, or into each other."""
    right_most = float(svg.get("viewBox").split()[2])
    boxes = [[float(r.get(k)) for k in ("x", "y", "width", "height")] for r in svg.iter(SVG + "rect")]
    texts = list(extents(svg))
    if not texts:
        yield "no texts"
    for i, (text, left, top, right, bottom) in enumerate(texts):
        for x, y, width, height in boxes:
            if x <= (left + right) / 2 <= x + width and y <= top <= y + height and \
                    not (left >= x and right <= x + width):
                yield "'%s' is wider than its box" % text
        if left < 0 or right > right_most:
            yield "'%s' reaches out of the drawing" % text
        yield from ("'%s' lies over '%s'" % (text, other[0]) for other in texts[:i]
                    if left < other[3] and other[1] < right and top < other[4] and other[2] < bottom)


def unsound(drawing):
    try:
        yield from crowded(tree.parse(os.path.join(root, drawing)).getroot())
    except tree.ParseError as e:
        yield str(e)
        return
    text = read(drawing)
    yield from (name + " is not there" for name in sources(text)
                if not os.path.exists(os.path.join(root, name)))
    if "prefers-color-scheme: dark" not in text:
        yield "no colours for a dark page"
    if "<title" not in text:
        yield "no title for whoever cannot see it"


def paths(text):
    """Files and folders of the tree in code, but for those with a part to be filled in (NAME, hNN)."""
    for word in re.findall(r"`((?:src|tests|include|man|contrib|scripts|bench|docs|\.ci)/[\w./-]+)`", text):
        if not re.search(r"NAME|NN", word):
            yield word


def packages():
    """What scripts/setup may install."""
    kinds = re.findall(r"^(?:\w+=|[\w-]+\) wanted=)(['\"].*?['\"])", read("scripts", "setup"), re.M | re.S)
    return sorted(set(re.findall(r"([a-z][\w.+-]*):\S", " ".join(kinds))))


def unnamed_packages():
    """Those that have no row: neither side of a name contains the other, as libuv1-dev and libuv."""
    rows = re.findall(r"^\| (.*?) \|", read("docs", "dependencies.md"), re.M)
    named = {word for word in re.findall(r"[\w+.-]+", " ".join(rows).lower()) if len(word) > 2}
    for package in packages():
        stem = re.sub(r"^lib|\d*(-[a-z]+)*$", "", package)
        if not any(word in package or stem in word for word in named):
            yield package


pages = sorted(files(".md"))
check("every page is reached from README.md", sorted(set(pages) - reachable("README.md")))
for page in pages:
    check(page + ": no dead link", list(dead(page)))
shown = {path for page in pages for path, _ in links(page)}
for drawing in sorted(files(".svg")):
    check(drawing + ": sound, and shown", list(unsound(drawing)) + ([] if drawing in shown else ["shown nowhere"]))
for page in "docs/architecture.md", "docs/how-it-works.md", "CONTRIBUTING.md":
    if page in pages:
        check(page + ": the sources that it names are there",
              [name for name in sources(read(page)) if not os.path.exists(os.path.join(root, name))])
tree_of = [entry for entry in ("src", "tests") for entry in
           sorted(os.path.join(entry, name) for name in os.listdir(os.path.join(root, entry)))
           if os.path.isdir(os.path.join(root, entry))] + ["man", "bench", "contrib", "examples", "scripts"]
check("docs/architecture.md: a row for each folder",
      [folder for folder in tree_of if "`%s`" % folder not in read("docs", "architecture.md")])
check("docs/dependencies.md: a row for all that scripts/setup installs",
      list(unnamed_packages()) + ([] if len(packages()) > 20 else ["no packages found: %s" % packages()]))
check("CONTRIBUTING.md: the files that it names are there",
      [path for path in paths(read("CONTRIBUTING.md")) if not os.path.exists(os.path.join(root, path))])
print("1..%d" % number)
sys.exit(1 if failed else 0)
