// kedge call: bodies and streams, to standard output and to files; --follow; the bar.
import fs from 'node:fs';
import path from 'node:path';
import { spawn, spawnSync } from 'node:child_process';
import { main, same, skip, test, until } from '../gateway/lib.mjs';
import { CHUNKED, answers, call, fake, frame, header, start } from './lib.mjs';

const BYTES = Buffer.from([0, 1, 2, 255, 10, 0, 123]);
const names = (dir) => fs.readdirSync(dir).filter((n) => !n.endsWith('.sock')).sort();

test('bytes as they are', async (dir) => {
	const rows = [
		[[header({ 'content-length': '7' }), frame(BYTES)], BYTES],
		[[header({ 'content-length': '0' }), frame('')], Buffer.alloc(0)],
		[[header(CHUNKED), frame(BYTES), frame('x'), frame('')], Buffer.concat([BYTES, Buffer.from('x')])],
		[[header(CHUNKED), frame('')], Buffer.alloc(0)],
	];
	for (const [frames, wanted] of rows) {
		const { socket, close } = await answers(dir, ...frames);
		const r = await call(['--frames', socket, 'm']);
		same([r.status, r.err, r.out.equals(wanted)], [0, '', true]);
		close();
		const other = await answers(dir, Buffer.concat(frames));
		const file = path.join(dir, 'out');
		same((await call(['--frames', '--output', file, other.socket, 'm'])).status, 0);
		same(fs.readFileSync(file).equals(wanted), true);
		other.close();
	}
	same(names(dir), ['out']);
});

test('a file is replaced whole: its mode stays, links are followed', async (dir) => {
	const file = path.join(dir, 'real');
	const link = path.join(dir, 'link');
	fs.writeFileSync(file, 'old', { mode: 0o640 });
	fs.symlinkSync('real', link);
	const { socket, close } = await answers(dir, frame({ id: '1', result: { a: 1 } }));
	same((await call(['--frames', '--output', link, socket, 'm'])).status, 0);
	same(fs.readFileSync(file, 'utf8'), '{"a":1}\n');
	same(fs.statSync(file).mode & 0o777, 0o640);
	same(fs.lstatSync(link).isSymbolicLink(), true);
	same(names(dir), ['link', 'real']);
	close();
	const again = await answers(dir, header(CHUNKED), frame('x'), frame(''));
	same((await call(['--frames', '--output', '/dev/null', again.socket, 'm'])).status, 0);
	same(fs.statSync('/dev/null').isCharacterDevice(), true);
	again.close();
});

test('an answer that breaks off leaves nothing', async (dir) => {
	const file = path.join(dir, 'out');
	fs.writeFileSync(file, 'old');
	const rows = [
		[[header(CHUNKED), frame('one')], 1],
		[[header(CHUNKED), frame('one'), Buffer.from([0, 0, 0, 9, 1])], 1],
		[[header({ 'content-length': '7' }), Buffer.from([0, 0, 0, 7, 1])], 1],
		[[header({ 'content-length': '7' }).subarray(0, 20)], 10],
		[[frame({ id: '1', error: 'no', statusCode: 404 })], 2],
	];
	for (const [frames, status] of rows) {
		const { socket, close } = await answers(dir, ...frames);
		const r = await call(['--frames', '--output', file, socket, 'm']);
		same([status, r.status, r.err.split('\n').length], [status, status, 2]);
		same(fs.readFileSync(file, 'utf8'), 'old');
		same(names(dir), ['out']);
		close();
	}
	// What came before is not held back where it goes out at once.
	const { socket, close } = await answers(dir, header(CHUNKED), frame('one'));
	const r = await call(['--frames', socket, 'm']);
	same([r.status, r.out.toString()], [1, 'one']);
	close();
});

test('Ctrl-C in a stream leaves nothing either', async (dir) => {
	const file = path.join(dir, 'out');
	const { socket, connections, close } = await fake(dir, async (c) => {
		await c.frame(0);
		c.write(Buffer.concat([header(CHUNKED), frame('one')]));
	});
	const run = start(['--frames', '--output', file, socket, 'm']);
	await until(() => names(dir).length, 'the part');
	run.child.kill('SIGINT');
	await run.ended;
	same([run.status, run.err], [130, '']);
	same(names(dir), []);
	same(String(await connections[0].frame(1)), '{"id":"2","method":"$cancel","params":{"targetId":"1"}}');
	close();
});

