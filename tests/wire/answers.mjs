// What the three sockets share: how answers look, and where the limits are. Each row is put to
// all of them, as lines, as frames, and as lines on the frames' socket.
import path from 'node:path';
import { ask as askLines, connect } from '../gateway/lib.mjs';
import { Client, ask, call, frame, main, message, same, serveNames, sleep, test, until } from '../assistant/lib.mjs';

const NAMES = ['gateway', 'assistant', 'assistant-skill'];
const MISSING = `Missing 'id' or 'method' field`;
const LIMIT = 16 * 1024 * 1024;
const bad = (error, id = '"unknown"', statusCode = 400, errorCode = 'BAD_REQUEST') =>
	`{"id":${id},"error":${JSON.stringify(error)},"statusCode":${statusCode},"errorCode":"${errorCode}"}`;
const tooLarge = (n) => bad(`Message too large: ${n} bytes, limit ${LIMIT}`, '"unknown"', 413, 'PAYLOAD_TOO_LARGE');
const unknown = (name) => bad(`Unknown method: ${name}`, '"a"', 404, 'UNKNOWN_METHOD');

// Ways to put one message and get its answer, by a name.
const ways = (server) => ({
	gateway: async (text) => (await askLines(server.gateway, Buffer.concat([Buffer.from(text), Buffer.from('\n')])))[0],
	skill: async (text) => (await askLines(server['assistant-skill'], Buffer.concat([Buffer.from(text), Buffer.from('\n')])))[0],
	frames: async (text) => {
		const c = await Client.connect(server.assistant);
		c.write(frame(text));
		const one = await c.whole(0);
		c.destroy();
		return one.text;
	},
	legacy: async (text) => (await askLines(server.assistant, Buffer.concat([Buffer.from(text), Buffer.from('\n')])))[0],
});

const served = (name, run, ...args) =>
	test(name, async (dir) => {
		const server = await serveNames(dir, ['all'], ...args);
		await run(server, ways(server), dir);
	});

async function table(way, rows) {
	for (const [text, wanted] of rows)
		for (const [name, put] of Object.entries(way)) {
			// What does not begin with a '{' is no line on the frames' socket.
			if (name === 'legacy' && text[0] !== '{' && text[0] !== 123) continue;
			const expected = typeof wanted === 'string' ? wanted : wanted[name] ?? wanted.rest;
			same([name, text.toString().slice(0, 80), await put(text)], [name, text.toString().slice(0, 80), expected]);
		}
}

// On the skill socket an id is a string.
const echoed = (id) => ({ skill: bad(MISSING), rest: `{"id":${id},"result":{"echoed":null}}` });
const deep = (n) => '['.repeat(n) + ']'.repeat(n);

served('ids: what counts as one, and how it comes back', async (server, way) => {
	await table(way, [
		...['7', '-1', '1.50', '1e400', '123456789012345678901234567890', 'true', '{}', '[]', '{"a" : 1, "b":[ 1 ]}', '[null]']
			.map((id) => [`{"id": ${id} ,"method":"echo"}`, echoed(id)]),
		...['"a"', '" "', '"\\u0000"', '"\\ud800"', '"\\u0041"', '"é😀"', '"0"', `"${'i'.repeat(70000)}"`]
			.map((id) => [`{"id":${id},"method":"echo"}`, `{"id":${id},"result":{"echoed":null}}`]),
		...['0', '-0', '0.0', '0e5', '0.00E-7', 'null', 'false'].map((id) => [`{"id":${id},"method":"echo"}`, bad(MISSING)]),
		['{"id":"","method":"echo"}', bad(MISSING, '""')], ['{"method":"echo"}', bad(MISSING)], ['{}', bad(MISSING)],
		['{"id":7}', bad(MISSING)], ['{"id":{"a":1},"method":""}', bad(MISSING)], ['{"id":"a"}', bad(MISSING, '"a"')],
		['{"id":"a","id":null,"method":"echo"}', bad(MISSING)], ['{"id":"a","result":1}', bad(MISSING, '"a"')],
		['{"__proto__":{"id":"p","method":"echo"}}', bad(MISSING)], ['null', bad(MISSING)], ['""', bad(MISSING)], ['7', bad(MISSING)],
	]);
});

