// What the operator's tests share beside the gateway's: daemons that know nothing of kedge.
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { spawn } from 'node:child_process';
import { kedge, until } from '../gateway/lib.mjs';

export * from '../gateway/lib.mjs';

export const KEDGE = path.resolve(process.argv[2]);
export const PEER = path.resolve(process.argv[3]);
export const ROOT = process.getuid() === 0;

// Whoever is not root, for tests that root runs: neither it nor its group need exist.
export const NOBODY = { uid: 65534, gid: 65534 };

const children = new Set();
process.on('exit', () => children.forEach((child) => child.kill('SIGKILL')));

// A process of ours: what it says, and how it ends.
export function start(command, args, options = {}) {
	const child = spawn(command, args, options);
	const p = { child, pid: child.pid, out: '', err: '', status: null };
	children.add(child);
	child.stdout.on('data', (d) => (p.out += d));
	child.stderr.on('data', (d) => (p.err += d));
	child.on('close', (code, signal) => {
		p.status = signal ?? code;
		children.delete(child);
	});
	p.ended = () => until(() => p.status !== null, `${command} ends`).then(() => p.status);
	p.kill = (signal = 'SIGKILL') => {
		child.kill(signal);
		return p.ended();
	};
	return p;
}

export const startKedge = (args, options) => start(KEDGE, args, options);

export async function peer(args, options) {
	const p = start(PEER, args, options);
	await until(() => p.out.includes('ready') || p.status !== null, 'a daemon stands');
	if (p.status !== null) throw new Error(`the daemon failed: ${p.err}`);
	return p;
}

// What a client gets back for a word; an error's code where it gets nothing.
export function echo(socket, word = 'hello') {
	return new Promise((done) => {
		const c = net.connect({ path: socket });
		c.setTimeout(10000, () => c.destroy(new Error('ETIMEDOUT')));
		c.on('connect', () => c.write(word));
		c.on('data', (d) => (done(String(d)), c.destroy()));
		c.on('error', (e) => done(e.code ?? e.message));
		c.on('close', () => done('closed'));
	});
}

// An environment in which the first list of sockets that the kernel gives leaves one out.
export function forgetting(socket) {
	const line = fs.readFileSync('/proc/net/unix', 'utf8').split('\n').find((l) => l.endsWith(` ${socket}`));
	return {
		...process.env,
		FORGET: line.split(/\s+/)[6],
		LD_PRELOAD: path.resolve(process.argv[4]),
		// A sanitizer wants to be first, and is as well when it is not.
		ASAN_OPTIONS: `${process.env.ASAN_OPTIONS ?? ''}:verify_asan_link_order=0`,
	};
}

export function run(args, options) {
	const r = kedge(args, options);
	return { status: r.status, out: r.stdout, err: r.stderr };
}

export function matches(text, pattern) {
	if (!pattern.test(text)) throw new Error(`got ${JSON.stringify(text)}, wanted ${pattern}`);
}
