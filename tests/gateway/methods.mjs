// The gateway's methods, its checks, and the lines they travel in.
import fs from 'node:fs';
import path from 'node:path';
import { ask, call, connect, main, same, test, until } from './lib.mjs';

const MISSING = `Missing 'id' or 'method' field`;
const bad = (error, id = 'unknown', statusCode = 400, errorCode = 'BAD_REQUEST') =>
	JSON.stringify({ id, error, statusCode, errorCode });

test('thresholds: defaults, upsert, null, clear', async (dir, serve) => {
	const { socket } = await serve();
	const get = '{"id":"1","method":"get_global_thresholds"}\n';
	same(await ask(socket, get),
		['{"id":"1","result":{"interactive":"medium","autonomous":"low","headless":"none"}}']);
	same((await call(socket, 'get_conversation_threshold', { conversationId: ' ' })).result, null);
	for (const threshold of ['none', 'low', 'medium', 'high', 'low']) {
		const set = { conversationId: ' ', threshold };
		same((await call(socket, 'set_conversation_threshold', { ...set, more: 1 })).result, set);
		same((await call(socket, 'get_conversation_threshold', { conversationId: ' ' })).result,
			{ threshold });
	}
	same((await call(socket, 'clear_conversation_threshold', { conversationId: ' ' })).result,
		{ cleared: true });
	same((await call(socket, 'clear_conversation_threshold', { conversationId: ' ' })).result,
		{ cleared: false });
	await call(socket, 'set_global_thresholds', { headless: 'high' });
	same(await ask(socket, get),
		['{"id":"1","result":{"interactive":"medium","autonomous":"low","headless":"high"}}']);
	same((await call(socket, 'echo', { value: [1.50, 'é'] })).result, { echoed: [1.5, 'é'] });
});

test('what is read after a write on one connection sees it, asked in one go', async (dir, serve) => {
	const { socket } = await serve();
	const line = (id, method, params) => JSON.stringify({ id, method, params }) + '\n';
	const answers = await ask(socket, [
		line('1', 'set_conversation_threshold', { conversationId: 'c', threshold: 'high' }),
		line('2', 'get_conversation_threshold', { conversationId: 'c' }),
		line('3', 'set_global_thresholds', { autonomous: 'none' }),
		line('4', 'get_global_thresholds'),
		line('5', 'clear_conversation_threshold', { conversationId: 'c' }),
		line('6', 'get_conversation_threshold', { conversationId: 'c' }),
	].join(''), 6);
	const results = Object.fromEntries(answers.map(JSON.parse).map((a) => [a.id, a.result]));
	same(results[2], { threshold: 'high' });
	same(results[4], { interactive: 'medium', autonomous: 'none', headless: 'none' });
	same([results[5], results[6]], [{ cleared: true }, null]);
});

test('params that are refused say where and why', async (dir, serve) => {
	const { socket } = await serve();
	const none = await call(socket, 'get_conversation_threshold');
	same(none.error, 'Invalid params: params: expected object, received undefined');
	same([none.statusCode, none.errorCode], [400, 'BAD_REQUEST']);
	const both = await call(socket, 'set_conversation_threshold',
		{ conversationId: '', threshold: 'High' });
	same(both.error.split('; ').length, 2);
	same(both.errorDetails.map((d) => d.path), [['conversationId'], ['threshold']]);
	same(both.errorDetails[1].code, 'invalid_value');
	const type = await call(socket, 'get_feature_flag', { flag: 7 });
	same(type.statusCode, 400);
});

