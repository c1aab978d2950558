// kedge rescue: a lost socket gets its path back, and nothing is left when its owner goes.
import fs from 'node:fs';
import path from 'node:path';
import { spawnSync } from 'node:child_process';
import { KEDGE, NOBODY, PEER, ROOT, echo, main, matches, peer, run, same, skip, start, startKedge, test, until } from './lib.mjs';

const names = (dir) => fs.readdirSync(dir).sort();

// Root in a container may lack CAP_NET_ADMIN, which an inode without a name takes.
const CAP_NET_ADMIN = 12n;
const MIGHTY = ROOT && ((BigInt('0x' + /^CapEff:\t(\w+)/m.exec(
	fs.readFileSync('/proc/self/status', 'utf8'))[1]) >> CAP_NET_ADMIN) & 1n) === 1n;
const needRoot = () => MIGHTY || skip('needs root with CAP_NET_ADMIN');

async function rescue(...args) {
	const r = startKedge(['rescue', ...args]);
	await until(() => r.out.includes(': rescued by ') || r.status !== null, 'a rescue');
	if (r.status !== null) throw new Error(`ended with ${r.status}: ${r.err}`);
	return r;
}

// A daemon whose path is lost. A second name keeps the inode linkable.
async function lost(dir, { type = 'stream', mode = 0o600, keep = false, how = 'listen', ...options } = {}) {
	const socket = path.join(dir, 's');
	const p = await peer([how, type, socket], options);
	fs.chmodSync(socket, mode);
	if (keep) fs.linkSync(socket, path.join(dir, 'other name'));
	fs.unlinkSync(socket);
	return { socket, p };
}

// What another user gets: the tests' own node need not be for it to run.
const asNobody = (dir, socket) => {
	fs.chmodSync(dir, 0o755);
	return spawnSync(KEDGE_COPY(dir), ['check', socket], { ...NOBODY, encoding: 'utf8' });
};
const KEDGE_COPY = (dir) => {
	const copy = path.join(dir, 'kedge');
	if (!fs.existsSync(copy)) fs.copyFileSync(KEDGE, copy);
	return copy;
};

test('by link, where a name is left; gone with its owner', async (dir) => {
	const { socket, p } = await lost(dir, { keep: true });
	const r = await rescue(socket);
	matches(r.out, /: rescued by link \(.*\); until peer \(pid \d+\) ends$/m);
	same(await echo(socket), 'hello');
	same(fs.statSync(socket).ino, fs.statSync(path.join(dir, 'other name')).ino);
	await p.kill();
	same(await r.ended(), 0);
	same(names(dir), ['other name']);
});

test('by symlink, where no name is left, for each type', async (dir) => {
	needRoot();
	for (const type of ['stream', 'seqpacket', 'datagram']) {
		const { socket, p } = await lost(dir, { type });
		const r = await rescue(socket);
		matches(r.out, /rescued by symlink/);
		same(run(['check', socket]).out, `${socket}: a client can connect (${type})\n`);
		if (type === 'stream') same(await echo(socket), 'hello');
		same(run(['rescue', socket]).out, `${socket}: reachable: nothing to rescue\n`);
		await p.kill();
		same(await r.ended(), 0);
		same(names(dir), []);
	}
});

test('a symlink serves the user whose socket it is', async (dir) => {
	needRoot();
	fs.chmodSync(dir, 0o777);
	fs.copyFileSync(PEER, path.join(dir, 'peer'));
	const own = path.join(dir, 'own');
	fs.mkdirSync(own);
	fs.chownSync(own, NOBODY.uid, NOBODY.gid);
	const p = start(path.join(dir, 'peer'), ['listen', 'stream', path.join(own, 's')], NOBODY);
	await until(() => p.out.includes('ready') || p.status !== null, 'a daemon of nobody');
	fs.chmodSync(path.join(own, 's'), 0o600);
	fs.unlinkSync(path.join(own, 's'));
	const r = await rescue(path.join(own, 's'));
	matches(r.out, /rescued by symlink/);
	same(asNobody(dir, path.join(own, 's')).status, 0);
	same(await r.kill('SIGTERM'), 0);
	same(names(own), []);
	await p.kill();
});

test('by proxy, where others may connect: bytes, halves, large answers', async (dir) => {
	needRoot();
	const { socket, p } = await lost(dir, { mode: 0o666 });
	const r = await rescue(socket);
	matches(r.out, /rescued by proxy/);
	same(fs.statSync(socket).mode & 0o777, 0o666);
	same(await Promise.all(Array.from({ length: 50 }, (_, i) => echo(socket, `word ${i}`))),
		Array.from({ length: 50 }, (_, i) => `word ${i}`));
	same(asNobody(dir, socket).status, 0);
	await p.kill();
	same(await r.ended(), 0);
	same(names(dir), ['kedge']);
});

