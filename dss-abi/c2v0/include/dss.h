/* SPDX-License-Identifier: MIT */
/* dss.h - DarkSideSync's C interface c2v0: a library that one file of serves every Lua, in C, C++ or any language that can call C.
 *
 * PREVIEW, 0.1.0: usable, and not frozen. A later DSS may refuse libraries that were built against a preview.
 *
 * A library is a shared object that DSS opens; it links against nothing and never sees a lua_State. It declares itself with
 * DSS_LIBRARY and gets one table of functions, dss_api. The whole of a small library:
 *
 *   #include "dss.h"
 *   static const dss_api *dss;
 *
 *   static int add(dss_call call, void *self, const dss_value *arguments, size_t count) {
 *     dss_value sum;
 *     (void)self;
 *     if (count < 1 || arguments[0].kind != DSS_INTEGER) return dss->bad_argument(call, 1, "an integer");
 *     if (count < 2 || arguments[1].kind != DSS_INTEGER) return dss->bad_argument(call, 2, "an integer");
 *     sum = dss_integer(arguments[0].as.integer + arguments[1].as.integer);
 *     return dss->result(call, &sum);
 *   }
 *   static int open(const dss_api *api, dss_call call, void **state) { (void)call; (void)state; dss = api; return DSS_OK; }
 *   static const dss_method functions[] = { { "add", add, NULL }, { NULL, NULL, NULL } };
 *   static const dss_definition definition = { sizeof definition, 0, functions, NULL, NULL, open, NULL, NULL };
 *   DSS_LIBRARY("adder", "1.0.0", "^2.1", definition);
 *
 * and in Lua:  local adder = require("darksidesync").load("adder");  print(adder.add(2, 3))
 *
 * THREADS. [lua]: only in a call that Lua made, on its thread. [any]: on every thread, at any time, but not in a signal handler. [blocks]: may wait for another thread.
 * OWNERSHIP. What you hand over is copied before the call returns. What you are handed is good until the function that got it returns.
 *   Neither side frees memory of the other. The one thing that changes hands is an object's data: see dss_object.
 * HANDLES are numbers that DSS checks. One that is too old, or made up, is refused.
 * ORDER. All that a library delivers in one Lua state comes to Lua in the order in which it was taken, whatever its channel. What
 *   replaces an older delivery, under DSS_LATEST, comes in that one's place.
 * CODES. A function that returns int returns DSS_OK or the reason of its refusal; then nothing was taken, and nothing has changed.
 * EXCEPTIONS, longjmp and pthread_exit must not leave a function of yours that DSS called. dss.hpp sees to that in C++.
 */
#ifndef DSS_H
#define DSS_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of this interface. */
#define DSS_INTERFACE "0.1.0"

/* A library in one Lua state. A process may have several states; each that loads the library has a handle of its own. */
typedef uint64_t dss_library;
/* A Lua function. One that Lua hands over again has the same number, so two are the same function if their numbers are equal. DSS
 * forgets it when the last reference is released. */
typedef uint64_t dss_callback;
/* A delivery or a request that was taken, for `cancel`; never 0. */
typedef uint64_t dss_ticket;
/* A call that Lua makes. Good until that function returns, on its thread. */
typedef uint64_t dss_call;
/* A channel of a library: limits and a policy of its own. */
typedef uint32_t dss_channel;

/* The channel that every library has, with the library's own limits. */
#define DSS_FIRST_CHANNEL ((dss_channel)0)

/* Codes. A later DSS may have more: what is not DSS_OK is a refusal. `strerror` has a sentence for each. */
enum {
  DSS_OK = 0,
  DSS_INVALID_LIBRARY = 1,   /* the library is not registered: it left, its state closed, or the number is made up */
  DSS_STOPPING = 2,          /* the state is closing */
  DSS_OUT_OF_MEMORY = 3,
  DSS_WOULD_DEADLOCK = 6,    /* the call would wait for the thread that it is made on */
  DSS_FULL = 9,              /* the channel has as much queued as it may */
  DSS_TIMED_OUT = 10,        /* the time to wait for room is over */
  DSS_INVALID_CALLBACK = 11, /* the Lua function is gone with its state, was released, or is another state's */
  DSS_TOO_DEEP = 12,         /* lists and maps are nested more than 64 deep */
  DSS_TOO_LARGE = 13,        /* one delivery alone is more than the channel's limit in bytes */
  DSS_MALFORMED = 14,        /* a NULL, a kind, a size or a policy that is not one */
  DSS_RAISED = 15,           /* returned by `raise` and `bad_argument`, and by your function to raise that error */
  DSS_INVALID_CALL = 16,     /* the call is over, or runs on another thread */
  DSS_TOO_LATE = 17,         /* the delivery has ended, or Lua has it */
  DSS_INVALID_CHANNEL = 18,  /* the channel is closed, or the number is made up */
  DSS_NOT_YOURS = 19         /* an object that was given away before, or of a class that the library does not list */
};

