// What is under test: servers, a guard, daemons that know nothing of kedge. Each is a process (or,
// as nginx, some) that can be started, killed, stopped and measured, with the paths it answers at.
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { spawn } from 'node:child_process';
import { STRANGER } from './tongues.mjs';

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

// Never a time that is asserted: what a loaded machine cannot need.
export const CAP_MS = 60000;

export async function until(condition, what, step_ms = 2) {
	for (const end = Date.now() + CAP_MS; Date.now() < end; await sleep(step_ms)) {
		const value = await condition();
		if (value) return value;
	}
	throw new Error(`never: ${what}`);
}

const read = (file) => {
	try {
		return fs.readFileSync(file, 'utf8');
	} catch {
		return '';
	}
};
const list = (dir) => {
	try {
		return fs.readdirSync(dir);
	} catch {
		return [];
	}
};

const PROBES = {
	lines: ['{"id":"p","method":"echo"}\n', '{"id":"p","result":{"echoed":null}}\n'],
	resp: ['PING\r\n', '+PONG\r\n'],
	http: ['GET /p HTTP/1.0\r\n\r\n', '/p'],
	word: ['hello\n', 'hello\n'],
};

// Whether who should answer does: 'answered', or why not.
export function probe({ path: at, probe: kind }) {
	const [question, answer] = PROBES[kind];
	return new Promise((done) => {
		let text = '';
		const c = net.createConnection({ path: at });
		const end = (what) => (c.destroy(), done(what));
		c.setTimeout(5000, () => end('no answer'));
		c.on('connect', () => c.write(question));
		c.on('data', (d) => {
			text += d;
			if (text.startsWith(STRANGER)) end('stranger');
			else if (text.endsWith(answer)) end('answered');
		});
		c.on('end', () => end('closed'));
		c.on('error', (e) => end(e.code ?? e.message));
	});
}

export class Thing {
	// @command: what runs it. @paths: where it answers. @own: descriptors that it may have beside
	// connections.
	constructor(soak, { name, command, paths = [], dir, env = {}, options = {} }) {
		Object.assign(this, { soak, name, command, dir, env, options, child: null });
		this.paths = paths.map((p) => ({ ...p, thing: this }));
		this.wanted = false; // it is to run: if it ends, nobody asked it to
		this.ends = 0; // how often we ended it, one way or the other
	}

	async start() {
		const log = fs.openSync(this.log, 'a');
		const [file, ...args] = this.command;
		const child = (this.child = spawn(file, args, {
			stdio: ['ignore', log, log], env: { ...process.env, ...this.env }, cwd: this.soak.dir,
		}));
		fs.closeSync(log);
		child.over = null;
		child.on('error', (e) => (child.over = e.code));
		child.on('close', (code, signal) => {
			child.over = signal ?? code;
			if (this.wanted && this.child === child) {
				this.wanted = false;
				this.soak.violation(`${this.name} ended by itself: ${child.over}: ${this.tail()}`);
			}
		});
		this.wanted = true;
		await until(async () => child.over !== null || (await this.ready()), `${this.name} stands`);
		if (child.over !== null) throw new Error(`${this.name} did not start: ${child.over}: ${this.tail()}`);
	}

	get log() {
		return path.join(this.soak.dir, 'logs', `${this.name}.log`);
	}

	tail() {
		return read(this.log).trim().split('\n').slice(-4).join(' | ').slice(-600);
	}

	async ready() {
		for (const p of this.paths) if ((await this.soak.probe(p)) !== 'answered') return false;
		return true;
	}

	// The processes: those that the first one started come after it.
	get pids() {
		const { pid } = this.child;
		const children = read(`/proc/${pid}/task/${pid}/children`).trim().split(' ').filter(Boolean).map(Number);
		return [pid, ...children];
	}

	signal(signal) {
		for (const pid of this.pids)
			try {
				process.kill(pid, signal);
			} catch (e) {
				if (e.code !== 'ESRCH') throw e;
			}
	}

	// End it; its children are of no use without it.
	async end(signal) {
		const { child, pids } = this;
		this.ends++;
		this.wanted = false;
		if (signal === 'SIGKILL') this.signal('SIGKILL');
		else process.kill(child.pid, signal);
		await until(() => child.over !== null, `${this.name} ends by ${signal}`);
		await until(() => pids.every((pid) => !fs.existsSync(`/proc/${pid}`)), `${this.name} is gone`);
		return child.over;
	}

	measure() {
		const pid = this.child.pid;
		const fds = list(`/proc/${pid}/fd`);
		const watches = list(`/proc/${pid}/fdinfo`).reduce((n, fd) =>
			n + (read(`/proc/${pid}/fdinfo/${fd}`).match(/^inotify wd/gm)?.length ?? 0), 0);
		return {
			rss_kib: Number(/VmRSS:\s+(\d+)/.exec(read(`/proc/${pid}/status`))?.[1] ?? 0),
			fds: fds.length,
			watches,
			anchors: this.anchors(),
			// Of all threads: how often one went to sleep by itself, which is how often it was woken.
			wakeups: list(`/proc/${pid}/task`).reduce((n, tid) =>
				n + Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(read(`/proc/${pid}/task/${tid}/status`))?.[1] ?? 0), 0),
		};
	}

	// Sanitizers keep what was freed.
	get sanitized() {
		return /lib[at]san/.test(read(`/proc/${this.child.pid}/maps`));
	}

	anchors() {
		return [...new Set(this.paths.map((p) => path.dirname(p.path)))].reduce((n, at) => {
			const dir = path.join(at, `.kedge-${process.getuid()}`);
			return n + list(dir).filter((name) => /\.sock\.\d+$|\.anchor/.test(name)).length;
		}, 0);
	}
}

// A server of kedge's own.
export class Served extends Thing {
	constructor(soak, { name, names, args = [], sockets, wrap = [], ...more }) {
		super(soak, {
			name,
			command: [...wrap, soak.kedge, 'serve', ...names, '--interval', '1000', ...args],
			paths: Object.entries(sockets).map(([server, at]) => ({ name: `${name}/${server}`, path: at, probe: 'lines' })),
			...more,
		});
	}
}

const KEDGES = /^\.kedge-|\.lock$|\.lease$/;

// What of kedge's making is left below a directory.
export function leftovers(dir) {
	const left = [];
	const walk = (at) => {
		for (const entry of fs.readdirSync(at, { withFileTypes: true })) {
			const name = path.join(at, entry.name);
			if (entry.isDirectory()) walk(name);
			if (entry.isSocket() || KEDGES.test(entry.name)) left.push(path.relative(dir, name));
		}
	};
	walk(dir);
	return left;
}
