// The gateway's database: of the product's own making, in use elsewhere, broken, full.
import fs from 'node:fs';
import path from 'node:path';
import { spawn, spawnSync } from 'node:child_process';
import { KEDGE, call, connect, kedge, main, removeAll, same, serve as serveIn, skip, test, until } from './lib.mjs';

const PYTHON = process.argv[3];
const ROOT = process.getuid() === 0;
const database = (dir) => path.join(dir, 'gateway.db');

// Run statements as another program would; what they find comes back.
function sql(dir, text) {
	const program = 'import sqlite3, sys, json; d = sqlite3.connect(sys.argv[1], isolation_level=None); ' +
		'print(json.dumps([d.execute(s).fetchall() for s in sys.argv[2].split(";") if s.strip()]))';
	const r = spawnSync(PYTHON, ['-c', program, database(dir), text], { encoding: 'utf8' });
	if (r.status !== 0) throw new Error(r.stderr);
	return JSON.parse(r.stdout);
}

const get = async (socket, conversationId) =>
	(await call(socket, 'get_conversation_threshold', { conversationId })).result;
const set = (socket, conversationId, threshold) =>
	call(socket, 'set_conversation_threshold', { conversationId, threshold });

test('tables that the product made: their rows count, their other columns stay', async (dir, serve) => {
	sql(dir, `create table auto_approve_thresholds(id integer primary key, interactive text, autonomous text,
		headless text, extra text);
		insert into auto_approve_thresholds values(1, 'weird', NULL, 'high', 'e');
		create table conversation_threshold_overrides(conversation_id text primary key,
		threshold text not null, updated_at text, more integer);
		insert into conversation_threshold_overrides values('a', 'odd', NULL, 1), ('b', 'low', NULL, 2);
		create table other(x); insert into other values(7)`);
	const { socket } = await serve();
	// NULL, and a word that is none of ours, count as not stored.
	same((await call(socket, 'get_global_thresholds')).result,
		{ interactive: 'medium', autonomous: 'low', headless: 'high' });
	same([await get(socket, 'a'), await get(socket, 'b')], [null, { threshold: 'low' }]);
	same((await set(socket, 'a', 'high')).result, { conversationId: 'a', threshold: 'high' });
	same((await call(socket, 'set_global_thresholds', { interactive: 'none' })).result.interactive, 'none');
	const [globals, conversations, other] = sql(dir, `select * from auto_approve_thresholds;
		select conversation_id, threshold, more from conversation_threshold_overrides order by 1; select * from other`);
	same(globals, [[1, 'none', null, 'high', 'e']]);
	same(conversations, [['a', 'high', 1], ['b', 'low', 2]]);
	same(other, [[7]]);
	const [[[when]]] = sql(dir, `select updated_at from conversation_threshold_overrides where conversation_id = 'a'`);
	same(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(when), true);
	// What another process writes is seen.
	sql(dir, `update auto_approve_thresholds set headless = 'low';
		update conversation_threshold_overrides set threshold = 'none' where conversation_id = 'b'`);
	same((await call(socket, 'get_global_thresholds')).result.headless, 'low');
	same(await get(socket, 'b'), { threshold: 'none' });
});

test('the tables are those of the protocol', async (dir, serve) => {
	const server = await serve();
	await server.end();
	const [thresholds, overrides] = sql(dir, `select name, lower(type), "notnull", pk from
		pragma_table_info('auto_approve_thresholds'); select name, lower(type), "notnull", pk from
		pragma_table_info('conversation_threshold_overrides')`);
	same(thresholds, [['id', 'integer', 0, 1], ['interactive', 'text', 0, 0], ['autonomous', 'text', 0, 0],
		['headless', 'text', 0, 0]]);
	same(overrides, [['conversation_id', 'text', 0, 1], ['threshold', 'text', 1, 0], ['updated_at', 'text', 0, 0]]);
});

test('ids are text: NULs, blanks, long ones', async (dir, serve) => {
	const { socket } = await serve();
	for (const id of ['\0', 'a\0b', 'a', ' ', 'é😀', 'x'.repeat(100000), "'; drop table x; --"]) {
		same(await get(socket, id), null);
		same((await set(socket, id, 'high')).result, { conversationId: id, threshold: 'high' });
		same(await get(socket, id), { threshold: 'high' });
	}
});

