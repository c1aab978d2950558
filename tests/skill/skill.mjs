// The skill server as skills meet it: wire.md section 5, row by row, in another language.
import fs from 'node:fs';
import path from 'node:path';
import { ask, call, main, same, serveNames, test, until } from '../gateway/lib.mjs';
import { skill, tool } from './lib.mjs';

const serve = async (dir, ...args) => serveNames(dir, ['assistant-skill'], ...args);

const event = (more = {}) => ({ id: 'e1', emittedAt: 'now', message: { type: 'm' }, ...more });

test('the host answers: log, config, flags, names, places', async (dir) => {
	const home = path.join(dir, 'home', 'workspace');
	fs.mkdirSync(home, { recursive: true });
	const server = await serve(home);
	const s = await skill(server.socket);
	same(await s.result('host.log', { level: 'warn', msg: 'two\nlines', name: 'n', meta: { a: 1 } }), { ok: true });
	await until(() => /warning.*n: two lines \{"a":1\}/.test(server.log), 'a log line');
	for (const params of [{}, { level: 'loud', msg: '' }, { level: 'info', msg: 1 }])
		same((await s.ask('host.log', params)).statusCode, 400);
	same(await s.result('host.config.getSection', { path: 'a.b' }), null);
	fs.writeFileSync(path.join(home, 'config.json'),
		'{ "a": { "b": [1.50, { "c" : "x y" }] , "n": null, "a.b": 7 } }\n');
	const sections = { 'a.b': [1.5, { c: 'x y' }], 'a.b.1.c': 'x y', 'a.b.2': null, 'a.n': null,
		'a.b.c': null, none: null, '': null };
	for (const [at, value] of Object.entries(sections))
		same([at, await s.result('host.config.getSection', { path: at })], [at, value]);
	fs.writeFileSync(path.join(home, 'config.json'), '{"a":');
	same(await s.result('host.config.getSection', { path: 'a.b.0' }), 1.5);
	await until(() => server.log.includes('config.json: it cannot be read'), 'a report');
	same(await s.result('host.config.isFeatureFlagEnabled', { key: 'f' }), false);
	fs.writeFileSync(path.join(home, 'feature-flags.json'), '{"version":1,"values":{"f":true}}');
	await until(() => s.result('host.config.isFeatureFlagEnabled', { key: 'f' }), 'a flag');
	same(await s.result('host.identity.getAssistantName', {}), null);
	fs.writeFileSync(path.join(home, 'IDENTITY.md'), '# I\n**Name:**\n - **Name:**  Zoë "Z" \r\n**Name:** B\n');
	same(await s.result('host.identity.getAssistantName'), 'Zoë "Z"');
	same(await s.result('host.platform.workspaceDir'), home);
	same(await s.result('host.platform.vellumRoot'), path.dirname(home));
	same(await s.result('host.platform.runtimeMode'), 'bare-metal');
	s.end();
});

test('runtime mode in a container', async (dir) => {
	for (const [value, mode] of [['true', 'docker'], ['1', 'docker'], ['yes', 'bare-metal']]) {
		process.env.IS_CONTAINERIZED = value;
		const server = await serve(dir);
		delete process.env.IS_CONTAINERIZED;
		same((await call(server.socket, 'host.platform.runtimeMode')).result, mode);
		await server.end();
	}
});

