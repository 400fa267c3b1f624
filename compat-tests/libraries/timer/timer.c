/* timer: a background library for DarkSideSync's 1.0 interface. Timers, served by a small pool of threads.
 *
 *     local timer = require "timer"
 *     local id = timer.after(seconds, callback)   callback(id, late), once
 *     local id = timer.every(seconds, callback)   callback(id, late), again and again
 *     local id = timer.ask(seconds, callback)     callback(reply, id, late): reply(seconds) has it called again after
 *                                                 that time, reply() does not
 *     timer.cancel(id)                            true, or false where there is no such timer any more
 *     timer.stop()                                ends all timers; the next one starts the library anew
 *
 * `late` is how many seconds too late the callback comes. A timer whose callback Lua has not yet fetched does not fire
 * again, so a slow program is never flooded; `every` leaves out what it missed. An `ask` whose reply is dropped ends.
 * At most POOL - 1 of the `ask` timers wait for their answer at a time; the others are late.
 */

#define _POSIX_C_SOURCE 200809L

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "lua.h"
#include "lauxlib.h"

#include "darksidesync_aux.h"

#ifdef _WIN32
/* The only clock by which a condition can be waited for in winpthreads; and there are no signals to keep away. */
#define CLOCK CLOCK_REALTIME
#else
#define CLOCK CLOCK_MONOTONIC
#endif

#define POOL 3             /* threads a Lua state */
#define LONGEST 1000000000 /* seconds; some thirty years */

enum kind { AFTER, EVERY, ASK };

/* One timer, always in one of four hands:
 *
 *   armed     in pool->armed, due in the future; a thread or timer.cancel may take it out, under the lock
 *   fired     in pool->fired; an AFTER or EVERY is with DarkSideSync and belongs to the delivery: decode moves it on.
 *             An ASK belongs to the thread that waits for its answer
 *   spent     in pool->spent, from where the Lua thread frees it together with its callback
 *   freed
 */
struct timer {
  struct timer *next;
  struct pool *pool;
  enum kind kind;
  lua_Integer id;
  int callback;   /* luaL_ref in the registry; to be given back on the Lua thread only */
  int cancelled;  /* timer.cancel came while it was fired */
  double due;     /* on CLOCK_MONOTONIC */
  double seconds; /* EVERY: the period; ASK: the answer, or less than 0 for none */
};

/* The timers of one Lua state. Made on its Lua thread, and freed there after its threads are joined. */
struct pool {
  struct pool *next;
  void *utilid;
  pthread_mutex_t lock; /* held for moments, never while DarkSideSync or Lua is called */
  pthread_cond_t change;
  struct timer *armed; /* the earliest first */
  struct timer *fired;
  struct timer *spent;
  lua_Integer ids;
  int asking; /* threads that wait for an answer */
  int stopping;
  int started; /* threads */
  pthread_t threads[POOL];
};

/* All pools of the process: cancel gets a utilid and nothing else. */
static pthread_mutex_t pools_lock = PTHREAD_MUTEX_INITIALIZER;
static struct pool *pools;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- Lists. Under the pool's lock. ---- */

static void push(struct timer **list, struct timer *timer) {
  timer->next = *list;
  *list = timer;
}

static void take_out(struct timer **list, struct timer *timer) {
  while (*list != timer) list = &(*list)->next;
  *list = timer->next;
}

static struct timer *find(struct timer *list, lua_Integer id) {
  while (list != NULL && list->id != id) list = list->next;
  return list;
}

static void arm(struct timer *timer, double due) {
  struct timer **list = &timer->pool->armed;
  timer->due = due;
  while (*list != NULL && (*list)->due <= due) list = &(*list)->next;
  push(list, timer);
  pthread_cond_broadcast(&timer->pool->change); /* it may be the first to fall due now */
}

/* ---- What DarkSideSync calls. ---- */

/* Frees what is spent. [lua-thread] */
static void sweep(lua_State *L, struct pool *pool) {
  struct timer *timer, *next;
  pthread_mutex_lock(&pool->lock);
  timer = pool->spent;
  pool->spent = NULL;
  pthread_mutex_unlock(&pool->lock);
  for (; timer != NULL; timer = next) {
    next = timer->next;
    luaL_unref(L, LUA_REGISTRYINDEX, timer->callback);
    free(timer);
  }
}

/* [lua-thread], or with L NULL where it is cancelled */
static int decode(lua_State *L, void *data, void *utilid) {
  struct timer *timer = (struct timer *)data;
  struct pool *pool = timer->pool;
  double t = now();
  int results = 0;
  (void)utilid;
  if (L != NULL && !timer->cancelled) { /* set on the Lua thread, which is this one */
    lua_rawgeti(L, LUA_REGISTRYINDEX, timer->callback);
    lua_pushinteger(L, timer->id);
    lua_pushnumber(L, t - timer->due);
    results = 3;
  }
  if (timer->kind != ASK) {
    pthread_mutex_lock(&pool->lock);
    take_out(&pool->fired, timer);
    if (results > 0 && timer->kind == EVERY) {
      double missed = (t - timer->due) / timer->seconds; /* periods; none of them is made up for */
      arm(timer, timer->due + timer->seconds * (double)(1 + (long long)missed));
    } else {
      push(&pool->spent, timer);
    }
    pthread_mutex_unlock(&pool->lock);
  }
  if (L != NULL) sweep(L, pool);
  return results;
}

