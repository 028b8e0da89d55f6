import { MANIFEST, run, sourceDate } from './project.ts'

/**
 * What fleetd is made of as a CycloneDX document, written by npm from what is installed. Of npm's, only what would make two runs on one
 * commit differ is set anew: a random number, the time, and the name, which it takes from the checkout's folder.
 */
export function sbom(): string {
  const document = JSON.parse(
    run('npm', ['sbom', '--sbom-format', 'cyclonedx', '--sbom-type', 'application', '--omit', 'dev']),
  ) as { serialNumber?: string; metadata: { timestamp: string; component: { name: string } } }
  delete document.serialNumber
  document.metadata.timestamp = new Date(Number(sourceDate()) * 1000).toISOString()
  document.metadata.component.name = MANIFEST.name
  return `${JSON.stringify(document, null, 2)}\n`
}
