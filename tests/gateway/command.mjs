// The command: what operators meet. Losses, signals, crashes, bad input, exit codes.
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { spawn, spawnSync } from 'node:child_process';
import { KEDGE, call, connect, kedge, main, same, serve as serveIn, skip, sleep, test, until } from './lib.mjs';

// All that is below @dir. readdir's own recursion (node 18.20) takes sockets for directories.
const names = (dir) =>
	fs.readdirSync(dir, { withFileTypes: true }).flatMap((entry) =>
		[entry.name, ...(entry.isDirectory() ? names(path.join(dir, entry.name)) : [])]).sort();
const ROOT = process.getuid() === 0;

async function works(socket) {
	return until(() => call(socket, 'echo').then((a) => 'result' in a, () => false), 'an answer');
}

test('the path comes back, whatever takes it away', async (dir, serve) => {
	const run = path.join(dir, 'run');
	fs.mkdirSync(run);
	const socket = path.join(run, 'g.sock');
	const server = await serve('--socket', socket);
	const losses = {
		unlink: () => fs.unlinkSync(socket),
		rename: () => fs.renameSync(socket, socket + '.away'),
		'rm -rf': () => fs.rmSync(run, { recursive: true, force: true }),
		move: () => fs.renameSync(run, run + '.away'),
		file: () => fs.writeFileSync((fs.unlinkSync(socket), socket + '.new'), 'precious') ??
			fs.renameSync(socket + '.new', socket),
		chmod: () => fs.chmodSync(socket, 0),
	};
	for (const [name, lose] of Object.entries(losses)) {
		const before = server.log.length;
		try {
			lose();
		} catch (e) {
			// The guard may be quicker than the one who removes; then there was no loss.
			if (name !== 'rm -rf' && name !== 'file') throw e;
		}
		await works(socket);
		await sleep(20);
		if (name === 'unlink') {
			await until(() => /reachable again after/.test(server.log.slice(before)), 'a report');
			same(server.log.slice(before).includes(socket), true);
		}
	}
	// Root connects in spite of the mode, so an answer does not say that it was put back.
	await until(() => (fs.statSync(socket).mode & 0o777) === 0o600, 'the mode is put back');
	same(await server.end(), 0);
	same(fs.existsSync(socket), false);
	same(names(dir).filter((n) => n.includes('.kedge')), []);
});

test('the line to try works when it is pasted', async (dir) => {
	const odd = path.join(dir, `it's "odd" $HOME`);
	fs.mkdirSync(odd);
	const server = await serveIn(odd);
	const line = await until(() => /^try: (.*)\n/m.exec(server.log)?.[1], 'a line to try');
	const r = spawnSync('sh', ['-c', line], { encoding: 'utf8' });
	same([r.status, r.stderr], [0, '']);
	same(r.stdout, '{"interactive":"medium","autonomous":"low","headless":"none"}\n');
});

test('SIGTERM and SIGINT leave nothing, SIGHUP goes on', async (dir) => {
	for (const signal of ['SIGTERM', 'SIGINT']) {
		const server = await serveIn(dir);
		server.child.kill('SIGHUP');
		await works(server.socket);
		const idle = await connect(server.socket);
		same(await server.end(signal), 0);
		await until(() => idle.over, 'clients are let go');
		same(names(dir).filter((n) => n.includes('sock') || n.includes('kedge')), []);
	}
});

test('an answered write survives kill -9', async (dir) => {
	for (let i = 0; i < 10; i++) {
		const server = await serveIn(dir);
		const conversationId = `c${i}`;
		await call(server.socket, 'set_conversation_threshold', { conversationId, threshold: 'high' });
		await server.end('SIGKILL');
		const next = await serveIn(dir);
		for (let k = 0; k <= i; k++)
			same((await call(next.socket, 'get_conversation_threshold', { conversationId: `c${k}` })).result,
				{ threshold: 'high' });
		same(await next.end(), 0);
	}
});

