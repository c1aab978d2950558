// What the guard's tests share: a guard with a runtime directory of its own, daemons that do as
// they are told, strangers that remove paths.
import fs from 'node:fs';
import path from 'node:path';
import { spawn, spawnSync } from 'node:child_process';
import { KEDGE, sleep, start, test as plainTest, until } from './lib.mjs';

const started = [];

// A test that ends what it started before its directory is removed.
export const test = (name, run) =>
	plainTest(name, async (dir) => {
		try {
			await run(dir);
		} finally {
			for (const p of started.splice(0))
				if (p.status === null) p.child.kill('SIGKILL');
			await sleep(20);
		}
	});

export const DAEMON = path.resolve(process.argv[3]);
export const RESTARTER = path.resolve(process.argv[4] ?? '');

// @wrap: what runs it, in its own place: ['unshare', '-n'].
export async function daemon(socket, type = 'stream', { wrap = [], ...options } = {}) {
	const [command, ...args] = [...wrap, DAEMON, socket, type];
	const d = start(command, args, options);
	started.push(d);
	d.say = async (word) => {
		const seen = d.out.length;
		d.child.stdin.write(word + '\n');
		await until(() => /\n/.test(d.out.slice(seen)) || d.status !== null, word);
		return d.out.slice(seen).trim().split('\n');
	};
	await until(() => d.out.includes('ready') || d.status !== null, 'a daemon stands');
	if (d.status !== null) throw new Error(`the daemon failed: ${d.status} ${d.err}`);
	return d;
}

// Who answers at a path: a pid as text, or why nobody does.
export const ask = (socket, type = 'stream') =>
	spawnSync(DAEMON, [socket, type, 'ask'], { encoding: 'utf8', timeout: 20000 }).stdout.trim();

export const environment = (dir) => ({ ...process.env, KEDGE_RUNTIME_DIR: path.join(dir, 'rt') });

// A guard that has begun; its events as they come in g.events.
export async function guard(dir, args, options = {}) {
	const command = options.wrap ? [...options.wrap, KEDGE] : [KEDGE];
	const g = start(command[0], [...command.slice(1), 'guard', '--log-format', 'json', ...args],
		{ env: environment(dir), ...options });
	started.push(g);
	g.events = () =>
		g.err.split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
	// A guard that gets its inotify after it began says `recovered` as well, and of no path: where
	// many tests had used all instances up for a moment, that came before any path was back.
	g.of = (kind) =>
		g.events().filter((e) => e.event === kind && (e.path || kind !== 'recovered'));
	g.saw = (kind, n = 1) =>
		until(() => {
			if (g.of(kind).length < n && g.status !== null)
				throw new Error(`the guard ended (${g.status}): ${g.err}`);
			return g.of(kind).length >= n;
		}, `${n} ${kind}`);
	g.end = () => g.kill('SIGTERM');
	if (options.fails) return g;
	await until(() => g.out.includes('guarding') || g.status !== null, 'the guard begins');
	if (g.status !== null) throw new Error(`the guard failed: ${g.err}`);
	return g;
}

// Programs that are neither the daemon's nor ours.
// One that stays to be asked who it is.
export const python = (code, ...args) =>
	spawn('python3', ['-c', `import os,sys,time; ${code}; time.sleep(2)`, ...args]);
export const rm = (file) => spawnSync('rm', ['-f', file]);
export const mv = (from, to) => spawnSync('mv', ['-f', from, to]);
// The guard may put the path back while rm is in the directory: until it is gone with all.
export const rmdir = (dir) => {
	for (let i = 0; i < 1000 && spawnSync('rm', ['-rf', dir]).status !== 0; i++);
};

export const exists = (file) => fs.lstatSync(file, { throwIfNoEntry: false }) !== undefined;
export const inode = (file) => fs.lstatSync(file).ino;

// Nothing of kedge is left below a directory.
export const leftovers = (dir) =>
	fs.readdirSync(dir, { recursive: true }).filter((n) => /\.kedge|\.lease|\.lock/.test(n));
