// The adversary's acts: a row each. run() ends when the adversary rests; `act.since` is then the
// moment from which on nothing but kedge keeps the path from being reachable.
import fs from 'node:fs';
import path from 'node:path';
import { spawn } from 'node:child_process';
import { CAP_MS, probe, sleep, until } from './things.mjs';
import {
	fresh, inode, limitFiles, limitOf, limitWatches, mount, removeAll, stale, stranger, trying, unlink, unmount,
} from './world.mjs';

const family = (name, ...servers) => servers.map((s) => `${name}/${s}`);
const THREE = ['gateway', 'assistant', 'assistant-skill'];
// Never ended, so that what it needs can be compared after an hour.
const STEADY = family('steady', ...THREE);
const OURS = [...family('all', ...THREE), ...STEADY, 'keeper/gateway', 'disk/gateway',
	...family('pair', 'assistant', 'assistant-skill'), 'starved/gateway'];
const PATHS = [...OURS, 'redis', 'nginx'];
const SERVERS = ['all', 'keeper', 'disk', 'pair', 'starved'];
const ROOT = (soak) => (soak.root ? null : 'mounting needs root');

const now = () => performance.now();

// Act while who repairs stands still: the only way to be sure to win.
async function whileStopped(things, deed) {
	for (const t of things) t.signal('SIGSTOP');
	try {
		await deed();
	} finally {
		for (const t of things) t.signal('SIGCONT');
	}
}

const keepersOf = (soak, p) => (p.probe === 'lines' ? [p.thing] : [soak.cast.guard]);
const anchorDir = (soak, p) =>
	p.probe === 'lines' ? path.join(path.dirname(p.path), `.kedge-${process.getuid()}`) : soak.cast.guard.dir;

function removeAnchors(dir) {
	if (fs.existsSync(dir))
		for (const entry of fs.readdirSync(dir, { recursive: true }))
			trying(() => fs.unlinkSync(path.join(dir, entry)));
}

const AT_PATHS = {
	unlink: [10, PATHS, async (soak, act, p) => {
		for (let i = 0; i < act.times; i++) {
			act.since = now();
			unlink(p.path);
			await soak.outage(act, [p]);
			await sleep(act.pause_ms / act.times);
		}
	}],
	rename: [5, PATHS, async (soak, act, p) => {
		const to = fresh(p.path, 'away');
		act.since = now();
		const moved = trying(() => fs.renameSync(p.path, to));
		await soak.outage(act, [p]);
		await sleep(act.hold_ms);
		if (moved) fs.unlinkSync(to);
	}],
	'stale socket': [4, PATHS, async (soak, act, p) => {
		await stale(p.path);
		act.since = now();
	}],
	'live stranger': [4, PATHS, async (soak, act, p) => {
		const s = await stranger(p.path);
		for (const end = now() + act.hold_ms; now() < end; await sleep(10))
			if (inode(p.path) !== s.inode) {
				soak.violation(`${p.name}: a live stranger was displaced`);
				break;
			}
		await s.close();
		act.since = now();
	}, { strangers: true }],
	file: [2, PATHS, async (soak, act, p) => {
		act.since = now();
		soak.planted.file(p.path);
	}],
	symlink: [2, PATHS, async (soak, act, p) => {
		act.since = now();
		soak.planted.link(p.path);
	}],
	directory: [3, PATHS, async (soak, act, p) => {
		await whileStopped(keepersOf(soak, p), () => {
			unlink(p.path);
			fs.mkdirSync(p.path);
		});
		await sleep(act.hold_ms);
		if (!fs.lstatSync(p.path, { throwIfNoEntry: false })?.isDirectory())
			soak.violation(`${p.name}: somebody's directory is gone`);
		act.since = now();
		fs.rmdirSync(p.path);
	}],
	chmod: [3, OURS, async (soak, act, p) => {
		act.since = now();
		trying(() => fs.chmodSync(p.path, act.times % 2 ? 0 : 0o777));
		await until(() => (fs.lstatSync(p.path, { throwIfNoEntry: false })?.mode & 0o777) === 0o600,
			`${p.name} has its mode again`);
	}],
	'chmod of the directory': [2, PATHS, async (soak, act, p) => {
		const dir = path.dirname(p.path);
		const { mode } = fs.statSync(dir);
		fs.chmodSync(dir, 0);
		if (soak.root) unlink(p.path);
		await sleep(act.hold_ms);
		act.since = now();
		fs.chmodSync(dir, mode & 0o777);
	}],
	'anchors removed': [3, PATHS, async (soak, act, p) => {
		const dir = anchorDir(soak, p);
		const [lock] = fs.existsSync(dir) ? fs.readdirSync(dir).filter((name) => name.endsWith('.lock')) : [];
		removeAnchors(dir);
		act.since = now();
		// Without its lock a guard would have to share the path with the next one.
		if (lock) await until(() => fs.existsSync(path.join(dir, lock)), `${p.name} is locked again`);
	}],
	'both names removed': [4, OURS, async (soak, act, p) => {
		act.since = now();
		removeAnchors(anchorDir(soak, p));
		unlink(p.path);
	}],
	'directory removed': [3, PATHS, async (soak, act, p) => {
		act.since = now();
		const dir = path.dirname(p.path);
		soak.planted.forget(dir);
		removeAll(dir);
	}],
	'directory moved': [3, PATHS, async (soak, act, p) => {
		const dir = path.dirname(p.path);
		const to = fresh(dir, 'away');
		act.since = now();
		fs.renameSync(dir, to);
		soak.planted.moved(dir, to);
		if (act.times % 2) trying(() => fs.mkdirSync(dir));
		soak.moved.push({ dir: to, thing: p.thing, ends: p.thing.ends, round: soak.round });
	}],
	'directory mounted over': [3, PATHS, async (soak, act, p) => {
		const dir = path.dirname(p.path);
		mount('-t', 'tmpfs', '-o', 'size=4m,mode=755', 'over', dir);
		await sleep(act.hold_ms);
		act.since = now();
		unmount(dir);
	}, { needs: ROOT }],
	'path mounted over': [2, PATHS, async (soak, act, p) => {
		const over = path.join(soak.dir, 'over');
		fs.writeFileSync(over, 'mounted over');
		if (!fs.existsSync(p.path)) return;
		mount('--bind', over, p.path);
		await sleep(act.hold_ms);
		// What kedge mounts on top of it is there again before the next umount.
		await whileStopped(keepersOf(soak, p), () => {
			unmount(p.path);
			act.since = now();
		});
	}, { needs: ROOT }],
};

