import { readFile } from 'node:fs/promises'
import { LineCounter, parseDocument } from 'yaml'
import type * as z from 'zod'
import { FleetError } from '../../protocol/errors.ts'

/** What a YAML file says, checked. Throws `bad-input` with file, line and what was expected; `named` is put before the name of a file that cannot be read. */
export async function readYaml<S extends z.ZodObject>(file: string, schema: S, named = ''): Promise<z.output<S>> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new FleetError(
      'bad-input',
      `${named}${file}: ${error.code === 'ENOENT' ? 'there is no such file' : error.message}`,
    )
  })
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines })
  const [broken] = document.errors
  if (broken !== undefined) {
    const line = lines.linePos(broken.pos[0]).line
    throw new FleetError('bad-input', `${file}:${line}: not valid YAML: ${broken.message.split('\n')[0]}`)
  }
  const checked = schema.safeParse(document.toJS() ?? {})
  if (checked.success) return checked.data
  const [issue] = checked.error.issues
  const unknown = issue?.code === 'unrecognized_keys' ? issue.keys[0] : undefined
  const path = unknown === undefined ? (issue?.path ?? []) : [...(issue?.path ?? []), unknown]
  const node = path.length === 0 ? undefined : document.getIn(path, true)
  const at = (node as { range?: [number, number, number] } | undefined)?.range?.[0] ?? 0
  const problem =
    unknown === undefined
      ? `${path.join('.')}: ${issue?.message ?? 'not what was expected'}`
      : `unknown key ${path.join('.')}${path.length === 1 ? `; known are ${Object.keys(schema.shape).join(', ')}` : ''}`
  throw new FleetError('bad-input', `${file}:${lines.linePos(at).line}: ${problem}`)
}
