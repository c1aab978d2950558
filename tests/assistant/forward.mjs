// --forward: a server that has methods, written here from the protocol, and kedge in front.
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { Client, ZERO, ask, call, frame, hwmKiB, kedge, main, message, same, serveNames, test, until }
	from './lib.mjs';
import { ask as askLines, connect } from '../gateway/lib.mjs';

// What it was asked, who was cancelled, how many connections it has.
class Upstream {
	constructor(socket) {
		Object.assign(this, { socket, asked: [], cancelled: [], clients: new Set(), sent: 0, got: 0, ends: 0, gone: 0 });
	}

	async start() {
		this.server = net.createServer((c) => this.serve(c));
		await new Promise((done) => this.server.listen(this.socket, done));
	}

	stop() {
		for (const c of this.clients) c.destroy();
		return new Promise((done) => this.server.close(done));
	}

	serve(c) {
		let rest = Buffer.alloc(0), request = null;
		this.clients.add(c);
		c.on('close', () => (this.clients.delete(c), this.gone++));
		c.on('error', () => {});
		c.on('data', (d) => {
			rest = Buffer.concat([rest, d]);
			while (rest.length >= 4 && rest.length >= 4 + rest.readUInt32BE()) {
				const bytes = rest.subarray(4, 4 + rest.readUInt32BE());
				rest = rest.subarray(4 + bytes.length);
				if (request) request.body = Buffer.concat([request.body ?? ZERO.subarray(4), bytes]);
				else request = JSON.parse(bytes);
				if (request.headers?.['content-length'] && !request.body) continue;
				if (request.headers?.['transfer-encoding'] && !this.took(c, request, bytes)) continue;
				this.asked.push(request);
				if (request.method !== 'x.early') this.answer(c, request);
				request = null;
			}
		});
	}

	// Of a body in chunks. Return: whether it is complete.
	took(c, request, bytes) {
		if (!request.body) {
			if (request.method === 'x.early') this.answer(c, request);
			if (request.method === 'x.slow') c.pause();
			return false;
		}
		this.got += bytes.length;
		this.ends += bytes.length === 0;
		if (request.method === 'x.drop') c.destroy();
		// Not kept, so that there may be a lot of it.
		if (request.method === 'x.slow') request.body = ZERO.subarray(4);
		return bytes.length === 0;
	}

	answer(c, { id, method, params, body }) {
		const say = (value, ...more) => c.write(Buffer.concat([message({ id, ...value }), ...more]));
		const chunked = { headers: { 'x-kind': 'stream', 'transfer-encoding': 'chunked' } };
		if (method === 'x.echo') say({ result: params });
		else if (method === 'x.nothing') say({});
		else if (method === 'x.early') say({ error: 'enough', statusCode: 413 });
		else if (method === 'x.slow') say({ result: this.got });
		else if (method === 'x.fail') say({ error: 'no "good"', statusCode: 409, errorCode: 'CONFLICT', errorDetails: [1] });
		else if (method === 'x.odd') say({ error: { why: 1 } });
		else if (method === 'x.body')
			say({ headers: { 'content-type': 'a/b', 'content-length': `${body?.length ?? 0}` } }, frame(body ?? ''));
		else if (method === 'x.stream') say(chunked, ...params.map((p) => frame(p)), ZERO);
		else if (method === 'x.flood') this.flood(c, id, chunked, params);
		else if (method === 'x.half') say(chunked, frame('half')), setTimeout(() => c.destroy(), 20);
		else if (method === 'x.drop') c.destroy();
		else if (method === '$cancel') this.cancelled.push(params.targetId), say({ result: null });
		else if (method !== 'x.hang' && method !== 'x.begun') say({ error: 'no such', statusCode: 404 });
		if (method === 'x.begun') say(chunked, frame('begun'));
	}

	static room(c) {
		return new Promise((done) => {
			const go = () => done(c.off('drain', go).off('close', go));
			c.on('drain', go).on('close', go);
		});
	}

