/*
 * Two guards of one path on one directory, and a world that takes the path away.
 *
 * A step is a system call of src/guard, or a look: between two steps anybody else may come,
 * and the guard may die. docs/model.md says which lines here are which function there, what
 * is left out, and the names of the planted variations (#ifdef WITHOUT_...).
 */
#ifndef MOVES
#define MOVES 3  /* deeds of the world at the path and in the anchor directory */
#endif
#ifndef ORDERS
#define ORDERS 4 /* start, stop, kill */
#endif

#define FIRST 2  /* guards are 2 and 3, for they are what a socket's maker is: */
#define NOBODY 0
#define STRANGER 1
#define OTHER(g) (5 - (g))

/* Inodes, 1 to LAST. One that has no name, no listener and no handle is used again. */
#define LAST 6
#define FREE 0
byte maker[LAST + 1];
mtype = { CLOSED, BOUND, LISTENING };
#define NO_SOCKET 0
mtype socket[LAST + 1];
byte handle[4];       /* the inode that a guard holds while it judges it */

/* Names. */
#define NAMES 4
byte path, away;
byte name[NAMES];     /* in the anchor directory */
#define NLINK(i) ((path == i) + (away == i) + (name[0] == i) + (name[1] == i) + \
	(name[2] == i) + (name[3] == i))

/* The lock: its name, and which file each guard has open and has locked. */
byte lock_name, lock_open[4];
bool locked[4];

mtype = { OFF, STARTING, RUNNING, STOPPING };
mtype phase[4] = OFF;
mtype = { NONE, START, STOP, KILL };
mtype order[4] = NONE;
byte current[4], anchor[4]; /* the listener that a guard publishes; its private name */
byte moves = MOVES, orders = ORDERS;
bool returned;        /* the world has put back what it had renamed away: it may be ours */

#define is_live(i) (socket[i] == LISTENING)
#define is_strange(i) (maker[i] == STRANGER)

inline reap_all(i)
{
	i = LAST;
	do
	:: i > 0 ->
		if
		:: maker[i] && NLINK(i) == 0 && (socket[i] == CLOSED) && handle[2] != i &&
		   handle[3] != i -> maker[i] = NOBODY; socket[i] = NO_SOCKET
		:: else
		fi;
		i--
	:: else -> break
	od;
	i = 0
}

inline new_inode(ret, who, what)
{
	ret = 1;
	do
	:: maker[ret] == NOBODY -> break
	:: else -> ret++; assert(ret <= LAST)
	od;
	maker[ret] = who;
	socket[ret] = what
}

inline free_name(ret)
{
	ret = 0;
	do
	:: name[ret] == FREE -> break
	:: else -> ret++; assert(ret < NAMES)
	od
}

/* The one unlink there is: never a live listener that is not the guard's own. */
inline unlink_name(g, slot, i)
{
	d_step {
		assert(!is_live(name[slot]) || maker[name[slot]] == g);
		name[slot] = FREE;
		reap_all(i)
	}
}

/* lock_open(): open or make the file, flock() it, and see that the name still leads to it. */
inline take_lock(g, ok)
{
	ok = false;
	do
	:: d_step {
		if
		:: lock_name == 0 ->
			lock_name = 1;
			do
			:: lock_name == lock_open[2] || lock_name == lock_open[3] -> lock_name++
			:: else -> break
			od
		:: else
		fi;
		lock_open[g] = lock_name
	   };
	   d_step {
		if
		:: lock_open[OTHER(g)] == lock_open[g] && locked[OTHER(g)] -> lock_open[g] = 0
		:: else -> locked[g] = true
		fi
	   };
	   if
	   :: lock_open[g] == 0 -> break
	   :: else ->
		d_step {
			if
#ifndef WITHOUT_LOOKING_AT_THE_LOCK
			:: lock_name != lock_open[g] -> lock_open[g] = 0; locked[g] = false
#endif
			:: else -> ok = true
			fi
		};
		if :: ok -> break :: else fi
	   fi
	od
}

inline drop_lock(g)
{
	if
	:: lock_open[g] && lock_open[g] == lock_name -> lock_name = 0
	:: else
	fi;
	d_step { lock_open[g] = 0; locked[g] = false }
}

/* anchor_sweep(): what is stale of the private names goes. */
inline sweep(g, s, i)
{
	s = 0;
	do
	:: d_step {
		do
		:: s == NAMES || (name[s] && !is_live(name[s])) -> break
		:: else -> s++
		od;
		true
	   };
	   if
	   :: s < NAMES -> unlink_name(g, s, i); s++
	   :: else -> s = 0; break
	   fi
	od
}

/* listener_make(): bound under a private name, then listening; only then the current one. */
inline make_listener(g, s, n, i)
{
	d_step { new_inode(n, g, BOUND); free_name(s); name[s] = n };
#ifdef WITHOUT_LISTENING_FIRST
	d_step { current[g] = n; anchor[g] = s; n = 0; s = 0 }
#else
	socket[n] = LISTENING;
	d_step { current[g] = n; anchor[g] = s; n = 0; s = 0 }
#endif
}