/* Kinds of values. */
enum {
  DSS_NIL = 0,
  DSS_BOOLEAN = 1,  /* as.integer: 0 or 1 */
  DSS_INTEGER = 2,  /* as.integer; from a Lua without integers a number without a fraction, of at most 2^53 */
  DSS_NUMBER = 3,   /* as.number; 3.0 is one from Lua 5.3 on */
  DSS_STRING = 4,   /* as.string: `size` bytes of any value; from DSS with a 0 behind them */
  DSS_LIST = 5,     /* as.items: `count` values. From Lua a table with the keys 1 to n alone, an empty one too */
  DSS_MAP = 6,      /* as.items: `count` pairs, key, value, key, value, ... From Lua any other table; no key is nil or NaN */
  DSS_CALLBACK = 7, /* as.callback: from DSS good for the call; `retain` it to keep it */
  DSS_OBJECT = 8    /* as.object. Lua gives one as an argument alone, not within a table and not in an answer */
};

struct dss_object;

/* A value. All 0 is nil. */
typedef struct dss_value {
  uint32_t kind;
  uint32_t count;
  union {
    int64_t integer;
    double number;
    const char *string;
    const struct dss_value *items;
    dss_callback callback;
    const struct dss_object *object;
  } as;
  size_t size;
} dss_value;

/* A function or a method, as Lua calls it. [lua] `self` is the object's data, or NULL in a function. Arguments that Lua did not give
 * are not there: look at `count`. If that is 0, `arguments` may be NULL.
 *
 * Returns DSS_OK, with what was given to `result` as its results; or DSS_RAISED, after `raise`; or any other code, which becomes a Lua
 * error with that code's sentence. So `return dss->deliver(...)` is a good ending. */
typedef int (*dss_function)(dss_call call, void *self, const dss_value *arguments, size_t count);

/* A list of these ends with one whose name is NULL. */
typedef struct dss_method {
  const char *name; /* UTF-8 */
  dss_function run;
  void *data;       /* your own word, for `data` */
} dss_method;

/* A class of objects. Its address is its identity: it stays where it is, unchanged, for as long as the library is mapped. */
typedef struct dss_class {
  uint32_t size;                /* sizeof(dss_class) */
  uint32_t reserved;            /* 0 */
  const char *name;             /* UTF-8 */
  const dss_method *methods;    /* NULL for none */
  dss_function close;           /* for `object:close()` and Lua's <close>; called once at most, and methods may be called after it. NULL for none */
  dss_function text;            /* for `tostring`: its one result, a string. NULL for DSS's own */
  void (*drop)(void *data);     /* frees the data. [any] Called once for each object that DSS took, as the last call with it */
} dss_class;

/* An object: data of yours that Lua owns. To hand one over is to give the data away, once: in a delivery, a request or a result that
 * is taken, DSS drops it when Lua collects it, or when the library leaves. One that you were called with may be given back as a result.
 * The data is not NULL. */
typedef struct dss_object {
  const dss_class *cls;
  void *data;
} dss_object;

/* A channel's policy: what happens to a delivery that does not fit its limits, and, with DSS_LATEST, to one whose key is queued. */
enum {
  DSS_REFUSE = 1,      /* it is refused */
  DSS_WAIT = 2,        /* `deliver` waits for room, for `wait_ns`; everything else is refused. What ends the wait is room, time, other
                          limits, `close_channel`, or that the library leaves. Say the end of something in another channel:
                          a request does not wait for room */
  DSS_DROP_OLDEST = 3, /* the oldest of the channel make room */
  DSS_LATEST = 4       /* one with a key replaces the one of the same function and key that is still queued; else it is refused */
};