	// As much as the reader takes.
	async flood(c, id, chunked, count) {
		c.write(message({ id, ...chunked }));
		const piece = frame(Buffer.alloc(65536, 'x'));
		for (let i = 0; i < count && !c.destroyed; i++) {
			this.sent += 65536;
			if (!c.write(piece)) await Upstream.room(c);
		}
		c.write(ZERO);
	}
}

const forwarded = (name, run) =>
	test(name, async (dir) => {
		const up = new Upstream(path.join(dir, 'up.sock'));
		await up.start();
		const server = await serveNames(dir, ['assistant'], '--forward', `x.=${up.socket}`,
			'--assistant-forward', `x.=${up.socket}`, '--assistant-forward', `x.nobody.=${dir}/nobody.sock`);
		try {
			await run(server, up);
		} catch (e) {
			e.stack += `\n${server.log}`;
			throw e;
		} finally {
			if (server.status === null) await server.stop();
			await up.stop();
		}
	});

forwarded('results, errors, bodies come back as they were given', async ({ socket }, up) => {
	same((await ask(socket, { method: 'x.echo', params: { a: [1, 'é'] } })).text, '{"id":"1","result":{"a":[1,"é"]}}');
	same((await ask(socket, { method: 'x.nothing' })).text, '{"id":"1"}');
	same((await ask(socket, { method: 'x.fail' })).text,
		'{"id":"1","error":"no \\"good\\"","statusCode":409,"errorCode":"CONFLICT","errorDetails":[1]}');
	same((await ask(socket, { method: 'x.odd' })).text,
		'{"id":"1","error":"{\\"why\\":1}","statusCode":500,"errorCode":"INTERNAL_ERROR"}');
	const one = await ask(socket, { method: 'x.body', headers: { 'content-length': '3', 'x-a': 'b' } }, frame('\0\xff\n'));
	same([one.text, one.body.toString('latin1')],
		['{"id":"1","headers":{"content-type":"a/b","content-length":"4"}}', Buffer.from('\0\xff\n').toString('latin1')]);
	same(up.asked.at(-1).headers['x-a'], 'b');
	const chunked = await ask(socket, { method: 'x.body', headers: { 'transfer-encoding': 'chunked' } },
		frame('ab'), frame('c'), ZERO);
	same(chunked.body.toString(), 'abc');
	// Methods that this server has, and prefixes that nobody has, are not passed on.
	const before = up.asked.length;
	same((await call(socket, 'echo', { value: 1 })).result, { echoed: 1 });
	same((await call(socket, 'x')).errorCode, 'UNKNOWN_METHOD');
	same((await call(socket, 'y.echo')).errorCode, 'UNKNOWN_METHOD');
	same((await call(socket, 'x.\0echo')).errorCode, 'UNKNOWN_METHOD');
	same(up.asked.length, before);
});

forwarded('streams come back chunk by chunk, one that breaks off is ended', async ({ socket }) => {
	const one = await ask(socket, { method: 'x.stream', params: ['a', 'bc', 'd'] });
	same([one.envelope.headers, one.chunks.map(String)],
		[{ 'x-kind': 'stream', 'transfer-encoding': 'chunked' }, ['a', 'bc', 'd']]);
	const half = await ask(socket, { method: 'x.half' });
	same([half.chunks.map(String), half.ended], [['half'], true]);
	same(await askLines(socket, '{"id":"1","method":"x.stream","params":["a","bc"]}\n'),
		['{"id":"1","headers":{"x-kind":"stream","content-length":"3"}}']);
});

forwarded('a slow reader pauses the server that streams', async (server, up) => {
	const c = await Client.connect(server.socket);
	const before = hwmKiB(server.child.pid);
	c.socket.pause();
	c.write(message({ id: 's', method: 'x.flood', params: 1600 }));
	await until(() => up.sent > 300000, 'it begins');
	// Others have connections of their own.
	for (let i = 0; i < 30; i++) same((await call(server.socket, 'x.echo', i)).result, i);
	same(up.sent < 16 << 20, true);
	c.socket.resume();
	const one = await c.whole(0);
	same([one.chunks.reduce((n, x) => n + x.length, 0), one.ended], [1600 * 65536, true]);
	// The address sanitizer keeps what was freed for a while.
	same(hwmKiB(server.child.pid) - before < (process.env.SANITIZE ? 300000 : 16384), true);
	c.destroy();
});

