// kedge guard where the kernel lacks something: it works with the next best, and says so once.
import path from 'node:path';
import { spawnSync } from 'node:child_process';
import { ROOT, main, matches, same, skip, until } from './lib.mjs';
import { ask, daemon, exists, guard, rm, test } from './guarding.mjs';

const WITHOUT = path.resolve(process.argv[5]);
if (spawnSync(WITHOUT, ['pidfd', 'true']).status !== 0) {
	console.log('1..0 # SKIP no seccomp here');
	process.exit(0);
}

const rows = [
	['fanotify', /the settle time decides/, ROOT],
	['inotify', /no events: the safety look alone/, true],
	['pidfd', /the end of processes is not told/, true],
	['netlink', /sockets are told by \/proc\/net\/unix alone/, true],
	['fanotify,inotify,pidfd,netlink', /the safety look alone/, true],
];

for (const [what, words, there] of rows)
	test(`without ${what}`, async (dir) => {
		if (!there) skip('an ordinary user lacks it anyway');
		const socket = path.join(dir, 's');
		const d = await daemon(socket);
		const g = await guard(dir, ['--interval', '50', '--wait', socket],
			{ wrap: [WITHOUT, what] });
		await until(() => g.of('degraded').some((e) => words.test(e.message)), 'it says so');
		for (let i = 1; i <= 3; i++) {
			rm(socket);
			await g.saw('recovered', i);
			same(ask(socket), String(d.pid));
		}
		await d.kill('SIGKILL');
		await g.saw('withdrawn');
		same(exists(socket), false);
		const next = await daemon(socket);
		await g.saw('listening', 2);
		rm(socket);
		await until(() => ask(socket) === String(next.pid), 'the next one is guarded');
		await next.say('quit');
		await g.saw('awaited', 2);
		const said = g.of('degraded').map((e) => e.message);
		same(said.length, new Set(said).size);
		matches(String(await g.end()), /^0$/);
	});

await main();
