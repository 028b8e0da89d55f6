import type { Context } from '../context.ts'
import { fields } from '../table.ts'

export async function run(context: Context, { yaml }: { readonly yaml?: true }): Promise<undefined> {
  if (yaml === true) return (await import('../signing/index.ts')).policyPrinted(context)
  const view = await context.client.call('GET /v1/policy')
  const { policy, fleet } = view
  context.show(view, () =>
    fields(
      [
        ['fleet', fleet],
        ['policy', `version ${policy.version}, signed by ${policy.threshold} of ${policy.operators.length} operators`],
        ...policy.operators.map(key => ['operator', key] as const),
        ...policy.publishers.map(key => ['publisher', key] as const),
        ...Object.entries(policy.groups).map(([name, group]) => {
          const budget =
            group.maxUnavailable === undefined ? 'as the plan says' : `at most ${group.maxUnavailable} down`
          return [`group ${name}`, `${budget}; first voters ${group.genesisVoters.join(' ')}`] as const
        }),
      ],
      context.paint,
      context.width,
    ),
  )
  return
}
