// A skill for tests: speaks lines both ways over node:net, and knows nothing of kedge's code.
import { connect, until } from '../gateway/lib.mjs';

// A skill: a connection whose answers come back by id, and whose other lines are kept.
export async function skill(socket) {
	const c = await connect(socket);
	let seen = 0;
	const lines = () => c.text.split('\n').slice(0, -1).map((l) => JSON.parse(l));
	const s = {
		raw: c,
		lines,
		send: (message) => c.write(JSON.stringify(message) + '\n'),
		find: (what, name) => until(() => lines().find(what), name),
		ask: async (method, params, id = `s:${++seen}`) => {
			s.send({ id, method, params });
			return s.find((l) => l.id === id && ('result' in l || 'error' in l), `answer ${id}`);
		},
		result: async (...args) => {
			const answer = await s.ask(...args);
			if ('error' in answer) throw new Error(JSON.stringify(answer));
			return answer.result;
		},
		// What the daemon asks: answered by a function.
		serve: (answer) => {
			const done = new Set();
			c.on('data', () => {
				for (const l of lines())
					if (l.method && !done.has(l.id)) {
						done.add(l.id);
						const r = answer(l);
						if (r) s.send({ id: l.id, ...r });
					}
			});
		},
		deliveries: (id) => lines().filter((l) => l.id === id && l.event === 'delivery'),
		end: () => c.destroy(),
	};
	return s;
}

export const tool = (name, more = {}) => ({
	name, description: '', input_schema: { type: 'object' }, defaultRiskLevel: 'low',
	category: 'c', ownerSkillId: 'o', ...more,
});
