// The assistant's methods, a test for each row of their table.
import fs from 'node:fs';
import { spawnSync } from 'node:child_process';
import { Client, ZERO, ask, call, frame, main, message, same, serveNames, skip, test, until }
	from './lib.mjs';

const serve = (dir, ...args) => serveNames(dir, ['assistant'], ...args);

// Each test ends its server itself, so that a failure shows the server's log as well.
const served = (name, run, ...args) =>
	test(name, async (dir) => {
		const server = await serve(dir, ...args);
		try {
			await run(server, dir);
		} catch (e) {
			e.stack += `\n${server.log}`;
			throw e;
		} finally {
			if (server.status === null) await server.stop();
		}
	});

const refused = (a, where) => {
	same([a.statusCode, a.errorCode], [400, 'BAD_REQUEST']);
	same(a.error.startsWith(`Invalid params: ${where}: `), true);
};

served('health, healthz', async ({ socket }) => {
	for (const method of ['health', 'healthz']) {
		const { result } = await call(socket, method);
		same(Object.keys(result), ['status', 'timestamp', 'version', 'uptimeMs', 'sockets']);
		same(result.status, 'healthy');
		same(new Date(result.timestamp).toISOString(), result.timestamp);
		same(Number.isInteger(result.uptimeMs) && result.uptimeMs >= 0, true);
		same(result.sockets, [{ name: 'assistant', path: socket, state: 'reachable' }]);
	}
});

served('get_route_schema lists every method that there is', async ({ socket }) => {
	const { result } = await call(socket, 'get_route_schema');
	const names = result.map((r) => r.operationId);
	for (const r of result) {
		same(Object.keys(r), ['operationId', 'endpoint', 'method', 'policy']);
		same([typeof r.endpoint, ['GET', 'POST'].includes(r.method), r.policy], ['string', true, null]);
		same((await ask(socket, { method: r.operationId })).envelope.errorCode !== 'UNKNOWN_METHOD', true);
	}
	for (const name of ['health', 'healthz', 'cache_set', 'cache_get', 'cache_delete', 'sockets_status',
		'sockets_events', 'metrics', 'skill_tools_list', 'skill_dispatch_tool', 'skill_dispatch_route',
		'skill_events_publish', 'echo', 'echo_binary', 'echo_stream', 'echo_error'])
		same([name, names.includes(name)], [name, true]);
});

served('cache: set, get, delete, keys that are made, time to live', async ({ socket }) => {
	const set = async (body) => (await call(socket, 'cache_set', { body })).result;
	const get = async (key) => (await call(socket, 'cache_get', { body: { key } })).result;
	same(await set({ key: 'k', data: { a: [1, 'x y'], b: null } }), { key: 'k' });
	same(await get('k'), { data: { a: [1, 'x y'], b: null } });
	same(await set({ key: 'k', data: null }), { key: 'k' });
	same(await get('k'), { data: null });
	same((await call(socket, 'cache_delete', { body: { key: 'k' } })).result, { deleted: true });
	same((await call(socket, 'cache_delete', { body: { key: 'k' } })).result, { deleted: false });
	same(await get('k'), null);
	const made = [await set({ data: 1 }), await set({ data: 2 })].map((r) => r.key);
	same(made.every((k) => /^[0-9a-f]{16}$/.test(k)) && made[0] !== made[1], true);
	same(await get(made[1]), { data: 2 });
	await set({ key: 'short', data: 1, ttl_ms: 1 });
	await until(async () => (await get('short')) === null, 'its time is over');
	await set({ key: 'long', data: 1, ttl_ms: 3600000 });
	same(await get('long'), { data: 1 });
});

served('cache: 64 entries, the least recently used goes first', async ({ socket }) => {
	const c = await Client.connect(socket);
	let n = 0;
	const say = async (method, body) => {
		c.write(message({ id: `${n}`, method, params: { body } }));
		return (await c.whole(n++)).envelope.result;
	};
	for (let i = 0; i < 64; i++) await say('cache_set', { key: `k${i}`, data: i });
	same(await say('cache_get', { key: 'k0' }), { data: 0 });
	await say('cache_set', { key: 'k64', data: 64 });
	same(await say('cache_get', { key: 'k0' }), { data: 0 });
	same(await say('cache_get', { key: 'k1' }), null);
	same(await say('cache_get', { key: 'k2' }), { data: 2 });
	// Setting one that is there takes nobody else's place.
	await say('cache_set', { key: 'k64', data: 65 });
	for (let i = 2; i < 64; i++) same(await say('cache_get', { key: `k${i}` }), { data: i });
	c.destroy();
});

