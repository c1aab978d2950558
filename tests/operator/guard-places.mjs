// Daemons in containers: in network and mount namespaces of their own. Each namespace is made
// here and goes with the process in it.
import fs from 'node:fs';
import path from 'node:path';
import { spawnSync } from 'node:child_process';
import { KEDGE, NOBODY, ROOT, main, matches, same, skip, until } from './lib.mjs';
import { DAEMON, ask, daemon, environment, exists, guard, leftovers, rm, test } from './guarding.mjs';

const NET = ['unshare', '-n'];
const has = (flag) => ROOT && spawnSync('unshare', [flag, 'true']).status === 0;
const need = (flag, what) => has(flag) || skip(`no ${what} namespace to be had`);

const kedge = (dir, args, options = {}) => {
	const r = spawnSync(KEDGE, args, { encoding: 'utf8', timeout: 20000, env: environment(dir), ...options });
	return { status: r.status, out: r.stdout, err: r.stderr };
};

// A daemon whose directory is a mount that nobody else has.
const PRIVATE = ['unshare', '-m', '--propagation', 'private', 'sh', '-c', 'mount -t tmpfs own "$0" && exec "$@"'];
const inside = (pid, socket, type) => spawnSync('nsenter', ['-t', String(pid), '-m', DAEMON, socket, type, 'ask'],
	{ encoding: 'utf8', timeout: 20000 }).stdout.trim();

for (const type of ['stream', 'datagram', 'seqpacket'])
	test(`a ${type} listener in another network namespace`, async (dir) => {
		need('-n', 'network');
		const socket = path.join(dir, 's');
		const wanted = (d) => (type === 'datagram' ? 'sent' : String(d.pid));
		const d = await daemon(socket, type, { wrap: NET });
		const g = await guard(dir, [socket]);
		for (let i = 1; i <= 3; i++) {
			rm(socket);
			await g.saw('recovered', i);
			same(ask(socket, type), wanted(d));
		}
		await d.kill('SIGKILL');
		await g.saw('withdrawn');
		same(exists(socket), false);
		// The next one has a namespace of its own again, and ends as it should.
		const next = await daemon(socket, type, { wrap: NET });
		await g.saw('listening', 2);
		rm(socket);
		await until(() => ask(socket, type) === wanted(next), 'it is guarded as well');
		await next.say('quit');
		await g.saw('awaited', 2);
		same([exists(socket), await g.end()], [false, 0]);
		same(leftovers(dir).filter((n) => !n.startsWith('rt')), []);
	});

test('a new listener in yet another network namespace is followed', async (dir) => {
	need('-n', 'network');
	const socket = path.join(dir, 's');
	const first = await daemon(socket);
	const g = await guard(dir, [socket]);
	const second = await daemon(socket, 'stream', { wrap: NET });
	await until(() => g.of('followed').length + g.of('listening').length === 2, 'it is followed');
	rm(socket);
	await until(() => ask(socket) === String(second.pid), 'it is put back');
	await second.kill('SIGKILL');
	await until(() => ask(socket) === String(first.pid), 'the first one again');
});

test('--all-of a process in network and mount namespaces of its own', async (dir) => {
	need('-n', 'network');
	need('-m', 'mount');
	const own = path.join(dir, 'own');
	fs.mkdirSync(own);
	const socket = path.join(own, 's');
	const d = await daemon(socket, 'stream', { wrap: [...NET, ...PRIVATE, own] });
	same(exists(socket), false);
	const g = await guard(dir, ['--all-of', String(d.pid)]);
	const seen = `/proc/${d.pid}/root${socket}`;
	const [{ status }] = JSON.parse(kedge(dir, ['status', '--json']).out);
	same(status.paths.map((p) => [p.path, p.owner.pid]), [[seen, d.pid]]);
	for (let i = 1; i <= 3; i++) {
		rm(seen);
		await g.saw('recovered', i);
		same(inside(d.pid, socket, 'stream'), String(d.pid));
	}
	same(kedge(dir, ['check', seen]).status, 0);
	// Its places go with it: nothing to be awaited there, nothing left here.
	await d.kill('SIGKILL');
	await g.saw('awaited');
	same([await g.end(), fs.readdirSync(own)], [0, []]);
});

test('a path in another mount namespace, by /proc/PID/root', async (dir) => {
	need('-m', 'mount');
	const own = path.join(dir, 'own');
	fs.mkdirSync(own);
	const socket = path.join(own, 's');
	const d = await daemon(socket, 'stream', { wrap: [...PRIVATE, own] });
	const seen = `/proc/${d.pid}/root${socket}`;
	const g = await guard(dir, [seen]);
	rm(seen);
	await g.saw('recovered');
	same(inside(d.pid, socket, 'stream'), String(d.pid));
	same(await d.say('unlink'), ['ok']);
	await g.saw('left-alone');
	same(await d.say('bind'), ['ok']);
	await g.saw('followed');
	await g.end();
	same(fs.readdirSync(seen.slice(0, -2)), ['s']);
});

test('a vault on another mount: said, and the anchor is kept beside the socket', async (dir) => {
	need('-m', 'mount');
	const socket = path.join(dir, 's'), vault = path.join(dir, 'vault');
	fs.mkdirSync(vault, { mode: 0o700 });
	const d = await daemon(socket);
	const g = await guard(dir, ['--vault', path.join(vault, 'anchors'), socket], { wrap: [...PRIVATE, vault] });
	// Where the machine's inotify instances are used up, that is said as well.
	const said = () => g.of('degraded').filter((e) =>
		e.message.endsWith('the anchor directory is on another mount: anchored beside the socket'));
	await until(() => said().length, 'it is said');
	same(fs.readdirSync(dir).filter((name) => name.startsWith('.kedge-')), [`.kedge-${process.getuid()}`]);
	rm(socket);
	await g.saw('recovered');
	same([ask(socket), said().length], [String(d.pid), 1]);
	same(await g.end(), 0);
	same(fs.readdirSync(dir).filter((name) => name.startsWith('.kedge-')), []);
});

test('an ordinary user is told where a listener is that it cannot guard', async (dir) => {
	need('-n', 'network');
	const own = path.join(dir, 'own');
	fs.mkdirSync(own);
	fs.chmodSync(dir, 0o755);
	fs.chownSync(own, NOBODY.uid, NOBODY.gid);
	const socket = path.join(own, 's');
	// Its own process, in a namespace that it may not enter.
	await daemon(socket, 'stream', { wrap: [...NET, 'setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] });
	const r = kedge(dir, ['guard', socket], NOBODY);
	same(r.status, 1);
	matches(r.err, /the listener of .*s is in another network namespace: run as root/);
	same(leftovers(own), []);
});

await main();