served('methods: what counts as one, and how its name comes back', async (server, way) => {
	await table(way, [
		...['null', '7', 'true', '{}', '["echo"]', '""'].map((m) => [`{"id":"a","method":${m}}`, bad(MISSING, '"a"')]),
		['{"id":"a","method":"echo","method":7}', bad(MISSING, '"a"')],
		['{"id":"a","method":"nope","method":"echo"}', '{"id":"a","result":{"echoed":null}}'],
		['{"id":"a","method":"\\u0065cho","more":[{}]}', '{"id":"a","result":{"echoed":null}}'],
		...[' ', 'Echo', 'echo ', '__proto__', 'constructor', 'toString', 'é😀', 'a"b\\c', 'line\nbreak', 'nul\0', 'n'.repeat(70000)]
			.map((name) => [JSON.stringify({ id: 'a', method: name }), unknown(name)]),
		['{"id":"a","method":"\\u00e9\\ud83d\\ude00\\/"}', unknown('é😀/')],
		// Half a pair is no text: in UTF-8 one character stands for it, as in a Buffer.
		...['x\\ud800', '\\udc00\\ud800y', '\\ud800\\ud83d\\ude00', '\\ud800\\n'].map((name) =>
			[`{"id":"a","method":"${name}"}`, unknown(String(Buffer.from(JSON.parse(`"${name}"`))))]),
	]);
});

served('JSON and UTF-8 are strict, white space is not', async (server, way) => {
	const odd = (text) => Buffer.from(text, 'latin1');
	await table(way, [
		...['{"id":"a","method":"echo",}', "{'id':1}", '{"id":"a" "method":"echo"}', '{"id":"a","method":"echo"}}', '{"id":01,"method":"echo"}',
			'{"id":"a","method":"echo"}{}', '{"id":NaN,"method":"echo"}', '{"id":"a","method":"echo","params":[1,]}', '{"id":"\\x"}',
			'{"id":"\\ud80"}', '{', '{"id":+1}', '{"id":1.}', '{"id":.5}', '{"id":tru}', 'nonsense', '\0', '"', '/* */{}']
			.map((text) => [text, bad('Invalid JSON')]),
		...['{"id":"a\xff"}', '{"id":"\xc0\x80","method":"echo"}', '{"id":"a\xed\xa0\x80","method":"echo"}', '{"id":"\xf5\x80\x80\x80"}',
			'{"id":"\x01","method":"echo"}', '{"id":"\xe9","method":"echo"}'].map((text) => [odd(text), bad('Invalid JSON')]),
		['{ "id" :\t"a" ,\r"method":"echo" } \r', '{"id":"a","result":{"echoed":null}}'],
	]);
	for (const put of [way.gateway, way.skill])
		for (const [front, back] of [['\ufeff', ''], [' \t', ' '], ['', '\r'], ['\r\ufeff ', '\ufeff\r'], ['\n\n \n\r\n\ufeff\n', '']])
			same(await put(`${front}{"id":"a","method":"echo"}${back}`), '{"id":"a","result":{"echoed":null}}');
});

served('nesting: 128 levels are well, 129 are none', async (server, way) => {
	await table(way, [
		[`{"id":"a","method":"echo","params":${deep(127)}}`, '{"id":"a","result":{"echoed":null}}'],
		[`{"id":"a","method":"echo","params":${deep(128)}}`, bad('Invalid JSON')],
		[deep(128), bad(MISSING)], [deep(129), bad('Invalid JSON')],
		['{"id":"a","method":"echo","params":' + '{"a":'.repeat(500000), bad('Invalid JSON')],
	]);
});

served('16 MiB are well, one byte more is too large, and what follows is answered', async (server) => {
	const next = '{"id":"n","method":"echo"}', after = '{"id":"n","result":{"echoed":null}}';
	const text = (n) => `{"id":"b","method":"echo","params":{"value":"${'x'.repeat(n - 48)}"}}`;
	same(text(100).length, 100);
	for (const name of NAMES) {
		const [good, end] = await askLines(server[name], `${text(LIMIT)}\n${next}\n`, 2);
		same([name, good.length, end], [name, LIMIT - 15, after]);
		same([name, ...(await askLines(server[name], `${text(LIMIT + 1)}\n${next}\n`, 2))], [name, tooLarge(LIMIT + 1), after]);
		// What is skipped is nobody's message, whatever stands in it.
		const inside = '{"id":"a","method":"echo"}'.padEnd(LIMIT + 7, ' ');
		same([name, ...(await askLines(server[name], `${inside}\r\n${next}\r\n`, 2))], [name, tooLarge(LIMIT + 8), after]);
	}
	const c = await Client.connect(server.assistant);
	for (const [i, n] of [LIMIT, LIMIT + 1].entries()) {
		c.write(frame(text(n)), frame(next));
		const one = await c.whole(2 * i);
		same([n, n > LIMIT ? one.text : one.text.length], [n, n > LIMIT ? tooLarge(n) : LIMIT - 15]);
		same((await c.whole(2 * i + 1)).text, after);
	}
	c.destroy();
});