/* The answer of an ASK. [lua-thread], or with L NULL where it is cancelled */
static int answered(lua_State *L, void *data, void *utilid, int garbage) {
  struct timer *timer = (struct timer *)data; /* the waiting thread's, which looks at it when this has returned */
  (void)utilid;
  if (L == NULL || garbage || lua_isnoneornil(L, 1)) return 0;
  if (lua_type(L, 1) == LUA_TNUMBER) {
    lua_Number seconds = lua_tonumber(L, 1);
    if (seconds >= 0 && seconds <= LONGEST) {
      timer->seconds = seconds;
      return 0;
    }
  }
  lua_pushnil(L);
  lua_pushliteral(L, "the answer is a number of seconds, or nil: the timer has ended");
  return 2;
}

/* ---- The threads. ---- */

/* The next timer that this thread may serve. One thread is kept free of those that wait for an answer. */
static struct timer *first(struct pool *pool) {
  struct timer *timer = pool->armed;
  if (pool->asking == POOL - 1)
    while (timer != NULL && timer->kind == ASK) timer = timer->next;
  return timer;
}

/* Delivers a timer that has fallen due. Called, and returns, with the lock held. */
static void fire(struct pool *pool, struct timer *timer) {
  int code;
  take_out(&pool->armed, timer);
  push(&pool->fired, timer);
  if (timer->kind != ASK) {
    pthread_mutex_unlock(&pool->lock);
    code = DSS_deliver(pool->utilid, decode, NULL, timer);
    pthread_mutex_lock(&pool->lock);
    if (code >= DSS_SUCCESS) return; /* taken: decode has had it, or will */
  } else {
    timer->seconds = -1;
    pool->asking++;
    pthread_mutex_unlock(&pool->lock);
    DSS_deliver(pool->utilid, decode, answered, timer);
    pthread_mutex_lock(&pool->lock);
    pool->asking--;
    pthread_cond_broadcast(&pool->change); /* another ASK may have its turn */
    if (timer->seconds >= 0 && !timer->cancelled) {
      take_out(&pool->fired, timer);
      arm(timer, now() + timer->seconds);
      return;
    }
  }
  take_out(&pool->fired, timer);
  push(&pool->spent, timer);
}

static void *serve(void *arg) {
  struct pool *pool = (struct pool *)arg;
  pthread_mutex_lock(&pool->lock);
  while (!pool->stopping) {
    struct timer *timer = first(pool);
    if (timer == NULL) {
      pthread_cond_wait(&pool->change, &pool->lock);
    } else if (timer->due <= now()) {
      fire(pool, timer);
    } else {
      struct timespec due;
      due.tv_sec = (time_t)timer->due;
      due.tv_nsec = (long)((timer->due - (double)due.tv_sec) * 1e9);
      pthread_cond_timedwait(&pool->change, &pool->lock, &due);
    }
  }
  pthread_mutex_unlock(&pool->lock);
  return NULL;
}

/* ---- Start and end of a pool. [lua-thread] ---- */

static struct pool *find_pool(void *utilid) {
  struct pool *pool;
  pthread_mutex_lock(&pools_lock);
  for (pool = pools; pool != NULL && pool->utilid != utilid;) pool = pool->next;
  pthread_mutex_unlock(&pools_lock);
  return pool;
}

static void free_list(lua_State *L, struct timer *timer) {
  struct timer *next;
  for (; timer != NULL; timer = next) {
    next = timer->next;
    if (L != NULL) luaL_unref(L, LUA_REGISTRYINDEX, timer->callback);
    free(timer);
  }
}

/* Ends a pool. L may be NULL where the state closes, which takes the callbacks with it. */
static void end_pool(lua_State *L, struct pool *pool) {
  struct pool **place;
  pthread_mutex_lock(&pools_lock);
  for (place = &pools; *place != pool;) place = &(*place)->next;
  *place = pool->next;
  pthread_mutex_unlock(&pools_lock);

  pthread_mutex_lock(&pool->lock);
  pool->stopping = 1;
  pthread_cond_broadcast(&pool->change);
  pthread_mutex_unlock(&pool->lock);

  /* Unregister, which releases the threads that wait for an answer, and only then join. */
  DSS_unregister(pool->utilid);
  while (pool->started > 0) pthread_join(pool->threads[--pool->started], NULL);

  free_list(L, pool->armed);
  free_list(L, pool->fired); /* empty: all that was fired is spent by now */
  free_list(L, pool->spent);
  pthread_cond_destroy(&pool->change);
  pthread_mutex_destroy(&pool->lock);
  free(pool);
}

/* The state closes. */
static void cancel(void *utilid) {
  struct pool *pool = find_pool(utilid);
  if (pool != NULL)
    end_pool(NULL, pool);
  else
    DSS_unregister(utilid);
}

