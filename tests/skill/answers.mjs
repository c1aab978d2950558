// The skill server, cases that its clients rarely meet: ids, answers and documents in every form.
import fs from 'node:fs';
import path from 'node:path';
import { ask, call, main, same, serveNames, test, until } from '../gateway/lib.mjs';
import { skill, tool } from './lib.mjs';

const serve = (dir, ...args) => serveNames(dir, ['all'], ...args);

// Ask the tool `t` by the assistant's socket while the skill answers with a line of its own.
async function dispatch(server, s, line) {
	const before = s.raw.text.length;
	const answer = call(server.assistant, 'skill_dispatch_tool', { name: 't', input: { a: 1 }, context: null });
	const asked = await until(() => /\{"id":"(d:\d+)","method":"skill.dispatch_tool".*\}\n/.exec(s.raw.text.slice(before)), 'a question');
	s.raw.write(line(asked[1]) + '\n');
	return { asked: asked[0].trim(), answer: await answer };
}

test('an error of any value is a failure, with words', async (dir) => {
	const server = await serve(dir);
	const s = await skill(server['assistant-skill']);
	await s.result('host.registries.register_tools', { tools: [tool('t')] });
	const rows = [
		['"error":""', '""'], ['"error":null', 'null'], ['"error":false', 'false'], ['"error":0', '0'], ['"error":[1,{"a":"b"}]', '[1,{"a":"b"}]'],
		['"error":"words"', 'words'], ['"result":1,"error":"both"', 'both'], ['"error":"\\u00e9\\"\\n"', 'é"\n'],
	];
	for (const [members, words] of rows) {
		const { answer } = await dispatch(server, s, (id) => `{"id":"${id}",${members}}`);
		same([members, answer], [members, { id: '1', error: words, statusCode: 500, errorCode: 'INTERNAL_ERROR' }]);
	}
	// A status that is none of a failure's does not make it a success.
	for (const statusCode of [200, 399, 600, '"404"', 404.5, null]) {
		const { answer } = await dispatch(server, s, (id) => `{"id":"${id}","error":"e","statusCode":${statusCode}}`);
		same([statusCode, answer.statusCode, answer.error], [statusCode, 500, 'e']);
	}
	const full = '"statusCode":418,"errorCode":"TEAPOT","errorDetails":{"q":[1]}';
	same((await dispatch(server, s, (id) => `{"id":"${id}","error":"e",${full}}`)).answer,
		{ id: '1', error: 'e', statusCode: 418, errorCode: 'TEAPOT', errorDetails: { q: [1] } });
	s.end();
});

test('what answers the daemon has no method at all', async (dir) => {
	const server = await serve(dir, '--answer-ms', '20000');
	const s = await skill(server['assistant-skill']);
	await s.result('host.registries.register_tools', { tools: [tool('t')] });
	const good = [
		[(id) => `{"id":"${id}"}`, { id: '1' }], [(id) => `{"id":"${id}","result":null}`, { id: '1', result: null }],
		[(id) => `{"result":{"x":[1]},"id":"\\u0064${id.slice(1)}"}`, { id: '1', result: { x: [1] } }],
		[(id) => `{"id":"x","id":"${id}","result":1,"result":2,"more":3}`, { id: '1', result: 2 }],
		// Lines that are requests, or answers to nothing, leave the question as it was.
		[(id) => `{"id":"${id}","method":null,"result":1}\n{"id":"${id}","method":"echo"}\n{"id":"${id}","method":""}\n` +
			`{"id":"${id}0","result":1}\n{"id":"d:x","result":1}\n{"id":"d:","error":1}\nnonsense\n{"id":"${id}","result":"real"}`,
		{ id: '1', result: 'real' }],
	];
	for (const [line, wanted] of good) {
		const { asked, answer } = await dispatch(server, s, line);
		same(answer, wanted);
		same(JSON.parse(asked).params, { name: 't', input: { a: 1 }, context: null });
	}
	const refused = s.lines().filter((l) => 'error' in l).map((l) => [l.id.replace(/\d+/, 'N'), l.error.slice(0, 24)]);
	same(refused, [['d:N', `Missing 'id' or 'method'`], ['d:N', `Reserved id prefix 'd:':`], ['d:N', `Missing 'id' or 'method'`],
		['unknown', 'Invalid JSON']]);
	s.end();
});

test('a stream\'s id is its text, however it is escaped', async (dir) => {
	const server = await serve(dir);
	const socket = server['assistant-skill'];
	const open = (id) => `{"id":${id},"method":"host.events.subscribe","params":{"filter":{}}}\n`;
	const close = (id) => `{"id":"c","method":"host.events.subscribe.close","params":{"subscribeId":${id}}}\n`;
	const taken = (id, text) => `{"id":${id},"error":"Stream id already active: ${text}","statusCode":409,"errorCode":"CONFLICT"}`;
	const opened = (id) => `{"id":${id},"result":{"subscribed":true}}`;
	const closed = '{"id":"c","result":{"closed":true}}';
	same(await ask(socket, open('"\\u0041"') + open('"A"') + open('"a"') + close('"\\u0041"') + open('"A"') + close('"A"') +
		open('"q\\"\\n"') + open('"\\u0071\\u0022\\u000a"'), 8),
	[opened('"\\u0041"'), taken('"A"', 'A'), opened('"a"'), closed, opened('"A"'), closed, opened('"q\\"\\n"'),
		taken('"\\u0071\\u0022\\u000a"', 'q\\"\\n')]);
	// Streams are of their connection, and so are their ids.
	const [a, b] = [await skill(socket), await skill(socket)];
	same(await a.result('host.events.subscribe', { filter: {} }, 'same'), { subscribed: true });
	same(await b.result('host.events.subscribe', { filter: {} }, 'same'), { subscribed: true });
	same(await b.result('host.events.subscribe.close', { subscribeId: 'same' }), { closed: true });
	const event = { id: 'e', emittedAt: 't', message: { b: 1, a: [1] } };
	await b.result('host.events.publish', { event });
	await until(() => a.deliveries('same').length === 1, 'a delivery');
	same([a.deliveries('same')[0].payload, b.deliveries('same').length], [event, 0]);
	a.end();
	b.end();
});

