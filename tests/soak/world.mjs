// What the adversary does to files and processes, and keeps an account of: what it has put where,
// so that it can be asked afterwards whether anybody removed what was not theirs.
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { spawnSync } from 'node:child_process';
import { STRANGER } from './tongues.mjs';

// Losing a race against a guard is no failure of the adversary's.
const LOST = new Set(['ENOENT', 'EEXIST', 'ENOTEMPTY', 'EISDIR', 'EBUSY']);
export function trying(act) {
	try {
		act();
		return true;
	} catch (e) {
		if (!LOST.has(e.code)) throw e;
		return false;
	}
}

// Names of the adversary's own.
let names = 0;
export const fresh = (at, what) => `${at}.${what}-${++names}`;
export const isOurs = (name) => /\.(away|stale|stranger|file|link)-\d+$/.test(name);

export const inode = (at) => fs.lstatSync(at, { throwIfNoEntry: false })?.ino;

export function unlink(at) {
	return trying(() => fs.unlinkSync(at));
}

// A guard may make its things again while they are removed.
export function removeAll(dir) {
	for (let i = 0; i < 1000; i++) if (trying(() => fs.rmSync(dir, { recursive: true, force: true }))) return;
	throw new Error(`${dir} cannot be removed: it is always made again`);
}

// Files, links and directories of the adversary's: never to be removed by anybody else.
export class Planted {
	constructor() {
		this.all = [];
		this.count = 0;
	}

	file(at) {
		const text = `precious ${++this.count}`;
		const from = fresh(at, 'file');
		fs.writeFileSync(from, text);
		this.put(from, at, (name) => fs.lstatSync(name).isFile() && fs.readFileSync(name, 'utf8') === text);
	}

	link(at) {
		const target = `/nowhere/precious-${++this.count}`;
		const from = fresh(at, 'link');
		fs.symlinkSync(target, from);
		this.put(from, at, (name) => fs.lstatSync(name).isSymbolicLink() && fs.readlinkSync(name) === target);
	}

	put(from, at, is) {
		fs.renameSync(from, at);
		this.all.push({ at, is });
	}

	// The adversary has removed its directory, with all in it.
	forget(dir) {
		this.all = this.all.filter((one) => path.dirname(one.at) !== dir);
	}

	moved(dir, to) {
		for (const one of this.all)
			if (path.dirname(one.at) === dir) one.at = path.join(to, path.basename(one.at));
	}

	// Each must stand at its path, or beside it under the name it was moved to: then it goes, by
	// our hand. Return: those that are not there.
	collect() {
		const missing = [];
		for (const one of this.all.splice(0)) {
			const dir = path.dirname(one.at);
			const found = fs.readdirSync(dir).map((name) => path.join(dir, name))
				.find((name) => name.startsWith(one.at) && !fs.lstatSync(name).isDirectory() && one.is(name));
			if (found) fs.unlinkSync(found);
			else missing.push(one.at);
		}
		return missing;
	}
}

// A listener of the adversary's own at a path, in place of what is there.
export async function stranger(at) {
	const from = fresh(at, 'stranger');
	const clients = new Set();
	const server = net.createServer((c) => {
		clients.add(c);
		c.on('error', () => {});
		c.on('close', () => clients.delete(c));
		c.end(STRANGER);
	});
	await new Promise((done, fail) => server.on('error', fail).listen(from, done));
	fs.renameSync(from, at);
	return {
		inode: inode(at),
		// The name stays: a stale socket. (Node removes the name that it bound, which is gone.)
		close: () => new Promise((done) => {
			server.close(done);
			for (const c of clients) c.destroy();
		}),
	};
}

// A socket that nobody listens at, in place of what is there.
export async function stale(at) {
	const aside = fresh(at, 'stale');
	const s = await stranger(aside);
	await s.close();
	fs.renameSync(aside, at);
}

export function mount(...args) {
	const r = spawnSync('mount', args, { encoding: 'utf8' });
	if (r.status !== 0) throw new Error(`mount ${args.join(' ')}: ${r.stderr.trim()}`);
}

export const mounts = () => fs.readFileSync('/proc/self/mountinfo', 'utf8').trim().split('\n')
	.map((line) => line.split(' ')[4].replace(/\\([0-7]{3})/g, (_, code) => String.fromCharCode(parseInt(code, 8))));

// What was mounted on top of it meanwhile goes as well.
export function unmount(at) {
	for (let i = 0; i < 100 && mounts().includes(at); i++) spawnSync('umount', ['-l', at]);
	if (mounts().includes(at)) throw new Error(`${at} is always mounted over again`);
}

export function limitFiles(pid, soft) {
	const r = spawnSync('prlimit', ['--pid', `${pid}`, `--nofile=${soft}:`], { encoding: 'utf8' });
	if (r.status !== 0) throw new Error(`prlimit: ${r.stderr.trim()}`);
}

export function limitOf(pid) {
	const line = fs.readFileSync(`/proc/${pid}/limits`, 'utf8').split('\n').find((l) => l.startsWith('Max open files'));
	return Number(line.split(/\s{2,}/)[1]);
}

// Of the user namespace that the process is in, and of no other.
export function limitWatches(pid, count) {
	const r = spawnSync('nsenter', ['-t', `${pid}`, '-U', '--preserve-credentials', 'sh', '-c',
		'cat /proc/sys/user/max_inotify_watches && echo "$1" >/proc/sys/user/max_inotify_watches', 'sh', `${count}`],
	{ encoding: 'utf8' });
	if (r.status !== 0) throw new Error(`max_inotify_watches: ${r.stderr.trim()}`);
	return Number(r.stdout.trim());
}