/* Limits of a channel. */
typedef struct dss_limits {
  uint32_t size;    /* sizeof(dss_limits) */
  uint32_t policy;  /* 0 is DSS_REFUSE */
  uint64_t items;   /* deliveries queued at most; 0 is 65536, UINT64_MAX is no limit */
  uint64_t bytes;   /* bytes in their values at most; 0 is 64 MiB, UINT64_MAX is no limit */
  uint64_t wait_ns; /* for DSS_WAIT: how long at most. 0 does not wait, UINT64_MAX waits without a limit */
} dss_limits;

/* One delivery: a Lua function and what it is to be called with. */
typedef struct dss_delivery {
  uint32_t size;           /* sizeof(dss_delivery) */
  dss_channel channel;
  dss_callback callback;
  const dss_value *values;
  size_t count;
  const void *key;         /* for DSS_LATEST: `key_size` bytes of any value. NULL for none */
  size_t key_size;
} dss_delivery;

/* How a request ended. */
enum {
  DSS_ANSWERED = 1,    /* `values` are what the Lua function returned */
  DSS_FAILED = 2,      /* it raised an error: `error`, `traceback`, and in `values` what was raised, if that is no string */
  DSS_COLLECTED = 3,   /* Lua took the answer upon itself by `defer()`, and dropped it */
  DSS_CANCELLED = 4,   /* by `cancel` */
  DSS_CLOSED = 5,      /* the library left, or the state closed */
  DSS_LATE = 6,        /* it had no answer at its deadline */
  DSS_DROPPED = 7,     /* it made room for a later one */
  DSS_NOT_STARTED = 8  /* Lua had not begun with it at its first deadline */
};

typedef struct dss_answer {
  uint32_t size;           /* as DSS has it: later fields may follow */
  uint32_t ended;
  const dss_value *values;
  size_t count;
  const char *error;       /* why there is no answer; empty for DSS_ANSWERED. Never NULL */
  const char *traceback;   /* never NULL */
} dss_answer;

/* Tells how a request ended, once for each that was taken. [any] On the thread that ends it, and perhaps before `request` returns. It
 * does not wait for anything (a slow one delays the other deadlines of its Lua state), and holds no lock that is held over a call of DSS's. */
typedef void (*dss_done)(void *context, const dss_answer *answer);

