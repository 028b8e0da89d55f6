import type { Context } from '../context.ts'
import { createKey } from './key-store.ts'

export async function run(context: Context): Promise<undefined> {
  const { key, encrypted } = await createKey(context)
  context.show({ publicKey: key.publicKey, file: context.keyFile, encrypted }, () => key.publicKey)
  context.hint(
    `Written to ${context.keyFile}, ${encrypted ? 'encrypted' : 'not encrypted'}; keep a copy, it cannot be made again.`,
  )
  return
}
