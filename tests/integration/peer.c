#include "peer.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "fixture.h"

/* What a client says, and what it hears. */
struct greeting {
	uint64_t serial;
};

struct answer {
	uint64_t serial;
	int64_t listener;
};

/* What an address is wanted for. */
enum purpose {
	TO_BIND,
	TO_CONNECT,
};

/*
 * The address of a path of any length: where it does not fit, through a
 * descriptor of the socket itself (a name may be longer than an address, too),
 * or of its directory where there is no socket yet.
 */
static int address_of(const char *path, enum purpose purpose, struct sockaddr_un *ret_address,
		      int *ret_handle)
{
	const char *name = strrchr(path, '/');
	char opened[TEST_PATH_MAX];

	*ret_address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) < sizeof(ret_address->sun_path)) {
		memcpy(ret_address->sun_path, path, strlen(path));
		return 0;
	}
	snprintf(opened, sizeof(opened), "%.*s",
		 purpose == TO_BIND ? (int)(name - path) : (int)strlen(path), path);
	*ret_handle = open(opened, O_PATH | O_CLOEXEC);
	if (*ret_handle < 0)
		return -errno;
	if (snprintf(ret_address->sun_path, sizeof(ret_address->sun_path), "/proc/self/fd/%d%s",
		     *ret_handle,
		     purpose == TO_BIND ? name : "") >= (int)sizeof(ret_address->sun_path))
		return -ENAMETOOLONG;
	return 0;
}

static uint64_t next_serial(void)
{
	static uint64_t serial;

	return (uint64_t)getpid() << 32 | __atomic_add_fetch(&serial, 1, __ATOMIC_RELAXED);
}

int client_new_of_type(const char *path, int type)
{
	struct greeting greeting = { .serial = next_serial() };
	_cleanup_(fd_closep) int fd = -EBADF, handle = -EBADF;
	struct sockaddr_un address;
	int r = address_of(path, TO_CONNECT, &address, &handle);

	if (r < 0)
		return r;
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	if (send(fd, &greeting, sizeof(greeting), MSG_NOSIGNAL) < 0)
		return -errno;
	return steal_fd(&fd);
}

int client_new(const char *path)
{
	return client_new_of_type(path, SOCK_STREAM);
}

int serve(int listener)
{
	int n = 0, fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
		struct answer answer = { .listener = listener };

		if (recv(fd, &answer.serial, sizeof(answer.serial), 0) > 0)
			(void)!send(fd, &answer, sizeof(answer), MSG_NOSIGNAL);
		close(fd);
		n++;
	}
	return n;
}

int serve_all(struct fixture *f)
{
	int n = 0;

	for (size_t i = 0; i < LISTENERS_MAX; i++)
		if (f->ours[i] >= 0)
			n += serve(f->ours[i]);
	for (size_t i = 0; i < f->strangers_n; i++)
		if (f->strangers[i] >= 0)
			n += serve(f->strangers[i]);
	return n;
}

int answer_of(int client)
{
	struct answer answer;
	ssize_t n = recv(client, &answer, sizeof(answer), MSG_DONTWAIT);

	if (n == (ssize_t)sizeof(answer))
		return (int)answer.listener;
	return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? -ENOMSG : -ECONNRESET;
}

static int type_of(int fd)
{
	int type = SOCK_STREAM;
	socklen_t size = sizeof(type);

	if (fd >= 0)
		getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size);
	return type;
}

/* A datagram goes straight to the listener, which need not accept it. */
static int who_receives(struct fixture *f, int client)
{
	struct greeting greeting;

	for (size_t i = 0; i < LISTENERS_MAX; i++)
		if (f->ours[i] >= 0 && type_of(f->ours[i]) == SOCK_DGRAM &&
		    recv(f->ours[i], &greeting, sizeof(greeting), MSG_DONTWAIT) > 0) {
			close(client);
			return f->ours[i];
		}
	close(client);
	return -ENOMSG;
}

int who_answers(struct fixture *f, const char *path)
{
	int type = type_of(f->fd);
	_cleanup_(fd_closep) int client = client_new_of_type(path, type);

	if (client < 0)
		return client;
	if (type == SOCK_DGRAM)
		return who_receives(f, steal_fd(&client));
	serve_all(f);
	return answer_of(client);
}

int bind_at(const char *path, int type)
{
	_cleanup_(fd_closep) int fd = -EBADF, handle = -EBADF;
	struct sockaddr_un address;
	int r = address_of(path, TO_BIND, &address, &handle);

	if (r < 0)
		return r;
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	return steal_fd(&fd);
}

int keep_fd(struct fixture *f, int fd)
{
	assert_true(f->kept_fd_n < KEPT_MAX);
	f->kept_fd[f->kept_fd_n++] = fd;
	return fd;
}

int stranger_of_type(struct fixture *f, const char *path, int type)
{
	int fd = bind_at(path, type);

	if (fd < 0)
		print_error("bind %s: %s\n", path, strerror(-fd));
	assert_true(fd >= 0);
	if (type != SOCK_DGRAM)
		DO(listen(fd, 64));
	assert_true(f->strangers_n < LISTENERS_MAX);
	f->strangers[f->strangers_n++] = fd;
	return keep_fd(f, fd);
}

int stranger_new(struct fixture *f, const char *path)
{
	return stranger_of_type(f, path, SOCK_STREAM);
}

void stranger_close(struct fixture *f, int fd)
{
	for (size_t i = 0; i < f->strangers_n; i++)
		if (f->strangers[i] == fd)
			f->strangers[i] = -1;
	for (size_t i = 0; i < f->kept_fd_n; i++)
		if (f->kept_fd[i] == fd)
			f->kept_fd[i] = -1;
	close(fd);
}

void make_stale(const char *path)
{
	int fd = bind_at(path, SOCK_STREAM);

	if (fd < 0)
		print_error("bind %s: %s\n", path, strerror(-fd));
	assert_true(fd >= 0);
	close(fd);
}
