// kedge wait: until clients can connect, woken by whatever had to happen for it.
import fs from 'node:fs';
import path from 'node:path';
import { spawnSync } from 'node:child_process';
import { NOBODY, PEER, ROOT, main, matches, peer, run, same, skip, sleep, start, startKedge, test, until } from './lib.mjs';

// Waiting is seen from outside: the process sleeps in poll(2).
const asleep = (p) => until(() => {
	if (p.status !== null) throw new Error(`ended with ${p.status}: ${p.err}`);
	return /^State:\tS/m.test(fs.readFileSync(`/proc/${p.pid}/status`, 'utf8'));
}, 'it waits');

async function waiting(...args) {
	const p = startKedge(['wait', ...args]);
	await asleep(p);
	return p;
}

test('at once where all is there', async (dir) => {
	const paths = ['a', 'b'].map((n) => path.join(dir, n));
	await peer(['listen', 'stream', paths[0]]);
	await peer(['listen', 'datagram', paths[1]]);
	same(run(['wait', ...paths]).status, 0);
	same(run(['wait', '--timeout', '0', ...paths]).status, 0);
});

test('directories appear one by one, and by a move', async (dir) => {
	const p = await waiting(path.join(dir, 'a/b/c/s'));
	for (const d of ['a', 'a/b']) {
		fs.mkdirSync(path.join(dir, d));
		await sleep(20);
		await asleep(p);
	}
	fs.mkdirSync(path.join(dir, 'away'));
	await peer(['listen', 'stream', 's'], { cwd: path.join(dir, 'away') });
	same(p.status, null);
	fs.renameSync(path.join(dir, 'away'), path.join(dir, 'a/b/c'));
	same(await p.ended(), 0);
});

test('for all of several; one that goes again is waited for again', async (dir) => {
	const [a, b] = ['a', 'b'].map((n) => path.join(dir, n));
	const p = await waiting(a, b);
	const first = await peer(['listen', 'stream', a]);
	await sleep(30);
	same(p.status, null);
	await first.kill();
	fs.unlinkSync(a);
	await peer(['listen', 'stream', b]);
	await sleep(50);
	same(p.status, null);
	await peer(['listen', 'stream', a]);
	same(await p.ended(), 0);
});

test('a stale socket is replaced; a bound one listens late', async (dir) => {
	const socket = path.join(dir, 's');
	await (await peer(['listen', 'stream', socket])).kill();
	const p = await waiting(socket);
	fs.unlinkSync(socket);
	const daemon = await peer(['bind', 'stream', socket]);
	await sleep(50);
	same(p.status, null);
	daemon.child.kill('SIGUSR1');
	same(await p.ended(), 0);
});

test('links: the target appears, the link is led elsewhere', async (dir) => {
	const link = path.join(dir, 'link');
	fs.symlinkSync(path.join(dir, 'one'), link);
	const first = await waiting(path.join(link, 's'));
	fs.mkdirSync(path.join(dir, 'one'));
	await peer(['listen', 'stream', path.join(dir, 'one/s')]);
	same(await first.ended(), 0);

	fs.symlinkSync('nowhere', link + '2');
	const second = await waiting(path.join(dir, 'link2/s'));
	fs.symlinkSync('one', link + '3');
	fs.renameSync(link + '3', link + '2');
	same(await second.ended(), 0);
});

test('a directory moved away and another put in its place', async (dir) => {
	fs.mkdirSync(path.join(dir, 'd/e'), { recursive: true });
	const p = await waiting(path.join(dir, 'd/e/s'));
	fs.renameSync(path.join(dir, 'd'), path.join(dir, 'old'));
	await asleep(p);
	fs.mkdirSync(path.join(dir, 'd/e'), { recursive: true });
	await peer(['listen', 'stream', path.join(dir, 'd/e/s')]);
	same(await p.ended(), 0);
});

test('an abstract name', async () => {
	const name = `@kedge-wait-${process.pid}`;
	const p = await waiting(name);
	await peer(['listen', 'stream', name]);
	same(await p.ended(), 0);
});

test('a permission that is granted', async (dir) => {
	if (!ROOT) skip('needs root');
	const d = path.join(dir, 'd'), socket = path.join(d, 's');
	fs.chmodSync(dir, 0o755);
	fs.copyFileSync(process.argv[2], path.join(dir, 'kedge'));
	fs.mkdirSync(d, { mode: 0o700 });
	await peer(['listen', 'stream', socket]);
	fs.chmodSync(socket, 0o666);
	const p = start(path.join(dir, 'kedge'), ['wait', socket], NOBODY);
	await asleep(p);
	fs.chmodSync(d, 0o755);
	same(await p.ended(), 0);
});

test('a file system is mounted over', async (dir) => {
	if (!ROOT || spawnSync('unshare', ['-m', 'true']).status !== 0) skip('needs root and namespaces');
	const kedge = path.resolve(process.argv[2]);
	// Both in one mount namespace of their own; the second is told when to go on.
	const p = start('unshare', ['-m', 'sh', '-c',
		'"$0" wait --timeout 60 "$2/s" & w=$!; read go; mount -t tmpfs none "$2"; ' +
		'"$1" listen stream "$2/s" & d=$!; wait $w; r=$?; kill $d; exit $r', kedge, PEER, dir]);
	await sleep(200);
	p.child.stdin.write('go\n');
	same(await p.ended(), 0);
});

test('it sleeps, and does not poll', async (dir) => {
	const switches = (p) => Number(/^voluntary_ctxt_switches:\t(\d+)/m.exec(
		fs.readFileSync(`/proc/${p.pid}/status`, 'utf8'))[1]);
	const p = await waiting(path.join(dir, 'no/such/s'));
	const before = switches(p);
	await sleep(1000);
	// Once in 5 s by itself; a loop that polls would be here hundreds of times.
	if (switches(p) - before > 8) throw new Error(`woke ${switches(p) - before} times`);
	await p.kill();
});

test('time-out: exit 1, and each that is missing with its reason', async (dir) => {
	const ok = path.join(dir, 'ok'), stale = path.join(dir, 'stale');
	await peer(['listen', 'stream', ok]);
	await (await peer(['listen', 'stream', stale])).kill();
	const r = run(['wait', '--timeout', '0.1', ok, stale, path.join(dir, 'a/s')]);
	same([r.status, r.out, r.err.trim().split('\n').length], [1, '', 2]);
	matches(r.err, /timed out: .*\/stale: a stale socket/);
	matches(r.err, /timed out: .*\/a\/s: the directory .*\/a does not exist/);
});

test('wrong usage', () => {
	for (const [args, why] of [
		[[], /takes PATH/],
		[[''], /a path of 1 to 4095 bytes/],
		[['--timeout', '-1', 'x'], /--timeout -1/],
		[['--timeout', 'soon', 'x'], /--timeout soon: seconds from 0/],
		[['--timout', '1'], /'--timout' is no option/],
	]) {
		const r = run(['wait', ...args]);
		same(r.status, 2);
		matches(r.err, why);
	}
});

await main();