// Another process holds the database until the function that comes back is called.
async function hold(dir, how) {
	const holder = spawn(PYTHON, ['-c', 'import sqlite3, sys; d = sqlite3.connect(sys.argv[1], isolation_level=None);' +
		'd.execute("begin " + sys.argv[2]); print("held", flush=True); sys.stdin.read()', database(dir), how]);
	let held = '';
	holder.stdout.on('data', (d) => (held += d));
	await until(() => held.includes('held'), 'the lock');
	return async () => {
		holder.stdin.end();
		await until(() => holder.exitCode !== null, 'the lock is let go');
	};
}

test('locked at the start: that is not the caller\'s mistake', async (dir) => {
	sql(dir, 'create table x(y)');
	const letGo = await hold(dir, 'exclusive');
	const r = kedge(['serve', 'gateway', '--workspace', dir]);
	await letGo();
	same([r.status, r.stderr.includes(`${database(dir)}: database is locked`)], [1, true]);
	same(fs.readdirSync(dir), ['gateway.db']);
});

test('locked by another process: reads go on, a write is refused, and later ones work', async (dir, serve) => {
	const { socket } = await serve();
	await set(socket, 'c', 'low');
	const letGo = await hold(dir, 'immediate');
	// A machine that stands still for as long as the write waits shows nothing: then again.
	let refused, early = false;
	for (let i = 0; i < 5 && !early; i++) {
		refused = null;
		const written = set(socket, 'd', 'low').then((answer) => (refused = answer));
		same(await get(socket, 'c'), { threshold: 'low' });
		same((await call(socket, 'get_global_thresholds')).result.headless, 'none');
		early = refused === null;
		await written;
	}
	same(early, true);
	// On one connection as well, whose end of input drops none of its answers.
	const c = await connect(socket);
	const line = (id, method, params) => JSON.stringify({ id, method, params }) + '\n';
	c.end(line('w', 'set_conversation_threshold', { conversationId: 'd', threshold: 'low' }) +
		line('own', 'get_conversation_threshold', { conversationId: 'd' }) +
		line('other', 'get_conversation_threshold', { conversationId: 'c' }) + line('e', 'echo'));
	await until(() => c.over, 'all answers');
	const answers = c.text.split('\n').slice(0, -1).map((l) => JSON.parse(l));
	// What is asked after the write waits for it, and nothing else does.
	same(answers.map((a) => a.id), ['other', 'e', 'w', 'own']);
	same([answers[0].result, answers[2].statusCode], [{ threshold: 'low' }, 500]);
	same([refused.statusCode, refused.errorCode], [500, 'INTERNAL_ERROR']);
	same(refused.error, 'The threshold cannot be stored: database is locked');
	await letGo();
	same((await set(socket, 'd', 'low')).result, { conversationId: 'd', threshold: 'low' });
});

test('more writes than may be in flight: none is refused, and a push need not wait for them', async (dir, serve) => {
	const { socket } = await serve();
	await set(socket, 'c', 'low');
	const letGo = await hold(dir, 'immediate');
	const c = await connect(socket);
	const ids = Array.from({ length: 1500 }, (_, i) => `${i}`);
	c.write(ids.map((id) => JSON.stringify({ id, method: 'set_conversation_threshold',
		params: { conversationId: id, threshold: 'high' } }) + '\n').join(''));
	fs.writeFileSync(path.join(dir, 'feature-flags.json'), '{"version":1,"values":{"f":true}}');
	await until(() => c.text.includes('\n'), 'a push');
	await letGo();
	c.end('{"id":"last","method":"echo"}\n');
	await until(() => c.over, 'all answers');
	const got = c.text.split('\n').slice(0, -1).map((l) => JSON.parse(l));
	const answers = got.filter((a) => 'id' in a);
	same(got.filter((a) => 'event' in a), [{ event: 'feature_flags_changed' }]);
	same(answers.map((a) => a.id).sort(), [...ids, 'last'].sort());
	// Where the machine stood still for as long as a write waits, the first of them failed.
	const odd = answers.filter((a) => a.error && a.error !== 'The threshold cannot be stored: database is locked');
	same([odd, got.findIndex((a) => a.event) === 0 || answers.some((a) => a.error)], [[], true]);
	same(await get(socket, '1499'), { threshold: 'high' });
});

