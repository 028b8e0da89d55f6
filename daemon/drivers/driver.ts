import { type Digest, FleetError, type Health, type Millis, toFleetError } from '../../protocol/index.ts'
import type { SlotMark } from '../../rollout/index.ts'

/** A hook's word. `busy`: ask again later (exit 75, EX_TEMPFAIL of sysexits.h). */
export interface HookAnswer {
  readonly answer: 'ok' | 'busy' | 'failed'
  /** How it ended, with the last line of its output: one sentence for an operator. */
  readonly reason: string
}

/** What the program of a layer does at this moment. `backoff`: it ended by itself and waits to be started again. */
export interface ProgramState {
  readonly state: 'stopped' | 'starting' | 'running' | 'backoff' | 'stopping'
  readonly reason: string
  /** The leader of its process group, while it runs. */
  readonly pid: number | undefined
}

export interface SlotInfo {
  /** `a`, `b`, ... */
  readonly name: string
  /** Undefined while the slot is empty or being filled. */
  readonly digest: Digest | undefined
  readonly role: 'current' | 'previous' | 'kept' | 'empty'
}

/** How a layer of this host is replaced. Every step may be repeated: a daemon that was killed in the middle of one does it again. */
export interface Driver {
  /** Recovers what is on disk, and adopts or starts the program of the current slot. Throws `corrupt` where the slots' state does not make sense. */
  start(): Promise<void>
  /** Ends staging and the watch over the program; ends the program too unless it is to be left running. Nothing can be done with the driver afterwards. */
  stop(options: { leaveRunning: boolean }): Promise<void>
  /**
   * Unpacks an image into a slot that is neither current nor, where there is another, previous. Afterwards the slot is complete
   * on disk and read-only; whatever ends it on the way leaves the slot empty. A slot that holds the image already is used as it
   * is. Goes on beside flips; one staging at a time.
   */
  stage(
    image: { digest: Digest },
    unpack: (directory: string, signal: AbortSignal) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void>
  /** Whether the layer may be taken out of service for `image` now. `ok` where there is no such hook or nothing runs yet. */
  ready(image: Digest, signal: AbortSignal): Promise<HookAnswer>
  /** Takes the program out of service, so that it can be stopped without anybody noticing. `ok` as with `ready`. */
  drain(image: Digest, signal: AbortSignal): Promise<HookAnswer>
  /** Puts a drained program back in service by starting it afresh. */
  undrain(signal: AbortSignal): Promise<void>
  /**
   * Makes the slot with this image current and runs it; resolves when the program was started, which does not yet make it
   * healthy. A no-op where it is current and running. Once begun it is not cancelled: half a flip helps nobody. Where the new
   * slot cannot be made current, the program that ran before is started again. `within`: how long the image will be given to prove itself,
   * in milliseconds. Throws `not-found` when no slot holds the image, `refused` when it is no use to try it again, and what `busy` makes
   * when it is to be tried again later.
   */
  flip(image: Digest, signal: AbortSignal, within?: number): Promise<void>
  /** What runs now is to stay: nothing may go back by itself any more. Before the permit is given back, and again when nothing is bound. */
  settle(): Promise<void>
  current(): {
    readonly digest: Digest | undefined
    readonly slot: string | undefined
    readonly previous: Digest | undefined
    readonly directory: string | undefined
    /** When it became current; undefined where that is not known. */
    readonly since: Millis | undefined
    readonly marks: readonly SlotMark[]
  }
  /**
   * Changes the marks of the current slot. A marked slot is not taken for one that holds its image: the image is staged into another, and flipping to
   * that is what ends the marks.
   */
  mark(change: (marks: readonly SlotMark[]) => readonly SlotMark[]): Promise<void>
  /** Gives the owner of the current slot's content the right to write in it. */
  open(): Promise<void>
  /** The end of what the program has written, at most so many bytes. */
  output(bytes: number): Promise<string>
  slots(): readonly SlotInfo[]
  /** Images that are unpacked in a slot. */
  holds(): readonly Digest[]
  state(): ProgramState
  /**
   * `passing`: the program runs, each check has passed since it was started, and none is past its failures. `failing`: the
   * program does not run, or a check has failed as often in a row as it may. `unknown`: nothing is installed, or a check has yet to pass.
   */
  health(): { readonly health: Health; readonly reason: string }
  /** Called on every change of health or state, and once at once. One listener; the latest replaces the one before. */
  onHealth(listener: () => void): void
}

/** What a driver throws that is to be asked again later, for as long as that takes. */
export const busy = (reason: string): FleetError => new FleetError('unavailable', reason, { detail: { busy: true } })

/** Why a flip came to nothing, as the replacement machine tells it apart. */
export function flipFailure(error: unknown): { why: 'busy' | 'refused' | 'failed'; reason: string } {
  const { code, message, detail } = toFleetError(error)
  return { why: detail.busy === true ? 'busy' : code === 'refused' ? 'refused' : 'failed', reason: message }
}