served('cache: what is refused, and where', async ({ socket }) => {
	const bad = async (method, params, where) => refused(await call(socket, method, params), where);
	await bad('cache_set', { body: { key: 'k' } }, 'data');
	await bad('cache_set', {}, 'data');
	await bad('cache_set', undefined, 'data');
	await bad('cache_set', null, 'data');
	await bad('cache_set', [], 'params');
	await bad('cache_set', { body: 7 }, 'body');
	await bad('cache_set', { body: { data: 1, key: '' } }, 'key');
	await bad('cache_set', { body: { data: 1, key: 7 } }, 'key');
	for (const ttl_ms of [0, -1, 1.5, '5', 1e30, null])
		await bad('cache_set', { body: { data: 1, ttl_ms } }, 'ttl_ms');
	await bad('cache_get', { body: {} }, 'key');
	await bad('cache_delete', { body: { key: '' } }, 'key');
	const both = await call(socket, 'cache_set', { body: { key: '', ttl_ms: 0 } });
	same(both.errorDetails.map((d) => d.path), [['data'], ['key'], ['ttl_ms']]);
});

served('cache: what was put in with line breaks can be read as a line', async ({ socket }) => {
	const c = await Client.connect(socket);
	c.write(frame('{"id":"1","method":"cache_set",\n"params":{"body":{"key":"k","data":[1,\n "a\\n b"]}}}'));
	same((await c.whole(0)).envelope.result, { key: 'k' });
	c.write(message({ id: '2', method: 'cache_get', params: { body: { key: 'k' } } }));
	same((await c.whole(1)).text, '{"id":"2","result":{"data":[1,"a\\n b"]}}');
	c.destroy();
});

served('sockets_status: state and counters', async ({ socket }) => {
	fs.unlinkSync(socket);
	await until(() => call(socket, 'healthz').then(() => true, () => false), 'the path is back');
	const { result } = await call(socket, 'sockets_status');
	same(result.paths.length, 1);
	const [p] = result.paths;
	same([p.path, p.name, p.state, p.losses, p.relinks, p.cause], [socket, 'assistant', 'reachable', 1, 1,
		'unlinked']);
	same(p.outageLastNs > 0, true);
	same(result.events.lost, 1);
	same((await call(socket, 'sockets_status', { queryParams: { path: '/nobody' } })).result.paths, []);
});

served('sockets_events: what was, then what is, until cancelled', async ({ socket }) => {
	const before = await ask(socket, { method: 'sockets_events' });
	same(before.ended, true);
	same(before.chunks.map((c) => JSON.parse(c).event), ['listening']);
	same(before.chunks.every((c) => c.toString().endsWith('\n')), true);
	const later = Date.now() + 3600000;
	same((await ask(socket, { method: 'sockets_events', params: { queryParams: { since: `${later}` } } }))
		.chunks.length, 0);
	const c = await Client.connect(socket);
	c.write(message({ id: 'f', method: 'sockets_events', params: { queryParams: { follow: 'true' } } }));
	await until(() => c.got[0]?.chunks.length === 1, 'the first event');
	fs.unlinkSync(socket);
	await until(() => c.got[0].chunks.some((x) => JSON.parse(x).event === 'recovered'), 'it comes back');
	same(c.got[0].ended, false);
	c.write(message({ id: 'c', method: '$cancel', params: { targetId: 'f' } }));
	await until(() => c.got[0].ended, 'the end');
	same((await c.whole(1)).text, '{"id":"c","result":null}');
	c.destroy();
	refused(await call(socket, 'sockets_events', { queryParams: { since: 'yesterday' } }), 'since');
	refused(await call(socket, 'sockets_events', { queryParams: { follow: 7 } }), 'follow');
});

served('who follows is let go when the server stops', async (server) => {
	const c = await Client.connect(server.socket);
	c.write(message({ id: 'f', method: 'sockets_events', params: { follow: true } }));
	await until(() => c.got[0]?.chunks.length, 'the first event');
	same(await server.end(), 0);
	same([c.got[0].ended, c.over], [true, true]);
});

served('metrics: text that promtool takes', async ({ socket }) => {
	const one = await ask(socket, { method: 'metrics' });
	same(one.envelope.headers['content-type'], 'text/plain; version=0.0.4');
	same(/^kedge_server_clients\{server="assistant"\} 1$/m.test(one.body), true);
	const tool = spawnSync('promtool', ['check', 'metrics'], { input: one.body, encoding: 'utf8' });
	if (tool.error) skip('no promtool here (Debian: prometheus)');
	same([tool.status, tool.stderr], [0, '']);
});

served('skill_*: no skill server runs here', async ({ socket }) => {
	for (const method of ['skill_tools_list', 'skill_dispatch_tool', 'skill_dispatch_route',
		'skill_events_publish'])
		same((await ask(socket, { method })).text, '{"id":"1","error":"the skill server is not running",' +
			'"statusCode":503,"errorCode":"SERVICE_UNAVAILABLE"}');
});

served('echo: the value byte for byte', async ({ socket }) => {
	for (const value of ['1.50', '-0.0e+00', '"\\u00e9\\/"', '{"b":1, "a":[ ],"b":2}', 'null', '""',
		...[4093, 4094, 4095, 100000].map((n) => `"${'x'.repeat(n)}"`)]) {
		const c = await Client.connect(socket);
		c.write(frame(`{"id":"1","method":"echo","params":{"value":${value}}}`));
		same((await c.whole(0)).text, `{"id":"1","result":{"echoed":${value}}}`);
		c.destroy();
	}
	for (const params of [undefined, null, {}])
		same((await call(socket, 'echo', params)).result, { echoed: null });
});

