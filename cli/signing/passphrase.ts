import { FleetError } from '../../protocol/errors.ts'
import type { Context } from '../context.ts'

/** Asks at the terminal without showing what is typed. Undefined where nobody is there to answer. */
export function ask(question: string, { terminal }: Context): Promise<string | undefined> {
  const { stdin, stderr } = terminal
  if (stdin.isTTY !== true || stderr.isTTY !== true) return Promise.resolve(undefined)
  return new Promise((done, fail) => {
    let typed = ''
    const finish = (settle: () => void): void => {
      stdin.off('data', onData)
      stdin.setRawMode(false)
      stdin.pause()
      stderr.write('\n')
      settle()
    }
    const onData = (part: string): void => {
      for (const character of part) {
        if (character === '\r' || character === '\n') return finish(() => done(typed))
        if (character === '\u0003' || character === '\u0004')
          return finish(() => fail(new FleetError('bad-input', 'no passphrase was typed')))
        if (character === '\u007f' || character === '\b') typed = [...typed].slice(0, -1).join('')
        else typed += character
      }
    }
    // Echo is off before the question shows: who answers quickly is not seen either.
    stdin.setRawMode(true)
    stdin.setEncoding('utf8')
    stderr.write(question)
    stdin.on('data', onData)
    stdin.resume()
  })
}
