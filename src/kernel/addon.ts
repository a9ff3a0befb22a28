import { createRequire } from 'node:module'
import { RuntimeError } from '../base/index.ts'
import { DIRECTORY_LAYOUT } from './directory.ts'
import type { CallDone, SubmitRing } from './kernel.ts'
import { assertSameLayout } from './loop-control.ts'

/** Opaque handle of a hooked loop. */
export type NativeLoop = { readonly __loop: unique symbol }

/** Opaque handle of a mapping. */
export type NativeMemory = { readonly __memory: unique symbol }

type Words = Uint8Array | Uint32Array | Int32Array

/** What the native layer exports; each function's contract is beside its C. */
export interface Addon {
  ringSetup(entryCount: number, params: Uint32Array): number
  ringEnter(fd: number, submit: number, wait: number, flags: number, timeoutNs: number): number
  ringRegister(fd: number, opcode: number, argument: Words | null, count: number): number
  ringMap(fd: number, offset: number, lengthBytes: number): ArrayBuffer | number
  memoryMap(lengthBytes: number, alignmentBytes: number): NativeMemory | number
  memoryWhole(memory: NativeMemory): ArrayBuffer | number
  memoryShare(memory: NativeMemory, offset: number, lengthBytes: number): ArrayBuffer | number
  memoryShareCount(memory: NativeMemory, offset: number): number
  memoryDetach(buffer: ArrayBuffer): void
  memoryBorrow(name: number): Uint8Array | number
  memoryReturn(name: number, buffer: ArrayBufferLike): number
  memoryDropLoan(name: number): number
  memoryLeftBytes(): number
  memoryAddress(view: Words): number
  memoryAdvise(view: Words, advice: number): number
  socketOpen(domain: number, type: number, protocol: number): number
  socketOpenPair(domain: number, type: number, fds: Int32Array): number
  socketBind(fd: number, address: Uint8Array): number
  socketListen(fd: number, backlog: number): number
  socketSetOption(fd: number, level: number, name: number, value: Uint8Array): number
  socketGetOption(fd: number, level: number, name: number, value: Uint8Array): number
  socketName(fd: number, peer: number, address: Uint8Array): number
  clockReader(target: Float64Array): () => void
  fdClose(fd: number): number
  fdControl(fd: number, command: number, argument: number): number
  fdFileSystem(fd: number): number
  fdSeek(fd: number, positionBytes: number): number
  asideReadDirectory(fd: number, target: Uint8Array, done: CallDone): number
  asideReadLink(fd: number, target: Uint8Array, done: CallDone): number
  asideCopyRange(
    fromFd: number,
    fromBytes: number,
    toFd: number,
    toBytes: number,
    lengthBytes: number,
    done: CallDone,
  ): number
  asideLock(fd: number, operation: number, done: CallDone): number
  asideChangeMode(fd: number, mode: number, done: CallDone): number
  asideChangeOwner(fd: number, userId: number, groupId: number, done: CallDone): number
  asideHintExtent(fd: number, sizeBytes: number, done: CallDone): number
  processLimit(resource: number, which: number): number
  processSetLimit(resource: number, soft: number): number
  threadId(): number
  threadAffinity(threadId: number, mask: Uint8Array): number
  threadSetAffinity(threadId: number, mask: Uint8Array): number
  memoryPolicy(nodes: Uint8Array): number
  memorySetPolicy(mode: number, nodes: Uint8Array): number
  memoryNodes(addresses: Float64Array, nodes: Int32Array): number
  directorySlot(index: number): ArrayBuffer | number
  directoryJoin(): number
  directoryWake(slot: number): void
  directoryPublish(folder: string): number
  directoryClear(folder: string): number
  directoryLayout(): Readonly<Record<string, number>>
  controlLayout(): Readonly<Record<string, number>>
  loopAttach(turn: () => void): NativeLoop | number
  loopSetupRing(loop: NativeLoop, entryCount: number, params: Uint32Array): number
  loopAddRing(loop: NativeLoop, description: Int32Array): SubmitRing | number
  loopKeepMemory(loop: NativeLoop, memory: NativeMemory): void
  loopReference(loop: NativeLoop): void
  loopDetach(loop: NativeLoop): void
  loopSlot(loop: NativeLoop): number
  loopHostFd(loop: NativeLoop): number
  loopHostIsDue(loop: NativeLoop): number
  loopTrackFd(loop: NativeLoop, fd: number, tracked: number): void
  loopOpenSocket(loop: NativeLoop, domain: number, type: number, protocol: number): number
  loopOpenSocketPair(loop: NativeLoop, domain: number, type: number, fds: Int32Array): number
  loopDuplicateFd(loop: NativeLoop, fd: number): number
  loopReceiveRights(loop: NativeLoop, fd: number, data: Uint8Array, rights: Int32Array): number
  loopCloseFd(loop: NativeLoop, fd: number): number
  loopPassFd(loop: NativeLoop, fd: number, outlives: number): number
  loopTakeFd(loop: NativeLoop, name: number): number
  loopShareFd(loop: NativeLoop, fd: number): number
  loopJoinFd(loop: NativeLoop, name: number): number
  loopLeaveFd(loop: NativeLoop, name: number, fd: number): number
  fdDropPassed(name: number): number
  loopLendMemory(
    loop: NativeLoop,
    memory: NativeMemory,
    offset: number,
    lengthBytes: number,
    inbox: number,
  ): number
  loopTakeReturned(loop: NativeLoop): number
}

