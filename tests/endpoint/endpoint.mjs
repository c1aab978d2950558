// Where the sockets are: the rules of the protocol, as a client in node has them, against kedge.
import crypto from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { spawn, spawnSync } from 'node:child_process';
import { KEDGE, call, connect, kedge, main, same, test, until } from '../gateway/lib.mjs';

const RESOLVE = path.resolve(process.argv[3]);
const BYTES_MAX = 107;

const fits = (p) => Buffer.byteLength(p) <= BYTES_MAX;

// os.tmpdir() of an environment, and the four rules, in the words of the protocol alone.
function temporary(env) {
	const found = env.TMPDIR || env.TMP || env.TEMP || '/tmp';
	return found.length > 1 && found.endsWith('/') ? found.slice(0, -1) : found;
}

function resolve(name, env, given = env.VELLUM_WORKSPACE_DIR) {
	const own = env[`${name.toUpperCase().replaceAll('-', '_')}_IPC_SOCKET_DIR`]?.trim();
	if (own) return [1, path.join(own, `${name}.sock`)];
	const workspace = given?.trim() || (env.HOME && path.join(env.HOME, '.vellum/workspace'));
	if (!workspace) return null;
	const plain = path.join(workspace, `${name}.sock`);
	if (fits(plain)) return [2, plain];
	const hash = crypto.createHash('sha256').update(plain).digest('hex').slice(0, 12);
	const hashed = path.join(temporary(env), 'vellum-ipc', `${hash}-${name}.sock`);
	return fits(hashed) ? [3, hashed] : [4, path.join(temporary(env), `v-${hash}.sock`)];
}

// Numbers from a seed, so that a failure comes again.
function random(seed) {
	let state = seed;
	return (n) => {
		state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
		return Math.floor((state / 2 ** 32) * n);
	};
}

const PIECES = ['/', '//', '.', '..', '/./', '/../', 'a', 'bc', 'é', '日本', '😀', ' ', 'x'.repeat(30),
	'y'.repeat(85), '-', 'é'.repeat(20), '...', '/.a', 'a..', '%'];
const BLANKS = ['', '', '', ' ', '  ', '\v', '\f\r', '\u00a0', '\ufeff', '\u2003', '\u3000', '\u2028', '\u200b'];

function text(pick) {
	let made = pick(2) ? '/' : '';
	for (let n = pick(9); n > 0; n--) made += PIECES[pick(PIECES.length)];
	return BLANKS[pick(BLANKS.length)] + made + BLANKS[pick(BLANKS.length)];
}

test('kedge resolves as clients do, whatever the environment is', async () => {
	const pick = random(20261125);
	const questions = [], wanted = [];
	const names = ['gateway', 'assistant', 'assistant-skill', 'a', 'a-', 'a--1', `z${'9'.repeat(63)}`];
	for (let i = 0; i < 20000; i++) {
		const name = names[pick(names.length)];
		const own = `${name.toUpperCase().replaceAll('-', '_')}_IPC_SOCKET_DIR`;
		const env = {};
		for (const variable of ['VELLUM_WORKSPACE_DIR', 'HOME', 'TMPDIR', 'TMP', 'TEMP', own])
			if (pick(variable === own ? 4 : 2) === 0) env[variable] = pick(5) ? text(pick) : BLANKS[pick(BLANKS.length)];
		const given = pick(3) ? undefined : `/w${text(pick)}`;
		const fields = [name, given ?? '-'];
		for (const variable of ['VELLUM_WORKSPACE_DIR', 'HOME', 'TMPDIR', 'TMP', 'TEMP', own])
			fields.push(variable in env ? `${variable}=${env[variable]}` : variable);
		questions.push(fields.join('\t'));
		wanted.push(resolve(name, env, given));
	}
	const r = spawnSync(RESOLVE, { input: questions.join('\n') + '\n', encoding: 'utf8', maxBuffer: 1 << 28 });
	const got = r.stdout.split('\n');
	const seen = new Set();
	for (const [i, rule] of wanted.entries()) {
		seen.add(rule?.[0]);
		same([questions[i], got[i].replace(/^error.*/, 'error')], [questions[i], rule?.join('\t') ?? 'error']);
	}
	// Every rule was met, and so was the environment that says nothing.
	same([...seen].sort(), [1, 2, 3, 4, undefined]);
});

const silent = { ...process.env };
for (const name of ['VELLUM_WORKSPACE_DIR', 'GATEWAY_IPC_SOCKET_DIR', 'ASSISTANT_SKILL_IPC_SOCKET_DIR'])
	delete silent[name];

// Serve where the environment says; the socket must be where a client with the same one looks.
async function serveAt(names, args, env, cwd, run) {
	const child = spawn(KEDGE, ['serve', ...names, ...args], { env, cwd });
	let log = '', status = null;
	child.stdout.on('data', (d) => (log += d));
	child.stderr.on('data', (d) => (log += d));
	child.on('close', (code, signal) => (status = signal ?? code));
	try {
		await until(() => status !== null || log.split('listening at').length > names.length, 'a start');
		if (status !== null) throw new Error(`ended at its start: ${log}`);
		await run();
	} finally {
		child.kill('SIGTERM');
		await until(() => status !== null, 'the end');
	}
}

