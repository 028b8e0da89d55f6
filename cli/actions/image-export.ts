import { createWriteStream } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import { FleetError } from '../../protocol/errors.ts'
import type { Context } from '../context.ts'
import { bar, progressLine } from '../progress.ts'
import { size as inWords } from '../text.ts'

interface Options {
  readonly output: string
  readonly since?: string
  readonly withPlan?: true
}

/** The file appears under its name when all of it is on disk, and not before; `-` is standard output. */
export async function run(context: Context, ref: string, options: Options): Promise<undefined> {
  const { output } = options
  const { size, bytes } = await context.client.download('GET /v1/images/:ref/bundle', {
    params: { ref },
    query: { since: options.since, plan: options.withPlan === true ? 'true' : 'false' },
  })
  const line = progressLine(context)
  async function* told(): AsyncGenerator<Uint8Array> {
    let done = 0
    for await (const piece of bytes) {
      yield piece
      done += piece.byteLength
      line.draw(`exporting ${bar(done / size)} ${inWords(done)} of ${inWords(size)}`)
    }
  }
  if (output === '-') {
    await pipeline(told, context.terminal.stdout, { end: false, signal: context.signal }).finally(line.clear)
    return
  }
  const unfinished = `${output}.part`
  try {
    await pipeline(told, createWriteStream(unfinished, { flush: true }), { signal: context.signal })
    await rename(unfinished, output)
  } catch (error) {
    await rm(unfinished, { force: true })
    throw context.signal.aborted || error instanceof FleetError
      ? error
      : new FleetError('bad-input', `cannot write ${output}: ${(error as Error).message}`)
  } finally {
    line.clear()
  }
  context.show({ file: output, size }, () => `${output}: ${inWords(size)}`)
  context.hint(`Next, on a host that no network reaches: fleetctl image import ${output}`)
  return
}
