import type { Context } from './context.ts'

/** One line that is redrawn in place, for a person who waits. Writes to standard error, and nothing where that is no terminal. */
export interface ProgressLine {
  draw(text: string): void
  clear(): void
}

export function progressLine({ json, terminal: { stderr } }: Context): ProgressLine {
  const shown = stderr.isTTY === true && !json
  return {
    draw: text => void (shown && stderr.write(`\r\x1b[K${text.slice(0, (stderr.columns || 80) - 1)}`)),
    clear: () => void (shown && stderr.write('\r\x1b[K')),
  }
}

const BAR = 24

/** `share` is 0 to 1. */
export function bar(share: number, width = BAR): string {
  const full = Math.round(Math.max(0, Math.min(1, share)) * width)
  return '█'.repeat(full) + '░'.repeat(width - full)
}