/* publish_link() */
inline link_path(g)
{
	d_step {
		if
		:: path == FREE && NLINK(current[g]) > 0 -> path = current[g]
		:: else
		fi
	}
#ifdef WITHOUT_LISTENING_FIRST
	;
	socket[current[g]] = LISTENING
#endif
}

/* What is alive and not ours is never kept from its name, unless somebody was quicker. */
inline no_theft(g, s)
{
	assert(!name[s] || !is_live(name[s]) || !is_strange(name[s]) ||
	       (path && (maker[path] != g || returned)))
}

/* Not what was judged: swapped back. */
inline put_back(g, s, i)
{
	if
	:: name[s] == current[g]
	:: else ->
		d_step {
			if
			:: path && name[s] -> i = name[s]; name[s] = path; path = i; i = 0
#ifndef OLD_SWAP_BACK
			:: path == FREE && name[s] -> path = name[s]; name[s] = FREE
#endif
			:: else
			fi;
			no_theft(g, s)
		}
	fi
}

/* publish_replace(): hold it, ask it again, swap, look at what came out. */
inline replace_stale(g, judged, s, done, i)
{
	d_step {
		done = false;
#ifdef WITHOUT_HOLDING
		i = path;
#else
		handle[g] = path;
#endif
	};
	if
#ifdef WITHOUT_ASKING_AGAIN
	:: handle[g] == judged && judged ->
#elif defined(WITHOUT_HOLDING)
	:: i == judged && path && !is_live(path) -> i = 0;
#else
	:: handle[g] == judged && path && !is_live(path) ->
#endif
		d_step {
			if
			:: NLINK(current[g]) > 0 -> free_name(s); name[s] = current[g]; done = true
			:: else
			fi
		};
		if
		:: done ->
			done = false;
			d_step {
				if
				:: path && name[s] -> i = name[s]; name[s] = path; path = i; i = 0
				:: else
				fi
			};
			if
			:: name[s] == judged -> done = true; unlink_name(g, s, i)
#ifdef WITHOUT_LOOKING_AT_WHAT_CAME_OUT
			:: name[s] != judged && name[s] != current[g] && name[s] ->
				done = true; unlink_name(g, s, i)
#endif
			:: else ->
				put_back(g, s, i);
				if
				:: name[s] == current[g] -> unlink_name(g, s, i)
				:: else
				fi
			fi
		:: else
		fi
	:: else
	fi;
	d_step { handle[g] = 0; s = 0; i = 0; reap_all(i) }
}

/* publish_withdraw() */
inline withdraw(g, s, i)
{
	if
#ifdef BY_NAME
	:: path -> d_step { assert(!is_live(path) || maker[path] == g); path = FREE; reap_all(i) }
#else
	:: path && path == current[g] ->
		d_step {
			if
			:: path -> free_name(s); name[s] = path; path = FREE
			:: else -> s = NAMES
			fi
		};
		if
		:: s == NAMES
#ifdef WITHOUT_IDENTITY
		:: s < NAMES -> unlink_name(g, s, i)
#else
		:: s < NAMES && name[s] == current[g] -> unlink_name(g, s, i)
		:: s < NAMES && name[s] != current[g] ->
			d_step {
				if
				:: path == FREE && name[s] -> path = name[s]; name[s] = FREE
				:: else
				fi;
				no_theft(g, s)
			}
#endif
		fi
#endif
	:: else
	fi;
	s = 0
}

inline close_all(g, i)
{
	d_step {
		i = LAST;
		do
		:: i > 0 ->
			if :: maker[i] == g -> socket[i] = CLOSED :: else fi;
			i--
		:: else -> break
		od;
		reap_all(i)
	}
}

inline nothing_is_left(g, i)
{
	i = 0;
	do
	:: i < NAMES -> assert(!name[i] || maker[name[i]] != g || returned); i++
	:: else -> break
	od;
	assert(!path || maker[path] != g || returned)
}

/* guarded_stop() */
inline stop(g, s, i)
{
	if
	:: current[g] ->
		withdraw(g, s, i);
		if
		:: name[anchor[g]] == current[g] -> unlink_name(g, anchor[g], i)
		:: else
		fi;
		close_all(g, i);
		d_step {
			nothing_is_left(g, i);
			current[g] = 0; anchor[g] = 0; i = 0
		}
	:: else
	fi;
	drop_lock(g);
	d_step { phase[g] = OFF; order[g] = NONE }
}

inline close_all_of_killed(g, i)
{
	i = LAST;
	do
	:: i > 0 ->
		if :: maker[i] == g -> socket[i] = CLOSED :: else fi;
		i--
	:: else -> break
	od;
	handle[g] = 0;
	lock_open[g] = 0; locked[g] = false;
	current[g] = 0; anchor[g] = 0;
	phase[g] = OFF; order[g] = NONE;
	reap_all(i)
}