served('echo_binary: the same bytes', async ({ socket }) => {
	const sizes = [0, 1, 255, 65536, 5000001];
	for (const size of sizes) {
		const body = Buffer.alloc(size, 0).map((_, i) => i * 7);
		const one = await ask(socket, { method: 'echo_binary', headers: { 'content-length': `${size}` } },
			frame(body));
		same([one.envelope.headers['content-length'], one.body.equals(body)], [`${size}`, true]);
		const chunks = [];
		for (let i = 0; i < size; i += 100000) chunks.push(frame(body.subarray(i, i + 100000)));
		const two = await ask(socket, { method: 'echo_binary', headers: { 'transfer-encoding': 'chunked' } },
			...chunks, ZERO);
		same(two.body.equals(body), true);
	}
	same((await ask(socket, { method: 'echo_binary' })).body.length, 0);
});

served('echo_stream: the chunks one by one, empty ones skipped', async ({ socket }) => {
	const one = await ask(socket, { method: 'echo_stream', params: { chunks: ['a', '', 'é\n', '"'] } });
	same(one.text, '{"id":"1","headers":{"transfer-encoding":"chunked"}}');
	same(one.chunks.map(String), ['a', 'é\n', '"']);
	same((await ask(socket, { method: 'echo_stream', params: { chunks: [] } })).chunks, []);
	// Half a surrogate pair, which JSON can spell, is what a Buffer makes of it.
	const half = await ask(socket, { method: 'echo_stream', params: { chunks: ['x\ud800', '\udc00'] } });
	same(half.chunks.map((c) => c.toString('hex')), ['x\ud800', '\udc00'].map((c) => Buffer.from(c).toString('hex')));
	const began = Date.now();
	const slow = await ask(socket, { method: 'echo_stream', params: { chunks: ['a', 'b', 'c'], delayMs: 30 } });
	same([slow.chunks.map(String), Date.now() - began >= 60], [['a', 'b', 'c'], true]);
	refused(await call(socket, 'echo_stream', {}), 'chunks');
	refused(await call(socket, 'echo_stream', { chunks: ['a', 7] }), 'chunks');
	refused(await call(socket, 'echo_stream', { chunks: ['a'], delayMs: -1 }), 'delayMs');
});

served('echo_stream: the writer is paused while the client does not read', async ({ socket }) => {
	const c = await Client.connect(socket);
	const chunks = Array.from({ length: 1000 }, () => 'x'.repeat(8000));
	const sent = async () =>
		Number(/sent_bytes_total.* (\d+)/.exec((await ask(socket, { method: 'metrics' })).body)[1]);
	c.socket.pause();
	for (let i = 0; i < 6; i++) c.write(message({ id: `${i}`, method: 'echo_stream', params: { chunks } }));
	await until(async () => (await sent()) > 100000, 'it begins');
	// Others are served meanwhile; of 48 MB the kernel's buffers have taken what they hold.
	for (let i = 0; i < 50; i++) await call(socket, 'healthz');
	same((await sent()) < 4000000, true);
	c.socket.resume();
	for (let i = 0; i < 6; i++) {
		const one = await c.whole(i);
		same([one.chunks.length, one.chunks.every((x) => x.length === 8000)], [1000, true]);
	}
	c.destroy();
});

served('echo_error: that error', async ({ socket }) => {
	const say = async (params) => (await ask(socket, { method: 'echo_error', params })).text;
	same(await say({ error: 'no "tea"', statusCode: 418, errorCode: 'TEA_POT', errorDetails: [1, { a: null }] }),
		'{"id":"1","error":"no \\"tea\\"","statusCode":418,"errorCode":"TEA_POT","errorDetails":[1,{"a":null}]}');
	const codes = { 400: 'BAD_REQUEST', 401: 'UNAUTHORIZED', 403: 'FORBIDDEN', 404: 'NOT_FOUND',
		409: 'CONFLICT', 410: 'GONE', 413: 'PAYLOAD_TOO_LARGE', 422: 'UNPROCESSABLE_ENTITY',
		424: 'FAILED_DEPENDENCY', 429: 'RATE_LIMITED', 500: 'INTERNAL_ERROR', 502: 'BAD_GATEWAY',
		503: 'SERVICE_UNAVAILABLE', 504: 'GATEWAY_TIMEOUT' };
	for (const [statusCode, errorCode] of Object.entries(codes))
		same(await say({ error: 'e', statusCode: Number(statusCode) }),
			`{"id":"1","error":"e","statusCode":${statusCode},"errorCode":"${errorCode}"}`);
	refused(await call(socket, 'echo_error', { statusCode: 400 }), 'error');
	refused(await call(socket, 'echo_error', { error: '', statusCode: 400 }), 'error');
	refused(await call(socket, 'echo_error', { error: 'e', statusCode: 200 }), 'statusCode');
	refused(await call(socket, 'echo_error', { error: 'e', statusCode: 400, errorCode: '","x":"' }), 'errorCode');
});

main();
