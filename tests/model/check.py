#!/usr/bin/env python3
"""The models, checked by spin: what holds in every history, and that each planted variation
is noticed. TAP.

    check.py [--large]        --large: histories a step longer, as `make model` has them"""
import os, re, shutil, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
LARGE = "--large" in sys.argv[1:]
MEMORY_MB = 2000
DEPTH = 100000
PATIENCE_S = 600

# A model, its size, what is asked, and what for.
HOLDS = [
    ("guard", {"MOVES": 3 if LARGE else 2, "ORDERS": 4 if LARGE else 3}, "safety",
     "nothing is stolen, left or displaced; a guard that runs is reachable in the end"),
    ("guard", {"MOVES": 2, "ORDERS": 3}, "ends", "no history goes on for ever"),
    ("watchdog", {}, "safety", "no stop or start is forgotten, no earlier listener kept"),
    ("watchdog", {}, "ends", "no history goes on for ever"),
]
# What somebody might forget, or what was wrong once (OLD_): each must be noticed.
VARIATIONS = [
    ("guard", "BY_NAME", "a stop removes the path by its name"),
    ("guard", "WITHOUT_IDENTITY", "what was taken away is removed without a look"),
    ("guard", "WITHOUT_LOOKING_AT_WHAT_CAME_OUT", "what was swapped out is removed without a look"),
    ("guard", "WITHOUT_ASKING_AGAIN", "a stale socket is not asked again"),
    ("guard", "WITHOUT_HOLDING", "what was judged is not held: its number is used again"),
    ("guard", "WITHOUT_LISTENING_FIRST", "published before it listens"),
    ("guard", "WITHOUT_LOCK", "started without the lock"),
    ("guard", "WITHOUT_LOOKING_AT_THE_LOCK", "a lock on a file that has lost its name is believed"),
    ("guard", "OLD_SWAP_BACK", "what was swapped out stays out where the path is free again"),
    ("watchdog", "WITHOUT_READING_AGAIN", "the wish is not read again before publishing"),
    ("watchdog", "WITHOUT_LOCK", "a stop does not wait for the lock"),
    ("watchdog", "WITHOUT_LAST_LOOK", "a stop from a callback of the start is not looked for"),
    ("watchdog", "OLD_ATTEND", "what the thread makes is taken for the newest wish"),
    ("watchdog", "OLD_FAILURE", "a start that fails takes back the wish of a later one"),
    ("watchdog", "OLD_RESULT", "a start that waited for one that failed is told nothing"),
]


def words(command, where):
    done = subprocess.run(command, cwd=where, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=PATIENCE_S)
    return done.returncode, done.stdout


def verify(model, defines, what):
    """Return (outcome, states, what was said). Outcome: holds, violated, or broken."""
    options = [f"-D{name}={value}" for name, value in defines.items()]
    with tempfile.TemporaryDirectory() as where:
        shutil.copy(os.path.join(HERE, model + ".pml"), where)
        status, said = words(["spin", "-a", *options, model + ".pml"], where)
        if status or not os.path.exists(where + "/pan.c"):
            return "broken", 0, said
        kind = {"safety": ["-DSAFETY"], "ends": ["-DNP"]}[what]
        status, said = words(["gcc", "-O1", "-w", "-DCOLLAPSE", f"-DMEMLIM={MEMORY_MB}", *kind,
                              "-o", "pan", "pan.c"], where)
        if status:
            return "broken", 0, said
        _, said = words(["./pan", f"-m{DEPTH}", *(["-l"] if what == "ends" else [])], where)
        found = re.search(r"errors: (\d+)", said)
        states = re.search(r"(\d+) states, stored", said)
        # An assertion alone is a counterexample: a limit that was reached proves nothing.
        if not found or not states or re.search(r"reached|too small|truncated|unsuccessful|not completed",
                                                re.sub(r"depth reached|unreached", "", said), re.I):
            violated = re.search(r"assertion violated|non-progress cycle", said)
            if not (found and int(found[1]) and violated):
                return "broken", 0, said
        if int(found[1]) == 0:
            return "holds", int(states[1]), said
        trail = words(["./pan", "-r", f"{model}.pml.trail"], where)[1]
        return ("violated" if re.search(r"assertion violated|non-progress cycle", said)
                else "broken"), int(states[1]), said + trail


def main():
    rows = [(model, defines, what, "holds", text) for model, defines, what, text in HOLDS]
    rows += [(model, {"MOVES": 3, "ORDERS": 3, name: 1} if model == "guard" else {name: 1}, "safety",
              "violated", f"{name}: {text}") for model, name, text in VARIATIONS]
    print(f"1..{len(rows)}", flush=True)
    missing = [tool for tool in ("spin", "gcc") if not shutil.which(tool)]
    bad, total, begun = 0, 0, time.monotonic()
    for i, (model, defines, what, wanted, text) in enumerate(rows, 1):
        if missing:
            print(f"ok {i} - {model}: {text} # SKIP no {missing[0]} here: scripts/setup model")
            continue
        started = time.monotonic()
        outcome, states, said = verify(model, defines, what)
        total += states
        bad += outcome != wanted
        print(f"{'ok' if outcome == wanted else 'not ok'} {i} - {model}: {text}"
              f" ({states} states, {time.monotonic() - started:.1f} s)", flush=True)
        if outcome != wanted:
            print(f"# {wanted} was expected, but: {outcome}")
            print("\n".join("# " + line for line in said.splitlines()[-150:]), flush=True)
    if not missing:
        print(f"# {total} states in {time.monotonic() - begun:.0f} s; {len(HOLDS)} hold,"
              f" {len(VARIATIONS)} variations noticed" if not bad else f"# {bad} are not as expected")
    return bad != 0


sys.exit(main())
