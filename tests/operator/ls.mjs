// kedge ls: each socket with the truth about its path.
import fs from 'node:fs';
import path from 'node:path';
import { spawnSync } from 'node:child_process';
import { NOBODY, OUTPUT_MAX, PEER, ROOT, forgetting, main, matches, peer, run, same, skip, start, test, until } from './lib.mjs';

function list(dir, ...args) {
	const r = run(['ls', '--json', ...args]);
	same(r.status, 0);
	return JSON.parse(r.out).filter((s) => s.path.includes(dir));
}

test('each state and type', async (dir) => {
	const at = (name) => path.join(dir, name);
	const socks = { ok: 'stream', gone: 'stream', taken: 'seqpacket', dgram: 'datagram' };
	const pids = {};
	for (const [name, type] of Object.entries(socks))
		pids[name] = (await peer(['listen', type, at(name)])).pid;
	fs.unlinkSync(at('gone'));
	fs.unlinkSync(at('taken'));
	fs.writeFileSync(at('taken'), 'precious');
	const abstract = `@kedge-ls-${process.pid}`;
	await peer(['listen', 'stream', abstract]);

	const states = { ok: 'reachable', gone: 'lost', taken: 'replaced', dgram: 'reachable' };
	const found = list(dir);
	same(found.length, 4);
	for (const s of found) {
		const name = path.basename(s.path);
		same([name, s.state, s.type], [name, states[name], socks[name]]);
		same([s.owner.pid, s.owner.name, s.uid], [pids[name], 'peer', process.getuid()]);
		if (name !== 'dgram') same([s.queued, s.backlog], [0, 64]);
	}
	same(list(abstract)[0].state, 'abstract');
	same(list(dir, '--lost').map((s) => path.basename(s.path)), ['gone', 'taken']);
	const table = run(['ls']).out;
	matches(table, /^STATE +QUEUE +USER +OWNER +GUARD +PATH$/m);
	matches(table, new RegExp(`^lost +0/64 +\\S+ +peer ${pids.gone} +- +.*/gone$`, 'm'));
	if (table.includes('\x1b')) throw new Error('colours into a pipe');
});

test('a datagram socket that somebody is connected to is a server still', async (dir) => {
	const socket = path.join(dir, 's');
	await peer(['listen', 'datagram', socket]);
	// The kernel calls it established from the first connect() on.
	same(run(['check', socket]).status, 0);
	same(list(dir).map((s) => [s.type, s.state]), [['datagram', 'reachable']]);
});

test('clients that wait are counted', async (dir) => {
	const socket = path.join(dir, 's');
	const p = await peer(['full', 'stream', socket]);
	const client = start(process.execPath, ['-e',
		`require('net').connect(${JSON.stringify(socket)}); setTimeout(() => {}, 60000)`]);
	await until(() => list(dir)[0].queued === 1, 'a client in the queue');
	await client.kill();
	await p.kill();
});

test('a guarded path: its published name, and by whom', async (dir, serve) => {
	const s = await serve();
	const [found, ...more] = list(dir);
	same(more, []);
	same([found.path, found.state], [s.socket, 'reachable']);
	same([found.guard.pid, found.guard.name], [s.child.pid, 'kedge']);
});

test('a guard whose anchor directory is elsewhere', async (dir) => {
	if (spawnSync('flock', ['--version']).status !== 0) skip('no flock(1) here');
	const socket = path.join(dir, 's'), shared = path.join(dir, 'shared');
	await peer(['listen', 'stream', socket]);
	fs.mkdirSync(shared);
	// As guard/anchor.h names it: FNV-1a of the directory, and the socket's name.
	let hash = 0xcbf29ce484222325n;
	for (const byte of Buffer.from(dir)) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
	const lock = path.join(shared, `${hash.toString(16).padStart(16, '0')}-s.lock`);
	const guard = start('flock', ['--no-fork', lock, 'sh', '-c', 'echo locked; exec sleep 120']);
	await until(() => guard.out.includes('locked'), 'a lock');
	const [found] = list(socket);
	same([found.guard.pid, found.guard.name], [guard.pid, 'sleep']);
	await guard.kill();
	same('guard' in list(socket)[0], false);
});