/* What DSS does for a library. The table stays valid until the process ends. It grows at its end: what lies beyond `size` is not there. */
typedef struct dss_api {
  uint32_t size;
  uint32_t reserved;

  /* In a call by Lua. [lua] */

  /* The library's handle in the state that calls; 0 if the call is over. */
  dss_library (*library)(dss_call call);
  /* What `open` stored for the state that calls. */
  void *(*state)(dss_call call);
  /* The `data` of the method that was called. */
  void *(*data)(dss_call call);
  /* Appends one result. */
  int (*result)(dss_call call, const dss_value *value);
  /* Has the call raise a Lua error, whatever the function returns then: any value; a string gets the position of the Lua code that
   * called. Returns DSS_RAISED, for you to return. Results that were given are dropped. */
  int (*raise)(dss_call call, const dss_value *error);
  /* Has the call raise "bad argument #2 to 'counter.start': wanted a function, found nil", for index 2 and "a function". Returns
   * DSS_RAISED. */
  int (*bad_argument)(dss_call call, size_t index, const char *wanted);

  /* Lua functions. [any] */

  /* Takes a reference, so that the function stays after the call. */
  int (*retain)(dss_callback callback);
  /* Gives back one reference that you took. */
  void (*release)(dss_callback callback);

  /* Deliveries. [any] The ticket may be NULL. */

  /* Queues one item, and wakes Lua. [blocks] where the channel is full, under DSS_WAIT. */
  int (*deliver)(dss_library library, const dss_delivery *delivery, dss_ticket *ticket);
  /* Queues some under one lock. `taken` says how many, from the first on; the code is why the next one was not. `first` is the ticket of
   * the first, and each one after it has one more. Never waits. */
  int (*deliver_many)(dss_library library, const dss_delivery *all, size_t count, size_t *taken, dss_ticket *first);
  /* Queues one item that wants what the Lua function returns. Never waits. `start_ns` from now Lua must have begun with it, and
   * `finish_ns` from now it must have answered; 0 is no deadline. */
  int (*request)(dss_library library, const dss_delivery *delivery, uint64_t start_ns, uint64_t finish_ns, dss_done done, void *context,
                 dss_ticket *ticket);
  /* The same, and waits: `done` is called on this thread before it returns DSS_OK. [blocks] DSS_WOULD_DEADLOCK on the Lua thread. Another
   * thread ends it by `cancel_all`. */
  int (*wait)(dss_library library, const dss_delivery *delivery, uint64_t start_ns, uint64_t finish_ns, dss_done done, void *context);
  /* Ends a delivery that is queued, or a request that has no answer yet: DSS_TOO_LATE if there is no such thing any more. */
  int (*cancel)(dss_library library, dss_ticket ticket);
  /* The same, for all that the library has for one Lua function; returns how many. */
  size_t (*cancel_all)(dss_library library, dss_callback callback);

  /* The library. [any] */

  /* Keeps `run()` in Lua going until `let_go`; counted. */
  int (*hold)(dss_library library);
  void (*let_go)(dss_library library);
  /* Whether the library keeps `run()` going while nothing holds it: DSS_KEEPS_ALIVE, changed. */
  int (*keep_alive)(dss_library library, int keeps);
  /* Changes a channel's limits. What is queued stays. */
  int (*limit)(dss_library library, dss_channel channel, const dss_limits *limits);
  /* Opens a channel; `stats()` shows it under that name, which is UTF-8 and not empty. At most 4096 at a time: DSS_FULL. */
  int (*open_channel)(dss_library library, const char *name, const dss_limits *limits, dss_channel *channel);
  /* Closes one: what is queued in it is cancelled. */
  int (*close_channel)(dss_library library, dss_channel channel);
  /* Leaves the state: all that is queued is cancelled, and no code of the library runs for this state any more when this returns, except
   * for calls that the calling thread stands in and the `done` of a `wait`, which its own thread calls. [blocks] while another thread is in the library's code. */
  int (*unregister)(dss_library library);
  /* Whether this is the thread that the library's Lua state runs on: 1 or 0. */
  int (*on_lua_thread)(dss_library library);

  /* A sentence for a code. Valid until the process ends. */
  const char *(*strerror)(int code);
  /* A table of functions beyond this one, by its name; NULL if this DSS does not have it. */
  const void *(*extension)(const char *name);
} dss_api;

/* dss_definition.flags: the library keeps `run()` in Lua going for as long as it is registered. */
#define DSS_KEEPS_ALIVE ((uint32_t)1)

/* What a library is. It stays where it is, unchanged, for as long as the library is mapped. */
typedef struct dss_definition {
  uint32_t size;                                                    /* sizeof(dss_definition) */
  uint32_t flags;                                                   /* DSS_KEEPS_ALIVE or 0 */
  const dss_method *functions;                                      /* what the library's table in Lua has; NULL for none */
  const dss_class *const *classes;                                  /* ends with NULL; NULL for none */
  const dss_limits *limits;                                         /* of the first channel; NULL for the defaults */
  /* [lua] A Lua state loads the library. May store its own data for that state; returns as a dss_function does, and an error refuses the
   * library. Keep `dss`: it is the same in every state. Two states may load the library on two threads at the same time, and then
   * both store it: use an atomic, or `pthread_once`, where a tool would call that a race. */
  int (*open)(const dss_api *dss, dss_call call, void **state);
  /* [lua] The state closes: stop your threads. All that was queued is cancelled, and deliveries are refused: DSS_STOPPING. Not called
   * if the library left by `unregister`. NULL for none. */
  void (*closing)(void *state, dss_library library);
  /* [any] The last call with that data: every object was dropped, the library's handle is of no use any more, no code of the library runs for that state, and none will. NULL for none. Called once for each
   * `open` that returned DSS_OK. */
  void (*release)(void *state);
} dss_definition;

