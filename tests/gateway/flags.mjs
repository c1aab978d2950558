// feature-flags.json in every form: what counts, what is broken, and who is told.
import fs from 'node:fs';
import path from 'node:path';
import { ask, call, connect, main, removeAll, same, serve as serveIn, sleep, test, until } from './lib.mjs';

const EVENT = '{"event":"feature_flags_changed"}';
const file = (dir) => path.join(dir, 'feature-flags.json');

function put(dir, content) {
	fs.writeFileSync(file(dir) + '.new', content);
	fs.renameSync(file(dir) + '.new', file(dir));
}

const values = (v, more = {}) => JSON.stringify({ version: 1, values: v, ...more });
const flags = async (socket) => (await call(socket, 'get_feature_flags')).result;
const flag = async (socket, name) => (await call(socket, 'get_feature_flag', { flag: name })).result;
const become = (socket, wanted) =>
	until(async () => JSON.stringify(await flags(socket)) === JSON.stringify(wanted), JSON.stringify(wanted));

test('what counts: order, empty names, other members, the last of two', async (dir, serve) => {
	const { socket } = await serve();
	const rows = [
		[values({ b: true, a: false }), { b: true, a: false }], ['{"values":{"n":true}}', { n: true }],
		[values({}, { more: [1] }), {}], ['{"version":1.0,"values":{"x":true}}', { x: true }],
		['{"version":1,"values":{"a":false,"a":true}}', { a: true }], ['\n{ "version" :1,\t"values":{"t":true}}\n', { t: true }],
		[values({ é: true, '': false, 'a.b': true, 'q"': true }), { é: true, '': false, 'a.b': true, 'q"': true }],
	];
	for (const [text, wanted] of rows) {
		put(dir, text);
		await become(socket, wanted);
	}
	same([await flag(socket, 'é'), await flag(socket, ''), await flag(socket, 'A'), await flag(socket, '__proto__')],
		[true, false, null, null]);
	put(dir, '{"version":1,"values":{"__proto__":true}}');
	await until(async () => (await flag(socket, '__proto__')) === true, 'a name like others');
	same(await ask(socket, '{"id":"1","method":"get_feature_flags","params":[7]}\n'),
		['{"id":"1","result":{"__proto__":true}}']);
});

test('what is broken: the last good values stay, and it is told once', async (dir, serve) => {
	const server = await serve();
	const { socket } = server;
	const rows = {
		empty: '', cut: '{"version":1,"values":{"a":tr', list: '[]', null: 'null', 'two documents': values({ a: true }) + '{}',
		'another version': '{"version":2,"values":{"a":true}}', 'a version in words': '{"version":"1","values":{"a":true}}',
		'no values': '{"version":1}', 'values that are none': values(null), 'a list of values': values([true]),
		'a word': values({ a: 'true' }), 'a null': values({ a: null }), 'a number': values({ a: 1 }),
		'no UTF-8': Buffer.from('{"version":1,"values":{"\xff":true}}', 'latin1'),
		'too large': ' '.repeat(1 << 20) + values({ a: true }), deep: values({}, { x: 0 }).replace('0', '['.repeat(9999)),
	};
	for (const [name, content] of Object.entries(rows)) {
		const good = { [name]: true };
		put(dir, values(good));
		await become(socket, good);
		const listener = await connect(socket);
		const before = server.log.length;
		const told = () => server.log.slice(before).split('\n').filter((l) => l.includes(file(dir)));
		put(dir, content);
		await until(() => told().length, `a report of ${name}`);
		same([name, await flags(socket)], [name, good]);
		// Touched, and still broken: nothing new to say.
		put(dir, content);
		await sleep(60);
		same([name, told().length, told()[0].includes('the last good values are kept')], [name, 1, true]);
		same([name, listener.text], [name, '']);
		listener.destroy();
	}
});

test('a directory or a pipe in its place stalls nothing', async (dir, serve) => {
	put(dir, values({ good: true }));
	const server = await serve();
	same(await flags(server.socket), { good: true });
	fs.unlinkSync(file(dir));
	await become(server.socket, {});
	fs.mkdirSync(file(dir));
	await until(() => server.log.includes('it is not a regular file'), 'a report');
	same(await flags(server.socket), {});
	fs.rmdirSync(file(dir));
	await until(() => server.log.includes('can be read again'), 'it is mended');
});

test('the directory goes, and another comes: changes are seen there, which nobody watched', async (dir) => {
	const workspace = path.join(dir, 'w');
	fs.mkdirSync(workspace);
	put(workspace, values({ a: true }));
	const { socket } = await serveIn(workspace);
	const listener = await connect(socket);
	for (const [i, take] of [() => removeAll(workspace),
		() => fs.renameSync(workspace, `${workspace}.away`), () => fs.renameSync(dir, `${dir}.away`)].entries()) {
		take();
		// The guard makes the directory again.
		await until(() => fs.existsSync(socket), 'the path comes back');
		put(workspace, values({ [`n${i}`]: true }));
		await until(() => flag(socket, `n${i}`), 'a flag in the new directory');
		put(workspace, values({ [`n${i}`]: true, last: true }));
		await until(() => flag(socket, 'last'), 'a second change');
	}
	same(listener.text.split('\n').filter((l) => l && l !== EVENT), []);
	same(listener.text.split('\n').length > 6, true);
	fs.rmSync(`${dir}.away`, { recursive: true, force: true });
	listener.destroy();
});

test('a change is pushed to every client, also beside answers, and only a change', async (dir, serve) => {
	put(dir, values({ a: true }));
	const { socket } = await serve();
	const clients = await Promise.all(Array.from({ length: 20 }, () => connect(socket)));
	for (const c of clients) c.write('{"id":"1","method":"get_feature_flag","params":{"flag":"a"}}\n');
	// Written in place, as editors do, and by rename.
	fs.writeFileSync(file(dir), values({ a: false }));
	for (const c of clients)
		same((await c.lines(2)).map((l) => l.replace(/true|false/, 'BOOLEAN')).sort(), [EVENT, '{"id":"1","result":BOOLEAN}']);
	put(dir, values({ a: true }));
	for (const c of clients) same((await c.lines(3))[2], EVENT);
	const now = new Date();
	fs.utimesSync(file(dir), now, now);
	put(dir, values({ a: true }));
	put(dir, values({ a: true, b: true }));
	await become(socket, { a: true, b: true });
	for (const c of clients) {
		same((await c.lines(4)).length, 4);
		c.write('{"id":"2","method":"get_feature_flag","params":{"flag":"b"}}\n');
		same((await c.lines(5))[4], '{"id":"2","result":true}');
		c.destroy();
	}
});

main();
