/*
 * The process directory.
 *
 * Mapped once for all threads, and for good: a thread that ends has to reach its peers when nothing of its
 * JavaScript is left. In a file, if that was asked for and can be, which other processes read (publish.c).
 */
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "directory.h"
#include "napi.h"
#include "publish.h"
#include "waker.h"

/* Values of WORD_HOLDER beside the id of the executor that lives there, and minus that once it has ended. */
enum { HOLDER_NONE = 0, HOLDER_COMING = INT32_MIN };

/* How often a message is tried, and how long one is waited for. */
enum { MESSAGE_TRIES = 100 };
static const double MESSAGE_NS = 10e6;

static const size_t DIRECTORY_BYTES = (size_t)SLOT_COUNT * SLOT_BYTES;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *directory;
static bool is_published;
static bool has_room[SLOT_COUNT]; /* of the file */

/* Of the directory's own slot: the generation that all others begin with. */
enum { HEADER_FIRST_GENERATION = 7 };

static char *map_private(void *where, size_t length) {
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (where ? MAP_FIXED : 0);
  char *mapping = mmap(where, length, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (mapping == MAP_FAILED) return NULL;
  /* A slot that is touched would take 2 MiB otherwise. */
  madvise(mapping, length, MADV_NOHUGEPAGE);
  return mapping;
}

static char *map_published(const char *folder, int32_t *error) {
  publish_clear(folder);
  char *mapping = publish_map(folder, DIRECTORY_BYTES, SLOT_BYTES, error);
  if (!mapping) return NULL;
  madvise(mapping, DIRECTORY_BYTES, MADV_NOHUGEPAGE);
  struct publication publication = publish_describe();
  int32_t *header = (int32_t *)mapping;
  header[HEADER_MAGIC] = DIRECTORY_MAGIC;
  header[HEADER_VERSION] = DIRECTORY_VERSION;
  header[HEADER_PID] = publication.pid;
  ((double *)mapping)[HEADER_START_TICKS] = publication.start_ticks;
  ((double *)mapping)[HEADER_PID_NAMESPACE] = publication.pid_namespace;
  *error = publish_name(&publication);
  return *error == 0 ? mapping : NULL;
}

/*
 * Any one, so that the ids of another copy of this library in the process, which has a directory of its own, are nobody's here,
 * and count as ended.
 */
static int32_t draw_generation(void) {
  uint32_t first = 0;
  if (getrandom(&first, sizeof first, GRND_NONBLOCK) < 0) first = (uint32_t)getpid();
  return (int32_t)(first % (GENERATION_MAX / 2));
}

/* Maps it, once; in a file of `folder` if that is not NULL. Returns 0, or why there is no file. */
static int32_t map_directory(const char *folder) {
  int32_t error = 0;
  pthread_mutex_lock(&lock);
  if (!directory) {
    char *mapping = folder ? map_published(folder, &error) : NULL;
    is_published = has_room[0] = mapping != NULL;
    if (!mapping) mapping = map_private(NULL, DIRECTORY_BYTES);
    if (mapping) ((int32_t *)mapping)[HEADER_FIRST_GENERATION] = draw_generation();
    /* ORDER: release what was done to the mapping; paired with the loads of other threads. */
    __atomic_store_n(&directory, mapping, __ATOMIC_RELEASE);
  }
  pthread_mutex_unlock(&lock);
  return error;
}

/* Sees that a slot may be touched: where the file can't grow it is in memory that no other process sees. */
static bool make_room(char *base, uint32_t index) {
  if (!is_published || __atomic_load_n(&has_room[index], __ATOMIC_ACQUIRE)) return true;
  size_t offset = (size_t)index * SLOT_BYTES;
  pthread_mutex_lock(&lock);
  if (!has_room[index] && publish_reserve(offset, SLOT_BYTES) == 0) {
    __atomic_store_n(&has_room[index], true, __ATOMIC_RELEASE);
  } else if (!has_room[index] && map_private(base + offset, SLOT_BYTES)) {
    /* Not where pages are larger than a slot. */
    __atomic_fetch_add(&((int32_t *)base)[HEADER_HIDDEN_COUNT], 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&has_room[index], true, __ATOMIC_RELEASE);
  }
  pthread_mutex_unlock(&lock);
  return has_room[index];
}

volatile int32_t *directory_slot(uint32_t index) {
  char *base = __atomic_load_n(&directory, __ATOMIC_ACQUIRE);
  if (!base) {
    map_directory(NULL);
    base = __atomic_load_n(&directory, __ATOMIC_ACQUIRE);
  }
  if (!base || index >= SLOT_COUNT || !make_room(base, index)) return NULL;
  return (volatile int32_t *)(base + (size_t)index * SLOT_BYTES);
}

static int32_t load(volatile const int32_t *word) { return __atomic_load_n(word, __ATOMIC_SEQ_CST); }

/* Empties a slot but for the line that tells whose it is. What late senders of its last holder add is heard for nothing. */
static void clear(volatile int32_t *words) {
  size_t line_bytes = 64, shared = WORD_HOLDER * sizeof *words;
  memset((void *)words, 0, shared);
  memset((char *)words + shared + line_bytes, 0, SLOT_BYTES - shared - line_bytes);
  ((volatile double *)words)[DOUBLE_DEADLINE_NS] = __builtin_inf();
  words[WORD_RING_FD] = -1;
}

int32_t directory_claim(int32_t kind) {
  volatile int32_t *header = directory_slot(0);
  if (!header) return -ENOMEM;
  for (int32_t index = 1; index < SLOT_COUNT; index++) {
    volatile int32_t *words = directory_slot((uint32_t)index);
    if (!words) return -ENOMEM;
    int32_t none = HOLDER_NONE;
    if (load(&words[WORD_HOLDER]) != HOLDER_NONE ||
        !__atomic_compare_exchange_n(&words[WORD_HOLDER], &none, HOLDER_COMING, false, __ATOMIC_SEQ_CST,
                                     __ATOMIC_SEQ_CST))
      continue;
    /* An id never names two executors: a slot that has had all of its ids is left as it is. */
    if (words[WORD_GENERATION] == GENERATION_MAX) continue;
    if (words[WORD_GENERATION] == 0) words[WORD_GENERATION] = header[HEADER_FIRST_GENERATION];
    int32_t generation = ++words[WORD_GENERATION];
    clear(words);
    words[WORD_KIND] = kind;
    int32_t used = load(&header[HEADER_USED_COUNT]);
    while (used <= index && !__atomic_compare_exchange_n(&header[HEADER_USED_COUNT], &used, index + 1, false,
                                                         __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
    }
    __atomic_store_n(&words[WORD_HOLDER], generation * SLOT_COUNT + index, __ATOMIC_SEQ_CST);
    return index;
  }
  return -ENOSPC;
}

void directory_end(volatile int32_t *words) {
  __atomic_store_n(&words[WORD_HOLDER], -load(&words[WORD_HOLDER]), __ATOMIC_SEQ_CST);
}

void directory_free(volatile int32_t *words) {
  __atomic_store_n(&words[WORD_HOLDER], HOLDER_NONE, __ATOMIC_SEQ_CST);
}

/* Adds the CPUs of a thread; returns the only one, or -1. */
static int32_t add_cpus_of(pid_t thread) {
  uint32_t mask[CPU_COUNT_MAX / 32] = {0};
  volatile int32_t *header = directory_slot(0);
  int32_t count = 0, cpu = -1;
  /* On more CPUs than that it fails, and nobody is ever found to be too many. */
  if (syscall(SYS_sched_getaffinity, thread, sizeof mask, mask) < 0) return -1;
  for (int32_t index = 0; index < CPU_COUNT_MAX / 32; index++) {
    if (mask[index] == 0) continue;
    cpu = index * 32 + __builtin_ctz(mask[index]);
    count += __builtin_popcount(mask[index]);
    __atomic_fetch_or(&header[HEADER_CPU_MASK + index], (int32_t)mask[index], __ATOMIC_RELAXED);
  }
  return count == 1 ? cpu : -1;
}

int32_t directory_add_cpus(void) {
  add_cpus_of(getpid());
  int32_t cpu = add_cpus_of(0), count = 0;
  volatile int32_t *header = directory_slot(0);
  for (int32_t index = 0; index < CPU_COUNT_MAX / 32; index++)
    count += __builtin_popcount((uint32_t)__atomic_load_n(&header[HEADER_CPU_MASK + index], __ATOMIC_RELAXED));
  /* What another thread adds at the same time it counts as well. */
  __atomic_store_n(&header[HEADER_CPU_COUNT], count, __ATOMIC_RELAXED);
  return cpu;
}

void directory_count_awake(int32_t change, int32_t cpu) {
  volatile int32_t *header = directory_slot(0);
  /* ORDER: none. Who spins looks again and again, and nothing but speed depends on what it sees. */
  __atomic_fetch_add(&header[HEADER_AWAKE_COUNT], change, __ATOMIC_RELAXED);
  if (cpu >= 0) __atomic_fetch_add(&header[HEADER_CPU_AWAKE + cpu], change, __ATOMIC_RELAXED);
}

bool directory_is_crowded(int32_t cpu) {
  volatile const int32_t *header = directory_slot(0);
  int32_t limit = __atomic_load_n(&header[HEADER_CPU_COUNT], __ATOMIC_RELAXED);
  int32_t quota = __atomic_load_n(&header[HEADER_CPU_QUOTA], __ATOMIC_RELAXED);
  if (quota > 0 && quota < limit) limit = quota;
  if (limit > 0 && __atomic_load_n(&header[HEADER_AWAKE_COUNT], __ATOMIC_RELAXED) > limit) return true;
  return cpu >= 0 && __atomic_load_n(&header[HEADER_CPU_AWAKE + cpu], __ATOMIC_RELAXED) > 1;
}

/*
 * Wakes whoever lives in a slot: by now that may be another than was found to sleep, and finds nothing. False where
 * that can't be done with `ring`.
 */
static bool wake(struct ring *ring, volatile const int32_t *words) {
  for (int tries = 0; tries < MESSAGE_TRIES; tries++) {
    int32_t holder = load(&words[WORD_HOLDER]);
    int32_t fd = load(&words[WORD_RING_FD]);
    uint32_t token = (uint32_t)load(&words[WORD_RING_TOKEN]);
    if (holder <= 0 || fd < 0) return true;
    /* ORDER: sequential, so that descriptor and token are those of the holder seen before and after. */
    if (load(&words[WORD_HOLDER]) != holder) continue;
    int32_t result = send_message(ring, fd, token, MESSAGE_NS);
    if (result == 0 || result == -EOVERFLOW) return true; /* whose queue is full wakes by itself */
    if (result != -ENOMEM && !may_retry(result)) break;
  }
  return false;
}

/* Rings inbox 0. Many do: each looks for a sleeper. */
static void ring_peers(volatile int32_t *words) {
  /* The order of ringDoorbell() in src/reactor/doorbell.ts. */
  __atomic_fetch_or(&words[CONTROL_BYTES / 4], 1, __ATOMIC_SEQ_CST);
  __atomic_fetch_or(&words[WORD_DOORBELL], 1, __ATOMIC_SEQ_CST);
}

void directory_tell(volatile const int32_t *own, struct ring *ring) {
  int32_t used = load(&directory_slot(0)[HEADER_USED_COUNT]);
  for (int32_t index = 1; index < used; index++) {
    volatile int32_t *words = directory_slot((uint32_t)index);
    if (!words || words == own || load(&words[WORD_HOLDER]) <= 0) continue;
    ring_peers(words);
    if (load(&words[WORD_SLEEPING]) != SLEEP_PARKED) continue;
    /* There is none, or it is broken. */
    if (!ring || !wake(ring, words)) waker_send((uint32_t)index);
  }
}

void directory_ring(int32_t id) {
  volatile int32_t *words = directory_slot((uint32_t)id % SLOT_COUNT);
  if (!words || load(&words[WORD_HOLDER]) != id) return;
  ring_peers(words);
  if (load(&words[WORD_SLEEPING]) == SLEEP_PARKED) waker_send((uint32_t)id % SLOT_COUNT);
}

static void drop_nothing(napi_env env, void *data, void *hint) { (void)env, (void)data, (void)hint; }

/** directorySlot(index): ArrayBuffer | number — the memory of a slot; or -errno. */
static napi_value directory_view(napi_env env, napi_callback_info info) {
  ARGS(1);
  volatile int32_t *words = directory_slot(arg_u32(env, argv[0]));
  if (!words) return result_i32(env, -ENOMEM);
  napi_value buffer = NULL;
  napi_status status =
      napi_create_external_arraybuffer(env, (void *)words, SLOT_BYTES, drop_nothing, NULL, &buffer);
  return status == napi_no_external_buffers_allowed ? result_i32(env, -EOPNOTSUPP) : buffer;
}

/* A path, as an argument; empty if it is too long. */
static void read_path(napi_env env, napi_value value, char *path, size_t length) {
  size_t written;
  OK(napi_get_value_string_utf8(env, value, path, length, &written));
  if (written + 1 >= length) path[0] = 0;
}

/**
 * directoryPublish(folder: string): number
 *
 * Maps the directory in a file of that folder (tmpfs), for its user's eyes alone, which is removed as this process exits.
 * Does nothing where it is mapped already. Returns 0; or -errno, and then it is in memory of this process alone.
 */
static napi_value directory_publish(napi_env env, napi_callback_info info) {
  ARGS(1);
  char folder[256];
  read_path(env, argv[0], folder, sizeof folder);
  return result_i32(env, map_directory(folder));
}

/**
 * directoryClear(folder: string): number
 *
 * Removes files that processes of this user have left there as they were killed. Returns how many, or -errno.
 */
static napi_value directory_clear(napi_env env, napi_callback_info info) {
  ARGS(1);
  char folder[256];
  read_path(env, argv[0], folder, sizeof folder);
  return result_i32(env, publish_clear(folder));
}

/** directoryLayout(): object — how the directory is laid out, by name. */
static napi_value directory_layout(napi_env env, napi_callback_info info) {
  (void)info;
  napi_value layout;
  OK(napi_create_object(env, &layout));
#define SHOW_FIELD(name, value) \
  OK(napi_set_named_property(env, layout, #name, result_i32(env, value)));
  DIRECTORY_FIELDS(SHOW_FIELD)
#undef SHOW_FIELD
  return layout;
}

const struct export directory_exports[] = {
    {"directorySlot", directory_view},
    {"directoryLayout", directory_layout},
    {"directoryPublish", directory_publish},
    {"directoryClear", directory_clear},
    {NULL, NULL},
};
