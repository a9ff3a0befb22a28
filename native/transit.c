/*
 * Descriptors on their way from one thread to another, and descriptors of one socket that several threads have.
 *
 * One table for the process, behind one lock that is held for a few instructions or one system call. Its places
 * have names: a place, and a generation that no use of the table repeats, so that who comes late with a name finds
 * nothing, whatever the place holds by then. Generations begin anywhere, so that the names of another process, or
 * of another copy of this library in the process, are not taken for ours.
 */
#include "transit.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

enum { PLACE_BITS = 21, PLACES_MAX = 1 << PLACE_BITS, GENERATION_MASK = 0x7fffffff };

/* A descriptor of a shared socket, and the loop that closes it. */
struct member {
  struct member *next;
  struct loop *loop;
  int fd;
};

struct place {
  enum { FREE, PASSED, SHARED } use;
  uint32_t generation;
  uint32_t next_free;
  int fd;                 /* passed: the descriptor */
  struct loop *loop;      /* passed: the loop whose end closes it, or NULL for that of the process */
  struct member *members; /* shared: never none */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct place *places;
static uint32_t place_count;
static uint32_t free_place = PLACES_MAX; /* the first, or none */
static uint32_t generation;

static double name_of(const struct place *place) {
  return (double)place->generation * PLACES_MAX + (double)(place - places);
}

/* The place of that name, or NULL. The lock is held. */
static struct place *find(double name, int use) {
  if (!(name >= 0 && name < 9007199254740992.0)) return NULL;
  uint64_t bits = (uint64_t)name;
  uint32_t index = (uint32_t)(bits & (PLACES_MAX - 1));
  if (index >= place_count) return NULL;
  struct place *place = &places[index];
  return place->use == (unsigned)use && place->generation == bits >> PLACE_BITS ? place : NULL;
}

/* A free place, or NULL if there are too many. The lock is held. */
static struct place *take_place(int use) {
  if (free_place == PLACES_MAX) {
    if (place_count == PLACES_MAX) return NULL;
    if (!places && getrandom(&generation, sizeof generation, GRND_NONBLOCK) < 0) generation = (uint32_t)getpid();
    uint32_t count = place_count ? place_count * 2 : 16;
    places = realloc(places, count * sizeof *places);
    if (!places) abort();
    for (uint32_t i = place_count; i < count; i++)
      places[i] = (struct place){.use = FREE, .next_free = i + 1 < count ? i + 1 : PLACES_MAX};
    free_place = place_count;
    place_count = count;
  }
  struct place *place = &places[free_place];
  free_place = place->next_free;
  place->use = (unsigned)use;
  place->generation = generation++ & GENERATION_MASK;
  return place;
}

static void free_up(struct place *place) {
  place->use = FREE;
  place->next_free = free_place;
  free_place = (uint32_t)(place - places);
}

static void add_member(struct place *place, struct loop *loop, int fd) {
  struct member *member = malloc(sizeof *member);
  if (!member) abort();
  *member = (struct member){.next = place->members, .loop = loop, .fd = fd};
  place->members = member;
}

/* Takes those members off that are of `loop`, and have `fd` unless that is -1. The lock is held. */
static void remove_members(struct place *place, const struct loop *loop, int fd) {
  struct member **at = &place->members;
  while (*at) {
    struct member *member = *at;
    if (member->loop != loop || (fd >= 0 && member->fd != fd)) {
      at = &member->next;
      continue;
    }
    *at = member->next;
    free(member);
  }
  if (!place->members) free_up(place);
}

void transit_end(struct loop *loop) {
  pthread_mutex_lock(&lock);
  for (uint32_t i = 0; i < place_count; i++) {
    struct place *place = &places[i];
    if (place->use == SHARED) {
      remove_members(place, loop, -1);
    } else if (place->use == PASSED && place->loop == loop) {
      descriptors_set(&loop->tracked, (uint32_t)place->fd, true); /* closed with the others, without the lock */
      free_up(place);
    }
  }
  pthread_mutex_unlock(&lock);
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
  pthread_mutex_lock(&lock);
  struct place *place = take_place(PASSED);
  double name = -ENOSPC;
  if (place) {
    place->fd = fd;
    place->loop = arg_i32(env, argv[2]) ? NULL : loop;
    name = name_of(place);
    descriptors_set(&loop->tracked, (uint32_t)fd, false);
  }
  pthread_mutex_unlock(&lock);
  return result_f64(env, name);
}

/* The descriptor of that name, which is nobody's then; or -ENOENT. */
static int take_passed(double name) {
  pthread_mutex_lock(&lock);
  struct place *place = find(name, PASSED);
  int fd = -ENOENT;
  if (place) {
    fd = place->fd;
    free_up(place);
  }
  pthread_mutex_unlock(&lock);
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
  pthread_mutex_lock(&lock);
  struct place *place = take_place(SHARED);
  double name = -ENOSPC;
  if (place) {
    place->members = NULL;
    add_member(place, loop, fd);
    name = name_of(place);
  }
  pthread_mutex_unlock(&lock);
  return result_f64(env, name);
}

/** loopJoinFd(loop, name): number — a descriptor of its own of a shared file, tracked; -ENOENT once all are closed. */
static napi_value loop_join_fd(napi_env env, napi_callback_info info) {
  ARGS(2);
  struct loop *loop = arg_loop(env, argv[0]);
  if (!loop) return result_i32(env, -ECANCELED);
  double name = arg_f64(env, argv[1]);
  pthread_mutex_lock(&lock);
  struct place *place = find(name, SHARED);
  int fd = -ENOENT;
  if (place) {
    /* Under the lock no member closes its own. */
    fd = fcntl(place->members->fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0) fd = -errno;
    else add_member(place, loop, fd);
  }
  pthread_mutex_unlock(&lock);
  if (fd >= 0) descriptors_set(&loop->tracked, (uint32_t)fd, true);
  return result_i32(env, fd);
}

/** loopLeaveFd(loop, name, fd): void — `fd`, of a shared file, is about to be closed. */
static napi_value loop_leave_fd(napi_env env, napi_callback_info info) {
  ARGS(3);
  struct loop *loop = arg_loop(env, argv[0]);
  if (!loop) return NULL;
  pthread_mutex_lock(&lock);
  struct place *place = find(arg_f64(env, argv[1]), SHARED);
  if (place) remove_members(place, loop, arg_i32(env, argv[2]));
  pthread_mutex_unlock(&lock);
  return NULL;
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
