// kedge call: requests to the byte, exit statuses, what it says to whom.
import fs from 'node:fs';
import path from 'node:path';
import { spawn } from 'node:child_process';
import { main, same, test, until } from '../gateway/lib.mjs';
import { CHUNKED, call, fake, frame, header, start } from './lib.mjs';

const ANSWERS = [
	// answer, exit status, stdout, what stderr has in it
	[{ id: '1', result: { a: [1, 'é'] } }, 0, '{"a":[1,"é"]}\n', ''],
	[{ id: '1', result: null }, 0, 'null\n', ''],
	[{ id: '1' }, 0, '', ''],
	[{ id: '1', result: 1, error: null }, 0, '1\n', ''],
	[{ id: '1', result: 1, error: '' }, 0, '1\n', ''],
	[{ id: '1', error: 'no', statusCode: 404, errorCode: 'NOT_FOUND' }, 2, '', 'kedge: no (404 NOT_FOUND)\n'],
	[{ id: '1', error: 'no', statusCode: 500 }, 3, '', 'kedge: no (500)\n'],
	[{ id: '1', error: 'no' }, 10, '', 'kedge: no\n'],
	[{ id: '1', error: 'a\nb\u001b[1m', statusCode: 399 }, 1, '', 'kedge: a b [1m (399)\n'],
	[{ id: '1', error: 'no', statusCode: 400, errorDetails: [1] }, 2, '', 'kedge: details: [1]\n'],
	[{ id: 'unknown', error: 'Not allowed: uid 7', statusCode: 403, errorCode: 'FORBIDDEN' }, 2, '',
		'kedge: Not allowed: uid 7 (403 FORBIDDEN)\n'],
];

test('what comes, on lines and on frames', async (dir) => {
	for (const [answer, status, out, err] of ANSWERS)
		for (const how of ['--lines', '--frames']) {
			const bytes = how === '--lines' ? JSON.stringify(answer) + '\n' : frame(answer);
			const { socket, close } = await fake(dir, async (c) => {
				await until(() => c.got.length, 'a request');
				c.end(bytes);
			});
			const r = await call([how, socket, 'm']);
			same([how, answer, r.status, r.out.toString()], [how, answer, status, out]);
			same([how, answer, err === '' ? r.err === '' : r.err.includes(err)], [how, answer, true]);
			close();
		}
});

test('requests, to the byte', async (dir) => {
	const rows = [
		[['--lines', 'S', 'm'], '{"id":"1","method":"m"}\n'],
		[['--lines', 'S', 'm', '{"a":\n1}'], '{"id":"1","method":"m","params":{"a": 1}}\n'],
		[['--frames', 'S', 'm', '{"a":1}'], frame('{"id":"1","method":"m","params":{"a":1}}')],
		[['--frames', 'S', 'm', '--header', 'X-A: b"c', '--header', 'y:'],
			frame('{"id":"1","method":"m","headers":{"x-a":"b\\"c","y":""}}')],
		[['--frames', '--raw-body', '-', 'S', 'm', '{}'], Buffer.concat([
			frame('{"id":"1","method":"m","params":{},"headers":{"content-length":"5"}}'), frame('bytes')])],
		[['--frames', '--raw-body', '/dev/null', 'S', 'm', '--header', 'a:b'], Buffer.concat([
			frame('{"id":"1","method":"m","headers":{"a":"b","content-length":"0"}}'), frame('')])],
	];
	for (const [args, wanted] of rows) {
		const { socket, connections, close } = await fake(dir, async (c) => {
			await until(() => c.got.length >= wanted.length, 'the request');
			c.end(args[0] === '--lines' ? '{"id":"1"}\n' : frame({ id: '1' }));
		});
		const r = await call(args.map((a) => (a === 'S' ? socket : a)), { input: 'bytes' });
		same([args, r.status, r.err], [args, 0, '']);
		same(connections[0].got.toString('latin1'), Buffer.from(wanted).toString('latin1'));
		close();
	}
});

test('a long body goes in chunks', async (dir) => {
	const size = 20 * 1024 * 1024;
	const file = path.join(dir, 'body');
	const bytes = Buffer.alloc(size, 'x');
	for (let i = 0; i < size; i += 4096) bytes.writeUInt32LE(i, i);
	fs.writeFileSync(file, bytes);
	const { socket, connections, close } = await fake(dir, (c) => {
		// Joined once, at what may be its end: joined for each read it would take minutes.
		const reads = [];
		c.removeAllListeners('data');
		c.on('data', (d) => {
			reads.push(d);
			if (!d.subarray(-4).equals(Buffer.alloc(4))) return;
			c.got = Buffer.concat(reads);
			if (c.frames().at(-1)?.length === 0) c.end(frame({ id: '1', result: 1 }));
		});
	});
	const r = await call(['--frames', '--raw-body', file, socket, 'm']);
	same([r.status, r.err, r.out.toString()], [0, '', '1\n']);
	const [envelope, ...chunks] = connections[0].frames();
	same(envelope.toString(), '{"id":"1","method":"m","headers":{"transfer-encoding":"chunked"}}');
	same(chunks.pop().length, 0);
	same(chunks.every((c) => c.length > 0), true);
	same(Buffer.concat(chunks).equals(bytes), true);
	close();
});

