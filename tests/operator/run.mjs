// kedge run: the listener stays, whoever serves it.
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { spawnSync } from 'node:child_process';
import { PEER, echo, main, matches, run, same, sleep, startKedge, test, until } from './lib.mjs';

const names = (dir) => fs.readdirSync(dir, { recursive: true }).map(String).sort();
const starts = (p) => p.out.split('ready\n').length - 1;

async function running(...args) {
	const p = startKedge(['run', ...args]);
	await until(() => p.out.includes('ready') || p.status !== null, 'the command stands');
	if (p.status !== null) throw new Error(`ended with ${p.status}: ${p.err}`);
	return p;
}

// The pid of the command, as of its start number @n.
const commandOf = (p, n = 1) =>
	until(() => [...p.err.matchAll(/started, pid (\d+)/g)][n - 1]?.[1], 'a start').then(Number);

test('listeners are passed as systemd does, and leave nothing', async (dir) => {
	const [a, b] = ['a', 'sub/b'].map((n) => path.join(dir, n));
	const p = await running('--listen', a, '--name', 'second', '--listen', b, '--mode', '0660', '--', PEER, 'inherit');
	matches(p.out, /^names a:second$/m);
	same([await echo(a, 'one'), await echo(b, 'two')], ['one', 'two']);
	same(fs.statSync(b).mode & 0o777, 0o660);
	same(await p.kill('SIGTERM'), 0);
	same(names(dir), ['sub']);
});

test('100 restarts under load, and not one error', async (dir) => {
	const socket = path.join(dir, 's');
	const p = await running('--listen', socket, '--', PEER, 'inherit');
	let going = true, served = 0;
	const errors = [];
	const client = async () => {
		while (going) {
			const got = await echo(socket, 'hello');
			if (got === 'hello') served++;
			else errors.push(got);
		}
	};
	const clients = Array.from({ length: 8 }, client);
	for (let n = 1; n <= 100; n++) {
		const before = served;
		p.child.kill('SIGHUP');
		await until(() => starts(p) === n + 1, `start ${n + 1}`);
		await until(() => served > before, 'clients are served again');
	}
	going = false;
	await Promise.all(clients);
	same(errors, []);
	if (served < 100) throw new Error(`only ${served} calls`);
	console.log(`# ${served} calls through 100 restarts`);
	same(await p.kill('SIGTERM'), 0);
	same(names(dir), []);
});

test('clients wait while nobody serves; --restart brings it back', async (dir) => {
	const socket = path.join(dir, 's');
	const p = await running('--listen', socket, '--restart', '--', PEER, 'inherit');
	for (let n = 1; n <= 5; n++) {
		process.kill(await commandOf(p, n), 'SIGKILL');
		same(await echo(socket), 'hello');
		await until(() => starts(p) === n + 1, 'another start');
	}
	matches(p.err, /ended with 137; clients wait/);
	same(await p.kill('SIGTERM'), 0);
});

test('a lost path is put back while the command runs', async (dir) => {
	const socket = path.join(dir, 's');
	const p = await running('--listen', socket, '--', PEER, 'inherit');
	fs.unlinkSync(socket);
	await until(() => fs.existsSync(socket), 'the path again');
	same(await echo(socket), 'hello');
	same(starts(p), 1);
	await p.kill('SIGTERM');
});

// All at once as far as the guard can see: it may be quicker than the one who removes.
async function removeUnseen(p, dir) {
	p.child.kill('SIGSTOP');
	await until(() => /^State:\tT/m.test(fs.readFileSync(`/proc/${p.pid}/status`, 'utf8')), 'a stop');
	fs.rmSync(dir, { recursive: true });
	p.child.kill('SIGCONT');
}

test('a listener bound anew reaches the command by a restart, the old one behind it', async (dir) => {
	const sub = path.join(dir, 'd'), socket = path.join(sub, 's');
	const p = await running('--listen', socket, '--restart', '--', PEER, 'inherit');
	await removeUnseen(p, sub);
	await until(() => starts(p) === 2, 'a restart');
	same(await echo(socket), 'hello');
	matches(p.out, /^names s:s$/m);
	await p.kill('SIGTERM');

	// Without --restart it is said, and SIGHUP does it.
	const q = await running('--listen', socket, '--', PEER, 'inherit');
	await removeUnseen(q, sub);
	await until(() => /does not serve the new listener; SIGHUP restarts it/.test(q.err), 'a word');
	q.child.kill('SIGHUP');
	same(await echo(socket), 'hello');
	same(await q.kill('SIGTERM'), 0);
});

test('exit statuses are the command\'s', (dir) => {
	for (const [script, status] of [['exit 0', 0], ['exit 7', 7], ['kill -9 $$', 137]])
		same(run(['run', '--listen', path.join(dir, 's'), 'sh', '-c', script]).status, status);
	same(run(['run', 'sh', '-c', 'exit 3']).status, 3);
	let r = run(['run', '--listen', path.join(dir, 's'), '--', '/no/such/command']);
	matches(r.err, /\/no\/such\/command: cannot be started: No such file or directory/);
	same(r.status, 127);
	r = run(['run', dir]);
	same(r.status, 126);
	same(names(dir), []);
});