const CHUNKED = { 'transfer-encoding': 'chunked' };

forwarded('a body in chunks goes there as it comes', async ({ socket }, up) => {
	const c = await Client.connect(socket);
	c.write(message({ id: 'u', method: 'x.body', headers: { ...CHUNKED, 'x-a': 'b' } }), frame('first'));
	await until(() => up.got === 5, 'the first chunk is there before the last was sent');
	c.write(frame('-'), frame('last'), ZERO, message({ id: 'e', method: 'x.echo', params: 1 }));
	await c.whole(1);
	same([c.got[0].body.toString(), c.got[1].envelope.result], ['first-last', 1]);
	same(up.asked[0].headers, { 'x-a': 'b', ...CHUNKED });
	c.destroy();
});

forwarded('a server that does not read pauses who sends it a body', async (server, up) => {
	const c = await Client.connect(server.socket);
	const before = hwmKiB(server.child.pid);
	const piece = frame(Buffer.alloc(65536, 'x'));
	let sent = 0;
	c.write(message({ id: 'u', method: 'x.slow', headers: CHUNKED }));
	const send = async () => {
		for (; sent < 1600; sent++) if (!c.socket.write(piece)) await Upstream.room(c.socket);
		c.write(ZERO, message({ id: 'e', method: 'x.echo', params: 2 }));
	};
	const done = send();
	// Until nothing moves any more: what is on the way fits in buffers.
	for (let last = -1; last !== sent; await new Promise((r) => setTimeout(r, 300))) last = sent;
	same(sent > 4 && sent < 256, true);
	for (let i = 0; i < 30; i++) same((await call(server.socket, 'x.echo', i)).result, i);
	for (const peer of up.clients) peer.resume();
	await done;
	await c.whole(1);
	same(c.got.map((g) => g.envelope.result), [1600 * 65536, 2]);
	same(hwmKiB(server.child.pid) - before < (process.env.SANITIZE ? 300000 : 16384), true);
	c.destroy();
});

forwarded('a body that is answered early, or lost there, is skipped', async (server, up) => {
	const c = await Client.connect(server.socket);
	const say = async (n, method) => {
		c.write(message({ id: `${n}`, method, headers: CHUNKED }), frame('a'));
		const answer = await c.whole(n);
		// The rest of it is still the request's.
		for (let i = 0; i < 100; i++) c.write(frame(Buffer.alloc(30000, 'b')));
		c.write(ZERO);
		return answer.envelope;
	};
	same((await say(0, 'x.early')).error, 'enough');
	same((await say(1, 'x.drop')).statusCode, 502);
	const before = up.clients.size;
	c.write(message({ id: '2', method: 'x.nobody.here', headers: CHUNKED }), frame('a'), ZERO,
		message({ id: '3', method: 'echo', params: { value: 1 } }));
	await c.whole(3);
	same(c.got.slice(2).map((g) => g.envelope.statusCode ?? g.envelope.result).sort(), [502, { echoed: 1 }]);
	same(up.clients.size <= before, true);
	c.destroy();
});

forwarded('half a body never passes for a whole one', async ({ socket }, up) => {
	const c = await Client.connect(socket);
	c.write(message({ id: 'u', method: 'x.body', headers: CHUNKED }), frame('half'));
	await until(() => up.got === 4, 'it begins');
	c.destroy();
	await until(() => up.clients.size === 0, 'its connection there goes');
	const { gone } = up;
	// Nor where the client stays: a chunk that is too large ends the request.
	const d = await Client.connect(socket);
	const header = Buffer.alloc(4);
	header.writeUInt32BE(200 << 20);
	d.write(message({ id: 'u', method: 'x.body', headers: CHUNKED }), frame('half'));
	await until(() => up.got === 8, 'it begins again');
	d.write(header);
	same((await d.whole(0)).envelope.statusCode, 413);
	await until(() => up.gone > gone, 'that connection there goes as well');
	same([up.ends, up.asked.length, up.cancelled.length], [0, 0, 0]);
	d.destroy();
});

