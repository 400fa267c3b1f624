/* Redirects: Lua is asked about each, and what the request to the next place still has. */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <strings.h>

#include "transfer.h"

/* Redirects of one transfer. */
enum { MOST_HOPS = 50 };

/* How long Lua may take to decide on one, if the transfer has no earlier deadline. */
static const uint64_t DECISION_NS = 60000000000u;

/* URLs. */

/* A URL as it is reached from another one; NULL if it is none. For `free`. */
static char *resolve(const char *from, const char *to) {
  CURLU *url = curl_url();
  char *found = NULL, *copy = NULL;
  if (url == NULL) return NULL;
  if (curl_url_set(url, CURLUPART_URL, from, CURLU_GUESS_SCHEME) == CURLUE_OK &&
      curl_url_set(url, CURLUPART_URL, to, CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK &&
      curl_url_get(url, CURLUPART_URL, &found, 0) == CURLUE_OK) {
    copy = copy_text(found, strlen(found));
    curl_free(found);
  }
  curl_url_cleanup(url);
  return copy;
}

static int same_part(CURLU *one, CURLU *other, CURLUPart part) {
  char *left = NULL, *right = NULL;
  int same = curl_url_get(one, part, &left, CURLU_DEFAULT_PORT) == CURLUE_OK &&
             curl_url_get(other, part, &right, CURLU_DEFAULT_PORT) == CURLUE_OK && strcasecmp(left, right) == 0;
  curl_free(left);
  curl_free(right);
  return same;
}

/* Whether two URLs are of one server; not so if that is not known. */
static int same_origin(const char *left, const char *right) {
  CURLU *one = curl_url(), *other = curl_url();
  int same = one != NULL && other != NULL && curl_url_set(one, CURLUPART_URL, left, CURLU_GUESS_SCHEME) == CURLUE_OK &&
             curl_url_set(other, CURLUPART_URL, right, CURLU_GUESS_SCHEME) == CURLUE_OK &&
             same_part(one, other, CURLUPART_SCHEME) && same_part(one, other, CURLUPART_HOST) &&
             same_part(one, other, CURLUPART_PORT);
  curl_url_cleanup(one);
  curl_url_cleanup(other);
  return same;
}

/* The request to the next place. */

/* Takes headers of these names out; the list ends with NULL. */
static void drop_headers(struct transfer *transfer, const char *const *names) {
  struct curl_slist **link = &transfer->headers, *header;
  while ((header = *link) != NULL) {
    const char *const *name = names;
    for (; *name != NULL; name++) {
      size_t size = strlen(*name);
      if (strncasecmp(header->data, *name, size) == 0 && strchr(":; \t", header->data[size]) != NULL) break;
    }
    if (*name == NULL) {
      link = &header->next;
      continue;
    }
    *link = header->next;
    header->next = NULL;
    curl_slist_free_all(header);
  }
}

/* What the Fetch standard has for the method, the body and the credentials. */
static void change_request(struct transfer *transfer, const char *to) {
  static const char *const of_the_body[] = { "Content-Type",     "Content-Length", "Content-Encoding", "Content-Language",
                                             "Content-Location", "Transfer-Encoding", "Expect",        NULL };
  static const char *const secrets[] = { "Authorization", "Cookie", "Host", NULL };
  const char *method = transfer->method != NULL ? transfer->method : transfer->has_body ? "POST" : "GET";
  int got = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
  int gets = (transfer->status == 303 && !got) ||
             ((transfer->status == 301 || transfer->status == 302) && strcmp(method, "POST") == 0);
  if (gets) {
    free(transfer->method);
    transfer->method = NULL;
    transfer->has_body = 0;
    drop_headers(transfer, of_the_body);
  }
  if (!same_origin(transfer->at, to)) drop_headers(transfer, secrets);
}

/* Asking. */

/* Lua has decided, or will not. [any] */
static void on_decided(void *context, const dss_answer *answer) {
  struct transfer *transfer = (struct transfer *)context;
  const dss_value *value = answer->count > 0 ? answer->values : NULL;
  enum decision decision = STOP;
  const char *text = NULL;
  char *copy, *before;
  if (answer->ended != DSS_ANSWERED) {
    decision = FAILED, text = answer->error[0] != 0 ? answer->error : "the redirect function failed";
    if (answer->ended == DSS_LATE) text = "timed out while Lua decided on a redirect";
  } else if (value != NULL && value->kind == DSS_STRING && strlen(value->as.string) == value->size) {
    decision = FOLLOW, text = value->as.string;
  } else if (value != NULL && value->kind == DSS_BOOLEAN) {
    decision = value->as.integer != 0 ? FOLLOW : STOP;
  } else if (value != NULL && value->kind != DSS_NIL) {
    decision = FAILED, text = "the redirect function returned neither a boolean, a URL nor nil";
  }
  copy = text != NULL ? copy_text(text, strlen(text)) : NULL;
  if (text != NULL && copy == NULL) decision = FAILED;
  engine_lock(transfer->engine);
  transfer->decision = decision;
  before = transfer->decided;
  transfer->decided = copy;
  engine_unlock(transfer->engine);
  free(before);
  engine_post(transfer->engine, transfer, DECIDED);
  transfer_release(transfer);
}

void redirect_cancel(struct transfer *transfer) {
  dss_ticket ticket;
  engine_lock(transfer->engine);
  ticket = transfer->ticket;
  engine_unlock(transfer->engine);
  /* `on_decided` may run in here. A request that has ended is not cancelled again. */
  if (ticket != 0) (void)dss->cancel(engine_library(transfer->engine), ticket);
}

void redirect_ask(struct transfer *transfer, const char *location) {
  dss_value values[2];
  dss_delivery delivery = dss_to(transfer->redirect, values, 2);
  uint64_t wait_ns = DECISION_NS;
  char *from = NULL;
  dss_ticket ticket = 0;
  int code;
  if (++transfer->hops > MOST_HOPS) {
    transfer_end(transfer, "too many redirects");
    return;
  }
  if (transfer->deadline != 0) {
    uint64_t now = now_ns();
    uint64_t left = now < transfer->deadline ? transfer->deadline - now : 1;
    if (left < wait_ns) wait_ns = left;
  }
  curl_easy_getinfo(transfer->easy, CURLINFO_EFFECTIVE_URL, &from);
  /* libcurl's own texts go with its handle. */
  free(transfer->at);
  free(transfer->next_place);
  transfer->at = from != NULL ? copy_text(from, strlen(from)) : NULL;
  transfer->next_place = copy_text(location, strlen(location));
  if (transfer->at == NULL || transfer->next_place == NULL) {
    transfer_end(transfer, "out of memory");
    return;
  }
  transfer_detach(transfer);
  values[0] = dss_string(transfer->at);
  values[1] = dss_string(transfer->next_place);
  transfer->state = ASKING;
  engine_lock(transfer->engine);
  transfer->references++;
  engine_unlock(transfer->engine);
  code = dss->request(engine_library(transfer->engine), &delivery, 0, wait_ns, on_decided, transfer, &ticket);
  if (code != DSS_OK) {
    transfer_end(transfer, dss->strerror(code));
    transfer_release(transfer);
    return;
  }
  engine_lock(transfer->engine);
  transfer->ticket = ticket;
  engine_unlock(transfer->engine);
}

void redirect_go_on(struct transfer *transfer) {
  enum decision decision;
  char *text, *to;
  engine_lock(transfer->engine);
  decision = transfer->decision;
  text = transfer->decided;
  transfer->decided = NULL;
  engine_unlock(transfer->engine);
  if (decision == FOLLOW) {
    to = resolve(transfer->at, text != NULL ? text : transfer->next_place);
    if (to == NULL) {
      transfer_end(transfer, "the redirect function returned what is not a URL");
    } else {
      change_request(transfer, to);
      free(transfer->at);
      transfer->at = to;
      transfer_send(transfer);
    }
  } else {
    transfer_end(transfer, decision == STOP ? NULL : text != NULL ? text : "out of memory");
  }
  free(text);
}