test('events: built, published, delivered where they are wanted, closed', async (dir) => {
	const { socket } = await serve(dir);
	const [a, b] = [await skill(socket), await skill(socket)];
	const built = await a.result('host.events.buildEvent', { message: { x: 1 }, conversationId: 'c' });
	same(Object.keys(built), ['id', 'conversationId', 'emittedAt', 'message']);
	same(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(built.id), true);
	same(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(built.emittedAt), true);
	same(Object.keys(await a.result('host.events.buildEvent', { message: {} })), ['id', 'emittedAt', 'message']);
	same(await a.result('host.events.subscribe', { filter: {} }, 'all'), { subscribed: true });
	same(await b.result('host.events.subscribe', { filter: { conversationId: 'c' } }, 'one'), { subscribed: true });
	same((await b.ask('host.events.subscribe', {}, 'x1')).statusCode, 400);
	const again = await b.ask('host.events.subscribe', { filter: {} }, 'again');
	same(again.result, { subscribed: true });
	b.send({ id: 'again', method: 'host.events.subscribe', params: { filter: {} } });
	await b.find((l) => l.error === 'Stream id already active: again', 'a refusal');
	for (const [id, conversationId] of [['1', 'c'], ['2', 'd'], ['3', undefined]]) {
		const params = { event: { more: 1, message: { z: 1, a: [1] }, conversationId, emittedAt: 't', id } };
		same(await a.result('host.events.publish', params), { published: true });
	}
	const ids = (s, id) => s.deliveries(id).map((l) => l.payload.id);
	await until(() => ids(b, 'again').length === 3 && ids(b, 'one').length === 2, 'deliveries');
	same([ids(a, 'all'), ids(b, 'one'), ids(b, 'again')], [['1', '2', '3'], ['1', '3'], ['1', '2', '3']]);
	same(a.raw.text.includes('{"id":"all","event":"delivery","payload":{"id":"1","conversationId":"c",' +
		'"emittedAt":"t","message":{"z":1,"a":[1]}}}'), true);
	// The publisher's own delivery stands before the answer.
	same(a.raw.text.indexOf('"payload":{"id":"3"') < a.raw.text.lastIndexOf('{"published":true}'), true);
	for (const bad of [{}, { event: {} }, { event: event({ id: '' }) }, { event: event({ message: 'm' }) },
		{ event: event({ conversationId: 7 }) }, { event: event({ emittedAt: null }) }])
		same((await a.ask('host.events.publish', bad)).statusCode, 400);
	const wrong = await a.ask('host.events.publish', { event: { message: {} } });
	same(wrong.errorDetails.map((d) => d.path), [['event', 'id'], ['event', 'emittedAt']]);
	same(await b.result('host.events.subscribe.close', { subscribeId: 'again' }), { closed: true });
	same(await b.result('host.events.subscribe.close', { subscribeId: 'never' }), { closed: true });
	same((await b.ask('host.events.subscribe.close', {})).error, `Missing 'subscribeId' param`);
	await a.result('host.events.publish', { event: event() });
	await until(() => ids(b, 'one').length === 3, 'a delivery');
	same(ids(b, 'again').length, 3);
	const closed = b.lines().length;
	b.send({ id: 'again', method: 'host.events.subscribe', params: { filter: {} } });
	await until(() => b.lines().length > closed, 'the id is free again');
	same(b.lines().at(-1), { id: 'again', result: { subscribed: true } });
	a.end();
	b.end();
});

test('streams by the thousand: each id once, however it is escaped, and no more than 4096', async (dir) => {
	const { socket } = await serve(dir);
	const s = await skill(socket);
	const open = (id) => s.raw.write(`{"id":${id},"method":"host.events.subscribe","params":{"filter":{}}}\n`);
	const answers = async (n) => (await until(() => s.lines().length >= n && s.lines(), `${n} answers`)).slice(n - 1)[0];
	for (let i = 0; i < 4096; i++) open(`"s:${i}"`);
	same((await answers(4096)).result, { subscribed: true });
	same(s.lines().filter((l) => l.result?.subscribed).length, 4096);
	open('"s:4096"');
	same((await answers(4097)).statusCode, 429);
	open('"\\u0073:7"');
	same((await answers(4098)).error, 'Stream id already active: s:7');
	same(await s.result('host.events.subscribe.close', { subscribeId: 's:7' }, 'c1'), { closed: true });
	open('"s\\u003a7"');
	same((await answers(4100)).result, { subscribed: true });
	open('"s:7"');
	same((await answers(4101)).statusCode, 409);
	s.end();
});

test('a reader that does not read loses its streams, and nobody else anything', async (dir) => {
	const { socket } = await serve(dir);
	const [slow, good] = [await skill(socket), await skill(socket)];
	await slow.result('host.events.subscribe', { filter: {} }, 'slow');
	await good.result('host.events.subscribe', { filter: {} }, 'good');
	slow.raw.pause();
	const message = { text: 'x'.repeat(100000) };
	for (let i = 0; i < 60; i++) await good.result('host.events.publish', { event: event({ message }) });
	await until(() => good.deliveries('good').length === 60, 'all deliveries');
	slow.raw.resume();
	const end = await slow.find((l) => l.error, 'an end');
	same(end.error, 'Stream slow closed: client not draining (socket buffer exceeded 1048576 bytes)');
	same(slow.deliveries('slow').length < 60, true);
	same(await slow.result('host.events.subscribe', { filter: {} }, 'slow2'), { subscribed: true });
	slow.end();
	good.end();
});

