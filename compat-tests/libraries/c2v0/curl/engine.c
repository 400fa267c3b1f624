/* The thread that makes a Lua state's transfers, on libcurl's multi interface. Only it uses the handles; others hand it transfers and
 * decisions under a lock, and wake it. */
#include "engine.h"

#include <pthread.h>
#include <stdlib.h>

struct engine {
  CURLM *multi;
  dss_library library;
  dss_channel progress;
  pthread_t thread;
  int runs;

  pthread_mutex_t lock; /* of what follows, and of the transfers' decisions; held over no call of DSS's */
  struct transfer *arrived;
  int stopping;
};

/* Redirects of one transfer. */
enum { MOST_HOPS = 50 };
/* How long Lua may take to decide on one. */
static const uint64_t DECISION_NS = 60000000000u;

int buffer_add(struct buffer *buffer, const void *bytes, size_t size) {
  if (size > buffer->room - buffer->size) {
    size_t room = buffer->size + size + buffer->room;
    char *more = (char *)realloc(buffer->bytes, room);
    if (more == NULL) return 0;
    buffer->bytes = more;
    buffer->room = room;
  }
  if (size > 0) memcpy(buffer->bytes + buffer->size, bytes, size);
  buffer->size += size;
  return 1;
}

void transfer_release(struct transfer *transfer) {
  if (atomic_fetch_sub(&transfer->references, 1) > 1) return;
  if (transfer->done != 0) dss->release(transfer->done);
  if (transfer->progress != 0) dss->release(transfer->progress);
  if (transfer->redirect != 0) dss->release(transfer->redirect);
  curl_slist_free_all(transfer->headers);
  free(transfer->url);
  free(transfer->method);
  free(transfer->body.bytes);
  free(transfer->received.bytes);
  free(transfer->head.bytes);
  free(transfer->decided);
  free(transfer);
}

/* What libcurl calls. */

static size_t on_body(char *bytes, size_t one, size_t size, void *context) {
  struct transfer *transfer = (struct transfer *)context;
  return buffer_add(&transfer->received, bytes, one * size) ? one * size : 0;
}

static size_t on_header(char *bytes, size_t one, size_t size, void *context) {
  struct transfer *transfer = (struct transfer *)context;
  /* The last response counts: one may come before it, as `100 Continue` does. */
  if (size >= 5 && memcmp(bytes, "HTTP/", 5) == 0) transfer->head.size = 0;
  return buffer_add(&transfer->head, bytes, one * size) ? one * size : 0;
}

static int on_progress(void *context, curl_off_t expected, curl_off_t received, curl_off_t to_send, curl_off_t sent) {
  struct transfer *transfer = (struct transfer *)context;
  (void)to_send, (void)sent;
  if (transfer->progress != 0 && received > 0) {
    dss_value values[2];
    dss_delivery delivery = dss_to(transfer->progress, values, 2);
    values[0] = dss_integer(received);
    values[1] = expected > 0 ? dss_integer(expected) : dss_nil();
    /* In a channel of its own: the latest of each transfer stays, and `done` is not behind any number of them. */
    delivery.channel = transfer->engine->progress;
    delivery.key = &transfer;
    delivery.key_size = sizeof transfer;
    (void)dss->deliver(transfer->engine->library, &delivery, NULL); /* one that is refused is not missed */
  }
  return atomic_load(&transfer->cancelled);
}

/* The end of a transfer. */

/* The response's header lines, as strings; returns how many. */
static uint32_t header_lines(const struct buffer *head, dss_value *lines, uint32_t most) {
  const char *at = head->bytes, *end = head->bytes + head->size;
  uint32_t count = 0;
  while (at != NULL && at < end && count < most) {
    const char *line_end = (const char *)memchr(at, '\n', (size_t)(end - at));
    size_t size = (size_t)((line_end == NULL ? end : line_end) - at);
    const char *next = at + size + 1;
    while (size > 0 && (at[size - 1] == '\r' || at[size - 1] == '\n')) size--;
    if (size > 0 && memchr(at, ':', size) != NULL) lines[count++] = dss_bytes(at, size);
    at = next;
  }
  return count;
}

/* Tells Lua how a transfer ended; 0 if there is no room for that now. */
static int tell(struct transfer *transfer, const char *error) {
  dss_value lines[256], values[4];
  dss_delivery delivery = dss_to(transfer->done, values, 1);
  long status = 0;
  int code;
  if (error != NULL) {
    values[0] = dss_string(error);
  } else {
    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    values[0] = dss_nil();
    values[1] = dss_integer(status);
    values[2] = dss_bytes(transfer->received.bytes, transfer->received.size);
    values[3] = dss_list(lines, header_lines(&transfer->head, lines, 256));
    delivery.count = 4;
  }
  code = dss->deliver(transfer->engine->library, &delivery, NULL);
  if (code == DSS_TOO_LARGE) return tell(transfer, dss->strerror(code));
  /* Every transfer has its `done`: where there is no room for it, it comes later. Where the state closes, it comes no more. */
  return code != DSS_FULL && code != DSS_OUT_OF_MEMORY;
}

