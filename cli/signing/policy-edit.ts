import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { FleetError } from '../../protocol/index.ts'
import type { Context } from '../context.ts'
import { readAuthority } from './fleet.ts'
import { run as apply, type Options } from './policy-apply.ts'
import { formatPolicyFile } from './policy-file.ts'

/** Opens the policy in the operator's editor, and applies what was made of it. What was written is kept where it cannot be applied. */
export async function run(context: Context, options: Options): Promise<undefined> {
  const before = formatPolicyFile((await readAuthority(context)).policy)
  const file = join(await mkdtemp(join(tmpdir(), 'fleetctl-')), 'policy.yaml')
  await writeFile(file, before)
  await edit(file, context)
  if ((await readFile(file, 'utf8')) === before) context.show({ changes: [] }, () => 'nothing was changed')
  else
    await apply(context, file, options).catch((error: Error) => {
      context.terminal.stderr.write(`what you wrote is kept in ${file}; go on with: fleetctl policy apply ${file}\n`)
      throw error
    })
  await rm(dirname(file), { recursive: true, force: true })
  return
}

/** Throws `bad-input` where there is no editor, or it did not end with 0. */
async function edit(file: string, { terminal: { env, stdin, stdout } }: Context): Promise<void> {
  const editor = env.VISUAL || env.EDITOR || (stdin.isTTY && stdout.isTTY ? 'vi' : undefined)
  if (editor === undefined)
    throw new FleetError(
      'bad-input',
      'there is no terminal to edit at; print the policy with "fleetctl policy show --yaml" and apply what you make of it',
    )
  // The build leaves node:child_process out of fleetctl, which starts nothing else.
  const { spawn } = process.getBuiltinModule('node:child_process')
  // By a shell, since people have flags in it.
  const child = spawn('sh', ['-c', `${editor} "$1"`, 'sh', file], { stdio: 'inherit' })
  const [code] = await once(child, 'exit')
  if (code !== 0)
    throw new FleetError('bad-input', `the editor (${editor}) ended with ${code}; nothing was applied: ${file}`)
}
