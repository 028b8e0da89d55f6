import * as z from 'zod'
import { counter, text } from '../codec.ts'
import { type Command, command } from './command.ts'

export const handshake: Command = command(z.object({ Version: counter }), ({ Version }, { gate }) => {
  const error = gate.greet(Version)
  return { error }
})

/** A wrong token ends the connection: who guesses pays for each guess with a new one. */
export const auth: Command = command(z.object({ AuthKey: text }), ({ AuthKey }, { gate }) => {
  const error = gate.show(AuthKey)
  return { error, last: error !== '' }
})
