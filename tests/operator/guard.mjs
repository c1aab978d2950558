// kedge guard: daemons that know nothing of it, on the real kernel.
import fs from 'node:fs';
import path from 'node:path';
import { spawnSync } from 'node:child_process';
import { NOBODY, ROOT, main, matches, same, skip, sleep, until } from './lib.mjs';
import {
	DAEMON, ask, daemon, exists, guard, inode, leftovers, mv, python, rm, rmdir, test,
} from './guarding.mjs';

const back = (socket, pid) => until(() => ask(socket) === String(pid), 'the same daemon answers');

test('unlinked and renamed by a stranger: the same listener is back, and who did it is told',
	async (dir) => {
		const socket = path.join(dir, 's');
		const d = await daemon(socket);
		const before = inode(socket);
		const g = await guard(dir, [socket]);
		python('os.unlink(sys.argv[1])', socket);
		await g.saw('recovered', 1);
		same(ask(socket), String(d.pid));
		mv(socket, path.join(dir, 'elsewhere'));
		await g.saw('recovered', 2);
		same([ask(socket), inode(socket)], [String(d.pid), before]);
		same(g.of('lost').map((e) => e.cause), ['unlinked', 'renamed']);
		same(g.of('relinked').length, 2);
		if (ROOT) matches(g.of('lost')[0].by.comm, /^python/);
		fs.unlinkSync(path.join(dir, 'elsewhere'));
		await d.say('quit');
		await g.saw('awaited');
		same(exists(socket), false);
		same([await g.end(), leftovers(dir).length], [0, 0]);
	});

test('each type of socket', async (dir) => {
	const types = ['stream', 'datagram', 'seqpacket'];
	const at = (type) => path.join(dir, type);
	const daemons = {};
	for (const type of types) daemons[type] = await daemon(at(type), type);
	const g = await guard(dir, types.map(at));
	for (const type of types) {
		rm(at(type));
		const wanted = type === 'datagram' ? 'sent' : String(daemons[type].pid);
		await until(() => ask(at(type), type) === wanted, `${type} is back`);
	}
	await g.saw('relinked', 3);
	await until(() => daemons.datagram.out.includes('got x'), 'the datagram came');
});

test('what its own daemon takes away is left alone', async (dir) => {
	if (!ROOT) skip('who removes a path is told to root only');
	const socket = path.join(dir, 's');
	const d = await daemon(socket);
	const g = await guard(dir, [socket]);
	same(await d.say('unlink'), ['ok']);
	await g.saw('left-alone');
	await sleep(100);
	same([exists(socket), g.of('lost').length], [false, 0]);
	same(await d.say('bind'), ['ok']);
	await g.saw('followed');
	rm(socket);
	await back(socket, d.pid);
	// The anchor was there before it was told: made later, it would have come too late for some.
	same(g.of('anchored').length, 0);
});

test('a clean stop leaves nothing, and the next start is guarded', async (dir) => {
	const socket = path.join(dir, 's');
	const g = await guard(dir, ['--wait', socket]);
	for (let i = 1; i <= 5; i++) {
		const d = await daemon(socket);
		await g.saw('listening', i);
		if (i % 2) {
			rm(socket);
			await back(socket, d.pid);
		}
		await d.say('quit');
		await g.saw('awaited', i + 1);
		// It says so first, and clears up then.
		await until(() => !exists(socket) && !leftovers(dir).some((n) => !n.startsWith('rt')), 'nothing is left');
	}
});

test('a path that was put back goes with its daemon, however that ends', async (dir) => {
	const socket = path.join(dir, 's');
	const g = await guard(dir, ['--wait', socket]);
	const d = await daemon(socket);
	await g.saw('listening');
	rm(socket);
	await back(socket, d.pid);
	await d.kill('SIGKILL');
	await g.saw('withdrawn');
	same(exists(socket), false);
	// And where it only closes the listener.
	const d2 = await daemon(socket);
	await g.saw('listening', 2);
	rm(socket);
	await back(socket, d2.pid);
	await d2.say('close');
	await g.saw('withdrawn', 2);
	same(exists(socket), false);
	same(await d2.say('bind'), ['ok']);
	await g.saw('listening', 3);
});

