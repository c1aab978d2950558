// kedge check: whether a client could connect, and if not, a reason to act on.
import fs from 'node:fs';
import path from 'node:path';
import { spawnSync } from 'node:child_process';
import { NOBODY, ROOT, forgetting, main, matches, peer, run, same, skip, test, until } from './lib.mjs';

const user = (dir, ...args) =>
	spawnSync(path.join(dir, 'kedge'), args, { ...NOBODY, encoding: 'utf8' });

function refused(target, why, ...args) {
	const r = run(['check', ...args, target]);
	matches(r.err, why);
	same([r.status, r.out, r.err.trim().split('\n').length], [1, '', 1]);
}

test('each type can be connected to, by a path of any length, or an abstract name', async (dir) => {
	for (const type of ['stream', 'seqpacket', 'datagram']) {
		const socket = path.join(dir, type);
		const p = await peer(['listen', type, socket]);
		const r = run(['check', socket]);
		same([r.status, r.out, r.err], [0, `${socket}: a client can connect (${type})\n`, '']);
		if (type === 'datagram') same(p.out, 'ready\n');
	}
	const deep = path.join(dir, 'd'.repeat(120));
	fs.mkdirSync(deep);
	await peer(['listen', 'stream', 's'], { cwd: deep });
	same(run(['check', path.join(deep, 's')]).status, 0);
	same(run(['check', 's'], { cwd: deep }).status, 0);
	const name = `@kedge-check-${process.pid}`;
	await peer(['listen', 'stream', name]);
	same(run(['check', name]).status, 0);
	refused(name + 'x', /nobody listens on that abstract name/);
});

test('the component that is missing, or is no directory, or a link to nowhere', async (dir) => {
	const at = (...names) => path.join(dir, ...names);
	refused(at('a', 'b', 's'), /the directory \S.*\/a does not exist; nobody listens on what was here/);
	refused(at('s'), /nothing stands there \(.* exists\); nobody listens/);
	fs.writeFileSync(at('file'), '');
	refused(at('file', 's'), /\/file is a regular file, not a directory/);
	refused(at('file'), /a regular file stands there, not a socket/);
	refused(dir, /a directory stands there, not a socket/);
	fs.symlinkSync('/nowhere/at/all', at('link'));
	refused(at('link'), /\/link is a symbolic link to \/nowhere\/at\/all, which does not exist/);
	fs.symlinkSync('round', at('round'));
	refused(at('round', 's'), /round is a symbolic link that leads round in a circle/);
	same(run(['check', '']).status, 2);
	refused(at('x'.repeat(300)), /File name too long/);
	refused('/' + 'x/'.repeat(3000), /name too long|longer than 4095|does not exist/);
	refused('/' + './'.repeat(3000) + 's', /the path is longer than 4095 bytes/);
	refused('/dev/null/s', /\/dev\/null is a device, not a directory/);
	refused('/dev/null', /a device stands there, not a socket/);
	await peer(['listen', 'stream', at('socket')]);
	refused(at('socket', 's'), /\/socket is a socket, not a directory/);
});

test('one that a list of the kernel leaves out is told all the same', async (dir) => {
	const socket = path.join(dir, 's'), bound = path.join(dir, 'bound');
	const p = await peer(['listen', 'stream', socket]);
	const env = forgetting(socket);
	fs.unlinkSync(socket);
	matches(run(['check', socket], { env }).err, new RegExp(`pid ${p.pid}, .*still listens on what was here`));
	await peer(['bind', 'stream', bound]);
	matches(run(['check', bound], { env: forgetting(bound) }).err, /is bound there and does not listen/);
});

test('a stale socket, and whoever still listens on what was there', async (dir) => {
	const socket = path.join(dir, 's');
	const first = await peer(['listen', 'stream', socket]);
	fs.unlinkSync(socket);
	const still = new RegExp(`peer \\(pid ${first.pid}, user \\S+\\) still listens on what was ` +
		`here: kedge rescue ${socket}`);
	refused(socket, still);
	const second = await peer(['listen', 'stream', socket]);
	same(run(['check', socket]).status, 0);
	await second.kill();
	refused(socket, /a stale socket of \S+ stands there, on which nobody listens; peer/);
	refused(socket, still);
	await first.kill();
	refused(socket, /on which nobody listens; nobody listens on what was here: start the daemon/);
});

