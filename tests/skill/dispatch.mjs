// From the assistant socket through the daemon to a connected skill, and back.
import path from 'node:path';
import { call, connect, main, same, serveNames, test, until } from '../gateway/lib.mjs';
import { skill, tool } from './lib.mjs';

const serve = (dir, ...args) => serveNames(dir, ['all'], ...args);
const sockets = (dir) => ({
	assistant: path.join(dir, 'assistant.sock'),
	skills: path.join(dir, 'assistant-skill.sock'),
});

test('a tool: asked, answered, and every way to fail', async (dir) => {
	await serve(dir);
	const { assistant, skills } = sockets(dir);
	const s = await skill(skills);
	await s.result('host.registries.register_tools', { tools: [tool('t'), tool('fails'), tool('dies')] });
	same((await call(assistant, 'skill_tools_list')).result.map((t) => t.name), ['t', 'fails', 'dies']);
	const asked = [];
	s.serve((l) => {
		asked.push(l);
		if (l.params.name === 'fails') return { error: { why: [1] } };
		if (l.params.name === 'dies') return void s.end();
		return { result: { result: { sum: l.params.input.a } } };
	});
	const dispatch = (params) => call(assistant, 'skill_dispatch_tool', params);
	same(await dispatch({ name: 't', input: { a: 3 }, context: { c: 1 } }),
		{ id: '1', result: { result: { sum: 3 } } });
	same(asked[0], { id: 'd:1', method: 'skill.dispatch_tool', params: { name: 't', input: { a: 3 }, context: { c: 1 } } });
	const failed = await dispatch({ name: 'fails', input: {} });
	same([failed.error, failed.statusCode], ['{"why":[1]}', 500]);
	const none = await dispatch({ name: 'none', input: {} });
	same([none.statusCode, none.errorCode], [404, 'NOT_FOUND']);
	same((await dispatch({ input: {} })).statusCode, 400);
	const died = await dispatch({ name: 'dies', input: {} });
	same([died.error, died.statusCode, died.errorCode], ['connection closed before response', 502, 'BAD_GATEWAY']);
	same((await dispatch({ name: 't', input: {} })).statusCode, 404);
	same((await call(assistant, 'skill_tools_list')).result, []);
});

test('an error keeps its words, status and code', async (dir) => {
	await serve(dir);
	const { assistant, skills } = sockets(dir);
	const s = await skill(skills);
	await s.result('host.registries.register_tools', { tools: [tool('t')] });
	const answers = [{ error: 'Gone "away"', statusCode: 410, errorCode: 'GONE', errorDetails: { x: 1 } }, { error: null },
		{ error: 'odd', statusCode: 99, errorCode: 'no code "' }];
	s.serve(() => answers.shift());
	const dispatch = () => call(assistant, 'skill_dispatch_tool', { name: 't', input: null });
	same(await dispatch(), { id: '1', error: 'Gone "away"', statusCode: 410, errorCode: 'GONE', errorDetails: { x: 1 } });
	same((await dispatch()).error, 'null');
	same(await dispatch(), { id: '1', error: 'odd', statusCode: 500, errorCode: 'INTERNAL_ERROR' });
	s.end();
});

test('the connection that registered last is asked; the one before when that is gone', async (dir) => {
	await serve(dir);
	const { assistant, skills } = sockets(dir);
	const [a, b] = [await skill(skills), await skill(skills)];
	for (const [s, name] of [[a, 'a'], [b, 'b']]) {
		await s.result('host.registries.register_tools', { tools: [tool('t')] });
		s.serve(() => ({ result: { result: name } }));
	}
	const who = async () => (await call(assistant, 'skill_dispatch_tool', { name: 't', input: 1 })).result?.result;
	same(await who(), 'b');
	b.end();
	await until(async () => (await who()) === 'a', 'the other one');
	same((await call(assistant, 'skill_tools_list')).result.length, 1);
	a.end();
});

