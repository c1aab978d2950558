// A guard never makes a daemon's bind fail, whenever and however that restarts.
import path from 'node:path';
import { main, matches, same, start, until } from './lib.mjs';
import { RESTARTER, guard, leftovers, rm, test } from './guarding.mjs';

// KEDGE_RESTARTS=1250 makes 10,000 in each mode of attribution.
const ROUNDS = process.env.KEDGE_RESTARTS ?? '60';
const SEED = process.env.KEDGE_SEED ?? '7';

for (const attribution of ['auto', 'off'])
	for (const how of ['in-place', 'close', 'successor', 'slow'])
		for (const stranger of [[], ['stranger']])
			test(`${how}, attribution ${attribution} ${stranger} (seed ${SEED})`, async (dir) => {
				const socket = path.join(dir, 's');
				// Where nobody knows who removed the path, a daemon that goes on listening
				// after that has the settle time to close: on a loaded machine, not the default.
				const settle = attribution === 'off' && how === 'slow' ? '500' : '10';
				const g = await guard(dir, ['--wait', '--attribution', attribution,
					'--settle', settle, socket]);
				const r = start(RESTARTER, [socket, ROUNDS, SEED, how, ...stranger]);
				await until(() => r.status !== null || g.status !== null, 'its end');
				matches(r.out, /refused 0, wrong 0/);
				same([r.status, g.status], [0, null]);
				rm(socket);
				same(await g.end(), 0);
				same(leftovers(dir).filter((n) => !n.startsWith('rt')), []);
			});

await main();