static void start_threads(struct pool *pool) {
#ifndef _WIN32
  sigset_t all, before;
  sigfillset(&all); /* signals are the program's own business */
  pthread_sigmask(SIG_SETMASK, &all, &before);
#endif
  while (pool->started < POOL && pthread_create(&pool->threads[pool->started], NULL, serve, pool) == 0) pool->started++;
#ifndef _WIN32
  pthread_sigmask(SIG_SETMASK, &before, NULL);
#endif
}

/* The pool of a state; started where it is not. Raises an error where that fails. */
static struct pool *get_pool(lua_State *L) {
  pthread_condattr_t clock;
  struct pool *pool;
  void *utilid = DSS_initialize(L, cancel, NULL);
  if (utilid == NULL) lua_error(L);
  pool = find_pool(utilid);
  if (pool != NULL) {
    sweep(L, pool);
    return pool;
  }

  pool = (struct pool *)calloc(1, sizeof *pool);
  if (pool == NULL) {
    DSS_shutdown(L);
    luaL_error(L, "timer: out of memory");
    return NULL;
  }
  pool->utilid = utilid;
  pthread_mutex_init(&pool->lock, NULL);
  pthread_condattr_init(&clock);
  pthread_condattr_setclock(&clock, CLOCK);
  pthread_cond_init(&pool->change, &clock);
  pthread_condattr_destroy(&clock);
  pthread_mutex_lock(&pools_lock);
  pool->next = pools;
  pools = pool;
  pthread_mutex_unlock(&pools_lock);

  start_threads(pool);
  if (pool->started < POOL) {
    end_pool(L, pool);
    luaL_error(L, "timer: no thread could be started");
  }
  return pool;
}

/* ---- What Lua calls. ---- */

static int add(lua_State *L, enum kind kind) {
  struct pool *pool;
  struct timer *timer;
  int callback;
  lua_Integer id;
  lua_Number seconds = luaL_checknumber(L, 1);
  luaL_argcheck(L, seconds >= 0 && seconds <= LONGEST, 1, "from 0 to 1e9 seconds expected");
  luaL_argcheck(L, seconds >= 1e-6 || kind != EVERY, 1, "a period of a microsecond or more expected");
  luaL_checktype(L, 2, LUA_TFUNCTION);
  pool = get_pool(L);
  lua_settop(L, 2);
  callback = luaL_ref(L, LUA_REGISTRYINDEX);
  timer = (struct timer *)calloc(1, sizeof *timer);
  if (timer == NULL) {
    luaL_unref(L, LUA_REGISTRYINDEX, callback);
    return luaL_error(L, "timer: out of memory");
  }
  timer->pool = pool;
  timer->kind = kind;
  timer->callback = callback;
  timer->seconds = seconds;
  pthread_mutex_lock(&pool->lock);
  id = timer->id = ++pool->ids;
  arm(timer, now() + seconds);
  pthread_mutex_unlock(&pool->lock);
  lua_pushinteger(L, id);
  return 1;
}

static int timer_after(lua_State *L) { return add(L, AFTER); }
static int timer_every(lua_State *L) { return add(L, EVERY); }
static int timer_ask(lua_State *L) { return add(L, ASK); }

static int timer_cancel(lua_State *L) {
  struct timer *timer;
  lua_Integer id = luaL_checkinteger(L, 1);
  void *utilid = DSS_getutilid(L, NULL);
  struct pool *pool = utilid != NULL ? find_pool(utilid) : NULL;
  int found = 0;
  if (pool != NULL) {
    pthread_mutex_lock(&pool->lock);
    if ((timer = find(pool->armed, id)) != NULL) {
      take_out(&pool->armed, timer);
      push(&pool->spent, timer);
      found = 1;
    } else if ((timer = find(pool->fired, id)) != NULL) {
      found = !timer->cancelled;
      timer->cancelled = 1;
    }
    pthread_mutex_unlock(&pool->lock);
    sweep(L, pool);
  }
  lua_pushboolean(L, found);
  return 1;
}

static int timer_stop(lua_State *L) {
  void *utilid = DSS_getutilid(L, NULL);
  struct pool *pool = utilid != NULL ? find_pool(utilid) : NULL;
  if (pool != NULL) {
    DSS_shutdown(L); /* as end_pool does, and lets go of what the helper keeps in the state */
    end_pool(L, pool);
  }
  return 0;
}

int luaopen_timer(lua_State *L);
int luaopen_timer(lua_State *L) {
  static const struct {
    const char *name;
    lua_CFunction call;
  } functions[] = {{"after", timer_after},   {"every", timer_every}, {"ask", timer_ask},
                   {"cancel", timer_cancel}, {"stop", timer_stop}};
  size_t i;
  get_pool(L); /* what is wrong shows at require */
  lua_newtable(L);
  for (i = 0; i < sizeof functions / sizeof *functions; i++) {
    lua_pushcfunction(L, functions[i].call);
    lua_setfield(L, -2, functions[i].name);
  }
  return 1;
}
