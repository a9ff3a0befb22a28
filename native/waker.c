/*
 * Wakes a thread by an async handle of its event loop, whose descriptor it polls in its ring while it is parked.
 *
 * Needs neither memory nor a ring, so that it never fails: for threads that have no io_uring, and messages between rings
 * that the kernel refuses. A message costs the woken thread less, since libuv need not be asked what came.
 */
#include "waker.h"

#include <pthread.h>
#include <stddef.h>

#include "directory.h"
#include "napi.h"

/* So that no handle is used once its thread has begun to close it. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uv_handle_t *wakers[SLOT_COUNT];

void waker_set(uint32_t slot, uv_handle_t *handle) {
  if (slot >= SLOT_COUNT) return;
  pthread_mutex_lock(&lock);
  wakers[slot] = handle;
  pthread_mutex_unlock(&lock);
}

void waker_send(uint32_t slot) {
  if (slot >= SLOT_COUNT) return;
  pthread_mutex_lock(&lock);
  if (wakers[slot]) uv_async_send(wakers[slot]);
  pthread_mutex_unlock(&lock);
}

/** directoryWake(slot: number): void — wakes the thread whose executor has that slot, if there is one. */
static napi_value directory_wake(napi_env env, napi_callback_info info) {
  ARGS(1);
  waker_send(arg_u32(env, argv[0]));
  return NULL;
}

/* The environment of an outsider ends, in whatever way. */
static void leave_directory(void *data) {
  volatile int32_t *slot = data;
  directory_end(slot);
  directory_tell(slot, NULL);
  directory_free(slot);
}

/**
 * directoryJoin(): number
 *
 * Gives this thread a slot of the directory though it has no executor, so that executors learn of its end: until its
 * environment ends. Returns the slot's index or -errno, -ENOSPC where no slot is free.
 */
static napi_value directory_join(napi_env env, napi_callback_info info) {
  (void)info;
  int32_t index = directory_claim(KIND_OUTSIDER);
  if (index >= 0)
    OK(napi_add_env_cleanup_hook(env, leave_directory, (void *)directory_slot((uint32_t)index)));
  return result_i32(env, index);
}

const struct export waker_exports[] = {
    {"directoryJoin", directory_join},
    {"directoryWake", directory_wake},
    {NULL, NULL},
};