test('what a daemon that crashed left is its own affair', async (dir) => {
	const socket = path.join(dir, 's');
	const g = await guard(dir, ['--wait', socket]);
	const d = await daemon(socket);
	await g.saw('listening');
	await d.kill('SIGKILL');
	await g.saw('awaited', 2);
	same([exists(socket), g.of('withdrawn').length], [true, 0]);
});

test('a new listener is followed, not fought', async (dir) => {
	const socket = path.join(dir, 's');
	const first = await daemon(socket);
	// Without a safety look: nothing may be missed by the events.
	const g = await guard(dir, ['--interval', '0', socket]);
	// As the guard is quick or slow, it sees one take over, or one end and another begin.
	const taken = () => g.of('followed').length + g.of('listening').length;
	same(await first.say('renew'), ['ok']);
	await until(() => taken() === 2, 'the new listener is guarded');
	// Whoever is told so may remove the path in the next moment.
	same(fs.lstatSync(socket).nlink, 2);
	rm(socket);
	await back(socket, first.pid);
	// A second instance displaces the first, then dies: the first is reachable again.
	const second = await daemon(socket);
	await until(() => taken() === 3, 'the second one is guarded');
	same(ask(socket), String(second.pid));
	await second.kill('SIGKILL');
	await back(socket, first.pid);
});

test('workers share a listener: it lives until the last of them ends', async (dir) => {
	const socket = path.join(dir, 's');
	const d = await daemon(socket);
	const worker = Number((await d.say('fork')).join(' ').match(/worker (\d+)/)[1]);
	const g = await guard(dir, [socket]);
	rm(socket);
	await g.saw('recovered');
	d.child.kill('SIGKILL');
	await back(socket, worker);
	rm(socket);
	await back(socket, worker);
	process.kill(worker, 'SIGKILL');
	await g.saw('withdrawn');
	same(exists(socket), false);
});

test('a guard that is killed is followed by one that knows', async (dir) => {
	const socket = path.join(dir, 's');
	const d = await daemon(socket);
	let g = await guard(dir, [socket]);
	rm(socket);
	await back(socket, d.pid);
	await g.kill('SIGKILL');
	// Lost while nobody guards it: put back at the start.
	rm(socket);
	g = await guard(dir, [socket]);
	same(ask(socket), String(d.pid));
	await g.kill('SIGKILL');
	// The lease of the first is known to the third.
	g = await guard(dir, [socket]);
	await d.kill('SIGKILL');
	await g.saw('withdrawn');
	same(exists(socket), false);
	await g.end();
	same(leftovers(dir).filter((n) => !n.startsWith('rt')), []);
});

test('a path that was put back, and guard and daemon are killed', async (dir) => {
	const socket = path.join(dir, 's');
	const d = await daemon(socket);
	let g = await guard(dir, [socket]);
	rm(socket);
	await back(socket, d.pid);
	await g.kill('SIGKILL');
	await d.kill('SIGKILL');
	g = await guard(dir, ['--wait', socket]);
	same(exists(socket), false);
	await daemon(socket);
	await g.saw('listening');
});

test('a guard that stops leaves daemon and path as they are', async (dir) => {
	const socket = path.join(dir, 's');
	const d = await daemon(socket);
	const g = await guard(dir, [socket]);
	rm(socket);
	await back(socket, d.pid);
	same(await g.end(), 0);
	same([ask(socket), leftovers(dir)], [String(d.pid), []]);
});

test('the directory goes with all in it: the vault has the anchor', async (dir) => {
	const run = path.join(dir, 'run', 'deep');
	fs.mkdirSync(run, { recursive: true, mode: 0o750 });
	fs.chmodSync(run, 0o750);
	const socket = path.join(run, 's');
	const d = await daemon(socket);
	const g = await guard(dir, ['--vault', path.join(dir, 'vault'), socket]);
	rmdir(path.join(dir, 'run'));
	await back(socket, d.pid);
	same(fs.statSync(run).mode & 0o777, 0o750);
	await g.end();
	same(leftovers(dir).filter((n) => !n.startsWith('rt')), []);
});

