/* The engine: its thread, and the queue of news to it. */
#define _POSIX_C_SOURCE 200809L
#include "engine.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "transfer.h"

struct engine {
  /* Set by `engine_start`. */
  dss_library library;
  dss_channel progress;
  CURLM *multi;

  /* The Lua thread's. */
  pthread_t thread;
  int runs;

  /* The engine thread's. */
  struct transfer *all;
  int untold; /* some transfer has ended, and Lua could not be told */

  pthread_mutex_t lock; /* of what follows, and of transfers */
  struct transfer *first, *last; /* transfers with news; each is there once */
  int stopping;
};

/* How long libcurl may sleep: with nothing to do, and until Lua is told again. */
enum { IDLE_MS = 60000, AGAIN_MS = 20 };

dss_library engine_library(const struct engine *engine) { return engine->library; }
dss_channel engine_progress(const struct engine *engine) { return engine->progress; }
CURLM *engine_multi(const struct engine *engine) { return engine->multi; }
void engine_lock(struct engine *engine) { pthread_mutex_lock(&engine->lock); }
void engine_unlock(struct engine *engine) { pthread_mutex_unlock(&engine->lock); }

void engine_post(struct engine *engine, struct transfer *transfer, unsigned news) {
  engine_lock(engine);
  if (transfer->news == 0) {
    transfer->references++;
    transfer->next_news = NULL;
    if (engine->first == NULL) engine->first = transfer;
    else engine->last->next_news = transfer;
    engine->last = transfer;
  }
  transfer->news |= news;
  engine_unlock(engine);
  /* No wake-up is lost: libcurl remembers one that comes before it sleeps. */
  curl_multi_wakeup(engine->multi);
}

/* Takes the oldest news, and the list's reference; NULL if there is none. */
static struct transfer *take_news(struct engine *engine, unsigned *news) {
  struct transfer *transfer;
  engine_lock(engine);
  transfer = engine->first;
  if (transfer != NULL) {
    engine->first = transfer->next_news;
    *news = transfer->news;
    transfer->news = 0;
  }
  engine_unlock(engine);
  return transfer;
}

/* The engine is done with a transfer. */
static void forget(struct engine *engine, struct transfer *transfer) {
  transfer_detach(transfer);
  transfer->state = GONE;
  if (transfer->previous != NULL) transfer->previous->next = transfer->next;
  else engine->all = transfer->next;
  if (transfer->next != NULL) transfer->next->previous = transfer->previous;
  dss->let_go(engine->library);
  transfer_release(transfer);
}

/* Looks whether a transfer has ended. */
static void settle(struct engine *engine, struct transfer *transfer) {
  if (transfer->state != ENDED) return;
  if (transfer_tell(transfer)) forget(engine, transfer);
  else engine->untold = 1;
}

static void handle_news(struct engine *engine, struct transfer *transfer, unsigned news) {
  if (news & ARRIVED) {
    transfer->next = engine->all;
    if (engine->all != NULL) engine->all->previous = transfer;
    engine->all = transfer;
  }
  if (news & CANCELLED) {
    /* Again: the question may have been asked after `transfer:cancel()` looked. */
    redirect_cancel(transfer);
    transfer_end(transfer, "cancelled");
  }
  if ((news & ARRIVED) && transfer->state == WAITING) transfer_send(transfer);
  if ((news & DECIDED) && transfer->state == ASKING) redirect_go_on(transfer);
  settle(engine, transfer);
}

static void handle_messages(struct engine *engine) {
  CURLMsg *message;
  int left;
  while ((message = curl_multi_info_read(engine->multi, &left)) != NULL) {
    struct transfer *transfer = NULL;
    if (message->msg != CURLMSG_DONE) continue;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
    transfer_came(transfer, message->data.result);
    settle(engine, transfer);
  }
}

static void *run(void *context) {
  struct engine *engine = (struct engine *)context;
  struct transfer *transfer, *next;
  for (;;) {
    unsigned news = 0;
    int stopping, running;
    engine_lock(engine);
    stopping = engine->stopping;
    engine_unlock(engine);
    if (stopping) break;
    while ((transfer = take_news(engine, &news)) != NULL) {
      handle_news(engine, transfer, news);
      transfer_release(transfer);
    }
    if (engine->untold) {
      engine->untold = 0;
      for (transfer = engine->all; transfer != NULL; transfer = next) {
        next = transfer->next;
        settle(engine, transfer);
      }
    }
    curl_multi_perform(engine->multi, &running);
    handle_messages(engine);
    curl_multi_poll(engine->multi, NULL, 0, engine->untold ? AGAIN_MS : IDLE_MS, NULL);
  }
  while (engine->all != NULL) forget(engine, engine->all);
  return NULL;
}

int engine_start(dss_library library, struct engine **started) {
  const dss_limits latest = dss_limits_of(DSS_LATEST);
  struct engine *engine = (struct engine *)calloc(1, sizeof *engine);
  sigset_t all, before;
  int code;
  if (engine == NULL) return DSS_OUT_OF_MEMORY;
  engine->library = library;
  pthread_mutex_init(&engine->lock, NULL);
  engine->multi = curl_multi_init();
  code = engine->multi == NULL ? DSS_OUT_OF_MEMORY : dss->open_channel(library, "progress", &latest, &engine->progress);
  if (code == DSS_OK) {
    /* The program's signals are for its own threads, and a SIGPIPE of TLS's is for nobody. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    engine->runs = pthread_create(&engine->thread, NULL, run, engine) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!engine->runs) code = DSS_OUT_OF_MEMORY;
  }
  if (code == DSS_OK) *started = engine;
  else engine_free(engine);
  return code;
}

void engine_stop(struct engine *engine) {
  if (!engine->runs) return;
  engine_lock(engine);
  engine->stopping = 1;
  engine_unlock(engine);
  curl_multi_wakeup(engine->multi);
  pthread_join(engine->thread, NULL);
  engine->runs = 0;
}

void engine_free(struct engine *engine) {
  struct transfer *transfer;
  unsigned news = 0;
  engine_stop(engine);
  /* What the thread did not look at any more: a transfer that has not arrived has the engine's reference, too. */
  while ((transfer = take_news(engine, &news)) != NULL) {
    if (news & ARRIVED) transfer_release(transfer);
    transfer_release(transfer);
  }
  if (engine->multi != NULL) curl_multi_cleanup(engine->multi);
  pthread_mutex_destroy(&engine->lock);
  free(engine);
}
