// The assistant's wire: frames, legacy lines, bodies, streams, $cancel, the checks.
import { Client, ZERO, ask, call, frame, hwmKiB, main, message, same, serveNames, test, until }
	from './lib.mjs';
import { ask as askLines, connect } from '../gateway/lib.mjs';

const served = (name, run, ...args) =>
	test(name, async (dir) => {
		const server = await serveNames(dir, ['assistant'], ...args);
		try {
			await run(server, dir);
		} catch (e) {
			e.stack += `\n${server.log}`;
			throw e;
		} finally {
			if (server.status === null) await server.stop();
		}
	});

const MISSING = `Missing 'id' or 'method' field`;
const bad = (error, id = 'unknown', statusCode = 400, errorCode = 'BAD_REQUEST') =>
	JSON.stringify({ id, error, statusCode, errorCode });

served('the first byte decides, for the whole connection', async ({ socket }) => {
	same(await askLines(socket, '{"id":"1","method":"echo"}\n \r\n{"id":2,"method":"echo"}\n', 2),
		['{"id":"1","result":{"echoed":null}}', '{"id":2,"result":{"echoed":null}}']);
	// What would be a frame is a line of nonsense there, and is answered as one.
	const line = Buffer.concat([Buffer.from('{"id":"1","method":"echo"}\n'), Buffer.from('\0\0\0\x02{}\n')]);
	const c = await connect(socket);
	c.write(line);
	same((await c.lines(2))[1], bad('Invalid JSON'));
	c.destroy();
	same((await call(socket, 'echo')).result, { echoed: null });
});

served('frames may be cut anywhere, or come all at once', async ({ socket }) => {
	const c = await Client.connect(socket);
	const bytes = Buffer.concat([message({ id: 'a', method: 'echo' }),
		message({ id: 'b', method: 'echo_binary', headers: { 'content-length': '3' } }), frame('xyz'),
		message({ id: 'c', method: 'echo' })]);
	for (const byte of bytes) {
		c.write(Buffer.from([byte]));
		await new Promise((done) => setImmediate(done));
	}
	same((await c.whole(2)).envelope, { id: 'c', result: { echoed: null } });
	same(c.got[1].body.toString(), 'xyz');
	c.write(bytes, bytes);
	same((await c.whole(8)).envelope.id, 'c');
	same(c.got.map((g) => g.envelope.id), [...'abcabcabc']);
	c.destroy();
});

served('a body follows where there is a content-length, of any value', async ({ socket }) => {
	for (const value of ['5', 5, 0, null, false, 'nonsense']) {
		const one = await ask(socket, { method: 'echo_binary', headers: { 'content-length': value } },
			frame('12345'));
		same(one.body.toString(), '12345');
	}
	// Also where the request is refused; what comes after it is a request again.
	const c = await Client.connect(socket);
	for (const envelope of [{ id: 'x', method: 'nope' }, { id: 'x' }, { method: 'echo' }]) {
		const n = c.got.length;
		c.write(message({ ...envelope, headers: { 'content-length': '2' } }), frame('{}'),
			message({ id: 'y', method: 'echo' }));
		same((await c.whole(n + 1)).envelope.id, 'y');
		same('error' in c.got[n].envelope, true);
	}
	c.destroy();
});

served('the header named is the last, and there is no result', async ({ socket }) => {
	const binary = await ask(socket, { method: 'metrics' });
	same(Object.keys(binary.envelope), ['id', 'headers']);
	same(Object.keys(binary.envelope.headers).at(-1), 'content-length');
	same(binary.envelope.headers['content-length'], String(binary.body.length));
	const stream = await ask(socket, { method: 'sockets_events' });
	same(Object.keys(stream.envelope), ['id', 'headers']);
	same(Object.keys(stream.envelope.headers).at(-1), 'transfer-encoding');
	for (const name of [...Object.keys(binary.envelope.headers), ...Object.keys(stream.envelope.headers)])
		same(name, name.toLowerCase());
});

served('a body in chunks; broken off it is dropped', async ({ socket }) => {
	const c = await Client.connect(socket);
	const head = message({ id: 'u', method: 'echo_binary', headers: { 'transfer-encoding': 'chunked' } });
	c.write(head, frame('ab'));
	c.write(frame('c'), frame('d'.repeat(70000)), ZERO, message({ id: 'e', method: 'echo' }));
	same((await c.whole(1)).envelope.id, 'e');
	same(c.got[0].body.length, 70003);
	c.write(head, frame('never ends'));
	c.socket.end();
	await until(() => c.over, 'the end');
	same(c.got.length, 2);
});

