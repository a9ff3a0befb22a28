/*
 * Memory that one thread lends to another.
 *
 * The borrower sees an ArrayBuffer of its own on the lender's memory, which stays mapped as long as anybody looks at it, also when
 * the lender's thread has ended. A part goes back when the borrower returns it: its ArrayBuffer is detached then, so that nothing
 * there shows what the memory holds next. Where the borrower's code has detached that itself, to have the memory for longer, and
 * where its thread ends, it goes back with the last view.
 */
#include "loans.h"

#include <stdlib.h>

#include "directory.h"
#include "places.h"
#include "share.h"

/* How a lender and one of its inboxes are told in one number. */
enum { INBOXES = INBOX_BYTES * 8 };

struct loan {
  struct link of_owner; /* of what it has lent, or of what has come back */
  double name;
  struct arena *arena;
  size_t offset; /* a multiple of UNIT_BYTES */
  size_t skip;   /* from there to where the part begins */
  size_t length;
  struct loop *owner; /* NULL once that has ended */
  int32_t owner_id, inbox;
  enum { OFFERED, BORROWED, RETURNED } state;
};

/* Ends a loan that its owner has no part in any more. */
static void forget(struct loan *loan) {
  arena_release(loan->arena);
  free(loan);
}

/* Whom to tell, as `id * INBOXES + inbox`, or 0 for nobody. The lock is held, but not when this returns. */
static double give_back(struct loan *loan) {
  if (loan->owner) {
    double told = (double)loan->owner_id * INBOXES + loan->inbox;
    link_remove(&loan->of_owner);
    link_add(&loan->owner->returned, &loan->of_owner);
    loan->state = RETURNED;
    places_unlock();
    return told;
  }
  place_free(loan->name);
  places_unlock();
  forget(loan);
  return 0;
}

void loan_over(struct arena *arena) {
  places_lock();
  struct loan *loan = place_find(arena->loan, PLACE_LENT);
  /* What was returned in time is not there any more, or not borrowed. */
  if (!loan || loan->state != BORROWED) {
    places_unlock();
    return;
  }
  double told = give_back(loan);
  if (told > 0) directory_ring((int32_t)(told / INBOXES));
}

void loans_end(struct loop *loop) {
  for (;;) {
    places_lock();
    struct link **list = loop->returned ? &loop->returned : &loop->lent;
    struct loan *loan = (struct loan *)*list;
    if (!loan) break;
    link_remove(&loan->of_owner);
    loan->owner = NULL;
    bool is_over = loan->state != BORROWED;
    if (is_over) place_free(loan->name);
    places_unlock();
    if (is_over) forget(loan);
  }
  places_unlock();
}

/**
 * loopLendMemory(loop, memory: External, offset, lengthBytes, inbox): number
 *
 * Offers a part of an arena to whoever takes it by the name that this returns; or -errno. It stays as it is until
 * loopTakeReturned() says so, for which that inbox of the loop's executor is to be rung.
 */
static napi_value loop_lend_memory(napi_env env, napi_callback_info info) {
  ARGS(5);
  struct loop *loop = arg_loop(env, argv[0]);
  struct arena *arena = arg_arena(env, argv[1]);
  if (!loop || !arena) return result_i32(env, -ECANCELED);
  struct loan *loan = calloc(1, sizeof *loan);
  if (!loan) abort();
  size_t start = (size_t)arg_f64(env, argv[2]);
  loan->arena = arena;
  loan->skip = start % UNIT_BYTES;
  loan->offset = start - loan->skip;
  loan->length = (size_t)arg_f64(env, argv[3]);
  loan->owner = loop;
  loan->owner_id = loop->words[WORD_HOLDER];
  loan->inbox = arg_i32(env, argv[4]);
  arena_retain(arena);
  places_lock();
  double name = loan->name = place_take(PLACE_LENT, loan);
  if (name >= 0) link_add(&loop->lent, &loan->of_owner);
  places_unlock();
  if (name < 0) forget(loan);
  return result_f64(env, name);
}