test('a conversation without a name is one like others', async (dir) => {
	const server = await serve(dir);
	const s = await skill(server['assistant-skill']);
	await s.result('host.events.subscribe', { filter: { conversationId: '' } }, 'empty');
	await s.result('host.events.subscribe', { filter: { conversationId: 'c' } }, 'c');
	await s.result('host.events.subscribe', { filter: {}, more: 1 }, 'all');
	for (const [id, conversationId] of [['1', ''], ['2', 'c'], ['3', undefined], ['4', 'C']])
		await s.result('host.events.publish', { event: { id, emittedAt: 't', message: {}, conversationId } });
	const ids = (stream) => s.deliveries(stream).map((l) => l.payload.id);
	same([ids('empty'), ids('c'), ids('all')], [['1', '3'], ['2', '3'], ['1', '2', '3', '4']]);
	for (const filter of [undefined, null, [], 'c', { conversationId: null }, { conversationId: 7 }])
		same((await s.ask('host.events.subscribe', { filter })).statusCode, 400);
	s.end();
});

test('dotted paths and names, in every form', async (dir) => {
	const server = await serve(dir);
	const s = await skill(server['assistant-skill']);
	const config = (text) => fs.writeFileSync(path.join(dir, 'config.json'), text);
	const section = (at) => s.result('host.config.getSection', { path: at });
	config('{"a":{"":{"b":1}},"__proto__":{"x":1},"n":null,"s":"text","l":[1,[2]],"d":1,"d":2,"\\u00e9":3}');
	const rows = { 'a..b': 1, 'a.': { b: 1 }, '.': null, '__proto__.x': 1, n: null, 'n.x': null, s: 'text', 's.length': null, 'l.1.0': 2,
		'l.01': null, 'l.-1': null, 'l.2': null, 'l.length': null, 'l. 1': null, 'l.1e0': null, toString: null, d: 2, é: 3, '\0': null };
	for (const [at, value] of Object.entries(rows)) same([at, await section(at)], [at, value]);
	config('[1,{"a":2}]');
	same(await section('1.a'), 2);
	for (const params of [undefined, null, {}, { path: 7 }, { path: null }])
		same((await s.ask('host.config.getSection', params)).statusCode, 400);
	fs.unlinkSync(path.join(dir, 'config.json'));
	same(await section('1.a'), null);
	const names = [['', null], ['**Name:** \n', null], ['x **Name:** Bob  \n', 'Bob'], ['**Name:**Bob', 'Bob'], ['**name:** no', null],
		['- **Name:** A **Name:** B\n', 'A **Name:** B'], ['**Name:**\nNext line\n', null], ['**Name:**\r\n**Name:** Two\r\n', 'Two']];
	for (const [text, name] of names) {
		fs.writeFileSync(path.join(dir, 'IDENTITY.md'), text);
		same([text, await s.result('host.identity.getAssistantName')], [text, name]);
	}
	s.end();
});

test('what a connection brought goes with it', async (dir) => {
	const server = await serve(dir);
	const [stays, goes] = [await skill(server['assistant-skill']), await skill(server['assistant-skill'])];
	await goes.result('host.registries.register_tools', { tools: [tool('t')] });
	await goes.result('host.registries.register_skill_route', { patternSource: '^/x$', methods: ['GET'] });
	await goes.result('host.registries.register_shutdown_hook', { name: 'h' });
	await goes.result('host.events.subscribe', { filter: {} }, 'sub');
	const asked = call(server.assistant, 'skill_dispatch_route', { method: 'GET', url: '/x' });
	await goes.find((l) => l.method === 'skill.dispatch_route', 'a question');
	// Its end of input is the end of what it can answer.
	goes.raw.end();
	const lost = await asked;
	same([lost.error, lost.statusCode, lost.errorCode], ['connection closed before response', 502, 'BAD_GATEWAY']);
	await until(() => goes.raw.over, 'the server closes as well');
	same((await call(server.assistant, 'skill_tools_list')).result, []);
	same((await call(server.assistant, 'skill_dispatch_route', { method: 'GET', url: '/x' })).statusCode, 404);
	same((await call(server.assistant, 'skill_dispatch_tool', { name: 't', input: 1 })).statusCode, 404);
	same(await stays.result('host.events.publish', { event: { id: 'e', emittedAt: 't', message: {} } }), { published: true });
	same(await server.end(), 0);
	same(stays.lines().filter((l) => l.method).length, 0);
});

main();
