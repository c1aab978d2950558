// A guard that keeps a path by a bind mount, and is killed: the next one knows the mount for what it
// is. All mounts are in a namespace of the daemon's own.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { spawnSync } from 'node:child_process';
import { KEDGE, ROOT, main, matches, same, skip, until } from './lib.mjs';
import { DAEMON, daemon, environment, guard, test } from './guarding.mjs';

const PRIVATE = ['unshare', '-m', '--propagation', 'private'];

// A daemon at @name in a directory of a private namespace, and ways to do things there.
async function place(dir, name) {
	if (!ROOT || spawnSync(PRIVATE[0], [...PRIVATE.slice(1), 'true']).status !== 0)
		skip('no mount namespace to be had');
	const own = path.join(dir, 'own');
	fs.mkdirSync(own);
	const d = await daemon(path.join(own, name), 'stream', { wrap: PRIVATE });
	const wrap = ['nsenter', '-t', String(d.pid), '-m'];
	const inside = (...args) => spawnSync(wrap[0], [...wrap.slice(1), ...args],
		{ encoding: 'utf8', timeout: 20000, env: environment(dir) });
	const socket = path.join(own, 's');
	return {
		d, own, wrap, socket,
		run(...args) {
			const r = inside(...args);
			if (r.status !== 0) throw new Error(`${args}: ${r.stderr}`);
		},
		kedge(...args) {
			const r = inside(KEDGE, ...args);
			return { status: r.status, err: r.stderr };
		},
		answers: () => inside(DAEMON, socket, 'stream', 'ask').stdout.trim(),
	};
}

// As whoever is in the namespace sees it: @pid is one of them.
const seen = (pid, file) => `/proc/${pid}/root${file}`;
const mounts = (pid) => fs.readFileSync(`/proc/${pid}/mountinfo`, 'utf8').split('\n');
// Blanks are escaped there.
const point = (line) => line.split(' ')[4]?.replaceAll('\\040', ' ');
const mountsAt = (pid, file) => mounts(pid).filter((line) => point(line) === file).length;
const names = (pid, dir) => fs.readdirSync(seen(pid, dir));

// The number of the mount in the lock's note, behind two generations and the run of the machine.
function noted(pid, own) {
	try {
		return Number(fs.readFileSync(seen(pid, `${own}/.kedge-0/s.lock`), 'utf8').split(/\s+/).filter(Boolean)[3]);
	} catch {
		return 0;
	}
}

// Before that the kernel gives mounts no numbers that are theirs for ever.
function needNumbers() {
	const [major, minor] = os.release().split('.').map(Number);
	if (major < 6 || (major === 6 && minor < 8)) skip('Linux 6.8 is needed');
}

// A guard whose path is mounted over, that mounts the listener there, and is killed.
async function killMounted(dir, p, args = []) {
	const g = await guard(dir, [...args, p.socket], { wrap: p.wrap });
	p.run('mount', '-t', 'tmpfs', '-o', 'mode=0755', 'over', p.own);
	await g.saw('bind-mounted');
	await until(() => noted(p.d.pid, p.own), 'the mount is noted');
	await g.kill('SIGKILL');
	same([mountsAt(p.d.pid, p.socket), p.answers()], [1, String(p.d.pid)]);
}

test('the mount of a killed guard is taken over, and goes with its daemon', async (dir) => {
	needNumbers();
	const p = await place(dir, 's');
	await killMounted(dir, p);
	let g;
	for (let i = 0; i < 3; i++) {
		g = await guard(dir, [p.socket], { wrap: p.wrap });
		same([mountsAt(p.d.pid, p.socket), p.answers()], [1, String(p.d.pid)]);
		// It is guarded as one of its own making.
		p.run('umount', p.socket);
		await g.saw('recovered');
		same([mountsAt(p.d.pid, p.socket), p.answers()], [1, String(p.d.pid)]);
		if (i < 2) {
			await until(() => noted(p.d.pid, p.own), 'the new mount is noted');
			await g.kill('SIGKILL');
		}
	}
	await p.d.kill('SIGKILL');
	await g.saw('awaited');
	same([mountsAt(g.pid, p.socket), names(g.pid, p.own).includes('s')], [0, false]);
	same(await g.end(), 0);
});

