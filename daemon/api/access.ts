import { hostname } from 'node:os'
import { bearerIn, type Millis } from '../../protocol/index.ts'
import { readTokenFile } from '../token-file.ts'
import { givenIdentity, type Identity, ownIdentity } from './identity.ts'

/** What clients over TCP are let in by: the daemon shows who it is, and they show the token. */
export interface Access {
  readonly token: string
  readonly identity: Identity
  now(): Millis
}

export interface AccessInit {
  readonly tokenFile: string
  /** Given together, or made and kept in `directory`. */
  readonly certFile: string | undefined
  readonly keyFile: string | undefined
  readonly directory: string
  /** What a certificate that is made is for, beside the host's own name and loopback: hosts without ports. */
  readonly names: readonly string[]
  now(): Millis
}

const CLIENTS = 'clients of the API'

/** Reads the token and has a certificate. Throws what is wrong with the file that is not good. */
export async function openAccess({ tokenFile, certFile, keyFile, directory, names, now }: AccessInit): Promise<Access> {
  const token = bearerIn(await readTokenFile(tokenFile, CLIENTS), CLIENTS)
  const identity =
    certFile !== undefined && keyFile !== undefined
      ? await givenIdentity({ certFile, keyFile })
      : await ownIdentity(directory, [...new Set([...LOOPBACK, hostname(), ...names])], now())
  return { token, identity, now }
}

const LOOPBACK = ['localhost', '127.0.0.1', '::1']
