/* The thread that makes the transfers of one Lua state, on libcurl's multi interface.
 *
 * Only that thread uses libcurl's handles. Other threads hand it news of a transfer and wake it. */
#ifndef ENGINE_H
#define ENGINE_H

#include <curl/curl.h>

#include "dss.h"

/* These names are this library's alone: another library, or the program, may have the same. */
#pragma GCC visibility push(hidden)

/* DSS's functions; stored once, before any thread is started. */
extern const dss_api *dss;

struct engine;
struct transfer;

/* News of a transfer; several may come together. */
enum { ARRIVED = 1, CANCELLED = 2, DECIDED = 4 };

/* Starts the thread; returns a code of DSS's. [blocks] for as long as a thread takes to start. */
int engine_start(dss_library library, struct engine **engine);

/* Hands over news of a transfer. [any] */
void engine_post(struct engine *engine, struct transfer *transfer, unsigned news);

/* Protects what several threads touch. Nobody calls DSS, libcurl or Lua while holding it. [any] */
void engine_lock(struct engine *engine);
void engine_unlock(struct engine *engine);

dss_library engine_library(const struct engine *engine);

/* The channel of progress. */
dss_channel engine_progress(const struct engine *engine);

/* The handle of all transfers; the thread's. */
CURLM *engine_multi(const struct engine *engine);

/* Stops the thread and waits for it: its transfers end without a word. [lua] [blocks] also for a name that libcurl looks up:
 * it cannot end that. */
void engine_stop(struct engine *engine);

/* Frees a stopped engine. [any] */
void engine_free(struct engine *engine);

#pragma GCC visibility pop

#endif
