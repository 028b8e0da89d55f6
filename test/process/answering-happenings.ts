import { createHappenings as create, type Happenings } from '../../daemon/happenings.ts'

/** Takes the place of daemon/happenings.ts in a daemon that answers queries called `echo` with their own payload, as a handler would. */
export function createHappenings(onError: (error: unknown) => void): Happenings {
  const happenings = create(onError)
  happenings.listen(happening => {
    if (happening.type !== 'query' || happening.query.name !== 'echo') return
    happening.query.respond(happening.query.payload).catch(onError)
  })
  return happenings
}