served('more requests in flight than may be: reading is paused, nothing is refused', async (server) => {
	const c = await Client.connect(server.assistant);
	for (let i = 1; i <= 60; i++)
		c.write(message({ id: i, method: 'echo_stream', params: { chunks: [`${i}`, 'end'], delayMs: 1 } }));
	for (let i = 1; i <= 60; i++) {
		const one = await c.whole(i - 1);
		same([one.envelope.id, one.chunks.map(String)], [i, [`${i}`, 'end']]);
	}
	c.socket.end();
	await until(() => c.over, 'the end');
	same(c.got.length, 60);
}, '--in-flight-max', '8');

served('no greeting, no time-out: a client may be silent', async (server) => {
	const clients = await Promise.all(NAMES.map((name) => connect(server[name])));
	await sleep(500);
	for (const c of clients) {
		same([c.text, c.over], ['', false]);
		c.end();
		await until(() => c.over, 'the server closes after its end');
		same(c.text, '');
	}
});

// Every method of every socket, with params of every kind.
const ERROR = ['id', 'error', 'statusCode', 'errorCode'];
const PARAMS = [undefined, null, 7, 'x', true, [], [{}], {}, { body: {} }, { body: null }, { body: 7 }, { value: 1 }, { queryParams: null },
	{ conversationId: 'c' }, { conversationId: 'c', threshold: 'low' }, { flag: 'f' }, { interactive: 'low' }, { body: { key: 'k', data: null } },
	{ __proto__: null, constructor: 1 }, { error: 'e', statusCode: 418 }, { chunks: [] }, { level: 'debug', msg: 'm' }, { path: 'a' }, { key: 'a' },
	{ message: {} }, { event: { id: 'e', emittedAt: 't', message: {} } }, { filter: {} }, { subscribeId: 's' }, { meetingId: 'm' }, { name: 'n' },
	{ name: 'n', input: 1 }, { method: 'GET', url: '/' }, { patternSource: '.', methods: ['GET'] }, { targetId: 'x' }];
const METHODS = {
	gateway: ['get_global_thresholds', 'set_global_thresholds', 'get_conversation_threshold', 'set_conversation_threshold',
		'clear_conversation_threshold', 'get_feature_flags', 'get_feature_flag', 'echo', 'nope'],
	assistant: ['health', 'healthz', 'get_route_schema', 'cache_set', 'cache_get', 'cache_delete', 'sockets_status', 'sockets_events',
		'metrics', 'skill_tools_list', 'skill_dispatch_tool', 'skill_dispatch_route', 'skill_events_publish', 'echo', 'echo_binary',
		'echo_stream', 'echo_error', '$cancel', 'nope'],
	'assistant-skill': ['host.log', 'host.config.getSection', 'host.config.isFeatureFlagEnabled', 'host.identity.getAssistantName',
		'host.platform.workspaceDir', 'host.platform.vellumRoot', 'host.platform.runtimeMode', 'host.events.publish', 'host.events.buildEvent',
		'host.events.subscribe', 'host.events.subscribe.close', 'host.registries.register_tools', 'host.registries.register_skill_route',
		'host.registries.register_shutdown_hook', 'host.registries.report_session_started', 'host.registries.report_session_ended', 'echo',
		'host.memory.search', 'host.llm.complete', 'host.speech.say', 'host.keys.get'],
};

function checkShape(line, what) {
	const answer = JSON.parse(line);
	const keys = Object.keys(answer);
	same([what, JSON.stringify(answer)], [what, line]);
	if (!('error' in answer)) {
		const second = 'result' in answer ? 'result' : 'headers';
		same([what, keys, answer.statusCode], [what, ['id', second], undefined]);
		return answer;
	}
	same([what, keys], [what, 'errorDetails' in answer ? [...ERROR, 'errorDetails'] : ERROR]);
	same([what, typeof answer.error, answer.error.length > 0, answer.statusCode >= 400], [what, 'string', true, true]);
	same([what, /^[A-Z_]+$/.test(answer.errorCode)], [what, true]);
	const refused = answer.error.startsWith('Invalid params: ');
	same([what, refused], [what, 'errorDetails' in answer]);
	if (refused) {
		same([what, answer.errorDetails.length], [what, answer.error.slice(16).split('; ').length]);
		for (const d of answer.errorDetails) same(Object.keys(d), ['path', 'code', 'message']);
	}
	return answer;
}

