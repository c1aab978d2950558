"""What the benches that write into docs/bench share: the machine, tables, plots."""
import os, platform, shutil, statistics, subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DOCS = os.path.join(ROOT, "docs", "bench")


def said(*command):
    try:
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout.strip()
    except OSError:
        return ""


def machine(before, after):
    """A sentence or two; @before, @after: the load."""
    cpu = [line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
    return "%d cores of %s, Linux %s, %s. Load before the run %.1f, after it %.1f%s." % (
        os.cpu_count(), cpu[0] if cpu else platform.machine(), platform.release(),
        said("cc", "--version").splitlines()[0], before, after,
        ": a crowded machine" if before > 0.5 else "")


def table(heads, rows):
    return ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads),
            *("| " + " | ".join(row) + " |" for row in rows)]


def spread(values, words):
    """The median of some runs, and between which they lie; @words makes text of one."""
    if not values:
        return "-"
    low, middle, high = words(min(values)), words(statistics.median(values)), words(max(values))
    return middle if low == high else "%s (%s to %s)" % (middle, low, high)


def can_plot():
    return bool(shutil.which("gnuplot"))


def gnuplot(name, title, data, commands):
    script = ("set terminal pngcairo size 900,420 font 'sans,11'\nset output '%s'\nset title '%s'\nset grid ytics\n"
              "$data << END\n%s\nEND\n%s\n" % (os.path.join(DOCS, name).replace("'", "''"), title, data, commands))
    subprocess.run(["gnuplot"], input=script, text=True, check=True)
