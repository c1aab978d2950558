// A client that speaks frames, and legacy lines, as the protocol's document has them.
import fs from 'node:fs';
import net from 'node:net';
import { until } from '../gateway/lib.mjs';

export * from '../gateway/lib.mjs';

export const frame = (data) => {
	const bytes = Buffer.from(data);
	const header = Buffer.alloc(4);
	header.writeUInt32BE(bytes.length);
	return Buffer.concat([header, bytes]);
};

export const message = (value) => frame(JSON.stringify(value));

export const ZERO = Buffer.alloc(4);

// A connection that takes frames apart. `got` holds what came, in order:
// { envelope, text } | with { body } | with { chunks, ended }.
export class Client {
	static async connect(socket) {
		const c = new Client();
		c.socket = net.createConnection({ path: socket, allowHalfOpen: true });
		c.got = [];
		c.rest = Buffer.alloc(0);
		c.over = false;
		c.bytes = 0;
		c.next = 'envelope';
		c.failure = null;
		c.socket.on('data', (d) => c.take(d));
		c.socket.on('end', () => (c.over = true));
		c.socket.on('close', () => (c.over = true));
		await new Promise((done, fail) => {
			c.socket.once('error', fail);
			c.socket.once('connect', done);
		});
		c.socket.on('error', (e) => (c.failure = e));
		return c;
	}

	take(data) {
		this.bytes += data.length;
		this.rest = this.rest.length ? Buffer.concat([this.rest, data]) : data;
		while (this.rest.length >= 4) {
			const size = this.rest.readUInt32BE();
			if (this.rest.length < 4 + size) break;
			this.frame(this.rest.subarray(4, 4 + size));
			this.rest = this.rest.subarray(4 + size);
		}
	}

	frame(bytes) {
		const last = this.got.at(-1);
		if (this.next === 'body') {
			last.body = Buffer.from(bytes);
			this.next = 'envelope';
		} else if (this.next === 'chunk') {
			if (bytes.length) last.chunks.push(Buffer.from(bytes));
			else [this.next, last.ended] = ['envelope', true];
		} else {
			const text = bytes.toString();
			const envelope = JSON.parse(text);
			const headers = envelope.headers ?? {};
			const one = { envelope, text };
			if ('content-length' in headers) this.next = 'body';
			else if ('transfer-encoding' in headers) {
				this.next = 'chunk';
				one.chunks = [];
				one.ended = false;
			}
			this.got.push(one);
		}
	}

	write(...pieces) {
		this.socket.write(Buffer.concat(pieces));
	}

	// The n-th thing that came, complete.
	async whole(n) {
		await until(() => {
			const one = this.got[n];
			if (!one) return this.over && this.got.length <= n;
			if ('chunks' in one) return one.ended || this.over;
			return this.next !== 'body' || this.got.length > n + 1 || this.over;
		}, `answer ${n}`);
		if (!this.got[n]) throw new Error(`closed before answer ${n}`);
		return this.got[n];
	}

	destroy() {
		this.socket.destroy();
	}
}

// One call on a connection of its own.
export async function ask(socket, request, ...more) {
	const c = await Client.connect(socket);
	c.write(message({ id: '1', ...request }), ...more);
	const one = await c.whole(0);
	c.destroy();
	return one;
}

export const call = async (socket, method, params) => (await ask(socket, { method, params })).envelope;

export const hwmKiB = (pid) =>
	Number(/VmHWM:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);
