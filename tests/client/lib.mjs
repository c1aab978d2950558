// Fake servers that speak wire.md to the byte, and `kedge call` run against them.
import net from 'node:net';
import path from 'node:path';
import { spawn } from 'node:child_process';
import { until } from '../gateway/lib.mjs';

export const frame = (data) => {
	const body = Buffer.isBuffer(data) ? data : Buffer.from(typeof data === 'string' ? data : JSON.stringify(data));
	const header = Buffer.alloc(4);
	header.writeUInt32BE(body.length);
	return Buffer.concat([header, body]);
};

let serial = 0;

// A server: `serve(connection)` for each. Of a connection: got (all bytes), write, frames(), line(n).
export async function fake(dir, serve, name = `fake${++serial}.sock`) {
	const socket = path.join(dir, name);
	const connections = [];
	const server = net.createServer({ allowHalfOpen: true }, (c) => {
		c.got = Buffer.alloc(0);
		c.over = false;
		c.on('error', () => {});
		c.on('data', (d) => (c.got = Buffer.concat([c.got, d])));
		c.on('end', () => (c.over = true));
		c.on('close', () => (c.over = true));
		c.frames = () => {
			const all = [];
			for (let at = 0; at + 4 <= c.got.length; ) {
				const end = at + 4 + c.got.readUInt32BE(at);
				if (end > c.got.length) break;
				all.push(c.got.subarray(at + 4, end));
				at = end;
			}
			return all;
		};
		c.lines = () => c.got.toString().split('\n').slice(0, -1);
		c.frame = async (i) => until(() => c.frames()[i], `frame ${i}`);
		c.line = async (i) => until(() => c.lines()[i], `line ${i}`);
		connections.push(c);
		Promise.resolve(serve(c)).catch(() => c.destroy());
	});
	await new Promise((done) => server.listen(socket, done));
	return {
		socket,
		connections,
		close: () => {
			connections.forEach((c) => c.destroy());
			server.close();
		},
	};
}

// A server on frames that answers the first request with these buffers, and ends.
export const answers = (dir, ...frames) =>
	fake(dir, async (c) => {
		await c.frame(0);
		for (const f of frames) c.write(f);
		c.end();
	});

export const header = (headers) => frame({ id: '1', headers });
export const CHUNKED = { 'transfer-encoding': 'chunked' };

// Start `kedge call ...`. Its promise: how it ended, with all that it said.
export function start(args, { input, env } = {}) {
	const child = spawn(process.argv[2], ['call', ...args], { env: { ...process.env, ...env } });
	const run = { child, out: Buffer.alloc(0), err: '', status: null };
	child.stdout.on('data', (d) => (run.out = Buffer.concat([run.out, d])));
	child.stderr.on('data', (d) => (run.err += d));
	child.stdin.on('error', () => {});
	child.stdin.end(input ?? '');
	run.ended = new Promise((done) =>
		child.on('close', (status, signal) => {
			run.status = signal ?? status;
			done(run);
		}));
	return run;
}

export const call = (args, options) => start(args, options).ended;
