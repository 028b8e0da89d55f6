import type { Digest, Health } from '../../protocol/index.ts'

/** A hook's word. `busy`: ask again later (exit 75, EX_TEMPFAIL of sysexits.h). */
export interface HookAnswer {
  readonly answer: 'ok' | 'busy' | 'failed'
  readonly reason: string
}

/** How a layer of this host is replaced. Every step may be repeated: a daemon that was killed in the middle of one does it again. */
export interface Driver {
  /** Recovers what is on disk, and adopts or starts the program of the current slot. */
  start(): Promise<void>
  /** Ends the watch over the program; ends the program too unless it is to be left running. */
  stop(options: { leaveRunning: boolean }): Promise<void>
  /**
   * Unpacks an image into a slot that is not in use. Afterwards the slot is complete on disk and read-only; a crash on the way leaves it empty.
   * A slot that holds the image already is used as it is.
   */
  stage(
    image: { digest: Digest },
    unpack: (directory: string, signal: AbortSignal) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void>
  ready(image: Digest, signal: AbortSignal): Promise<HookAnswer>
  drain(image: Digest, signal: AbortSignal): Promise<HookAnswer>
  /** Puts a drained program back in service by starting it afresh. */
  undrain(signal: AbortSignal): Promise<void>
  /** Makes the slot with this image current and runs it. A no-op where it is current and running. Throws `not-found` when no slot holds it. */
  flip(image: Digest, signal: AbortSignal): Promise<void>
  current(): {
    readonly digest: Digest | undefined
    readonly slot: string | undefined
    readonly previous: Digest | undefined
  }
  /** Images that are unpacked in a slot. */
  holds(): readonly Digest[]
  health(): { readonly health: Health; readonly reason: string }
  /** Called on every change of health. One listener; set before `start`. */
  onHealth(listener: () => void): void
}