test('how to speak follows from the name', async (dir) => {
	const framed = await fake(dir, async (c) => {
		await c.frame(0);
		c.end(frame({ id: '1', result: 'framed' }));
	}, 'assistant.sock');
	const lined = await fake(dir, async (c) => {
		await c.line(0);
		c.end('{"id":"1","result":"lined"}\n');
	}, 'gateway.sock');
	const env = { ASSISTANT_IPC_SOCKET_DIR: dir, GATEWAY_IPC_SOCKET_DIR: dir };
	for (const [where, out] of [['assistant', 'framed'], [framed.socket, 'framed'], ['gateway', 'lined'],
		[lined.socket, 'lined']])
		same([where, (await call([where, 'm'], { env })).out.toString()], [where, `"${out}"\n`]);
	framed.close();
	lined.close();
});

test('a server that speaks otherwise is told of', async (dir) => {
	const { socket, close } = await fake(dir, async (c) => {
		await until(() => c.got.length, 'a request');
		c.write('{"id":"unknown","error":"Invalid JSON"}\n');
	});
	const r = await call(['--frames', socket, 'm']);
	same([r.status, r.err], [10, 'kedge: the server does not speak frames: --lines\n']);
	close();
	const legacy = await fake(dir, async (c) => {
		await c.line(0);
		c.end('{"id":"1","headers":{"content-length":"5"}}\n');
	});
	const l = await call(['--lines', legacy.socket, 'm']);
	same([l.status, l.out.length, l.err.includes('--frames')], [1, 0, true]);
	legacy.close();
});

test('time-outs', async (dir) => {
	const silent = await fake(dir, () => {});
	const r = await call(['--frames', silent.socket, 'm', '--timeout', '1']);
	same([r.status, r.err], [10, 'kedge: no answer in time\n']);
	// The server is told that nobody waits any more.
	const frames = silent.connections[0].frames().map(String);
	same(frames[1], '{"id":"2","method":"$cancel","params":{"targetId":"1"}}');
	silent.close();
	// A stream that begins has to give a first byte in time too.
	const stuck = await fake(dir, async (c) => {
		await c.frame(0);
		c.write(header(CHUNKED));
	});
	same((await call(['--frames', stuck.socket, 'm', '--timeout', '1'])).status, 10);
	stuck.close();
});

test('Ctrl-C cancels', async (dir) => {
	for (const [signal, status] of [['SIGINT', 130], ['SIGTERM', 143], ['SIGHUP', 129]]) {
		const { socket, connections, close } = await fake(dir, () => {});
		const run = start(['--frames', socket, 'm']);
		await until(() => connections[0]?.frames().length, 'the request');
		run.child.kill(signal);
		await run.ended;
		same([signal, run.status, run.err], [signal, status, '']);
		await until(() => connections[0].over, 'the end');
		same(connections[0].frames().map(String), ['{"id":"1","method":"m"}',
			'{"id":"2","method":"$cancel","params":{"targetId":"1"}}']);
		close();
	}
});

test('a closed standard output is not the server', async (dir) => {
	const { socket, connections, close } = await fake(dir, async (c) => {
		await c.line(0);
		c.write('{"id":"1","result":1}\n');
	});
	const child = spawn('sh', ['-c', 'exec "$0" "$@" >&-', process.argv[2], 'call', socket, 'm']);
	same(await new Promise((done) => child.on('close', done)), 1);
	same(connections[0].lines(), ['{"id":"1","method":"m"}']);
	close();
});

test('bad input: one line, status 2', async (dir) => {
	const file = path.join(dir, 'none');
	const rows = [
		[], [file], [file, ''], ['S/', 'm', '{'], ['S/', 'm', ''], ['S/', 'm', '{}', 'x'],
		['--timeout', '0', 'S/', 'm'], ['--timeout', 'x', 'S/', 'm'], ['--timeout', '86401', 'S/', 'm'],
		['--bogus', 'S/', 'm'], ['S/', 'm', '--output'], ['--output', '', 'S/', 'm'],
		['--raw-body', '-', 'S/', 'm'], ['--lines', '--header', 'a:b', 'S/', 'm'],
		['--frames', '--header', 'ab', 'S/', 'm'], ['--frames', '--header', ':b', 'S/', 'm'],
		['--frames', '--header', 'Content-Length:3', 'S/', 'm'],
		['--frames', '--header', `${'n'.repeat(64)}:b`, 'S/', 'm'],
		['--frames', '--raw-body', file, 'S/', 'm'], ['--frames', '--raw-body', dir, 'S/', 'm'],
		['--frames', '--raw-body', '-', 'S/', 'm', '-'], ['No Name', 'm'], ['', 'm'],
	];
	for (const row of rows) {
		const r = await call(row);
		same([row, r.status, r.err.split('\n').length, r.out.length], [row, 2, 2, 0]);
	}
	same((await call(['--', file + '/x', 'm'])).status, 10);
});

main();
