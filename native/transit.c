/* Descriptors on their way from one thread to another, and descriptors of one socket that several threads have. */
#include "transit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "places.h"

/* A descriptor that was let go of. */
struct passed {
  struct link of_loop; /* of the loop whose end closes it, unless that is the process's */
  double name;
  int fd;
};

/* A socket of several loops. */
struct shared {
  double name;
  struct member *members; /* never none */
};

/* A descriptor of it, and the loop that closes that. */
struct member {
  struct link of_loop;
  struct member *next;
  struct shared *shared;
  struct loop *loop;
  int fd;
};

static void *allocate(size_t length) {
  void *memory = calloc(1, length);
  if (!memory) abort();
  return memory;
}

static void add_member(struct shared *shared, struct loop *loop, int fd) {
  struct member *member = allocate(sizeof *member);
  member->next = shared->members;
  member->shared = shared;
  member->loop = loop;
  member->fd = fd;
  shared->members = member;
  link_add(&loop->joined, &member->of_loop);
}

/* O(members of that socket), of which a loop has one as a rule. The lock is held. */
static void remove_member(struct member *member) {
  struct shared *shared = member->shared;
  struct member **at = &shared->members;
  while (*at != member) at = &(*at)->next;
  *at = member->next;
  link_remove(&member->of_loop);
  free(member);
  if (shared->members) return;
  place_free(shared->name);
  free(shared);
}

/* O(what this loop has passed on or joined), however much others have. */
void transit_end(struct loop *loop) {
  places_lock();
  while (loop->joined) remove_member((struct member *)loop->joined);
  while (loop->passed) {
    struct passed *passed = (struct passed *)loop->passed;
    descriptors_set(&loop->tracked, (uint32_t)passed->fd, true); /* closed with the others, without the lock */
    link_remove(&passed->of_loop);
    place_free(passed->name);
    free(passed);
  }
  places_unlock();
}

/**
 * loopPassFd(loop, fd, outlives: 0 | 1): number
 *
 * Lets a tracked descriptor go without closing it: the name that loopTakeFd takes it by, in any thread, or -errno.
 * Until then it is closed with this loop, or with the process if it `outlives` the loop.
 */
static napi_value loop_pass_fd(napi_env env, napi_callback_info info) {
  ARGS(3);
  struct loop *loop = arg_loop(env, argv[0]);
  if (!loop) return result_i32(env, -ECANCELED);
  int fd = arg_i32(env, argv[1]);
  struct passed *passed = allocate(sizeof *passed);
  passed->fd = fd;
  places_lock();
  double name = passed->name = place_take(PLACE_PASSED, passed);
  if (name >= 0) {
    if (!arg_i32(env, argv[2])) link_add(&loop->passed, &passed->of_loop);
    descriptors_set(&loop->tracked, (uint32_t)fd, false);
  }
  places_unlock();
  if (name < 0) free(passed);
  return result_f64(env, name);
}

/* The descriptor of that name, which is nobody's then; or -ENOENT. */
static int take_passed(double name) {
  places_lock();
  struct passed *passed = place_find(name, PLACE_PASSED);
  int fd = -ENOENT;
  if (passed) {
    fd = passed->fd;
    link_remove(&passed->of_loop);
    place_free(name);
    free(passed);
  }
  places_unlock();
  return fd;
}

/** loopTakeFd(loop, name): number — takes over what loopPassFd let go, and tracks it; or -ENOENT. */
static napi_value loop_take_fd(napi_env env, napi_callback_info info) {
  ARGS(2);
  struct loop *loop = arg_loop(env, argv[0]);
  if (!loop) return result_i32(env, -ECANCELED);
  int fd = take_passed(arg_f64(env, argv[1]));
  if (fd >= 0) descriptors_set(&loop->tracked, (uint32_t)fd, true);
  return result_i32(env, fd);
}

/** fdDropPassed(name): number — closes what loopPassFd let go; or -ENOENT. */
static napi_value fd_drop_passed(napi_env env, napi_callback_info info) {
  ARGS(1);
  int fd = take_passed(arg_f64(env, argv[0]));
  return fd < 0 ? result_i32(env, fd) : result_syscall(env, close(fd));
}

/**
 * loopShareFd(loop, fd): number
 *
 * The name that loopJoinFd gets descriptors of the same file by, as long as this or one of those is open; or
 * -errno. Whoever closes one calls loopLeaveFd before.
 */
static napi_value loop_share_fd(napi_env env, napi_callback_info info) {
  ARGS(2);
  struct loop *loop = arg_loop(env, argv[0]);
  if (!loop) return result_i32(env, -ECANCELED);
  int fd = arg_i32(env, argv[1]);
  struct shared *shared = allocate(sizeof *shared);
  places_lock();
  double name = shared->name = place_take(PLACE_SHARED, shared);
  if (name >= 0) add_member(shared, loop, fd);
  places_unlock();
  if (name < 0) free(shared);
  return result_f64(env, name);
}

/** loopJoinFd(loop, name): number — a descriptor of its own of a shared file, tracked; -ENOENT once all are closed. */
static napi_value loop_join_fd(napi_env env, napi_callback_info info) {
  ARGS(2);
  struct loop *loop = arg_loop(env, argv[0]);
  if (!loop) return result_i32(env, -ECANCELED);
  double name = arg_f64(env, argv[1]);
  places_lock();
  struct shared *shared = place_find(name, PLACE_SHARED);
  int fd = -ENOENT;
  if (shared) {
    /* Under the lock no member closes its own. */
    fd = fcntl(shared->members->fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0) fd = -errno;
    else add_member(shared, loop, fd);
  }
  places_unlock();
  if (fd >= 0) descriptors_set(&loop->tracked, (uint32_t)fd, true);
  return result_i32(env, fd);
}

/** loopLeaveFd(loop, name, fd): number — `fd`, of a shared file, is about to be closed; whether others are left: 1 or 0. */
static napi_value loop_leave_fd(napi_env env, napi_callback_info info) {
  ARGS(3);
  struct loop *loop = arg_loop(env, argv[0]);
  if (!loop) return result_i32(env, 0);
  int fd = arg_i32(env, argv[2]);
  places_lock();
  struct shared *shared = place_find(arg_f64(env, argv[1]), PLACE_SHARED);
  struct member *member = shared ? shared->members : NULL;
  while (member && (member->loop != loop || member->fd != fd)) member = member->next;
  bool has_others = shared && (shared->members != member || (member && member->next));
  if (member) remove_member(member);
  places_unlock();
  return result_i32(env, has_others);
}

const struct export transit_exports[] = {
    {"loopPassFd", loop_pass_fd},
    {"loopTakeFd", loop_take_fd},
    {"fdDropPassed", fd_drop_passed},
    {"loopShareFd", loop_share_fd},
    {"loopJoinFd", loop_join_fd},
    {"loopLeaveFd", loop_leave_fd},
    {NULL, NULL},
};
