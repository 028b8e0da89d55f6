import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { FleetError } from '../../protocol/index.ts'
import { writeDurably } from '../state/index.ts'

/** Whom clients over TLS find that they speak to. */
export interface Identity {
  /** PEM. */
  readonly key: string
  readonly cert: string
  /** SHA-256 of the certificate, as `openssl x509 -fingerprint -sha256` prints it. */
  readonly fingerprint: string
  /** True for a DNS name that the certificate is for. */
  names(host: string): boolean
}

export interface IdentityFiles {
  readonly certFile: string
  readonly keyFile: string
}

/** What OpenSSL takes for a name to compare; it throws on some others. */
const NAME = /^[A-Za-z0-9_]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$/

/** The identity in files that the operator gave. Throws `bad-input` naming the file that is not good. */
export function givenIdentity(files: IdentityFiles): Promise<Identity> {
  return load(files, 'give another with --api-cert-file and --api-key-file', 'bad-input')
}

/**
 * The identity in `directory`, made for `names` when there is none. It stays the same from then on, also when the host is called something
 * else: those who pinned its fingerprint would be turned away. Throws `corrupt` when one of its files is damaged.
 */
export async function ownIdentity(directory: string, names: readonly string[], now: number): Promise<Identity> {
  const files = { certFile: join(directory, 'api-cert.pem'), keyFile: join(directory, 'api-key.pem') }
  if (!(await exists(files.certFile))) {
    const { makeCertificate } = await import('./certificate.ts')
    const { key, cert } = makeCertificate(names, now)
    // The certificate last: without it, both are made anew.
    await writeDurably(files.keyFile, key, 0o600)
    await writeDurably(files.certFile, cert, 0o644)
  }
  return load(files, 'remove both files, and a new one is made at the next start, with another fingerprint', 'corrupt')
}

async function load(
  { certFile, keyFile }: IdentityFiles,
  mend: string,
  code: 'bad-input' | 'corrupt',
): Promise<Identity> {
  const refuse = (what: string, cause?: unknown): FleetError =>
    new FleetError(code, `${what}; ${mend}`, { cause, detail: { certFile, keyFile } })
  const part = async <T>(file: string, what: string, parse: (text: string) => T): Promise<[string, T]> => {
    try {
      const text = await readFile(file, 'utf8')
      return [text, parse(text)]
    } catch (cause) {
      throw refuse(`${file} holds no ${what} for the API that can be read: ${(cause as Error).message}`, cause)
    }
  }
  const [cert, parsed] = await part(certFile, 'certificate', text => new X509Certificate(text))
  const [key, privateKey] = await part(keyFile, 'private key', text => createPrivateKey(text))
  if (!parsed.checkPrivateKey(privateKey))
    throw refuse(`the key in ${keyFile} is not that of the certificate in ${certFile}`)
  return {
    key,
    cert,
    fingerprint: parsed.fingerprint256,
    names: host => NAME.test(host) && parsed.checkHost(host, { subject: 'never' }) !== undefined,
  }
}

const exists = (file: string): Promise<boolean> =>
  readFile(file).then(
    () => true,
    (error: NodeJS.ErrnoException) => error.code !== 'ENOENT',
  )
