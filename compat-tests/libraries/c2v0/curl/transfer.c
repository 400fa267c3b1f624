/* One transfer on the engine thread: a hop from its request to its response, and the end that Lua is told. */
#define _POSIX_C_SOURCE 200809L
#include "transfer.h"

#include <stdlib.h>
#include <time.h>

uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int buffer_add(struct buffer *buffer, const void *bytes, size_t size) {
  if (size >= buffer->room - buffer->size) {
    size_t room = 2 * buffer->size + size + 64;
    char *more = (char *)realloc(buffer->bytes, room);
    if (more == NULL) return 0;
    buffer->bytes = more;
    buffer->room = room;
  }
  if (size > 0) memcpy(buffer->bytes + buffer->size, bytes, size);
  buffer->size += size;
  buffer->bytes[buffer->size] = 0;
  return 1;
}

char *copy_text(const char *text, size_t size) {
  char *copy = (char *)malloc(size + 1);
  if (copy == NULL) return NULL;
  memcpy(copy, text, size);
  copy[size] = 0;
  return copy;
}

void transfer_release(struct transfer *transfer) {
  unsigned left;
  engine_lock(transfer->engine);
  left = --transfer->references;
  engine_unlock(transfer->engine);
  if (left > 0) return;
  if (transfer->done != 0) dss->release(transfer->done);
  if (transfer->progress != 0) dss->release(transfer->progress);
  if (transfer->redirect != 0) dss->release(transfer->redirect);
  curl_slist_free_all(transfer->headers);
  free(transfer->url);
  free(transfer->decided);
  free(transfer->method);
  free(transfer->body.bytes);
  free(transfer->at);
  free(transfer->next_place);
  free(transfer->received.bytes);
  free(transfer->head.bytes);
  free(transfer->error);
  free(transfer);
}

/* What libcurl calls. */

static size_t on_body(char *bytes, size_t one, size_t size, void *context) {
  struct transfer *transfer = (struct transfer *)context;
  return buffer_add(&transfer->received, bytes, one * size) ? one * size : 0;
}

static size_t on_header(char *bytes, size_t one, size_t size, void *context) {
  struct transfer *transfer = (struct transfer *)context;
  /* The last response counts: `100 Continue` may come before it. */
  if (size >= 5 && memcmp(bytes, "HTTP/", 5) == 0) transfer->head.size = 0;
  return buffer_add(&transfer->head, bytes, one * size) ? one * size : 0;
}

static int on_progress(void *context, curl_off_t expected, curl_off_t received, curl_off_t to_send, curl_off_t sent) {
  struct transfer *transfer = (struct transfer *)context;
  dss_value values[2];
  dss_delivery delivery = dss_to(transfer->progress, values, 2);
  long status = 0;
  (void)to_send, (void)sent;
  if (received <= transfer->reported) return 0;
  /* The body of a redirect is nothing that was asked for. */
  curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
  if (transfer->redirect != 0 && status >= 300 && status < 400) return 0;
  values[0] = dss_integer(received);
  values[1] = expected > 0 ? dss_integer(expected) : dss_nil();
  delivery.channel = engine_progress(transfer->engine);
  delivery.key = &transfer->number;
  delivery.key_size = sizeof transfer->number;
  /* One that is refused is not missed: the next one says more. */
  if (dss->deliver(engine_library(transfer->engine), &delivery, NULL) == DSS_OK) transfer->reported = received;
  return 0;
}

/* A hop. */

void transfer_end(struct transfer *transfer, const char *error) {
  if (transfer->state == ENDED || transfer->state == GONE) return;
  transfer_detach(transfer);
  transfer->state = ENDED;
  /* Without memory for it, `transfer_tell` says that there is none. */
  transfer->status = error != NULL ? 0 : transfer->status;
  transfer->error = error != NULL ? copy_text(error, strlen(error)) : NULL;
}

void transfer_detach(struct transfer *transfer) {
  if (transfer->easy == NULL) return;
  /* Does no harm to a handle that was taken out before. */
  curl_multi_remove_handle(engine_multi(transfer->engine), transfer->easy);
  curl_easy_cleanup(transfer->easy);
  transfer->easy = NULL;
}