test('signals are passed on; one that does not end is killed', async (dir) => {
	const socket = path.join(dir, 's');
	const script = 'trap "echo usr1" USR1; trap "echo int; exit 5" INT; trap "" TERM; echo ready; while :; do sleep 0.05; done';
	const p = await running('--listen', socket, '--stop-timeout', '0.2', '--', 'sh', '-c', script);
	p.child.kill('SIGUSR1');
	await until(() => p.out.includes('usr1'), 'SIGUSR1');
	p.child.kill('SIGHUP');
	await until(() => starts(p) === 2, 'a restart by SIGKILL');
	matches(p.err, /does not end, pid \d+: killed/);
	same(await p.kill('SIGINT'), 5);
	matches(p.out, /int/);
	const q = await running('--stop-timeout', '0.1', '--', 'sh', '-c', script);
	same(await q.kill('SIGTERM'), 137);
	same(names(dir), []);
});

test('the command gets no more than its listeners, and no blocked signals', (dir) => {
	const socket = path.join(dir, 's');
	// Whatever started the tests may have left descriptors to us, and we to it.
	const fds = (...args) => [...run(['run', ...args, '--', 'ls', '-l', '/proc/self/fd']).out
		.matchAll(/ (\d+) -> '?(\S+:\[\d+\]|\/.*?)'?$/gm)]
		.filter(([, n, target]) => Number(n) >= 3 && !/\/proc\/\d+\/fd/.test(target));
	const before = fds().map(([, , target]) => target);
	const added = fds('--listen', socket).filter(([, , target]) => !before.includes(target));
	same(added.map(([, n]) => n), ['3']);
	matches(added[0][2], /^socket:/);
	matches(run(['run', '--listen', socket, '--', 'cat', '/proc/self/status']).out, /SigBlk:\s+0{16}\n/);
	const r = run(['run', '--listen', socket, '--', 'sh', '-c', 'echo $LISTEN_PID $$ $LISTEN_FDS']);
	matches(r.out, /^(\d+) \1 1$/m);
	const none = run(['run', '--', 'sh', '-c', 'echo "[$LISTEN_FDS$LISTEN_PID]"'],
		{ env: { ...process.env, LISTEN_FDS: '3', LISTEN_PID: '1' } });
	same(none.out, '[]\n');
});

test('killed -9, the command serves on, and a second run does not take its path', async (dir) => {
	const socket = path.join(dir, 's');
	const q = startKedge(['run', '--listen', socket, '--', PEER, 'inherit']);
	await until(() => q.out.includes('ready'), 'the command stands');
	const command = await commandOf(q);
	q.child.kill('SIGKILL');
	await until(() => {
		try {
			process.kill(q.pid, 0);
		} catch {
			return true;
		}
	}, 'the supervisor is gone');
	same(await echo(socket), 'hello');
	const r = run(['run', '--listen', socket, '--', 'true']);
	same(r.status, 1);
	matches(r.err, /^kedge: .*\n$/);
	same(await echo(socket), 'hello');
	process.kill(command, 'SIGTERM');
	await q.ended();
	// A third one finds a stale path, and replaces it.
	same(run(['run', '--listen', socket, '--', 'true']).status, 0);
	same(names(dir), []);
});

test('wrong usage, and what cannot be listened on', (dir) => {
	const at = (name) => path.join(dir, name);
	for (const [args, why] of [
		[[], /takes a command/],
		[['--listen', '', 'true'], /--listen '': an absolute path/],
		[['--listen', '@x', 'true'], /--listen '@x': an absolute path/],
		[['--listen', 'rel', 'true'], /--listen 'rel': an absolute path/],
		[['--listen', '/a:b', 'true'], /no name of 1 to 255 characters without ':'; give one with --name/],
		[['--name', 'a:b', '--listen', '/a', 'true'], /--name 'a:b': 1 to 255 characters/],
		[['--name', 'n', 'true'], /--name 'n': stands before the --listen/],
		[['--mode', '8', '--listen', '/a', 'true'], /--mode 8: three or four octal digits/],
		[['--stop-timeout', 'x', 'true'], /--stop-timeout x: seconds from 0/],
		[['--anchor-dir', 'x', 'true'], /--anchor-dir 'x': an absolute path/],
		[['--nope', 'true'], /'--nope' is no option/],
		[Array(65).fill(['--listen', '/a']).flat(), /no more than 64/],
	]) {
		const r = run(['run', ...args]);
		same([r.status, r.err.trim().split('\n').length], [2, 1]);
		matches(r.err, why);
	}
	fs.writeFileSync(at('file'), 'precious');
	const r = run(['run', '--listen', at('ok'), '--listen', at('file'), '--', 'touch', at('ran')]);
	same(r.status, 1);
	matches(r.err, /file/);
	same(names(dir), ['file']);
});

await main();
