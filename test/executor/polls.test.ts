/** What a turn looks at before it ends, on a thread that spins. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Poll, type PollSources, Polls } from '../../src/executor/polls.ts'

class Watched implements Poll {
  lookCount = 0
  readonly calls: string[] = []
  readonly #newsAt: number

  constructor(newsAt = Number.POSITIVE_INFINITY) {
    this.#newsAt = newsAt
  }

  get hasNews(): boolean {
    return ++this.lookCount >= this.#newsAt
  }

  goOn(): void {
    this.calls.push('goOn')
  }

  ask(): void {
    this.calls.push('ask')
  }
}

interface Scene extends PollSources {
  maySpin: boolean
  doorbell: { hasRung: boolean }
  main: { unsubmittedCount: number; readyCount: number }
}

function open(change: (scene: Scene) => void = () => {}): { polls: Polls; scene: Scene } {
  const scene: Scene = {
    maySpin: true,
    doorbell: { hasRung: false },
    main: { unsubmittedCount: 0, readyCount: 0 },
  }
  change(scene)
  const polls = new Polls(scene)
  polls.open()
  return { polls, scene }
}

test('run() looks until one has news, which goes on and is looked at no longer', () => {
  const { polls } = open()
  const [first, second] = [new Watched(), new Watched(20)]
  assert.ok(polls.add(first))
  assert.ok(polls.add(second))

  assert.equal(polls.run(), true)
  assert.deepEqual([first.calls, second.calls, second.lookCount], [[], ['goOn'], 20])
  polls.close()

  assert.deepEqual([first.calls, second.calls], [['ask'], ['goOn']])
})

test('run() ends where nothing comes, and close() has everyone ask once', () => {
  const { polls } = open()
  const poll = new Watched()
  polls.add(poll)

  assert.equal(polls.run(), false)
  polls.close()
  polls.close()

  assert.deepEqual(poll.calls, ['ask'])
  assert.ok(poll.lookCount > 0)
})

const WANTED: Record<string, (scene: Scene) => void> = {
  'the doorbell has rung': ({ doorbell }) => {
    doorbell.hasRung = true
  },
  'completions wait': ({ main }) => {
    main.readyCount = 1
  },
  'entries wait to be submitted': ({ main }) => {
    main.unsubmittedCount = 1
  },
}

for (const [why, change] of Object.entries(WANTED)) {
  test(`run() gives up as ${why}`, () => {
    const { polls } = open(change)
    const poll = new Watched(20)
    polls.add(poll)

    assert.equal(polls.run(), false)
    assert.ok(poll.lookCount < 2)
  })
}

test('add() takes nobody where the thread does not spin, between turns, and beyond a few', () => {
  const still = open((scene) => {
    scene.maySpin = false
  })
  assert.equal(still.polls.add(new Watched()), false)

  const { polls } = open()
  const all = Array.from({ length: 6 }, () => polls.add(new Watched()))
  assert.deepEqual(all, [true, true, true, true, false, false])
  polls.close()

  assert.equal(polls.add(new Watched()), false)
})

test('what asks as the turn ends is not looked at again', () => {
  const { polls } = open()
  const poll = new Watched()
  poll.ask = () => {
    poll.calls.push('ask')
    assert.equal(polls.add(poll), false)
  }
  polls.add(poll)

  polls.close()

  assert.deepEqual([poll.calls, polls.size], [['ask'], 0])
})