forwarded('$cancel and a client that goes away are passed on', async ({ socket }, up) => {
	const c = await Client.connect(socket);
	c.write(message({ id: 'h', method: 'x.hang' }), message({ id: 'b', method: 'x.begun' }));
	await until(() => c.got[0]?.chunks?.length, 'the stream begins');
	c.write(message({ id: 'c1', method: '$cancel', params: { targetId: 'h' } }),
		message({ id: 'c2', method: '$cancel', params: { targetId: 'b' } }));
	await c.whole(3);
	same(c.got[0].ended, true);
	same(c.got.slice(1).map((g) => g.envelope.statusCode ?? null), [499, null, null]);
	await until(() => up.cancelled.length === 2, 'both are cancelled there');
	c.write(message({ id: 'h', method: 'x.hang' }));
	await until(() => up.asked.at(-1).method === 'x.hang', 'it is asked again');
	c.destroy();
	await until(() => up.clients.size === 0, 'its connection there goes as well');
});

forwarded('lost and found: 502 for what was under way, then it works again', async (server, up) => {
	const { socket } = server;
	const c = await Client.connect(socket);
	c.write(message({ id: 'd', method: 'x.drop' }));
	same((await c.whole(0)).text, `{"id":"d","error":"${up.socket}: the connection was lost before the answer",` +
		'"statusCode":502,"errorCode":"BAD_GATEWAY"}');
	await up.stop();
	same((await call(socket, 'x.echo')).statusCode, 502);
	same((await call(socket, 'x.nobody.here')).statusCode, 502);
	await up.start();
	let n = 1;
	await until(async () => {
		c.write(message({ id: `${n}`, method: 'x.echo', params: 7 }));
		return (await c.whole(n++)).envelope.result === 7;
	}, 'it is connected again');
	c.destroy();
});

test('a gateway in front of an assistant: lines, bodies without their bytes', async (dir) => {
	const back = path.join(dir, 'back');
	fs.mkdirSync(back);
	const assistant = await serveNames(back, ['assistant']);
	const gateway = await serveNames(dir, ['gateway'], '--forward', `cache_=${assistant.socket}`);
	try {
		same(await askLines(gateway.gateway, '{"id":7,"method":"cache_set","params":{"body":{"key":"k","data":[1]}}}\n'),
			['{"id":7,"result":{"key":"k"}}']);
		same((await call(assistant.socket, 'cache_get', { body: { key: 'k' } })).result, { data: [1] });
		same(await gateway.end(), 0);
	} finally {
		for (const s of [gateway, assistant]) if (s.status === null) await s.stop();
	}
});

// A server of lines with one stream: ticks, for as long as it is subscribed to.
class Ticker {
	constructor(socket) {
		Object.assign(this, { socket, asked: [], clients: new Set() });
	}

	async start() {
		this.server = net.createServer((c) => {
			let text = '';
			c.open = new Map();
			this.clients.add(c);
			c.on('error', () => {}).on('close', () => this.clients.delete(c));
			c.on('data', (d) => {
				text += d;
				for (let at; (at = text.indexOf('\n')) >= 0; text = text.slice(at + 1))
					this.answer(c, JSON.parse(text.slice(0, at)));
			});
		});
		await new Promise((done) => this.server.listen(this.socket, done));
	}

	answer(c, r) {
		const say = (value) => c.write(JSON.stringify({ id: r.id, ...value }) + '\n');
		this.asked.push(r);
		if (r.method === 't.subscribe' && r.params.bad) say({ error: 'no such', statusCode: 404, errorCode: 'NOT_FOUND' });
		else if (r.method === 't.subscribe') {
			say({ result: { subscribed: true } });
			c.open.set(r.id, say);
		} else say({ result: { closed: c.open.delete(r.params.subscribeId) } });
	}

