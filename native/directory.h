/* The process directory: a slot of one block of memory for each executor of the process. */
#ifndef PERCORE_DIRECTORY_H
#define PERCORE_DIRECTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "control.h"
#include "queues.h"

/*
 * ABI: the same as in src/kernel/directory.ts. The first slot is the directory's own. A slot begins with the
 * control block, then the inboxes; from the second page on it has counters.
 */
#define DIRECTORY_FIELDS(FIELD)      \
  FIELD(SLOT_COUNT, 1024)            \
  FIELD(SLOT_BYTES, 16384)           \
  FIELD(INBOX_BYTES, 512)            \
  FIELD(COUNTERS_OFFSET_BYTES, 4096) \
  FIELD(GENERATION_MAX, 0x1fffff)    \
  FIELD(DIRECTORY_MAGIC, 0x43524550) \
  FIELD(DIRECTORY_VERSION, 3)        \
  FIELD(HEADER_USED_COUNT, 0)        \
  FIELD(HEADER_MAGIC, 1)             \
  FIELD(HEADER_VERSION, 2)           \
  FIELD(HEADER_PID, 3)               \
  FIELD(HEADER_HIDDEN_COUNT, 4)      \
  FIELD(HEADER_WATCHDOG, 5)          \
  FIELD(HEADER_CAPTURING, 6)         \
  FIELD(HEADER_START_TICKS, 4)       \
  FIELD(HEADER_PID_NAMESPACE, 5)     \
  FIELD(HEADER_AWAKE_COUNT, 16)      \
  FIELD(HEADER_CPU_COUNT, 32)        \
  FIELD(HEADER_CPU_QUOTA, 33)        \
  FIELD(HEADER_CAPABILITIES, 48)     \
  FIELD(HEADER_CPU_MASK, 160)        \
  FIELD(HEADER_CPU_AWAKE, 192)       \
  FIELD(CPU_COUNT_MAX, 1024)

#define DIRECTORY_FIELD(name, value) name = value,
enum { DIRECTORY_FIELDS(DIRECTORY_FIELD) };
#undef DIRECTORY_FIELD

_Static_assert(CONTROL_BYTES + INBOX_BYTES <= COUNTERS_OFFSET_BYTES, "counters have pages of their own");
_Static_assert((HEADER_CPU_AWAKE + CPU_COUNT_MAX) * 4 <= SLOT_BYTES, "the first slot has room for a word per CPU");
_Static_assert((int64_t)GENERATION_MAX * SLOT_COUNT + SLOT_COUNT - 1 == INT32_MAX, "an id is a positive number");

/* The memory of a slot, of which nothing is mapped before it is first touched; NULL where there is no memory. */
volatile int32_t *directory_slot(uint32_t index);

/**
 * Takes a slot that nobody has, with a control block as it is at first, for an executor or an outsider (KIND_…). Returns the slot's index; -ENOSPC where
 * there is none, -ENOMEM where there is no memory.
 */
int32_t directory_claim(int32_t kind);

/* From now on nobody finds the executor; its slot stays as it is. */
void directory_end(volatile int32_t *words);

/**
 * Rings inbox 0 of every other live executor, and wakes those that are parked: with `ring`, of which nothing is in
 * flight any more, or by their event loops where that is NULL.
 */
void directory_tell(volatile const int32_t *words, struct ring *ring);

/* Rings inbox 0 of an executor, and wakes it if it is parked, by its event loop: for what is rare. */
void directory_ring(int32_t id);

/* Lets others take the slot. */
void directory_free(volatile int32_t *words);

/*
 * Adds the CPUs that the calling thread and the main thread may run on to those that the process has been seen to have.
 * Returns the one that the calling thread is bound to, or -1 where it may run on several.
 */
int32_t directory_add_cpus(void);

/*
 * Counts one more executor, 1, or one fewer, -1, among those that do not sleep; also among those of one CPU where its
 * thread may run on no other, else `cpu` is -1.
 */
void directory_count_awake(int32_t change, int32_t cpu);

/* Whether more executors than there are CPUs for do not sleep: one that spins takes another's then. */
bool directory_is_crowded(int32_t cpu);

#endif