/* Sets up a handle; CURLE_OK, or what libcurl does not take. */
static CURLcode set_up(struct transfer *transfer, long timeout_ms) {
  CURL *easy = transfer->easy;
  CURLcode code = curl_easy_setopt(easy, CURLOPT_URL, transfer->at);
#define SET(option, value)                                                   \
  do {                                                                       \
    if (code == CURLE_OK) code = curl_easy_setopt(easy, option, value);      \
  } while (0)
#if LIBCURL_VERSION_NUM >= 0x075500
  SET(CURLOPT_PROTOCOLS_STR, "http,https");
#else
  SET(CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
  SET(CURLOPT_PRIVATE, transfer);
  SET(CURLOPT_NOSIGNAL, 1L);
  SET(CURLOPT_ERRORBUFFER, transfer->curl_error);
  SET(CURLOPT_WRITEFUNCTION, on_body);
  SET(CURLOPT_WRITEDATA, transfer);
  SET(CURLOPT_HEADERFUNCTION, on_header);
  SET(CURLOPT_HEADERDATA, transfer);
  SET(CURLOPT_HTTPHEADER, transfer->headers);
  SET(CURLOPT_TIMEOUT_MS, timeout_ms);
  if (transfer->progress != 0) {
    SET(CURLOPT_NOPROGRESS, 0L);
    SET(CURLOPT_XFERINFOFUNCTION, on_progress);
    SET(CURLOPT_XFERINFODATA, transfer);
  }
  if (transfer->has_body) {
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)transfer->body.size);
    SET(CURLOPT_POSTFIELDS, transfer->body.bytes);
  }
  if (transfer->method != NULL) {
    /* A response to HEAD has no body, and libcurl would wait for one. */
    if (strcmp(transfer->method, "HEAD") == 0 && !transfer->has_body) SET(CURLOPT_NOBODY, 1L);
    else SET(CURLOPT_CUSTOMREQUEST, transfer->method);
  }
#undef SET
  return code;
}

void transfer_send(struct transfer *transfer) {
  long timeout_ms = 0;
  CURLcode code;
  if (transfer->deadline != 0) {
    uint64_t now = now_ns();
    if (now >= transfer->deadline) {
      transfer_end(transfer, "timed out");
      return;
    }
    /* Rounded up: 0 would be no limit. */
    timeout_ms = (long)((transfer->deadline - now) / 1000000u + 1);
  }
  /* libcurl keeps connections in the multi handle, so a new handle costs none. */
  transfer_detach(transfer);
  transfer->easy = curl_easy_init();
  transfer->received.size = transfer->head.size = 0;
  transfer->reported = 0;
  transfer->curl_error[0] = 0;
  code = transfer->easy == NULL ? CURLE_OUT_OF_MEMORY : set_up(transfer, timeout_ms);
  if (code == CURLE_OK && curl_multi_add_handle(engine_multi(transfer->engine), transfer->easy) != CURLM_OK)
    code = CURLE_FAILED_INIT;
  if (code == CURLE_OK) transfer->state = MOVING;
  else transfer_end(transfer, curl_easy_strerror(code));
}

void transfer_came(struct transfer *transfer, CURLcode result) {
  char *location = NULL;
  if (result != CURLE_OK) {
    transfer_end(transfer, transfer->curl_error[0] != 0 ? transfer->curl_error : curl_easy_strerror(result));
    return;
  }
  curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &transfer->status);
  curl_easy_getinfo(transfer->easy, CURLINFO_REDIRECT_URL, &location);
  if (location != NULL && transfer->redirect != 0) redirect_ask(transfer, location);
  else transfer_end(transfer, NULL);
}

/* The end. */

/* The lines of a head, without their ends; returns how many, and stores them if `lines` is not NULL. */
static uint32_t head_lines(const struct buffer *head, dss_value *lines) {
  const char *at = head->bytes, *end = at + head->size;
  uint32_t count = 0;
  while (at < end) {
    const char *line_end = (const char *)memchr(at, '\n', (size_t)(end - at));
    const char *next = line_end == NULL ? end : line_end + 1;
    size_t size = (size_t)((line_end == NULL ? end : line_end) - at);
    if (size > 0 && at[size - 1] == '\r') size--;
    /* Not the status line, nor the empty one. */
    if (size > 0 && !(size >= 5 && memcmp(at, "HTTP/", 5) == 0)) {
      if (lines != NULL) lines[count] = dss_bytes(at, size);
      count++;
    }
    at = next;
  }
  return count;
}

int transfer_tell(struct transfer *transfer) {
  dss_value values[4], *lines = NULL;
  dss_delivery delivery = dss_to(transfer->done, values, 4);
  uint32_t count = head_lines(&transfer->head, NULL);
  int code;
  if (transfer->status != 0 && count > 0 && (lines = (dss_value *)malloc(count * sizeof *lines)) == NULL) return 0;
  if (transfer->status != 0) {
    values[0] = dss_nil();
    values[1] = dss_integer(transfer->status);
    values[2] = dss_bytes(transfer->received.bytes, transfer->received.size);
    values[3] = dss_list(lines, lines == NULL ? 0 : head_lines(&transfer->head, lines));
  } else {
    values[0] = dss_string(transfer->error != NULL ? transfer->error : "out of memory");
    delivery.count = 1;
  }
  code = dss->deliver(engine_library(transfer->engine), &delivery, NULL);
  free(lines);
  if (code == DSS_TOO_LARGE && transfer->status != 0) {
    transfer->status = 0;
    transfer->error = copy_text("the response is too large", 25);
    return transfer_tell(transfer);
  }
  /* `done` always comes, if later; not in a state that closes. */
  return code != DSS_FULL && code != DSS_OUT_OF_MEMORY;
}
