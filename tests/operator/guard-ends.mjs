// The end of a daemon is seen without the safety look, whatever way it ends.
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { spawnSync } from 'node:child_process';
import { KEDGE, ROOT, main, same, skip, until } from './lib.mjs';
import { ask, daemon, environment, exists, guard, leftovers, rm, rmdir, test } from './guarding.mjs';

const NO_SAFETY_LOOK = ['--interval', '0', '--wait'];

// Each word of a daemon, or signal, after which nobody listens any more.
const ends = {
	quit: (d) => d.say('quit'),
	killed: (d) => d.kill('SIGKILL'),
	close: (d) => d.say('close'),
};

async function put_back(g, d, socket) {
	const n = g.of('recovered').length;
	rm(socket);
	await g.saw('recovered', n + 1);
	// One of before may have been told only now.
	await until(() => ask(socket) === String(d.pid), 'the same daemon answers');
}

for (const how of Object.keys(ends))
	test(`a path that was put back goes with its daemon: ${how}`, async (dir) => {
		const socket = path.join(dir, 's');
		const g = await guard(dir, [...NO_SAFETY_LOOK, socket]);
		for (let i = 1; i <= 3; i++) {
			const d = await daemon(socket);
			await g.saw('listening', i);
			await put_back(g, d, socket);
			await ends[how](d);
			await g.saw('awaited', i + 1);
			// It says so first, and clears up then.
			await until(() => !exists(socket) && leftovers(dir).every((n) => n.startsWith('rt')),
				'nothing is left');
		}
	});

for (const how of ['quit', 'killed'])
	test(`one whose path was never lost: ${how}`, async (dir) => {
		const socket = path.join(dir, 's');
		const g = await guard(dir, [...NO_SAFETY_LOOK, socket]);
		for (let i = 1; i <= 3; i++) {
			const d = await daemon(socket);
			await g.saw('listening', i);
			await ends[how](d);
			await g.saw('awaited', i + 1);
			same([exists(socket), g.of('withdrawn').length], [how === 'killed', 0]);
		}
	});

// Between the making of the name and listen(2) nobody seems to be there. A guard that asked by
// connecting killed the daemon: its answer met a closed connection.
for (const type of ['stream', 'seqpacket'])
	test(`it is told from a stale socket without a connection: ${type}`, async (dir) => {
		const socket = path.join(dir, 's');
		const g = await guard(dir, [...NO_SAFETY_LOOK, socket]);
		for (let i = 1; i <= 15; i++) {
			const d = await daemon(socket, type);
			await g.saw('listening', i);
			same((await d.say('clients'))[0], '0');
			await d.kill('SIGKILL');
			await g.saw('awaited', i + 1);
		}
	});

test('one that removed its path, and later closes the listener and lives on', async (dir) => {
	if (!ROOT) skip('who removes a path is told to root only');
	const socket = path.join(dir, 's');
	const d = await daemon(socket);
	const g = await guard(dir, [...NO_SAFETY_LOOK, socket]);
	same(await d.say('unlink'), ['ok']);
	await g.saw('left-alone');
	same(await d.say('close'), ['ok']);
	await g.saw('awaited');
	same(await d.say('bind'), ['ok']);
	await g.saw('listening', 2);
});

test('a worker holds the listener alone, while its master lives on', async (dir) => {
	const socket = path.join(dir, 's');
	const d = await daemon(socket);
	const worker = Number((await d.say('fork')).join(' ').match(/worker (\d+)/)[1]);
	const g = await guard(dir, [...NO_SAFETY_LOOK, socket]);
	same(await d.say('close'), ['ok']);
	same(ask(socket), String(worker));
	process.kill(worker, 'SIGKILL');
	await g.saw('awaited');
	same([d.status, exists(socket)], [null, true]);
});

// The path is put back while the message is in flight, and withdrawn when it is dropped.
async function backUntilDropped(g, d, socket) {
	rm(socket);
	await g.saw('recovered');
	same(exists(socket), true);
	same(await d.say('drop'), ['ok']);
	await g.saw('withdrawn');
	same(exists(socket), false);
}

test('nobody holds the listener: it is in flight in a message', async (dir) => {
	const socket = path.join(dir, 's');
	const d = await daemon(socket);
	same(await d.say('send'), ['ok']);
	const g = await guard(dir, [...NO_SAFETY_LOOK, socket]);
	await backUntilDropped(g, d, socket);
});

// In a user namespace, which has limits of its own: nobody else is short of inotify.
test('the same, where inotify is to be had only later', async (dir) => {
	const limit = '/proc/sys/user/max_inotify_instances', go = path.join(dir, 'go');
	const late = `echo 0 >${limit}
		(until test -e '${go}'; do sleep 0.05; done; echo 100 >${limit}) & exec "$@"`;
	if (spawnSync('unshare', ['-Ur', 'sh', '-c', `echo 0 >${limit}`]).status !== 0)
		skip('no user namespace with limits of its own is to be had');
	const socket = path.join(dir, 's');
	const d = await daemon(socket);
	same(await d.say('send'), ['ok']);
	const g = await guard(dir, [...NO_SAFETY_LOOK, socket],
		{ wrap: ['unshare', '-Ur', 'sh', '-c', late, 'late'] });
	fs.writeFileSync(go, '');
	await until(() => g.events().some((e) => e.event === 'recovered' && !e.path), 'events are told again');
	await backUntilDropped(g, d, socket);
});

test('its directory is made anew, and it listens there before it lets go of the old one',
	async (dir) => {
		const run = path.join(dir, 'run');
		const socket = path.join(run, 's');
		fs.mkdirSync(run);
		const d = await daemon(socket);
		const g = await guard(dir, [...NO_SAFETY_LOOK, socket]);
		for (let i = 1; i <= 3; i++) {
			rmdir(run);
			await g.saw('blocked', i);
			fs.mkdirSync(run, { recursive: true });
			same(await d.say('overlap'), ['ok']);
			await until(() => g.of('followed').length + g.of('listening').length > i, 'taken up');
			await put_back(g, d, socket);
		}
	});

test('one that had taken over closes, and removes the path at once, which is another\'s again: ' +
	'it was left alone, as by its own daemon', async (dir) => {
	const socket = path.join(dir, 's');
	const d = await daemon(socket);
	const g = await guard(dir, ['--interval', '100', '--wait', socket]);
	const status = () => spawnSync(KEDGE, ['status'], { env: environment(dir), encoding: 'utf8' }).stdout;
	for (let i = 1; i <= 5; i++) {
		const other = net.createServer();
		await new Promise((done) => other.listen(`${socket}.other`, done));
		fs.linkSync(socket, `${socket}.kept`);
		fs.renameSync(`${socket}.other`, socket);
		await until(() => status().includes(`/${process.pid} `), 'it is known who holds it');
		const followed = g.of('followed').length;
		await new Promise((done) => other.close(done));
		fs.renameSync(`${socket}.kept`, socket);
		// At once: the guard is about to find out who holds the one that it falls back to.
		const back = () => g.of('followed').length > followed;
		await Promise.race([until(back, 'it falls back'),
			new Promise((done) => g.child.stderr.on('data', () => back() && done()))]);
		fs.rmSync(socket, { force: true });
		await until(() => ask(socket) === String(d.pid) || g.of('left-alone').length, 'the first one answers');
		same(g.of('left-alone'), []);
	}
});

await main();