/**
 * memoryBorrow(name): Uint8Array | number
 *
 * Takes what loopLendMemory() has offered by that name, which is good once: an array with an ArrayBuffer of its own; or -errno.
 */
static napi_value memory_borrow(napi_env env, napi_callback_info info) {
  ARGS(1);
  double name = arg_f64(env, argv[0]);
  struct arena *part = calloc(1, sizeof *part);
  if (part) part->shares = calloc(1, sizeof *part->shares);
  if (!part || !part->shares) abort();
  places_lock();
  struct loan *loan = place_find(name, PLACE_LENT);
  bool is_good = loan && loan->state == OFFERED;
  size_t skip = 0, length = 0;
  if (is_good) {
    loan->state = BORROWED;
    skip = loan->skip;
    length = loan->length;
    part->lender = loan->arena;
    arena_retain(loan->arena);
    part->base = loan->arena->base + loan->offset;
  }
  places_unlock();
  if (!is_good) {
    free(part->shares);
    free(part);
    return result_i32(env, -ENOENT);
  }
  part->references = 1;
  part->length = skip + length;
  part->loan = name;
  napi_value buffer = share_part(env, part, 0, part->length), view = NULL;
  /* From now on the ArrayBuffer holds it; if there is none, as a worker is being terminated, the part goes back. */
  arena_release(part);
  napi_valuetype type;
  if (!buffer || napi_typeof(env, buffer, &type) != napi_ok || type != napi_object) return buffer;
  if (napi_create_typedarray(env, napi_uint8_array, length, buffer, skip, &view) != napi_ok) return NULL;
  return view;
}

/**
 * memoryReturn(name, buffer: ArrayBuffer): number
 *
 * Detaches what memoryBorrow() gave, and gives it back: whom to ring, as `id * 4096 + inbox`; 0 for nobody, also where the
 * ArrayBuffer was detached before: then it goes back once that memory has been collected.
 */
static napi_value memory_return(napi_env env, napi_callback_info info) {
  ARGS(2);
  bool is_detached = true;
  OK(napi_is_detached_arraybuffer(env, argv[1], &is_detached));
  if (is_detached || napi_detach_arraybuffer(env, argv[1]) != napi_ok) return result_i32(env, 0);
  places_lock();
  struct loan *loan = place_find(arg_f64(env, argv[0]), PLACE_LENT);
  if (loan && loan->state == BORROWED) return result_f64(env, give_back(loan));
  places_unlock();
  return result_i32(env, 0);
}

/** memoryDropLoan(name): number — takes an offer back that nobody has taken: whom to ring, as above; or -ENOENT. */
static napi_value memory_drop_loan(napi_env env, napi_callback_info info) {
  ARGS(1);
  places_lock();
  struct loan *loan = place_find(arg_f64(env, argv[0]), PLACE_LENT);
  if (loan && loan->state == OFFERED) return result_f64(env, give_back(loan));
  places_unlock();
  return result_i32(env, -ENOENT);
}

/** loopTakeReturned(loop): number — the name of a part that has come back, each once; or -ENOENT. */
static napi_value loop_take_returned(napi_env env, napi_callback_info info) {
  ARGS(1);
  struct loop *loop = arg_loop(env, argv[0]);
  if (!loop) return result_i32(env, -ECANCELED);
  places_lock();
  struct loan *loan = (struct loan *)loop->returned;
  double name = -ENOENT;
  if (loan) {
    name = loan->name;
    link_remove(&loan->of_owner);
    place_free(name);
  }
  places_unlock();
  if (loan) forget(loan);
  return result_f64(env, name);
}

const struct export loan_exports[] = {
    {"loopLendMemory", loop_lend_memory},
    {"memoryBorrow", memory_borrow},
    {"memoryReturn", memory_return},
    {"memoryDropLoan", memory_drop_loan},
    {"loopTakeReturned", loop_take_returned},
    {NULL, NULL},
};