test('a proxy moves megabytes, and keeps the halves of a connection apart', async (dir) => {
	needRoot();
	const { socket, p } = await lost(dir, { mode: 0o666 });
	const r = await rescue(socket);
	const sent = Buffer.alloc(8 << 20, 'kedge keeps sockets reachable ');
	const net = await import('node:net');
	const got = await new Promise((done, fail) => {
		const parts = [];
		const c = net.connect({ path: socket, allowHalfOpen: true });
		c.on('data', (d) => parts.push(d));
		c.on('end', () => done(Buffer.concat(parts)));
		c.on('error', fail);
		// All that was sent comes back although this side is closed already.
		c.end(sent);
	});
	same(got.equals(sent), true);
	await r.kill('SIGTERM');
	await p.kill();
});

test('a proxied server sees the client\'s user, and descriptors arrive', async (dir) => {
	needRoot();
	const socket = path.join(dir, 's');
	const python = spawnSync('python3', ['-c', 'import socket; socket.send_fds']);
	if (python.status !== 0) skip('no python3 with send_fds here');
	const server = start('python3', ['-uc', `
import socket, struct, sys, os
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(5); os.chmod(sys.argv[1], 0o666)
print('ready')
while True:
    c, _ = s.accept()
    pid, uid, gid = struct.unpack('3i', c.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    data, fds, _, _ = socket.recv_fds(c, 100, 4)
    c.sendall(f'{uid} {gid} {data.decode()} {os.read(fds[0], 100).decode()}'.encode()); c.close()
`, socket]);
	await until(() => server.out.includes('ready') || server.status !== null, 'a server');
	fs.unlinkSync(socket);
	const r = await rescue(socket);
	fs.chmodSync(dir, 0o755);
	const client = spawnSync('python3', ['-c', `
import socket, sys, os
a, b = os.pipe(); os.write(b, b'through a pipe')
c = socket.socket(socket.AF_UNIX); c.connect(sys.argv[1]); socket.send_fds(c, [b'hi'], [a])
print(c.recv(100).decode())
`, socket], { ...NOBODY, encoding: 'utf8' });
	same(client.stdout, `${NOBODY.uid} ${NOBODY.gid} hi through a pipe\n`);
	await r.kill('SIGTERM');
	await server.kill();
});

test('a proxy of messages and datagrams keeps their boundaries', async (dir) => {
	needRoot();
	if (spawnSync('python3', ['--version']).status !== 0) skip('no python3 here');
	const client = (code, socket) => spawnSync('python3', ['-c',
		`import socket, sys\nc = socket.socket(socket.AF_UNIX, socket.${code}`, socket], { encoding: 'utf8' });
	let { socket, p } = await lost(dir, { type: 'seqpacket', mode: 0o666 });
	let r = await rescue(socket);
	const said = client(`SOCK_SEQPACKET); c.connect(sys.argv[1]); c.send(b'one'); c.send(b'x' * 3000)
print(len(c.recv(9999)), len(c.recv(9999)))`, socket);
	same(said.stdout, '3 3000\n');
	await r.kill('SIGTERM');
	await p.kill();

	({ socket, p } = await lost(dir, { type: 'datagram', mode: 0o666 }));
	r = await rescue(socket);
	matches(r.out, /rescued by proxy/);
	client(`SOCK_DGRAM); c.connect(sys.argv[1]); c.send(b'one'); c.send(b''); c.send(b'two')`, socket);
	await until(() => p.out === 'ready\ngot one\ngot \ngot two\n', 'three datagrams');
	await p.kill();
	same(await r.ended(), 0);
	same(names(dir), []);
});

test('lost again it is made again; taken by somebody it is left to them', async (dir) => {
	const { socket, p } = await lost(dir, { keep: true });
	const r = await rescue(socket);
	fs.unlinkSync(socket);
	await until(() => fs.existsSync(socket), 'the path again');
	same(await echo(socket), 'hello');
	fs.writeFileSync(path.join(dir, 'file'), 'precious');
	fs.renameSync(path.join(dir, 'file'), socket);
	same(await r.ended(), 0);
	matches(r.out, /somebody has taken the path: left to them/);
	same(fs.readFileSync(socket, 'utf8'), 'precious');
	await p.kill();
});

test('all that a process has lost, and nothing where one cannot be had', async (dir) => {
	const { socket, p } = await lost(dir, { keep: true });
	const r = await rescue('--pid', String(p.pid));
	same(await echo(socket), 'hello');
	matches(run(['rescue', '--pid', String(p.pid)]).out, /no path is lost, of 1: nothing to rescue/);
	await r.kill('SIGINT');
	same(names(dir), ['other name']);
	await p.kill();
});

