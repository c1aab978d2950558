// examples/client.c, built with what is installed, against servers that speak to the byte.
import path from 'node:path';
import { spawn } from 'node:child_process';
import { main, same, test } from '../gateway/lib.mjs';
import { CHUNKED, answers, fake, frame, header } from './lib.mjs';

const run = (...args) =>
	new Promise((done) => {
		const child = spawn(process.argv[2], args);
		const r = { out: '', err: '' };
		child.stdout.on('data', (d) => (r.out += d));
		child.stderr.on('data', (d) => (r.err += d));
		child.on('close', (status) => done({ ...r, status }));
	});

test('a client in sixty lines', async (dir) => {
	const lines = await fake(dir, async (c) => {
		const line = await c.line(0);
		same(line, '{"id":"1","method":"m","params":{"a":1}}');
		c.end('{"id":"1","result":{"b":2}}\n');
	});
	same(await run(lines.socket, 'm', '{"a":1}'), { out: '{"b":2}\n', err: '', status: 0 });
	lines.close();
	const rows = [
		[[frame({ id: '1', result: 1 })], '1\n', '', 0],
		[[header({ 'content-length': '4' }), frame('body')], 'body', '', 0],
		[[header(CHUNKED), frame('one'), frame('two'), frame('')], 'onetwo', '', 0],
		[[header(CHUNKED), frame('one')], 'one', 'no answer: lost\n', 1],
		[[frame({ id: '1', error: 'no', statusCode: 404 })], '', 'refused: "no" (404)\n', 1],
	];
	for (const [frames, out, err, status] of rows) {
		const { socket, close } = await answers(dir, ...frames);
		same(await run('--frames', socket, 'm'), { out, err, status });
		close();
	}
	const none = path.join(dir, 'none.sock');
	const r = await run(none, 'm');
	same([r.status, r.err.includes(none)], [1, true]);
	same((await run()).status, 2);
});

main();