async function again(act, thing) {
	act.since = now();
	await thing.start();
}

// nginx does not start where a socket of its own that nobody listens at is in its way.
async function daemonAgain(soak, act, thing, signal) {
	const [p] = thing.paths;
	await thing.end(signal);
	await sleep(act.pause_ms);
	if (fs.existsSync(p.path) && (await probe(p)) === 'ECONNREFUSED') unlink(p.path);
	await again(act, thing);
}

const FOREIGN = ['redis', 'nginx'];

function secondOf(thing, soak) {
	const [file, ...args] = thing.command;
	const child = spawn(file, args, { env: { ...process.env, ...thing.env }, cwd: soak.dir });
	const second = { said: '', status: null };
	for (const stream of [child.stdout, child.stderr]) stream.on('data', (d) => (second.said += d));
	child.on('close', (code, signal) => (second.status = signal ?? code));
	second.kill = () => child.kill('SIGKILL');
	return second;
}

const AT_THINGS = {
	'stopped and continued': [4, [...SERVERS, 'steady', ...FOREIGN, 'guard'], async (soak, act, thing) => {
		await whileStopped([thing], async () => {
			if (act.times % 2) for (const p of thing.guarded ?? (thing.paths[0].probe === 'lines' ? thing.paths : []))
				unlink(p.path);
			await sleep(act.hold_ms);
			act.since = now();
		});
	}],
	'server killed': [6, SERVERS, async (soak, act, thing) => {
		await thing.end('SIGKILL');
		await sleep(act.pause_ms);
		await again(act, thing);
	}, { ends: true }],
	'server ended': [3, SERVERS, async (soak, act, thing) => {
		await soak.endWell(thing);
		await again(act, thing);
	}, { ends: true }],
	'daemon killed': [2, FOREIGN, (soak, act, thing) => daemonAgain(soak, act, thing, 'SIGKILL'), { ends: true }],
	'daemon ended': [1, FOREIGN, (soak, act, thing) => daemonAgain(soak, act, thing, 'SIGTERM'), { ends: true }],
	'guard killed': [4, ['guard'], async (soak, act, thing) => {
		await thing.end('SIGKILL');
		for (const p of thing.guarded) if (act.times % 2) unlink(p.path);
		await sleep(act.pause_ms);
		await again(act, thing);
	}],
	'guard ended': [2, ['guard'], async (soak, act, thing) => {
		await soak.endWell(thing);
		await again(act, thing);
	}],
	'second instance': [4, [...SERVERS, 'steady', 'guard'], async (soak, act, thing) => {
		const second = secondOf(thing, soak);
		for (const end = now() + CAP_MS; second.status === null && now() < end;) await sleep(5);
		if (second.status !== 1 || !/EADDRINUSE|guarded already|is guarded/.test(second.said))
			soak.violation(`a second ${thing.name} was not refused: ${second.status}: ${second.said.slice(-300)}`);
		second.kill();
		act.since = now();
	}],
	'no descriptors': [3, [...SERVERS, 'steady', 'guard'], async (soak, act, thing) => {
		const { pid } = thing.child;
		const limit = limitOf(pid);
		limitFiles(pid, thing.measure().fds);
		for (const p of thing.guarded ?? thing.paths) unlink(p.path);
		await sleep(act.hold_ms);
		act.since = now();
		limitFiles(pid, limit);
	}],
	'no inotify': [6, ['starved'], async (soak, act, thing) => {
		const [p] = thing.paths;
		const limit = limitWatches(thing.child.pid, 0);
		if (act.times % 2) removeAnchors(anchorDir(soak, p));
		unlink(p.path);
		await sleep(act.hold_ms);
		act.since = now();
		limitWatches(thing.child.pid, limit);
	}],
	'disk full': [4, ['disk'], async (soak, act, thing) => {
		const free = soak.disk.fill();
		if (act.times % 2) unlink(thing.paths[0].path);
		await sleep(act.hold_ms);
		act.since = now();
		free();
	}],
	'power cut': [5, ['disk'], (soak, act, thing) => soak.powerCut(act, thing)],
};

const kinds = (table, of) => Object.entries(table).map(([name, [weight, targets, run, more]]) =>
	({ name, of, weight, targets, run, ...more }));

export const KINDS = [...kinds(AT_PATHS, 'path'), ...kinds(AT_THINGS, 'thing')];
