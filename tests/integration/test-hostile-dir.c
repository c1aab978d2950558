/*
 * Whoever owns the directory of a path may take away and put there what he likes. A guard of
 * more rights than his must not be led, by a link or a file of his, to use them for him.
 */
#include "fixture.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "peer.h"
#include "sys/world.h"
#include "world.h"

#define NOBODY 65534

/* A directory where the user has no rights. */
static char *private_dir(struct fixture *f)
{
	char *dir = in_root(f, "private");

	make_dir(dir, 0755);
	return dir;
}

static void need_root_and_give(struct fixture *f, const char *dir)
{
	(void)f;
	need_root();
	DO(chown(dir, NOBODY, NOBODY));
}

/* The directory becomes a link to one of root's: root makes no socket there. */
static void led_elsewhere(struct fixture *f)
{
	char *private = private_dir(f), *away = in_root(f, "away");

	need_root_and_give(f, f->dir);
	start_listening(f, 20);
	DO(rename(f->dir, away));
	DO(symlink(private, f->dir));
	GUARD_UNTIL(f, state_of(f) == KEDGE_STATE_BLOCKED);
	guard_for(f, 100);
	assert_int_equal(count_names(private, ""), 2);
	assert_int_equal(f->record.last[KEDGE_EVENT_BLOCKED].error, -EACCES);
	DO(unlink(f->dir));
	DO(rename(away, f->dir));
	GUARD_UNTIL(f, same_listener(f));
}

/* ... nor does it make directories there, and give them to the user. */
static void led_to_make(struct fixture *f)
{
	char *private = private_dir(f), *above = in_dir(f, "a"), *below = in_dir(f, "a/b");

	make_dir(above, 0755);
	make_dir(below, 0755);
	need_root_and_give(f, above);
	need_root_and_give(f, below);
	snprintf(f->path, sizeof(f->path), "%s/x.sock", below);
	start_listening(f, 20);
	DO(rename(above, in_dir(f, "away")));
	DO(symlink(private, above));
	GUARD_UNTIL(f, state_of(f) == KEDGE_STATE_BLOCKED);
	guard_for(f, 100);
	assert_int_equal(count_names(private, ""), 2);
	DO(unlink(above));
	DO(rename(in_dir(f, "away"), above));
	GUARD_UNTIL(f, same_listener(f));
}

/* Led to another directory of his own, root follows: he could have made the socket himself. */
static void led_to_his_own(struct fixture *f)
{
	char *other = in_root(f, "other");

	make_dir(other, 0755);
	need_root_and_give(f, f->dir);
	need_root_and_give(f, other);
	start_listening(f, 20);
	DO(rename(f->dir, in_root(f, "away")));
	DO(symlink(other, f->dir));
	GUARD_UNTIL(f, reachable(f));
	assert_true(exists(text("%s/x.sock", other)));
}

static char victim[TEST_PATH_MAX];
static int made = -1;

/* Binds, and then somebody has put a file in the socket's place. */
static int create_and_lose(const char *bind_path, void *userdata)
{
	int fd = bind_at(bind_path, SOCK_STREAM);

	(void)userdata;
	DO(listen(fd, 1));
	DO(unlink(bind_path));
	DO(link(victim, bind_path));
	return made = fd;
}

/* A file that was put in the place of a new socket gets neither its mode nor its owner. */
static void file_for_socket(struct fixture *f)
{
	snprintf(victim, sizeof(victim), "%s", in_dir(f, "victim"));
	write_file(victim, "precious");
	DO(chmod(victim, 0400));
	start_guard(f, 20);
	f->listen.create = create_and_lose;
	f->listen.mode = 0666;
	assert_true(kedge_guard_listen(f->guard, f->path, &f->listen, NULL, NULL) < 0);
	close(made);
	assert_int_equal(mode_of(victim), 0400);
	assert_file(victim, "precious");
	assert_false(exists(f->path));
	f->kedge_names = 1;
}

/* A link at the path is moved aside, not followed. */
static void link_at_path(struct fixture *f)
{
	write_file(in_dir(f, "victim"), "precious");
	start_listening(f, 20);
	DO(unlink(f->path));
	DO(symlink(in_dir(f, "victim"), f->path));
	GUARD_UNTIL(f, same_listener(f));
	assert_file(in_dir(f, "victim"), "precious");
}

/* A link that takes the path's place just before the mount would lead it elsewhere. */
static void mount_led_by_link(struct fixture *f)
{
	char *victim_path = in_dir(f, "victim"), *link_path = in_dir(f, "link");
	struct guard_ports ports;
	struct world world;
	int dir, handle;

	need_root();
	own_mounts();
	write_file(victim_path, "precious");
	make_stale(f->path);
	DO(symlink(victim_path, link_path));
	DO(world_open(&world));
	ports = world_ports(&world);
	dir = ports.dir_open(ports.ctx, f->dir);
	handle = ports.handle_open(ports.ctx, dir, "x.sock");
	DO(dir);
	DO(handle);
	(void)ports.mount_over(ports.ctx, handle, dir, "link");
	assert_int_equal(mounts_at(victim_path), 0);
	assert_file(victim_path, "precious");
	close(handle);
	close(dir);
	world_close(&world);
	DO(unlink(f->path));
}

static const struct test_case cases[] = {
	{ "hostile directory: root is not led into another's", led_elsewhere, ANYWHERE },
	{ "hostile directory: root makes nothing in another's", led_to_make, ANYWHERE },
	{ "hostile directory: root follows to the owner's own", led_to_his_own, ANYWHERE },
	{ "hostile directory: a file in a new socket's place is not dressed", file_for_socket,
	  ANYWHERE },
	{ "hostile directory: a mount is not led by a link", mount_led_by_link, ANYWHERE },
	{ "hostile directory: a link at the path is not followed", link_at_path, ANYWHERE },
};

int main(void)
{
	return RUN_CASES(cases);
}