test('what was mounted over the directory goes: the path below is guarded as before', async (dir) => {
	needNumbers();
	const p = await place(dir, 's');
	await killMounted(dir, p);
	const g = await guard(dir, [p.socket], { wrap: p.wrap });
	p.run('umount', '-l', p.own);
	await until(() => names(p.d.pid, p.own).includes('.kedge-0'), 'it is anchored there');
	for (let i = 1; i <= 3; i++) {
		p.run('rm', p.socket);
		await until(() => p.answers() === String(p.d.pid), 'the path is back');
	}
	same([mountsAt(p.d.pid, p.socket), await g.end()], [0, 0]);
});

test('guard and daemon killed: the mount goes at the next start', async (dir) => {
	needNumbers();
	const p = await place(dir, 's');
	// Somebody who stays in the namespace when the daemon is gone.
	const stay = await daemon(path.join(dir, 'stay'), 'stream', { wrap: p.wrap });
	await killMounted(dir, p);
	await p.d.kill('SIGKILL');
	same(mountsAt(stay.pid, p.socket), 1);
	const wrap = ['nsenter', '-t', String(stay.pid), '-m'];
	const g = await guard(dir, ['--wait', p.socket], { wrap });
	same([mountsAt(stay.pid, p.socket), names(stay.pid, p.own).includes('s')], [0, false]);
	const next = await daemon(p.socket, 'stream', { wrap });
	await g.saw('listening');
	same(next.status, null);
	same(await g.end(), 0);
	same(names(stay.pid, p.own), ['s']);
});

test('a stale socket is not taken for one of its number on another tmpfs', async (dir) => {
	const p = await place(dir, 's');
	const at = (name) => path.join(dir, name, 's');
	for (const name of ['one', 'two']) {
		fs.mkdirSync(path.join(dir, name));
		p.run('mount', '-t', 'tmpfs', '-o', 'mode=0755', name, path.join(dir, name));
	}
	const [one, two] = [await daemon(at('one'), 'stream', { wrap: p.wrap }), await daemon(at('two'), 'stream', { wrap: p.wrap })];
	const inode = (name) => fs.statSync(seen(p.d.pid, at(name))).ino;
	if (inode('one') !== inode('two')) skip('each tmpfs has numbers of its own here');
	const g = await guard(dir, [at('two')], { wrap: p.wrap });
	await two.kill('SIGKILL');
	await g.saw('awaited');
	same(await g.end(), 0);
	const r = p.kedge('guard', at('two'));
	same([r.status, one.status], [1, null]);
	matches(r.err, /nobody listens at .*two\/s: start its daemon first/);
});

test('a mount that nobody noted is left, and named with what to do', async (dir) => {
	const p = await place(dir, 's');
	const other = path.join(dir, 'other one');
	const at = path.join(other, 's');
	fs.mkdirSync(other);
	p.run('mount', '-t', 'tmpfs', '-o', 'mode=0755', 'other', other);
	fs.writeFileSync(seen(p.d.pid, at), '');
	p.run('mount', '--bind', p.socket, at);
	const before = mounts(p.d.pid);
	const [number, , , root] = before.find((line) => point(line) === at).split(' ');
	const r = p.kedge('guard', at);
	same(r.status, 1);
	matches(r.err, /^kedge: no anchor can be kept for .*: it is a mount of its own, number \d+ /);
	same([r.err.includes(`number ${number} (${root} of `), r.err.endsWith(`umount '${at}'\n`)], [true, true]);
	same(mounts(p.d.pid), before);
	same(names(p.d.pid, other), ['s']);
});

await main();
