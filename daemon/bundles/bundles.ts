import { type Imported, type Plan, type Statement, toFleetError } from '../../protocol/index.ts'
import { openBundleFile, type StoredImage } from '../../rollout/index.ts'
import type { Download } from '../api/index.ts'
import type { Fleetd } from '../fleetd.ts'
import type { BundleContext } from './context.ts'
import { exportBundle } from './export.ts'
import { importBundle } from './import.ts'

type Parts = Pick<
  Fleetd,
  'store' | 'trust' | 'images' | 'pushes' | 'plans' | 'retention' | 'rollouts' | 'acceptPolicy' | 'spread' | 'labels'
>

const contextOf = ({ store, trust, images, pushes, plans, retention, acceptPolicy, spread }: Parts): BundleContext => ({
  store,
  trust,
  images,
  pushes,
  plansFor: plans.bringing,
  async acceptPolicy(statement) {
    await acceptPolicy(statement)
    await spread('policy', statement)
  },
  during: retention.during,
})

/** Throws `refused` when the image is not whole here. */
export async function exportImage(
  fleetd: Parts,
  image: StoredImage,
  options: { since: StoredImage | undefined; withPlan: boolean },
): Promise<Download> {
  const { size, send } = await exportBundle(contextOf(fleetd), image, options)
  const { name, version } = image.manifest
  return { name: `${name.replaceAll('/', '_')}-${version}.bundle`, size, send }
}

/** Brings in what is in the file, and begins the plans that are for this node's group. */
export async function importImage(
  fleetd: Parts,
  path: string,
  options: { signal: AbortSignal; onProgress: (progress: { done: number; total: number }) => void },
): Promise<Imported> {
  fleetd.trust.demand()
  const file = await openBundleFile(path)
  try {
    const { image, newChunks, policies, plans } = await importBundle(contextOf(fleetd), file, options)
    const { name, version, size, chunks } = image.manifest
    const begun: Imported['plans'][number][] = []
    for (const plan of plans) begun.push(await begin(fleetd, plan, options.signal))
    return { digest: image.digest, name, version, size, chunks, newChunks, policies, plans: begun }
  } finally {
    await file.close()
  }
}

/** A plan of this node's group is put to its ledger, as the operator would have; whether it may begin is for the ledger to say. */
async function begin(
  { rollouts, labels, spread }: Parts,
  plan: Statement<Plan>,
  signal: AbortSignal,
): Promise<Imported['plans'][number]> {
  const { group, generation } = plan.body
  const answer = (started: boolean, reason = ''): Imported['plans'][number] => ({ group, generation, started, reason })
  try {
    if (group !== labels().group) {
      rollouts.acceptPlan(plan.bytes, false)
      await spread('plan', plan.bytes)
      return answer(false, `it is for another group than ${labels().group}, and was passed on`)
    }
    await rollouts.submit(plan.bytes, signal)
    return answer(true)
  } catch (error) {
    return answer(false, toFleetError(error).message)
  }
}
