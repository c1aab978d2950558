// kedge serve with more than one server: options for all and for each, a file of them,
// readiness, a start that fails, limits.
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { spawn } from 'node:child_process';
import { Client, call, kedge, main, message, same, serveNames, skip, sleep, test, until } from './lib.mjs';
import { call as callLines, connect } from '../gateway/lib.mjs';

const mode = (file) => (fs.statSync(file).mode & 0o777).toString(8);
const left = (dir) => fs.readdirSync(dir).filter((n) => /sock|kedge/.test(n));

async function during(server, run) {
	try {
		same([server.status, server.log.includes('listening at')], [null, true]);
		await run(server);
	} catch (e) {
		e.stack += `\n${server.log}`;
		throw e;
	} finally {
		if (server.status === null) await server.stop();
	}
}

test('all: one process, each server with its own guard', async (dir) => {
	await during(await serveNames(dir, ['all']), async (s) => {
		same((await call(s.socket, 'health')).result.sockets.map((x) => x.name),
			['gateway', 'assistant', 'assistant-skill']);
		same((await callLines(s.gateway, 'echo', { value: 1 })).result, { echoed: 1 });
		for (const socket of [s.socket, s.gateway]) fs.unlinkSync(socket);
		await until(() => call(s.socket, 'healthz').then(() => true, () => false), 'the assistant is back');
		await until(() => callLines(s.gateway, 'echo').then(() => true, () => false), 'the gateway is back');
		const { paths } = (await call(s.socket, 'sockets_status')).result;
		same(paths.map((p) => p.losses).slice(0, 2), [1, 1]);
		same(await s.end(), 0);
		same(left(dir), []);
	});
});

test('names: one or more, twice is once', async (dir) => {
	await during(await serveNames(dir, ['assistant', 'gateway', 'assistant']), async (s) => {
		same((await call(s.socket, 'health')).result.sockets.map((x) => x.name), ['assistant', 'gateway']);
		same(await s.end('SIGINT'), 0);
	});
	await during(await serveNames(dir, ['assistant']), async (s) => {
		same([fs.existsSync(s.socket), fs.existsSync(s.gateway)], [true, false]);
		same(await s.end(), 0);
	});
	await during(await serveNames(dir, ['skill']), async (s) => {
		same(s.log.includes('assistant-skill: listening at'), true);
		same(await s.end(), 0);
	});
});

test('what is said for one server stands above what is said for all', async (dir) => {
	const args = ['--mode', '0640', '--assistant-mode', '0666', '--gateway-socket', `${dir}/g.sock`];
	await during(await serveNames(dir, ['gateway', 'assistant'], ...args), async (s) => {
		same([mode(s.socket), mode(`${dir}/g.sock`)], ['666', '640']);
		same(await s.end(), 0);
	});
});

test('a file of options; the command line stands above it', async (dir) => {
	const file = path.join(dir, 'kedge.conf');
	fs.writeFileSync(file, `# for all\nmode = 0640 ; as a group's\n\n[assistant]\nmode = "0644"\n` +
		`allow-user = root\nallow-user=0\n[gateway]\n socket = '${dir}/a b#c.sock'\n[general]\ninterval=100\n`);
	same(kedge(['serve', '--config', file, '--check-config']).status, 0);
	await during(await serveNames(dir, ['gateway', 'assistant'], '--config', file), async (s) => {
		same([mode(s.socket), mode(`${dir}/a b#c.sock`)], ['644', '640']);
		same(await s.end(), 0);
	});
	const args = ['--config', file, '--assistant-mode', '0600'];
	await during(await serveNames(dir, ['gateway', 'assistant'], ...args), async (s) => {
		same([mode(s.socket), mode(`${dir}/a b#c.sock`)], ['600', '640']);
		same(await s.end(), 0);
	});
});