/* make_first() and publish_at_start(), engine_run(), guarded_stop() */
active [2] proctype guard()
{
	byte g = _pid + FIRST, judged, s, n, i;
	bool ok;

end_off:
	order[g] == START;
	{
		d_step { order[g] = NONE; phase[g] = STARTING };
#ifdef WITHOUT_LOCK
		ok = true;
#else
		take_lock(g, ok);
#endif
		if
		:: !ok -> goto stopping
		:: else -> ok = false
		fi;
		sweep(g, s, i);
		if
		:: path && is_live(path) -> goto stopping
		:: else
		fi;
		make_listener(g, s, n, i);
		do
		:: d_step { judged = path; ok = false };
		   if
		   :: judged && path && is_live(path) -> goto stopping
		   :: else
		   fi;
		   if
		   :: judged == FREE && NLINK(current[g]) == 0 -> goto stopping
		   :: judged == FREE -> link_path(g); ok = (path == current[g])
		   :: else -> replace_stale(g, judged, s, ok, i)
		   fi;
		   if :: ok -> break :: else fi
		od;
		true;
		d_step {
			ok = false; judged = 0;
			phase[g] = RUNNING;
			assert(phase[OTHER(g)] != RUNNING)
		};
end_running:
		do
		:: order[g] == STOP -> goto stopping
		/* ACTION_ANCHOR */
		:: path == current[g] && name[anchor[g]] != current[g] ->
			d_step {
				if
				:: NLINK(current[g]) > 0 ->
					free_name(s);
					name[s] = current[g]; anchor[g] = s; s = 0
				:: else
				fi
			}
		/* ACTION_LINK */
		:: path == FREE && NLINK(current[g]) > 0 -> link_path(g)
		/* ACTION_REBIND */
		:: path == FREE && NLINK(current[g]) == 0 -> make_listener(g, s, n, i)
		/* ACTION_PROBE, ACTION_REPLACE_STALE; displaced as long as it lives */
		:: path && path != current[g] && !is_live(path) ->
			judged = path;
			if
			:: NLINK(current[g]) == 0 -> make_listener(g, s, n, i)
			:: else -> replace_stale(g, judged, s, ok, i)
			fi;
			d_step { judged = 0; ok = false }
		od;
stopping:
		true;
		d_step { phase[g] = STOPPING; judged = 0; ok = false };
		stop(g, s, i)
	} unless {
		/* Killed: the kernel closes what it had open. */
		order[g] == KILL;
		d_step {
			close_all_of_killed(g, i);
			judged = 0; s = 0; n = 0; ok = false
		}
	};
	goto end_off
}

/* Sweepers, movers, strangers; and who starts, stops and kills the guards. */
active proctype world()
{
	byte n, i;

	do
	:: d_step { moves > 0 && path ->
		moves--; path = FREE; reap_all(i) }
	:: d_step { moves > 0 && path && !away ->
		moves--; away = path; path = FREE }
	:: d_step { moves > 0 && away ->
		moves--; path = away; away = FREE; returned = true; reap_all(i) }
	:: d_step { moves > 0 && !path ->
		moves--; new_inode(n, STRANGER, LISTENING); path = n; n = 0 }
	:: d_step { moves > 0 && path ->
		moves--; new_inode(n, STRANGER, LISTENING); path = n; n = 0; reap_all(i) }
	:: d_step { moves > 0 && path && is_strange(path) && is_live(path) ->
		moves--; socket[path] = CLOSED }
	:: d_step { moves > 0 && phase[2] == RUNNING && name[anchor[2]] ->
		moves--; name[anchor[2]] = FREE; reap_all(i) }
	:: d_step { orders > 0 && phase[2] == OFF && order[2] == NONE ->
		orders--; order[2] = START }
	:: d_step { orders > 0 && orders < ORDERS && phase[3] == OFF && order[3] == NONE ->
		orders--; order[3] = START }
	:: d_step { orders > 0 && phase[2] == RUNNING && order[2] == NONE ->
		orders--; order[2] = STOP }
	:: d_step { orders > 0 && phase[3] == RUNNING && order[3] == NONE ->
		orders--; order[3] = STOP }
	:: d_step { orders > 0 && phase[2] != OFF ->
		orders--; order[2] = KILL }
	:: d_step { orders > 0 && phase[3] != OFF ->
		orders--; order[3] = KILL }
	:: d_step { moves = 0; orders = 0 }; break
	od
}

/* A connect at any moment finds a listener that accepts, or nobody's: never half of one. */
active proctype client()
{
end_refused:
	atomic { path -> assert(socket[path] != BOUND) }
}

/* Once the world rests and nobody has anything left to do. */
active proctype judge()
{
	byte g = FIRST;

	timeout;
	do
	:: g < FIRST + 2 ->
		assert(phase[g] == OFF || phase[g] == RUNNING);
		assert(phase[g] == OFF || (path && is_live(path)));
		assert(phase[g] == OFF || path == current[g] || maker[path] != g);
		assert(!handle[g]);
		g++
	:: else -> break
	od
}
