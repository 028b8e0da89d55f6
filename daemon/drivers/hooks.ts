import { StringDecoder } from 'node:string_decoder'
import { type CommandEnd, type CommandRun, runCommand } from './command.ts'
import type { HookAnswer } from './driver.ts'

const BUSY = 75 // EX_TEMPFAIL, sysexits.h
/** Characters of output that are kept: the last ones. */
const KEPT_OUTPUT = 4 * 1024

export type HookRun = Omit<CommandRun, 'stdin' | 'onOutput'>

/** Runs a command line and says how it ended. What it leaves running in its process group ends with it. Never throws. */
export async function runHook(run: HookRun): Promise<HookAnswer & { readonly output: string }> {
  let output = ''
  const decoders = { stdout: new StringDecoder('utf8'), stderr: new StringDecoder('utf8') }
  const ended = await runCommand({
    ...run,
    onOutput(stream, chunk) {
      output = (output + decoders[stream].write(chunk)).slice(-KEPT_OUTPUT)
    },
  })
  const lastLine = output.trimEnd().split('\n').at(-1) ?? ''
  const why = explain(ended, run)
  return { answer: answerOf(ended), reason: lastLine === '' ? why : `${why}: ${lastLine}`, output }
}

function answerOf(ended: CommandEnd): HookAnswer['answer'] {
  if (ended.end !== 'exited') return 'failed'
  return ended.code === 0 ? 'ok' : ended.code === BUSY ? 'busy' : 'failed'
}

/** How a command ended, in words that follow its name. */
export function explain(ended: CommandEnd, { timeout, cwd }: { timeout: number; cwd: string }): string {
  switch (ended.end) {
    case 'exited':
      return ended.code === null ? `ended by ${ended.by}` : `exit ${ended.code}`
    case 'timeout':
      return `it did not end within ${timeout / 1000} s`
    case 'cancelled':
      return 'it was cancelled'
    case 'not-run':
      return `it could not be run in ${cwd}: ${ended.error.message}`
    default:
      return ended satisfies never
  }
}