served('while a stream is open other answers wait, requests are read', async ({ socket }) => {
	const c = await Client.connect(socket);
	const chunks = ['1', '2', '3', '4'];
	c.write(message({ id: 's', method: 'echo_stream', params: { chunks, delayMs: 40 } }),
		message({ id: 'k', method: 'cache_set', params: { body: { key: 'k', data: 1 } } }),
		message({ id: 't', method: 'echo_stream', params: { chunks: ['5'] } }));
	await until(() => c.got[0]?.chunks.length, 'the stream begins');
	// It was started: its effect is seen on another connection before the stream ends.
	same((await call(socket, 'cache_get', { body: { key: 'k' } })).result, { data: 1 });
	same([c.got.length, c.got[0].ended], [1, false]);
	await c.whole(2);
	same(c.got.map((g) => g.envelope.id).sort(), ['k', 's', 't']);
	same(c.got[0].envelope.id, 's');
	same(c.got[0].chunks.map(String), chunks);
	same(c.got.find((g) => g.envelope.id === 't').chunks.map(String), ['5']);
	c.destroy();
});

served('$cancel: a stream ends with its zero frame', async ({ socket }) => {
	const c = await Client.connect(socket);
	const chunks = Array.from({ length: 1000 }, () => 'x');
	c.write(message({ id: 's', method: 'echo_stream', params: { chunks, delayMs: 20 } }));
	await until(() => c.got[0]?.chunks.length >= 2, 'the stream begins');
	c.write(message({ id: 'c', method: '$cancel', params: { targetId: 's' } }));
	c.socket.end();
	same((await c.whole(1)).text, '{"id":"c","result":null}');
	same([c.got[0].ended, c.got[0].chunks.length < 1000], [true, true]);
	await until(() => c.over, 'the server closes as well');
});

served('$cancel: a request that has no answer yet gets 499', async ({ socket }) => {
	const c = await Client.connect(socket);
	const slow = { method: 'echo_stream', params: { chunks: ['a', 'b'], delayMs: 60000 } };
	// The second waits for the first to end.
	c.write(message({ id: 's', ...slow }), message({ id: 7, ...slow }));
	await until(() => c.got[0]?.chunks.length, 'the stream begins');
	c.write(message({ id: 'c1', method: '$cancel', params: { targetId: 7 } }),
		message({ id: 'c2', method: '$cancel', params: { targetId: 's' } }));
	await c.whole(3);
	same(c.got[0].ended, true);
	const rest = c.got.slice(1).map((g) => g.text).sort();
	same(rest, ['{"id":"c1","result":null}', '{"id":"c2","result":null}',
		'{"id":7,"error":"Cancelled","statusCode":499,"errorCode":"CANCELLED"}']);
	c.destroy();
});

served('$cancel: ids are of this connection, and none is no error', async ({ socket }) => {
	const a = await Client.connect(socket);
	a.write(message({ id: 's', method: 'echo_stream', params: { chunks: ['1', '2', '3'], delayMs: 50 } }));
	await until(() => a.got[0]?.chunks.length, 'the stream begins');
	for (const params of [{ targetId: 's' }, { targetId: 'nobody' }, {}, undefined, null, 7])
		same((await ask(socket, { method: '$cancel', params })).text, '{"id":"1","result":null}');
	// "7" and 7 are two ids.
	const c = await Client.connect(socket);
	c.write(message({ id: 7, method: 'echo_stream', params: { chunks: ['1', '2'], delayMs: 50 } }),
		message({ id: 'c', method: '$cancel', params: { targetId: '7' } }));
	same((await c.whole(1)).text, '{"id":"c","result":null}');
	same(c.got[0].chunks.map(String), ['1', '2']);
	c.destroy();
	same((await a.whole(0)).chunks.length, 3);
	a.destroy();
});

served('legacy clients get one line each', async ({ socket }) => {
	const [binary] = await askLines(socket, '{"id":"1","method":"metrics"}\n');
	const { headers, ...rest } = JSON.parse(binary);
	same([rest, Number(headers['content-length']) > 100], [{ id: '1' }, true]);
	const stream = '{"id":"1","method":"echo_stream","params":{"chunks":["ab","","cde"]}}\n';
	same(await askLines(socket, stream + '{"id":"2","method":"echo"}\n', 2),
		['{"id":"1","headers":{"content-length":"5"}}', '{"id":"2","result":{"echoed":null}}']);
	const slow = '{"id":"1","method":"echo_stream","params":{"chunks":["a","b"],"delayMs":60000}}\n';
	const c = await connect(socket);
	c.write(slow + '{"id":"c","method":"$cancel","params":{"targetId":"1"}}\n');
	same((await c.lines(2)).at(-1), '{"id":"c","result":null}');
	c.destroy();
});

