import { describe } from 'vitest'
import { noBrowser } from './support.ts'

/** `describe`, skipped with a line where no browser can be started. */
export function describeInBrowser(what: string, tests: () => void): void {
  const missing = noBrowser()
  if (missing !== undefined) console.log(`${what} is not tested: ${missing}`)
  describe.skipIf(missing !== undefined)(what, tests)
}