test('bound and not listening; a queue that is full', async (dir) => {
	const bound = path.join(dir, 'bound'), full = path.join(dir, 'full');
	const p = await peer(['bind', 'stream', bound]);
	refused(bound, new RegExp(`peer \\(pid ${p.pid}, user \\S+\\) is bound there and does not listen`));
	const q = await peer(['full', 'stream', full]);
	// The one that the queue has room for, which the check's own leaves at once but stays counted.
	same(run(['check', full]).status, 0);
	refused(full, new RegExp(`queue is full: 1 clients wait, and peer \\(pid ${q.pid}`),
		'--timeout', '0.05');
	const name = `@kedge-full-${process.pid}`;
	await peer(['full', 'stream', name]);
	same(run(['check', name]).status, 0);
	refused(name, /: the queue is full$/m, '--timeout', '0.05');
});

test('permissions are named, and who needs which', async (dir) => {
	if (!ROOT) skip('needs root');
	fs.chmodSync(dir, 0o755);
	fs.copyFileSync(process.argv[2], path.join(dir, 'kedge'));
	const run_ = path.join(dir, 'run'), socket = path.join(run_, 's');
	fs.mkdirSync(run_, { mode: 0o755 });
	await peer(['listen', 'stream', socket]);
	fs.chmodSync(socket, 0o640);
	let r = user(dir, 'check', socket);
	same(r.status, 1);
	matches(r.stderr, /may not connect to the socket \(mode 0640, owner root, group root\); user nobody needs write permission \(w\) for others there/);
	// A class that is closer is asked alone, though a wider one would do; who is unknown is a number.
	for (const [uid, gid, mode, words] of [
		[NOBODY.uid, 0, 0o426, /owner nobody, group root\); user nobody needs .* for its owner there/],
		[60999, NOBODY.gid, 0o642, /owner uid 60999, group \w+\); user nobody needs .* for its group there/],
		[0, 60999, 0o660, /owner root, group 60999\); user nobody needs .* for others there/],
	]) {
		fs.chownSync(socket, uid, gid);
		fs.chmodSync(socket, mode);
		r = user(dir, 'check', socket);
		same([uid, gid, r.status], [uid, gid, 1]);
		matches(r.stderr, words);
	}
	fs.chmodSync(socket, 0o640);
	fs.chownSync(socket, NOBODY.uid, 0);
	same(user(dir, 'check', socket).status, 0);
	fs.chmodSync(run_, 0o700);
	r = user(dir, 'check', socket);
	same(r.status, 1);
	matches(r.stderr, /the directory \S.*\/run may not be searched \(mode 0700, owner root, group root\); user nobody needs search permission \(x\) for others there, or root/);
	fs.symlinkSync(socket, path.join(dir, 'link'));
	matches(user(dir, 'check', path.join(dir, 'link')).stderr, /link to .*, where you may not look/);
});

test('several paths: one that fails is enough', async (dir) => {
	const socket = path.join(dir, 's');
	await peer(['listen', 'stream', socket]);
	const r = run(['check', path.join(dir, 'none'), socket]);
	same([r.status, r.out.trim().split('\n').length, r.err.trim().split('\n').length], [1, 1, 1]);
});

test('--call asks, and the answer counts', async (dir, serve) => {
	const s = await serve();
	let r = run(['check', '--call', 'get_global_thresholds', s.socket]);
	same([r.status, /"interactive"/.test(r.out)], [0, true]);
	r = run(['check', '--call', 'get_global_thresholds', 'gateway.sock'], { cwd: dir });
	same(r.status, 0);
	r = run(['check', '--call', 'no_such_method', s.socket]);
	same(r.status, 1);
	matches(r.err, /does not answer the call/);
	const silent = path.join(dir, 'full');
	await peer(['full', 'stream', silent]);
	r = run(['check', '--timeout', '0.2', '--call', 'x', silent]);
	same(r.status, 1);
});

test('wrong usage', () => {
	for (const [args, why] of [
		[[], /takes PATH/],
		[['--timeout', '0', 'x'], /--timeout 0: seconds, more than 0/],
		[['--timeout', 'inf', 'x'], /--timeout inf/],
		[['--timeout', '1e3', 'x'], /--timeout 1e3/],
		[['--timeout'], /'--timeout' is no option, or lacks its value/],
		[['--call', '', 'x'], /--call '': the name of a method/],
		[['--call', 'm', '@x'], /abstract/],
		[['--nope'], /'--nope' is no option/],
	]) {
		const r = run(['check', ...args]);
		same(r.status, 2);
		matches(r.err, why);
	}
});

await main();
