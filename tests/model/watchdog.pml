/*
 * Start and stop of a watchdog from several threads, in the midst of a re-bind.
 *
 * The threads of src/api/watchdog.c, statement by statement where two threads may meet:
 * between two statements here any other thread may run. What the guard does on disk is
 * guard.pml's; here a listener is "made" (bound under a private name) and "published".
 *
 * A listener is known by the wish that it was made for. docs/model.md has the table of
 * which lines here are which function there, and the names of the planted variations
 * (#ifdef WITHOUT_... and OLD_...).
 */
#ifndef LOSSES
#define LOSSES 1   /* how often the path is lost so that only a re-bind helps */
#endif
#ifndef TURNS
#define TURNS 2    /* how often the server shuts down, or comes back */
#endif

#define ODD(n) ((n) & 1)
#define FAILED 1

byte wish, served;  /* odd: to run; the wish that the path is guarded by */
byte lock;          /* whose it is: pid + 1 */
bool wake, running, thread_up;
bool guarded;       /* the guard has the path */
byte made;          /* the wish of the listener that has a private name; 0: none */
byte published;     /* the wish of the listener at the path; 0: none */
bool lost, server_up = true;
byte losses = LOSSES, turns = TURNS;

/* What the properties need, and no thread looks at. */
byte asked;         /* who called start() last, and no stop() came after: pid + 1 */
bool told;          /* ... and was told that it runs */
bool creating, late;

byte failed;        /* the wish that could not be served */

#define take_lock()  atomic { lock == 0 -> lock = _pid + 1 }
#define drop_lock()  lock = 0
#define set_wish(odd) \
	atomic { if :: ODD(wish) != odd -> wish++; late = late || creating :: else fi }

inline close_path()
{
	d_step { guarded = false; made = 0; published = 0; lost = false }
}

inline unguard_path()
{
	close_path();
	served = 0
}

/* A callback may call stop() itself, for the lock is recursive. */
inline call_back()
{
	if
	:: skip
	:: ODD(wish) ->
		atomic { set_wish(0); asked = 0 };
		if :: served -> unguard_path() :: else fi
	fi
}

/* on_create(), listener_make() and publish_link(); @w: scratch; @r: 0 or FAILED. */
inline make_listener(w, r)
{
	d_step { w = wish; creating = true; late = false };
	made = w;
	/* create_server(), which takes as long as it likes. */
	call_back();
#ifdef WITHOUT_READING_AGAIN
	creating = false;
#else
	atomic {
		creating = false;
		if
		:: wish != w -> close_path()
		:: else
		fi
	};
#endif
	atomic {
		if
		:: made -> assert(!late); published = made; made = 0
		:: else -> r = FAILED
		fi;
		w = 0;
		late = false
	};
	/* on_rebind() */
	if :: published -> call_back() :: else fi
}

inline guard_path(w, r)
{
	r = 0;
	if
	:: !server_up -> r = FAILED
	:: server_up -> guarded = true; make_listener(w, r); if :: r -> guarded = false :: else fi
	fi
}

inline attend(mine, w, r)
{
	if
	:: !server_up -> if :: served -> unguard_path() :: else fi
	:: server_up && served ->
		/* kedge_guard_process(): the path was lost, and its inode with it. */
		if
		:: guarded && lost -> lost = false; published = 0; make_listener(w, r)
		:: else
		fi
	:: server_up && !served ->
		mine = wish;
		guard_path(w, r);
		if
		:: r == 0 ->
#ifdef OLD_ATTEND
			served = wish;
#else
			served = mine;
#endif
#ifndef WITHOUT_LAST_LOOK
			if :: !ODD(wish) -> unguard_path() :: else fi
#endif
		:: else
		fi
	fi;
	mine = 0; r = 0
}

active proctype thread()
{
	byte mine, w, r;

end_unborn:
	thread_up;
	do
	:: wake = false;
	   take_lock();
	   if :: ODD(wish) -> attend(mine, w, r) :: else fi;
	   running = ODD(wish);
	   if
	   :: !running -> drop_lock(); break
	   :: else -> drop_lock()
	   fi;
end_asleep:
	   wake || (guarded && lost) || (served && !server_up) || (!served && server_up)
	od;
	thread_up = false;
	goto end_unborn
}

/* serve_wish(); @mine: the wish of the caller. */
inline serve_wish(mine, w, r)
{
	r = 0;
	atomic {
		if
		:: !ODD(wish) -> r = (mine == failed -> FAILED : 0); mine = 0
#ifdef OLD_RESULT
		   ; r = 0
#endif
		:: else -> mine = (served == wish -> 0 : wish)
		fi
	};
	if
	:: mine ->
		if :: served -> unguard_path() :: else fi;
		guard_path(w, r);
		if
		:: r == 0 ->
			if
			:: !running -> !thread_up; thread_up = true; running = true
			:: else
			fi;
			served = mine;
#ifndef WITHOUT_LAST_LOOK
			if :: !ODD(wish) -> unguard_path() :: else fi;
#endif
			wake = true
		:: else ->
			unguard_path();
#ifdef OLD_FAILURE
			set_wish(0);
#else
			atomic { if :: wish == mine -> failed = mine; wish++; asked = (told -> 0 : asked) :: else fi };
#endif
			wake = true
		fi
	:: else
	fi
}

inline start(mine, w, r)
{
	atomic { set_wish(1); mine = wish; asked = _pid + 1; told = false };
	take_lock();
	serve_wish(mine, w, r);
	atomic {
		if
		:: asked == _pid + 1 -> told = !r; asked = (r -> 0 : asked)
		:: else
		fi;
		mine = 0; r = 0
	};
	drop_lock()
}

inline stop(mine)
{
	atomic { set_wish(0); mine = wish; asked = 0 };
	wake = true;
#ifndef WITHOUT_LOCK
	take_lock();
#endif
	if :: !ODD(wish) && served -> unguard_path() :: else fi;
	/* Where nobody has called start() since, nothing of ours is left. */
	atomic { assert(wish != mine || (!published && !made)); mine = 0 };
#ifndef WITHOUT_LOCK
	drop_lock()
#endif
}

/* Two who call start() and stop() as they please. */
active [2] proctype caller()
{
	byte mine, w, r, calls = (_pid == 1 -> 2 : 1);

	do
	:: calls > 0 -> calls--; start(mine, w, r)
	:: calls > 0 -> calls--; stop(mine)
	:: calls = 0; break
	od
}

active proctype world()
{
	do
	:: losses > 0 && published -> atomic { losses--; published = 0; lost = guarded }
	:: turns > 0 -> turns--; server_up = !server_up
	:: break
	od
}

/* When nothing more happens. */
active proctype judge()
{
	timeout;
	assert(lock == 0 && !made);
	assert(ODD(wish) || (!published && !guarded && !served && !thread_up));
	/* Who was told that it runs has not been forgotten. */
	assert(!asked || ODD(wish));
	/* What stands there was made for this wish, and for no earlier one. */
	assert(!ODD(wish) || thread_up);
	assert(!published || published == wish);
	assert(!ODD(wish) || !server_up || published == wish)
}
