/**
 * The layers of a host share its permit, which names the host and not the layer: one of them at a time asks for it or is bound to it. Two that went
 * by one permit would leave the second out of service with none when the first gives it back.
 */
export interface Turns {
  /** Undefined: the turn is this layer's, until `end`. Otherwise the layer whose turn it is. */
  take(layer: string): string | undefined
  /** This layer was bound when the daemon started, and has the turn whatever the others do. */
  resume(layer: string): void
  end(layer: string): void
}

export function createTurns(): Turns {
  const held = new Set<string>()
  return {
    take(layer) {
      for (const other of held) if (other !== layer) return other
      held.add(layer)
      return undefined
    },
    resume: layer => void held.add(layer),
    end: layer => void held.delete(layer),
  }
}
