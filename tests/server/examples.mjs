// The examples, run: each answers, comes back when its path is lost, and leaves nothing.
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { spawn } from 'node:child_process';

const [echo, stream, event] = process.argv.slice(2, 5);
const CAP_MS = 30000;

async function until(condition, what) {
	for (const end = Date.now() + CAP_MS; Date.now() < end; await new Promise((d) => setTimeout(d, 5)))
		if (await condition()) return;
	throw new Error(`never: ${what}`);
}

function same(got, wanted) {
	const [a, b] = [got, wanted].map((v) => JSON.stringify(v));
	if (a !== b) throw new Error(`got ${a}, wanted ${b}`);
}

// Send, half-close, and collect all that comes.
const exchange = (socket, bytes) =>
	new Promise((done, fail) => {
		const pieces = [];
		const c = net.createConnection({ path: socket, allowHalfOpen: true }, () => c.end(bytes));
		c.on('data', (d) => pieces.push(d));
		c.on('end', () => done(Buffer.concat(pieces)));
		c.on('error', fail);
	});

const line = async (socket, request) =>
	JSON.parse(await exchange(socket, JSON.stringify(request) + '\n'));

const frame = (value) => {
	const text = Buffer.from(JSON.stringify(value));
	const size = Buffer.alloc(4);
	size.writeUInt32BE(text.length);
	return Buffer.concat([size, text]);
};

function frames(bytes) {
	const all = [];
	for (let at = 0; at < bytes.length; at += 4 + bytes.readUInt32BE(at))
		all.push(bytes.subarray(at + 4, at + 4 + bytes.readUInt32BE(at)).toString());
	return all;
}

async function withServer(program, use) {
	const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'kedge ex-'));
	const run = path.join(dir, 'run');
	const socket = path.join(run, 'x.sock');
	fs.mkdirSync(run);
	const child = spawn(program, [socket], { stdio: 'inherit' });
	let status = null;
	child.on('close', (code, signal) => (status = signal ?? code));
	try {
		await until(() => fs.existsSync(socket) || status !== null, 'a start');
		await use(socket);
		const answers = () => exchange(socket, '').then(() => true, () => false);
		fs.unlinkSync(socket);
		await until(answers, 'the path is back');
		try {
			fs.rmSync(run, { recursive: true });
		} catch (e) {
			// The guard is quicker than the one who removes: then part of it is back already.
			if (e.code !== 'ENOTEMPTY') throw e;
		}
		await until(answers, 'the path is back, with its directory');
		await use(socket);
		child.kill('SIGTERM');
		await until(() => status !== null, 'the end');
		same([status, fs.readdirSync(run)], [0, []]);
	} finally {
		if (status === null) child.kill('SIGKILL');
		fs.rmSync(dir, { recursive: true, force: true });
	}
}

const tests = {
	'echo-server': () => withServer(echo, async (socket) => {
		same(await line(socket, { id: '1', method: 'echo', params: { hello: 'world' } }),
			{ id: '1', result: { hello: 'world' } });
		same((await line(socket, { id: '1', method: 'nope' })).statusCode, 404);
	}),
	'stream-server': () => withServer(stream, async (socket) => {
		const all = frames(await exchange(socket, frame({ id: '1', method: 'count', params: { to: 100000 } })));
		same([all[0], all.length, all.at(-2), all.at(-1)],
			['{"id":"1","headers":{"transfer-encoding":"chunked"}}', 100002, '100000\n', '']);
		same(JSON.parse(frames(await exchange(socket, frame({ id: '1', method: 'count' })))[0]).statusCode, 400);
		// One that goes away in the middle is forgotten; root, or the group adm, may ask.
		const c = net.createConnection(socket, () => c.write(frame({ id: '1', method: 'count',
			params: { to: 4000000000 } })));
		await new Promise((done) => c.once('data', done));
		c.destroy();
		const count = async () => JSON.parse(frames(await exchange(socket, frame({ id: '2',
			method: 'open_streams' })))[0]);
		if ('error' in (await count())) same((await count()).error, 'Not allowed: open_streams needs group adm');
		else await until(async () => (await count()).result === 0, 'it is forgotten');
	}),
	'event-server': () => withServer(event, async (socket) => {
		same(await line(socket, { id: '1', method: 'whoami' }),
			{ id: '1', result: { uid: process.getuid(), pid: process.pid } });
		same((await line(socket, { id: 1, method: 'nope' })).error, 'Only whoami');
	}),
};

console.log(`1..${Object.keys(tests).length}`);
let n = 0, failed = 0;
for (const [name, run] of Object.entries(tests)) {
	n++;
	try {
		await run();
		console.log(`ok ${n} - ${name}`);
	} catch (e) {
		failed++;
		console.log(`not ok ${n} - ${name}\n${e.stack.replace(/^/gm, '# ')}`);
	}
}
process.exit(failed ? 1 : 0);