test('the checks, one after another on one connection', async (dir, serve) => {
	const { socket } = await serve();
	const rows = [
		['nonsense', bad('Invalid JSON')], ['{"id":"1","method":"echo",}', bad('Invalid JSON')],
		['{"id":"1\xff', bad('Invalid JSON')], ['[]', bad(MISSING)], ['7', bad(MISSING)],
		['{"method":"echo"}', bad(MISSING)], ['{"id":null,"method":"echo"}', bad(MISSING)],
		['{"id":0,"method":"echo"}', bad(MISSING)], ['{"id":"","method":"echo"}', bad(MISSING, '')],
		['{"id":"a"}', bad(MISSING, 'a')], ['{"id":"a","method":""}', bad(MISSING, 'a')],
		['{"id":7}', bad(MISSING)], ['{"id":"a","method":7}', bad(MISSING, 'a')],
		['{"id":"a","method":"nope"}', bad('Unknown method: nope', 'a', 404, 'UNKNOWN_METHOD')],
		['{"id":1.50,"method":"echo"}', '{"id":1.50,"result":{"echoed":null}}'],
		['{"id":[1, 2],"method":"echo"}', '{"id":[1, 2],"result":{"echoed":null}}'],
		['{"id":"x","id":true,"method":"echo"}', '{"id":true,"result":{"echoed":null}}'],
		['{"\\u0069d":"e","method":"echo"}', '{"id":"e","result":{"echoed":null}}'],
		['\ufeff \t{"id":"b","method":"echo"} \r', '{"id":"b","result":{"echoed":null}}'],
		['[' .repeat(200) + ']'.repeat(200), bad('Invalid JSON')],
	];
	const c = await connect(socket);
	for (const [line] of rows)
		c.write(Buffer.from(line + '\n\n', line.includes('\xff') ? 'latin1' : 'utf8'));
	const answers = await c.lines(rows.length);
	rows.forEach(([line, answer], i) => same([line, answers[i]], [line, answer]));
	same(answers.length, rows.length);
	c.destroy();
});

test('a line of over 16 MiB is refused, and the next one answered', async (dir, serve) => {
	const { socket } = await serve();
	const c = await connect(socket);
	const size = 16 * 1024 * 1024 + 1;
	c.write('x'.repeat(size) + '\n{"id":"n","method":"echo"}\n');
	const [first, second] = await c.lines(2);
	same(JSON.parse(first).statusCode, 413);
	same(JSON.parse(first).error, `Message too large: ${size} bytes, limit ${size - 1}`);
	same(second, '{"id":"n","result":{"echoed":null}}');
	c.destroy();
});

test('a byte at a time, a thousand at once, half-close', async (dir, serve) => {
	const { socket } = await serve();
	const slow = await connect(socket);
	for (const byte of '{"id":"1","method":"echo","params":{"value":"\u00e9"}}\n') {
		slow.write(byte);
		await new Promise(setImmediate);
	}
	same(await slow.lines(1), ['{"id":"1","result":{"echoed":"é"}}']);
	slow.destroy();
	const many = await connect(socket);
	const ids = Array.from({ length: 1000 }, (_, i) => `${i}`);
	many.end(ids.map((id) => JSON.stringify({ id, method: 'get_global_thresholds' })).join('\n') +
		'\n{"id":"unended","method":"echo"}');
	const lines = await many.lines(1000);
	same(lines.map((l) => JSON.parse(l).id), ids);
	await until(() => many.over, 'the server closes after a half-close');
});

test('a client that goes away disturbs nobody', async (dir, serve) => {
	const { socket } = await serve();
	const stays = await connect(socket);
	for (let i = 0; i < 50; i++) {
		const goes = await connect(socket);
		goes.write('{"id":"1","method":"set_conversation_threshold",' +
			'"params":{"conversationId":"g","threshold":"low"}}\n');
		goes.destroy();
	}
	stays.write('{"id":"s","method":"echo"}\n');
	same(await stays.lines(1), ['{"id":"s","result":{"echoed":null}}']);
	stays.destroy();
});

test('flags: absent, given, changed, broken', async (dir, serve) => {
	const file = path.join(dir, 'feature-flags.json');
	const put = (text) => {
		fs.writeFileSync(file + '.new', text);
		fs.renameSync(file + '.new', file);
	};
	const server = await serve();
	const { socket } = server;
	const listener = await connect(socket);
	same((await call(socket, 'get_feature_flags')).result, {});
	same((await call(socket, 'get_feature_flag', { flag: 'a' })).result, null);
	put('{"version":1,"values":{"a":true,"b":false}}');
	same(await listener.lines(1), ['{"event":"feature_flags_changed"}']);
	same((await call(socket, 'get_feature_flags')).result, { a: true, b: false });
	same((await call(socket, 'get_feature_flag', { flag: 'b' })).result, false);
	const before = server.log.length;
	put('{"version":1,');
	await until(() => server.log.slice(before).includes('feature-flags.json'), 'a report');
	same((await call(socket, 'get_feature_flag', { flag: 'a' })).result, true);
	listener.destroy();
});

main();
