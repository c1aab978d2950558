#!/usr/bin/env python3
"""An image, as whoever pulls it meets it. TAP.

image.py ARCHIVE       what `make image` wrote

Unpacks it, looks at all that is in it, and runs it by root in a mount namespace of its own, as the
user that the image names, on a root that cannot be written to. Its servers are called from outside,
over a shared directory."""
import contextlib, ctypes, hashlib, json, os, re, shutil, signal, socket, subprocess, sys, tarfile
import tempfile, time

ARCHIVE = os.path.abspath(sys.argv[1])
CAP_S = 120
# What is there beside the command and its libraries.
BESIDE = r"etc/(passwd|group)|usr/share/doc/[a-z0-9.+-]+/copyright"
PR_SET_DUMPABLE = 4
number = failed = 0


def check(what, wrong, skip=None):
    global number, failed
    number += 1
    failed += bool(wrong)
    print("%sok %d - %s%s" % ("not " if wrong else "", number, what, " # SKIP " + skip if skip else ""), flush=True)
    for line in wrong or []:
        print("# " + str(line))


class Image:
    """The archive, unpacked below @top."""

    def __init__(self, top):
        self.oci, self.root, self.owners, self.wrong = top + "/oci", top + "/root", {}, []
        with tarfile.open(ARCHIVE) as tar:
            tar.extractall(self.oci)
        with open(self.oci + "/index.json") as f:
            index = json.load(f)
        self.digest = index["manifests"][0]["digest"]
        manifest = json.loads(self.blob(index["manifests"][0]))
        self.config = json.loads(self.blob(manifest["config"]))
        os.mkdir(self.root)
        for layer in manifest["layers"]:
            self.blob(layer)
            with tarfile.open(self.oci + "/blobs/" + layer["digest"].replace(":", "/")) as tar:
                for member in tar:
                    self.owners[member.name.strip("/")] = member
                    tar.extract(member, self.root, numeric_owner=True)

    def blob(self, said):
        with open(self.oci + "/blobs/" + said["digest"].replace(":", "/"), "rb") as f:
            data = f.read()
        if "sha256:" + hashlib.sha256(data).hexdigest() != said["digest"] or len(data) != said["size"]:
            self.wrong.append(said["digest"] + ": is not what its name says")
        return data

    def files(self):
        return sorted(os.path.relpath(os.path.join(d, f), self.root)
                      for d, _, files in os.walk(self.root) for f in files)


def words_of_elf(path, pattern):
    text = subprocess.run(["readelf", "-dlW", path], stdout=subprocess.PIPE, text=True,
                          env={**os.environ, "LC_ALL": "C"}).stdout
    return re.findall(pattern, text)


def needed(image):
    """(files that the command needs, names that are nowhere)."""
    libraries = {os.path.basename(f): f for f in image.files() if re.search(r"\.so(\.|$)", f)}
    wanted, found, missing = ["usr/bin/kedge"], set(), []
    while wanted:
        name = wanted.pop()
        if name in found:
            continue
        found.add(name)
        path = os.path.join(image.root, name)
        for inner in words_of_elf(path, r"\(NEEDED\).*\[(.*)\]") + \
                [os.path.basename(i) for i in words_of_elf(path, r"interpreter: (.*)\]")]:
            if inner in libraries:
                wanted.append(libraries[inner])
            else:
                missing.append("%s needs %s" % (name, inner))
    return found, missing


class Chroot:
    """The image in a mount namespace; processes and network are ours, as a sidecar has its daemon's."""

    def __init__(self, image):
        self.image, self.children = image, []

    def start(self, args, volumes, output=None, more_env=()):
        config = self.image.config["config"]
        lines = ["set -e", "mount --bind '%s' '%s'" % (self.image.root, self.image.root)]
        for outside, inside in volumes.items():
            lines.append("mkdir -p '%s%s'" % (self.image.root, inside))
            lines.append("mount --bind '%s' '%s%s'" % (outside, self.image.root, inside))
        # With the user go all capabilities.
        lines += ["mkdir -p '%s/proc'" % self.image.root,
                  "mount --rbind /proc '%s/proc'" % self.image.root,
                  "mount -o remount,bind,ro '%s'" % self.image.root,
                  'exec chroot --userspec=%s "$0" "$@"' % config["User"]]
        process = subprocess.Popen(
            ["unshare", "-m", "--propagation", "private", "sh", "-c", "\n".join(lines), self.image.root,
             *config["Entrypoint"], *args], stdout=output, stderr=output,
            env={**dict(word.split("=", 1) for word in config["Env"]), **dict(more_env),
                 "PATH": os.environ["PATH"]})
        self.children.append(process)
        return process

    def end(self):
        for process in self.children:
            process.kill()
            process.wait()


def wait_for(what):
    end = time.monotonic() + CAP_S
    while not (found := what()):
        if time.monotonic() > end:
            return None
        time.sleep(0.02)
    return found


def ask(path, request=None):
    """One line from the socket at @path, or None where nobody is there."""
    try:
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(CAP_S)
            s.connect(path)
            if request:
                s.sendall(request)
            return s.makefile("rb").readline()
    except (FileNotFoundError, ConnectionRefusedError):
        return None


def read(path):
    with open(path, errors="replace") as f:
        return f.read()


def daemon(path, uid):
    """A server of that user that knows nothing of kedge; returns its pid."""
    with socket.socket(socket.AF_UNIX) as s:
        pid = os.fork()
        if pid:
            return pid
        try:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            # A change of user hides a process from its user, until it executes something.
            ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
            greet(s, path)
        finally:
            os._exit(1)


def greet(s, path):
    s.bind(path)
    s.listen(8)
    while True:
        client, _ = s.accept()
        # kedge wait and kedge check are gone by then.
        with client, contextlib.suppress(OSError):
            client.sendall(b"hello\n")


