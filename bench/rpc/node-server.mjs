// The gateway's protocol in Node, as most would write it: a line is a request, an answer is a write.
import net from 'node:net';

const methods = { echo: (params) => ({ echoed: params?.value ?? null }) };

function answer(line) {
	let request;
	try {
		request = JSON.parse(line);
	} catch {
		return { id: 'unknown', error: 'Invalid JSON', statusCode: 400 };
	}
	const method = methods[request.method];
	if (!method)
		return { id: request.id, error: `Unknown method: ${request.method}`, statusCode: 404 };
	return { id: request.id, result: method(request.params) };
}

net.createServer((socket) => {
	let rest = '';
	socket.setEncoding('utf8');
	socket.on('error', () => socket.destroy());
	socket.on('data', (text) => {
		const lines = (rest + text).split('\n');
		rest = lines.pop();
		for (const line of lines)
			socket.write(JSON.stringify(answer(line)) + '\n');
	});
}).listen({ path: process.argv[2], backlog: 4096 });