served('every method, with every kind of params: no error in a success, codes in each failure, members in order', async (server) => {
	const seen = { good: 0, bad: 0 };
	for (const [name, methods] of Object.entries(METHODS))
		for (const method of methods) {
			const c = await connect(server[name]);
			const requests = PARAMS.map((params, i) => JSON.stringify({ id: `${i + 1}`, method, params }));
			c.end(requests.join('\n') + '\n');
			await until(() => c.over, `all answers of ${method}`);
			// An event that was published comes to a stream of its own, not to these.
			const answers = c.text.split('\n').slice(0, -1).filter((l) => !l.includes('"event":'));
			same([name, method, answers.length], [name, method, PARAMS.length]);
			const ids = new Set();
			for (const line of answers) {
				const answer = checkShape(line, `${name} ${method}`);
				ids.add(answer.id);
				seen['error' in answer ? 'bad' : 'good']++;
				if (method === 'nope' || /^host\.(memory|llm|speech|keys)/.test(method))
					same([answer.error, answer.statusCode, answer.errorCode], [`Unknown method: ${method}`, 404, 'UNKNOWN_METHOD']);
			}
			same([method, ids.size], [method, PARAMS.length]);
		}
	same([seen.good > 500, seen.bad > 300], [true, true]);
});

served('codes follow from statuses', async (server) => {
	const codes = { BAD_REQUEST: 400, UNAUTHORIZED: 401, FORBIDDEN: 403, NOT_FOUND: 404, CONFLICT: 409, GONE: 410, PAYLOAD_TOO_LARGE: 413,
		UNPROCESSABLE_ENTITY: 422, FAILED_DEPENDENCY: 424, RATE_LIMITED: 429, INTERNAL_ERROR: 500, BAD_GATEWAY: 502,
		SERVICE_UNAVAILABLE: 503, GATEWAY_TIMEOUT: 504 };
	for (const [code, statusCode] of Object.entries(codes))
		same((await ask(server.assistant, { method: 'echo_error', params: { error: 'e', statusCode } })).text,
			`{"id":"1","error":"e","statusCode":${statusCode},"errorCode":"${code}"}`);
	same((await call(server.assistant, 'echo_error', { error: 'é "x"', statusCode: 418, errorCode: 'TEAPOT', errorDetails: [1, { a: null }] })),
		{ id: '1', error: 'é "x"', statusCode: 418, errorCode: 'TEAPOT', errorDetails: [1, { a: null }] });
});

served('the first byte decides, whichever it is', async (server) => {
	for (let byte = 0; byte < 256; byte++) {
		const c = await Client.connect(server.assistant);
		if (byte === 0x7b) {
			c.destroy();
			same(await askLines(server.assistant, '{"id":"a","method":"echo"}\n'), ['{"id":"a","result":{"echoed":null}}']);
			continue;
		}
		// The length of a frame: what is within the limit is waited for, the rest refused at once.
		c.socket.end(Buffer.from([byte, 0, 0, 2, 0x7b, 0x7d]));
		await until(() => c.over, `the end after ${byte}`);
		const size = byte * 2 ** 24 + 2;
		const wanted = size <= LIMIT ? bad(MISSING) : tooLarge(size);
		same([byte, c.got.map((g) => g.text)], [byte, byte === 1 ? [tooLarge(size)] : [wanted]]);
		c.destroy();
	}
});

served('requests are started in order; a client that ends is answered all the same', async (server) => {
	const c = await connect(server.gateway);
	const ids = Array.from({ length: 3000 }, (_, i) => `${i}`);
	const half = '{"id":"half","method":"echo"';
	c.end(ids.map((id) => `{"id":"${id}","method":"echo","params":{"value":${id}}}\n`).join('') + half);
	await until(() => c.over, 'the end');
	same(c.text, ids.map((id) => `{"id":"${id}","result":{"echoed":${id}}}\n`).join(''));
});

main();
