import type { Context } from '../context.ts'
import { readAuthority } from './fleet.ts'
import { formatPolicyFile } from './policy-file.ts'

/** `policy show --yaml`: the policy as a file to change. */
export async function printed(context: Context): Promise<undefined> {
  context.print(formatPolicyFile((await readAuthority(context)).policy).trimEnd())
}