test('a relative path is found by the directory of its owner', async (dir) => {
	const p = await peer(['listen', 'stream', 'rel'], { cwd: dir });
	same(list(dir).map((s) => [s.path, s.state]), [[path.join(dir, 'rel'), 'reachable']]);
	fs.unlinkSync(path.join(dir, 'rel'));
	const all = JSON.parse(run(['ls', '--json']).out);
	same(all.find((s) => s.owner?.pid === p.pid).state, 'unknown');
});

test('names that would move a cursor, and names that are no text', async (dir) => {
	await peer(['listen', 'stream', path.join(dir, 'a\x1b[2J\nb é')]);
	matches(run(['ls']).out, /a\?\[2J\?b é$/m);
	same(list(dir).map((s) => path.basename(s.path)), ['a\x1b[2J\nb é']);
	// A byte that no UTF-8 has; node itself can only pass text on.
	const p = start('sh', ['-c', 'exec "$0" listen stream "$1/$(printf "\\377")"', PEER, dir]);
	await until(() => p.out.includes('ready'), 'a daemon stands');
	same(list(dir).map((s) => path.basename(s.path)).includes('\ufffd'), true);
	matches(run(['ls']).out, /\/\?$/m);
});

test('a table that fits its terminal, coloured there and nowhere else', async (dir) => {
	if (spawnSync('script', ['--version']).status !== 0) skip('no script(1) here');
	const deep = path.join(dir, 'x'.repeat(60 - Math.min(dir.length, 50)));
	await peer(['listen', 'stream', deep]);
	const kedge = `'${path.resolve(process.argv[2])}'`;
	const shown = (columns, env = '') =>
		spawnSync('script', ['-qec', `stty cols ${columns}; ${env} ${kedge} ls 2>/dev/null`, '/dev/null'],
			{ encoding: 'utf8', maxBuffer: OUTPUT_MAX, env: { ...process.env, TERM: 'xterm' } }).stdout;
	for (const columns of [40, 60, 80, 200])
		for (const line of shown(columns).split(/\r?\n/)) {
			const plain = line.replace(/\x1b\[[0-9;]*m/g, '');
			if ([...plain].length > columns) throw new Error(`${columns}: ${plain}`);
		}
	matches(shown(80), /\x1b\[32mreachable\x1b\[0m/);
	if (shown(80, 'NO_COLOR=1').includes('\x1b')) throw new Error('colours with NO_COLOR');
});

test('another user sees the sockets, and is told what it may not see', async (dir) => {
	if (!ROOT) skip('needs root');
	const socket = path.join(dir, 's');
	const p = await peer(['listen', 'stream', socket]);
	fs.chmodSync(dir, 0o755);
	fs.copyFileSync(process.argv[2], path.join(dir, 'kedge'));
	const r = spawnSync(path.join(dir, 'kedge'), ['ls', '--json'], { ...NOBODY, encoding: 'utf8', maxBuffer: OUTPUT_MAX });
	same(r.status, 0);
	const s = JSON.parse(r.stdout).find((one) => one.path === socket);
	same([s.state, s.uid, 'owner' in s], ['reachable', 0, false]);
	matches(r.stderr, /run as root/);
	await p.kill();
});

test('a socket in another mount and network namespace', async (dir) => {
	if (!ROOT || spawnSync('unshare', ['-mn', 'true']).status !== 0) skip('needs root and namespaces');
	const p = start('unshare', ['-mn', 'sh', '-c',
		'mount -t tmpfs none "$1" && exec "$0" listen stream "$1/inner"', PEER, dir]);
	await until(() => p.out.includes('ready') || p.status !== null, 'a daemon in its namespace');
	same(list(dir).map((s) => [path.basename(s.path), s.state, s.foreignRoot, s.foreignNetwork]),
		[['inner', 'reachable', true, true]]);
	await p.kill();
});

test('a listener that one list of the kernel leaves out', async (dir) => {
	const socket = path.join(dir, 's');
	const p = await peer(['listen', 'stream', socket]);
	const r = run(['ls', '--json'], { env: forgetting(socket) });
	same(r.status, 0);
	same(JSON.parse(r.out).filter((s) => s.path === socket).map((s) => [s.state, s.owner.pid]),
		[['reachable', p.pid]]);
});

test('wrong usage', () => {
	for (const args of [['--loost'], ['/run/x.sock'], ['--json=1']]) {
		const r = run(['ls', ...args]);
		same(r.status, 2);
		matches(r.err, /^kedge: ls: '.*\n$/);
	}
});

await main();