test('the directory goes: an answered write went with it, to a file that had no name', async (dir) => {
	const workspace = path.join(dir, 'w');
	fs.mkdirSync(workspace);
	let server = await serveIn(workspace);
	const { socket } = server;
	const losses = {
		removed: () => removeAll(workspace),
		moved: () => fs.renameSync(workspace, `${workspace}.away`),
		'moved from above': () => fs.renameSync(dir, `${dir}.away`),
		'the database alone': () => fs.unlinkSync(database(workspace)),
	};
	for (const [how, lose] of Object.entries(losses)) {
		const before = server.log.length;
		await set(socket, 'old', 'high');
		lose();
		await until(() => fs.existsSync(socket), 'the path comes back');
		const get1 = await until(() => get(socket, 'old').then((t) => ({ t }), () => null), 'an answer');
		same([how, get1.t], [how, null]);
		same((await set(socket, how, 'low')).result, { conversationId: how, threshold: 'low' });
		same(server.log.slice(before).includes(`${database(workspace)} was removed or moved`), true);
		// It is where the next server finds it, whatever became of this one.
		await server.end('SIGKILL');
		server = await serveIn(workspace);
		same([how, await get(socket, how)], [how, { threshold: 'low' }]);
		same((await call(socket, 'get_global_thresholds')).result.headless, 'none');
		// What was moved away is as it was.
		if (how === 'moved') same(sql(`${workspace}.away`, 'select conversation_id from conversation_threshold_overrides ' +
			'order by 1'), [[['old'], ['removed']]]);
	}
	same(await server.end(), 0);
	fs.rmSync(`${dir}.away`, { recursive: true, force: true });
});

test('there is no room for a database: that is said, and it works when there is', async (dir) => {
	const workspace = path.join(dir, 'w');
	fs.mkdirSync(workspace);
	const { socket } = await serveIn(workspace, '--socket', path.join(dir, 'g.sock'));
	const client = path.join(dir, 'g.sock');
	same((await set(client, 'c', 'high')).result.threshold, 'high');
	fs.rmSync(workspace, { recursive: true });
	const refused = await set(client, 'c', 'low');
	same([socket !== client, refused.statusCode, refused.error.startsWith('The threshold cannot be stored: ')], [true, 500, true]);
	const unread = await call(client, 'get_global_thresholds');
	same([unread.statusCode, unread.error.startsWith('The thresholds cannot be read: ')], [500, true]);
	fs.mkdirSync(workspace);
	same((await set(client, 'c', 'low')).result, { conversationId: 'c', threshold: 'low' });
	same(await get(client, 'c'), { threshold: 'low' });
});

function refusedAsItIs(dir, words, options = {}) {
	const before = fs.lstatSync(database(dir)).isFile() ? fs.readFileSync(database(dir)) : null;
	const { argv = [KEDGE], ...more } = options;
	const args = [...argv.slice(1), 'serve', 'gateway', '--workspace', dir];
	const r = spawnSync(argv[0], args, { encoding: 'utf8', timeout: 60000, ...more });
	const errors = r.stderr.split('\n').filter((l) => l.startsWith('kedge: '));
	same([words, r.status, errors.length], [words, 2, 1]);
	for (const word of [database(dir), words])
		if (!errors[0].includes(word)) throw new Error(`${word} is not in: ${errors[0]}`);
	same(fs.readdirSync(dir), ['gateway.db']);
	if (before) same(fs.readFileSync(database(dir)).equals(before), true);
}

test('tables that do not fit are left as they are: the file was changed before that showed', async (dir) => {
	const rows = {
		'no column named interactive': 'create table auto_approve_thresholds(id integer primary key, x)',
		'no column named updated_at': `create table conversation_threshold_overrides(
			conversation_id text primary key, threshold text)`,
		'PRIMARY KEY': 'create table conversation_threshold_overrides(conversation_id, threshold, updated_at)',
		view: `create view conversation_threshold_overrides as
			select 1 as conversation_id, 2 as threshold, 3 as updated_at`,
	};
	for (const [words, text] of Object.entries(rows)) {
		fs.rmSync(database(dir), { force: true });
		sql(dir, text);
		refusedAsItIs(dir, words);
	}
});

