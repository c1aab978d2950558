// kedge guard refuses what it cannot do; it can be asked, configured and read by Prometheus.
import fs from 'node:fs';
import path from 'node:path';
import { spawn, spawnSync } from 'node:child_process';
import { KEDGE, NOBODY, ROOT, main, matches, same, skip, start, until } from './lib.mjs';
import { DAEMON, ask, daemon, environment, guard, leftovers, rm, test } from './guarding.mjs';

const kedge = (dir, args, options = {}) => {
	const r = spawnSync(KEDGE, args, { encoding: 'utf8', timeout: 20000, env: environment(dir),
		...options });
	// Where coverage is measured, another user's process says that it may not write its counts.
	const err = r.stderr.replace(/^profiling:.*\n/gm, '');
	return { status: r.status, out: r.stdout, err };
};

test('what cannot be guarded is refused with a reason and what would help', async (dir) => {
	const at = (name) => path.join(dir, name);
	fs.writeFileSync(at('file'), '');
	await daemon(at('good'));
	const dead = await daemon(at('dead'));
	await dead.kill('SIGKILL');
	const rows = [
		[['/nowhere/s'], 1, /there is no \/nowhere\/s: start its daemon first, or use --wait/],
		[[at('none')], 1, /start its daemon first/],
		[[at('file')], 1, /file is no socket/],
		[['--wait', at('file')], 1, /file is no socket/],
		[[at('dead')], 1, /nobody listens at .*dead: start its daemon first/],
		[['@abstract'], 2, /@abstract is abstract/],
		[['relative/s'], 2, /'relative\/s' is relative/],
		[[at('good'), at('good')], 2, /is given twice/],
		[[], 2, /nothing to guard/],
		[[''], 2, /guard: the path is empty/],
		[['--settle', 'x', at('good')], 2, /--settle 'x': whole milliseconds from 0 to 60000/],
		[['--settle', '60001', at('good')], 2, /--settle '60001'/],
		[['--interval', '-1', at('good')], 2, /--interval '-1'/],
		[['--vault', 'here', at('good')], 2, /--vault 'here': an absolute path/],
		[['--attribution', 'maybe', at('good')], 2, /'maybe': one of auto, off/],
		[['--ready-fd', '77', at('good')], 2, /--ready-fd '77': the number of an open/],
		[['--nonsense', at('good')], 2, /'--nonsense' is no option/],
		[['--all-of', '999999999'], 1, /no such process: it is gone/],
		[['--all-of', 'no-such-unit'], 1, /no such process or unit/],
		[['--all-of', String(process.pid)], 1, /it listens at no path/],
		[['--check-config', at('good')], 2, /--config FILE names the file/],
		[['--log-file', '/nowhere/log', at('good')], 2, /--log-file \/nowhere\/log/],
	];
	for (const [args, status, words] of rows) {
		const r = kedge(dir, ['guard', ...args]);
		same([args, r.status], [args, status]);
		matches(r.err, words);
		same([args, r.err.trim().split('\n').length], [args, 1]);
	}
	// One that is good beside one that is bad: neither is guarded, nothing is left.
	const r = kedge(dir, ['guard', at('good'), at('none')]);
	same([r.status, leftovers(dir)], [1, []]);
});

test('a directory for anchors that is not private is refused with what is asked', async (dir) => {
	const at = (name) => path.join(dir, name);
	await daemon(at('s'));
	fs.writeFileSync(at('file'), '');
	fs.symlinkSync('/tmp', at('link'));
	for (const [name, mode] of [['wide', 0o755], ['narrow', 0o500], ['shared', 0o1777]]) {
		fs.mkdirSync(at(name));
		fs.chmodSync(at(name), mode);
	}
	const rows = [
		['wide', /the directory \/.*\/wide has mode 0755: 0700 is needed/],
		['narrow', /narrow has mode 0500: 0700 is needed/],
		['shared', /shared has mode 1777: 0700 is needed/],
		['file', /file is no directory$/],
		['link', /link is no directory$/],
		['none/vault', /none\/vault: No such file or directory$/],
	];
	if (ROOT) {
		fs.mkdirSync(at('theirs'), 0o700);
		fs.chownSync(at('theirs'), NOBODY.uid, NOBODY.gid);
		rows.push(['theirs', /theirs belongs to user 65534: one of user 0 is needed$/]);
	}
	for (const [name, words] of rows) {
		const r = kedge(dir, ['guard', '--vault', at(name), at('s')]);
		same([name, r.status, r.err.split('\n').length], [name, 1, 2]);
		matches(r.err.trim(), words);
	}
	// The one beside the socket is no different, once both its names are taken.
	for (const more of ['', '-1']) fs.mkdirSync(at(`.kedge-${process.getuid()}${more}`), 0o755);
	matches(kedge(dir, ['guard', at('s')]).err, /\.kedge-\d+ has mode 0755: 0700 is needed/);
});