/* Values, made. */
static inline dss_value dss_value_(uint32_t kind, uint32_t count, size_t size) {
  dss_value value;
  value.kind = kind;
  value.count = count;
  value.as.integer = 0;
  value.size = size;
  return value;
}
static inline dss_value dss_nil(void) { return dss_value_(DSS_NIL, 0, 0); }
static inline dss_value dss_integer(int64_t integer) {
  dss_value value = dss_value_(DSS_INTEGER, 0, 0);
  value.as.integer = integer;
  return value;
}
static inline dss_value dss_boolean(int truth) {
  dss_value value = dss_value_(DSS_BOOLEAN, 0, 0);
  value.as.integer = truth != 0;
  return value;
}
static inline dss_value dss_number(double number) {
  dss_value value = dss_value_(DSS_NUMBER, 0, 0);
  value.as.number = number;
  return value;
}
static inline dss_value dss_bytes(const void *bytes, size_t size) {
  dss_value value = dss_value_(DSS_STRING, 0, size);
  value.as.string = (const char *)bytes;
  return value;
}
static inline dss_value dss_string(const char *string) { return dss_bytes(string, string ? strlen(string) : 0); }
static inline dss_value dss_list(const dss_value *items, uint32_t count) {
  dss_value value = dss_value_(DSS_LIST, count, 0);
  value.as.items = items;
  return value;
}
static inline dss_value dss_map(const dss_value *pairs, uint32_t count) {
  dss_value value = dss_value_(DSS_MAP, count, 0);
  value.as.items = pairs;
  return value;
}
static inline dss_value dss_function_value(dss_callback callback) {
  dss_value value = dss_value_(DSS_CALLBACK, 0, 0);
  value.as.callback = callback;
  return value;
}
static inline dss_value dss_object_value(const dss_object *object) {
  dss_value value = dss_value_(DSS_OBJECT, 0, 0);
  value.as.object = object;
  return value;
}

/* Limits with that policy, and the defaults. */
static inline dss_limits dss_limits_of(uint32_t policy) {
  dss_limits limits;
  limits.size = (uint32_t)sizeof limits;
  limits.policy = policy;
  limits.items = limits.bytes = limits.wait_ns = 0;
  return limits;
}

/* The data of an object of that class; NULL if the value is not one. */
static inline void *dss_object_data(const dss_value *value, const dss_class *cls) {
  return value->kind == DSS_OBJECT && value->as.object->cls == cls ? value->as.object->data : NULL;
}

/* A delivery to a Lua function, in the first channel and without a key. */
static inline dss_delivery dss_to(dss_callback callback, const dss_value *values, size_t count) {
  dss_delivery delivery;
  delivery.size = (uint32_t)sizeof delivery;
  delivery.channel = DSS_FIRST_CHANNEL;
  delivery.callback = callback;
  delivery.values = values;
  delivery.count = count;
  delivery.key = NULL;
  delivery.key_size = 0;
  return delivery;
}

/* Has the call raise a text, as printf makes it, of at most 511 bytes. Returns DSS_RAISED:
 *   return dss_fail(dss, call, "no host %s", host); */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
static inline int dss_fail(const dss_api *dss, dss_call call, const char *format, ...) {
  char text[512];
  dss_value error;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  error = dss_string(text);
  return dss->raise(call, &error);
}

/* What a library says of itself in its file. DSS and the command `dss` read it before any code of the library runs. */
struct dss_declaration {
  char magic[8];
  uint32_t size, revision, flags, reserved;
  char interface_[16], abi[16], name[64], version[32], requires_[64], compiler[64], header[16];
};

/* What DSS_LIBRARY puts there, for languages without it: revision and flags, and what DSS 2.1 looks at before it says that it does not know
 * this interface. The section is `.dss.library` (ELF), `__DATA,__dss_library` (Mach-O) or `.dsslib` (PE). */
#define DSS_REVISION 3
#define DSS_DECLARATION_FLAGS 3
#define DSS_DECLARATION_ABI "0.11"

/* So that what nothing refers to stays when the linker collects garbage. */
#if defined(__has_attribute)
#if __has_attribute(retain)
#define DSS_RETAIN_ __attribute__((retain))
#endif
#endif
#if !defined(DSS_RETAIN_)
#define DSS_RETAIN_
#endif

