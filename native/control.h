/*
 * The control block: what the loop hook and the executor tell each other, and what other threads tell them.
 *
 * ABI: the same layout as in src/kernel/loop-control.ts, which says what each field means and which thread writes it.
 */
#ifndef PERCORE_CONTROL_H
#define PERCORE_CONTROL_H

/* Fields of 32 bits, by index; some are the first of one per ring. */
#define CONTROL_WORDS(FIELD)  \
  FIELD(WORD_RUNNABLE, 0)     \
  FIELD(WORD_LIVE, 1)         \
  FIELD(WORD_ARMED, 2)        \
  FIELD(WORD_HOST_READY, 3)   \
  FIELD(WORD_LEAVE, 4)        \
  FIELD(WORD_REFERENCED, 5)   \
  FIELD(WORD_ENTER_ERROR, 6)  \
  FIELD(WORD_MORE, 8)         \
  FIELD(WORD_FOREIGN, 11)     \
  FIELD(WORD_BACKGROUND, 16)  \
  FIELD(WORD_CLOSING, 19)     \
  FIELD(WORD_TURN_SEQUENCE, 32) \
  FIELD(WORD_DOORBELL, 64)    \
  FIELD(WORD_SLEEPING, 80)    \
  FIELD(WORD_HOLDER, 144)     \
  FIELD(WORD_GENERATION, 145) \
  FIELD(WORD_RING_FD, 146)    \
  FIELD(WORD_RING_TOKEN, 147) \
  FIELD(WORD_KIND, 148)

/* Fields of 64 bits, by index into the same block seen as doubles. */
#define CONTROL_DOUBLES(FIELD)         \
  FIELD(DOUBLE_NOW_NS, 20)             \
  FIELD(DOUBLE_TURN_END_NS, 48)        \
  FIELD(DOUBLE_DEADLINE_NS, 49)        \
  FIELD(DOUBLE_SPIN_NS, 50)            \
  FIELD(DOUBLE_START_NS, 51)           \
  FIELD(DOUBLE_LEFT_NS, 52)            \
  FIELD(DOUBLE_AWAKE_NS, 53)           \
  FIELD(DOUBLE_QUIET_NS, 54)           \
  FIELD(DOUBLE_PARKED_NS, 56)          \
  FIELD(DOUBLE_SPUN_NS, 57)            \
  FIELD(DOUBLE_ENTERS, 58)             \
  FIELD(DOUBLE_TURNS, 59)              \
  FIELD(DOUBLE_PARKS, 60)              \
  FIELD(DOUBLE_HOST_CONTESTED_NS, 61)  \
  FIELD(DOUBLE_HOST_ALONE_NS, 62)      \
  FIELD(DOUBLE_HOST_VISITS, 63)        \
  FIELD(DOUBLE_CROWDED, 64)

#define CONTROL_FIELD(name, index) name = index,
enum { CONTROL_WORDS(CONTROL_FIELD) CONTROL_BYTES = 10 * 64 };
enum { CONTROL_DOUBLES(CONTROL_FIELD) };
#undef CONTROL_FIELD

/* What other threads write has a line of 64 bytes of its own. */
#define LINE_OF_WORD(index) ((index) / 16)
_Static_assert(LINE_OF_WORD(WORD_CLOSING + 2) < LINE_OF_WORD(WORD_TURN_SEQUENCE), "the watchdog reads a line of its own");
_Static_assert(LINE_OF_WORD(WORD_TURN_SEQUENCE) == LINE_OF_WORD(DOUBLE_NOW_NS * 2), "and all it wants is there");
_Static_assert(LINE_OF_WORD(WORD_DOORBELL) != LINE_OF_WORD(WORD_SLEEPING), "a sender that rings spares the sleep word");
_Static_assert(LINE_OF_WORD(WORD_SLEEPING) < LINE_OF_WORD(DOUBLE_TURN_END_NS * 2), "senders touch no line of the hook's");
_Static_assert(LINE_OF_WORD(WORD_HOLDER) > LINE_OF_WORD(DOUBLE_CROWDED * 2), "what hardly changes is read by all");
_Static_assert((WORD_KIND + 1) * 4 <= CONTROL_BYTES, "every field is within the block");

/* Values of WORD_SLEEPING. */
enum { SLEEP_NO = 0, SLEEP_PARKED = 1 };
/* Values of WORD_KIND. */
enum { KIND_EXECUTOR = 0, KIND_OUTSIDER = 1 };
/* Values of WORD_LEAVE. */
enum { LEAVE_ALONE = 1, LEAVE_CONTESTED = 2 };

#endif