test('registries: what is taken, and what is refused', async (dir) => {
	const { socket } = await serve(dir);
	const s = await skill(socket);
	const register = (tools) => s.ask('host.registries.register_tools', { tools });
	same((await register([tool('a'), tool('b', { executionTarget: 'host', executionMode: 'proxy',
		ownerSkillBundled: true, ownerSkillVersionHash: 'h' })])).result, { registered: ['a', 'b'] });
	for (const bad of [undefined, [], {}, ['x'], [tool('')], [tool('a', { input_schema: [] })],
		[tool('a', { defaultRiskLevel: 'huge' })], [tool('a', { executionTarget: 'moon' })],
		[tool('a', { executionMode: '' })], [tool('a', { ownerSkillBundled: 'yes' })]])
		same((await register(bad)).statusCode, 400);
	const wrong = await register([tool('a'), { ...tool('b'), category: undefined }]);
	same(wrong.error, 'Invalid params: tools.1.category: expected string, received undefined');
	same(wrong.errorDetails[0].path, ['tools', 1, 'category']);
	const route = (params) => s.ask('host.registries.register_skill_route', params);
	const good = { patternSource: '^/a/(?<id>\\d+)$', methods: ['GET', 'POST'] };
	same((await route({ ...good, patternFlags: 'i', skillId: 'k' })).result, good);
	for (const bad of [{}, { ...good, patternSource: '(' }, { ...good, patternFlags: 'ii' },
		{ ...good, patternFlags: 'q' }, { ...good, methods: [] }, { ...good, methods: [1] }])
		same((await route(bad)).statusCode, 400);
	same((await route({ ...good, patternSource: '[' })).error.startsWith(
		'Invalid params: patternSource: Invalid regular expression'), true);
	same(await s.result('host.registries.register_shutdown_hook', { name: 'h' }), { name: 'h' });
	same((await s.ask('host.registries.register_shutdown_hook', { name: '' })).statusCode, 400);
	const meeting = (what, meetingId) => s.result(`host.registries.report_session_${what}`, { meetingId });
	same(await meeting('started', 'm'), { activeCount: 1 });
	same(await meeting('started', 'm'), { activeCount: 1 });
	same(await meeting('started', 'n'), { activeCount: 2 });
	same(await meeting('ended', 'x'), { activeCount: 2 });
	same(await meeting('ended', 'm'), { activeCount: 1 });
	s.end();
});

test('ids: a string, not empty, and not the daemon\'s', async (dir) => {
	const { socket } = await serve(dir);
	const missing = `Missing 'id' or 'method' field`;
	const rows = [
		['{"id":7,"method":"echo"}', 'unknown', missing], ['{"id":true,"method":"echo"}', 'unknown', missing],
		['{"id":"","method":"echo"}', '', missing], ['{"id":"a","method":""}', 'a', missing],
		['{"id":"d:9","method":"echo"}', 'd:9', `Reserved id prefix 'd:': skill-initiated request ids ` +
			'must not collide with daemon-initiated ids'],
		['{"id":"a","method":"host.memory.get"}', 'a', 'Unknown method: host.memory.get'],
		['nonsense', 'unknown', 'Invalid JSON'],
	];
	for (const [line, id, error] of rows) {
		const answer = JSON.parse((await ask(socket, line + '\n'))[0]);
		same([line, answer.id, answer.error], [line, id, error]);
	}
	// Answers to nothing are dropped: the next request is answered, and nothing else.
	same(await ask(socket, '{"id":"d:1","result":1}\n{"id":"d:77","error":null}\n{"id":"e","method":"echo"}\n'),
		['{"id":"e","result":{"echoed":null}}']);
});

test('at stop, those with a hook are told, and waited for', async (dir) => {
	const server = await serve(dir);
	const [a, b] = [await skill(server.socket), await skill(server.socket)];
	for (const name of ['one', 'two']) await a.result('host.registries.register_shutdown_hook', { name });
	await b.result('host.platform.runtimeMode');
	const asked = [];
	a.serve((l) => (asked.push(l), { result: { ok: true } }));
	server.child.kill('SIGTERM');
	await until(() => server.status !== null, 'the end');
	same(asked.map((l) => [l.id, l.method, l.params]), [
		['d:1', 'skill.shutdown', { name: 'one', reason: 'shutdown' }],
		['d:2', 'skill.shutdown', { name: 'two', reason: 'shutdown' }]]);
	same(b.lines().filter((l) => l.method).length, 0);
	same(server.status, 0);
});

main();