test('--dry-run changes nothing', async (dir) => {
	const { socket, p } = await lost(dir, { keep: true });
	const r = run(['rescue', '--dry-run', socket]);
	same(r.status, 0);
	matches(r.out, /^\S.*\/s: would be rescued by link \(/);
	same(names(dir), ['other name']);
	await p.kill();
});

test('--background returns once it works', async (dir) => {
	const { socket, p } = await lost(dir, { keep: true });
	same(run(['rescue', '--background', socket]).status, 0);
	same(await echo(socket), 'hello');
	await p.kill();
	await until(() => !fs.existsSync(socket), 'the path goes');
	const failed = run(['rescue', '--background', socket]);
	same(failed.status, 1);
});

test('killed -9: the next one knows the link that was left', async (dir) => {
	needRoot();
	const { socket, p } = await lost(dir);
	const first = await rescue(socket);
	await first.kill('SIGKILL');
	await until(() => run(['check', socket]).status === 1, 'the keeper is gone');
	same(fs.lstatSync(socket).isSymbolicLink(), true);
	const second = await rescue(socket);
	same(await echo(socket), 'hello');
	await second.kill('SIGTERM');
	same(names(dir), []);
	await p.kill();
});

test('a listener that another process still holds is kept', async (dir) => {
	const socket = path.join(dir, 's');
	if (spawnSync('python3', ['--version']).status !== 0) skip('no python3 here');
	// Two hold it; the first ends, the second, its child, serves on.
	const p = start('python3', ['-uc', `
import os, socket, sys, signal
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(5)
child = os.fork()
if child:
    print('child', child); os.wait()
signal.alarm(120)
os.close(1); os.close(2)
while True:
    c, _ = s.accept(); c.sendall(c.recv(100)); c.close()
`, socket]);
	await until(() => /child \d+\n/.test(p.out), 'two processes');
	const child = Number(/child (\d+)/.exec(p.out)[1]);
	fs.linkSync(socket, path.join(dir, 'n'));
	fs.unlinkSync(socket);
	const r = await rescue(socket);
	await p.kill();
	same(await echo(socket), 'hello');
	process.kill(child, 'SIGKILL');
	same(await r.ended(), 0);
	same(names(dir), ['n']);
});

test('what cannot be rescued, and why', async (dir) => {
	const socket = path.join(dir, 's');
	const refused = (args, status, why) => {
		const r = run(['rescue', ...args]);
		matches(r.err, why);
		same([r.status, r.err.trim().split('\n').length], [status, 1]);
	};
	refused([socket], 1, /nobody listens on what was here: start the daemon/);
	refused([dir], 1, /is a directory, no socket/);
	fs.writeFileSync(path.join(dir, 'file'), 'precious');
	refused([path.join(dir, 'file')], 1, /\/file is a file, no socket/);
	const p = await peer(['listen', 'stream', socket]);
	same(run(['rescue', socket]).out, `${socket}: reachable: nothing to rescue\n`);
	fs.renameSync(socket, path.join(dir, 'away'));
	fs.writeFileSync(socket, 'precious');
	refused([socket], 1, /something else stands there, and kedge replaces nothing/);
	refused(['--pid', String(p.pid)], 1, /something else stands there/);
	same(fs.readFileSync(socket, 'utf8'), 'precious');
	const inside = path.join(dir, 'd');
	fs.mkdirSync(inside);
	const q = await peer(['listen', 'stream', path.join(inside, 's')]);
	fs.renameSync(inside, path.join(dir, 'e'));
	if (MIGHTY) refused([path.join(inside, 's')], 1, /its directory does not exist: make it again/);
	await q.kill();
	await p.kill();
	refused(['--pid', String(p.pid)], 1, /there is no such process/);
	refused(['@name'], 2, /an abstract name: it is no path/);
	refused([], 2, /takes one PATH, or --pid PID/);
	refused(['a', 'b'], 2, /takes one PATH/);
	refused([''], 2, /the path is empty/);
	refused(['--pid', '0'], 2, /--pid 0: the number of a process/);
	refused(['--nope', 'x'], 2, /'--nope' is no option/);
});

test('without root: a link is made, and the rest is explained', async (dir) => {
	needRoot();
	fs.chmodSync(dir, 0o777);
	for (const file of [KEDGE, PEER]) fs.copyFileSync(file, path.join(dir, path.basename(file)));
	const socket = path.join(dir, 's');
	const p = start(path.join(dir, 'peer'), ['listen', 'stream', socket], NOBODY);
	await until(() => p.out.includes('ready') || p.status !== null, 'a daemon of nobody');
	fs.unlinkSync(socket);
	const r = spawnSync(path.join(dir, 'kedge'), ['rescue', socket], { ...NOBODY, encoding: 'utf8' });
	same(r.status, 1);
	matches(r.stderr, /no name of the socket is left beside it, and without one it takes root/);
	const theirs = spawnSync(path.join(dir, 'kedge'), ['rescue', '--pid', String(process.pid)],
		{ ...NOBODY, encoding: 'utf8' });
	same(theirs.status, 1);
	matches(theirs.stderr, /may not be looked into \(run as root\)/);
	await p.kill();
});

await main();