test('what cannot be written is told of', async (dir) => {
	for (const output of [path.join(dir, 'none/out'), dir, '/dev/full']) {
		const { socket, close } = await answers(dir, header(CHUNKED), frame('one'), frame(''));
		const r = await call(['--frames', '--output', output, socket, 'm']);
		same([output, r.status, r.err.startsWith(`kedge: cannot write ${output}: `)], [output, 1, true]);
		close();
	}
});

test('a long stream needs no memory', async (dir) => {
	const piece = frame(Buffer.alloc(1 << 20, 'x'));
	let measured = false;
	const { socket, close } = await fake(dir, async (c) => {
		await c.frame(0);
		c.write(header(CHUNKED));
		for (let i = 0; i < 128; i++)
			if (!c.write(piece)) await new Promise((done) => c.once('drain', done));
		await until(() => measured, 'a look at its memory');
		c.end(frame(''));
	});
	const file = path.join(dir, 'out');
	const run = start(['--frames', '--output', file, socket, 'm']);
	const part = () => names(dir).find((n) => n.startsWith('out.part'));
	await until(() => part() && fs.statSync(path.join(dir, part())).size === 128 << 20, 'all of it');
	const proc = (what) => fs.readFileSync(`/proc/${run.child.pid}/${what}`, 'utf8');
	const kib = Number(/VmHWM:\s+(\d+) kB/.exec(proc('status'))[1]);
	// Sanitizers keep what was freed: there is nothing to be seen with them.
	const sanitized = /lib[atu]\w*san/.test(proc('maps'));
	measured = true;
	await run.ended;
	same([run.status, fs.statSync(file).size], [0, 128 << 20]);
	if (!sanitized) same([kib < 24 * 1024, kib], [true, kib]);
	close();
});

test('--follow: subscriptions and pushes, a line each', async (dir) => {
	const { socket, connections, close } = await fake(dir, async (c) => {
		await c.line(0);
		c.write('{"event":"early"}\n{"id":"1","result":{"subscribed":true}}\n' +
			'{"id":"1","event":"delivery","payload":{"n":1}}\n{"event":"changed","data":[1]}\n');
	});
	const run = start([socket, 'host.events.subscribe', '{"filter":{}}', '--follow']);
	await until(() => run.out.toString().split('\n').length > 4, 'four lines');
	same(run.out.toString(), '{"event":"early"}\n{"subscribed":true}\n' +
		'{"event":"delivery","payload":{"n":1}}\n{"event":"changed","data":[1]}\n');
	run.child.kill('SIGINT');
	await run.ended;
	same([run.status, run.err], [130, '']);
	await until(() => connections[0].over, 'the end');
	close();
});

test('--follow ends with its stream', async (dir) => {
	const rows = [
		['{"id":"1","error":"Stream 1 closed","statusCode":503}\n', 3, 'kedge: Stream 1 closed (503)\n'],
		['{"id":"1","error":"gone"}\n', 10, 'kedge: gone\n'],
		['', 10, 'kedge: the server closed the connection\n'],
	];
	for (const [last, status, err] of rows) {
		const { socket, close } = await fake(dir, async (c) => {
			await c.line(0);
			c.end('{"id":"1","result":1}\n' + last);
		});
		const r = await call([socket, 'm', '--follow']);
		same([last, r.status, r.out.toString(), r.err], [last, status, '1\n', err]);
		close();
	}
	const { socket, close } = await answers(dir, header(CHUNKED), frame('{"a":1}\n'), frame(''));
	const r = await call(['--frames', socket, 'sockets_events', '--follow']);
	same([r.status, r.out.toString()], [0, '{"a":1}\n']);
	close();
});

test('a bar on a terminal', async (dir) => {
	if (spawnSync('script', ['--version']).status !== 0) skip('there is no script(1) here');
	const { socket, close } = await fake(dir, async (c) => {
		await c.frame(0);
		c.write(header({ 'content-length': '2097152' }));
		c.end(frame(Buffer.alloc(2 << 20, 'x')));
	});
	const file = path.join(dir, 'out');
	const command = [process.argv[2], 'call', '--frames', '--output', file, socket, 'm'];
	const quoted = command.map((a) => `'${a}'`).join(' ');
	const child = spawn('script', ['-qec', quoted, '/dev/null']);
	const shown = { out: '' };
	child.stdout.on('data', (d) => (shown.out += d));
	child.stdin.end();
	shown.status = await new Promise((done) => child.on('close', done));
	same([shown.status, /\[=* *\] +\d+ %  .* of 2\.0 MiB/.test(shown.out), shown.out.endsWith('\x1b[K')],
		[0, true, true]);
	close();
});

main();
