/* The background thread of the contenders in C. It hands over items, or asks and waits for each answer. DSS's library in Rust does
 * the same: `compat-tests/fixtures/probe-v2/src/others.rs`. */
#ifndef SENDER_H
#define SENDER_H

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *const texts[8] = { "wind", "water", "light", "pressure", "door", "temperature", "noise", "sun" };

/* What a contender does with an item. `ask` returns the answer. Both return less than 0 if they fail. */
struct way {
  int64_t (*put)(int64_t at, const char *text, size_t size);
  int64_t (*ask)(int64_t at, const char *text, size_t size);
};

/* One thread at a time, and its report: nothing while it runs. */
static struct {
  pthread_mutex_t lock;
  const struct way *way;
  int64_t count;
  int asks;
  char report[100];
} sender = { PTHREAD_MUTEX_INITIALIZER, NULL, 0, 0, "" };

/* The answer to the one request that is under way, for the contenders that have no other way to give it. */
static struct {
  pthread_mutex_t lock;
  pthread_cond_t signal;
  int there;
  int64_t answer;
} reply = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0 };

/* [the script's thread] Answers the request. */
static inline void reply_give(int64_t answer) {
  pthread_mutex_lock(&reply.lock);
  reply.answer = answer, reply.there = 1;
  pthread_cond_signal(&reply.signal);
  pthread_mutex_unlock(&reply.lock);
}

/* Waits for the answer. */
static inline int64_t reply_wait(void) {
  int64_t answer;
  pthread_mutex_lock(&reply.lock);
  while (!reply.there) pthread_cond_wait(&reply.signal, &reply.lock);
  answer = reply.answer, reply.there = 0;
  pthread_mutex_unlock(&reply.lock);
  return answer;
}

static int64_t sender_clock(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static int sender_order(const void *left, const void *right) {
  int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
  return (a > b) - (a < b);
}

static void sender_items(char *report, size_t size) {
  int64_t at;
  for (at = 1; at <= sender.count; at++) {
    const char *text = texts[at % 8];
    if (sender.way->put(at, text, strlen(text)) < 0) {
      snprintf(report, size, "item %" PRId64 " was refused", at);
      return;
    }
  }
  snprintf(report, size, "taken");
}

static void sender_trips(char *report, size_t size) {
  int64_t at, *times = malloc(sizeof *times * (size_t)sender.count);
  if (!times) {
    snprintf(report, size, "out of memory");
    return;
  }
  for (at = 1; at <= sender.count; at++) {
    const char *text = texts[at % 8];
    int64_t began = sender_clock(), answer = sender.way->ask(at, text, strlen(text));
    times[at - 1] = sender_clock() - began;
    if (answer != at) {
      snprintf(report, size, "request %" PRId64 " was answered with %" PRId64, at, answer);
      free(times);
      return;
    }
  }
  qsort(times, (size_t)sender.count, sizeof *times, sender_order);
  snprintf(report, size, "%" PRId64 " %" PRId64, times[sender.count / 2], times[sender.count * 99 / 100]);
  free(times);
}

static void *sender_run(void *unused) {
  char report[sizeof sender.report];
  (sender.asks ? sender_trips : sender_items)(report, sizeof report);
  pthread_mutex_lock(&sender.lock);
  memcpy(sender.report, report, sizeof report);
  pthread_mutex_unlock(&sender.lock);
  return unused;
}

/* Starts the thread. 0, or an error of the system. */
static int sender_start(const struct way *way, int64_t count, int asks) {
  pthread_t thread;
  int code;
  sender.way = way, sender.count = count, sender.asks = asks;
  sender.report[0] = 0;
  code = pthread_create(&thread, NULL, sender_run, NULL);
  if (code == 0) pthread_detach(thread);
  return code;
}

/* Copies the report, which is empty while the thread runs. */
static void sender_report(char *report) {
  pthread_mutex_lock(&sender.lock);
  memcpy(report, sender.report, sizeof sender.report);
  pthread_mutex_unlock(&sender.lock);
}

#endif