test('routes: by pattern and method; answers pass as they are', async (dir) => {
	await serve(dir);
	const { assistant, skills } = sockets(dir);
	const s = await skill(skills);
	await s.result('host.registries.register_skill_route', { patternSource: '^/a/\\d+$', methods: ['GET'] });
	await s.result('host.registries.register_skill_route', { patternSource: '^(a+)+$', methods: ['GET'] });
	const asked = [];
	s.serve((l) => (asked.push(l.params), { result: { status: 201, headers: { h: '1' }, body: 'b' } }));
	const dispatch = (params) => call(assistant, 'skill_dispatch_route', params);
	same((await dispatch({ method: 'GET', url: '/a/7?q=1', body: 'x\ny' })).result,
		{ status: 201, headers: { h: '1' }, body: 'b' });
	same((await dispatch({ method: 'GET', url: 'http://h/a/7', headers: { k: 'v' } })).result.status, 201);
	same(asked, [{ patternSource: '^/a/\\d+$', request: { method: 'GET', url: '/a/7?q=1', body: 'x\ny' } },
		{ patternSource: '^/a/\\d+$', request: { method: 'GET', url: 'http://h/a/7', headers: { k: 'v' } } }]);
	for (const [method, url] of [['POST', '/a/7'], ['GET', '/a/x'], ['GET', 'a'.repeat(5000) + '!']])
		same([url.length, (await dispatch({ method, url })).statusCode], [url.length, 404]);
	same((await dispatch({ method: 'GET' })).statusCode, 400);
	s.end();
});

test('a route that two connections registered goes to the last one, not to the first', async (dir) => {
	await serve(dir);
	const { assistant, skills } = sockets(dir);
	const [a, b] = [await skill(skills), await skill(skills)];
	const register = (s, patternSource, methods) =>
		s.result('host.registries.register_skill_route', { patternSource, methods });
	await register(a, '^/x$', ['GET']);
	await register(b, '^/x$', ['GET']);
	await register(b, '^/.*$', ['GET', 'POST']);
	for (const [s, name] of [[a, 'a'], [b, 'b']])
		s.serve((l) => ({ result: { status: 200, headers: {}, body: name + l.params.patternSource } }));
	const who = async (method, url) => (await call(assistant, 'skill_dispatch_route', { method, url })).result.body;
	// Of several patterns the first counts.
	same([await who('GET', '/x'), await who('GET', '/y'), await who('POST', '/x')], ['b^/x$', 'b^/.*$', 'b^/.*$']);
	await register(a, '^/x$', ['GET']);
	same(await who('GET', '/x'), 'a^/x$');
	a.end();
	await until(async () => (await who('GET', '/x')) === 'b^/x$', 'the other one');
	b.end();
});

test('no answer in time: 504, and the late one is dropped', async (dir) => {
	await serve(dir, '--answer-ms', '100');
	const { assistant, skills } = sockets(dir);
	const s = await skill(skills);
	await s.result('host.registries.register_tools', { tools: [tool('t')] });
	await s.result('host.registries.register_skill_route', { patternSource: '.', methods: ['GET'] });
	const asked = [];
	s.serve((l) => void asked.push(l.id));
	const late = await call(assistant, 'skill_dispatch_tool', { name: 't', input: 1 });
	same(late, { id: '1', error: 'no answer from the skill within 100 ms', statusCode: 504, errorCode: 'GATEWAY_TIMEOUT' });
	same((await call(assistant, 'skill_dispatch_route', { method: 'GET', url: '/' })).statusCode, 504);
	// N counts on; what comes late finds nobody, and the connection is as it was.
	same(asked, ['d:1', 'd:2']);
	for (const id of asked) s.send({ id, result: {} });
	same(await s.result('host.platform.runtimeMode'), 'bare-metal');
	s.end();
});

test('events from the assistant socket reach subscribers', async (dir) => {
	await serve(dir);
	const { assistant, skills } = sockets(dir);
	const s = await skill(skills);
	await s.result('host.events.subscribe', { filter: {} }, 'sub');
	const event = { id: 'e', emittedAt: 't', message: { m: 1 } };
	same((await call(assistant, 'skill_events_publish', { event })).result, { published: true });
	await until(() => s.deliveries('sub').length === 1, 'a delivery');
	same(s.deliveries('sub')[0].payload, event);
	same((await call(assistant, 'skill_events_publish', { event: {} })).statusCode, 400);
	s.end();
});

test('whoever called and went away harms nobody; late answers are dropped', async (dir) => {
	await serve(dir);
	const { assistant, skills } = sockets(dir);
	const s = await skill(skills);
	await s.result('host.registries.register_tools', { tools: [tool('t')] });
	let asked = 0;
	s.serve((l) => (asked++, l.params.input === 'late' ? null : { result: { result: 1 } }));
	for (let i = 0; i < 20; i++) {
		const c = await connect(assistant);
		c.write(JSON.stringify({ id: '1', method: 'skill_dispatch_tool', params: { name: 't', input: 'late' } }) + '\n');
		await until(() => asked > i, 'asked');
		c.destroy();
	}
	for (let n = 1; n <= 20; n++) s.send({ id: `d:${n}`, result: { result: 0 } });
	same((await call(assistant, 'skill_dispatch_tool', { name: 't', input: 1 })).result, { result: 1 });
	s.end();
});

main();