served('the checks, one after another on one connection', async ({ socket }) => {
	const c = await Client.connect(socket);
	const rows = [
		['nonsense', bad('Invalid JSON')], ['', bad('Invalid JSON')], ['{"id":"1","method":"echo",}', bad('Invalid JSON')],
		[Buffer.from('{"id":"1\xff","method":"echo"}', 'latin1'), bad('Invalid JSON')],
		[`{"id":"1","method":"echo","params":${'['.repeat(200)}${']'.repeat(200)}}`, bad('Invalid JSON')],
		['[]', bad(MISSING)], ['7', bad(MISSING)], ['{"method":"echo"}', bad(MISSING)],
		['{"id":null,"method":"echo"}', bad(MISSING)], ['{"id":false,"method":"echo"}', bad(MISSING)],
		['{"id":0,"method":"echo"}', bad(MISSING)], ['{"id":"","method":"echo"}', bad(MISSING, '')],
		['{"id":"a","method":""}', bad(MISSING, 'a')], ['{"id":7,"method":""}', bad(MISSING)],
		['{"id":"a","method":"nope"}', bad('Unknown method: nope', 'a', 404, 'UNKNOWN_METHOD')],
	];
	for (const [i, [text, wanted]] of rows.entries()) {
		c.write(frame(text));
		same((await c.whole(i)).text, wanted);
	}
	for (const id of ['"x\\u0041"', '7', '7.50', 'true', '{"a":[1, 2]}', '[null]']) {
		const n = c.got.length;
		c.write(frame(`{"id":${id},"method":"echo"}`));
		same((await c.whole(n)).text, `{"id":${id},"result":{"echoed":null}}`);
	}
	c.write(frame('\n {"id":"1","method":"nope","method":"echo","more":[1]}\r\n'));
	same((await c.whole(c.got.length)).envelope.result, { echoed: null });
	c.destroy();
});

served('larger than the limit: skipped, not buffered', async (server) => {
	const c = await Client.connect(server.socket);
	const size = 40 << 20;
	const before = hwmKiB(server.child.pid);
	const header = Buffer.alloc(4);
	header.writeUInt32BE(size);
	c.write(header);
	const text = bad(`Message too large: ${size} bytes, limit 1000000`, 'unknown', 413, 'PAYLOAD_TOO_LARGE');
	same((await c.whole(0)).text, text);
	for (let i = 0; i < 40; i++) await new Promise((done) => c.socket.write(Buffer.alloc(1 << 20, 0x20), done));
	c.write(message({ id: 'after', method: 'echo' }));
	same((await c.whole(1)).envelope.id, 'after');
	// A body, whole or in chunks, has the same limit, and its request's id.
	c.write(message({ id: 'b', method: 'echo_binary', headers: { 'content-length': '1' } }),
		frame(Buffer.alloc(1000001)), message({ id: 'after', method: 'echo' }));
	same([(await c.whole(2)).envelope.id, c.got[2].envelope.statusCode], ['b', 413]);
	same((await c.whole(3)).envelope.id, 'after');
	c.write(message({ id: 'u', method: 'echo_binary', headers: { 'transfer-encoding': 'chunked' } }));
	for (let i = 0; i < 3; i++) c.write(frame(Buffer.alloc(400000)));
	c.write(ZERO, message({ id: 'after', method: 'echo' }));
	same([(await c.whole(4)).envelope.id, c.got[4].envelope.statusCode], ['u', 413]);
	same((await c.whole(5)).envelope.id, 'after');
	same(hwmKiB(server.child.pid) - before < 16384, true);
	c.destroy();
}, '--message-bytes-max', '1000000');

served('half-close: what was received is answered, half a frame is dropped', async ({ socket }) => {
	const c = await Client.connect(socket);
	c.write(message({ id: 's', method: 'echo_stream', params: { chunks: ['1', '2'], delayMs: 30 } }),
		message({ id: 'e', method: 'echo' }), Buffer.from([0, 0, 0, 9, 0x7b]));
	c.socket.end();
	await until(() => c.over, 'the end');
	same(c.got.map((g) => g.envelope.id), ['s', 'e']);
	same(c.got[0].chunks.length, 2);
});

served('a client that goes away disturbs nobody', async ({ socket }) => {
	const good = await Client.connect(socket);
	const slow = { method: 'echo_stream', params: { chunks: ['1', '2'], delayMs: 50 } };
	good.write(message({ id: 'g', ...slow }));
	for (let i = 0; i < 50; i++) {
		const c = await Client.connect(socket);
		c.write(message({ id: 'b', ...slow }), message({ id: 'u', method: 'echo_binary', headers: {
			'transfer-encoding': 'chunked' } }), frame('half'));
		if (i % 2) await until(() => c.got.length, 'it has begun');
		c.destroy();
	}
	same((await good.whole(0)).chunks.length, 2);
	await until(async () => {
		const text = (await ask(socket, { method: 'metrics' })).body.toString();
		return /kedge_server_clients\{server="assistant"\} 2$/m.test(text);
	}, 'the others are forgotten');
	good.destroy();
});

main();