test('a broken database is told of, and left as it is', async (dir) => {
	const file = path.join(dir, 'gateway.db');
	const text = 'this is no database'.repeat(100);
	fs.writeFileSync(file, text);
	const r = kedge(['serve', 'gateway', '--workspace', dir]);
	same(r.status !== 0 && r.status !== null, true);
	same(r.stderr.includes('gateway.db'), true);
	same(fs.readFileSync(file, 'utf8'), text);
	same(fs.existsSync(path.join(dir, 'gateway.sock')), false);
});

test('a second server is refused, and so is a path with a file', async (dir, serve) => {
	const { socket } = await serve();
	const second = kedge(['serve', 'gateway', '--workspace', dir]);
	same(second.status !== 0, true);
	same(second.stderr.includes(`EADDRINUSE: another daemon is listening at ${socket}`), true);
	await works(socket);
	const file = path.join(dir, 'file.sock');
	fs.writeFileSync(file, 'precious');
	same(kedge(['serve', 'gateway', '--workspace', dir, '--socket', file]).status, 2);
	same(fs.readFileSync(file, 'utf8'), 'precious');
});

test('bad input: one line, status 2, nothing changed', async (dir) => {
	fs.writeFileSync(path.join(dir, 'file'), '');
	const before = names(dir);
	const rows = [
		['--interval', '-1'], ['--interval', 'x'], ['--interval', ''], ['--mode', '9'],
		['--mode', '0888'], ['--mode', ''], ['--socket', ''], ['--socket', 'a.sock'],
		['--socket', dir], ['--socket', '/proc/x.sock'], ['--socket', `${dir}/${'n'.repeat(300)}`],
		['--socket', `${dir}/none/x.sock/`], ['--socket', `${dir}/${'n/'.repeat(2100)}x`],
		['--socket', `${dir}/none/${'n'.repeat(300)}/x.sock`], ['--socket', `${dir}/none/..`], ['--workspace', `${dir}/none`],
		['--workspace', `${dir}/file`], ['--allow-user', 'nobody at all'],
		['--allow-group', 'no such group'], ['--log-format', 'xml'], ['--log-level', 'loud'],
		['--anchor-dir', 'relative'], ['--bogus'], ['--mode'], ['extra'],
	];
	for (const row of rows) {
		const args = row[0] === '--workspace' ? row : ['--workspace', dir, ...row];
		const r = kedge(['serve', 'gateway', ...args]);
		const errors = r.stderr.split('\n').filter((l) => l.startsWith('kedge: '));
		same([row, r.status, errors.length], [row, 2, 1]);
		same([row, names(dir)], [row, before]);
	}
	for (const name of ['Gateway', 'gate way', '../x', '', '9', 'a'.repeat(65)])
		same([name, kedge(['serve', name, '--workspace', dir]).status], [name, 2]);
});

test('who may not come in is told so', async (dir, serve) => {
	if (!ROOT) skip('a client of another user needs root');
	const another = ['--reuid', '65534', '--clear-groups', process.execPath, '-e'];
	if (spawnSync('setpriv', [...another, '0']).status !== 0) skip('nobody may not run node here');
	fs.chmodSync(dir, 0o755);
	const { socket } = await serve('--mode', '0666', '--allow-user', 'root');
	const program = `require('net').connect(process.argv[1]).pipe(process.stdout)`;
	const r = spawnSync('setpriv', [...another, program, socket], { encoding: 'utf8' });
	same(r.stdout, '{"id":"unknown","error":"Not allowed: uid 65534","statusCode":403,' +
		'"errorCode":"FORBIDDEN"}\n');
	await works(socket);
});

test('logs as JSON, a line an event', async (dir, serve) => {
	const server = await serve('--log-format', 'json');
	fs.unlinkSync(server.socket);
	await until(() => /reachable/.test(server.log), 'a report');
	const lines = server.log.split('\n').filter((l) => l.startsWith('{'));
	same(lines.length >= 3, true);
	same(lines.every((l) => typeof JSON.parse(l) === 'object'), true);
});