test('a wrong line is an error with its number, and nothing is made', async (dir) => {
	const file = path.join(dir, 'bad.conf');
	const rows = [
		['mode = 0600\nmod = 0600\n', 2, `'mod' is no key`], ['\n\n[gate way]\n', 3, '[gate way] is no section'],
		['[gateway]\nworkspace = /\n', 2, 'concerns all servers'], ['mode = 0999\n', 1, 'octal'],
		['[assistant]\ninterval = -1\n', 2, 'milliseconds'], ['mode = 0600\n\nmode = 0640\n', 3, 'was given before'],
		['just words\n', 1, 'neither KEY = VALUE nor [SECTION]'], ['= 1\n', 1, 'neither'], ['mode =\n', 1, 'no value'],
		['[gateway\n', 1, 'a section is written [NAME]'], ['[gateway] x\n', 1, 'behind the section'],
		['socket = "/a\n', 1, 'quotes'], ['socket = "/a" b\n', 1, 'behind the quotes'],
		['allow-user = [root]\n', 1, 'there are no lists'], ['socket = ""\n', 1, 'must not be empty'],
		['clients-max = 0\n', 1, 'a whole number from 1'], ['allow-user = nobody at all\n', 1, 'no such user'],
		['log-level = loud\n', 1, 'debug, info'], ['idle-ms = 1.5\n', 1, 'a whole number'],
	];
	const before = fs.readdirSync(dir);
	for (const [text, line, words] of rows) {
		fs.writeFileSync(file, text);
		for (const args of [['--check-config'], ['all', '--workspace', dir]]) {
			const r = kedge(['serve', '--config', file, ...args]);
			same([text, r.status, r.stderr.startsWith(`kedge: ${file}:${line}: `), r.stderr.includes(words),
				r.stderr.trimEnd().split('\n').length], [text, 2, true, true, 1]);
		}
	}
	same(fs.readdirSync(dir), [...before, 'bad.conf'].sort());
	// A path cannot have a NUL on a command line, but in a file.
	for (const text of ['mode = 06\0\n', `[gateway]\nsocket = ${dir}/a\0b.sock\n`, '\0']) {
		fs.writeFileSync(file, text);
		for (const args of [['--check-config'], ['all', '--workspace', dir]]) {
			const r = kedge(['serve', '--config', file, ...args]);
			same([r.status, r.stderr], [2, `kedge: ${file}: a NUL is in it; it is no text\n`]);
		}
	}
	same(fs.readdirSync(dir), [...before, 'bad.conf'].sort());
	// A mistake shows although a flag stands above it.
	fs.writeFileSync(file, 'mode = 9\n');
	same(kedge(['serve', '--config', file, '--check-config', '--mode', '0600']).status, 2);
	same(kedge(['serve', '--config', `${dir}/none`, '--check-config']).status, 2);
	same(kedge(['serve', '--config', dir, '--check-config']).status, 2);
	same(kedge(['serve', '--check-config']).status, 2);
});

test('bad command lines: one line, status 2', async (dir) => {
	const rows = [
		[], ['nobody'], ['gateway', 'nobody'], ['all', '--socket', `${dir}/x.sock`],
		['all', '--assistant-mode', '9'], ['all', '--assistant-workspace', dir], ['all', '--nobody-mode', '0600'],
		['all', '--grace-ms', '-1'], ['all', '--clients-max', '0'], ['all', '--message-bytes-max', '1'],
		['all', '--gateway-socket', 'relative'], ['all', '--depth-max', '1025'], ['all', '--config', ''],
		['all', '--output-bytes-high', '11', '--output-bytes-max', '10'],
		['all', '--output-bytes-high', '11', '--assistant-output-bytes-max', '10'],
		['gateway', '--gateway-output-bytes-high', '67108865'],
		['all', '--answer-ms', '0'], ['all', '--mode', ''], ['all', '--interval', '99999999999999999999'],
	];
	for (const row of rows) {
		const r = kedge(['serve', ...row, '--workspace', dir]);
		same([row, r.status, r.stderr.trimEnd().split('\n').length], [row, 2, 1]);
	}
	same(left(dir), []);
});

test('where one cannot listen none does, and nothing is left', async (dir) => {
	fs.mkdirSync(path.join(dir, 'assistant.sock'));
	const r = kedge(['serve', 'gateway', 'assistant', '--workspace', dir, '--log-level', 'error']);
	same([r.status, r.stdout, r.stderr.includes('assistant.sock')], [2, '', true]);
	same(left(dir), ['assistant.sock']);
});

// systemd's end of the readiness protocol: prints each datagram as a line.
const LISTENER = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print("bound", flush=True)
while True:
    print(repr(s.recv(4096)), flush=True)
