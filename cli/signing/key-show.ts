import type { Context } from '../context.ts'
import { describeKey } from './key-store.ts'

export async function run(context: Context): Promise<undefined> {
  const { publicKey, encrypted } = await describeKey(context.keyFile)
  context.show({ publicKey, file: context.keyFile, encrypted }, () => publicKey)
  return
}