// A server that answers with what it is told to.
async function fake(dir, answer) {
	const socket = path.join(dir, `fake${Math.random()}.sock`);
	const server = net.createServer((c) => {
		c.on('error', () => {});
		c.on('data', () => (answer === null ? c.destroy() : answer && c.write(answer + '\n')));
	});
	await new Promise((done, fail) => server.on('error', fail).listen(socket, done));
	return { socket, close: () => server.close() };
}

const run = (...args) =>
	new Promise((done, fail) => {
		const child = spawn(KEDGE, ['call', ...args]);
		let out = '';
		child.on('error', fail);
		// It may be over before it reads: only `-` asks for what is on its input.
		child.stdin.on('error', () => {});
		child.stdout.on('data', (d) => (out += d));
		child.stdin.end('{"value":1}');
		child.on('close', (status) => done({ status, out }));
	});

test('call: a method that is no UTF-8 is not sent', async (dir, serve) => {
	const { socket } = await serve();
	const r = spawnSync('sh', ['-c', `exec "$0" call "$1" "$(printf 'm\\200')"`, KEDGE, socket]);
	same([r.status, r.stderr.includes('is not UTF-8')], [2, true]);
});

test('call: exit codes say what came', async (dir, serve) => {
	const rows = [
		['{"id":"1","result":{"a": 1}}', 0], ['{"id":"1"}', 0],
		['{"id":"1","error":"e","statusCode":404}', 2], ['{"id":"1","error":"e","statusCode":500}', 3],
		['{"id":"1","error":"e"}', 10], [null, 10], ['', 10],
	];
	for (const [answer, status] of rows) {
		const { socket, close } = await fake(dir, answer);
		same([answer, (await run(socket, 'm', '--timeout', '1')).status], [answer, status]);
		close();
	}
	same((await run(path.join(dir, 'none.sock'), 'm')).status, 10);
	const { socket } = await serve();
	same(await run(socket, 'echo', '-'), { status: 0, out: '{"echoed":1}\n' });
	for (const json of ['{', '{"a":1,}', '[1 2]', "{'a':1}", '\u0001', 'nul'])
		same([json, kedge(['call', socket, 'echo', json]).status], [json, 2]);
	same(kedge(['call', socket]).status, 2);
	same(kedge(['call', socket, 'echo', '{}', '--timeout', '-1']).status, 2);
});

test('help is a command as well', async () => {
	const all = kedge(['--help']).stdout, guard = kedge(['guard', '--help']).stdout;
	for (const args of [['help'], ['help', 'help'], ['help', '--help'], ['help', '-h'], ['-h']])
		same([args, kedge(args).stdout], [args, all]);
	for (const args of [['help', 'guard'], ['--help', 'guard'], ['guard', '-h']])
		same([args, kedge(args).stdout, kedge(args).status], [args, guard, 0]);
	const r = kedge(['help', 'nonsense']);
	same([r.status, r.stdout, r.stderr], [2, '', "kedge: 'nonsense' is no command; kedge --help lists them\n"]);
	same(kedge(['help', 'guard', 'run']).status, 2);
});

test('help fits a screen', async () => {
	for (const args of [['--help'], ['serve', '--help'], ['call', '--help'], ['--version']]) {
		const r = kedge(args);
		const lines = r.stdout.split('\n');
		same([args, r.status, r.stderr], [args, 0, '']);
		same(lines.length > 1 && lines.length <= 40 && lines.every((l) => l.length <= 80), true);
	}
	same(kedge([]).status, 2);
	same(kedge(['nonsense']).status, 2);
	same(kedge(['non\nsense\x1b[2J']).stderr, "kedge: 'non?sense?[2J' is no command; kedge --help lists them\n");
});

main();