let loaded: Addon | undefined

/**
 * The native layer of this platform, loaded once per thread.
 *
 * @throws {RuntimeError} `ERR_ADDON_MISSING` where there is no binary for it, or it can't be loaded.
 */
export function loadAddon(): Addon {
  if (loaded === undefined) {
    loaded = load()
    assertSameLayout(loaded.controlLayout())
    assertSameLayout(loaded.directoryLayout(), DIRECTORY_LAYOUT)
  }
  return loaded
}

function load(): Addon {
  const platform = `${process.platform}-${process.arch}`
  if (process.platform !== 'linux') {
    throw new RuntimeError(
      'ERR_ADDON_MISSING',
      `Cannot start: io_uring is a Linux interface, and this is ${platform}; run it in a Linux container or VM, or under simulate()`,
    )
  }
  try {
    // Within: where a bundler makes CommonJS, there is no such URL.
    const require = createRequire(import.meta.url)
    return require(`../../../prebuilds/${platform}/percore.node`) as Addon
  } catch (cause) {
    const cure = cureOf(cause as NodeJS.ErrnoException, platform)
    throw new RuntimeError(
      'ERR_ADDON_MISSING',
      `Cannot start: the native layer for ${platform} could not be loaded; ${cure}`,
      { cause },
    )
  }
}

/** Where this code is, unless somebody has bundled percore: alone, or in the file that threads load. */
const OWN_PLACES = /\/src\/(?:kernel\/addon|executor\/bundle)\./

/** What to do about an addon that does not load. */
function cureOf(cause: NodeJS.ErrnoException, platform: string): string {
  if (cause.code === 'ERR_DLOPEN_DISABLED') {
    return 'Node was told to load none: run it with --allow-addons beside --permission, and without --no-addons'
  }
  const url: string | undefined = import.meta.url
  if (url === undefined || !OWN_PLACES.test(url)) {
    return 'percore is in a bundle, which leaves it behind: mark percore as external (esbuild --external:percore) and install it beside, see docs/bundlers.md'
  }
  if (cause.code === 'MODULE_NOT_FOUND') {
    return `there is no prebuilds/${platform}/percore.node: install percore for this platform, or in a checkout run: npm run build`
  }
  return `the reason is: ${cause.message}`
}
