/* One transfer, from `fetch` until Lua was told how it ended.
 *
 *   state    means                                  leaves it
 *   WAITING  the engine has not seen it             ARRIVED: MOVING. CANCELLED: ENDED
 *   MOVING   libcurl has it                         response, error, CANCELLED: ENDED. A redirect: ASKING
 *   ASKING   Lua decides whether to follow          DECIDED: MOVING or ENDED. CANCELLED: ENDED
 *   ENDED    its end is known                       `done` is queued, or never can be: GONE
 *   GONE     the engine is done with it
 */
#ifndef TRANSFER_H
#define TRANSFER_H

#include "engine.h"

#pragma GCC visibility push(hidden)

enum state { WAITING, MOVING, ASKING, ENDED, GONE };

/* How a redirect goes on. */
enum decision { STOP, FOLLOW, FAILED };

/* Bytes that grow. */
struct buffer {
  char *bytes;
  size_t size, room;
};

struct transfer {
  /* Set by `fetch`, and never changed. */
  struct engine *engine;
  char *url;
  uint64_t number;                       /* no other transfer has it */
  uint64_t deadline;                     /* by `now_ns`; 0 for none */
  dss_callback done, progress, redirect; /* 0 for none */

  /* Under the engine's lock. */
  unsigned references; /* of Lua's object, the engine, its list of news, and a request that is under way */
  unsigned news;
  struct transfer *next_news;
  dss_ticket ticket; /* of the last request; 0 for none */
  enum decision decision; /* of the last request that ended ... */
  char *decided;          /* ... and the URL or the error that goes with it. NULL for none, or for no memory */

  /* The engine thread's, once the transfer has arrived. */
  enum state state;
  struct transfer *previous, *next;
  CURL *easy;
  char *method; /* what the next hop sends; NULL for libcurl's choice */
  struct curl_slist *headers;
  struct buffer body;
  int has_body;
  char *at;         /* the URL of this hop */
  char *next_place; /* where its redirect leads */
  int hops;
  curl_off_t reported;
  struct buffer received, head; /* what came */
  long status;
  char *error;                         /* the end, if it is one */
  char curl_error[CURL_ERROR_SIZE];
};

/* Nanoseconds of a clock that never goes back. */
uint64_t now_ns(void);

/* Adds bytes and a 0 behind them, which is not counted; 0 if there is no memory. */
int buffer_add(struct buffer *buffer, const void *bytes, size_t size);

/* A copy of a text; NULL if there is no memory. */
char *copy_text(const char *text, size_t size);

/* Gives a reference back. [any] */
void transfer_release(struct transfer *transfer);

/* Takes back a question that Lua has not answered. [any] */
void redirect_cancel(struct transfer *transfer);

/* The following run on the engine thread. */

/* Sends the request of the next hop: MOVING, or ENDED if it cannot be. */
void transfer_send(struct transfer *transfer);

/* libcurl is done with the hop. */
void transfer_came(struct transfer *transfer, CURLcode result);

/* ENDED, unless it is that already; `error` is copied, and NULL for a response. */
void transfer_end(struct transfer *transfer, const char *error);

/* Tells Lua the end; 0 if that is to be tried again. */
int transfer_tell(struct transfer *transfer);

/* Takes libcurl's handle away. */
void transfer_detach(struct transfer *transfer);

/* Asks Lua about a redirect: ASKING, or ENDED if that cannot be. */
void redirect_ask(struct transfer *transfer, const char *location);

/* Lua has decided, or will not: MOVING or ENDED. */
void redirect_go_on(struct transfer *transfer);

#pragma GCC visibility pop

#endif