test('another user\'s socket is refused in words', async (dir) => {
	if (!ROOT) skip('needs another user');
	fs.chmodSync(dir, 0o755);
	await daemon(path.join(dir, 's'));
	const r = kedge(dir, ['guard', path.join(dir, 's')], NOBODY);
	same(r.status, 1);
	matches(r.err, /^kedge: no anchor can be kept for .*: run as root, or as the socket's owner\n$/);
});

// Such numbers were counted through, from the lowest to the highest, for ever.
test('a lock file with numbers that no guard writes', async (dir) => {
	const socket = path.join(dir, 's');
	const anchors = path.join(dir, `.kedge-${process.getuid()}`);
	await daemon(socket);
	fs.mkdirSync(anchors, { mode: 0o700 });
	fs.writeFileSync(path.join(anchors, 's.lock'), '18446744073709551615 18446744073709551615\n', { mode: 0o600 });
	const g = await guard(dir, [socket]);
	rm(socket);
	await g.saw('recovered');
	same(await g.end(), 0);
});

test('one path, one guard, also when its anchors and lock were swept', async (dir) => {
	const socket = path.join(dir, 's');
	const vault = path.join(dir, 'vault');
	await daemon(socket);
	await guard(dir, ['--interval', '50', '--vault', vault, socket]);
	const swept = fs.readdirSync(vault);
	for (let i = 0; i < 2; i++) {
		const r = kedge(dir, ['guard', '--vault', vault, socket]);
		same(r.status, 1);
		matches(r.err, /is guarded already, by another kedge/);
		for (const name of swept) fs.rmSync(path.join(vault, name));
		await until(() => swept.every((name) => fs.existsSync(path.join(vault, name))), 'they are made again');
	}
});

test('status and events, as a table and as JSON', async (dir) => {
	const at = (name) => path.join(dir, name);
	for (const command of ['status', 'events']) {
		const alone = kedge(dir, [command]);
		same([alone.status, alone.out], [1, '']);
		matches(alone.err, /^kedge: no kedge guard of \S+( user)? runs here: start one.*\n$/);
	}
	const d = await daemon(at('s'));
	const g = await guard(dir, ['--wait', at('s'), at('later')]);
	let r = kedge(dir, ['status']);
	same(r.status, 1);
	matches(r.out, new RegExp(`^reachable +0 +daemon/${d.pid} +${g.pid} +.*/s$`, 'm'));
	matches(r.out, /^awaited +0 +- +\d+ +.*\/later$/m);
	r = kedge(dir, ['status', at('s')]);
	same([r.status, r.out.trim().split('\n').length], [0, 2]);
	same(kedge(dir, ['status', at('other')]).status, 1);
	same(kedge(dir, ['status', 's'], { cwd: dir }).status, 0);
	for (const [args, words] of [
		[['status', ''], /status: the path is empty/],
		[['status', '@s'], /'@s' is an abstract name/],
		[['status', at('s'), at('later')], /takes one PATH at most/],
		[['status', '--nope'], /'--nope' is no option/],
		[['events', at('s')], /events: takes no arguments/],
		[['events', '--since'], /'--since' is no option, or lacks its value/],
	]) {
		r = kedge(dir, args);
		same([args, r.status, r.out], [args, 2, '']);
		matches(r.err, words);
	}

	rm(at('s'));
	await g.saw('recovered');
	const [{ pid, status }] = JSON.parse(kedge(dir, ['status', '--json']).out);
	same(pid, g.pid);
	same([status.states.reachable, status.states.awaited, status.events.lost], [1, 1, 1]);
	const one = status.paths.find((p) => p.path === at('s'));
	same([one.losses, one.cause, one.leased, one.owner.pid], [1, 'unlinked', true, d.pid]);

	r = kedge(dir, ['events']);
	same(r.status, 0);
	matches(r.out, /^\S+Z lost +.*\/s cause=unlinked/m);
	const lines = kedge(dir, ['events', '--json']).out.trim().split('\n').map((l) => JSON.parse(l));
	same(lines.filter((e) => e.event === 'relinked').length, 1);
	same(kedge(dir, ['events', '--since', '@4102444800']).out, '');
	for (const wrong of ['noon', '', 's', '5', '5y', '-5s', '@', '@noon', '1'.repeat(30) + 's'])
		same([wrong, kedge(dir, ['events', '--since', wrong]).status], [wrong, 2]);
	for (const unit of ['s', 'm', 'h', 'd'])
		matches(kedge(dir, ['events', '--since', `900${unit}`]).out, /^\S+Z lost /m);
	await g.end();
	same(kedge(dir, ['events']).status, 1);
});

test('events are followed, also those of a guard that starts later', async (dir) => {
	const socket = path.join(dir, 's');
	const d = await daemon(socket);
	const f = start(KEDGE, ['events', '--follow', '--json'], { env: environment(dir) });
	const g = await guard(dir, [socket]);
	await until(() => f.out.includes('"listening"'), 'the late guard is met');
	rm(socket);
	await until(() => f.out.includes('"recovered"'), 'it is followed');
	same(ask(socket), String(d.pid));
	await g.end();
	const next = await guard(dir, [socket]);
	const followed = () => f.out.slice(0, f.out.lastIndexOf('\n')).split('\n').map((line) => JSON.parse(line));
	await until(() => followed().some((e) => e.guard === next.pid && e.event === 'listening'), 'the next one is met');
	rm(socket);
	await until(() => followed().some((e) => e.guard === next.pid && e.event === 'recovered'), 'it is followed');
	// Each is told once: what was kept from before, and what came since.
	same(followed().filter((e) => e.event === 'recovered').map((e) => e.guard), [g.pid, next.pid]);
	// Whoever reads goes away, and so does the follower: without another event that it could not write.
	f.child.stdout.destroy();
	same(await f.ended(), 0);
	await next.end();
});

test('--all-of a process', async (dir) => {
	const socket = path.join(dir, 's');
	const d = await daemon(socket);
	const g = await guard(dir, ['--all-of', String(d.pid)]);
	rm(socket);
	await g.saw('recovered');
	same(ask(socket), String(d.pid));
});

test('a configuration file, and what is wrong with one', async (dir) => {
	const file = path.join(dir, 'guard.conf');
	const socket = path.join(dir, 's');
	const check = (text) => {
		fs.writeFileSync(file, text);
		return kedge(dir, ['guard', '--check-config', '--config', file]);
	};
	const rows = [
		['settle = soon', /guard\.conf:1: settle 'soon': whole milliseconds/],
		['# c\n\nsettle=1\nsettle=2', /:4: settle: given already in line 3/],
		['path = s', /:1: path 's': an absolute path/],
		['pathh = /s', /:1: pathh: no such key/],
		['just words', /:1: neither KEY = VALUE nor \[SECTION\]/],
		['wait = perhaps', /:1: wait 'perhaps': one of no, yes/],
		['path =', /:1: no value/],
		['path = ""', /:1: path: it has no value/],
		['[redis]', /:1: \[redis\]: there are no sections in a guard's file/],
		['path = "/s', /:1: the quotes are not closed/],
		['ready-fd = 3', /:1: ready-fd: no such key/],
		['path = /a\0b', /guard\.conf: a NUL is in it; it is no text/],
	];
	for (const [text, words] of rows) {
		const r = check(text + '\n');
		same([text, r.status], [text, 2]);
		matches(r.err, words);
	}
	same(kedge(dir, ['guard', '--config', '/nowhere']).status, 2);
	const good = `# the daemon's\n; and no other\npath = "${socket}"\n\tsettle = 20 # ms\nwait = 'yes'\nlog-level = warning\n`;
	const r = check(good);
	same([r.status, r.out], [0, '1 paths, 0 processes or units: well\n']);
	const d = await daemon(socket);
	const g = await guard(dir, ['--config', file, '--log-level', 'info']);
	rm(socket);
	await g.saw('recovered');
	same(ask(socket), String(d.pid));
});

test('ready, in both ways', async (dir) => {
	const socket = path.join(dir, 's');
	await daemon(socket);
	const child = spawn(KEDGE, ['guard', '--ready-fd', '3', socket],
		{ stdio: ['ignore', 'ignore', 'ignore', 'pipe'], env: environment(dir) });
	let said = '';
	child.stdio[3].on('data', (data) => (said += data));
	await until(() => said === '\n', 'a line end on descriptor 3');
	child.kill('SIGTERM');
	await until(() => child.exitCode === 0, 'it ends');
});

// A journal of our own, which takes the path away once, and ends what it started.
const JOURNAL = `if 1:
	import os, socket, subprocess, sys
	os.makedirs('/run/systemd/journal', exist_ok=True)
	s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
	s.settimeout(20)
	s.bind('/run/systemd/journal/socket')
	err = open(sys.argv[1], 'w')
	st = os.fstat(err.fileno())
	env = dict(os.environ, JOURNAL_STREAM=f'{st.st_dev}:{st.st_ino}')
	g = subprocess.Popen(sys.argv[3:], stderr=err, env=env, stdout=subprocess.DEVNULL)
	seen = b''
	while b'KEDGE_EVENT=recovered' not in seen:
		if b'KEDGE_EVENT=listening' in seen and b'=lost' not in seen:
			subprocess.run(['rm', '-f', sys.argv[2]])
		seen += s.recv(65536)
	g.terminate()
	g.wait()
	sys.stdout.buffer.write(seen)`;

test('the journal gets fields from guard, serve and run', async (dir) => {
	if (!ROOT) skip('needs a mount namespace, to stand in for the journal');
	if (spawnSync('unshare', ['-m', 'true']).status !== 0) skip('no mount namespace to be had');
	const at = (name) => path.join(dir, name);
	await daemon(at('s'));
	for (const [socket, ...command] of [
		[at('s'), 'guard', at('s')],
		[at('gateway.sock'), 'serve', 'gateway', '--workspace', dir],
		[at('held'), 'run', '--listen', at('held'), '--', 'sleep', '100'],
	]) {
		const r = spawnSync('unshare', ['-m', 'sh', '-c', 'mount -t tmpfs run /run && exec "$@"', 'sh',
			'python3', '-c', JOURNAL, at('err'), socket, KEDGE, ...command],
		{ encoding: 'utf8', timeout: 60000, env: environment(dir) });
		same([r.status, r.stderr], [0, '']);
		for (const line of ['KEDGE_EVENT=lost', 'KEDGE_CAUSE=unlinked', `KEDGE_PATH=${socket}`,
			'PRIORITY=4', 'KEDGE_EVENT=relinked'])
			same([command, line, r.stdout.split('\n').includes(line)], [command, line, true]);
		matches(r.stdout, /^KEDGE_OUTAGE_NS=\d+$/m);
		same(fs.readFileSync(at('err'), 'utf8'), '');
	}
});

test('metrics for Prometheus, whole at any moment', async (dir) => {
	const socket = path.join(dir, 's');
	const file = path.join(dir, 'kedge.prom');
	await daemon(socket);
	const g = await guard(dir, ['--metrics-textfile', file, socket]);
	matches(fs.readFileSync(file, 'utf8'), /^kedge_paths\{state="reachable"\} 1$/m);
	rm(socket);
	await g.saw('recovered');
	await g.end();
	const text = fs.readFileSync(file, 'utf8');
	matches(text, /^kedge_losses_total\{cause="unlinked"\} 1$/m);
	matches(text, /^kedge_repairs_total\{kind="relinked"\} 1$/m);
	matches(text, /^kedge_outage_seconds_count 1$/m);
	for (const line of text.trim().split('\n'))
		matches(line, /^(# (HELP|TYPE) kedge_\w+ .+|kedge_\w+(\{\w+="[^"]+"\})? [0-9.e+-]+)$/);
	const tool = spawnSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' });
	if (!tool.error) same([tool.status, tool.stderr], [0, '']);
});

test('metrics that cannot be written: said once, and when they can be again', async (dir) => {
	const socket = path.join(dir, 's'), taken = path.join(dir, 'taken');
	const late = path.join(dir, 'late'), file = path.join(late, 'kedge.prom');
	await daemon(socket);
	let g = await guard(dir, ['--metrics-textfile', file, socket]);
	await until(() => /--metrics-textfile .*\/kedge\.prom: No such file or directory/.test(g.err), 'it is said');
	fs.mkdirSync(late);
	same(await g.end(), 0);
	same(g.err.split('No such file or directory').length, 2);
	matches(g.err, /--metrics-textfile .*\/kedge\.prom: written again/);
	same(fs.readdirSync(late), ['kedge.prom']);
	matches(fs.readFileSync(file, 'utf8'), /^kedge_paths\{state="reachable"\} \d$/m);

	// What stands in its place is left, and nothing beside it.
	fs.mkdirSync(path.join(taken, 'kedge.prom'), { recursive: true });
	g = await guard(dir, ['--metrics-textfile', path.join(taken, 'kedge.prom'), socket]);
	same(await g.end(), 0);
	matches(g.err, /--metrics-textfile .*\/kedge\.prom: Is a directory/);
	same([fs.readdirSync(taken), fs.readdirSync(path.join(taken, 'kedge.prom'))], [['kedge.prom'], []]);
});

await main();
