/* The thread of one Lua state that makes its transfers, and what a transfer is. */
#ifndef ENGINE_H
#define ENGINE_H

#include <curl/curl.h>
#include <stdatomic.h>

#include "dss.h"

extern const dss_api *dss;

/* Bytes that grow. */
struct buffer {
  char *bytes;
  size_t size, room;
};

/* What Lua decided on a redirect. */
enum decision { UNDECIDED, FOLLOW, STOP, FAILED };

/* One transfer. Lua's object, the engine, and a redirect that is being decided have a reference each. */
struct transfer {
  atomic_int references;
  atomic_int cancelled;
  struct engine *engine;
  struct transfer *next; /* in a list of the engine's */

  /* What was asked for; nobody changes it while the engine has the transfer. */
  char *url, *method;
  struct curl_slist *headers;
  struct buffer body;
  double timeout;
  dss_callback done, progress, redirect; /* 0 for none */

  /* The engine thread's. */
  CURL *easy;
  struct buffer received, head;
  char error[CURL_ERROR_SIZE];
  int hops, deciding, ended;

  /* Under the engine's lock: how Lua decided on the redirect, and the URL or the error that goes with it. */
  enum decision decision;
  char *decided;
};

struct engine *engine_start(dss_library library);
/* Hands a transfer over, with one reference. */
void engine_add(struct engine *engine, struct transfer *transfer);
/* Has the thread look again. [any] */
void engine_wake(struct engine *engine);
/* Stops the thread: its transfers end without a word. */
void engine_stop(struct engine *engine);
void engine_free(struct engine *engine);

void transfer_release(struct transfer *transfer);

/* Adds bytes; 0 if there is no memory. */
int buffer_add(struct buffer *buffer, const void *bytes, size_t size);

#endif
