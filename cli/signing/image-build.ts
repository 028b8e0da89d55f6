import { readFile, stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import {
  type Digest,
  ENDORSEMENT,
  FleetError,
  type Millis,
  type Provenance,
  provenanceSchema,
  sign,
  toDocument,
} from '../../protocol/index.ts'
import type { Context } from '../context.ts'
import { bar, progressLine } from '../progress.ts'
import { size } from '../text.ts'
import { checked } from './checked.ts'
import { readAuthority } from './fleet.ts'
import { loadKey } from './key-store.ts'

interface Options {
  readonly name: string
  readonly version: string
  readonly kind?: 'tree' | 'file'
  readonly label?: Readonly<Record<string, string>>
  readonly provenance?: string
  readonly requires?: Readonly<Record<string, string>>
  readonly barrier?: true
  readonly irreversible?: true
}

export async function run(context: Context, path: string, options: Options): Promise<undefined> {
  const { client } = context
  const absolute = resolve(path)
  const kind = options.kind ?? (await kindOf(absolute))
  const provenance = options.provenance === undefined ? {} : await readProvenance(options.provenance)
  // Before the work: an image that nobody may sign would be of no use.
  const publisher = await loadKey(context)
  const authority = await readAuthority(context)
  if (!authority.policy.publishers.includes(publisher.publicKey)) {
    throw new FleetError(
      'refused',
      `the key ${context.keyFile} is no publisher of this fleet; name the right one with --key`,
    )
  }

  const line = progressLine(context)
  const built = await client
    .stream(
      'POST /v1/images/build',
      {
        body: {
          path: absolute,
          name: options.name,
          version: options.version,
          kind,
          labels: { ...options.label },
          provenance,
          requires: await digestsOf(context, options.requires ?? {}),
          barrier: options.barrier === true,
          reversible: options.irreversible !== true,
        },
      },
      ({ done, total }) =>
        line.draw(
          total === null
            ? `building: ${size(done)}`
            : `building ${bar(done / Math.max(1, total))} ${size(done)} of ${size(total)}`,
        ),
    )
    .finally(line.clear)

  const endorsement = sign(ENDORSEMENT, authority.fleet, Date.now() as Millis, { image: built.digest }, [publisher])
  await client.call('POST /v1/images/:ref/endorsement', {
    params: { ref: built.digest },
    body: { statement: toDocument(endorsement.bytes) },
  })
  context.show(built, () => built.digest)
  context.hint(
    `${built.name}:${built.version}: ${size(built.size)} in ${built.chunks} chunks, ${built.newChunks} of them new\nNext: fleetctl rollout start --layer LAYER --image ${built.name}:${built.version}`,
  )
  return
}

/** The images that are named, as what they are called at this daemon: the new image names them by their digests. */
async function digestsOf(
  { client }: Context,
  named: Readonly<Record<string, string>>,
): Promise<Record<string, Digest>> {
  const found = Object.entries(named).map(async ([layer, ref]) => {
    const { digest } = await client.call('GET /v1/images/:ref', { params: { ref } })
    return [layer, digest] as const
  })
  return Object.fromEntries(await Promise.all(found))
}

async function kindOf(path: string): Promise<'tree' | 'file'> {
  const info = await stat(path).catch((error: NodeJS.ErrnoException) => {
    throw new FleetError(
      'bad-input',
      error.code === 'ENOENT' ? `there is no ${path}` : `cannot read ${path}: ${error.message}`,
    )
  })
  return info.isDirectory() ? 'tree' : 'file'
}

async function readProvenance(file: string): Promise<Provenance> {
  const text = await readFile(file, 'utf8').catch((error: Error) => {
    throw new FleetError('bad-input', `--provenance ${file}: ${error.message}`)
  })
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new FleetError('bad-input', `--provenance ${file}: ${(error as Error).message}`)
  }
  return checked(provenanceSchema, value)
}
