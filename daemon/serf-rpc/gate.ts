import { createHash, timingSafeEqual } from 'node:crypto'
import { TEXTS } from './texts.ts'

/** Who a client has shown to be: it greets first, then shows the token where one is asked for. */
export interface Gate {
  /** Why a command is refused, and whether the connection ends with it; undefined when it may run. */
  refusal(command: string): { readonly text: string; readonly last: boolean } | undefined
  /** What is wrong with a greeting; empty when it is good. */
  greet(version: number | bigint): string
  /** What is wrong with a token; empty when it is good. */
  show(token: string): string
  /** Greeted, and with the token where one is asked for. */
  open(): boolean
}

/** `token`: what clients have to show; undefined: nothing. */
export function createGate(token: string | undefined): Gate {
  let greeted = false
  let shown = token === undefined
  return {
    refusal(command) {
      if (command !== 'handshake' && !greeted) return { text: TEXTS.handshakeRequired, last: true }
      if (command !== 'handshake' && command !== 'auth' && !shown) return { text: TEXTS.authRequired, last: false }
      return undefined
    },
    greet(version) {
      if (version !== 1) return TEXTS.unsupportedVersion
      if (greeted) return TEXTS.duplicateHandshake
      greeted = true
      return ''
    },
    show(offered) {
      if (!same(offered, token ?? '')) return TEXTS.invalidToken
      shown = true
      return ''
    },
    open: () => greeted && shown,
  }
}

/** Compares in a time that says nothing of where two texts differ. */
function same(a: string, b: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(a), digest(b))
}
