// How servers start and stop: what stands at the path, who is first, what stays.
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { spawn, spawnSync } from 'node:child_process';
import { KEDGE, call, connect, kedge, main, same, serve as serveIn, serveNames, test, until } from '../gateway/lib.mjs';

const gateway = (dir) => path.join(dir, 'gateway.sock');
const start = (dir, ...args) => kedge(['serve', 'gateway', '--workspace', dir, '--log-level', 'error', ...args]);
const left = (dir) => fs.readdirSync(dir).filter((n) => n.includes('sock') || n.includes('kedge'));

// A server of somebody else's that listens and never accepts.
async function deaf(socket) {
	const program = `require('net').createServer().listen({ path: process.argv[1], backlog: 1 }, () => {
		require('fs').writeSync(1, 'listening'); Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0); })`;
	const child = spawn(process.execPath, ['-e', program, socket]);
	let out = '';
	child.stdout.on('data', (d) => (out += d));
	await until(() => out.includes('listening'), 'the deaf server');
	return child;
}

test('EADDRINUSE: somebody listens', async (dir) => {
	for (const name of ['gateway', 'assistant', 'assistant-skill']) {
		const socket = path.join(dir, `${name}.sock`);
		const other = net.createServer();
		await new Promise((done) => other.listen(socket, done));
		const child = spawn(KEDGE, ['serve', name, '--workspace', dir, '--log-level', 'error']);
		let text = '', status = null;
		child.stderr.on('data', (d) => (text += d));
		child.on('close', (code) => (status = code));
		await until(() => status !== null, 'the end');
		same([name, status, text], [name, 1, `kedge: EADDRINUSE: another daemon is listening at ${socket}\n`]);
		same((await connect(socket)).destroy().destroyed, true);
		await new Promise((done) => other.close(done));
	}
});

test('EADDRINUSE: the probe does not settle', async (dir) => {
	const other = await deaf(gateway(dir));
	const waiting = Array.from({ length: 8 }, () => net.connect(gateway(dir)).on('error', () => {}));
	const r = start(dir);
	other.kill('SIGKILL');
	for (const c of waiting) c.destroy();
	same([r.status, r.stderr],
		[1, `kedge: EADDRINUSE: probe-connect to ${gateway(dir)} did not settle within 2000ms\n`]);
	same(left(dir), ['gateway.sock']);
	// Once it is dead its socket is stale, and replaced.
	const server = await serveIn(dir);
	same((await call(server.socket, 'echo')).result, { echoed: null });
});

test('what is no socket is left as it is, and said', async (dir) => {
	const make = {
		file: (p) => fs.writeFileSync(p, 'precious'), directory: (p) => fs.mkdirSync(p),
		pipe: (p) => same(spawnSync('mkfifo', [p]).status, 0), link: (p) => fs.symlinkSync('/nowhere', p),
		'link to a file': (p) => fs.symlinkSync(path.join(dir, 'target'), p),
	};
	fs.writeFileSync(path.join(dir, 'target'), 'precious');
	for (const [kind, put] of Object.entries(make)) {
		put(gateway(dir));
		const before = fs.lstatSync(gateway(dir));
		const r = start(dir);
		const after = fs.lstatSync(gateway(dir));
		const words = kind === 'directory' ? 'a directory stands at' : 'a file that is not a socket stands at';
		same([kind, r.status, r.stderr.startsWith(`kedge: ${words} ${gateway(dir)}: `)], [kind, 2, true]);
		same([kind, after.ino, after.mtimeMs, left(dir)], [kind, before.ino, before.mtimeMs, ['gateway.sock']]);
		fs.rmSync(gateway(dir), { recursive: true });
	}
	same(fs.readFileSync(path.join(dir, 'target'), 'utf8'), 'precious');
});