`;

test('readiness is told when all listen, and the stop too', async (dir) => {
	const notify = path.join(dir, 'notify');
	const python = spawn('python3', ['-c', LISTENER, notify]);
	let text = '', gone = false;
	python.stdout.on('data', (d) => (text += d));
	python.on('error', () => (gone = true));
	try {
		await until(() => gone || text.includes('bound'), 'a listener');
		if (gone) skip('no python3 here');
		process.env.NOTIFY_SOCKET = notify;
		const server = await serveNames(dir, ['gateway', 'assistant']);
		delete process.env.NOTIFY_SOCKET;
		await during(server, async (s) => {
			await until(() => text.includes('READY=1'), 'READY=1');
			same([text.match(/READY=1/g).length, /2 sockets/.test(text)], [1, true]);
			same(await s.end(), 0);
			await until(() => text.includes('STOPPING=1'), 'STOPPING=1');
		});
	} finally {
		python.kill('SIGKILL');
	}
});

test('SIGHUP opens the log again', async (dir) => {
	const log = path.join(dir, 'log');
	await during(await serveNames(dir, ['assistant'], '--log-file', log), async (s) => {
		fs.renameSync(log, log + '.1');
		s.child.kill('SIGHUP');
		await until(() => fs.existsSync(log) && fs.readFileSync(log, 'utf8').includes('reopened'), 'a new log');
		same(fs.readFileSync(log + '.1', 'utf8').includes('guarded'), true);
		same(await s.end(), 0);
	});
});

test('SIGTERM lets finish what is in flight, on all servers', async (dir) => {
	await during(await serveNames(dir, ['all'], '--grace-ms', '20000'), async (s) => {
		const c = await Client.connect(s.socket);
		c.write(message({ id: 's', method: 'echo_stream', params: { chunks: ['1', '2', '3'], delayMs: 100 } }));
		const idle = await connect(s.gateway);
		await until(() => c.got[0]?.chunks.length, 'the stream begins');
		same(await s.end(), 0);
		same([c.got[0].ended, c.got[0].chunks.length, c.over, idle.over], [true, 3, true, true]);
	});
	await during(await serveNames(dir, ['all'], '--grace-ms', '50'), async (s) => {
		const c = await Client.connect(s.socket);
		c.write(message({ id: 's', method: 'echo_stream', params: { chunks: ['1', '2'], delayMs: 60000 } }));
		await until(() => c.got[0]?.chunks.length, 'the stream begins');
		same(await s.end(), 0);
		same([c.got[0].ended, left(dir)], [false, []]);
	});
});

test('clients that send nothing, ask nothing, take nothing are closed', async (dir) => {
	const args = ['--first-byte-ms', '100', '--idle-ms', '300', '--stalled-ms', '300', '--gateway-idle-ms', '0'];
	await during(await serveNames(dir, ['gateway', 'assistant'], ...args), async (s) => {
		const silent = await Client.connect(s.socket);
		await until(() => silent.over, 'the silent one is closed');
		const idle = await Client.connect(s.socket);
		idle.write(message({ id: '1', method: 'echo' }));
		await idle.whole(0);
		await until(() => idle.over, 'the idle one is closed');
		const deaf = await Client.connect(s.socket);
		deaf.socket.pause();
		const chunks = Array.from({ length: 1000 }, () => 'x'.repeat(2000));
		deaf.write(message({ id: '1', method: 'echo_stream', params: { chunks } }));
		await until(async () => (await call(s.socket, 'sockets_status')).result.paths.at(-1).clients === 1,
			'the deaf one is closed');
		deaf.destroy();
		// Who waits for an answer is neither.
		const waiting = await Client.connect(s.socket);
		waiting.write(message({ id: '1', method: 'sockets_events', params: { follow: true } }));
		const quiet = await connect(s.gateway);
		quiet.write('{"id":"1","method":"echo"}\n');
		await quiet.lines(1);
		await sleep(700);
		same([waiting.over, quiet.over], [false, false]);
		waiting.destroy();
		quiet.destroy();
	});
});

test('no more clients than allowed: the others wait', async (dir) => {
	await during(await serveNames(dir, ['assistant'], '--clients-max', '2'), async (s) => {
		const a = await Client.connect(s.socket), b = await Client.connect(s.socket);
		const c = await Client.connect(s.socket);
		c.write(message({ id: '1', method: 'echo' }));
		a.write(message({ id: '1', method: 'echo' }));
		await a.whole(0);
		same(c.got.length, 0);
		await until(() => s.log.includes('2 clients are connected, as many as may be'), 'a line in the log');
		a.destroy();
		await c.whole(0);
		b.destroy();
		c.destroy();
	});
});

main();