	tick(payload) {
		for (const c of this.clients) for (const say of c.open.values()) say({ event: 'delivery', payload });
	}

	async stop() {
		for (const c of this.clients) c.destroy();
		await new Promise((done) => this.server.close(done));
	}
}

test('subscriptions on lines: the id is the client\'s own', async (dir) => {
	const t = new Ticker(path.join(dir, 't.sock'));
	await t.start();
	const server = await serveNames(dir, ['gateway'], '--forward', `t.=${t.socket}`);
	const subscribe = (id, more = {}) => `{"id":${id},"method":"t.subscribe","params":${JSON.stringify(more)}}\n`;
	try {
		const a = await connect(server.gateway), b = await connect(server.gateway);
		a.write(subscribe('"s:1"'));
		b.write(subscribe('"s:1"'));
		same(await a.lines(1), ['{"id":"s:1","result":{"subscribed":true}}']);
		await b.lines(1);
		a.write(subscribe('"s:1"') + subscribe('"s:2"', { bad: true }));
		same((await a.lines(3)).slice(1).sort(), [
			'{"id":"s:1","error":"Stream id already active: s:1","statusCode":400,"errorCode":"BAD_REQUEST"}',
			'{"id":"s:2","error":"no such","statusCode":404,"errorCode":"NOT_FOUND"}']);
		t.tick({ n: 1 });
		for (const c of [a, b])
			same((await c.lines(c === a ? 4 : 2)).at(-1), '{"id":"s:1","event":"delivery","payload":{"n":1}}');
		a.write('{"id":"c","method":"t.subscribe.close","params":{"subscribeId":"s:1"}}\n');
		same((await a.lines(5)).at(-1), '{"id":"c","result":{"closed":true}}');
		t.tick({ n: 2 });
		same((await b.lines(3)).at(-1), '{"id":"s:1","event":"delivery","payload":{"n":2}}');
		// The id is free again; an unknown one is the other side's to answer.
		a.write('{"id":"d","method":"t.subscribe.close","params":{"subscribeId":"s:1"}}\n' + subscribe('"s:1"'));
		same((await a.lines(7)).slice(5).sort(),
			['{"id":"d","result":{"closed":false}}', '{"id":"s:1","result":{"subscribed":true}}']);
		b.destroy();
		await until(() => t.clients.size === 1, 'its connection there goes as well');
		// Who does not read loses the subscription, and nothing is kept for it.
		a.pause();
		const big = 'x'.repeat(100000);
		await until(() => (t.tick(big), t.asked.at(-1).method === 't.subscribe.close'), 'it is closed there');
		a.resume();
		await until(() => a.text.includes('not draining'), 'it is told');
		same(a.text.endsWith('{"id":"s:1","error":"Stream s:1 closed: client not draining (socket buffer ' +
			'exceeded 1048576 bytes)","statusCode":503,"errorCode":"SERVICE_UNAVAILABLE"}\n'), true);
		a.write(subscribe('"s:9"'));
		await until(() => a.text.includes('"id":"s:9","result"'), 'it goes on');
		await t.stop();
		await until(() => a.text.endsWith('{"id":"s:9","error":"the connection was lost","statusCode":502,' +
			'"errorCode":"BAD_GATEWAY"}\n'), 'its end is told');
		a.destroy();
	} finally {
		if (server.status === null) await server.stop();
	}
});

test('bad rules: one line, status 2', async (dir) => {
	for (const rule of ['x', '=a', 'x=', 'x=No Such Name', 'x=assistant']) {
		const r = kedge(['serve', 'assistant', '--workspace', dir, '--forward', rule, '--log-level', 'error']);
		same([rule, r.status, r.stderr.trimEnd().split('\n').length], [rule, 2, 1]);
		same(fs.readdirSync(dir), []);
	}
});

main();
