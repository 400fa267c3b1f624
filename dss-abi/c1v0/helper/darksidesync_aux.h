/* DarkSideSync's helper for a background library in C, on the 1.0 interface. Copy darksidesync_api.h and the two
 * darksidesync_aux files into the library's sources and compile the .c with them. Lua 5.1 to 5.5 and LuaJIT, C99.
 *
 * The life of a library:
 *
 *     luaopen_x                DSS_initialize    registers in this state, and unregisters by itself at lua_close
 *     a thread of its own      DSS_deliver       as often as it likes
 *     x.stop(), or never       DSS_shutdown      unregisters earlier than that
 *     cancel, which it gave    DSS_unregister    the state closes: unregister, then join the threads
 *
 * A library that joins a thread of its own unregisters first. That releases the thread where it waits in DSS_deliver;
 * the other way round, the join would wait for a thread that waits for Lua, which waits for the join.
 *
 * [lua-thread]: only on the thread that is running the state, inside a call that Lua made.
 * [any-thread]: on every thread, at any time.
 * [blocks]: may wait for another thread. Hold no lock that decode, return or cancel take.
 *
 * What takes a state raises a Lua error where Lua is out of memory, and never otherwise.
 */

#ifndef DARKSIDESYNC_AUX_H
#define DARKSIDESYNC_AUX_H

#include "darksidesync_api.h"

/* The helper is private to the library that it was copied into: it holds that library's id. */
#ifndef DSS_AUX_API
#if defined(__GNUC__) && !defined(_WIN32)
#define DSS_AUX_API __attribute__((visibility("hidden")))
#else
#define DSS_AUX_API
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

/** Finds DarkSideSync's interface in a state. [lua-thread]
 *
 * Returns NULL where `darksidesync` was not required in this state, or has stopped in it, and sets `*err` (which may
 * be NULL) to DSS_SUCCESS or DSS_ERR_NO_GLOBALS. Leaves the stack as it was.
 *
 * The result belongs to DarkSideSync and is valid until the process ends. */
DSS_AUX_API const dss_api_1v0_t *DSS_getapi(struct lua_State *L, int *err);

/** Registers this library in a state. [lua-thread]
 *
 * Requires `darksidesync` first where that was not done. Returns the utilid and leaves the stack as it was; or returns
 * NULL and pushes one string that says why, ready for lua_error. `*err` (which may be NULL) gets the code:
 * DSS_SUCCESS; DSS_ERR_ALREADY_REGISTERED, with the utilid of the first time, `cancel` being ignored; or an error.
 * Where it raises, nothing is registered.
 *
 * `cancel` is called on the Lua thread once, when the state closes before the library unregistered. It may find its
 * threads inside DSS_deliver, and has to unregister, and to end them, before it returns.
 *
 * The utilid belongs to DarkSideSync. Used after unregistering it is refused, and does no harm. */
DSS_AUX_API void *DSS_initialize(struct lua_State *L, DSS_cancel_1v0_t cancel, int *err);

/** The utilid of this library in a state. [lua-thread]
 *
 * Returns NULL where the library is not registered in it, with the reason in `*err` (which may be NULL). Leaves the
 * stack as it was. */
DSS_AUX_API void *DSS_getutilid(struct lua_State *L, int *err);

/** Hands one item over to Lua. [any-thread] With `ret` it [blocks] until the delivery ends.
 *
 * Returns a code. DSS_SUCCESS and above: taken, and `data` belongs to the delivery. `decode` gets it exactly once; where
 * decode returns more than 0 and `ret` was given, `ret` gets it exactly once after that; the last of the two frees it.
 * Either may be called with a NULL state, the delivery being cancelled, which ends it. Below DSS_SUCCESS: refused, and
 * `data` still belongs to the caller. */
DSS_AUX_API int DSS_deliver(void *utilid, DSS_decoder_1v0_t decode, DSS_return_1v0_t ret, void *data);

/** Unregisters, where there is no state at hand: in cancel, or on a thread of the library's. [any-thread] [blocks]
 *
 * Returns a code. Whatever the library has under way in that state is cancelled before this returns, and nothing of the
 * library is called for it afterwards. */
DSS_AUX_API int DSS_unregister(void *utilid);

/** Unregisters this library in a state, without calling its cancel. [lua-thread] [blocks]
 *
 * Returns a code. As DSS_unregister, and the state then holds nothing of the library's. Leaves the stack as it was. */
DSS_AUX_API int DSS_shutdown(struct lua_State *L);

/** What a code means and what to do about it, in one English sentence. [any-thread]
 *
 * The text is a constant: never NULL, never freed. */
DSS_AUX_API const char *DSS_strerror(int code);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* DARKSIDESYNC_AUX_H */