#if defined(_MSC_VER)
#pragma section(".dsslib", read)
#pragma section(".dssdoc", read)
#define DSS_SECTION_ __declspec(allocate(".dsslib"))
#define DSS_DOC_SECTION_ __declspec(allocate(".dssdoc"))
#define DSS_EXPORT_ __declspec(dllexport)
#define DSS_COMPILER_ "Visual C++"
#elif defined(_WIN32)
#define DSS_SECTION_ __attribute__((section(".dsslib"), used))
#define DSS_DOC_SECTION_ __attribute__((section(".dssdoc"), used))
#define DSS_EXPORT_ __declspec(dllexport)
#define DSS_COMPILER_ __VERSION__
#elif defined(__APPLE__)
#define DSS_SECTION_ __attribute__((section("__DATA,__dss_library"), used))
#define DSS_DOC_SECTION_ __attribute__((section("__DATA,__dss_doc"), used))
#define DSS_EXPORT_ __attribute__((visibility("default")))
#define DSS_COMPILER_ __VERSION__
#else
#define DSS_SECTION_ __attribute__((section(".dss.library"), used))
#define DSS_DOC_SECTION_ __attribute__((section(".dss.doc"), used)) DSS_RETAIN_
#define DSS_EXPORT_ __attribute__((visibility("default")))
#if defined(__clang__)
#define DSS_COMPILER_ __VERSION__
#else
#define DSS_COMPILER_ "gcc " __VERSION__
#endif
#endif

#ifdef __cplusplus
#define DSS_C_ extern "C"
#else
#define DSS_C_ extern
#endif

/* Declares the library, once in a file: DSS_LIBRARY("counter", "1.0.0", "^2.1", definition). The name has letters, digits, `_`, `-` and
 * `.`, at most 63; the version is semver; the third says which versions of DSS will do. Texts that are too long do not compile. */
#define DSS_LIBRARY(name_, version_, required_, definition_)                                                                    \
  DSS_C_ DSS_EXPORT_ const struct dss_declaration dss_library_c2v0_declaration;                                                 \
  DSS_SECTION_ const struct dss_declaration dss_library_c2v0_declaration = {                                                    \
    { 'D', 'S', 'S', 0, 'L', 'I', 'B', 0 }, (uint32_t)sizeof(struct dss_declaration), DSS_REVISION, DSS_DECLARATION_FLAGS, 0,    \
    DSS_INTERFACE, DSS_DECLARATION_ABI, name_, version_, required_, DSS_COMPILER_, DSS_INTERFACE };                             \
  DSS_C_ DSS_EXPORT_ const dss_definition *dss_library_c2v0(void);                                                              \
  const dss_definition *dss_library_c2v0(void) { return &(definition_); }                                                       \
  struct dss_declaration /* for the semicolon */

/* Describes a function, a method or a class for tools; `dss inspect` shows it, and DSS itself does not look at it. The signature is LuaLS's:
 *   DSS_DESCRIBE(start, "start", "fun(last: integer, step: fun(n: integer))", "Calls step with 1 to last.");
 *   DSS_DESCRIBE(timer, "Timer:stop", "fun()", "Stops the timer."); */
#define DSS_DESCRIBE(id_, name_, signature_, text_)                                   \
  DSS_DOC_SECTION_ static const char dss_doc_##id_[] = name_ "\n" signature_ "\n" text_; \
  struct dss_declaration /* for the semicolon */

#ifdef __cplusplus
} /* extern "C" */
#endif

/* The layout. */
#if defined(__cplusplus) && __cplusplus >= 201103L
#define DSS_ASSERT_(condition) static_assert(condition, "dss.h: the layout is not DSS's: check packing options")
#elif !defined(__cplusplus) && defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
#define DSS_ASSERT_(condition) _Static_assert(condition, "dss.h: the layout is not DSS's: check packing options")
#else
#define DSS_ASSERT_(condition) struct dss_declaration
#endif
#define DSS_WORDS_(count) ((count) * sizeof(void *))
DSS_ASSERT_(sizeof(struct dss_declaration) == 296);
DSS_ASSERT_(sizeof(dss_method) == DSS_WORDS_(3));
DSS_ASSERT_(sizeof(dss_object) == DSS_WORDS_(2));
DSS_ASSERT_(sizeof(dss_class) == 8 + DSS_WORDS_(5));
DSS_ASSERT_(sizeof(dss_limits) == 32);
DSS_ASSERT_(sizeof(dss_definition) == 8 + DSS_WORDS_(6));
DSS_ASSERT_(sizeof(dss_api) == 8 + DSS_WORDS_(24));
DSS_ASSERT_(sizeof(dss_answer) == 8 + DSS_WORDS_(4));
#if UINTPTR_MAX > 0xffffffffu
DSS_ASSERT_(sizeof(dss_value) == 24);
DSS_ASSERT_(sizeof(dss_delivery) == 48);
#endif

#endif /* DSS_H */