test('many start at once: one serves, the others say so and leave nothing', async (dir) => {
	for (let round = 0; round < 5; round++) {
		const all = Array.from({ length: 4 }, () => {
			const child = spawn(KEDGE, ['serve', 'all', '--workspace', dir]);
			const one = { child, log: '', status: null };
			child.stdout.on('data', (d) => (one.log += d));
			child.stderr.on('data', (d) => (one.log += d));
			child.on('close', (code) => (one.status = code));
			return one;
		});
		const over = () => all.filter((s) => s.status !== null);
		await until(() => over().length === 3 && all.some((s) => s.log.includes('assistant-skill: listening')), 'one is left');
		for (const s of over()) same([s.status, s.log.includes('EADDRINUSE: another daemon is listening at ')], [1, true]);
		for (const name of ['gateway', 'assistant', 'assistant-skill'])
			same((await call(path.join(dir, `${name}.sock`), 'echo')).result, { echoed: null });
		const winner = all.find((s) => s.status === null);
		winner.child.kill('SIGTERM');
		await until(() => winner.status !== null, 'the end');
		same([winner.status, left(dir)], [0, []]);
	}
});

test('killed again and again: the next one serves at once, and leaves nothing', async (dir) => {
	for (let i = 0; i < 5; i++) {
		const server = await serveNames(dir, ['all']);
		for (const name of ['gateway', 'assistant', 'assistant-skill'])
			same((await call(server[name], 'echo')).result, { echoed: null });
		await server.end('SIGKILL');
		same(left(dir).length, 4);
	}
	const server = await serveNames(dir, ['all']);
	same([await server.end(), left(dir)], [0, []]);
});

// One call on a connection of its own: what became of it.
function once(socket, counts) {
	return new Promise((done) => {
		let text = '', connected = false;
		const c = net.connect(socket);
		const end = (what) => {
			counts[what] = (counts[what] ?? 0) + 1;
			c.destroy();
			done(what);
		};
		c.setEncoding('utf8');
		c.on('connect', () => {
			connected = true;
			c.write('{"id":"1","method":"set_conversation_threshold","params":{"conversationId":"c","threshold":"low"}}\n');
		});
		c.on('data', (d) => (text += d).endsWith('\n') && end(JSON.parse(text).result ? 'answered' : 'failed'));
		c.on('end', () => end('unanswered'));
		c.on('error', (e) => end(connected ? `lost: ${e.code}` : e.code));
	});
}

test('SIGTERM under load: what was read is answered, nothing is half an answer', async (dir) => {
	const server = await serveIn(dir);
	const counts = {};
	let stop = false;
	const load = Array.from({ length: 8 }, async () => {
		while (!stop) await once(server.socket, counts);
	});
	await until(() => counts.answered > 200, 'load');
	same(await server.end(), 0);
	stop = true;
	await Promise.all(load);
	same([counts.failed, left(dir)], [undefined, []]);
	// Those in the queue, and those that had just been let in, see a close; nobody hangs.
	const other = Object.keys(counts).filter((k) => !/^(answered|unanswered|ENOENT|ECONNREFUSED|ECONNRESET|lost: (EPIPE|ECONNRESET))$/.test(k));
	same(other, []);
});

test('under load while the path is removed all the time every call that connects is answered', async (dir) => {
	const server = await serveIn(dir);
	const counts = {};
	let stop = false;
	const load = Array.from({ length: 4 }, async () => {
		while (!stop) await once(server.socket, counts);
	});
	for (let removed = 0; removed < 300;) {
		try {
			fs.unlinkSync(server.socket);
			removed++;
		} catch (e) {
			if (e.code !== 'ENOENT') throw e;
		}
		await new Promise((done) => setTimeout(done, 1));
	}
	stop = true;
	await Promise.all(load);
	same(await server.end(), 0);
	same([counts.answered > 0, Object.keys(counts).filter((k) => k !== 'answered' && k !== 'ENOENT')], [true, []]);
	same(left(dir), []);
});

main();