test('files that are none of ours are left as they are', async (dir) => {
	sql(dir, 'create table x(y); pragma user_version = 2');
	refusedAsItIs(dir, 'has schema version 2, this kedge knows 1');
	const bytes = fs.readFileSync(database(dir));
	fs.writeFileSync(database(dir), Buffer.concat([bytes.subarray(0, 100), Buffer.alloc(bytes.length - 100, 0xff)]));
	refusedAsItIs(dir, 'malformed');
	fs.writeFileSync(database(dir), 'no database at all'.repeat(100));
	refusedAsItIs(dir, 'file is not a database');
	fs.rmSync(database(dir));
	fs.mkdirSync(database(dir));
	refusedAsItIs(dir, 'unable to open database file');
	fs.rmdirSync(database(dir));
	fs.symlinkSync(path.join(dir, 'none', 'at all'), database(dir));
	refusedAsItIs(dir, 'unable to open database file');
});

test('a file that may not be read or written', async (dir) => {
	const rows = [[0o000, 'unable to open database file'], [0o444, 'attempt to write a readonly database']];
	const argv = ROOT ? ['setpriv', '--reuid', '65534', '--clear-groups', KEDGE] : [KEDGE];
	if (ROOT && spawnSync(argv[0], [...argv.slice(1), '--version']).status !== 0) skip('nobody may not run the command here');
	sql(dir, 'create table x(y)');
	for (const [mode, words] of rows) {
		fs.chmodSync(database(dir), mode);
		if (ROOT) fs.chownSync(dir, 65534, 65534);
		const before = fs.lstatSync(database(dir));
		const r = spawnSync(argv[0], [...argv.slice(1), 'serve', 'gateway', '--workspace', dir], { encoding: 'utf8' });
		same([words, r.status, r.stderr.includes(`${database(dir)}: ${words}`)], [words, 2, true]);
		same(fs.lstatSync(database(dir)).mtimeMs, before.mtimeMs);
		same(fs.readdirSync(dir), ['gateway.db']);
	}
	fs.chmodSync(database(dir), 0o644);
});

test('a full disk: a clear error, and the server goes on', async (dir) => {
	if (!ROOT) skip('mounting needs root');
	const small = path.join(dir, 'small');
	const socket = path.join(dir, 'g.sock');
	fs.mkdirSync(small);
	const mount = 'mount -t tmpfs -o size=2m none "$1" && shift && exec "$@"';
	const child = spawn('unshare', ['-m', 'sh', '-c', mount, 'sh', small, KEDGE, 'serve', 'gateway',
		'--workspace', small, '--socket', socket]);
	let log = '', over = false;
	child.stdout.on('data', (d) => (log += d));
	child.stderr.on('data', (d) => (log += d));
	child.on('close', () => (over = true));
	await until(() => log.includes('listening at') || over, 'a start');
	if (over && /unshare|mount/.test(log)) skip('no mount namespace here');
	try {
		const filler = `/proc/${child.pid}/root${small}/filler`;
		same((await set(socket, 'before', 'high')).result, { conversationId: 'before', threshold: 'high' });
		try {
			fs.writeFileSync(filler, Buffer.alloc(4 << 20));
		} catch (e) {
			if (e.code !== 'ENOSPC') throw e;
		}
		const id = (i) => `${i}`.repeat(50000);
		let answer;
		for (let i = 1; i < 60 && !answer?.error; i++) answer = await set(socket, id(i), 'low');
		same([answer.statusCode, answer.error], [500, 'The threshold cannot be stored: database or disk is full']);
		same(await get(socket, 'before'), { threshold: 'high' });
		fs.unlinkSync(filler);
		same((await set(socket, 'after', 'low')).result, { conversationId: 'after', threshold: 'low' });
	} finally {
		child.kill('SIGTERM');
		await until(() => over, 'the end');
	}
});

test('a server that cannot write its directory says so', async (dir) => {
	if (!ROOT) skip('mounting needs root');
	const frozen = path.join(dir, 'frozen');
	fs.mkdirSync(frozen);
	const mount = 'mount -t tmpfs -o ro none "$1" && shift && exec "$@"';
	const argv = ['-m', 'sh', '-c', mount, 'sh', frozen, KEDGE, 'serve', 'gateway', '--workspace', frozen];
	for (const more of [[], ['--socket', path.join(dir, 'g.sock')]]) {
		const r = spawnSync('unshare', [...argv, ...more], { encoding: 'utf8' });
		if (/unshare:|mount:/.test(r.stderr)) skip('no mount namespace here');
		const errors = r.stderr.split('\n').filter((l) => l.startsWith('kedge: '));
		same([r.status, errors.length, errors[0].includes(frozen)], [2, 1, true]);
		same(fs.readdirSync(dir), ['frozen']);
	}
});

main();