test('a workspace reached by a symlink: clients hash its text, not what it leads to', async (dir) => {
	const real = path.join(dir, 'real');
	fs.mkdirSync(real);
	const tmp = path.join(os.tmpdir(), `k${process.pid}`);
	for (const link of [path.join(dir, 'link'), path.join(dir, 'l'.repeat(100))]) {
		fs.symlinkSync(real, link);
		const env = { ...silent, TMPDIR: tmp, VELLUM_WORKSPACE_DIR: ` ${link}/ ` };
		for (const args of [[], ['--workspace', link]])
			await serveAt(['gateway', 'assistant-skill'], args, env, dir, async () => {
				const [, gateway] = resolve('gateway', env);
				const [, skill] = resolve('assistant-skill', env);
				same((await call(gateway, 'echo')).result, { echoed: null });
				same((await call(skill, 'host.platform.workspaceDir')).result, link);
				same((await call(skill, 'host.platform.vellumRoot')).result, dir);
			});
	}
	fs.rmSync(tmp, { recursive: true, force: true });
});

test('dots are resolved in the text, though a symlink stands before them', async (dir) => {
	fs.mkdirSync(path.join(dir, 'far', 'away'), { recursive: true });
	fs.mkdirSync(path.join(dir, 'w'));
	fs.symlinkSync(path.join(dir, 'far', 'away'), path.join(dir, 'link'));
	const env = { ...silent, VELLUM_WORKSPACE_DIR: `${dir}/link//./../w` };
	await serveAt(['gateway'], [], env, dir, async () => {
		same(resolve('gateway', env)[1], path.join(dir, 'w', 'gateway.sock'));
		same((await call(path.join(dir, 'w', 'gateway.sock'), 'echo')).result, { echoed: null });
	});
});

test('a relative workspace begins at the working directory', async (dir) => {
	fs.mkdirSync(path.join(dir, 'w'));
	await serveAt(['gateway', 'assistant-skill'], ['--workspace', './w/../w/'], silent, dir, async () => {
		same((await call(path.join(dir, 'w', 'gateway.sock'), 'echo')).result, { echoed: null });
		same((await call(path.join(dir, 'w', 'assistant-skill.sock'), 'host.platform.workspaceDir')).result,
			path.join(dir, 'w'));
	});
});

test('without a word of it the workspace is ~/.vellum/workspace', async (dir) => {
	const workspace = path.join(dir, '.vellum', 'workspace');
	fs.mkdirSync(workspace, { recursive: true });
	for (const VELLUM_WORKSPACE_DIR of [undefined, '', ' \u00a0 ']) {
		const env = { ...silent, HOME: dir };
		if (VELLUM_WORKSPACE_DIR !== undefined) env.VELLUM_WORKSPACE_DIR = VELLUM_WORKSPACE_DIR;
		await serveAt(['gateway'], [], env, '/', async () =>
			same((await call(path.join(workspace, 'gateway.sock'), 'echo')).result, { echoed: null }));
	}
});

test('a directory of its own is made, with mode 0700; what stands keeps its mode', async (dir) => {
	const outer = path.join(dir, 'outer');
	fs.mkdirSync(outer);
	fs.chmodSync(outer, 0o751);
	for (const umask of ['000', '027', '077']) {
		const own = path.join(outer, `made${umask}`, 'deep');
		const script = `umask ${umask}; exec "$0" "$@"`;
		const child = spawn('sh', ['-c', script, KEDGE, 'serve', 'gateway', '--workspace', dir], {
			env: { ...silent, GATEWAY_IPC_SOCKET_DIR: ` ${own} ` },
		});
		let log = '', status = null;
		child.stdout.on('data', (d) => (log += d));
		child.stderr.on('data', (d) => (log += d));
		child.on('close', (code) => (status = code));
		await until(() => log.includes('listening at') || status !== null, 'a start');
		same([umask, status, log.includes('error')], [umask, null, false]);
		const mode = (p) => fs.statSync(p).mode & 0o777;
		same([mode(path.dirname(own)), mode(own), mode(outer)], [0o700, 0o700, 0o751]);
		same(mode(path.join(own, 'gateway.sock')), 0o600);
		(await connect(path.join(own, 'gateway.sock'))).destroy();
		child.kill('SIGTERM');
		await until(() => status !== null, 'the end');
		same([status, fs.readdirSync(own)], [0, []]);
		fs.rmSync(path.join(dir, 'gateway.db'), { force: true });
	}
});

test('workspaces that cannot be: one line, status 2', async (dir) => {
	fs.writeFileSync(path.join(dir, 'file'), '');
	const rows = [
		[['--workspace', ' '], {}, `the workspace ' ': must not be blank`],
		[['--workspace', ''], {}, `--workspace '': must not be empty`],
		[['--workspace', `${dir}/none`], {}, `the workspace ${dir}/none: No such file or directory`],
		[['--workspace', `${dir}/file`], {}, `the workspace ${dir}/file: it is not a directory`],
		[['--workspace', `/${'w/'.repeat(2030)}`], {}, '4060 bytes, no more than 4032 are allowed'],
		[[], { HOME: '' }, 'no workspace: neither VELLUM_WORKSPACE_DIR nor HOME is set'],
		[[], { VELLUM_WORKSPACE_DIR: `${dir}/none` }, `${dir}/none`],
	];
	for (const [args, more, words] of rows) {
		const r = kedge(['serve', 'gateway', ...args], { env: { ...silent, ...more }, cwd: dir });
		same([words, r.status, r.stderr.split('\n').length, r.stderr.includes(words)], [words, 2, 2, true]);
	}
	same(fs.readdirSync(dir), ['file']);
});

main();