static void end(struct transfer *transfer, const char *error) {
  if (error != transfer->error && error != NULL) snprintf(transfer->error, sizeof transfer->error, "%s", error);
  if (error == NULL) transfer->error[0] = 0;
  transfer->ended = 1;
}

/* Redirects. */

/* Lua has decided, or will not. [any] */
static void decided(void *context, const dss_answer *answer) {
  struct transfer *transfer = (struct transfer *)context;
  struct engine *engine = transfer->engine;
  const dss_value *value = answer->count > 0 ? answer->values : NULL;
  enum decision decision = STOP;
  const char *text = NULL;
  if (answer->ended != DSS_ANSWERED) {
    decision = FAILED, text = answer->error;
  } else if (value != NULL && value->kind == DSS_STRING) {
    decision = FOLLOW, text = value->as.string;
  } else if (value != NULL && value->kind == DSS_BOOLEAN && value->as.integer != 0) {
    decision = FOLLOW;
  } else if (value != NULL && value->kind != DSS_NIL && value->kind != DSS_BOOLEAN) {
    decision = FAILED, text = "the redirect function returned neither a boolean, a URL nor nil";
  }
  pthread_mutex_lock(&engine->lock);
  transfer->decision = decision;
  if (text != NULL) {
    free(transfer->decided);
    transfer->decided = strdup(text);
  }
  pthread_mutex_unlock(&engine->lock);
  engine_wake(engine);
  transfer_release(transfer);
}

/* Asks Lua whether to follow a redirect; 0 if it is not to be asked. */
static int ask(struct transfer *transfer) {
  char *from = NULL, *location = NULL;
  dss_value values[2];
  dss_delivery delivery = dss_to(transfer->redirect, values, 2);
  int code;
  curl_easy_getinfo(transfer->easy, CURLINFO_REDIRECT_URL, &location);
  if (location == NULL || transfer->redirect == 0) return 0;
  if (++transfer->hops > MOST_HOPS) {
    end(transfer, "too many redirects");
    return 1;
  }
  curl_easy_getinfo(transfer->easy, CURLINFO_EFFECTIVE_URL, &from);
  values[0] = dss_string(from);
  values[1] = dss_string(location);
  pthread_mutex_lock(&transfer->engine->lock);
  transfer->decision = UNDECIDED;
  free(transfer->decided);
  transfer->decided = strdup(location);
  pthread_mutex_unlock(&transfer->engine->lock);
  transfer->deciding = 1;
  atomic_fetch_add(&transfer->references, 1);
  code = dss->request(transfer->engine->library, &delivery, 0, DECISION_NS, decided, transfer, NULL);
  if (code != DSS_OK) {
    transfer->deciding = 0;
    transfer_release(transfer);
    end(transfer, dss->strerror(code));
  }
  return 1;
}

/* Goes on with a transfer as Lua decided. */
static void go_on(struct engine *engine, struct transfer *transfer) {
  enum decision decision;
  pthread_mutex_lock(&engine->lock);
  decision = transfer->decision;
  pthread_mutex_unlock(&engine->lock);
  if (decision == UNDECIDED && !atomic_load(&transfer->cancelled)) return;
  if (decision == UNDECIDED) {
    end(transfer, "cancelled");
    return;
  }
  transfer->deciding = 0;
  /* What was decided changes no more. */
  if (decision == STOP) end(transfer, NULL);
  else if (transfer->decided == NULL) end(transfer, "out of memory");
  else if (decision == FAILED) end(transfer, transfer->decided);
  else {
    transfer->received.size = transfer->head.size = 0;
    curl_easy_setopt(transfer->easy, CURLOPT_URL, transfer->decided);
    /* As browsers do: what a redirect leads to is got. */
    curl_easy_setopt(transfer->easy, CURLOPT_CUSTOMREQUEST, NULL);
    curl_easy_setopt(transfer->easy, CURLOPT_HTTPGET, 1L);
    if (curl_multi_add_handle(engine->multi, transfer->easy) != CURLM_OK) end(transfer, "out of memory");
  }
}

/* The thread. */

