/*
 * gRPC over a Unix socket: the callback server, and a client with a completion queue and a
 * channel for each connection. The value travels as bytes.
 *
 *	peer-grpc serve PATH
 *	peer-grpc drive PATH CONNECTIONS DEPTH PAYLOAD SECONDS [PID]
 */
#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <vector>

#include "echo.grpc.pb.h"

extern "C" {
#include "tally.h"
}

namespace {

class Service final : public bench::Echo::CallbackService {
	grpc::ServerUnaryReactor *Echo(grpc::CallbackServerContext *context,
				       const bench::Value *request, bench::Value *reply) override
	{
		grpc::ServerUnaryReactor *reactor = context->DefaultReactor();

		reply->set_value(request->value());
		reactor->Finish(grpc::Status::OK);
		return reactor;
	}
};

int serve(const std::string &path)
{
	Service service;
	grpc::ServerBuilder builder;

	builder.AddListeningPort("unix:" + path, grpc::InsecureServerCredentials());
	builder.SetMaxReceiveMessageSize(32 << 20);
	builder.RegisterService(&service);
	builder.BuildAndStart()->Wait();
	return 0;
}

struct Request {
	bench::Echo::Stub *stub = nullptr;
	std::unique_ptr<grpc::ClientContext> context;
	bench::Value reply;
	grpc::Status status;
	uint64_t sent_ns = 0;

	void ask(const bench::Value &value, grpc::CompletionQueue *queue)
	{
		context = std::make_unique<grpc::ClientContext>();
		sent_ns = tally_now_ns();
		stub->AsyncEcho(context.get(), value, queue)->Finish(&reply, &status, this);
	}
};

std::shared_ptr<grpc::Channel> connect(const char *path)
{
	grpc::ChannelArguments options;

	/* Else all channels to one address share a connection. */
	options.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
	options.SetMaxReceiveMessageSize(32 << 20);
	return grpc::CreateCustomChannel(std::string("unix:") + path,
					 grpc::InsecureChannelCredentials(), options);
}

int drive(int argc, char **argv)
{
	static struct tally tally;
	struct load load;
	grpc::CompletionQueue queue;
	std::vector<std::unique_ptr<bench::Echo::Stub>> stubs;
	bench::Value value;
	void *tag;
	bool good;

	load_read(&load, argc, argv);
	value.set_value(std::string(load.payload, 'x'));
	std::vector<Request> requests(size_t(load.connections) * load.depth);
	for (unsigned i = 0; i < load.connections; i++)
		stubs.push_back(bench::Echo::NewStub(connect(load.path)));
	load_begin(&load);
	for (size_t i = 0; i < requests.size(); i++) {
		requests[i].stub = stubs[i / load.depth].get();
		requests[i].ask(value, &queue);
	}
	while (!load_is_over(&load, &tally) && queue.Next(&tag, &good)) {
		Request *r = static_cast<Request *>(tag);

		if (!r->status.ok() || r->reply.value() != value.value()) {
			fprintf(stderr, "peer-grpc: a wrong answer: %s\n",
				r->status.error_message().c_str());
			return 1;
		}
		tally_add(&tally, tally_now_ns() - r->sent_ns, 1);
		r->ask(value, &queue);
	}
	tally_print(&tally);
	_exit(0);
}

} // namespace

int main(int argc, char **argv)
{
	if (argc == 3 && std::string(argv[1]) == "serve")
		return serve(argv[2]);
	if (argc > 3 && std::string(argv[1]) == "drive")
		return drive(argc - 2, argv + 2);
	fputs("usage: peer-grpc serve PATH | drive PATH CONNECTIONS DEPTH PAYLOAD SECONDS [PID]\n",
	      stderr);
	return 2;
}
