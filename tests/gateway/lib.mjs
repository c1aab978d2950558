// What the gateway's tests share: a server in a workspace of its own, a client that speaks
// lines over node:net and knows nothing of kedge's code, and TAP.
import net from 'node:net';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { spawn, spawnSync } from 'node:child_process';

export const KEDGE = path.resolve(process.argv[2]);
const CAP_MS = 60000;
// More than the grace time of what is in flight.
const STOP_MS = 3000;
// kedge ls speaks of every socket of the machine, and others may have thousands.
export const OUTPUT_MAX = 1 << 28;
const cases = [];
const servers = [];

export const test = (name, run) => cases.push({ name, run });
export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

export async function until(condition, what) {
	for (const end = Date.now() + CAP_MS; Date.now() < end; await sleep(5)) {
		const value = await condition();
		if (value) return value;
	}
	throw new Error(`never: ${what}`);
}

export function same(got, wanted) {
	const [a, b] = [got, wanted].map((v) => (typeof v === 'string' ? v : JSON.stringify(v)));
	if (a !== b) throw new Error(`got ${a}, wanted ${b}`);
}

export const kedge = (args, options = {}) =>
	spawnSync(KEDGE, args, { encoding: 'utf8', timeout: CAP_MS, maxBuffer: OUTPUT_MAX, ...options });

// Where every kedge of these tests can be asked; not among those of the machine.
if (!process.env.KEDGE_RUNTIME_DIR) {
	const runtime = fs.mkdtempSync(path.join(os.tmpdir(), 'kedge rt-'));
	process.env.KEDGE_RUNTIME_DIR = runtime;
	process.on('exit', () => fs.rmSync(runtime, { recursive: true, force: true }));
}

export const workspace = () => fs.mkdtempSync(path.join(os.tmpdir(), 'kedge gw-'));

// Serve some servers in a workspace: their sockets by name, and the log as it grows.
export async function serveNames(dir, names, ...args) {
	const child = spawn(KEDGE, ['serve', ...names, '--workspace', dir, ...args]);
	const server = { dir, child, log: '', status: null };
	const count = names.includes('all') ? 3 : new Set(names).size;
	for (const name of ['gateway', 'assistant', 'assistant-skill'])
		server[name] = path.join(dir, `${name}.sock`);
	server.socket = names.length === 1 && server[names[0]] || server.assistant;
	servers.push(server);
	child.on('error', (e) => (server.status = e.code));
	child.stdin.on('error', () => {});
	child.stdout.on('data', (d) => (server.log += d));
	child.stderr.on('data', (d) => (server.log += d));
	child.on('close', (code, signal) => (server.status = signal ?? code));
	server.end = async (signal = 'SIGTERM') => {
		child.kill(signal);
		await until(() => server.status !== null, 'the server ends');
		return server.status;
	};
	// As at any other stop, so that leaving is tried in every case; at once where that hangs.
	server.stop = async () => {
		const hurry = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
		await server.end().finally(() => clearTimeout(hurry));
	};
	const listening = () => server.log.split('listening at').length - 1;
	await until(() => server.status !== null || listening() >= count, 'a start');
	if (server.status !== null) throw new Error(`the server ended at its start: ${server.status}`);
	return server;
}

export const serve = (dir, ...args) => serveNames(dir, ['gateway'], ...args);

// A connection that keeps what it gets, line by line. One that breaks is over, and no more:
// a server may well be gone before its client has written all.
export function connect(socket) {
	return new Promise((done, fail) => {
		const c = net.createConnection({ path: socket, allowHalfOpen: true });
		c.text = '';
		c.over = false;
		c.setEncoding('utf8');
		c.on('data', (d) => (c.text += d));
		c.on('end', () => (c.over = true));
		c.on('close', () => (c.over = true));
		c.on('error', fail);
		c.on('connect', () => done(c));
		c.lines = (n) =>
			until(() => c.text.split('\n').length > n || c.over, `${n} lines`).then(() =>
				c.text.split('\n').slice(0, -1));
	});
}

export async function ask(socket, text, n = 1) {
	const c = await connect(socket);
	c.write(text);
	const lines = await c.lines(n);
	c.destroy();
	return lines;
}

export async function call(socket, method, params) {
	const [line] = await ask(socket, JSON.stringify({ id: '1', method, params }) + '\n');
	if (line === undefined) throw new Error(`closed before ${method} was answered`);
	return JSON.parse(line);
}

// Remove a directory in which a guard makes its things again: it may be quicker, also always.
export function removeAll(dir) {
	for (let i = 0; i < 200; i++) {
		try {
			fs.rmSync(dir, { recursive: true, force: true });
			return;
		} catch (e) {
			if (e.code !== 'ENOTEMPTY') throw e;
		}
	}
}

class Skip extends Error {}
export const skip = (why) => {
	throw new Skip(why);
};

// What nobody waits for (an 'error' event without a listener, a lost promise) fails the case
// that is running, and the next ones still run.
let astray = () => {};
process.on('uncaughtException', (e) => astray(e));
process.on('unhandledRejection', (e) => astray(e));

async function outcome(run, dir) {
	const stray = new Promise((_, fail) => (astray = fail));
	stray.catch(() => {});
	try {
		await Promise.race([run(dir, (...args) => serve(dir, ...args)), stray]);
		return null;
	} catch (e) {
		return e;
	}
}

async function clean(dir) {
	for (const server of servers.splice(0))
		if (server.status === null) await server.stop();
	fs.rmSync(dir, { recursive: true, force: true });
}

export async function main() {
	let failed = 0;
	console.log(`1..${cases.length}`);
	for (const [i, { name, run }] of cases.entries()) {
		const dir = workspace();
		const e = await outcome(run, dir);
		const logs = servers.map((s) => s.log).join('');
		if (e instanceof Skip) {
			console.log(`ok ${i + 1} - ${name} # SKIP ${e.message}`);
		} else if (e) {
			failed++;
			console.log(`not ok ${i + 1} - ${name}`);
			console.log(`${e.stack ?? e}\n${logs}`.replace(/^/gm, '# '));
		} else {
			console.log(`ok ${i + 1} - ${name}`);
		}
		await clean(dir).catch((e) => console.log(`# left behind: ${e.message}`));
	}
	process.exit(failed ? 1 : 0);
}