def serves(runner, top, shared):
    """A server in the image, its path in a directory that we share with it."""
    log = open(top + "/serve.log", "w")
    path = shared + "/gateway.sock"
    server = runner.start(["serve", "gateway", "--workspace", "/workspace"], {shared: "/workspace"}, output=log)
    request = b'{"id":1,"method":"get_global_thresholds"}\n'
    wrong = []
    for what in "at first", "after a loss":
        answer = wait_for(lambda: ask(path, request))
        if b'"interactive":"medium"' not in (answer or b""):
            wrong.append("%s: answered %r" % (what, answer))
            break
        if what == "at first":
            os.unlink(path)
    server.send_signal(signal.SIGTERM)
    if server.wait(CAP_S) or os.path.exists(path):
        wrong.append("it ended with %s, and its path is %sthere" %
                     (server.returncode, "" if os.path.exists(path) else "not "))
    return wrong and wrong + read(top + "/serve.log").splitlines()


def guards(runner, top, shared):
    """A sidecar beside a daemon of the same user, which shares its processes and network."""
    log, path = open(top + "/guard.log", "w"), shared + "/daemon.sock"
    pid = daemon(path, os.stat(shared).st_uid)
    try:
        wrong = sidecar(runner, top, path, log)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return wrong and wrong + read(top + "/guard.log").splitlines()


def sidecar(runner, top, path, log):
    inside, wrong = "/run/daemon/daemon.sock", []
    # As Kubernetes gives it: a directory of root's that everybody may write to.
    runtime = os.path.join(top, "runtime")
    os.mkdir(runtime)
    os.chmod(runtime, 0o777)
    volumes = {os.path.dirname(path): "/run/daemon", runtime: "/run/kedge"}
    env = {"KEDGE_RUNTIME_DIR": "/run/kedge/guard"}
    waiting = runner.start(["wait", "--timeout", str(CAP_S), inside], volumes)
    if waiting.wait(CAP_S * 2) != 0:
        wrong.append("kedge wait: %d" % waiting.returncode)
    runner.start(["guard", "--wait", inside], volumes, output=log, more_env=env)
    if not wait_for(lambda: inside + ": guarded" in read(top + "/guard.log")):
        wrong.append("it guards nothing")
    os.unlink(path)
    if wait_for(lambda: ask(path)) != b"hello\n":
        wrong.append("the path did not come back")
    for command in "check", "status":
        probe = runner.start([command, inside], volumes, output=subprocess.DEVNULL, more_env=env)
        if probe.wait(CAP_S) != 0:
            wrong.append("kedge %s: %d" % (command, probe.returncode))
    return wrong


def contents(image):
    config = image.config["config"]
    check("each blob is what its name says", image.wrong)
    check("it runs as a user that is not root", [config["User"]] if not re.fullmatch(
        r"[1-9]\d*:[1-9]\d*", config["User"]) else [])
    check("it starts the command", [] if config["Entrypoint"] == ["/usr/bin/kedge"] else [config["Entrypoint"]])
    found, missing = needed(image)
    check("each library is there", missing)
    check("nothing else is there", [f for f in image.files() if f not in found and not re.fullmatch(BESIDE, f)])
    uid = int(config["User"].split(":")[0])
    check("its user may write to two directories, and to nothing else",
          [name for name, m in image.owners.items() if not m.issym() and
           (m.mode & 0o7022 or (m.uid == uid) != (name in ("workspace", "run/kedge")))])


def podman(image, top):
    """Whether podman takes it, and runs it where it can run anything: it wants more rights than root
    has in some containers, and says so itself."""
    own = ["podman", "--root", top + "/store", "--runroot", top + "/runroot", "--storage-driver", "vfs"]
    if not shutil.which("podman"):
        check("podman loads it", [], skip="no podman here")
        check("podman runs it", [], skip="no podman here")
        return

    def said(*args):
        done = subprocess.run([*own, *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return done.returncode, done.stdout.strip()

    status, text = said("load", "--quiet", "--input", ARCHIVE)
    check("podman loads it", [text] if status else [])
    version = image.config["config"]["Labels"]["org.opencontainers.image.version"]
    status, text = said("run", "--rm", "--network", "none", "--read-only", "kedge:" + version, "--version")
    cannot = status and re.search(r"crun: |runc: |OCI runtime|OCI permission", text)
    check("podman runs it", [] if cannot or (status, text) == (0, "kedge " + version) else [text],
          skip="podman cannot run containers here: " + text.splitlines()[-1] if cannot else None)


def main():
    with tempfile.TemporaryDirectory(prefix="kedge image-") as top:
        os.chmod(top, 0o755)
        image = Image(top)
        contents(image)
        if os.geteuid() != 0 or not shutil.which("unshare"):
            for what in "says its version", "serves", "guards as a sidecar":
                check(what, [], skip="needs root")
        else:
            run(image, top)
        podman(image, top)
    print("1..%d" % number)
    sys.exit(1 if failed else 0)


def run(image, top):
    runner = Chroot(image)
    uid = int(image.config["config"]["User"].split(":")[0])
    try:
        with open(top + "/version", "w") as f:
            runner.start(["--version"], {}, output=f).wait(CAP_S)
        label = image.config["config"]["Labels"]["org.opencontainers.image.version"]
        check("says the version of its label", [] if read(top + "/version") == "kedge %s\n" % label
              else [read(top + "/version"), label])
        for what, trial in ("serves, and is called from outside", serves), ("guards as a sidecar", guards):
            shared = tempfile.mkdtemp(dir=top)
            os.chown(shared, uid, uid)
            check(what, trial(runner, top, shared))
    finally:
        runner.end()


main()