test('the directory goes, and there is no vault: said once, and the next start is guarded',
	async (dir) => {
		const run = path.join(dir, 'run');
		fs.mkdirSync(run);
		const socket = path.join(run, 's');
		const d = await daemon(socket);
		const g = await guard(dir, ['--interval', '0', socket]);
		rmdir(run);
		await g.saw('blocked');
		matches(g.of('blocked')[0].message, /no name of its socket is left/);
		fs.mkdirSync(run, { recursive: true });
		same(await d.say('renew'), ['ok']);
		await until(() => g.of('followed').length + g.of('listening').length > 1, 'taken up');
		rm(socket);
		await back(socket, d.pid);
	});

test('a file is put in its place: moved aside, never deleted', async (dir) => {
	const socket = path.join(dir, 's');
	const d = await daemon(socket);
	await guard(dir, [socket]);
	fs.writeFileSync(path.join(dir, 'f'), 'precious');
	mv(path.join(dir, 'f'), socket);
	await back(socket, d.pid);
	same(fs.readFileSync(socket + '.displaced.1', 'utf8'), 'precious');
});

test('bind-mounted over', async (dir) => {
	if (!ROOT) skip('mounting needs root');
	const run = path.join(dir, 'run');
	fs.mkdirSync(run);
	const socket = path.join(run, 's');
	const d = await daemon(socket);
	const ns = ['unshare', '-m', '--propagation', 'private', 'sh', '-c', 'exec "$@"', 'sh'];
	if (spawnSync('unshare', ['-m', 'true']).status !== 0) skip('no mount namespace to be had');
	const g = await guard(dir, [socket], { wrap: ns });
	spawnSync('nsenter', ['-t', String(g.pid), '-m', 'mount', '-t', 'tmpfs', 'over', run]);
	await g.saw('recovered');
	same(g.of('bind-mounted').length, 1);
	const inside = spawnSync('nsenter', ['-t', String(g.pid), '-m', DAEMON, socket,
		'stream', 'ask'], { encoding: 'utf8' });
	same(inside.stdout.trim(), String(d.pid));
});

test('an ordinary user guards its own', async (dir) => {
	if (!ROOT) skip('the other cases ran as one');
	const own = path.join(dir, 'own');
	fs.mkdirSync(own);
	fs.chmodSync(dir, 0o755);
	fs.chownSync(own, NOBODY.uid, NOBODY.gid);
	const socket = path.join(own, 's');
	const d = await daemon(socket, 'stream', NOBODY);
	const g = await guard(own, [socket], NOBODY);
	same(g.of('degraded').length, 1);
	matches(g.of('degraded')[0].message, /the settle time decides/);
	rm(socket);
	await back(socket, d.pid);
	await g.saw('lost');
	same(g.of('lost')[0].by, undefined);
	await d.kill('SIGKILL');
	await g.saw('withdrawn');
	await g.end();
});

test('no inotify is to be had: the safety look alone, said once', async (dir) => {
	if (spawnSync('unshare', ['-Ur', 'true']).status !== 0) skip('no user namespace to be had');
	const script = 'echo 0 > /proc/sys/user/max_inotify_instances && exec "$@"';
	const socket = path.join(dir, 's');
	const d = await daemon(socket);
	const g = await guard(dir, ['--interval', '50', '--wait', socket, socket + '2'],
		{ wrap: ['unshare', '-Ur', 'sh', '-c', script, 'sh'] });
	matches(g.of('degraded').map((e) => e.message).join('\n'), /no events: the safety look alone/);
	rm(socket);
	await back(socket, d.pid);
	await d.kill('SIGKILL');
	await g.saw('withdrawn');
	await daemon(socket + '2');
	await g.saw('listening', 2);
});

await main();