static void begin(struct engine *engine, struct transfer *transfer) {
  CURL *easy = transfer->easy = curl_easy_init();
  if (easy == NULL) {
    end(transfer, "out of memory");
    return;
  }
  curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
  curl_easy_setopt(easy, CURLOPT_URL, transfer->url);
#if LIBCURL_VERSION_NUM >= 0x075500
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
#else
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->error);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
  curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
  curl_easy_setopt(easy, CURLOPT_XFERINFODATA, transfer);
  if (transfer->headers != NULL) curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->headers);
  if (transfer->timeout > 0) curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(transfer->timeout * 1000));
  if (transfer->body.bytes != NULL) {
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)transfer->body.size);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, transfer->body.bytes);
  }
  if (transfer->method != NULL) curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, transfer->method);
  if (curl_multi_add_handle(engine->multi, easy) != CURLM_OK) end(transfer, "out of memory");
}

/* The engine is done with a transfer. */
static void forget(struct engine *engine, struct transfer *transfer) {
  if (transfer->easy != NULL) {
    curl_multi_remove_handle(engine->multi, transfer->easy);
    curl_easy_cleanup(transfer->easy);
    transfer->easy = NULL;
  }
  dss->let_go(engine->library);
  transfer_release(transfer);
}

static void handle_ends(struct engine *engine) {
  CURLMsg *message;
  int left;
  while ((message = curl_multi_info_read(engine->multi, &left)) != NULL) {
    struct transfer *transfer = NULL;
    CURLcode result = message->data.result;
    if (message->msg != CURLMSG_DONE) continue;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
    curl_multi_remove_handle(engine->multi, transfer->easy);
    if (result == CURLE_OK) {
      if (!ask(transfer)) end(transfer, NULL);
    } else if (atomic_load(&transfer->cancelled)) {
      end(transfer, "cancelled");
    } else {
      end(transfer, transfer->error[0] != 0 ? transfer->error : curl_easy_strerror(result));
    }
  }
}

static void *run(void *context) {
  struct engine *engine = (struct engine *)context;
  struct transfer *all = NULL, **link, *transfer;
  int stopping = 0, running, waits = 0;
  while (!stopping) {
    pthread_mutex_lock(&engine->lock);
    struct transfer *arrived = engine->arrived;
    engine->arrived = NULL;
    stopping = engine->stopping;
    pthread_mutex_unlock(&engine->lock);
    while ((transfer = arrived) != NULL) {
      arrived = transfer->next;
      transfer->next = all;
      all = transfer;
      begin(engine, transfer);
    }
    curl_multi_perform(engine->multi, &running);
    handle_ends(engine);
    waits = 0;
    for (link = &all; (transfer = *link) != NULL;) {
      if (transfer->deciding && !transfer->ended) go_on(engine, transfer);
      if (transfer->ended && tell(transfer, transfer->error[0] != 0 ? transfer->error : NULL)) {
        *link = transfer->next;
        forget(engine, transfer);
        continue;
      }
      waits |= transfer->ended;
      link = &transfer->next;
    }
    if (!stopping) curl_multi_poll(engine->multi, NULL, 0, waits ? 20 : 1000, NULL);
  }
  while ((transfer = all) != NULL) {
    all = transfer->next;
    forget(engine, transfer);
  }
  return NULL;
}

struct engine *engine_start(dss_library library) {
  dss_limits latest = { sizeof latest, DSS_LATEST, 0, 0, 0 };
  struct engine *engine = (struct engine *)calloc(1, sizeof *engine);
  if (engine == NULL) return NULL;
  engine->library = library;
  pthread_mutex_init(&engine->lock, NULL);
  engine->multi = curl_multi_init();
  if (engine->multi != NULL && dss->open_channel(library, "progress", &latest, &engine->progress) == DSS_OK) {
    engine->runs = pthread_create(&engine->thread, NULL, run, engine) == 0;
  }
  if (engine->runs) return engine;
  engine_free(engine);
  return NULL;
}

void engine_add(struct engine *engine, struct transfer *transfer) {
  pthread_mutex_lock(&engine->lock);
  transfer->next = engine->arrived;
  engine->arrived = transfer;
  pthread_mutex_unlock(&engine->lock);
  engine_wake(engine);
}

void engine_wake(struct engine *engine) { curl_multi_wakeup(engine->multi); }

void engine_stop(struct engine *engine) {
  struct transfer *transfer;
  if (!engine->runs) return;
  pthread_mutex_lock(&engine->lock);
  engine->stopping = 1;
  pthread_mutex_unlock(&engine->lock);
  engine_wake(engine);
  pthread_join(engine->thread, NULL);
  engine->runs = 0;
  while ((transfer = engine->arrived) != NULL) {
    engine->arrived = transfer->next;
    forget(engine, transfer);
  }
}

void engine_free(struct engine *engine) {
  engine_stop(engine);
  if (engine->multi != NULL) curl_multi_cleanup(engine->multi);
  pthread_mutex_destroy(&engine->lock);
  free(engine);
}
